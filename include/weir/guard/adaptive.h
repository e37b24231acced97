/* weir/guard/adaptive.h: how many requests may be on their way at once: a limit that is not configured but found out, from latencies and drops.
 *
 *     weir_adaptive backend;
 *     weir_adaptive_init(&backend, NULL);
 *     weir_adaptive_permit permit;
 *     if ((rc = weir_adaptive_acquire(ctx, &backend, &permit)) == 0) {
 *         rc = call_it(ctx);
 *         weir_adaptive_release(&backend, &permit, rc == 0 ? WEIR_ADAPTIVE_OK : rc == ETIMEDOUT ? WEIR_ADAPTIVE_DROPPED : WEIR_ADAPTIVE_FAILED);
 *     }
 *
 * Overview
 *   A server that works on C requests at once answers in time S as long as no more than C are on their way; beyond, they queue, and with N on their
 *   way latency is N / C × S. The limit stays a little above C: all of the server is used, and the queue is short. Two methods:
 *
 *   gradient (the default): from latency alone, beside the latency without a queue.
 *     no queue seen     the limit grows by a sixth of itself, less as latency comes near what is taken for a queue
 *     a queue           capacity = requests in flight × unloaded latency × tolerance / latency, and a sixteenth more (at least 1), so that growth
 *                       would be seen; no less than half of the limit that was
 *     a drop            × backoff
 *   aimd: for servers that refuse, or with a timeout beyond which an answer is of no use: + 1 in each window without drops, × backoff in one with
 *   any.
 *
 *   In both the limit grows only where it was used: at least half of the samples were admitted when no more than an eighth of the places was free. So
 *   neither bursts with idleness between, nor little load, inflate it. The gradient shrinks only where half of it was in use.
 *
 * What is promised, and tested by simulation (tests/guard/test_adaptive_server.c)
 *   gradient, a server with steady service times, callers who always want more, capacities of 5 to 1000: 10 round trips (of S) after the capacity has
 *   halved, or recovered, the limit is within 20 % of it (or one place, where that is more) and stays there. Windows that measure come on top, and do
 *   not count. After all service times have become longer for good the limit falls to a third or so, and is back in 40 round trips. From the
 *   beginning it grows tenfold in 30.
 *   With service times that vary by half to either side, what is noise and what a queue cannot be told apart in few samples: the limit then lies up
 *   to three times as high as a capacity below 10, two and a half below 50, one and a half from there on, and hardly ever below. aimd: the limit
 *   swings between 0.9 times the number at which drops begin and that number. To halve takes it 7 windows; to grow, as many windows of a round trip
 *   as there are places to gain: from half of 10 to 8 in 10 round trips, from half of 100 to 80 in 30. It keeps no 20 % of the capacity, and cannot:
 *   all that it hears of is drops.
 *
 * Windows
 *   A window is as many samples as the limit has places (gradient: twice as many, for servers answer in waves), which is one or two round trips.
 *   Permits remember how many were in flight with them: a sample's latency belongs to that number, not to the limit of today. OK brings a latency;
 *   DROPPED (refused, timed out) brings none; a failed one counts as nothing at all. The one who brings the last sample sets the next limit. Samples
 *   that come meanwhile are not counted.
 *
 * The latency without a queue
 *   is measured in the first window, at a quarter of the initial limit, and anew after 8 windows, 16, 32 … up to `measure`, at half of the limit,
 *   each time with 16 samples at least, of which only those count that were admitted in that window; so a server that has become slower for good is
 *   not taken for a queue for ever. Also at once
 *      when the limit has fallen to a third of what it was at most since: either much of the server is gone, or it is that;
 *      when less is found than it was taken for, by more than the tolerance: so that was wrong. If a window that measures has found it, the next has
 *      half of its limit, until there is no less: so whoever began with a queue gets rid of it.
 *   In between it follows windows without a queue, slowly upwards, and at once downwards. All of these are means of a window, not minima: the least
 *   of times that vary is one that no window can reach again. For the same reason a mean may lie above by (mean - least) / sqrt(samples), mean and
 *   least as they were measured, before it is taken for a queue.
 *
 * Meaning
 *   Waiting is first come first served, and an ended context gets nothing: places are units of a weir_sem (sync/sem.h). A smaller limit takes effect
 *   as permits are released; nobody is admitted above the limit of that moment. A clock that goes back brings no sample.
 *
 * Who may call what at once: all but init, any threads; a permit is one thread's at a time, and may be released by another than acquired it.
 * Progress: try_acquire is lock-free; so is release when nobody waits, but for one that ends a window and changes the limit: that takes the
 * semaphore's lock. A thread that stops while it sets the next limit holds one place and delays that change; within the lock, at one of its steps,
 * also those who release or wait.
 *
 * Sources: Netflix, github.com/Netflix/concurrency-limits (AIMDLimit, GradientLimit: the gradient against the unloaded latency, probes for it, no
 * growth unless used); D. Chiu and R. Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer networks", 1989;
 * J. Little, "A proof for the queuing formula L = λW", 1961. Different here: capacity by Little's law from what each sample saw in flight, where
 * Netflix scales the limit of the moment, which overshoots because latencies are of the past; and growth by a share instead of by sqrt(limit), which
 * takes 18 windows from 500 to 1000.
 */
#ifndef WEIR_GUARD_ADAPTIVE_H
#define WEIR_GUARD_ADAPTIVE_H

#include "../sync/sem.h"
#include "clock.h"

#define WEIR_ADAPTIVE_MAX (1 << 20)

enum { WEIR_ADAPTIVE_GRADIENT, WEIR_ADAPTIVE_AIMD };                    /* methods */
enum { WEIR_ADAPTIVE_OK, WEIR_ADAPTIVE_FAILED, WEIR_ADAPTIVE_DROPPED }; /* outcomes */

/* Zero means the default, for each. */
typedef struct weir_adaptive_config {
    int method; /* WEIR_ADAPTIVE_GRADIENT */
    /* limits: 20, 1, 1000; 1 … WEIR_ADAPTIVE_MAX. gradient: `initial` comes after the first window, which measures */
    int64_t initial, min, max;
    int tolerance; /* gradient: percent of the latency without a queue that are still taken for none; 105, 100 … 1000 */
    int backoff;   /* percent of the limit that remain after a drop; 90, 1 … 99 */
    int measure; /* gradient: windows from one measuring of the latency without a queue to the next, in the end; 256. -1: only the first */
    weir_ns timeout;   /* what took longer counts as dropped; 0: never */
    weir_clock *clock; /* of latencies; NULL: the monotonic one */
} weir_adaptive_config;

/* A place that is taken. The caller's, from acquire to release. */
typedef struct weir_adaptive_permit {
    weir_ns since;
    uint32_t in_flight; /* with it, when it was admitted; 0: this holds no place */
    uint32_t window;
    bool full; /* there was hardly a place left */
} weir_adaptive_permit;

/* What the samples of a window come to. least: of the latencies; full: admitted when there was hardly a place left. */
typedef struct weir__adaptive_sums {
    weir__atomic_u64 latency, in_flight, full, dropped, least;
} weir__adaptive_sums;

typedef struct weir_adaptive {
    weir_sem places; /* its size is the limit */
    weir_adaptive_config config;
    WEIR__PADDED weir__atomic_u64 window;
    weir__adaptive_sums sums[2];
    /* Of whoever has ended a window; handed on by `window`. */
    int64_t kept, most; /* the limit to go on with after measuring; the greatest since */
    /* latencies: without a queue; mean - least when that was measured; of the last windows */
    uint64_t unloaded, spread, recent;
    int until_measuring, interval; /* windows; below 0: never; the next but one */
} weir_adaptive;

/* 0. EINVAL: something is not in its range, or not min <= initial <= max. config may be NULL. One thread. */
WEIR_API int weir_adaptive_init(weir_adaptive *a, const weir_adaptive_config *config);

/* Takes a place, if one is free. 0; EAGAIN: none is free, somebody waits, or the limit is just changing. Any thread; lock-free. */
WEIR_API int weir_adaptive_try_acquire(weir_adaptive *a, weir_adaptive_permit *permit);
/* Waits for a place. 0; ECANCELED, ETIMEDOUT (also when ctx has ended before the call). Any thread; parks. */
WEIR_API int weir_adaptive_acquire_until(weir_ctx *ctx, weir_adaptive *a, weir_adaptive_permit *permit,
                                         weir_ns deadline);
static inline int weir_adaptive_acquire(weir_ctx *ctx, weir_adaptive *a, weir_adaptive_permit *permit)
{
    return weir_adaptive_acquire_until(ctx, a, permit, WEIR_FOREVER);
}
/* Gives the place back, and says how it went. 0; EINVAL: the permit holds no place, or there is no such outcome; nothing has changed. Any thread. */
WEIR_API int weir_adaptive_release(weir_adaptive *a, weir_adaptive_permit *permit, int outcome);

/* How many places there are now, and how many are taken. Any thread; wait-free. */
WEIR_API int64_t weir_adaptive_limit(weir_adaptive *a);
WEIR_API int64_t weir_adaptive_in_flight(weir_adaptive *a);

#endif /* WEIR_GUARD_ADAPTIVE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_ADAPTIVE_IMPLEMENTED)
#define WEIR_GUARD_ADAPTIVE_IMPLEMENTED

enum {
    WEIR__ADAPTIVE_FEW = 4,     /* samples make a window, at least */
    WEIR__ADAPTIVE_SOME = 16,   /* and one that measures */
    WEIR__ADAPTIVE_SOON = 8,    /* windows until the second measuring */
    WEIR__ADAPTIVE_LONGEST = 40 /* latencies are below 2^this, 18 minutes */
};

/* ---- the word of a window: 63 measures, 62 fresh: only what was admitted in it counts, 61 … 48 number, 47 … 24 samples that end it,
 * 23 … 0 samples so far ---- */

static inline uint64_t weir__adaptive_word(const weir_adaptive *a, uint32_t number, bool measures, bool fresh,
                                           int64_t limit)
{
    const int64_t few = measures ? WEIR__ADAPTIVE_SOME : WEIR__ADAPTIVE_FEW,
                  samples = a->config.method == WEIR_ADAPTIVE_AIMD ? limit : 2 * limit;
    return (uint64_t)measures << 63 | (uint64_t)fresh << 62 | (uint64_t)(number & 0x3fff) << 48 |
           (uint64_t)(samples < few ? few : samples) << 24;
}
static inline bool weir__adaptive_measures(uint64_t word)
{
    return word >> 63 != 0;
}
static inline bool weir__adaptive_fresh(uint64_t word)
{
    return (word >> 62 & 1) != 0;
}
static inline uint32_t weir__adaptive_number(uint64_t word)
{
    return (uint32_t)(word >> 48) & 0x3fff;
}
static inline uint64_t weir__adaptive_target(uint64_t word)
{
    return word >> 24 & 0xffffff;
}
static inline uint64_t weir__adaptive_count(uint64_t word)
{
    return word & 0xffffff;
}

/* ---- the next limit ---- */

static int64_t weir__adaptive_within(const weir_adaptive *a, int64_t limit)
{
    return limit < a->config.min ? a->config.min : limit > a->config.max ? a->config.max : limit;
}

static int64_t weir__adaptive_backed_off(const weir_adaptive *a, int64_t limit)
{
    return limit * a->config.backoff / 100; /* less, for the backoff is below 100 */
}

/* The whole part of a square root: Newton's steps from above. */
static uint64_t weir__adaptive_root(uint64_t n)
{
    uint64_t root = n, next = (n + 1) / 2;
    while (next < root) {
        root = next;
        next = (root + n / root) / 2;
    }
    return root;
}

/* in_flight / samples × calm / latency: so many the server works on at once. */
static int64_t weir__adaptive_capacity(uint64_t in_flight, uint64_t samples, uint64_t calm, uint64_t latency)
{
    while (latency >> 32 != 0) { /* calm is less: the product fits */
        latency >>= 1;
        calm >>= 1;
    }
    return (int64_t)(in_flight * 16 / samples * calm / latency / 16);
}

/* No queue: the limit grows by up to a sixth, the less the nearer latency is to the middle of what is taken for none; so the last step does not go
 * far beyond the capacity. Not on the first such window after a queue: where waves are served, one of them may be a window without.
 * Above the middle nothing moves: a limit that rests there must not take its queue for the server's own time, bit by bit. */
static int64_t weir__adaptive_calm(weir_adaptive *a, uint64_t latency, uint64_t calm, uint64_t room, int64_t step)
{
    const uint64_t used = latency > a->unloaded ? latency - a->unloaded : 0;
    if (a->recent > calm || used > room)
        return 0;
    a->unloaded = (a->unloaded * 15 + latency) / 16;
    return room == 0 ? step : (int64_t)(((uint64_t)step * (room - used) + room / 2) / room);
}

/* Less than was taken for the latency without a queue, by more than the tolerance: that was wrong, so it is measured in the next window. */
static void weir__adaptive_suspect(weir_adaptive *a, uint64_t latency)
{
    if (a->until_measuring > 0 && latency * (uint64_t)a->config.tolerance < a->unloaded * 100)
        a->until_measuring = 1;
}

/* What a window that measures has found. Taken for as much more as it may be wrong by; later windows see to it that it is not too much. */
static void weir__adaptive_measured(weir_adaptive *a, uint64_t mean, uint64_t least, uint64_t samples)
{
    const bool first = a->unloaded >> WEIR__ADAPTIVE_LONGEST != 0;
    a->spread = mean > least ? mean - least : 0;
    mean += a->spread / weir__adaptive_root(samples);
    if (!first)
        weir__adaptive_suspect(a, mean);
    a->unloaded = mean;
}

static int64_t weir__adaptive_gradient(weir_adaptive *a, const weir__adaptive_sums *s, uint64_t samples, int64_t limit)
{
    const uint64_t latency = s->latency / samples, margin = a->spread / weir__adaptive_root(samples);
    const int64_t step = s->full * 2 < samples ? 0 : limit < 9 ? 1 : (limit + 3) / 6;
    uint64_t calm;
    int64_t next;
    if (latency + margin < a->unloaded) {
        if ((latency + margin) * (uint64_t)a->config.tolerance < a->unloaded * 100)
            a->until_measuring =
                a->until_measuring < 0 ? -1 : 1; /* a faster server, and perhaps a queue all the same */
        a->unloaded = latency + margin;
    }
    calm = a->unloaded * (uint64_t)a->config.tolerance / 100 + margin;
    a->recent = (a->recent + 2 * latency) / 3;
    if (latency <= calm)
        return limit + weir__adaptive_calm(a, latency, calm, (calm + margin - a->unloaded) / 2, step);
    if (s->in_flight * 2 < samples * (uint64_t)limit)
        return limit;
    next = weir__adaptive_capacity(s->in_flight, samples, calm, latency) + (limit < 32 ? 1 : limit / 16);
    return next < limit / 2 ? limit / 2 : next < limit + step ? next : limit + step;
}

static int64_t weir__adaptive_next(weir_adaptive *a, const weir__adaptive_sums *s, uint64_t word, int64_t limit)
{
    const uint64_t samples = weir__adaptive_target(word) - s->dropped;
    if (weir__adaptive_measures(word)) {
        limit = a->kept;
        if (samples > 0)
            weir__adaptive_measured(a, s->latency / samples, s->least, samples);
    }
    if (s->dropped > 0)
        return weir__adaptive_backed_off(a, limit);
    if (weir__adaptive_measures(word))
        return limit;
    if (a->config.method == WEIR_ADAPTIVE_AIMD)
        return s->full * 2 >= samples ? limit + 1 : limit;
    return weir__adaptive_gradient(a, s, samples, limit);
}

/* Whether the next window measures, with the limit that is to follow it. */
static bool weir__adaptive_measure(weir_adaptive *a, int64_t next)
{
    if (next > a->most)
        a->most = next;
    if (a->until_measuring < 0 || (--a->until_measuring > 0 && next > a->most / 3))
        return false;
    a->until_measuring = a->interval;
    a->interval = a->interval < a->config.measure / 2 ? a->interval * 2 : a->config.measure;
    a->kept = a->most = next;
    return true;
}

/* Called by the one who has brought the last sample of the window. */
static void weir__adaptive_end(weir_adaptive *a, uint64_t word)
{
    const uint32_t number = weir__adaptive_number(word);
    weir__adaptive_sums *from = &a->sums[number & 1], *to = &a->sums[~number & 1], s;
    const int64_t limit = weir_sem_size(&a->places);
    int64_t next;
    bool measures;
    s.latency = weir__load_rlx(&from->latency);
    s.least = weir__load_rlx(&from->least);
    s.in_flight = weir__load_rlx(&from->in_flight);
    s.full = weir__load_rlx(&from->full);
    s.dropped = weir__load_rlx(&from->dropped);
    next = weir__adaptive_within(a, weir__adaptive_next(a, &s, word, limit));
    measures = weir__adaptive_measure(a, next);
    if (measures)
        next = weir__adaptive_within(a, (weir__adaptive_measures(word) && limit < next ? limit : next) / 2);
    weir__store_rlx(&to->latency, 0);
    weir__store_rlx(&to->least, UINT64_MAX);
    weir__store_rlx(&to->in_flight, 0);
    weir__store_rlx(&to->full, 0);
    weir__store_rlx(&to->dropped, 0);
    if (next != limit)
        (void)weir_sem_resize(&a->places, next);
    /* (B) release: sums that are empty, and what the next to end a window needs. */
    weir__store_rel(&a->window,
                    weir__adaptive_word(a, number + 1, measures, measures || weir__adaptive_measures(word), next));
}

/* ---- samples ---- */

static void weir__adaptive_add(weir__adaptive_sums *s, const weir_adaptive_permit *permit, weir_ns latency)
{
    const uint64_t most = UINT64_C(1) << WEIR__ADAPTIVE_LONGEST;
    const uint64_t counts = latency == 0 ? 1 : (uint64_t)latency < most ? (uint64_t)latency : most;
    uint64_t least = weir__load_rlx(&s->least);
    (void)weir__add_rlx(&s->latency, counts);
    (void)weir__add_rlx(&s->in_flight, permit->in_flight);
    if (permit->full)
        (void)weir__add_rlx(&s->full, 1);
    while (counts < least && !weir__cas_rlx(&s->least, &least, counts)) {}
}

/* What is added to the sums and then not counted, because the window has ended meanwhile, is lost with them; one who stops in between for longer
 * than a window adds to those of the window after the next, and distorts one mean. */
static void weir__adaptive_sample(weir_adaptive *a, const weir_adaptive_permit *permit, bool dropped, weir_ns latency)
{
    uint64_t seen = weir__load_acq(&a->window); /* (A) pairs with (B): the sums are those of this window */
    const uint32_t number = weir__adaptive_number(seen);
    weir__adaptive_sums *s = &a->sums[number & 1];
    if (weir__adaptive_count(seen) >= weir__adaptive_target(seen) ||
        (weir__adaptive_fresh(seen) && permit->window != number))
        return;
    if (dropped)
        (void)weir__add_rlx(&s->dropped, 1);
    else
        weir__adaptive_add(s, permit, latency);
    /* (C) pairs with itself: whoever counts the last sample sees what all before have added; and (B), by whoever began the window. */
    while (!weir__cas_ar(&a->window, &seen, seen + 1))
        if (weir__adaptive_number(seen) != number || weir__adaptive_count(seen) >= weir__adaptive_target(seen))
            return;
    if (weir__adaptive_count(seen) + 1 == weir__adaptive_target(seen))
        weir__adaptive_end(a, seen);
}

/* ---- calls ---- */

WEIR_API int weir_adaptive_init(weir_adaptive *a, const weir_adaptive_config *config)
{
    weir_adaptive_config *c = &a->config;
    int64_t limit;
    bool measures;
    memset(a, 0, sizeof *a);
    if (config != NULL)
        *c = *config;
    c->min = c->min == 0 ? 1 : c->min;
    c->max = c->max == 0 ? (c->min > 1000 ? c->min : 1000) : c->max;
    c->initial = c->initial == 0 ? weir__adaptive_within(a, 20) : c->initial;
    c->tolerance = c->tolerance == 0 ? 105 : c->tolerance;
    c->backoff = c->backoff == 0 ? 90 : c->backoff;
    c->measure = c->measure == 0 ? 256 : c->measure;
    if (c->min < 1 || c->initial < c->min || c->max < c->initial || c->max > WEIR_ADAPTIVE_MAX || c->timeout < 0)
        return EINVAL;
    if (c->tolerance < 100 || c->tolerance > 1000 || c->backoff < 1 || c->backoff > 99 || c->measure < -1)
        return EINVAL;
    if (c->method != WEIR_ADAPTIVE_GRADIENT && c->method != WEIR_ADAPTIVE_AIMD)
        return EINVAL;
    measures = c->method == WEIR_ADAPTIVE_GRADIENT;
    a->sums[0].least = UINT64_MAX;
    a->kept = a->most = c->initial;
    a->unloaded = UINT64_C(1) << WEIR__ADAPTIVE_LONGEST;
    a->interval = c->measure < WEIR__ADAPTIVE_SOON ? c->measure : WEIR__ADAPTIVE_SOON;
    a->until_measuring = measures ? a->interval : -1;
    limit = measures ? weir__adaptive_within(a, c->initial / 4) : c->initial;
    a->window = weir__adaptive_word(a, 0, measures, measures, limit);
    return weir_sem_init(&a->places, limit);
}

static void weir__adaptive_admitted(weir_adaptive *a, weir_adaptive_permit *permit)
{
    const uint64_t places = weir__load_rlx(&a->places.word);
    const int64_t size = weir__sem_size(places), in_flight = size - weir__sem_free(places);
    permit->in_flight = (uint32_t)in_flight; /* at least this one, whatever others have released and resized */
    permit->full = in_flight >= size - size / 8;
    permit->window = weir__adaptive_number(weir__load_rlx(&a->window));
    permit->since = weir__clock_now(a->config.clock);
}

WEIR_API int weir_adaptive_try_acquire(weir_adaptive *a, weir_adaptive_permit *permit)
{
    const int rc = weir_sem_try_acquire(&a->places, 1);
    permit->in_flight = 0;
    if (rc == 0)
        weir__adaptive_admitted(a, permit);
    return rc;
}

WEIR_API int weir_adaptive_acquire_until(weir_ctx *ctx, weir_adaptive *a, weir_adaptive_permit *permit,
                                         weir_ns deadline)
{
    const int rc = weir_sem_acquire_until(ctx, &a->places, 1, deadline);
    permit->in_flight = 0;
    if (rc == 0)
        weir__adaptive_admitted(a, permit);
    return rc;
}

WEIR_API int weir_adaptive_release(weir_adaptive *a, weir_adaptive_permit *permit, int outcome)
{
    weir_ns latency;
    if (permit->in_flight == 0 || outcome < WEIR_ADAPTIVE_OK || outcome > WEIR_ADAPTIVE_DROPPED)
        return EINVAL;
    if (outcome != WEIR_ADAPTIVE_FAILED) {
        latency = weir__clock_now(a->config.clock) - permit->since;
        if (outcome == WEIR_ADAPTIVE_DROPPED || latency >= 0)
            weir__adaptive_sample(
                a, permit, outcome == WEIR_ADAPTIVE_DROPPED || (a->config.timeout > 0 && latency > a->config.timeout),
                latency);
    }
    permit->in_flight = 0;
    return weir_sem_release(&a->places, 1);
}

WEIR_API int64_t weir_adaptive_limit(weir_adaptive *a)
{
    return weir_sem_size(&a->places);
}

WEIR_API int64_t weir_adaptive_in_flight(weir_adaptive *a)
{
    const uint64_t places = weir__load_acq(&a->places.word);
    return weir__sem_size(places) - weir__sem_free(places);
}

#endif /* WEIR_GUARD_ADAPTIVE_IMPLEMENTED */
