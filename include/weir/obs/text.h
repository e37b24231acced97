/* weir/obs/text.h: text into a caller's buffer or a file, for formats that others read: no locale, always valid UTF-8.
 *
 * A buffer that is too small gets the beginning, and what would have been needed is counted on; it always ends with a 0. Nothing is allocated.
 * One thread at a time.
 */
#ifndef WEIR_OBS_TEXT_H
#define WEIR_OBS_TEXT_H

#include "../core/error.h"

#include <stdio.h>
#include <string.h>

typedef struct weir__text {
    FILE *file; /* NULL: into the buffer */
    char *to;
    size_t size, needed; /* needed: without the 0 at the end */
    bool failed;         /* writing the file */
} weir__text;

WEIR_API void weir__text_init(weir__text *t, FILE *file, char *to, size_t size);
WEIR_API void weir__text_put(weir__text *t, const char *bytes, size_t n);
WEIR_API void weir__text_string(weir__text *t, const char *s);
WEIR_API void weir__text_u64(weir__text *t, uint64_t value);
/* The shortest of 15 to 17 digits that reads back as the same; NaN, +Inf, -Inf. The point is a point in every locale. */
WEIR_API void weir__text_double(weir__text *t, double value);
/* Puts each character of s; of one that is ASCII, whatever `ascii` puts for it; for a byte that is not UTF-8, U+FFFD. */
WEIR_API void weir__text_escaped(weir__text *t, const char *s, void (*ascii)(weir__text *t, char c));
/* 0; EOVERFLOW: the buffer is too small; EIO: the file took not all. */
WEIR_API int weir__text_end(weir__text *t);

#endif /* WEIR_OBS_TEXT_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_TEXT_IMPLEMENTED)
#define WEIR_OBS_TEXT_IMPLEMENTED

#include <stdlib.h>

WEIR_API void weir__text_init(weir__text *t, FILE *file, char *to, size_t size)
{
    memset(t, 0, sizeof *t);
    t->file = file;
    t->to = to;
    t->size = size;
    if (size > 0)
        to[0] = 0;
}

WEIR_API void weir__text_put(weir__text *t, const char *bytes, size_t n)
{
    const size_t at = t->needed;
    t->needed += n;
    if (t->file != NULL) {
        if (fwrite(bytes, 1, n, t->file) != n)
            t->failed = true;
    } else if (at < t->size) {
        const size_t fits = n < t->size - 1 - at ? n : t->size - 1 - at;
        memcpy(t->to + at, bytes, fits);
        t->to[at + fits] = 0;
    }
}

WEIR_API void weir__text_string(weir__text *t, const char *s)
{
    weir__text_put(t, s, strlen(s));
}

WEIR_API void weir__text_u64(weir__text *t, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    weir__text_put(t, digits + n, sizeof digits - n);
}

WEIR_API void weir__text_double(weir__text *t, double value)
{
    char text[64], point = 0;
    const double none = value - value; /* 0, or not a number */
    if (none != none) {
        weir__text_string(t, value != value ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15;; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (digits == 17 || strtod(text, NULL) - value == 0) /* in the same locale */
            break;
    }
    for (const char *c = text; *c != 0; c++)
        if ((*c >= '0' && *c <= '9') || *c == 'e' || *c == '+' || *c == '-') {
            weir__text_put(t, c, 1);
        } else if (point == 0) {
            point = '.';
            weir__text_put(t, &point, 1);
        }
}

/* The bytes of the character that begins here, before the end of s; 0: none does. Source: the Unicode Standard, table 3-7: no overlong
 * forms, no surrogates. */
static size_t weir__text_character(const char *s)
{
    const unsigned char lead = (unsigned char)s[0], second = (unsigned char)s[1];
    const size_t n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (n < 2)
        return n;
    if (second < (lead == 0xE0   ? 0xA0
                  : lead == 0xF0 ? 0x90
                                 : 0x80) ||
        second > (lead == 0xED   ? 0x9F
                  : lead == 0xF4 ? 0x8F
                                 : 0xBF))
        return 0;
    for (size_t i = 2; i < n; i++) /* a 0 ends it, too */
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

WEIR_API void weir__text_escaped(weir__text *t, const char *s, void (*ascii)(weir__text *t, char c))
{
    while (*s != 0) {
        const size_t n = weir__text_character(s);
        if (n == 1)
            ascii(t, *s);
        else if (n > 1)
            weir__text_put(t, s, n);
        else
            weir__text_string(t, "\xEF\xBF\xBD");
        s += n > 0 ? n : 1;
    }
}

WEIR_API int weir__text_end(weir__text *t)
{
    if (t->file != NULL)
        return t->failed || fflush(t->file) != 0 ? EIO : 0;
    return t->needed < t->size ? 0 : EOVERFLOW;
}

#endif /* WEIR_OBS_TEXT_IMPLEMENTED */
