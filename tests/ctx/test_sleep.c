/* tests/ctx/test_sleep.c: sleeping, and what ends it early. */
#include "harness.h"
#include "../sync/printed.h"

TEST(it_sleeps_until_the_time_has_come)
{
    const weir_ns when = weir_now() + WEIR_MS(5);
    CHECK_INT(weir_sleep_until(NULL, when), 0);
    CHECK(weir_now() >= when);
    CHECK_INT(weir_sleep(NULL, WEIR_MS(1)), 0);
}

TEST(what_has_passed_is_no_wait_even_if_the_context_has_ended)
{
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_sleep_until(&ctx, weir_now()), 0);
    CHECK_INT(weir_sleep(&ctx, 0), 0);
    CHECK_INT(weir_sleep(&ctx, -5), 0);
    CHECK_INT(weir_sleep(&ctx, WEIR_SEC(3600)), ECANCELED);
    CHECK_INT(weir_sleep(&ctx, WEIR_FOREVER), ECANCELED);
    weir_ctx_free(&ctx);
}

TEST(the_earlier_end_counts)
{
    weir_ctx ctx;
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(2));
    CHECK_INT(weir_sleep(&ctx, WEIR_SEC(3600)), ETIMEDOUT);
    weir_ctx_free(&ctx);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(3600));
    CHECK_INT(weir_sleep(&ctx, WEIR_MS(2)), 0);
    CHECK_INT(weir_ctx_err(&ctx), 0);
    weir_ctx_free(&ctx);
}

static void cancels(void *ctx)
{
    weir_ctx_cancel((weir_ctx *)ctx, 0);
}

TEST(a_sleeper_is_woken_by_a_cancel)
{
    weir_ctx ctx;
    struct test_team *team;
    weir_ctx_init(&ctx, NULL);
    team = test_start(1, cancels, &ctx, 0);
    CHECK_INT(weir_sleep(&ctx, WEIR_FOREVER), ECANCELED);
    test_join(team);
    weir_ctx_free(&ctx);
}

static int sleeps(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_sleep(ctx, WEIR_SEC(100));
}
TEST(the_roll_says_who_sleeps)
{
    printed_while(sleeps, NULL, " in sleep for ");
}
