/* tests/run/test_shutdown.c: phases and steps, what is reported of those that do not stop, forcing, the roll, a child. */
#include "../chan/clock.h"

#include "../core/child.h"
#include "../sync/printed.h"
#include "shutdown.h"

/* ---- phases ---- */

TEST(phases_follow_each_other_and_all_is_reported)
{
    struct mark m[5] = {{0, 0}, {0, 0}, {0, 0}, {0, 7}, {0, 0}};
    weir_shutdown_line few[2];
    start_with(&silent);
    step(WEIR_SHUTDOWN_FINISH, "last", 0, marks, &m[4]);
    step(WEIR_SHUTDOWN_DRAIN, "drain", 0, marks, &m[2]);
    step(WEIR_SHUTDOWN_STOP, "first", 0, marks, &m[0]);
    step(WEIR_SHUTDOWN_STOP, "also first", 0, marks, &m[1]);
    step(WEIR_SHUTDOWN_DRAIN, "drain badly", 0, marks, &m[3]);
    CHECK_INT(weir_ctx_err(weir_shutdown_ctx(&stop)), 0);
    weir_shutdown_begin(&stop, 42);
    weir_shutdown_begin(&stop, 43);
    CHECK_INT(weir_ctx_cause(weir_shutdown_ctx(&stop)), 42);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 7); /* the first error of the report */
    CHECK(m[0].at + m[1].at == 3 && m[2].at + m[3].at == 7 && m[4].at == 5);
    CHECK_INT(weir_shutdown_report(&stop, few, 2), 5);
    CHECK_STR(few[0].name, "first");
    CHECK_STR(few[1].name, "also first");
    CHECK_STR(line(2).name, "drain");
    CHECK_INT(line(3).rc, 7);
    CHECK_INT(line(4).phase, WEIR_SHUTDOWN_FINISH);
    for (size_t i = 0; i < 5; i++)
        CHECK(!line(i).timed_out && !line(i).not_stopped && !line(i).not_run && line(i).took >= 0);
    CHECK(!weir_shutdown_forced(&stop));
    CHECK_INT(weir_shutdown_signal(&stop), 0);
    CHECK_INT(weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_STOP, "late", 0, marks, &m[0]), EBUSY);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 7);
    CHECK_INT(order, 5);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

static int here[2];
static int meets(weir_ctx *ctx, void *arg)
{
    const int i = *(int *)arg;
    (void)ctx;
    set(&here[i], 1);
    while (!get(&here[1 - i]))
        sched_yield();
    return 0;
}

TEST(steps_of_a_phase_run_at_the_same_time)
{
    int number[2] = {0, 1};
    here[0] = here[1] = 0;
    start_with(&silent);
    step(WEIR_SHUTDOWN_STOP, "one", WEIR_FOREVER, meets, &number[0]);
    step(WEIR_SHUTDOWN_STOP, "two", WEIR_FOREVER, meets, &number[1]);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

TEST(later_phases_run_although_an_earlier_one_hangs)
{
    struct mark m[3] = {{0, 0}, {0, 0}, {0, 0}};
    start_with(&silent);
    step(WEIR_SHUTDOWN_STOP, "hangs", WEIR_MS(20), hangs, NULL);
    step(WEIR_SHUTDOWN_STOP, "beside it", 0, marks, &m[0]);
    step(WEIR_SHUTDOWN_DRAIN, "drain", 0, marks, &m[1]);
    step(WEIR_SHUTDOWN_FINISH, "finish", 0, marks, &m[2]);
    const weir_ns begun = weir_now();
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ETIMEDOUT);
    CHECK(weir_now() - begun >= WEIR_MS(120)); /* its time, and the grace */
    CHECK(m[0].at == 1 && m[1].at == 2 && m[2].at == 3);
    CHECK(line(0).timed_out && line(0).not_stopped && !line(0).not_run && line(0).took >= WEIR_MS(120));
    CHECK_INT(line(0).rc, ETIMEDOUT);
    CHECK(line(1).rc == 0 && line(2).rc == 0 && line(3).rc == 0);
    CHECK_INT(weir_shutdown_free(&stop), EBUSY);
    CHECK_INT(weir_shutdown_free(&stop), EBUSY);
    set(&go_on, 1);
    EVENTUALLY(weir_shutdown_free(&stop) == 0);
}

static int lets_go(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    set(&go_on, 1);
    while (weir_thread_count() > 1)
        sched_yield();
    return 0;
}

TEST(a_step_that_returns_late_is_joined_while_others_are_waited_for)
{
    const weir_shutdown_config config = {.no_signals = true, .step_timeout = WEIR_MS(1), .grace = 1};
    start_with(&config);
    step(WEIR_SHUTDOWN_STOP, "late", 0, hangs, NULL);
    step(WEIR_SHUTDOWN_DRAIN, "lets it go", WEIR_FOREVER, lets_go, NULL);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ETIMEDOUT);
    CHECK(line(0).timed_out && !line(0).not_stopped);
    CHECK_INT(line(0).rc, 0);
    CHECK_INT(line(1).rc, 0);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

TEST(a_step_that_minds_its_context_is_late_and_has_stopped)
{
    const weir_shutdown_config config = {.no_signals = true, .step_timeout = WEIR_MS(5), .grace = WEIR_SEC(1000)};
    start_with(&config);
    step(WEIR_SHUTDOWN_DRAIN, "minds", 0, until_its_end, NULL);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ETIMEDOUT);
    CHECK(line(0).timed_out && !line(0).not_stopped && line(0).took >= WEIR_MS(5));
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

static int takes_an_hour(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    pass(WEIR_SEC(3600));
    return 0;
}

/* Nobody has looked in between. */
TEST(a_step_that_returns_after_its_time_has_timed_out)
{
    start_with(&silent);
    step(WEIR_SHUTDOWN_STOP, "long", WEIR_SEC(1000), takes_an_hour, NULL);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ETIMEDOUT);
    CHECK(line(0).timed_out && !line(0).not_stopped && line(0).took >= WEIR_SEC(3600));
    CHECK_INT(line(0).rc, 0);
    CHECK_INT(weir_shutdown_free(&stop), 0);
    back_to_real_time();
}

static void an_hour_passes(void)
{
    pass(WEIR_SEC(3600));
}
static void an_hour_passes_after_the_next(void)
{
    after_look = an_hour_passes;
}

/* Whichever look at the clock is the last that finds time enough. */
TEST(a_deadline_that_passes_before_the_sleep_ends_the_wait)
{
    static void (*const when[])(void) = {an_hour_passes, an_hour_passes_after_the_next};
    for (int i = 0; i < 2; i++) {
        weir_ctx ctx;
        start_with(&silent);
        weir_ctx_init_deadline(&ctx, NULL, weir_now() + WEIR_SEC(1000));
        after_look = when[i];
        CHECK_INT(weir_shutdown_wait(&ctx, &stop), ETIMEDOUT);
        CHECK(after_look == NULL);
        CHECK_INT(weir_ctx_err(weir_shutdown_ctx(&stop)), 0); /* it has not begun */
        weir_ctx_free(&ctx);
        CHECK_INT(weir_shutdown_free(&stop), 0);
        back_to_real_time();
    }
}

TEST(the_timeout_of_all_forces)
{
    const weir_shutdown_config config = {.no_signals = true, .timeout = WEIR_MS(10)};
    struct mark never = {0, 0};
    start_with(&config);
    step(WEIR_SHUTDOWN_STOP, "hangs", WEIR_FOREVER, hangs, NULL);
    step(WEIR_SHUTDOWN_FINISH, "never", 0, marks, &never);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ECANCELED);
    CHECK(weir_shutdown_forced(&stop));
    CHECK(line(0).not_stopped && !line(0).timed_out && line(1).not_run);
    CHECK_INT(line(1).rc, ECANCELED);
    CHECK_INT(never.at, 0);
    set(&go_on, 1);
    EVENTUALLY(weir_shutdown_free(&stop) == 0);
}

TEST(the_end_of_the_parent_begins_it)
{
    weir_ctx parent;
    struct mark m = {0, 0};
    weir_shutdown_config config = {.no_signals = true, .parent = &parent};
    weir_ctx_init_timeout(&parent, NULL, WEIR_MS(2));
    start_with(&config);
    step(WEIR_SHUTDOWN_STOP, "stop", 0, marks, &m);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0); /* notices the deadline */
    CHECK_INT(weir_ctx_cause(weir_shutdown_ctx(&stop)), ETIMEDOUT);
    CHECK_INT(m.at, 1);
    CHECK_INT(weir_shutdown_free(&stop), 0);
    weir_ctx_free(&parent);
}

static void begins(void *arg)
{
    weir_shutdown_begin(&stop, *(int *)arg);
}
static int waits_rc[2];
static void waits(void *arg)
{
    waits_rc[*(int *)arg] = weir_shutdown_wait(NULL, &stop);
}

TEST(it_begins_from_any_thread_and_no_wait_sleeps_on)
{
    int number[4] = {0, 1, 2, 3};
    for (long round = 0; round < test_rounds(1000); round++) {
        struct mark m[2] = {{0, 0}, {0, 0}};
        struct test_team *team;
        start_with(&silent);
        step(WEIR_SHUTDOWN_STOP, "a", 0, marks, &m[0]);
        step(WEIR_SHUTDOWN_STOP, "b", 0, marks, &m[1]);
        team = test_start(2, begins, number + 1, sizeof number[0]);
        CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
        test_join(team);
        CHECK(m[0].at + m[1].at == 3);
        CHECK_INT(weir_shutdown_free(&stop), 0);
    }
    start_with(&silent);
    struct test_team *first = test_start(1, waits, number, 0);
    EVENTUALLY(weir__load_rlx(&stop.waiting) == 1);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), EBUSY);
    weir_shutdown_begin(&stop, 0);
    test_join(first);
    CHECK_INT(waits_rc[0], 0);
    CHECK_INT(weir_shutdown_free(&stop), 0);
    start_with(&silent); /* two wait: one of them may be told so */
    struct test_team *team = test_start(2, waits, number, sizeof number[0]);
    weir_shutdown_begin(&stop, 0);
    test_join(team);
    CHECK((waits_rc[0] == 0 || waits_rc[0] == EBUSY) && (waits_rc[1] == 0 || waits_rc[1] == EBUSY));
    CHECK(waits_rc[0] == 0 || waits_rc[1] == 0);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

TEST(a_wait_whose_context_ends_has_begun_nothing)
{
    struct mark m = {0, 0};
    weir_ctx ctx;
    start_with(&silent);
    step(WEIR_SHUTDOWN_STOP, "stop", 0, marks, &m);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(2));
    CHECK_INT(weir_shutdown_wait(&ctx, &stop), ETIMEDOUT);
    weir_ctx_free(&ctx);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_shutdown_wait(&ctx, &stop), ECANCELED);
    CHECK_INT(weir_ctx_err(weir_shutdown_ctx(&stop)), 0);
    step(WEIR_SHUTDOWN_STOP, "another", 0, marks, &m);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(&ctx, &stop), 0); /* once it has begun the context plays no part */
    CHECK_INT(order, 2);
    CHECK_INT(weir_shutdown_free(&stop), 0);
    weir_ctx_free(&ctx);
}

TEST(misuse_is_told)
{
    struct mark m;
    const int many[WEIR_SIGNALS_MAX + 1] = {0}, kill_signal[] = {SIGTERM, SIGKILL};
    weir_shutdown other;
    weir_shutdown_config config = {.no_signals = true, .grace = -1};
    struct sigaction now;
    CHECK_INT(weir_shutdown_init(&stop, &config), EINVAL);
    config = (weir_shutdown_config){.no_signals = true, .timeout = -1};
    CHECK_INT(weir_shutdown_init(&stop, &config), EINVAL);
    config = (weir_shutdown_config){.no_signals = true, .step_timeout = -1};
    CHECK_INT(weir_shutdown_init(&stop, &config), EINVAL);
    config = (weir_shutdown_config){.no_signals = true, .settle = -1};
    CHECK_INT(weir_shutdown_init(&stop, &config), EINVAL);
    config = (weir_shutdown_config){.signals = many, .signal_count = WEIR_SIGNALS_MAX + 1};
    CHECK_INT(weir_shutdown_init(&stop, &config), EINVAL);
    config = (weir_shutdown_config){.signals = kill_signal, .signal_count = 2};
    CHECK_INT(weir_shutdown_init(&stop, &config), EINVAL);
    REQUIRE(sigaction(SIGTERM, NULL, &now) == 0);
    CHECK(now.sa_handler == SIG_DFL);
    start_with(NULL);
    CHECK_INT(weir_shutdown_init(&other, NULL), EBUSY);
    CHECK_INT(weir_shutdown_init(&other, &silent), 0); /* without signals there may be any number */
    CHECK_INT(weir_shutdown_free(&other), 0);
    CHECK_INT(weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_PHASES, "none", 0, marks, &m), EINVAL);
    CHECK_INT(weir_shutdown_on_phase(&stop, -1, "none", 0, marks, &m), EINVAL);
    CHECK_INT(weir_shutdown_on_phase(&stop, 0, "none", -1, marks, &m), EINVAL);
    CHECK_INT(weir_shutdown_on_phase(&stop, 0, "none", 0, NULL, &m), EINVAL);
    for (int i = 0; i < WEIR_SHUTDOWN_STEPS; i++)
        step(0, "many", 0, marks, &m);
    CHECK_INT(weir_shutdown_on_phase(&stop, 0, "one more", 0, marks, &m), EOVERFLOW);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

static int at_step;

static void forces(void *unused)
{
    (void)unused;
    EVENTUALLY(get(&at_step));
    weir_shutdown_force(&stop);
}

TEST(it_is_forced_from_any_thread)
{
    start_with(&silent);
    at_step = 0;
    step(WEIR_SHUTDOWN_STOP, "hangs", WEIR_FOREVER, hangs, &at_step);
    weir_shutdown_begin(&stop, 0);
    struct test_team *team = test_start(1, forces, NULL, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ECANCELED);
    test_join(team);
    CHECK(weir_shutdown_forced(&stop) && line(0).not_stopped && line(0).took > 0);
    set(&go_on, 1);
    EVENTUALLY(weir_shutdown_free(&stop) == 0);
}

static void let_go(void *unused)
{
    (void)unused;
    set(&go_on, 1);
}
/* Looks at no context; its hook does. */
static int hangs_with_a_hook(weir_ctx *ctx, void *arg)
{
    weir_ctx_hook hook;
    (void)weir_ctx_on_cancel(ctx, &hook, let_go, NULL);
    (void)hangs(ctx, arg);
    (void)weir_ctx_off_cancel(ctx, &hook);
    return 3;
}

TEST(the_hooks_of_a_step_run_when_its_time_is_over)
{
    const weir_shutdown_config config = {.no_signals = true, .step_timeout = WEIR_MS(2), .grace = WEIR_SEC(1000)};
    start_with(&config);
    step(WEIR_SHUTDOWN_STOP, "hooked", 0, hangs_with_a_hook, NULL);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 3);
    CHECK(line(0).timed_out && !line(0).not_stopped);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

static int waits_for_it(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_shutdown_wait(ctx, &stop);
}

TEST(the_roll_says_who_waits_for_what)
{
    weir_group g = WEIR_GROUP_INIT;
    start_with(&silent);
    printed_while(waits_for_it, NULL, "in shutdown for");
    step(WEIR_SHUTDOWN_DRAIN, "requests", WEIR_FOREVER, hangs, NULL);
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_group_go(NULL, &g, waits_for_it, NULL), 0);
    EVENTUALLY(printed("in shutdown on \"requests\""));
    EVENTUALLY(printed("runs requests"));
    set(&go_on, 1);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

static int of_the_parent(void)
{
    struct sigaction now;
    if (weir_shutdown_wait(NULL, &stop) != ENOTRECOVERABLE || weir_shutdown_free(&stop) != 0)
        return 1;
    return sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == SIG_DFL ? FINE : 2;
}

TEST(a_child_is_told_that_it_is_not_its_own)
{
    start_with(NULL);
    CHECK_INT(in_child(of_the_parent), FINE);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}
