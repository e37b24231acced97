/* tests/task/test_pool_room.c: what becomes of a job for which a pool has no room. */
#include "harness.h"

#include "pool.h"

TEST(no_room_reject_is_told_and_counted)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    start_full(&p, &g, &ran, WEIR_OVERFLOW_REJECT, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), EAGAIN);
    CHECK_INT(weir_pool_try_submit(&p, counts, &ran, NULL), EAGAIN);
    CHECK_INT(tally_of(&p).rejected, 2);
    CHECK_INT(tally_of(&p).queued, 1);
    CHECK_INT(tally_of(&p).running, 1);
    end(&p, &g);
    CHECK_INT(ran, 1);
}

TEST(no_room_at_one_priority_is_room_at_another)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    const weir_job_opt opt = {.priority = WEIR_JOB_HIGH};
    start_full(&p, &g, &ran, WEIR_OVERFLOW_REJECT, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), EAGAIN);
    end(&p, &g);
    CHECK_INT(ran, 2);
}

TEST(no_room_the_newest_is_dropped_reported_and_counted)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    weir_job_result result = {0};
    const weir_job_opt opt = {.id = 7, .overflow = WEIR_OVERFLOW_DROP_NEWEST, .done = keeps, .done_arg = &result};
    start_full(&p, &g, &ran, 0, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    CHECK(result.id == 7 && result.error == EOVERFLOW && !result.ran && result.output == &ran);
    CHECK(result.queued >= 0 && result.running == 0);
    CHECK_INT(tally_of(&p).dropped_newest, 1);
    end(&p, &g);
    CHECK_INT(ran, 1);
}

TEST(no_room_one_of_which_nobody_wants_to_hear_is_dropped_and_counted)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    start_full(&p, &g, &ran, WEIR_OVERFLOW_DROP_NEWEST, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(tally_of(&p).dropped_newest, 1);
    end(&p, &g);
    CHECK_INT(ran, 1);
}

TEST(no_room_the_oldest_is_dropped_reported_and_counted)
{
    weir_pool p;
    struct gate g;
    int old = 0, ran = 0;
    weir_job_result result = {0};
    const weir_job_opt queued = {.id = 8, .done = keeps, .done_arg = &result},
                       opt = {.overflow = WEIR_OVERFLOW_DROP_OLDEST};
    start_full(&p, &g, &old, 0, &queued);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    CHECK(result.id == 8 && result.error == EOVERFLOW && !result.ran);
    CHECK(result.queued >= 0 && result.running == 0);
    CHECK_INT(tally_of(&p).dropped_oldest, 1);
    end(&p, &g);
    CHECK(old == 0 && ran == 1);
}

static int notes_thread(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    *(pthread_t *)arg = pthread_self();
    return 0;
}

TEST(no_room_the_caller_runs_it)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    pthread_t by;
    memset(&by, 0, sizeof by);
    start_full(&p, &g, &ran, WEIR_OVERFLOW_CALLER, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, notes_thread, &by, NULL), 0);
    CHECK(pthread_equal(by, pthread_self()));
    CHECK_INT(tally_of(&p).caller_ran, 1);
    end(&p, &g);
    CHECK_INT(ran, 1);
}

TEST(no_room_waiting_for_it_ends_with_the_context)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    weir_ctx ctx;
    start_full(&p, &g, &ran, 0, NULL);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_pool_submit(&ctx, &p, counts, &ran, NULL), ETIMEDOUT);
    weir_ctx_free(&ctx);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_pool_submit(&ctx, &p, counts, &ran, NULL), ECANCELED);
    weir_ctx_free(&ctx);
    end(&p, &g);
    CHECK_INT(ran, 1);
}

static void submits_one(void *arg)
{
    void **both = (void **)arg;
    CHECK_INT(weir_pool_submit(NULL, (weir_pool *)both[0], counts, both[1], NULL), 0);
}

TEST(no_room_waiting_for_it_goes_on_when_a_job_is_taken)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    void *both[] = {&p, &ran};
    start_full(&p, &g, &ran, 0, NULL);
    struct test_team *team = test_start(1, submits_one, both, sizeof both);
    EVENTUALLY(weir__waitq_sleepers(&p.queue.level[WEIR__JOB_NORMAL_LEVEL]->senders) == 1);
    gate_open(&g);
    test_join(team);
    end(&p, &g);
    CHECK_INT(ran, 2);
}

/* Whatever the pool does with jobs. */
typedef weir_future(int) int_future;
static int answers(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    *(int *)value = *(int *)arg + 1;
    return 0;
}
struct question {
    int_future future;
    int number;
};
static void asks(void *arg)
{
    struct question *q = (struct question *)arg;
    CHECK_INT(weir_future_run(NULL, q->future, answers, &q->number), 0);
}

TEST(no_room_a_runner_waits_for_it_as_long_as_the_context_lives)
{
    weir_pool p;
    struct gate g;
    struct question q = {.number = 41};
    int ran = 0, answer = 0;
    weir_ctx ctx;
    start_full(&p, &g, &ran, WEIR_OVERFLOW_REJECT, NULL);
    const weir_future_opt opt = {.runner = weir_pool_runner(&p)};
    REQUIRE(weir_future_make_opt(&q.future, &opt) == 0);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_future_run(&ctx, q.future, answers, &q.number), ETIMEDOUT);
    weir_ctx_free(&ctx);
    struct test_team *team = test_start(1, asks, &q, 0);
    EVENTUALLY(weir__waitq_sleepers(&p.queue.level[WEIR__JOB_NORMAL_LEVEL]->senders) == 1);
    gate_open(&g);
    test_join(team);
    CHECK_INT(weir_future_get(NULL, q.future, &answer), 0);
    CHECK_INT(answer, 42);
    end(&p, &g);
    CHECK_INT(ran, 1);
    weir_future_free(&q.future);
}

/* A job that runs in its caller, with a result for which there is no room. */
struct unheard {
    weir_pool *pool;
    weir_job_results results;
    int ran;
};
static int runs_unheard(weir_ctx *ctx, void *arg)
{
    struct unheard *u = (struct unheard *)arg;
    const weir_job_opt opt = {.overflow = WEIR_OVERFLOW_CALLER, .results = u->results};
    CHECK_INT(weir_pool_submit(ctx, u->pool, counts, &u->ran, &opt), 0);
    return 0;
}

TEST(no_room_for_a_result_is_not_waited_for_by_a_caller_or_another_pools_worker)
{
    weir_pool p, other;
    struct gate g;
    struct unheard u = {.pool = &p};
    const weir_job_result before = {.id = 9};
    weir_job_result received = {.id = 0};
    const weir_pool_opt one = {.min = 1};
    int ran = 0;
    REQUIRE(weir_chan_make(&u.results, 1) == 0);
    CHECK_INT(weir_send(NULL, u.results, &before), 0);
    start_full(&p, &g, &ran, 0, NULL);
    REQUIRE(weir_pool_start(&other, NULL, &one) == 0);
    CHECK_INT(runs_unheard(NULL, &u), 0);
    CHECK_INT(tally_of(&p).unreported, 1);
    CHECK_INT(weir_pool_submit(NULL, &other, runs_unheard, &u, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &other), 0);
    CHECK_INT(weir_pool_free(&other), 0);
    CHECK_INT(u.ran, 2);
    CHECK_INT(tally_of(&p).unreported, 2);
    CHECK_INT(tally_of(&p).caller_ran, 2);
    end(&p, &g);
    CHECK_INT(weir_recv(NULL, u.results, &received), 0);
    CHECK(received.id == 9 && weir_len(u.results) == 0);
    weir_chan_free(&u.results);
}

/* A job that submits as many more as the pool has not room for. */
static weir_pool *inner;
static int submits_many(weir_ctx *ctx, void *arg)
{
    for (int i = 0; i < 100; i++)
        CHECK_INT(weir_pool_submit(ctx, inner, counts, arg, NULL), 0);
    return 0;
}

TEST(a_job_that_submits_never_waits_for_room)
{
    weir_pool p;
    int ran = 0;
    const weir_pool_opt opt = {.min = 2, .queue = 1};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    inner = &p;
    for (int i = 0; i < 10; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, submits_many, &ran, NULL), 0);
    EVENTUALLY(counted(&ran) == 1000);
    CHECK(tally_of(&p).caller_ran > 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* Two pools whose jobs submit to the other. */
static weir_pool crossed[2];
struct crossing {
    int at, *ran;
};
static int crosses(weir_ctx *ctx, void *arg)
{
    struct crossing *c = (struct crossing *)arg;
    for (int i = 0; i < 20; i++)
        CHECK_INT(weir_pool_submit(ctx, &crossed[!c->at], counts, c->ran, NULL), 0);
    return 0;
}

TEST(jobs_of_two_pools_that_submit_to_each_other_do_not_wait)
{
    int ran = 0;
    const weir_pool_opt opt = {.min = 1, .queue = 1};
    struct crossing to[] = {{0, &ran}, {1, &ran}};
    REQUIRE(weir_pool_start(&crossed[0], NULL, &opt) == 0 && weir_pool_start(&crossed[1], NULL, &opt) == 0);
    for (int i = 0; i < 20; i++)
        CHECK_INT(weir_pool_submit(NULL, &crossed[i % 2], crosses, &to[i % 2], NULL), 0);
    EVENTUALLY(counted(&ran) == 400);
    /* The last to count itself may have run before the call that submitted it is back, and that call reads the other pool. */
    for (int i = 0; i < 2; i++)
        CHECK_INT(weir_pool_drain(NULL, &crossed[i]), 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(weir_pool_free(&crossed[i]), 0);
}
