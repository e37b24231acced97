/* stream_processor.c: sums by key and window of time, from rows that come in files or pipes, any number of them at once.
 *
 *     stream_processor [OPTION]... [FILE]...     CSV with a time in seconds; none, or "-": standard input
 *
 *     --columns T,K,P,S   which columns are time, key, price and size (1,2,5,4: the order flow of examples/data, by type of message)
 *     --window SECONDS    from one window's begin to the next one's (60)
 *     --late SECONDS      how long a window stays open after its end for rows that are out of order (0); later ones are counted, and left out
 *     --workers N         so many sums at once (one for each CPU); the output does not depend on it
 *     --rate N            at most N rows a second
 *     --at N              replays at N times the speed of the rows' times
 *     --live              the live view also where standard output is no terminal
 *
 *     file ─► read ─┐                                               ┌─► moves ─► windows ─┐
 *     file ─► read ─┼─► by time ─► pace ─► limiter ─► by key ───────┼─► moves ─► windows ─┼─► view, table
 *     file ─► read ─┘   sorted      │                 same key,     └─► moves ─► windows ─┘   as they come
 *     generators        merge       filter   throttle same worker       map       window       fan in
 *                                   late rows are
 *                                   counted here
 *
 * For each window and key: rows, size in all, mean price by size, lowest and highest price, and how often it went up and down from the key's row before.
 * On a terminal the newest sums are drawn while rows come; the table is printed at the end. A row that is bad is told of on standard error with its file and
 * line, and the others go on. SIGINT, SIGTERM: the table has what was read until then.
 *
 * Why the number of workers does not show. Which row is late is decided before the rows part, by the newest time of all rows; so no worker, which
 * sees fewer, finds one late. A key's rows stay in their order, so what is computed from the row before, and a sum of doubles, is the same. The table is
 * sorted. Inputs are merged by time, equal times in the order of the files, so the threads' speed decides nothing either.
 *
 * Where to read
 *   stream_processor/source.h   the rows of one file;   row.h   a row from a line
 *   stream_processor/options.h  the command line
 *   stream_processor/window.h   what is computed of a window's rows
 *   stream_processor/table.h    the table, and the live view
 *   Here: the pipeline, and how it ends.
 *
 * Exit status: 0; 1: a row was bad; 2: usage, a file, the output; 128 + the signal.
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include "stream_processor/options.h"
#include "stream_processor/row.h"
#include "stream_processor/source.h"
#include "stream_processor/table.h"
#include "stream_processor/window.h"

#include <signal.h>

enum { SOURCES_MAX = 16, QUEUE = 64 };

static const char *program_name = "stream_processor";

typedef weir_spsc(struct row) row_chan;
typedef weir_spsc(struct tick) tick_chan;
typedef weir_spsc(struct pane) pane_chan;
typedef weir_mpsc(struct pane) panes_chan;

struct worker {
    struct moves moves;
    row_chan in;
    tick_chan ticks;
    pane_chan panes;
};

static struct program {
    struct options options;
    /* stages, from left to right */
    struct source sources[SOURCES_MAX];
    row_chan rows[SOURCES_MAX];
    size_t source_count;
    int wake[2]; /* readable once the program stops: nothing is ever read from it */
    weir_ns newest, first, begun;
    bool any; /* newest is a time */
    long late;
    weir_limiter limiter;
    struct worker worker[WORKERS_MAX];
    struct table table;
    row_chan merged, timely, limited;
    panes_chan panes;
    weir_pipeline pipeline;
    weir_shutdown stop;
    bool drained, unwritable;
} program;

/* ---- read, merge, pace ---- */

/* The generator of one file. */
static int next_row(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    return source_next((struct source *)arg, (struct row *)value);
}

static bool earlier(void *unused, const void *a, const void *b)
{
    (void)unused;
    return ((const struct row *)a)->time < ((const struct row *)b)->time;
}

static weir_ns floor_to(weir_ns time, weir_ns unit)
{
    return time - (time % unit + unit) % unit;
}

/* Leaves out what is late: its window has ended, and more than --late has passed. With --at, waits until the row's time has come. */
static int pace(weir_ctx *ctx, void *arg, const void *value, bool *keep)
{
    struct program *p = (struct program *)arg;
    const weir_ns time = ((const struct row *)value)->time;
    (void)ctx;
    if (!p->any || time > p->newest)
        p->newest = time;
    if (!p->any) {
        p->begun = weir_now();
        p->first = time;
    }
    p->any = true;
    *keep = floor_to(time, p->options.window) + p->options.window + p->options.lateness > p->newest;
    p->late += !*keep;
    if (p->options.at > 0) /* not any more once the program stops: what has been read is to come through */
        (void)weir_sleep_until(weir_shutdown_ctx(&p->stop),
                               p->begun + (weir_ns)((double)(p->newest - p->first) / p->options.at));
    return 0;
}

/* ---- what each worker does ---- */

static const void *key_of(void *unused, const void *value, size_t *size)
{
    (void)unused;
    *size = KEY_TEXT;
    return ((const struct row *)value)->key;
}

/* A map: needs the key's row before, which this worker has seen. */
static int find_move(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    *(struct tick *)out = moves_tick((struct moves *)arg, (const struct row *)in);
    return 0;
}

static weir_ns time_of(void *unused, const void *value)
{
    (void)unused;
    return ((const struct tick *)value)->row.time;
}

/* A window's: its pane begins as zeros. */
static int add_up(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
{
    struct pane *pane = (struct pane *)result;
    (void)ctx;
    (void)arg;
    pane->begin = span->begin;
    if (value != NULL) /* else it closes */
        pane_add(pane, (const struct tick *)value);
    return 0;
}

/* ---- view and table ---- */

/* The last stage. Ten times a second, at most and with --live at least, it draws. Once it is over, so is the program. */
static int view(weir_ctx *ctx, void *arg)
{
    struct program *p = (struct program *)arg;
    weir_ns next = weir_now();
    struct pane pane;
    int rc;
    do {
        rc = weir_recv_until(ctx, p->panes, &pane, p->options.live ? next : WEIR_FOREVER);
        if (rc == 0)
            table_add(&p->table, &pane);
        if (p->options.live && weir_now() >= next) {
            table_draw(&p->table, &p->pipeline);
            next = weir_now() + WEIR_MS(100);
        }
    } while (rc == 0 || (rc == ETIMEDOUT && weir_ctx_err(ctx) == 0));
    weir_shutdown_begin(&p->stop, 0);
    return rc;
}

/* A step of the shutdown. */
static int finish(weir_ctx *ctx, void *arg)
{
    struct program *p = (struct program *)arg;
    long rows = 0, bad = 0;
    (void)ctx;
    if (!p->drained)
        return 0;
    for (size_t i = 0; i < p->source_count; i++) {
        rows += p->sources[i].rows;
        bad += p->sources[i].bad;
    }
    table_print(&p->table);
    printf("%ld rows: %ld in windows, %ld late, %ld bad\n", rows, rows - p->late - bad, p->late, bad);
    p->unwritable = fflush(stdout) != 0 || ferror(stdout) != 0;
    return p->unwritable ? EIO : 0;
}

/* ---- how it ends ---- */

/* When the program is to stop. A reader that sleeps in poll looks at no context; and what has been read is not held up any more. */
static void hurry(void *arg)
{
    struct program *p = (struct program *)arg;
    (void)weir_limiter_set_rate(&p->limiter, WEIR_RATE_INFINITE);
    if (write(p->wake[1], "", 1) < 0) {} /* the pipe is empty: there is room */
}

static int drain(weir_ctx *ctx, void *arg)
{
    struct program *p = (struct program *)arg;
    const int rc = weir_pipeline_wait(&p->pipeline);
    (void)ctx;
    p->drained = rc == 0;
    return rc;
}

/* ---- putting it together ---- */

static int make_channels(struct program *p)
{
    int rc = weir_chan_make(&p->merged, QUEUE) | weir_chan_make(&p->timely, QUEUE) |
             weir_chan_make(&p->limited, QUEUE) | weir_chan_make(&p->panes, QUEUE); /* 0 or ENOMEM */
    for (size_t i = 0; i < p->source_count; i++)
        rc |= weir_chan_make(&p->rows[i], QUEUE);
    for (unsigned i = 0; i < p->options.workers; i++)
        rc |= weir_chan_make(&p->worker[i].in, QUEUE) | weir_chan_make(&p->worker[i].ticks, QUEUE) |
              weir_chan_make(&p->worker[i].panes, QUEUE);
    return rc;
}

static void free_all(struct program *p)
{
    for (size_t i = 0; i < p->source_count; i++) {
        weir_chan_free(&p->rows[i]);
        source_close(&p->sources[i]);
    }
    for (unsigned i = 0; i < p->options.workers; i++) {
        weir_chan_free(&p->worker[i].in);
        weir_chan_free(&p->worker[i].ticks);
        weir_chan_free(&p->worker[i].panes);
        moves_free(&p->worker[i].moves);
    }
    weir_chan_free(&p->merged);
    weir_chan_free(&p->timely);
    weir_chan_free(&p->limited);
    weir_chan_free(&p->panes);
    free(p->table.line);
}

/* From the limiter to the last fan-in: one of each for each worker. */
static int start_workers(struct program *p)
{
    weir_pipeline *line = &p->pipeline;
    const weir_key by_key = {.fn = key_of};
    const weir_window_rules rules = {.length = p->options.window, .lateness = p->options.lateness, .stamp = time_of};
    const weir_stage_opt moves = {.name = "moves"}, windows = {.name = "windows"}, parts = {.name = "by key"},
                         all = {.name = "gather"};
    row_chan ins[WORKERS_MAX];
    pane_chan outs[WORKERS_MAX];
    int rc = 0;
    for (unsigned i = 0; i < p->options.workers && rc == 0; i++) {
        struct worker *w = &p->worker[i];
        ins[i] = w->in;
        outs[i] = w->panes;
        rc = weir_map(line, w->in, w->ticks, find_move, &w->moves, &moves);
        if (rc == 0)
            rc = weir_window(line, w->ticks, w->panes, &rules, add_up, NULL, &windows);
    }
    if (rc == 0)
        rc = weir_partition(line, p->limited, ins, p->options.workers, &by_key, &parts);
    return rc != 0 ? rc : weir_fan_in(line, outs, p->options.workers, p->panes, &all);
}

static int start(struct program *p)
{
    weir_pipeline *line = &p->pipeline;
    const weir_stage_opt named[] = {
        {.name = "read"}, {.name = "by time"}, {.name = "pace"}, {.name = "limit"}, {.name = "view"}};
    int rc = pipe(p->wake) != 0 ? errno : make_channels(p);
    if (rc != 0)
        return rc;
    weir_pipeline_init(line, NULL);
    if (p->options.live)
        weir_pipeline_watch(line, NULL);
    rc = weir_limiter_init(&p->limiter, p->options.rate > 0 ? p->options.rate : WEIR_RATE_INFINITE, 1, NULL);
    for (size_t i = 0; i < p->source_count && rc == 0; i++) {
        p->sources[i].stop = weir_shutdown_ctx(&p->stop);
        p->sources[i].lines.wake = p->wake[0];
        rc = weir_generate(line, p->rows[i], next_row, &p->sources[i], &named[0]);
    }
    if (rc == 0)
        rc = weir_merge_sorted(line, p->rows, p->source_count, p->merged, earlier, NULL, &named[1]);
    if (rc == 0)
        rc = weir_filter(line, p->merged, p->timely, pace, p, &named[2]);
    if (rc == 0)
        rc = weir_throttle(line, p->timely, p->limited, &p->limiter, &named[3]);
    if (rc == 0)
        rc = start_workers(p);
    if (rc == 0)
        rc = weir_pipeline_go(line, &named[4], view, p, NULL, 0);
    if (rc != 0) {
        weir_ctx_cancel(weir_pipeline_ctx(line), rc);
        (void)weir_pipeline_wait(line);
    }
    return rc;
}

/* ---- the beginning and the end ---- */

/* 0 or an errno value. */
static int add_source(struct program *p, const char *name)
{
    const int rc =
        p->source_count == SOURCES_MAX ? EMFILE : source_open(&p->sources[p->source_count], name, &p->options);
    p->source_count += rc == 0;
    return rc;
}

/* The options, the files. 0 or the exit status. */
static int set_up(struct program *p, int argc, char **argv)
{
    const struct options *o = &p->options;
    const char *name = "-";
    int rc = options_read(&p->options, argc, argv);
    if (rc != 0)
        return rc;
    if (o->file_count == 0)
        rc = add_source(p, name);
    for (int i = 0; i < o->file_count && rc == 0; i++)
        rc = add_source(p, name = o->files[i]);
    if (rc != 0)
        fprintf(stderr, "stream_processor: %s: %s\n", name, strerror(rc));
    return rc != 0 ? 2 : 0;
}

/* Says what has failed. The exit status. */
static int verdict(struct program *p, int rc)
{
    int status = 0;
    if (p->unwritable)
        fprintf(stderr, "stream_processor: standard output cannot be written\n");
    else if (rc != 0)
        fprintf(stderr, "stream_processor: %s\n", weir_error_text(rc));
    if (weir_shutdown_signal(&p->stop) != 0)
        status = 128 + weir_shutdown_signal(&p->stop);
    for (size_t i = 0; i < p->source_count && status <= 2; i++) {
        if (p->sources[i].bad > 0 && status == 0)
            status = 1;
        if (p->sources[i].unreadable)
            status = 2;
    }
    return rc != 0 ? 2 : status;
}

int main(int argc, char **argv)
{
    struct program *p = &program;
    weir_ctx_hook hook;
    int rc = set_up(p, argc, argv), status;
    if (rc == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        rc = weir_shutdown_init(&p->stop, NULL) != 0 || start(p) != 0 ? 2 : 0;
        if (rc != 0)
            fprintf(stderr, "stream_processor: no memory or no threads\n");
    }
    if (rc != 0) {
        free_all(p);
        return rc;
    }
    (void)weir_ctx_on_cancel(weir_shutdown_ctx(&p->stop), &hook, hurry, p);
    (void)weir_shutdown_on_phase(&p->stop, WEIR_SHUTDOWN_DRAIN, "pipeline", WEIR_SEC(5), drain, p);
    (void)weir_shutdown_on_phase(&p->stop, WEIR_SHUTDOWN_FINISH, "table", WEIR_SEC(60), finish, p);
    rc = weir_shutdown_wait(NULL, &p->stop);
    status = verdict(p, rc);
    if (weir_shutdown_free(&p->stop) != 0)
        return status; /* an output that takes nothing: what it uses stays */
    if (p->options.live)
        weir_pipeline_unwatch(&p->pipeline);
    free_all(p);
    return status;
}
