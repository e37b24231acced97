/* weir/core/time.h: time is a number of nanoseconds.
 *
 * weir_ns is both a duration and a point on the monotonic clock, which starts at boot and never steps; setting the wall clock
 * changes nothing here. A deadline is a point; WEIR_FOREVER is the point that never comes.
 */
#ifndef WEIR_CORE_TIME_H
#define WEIR_CORE_TIME_H

#include "config.h"
#include "system.h"

typedef int64_t weir_ns;

#define WEIR_NS(n) ((weir_ns)(n))
#define WEIR_US(n) ((weir_ns)(n)*1000)
#define WEIR_MS(n) ((weir_ns)(n)*1000000)
#define WEIR_SEC(n) ((weir_ns)(n)*1000000000)
#define WEIR_FOREVER INT64_MAX

/* Now, on the monotonic clock. Any thread; wait-free; about 20 ns, no system call. Source: clock_gettime(2), CLOCK_MONOTONIC. */
WEIR_API weir_ns weir_now(void);

/* Processor time that the threads of this process have used, together. A system call. */
WEIR_API weir_ns weir__time_used(void);

/* The point `duration` after `start` (before it, for a negative one); a sum that does not fit stops at the end of the range, and
 * WEIR_FOREVER is that end. Any thread. */
static inline weir_ns weir_time_add(weir_ns start, weir_ns duration)
{
    if (duration > 0 && start > WEIR_FOREVER - duration)
        return WEIR_FOREVER;
    if (duration < 0 && start < INT64_MIN - duration)
        return INT64_MIN;
    return start + duration;
}

#endif /* WEIR_CORE_TIME_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_TIME_IMPLEMENTED)
#define WEIR_CORE_TIME_IMPLEMENTED

#include <time.h>

static weir_ns weir__time_on(int clock)
{
    struct timespec t;
    weir__libc_clock_gettime(clock, &t);
    return WEIR_SEC(t.tv_sec) + t.tv_nsec;
}

WEIR_API weir_ns weir__time_used(void)
{
    return weir__time_on(2 /* CLOCK_PROCESS_CPUTIME_ID */);
}

WEIR_API weir_ns weir_now(void)
{
#ifdef WEIR_CLOCK_NOW
    return WEIR_CLOCK_NOW();
#else
    return weir__time_on(1 /* CLOCK_MONOTONIC */);
#endif
}

#endif /* WEIR_CORE_TIME_IMPLEMENTED */
