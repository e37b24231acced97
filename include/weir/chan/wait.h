/* weir/chan/wait.h: what an operation does when the ring is not ready.
 *
 * Overview
 *   take a turn of the backoff (spin, yield); try; … ; park:
 *
 *       join the queue of this side
 *       (A) heavy fence                        pairs with (B) in chan/channel.h
 *       still not ready?  watch the context, sleep until a peer, the context or the deadline ends it
 *       leave the queue
 *
 *   and try again. The try comes before the look at context and clock each time, so a value that is there is returned even when the context has ended or
 *   the deadline has passed; and a timeout is decided by a try that failed, so it never loses a value.
 *
 * A wake-up is never lost with the thread that got it
 *   A publisher wakes one sleeper per value. That sleeper may find that its value is not at the head yet, because an earlier
 *   sender still stands between claim and publish, or it may leave on a timeout at the same moment. Without a rule:
 *       sender 1 claims p, is suspended;  sender 2 publishes p+1, wakes R1;  R1 finds p not ready, sleeps again;
 *       sender 1 publishes p, wakes R1, which takes p;  p+1 stays in the ring while R2 sleeps.
 *   The rule: a thread that was claimed by its queue owes a wake-up (`owes`). When it leaves, with a value or without, it looks
 *   whether the ring is ready for one more of its side, and if so wakes the next sleeper, who then owes in turn. Closed and drained
 *   is ready too: a receiver may lie down after the close has woken everybody, because the last value is claimed and not published
 *   yet; whoever gets that value, or finds it gone, has to tell the others that there will be no more.
 *   Why that suffices. Let the head be ready while somebody sleeps. It became ready by a publish at the head, whose publisher then
 *   woke a sleeper; or because a thread took the value before it. In the second case consider that value in turn, down to the
 *   one whose publisher woke a sleeper: that sleeper has not left yet, or it left after the head was ready and passed the wake on, or
 *   it went to sleep again, after (A) and a look that found the head not ready; whoever made it ready then looked after (B).
 */
#ifndef WEIR_CHAN_WAIT_H
#define WEIR_CHAN_WAIT_H

#include "op.h"

#define weir__op_wait WEIR__RINGED(weir__op_wait)
#define weir__op_try WEIR__RINGED(weir__op_try)
#define weir__send_slow WEIR__RINGED(weir__send_slow)
#define weir__recv_slow WEIR__RINGED(weir__recv_slow)
#define weir__try_send_slow WEIR__RINGED(weir__try_send_slow)
#define weir__try_recv_slow WEIR__RINGED(weir__try_recv_slow)

/* Waits as long as ctx and deadline allow. 0, EPIPE, ETIMEDOUT, ECANCELED; EINVAL, ENOTSUP from chan/op.h. c may be NULL: a channel
 * that is never ready. */
WEIR_API WEIR_NOINLINE int weir__op_wait(weir_ctx *ctx, weir__chan *c, weir__op *op, weir_ns deadline);
/* 0, EPIPE, or EAGAIN if the channel was not ready at one moment; waits for a peer if that is not known. */
WEIR_API WEIR_NOINLINE int weir__op_try(weir__chan *c, weir__op *op);

/* What the fast paths fall back to: waiting, and not. */
WEIR_API WEIR_NOINLINE int weir__send_slow(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline);
WEIR_API WEIR_NOINLINE int weir__recv_slow(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline);
WEIR_API WEIR_NOINLINE int weir__try_send_slow(weir__chan *c, const void *src);
WEIR_API WEIR_NOINLINE int weir__try_recv_slow(weir__chan *c, void *dst);

/* What a thread that was claimed by the queue of op owes when it leaves: see above. */
WEIR_API void weir__op_pass_on(weir__chan *c, const weir__op *op);

#endif /* WEIR_CHAN_WAIT_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_WAIT_IMPLEMENTED)
#define WEIR_CHAN_WAIT_IMPLEMENTED

WEIR_API void weir__op_pass_on(weir__chan *c, const weir__op *op)
{
    weir__waitq *q = weir__op_queue(c, op);
    int why;
    if (weir__waitq_sleepers(q) == 0)
        return;
    why = weir__op_why(c, op);
    if (why == 0 || why == EPIPE)
        weir__waitq_wake(q, 1);
}

/* Sleeps once. Returns whether a wake-up is owed from now on; `owes`: whether it was before. */
static bool weir__op_park(weir__chan *c, const weir__op *op, weir__wait *w, bool owes)
{
    weir__waitq *q = weir__op_queue(c, op);
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__waiter node;
    int why;
    weir__waiter_init(&node, &parker, WEIR__TICKET_QUEUE);
    weir__waitq_join(q, &node);
    WEIR_FENCE_HEAVY(); /* (A) pairs with (B) in weir__chan_sent and weir__chan_received */
    why = weir__op_why(c, op);
    if (why == EAGAIN || why == WEIR__BUSY) {
        owes = false; /* not ready: whoever makes it ready sees us */
        WEIR_HOOK("parking");
        (void)weir__wait_parked(w, &parker, WEIR_WAIT_PARK,
                                c->flavor == WEIR__TIMER ? weir__timer_due(c) : WEIR_FOREVER);
    }
    weir__waitq_leave(q, &node);
    w->backoff.turn = 0;
    return owes || weir__load_rlx(&parker.state) == WEIR__TICKET_QUEUE; /* relaxed: nobody knows of it any more */
}

/* A few turns of a spin that only try. True: done, with *rc.
 *
 * Asking why a try failed means reading the other end's position, whose cache line that end is about to write: asked in every turn it
 * halved the throughput of one producer and one consumer.
 *
 * A ring that is ready again after the first pause is not a ring that is waited for: the peer runs at full speed, and we have caught
 * up with it. Taking its values one by one as they appear makes both wait for the same cache line each time: 37 million values a second
 * where 150 would do. So then we let it get WEIR_BURST_TURNS ahead first. A peer that answers, as in a round trip, needs
 * longer than the first pause, and is not delayed. Not under WEIR_WAIT_SPIN, whose user wants each value at once. */
static bool weir__op_spin(weir__chan *c, weir__op *op, weir__backoff *b, int *rc)
{
    enum { TURNS = 16 };
    if (c->flavor != WEIR__BUFFER || weir__load_rlx(&c->ring.state) == WEIR__RING_OPEN_SYMMETRIC)
        return false; /* the second shows new values only to those who ask why (ring/base.h) */
    for (int i = 0; i < TURNS && weir__backoff_spinning(b); i++) {
        const bool first = b->turn == 0 && b->strategy != WEIR_WAIT_SPIN;
        (void)weir__backoff_turn(b);
        if (first && weir__ring_ready(&c->ring, c->kind, c->size, weir__op_sends(op)))
            weir__backoff_burst();
        if (weir__op_buffer(c, op, rc))
            return true;
    }
    return false;
}

WEIR_API WEIR_NOINLINE int weir__op_wait(weir_ctx *ctx, weir__chan *c, weir__op *op, weir_ns deadline)
{
    weir__wait w;
    bool owes = false;
    int rc;
    weir__wait_init(&w, ctx, deadline, c != NULL ? c->wait : WEIR_WAIT_PARK);
    if (c == NULL)
        return weir__wait_end(&w);
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    weir__wait_label(&w, weir__op_sends(op) ? "send" : "recv", c->name);
    for (;;) {
        if (weir__op_spin(c, op, &w.backoff, &rc))
            break;
        rc = weir__op_once(c, op);
        if (rc != EAGAIN && rc != WEIR__BUSY)
            break;
        rc = weir__wait_over(&w);
        if (rc != 0)
            break;
        if (!weir__backoff_turn(&w.backoff))
            owes = weir__op_park(c, op, &w, owes);
    }
    if (owes)
        weir__op_pass_on(c, op);
    return rc;
}

WEIR_API WEIR_NOINLINE int weir__op_try(weir__chan *c, weir__op *op)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    int rc;
    if (c == NULL)
        return EAGAIN;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    while ((rc = weir__op_once(c, op)) == WEIR__BUSY)
        weir__backoff_peer(&b);
    return rc;
}

WEIR_API WEIR_NOINLINE int weir__send_slow(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline)
{
    weir__op op = {WEIR__OP_SEND, src, NULL, {NULL, 0}};
    if (c != NULL && c->flavor == WEIR__RENDEZVOUS)
        return weir__meet_send(ctx, c, src, deadline);
    return weir__op_wait(ctx, c, &op, deadline);
}

WEIR_API WEIR_NOINLINE int weir__recv_slow(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline)
{
    weir__op op = {WEIR__OP_RECV, NULL, dst, {NULL, 0}};
    if (c != NULL && c->flavor == WEIR__RENDEZVOUS)
        return weir__meet_recv(ctx, c, dst, deadline);
    return weir__op_wait(ctx, c, &op, deadline);
}

WEIR_API WEIR_NOINLINE int weir__try_send_slow(weir__chan *c, const void *src)
{
    weir__op op = {WEIR__OP_SEND, src, NULL, {NULL, 0}};
    return weir__op_try(c, &op);
}

WEIR_API WEIR_NOINLINE int weir__try_recv_slow(weir__chan *c, void *dst)
{
    weir__op op = {WEIR__OP_RECV, NULL, dst, {NULL, 0}};
    return weir__op_try(c, &op);
}

#endif /* WEIR_CHAN_WAIT_IMPLEMENTED */
