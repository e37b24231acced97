/* tests/task/test_pool.c: what a pool does with a job: order, room, deadlines, results, failing, and how it grows, shrinks and ends. */
static void hold(const char *point);
#define WEIR_HOOK(point) hold(point)
#include "../faults/failing.h"
#include "../sync/printed.h"
#include "pool.h"

static int held; /* atomic. 1: whoever comes to `held_at` next makes it 2, and stands there until it is 0 */
static const char *held_at;
static void hold(const char *point)
{
    int expected = 1;
    if (__atomic_load_n(&held, __ATOMIC_SEQ_CST) != 1 || strcmp(point, held_at) != 0 ||
        !__atomic_compare_exchange_n(&held, &expected, 2, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    while (__atomic_load_n(&held, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
}

/* ---- running ---- */

TEST(each_job_runs_once)
{
    weir_pool p;
    int ran = 0, n = (int)test_rounds(20000);
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    for (int i = 0; i < n; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(counted(&ran), n);
    CHECK_INT(tally_of(&p).done, n);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), EPIPE);
    CHECK_INT(weir_thread_count(), 0);
    CHECK_INT(weir_pool_free(&p), 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(misuse_is_told_and_changes_nothing)
{
    weir_pool p;
    int ran = 0;
    const weir_pool_opt narrow = {.min = 3, .max = 2}, odd = {.overflow = 9}, huge = {.queue = SIZE_MAX / 16},
                        strange = {.wait = 77}, good = {.min = 1};
    const weir_job_opt high = {.priority = 3}, low = {.priority = -2}, how = {.overflow = 6}, late = {.deadline = -1},
                       slow = {.timeout = -1};
    CHECK_INT(weir_pool_start(&p, NULL, &narrow), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &odd), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &strange), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &huge), EOVERFLOW);
    REQUIRE(weir_pool_start(&p, NULL, &good) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, NULL, NULL, NULL), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &high), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &low), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &how), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &late), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &slow), EINVAL);
    CHECK_INT(weir_pool_resize(&p, 0, 1), EINVAL);
    CHECK_INT(weir_pool_resize(&p, 2, 1), EINVAL);
    CHECK_INT(weir_pool_free(&p), 0);
    CHECK_INT(ran, 0);
}

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

/* ---- room ---- */

/* A pool whose worker stands, with one job queued and room for no other. */
static void start_full(weir_pool *p, struct gate *g, int *ran, int overflow, const weir_job_opt *queued)
{
    const weir_pool_opt opt = {.queue = 1, .overflow = overflow};
    start_blocked(p, g, &opt);
    REQUIRE(weir_pool_submit(NULL, p, counts, ran, queued) == 0);
}
static void end(weir_pool *p, struct gate *g)
{
    gate_open(g);
    CHECK_INT(weir_pool_drain(NULL, p), 0);
    CHECK_INT(weir_pool_free(p), 0);
    CHECK_INT(weir_thread_count(), 0);
}

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
    CHECK_INT(weir_pool_free(&crossed[0]), 0);
    CHECK_INT(weir_pool_free(&crossed[1]), 0);
}

/* ---- order ---- */

static int order[400], ordered; /* written by one worker */
static int takes_its_turn(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    order[ordered++] = *(int *)arg;
    return 0;
}

TEST(higher_priorities_first_and_each_in_its_order)
{
    weir_pool p;
    struct gate g;
    int number[16];
    ordered = 0;
    start_blocked(&p, &g, NULL);
    for (int i = 0; i < 16; i++) {
        const weir_job_opt opt = {.priority = i % 4 - 1};
        number[i] = (i % 4 - 1) * 100 + i;
        CHECK_INT(weir_pool_submit(NULL, &p, takes_its_turn, &number[i], &opt), 0);
    }
    end(&p, &g);
    for (int i = 0; i < 16; i++)
        CHECK_INT(order[i], number[i % 4 * 4 + 3 - i / 4]);
}

TEST(no_priority_is_starved)
{
    weir_pool p;
    struct gate g;
    static const int level[] = {WEIR_JOB_LOW, WEIR_JOB_NORMAL, WEIR_JOB_HIGH, WEIR_JOB_URGENT};
    const weir_pool_opt opt = {.age = 4, .queue = 200};
    int at[4] = {0, 0, 0, 0};
    ordered = 0;
    start_blocked(&p, &g, &opt);
    for (int i = 0; i < 100; i++)
        for (int l = 0; l < 4; l++) {
            const weir_job_opt job = {.priority = level[l]};
            if (l == 3 || i < 3) /* three of each, among a hundred urgent ones */
                CHECK_INT(weir_pool_submit(NULL, &p, takes_its_turn, (void *)(uintptr_t)&level[l], &job), 0);
        }
    end(&p, &g);
    CHECK_INT(ordered, 109);
    for (int i = 0; i < ordered; i++)
        for (int l = 0; l < 3; l++)
            if (order[i] == level[l]) {
                at[l]++;
                CHECK(i < at[l] * (4 + 4)); /* a turn in age + 4 jobs at least */
            }
    CHECK(at[0] == 3 && at[1] == 3 && at[2] == 3);
    CHECK(order[0] == WEIR_JOB_URGENT && order[1] == WEIR_JOB_URGENT && order[2] == WEIR_JOB_URGENT);
}

/* ---- time ---- */

TEST(a_job_whose_deadline_passes_in_the_queue_is_not_run)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    weir_job_result result = {0}, future_result = {0};
    const weir_job_opt opt = {.id = 1, .deadline = weir_now() + WEIR_MS(1), .done = keeps, .done_arg = &result},
                       later = {.id = 2, .deadline = WEIR_FOREVER, .done = keeps, .done_arg = &future_result};
    start_blocked(&p, &g, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &later), 0);
    while (weir_now() < opt.deadline)
        sched_yield();
    end(&p, &g);
    CHECK_INT(ran, 1);
    CHECK(result.id == 1 && result.error == ETIMEDOUT && !result.ran && result.queued > 0 && result.running == 0);
    CHECK(future_result.id == 2 && future_result.error == 0 && future_result.ran);
}

static int until_ended(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_sleep(ctx, WEIR_FOREVER);
}

TEST(a_job_that_runs_sees_its_timeout_and_its_deadline)
{
    weir_pool p;
    weir_job_result a = {0}, b = {0};
    const weir_pool_opt two = {.min = 2};
    const weir_job_opt timeout = {.timeout = WEIR_MS(1), .done = keeps, .done_arg = &a},
                       deadline = {.deadline = weir_now() + WEIR_SEC(1),
                                   .timeout = WEIR_SEC(100),
                                   .done = keeps,
                                   .done_arg = &b};
    REQUIRE(weir_pool_start(&p, NULL, &two) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, until_ended, NULL, &timeout), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, until_ended, NULL, &deadline), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK(a.error == ETIMEDOUT && a.ran && a.running >= WEIR_MS(1));
    CHECK(b.error == ETIMEDOUT && b.ran);
    CHECK_INT(tally_of(&p).failed, 2);
    CHECK_INT(tally_of(&p).expired, 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* ---- results ---- */

TEST(results_by_channel_future_and_callback_tell_the_same)
{
    weir_pool p;
    int code = 33;
    weir_job_result told = {0}, received = {0}, got = {0};
    weir_job_results results;
    weir_job_future future;
    REQUIRE(weir_chan_make(&results, 1) == 0);
    REQUIRE(weir_future_make(&future) == 0);
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    const weir_job_opt opt = {.id = 5, .done = keeps, .done_arg = &told, .results = results, .future = future};
    CHECK_INT(weir_pool_submit(NULL, &p, returns, &code, &opt), 0);
    CHECK_INT(weir_recv(NULL, results, &received), 0);
    CHECK_INT(weir_future_get(NULL, future, &got), 0);
    CHECK(got.id == 5 && got.output == &code && got.error == 33 && got.ran && got.queued > 0 && got.running >= 0);
    CHECK(memcmp(&got, &received, offsetof(weir_job_result, ran)) == 0 && received.queued == got.queued);
    CHECK(told.id == got.id && told.error == got.error && told.running == got.running);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_future_free(&future);
    weir_chan_free(&results);
}

TEST(a_full_channel_of_results_holds_the_worker_until_the_pool_is_stopped)
{
    weir_pool p;
    int ran = 0, left = 0;
    weir_job_results results;
    const weir_pool_opt one = {.min = 1};
    REQUIRE(weir_chan_make(&results, 1) == 0);
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    const weir_job_opt opt = {.results = results};
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    EVENTUALLY(weir__waitq_sleepers(&WEIR__CHAN(results)->senders) == 1);
    CHECK_INT(counted(&ran), 2);
    CHECK_INT(weir_recv(NULL, results, NULL), 0);
    EVENTUALLY(counted(&ran) == 3);
    CHECK_INT(weir_pool_stop(&p), 0);
    while (weir_try_recv(results, NULL) == 0)
        left++;
    CHECK_INT(left, 1);
    CHECK_INT(tally_of(&p).unreported, 2);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_chan_free(&results);
}

/* ---- failing ---- */

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

/* A job that fails in its caller, which is a job, ends itself alone. */
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
    held_at = "recv claimed";
    __atomic_store_n(&held, 1, __ATOMIC_SEQ_CST);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    EVENTUALLY(__atomic_load_n(&held, __ATOMIC_SEQ_CST) == 2);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &g, NULL), 0);
    CHECK_INT(tally_of(&p).workers, 1);
    __atomic_store_n(&held, 0, __ATOMIC_SEQ_CST);
    gate_await(&g, 2);
    CHECK_INT(tally_of(&p).workers, 2);
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
    held_at = "worker parks";
    __atomic_store_n(&held, 1, __ATOMIC_SEQ_CST);
    CHECK_INT(weir_pool_resize(&p, 2, 2), 0);
    EVENTUALLY(__atomic_load_n(&held, __ATOMIC_SEQ_CST) == 2);
    CHECK_INT(weir_pool_resize(&p, 1, 1), 0);
    __atomic_store_n(&held, 0, __ATOMIC_SEQ_CST);
    EVENTUALLY(tally_of(&p).workers == 1); /* the other stands behind the gate */
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

/* ---- as a runner ---- */

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

/* ---- names and processors ---- */

static int names_itself(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return pthread_getname_np(pthread_self(), (char *)arg, 16);
}

TEST(threads_are_named_and_pinned)
{
    weir_pool p;
    char name[16] = "";
    const int cpus[] = {0, 100000};
    const weir_pool_opt opt = {.min = 1, .name = "a_very_long_name_of_a_pool", .cpus = cpus, .cpus_count = 2};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, names_itself, name, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_STR(name, "a_very_long_n-0");
    CHECK_INT(weir_pool_free(&p), 0);
}

static int counts_cpus(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    *(int *)arg = weir_cpu_count();
    return 0;
}

TEST(a_pinned_worker_has_one_processor)
{
    weir_pool p;
    cpu_set_t all;
    size_t first = 0;
    int cpu, count = 0;
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    while (!CPU_ISSET(first, &all))
        first++;
    cpu = (int)first;
    const weir_pool_opt opt = {.min = 1, .cpus = &cpu, .cpus_count = 1};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts_cpus, &count, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(count, 1);
    CHECK_INT(weir_pool_free(&p), 0);
}
