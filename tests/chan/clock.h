/* tests/chan/clock.h: the library's clock in a test's hands. Include it before queues.h or harness.h.
 *
 *   pass(ns)               hours pass at once. The kernel does not know of it: a test that has added something does not sleep
 *                          afterwards, and takes it back at its end
 *   back_to_real_time()
 *   after_look = fn        the next look of this thread at the clock is followed by fn()
 */
#ifndef WEIR_TEST_CHAN_CLOCK_H
#define WEIR_TEST_CHAN_CLOCK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>

static int64_t test_clock(void);
#define WEIR_CLOCK_NOW() test_clock()

#include <time.h>

static int64_t clock_added;
static __thread void (*after_look)(void);

static int64_t test_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + __atomic_load_n(&clock_added, __ATOMIC_RELAXED);
    if (after_look != NULL) {
        void (*act)(void) = after_look;
        after_look = NULL;
        act();
    }
    return now;
}

static inline void pass(int64_t ns)
{
    __atomic_add_fetch(&clock_added, ns, __ATOMIC_RELAXED);
}

static inline void back_to_real_time(void)
{
    __atomic_store_n(&clock_added, 0, __ATOMIC_RELAXED);
}

#endif /* WEIR_TEST_CHAN_CLOCK_H */
