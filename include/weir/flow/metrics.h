/* weir/flow/metrics.h: what the stages of watched pipelines have counted, in the form that Prometheus scrapes (obs/prometheus.h).
 *
 *     weir_named_pipeline pipelines[] = {{"orders", &orders}, {"quotes", &quotes}};
 *     weir_prometheus_init(&w, buffer, sizeof buffer);
 *     weir_prometheus_pipelines(&w, pipelines, 2);
 *     rc = weir_prometheus_end(&w, &needed);
 *
 * Each value has the labels pipeline, stage (its name) and number (from 0, in the order in which the stages were started: names may be alike).
 * Meanings: flow/progress.h.
 *     weir_stage_in_total, weir_stage_out_total, weir_stage_dropped_total, weir_stage_abandoned_total   items
 *     weir_stage_failed_total{outcome="skipped", "dead" or "fatal"}               items
 *     weir_stage_lived_seconds_total, weir_stage_blocked_seconds_total{side="input" or "output"}   of all its workers
 *     weir_stage_queue_length, weir_stage_running_workers                        now
 */
#ifndef WEIR_FLOW_METRICS_H
#define WEIR_FLOW_METRICS_H

#include "../obs/prometheus.h"
#include "progress.h"

typedef struct weir_named_pipeline {
    const char *name;
    weir_pipeline *pipeline;
} weir_named_pipeline;

/* Writes them all. One that is not watched has no stages. 0; EINVAL: one of the names was used before for a family of another type. Any thread, one
 * for each writer, between watch and unwatch of each pipeline. */
WEIR_API int weir_prometheus_pipelines(weir_prometheus *w, const weir_named_pipeline *pipelines, size_t n);

#endif /* WEIR_FLOW_METRICS_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_METRICS_IMPLEMENTED)
#define WEIR_FLOW_METRICS_IMPLEMENTED

typedef struct weir__stage_metric {
    const char *name, *help;
    int type;
    const char *label, *values[3]; /* besides those of all; NULL: none */
} weir__stage_metric;

static const weir__stage_metric weir__stage_metrics[] = {
    {"weir_stage_in_total", "Items taken or made.", WEIR_PROMETHEUS_COUNTER, NULL, {NULL, NULL, NULL}},
    {"weir_stage_out_total", "Items sent or finished.", WEIR_PROMETHEUS_COUNTER, NULL, {NULL, NULL, NULL}},
    {"weir_stage_dropped_total",
     "Items that a filter did not want.",
     WEIR_PROMETHEUS_COUNTER,
     NULL,
     {NULL, NULL, NULL}},
    {"weir_stage_abandoned_total",
     "Items in hand when the pipeline ended.",
     WEIR_PROMETHEUS_COUNTER,
     NULL,
     {NULL, NULL, NULL}},
    {"weir_stage_failed_total",
     "Items that failed for good.",
     WEIR_PROMETHEUS_COUNTER,
     "outcome",
     {"skipped", "dead", "fatal"}},
    {"weir_stage_lived_seconds_total", "Time of all workers.", WEIR_PROMETHEUS_COUNTER, NULL, {NULL, NULL, NULL}},
    {"weir_stage_blocked_seconds_total",
     "Time of all workers without input, or room at the output.",
     WEIR_PROMETHEUS_COUNTER,
     "side",
     {"input", "output", NULL}},
    {"weir_stage_queue_length", "Values that wait in the input.", WEIR_PROMETHEUS_GAUGE, NULL, {NULL, NULL, NULL}},
    {"weir_stage_running_workers", "Workers that have not returned.", WEIR_PROMETHEUS_GAUGE, NULL, {NULL, NULL, NULL}}};

#define WEIR__STAGE_METRICS (sizeof weir__stage_metrics / sizeof *weir__stage_metrics)

/* Value number `which` of metric number `metric`. */
static int weir__stage_metric_write(weir_prometheus *w, size_t metric, size_t which, const weir_label *labels, size_t n,
                                    const weir_stage_progress *s)
{
    const uint64_t failed[] = {s->skipped, s->dead, s->failed - s->skipped - s->dead};
    switch (metric) {
    case 0: return weir_prometheus_count(w, labels, n, s->in);
    case 1: return weir_prometheus_count(w, labels, n, s->out);
    case 2: return weir_prometheus_count(w, labels, n, s->dropped);
    case 3: return weir_prometheus_count(w, labels, n, s->abandoned);
    case 4: return weir_prometheus_count(w, labels, n, failed[which]);
    case 5: return weir_prometheus_value(w, labels, n, (double)s->lived / 1e9);
    case 6: return weir_prometheus_value(w, labels, n, (double)(which == 0 ? s->waited_in : s->waited_out) / 1e9);
    case 7: return weir_prometheus_count(w, labels, n, s->queue);
    default: return weir_prometheus_count(w, labels, n, s->running);
    }
}

/* A metric of one stage. Its family has been begun, and the labels are names: there is nothing to refuse. */
static void weir__stage_metric_put(weir_prometheus *w, size_t metric, const char *pipeline, size_t number,
                                   const weir_stage_progress *s)
{
    const weir__stage_metric *m = &weir__stage_metrics[metric];
    weir_label labels[4];
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", number);
    labels[0].name = "pipeline";
    labels[0].value = pipeline;
    labels[1].name = "stage";
    labels[1].value = s->name;
    labels[2].name = "number";
    labels[2].value = digits;
    labels[3].name = m->label;
    for (size_t i = 0; i < 3 && (i == 0 || m->values[i] != NULL); i++) {
        labels[3].value = m->values[i];
        (void)weir__stage_metric_write(w, metric, i, labels, m->label == NULL ? 3 : 4, s);
    }
}

WEIR_API int weir_prometheus_pipelines(weir_prometheus *w, const weir_named_pipeline *pipelines, size_t n)
{
    for (size_t metric = 0; metric < WEIR__STAGE_METRICS; metric++) {
        const weir__stage_metric *m = &weir__stage_metrics[metric];
        const int rc = weir_prometheus_family(w, m->name, m->help, m->type);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < n; i++) {
            weir__rooms *rooms = &pipelines[i].pipeline->rooms;
            weir__room *room, *last;
            size_t number = 0;
            weir__lock_take(&rooms->lock);
            room = rooms->watched ? rooms->first : NULL;
            last = rooms->last; /* up to here the list does not change any more */
            weir__lock_release(&rooms->lock);
            for (; room != NULL; room = room == last ? NULL : room->next) {
                weir_stage_progress s;
                weir__room_read(room, rooms->watch.clock, &s);
                weir__lock_take(&rooms->lock);
                s.queue = room->queue == NULL ? 0 : weir__chan_len(room->queue);
                weir__lock_release(&rooms->lock);
                weir__stage_metric_put(w, metric, pipelines[i].name, number++, &s);
            }
        }
    }
    return 0;
}

#endif /* WEIR_FLOW_METRICS_IMPLEMENTED */
