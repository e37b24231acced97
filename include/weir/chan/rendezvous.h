/* weir/chan/rendezvous.h: channels of capacity 0, where a value goes from hand to hand.
 *
 * Overview
 *   There is no ring. Whoever comes first lies down in the queue of its side with the address of its value (or of where it wants
 *   one); whoever comes second finds it there, moves the value and lets it go. So a send returns 0 only after a receiver has taken the
 *   value, and a try succeeds only if a counterpart is waiting already. Unlike in a buffered channel a wake-up is no hint here: it is
 *   the exchange, done.
 *
 * Invariants, under the channel's one lock (that of `receivers`, for both queues)
 *   1. At most one of the two queues holds a thread that can be claimed, unless both belong to one select, which never meets itself.
 *   2. After closed is set, both queues are empty for good.
 *   3. A thread's parker is claimed once. The peer claims it HELD, moves the value, writes the status and lets go; the deadline or the
 *      context claims it CANCELLED or with its own ticket. So "exchanged" and "timed out" exclude each other, and the value
 *      of a send that was given up has not been looked at.
 *
 * Both sides of a claimed thread's memory are touched only while it is HELD, and it waits that out: a few instructions and a copy.
 *
 * Progress: takes the lock; try waits for peers in it. Blocked: spins, yields and parks on its own parker, by the channel's strategy, where
 * the peer finds it in any of the three phases.
 */
#ifndef WEIR_CHAN_RENDEZVOUS_H
#define WEIR_CHAN_RENDEZVOUS_H

#include "../ctx/wait.h"
#include "channel.h"

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
static inline void weir__meet_link(weir__chan *c, bool sending, weir__waiter *w)
{
    weir__waiter_link(&weir__meet_queue(c, sending)->list, w);
    weir__waitq_add(weir__meet_queue(c, sending), 1);
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
WEIR_API int weir__meet_wait(weir__wait *w, weir__chan *c, bool sending, const void *src, void *dst);
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
    /* Nobody there, and not closed: then it was not closed either when nobody was there, because it was looked at later. Saves polling
     * callers the lock. */
    const uint32_t attention = weir__load_acq(&weir__meet_queue(c, !sending)->attention);
    if ((attention & WEIR__ATTENTION_COUNT) == 0 && weir__load_acq(&c->closed) == 0)
        return EAGAIN;
    weir__lock_take(weir__meet_lock(c));
    rc = weir__meet_exchange(c, sending, src, dst, &wake);
    return weir__meet_finish(c, rc, wake);
}

WEIR_API int weir__meet_wait(weir__wait *w, weir__chan *c, bool sending, const void *src, void *dst)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__atomic_u32 *wake;
    weir__waiter node;
    uint32_t ticket;
    int rc;
    weir__waiter_init(&node, &parker, WEIR__TICKET_QUEUE);
    node.src = src;
    node.dst = dst;
    weir__lock_take(weir__meet_lock(c));
    rc = weir__meet_exchange(c, sending, src, dst, &wake);
    if (rc == EAGAIN)
        weir__meet_link(c, sending, &node); /* even if the wait is over: finding that out may run hooks, which may use this channel */
    (void)weir__meet_finish(c, rc, wake);
    if (rc != EAGAIN)
        return rc;
    WEIR_HOOK("parking");
    ticket = weir__wait_parked(w, &parker, w->backoff.strategy, WEIR_FOREVER);
    if (ticket == WEIR__TICKET_QUEUE)
        return node.status; /* unlinked by the peer, under the lock, before it claimed us */
    weir__lock_take(weir__meet_lock(c));
    weir__meet_unlink(c, sending, &node);
    weir__lock_release(weir__meet_lock(c));
    return weir__wait_ended(w);
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
