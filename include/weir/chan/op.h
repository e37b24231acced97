/* weir/chan/op.h: one operation on a channel of any flavor, for the paths that are not inline.
 *
 *   flavor       ready to receive            ready to send        moved by
 *   BUFFER       the ring holds a value      the ring has room    ring/ring.h
 *   RENDEZVOUS   a sender waits              a receiver waits     chan/rendezvous.h
 *   TIMER        its time has come           never (EINVAL)       chan/timer.h
 *
 * The inline paths know buffers only: the ring of the other two is one of capacity 0, which is never ready, so they end up here.
 */
#ifndef WEIR_CHAN_OP_H
#define WEIR_CHAN_OP_H

#include "rendezvous.h"
#include "promise.h"
#include "timer.h"

enum { WEIR__OP_SEND, WEIR__OP_RESERVE, WEIR__OP_RECV, WEIR__OP_PEEK };

typedef struct weir__op {
    int what;
    const void *src;   /* SEND */
    void *dst;         /* RECV; may be NULL */
    weir__claim claim; /* RESERVE, PEEK: the result */
} weir__op;

#define weir__op_once WEIR__RINGED(weir__op_once)
#define weir__op_why WEIR__RINGED(weir__op_why)

static inline bool weir__op_sends(const weir__op *op)
{
    return op->what == WEIR__OP_SEND || op->what == WEIR__OP_RESERVE;
}

static inline weir__waitq *weir__op_queue(weir__chan *c, const weir__op *op)
{
    return weir__op_sends(op) ? &c->senders : &c->receivers;
}

/* One attempt: 0, EPIPE, EAGAIN or WEIR__BUSY; EINVAL, ENOTSUP. c is not NULL. */
WEIR_API WEIR_NOINLINE int weir__op_once(weir__chan *c, weir__op *op);

/* Why a buffer or a timer is not ready for op: EAGAIN, WEIR__BUSY, EPIPE; 0 if it is now. By a thread of op's side. */
WEIR_API int weir__op_why(weir__chan *c, const weir__op *op);

#endif /* WEIR_CHAN_OP_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_OP_IMPLEMENTED)
#define WEIR_CHAN_OP_IMPLEMENTED

WEIR_API int weir__op_why(weir__chan *c, const weir__op *op)
{
    if (c->flavor == WEIR__TIMER) /* relaxed: a take looks for itself */
        return weir__load_rlx(&c->closed) != 0 ? EPIPE : weir_now() < weir__timer_due(c) ? EAGAIN : 0;
    if (c->flavor == WEIR__PROMISE)
        return weir__promise_done(c) ? 0 : EAGAIN;
    return weir__op_sends(op) ? weir__ring_why_full(&c->ring, c->kind, c->size)
                              : weir__ring_why_empty(&c->ring, c->kind, c->size);
}

WEIR_INLINE bool weir__op_move(weir__chan *c, weir__op *op, size_t size, int *rc)
{
    *rc = 0;
    switch (op->what) {
    case WEIR__OP_SEND: return weir__chan_push(c, c->kind, op->src, size, rc);
    case WEIR__OP_RECV: return weir__chan_pop(c, c->kind, op->dst, size, rc);
    case WEIR__OP_RESERVE: return weir__ring_reserve(&c->ring, c->kind, size, &op->claim);
    default: return weir__ring_claim_pop(&c->ring, c->kind, size, &op->claim);
    }
}

/* One try on a buffer. True: done, with *rc. Values of one word are the common case, and copied without a call. */
static bool weir__op_buffer(weir__chan *c, weir__op *op, int *rc)
{
    return c->size == sizeof(uint64_t) ? weir__op_move(c, op, sizeof(uint64_t), rc) : weir__op_move(c, op, c->size, rc);
}

WEIR_API WEIR_NOINLINE int weir__op_once(weir__chan *c, weir__op *op)
{
    int rc;
    if (c->flavor != WEIR__BUFFER) {
        if (op->what == WEIR__OP_RESERVE || op->what == WEIR__OP_PEEK)
            return ENOTSUP; /* there is no place to build in */
        if (c->flavor == WEIR__RENDEZVOUS)
            return weir__meet_try(c, weir__op_sends(op), op->src, op->dst);
        if (weir__op_sends(op))
            return EINVAL;
        return c->flavor == WEIR__PROMISE ? weir__promise_take(c, op->dst) : weir__timer_take(c, (weir_ns *)op->dst);
    }
    for (;;) {
        if (weir__op_buffer(c, op, &rc))
            return rc;
        rc = weir__op_why(c, op);
        if (rc != 0)
            return rc;
    }
}

#endif /* WEIR_CHAN_OP_IMPLEMENTED */
