/* tests/task/test_pool_size.c: how a pool starts, grows, shrinks and ends. */
#include "hold.h"

#include "../faults/failing.h"

#include "../core/child.h"
#include "../sync/printed.h"
#include "pool.h"

/* ---- starting ---- */

TEST(starting_fails_at_every_thread_and_allocation_and_leaves_nothing)
{
    const weir_pool_opt opt = {.min = 3, .max = 3};
    weir_pool p;
    for (int k = 0; k < 3; k++) {
        fail_thread = k;
        CHECK_INT(weir_pool_start(&p, NULL, &opt), EAGAIN);
        fail_thread = -1;
        CHECK_INT(weir_thread_count(), 0);
        CHECK_INT(allocations, 0);
    }
    for (int k = 0; k < 4; k++) {
        fail_allocation = k;
        CHECK_INT(weir_pool_start(&p, NULL, &opt), ENOMEM);
        fail_allocation = -1;
        CHECK_INT(allocations, 0);
    }
    fail_allocation = 4;
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    fail_allocation = 0; /* from here on nothing is allocated */
    int ran = 0;
    for (int i = 0; i < 1000; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_free(&p), 0);
    fail_allocation = -1;
    CHECK_INT(allocations, 0);
}

/* ---- growing and shrinking ---- */

TEST(it_grows_with_the_queue_and_shrinks_when_idle)
{
    weir_pool p;
    struct gate g = {0, 0};
    int ran = 0;
    const weir_pool_opt opt = {.min = 1, .max = 4, .idle = WEIR_US(100)};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    for (int i = 0; i < 6; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 4); /* never one waits while a worker could be started */
    CHECK_INT(tally_of(&p).workers, 4);
    CHECK_INT(tally_of(&p).grown, 3);
    CHECK_INT(tally_of(&p).queued, 2);
    gate_open(&g);
    EVENTUALLY(tally_of(&p).workers == 1);
    CHECK_INT(tally_of(&p).shrunk, 3);
    CHECK_INT(tally_of(&p).most_workers, 4);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    EVENTUALLY(counted(&ran) == 1);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(it_grows_when_a_job_has_waited_long)
{
    weir_pool p;
    struct gate g = {0, 0};
    const weir_pool_opt opt = {.min = 1, .max = 2, .grow_depth = 100, .grow_wait = WEIR_US(10)};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    for (weir_ns at = weir_now(); weir_now() < at + WEIR_US(20);)
        sched_yield();
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 2);
    CHECK_INT(tally_of(&p).grown, 1);
    gate_open(&g);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(it_does_not_grow_before)
{
    weir_pool p;
    struct gate g = {0, 0};
    int ran = 0;
    const weir_pool_opt opt = {.min = 1, .max = 2, .grow_depth = 3, .grow_wait = WEIR_FOREVER};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(tally_of(&p).workers, 1);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    EVENTUALLY(counted(&ran) == 3);
    CHECK_INT(tally_of(&p).workers, 2);
    gate_open(&g);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* A worker that has taken a job, and still counts as waiting, is not taken for one that will take the next. */
TEST(it_grows_for_a_job_that_comes_while_a_worker_takes_another)
{
    weir_pool p;
    struct gate g = {0, 0};
    const weir_pool_opt opt = {.min = 1, .max = 2};
    if (weir__ring_of(WEIR__MPMC) == WEIR_RING_CK)
        SKIP("a ck ring has no moment between claim and release");
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    hold_the_next("recv claimed");
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    EVENTUALLY(is_held());
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    CHECK_INT(tally_of(&p).workers, 1);
    let_go();
    gate_await(&g, 2);
    CHECK_INT(tally_of(&p).workers, 2);
    gate_open(&g);
    CHECK_INT(weir_pool_free(&p), 0);
}

struct submission {
    weir_pool *pool;
    struct gate *gate;
};
static void submits_one(void *arg)
{
    const struct submission *s = (const struct submission *)arg;
    CHECK_INT(weir_pool_submit(NULL, s->pool, stands, s->gate, NULL), 0);
}

/* The new worker has taken its job, and looked, before the one that has started it is back. (A server whose eighth connection nobody served.) */
TEST(it_grows_for_a_job_that_comes_while_a_worker_starts)
{
    weir_pool p;
    struct gate g = {0, 0};
    struct submission second = {&p, &g};
    const weir_pool_opt opt = {.min = 1, .max = 3};
    struct test_team *team;
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    hold_the_next("worker started");
    team = test_start(1, submits_one, &second, 0);
    EVENTUALLY(is_held());
    gate_await(&g, 2);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    CHECK_INT(tally_of(&p).workers, 2);
    let_go();
    gate_await(&g, 3);
    test_join(team);
    CHECK_INT(tally_of(&p).workers, 3);
    gate_open(&g);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(it_grows_for_waiting_jobs_when_it_may_have_more_workers)
{
    weir_pool p;
    struct gate g = {0, 0};
    const weir_pool_opt opt = {.min = 1, .max = 1};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    CHECK_INT(weir_pool_resize(&p, 1, 3), 0);
    gate_await(&g, 3);
    gate_open(&g);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(a_refused_thread_is_counted_and_its_job_waits)
{
    weir_pool p;
    struct gate g = {0, 0};
    const weir_pool_opt opt = {.min = 1, .max = 2};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    fail_thread = 0;
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    CHECK_INT(weir_pool_resize(&p, 2, 2), EAGAIN);
    fail_thread = -1;
    CHECK_INT(tally_of(&p).refused, 2);
    CHECK_INT(tally_of(&p).workers, 1);
    gate_open(&g);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(tally_of(&p).done, 2);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* While a thread is being started, which will be refused, the only worker ends: who waits for the end hears of the refusal. */
static struct ending {
    weir_pool pool;
    struct gate gate;
    weir_group waits;
    int over; /* atomic */
} ending;
static int waits_for_the_end(weir_ctx *ctx, void *arg)
{
    const int rc = weir_pool_drain(ctx, &ending.pool);
    (void)arg;
    __atomic_store_n(&ending.over, 1, __ATOMIC_SEQ_CST);
    return rc;
}
static void all_others_end(void)
{
    fail_thread = -1;
    CHECK_INT(weir_group_go(NULL, &ending.waits, waits_for_the_end, NULL), 0);
    EVENTUALLY(printed("in wait for a pool on \"short of threads\""));
    gate_open(&ending.gate);
    EVENTUALLY(tally_of(&ending.pool).workers == 1); /* the one that is being started */
    CHECK(!__atomic_load_n(&ending.over, __ATOMIC_SEQ_CST));
}
TEST(the_end_comes_with_a_refused_thread)
{
    const weir_pool_opt opt = {.min = 1, .max = 2, .name = "short of threads"};
    int ran = 0;
    memset(&ending, 0, sizeof ending);
    weir_group_init(&ending.waits, NULL, NULL);
    REQUIRE(weir_pool_start(&ending.pool, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &ending.pool, stands, &ending.gate, NULL), 0);
    gate_await(&ending.gate, 1);
    fail_thread_first = all_others_end;
    fail_thread = 0;
    CHECK_INT(weir_pool_submit(NULL, &ending.pool, counts, &ran, NULL), 0);
    EVENTUALLY(__atomic_load_n(&ending.over, __ATOMIC_SEQ_CST));
    weir_group_cancel(&ending.waits, 0); /* so that a test that fails ends */
    CHECK_INT(weir_group_wait(&ending.waits), 0);
    weir_group_free(&ending.waits);
    CHECK_INT(counted(&ran), 1);
    CHECK_INT(tally_of(&ending.pool).refused, 1);
    CHECK_INT(weir_pool_free(&ending.pool), 0);
}

TEST(its_bounds_change_while_it_runs)
{
    weir_pool p;
    struct gate g = {0, 0};
    const weir_pool_opt opt = {.min = 2, .name = "resized", .idle = WEIR_SEC(1000)};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    EVENTUALLY(printed("in idle on \"resized\""));
    CHECK_INT(weir_pool_resize(&p, 5, 5), 0);
    for (int i = 0; i < 5; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 5);
    CHECK_INT(weir_pool_resize(&p, 1, 3), 0);
    gate_open(&g);
    EVENTUALLY(tally_of(&p).workers == 3);
    EVENTUALLY(weir__waitq_sleepers(&p.queue.idle) == 3);
    CHECK_INT(weir_pool_resize(&p, 1, 1), 0);
    EVENTUALLY(tally_of(&p).workers == 1);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(weir_pool_resize(&p, 1, 1), EPIPE);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* A worker that has seen the old bounds, and is about to sleep, does not sleep over the new ones. */
TEST(its_bounds_change_while_a_worker_goes_to_sleep)
{
    weir_pool p;
    struct gate g;
    const weir_pool_opt opt = {.idle = WEIR_SEC(1000)};
    start_blocked(&p, &g, &opt);
    hold_the_next("worker parks");
    CHECK_INT(weir_pool_resize(&p, 2, 2), 0);
    EVENTUALLY(is_held());
    CHECK_INT(weir_pool_resize(&p, 1, 1), 0);
    let_go();
    EVENTUALLY(tally_of(&p).workers == 1); /* the other stands behind the gate */
    end(&p, &g);
}

static void resizes(void *arg)
{
    CHECK_INT(weir_pool_resize((weir_pool *)arg, 4, 4), 0);
}
TEST(no_more_workers_start_for_new_bounds_once_it_ends)
{
    weir_pool p;
    struct gate g;
    start_blocked(&p, &g, NULL);
    hold_the_next("worker started");
    struct test_team *team = test_start(1, resizes, &p, 0);
    EVENTUALLY(is_held());
    CHECK_INT(weir_pool_stop_until(&p, 0), ETIMEDOUT);
    let_go();
    test_join(team);
    CHECK_INT(tally_of(&p).most_workers, 2);
    end(&p, &g);
}

/* ---- ending ---- */

TEST(stop_ends_what_runs_and_reports_what_waits)
{
    weir_pool p;
    int ran = 0;
    weir_job_result run = {0}, waited = {0};
    const weir_pool_opt one = {.min = 1};
    const weir_job_opt a = {.done = keeps, .done_arg = &run, .name = "endless"},
                       b = {.done = keeps, .done_arg = &waited};
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, until_ended, NULL, &a), 0);
    EVENTUALLY(tally_of(&p).queued == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &b), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_pool_stop(&p), 0);
    CHECK(run.error == ECANCELED && run.ran);
    CHECK(waited.error == ECANCELED && !waited.ran && ran == 0);
    CHECK_INT(tally_of(&p).cancelled, 1);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(stop_with_a_deadline_leaves_what_runs_named_on_the_roll)
{
    weir_pool p;
    struct gate g = {0, 0};
    const weir_pool_opt one = {.min = 1, .name = "abc"};
    const weir_job_opt opt = {.name = "stubborn"};
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, &opt), 0);
    gate_await(&g, 1);
    CHECK_INT(weir_pool_stop_until(&p, weir_now()), ETIMEDOUT);
    CHECK(printed("abc-0"));
    CHECK(printed("runs stubborn"));
    weir_ctx ctx;
    weir_ctx_init_timeout(&ctx, NULL, 0);
    CHECK_INT(weir_pool_drain(&ctx, &p), ETIMEDOUT);
    weir_ctx_free(&ctx);
    gate_open(&g);
    CHECK_INT(weir_pool_stop_until(&p, weir_now() + WEIR_SEC(50)), 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(a_jobs_name_leaves_the_roll_with_the_job)
{
    weir_pool p;
    struct gate g = {0, 0};
    int ran = 0;
    const weir_pool_opt one = {.min = 1};
    const weir_job_opt opt = {.name = "resize"};
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    CHECK_INT(ran, 1);
    CHECK(!printed("resize"));
    end(&p, &g);
}

TEST(a_context_that_ends_with_work_queued_leaves_nobody_waiting)
{
    weir_pool p;
    struct gate g = {0, 0};
    int ran = 0;
    weir_ctx parent;
    weir_job_future future;
    weir_job_result result = {0};
    const weir_pool_opt one = {.min = 1, .queue = 1};
    weir_ctx_init(&parent, NULL);
    REQUIRE(weir_future_make(&future) == 0);
    REQUIRE(weir_pool_start(&p, &parent, &one) == 0);
    const weir_job_opt opt = {.future = future};
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    weir_ctx_cancel(&parent, 0);
    gate_open(&g);
    CHECK_INT(weir_future_get(NULL, future, &result), 0);
    CHECK(result.error == ECANCELED && !result.ran);
    for (int i = 0; i < 10; i++) /* more than there is room for */
        CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(ran, 0);
    CHECK_INT(tally_of(&p).cancelled, 11);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_ctx_free(&parent);
    weir_future_free(&future);
}

static weir_pool *inner;
static int ends_its_pool(weir_ctx *ctx, void *arg)
{
    CHECK_INT(weir_pool_drain(ctx, inner), EBUSY);
    CHECK_INT(weir_pool_stop(inner), EBUSY);
    CHECK_INT(weir_pool_free(inner), EBUSY);
    return counts(ctx, arg);
}

TEST(a_job_may_begin_the_end_of_its_pool)
{
    weir_pool p;
    int ran = 0;
    inner = &p;
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, ends_its_pool, &ran, NULL), 0);
    EVENTUALLY(counted(&ran) == 1);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), EPIPE);
    CHECK_INT(weir_pool_free(&p), 0);
}

static int ends_the_inner_pool(weir_ctx *ctx, void *arg)
{
    CHECK_INT(weir_pool_drain(ctx, inner), 0);
    CHECK_INT(weir_pool_free(inner), 0);
    return counts(ctx, arg);
}

TEST(a_job_may_end_another_pool_and_wait_for_it)
{
    weir_pool p, other;
    struct gate g;
    int ran = 0, ended = 0;
    const weir_pool_opt one = {.min = 1};
    start_blocked(&p, &g, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    inner = &p;
    REQUIRE(weir_pool_start(&other, NULL, &one) == 0);
    CHECK_INT(weir_pool_submit(NULL, &other, ends_the_inner_pool, &ended, NULL), 0);
    EVENTUALLY(printed("in wait for a pool on \"pool\""));
    CHECK_INT(counted(&ended), 0);
    gate_open(&g);
    EVENTUALLY(counted(&ended) == 1);
    CHECK_INT(ran, 1);
    CHECK_INT(weir_pool_free(&other), 0);
}

/* ---- after a fork ---- */

static weir_pool forked;
static int only_the_parents(void)
{
    int ran = 0;
    if (weir_pool_submit(NULL, &forked, counts, &ran, NULL) != ENOTRECOVERABLE)
        return 1;
    if (weir_pool_resize(&forked, 1, 2) != ENOTRECOVERABLE)
        return 2;
    if (weir_pool_drain(NULL, &forked) != ENOTRECOVERABLE || weir_pool_stop(&forked) != ENOTRECOVERABLE)
        return 3;
    return weir_pool_free(&forked) == 0 && ran == 0 ? FINE : 4;
}
TEST(a_child_is_told_that_the_workers_are_its_parents)
{
    const weir_pool_opt opt = {.min = 2};
    int ran = 0;
    REQUIRE(weir_pool_start(&forked, NULL, &opt) == 0);
    CHECK_INT(in_child(only_the_parents), FINE);
    CHECK_INT(weir_pool_submit(NULL, &forked, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &forked), 0);
    CHECK_INT(ran, 1);
    CHECK_INT(weir_pool_free(&forked), 0);
}
