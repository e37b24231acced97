/* tests/chan/test_suspend.c: a thread stopped in the middle of an operation, at a point that the library names, for as long as the
 * test likes. Nothing here depends on timing: what must happen is waited for, and what must not is given time to happen wrongly. */
static void reached(const char *point);
#define WEIR_HOOK(point) reached(point)
#include "harness.h"
#include "kinds.h"

/* A gate stops the first thread that wants to pass `point` for it, until it is opened. */
struct gate {
    const char *point;
    int shut, reached, open; /* atomic */
};
static _Thread_local struct gate *my_gate; /* the one that this thread is to stop at */
static int parkings;                       /* atomic: how often any thread was about to sleep */

static void reached(const char *point)
{
    struct gate *g = my_gate;
    if (strcmp(point, "parking") == 0)
        __atomic_add_fetch(&parkings, 1, __ATOMIC_ACQ_REL);
    if (g == NULL || strcmp(point, g->point) != 0)
        return;
    my_gate = NULL;
    store_int(&g->reached, 1);
    while (!load_int(&g->open))
        sched_yield();
}

enum action { SEND, TRY_SEND, RECV, TRY_RECV, CLOSE };

/* One thread that does one thing. */
struct actor {
    const struct kind *k;
    void *ch;
    enum action action;
    uint64_t v;
    struct gate gate; /* point NULL: does not stop */
    weir_ns deadline; /* 0: none */
    int rc, done;     /* done: atomic */
    struct test_team *thread;
};

static int act(struct actor *a)
{
    const weir_ns deadline = a->deadline != 0 ? a->deadline : WEIR_FOREVER;
    switch (a->action) {
    case SEND: return a->k->send_until(NULL, a->ch, &a->v, deadline);
    case TRY_SEND: return a->k->try_send(a->ch, &a->v);
    case RECV: return a->k->recv_until(NULL, a->ch, &a->v, deadline);
    case TRY_RECV: return a->k->try_recv(a->ch, &a->v);
    default: return a->k->close(a->ch);
    }
}

static void actor_main(void *p)
{
    struct actor *a = (struct actor *)p;
    my_gate = a->gate.point != NULL ? &a->gate : NULL;
    a->rc = act(a);
    my_gate = NULL;
    store_int(&a->done, 1);
}

static void start(struct actor *a, const struct kind *k, void *ch, enum action action, uint64_t v, const char *point)
{
    memset(a, 0, sizeof *a);
    a->k = k;
    a->ch = ch;
    a->action = action;
    a->v = v;
    a->rc = -1;
    a->gate.point = point;
    a->thread = test_start(1, actor_main, a, 0);
    if (point != NULL)
        EVENTUALLY(load_int(&a->gate.reached));
}

static void go_on(struct actor *a)
{
    store_int(&a->gate.open, 1);
}

/* Its result, once it has come. */
static int outcome(struct actor *a)
{
    EVENTUALLY(load_int(&a->done));
    REQUIRE(load_int(&a->done)); /* or the join would hang */
    test_join(a->thread);
    return a->rc;
}

static void still_waits(struct actor *a)
{
    let_others_run();
    CHECK(!load_int(&a->done));
}

static void expect_values(const struct kind *k, void *ch, uint64_t first, uint64_t last)
{
    for (uint64_t v, want = first; want <= last; want++) {
        CHECK_INT(k->try_recv(ch, &v), 0);
        CHECK_INT(v, want);
    }
    CHECK_INT(k->try_recv(ch, NULL), EAGAIN);
}

/* ---- a sender stopped between claim and publish ---- */

static void check_others_go_on(const struct kind *k, void *ch, struct actor *s1)
{
    uint64_t v;
    for (v = 1; v < 4; v++)
        CHECK_INT(k->try_send(ch, &v), 0);
    CHECK_INT(k->try_send(ch, &v), EAGAIN); /* its place counts */
    CHECK_INT(k->len(ch), 4);
    CHECK(!load_int(&s1->done));
    go_on(s1);
    CHECK_INT(outcome(s1), 0);
    expect_values(k, ch, 0, 3);
}

/* On ck a sender waits for earlier ones; nothing is lost. */
static void check_others_wait(const struct kind *k, void *ch, struct actor *s1)
{
    struct actor s2;
    start(&s2, k, ch, SEND, 1, NULL);
    EVENTUALLY(k->len(ch) == 2); /* it has claimed its place */
    still_waits(&s2);
    go_on(s1);
    CHECK_INT(outcome(s1), 0);
    CHECK_INT(outcome(&s2), 0);
    expect_values(k, ch, 0, 1);
}

TEST_MANY_SENDERS(a_stopped_sender_stops_no_sender)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct actor s1;
    start(&s1, k, ch, SEND, 0, "send claimed");
    (on_ck(k) ? check_others_wait : check_others_go_on)(k, ch, &s1);
    k->free(&ch);
}

/* A later value is in: "empty" would be a lie, and to deliver it would break the one FIFO. */
TEST_MANY_SENDERS(try_recv_does_not_lie_behind_a_stopped_sender)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct actor s1, s2, r;
    start(&s1, k, ch, SEND, 0, "send claimed");
    start(&s2, k, ch, SEND, 1, NULL);
    if (!on_ck(k))
        CHECK_INT(outcome(&s2), 0);
    start(&r, k, ch, TRY_RECV, 99, NULL);
    still_waits(&r);
    go_on(&s1);
    CHECK_INT(outcome(&s1), 0);
    if (on_ck(k))
        CHECK_INT(outcome(&s2), 0);
    CHECK_INT(outcome(&r), 0);
    CHECK_INT(r.v, 0);
    expect_values(k, ch, 1, 1);
    k->free(&ch);
}

/* A lone sender has claimed nothing that anybody sees: the channel is empty, and says so at once. */
TEST_ONE_SENDER(try_recv_says_empty_behind_a_lone_stopped_sender)
{
    void *ch = open_channel(k, 2, WEIR_WAIT_PARK);
    struct actor s;
    if (!closes_by_limit(k))
        SKIP("on ck, with several receivers, a lone sender claims as several do");
    start(&s, k, ch, SEND, 0, "send claimed");
    CHECK_INT(k->try_recv(ch, NULL), EAGAIN);
    CHECK_INT(k->len(ch), 0);
    go_on(&s);
    CHECK_INT(outcome(&s), 0);
    expect_values(k, ch, 0, 0);
    k->free(&ch);
}

/* A receiver that does wait sleeps, and is woken when the stopped sender publishes. */
TEST_EACH_KIND(a_receiver_behind_a_stopped_sender_is_woken)
{
    void *ch = open_channel(k, 2, WEIR_WAIT_PARK);
    struct actor s, r;
    start(&s, k, ch, SEND, 5, "send claimed");
    start(&r, k, ch, RECV, 0, NULL);
    EVENTUALLY(receivers_waiting(ch) == 1);
    go_on(&s);
    CHECK_INT(outcome(&s), 0);
    CHECK_INT(outcome(&r), 0);
    CHECK_INT(r.v, 5);
    k->free(&ch);
}

/* The scenario at the head of chan/wait.h, with n receivers asleep and n - 1 values behind that of the stopped sender 1. Each of those
 * values wakes one receiver, which finds the head not ready and sleeps again. */
static void check_pass_on(const struct kind *k, int n)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct actor s1, r[4];
    uint64_t v, got = 0;
    int parked = load_int(&parkings);
    for (int i = 0; i < n; i++) {
        start(&r[i], k, ch, RECV, 99, NULL);
        ++parked;
        EVENTUALLY(load_int(&parkings) == parked);
    }
    start(&s1, k, ch, SEND, 0, "send claimed");
    for (v = 1; v < (uint64_t)n; v++) {
        CHECK_INT(k->try_send(ch, &v), 0);
        ++parked;
        EVENTUALLY(load_int(&parkings) == parked);
    }
    go_on(&s1); /* one publish, one wake-up: the others are passed on */
    CHECK_INT(outcome(&s1), 0);
    for (int i = 0; i < n; i++) {
        CHECK_INT(outcome(&r[i]), 0);
        got |= 1U << r[i].v;
    }
    CHECK_INT(got, (1U << n) - 1);
    CHECK_INT(receivers_waiting(ch), 0);
    k->free(&ch);
}

TEST(wake_ups_spent_in_vain_are_passed_on_to_receivers)
{
    if (on_ck(&kinds[0]))
        SKIP("on ck sender 2 waits for sender 1");
    for (int n = 2; n <= 4; n++)
        check_pass_on(&kinds[0], n);
}

/* The same on the other side: receiver 1 stopped with the oldest value, receiver 2 has taken the next, and woke a sender in vain. */
TEST(wake_ups_spent_in_vain_are_passed_on_to_senders)
{
    const struct kind *k = &kinds[0];
    void *ch = open_channel(k, 2, WEIR_WAIT_PARK);
    struct actor s[2], r1, r2;
    const int parked = load_int(&parkings);
    if (on_ck(k))
        SKIP("ck has no such point: it copies before it claims");
    CHECK_INT(fill(k, ch, 0), 2);
    for (int i = 0; i < 2; i++) {
        start(&s[i], k, ch, SEND, 2, NULL);
        EVENTUALLY(load_int(&parkings) == parked + 1 + i);
    }
    start(&r1, k, ch, RECV, 99, "recv claimed");
    start(&r2, k, ch, RECV, 99, NULL);
    CHECK_INT(outcome(&r2), 0);
    CHECK_INT(r2.v, 1);
    EVENTUALLY(load_int(&parkings) == parked + 3);
    go_on(&r1);
    CHECK_INT(outcome(&r1), 0);
    CHECK_INT(r1.v, 0);
    CHECK_INT(outcome(&s[0]), 0);
    CHECK_INT(outcome(&s[1]), 0);
    CHECK_INT(k->len(ch), 2);
    k->free(&ch);
}

/* ---- a receiver stopped between claim and release ---- */

TEST_MANY_RECEIVERS(a_stopped_receiver_stops_no_receiver)
{
    void *ch = open_channel(k, 3, WEIR_WAIT_PARK);
    struct actor r1, s;
    uint64_t v;
    if (on_ck(k))
        SKIP("ck has no such point: it copies before it claims");
    CHECK_INT(fill(k, ch, 0), 3);
    start(&r1, k, ch, RECV, 99, "recv claimed");
    for (uint64_t want = 1; want < 3; want++) {
        CHECK_INT(k->try_recv(ch, &v), 0);
        CHECK_INT(v, want);
    }
    CHECK_INT(k->try_recv(ch, &v), EAGAIN);
    CHECK_INT(k->len(ch), 0);
    /* Three places are free, but the next one in turn is not yet: "full" would be a lie. */
    start(&s, k, ch, TRY_SEND, 3, NULL);
    still_waits(&s);
    go_on(&r1);
    CHECK_INT(outcome(&r1), 0);
    CHECK_INT(r1.v, 0);
    CHECK_INT(outcome(&s), 0);
    expect_values(k, ch, 3, 3);
    k->free(&ch);
}

TEST_EACH_KIND(a_sender_behind_a_stopped_receiver_is_woken)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_PARK);
    struct actor r, s;
    if (on_ck(k))
        SKIP("ck has no such point: it copies before it claims");
    CHECK_INT(fill(k, ch, 0), 1);
    start(&r, k, ch, RECV, 99, "recv claimed");
    start(&s, k, ch, SEND, 1, NULL);
    EVENTUALLY(senders_waiting(ch) == 1);
    go_on(&r);
    CHECK_INT(outcome(&r), 0);
    CHECK_INT(outcome(&s), 0);
    expect_values(k, ch, 1, 1);
    k->free(&ch);
}

/* ---- closing ---- */

/* The send claimed its place before the close, and is stopped until that has returned. With several senders the claim counts: it is
 * delivered, and until then no receiver hears "closed and drained". A lone sender's claim is its own affair: it is refused. */
TEST_EACH_KIND(a_send_that_claimed_before_the_close)
{
    void *ch = open_channel(k, 2, WEIR_WAIT_PARK);
    struct actor s, r;
    start(&s, k, ch, SEND, 5, "send claimed");
    CHECK_INT(k->close(ch), 0);
    CHECK(k->is_closed(ch));
    start(&r, k, ch, RECV, 99, NULL);
    if (!closes_by_limit(k))
        still_waits(&r);
    else
        CHECK_INT(outcome(&r), EPIPE);
    go_on(&s);
    CHECK_INT(outcome(&s), closes_by_limit(k) ? EPIPE : 0);
    if (!closes_by_limit(k)) {
        CHECK_INT(outcome(&r), 0);
        CHECK_INT(r.v, 5);
    }
    CHECK_INT(k->try_recv(ch, NULL), EPIPE);
    CHECK_INT(k->len(ch), 0);
    k->free(&ch);
}

/* The closer is stopped in the middle. A send that meets it waits for it and then knows whether it counts; here it does, for the
 * limit is fixed afterwards. Nobody invents an answer meanwhile. */
TEST_ONE_SENDER(a_send_that_meets_a_stopped_closer_waits_for_the_truth)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct actor closer, s, r;
    if (!closes_by_limit(k))
        SKIP("on ck, with several receivers, closing is one step");
    CHECK_INT(k->send(NULL, ch, &(uint64_t){0}), 0);
    start(&closer, k, ch, CLOSE, 0, "closing");
    start(&s, k, ch, SEND, 1, NULL);
    EVENTUALLY(k->len(ch) == 2); /* it has published */
    still_waits(&s);
    start(&r, k, ch, RECV, 99,
          NULL); /* what was sent before any of this may be taken now, or when the limit is known */
    go_on(&closer);
    CHECK_INT(outcome(&closer), 0);
    CHECK_INT(outcome(&s), 0);
    CHECK_INT(outcome(&r), 0);
    CHECK_INT(r.v, 0);
    CHECK_INT(k->recv(NULL, ch, &r.v), 0);
    CHECK_INT(r.v, 1);
    CHECK_INT(k->recv(NULL, ch, &r.v), EPIPE);
    CHECK_INT(k->try_send(ch, &r.v), EPIPE);
    k->free(&ch);
}

/* A receiver that meets the stopped closer neither takes what may not count nor says "drained". A second closer says EPIPE only when
 * the channel really is closed. */
TEST_ONE_SENDER(a_receiver_that_meets_a_stopped_closer_waits_for_the_truth)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct actor closer, r, closer2;
    if (!closes_by_limit(k))
        SKIP("on ck, with several receivers, closing is one step");
    start(&closer, k, ch, CLOSE, 0, "closing");
    start(&r, k, ch, RECV, 99, NULL);
    still_waits(&r);
    start(&closer2, k, ch, CLOSE, 0, NULL);
    still_waits(&closer2);
    go_on(&closer);
    CHECK_INT(outcome(&closer), 0);
    CHECK_INT(outcome(&closer2), EPIPE);
    CHECK(k->is_closed(ch));
    CHECK_INT(outcome(&r), EPIPE);
    k->free(&ch);
}

/* About to sleep when the close comes: the last look, or the wake-up, tells it. */
TEST_EACH_KIND(a_close_between_the_last_look_and_the_sleep)
{
    for (int sends = 0; sends < 2; sends++) {
        void *ch = open_channel(k, 1, WEIR_WAIT_PARK);
        struct actor a;
        if (sends)
            CHECK_INT(fill(k, ch, 0), 1);
        start(&a, k, ch, sends ? SEND : RECV, 99, "parking");
        CHECK_INT(k->close(ch), 0);
        go_on(&a);
        CHECK_INT(outcome(&a), EPIPE);
        CHECK_INT(a.v, 99);
        k->free(&ch);
    }
}

/* Likewise when what it waits for comes. */
TEST_EACH_KIND(a_value_between_the_last_look_and_the_sleep)
{
    for (int sends = 0; sends < 2; sends++) {
        void *ch = open_channel(k, 1, WEIR_WAIT_PARK);
        struct actor a;
        if (sends)
            CHECK_INT(fill(k, ch, 0), 1);
        start(&a, k, ch, sends ? SEND : RECV, 99, "parking");
        CHECK_INT(sends ? k->try_recv(ch, NULL) : k->try_send(ch, &(uint64_t){1}), 0);
        go_on(&a);
        CHECK_INT(outcome(&a), 0);
        CHECK_INT(a.v, sends ? 99 : 1);
        k->free(&ch);
    }
}

/* Two receivers lie down after the close has woken everybody: the channel is closed, but its last value is claimed and not published.
 * One gets the value; the other has to be told that there will be no more. */
TEST_MANY_SENDERS(the_last_value_after_a_close_is_news_for_all_who_wait)
{
    enum { RECEIVERS = 3 };
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct actor s, r[RECEIVERS];
    const int receivers = k->many_receivers ? RECEIVERS : 1;
    int got = 0;
    start(&s, k, ch, SEND, 5, "send claimed");
    CHECK_INT(k->close(ch), 0);
    for (int i = 0; i < receivers; i++) {
        start(&r[i], k, ch, RECV, 99, "parking");
        go_on(&r[i]);
    }
    go_on(&s);
    CHECK_INT(outcome(&s), 0);
    for (int i = 0; i < receivers; i++) {
        const int rc = outcome(&r[i]);
        CHECK(rc == 0 || rc == EPIPE);
        got += rc == 0;
        CHECK_INT(r[i].v, rc == 0 ? 5 : 99);
    }
    CHECK_INT(got, 1);
    k->free(&ch);
}
