/* tests/model/schedule.h: who runs next.
 *
 * Threads take turns at their atomic operations on words that they share (shared.h): between two of them a thread does what no other can see. Before each one the scheduler may
 * let another thread go first; such a preemption is a choice, and their number is bounded (M. Musuvathi, S. Qadeer, "Iterative context
 * bounding", 2007: nearly all known bugs need two). Where a thread cannot go on (it sleeps, it has ended) or says that it waits (a pause in
 * a spin loop), a switch is free.
 *
 * A thread that pauses and has seen nothing new since its last pause would see the same again: it is left out until another thread has
 * written, or nobody else can run. The comparison is with the number of writes at the start of its turn of the loop, not with that at
 * the pause: what was written in between may not have been looked at.
 *
 * A sleeper on a futex is woken by a wake; by its deadline, which may come at any time `ticks` times, and otherwise when nobody can run; or,
 * `spurious` times, for no reason, which is also what a signal looks like (EINTR).
 *
 * PCT schedules (S. Burckhardt, P. Kothari, M. Musuvathi, S. Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding
 * bugs", 2010): the thread of highest priority runs, and at a few random steps it gets the lowest.
 */
#ifndef WEIR_MODEL_SCHEDULE_H
#define WEIR_MODEL_SCHEDULE_H

#include "fiber.h"
#include "plain.h"
#include "platform.h"
#include "shared.h"
#include "window.h"

#include <stdio.h>

enum thread_state { READY, QUIET, ASLEEP, JOINING, STOPPED, ENDED };

typedef struct thread {
    fiber fiber;
    void (*body)(void);
    void *(*fn)(void *); /* of one that the program has started itself */
    void *arg;
    const unsigned char *top; /* of its stack, without the checker's own functions */
    enum thread_state state;
    int steps;        /* atomic operations */
    uint64_t history; /* a hash of what it has read, and of its steps, since it entered (state.h) */
    long seen, own;   /* writes of others at the begin of its turn of a loop; its own writes */
    bool read_old;    /* in that turn: so the next one may differ although nobody writes */
    bool paused;      /* nothing since: one more pause is the same pause */
    bool begun;       /* at all */
    bool fresh;       /* nothing since it began, or since a point */
    int since;   /* stores that there were when it was preempted before its last step; 0: it was not, or see step.h */
    int went_on; /* the choice, counted from 1, that did not preempt it before its last step; 0: there was none */
    const void *sleeps_on;
    int joins; /* the thread whose end it awaits */
    int64_t deadline;
    bool woken; /* by a wake; otherwise time was over, or nothing */
    int priority;
} thread;

enum {
    STEPS_MAX = 5000,
    STEPS_STOPPED = 600,
    CHANGES_MAX = 4,
    STACK_CLEAN = 512,
    MAIN = THREADS_MAX - 1 /* its place in memory.h */
};

static struct schedule {
    /* Of an execution: what a snapshot holds. */
    int threads, self; /* self: who runs; `threads` when nobody does */
    thread thread[THREADS_MAX];
    bool running; /* the threads; otherwise setup or finish */
    int preemptions, spurious, ticks, first_stale;
    long writes, steps, idle; /* idle: how often nobody could run, since the last write */
    long everything;          /* steps about every word */
    int64_t now;
    const char *wrong;
    bool pruned, stopped;
    bool halts; /* the running thread stands still for a snapshot; */
    long halt;  /* it will, at the first step from this one on that is new */

    /* Of a search, and of all. */
    unsigned char stack[THREADS_MAX][FIBER_STACK] __attribute__((aligned(64)));
    fiber main;
    int stop_thread, stop_step;        /* suspended for ever before that step; -1: none */
    long longest, change[CHANGES_MAX]; /* PCT: steps of the longest execution; those at which priorities change */
} schedule;

/* First in what the program calls. On the way back, what was below its frames is gone: where its next function sets nothing it always finds the same. */
#define SCHEDULE_WIPES()                                                                                               \
    __attribute__((cleanup(schedule_wipe))) bool schedule_wipes = true;                                                \
    (void)schedule_wipes
__attribute__((noinline)) static void schedule_wipe(const bool *wipes)
{
    char below[STACK_CLEAN];
    size_t size = sizeof below;
    (void)wipes;
    __asm__("" : "+r"(size)); /* or gcc, which knows it, writes `rep stos`: a tenth of a search */
    memset(below, 0, size);
    __asm__ volatile("" : : "r"(below) : "memory");
}

/* Where others may go first: beyond this lies nothing of the running thread's but the checker's own. `with`: all that the program has given it, but for
 * the word, which the step says: a compiler may share one call among several places. What came before stands on the stack (state.h), so the thread's
 * history begins here. */
#define SCHEDULE_ENTERED(with)                                                                                         \
    SCHEDULE_WIPES();                                                                                                  \
    schedule_entered((const unsigned char *)__builtin_frame_address(0), mix((uintptr_t) __func__, (uint64_t)(with)))
static inline void schedule_entered(const unsigned char *top, uint64_t with)
{
    thread *self = &schedule.thread[schedule.self];
    self->top = top;
    if (model_stacks_tell)
        self->history = with;
}

static void schedule_leave(void)
{
    fiber nobody;
    fiber_swap(&nobody, &schedule.main);
}

/* The running thread stands still, and goes on when main switches to it. */
static void schedule_halt(void)
{
    schedule.halts = true;
    fiber_swap(&schedule.thread[schedule.self].fiber, &schedule.main);
}

/* This execution ends here; its threads are left where they stand. */
static void schedule_fail(const char *why)
{
    if (schedule.wrong == NULL)
        schedule.wrong = why;
    if (schedule.running)
        schedule_leave();
}

static void schedule_note(uint64_t what)
{
    thread *self = &schedule.thread[schedule.self];
    if (schedule.running)
        self->history = mix(self->history, what);
}

/* Threads with the same body begin in their order: nothing tells them apart before (model.h), so any other order is the same with other names
 * (C. Norris Ip, D. Dill, "Better verification through symmetry", 1996). */
static bool schedule_has_its_turn(int t)
{
    const thread *x = &schedule.thread[t];
    for (int u = 0; u < t && !x->begun && x->body != NULL; u++)
        if (schedule.thread[u].body == x->body && !schedule.thread[u].begun)
            return false;
    return true;
}

static bool schedule_can_run(int t)
{
    const thread *x = &schedule.thread[t];
    switch (x->state) {
    case READY: return schedule_has_its_turn(t);
    case QUIET: return x->seen != schedule.writes - x->own || x->read_old;
    case ASLEEP: return x->deadline <= schedule.now;
    case JOINING: return schedule.thread[x->joins].state == ENDED;
    default: return false;
    }
}

/* Whether the point in time that it waits for may come at any moment. */
static bool schedule_may_be_late(int t)
{
    return schedule.ticks > 0 && schedule.thread[t].state == ASLEEP && schedule.thread[t].deadline != INT64_MAX &&
           schedule.thread[t].deadline > schedule.now;
}

static bool schedule_all_ended(void)
{
    for (int t = 0; t < schedule.threads; t++)
        if (schedule.thread[t].state != ENDED && schedule.thread[t].state != STOPPED)
            return false;
    return true;
}

/* Before a choice of who runs: ends the execution if all that could follow has been seen (step.h). `point`: the running thread could go on. */
static void schedule_prune(bool point);

/* Whether an access to plain memory may concern another thread: all but those to one's own stack that nobody else has ever touched. */
static bool schedule_concerns(const void *p)
{
    const size_t at = (uintptr_t)p - (uintptr_t)schedule.stack[0];
    return at >= sizeof schedule.stack || shared_piece((int)(at / FIBER_STACK), at % FIBER_STACK, schedule.self);
}

static void schedule_switch(int t)
{
    const int from = schedule.self;
    if (t == from)
        return;
    schedule.self = t;
    fiber_swap(from == schedule.threads ? &schedule.main : &schedule.thread[from].fiber, &schedule.thread[t].fiber);
}

static void schedule_wake(int t)
{
    thread *x = &schedule.thread[t];
    if (x->state == ASLEEP && !x->woken && x->deadline != INT64_MAX && schedule.now < x->deadline)
        schedule.now = x->deadline;
    x->state = READY;
}

/* Nobody can run: whoever waits for a point in time gets it; failing that, whoever spins goes on. THREADS_MAX: nobody can, ever. */
static int schedule_last_resort(void)
{
    int choice = THREADS_MAX, n = 0, sleepers[THREADS_MAX];
    for (int t = schedule.threads - 1; t >= 0; t--)
        if (schedule.thread[t].state == QUIET)
            choice = t;
    if (choice != THREADS_MAX && ++schedule.idle % 8 != 0)
        return choice;
    for (int t = 0; t < schedule.threads; t++)
        if (schedule.thread[t].state == ASLEEP && schedule.thread[t].deadline != INT64_MAX)
            sleepers[n++] = t;
    if (n > 0)
        return sleepers[choose(n)];
    if (choice != THREADS_MAX)
        schedule.now += 1000; /* a spinner may be waiting for a time */
    return choice;
}

/* Whether a thread is to be suspended and has not got there: until then it has its way. */
static bool schedule_undisturbed(void)
{
    return schedule.stop_thread >= 0 && !schedule.stopped;
}

/* Which of the able threads goes on. */
static int schedule_choose(const int *able, int n, bool rarely)
{
    int best = 0;
    if (choices.mode != CHOICE_PCT)
        return rarely ? choose_rarely(n) : choose(n);
    for (int i = 1; i < n; i++)
        if (schedule.thread[able[i]].priority > schedule.thread[able[best]].priority)
            best = i;
    return choose_wish(n, best);
}

/* The running thread cannot go on, or says that it waits. */
static void schedule_next(void)
{
    int able[3 * THREADS_MAX], n = 0, t;
    schedule_prune(false);
    for (int i = 1; i <= schedule.threads; i++) { /* those behind it first, itself last; at the begin, the first */
        t = (schedule.self + i + (schedule.self == schedule.threads ? -1 : 0)) % schedule.threads;
        if (schedule_can_run(t))
            able[n++] = t;
    }
    if (schedule_undisturbed() && schedule_can_run(schedule.stop_thread)) {
        able[0] = schedule.stop_thread;
        n = 1;
    }
    const int others = n;
    for (t = 0; t < schedule.threads && others > 0; t++)
        if (schedule_may_be_late(t))
            able[n++] = t;
    const int late = n;
    for (t = 0; t < schedule.threads && others > 0 && schedule.spurious > 0; t++)
        if (schedule.thread[t].state == ASLEEP)
            able[n++] = t;
    int choice = n > 0 ? schedule_choose(able, n, false) : -1;
    t = choice >= 0 ? able[choice] : schedule_last_resort();
    if (t == THREADS_MAX) {
        if (!schedule_all_ended() && !schedule_undisturbed())
            schedule_fail(schedule.stopped ? "the others cannot go on without the suspended thread"
                                           : "deadlock: nobody can go on");
        schedule_leave();
    }
    schedule.spurious -= choice >= late;
    schedule.ticks -= choice >= others && choice < late;
    if (choice < late)
        schedule_wake(t);
    schedule.thread[t].state = READY;
    schedule_switch(t);
}

/* The running thread stops for ever. */
static void schedule_suspend(void)
{
    schedule.stopped = true;
    schedule.thread[schedule.self].state = STOPPED;
    schedule_next();
}

static void schedule_thread_main(void)
{
    thread *self = &schedule.thread[schedule.self];
    self->begun = true;
    schedule_wipe(NULL);
    if (self->body != NULL)
        self->body();
    else
        (void)self->fn(self->arg);
    schedule.writes++; /* whoever waits for the end may go on */
    schedule.thread[schedule.self].state = ENDED;
    schedule_next();
}

/* Starting a thread synchronizes with its begin. */
static void schedule_prepare(int t, int parent)
{
    thread *x = &schedule.thread[t];
    x->state = READY;
    x->top = schedule.stack[t] + FIBER_STACK;
    x->steps = 0;
    x->history = (uint64_t)t;
    x->seen = -1;
    x->own = 0;
    x->read_old = x->paused = x->begun = x->woken = false;
    x->fresh = true;
    x->since = 0;
    x->went_on = 0;
    x->sleeps_on = NULL;
    x->priority = 1 + (choices.mode == CHOICE_PCT ? (int)(choice_draw() % 100) : 0);
    fiber_prepare(&x->fiber, schedule.stack[t], schedule_thread_main);
    memset(&memory.thread[t], 0, sizeof *memory.thread);
    memory.thread[t].now = memory.thread[parent].now;
    memory.thread[t].now.clock[t] = 1;
    memory.thread[parent].now.clock[parent]++;
}

/* Runs the bodies until all have come to their end, or one halts. */
static void schedule_begin(void)
{
    for (int i = 0; i < CHANGES_MAX; i++)
        schedule.change[i] = choices.mode == CHOICE_PCT ? (long)(choice_draw() % (uint64_t)(schedule.longest + 1)) : -1;
    for (int t = 0; t < schedule.threads; t++)
        schedule_prepare(t, MAIN);
    schedule.self = schedule.threads;
    schedule.running = true;
    if (schedule.threads > 0)
        schedule_next(); /* comes back by schedule_leave, or schedule_halt */
}

/* The same, from a halt on. */
static void schedule_go_on(void)
{
    schedule.halts = false;
    fiber_swap(&schedule.main, &schedule.thread[schedule.self].fiber);
}

static void schedule_end(void)
{
    schedule.running = false;
    if (schedule.longest < schedule.steps)
        schedule.longest = schedule.steps;
    schedule.self = schedule.threads;
    for (int t = 0; t < schedule.threads; t++)
        view_join(&memory.thread[MAIN].now, &memory.thread[t].now);
}

#endif /* WEIR_MODEL_SCHEDULE_H */
