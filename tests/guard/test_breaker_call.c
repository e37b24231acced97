/* tests/guard/test_breaker_call.c: calls through a breaker: what each result, a cancel, a deadline count as. */
#include "harness.h"

#include "breaker.h"

static struct bench t;

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
    bench_begin_due(&t, (weir_breaker_config){.successes = 2});
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
    bench_begin_due(&t, (weir_breaker_config){.successes = 3, .classify = classifies});
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
