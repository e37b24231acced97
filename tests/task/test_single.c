/* tests/task/test_single.c: who asks for the same at the same time shares one run, value or failure; except a failure of somebody's context. */
#include "harness.h"
#include "../sync/printed.h"

static weir_single flight = WEIR_SINGLE_INIT;
static int runs, open_gate; /* atomic */

struct asker {
    const char *key;
    weir_ctx *ctx;
    int rc;
    bool shared;
    long value;
    struct test_team *team;
};

static int looks_up(weir_ctx *ctx, void *arg, void *value)
{
    const char *key = (const char *)arg;
    long v = __atomic_add_fetch(&runs, 1, __ATOMIC_SEQ_CST) * 100 + key[0];
    while (!__atomic_load_n(&open_gate, __ATOMIC_ACQUIRE) && weir_ctx_err(ctx) == 0)
        sched_yield();
    if (weir_ctx_err(ctx) != 0)
        return weir_ctx_err(ctx);
    if (key[0] == '!')
        return 9;
    memcpy(value, &v, sizeof v);
    return 0;
}

static void ask(void *arg)
{
    struct asker *a = (struct asker *)arg;
    a->rc = weir_single_do(a->ctx, &flight, a->key, strlen(a->key), looks_up, (void *)(uintptr_t)a->key, &a->value,
                           sizeof a->value, &a->shared);
}

static int waiting(const char *key)
{
    int n = 0;
    weir__lock_take(&flight.lock);
    weir__single_run *run = weir__single_find(&flight, key, key == NULL ? 0 : strlen(key));
    for (weir__waiter *w = run == NULL ? NULL : run->others.first; w != NULL; w = w->next)
        n++;
    n = run == NULL ? -1 : n;
    weir__lock_release(&flight.lock);
    return n;
}

static void start(struct asker *a, const char *key, weir_ctx *ctx)
{
    const int before = waiting(key);
    memset(a, 0, sizeof *a);
    a->key = key;
    a->ctx = ctx;
    a->value = -1;
    a->team = test_start(1, ask, a, 0);
    EVENTUALLY(waiting(key) == before + 1);
}

static void begin(void)
{
    runs = open_gate = 0;
}

static void open_it(void)
{
    __atomic_store_n(&open_gate, 1, __ATOMIC_RELEASE);
}

TEST(one_caller_runs_it_each_time)
{
    long v;
    bool shared = true;
    begin();
    open_it();
    for (int i = 1; i <= 3; i++) {
        CHECK_INT(weir_single_do(NULL, &flight, "a", 1, looks_up, (void *)(uintptr_t) "a", &v, sizeof v, &shared), 0);
        CHECK_INT(v, i * 100 + 'a');
        CHECK(!shared);
    }
    CHECK_INT(weir_single_do(NULL, &flight, NULL, 0, looks_up, (void *)(uintptr_t) "!", NULL, 0, NULL),
              9); /* an empty key is one */
    CHECK_INT(weir_single_do(NULL, &flight, "!", 1, looks_up, (void *)(uintptr_t) "!", &v, sizeof v, NULL), 9);
}

TEST(callers_of_one_key_share_a_run_and_other_keys_do_not)
{
    struct asker a[5], b, prefix;
    begin();
    for (int i = 0; i < 5; i++)
        start(&a[i], "key", NULL);
    start(&b, "other", NULL);
    start(&prefix, "ke", NULL);
    EVENTUALLY(__atomic_load_n(&runs, __ATOMIC_SEQ_CST) == 3);
    open_it();
    for (int i = 0; i < 5; i++) {
        test_join(a[i].team);
        CHECK_INT(a[i].rc, 0);
        CHECK(a[i].shared);
        CHECK_INT(a[i].value, a[0].value);
    }
    test_join(b.team);
    test_join(prefix.team);
    CHECK(!b.shared && !prefix.shared);
    CHECK(b.value % 100 == 'o' % 100 && b.value != a[0].value);
    CHECK_INT(runs, 3);
    CHECK(flight.runs == NULL);
}

TEST(a_failure_is_shared_and_touches_no_value)
{
    struct asker a[3];
    begin();
    for (int i = 0; i < 3; i++)
        start(&a[i], "!bad", NULL);
    open_it();
    for (int i = 0; i < 3; i++) {
        test_join(a[i].team);
        CHECK_INT(a[i].rc, 9);
        CHECK_INT(a[i].value, -1);
    }
    CHECK_INT(runs, 1);
}

TEST(one_who_waits_gives_up_alone)
{
    struct asker a, impatient, b;
    weir_ctx ctx;
    begin();
    weir_ctx_init(&ctx, NULL);
    start(&a, "k", NULL);
    start(&impatient, "k", &ctx);
    start(&b, "k", NULL);
    weir_ctx_cancel(&ctx, 0);
    test_join(impatient.team);
    CHECK_INT(impatient.rc, ECANCELED);
    CHECK_INT(impatient.value, -1);
    CHECK_INT(waiting("k"), 1);
    open_it();
    test_join(a.team);
    test_join(b.team);
    CHECK(a.rc == 0 && b.rc == 0 && b.value == a.value);
    CHECK_INT(runs, 1);
    weir_ctx_free(&ctx);
}

/* What a context's end has called stands until it may go on, and with it whoever has found that the time is over. */
static int standing, may_go; /* atomic */
static void stands(void *arg)
{
    (void)arg;
    __atomic_store_n(&standing, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&may_go, __ATOMIC_SEQ_CST))
        sched_yield();
}
TEST(one_who_has_given_up_and_has_not_left_yet_is_told_nothing)
{
    struct asker a, late;
    weir_ctx ctx;
    weir_ctx_hook hook;
    begin();
    standing = may_go = 0;
    start(&a, "k", NULL);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_ctx_on_cancel(&ctx, &hook, stands, NULL), 0);
    start(&late, "k", &ctx);
    EVENTUALLY(__atomic_load_n(&standing, __ATOMIC_SEQ_CST));
    CHECK_INT(waiting("k"), 1);
    open_it();
    test_join(a.team);
    CHECK(a.rc == 0 && !a.shared);
    __atomic_store_n(&may_go, 1, __ATOMIC_SEQ_CST);
    test_join(late.team);
    CHECK_INT(late.rc, ETIMEDOUT);
    CHECK_INT(late.value, -1);
    weir_ctx_free(&ctx);
}

static int waits_for_the_gate(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    (void)arg;
    CHECK(value == NULL);
    __atomic_add_fetch(&runs, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&open_gate, __ATOMIC_ACQUIRE))
        sched_yield();
    return 0;
}
static void asks_for_nothing(void *arg)
{
    bool *shared = (bool *)arg;
    CHECK_INT(weir_single_do(NULL, &flight, NULL, 0, waits_for_the_gate, NULL, NULL, 0, shared), 0);
}
TEST(an_empty_key_and_no_value_are_shared_as_others)
{
    bool shared[2] = {false, false};
    begin();
    struct test_team *team = test_start(2, asks_for_nothing, shared, sizeof shared[0]);
    EVENTUALLY(waiting(NULL) == 1);
    open_it();
    test_join(team);
    CHECK(shared[0] && shared[1]);
    CHECK_INT(runs, 1);
}

TEST(when_the_context_of_the_one_who_runs_it_ends_another_runs_it_anew)
{
    struct asker leader, a, b;
    weir_ctx ctx;
    begin();
    weir_ctx_init(&ctx, NULL);
    start(&leader, "k", &ctx);
    start(&a, "k", NULL);
    start(&b, "k", NULL);
    weir_ctx_cancel(&ctx, 0);
    test_join(leader.team);
    CHECK_INT(leader.rc, ECANCELED);
    CHECK(!leader.shared);
    EVENTUALLY(waiting("k") == 1); /* one of the two runs it, the other waits for that */
    open_it();
    test_join(a.team);
    test_join(b.team);
    CHECK(a.rc == 0 && b.rc == 0 && a.value == b.value && a.shared && b.shared);
    CHECK_INT(runs, 2);
    weir_ctx_free(&ctx);
}

TEST(after_forget_the_next_caller_runs_it_while_those_before_keep_theirs)
{
    struct asker first, joined, second;
    begin();
    start(&first, "k", NULL);
    start(&joined, "k", NULL);
    weir_single_forget(&flight, "k", 1);
    weir_single_forget(&flight, "never asked for", 5);
    CHECK_INT(waiting("k"), -1);
    start(&second, "k", NULL);
    EVENTUALLY(__atomic_load_n(&runs, __ATOMIC_SEQ_CST) == 2);
    open_it();
    test_join(first.team);
    test_join(joined.team);
    test_join(second.team);
    CHECK(first.value == joined.value && first.value != second.value);
    CHECK(!second.shared);
    CHECK_INT(runs, 2);
    CHECK(flight.runs == NULL);
}

/* ---- many, at random ---- */

static int quick(weir_ctx *ctx, void *arg, void *value)
{
    long v = *(long *)arg;
    (void)ctx;
    __atomic_add_fetch(&runs, 1, __ATOMIC_SEQ_CST);
    sched_yield();
    memcpy(value, &v, sizeof v);
    return 0;
}

static void asks_often(void *arg)
{
    long *shared_count = (long *)arg;
    unsigned random = (unsigned)(uintptr_t)arg;
    for (long i = test_rounds(5000); i > 0; i--) {
        random = random * 1664525 + 1013904223;
        long key = random >> 30, value = -1;
        weir_ctx ctx;
        bool shared;
        weir_ctx_init_timeout(&ctx, NULL, (random >> 8) % 4 == 0 ? (random >> 12) % 20000 : WEIR_SEC(100));
        const int rc = weir_single_do(&ctx, &flight, &key, sizeof key, quick, &key, &value, sizeof value, &shared);
        CHECK(rc == 0 || rc == ETIMEDOUT);
        CHECK_INT(value, rc == 0 ? key : -1);
        *shared_count += shared;
        weir_ctx_free(&ctx);
    }
}

TEST(everybody_gets_the_value_of_the_key_asked_for)
{
    long shared[TEST_WIDEST] = {0};
    begin();
    test_threads(test_wide(4), asks_often, shared, sizeof shared[0]);
    CHECK(flight.runs == NULL);
    CHECK(runs <= test_wide(4) * test_rounds(5000));
}

static int never(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    (void)arg;
    (void)value;
    return EINVAL;
}
static int asks_for_it(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_single_do(ctx, &flight, "k", 1, never, NULL, NULL, 0, NULL);
}
static int is_waited_for(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    (void)arg;
    (void)value;
    printed_while(asks_for_it, NULL, " in a shared run for ");
    return 0;
}
TEST(the_roll_says_who_waits_for_a_shared_run)
{
    CHECK_INT(weir_single_do(NULL, &flight, "k", 1, is_waited_for, NULL, NULL, 0, NULL), 0);
}
