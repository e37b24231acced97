/* tests/chan/test_rendezvous.c: channels of capacity 0, each kind through the same calls: who takes what, and when. */
#include "queues.h"

#include "kinds.h"

/* One call in a thread of its own. */
struct caller {
    const struct kind *k;
    void *ch;
    weir_ctx *ctx;
    uint64_t value; /* to send, or received */
    uint64_t *dst;
    int rc, returned;
};

static void send_one(void *p)
{
    struct caller *c = (struct caller *)p;
    c->rc = c->k->send(c->ctx, c->ch, &c->value);
    c->value = 0; /* the memory is the caller's own again */
    set(&c->returned, 1);
}

static void recv_one(void *p)
{
    struct caller *c = (struct caller *)p;
    c->rc = c->k->recv(c->ctx, c->ch, c->dst);
    set(&c->returned, 1);
}

static struct test_team *start_sender(struct caller *c, const struct kind *k, void *ch, weir_ctx *ctx, uint64_t value)
{
    const int before = senders_waiting(ch);
    memset(c, 0, sizeof *c);
    c->k = k;
    c->ch = ch;
    c->ctx = ctx;
    c->value = value;
    struct test_team *team = test_start(1, send_one, c, 0);
    EVENTUALLY(senders_waiting(ch) == before + 1);
    return team;
}

static struct test_team *start_receiver(struct caller *c, const struct kind *k, void *ch, weir_ctx *ctx)
{
    const int before = receivers_waiting(ch);
    memset(c, 0, sizeof *c);
    c->k = k;
    c->ch = ch;
    c->ctx = ctx;
    c->dst = &c->value;
    struct test_team *team = test_start(1, recv_one, c, 0);
    EVENTUALLY(receivers_waiting(ch) == before + 1);
    return team;
}

static void *rendezvous(const struct kind *k)
{
    return open_channel(k, 0, WEIR_WAIT_ADAPTIVE);
}

/* ---- when a call returns ---- */

static struct caller *watched;
static int meetings;

/* The other thread is held and its value not moved yet: it may not have returned, however long this takes. */
static void watch_meeting(const char *point)
{
    if (strcmp(point, "meeting") != 0)
        return;
    meetings++;
    give_time();
    CHECK_INT(get(&watched->returned), 0);
}

TEST_EACH_KIND(a_send_returns_only_after_its_value_was_taken)
{
    void *ch = rendezvous(k);
    struct caller sender;
    uint64_t v = 0;
    struct test_team *team = start_sender(&sender, k, ch, NULL, 77);
    give_time();
    CHECK_INT(get(&sender.returned), 0);
    watched = &sender;
    meetings = 0;
    at_point = watch_meeting;
    CHECK_INT(k->recv(NULL, ch, &v), 0);
    at_point = NULL;
    CHECK_INT(meetings, 1);
    CHECK_INT(v, 77);
    test_join(team);
    CHECK_INT(sender.rc, 0);
    CHECK(left_empty(inside(ch)));
    k->free(&ch);
}

TEST_EACH_KIND(a_receive_returns_only_with_its_value)
{
    void *ch = rendezvous(k);
    struct caller receiver;
    const uint64_t v = 78;
    struct test_team *team = start_receiver(&receiver, k, ch, NULL);
    watched = &receiver;
    meetings = 0;
    at_point = watch_meeting;
    CHECK_INT(k->send(NULL, ch, &v), 0);
    at_point = NULL;
    CHECK_INT(meetings, 1);
    test_join(team);
    CHECK_INT(receiver.rc, 0);
    CHECK_INT(receiver.value, 78);
    CHECK(left_empty(inside(ch)));
    k->free(&ch);
}

static weir_ctx *cancelled_at_meeting;
static void cancel_at_meeting(const char *point)
{
    watch_meeting(point);
    weir_ctx_cancel(cancelled_at_meeting, 0);
}

TEST_EACH_KIND(a_cancel_during_the_exchange_comes_too_late)
{
    void *ch = rendezvous(k);
    struct caller sender;
    weir_ctx ctx;
    uint64_t v = 0;
    weir_ctx_init(&ctx, NULL);
    struct test_team *team = start_sender(&sender, k, ch, &ctx, 79);
    watched = &sender;
    cancelled_at_meeting = &ctx;
    at_point = cancel_at_meeting;
    CHECK_INT(k->try_recv(ch, &v), 0);
    at_point = NULL;
    test_join(team);
    CHECK_INT(sender.rc, 0);
    CHECK_INT(v, 79);
    weir_ctx_free(&ctx);
    k->free(&ch);
}

/* ---- trying ---- */

TEST_EACH_KIND(a_try_succeeds_only_with_a_peer_waiting)
{
    void *ch = rendezvous(k);
    struct caller peer;
    uint64_t v = 5;
    struct test_team *team;
    CHECK_INT(k->try_send(ch, &v), EAGAIN);
    CHECK_INT(k->try_recv(ch, &v), EAGAIN);

    team = start_receiver(&peer, k, ch, NULL);
    if (k->many_receivers)
        CHECK_INT(k->try_recv(ch, &v), EAGAIN); /* a receiver does not meet a receiver */
    CHECK_INT(k->try_send(ch, &v), 0);
    CHECK_INT(k->try_send(ch, &v), EAGAIN);
    test_join(team);
    CHECK_INT(peer.rc, 0);
    CHECK_INT(peer.value, 5);

    team = start_sender(&peer, k, ch, NULL, 6);
    if (k->many_senders)
        CHECK_INT(k->try_send(ch, &v), EAGAIN);
    CHECK_INT(k->try_recv(ch, &v), 0);
    CHECK_INT(v, 6);
    CHECK_INT(k->try_recv(ch, &v), EAGAIN);
    test_join(team);
    CHECK_INT(peer.rc, 0);
    k->free(&ch);
}

TEST_EACH_KIND(a_peer_that_gave_up_is_not_met)
{
    void *ch = rendezvous(k);
    uint64_t v = 1;
    for (int i = 0; i < 200; i++) {
        CHECK_INT(k->send_until(NULL, ch, &v, weir_now() + WEIR_US(20)), ETIMEDOUT);
        CHECK_INT(k->try_recv(ch, &v), EAGAIN);
        CHECK_INT(k->recv_until(NULL, ch, &v, weir_now() + WEIR_US(20)), ETIMEDOUT);
        CHECK_INT(k->try_send(ch, &v), EAGAIN);
    }
    CHECK(left_empty(inside(ch)));
    k->free(&ch);
}

TEST_EACH_KIND(a_receive_into_nothing_drops_the_value)
{
    void *ch = rendezvous(k);
    struct caller peer;
    const uint64_t v = 9;
    struct test_team *team = start_sender(&peer, k, ch, NULL, 8);
    CHECK_INT(k->recv(NULL, ch, NULL), 0);
    test_join(team);
    CHECK_INT(peer.rc, 0);

    memset(&peer, 0, sizeof peer);
    peer.k = k;
    peer.ch = ch; /* dst is NULL */
    team = test_start(1, recv_one, &peer, 0);
    EVENTUALLY(receivers_waiting(ch) == 1);
    CHECK_INT(k->try_send(ch, &v), 0);
    test_join(team);
    CHECK_INT(peer.rc, 0);
    k->free(&ch);
}

TEST_EACH_KIND(there_is_no_buffer_and_no_place_to_build_in)
{
    void *ch = rendezvous(k);
    struct caller peer;
    uint64_t *slot = NULL, v;
    struct test_team *team = start_sender(&peer, k, ch, NULL, 1);
    CHECK_INT(k->cap(ch), 0);
    CHECK_INT(k->len(ch), 0);
    CHECK_INT(k->peek(NULL, ch, &slot), ENOTSUP); /* also with a value to be had */
    CHECK_INT(k->recv(NULL, ch, &v), 0);
    test_join(team);
    CHECK_INT(k->reserve(NULL, ch, &slot), ENOTSUP);
    CHECK(slot == NULL);
    team = start_receiver(&peer, k, ch, NULL);
    CHECK_INT(k->len(ch), 0);
    CHECK_INT(k->close(ch), 0);
    test_join(team);
    CHECK_INT(k->reserve(NULL, ch, &slot), ENOTSUP);
    CHECK_INT(k->peek(NULL, ch, &slot), ENOTSUP);
    k->free(&ch);
}

/* ---- how a wait ends without an exchange ---- */

TEST_EACH_KIND(close_ends_all_waits_and_values_stay_the_senders)
{
    enum { MANY = 20 };
    static struct caller peers[MANY];
    struct test_team *teams[MANY];
    uint64_t v = 4711;
    for (int sending = 0; sending < 2; sending++) {
        void *ch = rendezvous(k);
        const int n = sending ? senders_of(k, MANY) : receivers_of(k, MANY);
        for (int i = 0; i < n; i++)
            teams[i] = sending ? start_sender(&peers[i], k, ch, NULL, 1) : start_receiver(&peers[i], k, ch, NULL);
        CHECK(!k->is_closed(ch));
        CHECK_INT(k->close(ch), 0);
        CHECK(k->is_closed(ch));
        for (int i = 0; i < n; i++) {
            test_join(teams[i]);
            CHECK_INT(peers[i].rc, EPIPE);
            CHECK_INT(peers[i].value, 0); /* nothing was received */
        }
        CHECK_INT(k->close(ch), EPIPE);
        CHECK_INT(k->send(NULL, ch, &v), EPIPE);
        CHECK_INT(k->try_send(ch, &v), EPIPE);
        CHECK_INT(k->send_until(NULL, ch, &v, 0), EPIPE);
        CHECK_INT(k->recv(NULL, ch, &v), EPIPE);
        CHECK_INT(k->try_recv(ch, &v), EPIPE);
        CHECK_INT(k->recv_until(NULL, ch, &v, 0), EPIPE);
        CHECK_INT(v, 4711);
        CHECK(left_empty(inside(ch)));
        k->free(&ch);
    }
}

TEST_EACH_KIND(an_ended_context_and_a_passed_deadline)
{
    void *ch = rendezvous(k);
    struct caller peer;
    weir_ctx ended;
    uint64_t v = 3;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    CHECK_INT(k->send(&ended, ch, &v), ECANCELED);
    CHECK_INT(k->recv(&ended, ch, &v), ECANCELED);
    CHECK_INT(k->send_until(NULL, ch, &v, weir_now()), ETIMEDOUT);
    CHECK_INT(k->recv_until(NULL, ch, &v, INT64_MIN), ETIMEDOUT);
    CHECK_INT(v, 3);
    /* A peer that is there comes first. */
    struct test_team *team = start_sender(&peer, k, ch, NULL, 11);
    CHECK_INT(k->recv(&ended, ch, &v), 0);
    test_join(team);
    team = start_sender(&peer, k, ch, NULL, 12);
    CHECK_INT(k->recv_until(NULL, ch, &v, 0), 0);
    CHECK_INT(v, 12);
    test_join(team);
    team = start_receiver(&peer, k, ch, NULL);
    CHECK_INT(k->send_until(&ended, ch, &v, 0), 0);
    test_join(team);
    CHECK_INT(peer.value, 12);
    weir_ctx_free(&ended);
    k->free(&ch);
}

TEST_EACH_KIND(a_wait_is_not_over_early)
{
    void *ch = rendezvous(k);
    uint64_t v = 0;
    for (int i = 0; i < 6; i++) {
        const weir_ns until = weir_now() + WEIR_MS(2);
        CHECK_INT(i % 2 ? k->send_until(NULL, ch, &v, until) : k->recv_until(NULL, ch, &v, until), ETIMEDOUT);
        CHECK(weir_now() >= until);
    }
    k->free(&ch);
}

TEST_EACH_KIND(cancelling_ends_a_wait_at_once)
{
    void *ch = rendezvous(k);
    struct caller sender;
    weir_ctx ctx;
    uint64_t v;
    weir_ctx_init(&ctx, NULL);
    struct test_team *team = start_sender(&sender, k, ch, &ctx, 1);
    weir_ctx_cancel(&ctx, 0);
    test_join(team);
    CHECK_INT(sender.rc, ECANCELED);
    weir_ctx_free(&ctx);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(5));
    CHECK_INT(k->recv(&ctx, ch, &v), ETIMEDOUT);
    CHECK(weir_now() >= weir_ctx_deadline(&ctx));
    CHECK_INT(weir_ctx_err(&ctx), ETIMEDOUT);
    CHECK(left_empty(inside(ch)));
    weir_ctx_free(&ctx);
    k->free(&ch);
}

/* The call is the first to notice that the deadline has passed, so the hook runs inside it: it may use the channel. */
struct closing {
    const struct kind *k;
    void *ch;
    int rc;
};

static void close_from_hook(void *p)
{
    struct closing *c = (struct closing *)p;
    c->rc = c->k->close(c->ch);
}

TEST_EACH_KIND(a_hook_that_runs_inside_the_call_may_close_the_channel)
{
    for (int sending = 0; sending < 2; sending++) {
        struct closing c = {k, rendezvous(k), -1};
        weir_ctx ctx;
        weir_ctx_hook hook;
        uint64_t v = 1;
        int rc;
        weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
        REQUIRE(weir_ctx_on_cancel(&ctx, &hook, close_from_hook, &c) == 0);
        while (weir_now() < weir_ctx_deadline(&ctx)) {}
        rc = sending ? k->send(&ctx, c.ch, &v) : k->recv(&ctx, c.ch, &v);
        CHECK(rc == ETIMEDOUT || rc == EPIPE);
        CHECK_INT(c.rc, 0);
        weir_ctx_free(&ctx);
        k->free(&c.ch);
    }
}

/* ---- first come, first served ---- */

TEST_EACH_KIND(waiting_peers_are_met_in_the_order_in_which_they_came)
{
    enum { MANY = 8, GONE = 3 };
    struct caller peers[MANY];
    struct test_team *teams[MANY];
    weir_ctx ctx;
    for (int sending = 0; sending < 2; sending++) {
        void *ch = rendezvous(k);
        const int n = sending ? senders_of(k, MANY) : receivers_of(k, MANY);
        weir_ctx_init(&ctx, NULL);
        for (int i = 0; i < n; i++) {
            weir_ctx *own = i == GONE ? &ctx : NULL;
            teams[i] =
                sending ? start_sender(&peers[i], k, ch, own, (uint64_t)i) : start_receiver(&peers[i], k, ch, own);
        }
        weir_ctx_cancel(&ctx, 0); /* one in the middle leaves */
        if (n > GONE)
            test_join(teams[GONE]);
        for (int i = 0; i < n; i++) {
            uint64_t v = (uint64_t)i;
            if (i == GONE)
                continue;
            CHECK_INT(sending ? k->recv(NULL, ch, &v) : k->send(NULL, ch, &v), 0);
            CHECK_INT(v, i);
            test_join(teams[i]);
            CHECK_INT(peers[i].rc, 0);
            CHECK_INT(peers[i].value, sending ? 0 : i);
        }
        CHECK(left_empty(inside(ch)));
        weir_ctx_free(&ctx);
        k->free(&ch);
    }
}
