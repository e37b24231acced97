/* weir/guard/rate.h: a rate in events a second as whole numbers: so many units in a nanosecond, times a power of two.
 *
 * A double has 53 bits and no nanoseconds; a bucket (guard/bucket.h) multiplies time by a rate for years, and may be off by less than one event in 1e9. So
 * the rate's mantissa is divided by 1e9 to 62 bits, once, and time is multiplied by that to 128.
 */
#ifndef WEIR_GUARD_RATE_H
#define WEIR_GUARD_RATE_H

#include "../core/config.h"

#include <string.h>

/* Events a second. Everything passes, whatever the burst. */
#define WEIR_RATE_INFINITE __builtin_inf()
#define WEIR_RATE_MAX 1e12
#define WEIR_BURST_MAX (INT64_C(1) << 40)

/* a * b / 2^shift, rounded down, modulo 2^64. */
WEIR_INLINE uint64_t weir__mul_shift(uint64_t a, uint64_t b, unsigned shift)
{
#if defined(__SIZEOF_INT128__) && !defined(WEIR__NO_INT128)
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    return shift < 128 ? (uint64_t)(product >> shift) : 0;
#else
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t middle = ah * bl + (al * bl >> 32), cross = al * bh + (uint32_t)middle;
    const uint64_t high = ah * bh + (middle >> 32) + (cross >> 32), low = a * b;
    return shift == 0 ? low : shift < 64 ? low >> shift | high << (64 - shift) : shift < 128 ? high >> (shift - 64) : 0;
#endif
}

#define WEIR__RATE_BURST (UINT64_C(1) << 58) /* a burst in units is at most this */

/* A token is 2^this units: as coarse as 2 to 4 for a nanosecond, and as the burst needs. rate: 0 … WEIR_RATE_MAX; burst: 0 … WEIR_BURST_MAX. */
WEIR_API unsigned weir__rate_token_shift(double rate, int64_t burst);
/* rate * 2^token_shift / 1e9, as the result / 2^*speed_shift: 62 bits, rounded up, so that at a rate of ten a tenth of a second is a whole token. It is too fast
 * by 2^-62 of itself. rate: above 0. */
WEIR_API uint64_t weir__rate_speed(double rate, unsigned token_shift, unsigned *speed_shift);

#endif /* WEIR_GUARD_RATE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_RATE_IMPLEMENTED)
#define WEIR_GUARD_RATE_IMPLEMENTED

/* A positive finite number as mantissa * 2^exponent, the mantissa's highest bit set. */
static uint64_t weir__double_split(double x, int *exponent)
{
    uint64_t bits, mantissa;
    memcpy(&bits, &x, sizeof bits);
    mantissa = bits & ((UINT64_C(1) << 52) - 1);
    *exponent = (int)(bits >> 52) - 1075;
    if (bits >> 52 != 0)
        mantissa |= UINT64_C(1) << 52;
    else
        ++*exponent; /* subnormal */
    for (; mantissa >> 63 == 0; mantissa <<= 1)
        --*exponent;
    return mantissa;
}

WEIR_API unsigned weir__rate_token_shift(double rate, int64_t burst)
{
    unsigned shift = 0;
    while (shift < 57 && (double)(UINT64_C(1) << shift) * rate < 2e9)
        shift++;
    while ((uint64_t)burst > WEIR__RATE_BURST >> shift)
        shift--;
    return shift;
}

WEIR_API uint64_t weir__rate_speed(double rate, unsigned token_shift, unsigned *speed_shift)
{
    int exponent;
    const uint64_t mantissa = weir__double_split(rate, &exponent), rest = (mantissa % 1000000000) << 29;
    *speed_shift = (unsigned)(29 - exponent - (int)token_shift);
    return (mantissa / 1000000000 << 29) + rest / 1000000000 + (rest % 1000000000 != 0);
}

#endif /* WEIR_GUARD_RATE_IMPLEMENTED */
