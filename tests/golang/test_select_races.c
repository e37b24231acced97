/* tests/golang/test_select_races.c: what Go's tests of select with other threads require (test/chan/select4.go, select7.go,
 * doubleselect.go; in runtime/chan_test.go the self-select, the stress, the non-blocking races and the fairness), written afresh. */
#include "chan/queues.h"

typedef weir_chan(int) int_chan;
static const int_chan none = {NULL};

static int_chan make(size_t capacity)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, capacity) == 0);
    return ch;
}

/* ---- select7: each way to receive meets each way to send ---- */

enum { FORMS = 5 };

static int receive_in_form(int form, int_chan ch, int_chan never, int *v)
{
    int nothing = 0;
    weir_case cases[] = {WEIR_RECV(ch, v), WEIR_SEND(never, &nothing), WEIR_RECV(none, v)};
    int done;
    switch (form) {
    case 0: return weir_recv(NULL, ch, v);
    case 1: done = weir_select(NULL, cases, 1); break;
    case 2: done = weir_select(NULL, cases, 3); break;
    case 3:
        while ((done = weir_try_select(cases, 1)) == -EAGAIN)
            sched_yield();
        break;
    default:
        while ((done = weir_try_recv(ch, v)) == EAGAIN)
            sched_yield();
    }
    return done;
}

static int send_in_form(int form, int_chan ch, int_chan never, int *v)
{
    int nothing = 0;
    weir_case cases[] = {WEIR_SEND(ch, v), WEIR_RECV(never, &nothing), WEIR_SEND(none, v)};
    int done;
    switch (form) {
    case 0: return weir_send(NULL, ch, v);
    case 1: done = weir_select(NULL, cases, 1); break;
    case 2: done = weir_select(NULL, cases, 3); break;
    case 3:
        while ((done = weir_try_select(cases, 1)) == -EAGAIN)
            sched_yield();
        break;
    default:
        while ((done = weir_try_send(ch, v)) == EAGAIN)
            sched_yield();
    }
    return done;
}

struct meeting {
    int_chan ch, never_in, never_out;
    int form, values;
};

static void send_all(void *p)
{
    struct meeting *m = (struct meeting *)p;
    for (int v = 0; v < m->values; v++)
        CHECK_INT(send_in_form(m->form, m->ch, m->never_in, &v), 0);
}

TEST(each_way_to_receive_meets_each_way_to_send)
{
    static const size_t capacities[] = {0, 1, 10};
    const int values = (int)test_rounds(200);
    for (size_t c = 0; c < 3; c++)
        for (int to = 0; to < FORMS; to++)
            for (int from = 0; from < FORMS; from++) {
                if (capacities[c] == 0 && to >= 3 && from >= 3)
                    continue;            /* two tries never meet: each needs a peer that waits */
                int_chan full = make(0); /* nobody is at its other end */
                struct meeting m = {make(capacities[c]), make(0), full, to, values};
                struct test_team *team = test_start(1, send_all, &m, 0);
                for (int i = 0, v = -1; i < values; i++) {
                    CHECK_INT(receive_in_form(from, m.ch, full, &v), 0);
                    CHECK_INT(v, i);
                }
                test_join(team);
                weir_chan_free(&m.ch);
                weir_chan_free(&m.never_in);
                weir_chan_free(&full);
            }
}

/* ---- doubleselect: one select sends one value ---- */

struct doubles {
    int_chan way[4], out;
    int values, next; /* next: which way the next forwarder serves (atomic) */
};

static void send_one_of_four(void *p)
{
    struct doubles *d = (struct doubles *)p;
    for (int v = 0; v < d->values; v++) {
        weir_case cases[4];
        for (int i = 0; i < 4; i++)
            cases[i] = WEIR_SEND(d->way[i], &v);
        CHECK(weir_select(NULL, cases, 4) >= 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_close(d->way[i]), 0);
}

static void forward(void *p)
{
    struct doubles *d = (struct doubles *)p;
    const int mine = __atomic_fetch_add(&d->next, 1, __ATOMIC_RELAXED);
    for (int v; weir_recv(NULL, d->way[mine], &v) == 0;)
        CHECK_INT(weir_send(NULL, d->out, &v), 0);
    if (__atomic_fetch_add(&d->next, 1, __ATOMIC_ACQ_REL) == 7) /* the last of the four */
        CHECK_INT(weir_close(d->out), 0);
}

TEST(a_select_with_several_receivers_waiting_sends_its_value_once)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        struct doubles d;
        long count = 0;
        memset(&d, 0, sizeof d);
        d.values = (int)test_rounds(100000);
        d.out = make(capacity);
        unsigned char *seen = (unsigned char *)calloc((size_t)d.values, 1);
        REQUIRE(seen != NULL);
        for (int i = 0; i < 4; i++)
            d.way[i] = make(capacity);
        struct test_team *sender = test_start(1, send_one_of_four, &d, 0), *forwarders = test_start(4, forward, &d, 0);
        for (int v; weir_recv(NULL, d.out, &v) == 0; count++)
            CHECK_INT(seen[v]++, 0);
        CHECK_INT(count, d.values);
        test_join(sender);
        test_join(forwarders);
        for (int i = 0; i < 4; i++)
            weir_chan_free(&d.way[i]);
        weir_chan_free(&d.out);
        free(seen);
    }
}

/* ---- two threads that each send and receive on one channel ---- */

struct self {
    int_chan ch;
    int seats, rounds;
};

static void send_or_receive(void *p)
{
    struct self *s = (struct self *)p;
    int self = __atomic_fetch_add(&s->seats, 1, __ATOMIC_RELAXED), other = -1;
    for (int i = 0; i < s->rounds; i++) {
        weir_case cases[] = {WEIR_SEND(s->ch, &self), WEIR_RECV(s->ch, &other)};
        const int at = i % 2; /* listed first, listed last */
        weir_case turned[] = {cases[at], cases[1 - at]};
        const int done = weir_select(NULL, turned, 2);
        REQUIRE(done == 0 || done == 1);
        if (turned[done].status == EPIPE)
            return;
        if (weir_cap(s->ch) == 0 && done != at) /* it was the receive */
            CHECK_INT(other, 1 - self);
    }
    (void)weir_close(s->ch); /* the other one is alone now */
}

TEST(a_select_on_both_sides_of_a_channel_never_meets_itself)
{
    static const size_t capacities[] = {0, 10};
    for (int i = 0; i < 2; i++) {
        struct self s = {make(capacities[i]), 0, (int)test_rounds(20000)};
        test_threads(2, send_or_receive, &s, 0);
        weir_chan_free(&s.ch);
    }
}

/* ---- stress: plain calls and selects on both sides of four channels ---- */

enum { WAYS = 4 };

struct stress {
    int_chan ch[WAYS];
    int each, seats;
};

static void stress_plain_send(void *p)
{
    struct stress *s = (struct stress *)p;
    const int way = __atomic_fetch_add(&s->seats, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < s->each; i++)
        CHECK_INT(weir_send(NULL, s->ch[way], &i), 0);
}

static void stress_plain_receive(void *p)
{
    struct stress *s = (struct stress *)p;
    const int way = __atomic_fetch_add(&s->seats, 1, __ATOMIC_RELAXED) % WAYS;
    for (int i = 0, v; i < s->each; i++)
        CHECK_INT(weir_recv(NULL, s->ch[way], &v), 0);
}

/* `each` values on every way; one that has had its share is switched off. */
static void stress_select(struct stress *s, bool sends)
{
    int left[WAYS], v = 0, got = 0;
    for (int i = 0; i < WAYS; i++)
        left[i] = s->each;
    for (long n = 0; n < (long)WAYS * s->each; n++) {
        weir_case cases[WAYS];
        for (int i = 0; i < WAYS; i++) {
            const int_chan ch = left[i] > 0 ? s->ch[i] : none;
            cases[i] = sends ? WEIR_SEND(ch, &v) : WEIR_RECV(ch, &got);
        }
        const int done = weir_select(NULL, cases, WAYS);
        REQUIRE(done >= 0 && cases[done].status == 0);
        left[done]--;
    }
}

static void stress_select_send(void *p)
{
    stress_select((struct stress *)p, true);
}

static void stress_select_receive(void *p)
{
    stress_select((struct stress *)p, false);
}

TEST(selects_and_plain_calls_share_four_channels)
{
    static const size_t capacities[WAYS] = {0, 0, 2, 3};
    struct stress s, receivers;
    memset(&s, 0, sizeof s);
    for (int i = 0; i < WAYS; i++)
        s.ch[i] = make(capacities[i]);
    s.each = (int)test_rounds(10000);
    receivers = s;
    struct test_team *teams[] = {
        test_start(WAYS, stress_plain_send, &s, 0),
        test_start(1, stress_select_send, &s, 0),
        test_start(WAYS, stress_plain_receive, &receivers, 0),
        test_start(1, stress_select_receive, &s, 0),
    };
    for (int i = 0; i < 4; i++)
        test_join(teams[i]);
    for (int i = 0; i < WAYS; i++) {
        CHECK(queues_are_empty(s.ch[i]));
        weir_chan_free(&s.ch[i]);
    }
}

/* ---- a select with a default, while readiness comes and goes ---- */

struct races {
    struct duel duel;
    int_chan ready, other;
    bool closes;
};

/* There is a value in `ready` from the start, and it is taken only after the other channel has become ready. */
static void try_both(void *p)
{
    struct races *r = (struct races *)p;
    for (int seen = 0; duel_next(&r->duel, &seen);) {
        int v;
        weir_case cases[] = {WEIR_RECV(r->ready, &v), WEIR_RECV(r->other, &v)};
        CHECK(weir_try_select(cases, 2) >= 0);
    }
}

static void race(bool closes)
{
    struct races r;
    memset(&r, 0, sizeof r);
    r.duel.others = 1;
    r.closes = closes;
    struct test_team *team = test_start(1, try_both, &r, 0);
    for (long round = 0; round < test_rounds(10000); round++) {
        int v = 1;
        r.ready = make(1);
        r.other = make(1);
        CHECK_INT(weir_send(NULL, r.ready, &v), 0);
        duel_begin(&r.duel);
        dawdle((unsigned)round % 200);
        CHECK_INT(closes ? weir_close(r.other) : weir_send(NULL, r.other, &v), 0);
        (void)weir_try_recv(r.ready, &v);
        duel_end(&r.duel);
        weir_chan_free(&r.ready);
        weir_chan_free(&r.other);
    }
    duel_stop(&r.duel);
    test_join(team);
}

TEST(a_default_is_not_taken_while_one_of_two_is_always_ready)
{
    race(false);
}

TEST(a_default_is_not_taken_while_one_is_ready_or_the_other_closed)
{
    race(true);
}

/* ---- fairness ---- */

struct feed {
    int_chan ch;
    weir_ctx *ctx;
};

static void feed(void *p)
{
    struct feed *f = (struct feed *)p;
    int v = 0;
    while (weir_send(f->ctx, f->ch, &v) == 0) {}
}

/* Both always have a value; of n draws from a fair coin, 1 in 10^9 lies six deviations off. */
TEST(of_two_full_channels_beside_two_empty_ones_each_is_taken_half_the_time)
{
    const int n = (int)test_rounds(100000);
    int_chan full[2], empty[2];
    int count[2] = {0, 0};
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    struct feed feeds[2];
    for (int i = 0; i < 2; i++) {
        full[i] = make((size_t)n);
        empty[i] = make(0);
        for (int v = 0; v < n; v++)
            CHECK_INT(weir_send(NULL, full[i], &v), 0);
        feeds[i] = (struct feed){full[i], &ctx};
    }
    struct test_team *team = test_start(2, feed, feeds, sizeof feeds[0]);
    for (int i = 0; i < n; i++) {
        int v;
        weir_case cases[] = {WEIR_RECV(empty[0], &v), WEIR_RECV(full[0], &v), WEIR_RECV(empty[1], &v),
                             WEIR_RECV(full[1], &v)};
        const int done = weir_select(NULL, cases, 4);
        REQUIRE(done == 1 || done == 3);
        count[done / 2]++;
    }
    weir_ctx_cancel(&ctx, 0);
    test_join(team);
    const double off = (double)count[0] - n / 2.0;
    if (!CHECK(off * off <= 36.0 * n / 4.0))
        test_say("#   %d and %d\n", count[0], count[1]);
    for (int i = 0; i < 2; i++) {
        weir_chan_free(&full[i]);
        weir_chan_free(&empty[i]);
    }
    weir_ctx_free(&ctx);
}

/* A select of two sends to one channel draws random bits. */
static void send_bits(void *p)
{
    struct feed *f = (struct feed *)p;
    int zero = 0, one = 1;
    weir_case cases[] = {WEIR_SEND(f->ch, &zero), WEIR_SEND(f->ch, &one)};
    while (weir_select(f->ctx, cases, 2) >= 0) {}
}

TEST(two_sends_to_one_channel_are_a_fair_coin)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        const int n = (int)test_rounds(20000);
        int_chan ch = make(capacity);
        int ones = 0;
        weir_ctx ctx;
        weir_ctx_init(&ctx, NULL);
        struct feed f = {ch, &ctx};
        struct test_team *team = test_start(1, send_bits, &f, 0);
        for (int i = 0, v = 0; i < n; i++, ones += v)
            CHECK_INT(weir_recv(NULL, ch, &v), 0);
        weir_ctx_cancel(&ctx, 0);
        test_join(team);
        const double off = (double)ones - n / 2.0;
        if (!CHECK(off * off <= 36.0 * n / 4.0))
            test_say("#   %d ones of %d at capacity %zu\n", ones, n, capacity);
        weir_chan_free(&ch);
        weir_ctx_free(&ctx);
    }
}
