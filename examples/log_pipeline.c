/* log_pipeline.c: what dpkg has done, from its log: parse, enrich, aggregate; and what to drop when more comes than can be dealt with.
 *
 *     log_pipeline [OPTION]... [FILE]...       FILE: such as /var/log/dpkg.log; none, or "-": standard input
 *
 *     --by KEY       a row of the table for each package, hour or command, or "all" in one (package)
 *     --apt FILE     apt's history.log: it says which command each line belongs to
 *     --out FILE     each entry with its command, tab between, as it is aggregated; "-": standard output
 *     --queue N      as many entries wait for the aggregation (256)
 *     --full WHAT    what happens when they are so many: block (the default), or drop newest, or drop oldest
 *     --workers N    parse at once (one for each CPU); the order stays that of the files
 *     --follow       wait for more at the end of a file, also when it is truncated or replaced, until SIGINT or SIGTERM
 *     --verbose      say when the queue is full for the first time, and when the input has ended
 *
 *     reader ─lines─► parse × N, ordered ─entries─► enrich ─► gate ═queue═► aggregate ─► table
 *     a generator     a map                         a map      │            and --out
 *                                     bad lines: file and line ┘ drops, or waits
 *
 * Each line that is read is aggregated, dropped or bad, and the last line of the output has these numbers, which add up. A bad line is told of on standard
 * error, and the others go on. SIGINT and SIGTERM end the reader; what it has read is still aggregated. A second one, or five seconds, give up on an
 * output that takes nothing more. Exit status: 0; 1: a line was bad; 2: usage, a file, the output; 128 + the signal, without --follow.
 *
 * Where to read
 *   log_pipeline/source.h    the lines of the files, also of those that grow
 *   log_pipeline/entry.h     what a line says;   history.h   which command it belongs to
 *   log_pipeline/table.h     the table;   options.h   the command line
 *   Here: the pipeline, what happens when its queue is full, and how it ends.
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include "log_pipeline/entry.h"
#include "log_pipeline/history.h"
#include "log_pipeline/options.h"
#include "log_pipeline/source.h"
#include "log_pipeline/table.h"

#include <signal.h>

static const char *program_name = "log_pipeline";

typedef weir_spsc(struct line) line_chan;
typedef weir_spsc(struct entry) entry_chan;
typedef weir_spmc(struct entry) entry_queue; /* who sends to it may take the oldest out, as a receiver would */

static struct program {
    struct options options;
    struct reader reader;
    struct history history; /* read only, once the pipeline runs */
    /* the gate's */
    long bad, dropped, full;
    /* the aggregation's */
    struct table table;
    long aggregated;
    int out_error;
    bool drained;
    weir_shutdown stop;
    weir_pipeline pipeline;
    line_chan lines;
    entry_chan parsed, enriched;
    entry_queue queue;
} program;

/* ---- read, parse, enrich ---- */

static int next_line(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx; /* it ends when the output fails. The reader stops earlier: when the program is told to */
    return reader_next((struct reader *)arg, (struct line *)value);
}

/* Several at once, each on a line of its own: nothing is shared. */
static int parse(weir_ctx *ctx, void *unused, const void *in, void *out)
{
    (void)ctx;
    (void)unused;
    entry_parse((const struct line *)in, (struct entry *)out);
    return 0;
}

static int enrich(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct entry *e = (struct entry *)out;
    (void)ctx;
    memcpy(e, in, sizeof *e);
    if (e->fault == NULL)
        e->command = history_command((const struct history *)arg, e->time);
    return 0;
}

/* ---- the gate ---- */

static void found_full(struct program *p, const struct entry *e)
{
    if (p->full++ == 0 && p->options.verbose)
        fprintf(stderr, "log_pipeline: %s:%ld: the queue is full\n", e->source->name, e->number);
}

/* Puts it into the queue, as the policy says. 0, or why the pipeline ends. */
static int admit(weir_ctx *ctx, struct program *p, const struct entry *e)
{
    size_t dropped = 0;
    int rc;
    if (p->options.policy == DROP_OLDEST) {
        rc = weir_send_latest(p->queue, e, &dropped);
        if (dropped > 0)
            found_full(p, e);
        p->dropped += (long)dropped;
        return rc;
    }
    rc = weir_try_send(p->queue, e);
    if (rc != EAGAIN)
        return rc;
    found_full(p, e);
    if (p->options.policy == BLOCK_WHEN_FULL)
        return weir_send(ctx, p->queue, e);
    p->dropped++;
    return 0;
}

/* Bad lines end here. They are still in order, so what is told of them is. */
static int gate(weir_ctx *ctx, void *arg)
{
    struct program *p = (struct program *)arg;
    struct entry e;
    int rc;
    while ((rc = weir_recv(ctx, p->enriched, &e)) == 0) {
        if (e.fault != NULL) {
            p->bad++;
            fprintf(stderr, "%s:%ld: %s\n", e.source->name, e.number, e.fault);
        } else if ((rc = admit(ctx, p, &e)) != 0) {
            break;
        }
    }
    if (p->options.verbose)
        fprintf(stderr, "log_pipeline: the input has ended\n");
    return rc;
}

/* ---- aggregate ---- */

static int aggregate_all(weir_ctx *ctx, struct program *p, FILE *out)
{
    struct entry e;
    int rc;
    for (;;) {
        if (out != NULL && weir_len(p->queue) == 0 && fflush(out) != 0) /* whoever follows wants it now */
            return EIO;
        if ((rc = weir_recv(ctx, p->queue, &e)) != 0)
            return rc;
        table_count(&p->table, &e);
        p->aggregated++;
        if (out != NULL && fprintf(out, "%s\t%s\t%s\t%s\n", e.time, actions[e.action].name, e.package, e.command) < 0)
            return EIO;
    }
}

/* The last stage: once it is over, so is the program. */
static int aggregate(weir_ctx *ctx, void *arg)
{
    struct program *p = (struct program *)arg;
    const char *name = p->options.out;
    const bool to_stdout = name != NULL && strcmp(name, "-") == 0;
    FILE *out = NULL;
    int rc = 0;
    errno = 0;
    if (name != NULL && (out = to_stdout ? stdout : fopen(name, "w")) == NULL)
        rc = EIO;
    if (rc == 0)
        rc = aggregate_all(ctx, p, out);
    if (rc == EIO)
        p->out_error = errno;
    if (out != NULL && !to_stdout && fclose(out) != 0 && rc == EPIPE) {
        p->out_error = errno;
        rc = EIO;
    }
    weir_shutdown_begin(&p->stop, 0);
    return rc;
}

/* ---- putting it together ---- */

static int start(struct program *p)
{
    weir_pipeline *line = &p->pipeline;
    weir_closer queue[1];
    const weir_stage_opt parsers = {.name = "parse", .workers = p->options.workers, .ordered = true};
    const weir_stage_opt named[] = {{.name = "read"}, {.name = "enrich"}, {.name = "gate"}, {.name = "aggregate"}};
    int rc;
    p->reader.stop = weir_shutdown_ctx(&p->stop);
    if (pipe(p->reader.wake) != 0)
        return errno;
    if (weir_chan_make(&p->lines, 64) != 0 || weir_chan_make(&p->parsed, 64) != 0 ||
        weir_chan_make(&p->enriched, 64) != 0 || weir_chan_make(&p->queue, p->options.capacity) != 0)
        return ENOMEM;
    queue[0] = (weir_closer)WEIR_CLOSER(p->queue);
    weir_pipeline_init(line, NULL);
    rc = weir_pipeline_go(line, &named[3], aggregate, p, NULL, 0);
    if (rc == 0)
        rc = weir_pipeline_go(line, &named[2], gate, p, queue, 1);
    if (rc == 0)
        rc = weir_map(line, p->parsed, p->enriched, enrich, &p->history, &named[1]);
    if (rc == 0)
        rc = weir_map(line, p->lines, p->parsed, parse, NULL, &parsers);
    if (rc == 0)
        rc = weir_generate(line, p->lines, next_line, &p->reader, &named[0]);
    if (rc != 0) {
        weir_ctx_cancel(weir_pipeline_ctx(line), rc);
        (void)weir_pipeline_wait(line);
    }
    return rc;
}

/* ---- how it ends ---- */

/* The reader ends by itself; so the others do, one after the other. */
static int drain(weir_ctx *ctx, void *arg)
{
    struct program *p = (struct program *)arg;
    const int rc = weir_pipeline_wait(&p->pipeline);
    (void)ctx; /* its end would end none of this: what is left to wait for then is a write() of the output */
    p->drained = rc == 0;
    return rc;
}

static int finish(weir_ctx *ctx, void *arg)
{
    struct program *p = (struct program *)arg;
    (void)ctx;
    if (!p->drained) /* it may still be at work on the table */
        return 0;
    table_print(&p->table);
    printf("%ld lines: %ld aggregated, %ld dropped, %ld bad\n", p->reader.read, p->aggregated, p->dropped, p->bad);
    if (fflush(stdout) == 0)
        return 0;
    p->out_error = errno;
    return EIO;
}

static void release(struct program *p)
{
    reader_free(&p->reader);
    history_free(&p->history);
    table_free(&p->table);
    weir_chan_free(&p->lines);
    weir_chan_free(&p->parsed);
    weir_chan_free(&p->enriched);
    weir_chan_free(&p->queue);
}

/* Says what has failed. The exit status. */
static int verdict(struct program *p, int rc)
{
    if (p->out_error != 0)
        fprintf(stderr, "log_pipeline: %s: %s\n", p->options.out == NULL ? "standard output" : p->options.out,
                strerror(p->out_error));
    else if (rc != 0)
        fprintf(stderr, "log_pipeline: what was read could not all be written: %s\n", weir_error_text(rc));
    if (rc != 0 || p->reader.unreadable)
        return 2;
    if (weir_shutdown_signal(&p->stop) != 0 && !p->options.follow)
        return 128 + weir_shutdown_signal(&p->stop);
    return p->bad > 0;
}

/* The options, the files, the history. 0 or the exit status. */
static int set_up(struct program *p, int argc, char **argv)
{
    struct options *o = &p->options;
    const char *name = "-";
    int rc = options_read(o, argc, argv);
    if (rc != 0)
        return rc;
    p->table.by = o->by;
    p->reader.follow = o->follow;
    if (o->file_count == 0)
        rc = reader_add(&p->reader, name);
    for (int i = 0; i < o->file_count && rc == 0; i++)
        rc = reader_add(&p->reader, name = o->files[i]);
    if (rc == 0 && o->apt != NULL)
        rc = history_read(&p->history, name = o->apt);
    if (rc != 0)
        fprintf(stderr, "log_pipeline: %s: %s\n", name, strerror(rc));
    return rc != 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
    struct program *p = &program;
    weir_ctx_hook hook;
    int rc = set_up(p, argc, argv), status;
    if (rc == 0) {
        (void)signal(SIGPIPE, SIG_IGN); /* a reader that has left is an error of the output */
        rc = weir_shutdown_init(&p->stop, NULL) != 0 || start(p) != 0 ? 2 : 0;
        if (rc != 0)
            fprintf(stderr, "log_pipeline: no memory or no threads\n");
    }
    if (rc != 0) {
        release(p);
        return rc;
    }
    (void)weir_ctx_on_cancel(weir_shutdown_ctx(&p->stop), &hook, reader_wake, &p->reader);
    (void)weir_shutdown_on_phase(&p->stop, WEIR_SHUTDOWN_DRAIN, "pipeline", WEIR_SEC(5), drain, p);
    (void)weir_shutdown_on_phase(&p->stop, WEIR_SHUTDOWN_FINISH, "table", WEIR_SEC(60), finish, p);
    rc = weir_shutdown_wait(NULL, &p->stop);
    status = verdict(p, rc);
    if (weir_shutdown_free(&p->stop) != 0)
        return status; /* a write that does not return: what it uses stays */
    release(p);
    return status;
}
