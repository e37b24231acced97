/* stream_processor/source.h: the rows of one file or pipe; bad lines are told of, and counted. */
#ifndef STREAM_PROCESSOR_SOURCE_H
#define STREAM_PROCESSOR_SOURCE_H

#include "../market_data/lines.h" /* cuts a file into lines */
#include "options.h"
#include "row.h"

struct source {
    const char *name;
    const struct options *options;
    weir_ctx *stop; /* it ends, and lines.wake becomes readable: no more rows */
    struct lines lines;
    struct block *blocks; /* two */
    long rows, bad;
    bool unreadable;
};

/* 0 or an errno value. Before rows are read, stop and lines.wake are to be set. */
static inline int source_open(struct source *s, const char *name, const struct options *o)
{
    s->name = name;
    s->options = o;
    s->lines.fd = argument_open(name);
    if (s->lines.fd < 0)
        return errno;
    s->blocks = (struct block *)or_die(malloc(2 * sizeof *s->blocks));
    return 0;
}

static inline void source_close(struct source *s)
{
    free(s->blocks);
    if (s->lines.fd > STDIN_FILENO)
        close(s->lines.fd);
}

/* Waits for the next row. EPIPE: there is none, or the program stops. */
static inline int source_next(struct source *s, struct row *row)
{
    struct line line;
    const char *fault;
    while (weir_ctx_err(s->stop) == 0 && lines_next_alone(&s->lines, &line, s->blocks) == LINES_ONE) {
        if (line.fault.code == FAULT_EMPTY)
            break;
        if (line.fault.code != FAULT_NONE) { /* the last line */
            fprintf(stderr, "%s:%ld: %s\n", s->name, s->rows + 1,
                    line.fault.code == FAULT_READ ? strerror(line.fault.detail) : "the line is too long");
            s->unreadable = true;
            break;
        }
        s->rows++;
        if ((fault = row_parse(s->options->column, &line, row)) == NULL)
            return 0;
        s->bad++;
        fprintf(stderr, "%s:%ld: %s\n", s->name, s->rows, fault);
    }
    return EPIPE;
}

#endif /* STREAM_PROCESSOR_SOURCE_H */
