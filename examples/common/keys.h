/* common/keys.h: gives each key a number, 0 for the first that comes, 1 for the next. What belongs to a key then stands in an array.
 *
 * A hash table with open addressing, never more than half full. For one thread.
 */
#ifndef COMMON_KEYS_H
#define COMMON_KEYS_H

#include "program.h"

#include <stdint.h>
#include <string.h>

struct keys {
    char **text; /* by number */
    size_t count;
    size_t *places, place_count; /* 0 is free, else 1 + the number */
};

/* Where the number of this key is, or where it belongs. */
static inline size_t *keys_place(const struct keys *k, const char *key, size_t size)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    size_t i;
    for (size_t c = 0; c < size; c++)
        hash = (hash ^ (unsigned char)key[c]) * 1099511628211U;
    for (i = (size_t)(hash % k->place_count); k->places[i] != 0; i = (i + 1) % k->place_count) {
        const char *there = k->text[k->places[i] - 1];
        if (strncmp(there, key, size) == 0 && there[size] == '\0')
            break;
    }
    return &k->places[i];
}

static inline void keys_grow(struct keys *k)
{
    free(k->places);
    k->place_count = k->place_count == 0 ? 64 : 2 * k->place_count;
    k->places = (size_t *)or_die(calloc(k->place_count, sizeof *k->places));
    k->text = (char **)or_die(realloc(k->text, k->place_count / 2 * sizeof *k->text));
    for (size_t i = 0; i < k->count; i++)
        *keys_place(k, k->text[i], strlen(k->text[i])) = i + 1;
}

/* The number of a key of `size` bytes, none of them NUL; a new one gets the next. */
static inline size_t keys_number(struct keys *k, const char *key, size_t size)
{
    size_t *place;
    if (2 * k->count >= k->place_count)
        keys_grow(k);
    place = keys_place(k, key, size);
    if (*place == 0) {
        k->text[k->count] = (char *)or_die(calloc(1, size + 1));
        memcpy(k->text[k->count], key, size);
        *place = ++k->count;
    }
    return *place - 1;
}

static inline void keys_free(struct keys *k)
{
    for (size_t i = 0; i < k->count; i++)
        free(k->text[i]);
    free(k->text);
    free(k->places);
}

#endif /* COMMON_KEYS_H */
