/* tests/run/test_shutdown_signals.c: a shutdown and real signals, from this process and from children. */
#include "naps.h"

#include "../core/child.h"
#include "shutdown.h"

static pid_t send_from_child(int number)
{
    const pid_t parent = getpid(), child = fork();
    if (child == 0)
        _exit(kill(parent, number) == 0 ? FINE : 1);
    REQUIRE(child > 0);
    return child;
}

static void reap(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) != child)
        REQUIRE(errno == EINTR); /* thread sanitizer's signal() does not ask for a restart */
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == FINE);
}

TEST(a_signal_that_comes_before_the_wait_begins_it)
{
    struct mark m = {0, 0};
    start_with(NULL);
    step(WEIR_SHUTDOWN_STOP, "stop", 0, marks, &m);
    REQUIRE(kill(getpid(), SIGTERM) == 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
    CHECK_INT(weir_ctx_cause(weir_shutdown_ctx(&stop)), 128 + SIGTERM);
    CHECK_INT(weir_shutdown_signal(&stop), SIGTERM);
    CHECK_INT(m.at, 1);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

TEST(a_signal_from_a_child_wakes_the_wait_wherever_it_comes)
{
    for (long round = 0; round < test_rounds(300); round++) {
        struct mark m = {0, 0};
        start_with(NULL);
        step(WEIR_SHUTDOWN_DRAIN, "drain", 0, marks, &m);
        const pid_t child = send_from_child(round % 2 == 0 ? SIGINT : SIGTERM);
        CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
        CHECK_INT(weir_shutdown_signal(&stop), round % 2 == 0 ? SIGINT : SIGTERM);
        CHECK_INT(m.at, 1);
        reap(child);
        CHECK_INT(weir_shutdown_free(&stop), 0);
    }
}

static void sends_one(void *arg)
{
    (void)kill(getpid(), *(int *)arg);
}

TEST(threads_send_signals_and_one_of_them_waits)
{
#ifdef TEST_THREAD_SANITIZER
    SKIP("the thread sanitizer loses a signal that comes to a thread at its end");
#endif
    int numbers[3] = {SIGTERM, SIGUSR1, SIGUSR2}, usr[] = {SIGTERM, SIGUSR1, SIGUSR2};
    const weir_shutdown_config config = {.signals = usr, .signal_count = 3, .settle = 1};
    for (long round = 0; round < test_rounds(500); round++) {
        struct test_team *team;
        start_with(&config);
        step(WEIR_SHUTDOWN_DRAIN, "drain", WEIR_FOREVER, until_its_end, NULL);
        team = test_start(3, sends_one, numbers, sizeof numbers[0]);
        CHECK_INT(weir_shutdown_wait(NULL, &stop), ECANCELED); /* the second forces */
        test_join(team);
        EVENTUALLY(weir__signals_count() == 3);
        CHECK(weir_shutdown_forced(&stop));
        EVENTUALLY(weir_shutdown_free(&stop) == 0);
    }
}

static void interrupts(void)
{
    (void)raise(SIGINT);
}

/* Its handler has looked at the clock when another signal comes, and is counted as the first. */
TEST(a_signal_that_is_overtaken_by_another_is_the_second)
{
#ifdef TEST_THREAD_SANITIZER
    SKIP("the thread sanitizer runs no handler inside another");
#endif
    start_with(&every_signal);
    step(WEIR_SHUTDOWN_DRAIN, "drain", WEIR_FOREVER, until_its_end, NULL);
    after_look = interrupts;
    REQUIRE(raise(SIGTERM) == 0);
    CHECK_INT(weir_shutdown_signal(&stop), SIGINT);
    CHECK_INT(weir__signals_count(), 2);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ECANCELED);
    CHECK(weir_shutdown_forced(&stop));
    EVENTUALLY(weir_shutdown_free(&stop) == 0);
}

static int at_step;
static void sends_in_step(void *arg)
{
    EVENTUALLY(get(&at_step));
    (void)kill(getpid(), *(int *)arg);
}

TEST(a_second_signal_forces)
{
    struct mark never = {0, 0};
    int number = SIGTERM;
    start_with(&every_signal);
    at_step = 0;
    step(WEIR_SHUTDOWN_STOP, "hangs", WEIR_FOREVER, hangs, &at_step);
    step(WEIR_SHUTDOWN_FINISH, "never", 0, marks, &never);
    REQUIRE(kill(getpid(), SIGINT) == 0);
    struct test_team *team = test_start(1, sends_in_step, &number, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), ECANCELED);
    test_join(team);
    CHECK(weir_shutdown_forced(&stop));
    CHECK_INT(weir_shutdown_signal(&stop), SIGINT);
    CHECK(line(0).not_stopped && !line(0).timed_out && !line(0).not_run);
    CHECK(line(1).not_run && line(1).rc == ECANCELED);
    CHECK_INT(never.at, 0);
    CHECK_INT(weir_shutdown_free(&stop), EBUSY);
    set(&go_on, 1);
    EVENTUALLY(weir_shutdown_free(&stop) == 0);
}

TEST(signals_that_come_with_the_first_are_one)
{
    const weir_shutdown_config patient = {.settle = WEIR_SEC(1000), .third_kills = true};
    struct mark m = {0, 0};
    start_with(&patient);
    step(WEIR_SHUTDOWN_STOP, "stop", 0, marks, &m);
    for (int i = 0; i < 3; i++) /* as from timeout(1), which sends it to the program and to its group */
        REQUIRE(kill(getpid(), i == 0 ? SIGTERM : SIGINT) == 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
    CHECK(!weir_shutdown_forced(&stop));
    CHECK_INT(weir_shutdown_signal(&stop), SIGTERM);
    CHECK_INT(weir__signals_count(), 1);
    CHECK_INT(m.at, 1);
    CHECK_INT(weir_shutdown_free(&stop), 0);
    start_with(&every_signal); /* nothing is left of it */
    CHECK_INT(weir_shutdown_signal(&stop), 0);
    REQUIRE(kill(getpid(), SIGINT) == 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
    CHECK_INT(weir_shutdown_signal(&stop), SIGINT);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

TEST(one_signal_after_begin_forces_nothing)
{
    struct mark m = {0, 0};
    start_with(NULL);
    step(WEIR_SHUTDOWN_STOP, "stop", 0, marks, &m);
    weir_shutdown_begin(&stop, 5);
    REQUIRE(kill(getpid(), SIGTERM) == 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
    CHECK(!weir_shutdown_forced(&stop));
    CHECK_INT(weir_ctx_cause(weir_shutdown_ctx(&stop)), 5);
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

static int dies_of_the_third(void)
{
    const weir_shutdown_config config = {.third_kills = true, .settle = 1};
    if (weir_shutdown_init(&stop, &config) != 0 || raise(SIGTERM) != 0 || raise(SIGINT) != 0)
        return 1;
    if (weir_shutdown_wait(NULL, &stop) != 0 || !weir_shutdown_forced(&stop)) /* there is no step */
        return 2;
    (void)raise(SIGTERM);
    return 3;
}

static int lives_on_after_the_third(void)
{
    if (weir_shutdown_init(&stop, &every_signal) != 0 || raise(SIGTERM) != 0 || raise(SIGINT) != 0 ||
        raise(SIGTERM) != 0)
        return 1;
    return weir__signals_count() == 3 ? FINE : 2;
}

TEST(a_third_signal_kills_where_that_is_asked_for)
{
    int status = -1;
    const pid_t child = fork();
    if (child == 0)
        _exit(dies_of_the_third());
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    if (!TEST_SANITIZED) /* thread sanitizer holds signals back in a child of threads */
        CHECK_INT(in_child(lives_on_after_the_third), FINE);
}

static int handled; /* atomic */
static void handle_info(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_signo == number && info->si_pid == getpid())
        __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
}

static bool is_default(int number)
{
    struct sigaction now;
    REQUIRE(sigaction(number, NULL, &now) == 0);
    return now.sa_handler == SIG_DFL;
}

TEST(the_second_restores_the_default_where_the_third_kills)
{
    const weir_shutdown_config config = {.settle = 1, .third_kills = true};
    start_with(&config);
    REQUIRE(raise(SIGINT) == 0);
    CHECK(!is_default(SIGINT) && !is_default(SIGTERM));
    REQUIRE(raise(SIGTERM) == 0);
    CHECK(is_default(SIGINT) && is_default(SIGTERM));
    CHECK(!weir_shutdown_forced(&stop)); /* nobody has looked */
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
    CHECK(weir_shutdown_forced(&stop));
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

TEST(what_is_no_signal_is_refused_and_nothing_has_changed)
{
    static const int wrong[][3] = {{SIGUSR1, SIGKILL, SIGUSR2}, {SIGUSR1, 999, SIGUSR2}, {SIGUSR1, -1, SIGUSR2}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const weir_shutdown_config config = {.signals = wrong[i], .signal_count = 3};
        CHECK_INT(weir_shutdown_init(&stop, &config), EINVAL);
        CHECK(is_default(SIGUSR1) && is_default(SIGUSR2));
    }
    start_with(NULL); /* nobody has the signals */
    CHECK_INT(weir_shutdown_free(&stop), 0);
}

TEST(the_actions_of_before_are_restored_and_what_was_ignored_stays_ignored)
{
    struct sigaction own, before_int, before_term, now;
    memset(&own, 0, sizeof own);
    own.sa_sigaction = handle_info;
    own.sa_flags = SA_SIGINFO;
    sigaddset(&own.sa_mask, SIGUSR2);
    REQUIRE(sigaction(SIGINT, &own, &before_int) == 0);
    own.sa_handler = SIG_IGN;
    own.sa_flags = 0;
    REQUIRE(sigaction(SIGTERM, &own, &before_term) == 0);
    start_with(NULL);
    REQUIRE(kill(getpid(), SIGTERM) == 0); /* ignored */
    CHECK_INT(weir_shutdown_signal(&stop), 0);
    REQUIRE(kill(getpid(), SIGINT) == 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
    CHECK_INT(weir_shutdown_signal(&stop), SIGINT);
    CHECK_INT(weir__signals_count(), 1);
    CHECK_INT(get(&handled), 0);
    CHECK_INT(weir_shutdown_free(&stop), 0);
    REQUIRE(kill(getpid(), SIGINT) == 0);
    EVENTUALLY(get(&handled) == 1);
    REQUIRE(sigaction(SIGINT, &before_int, &now) == 0);
    CHECK(now.sa_sigaction == handle_info && (now.sa_flags & SA_SIGINFO) != 0 && sigismember(&now.sa_mask, SIGUSR2));
    REQUIRE(sigaction(SIGTERM, &before_term, &now) == 0);
    CHECK(now.sa_handler == SIG_IGN);
}

static int reads_on(void)
{
    int pipes[2];
    char c = 0;
    const pid_t parent = getpid();
    if (weir_shutdown_init(&stop, NULL) != 0 || pipe(pipes) != 0)
        return 1;
    const pid_t child = fork();
    if (child == 0) { /* the signal first, then the byte: a read that is interrupted would end without */
        for (int i = 0; i < 1000; i++)
            (void)kill(parent, SIGTERM);
        _exit(write(pipes[1], "x", 1) == 1 ? 0 : 1);
    }
    return read(pipes[0], &c, 1) == 1 && c == 'x' ? FINE : 2;
}

TEST(interrupted_calls_are_restarted)
{
    if (TEST_SANITIZED)
        SKIP("the sanitizers' own signal() does not ask for it");
    CHECK_INT(in_child(reads_on), FINE);
}

static int told_the_context(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_sleep_until(ctx, WEIR_FOREVER);
}

TEST(a_watching_thread_ends_the_context_while_nobody_waits)
{
    const weir_shutdown_config config = {.watch = true};
    for (long round = 0; round < test_rounds(100); round++) {
        weir_group g;
        start_with(&config);
        weir_group_init(&g, weir_shutdown_ctx(&stop), NULL);
        CHECK_INT(weir_group_go(NULL, &g, told_the_context, NULL), 0);
        const pid_t child = send_from_child(SIGTERM);
        CHECK_INT(weir_group_wait(&g), ECANCELED); /* all sleep; only the watching thread can have ended it */
        CHECK_INT(weir_ctx_cause(weir_shutdown_ctx(&stop)), 128 + SIGTERM);
        weir_group_free(&g);
        reap(child);
        CHECK_INT(weir_shutdown_wait(NULL, &stop), 0);
        CHECK_INT(weir_shutdown_free(&stop), 0);
    }
    start_with(&config); /* and it ends without a signal */
    CHECK_INT(weir_shutdown_free(&stop), 0);
}
