/* tests/chan/queues.h: looks into the queues of a channel, and acts at the library's hook points. Include it first: it brings
 * harness.h.
 *
 *   waiting_receivers(ch), waiting_senders(ch)    how many lie in the queue or stay in the lane: the proof that a thread waits
 *   queues_are_empty(ch)                          nobody has left anything behind. While no other thread uses the channel
 *   at_point = fn                                 this thread calls fn(name) at each WEIR_HOOK point, until at_point = NULL
 *   soon(duration, misses)                        a deadline; later after each hundred misses
 *   struct duel                                   two or three threads that meet in the same round, many times
 */
#ifndef WEIR_TEST_CHAN_QUEUES_H
#define WEIR_TEST_CHAN_QUEUES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>

static __thread void (*at_point)(const char *point);
#define WEIR_HOOK(point)                                                                                               \
    do {                                                                                                               \
        if (at_point != NULL)                                                                                          \
            at_point(point);                                                                                           \
    } while (0)
#include "harness.h"

#include "waiting.h"

#define waiting_receivers(ch) count_waiting(WEIR__CHAN(ch), false)
#define waiting_senders(ch) count_waiting(WEIR__CHAN(ch), true)
#define queues_are_empty(ch) left_empty(WEIR__CHAN(ch))

static inline int get(int *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void set(int *p, int v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Twice as far off after each hundred misses: where threads run by turns, two with short deadlines would hardly ever be there at the same time. */
static inline weir_ns soon(weir_ns duration, int misses)
{
    return weir_now() + (duration << (misses < 1000 ? misses / 100 : 10));
}

/* Small pseudo-random numbers, the same in every run. */
static inline unsigned draw(unsigned *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

/* For what must not happen: time enough for a wrong thread to do it. A right one is never failed by the length. */
static inline void give_time(void)
{
    struct timespec t = {0, 10 * 1000 * 1000};
    nanosleep(&t, NULL);
}

/* Keeps the processor busy for a number of turns, so that rounds differ in who comes first. */
static inline void dawdle(unsigned turns)
{
    for (volatile unsigned i = 0; i < turns; i++) {}
}

/* Rounds: main calls duel_begin, does its part, calls duel_end; each of the others calls duel_next until that is false. After
 * duel_end main sees what the others have done. */
struct duel {
    int round, finished, others;
};

static inline void duel_begin(struct duel *d)
{
    set(&d->finished, 0);
    __atomic_add_fetch(&d->round, 1, __ATOMIC_RELEASE);
}

static inline void duel_end(struct duel *d)
{
    EVENTUALLY(get(&d->finished) == d->others);
}

/* *seen starts as 0. The round before is over with this call. */
static inline bool duel_next(struct duel *d, int *seen)
{
    if (*seen > 0)
        __atomic_add_fetch(&d->finished, 1, __ATOMIC_RELEASE);
    while (get(&d->round) == *seen)
        sched_yield();
    *seen = get(&d->round);
    return *seen > 0;
}

static inline void duel_stop(struct duel *d)
{
    set(&d->round, -1);
}

#endif /* WEIR_TEST_CHAN_QUEUES_H */
