/* tests/chan/test_batch.c: send_n and recv_n: how many, in what order, and what is left when they are stopped. */
#include "harness.h"
#include "kinds.h"

/* One thread and a model: random batches and single calls, through rings of every small size, past their end many times. */
static void check_against_model(const struct kind *k, size_t capacity, long rounds)
{
    void *ch = open_channel(k, capacity, WEIR_WAIT_ADAPTIVE);
    uint64_t in = 0, out = 0, v[32];
    unsigned random = (unsigned)capacity;
    for (long i = 0; i < rounds; i++) {
        size_t n = next_random(&random) % (capacity - (size_t)(in - out) + 1), got = 99;
        for (size_t j = 0; j < n; j++)
            v[j] = in + j;
        CHECK_INT(n == 1 ? k->send(NULL, ch, v) : k->send_n(NULL, ch, v, n, &got), 0);
        if (n != 1)
            CHECK_INT(got, n);
        in += n;
        CHECK_INT(k->len(ch), in - out);
        if (in == out)
            continue;
        const size_t max = 1 + next_random(&random) % (capacity + 2), there = (size_t)(in - out);
        memset(v, 0xEE, sizeof v);
        CHECK_INT(k->recv_n(NULL, ch, v, max, &got), 0);
        CHECK_INT(got, max < there ? max : there);
        for (size_t j = 0; j < got; j++)
            CHECK_INT(v[j], out + j);
        if (!on_ck(k))
            CHECK(v[got] == 0xEEEEEEEEEEEEEEEE);
        out += got;
        if (in > out && i % 3 == 0) {
            CHECK_INT(k->try_recv(ch, v), 0);
            CHECK_INT(v[0], out++);
        }
    }
    k->free(&ch);
}

TEST_EACH_KIND(batches_and_single_values_keep_one_order)
{
    static const size_t capacities[] = {1, 2, 3, 5, 7, 10, 16};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++)
        check_against_model(k, capacities[i], test_rounds(5000));
}

TEST_EACH_KIND(nothing_is_always_possible)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_ADAPTIVE);
    weir_ctx ended;
    uint64_t v = 0;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    for (int closed = 0; closed < 2; closed++) {
        size_t n = 99;
        CHECK_INT(k->send_n(NULL, ch, &v, 0, &n), 0);
        CHECK_INT(n, 0);
        n = 99;
        CHECK_INT(k->recv_n(&ended, ch, &v, 0, &n), 0);
        CHECK_INT(n, 0);
        CHECK_INT(k->send_n(NULL, NULL, NULL, 0, NULL), 0);
        CHECK_INT(k->recv_n(NULL, NULL, NULL, 0, NULL), 0);
        if (!closed)
            CHECK_INT(k->close(ch), 0);
    }
    weir_ctx_free(&ended);
    k->free(&ch);
}

TEST_EACH_KIND(null_pointers_discard_values_and_counts)
{
    void *ch = open_channel(k, 7, WEIR_WAIT_ADAPTIVE);
    uint64_t v[7] = {0, 1, 2, 3, 4, 5, 6};
    size_t n = 0;
    CHECK_INT(k->send_n(NULL, ch, v, 7, NULL), 0);
    CHECK_INT(k->recv_n(NULL, ch, NULL, 3, &n), 0);
    CHECK_INT(n, 3);
    CHECK_INT(k->recv_n(NULL, ch, v, 2, NULL), 0);
    CHECK_INT(v[0], 3);
    CHECK_INT(v[1], 4);
    CHECK_INT(k->recv_n(NULL, ch, NULL, 100, &n), 0);
    CHECK_INT(n, 2);
    CHECK_INT(k->try_recv(ch, NULL), EAGAIN);
    k->free(&ch);
}

/* ---- stopped half-way ---- */

struct batch {
    const struct kind *k;
    void *ch;
    weir_ctx *ctx;
    uint64_t v[10];
    size_t n, sent;
    int rc;
};

static void send_batch(void *p)
{
    struct batch *b = (struct batch *)p;
    b->rc = b->k->send_n(b->ctx, b->ch, b->v, b->n, &b->sent);
}

static void init_batch(struct batch *b, const struct kind *k, void *ch, weir_ctx *ctx)
{
    memset(b, 0, sizeof *b);
    b->k = k;
    b->ch = ch;
    b->ctx = ctx;
    b->n = 10;
    b->sent = 99;
    for (uint64_t i = 0; i < 10; i++)
        b->v[i] = i;
}

/* Ten values into room for three, two of which are taken meanwhile: five have gone in when it is stopped. */
static void check_partial(const struct kind *k, bool close, weir_wait_strategy wait)
{
    void *ch = open_channel(k, 3, wait);
    weir_ctx ctx;
    struct batch b;
    uint64_t v;
    weir_ctx_init(&ctx, NULL);
    init_batch(&b, k, ch, &ctx);
    struct test_team *team = test_start(1, send_batch, &b, 0);
    for (uint64_t i = 0; i < 2; i++) {
        EVENTUALLY(k->len(ch) == 3);
        CHECK_INT(k->recv(NULL, ch, &v), 0);
        CHECK_INT(v, i);
    }
    EVENTUALLY(k->len(ch) == 3);
    if (close)
        CHECK_INT(k->close(ch), 0);
    else
        weir_ctx_cancel(&ctx, 0);
    test_join(team);
    CHECK_INT(b.rc, close ? EPIPE : ECANCELED);
    CHECK_INT(b.sent, 5);
    for (uint64_t i = 2; i < 5; i++) {
        CHECK_INT(k->try_recv(ch, &v), 0);
        CHECK_INT(v, i);
    }
    CHECK_INT(k->try_recv(ch, &v), close ? EPIPE : EAGAIN);
    weir_ctx_free(&ctx);
    k->free(&ch);
}

TEST_EACH_KIND(a_stopped_batch_says_how_far_it_came)
{
    for (int s = 0; s < STRATEGIES; s++) {
        check_partial(k, true, strategies[s]);
        check_partial(k, false, strategies[s]);
    }
}

TEST_EACH_KIND(an_ended_context_lets_in_what_has_room)
{
    void *ch = open_channel(k, 3, WEIR_WAIT_ADAPTIVE);
    weir_ctx ended;
    uint64_t v[5] = {0, 1, 2, 3, 4};
    size_t n = 99;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    CHECK_INT(k->recv_n(&ended, ch, v, 5, &n), ECANCELED);
    CHECK_INT(n, 0);
    CHECK_INT(k->send_n(&ended, ch, v, 5, &n), ECANCELED);
    CHECK_INT(n, 3);
    CHECK_INT(k->recv_n(&ended, ch, v, 5, &n), 0);
    CHECK_INT(n, 3);
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->send_n(NULL, ch, v, 5, &n), EPIPE);
    CHECK_INT(n, 0);
    CHECK_INT(k->recv_n(NULL, ch, v, 5, &n), EPIPE);
    CHECK_INT(n, 0);
    weir_ctx_free(&ended);
    k->free(&ch);
}

/* recv_n takes what is there, closed or not, however much of it this receiver has seen before. */
TEST_EACH_KIND(a_closed_channel_is_drained_in_one_batch)
{
    void *ch = open_channel(k, 7, WEIR_WAIT_ADAPTIVE);
    uint64_t v[10];
    size_t n = 0;
    CHECK_INT(fill(k, ch, 0), 7);
    CHECK_INT(k->recv_n(NULL, ch, v, 4, &n), 0);
    CHECK_INT(n, 4);
    CHECK_INT(fill(k, ch, 7), 4);
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->recv_n(NULL, ch, v, 10, &n), 0);
    CHECK_INT(n, 7);
    for (uint64_t i = 0; i < n; i++)
        CHECK_INT(v[i], 4 + i);
    CHECK_INT(k->try_recv(ch, NULL), EPIPE);
    k->free(&ch);
}

/* ---- with another thread ---- */

TEST_EACH_KIND(a_batch_waits_for_its_first_value_only)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 7, strategies[s]);
        struct batch b;
        uint64_t v[10];
        size_t n = 0;
        init_batch(&b, k, ch, NULL);
        b.n = 1;
        struct test_team *team = test_start(1, send_batch, &b, 0);
        CHECK_INT(k->recv_n(NULL, ch, v, 10, &n), 0);
        CHECK_INT(n, 1);
        test_join(team);
        k->free(&ch);
    }
}

struct stream {
    const struct kind *k;
    void *ch;
    int seats; /* atomic */
    long values;
    uint64_t received; /* atomic */
};

/* Batches of 1 to 20 through a channel that holds fewer, now and then a single value between. */
static void send_stream(void *p)
{
    struct stream *s = (struct stream *)p;
    const uint64_t self = (uint64_t)__atomic_fetch_add(&s->seats, 1, __ATOMIC_RELAXED);
    unsigned random = (unsigned)self;
    uint64_t v[20];
    for (long i = 0; i < s->values;) {
        size_t n = 1 + next_random(&random) % 20, sent = 0;
        if ((long)n > s->values - i)
            n = (size_t)(s->values - i);
        for (size_t j = 0; j < n; j++)
            v[j] = self << 32 | (uint64_t)(i + (long)j);
        if (n % 4 == 1) {
            n = 1;
            CHECK_INT(s->k->send(NULL, s->ch, v), 0);
        } else {
            CHECK_INT(s->k->send_n(NULL, s->ch, v, n, &sent), 0);
            CHECK_INT(sent, n);
        }
        i += (long)n;
    }
}

static void receive_stream(void *p)
{
    struct stream *s = (struct stream *)p;
    int64_t last[3] = {-1, -1, -1};
    uint64_t v[15], n = 0;
    size_t got;
    while (s->k->recv_n(NULL, s->ch, v, 15, &got) == 0) {
        CHECK(got >= 1 && got <= 15);
        for (size_t i = 0; i < got; i++) {
            const uint64_t sender = v[i] >> 32;
            if (!CHECK(sender < 3))
                return;
            CHECK((int64_t)(v[i] & UINT32_MAX) > last[sender]);
            last[sender] = (int64_t)(v[i] & UINT32_MAX);
        }
        n += got;
    }
    CHECK_INT(got, 0);
    __atomic_add_fetch(&s->received, n, __ATOMIC_RELAXED);
}

TEST_EACH_KIND(batches_of_several_threads)
{
    static const size_t capacities[] = {1, 3, 7, 64};
    for (int i = 0; i < 8; i++) {
        struct stream s = {k, open_channel(k, capacities[i / 2], i % 2 ? WEIR_WAIT_PARK : WEIR_WAIT_ADAPTIVE), 0,
                           test_rounds(20000), 0};
        struct test_team *receivers = test_start(receivers_of(k, 3), receive_stream, &s, 0);
        test_threads(senders_of(k, 3), send_stream, &s, 0);
        CHECK_INT(k->close(s.ch), 0);
        test_join(receivers);
        CHECK_INT(s.received, senders_of(k, 3) * s.values);
        k->free(&s.ch);
    }
}

/* One call, as many values as there are sleepers: all of them are woken. */
static void receive_one(void *p)
{
    struct batch *b = (struct batch *)p;
    b->rc = b->k->recv(NULL, b->ch, &b->v[0]);
}

TEST_EACH_KIND(a_batch_wakes_all_whom_it_serves)
{
    enum { SLEEPERS = 5 };
    const int n = receivers_of(k, SLEEPERS);
    void *ch = open_channel(k, 10, WEIR_WAIT_PARK);
    struct batch sleepers[SLEEPERS], b;
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        init_batch(&sleepers[i], k, ch, NULL);
    init_batch(&b, k, ch, NULL);
    b.n = (size_t)n;
    struct test_team *team = test_start(n, receive_one, sleepers, sizeof sleepers[0]);
    EVENTUALLY(receivers_waiting(ch) == n);
    send_batch(&b);
    CHECK_INT(b.rc, 0);
    test_join(team);
    for (int i = 0; i < n; i++) {
        CHECK_INT(sleepers[i].rc, 0);
        sum += sleepers[i].v[0];
    }
    CHECK_INT(sum, n * (n - 1) / 2);
    k->free(&ch);
}

/* And a batch that frees several places wakes all who wait for one. */
TEST_EACH_KIND(a_batch_makes_room_for_all)
{
    enum { SLEEPERS = 5 };
    const int n = senders_of(k, SLEEPERS);
    void *ch = open_channel(k, SLEEPERS, WEIR_WAIT_PARK);
    struct batch sleepers[SLEEPERS];
    size_t got = 0;
    CHECK_INT(fill(k, ch, 100), SLEEPERS);
    for (int i = 0; i < n; i++) {
        init_batch(&sleepers[i], k, ch, NULL);
        sleepers[i].n = 1;
    }
    struct test_team *team = test_start(n, send_batch, sleepers, sizeof sleepers[0]);
    EVENTUALLY(senders_waiting(ch) == n);
    CHECK_INT(k->recv_n(NULL, ch, NULL, SLEEPERS, &got), 0);
    CHECK(got >= SLEEPERS);
    test_join(team);
    for (int i = 0; i < n; i++)
        CHECK_INT(sleepers[i].rc, 0);
    k->free(&ch);
}

TEST(a_null_handle_is_never_ready_for_batches)
{
    weir_spsc(uint64_t) line = {NULL};
    weir_chan(uint64_t) many = {NULL};
    weir_ctx ctx;
    uint64_t v[2] = {1, 2};
    size_t n = 9;
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_send_n(&ctx, line, v, 2, &n), ETIMEDOUT);
    CHECK_INT(n, 0);
    CHECK_INT(weir_recv_n(&ctx, line, v, 2, &n), ETIMEDOUT);
    CHECK_INT(weir_send_n(&ctx, many, v, 2, &n), ETIMEDOUT);
    CHECK_INT(weir_recv_n(&ctx, many, v, 2, &n), ETIMEDOUT);
    CHECK_INT(n, 0);
    weir_ctx_free(&ctx);
}

static weir_chan(uint64_t) meeting;
static void meets(void *value)
{
    CHECK_INT(weir_send(NULL, meeting, (uint64_t *)value), 0);
}

/* There is no buffer to take from, but there are those who wait to hand over. */
TEST(a_batch_of_a_rendezvous_takes_from_all_who_wait)
{
    uint64_t sent[3] = {1, 2, 3}, got[5];
    size_t n = 0;
    REQUIRE(weir_chan_make(&meeting, 0) == 0);
    struct test_team *team = test_start(3, meets, sent, sizeof sent[0]);
    EVENTUALLY(weir__waitq_sleepers(&WEIR__CHAN(meeting)->senders) == 3);
    CHECK_INT(weir_recv_n(NULL, meeting, got, 5, &n), 0);
    CHECK_INT(n, 3);
    CHECK_INT(got[0] + got[1] + got[2], 6);
    test_join(team);
    weir_chan_free(&meeting);
}
