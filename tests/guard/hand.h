/* tests/guard/hand.h: a clock that a test moves by hand; who sleeps on it moves it to the end of the sleep, at once. */
#ifndef WEIR_TEST_GUARD_HAND_H
#define WEIR_TEST_GUARD_HAND_H

#include "harness.h"

struct hand {
    weir_clock clock;      /* first */
    weir_ns at;            /* atomic */
    int looks;             /* how often it has been read; atomic */
    int slept;             /* how many sleeps so far; atomic */
    weir_ctx *cancels;     /* the next sleep cancels this first, half-way */
    void (*held_up)(void); /* the next reading is followed by this, before its reader goes on */
};

static inline weir_ns hand_now(weir_clock *clock)
{
    struct hand *h = (struct hand *)(void *)clock;
    const weir_ns at = __atomic_load_n(&h->at, __ATOMIC_ACQUIRE);
    void (*held_up)(void) = h->held_up;
    __atomic_add_fetch(&h->looks, 1, __ATOMIC_ACQ_REL); /* after it: who sees the count knows which time was read */
    if (held_up != NULL) {
        h->held_up = NULL;
        held_up();
    }
    return at;
}

static inline int hand_sleep(weir_clock *clock, weir_ctx *ctx, weir_ns until)
{
    struct hand *h = (struct hand *)(void *)clock;
    weir_ns at = hand_now(clock);
    __atomic_add_fetch(&h->slept, 1, __ATOMIC_RELAXED);
    if (h->cancels != NULL) {
        __atomic_store_n(&h->at, at + (until - at) / 2, __ATOMIC_RELEASE);
        weir_ctx_cancel(h->cancels, 0);
        h->cancels = NULL;
    }
    if (ctx != NULL && weir_ctx_err(ctx) != 0)
        return weir_ctx_err(ctx);
    while (at < until && !__atomic_compare_exchange_n(&h->at, &at, until, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {}
    return 0;
}

static inline void hand_init(struct hand *h, weir_ns at)
{
    memset(h, 0, sizeof *h);
    h->clock.now = hand_now;
    h->clock.sleep = hand_sleep;
    h->at = at;
}

/* Any thread. */
static inline void hand_set(struct hand *h, weir_ns at)
{
    __atomic_store_n(&h->at, at, __ATOMIC_RELEASE);
}

static inline int hand_looks(struct hand *h)
{
    return __atomic_load_n(&h->looks, __ATOMIC_ACQUIRE);
}

static inline void hand_move(struct hand *h, weir_ns by)
{
    __atomic_add_fetch(&h->at, by, __ATOMIC_ACQ_REL);
}

/* So many attempts with the default pauses, without jitter, for either of these two codes. */
static inline weir_retry_config hand_retries(struct hand *h, int attempts, const int (*codes)[2])
{
    weir_retry_config c;
    memset(&c, 0, sizeof c);
    c.attempts = attempts;
    c.codes = *codes;
    c.n_codes = 2;
    c.jitter = WEIR_JITTER_NONE;
    c.clock = &h->clock;
    return c;
}

#endif /* WEIR_TEST_GUARD_HAND_H */
