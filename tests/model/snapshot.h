/* tests/model/snapshot.h: an execution as it stood at some step, so that those that begin alike need not all begin at the begin.
 *
 * An exhaustive search goes back to its last choice that has an alternative, which is nearly always a few steps before the end. So every
 * few steps that are new it keeps all that an execution consists of: the checker's own state, the stacks of the fibers, the memory that they have
 * allocated, and the variables of the program, which lie between the linker's symbols and are what remains there without the checker's own.
 * The next execution goes on from the last of those that the altered choice has not touched, and repeats the few steps from there on. They are
 * some 5 KB each. (VeriSoft and its kin run again from the begin, because a process cannot be copied so cheaply.)
 *
 * What a scenario keeps elsewhere (malloc, files) would not be taken back; none does. Where fibers are ucontext nobody knows how much of a stack
 * is in use, and executions begin at the begin. Either way the same ones are made, in the same order; model.mk compares.
 */
#ifndef WEIR_MODEL_SNAPSHOT_H
#define WEIR_MODEL_SNAPSHOT_H

#include "state.h"

#include <limits.h>

enum { SNAPSHOT_EVERY = 10, SNAPSHOTS_MAX = STEPS_MAX / SNAPSHOT_EVERY + 2 };

typedef struct snapshot {
    int at, full_length; /* choices */
    int inserts, words, cells;
    size_t used, room;
    unsigned char *bytes;
} snapshot;

static struct snapshots {
    bool none, on; /* not wanted; kept in this search */
    int used;
    snapshot one[SNAPSHOTS_MAX];
} snapshots;

/* Takes a snapshot in, or gives it back: in the same order, and what says how much there is of something comes before it. */
static void snapshot_move(snapshot *s, bool back, void *p, size_t size)
{
    if (!back && s->used + size > s->room) {
        s->room = 2 * (s->used + size);
        s->bytes = (unsigned char *)realloc(s->bytes, s->room);
        if (s->bytes == NULL)
            abort(); /* as in visited.h */
    }
    if (back)
        memcpy(p, s->bytes + s->used, size);
    else
        memcpy(s->bytes + s->used, p, size);
    s->used += size;
}

static void snapshot_move_all(snapshot *s, bool back)
{
    s->used = 0;
    snapshot_move(s, back, &schedule, offsetof(struct schedule, stack));
    for (int t = 0; t < schedule.threads; t++) {
        unsigned char *top = fiber_top(&schedule.thread[t].fiber);
        snapshot_move(s, back, top, (size_t)(schedule.stack[t] + FIBER_STACK - top));
    }
    snapshot_move(s, back, &memory, offsetof(struct memory, thread));
    snapshot_move(s, back, memory.thread, (size_t)schedule.threads * sizeof *memory.thread);
    snapshot_move(s, back, &memory.thread[MAIN], sizeof *memory.thread);
    snapshot_move(s, back, memory.word, (size_t)s->words * sizeof *memory.word);
    snapshot_move(s, back, plain.cell, (size_t)s->cells * sizeof *plain.cell);
    snapshot_move(s, back, &moments, offsetof(struct moments, moment));
    snapshot_move(s, back, moments.moment, (size_t)moments.used * sizeof *moments.moment);
    snapshot_move(s, back, &machine, offsetof(struct machine, block));
    snapshot_move(s, back, machine.block, (size_t)machine.blocks * sizeof *machine.block);
    snapshot_move(s, back, machine.arena, machine.used);
    for (int i = 0; i < program.pieces; i++)
        snapshot_move(s, back, program.piece[i].begin, program.piece[i].size);
}

/* Of an execution that halts. */
static void snapshot_take(void)
{
    snapshot *s = &snapshots.one[snapshots.used++];
    s->at = choices.at;
    s->full_length = choices.full_length;
    s->inserts = memory.inserts;
    s->words = memory.words;
    s->cells = plain.used;
    schedule.halt = schedule.steps + SNAPSHOT_EVERY;
    snapshot_move_all(s, false);
}

/* Before an execution: the last snapshot that has no part in the choice that is now another. false: there is none. */
static bool snapshot_return(void)
{
    while (snapshots.used > 0 && snapshots.one[snapshots.used - 1].at >= choices.length)
        snapshots.used--;
    if (snapshots.used == 0)
        return false;
    snapshot *s = &snapshots.one[snapshots.used - 1];
    const size_t used = machine.used;
    memory_uninsert(s->inserts);
    memory_forget(s->words);
    plain_forget(s->cells);
    snapshot_move_all(s, true);
    if (used > machine.used)
        memset(machine.arena + machine.used, 0xa5, used - machine.used); /* as in search_begin */
    choices.at = s->at;
    choices.full_length = s->full_length;
    choices.too_long = false;
    return true;
}

/* Before a search; `keeps`: it goes through all executions. */
static void snapshots_begin(bool keeps)
{
    snapshots.used = 0;
    snapshots.on = keeps && program.pieces > 0 && FIBER_TOP_IS_KNOWN && !snapshots.none;
}

#endif /* WEIR_MODEL_SNAPSHOT_H */
