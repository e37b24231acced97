/* tests/task/test_future.c: run, set and fail; who waits, how long; select; all and any; free and detach against a function that runs. */
#include "../faults/failing.h"
#include "../sync/printed.h"

#include <sys/prctl.h>

struct page {
    char text[100];
    int number;
};
typedef weir_future(struct page) page_future;
typedef weir_future(int) int_future;

static int gate, calls; /* atomic */

static int fetch(weir_ctx *ctx, void *arg, void *value)
{
    struct page *page = (struct page *)value;
    (void)ctx;
    __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    snprintf(page->text, sizeof page->text, "page %d", *(int *)arg);
    page->number = *(int *)arg;
    return *(int *)arg < 0 ? -*(int *)arg : 0;
}

static int fetch_when_open(weir_ctx *ctx, void *arg, void *value)
{
    while (!__atomic_load_n(&gate, __ATOMIC_ACQUIRE))
        sched_yield();
    memcpy(value, arg, sizeof(int));
    return weir_ctx_err(ctx);
}

static void none_left(void)
{
    EVENTUALLY(weir_thread_count() == 0);
    EVENTUALLY(__atomic_load_n(&allocations, __ATOMIC_ACQUIRE) == 0);
    CHECK_INT(threads_kept, 0);
}

static int says_who_it_is(weir_ctx *ctx, void *arg, void *value)
{
    char name[16] = "";
    (void)ctx;
    (void)arg;
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    *(int *)value = strcmp(name, "a name");
    return 0;
}

TEST(its_thread_has_its_name)
{
    const weir_future_opt opt = {.name = "a name"};
    int_future f;
    int differs = -1;
    CHECK_INT(weir_future_make_opt(&f, &opt), 0);
    CHECK_INT(weir_future_run(NULL, f, says_who_it_is, NULL), 0);
    CHECK_INT(weir_future_get(NULL, f, &differs), 0);
    CHECK_INT(differs, 0);
    weir_future_free(&f);
    none_left();
}

TEST(a_function_computes_the_value_once_for_all_who_get)
{
    page_future f;
    struct page page;
    int number = 7;
    calls = 0;
    CHECK_INT(weir_future_make(&f), 0);
    CHECK_INT(weir_future_run(NULL, f, fetch, &number), 0);
    CHECK_INT(weir_future_run(NULL, f, fetch, &number), EINVAL);
    for (int i = 0; i < 3; i++) {
        memset(&page, 0, sizeof page);
        CHECK_INT(weir_future_get(NULL, f, &page), 0);
        CHECK_STR(page.text, "page 7");
    }
    CHECK_INT(weir_future_get(NULL, f, (struct page *)NULL), 0);
    CHECK(weir_future_is_done(f));
    CHECK_INT(weir_future_set(f, &page), EINVAL);
    CHECK_INT(weir_future_fail(f, 3), EINVAL);
    CHECK_INT(calls, 1);
    weir_future_free(&f);
    CHECK(f.core == NULL);
    weir_future_free(&f);
    none_left();
}

TEST(a_failure_is_told_to_all_who_get_whatever_its_code)
{
    const int codes[] = {5, EAGAIN, EPIPE, ECANCELED, ETIMEDOUT};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        page_future f, g;
        struct page page = {"untouched", 0};
        int minus = -codes[i];
        CHECK_INT(weir_future_make(&f), 0);
        CHECK_INT(weir_future_make(&g), 0);
        CHECK_INT(weir_future_run(NULL, f, fetch, &minus), 0);
        CHECK_INT(weir_future_fail(g, 0), EINVAL);
        CHECK_INT(weir_future_fail(g, codes[i]), 0);
        CHECK_INT(weir_future_get(NULL, f, &page), codes[i]);
        CHECK_INT(weir_future_get(NULL, g, &page), codes[i]);
        weir_case one = WEIR_FUTURE(f, &page);
        CHECK_INT(weir_select(NULL, &one, 1), 0);
        CHECK_INT(one.status, codes[i]);
        CHECK_STR(page.text, "untouched");
        weir_future_free(&f);
        weir_future_free(&g);
    }
    none_left();
}

TEST(get_waits_no_longer_than_it_may)
{
    int_future f, none = {NULL};
    weir_ctx ctx;
    int v = 4;
    CHECK_INT(weir_future_make(&f), 0);
    CHECK_INT(weir_future_get_until(NULL, f, &v, weir_now() + 1000), ETIMEDOUT);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_future_get(&ctx, f, &v), ECANCELED);
    CHECK(!weir_future_is_done(f));
    weir_case two[] = {WEIR_FUTURE(f, &v), WEIR_FUTURE(none, &v)};
    CHECK_INT(weir_try_select(two, 2), -EAGAIN);
    CHECK_INT(weir_future_get(&ctx, none, &v), ECANCELED); /* a NULL handle never is */
    CHECK_INT(weir_future_set(none, &v), EINVAL);
    CHECK_INT(weir_future_run(&ctx, none, fetch, &v), EINVAL);
    CHECK_INT(weir_future_set(f, &v), 0);
    v = 0;
    CHECK_INT(weir_future_get(&ctx, f, &v), 0); /* what is there is returned */
    CHECK_INT(v, 4);
    weir_ctx_free(&ctx);
    weir_future_free(&f);
    CHECK_INT(weir_future_make(&f), 0);
    weir_future_free(&f); /* nobody has set it */
    none_left();
}

/* ---- many wait, one of two sets ---- */

struct race {
    int_future f;
    int set, got[4]; /* set: how many did; atomic */
};
static int thread_number;

static void waits_or_sets(void *arg)
{
    struct race *r = (struct race *)arg;
    int number = __atomic_fetch_add(&thread_number, 1, __ATOMIC_SEQ_CST), v = number + 100;
    if (number < 4) {
        if (number % 2 == 0) {
            CHECK_INT(weir_future_get(NULL, r->f, &r->got[number]), 0);
        } else {
            weir_case cases[] = {WEIR_FUTURE(r->f, &r->got[number]), WEIR_DONE(NULL)};
            CHECK_INT(weir_select(NULL, cases, 2), 0);
            CHECK_INT(cases[0].status, 0);
        }
    } else {
        const int rc = weir_future_set(r->f, &v);
        CHECK(rc == 0 || rc == EINVAL);
        if (rc == 0)
            __atomic_add_fetch(&r->set, 1, __ATOMIC_SEQ_CST);
    }
}

TEST(all_who_wait_get_what_the_first_has_set)
{
    for (long round = test_rounds(500); round > 0; round--) {
        struct race r;
        memset(&r, 0, sizeof r);
        thread_number = 0;
        CHECK_INT(weir_future_make(&r.f), 0);
        test_threads(6, waits_or_sets, &r, 0);
        CHECK_INT(r.set, 1);
        for (int i = 0; i < 4; i++)
            CHECK(r.got[i] == r.got[0] && r.got[0] >= 104);
        weir_future_free(&r.f);
    }
    none_left();
}

/* The one who gets frees it at once, while the one who sets is still on its way out. */
typedef weir_chan(int_future) future_chan;
static future_chan futures;

static void sets_what_comes(void *unused)
{
    int_future f;
    (void)unused;
    for (int v = 0; weir_recv(NULL, futures, &f) == 0; v++)
        CHECK_INT(weir_future_set(f, &v), 0);
}

TEST(whoever_gets_may_free_at_once)
{
    REQUIRE(weir_chan_make(&futures, 1) == 0);
    struct test_team *team = test_start(1, sets_what_comes, NULL, 0);
    for (int i = 0; i < test_rounds(20000); i++) {
        int_future f;
        int v = -1;
        REQUIRE(weir_future_make(&f) == 0);
        CHECK_INT(weir_send(NULL, futures, &f), 0);
        CHECK_INT(weir_future_get(NULL, f, &v), 0);
        CHECK_INT(v, i);
        weir_future_free(&f);
    }
    CHECK_INT(weir_close(futures), 0);
    test_join(team);
    weir_chan_free(&futures);
    none_left();
}

/* ---- free and detach ---- */

static void opens(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++)
        sched_yield();
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
}

TEST(free_waits_for_a_function_that_runs)
{
    int_future f;
    int v = 3;
    gate = 0;
    CHECK_INT(weir_future_make(&f), 0);
    CHECK_INT(weir_future_run(NULL, f, fetch_when_open, &v), 0);
    struct test_team *team = test_start(1, opens, NULL, 0);
    weir_future_free(&f);
    CHECK_INT(weir_thread_count(), 0);
    CHECK_INT(allocations, 0);
    CHECK_INT(gate, 1);
    test_join(team);
}

TEST(detach_leaves_it_running)
{
    for (int late = 0; late < 2; late++) {
        int_future f;
        int v = 3;
        gate = late;
        CHECK_INT(weir_future_make(&f), 0);
        CHECK_INT(weir_future_run(NULL, f, fetch_when_open, &v), 0);
        if (late)
            CHECK_INT(weir_future_get(NULL, f, &v), 0);
        weir_future_detach(&f);
        CHECK(f.core == NULL);
        if (!late)
            CHECK_INT(weir_thread_count(), 1);
        __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
        none_left();
    }
    int_future f;
    CHECK_INT(weir_future_make(&f), 0);
    weir_future_detach(&f); /* nothing runs: as free */
    weir_future_detach(&f);
    CHECK_INT(allocations, 0);
}

/* ---- failures ---- */

TEST(no_memory_and_no_thread_are_reported_and_the_future_is_as_before)
{
    int_future f;
    int v = 8;
    fail_allocation = 0;
    CHECK_INT(weir_future_make(&f), ENOMEM);
    CHECK(f.core == NULL);
    fail_allocation = -1;
    CHECK_INT(weir_future_make(&f), 0);
    fail_thread = 0;
    CHECK_INT(weir_future_run(NULL, f, fetch_when_open, &v), EAGAIN);
    fail_thread = -1;
    CHECK(!weir_future_is_done(f));
    gate = 1;
    CHECK_INT(weir_future_run(NULL, f, fetch_when_open, &v), 0);
    weir_future_free(&f);
    none_left();
}

/* ---- all and any ---- */

enum { MANY = 40 };

static void make_all(int_future *fs, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_INT(weir_future_make(&fs[i]), 0);
}

static void free_all(int_future *fs, int n)
{
    for (int i = 0; i < n; i++)
        weir_future_free(&fs[i]);
}

static void set_in_turn(void *arg)
{
    int_future *fs = (int_future *)arg;
    for (int i = MANY - 1; i >= 0; i--) {
        CHECK_INT(weir_future_set(fs[i], &i), 0);
        sched_yield();
    }
}

TEST(all_waits_for_all_and_any_for_the_first)
{
    int_future fs[MANY];
    size_t which = 99;
    make_all(fs, MANY);
    struct test_team *team = test_start(1, set_in_turn, fs, 0);
    CHECK_INT(weir_future_any(NULL, fs, MANY, &which), 0);
    CHECK(which < MANY);
    CHECK_INT(weir_future_all(NULL, fs, MANY, &which), 0);
    for (int i = 0; i < MANY; i++)
        CHECK(weir_future_is_done(fs[i]));
    test_join(team);
    free_all(fs, MANY);
    make_all(fs, 1);
    CHECK_INT(weir_future_set(fs[0], &(int){1}), 0);
    CHECK_INT(weir_future_any(NULL, fs, 1, NULL), 0);
    free_all(fs, 1);
    make_all(fs, 1);
    CHECK_INT(weir_future_fail(fs[0], 3), 0);
    CHECK_INT(weir_future_all(NULL, fs, 1, NULL), 3);
    free_all(fs, 1);
    CHECK_INT(weir_future_all(NULL, fs, 0, &which), 0);
    CHECK_INT(weir_future_any(NULL, fs, 0, &which), EINVAL);
}

TEST(all_fails_with_the_first_and_any_with_the_last)
{
    int_future fs[3];
    size_t which = 99;
    int v = 1;
    weir_ctx ctx;
    make_all(fs, 3);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_future_all(&ctx, fs, 3, &which), ETIMEDOUT);
    CHECK_INT(weir_future_any(&ctx, fs, 3, &which), ETIMEDOUT);
    CHECK_INT(weir_future_fail(fs[1], 11), 0);
    CHECK_INT(weir_future_all(NULL, fs, 3, &which), 11); /* the others are not waited for */
    CHECK_INT(which, 1);
    CHECK_INT(weir_future_fail(fs[0], 10), 0);
    CHECK_INT(weir_future_fail(fs[2], 12), 0);
    CHECK_INT(weir_future_any(NULL, fs, 3, NULL), 12);
    weir_future_free(&fs[2]);
    CHECK_INT(weir_future_make(&fs[2]), 0);
    CHECK_INT(weir_future_set(fs[2], &v), 0);
    CHECK_INT(weir_future_any(NULL, fs, 3, &which), 0);
    CHECK_INT(which, 2);
    free_all(fs, 3);
    weir_ctx_free(&ctx);
}

TEST(all_without_memory_for_many_says_so)
{
    int_future fs[17];
    make_all(fs, 17);
    fail_allocation = 0;
    CHECK_INT(weir_future_all(NULL, fs, 17, NULL), ENOMEM);
    CHECK_INT(weir_future_any(NULL, fs, 17, NULL), ENOMEM);
    fail_allocation = -1;
    free_all(fs, 17);
    none_left();
}

/* ---- a runner that runs it at once, or refuses ---- */

static int runs_here(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    (void)runner;
    if (weir_ctx_err(ctx) != 0)
        return EOVERFLOW;
    fn(arg);
    return 0;
}

TEST(on_a_runner)
{
    weir_runner runner = {runs_here};
    weir_future_opt opt = {.name = "on a runner", .runner = &runner};
    page_future f;
    struct page page;
    weir_ctx ctx;
    int number = 2;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_future_make_opt(&f, &opt), 0);
    CHECK_INT(weir_future_run(&ctx, f, fetch, &number), EOVERFLOW);
    CHECK_INT(weir_future_run(NULL, f, fetch, &number), 0);
    CHECK_INT(weir_future_get(NULL, f, &page), 0);
    CHECK_INT(page.number, 2);
    weir_future_free(&f);
    CHECK_INT(weir_future_make_opt(&f, &opt), 0);
    CHECK_INT(weir_future_run(NULL, f, fetch, &number), 0);
    weir_future_detach(&f);
    weir_ctx_free(&ctx);
    none_left();
}

TEST(in_memory_of_the_callers)
{
    static char memory[WEIR_FUTURE_BYTES(struct page)];
    weir_future_opt opt = {.memory = memory, .memory_size = sizeof memory};
    page_future f;
    struct page page;
    int number = 4;
    fail_allocation = 0;
    CHECK_INT(weir_future_make_opt(&f, &opt), 0);
    CHECK_INT(weir_future_run(NULL, f, fetch, &number), 0);
    CHECK_INT(weir_future_get(NULL, f, &page), 0);
    CHECK_STR(page.text, "page 4");
    weir_future_free(&f);
    opt.memory_size = 100;
    CHECK_INT(weir_future_make_opt(&f, &opt), EINVAL);
    fail_allocation = -1;
    CHECK_INT(allocations, 0);
}

/* A thread that takes its time to end. */
static void lingers(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&gate, __ATOMIC_ACQUIRE))
        sched_yield();
}
static pthread_key_t ending;
static int computes_and_lingers(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    memcpy(value, arg, sizeof(int));
    return pthread_setspecific(ending, &ending);
}

static int frees_one(weir_ctx *ctx, void *arg)
{
    weir_future_opt opt = {.name = "inner"};
    int_future f;
    int number = 1;
    (void)arg;
    CHECK_INT(weir_future_make_opt(&f, &opt), 0);
    CHECK_INT(weir_future_run(ctx, f, computes_and_lingers, &number), 0);
    weir_future_free(&f);
    CHECK(!printed("in join")); /* its own line, once more running */
    return 0;
}

TEST(the_roll_says_who_joins_a_function_and_that_it_runs_again)
{
    weir_group g = WEIR_GROUP_INIT;
    gate = 0;
    REQUIRE(pthread_key_create(&ending, lingers) == 0);
    CHECK_INT(weir_group_go(NULL, &g, frees_one, NULL), 0);
    EVENTUALLY(printed(" in join on \"inner\" for "));
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
    (void)pthread_key_delete(ending);
    CHECK_INT(allocations, 0);
}

/* Looks like a value that has come into the ring whose memory it is. */
static int writes_early(weir_ctx *ctx, void *arg, void *value)
{
    const uint64_t one = 1;
    (void)ctx;
    (void)arg;
    memcpy(value, &one, sizeof one);
    __atomic_store_n(&calls, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&gate, __ATOMIC_ACQUIRE))
        sched_yield();
    return 0;
}

TEST(a_value_that_is_written_is_not_there_before_the_function_has_returned)
{
    weir_future(uint64_t) f;
    uint64_t got = 0;
    gate = calls = 0;
    CHECK_INT(weir_future_make(&f), 0);
    CHECK_INT(weir_future_run(NULL, f, writes_early, NULL), 0);
    EVENTUALLY(__atomic_load_n(&calls, __ATOMIC_ACQUIRE) == 1);
    CHECK_INT(weir_future_get_until(NULL, f, &got, weir_now() + WEIR_MS(5)), ETIMEDOUT);
    CHECK_INT(weir_future_get_until(NULL, f, &got, weir_now()), ETIMEDOUT);
    __atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
    CHECK_INT(weir_future_get(NULL, f, &got), 0);
    CHECK_INT((int)got, 1);
    weir_future_free(&f);
    CHECK_INT(allocations, 0);
}
