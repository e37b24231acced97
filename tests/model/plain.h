/* tests/model/plain.h: data races. Two accesses to the same plain bytes, one of them a write, and neither before the other.
 *
 * For each piece of memory the last write is kept, and each thread's last read, as times of the vector clocks (memory.h). An access
 * that does not know the time of a conflicting one races with it, in this execution or not at all: no schedule has to bring the two
 * together (C. Flanagan, S. Freund, "FastTrack", 2009).
 *
 * A piece is four bytes, or a smaller access by itself: neighbours within a word are told apart, but a byte and the word around it are not seen
 * to overlap.
 *
 * Accesses come from the copies of payloads (platform.h), from MODEL_READ and MODEL_WRITE, and, when a scenario is compiled with
 * -fsanitize=thread, from every load and store in it: the library's own structs too. The functions that the compiler calls then are at the
 * end; the sanitizer's own library is not used.
 */
#ifndef WEIR_MODEL_PLAIN_H
#define WEIR_MODEL_PLAIN_H

#include "memory.h"

enum { PLAIN_TABLE = 1 << 13, PLAIN_MAX = PLAIN_TABLE * 3 / 4 };

typedef struct plain_cell {
    int16_t write, read[THREADS_MAX];
    uint16_t writer, at; /* at: where the table names it */
} plain_cell;

static struct plain {
    bool all_reads; /* the program says what it reads: it was compiled so */
    int used;
    plain_cell cell[PLAIN_MAX];
    struct plain_entry {
        uint32_t execution;
        int cell;
        uintptr_t key;
    } table[PLAIN_TABLE];
} plain;

static plain_cell *plain_find(uintptr_t key)
{
    size_t at = (size_t)(key * 0x9e3779b97f4a7c15U >> 51);
    struct plain_entry *e = &plain.table[at];
    while (e->execution == memory.execution && e->key != key)
        e = &plain.table[at = (at + 1) % PLAIN_TABLE];
    if (e->execution == memory.execution)
        return &plain.cell[e->cell];
    if (plain.used == PLAIN_MAX)
        return NULL;
    *e = (struct plain_entry){memory.execution, plain.used, key};
    plain_cell *c = &plain.cell[plain.used++];
    memset(c, 0, sizeof *c);
    c->at = (uint16_t)at;
    return c;
}

/* Back to the first `used` pieces. The newest goes first, so that none of those that stay was put where it is because of one that goes. */
static void plain_forget(int used)
{
    while (plain.used > used)
        plain.table[plain.cell[--plain.used].at].execution = memory.execution - 1;
}

/* The time of a read that comes now: later than the thread's last write, so that a fence for stores alone leaves it out. */
static int16_t plain_now(int t)
{
    memory_thread *x = &memory.thread[t];
    x->now.clock[t] = (int16_t)(x->now.clock[t] + (x->wrote == x->now.clock[t]));
    return x->now.clock[t];
}

static void plain_piece(int t, uintptr_t key, bool writes, int16_t at)
{
    const int16_t *now = memory.thread[t].now.clock;
    plain_cell *c = plain_find(key);
    if (c == NULL) {
        memory.wrong = "more plain memory than the model has room for";
        return;
    }
    if (c->write > now[c->writer] && c->writer != t)
        memory.wrong = writes ? "data race: two writes" : "data race: a read after a write";
    if (!writes) {
        c->read[t] = at;
        return;
    }
    memory.thread[t].wrote = at;
    for (int other = 0; other < THREADS_MAX; other++)
        if (other != t && c->read[other] > now[other])
            memory.wrong = "data race: a write after a read";
    c->writer = (uint16_t)t;
    c->write = at;
}

static void plain_access(int t, const void *address, size_t size, bool writes, int16_t when)
{
    const uintptr_t begin = (uintptr_t)address;
    if (size < 4) {
        plain_piece(t, begin * 4 + size, writes,
                    when); /* never the number of a whole word: those are multiples of 16 */
        return;
    }
    for (uintptr_t at = begin & ~(uintptr_t)3; at < begin + size; at += 4)
        plain_piece(t, at * 4, writes, when);
}

#endif /* WEIR_MODEL_PLAIN_H */
