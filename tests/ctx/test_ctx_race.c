/* tests/ctx/test_ctx_race.c: cancel, hooks and free in several threads. What has to overlap is made to by hooks that
 * wait for a flag; the rest is raced ten thousand times, for the thread and address sanitizers to look at too. */
static void note_sleep(const void *word);
#define WEIR_FUTEX_WAIT(word, value, deadline) (note_sleep(word), weir__futex_wait((word), (value), (deadline)))
#define WEIR_FUTEX_WAKE(word, count) weir__futex_wake((word), (count))
#include "harness.h"

static weir_ctx root, child;
static weir_ctx_hook hook, second;
static int sleeps, lock_sleeps; /* atomic: of those who wait for a hook; for the tree's lock */

static void note_sleep(const void *word)
{
    if (word == &root.tree.runs_changed)
        __atomic_add_fetch(&sleeps, 1, __ATOMIC_SEQ_CST);
    if (word == &root.tree.lock)
        __atomic_add_fetch(&lock_sleeps, 1, __ATOMIC_SEQ_CST);
}

static int flag(const int *p)
{
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static void raise_flag(int *p)
{
    __atomic_store_n(p, 1, __ATOMIC_SEQ_CST);
}

/* ---- whoever takes a hook back waits while it runs ---- */

static int inside, let_go, left, returned; /* atomic */
static int plain;                          /* written by the hook, read after off_cancel: ordered by it */

static void stand(void *unused)
{
    (void)unused;
    raise_flag(&inside);
    while (!flag(&let_go))
        sched_yield();
    plain = 1;
    raise_flag(&left);
}

static void must_not_run(void *unused)
{
    (void)unused;
    CHECK_STR("this hook", "taken back");
}

static void cancel_root(void *unused)
{
    (void)unused;
    weir_ctx_cancel(&root, 0);
}

static void take_back(void *unused)
{
    (void)unused;
    CHECK_INT(weir_ctx_off_cancel(&child, &hook), ECANCELED);
    CHECK(flag(&left));
    CHECK_INT(plain, 1);
    raise_flag(&returned);
}

static void free_the_child(void *unused)
{
    (void)unused;
    weir_ctx_free(&child);
    CHECK(flag(&left));
    CHECK_INT(plain, 1);
    raise_flag(&returned);
}

/* A thread runs child's hook and stands in it; `fn` in another has to wait for it, asleep. */
static void wait_for_a_hook(void (*fn)(void *))
{
    sleeps = inside = let_go = left = returned = plain = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    CHECK_INT(weir_ctx_on_cancel(&child, &hook, stand, NULL), 0);
    CHECK_INT(weir_ctx_on_cancel(&child, &second, must_not_run, NULL), 0);
    struct test_team *canceller = test_start(1, cancel_root, NULL, 0);
    EVENTUALLY(flag(&inside));
    CHECK_INT(weir_ctx_err(&child), ECANCELED);         /* the lock is free meanwhile */
    CHECK_INT(weir_ctx_off_cancel(&child, &second), 0); /* pending, not running: taken back at once */
    struct test_team *waiter = test_start(1, fn, NULL, 0);
    EVENTUALLY(flag(&sleeps) > 0);
    CHECK(!flag(&returned));
    raise_flag(&let_go);
    test_join(waiter);
    test_join(canceller);
    CHECK(flag(&returned));
}

TEST(off_cancel_waits_for_a_hook_that_runs_elsewhere)
{
    wait_for_a_hook(take_back);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

TEST(free_waits_for_a_hook_that_runs_elsewhere)
{
    wait_for_a_hook(free_the_child);
    CHECK(root.children == NULL && root.tree.runs == NULL);
    weir_ctx_free(&root);
}

/* While a hook of one context stands, another context of the tree is freed, cancelled and watched without waiting. */
TEST(others_do_not_wait_for_a_hook_that_is_not_theirs)
{
    weir_ctx other;
    inside = let_go = left = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_on_cancel(&root, &hook, stand, NULL); /* runs first: parents do */
    weir_ctx_init(&child, &root);
    weir_ctx_init(&other, &root);
    weir_ctx_on_cancel(&other, &second, must_not_run, NULL);
    struct test_team *canceller = test_start(1, cancel_root, NULL, 0);
    EVENTUALLY(flag(&inside));
    weir_ctx_cancel(&other, 3);
    CHECK_INT(weir_ctx_cause(&other), ECANCELED);
    weir_ctx_free(&other); /* its hook is pending in the run, and goes with it */
    weir_ctx_init(&other, &root);
    CHECK_INT(weir_ctx_err(&other), ECANCELED);
    weir_ctx_free(&other);
    CHECK(!flag(&left));
    raise_flag(&let_go);
    test_join(canceller);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

/* ---- a cancel that comes second, after its first look has found the context alive ---- */

static void cancel_root_with_2(void *unused)
{
    (void)unused;
    weir_ctx_cancel(&root, 2);
    CHECK_INT(weir_ctx_cause(&root), 1);
}

TEST(a_cancel_that_had_to_wait_for_another_changes_nothing)
{
    lock_sleeps = 0;
    weir_ctx_init(&root, NULL);
    weir__lock_take(&root.tree.lock);
    struct test_team *team = test_start(1, cancel_root_with_2, NULL, 0);
    EVENTUALLY(flag(&lock_sleeps) > 0);
    root.cause = 1; /* what another cancel does under the lock */
    weir__store_rel(&root.err, ECANCELED);
    weir__lock_release(&root.tree.lock);
    test_join(team);
    CHECK_INT(weir_ctx_cause(&root), 1);
    weir_ctx_free(&root);
}

static void cancel_meanwhile(void *unused)
{
    (void)unused;
    weir_ctx_cancel(&root, 2);
    CHECK_INT(weir_ctx_cause(&root), 1);
    CHECK_INT(weir_ctx_cause(&child), 1); /* everything below has ended when a cancel returns, whoever ended it */
    raise_flag(&returned);
}

TEST(a_cancel_returns_when_all_below_has_ended)
{
    lock_sleeps = returned = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    weir__lock_take(&root.tree.lock);
    root.cause = 1; /* another cancel is half through with marking the tree */
    weir__store_rel(&root.err, ECANCELED);
    struct test_team *team = test_start(1, cancel_meanwhile, NULL, 0);
    EVENTUALLY(flag(&lock_sleeps) > 0 || flag(&returned));
    child.cause = 1;
    weir__store_rel(&child.err, ECANCELED);
    weir__lock_release(&root.tree.lock);
    test_join(team);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

/* ---- duels: this thread and another, ten thousand times, each a little earlier or later than the last time ---- */

static struct {
    void (*fn)(void);
    uint32_t begun, ended; /* atomic: rounds */
    long rounds;
} duel;

static int ran; /* atomic: how often the hook ran */
static int rc, causes[2];

static void second_party(void *unused)
{
    (void)unused;
    for (uint32_t round = 1; round <= (uint32_t)duel.rounds; round++) {
        while (__atomic_load_n(&duel.begun, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        for (uint32_t i = round % 13; i > 0; i--)
            WEIR_CPU_PAUSE();
        duel.fn();
        __atomic_store_n(&duel.ended, round, __ATOMIC_RELEASE);
    }
}

static void fight(void (*before)(void), void (*here)(void), void (*there)(void), void (*after)(void))
{
    memset(&duel, 0, sizeof duel);
    duel.fn = there;
    duel.rounds = test_rounds(10000);
    struct test_team *team = test_start(1, second_party, NULL, 0);
    for (uint32_t round = 1; round <= (uint32_t)duel.rounds; round++) {
        before();
        __atomic_store_n(&duel.begun, round, __ATOMIC_RELEASE);
        for (uint32_t i = round % 11; i > 0; i--)
            WEIR_CPU_PAUSE();
        here();
        while (__atomic_load_n(&duel.ended, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        after();
    }
    test_join(team);
}

static void count_run(void *unused)
{
    (void)unused;
    __atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
}

static void make_root(void)
{
    ran = 0;
    rc = -1;
    weir_ctx_init(&root, NULL);
}

static void end_root(void)
{
    weir_ctx_cancel(&root, 7);
}

/* -- a child comes and goes while its parent is cancelled -- */

static void live_and_die(void)
{
    weir_ctx own, below; /* on this stack: whoever touches it later is found out */
    weir_ctx_hook mine;
    weir_ctx_init(&own, &root);
    weir_ctx_init_timeout(&below, &own, WEIR_SEC(1000));
    rc = weir_ctx_on_cancel(&below, &mine, count_run, NULL);
    CHECK(rc == 0 || rc == ECANCELED);
    const int cause = weir_ctx_cause(&below);
    CHECK(cause == 0 || cause == 7);
    weir_ctx_free(&below);
    const int runs = flag(&ran);
    CHECK(rc == 0 ? runs <= 1 : runs == 1);
    weir_ctx_free(&own);
    memset(&own, 0xdb, sizeof own);
    memset(&below, 0xdb, sizeof below);
    memset(&mine, 0xdb, sizeof mine);
    CHECK_INT(flag(&ran), runs); /* not after it was freed */
}

static void judge_child(void)
{
    CHECK(root.children == NULL && root.tree.runs == NULL);
    CHECK(flag(&ran) <= 1);
    weir_ctx_free(&root);
}

TEST(a_child_freed_while_its_parent_is_cancelled_10000_times)
{
    fight(make_root, live_and_die, end_root, judge_child);
}

/* -- a hook registered meanwhile -- */

static void register_hook(void)
{
    rc = weir_ctx_on_cancel(&root, &hook, count_run, NULL);
    CHECK(rc == 0 || rc == ECANCELED);
    if (rc != 0)
        CHECK_INT(flag(&ran), 1); /* has run before the call returns */
}

static void judge_hook(void)
{
    CHECK_INT(flag(&ran), 1);
    weir_ctx_free(&root);
}

TEST(a_hook_registered_while_cancelled_runs_once_10000_times)
{
    fight(make_root, register_hook, end_root, judge_hook);
}

/* -- a hook taken back meanwhile -- */

static void make_root_and_hook(void)
{
    make_root();
    CHECK_INT(weir_ctx_on_cancel(&root, &hook, count_run, NULL), 0);
}

static void take_off(void)
{
    rc = weir_ctx_off_cancel(&root, &hook);
    CHECK_INT(flag(&ran), rc == 0 ? 0 : 1); /* did not, or has and is through */
    memset(&hook, 0xdb, sizeof hook);
}

static void judge_taken(void)
{
    CHECK(rc == 0 || rc == ECANCELED);
    CHECK_INT(flag(&ran), rc == 0 ? 0 : 1);
    weir_ctx_free(&root);
}

TEST(a_hook_taken_back_while_cancelled_10000_times)
{
    fight(make_root_and_hook, take_off, end_root, judge_taken);
}

/* -- two cancels: one cause, here and below -- */

static void make_two(void)
{
    make_root_and_hook();
    weir_ctx_init(&child, &root);
}

static void cancel_with_1(void)
{
    weir_ctx_cancel(&root, 1);
    causes[0] = weir_ctx_cause(&root);
}

static void cancel_with_2(void)
{
    weir_ctx_cancel(&root, 2);
    causes[1] = weir_ctx_cause(&child);
}

static void judge_causes(void)
{
    CHECK(causes[0] == 1 || causes[0] == 2);
    CHECK_INT(causes[1], causes[0]);
    CHECK_INT(weir_ctx_cause(&root), causes[0]);
    CHECK_INT(weir_ctx_cause(&child), causes[0]);
    CHECK_INT(flag(&ran), 1);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

TEST(two_cancels_and_one_cause_10000_times)
{
    fight(make_two, cancel_with_1, cancel_with_2, judge_causes);
}

/* -- the child and the root, each with its cause: the child has one of them, the root its own -- */

static void cancel_child_with_2(void)
{
    weir_ctx_cancel(&child, 2);
    causes[1] = weir_ctx_cause(&child);
}

static void judge_child_and_root(void)
{
    CHECK_INT(causes[0], 1);
    CHECK(causes[1] == 1 || causes[1] == 2);
    CHECK_INT(weir_ctx_cause(&child), causes[1]);
    CHECK_INT(flag(&ran), 1);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

TEST(child_and_root_cancelled_at_once_10000_times)
{
    fight(make_two, cancel_with_1, cancel_child_with_2, judge_child_and_root);
}
