/* tests/chan/test_timer_overtaken.c: two receive at once, and one of them is faster. */
#include "../core/before.h"

#include "harness.h"

static weir_timer timer;
static void another_receives(void *word)
{
    weir_ns when;
    (void)word;
    CHECK_INT(weir_try_recv(timer, &when), 0);
}

static void is_overtaken(void)
{
    weir_ns when = -1;
    before_word = &WEIR__CHAN(timer)->due;
    before_swap = another_receives;
    CHECK_INT(weir_try_recv(timer, &when), EAGAIN);
    CHECK(before_swap == NULL);
    CHECK_INT(when, -1);
    weir_chan_free(&timer);
}

TEST(what_fires_once_goes_to_one)
{
    REQUIRE(weir_after(&timer, 0) == 0);
    is_overtaken();
}

TEST(a_tick_goes_to_one)
{
    REQUIRE(weir_tick(&timer, WEIR_SEC(1000)) == 0);
    weir__store_rlx(&WEIR__CHAN(timer)->due, 1); /* the first tick, long ago */
    is_overtaken();
}
