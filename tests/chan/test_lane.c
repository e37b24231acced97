/* tests/chan/test_lane.c: the place in a rendezvous channel where threads meet that are awake. Its steps, driven by hand; and then between
 * it and the queues. */
#include "queues.h"

typedef weir_chan(int) int_chan;

static int_chan rendezvous(weir_wait_strategy wait)
{
    weir_chan_opt opt = {wait, NULL, NULL, 0};
    int_chan ch;
    REQUIRE(weir_chan_make_opt(&ch, 0, &opt) == 0);
    return ch;
}

/* ---- step by step ---- */

enum { SENDS = 1, RECEIVES = 0 };

struct visitor {
    weir__chan *c;
    bool sending;
    int value;
    uint64_t mine;
};

static struct visitor visitor(int_chan ch, bool sending, int value)
{
    struct visitor v = {WEIR__CHAN(ch), sending, value, 0};
    return v;
}

static int enter(struct visitor *v)
{
    return (int)weir__lane_enter(v->c, v->sending, &v->value, &v->value, &v->mine);
}

static bool gone(struct visitor *v)
{
    return weir__lane_gone(v->c, v->sending, &v->value, v->mine);
}

static bool leave(struct visitor *v)
{
    return weir__lane_leave(v->c, v->sending, v->mine);
}

TEST(a_sender_that_comes_second_gives_to_the_receiver_that_waits)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    struct visitor r = visitor(ch, RECEIVES, 0), s = visitor(ch, SENDS, 7);
    CHECK_INT(enter(&r), WEIR__LANE_STAY);
    CHECK(!gone(&r));
    CHECK_INT(enter(&s), WEIR__LANE_DONE);
    CHECK(!leave(&r)); /* it has been given to */
    CHECK(gone(&r));
    CHECK_INT(r.value, 7);
    CHECK(queues_are_empty(ch));
    weir_chan_free(&ch);
}

TEST(a_receiver_that_comes_second_takes_from_the_sender_that_waits)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    struct visitor r = visitor(ch, RECEIVES, 0), s = visitor(ch, SENDS, 8);
    CHECK_INT(enter(&s), WEIR__LANE_STAY);
    CHECK(!gone(&s));
    CHECK_INT(enter(&r), WEIR__LANE_DONE);
    CHECK_INT(r.value, 8);
    CHECK(!leave(&s));
    CHECK(gone(&s));
    CHECK(queues_are_empty(ch));
    weir_chan_free(&ch);
}

TEST(who_leaves_is_not_met)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    struct visitor r = visitor(ch, RECEIVES, 0), s = visitor(ch, SENDS, 8);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(enter(&r), WEIR__LANE_STAY);
        CHECK(leave(&r));
        CHECK(!weir__lane_meet(s.c, SENDS, &s.value, NULL));
        CHECK_INT(enter(&s), WEIR__LANE_STAY);
        CHECK(leave(&s));
        CHECK(!weir__lane_meet(r.c, RECEIVES, NULL, &r.value));
        CHECK_INT(r.value, 0);
    }
    CHECK(queues_are_empty(ch));
    weir_chan_free(&ch);
}

TEST(there_is_room_for_one_of_each_side)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    struct visitor a = visitor(ch, RECEIVES, 0), b = visitor(ch, RECEIVES, 0), s = visitor(ch, SENDS, 1),
                   t = visitor(ch, SENDS, 2);
    CHECK_INT(enter(&a), WEIR__LANE_STAY);
    CHECK_INT(enter(&b), WEIR__LANE_TAKEN);
    CHECK(leave(&a));
    CHECK_INT(enter(&s), WEIR__LANE_STAY);
    CHECK_INT(enter(&t), WEIR__LANE_TAKEN);
    CHECK(leave(&s));
    weir_chan_free(&ch);
}

/* The next exchange begins before the one before it has ended; but each receiver has the value that was meant for it. */
TEST(a_sender_announces_itself_beside_a_value_that_is_not_picked_up_yet)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    for (int i = 0; i < 2; i++) {
        struct visitor a = visitor(ch, RECEIVES, 0), b = visitor(ch, RECEIVES, 0), c = visitor(ch, RECEIVES, 0);
        struct visitor s = visitor(ch, SENDS, 1), t = visitor(ch, SENDS, 2);
        CHECK_INT(enter(&a), WEIR__LANE_STAY);
        CHECK_INT(enter(&s), WEIR__LANE_DONE);
        CHECK_INT(enter(&t), WEIR__LANE_STAY);
        CHECK(!gone(&t));
        CHECK_INT(enter(&b), WEIR__LANE_DONE); /* takes what is offered, with the other value still there */
        CHECK_INT(b.value, 2);
        CHECK(gone(&t));
        CHECK_INT(enter(&c), WEIR__LANE_TAKEN); /* the place of a receiver is still a's */
        if (i == 1) {
            CHECK_INT(enter(&t), WEIR__LANE_STAY);
            CHECK(leave(&t)); /* also beside the value */
        }
        CHECK(gone(&a));
        CHECK_INT(a.value, 1);
        CHECK(queues_are_empty(ch));
    }
    weir_chan_free(&ch);
}

/* The word shows an offer again; it is another one. */
TEST(who_was_met_does_not_take_the_next_offer_for_its_own)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    struct visitor r = visitor(ch, RECEIVES, 0), s = visitor(ch, SENDS, 1), t = visitor(ch, SENDS, 2);
    CHECK_INT(enter(&s), WEIR__LANE_STAY);
    CHECK_INT(enter(&r), WEIR__LANE_DONE);
    CHECK_INT(enter(&t), WEIR__LANE_STAY);
    CHECK(!leave(&s)); /* must not pull t's */
    CHECK(gone(&s));
    CHECK(!gone(&t));
    CHECK_INT(enter(&r), WEIR__LANE_DONE);
    CHECK_INT(r.value, 2);
    CHECK(gone(&t));
    weir_chan_free(&ch);
}

static int_chan watched;
static int seen_at_point;

static void receiver_comes(const char *point)
{
    struct visitor r = visitor(watched, RECEIVES, 0);
    if (strcmp(point, "offering") != 0)
        return;
    seen_at_point++;
    CHECK_INT(enter(&r), WEIR__LANE_PASSING);
    CHECK(!weir__lane_meet(r.c, RECEIVES, NULL, &r.value));
    CHECK(weir__lane_there(r.c, RECEIVES)); /* so a select does not go to sleep over it */
}

TEST(an_offer_that_is_being_written_is_not_taken)
{
    watched = rendezvous(WEIR_WAIT_SPIN);
    struct visitor s = visitor(watched, SENDS, 3), r = visitor(watched, RECEIVES, 0);
    seen_at_point = 0;
    at_point = receiver_comes;
    CHECK_INT(enter(&s), WEIR__LANE_STAY);
    at_point = NULL;
    CHECK_INT(seen_at_point, 1);
    CHECK_INT(enter(&r), WEIR__LANE_DONE);
    CHECK_INT(r.value, 3);
    weir_chan_free(&watched);
}

static struct visitor *met;

static void tries_to_leave(const char *point)
{
    if (strcmp(point, "meeting") != 0)
        return;
    seen_at_point++;
    CHECK(!leave(met));
    CHECK(!gone(met));
}

TEST(who_is_being_met_can_neither_leave_nor_go)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    struct visitor r = visitor(ch, RECEIVES, 0), s = visitor(ch, SENDS, 3);
    seen_at_point = 0;
    CHECK_INT(enter(&r), WEIR__LANE_STAY);
    met = &r;
    at_point = tries_to_leave;
    CHECK_INT(enter(&s), WEIR__LANE_DONE);
    at_point = NULL;
    CHECK(gone(&r));
    CHECK_INT(enter(&s), WEIR__LANE_STAY);
    met = &s;
    at_point = tries_to_leave;
    CHECK_INT(enter(&r), WEIR__LANE_DONE);
    at_point = NULL;
    CHECK(gone(&s));
    CHECK_INT(seen_at_point, 2);
    weir_chan_free(&ch);
}

static void picks_up(const char *point)
{
    if (strcmp(point, "offering") != 0 && strcmp(point, "meeting") != 0)
        return;
    at_point = NULL;
    seen_at_point++;
    CHECK(gone(met));
}

TEST(a_value_is_picked_up_while_the_next_one_is_offered_or_taken)
{
    int_chan ch = rendezvous(WEIR_WAIT_SPIN);
    struct visitor a = visitor(ch, RECEIVES, 0), b = visitor(ch, RECEIVES, 0);
    struct visitor s = visitor(ch, SENDS, 1), t = visitor(ch, SENDS, 2);
    seen_at_point = 0;
    met = &a;
    for (int i = 0; i < 2; i++) {
        CHECK_INT(enter(&a), WEIR__LANE_STAY);
        CHECK_INT(enter(&s), WEIR__LANE_DONE);
        at_point = i == 0 ? picks_up : NULL;
        CHECK_INT(enter(&t), WEIR__LANE_STAY);
        at_point = i == 1 ? picks_up : NULL;
        CHECK_INT(enter(&b), WEIR__LANE_DONE);
        CHECK_INT(a.value, 1);
        CHECK_INT(b.value, 2);
        CHECK(gone(&t));
        CHECK(queues_are_empty(ch));
    }
    CHECK_INT(seen_at_point, 2);
    weir_chan_free(&ch);
}

TEST(a_value_that_is_too_large_goes_to_the_queue)
{
    struct large {
        char text[25];
    } v = {{0}};
    struct fits {
        char text[24];
    } w = {{0}};
    weir_chan(struct large) large;
    weir_chan(struct fits) fits;
    uint64_t mine = 0;
    REQUIRE(weir_chan_make(&large, 0) == 0 && weir_chan_make(&fits, 0) == 0);
    CHECK_INT(weir__lane_enter(WEIR__CHAN(large), SENDS, &v, NULL, &mine), WEIR__LANE_TAKEN);
    CHECK_INT(weir__lane_enter(WEIR__CHAN(fits), SENDS, &w, NULL, &mine), WEIR__LANE_STAY);
    CHECK(weir__lane_leave(WEIR__CHAN(fits), SENDS, mine));
    weir_chan_free(&large);
    weir_chan_free(&fits);
}

/* ---- between lane and queue ---- */

struct lying {
    int_chan ch;
    bool sends;
    int rc, value;
};

static void lie(void *p)
{
    struct lying *l = (struct lying *)p;
    weir_case cases[1];
    cases[0] = l->sends ? WEIR_SEND(l->ch, &l->value) : WEIR_RECV(l->ch, &l->value);
    l->rc = weir_select(NULL, cases, 1); /* a select waits in the queue whatever the strategy */
}

/* Each of the visitor's side, each of the other: nobody enters past somebody who lies in a queue. */
TEST(nobody_waits_in_the_lane_while_somebody_lies_in_a_queue)
{
    for (int i = 0; i < 4; i++) {
        int_chan ch = rendezvous(WEIR_WAIT_SPIN);
        struct lying l = {ch, i / 2, -1, 5};
        struct visitor v = visitor(ch, i % 2, 6);
        struct test_team *team = test_start(1, lie, &l, 0);
        EVENTUALLY(weir__waitq_sleepers(l.sends ? &v.c->senders : &v.c->receivers) == 1);
        CHECK_INT(enter(&v), WEIR__LANE_TAKEN);
        CHECK(lane_is_empty(v.c));
        int value = 9;
        /* The select may have seen the visitor in passing, before it slept, and be on its way to lie down again. */
        EVENTUALLY((l.sends ? weir_try_recv(ch, &value) : weir_try_send(ch, &value)) == 0);
        test_join(team);
        CHECK_INT(l.rc, 0);
        CHECK_INT(l.sends ? value : l.value, l.sends ? 5 : 9);
        CHECK(queues_are_empty(ch));
        weir_chan_free(&ch);
    }
}

static struct lying *second;
static struct test_team *second_team;

static void plain(void *p)
{
    struct lying *l = (struct lying *)p;
    l->rc = l->sends ? weir_send(NULL, l->ch, &l->value) : weir_recv(NULL, l->ch, &l->value);
}

/* The first one stays in the lane until the second lies in the queue; then it goes to sleep. */
static void second_comes(const char *point)
{
    if (strcmp(point, "staying") != 0)
        return;
    at_point = NULL;
    second_team = test_start(1, plain, second, 0);
    EVENTUALLY((second->sends ? waiting_senders(second->ch) : waiting_receivers(second->ch)) == 2);
}

static void first_main(void *p)
{
    at_point = second_comes;
    plain(p);
}

TEST(who_came_first_is_met_first_also_once_it_sleeps)
{
    for (int sends = 0; sends < 2; sends++) {
        int_chan ch = rendezvous(WEIR_WAIT_ADAPTIVE);
        struct lying a = {ch, sends, -1, 1}, b = {ch, sends, -1, 2};
        weir__chan *c = WEIR__CHAN(ch);
        second = &b;
        struct test_team *team = test_start(1, first_main, &a, 0);
        EVENTUALLY(weir__waitq_sleepers(sends ? &c->senders : &c->receivers) == 2 && lane_is_empty(c));
        for (int i = 1; i <= 2; i++) {
            int value = i;
            CHECK_INT(sends ? weir_try_recv(ch, &value) : weir_try_send(ch, &value), 0);
            CHECK_INT(value, i);
        }
        test_join(team);
        test_join(second_team);
        CHECK_INT(a.rc, 0);
        CHECK_INT(b.rc, 0);
        CHECK_INT(a.value, 1);
        CHECK_INT(b.value, 2);
        CHECK(queues_are_empty(ch));
        weir_chan_free(&ch);
    }
}

/* A thread that spins in the lane for ever is met by every other call there is. */
TEST(tries_and_selects_find_who_stays_in_the_lane)
{
    for (int i = 0; i < 8; i++) {
        int_chan ch = rendezvous(i % 2 ? WEIR_WAIT_SPIN : WEIR_WAIT_YIELD), idle = rendezvous(WEIR_WAIT_PARK);
        struct lying l = {ch, i / 2 % 2, -1, 5};
        int value = 4, unused;
        weir_case cases[2];
        struct test_team *team = test_start(1, plain, &l, 0);
        EVENTUALLY(waiting_senders(ch) + waiting_receivers(ch) == 1 && !lane_is_empty(WEIR__CHAN(ch)));
        cases[0] = WEIR_RECV(idle, &unused);
        cases[1] = l.sends ? WEIR_RECV(ch, &value) : WEIR_SEND(ch, &value);
        CHECK_INT(i < 4 ? weir_select(NULL, cases, 2) : weir_try_select(cases, 2), 1);
        test_join(team);
        CHECK_INT(l.rc, 0);
        CHECK_INT(l.sends ? value : l.value, l.sends ? 5 : 4);
        CHECK(queues_are_empty(ch) && queues_are_empty(idle));
        weir_chan_free(&ch);
        weir_chan_free(&idle);
    }
}

static void closes(const char *point)
{
    if (strcmp(point, "staying") != 0)
        return;
    seen_at_point++;
    CHECK_INT(weir_close(watched), 0);
    CHECK_INT(weir_try_send(watched, &(int){3}), EPIPE); /* it does not meet who still stays */
}

TEST(a_close_ends_the_stay)
{
    for (int i = 0; i < 6; i++) {
        static const weir_wait_strategy stays[3] = {WEIR_WAIT_SPIN, WEIR_WAIT_YIELD, WEIR_WAIT_ADAPTIVE};
        int v = 4;
        watched = rendezvous(stays[i / 2]);
        seen_at_point = 0;
        at_point = closes;
        CHECK_INT(i % 2 ? weir_send(NULL, watched, &v) : weir_recv(NULL, watched, &v), EPIPE);
        at_point = NULL;
        CHECK_INT(seen_at_point, 1);
        CHECK_INT(v, 4);
        CHECK(queues_are_empty(watched));
        weir_chan_free(&watched);
    }
}

static struct visitor *comer;

static void comes(const char *point)
{
    if (strcmp(point, "lying down") != 0)
        return;
    at_point = NULL;
    CHECK_INT(enter(comer), WEIR__LANE_STAY);
}

/* It has seen an empty lane; then somebody announces itself there, who has seen an empty queue. */
TEST(who_lies_down_looks_at_the_lane_once_more)
{
    for (int i = 0; i < 4; i++) {
        const bool sends = i / 2;
        int_chan ch = rendezvous(WEIR_WAIT_PARK);
        struct visitor v = visitor(ch, !sends, sends ? 0 : 7);
        int value = 7, index = 0;
        weir_case cases[1];
        cases[0] = sends ? WEIR_SEND(ch, &value) : WEIR_RECV(ch, &value);
        value = sends ? 7 : 0;
        comer = &v;
        at_point = comes;
        const weir_ns until = weir_now() + WEIR_SEC(5);
        if (i % 2)
            index = weir_select_until(NULL, cases, 1, until);
        else
            CHECK_INT(sends ? weir_send_until(NULL, ch, &value, until) : weir_recv_until(NULL, ch, &value, until), 0);
        CHECK_INT(index, 0);
        CHECK(at_point == NULL);
        at_point = NULL;
        CHECK(gone(&v));
        CHECK_INT(v.value, 7);
        CHECK_INT(value, 7);
        CHECK(queues_are_empty(ch));
        weir_chan_free(&ch);
    }
}

/* ---- (D) and (E): one enters the lane while the other lies down ---- */

enum part { PLAIN, SELECTS };

struct meeting {
    struct duel duel;
    enum part part;
    int_chan ch;
    unsigned delay;
    int value;
};

static void other_side(void *p)
{
    struct meeting *m = (struct meeting *)p;
    weir_case cases[1];
    int seen = 0;
    while (duel_next(&m->duel, &seen)) {
        dawdle(m->delay);
        cases[0] = WEIR_RECV(m->ch, &m->value);
        if (m->part == SELECTS)
            CHECK_INT(weir_select(NULL, cases, 1), 0);
        else
            CHECK_INT(weir_recv(NULL, m->ch, &m->value), 0);
    }
}

/* Each round is one value; a round that hangs is a wake-up that was lost. */
static void run_meetings(enum part part, weir_wait_strategy wait)
{
    struct meeting m;
    unsigned random = 3;
    const long rounds = test_rounds(20000);
    memset(&m, 0, sizeof m);
    m.part = part;
    m.ch = rendezvous(wait);
    m.duel.others = 1;
    struct test_team *team = test_start(1, other_side, &m, 0);
    for (long i = 0; i < rounds; i++) {
        int value = (int)i;
        m.delay = draw(&random) % 300;
        duel_begin(&m.duel);
        dawdle(draw(&random) % 300);
        CHECK_INT(weir_send(NULL, m.ch, &value), 0);
        duel_end(&m.duel);
        CHECK_INT(m.value, i);
        REQUIRE(queues_are_empty(m.ch));
    }
    duel_stop(&m.duel);
    test_join(team);
    weir_chan_free(&m.ch);
}

TEST_LIMIT(a_sender_in_the_lane_and_a_select_in_the_queue_do_not_wait_past_each_other, 120)
{
    run_meetings(SELECTS, WEIR_WAIT_SPIN); /* it would stay for ever */
    run_meetings(SELECTS, WEIR_WAIT_ADAPTIVE);
}

TEST_LIMIT(two_in_the_lane_do_not_wait_past_each_other, 120)
{
    run_meetings(PLAIN, WEIR_WAIT_SPIN);
    run_meetings(PLAIN, WEIR_WAIT_ADAPTIVE);
}

/* ---- values of other sizes than a word ---- */

#define SIZED(name, type)                                                                                              \
    typedef weir_chan(type) name##_chan;                                                                               \
    static void name##_gives(void *ch)                                                                                 \
    {                                                                                                                  \
        for (unsigned i = 0; i < (unsigned)test_rounds(20000); i++) {                                                  \
            type v;                                                                                                    \
            memset(&v, (int)(i % 251), sizeof v);                                                                      \
            CHECK_INT(weir_send(NULL, *(name##_chan *)ch, &v), 0);                                                     \
        }                                                                                                              \
    }                                                                                                                  \
    TEST(values_of_##name##_pass_whole)                                                                                \
    {                                                                                                                  \
        name##_chan ch;                                                                                                \
        REQUIRE(weir_chan_make(&ch, 0) == 0);                                                                          \
        struct test_team *team = test_start(1, name##_gives, &ch, 0);                                                  \
        for (unsigned i = 0; i < (unsigned)test_rounds(20000); i++) {                                                  \
            type v, want;                                                                                              \
            memset(&want, (int)(i % 251), sizeof want);                                                                \
            memset(&v, 255, sizeof v);                                                                                 \
            CHECK_INT(weir_recv(NULL, ch, &v), 0);                                                                     \
            CHECK(memcmp(&v, &want, sizeof v) == 0);                                                                   \
        }                                                                                                              \
        test_join(team);                                                                                               \
        weir_chan_free(&ch);                                                                                           \
    }
struct three_words {
    uint64_t word[3];
};
struct odd {
    unsigned char byte[13];
};
SIZED(byte, unsigned char)
SIZED(thirteen_bytes, struct odd)
SIZED(three_words, struct three_words)
