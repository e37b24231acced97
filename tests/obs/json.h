/* tests/obs/json.h: is a text JSON, by the letter of RFC 8259? */
#ifndef WEIR_TEST_OBS_JSON_H
#define WEIR_TEST_OBS_JSON_H

#include <stdbool.h>
#include <string.h>

static const char *json_at;

static void json_space(void)
{
    json_at += strspn(json_at, " \t\r\n");
}

static bool json_take(char c)
{
    json_space();
    if (*json_at != c)
        return false;
    json_at++;
    return true;
}

static bool json_digits(void)
{
    const size_t n = strspn(json_at, "0123456789");
    json_at += n;
    return n > 0;
}

static bool json_number(void)
{
    if (*json_at == '-')
        json_at++;
    if (*json_at == '0')
        json_at++;
    else if (!json_digits())
        return false;
    if (*json_at == '.' && (json_at++, !json_digits()))
        return false;
    if (*json_at != 'e' && *json_at != 'E')
        return true;
    json_at++;
    json_at += *json_at == '+' || *json_at == '-';
    return json_digits();
}

static bool json_string(void)
{
    if (!json_take('"'))
        return false;
    for (; *json_at != '"'; json_at++) {
        if ((unsigned char)*json_at < 0x20) /* the end, too */
            return false;
        if (*json_at != '\\')
            continue;
        json_at++;
        if (*json_at == 'u') {
            if (strspn(json_at + 1, "0123456789abcdefABCDEF") < 4)
                return false;
            json_at += 4;
        } else if (*json_at == 0 || strchr("\"\\/bfnrt", *json_at) == NULL) {
            return false;
        }
    }
    json_at++;
    return true;
}

static bool json_value(void)
{
    json_space();
    const bool object = *json_at == '{';
    if (object || *json_at == '[') {
        json_at++;
        if (json_take(object ? '}' : ']'))
            return true;
        do {
            if (object && (json_space(), !json_string() || !json_take(':')))
                return false;
            if (!json_value())
                return false;
        } while (json_take(','));
        return json_take(object ? '}' : ']');
    }
    if (*json_at == '"')
        return json_string();
    const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++)
        if (strncmp(json_at, words[i], strlen(words[i])) == 0) {
            json_at += strlen(words[i]);
            return true;
        }
    return json_number();
}

static bool json(const char *text)
{
    json_at = text;
    if (!json_value())
        return false;
    json_space();
    return *json_at == 0;
}

#endif /* WEIR_TEST_OBS_JSON_H */
