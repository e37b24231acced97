/* market_data/stages.h: what each of the five stages does with one message. Nothing here knows of threads or channels: run.h calls
 * these from a thread per stage, or all of them from one.
 *
 *     source_next ──line──► parse_message ──message──► builder_step ──update──► statistics_step ──update──► sink_step
 */
#ifndef MARKET_DATA_STAGES_H
#define MARKET_DATA_STAGES_H

#include "book.h"
#include "weir.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <time.h>

/* The book's best level after a message. One cache line. */
struct update {
    struct bbo best;
    int64_t born;
    uint64_t line;
    int64_t traded; /* shares; 0: no trade */
    uint32_t replay;
    struct fault fault;
};

/* What is measured of a stage. */
struct stage {
    const char *name;
    weir_ns blocked_in, blocked_out; /* waiting for a message; for room to hand one on */
    weir_ns since;                   /* when the present wait began */
    weir_hist latency;               /* from when a message was born until this stage was done with it, ns */
};

static inline void stage_done(struct stage *s, weir_ns born)
{
    weir_hist_record(&s->latency, weir_now() - born);
}

/* ---- reader ---------------------------------------------------------------------------------------------------------------- */

struct source {
    struct stage stage;
    struct lines lines;
    uint32_t replay, repeat;
    double pace;
    bool paced;    /* base and first are set */
    weir_ns base;  /* when the first message of this replay was due */
    int64_t first; /* its recorded time */
    weir_ns due;   /* of the last message */
};

/* Waits until `due`; false: woken up to stop. Long waits can be woken, short ones are exact: a sleep overruns by some 60 µs. */
static inline bool source_wait(const struct source *s, weir_ns due)
{
    struct pollfd wake = {.fd = s->lines.wake, .events = POLLIN};
    weir_ns left;
    while ((left = due - weir_now()) > 0) {
        if (left > WEIR_MS(2)) {
            if (poll(&wake, 1, left > WEIR_SEC(1) ? 1000 : (int)(left / WEIR_MS(1)) - 1) > 0)
                return false;
        } else if (left > WEIR_US(200)) {
            const struct timespec pause = {0, (long)(left - WEIR_US(100))};
            (void)nanosleep(&pause, NULL);
        } else {
            WEIR_CPU_YIELD();
        }
    }
    return true;
}

/* With --pace a message is born when it was due, however late we are: then a stall counts against each message that it delayed, and
 * not only against the first ("coordinated omission", G. Tene). */
static inline bool source_stamp(struct source *s, struct line *line)
{
    int64_t recorded;
    if (s->pace == 0 || !parse_time(line, &recorded)) {
        line->born = weir_now();
        return true;
    }
    if (!s->paced) {
        s->paced = true;
        s->first = recorded;
        s->base = s->due = weir_now();
    }
    const double after = (double)(recorded - s->first) / s->pace;
    const weir_ns due = weir_time_add(s->base, after > 9e18 ? WEIR_FOREVER : (weir_ns)after);
    if (due > s->due) /* recorded times that step back are due at once */
        s->due = due;
    line->born = s->due;
    return source_wait(s, s->due);
}

/* The next line of this replay, or the first of the next one. */
static inline enum lines_result source_next(struct source *s, struct line *line)
{
    enum lines_result result = lines_next(&s->lines, line);
    if (result == LINES_END && s->replay + 1 < s->repeat) {
        const int rc = lines_rewind(&s->lines);
        s->replay++;
        s->paced = false;
        result = rc == 0 ? lines_next(&s->lines, line) : lines_fault(&s->lines, line, FAULT_READ, rc);
    }
    if (result != LINES_ONE)
        return result;
    line->replay = s->replay;
    return source_stamp(s, line) ? LINES_ONE : LINES_STOPPED;
}

/* ---- book builder ---------------------------------------------------------------------------------------------------------- */

struct builder {
    struct stage stage;
    struct book book, seed;
    bool seeded;      /* the seed is the book after the first message */
    uint64_t unknown; /* reductions of a level that is not there, in the first replay */
};

static inline void builder_step(struct builder *b, const struct message *m, struct update *u)
{
    uint64_t unknown = 0;
    memset(u, 0, sizeof *u);
    u->born = m->born;
    u->line = m->line;
    u->replay = m->replay;
    u->fault = m->fault;
    if (u->fault.code != FAULT_NONE)
        return;
    if (m->line == 1 && !book_copy(&b->book, &b->seed)) { /* each replay starts afresh */
        u->fault.code = FAULT_MEMORY;
        return;
    }
    if (!b->seeded || m->line != 1)
        u->fault.code = book_apply(&b->book, m, &unknown);
    if (m->replay == 0)
        b->unknown += unknown;
    if (m->type == TYPE_EXECUTE || m->type == TYPE_EXECUTE_HIDDEN)
        u->traded = m->size;
    book_best(&b->book, &u->best);
}

/* ---- statistics ------------------------------------------------------------------------------------------------------------ */

/* Of the first replay. */
struct statistics {
    struct stage stage;
    uint64_t trades;
    int64_t volume;
    struct bbo best;
    struct lines book; /* the book file, from its second row on; fd -1: none */
    struct block *blocks;
    unsigned columns;
    uint64_t agree, differ;
    bool ended; /* the book file, before the messages */
};

/* Compares with the next row of the book file; a bad one becomes the message's fault. */
static inline void statistics_compare(struct statistics *s, struct update *u)
{
    struct line line;
    int64_t row[BOOK_COLUMNS];
    const enum lines_result result = lines_next_alone(&s->book, &line, s->blocks);
    if (result != LINES_ONE) {
        s->ended = true;
        return;
    }
    (void)parse_book_row(&line, row, s->columns, &u->fault);
    if (u->fault.code != FAULT_NONE)
        u->line = line.number;
    else if (row[0] == u->best.ask && row[1] == u->best.ask_size && row[2] == u->best.bid && row[3] == u->best.bid_size)
        s->agree++;
    else
        s->differ++;
}

static inline void statistics_step(struct statistics *s, struct update *u)
{
    if (u->replay > 0 || u->fault.code != FAULT_NONE)
        return;
    if (s->book.fd >= 0 && !s->ended && u->line > 1)
        statistics_compare(s, u);
    if (u->fault.code == FAULT_NONE && s->volume > INT64_MAX - u->traded)
        u->fault.code = FAULT_VOLUME;
    if (u->fault.code != FAULT_NONE)
        return;
    s->trades += u->traded > 0 ? 1 : 0;
    s->volume += u->traded;
    s->best = u->best;
}

/* ---- sink ------------------------------------------------------------------------------------------------------------------ */

enum { OUT_BYTES = 64 * 1024, OUT_LINE_BYTES = 4 * 21 };

struct sink {
    struct stage stage;
    int fd;             /* -1: nothing is to be written */
    int error;          /* errno value of the write that failed */
    struct fault fault; /* what the input ended with */
    uint64_t fault_line;
    _Atomic uint64_t count; /* messages; the main thread shows it meanwhile */
    size_t used;
    char out[OUT_BYTES];
};

static inline char *put_integer(char *at, int64_t value, char after)
{
    char digits[20];
    int n = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    if (value < 0)
        *at++ = '-';
    do {
        digits[n++] = (char)('0' + rest % 10);
    } while ((rest /= 10) > 0);
    while (n > 0)
        *at++ = digits[--n];
    *at++ = after;
    return at;
}

/* Writes out what is there; 0 or EIO: a pipeline takes EPIPE for a peaceful end, so the real reason stands in `error`. */
static inline int sink_flush(struct sink *s)
{
    size_t done = 0;
    while (s->error == 0 && done < s->used) {
        const ssize_t n = write(s->fd, s->out + done, s->used - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            s->error = errno;
    }
    s->used = 0;
    return s->error == 0 ? 0 : EIO;
}

static inline int sink_step(struct sink *s, const struct update *u)
{
    char *at;
    if (u->fault.code != FAULT_NONE) {
        s->fault = u->fault;
        s->fault_line = u->line;
        return 0;
    }
    atomic_store_explicit(&s->count, atomic_load_explicit(&s->count, memory_order_relaxed) + 1, memory_order_relaxed);
    if (s->fd < 0)
        return 0;
    at = s->out + s->used;
    at = put_integer(at, u->best.ask, ',');
    at = put_integer(at, u->best.ask_size, ',');
    at = put_integer(at, u->best.bid, ',');
    at = put_integer(at, u->best.bid_size, '\n');
    if (u->replay > 0) /* for timing only: the same work, but not in the file */
        return 0;
    s->used = (size_t)(at - s->out);
    return s->used > OUT_BYTES - OUT_LINE_BYTES ? sink_flush(s) : 0;
}

#endif /* MARKET_DATA_STAGES_H */
