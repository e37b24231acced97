/* tests/guard/test_breaker.c: states, permits, generations, the times of open and half-open, calls, callbacks. */
#include "harness.h"

#include "breaker.h"

#include <math.h> /* NAN */

static struct bench t;

/* ---- the defaults, and what is refused ---- */

TEST(five_failures_in_a_row_open_it_by_default_for_a_minute)
{
    weir_breaker b;
    weir_breaker_tally none;
    CHECK_INT(weir_breaker_init(&b, NULL), 0);
    CHECK_INT(b.config.consecutive, 5);
    CHECK_INT(b.config.open_time, WEIR_SEC(60));
    CHECK_INT(b.config.probes, 1);
    CHECK_INT(b.config.successes, 1);
    CHECK_INT(weir_breaker_state(&b), WEIR_BREAKER_CLOSED);
    weir_breaker_counts(&b, &none);
    CHECK(none.consecutive + none.calls + none.failures + none.under_way + none.successes + none.reopened == 0);
    weir_breaker_free(&b);
    bench_begin(&t, (weir_breaker_config){0});
    for (int i = 0; i < 4; i++)
        CHECK_INT(fail(&t), 0);
    CHECK_INT(tally(&t).consecutive, 4);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    CHECK_INT(tally(&t).consecutive, 0);
    CHECK_STR(t.log, "closed>open ");
}

TEST(a_static_breaker_needs_no_init)
{
    static weir_breaker b = WEIR_BREAKER_INIT(2, WEIR_SEC(60));
    weir_breaker made;
    weir_breaker_permit permit;
    CHECK_INT(weir_breaker_init(&made, &(weir_breaker_config){.consecutive = 2}), 0);
    made.config.buckets = made.config.min_calls = 0; /* without a window these say nothing */
    CHECK(memcmp(&made.window, &b.window, sizeof b.window) == 0);
    CHECK(b.config.growth == made.config.growth && b.config.max_open_time == made.config.max_open_time);
    CHECK(b.config.probes == made.config.probes && b.config.successes == made.config.successes);
    CHECK(b.config.failure_rate == made.config.failure_rate && b.config.half_open_time == made.config.half_open_time);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(weir_breaker_allow(&b, &permit), 0);
        CHECK_INT(weir_breaker_done(&b, &permit, WEIR_BREAKER_FAILURE), 0);
    }
    CHECK_INT(weir_breaker_allow(&b, &permit), EAGAIN);
}

static bool never(const weir_breaker_tally *now, void *arg)
{
    (void)now;
    (void)arg;
    return false;
}

TEST(numbers_out_of_range_are_refused)
{
    const weir_breaker_config bad[] = {
        {.consecutive = 0x1000000},
        {.probes = 4096},
        {.successes = 4096},
        {.open_time = -1},
        {.open_time = WEIR_SEC(2), .max_open_time = WEIR_SEC(1)},
        {.max_open_time = -1},
        {.half_open_time = -1},
        {.growth = 0.99},
        {.growth = NAN},
        {.jitter = -0.1},
        {.jitter = 1.1},
        {.jitter = NAN},
        {.window_calls = 1024},
        {.window_calls = 10, .window_time = WEIR_SEC(1)},
        {.window_calls = 10, .min_calls = 11},
        {.window_calls = 10, .failure_rate = 1.1},
        {.window_calls = 10, .failure_rate = -0.1},
        {.window_time = -1},
        {.window_time = WEIR_SEC(1), .buckets = 1025},
        {.window_calls = 10, .failure_rate = NAN},
        {.failure_rate = 0.5}, /* of what? */
    };
    const weir_breaker_config good[] = {
        {.consecutive = 0xffffff},
        {.probes = 4095, .successes = 4095},
        {.open_time = WEIR_FOREVER, .max_open_time = WEIR_FOREVER, .half_open_time = WEIR_FOREVER},
        {.max_open_time = WEIR_SEC(1)},
        {.growth = 1000, .jitter = 1},
        {.window_calls = 1023, .min_calls = 1023, .failure_rate = 1},
        {.window_time = 1, .buckets = 1024},
        {.trips = never},
    };
    weir_breaker b;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!CHECK_INT(weir_breaker_init(&b, &bad[i]), EINVAL))
            test_say("#   number %zu\n", i);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!CHECK_INT(weir_breaker_init(&b, &good[i]), 0))
            test_say("#   number %zu\n", i);
        weir_breaker_free(&b);
    }
}

TEST(states_and_errors_have_names)
{
    CHECK_STR(weir_breaker_state_text(WEIR_BREAKER_CLOSED), "closed");
    CHECK_STR(weir_breaker_state_text(WEIR_BREAKER_HALF_OPEN), "half-open");
    CHECK_STR(weir_breaker_state_text(WEIR_BREAKER_OPEN), "open");
    CHECK_STR(weir_breaker_state_text(WEIR_BREAKER_FORCED_OPEN), "forced open");
    CHECK_STR(weir_breaker_state_text(WEIR_BREAKER_DISABLED), "disabled");
    CHECK_STR(weir_breaker_state_text(100), "unknown");
    CHECK_STR(weir_error_text(EBUSY), "in use");
}

/* ---- closed ---- */

TEST(a_success_starts_the_row_anew_and_an_ignored_result_does_not)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 3});
    for (int i = 0; i < 20; i++) {
        CHECK_INT(fail(&t), 0);
        CHECK_INT(fail(&t), 0);
        CHECK_INT(ignore(&t), 0);
        CHECK_INT(tally(&t).consecutive, 2);
        CHECK_INT(succeed(&t), 0);
        CHECK_INT(tally(&t).consecutive, 0);
    }
    CHECK_INT(fail(&t), 0);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(ignore(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    CHECK_INT(t.changes, 1);
}

static bool trips_on_third(const weir_breaker_tally *now, void *arg)
{
    CHECK(arg == &t);
    return now->consecutive == 3;
}

TEST(a_rule_of_the_programs_own_replaces_the_default)
{
    bench_begin(&t, (weir_breaker_config){.trips = trips_on_third});
    CHECK_INT(t.b.config.consecutive, 0);
    CHECK_INT(trip(&t), 3);
    bench_begin(&t, (weir_breaker_config){.trips = trips_on_third, .consecutive = 2}); /* either is enough */
    CHECK_INT(trip(&t), 2);
    bench_begin(&t, (weir_breaker_config){.trips = never});
    for (int i = 0; i < 100; i++)
        CHECK_INT(fail(&t), 0);
    CHECK_INT(tally(&t).consecutive, 100);
}

/* ---- open ---- */

TEST(open_admits_none_until_its_time_has_come)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 1});
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, OPEN_TIME - 1);
    CHECK_INT(succeed(&t), EAGAIN);
    CHECK_INT(fail(&t), EAGAIN);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    hand_move(&t.hand, 1);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN); /* until somebody asks */
    CHECK_INT(ignore(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(fail(&t), 0); /* opens again, for as long */
    hand_move(&t.hand, OPEN_TIME - 1);
    CHECK_INT(succeed(&t), EAGAIN);
    hand_move(&t.hand, 1);
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(tally(&t).consecutive, 0);
    CHECK_STR(t.log, "closed>open open>half-open half-open>open open>half-open half-open>closed ");
    CHECK_INT(t.changes, 5);
}

TEST(open_lasts_no_less_than_its_time_and_two_microseconds_more_at_most)
{
    for (int i = 0; i < 3000; i += 7) {
        bench_begin(&t, (weir_breaker_config){.consecutive = 1, .open_time = WEIR_SEC(1) + 333 * i});
        hand_move(&t.hand, i);
        CHECK_INT(fail(&t), 0);
        hand_move(&t.hand, WEIR_SEC(1) + 333 * i - 1);
        CHECK_INT(succeed(&t), EAGAIN);
        hand_move(&t.hand, 1 + 2048);
        CHECK_INT(succeed(&t), 0);
    }
}

TEST(a_clock_that_goes_back_opens_and_closes_nothing_early)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .half_open_time = OPEN_TIME});
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, -WEIR_SEC(900));
    CHECK_INT(succeed(&t), EAGAIN); /* and does not look like one that is far ahead */
    hand_move(&t.hand, WEIR_SEC(900) + OPEN_TIME);
    CHECK_INT(ignore(&t), 0);
    hand_move(&t.hand, -WEIR_SEC(900));
    CHECK_INT(ignore(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
}

TEST(any_starting_point_of_the_clock_will_do)
{
    const weir_ns starts[] = {0,
                              1,
                              INT64_C(1) << 57,
                              (INT64_C(1) << 58) - WEIR_MS(1),
                              INT64_C(1) << 60,
                              INT64_C(1763000000) * 1000000000,
                              WEIR_FOREVER - WEIR_SEC(100)};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        bench_begin(&t, (weir_breaker_config){.consecutive = 1});
        t.hand.at = starts[i];
        CHECK_INT(fail(&t), 0);
        hand_move(&t.hand, OPEN_TIME - 1);
        CHECK_INT(succeed(&t), EAGAIN);
        hand_move(&t.hand, 2048);
        CHECK_INT(succeed(&t), 0);
    }
}

TEST(each_reopening_multiplies_the_open_time_up_to_the_greatest)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .growth = 2, .max_open_time = 10 * OPEN_TIME});
    CHECK_INT(fail(&t), 0);
    for (int i = 0; i < 200; i++) { /* further than a shift of 64 bits would go */
        const weir_ns lasts = i < 4 ? OPEN_TIME << i : 10 * OPEN_TIME;
        CHECK_INT(tally(&t).reopened, i < 127 ? i : 127);
        hand_move(&t.hand, lasts - 1);
        CHECK_INT(fail(&t), EAGAIN);
        hand_move(&t.hand, 1);
        CHECK_INT(fail(&t), 0);
    }
    hand_move(&t.hand, 10 * OPEN_TIME);
    CHECK_INT(succeed(&t), 0); /* closes: from the start again */
    CHECK_INT(fail(&t), 0);
    CHECK_INT(tally(&t).reopened, 0);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(succeed(&t), 0);
}

TEST(growth_without_bound_stops_at_years)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .growth = 1e300});
    for (uint32_t reopened = 1; reopened < 128; reopened++)
        CHECK_INT(weir__breaker_lasts(&t.b, weir__breaker_next(0, WEIR_BREAKER_OPEN, reopened)), WEIR__BREAKER_LONGEST);
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, WEIR__BREAKER_LONGEST - 1);
    CHECK_INT(fail(&t), EAGAIN);
    hand_move(&t.hand, 2048);
    CHECK_INT(fail(&t), 0);
}

TEST(jitter_stays_within_its_share_and_differs)
{
    weir_ns least = WEIR_FOREVER, most = 0;
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .jitter = 0.25, .max_open_time = OPEN_TIME / 5 * 6});
    for (int i = 0; i < 2000; i++) {
        const weir_ns lasts = weir__breaker_lasts(&t.b, weir__breaker_next(0, WEIR_BREAKER_OPEN, 0));
        least = lasts < least ? lasts : least;
        most = lasts > most ? lasts : most;
    }
    CHECK(least >= OPEN_TIME / 4 * 3 && least < OPEN_TIME / 100 * 77);
    CHECK_INT(most, OPEN_TIME / 5 * 6); /* the greatest is greatest of all */
    t.b.config.max_open_time = 2 * OPEN_TIME;
    for (int i = 0; i < 2000; i++) {
        const weir_ns lasts = weir__breaker_lasts(&t.b, weir__breaker_next(0, WEIR_BREAKER_OPEN, 0));
        CHECK(lasts <= OPEN_TIME / 4 * 5);
        most = lasts > most ? lasts : most;
    }
    CHECK(most > OPEN_TIME / 100 * 123);
}

/* ---- half-open ---- */

/* Open, and its time has come. */
static void begin_due(weir_breaker_config config)
{
    config.consecutive = 1;
    bench_begin(&t, config);
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, OPEN_TIME);
}

TEST(half_open_admits_so_many_and_counts_them_when_they_are_admitted)
{
    weir_breaker_permit permits[4];
    begin_due((weir_breaker_config){.probes = 3});
    for (int i = 0; i < 3; i++) {
        CHECK_INT(weir_breaker_allow(&t.b, &permits[i]), 0);
        CHECK_INT(tally(&t).under_way, i + 1);
    }
    CHECK_INT(weir_breaker_allow(&t.b, &permits[3]), EBUSY);
    CHECK_INT(weir_breaker_done(&t.b, &permits[3], WEIR_BREAKER_SUCCESS), EINVAL);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(weir_breaker_done(&t.b, &permits[i], WEIR_BREAKER_SUCCESS), 0);
        CHECK_INT(tally(&t).under_way, 2 - i);
        CHECK_INT(tally(&t).successes, i + 1);
        CHECK_INT(succeed(&t), EBUSY); /* those under way and the successes may close it as they are */
    }
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(weir_breaker_done(&t.b, &permits[2], WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_STR(t.log, "closed>open open>half-open half-open>closed ");
}

TEST(a_place_that_is_given_back_is_anothers)
{
    weir_breaker_permit a, b;
    begin_due((weir_breaker_config){.probes = 1});
    CHECK_INT(weir_breaker_allow(&t.b, &a), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(weir_breaker_allow(&t.b, &b), EBUSY);
        CHECK_INT(weir_breaker_done(&t.b, &a, WEIR_BREAKER_IGNORED), 0);
        CHECK_INT(tally(&t).under_way, 0);
        CHECK_INT(tally(&t).successes, 0);
        CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
        CHECK_INT(weir_breaker_allow(&t.b, &a), 0);
    }
    CHECK_INT(weir_breaker_done(&t.b, &a, WEIR_BREAKER_FAILURE), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
}

TEST(it_takes_so_many_successes_to_close_and_one_failure_to_reopen)
{
    begin_due((weir_breaker_config){.probes = 2, .successes = 5});
    for (int i = 0; i < 4; i++) {
        CHECK_INT(succeed(&t), 0);
        CHECK_INT(tally(&t).successes, i + 1);
        CHECK_INT(ignore(&t), 0);
    }
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    hand_move(&t.hand, OPEN_TIME);
    for (int i = 0; i < 5; i++)
        CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(t.changes, 5);
}

static bool closes_on_seventh(const weir_breaker_tally *now, void *arg)
{
    (void)arg;
    return now->successes == 7 && now->under_way == 0;
}

TEST(a_rule_of_the_programs_own_says_when_to_close)
{
    begin_due((weir_breaker_config){.probes = 2, .successes = 1, .closes = closes_on_seventh});
    for (int i = 0; i < 6; i++)
        CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
}

static bool closes_never(const weir_breaker_tally *now, void *arg)
{
    (void)arg;
    return now->successes > 4095;
}

TEST(successes_without_end_do_not_overflow)
{
    weir_breaker_permit permit;
    begin_due((weir_breaker_config){.probes = 2, .closes = closes_never});
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    for (int i = 0; i < 5000; i++)
        CHECK_INT(succeed(&t), 0);
    CHECK_INT(tally(&t).successes, 4095);
    CHECK_INT(tally(&t).under_way, 1);
}

TEST(half_open_ends_after_its_time_if_a_permit_never_does)
{
    weir_breaker_permit lost;
    begin_due((weir_breaker_config){.half_open_time = OPEN_TIME, .growth = 3});
    CHECK_INT(weir_breaker_allow(&t.b, &lost), 0);
    hand_move(&t.hand, OPEN_TIME - 1);
    CHECK_INT(succeed(&t), EBUSY);
    hand_move(&t.hand, 1);
    CHECK_INT(succeed(&t), EAGAIN);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    CHECK_INT(tally(&t).reopened, 1);
    CHECK_INT(weir_breaker_done(&t.b, &lost, WEIR_BREAKER_SUCCESS), 0); /* too late */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    hand_move(&t.hand, 3 * OPEN_TIME - 1);
    CHECK_INT(succeed(&t), EAGAIN);
    hand_move(&t.hand, 1);
    CHECK_INT(succeed(&t), 0);
    CHECK_STR(t.log, "closed>open open>half-open half-open>open open>half-open half-open>closed ");
}

TEST(half_open_has_all_the_time_if_nothing_is_said)
{
    weir_breaker_permit slow;
    begin_due((weir_breaker_config){0});
    CHECK_INT(weir_breaker_allow(&t.b, &slow), 0);
    hand_move(&t.hand, WEIR_SEC(1000000));
    CHECK_INT(succeed(&t), EBUSY);
    CHECK_INT(weir_breaker_done(&t.b, &slow, WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
}

/* ---- generations ---- */

TEST(a_result_of_an_earlier_generation_changes_nothing)
{
    weir_breaker_permit early[4], probes[3];
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .probes = 2, .successes = 2});
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_breaker_allow(&t.b, &early[i]), 0);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_done(&t.b, &early[0], WEIR_BREAKER_FAILURE), 0); /* open */
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(weir_breaker_allow(&t.b, &probes[0]), 0);
    CHECK_INT(weir_breaker_done(&t.b, &early[1], WEIR_BREAKER_FAILURE), 0); /* half-open: neither reopens it */
    CHECK_INT(weir_breaker_done(&t.b, &early[2], WEIR_BREAKER_SUCCESS), 0); /* nor helps to close it */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(tally(&t).under_way, 1);
    CHECK_INT(tally(&t).successes, 0);
    CHECK_INT(weir_breaker_allow(&t.b, &probes[1]), 0);
    CHECK_INT(weir_breaker_done(&t.b, &probes[1], WEIR_BREAKER_FAILURE), 0);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(weir_breaker_allow(&t.b, &probes[1]), 0);
    CHECK_INT(weir_breaker_done(&t.b, &probes[0], WEIR_BREAKER_IGNORED), 0); /* frees no place of the next half-open */
    CHECK_INT(tally(&t).under_way, 1);
    CHECK_INT(weir_breaker_done(&t.b, &probes[1], WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(weir_breaker_done(&t.b, &early[3], WEIR_BREAKER_FAILURE), 0); /* closed again: another closed */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(t.changes, 5);
}

TEST(a_permit_ends_once)
{
    weir_breaker_permit permit, copy, none = {0};
    bench_begin(&t, (weir_breaker_config){.consecutive = 2});
    CHECK_INT(weir_breaker_done(&t.b, &none, WEIR_BREAKER_SUCCESS), EINVAL);
    CHECK_INT(weir_breaker_done(&t.b, &none, WEIR_BREAKER_FAILURE), EINVAL);
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    CHECK_INT(weir_breaker_done(&t.b, &permit, 3), EINVAL); /* no such outcome */
    CHECK_INT(weir_breaker_done(&t.b, &permit, -1), EINVAL);
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_FAILURE), 0);
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_FAILURE), EINVAL);
    CHECK_INT(tally(&t).consecutive, 1);
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_SUCCESS), 0); /* by the short way */
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_SUCCESS), EINVAL);
    begin_due((weir_breaker_config){.successes = 2});
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    copy = permit;
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(weir_breaker_done(&t.b, &copy, WEIR_BREAKER_SUCCESS), EINVAL); /* nobody is under way */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(tally(&t).successes, 1);
    CHECK_INT(tally(&t).under_way, 0);
    begin_due((weir_breaker_config){.successes = 2});
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    copy = permit;
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_IGNORED), 0);
    CHECK_INT(weir_breaker_done(&t.b, &copy, WEIR_BREAKER_SUCCESS), EINVAL); /* also with nothing counted */
}

/* ---- by hand ---- */

TEST(forced_open_admits_none_until_it_is_reset)
{
    weir_breaker_permit permit;
    bench_begin(&t, (weir_breaker_config){.consecutive = 1});
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    CHECK_INT(weir_breaker_force(&t.b, WEIR_BREAKER_OPEN), 0);
    CHECK_INT(weir_breaker_force(&t.b, WEIR_BREAKER_FORCED_OPEN), 0); /* it is already */
    hand_move(&t.hand, 1000 * OPEN_TIME);
    CHECK_INT(succeed(&t), EAGAIN);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_FORCED_OPEN);
    weir_breaker_reset(&t.b);
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_FAILURE), 0); /* of before */
    CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_force(&t.b, WEIR_BREAKER_CLOSED), EINVAL);
    CHECK_INT(weir_breaker_force(&t.b, WEIR_BREAKER_HALF_OPEN), EINVAL);
    CHECK_INT(weir_breaker_force(&t.b, 5), EINVAL);
    CHECK_STR(t.log, "closed>forced open forced open>closed ");
}

TEST(disabled_admits_all_and_counts_nothing)
{
    weir_breaker_permit permit;
    begin_due((weir_breaker_config){0});
    CHECK_INT(weir_breaker_force(&t.b, WEIR_BREAKER_DISABLED), 0);
    for (int i = 0; i < 100; i++)
        CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_DISABLED);
    CHECK_INT(tally(&t).consecutive, 0);
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    weir_breaker_reset(&t.b);
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_FAILURE), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_STR(t.log, "closed>open open>disabled disabled>closed ");
}

TEST(a_reset_forgets_everything_also_in_closed)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 3, .growth = 2});
    CHECK_INT(fail(&t), 0);
    CHECK_INT(fail(&t), 0);
    weir_breaker_reset(&t.b);
    CHECK_INT(t.changes, 0); /* closed it was */
    CHECK_INT(trip(&t), 3);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(tally(&t).reopened, 1);
    weir_breaker_reset(&t.b);
    CHECK_INT(trip(&t), 3);
    CHECK_INT(tally(&t).reopened, 0);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(succeed(&t), 0);
    CHECK_STR(t.log,
              "closed>open open>half-open half-open>open open>closed closed>open open>half-open half-open>closed ");
}

/* ---- the callback may call the breaker ---- */

static void meddles(weir_breaker *b, int from, int to, void *arg)
{
    weir_breaker_tally now;
    weir_breaker_permit permit;
    bench_log(b, from, to, arg);
    CHECK_INT(weir_breaker_state(b), to);
    weir_breaker_counts(b, &now);
    if (to == WEIR_BREAKER_OPEN) {
        CHECK_INT(weir_breaker_allow(b, &permit), EAGAIN);
        weir_breaker_reset(b); /* calls back once more, inside */
        CHECK_INT(weir_breaker_allow(b, &permit), 0);
        CHECK_INT(weir_breaker_done(b, &permit, WEIR_BREAKER_SUCCESS), 0);
    }
}

TEST(the_callback_may_call_the_breaker)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .on_change = meddles});
    CHECK_INT(fail(&t), 0);
    CHECK_STR(t.log, "closed>open open>closed ");
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
}

/* ---- calls ---- */

static int runs;
static int returns(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    runs++;
    return *(int *)arg;
}
static int cancels_itself(weir_ctx *ctx, void *arg)
{
    weir_ctx_cancel(ctx, 0);
    return returns(ctx, arg);
}

TEST(a_call_runs_the_function_or_says_why_not)
{
    int good = 0, bad = 7;
    weir_breaker_permit permit;
    bench_begin(&t, (weir_breaker_config){.consecutive = 2});
    runs = 0;
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &good), 0);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &bad), 7);
    CHECK_INT(tally(&t).consecutive, 1);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &good), 0);
    CHECK_INT(tally(&t).consecutive, 0);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &bad), 7);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &bad), 7);
    CHECK_INT(runs, 5);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &good), EAGAIN);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &good), EBUSY);
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_IGNORED), 0);
    CHECK_INT(runs, 5);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &good), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
}

TEST(a_call_that_its_caller_has_cancelled_is_neither)
{
    int good = 0, bad = 7;
    weir_ctx ctx;
    begin_due((weir_breaker_config){.successes = 2});
    weir_ctx_init(&ctx, NULL);
    runs = 0;
    CHECK_INT(weir_breaker_call(&ctx, &t.b, returns, &good), 0);
    CHECK_INT(weir_breaker_call(&ctx, &t.b, cancels_itself, &bad), 7);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(tally(&t).under_way, 0); /* its place is free */
    CHECK_INT(tally(&t).successes, 1);
    CHECK_INT(weir_breaker_call(&ctx, &t.b, returns, &good), ECANCELED); /* not even tried */
    CHECK_INT(runs, 2);
    weir_ctx_free(&ctx);
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(weir_breaker_call(&ctx, &t.b, cancels_itself, &good), 0); /* it has succeeded all the same */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    weir_ctx_free(&ctx);
}

static int outlives_its_deadline(weir_ctx *ctx, void *arg)
{
    (void)arg;
    while (weir_ctx_err(ctx) == 0) {}
    return weir_ctx_err(ctx);
}

TEST(a_call_that_outlives_its_deadline_is_a_failure)
{
    weir_ctx ctx;
    bench_begin(&t, (weir_breaker_config){.consecutive = 1});
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(2));
    CHECK_INT(weir_breaker_call(&ctx, &t.b, outlives_its_deadline, NULL), ETIMEDOUT);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    weir_breaker_reset(&t.b);
    CHECK_INT(weir_breaker_call(&ctx, &t.b, outlives_its_deadline, NULL), ETIMEDOUT); /* not even tried */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    weir_ctx_free(&ctx);
}

/* 4xx is the caller's own fault: a success of the service; 1 is not its affair; the rest as it is. */
static int classifies(int rc, int outcome, void *arg)
{
    CHECK(arg == &t);
    CHECK_INT(outcome, rc == 0 ? WEIR_BREAKER_SUCCESS : WEIR_BREAKER_FAILURE);
    return rc >= 400 && rc < 500 ? WEIR_BREAKER_SUCCESS : rc == 1 ? WEIR_BREAKER_IGNORED : rc == 99 ? 99 : outcome;
}

TEST(the_program_may_say_what_a_result_means)
{
    int ok = 0, theirs = 404, nobodys = 1, ours = 500, nonsense = 99;
    begin_due((weir_breaker_config){.successes = 3, .classify = classifies});
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &theirs), 404);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &nobodys), 1);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &ok), 0);
    CHECK_INT(tally(&t).successes, 2);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &ours), 500);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(weir_breaker_call(NULL, &t.b, returns, &nonsense), 99); /* what it says is nothing: a failure */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
}

/* ---- on the clock that is there ---- */

TEST(without_a_clock_of_its_own_it_goes_by_the_monotonic_one)
{
    weir_breaker b;
    weir_breaker_permit permit;
    const weir_ns begun = weir_now();
    CHECK_INT(weir_breaker_init(&b, &(weir_breaker_config){.consecutive = 1, .open_time = WEIR_MS(3)}), 0);
    CHECK_INT(weir_breaker_allow(&b, &permit), 0);
    CHECK_INT(weir_breaker_done(&b, &permit, WEIR_BREAKER_FAILURE), 0);
    EVENTUALLY(weir_breaker_allow(&b, &permit) == 0);
    CHECK(weir_now() - begun >= WEIR_MS(3));
    CHECK_INT(weir_breaker_done(&b, &permit, WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(weir_breaker_state(&b), WEIR_BREAKER_CLOSED);
}
