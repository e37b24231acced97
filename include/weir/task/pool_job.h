/* weir/task/pool_job.h: a pool as its workers see it, and what becomes of a job: it is run or not, counted, and told.
 *
 * A job for which nothing was asked takes the short way: is the pool still there, call it, count it. All else is for those that have a name, a time limit, an id
 * or somebody who wants to know.
 */
#ifndef WEIR_TASK_POOL_JOB_H
#define WEIR_TASK_POOL_JOB_H

#include "../obs/correlation.h"
#include "../obs/trace.h"
#include "../sync/line.h"
#include "pool_queue.h"

/* Zero means the default, for each. */
typedef struct weir_pool_opt {
    /* workers; one of them 0: as the other; both: as many as there are CPUs for the calling thread */
    unsigned min, max;
    size_t queue;        /* room for so many jobs that wait, at each priority; 256 */
    int overflow;        /* a weir_overflow, for jobs that do not say; BLOCK */
    unsigned age;        /* a lower priority gets a turn after so many jobs of higher ones, in each worker; 16 */
    unsigned grow_depth; /* a worker more when so many jobs wait that no worker waits for; 1 */
    weir_ns grow_wait;   /* or when one does, and so long none was taken; 1 ms */
    weir_ns idle;        /* a worker above min that has waited so long ends; 10 s */
    int wait;            /* how workers wait: a weir_wait_strategy. One that never parks never ends for being idle. */
    weir_trace *trace; /* each job that runs becomes an event, with its correlation id; outlives the pool. NULL: none */
    /* a job has the correlation id of the context that it is submitted with; a trace asks for that too */
    bool correlate;
    const char *name; /* of the threads, with a number, and on the roll; outlives the pool; "pool" */
    /* workers are pinned to these in turn, those that this process may not use left out; NULL: they are not pinned */
    const int *cpus;
    size_t cpus_count;
} weir_pool_opt;

enum {
    WEIR__POOL_DONE,
    WEIR__POOL_FAILED,
    WEIR__POOL_EXPIRED,
    WEIR__POOL_CANCELLED,
    WEIR__POOL_REJECTED,
    WEIR__POOL_DROPPED_NEWEST,
    WEIR__POOL_DROPPED_OLDEST,
    WEIR__POOL_CALLER_RAN,
    WEIR__POOL_UNREPORTED,
    WEIR__POOL_COUNTS
};

typedef struct weir_pool weir_pool;

/* Lies on its thread's stack; linked in the pool, under the pool's lock. */
typedef struct weir__pool_worker {
    weir_pool *pool;
    struct weir__pool_worker *next, *prev;
    weir__atomic_u32 waits; /* 1: for a job */
    weir__atomic_u64 took;  /* when it last took one, if jobs carry times */
    weir__atomic_u64 count[WEIR__POOL_COUNTS];
    weir__pool_turns turns;
    unsigned unspun;  /* so many turns of spinning it leaves out, because they have found nothing lately */
    const char *task; /* what the roll says that it runs */
} weir__pool_worker;

typedef struct weir__pool_runner {
    weir_runner base;
    weir_pool *pool;
} weir__pool_runner;

struct weir_pool {
    weir__pool_queue queue;
    weir__pool_runner runner;
    weir_pool_opt opt;
    weir__atomic_u32 min, max, threads; /* written under the lock, read by all */
    weir__atomic_u32 timed;             /* jobs carry the time at which they were submitted */
    uint32_t forks;
    bool watched; /* jobs are traced, or carry correlation ids */
    unsigned char apart[WEIR_CACHE_PAD];
    weir_ctx ctx; /* of the jobs */
    weir__atomic_u64 count[WEIR__POOL_COUNTS];
    weir__lock lock; /* of all that follows */
    weir__pool_worker *workers;
    weir__waiter_list for_end;
    unsigned listed, numbered, most;
    uint64_t grown, shrunk, refused;
    bool ending, growing, has_ended_thread;
    weir__thread ended_thread; /* nobody has joined it yet */
};

/* The worker that the calling thread is, of whichever pool; or NULL. */
WEIR_API weir__pool_worker *weir__pool_worker_self(void);
/* Sees to a job that was taken from the queue, or never was in it: runs or reports it. */
WEIR_API void weir__pool_see_to(weir_pool *p, const weir__job *job);
/* Counts one of these. */
WEIR_API void weir__pool_note(weir_pool *p, int what);
/* Tells whoever wants to know that a job has ended with `error`. */
WEIR_API void weir__pool_report(weir_pool *p, const weir__job *job, int error, bool ran, weir_ns begun, weir_ns ended);

#endif /* WEIR_TASK_POOL_JOB_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_JOB_IMPLEMENTED)
#define WEIR_TASK_POOL_JOB_IMPLEMENTED

#ifndef WEIR__POOL_WORKER_SELF /* the model's threads have no thread-locals */
static WEIR_THREAD_LOCAL weir__pool_worker *weir__pool_worker_own;
#define WEIR__POOL_WORKER_SELF() (&weir__pool_worker_own)
#endif

WEIR_API weir__pool_worker *weir__pool_worker_self(void)
{
    return *WEIR__POOL_WORKER_SELF();
}

/* A worker counts for itself, so that no line is fought for; relaxed: numbers. */
WEIR_API void weir__pool_note(weir_pool *p, int what)
{
    weir__pool_worker *w = weir__pool_worker_self();
    if (w != NULL && w->pool == p)
        weir__store_rlx(&w->count[what], weir__load_rlx(&w->count[what]) + 1);
    else
        (void)weir__add_rlx(&p->count[what], 1);
}

WEIR_API void weir__pool_report(weir_pool *p, const weir__job *job, int error, bool ran, weir_ns begun, weir_ns ended)
{
    const weir__pool_worker *w = weir__pool_worker_self();
    weir_job_result result;
    int rc = 0;
    if (!job->is_long || (job->done == NULL && job->results == NULL && job->future == NULL))
        return;
    result.id = job->id;
    result.output = job->arg;
    result.error = error;
    result.ran = ran;
    result.queued = begun - job->queued_at;
    result.running = ended - begun;
    if (job->done != NULL)
        job->done(&result, job->done_arg);
    if (job->future != NULL)
        (void)weir__future_set(job->future, &result, 0); /* EINVAL: the program has set it */
    if (job->results != NULL)
        rc = weir__try_send_slow(job->results, &result);
    if (rc == EAGAIN && w != NULL && w->pool == p)
        rc = weir__send_slow(&p->ctx, job->results, &result, WEIR_FOREVER);
    if (rc != 0)
        weir__pool_note(p, WEIR__POOL_UNREPORTED);
}

/* For a runner: no job, so weir_job_fail does nothing in it, and never leaves through whoever called it. */
static void weir__pool_run_plain(weir_pool *p, const weir__job *job)
{
    weir__job_frame **frame = WEIR__JOB_FRAME(), *outer = *frame;
    *frame = NULL;
    if (p->opt.trace == NULL) {
        job->fn.plain(job->arg);
    } else {
        const weir_ns begun = weir_now();
        job->fn.plain(job->arg);
        weir_trace_record(p->opt.trace, p->opt.name, "task", begun, weir_now(), 0);
    }
    *frame = outer;
    weir__pool_note(p, WEIR__POOL_DONE);
}

/* Calls the job, in a context of its own if it has a time limit. What it returns. */
static int weir__pool_call(weir_pool *p, const weir__job *job, weir_ns now)
{
    weir_ctx own;
    weir_ns until = job->deadline == 0 ? WEIR_FOREVER : job->deadline;
    int rc;
    if (job->deadline == 0 && job->timeout == 0 && job->correlation == 0)
        return weir__job_call(job->fn.task, job->guard, &p->ctx, job->arg);
    if (job->timeout != 0 && weir_time_add(now, job->timeout) < until)
        until = weir_time_add(now, job->timeout);
    weir_ctx_init_deadline(&own, &p->ctx, until);
    if (job->correlation != 0)
        weir__correlation_set(&own, job->correlation);
    rc = weir__job_call(job->fn.task, job->guard, &own, job->arg);
    weir_ctx_free(&own);
    return rc;
}

/* The same, and says on the roll what is running. */
static int weir__pool_call_named(weir_pool *p, const weir__job *job, weir_ns now)
{
    weir__pool_worker *w = weir__pool_worker_self();
    const char *outer = w == NULL ? NULL : w->task;
    int rc;
    if (w == NULL || job->name == NULL)
        return weir__pool_call(p, job, now);
    w->task = job->name;
    weir_thread_task(job->name);
    rc = weir__pool_call(p, job, now);
    w->task = outer;
    weir_thread_task(outer);
    return rc;
}

/* A job for which something was asked: a name, a time limit, a report. */
static WEIR_NOINLINE void weir__pool_see_to_long(weir_pool *p, const weir__job *job)
{
    const bool timed = job->queued_at != 0 || job->deadline != 0 || job->timeout != 0 || p->opt.trace != NULL;
    const weir_ns begun = timed ? weir_now() : 0;
    weir_ns ended;
    int rc = weir_ctx_err(&p->ctx);
    if (WEIR_UNLIKELY(rc != 0)) {
        weir__pool_note(p, WEIR__POOL_CANCELLED);
        weir__pool_report(p, job, rc, false, begun, begun);
    } else if (WEIR_UNLIKELY(job->deadline != 0 && begun >= job->deadline)) {
        weir__pool_note(p, WEIR__POOL_EXPIRED);
        weir__pool_report(p, job, ETIMEDOUT, false, begun, begun);
    } else {
        rc = weir__pool_call_named(p, job, begun);
        weir__pool_note(p, rc == 0 ? WEIR__POOL_DONE : WEIR__POOL_FAILED);
        ended = timed ? weir_now() : 0;
        weir_trace_record(p->opt.trace, job->name == NULL ? p->opt.name : job->name, "job", begun, ended,
                          job->correlation);
        weir__pool_report(p, job, rc, true, begun, ended);
    }
}

static inline bool weir__pool_has_ended(weir_pool *p)
{
    return (weir__ctx_ended(&p->ctx) != 0 || p->ctx.deadline != WEIR_FOREVER) && weir_ctx_err(&p->ctx) != 0;
}

WEIR_API void weir__pool_see_to(weir_pool *p, const weir__job *job)
{
    int rc;
    if (job->is_long) {
        weir__pool_see_to_long(p, job);
    } else if (job->is_plain) {
        weir__pool_run_plain(p, job);
    } else if (WEIR_UNLIKELY(weir__pool_has_ended(p))) {
        weir__pool_note(p, WEIR__POOL_CANCELLED);
    } else {
        rc = weir__job_call(job->fn.task, job->guard, &p->ctx, job->arg);
        weir__pool_note(p, rc == 0 ? WEIR__POOL_DONE : WEIR__POOL_FAILED);
    }
}

#endif /* WEIR_TASK_POOL_JOB_IMPLEMENTED */
