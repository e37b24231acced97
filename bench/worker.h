/* bench/worker.h: one run of one queue, in a process of its own.
 *
 *     WORKER KIND flow SENDERS RECEIVERS COUNT CPU CPU    COUNT values, until all are received; senders, receivers on these CPUs
 *     WORKER KIND ping 1 1 COUNT CPU CPU                  COUNT round trips of one message over two channels
 *     WORKER KIND idle 1 1 MILLISECONDS CPU CPU           a receiver blocked for that time
 *
 * CPU -1 leaves the threads free. Prints the nanoseconds that it took (idle: that it used of the CPU), and exits with 0; with 77 and
 * the reason when it cannot run here; with 1 when values were lost or came twice. The time runs from the moment when the first
 * thread leaves the barrier to the moment when the last one has finished.
 */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include "bench.h"

#include <pthread.h>

#define BENCH_PASTE2(a, b) a##b
#define BENCH_PASTE(a, b) BENCH_PASTE2(a, b)
#define BENCH_TEXT2(a) #a
#define BENCH_TEXT(a) BENCH_TEXT2(a)

typedef struct bench_place { /* for a handle of any queue, which is copied in and out */
    unsigned char bytes[16];
} bench_place;

typedef struct bench_run {
    bench_place queues[2];
    unsigned senders, receivers;
    unsigned sending; /* senders that have not finished */
    pthread_barrier_t start;
} bench_run;

typedef struct bench_thread {
    bench_run *run;
    uint64_t first, last; /* the values that it sends */
    uint64_t count, sum;  /* of those that it received */
    int64_t began, finished;
    int cpu;
    pthread_t id;
} __attribute__((aligned(128))) bench_thread;

typedef struct bench_shapes {
    const char *name;
    bool (*make)(void *place);
    void *(*produce)(void *), *(*consume)(void *), *(*ping)(void *), *(*echo)(void *);
} bench_shapes;

static inline void bench_begin(bench_thread *t)
{
    if (!bench_pin(t->cpu))
        fprintf(stderr, "cannot run on CPU %d\n", t->cpu);
    pthread_barrier_wait(&t->run->start);
    t->began = bench_now();
}

static inline void bench_finish(bench_thread *t)
{
    t->finished = bench_now();
}

static inline bool bench_last_sender(bench_run *run)
{
    return __atomic_sub_fetch(&run->sending, 1, __ATOMIC_ACQ_REL) == 0;
}

static inline bool bench_start_thread(bench_thread *t, void *(*body)(void *))
{
    return pthread_create(&t->id, NULL, body, t) == 0;
}

/* Joins n threads and checks that each value from 1 to `count` came, as far as number and sum can tell. The elapsed time, or -1. */
static inline int64_t bench_collect(bench_thread *threads, unsigned n, uint64_t count)
{
    int64_t began = INT64_MAX, finished = 0;
    uint64_t received = 0, sum = 0;
    for (unsigned i = 0; i < n; i++) {
        pthread_join(threads[i].id, NULL);
        began = threads[i].began < began ? threads[i].began : began;
        finished = threads[i].finished > finished ? threads[i].finished : finished;
        received += threads[i].count;
        sum += threads[i].sum;
    }
    if (received == count && sum == count % 2 * ((count + 1) / 2 * count) + (1 - count % 2) * (count / 2 * (count + 1)))
        return finished - began;
    fprintf(stderr, "lost or doubled: %llu values sent, %llu received\n", (unsigned long long)count,
            (unsigned long long)received);
    return -1;
}

static inline int64_t bench_flow(const bench_shapes *s, bench_run *run, uint64_t count, const int *cpus)
{
    static bench_thread threads[2 * BENCH_THREADS_MAX];
    const unsigned n = run->senders + run->receivers;
    for (unsigned i = 0; i < n; i++) {
        bench_thread *t = &threads[i];
        const bool sends = i >= run->receivers;
        t->run = run;
        t->cpu = cpus[!sends];
        if (sends) {
            t->first = count / run->senders * (i - run->receivers) + 1;
            t->last = i + 1 == n ? count : t->first + count / run->senders - 1;
        }
        if (!bench_start_thread(t, sends ? s->produce : s->consume))
            return -1;
    }
    return bench_collect(threads, n, count);
}

static inline int64_t bench_ping(const bench_shapes *s, bench_run *run, uint64_t count, const int *cpus)
{
    static bench_thread threads[2];
    for (unsigned i = 0; i < 2; i++) {
        threads[i].run = run;
        threads[i].cpu = cpus[i];
        threads[i].first = 1;
        threads[i].last = count;
        if (!bench_start_thread(&threads[i], i == 0 ? s->ping : s->echo))
            return -1;
    }
    return bench_collect(threads, 2, count);
}

/* The CPU time that one blocked receiver costs, without what it takes to start it. Leaves it blocked: the process is about to exit. */
static inline int64_t bench_idle(const bench_shapes *s, bench_run *run, uint64_t ms, const int *cpus)
{
    static bench_thread receiver;
    int64_t before;
    receiver.run = run;
    receiver.cpu = cpus[1];
    if (!bench_start_thread(&receiver, s->consume))
        return -1;
    pthread_barrier_wait(&run->start);
    before = bench_cpu_time();
    bench_sleep_ms((long)ms);
    return bench_cpu_time() - before;
}

static inline int bench_usage(const char *program)
{
    fprintf(stderr, "usage: %s KIND flow|ping|idle SENDERS RECEIVERS COUNT CPU CPU\n", program);
    return 2;
}

static inline int bench_worker(int argc, char **argv, const bench_shapes *const *queues, size_t n)
{
    static bench_run run;
    const bench_shapes *s = NULL;
    int64_t elapsed;
    if (argc != 8)
        return bench_usage(argv[0]);
    for (size_t i = 0; i < n; i++)
        s = strcmp(queues[i]->name, argv[1]) == 0 ? queues[i] : s;
    const bool ping = strcmp(argv[2], "ping") == 0, idle = strcmp(argv[2], "idle") == 0;
    const uint64_t count = strtoull(argv[5], NULL, 10);
    const int cpus[2] = {atoi(argv[6]), atoi(argv[7])};
    run.senders = (unsigned)atoi(argv[3]);
    run.receivers = (unsigned)atoi(argv[4]);
    run.sending = run.senders;
    if (s == NULL || run.senders - 1 >= BENCH_THREADS_MAX || run.receivers - 1 >= BENCH_THREADS_MAX)
        return bench_usage(argv[0]);
    if (!s->make(&run.queues[0]) || !s->make(&run.queues[1])) {
        fprintf(stderr, "cannot make the queue\n");
        return 1;
    }
    pthread_barrier_init(&run.start, NULL, run.senders + run.receivers);
    elapsed = (idle ? bench_idle : ping ? bench_ping : bench_flow)(s, &run, count, cpus);
    if (elapsed < 0)
        return 1;
    printf("%lld\n", (long long)elapsed);
    return 0;
}

#endif /* BENCH_WORKER_H */
