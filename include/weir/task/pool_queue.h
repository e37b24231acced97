/* weir/task/pool_queue.h: the jobs of a pool that wait to be run: a ring for each priority, and the workers that wait for them.
 *
 * Overview
 *   A level is a channel of many senders and many receivers (chan/channel.h), with the job in it by value. Those who submit send, and wait for room, as on any
 *   channel. Workers take from several at once, so they do not wait in the channels' queues but in one of their own, `idle`.
 *
 *     submit ──► URGENT  ▯▯▯▯▯▯▯▯ ──┐
 *                HIGH    ▯▯▯▯▯▯▯▯ ──┼─► take: the first that has a job; by turns, one that was passed over for long
 *                NORMAL  ▯▯▯▯▯▯▯▯ ──┤
 *                LOW     ▯▯▯▯▯▯▯▯ ──┘   none has: spin, yield, join `idle`, park
 *
 * Ageing
 *   Counted in jobs, not in time: a worker that has taken `age` jobs from above a level looks into that level first, once. So each worker gives the
 *   head of every level a turn at least once in age + 4 jobs, whatever comes in above; and no clock is read for it.
 *
 * Why no job waits while a worker sleeps
 *   (A) and (B) as in park/waitq.h, with the rings as what is looked at again; and as in chan/wait.h a worker that a submit has woken owes a wake-up: when it goes
 *   on, with a job or for good, it looks whether there is one more, and then wakes the next.
 *   A worker goes for good because the pool gets smaller or idles, and then another is left, which sleeps (and is woken as said), or will
 *   look for a job before it sleeps; or because all levels are closed and empty, and then it wakes all the others, who find the same.
 */
#ifndef WEIR_TASK_POOL_QUEUE_H
#define WEIR_TASK_POOL_QUEUE_H

#include "job.h"

#ifndef WEIR__POOL_LEVELS /* the model makes do with fewer */
#define WEIR__POOL_LEVELS 4
#define WEIR__JOB_LEVEL(priority) (WEIR_JOB_URGENT - (priority))
#endif
#define WEIR__JOB_NORMAL_LEVEL WEIR__JOB_LEVEL(WEIR_JOB_NORMAL)

/* A job as it lies in a ring. */
typedef struct weir__job {
    union {
        weir_task_fn *task;
        void (*plain)(void *arg); /* of a runner: guard and options do not count, and it is always called */
    } fn;
    void *arg;
    weir__job_guard *guard;
    uint64_t id;
    weir_ns queued_at; /* 0: nobody wants to know */
    weir_ns deadline, timeout;
    const char *name;
    void (*done)(const weir_job_result *result, void *arg);
    void *done_arg;
    weir__chan *results, *future;
    int32_t level;
    uint32_t is_plain;
} weir__job;

typedef struct weir__pool_queue {
    weir__chan *level[WEIR__POOL_LEVELS]; /* the first is served first */
    unsigned age;
    unsigned char apart[WEIR_CACHE_PAD]; /* not WEIR__PADDED: a pool may be malloc'd */
    weir__waitq idle;
} weir__pool_queue;

/* How often a worker has passed over each level. */
typedef struct weir__pool_turns {
    unsigned passed[WEIR__POOL_LEVELS];
} weir__pool_turns;

/* 0, ENOMEM, EOVERFLOW. Room for `capacity` jobs in each level. */
WEIR_API int weir__pool_queue_make(weir__pool_queue *q, size_t capacity, unsigned age, const char *name);
WEIR_API void weir__pool_queue_free(weir__pool_queue *q);
/* From here on nothing is accepted; what is there can be taken. Wakes all who wait. */
WEIR_API void weir__pool_queue_close(weir__pool_queue *q);
/* How many jobs wait. */
WEIR_API size_t weir__pool_queue_len(weir__pool_queue *q);

/* 0; EAGAIN: there is no room; EPIPE: closed. push waits for room: ECANCELED, ETIMEDOUT. */
WEIR_API int weir__pool_queue_try_push(weir__pool_queue *q, const weir__job *job);
WEIR_API int weir__pool_queue_push(weir_ctx *ctx, weir__pool_queue *q, const weir__job *job);
/* The oldest job of a level, without waking anybody who waits for room there: it is for the caller. */
WEIR_API bool weir__pool_queue_drop(weir__pool_queue *q, int level, weir__job *job);

/* A worker takes the job whose turn it is. False: it found none. */
WEIR_API bool weir__pool_queue_take(weir__pool_queue *q, weir__pool_turns *turns, weir__job *job);
/* 0: there is a job. EAGAIN: there is none, or its sender has still to wake somebody. EPIPE: there will be none. */
WEIR_API int weir__pool_queue_why(weir__pool_queue *q);
/* Wakes a worker if there is a job. */
WEIR_API void weir__pool_queue_pass_on(weir__pool_queue *q);

#endif /* WEIR_TASK_POOL_QUEUE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_QUEUE_IMPLEMENTED)
#define WEIR_TASK_POOL_QUEUE_IMPLEMENTED

WEIR_API int weir__pool_queue_make(weir__pool_queue *q, size_t capacity, unsigned age, const char *name)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    opt.name = name;
    memset(q, 0, sizeof *q);
    q->age = age;
    weir__waitq_init(&q->idle);
    for (int i = 0; i < WEIR__POOL_LEVELS; i++) {
        const int rc = weir__chan_make(&q->level[i], WEIR__MPMC, capacity, sizeof(weir__job), &opt);
        if (rc != 0) {
            weir__pool_queue_free(q);
            return rc;
        }
    }
    return 0;
}

WEIR_API void weir__pool_queue_free(weir__pool_queue *q)
{
    for (int i = 0; i < WEIR__POOL_LEVELS; i++)
        weir__chan_free(&q->level[i]);
}

WEIR_API void weir__pool_queue_close(weir__pool_queue *q)
{
    for (int i = 0; i < WEIR__POOL_LEVELS; i++)
        (void)weir__chan_close(q->level[i]); /* EPIPE: another thread does the same */
    /* Whoever joins from here on finds it closed in the last look; the lock of `idle` decides. */
    weir__waitq_wake(&q->idle, WEIR__WAKE_ALL);
}

WEIR_API size_t weir__pool_queue_len(weir__pool_queue *q)
{
    size_t len = 0;
    for (int i = 0; i < WEIR__POOL_LEVELS; i++)
        len += weir__chan_len(q->level[i]);
    return len;
}

/* A job has been published. */
static inline void weir__pool_queue_pushed(weir__pool_queue *q)
{
    WEIR_FENCE_LIGHT(); /* (B) pairs with (A) in weir__pool_worker_park */
    if (weir__load_rlx(&q->idle.attention) != 0 && (weir__chan_attention(&q->idle) & WEIR__ATTENTION_COUNT) != 0)
        weir__waitq_wake(&q->idle, 1);
}

WEIR_API int weir__pool_queue_try_push(weir__pool_queue *q, const weir__job *job)
{
    weir__chan *c = q->level[job->level];
    int rc;
    if (WEIR_UNLIKELY(!weir__chan_push(c, WEIR__MPMC, job, sizeof *job, &rc)))
        rc = weir__try_send_slow(c, job);
    if (WEIR_LIKELY(rc == 0))
        weir__pool_queue_pushed(q);
    return rc;
}

WEIR_API int weir__pool_queue_push(weir_ctx *ctx, weir__pool_queue *q, const weir__job *job)
{
    const int rc = weir__send_slow(ctx, q->level[job->level], job, WEIR_FOREVER);
    if (rc == 0)
        weir__pool_queue_pushed(q);
    return rc;
}

WEIR_API bool weir__pool_queue_drop(weir__pool_queue *q, int level, weir__job *job)
{
    return weir__ring_pop(&q->level[level]->ring, WEIR__MPMC, job, sizeof *job);
}

static inline bool weir__pool_queue_pop(weir__pool_queue *q, int level, weir__pool_turns *turns, weir__job *job)
{
    int rc;
    if (!weir__chan_pop(q->level[level], WEIR__MPMC, job, sizeof *job, &rc))
        return false;
    turns->passed[level] = 0;
    for (int below = level + 1; below < WEIR__POOL_LEVELS; below++)
        turns->passed[below]++;
    return true;
}

WEIR_API bool weir__pool_queue_take(weir__pool_queue *q, weir__pool_turns *turns, weir__job *job)
{
    for (int level = WEIR__POOL_LEVELS - 1; level > 0; level--) {
        if (WEIR_LIKELY(turns->passed[level] < q->age))
            continue;
        turns->passed[level] = 0; /* it has its look, whatever it finds */
        if (weir__pool_queue_pop(q, level, turns, job))
            return true;
    }
    for (int level = 0; level < WEIR__POOL_LEVELS; level++)
        if (weir__pool_queue_pop(q, level, turns, job))
            return true;
    return false;
}

WEIR_API int weir__pool_queue_why(weir__pool_queue *q)
{
    int closed = 0;
    for (int i = 0; i < WEIR__POOL_LEVELS; i++) {
        const int why = weir__ring_why_empty(&q->level[i]->ring, WEIR__MPMC, sizeof(weir__job));
        if (why == 0)
            return 0;
        closed += why == EPIPE;
    }
    return closed == WEIR__POOL_LEVELS ? EPIPE : EAGAIN;
}

WEIR_API void weir__pool_queue_pass_on(weir__pool_queue *q)
{
    if (weir__waitq_sleepers(&q->idle) != 0 && weir__pool_queue_why(q) == 0)
        weir__waitq_wake(&q->idle, 1);
}

#endif /* WEIR_TASK_POOL_QUEUE_IMPLEMENTED */
