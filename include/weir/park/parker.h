/* weir/park/parker.h: how one thread waits to be woken, and how it is claimed exactly once.
 *
 * Overview
 *   A parker is one word on the waiting thread's stack, and is the futex that it sleeps on. Whoever wants to wake the thread first
 *   claims it, by changing the word into the ticket of the queue in which it found the thread; there is one winner, and the
 *   waiting thread reads from the ticket who that was. A thread that stops waiting by itself (deadline) claims itself.
 *
 *       WAITING ──► SLEEPING            the owner, before it sleeps: only then does a waker owe a system call
 *          │            │
 *          ├────────────┼─► ticket                  claimed: a hint to try again
 *          ├────────────┼─► ticket|HELD ─► ticket   claimed by a peer that moves a value first, then lets go
 *          └────────────┴─► CANCELLED               by the owner; fails if a waker came first
 *
 * Who owns the memory
 *   The owner, until it returns. A waker touches the parker only while it holds the lock of a queue in which a node of that
 *   parker is linked, or while the parker is HELD by it; unlinking takes the same lock, and the owner waits while it is HELD. The
 *   futex wake comes after the lock is released, and uses the address alone (core/futex.h).
 *   Not done: a parker in thread-local storage. It would be one more thing to tear down, and a thread waits in one place at a time
 *   anyway.
 */
#ifndef WEIR_PARK_PARKER_H
#define WEIR_PARK_PARKER_H

#include "../core/atomic.h"
#include "../core/futex.h"
#include "backoff.h"
#include "roll.h"

#define WEIR__PARKER_WAITING 0U
#define WEIR__PARKER_SLEEPING 1U
#define WEIR__PARKER_FIRST_TICKET 2U
#define WEIR__PARKER_HELD (1U << 31)
#define WEIR__PARKER_CANCELLED (WEIR__PARKER_HELD - 1)

typedef struct weir__parker {
    weir__atomic_u32 state;
} weir__parker;

/* True for the one caller that wins; *wake is then the futex to wake, or NULL if the owner is awake. Release: what the waker
 * did before is visible to the owner that reads the ticket. No acquire: what the owner tells its wakers, it tells under a queue's lock.
 * SLEEPING is never left but by a claim, so two attempts decide. */
static inline bool weir__parker_claim(weir__parker *p, uint32_t ticket, weir__atomic_u32 **wake)
{
    uint32_t seen = WEIR__PARKER_WAITING;
    *wake = NULL;
    if (weir__cas_rel(&p->state, &seen, ticket))
        return true;
    if (seen != WEIR__PARKER_SLEEPING || !weir__cas_rel(&p->state, &seen, ticket))
        return false;
    *wake = &p->state;
    return true;
}

/* Ends what a claim with WEIR__PARKER_HELD began: the last touch. */
static inline void weir__parker_let_go(weir__parker *p, uint32_t ticket)
{
    weir__store_rel(&p->state, ticket);
}

/* The owner gives up. False: a waker was faster. */
static inline bool weir__parker_cancel(weir__parker *p)
{
    weir__atomic_u32 *own;
    return weir__parker_claim(p, WEIR__PARKER_CANCELLED, &own);
}

/* Waits, with the given strategy, until claimed or until the deadline; label: what this is called on the roll of threads (NULL: the thread is
 * not on it).
 * Returns the ticket, or WEIR__PARKER_CANCELLED once the deadline has passed. */
WEIR_API uint32_t weir__parker_wait(weir__parker *p, int strategy, weir_ns deadline, const weir__roll_label *label);

#endif /* WEIR_PARK_PARKER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_PARKER_IMPLEMENTED)
#define WEIR_PARK_PARKER_IMPLEMENTED

/* Sleeps once, if nobody has claimed us before it could be announced. True: the deadline has passed. */
static bool weir__parker_sleep(weir__parker *p, weir_ns deadline, const weir__roll_label *label)
{
    uint32_t seen = WEIR__PARKER_WAITING;
    bool late;
    if (!weir__cas_rlx(&p->state, &seen, WEIR__PARKER_SLEEPING) && seen != WEIR__PARKER_SLEEPING)
        return false;
    weir__roll_sleeps(label);
    late = WEIR_FUTEX_WAIT(&p->state, WEIR__PARKER_SLEEPING, deadline) == ETIMEDOUT;
    weir__roll_wakes();
    return late;
}

WEIR_API uint32_t weir__parker_wait(weir__parker *p, int strategy, weir_ns deadline, const weir__roll_label *label)
{
    weir__backoff turns = {strategy, 0}, peer = {WEIR_WAIT_YIELD, 0};
    for (;;) {
        const uint32_t state = weir__load_acq(&p->state);
        bool late = false;
        if ((state & WEIR__PARKER_HELD) != 0) {
            weir__backoff_peer(&peer);
            continue;
        }
        if (state >= WEIR__PARKER_FIRST_TICKET)
            return state;
        if (!weir__backoff_turn(&turns))
            late = weir__parker_sleep(p, deadline, label);
        else if (deadline != WEIR_FOREVER && turns.turn % 16 == 0)
            late = weir_now() >= deadline;
        if (late && weir__parker_cancel(p))
            return WEIR__PARKER_CANCELLED;
    }
}

#endif /* WEIR_PARK_PARKER_IMPLEMENTED */
