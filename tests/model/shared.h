/* tests/model/shared.h: which words, and which pieces of stacks, are shared.
 *
 * A word that one thread alone touches, or that nobody writes, needs no point at which others may go first, and what nobody else has touched
 * of a stack needs no look for races. What is shared is found out by running, first with random schedules: it stays known from one execution to
 * the next, and when something turns out to be, the search begins anew with that knowledge (search.h).
 */
#ifndef WEIR_MODEL_SHARED_H
#define WEIR_MODEL_SHARED_H

#include "fiber.h"
#include "memory.h"
#include "window.h"

enum {
    SHARED_TABLE = 1 << 10,
    SHARED_MAX = SHARED_TABLE / 2,
    SHARED_PIECES = 1 << 12,
};

static struct shared {
    int words, bits;
    struct shared_word {
        const void *address;
        unsigned threads; /* bits: which have touched it, in any execution of this search */
        bool written;
        int bit; /* for window.h */
    } word[SHARED_MAX];
    uint16_t table[SHARED_TABLE]; /* their numbers; 0: free */
    bool discovered;              /* something new, in this execution */
    /* Pieces of stacks, of four bytes, that other threads than the owner have touched. */
    uint32_t foreign[THREADS_MAX][FIBER_STACK / 4 / 32];
    int pieces; /* the same as a list */
    struct shared_piece {
        int owner, at;
    } piece[SHARED_PIECES];
} shared;

/* Before a search. */
static void shared_forget(void)
{
    memset(&shared, 0, sizeof shared);
    shared.words = shared.bits = FIRST_WORD;
    shared.word[EVERYTHING].bit = EVERYTHING;
    shared.word[CALLING].bit = CALLING;
    shared.word[OUTSIDE].bit = OUTSIDE;
}

/* The number of a word. */
static int shared_word(const void *address)
{
    size_t at = (size_t)(((uintptr_t)address >> 2) * 0x9e3779b97f4a7c15U >> 54);
    while (shared.table[at] != 0 && shared.word[shared.table[at]].address != address)
        at = (at + 1) % SHARED_TABLE;
    if (shared.table[at] != 0)
        return shared.table[at];
    if (shared.words == SHARED_MAX) {
        memory.wrong = "more atomic words than the model has room for";
        return EVERYTHING;
    }
    shared.table[at] = (uint16_t)shared.words;
    shared.word[shared.words].address = address;
    return shared.words++;
}

static bool shared_is(int n)
{
    const struct shared_word *s = &shared.word[n];
    return s->written && (s->threads & (s->threads - 1)) != 0; /* more than one bit */
}

/* A thread touches a word. Whether it is shared: several have, one of them by writing. */
static bool shared_touch(int n, int thread, bool writes)
{
    struct shared_word *s = &shared.word[n];
    const bool was = shared_is(n);
    s->threads |= 1U << thread;
    s->written = s->written || writes;
    const bool is = shared_is(n);
    if (is && !was) {
        shared.discovered = true; /* accesses so far were no points */
        s->bit = FIRST_WORD + (shared.bits++ - FIRST_WORD) % (64 - FIRST_WORD);
    }
    return is;
}

/* A thread writes every word in [begin, end). */
static void shared_touch_all(const void *begin, const void *end, int thread)
{
    for (int i = FIRST_WORD; i < shared.words; i++)
        if ((uintptr_t)shared.word[i].address >= (uintptr_t)begin && (uintptr_t)shared.word[i].address < (uintptr_t)end)
            (void)shared_touch(i, thread, true);
}

/* A thread touches a piece of a stack: whether others than its owner ever have. */
static bool shared_piece(int owner, size_t at, int thread)
{
    uint32_t *bits = &shared.foreign[owner][at / 4 / 32], bit = 1U << at / 4 % 32;
    if (owner == thread)
        return (*bits & bit) != 0;
    if ((*bits & bit) != 0)
        return true;
    shared.discovered = true;
    *bits |= bit;
    if (shared.pieces == SHARED_PIECES)
        memory.wrong = "more of stacks is shared than the model has room for";
    else
        shared.piece[shared.pieces++] = (struct shared_piece){owner, (int)(at / 4)};
    return true;
}

#endif /* WEIR_MODEL_SHARED_H */
