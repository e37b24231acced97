/* market_data/run.h: the five stages on threads of their own, with channels between; or one after the other in one thread.
 *
 *     reader ─lines─► parser ─messages─► book ─updates─► statistics ─results─► sink
 *        ▲                                 │
 *        └────────────── blocks ◄──────────┘        read and parsed: to be filled again
 *
 *     with --parsers 3:   ─lines─► fan out ─►  parser, parser, parser  ─► fan in ─messages─►
 *
 * How it ends: every stage that ends closes its channels, those it writes and those it reads.
 *   At the end of the input that goes downstream: each stage drains what is left, and ends.
 *   At a bad row: the book builder (a bad row of the book file: the statistics) hands the fault on as its last value, and ends. What
 *   came before lies ahead of it in the channels and is written; whoever still sends from above gets EPIPE, and ends too.
 *   At SIGINT the main thread closes `lines`: the reader ends, the others drain what it has sent.
 *   When the output cannot be written, the sink's error cancels the pipeline, and nobody waits any more.
 * A reader that sleeps in poll, for input or for a message that is due, looks at no channel: so there is also a pipe to wake it.
 */
#ifndef MARKET_DATA_RUN_H
#define MARKET_DATA_RUN_H

#include "options.h"
#include "stages.h"

#include <signal.h>

enum { CHANNEL_CAPACITY = 1024, BLOCKS = 16 };

typedef weir_spsc(struct line) line_chan;
typedef weir_spsc(struct message) message_chan;
typedef weir_spsc(struct update) update_chan;
typedef weir_spsc(struct block *) block_chan;

struct parser {
    struct stage stage;
    line_chan in;
    message_chan out;
};

struct machine {
    const struct options *opt;
    struct source source;
    struct parser parsers[PARSERS_MAX];
    struct builder builder;
    struct statistics statistics;
    struct sink sink;
    line_chan lines;
    message_chan messages;
    update_chan updates, results;
    block_chan blocks;
    size_t threads; /* started so far */
    bool progress;  /* show it */
    weir_ns elapsed;
    struct block block[BLOCKS], book_block[2];
};

/* ---- stopping -------------------------------------------------------------------------------------------------------------- */

static atomic_int interrupted;
static int wake_pipe[2] = {-1, -1}; /* readable once somebody wants an end */

static void wake(void *unused)
{
    const int saved = errno;
    (void)unused;
    if (write(wake_pipe[1], "", 1) < 0) {
        /* full: it is readable, which is all we want */
    }
    errno = saved;
}

static void on_interrupt(int number)
{
    (void)number;
    atomic_store(&interrupted, 1);
    wake(NULL);
}

/* 0 or an errno value. A second SIGINT ends the process at once. No SA_RESTART: it would not let go of a pipe that nobody opens. */
static inline int catch_signals(void)
{
    struct sigaction interrupt = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (pipe(wake_pipe) != 0 || fcntl(wake_pipe[1], F_SETFL, O_NONBLOCK) != 0)
        return errno;
    if (sigaction(SIGINT, &interrupt, NULL) != 0 || sigaction(SIGPIPE, &ignore, NULL) != 0)
        return errno;
    return 0;
}

/* ---- one thread per stage -------------------------------------------------------------------------------------------------- */

/* Receive and send that measure how long they had to wait. The clock is read only where the try has failed. */
#define STAGE_RECV(stage, ctx, ch, ptr)                                                                                \
    (weir_try_recv(ch, ptr) == 0                                                                                       \
         ? 0                                                                                                           \
         : ((stage)->since = weir_now(), stage_waited(&(stage)->blocked_in, (stage)->since, weir_recv(ctx, ch, ptr))))
#define STAGE_SEND(stage, ctx, ch, ptr)                                                                                \
    (weir_try_send(ch, ptr) == 0 ? 0                                                                                   \
                                 : ((stage)->since = weir_now(),                                                       \
                                    stage_waited(&(stage)->blocked_out, (stage)->since, weir_send(ctx, ch, ptr))))

static inline int stage_waited(weir_ns *sum, weir_ns since, int rc)
{
    *sum += weir_now() - since;
    return rc;
}

static int reader_task(weir_ctx *ctx, void *arg)
{
    struct machine *m = arg;
    struct source *s = &m->source;
    struct line line;
    struct block *block;
    int rc = 0;
    do {
        switch (source_next(s, &line)) {
        case LINES_NEED_BLOCK:
            rc = STAGE_RECV(&s->stage, ctx, m->blocks, &block);
            if (rc == 0)
                lines_give(&s->lines, block);
            break;
        case LINES_ONE:
            stage_done(&s->stage, line.born);
            rc = STAGE_SEND(&s->stage, ctx, m->lines, &line);
            if (line.fault.code != FAULT_NONE)
                return rc;
            break;
        default: return 0;
        }
    } while (rc == 0);
    return rc;
}

static int parser_task(weir_ctx *ctx, void *arg)
{
    struct parser *p = arg;
    struct line line;
    struct message message;
    int rc;
    while ((rc = STAGE_RECV(&p->stage, ctx, p->in, &line)) == 0) {
        parse_message(&line, &message);
        stage_done(&p->stage, message.born);
        rc = STAGE_SEND(&p->stage, ctx, p->out, &message);
        if (rc != 0)
            break;
    }
    return rc;
}

static int builder_task(weir_ctx *ctx, void *arg)
{
    struct machine *m = arg;
    struct builder *b = &m->builder;
    struct message message;
    struct update update = {.fault = {.code = FAULT_NONE}};
    int rc = 0;
    while (rc == 0 && update.fault.code == FAULT_NONE) {
        rc = STAGE_RECV(&b->stage, ctx, m->messages, &message);
        if (rc != 0)
            break;
        if (message.done != NULL)
            (void)weir_try_send(m->blocks, &message.done); /* has room for all blocks there are */
        builder_step(b, &message, &update);
        stage_done(&b->stage, update.born);
        rc = STAGE_SEND(&b->stage, ctx, m->updates, &update);
    }
    wake(NULL);
    return rc;
}

static int statistics_task(weir_ctx *ctx, void *arg)
{
    struct machine *m = arg;
    struct statistics *s = &m->statistics;
    struct update update = {.fault = {.code = FAULT_NONE}};
    int rc = 0;
    while (rc == 0 && update.fault.code == FAULT_NONE) {
        rc = STAGE_RECV(&s->stage, ctx, m->updates, &update);
        if (rc != 0)
            break;
        statistics_step(s, &update);
        stage_done(&s->stage, update.born);
        rc = STAGE_SEND(&s->stage, ctx, m->results, &update);
    }
    wake(NULL);
    return rc;
}

static int sink_task(weir_ctx *ctx, void *arg)
{
    struct machine *m = arg;
    struct sink *s = &m->sink;
    struct update update;
    int rc;
    for (;;) {
        if (m->opt->pace > 0 && weir_len(m->results) == 0 && sink_flush(s) != 0) /* whoever watches wants it now */
            return EIO;
        rc = STAGE_RECV(&s->stage, ctx, m->results, &update);
        if (rc != 0)
            break;
        rc = sink_step(s, &update);
        stage_done(&s->stage, update.born);
        if (rc != 0)
            return rc;
    }
    return rc == EPIPE ? sink_flush(s) : rc;
}

/* ---- putting it together --------------------------------------------------------------------------------------------------- */

#define MAKE(rc, ch, capacity, opt)                                                                                    \
    do {                                                                                                               \
        if (*(rc) == 0)                                                                                                \
            *(rc) = weir_chan_make_opt((ch), (capacity), (opt));                                                       \
    } while (0)

static inline int machine_make(struct machine *m)
{
    const weir_chan_opt opt = {.wait = m->opt->wait};
    int rc = 0;
    MAKE(&rc, &m->lines, CHANNEL_CAPACITY, &opt);
    MAKE(&rc, &m->messages, CHANNEL_CAPACITY, &opt);
    MAKE(&rc, &m->updates, CHANNEL_CAPACITY, &opt);
    MAKE(&rc, &m->results, CHANNEL_CAPACITY, &opt);
    MAKE(&rc, &m->blocks, BLOCKS, &opt);
    for (unsigned i = 0; i < m->opt->parsers && m->opt->parsers > 1; i++) {
        MAKE(&rc, &m->parsers[i].in, CHANNEL_CAPACITY, &opt);
        MAKE(&rc, &m->parsers[i].out, CHANNEL_CAPACITY, &opt);
    }
    for (size_t i = 0; i < BLOCKS && rc == 0; i++) {
        struct block *block = &m->block[i];
        rc = weir_try_send(m->blocks, &block);
    }
    return rc;
}

static inline void machine_free(struct machine *m)
{
    for (unsigned i = 0; i < m->opt->parsers && m->opt->parsers > 1; i++) {
        weir_chan_free(&m->parsers[i].in);
        weir_chan_free(&m->parsers[i].out);
    }
    weir_chan_free(&m->blocks);
    weir_chan_free(&m->results);
    weir_chan_free(&m->updates);
    weir_chan_free(&m->messages);
    weir_chan_free(&m->lines);
}

/* The options of the next thread: its name, and the next CPU of the list. */
static inline weir_stage_opt next_thread(struct machine *m, const char *name)
{
    weir_stage_opt opt = {.name = name};
    if (m->opt->cpu_count > 0) {
        opt.cpus = &m->opt->cpus[m->threads % m->opt->cpu_count];
        opt.cpu_count = 1;
    }
    m->threads++;
    return opt;
}

/* One thread, which closes the listed channels when it ends. A failure to start cancels the pipeline, and its wait tells of it. */
#define START(m, p, name, task, arg, ...)                                                                              \
    do {                                                                                                               \
        const weir_stage_opt opt_ = next_thread((m), (name));                                                          \
        const weir_closer closes_[] = {__VA_ARGS__};                                                                   \
        (void)weir_pipeline_go((p), &opt_, (task), (arg), closes_, sizeof closes_ / sizeof closes_[0]);                \
    } while (0)

static inline void start_parsers(struct machine *m, weir_pipeline *p)
{
    const unsigned n = m->opt->parsers;
    line_chan in[PARSERS_MAX];
    message_chan out[PARSERS_MAX];
    weir_stage_opt opt;
    if (n == 1) {
        m->parsers[0].in = m->lines;
        m->parsers[0].out = m->messages;
    }
    for (unsigned i = 0; i < n; i++) {
        in[i] = m->parsers[i].in;
        out[i] = m->parsers[i].out;
    }
    if (n > 1) {
        opt = next_thread(m, "fan out");
        (void)weir_fan_out(p, m->lines, in, n, &opt);
    }
    for (unsigned i = 0; i < n; i++)
        START(m, p, "parser", parser_task, &m->parsers[i], WEIR_CLOSER(in[i]), WEIR_CLOSER(out[i]));
    if (n > 1) {
        opt = next_thread(m, "fan in");
        opt.ordered = true; /* in turn, as they were dealt out */
        (void)weir_fan_in(p, out, n, m->messages, &opt);
    }
}

static inline void show_progress(struct machine *m, weir_ns begun, const char *end)
{
    const uint64_t count = atomic_load_explicit(&m->sink.count, memory_order_relaxed);
    const double seconds = (double)(weir_now() - begun) / 1e9;
    if (m->progress)
        fprintf(stderr, "\r%" PRIu64 " messages, %.0f a second   %s", count, (double)count / seconds, end);
}

/* 0, or why the pipeline failed. Every thread has been joined. */
static inline int run_pipeline(struct machine *m)
{
    struct pollfd woken = {.fd = wake_pipe[0], .events = POLLIN};
    weir_pipeline p;
    weir_ctx_hook hook;
    const weir_ns begun = weir_now();
    int rc = machine_make(m);
    if (rc != 0) {
        machine_free(m);
        return rc;
    }
    weir_pipeline_init(&p, NULL);
    (void)weir_ctx_on_cancel(weir_pipeline_ctx(&p), &hook, wake, NULL);
    START(m, &p, "reader", reader_task, m, WEIR_CLOSER(m->lines));
    start_parsers(m, &p);
    START(m, &p, "book", builder_task, m, WEIR_CLOSER(m->messages), WEIR_CLOSER(m->updates), WEIR_CLOSER(m->blocks));
    START(m, &p, "statistics", statistics_task, m, WEIR_CLOSER(m->updates), WEIR_CLOSER(m->results));
    START(m, &p, "sink", sink_task, m, WEIR_CLOSER(m->results));
    while (poll(&woken, 1, m->progress ? 200 : -1) <= 0)
        show_progress(m, begun, "");
    if (atomic_load(&interrupted) != 0)
        weir_close(m->lines);
    rc = weir_pipeline_wait(&p);
    m->elapsed = weir_now() - begun;
    show_progress(m, begun, "\n");
    machine_free(m);
    return rc;
}

/* ---- one thread for all ---------------------------------------------------------------------------------------------------- */

/* One line through all the stages; 0, or the sink's error. */
static inline int run_line(struct machine *m, const struct line *line, struct update *update)
{
    struct message message;
    int rc;
    stage_done(&m->source.stage, line->born);
    parse_message(line, &message);
    stage_done(&m->parsers[0].stage, message.born);
    builder_step(&m->builder, &message, update);
    stage_done(&m->builder.stage, update->born);
    statistics_step(&m->statistics, update);
    stage_done(&m->statistics.stage, update->born);
    rc = sink_step(&m->sink, update);
    stage_done(&m->sink.stage, update->born);
    return rc == 0 && m->opt->pace > 0 ? sink_flush(&m->sink) : rc;
}

static inline int run_sequential(struct machine *m)
{
    const weir_ns begun = weir_now();
    weir_ns shown = begun;
    struct line line;
    struct update update = {.fault = {.code = FAULT_NONE}};
    int rc = m->opt->cpu_count > 0 ? weir_pin(m->opt->cpus[0]) : 0;
    while (rc == 0 && update.fault.code == FAULT_NONE && atomic_load(&interrupted) == 0) {
        const enum lines_result result = source_next(&m->source, &line);
        if (result == LINES_NEED_BLOCK)
            lines_give(&m->source.lines, m->source.lines.block == m->block ? m->block + 1 : m->block);
        else if (result == LINES_ONE)
            rc = run_line(m, &line, &update);
        else
            break;
        if (m->progress && weir_now() - shown > WEIR_MS(200)) {
            shown = weir_now();
            show_progress(m, begun, "");
        }
    }
    if (rc == 0)
        rc = sink_flush(&m->sink);
    m->elapsed = weir_now() - begun;
    show_progress(m, begun, "\n");
    return rc;
}

#endif /* MARKET_DATA_RUN_H */
