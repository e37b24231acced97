/* weir/core/random.h: random numbers for choices that should be fair, not secret.
 *
 * xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016), one state per thread, seeded
 * from its address and the clock. A range is cut out by multiplication (D. Lemire, 2019), whose bias for ranges below 2^16 is below 2^-16.
 */
#ifndef WEIR_CORE_RANDOM_H
#define WEIR_CORE_RANDOM_H

#include "config.h"
#include "time.h"

/* A number in [0, below), each equally likely; below > 0. Any thread; wait-free. */
WEIR_API uint32_t weir__random_below(uint32_t below);

/* A number in [0, 1). As above. */
static inline double weir__random_share(void)
{
    return (double)weir__random_below(UINT32_MAX) / (double)UINT32_MAX;
}

#endif /* WEIR_CORE_RANDOM_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_RANDOM_IMPLEMENTED)
#define WEIR_CORE_RANDOM_IMPLEMENTED

#ifdef WEIR_RANDOM_BELOW
WEIR_API uint32_t weir__random_below(uint32_t below)
{
    return WEIR_RANDOM_BELOW(below);
}
#else
static WEIR_THREAD_LOCAL uint64_t weir__random_state;

WEIR_API uint32_t weir__random_below(uint32_t below)
{
    uint64_t x = weir__random_state;
    if (x == 0)
        x = ((uint64_t)(uintptr_t)&weir__random_state * 0x9e3779b97f4a7c15U ^ (uint64_t)weir_now()) | 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    weir__random_state = x;
    return (uint32_t)(((x * 0x2545f4914f6cdd1dU >> 32) * below) >> 32);
}
#endif

#endif /* WEIR_CORE_RANDOM_IMPLEMENTED */
