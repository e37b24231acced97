/* weir/task/pool_metrics.h: the numbers of pools, as Prometheus scrapes them.
 *
 *     weir_pool_tally t;
 *     weir_pool_stats(&pool, &t);
 *     weir_prometheus_pools(&p, &t, 1);                         weir_pool_done_total{pool="thumbnails"} 4711 …
 */
#ifndef WEIR_TASK_POOL_METRICS_H
#define WEIR_TASK_POOL_METRICS_H

#include "../obs/tally.h"
#include "pool.h"

/* The families weir_pool_…, of n pools, told apart by the label "pool": give them names that differ. 0, or the first error of weir_prometheus_family. */
WEIR_API int weir_prometheus_pools(weir_prometheus *p, const weir_pool_tally *tallies, size_t n);

#endif /* WEIR_TASK_POOL_METRICS_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_METRICS_IMPLEMENTED)
#define WEIR_TASK_POOL_METRICS_IMPLEMENTED

#define WEIR__POOL_GAUGE(name, field, help)                                                                            \
    WEIR__TALLY_FIELD("weir_pool_" name, WEIR_PROMETHEUS_GAUGE, weir_pool_tally, field, help)
#define WEIR__POOL_COUNTER(name, field, help)                                                                          \
    WEIR__TALLY_FIELD("weir_pool_" name "_total", WEIR_PROMETHEUS_COUNTER, weir_pool_tally, field, help)

WEIR_API int weir_prometheus_pools(weir_prometheus *p, const weir_pool_tally *tallies, size_t n)
{
    static const weir__tally_field fields[] = {
        WEIR__POOL_GAUGE("workers", workers, "Workers."),
        WEIR__POOL_GAUGE("running", running, "Workers that are in a job."),
        WEIR__POOL_GAUGE("workers_most", most_workers, "The most workers at any one time."),
        WEIR__POOL_GAUGE("queued", queued, "Jobs that wait."),
        WEIR__POOL_COUNTER("done", done, "Jobs that have returned 0."),
        WEIR__POOL_COUNTER("failed", failed, "Jobs that have returned an error."),
        WEIR__POOL_COUNTER("expired", expired, "Jobs not run: their deadline had passed."),
        WEIR__POOL_COUNTER("cancelled", cancelled, "Jobs not run: the pool was stopped."),
        WEIR__POOL_COUNTER("rejected", rejected, "Jobs not accepted for want of room."),
        WEIR__POOL_COUNTER("dropped_newest", dropped_newest, "Jobs dropped for want of room."),
        WEIR__POOL_COUNTER("dropped_oldest", dropped_oldest, "Jobs dropped to make room."),
        WEIR__POOL_COUNTER("caller_ran", caller_ran, "Jobs that ran in the thread that submitted them."),
        WEIR__POOL_COUNTER("unreported", unreported, "Results for which there was no room."),
        WEIR__POOL_COUNTER("grown", grown, "Workers started because jobs waited."),
        WEIR__POOL_COUNTER("shrunk", shrunk, "Workers ended because there were too many."),
        WEIR__POOL_COUNTER("refused", refused, "Threads that the system refused."),
    };
    return weir__prometheus_tallies(p, fields, sizeof fields / sizeof fields[0], "pool", tallies, n, sizeof *tallies);
}

#endif /* WEIR_TASK_POOL_METRICS_IMPLEMENTED */
