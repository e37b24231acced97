/* log_pipeline/options.h: the command line; log_pipeline.c says what the options mean. */
#ifndef LOG_PIPELINE_OPTIONS_H
#define LOG_PIPELINE_OPTIONS_H

#include "../common/arguments.h"
#include "table.h"
#include "weir.h"

enum { WORKERS_MAX = 64 };
enum policy { BLOCK_WHEN_FULL, DROP_NEWEST, DROP_OLDEST };

struct options {
    enum key by;
    enum policy policy;
    size_t capacity;
    unsigned workers;
    bool follow, verbose;
    const char *apt, *out;
    char **files;
    int file_count; /* 0: standard input */
};

/* The number of the word in the list, or -1. */
static inline int option_word(const char *word, const char *const *list, int n)
{
    while (--n >= 0 && strcmp(word, list[n]) != 0) {}
    return n;
}

static inline bool option_number(const char *text, long most, long *value)
{
    char *end;
    errno = 0;
    *value = strtol(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *value >= 1 && *value <= most;
}

static inline int option_set(void *options, const char *name, const char *value)
{
    static const char *const policies[] = {"block", "newest", "oldest"};
    struct options *o = (struct options *)options;
    long n = 0;
    if (strcmp(name, "--follow") == 0)
        return o->follow = true;
    if (strcmp(name, "--verbose") == 0)
        return o->verbose = true;
    if (value == NULL)
        return 0;
    if (strcmp(name, "--by") == 0 && (n = option_word(value, table_keys, 4)) >= 0)
        o->by = (enum key)n;
    else if (strcmp(name, "--full") == 0 && (n = option_word(value, policies, 3)) >= 0)
        o->policy = (enum policy)n;
    else if (strcmp(name, "--queue") == 0 && option_number(value, 1000000, &n))
        o->capacity = (size_t)n;
    else if (strcmp(name, "--workers") == 0 && option_number(value, WORKERS_MAX, &n))
        o->workers = (unsigned)n;
    else if (strcmp(name, "--apt") == 0)
        o->apt = value;
    else if (strcmp(name, "--out") == 0)
        o->out = value;
    else
        return 0;
    return 2;
}

/* 0 or the exit status. */
static inline int options_read(struct options *o, int argc, char **argv)
{
    int files;
    o->capacity = 256;
    o->workers = (unsigned)(weir_cpu_count() < WORKERS_MAX ? weir_cpu_count() : WORKERS_MAX);
    files = arguments_read(argc, argv, option_set, o);
    if (files < 0)
        return 2;
    o->files = argv + files;
    o->file_count = argc - files;
    return 0;
}

#endif /* LOG_PIPELINE_OPTIONS_H */
