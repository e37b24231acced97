/* bench/bench_pipeline.c: a source, 1, 3 or 8 maps, and a sink, beside the same in Go.
 *
 *   build/bench/bench_pipeline [ROUNDS]
 *
 * Each of them in one thread (goroutine), channels of 256 numbers of 64 bits between them; a map adds one. Nanoseconds for one number, from the first until all have
 * arrived, the starting and joining of the threads included: the median of ROUNDS (5) runs, in which the rows take turns.
 *   spsc      weir_generate, weir_map, weir_sink over weir_spsc: the stage function is called through a pointer
 *   loops     the same over weir_pipeline_go and the loops of flow/loop.h, into which it inlines
 *   chan      the first over weir_chan, the channel of many to many
 *   fused     all maps in one thread (weir_map_fused)
 */
#include "rows.h"

#define WEIR_IMPLEMENTATION
#include <weir.h>

enum { CAPACITY = 256, MAPS_MAX = 8, K = 1000 };

typedef weir_spsc(int64_t) line;
typedef weir_chan(int64_t) crowd;

static int64_t made, count, sum;

static int make_number(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    (void)arg;
    if (made == count)
        return EPIPE;
    *(int64_t *)value = made++;
    return 0;
}

static int add_one(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)arg;
    *(int64_t *)out = *(const int64_t *)in + 1;
    return 0;
}

static int add_up(weir_ctx *ctx, void *arg, const void *value)
{
    (void)ctx;
    (void)arg;
    sum += *(const int64_t *)value;
    return 0;
}

static int generates(weir_ctx *ctx, void *arg)
{
    return weir_generate_loop(ctx, ((line *)arg)[0], make_number, NULL);
}

static int maps(weir_ctx *ctx, void *arg)
{
    return weir_map_loop(ctx, ((line *)arg)[0], ((line *)arg)[1], add_one, NULL);
}

static int sinks(weir_ctx *ctx, void *arg)
{
    return weir_sink_loop(ctx, ((line *)arg)[0], add_up, NULL);
}

#define STAGES(type)                                                                                                   \
    static int type##_stages(weir_pipeline *p, int n)                                                                  \
    {                                                                                                                  \
        static type ch[MAPS_MAX + 1];                                                                                  \
        int rc = 0;                                                                                                    \
        for (int i = 0; i <= n; i++) {                                                                                 \
            weir_chan_free(&ch[i]);                                                                                    \
            rc |= weir_chan_make(&ch[i], CAPACITY);                                                                    \
        }                                                                                                              \
        rc |= weir_generate(p, ch[0], make_number, NULL, NULL);                                                        \
        for (int i = 0; i < n; i++)                                                                                    \
            rc |= weir_map(p, ch[i], ch[i + 1], add_one, NULL, NULL);                                                  \
        return rc | weir_sink(p, ch[n], add_up, NULL, NULL);                                                           \
    }
STAGES(line)
STAGES(crowd)

static int loop_stages(weir_pipeline *p, int n)
{
    static line ch[MAPS_MAX + 1];
    int rc = 0;
    for (int i = 0; i <= n; i++) {
        weir_chan_free(&ch[i]);
        rc |= weir_chan_make(&ch[i], CAPACITY);
    }
    for (int i = 0; i <= n; i++) {
        weir_closer closes[] = {WEIR_CLOSER(ch[i])};
        rc |= weir_pipeline_go(p, NULL, i == 0 ? generates : maps, &ch[i == 0 ? 0 : i - 1], closes, 1);
    }
    return rc | weir_pipeline_go(p, NULL, sinks, &ch[n], NULL, 0);
}

static int fused_stages(weir_pipeline *p, int n)
{
    static line ch[2];
    weir_map_step steps[MAPS_MAX];
    for (int i = 0; i < n; i++)
        steps[i] = (weir_map_step){add_one, NULL, sizeof(int64_t)};
    for (int i = 0; i < 2; i++) {
        weir_chan_free(&ch[i]);
        if (weir_chan_make(&ch[i], CAPACITY) != 0)
            return ENOMEM;
    }
    return weir_generate(p, ch[0], make_number, NULL, NULL) | weir_map_fused(p, ch[0], ch[1], steps, (size_t)n, NULL) |
           weir_sink(p, ch[1], add_up, NULL, NULL);
}

/* threads: how many maps. */
static double run_pipeline(const struct row *r, int (*stages)(weir_pipeline *p, int n))
{
    weir_pipeline p;
    made = sum = 0;
    count = r->operations;
    const int64_t begun = bench_now();
    weir_pipeline_init(&p, NULL);
    if (stages(&p, r->threads) != 0 || weir_pipeline_wait(&p) != 0)
        return -1;
    const double took = (double)(bench_now() - begun) / (double)count;
    return sum == count * (count - 1) / 2 + count * r->threads ? took : -1;
}

static double run_line(const struct row *r)
{
    return run_pipeline(r, line_stages);
}
static double run_crowd(const struct row *r)
{
    return run_pipeline(r, crowd_stages);
}
static double run_loops(const struct row *r)
{
    return run_pipeline(r, loop_stages);
}
static double run_fused(const struct row *r)
{
    return run_pipeline(r, fused_stages);
}
static double run_go(const struct row *r)
{
    char command[100];
    snprintf(command, sizeof command, "./build/bench/pipeline_go %lld %d 2>/dev/null", (long long)r->operations,
             r->threads);
    return row_program(command);
}

#define ROWS(n, operations)                                                                                            \
    {"weir: spsc", #n " maps", NULL, run_line, n, operations, 4},                                                      \
        {"weir: loops", "", NULL, run_loops, n, operations, 3}, {"weir: chan", "", NULL, run_crowd, n, operations, 2}, \
        {"weir: fused", "", NULL, run_fused, n, operations, 1},                                                        \
    {                                                                                                                  \
        "Go", "", NULL, run_go, n, operations, 0                                                                       \
    }

int main(int argc, char **argv)
{
    static const struct row rows[] = {ROWS(1, 4000 * K), ROWS(3, 2000 * K), ROWS(8, 1000 * K)};
    return rows_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
