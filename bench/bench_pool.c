/* bench/bench_pool.c: a pool of workers beside Go's two ways, TBB's task_group, and a pool under a mutex and two conditions.
 *
 *   build/bench/bench_pool [ROUNDS]
 *
 * Two workers, a queue of 256; jobs that do nothing, that take 1 microsecond, and 100; submitted by 1, 2 and 8 threads. Nanoseconds for one job, from the first
 * submit until all have run: the median of ROUNDS (5) runs, in which the rows take turns.
 */
#include "rows.h"

#define WEIR_IMPLEMENTATION
#include <weir.h>

enum { WORKERS = 2, QUEUE = 256, K = 1000 };

static int64_t work_ns; /* of a job */

static void work(void)
{
    const int64_t until = work_ns == 0 ? 0 : bench_now() + work_ns;
    while (work_ns != 0 && bench_now() < until) {}
}

/* ---- the pool that everybody writes ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    void (*queue[QUEUE])(void);
    int first, count;
    bool ends;
} plain = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, {NULL}, 0, 0, false};

static void *plain_worker(void *arg)
{
    (void)arg;
    for (;;) {
        void (*job)(void) = NULL;
        pthread_mutex_lock(&plain.lock);
        while (plain.count == 0 && !plain.ends)
            pthread_cond_wait(&plain.filled, &plain.lock);
        if (plain.count > 0) {
            job = plain.queue[plain.first];
            plain.first = (plain.first + 1) % QUEUE;
            plain.count--;
            pthread_cond_signal(&plain.drained);
        }
        pthread_mutex_unlock(&plain.lock);
        if (job == NULL)
            return NULL;
        job();
    }
}

static void plain_submit(void (*job)(void))
{
    pthread_mutex_lock(&plain.lock);
    while (plain.count == QUEUE)
        pthread_cond_wait(&plain.drained, &plain.lock);
    plain.queue[(plain.first + plain.count++) % QUEUE] = job;
    pthread_cond_signal(&plain.filled);
    pthread_mutex_unlock(&plain.lock);
}

/* ---- both ---- */

static weir_pool pool;
static bool ours;

static int weir_job(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    work();
    return 0;
}

static void *submits(void *arg)
{
    const int64_t n = *(const int64_t *)arg;
    for (int64_t i = 0; i < n; i++)
        if (ours)
            (void)weir_pool_submit(NULL, &pool, weir_job, NULL, NULL);
        else
            plain_submit(work);
    return NULL;
}

static double run_pool(const struct row *r, int64_t ns)
{
    const weir_pool_opt opt = {.min = WORKERS, .max = WORKERS, .queue = QUEUE};
    pthread_t worker[WORKERS], thread[BENCH_THREADS_MAX];
    int64_t each = r->operations / r->threads;
    work_ns = ns;
    ours = r->name[0] == 'w';
    plain.ends = false;
    if (ours && weir_pool_start(&pool, NULL, &opt) != 0)
        return -1;
    for (int i = 0; !ours && i < WORKERS; i++)
        pthread_create(&worker[i], NULL, plain_worker, NULL);
    bench_sleep_ms(1);
    const int64_t begun = bench_now();
    for (int i = 0; i < r->threads; i++)
        pthread_create(&thread[i], NULL, submits, &each);
    for (int i = 0; i < r->threads; i++)
        pthread_join(thread[i], NULL);
    if (ours) {
        (void)weir_pool_drain(NULL, &pool);
    } else {
        pthread_mutex_lock(&plain.lock);
        plain.ends = true;
        pthread_cond_broadcast(&plain.filled);
        pthread_mutex_unlock(&plain.lock);
        for (int i = 0; i < WORKERS; i++)
            pthread_join(worker[i], NULL);
    }
    const double took = (double)(bench_now() - begun) / (double)(each * r->threads);
    if (ours)
        weir_pool_free(&pool);
    return took;
}

/* "Go: …" and "TBB …" are programs of their own. */
static double run_other(const struct row *r, int64_t ns)
{
    char command[200];
    snprintf(command, sizeof command, "./build/bench/pool_%s %s %lld %d %lld 2>/dev/null",
             r->name[0] == 'G' ? "go" : "tbb", strstr(r->name, "semaphore") != NULL ? "semaphore" : "workers",
             (long long)r->operations, r->threads, (long long)ns);
    return row_program(command);
}

#define SHAPE(name, ns)                                                                                                \
    static double name(const struct row *r)                                                                            \
    {                                                                                                                  \
        return run_pool(r, ns);                                                                                        \
    }                                                                                                                  \
    static double other_##name(const struct row *r)                                                                    \
    {                                                                                                                  \
        return run_other(r, ns);                                                                                       \
    }
SHAPE(empty, 0)
SHAPE(short_jobs, 1000)
SHAPE(long_jobs, 100000)

#define ROWS(run, of, threads, operations)                                                                             \
    {"weir_pool", of, NULL, run, threads, operations, 1},                                                              \
        {"mutex and condition", "", NULL, run, threads, operations, 0},                                                \
        {"Go: channel, workers", "", NULL, other_##run, threads, operations, 0},                                       \
        {"Go: semaphore", "", NULL, other_##run, threads, operations, 0},                                              \
    {                                                                                                                  \
        "TBB task_group", "", NULL, other_##run, threads, operations, 0                                                \
    }

int main(int argc, char **argv)
{
    static const struct row rows[] = {
        ROWS(empty, "empty jobs, 1 submitter", 1, 400 * K),
        ROWS(empty, "2 submitters", 2, 400 * K),
        ROWS(empty, "8 submitters", 8, 400 * K),
        ROWS(short_jobs, "1 us, 1 submitter", 1, 200 * K),
        ROWS(short_jobs, "2 submitters", 2, 200 * K),
        ROWS(short_jobs, "8 submitters", 8, 200 * K),
        ROWS(long_jobs, "100 us, 1 submitter", 1, 2 * K),
        ROWS(long_jobs, "2 submitters", 2, 2 * K),
        ROWS(long_jobs, "8 submitters", 8, 2 * K),
    };
    return rows_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
