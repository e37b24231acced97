/* weir/park/waitq.h: who sleeps on one side of a channel.
 *
 * Overview
 *   A waitq is a FIFO of sleeping threads: a sender that finds the ring full joins the channel's `senders`, a receiver that finds it
 *   empty joins its `receivers`. Whoever frees or fills a slot wakes the first of them. Joining and waking take a small lock. Looking
 *   whether anyone is there does not, and that look, at one word, is all that a fast path ever does.
 *
 * The word: attention
 *       bit 31  CLOSED   the channel has been closed (set in `receivers` only, for rings with one producer; ring/spsc.h)
 *       bit 30  FENCE    no asymmetric fence here: fence, then look again (core/fence.h)
 *       0..29            how many sleep
 *   Zero means: nothing to do.
 *
 * Who may call what at once
 *                    join   leave   wake   look
 *       join          L       L      L      -          L: serialized by the queue's lock      -: any thread, no lock
 *       wake          L       L      L      -
 *
 * Invariants
 *   1. A node is linked in at most one queue. It lives on the sleeper's stack and is unlinked before that thread returns: by its
 *      waker, under the lock, or by its owner in leave.
 *   2. A waker unlinks first and claims last, both under the lock; after a successful claim it touches neither node nor parker.
 *   3. count == 0 in attention implies that the list is empty, whenever the lock is free.
 *
 * Why no wake-up is lost
 *   Without (A) and (B):
 *       receiver (parking)                    sender (publishing)
 *       ring looks empty                      publish value
 *                                             attention == 0, so wakes nobody
 *       attention = 1
 *       sleeps for ever
 *   With them:
 *       attention = 1  (join)                 publish value
 *       (A) heavy fence                       (B) light fence
 *       look at the ring again                look at attention
 *   One side writes X then reads Y, the other writes Y then reads X, each with a full fence between. "Both read the old value" is
 *   the one outcome that two full fences forbid: either the receiver sees the value or the sender sees the receiver. core/fence.h
 *   says how (B) can be free.
 *
 * Waking is a hint, not a hand-over
 *   A woken thread tries its operation again like anybody else, and a faster thread may have taken the slot: then it waits again.
 *   A hand-over, as in Go, would make every value that meets a sleeper cost a context switch. The price is a duty: a
 *   wake-up that was spent on a thread that did not need it must be passed on (chan/wait.h).
 */
#ifndef WEIR_PARK_WAITQ_H
#define WEIR_PARK_WAITQ_H

#include "../core/fence.h"
#include "lock.h"
#include "parker.h"

#define WEIR__ATTENTION_CLOSED (1U << 31)
#define WEIR__ATTENTION_FENCE (1U << 30)
#define WEIR__ATTENTION_COUNT (WEIR__ATTENTION_FENCE - 1)

typedef struct weir__waiter {
    struct weir__waiter *next, *prev; /* guarded by the queue's lock */
    weir__parker *parker;
    uint32_t ticket; /* what to claim the parker with */
    bool linked;     /* guarded by the queue's lock */
    int status;      /* rendezvous: how it ended, 0 or EPIPE; written by the peer that holds the parker */
    const void *src; /* rendezvous: a sender's value, in the sender's memory */
    void *dst;       /* rendezvous: where a receiver wants it; may be NULL */
} weir__waiter;

static inline void weir__waiter_init(weir__waiter *w, weir__parker *parker, uint32_t ticket)
{
    w->next = w->prev = NULL;
    w->parker = parker;
    w->ticket = ticket;
    w->linked = false;
    w->status = 0;
    w->src = NULL;
    w->dst = NULL;
}

/* A doubly linked FIFO of waiters, without a lock of its own: a channel's queue guards it, and so does a context tree. */
typedef struct weir__waiter_list {
    weir__waiter *first, *last;
} weir__waiter_list;

typedef struct weir__waitq {
    weir__atomic_u32 attention;
    weir__lock lock;
    weir__waiter_list list;
    uint64_t slept; /* how many have ever joined; guarded by lock */
} weir__waitq;

static inline void weir__waiter_link(weir__waiter_list *l, weir__waiter *w)
{
    w->next = NULL;
    w->prev = l->last;
    if (l->last != NULL)
        l->last->next = w;
    else
        l->first = w;
    l->last = w;
    w->linked = true;
}

/* For one that has waited longer than all of them, elsewhere. */
static inline void weir__waiter_link_first(weir__waiter_list *l, weir__waiter *w)
{
    w->prev = NULL;
    w->next = l->first;
    if (l->first != NULL)
        l->first->prev = w;
    else
        l->last = w;
    l->first = w;
    w->linked = true;
}

static inline void weir__waiter_unlink(weir__waiter_list *l, weir__waiter *w)
{
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        l->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        l->last = w->prev;
    w->linked = false;
}

/* Takes the longest sleeper off the list and claims it; those whose parkers somebody else has claimed are unlinked on the way, each
 * counted in *unlinked. False when nobody is left; else *wake is the futex to wake, or NULL if that thread is awake. */
static inline bool weir__waiter_claim_first(weir__waiter_list *l, uint32_t *unlinked, weir__atomic_u32 **wake)
{
    weir__waiter *w;
    while ((w = l->first) != NULL) {
        weir__waiter_unlink(l, w);
        ++*unlinked;
        if (weir__parker_claim(w->parker, w->ticket, wake)) /* the last touch: from here on the sleeper may be gone */
            return true;
    }
    return false;
}

WEIR_API void weir__waitq_init(weir__waitq *q);

/* Puts w, whose parker and ticket are set, at the end of the queue. The caller owes (A), WEIR_FENCE_HEAVY, and a last look. */
WEIR_API void weir__waitq_join(weir__waitq *q, weir__waiter *w);

/* Takes w off, if nobody has yet. Afterwards no other thread knows of it. */
WEIR_API void weir__waitq_leave(weir__waitq *q, weir__waiter *w);

/* Wakes up to `count` of the longest sleepers; WEIR__WAKE_ALL for all. Any thread. */
WEIR_API WEIR_COLD void weir__waitq_wake(weir__waitq *q, uint32_t count);

/* Sets bits in attention for good. */
WEIR_API void weir__waitq_mark(weir__waitq *q, uint32_t bits);

/* Every change of attention is made under the lock, so a load and a store will do; that the store is atomic is for the look. Release: pairs with the
 * acquire in weir__meet_try; all other looks have fences. */
static inline void weir__waitq_add(weir__waitq *q, uint32_t difference)
{
    weir__store_rel(&q->attention, weir__load_rlx(&q->attention) + difference);
}

/* How many sleep. Any thread; a number that may be old when it arrives. */
static inline uint32_t weir__waitq_sleepers(weir__waitq *q)
{
    return weir__load_rlx(&q->attention) & WEIR__ATTENTION_COUNT;
}

#endif /* WEIR_PARK_WAITQ_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_WAITQ_IMPLEMENTED)
#define WEIR_PARK_WAITQ_IMPLEMENTED

WEIR_API void weir__waitq_init(weir__waitq *q)
{
    q->attention = weir__fence_asymmetric() ? 0 : WEIR__ATTENTION_FENCE;
    q->lock = 0;
    q->list.first = q->list.last = NULL;
    q->slept = 0;
}

WEIR_API void weir__waitq_join(weir__waitq *q, weir__waiter *w)
{
    weir__lock_take(&q->lock);
    weir__waiter_link(&q->list, w);
    weir__waitq_add(q, 1);
    q->slept++;
    weir__lock_release(&q->lock);
}

WEIR_API void weir__waitq_leave(weir__waitq *q, weir__waiter *w)
{
    weir__lock_take(&q->lock);
    if (w->linked) {
        weir__waiter_unlink(&q->list, w);
        weir__waitq_add(q, 0U - 1U);
    }
    weir__lock_release(&q->lock);
}

WEIR_API WEIR_COLD void weir__waitq_wake(weir__waitq *q, uint32_t count)
{
    enum { BATCH = 16 };
    weir__atomic_u32 *wake[BATCH];
    uint32_t n;
    /* The futex wakes come after the lock is free: a woken thread that took the lock while we held it would sleep again. */
    do {
        uint32_t unlinked = 0;
        n = 0;
        weir__lock_take(&q->lock);
        while (n < BATCH && n < count && weir__waiter_claim_first(&q->list, &unlinked, &wake[n]))
            n++;
        weir__waitq_add(q, 0U - unlinked);
        weir__lock_release(&q->lock);
        for (uint32_t i = 0; i < n; i++)
            if (wake[i] != NULL)
                WEIR_FUTEX_WAKE(wake[i], 1);
        count -= n;
    } while (n == BATCH && count > 0);
}

WEIR_API void weir__waitq_mark(weir__waitq *q, uint32_t bits)
{
    weir__lock_take(&q->lock);
    weir__store_rlx(&q->attention, weir__load_rlx(&q->attention) | bits);
    weir__lock_release(&q->lock);
}

#endif /* WEIR_PARK_WAITQ_IMPLEMENTED */
