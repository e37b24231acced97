/* tests/model/visited.h: the states that a search has been in, so that none is searched twice.
 *
 * Two executions that have come to the same state go on in the same ways. A thread's state is what it has read so far, for it does nothing by
 * chance; what it has read is named by the past of the store that it read. So the state of all is a hash of those histories, of the
 * words' modification orders, and of what the search may still spend. Executions that differ only in the order of steps that do not touch
 * each other have the same histories, and meet here: that is most of them (M. Musuvathi, S. Qadeer, "Partial-order reduction for
 * context-bounded state exploration", 2007, call it happens-before caching).
 *
 * A state that was reached with more preemptions left has been searched for more than one with fewer: the table keeps the most.
 * Hashes have 64 bits; among ten million states two share one in three of a million searches.
 */
#ifndef WEIR_MODEL_VISITED_H
#define WEIR_MODEL_VISITED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct visited {
    size_t size, used; /* a power of two */
    struct visited_state {
        uint64_t hash;
        int left;
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
    visited.size = visited.used = 0;
}

/* Whether the state has been searched with as much left; from now on it has. */
static bool visited_before(uint64_t hash, int left)
{
    struct visited_state *s;
    if (2 * visited.used >= visited.size)
        visited_grow();
    s = visited_find(hash |= 1);
    if (s->hash != 0 && s->left >= left)
        return true;
    visited.used += s->hash == 0;
    s->hash = hash;
    s->left = left;
    return false;
}

#endif /* WEIR_MODEL_VISITED_H */
