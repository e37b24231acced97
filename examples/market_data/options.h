/* market_data/options.h: the command line. */
#ifndef MARKET_DATA_OPTIONS_H
#define MARKET_DATA_OPTIONS_H

#include "weir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARSERS_MAX = 16, CPUS_MAX = 64, REPEAT_MAX = 1000000 };

struct options {
    const char *messages, *book, *bbo_out, *json;
    bool sequential;
    unsigned parsers, repeat;
    weir_wait_strategy wait;
    int cpus[CPUS_MAX];
    size_t cpu_count;
    double pace; /* 0: as fast as it goes */
};

static const char *const wait_names[] = {[WEIR_WAIT_ADAPTIVE] = "adaptive",
                                         [WEIR_WAIT_SPIN] = "spin",
                                         [WEIR_WAIT_YIELD] = "yield",
                                         [WEIR_WAIT_PARK] = "park"};

static const char usage_text[] =
    "usage: market_data [options]\n"
    "Replays order flow through reader, parser, book builder, statistics and sink, each on a thread of its own.\n"
    "  --messages FILE  what to replay (examples/data/aapl_2012-06-21_head_messages.csv); /dev/stdin will do\n"
    "  --book FILE      start with the book of its first row, which is the state after the first message, and compare\n"
    "                   the best level after each later message with its rows\n"
    "  --bbo-out FILE   write ask price,ask size,bid price,bid size after every message; - is standard output, and\n"
    "                   the report then goes to standard error\n"
    "  --json FILE      write the report as JSON; - as above\n"
    "  --sequential     all in one thread, without a channel\n"
    "  --parsers N      parse in N threads (1 to 16), and put the messages in order again\n"
    "  --wait HOW       how a thread waits for its channels: adaptive, spin, yield, park\n"
    "  --pin 0,1,...    pin the threads to these CPUs, one after the other, from the front again when they run out\n"
    "  --repeat N       replay the file N times, each time from a fresh book; the first replay is the one that is\n"
    "                   written, compared and counted, the others are for timing\n"
    "  --pace X         at X times the recorded speed; latency then counts from when a message was due\n"
    "Exit status: 0; 1 bad input or output; 2 bad usage; 130 after SIGINT, with all that was read written.\n";

static inline bool option_unsigned(const char *text, unsigned most, unsigned *value)
{
    char *end;
    unsigned long v;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    v = strtoul(text, &end, 10);
    *value = (unsigned)v;
    return *end == '\0' && errno == 0 && v >= 1 && v <= most;
}

static inline bool option_pace(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= 1e-6 && *value <= 1e12;
}

static inline bool option_wait(const char *text, weir_wait_strategy *value)
{
    for (size_t i = 0; i < sizeof wait_names / sizeof wait_names[0]; i++)
        if (strcmp(text, wait_names[i]) == 0) {
            *value = (weir_wait_strategy)i;
            return true;
        }
    return false;
}

static inline bool option_cpus(const char *text, struct options *o)
{
    for (o->cpu_count = 0; o->cpu_count < CPUS_MAX; text++) {
        char *end;
        const long cpu = *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : -1;
        if (cpu < 0 || cpu > INT32_MAX)
            return false;
        o->cpus[o->cpu_count++] = (int)cpu;
        text = end;
        if (*text == '\0')
            return true;
        if (*text != ',')
            return false;
    }
    return false;
}

/* False: no such option, or not such a value. */
static inline bool option_set(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--messages") == 0)
        return o->messages = value, true;
    if (strcmp(name, "--book") == 0)
        return o->book = value, true;
    if (strcmp(name, "--bbo-out") == 0)
        return o->bbo_out = value, true;
    if (strcmp(name, "--json") == 0)
        return o->json = value, true;
    if (strcmp(name, "--parsers") == 0)
        return option_unsigned(value, PARSERS_MAX, &o->parsers);
    if (strcmp(name, "--repeat") == 0)
        return option_unsigned(value, REPEAT_MAX, &o->repeat);
    if (strcmp(name, "--wait") == 0)
        return option_wait(value, &o->wait);
    if (strcmp(name, "--pin") == 0)
        return option_cpus(value, o);
    if (strcmp(name, "--pace") == 0)
        return option_pace(value, &o->pace);
    return false;
}

static inline bool option_is_stdout(const char *file)
{
    return file != NULL && strcmp(file, "-") == 0;
}

/* Reads `--name value` and `--name=value`. 0; -1: help was asked for and given; 2: bad usage, and said so. */
static inline int options_read(struct options *o, int argc, char **argv)
{
    memset(o, 0, sizeof *o);
    o->messages = "examples/data/aapl_2012-06-21_head_messages.csv";
    o->parsers = o->repeat = 1;
    for (int i = 1; i < argc; i++) {
        char *equals = strncmp(argv[i], "--", 2) == 0 ? strchr(argv[i], '=') : NULL;
        const char *name = argv[i], *value = equals != NULL ? equals + 1 : argv[i + 1];
        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
            fputs(usage_text, stdout);
            return -1;
        }
        if (strcmp(name, "--sequential") == 0) {
            o->sequential = true;
            continue;
        }
        if (equals != NULL)
            *equals = '\0';
        if (value == NULL || !option_set(o, name, value)) {
            fprintf(stderr, "market_data: bad option: %s%s%s\n%s", name, value == NULL ? "" : " ",
                    value == NULL ? "" : value, usage_text);
            return 2;
        }
        if (equals == NULL)
            i++;
    }
    if (option_is_stdout(o->bbo_out) && option_is_stdout(o->json)) {
        fputs("market_data: --bbo-out and --json cannot both go to standard output\n", stderr);
        return 2;
    }
    return 0;
}

#endif /* MARKET_DATA_OPTIONS_H */
