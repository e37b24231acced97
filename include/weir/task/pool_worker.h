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
 *   The lock is not held while the thread starts. Whoever finds a start in progress leaves it at that, also the new worker, which may have taken a job before its
 *   starter is back: so the starter looks again, under the lock, until all is well.
 *
 * Threads end as in a group: one that ends joins the one that ended before it; who waits for the end joins the last.
 */
#ifndef WEIR_TASK_POOL_WORKER_H
#define WEIR_TASK_POOL_WORKER_H

#include "pool_job.h"

/* Starts a worker if the queue is long. */
WEIR_API void weir__pool_consider(weir_pool *p);
/* Starts a worker. 0, EAGAIN. Called and returns locked, and is not in between. */
WEIR_API int weir__pool_grow(weir_pool *p);

#endif /* WEIR_TASK_POOL_WORKER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_WORKER_IMPLEMENTED)
#define WEIR_TASK_POOL_WORKER_IMPLEMENTED

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
    WEIR_HOOK("worker started");
    weir__lock_take(&p->lock); /* starting a thread takes long */
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
    while (!p->ending && !p->growing && weir__load_rlx(&p->threads) < weir__load_rlx(&p->max) &&
           weir__pool_is_short(p) && weir__pool_grow(p) == 0)
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

/* A spin that found a job is worth another one of full length; one that did not is cut by half, down to a turn or two. With more threads than cores the one
 * that would submit a job waits for the core on which a worker spins: with two workers and a submitter on one core a sixth of all time went there. */
static inline void weir__pool_worker_learn(weir__pool_worker *w, bool found)
{
    w->unspun = found ? 0 : (w->unspun + WEIR_SPIN_TURNS) / 2;
}

/* Waits for a job. 0; EPIPE: there will be none; ETIMEDOUT: none came in the idle time; EAGAIN: there were more workers than there may be. */
static int weir__pool_worker_wait(weir__pool_worker *w, weir__job *job)
{
    weir_pool *p = w->pool;
    weir__backoff turns = {p->opt.wait, w->unspun};
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
        turns.turn = w->unspun;
    }
    if (rc == EAGAIN && late)
        rc = ETIMEDOUT;
    weir__pool_worker_learn(w, rc == 0 && weir__backoff_spinning(&turns));
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

/* Its last act. why: as above. False: it has to stay: with EAGAIN another has left meanwhile, with ETIMEDOUT there are no more than the least. */
static bool weir__pool_worker_end(weir__pool_worker *w, weir__roll_entry *entry, int why)
{
    weir_pool *p = w->pool;
    const bool wants = why != EPIPE;
    weir__line_wakes wakes;
    weir__thread before;
    bool any;
    wakes.count = 0;
    weir__lock_take(&p->lock);
    if (wants && !weir__pool_is_wide(p) && (why == EAGAIN || weir__load_rlx(&p->threads) <= weir__load_rlx(&p->min))) {
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
        else if (weir__pool_worker_end(&w, &entry, rc))
            break;
    }
    return NULL;
}

#endif /* WEIR_TASK_POOL_WORKER_IMPLEMENTED */
