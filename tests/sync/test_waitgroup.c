/* tests/sync/test_waitgroup.c: counts, and what a wait returns after; reuse; memory that goes with the last done. */
#include "../core/before.h"

#include "harness.h"
#include "../sync/printed.h"

TEST(a_count_that_would_fall_below_zero_changes_nothing)
{
    static weir_waitgroup wg = WEIR_WAITGROUP_INIT;
    CHECK_INT(weir_waitgroup_done(&wg), EINVAL);
    CHECK_INT(weir_waitgroup_add(&wg, 2), 0);
    CHECK_INT(weir_waitgroup_add(&wg, -3), EINVAL);
    CHECK_INT(weir_waitgroup_wait_until(NULL, &wg, weir_now()), ETIMEDOUT);
    CHECK_INT(weir_waitgroup_add(&wg, 0), 0);
    CHECK_INT(weir_waitgroup_add(&wg, -2), 0);
    CHECK_INT(weir_waitgroup_wait(NULL, &wg), 0);
    CHECK_INT(weir_waitgroup_add(&wg, 0), 0);
    CHECK_INT(weir_waitgroup_add(&wg, INT32_MIN), EINVAL);
}

static weir_waitgroup overtaken;
static int change;
static void another_changes_it(void *word)
{
    (void)word;
    CHECK_INT(weir_waitgroup_add(&overtaken, change), 0);
}

static void waits_for_it(void *unused)
{
    (void)unused;
    CHECK_INT(weir_waitgroup_wait(NULL, &overtaken), 0);
}
static bool is_waited_for_now(void)
{
    weir__lock_take(&overtaken.line.lock);
    const bool waited = overtaken.line.list.first != NULL;
    weir__lock_release(&overtaken.line.lock);
    return waited;
}

/* Before it has the lock, under which the count comes to 0. */
TEST(the_last_done_may_be_overtaken)
{
    memset(&overtaken, 0, sizeof overtaken);
    before_word = &overtaken.line.lock;
    CHECK_INT(weir_waitgroup_add(&overtaken, 1), 0);
    change = -1;
    before_swap = another_changes_it;
    CHECK_INT(weir_waitgroup_done(&overtaken), EINVAL); /* he was the last */
    CHECK(before_swap == NULL);
    CHECK_INT(weir_waitgroup_add(&overtaken, 1), 0);
    struct test_team *team = test_start(1, waits_for_it, NULL, 0);
    EVENTUALLY(is_waited_for_now());
    change = 1;
    before_swap = another_changes_it;
    CHECK_INT(weir_waitgroup_done(&overtaken), 0); /* and is not the last any more */
    CHECK(before_swap == NULL);
    CHECK(is_waited_for_now());
    CHECK_INT(weir_waitgroup_done(&overtaken), 0);
    test_join(team);
}

TEST(a_count_too_large_is_overflow)
{
    weir_waitgroup wg;
    weir_waitgroup_init(&wg);
    CHECK_INT(weir_waitgroup_add(&wg, INT32_MAX), 0);
    CHECK_INT(weir_waitgroup_add(&wg, 1), EOVERFLOW);
    CHECK_INT(weir_waitgroup_add(&wg, -INT32_MAX), 0);
    CHECK_INT(weir_waitgroup_wait(NULL, &wg), 0);
}

TEST(what_is_done_is_seen_before_the_context)
{
    weir_waitgroup wg = WEIR_WAITGROUP_INIT;
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_waitgroup_wait(&ctx, &wg), 0);
    CHECK_INT(weir_waitgroup_add(&wg, 1), 0);
    CHECK_INT(weir_waitgroup_wait(&ctx, &wg), ECANCELED);
    CHECK(wg.line.list.first == NULL);
    CHECK_INT(weir_waitgroup_done(&wg), 0);
    weir_ctx_free(&ctx);
}

/* ---- rounds: workers write, waiters read, again and again on one group ---- */

enum { WORKERS = 3, WAITERS = 3 };

struct member {
    struct round *all;
    int number;
};
struct round {
    weir_waitgroup work, read;
    long rounds;
    uint64_t wrote[WORKERS]; /* plain: ordered by the groups alone */
};

static void member_main(void *arg)
{
    struct member *m = (struct member *)arg;
    struct round *r = m->all;
    for (long i = 1; i <= r->rounds; i++) {
        if (m->number < WORKERS) {
            r->wrote[m->number] = (uint64_t)i;
            CHECK_INT(weir_waitgroup_done(&r->work), 0);
        } else {
            CHECK_INT(weir_waitgroup_wait(NULL, &r->work), 0);
            for (int w = 0; w < WORKERS; w++)
                CHECK_INT(r->wrote[w], i);
        }
        /* The last to come makes the next round ready before it lets anybody go. */
        CHECK_INT(weir_waitgroup_done(&r->read), 0);
        CHECK_INT(weir_waitgroup_wait(NULL, &r->read), 0);
    }
}

/* A group for each round, so that nobody adds while others still wait. */
TEST(every_waiter_sees_what_every_worker_did)
{
    for (long i = test_rounds(300); i > 0; i--) {
        struct round r;
        struct member members[WORKERS + WAITERS];
        memset(&r, 0, sizeof r);
        r.rounds = 1;
        CHECK_INT(weir_waitgroup_add(&r.work, WORKERS), 0);
        CHECK_INT(weir_waitgroup_add(&r.read, WORKERS + WAITERS), 0);
        for (int m = 0; m < WORKERS + WAITERS; m++) {
            members[m].all = &r;
            members[m].number = m;
        }
        test_threads(WORKERS + WAITERS, member_main, members, sizeof members[0]);
    }
}

/* ---- the waiter frees the group as soon as it has returned ---- */

struct handoff {
    weir_chan(weir_waitgroup *) groups;
};

static void finisher(void *arg)
{
    struct handoff *h = (struct handoff *)arg;
    weir_waitgroup *wg;
    while (weir_recv(NULL, h->groups, &wg) == 0)
        CHECK_INT(weir_waitgroup_done(wg), 0);
}

TEST(whoever_has_waited_may_free_it_and_use_it_anew)
{
    struct handoff h;
    REQUIRE(weir_chan_make(&h.groups, 4) == 0);
    struct test_team *team = test_start(2, finisher, &h, 0);
    for (long i = test_rounds(20000); i > 0; i--) {
        weir_waitgroup *wg = (weir_waitgroup *)malloc(sizeof *wg);
        REQUIRE(wg != NULL);
        weir_waitgroup_init(wg);
        for (int again = 0; again < 2; again++) {
            CHECK_INT(weir_waitgroup_add(wg, 2), 0);
            CHECK_INT(weir_send(NULL, h.groups, &wg), 0);
            CHECK_INT(weir_send(NULL, h.groups, &wg), 0);
            CHECK_INT(weir_waitgroup_wait(NULL, wg), 0);
        }
        memset(wg, 0xa5, sizeof *wg);
        free(wg);
    }
    CHECK_INT(weir_close(h.groups), 0);
    test_join(team);
    weir_chan_free(&h.groups);
}

/* ---- a wait with a deadline that gives up while the last one is done ---- */

static void done_soon(void *arg)
{
    CHECK_INT(weir_waitgroup_done((weir_waitgroup *)arg), 0);
}

TEST(a_deadline_against_the_last_done)
{
    for (long i = test_rounds(300); i > 0; i--) {
        weir_waitgroup wg = WEIR_WAITGROUP_INIT;
        CHECK_INT(weir_waitgroup_add(&wg, 1), 0);
        struct test_team *team = test_start(1, done_soon, &wg, 0);
        const int rc = weir_waitgroup_wait_until(NULL, &wg, weir_now() + i % 50 * 1000);
        CHECK(rc == 0 || rc == ETIMEDOUT);
        test_join(team);
        CHECK_INT(weir_waitgroup_wait(NULL, &wg), 0);
        CHECK(wg.line.list.first == NULL);
    }
}

static int waits_for(weir_ctx *ctx, void *wg)
{
    return weir_waitgroup_wait(ctx, (weir_waitgroup *)wg);
}
TEST(the_roll_says_who_waits_for_it)
{
    static weir_waitgroup one = WEIR_WAITGROUP_INIT;
    CHECK_INT(weir_waitgroup_add(&one, 1), 0);
    printed_while(waits_for, &one, " in waitgroup for ");
}
