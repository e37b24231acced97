/* weir/sync/line.h: who waits for a once, a waitgroup, a semaphore, a group: a FIFO under a lock.
 *
 * A channel's queue (park/waitq.h) only hints: the woken thread looks again. Here the waker decides, under the lock, and what it has decided
 * stands: the woken thread has been given what it asked for. So the order of arrival is the order of service, and nobody who comes later can
 * be faster.
 *
 * Who owns the memory
 *   A node lies on the waiting thread's stack. It leaves the line under the lock: taken out by a waker, or by its owner that gives up. In both
 *   cases the owner takes the lock once more before it returns, so whoever woke it has released the lock by then. So what the line is a part of
 *   may be freed by the thread that has just been woken: the last touch of the waker's is behind it. (The futex wakes
 *   that follow use addresses alone: core/futex.h.)
 *
 * All zeros is an empty line, free.
 */
#ifndef WEIR_SYNC_LINE_H
#define WEIR_SYNC_LINE_H

#include "../ctx/wait.h"

typedef struct weir__line {
    weir__lock lock;
    weir__waiter_list list;
} weir__line;

/* Futexes to wake once the lock is free: a woken thread needs it. When it is full it is emptied under the lock, which costs time and
 * nothing else. */
typedef struct weir__line_wakes {
    weir__atomic_u32 *futex[16];
    unsigned count;
} weir__line_wakes;

/* Called locked, returns locked; in between waits, at the end of the line, until a waker claims `node`, whose status it has set (0 unless it
 * says otherwise). Returns that; or ECANCELED, ETIMEDOUT: nobody has claimed it, and it has left the line. */
WEIR_API int weir__line_wait(weir__line *l, weir__waiter *node, weir__wait *w);

/* Takes the first of the line out and claims it. False: it had given up. Locked; the line is not empty. */
WEIR_API bool weir__line_call(weir__line *l, int status, weir__line_wakes *wakes);
/* Takes `node` out, wherever it stands, and claims it with a status. Locked. False: it had given up. */
WEIR_API bool weir__line_pick(weir__line *l, weir__waiter *node, int status, weir__line_wakes *wakes);

/* Releases the lock and wakes. */
WEIR_API void weir__line_release(weir__line *l, weir__line_wakes *wakes);

#endif /* WEIR_SYNC_LINE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_SYNC_LINE_IMPLEMENTED)
#define WEIR_SYNC_LINE_IMPLEMENTED

WEIR_API int weir__line_wait(weir__line *l, weir__waiter *node, weir__wait *w)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    uint32_t ticket;
    int status;
    weir__waiter_init(node, &parker, WEIR__TICKET_QUEUE);
    weir__waiter_link(&l->list, node);
    weir__lock_release(&l->lock);
    ticket = weir__wait_parked(w, &parker, w->backoff.strategy, WEIR_FOREVER);
    /* A deadline that has passed ends the context, whose hooks may want this lock. */
    status = ticket == WEIR__TICKET_QUEUE ? 0 : weir__wait_ended(w);
    weir__lock_take(&l->lock);
    if (ticket == WEIR__TICKET_QUEUE)
        return node->status;
    if (node->linked)
        weir__waiter_unlink(&l->list, node);
    return status;
}

WEIR_API bool weir__line_pick(weir__line *l, weir__waiter *node, int status, weir__line_wakes *wakes)
{
    weir__atomic_u32 *wake;
    weir__waiter_unlink(&l->list, node);
    node->status = status; /* before the claim, which publishes it */
    if (!weir__parker_claim(node->parker, node->ticket, &wake))
        return false;
    if (wake == NULL)
        return true;
    if (wakes->count == sizeof wakes->futex / sizeof wakes->futex[0]) {
        while (wakes->count > 0)
            WEIR_FUTEX_WAKE(wakes->futex[--wakes->count], 1);
    }
    wakes->futex[wakes->count++] = wake;
    return true;
}

WEIR_API bool weir__line_call(weir__line *l, int status, weir__line_wakes *wakes)
{
    return weir__line_pick(l, l->list.first, status, wakes);
}

WEIR_API void weir__line_release(weir__line *l, weir__line_wakes *wakes)
{
    weir__lock_release(&l->lock);
    while (wakes->count > 0)
        WEIR_FUTEX_WAKE(wakes->futex[--wakes->count], 1);
}

#endif /* WEIR_SYNC_LINE_IMPLEMENTED */
