/* metrics.c: what a service tells about itself: latencies as Prometheus scrapes them, and a trace of its requests that ui.perfetto.dev opens. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

enum { REQUESTS = 6 };

static weir_hist latency;
static weir_trace_event events[100];
static weir_trace trace;

/* Stands for work. The request's number comes with the context, through whatever lies between. */
static int look_up(weir_ctx *ctx, void *unused)
{
    const weir_ns begun = weir_now();
    (void)unused;
    weir_trace_record(&trace, "look up", "task", begun, weir_now(), weir_correlation(ctx));
    return 0;
}

static int request(weir_ctx *ctx, uint64_t number)
{
    const weir_ns begun = weir_now();
    weir_ctx own;
    weir_group g;
    int rc = 0;
    weir_correlation_init(&own, ctx, number);
    weir_group_init(&g, &own, &(weir_group_opt){.name = "look up"});
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = weir_group_go(&own, &g, look_up, NULL);
    if (rc == 0)
        rc = weir_group_wait(&g);
    weir_group_free(&g);
    weir_trace_record(&trace, "request", "server", begun, weir_now(), number);
    weir_ctx_free(&own);
    return rc;
}

int main(int count, char **argument)
{
    static const double bounds[] = {0.001, 0.1}, quantiles[] = {0.5, 1};
    const weir_label to[] = {{"path", "/look\"up\""}};
    char text[2000];
    weir_prometheus p;
    size_t needed;
    int rc;
    weir_hist_init(&latency);
    weir_trace_init(&trace, events, 100, NULL);
    for (uint64_t i = 1; i <= REQUESTS; i++) {
        if (request(NULL, i) != 0)
            return 1;
        weir_hist_record(&latency, WEIR_MS(i * i)); /* what the clock says is another time each time */
    }
    weir_prometheus_init(&p, text, sizeof text);
    weir_prometheus_family(&p, "requests_total", "Requests answered.", WEIR_PROMETHEUS_COUNTER);
    weir_prometheus_count(&p, to, 1, weir_hist_count(&latency));
    weir_prometheus_family(&p, "latency_seconds", "From request to answer.", WEIR_PROMETHEUS_HISTOGRAM);
    weir_prometheus_hist(&p, to, 1, &latency, &(weir_prometheus_hist_opt){.points = bounds, .point_count = 2});
    weir_prometheus_family(&p, "latency_quantiles_seconds", NULL, WEIR_PROMETHEUS_SUMMARY);
    weir_prometheus_hist(&p, NULL, 0, &latency, &(weir_prometheus_hist_opt){.points = quantiles, .point_count = 2});
    rc = weir_prometheus_end(&p, &needed);
    printf("%s", text);
    printf("%s, events traced: %zu, dropped: %d\n", weir_error_text(rc), weir_trace_count(&trace),
           (int)weir_trace_dropped(&trace));
    if (count > 1) { /* metrics trace.json */
        FILE *file = fopen(argument[1], "w");
        if (file == NULL || weir_trace_write(&trace, file) != 0 || fclose(file) != 0)
            return 1;
    }
    return rc;
}
