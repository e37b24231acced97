/* tests/task/test_pool_leave.c: workers of which there are too many leave, and no more than those. */
#include "../core/before.h"

#include "harness.h"

#include "pool.h"

static weir_pool p;
static int at_lock; /* atomic */

static unsigned workers_left(void)
{
    return weir__load_rlx(&p.threads);
}

/* It has seen that there are too many, and comes to the lock late: another has left. */
static void another_leaves(void *word)
{
    (void)word;
    __atomic_store_n(&at_lock, 1, __ATOMIC_SEQ_CST);
    EVENTUALLY(workers_left() == 2);
}

static int is_late(weir_ctx *ctx, void *gate)
{
    stands(ctx, gate);
    before_word = &p.lock;
    before_swap = another_leaves;
    return 0;
}
static int is_not(weir_ctx *ctx, void *gate)
{
    stands(ctx, gate);
    EVENTUALLY(__atomic_load_n(&at_lock, __ATOMIC_SEQ_CST));
    return 0;
}

TEST(of_two_that_see_one_too_many_one_leaves)
{
    const weir_pool_opt opt = {.min = 3, .idle = WEIR_SEC(1000)};
    struct gate g = {0, 0};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, is_late, &g, NULL), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, is_not, &g, NULL), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, is_not, &g, NULL), 0);
    gate_await(&g, 3);
    CHECK_INT(weir_pool_resize(&p, 1, 2), 0);
    gate_open(&g);
    EVENTUALLY(weir__waitq_sleepers(&p.queue.idle) == 2);
    CHECK_INT(workers_left(), 2);
    CHECK_INT(tally_of(&p).workers, 2);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(one_too_many_leaves_though_jobs_wait)
{
    const weir_pool_opt opt = {.min = 2};
    struct gate first = {0, 0}, second = {0, 0};
    int ran = 0;
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &first, NULL), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, stands, &second, NULL), 0);
    gate_await(&first, 1);
    gate_await(&second, 1);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_resize(&p, 1, 1), 0);
    gate_open(&first);
    EVENTUALLY(tally_of(&p).workers == 1);
    CHECK_INT(counted(&ran), 0);
    gate_open(&second);
    EVENTUALLY(counted(&ran) == 1);
    CHECK_INT(weir_pool_free(&p), 0);
}
