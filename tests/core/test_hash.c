/* tests/core/test_hash.c: SipHash-2-4, against the vectors of its authors' reference (seed 00…0f, input 00, 01, 02 …). */
#include "harness.h"

TEST(it_gives_the_published_numbers)
{
    static const uint64_t seed[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    unsigned char bytes[64];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    CHECK(weir_hash(seed, bytes, 0) == UINT64_C(0x726fdb47dd0e0e31));
    CHECK(weir_hash(seed, bytes, 1) == UINT64_C(0x74f839c593dc67fd));
    CHECK(weir_hash(seed, bytes, 8) == UINT64_C(0x93f5f5799a932462));
    CHECK(weir_hash(seed, bytes, 15) == UINT64_C(0xa129ca6149be45e5)); /* the example of the paper's appendix */
    CHECK(weir_hash(seed, bytes + 1, 15) != weir_hash(seed, bytes, 15));
}
