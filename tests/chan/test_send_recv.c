/* tests/chan/test_send_recv.c: sending and receiving one value: order, full and empty, deadlines, contexts, NULL channels.
 * Elements of all sizes are in test_elements.c. */
#include "harness.h"
#include "kinds.h"

TEST_EACH_KIND(values_come_in_the_order_they_went)
{
    void *ch = open_channel(k, 5, WEIR_WAIT_ADAPTIVE);
    uint64_t in = 100, out = 100, v = 0;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 1 + round % 5; i++, in++)
            CHECK_INT(k->send(NULL, ch, &in), 0);
        for (; out < in; out++) {
            CHECK_INT(k->recv(NULL, ch, &v), 0);
            CHECK_INT(v, out);
        }
    }
    k->free(&ch);
}

TEST_EACH_KIND(try_says_full_and_empty)
{
    void *ch = open_channel(k, 2, WEIR_WAIT_ADAPTIVE);
    uint64_t v = 77;
    CHECK_INT(k->try_recv(ch, &v), EAGAIN);
    if (!on_ck(k)) /* which may write to it */
        CHECK_INT(v, 77);
    CHECK_INT(fill(k, ch, 1), 2);
    CHECK_INT(k->try_send(ch, &v), EAGAIN);
    CHECK_INT(k->try_recv(ch, &v), 0);
    CHECK_INT(v, 1);
    CHECK_INT(k->try_recv(ch, &v), 0);
    CHECK_INT(v, 2);
    CHECK_INT(k->try_recv(ch, &v), EAGAIN);
    k->free(&ch);
}

/* All ways to send and to receive, on a channel that was closed with `left` values in it. */
static void check_closed(const struct kind *k, size_t left)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_ADAPTIVE);
    uint64_t v;
    for (v = 0; v < left; v++)
        CHECK_INT(k->try_send(ch, &v), 0);
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->close(ch), EPIPE);
    for (int again = 0; again < 2; again++) {
        CHECK_INT(k->send(NULL, ch, &v), EPIPE);
        CHECK_INT(k->try_send(ch, &v), EPIPE);
        CHECK_INT(k->send_until(NULL, ch, &v, 0), EPIPE);
    }
    for (uint64_t want = 0; want < left; want++) {
        CHECK_INT(want % 2 ? k->try_recv(ch, &v) : k->recv(NULL, ch, &v), 0);
        CHECK_INT(v, want);
    }
    for (int again = 0; again < 2; again++) {
        CHECK_INT(k->recv(NULL, ch, &v), EPIPE);
        CHECK_INT(k->try_recv(ch, &v), EPIPE);
        CHECK_INT(k->recv_until(NULL, ch, &v, 0), EPIPE);
        CHECK_INT(k->try_send(ch, &v), EPIPE);
        CHECK_INT(k->close(ch), EPIPE);
    }
    k->free(&ch);
}

TEST_EACH_KIND(closed_drains_then_says_so)
{
    for (size_t left = 0; left <= 4; left++)
        check_closed(k, left);
}

TEST_EACH_KIND(a_null_pointer_discards)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_ADAPTIVE);
    uint64_t v;
    CHECK_INT(k->try_recv(ch, NULL), EAGAIN);
    CHECK_INT(fill(k, ch, 0), 4);
    CHECK_INT(k->recv(NULL, ch, NULL), 0);
    CHECK_INT(k->try_recv(ch, NULL), 0);
    CHECK_INT(k->recv_until(NULL, ch, NULL, 0), 0);
    CHECK_INT(k->recv(NULL, ch, &v), 0);
    CHECK_INT(v, 3);
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->recv(NULL, ch, NULL), EPIPE);
    k->free(&ch);
}

/* ---- deadlines ---- */

TEST_EACH_KIND(a_past_deadline_takes_what_is_there)
{
    const weir_ns past[] = {0, -1, INT64_MIN + 1, 1, weir_now()};
    for (size_t i = 0; i < sizeof past / sizeof past[0]; i++) {
        void *ch = open_channel(k, 1, WEIR_WAIT_ADAPTIVE);
        uint64_t v = 9;
        CHECK_INT(k->recv_until(NULL, ch, &v, past[i]), ETIMEDOUT);
        CHECK_INT(k->send_until(NULL, ch, &v, past[i]), 0);
        CHECK_INT(k->send_until(NULL, ch, &v, past[i]), ETIMEDOUT);
        v = 0;
        CHECK_INT(k->recv_until(NULL, ch, &v, past[i]), 0);
        CHECK_INT(v, 9);
        CHECK_INT(k->recv_until(NULL, ch, &v, past[i]), ETIMEDOUT);
        k->free(&ch);
    }
}

/* INT64_MIN is a point in time like any other, whatever the library uses it for inside. */
TEST_EACH_KIND(the_oldest_deadline_is_a_deadline)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_ADAPTIVE);
    uint64_t v = 1;
    CHECK_INT(k->recv_until(NULL, ch, &v, INT64_MIN), ETIMEDOUT);
    CHECK_INT(k->send_until(NULL, ch, &v, INT64_MIN), 0);
    CHECK_INT(k->send_until(NULL, ch, &v, INT64_MIN), ETIMEDOUT);
    k->free(&ch);
}

TEST_EACH_KIND(a_timeout_does_not_come_early)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 1, strategies[s]);
        uint64_t v = 1;
        weir_ns deadline = weir_now() + WEIR_MS(10);
        CHECK_INT(k->recv_until(NULL, ch, &v, deadline), ETIMEDOUT);
        CHECK(weir_now() >= deadline);
        CHECK_INT(fill(k, ch, 0), 1);
        deadline = weir_now() + WEIR_MS(10);
        CHECK_INT(k->send_until(NULL, ch, &v, deadline), ETIMEDOUT);
        CHECK(weir_now() >= deadline);
        CHECK_INT(k->len(ch), 1);
        k->free(&ch);
    }
}

/* ---- contexts ---- */

static void check_ended(const struct kind *k, weir_wait_strategy s, weir_ctx *ctx, int err)
{
    void *ch = open_channel(k, 1, s);
    uint64_t v = 3;
    CHECK_INT(k->recv(ctx, ch, &v), err);
    CHECK_INT(k->recv_until(ctx, ch, &v, WEIR_FOREVER), err);
    CHECK_INT(k->send(ctx, ch, &v), 0);
    CHECK_INT(k->send(ctx, ch, &v), err);
    CHECK_INT(k->send_until(ctx, ch, &v, WEIR_FOREVER), err);
    v = 0;
    CHECK_INT(k->recv(ctx, ch, &v), 0);
    CHECK_INT(v, 3);
    CHECK_INT(k->recv(ctx, ch, &v), err);
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->recv(ctx, ch, &v), EPIPE); /* the channel's own condition comes first here too */
    CHECK_INT(k->send(ctx, ch, &v), EPIPE);
    k->free(&ch);
}

TEST_EACH_KIND(an_ended_context_takes_what_is_there_and_does_not_wait)
{
    weir_ctx cancelled, late, child;
    weir_ctx_init(&cancelled, NULL);
    weir_ctx_init(&child, &cancelled);
    weir_ctx_cancel(&cancelled, 0);
    weir_ctx_init_deadline(&late, NULL, weir_now() - 1);
    for (int s = 0; s < STRATEGIES; s++) {
        check_ended(k, strategies[s], &cancelled, ECANCELED);
        check_ended(k, strategies[s], &child, ECANCELED);
        check_ended(k, strategies[s], &late, ETIMEDOUT);
    }
    weir_ctx_free(&child);
    weir_ctx_free(&cancelled);
    weir_ctx_free(&late);
}

TEST_EACH_KIND(the_nearer_deadline_counts)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 1, strategies[s]);
        weir_ctx ctx;
        uint64_t v;
        weir_ns deadline = weir_now() + WEIR_MS(5);
        weir_ctx_init_deadline(&ctx, NULL, deadline);
        CHECK_INT(k->recv_until(&ctx, ch, &v, weir_now() - 1), ETIMEDOUT);            /* the call's */
        CHECK_INT(k->recv_until(&ctx, ch, &v, deadline + WEIR_SEC(1000)), ETIMEDOUT); /* the context's */
        CHECK(weir_now() >= deadline);
        CHECK_INT(weir_ctx_err(&ctx), ETIMEDOUT);
        weir_ctx_free(&ctx);
        k->free(&ch);
    }
}

/* ---- blocking and being woken ---- */

struct blocked {
    const struct kind *k;
    void *ch;
    weir_ctx *ctx;
    int begun, rc, done; /* begun, done: atomic */
    uint64_t v;
};

static void block_in_recv(void *p)
{
    struct blocked *b = (struct blocked *)p;
    store_int(&b->begun, 1);
    b->rc = b->k->recv(b->ctx, b->ch, &b->v);
    store_int(&b->done, 1);
}

static void block_in_send(void *p)
{
    struct blocked *b = (struct blocked *)p;
    store_int(&b->begun, 1);
    b->rc = b->k->send(b->ctx, b->ch, &b->v);
    store_int(&b->done, 1);
}

/* Starts one that blocks, and lets it go to sleep if that is its way, or else wait for a while. */
static struct test_team *start_blocked(struct blocked *b, void (*fn)(void *), weir_wait_strategy s)
{
    struct test_team *team = test_start(1, fn, b, 0);
    EVENTUALLY(load_int(&b->begun));
    if (sleeps(s) && b->ch != NULL)
        EVENTUALLY(receivers_waiting(b->ch) + senders_waiting(b->ch) == 1);
    for (int i = 0; i < 100; i++)
        sched_yield();
    CHECK(!load_int(&b->done));
    return team;
}

TEST_EACH_KIND(a_blocked_receiver_gets_the_value)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 2, strategies[s]);
        struct blocked b = {k, ch, NULL, 0, -1, 0, 0};
        struct test_team *team = start_blocked(&b, block_in_recv, strategies[s]);
        uint64_t v = 42;
        CHECK_INT(k->send(NULL, ch, &v), 0);
        test_join(team);
        CHECK_INT(b.rc, 0);
        CHECK_INT(b.v, 42);
        CHECK_INT(receivers_waiting(ch), 0);
        k->free(&ch);
    }
}

TEST_EACH_KIND(a_blocked_sender_gets_the_room)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 2, strategies[s]);
        struct blocked b = {k, ch, NULL, 0, -1, 0, 42};
        uint64_t v = 0;
        CHECK_INT(fill(k, ch, 0), 2);
        struct test_team *team = start_blocked(&b, block_in_send, strategies[s]);
        CHECK_INT(k->try_recv(ch, &v), 0);
        CHECK_INT(v, 0);
        test_join(team);
        CHECK_INT(b.rc, 0);
        CHECK_INT(senders_waiting(ch), 0);
        CHECK_INT(k->try_recv(ch, &v), 0);
        CHECK_INT(v, 1);
        CHECK_INT(k->try_recv(ch, &v), 0);
        CHECK_INT(v, 42);
        k->free(&ch);
    }
}

TEST_EACH_KIND(cancelling_ends_a_blocked_call)
{
    for (int s = 0; s < 2 * STRATEGIES; s++) {
        const weir_wait_strategy strategy = strategies[s / 2];
        void *ch = open_channel(k, 1, strategy);
        weir_ctx parent, ctx;
        struct blocked b = {k, ch, &ctx, 0, -1, 0, 5};
        weir_ctx_init(&parent, NULL);
        weir_ctx_init(&ctx, &parent);
        if (s % 2)
            CHECK_INT(fill(k, ch, 0), 1);
        struct test_team *team = start_blocked(&b, s % 2 ? block_in_send : block_in_recv, strategy);
        weir_ctx_cancel(s / 2 % 2 ? &ctx : &parent, 0);
        test_join(team);
        CHECK_INT(b.rc, ECANCELED);
        CHECK_INT(k->len(ch), s % 2);
        CHECK_INT(receivers_waiting(ch) + senders_waiting(ch), 0);
        weir_ctx_free(&ctx);
        weir_ctx_free(&parent);
        k->free(&ch);
    }
}

TEST_EACH_KIND(a_null_channel_blocks_until_the_context_ends)
{
    for (int sends = 0; sends < 2; sends++) {
        weir_ctx ctx;
        struct blocked b = {k, NULL, &ctx, 0, -1, 0, 5};
        weir_ctx_init(&ctx, NULL);
        struct test_team *team = start_blocked(&b, sends ? block_in_send : block_in_recv, WEIR_WAIT_PARK);
        weir_ctx_cancel(&ctx, 0);
        test_join(team);
        CHECK_INT(b.rc, ECANCELED);
        weir_ctx_free(&ctx);
    }
}

TEST_EACH_KIND(a_null_channel_blocks_until_the_deadline)
{
    weir_ns deadline = weir_now() + WEIR_MS(5);
    weir_ctx ctx;
    uint64_t v = 0, *slot;
    size_t n;
    CHECK_INT(k->recv_until(NULL, NULL, &v, deadline), ETIMEDOUT);
    CHECK(weir_now() >= deadline);
    CHECK_INT(k->send_until(NULL, NULL, &v, 0), ETIMEDOUT);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(5));
    CHECK_INT(k->send(&ctx, NULL, &v), ETIMEDOUT);
    CHECK(weir_now() >= weir_ctx_deadline(&ctx));
    CHECK_INT(k->recv(&ctx, NULL, NULL), ETIMEDOUT);
    CHECK_INT(k->send_n(&ctx, NULL, &v, 1, &n), ETIMEDOUT);
    CHECK_INT(n, 0);
    CHECK_INT(k->recv_n(&ctx, NULL, &v, 1, &n), ETIMEDOUT);
    CHECK_INT(n, 0);
    CHECK_INT(k->reserve(&ctx, NULL, &slot), ETIMEDOUT);
    CHECK_INT(k->peek(&ctx, NULL, &slot), can_peek(k) ? ETIMEDOUT : ENOTSUP);
    weir_ctx_free(&ctx);
}

/* ---- to and fro: each value of one channel wakes the other side's, thousands of times ---- */

struct pong {
    const struct kind *k;
    void *to, *fro;
    long rounds;
};

static void pong(void *p)
{
    struct pong *g = (struct pong *)p;
    for (long i = 0; i < g->rounds; i++) {
        uint64_t v = 0;
        CHECK_INT(g->k->recv(NULL, g->to, &v), 0);
        CHECK_INT(v, i);
        v = ~v;
        CHECK_INT(g->k->send(NULL, g->fro, &v), 0);
    }
}

static void check_ping_pong(const struct kind *k, weir_wait_strategy s, long rounds)
{
    struct pong g = {k, open_channel(k, 1, s), open_channel(k, 1, s), rounds};
    struct test_team *team = test_start(1, pong, &g, 0);
    for (long i = 0; i < rounds; i++) {
        uint64_t v = (uint64_t)i;
        CHECK_INT(k->send(NULL, g.to, &v), 0);
        CHECK_INT(k->recv(NULL, g.fro, &v), 0);
        CHECK_INT(~v, i);
    }
    test_join(team);
    k->free(&g.to);
    k->free(&g.fro);
}

TEST_EACH_KIND(ping_pong)
{
    /* One core and a spinner: a time slice per value, hence few rounds there. */
    for (int s = 0; s < STRATEGIES; s++)
        check_ping_pong(k, strategies[s], test_rounds(strategies[s] == WEIR_WAIT_SPIN ? 500 : 5000));
}
