/* tests/chan/test_latest.c: weir_send_latest, which never waits and drops the oldest. It exists for kinds with several receivers, so it
 * is not in the table of kinds.h; check_types.sh has that it does not compile for the others. */
#include "harness.h"
#include "kinds.h"

static int send_latest(const struct kind *k, void *ch, const uint64_t *v, size_t *dropped)
{
    return k->many_senders ? weir_send_latest(chan_of(ch), v, dropped) : weir_send_latest(spmc_of(ch), v, dropped);
}

TEST_MANY_RECEIVERS(the_newest_stay)
{
    static const size_t capacities[] = {1, 2, 3, 7, 8};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        const size_t capacity = capacities[i];
        void *ch = open_channel(k, capacity, WEIR_WAIT_ADAPTIVE);
        uint64_t v;
        for (v = 0; v < 10; v++) {
            size_t dropped = 99;
            CHECK_INT(send_latest(k, ch, &v, &dropped), 0);
            CHECK_INT(dropped, v < capacity ? 0 : 1);
            CHECK_INT(k->len(ch), v < capacity ? v + 1 : capacity);
        }
        for (uint64_t want = 10 - capacity; want < 10; want++) {
            CHECK_INT(k->try_recv(ch, &v), 0);
            CHECK_INT(v, want);
        }
        CHECK_INT(k->try_recv(ch, &v), EAGAIN);
        k->free(&ch);
    }
}

TEST_MANY_RECEIVERS(the_count_may_be_left_out)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_ADAPTIVE);
    uint64_t v = 1;
    CHECK_INT(send_latest(k, ch, &v, NULL), 0);
    v = 2;
    CHECK_INT(send_latest(k, ch, &v, NULL), 0);
    CHECK_INT(k->try_recv(ch, &v), 0);
    CHECK_INT(v, 2);
    k->free(&ch);
}

TEST_MANY_RECEIVERS(closed_and_null)
{
    void *ch = open_channel(k, 2, WEIR_WAIT_ADAPTIVE);
    uint64_t v = 9;
    size_t dropped = 99;
    CHECK_INT(send_latest(k, NULL, &v, &dropped), EAGAIN);
    for (int full = 0; full < 2; full++) {
        if (full)
            CHECK_INT(fill(k, ch, 0), 2);
        if (full)
            CHECK_INT(k->close(ch), 0);
    }
    CHECK_INT(send_latest(k, ch, &v, &dropped), EPIPE);
    CHECK_INT(dropped, 0);
    CHECK_INT(k->len(ch), 2); /* a refused value pushes nothing out */
    CHECK_INT(k->try_recv(ch, &v), 0);
    CHECK_INT(v, 0);
    k->free(&ch);
}

struct sleeper {
    const struct kind *k;
    void *ch;
    uint64_t v;
    int rc;
};

static void receive_one(void *p)
{
    struct sleeper *s = (struct sleeper *)p;
    s->rc = s->k->recv(NULL, s->ch, &s->v);
}

TEST_MANY_RECEIVERS(it_wakes_a_sleeping_receiver)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_PARK);
    struct sleeper s = {k, ch, 0, -1};
    uint64_t v = 4;
    struct test_team *team = test_start(1, receive_one, &s, 0);
    EVENTUALLY(receivers_waiting(ch) == 1);
    CHECK_INT(send_latest(k, ch, &v, NULL), 0);
    test_join(team);
    CHECK_INT(s.rc, 0);
    CHECK_INT(s.v, 4);
    k->free(&ch);
}

/* ---- everything that was sent has been received or dropped ---- */

struct traffic {
    const struct kind *k;
    void *ch;
    int seats; /* atomic */
    long values;
    bool blocking;              /* a sender waits for room now and then, among those who do not */
    uint64_t received, dropped; /* atomic */
};

static void send_the_latest(void *p)
{
    struct traffic *t = (struct traffic *)p;
    const uint64_t self = (uint64_t)__atomic_fetch_add(&t->seats, 1, __ATOMIC_RELAXED);
    uint64_t dropped = 0;
    for (long i = 0; i < t->values; i++) {
        const uint64_t v = self << 32 | (uint64_t)i;
        size_t n = 0;
        if (t->blocking && i % 3 == 0)
            CHECK_INT(t->k->send(NULL, t->ch, &v), 0);
        else
            CHECK_INT(send_latest(t->k, t->ch, &v, &n), 0);
        dropped += n;
    }
    __atomic_add_fetch(&t->dropped, dropped, __ATOMIC_RELAXED);
}

static void receive_what_is_left(void *p)
{
    struct traffic *t = (struct traffic *)p;
    int64_t last[4] = {-1, -1, -1, -1};
    uint64_t v, n = 0;
    for (; t->k->recv(NULL, t->ch, &v) == 0; n++) {
        if (!CHECK(v >> 32 < 4))
            break;
        CHECK((int64_t)(v & UINT32_MAX) > last[v >> 32]);
        last[v >> 32] = (int64_t)(v & UINT32_MAX);
    }
    __atomic_add_fetch(&t->received, n, __ATOMIC_RELAXED);
}

TEST_MANY_RECEIVERS(received_and_dropped_add_up)
{
    static const size_t capacities[] = {1, 2, 3, 64};
    for (int i = 0; i < 16; i++) {
        struct traffic t = {k,
                            open_channel(k, capacities[i / 4], i % 2 ? WEIR_WAIT_PARK : WEIR_WAIT_ADAPTIVE),
                            0,
                            test_rounds(10000),
                            i / 2 % 2 == 1,
                            0,
                            0};
        struct test_team *receivers = test_start(2, receive_what_is_left, &t, 0);
        test_threads(senders_of(k, 4), send_the_latest, &t, 0);
        CHECK_INT(k->close(t.ch), 0);
        test_join(receivers);
        CHECK_INT(t.received + t.dropped, senders_of(k, 4) * t.values);
        k->free(&t.ch);
    }
}

/* Nobody receives: it goes on all the same, and a full channel never grows. */
TEST_MANY_RECEIVERS(it_never_waits_for_a_receiver)
{
    struct traffic t = {k, open_channel(k, 3, WEIR_WAIT_PARK), 0, test_rounds(10000), false, 0, 0};
    test_threads(senders_of(k, 4), send_the_latest, &t, 0);
    CHECK_INT(k->len(t.ch), 3);
    CHECK_INT(t.dropped, senders_of(k, 4) * t.values - 3);
    k->free(&t.ch);
}
