/* tests/guard/test_breaker_open.c: how long a breaker is open, and whom it admits while it is half-open. */
#include "harness.h"

#include "breaker.h"

static struct bench t;

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

TEST(half_open_admits_so_many_and_counts_them_when_they_are_admitted)
{
    weir_breaker_permit permits[4];
    bench_begin_due(&t, (weir_breaker_config){.probes = 3});
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
    bench_begin_due(&t, (weir_breaker_config){.probes = 1});
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
    bench_begin_due(&t, (weir_breaker_config){.probes = 2, .successes = 5});
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
    bench_begin_due(&t, (weir_breaker_config){.probes = 2, .successes = 1, .closes = closes_on_seventh});
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
    bench_begin_due(&t, (weir_breaker_config){.probes = 2, .closes = closes_never});
    CHECK_INT(weir_breaker_allow(&t.b, &permit), 0);
    for (int i = 0; i < 5000; i++)
        CHECK_INT(succeed(&t), 0);
    CHECK_INT(tally(&t).successes, 4095);
    CHECK_INT(tally(&t).under_way, 1);
}

TEST(half_open_ends_after_its_time_if_a_permit_never_does)
{
    weir_breaker_permit lost;
    bench_begin_due(&t, (weir_breaker_config){.half_open_time = OPEN_TIME, .growth = 3});
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
    bench_begin_due(&t, (weir_breaker_config){0});
    CHECK_INT(weir_breaker_allow(&t.b, &slow), 0);
    hand_move(&t.hand, WEIR_SEC(1000000));
    CHECK_INT(succeed(&t), EBUSY);
    CHECK_INT(weir_breaker_done(&t.b, &slow, WEIR_BREAKER_SUCCESS), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
}

/* ---- held up after the clock has been read ---- */

static void another_opens_it_anew(void)
{
    weir_breaker_reset(&t.b);
    CHECK_INT(fail(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
}

TEST(whoever_opened_it_leaves_the_time_of_a_later_opening_alone)
{
    bench_begin(&t, (weir_breaker_config){.consecutive = 1});
    t.hand.held_up = another_opens_it_anew; /* open, but not yet until when */
    CHECK_INT(fail(&t), 0);
    CHECK(t.hand.held_up == NULL);
    hand_move(&t.hand, OPEN_TIME - 1);
    CHECK_INT(succeed(&t), EAGAIN);
    hand_move(&t.hand, 1);
    CHECK_INT(succeed(&t), 0);
}

static weir_breaker_permit anothers;
static void another_is_admitted(void)
{
    CHECK_INT(weir_breaker_allow(&t.b, &anothers), 0);
}

TEST(of_two_who_find_its_time_over_one_is_the_probe)
{
    bench_begin_due(&t, (weir_breaker_config){0});
    t.hand.held_up = another_is_admitted;
    CHECK_INT(succeed(&t), EBUSY);
    CHECK_INT(tally(&t).under_way, 1);
    CHECK_INT(weir_breaker_done(&t.b, &anothers, WEIR_BREAKER_SUCCESS), 0);
    CHECK_STR(t.log, "closed>open open>half-open half-open>closed ");
}
