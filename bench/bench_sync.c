/* bench/bench_sync.c: semaphores, groups, futures and object pools beside what a C program has without them.
 *
 *   build/bench/bench_sync [ROUNDS]
 *
 * All in nanoseconds for one operation (a pair of acquire and release, a task, a value there and back, a pair of get and put): the median of ROUNDS
 * (5) runs, in which the rows take turns.
 */
#include "rows.h"

#define WEIR_IMPLEMENTATION
#include <weir.h>

#include <semaphore.h>

static weir_sem sem = WEIR_SEM_INIT(1);
static sem_t posix;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static weir_objpool pool;
static uint64_t shared_count; /* what the holders of the unit change */

LOOP(weir_sem_loop, (void)weir_sem_acquire(NULL, &sem, 1); shared_count++; (void)weir_sem_release(&sem, 1))
LOOP(posix_loop, (void)sem_wait(&posix); shared_count++; (void)sem_post(&posix))
LOOP(mutex_loop, (void)pthread_mutex_lock(&mutex); shared_count++; (void)pthread_mutex_unlock(&mutex))
LOOP(pool_loop, void *p = NULL; (void)weir_objpool_get(&pool, &p); __asm__ volatile("" ::"r"(p)
                                                                                    : "memory");
     weir_objpool_put(&pool, p))
LOOP(malloc_large_loop, void *p = malloc(4000); __asm__ volatile("" ::"r"(p) : "memory"); free(p))
LOOP(malloc_loop, void *p = malloc(256); __asm__ volatile("" ::"r"(p) : "memory"); free(p))

/* ---- groups ---- */

static int nothing(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

static double run_group(const struct row *r)
{
    const weir_group_opt opt = {.limit = (unsigned)r->threads};
    weir_group g;
    weir_group_init(&g, NULL, &opt);
    const int64_t begun = bench_now();
    for (int64_t i = 0; i < r->operations; i++)
        (void)weir_group_go(NULL, &g, nothing, NULL);
    (void)weir_group_wait(&g);
    weir_group_free(&g);
    return (double)(bench_now() - begun) / (double)r->operations;
}

static double run_go_group(const struct row *r)
{
    char command[200];
    snprintf(command, sizeof command, "./build/bench/group_go %lld %d 2>/dev/null", (long long)r->operations,
             r->threads);
    return row_program(command);
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

static double run_future(const struct row *r)
{
    const bool ours = r->name[0] == 'w';
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

int main(int argc, char **argv)
{
    enum { M = 1000000 };
    static const struct row rows[] = {
        {"weir_sem", "acquire and release, nobody else", weir_sem_loop, NULL, 1, 20 * M, 1},
        {"sem_t", "", posix_loop, NULL, 1, 20 * M, 0},
        {"pthread_mutex_t", "", mutex_loop, NULL, 1, 20 * M, 0},
        {"weir_sem", "1 unit, 2 threads", weir_sem_loop, NULL, 2, M / 2, 1},
        {"sem_t", "", posix_loop, NULL, 2, M / 2, 0},
        {"pthread_mutex_t", "", mutex_loop, NULL, 2, M / 2, 0},
        {"weir_sem", "1 unit, 8 threads", weir_sem_loop, NULL, 8, M / 2, 1},
        {"sem_t", "", posix_loop, NULL, 8, M / 2, 0},
        {"pthread_mutex_t", "", mutex_loop, NULL, 8, M / 2, 0},
        {"weir_group", "100,000 empty tasks, limit 2", NULL, run_group, 2, 100000, 1},
        {"errgroup (Go)", "", NULL, run_go_group, 2, 100000, 0},
        {"weir_future", "future: there and back", NULL, run_future, 2, TRIPS, 1},
        {"mutex and condition", "", NULL, run_future, 2, TRIPS, 0},
        {"weir_objpool", "get and put, 1 thread", pool_loop, NULL, 1, 40 * M, 1},
        {"malloc and free", "", malloc_loop, NULL, 1, 40 * M, 0},
        {"weir_objpool", "get and put, 2 threads", pool_loop, NULL, 2, 80 * M, 1},
        {"malloc and free", "of 256 bytes", malloc_loop, NULL, 2, 80 * M, 0},
        {"malloc and free", "of 4000 bytes", malloc_large_loop, NULL, 2, 80 * M, 0},
    };
    sem_init(&posix, 0, 1);
    if (weir_objpool_init(&pool, 256, 1000, NULL) != 0)
        return 1;
    return rows_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
