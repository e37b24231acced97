/* weir/chan/rendezvous.h: channels of capacity 0, where a value goes from hand to hand.
 *
 * Overview
 *   There is no ring. Whoever comes first waits with its value (or with the wish for one); whoever comes second finds it, moves the value
 *   and lets it go. So a send returns 0 only after a receiver has taken the value, and a try succeeds only if a counterpart is waiting
 *   already. Unlike in a buffered channel a wake-up is no hint here: it is the exchange, done.
 *
 *   There are two places to wait in. The lane (chan/lane.h) has room for one thread of each side that is awake, and needs no lock: two threads
 *   at full speed meet there. The queues hold everybody else: who sleeps, who selects, who finds the lane taken, and values that are too
 *   large for it. The way of a call:
 *
 *       enter the lane ──► a counterpart was there: done
 *             │ announced                   │ taken
 *             ▼                             ▼
 *       spin and yield there         under the lock: meet the first of the other queue, or
 *             │ time to sleep        lie down at the back of one's own, and look at the lane once more
 *             ▼                             │
 *       to the front of the queue ──► park ◄┘
 *
 * Invariants of the queues, under the channel's one lock (that of `receivers`, for both)
 *   1. At most one of the two holds a thread that can be claimed, unless both belong to one select, which never meets itself.
 *   2. After closed is set, both are empty for good.
 *   3. A thread's parker is claimed once. The peer claims it HELD, moves the value, writes the status and lets go; the deadline or the
 *      context claims it CANCELLED or with its own ticket. So "exchanged" and "timed out" exclude each other, and the value
 *      of a send that was given up has not been looked at.
 *   4. A thread is in the lane and in a queue at once only under the lock, on its way to sleep.
 *
 * Both sides of a claimed thread's memory are touched only while it is HELD, and it waits that out: a few instructions and a copy.
 *
 * Progress: the lane is lock-free but for one copy; the queues take the lock, and a try waits for peers in it. Blocked: spins, yields and parks on its own parker, by the channel's strategy, where
 * the peer finds it in any of the three phases.
 */
#ifndef WEIR_CHAN_RENDEZVOUS_H
#define WEIR_CHAN_RENDEZVOUS_H

#include "../ctx/wait.h"
#include "lane.h"

/* The lock that guards both queues. */
static inline weir__lock *weir__meet_lock(weir__chan *c)
{
    return &c->receivers.lock;
}

static inline weir__waitq *weir__meet_queue(weir__chan *c, bool sending)
{
    return sending ? &c->senders : &c->receivers;
}

/* Puts a thread into the queue of its side; takes it off again if it is still there. Locked. */
static inline void weir__meet_link(weir__chan *c, bool sending, weir__waiter *w, bool first)
{
    (first ? weir__waiter_link_first : weir__waiter_link)(&weir__meet_queue(c, sending)->list, w);
    weir__waitq_add(weir__meet_queue(c, sending), 1);
    weir__meet_queue(c, sending)->slept++;
}

static inline void weir__meet_unlink(weir__chan *c, bool sending, weir__waiter *w)
{
    if (!w->linked)
        return;
    weir__waiter_unlink(&weir__meet_queue(c, sending)->list, w);
    weir__waitq_add(weir__meet_queue(c, sending), 0U - 1U);
}

/* Meets the first counterpart that waits: 0 with *wake to be woken once the lock is free (or NULL); EPIPE; EAGAIN. Locked. The caller's
 * thread is in neither queue. */
WEIR_API int weir__meet_exchange(weir__chan *c, bool sending, const void *src, void *dst, weir__atomic_u32 **wake);

/* 0, EPIPE, EAGAIN. */
WEIR_API int weir__meet_try(weir__chan *c, bool sending, const void *src, void *dst);
/* 0, EPIPE, ETIMEDOUT, ECANCELED. */
WEIR_API int weir__meet_send(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline);
WEIR_API int weir__meet_recv(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline);
/* True for the caller that closed. */
WEIR_API bool weir__meet_close(weir__chan *c);

#endif /* WEIR_CHAN_RENDEZVOUS_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_RENDEZVOUS_IMPLEMENTED)
#define WEIR_CHAN_RENDEZVOUS_IMPLEMENTED

/* Takes the first thread of a queue that nobody else has claimed, and holds it; NULL when none is left. Locked. */
static weir__waiter *weir__meet_hold_first(weir__waitq *q, weir__atomic_u32 **wake)
{
    weir__waiter *w;
    while ((w = q->list.first) != NULL) {
        weir__waiter_unlink(&q->list, w);
        weir__waitq_add(q, 0U - 1U);
        if (weir__parker_claim(w->parker, w->ticket | WEIR__PARKER_HELD, wake))
            return w;
        /* Acquire: who finds it claimed knows what its claimer did before: a try in a select needs that. It takes the lock before it goes. */
        (void)weir__load_acq(&w->parker->state);
    }
    return NULL;
}

static void weir__meet_let_go(weir__waiter *w, int status)
{
    w->status = status;
    weir__parker_let_go(w->parker, w->ticket);
}

WEIR_API int weir__meet_exchange(weir__chan *c, bool sending, const void *src, void *dst, weir__atomic_u32 **wake)
{
    weir__waiter *peer;
    *wake = NULL;
    if (weir__load_rlx(&c->closed) != 0)
        return EPIPE;
    if (weir__lane_meet(c, sending, src, dst)) /* first: it came before all in the queue */
        return 0;
    peer = weir__meet_hold_first(weir__meet_queue(c, !sending), wake);
    if (peer == NULL)
        return EAGAIN;
    WEIR_HOOK("meeting");
    if (sending && peer->dst != NULL)
        WEIR_COPY_IN(peer->dst, src, c->size);
    if (!sending && dst != NULL)
        WEIR_COPY_OUT(dst, peer->src, c->size);
    weir__meet_let_go(peer, 0);
    return 0;
}

static int weir__meet_finish(weir__chan *c, int rc, weir__atomic_u32 *wake)
{
    weir__lock_release(weir__meet_lock(c));
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
    return rc;
}

WEIR_API int weir__meet_try(weir__chan *c, bool sending, const void *src, void *dst)
{
    weir__atomic_u32 *wake;
    int rc;
    if (weir__load_acq(&c->closed) != 0)
        return EPIPE;
    if (weir__lane_meet(c, sending, src, dst))
        return 0;
    /* Nobody there, and not closed: then it was not closed either when nobody was there, because it was looked at later. Saves polling
     * callers the lock. Acquire: pairs with the release in weir__waitq_add, and makes the look at closed the later one: the close that has sent
     * somebody away is seen. */
    if ((weir__load_acq(&weir__meet_queue(c, !sending)->attention) & WEIR__ATTENTION_COUNT) == 0 &&
        weir__load_rlx(&c->closed) == 0)
        return EAGAIN;
    weir__lock_take(weir__meet_lock(c));
    rc = weir__meet_exchange(c, sending, src, dst, &wake);
    return weir__meet_finish(c, rc, wake);
}

/* Waits in the lane: 0, or why the wait is over; EAGAIN: it is time to sleep, and the caller is still announced. */
static int weir__meet_stay(weir__wait *w, weir__chan *c, bool sending, void *dst, uint64_t mine)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    WEIR_HOOK("staying");
    while (!weir__lane_gone(c, sending, dst, mine)) {
        const int over = weir__load_acq(&c->closed) != 0
                             ? EPIPE
                             : weir__wait_over(w); /* may run hooks, which may use this channel */
        if (over == 0) {
            if (!weir__backoff_turn(&w->backoff))
                return EAGAIN;
        } else if (weir__lane_leave(c, sending, mine)) {
            return over;
        } else {
            weir__backoff_peer(&peer);
        }
    }
    return 0;
}

/* Joins the queue of its side; `mine` not NULL: out of the lane. Locked. EAGAIN: the caller lies there, and nobody waits to meet it. Otherwise
 * it does not: 0, EPIPE; BUSY: a counterpart is at work in the lane, or about to be. */
static int weir__meet_lie_down(weir__chan *c, bool sending, weir__waiter *node, const uint64_t *mine,
                               weir__atomic_u32 **wake)
{
    int rc = WEIR__BUSY;
    WEIR_HOOK("lying down");
    weir__meet_link(c, sending, node, mine != NULL);
    if (mine == NULL) {
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (E) pairs with (D) in weir__lane_enter */
        if (!weir__lane_there(c, sending))
            return EAGAIN;
    } else if (weir__lane_leave(c, sending, *mine)) {
        /* Nobody could announce itself beside us, and whoever does so from here on sees us in the queue. But a select may have joined
         * the other one and not looked at the lane before we left it. */
        rc = weir__meet_exchange(c, sending, node->src, node->dst, wake);
        if (rc == EAGAIN)
            return EAGAIN;
    }
    weir__meet_unlink(c, sending, node);
    return rc;
}

/* Waits in the queue. BUSY: see weir__meet_lie_down. */
static int weir__meet_park(weir__wait *w, weir__chan *c, bool sending, const void *src, void *dst, const uint64_t *mine)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__atomic_u32 *wake = NULL;
    weir__waiter node;
    uint32_t ticket;
    int rc;
    weir__waiter_init(&node, &parker, WEIR__TICKET_QUEUE);
    node.src = src;
    node.dst = dst;
    weir__lock_take(weir__meet_lock(c));
    rc = mine == NULL ? weir__meet_exchange(c, sending, src, dst, &wake) : EAGAIN;
    if (rc == EAGAIN)
        rc = weir__meet_lie_down(c, sending, &node, mine,
                                 &wake); /* even if the wait is over: finding that out may run hooks */
    (void)weir__meet_finish(c, rc, wake);
    if (rc != EAGAIN)
        return rc;
    WEIR_HOOK("parking");
    ticket = weir__wait_parked(w, &parker, mine == NULL ? w->backoff.strategy : WEIR_WAIT_PARK, WEIR_FOREVER);
    if (ticket == WEIR__TICKET_QUEUE)
        return node.status; /* unlinked by the peer, under the lock, before it claimed us */
    weir__lock_take(weir__meet_lock(c));
    weir__meet_unlink(c, sending, &node);
    weir__lock_release(weir__meet_lock(c));
    return weir__wait_ended(w);
}

/* The rest of weir__meet_wait, once it is known how entering the lane has ended. */
static WEIR_NOINLINE int weir__meet_wait_on(weir_ctx *ctx, weir__chan *c, bool sending, const void *src, void *dst,
                                            weir_ns deadline, weir__lane_entry entry, uint64_t mine)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    weir__wait w;
    weir__wait_init(&w, ctx, deadline, c->wait);
    weir__wait_label(&w, sending ? "send" : "recv", c->name);
    while (entry != WEIR__LANE_DONE) {
        if (entry != WEIR__LANE_PASSING) {
            int rc = entry == WEIR__LANE_STAY ? weir__meet_stay(&w, c, sending, dst, mine) : EAGAIN;
            if (rc == EAGAIN)
                rc = weir__meet_park(&w, c, sending, src, dst, entry == WEIR__LANE_STAY ? &mine : NULL);
            if (rc != WEIR__BUSY)
                return rc;
        }
        weir__backoff_peer(&peer);
        if (entry == WEIR__LANE_STAY) { /* a counterpart was faster than we were at leaving */
            if (weir__lane_gone(c, sending, dst, mine))
                return 0;
        } else {
            if (weir__load_acq(&c->closed) != 0)
                return EPIPE;
            entry = weir__lane_enter(c, sending, src, dst, &mine);
        }
    }
    return 0;
}

#ifndef WEIR_LANE_GLANCES
#define WEIR_LANE_GLANCES 8
#endif

/* Two threads at full speed meet here within some 50 ns, so what a longer wait needs is left for later. */
WEIR_INLINE int weir__meet_wait(weir_ctx *ctx, weir__chan *c, bool sending, const void *src, void *dst,
                                weir_ns deadline)
{
    weir__lane_entry entry = WEIR__LANE_TAKEN;
    uint64_t mine = 0;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    if (weir__load_acq(&c->closed) != 0)
        return EPIPE;
    if (c->wait != WEIR_WAIT_PARK) /* who means to sleep at once goes to the queue */
        entry = weir__lane_enter(c, sending, src, dst, &mine);
    if (entry == WEIR__LANE_DONE)
        return 0;
    for (int i = 0; i < WEIR_LANE_GLANCES && entry == WEIR__LANE_STAY; i++) {
        WEIR_CPU_PAUSE();
        if (weir__lane_gone(c, sending, dst, mine))
            return 0;
    }
    return weir__meet_wait_on(ctx, c, sending, src, dst, deadline, entry, mine);
}

WEIR_API int weir__meet_send(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline)
{
    return weir__meet_wait(ctx, c, true, src, NULL, deadline);
}

WEIR_API int weir__meet_recv(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline)
{
    return weir__meet_wait(ctx, c, false, NULL, dst, deadline);
}

WEIR_API bool weir__meet_close(weir__chan *c)
{
    weir__lock_take(weir__meet_lock(c));
    const bool first = weir__load_rlx(&c->closed) == 0;
    weir__store_rel(&c->closed, 1);
    for (int side = 0; side < 2; side++) {
        weir__atomic_u32 *wake;
        weir__waiter *w;
        while ((w = weir__meet_hold_first(weir__meet_queue(c, side == 0), &wake)) != NULL) {
            weir__meet_let_go(w, EPIPE);
            if (wake != NULL)
                WEIR_FUTEX_WAKE(wake, 1);
        }
    }
    weir__lock_release(weir__meet_lock(c));
    return first;
}

#endif /* WEIR_CHAN_RENDEZVOUS_IMPLEMENTED */
