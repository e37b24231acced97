/* flow/pipeline.h: the first error cancels all stages and is what wait returns; every thread is joined before it does; outputs are closed
 * after the last worker; failures to start are reported and leave nothing behind. */
#include "../faults/failing.h"

#include "flow.h"

#include "../sync/printed.h"

static int block_on(weir_ctx *ctx, void *arg)
{
    int v;
    return weir_recv(ctx, *(int_chan *)arg, &v); /* nobody ever sends */
}

static int fail_with(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

TEST(the_first_error_ends_blocked_stages_and_is_returned)
{
    const int before = threads_alive();
    for (int round = 0; round < test_rounds(500); round++) {
        int code = 41;
        int_chan silent;
        weir_stage_opt three = {.name = "blocked", .workers = 3};
        weir_pipeline p;
        REQUIRE(weir_chan_make(&silent, 1) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_pipeline_go(&p, &three, block_on, &silent, NULL, 0), 0);
        CHECK_INT(weir_pipeline_go(&p, NULL, fail_with, &code, NULL, 0), 0);
        CHECK_INT(weir_pipeline_wait(&p), 41);
        weir_chan_free(&silent);
    }
    EVENTUALLY(threads_alive() == before);
}

TEST(a_stage_function_that_fails_in_the_middle_decides_the_result)
{
    struct source s = {0, INT32_MAX, 500};
    struct tally t = {0, 0, 0, 0, 0};
    int_chan in, out;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, negate, NULL, NULL), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 7);
    CHECK(t.count <= 500);
    CHECK_INT(t.out_of_order, 0);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

TEST(the_cause_of_the_context_is_the_error)
{
    int code = 33;
    weir_pipeline p;
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_go(&p, NULL, fail_with, &code, NULL, 0), 0);
    EVENTUALLY(weir_ctx_err(weir_pipeline_ctx(&p)) == ECANCELED);
    CHECK_INT(weir_ctx_cause(weir_pipeline_ctx(&p)), 33);
    CHECK_INT(weir_pipeline_wait(&p), 33);
}

TEST(an_output_that_has_not_been_made_is_told_at_once)
{
    int code = 0;
    int_chan none = {NULL}, some;
    struct source s = {0, 5, -1};
    weir_pipeline p;
    REQUIRE(weir_chan_make(&some, 1) == 0);
    weir_closer closes[] = {WEIR_CLOSER(some), WEIR_CLOSER(none)};
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_go(&p, NULL, fail_with, &code, closes, 2), EINVAL);
    CHECK(weir_is_closed(some)); /* whoever reads it does not wait for ever */
    CHECK_INT(weir_pipeline_wait(&p), EINVAL);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, none, count_up, &s, NULL), EINVAL);
    CHECK_INT(weir_map(&p, some, none, negate, NULL, NULL), EINVAL);
    CHECK_INT(weir_pipeline_wait(&p), EINVAL);
    CHECK_INT(s.next, 0);
    weir_chan_free(&some);
}

TEST(epipe_from_a_task_is_no_error)
{
    int code = EPIPE;
    weir_pipeline p;
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_go(&p, NULL, fail_with, &code, NULL, 0), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
}

TEST(the_end_of_the_parent_context_ends_the_pipeline)
{
    weir_ctx parent;
    int_chan silent;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&silent, 1) == 0);
    weir_ctx_init_timeout(&parent, NULL, WEIR_MS(5));
    weir_pipeline_init(&p, &parent);
    CHECK_INT(weir_pipeline_go(&p, NULL, block_on, &silent, NULL, 0), 0);
    CHECK_INT(weir_pipeline_wait(&p), ETIMEDOUT);
    weir_ctx_free(&parent);
    weir_chan_free(&silent);
}

struct gate {
    int open, left;
};

static int leave_after_gate(weir_ctx *ctx, void *arg)
{
    struct gate *g = (struct gate *)arg;
    (void)ctx;
    int left = __atomic_load_n(&g->left, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&g->open, __ATOMIC_ACQUIRE) <= left ||
           !__atomic_compare_exchange_n(&g->left, &left, left + 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        sched_yield();
        left = __atomic_load_n(&g->left, __ATOMIC_ACQUIRE);
    }
    return 0;
}

TEST(channels_close_after_the_last_worker_and_not_before)
{
    struct gate g = {0, 0};
    weir_stage_opt four = {.name = "gate", .workers = 4};
    int_chan out;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&out, 1) == 0);
    weir_closer closes[] = {WEIR_CLOSER(out)};
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_go(&p, &four, leave_after_gate, &g, closes, 1), 0);
    __atomic_store_n(&g.open, 3, __ATOMIC_RELEASE);
    EVENTUALLY(__atomic_load_n(&g.left, __ATOMIC_ACQUIRE) >= 3);
    CHECK(!weir_is_closed(out));
    __atomic_store_n(&g.open, 100, __ATOMIC_RELEASE);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK(weir_is_closed(out));
    weir_chan_free(&out);
}

struct nested {
    weir_pipeline *p;
    int depth;
};

static int start_another(weir_ctx *ctx, void *arg)
{
    struct nested *n = (struct nested *)arg;
    (void)ctx;
    if (n->depth == 0)
        return 0;
    n->depth--;
    return weir_pipeline_go(n->p, NULL, start_another, n, NULL, 0);
}

TEST(a_stage_may_start_another_and_wait_joins_that_too)
{
    weir_pipeline p;
    struct nested n = {&p, 20};
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_go(&p, NULL, start_another, &n, NULL, 0), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(n.depth, 0);
    CHECK_INT(allocations, 0);
}

TEST(a_cpu_that_is_not_there_is_an_error_of_the_stage)
{
    const int cpu = 8191;
    int code = 0;
    weir_stage_opt opt = {.name = "pinned", .workers = 1, .cpus = &cpu, .cpu_count = 1};
    weir_pipeline p;
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_go(&p, &opt, fail_with, &code, NULL, 0), 0);
    CHECK_INT(weir_pipeline_wait(&p), EINVAL);
}

static int does_nothing(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

/* A pipeline with an ordered map, a fan-in and a task, during which one allocation or one thread start fails. */
static int run_failing(void)
{
    struct source s = {0, 300, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_stage_opt opt = {.name = "map", .workers = 2, .ordered = true};
    int_chan in, mapped, out;
    weir_pipeline p;
    const int planned = fail_allocation;
    fail_allocation = -1;
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&mapped, 2) == 0 && weir_chan_make(&out, 2) == 0);
    fail_allocation = planned;
    weir_pipeline_init(&p, NULL);
    int first = weir_generate(&p, in, count_up, &s, NULL), rc;
    if (first == 0)
        first = weir_map(&p, in, mapped, negate, NULL, &opt);
    if (first == 0)
        first = weir_fan_in(&p, &mapped, 1, out, NULL);
    if (first == 0)
        first = weir_pipeline_go(&p, NULL, does_nothing, NULL, NULL, 0);
    if (first == 0)
        first = weir_sink(&p, out, tally_up, &t, NULL);
    rc = weir_pipeline_wait(&p);
    if (first != 0)
        CHECK_INT(rc, first); /* what the call said is what wait says */
    else
        CHECK_INT(t.count, 300);
    weir_chan_free(&in);
    weir_chan_free(&mapped);
    weir_chan_free(&out);
    return rc;
}

TEST(every_failing_allocation_is_reported_and_leaks_nothing)
{
    int failures = 0;
    for (int k = 0; k < 40; k++) {
        fail_allocation = k;
        const int rc = run_failing();
        fail_allocation = -1;
        CHECK(rc == 0 || rc == ENOMEM);
        CHECK_INT(allocations, 0);
        if (rc == 0)
            break;
        failures++;
    }
    CHECK(failures > 10); /* each stage is two, each inner channel one */
}

TEST(every_refused_thread_is_reported_and_leaks_nothing)
{
    int failures = 0;
    for (int k = 0; k < 40; k++) {
        fail_thread = k;
        const int rc = run_failing();
        fail_thread = -1;
        CHECK(rc == 0 || rc == EAGAIN);
        CHECK_INT(allocations, 0);
        if (rc == 0)
            break;
        failures++;
    }
    CHECK_INT(failures, 8); /* generate, deal, two workers, collect, sink */
}

static int waits_for_a_pipeline(weir_ctx *ctx, void *ch)
{
    weir_pipeline p;
    const weir_stage_opt opt = {.name = "blocked"};
    weir_pipeline_init(&p, ctx);
    CHECK_INT(weir_pipeline_go(&p, &opt, block_on, ch, NULL, 0), 0);
    return weir_pipeline_wait(&p);
}

TEST(the_roll_says_who_joins_a_stage)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, 1) == 0);
    printed_while(waits_for_a_pipeline, &ch, " in join on \"blocked\"");
    weir_chan_free(&ch);
}
