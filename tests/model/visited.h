/* tests/model/visited.h: the states that a search has been in (state.h), so that none is searched twice.
 *
 * A state that was reached with more preemptions left has been searched for more than one with fewer: the table keeps the most.
 * Hashes have 64 bits; among ten million states two share one in three of a million searches, among a thousand million in three of a hundred.
 *
 * A state as what threads have read from whom, instead of as what there is, is simpler (M. Musuvathi, S. Qadeer, "Partial-order reduction for
 * context-bounded state exploration", 2007: happens-before caching). It was here before: searches went through four times as many states.
 */
#ifndef WEIR_MODEL_VISITED_H
#define WEIR_MODEL_VISITED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One number of two. */
static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ (x + 0x2545f4914f6cdd1dU)) * 0x9e3779b97f4a7c15U; /* the sum: so that zeros are not lost in each other */
    return (h ^ h >> 29) + 0x632be59bd9b4e019U;
}

enum { STALE_MAX = 8 }; /* old values in an exhaustive search: a state has a name for each number of them (state.h) */

/* A table in the order of hashes, in pieces, so that it grows from the first to the last and gives back the old pieces meanwhile. */
enum { VISITED_PIECE = 1 << 22 };
typedef struct visited_state {
    uint64_t hash;
    int left;
    unsigned windows; /* what may happen from here on (window.h) */
} visited_state;

static struct visited {
    bool every_way;   /* not wanted: nothing is left out */
    bool counts_ends; /* in how many states executions have ended: */
    size_t ends;
    size_t size, used; /* a power of two */
    int shift;         /* of a hash, to its place */
    visited_state **piece;
} visited;

static size_t visited_pieces(void)
{
    return (visited.size + VISITED_PIECE - 1) / VISITED_PIECE;
}

static visited_state *visited_find(uint64_t hash)
{
    for (size_t at = (size_t)(hash >> visited.shift);; at++) {
        const size_t place = at & (visited.size - 1);
        visited_state *s = &visited.piece[place / VISITED_PIECE][place % VISITED_PIECE];
        if (s->hash == 0 || s->hash == hash)
            return s;
    }
}

static void visited_make(int bits)
{
    visited.shift = 64 - bits;
    visited.size = (size_t)1 << bits;
    visited.piece = (visited_state **)calloc(visited_pieces(), sizeof *visited.piece);
    for (size_t i = 0; visited.piece != NULL && i < visited_pieces(); i++) {
        visited.piece[i] = (visited_state *)calloc(visited.size < VISITED_PIECE ? visited.size : VISITED_PIECE,
                                                   sizeof **visited.piece);
        if (visited.piece[i] == NULL)
            visited.piece = NULL;
    }
    if (visited.piece == NULL)
        abort(); /* a checker without memory has nothing to say */
}

static void visited_grow(void)
{
    const size_t size = visited.size, pieces = visited_pieces();
    visited_state **old = visited.piece;
    visited_make(size == 0 ? 16 : 64 - visited.shift + 1);
    for (size_t i = 0; i < pieces; i++) {
        for (size_t n = 0; n < VISITED_PIECE && n < size; n++)
            if (old[i][n].hash != 0)
                *visited_find(old[i][n].hash) = old[i][n];
        free(old[i]);
    }
    free(old);
}

/* The next search begins small: a table of the last one's size would lie in no cache. */
static void visited_clear(void)
{
    for (size_t i = 0; i < visited_pieces(); i++)
        free(visited.piece[i]);
    free(visited.piece);
    visited.piece = NULL;
    visited.size = visited.used = visited.ends = 0;
}

/* The state, if it has been searched with as much left; NULL: it has not, and from now on it has. */
static const visited_state *visited_before(uint64_t hash, int left)
{
    visited_state *s;
    if (4 * visited.used >= 3 * visited.size)
        visited_grow();
    s = visited_find(hash);
    if (s->hash != 0 && s->left >= left)
        return s;
    visited.used += s->hash == 0;
    s->hash = hash;
    s->left = left;
    s->windows = 0;
    return NULL;
}

#endif /* WEIR_MODEL_VISITED_H */
