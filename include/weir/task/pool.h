/* weir/task/pool.h: a pool of workers that run jobs from a bounded queue.
 *
 *     weir_pool pool;
 *     weir_pool_opt opt = {.min = 2, .max = 16, .queue = 100};
 *     rc = weir_pool_start(&pool, ctx, &opt);
 *     rc = weir_pool_submit(ctx, &pool, resize, image, NULL);          int resize(weir_ctx *ctx, void *image)
 *     rc = weir_pool_submit(ctx, &pool, resize, image, &(weir_job_opt){.priority = WEIR_JOB_HIGH, .timeout = WEIR_MS(50), .future = f});
 *     weir_pool_drain(ctx, &pool);
 *     weir_pool_free(&pool);
 *
 * Meaning
 *   Submitting fails or succeeds by itself: 0 says that the job was accepted, and nothing about how it will end; that is told by its result (task/job.h). A
 *   job that was accepted is run or reported, once, whatever is called at the same time; why, stands in task/pool_worker.h.
 *   Room: `queue` jobs wait at each priority, so many of low priority do not keep out those of high. What happens when there is no room, each submit
 *   may choose. From inside a job, of any pool, submit never waits: where it would, the job runs in the caller.
 *   Order: by priority, then as submitted. Each priority gets a turn now and then, however busy the higher ones are (`age`).
 *   A job that has not begun when its deadline passes is not run; it is reported, with ETIMEDOUT, by the worker that comes to it in its turn.
 *   When the pool's context ends, by stop or because its parent has ended, jobs that run see it in theirs, and jobs that wait are reported with its error, not run.
 *   They go on being taken, so nobody who waits for room, a result or the drain waits for ever.
 *
 * Ending
 *   drain   accepts no more, runs what was accepted, ends the workers
 *   stop    accepts no more, ends the jobs' context, reports what was waiting, ends the workers; with a deadline: does not wait longer. What still runs then
 *           stands on the roll (weir_threads, obs/threads.h) under the jobs' names, and another stop waits again.
 *   Both may be called any number of times, by any threads, while others submit: whose job is no longer accepted gets EPIPE. Whoever returns with 0 knows that
 *   no worker is left, its thread joined. Calls that run a job in their own thread are not waited for, they return by themselves.
 *
 * As a runner, for groups and futures (weir_pool_runner): functions of theirs count as jobs of normal priority that are always called, after a stop too, because somebody
 * waits for their end; their own contexts tell them to stop.
 *
 * Who may call what at once: everything but start and free, any threads. free: one thread, when no other uses the pool.
 *
 * Progress: submit is lock-free while there is room, no worker sleeps and the pool has all the workers that it may have; else it may take a lock, to wake a worker
 * or to see whether one more is wanted, and it parks where it waits for room. It reads the clock only for an elastic pool or a job that is to be reported or traced. To
 * drop the oldest it tries again as long as others fill the place. Nothing is allocated after start, but one block in a call of weir_pool_map.
 *
 * Not done: a queue for each worker, with stealing. One ring for all keeps the order of submission. On two cores oneTBB's task_group, which steals, takes five times
 * as long for a job that does nothing, and at 1 us nothing is left to gain; with more cores it has not been measured.
 */
#ifndef WEIR_TASK_POOL_H
#define WEIR_TASK_POOL_H

#include "pool_worker.h"

typedef struct weir_pool_tally {
    const char *name;
    unsigned workers, running; /* now; of them in a job */
    unsigned most_workers;     /* at any one time */
    size_t queued;             /* now */
    uint64_t done, failed;     /* jobs that have returned 0, an error */
    uint64_t expired;          /* not run: their deadline had passed */
    uint64_t cancelled;        /* not run: the pool was stopped */
    uint64_t rejected;         /* EAGAIN */
    uint64_t dropped_newest, dropped_oldest;
    uint64_t caller_ran; /* in the thread that submitted, as any job also counted under what became of them */
    uint64_t unreported; /* results that found no room in their channel */
    /* workers started for the queue's sake; ended for being too many; that the system refused */
    uint64_t grown, shrunk, refused;
} weir_pool_tally;

/* Starts the pool with its least number of workers. parent: NULL, or a context that outlives it; opt may be NULL, and is copied. 0; EINVAL: min above max, a wrong
 * overflow or wait; ENOMEM; EOVERFLOW: the queue is too large; EAGAIN: the system refused a thread: nothing is left. */
WEIR_API int weir_pool_start(weir_pool *p, weir_ctx *parent, const weir_pool_opt *opt);

/* Submits a job: fn(ctx of the job, arg). opt may be NULL, and is copied. As the overflow says, waits for room as long as ctx lives. 0: accepted. Else it will not
 * run: EAGAIN: there was no room; EPIPE: drained or stopped; ECANCELED, ETIMEDOUT: ctx ended first; EINVAL: fn is NULL, or a number in opt is wrong;
 * ENOTRECOVERABLE: the pool is a parent process's. */
static inline int weir_pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt);
/* The same without waiting: EAGAIN for want of room, whatever the overflow says. */
static inline int weir_pool_try_submit(weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt);

/* New bounds; 1 <= min <= max. Starts workers up to min at once; has those above max end when they are through with their jobs. 0; EINVAL; EPIPE: drained or
 * stopped; EAGAIN: the system refused a thread; the bounds count. */
WEIR_API int weir_pool_resize(weir_pool *p, unsigned min, unsigned max);

/* See above. 0; ECANCELED, ETIMEDOUT: ctx or the deadline ended first; EBUSY: called by a job that runs in a worker of this pool, which would wait for itself: it
 * has begun; ENOTRECOVERABLE. */
WEIR_API int weir_pool_drain(weir_ctx *ctx, weir_pool *p);
WEIR_API int weir_pool_stop(weir_pool *p);
WEIR_API int weir_pool_stop_until(weir_pool *p, weir_ns deadline);

/* Stops it and frees its memory. 0; EBUSY as above, and nothing is freed. Again: 0. */
WEIR_API int weir_pool_free(weir_pool *p);

/* The pool's numbers. Those that belong together may be a moment apart. Any thread; takes a lock. */
WEIR_API void weir_pool_stats(weir_pool *p, weir_pool_tally *tally);

/* For weir_group_opt.runner, weir_future_opt.runner. Lives as long as the pool. */
static inline weir_runner *weir_pool_runner(weir_pool *p)
{
    return &p->runner.base;
}

/* The context of the pool's jobs. */
static inline weir_ctx *weir_pool_ctx(weir_pool *p)
{
    return &p->ctx;
}

WEIR_API int weir__pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt,
                               weir__job_guard *guard, bool waits);

static inline int weir_pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt)
{
    return weir__pool_submit(ctx, p, fn, arg, opt, WEIR__JOB_GUARD, true);
}

static inline int weir_pool_try_submit(weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt)
{
    return weir__pool_submit(NULL, p, fn, arg, opt, WEIR__JOB_GUARD, false);
}

#endif /* WEIR_TASK_POOL_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_IMPLEMENTED)
#define WEIR_TASK_POOL_IMPLEMENTED

/* ---- submitting ---- */

/* EAGAIN: there is no room. */
static int weir__pool_put(weir_pool *p, const weir__job *job)
{
    int rc;
    if (WEIR_UNLIKELY(weir__fork_passed(p->forks)))
        return ENOTRECOVERABLE;
    rc = weir__pool_queue_try_push(&p->queue, job);
    if (rc == 0 && WEIR_UNLIKELY(weir__load_rlx(&p->threads) < weir__load_rlx(&p->max)))
        weir__pool_consider(p);
    return rc;
}

static int weir__pool_run_in_caller(weir_pool *p, const weir__job *job)
{
    weir__pool_note(p, WEIR__POOL_CALLER_RAN);
    weir__pool_see_to(p, job);
    return 0;
}

static int weir__pool_wait_for_room(weir_ctx *ctx, weir_pool *p, const weir__job *job)
{
    int rc;
    if (weir__pool_worker_self() != NULL)
        return weir__pool_run_in_caller(p, job);
    rc = weir__pool_queue_push(ctx, &p->queue, job);
    if (rc == 0 && weir__load_rlx(&p->threads) < weir__load_rlx(&p->max))
        weir__pool_consider(p);
    return rc;
}

/* A job that will not be run, for want of room. */
static void weir__pool_drop(weir_pool *p, const weir__job *job, int what)
{
    const weir_ns now = job->queued_at != 0 ? weir_now() : 0;
    weir__pool_note(p, what);
    weir__pool_report(p, job, EOVERFLOW, false, now, now);
}

static int weir__pool_put_for_oldest(weir_pool *p, const weir__job *job)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    weir__job oldest;
    int rc;
    do {
        if (!weir__pool_queue_drop(&p->queue, job->level, &oldest))
            weir__backoff_peer(&peer); /* it is just being taken, or has not been published yet */
        else if (oldest.is_plain)
            (void)weir__pool_run_in_caller(p, &oldest); /* a runner has promised that it is called */
        else
            weir__pool_drop(p, &oldest, WEIR__POOL_DROPPED_OLDEST);
    } while ((rc = weir__pool_put(p, job)) == EAGAIN);
    return rc;
}

static int weir__pool_overflow(weir_ctx *ctx, weir_pool *p, const weir__job *job, int overflow)
{
    switch (overflow) {
    case WEIR_OVERFLOW_REJECT: weir__pool_note(p, WEIR__POOL_REJECTED); return EAGAIN;
    case WEIR_OVERFLOW_DROP_NEWEST: weir__pool_drop(p, job, WEIR__POOL_DROPPED_NEWEST); return 0;
    case WEIR_OVERFLOW_DROP_OLDEST: return weir__pool_put_for_oldest(p, job);
    case WEIR_OVERFLOW_CALLER: return weir__pool_run_in_caller(p, job);
    default: return weir__pool_wait_for_room(ctx, p, job);
    }
}

/* The job as it lies in the queue. False: something in opt is wrong. */
static bool weir__job_fill(weir__job *job, const weir_job_opt *opt)
{
    if (opt->priority < WEIR_JOB_LOW || opt->priority > WEIR_JOB_URGENT || opt->deadline < 0 || opt->timeout < 0 ||
        opt->overflow < WEIR_OVERFLOW_DEFAULT || opt->overflow > WEIR_OVERFLOW_CALLER)
        return false;
    job->id = opt->id;
    job->deadline = opt->deadline;
    job->timeout = opt->timeout;
    job->name = opt->name;
    job->correlation = opt->correlation;
    job->done = opt->done;
    job->done_arg = opt->done_arg;
    job->results = WEIR__CHAN(opt->results);
    job->future = WEIR__CHAN(opt->future);
    job->level = WEIR__JOB_LEVEL(opt->priority);
    return true;
}

WEIR_API int weir__pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt,
                               weir__job_guard *guard, bool waits)
{
    int overflow = opt == NULL ? (int)WEIR_OVERFLOW_DEFAULT : opt->overflow, rc;
    bool timed = weir__load_rlx(&p->timed) != 0;
    weir__job job;
    job.is_long = opt != NULL || p->watched;
    job.is_plain = 0;
    job.level = WEIR__JOB_NORMAL_LEVEL;
    if (fn == NULL || (opt != NULL && !weir__job_fill(&job, opt)))
        return EINVAL;
    job.fn.task = fn;
    job.arg = arg;
    job.guard = guard;
    if (WEIR_UNLIKELY(p->watched)) {
        if (opt == NULL)
            memset(&job.id, 0, sizeof job - WEIR__JOB_SHORT);
        if (job.correlation == 0)
            job.correlation = weir_correlation(ctx);
    }
    timed = timed || (opt != NULL && (job.done != NULL || job.results != NULL || job.future != NULL));
    job.queued_at = timed ? weir_now() : 0;
    rc = weir__pool_put(p, &job);
    if (WEIR_LIKELY(rc != EAGAIN))
        return rc;
    if (overflow == WEIR_OVERFLOW_DEFAULT)
        overflow = p->opt.overflow;
    return weir__pool_overflow(ctx, p, &job, waits ? overflow : (int)WEIR_OVERFLOW_REJECT);
}

static int weir__pool_run(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    weir_pool *p = ((weir__pool_runner *)(void *)runner)->pool;
    weir__job job;
    int rc;
    memset(&job, 0, sizeof job);
    job.fn.plain = fn;
    job.arg = arg;
    job.is_plain = 1;
    job.level = WEIR__JOB_NORMAL_LEVEL;
    job.queued_at = weir__load_rlx(&p->timed) != 0 ? weir_now() : 0;
    rc = weir__pool_put(p, &job);
    return rc == EAGAIN ? weir__pool_wait_for_room(ctx, p, &job) : rc;
}

/* ---- beginning ---- */

static int weir__pool_defaults(weir_pool_opt *opt)
{
    if (opt->min == 0)
        opt->min = opt->max != 0 ? opt->max : (unsigned)weir_cpu_count();
    if (opt->max == 0)
        opt->max = opt->min;
    if (opt->queue == 0)
        opt->queue = 256;
    if (opt->age == 0)
        opt->age = 16;
    if (opt->grow_depth == 0)
        opt->grow_depth = 1;
    if (opt->grow_wait == 0)
        opt->grow_wait = WEIR_MS(1);
    if (opt->idle == 0)
        opt->idle = WEIR_SEC(10);
    if (opt->name == NULL)
        opt->name = "pool";
    if (opt->overflow < WEIR_OVERFLOW_DEFAULT || opt->overflow > WEIR_OVERFLOW_CALLER ||
        (unsigned)opt->wait > WEIR_WAIT_PARK)
        return EINVAL;
    return opt->min > opt->max || opt->grow_wait < 0 || opt->idle < 0 ? EINVAL : 0;
}

/* Workers up to min. Locked. */
static int weir__pool_fill(weir_pool *p)
{
    int rc = 0;
    while (rc == 0 && !p->ending && weir__load_rlx(&p->threads) < weir__load_rlx(&p->min))
        rc = weir__pool_grow(p);
    return rc;
}

/* All but the workers. */
static int weir__pool_init(weir_pool *p, weir_ctx *parent, const weir_pool_opt *opt)
{
    int rc;
    memset(p, 0, sizeof *p);
    if (opt != NULL)
        p->opt = *opt;
    rc = weir__pool_defaults(&p->opt);
    if (rc == 0)
        rc = weir__pool_queue_make(&p->queue, p->opt.queue, p->opt.age, p->opt.name);
    if (rc != 0)
        return rc;
    p->min = p->opt.min;
    p->max = p->opt.max;
    p->timed = p->opt.max > p->opt.min;
    p->watched = p->opt.trace != NULL || p->opt.correlate;
    p->forks = weir__fork_count();
    p->runner.base.run = weir__pool_run;
    p->runner.pool = p;
    weir_ctx_init(&p->ctx, parent);
    return 0;
}

WEIR_API int weir_pool_start(weir_pool *p, weir_ctx *parent, const weir_pool_opt *opt)
{
    int rc = weir__pool_init(p, parent, opt);
    if (rc != 0)
        return rc;
    weir__lock_take(&p->lock); /* as who fills it wants */
    rc = weir__pool_fill(p);
    weir__lock_release(&p->lock);
    if (rc != 0)
        (void)weir_pool_free(p);
    return rc;
}

WEIR_API int weir_pool_resize(weir_pool *p, unsigned min, unsigned max)
{
    int rc = 0;
    if (min == 0 || min > max)
        return EINVAL;
    if (weir__fork_passed(p->forks))
        return ENOTRECOVERABLE;
    weir__lock_take(&p->lock); /* of the bounds */
    if (p->ending) {
        rc = EPIPE;
    } else {
        weir__store_rlx(&p->timed, max > min);
        weir__store_rlx(&p->min, min);
        weir__store_rlx(&p->max, max);
        rc = weir__pool_fill(p);
    }
    weir__lock_release(&p->lock);
    if (rc == 0)
        weir__pool_consider(p); /* for jobs that wait already, and for those who have found a start in progress */
    /* Those who wait look at the bounds again; the lock of `idle` decides who has seen them before. */
    weir__waitq_wake(&p->queue.idle, WEIR__WAKE_ALL);
    return rc;
}

/* ---- ending ---- */

static int weir__pool_end(weir_ctx *ctx, weir_pool *p, weir_ns deadline, bool cancels)
{
    const weir__pool_worker *self = weir__pool_worker_self();
    int rc = 0;
    if (weir__fork_passed(p->forks))
        return ENOTRECOVERABLE;
    weir__lock_take(&p->lock);
    p->ending = true; /* from here on no worker is started */
    weir__lock_release(&p->lock);
    weir__pool_queue_close(&p->queue);
    if (cancels)
        weir_ctx_cancel(&p->ctx, 0);
    if (self != NULL && self->pool == p)
        return EBUSY;
    weir__lock_take(&p->lock);
    while (weir__load_rlx(&p->threads) > 0 && rc == 0) {
        weir__waiter node;
        weir__wait w;
        weir__wait_init(&w, ctx, deadline, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "wait for a pool", p->opt.name);
        rc = weir__list_wait(&p->lock, &p->for_end, &node, &w);
    }
    if (weir__load_rlx(&p->threads) == 0) {
        rc = 0;
        if (p->has_ended_thread)
            WEIR_THREAD_JOIN(p->ended_thread);
        p->has_ended_thread = false;
    }
    weir__lock_release(&p->lock);
    return rc;
}

WEIR_API int weir_pool_drain(weir_ctx *ctx, weir_pool *p)
{
    return weir__pool_end(ctx, p, WEIR_FOREVER, false);
}

WEIR_API int weir_pool_stop(weir_pool *p)
{
    return weir__pool_end(NULL, p, WEIR_FOREVER, true);
}

WEIR_API int weir_pool_stop_until(weir_pool *p, weir_ns deadline)
{
    return weir__pool_end(NULL, p, deadline, true);
}

WEIR_API int weir_pool_free(weir_pool *p)
{
    int rc;
    if (p->queue.level[0] == NULL)
        return 0;
    rc = weir_pool_stop(p);
    if (rc == EBUSY)
        return rc;
    if (rc == 0)
        weir_ctx_free(&p->ctx);
    weir__pool_queue_free(&p->queue);
    return 0;
}

/* ---- watching ---- */

WEIR_API void weir_pool_stats(weir_pool *p, weir_pool_tally *tally)
{
    uint64_t count[WEIR__POOL_COUNTS];
    memset(tally, 0, sizeof *tally);
    weir__lock_take(&p->lock);
    for (int i = 0; i < WEIR__POOL_COUNTS; i++)
        count[i] = weir__load_rlx(&p->count[i]);
    for (weir__pool_worker *w = p->workers; w != NULL; w = w->next) {
        tally->running += weir__load_rlx(&w->waits) == 0;
        for (int i = 0; i < WEIR__POOL_COUNTS; i++)
            count[i] += weir__load_rlx(&w->count[i]);
    }
    tally->name = p->opt.name;
    tally->workers = weir__load_rlx(&p->threads);
    tally->most_workers = p->most;
    tally->grown = p->grown;
    tally->shrunk = p->shrunk;
    tally->refused = p->refused;
    weir__lock_release(&p->lock);
    tally->queued = weir__pool_queue_len(&p->queue);
    tally->done = count[WEIR__POOL_DONE];
    tally->failed = count[WEIR__POOL_FAILED];
    tally->expired = count[WEIR__POOL_EXPIRED];
    tally->cancelled = count[WEIR__POOL_CANCELLED];
    tally->rejected = count[WEIR__POOL_REJECTED];
    tally->dropped_newest = count[WEIR__POOL_DROPPED_NEWEST];
    tally->dropped_oldest = count[WEIR__POOL_DROPPED_OLDEST];
    tally->caller_ran = count[WEIR__POOL_CALLER_RAN];
    tally->unreported = count[WEIR__POOL_UNREPORTED];
}

#endif /* WEIR_TASK_POOL_IMPLEMENTED */
