/* weir/task/pool_worker.h: a pool from inside: its workers, how their number follows the queue, and what becomes of a job.
 *
 * A worker's life
 *   serve:  take a job; or wait for one: spin, yield, join `idle`, park
 *   run it: not worth it (the pool's context has ended, the job's deadline has passed): report; else call it, count it, report it
 *   end:    all levels are closed and empty; or there are more workers than `max`, or than `min` and nothing has come for the idle time
 *
 * Each job that was accepted is run or reported, exactly once
 *   Accepted means that its send into a level returned 0, so (chan/channel.h) it is in the ring until one receiver takes it, also after a close. Receivers are
 *   workers, and those who drop the oldest; both see to the job that they took before they do anything else. While the pool is open there is at least
 *   one worker: it starts with `min`, 1 or more, and one that leaves on its own account does so under the lock and never as one of the last `min`, closed or
 *   not. Any other ends only when every level is closed and empty, and that is for good. Drain and stop wait for the last worker: when they return, nothing
 *   is left in the queue. A job that runs in its caller has never been in the queue, and is seen to before submit returns.
 *
 * Growing
 *   Whoever submits, and each worker that takes a job, looks (only while there are fewer than `max`): are at least grow_depth jobs queued beyond those for which
 *   a worker waits already? Or is any, and has none been taken for grow_wait? Then it starts a worker.
 *   Both write before they look, the queue or "I do not wait any more", with a full fence between (G): of two jobs that come to one waiting worker, either the
 *   second submit sees that the worker has gone to work, or the worker sees the second job.
 *   A worker that wants to leave makes the number smaller, and then looks at the queue once more, with (L) between, as (A) and (B): either it sees the job that has
 *   just come, and stays, or who has submitted that sees that there may be a worker more.
 *   The lock is not held while the thread starts. Whoever finds a start in progress leaves it at that: the new worker will look when it takes a job.
 *
 * Threads end as in a group: one that ends joins the one that ended before it; who waits for the end joins the last.
 */
#ifndef WEIR_TASK_POOL_WORKER_H
#define WEIR_TASK_POOL_WORKER_H

#include "../sync/line.h"
#include "pool_queue.h"

/* Zero means the default, for each. */
typedef struct weir_pool_opt {
    unsigned min,
        max;      /* workers; one of them 0: as the other; both: as many as there are CPUs for the calling thread */
    size_t queue; /* room for so many jobs that wait, at each priority; 256 */
    int overflow; /* a weir_overflow, for jobs that do not say; BLOCK */
    unsigned age; /* a lower priority gets a turn after so many jobs of higher ones, in each worker; 16 */
    unsigned grow_depth; /* a worker more when so many jobs wait that no worker waits for; 1 */
    weir_ns grow_wait;   /* or when one does, and so long none was taken; 1 ms */
    weir_ns idle;        /* a worker above min that has waited so long ends; 10 s */
    int wait;            /* how workers wait: a weir_wait_strategy. One that never parks never ends for being idle. */
    const char *name;    /* of the threads, with a number, and on the roll; outlives the pool; "pool" */
    const int *
        cpus; /* workers are pinned to these in turn, those that this process may not use left out; NULL: they are not pinned */
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
/* Starts a worker if the queue is long. */
WEIR_API void weir__pool_consider(weir_pool *p);
/* Starts a worker. 0, EAGAIN. Called and returns locked, and is not in between. */
WEIR_API int weir__pool_grow(weir_pool *p);

#endif /* WEIR_TASK_POOL_WORKER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_WORKER_IMPLEMENTED)
#define WEIR_TASK_POOL_WORKER_IMPLEMENTED

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

/* ---- a job ---- */

WEIR_API void weir__pool_report(weir_pool *p, const weir__job *job, int error, bool ran, weir_ns begun, weir_ns ended)
{
    const weir__pool_worker *w = weir__pool_worker_self();
    weir_job_result result;
    int rc = 0;
    if (job->done == NULL && job->results == NULL && job->future == NULL)
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
    job->fn.plain(job->arg);
    *frame = outer;
    weir__pool_note(p, WEIR__POOL_DONE);
}

/* Calls the job, in a context of its own if it has a time limit. What it returns. */
static int weir__pool_call(weir_pool *p, const weir__job *job, weir_ns now)
{
    weir_ctx own;
    weir_ns until = job->deadline == 0 ? WEIR_FOREVER : job->deadline;
    int rc;
    if (job->deadline == 0 && job->timeout == 0)
        return weir__job_call(job->fn.task, job->guard, &p->ctx, job->arg);
    if (job->timeout != 0 && weir_time_add(now, job->timeout) < until)
        until = weir_time_add(now, job->timeout);
    weir_ctx_init_deadline(&own, &p->ctx, until);
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

WEIR_API void weir__pool_see_to(weir_pool *p, const weir__job *job)
{
    const bool timed = job->queued_at != 0 || job->deadline != 0 || job->timeout != 0;
    const weir_ns begun = timed ? weir_now() : 0;
    int rc;
    if (job->is_plain) {
        weir__pool_run_plain(p, job);
        return;
    }
    rc = weir_ctx_err(&p->ctx);
    if (WEIR_UNLIKELY(rc != 0)) {
        weir__pool_note(p, WEIR__POOL_CANCELLED);
        weir__pool_report(p, job, rc, false, begun, begun);
    } else if (WEIR_UNLIKELY(job->deadline != 0 && begun >= job->deadline)) {
        weir__pool_note(p, WEIR__POOL_EXPIRED);
        weir__pool_report(p, job, ETIMEDOUT, false, begun, begun);
    } else {
        rc = weir__pool_call_named(p, job, begun);
        weir__pool_note(p, rc == 0 ? WEIR__POOL_DONE : WEIR__POOL_FAILED);
        weir__pool_report(p, job, rc, true, begun, timed ? weir_now() : 0);
    }
}

/* ---- how many workers ---- */

static void *weir__pool_worker_thread(void *pool);

WEIR_API int weir__pool_grow(weir_pool *p)
{
    weir__line_wakes wakes;
    weir__thread thread;
    const uint32_t threads = weir__load_rlx(&p->threads) + 1;
    int rc;
    weir__store_rlx(&p->threads, threads);
    p->most = threads > p->most ? threads : p->most;
    p->growing = true;
    weir__lock_release(&p->lock);
    rc = weir__roll_start(&thread, weir__pool_worker_thread, p);
    weir__lock_take(&p->lock);
    p->growing = false;
    if (rc == 0)
        return 0;
    p->refused++;
    weir__store_rlx(&p->threads, weir__load_rlx(&p->threads) - 1);
    wakes.count = 0;
    if (weir__load_rlx(&p->threads) == 0)
        weir__list_call_all(&p->for_end, 0, &wakes);
    weir__line_wake(&wakes);
    return rc;
}

/* Whether so many wait that a worker more is wanted. Locked. */
static bool weir__pool_is_short(weir_pool *p)
{
    const size_t queued = weir__pool_queue_len(&p->queue);
    size_t waiting = weir__load_rlx(&p->threads) - p->listed; /* they will */
    uint64_t took = 0;
    for (weir__pool_worker *w = p->workers; w != NULL; w = w->next) {
        const uint64_t at = weir__load_rlx(&w->took);
        took = at > took ? at : took;
        waiting += weir__load_rlx(&w->waits);
    }
    if (queued <= waiting)
        return false;
    return queued - waiting >= p->opt.grow_depth || weir_now() - (weir_ns)took >= p->opt.grow_wait;
}

WEIR_API void weir__pool_consider(weir_pool *p)
{
    WEIR_FENCE(__ATOMIC_SEQ_CST); /* (G), of a submit, pairs with (G) of a worker */
    if (weir__pool_queue_len(&p->queue) == 0)
        return;
    weir__lock_take(&p->lock);
    if (!p->ending && !p->growing && weir__load_rlx(&p->threads) < weir__load_rlx(&p->max) && weir__pool_is_short(p) &&
        weir__pool_grow(p) == 0)
        p->grown++;
    weir__lock_release(&p->lock);
}

/* Whether there are more than there should be. Relaxed: decided under the lock. */
static inline bool weir__pool_is_wide(weir_pool *p)
{
    return weir__load_rlx(&p->threads) > weir__load_rlx(&p->max);
}

/* ---- a worker ---- */

/* Sleeps once. Returns whether a wake-up is owed from now on; `owes`: whether it was before. *late: it was idle for the pool's idle time. */
static bool weir__pool_worker_park(weir__pool_worker *w, bool owes, weir_ns until, bool *late)
{
    weir_pool *p = w->pool;
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__waiter node;
    weir__wait wait;
    weir_thread_task(NULL); /* a job may have said something */
    weir__wait_init(&wait, NULL, until, WEIR_WAIT_PARK);
    weir__wait_label(&wait, "idle", p->opt.name);
    weir__waiter_init(&node, &parker, WEIR__TICKET_QUEUE);
    WEIR_HOOK("worker parks");
    weir__waitq_join(&p->queue.idle, &node);
    WEIR_FENCE_HEAVY(); /* (A) pairs with (B) in weir__pool_queue_pushed */
    if (weir__pool_queue_why(&p->queue) == EAGAIN && !weir__pool_is_wide(p)) {
        owes = false; /* not ready: whoever makes it ready sees us */
        *late = weir__wait_parked(&wait, &parker, WEIR_WAIT_PARK, until) == WEIR__PARKER_CANCELLED;
    }
    weir__waitq_leave(&p->queue.idle, &node);
    return owes || weir__load_rlx(&parker.state) == WEIR__TICKET_QUEUE; /* relaxed: nobody knows of it any more */
}

/* Waits for a job. 0; EPIPE: there will be none; EAGAIN: the worker may end if there are enough others. */
static int weir__pool_worker_wait(weir__pool_worker *w, weir__job *job)
{
    weir_pool *p = w->pool;
    weir__backoff turns = {p->opt.wait, 0};
    bool owes = false, late = false;
    weir_ns since = 0;
    int rc = EAGAIN;
    while (!late && !weir__pool_is_wide(p)) {
        if (weir__pool_queue_take(&p->queue, &w->turns, job)) {
            rc = 0;
            break;
        }
        /* Why it was empty is in the lines that those who submit write: not asked in every turn of a spin. */
        if ((!weir__backoff_spinning(&turns) || turns.turn % 16 == 15) && weir__pool_queue_why(&p->queue) == EPIPE) {
            rc = EPIPE;
            break;
        }
        if (weir__backoff_turn(&turns))
            continue;
        if (weir__load_rlx(&p->threads) <= weir__load_rlx(&p->min))
            since = WEIR_FOREVER;
        else if (since == 0 || since == WEIR_FOREVER)
            since = weir_now();
        owes = weir__pool_worker_park(w, owes, weir_time_add(since, p->opt.idle), &late);
        turns.turn = 0;
    }
    if (rc == EPIPE)
        weir__waitq_wake(&p->queue.idle, WEIR__WAKE_ALL);
    else if (owes)
        weir__pool_queue_pass_on(&p->queue);
    return rc;
}

/* The next job, as above. */
static int weir__pool_worker_next(weir__pool_worker *w, weir__job *job)
{
    weir_pool *p = w->pool;
    int rc = 0;
    if (weir__pool_is_wide(p) || !weir__pool_queue_take(&p->queue, &w->turns, job)) {
        weir__store_rlx(&w->waits, 1);
        rc = weir__pool_worker_wait(w, job);
    }
    weir__store_rlx(&w->waits, 0);
    if (rc != 0)
        return rc;
    if (job->queued_at != 0 && weir__load_rlx(&p->timed) != 0)
        weir__store_rlx(&w->took, (uint64_t)weir_now());
    if (WEIR_UNLIKELY(weir__load_rlx(&p->threads) < weir__load_rlx(&p->max)))
        weir__pool_consider(p); /* (G): after the store to `waits` */
    return 0;
}

/* Its last act; false: it has to stay, for the pool has no more workers than it should. `wants`: it leaves on its own account. */
static bool weir__pool_worker_end(weir__pool_worker *w, weir__roll_entry *entry, bool wants)
{
    weir_pool *p = w->pool;
    weir__line_wakes wakes;
    weir__thread before;
    bool any;
    wakes.count = 0;
    weir__lock_take(&p->lock);
    if (wants && !weir__pool_is_wide(p) && weir__load_rlx(&p->threads) <= weir__load_rlx(&p->min)) {
        weir__lock_release(&p->lock);
        return false;
    }
    weir__store_rlx(&p->threads, weir__load_rlx(&p->threads) - 1);
    if (wants && weir__load_rlx(&p->threads) < weir__load_rlx(&p->max)) { /* else nobody would start another */
        WEIR_FENCE_HEAVY(); /* (L) pairs with (B) in weir__pool_queue_pushed */
        if (weir__pool_queue_why(&p->queue) == 0) {
            weir__store_rlx(&p->threads, weir__load_rlx(&p->threads) + 1);
            weir__lock_release(&p->lock);
            return false;
        }
    }
    p->shrunk += wants;
    for (int i = 0; i < WEIR__POOL_COUNTS; i++)
        (void)weir__add_rlx(&p->count[i], weir__load_rlx(&w->count[i]));
    if (w->next != NULL)
        w->next->prev = w->prev;
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        p->workers = w->next;
    p->listed--;
    weir__roll_leave(entry);
    *WEIR__POOL_WORKER_SELF() = NULL;
    before = p->ended_thread;
    any = p->has_ended_thread;
    p->ended_thread = WEIR_THREAD_CURRENT();
    p->has_ended_thread = true;
    if (weir__load_rlx(&p->threads) == 0)
        weir__list_call_all(&p->for_end, 0, &wakes);
    weir__line_release(&p->lock, &wakes);
    if (any)
        WEIR_THREAD_JOIN(before);
    return true;
}

/* The name of the n-th worker: as much of the pool's as leaves room for the number. */
static void weir__pool_worker_name(char (*name)[16], const char *pool, unsigned n)
{
    char digits[12];
    size_t count = 0, length = 0;
    do
        digits[count++] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    while (pool[length] != '\0' && length < sizeof *name - 2 - count) {
        (*name)[length] = pool[length];
        length++;
    }
    (*name)[length++] = '-';
    while (count > 0)
        (*name)[length++] = digits[--count];
    (*name)[length] = '\0';
}

static void *weir__pool_worker_thread(void *pool)
{
    weir_pool *p = (weir_pool *)pool;
    weir__roll_entry entry;
    weir__pool_worker w;
    weir__job job;
    char name[16];
    unsigned n;
    memset(&w, 0, sizeof w);
    w.pool = p;
    w.waits = 1;
    w.took = (uint64_t)weir_now();
    *WEIR__POOL_WORKER_SELF() = &w;
    weir__lock_take(&p->lock);
    w.next = p->workers;
    if (w.next != NULL)
        w.next->prev = &w;
    p->workers = &w;
    p->listed++;
    n = p->numbered++;
    weir__lock_release(&p->lock);
    weir__pool_worker_name(&name, p->opt.name, n);
    weir__roll_enter(&entry, name);
    weir_thread_name(name);
    if (p->opt.cpus != NULL && p->opt.cpus_count > 0)
        (void)weir_pin(p->opt.cpus[n % p->opt.cpus_count]);
    for (;;) {
        const int rc = weir__pool_worker_next(&w, &job);
        if (rc == 0)
            weir__pool_see_to(p, &job);
        else if (weir__pool_worker_end(&w, &entry, rc == EAGAIN))
            break;
    }
    return NULL;
}

#endif /* WEIR_TASK_POOL_WORKER_IMPLEMENTED */
