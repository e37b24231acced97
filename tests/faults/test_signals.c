/* tests/faults/test_signals.c: what the system does to sleeping threads: futex waits that return early, a signal every 100 µs, threads that are
 * stopped and continued. Values go on arriving, each once and in order, and deadlines stay what they were.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>

static int early_wait(uint32_t *word, uint32_t value, int64_t deadline);
#define WEIR_FUTEX_WAIT(word, value, deadline) early_wait((word), (value), (deadline))
#define WEIR_FUTEX_WAKE(word, count) weir__futex_wake((word), (count))

#include "harness.h"

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

static int early_every, waits; /* every n-th wait returns at once, as after a signal; 0: none. Atomic. */

static int early_wait(uint32_t *word, uint32_t value, int64_t deadline)
{
    const int every = __atomic_load_n(&early_every, __ATOMIC_RELAXED);
    const int n = __atomic_add_fetch(&waits, 1, __ATOMIC_RELAXED);
    return every > 0 && n % every == 0 ? 0 : weir__futex_wait(word, value, deadline);
}

/* ---- a line of three: every kind of wait sleeps all the time ---- */

enum { STOPS = 3 };
typedef weir_chan(uint64_t) words;

struct relay {
    words in, out;
    uint64_t values;
    bool first, last, wrong;
    uint64_t timeouts;
};

static void relay_main(void *arg)
{
    struct relay *r = (struct relay *)arg;
    for (uint64_t i = 0; i < r->values; i++) {
        uint64_t v = i;
        int rc = 0;
        if (!r->first) {
            if (i % 3 == 0) { /* with a deadline, by select, plainly */
                while ((rc = weir_recv_until(NULL, r->in, &v, weir_now() + WEIR_US(200))) == ETIMEDOUT)
                    r->timeouts++;
            } else if (i % 3 == 1) {
                weir_case c[] = {WEIR_RECV(r->in, &v), WEIR_DONE(NULL)};
                rc = weir_select(NULL, c, 2) == 0 ? c[0].status : -1;
            } else {
                rc = weir_recv(NULL, r->in, &v);
            }
        }
        r->wrong = r->wrong || rc != 0 || v != i;
        if (!r->last && weir_send(NULL, r->out, &v) != 0)
            r->wrong = true;
    }
}

/* `values` go through a line over channels of this capacity whose threads sleep whenever they wait. */
static bool relay(size_t capacity, uint64_t values)
{
    const weir_chan_opt parks = {WEIR_WAIT_PARK, NULL, NULL, 0};
    words line[STOPS - 1];
    struct relay stops[STOPS];
    bool wrong = false;
    for (int i = 0; i < STOPS - 1; i++)
        wrong = weir_chan_make_opt(&line[i], capacity, &parks) != 0 || wrong;
    memset(stops, 0, sizeof stops);
    for (int i = 0; i < STOPS; i++) {
        stops[i].values = values;
        stops[i].first = i == 0;
        stops[i].last = i == STOPS - 1;
        if (i > 0)
            stops[i].in = line[i - 1];
        if (i < STOPS - 1)
            stops[i].out = line[i];
    }
    test_threads(STOPS, relay_main, stops, sizeof stops[0]);
    for (int i = 0; i < STOPS; i++)
        wrong = wrong || stops[i].wrong;
    for (int i = 0; i < STOPS - 1; i++)
        weir_chan_free(&line[i]);
    return !wrong;
}

TEST(each_futex_wait_in_turn_returns_early)
{
    for (int every = 1; every <= 12; every++)
        for (size_t capacity = 0; capacity < 3; capacity++) {
            __atomic_store_n(&early_every, every, __ATOMIC_RELAXED);
            CHECK(relay(capacity, (uint64_t)test_rounds(100)));
        }
    __atomic_store_n(&early_every, 0, __ATOMIC_RELAXED);
    CHECK(__atomic_load_n(&waits, __ATOMIC_RELAXED) > 100);
}

/* ---- signals ---- */

static int signals; /* atomic */

static void count_signal(int number)
{
    (void)number;
    __atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
}

TEST(a_signal_every_100_microseconds)
{
    const struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal; /* without SA_RESTART: system calls are interrupted */
    REQUIRE(sigaction(SIGALRM, &action, &before) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (size_t capacity = 0; capacity < 3; capacity++)
        CHECK(relay(capacity, (uint64_t)test_rounds(3000)));
    /* and a deadline is neither early nor forgotten */
    words silent;
    uint64_t v;
    REQUIRE(weir_chan_make(&silent, 1) == 0);
    const weir_ns due = weir_now() + WEIR_MS(20);
    CHECK_INT(weir_recv_until(NULL, silent, &v, due), ETIMEDOUT);
    CHECK(weir_now() >= due);
    weir_chan_free(&silent);
    REQUIRE(setitimer(ITIMER_REAL, &never, NULL) == 0 && sigaction(SIGALRM, &before, NULL) == 0);
    CHECK(__atomic_load_n(&signals, __ATOMIC_RELAXED) > 20);
}

/* ---- a process that is stopped and continued ---- */

TEST_MANUAL(child_relays)
{
    CHECK(relay(1, (uint64_t)test_rounds(20000)));
    CHECK(relay(0, (uint64_t)test_rounds(20000)));
}

TEST(a_process_that_is_stopped_and_continued_goes_on)
{
    int status, stops = 0;
    const pid_t child = fork();
    if (child == 0) {
        (void)freopen("/dev/null", "w", stdout);
        execl("/proc/self/exe", "test_signals", "child_relays", (char *)NULL);
        _exit(127);
    }
    REQUIRE(child > 0);
    for (;; stops++) {
        const struct timespec runs = {0, 300000 + stops % 7 * 100000}, rests = {0, 100000};
        nanosleep(&runs, NULL);
        if (waitpid(child, &status, WNOHANG) == child)
            break;
        (void)kill(child, SIGSTOP);
        nanosleep(&rests, NULL);
        (void)kill(child, SIGCONT);
    }
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    CHECK(stops > 0);
}
