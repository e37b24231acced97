/* weir/chan/timer.h: channels on which the time arrives.
 *
 *     weir_timer t;
 *     weir_after(&t, WEIR_MS(50));      one value, 50 ms from now
 *     weir_tick(&t, WEIR_MS(50));       one every 50 ms, first in 50 ms
 *     weir_recv(ctx, t, &when);         or WEIR_RECV(t, &when) in a select; by any number of threads, each tick goes to one
 *     weir_chan_free(&t);
 *
 * Overview
 *   There is no timer thread, no signal and no buffer: a timer is the number `due`. A receive that finds it in the past moves it on, by
 *   compare-and-swap, and returns the time that was due; one that finds it in the future sleeps until then. A tick that nobody
 *   received is missed, not queued: the next one due is the first that lies ahead, on the same grid.
 *
 *     int weir_after(weir_timer *t, weir_ns ns)      0, ENOMEM. A duration of 0 or less is due at once.
 *     int weir_tick(weir_timer *t, weir_ns ns)       0, ENOMEM; EINVAL for ns <= 0
 *     int weir_timer_stop(t)                         0: it was running; EAGAIN: it had fired or been stopped. Nothing is due any more.
 *                                                    (One that is due at WEIR_FOREVER counts as stopped.)
 *     int weir_timer_reset(t, ns)                    starts it anew: fires ns from now; a ticker ticks every ns from then on.
 *                                                    0; EINVAL for a ticker and ns <= 0
 * stop, reset, weir_close: any thread, together with receives. A value that was due and not received is gone after stop or reset.
 * Sending to a timer: EINVAL. weir_close ends it: EPIPE for all its receivers. weir_len is 0.
 * Source for the meanings: Go's time.After and time.Ticker (as of Go 1.23, where stop and reset leave no stale value behind).
 */
#ifndef WEIR_CHAN_TIMER_H
#define WEIR_CHAN_TIMER_H

#include "handle.h"
#include "make.h"

typedef weir_chan(weir_ns) weir_timer;

#define weir_after(t, ns) weir__timer_make(&(t)->core, 0 ? (t)->elem : (weir_ns *)NULL, (ns), false)
#define weir_tick(t, ns) weir__timer_make(&(t)->core, 0 ? (t)->elem : (weir_ns *)NULL, (ns), true)
#define weir_timer_stop(t) weir__timer_stop(WEIR__CHAN(t))
#define weir_timer_reset(t, ns) weir__timer_reset(WEIR__CHAN(t), (ns))

#define weir__timer_make WEIR__RINGED(weir__timer_make)

/* `elem` is there for its type alone. */
WEIR_API int weir__timer_make(weir_chan_core **handle, const weir_ns *elem, weir_ns ns, bool periodic);
WEIR_API int weir__timer_stop(weir__chan *c);
WEIR_API int weir__timer_reset(weir__chan *c, weir_ns ns);

/* When the next value is due; WEIR_FOREVER: never. Relaxed: whoever changes it has those who sleep look again, and a take looks for itself. */
static inline weir_ns weir__timer_due(weir__chan *c)
{
    return (weir_ns)weir__load_rlx(&c->due);
}

/* Takes the value that is due: 0, EAGAIN, EPIPE. dst may be NULL. */
WEIR_API int weir__timer_take(weir__chan *c, weir_ns *dst);

#endif /* WEIR_CHAN_TIMER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_TIMER_IMPLEMENTED)
#define WEIR_CHAN_TIMER_IMPLEMENTED

WEIR_API int weir__timer_make(weir_chan_core **handle, const weir_ns *elem, weir_ns ns, bool periodic)
{
    weir__chan *c;
    int rc;
    (void)elem;
    *handle = NULL;
    if (periodic && ns <= 0)
        return EINVAL;
    rc = weir__chan_make(handle, WEIR__MPMC, 0, sizeof(weir_ns), NULL);
    if (rc != 0)
        return rc;
    c = &(*handle)->chan;
    c->flavor = WEIR__TIMER;
    c->due = (uint64_t)weir_time_add(weir_now(), ns);
    c->period = periodic ? (uint64_t)ns : 0;
    return 0;
}

WEIR_API int weir__timer_take(weir__chan *c, weir_ns *dst)
{
    for (;;) {
        /* Acquire: pairs with the release in weir__timer_set, so the period is not older than due, and with that of another take: who finds the
         * value gone knows what its receiver did before (a try in a select needs that). */
        uint64_t due = weir__load_acq(&c->due), next = (uint64_t)WEIR_FOREVER;
        const uint64_t period = weir__load_rlx(&c->period);
        const weir_ns now = weir_now();
        if (weir__load_acq(&c->closed) != 0) /* acquire: what the closer did before */
            return EPIPE;
        if (now < (weir_ns)due)
            return EAGAIN;
        if (period != 0)
            next = due + ((uint64_t)now - due) / period * period + period;
        if (!weir__cas_rel(&c->due, &due, next))
            continue;
        if (dst != NULL)
            *dst = (weir_ns)due;
        return 0;
    }
}

/* Sets due, and has every sleeper look again: the time that it sleeps until is not right any more. A sleeper between join and its last look needs no
 * fence here: the wake takes the queue's lock, which it has had before us, and is found in the queue, or has after us, and sees due. */
static uint64_t weir__timer_set(weir__chan *c, weir_ns due)
{
    const uint64_t before =
        weir__swap_rel(&c->due, (uint64_t)due); /* release: the period, and what the caller did before */
    weir__waitq_wake(&c->receivers, WEIR__WAKE_ALL);
    return before;
}

WEIR_API int weir__timer_stop(weir__chan *c)
{
    if (c == NULL || c->flavor != WEIR__TIMER)
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    return weir__timer_set(c, WEIR_FOREVER) == (uint64_t)WEIR_FOREVER ? EAGAIN : 0;
}

WEIR_API int weir__timer_reset(weir__chan *c, weir_ns ns)
{
    if (c == NULL || c->flavor != WEIR__TIMER || (ns <= 0 && weir__load_rlx(&c->period) != 0))
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    if (weir__load_rlx(&c->period) != 0)
        weir__store_rlx(&c->period, (uint64_t)ns); /* due publishes it */
    (void)weir__timer_set(c, weir_time_add(weir_now(), ns));
    return 0;
}

#endif /* WEIR_CHAN_TIMER_IMPLEMENTED */
