/* bench/bench_sync.c: semaphores, groups, futures and object pools beside what a C program has without them.
 *
 *   build/bench/bench_sync [ROUNDS]
 *
 * All in nanoseconds for one operation (a pair of acquire and release, a task, a value there and back, a pair of get and put): the median of ROUNDS
 * (5) runs, in which the rows take turns.
 */
#include "bench.h"

#define WEIR_IMPLEMENTATION
#include <weir.h>

#include <pthread.h>
#include <semaphore.h>

enum { MOST_ROUNDS = 25 };

static int64_t operations; /* of each thread */

static weir_sem sem = WEIR_SEM_INIT(1);
static sem_t posix;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static weir_objpool pool;
static uint64_t shared_count; /* what the holders of the unit change */

#define LOOP(name, ...)                                                                                                \
    static void *name(void *arg)                                                                                       \
    {                                                                                                                  \
        (void)arg;                                                                                                     \
        for (int64_t i = 0; i < operations; i++) {                                                                     \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }
LOOP(weir_sem_loop, (void)weir_sem_acquire(NULL, &sem, 1); shared_count++; (void)weir_sem_release(&sem, 1))
LOOP(posix_loop, (void)sem_wait(&posix); shared_count++; (void)sem_post(&posix))
LOOP(mutex_loop, (void)pthread_mutex_lock(&mutex); shared_count++; (void)pthread_mutex_unlock(&mutex))
LOOP(pool_loop, void *p = NULL; (void)weir_objpool_get(&pool, &p); __asm__ volatile("" ::"r"(p)
                                                                                    : "memory");
     weir_objpool_put(&pool, p))
LOOP(malloc_large_loop, void *p = malloc(4000); __asm__ volatile("" ::"r"(p) : "memory"); free(p))
LOOP(malloc_loop, void *p = malloc(256); __asm__ volatile("" ::"r"(p) : "memory"); free(p))

static double run_loop(void *(*fn)(void *), int n, int64_t ops)
{
    pthread_t thread[BENCH_THREADS_MAX];
    operations = ops / n;
    const int64_t begun = bench_now();
    for (int i = 1; i < n; i++)
        pthread_create(&thread[i], NULL, fn, NULL);
    (void)fn(NULL);
    for (int i = 1; i < n; i++)
        pthread_join(thread[i], NULL);
    return (double)(bench_now() - begun) / (double)(operations * n);
}

/* ---- groups ---- */

static int nothing(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

static double run_group(unsigned limit, int64_t tasks)
{
    const weir_group_opt opt = {.limit = limit};
    weir_group g;
    weir_group_init(&g, NULL, &opt);
    const int64_t begun = bench_now();
    for (int64_t i = 0; i < tasks; i++)
        (void)weir_group_go(NULL, &g, nothing, NULL);
    (void)weir_group_wait(&g);
    weir_group_free(&g);
    return (double)(bench_now() - begun) / (double)tasks;
}

static double run_go_group(unsigned limit, int64_t tasks)
{
    char command[200];
    double each = -1;
    snprintf(command, sizeof command, "./build/bench/group_go %lld %u 2>/dev/null", (long long)tasks, limit);
    FILE *go = popen(command, "r");
    if (go == NULL || fscanf(go, "%lf", &each) != 1)
        each = -1;
    if (go != NULL)
        pclose(go);
    return each;
}

/* ---- futures: a value there and one back, each through a future that is made beforehand ---- */

enum { TRIPS = 4000 };

/* What people write instead. */
struct promise {
    pthread_mutex_t lock;
    pthread_cond_t set;
    bool done;
    int64_t value;
};

static void promise_set(struct promise *p, int64_t v)
{
    pthread_mutex_lock(&p->lock);
    p->value = v;
    p->done = true;
    pthread_cond_broadcast(&p->set);
    pthread_mutex_unlock(&p->lock);
}

static int64_t promise_get(struct promise *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->done)
        pthread_cond_wait(&p->set, &p->lock);
    const int64_t v = p->value;
    pthread_mutex_unlock(&p->lock);
    return v;
}

static weir_future(int64_t) there[TRIPS], back[TRIPS];
static struct promise promise_there[TRIPS], promise_back[TRIPS];

static void *future_answers(void *arg)
{
    (void)arg;
    for (int64_t i = 0, v; i < TRIPS; i++) {
        (void)weir_future_get(NULL, there[i], &v);
        (void)weir_future_set(back[i], &v);
    }
    return NULL;
}

static void *promise_answers(void *arg)
{
    (void)arg;
    for (int i = 0; i < TRIPS; i++)
        promise_set(&promise_back[i], promise_get(&promise_there[i]));
    return NULL;
}

static double run_future(bool ours)
{
    static const struct promise fresh = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    pthread_t thread;
    for (int i = 0; i < TRIPS; i++) {
        (void)weir_future_make(&there[i]);
        (void)weir_future_make(&back[i]);
        promise_there[i] = promise_back[i] = fresh;
    }
    pthread_create(&thread, NULL, ours ? future_answers : promise_answers, NULL);
    bench_sleep_ms(1);
    const int64_t begun = bench_now();
    for (int64_t i = 0, v = 1; i < TRIPS; i++) {
        if (ours) {
            (void)weir_future_set(there[i], &v);
            (void)weir_future_get(NULL, back[i], &v);
        } else {
            promise_set(&promise_there[i], v);
            v = promise_get(&promise_back[i]);
        }
    }
    const double took = (double)(bench_now() - begun) / TRIPS;
    pthread_join(thread, NULL);
    for (int i = 0; i < TRIPS; i++) {
        weir_future_free(&there[i]);
        weir_future_free(&back[i]);
    }
    return took;
}

/* ---- the table ---- */

struct row {
    const char *name, *of;
    void *(*loop)(void *);
    int threads;
    int64_t operations;
    int base; /* the row that it is compared with: how many further down; 0: none */
};

static double run(const struct row *r)
{
    if (r->loop != NULL)
        return run_loop(r->loop, r->threads, r->operations);
    if (r->operations == TRIPS)
        return run_future(r->name[0] == 'w');
    return r->name[0] == 'w' ? run_group((unsigned)r->threads, r->operations)
                             : run_go_group((unsigned)r->threads, r->operations);
}

int main(int argc, char **argv)
{
    enum { M = 1000000 };
    static const struct row rows[] = {
        {"weir_sem", "acquire and release, nobody else", weir_sem_loop, 1, 20 * M, 1},
        {"sem_t", "", posix_loop, 1, 20 * M, 0},
        {"pthread_mutex_t", "", mutex_loop, 1, 20 * M, 0},
        {"weir_sem", "1 unit, 2 threads", weir_sem_loop, 2, M / 2, 1},
        {"sem_t", "", posix_loop, 2, M / 2, 0},
        {"pthread_mutex_t", "", mutex_loop, 2, M / 2, 0},
        {"weir_sem", "1 unit, 8 threads", weir_sem_loop, 8, M / 2, 1},
        {"sem_t", "", posix_loop, 8, M / 2, 0},
        {"pthread_mutex_t", "", mutex_loop, 8, M / 2, 0},
        {"weir_group", "100,000 empty tasks, limit 2", NULL, 2, 100000, 1},
        {"errgroup (Go)", "", NULL, 2, 100000, 0},
        {"weir_future", "future: there and back", NULL, 2, TRIPS, 1},
        {"mutex and condition", "", NULL, 2, TRIPS, 0},
        {"weir_objpool", "get and put, 1 thread", pool_loop, 1, 40 * M, 1},
        {"malloc and free", "", malloc_loop, 1, 40 * M, 0},
        {"weir_objpool", "get and put, 2 threads", pool_loop, 2, 80 * M, 1},
        {"malloc and free", "of 256 bytes", malloc_loop, 2, 80 * M, 0},
        {"malloc and free", "of 4000 bytes", malloc_large_loop, 2, 80 * M, 0},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    static double took[ROWS][MOST_ROUNDS];
    const int rounds = argc > 1 && atoi(argv[1]) > 0 && atoi(argv[1]) <= MOST_ROUNDS ? atoi(argv[1]) : 5;
    sem_init(&posix, 0, 1);
    if (weir_objpool_init(&pool, 256, 1000, NULL) != 0)
        return 1;
    for (int round = 0; round < rounds; round++)
        for (int r = 0; r < ROWS; r++)
            took[r][round] = run(&rows[r]);
    printf("nanoseconds, median of %d; ratio: the other's time over weir's, each round by itself\n", rounds);
    for (int r = 0; r < ROWS; r++) {
        double ratio[MOST_ROUNDS];
        if (took[r][0] < 0) {
            printf("%-20s skipped: needs it\n", rows[r].name);
            continue;
        }
        printf("%-20s %-34s %10.1f", rows[r].name, rows[r].of, bench_quantile(took[r], rounds, 0.5));
        for (int round = 0; rows[r].base > 0 && round < rounds; round++)
            ratio[round] = took[r + rows[r].base][round] / took[r][round];
        if (rows[r].base > 0 && took[r + rows[r].base][0] >= 0)
            printf("   ratio %.2f", bench_quantile(ratio, rounds, 0.5));
        puts("");
    }
    return 0;
}
