/* fetch_titles/title.h: the title of a page, from its bytes. No parser of HTML: what stands between the first <title> and </title>, as it is. */
#ifndef FETCH_TITLES_TITLE_H
#define FETCH_TITLES_TITLE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { TITLE_MAX = 300 }; /* bytes */

/* Where the word is, in letters of any case; NULL: nowhere. */
static inline const char *title_word(const char *from, const char *end, const char *word)
{
    const size_t size = strlen(word);
    for (; (size_t)(end - from) >= size; from++) {
        size_t i = 0;
        while (i < size && (from[i] >= 'A' && from[i] <= 'Z' ? from[i] - 'A' + 'a' : from[i]) == word[i])
            i++;
        if (i == size)
            return from;
    }
    return NULL;
}

/* The text with each run of white space and control characters as one space, and no more than TITLE_MAX bytes, which end where a character does. */
static inline void title_squeeze(const char *from, const char *end, char *title)
{
    size_t n = 0;
    for (; from < end && n < TITLE_MAX; from++) {
        const bool blank = (unsigned char)*from <= ' ';
        if (!blank || (n > 0 && title[n - 1] != ' '))
            title[n++] = blank ? ' ' : *from;
    }
    if (from < end)
        while (n > 0 && ((unsigned char)*from & 0xc0) == 0x80) { /* in the middle of a character of UTF-8 */
            from--;
            n--;
        }
    if (n > 0 && title[n - 1] == ' ')
        n--;
    title[n] = '\0';
}

/* False: there is none. */
static inline bool title_find(const char *page, size_t size, char *title)
{
    const char *const end = page + size, *at = page, *last;
    while ((at = title_word(at, end, "<title")) != NULL) {
        at += 6;
        if (at < end && (*at == '>' || (unsigned char)*at <= ' ')) /* and not <titles> */
            break;
    }
    if (at == NULL || (at = title_word(at, end, ">")) == NULL || (last = title_word(at, end, "</title")) == NULL)
        return false;
    title_squeeze(at + 1, last, title);
    return true;
}

#endif /* FETCH_TITLES_TITLE_H */
