/* tests/guard/test_breaker_race.c: many threads at one breaker: admissions of a half-open one, transitions, callbacks, generations. */
#include "harness.h"

#include "breaker.h"

static struct bench t;

/* ---- half-open never has more than so many under way ---- */

enum { PROBES = 3 };
static int under_way; /* atomic */
static long admitted, busy;

static void count_change(weir_breaker *b, int from, int to, void *arg)
{
    (void)b;
    (void)from;
    (void)to;
    (void)arg;
    __atomic_add_fetch(&t.changes, 1, __ATOMIC_RELAXED);
}

/* Each round the breaker is due; all ask at once; who is admitted holds on until all have asked. */
static int arrived, asked, left; /* atomic; of all rounds */

static void meet(int *at, int n)
{
    __atomic_add_fetch(at, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(at, __ATOMIC_ACQUIRE) < n)
        sched_yield();
}

struct asker {
    int number, threads;
    long rounds;
};

static void asks_a_due_breaker(void *arg)
{
    const struct asker *a = (const struct asker *)arg;
    for (int round = 1; round <= a->rounds; round++) {
        weir_breaker_permit permit;
        int rc;
        if (a->number == 0)
            hand_move(&t.hand, OPEN_TIME);
        meet(&arrived, round * a->threads);
        rc = weir_breaker_allow(&t.b, &permit);
        if (rc == 0) {
            const int now = __atomic_add_fetch(&under_way, 1, __ATOMIC_ACQ_REL);
            CHECK(now <= PROBES);
            __atomic_add_fetch(&admitted, 1, __ATOMIC_RELAXED);
        } else {
            CHECK_INT(rc, EBUSY);
            __atomic_add_fetch(&busy, 1, __ATOMIC_RELAXED);
        }
        meet(&asked, round * a->threads);
        if (rc == 0) {
            __atomic_sub_fetch(&under_way, 1, __ATOMIC_ACQ_REL);
            CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_FAILURE), 0);
        }
        meet(&left, round * a->threads);
        if (a->number == 0)
            CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
    }
}

TEST(eight_threads_at_a_half_open_breaker_get_exactly_its_places)
{
    struct asker askers[8];
    const long rounds = test_rounds(10000);
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .probes = PROBES, .on_change = count_change});
    CHECK_INT(fail(&t), 0);
    under_way = arrived = asked = left = 0;
    admitted = busy = 0;
    t.changes = 0;
    for (int i = 0; i < 8; i++)
        askers[i] = (struct asker){i, 8, rounds};
    test_threads(8, asks_a_due_breaker, askers, sizeof askers[0]);
    CHECK_INT(admitted, rounds * PROBES);
    CHECK_INT(busy, rounds * (8 - PROBES));
    CHECK_INT(t.changes, 2 * rounds); /* half-open, and open once though three have failed */
}

/* ---- places are given back and taken again while others close ---- */

static void gives_back_and_takes(void *arg)
{
    const struct asker *a = (const struct asker *)arg;
    for (long i = 0; i < a->rounds; i++) {
        weir_breaker_permit permit;
        const int rc = weir_breaker_allow(&t.b, &permit);
        int now;
        if (rc != 0) {
            CHECK_INT(rc, EBUSY);
            continue;
        }
        now = __atomic_add_fetch(&under_way, 1, __ATOMIC_ACQ_REL);
        CHECK(now <= PROBES);
        if (i % 16 == 0)
            sched_yield();
        __atomic_sub_fetch(&under_way, 1, __ATOMIC_ACQ_REL);
        CHECK_INT(weir_breaker_done(&t.b, &permit, WEIR_BREAKER_IGNORED), 0);
    }
}

TEST(no_place_is_lost_or_given_twice)
{
    struct asker askers[8];
    bench_begin(&t, (weir_breaker_config){.consecutive = 1, .probes = PROBES, .on_change = count_change});
    CHECK_INT(fail(&t), 0);
    hand_move(&t.hand, OPEN_TIME);
    CHECK_INT(ignore(&t), 0);
    under_way = 0;
    for (int i = 0; i < 8; i++)
        askers[i] = (struct asker){i, 8, test_rounds(20000)};
    test_threads(8, gives_back_and_takes, askers, sizeof askers[0]);
    CHECK_INT(tally(&t).under_way, 0);
    CHECK_INT(tally(&t).successes, 0);
    for (int i = 0; i < PROBES; i++)
        CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    CHECK_INT(t.changes, 3);
}

/* ---- everything at once: each transition is called back once, and they chain ---- */

static long entered[5], gone[5]; /* atomic: by state */

static void chain(weir_breaker *b, int from, int to, void *arg)
{
    (void)b;
    (void)arg;
    CHECK(from != to);
    /* What may follow what. */
    if (to == WEIR_BREAKER_HALF_OPEN)
        CHECK_INT(from, WEIR_BREAKER_OPEN);
    if (to == WEIR_BREAKER_OPEN)
        CHECK(from == WEIR_BREAKER_CLOSED || from == WEIR_BREAKER_HALF_OPEN);
    __atomic_add_fetch(&entered[to], 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&gone[from], 1, __ATOMIC_RELAXED);
}

struct user {
    unsigned random;
    long rounds;
    bool meddles; /* forces and resets, too */
};

static void uses(void *arg)
{
    struct user *u = (struct user *)arg;
    for (long i = 0; i < u->rounds; i++) {
        weir_breaker_permit permit;
        weir_breaker_tally now;
        const unsigned random = (u->random = u->random * 1664525 + 1013904223) >> 12;
        if (u->meddles && random % 128 == 0)
            CHECK_INT(weir_breaker_force(&t.b, random & 1024 ? WEIR_BREAKER_DISABLED : WEIR_BREAKER_OPEN), 0);
        if (u->meddles && random % 64 == 1)
            weir_breaker_reset(&t.b);
        hand_move(&t.hand, OPEN_TIME / 8);
        weir_breaker_counts(&t.b, &now);
        CHECK(now.calls <= 16 && now.failures <= now.calls && now.under_way <= PROBES && now.successes <= PROBES);
        if (weir_breaker_allow(&t.b, &permit) != 0)
            continue;
        if (random % 32 == 2)
            sched_yield();
        CHECK_INT(weir_breaker_done(&t.b, &permit, (int)(random >> 8) % 3), 0);
    }
}

static void run_users(bool meddle, weir_breaker_config config)
{
    struct user users[TEST_WIDEST];
    const int threads = test_wide(8);
    config.probes = PROBES;
    config.on_change = chain;
    config.half_open_time = 4 * OPEN_TIME;
    bench_begin(&t, config);
    memset(entered, 0, sizeof entered);
    memset(gone, 0, sizeof gone);
    for (int i = 0; i < threads; i++)
        users[i] = (struct user){(unsigned)i * 7919 + 1, test_rounds(40000) / threads, meddle && i < 2};
    test_threads(threads, uses, users, sizeof users[0]);
    /* Each state has been left as often as entered, but for the first and the last. */
    for (int state = 0; state < 5; state++)
        CHECK_INT(entered[state] - gone[state], (weir_breaker_state(&t.b) == state) - (state == WEIR_BREAKER_CLOSED));
    CHECK(entered[WEIR_BREAKER_OPEN] > 10 && entered[WEIR_BREAKER_HALF_OPEN] > 10);
    /* Generations count the transitions, and resets of what was closed already. */
    if (!meddle) {
        long changes = 0;
        for (int state = 0; state < 5; state++)
            changes += entered[state];
        CHECK_INT(weir__breaker_generation(t.b.word), changes);
    }
    /* And it works. */
    weir_breaker_reset(&t.b);
    CHECK_INT(tally(&t).calls, 0);
    CHECK(trip(&t) >= 3);
    hand_move(&t.hand, 2 * OPEN_TIME);
    for (int i = 0; i < PROBES; i++)
        CHECK_INT(succeed(&t), 0);
    CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_CLOSED);
    weir_breaker_free(&t.b);
}

TEST(each_transition_is_called_back_once)
{
    run_users(false, (weir_breaker_config){.consecutive = 3});
    run_users(false, (weir_breaker_config){.window_calls = 16, .min_calls = 4});
}

TEST(force_and_reset_at_any_moment)
{
    run_users(true, (weir_breaker_config){.consecutive = 3});
    run_users(true, (weir_breaker_config){.window_calls = 16, .min_calls = 4});
}

/* ---- one of many failures opens it ---- */

static void fails_once(void *arg)
{
    weir_breaker_permit *permit = (weir_breaker_permit *)arg;
    CHECK_INT(weir_breaker_done(&t.b, permit, WEIR_BREAKER_FAILURE), 0);
}

TEST(of_failures_that_end_together_one_opens_it)
{
    for (long round = test_rounds(1000); round > 0; round--) {
        weir_breaker_permit permits[4];
        bench_begin(&t, (weir_breaker_config){.consecutive = 2, .on_change = count_change});
        for (int i = 0; i < 4; i++)
            CHECK_INT(weir_breaker_allow(&t.b, &permits[i]), 0);
        test_threads(4, fails_once, permits, sizeof permits[0]);
        CHECK_INT(t.changes, 1);
        CHECK_INT(weir__breaker_generation(t.b.word), 1);
        CHECK_INT(weir_breaker_state(&t.b), WEIR_BREAKER_OPEN);
        CHECK_INT(tally(&t).reopened, 0);
        CHECK_INT(succeed(&t), EAGAIN); /* its time was set, once */
        hand_move(&t.hand, OPEN_TIME);
        CHECK_INT(succeed(&t), 0);
    }
}
