/* tests/model/visited.h: the states that a search has been in (state.h), so that none is searched twice.
 *
 * A state that was reached with more preemptions left has been searched for more than one with fewer: the table keeps the most.
 * Hashes have 64 bits; among ten million states two share one in three of a million searches.
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

static struct visited {
    bool every_way;   /* not wanted: nothing is left out */
    bool counts_ends; /* in how many states executions have ended: */
    size_t ends;
    size_t size, used; /* a power of two */
    struct visited_state {
        uint64_t hash;
        int left;
        unsigned windows; /* what may happen from here on (window.h) */
    } * state;
} visited;

static struct visited_state *visited_find(uint64_t hash)
{
    size_t at = (size_t)hash & (visited.size - 1);
    while (visited.state[at].hash != 0 && visited.state[at].hash != hash)
        at = (at + 1) & (visited.size - 1);
    return &visited.state[at];
}

static void visited_grow(void)
{
    struct visited_state *old = visited.state;
    const size_t size = visited.size;
    visited.size = size == 0 ? 1 << 16 : 2 * size;
    visited.state = (struct visited_state *)calloc(visited.size, sizeof *visited.state);
    if (visited.state == NULL)
        abort(); /* a checker without memory has nothing to say */
    for (size_t i = 0; i < size; i++)
        if (old[i].hash != 0)
            *visited_find(old[i].hash) = old[i];
    free(old);
}

/* The next search begins small: a table of the last one's size would lie in no cache. */
static void visited_clear(void)
{
    free(visited.state);
    visited.state = NULL;
    visited.size = visited.used = visited.ends = 0;
}

/* The state, if it has been searched with as much left; NULL: it has not, and from now on it has. */
static const struct visited_state *visited_before(uint64_t hash, int left)
{
    struct visited_state *s;
    if (2 * visited.used >= visited.size)
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
