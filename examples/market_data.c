/* market_data.c: replays real NASDAQ order flow through a pipeline of weir channels, and keeps the order book.
 *
 *     reader ──► parser ──► book builder ──► statistics ──► sink        each on a thread of its own
 *
 * Overview
 *   Build and run:  make demo       or:  cc -std=c11 -O2 -Iinclude -pthread examples/market_data.c -o market_data
 *   Options:        market_data --help
 *   Data:           examples/data/README.md
 *   --sequential does the same in one thread without a channel; the output of every configuration is the same, byte for byte.
 *
 * Where to read
 *   market_data/lines.h    a file of any length in bounded memory, cut into lines without a copy
 *   market_data/parse.h    from a line to a message;   fault.h   what can be wrong with one
 *   market_data/book.h     the order book
 *   market_data/stages.h   what each stage does with one message
 *   market_data/run.h      the channels and threads, and how they end: here is weir
 *   market_data/report.h   throughput, latency percentiles, time blocked;   options.h   the command line
 *
 * Needs C11, POSIX, and include/weir.h.
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include "market_data/report.h"

static struct machine machine; /* histograms and blocks are large: not for a stack */

/* For the input: FILE:0, as there is no line yet. */
static int open_input(const char *file)
{
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && atomic_load(&interrupted) == 0)
        fprintf(stderr, "%s:0: cannot be read: %s\n", file, strerror(errno));
    return fd;
}

static int output_failed(const char *file, int error)
{
    fprintf(stderr, "market_data: %s: %s\n", option_is_stdout(file) ? "standard output" : file, strerror(error));
    return 1;
}

/* Makes the first row of the book file the seed of every replay. 0 or the exit status. */
static int seed_book(struct machine *m)
{
    struct lines *l = &m->statistics.book;
    struct builder *b = &m->builder;
    struct line line;
    struct fault fault = {FAULT_NONE, true, 0};
    int64_t row[BOOK_COLUMNS];
    (void)lines_next_alone(l, &line, m->book_block); /* one line, or a fault: an empty file is one */
    m->statistics.columns = parse_book_row(&line, row, 0, &fault);
    for (unsigned i = 0; i < m->statistics.columns && fault.code == FAULT_NONE; i += 4) {
        fault.code = side_add(&b->seed.ask, -row[i], row[i + 1]);
        if (fault.code == FAULT_NONE)
            fault.code = side_add(&b->seed.bid, row[i + 2], row[i + 3]);
    }
    if (fault.code != FAULT_NONE) {
        fault_print(stderr, m->opt->book, 1, fault);
        return 1;
    }
    b->seeded = true;
    return 0;
}

/* The stages, the files, the book. 0 or the exit status. */
static int set_up(struct machine *m, const struct options *o)
{
    m->opt = o;
    m->source.stage.name = "reader";
    m->parsers[0].stage.name = "parser";
    m->builder.stage.name = "book";
    m->statistics.stage.name = "statistics";
    m->sink.stage.name = "sink";
    m->progress = isatty(STDERR_FILENO) != 0;
    m->source.repeat = o->repeat;
    m->source.pace = o->pace;
    m->statistics.blocks = m->book_block;
    m->statistics.book = (struct lines){.fd = -1, .wake = -1, .in_book = true};
    m->sink.fd = -1;
    m->source.lines = (struct lines){.fd = open_input(o->messages), .wake = wake_pipe[0]};
    if (m->source.lines.fd < 0)
        return 1;
    if (o->repeat > 1 && lseek(m->source.lines.fd, 0, SEEK_CUR) < 0) {
        fprintf(stderr, "%s:0: --repeat needs a file that can be read again: %s\n", o->messages, strerror(errno));
        return 1;
    }
    if (o->book != NULL) {
        m->statistics.book.fd = open_input(o->book);
        if (m->statistics.book.fd < 0 || seed_book(m) != 0)
            return 1;
    }
    if (o->bbo_out != NULL) {
        m->sink.fd = option_is_stdout(o->bbo_out) ? dup(STDOUT_FILENO)
                                                  : open(o->bbo_out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (m->sink.fd < 0)
            return output_failed(o->bbo_out, errno);
    }
    return 0;
}

/* Says what went wrong, if anything did. rc: what the pipeline ended with. Returns the exit status. */
static int judge(struct machine *m, int rc)
{
    const struct options *o = m->opt;
    struct sink *s = &m->sink;
    if (s->fd >= 0 && close(s->fd) != 0 && s->error == 0) /* some file systems tell only now */
        s->error = errno;
    if (s->error != 0)
        return output_failed(o->bbo_out, s->error);
    if (rc == EINVAL && o->cpu_count > 0) {
        fputs("market_data: --pin: this process may not run on one of these CPUs\n", stderr);
        return 1;
    }
    if (rc != 0) {
        fprintf(stderr, "market_data: %s\n", weir_error_text(rc));
        return 1;
    }
    if (s->fault.code != FAULT_NONE) {
        fault_print(stderr, s->fault.in_book ? o->book : o->messages, s->fault_line, s->fault);
        return 1;
    }
    return atomic_load(&interrupted) != 0 ? 130 : 0;
}

static int write_json(const struct report *r, const char *file)
{
    FILE *to = option_is_stdout(file) ? stdout : fopen(file, "w");
    int failed;
    if (to == NULL)
        return output_failed(file, errno);
    errno = 0;
    report_json(r, to);
    failed = ferror(to);
    failed |= to == stdout ? fflush(to) : fclose(to);
    return failed != 0 ? output_failed(file, errno) : 0;
}

int main(int argc, char **argv)
{
    struct machine *m = &machine;
    struct options options;
    struct report report;
    FILE *to;
    int status = options_read(&options, argc, argv), rc;
    if (status != 0)
        return status < 0 ? 0 : status;
    rc = catch_signals();
    if (rc != 0) {
        fprintf(stderr, "market_data: %s\n", strerror(rc));
        return 1;
    }
    status = set_up(m, &options);
    if (status != 0)
        return atomic_load(&interrupted) != 0 ? 130 : status;
    rc = options.sequential ? run_sequential(m) : run_pipeline(m);
    status = judge(m, rc);
    report = report_of(m, status == 0);
    to = option_is_stdout(options.bbo_out) || option_is_stdout(options.json) ? stderr : stdout;
    errno = 0;
    report_print(&report, to);
    if (fflush(to) != 0 && status == 0)
        status = output_failed("-", errno);
    if (options.json != NULL && (rc = write_json(&report, options.json)) != 0 && status == 0)
        status = rc;
    book_free(&m->builder.book);
    book_free(&m->builder.seed);
    return status;
}
