/* bench/bench.h: what the benchmark's programs share: a clock, CPUs, medians.
 *
 * The programs
 *   bench_chan        the driver: runs the others as child processes, and prints the table
 *   worker_weir       weir's four kinds on their default rings; worker_weir_ck and worker_weir_slots: on others
 *   worker_rivals     raw ck_ring, a bounded queue under a mutex
 *   chan_go           Go's channel (chan.go)
 *   floors            what the machine itself takes
 * A ring is chosen per program, so each choice is a program of its own. All workers are called in the same way: worker.h.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* CPU affinity */
#endif

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BENCH_CAPACITY 1024
#define BENCH_THREADS_MAX 64
#define BENCH_EXIT_SKIPPED 77 /* a worker's exit status when it cannot run here; it prints why */

/* Nanoseconds on the monotonic clock. */
static inline int64_t bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Nanoseconds of CPU that this process has used, in user and kernel mode. */
static inline int64_t bench_cpu_time(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
           ((int64_t)u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* Pins the calling thread; a negative CPU leaves it free. */
static inline bool bench_pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return true;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

/* The number of CPUs that this process may run on; writes the first `max` of them. */
static inline int bench_cpus(int *cpus, int max)
{
    cpu_set_t set;
    int count = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((unsigned)cpu, &set))
            continue;
        if (count < max)
            cpus[count] = cpu;
        count++;
    }
    return count;
}

static inline void bench_sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0) {}
}

static inline int bench_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value that `part` of the sorted values lie below: 0 the least, 0.5 the median, 1 the greatest. n > 0. */
static inline double bench_quantile(const double *values, int n, double part)
{
    double sorted[64];
    const int count = n < 64 ? n : 64;
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, bench_compare);
    const double at = part * (count - 1);
    const int below = (int)at;
    const int above = below + 1 < count ? below + 1 : below;
    if (at - below == 0)
        return sorted[below];
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

#endif /* BENCH_BENCH_H */
