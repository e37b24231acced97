/* tests/guard/test_breaker.c: what is refused, when it opens, generations of permits, by hand, the callback. */
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
    bench_begin_due(&t, (weir_breaker_config){.successes = 2});
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    copy = permit;
    CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(weir_breaker_done(&t.b, &copy, WEIR_BREAKER_SUCCESS), EINVAL); /* nobody is under way */
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_HALF_OPEN);
    CHECK_INT(tally(&t).successes, 1);
    CHECK_INT(tally(&t).under_way, 0);
    bench_begin_due(&t, (weir_breaker_config){.successes = 2});
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
    bench_begin_due(&t, (weir_breaker_config){0});
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
