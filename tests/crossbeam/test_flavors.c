/* tests/crossbeam/test_flavors.c: what crossbeam-channel's tests of bounded and rendezvous channels require, written afresh. */
#include "chan/queues.h"

typedef weir_chan(int) int_chan;
typedef weir_chan(int_chan) chan_chan;

static int_chan make(size_t capacity)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, capacity) == 0);
    return ch;
}

/* ---- one thread ---- */

TEST(a_value_goes_in_and_comes_out_and_then_it_is_empty)
{
    int_chan ch = make(1);
    int v = 7;
    CHECK_INT(weir_send(NULL, ch, &v), 0);
    CHECK_INT(weir_try_recv(ch, &v), 0);
    CHECK_INT(v, 7);
    v = 8;
    CHECK_INT(weir_send(NULL, ch, &v), 0);
    CHECK_INT(weir_recv(NULL, ch, &v), 0);
    CHECK_INT(v, 8);
    CHECK_INT(weir_try_recv(ch, &v), EAGAIN);
    CHECK_INT(weir_recv_until(NULL, ch, &v, weir_now() + WEIR_MS(1)), ETIMEDOUT);
    weir_chan_free(&ch);
}

TEST(the_capacity_is_what_was_asked_for)
{
    for (size_t i = 0; i < 100; i++) {
        int_chan ch = make(i);
        CHECK_INT(weir_cap(ch), i);
        weir_chan_free(&ch);
    }
}

TEST(length_counts_from_empty_to_full)
{
    int_chan ch = make(2), none = make(0);
    int v = 0;
    for (int n = 0; n < 2; n++) {
        CHECK_INT(weir_len(ch), n);
        CHECK_INT(weir_send(NULL, ch, &v), 0);
    }
    CHECK_INT(weir_len(ch), 2);
    CHECK_INT(weir_try_send(ch, &v), EAGAIN);
    CHECK_INT(weir_recv(NULL, ch, &v), 0);
    CHECK_INT(weir_len(ch), 1);
    CHECK_INT(weir_len(none), 0);
    weir_chan_free(&ch);
    weir_chan_free(&none);
}

TEST(sends_fail_after_close_and_receives_once_drained)
{
    int_chan ch = make(100);
    int v;
    for (v = 0; v < 3; v++)
        CHECK_INT(weir_send(NULL, ch, &v), 0);
    CHECK_INT(weir_close(ch), 0);
    CHECK_INT(weir_send(NULL, ch, &v), EPIPE);
    CHECK_INT(weir_try_send(ch, &v), EPIPE);
    CHECK_INT(weir_send_until(NULL, ch, &v, weir_now() + WEIR_MS(1)), EPIPE);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(weir_recv(NULL, ch, &v), 0);
        CHECK_INT(v, i);
    }
    CHECK_INT(weir_recv(NULL, ch, &v), EPIPE);
    CHECK_INT(weir_try_recv(ch, &v), EPIPE);
    CHECK_INT(weir_recv_until(NULL, ch, &v, weir_now() + WEIR_MS(1)), EPIPE);
    weir_chan_free(&ch);
}

TEST(two_handles_of_one_channel_are_equal_and_of_two_are_not)
{
    int_chan a = make(1), b = make(1), c = a;
    weir_timer t, u;
    REQUIRE(weir_after(&t, 0) == 0 && weir_tick(&u, 1) == 0);
    CHECK(a.core == c.core);
    CHECK(a.core != b.core);
    CHECK(t.core != u.core);
    weir_chan_free(&a);
    weir_chan_free(&b);
    weir_chan_free(&t);
    weir_chan_free(&u);
}

/* ---- several threads, capacities 0 and up ---- */

static const size_t capacities[] = {0, 1, 2, 3, 100};
enum { CAPACITIES = sizeof capacities / sizeof capacities[0] };

struct side {
    int_chan ch;
    int rc, n;
    long *counts; /* by value, atomic */
};

static void send_one(void *p)
{
    struct side *s = (struct side *)p;
    s->rc = weir_send(NULL, s->ch, &s->n);
}

static void recv_one(void *p)
{
    struct side *s = (struct side *)p;
    s->rc = weir_recv(NULL, s->ch, &s->n);
}

static void send_many(void *p)
{
    struct side *s = (struct side *)p;
    for (int i = 0; i < s->n; i++)
        CHECK_INT(weir_send(NULL, s->ch, &i), 0);
}

static void recv_many(void *p)
{
    struct side *s = (struct side *)p;
    int v;
    for (int i = 0; i < s->n; i++)
        if (CHECK_INT(weir_recv(NULL, s->ch, &v), 0) && CHECK(v >= 0 && v < s->n))
            __atomic_add_fetch(&s->counts[v], 1, __ATOMIC_RELAXED);
}

TEST(closing_wakes_a_blocked_sender_and_a_blocked_receiver)
{
    for (int c = 0; c < 3; c++) {
        struct side s = {make(capacities[c]), 0, 1, NULL};
        struct test_team *team = test_start(1, recv_one, &s, 0);
        EVENTUALLY(waiting_receivers(s.ch) == 1);
        weir_close(s.ch);
        test_join(team);
        CHECK_INT(s.rc, EPIPE);
        weir_chan_free(&s.ch);
        s.ch = make(capacities[c]);
        while (weir_try_send(s.ch, &s.n) == 0) {}
        team = test_start(1, send_one, &s, 0);
        EVENTUALLY(waiting_senders(s.ch) == 1);
        weir_close(s.ch);
        test_join(team);
        CHECK_INT(s.rc, EPIPE);
        weir_chan_free(&s.ch);
    }
}

TEST(one_sender_and_one_receiver_keep_the_order)
{
    for (int c = 0; c < CAPACITIES; c++) {
        struct side s = {make(capacities[c]), 0, (int)test_rounds(50000), NULL};
        struct test_team *team = test_start(1, send_many, &s, 0);
        for (int i = 0; i < s.n; i++) {
            int v = -1;
            CHECK_INT(weir_recv(NULL, s.ch, &v), 0);
            CHECK_INT(v, i);
        }
        test_join(team);
        CHECK_INT(weir_try_recv(s.ch, &s.n), EAGAIN);
        weir_chan_free(&s.ch);
    }
}

TEST(four_senders_and_four_receivers_deliver_each_value_once)
{
    const int threads = test_wide(4);
    for (int c = 0; c < CAPACITIES; c++) {
        struct side s = {make(capacities[c]), 0, (int)test_rounds(10000), NULL};
        s.counts = (long *)calloc((size_t)s.n, sizeof *s.counts);
        REQUIRE(s.counts != NULL);
        struct test_team *in = test_start(threads, send_many, &s, 0), *out = test_start(threads, recv_many, &s, 0);
        test_join(in);
        test_join(out);
        for (int i = 0; i < s.n; i++)
            CHECK_INT(s.counts[i], threads);
        CHECK_INT(weir_len(s.ch), 0);
        free(s.counts);
        weir_chan_free(&s.ch);
    }
}

TEST(a_fresh_channel_for_each_value)
{
    for (long r = test_rounds(1000); r > 0; r--) {
        struct side s = {make((size_t)r % 2), 0, 0, NULL}, out = s;
        struct test_team *in = test_start(1, send_one, &s, 0);
        CHECK_INT(weir_recv(NULL, s.ch, &out.n), 0);
        test_join(in);
        CHECK_INT(s.rc, 0);
        weir_chan_free(&s.ch);
    }
}

static void send_with_short_deadlines(void *p)
{
    struct side *s = (struct side *)p;
    for (int i = 0; i < s->n; i++) {
        int rc, misses = 0;
        while ((rc = weir_send_until(NULL, s->ch, &i, soon(WEIR_US(i % 2 ? 100 : 1), misses++))) == ETIMEDOUT) {}
        CHECK_INT(rc, 0);
    }
}

TEST(deadlines_on_both_sides_lose_and_double_nothing)
{
    for (int c = 0; c < 3; c++) {
        struct side s = {make(capacities[c]), 0, (int)test_rounds(3000), NULL};
        struct test_team *team = test_start(1, send_with_short_deadlines, &s, 0);
        for (int i = 0; i < s.n; i++) {
            int rc, v = -1, misses = 0;
            while ((rc = weir_recv_until(NULL, s.ch, &v, soon(WEIR_US(i % 3 ? 1 : 100), misses++))) == ETIMEDOUT) {}
            CHECK_INT(rc, 0);
            CHECK_INT(v, i);
        }
        test_join(team);
        weir_chan_free(&s.ch);
    }
}

/* Each puts one in and takes one out: with a place per thread no try can fail. */
struct balanced {
    int_chan ch;
    long rounds;
};

static void put_and_take(void *p)
{
    struct balanced *b = (struct balanced *)p;
    int v = 0;
    for (long i = 0; i < b->rounds; i++) {
        CHECK_INT(weir_send(NULL, b->ch, &v), 0);
        CHECK_INT(weir_try_recv(b->ch, &v), 0);
    }
}

TEST(who_has_sent_can_receive_at_once)
{
    const int threads = test_wide(4);
    struct balanced b = {make((size_t)threads), test_rounds(50000)};
    test_threads(threads, put_and_take, &b, 0);
    CHECK_INT(weir_len(b.ch), 0);
    weir_chan_free(&b.ch);
}

/* ---- channels as values ---- */

static void send_channels(void *p)
{
    chan_chan outer = *(chan_chan *)p;
    for (int i = 0; i < 200; i++) {
        int_chan inner = make((size_t)i % 2);
        CHECK_INT(weir_send(NULL, outer, &inner), 0);
        CHECK_INT(weir_send(NULL, inner, &i), 0);
    }
}

TEST(a_channel_travels_through_a_channel)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        chan_chan outer;
        REQUIRE(weir_chan_make(&outer, capacity) == 0);
        struct test_team *team = test_start(1, send_channels, &outer, 0);
        int_chan inners[200];
        for (int i = 0; i < 200; i++) {
            int v = -1;
            CHECK_INT(weir_recv(NULL, outer, &inners[i]), 0);
            CHECK_INT(weir_recv(NULL, inners[i], &v), 0);
            CHECK_INT(v, i);
        }
        test_join(team); /* only now have its calls on them returned */
        for (int i = 0; i < 200; i++)
            weir_chan_free(&inners[i]);
        weir_chan_free(&outer);
    }
}

/* ---- fairness among ready channels: each of two that are always ready gets its part ---- */

static void feed(void *p)
{
    struct side *s = (struct side *)p;
    while (weir_send(NULL, s->ch, &s->n) == 0) {}
}

TEST(two_busy_channels_are_both_served)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        const long rounds = test_rounds(10000);
        struct side sides[2] = {{make(capacity), 0, 0, NULL}, {make(capacity), 0, 1, NULL}};
        struct test_team *team = test_start(2, feed, sides, sizeof sides[0]);
        long hits[2] = {0, 0};
        while (hits[0] + hits[1] < rounds) {
            int v = -1;
            weir_case cases[] = {WEIR_RECV(sides[0].ch, &v), WEIR_RECV(sides[1].ch, &v)};
            EVENTUALLY(waiting_senders(sides[0].ch) == 1 && waiting_senders(sides[1].ch) == 1); /* so both are ready */
            const int done = weir_select(NULL, cases, 2);
            CHECK(done == v);
            hits[done]++;
        }
        CHECK(hits[0] > rounds / 4 && hits[1] > rounds / 4);
        for (int i = 0; i < 2; i++)
            weir_close(sides[i].ch);
        test_join(team);
        for (int i = 0; i < 2; i++)
            weir_chan_free(&sides[i].ch);
    }
}
