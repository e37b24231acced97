/* tests/model/moment.h: the begins and ends of calls, and which call came before which, for linear.h.
 *
 * Where nothing old was read, what ended at an earlier moment came before; where something was, only what the other knew of: C11 has no
 * other "before".
 */
#ifndef WEIR_MODEL_MOMENT_H
#define WEIR_MODEL_MOMENT_H

#include "platform.h"
#include "step.h"

enum { MOMENTS_MAX = 64, MOMENTS_OF_ONE = 16 };

static struct moments { /* all of it is of an execution */
    int used;
    unsigned char count[THREADS_MAX], place[THREADS_MAX][MOMENTS_OF_ONE];
    /* Hashes: of the calls that have ended, and of which of them had when others began, by either "before". */
    uint64_t ended, before_by_tick, before_by_clock;
    struct moment {
        int thread, number;
        bool ends;
        int16_t clock[THREADS_MAX];
    } moment[MOMENTS_MAX]; /* one after the other */
} moments;

static void moments_begin(void)
{
    memset(&moments, 0, offsetof(struct moments, moment));
}

static bool moments_nothing_old(void)
{
    return memory.stale == schedule.first_stale;
}

static uint64_t moment_name(int t, int number)
{
    return mix((uint64_t)t, (uint64_t)number);
}

/* A call begins that knows what `clock` says. */
static void moment_begins(uint64_t name, const int16_t *clock)
{
    uint64_t before = 0;
    for (int i = 0; i < moments.used; i++) {
        const struct moment *m = &moments.moment[i];
        if (m->ends && clock[m->thread] > m->clock[m->thread])
            before += moment_name(m->thread, m->number);
    }
    moments.before_by_clock += mix(name, before);
    moments.before_by_tick += mix(name, moments.ended);
}

/* A call begins as late, and ends as early, as it can: so there is one point between two of a thread, and none at the end. */
struct model_moment model_moment(int ends)
{
    struct model_moment m = {0, 0};
    if (!schedule.running)
        return m;
    SCHEDULE_ENTERED(ends);
    if (moments_nothing_old() && !ends) {
        schedule_step(CALLING, false);
        schedule_stepped(CALLING, false);
        schedule.thread[schedule.self].fresh = true;
    }
    const int self = schedule.self;
    int16_t *clock = memory.thread[self].now.clock;
    if (moments.used == MOMENTS_MAX || moments.count[self] == MOMENTS_OF_ONE) {
        schedule_fail("more calls than the model has room for");
        return m;
    }
    m.thread = (unsigned char)self;
    m.number = moments.count[self]++;
    const uint64_t name = moment_name(m.thread, m.number);
    struct moment *at = &moments.moment[moments.used];
    moments.place[self][m.number] = (unsigned char)moments.used++;
    at->thread = self;
    at->number = m.number;
    at->ends = ends != 0;
    memcpy(at->clock, clock, sizeof at->clock);
    schedule_note(name);
    if (ends) {
        clock[self]++;
        schedule_does(CALLING, false); /* where others began before, less is asked of them */
        moments.ended += name;
    } else {
        moment_begins(name, clock);
    }
    return m;
}

int model_tick(const struct model_moment *m)
{
    return moments.place[m->thread][m->number] + 1;
}

int model_before(const struct model_moment *end, const struct model_moment *begin)
{
    const int e = moments.place[end->thread][end->number], b = moments.place[begin->thread][begin->number];
    if (moments_nothing_old() || end->thread == begin->thread)
        return e < b;
    return moments.moment[b].clock[end->thread] > moments.moment[e].clock[end->thread];
}

#endif /* WEIR_MODEL_MOMENT_H */
