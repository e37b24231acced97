/* weir/chan/channel.h: a channel is a ring, and two queues of those who wait for it.
 *
 *       senders ──►  [ ring: capacity values, one FIFO over all senders ]  ──► receivers
 *          │                                                                     │
 *          └─ senders queue: sleep while it is full       receivers queue: sleep while it is empty
 *
 * Every operation is a ring operation followed by a look at the other side's queue:
 *
 *       send:     push;  (B);  does a receiver need attention?  then wake it
 *       receive:  pop;   (B);  does a sender need attention?    then wake it
 *
 * (B), the light fence, pairs with (A) of whoever goes to sleep (chan/wait.h) and with (C) of whoever closes (ring/ring.h).
 *
 * What full, empty and closed mean
 *   A channel is, at every moment, a list of at most `capacity` values and a flag, closed. Each call takes effect at one moment between
 *   its begin and its end, whole, and in one order for all threads (linearizability: M. Herlihy, J. Wing, 1990). At that moment:
 *
 *       a send that returns 0         finds the flag down and fewer than `capacity` values; its value becomes the last
 *       a receive that returns 0      takes the first value, whether the flag is up or down
 *       EAGAIN from a try to send     the flag is down, and `capacity` values are in the list
 *       EAGAIN from a try to receive  the flag is down, and the list is empty
 *       EPIPE from a send             the flag is up; the value has not been in the list, and stays the caller's
 *       EPIPE from a receive          the flag is up, and the list is empty: for good
 *       close                         raises the flag: 0 for the one call that found it down, EPIPE for the others
 *       select                        is the one call that it says it has done; EAGAIN from its try: none of the cases could have
 *                                     been done, all of them looked at at the same moment
 *       a batch                       is as many single calls in a row; others may come between
 *       send_latest                   is a receive and a send, at one moment each, as often as it takes
 *
 *   Capacity 0: a send and a receive that return 0 have one moment together. EAGAIN from a try: no counterpart was waiting at some moment of
 *   it; who begins to wait counts as waiting once it has announced itself, at the latest when it sleeps.
 *
 *   So a try may not contradict a call that has ended: after a send has returned 0, and before anybody has received, no try_recv says
 *   EAGAIN. This is what a ring alone does not give. A thread that stands between claim and publish hides the values that later senders
 *   have published behind its own; a try that meets such a thread waits for it, which is a few instructions, rather than call
 *   the channel empty (WEIR__BUSY in ring/ring.h).
 *
 *   What a thread did before a send that returns 0 is known to whoever receives that value; what it did before a close, to whoever is told
 *   EPIPE, or is_closed, because of it. (Happens-before of C11, as in Go's memory model.)
 *
 *   ETIMEDOUT and ECANCELED say nothing about the list, except that the call has not changed it. is_closed tells of one moment; len also
 *   counts what a send in progress has claimed room for.
 */
#ifndef WEIR_CHAN_CHANNEL_H
#define WEIR_CHAN_CHANNEL_H

#include "../park/waitq.h"
#include "../ring/ring.h"

/* What a channel is made of; chan/op.h tells them apart. */
enum { WEIR__BUFFER, WEIR__RENDEZVOUS, WEIR__TIMER, WEIR__PROMISE };

/* A rendezvous channel's fast way: chan/lane.h. */
typedef struct weir__lane {
    weir__atomic_u64 word;
    unsigned char deal[24], offer[24];
} weir__lane;

typedef struct weir__chan {
    weir__ring ring;
    WEIR__PADDED weir__waitq receivers; /* senders look at it */
    WEIR__PADDED weir__waitq senders;   /* receivers look at it */
    WEIR__PADDED weir__lane lane;
    WEIR__PADDED size_t size; /* of an element */
    int kind;
    int flavor;
    int wait;                /* a weir_wait_strategy */
    weir__atomic_u32 closed; /* rendezvous and timers; a promise's state; a buffer's ring knows for itself */
    weir__atomic_u64 due;    /* timers: when, and for tickers how far apart; a promise's code */
    weir__atomic_u64 period;
    const char *name;
    void *allocated; /* NULL when the memory is the caller's */
    uint32_t forks;  /* weir__fork_count when it was made */
} weir__chan;

/* Whether another process, an ancestor, made c. Asked before every wait and lock, for whoever holds it may not be here; the fast paths do not ask:
 * what is in the copy of a buffer can be taken, and what is put there stays in the copy. */
#define weir__chan_inherited(c) weir__fork_passed((c)->forks)

#define weir__chan_wake_receiver WEIR__RINGED(weir__chan_wake_receiver)
#define weir__chan_wake_sender WEIR__RINGED(weir__chan_wake_sender)

/* What attention != 0 asks for. The first returns whether the value at pos was accepted, should the channel be closed: 0 or EPIPE; the
 * second returns 0, so that a receive can end in a jump to it and needs no stack frame of its own. */
WEIR_API WEIR_COLD int weir__chan_wake_receiver(weir__chan *c, uint64_t pos);
WEIR_API WEIR_COLD int weir__chan_wake_sender(weir__chan *c);

/* A value has been published at pos: 0, or EPIPE if a close came first. */
WEIR_INLINE int weir__chan_sent(weir__chan *c, uint64_t pos)
{
    WEIR_FENCE_LIGHT(); /* (B) */
    if (WEIR_LIKELY(weir__load_rlx(&c->receivers.attention) == 0))
        return 0;
    return weir__chan_wake_receiver(c, pos);
}

/* A place has been freed: 0. */
WEIR_INLINE int weir__chan_received(weir__chan *c)
{
    WEIR_FENCE_LIGHT(); /* (B) */
    if (WEIR_LIKELY(weir__load_rlx(&c->senders.attention) == 0))
        return 0;
    return weir__chan_wake_sender(c);
}

/* True: done, with *rc to return. False: the ring was not ready, or there is no channel. */
WEIR_INLINE bool weir__chan_push(weir__chan *c, int kind, const void *src, size_t size, int *rc)
{
    uint64_t pos;
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_push(&c->ring, kind, src, size, &pos)))
        return false;
    *rc = weir__chan_sent(c, pos);
    return true;
}

WEIR_INLINE bool weir__chan_pop(weir__chan *c, int kind, void *dst, size_t size, int *rc)
{
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_pop(&c->ring, kind, dst, size)))
        return false;
    *rc = weir__chan_received(c);
    return true;
}

#endif /* WEIR_CHAN_CHANNEL_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_CHANNEL_IMPLEMENTED)
#define WEIR_CHAN_CHANNEL_IMPLEMENTED

/* Attention once more, behind a real fence where the light one is not enough (core/fence.h). */
static uint32_t weir__chan_attention(weir__waitq *q)
{
    const uint32_t attention = weir__load_rlx(&q->attention);
    if ((attention & WEIR__ATTENTION_FENCE) == 0)
        return attention;
    WEIR_FENCE(__ATOMIC_SEQ_CST); /* (B), symmetric */
    return weir__load_rlx(&q->attention);
}

WEIR_API WEIR_COLD int weir__chan_wake_receiver(weir__chan *c, uint64_t pos)
{
    const uint32_t attention = weir__chan_attention(&c->receivers);
    if (weir__chan_inherited(c)) /* nobody to wake; and a close that has begun will not end here */
        return (attention & WEIR__ATTENTION_CLOSED) != 0 ? ENOTRECOVERABLE : 0;
    if ((attention & WEIR__ATTENTION_COUNT) != 0)
        weir__waitq_wake(&c->receivers, 1);
    return (attention & WEIR__ATTENTION_CLOSED) != 0 ? weir__ring_settle(&c->ring, c->kind, pos) : 0;
}

WEIR_API WEIR_COLD int weir__chan_wake_sender(weir__chan *c)
{
    if ((weir__chan_attention(&c->senders) & WEIR__ATTENTION_COUNT) != 0 && !weir__chan_inherited(c))
        weir__waitq_wake(&c->senders, 1);
    return 0;
}

#endif /* WEIR_CHAN_CHANNEL_IMPLEMENTED */
