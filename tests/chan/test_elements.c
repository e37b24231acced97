/* tests/chan/test_elements.c: elements of all sizes and alignments arrive as they were sent, and nothing beside them is touched. */
#include "harness.h"

#define BYTES_TYPE(n)                                                                                                  \
    struct bytes##n {                                                                                                  \
        unsigned char b[n];                                                                                            \
    }
BYTES_TYPE(1);
BYTES_TYPE(2);
BYTES_TYPE(3);
BYTES_TYPE(4);
BYTES_TYPE(5);
BYTES_TYPE(7);
BYTES_TYPE(8);
BYTES_TYPE(9);
BYTES_TYPE(15);
BYTES_TYPE(16);
BYTES_TYPE(17);
BYTES_TYPE(63);
BYTES_TYPE(64);
BYTES_TYPE(65);
BYTES_TYPE(100);
BYTES_TYPE(1000);
BYTES_TYPE(4096);
typedef void *pointer;
struct words3 {
    uint64_t w[3];
};
struct aligned16 {
    _Alignas(16) unsigned char b[16];
};
struct aligned32 {
    _Alignas(32) unsigned char b[96];
};
struct aligned64 {
    _Alignas(64) unsigned char b[64];
};

/* Every byte depends on the value's number and on its place. */
static void paint(void *p, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)p)[i] = (unsigned char)(number * 37 + i * 11 + (i >> 8));
}

static bool painted(const void *p, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++)
        if (((const unsigned char *)p)[i] != (unsigned char)(number * 37 + i * 11 + (i >> 8)))
            return false;
    return true;
}

/* Three at a time through a ring of three; v[0] and v[2] are the neighbours of the one that is written. */
#define CHECK_ELEMENT(kind, T)                                                                                         \
    do {                                                                                                               \
        typedef weir_##kind(T) handle_of_T;                                                                            \
        handle_of_T ch;                                                                                                \
        static T v[3];                                                                                                 \
        REQUIRE(weir_chan_make(&ch, 3) == 0);                                                                          \
        for (unsigned round = 0; round < 10; round++) {                                                                \
            for (unsigned i = 0; i < 1 + round % 3; i++) {                                                             \
                paint(&v[1], sizeof v[1], round * 3 + i);                                                              \
                CHECK_INT(weir_send(NULL, ch, &v[1]), 0);                                                              \
            }                                                                                                          \
            for (unsigned i = 0; i < 1 + round % 3; i++) {                                                             \
                memset(v, 0xEE, sizeof v);                                                                             \
                CHECK_INT(i == 1 ? weir_try_recv(ch, &v[1]) : weir_recv(NULL, ch, &v[1]), 0);                          \
                CHECK(painted(&v[1], sizeof v[1], round * 3 + i));                                                     \
                CHECK(((unsigned char *)v)[sizeof v[0] - 1] == 0xEE && *(unsigned char *)&v[2] == 0xEE);               \
            }                                                                                                          \
        }                                                                                                              \
        weir_chan_free(&ch);                                                                                           \
    } while (0)

/* In place: each slot is aligned for the type, and the values do not overlap. */
#define CHECK_SLOTS(kind, T)                                                                                           \
    do {                                                                                                               \
        typedef weir_##kind(T) handle_of_T;                                                                            \
        handle_of_T ch;                                                                                                \
        T *slot = NULL, v;                                                                                             \
        REQUIRE(weir_chan_make(&ch, 3) == 0);                                                                          \
        for (unsigned i = 0; i < 3; i++) {                                                                             \
            REQUIRE(weir_reserve(NULL, ch, &slot) == 0);                                                               \
            CHECK_INT((uintptr_t)slot % _Alignof(T), 0);                                                               \
            paint(slot, sizeof *slot, i);                                                                              \
            CHECK_INT(weir_commit(ch, slot), 0);                                                                       \
        }                                                                                                              \
        for (unsigned i = 0; i < 3; i++) {                                                                             \
            CHECK_INT(weir_recv(NULL, ch, &v), 0);                                                                     \
            CHECK(painted(&v, sizeof v, i));                                                                           \
        }                                                                                                              \
        weir_chan_free(&ch);                                                                                           \
    } while (0)

/* In one piece, and past the end of the ring. */
#define CHECK_BATCH(kind, T)                                                                                           \
    do {                                                                                                               \
        typedef weir_##kind(T) handle_of_T;                                                                            \
        handle_of_T ch;                                                                                                \
        static T in[4], out[5];                                                                                        \
        size_t n;                                                                                                      \
        REQUIRE(weir_chan_make(&ch, 7) == 0);                                                                          \
        for (unsigned round = 0; round < 8; round++) {                                                                 \
            for (unsigned i = 0; i < 4; i++)                                                                           \
                paint(&in[i], sizeof in[i], round * 4 + i);                                                            \
            CHECK_INT(weir_send_n(NULL, ch, in, 4, &n), 0);                                                            \
            CHECK_INT(n, 4);                                                                                           \
            memset(out, 0xEE, sizeof out);                                                                             \
            CHECK_INT(weir_recv_n(NULL, ch, out, 5, &n), 0);                                                           \
            CHECK_INT(n, 4);                                                                                           \
            for (unsigned i = 0; i < 4; i++)                                                                           \
                CHECK(painted(&out[i], sizeof out[i], round * 4 + i));                                                 \
        }                                                                                                              \
        weir_chan_free(&ch);                                                                                           \
    } while (0)

#define ALL_ELEMENTS(CHECK_ONE, kind)                                                                                  \
    CHECK_ONE(kind, struct bytes1);                                                                                    \
    CHECK_ONE(kind, struct bytes2);                                                                                    \
    CHECK_ONE(kind, struct bytes3);                                                                                    \
    CHECK_ONE(kind, struct bytes4);                                                                                    \
    CHECK_ONE(kind, struct bytes5);                                                                                    \
    CHECK_ONE(kind, struct bytes7);                                                                                    \
    CHECK_ONE(kind, struct bytes8);                                                                                    \
    CHECK_ONE(kind, struct bytes9);                                                                                    \
    CHECK_ONE(kind, struct bytes15);                                                                                   \
    CHECK_ONE(kind, struct bytes16);                                                                                   \
    CHECK_ONE(kind, struct bytes17);                                                                                   \
    CHECK_ONE(kind, struct bytes63);                                                                                   \
    CHECK_ONE(kind, struct bytes64);                                                                                   \
    CHECK_ONE(kind, struct bytes65);                                                                                   \
    CHECK_ONE(kind, struct bytes100);                                                                                  \
    CHECK_ONE(kind, struct bytes1000);                                                                                 \
    CHECK_ONE(kind, struct bytes4096);                                                                                 \
    CHECK_ONE(kind, uint16_t);                                                                                         \
    CHECK_ONE(kind, double);                                                                                           \
    CHECK_ONE(kind, pointer);                                                                                          \
    CHECK_ONE(kind, struct words3);                                                                                    \
    CHECK_ONE(kind, struct aligned16);                                                                                 \
    CHECK_ONE(kind, struct aligned32);                                                                                 \
    CHECK_ONE(kind, struct aligned64)

#define ELEMENT_TESTS(kind)                                                                                            \
    TEST(elements_##kind)                                                                                              \
    {                                                                                                                  \
        ALL_ELEMENTS(CHECK_ELEMENT, kind);                                                                             \
    }                                                                                                                  \
    TEST(slots_##kind)                                                                                                 \
    {                                                                                                                  \
        ALL_ELEMENTS(CHECK_SLOTS, kind);                                                                               \
    }                                                                                                                  \
    TEST(batches_##kind)                                                                                               \
    {                                                                                                                  \
        ALL_ELEMENTS(CHECK_BATCH, kind);                                                                               \
    }

ELEMENT_TESTS(chan)
ELEMENT_TESTS(spsc)
ELEMENT_TESTS(mpsc)
ELEMENT_TESTS(spmc)
