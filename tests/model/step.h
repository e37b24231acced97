/* tests/model/step.h: what comes before each step of a thread: a point at which another may go first, unless the search knows that nothing
 * new comes of it.
 *
 * What a search leaves out: whatever follows a state that it has been in (state.h, visited.h); preemptions before steps that commute with
 * all that the others do meanwhile (window.h); old values that a load could have read before (below); and points before steps that are about a word that
 * is not shared (shared.h). `--every-way` leaves out the last of these alone (and lets the same threads begin in their order, schedule.h); model.mk
 * compares the ends to which executions come with it and without.
 *
 * Old values
 *   A thread that is preempted before a load need not read there what was to be read before the others came: it could as well have been preempted
 *   behind the load, and have read it then, with fewer old values (the last value of then was not old).
 *
 *     T preempted before its load      U x = 1, T reads 0 (old), T r        the same, with one
 *     T preempted after it             T reads 0, U x = 1, T r              old value less
 *
 *   The load does nothing to others, so they do the same behind it. In three cases it is not so: a seq_cst load restricts what other seq_cst loads may read; a
 *   compare-and-swap that fails so late would have succeeded; and a step about every word (a heavy fence) concerns what the load has read.
 */
#ifndef WEIR_MODEL_STEP_H
#define WEIR_MODEL_STEP_H

#include "schedule.h"

_Static_assert((int)WINDOWS >= (int)THREADS_MAX, "each thread has a window");

/* Where the execution stands (state.h): by all its names; without which call came before which. */
static int state_names(bool point, uint64_t *name);
static uint64_t state_bare(bool point);

/* An exhaustive search that leaves out what it can; whether what happens now is new in it. */
static bool schedule_reduces(void)
{
    return choices.mode == CHOICE_ALL && schedule.stop_thread < 0 && !visited.every_way;
}

static bool schedule_searches(void)
{
    return schedule_reduces() && choices.at > 0 && choices_are_new();
}

/* For the comparison of two searches. The order of calls is no part of it: that others began before a call had ended, and did not meet it, is
 * left out by window.h, because it asks less of them. */
static void schedule_count_end(void)
{
    if (visited_before(state_bare(false) | 1, 0) == NULL)
        visited.ends++;
}

static void schedule_prune(bool point)
{
    const bool ended = !point && schedule_all_ended(), first = choices_are_new();
    if (choices.mode != CHOICE_ALL || schedule.stop_thread >= 0)
        return;
    if (ended && first && visited.counts_ends)
        schedule_count_end();
    if (visited.every_way)
        return;
    choose_here();
    if (!first)
        return;
    uint64_t name[STALE_MAX + 1];
    const int names = state_names(point, name), left = ended ? 0 : schedule.preemptions;
    const visited_state *seen = visited_before(name[0], left);
    if (seen == NULL) {
        struct window_level *l = window_now();
        l->state[l->states++] = name[0];
        for (int n = 1; n < names; n++)
            if (visited_before(name[n], left) == NULL)
                l->state[l->states++] = name[n];
        return;
    }
    if (seen->windows == 0) /* it is being searched: this execution has come back to where it was */
        return;
    windows_join(&window_now()->now, &window.kept[seen->windows - 1], ALL_WINDOWS);
    schedule.pruned = true;
    schedule_leave();
}

static void schedule_change_priority(void)
{
    for (int i = 0; i < CHANGES_MAX; i++)
        if (schedule.change[i] == schedule.steps)
            schedule.thread[schedule.self].priority = -i;
}

/* Comes back when the thread goes on. */
static void schedule_preempt(int t)
{
    const int self = schedule.self, made = memory.made;
    const long everything = schedule.everything;
    schedule.preemptions--;
    schedule.ticks -= !schedule_can_run(t);
    schedule_wake(t);
    schedule_switch(t);
    if (schedule.everything == everything)
        schedule.thread[self].since = made;
}

/* For a load, after its point: what was stored before that many others is left out. */
static int schedule_since(int order)
{
    return schedule_reduces() && order != __ATOMIC_SEQ_CST ? schedule.thread[schedule.self].since : 0;
}

static void schedule_offer(int about, bool concerns)
{
    int able[2 * THREADS_MAX], n = 0;
    if (schedule.preemptions == 0 || schedule_undisturbed())
        return;
    able[n++] = schedule.self;
    for (int t = 0; t < schedule.threads; t++)
        if (t != schedule.self && (schedule_can_run(t) || schedule_may_be_late(t)))
            able[n++] = t;
    if (n == 1)
        return;
    if (!concerns && choices.mode == CHOICE_ALL) {
        choose_nothing();
        return;
    }
    schedule_prune(true);
    schedule_change_priority();
    const int choice = schedule_choose(able, n, true);
    if (choice == 0 && about != CALLING) { /* behind a begin there is no such point */
        schedule.thread[schedule.self].went_on = choices.at;
        if (schedule_searches())
            window_before(schedule.self);
    }
    if (choice != 0)
        schedule_preempt(able[choice]);
}

static void schedule_count(void)
{
    if (++schedule.steps <= (schedule.stopped ? STEPS_STOPPED : STEPS_MAX) && !choices.too_long)
        return;
    if (schedule_undisturbed())
        schedule_leave(); /* it does not get to its step */
    schedule_fail(schedule.stopped ? "the others wait for ever for the suspended thread"
                                   : "no end: a thread spins for ever");
}

/* Before each atomic operation; n: the number of the word that it is about. A thread that has just begun, or has just come from another point, need not be
 * preempted: somebody else could have been chosen there. */
static void schedule_step(int n, bool writes)
{
    if (schedule.steps >= schedule.halt && choices_are_new())
        schedule_halt();
    thread *self = &schedule.thread[schedule.self];
    const bool fresh = self->fresh;
    const bool concerns = n < FIRST_WORD || shared_touch(n, schedule.self, writes);
    self->paused = self->fresh = false;
    schedule_note((uint64_t)n << 1 | writes); /* where it is in its program */
    if (memory.wrong != NULL)
        schedule_fail(memory.wrong);
    schedule_count();
    if (schedule.self == schedule.stop_thread && self->steps == schedule.stop_step)
        schedule_suspend();
    self->steps++;
    self->since = self->went_on = 0;
    schedule.everything += n == EVERYTHING;
    schedule_offer(n, concerns && !fresh);
}

/* The step was of this kind. */
static void schedule_stepped(int n, bool writes)
{
    const accesses a = access_of(shared.word[n].bit, writes);
    if ((n < FIRST_WORD || shared_is(n)) && schedule_searches())
        window_step(schedule.self, &a);
}

/* The running thread does what concerns others, but is no point. `to_come`: it matters whether they come before. */
static void schedule_does(int what, bool to_come)
{
    const accesses a = access_of(what, true);
    const int went_on = schedule.thread[schedule.self].went_on;
    if (!schedule_searches())
        return;
    window_access(schedule.self, &a);
    if (to_come && went_on > 0)
        window_more(went_on - 1, &a);
}

static void schedule_point(const void *address, bool writes)
{
    if (!schedule.running)
        return;
    const int n = shared_word(address);
    schedule_step(n, writes);
    schedule_stepped(n, writes);
}

/* For what may concern every word. */
static void schedule_point_everything(void)
{
    if (!schedule.running)
        return;
    schedule_step(EVERYTHING, true);
    schedule_stepped(EVERYTHING, true);
}

#endif /* WEIR_MODEL_STEP_H */
