/* stream_processor/options.h: the command line; stream_processor.c says what the options mean. */
#ifndef STREAM_PROCESSOR_OPTIONS_H
#define STREAM_PROCESSOR_OPTIONS_H

#include "../common/arguments.h"
#include "weir.h"

enum { WORKERS_MAX = 64, COLUMNS_MAX = 64 };
enum { TIME, KEY, PRICE, SIZE, COLUMNS };

struct options {
    unsigned column[COLUMNS]; /* from 1 */
    weir_ns window, lateness;
    unsigned workers;
    double rate, at; /* 0: no limit; not at the speed of the times */
    bool live;
    char **files;
    int file_count; /* 0: standard input */
};

/* Positive, and at most so much. */
static inline bool option_number(const char *text, double most, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return *text >= '0' && *text <= '9' && *end == '\0' && *value > 0 && *value <= most;
}

/* "1,2,5,4" */
static inline bool option_columns(struct options *o, const char *text)
{
    char *end;
    for (int i = 0; i < COLUMNS; i++, text = end + 1) {
        const long n = strtol(text, &end, 10);
        if (*text < '0' || *text > '9' || n < 1 || n > COLUMNS_MAX || *end != (i + 1 < COLUMNS ? ',' : '\0'))
            return false;
        o->column[i] = (unsigned)n;
    }
    return true;
}

static inline int option_set(void *options, const char *name, const char *value)
{
    struct options *o = (struct options *)options;
    double n = 0;
    if (strcmp(name, "--live") == 0)
        return o->live = true;
    if (value == NULL)
        return 0;
    if (strcmp(name, "--columns") == 0)
        return option_columns(o, value) ? 2 : 0;
    if (strcmp(name, "--late") == 0 && strcmp(value, "0") == 0)
        o->lateness = 0;
    else if (strcmp(name, "--late") == 0 && option_number(value, 1e6, &n))
        o->lateness = (weir_ns)(n * 1e9);
    else if (strcmp(name, "--window") == 0 && option_number(value, 1e6, &n) && n >= 0.001)
        o->window = (weir_ns)(n * 1e9);
    else if (strcmp(name, "--workers") == 0 && option_number(value, WORKERS_MAX, &n) && n == (double)(unsigned)n)
        o->workers = (unsigned)n;
    else if (strcmp(name, "--rate") == 0 && option_number(value, 1e9, &n))
        o->rate = n;
    else if (strcmp(name, "--at") == 0 && option_number(value, 1e9, &n))
        o->at = n;
    else
        return 0;
    return 2;
}

/* 0 or the exit status. */
static inline int options_read(struct options *o, int argc, char **argv)
{
    int files;
    (void)option_columns(o, "1,2,5,4");
    o->window = WEIR_SEC(60);
    o->workers = (unsigned)(weir_cpu_count() < WORKERS_MAX ? weir_cpu_count() : WORKERS_MAX);
    o->live = isatty(STDOUT_FILENO) == 1;
    files = arguments_read(argc, argv, option_set, o);
    if (files < 0)
        return 2;
    o->files = argv + files;
    o->file_count = argc - files;
    return 0;
}

#endif /* STREAM_PROCESSOR_OPTIONS_H */
