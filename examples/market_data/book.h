/* market_data/book.h: the order book: how many shares rest at each price, on each side.
 *
 * The rules, so that two implementations agree
 *   A price level per side holds a total size. Type 1 adds to it; 2, 3 and 4 reduce it, and remove it at zero or below; 5, 6 and 7
 *   leave the book alone. A reduction of a level that is not there is counted and ignored. A level holds at least one share: adding
 *   none to a level that is not there makes no level.
 *
 * A side is an array sorted so that the best price is last. Nearly every change lies within a few levels of the best, so nearly
 * nothing moves when a level comes or goes, and the best level is the last element. (A hash finds a level faster, and the next best
 * one slower; a tree costs a cache miss per step.)
 */
#ifndef MARKET_DATA_BOOK_H
#define MARKET_DATA_BOOK_H

#include "parse.h"

#include <stdlib.h>

struct level {
    int64_t key; /* the greater the better: a bid's price; an ask's, negated */
    int64_t size;
};

struct side {
    struct level *levels;
    size_t count, room;
};

struct book {
    struct side ask, bid;
};

#define NO_PRICE INT64_C(9999999999)

struct bbo { /* best bid and offer */
    int64_t ask, ask_size, bid, bid_size;
};

/* Room for `room` levels; false: no memory. */
static inline bool side_grow(struct side *s, size_t room)
{
    struct level *levels = room <= s->room ? s->levels : realloc(s->levels, room * sizeof *levels);
    if (levels == NULL)
        return false;
    s->levels = levels;
    s->room = room > s->room ? room : s->room;
    return true;
}

/* Where the key is, or belongs. */
static inline size_t side_find(const struct side *s, int64_t key)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->levels[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline uint8_t side_add(struct side *s, int64_t key, int64_t size)
{
    const size_t i = side_find(s, key);
    if (i < s->count && s->levels[i].key == key) {
        if (s->levels[i].size > INT64_MAX - size)
            return FAULT_LEVEL;
        s->levels[i].size += size;
        return FAULT_NONE;
    }
    if (size == 0)
        return FAULT_NONE;
    if (s->count == s->room && !side_grow(s, 2 * s->room + 64))
        return FAULT_MEMORY;
    memmove(&s->levels[i + 1], &s->levels[i], (s->count - i) * sizeof s->levels[0]);
    s->levels[i].key = key;
    s->levels[i].size = size;
    s->count++;
    return FAULT_NONE;
}

/* Returns whether the level was there. */
static inline bool side_reduce(struct side *s, int64_t key, int64_t size)
{
    const size_t i = side_find(s, key);
    if (i == s->count || s->levels[i].key != key)
        return false;
    s->levels[i].size -= size;
    if (s->levels[i].size <= 0) {
        s->count--;
        memmove(&s->levels[i], &s->levels[i + 1], (s->count - i) * sizeof s->levels[0]);
    }
    return true;
}

/* Returns a fault, or FAULT_NONE; *unknown counts the reductions of a level that is not there. */
static inline uint8_t book_apply(struct book *b, const struct message *m, uint64_t *unknown)
{
    struct side *s = m->direction > 0 ? &b->bid : &b->ask;
    const int64_t key = m->direction > 0 ? m->price : -m->price;
    switch (m->type) {
    case TYPE_ADD: return side_add(s, key, m->size);
    case TYPE_CANCEL:
    case TYPE_DELETE:
    case TYPE_EXECUTE: *unknown += side_reduce(s, key, m->size) ? 0 : 1; return FAULT_NONE;
    default: return FAULT_NONE;
    }
}

static inline void book_best(const struct book *b, struct bbo *best)
{
    const struct level *ask = b->ask.count > 0 ? &b->ask.levels[b->ask.count - 1] : NULL;
    const struct level *bid = b->bid.count > 0 ? &b->bid.levels[b->bid.count - 1] : NULL;
    best->ask = ask != NULL ? -ask->key : NO_PRICE;
    best->ask_size = ask != NULL ? ask->size : 0;
    best->bid = bid != NULL ? bid->key : -NO_PRICE;
    best->bid_size = bid != NULL ? bid->size : 0;
}

/* Makes *to equal to `from`; false: no memory. */
static inline bool book_copy(struct book *to, const struct book *from)
{
    if (!side_grow(&to->ask, from->ask.count + 1) || !side_grow(&to->bid, from->bid.count + 1))
        return false;
    to->ask.count = from->ask.count;
    to->bid.count = from->bid.count;
    if (from->ask.count > 0)
        memcpy(to->ask.levels, from->ask.levels, from->ask.count * sizeof(struct level));
    if (from->bid.count > 0)
        memcpy(to->bid.levels, from->bid.levels, from->bid.count * sizeof(struct level));
    return true;
}

static inline void book_free(struct book *b)
{
    free(b->ask.levels);
    free(b->bid.levels);
}

#endif /* MARKET_DATA_BOOK_H */
