/* tests/guard/limiter.h: a limiter on a clock that is moved by hand, in turns of 100 ms. */
#ifndef WEIR_TEST_GUARD_LIMITER_H
#define WEIR_TEST_GUARD_LIMITER_H

#include "guard/hand.h"

enum { TURN = 100 }; /* milliseconds for a token at 10 a second */

static struct hand hand;
static weir_limiter l;

static inline void begin(double rate, int64_t burst)
{
    hand_init(&hand, WEIR_SEC(1000));
    REQUIRE(weir_limiter_init(&l, rate, burst, &hand.clock) == 0);
}
static inline void at(int64_t turns)
{
    hand.at = WEIR_SEC(1000) + WEIR_MS(turns * TURN);
}
static inline int allow(int64_t turns, int64_t n)
{
    at(turns);
    return weir_limiter_allow(&l, n);
}

#endif /* WEIR_TEST_GUARD_LIMITER_H */
