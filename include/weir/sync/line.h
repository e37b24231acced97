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

/* Called locked, returns locked; in between waits, at the end of the list, until a waker claims `node`, whose status it has set (0 unless it
 * says otherwise). Returns that; or ECANCELED, ETIMEDOUT: nobody has claimed it, and it has left the list. */
WEIR_API int weir__list_wait(weir__lock *lock, weir__waiter_list *list, weir__waiter *node, weir__wait *w);

/* Takes `node` out, wherever it stands, and claims it with a status. Locked. False: it had given up. */
WEIR_API bool weir__list_pick(weir__waiter_list *list, weir__waiter *node, int status, weir__line_wakes *wakes);
/* Takes out and claims the first that has not given up. Locked. False: there is none, and the list is empty. */
WEIR_API bool weir__list_call(weir__waiter_list *list, int status, weir__line_wakes *wakes);
/* Calls all. Locked. */
WEIR_API void weir__list_call_all(weir__waiter_list *list, int status, weir__line_wakes *wakes);

/* Releases the lock, then wakes. */
WEIR_API void weir__line_release(weir__lock *lock, weir__line_wakes *wakes);

#define weir__line_wait(l, node, w) weir__list_wait(&(l)->lock, &(l)->list, (node), (w))

#endif /* WEIR_SYNC_LINE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_SYNC_LINE_IMPLEMENTED)
#define WEIR_SYNC_LINE_IMPLEMENTED

WEIR_API int weir__list_wait(weir__lock *lock, weir__waiter_list *list, weir__waiter *node, weir__wait *w)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    uint32_t ticket;
    int status;
    weir__waiter_init(node, &parker, WEIR__TICKET_QUEUE);
    weir__waiter_link(list, node);
    weir__lock_release(lock);
    ticket = weir__wait_parked(w, &parker, w->backoff.strategy, WEIR_FOREVER);
    /* A deadline that has passed ends the context, whose hooks may want this lock. */
    status = ticket == WEIR__TICKET_QUEUE ? 0 : weir__wait_ended(w);
    weir__lock_take(lock);
    if (ticket == WEIR__TICKET_QUEUE)
        return node->status;
    if (node->linked)
        weir__waiter_unlink(list, node);
    return status;
}

static void weir__line_wake(weir__line_wakes *wakes)
{
    while (wakes->count > 0)
        WEIR_FUTEX_WAKE(wakes->futex[--wakes->count], 1);
}

WEIR_API bool weir__list_pick(weir__waiter_list *list, weir__waiter *node, int status, weir__line_wakes *wakes)
{
    weir__atomic_u32 *wake;
    weir__waiter_unlink(list, node);
    node->status = status; /* before the claim, which publishes it */
    if (!weir__parker_claim(node->parker, node->ticket, &wake))
        return false;
    if (wake == NULL)
        return true;
    if (wakes->count == sizeof wakes->futex / sizeof wakes->futex[0])
        weir__line_wake(wakes);
    wakes->futex[wakes->count++] = wake;
    return true;
}

WEIR_API bool weir__list_call(weir__waiter_list *list, int status, weir__line_wakes *wakes)
{
    while (list->first != NULL)
        if (weir__list_pick(list, list->first, status, wakes))
            return true;
    return false;
}

WEIR_API void weir__list_call_all(weir__waiter_list *list, int status, weir__line_wakes *wakes)
{
    while (weir__list_call(list, status, wakes)) {}
}

WEIR_API void weir__line_release(weir__lock *lock, weir__line_wakes *wakes)
{
    weir__lock_release(lock);
    weir__line_wake(wakes);
}

#endif /* WEIR_SYNC_LINE_IMPLEMENTED */
