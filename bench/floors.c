/* bench/floors.c: what the machine itself takes for the steps that a channel is made of. No queue can be faster than these.
 *
 *     floors CPU CPU [PART]      PART: 1 for a full measurement, 10 for a tenth of it
 *
 * Prints a line per floor: value, unit, what it is; separated by tabs. On a machine with one CPU, only what one CPU can do.
 */
#include "bench.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    uint32_t word __attribute__((aligned(128))); /* each on a line of its own */
    uint32_t other __attribute__((aligned(128)));
    uint32_t stop __attribute__((aligned(128)));
    uint32_t ready __attribute__((aligned(128)));
    long count;
    int cpu;
} shared;

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static uint32_t look(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Starts the second thread on the second CPU and waits until it runs. */
static pthread_t beside(void *(*body)(void *), long count)
{
    pthread_t id;
    shared.word = shared.other = shared.stop = shared.ready = 0;
    shared.count = count;
    if (pthread_create(&id, NULL, body, NULL) != 0)
        exit(1);
    while (look(&shared.ready) == 0)
        pause_cpu();
    return id;
}

static void arrive(void)
{
    bench_pin(shared.cpu);
    __atomic_store_n(&shared.ready, 1, __ATOMIC_RELEASE);
}

/* One line between two cores: each side waits for its turn in the same word. */
static void bounce(uint32_t mine, long count)
{
    for (uint32_t turn = mine; turn < 2 * (uint32_t)count; turn += 2) {
        while (look(&shared.word) != turn) {}
        __atomic_store_n(&shared.word, turn + 1, __ATOMIC_RELEASE);
    }
}

static void *bounce_back(void *arg)
{
    arrive();
    bounce(1, shared.count);
    return arg;
}

static double line_round_trip(long count)
{
    pthread_t id = beside(bounce_back, count);
    const int64_t before = bench_now();
    bounce(0, count);
    pthread_join(id, NULL);
    return (double)(bench_now() - before) / (double)count;
}

static void *add_until_stopped(void *arg)
{
    arrive();
    while (look(&shared.stop) == 0)
        __atomic_fetch_add(&shared.word, 1, __ATOMIC_SEQ_CST);
    return arg;
}

/* Both threads' additions together, in millions a second. */
static double contended_adds(long count)
{
    pthread_t id = beside(add_until_stopped, count);
    const uint32_t first = look(&shared.word);
    const int64_t before = bench_now();
    for (long i = 0; i < count; i++)
        __atomic_fetch_add(&shared.word, 1, __ATOMIC_SEQ_CST);
    const double elapsed = (double)(bench_now() - before), adds = (double)(look(&shared.word) - first);
    __atomic_store_n(&shared.stop, 1, __ATOMIC_RELEASE);
    pthread_join(id, NULL);
    return adds / elapsed * 1e3;
}

/* Sleeps until *word is not 0, and sets it to 0. */
static void futex_take(uint32_t *word)
{
    while (look(word) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    __atomic_store_n(word, 0, __ATOMIC_RELAXED);
}

/* By the time this side wakes the other, that one is to be asleep: otherwise both may find the word set each time, and never sleep. */
#define FUTEX_DELAY 20000

static void futex_give(uint32_t *word)
{
    const int64_t until = bench_now() + FUTEX_DELAY;
    while (bench_now() < until)
        pause_cpu();
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *futex_echo(void *arg)
{
    arrive();
    for (long i = 0; i < shared.count; i++) {
        futex_take(&shared.word);
        futex_give(&shared.other);
    }
    return arg;
}

static double futex_round_trip(long count)
{
    pthread_t id = beside(futex_echo, count);
    const int64_t before = bench_now();
    for (long i = 0; i < count; i++) {
        futex_give(&shared.word);
        futex_take(&shared.other);
    }
    const double elapsed = (double)(bench_now() - before);
    pthread_join(id, NULL);
    return elapsed / (double)count - 2 * FUTEX_DELAY;
}

static double membarriers(long count)
{
    const int64_t before = bench_now();
    for (long i = 0; i < count; i++)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    return (double)(bench_now() - before) / (double)count;
}

static void *run_until_stopped(void *arg)
{
    arrive();
    while (look(&shared.stop) == 0) {}
    return arg;
}

static double membarriers_busy(long count)
{
    pthread_t id = beside(run_until_stopped, count);
    const double ns = membarriers(count);
    __atomic_store_n(&shared.stop, 1, __ATOMIC_RELEASE);
    pthread_join(id, NULL);
    return ns;
}

static double yields(long count)
{
    const int64_t before = bench_now();
    for (long i = 0; i < count; i++)
        sched_yield();
    return (double)(bench_now() - before) / (double)count;
}

static double clock_reads(long count)
{
    const int64_t before = bench_now();
    for (long i = 0; i < count; i++)
        (void)bench_now();
    return (double)(bench_now() - before) / (double)count;
}

/* As a sender would need it: a store, then the fence. */
static double fences(long count)
{
    const int64_t before = bench_now();
    for (long i = 0; i < count; i++) {
        __atomic_store_n(&shared.word, (uint32_t)i, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    return (double)(bench_now() - before) / (double)count;
}

static double pauses(long count)
{
    const int64_t before = bench_now();
    for (long i = 0; i < count; i++)
        pause_cpu();
    return (double)(bench_now() - before) / (double)count;
}

int main(int argc, char **argv)
{
    static const struct {
        double (*measure)(long);
        long count;
        int cpus; /* that it needs */
        const char *unit, *what;
    } floors[] = {
        {line_round_trip, 300000, 2, "ns", "a cache line to another core and back"},
        {contended_adds, 2000000, 2, "M/s", "fetch-and-add by two cores on one word, both together"},
        {futex_round_trip, 3000, 2, "ns", "futex round trip between two cores, each asleep when it is woken"},
        {membarriers, 50000, 1, "ns", "membarrier, other cores idle"},
        {membarriers_busy, 10000, 2, "ns", "membarrier, another thread of the process running"},
        {yields, 50000, 1, "ns", "sched_yield, nobody else there"},
        {clock_reads, 500000, 1, "ns", "clock_gettime"},
        {fences, 3000000, 1, "ns", "seq_cst fence after a store"},
        {pauses, 500000, 1, "ns", "pause"},
    };
    if (argc < 3)
        return 2;
    const long part = argc > 3 ? atol(argv[3]) : 1;
    const bool two = strcmp(argv[1], argv[2]) != 0;
    const bool barrier = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    bench_pin(atoi(argv[1]));
    shared.cpu = atoi(argv[2]);
    for (size_t i = 0; i < sizeof floors / sizeof floors[0]; i++) {
        const bool uses_barrier = floors[i].measure == membarriers || floors[i].measure == membarriers_busy;
        if ((floors[i].cpus > 1 && !two) || (uses_barrier && !barrier))
            printf("-\t%s\t%s\n", floors[i].unit, floors[i].what);
        else
            printf("%.3f\t%s\t%s\n", floors[i].measure(floors[i].count / (part > 0 ? part : 1)), floors[i].unit,
                   floors[i].what);
    }
    return 0;
}
