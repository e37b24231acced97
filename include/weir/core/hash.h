/* weir/core/hash.h: a 64-bit number for some bytes, which nobody can aim at who does not know the seed.
 *
 * SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012). Keys often come from outside (addresses, names); with
 * a hash that can be computed there, a flood of keys that collide is easily made. The test has the paper's own vector.
 */
#ifndef WEIR_CORE_HASH_H
#define WEIR_CORE_HASH_H

#include "config.h"

#include <string.h>

/* The number of `size` bytes under a seed of two words. Any thread; wait-free. */
WEIR_API uint64_t weir_hash(const uint64_t seed[2], const void *bytes, size_t size);

#endif /* WEIR_CORE_HASH_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_HASH_IMPLEMENTED)
#define WEIR_CORE_HASH_IMPLEMENTED

static uint64_t weir__hash_turn(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void weir__hash_rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[1] = weir__hash_turn(v[1], 13) ^ v[0];
        v[0] = weir__hash_turn(v[0], 32);
        v[2] += v[3];
        v[3] = weir__hash_turn(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = weir__hash_turn(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = weir__hash_turn(v[1], 17) ^ v[2];
        v[2] = weir__hash_turn(v[2], 32);
    }
}

WEIR_API uint64_t weir_hash(const uint64_t seed[2], const void *bytes, size_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t v[4];
    v[0] = seed[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = seed[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = seed[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = seed[1] ^ UINT64_C(0x7465646279746573);
    /* Words of eight bytes, the lowest first; the last one holds what is left, and the size in its highest byte. */
    for (size_t left = size;; left -= 8, at += 8) {
        const size_t n = left < 8 ? left : 8;
        uint64_t word = n < 8 ? (uint64_t)size << 56 : 0;
        for (size_t i = 0; i < n; i++)
            word |= (uint64_t)at[i] << (8 * i);
        v[3] ^= word;
        weir__hash_rounds(v, 2);
        v[0] ^= word;
        if (n < 8)
            break;
    }
    v[2] ^= 0xff;
    weir__hash_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif /* WEIR_CORE_HASH_IMPLEMENTED */
