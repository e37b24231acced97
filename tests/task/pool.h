/* tests/task/pool.h: jobs that the tests of pools submit. Comes after the harness. */
#ifndef WEIR_TEST_POOL_H
#define WEIR_TEST_POOL_H

/* A gate that jobs stand behind until it is opened. All atomic. */
struct gate {
    int standing, open;
};

static inline int stands(weir_ctx *ctx, void *arg)
{
    struct gate *g = (struct gate *)arg;
    (void)ctx;
    __atomic_add_fetch(&g->standing, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&g->open, __ATOMIC_SEQ_CST))
        sched_yield();
    return 0;
}

/* Waits until n jobs stand behind it. */
static inline void gate_await(struct gate *g, int n)
{
    EVENTUALLY(__atomic_load_n(&g->standing, __ATOMIC_SEQ_CST) == n);
}
static inline void gate_open(struct gate *g)
{
    __atomic_store_n(&g->open, 1, __ATOMIC_SEQ_CST);
}

/* Counts itself in an int. */
static inline int counts(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
    return 0;
}
static inline int counted(int *n)
{
    return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

static inline int returns(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

static inline int until_ended(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_sleep(ctx, WEIR_FOREVER);
}

static inline weir_pool_tally tally_of(weir_pool *p)
{
    weir_pool_tally tally;
    weir_pool_stats(p, &tally);
    return tally;
}

/* Copies what it is told. */
static inline void keeps(const weir_job_result *result, void *arg)
{
    *(weir_job_result *)arg = *result;
}

/* A pool of one worker, which stands behind the gate, and room for `queue` jobs. */
static inline void start_blocked(weir_pool *p, struct gate *g, const weir_pool_opt *of)
{
    weir_pool_opt opt;
    memset(&opt, 0, sizeof opt);
    if (of != NULL)
        opt = *of;
    opt.min = opt.max = 1;
    memset(g, 0, sizeof *g);
    REQUIRE(weir_pool_start(p, NULL, &opt) == 0);
    REQUIRE(weir_pool_submit(NULL, p, stands, g, NULL) == 0);
    gate_await(g, 1);
}

/* A pool whose worker stands, with one job queued and room for no other. */
static inline void start_full(weir_pool *p, struct gate *g, int *ran, int overflow, const weir_job_opt *queued)
{
    weir_pool_opt opt;
    memset(&opt, 0, sizeof opt);
    opt.queue = 1;
    opt.overflow = overflow;
    start_blocked(p, g, &opt);
    REQUIRE(weir_pool_submit(NULL, p, counts, ran, queued) == 0);
}
static inline void end(weir_pool *p, struct gate *g)
{
    gate_open(g);
    CHECK_INT(weir_pool_drain(NULL, p), 0);
    CHECK_INT(weir_pool_free(p), 0);
    CHECK_INT(weir_thread_count(), 0);
}

#endif /* WEIR_TEST_POOL_H */
