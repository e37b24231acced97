/* tests/guard/test_limiter.c: the meanings of a token bucket, on a clock moved by hand. */
#include "limiter.h"

/* ---- allow ---- */

TEST(it_begins_full_and_refills_at_its_rate)
{
    begin(10, 3);
    CHECK_INT(allow(0, 1), 0);
    CHECK_INT(allow(0, 2), 0);
    CHECK_INT(allow(0, 1), EAGAIN);
    CHECK_INT(allow(1, 1), 0);
    CHECK_INT(allow(1, 1), EAGAIN);
    hand_move(&hand, WEIR_MS(TURN) - 1); /* a nanosecond too early */
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
    CHECK_INT(allow(2, 1), 0);
    CHECK_INT(allow(4, 2), 0);
    CHECK_INT(allow(4, 0), 0);
    CHECK_INT(allow(4, 1), EAGAIN);
}

TEST(idle_time_is_capped_at_the_burst)
{
    begin(10, 3);
    CHECK_INT(allow(1000000, 3), 0);
    CHECK_INT(allow(1000000, 1), EAGAIN);
    CHECK_INT(allow(1000001, 1), 0);
    /* Also where the burst ends between two tokens: what had run over is gone. */
    begin(10, 2);
    hand_move(&hand, WEIR_MS(TURN) / 2);
    CHECK_INT(weir_limiter_allow(&l, 2), 0);
    hand_move(&hand, WEIR_MS(TURN) - 1);
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
    hand_move(&hand, 1);
    CHECK_INT(weir_limiter_allow(&l, 1), 0);
}

TEST(more_than_the_burst_is_never_and_told_from_not_now)
{
    begin(10, 3);
    CHECK_INT(allow(0, 4), EINVAL);
    CHECK_INT(allow(0, -1), EINVAL);
    CHECK_INT(allow(0, INT64_MAX), EINVAL);
    CHECK_INT(allow(0, 3), 0);
    CHECK_INT(allow(0, 3), EAGAIN);
}

TEST(a_refused_request_changes_nothing)
{
    begin(10, 3);
    CHECK_INT(allow(0, 2), 0);
    for (int i = 0; i < 1000; i++)
        CHECK_INT(allow(0, 2), EAGAIN);
    CHECK_INT(allow(0, 1), 0);
    /* Nor does it move the mark of time (go#52584): half a token made before it counts. */
    hand_move(&hand, WEIR_MS(TURN / 2));
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
    CHECK_INT(allow(1, 1), 0);
}

TEST(an_old_reading_of_the_clock_mints_nothing)
{
    begin(10, 3);
    CHECK_INT(allow(1, 3), 0);
    CHECK_INT(allow(0, 1), EAGAIN);
    CHECK_INT(allow(0, 1), EAGAIN);
    CHECK_INT(allow(1, 1), EAGAIN);
    CHECK_INT(allow(2, 1), 0);
    CHECK_INT(allow(-5000, 1), EAGAIN); /* before it was made */
    CHECK_INT(allow(3, 1), 0);
}

TEST(what_is_not_a_rate_or_a_burst_is_refused)
{
    hand_init(&hand, 0);
    CHECK_INT(weir_limiter_init(&l, -1, 1, NULL), EINVAL);
    CHECK_INT(weir_limiter_init(&l, __builtin_nan(""), 1, NULL), EINVAL);
    CHECK_INT(weir_limiter_init(&l, 2 * WEIR_RATE_MAX, 1, NULL), EINVAL);
    CHECK_INT(weir_limiter_init(&l, 1, -1, NULL), EINVAL);
    CHECK_INT(weir_limiter_init(&l, 1, WEIR_BURST_MAX + 1, NULL), EINVAL);
    CHECK_INT(weir_limiter_init(&l, WEIR_RATE_MAX, WEIR_BURST_MAX, NULL), 0);
    CHECK_INT(weir_limiter_allow(&l, WEIR_BURST_MAX), 0);
    CHECK_INT(weir_limiter_set_rate(&l, -1), EINVAL);
    CHECK_INT(weir_limiter_set_burst(&l, -1), EINVAL);
    CHECK(weir_limiter_rate(&l) == WEIR_RATE_MAX && weir_limiter_burst(&l) == WEIR_BURST_MAX);
}

TEST(rate_zero_passes_the_first_burst_only)
{
    weir_reservation r;
    begin(0, 2);
    CHECK_INT(allow(0, 2), 0);
    CHECK_INT(allow(1000000000, 1), EAGAIN);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), EAGAIN);
    CHECK_INT(weir_limiter_wait(NULL, &l, 1), ETIMEDOUT);
    CHECK_INT(weir_limiter_set_rate(&l, 10), 0);
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
    CHECK_INT(allow(1000000001, 1), 0);
}

TEST(an_infinite_rate_passes_everything)
{
    weir_reservation r;
    begin(WEIR_RATE_INFINITE, 0);
    CHECK_INT(allow(0, INT64_MAX), 0);
    CHECK_INT(allow(0, -1), EINVAL);
    CHECK_INT(weir_limiter_reserve(&l, 5, &r), 0);
    CHECK_INT(r.when, hand.at);
    CHECK_INT(weir_limiter_cancel(&l, &r), EAGAIN);
    CHECK_INT(weir_limiter_wait(NULL, &l, 5), 0);
    CHECK(weir_limiter_tokens(&l) == WEIR_RATE_INFINITE);
    CHECK_INT(weir_limiter_set_burst(&l, 2), 0);
    CHECK_INT(weir_limiter_reserve(&l, 5, &r), 0);
    CHECK_INT(weir_limiter_set_rate(&l, 10), 0);    /* from here on it counts, and begins full */
    CHECK_INT(weir_limiter_cancel(&l, &r), EAGAIN); /* it had taken nothing */
    CHECK_INT(weir_limiter_allow(&l, 2), 0);
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), 0);
    CHECK_INT(weir_limiter_set_rate(&l, WEIR_RATE_INFINITE), 0); /* nobody misses it any more */
    CHECK_INT(weir_limiter_cancel(&l, &r), EAGAIN);
}

/* ---- rates ---- */

/* Takes whatever there is at each of a billion events' worth of time. */
static void goes_through(double rate, weir_ns step, int64_t burst, double events)
{
    const int64_t turns = (int64_t)(events / (rate * 1e-9 * (double)step)) + 1;
    int64_t got = 0;
    begin(rate, burst);
    CHECK_INT(weir_limiter_allow(&l, burst), 0); /* empty it */
    for (int64_t i = 0; i < turns; i++) {
        const double due = rate * 1e-9 * (double)((i + 1) * step);
        int64_t more = (int64_t)(due - (double)got);
        hand_move(&hand, step);
        if (more > 1 && weir_limiter_allow(&l, more - 1) == 0) /* then one by one, to find the edge */
            got += more - 1;
        while (weir_limiter_allow(&l, 1) == 0)
            got++;
        if (!CHECK((double)got <= due + 1e-3 && (double)got > due - 1.001))
            return;
    }
}

TEST_LIMIT(a_billion_events_are_off_by_less_than_one, 120)
{
    goes_through(1e9, 100000, 1000000, 1e9);
    goes_through(2.5e9, 100000, 1000000, 1e9);
    goes_through(3e9, 77777, 1000000, 1e9);
    goes_through(1234567.891, 100000, 1000, 1e9 * (TEST_SANITIZED ? 0.01 : 1));
    goes_through(1.0 / 3, WEIR_SEC(1), 10, 1e6);
    goes_through(0.7692307692307693, WEIR_SEC(1), 10, 1e6);
    goes_through(1e12, 99, 10000000, 1e9);
    goes_through(7e10, 99, 10000000, 1e9);
}

TEST(every_nanosecond_at_a_billion_a_second)
{
    begin(1e9, 1);
    for (int i = 0; i < 100000; i++) {
        CHECK_INT(weir_limiter_allow(&l, 1), 0);
        CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
        hand_move(&hand, 1);
    }
}

TEST(a_rate_of_one_in_years_and_one_that_is_nearly_nothing)
{
    weir_reservation r;
    begin(WEIR_RATE_EVERY(WEIR_SEC(3600) * 24 * 365), 1);
    CHECK_INT(allow(0, 1), 0);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), 0);
    CHECK(r.when - hand.at >= WEIR_SEC(3600) * 24 * 365 && r.when - hand.at <= WEIR_SEC(3600) * 24 * 365 + 1000);
    begin(5e-324, 1);
    CHECK_INT(allow(0, 1), 0);
    CHECK_INT(allow(10000000, 1), EAGAIN);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), EAGAIN); /* in 10^315 years */
    begin(1, WEIR_BURST_MAX);
    CHECK_INT(allow(0, WEIR_BURST_MAX), 0);
    CHECK_INT(allow(9, 1), EAGAIN);
    CHECK_INT(allow(11, 1), 0); /* a unit is some microseconds, with such a burst */
}

TEST(what_is_further_ahead_than_can_be_counted_is_not_reserved)
{
    enum { MOST = 1 << 27 }; /* 2^58 units at a rate of 1 */
    weir_reservation r;
    begin(1, MOST);
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_limiter_reserve(&l, MOST, &r), 0);
    CHECK_INT(r.when - hand.at, WEIR_SEC(2) * MOST);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), EAGAIN);
    CHECK_INT(r.n, 0);
    CHECK(weir_limiter_tokens(&l) == -2.0 * (double)MOST);
    hand_move(&hand, WEIR_SEC(1));
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), 0);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), EAGAIN);
}

TEST(in_the_last_half_of_time_nothing_is_reserved_ahead)
{
    weir_reservation r;
    hand_init(&hand, WEIR_FOREVER / 2);
    REQUIRE(weir_limiter_init(&l, 1, 1, &hand.clock) == 0);
    CHECK_INT(weir_limiter_allow(&l, 1), 0);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), 0);
    CHECK_INT(r.when, WEIR_FOREVER / 2 + WEIR_SEC(1));
    hand_move(&hand, WEIR_SEC(1) + 1);
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), EAGAIN); /* for a time that might not be a number */
    hand_move(&hand, WEIR_SEC(1));
    CHECK_INT(weir_limiter_reserve(&l, 1, &r), 0);
    CHECK_INT(r.when, hand.at);
}

/* A second goes by, and another takes half of the bucket, which is full all the time. */
static void a_second_of_others(void)
{
    hand_move(&hand, WEIR_SEC(1));
    CHECK_INT(weir_limiter_allow(&l, 5), 0);
}

TEST(whoever_was_held_up_after_reading_the_clock_is_not_refused_for_being_late)
{
    weir_reservation r;
    begin(10, 10);
    hand.held_up = a_second_of_others;
    CHECK_INT(weir_limiter_allow(&l, 5), 0);
    hand_move(&hand, WEIR_SEC(1));
    hand.held_up = a_second_of_others;
    CHECK_INT(weir_limiter_reserve(&l, 5, &r), 0);
    CHECK_INT(r.when, hand.at);
}

/* ---- reserve and cancel ---- */

static int reserve(int64_t turns, int64_t n, weir_reservation *r)
{
    at(turns);
    return weir_limiter_reserve(&l, n, r);
}
/* In turns, rounded. */
static int64_t due(const weir_reservation *r)
{
    return (r->when - WEIR_SEC(1000) + WEIR_MS(TURN) / 2) / WEIR_MS(TURN);
}
#define RESERVES(turns, n, r, when)                                                                                    \
    do {                                                                                                               \
        CHECK_INT(reserve(turns, n, r), 0);                                                                            \
        CHECK_INT(due(r), when);                                                                                       \
    } while (0)

TEST(reservations_queue_one_behind_the_other)
{
    weir_reservation a, b, c;
    begin(10, 2);
    RESERVES(0, 2, &a, 0);
    RESERVES(0, 2, &b, 2);
    RESERVES(3, 2, &c, 4);
    CHECK_INT(allow(4, 1), EAGAIN);
    CHECK_INT(allow(5, 1), 0);
    CHECK_INT(reserve(5, 3, &a), EINVAL);
    CHECK_INT(a.n, 0);
}

TEST(the_time_told_is_the_first_at_which_the_tokens_are_there)
{
    static const double rates[] = {3, 0.7, 10, 1e3, 999983, 1e6, 1e9 / 7, 1e9, 3e9, 1e12};
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++)
        for (int64_t n = 1; n <= 1000; n += 37) {
            weir_reservation r;
            begin(rates[i], 1000);
            hand_move(&hand, 12345 * n);
            CHECK_INT(weir_limiter_allow(&l, 1000), 0);
            CHECK_INT(weir_limiter_reserve(&l, n, &r), 0);
            CHECK_INT(weir_limiter_cancel(&l, &r), 0);
            CHECK(r.when > hand.at);
            hand.at = r.when - 1;
            CHECK_INT(weir_limiter_allow(&l, n), EAGAIN);
            hand.at = r.when;
            CHECK_INT(weir_limiter_allow(&l, n), 0);
        }
}

TEST(cancelling_gives_back_less_what_was_reserved_after_it)
{
    weir_reservation a, b, c;
    begin(10, 2); /* the last one: all of it */
    RESERVES(0, 2, &a, 0);
    RESERVES(0, 2, &b, 2);
    CHECK_INT(weir_limiter_cancel(&l, &b), 0);
    RESERVES(1, 2, &c, 2);
    begin(10, 2); /* one with two behind it that took as much: nothing, they were told a time that counted it */
    RESERVES(0, 2, &a, 0);
    RESERVES(0, 2, &b, 2);
    RESERVES(0, 2, &c, 4);
    CHECK_INT(weir_limiter_cancel(&l, &b), EAGAIN);
    RESERVES(1, 2, &c, 6);
    begin(10, 2); /* a part */
    RESERVES(0, 2, &a, 0);
    RESERVES(0, 2, &b, 2);
    RESERVES(0, 1, &c, 3);
    CHECK_INT(weir_limiter_cancel(&l, &b), 0);
    RESERVES(1, 2, &c, 4);
    begin(10, 2); /* the second first, then the first: both whole */
    RESERVES(0, 2, &a, 0);
    RESERVES(0, 2, &b, 2);
    RESERVES(0, 1, &c, 3);
    CHECK_INT(weir_limiter_cancel(&l, &c), 0);
    CHECK_INT(weir_limiter_cancel(&l, &b), 0);
    CHECK_INT(weir_limiter_cancel(&l, &b), EAGAIN); /* once */
    RESERVES(0, 2, &c, 2);
}

TEST(nothing_is_given_back_once_its_time_has_come)
{
    weir_reservation a, b, c;
    begin(10, 2);
    RESERVES(0, 2, &a, 0);
    RESERVES(0, 2, &b, 2);
    hand.at = b.when + 1;
    CHECK_INT(weir_limiter_cancel(&l, &b), EAGAIN);
    RESERVES(3, 2, &c, 4);
    begin(10, 2); /* at its very time: it has not been used yet */
    RESERVES(0, 2, &a, 0);
    CHECK_INT(weir_limiter_cancel(&l, &a), 0);
    RESERVES(0, 2, &a, 0);
    begin(10, 2); /* none reserved */
    CHECK_INT(reserve(0, 0, &a), 0);
    CHECK_INT(weir_limiter_cancel(&l, &a), EAGAIN);
}

TEST(what_is_given_back_never_exceeds_the_burst)
{
    weir_reservation r;
    begin(10, 5);
    CHECK_INT(allow(0, 5), 0);
    RESERVES(0, 5, &r, 5);
    at(5);
    CHECK_INT(weir_limiter_set_burst(&l, 3), 0);
    CHECK_INT(weir_limiter_cancel(&l, &r), 0);
    CHECK(weir_limiter_tokens(&l) <= 3);
    CHECK_INT(weir_limiter_allow(&l, 3), 0);
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
}

/* ---- changes while it is in use ---- */

TEST(a_new_rate_counts_from_now_on)
{
    weir_reservation r;
    begin(10, 10);
    CHECK_INT(allow(0, 10), 0);
    at(3);
    CHECK_INT(weir_limiter_set_rate(&l, 20), 0);
    CHECK_INT(weir_limiter_allow(&l, 4), EAGAIN);
    CHECK_INT(weir_limiter_allow(&l, 3), 0);
    CHECK_INT(allow(4, 2), 0);
    CHECK_INT(allow(4, 1), EAGAIN);
    RESERVES(4, 2, &r, 5); /* told before the change: stays */
    CHECK_INT(weir_limiter_set_rate(&l, 5), 0);
    RESERVES(4, 1, &r, 10); /* behind a debt of 2, at 5 a second */
}

TEST(a_debt_is_a_number_of_tokens_when_the_rate_changes)
{
    weir_reservation a, b;
    begin(10, 10);
    CHECK_INT(allow(0, 10), 0);
    RESERVES(0, 4, &a, 4);
    CHECK_INT(weir_limiter_set_rate(&l, 5), 0);
    CHECK(weir_limiter_tokens(&l) == -4);
    RESERVES(0, 1, &b, 10);
    CHECK_INT(weir_limiter_set_rate(&l, 1e9), 0);
    CHECK(weir_limiter_tokens(&l) > -5.001 && weir_limiter_tokens(&l) <= -5);
    CHECK_INT(weir_limiter_cancel(&l, &b), 0);
    CHECK(weir_limiter_tokens(&l) > -4.001 && weir_limiter_tokens(&l) <= -4);
    CHECK_INT(weir_limiter_set_rate(&l, 0.001), 0);
    CHECK_INT(weir_limiter_cancel(&l, &a), 0);
    CHECK(weir_limiter_tokens(&l) > -0.001 && weir_limiter_tokens(&l) <= 0);
}

TEST(refunds_survive_any_number_of_changes)
{
    weir_reservation a, b;
    begin(10, 10);
    CHECK_INT(allow(0, 10), 0);
    RESERVES(0, 8, &a, 8);
    for (int i = 1; i < 100; i++)
        CHECK_INT(weir_limiter_set_rate(&l, 10 * (1 + i % 7)), 0);
    RESERVES(0, 3, &b, 6); /* 11 tokens, at 20 a second (i = 99), rounded */
    CHECK_INT(weir_limiter_cancel(&l, &a), 0);
    CHECK(weir_limiter_tokens(&l) > -6.01 && weir_limiter_tokens(&l) <= -5.99); /* 11 less 8 - 3 */
}

TEST(a_new_burst_caps_what_is_there_and_gives_nothing_for_idle_time)
{
    begin(10, 5);
    at(100);
    CHECK_INT(weir_limiter_set_burst(&l, 20), 0);
    CHECK(weir_limiter_tokens(&l) == 5);
    CHECK_INT(weir_limiter_allow(&l, 6), EAGAIN);
    CHECK_INT(allow(101, 6), 0);
    at(200);
    CHECK_INT(weir_limiter_set_burst(&l, 2), 0);
    CHECK_INT(weir_limiter_allow(&l, 3), EINVAL);
    CHECK_INT(weir_limiter_allow(&l, 2), 0);
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
}

/* With a burst that large a token is few units, so what there is would be too many of the next rule's. */
TEST(a_much_smaller_burst_or_rate_finds_no_more_than_it_can_count)
{
    weir_reservation r;
    begin(1, WEIR_BURST_MAX);
    CHECK_INT(weir_limiter_set_burst(&l, 2), 0);
    CHECK(weir_limiter_tokens(&l) == 2);
    begin(1e9, WEIR_BURST_MAX);
    for (int i = 0; i < 8; i++)
        CHECK_INT(weir_limiter_reserve(&l, WEIR_BURST_MAX, &r), 0);
    CHECK(weir_limiter_tokens(&l) == -7.0 * WEIR_BURST_MAX);
    CHECK_INT(weir_limiter_set_rate(&l, 10), 0); /* a token is 2^18 units, and 2^59 can be owed */
    CHECK(weir_limiter_tokens(&l) == -2.0 * WEIR_BURST_MAX);
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
}

TEST(a_long_life)
{
    begin(1000, 5);
    for (int i = 0; i < 3000; i++) { /* 300 years, a month at a time */
        if (hand.at > WEIR_FOREVER - WEIR_SEC(3600) * 24 * 31)
            break;
        CHECK_INT(weir_limiter_allow(&l, 5), 0);
        CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
        hand_move(&hand, WEIR_SEC(3600) * 24 * 30);
    }
    CHECK(hand.at > WEIR_SEC(3600) * 24 * 365 * 200);
}
