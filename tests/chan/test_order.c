/* tests/chan/test_order.c: one FIFO over all senders, not one per sender. */
#include "harness.h"
#include "kinds.h"

/* ---- what happens before ----
 * Threads A and B send in turn; the turn is handed over through memory, so every send happens before the next, and the channel
 * has to deliver them in just that order. (Handing over is what makes A and B one sender after the other, which kinds with a
 * lone sender allow.) The receivers take turns under a lock, likewise: then the order in which they receive is known. */

enum { PARTIES = 2 };

struct relay {
    const struct kind *k;
    void *ch;
    long values;
    int turn, seats; /* atomic: whose; how many have sat down */
    bool batches;
    pthread_mutex_t receiving;
    uint64_t expected; /* under receiving */
};

static void take_turns_sending(void *p)
{
    struct relay *r = (struct relay *)p;
    const int self = __atomic_fetch_add(&r->seats, 1, __ATOMIC_RELAXED) % PARTIES;
    for (long i = self; i < r->values; i += PARTIES) {
        const uint64_t v[2] = {(uint64_t)i * 2, (uint64_t)i * 2 + 1};
        while (load_int(&r->turn) != self)
            sched_yield();
        if (r->batches) {
            CHECK_INT(r->k->send_n(NULL, r->ch, v, 2, NULL), 0);
        } else {
            CHECK_INT(r->k->send(NULL, r->ch, &v[0]), 0);
            CHECK_INT(r->k->send(NULL, r->ch, &v[1]), 0);
        }
        store_int(&r->turn, (self + 1) % PARTIES);
    }
}

static void take_turns_receiving(void *p)
{
    struct relay *r = (struct relay *)p;
    for (int rc = 0; rc == 0;) {
        uint64_t v = 0;
        pthread_mutex_lock(&r->receiving);
        rc = r->k->recv(NULL, r->ch, &v);
        if (rc == 0)
            CHECK_INT(v, r->expected++);
        else
            CHECK_INT(rc, EPIPE);
        pthread_mutex_unlock(&r->receiving);
    }
}

static void check_relay(const struct kind *k, size_t capacity, bool batches)
{
    struct relay r;
    memset(&r, 0, sizeof r);
    pthread_mutex_init(&r.receiving, NULL);
    r.k = k;
    r.ch = open_channel(k, capacity, WEIR_WAIT_ADAPTIVE);
    r.values = test_rounds(10000);
    r.batches = batches;
    struct test_team *receivers = test_start(PARTIES, take_turns_receiving, &r, 0);
    test_threads(PARTIES, take_turns_sending, &r, 0);
    CHECK_INT(k->close(r.ch), 0);
    test_join(receivers);
    CHECK_INT(r.expected, r.values * 2);
    k->free(&r.ch);
    pthread_mutex_destroy(&r.receiving);
}

TEST_EACH_KIND(what_was_sent_before_is_received_before)
{
    check_relay(k, 1, false);
    check_relay(k, 3, false);
    check_relay(k, 64, false);
    check_relay(k, 3, true);
}

/* ---- per sender, at every receiver ---- */

struct flow {
    const struct kind *k;
    void *ch;
    int seats; /* atomic */
    long values;
    uint64_t received; /* atomic */
};

static void send_numbered(void *p)
{
    struct flow *f = (struct flow *)p;
    const uint64_t self = (uint64_t)__atomic_fetch_add(&f->seats, 1, __ATOMIC_RELAXED);
    for (long i = 0; i < f->values; i++) {
        const uint64_t v = self << 32 | (uint64_t)i;
        CHECK_INT(f->k->send(NULL, f->ch, &v), 0);
    }
}

static void check_each_sender(void *p)
{
    struct flow *f = (struct flow *)p;
    int64_t last[4] = {-1, -1, -1, -1};
    uint64_t v, n = 0;
    for (; f->k->recv(NULL, f->ch, &v) == 0; n++) {
        const uint64_t sender = v >> 32;
        if (!CHECK(sender < 4))
            break;
        CHECK((int64_t)(v & UINT32_MAX) > last[sender]);
        last[sender] = (int64_t)(v & UINT32_MAX);
    }
    __atomic_add_fetch(&f->received, n, __ATOMIC_RELAXED);
}

TEST_EACH_KIND(each_sender_is_seen_in_order_by_each_receiver)
{
    static const size_t capacities[] = {1, 3, 64};
    for (int i = 0; i < 3; i++) {
        struct flow f = {k, open_channel(k, capacities[i], WEIR_WAIT_ADAPTIVE), 0, test_rounds(20000), 0};
        struct test_team *receivers = test_start(receivers_of(k, 3), check_each_sender, &f, 0);
        test_threads(senders_of(k, 4), send_numbered, &f, 0);
        CHECK_INT(k->close(f.ch), 0);
        test_join(receivers);
        CHECK_INT(f.received, senders_of(k, 4) * f.values);
        k->free(&f.ch);
    }
}
