/* tests/chan/test_timeout.c: timeouts and cancellation that race with delivery lose no value, deliver none twice, and
 * take no wake-up away from those who still wait. */
#include "harness.h"
#include "kinds.h"
#include "race.h"

/* Nobody stops this one: with deadlines of a few microseconds on both sides, repeated, everything arrives all the same. */
TEST_EACH_KIND_LIMIT(impatient_callers_lose_nothing, 180)
{
    run_race(k, NULL, true, test_rounds(300));
}

static void stop_by_cancel(struct race *r)
{
    weir_ctx_cancel(&r->ctx, 0);
}

TEST_EACH_KIND_LIMIT(cancelling_loses_nothing, 180)
{
    run_race(k, stop_by_cancel, false, test_rounds(10000));
}

TEST_EACH_KIND_LIMIT(cancelling_the_impatient_loses_nothing, 180)
{
    run_race(k, stop_by_cancel, true, test_rounds(1000));
}

static void stop_by_close(struct race *r)
{
    CHECK_INT(r->k->close(r->ch), 0);
}

TEST_EACH_KIND_LIMIT(closing_on_the_impatient_loses_nothing, 180)
{
    run_race(k, stop_by_close, true, test_rounds(1000));
}

/* ---- the wake-up goes to those who still wait ----
 * Two sleep on one side. The first to sleep, which the wake-up goes to, has a deadline that falls about when its value (its
 * room) comes. If it leaves empty-handed, then the other has to get what came; it has no deadline and would sleep for ever. */

struct pair {
    const struct kind *k;
    void *ch;
    bool sending;
    long rounds;
    int turn, done[2], seats; /* atomic */
    weir_ns deadline;
    int rc[2];
    uint64_t got[2];
};

static int pair_call(struct pair *p, int self, weir_ns deadline)
{
    uint64_t v = 7;
    if (p->sending)
        return p->k->send_until(NULL, p->ch, &v, deadline);
    return p->k->recv_until(NULL, p->ch, &p->got[self], deadline);
}

static void pair_round(struct pair *p, int self, int round)
{
    while (load_int(&p->turn) != 2 * round + self)
        sched_yield();
    p->rc[self] = pair_call(p, self, self == 0 ? p->deadline : WEIR_FOREVER);
    store_int(&p->done[self], 1);
}

static void pair_member(void *arg)
{
    struct pair *p = (struct pair *)arg;
    const int self = __atomic_fetch_add(&p->seats, 1, __ATOMIC_RELAXED);
    for (int round = 0; round < p->rounds; round++)
        pair_round(p, self, round);
}

/* One value, or one place. */
static void pair_give(struct pair *p)
{
    uint64_t v = 7;
    CHECK_INT(p->sending ? p->k->try_recv(p->ch, &v) : p->k->try_send(p->ch, &v), 0);
}

/* `late`: how long after the deadline (before it, when negative) the gift comes. */
static void pair_play(struct pair *p, int round, weir_ns late)
{
    store_int(&p->done[0], 0);
    store_int(&p->done[1], 0);
    p->deadline = weir_now() + WEIR_US(150);
    store_int(&p->turn, 2 * round);
    while (receivers_waiting(p->ch) + senders_waiting(p->ch) == 0 && !load_int(&p->done[0]))
        sched_yield();
    store_int(&p->turn, 2 * round + 1);
    while (weir_now() < p->deadline + late)
        WEIR_CPU_PAUSE();
    pair_give(p);
    EVENTUALLY(load_int(&p->done[0])); /* it has a deadline */
    CHECK(p->rc[0] == 0 || p->rc[0] == ETIMEDOUT);
    if (p->rc[0] == 0)
        pair_give(p); /* it took what came: one more for the other */
    EVENTUALLY(load_int(&p->done[1]));
    CHECK_INT(p->rc[1], 0);
}

/* Brings the channel back to where the pair sleeps: empty for receivers, full for senders. */
static void pair_restore(struct pair *p)
{
    uint64_t v = 7;
    if (p->sending)
        (void)fill(p->k, p->ch, 7);
    else
        while (p->k->try_recv(p->ch, &v) == 0) {}
}

static void check_pairs(const struct kind *k, bool sending)
{
    struct pair p;
    memset(&p, 0, sizeof p);
    p.k = k;
    p.sending = sending;
    p.rounds = test_rounds(2000);
    p.turn = -1;
    p.ch = open_channel(k, 1, WEIR_WAIT_PARK);
    pair_restore(&p);
    struct test_team *team = test_start(2, pair_member, &p, 0);
    for (int round = 0; round < p.rounds; round++) {
        pair_play(&p, round, WEIR_US(round % 120 - 60));
        pair_restore(&p);
    }
    test_join(team);
    k->free(&p.ch);
}

TEST_MANY_RECEIVERS(a_receiver_that_times_out_leaves_the_value_to_the_next)
{
    check_pairs(k, false);
}

TEST_MANY_SENDERS(a_sender_that_times_out_leaves_the_room_to_the_next)
{
    check_pairs(k, true);
}
