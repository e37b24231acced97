/* tests/chan/test_rendezvous_many.c: rendezvous by the thousand: threads, wait strategies, batches, elements of all sizes. */
#include "queues.h"

#include "kinds.h"

/* ---- many threads: every value once, in each sender's order ---- */

enum { THREADS = 8 };

struct crowd {
    const struct kind *k;
    void *ch;
    int senders, receivers, senders_left;
    long each;
    unsigned char *seen; /* [sender * each + number], counted atomically */
};

struct member {
    struct crowd *crowd;
    int number;
};

static void crowd_send(struct crowd *c, int sender)
{
    for (long i = 0; i < c->each; i++) {
        uint64_t v = (uint64_t)sender * (uint64_t)c->each + (uint64_t)i;
        if (!CHECK_INT(c->k->send(NULL, c->ch, &v), 0))
            return;
    }
    if (__atomic_sub_fetch(&c->senders_left, 1, __ATOMIC_ACQ_REL) == 0)
        CHECK_INT(c->k->close(c->ch), 0);
}

static void crowd_receive(struct crowd *c)
{
    long last[TEST_WIDEST];
    uint64_t v;
    int rc;
    for (int i = 0; i < TEST_WIDEST; i++)
        last[i] = -1;
    while ((rc = c->k->recv(NULL, c->ch, &v)) == 0) {
        if (!CHECK(v < (uint64_t)c->senders * (uint64_t)c->each))
            break;
        const long sender = (long)v / c->each, number = (long)v % c->each;
        CHECK(number > last[sender]); /* one sender's values never overtake each other */
        last[sender] = number;
        CHECK_INT(__atomic_add_fetch(&c->seen[v], 1, __ATOMIC_RELAXED), 1);
    }
    CHECK_INT(rc, EPIPE);
}

static void crowd_main(void *p)
{
    struct member *m = (struct member *)p;
    if (m->number < m->crowd->senders)
        crowd_send(m->crowd, m->number);
    else
        crowd_receive(m->crowd);
}

static void run_crowd(const struct kind *k, weir_wait_strategy wait, int senders, int receivers, long values)
{
    struct crowd c;
    struct member members[2 * TEST_WIDEST];
    c.k = k;
    c.ch = open_channel(k, 0, wait);
    c.senders = c.senders_left = senders_of(k, senders);
    c.receivers = receivers_of(k, receivers);
    c.each = values / c.senders;
    c.seen = (unsigned char *)calloc((size_t)(c.senders * c.each), 1);
    REQUIRE(c.seen != NULL);
    for (int i = 0; i < c.senders + c.receivers; i++) {
        members[i].crowd = &c;
        members[i].number = i;
    }
    test_threads(c.senders + c.receivers, crowd_main, members, sizeof members[0]);
    for (long i = 0; i < c.senders * c.each; i++)
        CHECK_INT(c.seen[i], 1);
    CHECK(left_empty(inside(c.ch)));
    free(c.seen);
    k->free(&c.ch);
}

TEST_EACH_KIND(more_threads_than_cores)
{
    run_crowd(k, WEIR_WAIT_ADAPTIVE, test_wide(THREADS), test_wide(THREADS), test_rounds(100000));
}

TEST_EACH_KIND(one_against_many)
{
    run_crowd(k, WEIR_WAIT_ADAPTIVE, 1, test_wide(THREADS), test_rounds(30000));
    run_crowd(k, WEIR_WAIT_ADAPTIVE, test_wide(THREADS), 1, test_rounds(30000));
}

TEST_EACH_KIND(every_strategy)
{
    for (int s = 0; s < STRATEGIES; s++)
        run_crowd(k, strategies[s], 1, 1, test_rounds(4000));
    run_crowd(k, WEIR_WAIT_PARK, test_wide(3), test_wide(3), test_rounds(10000));
    run_crowd(k, WEIR_WAIT_YIELD, test_wide(3), test_wide(3), test_rounds(10000));
}

/* ---- a waiting thread is found in each phase of its wait, also when it is the one that sleeps ---- */

struct waiting {
    const struct kind *k;
    void *ch;
    bool sends;
    uint64_t v;
};

static void wait_once(void *p)
{
    struct waiting *w = (struct waiting *)p;
    CHECK_INT(w->sends ? w->k->send(NULL, w->ch, &w->v) : w->k->recv(NULL, w->ch, &w->v), 0);
}

TEST_EACH_KIND(a_waiting_thread_is_found_under_every_strategy)
{
    for (int s = 0; s < 2 * STRATEGIES; s++) {
        struct waiting w = {k, open_channel(k, 0, strategies[s / 2]), s % 2 == 0, 31};
        uint64_t v = 31;
        struct test_team *team = test_start(1, wait_once, &w, 0);
        EVENTUALLY(senders_waiting(w.ch) + receivers_waiting(w.ch) == 1);
        give_time(); /* long enough that it sleeps, if it ever does */
        CHECK_INT(w.sends ? k->try_recv(w.ch, &v) : k->try_send(w.ch, &v), 0);
        CHECK_INT(v, 31);
        test_join(team);
        CHECK_INT(w.v, 31);
        k->free(&w.ch);
    }
}

/* ---- batches ---- */

struct batch {
    const struct kind *k;
    void *ch;
    weir_ctx *ctx;
    uint64_t values[100];
    size_t n, sent;
    int rc;
};

static void send_batch(void *p)
{
    struct batch *b = (struct batch *)p;
    b->rc = b->k->send_n(b->ctx, b->ch, b->values, b->n, &b->sent);
}

static void prepare(struct batch *b, const struct kind *k, void *ch, size_t n)
{
    memset(b, 0, sizeof *b);
    b->k = k;
    b->ch = ch;
    b->n = n;
    b->sent = 999;
    for (size_t i = 0; i < n; i++)
        b->values[i] = i;
}

TEST_EACH_KIND(a_batch_goes_over_in_order)
{
    void *ch = open_channel(k, 0, WEIR_WAIT_ADAPTIVE);
    uint64_t v[7], next = 0;
    struct batch b;
    prepare(&b, k, ch, 100);
    struct test_team *team = test_start(1, send_batch, &b, 0);
    while (next < 100) {
        size_t got = 0;
        if (!CHECK_INT(k->recv_n(NULL, ch, v, 7, &got), 0) || !CHECK(got >= 1 && got <= 7))
            break;
        for (size_t i = 0; i < got; i++)
            CHECK_INT(v[i], next++);
    }
    test_join(team);
    CHECK_INT(b.rc, 0);
    CHECK_INT(b.sent, 100);
    CHECK_INT(k->send_n(NULL, ch, b.values, 0, &b.sent), 0);
    CHECK_INT(b.sent, 0);
    k->free(&ch);
}

TEST(a_batch_takes_all_senders_that_wait)
{
    enum { WAITING = 5 };
    const struct kind *k = &kinds[0];
    void *ch = open_channel(k, 0, WEIR_WAIT_ADAPTIVE);
    struct batch b[WAITING];
    struct test_team *teams[WAITING];
    uint64_t v[9];
    size_t got = 0;
    for (int i = 0; i < WAITING; i++) {
        prepare(&b[i], k, ch, 1);
        b[i].values[0] = (uint64_t)i;
        teams[i] = test_start(1, send_batch, &b[i], 0);
        EVENTUALLY(senders_waiting(ch) == i + 1);
    }
    CHECK_INT(k->recv_n(NULL, ch, v, 2, &got), 0);
    CHECK_INT(got, 2);
    CHECK_INT(k->recv_n(NULL, ch, v + 2, 7, &got), 0);
    CHECK_INT(got, WAITING - 2);
    for (int i = 0; i < WAITING; i++) {
        CHECK_INT(v[i], i);
        test_join(teams[i]);
        CHECK_INT(b[i].sent, 1);
    }
    k->free(&ch);
}

TEST_EACH_KIND(an_interrupted_batch_says_how_many_went_over)
{
    for (int cancel = 0; cancel < 2; cancel++) {
        void *ch = open_channel(k, 0, WEIR_WAIT_ADAPTIVE);
        struct batch b;
        weir_ctx ctx;
        uint64_t v;
        size_t got = 7;
        weir_ctx_init(&ctx, NULL);
        prepare(&b, k, ch, 100);
        b.ctx = &ctx;
        struct test_team *team = test_start(1, send_batch, &b, 0);
        for (uint64_t i = 0; i < 13; i++) {
            CHECK_INT(k->recv(NULL, ch, &v), 0);
            CHECK_INT(v, i);
        }
        if (cancel)
            weir_ctx_cancel(&ctx, 0);
        else
            k->close(ch);
        test_join(team);
        CHECK_INT(b.rc, cancel ? ECANCELED : EPIPE);
        CHECK_INT(b.sent, 13);
        CHECK_INT(k->recv_n(&ctx, ch, &v, 1, &got), cancel ? ECANCELED : EPIPE);
        CHECK_INT(got, 0);
        weir_ctx_free(&ctx);
        k->free(&ch);
    }
}

TEST(send_latest_meets_a_waiting_receiver_and_drops_nothing)
{
    const struct kind *k = &kinds[0];
    void *ch = open_channel(k, 0, WEIR_WAIT_ADAPTIVE);
    struct waiting w = {k, ch, false, 0};
    size_t dropped = 9;
    uint64_t v = 5;
    CHECK_INT(weir_send_latest(chan_of(ch), &v, &dropped), EAGAIN);
    CHECK_INT(dropped, 0);
    struct test_team *team = test_start(1, wait_once, &w, 0);
    EVENTUALLY(receivers_waiting(ch) == 1);
    CHECK_INT(weir_send_latest(chan_of(ch), &v, &dropped), 0);
    CHECK_INT(dropped, 0);
    test_join(team);
    CHECK_INT(w.v, 5);
    k->close(ch);
    CHECK_INT(weir_send_latest(chan_of(ch), &v, NULL), EPIPE);
    k->free(&ch);
}

TEST(a_null_channel_is_never_ready)
{
    weir_chan(int) none = {NULL};
    int v = 0;
    CHECK_INT(weir_send_until(NULL, none, &v, weir_now() + WEIR_MS(1)), ETIMEDOUT);
    CHECK_INT(weir_recv_until(NULL, none, &v, weir_now() + WEIR_MS(1)), ETIMEDOUT);
    CHECK_INT(weir_try_send(none, &v), EAGAIN);
    CHECK_INT(weir_try_recv(none, &v), EAGAIN);
    CHECK_INT(weir_close(none), EINVAL);
}

/* ---- elements ---- */

struct page {
    uint32_t word[1024];
};
struct __attribute__((aligned(256))) line {
    char text[300];
};
struct odd {
    char text[13];
};

#define ELEMENT_TEST(name, T)                                                                                          \
    typedef weir_chan(T) name##_chan;                                                                                  \
    static void name##_fill(T *v, int seed)                                                                            \
    {                                                                                                                  \
        memset(v, seed & 0xff, sizeof *v);                                                                             \
    }                                                                                                                  \
    static void name##_send(void *p)                                                                                   \
    {                                                                                                                  \
        name##_chan ch = *(name##_chan *)p;                                                                            \
        T v;                                                                                                           \
        for (int i = 0; i < 500; i++) {                                                                                \
            name##_fill(&v, i);                                                                                        \
            CHECK_INT(weir_send(NULL, ch, &v), 0);                                                                     \
            name##_fill(&v, ~i);                                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        name##_chan ch;                                                                                                \
        T v, want;                                                                                                     \
        REQUIRE(weir_chan_make(&ch, 0) == 0);                                                                          \
        struct test_team *team = test_start(1, name##_send, &ch, 0);                                                   \
        for (int i = 0; i < 500; i++) {                                                                                \
            CHECK_INT(weir_recv(NULL, ch, &v), 0);                                                                     \
            name##_fill(&want, i);                                                                                     \
            CHECK(memcmp(&v, &want, sizeof v) == 0);                                                                   \
        }                                                                                                              \
        test_join(team);                                                                                               \
        weir_chan_free(&ch);                                                                                           \
    }
ELEMENT_TEST(elements_of_one_byte, char)
ELEMENT_TEST(elements_of_odd_size, struct odd)
ELEMENT_TEST(elements_of_a_page, struct page)
ELEMENT_TEST(elements_with_a_large_alignment, struct line)
