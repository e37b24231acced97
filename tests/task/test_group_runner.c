/* tests/task/test_group_runner.c: a group on a runner: which refuses, which is behind, which calls one task after the other. */
#include "../faults/failing.h"

static int ran; /* atomic */

static int nothing(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* ---- a runner: two threads behind a channel, which refuses every n-th ---- */

struct call {
    void (*fn)(void *arg);
    void *arg;
};
struct small_pool {
    weir_runner runner;
    weir_chan(struct call) calls;
    int refuse_every, asked; /* atomic */
};

static int pool_run(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    struct small_pool *pool = (struct small_pool *)runner;
    struct call call = {fn, arg};
    const int n = __atomic_add_fetch(&pool->asked, 1, __ATOMIC_SEQ_CST);
    if (pool->refuse_every != 0 && n % pool->refuse_every == 0)
        return EOVERFLOW;
    return weir_send(ctx, pool->calls, &call);
}

static void pool_main(void *arg)
{
    struct small_pool *pool = (struct small_pool *)arg;
    struct call call;
    while (weir_recv(NULL, pool->calls, &call) == 0)
        call.fn(call.arg);
}

struct pool_goer {
    weir_group *g;
    int accepted;
};

static void goes_to_pool(void *arg)
{
    struct pool_goer *goer = (struct pool_goer *)arg;
    for (long i = test_rounds(3000); i > 0; i--) {
        const int rc = weir_group_go(NULL, goer->g, nothing, NULL);
        goer->accepted += rc == 0;
        if (rc != 0)
            CHECK_INT(rc, EOVERFLOW);
    }
}

TEST(on_a_runner_every_accepted_task_runs_once_and_no_refused_one_does)
{
    for (int refuse = 0; refuse < 3; refuse++) {
        struct small_pool pool = {.runner = {pool_run}, .refuse_every = refuse == 0 ? 0 : refuse + 1};
        weir_group_opt opt = {.limit = refuse == 1 ? 2 : 0, .runner = &pool.runner};
        struct pool_goer goers[2];
        REQUIRE(weir_chan_make(&pool.calls, 4) == 0);
        struct test_team *team = test_start(2, pool_main, &pool, 0);
        for (int round = 0; round < 3; round++) {
            weir_group *g = (weir_group *)malloc(sizeof *g); /* freed as soon as wait returns */
            REQUIRE(g != NULL);
            weir_group_init(g, NULL, &opt);
            ran = 0;
            goers[0] = goers[1] = (struct pool_goer){g, 0};
            test_threads(2, goes_to_pool, goers, sizeof goers[0]);
            CHECK_INT(weir_group_wait(g), 0);
            CHECK_INT(ran, goers[0].accepted + goers[1].accepted);
            CHECK(refuse == 0 ? ran == 2 * test_rounds(3000) : ran < 2 * test_rounds(3000));
            weir_group_free(g);
            memset(g, 0xa5, sizeof *g);
            free(g);
        }
        CHECK_INT(weir_close(pool.calls), 0);
        test_join(team);
        weir_chan_free(&pool.calls);
    }
    CHECK_INT(weir_thread_count(), 0);
}

/* ---- a runner that keeps what it is told until it is asked ---- */

enum { KEPT = 5 * WEIR__GROUP_QUEUE };
static struct keeper {
    weir_runner runner;
    struct call calls[KEPT];
    int kept, called;
} keeper;
static int order[KEPT], ordered;

static int keeps(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    (void)runner;
    (void)ctx;
    keeper.calls[keeper.kept].fn = fn;
    keeper.calls[keeper.kept++].arg = arg;
    return 0;
}
static void call_kept(int n)
{
    for (; n > 0; n--, keeper.called++)
        keeper.calls[keeper.called].fn(keeper.calls[keeper.called].arg);
}
static void begin_kept(weir_group *g)
{
    static weir_group_opt opt;
    memset(&keeper, 0, sizeof keeper);
    keeper.runner.run = keeps;
    opt.runner = &keeper.runner;
    ordered = 0;
    weir_group_init(g, NULL, &opt);
}
static int takes_its_turn(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    order[ordered++] = *(int *)arg;
    return 0;
}
static int takes_another(weir_ctx *ctx, void *arg)
{
    return takes_its_turn(ctx, arg);
}

/* It may have one thread, which is the one that starts them. */
TEST(a_runner_that_is_behind_keeps_nobody_waiting_and_no_task_from_its_turn)
{
    weir_group g;
    int number[KEPT];
    begin_kept(&g);
    for (int round = 0; round < 2; round++) { /* after the first the memory is gone */
        keeper.kept = keeper.called = ordered = 0;
        for (int i = 0; i < KEPT; i++) {
            number[i] = i;
            CHECK_INT(weir_group_try_go(&g, takes_its_turn, &number[i]), 0);
            if (i < WEIR__GROUP_QUEUE / 2)
                call_kept(1); /* the queue begins somewhere */
        }
        CHECK_INT(allocations, 1);
        call_kept(keeper.kept - keeper.called);
        CHECK_INT(ordered, KEPT);
        for (int i = 0; i < KEPT; i++)
            CHECK_INT(order[i], i);
        CHECK_INT(weir_group_wait(&g), 0);
        CHECK_INT(allocations, 0);
    }
    weir_group_free(&g);
}

TEST(without_memory_for_a_runner_that_is_behind_a_task_is_refused)
{
    weir_group g;
    int number[WEIR__GROUP_QUEUE + 1];
    begin_kept(&g);
    fail_allocation = 0;
    for (int i = 0; i <= WEIR__GROUP_QUEUE; i++) {
        number[i] = i;
        CHECK_INT(weir_group_go(NULL, &g, takes_its_turn, &number[i]), i < WEIR__GROUP_QUEUE ? 0 : ENOMEM);
    }
    CHECK_INT(keeper.kept, WEIR__GROUP_QUEUE);
    call_kept(1);
    CHECK_INT(weir_group_go(NULL, &g, takes_its_turn, &number[WEIR__GROUP_QUEUE]), 0);
    fail_allocation = -1;
    call_kept(WEIR__GROUP_QUEUE);
    CHECK_INT(weir_group_wait(&g), 0);
    for (int i = 0; i <= WEIR__GROUP_QUEUE; i++)
        CHECK_INT(order[i], i);
    weir_group_free(&g);
}

/* The first call has two other tasks accepted before it is refused. */
static int numbers[] = {0, 1};
static int keeps_all_but_the_first(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    weir_group *g = (weir_group *)arg;
    runner->run = keeps;
    (void)fn;
    CHECK_INT(weir_group_go(ctx, g, takes_its_turn, &numbers[1]), 0);
    CHECK_INT(weir_group_go(ctx, g, takes_another, &numbers[0]), 0);
    return EAGAIN;
}
TEST(a_refused_task_is_taken_from_among_others_that_are_like_it)
{
    weir_group g;
    begin_kept(&g);
    keeper.runner.run = keeps_all_but_the_first;
    CHECK_INT(weir_group_go(NULL, &g, takes_its_turn, &numbers[0]), EAGAIN);
    CHECK_INT(keeper.kept, 2);
    call_kept(2);
    CHECK(ordered == 2 && order[0] == 1 && order[1] == 0);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
}

/* The first call has another task started before it is refused; what has been accepted for that one runs the first. */
static weir_group *nesting;
static int depth;
static int refuses_the_outer(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    (void)runner;
    if (depth++ > 0) {
        fn(arg);
        return 0;
    }
    CHECK_INT(weir_group_go(ctx, nesting, nothing, NULL), 0);
    CHECK_INT(__atomic_load_n(&ran, __ATOMIC_SEQ_CST), 1);
    return EAGAIN;
}
TEST(a_task_whose_call_has_run_another_is_run_by_its_starter)
{
    weir_runner runner = {refuses_the_outer};
    weir_group_opt opt = {.runner = &runner};
    weir_group g;
    ran = depth = 0;
    weir_group_init(&g, NULL, &opt);
    nesting = &g;
    CHECK_INT(weir_group_go(NULL, &g, nothing, &ran), 0);
    REQUIRE(__atomic_load_n(&ran, __ATOMIC_SEQ_CST) == 2);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
}
