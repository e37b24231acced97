/* tests/task/test_job.c: a job that fails, from any depth: its cleanups run, its error is told, its worker goes on. */
#include "harness.h"

#include "pool.h"

static int cleaned[3], cleanups;
static void cleans(void *arg)
{
    cleaned[cleanups++] = *(int *)arg;
}
static __attribute__((noinline)) void deep(int depth, int *code)
{
    weir_job_cleanup c;
    int own = depth;
    if (depth == 0) {
        weir_job_fail(*code);
        return;
    }
    weir_job_defer(&c, cleans, &own);
    deep(depth - 1, code);
    weir_job_undefer(&c, false);
}
static int fails_deep(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    deep(3, (int *)arg);
    return 0;
}
static int cleans_up(weir_ctx *ctx, void *arg)
{
    weir_job_cleanup a, b;
    int one = 1, two = 2;
    (void)ctx;
    (void)arg;
    weir_job_defer(&a, cleans, &one);
    weir_job_defer(&b, cleans, &two);
    weir_job_undefer(&b, true);
    weir_job_undefer(&a, false);
    return 0;
}

TEST(a_job_fails_from_any_depth_and_is_cleaned_up)
{
    weir_pool p;
    int codes[] = {EIO, 0}, ran = 0;
    weir_job_result result[2] = {{0}, {0}};
    const weir_pool_opt one = {.min = 1};
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    for (int i = 0; i < 2; i++) {
        const weir_job_opt opt = {.done = keeps, .done_arg = &result[i]};
        cleanups = 0;
        CHECK_INT(weir_pool_submit(NULL, &p, fails_deep, &codes[i], &opt), 0);
        CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
        EVENTUALLY(counted(&ran) == i + 1); /* the worker goes on */
        CHECK_INT(cleanups, 3);
        CHECK(cleaned[0] == 1 && cleaned[1] == 2 && cleaned[2] == 3);
        CHECK_INT(result[i].error, i == 0 ? EIO : ECANCELED);
        CHECK(result[i].ran);
    }
    cleanups = 0;
    CHECK_INT(weir_pool_submit(NULL, &p, cleans_up, NULL, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK(cleanups == 1 && cleaned[0] == 2);
    CHECK_INT(tally_of(&p).failed, 2);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_job_fail(EIO); /* outside of a job it does nothing */
}

TEST(outside_of_a_job_a_cleanup_runs_when_it_is_asked_to_and_failing_does_nothing)
{
    weir_job_cleanup cleanup;
    int code = 5;
    cleanups = 0;
    weir_job_defer(&cleanup, cleans, &code);
    weir_job_fail(EIO);
    CHECK_INT(cleanups, 0);
    weir_job_undefer(&cleanup, true);
    CHECK_INT(cleanups, 1);
    weir_job_defer(&cleanup, cleans, &code);
    weir_job_undefer(&cleanup, false);
    CHECK_INT(cleanups, 1);
}

/* A job that fails in its caller, which is a job, ends itself alone. */
static weir_pool *inner;
static int fails_inside(weir_ctx *ctx, void *arg)
{
    int code = EIO;
    weir_job_result result = {0};
    const weir_job_opt opt = {.overflow = WEIR_OVERFLOW_CALLER, .done = keeps, .done_arg = &result};
    while (!result.ran)
        CHECK_INT(weir_pool_submit(ctx, inner, fails_deep, &code, &opt), 0);
    CHECK_INT(result.error, EIO);
    return counts(ctx, arg);
}

TEST(a_job_that_fails_in_a_job_that_ran_it_ends_alone)
{
    weir_pool p, other;
    struct gate g;
    int ran = 0;
    const weir_pool_opt one = {.min = 1};
    cleanups = 0;
    start_full(&p, &g, &ran, 0, NULL);
    REQUIRE(weir_pool_start(&other, NULL, &one) == 0);
    inner = &p;
    CHECK_INT(weir_pool_submit(NULL, &other, fails_inside, &ran, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &other), 0);
    CHECK_INT(weir_pool_free(&other), 0);
    end(&p, &g);
    CHECK_INT(ran, 2);
}
