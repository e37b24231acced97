/* tests/guard/test_adaptive.c: samples, drops, places, the next limit by itself, and the places among threads. */
#include "guard/hand.h"

/* ---- samples and drops ---- */

static void sample(weir_adaptive *a, struct hand *hand, weir_ns latency, int outcome)
{
    weir_adaptive_permit permit;
    CHECK_INT(weir_adaptive_try_acquire(a, &permit), 0);
    hand_move(hand, latency);
    CHECK_INT(weir_adaptive_release(a, &permit, outcome), 0);
}

TEST(a_dropped_sample_brings_no_latency_and_a_failed_one_nothing)
{
    struct hand hand;
    weir_adaptive a;
    weir_adaptive_config config = {.initial = 100, .clock = &hand.clock};
    hand_init(&hand, 0);
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    for (int i = 0; i < 50; i++)
        sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK); /* the first window measures: 50 samples at a limit of 25 */
    CHECK_INT(weir_adaptive_limit(&a), 100);
    CHECK_INT(a.unloaded, 1000);
    for (int i = 0; i < 1000; i++)
        sample(&a, &hand, 1, WEIR_ADAPTIVE_FAILED);
    CHECK_INT(weir__adaptive_count(a.window), 0);
    for (int i = 0; i < 199; i++)
        sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK);
    CHECK_INT(weir_adaptive_limit(&a), 100);
    sample(&a, &hand, 1, WEIR_ADAPTIVE_DROPPED); /* one is enough, and its latency counts nowhere */
    CHECK_INT(weir_adaptive_limit(&a), 90);
    CHECK_INT(a.unloaded, 1000);
    for (int i = 0; i < 180; i++)
        sample(&a, &hand, 1, WEIR_ADAPTIVE_DROPPED); /* all of a window are no more than one */
    CHECK_INT(weir_adaptive_limit(&a), 81);
    CHECK_INT(a.unloaded, 1000);
}

TEST(what_took_longer_than_the_timeout_counts_as_dropped)
{
    for (int method = WEIR_ADAPTIVE_GRADIENT; method <= WEIR_ADAPTIVE_AIMD; method++) {
        struct hand hand;
        weir_adaptive a;
        const weir_adaptive_config config = {
            .method = method, .initial = 8, .timeout = 1000, .backoff = 50, .clock = &hand.clock};
        hand_init(&hand, 0);
        CHECK_INT(weir_adaptive_init(&a, &config), 0);
        for (int i = 0; i < 64; i++)
            sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK);
        CHECK_INT(weir_adaptive_limit(&a), 8);
        for (int i = 0; i < (method == WEIR_ADAPTIVE_AIMD ? 8 : 16); i++)
            sample(&a, &hand, i == 3 ? 1001 : 1000, WEIR_ADAPTIVE_OK);
        CHECK_INT(weir_adaptive_limit(&a), 4);
    }
}

TEST(a_window_of_drops_alone_measures_nothing)
{
    struct hand hand;
    weir_adaptive a;
    const weir_adaptive_config config = {.initial = 40, .clock = &hand.clock};
    hand_init(&hand, 0);
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    for (int i = 0; i < 20; i++)
        sample(&a, &hand, 5, WEIR_ADAPTIVE_DROPPED);
    CHECK_INT(weir_adaptive_limit(&a), 36);
    for (int i = 0; i < 71; i++)
        sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK);
    CHECK_INT(weir_adaptive_limit(&a), 36);
    sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK); /* that is better than nothing; now it is measured */
    CHECK_INT(a.unloaded, 1000);
    CHECK(weir__adaptive_measures(a.window));
    CHECK_INT(weir_adaptive_limit(&a), 18);
    for (int i = 0; i < 36; i++)
        sample(&a, &hand, 2000, WEIR_ADAPTIVE_OK);
    CHECK_INT(a.unloaded, 2000);
    CHECK_INT(weir_adaptive_limit(&a), 36);
}

TEST(a_clock_that_goes_back_brings_no_sample)
{
    struct hand hand;
    weir_adaptive a;
    const weir_adaptive_config config = {.initial = 8, .clock = &hand.clock};
    hand_init(&hand, WEIR_SEC(1));
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    for (int i = 0; i < 100; i++)
        sample(&a, &hand, -1, WEIR_ADAPTIVE_OK);
    CHECK_INT(weir__adaptive_count(a.window), 0);
    sample(&a, &hand, 0, WEIR_ADAPTIVE_OK);
    CHECK_INT(weir__adaptive_count(a.window), 1);
    sample(&a, &hand, -1, WEIR_ADAPTIVE_DROPPED);
    CHECK_INT(weir__adaptive_count(a.window), 2);
    for (int i = 0; i < 14; i++)
        sample(&a, &hand, INT64_C(1) << 50, WEIR_ADAPTIVE_OK); /* longer than can be counted */
    CHECK_INT(weir_adaptive_limit(&a), 7);
}

TEST(a_faster_server_is_not_measured_where_it_is_to_be_measured_but_once)
{
    struct hand hand;
    weir_adaptive a;
    const weir_adaptive_config config = {.initial = 8, .max = 8, .measure = -1, .clock = &hand.clock};
    hand_init(&hand, 0);
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    for (int i = 0; i < 16; i++)
        sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK);
    CHECK_INT(a.unloaded, 1000);
    for (int i = 0; i < 64; i++) { /* four windows */
        sample(&a, &hand, 500, WEIR_ADAPTIVE_OK);
        CHECK(!weir__adaptive_measures(a.window));
    }
    CHECK_INT(a.unloaded, 500);
    CHECK_INT(weir_adaptive_limit(&a), 8);
}

TEST(without_any_tolerance_a_steady_server_is_given_more)
{
    struct hand hand;
    weir_adaptive a;
    weir_adaptive_permit others[7];
    const weir_adaptive_config config = {.initial = 8, .tolerance = 100, .clock = &hand.clock};
    hand_init(&hand, 0);
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    for (int i = 0; i < 16; i++)
        sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK);
    CHECK_INT(weir_adaptive_limit(&a), 8);
    for (int i = 0; i < 7; i++)
        CHECK_INT(weir_adaptive_try_acquire(&a, &others[i]), 0);
    for (int i = 0; i < 16; i++)
        sample(&a, &hand, 1000, WEIR_ADAPTIVE_OK);
    CHECK_INT(weir_adaptive_limit(&a), 9); /* a whole step */
    for (int i = 0; i < 18; i++)
        sample(&a, &hand, 1001, WEIR_ADAPTIVE_OK); /* a nanosecond more is a queue */
    CHECK_INT(weir_adaptive_limit(&a), 8);
}

/* ---- places ---- */

TEST(places_are_taken_and_given_back)
{
    weir_adaptive a;
    weir_adaptive_permit permits[6];
    const weir_adaptive_config config = {.method = WEIR_ADAPTIVE_AIMD, .initial = 5};
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    for (int i = 0; i < 5; i++)
        CHECK_INT(weir_adaptive_acquire(NULL, &a, &permits[i]), 0);
    CHECK_INT(weir_adaptive_in_flight(&a), 5);
    CHECK_INT(weir_adaptive_try_acquire(&a, &permits[5]), EAGAIN);
    CHECK_INT(weir_adaptive_release(&a, &permits[5], WEIR_ADAPTIVE_OK), EINVAL); /* holds nothing */
    CHECK_INT(weir_adaptive_acquire_until(NULL, &a, &permits[5], weir_now() + 1000), ETIMEDOUT);
    CHECK_INT(weir_adaptive_release(&a, &permits[5], WEIR_ADAPTIVE_OK), EINVAL);
    CHECK_INT(weir_adaptive_release(&a, &permits[0], -1), EINVAL);
    CHECK_INT(weir_adaptive_release(&a, &permits[0], WEIR_ADAPTIVE_DROPPED + 1), EINVAL);
    CHECK_INT(weir_adaptive_in_flight(&a), 5);
    for (int i = 0; i < 5; i++)
        CHECK_INT(weir_adaptive_release(&a, &permits[i], WEIR_ADAPTIVE_FAILED), 0);
    CHECK_INT(weir_adaptive_release(&a, &permits[0], WEIR_ADAPTIVE_FAILED), EINVAL); /* once is enough */
    CHECK_INT(weir_adaptive_in_flight(&a), 0);
    CHECK_INT(weir_adaptive_limit(&a), 5);
}

TEST(an_ended_context_gets_no_place)
{
    weir_adaptive a;
    weir_adaptive_permit permit;
    weir_ctx ctx;
    CHECK_INT(weir_adaptive_init(&a, NULL), 0);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_adaptive_acquire(&ctx, &a, &permit), ECANCELED);
    CHECK_INT(weir_adaptive_release(&a, &permit, WEIR_ADAPTIVE_OK), EINVAL);
    CHECK_INT(weir_adaptive_in_flight(&a), 0);
    weir_ctx_free(&ctx);
}

TEST(a_smaller_limit_takes_effect_as_permits_come_back)
{
    struct hand hand;
    weir_adaptive a;
    weir_adaptive_permit permits[8];
    const weir_adaptive_config config = {
        .method = WEIR_ADAPTIVE_AIMD, .initial = 8, .backoff = 50, .clock = &hand.clock};
    hand_init(&hand, 0);
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    for (int round = 0; round < 8; round++) {
        CHECK_INT(weir_adaptive_try_acquire(&a, &permits[0]), 0);
        for (int i = 1; i < 8; i++)
            CHECK_INT(weir_adaptive_try_acquire(&a, &permits[i]), round == 0 ? 0 : EAGAIN);
        if (round > 0)
            break;
        for (int i = 0; i < 8; i++) {
            CHECK_INT(weir_adaptive_release(&a, &permits[i], WEIR_ADAPTIVE_DROPPED), 0);
            CHECK_INT(weir_adaptive_in_flight(&a), 7 - i);
        }
        CHECK_INT(weir_adaptive_limit(&a), 4);
        for (int i = 0; i < 3; i++)
            CHECK_INT(weir_adaptive_try_acquire(&a, &permits[i]), 0);
    }
}

TEST(what_is_out_of_range_is_told_by_init)
{
    weir_adaptive a;
    const weir_adaptive_config bad[] = {
        {.method = 2},        {.method = -1},           {.min = -1},
        {.max = -1},          {.initial = -1},          {.max = WEIR_ADAPTIVE_MAX + 1},
        {.tolerance = 99},    {.tolerance = -5},        {.backoff = 100},
        {.backoff = -1},      {.measure = -2},          {.timeout = -1},
        {.min = 5, .max = 4}, {.min = 5, .initial = 4}, {.max = 5, .initial = 6},
        {.tolerance = 1001},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!CHECK_INT(weir_adaptive_init(&a, &bad[i]), EINVAL))
            test_say("#   %zu\n", i);
    CHECK_INT(weir_adaptive_init(&a, NULL), 0);
    CHECK_INT(weir_adaptive_limit(&a), 5);
    const weir_adaptive_config large = {.min = WEIR_ADAPTIVE_MAX}, small = {.max = 3},
                               ends = {.tolerance = 1000, .backoff = 99, .measure = 1},
                               aimd = {.method = WEIR_ADAPTIVE_AIMD};
    CHECK_INT(weir_adaptive_init(&a, &large), 0);
    CHECK_INT(weir_adaptive_limit(&a), WEIR_ADAPTIVE_MAX);
    CHECK_INT(weir_adaptive_init(&a, &small), 0);
    CHECK_INT(weir_adaptive_limit(&a), 1);
    CHECK_INT(a.kept, 3);
    CHECK_INT(weir_adaptive_init(&a, &ends), 0);
    const weir_adaptive_config least = {.tolerance = 100, .backoff = 1};
    CHECK_INT(weir_adaptive_init(&a, &least), 0);
    CHECK_INT(weir_adaptive_init(&a, &aimd), 0);
    CHECK_INT(weir_adaptive_limit(&a), 20);
}

/* What follows on a limit after a window of 100 samples; the latency without a queue is 1000, and the same each time. */
static int64_t next_limit(int64_t limit, uint64_t latency, uint64_t in_flight, uint64_t full, uint64_t recent)
{
    weir_adaptive a;
    weir__adaptive_sums s = {.latency = latency * 100, .in_flight = in_flight * 100, .full = full, .least = latency};
    const weir_adaptive_config config = {.max = 10000};
    CHECK_INT(weir_adaptive_init(&a, &config), 0);
    a.unloaded = 1000;
    a.recent = recent;
    return weir__adaptive_gradient(&a, &s, 100, limit);
}

TEST(the_next_limit_at_the_edges)
{
    CHECK_INT(next_limit(60, 1000, 60, 100, 1000), 70); /* a sixth */
    CHECK_INT(next_limit(60, 1000, 60, 50, 1000), 70);  /* half of them is enough */
    CHECK_INT(next_limit(60, 1000, 60, 49, 1000), 60);
    CHECK_INT(next_limit(8, 1000, 8, 100, 1000), 9);
    CHECK_INT(next_limit(9, 1000, 9, 100, 1000), 11);
    CHECK_INT(next_limit(60, 1010, 60, 100, 1000), 66); /* 10 of the 25 are gone: six tenths of the step */
    CHECK_INT(next_limit(60, 1024, 60, 100, 1000), 60); /* 0.4, rounded */
    CHECK_INT(next_limit(660, 1024, 660, 100, 1000), 664);
    CHECK_INT(next_limit(660, 1025, 660, 100, 1000), 660);
    CHECK_INT(next_limit(660, 1050, 660, 100, 1000), 660); /* no queue, nothing moves */
    CHECK_INT(next_limit(660, 1051, 660, 100, 1000), 700); /* 660 * 1050 / 1051 + 41 */
    CHECK_INT(next_limit(660, 1000, 660, 100, 1150), 770); /* the one before was a queue, but not much of one */
    CHECK_INT(next_limit(660, 1000, 660, 100, 1152), 770); /* (1152 + 2000) / 3 = 1050 */
    CHECK_INT(next_limit(660, 1000, 660, 100, 1153), 660);
    CHECK_INT(next_limit(320, 2000, 320, 0, 2000), 188);  /* 320 * 1050 / 2000 + 20 */
    CHECK_INT(next_limit(320, 2000, 160, 0, 2000), 160);  /* half in use: 84 + 20, but not below half */
    CHECK_INT(next_limit(320, 2000, 159, 0, 2000), 320);  /* less: as it is */
    CHECK_INT(next_limit(320, 1100, 400, 49, 1100), 320); /* more were in flight than may be: 381 + 20, unused */
    CHECK_INT(next_limit(320, 1100, 400, 50, 1100), 373); /* used: no more than a step */
    CHECK_INT(next_limit(320, 1100, 350, 50, 1100), 354);
    CHECK_INT(next_limit(31, 1500, 31, 100, 1500), 22); /* 21 + 1 */
    CHECK_INT(next_limit(32, 1500, 32, 100, 1500), 24); /* 22 + 2 */
    CHECK_INT(next_limit(60, 500, 60, 100, 500), 70);
}

/* The sums may be of more samples than are counted, and so of longer means than any latency. */
TEST(the_longest_latencies_fit_as_well)
{
    for (unsigned bits = 20; bits < 60; bits++) {
        const uint64_t latency = UINT64_C(1) << bits, in_flight = WEIR_ADAPTIVE_MAX;
        CHECK_INT(weir__adaptive_capacity(in_flight * 7, 7, latency / 4 * 3, latency), WEIR_ADAPTIVE_MAX / 4 * 3);
    }
}

TEST(the_unloaded_latency_follows)
{
    weir_adaptive a;
    weir__adaptive_sums s = {.in_flight = 1000, .least = 400};
    CHECK_INT(weir_adaptive_init(&a, NULL), 0);
    weir__adaptive_measured(&a, 1000, 400, 100);
    CHECK_INT(a.spread, 600);
    CHECK_INT(a.unloaded, 1060); /* as much more as it may be wrong by */
    CHECK_INT(a.until_measuring, 8);
    s.latency = 98000; /* 980 + 60: less than it was taken for */
    (void)weir__adaptive_gradient(&a, &s, 100, 10);
    CHECK_INT(a.unloaded, (1040 * 15 + 980) / 16);
    CHECK_INT(a.until_measuring, 8);
    a.unloaded = a.recent = 1050;
    s.latency = 105000;
    a.spread = 0;
    (void)weir__adaptive_gradient(&a, &s, 100, 10);
    CHECK_INT(a.unloaded, 1050);
    s.latency = 100000; /* exactly the tolerance */
    (void)weir__adaptive_gradient(&a, &s, 100, 10);
    CHECK_INT(a.unloaded, 1000);
    CHECK_INT(a.until_measuring, 8);
    s.latency = 95200; /* more: suspect */
    (void)weir__adaptive_gradient(&a, &s, 100, 10);
    CHECK_INT(a.unloaded, 952);
    CHECK_INT(a.until_measuring, 1);
    a.until_measuring = -1;
    weir__adaptive_measured(&a, 500, 500, 100);
    CHECK_INT(a.unloaded, 500);
    CHECK_INT(a.until_measuring, -1);
}

TEST(it_measures_when_the_limit_has_fallen_to_a_third)
{
    weir_adaptive a;
    CHECK_INT(weir_adaptive_init(&a, NULL), 0);
    CHECK(!weir__adaptive_measure(&a, 90));
    CHECK(!weir__adaptive_measure(&a, 31));
    CHECK(weir__adaptive_measure(&a, 30));
    CHECK_INT(a.kept, 30);
    CHECK_INT(a.until_measuring, 8);
    for (int i = 1; i < 8; i++)
        CHECK(!weir__adaptive_measure(&a, 30));
    CHECK(weir__adaptive_measure(&a, 30));
    CHECK_INT(a.until_measuring, 16);
    for (int i = 0; i < 200; i++)
        (void)weir__adaptive_measure(&a, 30);
    CHECK_INT(a.interval, 256);
}

TEST(roots_are_whole_parts)
{
    for (uint64_t n = 1; n < 70000; n++) {
        const uint64_t root = weir__adaptive_root(n);
        CHECK(root * root <= n && (root + 1) * (root + 1) > n);
    }
}

/* ---- threads ---- */

struct user {
    weir_adaptive *a;
    int number;
    long rounds, held;
};
static int64_t in_use, most_in_use; /* atomic */

static void user_main(void *arg)
{
    struct user *u = (struct user *)arg;
    unsigned random = (unsigned)u->number * 7919 + 1;
    for (long i = 0; i < u->rounds; i++) {
        weir_adaptive_permit permit;
        random = random * 1664525 + 1013904223;
        const int rc = random >> 30 == 0 ? weir_adaptive_try_acquire(u->a, &permit)
                       : random >> 30 == 1
                           ? weir_adaptive_acquire_until(NULL, u->a, &permit, weir_now() + (random >> 8) % 30000)
                           : weir_adaptive_acquire(NULL, u->a, &permit);
        if (rc != 0) {
            CHECK(rc == EAGAIN || rc == ETIMEDOUT);
            continue;
        }
        const int64_t now = __atomic_add_fetch(&in_use, 1, __ATOMIC_SEQ_CST);
        if (now > __atomic_load_n(&most_in_use, __ATOMIC_SEQ_CST))
            __atomic_store_n(&most_in_use, now, __ATOMIC_SEQ_CST);
        if (i % 16 == 0)
            sched_yield();
        u->held++;
        __atomic_sub_fetch(&in_use, 1, __ATOMIC_SEQ_CST);
        CHECK_INT(weir_adaptive_release(u->a, &permit,
                                        random % 8 == 0     ? WEIR_ADAPTIVE_FAILED
                                        : random % 512 == 1 ? WEIR_ADAPTIVE_DROPPED
                                                            : WEIR_ADAPTIVE_OK),
                  0);
        CHECK(weir_adaptive_limit(u->a) >= u->a->config.min && weir_adaptive_limit(u->a) <= u->a->config.max);
    }
}

TEST(threads_lose_no_place_and_take_none_beyond_the_limit)
{
    for (int method = WEIR_ADAPTIVE_GRADIENT; method <= WEIR_ADAPTIVE_AIMD; method++)
        for (int64_t max = 2; max <= 6; max += 4)
            for (int64_t min = 1; min <= max; min += max - 1) { /* min == max: the limit never moves */
                const int threads = test_wide(8);
                struct user users[TEST_WIDEST];
                weir_adaptive a;
                const weir_adaptive_config config = {
                    .method = method, .initial = min, .min = min, .max = max, .measure = 3};
                long held = 0;
                CHECK_INT(weir_adaptive_init(&a, &config), 0);
                in_use = most_in_use = 0;
                memset(users, 0, sizeof users);
                for (int i = 0; i < threads; i++) {
                    users[i].a = &a;
                    users[i].number = i;
                    users[i].rounds = test_rounds(10000) / threads;
                }
                test_threads(threads, user_main, users, sizeof users[0]);
                for (int i = 0; i < threads; i++)
                    held += users[i].held;
                CHECK(held > 0);
                CHECK(most_in_use <= max);
                CHECK_INT(weir_adaptive_in_flight(&a), 0);
                CHECK_INT(weir_sem_available(&a.places), weir_adaptive_limit(&a));
                CHECK(weir__adaptive_count(a.window) <
                      weir__adaptive_target(a.window)); /* nobody owes the end of a window */
            }
}
