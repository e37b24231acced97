/* weir/park/parker.h: how one thread sleeps, and how it is claimed exactly once.
 *
 * Overview
 *   A parker is one word on the sleeping thread's stack, and is the futex that it sleeps on. It starts as WAITING. Whoever wants to
 *   wake the thread first claims it, by changing WAITING into the ticket of the queue in which it found the thread; there is one
 *   winner, and the sleeper reads from the ticket who that was. A thread that stops waiting by itself (deadline) claims itself.
 *
 *       WAITING ──claim(ticket)──► ticket       by a waker, which then wakes the futex
 *          └─────cancel()────────► CANCELLED    by the sleeper; fails if a waker came first
 *
 * Who owns the memory
 *   The sleeper, until it returns. A waker touches the parker only while it holds the lock of a queue in which a node of that
 *   parker is linked; unlinking takes the same lock. The futex wake comes after the lock is released, and uses the address alone
 *   (core/futex.h).
 *   Not done: a parker in thread-local storage. It would be one more thing to tear down, and a thread waits in one place at a time
 *   anyway.
 */
#ifndef WEIR_PARK_PARKER_H
#define WEIR_PARK_PARKER_H

#include "../core/atomic.h"
#include "../core/futex.h"

#define WEIR__PARKER_WAITING 0U
#define WEIR__PARKER_CANCELLED UINT32_MAX

typedef struct weir__parker {
    weir__atomic_u32 state; /* WAITING, CANCELLED, or the ticket of the queue that claimed it */
} weir__parker;

/* True for the one caller that wins. Release: what the waker did before is visible to the sleeper that reads the ticket. */
static inline bool weir__parker_claim(weir__parker *p, uint32_t ticket)
{
    uint32_t seen = WEIR__PARKER_WAITING;
    return weir__cas_ar(&p->state, &seen, ticket);
}

/* The sleeper gives up. False: a waker was faster, and p->state holds its ticket. */
static inline bool weir__parker_cancel(weir__parker *p)
{
    return weir__parker_claim(p, WEIR__PARKER_CANCELLED);
}

/* Sleeps until claimed, or until the deadline. Returns the ticket, or WEIR__PARKER_CANCELLED once the deadline has passed. */
WEIR_API uint32_t weir__parker_sleep(weir__parker *p, weir_ns deadline);

#endif /* WEIR_PARK_PARKER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_PARKER_IMPLEMENTED)
#define WEIR_PARK_PARKER_IMPLEMENTED

WEIR_API uint32_t weir__parker_sleep(weir__parker *p, weir_ns deadline)
{
    uint32_t state;
    while ((state = weir__load_acq(&p->state)) == WEIR__PARKER_WAITING) {
        if (WEIR_FUTEX_WAIT(&p->state, WEIR__PARKER_WAITING, deadline) == ETIMEDOUT && weir__parker_cancel(p))
            return WEIR__PARKER_CANCELLED;
    }
    return state;
}

#endif /* WEIR_PARK_PARKER_IMPLEMENTED */
