/* tests/task/test_pool_runner.c: a pool runs the tasks of groups and futures. */
#include "harness.h"

#include "pool.h"

static int answers(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    *(int *)value = *(int *)arg + 1;
    return 0;
}

TEST(groups_and_futures_run_on_it_also_when_it_is_stopped)
{
    weir_pool p;
    struct gate gate = {0, 0};
    int ran = 0, question = 41, answer = 0;
    const weir_pool_opt one = {.min = 1, .queue = 100};
    weir_future(int) future;
    weir_group g;
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    const weir_group_opt group_opt = {.runner = weir_pool_runner(&p)};
    const weir_future_opt future_opt = {.runner = weir_pool_runner(&p)};
    REQUIRE(weir_future_make_opt(&future, &future_opt) == 0);
    weir_group_init(&g, NULL, &group_opt);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &gate, NULL), 0);
    gate_await(&gate, 1);
    for (int i = 0; i < 20; i++)
        CHECK_INT(weir_group_go(NULL, &g, counts, &ran), 0);
    CHECK_INT(weir_future_run(NULL, future, answers, &question), 0);
    CHECK_INT(weir_pool_stop_until(&p, 0), ETIMEDOUT);
    CHECK_INT(weir_group_go(NULL, &g, counts, &ran), EPIPE);
    gate_open(&gate);
    CHECK_INT(weir_group_wait(&g), 0);
    CHECK_INT(weir_future_get(NULL, future, &answer), 0);
    CHECK_INT(answer, 42);
    CHECK_INT(ran, 20);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_group_free(&g);
    weir_future_free(&future);
}

TEST(a_runners_function_is_called_also_where_the_oldest_is_dropped)
{
    weir_pool p;
    struct gate gate;
    int question = 1, answer = 0, ran = 0;
    const weir_pool_opt opt = {.queue = 1};
    const weir_job_opt drops = {.overflow = WEIR_OVERFLOW_DROP_OLDEST};
    weir_future(int) future;
    start_blocked(&p, &gate, &opt);
    const weir_future_opt future_opt = {.runner = weir_pool_runner(&p)};
    REQUIRE(weir_future_make_opt(&future, &future_opt) == 0);
    CHECK_INT(weir_future_run(NULL, future, answers, &question), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &drops), 0);
    CHECK_INT(weir_future_get(NULL, future, &answer), 0);
    CHECK_INT(answer, 2);
    end(&p, &gate);
    weir_future_free(&future);
}

/* As many as the queue between a group and its runner has room for, and more; the worker that should take them is the one that starts them. */
static weir_group crowd;
static int starts_many(weir_ctx *ctx, void *arg)
{
    for (int i = 0; i < 100; i++)
        CHECK_INT(i % 2 == 0 ? weir_group_go(ctx, &crowd, counts, arg) : weir_group_try_go(&crowd, counts, arg), 0);
    return 0;
}

TEST(a_task_on_the_only_worker_starts_many_without_waiting_for_itself)
{
    weir_pool p;
    int ran = 0;
    const weir_pool_opt one = {.min = 1};
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    const weir_group_opt opt = {.runner = weir_pool_runner(&p)};
    weir_group_init(&crowd, NULL, &opt);
    CHECK_INT(weir_group_go(NULL, &crowd, starts_many, &ran), 0);
    CHECK_INT(weir_group_wait(&crowd), 0);
    CHECK_INT(ran, 100);
    weir_group_free(&crowd);
    CHECK_INT(weir_pool_free(&p), 0);
}
