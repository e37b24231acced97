/* weir/chan/case.h: one case of a select: what it would do, whether it can, and doing it.
 *
 *     WEIR_RECV(ch, ptr)   receive into *ptr (NULL: drop the value)
 *     WEIR_SEND(ch, ptr)   send *ptr
 *     WEIR_DONE(ctx)       ctx has ended
 *
 * Expressions of type weir_case, for an array initialiser or an assignment. The element's type is checked against the channel's. A NULL
 * channel or context is never ready.
 */
#ifndef WEIR_CHAN_CASE_H
#define WEIR_CHAN_CASE_H

#include "handle.h"
#include "wait.h"

typedef struct weir_case {
    int status; /* how the case that was done ended */
    int what;
    weir__chan *chan;
    const void *src;
    void *dst;
    weir_ctx *ctx;
} weir_case;

enum { WEIR__CASE_RECV, WEIR__CASE_SEND, WEIR__CASE_DONE };

static inline weir_case weir__case(int what, weir__chan *chan, const void *src, void *dst, weir_ctx *ctx)
{
    weir_case c;
    c.status = 0;
    c.what = what;
    c.chan = chan;
    c.src = src;
    c.dst = dst;
    c.ctx = ctx;
    return c;
}

#define WEIR_RECV(ch, ptr) weir__case(WEIR__CASE_RECV, WEIR__CHAN(ch), NULL, WEIR__ELEM(ch, ptr), NULL)
#define WEIR_SEND(ch, ptr) weir__case(WEIR__CASE_SEND, WEIR__CHAN(ch), WEIR__ELEM(ch, ptr), NULL, NULL)
#define WEIR_DONE(ctx) weir__case(WEIR__CASE_DONE, NULL, NULL, NULL, (ctx))

static inline weir__op weir__case_op(const weir_case *c)
{
    weir__op op = {c->what == WEIR__CASE_SEND ? WEIR__OP_SEND : WEIR__OP_RECV, c->src, c->dst, {NULL, 0}};
    return op;
}

static inline bool weir__case_meets(const weir_case *c)
{
    return c->chan != NULL && c->chan->flavor == WEIR__RENDEZVOUS;
}

/* Whether time alone can make it ready. */
static inline bool weir__case_timed(const weir_case *c)
{
    return c->what == WEIR__CASE_DONE || (c->chan != NULL && c->chan->flavor == WEIR__TIMER);
}

/* Tries one case: true if it was done, with its status. *busy: a peer stands in the middle of it. */
WEIR_API bool weir__case_try(weir_case *c, bool *busy);
/* The word of a channel that changes whenever it becomes ready for this case, and its state with it; a timer's due changes when its value
 * is taken. */
WEIR_API uint64_t weir__case_seen(const weir_case *c);
/* Whether the time of a timer or of a context has come by `now`. Other than weir_ctx_err it runs no hooks, so it may be asked under
 * locks. */
WEIR_API bool weir__case_due(const weir_case *c, weir_ns now);

#endif /* WEIR_CHAN_CASE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_CASE_IMPLEMENTED)
#define WEIR_CHAN_CASE_IMPLEMENTED

WEIR_API bool weir__case_try(weir_case *c, bool *busy)
{
    weir__op op = weir__case_op(c);
    int rc;
    if (c->what == WEIR__CASE_DONE)
        return (c->status = weir_ctx_err(c->ctx)) != 0;
    if (c->chan == NULL)
        return false;
    rc = weir__op_once(c->chan, &op);
    if (rc == WEIR__BUSY)
        *busy = true;
    if (rc == EAGAIN || rc == WEIR__BUSY)
        return false;
    c->status = c->chan->flavor == WEIR__PROMISE ? weir__promise_code(c->chan) : rc;
    return true;
}

WEIR_API uint64_t weir__case_seen(const weir_case *c)
{
    if (c->chan != NULL && c->chan->flavor == WEIR__TIMER)
        return (uint64_t)weir__timer_due(c->chan);
    if (c->chan == NULL)
        return 0;
    if (c->chan->flavor == WEIR__PROMISE)
        return weir__promise_done(c->chan);
    if (c->chan->flavor == WEIR__RENDEZVOUS)
        return weir__load_acq(&c->chan->lane.word);
    return weir__ring_touched(&c->chan->ring, c->chan->kind, c->what == WEIR__CASE_SEND);
}

WEIR_API bool weir__case_due(const weir_case *c, weir_ns now)
{
    if (c->what == WEIR__CASE_DONE)
        return weir__ctx_ended(c->ctx) != 0 ||
               (weir_ctx_deadline(c->ctx) != WEIR_FOREVER && now >= weir_ctx_deadline(c->ctx));
    return c->chan != NULL && c->chan->flavor == WEIR__TIMER &&
           (weir__load_rlx(&c->chan->closed) != 0 ||
            now >= weir__timer_due(c->chan)); /* relaxed: the case is tried anew */
}

#endif /* WEIR_CHAN_CASE_IMPLEMENTED */
