/* tests/park/test_backoff.c: the phases of a wait, counted turn by turn; yields that take as long as a test says, by its own clock. */
static unsigned pauses, yields;
static long long clock_at, cost; /* a yield moves the clock by this */
static void yield(void);
#define WEIR_CPU_PAUSE() (pauses++)
#define WEIR_CPU_YIELD() yield()
#define WEIR_CLOCK_NOW() clock_at
#include "harness.h"

static weir_ns work; /* so much processor time does this process use during a yield */

static void yield(void)
{
    const weir_ns until = weir__time_used() + work;
    while (work != 0 && weir__time_used() < until) {}
    yields++;
    clock_at += cost;
}

static weir__backoff start(int strategy)
{
    weir__backoff b = {strategy, 0};
    pauses = yields = 0;
    memset(&weir__yields, 0, sizeof weir__yields);
    clock_at = WEIR_SEC(1000000);
    cost = work = 0;
    return b;
}

TEST(adaptive_spins_then_yields_then_parks)
{
    weir__backoff b = start(WEIR_WAIT_ADAPTIVE);
    for (unsigned i = 1; i <= WEIR_SPIN_TURNS; i++) {
        CHECK(weir__backoff_spinning(&b));
        CHECK(weir__backoff_turn(&b));
        CHECK_INT(pauses, i);
    }
    CHECK_INT(yields, 0);
    for (unsigned i = 1; i <= WEIR_YIELD_TURNS; i++) {
        CHECK(!weir__backoff_spinning(&b));
        CHECK(weir__backoff_turn(&b));
        CHECK_INT(yields, i);
    }
    for (int i = 0; i < 3; i++) { /* and stays there */
        CHECK(!weir__backoff_turn(&b));
        CHECK(!weir__backoff_spinning(&b));
    }
    CHECK_INT(pauses, WEIR_SPIN_TURNS);
    CHECK_INT(yields, WEIR_YIELD_TURNS);
}

/* As after a wake-up. */
TEST(adaptive_starts_anew_at_turn_0)
{
    weir__backoff b = start(WEIR_WAIT_ADAPTIVE);
    while (weir__backoff_turn(&b)) {}
    b.turn = 0;
    CHECK(weir__backoff_spinning(&b));
    while (weir__backoff_turn(&b)) {}
    CHECK_INT(pauses, 2 * WEIR_SPIN_TURNS);
    CHECK_INT(yields, 2 * WEIR_YIELD_TURNS);
}

TEST(spin_never_does_anything_else)
{
    weir__backoff b = start(WEIR_WAIT_SPIN);
    for (unsigned i = 0; i < 10000; i++) {
        CHECK(weir__backoff_spinning(&b));
        CHECK(weir__backoff_turn(&b));
    }
    CHECK_INT(pauses, 10000);
    CHECK_INT(yields, 0);
}

TEST(yield_spins_first_and_never_parks)
{
    weir__backoff b = start(WEIR_WAIT_YIELD);
    for (unsigned i = 0; i < 10000; i++) {
        CHECK(weir__backoff_spinning(&b) == (i < WEIR_SPIN_TURNS));
        CHECK(weir__backoff_turn(&b));
    }
    CHECK_INT(pauses, WEIR_SPIN_TURNS);
    CHECK_INT(yields, 10000 - WEIR_SPIN_TURNS);
}

TEST(park_parks_at_once)
{
    weir__backoff b = start(WEIR_WAIT_PARK);
    CHECK(!weir__backoff_spinning(&b));
    CHECK(!weir__backoff_turn(&b));
    CHECK_INT(pauses + yields, 0);
}

/* 2^32 turns are some minutes of a spinner's life. */
TEST(the_count_of_turns_may_wrap)
{
    weir__backoff b = start(WEIR_WAIT_YIELD);
    b.turn = UINT32_MAX;
    CHECK(weir__backoff_turn(&b));
    CHECK(weir__backoff_turn(&b));
    b = start(WEIR_WAIT_SPIN);
    b.turn = UINT32_MAX;
    CHECK(weir__backoff_turn(&b));
    CHECK(weir__backoff_turn(&b));
}

/* Whoever waits for a peer that stands between two instructions never sleeps, whatever the channel's strategy:
 * nobody would wake it. */
TEST(waiting_for_a_peer_yields_whatever_the_strategy)
{
    for (int strategy = WEIR_WAIT_ADAPTIVE; strategy <= WEIR_WAIT_PARK; strategy++) {
        weir__backoff b = start(strategy);
        for (int i = 0; i < 1000; i++)
            weir__backoff_peer(&b);
        CHECK_INT(pauses, WEIR_SPIN_TURNS);
        CHECK_INT(yields, 1000 - WEIR_SPIN_TURNS);
    }
}

/* How many yields the next wait of this thread begins with, up to all of them. */
static unsigned wait_once(void)
{
    weir__backoff b = {WEIR_WAIT_ADAPTIVE, WEIR_SPIN_TURNS};
    const unsigned before = yields;
    while (weir__backoff_turn(&b)) {}
    return yields - before;
}

TEST(who_yields_dearly_twice_in_a_row_parks_for_as_long_as_two_yields)
{
    (void)start(WEIR_WAIT_ADAPTIVE);
    cost = WEIR_MS(100);
    CHECK_INT(wait_once(), 2);
    CHECK_INT(wait_once(), 0);
    clock_at += 2 * cost - 1;
    CHECK_INT(wait_once(), 0);
    clock_at += 1;
    CHECK_INT(wait_once(), 1); /* still dear: the first says so */
    clock_at += 2 * cost;
    cost = 0;
    CHECK_INT(wait_once(), WEIR_YIELD_TURNS);
    CHECK_INT(wait_once(), WEIR_YIELD_TURNS);
}

TEST(a_dear_yield_now_and_then_is_none_to_avoid)
{
    (void)start(WEIR_WAIT_ADAPTIVE);
    for (int i = 0; i < 10; i++) {
        weir__backoff b = {WEIR_WAIT_ADAPTIVE, WEIR_SPIN_TURNS};
        cost = WEIR_MS(100);
        CHECK(weir__backoff_turn(&b));
        cost = 0;
        clock_at += WEIR_MS(100); /* as much has been waited for without */
    }
    cost = WEIR_MS(1) - 1; /* not dear */
    CHECK_INT(wait_once(), WEIR_YIELD_TURNS);
}

/* It is the threads of this process that have the core. */
TEST(who_yields_to_its_own_goes_on)
{
    (void)start(WEIR_WAIT_ADAPTIVE);
    cost = WEIR_MS(1);
    work = cost * weir_cpu_count();
    CHECK_INT(wait_once(), WEIR_YIELD_TURNS);
    work /= 2;
    CHECK_INT(wait_once(), 1); /* not by half; and it is not the first that was dear */
}

TEST(no_yield_is_missed_for_more_than_a_second_whatever_the_clock_does)
{
    (void)start(WEIR_WAIT_ADAPTIVE);
    cost = WEIR_SEC(3600); /* suspended */
    CHECK_INT(wait_once(), 2);
    cost = 0;
    clock_at += WEIR_SEC(1) - 1;
    CHECK_INT(wait_once(), 0);
    clock_at += 1;
    CHECK_INT(wait_once(), WEIR_YIELD_TURNS);
    cost = WEIR_MS(100);
    CHECK_INT(wait_once(), 1);
    cost = 0;
    clock_at -= WEIR_SEC(3600); /* set back */
    CHECK_INT(wait_once(), WEIR_YIELD_TURNS);
}

TEST(who_never_parks_yields_whatever_it_costs)
{
    weir__backoff b = start(WEIR_WAIT_YIELD);
    b.turn = WEIR_SPIN_TURNS;
    cost = WEIR_MS(100);
    for (int i = 0; i < 100; i++)
        CHECK(weir__backoff_turn(&b));
    CHECK_INT(yields, 100);
}

/* Zero means the default, in a config struct. */
TEST(adaptive_is_the_default)
{
    CHECK_INT(WEIR_WAIT_ADAPTIVE, 0);
}
