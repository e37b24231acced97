/* progress.c: a pipeline that says how far it is, tries again what may pass, and puts aside what does not.
 *
 *     ./progress 2>/dev/null        the result alone
 *     ./progress trace.json         and a trace for ui.perfetto.dev
 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

enum { LINES = 2000, BUSY = 11 };

typedef struct line {
    int number;
    char text[16];
} line;
typedef weir_chan(line) line_chan;
typedef weir_chan(double) price_chan;
typedef weir_dead(line) dead_line;
typedef weir_chan(dead_line) dead_chan;

static int read_line(weir_ctx *ctx, void *arg, void *value)
{
    int *next = arg;
    line l = {.number = *next};
    (void)ctx;
    if (*next == LINES)
        return EPIPE;
    snprintf(l.text, sizeof l.text, l.number % 500 == 499 ? "%d euro" : "%d", l.number); /* a few are not numbers */
    *next += 1;
    memcpy(value, &l, sizeof l);
    return 0;
}

/* Each 100th call of a server that is busy at the first try. */
static int look_up(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    const line *l = in;
    char *end;
    const double price = strtod(l->text, &end);
    (void)arg;
    if (l->number % 100 == 0 && weir_retry_attempt(ctx) == 1)
        return BUSY;
    if (*end != 0)
        return EINVAL;
    memcpy(out, &price, sizeof price);
    return 0;
}

static int add_up(weir_ctx *ctx, void *arg, const void *value)
{
    (void)ctx;
    *(double *)arg += *(const double *)value;
    return 0;
}

static int report(weir_ctx *ctx, void *arg, const void *value)
{
    const dead_line *dead = value;
    (void)ctx;
    (void)arg;
    printf("line %llu, \"%s\": %s, by stage \"%s\" in %d call\n", (unsigned long long)dead->why.id, dead->item.text,
           dead->why.error == EINVAL ? "no number" : "?", dead->why.stage, dead->why.calls);
    return 0;
}

static uint64_t line_number(const void *item)
{
    return (uint64_t)((const line *)item)->number + 1;
}

static void table(weir_pipeline *p)
{
    weir_stage_progress s[4];
    weir_progress all;
    weir_pipeline_progress(p, &all, s, 4);
    printf("%-8s %5s %5s %7s\n", "stage", "in", "out", "failed");
    for (int i = 0; i < 4; i++)
        printf("%-8s %5llu %5llu %7llu\n", s[i].name, (unsigned long long)s[i].in, (unsigned long long)s[i].out,
               (unsigned long long)s[i].failed);
    printf("done: %llu of %llu\n", (unsigned long long)all.done, (unsigned long long)all.total);
}

int main(int count, char **argument)
{
    static weir_trace_event events[3 * LINES + 100];
    static const int passing[] = {BUSY};
    const weir_retry_config retry = {.attempts = 3, .codes = passing, .n_codes = 1, .delay = WEIR_MS(1)};
    const weir_policy_layer guards[] = {weir_policy_retry(&retry)};
    const weir_watch_opt watch = {.total = LINES};
    line_chan lines;
    price_chan prices;
    dead_chan dead;
    weir_trace trace;
    weir_pipeline p;
    double sum = 0;
    int next = 0, rc;
    if (weir_chan_make(&lines, 16) != 0 || weir_chan_make(&prices, 16) != 0 || weir_chan_make(&dead, 4) != 0)
        return 1;
    const weir_stage_opt looked_up = {.name = "look up",
                                      .workers = 4,
                                      .ordered = true,
                                      .guards = guards,
                                      .guard_count = 1,
                                      .on_error = WEIR_ON_ERROR_DEAD_LETTER,
                                      .dead = WEIR_DEAD_LETTERS(lines, dead),
                                      .correlate = line_number};
    weir_trace_init(&trace, events, sizeof events / sizeof *events, NULL);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, &watch);
    weir_pipeline_trace(&p, count > 1 ? &trace : NULL);
    weir_pipeline_bar(&p, stderr, NULL);
    weir_generate(&p, lines, read_line, &next, &(weir_stage_opt){.name = "read"});
    weir_map(&p, lines, prices, look_up, NULL, &looked_up);
    weir_sink(&p, prices, add_up, &sum, &(weir_stage_opt){.name = "sum"});
    weir_sink(&p, dead, report, NULL, &(weir_stage_opt){.name = "report"});
    rc = weir_pipeline_wait(&p);
    table(&p);
    printf("sum %.0f: %s\n", sum, weir_error_text(rc));
    if (count > 1) {
        FILE *file = fopen(argument[1], "w");
        rc = file == NULL ? EIO : weir_trace_write(&trace, file);
        if (file != NULL)
            fclose(file);
    }
    weir_pipeline_unwatch(&p);
    weir_chan_free(&lines);
    weir_chan_free(&prices);
    weir_chan_free(&dead);
    return rc != 0;
}
