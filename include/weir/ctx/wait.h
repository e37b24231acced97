/* weir/ctx/wait.h: one wait: the context and the deadline that bound it, and the phases that it goes through.
 *
 * What waits in this library does so in one of two ways:
 *   polling   look at the condition; weir__wait_over; weir__backoff_turn; … until that says: park
 *   parked    be found in a queue by a peer; weir__wait_parked, until claimed by that queue, the context's end or the deadline
 */
#ifndef WEIR_CTX_WAIT_H
#define WEIR_CTX_WAIT_H

#include "ctx.h"

typedef struct weir__wait {
    weir_ctx *ctx;
    weir_ns deadline; /* the nearer of the call's and the context's */
    weir__backoff backoff;
    weir__roll_label label; /* what it is called on the roll of threads */
} weir__wait;

enum { WEIR__TICKET_CTX = WEIR__PARKER_FIRST_TICKET, WEIR__TICKET_QUEUE };

static inline void weir__wait_init(weir__wait *w, weir_ctx *ctx, weir_ns deadline, int strategy)
{
    const weir_ns end = weir_ctx_deadline(ctx);
    w->ctx = ctx;
    w->deadline = deadline < end ? deadline : end;
    w->backoff.strategy = strategy;
    w->backoff.turn = 0;
    w->label.what = w->label.on = NULL;
}

/* Says what the wait is called. */
static inline void weir__wait_label(weir__wait *w, const char *what, const char *on)
{
    w->label.what = what;
    w->label.on = on;
}

/* 0, or why the wait is over: ECANCELED, ETIMEDOUT. While polling it does not read the clock in every turn of a spin. */
WEIR_API int weir__wait_over(const weir__wait *w);

/* The same, for a wait that its context or its deadline has just ended: never 0. */
WEIR_API int weir__wait_ended(const weir__wait *w);

/* Waits until the parker is claimed; `until`: a point earlier than the wait's deadline, or WEIR_FOREVER. Returns the ticket:
 * WEIR__TICKET_CTX, WEIR__PARKER_CANCELLED when a point in time has come, or the one of a queue that the caller joined. */
WEIR_API uint32_t weir__wait_parked(const weir__wait *w, weir__parker *parker, int strategy, weir_ns until);

/* Waits for nothing but the end of the context or the deadline, and returns which it was. */
WEIR_API int weir__wait_end(weir__wait *w);

#endif /* WEIR_CTX_WAIT_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CTX_WAIT_IMPLEMENTED)
#define WEIR_CTX_WAIT_IMPLEMENTED

WEIR_API int weir__wait_over(const weir__wait *w)
{
    const int err = weir__ctx_ended(w->ctx);
    if (err != 0)
        return err;
    if (w->deadline == WEIR_FOREVER || (weir__backoff_spinning(&w->backoff) && w->backoff.turn % 16 != 0))
        return 0;
    return weir_now() < w->deadline ? 0 : weir__wait_ended(w);
}

WEIR_API int weir__wait_ended(const weir__wait *w)
{
    const int err = weir_ctx_err(w->ctx); /* if it was the context's own deadline, the context has to know */
    return err != 0 ? err : ETIMEDOUT;
}

WEIR_API uint32_t weir__wait_parked(const weir__wait *w, weir__parker *parker, int strategy, weir_ns until)
{
    const weir_ns deadline = until < w->deadline ? until : w->deadline;
    weir__waiter watch;
    uint32_t ticket;
    if (w->ctx == NULL)
        return weir__parker_wait(parker, strategy, deadline, &w->label);
    weir__waiter_init(&watch, parker, WEIR__TICKET_CTX);
    if (weir__ctx_watch(w->ctx, &watch) != 0 && weir__parker_cancel(parker))
        return WEIR__TICKET_CTX;
    ticket = weir__parker_wait(parker, strategy, deadline, &w->label);
    weir__ctx_unwatch(w->ctx, &watch);
    return ticket;
}

WEIR_API int weir__wait_end(weir__wait *w)
{
    int over;
    w->backoff.strategy = WEIR_WAIT_PARK; /* so that weir__wait_over reads the clock */
    while ((over = weir__wait_over(w)) == 0) {
        weir__parker parker = {WEIR__PARKER_WAITING};
        (void)weir__wait_parked(w, &parker, WEIR_WAIT_PARK, WEIR_FOREVER);
    }
    return over;
}

#endif /* WEIR_CTX_WAIT_IMPLEMENTED */
