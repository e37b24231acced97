/* weir/guard/leaky.h: events evenly spaced: one every 1 / rate seconds, and no bursts but the slack.
 *
 *     weir_leaky l;
 *     weir_leaky_init(&l, 100.0, 0, NULL);       one every 10 ms, never two closer together
 *     while (weir_leaky_wait(ctx, &l) == 0) …;
 *
 * With slack, whoever was late may catch up: up to `slack` events that did not happen in their turn follow without a distance. It begins with none saved.
 * It is a token bucket of 1 + slack tokens (guard/limiter.h), which begins with one; errors, threads and progress are those of a limiter.
 * Source: uber-go/ratelimit, whose complaint is heeded that idle time must not be saved without bound (#119): nor, here, without asking.
 */
#ifndef WEIR_GUARD_LEAKY_H
#define WEIR_GUARD_LEAKY_H

#include "limiter.h"

typedef struct weir_leaky {
    weir_limiter limiter;
} weir_leaky;

/* rate: above 0; slack: 0 or more events. 0, EINVAL. */
WEIR_API int weir_leaky_init(weir_leaky *l, double rate, int64_t slack, weir_clock *clock);
/* 0, EINVAL. */
static inline int weir_leaky_set_rate(weir_leaky *l, double rate)
{
    return rate > 0 ? weir_limiter_set_rate(&l->limiter, rate) : EINVAL;
}

/* 0: an event may happen now. EAGAIN: it is too early. */
static inline int weir_leaky_allow(weir_leaky *l)
{
    return weir_limiter_allow(&l->limiter, 1);
}
/* Waits for the turn of one event. 0; ECANCELED, ETIMEDOUT. */
static inline int weir_leaky_wait_until(weir_ctx *ctx, weir_leaky *l, weir_ns deadline)
{
    return weir_limiter_wait_until(ctx, &l->limiter, 1, deadline);
}
static inline int weir_leaky_wait(weir_ctx *ctx, weir_leaky *l)
{
    return weir_leaky_wait_until(ctx, l, WEIR_FOREVER);
}

#endif /* WEIR_GUARD_LEAKY_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_LEAKY_IMPLEMENTED)
#define WEIR_GUARD_LEAKY_IMPLEMENTED

WEIR_API int weir_leaky_init(weir_leaky *l, double rate, int64_t slack, weir_clock *clock)
{
    if (!(rate > 0) || slack < 0 || slack >= WEIR_BURST_MAX ||
        weir_limiter_init(&l->limiter, rate, 1 + slack, clock) != 0)
        return EINVAL;
    return slack == 0 ? 0 : weir_limiter_allow(&l->limiter, slack); /* nothing has been saved yet */
}

#endif /* WEIR_GUARD_LEAKY_IMPLEMENTED */
