/* tests/chan/test_close.c: close wakes everybody, once; what was sent before it arrives, what failed does not. */
#include "harness.h"
#include "kinds.h"
#include "race.h"

enum { CROWD = 8 };

struct blocked {
    const struct kind *k;
    void *ch;
    int *waiting; /* atomic: how many have come as far as the call */
    int rc;
    uint64_t v;
};

static void block_in_recv(void *p)
{
    struct blocked *b = (struct blocked *)p;
    __atomic_add_fetch(b->waiting, 1, __ATOMIC_RELEASE);
    b->rc = b->k->recv(NULL, b->ch, &b->v);
}

static void block_in_send(void *p)
{
    struct blocked *b = (struct blocked *)p;
    __atomic_add_fetch(b->waiting, 1, __ATOMIC_RELEASE);
    b->rc = b->k->send(NULL, b->ch, &b->v);
}

/* n threads block in fn; then the channel is closed; they all say EPIPE. */
static void check_crowd(const struct kind *k, void *ch, weir_wait_strategy s, void (*fn)(void *), int n)
{
    struct blocked crowd[CROWD];
    int waiting = 0;
    for (int i = 0; i < n; i++) {
        struct blocked b = {k, ch, &waiting, -1, 1000};
        crowd[i] = b;
    }
    struct test_team *team = test_start(n, fn, crowd, sizeof crowd[0]);
    EVENTUALLY(load_int(&waiting) == n);
    if (sleeps(s))
        EVENTUALLY(receivers_waiting(ch) + senders_waiting(ch) == n);
    CHECK_INT(k->close(ch), 0);
    test_join(team);
    for (int i = 0; i < n; i++) {
        CHECK_INT(crowd[i].rc, EPIPE);
        CHECK_INT(crowd[i].v, 1000);
    }
    CHECK_INT(receivers_waiting(ch) + senders_waiting(ch), 0);
}

TEST_EACH_KIND(close_wakes_all_receivers)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 3, strategies[s]);
        check_crowd(k, ch, strategies[s], block_in_recv, receivers_of(k, CROWD));
        k->free(&ch);
    }
}

/* A sender blocked on a full buffer and released by close has not sent: the buffer holds what it held. */
TEST_EACH_KIND(close_wakes_all_senders_and_they_have_not_sent)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 3, strategies[s]);
        uint64_t v;
        CHECK_INT(fill(k, ch, 0), 3);
        check_crowd(k, ch, strategies[s], block_in_send, senders_of(k, CROWD));
        CHECK_INT(k->len(ch), 3);
        for (uint64_t want = 0; want < 3; want++) {
            CHECK_INT(k->recv(NULL, ch, &v), 0);
            CHECK_INT(v, want);
        }
        CHECK_INT(k->recv(NULL, ch, &v), EPIPE);
        k->free(&ch);
    }
}

/* More sleepers than the queue wakes in one go. */
TEST(close_wakes_forty_sleepers)
{
    const struct kind *k = &kinds[0];
    struct blocked crowd[40];
    int waiting = 0;
    void *ch = open_channel(k, 1, WEIR_WAIT_PARK);
    for (int i = 0; i < 40; i++) {
        struct blocked b = {k, ch, &waiting, -1, 0};
        crowd[i] = b;
    }
    struct test_team *team = test_start(40, block_in_recv, crowd, sizeof crowd[0]);
    EVENTUALLY(receivers_waiting(ch) == 40);
    CHECK_INT(k->close(ch), 0);
    test_join(team);
    for (int i = 0; i < 40; i++)
        CHECK_INT(crowd[i].rc, EPIPE);
    k->free(&ch);
}

/* ---- races ---- */

static void stop_by_close(struct race *r)
{
    CHECK_INT(r->k->close(r->ch), 0);
}

TEST_EACH_KIND_LIMIT(close_races_with_sends_and_receives, 180)
{
    run_race(k, stop_by_close, false, test_rounds(10000));
}

struct closer {
    const struct kind *k;
    void **ch;
    int *turn, *closed, *refused, *through; /* atomic */
    long rounds;
};

static void close_each_round(void *p)
{
    struct closer *c = (struct closer *)p;
    for (int round = 1; round <= c->rounds; round++) {
        while (load_int(c->turn) != round)
            sched_yield();
        const int rc = c->k->close(*c->ch);
        CHECK(rc == 0 || rc == EPIPE);
        CHECK(c->k->is_closed(*c->ch)); /* for the losers too */
        __atomic_add_fetch(rc == 0 ? c->closed : c->refused, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(c->through, 1, __ATOMIC_RELEASE);
    }
}

TEST_EACH_KIND(one_of_several_closers_wins)
{
    enum { CLOSERS = 4 };
    int turn = 0, closed = 0, refused = 0, through = 0;
    void *ch = NULL;
    struct closer c = {k, &ch, &turn, &closed, &refused, &through, test_rounds(3000)};
    struct test_team *team = test_start(CLOSERS, close_each_round, &c, 0);
    for (int round = 1; round <= c.rounds; round++) {
        ch = open_channel(k, 1, WEIR_WAIT_ADAPTIVE);
        store_int(&turn, round);
        while (load_int(&through) != CLOSERS * round)
            sched_yield();
        k->free(&ch);
    }
    test_join(team);
    CHECK_INT(closed, c.rounds);
    CHECK_INT(refused, (CLOSERS - 1) * c.rounds);
}
