/* tests/task/test_pool_moment.c: what a pool does at moments that are rare, each held up or brought about by hand; hours that pass in a pool. */
#include "hold.h"

static void yields(void);
#define WEIR_CPU_YIELD() yields()
static void light_fence(void);
#define WEIR_FENCE_LIGHT() light_fence()
#define WEIR_FENCE_HEAVY() weir__fence_heavy()
#include "../chan/clock.h"
#include "harness.h"

#include "pool.h"

/* Where this thread stands at its next light fence: it has published, and not looked who sleeps. */
static __thread struct gate *before_looking;
static void light_fence(void)
{
    struct gate *g = before_looking;
    __asm__ __volatile__("" ::: "memory");
    if (g != NULL) {
        before_looking = NULL;
        stands(NULL, g);
    }
}

static __thread int *yielded; /* atomic */
static void yields(void)
{
    if (yielded != NULL)
        __atomic_add_fetch(yielded, 1, __ATOMIC_SEQ_CST);
    sched_yield();
}

/* Workers that sleep, and have looked for jobs for the last time before. */
static void counts_idle(const weir__roll_entry *entry, void *arg)
{
    *(int *)arg += entry->what != NULL && strcmp(entry->what, "idle") == 0;
}
static int asleep(void)
{
    int n = 0;
    weir__roll_each(counts_idle, &n);
    return n;
}

/* ---- time ---- */

TEST(a_task_that_a_worker_takes_for_a_runner_counts_as_taken)
{
    weir_pool p;
    weir_group group;
    struct gate g = {0, 0};
    const weir_pool_opt opt = {.min = 1, .max = 2, .grow_depth = 100, .grow_wait = WEIR_SEC(600)};
    if (weir__ring_of(WEIR__MPMC) == WEIR_RING_CK)
        SKIP("a ck ring has no moment between claim and release");
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    const weir_group_opt on_pool = {.runner = weir_pool_runner(&p)};
    weir_group_init(&group, NULL, &on_pool);
    EVENTUALLY(asleep() == 1);
    hold_the_next("recv claimed");
    CHECK_INT(weir_group_go(NULL, &group, stands, &g), 0);
    EVENTUALLY(is_held());
    pass(WEIR_SEC(3600));
    let_go();
    gate_await(&g, 1);
    CHECK_INT(weir_group_go(NULL, &group, stands, &g), 0);
    CHECK_INT(tally_of(&p).workers, 1);
    pass(WEIR_SEC(600));
    CHECK_INT(weir_group_go(NULL, &group, stands, &g), 0);
    CHECK_INT(tally_of(&p).workers, 2);
    gate_open(&g);
    CHECK_INT(weir_group_wait(&group), 0);
    EVENTUALLY(tally_of(&p).done == 3);
    weir_group_free(&group);
    CHECK_INT(weir_pool_free(&p), 0);
    back_to_real_time();
}

TEST(a_deadline_is_the_first_moment_that_is_too_late)
{
    weir_pool p;
    int ran = 0;
    const weir_pool_opt one = {.min = 1};
    clock_stands_still(true);
    const weir_job_opt now = {.deadline = weir_now()}, next = {.deadline = weir_now() + 1};
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &now), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &next), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(ran, 1);
    CHECK_INT(tally_of(&p).expired, 1);
    CHECK_INT(weir_pool_free(&p), 0);
    clock_stands_still(false);
}

/* A pool of one worker, of at most two, that wants the second after ten seconds; the clock stands still. */
static void grows_when_none_was_taken_for_just_so_long(weir_pool *p)
{
    struct gate g = {0, 0};
    int ran = 0;
    EVENTUALLY(asleep() == 1);
    pass(WEIR_SEC(1000)); /* what counts is when a job was taken, not when the worker came */
    CHECK_INT(weir_pool_submit(NULL, p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    CHECK_INT(weir_pool_submit(NULL, p, counts, &ran, NULL), 0);
    pass(WEIR_SEC(10) - 1);
    CHECK_INT(weir_pool_submit(NULL, p, counts, &ran, NULL), 0);
    CHECK_INT(tally_of(p).workers, 1);
    pass(1);
    CHECK_INT(weir_pool_submit(NULL, p, counts, &ran, NULL), 0);
    CHECK_INT(tally_of(p).workers, 2);
    EVENTUALLY(counted(&ran) == 3);
    gate_open(&g);
    CHECK_INT(weir_pool_free(p), 0);
    clock_stands_still(false);
}

TEST(a_worker_more_comes_when_none_was_taken_for_just_so_long)
{
    weir_pool p;
    const weir_pool_opt opt = {.min = 1, .max = 2, .grow_depth = 100, .grow_wait = WEIR_SEC(10), .idle = WEIR_FOREVER};
    clock_stands_still(true);
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    grows_when_none_was_taken_for_just_so_long(&p);
}

TEST(a_pool_that_is_made_elastic_knows_when_jobs_are_taken)
{
    weir_pool p;
    const weir_pool_opt opt = {.min = 1, .grow_depth = 100, .grow_wait = WEIR_SEC(10), .idle = WEIR_FOREVER};
    clock_stands_still(true);
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_resize(&p, 1, 2), 0);
    grows_when_none_was_taken_for_just_so_long(&p);
}

TEST(jobs_run_until_the_deadline_of_the_pools_context)
{
    weir_pool p;
    weir_ctx parent;
    int ran = 0;
    const weir_pool_opt one = {.min = 1};
    weir_ctx_init_timeout(&parent, NULL, WEIR_SEC(3600));
    REQUIRE(weir_pool_start(&p, &parent, &one) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    EVENTUALLY(tally_of(&p).done == 1);
    pass(WEIR_SEC(3600));
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(ran, 1);
    CHECK_INT(tally_of(&p).cancelled, 1);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_ctx_free(&parent);
    back_to_real_time();
}

/* Both workers slept as some of the least number, and without a limit. */
TEST(a_worker_that_is_one_too_many_since_new_bounds_ends_when_idle)
{
    weir_pool p;
    const weir_pool_opt two = {.min = 2, .idle = WEIR_US(100)};
    REQUIRE(weir_pool_start(&p, NULL, &two) == 0);
    EVENTUALLY(asleep() == 2);
    CHECK_INT(weir_pool_resize(&p, 1, 2), 0);
    EVENTUALLY(tally_of(&p).workers == 1);
    CHECK_INT(tally_of(&p).shrunk, 1);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* ---- room ---- */

struct submitter {
    weir_pool *pool;
    int overflow, ran, yielded; /* the last two: atomic */
};
static void submits_one(void *arg)
{
    struct submitter *s = (struct submitter *)arg;
    const weir_job_opt opt = {.overflow = s->overflow};
    yielded = &s->yielded;
    CHECK_INT(weir_pool_submit(NULL, s->pool, counts, &s->ran, &opt), 0);
}

/* Its place is taken, and it is not there yet. */
TEST(the_oldest_job_is_waited_for_to_be_dropped)
{
    weir_pool p;
    struct gate g;
    const weir_pool_opt small = {.queue = 1};
    struct submitter first = {&p, 0, 0, 0}, second = {&p, WEIR_OVERFLOW_DROP_OLDEST, 0, 0};
    if (weir__ring_of(WEIR__MPMC) == WEIR_RING_CK)
        SKIP("a ck ring has no moment between claim and publication");
    start_blocked(&p, &g, &small);
    hold_the_next("send claimed");
    struct test_team *one = test_start(1, submits_one, &first, 0);
    EVENTUALLY(is_held());
    struct test_team *two = test_start(1, submits_one, &second, 0);
    EVENTUALLY(__atomic_load_n(&second.yielded, __ATOMIC_SEQ_CST) > 0);
    CHECK_INT(tally_of(&p).dropped_oldest, 0);
    let_go();
    test_join(one);
    test_join(two);
    CHECK_INT(tally_of(&p).dropped_oldest, 1);
    end(&p, &g);
    CHECK(first.ran == 0 && second.ran == 1);
}

/* ---- who wakes whom ---- */

struct submission {
    weir_pool *pool;
    struct gate stop;
    int ran;
};
static void submits_and_stops(void *arg)
{
    struct submission *s = (struct submission *)arg;
    before_looking = &s->stop;
    CHECK_INT(weir_pool_submit(NULL, s->pool, counts, &s->ran, NULL), 0);
}

/* Whoever has submitted the second job has not come to wake anybody. */
TEST(a_worker_that_was_woken_wakes_the_next_if_there_is_one_more_job)
{
    weir_pool p;
    struct gate g = {0, 0};
    struct submission second = {&p, {0, 0}, 0};
    const weir_pool_opt two = {.min = 2};
    if (weir__ring_of(WEIR__MPMC) == WEIR_RING_CK)
        SKIP("a ck ring has no moment between claim and release");
    REQUIRE(weir_pool_start(&p, NULL, &two) == 0);
    EVENTUALLY(asleep() == 2);
    hold_the_next("recv claimed");
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    EVENTUALLY(is_held());
    struct test_team *team = test_start(1, submits_and_stops, &second, 0);
    gate_await(&second.stop, 1);
    CHECK_INT(weir__waitq_sleepers(&p.queue.idle), 1);
    let_go();
    EVENTUALLY(counted(&second.ran) == 1);
    gate_open(&second.stop);
    test_join(team);
    gate_open(&g);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* The only worker has a long job by then, and whoever waited is the last who looks. */
TEST(who_has_waited_for_room_looks_whether_a_worker_more_is_wanted)
{
    weir_pool p;
    struct gate g = {0, 0}, next = {0, 0};
    struct submitter waits = {&p, 0, 0, 0};
    const weir_pool_opt opt = {
        .min = 1, .max = 2, .queue = 1, .grow_depth = 100, .grow_wait = WEIR_SEC(10), .idle = WEIR_FOREVER};
    clock_stands_still(true);
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    gate_await(&g, 1);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &next, NULL), 0);
    struct test_team *team = test_start(1, submits_one, &waits, 0);
    EVENTUALLY(weir__waitq_sleepers(&p.queue.level[WEIR__JOB_NORMAL_LEVEL]->senders) == 1);
    hold_the_next("send claimed");
    gate_open(&g);
    gate_await(&next, 1);
    EVENTUALLY(is_held());
    pass(WEIR_SEC(10));
    CHECK_INT(tally_of(&p).workers, 1);
    let_go();
    test_join(team);
    CHECK_INT(tally_of(&p).workers, 2);
    EVENTUALLY(counted(&waits.ran) == 1);
    gate_open(&next);
    CHECK_INT(weir_pool_free(&p), 0);
    clock_stands_still(false);
}

static int says_what_it_does(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    weir_thread_task("parsing");
    return 0;
}
static void parses(const weir__roll_entry *entry, void *n)
{
    *(int *)n += entry->task != NULL && strcmp(entry->task, "parsing") == 0;
}
TEST(a_worker_that_sleeps_runs_nothing)
{
    weir_pool p;
    int n = 0;
    const weir_pool_opt one = {.min = 1};
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, says_what_it_does, NULL, NULL), 0);
    EVENTUALLY(tally_of(&p).done == 1 && tally_of(&p).running == 0 && asleep() == 1);
    weir__roll_each(parses, &n);
    CHECK_INT(n, 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* Where membarrier is missing: who submits looks twice, and takes no lock if nobody sleeps. */
TEST(where_every_submit_needs_a_fence_it_wakes_who_sleeps_and_nobody_else)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    start_blocked(&p, &g, NULL);
    weir__waitq_mark(&p.queue.idle, WEIR__ATTENTION_FENCE);
    weir__lock_take(&p.queue.idle.lock);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    weir__lock_release(&p.queue.idle.lock);
    gate_open(&g);
    EVENTUALLY(asleep() == 1);
    CHECK_INT(counted(&ran), 1);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    EVENTUALLY(counted(&ran) == 2);
    end(&p, &g);
}
