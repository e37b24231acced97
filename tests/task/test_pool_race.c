/* tests/task/test_pool_race.c: a job that is accepted is run or reported, once, whatever is called at the same time; and nobody waits for ever. */
#include "harness.h"
#include "pool.h"

enum { SUBMITTERS = 3, EACH = 24 };

static weir_pool pool;
static struct job {
    int ran, reported, accepted, error; /* the first two atomic */
    weir_job_result result;
} job[TEST_WIDEST * EACH];
static int turn; /* atomic: which submitter, and enders */

static int runs(weir_ctx *ctx, void *arg)
{
    struct job *j = (struct job *)arg;
    (void)ctx;
    __atomic_add_fetch(&j->ran, 1, __ATOMIC_SEQ_CST);
    if ((j - job) % 7 == 0)
        weir_job_fail(5);
    return 0;
}
static void is_reported(const weir_job_result *result, void *arg)
{
    struct job *j = (struct job *)arg;
    j->result = *result;
    __atomic_add_fetch(&j->reported, 1, __ATOMIC_SEQ_CST);
}

/* Every overflow, all priorities, some with deadlines. */
static void submits(void *arg)
{
    const int from = __atomic_fetch_add(&turn, 1, __ATOMIC_SEQ_CST) * EACH;
    const int how = *(int *)arg;
    for (int i = from; i < from + EACH; i++) {
        weir_job_opt opt;
        memset(&opt, 0, sizeof opt);
        opt.id = (uint64_t)i;
        opt.priority = i % 4 - 1;
        opt.overflow = how != 0 ? how : 1 + i % 5;
        opt.done = is_reported;
        opt.done_arg = &job[i];
        opt.deadline = i % 5 == 0 ? weir_now() + WEIR_US(i) : 0;
        job[i].error = weir_pool_submit(NULL, &pool, runs, &job[i], &opt);
        job[i].accepted = job[i].error == 0;
    }
}

enum { DRAINS, STOPS, STOPS_SOON, RESIZES };
static void ends(void *arg)
{
    static const weir_ns soon = 0;
    const int how = *(int *)arg;
    int rc = 0;
    if (how == RESIZES)
        for (unsigned i = 0; i < 8; i++) {
            rc = weir_pool_resize(&pool, 1 + i % 2, 2 + i % 3);
            CHECK(rc == 0 || rc == EPIPE);
        }
    if (how == DRAINS)
        CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    if (how == STOPS_SOON) {
        rc = weir_pool_stop_until(&pool, soon);
        CHECK(rc == 0 || rc == ETIMEDOUT);
    }
    if (how == STOPS)
        CHECK_INT(weir_pool_stop(&pool), 0);
    if (how == DRAINS || how == STOPS)
        CHECK_INT(weir_thread_count(), 0);
}

static void check_jobs(bool ended, bool stopped)
{
    uint64_t accepted = 0;
    for (int i = 0; i < test_wide(SUBMITTERS) * EACH; i++) {
        const struct job *j = &job[i];
        CHECK_INT(j->reported, j->accepted);
        CHECK_INT(j->ran, j->accepted && j->result.ran);
        CHECK(j->accepted || j->error == EAGAIN || (j->error == EPIPE && ended));
        if (!j->accepted)
            continue;
        accepted++;
        CHECK_INT(j->result.id, i);
        if (j->result.ran)
            CHECK_INT(j->result.error, i % 7 == 0 ? 5 : 0);
        else
            CHECK(j->result.error == EOVERFLOW || (j->result.error == ETIMEDOUT && i % 5 == 0) ||
                  (j->result.error == ECANCELED && stopped));
    }
    const weir_pool_tally t = tally_of(&pool);
    CHECK_INT(t.done + t.failed + t.expired + t.cancelled + t.dropped_newest + t.dropped_oldest, accepted);
    CHECK(t.queued == 0 && t.workers == 0 && t.running == 0 && t.unreported == 0);
}

/* Submitters, and two who end the pool (or -1: nobody does), all at once. */
static void race(int overflow, int first, int second, long rounds)
{
    for (long round = 0; round < rounds; round++) {
        const weir_pool_opt opt = {.min = 1 + (unsigned)round % 2,
                                   .max = 1 + (unsigned)test_wide(2),
                                   .queue = 1 + (size_t)round % 4,
                                   .idle = WEIR_US(10)};
        struct test_team *submitters, *first_team = NULL, *second_team = NULL;
        memset(job, 0, sizeof job);
        turn = 0;
        REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
        submitters = test_start(test_wide(SUBMITTERS), submits, &overflow, 0);
        if (first >= 0)
            first_team = test_start(1, ends, &first, 0);
        if (second >= 0)
            second_team = test_start(1, ends, &second, 0);
        test_join(submitters);
        if (first >= 0)
            test_join(first_team);
        if (second >= 0)
            test_join(second_team);
        CHECK_INT(weir_pool_drain(NULL, &pool), 0);
        check_jobs(first == DRAINS || first == STOPS || first == STOPS_SOON,
                   second == STOPS || first == STOPS || first == STOPS_SOON);
        CHECK_INT(weir_pool_free(&pool), 0);
        CHECK_INT(weir_thread_count(), 0);
    }
}

TEST(submit_alone_with_every_overflow)
{
    for (int overflow = 0; overflow <= WEIR_OVERFLOW_CALLER; overflow++)
        race(overflow, -1, -1, test_rounds(150));
}
TEST(submit_against_drain)
{
    race(0, DRAINS, -1, test_rounds(1500));
}
TEST(submit_against_drain_and_drain)
{
    race(WEIR_OVERFLOW_BLOCK, DRAINS, DRAINS, test_rounds(1000));
}
TEST(submit_against_stop)
{
    race(0, STOPS, -1, test_rounds(1500));
}
TEST(submit_against_stop_with_a_deadline_and_stop)
{
    race(0, STOPS_SOON, STOPS, test_rounds(1000));
}
TEST(submit_against_drain_and_stop)
{
    race(WEIR_OVERFLOW_BLOCK, DRAINS, STOPS, test_rounds(1000));
}
TEST(submit_against_resize)
{
    race(0, RESIZES, -1, test_rounds(1000));
}
TEST(submit_against_resize_and_stop)
{
    race(WEIR_OVERFLOW_BLOCK, STOPS, RESIZES, test_rounds(1000));
}

/* One job at a time, to workers that have gone to sleep or are about to. */
TEST(no_job_is_left_with_a_worker_that_sleeps)
{
    static const int waits[] = {WEIR_WAIT_PARK, WEIR_WAIT_ADAPTIVE};
    for (int i = 0; i < 2; i++) {
        const weir_pool_opt opt = {.min = 1 + (unsigned)test_wide(1), .wait = waits[i]};
        const int n = (int)test_rounds(10000);
        int ran = 0;
        REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
        for (int k = 0; k < n; k++) {
            CHECK_INT(weir_pool_submit(NULL, &pool, counts, &ran, NULL), 0);
            if (k % 3 != 0) /* and sometimes two */
                EVENTUALLY(counted(&ran) == k + 1);
        }
        EVENTUALLY(counted(&ran) == n);
        CHECK_INT(weir_pool_free(&pool), 0);
    }
}

/* An elastic pool never leaves a job waiting for one that waits for it. */
struct pair {
    int met[2];
};
static int meets(weir_ctx *ctx, void *arg)
{
    int *mine = (int *)arg, *other = ((uintptr_t)arg / sizeof(int)) % 2 == 0 ? mine + 1 : mine - 1;
    (void)ctx;
    __atomic_store_n(mine, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(other, __ATOMIC_SEQ_CST))
        sched_yield();
    return 0;
}
static void submits_and_goes(void *arg)
{
    CHECK_INT(weir_pool_submit(NULL, &pool, meets, arg, NULL), 0);
}

TEST(two_jobs_that_wait_for_each_other_get_two_workers)
{
    const weir_pool_opt opt = {.min = 1, .max = 2, .idle = WEIR_US(1)};
    static struct pair pair __attribute__((aligned(8)));
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    for (long round = 0; round < test_rounds(3000); round++) {
        const uint64_t done = (uint64_t)(2 * round + 2);
        for (int i = 0; i < 2; i++)
            __atomic_store_n(&pair.met[i], 0, __ATOMIC_SEQ_CST); /* that they are counted orders nothing */
        test_threads(2, submits_and_goes, pair.met, sizeof(int));
        EVENTUALLY(tally_of(&pool).done == done);
    }
    CHECK_INT(weir_pool_free(&pool), 0);
}

TEST(a_pool_that_is_made_smaller_gets_smaller)
{
    const weir_pool_opt opt = {.min = 3, .wait = WEIR_WAIT_PARK, .idle = WEIR_SEC(1000)};
    for (long round = 0; round < test_rounds(1000); round++) {
        int ran = 0;
        REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
        for (long i = 0; i < round % 5; i++)
            CHECK_INT(weir_pool_submit(NULL, &pool, counts, &ran, NULL), 0);
        CHECK_INT(weir_pool_resize(&pool, 1, 1), 0);
        EVENTUALLY(tally_of(&pool).workers == 1);
        CHECK_INT(weir_pool_drain(NULL, &pool), 0);
        CHECK_INT(ran, round % 5);
        CHECK_INT(weir_pool_free(&pool), 0);
    }
}
