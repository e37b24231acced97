/* tests/guard/test_window_race.c: windows among threads: no more than the limit, and no less. */
#include "window.h"

enum { THREADS = 8, EVENTS = 4000 };
struct event {
    weir_ns begin, end; /* of the call; or twice the reading that it was decided on */
};
struct asker {
    struct window *w;
    struct event event[EVENTS];
    int events;
    long calls;
    unsigned random;
    struct hand *hand;
};
static struct asker askers[TEST_WIDEST];

/* The monotonic clock, remembering what it has said. */
static __thread weir_ns last_reading;
static weir_ns reading(weir_clock *clock)
{
    (void)clock;
    return last_reading = weir_now();
}
static weir_clock recording = {reading, NULL};

static void asks(void *arg)
{
    struct asker *a = (struct asker *)arg;
    for (long i = 0; i < a->calls && a->events < EVENTS; i++) {
        const weir_ns begin = weir_now();
        const int rc = allow(a->w, 1);
        CHECK(rc == 0 || rc == EAGAIN);
        if (rc != 0)
            continue;
        a->event[a->events].begin = a->w->kind == EXACT ? last_reading : begin;
        a->event[a->events++].end = a->w->kind == EXACT ? last_reading : weir_now();
    }
}

static int by_begin(const void *a, const void *b)
{
    const weir_ns x = ((const struct event *)a)->begin, y = ((const struct event *)b)->begin;
    return (x > y) - (x < y);
}

TEST(threads_never_exceed_the_bound_in_real_time)
{
    enum { LIMIT = 20 };
    const weir_ns length = WEIR_US(200);
    struct window w;
    FOR_EACH_KIND(w, LIMIT, length, &recording)
    {
        const int threads = test_wide(THREADS), most = w.kind == FIXED      ? 2 * LIMIT
                                                       : w.kind == COUNTERS ? 2 * LIMIT - 1
                                                                            : LIMIT;
        struct event *all = (struct event *)calloc((size_t)threads * EVENTS, sizeof *all);
        int n = 0;
        REQUIRE(all != NULL);
        memset(askers, 0, sizeof askers);
        for (int i = 0; i < threads; i++) {
            askers[i].w = &w;
            askers[i].calls = test_rounds(40000);
        }
        test_threads(threads, asks, askers, sizeof askers[0]);
        for (int i = 0; i < threads; i++)
            for (int k = 0; k < askers[i].events; k++)
                all[n++] = askers[i].event[k];
        qsort(all, (size_t)n, sizeof *all, by_begin);
        CHECK(n >= LIMIT);
        for (int i = 0; i < n; i++) {
            int inside = 0;
            for (int k = i; k < n && all[k].begin < all[i].begin + length; k++)
                inside += all[k].end < all[i].begin + length;
            CHECK(inside <= most);
        }
        free(all);
    }
}

/* All move one clock by hand, and ask. Nobody is too many, and afterwards no place is missing. */
static void asks_and_moves(void *arg)
{
    struct asker *a = (struct asker *)arg;
    for (long i = 0; i < a->calls; i++) {
        a->random = a->random * 1664525 + 1013904223;
        if (a->random >> 28 == 0)
            hand_move(a->hand, (a->random >> 16) % 100);
        a->events += allow(a->w, 1) == 0;
        if (i % 256 == 0)
            sched_yield();
    }
}

TEST(threads_fill_each_window_to_the_limit_and_no_further)
{
    enum { LIMIT = 7, LENGTH = 1000 };
    struct hand hand;
    struct window w;
    for (int round = 0; round < 20; round++) {
        hand_init(&hand, 0);
        FOR_EACH_KIND(w, LIMIT, LENGTH, &hand.clock)
        {
            const int threads = test_wide(4);
            const weir_ns begin = hand.at;
            int64_t n = 0;
            memset(askers, 0, sizeof askers);
            for (int i = 0; i < threads; i++) {
                askers[i].w = &w;
                askers[i].hand = &hand;
                askers[i].random = (unsigned)(round * 100 + i) * 7919 + 1;
                askers[i].calls = test_rounds(20000) / threads;
            }
            test_threads(threads, asks_and_moves, askers, sizeof askers[0]);
            for (int i = 0; i < threads; i++)
                n += askers[i].events;
            CHECK(n <= ((hand.at - begin) / LENGTH + 1) * LIMIT);
            n += room(&w);
            CHECK(n <= ((hand.at - begin) / LENGTH + 1) * LIMIT);
            hand_move(&hand, 2 * LENGTH);
            CHECK_INT(room(&w), LIMIT);
        }
    }
}

/* As many places as threads but one, again and again: all places are taken. */
static void takes_one(void *arg)
{
    struct asker *a = (struct asker *)arg;
    a->events = allow(a->w, 1) == 0;
}

TEST(the_last_place_goes_to_one)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 3, 1000, &hand.clock)
    {
        for (long round = test_rounds(1000); round > 0; round--) {
            int n = 0;
            for (int i = 0; i < 4; i++)
                askers[i].w = &w;
            test_threads(4, takes_one, askers, sizeof askers[0]);
            for (int i = 0; i < 4; i++)
                n += askers[i].events;
            CHECK_INT(n, 3);
            hand_move(&hand, 2000);
        }
    }
}

static void waits(void *arg)
{
    struct asker *a = (struct asker *)arg;
    for (int i = 0; i < a->calls; i++) {
        CHECK_INT(await(NULL, a->w, 1), 0);
        a->event[a->events].begin = a->event[a->events].end = last_reading;
        a->events++;
    }
}

TEST(threads_that_wait_all_get_in)
{
    enum { LIMIT = 8, EACH = 5 };
    struct window w;
    FOR_EACH_KIND(w, LIMIT, WEIR_MS(1), &recording)
    {
        const int threads = test_wide(THREADS);
        const weir_ns begin = weir_now();
        memset(askers, 0, sizeof askers);
        for (int i = 0; i < threads; i++) {
            askers[i].w = &w;
            askers[i].calls = EACH;
        }
        test_threads(threads, waits, askers, sizeof askers[0]);
        CHECK(weir_now() - begin >= (threads * EACH / LIMIT - 2) * WEIR_MS(1));
    }
}
