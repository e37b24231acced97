/* tests/guard/test_breaker_window.c: the share of failures among the last calls: by count, by time, and in one generation only. */
#include "faults/failing.h"

#include "breaker.h"

static struct bench t;

static bool never(const weir_breaker_tally *now, void *arg)
{
    (void)now;
    (void)arg;
    return false;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* ---- by count ---- */

TEST(the_rate_counts_only_with_enough_calls_and_from_the_threshold_on)
{
    bench_begin(&t, (weir_breaker_config){.window_calls = 10, .failure_rate = 0.6, .min_calls = 5});
    CHECK_INT(t.b.config.consecutive, 0);
    for (int i = 0; i < 4; i++)
        CHECK_INT(fail(&t), 0); /* all fail, but there are too few */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(tally(&t).calls, 4);
    CHECK_INT(tally(&t).failures, 4);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    weir_breaker_free(&t.b);
    bench_begin(&t, (weir_breaker_config){.window_calls = 10, .failure_rate = 0.6, .min_calls = 5});
    for (int i = 0; i < 4; i++)
        CHECK_INT(succeed(&t), 0);
    for (int i = 0; i < 5; i++)
        CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED); /* five of nine */
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN); /* six of ten */
    weir_breaker_free(&t.b);
}

TEST(by_default_half_of_a_full_window_opens_it)
{
    bench_begin(&t, (weir_breaker_config){.window_calls = 10});
    for (int i = 0; i < 9; i++)
        CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(succeed(&t), 0); /* a success opens nothing */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    weir_breaker_free(&t.b);
    bench_begin(&t, (weir_breaker_config){.window_calls = 10});
    for (int i = 0; i < 6; i++)
        CHECK_INT(succeed(&t), 0);
    for (int i = 0; i < 4; i++)
        CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(fail(&t), 0); /* a success has left the window: five of ten */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    weir_breaker_free(&t.b);
}

/* Against a plain array of how the calls have ended. */
static void compare_count(uint32_t window, long rounds, unsigned seed)
{
    static bool ends[40000];
    long n = 0, failures = 0;
    bench_begin(&t, (weir_breaker_config){.window_calls = window, .trips = never});
    for (long i = 0; i < rounds && n < 40000; i++) {
        const unsigned random = next_random(&seed) % 5;
        if (random == 4) {
            CHECK_INT(ignore(&t), 0);
        } else {
            ends[n] = random < 2;
            failures += ends[n] - (n >= (long)window ? ends[n - (long)window] : 0);
            n++;
            CHECK_INT(random < 2 ? fail(&t) : succeed(&t), 0);
        }
        CHECK_INT(tally(&t).calls, n < (long)window ? n : (long)window);
        CHECK_INT(tally(&t).failures, failures);
    }
    weir_breaker_free(&t.b);
}

TEST(a_window_by_count_holds_exactly_the_last_calls)
{
    const uint32_t sizes[] = {1, 2, 3, 5, 8, 100, 127, 128, 129, 1000, 1023};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        compare_count(sizes[i], test_rounds(20000), i);
}

TEST(a_window_by_count_goes_on_when_its_sequence_comes_to_its_end)
{
    for (uint32_t window = 1; window < 12; window++) {
        bool ends[64];
        int failures = 0;
        bench_begin(&t, (weir_breaker_config){.window_calls = window, .trips = never});
        for (int i = 0; i < 64; i++) {
            ends[i] = i % 3 == 0;
            failures += ends[i] - (i >= (int)window ? ends[i - (int)window] : 0);
            CHECK_INT(ends[i] ? fail(&t) : succeed(&t), 0);
            CHECK_INT(tally(&t).calls, i + 1 < (int)window ? i + 1 : (int)window);
            CHECK_INT(tally(&t).failures, failures);
            if (i == 31) { /* four million calls later, all slots as they are */
                uint64_t *head = &t.b.window.words[0];
                CHECK_INT(weir__rolling_sequence(*head), 32);
                weir__rolling_settle(&t.b.window, *head);
                *head += (WEIR__ROLLING_SEQUENCES - 48) << WEIR__ROLLING_SEQUENCE_AT;
            }
        }
        CHECK_INT(weir__rolling_sequence(t.b.window.words[0]), WEIR__ROLLING_SEQUENCES / 2 + 16);
        weir_breaker_free(&t.b);
    }
}

/* ---- by time ---- */

/* As gobreaker's own test has it: thirty seconds in ten buckets; from three calls on, at 60 % failures it opens. */
static const weir_breaker_config by_time = {
    .window_time = WEIR_SEC(30), .failure_rate = 0.6, .min_calls = 3, .probes = 3, .consecutive = 0};

TEST(a_window_by_time_lets_go_of_one_bucket_after_another)
{
    bench_begin(&t, by_time);
    t.hand.at = WEIR_SEC(3000);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(succeed(&t), 0);
        CHECK_INT(fail(&t), 0);
        CHECK_INT(ignore(&t), 0);
    }
    CHECK_INT(tally(&t).calls, 10);
    CHECK_INT(tally(&t).failures, 5);
    for (int bucket = 1; bucket < 10; bucket++) {
        hand_move(&t.hand, WEIR_SEC(3));
        CHECK_INT(succeed(&t), 0);
        CHECK_INT(tally(&t).calls, 10 + bucket);
        CHECK_INT(tally(&t).failures, 5);
    }
    hand_move(&t.hand, WEIR_SEC(3) - 1); /* the last nanosecond of the first bucket's time */
    CHECK_INT(tally(&t).calls, 19);
    hand_move(&t.hand, 1);
    CHECK_INT(tally(&t).calls, 9);
    CHECK_INT(tally(&t).failures, 0);
    for (int bucket = 8; bucket >= 0; bucket--) {
        hand_move(&t.hand, WEIR_SEC(3));
        CHECK_INT(tally(&t).calls, bucket);
    }
    weir_breaker_free(&t.b);
}

TEST(a_window_by_time_opens_at_its_rate_and_begins_empty_after_it)
{
    bench_begin(&t, by_time);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(succeed(&t), 0);
        CHECK_INT(fail(&t), 0);
        hand_move(&t.hand, WEIR_SEC(6)); /* across buckets */
    }
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED); /* five of nine */
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    CHECK_INT(tally(&t).calls, 0);
    hand_move(&t.hand, OPEN_TIME);
    for (int i = 0; i < 3; i++)
        CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(tally(&t).calls, 0); /* those of before lie within the thirty seconds still, and in another generation */
    CHECK_INT(fail(&t), 0);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(tally(&t).calls, 2);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    weir_breaker_free(&t.b);
}

/* Against all calls with their times. */
static void compare_time(weir_ns window, uint32_t buckets, unsigned seed)
{
    enum { MOST = 3000 };
    static struct {
        weir_ns at;
        bool failed;
    } ends[MOST];
    const weir_ns bucket = (window + buckets - 1) / buckets;
    bench_begin(&t, (weir_breaker_config){.window_time = window, .buckets = buckets, .trips = never});
    for (int n = 0; n < MOST; n++) {
        int calls = 0, failures = 0;
        const unsigned random = next_random(&seed);
        if (random % 4 == 0)
            hand_move(&t.hand, (weir_ns)(next_random(&seed) % (unsigned)(random % 64 == 0 ? 3 * window : bucket)));
        ends[n].at = t.hand.at / bucket;
        ends[n].failed = random % 3 == 0;
        CHECK_INT(ends[n].failed ? fail(&t) : succeed(&t), 0);
        for (int i = n; i >= 0 && ends[i].at > t.hand.at / bucket - buckets; i--) {
            calls++;
            failures += ends[i].failed;
        }
        CHECK_INT(tally(&t).calls, calls);
        CHECK_INT(tally(&t).failures, failures);
    }
    weir_breaker_free(&t.b);
}

TEST(a_window_by_time_holds_exactly_the_calls_of_its_buckets)
{
    compare_time(1000, 10, 1);
    compare_time(1000, 1, 2);
    compare_time(999, 7, 3); /* buckets of 143 */
    compare_time(WEIR_SEC(1), 64, 4);
    compare_time(5000, 1024, 5);
}

TEST(twenty_calls_are_the_least_by_default)
{
    bench_begin(&t, (weir_breaker_config){.window_time = WEIR_SEC(10)});
    CHECK_INT(trip(&t), 20);
    weir_breaker_free(&t.b);
}

TEST(a_reading_that_is_older_notes_in_its_own_bucket_or_nowhere)
{
    bench_begin(&t, (weir_breaker_config){.window_time = WEIR_SEC(10), .trips = never});
    t.hand.at = WEIR_SEC(1005);
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, -WEIR_SEC(2)); /* a bucket of its own */
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, WEIR_SEC(2));
    CHECK_INT(tally(&t).calls, 2);
    hand_move(&t.hand, -WEIR_SEC(10)); /* the same bucket, one length earlier: does not wipe the newer */
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, -WEIR_SEC(150));
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, WEIR_SEC(160));
    CHECK_INT(tally(&t).calls, 2);
    hand_move(&t.hand, -WEIR_SEC(170)); /* further back than anybody is held up: as if the clock had been set */
    CHECK_INT(fail(&t), 0);
    CHECK_INT(tally(&t).calls, 1);
    weir_breaker_free(&t.b);
}

TEST(a_bucket_that_is_full_counts_no_further)
{
    bench_begin(&t, (weir_breaker_config){.window_time = WEIR_SEC(10), .buckets = 1, .trips = never});
    CHECK_INT(fail(&t), 0);
    t.b.window.words[1] |= WEIR__ROLLING_COUNT - 1;
    CHECK_INT(fail(&t), 0);
    CHECK_INT(tally(&t).failures, 0xffffff);
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(tally(&t).calls, 0x1000000);
    weir_breaker_free(&t.b);
}

/* ---- memory ---- */

TEST(without_memory_for_the_window_there_is_no_breaker)
{
    weir_breaker b;
    const weir_breaker_config config[] = {{.window_calls = 5}, {.window_time = 5}};
    for (int i = 0; i < 2; i++) {
        const int before = allocations;
        fail_allocation = 0;
        CHECK_INT(weir_breaker_init(&b, &config[i]), ENOMEM);
        weir_breaker_free(&b);
        fail_allocation = -1;
        CHECK_INT(weir_breaker_init(&b, &config[i]), 0);
        CHECK_INT(allocations, before + 1);
        weir_breaker_free(&b);
        weir_breaker_free(&b); /* twice does no harm */
        CHECK_INT(allocations, before);
    }
}

/* ---- generations ---- */

static void late_results(weir_breaker_config config)
{
    weir_breaker_permit early[3];
    config.consecutive = 1;
    config.trips = never;
    bench_begin(&t, config);
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_breaker_allow(&t.b, &early[i]), 0);
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_done(&t.b, &early[0], WEIR_BREAKER_FAILURE), 0);
    weir_breaker_reset(&t.b);
    CHECK_INT(tally(&t).calls, 0);
    CHECK_INT(weir_breaker_done(&t.b, &early[1], WEIR_BREAKER_FAILURE), 0);
    CHECK_INT(weir_breaker_done(&t.b, &early[2], WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(tally(&t).calls, 0);
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(tally(&t).calls, 1);
    CHECK_INT(tally(&t).failures, 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    weir_breaker_free(&t.b);
}

TEST(a_late_result_is_noted_in_no_window)
{
    late_results((weir_breaker_config){.window_calls = 8});
    late_results((weir_breaker_config){.window_time = WEIR_SEC(10)});
}

TEST(rules_are_joined_by_or)
{
    bench_begin(&t, (weir_breaker_config){.window_calls = 100, .consecutive = 4});
    CHECK_INT(trip(&t), 4);
    weir_breaker_free(&t.b);
    bench_begin(&t, (weir_breaker_config){.window_calls = 100, .min_calls = 3, .consecutive = 4});
    CHECK_INT(trip(&t), 3);
    weir_breaker_free(&t.b);
}

/* ---- in parallel: nothing is lost ---- */

static void makes_calls(void *arg)
{
    struct bench *shared = (struct bench *)arg;
    for (long i = test_rounds(20000); i > 0; i--)
        CHECK_INT(i % 4 == 0 ? fail(shared) : i % 4 == 1 ? ignore(shared) : succeed(shared), 0);
}

/* How many of those that a thread makes count, and how many of them have failed. */
static long calls_made(long *failures)
{
    long ignored = 0;
    *failures = 0;
    for (long i = test_rounds(20000); i > 0; i--) {
        *failures += i % 4 == 0;
        ignored += i % 4 == 1;
    }
    return test_rounds(20000) - ignored;
}

TEST(many_threads_count_every_call)
{
    const int threads = test_wide(8);
    long failures;
    const long each = calls_made(&failures);
    bench_begin(&t, (weir_breaker_config){.window_time = WEIR_SEC(10), .trips = never});
    test_threads(threads, makes_calls, &t, 0);
    CHECK_INT(tally(&t).calls, threads * each);
    CHECK_INT(tally(&t).failures, threads * failures);
    weir_breaker_free(&t.b);
}

TEST(many_threads_leave_a_window_by_count_whole)
{
    const int threads = test_wide(4);
    long failures;
    const long made = threads * calls_made(&failures);
    for (uint32_t window = 1; window < 1024; window = window * 2 + 1) {
        bench_begin(&t, (weir_breaker_config){.window_calls = window, .trips = never});
        test_threads(threads, makes_calls, &t, 0);
        CHECK_INT(tally(&t).calls, made < window ? made : window);
        for (uint32_t i = 0; i < window; i++)
            CHECK_INT(succeed(&t), 0);
        CHECK_INT(tally(&t).failures, 0); /* had one been miscounted, it would never leave */
        for (uint32_t i = 0; i < window; i++)
            CHECK_INT(fail(&t), 0);
        CHECK_INT(tally(&t).failures, window);
        weir_breaker_free(&t.b);
    }
}
