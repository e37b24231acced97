/* tests/task/test_pool_map.c: an array in parallel: every element once, in its place; failures, contexts, a pool that cannot help. */
#include "../core/before.h"
#include "../faults/failing.h"
#include "pool.h"

enum { MANY = 1000 };
static int in[MANY], out[MANY], calls[MANY];
static weir_pool pool;

static int squares(weir_ctx *ctx, void *arg, const void *from, void *to)
{
    const int i = *(const int *)from;
    (void)ctx;
    __atomic_add_fetch(&calls[i], 1, __ATOMIC_SEQ_CST);
    if (arg != NULL && i >= *(int *)arg) {
        if (i % 2 != 0)
            weir_job_fail(i);
        return i;
    }
    *(int *)to = i * i;
    return 0;
}

static void clear(void)
{
    for (int i = 0; i < MANY; i++) {
        in[i] = i;
        out[i] = -1;
        calls[i] = 0;
    }
}
static void check_all(int n)
{
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(calls[i], i < n);
        CHECK_INT(out[i], i < n ? i * i : -1);
    }
}

TEST(each_element_once_and_in_its_place)
{
    const weir_pool_opt opt = {.min = 3};
    static const int sizes[] = {0, 1, 2, 3, 7, 8, MANY - 1, MANY};
    size_t which = 77;
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    for (int i = 0; i < 8 * (int)test_rounds(50); i++) {
        const int n = sizes[i % 8];
        clear();
        CHECK_INT(weir_pool_map(NULL, &pool, squares, NULL, in, out, (size_t)n, &which), 0);
        check_all(n);
    }
    CHECK_INT(which, 77);
    CHECK_INT(weir_pool_map(NULL, &pool, squares, NULL, in, out, (size_t)INT32_MAX + 1, NULL), EOVERFLOW);
    CHECK_INT(weir_pool_free(&pool), 0);
    CHECK_INT(allocations, 0);
}

TEST(a_failure_is_told_with_its_place_and_the_rest_left_out)
{
    const weir_pool_opt opt = {.min = 3};
    int worked = 0, from = MANY / 2;
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    for (int round = 0; round < 2 * (int)test_rounds(50); round++) {
        size_t which = 0;
        from = MANY / 2 + round % 2; /* one fails by returning, one by weir_job_fail */
        clear();
        const int rc = weir_pool_map(NULL, &pool, squares, &from, in, out, MANY, &which);
        CHECK(rc >= from && which == (size_t)rc);
        CHECK_INT(calls[which], 1);
        worked = 0;
        for (int i = 0; i < MANY; i++) {
            worked += calls[i];
            CHECK(calls[i] <= 1 && (i >= (int)which || calls[i] == 0 || out[i] == i * i));
        }
    }
    CHECK(worked < MANY);
    CHECK(weir_pool_map(NULL, &pool, squares, &from, in, out, MANY, NULL) >=
          from); /* not everybody wants to know which */
    CHECK_INT(weir_pool_free(&pool), 0);
}

/* Both elements fail, in two threads, and one writes that down while the other is about to. */
static struct both {
    int inside, late, other_may; /* atomic, but late: which element is held up */
} both;
static void lets_the_other_fail(void *word)
{
    __atomic_store_n(&both.other_may, 1, __ATOMIC_SEQ_CST);
    EVENTUALLY(__atomic_load_n((uint64_t *)word, __ATOMIC_SEQ_CST) != WEIR__MAP_NONE);
}
static int fails(weir_ctx *ctx, void *arg, const void *from, void *to)
{
    const int i = *(const int *)from;
    (void)ctx;
    (void)arg;
    (void)to;
    __atomic_add_fetch(&both.inside, 1, __ATOMIC_SEQ_CST);
    EVENTUALLY(__atomic_load_n(&both.inside, __ATOMIC_SEQ_CST) == 2);
    if (i == both.late)
        before_swap = lets_the_other_fail;
    else
        EVENTUALLY(__atomic_load_n(&both.other_may, __ATOMIC_SEQ_CST));
    return i + 10;
}
TEST(of_two_that_fail_at_once_the_first_in_the_array_is_told)
{
    const weir_pool_opt opt = {.min = 1};
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    for (int late = 0; late < 2; late++) {
        size_t which = 77;
        memset(&both, 0, sizeof both);
        both.late = late;
        clear();
        CHECK_INT(weir_pool_map(NULL, &pool, fails, NULL, in, out, 2, &which), 10);
        CHECK_INT(which, 0);
        CHECK_INT(both.other_may, 1);
    }
    CHECK_INT(weir_pool_free(&pool), 0);
}

/* Two elements, of the worker that maps and of its helper, who is not through before the other waits for it. */
static struct helped {
    pthread_t caller;
    int inside, returned; /* atomic */
} helped;
static void waits_for_others(const weir__roll_entry *entry, void *n)
{
    *(int *)n += entry->what != NULL && strcmp(entry->what, "waitgroup") == 0;
}
static int is_waited_for(void)
{
    int n = 0;
    weir__roll_each(waits_for_others, &n);
    return n;
}
static int helps(weir_ctx *ctx, void *arg, const void *from, void *to)
{
    (void)arg;
    __atomic_add_fetch(&helped.inside, 1, __ATOMIC_SEQ_CST);
    EVENTUALLY(__atomic_load_n(&helped.inside, __ATOMIC_SEQ_CST) == 2);
    if (!pthread_equal(pthread_self(), helped.caller))
        EVENTUALLY(__atomic_load_n(&helped.returned, __ATOMIC_SEQ_CST) || is_waited_for());
    return squares(ctx, NULL, from, to);
}
static int maps_two(weir_ctx *ctx, void *arg)
{
    (void)arg;
    helped.caller = pthread_self();
    CHECK_INT(weir_pool_map(ctx, &pool, helps, NULL, in, out, 2, NULL), 0);
    __atomic_store_n(&helped.returned, 1, __ATOMIC_SEQ_CST);
    check_all(2);
    return 0;
}
TEST(a_map_ends_when_its_helpers_are_through)
{
    const weir_pool_opt opt = {.min = 2};
    memset(&helped, 0, sizeof helped);
    clear();
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &pool, maps_two, NULL, NULL), 0);
    EVENTUALLY(__atomic_load_n(&helped.returned, __ATOMIC_SEQ_CST));
    CHECK_INT(weir_pool_free(&pool), 0);
}

TEST(a_context_that_has_ended_leaves_all_out)
{
    const weir_pool_opt opt = {.min = 2};
    weir_ctx ctx;
    size_t which = 0;
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    clear();
    CHECK_INT(weir_pool_map(&ctx, &pool, squares, NULL, in, out, MANY, &which), ECANCELED);
    CHECK_INT(which, MANY);
    check_all(0);
    weir_ctx_free(&ctx);
    CHECK_INT(weir_pool_free(&pool), 0);
}

TEST(without_workers_room_or_memory_the_caller_works_alone)
{
    const weir_pool_opt opt = {.queue = 1};
    struct gate g;
    int ran = 0;
    start_blocked(&pool, &g, &opt);
    for (int full = 0; full < 2; full++) { /* the second time the queue is full, with a helper that comes too late */
        clear();
        CHECK_INT(weir_pool_map(NULL, &pool, squares, NULL, in, out, MANY, NULL), 0);
        check_all(MANY);
    }
    fail_allocation = 0;
    clear();
    CHECK_INT(weir_pool_map(NULL, &pool, squares, NULL, in, out, MANY, NULL), 0);
    fail_allocation = -1;
    check_all(MANY);
    CHECK_INT(weir_pool_stop_until(&pool, 0), ETIMEDOUT);
    clear();
    CHECK_INT(weir_pool_map(NULL, &pool, squares, NULL, in, out, MANY, NULL), 0);
    check_all(MANY);
    gate_open(&g);
    CHECK_INT(weir_pool_free(&pool), 0);
    CHECK_INT(allocations, 0);
    CHECK_INT(ran, 0);
}

/* Every worker maps, with its helpers queued behind others that do the same. */
static int maps(weir_ctx *ctx, void *arg)
{
    int from[40], to[40];
    for (int i = 0; i < 40; i++)
        from[i] = i;
    CHECK_INT(weir_pool_map(ctx, &pool, squares, NULL, from, to, 40, NULL), 0);
    for (int i = 0; i < 40; i++)
        CHECK_INT(to[i], i * i);
    return counts(ctx, arg);
}

TEST(jobs_that_map_on_their_own_pool_do_not_wait_for_each_other)
{
    const weir_pool_opt opt = {.min = 2};
    const int n = (int)test_rounds(500);
    int ran = 0;
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    for (int i = 0; i < n; i++)
        CHECK_INT(weir_pool_submit(NULL, &pool, maps, &ran, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    CHECK_INT(ran, n);
    CHECK_INT(weir_pool_free(&pool), 0);
    CHECK_INT(allocations, 0);
}
