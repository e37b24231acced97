/* tests/model/window.h: what others may do while a thread stands still: whether it is worth a preemption.
 *
 * To preempt a thread before a step changes something only if another does, before the thread goes on, what does not commute with that
 * step. Otherwise the thread might as well have been preempted after it, before its next one:
 *
 *     T preempted before its step s       U a, U b, T s, T r         the same, if neither a nor b
 *     T preempted after it                T s, U a, U b, T r         conflicts with s
 *
 * Whether anybody could come to such an a or b is seen where the thread goes on and is preempted behind s, or cannot go on there, and that has been
 * searched by then: to go on is the first choice. So the search keeps, from each choice on, what may happen in each thread's window: the accesses
 * of the others up to the thread's next step. Where to go on has been searched, and nothing in the window behind the step conflicts with
 * it, the other choices are left out; the window before the step is then the one behind it. Where the search comes to a state that it has
 * been in (visited.h), the windows from there on are known: they are kept with it.
 *
 * Left out with it: that a call of others begins before the end of the thread's own, which it has then not met. Who begins later has more
 * to answer for.
 *
 * This is what dynamic partial-order reduction asks (C. Flanagan, P. Godefroid, 2005; for searches that know states that they have been in: Y. Yang,
 * X. Chen, G. Gopalakrishnan, R. Kirby, "Efficient stateful dynamic partial order reduction", 2008), asked of preemptions alone. Who runs where a thread
 * cannot go on stays free, so an execution that stands for others has no more preemptions than they; bounds are what makes it difficult
 * elsewhere (K. Coons, M. Musuvathi, K. McKinley, "Bounded partial-order reduction", 2013).
 */
#ifndef WEIR_MODEL_WINDOW_H
#define WEIR_MODEL_WINDOW_H

#include "choice.h"
#include "visited.h"

enum { WINDOWS = 8 }; /* one for each thread that there may be */

/* Bits of words (shared.h). */
typedef struct accesses {
    uint64_t reads, writes;
} accesses;

/* The bits of no word: */
enum {
    EVERYTHING = 0, /* for steps that are not about one, */
    CALLING = 1,    /* for the begins and ends of calls, */
    OUTSIDE = 2,    /* for what the model does not see (model_goes_by) */
    FIRST_WORD = 3
};

typedef struct windows {
    accesses of[WINDOWS]; /* by others than this thread, before it goes on */
} windows;

static struct window_search {
    unsigned open; /* threads (bits) that have not gone on since the last choice */
    struct window_level {
        windows now, all; /* behind the choice as it is; as it was, too */
        unsigned open;    /* before it */
        /* Whether others come before a step of `thread`; 0: none does. */
        bool preempts, began; /* began: the step has been done */
        int thread;
        accesses step; /* and what else the thread does before its next one */
        int states;
        uint64_t state[STALE_MAX + 1]; /* the names of one that was new here (step.h) */
    } level[CHOICES_MAX];
    /* What is kept with states: each once. */
    windows *kept;
    unsigned used, room, *table, table_size;
} window;

enum { ALL_WINDOWS = (1 << WINDOWS) - 1 };

static accesses access_of(int bit, bool writes)
{
    const accesses a = {writes ? 0 : (uint64_t)1 << bit, writes ? (uint64_t)1 << bit : 0};
    return a;
}

static void accesses_join(accesses *into, const accesses *from)
{
    into->reads |= from->reads;
    into->writes |= from->writes;
}

static bool accesses_conflict(const accesses *a, const accesses *b)
{
    const uint64_t any_a = a->reads | a->writes, any_b = b->reads | b->writes;
    const uint64_t everything = (uint64_t)1 << EVERYTHING;
    if (((any_a | any_b) & everything) != 0)
        return any_a != 0 && any_b != 0;
    return ((a->writes & any_b) | (b->writes & any_a)) != 0;
}

static void windows_join(windows *into, const windows *from, unsigned open)
{
    for (int t = 0; t < WINDOWS; t++)
        if ((open >> t & 1) != 0)
            accesses_join(&into->of[t], &from->of[t]);
}

/* ---- choices (choice.h) ---- */

/* A choice is made for the first time. */
static void window_begin(int at)
{
    struct window_level *l = &window.level[at];
    memset(&l->now, 0, sizeof l->now);
    memset(&l->all, 0, sizeof l->all);
    l->open = window.open;
    l->preempts = false;
    l->states = 0;
}

/* It has been made, as never before. */
static void window_chosen(int at)
{
    window.level[at].began = false;
    window.open = ALL_WINDOWS;
}

/* All has been searched that is behind a choice as it is: whether its other ways are worth it. */
static bool window_next(int at)
{
    struct window_level *l = &window.level[at];
    const bool done = l->preempts && choices.made[at] == 0;
    accesses *after = &l->now.of[l->thread];
    const bool worth = !done || accesses_conflict(after, &l->step);
    if (done && worth)
        memset(after, 0, sizeof *after); /* the step ends that thread's window */
    windows_join(&l->all, &l->now, ALL_WINDOWS);
    memset(&l->now, 0, sizeof l->now);
    return worth;
}

/* ---- what is kept ---- */

static unsigned *window_place(const windows *w)
{
    uint64_t h = 0;
    for (int t = 0; t < WINDOWS; t++)
        h = mix(mix(h, w->of[t].reads), w->of[t].writes);
    unsigned at = (unsigned)h & (window.table_size - 1);
    while (window.table[at] != 0 && memcmp(&window.kept[window.table[at] - 1], w, sizeof *w) != 0)
        at = (at + 1) & (window.table_size - 1);
    return &window.table[at];
}

static void window_grow(void)
{
    window.room = window.room == 0 ? 1 << 10 : 2 * window.room;
    window.table_size = 4 * window.room;
    window.kept = (windows *)realloc(window.kept, window.room * sizeof *window.kept);
    free(window.table);
    window.table = (unsigned *)calloc(window.table_size, sizeof *window.table);
    if (window.kept == NULL || window.table == NULL)
        abort(); /* as in visited.h */
    for (unsigned i = 0; i < window.used; i++)
        *window_place(&window.kept[i]) = i + 1;
}

static unsigned window_keep(const windows *w)
{
    if (window.used == window.room)
        window_grow();
    unsigned *place = window_place(w);
    if (*place == 0) {
        window.kept[window.used++] = *w;
        *place = window.used;
    }
    return *place;
}

/* The last way of a choice has been searched. */
static void window_end(int at)
{
    const struct window_level *l = &window.level[at];
    for (int n = 0; n < l->states; n++)
        visited_find(l->state[n])->windows = window_keep(&l->all);
    if (at > 0)
        windows_join(&window.level[at - 1].now, &l->all, l->open);
}

static void window_forget(void)
{
    free(window.kept);
    free(window.table);
    window.kept = NULL;
    window.table = NULL;
    window.used = window.room = window.table_size = 0;
}

/* ---- steps (schedule.h) ---- */

static struct window_level *window_now(void)
{
    return &window.level[choices.at - 1];
}

/* The choice that was just made for the first time is whether others come before a step of this thread. */
static void window_before(int thread)
{
    struct window_level *l = window_now();
    l->preempts = true;
    l->thread = thread;
    l->step.reads = l->step.writes = 0;
}

/* What a thread does, for the windows of others. */
static void window_access(int thread, const accesses *a)
{
    struct window_level *l = window_now();
    for (int t = 0; t < WINDOWS; t++)
        if (t != thread && (window.open >> t & 1) != 0)
            accesses_join(&l->now.of[t], a);
}

/* A step: the window of its thread ends, or begins if others could have come before it. */
static void window_step(int thread, const accesses *a)
{
    struct window_level *l = window_now();
    window_access(thread, a);
    if (l->preempts && !l->began && l->thread == thread && choices.made[choices.at - 1] == 0) {
        l->began = true;
        l->step = *a;
    } else {
        window.open &= ~(1U << thread);
    }
}

/* A thread that was not preempted before its last step, by the choice at this place, does more before its next one. */
static void window_more(int at, const accesses *a)
{
    accesses_join(&window.level[at].step, a);
}

#endif /* WEIR_MODEL_WINDOW_H */
