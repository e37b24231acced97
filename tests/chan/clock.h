/* tests/chan/clock.h: the library's clock in a test's hands. Include it before queues.h or harness.h.
 *
 *   pass(ns)               hours pass at once. The kernel does not know of it: a test that has added something does not sleep
 *                          afterwards, and takes it back at its end
 *   back_to_real_time()
 *   clock_stands_still(true)   nothing passes but by pass, until clock_stands_still(false)
 *   after_look = fn        the next look of this thread at the clock is followed by fn()
 */
#ifndef WEIR_TEST_CHAN_CLOCK_H
#define WEIR_TEST_CHAN_CLOCK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static int64_t test_clock(void);
#define WEIR_CLOCK_NOW() test_clock()

#include <time.h>

static int64_t clock_added;
static bool clock_stopped;
static __thread void (*after_look)(void);

static int64_t test_clock(void)
{
    struct timespec t = {1000, 0};
    if (!clock_stopped)
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

static inline void clock_stands_still(bool still)
{
    back_to_real_time();
    clock_stopped = still;
}

#endif /* WEIR_TEST_CHAN_CLOCK_H */
