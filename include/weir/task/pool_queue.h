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

#ifndef WEIR_POOL_BURST_TURNS
#define WEIR_POOL_BURST_TURNS 50
#endif

/* A job as it lies in a ring. What every job has comes first: with the slot's stamp it fills one cache line, and of a job for which nothing was asked nothing else is
 * copied (is_long). The whole takes two. */
typedef struct weir__job {
    union {
        weir_task_fn *task;
        void (*plain)(void *arg); /* of a runner: guard and options do not count, and it is always called */
    } fn;
    void *arg;
    weir__job_guard *guard;
    weir_ns queued_at; /* 0: nobody wants to know */
    int32_t level;
    uint16_t is_plain, is_long;
    uint64_t id;
    weir_ns deadline, timeout;
    const char *name;
    void (*done)(const weir_job_result *result, void *arg);
    void *done_arg;
    weir__chan *results, *future;
    uint64_t correlation; /* 0: none */
    uint64_t unused;
} weir__job;

#define WEIR__JOB_SHORT offsetof(weir__job, id)
WEIR__STATIC_ASSERT(WEIR__SLOT_VALUE(sizeof(weir__job)) + WEIR__JOB_SHORT <= 64, "a short job lies in one cache line");
WEIR__STATIC_ASSERT(WEIR__SLOT_STRIDE(sizeof(weir__job)) % 64 == 0, "slots begin where a line does");

typedef struct weir__pool_queue {
    weir__chan *level[WEIR__POOL_LEVELS]; /* the first is served first */
    unsigned age;
    weir__atomic_u32 used; /* levels in which there has ever been a job, by bits: workers look in no others */
    unsigned char apart[WEIR_CACHE_PAD]; /* not WEIR__PADDED: a pool may be malloc'd */
    weir__waitq idle;
} weir__pool_queue;

/* How often a worker has passed over each level; and a number that none of these exceeds, so that as long as it is small none has to be looked at. */
typedef struct weir__pool_turns {
    unsigned passed[WEIR__POOL_LEVELS], most;
} weir__pool_turns;

/* 0, ENOMEM, EOVERFLOW. Room for `capacity` jobs in each level. */
WEIR_API int weir__pool_queue_make(weir__pool_queue *q, size_t capacity, unsigned age, const char *name);
WEIR_API void weir__pool_queue_free(weir__pool_queue *q);
/* From here on nothing is accepted; what is there can be taken. Wakes all who wait. */
WEIR_API void weir__pool_queue_close(weir__pool_queue *q);
/* How many jobs wait. */
WEIR_API size_t weir__pool_queue_len(weir__pool_queue *q);

/* After a try that has found no room. 0; EPIPE: closed; ECANCELED, ETIMEDOUT: there was no room in time. */
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

/* A job into a ring, and out of it, in as few cache lines as it has. A channel's own send and receive copy it whole: that is the same job, but for what lies
 * behind a short one in the slot. */
static inline bool weir__job_push(weir__chan *c, const weir__job *job, int *rc)
{
    weir__claim claim;
    if (WEIR_UNLIKELY(!weir__ring_claim_push(&c->ring, WEIR__MPMC, sizeof *job, &claim)))
        return false;
    WEIR_HOOK("send claimed");
    WEIR_COPY_IN(claim.value, job, WEIR__JOB_SHORT);
    if (job->is_long)
        WEIR_COPY_IN((unsigned char *)claim.value + WEIR__JOB_SHORT, &job->id, sizeof *job - WEIR__JOB_SHORT);
    weir__ring_publish(&c->ring, WEIR__MPMC, sizeof *job, &claim);
    *rc = weir__chan_sent(c, claim.pos);
    return true;
}

static inline bool weir__job_pop(weir__ring *r, weir__job *job)
{
    const size_t rest = sizeof *job - WEIR__JOB_SHORT;
    weir__claim claim;
    if (weir__ring_of(WEIR__MPMC) == WEIR_RING_CK) { /* which copies before it claims */
        if (!weir__ring_pop(r, WEIR__MPMC, job, sizeof *job))
            return false;
    } else {
        if (!weir__ring_claim_pop(r, WEIR__MPMC, sizeof *job, &claim))
            return false;
        WEIR_HOOK("recv claimed");
        WEIR_COPY_OUT(job, claim.value, WEIR__JOB_SHORT);
        if (WEIR_UNLIKELY(job->is_long))
            WEIR_COPY_OUT(&job->id, (const unsigned char *)claim.value + WEIR__JOB_SHORT, rest);
        weir__ring_release(r, WEIR__MPMC, sizeof *job, &claim);
    }
    return true;
}

/* Before a try to publish a job, so whoever takes that job's slot for full will see the bit. Relaxed: nobody goes to sleep on it. */
static inline void weir__pool_queue_use(weir__pool_queue *q, int level)
{
    const uint32_t bit = 1U << level;
    if (WEIR_UNLIKELY((weir__load_rlx(&q->used) & bit) == 0))
        (void)weir__or_rlx(&q->used, bit);
}

/* 0; EAGAIN: there is no room; EPIPE: closed. */
static inline int weir__pool_queue_try_push(weir__pool_queue *q, const weir__job *job)
{
    weir__chan *c = q->level[job->level];
    int rc;
    weir__pool_queue_use(q, job->level);
    if (WEIR_UNLIKELY(!weir__job_push(c, job, &rc)))
        rc = weir__try_send_slow(c, job);
    if (WEIR_LIKELY(rc == 0))
        weir__pool_queue_pushed(q);
    return rc;
}

/* Lets the workers make room for more than one job. Who submits as soon as there is one place takes it from under the worker that has just left it, and the
 * two go on in step, a cache line's way for each job: 22 ns for an empty job on two cores, and 14 with 50 pauses (a microsecond or two). If little room has come
 * of it the jobs are longer, and a worker may want the core: without the yield, two workers ran jobs of 1 us one at a time, beside a submitter that paused. */
static void weir__pool_queue_stand_back(weir__chan *level)
{
    const size_t capacity = weir__chan_cap(level);
    for (size_t i = 0; i < capacity / 4 && i < WEIR_POOL_BURST_TURNS; i++)
        WEIR_CPU_PAUSE();
    if (capacity - weir__chan_len(level) < capacity / 16)
        (void)weir__backoff_yield();
}

WEIR_API int weir__pool_queue_push(weir_ctx *ctx, weir__pool_queue *q, const weir__job *job)
{
    int rc;
    weir__pool_queue_stand_back(q->level[job->level]);
    rc = weir__send_slow(ctx, q->level[job->level], job, WEIR_FOREVER);
    if (rc == 0)
        weir__pool_queue_pushed(q);
    return rc;
}

WEIR_API bool weir__pool_queue_drop(weir__pool_queue *q, int level, weir__job *job)
{
    return weir__job_pop(&q->level[level]->ring, job);
}

static inline bool weir__pool_queue_pop(weir__pool_queue *q, int level, weir__pool_turns *turns, weir__job *job)
{
    if (!weir__job_pop(&q->level[level]->ring, job))
        return false;
    (void)weir__chan_received(q->level[level]);
    turns->passed[level] = 0;
    for (int below = level + 1; below < WEIR__POOL_LEVELS; below++)
        turns->passed[below]++;
    turns->most++;
    return true;
}

/* From a level that was passed over for long, the lowest first. */
static WEIR_NOINLINE bool weir__pool_queue_take_aged(weir__pool_queue *q, weir__pool_turns *turns, weir__job *job)
{
    unsigned most = 0;
    for (int level = WEIR__POOL_LEVELS - 1; level > 0; level--) {
        if (turns->passed[level] < q->age) {
            most = turns->passed[level] > most ? turns->passed[level] : most;
            continue;
        }
        turns->passed[level] = 0; /* it has its look, whatever it finds */
        if (weir__pool_queue_pop(q, level, turns, job))
            return true; /* `most` as it was: the next take comes here too, for the levels above */
    }
    turns->most = most;
    return false;
}

WEIR_API bool weir__pool_queue_take(weir__pool_queue *q, weir__pool_turns *turns, weir__job *job)
{
    if (WEIR_UNLIKELY(turns->most >= q->age) && weir__pool_queue_take_aged(q, turns, job))
        return true;
    const uint32_t used = weir__load_rlx(&q->used);
    for (int level = 0; level < WEIR__POOL_LEVELS; level++)
        if ((used >> level & 1) != 0 && weir__pool_queue_pop(q, level, turns, job))
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
