/* bench/worker_select.c: select over weir's channels.
 *
 *     worker_select KIND one N 1 COUNT CPU CPU    one thread sends COUNT values to one of N channels; another receives by select over all N
 *     worker_select KIND all N 1 COUNT CPU CPU    the same, the values dealt to the N channels in turn
 *     worker_select KIND try N 1 COUNT CPU CPU    COUNT times a try over N channels that are idle; one thread, on the first CPU
 *
 * KIND is spsc or mpmc. Capacity and checks as in worker.h; exit status and output too.
 */
#include "worker.h"

#define WEIR_IMPLEMENTATION
#include <weir/all.h>

#define CHANNELS_MAX 64

static struct select_shape {
    unsigned channels;
    bool all; /* values go to all of them, not to one */
} shape;

/* For one kind: the run's channels, its two threads, and the loop of tries. */
#define SELECTS(name, handle)                                                                                          \
    typedef handle(uint64_t) name##_t;                                                                                 \
    static name##_t name##_channels[CHANNELS_MAX];                                                                     \
    static bool name##_make(unsigned n)                                                                                \
    {                                                                                                                  \
        for (unsigned i = 0; i < n; i++)                                                                               \
            if (weir_chan_make(&name##_channels[i], BENCH_CAPACITY) != 0)                                              \
                return false;                                                                                          \
        return true;                                                                                                   \
    }                                                                                                                  \
    static void *name##_feed(void *arg)                                                                                \
    {                                                                                                                  \
        bench_thread *t = (bench_thread *)arg;                                                                         \
        const unsigned n = shape.channels;                                                                             \
        bench_begin(t);                                                                                                \
        for (uint64_t v = t->first; v <= t->last; v++)                                                                 \
            (void)weir_send(NULL, name##_channels[shape.all ? v % n : n / 2], &v);                                     \
        bench_finish(t);                                                                                               \
        return NULL;                                                                                                   \
    }                                                                                                                  \
    static unsigned name##_cases(weir_case *cases, unsigned n, uint64_t *v)                                            \
    {                                                                                                                  \
        for (unsigned i = 0; i < n; i++)                                                                               \
            cases[i] = WEIR_RECV(name##_channels[i], v);                                                               \
        return n;                                                                                                      \
    }                                                                                                                  \
    static void *name##_choose(void *arg)                                                                              \
    {                                                                                                                  \
        bench_thread *t = (bench_thread *)arg;                                                                         \
        weir_case cases[CHANNELS_MAX];                                                                                 \
        uint64_t v = 0, sum = 0;                                                                                       \
        const unsigned n = name##_cases(cases, shape.channels, &v);                                                    \
        bench_begin(t);                                                                                                \
        for (t->count = 0; t->count < t->last && weir_select(NULL, cases, n) >= 0; t->count++)                         \
            sum += v;                                                                                                  \
        t->sum = sum;                                                                                                  \
        bench_finish(t);                                                                                               \
        return NULL;                                                                                                   \
    }                                                                                                                  \
    static int64_t name##_try(unsigned n, uint64_t count)                                                              \
    {                                                                                                                  \
        weir_case cases[CHANNELS_MAX];                                                                                 \
        uint64_t v = 0;                                                                                                \
        (void)name##_cases(cases, n, &v);                                                                              \
        const int64_t began = bench_now();                                                                             \
        for (uint64_t i = 0; i < count; i++)                                                                           \
            if (weir_try_select(cases, n) != -EAGAIN)                                                                  \
                return -1;                                                                                             \
        return bench_now() - began;                                                                                    \
    }

SELECTS(spsc, weir_spsc)
SELECTS(mpmc, weir_chan)

typedef struct select_kind {
    const char *name;
    bool (*make)(unsigned n);
    void *(*feed)(void *), *(*choose)(void *);
    int64_t (*try_select)(unsigned n, uint64_t count);
} select_kind;

static const select_kind kinds[] = {
    {"spsc", spsc_make, spsc_feed, spsc_choose, spsc_try},
    {"mpmc", mpmc_make, mpmc_feed, mpmc_choose, mpmc_try},
};

static int64_t select_run(const select_kind *k, uint64_t count, const int *cpus)
{
    static bench_run run;
    static bench_thread threads[2];
    pthread_barrier_init(&run.start, NULL, 2);
    for (unsigned i = 0; i < 2; i++) {
        threads[i].run = &run;
        threads[i].cpu = cpus[i];
        threads[i].first = 1;
        threads[i].last = count;
        if (!bench_start_thread(&threads[i], i == 0 ? k->feed : k->choose))
            return -1;
    }
    return bench_collect(threads, 2, count);
}

int main(int argc, char **argv)
{
    const select_kind *k = NULL;
    int64_t elapsed;
    for (size_t i = 0; argc == 8 && i < sizeof kinds / sizeof kinds[0]; i++)
        k = strcmp(kinds[i].name, argv[1]) == 0 ? &kinds[i] : k;
    const unsigned n = k != NULL ? (unsigned)atoi(argv[3]) : 0;
    if (n - 1 >= CHANNELS_MAX) {
        fprintf(stderr, "usage: %s spsc|mpmc one|all|try CHANNELS 1 COUNT CPU CPU\n", argv[0]);
        return 2;
    }
    const uint64_t count = strtoull(argv[5], NULL, 10);
    const int cpus[2] = {atoi(argv[6]), atoi(argv[7])};
    shape.channels = n;
    shape.all = strcmp(argv[2], "all") == 0;
    if (!k->make(n))
        return 1;
    if (strcmp(argv[2], "try") == 0)
        elapsed = bench_pin(cpus[0]) ? k->try_select(n, count) : -1;
    else
        elapsed = select_run(k, count, cpus);
    if (elapsed < 0)
        return 1;
    printf("%lld\n", (long long)elapsed);
    return 0;
}
