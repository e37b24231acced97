/* tests/guard/test_retry_hedge.c: a second attempt beside a slow one. Hedges wait for each other. */
#include "retry.h"

struct race {
    int first, second;  /* what the attempts return: -1: wait until the context ends, and return ECANCELED */
    bool wait_for_both; /* nobody returns before both have begun */
    int begun;          /* atomic */
    int ended[4];       /* by attempt: the error of its context as it returned, or -1: never ran */
};

static int races(weir_ctx *ctx, void *arg)
{
    struct race *r = (struct race *)arg;
    const int number = weir_retry_attempt(ctx), what = number == 1 ? r->first : r->second;
    int rc = what;
    __atomic_add_fetch(&r->begun, 1, __ATOMIC_ACQ_REL);
    while (r->wait_for_both && __atomic_load_n(&r->begun, __ATOMIC_ACQUIRE) < 2)
        sched_yield();
    if (what == -1)
        rc = weir_sleep(ctx, WEIR_FOREVER);
    r->ended[number] = weir_ctx_err(ctx);
    return rc;
}

static weir_retry_config hedging(weir_ns after)
{
    weir_retry_config c = plain(2);
    c.hedge = after;
    return c;
}

TEST(a_hedge_wins_and_the_slow_one_is_cancelled_and_joined)
{
    for (int round = 0; round < 20; round++) {
        struct race r = {-1, 0, false, 0, {-1, -1, -1, -1}};
        weir_retry_config c = hedging(WEIR_US(200));
        weir_retry_report report;
        CHECK_INT(weir_retry(NULL, &c, races, &r, &report), 0);
        CHECK_INT(report.winner, 2);
        CHECK_INT(report.attempts, 2);
        CHECK_INT(r.ended[1], ECANCELED); /* it has returned, so it was joined */
        CHECK_INT(r.ended[2], 0);
    }
}

TEST(the_first_may_win_after_all)
{
    struct race r = {0, -1, true, 0, {-1, -1, -1, -1}};
    weir_retry_config c = hedging(WEIR_US(200));
    weir_retry_report report;
    CHECK_INT(weir_retry(NULL, &c, races, &r, &report), 0);
    CHECK_INT(report.winner, 1);
    CHECK_INT(r.ended[2], ECANCELED);
}

TEST(who_returns_in_time_is_not_hedged)
{
    struct race r = {0, 0, false, 0, {-1, -1, -1, -1}};
    weir_retry_config c = hedging(WEIR_SEC(3600));
    weir_retry_report report;
    CHECK_INT(weir_retry(NULL, &c, races, &r, &report), 0);
    CHECK_INT(report.attempts, 1);
    CHECK_INT(r.begun, 1);
    r.first = FINAL;
    CHECK_INT(weir_retry(NULL, &c, races, &r, &report), FINAL);
}

TEST(a_result_that_would_be_retried_does_not_win_while_another_is_under_way)
{
    struct race r = {PASSES, FINAL, true, 0, {-1, -1, -1, -1}};
    for (int round = 0; round < 50; round++) {
        weir_retry_config c = hedging(WEIR_US(100));
        weir_retry_report report;
        r.begun = 0;
        CHECK_INT(weir_retry(NULL, &c, races, &r, &report), FINAL);
        CHECK_INT(report.winner, 2);
    }
    r.second = ALSO; /* neither is kept */
    {
        weir_retry_config c = hedging(WEIR_US(100));
        weir_retry_report report;
        r.begun = 0;
        CHECK_INT(weir_retry(NULL, &c, races, &r, &report), ALSO);
        CHECK_INT(report.why, WEIR_RETRY_ATTEMPTS);
    }
}

TEST(a_hedge_counts_against_the_budget)
{
    struct race r = {0, 0, false, 0, {-1, -1, -1, -1}};
    weir_retry_budget empty = WEIR_RETRY_BUDGET_INIT(0, 0);
    weir_retry_config c = hedging(1);
    weir_retry_report report;
    c.budget = &empty;
    for (int round = 0; round < 20; round++) {
        CHECK_INT(weir_retry(NULL, &c, races, &r, &report), 0);
        CHECK_INT(report.attempts, 1);
    }
}

TEST(the_callers_context_ends_both)
{
    struct race r = {-1, -1, false, 0, {-1, -1, -1, -1}};
    weir_retry_config c = hedging(WEIR_US(100));
    weir_ctx ctx;
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(5));
    CHECK_INT(weir_retry(&ctx, &c, races, &r, NULL), ETIMEDOUT);
    CHECK_INT(r.ended[1], ETIMEDOUT);
    weir_ctx_free(&ctx);
}

static int refuses(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    (void)runner, (void)ctx, (void)fn, (void)arg;
    return EAGAIN;
}

TEST(without_a_thread_to_be_had_it_runs_in_the_caller)
{
    struct race r = {0, 0, false, 0, {-1, -1, -1, -1}};
    weir_runner none = {refuses};
    weir_retry_config c = hedging(1);
    c.runner = &none;
    CHECK_INT(weir_retry(NULL, &c, races, &r, NULL), 0);
    CHECK_INT(r.begun, 1);
}

/* Runs the first, on a thread of its own, and refuses the next. */
static struct test_team *first_only;
static struct {
    void (*fn)(void *arg);
    void *arg;
} first_task;
static void run_first(void *unused)
{
    (void)unused;
    first_task.fn(first_task.arg);
}
static int runs_the_first(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    (void)runner, (void)ctx;
    if (first_only != NULL)
        return EAGAIN;
    first_task.fn = fn;
    first_task.arg = arg;
    first_only = test_start(1, run_first, NULL, 0);
    return 0;
}

TEST(a_hedge_that_cannot_be_started_gives_its_budget_back)
{
    struct race r = {-1, 0, false, 0, {-1, -1, -1, -1}};
    weir_retry_budget budget = WEIR_RETRY_BUDGET_INIT(0, 1);
    weir_runner one = {runs_the_first};
    weir_retry_config c = hedging(1);
    weir_retry_report report;
    c.runner = &one;
    c.budget = &budget;
    c.attempt_timeout = WEIR_MS(5); /* ends the first, which has no rival */
    CHECK_INT(weir_retry(NULL, &c, races, &r, &report), ETIMEDOUT);
    test_join(first_only);
    CHECK_INT(report.attempts, 1);
    CHECK_INT(weir_retry_budget_take(&budget), 0);
    first_only = NULL; /* and without a budget */
    c.budget = NULL;
    CHECK_INT(weir_retry(NULL, &c, races, &r, &report), ETIMEDOUT);
    test_join(first_only);
    CHECK_INT(report.attempts, 1);
}

static int counts_and_refuses(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    (void)ctx, (void)fn, (void)arg;
    ++*(int *)(void *)(runner + 1);
    return EAGAIN;
}

TEST(the_last_attempt_has_no_hedge_and_needs_no_thread)
{
    struct {
        weir_runner runner; /* first */
        int asked;
    } counting = {{counts_and_refuses}, 0};
    struct work w = {.fails = 99, .code = PASSES};
    weir_retry_config c = hedging(1);
    c.runner = &counting.runner;
    c.attempts = 3;
    CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), PASSES);
    CHECK_INT(w.calls, 3);
    CHECK_INT(counting.asked, 2);
}
