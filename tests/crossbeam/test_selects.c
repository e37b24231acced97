/* tests/crossbeam/test_selects.c: what crossbeam-channel's tests of select (and of readiness) require, written afresh. */
#include "chan/queues.h"

typedef weir_chan(int) int_chan;

static int_chan make(size_t capacity)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, capacity) == 0);
    return ch;
}

TEST(of_two_channels_the_one_with_a_value_is_received)
{
    int_chan a = make(1), b = make(1);
    int v = 1, got = 0;
    weir_case cases[] = {WEIR_RECV(a, &got), WEIR_RECV(b, &got)};
    CHECK_INT(weir_send(NULL, a, &v), 0);
    CHECK_INT(weir_select(NULL, cases, 2), 0);
    v = 2;
    CHECK_INT(weir_send(NULL, b, &v), 0);
    CHECK_INT(weir_select(NULL, cases, 2), 1);
    CHECK_INT(got, 2);
    weir_chan_free(&a);
    weir_chan_free(&b);
}

TEST(of_five_channels_the_one_with_a_value_is_received)
{
    int_chan ch[5];
    int v = 5, got = 0;
    weir_case cases[5];
    for (int i = 0; i < 5; i++) {
        ch[i] = make(1);
        cases[i] = WEIR_RECV(ch[i], &got);
    }
    CHECK_INT(weir_send(NULL, ch[4], &v), 0);
    CHECK_INT(weir_select(NULL, cases, 5), 4);
    CHECK_INT(got, 5);
    for (int i = 0; i < 5; i++)
        weir_chan_free(&ch[i]);
}

struct later {
    int_chan ch;
    int what; /* 0 close, 1 send, 2 receive */
};

static void do_later(void *p)
{
    struct later *l = (struct later *)p;
    int v = 9;
    EVENTUALLY(waiting_receivers(l->ch) + waiting_senders(l->ch) > 0);
    if (l->what == 0)
        CHECK_INT(weir_close(l->ch), 0);
    else
        CHECK_INT(l->what == 1 ? weir_send(NULL, l->ch, &v) : weir_recv(NULL, l->ch, &v), 0);
}

TEST(a_blocked_select_is_unblocked_by_close_send_and_receive)
{
    for (int what = 0; what < 3; what++)
        for (int at = 0; at < 2; at++) {
            int_chan ch[2] = {make(0), make(0)};
            struct later l = {ch[at], what};
            int v = 3;
            weir_case cases[2];
            for (int i = 0; i < 2; i++)
                cases[i] = what == 2 ? WEIR_SEND(ch[i], &v) : WEIR_RECV(ch[i], &v);
            struct test_team *team = test_start(1, do_later, &l, 0);
            CHECK_INT(weir_select_until(NULL, cases, 2, weir_now() + WEIR_SEC(60)), at);
            CHECK_INT(cases[at].status, what == 0 ? EPIPE : 0);
            CHECK_INT(v, what == 1 ? 9 : 3);
            test_join(team);
            weir_chan_free(&ch[0]);
            weir_chan_free(&ch[1]);
        }
}

TEST(the_default_is_taken_only_if_nothing_is_ready)
{
    int_chan a = make(0), b = make(1);
    int v = 4;
    weir_case cases[] = {WEIR_RECV(a, &v), WEIR_RECV(b, &v)};
    CHECK_INT(weir_try_select(cases, 2), -EAGAIN);
    CHECK_INT(weir_send(NULL, b, &v), 0);
    CHECK_INT(weir_try_select(cases, 2), 1);
    weir_close(a);
    CHECK_INT(weir_try_select(cases, 2), 0); /* closed is ready */
    CHECK_INT(cases[0].status, EPIPE);
    CHECK_INT(weir_select_until(NULL, cases, 2, 0), 0);
    CHECK_INT(weir_select_until(NULL, NULL, 0, weir_now() + WEIR_MS(1)), -ETIMEDOUT);
    weir_chan_free(&a);
    weir_chan_free(&b);
}

TEST(of_two_ready_operations_both_come_to_pass_in_two_selects)
{
    for (int i = 0; i < 200; i++) {
        int_chan in = make(1), out = make(1);
        int v = 1, got = 0, done[2];
        weir_case cases[] = {WEIR_RECV(in, &got), WEIR_SEND(out, &v)};
        CHECK_INT(weir_send(NULL, in, &v), 0);
        for (int k = 0; k < 2; k++)
            done[k] = weir_select(NULL, cases, 2);
        CHECK_INT(done[0] + done[1], 1);
        CHECK_INT(weir_try_select(cases, 2), -EAGAIN);
        weir_chan_free(&in);
        weir_chan_free(&out);
    }
}

TEST(the_same_operation_listed_twice_happens_once)
{
    int_chan ch = make(1);
    int got[2] = {0, 0}, v = 6;
    for (int i = 0; i < 500; i++) {
        weir_case cases[] = {WEIR_RECV(ch, &got[0]), WEIR_RECV(ch, &got[1])};
        CHECK_INT(weir_send(NULL, ch, &v), 0);
        const int done = weir_select(NULL, cases, 2);
        CHECK(done == 0 || done == 1);
        CHECK_INT(weir_try_select(cases, 2), -EAGAIN);
    }
    CHECK(got[0] == 6 && got[1] == 6); /* both get their turn */
    weir_chan_free(&ch);
}

/* ---- streams through selects ---- */

struct stream {
    int_chan a, b, acknowledge;
    int n;
};

static void send_alternately(void *p)
{
    struct stream *s = (struct stream *)p;
    int v;
    for (int i = 0; i < s->n; i++) {
        CHECK_INT(weir_send(NULL, i % 2 ? s->a : s->b, &i), 0);
        CHECK_INT(weir_recv(NULL, s->acknowledge, &v), 0);
    }
}

TEST(a_select_receives_what_comes_on_either_channel)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        struct stream s = {make(capacity), make(0), make(1), (int)test_rounds(10000)};
        struct test_team *team = test_start(1, send_alternately, &s, 0);
        for (int i = 0; i < s.n; i++) {
            int v = -1;
            weir_case cases[] = {WEIR_RECV(s.b, &v), WEIR_RECV(s.a, &v)};
            CHECK_INT(weir_select(NULL, cases, 2), i % 2);
            CHECK_INT(v, i);
            CHECK_INT(weir_send(NULL, s.acknowledge, &v), 0);
        }
        test_join(team);
        weir_chan_free(&s.a);
        weir_chan_free(&s.b);
        weir_chan_free(&s.acknowledge);
    }
}

static void receive_then_send(void *p)
{
    struct stream *s = (struct stream *)p;
    int v;
    for (int i = 0; i < s->n; i++) {
        CHECK_INT(weir_recv(NULL, s->a, &v), 0);
        CHECK_INT(v, i);
        CHECK_INT(weir_send(NULL, s->b, &i), 0);
    }
}

TEST(a_select_sends_on_one_and_receives_on_the_other)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        struct stream s = {make(0), make(capacity), make(0), (int)test_rounds(10000)};
        struct test_team *team = test_start(1, receive_then_send, &s, 0);
        for (int sent = 0, received = 0; received < s.n;) {
            int v = -1;
            const int_chan none = {NULL};
            const int_chan to = sent < s.n ? s.a : none; /* a null channel takes a case out */
            weir_case cases[] = {WEIR_SEND(to, &sent), WEIR_RECV(s.b, &v)};
            if (weir_select(NULL, cases, 2) == 0) {
                sent++;
            } else {
                CHECK_INT(v, received);
                received++;
            }
        }
        test_join(team);
        weir_chan_free(&s.a);
        weir_chan_free(&s.b);
        weir_chan_free(&s.acknowledge);
    }
}

static void select_with_short_deadlines(void *p)
{
    struct stream *s = (struct stream *)p;
    for (int i = 0; i < s->n; i++) {
        weir_case c = WEIR_SEND(s->a, &i);
        int done, misses = 0;
        while ((done = weir_select_until(NULL, &c, 1, soon(WEIR_US(i % 2 ? 50 : 1), misses++))) == -ETIMEDOUT) {}
        CHECK_INT(done, 0);
    }
}

TEST(selects_with_short_deadlines_on_both_sides_lose_nothing)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        struct stream s = {make(capacity), make(0), make(0), (int)test_rounds(5000)};
        struct test_team *team = test_start(1, select_with_short_deadlines, &s, 0);
        for (int i = 0; i < s.n; i++) {
            int v = -1, done, misses = 0;
            weir_case cases[] = {WEIR_RECV(s.a, &v), WEIR_RECV(s.b, &v)};
            while ((done = weir_select_until(NULL, cases, 2, soon(WEIR_US(i % 3 ? 1 : 50), misses++))) == -ETIMEDOUT) {}
            CHECK_INT(done, 0);
            CHECK_INT(v, i);
        }
        test_join(team);
        weir_chan_free(&s.a);
        weir_chan_free(&s.b);
        weir_chan_free(&s.acknowledge);
    }
}

/* ---- pairs: everybody sends or receives, whichever comes; with an odd one out ---- */

struct pairing {
    int_chan ch;
    int sent, received; /* atomic */
};

struct person {
    struct pairing *pairing;
    int name;
};

static void find_a_partner(void *p)
{
    struct person *me = (struct person *)p;
    int other = -1;
    weir_case cases[] = {WEIR_RECV(me->pairing->ch, &other), WEIR_SEND(me->pairing->ch, &me->name)};
    if (weir_select(NULL, cases, 2) == 0) {
        CHECK(other != me->name);
        __atomic_add_fetch(&me->pairing->received, 1, __ATOMIC_RELAXED);
    } else {
        __atomic_add_fetch(&me->pairing->sent, 1, __ATOMIC_RELAXED);
    }
}

TEST(threads_pair_up_and_an_odd_one_is_left_for_a_plain_call)
{
    enum { MOST = 13 };
    for (int n = 2; n <= MOST; n++)
        for (long r = test_rounds(20); r > 0; r--) {
            struct pairing pairing = {make(0), 0, 0};
            struct person people[MOST];
            int v = 100;
            for (int i = 0; i < n; i++) {
                people[i].pairing = &pairing;
                people[i].name = i;
            }
            struct test_team *team = test_start(n, find_a_partner, people, sizeof people[0]);
            if (n % 2)
                CHECK_INT(r % 2 ? weir_send(NULL, pairing.ch, &v) : weir_recv(NULL, pairing.ch, &v), 0);
            test_join(team);
            CHECK_INT(pairing.sent + pairing.received, n);
            CHECK_INT(pairing.received - pairing.sent, n % 2 == 0 ? 0 : r % 2 ? 1 : -1);
            CHECK(queues_are_empty(pairing.ch));
            weir_chan_free(&pairing.ch);
        }
}

/* ---- each puts a value in by select and takes one out by select: with a place per thread, the try cannot fail ---- */

struct balanced {
    int_chan ch;
    long rounds;
};

static void put_and_take(void *p)
{
    struct balanced *b = (struct balanced *)p;
    const int_chan none = {NULL};
    int v = 0;
    for (long i = 0; i < b->rounds; i++) {
        weir_case put[] = {WEIR_SEND(none, &v), WEIR_SEND(b->ch, &v)},
                  take[] = {WEIR_RECV(b->ch, &v), WEIR_RECV(none, &v)};
        CHECK_INT(weir_select(NULL, put, 2), 1);
        CHECK_INT(i % 2 ? weir_try_select(take, 2) : weir_try_select(take, 1), 0);
    }
}

TEST(who_has_sent_by_select_can_receive_by_a_try_at_once)
{
    const int threads = test_wide(4);
    struct balanced b = {make((size_t)threads), test_rounds(50000)};
    test_threads(threads, put_and_take, &b, 0);
    CHECK_INT(weir_len(b.ch), 0);
    weir_chan_free(&b.ch);
}

/* Values of several threads, tried in a loop, against blocking senders. */
static void send_blocking(void *p)
{
    struct stream *s = (struct stream *)p;
    for (int i = 0; i < s->n; i++)
        CHECK_INT(weir_send(NULL, i % 2 ? s->a : s->b, &i), 0);
}

TEST(a_loop_of_tries_gets_everything)
{
    struct stream s = {make(0), make(1), make(0), (int)test_rounds(10000)};
    struct test_team *team = test_start(1, send_blocking, &s, 0);
    for (int i = 0; i < s.n;) {
        int v = -1;
        weir_case cases[] = {WEIR_RECV(s.a, &v), WEIR_RECV(s.b, &v)};
        const int done = weir_try_select(cases, 2);
        if (done < 0) {
            CHECK_INT(done, -EAGAIN);
            sched_yield();
            continue;
        }
        CHECK_INT(v % 2, done == 0);
        i++;
    }
    test_join(team);
    weir_chan_free(&s.a);
    weir_chan_free(&s.b);
    weir_chan_free(&s.acknowledge);
}
