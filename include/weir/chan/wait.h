/* weir/chan/wait.h: what an operation does when the ring is not ready.
 *
 * Overview
 *   try; take a turn of the backoff (spin, yield); try … ; park:
 *
 *       join the queue of this side
 *       (A) heavy fence                        pairs with (B) in chan/channel.h
 *       still not ready?  watch the context, sleep until a peer, the context or the deadline ends it
 *       leave the queue
 *
 *   and try again. The try comes first each time, so a value that is there is returned even when the context has ended or
 *   the deadline has passed; and a timeout is decided by a try that failed, so it never loses a value.
 *
 * A wake-up is never lost with the thread that got it
 *   A publisher wakes one sleeper per value. That sleeper may find that its value is not at the head yet, because an earlier
 *   sender still stands between claim and publish, or it may leave on a timeout at the same moment. Without a rule:
 *       sender 1 claims p, is suspended;  sender 2 publishes p+1, wakes R1;  R1 finds p not ready, sleeps again;
 *       sender 1 publishes p, wakes R1, which takes p;  p+1 stays in the ring while R2 sleeps.
 *   The rule: a thread that was claimed by its queue owes a wake-up (`owes`). When it leaves, with a value or without, it looks
 *   whether the ring is ready for one more of its side, and if so wakes the next sleeper, who then owes in turn.
 *   Why that suffices. Let the head be ready while somebody sleeps. It became ready by a publish at the head, whose publisher then
 *   woke a sleeper; or because a thread took the value before it. In the second case consider that value in turn, down to the
 *   one whose publisher woke a sleeper: that sleeper has not left yet, or it left after the head was ready and passed the wake on, or
 *   it went to sleep again, after (A) and a look that found the head not ready; whoever made it ready then looked after (B).
 */
#ifndef WEIR_CHAN_WAIT_H
#define WEIR_CHAN_WAIT_H

#include "../ctx/ctx.h"
#include "channel.h"

enum { WEIR__OP_SEND, WEIR__OP_RESERVE, WEIR__OP_RECV, WEIR__OP_PEEK };

/* One operation on a channel, for the paths that are not inline. */
typedef struct weir__op {
    int what;
    const void *src; /* SEND */
    void *dst;       /* RECV; may be NULL */
    weir__claim claim; /* RESERVE, PEEK: the result */
} weir__op;

#define weir__op_wait WEIR__RINGED(weir__op_wait)
#define weir__op_try WEIR__RINGED(weir__op_try)
#define weir__send_slow WEIR__RINGED(weir__send_slow)
#define weir__recv_slow WEIR__RINGED(weir__recv_slow)
#define weir__try_send_slow WEIR__RINGED(weir__try_send_slow)
#define weir__try_recv_slow WEIR__RINGED(weir__try_recv_slow)

/* Waits as long as ctx and deadline allow. 0, EPIPE, ETIMEDOUT, ECANCELED. c may be NULL: a channel that is never ready. */
WEIR_API WEIR_COLD int weir__op_wait(weir_ctx *ctx, weir__chan *c, weir__op *op, weir_ns deadline);
/* 0, EPIPE, or EAGAIN if the ring was full (empty) at one moment; waits for a peer if that is not known. */
WEIR_API WEIR_COLD int weir__op_try(weir__chan *c, weir__op *op);

/* What the fast paths fall back to: waiting, and not. */
WEIR_API WEIR_COLD int weir__send_slow(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline);
WEIR_API WEIR_COLD int weir__recv_slow(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline);
WEIR_API WEIR_COLD int weir__try_send_slow(weir__chan *c, const void *src);
WEIR_API WEIR_COLD int weir__try_recv_slow(weir__chan *c, void *dst);

#endif /* WEIR_CHAN_WAIT_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_WAIT_IMPLEMENTED)
#define WEIR_CHAN_WAIT_IMPLEMENTED

enum { WEIR__TICKET_QUEUE = 1, WEIR__TICKET_CTX = 2 };

typedef struct weir__wait {
    weir_ctx *ctx;
    weir_ns deadline; /* the nearer of the call's and the context's */
    weir__backoff backoff;
    bool owes; /* a wake-up of this side's queue was spent on us */
} weir__wait;

static bool weir__op_sends(const weir__op *op)
{
    return op->what == WEIR__OP_SEND || op->what == WEIR__OP_RESERVE;
}

/* Why the ring is not ready for op: EAGAIN, WEIR__BUSY, EPIPE; 0 if it is now. */
static int weir__op_why(weir__chan *c, const weir__op *op)
{
    return weir__op_sends(op) ? weir__ring_why_full(&c->ring, c->kind, c->size) : weir__ring_why_empty(&c->ring, c->kind, c->size);
}

/* One attempt: 0, EPIPE, EAGAIN or WEIR__BUSY. */
static int weir__op_once(weir__chan *c, weir__op *op)
{
    int rc = 0;
    for (;;) {
        switch (op->what) {
        case WEIR__OP_SEND:
            if (weir__chan_push(c, c->kind, op->src, c->size, &rc))
                return rc;
            break;
        case WEIR__OP_RECV:
            if (weir__chan_pop(c, c->kind, op->dst, c->size, &rc))
                return rc;
            break;
        case WEIR__OP_RESERVE:
            if (weir__ring_claim_push(&c->ring, c->kind, c->size, &op->claim))
                return 0;
            break;
        default:
            if (weir__ring_claim_pop(&c->ring, c->kind, c->size, &op->claim))
                return 0;
            break;
        }
        rc = weir__op_why(c, op);
        if (rc != 0)
            return rc;
    }
}

/* 0, or why the wait is over. The clock is not read in every turn of a spin. */
static int weir__wait_over(const weir__wait *w)
{
    const int err = weir__ctx_ended(w->ctx);
    if (err != 0)
        return err;
    if (w->deadline == WEIR_FOREVER || (weir__backoff_spinning(&w->backoff) && w->backoff.turn % 16 != 0))
        return 0;
    if (weir_now() < w->deadline)
        return 0;
    (void)weir_ctx_err(w->ctx); /* if it is the context's own deadline, the context has to know */
    return ETIMEDOUT;
}

/* Sleeps until claimed by a queue, by the context's end, or until the deadline; returns the ticket. */
static uint32_t weir__wait_sleep(const weir__wait *w, weir__parker *parker)
{
    weir__waiter watch = {NULL, NULL, parker, WEIR__TICKET_CTX, false};
    uint32_t ticket;
    if (w->ctx == NULL)
        return weir__parker_sleep(parker, w->deadline);
    if (weir__ctx_watch(w->ctx, &watch) != 0)
        return WEIR__TICKET_CTX;
    ticket = weir__parker_sleep(parker, w->deadline);
    weir__ctx_unwatch(w->ctx, &watch);
    return ticket;
}

static void weir__op_park(weir__chan *c, const weir__op *op, weir__wait *w)
{
    weir__waitq *q = weir__op_sends(op) ? &c->senders : &c->receivers;
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__waiter node = {NULL, NULL, &parker, WEIR__TICKET_QUEUE, false};
    int why;
    weir__waitq_join(q, &node);
    WEIR_FENCE_HEAVY(); /* (A) pairs with (B) in weir__chan_sent and weir__chan_received */
    why = weir__op_why(c, op);
    if (why == EAGAIN || why == WEIR__BUSY) {
        w->owes = false; /* not ready: whoever makes it ready sees us */
        WEIR_HOOK("parking");
        (void)weir__wait_sleep(w, &parker);
    }
    weir__waitq_leave(q, &node);
    if (weir__load_acq(&parker.state) == WEIR__TICKET_QUEUE)
        w->owes = true;
    w->backoff.turn = 0;
}

static void weir__op_pass_on(weir__chan *c, const weir__op *op)
{
    weir__waitq *q = weir__op_sends(op) ? &c->senders : &c->receivers;
    if (weir__waitq_sleepers(q) != 0 && weir__op_why(c, op) == 0)
        weir__waitq_wake(q, 1);
}

/* On a channel that is never ready. */
static int weir__wait_forever(weir__wait *w)
{
    int over;
    while ((over = weir__wait_over(w)) == 0) {
        weir__parker parker = {WEIR__PARKER_WAITING};
        (void)weir__wait_sleep(w, &parker);
    }
    return over;
}

WEIR_API WEIR_COLD int weir__op_wait(weir_ctx *ctx, weir__chan *c, weir__op *op, weir_ns deadline)
{
    weir__wait w = {ctx, weir_ctx_deadline(ctx), {c != NULL ? c->wait : WEIR_WAIT_PARK, 0}, false};
    int rc;
    if (deadline < w.deadline)
        w.deadline = deadline;
    if (c == NULL)
        return weir__wait_forever(&w);
    for (;;) {
        rc = weir__op_once(c, op);
        if (rc != EAGAIN && rc != WEIR__BUSY)
            break;
        rc = weir__wait_over(&w);
        if (rc != 0)
            break;
        if (!weir__backoff_turn(&w.backoff))
            weir__op_park(c, op, &w);
    }
    if (w.owes)
        weir__op_pass_on(c, op);
    return rc;
}

WEIR_API WEIR_COLD int weir__op_try(weir__chan *c, weir__op *op)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    int rc;
    if (c == NULL)
        return EAGAIN;
    while ((rc = weir__op_once(c, op)) == WEIR__BUSY)
        weir__backoff_peer(&b);
    return rc;
}

WEIR_API WEIR_COLD int weir__send_slow(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline)
{
    weir__op op = {WEIR__OP_SEND, src, NULL, {NULL, 0}};
    return weir__op_wait(ctx, c, &op, deadline);
}

WEIR_API WEIR_COLD int weir__recv_slow(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline)
{
    weir__op op = {WEIR__OP_RECV, NULL, dst, {NULL, 0}};
    return weir__op_wait(ctx, c, &op, deadline);
}

WEIR_API WEIR_COLD int weir__try_send_slow(weir__chan *c, const void *src)
{
    weir__op op = {WEIR__OP_SEND, src, NULL, {NULL, 0}};
    return weir__op_try(c, &op);
}

WEIR_API WEIR_COLD int weir__try_recv_slow(weir__chan *c, void *dst)
{
    weir__op op = {WEIR__OP_RECV, NULL, dst, {NULL, 0}};
    return weir__op_try(c, &op);
}

#endif /* WEIR_CHAN_WAIT_IMPLEMENTED */
