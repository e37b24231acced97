/* tests/ctx/test_ctx_hooks.c: on_cancel and off_cancel: when hooks run, how often, in which order, and what they may
 * call. */
#include "harness.h"

enum { MOST = 64 };
static int ran[MOST], runs; /* which hooks ran, in this order */

static void note(void *number)
{
    if (CHECK(runs < MOST))
        ran[runs++] = *(const int *)number;
}

static const int numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

static int add(weir_ctx *ctx, weir_ctx_hook *hook, int number)
{
    return weir_ctx_on_cancel(ctx, hook, note, (void *)(uintptr_t)&numbers[number]);
}

static void check_ran(int n, const int *expected)
{
    if (CHECK_INT(runs, n))
        for (int i = 0; i < n; i++)
            CHECK_INT(ran[i], expected[i]);
}

TEST(a_hook_runs_once_before_cancel_returns)
{
    weir_ctx ctx;
    weir_ctx_hook hook;
    runs = 0;
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(add(&ctx, &hook, 1), 0);
    CHECK_INT(runs, 0);
    weir_ctx_cancel(&ctx, 0);
    check_ran(1, (const int[]){1});
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_ctx_off_cancel(&ctx, &hook), ECANCELED);
    CHECK_INT(weir_ctx_off_cancel(&ctx, &hook), ECANCELED);
    CHECK_INT(runs, 1);
    weir_ctx_free(&ctx);
    CHECK_INT(runs, 1);
}

TEST(on_an_ended_context_it_runs_at_once)
{
    weir_ctx ctx, child;
    weir_ctx_hook hook;
    runs = 0;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 5);
    CHECK_INT(add(&ctx, &hook, 1), ECANCELED);
    CHECK_INT(runs, 1);
    CHECK_INT(weir_ctx_off_cancel(&ctx, &hook), ECANCELED);
    weir_ctx_init(&child, &ctx);
    CHECK_INT(add(&child, &hook, 2), ECANCELED);
    weir_ctx_free(&child);
    weir_ctx_free(&ctx);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    while (weir_now() < weir_ctx_deadline(&ctx)) {}
    CHECK_INT(add(&ctx, &hook, 3), ETIMEDOUT); /* nobody had noticed before */
    check_ran(3, (const int[]){1, 2, 3});
    weir_ctx_free(&ctx);
}

TEST(null_never_runs_a_hook)
{
    weir_ctx_hook hook;
    runs = 0;
    CHECK_INT(add(NULL, &hook, 1), 0);
    CHECK_INT(weir_ctx_off_cancel(NULL, &hook), 0);
    CHECK_INT(runs, 0);
}

TEST(a_deadline_runs_hooks_when_it_is_noticed)
{
    weir_ctx ctx, child;
    weir_ctx_hook hook[2];
    runs = 0;
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(2));
    weir_ctx_init(&child, &ctx);
    add(&ctx, &hook[0], 1);
    add(&child, &hook[1], 2);
    while (weir_now() < weir_ctx_deadline(&ctx)) {}
    CHECK_INT(runs, 0);
    CHECK_INT(weir_ctx_err(&ctx), ETIMEDOUT);
    check_ran(2, (const int[]){1, 2});
    weir_ctx_free(&child);
    weir_ctx_free(&ctx);
}

TEST(parents_first_and_in_the_order_of_registration)
{
    weir_ctx root, child, other, grandchild;
    weir_ctx_hook hook[8];
    runs = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    weir_ctx_init(&grandchild, &child);
    weir_ctx_init(&other, &root);
    add(&grandchild, &hook[0], 5);
    add(&child, &hook[1], 3);
    add(&root, &hook[2], 1);
    add(&child, &hook[3], 4);
    add(&root, &hook[4], 2);
    add(&grandchild, &hook[5], 6);
    weir_ctx_cancel(&other, 0); /* has none */
    weir_ctx_cancel(&root, 0);
    check_ran(6, (const int[]){1, 2, 3, 4, 5, 6});
    weir_ctx_free(&grandchild);
    weir_ctx_free(&other);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

TEST(not_after_off_cancel_or_free)
{
    weir_ctx ctx, child;
    weir_ctx_hook hook[5], orphan;
    runs = 0;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_init(&child, &ctx);
    for (int i = 0; i < 5; i++)
        add(&ctx, &hook[i], i);
    add(&child, &orphan, 9);
    CHECK_INT(weir_ctx_off_cancel(&ctx, &hook[2]), 0);
    CHECK_INT(weir_ctx_off_cancel(&ctx, &hook[0]), 0);
    CHECK_INT(weir_ctx_off_cancel(&ctx, &hook[4]), 0);
    add(&ctx, &hook[0], 7); /* the same memory again, now last */
    weir_ctx_free(&child);
    weir_ctx_cancel(&ctx, 0);
    check_ran(3, (const int[]){1, 3, 7});
    CHECK_INT(weir_ctx_off_cancel(&ctx, &hook[1]), ECANCELED);
    weir_ctx_free(&ctx);
    CHECK_INT(runs, 3);
}

/* ---- from inside a hook ---- */

static struct {
    weir_ctx *root, *child, *other;
    weir_ctx_hook first, second, third, fourth;
    int rc;
} scene;

static void take_off_others(void *unused)
{
    (void)unused;
    CHECK_INT(weir_ctx_off_cancel(scene.root, &scene.second), 0);        /* pending in the run: taken back */
    CHECK_INT(weir_ctx_off_cancel(scene.root, &scene.first), ECANCELED); /* this very one: does not wait for itself */
    CHECK_INT(weir_ctx_off_cancel(scene.child, &scene.fourth), 0);
    CHECK_INT(weir_ctx_err(scene.root), ECANCELED);
    CHECK_INT(weir_ctx_err(scene.child), ECANCELED); /* all below is marked before the first hook runs */
    CHECK_INT(weir_ctx_cause(scene.child), 31);
}

TEST(a_hook_takes_hooks_off)
{
    weir_ctx root, child;
    runs = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    scene.root = &root;
    scene.child = &child;
    weir_ctx_on_cancel(&root, &scene.first, take_off_others, NULL);
    add(&root, &scene.second, 2);
    add(&child, &scene.third, 3);
    add(&child, &scene.fourth, 4);
    weir_ctx_cancel(&root, 31);
    check_ran(1, (const int[]){3});
    CHECK_INT(weir_ctx_off_cancel(&child, &scene.third), ECANCELED);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

static void free_child(void *unused)
{
    (void)unused;
    weir_ctx_free(scene.child);
    memset(scene.child, 0xdb, sizeof *scene.child);
}

TEST(a_hook_frees_a_child_and_its_hooks_never_run)
{
    weir_ctx root, child, sibling;
    weir_ctx_hook last;
    runs = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    weir_ctx_init(&sibling, &root);
    scene.child = &child;
    weir_ctx_on_cancel(&root, &scene.first, free_child, NULL);
    add(&child, &scene.second, 2);
    add(&child, &scene.third, 3);
    add(&sibling, &last, 4);
    weir_ctx_cancel(&root, 0);
    check_ran(1, (const int[]){4});
    CHECK(root.children == &sibling && sibling.next_sibling == NULL);
    weir_ctx_free(&sibling);
    weir_ctx_free(&root);
}

/* The context of the hook that runs, and the hook itself, vanish under it. */
static void free_own(void *arg)
{
    weir_ctx *own = (weir_ctx *)arg;
    weir_ctx_free(own);
    memset(own, 0xdb, sizeof *own);
    memset(&scene.first, 0xdb, sizeof scene.first);
    runs++;
}

TEST(a_hook_frees_its_own_context)
{
    weir_ctx root, child;
    runs = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    weir_ctx_on_cancel(&child, &scene.first, free_own, &child);
    weir_ctx_cancel(&root, 0);
    CHECK_INT(runs, 1);
    CHECK(root.children == NULL && root.tree.runs == NULL);
    weir_ctx_free(&root);
}

TEST(a_hook_frees_the_root)
{
    weir_ctx *root = (weir_ctx *)malloc(sizeof *root);
    REQUIRE(root != NULL);
    runs = 0;
    weir_ctx_init(root, NULL);
    weir_ctx_on_cancel(root, &scene.first, free_own, root);
    add(root, &scene.second, 2); /* still registered when it is freed: does not run */
    weir_ctx_cancel(root, 0);
    CHECK_INT(runs, 1);
    free(root);
}

static void free_root_for_good(void *unused)
{
    (void)unused;
    weir_ctx_free(scene.child);
    weir_ctx_free(scene.root);
    free(scene.root); /* under address sanitizer: nobody up the stack touches it again */
    runs++;
}

static void cancel_root(void *unused)
{
    (void)unused;
    weir_ctx_cancel(scene.root, 2);
}

/* Two runs of the tree on one stack, and the inner one's hook frees the root that both look at. */
TEST(a_hook_of_a_nested_run_frees_the_root)
{
    weir_ctx child;
    runs = 0;
    scene.root = (weir_ctx *)malloc(sizeof *scene.root);
    scene.child = &child;
    REQUIRE(scene.root != NULL);
    weir_ctx_init(scene.root, NULL);
    weir_ctx_init(&child, scene.root);
    weir_ctx_on_cancel(&child, &scene.first, cancel_root, NULL);
    weir_ctx_on_cancel(scene.root, &scene.second, free_root_for_good, NULL);
    weir_ctx_cancel(&child, 1);
    CHECK_INT(runs, 1);
}

static void cancel_all(void *unused)
{
    (void)unused;
    weir_ctx_cancel(scene.root, 8);
    CHECK_INT(weir_ctx_cause(scene.root), 7);
    weir_ctx_cancel(scene.other, 9);
    CHECK_INT(weir_ctx_cause(scene.other), 9);
    runs++;
}

TEST(a_hook_cancels_its_own_and_another_tree)
{
    weir_ctx root, other;
    weir_ctx_hook far;
    runs = 0;
    scene.root = &root;
    scene.other = &other;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&other, NULL);
    weir_ctx_on_cancel(&root, &scene.first, cancel_all, NULL);
    weir_ctx_on_cancel(&other, &far, cancel_all, NULL); /* and back again */
    weir_ctx_cancel(&root, 7);
    CHECK_INT(runs, 2);
    CHECK_INT(weir_ctx_cause(&root), 7);
    weir_ctx_free(&other);
    weir_ctx_free(&root);
}

static void use_the_tree(void *unused)
{
    weir_ctx below;
    (void)unused;
    weir_ctx_init(&below, scene.root);
    CHECK_INT(weir_ctx_err(&below), ECANCELED);
    CHECK_INT(add(&below, &scene.second, 2), ECANCELED); /* runs at once */
    CHECK_INT(runs, 1);
    CHECK_INT(add(scene.root, &scene.third, 3), ECANCELED);
    weir_ctx_free(&below);
}

TEST(a_hook_adds_hooks_and_children)
{
    weir_ctx root;
    weir_ctx_hook last;
    runs = 0;
    scene.root = &root;
    weir_ctx_init(&root, NULL);
    weir_ctx_on_cancel(&root, &scene.first, use_the_tree, NULL);
    add(&root, &last, 4);
    weir_ctx_cancel(&root, 0);
    check_ran(3, (const int[]){2, 3, 4});
    weir_ctx_free(&root);
}

/* Two threads that each run a hook of one tree until they are let go. */
struct stay {
    weir_ctx *ctx;
    int began, go, ended; /* atomic */
};

static void stay(void *arg)
{
    struct stay *s = (struct stay *)arg;
    __atomic_store_n(&s->began, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&s->go, __ATOMIC_ACQUIRE))
        sched_yield();
    __atomic_store_n(&s->ended, 1, __ATOMIC_RELEASE);
}

static void cancel_it(void *arg)
{
    weir_ctx_cancel(((struct stay *)arg)->ctx, 0);
}

TEST(runs_of_two_threads_end_in_any_order_and_a_hook_of_a_third_is_taken_off_meanwhile)
{
    weir_ctx root, ctx[3];
    weir_ctx_hook hooks[5];
    struct stay stays[2];
    struct test_team *teams[2];
    memset(stays, 0, sizeof stays);
    runs = 0;
    weir_ctx_init(&root, NULL);
    for (int i = 0; i < 3; i++)
        weir_ctx_init(&ctx[i], &root);
    CHECK_INT(add(&ctx[2], &hooks[4], 4), 0);
    for (int i = 0; i < 2; i++) {
        stays[i].ctx = &ctx[i];
        CHECK_INT(weir_ctx_on_cancel(&ctx[i], &hooks[i], stay, &stays[i]), 0);
        CHECK_INT(add(&ctx[i], &hooks[2 + i], 2 + i), 0); /* behind the one that stays */
        teams[i] = test_start(1, cancel_it, &stays[i], 0);
        EVENTUALLY(__atomic_load_n(&stays[i].began, __ATOMIC_ACQUIRE));
    }
    CHECK_INT(weir_ctx_off_cancel(&ctx[2], &hooks[4]), 0); /* in its context's list, not in those of the two */
    CHECK_INT(weir_ctx_off_cancel(&ctx[1], &hooks[3]), 0); /* in a run's, not run yet */
    for (int i = 0; i < 2; i++) {                          /* the older run ends first */
        __atomic_store_n(&stays[i].go, 1, __ATOMIC_RELEASE);
        test_join(teams[i]);
        CHECK_INT(stays[i].ended, 1);
    }
    check_ran(1, (const int[]){2});
    for (int i = 0; i < 3; i++)
        weir_ctx_free(&ctx[i]);
    weir_ctx_free(&root);
    CHECK_INT(runs, 1);
}

static void free_it(void *arg)
{
    struct stay *s = (struct stay *)arg;
    weir_ctx_free(s->ctx);
    CHECK_INT(__atomic_load_n(&s->ended, __ATOMIC_ACQUIRE), 1);
}

TEST(freeing_the_root_waits_for_a_hook_that_runs_in_another_thread)
{
    weir_ctx root;
    weir_ctx_hook hook;
    struct stay s;
    memset(&s, 0, sizeof s);
    s.ctx = &root;
    weir_ctx_init(&root, NULL);
    CHECK_INT(weir_ctx_on_cancel(&root, &hook, stay, &s), 0);
    struct test_team *runs_it = test_start(1, cancel_it, &s, 0);
    EVENTUALLY(__atomic_load_n(&s.began, __ATOMIC_ACQUIRE));
    struct test_team *frees = test_start(1, free_it, &s, 0);
    for (int i = 0; i < 100; i++)
        sched_yield(); /* it may come as far as the wait, or not: it must not come out either way */
    __atomic_store_n(&s.go, 1, __ATOMIC_RELEASE);
    test_join(frees);
    test_join(runs_it);
}
