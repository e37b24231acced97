/* bench/bench_guard.c: rate limiters and circuit breakers beside Go's x/time/rate and gobreaker, and beside what C programs have: a mutex and a clock.
 *
 *   build/bench/bench_guard [ROUNDS]
 *
 * One decision that admits, in nanoseconds, the clock read in each: the median of ROUNDS (5) runs, in which the rows take turns.
 */
#include "rows.h"

#define WEIR_IMPLEMENTATION
#include <weir.h>

enum { RATE = 1000000000, BURST = 1000000 }; /* everything is admitted */

static weir_limiter limiter;
static weir_leaky leaky;
static weir_fixed_window fixed;
static weir_sliding_window sliding;
static weir_limiter_map map;
static weir_breaker breaker;
static int64_t refused; /* would show that something else was measured */

/* GCRA as governor has it, its word under a mutex: the theoretical arrival time in nanoseconds. */
static struct {
    pthread_mutex_t lock;
    int64_t arrival;
} gcra = {PTHREAD_MUTEX_INITIALIZER, 0};

static bool gcra_allow(void)
{
    const int64_t now = bench_now(), period = 1000000000 / RATE, tolerance = period * BURST;
    bool admitted;
    pthread_mutex_lock(&gcra.lock);
    const int64_t next = (gcra.arrival > now ? gcra.arrival : now) + period;
    admitted = next - now <= tolerance;
    if (admitted)
        gcra.arrival = next;
    pthread_mutex_unlock(&gcra.lock);
    return admitted;
}

/* The bucket that everybody writes. */
static struct {
    pthread_mutex_t lock;
    double tokens;
    int64_t last;
} bucket = {PTHREAD_MUTEX_INITIALIZER, BURST, 0};

static bool bucket_allow(void)
{
    bool admitted;
    pthread_mutex_lock(&bucket.lock);
    const int64_t now = bench_now();
    bucket.tokens += (double)(now - bucket.last) * (RATE * 1e-9);
    bucket.last = now;
    if (bucket.tokens > BURST)
        bucket.tokens = BURST;
    admitted = bucket.tokens >= 1;
    bucket.tokens -= admitted;
    pthread_mutex_unlock(&bucket.lock);
    return admitted;
}

#define COUNT_REFUSED(admitted)                                                                                        \
    if (!(admitted))                                                                                                   \
    __atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED)
LOOP(limiter_loop, COUNT_REFUSED(weir_limiter_allow(&limiter, 1) == 0))
LOOP(map_loop, COUNT_REFUSED(weir_limiter_map_allow(&map, (uint64_t)i % 1000, 1) == 0))
LOOP(leaky_loop, COUNT_REFUSED(weir_leaky_allow(&leaky) == 0))
LOOP(fixed_loop, COUNT_REFUSED(weir_fixed_window_allow(&fixed, 1) == 0))
LOOP(sliding_loop, COUNT_REFUSED(weir_sliding_window_allow(&sliding, 1) == 0))
LOOP(gcra_loop, COUNT_REFUSED(gcra_allow()))
LOOP(bucket_loop, COUNT_REFUSED(bucket_allow()))
LOOP(clock_loop, COUNT_REFUSED(weir_now() > 0))
LOOP(breaker_loop, weir_breaker_permit permit;
     COUNT_REFUSED(weir_breaker_allow(&breaker, &permit) == 0 &&
                   weir_breaker_done(&breaker, &permit, WEIR_BREAKER_SUCCESS) == 0))

static double run_go(const struct row *r)
{
    char command[200];
    snprintf(command, sizeof command, "./build/bench/%s_go %lld %d 2>/dev/null", r->name[0] == 'x' ? "rate" : "breaker",
             (long long)r->operations, r->threads);
    return row_program(command);
}

int main(int argc, char **argv)
{
    enum { M = 1000000 };
    static const struct row rows[] = {
        {"clock_gettime", "the floor: what all but breakers need", clock_loop, NULL, 1, 10 * M, 0},
        {"weir_limiter", "allow, 1 thread", limiter_loop, NULL, 1, 10 * M, 1},
        {"x/time/rate (Go)", "", NULL, run_go, 1, 10 * M, 0},
        {"GCRA in a mutex", "", gcra_loop, NULL, 1, 10 * M, 0},
        {"bucket in a mutex", "", bucket_loop, NULL, 1, 10 * M, 0},
        {"weir_limiter", "2 threads", limiter_loop, NULL, 2, 4 * M, 1},
        {"x/time/rate (Go)", "", NULL, run_go, 2, 4 * M, 0},
        {"GCRA in a mutex", "", gcra_loop, NULL, 2, 4 * M, 0},
        {"bucket in a mutex", "", bucket_loop, NULL, 2, 4 * M, 0},
        {"weir_limiter", "8 threads", limiter_loop, NULL, 8, 4 * M, 1},
        {"x/time/rate (Go)", "", NULL, run_go, 8, 4 * M, 0},
        {"GCRA in a mutex", "", gcra_loop, NULL, 8, 4 * M, 0},
        {"bucket in a mutex", "", bucket_loop, NULL, 8, 4 * M, 0},
        {"weir_limiter_map", "one of 1000 keys, 1 thread", map_loop, NULL, 1, 4 * M, 0},
        {"weir_leaky", "1 thread", leaky_loop, NULL, 1, 4 * M, 0},
        {"weir_fixed_window", "1 thread", fixed_loop, NULL, 1, 4 * M, 0},
        {"weir_sliding_window", "1 thread", sliding_loop, NULL, 1, 4 * M, 0},
        {"weir_breaker", "allow and done, 1 thread", breaker_loop, NULL, 1, 20 * M, 1},
        {"gobreaker (Go)", "", NULL, run_go, 1, 4 * M, 0},
        {"weir_breaker", "2 threads", breaker_loop, NULL, 2, 20 * M, 1},
        {"gobreaker (Go)", "", NULL, run_go, 2, 4 * M, 0},
        {"weir_breaker", "8 threads", breaker_loop, NULL, 8, 20 * M, 1},
        {"gobreaker (Go)", "", NULL, run_go, 8, 4 * M, 0},
    };
    const weir_window_config windows = {.limit = 200 * M, .window = WEIR_SEC(1)};
    int rc;
    if (weir_limiter_init(&limiter, RATE, BURST, NULL) != 0 || weir_leaky_init(&leaky, RATE, BURST, NULL) != 0 ||
        weir_limiter_map_init(&map, RATE, BURST, 2000, NULL) != 0 || weir_fixed_window_init(&fixed, &windows) != 0 ||
        weir_sliding_window_init(&sliding, &windows) != 0 || weir_breaker_init(&breaker, NULL) != 0)
        return 1;
    weir_sleep(NULL, WEIR_MS(5)); /* the leaky bucket has saved what it may */
    rc = rows_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
    if (refused != 0)
        printf("%lld requests were refused\n", (long long)refused);
    return rc;
}
