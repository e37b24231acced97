/* tests/run/naps.h: with the thread sanitizer, nobody sleeps for long. Include it first.
 *
 * It keeps a signal that comes to a sleeping thread until that thread next calls something that it watches. Here each sleep ends soon, to the
 * library for no reason, and is followed by a look at the clock, which the sanitizer watches.
 */
#ifndef WEIR_TEST_RUN_NAPS_H
#define WEIR_TEST_RUN_NAPS_H

#include "../chan/clock.h"

#if defined(__SANITIZE_THREAD__)
#define TEST_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_THREAD_SANITIZER
#endif
#endif

#ifdef TEST_THREAD_SANITIZER
static int nap(void *word, uint32_t value, int64_t deadline);
#define WEIR_FUTEX_WAIT(word, value, deadline) nap((word), (value), (deadline))
#define WEIR_FUTEX_WAKE(word, count) weir__futex_wake((word), (count))
#endif

#include "harness.h"

#ifdef TEST_THREAD_SANITIZER
static int nap(void *word, uint32_t value, int64_t deadline)
{
    const int64_t end = weir_now() + WEIR_MS(5);
    (void)weir__futex_wait((weir__atomic_u32 *)word, value, deadline < end ? deadline : end);
    return deadline <= weir_now() ? ETIMEDOUT : 0;
}
#endif

#endif /* WEIR_TEST_RUN_NAPS_H */
