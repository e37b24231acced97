/* tests/chan/test_select_memory.c: what a select allocates, what it does without memory, and that it leaves nothing behind. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdlib.h>

/* Counts; fails when told to. One thread at a time in most tests; atomic for the others. */
static long allocations, live;
static int refuse;
static void *counting_alloc(size_t align, size_t size)
{
    if (__atomic_load_n(&refuse, __ATOMIC_RELAXED))
        return NULL;
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return aligned_alloc(align, (size + align - 1) / align * align);
}
static void counting_free(void *p)
{
    __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    free(p);
}
#define WEIR_ALLOC(align, size) counting_alloc((align), (size))
#define WEIR_FREE(ptr) counting_free(ptr)
#include "queues.h"

#include <malloc.h>

typedef weir_chan(int) int_chan;

enum { MOST = 1024 };
static weir_case cases[MOST];

static void fill_cases(int_chan idle, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cases[i] = WEIR_RECV(idle, (int *)NULL);
}

TEST(up_to_64_cases_nothing_is_allocated)
{
    int_chan idle, ready;
    int v = 1;
    REQUIRE(weir_chan_make(&idle, 0) == 0);
    REQUIRE(weir_chan_make(&ready, 1) == 0);
    const long before = allocations;
    for (size_t n = 1; n <= 64; n++) {
        fill_cases(idle, n);
        CHECK_INT(weir_try_select(cases, n), -EAGAIN);
        CHECK_INT(weir_select_until(NULL, cases, n, weir_now() + WEIR_US(10)), -ETIMEDOUT);
        cases[n - 1] = WEIR_SEND(ready, &v);
        CHECK_INT(weir_select(NULL, cases, n), n - 1);
        cases[n - 1] = WEIR_RECV(ready, &v);
        CHECK_INT(weir_select_ordered(NULL, cases, n), n - 1);
    }
    CHECK_INT(allocations, before);
    weir_chan_free(&idle);
    weir_chan_free(&ready);
    CHECK_INT(live, 0);
}

TEST(beyond_64_it_allocates_once_and_frees)
{
    int_chan idle, ready;
    int v = 1;
    REQUIRE(weir_chan_make(&idle, 0) == 0);
    REQUIRE(weir_chan_make(&ready, 1) == 0);
    static const size_t sizes[] = {65, 66, 100, 1000, MOST};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const size_t n = sizes[s];
        const long before = allocations;
        fill_cases(idle, n);
        CHECK_INT(weir_try_select(cases, n), -EAGAIN);
        CHECK_INT(weir_select_until(NULL, cases, n, weir_now() + WEIR_US(10)), -ETIMEDOUT);
        cases[n - 1] = WEIR_SEND(ready, &v);
        CHECK_INT(weir_select(NULL, cases, n), n - 1);
        CHECK_INT(weir_try_recv(ready, &v), 0);
        CHECK_INT(allocations, before + 3);
        CHECK_INT(live, 2);
    }
    weir_chan_free(&idle);
    weir_chan_free(&ready);
}

/* As weir_merge selects, which allocates nothing once it runs. */
TEST(with_memory_of_the_callers_nothing_is_allocated)
{
    int_chan idle, ready;
    int v = 0;
    REQUIRE(weir_chan_make(&idle, 0) == 0);
    REQUIRE(weir_chan_make(&ready, 1) == 0);
    CHECK_INT(weir__select_bytes(64), 0);
    static const size_t sizes[] = {65, MOST};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const size_t n = sizes[s];
        void *memory = malloc(weir__select_bytes(n)); /* address sanitizer sees one too few */
        REQUIRE(memory != NULL);
        fill_cases(idle, n);
        cases[n - 1] = WEIR_RECV(ready, &v);
        set(&refuse, 1);
        for (int i = 1; i <= 2; i++) {
            CHECK_INT(weir_try_send(ready, &i), 0);
            CHECK_INT(weir__select_in(NULL, cases, n, memory), n - 1);
            CHECK_INT(v, i);
        }
        set(&refuse, 0);
        CHECK_INT(live, 2); /* it has not been freed either */
        free(memory);
    }
    weir_chan_free(&idle);
    weir_chan_free(&ready);
}

TEST(without_memory_nothing_is_done)
{
    int_chan idle, ready;
    weir_ctx ended;
    int v = 5;
    REQUIRE(weir_chan_make(&idle, 0) == 0);
    REQUIRE(weir_chan_make(&ready, 1) == 0);
    CHECK_INT(weir_try_send(ready, &v), 0);
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    v = 0;
    fill_cases(idle, MOST);
    cases[0] = WEIR_RECV(ready, &v);
    set(&refuse, 1);
    CHECK_INT(weir_select(NULL, cases, 65), -ENOMEM);
    CHECK_INT(weir_select_ordered(NULL, cases, 65), -ENOMEM);
    CHECK_INT(weir_select_until(NULL, cases, MOST, 0), -ENOMEM);
    CHECK_INT(weir_try_select(cases, MOST), -ENOMEM);
    CHECK_INT(weir_select(&ended, cases, 65), -ENOMEM);
    CHECK_INT(v, 0);
    CHECK_INT(weir_len(ready), 1);
    CHECK_INT(weir_select(NULL, cases, 64), 0); /* needs none */
    CHECK_INT(v, 5);
    set(&refuse, 0);
    CHECK(queues_are_empty(idle));
    CHECK(queues_are_empty(ready));
    weir_ctx_free(&ended);
    weir_chan_free(&idle);
    weir_chan_free(&ready);
    CHECK_INT(live, 0);
}

/* ---- a channel that stays idle while a million selects come and go ---- */

static long parkings;
static void count_parking(const char *point)
{
    if (strcmp(point, "parking") == 0)
        parkings++;
}

static size_t heap_in_use(void)
{
    return mallinfo2().uordblks;
}

/* Most deadlines are so near that some pass before the thread lies down and some after; a few are far enough to sleep. */
static void idle_round(int which, long round, weir_case *idle_cases)
{
    if (which == 0)
        CHECK_INT(weir_try_select(idle_cases, 4), -EAGAIN);
    else
        CHECK_INT(weir_select_until(NULL, idle_cases, 4, weir_now() + (round % 200 ? 300 : WEIR_US(100))), -ETIMEDOUT);
}

TEST(a_million_selects_leave_nothing_in_an_idle_channel)
{
    int_chan meet, buffer, full;
    weir_ctx ctx;
    int v = 3;
    REQUIRE(weir_chan_make(&meet, 0) == 0);
    REQUIRE(weir_chan_make(&buffer, 4) == 0);
    REQUIRE(weir_chan_make(&full, 1) == 0);
    CHECK_INT(weir_try_send(full, &v), 0);
    weir_ctx_init(&ctx, NULL);
    weir_case idle_cases[] = {WEIR_RECV(meet, &v), WEIR_RECV(buffer, &v), WEIR_SEND(full, &v), WEIR_DONE(&ctx)};
    size_t heap = 0;
    at_point = count_parking;
    parkings = 0;
    for (int which = 0; which < 2; which++) {
        const long rounds = test_rounds(1000000);
        for (long r = 0; r < rounds; r++) {
            idle_round(which, r, idle_cases);
            if (r == 100)
                heap = heap_in_use();
        }
        CHECK_INT(heap_in_use(), heap);
        CHECK(queues_are_empty(meet));
        CHECK(queues_are_empty(buffer));
        CHECK(queues_are_empty(full));
        CHECK(ctx.watchers.first == NULL);
    }
    at_point = NULL;
    CHECK(parkings >= test_rounds(500)); /* so they did lie in the queues */
    weir_ctx_free(&ctx);
    weir_chan_free(&meet);
    weir_chan_free(&buffer);
    weir_chan_free(&full);
    CHECK_INT(live, 0);
}

/* One that always loses the same case: the winner's channel is busy, the loser's queue must not grow. */
struct feeder {
    int_chan ch;
    long rounds;
};

static void feed(void *p)
{
    struct feeder *f = (struct feeder *)p;
    for (int v = 0; v < f->rounds; v++)
        CHECK_INT(weir_send(NULL, f->ch, &v), 0);
}

TEST(a_losing_case_is_taken_off_each_time)
{
    struct feeder f;
    int_chan loses_meeting, loses_value;
    int v = 0, w = 0;
    f.rounds = test_rounds(100000);
    REQUIRE(weir_chan_make(&f.ch, 0) == 0);
    REQUIRE(weir_chan_make(&loses_meeting, 0) == 0);
    REQUIRE(weir_chan_make(&loses_value, 1) == 0);
    struct test_team *team = test_start(1, feed, &f, 0);
    weir_case both[] = {WEIR_RECV(loses_meeting, &w), WEIR_RECV(f.ch, &v), WEIR_RECV(loses_value, &w),
                        WEIR_SEND(loses_meeting, &w)};
    for (int r = 0; r < f.rounds; r++) {
        CHECK_INT(weir_select(NULL, both, 4), 1);
        CHECK_INT(v, r);
        CHECK_INT(waiting_receivers(loses_meeting) + waiting_senders(loses_meeting) + waiting_receivers(loses_value),
                  0);
    }
    test_join(team);
    CHECK(queues_are_empty(loses_meeting));
    CHECK(queues_are_empty(loses_value));
    weir_chan_free(&f.ch);
    weir_chan_free(&loses_meeting);
    weir_chan_free(&loses_value);
}
