/* weir/core/fence.h: a full fence that only the side that sleeps pays for.
 *
 * The problem
 *   Whoever publishes a value must then look whether somebody sleeps; whoever goes to sleep must say so and then look at the ring
 *   once more. Store, then load, on both sides: each needs a full fence between, or both may read the old state and the sleeper is
 *   never woken. That fence costs 5 ns, which is more than the rest of a single-producer send.
 *
 * The way out
 *   WEIR_FENCE_LIGHT, on the side that publishes, only keeps the compiler from moving the load up. WEIR_FENCE_HEAVY, on the side that
 *   sleeps, is membarrier(2): it has every running thread of the process execute a full fence before it returns. For each publisher
 *   that fence fell either before its store, and then its later load sees the sleeper; or after it, and then the sleeper's later
 *   look sees the store. Between the two it may fall as well: both see. "Both miss" is impossible, as with two fences.
 *   Cost of the heavy side: 0.2 to 10 µs, depending on what the other cores do. It is paid before a futex sleep, never else.
 *
 * Where membarrier is missing (an old kernel, a seccomp filter, WEIR_FENCE_SYMMETRIC)
 *   A fast path cannot ask at each call. But it does look at one word, "somebody wants attention" (park/waitq.h), and a queue made
 *   while the call is missing has the WEIR__ATTENTION_FENCE bit set in it for good. That sends every publisher through the slow
 *   side of the look, where a real fence stands; and the heavy fence is a plain one too.
 *   Not done: a global flag tested next to each light fence: one more load and branch in every send for a case that is rare.
 */
#ifndef WEIR_CORE_FENCE_H
#define WEIR_CORE_FENCE_H

#include "atomic.h"
#include "system.h"

WEIR_API void weir__fence_heavy(void);

#ifndef WEIR_FENCE_LIGHT
#define WEIR_FENCE_LIGHT() __asm__ __volatile__("" ::: "memory")
#define WEIR_FENCE_HEAVY() weir__fence_heavy()
#endif

/* Whether the asymmetric pair works in this process. The first call asks the kernel. Any thread. */
WEIR_API bool weir__fence_asymmetric(void);

#endif /* WEIR_CORE_FENCE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_FENCE_IMPLEMENTED)
#define WEIR_CORE_FENCE_IMPLEMENTED

#if defined(WEIR_FENCE_SYMMETRIC) || !defined(SYS_membarrier)

WEIR_API bool weir__fence_asymmetric(void)
{
    return false;
}

WEIR_API void weir__fence_heavy(void)
{
    WEIR_FENCE(__ATOMIC_SEQ_CST);
}

#else

/* From <linux/membarrier.h>, which is not everywhere. */
#define WEIR__MEMBARRIER_PRIVATE_EXPEDITED (1 << 3)
#define WEIR__MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1 << 4)

static bool weir__membarrier(int command)
{
    return weir__system_call(SYS_membarrier, command, 0, 0, 0, 0, 0) == 0;
}

/* 0 not asked yet, 1 works, 2 missing. Two threads may both ask: registering twice is harmless, and both get the same answer. */
static weir__atomic_u32 weir__fence_state;

WEIR_API bool weir__fence_asymmetric(void)
{
    uint32_t state = weir__load_rlx(&weir__fence_state);
    if (state == 0) {
        state = weir__membarrier(WEIR__MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) ? 1 : 2;
        weir__store_rlx(&weir__fence_state, state);
    }
    return state == 1;
}

/* Every queue is made after weir__fence_asymmetric has been asked, so the state is known here. */
WEIR_API void weir__fence_heavy(void)
{
    if (weir__load_rlx(&weir__fence_state) != 1 || !weir__membarrier(WEIR__MEMBARRIER_PRIVATE_EXPEDITED))
        WEIR_FENCE(__ATOMIC_SEQ_CST);
}

#endif
#endif /* WEIR_CORE_FENCE_IMPLEMENTED */
