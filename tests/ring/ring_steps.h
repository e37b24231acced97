/* tests/ring/ring_steps.h: tests of a ring in one thread, for every kind. Included by test_ring.c, whose positions
 * start at 0, and by test_ring_wrap.c, whose positions start where the next ones wrap; and both are compiled for
 * each choice of rings. */
#include "ring_box.h"

static const size_t capacities[] = {1, 2, 3, 10, 1000, 1024};
enum { CAPACITIES = sizeof capacities / sizeof capacities[0], SMALL = 4, BIGGEST = 4096 };

/* A value that tells its number in every byte. */
static void fill(unsigned char *value, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        value[i] = (unsigned char)((number + 1) * 0x9E3779B97F4A7C15U >> (8 * (i % 8)) ^ i / 8);
}

static int push_number(struct ring_box *b, uint64_t number)
{
    unsigned char value[BIGGEST];
    fill(value, b->size, number);
    return box_push(b, value);
}

/* Pops one, which must be `number`, intact and with nothing written around it. */
static int pop_number(struct ring_box *b, uint64_t number)
{
    unsigned char value[BIGGEST + 16], expected[BIGGEST];
    memset(value, 0x77, b->size + 16);
    const int rc = box_pop(b, value + 8);
    if (rc != 0)
        return rc;
    fill(expected, b->size, number);
    CHECK(memcmp(value + 8, expected, b->size) == 0);
    memset(expected, 0x77, 8);
    CHECK(memcmp(value, expected, 8) == 0 && memcmp(value + 8 + b->size, expected, 8) == 0);
    return 0;
}

/* ---- capacity, order, length ---- */

static void check_capacity(struct ring_box *b, uint64_t *number)
{
    const uint64_t first = *number;
    for (size_t i = 0; i < b->capacity; i++) {
        CHECK_INT(box_len(b), i);
        CHECK_INT(push_number(b, (*number)++), 0);
    }
    CHECK_INT(box_len(b), b->capacity);
    CHECK_INT(push_number(b, *number), EAGAIN);
    CHECK_INT(weir__ring_why_full(&b->ring, b->kind, b->size), EAGAIN);
    CHECK_INT(weir__ring_why_empty(&b->ring, b->kind, b->size), 0);
    CHECK_INT(box_len(b), b->capacity);
    for (size_t i = 0; i < b->capacity; i++) {
        CHECK_INT(pop_number(b, first + i), 0);
        CHECK_INT(box_len(b), b->capacity - i - 1);
        CHECK_INT(weir__ring_why_full(&b->ring, b->kind, b->size), 0);
    }
    CHECK_INT(pop_number(b, 0), EAGAIN);
    CHECK_INT(weir__ring_why_empty(&b->ring, b->kind, b->size), EAGAIN);
}

TEST(capacity_is_exact_full_and_empty_are_true)
{
    FOR_EACH_KIND(kind)
    for (int c = 0; c < CAPACITIES; c++) {
        struct ring_box *b = box_make(kind, capacities[c], 8);
        uint64_t number = 0;
        CHECK_INT(weir__ring_is_closed(&b->ring, kind), 0);
        for (int lap = 0; lap < 4; lap++)
            check_capacity(b, &number);
        box_free(b);
    }
}

/* Bursts of changing lengths, so that full and empty meet every place of the ring. */
TEST(one_fifo_over_many_laps)
{
    FOR_EACH_KIND(kind)
    for (int c = 0; c < CAPACITIES; c++) {
        const size_t capacity = capacities[c];
        struct ring_box *b = box_make(kind, capacity, 8);
        const uint64_t end = 20 * capacity + 100;
        uint64_t pushed = 0, popped = 0, dice = 12345;
        while (popped < end) {
            dice = dice * 6364136223846793005U + 1442695040888963407U;
            for (size_t n = (size_t)(dice >> 33) % (capacity + 2); n > 0; n--)
                if (CHECK_INT(push_number(b, pushed), pushed - popped == capacity ? EAGAIN : 0) &&
                    pushed - popped < capacity)
                    pushed++;
            CHECK_INT(box_len(b), pushed - popped);
            for (size_t n = (size_t)(dice >> 49) % (capacity + 2); n > 0; n--)
                if (CHECK_INT(pop_number(b, popped), pushed == popped ? EAGAIN : 0) && pushed > popped)
                    popped++;
            if (!CHECK_INT(box_len(b), pushed - popped))
                break;
        }
        box_free(b);
    }
}

/* ---- elements ---- */

static const struct {
    size_t size, align;
} elements[] = {{1, 1},  {2, 2},  {3, 1},   {4, 4},   {8, 8},    {12, 4},   {16, 16}, /* as long double or __int128 */
                {24, 8}, {64, 8}, {100, 4}, {64, 64}, {128, 64}, {192, 64}, {4096, 8}};

TEST(elements_of_all_sizes_come_out_intact_and_aligned)
{
    FOR_EACH_KIND(kind)
    for (size_t e = 0; e < sizeof elements / sizeof elements[0]; e++)
        for (int c = 0; c < SMALL; c++) {
            struct ring_box *b = box_make(kind, capacities[c], elements[e].size);
            uint64_t number = 7 * e;
            weir__claim claim;
            for (int lap = 0; lap < 5; lap++)
                check_capacity(b, &number);
            for (size_t i = 0; i < b->capacity; i++) { /* the very place of each value */
                REQUIRE(weir__ring_claim_push(&b->ring, kind, b->size, &claim));
                CHECK_INT((uintptr_t)claim.value % elements[e].align, 0);
                fill((unsigned char *)claim.value, b->size, number + i);
                weir__ring_publish(&b->ring, kind, b->size, &claim);
            }
            for (size_t i = 0; i < b->capacity; i++)
                CHECK_INT(pop_number(b, number + i), 0);
            box_free(b);
        }
}

/* ---- in place, and dropping ---- */

TEST(values_built_and_read_in_place)
{
    FOR_EACH_KIND(kind)
    for (int c = 0; c < SMALL; c++) {
        struct ring_box *b = box_make(kind, capacities[c], 24);
        for (uint64_t n = 0; n < 5 * b->capacity; n++) {
            weir__claim claim, again;
            REQUIRE(weir__ring_claim_push(&b->ring, kind, 24, &claim));
            fill((unsigned char *)claim.value, 24, n);
            weir__ring_reclaim(&b->ring, kind, 24, false, claim.value, &again);
            CHECK(again.value == claim.value);
            CHECK_INT(again.pos, claim.pos);
            weir__ring_publish(&b->ring, kind, 24, &again);
            if (on_ck(kind) && weir__many_consumers(kind)) { /* cannot be: consumers copy before they claim */
                CHECK(!weir__ring_claim_pop(&b->ring, kind, 24, &claim));
                CHECK_INT(pop_number(b, n), 0);
                continue;
            }
            unsigned char expected[24];
            fill(expected, 24, n);
            if (!weir__ring_claim_pop(&b->ring, kind, 24,
                                      &claim)) { /* a symmetric ring shows its values to those who ask why */
                REQUIRE(weir__ring_why_empty(&b->ring, kind, 24) == 0);
                REQUIRE(weir__ring_claim_pop(&b->ring, kind, 24, &claim));
            }
            CHECK(memcmp(claim.value, expected, 24) == 0);
            weir__ring_reclaim(&b->ring, kind, 24, true, claim.value, &again);
            weir__ring_release(&b->ring, kind, 24, &again);
            CHECK_INT(box_len(b), 0);
        }
        box_free(b);
    }
}

/* A symmetric ring shows its values to those who ask why there are none. */
static bool drop(struct ring_box *b, int kind)
{
    return weir__ring_pop(&b->ring, kind, NULL, b->size) ||
           (weir__ring_why_empty(&b->ring, kind, b->size) == 0 && weir__ring_pop(&b->ring, kind, NULL, b->size));
}

TEST(values_can_be_dropped)
{
    FOR_EACH_KIND(kind)
    for (int c = 0; c < SMALL; c++) {
        struct ring_box *b = box_make(kind, capacities[c], 4);
        CHECK(!drop(b, kind));
        for (uint64_t n = 0; n < 5 * b->capacity; n += b->capacity) {
            for (size_t i = 0; i < b->capacity; i++)
                CHECK_INT(push_number(b, n + i), 0);
            for (size_t i = 0; i + 1 < b->capacity; i++)
                CHECK(drop(b, kind));
            CHECK_INT(pop_number(b, n + b->capacity - 1), 0);
            CHECK(!drop(b, kind));
        }
        box_free(b);
    }
}

/* ---- closing ---- */

/* Closes a ring that holds `held` values, the first of them `offset` places after the start. */
static void check_close(int kind, size_t capacity, size_t offset, size_t held)
{
    struct ring_box *b = box_make(kind, capacity, 8);
    for (size_t i = 0; i < offset; i++) {
        CHECK_INT(push_number(b, i), 0);
        CHECK_INT(pop_number(b, i), 0);
    }
    for (size_t i = 0; i < held; i++)
        CHECK_INT(push_number(b, i), 0);
    CHECK(box_close(b));
    CHECK(weir__ring_is_closed(&b->ring, kind));
    CHECK(!box_close(b));
    CHECK_INT(box_len(b), held);
    for (size_t i = 0; i < 2 * capacity + 2; i++) /* more than there would have been room for */
        CHECK_INT(push_number(b, 99), EPIPE);
    CHECK_INT(weir__ring_why_full(&b->ring, kind, 8), EPIPE);
    CHECK_INT(box_len(b), held);
    for (size_t i = 0; i < held; i++) {
        CHECK_INT(weir__ring_why_empty(&b->ring, kind, 8), 0);
        CHECK_INT(pop_number(b, i), 0);
        CHECK_INT(box_len(b), held - i - 1);
        CHECK_INT(push_number(b, 99), EPIPE); /* not even with room */
    }
    CHECK_INT(pop_number(b, 0), EPIPE);
    CHECK_INT(pop_number(b, 0), EPIPE);
    CHECK_INT(weir__ring_why_empty(&b->ring, kind, 8), EPIPE);
    CHECK_INT(weir__ring_why_full(&b->ring, kind, 8), EPIPE);
    CHECK(!weir__ring_pop(&b->ring, kind, NULL, 8));
    CHECK(!box_close(b));
    CHECK(weir__ring_is_closed(&b->ring, kind));
    CHECK_INT(box_len(b), 0);
    box_free(b);
}

TEST(close_drains_and_then_says_closed)
{
    FOR_EACH_KIND(kind)
    {
        for (int c = 0; c < SMALL; c++)
            for (size_t offset = 0; offset <= 2 * capacities[c] + 1; offset++)
                for (size_t held = 0; held <= capacities[c]; held++)
                    check_close(kind, capacities[c], offset, held);
        check_close(kind, 1000, 999, 1000);
        check_close(kind, 1000, 500, 600);
        check_close(kind, 1024, 1024, 1024);
    }
}

/* ---- sizes that do not fit ---- */

TEST(bytes)
{
    FOR_EACH_KIND(kind)
    {
        CHECK(weir__ring_bytes(kind, 1, 1) >= 1);
        CHECK(weir__ring_bytes(kind, 1000, 24) >= 24000);
        CHECK_INT(weir__ring_bytes(kind, SIZE_MAX, 1), 0);
        CHECK_INT(weir__ring_bytes(kind, SIZE_MAX / 2, 8), 0);
        CHECK_INT(weir__ring_bytes(kind, SIZE_MAX / 8, 16), 0);
        CHECK_INT(weir__ring_bytes(kind, (size_t)1 << 40, (size_t)1 << 40), 0);
        CHECK_INT(weir__ring_bytes(kind, 2, SIZE_MAX / 2), 0);
        if (on_ck(kind))
            CHECK_INT(weir__ring_bytes(kind, ((size_t)1 << 30) + 1, 1), 0);
    }
}
