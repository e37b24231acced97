/* What the tests of flow share: channels of numbers, a counting source, and a sink that checks order and sum. */
#ifndef TEST_FLOW_H
#define TEST_FLOW_H

#include "harness.h"

typedef weir_chan(int) int_chan;
typedef weir_spsc(int) int_line;

struct source {
    int next, end; /* makes next .. end - 1 */
    int fail_at;   /* returns 7 instead of this value; -1: never */
};

static inline int count_up(weir_ctx *ctx, void *arg, void *value)
{
    struct source *s = (struct source *)arg;
    (void)ctx;
    if (s->next == s->end)
        return EPIPE;
    if (s->next == s->fail_at)
        return 7;
    memcpy(value, &s->next, sizeof s->next);
    s->next++;
    return 0;
}

static inline int negate(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, in, sizeof v);
    v = -v;
    memcpy(out, &v, sizeof v);
    return 0;
}

struct tally {
    int64_t sum;
    int count, last, out_of_order;
    int enough; /* wants no more after so many; 0: takes all */
};

static inline int tally_up(weir_ctx *ctx, void *arg, const void *value)
{
    struct tally *t = (struct tally *)arg;
    int v;
    (void)ctx;
    memcpy(&v, value, sizeof v);
    if (t->count > 0 && v >= t->last) /* negated: falls */
        t->out_of_order++;
    t->last = v;
    t->sum += v;
    t->count++;
    return t->enough != 0 && t->count == t->enough ? EPIPE : 0;
}

/* Takes a while, so that others come in between: a microsecond or less for each turn. Not yields, each of which takes a slice beside a busy program. */
static inline void dawdle(int turns)
{
    for (int i = 0; i < turns * 16; i++)
        WEIR_CPU_PAUSE();
}

static inline int threads_alive(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int n = 0;
    while (tasks != NULL && readdir(tasks) != NULL)
        n++;
    if (tasks != NULL)
        closedir(tasks);
    return n;
}

#endif
