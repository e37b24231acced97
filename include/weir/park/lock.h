/* weir/park/lock.h: the small lock behind queues of sleepers and trees of contexts. No fast path ever takes it.
 *
 * Three states, after Ulrich Drepper, "Futexes Are Tricky" (2011), mutex 2: 0 free, 1 held, 2 held and somebody may sleep. A holder
 * that finds 2 when it lets go wakes one. Critical sections here are some ten instructions, so a taker first spins a little.
 * Progress: waits for a peer, then parks. Not recursive.
 */
#ifndef WEIR_PARK_LOCK_H
#define WEIR_PARK_LOCK_H

#include "../core/atomic.h"
#include "../core/cpu.h"
#include "../core/futex.h"

typedef weir__atomic_u32 weir__lock;

WEIR_API void weir__lock_slow(weir__lock *l);

static inline void weir__lock_take(weir__lock *l)
{
    uint32_t free_state = 0;
    if (WEIR_UNLIKELY(!weir__cas_acq(l, &free_state, 1)))
        weir__lock_slow(l);
}

static inline void weir__lock_release(weir__lock *l)
{
    if (WEIR_UNLIKELY(weir__swap_rel(l, 0) == 2))
        WEIR_FUTEX_WAKE(l, 1);
}

#endif /* WEIR_PARK_LOCK_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_LOCK_IMPLEMENTED)
#define WEIR_PARK_LOCK_IMPLEMENTED

#ifndef WEIR_LOCK_TURNS
#define WEIR_LOCK_TURNS 40
#endif

WEIR_API void weir__lock_slow(weir__lock *l)
{
    for (int i = 0; i < WEIR_LOCK_TURNS; i++) {
        uint32_t seen = weir__load_rlx(l);
        if (seen == 0 && weir__cas_acq(l, &seen, 1))
            return;
        if (seen == 2)
            break;
        WEIR_CPU_PAUSE();
    }
    /* From here on the lock is taken as 2: whether another still sleeps is not known, and a wake too many costs less than one
     * too few. */
    while (weir__swap_acq(l, 2) != 0)
        WEIR_FUTEX_WAIT(l, 2, WEIR_FOREVER);
}

#endif /* WEIR_PARK_LOCK_IMPLEMENTED */
