/* tests/golang/test_channels.c: what Go's tests of plain channels require (runtime/chan_test.go, test/chan/fifo.go, nonblock.go,
 * close.go), written afresh. */
#include "chan/queues.h"

typedef weir_chan(int) int_chan;

static int_chan make(size_t capacity)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, capacity) == 0);
    return ch;
}

/* ---- what blocks, for every small capacity ---- */

struct peer {
    int_chan ch;
    int n, first;
    int rc; /* atomic */
};

static void receive_into_peer(void *p)
{
    struct peer *r = (struct peer *)p;
    set(&r->rc, weir_recv(NULL, r->ch, &r->first));
}

static void send_from_peer(void *p)
{
    struct peer *s = (struct peer *)p;
    for (int i = 0; i < s->n; i++) {
        int v = s->first + i;
        CHECK_INT(weir_send(NULL, s->ch, &v), 0);
    }
    set(&s->rc, 0);
}

TEST(a_receive_from_an_empty_channel_blocks_until_a_value_comes)
{
    for (size_t capacity = 0; capacity < 20; capacity++) {
        int_chan ch = make(capacity);
        struct peer r[2] = {{ch, 1, -1, -1}, {ch, 1, -1, -1}};
        int v = 41, got = -1;
        CHECK_INT(weir_try_recv(ch, &got), EAGAIN);
        weir_case cases[] = {WEIR_RECV(ch, &got)};
        CHECK_INT(weir_try_select(cases, 1), -EAGAIN);
        struct test_team *team = test_start(2, receive_into_peer, r, sizeof r[0]);
        EVENTUALLY(waiting_receivers(ch) == 2);
        CHECK_INT(get(&r[0].rc) + get(&r[1].rc), -2);
        CHECK_INT(weir_send(NULL, ch, &v), 0);
        v++;
        CHECK_INT(weir_send(NULL, ch, &v), 0);
        test_join(team);
        CHECK_INT(r[0].first + r[1].first, 41 + 42);
        weir_chan_free(&ch);
    }
}

TEST(a_send_to_a_full_channel_blocks_until_there_is_room)
{
    for (size_t capacity = 0; capacity < 20; capacity++) {
        int_chan ch = make(capacity);
        int v;
        for (v = 0; v < (int)capacity; v++)
            CHECK_INT(weir_send(NULL, ch, &v), 0);
        CHECK_INT(weir_try_send(ch, &v), EAGAIN);
        weir_case cases[] = {WEIR_SEND(ch, &v)};
        CHECK_INT(weir_try_select(cases, 1), -EAGAIN);
        struct peer s = {ch, 1, (int)capacity, -1};
        struct test_team *team = test_start(1, send_from_peer, &s, 0);
        EVENTUALLY(waiting_senders(ch) == 1);
        CHECK_INT(get(&s.rc), -1);
        for (int i = 0; i <= (int)capacity; i++) {
            CHECK_INT(weir_recv(NULL, ch, &v), 0);
            CHECK_INT(v, i);
        }
        test_join(team);
        CHECK(queues_are_empty(ch));
        weir_chan_free(&ch);
    }
}

TEST(a_closed_channel_gives_what_is_in_it_and_then_its_end_again_and_again)
{
    for (size_t capacity = 1; capacity < 20; capacity++) {
        int_chan ch = make(capacity);
        for (int v = 0; v < (int)capacity; v++)
            CHECK_INT(weir_send(NULL, ch, &v), 0);
        CHECK_INT(weir_close(ch), 0);
        for (int i = 0; i < (int)capacity; i++) {
            int v = -1;
            CHECK_INT(weir_recv(NULL, ch, &v), 0);
            CHECK_INT(v, i);
        }
        for (int i = 0; i < 3; i++) {
            int v = -7;
            CHECK_INT(weir_recv(NULL, ch, &v), EPIPE);
            CHECK_INT(weir_try_recv(ch, &v), EPIPE);
            CHECK_INT(v, -7);
        }
        weir_chan_free(&ch);
    }
}

TEST(closing_ends_a_blocked_receive)
{
    for (size_t capacity = 0; capacity < 20; capacity++) {
        int_chan ch = make(capacity);
        struct peer r = {ch, 1, -1, -1};
        struct test_team *team = test_start(1, receive_into_peer, &r, 0);
        EVENTUALLY(waiting_receivers(ch) == 1);
        CHECK_INT(weir_close(ch), 0);
        test_join(team);
        CHECK_INT(r.rc, EPIPE);
        CHECK_INT(r.first, -1);
        weir_chan_free(&ch);
    }
}

TEST(a_hundred_values_come_in_the_order_in_which_they_were_sent)
{
    for (size_t capacity = 0; capacity < 20; capacity++) {
        int_chan ch = make(capacity);
        struct peer s = {ch, 100, 0, -1};
        struct test_team *team = test_start(1, send_from_peer, &s, 0);
        for (int i = 0; i < 100; i++) {
            int v = -1;
            CHECK_INT(weir_recv(NULL, ch, &v), 0);
            CHECK_INT(v, i);
        }
        test_join(team);
        weir_chan_free(&ch);
    }
}

struct crowd {
    int_chan ch;
    int rounds;
    int got[256]; /* atomic: how often each value */
};

static void send_a_share(void *p)
{
    struct crowd *c = (struct crowd *)p;
    for (int v = 0; v < 256 * c->rounds; v++) {
        int value = v % 256;
        CHECK_INT(weir_send(NULL, c->ch, &value), 0);
    }
}

static void receive_a_share(void *p)
{
    struct crowd *c = (struct crowd *)p;
    for (int i = 0, v = -1; i < 256 * c->rounds; i++) {
        CHECK_INT(weir_recv(NULL, c->ch, &v), 0);
        __atomic_add_fetch(&c->got[v], 1, __ATOMIC_RELAXED);
    }
}

TEST(four_senders_to_four_receivers_deliver_each_value_once)
{
    for (size_t capacity = 0; capacity < 10; capacity++) {
        struct crowd c;
        memset(&c, 0, sizeof c);
        c.ch = make(capacity);
        c.rounds = (int)test_rounds(10);
        struct test_team *team = test_start(4, send_a_share, &c, 0);
        test_threads(4, receive_a_share, &c, 0);
        test_join(team);
        for (int v = 0; v < 256; v++)
            CHECK_INT(c.got[v], 4 * c.rounds);
        CHECK(queues_are_empty(c.ch));
        weir_chan_free(&c.ch);
    }
}

/* ---- FIFO ---- */

struct place {
    int_chan ch;
    int id, got;
};

static void wait_in_line(void *p)
{
    struct place *w = (struct place *)p;
    EVENTUALLY(waiting_receivers(w->ch) == w->id); /* each lies down behind the one before it */
    CHECK_INT(weir_recv(NULL, w->ch, &w->got), 0);
}

TEST(receivers_that_wait_are_served_in_the_order_of_their_coming)
{
    enum { LINE = 10 };
    for (long round = 0; round < test_rounds(100); round++) {
        int_chan ch = make(0);
        struct place line[LINE];
        for (int i = 0; i < LINE; i++)
            line[i] = (struct place){ch, i, -1};
        struct test_team *team = test_start(LINE, wait_in_line, line, sizeof line[0]);
        EVENTUALLY(waiting_receivers(ch) == LINE);
        for (int i = 0; i < LINE; i++)
            CHECK_INT(weir_send(NULL, ch, &i), 0);
        test_join(team);
        for (int i = 0; i < LINE; i++)
            CHECK_INT(line[i].got, i);
        weir_chan_free(&ch);
    }
}

/* ---- every way to close and every way to use what is closed ---- */

static int send_plain(int_chan ch, int *v)
{
    return weir_send(NULL, ch, v);
}
static int send_try(int_chan ch, int *v)
{
    return weir_try_send(ch, v);
}
static int send_select(int_chan ch, int *v)
{
    weir_case c[] = {WEIR_SEND(ch, v)};
    return weir_select(NULL, c, 1) == 0 ? c[0].status : -1;
}
static int send_try_select(int_chan ch, int *v)
{
    weir_case c[] = {WEIR_SEND(ch, v)};
    return weir_try_select(c, 1) == 0 ? c[0].status : -1;
}
static int receive_plain(int_chan ch, int *v)
{
    return weir_recv(NULL, ch, v);
}
static int receive_try(int_chan ch, int *v)
{
    return weir_try_recv(ch, v);
}
static int receive_select(int_chan ch, int *v)
{
    weir_case c[] = {WEIR_RECV(ch, v)};
    return weir_select(NULL, c, 1) == 0 ? c[0].status : -1;
}
static int receive_try_select(int_chan ch, int *v)
{
    weir_case c[] = {WEIR_RECV(ch, v)};
    return weir_try_select(c, 1) == 0 ? c[0].status : -1;
}
static int receive_among_two(int_chan ch, int *v)
{
    int_chan nobody = {NULL};
    weir_case c[] = {WEIR_SEND(nobody, v), WEIR_RECV(ch, v), WEIR_RECV(nobody, v)};
    return weir_select(NULL, c, 3) == 1 ? c[1].status : -1;
}

static int (*const senders[])(int_chan, int *) = {send_plain, send_try, send_select, send_try_select};
static int (*const receivers[])(int_chan, int *) = {receive_plain, receive_try, receive_select, receive_try_select,
                                                    receive_among_two};
enum { SENDERS = sizeof senders / sizeof senders[0], RECEIVERS = sizeof receivers / sizeof receivers[0] };

TEST(each_way_to_send_and_to_receive_sees_the_end_of_a_closed_channel)
{
    for (size_t capacity = 0; capacity < 3; capacity++)
        for (int s = 0; s < SENDERS; s++)
            for (int r = 0; r < RECEIVERS; r++) {
                int_chan ch = make(capacity);
                int v = 5, got = 0;
                for (size_t i = 0; i < capacity; i++)
                    CHECK_INT(senders[s](ch, &v), 0);
                CHECK_INT(weir_close(ch), 0);
                CHECK_INT(senders[s](ch, &v), EPIPE);
                for (size_t i = 0; i < capacity; i++, got = 0) {
                    CHECK_INT(receivers[r](ch, &got), 0);
                    CHECK_INT(got, 5);
                }
                CHECK_INT(receivers[r](ch, &got), EPIPE);
                CHECK_INT(receivers[r](ch, &got), EPIPE);
                CHECK_INT(got, 0);
                CHECK_INT(weir_len(ch), 0);
                weir_chan_free(&ch);
            }
}

TEST(closing_twice_or_closing_nothing_is_an_error)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        int_chan ch = make(capacity), none = {NULL};
        CHECK_INT(weir_close(ch), 0);
        CHECK_INT(weir_close(ch), EPIPE);
        CHECK_INT(weir_close(none), EINVAL);
        weir_chan_free(&ch);
    }
}

TEST(length_and_capacity)
{
    int_chan ch = make(10), none = {NULL}, rendezvous = make(0);
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_send(NULL, ch, &i), 0);
    CHECK_INT(weir_len(ch), 4);
    CHECK_INT(weir_cap(ch), 10);
    CHECK_INT(weir_len(none) + weir_cap(none) + weir_len(rendezvous) + weir_cap(rendezvous), 0);
    weir_chan_free(&ch);
    weir_chan_free(&rendezvous);
}

/* ---- a try and a close at one time ---- */

struct closing {
    struct duel duel;
    int_chan ch;
};

static void close_each(void *p)
{
    struct closing *c = (struct closing *)p;
    for (int seen = 0; duel_next(&c->duel, &seen);)
        CHECK_INT(weir_close(c->ch), 0);
}

TEST(a_value_sent_before_the_close_is_never_missed_by_a_try)
{
    struct closing c;
    memset(&c, 0, sizeof c);
    c.duel.others = 1;
    struct test_team *team = test_start(1, close_each, &c, 0);
    for (long round = 0; round < test_rounds(10000); round++) {
        int v = 1, got = 0;
        c.ch = make(1);
        CHECK_INT(weir_send(NULL, c.ch, &v), 0);
        duel_begin(&c.duel);
        CHECK_INT(receivers[round % 2 ? 1 : 3](c.ch, &got), 0);
        CHECK_INT(got, 1);
        duel_end(&c.duel);
        weir_chan_free(&c.ch);
    }
    duel_stop(&c.duel);
    test_join(team);
}

/* ---- consumers that all do their part ---- */

struct work {
    int_chan jobs;
    weir_chan(int) results;
};

static void consume(void *p)
{
    struct work *w = (struct work *)p;
    for (int v, twice; weir_recv(NULL, w->jobs, &v) == 0;) {
        twice = 2 * v;
        CHECK_INT(weir_send(NULL, w->results, &twice), 0);
    }
}

static void supply(void *p)
{
    struct peer *s = (struct peer *)p;
    send_from_peer(s);
    CHECK_INT(weir_close(s->ch), 0);
}

TEST(what_23_consumers_make_adds_up)
{
    struct work w;
    const int n = (int)test_rounds(100000);
    long long sum = 0;
    w.jobs = make(23);
    REQUIRE(weir_chan_make(&w.results, 23) == 0);
    struct peer s = {w.jobs, n, 1, -1};
    struct test_team *supplier = test_start(1, supply, &s, 0), *team = test_start(23, consume, &w, 0);
    for (int i = 0, v; i < n; i++) {
        CHECK_INT(weir_recv(NULL, w.results, &v), 0);
        sum += v;
    }
    CHECK_INT(sum, (long long)n * (n + 1));
    test_join(supplier);
    test_join(team);
    weir_chan_free(&w.jobs);
    weir_chan_free(&w.results);
}
