/* tests/guard/test_overtaken.c: whoever has decided finds, at the swap, that another has been faster; each time at one that the test names. */
#include "../core/before.h"

#include "harness.h"

#include "guard/hand.h"

static struct hand hand;

/* ---- token buckets ---- */

static weir_limiter l;
static weir_reservation reservation;

static void begin(void)
{
    hand_init(&hand, WEIR_SEC(1000));
    CHECK_INT(weir_limiter_init(&l, 10, 3, &hand.clock), 0);
    before_word = &l.bucket;
}

static void takes_one(void *word)
{
    (void)word;
    CHECK_INT(weir_limiter_allow(&l, 1), 0);
}

TEST(a_reservation_is_made_from_what_is_left)
{
    begin();
    before_swap = takes_one;
    CHECK_INT(weir_limiter_reserve(&l, 3, &reservation), 0);
    CHECK(before_swap == NULL);
    CHECK_INT(reservation.when - hand.at, WEIR_MS(100)); /* two are there, one is to come */
}

/* As Go's: less what has been taken since. */
TEST(what_is_cancelled_comes_back_as_if_the_other_had_come_before)
{
    begin();
    CHECK_INT(weir_limiter_reserve(&l, 2, &reservation), 0);
    before_swap = takes_one;
    CHECK_INT(weir_limiter_cancel(&l, &reservation), 0);
    CHECK(before_swap == NULL);
    CHECK_INT(weir_limiter_allow(&l, 1), 0);
    CHECK_INT(weir_limiter_allow(&l, 1), EAGAIN);
}

/* ---- the log of a sliding window ---- */

static weir_sliding_window w;

static void begin_log(const void *word)
{
    const weir_window_config config = {.limit = 3, .window = WEIR_SEC(1), .clock = &hand.clock, .exact = true};
    hand_init(&hand, WEIR_SEC(1000));
    CHECK_INT(weir_sliding_window_init(&w, &config), 0);
    before_word = word;
}

static void enters(void *word)
{
    (void)word;
    CHECK_INT(weir_sliding_window_allow(&w, 1), 0);
}

static void three_in_all(int more)
{
    CHECK(before_swap == NULL);
    for (int i = 0; i < more; i++)
        CHECK_INT(weir_sliding_window_allow(&w, 1), 0);
    CHECK_INT(weir_sliding_window_allow(&w, 1), EAGAIN);
    hand_move(&hand, WEIR_SEC(1));
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_sliding_window_allow(&w, 1), 0);
    CHECK_INT(weir_sliding_window_allow(&w, 1), EAGAIN);
    weir_sliding_window_free(&w);
}

TEST(a_slot_that_another_has_entered_is_his)
{
    begin_log(NULL); /* the first swap: of the slot */
    before_swap = enters;
    CHECK_INT(weir_sliding_window_allow(&w, 1), 0);
    three_in_all(1);
}

TEST(who_finds_a_slot_entered_helps_and_takes_the_next)
{
    begin_log(&w.word[0]); /* entered, and the head has not been moved */
    before_swap = enters;
    CHECK_INT(weir_sliding_window_allow(&w, 1), 0);
    three_in_all(1);
}
