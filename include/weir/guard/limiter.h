/* weir/guard/limiter.h: at most so many events a second, with bursts: a token bucket.
 *
 *     weir_limiter l;
 *     weir_limiter_init(&l, 100.0, 20, NULL);             100 events a second, up to 20 at once
 *     if (weir_limiter_allow(&l, 1) == 0) …;               now, or not
 *     if (weir_limiter_wait(ctx, &l, 1) == 0) …;           when it is its turn
 *     weir_limiter_reserve(&l, 5, &r); … r.when …           in time; weir_limiter_cancel(&l, &r) if it is not needed after all
 *
 * Meaning
 *   The bucket begins full, with `burst` tokens. Rate 0: they are all that there will ever be. WEIR_RATE_INFINITE: everything passes, whatever the burst.
 *   More than the burst at once can never be: EINVAL, not EAGAIN. A refused request changes nothing.
 *   Reserving takes tokens that have yet to be made, so whoever reserves first goes first, and those behind wait longer. Cancelling a reservation gives
 *   its tokens back less what was reserved after it (those were told a time that counted them), and nothing once its own time has come.
 *   weir_limiter_wait reserves and sleeps. A wait that would outlast the deadline fails at once and reserves nothing; one whose context ends
 *   before its time gives back what it can.
 *   Changing rate or burst counts from that moment on: what has been made stays made, within the new burst; times that were told stay told.
 *   Weir's clock does not go back; one of the caller's own may: an old reading finds the tokens of that time, less what has been spent since.
 *
 * Who may call what at once: after weir_limiter_init everything, from any number of threads. There is nothing to free.
 *
 * Limits: rate 0 … 1e12, or infinite; burst 0 … 2^40. guard/bucket.h has the arithmetic, and why no rounding adds up.
 * Source for the meanings: Go's x/time/rate; for the algorithm: GCRA, ITU-T I.371.
 */
#ifndef WEIR_GUARD_LIMITER_H
#define WEIR_GUARD_LIMITER_H

#include "../park/lock.h"
#include "bucket.h"

typedef struct weir_limiter {
    weir__atomic_u64 bucket;
    char apart[WEIR_CACHE_PAD - sizeof(weir__atomic_u64)]; /* from what is only read */
    weir__bucket_rules rules;
    weir_clock *clock;
    weir__atomic_u64 rate; /* the bits of a double; this and burst: as set, for those who ask */
    weir__atomic_u64 burst;
    weir__atomic_u32 changing; /* a lock: one change of rules at a time */
} weir_limiter;

/* The rate of one event in so many nanoseconds. */
#define WEIR_RATE_EVERY(ns) (1e9 / (double)(ns))

/* rate: events a second; clock: NULL for the monotonic one. 0; EINVAL: outside of the limits. */
WEIR_API int weir_limiter_init(weir_limiter *l, double rate, int64_t burst, weir_clock *clock);
/* 0, EINVAL. Progress: takes a lock against other changes; nobody who decides waits for it. */
WEIR_API int weir_limiter_set_rate(weir_limiter *l, double rate);
WEIR_API int weir_limiter_set_burst(weir_limiter *l, int64_t burst);
WEIR_API double weir_limiter_rate(weir_limiter *l);
WEIR_API int64_t weir_limiter_burst(weir_limiter *l);
/* How many tokens there are at this moment; below 0: so many are reserved ahead. Infinite where everything passes. */
WEIR_API double weir_limiter_tokens(weir_limiter *l);

/* 0: n events may happen now. EAGAIN: not now. EINVAL: never: more than the burst, or negative. Progress: lock-free. */
static inline int weir_limiter_allow(weir_limiter *l, int64_t n)
{
    weir_ns now;
    return weir__bucket_take(&l->bucket, &l->rules, l->clock, n, &now);
}

/* 0: n events may happen at r->when, on the limiter's clock (which may be now). EINVAL as above. EAGAIN: never at this rate. Lock-free. */
WEIR_API int weir_limiter_reserve(weir_limiter *l, int64_t n, weir_reservation *r);
/* 0: all of it or a part was given back. EAGAIN: nothing: its time has come, or all of it counts in what others were told. A second cancel does nothing.
 * Progress: lock-free. */
WEIR_API int weir_limiter_cancel(weir_limiter *l, weir_reservation *r);

/* Waits until n events may happen. 0; EINVAL as above; ECANCELED, ETIMEDOUT: the context has ended; ETIMEDOUT, at once: it would take longer than the
 * context or the deadline allows, or for ever. The deadline is on weir's clock. Progress: lock-free when they may happen now, else parks. */
WEIR_API int weir_limiter_wait_until(weir_ctx *ctx, weir_limiter *l, int64_t n, weir_ns deadline);
static inline int weir_limiter_wait(weir_ctx *ctx, weir_limiter *l, int64_t n)
{
    return weir_limiter_wait_until(ctx, l, n, WEIR_FOREVER);
}

#endif /* WEIR_GUARD_LIMITER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_LIMITER_IMPLEMENTED)
#define WEIR_GUARD_LIMITER_IMPLEMENTED

static void weir__limiter_note(weir_limiter *l, double rate, int64_t burst)
{
    uint64_t bits;
    memcpy(&bits, &rate, sizeof bits);
    weir__store_rlx(&l->rate, bits);
    weir__store_rlx(&l->burst, (uint64_t)burst);
}

WEIR_API int weir_limiter_init(weir_limiter *l, double rate, int64_t burst, weir_clock *clock)
{
    const weir_ns now = weir__clock_now(clock);
    memset(l, 0, sizeof *l);
    l->clock = clock;
    weir__limiter_note(l, rate, burst);
    if (weir__bucket_rule_set(&l->rules, 0, NULL, rate, burst, now) != 0)
        return EINVAL;
    l->bucket = weir__bucket_begin(&l->rules, 0, now);
    return 0;
}

WEIR_API double weir_limiter_rate(weir_limiter *l)
{
    const uint64_t bits = weir__load_rlx(&l->rate);
    double rate;
    memcpy(&rate, &bits, sizeof rate);
    return rate;
}

WEIR_API int64_t weir_limiter_burst(weir_limiter *l)
{
    return (int64_t)weir__load_rlx(&l->burst);
}

WEIR_API double weir_limiter_tokens(weir_limiter *l)
{
    return weir__bucket_holds(&l->bucket, &l->rules, weir__clock_now(l->clock));
}

/* Under the lock. */
static int weir__limiter_change(weir_limiter *l, double rate, int64_t burst)
{
    const unsigned now = (unsigned)weir__load_rlx(&l->bucket) & 3, next = (now + 1) & 3;
    if (weir__bucket_rule_set(&l->rules, next, &l->rules.rule[now], rate, burst, weir__clock_now(l->clock)) != 0)
        return EINVAL;
    weir__bucket_change(&l->bucket, &l->rules, next);
    weir__limiter_note(l, rate, burst);
    return 0;
}

WEIR_API int weir_limiter_set_rate(weir_limiter *l, double rate)
{
    int rc;
    weir__lock_take(&l->changing);
    rc = weir__limiter_change(l, rate, weir_limiter_burst(l));
    weir__lock_release(&l->changing);
    return rc;
}

WEIR_API int weir_limiter_set_burst(weir_limiter *l, int64_t burst)
{
    int rc;
    weir__lock_take(&l->changing);
    rc = weir__limiter_change(l, weir_limiter_rate(l), burst);
    weir__lock_release(&l->changing);
    return rc;
}

/* `longest` from now; *now: the reading of the clock. */
static int weir__limiter_reserve(weir_limiter *l, int64_t n, weir_ns longest, weir_reservation *r, weir_ns *now)
{
    int rc;
    do {
        const uint64_t word = weir__load_acq(&l->bucket);
        *now = weir__clock_now(l->clock);
        rc = weir__bucket_reserve(&l->bucket, word, &l->rules, n, *now, longest, r);
    } while (rc == WEIR__BUSY);
    return rc;
}

WEIR_API int weir_limiter_reserve(weir_limiter *l, int64_t n, weir_reservation *r)
{
    weir_ns now;
    return weir__limiter_reserve(l, n, WEIR_FOREVER, r, &now);
}

WEIR_API int weir_limiter_cancel(weir_limiter *l, weir_reservation *r)
{
    int rc = EAGAIN;
    if (r->n > 0 && weir__clock_now(l->clock) <= r->when)
        do
            rc = weir__bucket_cancel(&l->bucket, weir__load_acq(&l->bucket), &l->rules, r);
        while (rc == WEIR__BUSY);
    r->n = 0;
    return rc;
}

WEIR_API int weir_limiter_wait_until(weir_ctx *ctx, weir_limiter *l, int64_t n, weir_ns deadline)
{
    weir_reservation r;
    weir_ns now;
    int rc = weir_ctx_err(ctx);
    if (rc != 0)
        return rc; /* tokens or not: a limiter admits work */
    rc = weir__bucket_take(&l->bucket, &l->rules, l->clock, n, &now);
    if (rc != EAGAIN)
        return rc;
    rc = weir__limiter_reserve(l, n, weir__clock_left(ctx, deadline), &r, &now);
    if (rc == 0 && r.when > now && (rc = weir__clock_sleep(l->clock, ctx, r.when)) != 0)
        (void)weir_limiter_cancel(l, &r);
    return rc == EAGAIN ? ETIMEDOUT : rc;
}

#endif /* WEIR_GUARD_LIMITER_IMPLEMENTED */
