/* tests/task/test_group.c: the first error, the limit, waiting for a place, joining, refused threads. The behaviours that the
 * tests of Go's x/sync/errgroup check are among them.
 */
static void yields(void);
#define WEIR_CPU_YIELD() yields()
#include "../faults/failing.h"
#include "../sync/printed.h"

#include <sys/prctl.h>

static int ran, running, most_running; /* atomic */

static int nothing(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int fails_with(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

static int waits_for_the_end(weir_ctx *ctx, void *arg)
{
    weir_case done = WEIR_DONE(ctx);
    (void)arg;
    return weir_select(NULL, &done, 1) == 0 ? ECANCELED : -1;
}

static void none_left(void)
{
    CHECK_INT(weir_thread_count(), 0);
    CHECK_INT(threads_kept, 0);
}

TEST(a_group_has_a_context_before_its_first_task)
{
    weir_group g = WEIR_GROUP_INIT;
    weir_ctx child;
    weir_ctx_init(&child, weir_group_ctx(&g));
    weir_group_cancel(&g, 7);
    CHECK_INT(weir_ctx_err(&child), ECANCELED);
    CHECK_INT(weir_ctx_cause(&child), 7);
    weir_ctx_free(&child);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
}

TEST(a_group_of_none)
{
    weir_group g = WEIR_GROUP_INIT;
    CHECK_INT(weir_group_wait(&g), 0);
    CHECK_INT(weir_ctx_err(weir_group_ctx(&g)), ECANCELED); /* also on success */
    CHECK_INT(weir_group_errors(&g, NULL, 0), 0);
    weir_group_free(&g);
    weir_group_free(&g); /* again, and one that was never used */
}

TEST(the_first_error_stays_through_later_rounds)
{
    static weir_group g = WEIR_GROUP_INIT;
    int codes[] = {0, 3, 0, 4}, want = 0;
    for (int i = 0; i < 4; i++) {
        CHECK_INT(weir_group_go(NULL, &g, fails_with, &codes[i]), 0);
        if (want == 0)
            want = codes[i];
        CHECK_INT(weir_group_wait(&g), want);
        none_left();
    }
    weir_group_error errors[3] = {{0, NULL}, {0, NULL}, {99, NULL}};
    CHECK_INT(weir_group_errors(&g, errors, 3), 2);
    CHECK_INT(errors[0].code, 3);
    CHECK(errors[1].code == 4 && errors[1].arg == &codes[3]);
    CHECK_INT(errors[2].code, 99); /* no more than there are */
    errors[1].code = 99;
    CHECK_INT(weir_group_errors(&g, errors, 1), 2);
    CHECK_INT(errors[1].code, 99);
    weir_group_free(&g);
}

TEST(the_first_failure_ends_the_others_and_is_what_wait_returns)
{
    weir_group g;
    weir_ctx parent;
    int seven = 7;
    weir_ctx_init(&parent, NULL);
    weir_group_init(&g, &parent, NULL);
    for (int i = 0; i < 5; i++)
        CHECK_INT(weir_group_go(NULL, &g, waits_for_the_end, NULL), 0);
    CHECK_INT(weir_ctx_err(weir_group_ctx(&g)), 0);
    CHECK_INT(weir_group_go(NULL, &g, fails_with, &seven), 0);
    CHECK_INT(weir_group_wait(&g), 7);
    CHECK_INT(weir_ctx_cause(weir_group_ctx(&g)), 7);
    CHECK_INT(weir_ctx_err(&parent), 0);
    weir_group_error errors[10];
    CHECK_INT(weir_group_errors(&g, errors, 10), 6);
    CHECK_INT(errors[0].code, 7);
    CHECK_INT(errors[5].code, ECANCELED);
    weir_group_free(&g);
    weir_ctx_free(&parent);
    none_left();
}

TEST(cancel_ends_tasks_without_being_an_error)
{
    weir_group g = WEIR_GROUP_INIT;
    CHECK_INT(weir_group_go(NULL, &g, waits_for_the_end, NULL), 0);
    weir_group_cancel(&g, 9);
    CHECK_INT(weir_group_wait(&g), ECANCELED); /* what the task has made of it */
    CHECK_INT(weir_ctx_cause(weir_group_ctx(&g)), 9);
    weir_group_free(&g);
}

TEST(errors_beyond_the_memory_for_them_are_counted)
{
    weir_group g;
    weir_group_error more[3], all[WEIR_GROUP_ERRORS + 4];
    int codes[20];
    weir_group_opt opt = {.limit = 1, .errors = more, .errors_max = 3};
    weir_group_init(&g, NULL, &opt);
    for (int i = 0; i < 20; i++) {
        codes[i] = i + 1;
        CHECK_INT(weir_group_go(NULL, &g, fails_with, &codes[i]), 0);
    }
    CHECK_INT(weir_group_wait(&g), 1);
    all[WEIR_GROUP_ERRORS + 3].code = 99;
    CHECK_INT(weir_group_errors(&g, all, 20), 20);
    CHECK_INT(all[WEIR_GROUP_ERRORS + 3].code, 99);
    for (int i = 0; i < WEIR_GROUP_ERRORS + 3; i++)
        CHECK(all[i].code == i + 1 && all[i].arg == &codes[i]);
    weir_group_free(&g);
}

/* ---- the limit ---- */

static int counts(weir_ctx *ctx, void *arg)
{
    const int now = __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&most_running, __ATOMIC_SEQ_CST);
    (void)ctx;
    (void)arg;
    while (now > most &&
           !__atomic_compare_exchange_n(&most_running, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
    sched_yield();
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
    return 0;
}

TEST(never_more_than_the_limit_run_at_once)
{
    for (unsigned limit = 1; limit <= 5; limit += 2) {
        weir_group g;
        weir_group_opt opt = {.limit = limit};
        const long n = test_rounds(5000);
        ran = running = most_running = 0;
        weir_group_init(&g, NULL, &opt);
        for (long i = 0; i < n; i++)
            CHECK_INT(weir_group_go(NULL, &g, counts, NULL), 0);
        CHECK(g.threads <= limit);
        CHECK_INT(weir_group_wait(&g), 0);
        CHECK_INT(ran, n);
        CHECK(most_running <= (int)limit);
        weir_group_free(&g);
    }
    none_left();
}

struct gate {
    int open, inside; /* atomic */
};

static int waits_at_the_gate(weir_ctx *ctx, void *arg)
{
    struct gate *gate = (struct gate *)arg;
    (void)ctx;
    __atomic_add_fetch(&gate->inside, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&gate->open, __ATOMIC_ACQUIRE))
        sched_yield();
    return 0;
}

TEST(at_the_limit_try_says_so_and_go_waits_as_long_as_its_context)
{
    weir_group g;
    weir_group_opt opt = {.limit = 2};
    struct gate gate = {0, 0};
    weir_ctx ctx;
    weir_group_init(&g, NULL, &opt);
    ran = 0;
    CHECK_INT(weir_group_try_go(&g, waits_at_the_gate, &gate), 0);
    CHECK_INT(weir_group_go(NULL, &g, waits_at_the_gate, &gate), 0);
    CHECK_INT(weir_group_try_go(&g, nothing, NULL), EAGAIN);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_group_go(&ctx, &g, nothing, NULL), ETIMEDOUT);
    CHECK_INT(weir_group_limit(&g, 3), EINVAL);
    CHECK_INT(ran, 0);
    __atomic_store_n(&gate.open, 1, __ATOMIC_RELEASE);
    CHECK_INT(weir_group_go(NULL, &g, nothing, NULL), 0);
    CHECK_INT(weir_group_wait(&g), 0);
    CHECK_INT(ran, 1);
    CHECK_INT(weir_group_limit(&g, 3), 0);
    weir_ctx_free(&ctx);
    weir_group_free(&g);
    none_left();
}

struct goer {
    weir_group *g;
    weir_ctx *ctx;
    int rc;
};

static void goes(void *arg)
{
    struct goer *goer = (struct goer *)arg;
    goer->rc = weir_group_go(goer->ctx, goer->g, nothing, NULL);
}

static int waiting(weir_group *g)
{
    int n = 0;
    weir__lock_take(&g->lock);
    for (weir__waiter *w = g->for_place.first; w != NULL; w = w->next)
        n++;
    weir__lock_release(&g->lock);
    return n;
}

/* The first that waits for a place gives up: the place goes to the second. */
TEST(a_place_is_not_lost_to_a_go_that_gives_up)
{
    for (long round = test_rounds(200); round > 0; round--) {
        weir_group g;
        weir_group_opt opt = {.limit = 1};
        struct gate gate = {0, 0};
        weir_ctx ctx;
        weir_ctx_init(&ctx, NULL);
        weir_group_init(&g, NULL, &opt);
        struct goer first = {&g, &ctx, -1}, second = {&g, NULL, -1};
        ran = 0;
        CHECK_INT(weir_group_go(NULL, &g, waits_at_the_gate, &gate), 0);
        struct test_team *one = test_start(1, goes, &first, 0);
        EVENTUALLY(waiting(&g) == 1);
        struct test_team *two = test_start(1, goes, &second, 0);
        EVENTUALLY(waiting(&g) == 2);
        __atomic_store_n(&gate.open, 1, __ATOMIC_RELEASE); /* against: */
        weir_ctx_cancel(&ctx, 0);
        test_join(one);
        test_join(two);
        CHECK(first.rc == 0 || first.rc == ECANCELED);
        CHECK_INT(second.rc, 0);
        CHECK_INT(weir_group_wait(&g), 0);
        CHECK_INT(ran, first.rc == 0 ? 2 : 1);
        weir_group_free(&g);
        weir_ctx_free(&ctx);
    }
    none_left();
}

/* ---- tasks that start tasks ---- */

struct tree {
    weir_group *g;
    int depth;
};

static int grows(weir_ctx *ctx, void *arg)
{
    struct tree *t = (struct tree *)arg;
    struct tree *below = t + 1;
    (void)ctx;
    __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; t->depth > 0 && i < 3; i++)
        if (weir_group_try_go(t->g, grows, below) != 0)
            grows(ctx, below); /* at the limit: here */
    return 0;
}

TEST(tasks_start_tasks_and_wait_waits_for_those_too)
{
    for (unsigned limit = 0; limit < 4; limit++) {
        weir_group g;
        weir_group_opt opt = {.limit = limit};
        struct tree t[5];
        weir_group_init(&g, NULL, &opt);
        for (int i = 0; i < 5; i++) {
            t[i].g = &g;
            t[i].depth = 4 - i;
        }
        ran = 0;
        CHECK_INT(weir_group_go(NULL, &g, grows, t), 0);
        CHECK_INT(weir_group_wait(&g), 0);
        CHECK_INT(ran, 1 + 3 + 9 + 27 + 81);
        weir_group_free(&g);
    }
    none_left();
}

TEST(without_a_limit_all_run_at_once)
{
    enum { MANY = 60 };
    weir_group g = WEIR_GROUP_INIT;
    struct gate gate = {0, 0};
    for (int i = 0; i < MANY; i++)
        CHECK_INT(weir_group_go(NULL, &g, waits_at_the_gate, &gate), 0);
    EVENTUALLY(__atomic_load_n(&gate.inside, __ATOMIC_SEQ_CST) == MANY);
    CHECK_INT(weir_thread_count(), MANY);
    __atomic_store_n(&gate.open, 1, __ATOMIC_RELEASE);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
    none_left();
}

/* More tasks than the queue between go and the threads has room for, before any thread has begun: they stand before the roll. */
static __thread int *yielded; /* atomic */
static void yields(void)
{
    if (yielded != NULL)
        __atomic_add_fetch(yielded, 1, __ATOMIC_SEQ_CST);
    sched_yield();
}

enum { CROWD = WEIR__GROUP_QUEUE + 8 };
struct crowd {
    weir_group g;
    int runs[CROWD], yielded; /* atomic */
};
static int counts_itself(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
    return 0;
}
static void all_go(void *arg)
{
    struct crowd *c = (struct crowd *)arg;
    yielded = &c->yielded;
    for (int i = 0; i < CROWD; i++)
        CHECK_INT(weir_group_go(NULL, &c->g, counts_itself, &c->runs[i]), 0);
}
TEST(go_waits_when_none_of_many_threads_has_begun)
{
    static struct crowd c;
    memset(&c, 0, sizeof c);
    weir_group_init(&c.g, NULL, NULL);
    weir__lock_take(&weir__roll.lock);
    struct test_team *team = test_start(1, all_go, &c, 0);
    EVENTUALLY(__atomic_load_n(&c.yielded, __ATOMIC_SEQ_CST) > 0);
    CHECK_INT(__atomic_load_n(&threads_kept, __ATOMIC_SEQ_CST), WEIR__GROUP_QUEUE + 1);
    weir__lock_release(&weir__roll.lock);
    test_join(team);
    CHECK_INT(weir_group_wait(&c.g), 0);
    for (int i = 0; i < CROWD; i++)
        CHECK_INT(c.runs[i], 1);
    weir_group_free(&c.g);
    none_left();
    CHECK_INT(allocations, 0);
}

static void goes_often(void *arg)
{
    for (long i = test_rounds(3000); i > 0; i--)
        CHECK_INT(weir_group_go(NULL, (weir_group *)arg, nothing, NULL), 0);
}

TEST(many_threads_go_at_once)
{
    weir_group g;
    weir_group_opt opt = {.limit = 3};
    weir_group_init(&g, NULL, &opt);
    ran = 0;
    test_threads(test_wide(4), goes_often, &g, 0);
    CHECK_INT(weir_group_wait(&g), 0);
    CHECK_INT(ran, test_wide(4) * test_rounds(3000));
    weir_group_free(&g);
    none_left();
}

/* ---- threads that are refused ---- */

TEST(a_refused_thread_is_reported_and_the_group_goes_on)
{
    for (int k = 0; k < 6; k++) {
        weir_group g;
        weir_group_opt opt = {.limit = 4};
        struct gate gate = {0, 0};
        int accepted = 0;
        weir_group_init(&g, NULL, &opt);
        fail_thread = k;
        ran = 0;
        for (int i = 0; i < 4; i++) {
            const int rc = weir_group_try_go(&g, waits_at_the_gate, &gate);
            CHECK_INT(rc, i < k ? 0 : EAGAIN);
            accepted += rc == 0;
        }
        fail_thread = -1;
        CHECK_INT(accepted, k < 4 ? k : 4);
        EVENTUALLY(__atomic_load_n(&gate.inside, __ATOMIC_SEQ_CST) == accepted);
        CHECK_INT(weir_thread_count(), accepted);
        __atomic_store_n(&gate.open, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < 10; i++)
            CHECK_INT(weir_group_go(NULL, &g, nothing, NULL), 0);
        CHECK_INT(weir_group_wait(&g), 0);
        CHECK_INT(ran, 10);
        weir_group_free(&g);
    }
    none_left();
    CHECK_INT(allocations, 0); /* nor was there ever one */
}

TEST(a_group_that_is_freed_has_left_its_parent)
{
    weir_group g;
    weir_ctx parent;
    weir_ctx_init(&parent, NULL);
    weir_group_init(&g, &parent, NULL);
    weir_group_free(&g);
    memset(&g, 0xa5, sizeof g);
    weir_ctx_cancel(&parent, 0);
    weir_ctx_free(&parent);
}
