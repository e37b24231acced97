/* weir/guard/clock.h: the clock by which a guard decides: the monotonic one, or the caller's own.
 *
 * Guards (limiters, breakers, retries) know time only through this, so a test or a simulation moves it by hand and never sleeps:
 *
 *     struct by_hand { weir_clock clock; weir_ns at; } hand = {{by_hand_now, by_hand_sleep}, 0};
 *     weir_limiter_init(&l, 10, 1, &hand.clock);
 *
 * A clock outlives the guards that use it. Its functions may be called by any number of threads at once. It need not be steady: a reading that is
 * older than an earlier one gains nobody anything. Deadlines of contexts are on weir's own clock; against a clock of the caller's they are
 * compared as durations, what is left of one beside what is left of the other.
 */
#ifndef WEIR_GUARD_CLOCK_H
#define WEIR_GUARD_CLOCK_H

#include "../ctx/sleep.h"

typedef struct weir_clock weir_clock;
struct weir_clock {
    /* Nanoseconds, 0 or more. */
    weir_ns (*now)(weir_clock *clock);
    /* Waits until `until` on this clock: 0, or what ended ctx. NULL: as long on weir's own clock. */
    int (*sleep)(weir_clock *clock, weir_ctx *ctx, weir_ns until);
};

/* NULL: the monotonic clock. */
static inline weir_ns weir__clock_now(weir_clock *clock)
{
    return WEIR_LIKELY(clock == NULL) ? weir_now() : clock->now(clock);
}

/* What is left of the deadline of ctx, and of `deadline`, both on weir's own clock; WEIR_FOREVER: neither. May be negative. */
WEIR_API weir_ns weir__clock_left(weir_ctx *ctx, weir_ns deadline);
/* Waits until `until` on the clock: 0, ECANCELED, ETIMEDOUT. */
WEIR_API int weir__clock_sleep(weir_clock *clock, weir_ctx *ctx, weir_ns until);

#endif /* WEIR_GUARD_CLOCK_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_CLOCK_IMPLEMENTED)
#define WEIR_GUARD_CLOCK_IMPLEMENTED

WEIR_API weir_ns weir__clock_left(weir_ctx *ctx, weir_ns deadline)
{
    const weir_ns end = weir_ctx_deadline(ctx);
    if (end < deadline)
        deadline = end;
    return deadline == WEIR_FOREVER ? WEIR_FOREVER : deadline - weir_now();
}

WEIR_API int weir__clock_sleep(weir_clock *clock, weir_ctx *ctx, weir_ns until)
{
    if (clock == NULL)
        return weir_sleep_until(ctx, until);
    if (clock->sleep != NULL)
        return clock->sleep(clock, ctx, until);
    return weir_sleep(ctx, until - clock->now(clock));
}

#endif /* WEIR_GUARD_CLOCK_IMPLEMENTED */
