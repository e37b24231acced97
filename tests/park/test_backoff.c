/* tests/park/test_backoff.c: the phases of a wait, counted turn by turn. */
static unsigned pauses, yields;
#define WEIR_CPU_PAUSE() (pauses++)
#define WEIR_CPU_YIELD() (yields++)
#include "harness.h"

static weir__backoff start(int strategy)
{
    weir__backoff b = {strategy, 0};
    pauses = yields = 0;
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

/* Zero means the default, in a config struct. */
TEST(adaptive_is_the_default)
{
    CHECK_INT(WEIR_WAIT_ADAPTIVE, 0);
}
