/* tests/guard/test_limiter_wait.c: who waits for tokens, and even spacing, which is mostly waited for. */
#include "limiter.h"

/* ---- wait ---- */

TEST(wait_sleeps_until_it_is_its_turn)
{
    begin(10, 2);
    CHECK_INT(weir_limiter_wait(NULL, &l, 2), 0);
    CHECK_INT(hand.slept, 0);
    CHECK_INT(weir_limiter_wait(NULL, &l, 2), 0);
    CHECK_INT(hand.slept, 1);
    CHECK_INT(hand.at, WEIR_SEC(1000) + WEIR_MS(2 * TURN));
    CHECK_INT(weir_limiter_wait(NULL, &l, 3), EINVAL);
}

/* The tokens come between the refusal and the reservation. */
static void a_second_later(void)
{
    hand_move(&hand, WEIR_SEC(1));
}
static void a_second_after_the_next_reading(void)
{
    hand.held_up = a_second_later;
}

TEST(who_finds_tokens_after_all_does_not_sleep)
{
    begin(10, 2);
    CHECK_INT(weir_limiter_allow(&l, 2), 0);
    hand.looks = 0;
    hand.held_up = a_second_after_the_next_reading; /* two readings see none */
    CHECK_INT(weir_limiter_wait(NULL, &l, 2), 0);
    CHECK_INT(hand.looks, 3);
    CHECK_INT(hand.slept, 0);
    CHECK(weir_limiter_tokens(&l) == 0);
}

TEST(an_ended_context_fails_although_there_are_tokens)
{
    weir_ctx ctx;
    begin(10, 2);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_limiter_wait(&ctx, &l, 1), ECANCELED);
    CHECK(weir_limiter_tokens(&l) == 2);
    weir_ctx_free(&ctx);
}

TEST(a_wait_that_would_outlast_the_deadline_fails_at_once_and_reserves_nothing)
{
    weir_ctx ctx;
    begin(0.1, 1);
    CHECK_INT(weir_limiter_wait(NULL, &l, 1), 0);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(5));
    CHECK_INT(weir_limiter_wait(&ctx, &l, 1), ETIMEDOUT);
    CHECK_INT(weir_ctx_err(&ctx), 0); /* it has not ended */
    CHECK_INT(hand.slept, 0);
    CHECK(weir_limiter_tokens(&l) == 0);
    CHECK_INT(weir_limiter_wait_until(NULL, &l, 1, weir_now() + WEIR_SEC(5)), ETIMEDOUT);
    CHECK_INT(weir_limiter_wait_until(&ctx, &l, 1, weir_now() + WEIR_SEC(50)), ETIMEDOUT);
    CHECK_INT(weir_limiter_wait_until(NULL, &l, 1, weir_now() + WEIR_SEC(15)), 0);
    weir_ctx_free(&ctx);
}

TEST(a_cancelled_wait_gives_its_tokens_back)
{
    weir_ctx ctx;
    begin(10, 2);
    CHECK_INT(weir_limiter_wait(NULL, &l, 2), 0);
    weir_ctx_init(&ctx, NULL);
    hand.cancels = &ctx;
    CHECK_INT(weir_limiter_wait(&ctx, &l, 2), ECANCELED); /* half-way: one token has been made */
    CHECK(weir_limiter_tokens(&l) == 1);
    weir_ctx_free(&ctx);
}

TEST(it_waits_on_the_real_clock_too)
{
    weir_ns begun;
    REQUIRE(weir_limiter_init(&l, 1000, 1, NULL) == 0);
    begun = weir_now();
    for (int i = 0; i < 6; i++)
        CHECK_INT(weir_limiter_wait(NULL, &l, 1), 0);
    CHECK(weir_now() - begun >= WEIR_MS(5));
}

/* ---- even spacing ---- */

TEST(a_leaky_bucket_spaces_evenly)
{
    weir_leaky leaky;
    hand_init(&hand, WEIR_SEC(1));
    CHECK_INT(weir_leaky_init(&leaky, 0, 0, &hand.clock), EINVAL);
    CHECK_INT(weir_leaky_init(&leaky, 10, -1, &hand.clock), EINVAL);
    CHECK_INT(weir_leaky_init(&leaky, 10, WEIR_BURST_MAX, &hand.clock), EINVAL);
    CHECK_INT(weir_leaky_init(&leaky, 2 * WEIR_RATE_MAX, 0, &hand.clock), EINVAL);
    REQUIRE(weir_leaky_init(&leaky, 10, 0, &hand.clock) == 0);
    hand_move(&hand, WEIR_SEC(3600)); /* idle: nothing is saved */
    for (int i = 0; i < 5; i++) {
        CHECK_INT(weir_leaky_allow(&leaky), 0);
        CHECK_INT(weir_leaky_allow(&leaky), EAGAIN);
        CHECK_INT(weir_leaky_wait(NULL, &leaky), 0);
        CHECK_INT(hand.at, WEIR_SEC(3601) + WEIR_MS(2 * TURN * i + TURN));
        hand_move(&hand, WEIR_MS(TURN));
    }
    CHECK_INT(weir_leaky_set_rate(&leaky, 0), EINVAL);
    CHECK_INT(weir_leaky_set_rate(&leaky, 1000), 0);
}

TEST(slack_lets_the_late_catch_up_and_no_more)
{
    weir_leaky leaky;
    hand_init(&hand, WEIR_SEC(1));
    REQUIRE(weir_leaky_init(&leaky, 10, 3, &hand.clock) == 0);
    CHECK_INT(weir_leaky_allow(&leaky), 0);
    CHECK_INT(weir_leaky_allow(&leaky), EAGAIN); /* nothing saved yet */
    hand_move(&hand, WEIR_SEC(3600));
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_leaky_allow(&leaky), 0);
    CHECK_INT(weir_leaky_allow(&leaky), EAGAIN);
}
