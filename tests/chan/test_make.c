/* tests/chan/test_make.c: making, freeing and asking about channels; memory of the caller's; failing allocations. */
#include <stddef.h> /* and nothing of the C library before harness.h, which says what of it is visible */
static void *counting_alloc(size_t align, size_t size);
static void counting_free(void *p);
#define WEIR_ALLOC(align, size) counting_alloc((align), (size))
#define WEIR_FREE(ptr) counting_free(ptr)
#include "harness.h"
#include "kinds.h"

/* Counts, and fails the allocation whose number is fail_at. */
static int allocations, live, fail_at;
static void *counting_alloc(size_t align, size_t size)
{
    if (++allocations == fail_at)
        return NULL;
    live++;
    return aligned_alloc(align, (size + align - 1) / align * align);
}
static void counting_free(void *p)
{
    live--;
    free(p);
}

/* Twice round the ring, from a start that is not its beginning. */
static void check_holds_exactly(const struct kind *k, void *ch, size_t capacity)
{
    uint64_t in = 0, out = 0, v;
    CHECK_INT(k->cap(ch), capacity);
    for (int round = 0; round < 3; round++) {
        for (; in - out < capacity; in++)
            CHECK_INT(k->try_send(ch, &in), 0);
        CHECK_INT(k->len(ch), capacity);
        CHECK_INT(k->try_send(ch, &in), EAGAIN);
        CHECK_INT(k->try_recv(ch, &v), 0);
        CHECK_INT(v, out++);
        CHECK_INT(k->len(ch), capacity - 1);
        CHECK_INT(k->try_send(ch, &in), 0);
        in++;
        CHECK_INT(k->try_send(ch, &in), EAGAIN);
        for (; out < in - (uint64_t)(round == 0 && capacity > 1); out++) {
            CHECK_INT(k->try_recv(ch, &v), 0);
            CHECK_INT(v, out);
        }
    }
    CHECK_INT(k->try_recv(ch, &v), EAGAIN);
    CHECK_INT(k->len(ch), 0);
}

TEST_EACH_KIND(capacity_is_exact)
{
    static const size_t capacities[] = {1, 2, 3, 4, 7, 8, 9, 10, 1000, 1023, 1024, 1025};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        void *ch;
        REQUIRE(k->make(&ch, capacities[i], NULL) == 0);
        check_holds_exactly(k, ch, capacities[i]);
        k->free(&ch);
        CHECK(ch == NULL);
    }
    CHECK_INT(live, 0);
}

/* ---- memory of the caller's ---- */

enum { GUARD = 256, PATTERN = 0xA5 };
static unsigned char arena[8192];

/* A channel in arena[GUARD + offset], with `size` bytes there; the bytes around are checked by guards_hold. */
static int make_at(const struct kind *k, void **ch, size_t capacity, size_t offset, size_t size)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, "placed", NULL, 0};
    memset(arena, PATTERN, sizeof arena);
    opt.memory = arena + GUARD + offset;
    opt.memory_size = size;
    return k->make(ch, capacity, &opt);
}

static bool guards_hold(size_t offset, size_t size)
{
    for (size_t i = 0; i < sizeof arena; i++)
        if ((i < GUARD + offset || i >= GUARD + offset + size) && arena[i] != PATTERN)
            return false;
    return true;
}

TEST_EACH_KIND(callers_memory_may_start_anywhere)
{
    enum { CAPACITY = 5, BYTES = WEIR_CHAN_BYTES(uint64_t, CAPACITY) };
    REQUIRE(GUARD + 130 + BYTES + GUARD <= sizeof arena);
    const int before = allocations;
    for (size_t offset = 0; offset <= 129; offset++) {
        void *ch;
        REQUIRE(make_at(k, &ch, CAPACITY, offset, BYTES) == 0);
        check_holds_exactly(k, ch, CAPACITY);
        CHECK_STR(k->label(ch), "placed");
        CHECK(guards_hold(offset, BYTES));
        k->free(&ch);
        CHECK(ch == NULL);
    }
    CHECK_INT(allocations, before);
    CHECK_INT(live, 0);
}

/* Finds the smallest size that is accepted at this offset: one byte less is EINVAL, and the channel stays inside it. */
static void check_least(const struct kind *k, size_t capacity, size_t offset)
{
    size_t most = WEIR_CHAN_BYTES(uint64_t, capacity), least = most;
    void *ch;
    while (least > 0 && make_at(k, &ch, capacity, offset, least - 1) == 0)
        least--;
    CHECK(least > 0);
    CHECK_INT(make_at(k, &ch, capacity, offset, least - 1), EINVAL);
    CHECK(ch == NULL);
    CHECK(guards_hold(0, 0));
    REQUIRE(make_at(k, &ch, capacity, offset, least) == 0);
    check_holds_exactly(k, ch, capacity);
    CHECK(guards_hold(offset, least));
    k->free(&ch);
}

TEST_EACH_KIND(memory_too_small_by_a_byte_is_refused)
{
    for (size_t capacity = 1; capacity <= 9; capacity++)
        for (size_t offset = 0; offset < 128; offset += capacity == 3 ? 1 : 127)
            check_least(k, capacity, offset);
    CHECK_INT(live, 0);
}

TEST_EACH_KIND(no_memory_size_is_refused)
{
    void *ch;
    CHECK_INT(make_at(k, &ch, 1, 0, 0), EINVAL);
    CHECK(ch == NULL);
    CHECK(guards_hold(0, 0));
}

struct bytes3 {
    unsigned char b[3];
};
struct bytes24 {
    uint64_t b[3];
};
struct bytes100 {
    uint32_t b[25];
};
struct aligned32 {
    _Alignas(32) unsigned char b[32];
};
struct aligned64 {
    _Alignas(64) unsigned char b[192];
};

/* WEIR_CHAN_BYTES is enough for this type in this kind, wherever the memory starts. */
#define CHECK_BYTES(kind, T, capacity)                                                                                 \
    do {                                                                                                               \
        typedef weir_##kind(T) handle_of_T;                                                                            \
        handle_of_T ch;                                                                                                \
        weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, WEIR_CHAN_BYTES(T, capacity)};                            \
        REQUIRE(GUARD + 129 + WEIR_CHAN_BYTES(T, capacity) <= sizeof arena);                                           \
        for (size_t offset = 0; offset < 129; offset++) {                                                              \
            T v;                                                                                                       \
            memset(&v, 7, sizeof v);                                                                                   \
            opt.memory = arena + GUARD + offset;                                                                       \
            memset(arena, PATTERN, sizeof arena);                                                                      \
            REQUIRE(weir_chan_make_opt(&ch, capacity, &opt) == 0);                                                     \
            for (int i = 0; i < (capacity); i++)                                                                       \
                CHECK_INT(weir_try_send(ch, &v), 0);                                                                   \
            CHECK_INT(weir_try_send(ch, &v), EAGAIN);                                                                  \
            CHECK(guards_hold(offset, opt.memory_size));                                                               \
            weir_chan_free(&ch);                                                                                       \
        }                                                                                                              \
    } while (0)
#define CHECK_BYTES_OF(T, capacity)                                                                                    \
    do {                                                                                                               \
        CHECK_BYTES(chan, T, capacity);                                                                                \
        CHECK_BYTES(spsc, T, capacity);                                                                                \
        CHECK_BYTES(mpsc, T, capacity);                                                                                \
        CHECK_BYTES(spmc, T, capacity);                                                                                \
    } while (0)

TEST(chan_bytes_suffice_for_every_type)
{
    CHECK_BYTES_OF(char, 1);
    CHECK_BYTES_OF(char, 9);
    CHECK_BYTES_OF(struct bytes3, 5);
    CHECK_BYTES_OF(struct bytes24, 7);
    CHECK_BYTES_OF(struct bytes100, 3);
    CHECK_BYTES_OF(struct aligned32, 4);
    CHECK_BYTES_OF(struct aligned64, 2);
}

/* A constant expression, so that storage can be static; it may lie at any address. */
static unsigned char static_storage[WEIR_CHAN_BYTES(uint64_t, 3)];
TEST_EACH_KIND(static_storage_will_do)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, static_storage, sizeof static_storage};
    void *ch;
    REQUIRE(k->make(&ch, 3, &opt) == 0);
    check_holds_exactly(k, ch, 3);
    k->free(&ch);
    CHECK_INT(live, 0);
}

/* ---- refusals ---- */

TEST_EACH_KIND(a_strategy_that_is_none_is_refused)
{
    static const int bad[] = {4, 5, 99, -1, INT32_MIN};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weir_chan_opt opt = {(weir_wait_strategy)bad[i], NULL, NULL, 0};
        void *ch;
        CHECK_INT(k->make(&ch, 1, &opt), EINVAL);
        CHECK(ch == NULL);
    }
    CHECK_INT(live, 0);
}

TEST_EACH_KIND(too_large_is_overflow)
{
    static const size_t huge[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / 2, SIZE_MAX / 4, SIZE_MAX / 8};
    const int before = allocations;
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        void *ch;
        CHECK_INT(k->make(&ch, huge[i], NULL), EOVERFLOW);
        CHECK(ch == NULL);
    }
    CHECK_INT(allocations, before);
}

/* The k-th allocation fails, for every k that there is: ENOMEM, a NULL handle, nothing kept. */
TEST_EACH_KIND(every_failing_allocation_is_reported)
{
    int rc = ENOMEM, failures = 0;
    void *ch;
    for (int at = 1; rc != 0 && at < 10; at++) {
        allocations = 0;
        fail_at = at;
        rc = k->make(&ch, 100, NULL);
        if (rc == 0)
            break;
        failures++;
        CHECK_INT(rc, ENOMEM);
        CHECK(ch == NULL);
        CHECK_INT(live, 0);
    }
    CHECK(failures > 0);
    REQUIRE(rc == 0);
    k->free(&ch);
    CHECK_INT(live, 0);
    fail_at = 0; /* and when none does, all of it is freed */
    REQUIRE(k->make(&ch, 100, NULL) == 0);
    k->free(&ch);
    CHECK_INT(live, 0);
}

/* ---- questions ---- */

TEST(a_timer_without_memory_is_reported)
{
    weir_timer timer;
    allocations = 0;
    fail_at = 1;
    CHECK_INT(weir_after(&timer, WEIR_SEC(1)), ENOMEM);
    CHECK(timer.core == NULL);
    fail_at = 0;
    CHECK_INT(live, 0);
}

TEST_EACH_KIND(free_nulls_the_handle_with_values_inside)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    CHECK_INT(live, 1);
    CHECK_INT(fill(k, ch, 0), 4);
    k->free(&ch);
    CHECK(ch == NULL);
    CHECK_INT(live, 0);
    k->free(&ch); /* a NULL handle is left alone */
    CHECK(ch == NULL);
    CHECK_INT(live, 0);
}

TEST_EACH_KIND(questions_are_answered)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, "ticks", NULL, 0};
    uint64_t v = 0;
    void *ch;
    REQUIRE(k->make(&ch, 3, &opt) == 0);
    CHECK(k->label(ch) == opt.name);
    CHECK_INT(k->len(ch), 0);
    CHECK(!k->is_closed(ch));
    CHECK_INT(k->try_send(ch, &v), 0);
    CHECK_INT(k->len(ch), 1);
    CHECK_INT(k->close(ch), 0);
    CHECK(k->is_closed(ch));
    CHECK_INT(k->len(ch), 1);
    CHECK_INT(k->try_send(ch, &v), EPIPE);
    CHECK_INT(k->len(ch), 1);
    CHECK_INT(k->try_recv(ch, &v), 0);
    CHECK_INT(k->len(ch), 0);
    CHECK_INT(k->cap(ch), 3);
    CHECK(k->is_closed(ch));
    k->free(&ch);
    REQUIRE(k->make(&ch, 3, NULL) == 0);
    CHECK_STR(k->label(ch), "channel");
    k->free(&ch);
}

TEST_EACH_KIND(a_null_handle_is_never_ready)
{
    uint64_t v = 5;
    CHECK_INT(k->len(NULL), 0);
    CHECK_INT(k->cap(NULL), 0);
    CHECK(!k->is_closed(NULL));
    CHECK_STR(k->label(NULL), "channel");
    CHECK_INT(k->close(NULL), EINVAL);
    CHECK_INT(k->try_send(NULL, &v), EAGAIN);
    CHECK_INT(k->try_recv(NULL, &v), EAGAIN);
    CHECK_INT(v, 5);
}

TEST(memory_that_just_suffices_is_taken)
{
    static char memory[4096] __attribute__((aligned(WEIR_CACHE_PAD)));
    const size_t least = sizeof(weir__chan) + weir__ring_bytes(WEIR__MPMC, 3, sizeof(uint64_t));
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, memory, least};
    weir_chan(uint64_t) ch;
    CHECK_INT(weir_chan_make_opt(&ch, 3, &opt), 0);
    opt.memory_size--;
    CHECK_INT(weir_chan_make_opt(&ch, 3, &opt), EINVAL);
}
