/* tests/chan/test_select_many.c: many threads that select over the same channels. Nothing is lost, doubled or stuck. */
#include "queues.h"

typedef weir_chan(uint64_t) u64_chan;

enum { CHANNELS = 3 };

/* Values 0 .. n-1 go through; each is marked by whoever receives it. */
struct crowd {
    u64_chan ch[CHANNELS];
    uint64_t n, next; /* next: to be sent; atomic */
    unsigned char *seen;
    uint64_t received;
    weir_ctx ctx; /* ends when all have been received */
};

struct member {
    struct crowd *crowd;
    unsigned number;
    bool plain; /* takes from one channel without select */
};

static void open_crowd(struct crowd *c, const size_t capacity[CHANNELS], uint64_t n, weir_wait_strategy wait)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    opt.wait = wait;
    memset(c, 0, sizeof *c);
    for (int i = 0; i < CHANNELS; i++)
        REQUIRE(weir_chan_make_opt(&c->ch[i], capacity[i], &opt) == 0);
    c->n = n;
    c->seen = (unsigned char *)calloc((size_t)n, 1);
    REQUIRE(c->seen != NULL);
    weir_ctx_init(&c->ctx, NULL);
}

static void close_crowd(struct crowd *c)
{
    CHECK_INT(c->received, c->n);
    for (uint64_t i = 0; i < c->n; i++)
        CHECK_INT(c->seen[i], 1);
    for (int i = 0; i < CHANNELS; i++) {
        CHECK_INT(weir_len(c->ch[i]), 0);
        CHECK(queues_are_empty(c->ch[i]));
        weir_chan_free(&c->ch[i]);
    }
    weir_ctx_free(&c->ctx);
    free(c->seen);
}

static bool next_value(struct crowd *c, uint64_t *v)
{
    *v = __atomic_fetch_add(&c->next, 1, __ATOMIC_RELAXED);
    return *v < c->n;
}

static void mark(struct crowd *c, uint64_t v)
{
    if (!CHECK(v < c->n))
        return;
    CHECK_INT(__atomic_add_fetch(&c->seen[v], 1, __ATOMIC_RELAXED), 1);
    if (__atomic_add_fetch(&c->received, 1, __ATOMIC_ACQ_REL) == c->n)
        weir_ctx_cancel(&c->ctx, 0);
}

/* Each has its own order of the channels. */
static u64_chan channel_of(const struct member *m, unsigned i)
{
    const unsigned turn = m->number / 2 + i;
    return m->crowd->ch[m->number % 2 ? turn % CHANNELS : CHANNELS - 1 - turn % CHANNELS];
}

static void select_sends(void *p)
{
    const struct member *m = (const struct member *)p;
    uint64_t v;
    while (next_value(m->crowd, &v)) {
        weir_case cases[CHANNELS];
        for (unsigned i = 0; i < CHANNELS; i++)
            cases[i] = WEIR_SEND(channel_of(m, i), &v);
        const int done = m->plain ? weir_send(NULL, m->crowd->ch[0], &v) : weir_select(NULL, cases, CHANNELS);
        CHECK(done >= 0 && (m->plain || cases[done].status == 0));
    }
}

static void select_receives(void *p)
{
    const struct member *m = (const struct member *)p;
    for (;;) {
        uint64_t got[CHANNELS];
        weir_case cases[CHANNELS];
        int done = 0;
        for (unsigned i = 0; i < CHANNELS; i++) {
            got[i] = UINT64_MAX;
            cases[i] = WEIR_RECV(channel_of(m, i), &got[i]);
        }
        if (m->plain)
            done = -weir_recv(&m->crowd->ctx, m->crowd->ch[0], &got[0]);
        else
            done = weir_select(&m->crowd->ctx, cases, CHANNELS);
        for (int i = 0; i < CHANNELS; i++)
            if (i != done)
                CHECK(got[i] == UINT64_MAX); /* no case but one was done */
        if (done < 0) {
            CHECK_INT(done, -ECANCELED);
            return;
        }
        mark(m->crowd, got[done]);
    }
}

static void run_crowd(const size_t capacity[CHANNELS], weir_wait_strategy wait, int usual_senders, int usual_receivers,
                      bool plain, long n)
{
    const bool spins = wait == WEIR_WAIT_SPIN; /* a crowd that spins takes for ever */
    const int senders = spins ? usual_senders : test_wide(usual_senders);
    const int receivers = spins ? usual_receivers : test_wide(usual_receivers);
    struct crowd c;
    struct member in[TEST_WIDEST], out[TEST_WIDEST];
    open_crowd(&c, capacity, (uint64_t)n, wait);
    for (unsigned i = 0; i < TEST_WIDEST; i++) {
        in[i].crowd = out[i].crowd = &c;
        in[i].number = i;
        out[i].number = i + 1;
        in[i].plain = plain && i == 0;
        out[i].plain = plain && i == 0;
    }
    struct test_team *s = test_start(senders, select_sends, in, sizeof in[0]);
    struct test_team *r = test_start(receivers, select_receives, out, sizeof out[0]);
    test_join(s);
    test_join(r);
    close_crowd(&c);
}

static const size_t rendezvous[CHANNELS] = {0, 0, 0}, buffered[CHANNELS] = {1, 2, 3}, mixed[CHANNELS] = {0, 1, 0};

TEST(all_select_over_rendezvous)
{
    run_crowd(rendezvous, WEIR_WAIT_ADAPTIVE, 4, 4, false, test_rounds(100000));
    run_crowd(rendezvous, WEIR_WAIT_PARK, 2, 8, false, test_rounds(30000));
    run_crowd(rendezvous, WEIR_WAIT_YIELD, 2, 2, false, test_rounds(20000));
}

TEST(all_select_over_buffers)
{
    run_crowd(buffered, WEIR_WAIT_ADAPTIVE, 4, 4, false, test_rounds(200000));
    run_crowd(buffered, WEIR_WAIT_PARK, 8, 2, false, test_rounds(50000));
    run_crowd(buffered, WEIR_WAIT_YIELD, 2, 2, false, test_rounds(20000));
}

TEST(all_select_over_a_mixture)
{
    run_crowd(mixed, WEIR_WAIT_ADAPTIVE, 4, 4, false, test_rounds(100000));
    run_crowd(mixed, WEIR_WAIT_PARK, 3, 3, false, test_rounds(50000));
    run_crowd(mixed, WEIR_WAIT_SPIN, 1, 1, false, test_rounds(200));
}

TEST(selects_beside_plain_calls)
{
    run_crowd(rendezvous, WEIR_WAIT_ADAPTIVE, 3, 3, true, test_rounds(50000));
    run_crowd(mixed, WEIR_WAIT_PARK, 3, 3, true, test_rounds(50000));
}

/* Two selects and one plain receiver, who park at once, and a value for each wake-up: whoever is woken for a value and takes
 * another instead must wake the next, or that one sleeps beside a full channel for ever. */
TEST(a_wake_up_that_was_not_needed_is_passed_on)
{
    run_crowd(buffered, WEIR_WAIT_PARK, 2, 3, true, test_rounds(500000));
    run_crowd(buffered, WEIR_WAIT_ADAPTIVE, 2, 3, true, test_rounds(1000000));
}

/* ---- each thread both sends and receives on the same channels, in one select ---- */

struct exchange {
    u64_chan ch[2];
    weir_ctx ctx;
    long wanted, done; /* done: receives; atomic */
    uint64_t sent_sum, received_sum, sent, received;
};

static void exchange_main(void *p)
{
    struct exchange *x = (struct exchange *)p;
    static uint64_t numbers;
    uint64_t sent_sum = 0, received_sum = 0, sent = 0, received = 0;
    const uint64_t self = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED) << 32;
    for (;;) {
        uint64_t give = self + sent, take[2] = {0, 0};
        weir_case cases[] = {WEIR_SEND(x->ch[0], &give), WEIR_RECV(x->ch[1], &take[1]), WEIR_RECV(x->ch[0], &take[0]),
                             WEIR_SEND(x->ch[1], &give)};
        const int done = weir_select(&x->ctx, cases, 4);
        if (done < 0) {
            CHECK_INT(done, -ECANCELED);
            break;
        }
        if (done == 0 || done == 3) {
            sent_sum += give;
            sent++;
            continue;
        }
        const uint64_t v = take[done == 2 ? 0 : 1];
        CHECK(v >> 32 != self >> 32); /* nobody meets himself */
        received_sum += v;
        received++;
        if (__atomic_add_fetch(&x->done, 1, __ATOMIC_RELAXED) == x->wanted)
            weir_ctx_cancel(&x->ctx, 0);
    }
    __atomic_add_fetch(&x->sent_sum, sent_sum, __ATOMIC_RELAXED);
    __atomic_add_fetch(&x->received_sum, received_sum, __ATOMIC_RELAXED);
    __atomic_add_fetch(&x->sent, sent, __ATOMIC_RELAXED);
    __atomic_add_fetch(&x->received, received, __ATOMIC_RELAXED);
}

TEST(selects_that_both_send_and_receive_meet_each_other)
{
    for (int threads = 2; threads <= 2 * test_wide(4); threads += 3 * test_wide(1)) {
        struct exchange x;
        memset(&x, 0, sizeof x);
        x.wanted = test_rounds(50000);
        REQUIRE(weir_chan_make(&x.ch[0], 0) == 0);
        REQUIRE(weir_chan_make(&x.ch[1], 0) == 0);
        weir_ctx_init(&x.ctx, NULL);
        test_threads(threads, exchange_main, &x, 0);
        CHECK_INT(x.sent, x.received); /* also those cut short by the cancel tell one story */
        CHECK_INT(x.sent_sum, x.received_sum);
        CHECK(x.received >= (uint64_t)x.wanted);
        CHECK(queues_are_empty(x.ch[0]));
        CHECK(queues_are_empty(x.ch[1]));
        weir_ctx_free(&x.ctx);
        weir_chan_free(&x.ch[0]);
        weir_chan_free(&x.ch[1]);
    }
}

/* ---- a select's deadline and cancel against a peer: one story ---- */

struct race {
    struct duel duel;
    u64_chan meet, other;
    weir_ctx ctx;
    uint64_t give, got;
    weir_ns until;
    bool select_sends, cancel;
    int select_rc, peer_rc;
};

static void race_peer(void *p)
{
    struct race *r = (struct race *)p;
    int seen = 0;
    while (duel_next(&r->duel, &seen)) {
        if (r->cancel)
            weir_ctx_cancel(&r->ctx, 0);
        if (r->select_sends)
            r->peer_rc = weir_recv_until(NULL, r->meet, &r->got, r->until);
        else
            r->peer_rc = weir_send_until(NULL, r->meet, &r->give, r->until);
    }
}

TEST(a_select_and_its_peer_tell_one_story)
{
    struct race r;
    unsigned random = 3;
    long exchanged = 0, missed = 0;
    memset(&r, 0, sizeof r);
    r.duel.others = 1;
    REQUIRE(weir_chan_make(&r.meet, 0) == 0);
    REQUIRE(weir_chan_make(&r.other, 0) == 0);
    struct test_team *team = test_start(1, race_peer, &r, 0);
    for (long i = test_rounds(40000); i >= 0; i--) {
        uint64_t v = 0;
        weir_ctx_init(&r.ctx, NULL);
        r.select_sends = i % 2;
        r.cancel = i % 4 / 2;
        r.give = (uint64_t)i + 1;
        r.got = 0;
        /* Sometimes one side has all the time in the world, and sometimes none. */
        const bool patient = i % 32 < 4 && !r.cancel;
        r.until = weir_now() + (patient ? WEIR_SEC(600) : (weir_ns)(draw(&random) % 20000));
        weir_case cases[] = {WEIR_RECV(r.other, &v),
                             r.select_sends ? WEIR_SEND(r.meet, &r.give) : WEIR_RECV(r.meet, &r.got)};
        const weir_ns near_by = weir_now() + (weir_ns)(draw(&random) % 20000);
        const weir_ns own = patient ? WEIR_FOREVER : i % 32 < 8 ? 0 : near_by;
        duel_begin(&r.duel);
        r.select_rc = weir_select_until(&r.ctx, cases, 2, own);
        duel_end(&r.duel);
        CHECK(r.select_rc == 1 || r.select_rc == -ETIMEDOUT || (r.cancel && r.select_rc == -ECANCELED));
        CHECK_INT(r.peer_rc, r.select_rc == 1 ? 0 : ETIMEDOUT);
        CHECK_INT(r.got, r.select_rc == 1 ? i + 1 : 0);
        exchanged += r.select_rc == 1;
        missed += r.select_rc != 1;
        weir_ctx_free(&r.ctx);
    }
    duel_stop(&r.duel);
    test_join(team);
    CHECK(queues_are_empty(r.meet));
    CHECK(queues_are_empty(r.other));
    CHECK(exchanged > 0 && missed > 0);
    weir_chan_free(&r.meet);
    weir_chan_free(&r.other);
}
