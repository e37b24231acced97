/* tests/core/test_cpu.c: what the library asks of the system besides time and fences: pinning, names, futexes, error
 * texts; and that errno is left alone by all of it. */
#include "child.h"

/* ---- CPUs: each in a thread of its own, for a pinned thread stays pinned ---- */

static int allowed_cpus(cpu_set_t *set)
{
    REQUIRE(sched_getaffinity(0, sizeof *set, set) == 0);
    return CPU_COUNT(set);
}

TEST(count_is_what_this_thread_may_use)
{
    cpu_set_t set;
    CHECK_INT(weir_cpu_count(), allowed_cpus(&set));
}

static int count_refused(void)
{
    return !forbid(SYS_sched_getaffinity) ? NO_SECCOMP : weir_cpu_count() == 1 ? FINE : 1;
}

TEST(a_kernel_that_does_not_say_is_taken_to_have_one)
{
    const int rc = in_child(count_refused);
    if (rc == NO_SECCOMP)
        SKIP("needs seccomp");
    CHECK_INT(rc, FINE);
}

static void pin_to_each(void *unused)
{
    cpu_set_t all, now;
    (void)unused;
    allowed_cpus(&all);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CHECK_INT(weir_pin((int)cpu), 0);
        CHECK_INT(allowed_cpus(&now), 1);
        CHECK(CPU_ISSET(cpu, &now));
        CHECK_INT(sched_getcpu(), cpu);
        CHECK_INT(weir_cpu_count(), 1);
    }
}

TEST(pin_moves_the_calling_thread_and_no_other)
{
    cpu_set_t before, after;
    allowed_cpus(&before);
    test_threads(1, pin_to_each, NULL, 0);
    allowed_cpus(&after);
    CHECK(CPU_EQUAL(&before, &after));
}

static void pin_to_none(void *unused)
{
    static const int wrong[] = {-1, INT32_MIN, INT32_MAX, 8191, 8192, 100000};
    cpu_set_t before, after;
    (void)unused;
    allowed_cpus(&before);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        errno = 42;
        CHECK_INT(weir_pin(wrong[i]), EINVAL);
        CHECK_INT(errno, 42);
    }
    allowed_cpus(&after);
    CHECK(CPU_EQUAL(&before, &after));
}

TEST(pin_to_a_cpu_that_is_not_there)
{
    test_threads(1, pin_to_none, NULL, 0);
}

/* ---- names ---- */

static void name_thread(void *unused)
{
    char name[17] = "";
    (void)unused;
    errno = 42;
    weir_thread_name("sluice");
    weir_thread_name(NULL);
    CHECK_INT(errno, 42);
    REQUIRE(prctl(PR_GET_NAME, name, 0, 0, 0) == 0);
    CHECK_STR(name, "sluice");
    weir_thread_name("a name of more than fifteen");
    REQUIRE(prctl(PR_GET_NAME, name, 0, 0, 0) == 0);
    CHECK_STR(name, "a name of more ");
}

TEST(thread_name)
{
    test_threads(1, name_thread, NULL, 0);
}

/* ---- errors ---- */

TEST(error_texts)
{
    static const int codes[] = {0,   EPIPE,  EAGAIN, ETIMEDOUT, ECANCELED, EBUSY,
                                EIO, ENOMEM, EINVAL, EOVERFLOW, ENOTSUP,   ENOTRECOVERABLE};
    enum { N = sizeof codes / sizeof codes[0] };
    for (int i = 0; i < N; i++) {
        CHECK(strcmp(weir_error_text(codes[i]), "error") != 0);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(weir_error_text(codes[i]), weir_error_text(codes[j])) != 0);
    }
    CHECK_STR(weir_error_text(EPIPE), "closed");
    CHECK_STR(weir_error_text(0), "success");
    CHECK_STR(weir_error_text(ENOENT), "error");
    CHECK_STR(weir_error_text(-EPIPE), "error");
    CHECK_STR(weir_error_text(INT32_MAX), "error");
}

/* BUSY never leaves the library, and must not be mistaken for an answer that does. */
TEST(busy_is_no_errno)
{
    CHECK(WEIR__BUSY < 0);
}

/* ---- futex ---- */

TEST(futex_answers_and_errno)
{
    weir__atomic_u32 word = 7;
    errno = 42;
    CHECK_INT(weir__futex_wait(&word, 8, WEIR_FOREVER), 0); /* EAGAIN inside: the word differs */
    CHECK_INT(weir__futex_wait(&word, 7, weir_now() - 1), ETIMEDOUT);
    CHECK_INT(weir__futex_wait(&word, 7, 0), ETIMEDOUT);
    CHECK_INT(weir__futex_wait(&word, 7, INT64_MIN),
              ETIMEDOUT);                                     /* not EINVAL for a negative time, and then 0 for ever */
    CHECK_INT(weir__futex_wait(&word, 8, weir_now() - 1), 0); /* the word comes first */
    weir__futex_wake(&word, 1);
    weir__futex_wake(&word, WEIR__WAKE_ALL);
    CHECK_INT(errno, 42);
}

/* A waker uses the address alone: memory that is gone does no harm. Page 1 is never mapped; the last page is the
 * kernel's, and the call fails with EFAULT, of which nobody may see anything. */
TEST(futex_wake_of_a_word_that_is_gone)
{
    errno = 42;
    weir__futex_wake((weir__atomic_u32 *)(uintptr_t)4096, 1);
    weir__futex_wake((weir__atomic_u32 *)(UINTPTR_MAX - 4095), 1);
    CHECK_INT(errno, 42);
}

TEST(futex_timeout_is_not_early)
{
    weir__atomic_u32 word = 0;
    const weir_ns deadline = weir_now() + WEIR_MS(30);
    while (weir__futex_wait(&word, 0, deadline) == 0) { /* a signal, or for no reason */
    }
    CHECK(weir_now() >= deadline);
}

TEST(errno_is_left_alone_by_whoever_parks)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__waiter node;
    weir__waitq q;
    weir__lock lock = 0;
    errno = 42;
    weir__waiter_init(&node, &parker, WEIR__PARKER_FIRST_TICKET);
    weir__waitq_init(&q);
    weir__waitq_join(&q, &node);
    WEIR_FENCE_HEAVY();
    CHECK_INT(weir__parker_wait(&parker, WEIR_WAIT_PARK, weir_now() + WEIR_MS(1), NULL), WEIR__PARKER_CANCELLED);
    weir__waitq_wake(&q, WEIR__WAKE_ALL);
    weir__waitq_leave(&q, &node);
    weir__lock_take(&lock);
    weir__lock_release(&lock);
    CHECK_INT(weir_cpu_count() > 0, 1);
    CHECK_INT(errno, 42);
}

TEST(errno_is_left_alone_by_channels_and_contexts)
{
    weir_chan(int) ch;
    weir_ctx ctx;
    int v = 1;
    REQUIRE(weir_chan_make(&ch, 1) == 0);
    errno = 42;
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_recv(&ctx, ch, &v), ETIMEDOUT);
    CHECK_INT(weir_recv_until(NULL, ch, &v, weir_now() + WEIR_MS(1)), ETIMEDOUT);
    CHECK_INT(weir_try_recv(ch, &v), EAGAIN);
    CHECK_INT(weir_send(NULL, ch, &v), 0);
    CHECK_INT(weir_try_send(ch, &v), EAGAIN);
    CHECK_INT(weir_close(ch), 0);
    weir_ctx_cancel(&ctx, 0);
    weir_ctx_free(&ctx);
    CHECK_INT(errno, 42);
    weir_chan_free(&ch);
}
