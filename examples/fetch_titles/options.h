/* fetch_titles/options.h: the command line: names, values and limits of the options. */
#ifndef FETCH_TITLES_OPTIONS_H
#define FETCH_TITLES_OPTIONS_H

#include "weir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS_MAX = 256 };
enum { WORKERS, ATTEMPTS, DELAY, TIMEOUT, DEADLINE, BYTES, RATE, BURST, FAILURES, OPEN, GRACE, OPTIONS };
static struct option {
    const char *name;
    long value, most;
} option[OPTIONS] = {{"--workers", 8, WORKERS_MAX}, {"--attempts", 4, 1000},         {"--delay", 200, 3600000},
                     {"--timeout", 5000, 3600000},  {"--deadline", 60000, 86400000}, {"--bytes", 65536, 1 << 30},
                     {"--rate", 20, 1000000},       {"--burst", 5, 1000000},         {"--failures", 5, 1000000},
                     {"--open", 2000, 3600000},     {"--grace", 3000, 3600000}};

static inline weir_ns ms(int which)
{
    return WEIR_MS(option[which].value);
}

/* The index of the first argument that is no option; -1: one is not as it should be. */
static inline int options_read(int argc, char **argv)
{
    int i = 1, which;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        char *end;
        for (which = 0; which < OPTIONS && strcmp(argv[i], option[which].name) != 0; which++) {}
        if (which == OPTIONS)
            return -1;
        option[which].value = strtol(argv[i + 1], &end, 10);
        if (*end != '\0' || option[which].value < 1 || option[which].value > option[which].most)
            return -1;
    }
    return i;
}

static inline void options_usage(void)
{
    fprintf(stderr, "usage: fetch_titles [OPTION N]... DATABASE [FILE]     options: ");
    for (int i = 0; i < OPTIONS; i++)
        fprintf(stderr, "%s %ld%s", option[i].name, option[i].value, i + 1 < OPTIONS ? ", " : "\n");
}

#endif /* FETCH_TITLES_OPTIONS_H */
