/* tests/harness.h: the frame of every test program. One per program, C11 or C++17; include it first.
 *
 *   #include "harness.h"
 *
 *   TEST(send_then_recv)
 *   {
 *       REQUIRE(weir_chan_make(&ch, 8) == 0);
 *       CHECK_INT(weir_len(ch), 0);
 *   }
 *
 * It brings the library with its implementation: from the modules, or from the single header under -DWEIR_TEST_SINGLE.
 * What a test program wants to set for the library (-D style) it defines before the include.
 *
 *   TEST(name) { }                 a test; TEST_LIMIT(name, seconds) with its own time limit; TEST_MANUAL(name) runs only
 *                                  when it is named on the command line
 *   CHECK(expr)                    counts a failure and goes on. Any thread. Yields whether it held
 *   CHECK_INT(got, want)           the same for integers, printing both; CHECK_STR for strings
 *   REQUIRE(expr)                  ends the program when it does not hold: other threads may hold what this one lent them
 *   SKIP("needs X")                leaves the test (from its own body) as skipped
 *   EVENTUALLY(cond)               yields the processor until cond holds; a failure after half of the test's time limit
 *   test_rounds(n)                 n, or fewer where everything is slow (sanitizers, valgrind, WEIR_TEST_SCALE=0.1)
 *   test_exit(status)              _exit in a child process; what it has covered counts (make coverage)
 *   test_threads(n, fn, args, size)        runs fn(&args[i]) in n threads that begin together, and joins them
 *   team = test_start(n, fn, args, size); ... test_join(team)        the same in two steps
 *
 * At the end no thread that the library has started may be left.
 *
 * A program prints the Test Anything Protocol: the plan "1..N", then "ok K - name" or "not ok K - name" for each test.
 * Arguments choose tests by a part of their name; -l lists them. A test over its limit (60 s, four times that where
 * everything is slow, or WEIR_TEST_TIMEOUT seconds) is named and ends the program with status 124.
 */
#ifndef WEIR_TEST_HARNESS_H
#define WEIR_TEST_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* the tests use what Linux offers; that the library does not need it is a check of its own */
#endif

#ifndef WEIR_IMPLEMENTATION
#define WEIR_IMPLEMENTATION
#endif
#ifdef WEIR_TEST_SINGLE
#include "weir.h"
#else
#include <weir/all.h>
#endif

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

struct test_case {
    const char *name;
    void (*body)(void);
    int line;  /* tests run in the order of the file, whatever order the constructors had */
    int limit; /* seconds; 0: the default */
    bool manual;
    struct test_case *next;
};

static struct {
    struct test_case *first;
    int number, failed, skipped;  /* of tests */
    unsigned long checks, broken; /* of checks: all so far, and those that failed in this test (atomic) */
    const char *skip;
    bool slow;
    double scale;
    /* The watchdog's: what it watches, under lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *watched; /* NULL: nothing now */
    double deadline;
    bool stop;
} test_state;

/* ---- output: one write per line, so that neither a lock that a hanging thread holds nor a crash loses anything ---- */

static inline void test_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void test_say(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int made = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t size = made < 0 ? 0 : (size_t)made < sizeof text ? (size_t)made : sizeof text - 1;
    for (size_t done = 0; done < size;) {
        ssize_t n = write(STDOUT_FILENO, text + done, size - done);
        if (n <= 0 && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
}

/* ---- checks ---- */

/* Counts a failure; says whether it should still be printed, for a check in a loop can fail a million times. */
static inline bool test_broken(void)
{
    return __atomic_add_fetch(&test_state.broken, 1UL, __ATOMIC_RELAXED) <= 20;
}

static inline bool test_check(bool held, const char *text, const char *file, int line)
{
    __atomic_add_fetch(&test_state.checks, 1UL, __ATOMIC_RELAXED);
    if (!held && test_broken())
        test_say("#   %s:%d: failed: %s\n", file, line, text);
    return held;
}

static inline bool test_check_int(long long got, long long want, const char *text, const char *file, int line)
{
    __atomic_add_fetch(&test_state.checks, 1UL, __ATOMIC_RELAXED);
    if (got != want && test_broken())
        test_say("#   %s:%d: failed: %s is %lld, not %lld\n", file, line, text, got, want);
    return got == want;
}

static inline bool test_check_str(const char *got, const char *want, const char *text, const char *file, int line)
{
    bool same = got && want ? strcmp(got, want) == 0 : got == want;
    __atomic_add_fetch(&test_state.checks, 1UL, __ATOMIC_RELAXED);
    if (!same && test_broken())
        test_say("#   %s:%d: failed: %s is \"%s\", not \"%s\"\n", file, line, text, got ? got : "(null)",
                 want ? want : "(null)");
    return same;
}

static inline void test_require(bool held, const char *text, const char *file, int line)
{
    if (test_check(held, text, file, line))
        return;
    test_say("#   a requirement failed: the program ends here\nnot ok %d - %s\n", test_state.number,
             test_state.watched ? test_state.watched : "?");
    _exit(1);
}

#define CHECK(expr) test_check(!!(expr), #expr, __FILE__, __LINE__)
#define CHECK_INT(got, want) test_check_int((long long)(got), (long long)(want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want) test_check_str((got), (want), #got, __FILE__, __LINE__)
#define REQUIRE(expr) test_require(!!(expr), #expr, __FILE__, __LINE__)
#define SKIP(why)                                                                                                      \
    do {                                                                                                               \
        test_state.skip = (why);                                                                                       \
        return;                                                                                                        \
    } while (0)

/* ---- time and scale ---- */

static inline double test_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline double test_limit(const struct test_case *c)
{
    const char *given = getenv("WEIR_TEST_TIMEOUT");
    if (given && atof(given) > 0)
        return atof(given);
    return (c && c->limit ? c->limit : 60) * (test_state.slow ? 4.0 : 1.0);
}

static inline long test_rounds(long n)
{
    long scaled = (long)((double)n * test_state.scale);
    return scaled > 0 ? scaled : 1;
}

extern int __llvm_profile_write_file(void)
    __attribute__((weak)); /* the runtime of clang's coverage, where it is linked in */
static inline void test_exit(int status)
{
    if (__llvm_profile_write_file)
        (void)__llvm_profile_write_file();
    _exit(status);
}

/* WEIR_TEST_SEED, or 0: what a test of random cases begins with. */
static inline long test_seed(void)
{
    const char *seed = getenv("WEIR_TEST_SEED");
    return seed != NULL ? atol(seed) : 0;
}

/* How many threads make one side of a crowd: `usual`; or, with WEIR_TEST_THREADS=X, so many that both sides come to X times the cores. */
enum { TEST_WIDEST = 64 };
static inline int test_wide(int usual)
{
    const char *times = getenv("WEIR_TEST_THREADS");
    if (!times || atoi(times) <= 0)
        return usual;
    const long n = atoi(times) * sysconf(_SC_NPROCESSORS_ONLN) / 2;
    return n < 1 ? 1 : n > TEST_WIDEST ? TEST_WIDEST : (int)n;
}

/* Whether to go on waiting: false, and a failure, when half of the time from `since` to the test's limit has gone. */
static inline bool test_patient(double *give_up, const char *text, const char *file, int line)
{
    double now = test_now();
    if (*give_up <= 0)
        *give_up = now + (test_state.deadline - now) / 2;
    if (now > *give_up)
        return test_check(false, text, file, line);
    sched_yield();
    return true;
}

#define EVENTUALLY(cond)                                                                                               \
    do {                                                                                                               \
        double test_give_up = 0;                                                                                       \
        while (!(cond) && test_patient(&test_give_up, "eventually " #cond, __FILE__, __LINE__)) {}                     \
    } while (0)

/* ---- threads ---- */

struct test_team {
    int size, arrived; /* arrived: atomic */
    void (*fn)(void *);
    char *args;
    size_t stride;
    pthread_t *ids;
    int next; /* atomic: which argument the next thread takes */
};

static inline void *test_team_main(void *p)
{
    struct test_team *team = (struct test_team *)p;
    int i = __atomic_fetch_add(&team->next, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&team->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&team->arrived, __ATOMIC_ACQUIRE) < team->size)
        sched_yield(); /* so that a short body meets its peers and is not over before they start */
    team->fn(team->args ? team->args + (size_t)i * team->stride : NULL);
    return NULL;
}

/* args: an array of n elements of `stride` bytes that outlives the team; NULL passes NULL, stride 0 one for all. */
static inline struct test_team *test_start(int n, void (*fn)(void *), void *args, size_t stride)
{
    struct test_team *team = (struct test_team *)calloc(1, sizeof *team);
    REQUIRE(team != NULL);
    team->ids = (pthread_t *)calloc((size_t)n + 1, sizeof *team->ids);
    REQUIRE(team->ids != NULL);
    team->size = n;
    team->fn = fn;
    team->args = (char *)args;
    team->stride = stride;
    for (int i = 0; i < n; i++)
        REQUIRE(pthread_create(&team->ids[i], NULL, test_team_main, team) == 0);
    return team;
}

static inline void test_join(struct test_team *team)
{
    for (int i = 0; i < team->size; i++)
        REQUIRE(pthread_join(team->ids[i], NULL) == 0);
    free(team->ids);
    free(team);
}

static inline void test_threads(int n, void (*fn)(void *), void *args, size_t stride)
{
    test_join(test_start(n, fn, args, stride));
}

/* ---- the watchdog: a thread rather than SIGALRM, for thread sanitizer holds signals back while all threads sleep ---- */

/* One line per thread: S sleeps (a lost wake-up?), R runs (a livelock?). */
static inline void test_show_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e; tasks && (e = readdir(tasks)) != NULL;) {
        char path[300], stat[256] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (!f)
            continue;
        if (fgets(stat, sizeof stat, f) && strrchr(stat, ')'))
            test_say("#   thread %s: state %c\n", e->d_name, strrchr(stat, ')')[2]);
        fclose(f);
    }
    if (tasks)
        closedir(tasks);
}

static inline void *test_watchdog(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&test_state.lock);
    while (!test_state.stop) {
        if (!test_state.watched) {
            pthread_cond_wait(&test_state.changed, &test_state.lock);
            continue;
        }
        if (test_now() >= test_state.deadline) {
            test_say("#   %s: hung, over its time limit\nnot ok %d - %s\n", test_state.watched, test_state.number,
                     test_state.watched);
            test_show_threads();
            _exit(124);
        }
        struct timespec t;
        t.tv_sec = (time_t)test_state.deadline;
        t.tv_nsec = (long)((test_state.deadline - (double)t.tv_sec) * 1e9);
        pthread_cond_timedwait(&test_state.changed, &test_state.lock, &t);
    }
    pthread_mutex_unlock(&test_state.lock);
    return NULL;
}

static inline void test_watch(const char *name, double deadline, bool stop)
{
    pthread_mutex_lock(&test_state.lock);
    test_state.watched = name;
    test_state.deadline = deadline;
    test_state.stop = stop;
    pthread_cond_signal(&test_state.changed);
    pthread_mutex_unlock(&test_state.lock);
}

/* ---- registration and main ---- */

static inline void test_register(struct test_case *c)
{
    struct test_case **at = &test_state.first;
    while (*at && (*at)->line < c->line)
        at = &(*at)->next;
    c->next = *at;
    *at = c;
}

#define TEST_DEFINE(name, limit, manual)                                                                               \
    static void testcase_##name(void);                                                                                 \
    static struct test_case testinfo_##name = {#name, testcase_##name, __LINE__, limit, manual, NULL};                 \
    __attribute__((constructor)) static void testadd_##name(void)                                                      \
    {                                                                                                                  \
        test_register(&testinfo_##name);                                                                               \
    }                                                                                                                  \
    static void testcase_##name(void)
#define TEST(name) TEST_DEFINE(name, 0, false)
#define TEST_LIMIT(name, seconds) TEST_DEFINE(name, seconds, false)
#define TEST_MANUAL(name) TEST_DEFINE(name, 0, true)

static inline bool test_chosen(const struct test_case *c, int argc, char **argv)
{
    if (argc < 2)
        return !c->manual;
    for (int i = 1; i < argc; i++)
        if (c->manual ? strcmp(c->name, argv[i]) == 0 : strstr(c->name, argv[i]) != NULL)
            return true;
    return false;
}

static inline void test_run(struct test_case *c)
{
    test_state.number++;
    test_state.skip = NULL;
    __atomic_store_n(&test_state.broken, 0UL, __ATOMIC_RELAXED);
    test_say("# %s\n", c->name); /* the last such line names the test in which a program crashed */
    double begun = test_now();
    test_watch(c->name, begun + test_limit(c), false);
    c->body();
    test_watch(NULL, 0, false);
    fflush(NULL);
    unsigned long broken = __atomic_load_n(&test_state.broken, __ATOMIC_RELAXED);
    if (broken) {
        test_state.failed++;
        test_say("not ok %d - %s (%lu checks failed)\n", test_state.number, c->name, broken);
    } else if (test_state.skip) {
        test_state.skipped++;
        test_say("ok %d - %s # SKIP %s\n", test_state.number, c->name, test_state.skip);
    } else {
        test_say("ok %d - %s (%.0f ms)\n", test_state.number, c->name, (test_now() - begun) * 1e3);
    }
}

static inline void test_setup(void)
{
    const char *preload = getenv("LD_PRELOAD"), *scale = getenv("WEIR_TEST_SCALE");
    bool valgrind = preload && strstr(preload, "vgpreload");
    test_state.slow = TEST_SANITIZED || valgrind;
    test_state.scale = scale && atof(scale) > 0 ? atof(scale) : valgrind ? 0.02 : TEST_SANITIZED ? 0.1 : 1.0;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&test_state.lock, NULL);
    pthread_cond_init(&test_state.changed, &attr);
    pthread_condattr_destroy(&attr);
}

int main(int argc, char **argv)
{
    bool list = argc == 2 && strcmp(argv[1], "-l") == 0;
    int planned = 0;
    for (struct test_case *c = test_state.first; c; c = c->next)
        if (list)
            test_say("%s\n", c->name);
        else
            planned += test_chosen(c, argc, argv);
    if (list)
        return 0;
    test_setup();
    test_say("1..%d\n", planned);
    pthread_t watchdog;
    if (pthread_create(&watchdog, NULL, test_watchdog, NULL) != 0)
        return 1;
    for (struct test_case *c = test_state.first; c; c = c->next)
        if (test_chosen(c, argc, argv))
            test_run(c);
    for (double give_up = test_now() + 10; weir_thread_count() != 0 && test_now() < give_up;)
        sched_yield(); /* detached ones are on their way out */
    if (weir_thread_count() != 0) {
        test_state.failed++;
        test_say("# %d threads of the library are left:\n", weir_thread_count());
        weir_threads(stdout);
    }
    test_watch(NULL, 0, true);
    pthread_join(watchdog, NULL);
    test_say("# %d passed, %d failed, %d skipped; %lu checks\n", planned - test_state.failed - test_state.skipped,
             test_state.failed, test_state.skipped, test_state.checks);
    return test_state.failed ? 1 : 0;
}

#endif /* WEIR_TEST_HARNESS_H */
