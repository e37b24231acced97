/* tests/sync/test_once.c: it runs once, for all; a failure is its caller's alone. */
#include "../core/before.h"

#include "harness.h"
#include "../sync/printed.h"

static int ran, fail_first; /* atomic */

static int run(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST) <= __atomic_load_n(&fail_first, __ATOMIC_RELAXED) ? 5 : 0;
}

TEST(a_static_one_runs_once)
{
    static weir_once once = WEIR_ONCE_INIT;
    ran = fail_first = 0;
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_once_do(&once, run, NULL), 0);
    CHECK_INT(ran, 1);
}

TEST(a_failure_is_returned_and_the_next_call_runs_it_again)
{
    weir_once once;
    weir_once_init(&once);
    ran = 0;
    fail_first = 2;
    CHECK_INT(weir_once_do(&once, run, NULL), 5);
    CHECK_INT(weir_once_do(&once, run, NULL), 5);
    CHECK_INT(weir_once_do(&once, run, NULL), 0);
    CHECK_INT(weir_once_do(&once, run, NULL), 0);
    CHECK_INT(ran, 3);
}

static weir_once overtaken = WEIR_ONCE_INIT;
static void another_runs_it(void *word)
{
    (void)word;
    CHECK_INT(weir_once_do(&overtaken, run, NULL), 0);
}

/* Between its look and its lock. */
TEST(who_is_overtaken_by_a_whole_run_does_not_run_it_again)
{
    ran = fail_first = 0;
    before_word = &overtaken.line.lock;
    before_swap = another_runs_it;
    CHECK_INT(weir_once_do(&overtaken, run, NULL), 0);
    CHECK(before_swap == NULL);
    CHECK_INT(ran, 1);
}

static int run_if_alive(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_ctx_err(ctx);
}

TEST(the_function_gets_the_context)
{
    weir_once once = WEIR_ONCE_INIT;
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_once_do_ctx(&ctx, &once, run_if_alive, NULL), ECANCELED);
    CHECK_INT(weir_once_do_ctx(NULL, &once, run_if_alive, NULL), 0);
    CHECK_INT(weir_once_do_ctx(&ctx, &once, run_if_alive, NULL), 0); /* done is done */
    weir_ctx_free(&ctx);
}

/* ---- many at once ---- */

struct crowd {
    weir_once once;
    uint64_t made; /* plain: whoever gets 0 must see it */
    int failures, zeros;
};

static int make(weir_ctx *ctx, void *arg)
{
    struct crowd *c = (struct crowd *)arg;
    (void)ctx;
    if (__atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST) <= fail_first)
        return 5;
    c->made = 0x1234567890abcdef;
    return 0;
}

static void crowd_main(void *arg)
{
    struct crowd *c = (struct crowd *)arg;
    const int rc = weir_once_do(&c->once, make, c);
    if (rc == 0) {
        CHECK(c->made == 0x1234567890abcdef);
        __atomic_add_fetch(&c->zeros, 1, __ATOMIC_SEQ_CST);
    } else {
        CHECK_INT(rc, 5);
        __atomic_add_fetch(&c->failures, 1, __ATOMIC_SEQ_CST);
    }
}

TEST(of_many_threads_one_runs_it_and_as_many_fail_as_runs_failed)
{
    for (int round = 0; round < test_rounds(500); round++) {
        struct crowd c;
        memset(&c, 0, sizeof c);
        ran = 0;
        fail_first = round % 4;
        test_threads(test_wide(3) + 3, crowd_main, &c, 0);
        CHECK_INT(c.failures, fail_first);
        CHECK_INT(c.zeros, test_wide(3) + 3 - fail_first);
        CHECK_INT(ran, fail_first + 1);
    }
}

/* ---- a wait that ends before the run does ---- */

static int began, let_go; /* atomic */

static int stay(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    __atomic_store_n(&began, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&let_go, __ATOMIC_ACQUIRE))
        sched_yield();
    return 0;
}

static void stays(void *arg)
{
    CHECK_INT(weir_once_do((weir_once *)arg, stay, NULL), 0);
}

static int fails_when_another_waits(weir_ctx *ctx, void *arg)
{
    weir_once *once = (weir_once *)arg;
    bool waited = false;
    (void)ctx;
    __atomic_store_n(&began, 1, __ATOMIC_RELEASE);
    EVENTUALLY((weir__lock_take(&once->line.lock), waited = once->line.list.first != NULL,
                weir__lock_release(&once->line.lock), waited));
    return 5;
}
static void fails_first(void *arg)
{
    CHECK_INT(weir_once_do((weir_once *)arg, fails_when_another_waits, arg), 5);
}

TEST(who_waits_takes_over_from_a_run_that_fails)
{
    weir_once once = WEIR_ONCE_INIT;
    began = ran = fail_first = 0;
    struct test_team *team = test_start(1, fails_first, &once, 0);
    EVENTUALLY(__atomic_load_n(&began, __ATOMIC_ACQUIRE));
    CHECK_INT(weir_once_do(&once, run, NULL), 0);
    test_join(team);
    CHECK_INT(ran, 1);
    CHECK_INT(weir_once_do(&once, run, NULL), 0);
    CHECK_INT(ran, 1);
    began = 0;
}

TEST(a_context_ends_the_wait_for_another_threads_run)
{
    weir_once once = WEIR_ONCE_INIT;
    weir_ctx ctx;
    struct test_team *team = test_start(1, stays, &once, 0);
    EVENTUALLY(__atomic_load_n(&began, __ATOMIC_ACQUIRE));
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_once_do_ctx(&ctx, &once, stay, NULL), ETIMEDOUT);
    CHECK(once.line.list.first == NULL);
    __atomic_store_n(&let_go, 1, __ATOMIC_RELEASE);
    test_join(team);
    CHECK_INT(weir_once_do_ctx(&ctx, &once, stay, NULL), 0);
    weir_ctx_free(&ctx);
}

static weir_once running = WEIR_ONCE_INIT;
static int needs(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_once_do_ctx(ctx, &running, run, NULL);
}
static int is_waited_for(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    printed_while(needs, NULL, " in once for ");
    return 0;
}
TEST(the_roll_says_who_waits_for_it)
{
    CHECK_INT(weir_once_do(&running, is_waited_for, NULL), 0);
}
