/* tests/guard/retry.h: work that fails so often and notes when it was called, and retries without jitter on a clock that is moved by hand. */
#ifndef WEIR_TEST_GUARD_RETRY_H
#define WEIR_TEST_GUARD_RETRY_H

#include "guard/hand.h"

enum { PASSES = 7, ALSO = 8, FINAL = 9 };

static const int passing[] = {PASSES, ALSO};
static struct hand hand;

struct work {
    int calls;        /* so far; atomic */
    int fails;        /* the first so many calls return … */
    int code;         /* … this; then 0 */
    weir_ns after[8]; /* what call n asks for as its pause; 0: nothing */
    weir_ns when[32]; /* each call, on the hand */
    int attempt[32];
    int last;
    weir_ctx *cancels; /* call 1 cancels this */
};

static inline int works(weir_ctx *ctx, void *arg)
{
    struct work *w = (struct work *)arg;
    const int n = w->calls++;
    w->when[n % 32] = hand.at;
    w->attempt[n % 32] = weir_retry_attempt(ctx);
    if (n < 8 && w->after[n] != 0)
        weir_retry_after(ctx, w->after[n]);
    if (w->cancels != NULL)
        weir_ctx_cancel(w->cancels, 0);
    return n < w->fails ? w->code : w->last;
}

static inline weir_retry_config plain(int attempts)
{
    hand_init(&hand, WEIR_SEC(5));
    return hand_retries(&hand, attempts, &passing);
}

#endif /* WEIR_TEST_GUARD_RETRY_H */
