/* weir/core/futex.h: sleep until a word changes.
 *
 * WEIR_FUTEX_WAIT(word, value, deadline) sleeps while *word == value, until a wake, the deadline (a point on the monotonic clock),
 * a signal, or for no reason at all; it returns ETIMEDOUT or 0, and the caller looks at the word again. Source: futex(2),
 * FUTEX_WAIT_BITSET, which is the variant that takes an absolute time.
 *
 * WEIR_FUTEX_WAKE(word, count) wakes up to count sleepers. It uses the word's address alone, never its memory: a waker may call it
 * after the sleeper has gone and its stack frame with it. The worst outcome is a spurious wake-up of some other futex that came to
 * stand at the same address, and everybody here looks at his word again after waking.
 */
#ifndef WEIR_CORE_FUTEX_H
#define WEIR_CORE_FUTEX_H

#include "atomic.h"
#include "error.h"
#include "system.h"
#include "time.h"

WEIR_API int weir__futex_wait(weir__atomic_u32 *word, uint32_t value, weir_ns deadline);
WEIR_API void weir__futex_wake(weir__atomic_u32 *word, int count);

#ifndef WEIR_FUTEX_WAIT
#define WEIR_FUTEX_WAIT(word, value, deadline) weir__futex_wait((word), (value), (deadline))
#define WEIR_FUTEX_WAKE(word, count) weir__futex_wake((word), (count))
#endif

#define WEIR__WAKE_ALL INT32_MAX

#endif /* WEIR_CORE_FUTEX_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_FUTEX_IMPLEMENTED)
#define WEIR_CORE_FUTEX_IMPLEMENTED
#if defined(__linux__)

#include <time.h>

WEIR_API int weir__futex_wait(weir__atomic_u32 *word, uint32_t value, weir_ns deadline)
{
    struct timespec t, *until = NULL;
    if (deadline != WEIR_FOREVER) {
        const weir_ns d = deadline > 0 ? deadline : 0;
        t.tv_sec = (time_t)(d / WEIR_SEC(1));
        t.tv_nsec = (long)(d % WEIR_SEC(1));
        until = &t;
    }
    /* 9 FUTEX_WAIT_BITSET | 128 FUTEX_PRIVATE_FLAG; the last argument matches every wake. */
    return weir__system_call(SYS_futex, (long)word, 9 | 128, (long)value, (long)until, 0, 0xffffffff) == -ETIMEDOUT
               ? ETIMEDOUT
               : 0;
}

WEIR_API void weir__futex_wake(weir__atomic_u32 *word, int count)
{
    (void)weir__system_call(SYS_futex, (long)word, 1 | 128 /* FUTEX_WAKE, private */, count, 0, 0, 0);
}

#endif
#endif /* WEIR_CORE_FUTEX_IMPLEMENTED */
