/* tests/model/scenarios/workers.c: a pool of workers: jobs that are accepted are run or reported, and no worker sleeps over one. The workers are threads of
 * the scenario; one priority.
 */
struct weir__job_frame;
struct weir__pool_worker;
static struct weir__job_frame **my_frame(void);
static struct weir__pool_worker **my_worker(void);
#define WEIR__JOB_FRAME() my_frame()
#define WEIR__POOL_WORKER_SELF() my_worker()
#define WEIR__POOL_LEVELS 1
#define WEIR__JOB_LEVEL(priority) (0 * (priority))
#include "model/calls.h"

enum { JOBS = 3 };
static weir_pool pool;
static int ran[JOBS], reported[JOBS], accepted[JOBS];
static int done; /* jobs, looked at by others */
static bool meeting;
static struct weir__job_frame *frames[8];
static struct weir__pool_worker *workers[8];
MODEL_OUTSIDE static struct weir__job_frame **my_frame(void)
{
    return &frames[model_thread_self()];
}
MODEL_OUTSIDE static struct weir__pool_worker **my_worker(void)
{
    return &workers[model_thread_self()];
}

MODEL_OUTSIDE static void setup_with(unsigned threads, unsigned min, size_t queue)
{
    weir_pool_opt opt = {.queue = queue, .idle = 1, .grow_depth = 9, .grow_wait = WEIR_FOREVER};
    opt.min = min;
    opt.max = threads;
    memset(frames, 0, sizeof frames);
    memset(workers, 0, sizeof workers);
    memset(ran, 0, sizeof ran);
    memset(reported, 0, sizeof reported);
    memset(accepted, 0, sizeof accepted);
    done = 0;
    meeting = false;
    MODEL_CHECK(weir__pool_init(&pool, NULL, &opt) == 0);
    pool.threads = threads;
    pool.timed = 0; /* clock readings are steps that decide nothing here */
    MODEL_NAME(pool.queue.idle);
    MODEL_NAME(pool.lock);
    model_name_channel(pool.queue.level[0], "queue");
}
THREAD(setup_none, setup_with(0, 1, 1))
THREAD(setup_one, setup_with(1, 1, 1))
THREAD(setup_two, setup_with(2, 2, 2))
THREAD(setup_meeting, setup_with(2, 2, 2); meeting = true)
THREAD(setup_idle, setup_with(2, 1, 1))
/* One of the two is no thread here: it is listed, and busy with a job that lasts until the next one has run. */
THREAD(setup_busy, setup_with(2, 1, 1); pool.opt.grow_depth = 1; pool.listed = 1)
/* One worker, and room for another. */
THREAD(setup_growing, setup_with(2, 1, 2); pool.threads = 1; pool.opt.grow_depth = 1; meeting = true)

THREAD(works, (void)weir__pool_worker_thread(&pool))
static void work_once(void)
{
    weir__pool_worker w;
    weir__job job;
    memset(&w, 0, sizeof w);
    w.pool = &pool;
    *my_worker() = &w;
    MODEL_CHECK(weir__pool_worker_next(&w, &job) == 0);
    weir__pool_see_to(&pool, &job);
}
THREAD(works_once, work_once())

MODEL_OUTSIDE static int runs(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    ran[*(int *)arg]++;
    model_goes_by(0);
    while (meeting && ran[0] + ran[1] < 2)
        model_wait();
    done++;
    model_goes_by(1); /* that both are there */
    return 0;
}
MODEL_OUTSIDE static void is_reported(const weir_job_result *result, void *arg)
{
    const int i = *(int *)arg;
    reported[i]++;
    model_goes_by(0);
    MODEL_CHECK(result->ran == (ran[i] == 1));
}
MODEL_OUTSIDE static bool done_with(int n)
{
    model_goes_by(done >= n);
    return done >= n;
}
MODEL_OUTSIDE static void note(int i, int rc, bool may_be_refused)
{
    MODEL_CHECK(rc == 0 || (may_be_refused && (rc == EPIPE || rc == EAGAIN)));
    accepted[i] = rc == 0;
    model_goes_by(0);
}

static int number[JOBS] = {0, 1, 2};
static void submit(int i, int overflow, bool may_be_refused)
{
    weir_job_opt opt;
    memset(&opt, 0, sizeof opt);
    opt.overflow = overflow;
    opt.done = is_reported;
    opt.done_arg = &number[i];
    note(i, weir_pool_submit(NULL, &pool, runs, &number[i], &opt), may_be_refused);
}
THREAD(submits_0, submit(0, WEIR_OVERFLOW_BLOCK, true))
THREAD(submits_0_and_1, submit(0, WEIR_OVERFLOW_BLOCK, true); submit(1, WEIR_OVERFLOW_BLOCK, true))
THREAD(submits_1, submit(1, WEIR_OVERFLOW_BLOCK, true))
THREAD(rejects_0, submit(0, WEIR_OVERFLOW_REJECT, true))
THREAD(rejects_1, submit(1, WEIR_OVERFLOW_REJECT, true))
THREAD(drops_for_0, submit(0, WEIR_OVERFLOW_DROP_OLDEST, true))
THREAD(drops_for_1, submit(1, WEIR_OVERFLOW_DROP_OLDEST, true))
/* What was accepted has been seen to when they return, and no worker is left. */
MODEL_OUTSIDE static void all_is_over(int rc)
{
    MODEL_CHECK(rc == 0 && pool.threads == 0);
    model_goes_by(0);
    for (int i = 0; i < JOBS; i++)
        MODEL_CHECK(!accepted[i] || reported[i]);
}
THREAD(drains, all_is_over(weir_pool_drain(NULL, &pool)))
THREAD(stops, all_is_over(weir_pool_stop(&pool)))
/* Who drops a job sees to it, maybe a little later. */
THREAD(stops_beside_who_drops, MODEL_CHECK(weir_pool_stop(&pool) == 0))

/* Nothing but the submit may wake a worker until the jobs have run. */
static void submit_and_see(int first, int n)
{
    for (int i = first; i < first + n; i++)
        submit(i, WEIR_OVERFLOW_BLOCK, false);
    while (!done_with(n))
        model_wait();
    MODEL_CHECK(weir_pool_drain(NULL, &pool) == 0);
}
THREAD(sees_one_done, submit_and_see(0, 1))
THREAD(sees_two_done, submit_and_see(0, 2))
static void see_beside_who_is_busy(void)
{
    submit(0, WEIR_OVERFLOW_BLOCK, false);
    while (!done_with(1))
        model_wait();
    weir__lock_take(&pool.lock);
    weir__store_rlx(&pool.threads, weir__load_rlx(&pool.threads) - 1);
    pool.listed--;
    weir__lock_release(&pool.lock);
    MODEL_CHECK(weir_pool_drain(NULL, &pool) == 0);
}
THREAD(sees_one_done_beside_who_is_busy, see_beside_who_is_busy())

MODEL_OUTSIDE static void all_seen_to(void)
{
    for (int i = 0; i < JOBS; i++)
        MODEL_CHECK(reported[i] == accepted[i] && ran[i] <= accepted[i]);
    MODEL_CHECK(weir__pool_queue_len(&pool.queue) == 0 && pool.workers == NULL && pool.threads == 0);
    MODEL_CHECK(pool.queue.idle.list.first == NULL && pool.lock == 0);
    weir__pool_queue_free(&pool.queue);
}
/* No worker has been there: what is queued is. */
MODEL_OUTSIDE static void one_is_queued(void)
{
    MODEL_CHECK(weir__pool_queue_len(&pool.queue) == 1 && ran[0] + ran[1] == 0);
    MODEL_CHECK(accepted[0] + accepted[1] == 1 + reported[0] + reported[1]);
    weir__pool_queue_free(&pool.queue);
}
MODEL_OUTSIDE static void one_is_refused(void)
{
    MODEL_CHECK(accepted[0] + accepted[1] == 1 && reported[0] + reported[1] == 0);
    one_is_queued();
}
MODEL_OUTSIDE static void both_ran(void)
{
    MODEL_CHECK(ran[0] == 1 && ran[1] == 1);
    all_seen_to();
}
MODEL_OUTSIDE static void one_ran(void)
{
    MODEL_CHECK(ran[0] == 1);
    all_seen_to();
}

MODEL_OUTSIDE static void both_met(void)
{
    MODEL_CHECK(ran[0] == 1 && ran[1] == 1 && weir__pool_queue_len(&pool.queue) == 0);
    MODEL_CHECK(pool.queue.idle.list.first == NULL);
    weir__pool_queue_free(&pool.queue);
}

MODEL(workers_stopped, .setup = setup_one, .finish = all_seen_to, .preemptions = 3, .stale = 2,
      .threads = {works, submits_0, stops})
MODEL(workers_drained, .setup = setup_one, .finish = all_seen_to, .preemptions = 3, .stale = 2,
      .threads = {works, submits_0, drains})
MODEL(workers_drained_of_two, .setup = setup_one, .finish = all_seen_to, .preemptions = 2, .stale = 1,
      .threads = {works, submits_0_and_1, drains})
MODEL(workers_drained_and_stopped, .setup = setup_one, .finish = all_seen_to, .preemptions = 1, .stale = 1,
      .threads = {works, submits_0, stops, drains})
MODEL(workers_two_stopped, .setup = setup_two, .finish = all_seen_to, .preemptions = 1, .stale = 1,
      .threads = {works, works, submits_0, stops})
MODEL(workers_last_place, .setup = setup_none, .finish = one_is_refused, .preemptions = 3, .stale = 2,
      .threads = {rejects_0, rejects_1})
MODEL(workers_last_place_for_newest, .setup = setup_none, .finish = one_is_queued, .preemptions = 3, .stale = 2,
      .threads = {drops_for_0, drops_for_1})
MODEL(workers_last_place_fought_for, .setup = setup_one, .finish = all_seen_to, .preemptions = 1, .stale = 1,
      .threads = {works, drops_for_0, drops_for_1, stops_beside_who_drops})
MODEL(workers_wait_for_room, .setup = setup_one, .finish = all_seen_to, .preemptions = 1, .stale = 1,
      .threads = {works, submits_0, submits_1, drains})
MODEL(workers_woken, .setup = setup_one, .finish = one_ran, .preemptions = 3, .stale = 2,
      .threads = {works, sees_one_done})
MODEL(workers_two_woken, .setup = setup_two, .finish = both_ran, .preemptions = 1, .stale = 1,
      .threads = {works, works, sees_two_done})
/* Two jobs that wait for each other: a worker that was woken for one of them, and takes the other, wakes the next. */
MODEL(workers_that_meet, .setup = setup_meeting, .finish = both_met, .preemptions = 1, .stale = 1,
      .threads = {works_once, works_once, submits_0, submits_1})
/* One of the two may end for being idle while the job comes; a worker is left for it. */
MODEL(workers_woken_while_one_ends, .setup = setup_idle, .finish = one_ran, .preemptions = 1, .ticks = 1,
      .threads = {works, works, sees_one_done})
/* The idle one leaves, and the busy one cannot take the job that comes: either it stays, or who submits starts another. */
MODEL(workers_one_leaves_while_the_other_is_busy, .setup = setup_busy, .finish = one_ran, .preemptions = 3, .stale = 2,
      .ticks = 1, .threads = {works, sees_one_done_beside_who_is_busy})
/* Two jobs that wait for each other come to one worker: it sees the second, or who submits that sees that it has gone to work. */
MODEL(workers_one_more_is_started, .setup = setup_growing, .finish = both_ran, .preemptions = 1, .stale = 1,
      .threads = {works, sees_two_done})

/* ---- an array: what the helpers share is freed once, by the last who has it ---- */

static int halves[2], doubled[2];
static int doubles(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)arg;
    *(int *)out += 2 * *(const int *)in; /* plain: each element belongs to one thread, and then to the caller */
    return 0;
}
MODEL_OUTSIDE static void setup_array(void)
{
    setup_with(1, 1, 1);
    for (int i = 0; i < 2; i++) {
        halves[i] = i + 1;
        doubled[i] = 0;
    }
}
static void map_both(void)
{
    MODEL_CHECK(weir_pool_map(NULL, &pool, doubles, NULL, halves, doubled, 2, NULL) == 0);
    MODEL_CHECK(doubled[0] == 2 && doubled[1] == 4);
    MODEL_CHECK(weir_pool_drain(NULL, &pool) == 0);
}
THREAD(maps, map_both())
MODEL(workers_share_an_array, .setup = setup_array, .finish = all_seen_to, .preemptions = 3, .stale = 2,
      .threads = {works, maps})
