/* tests/golang/test_selects.c: what Go's tests of select require (test/chan/select*.go, doubleselect.go, and those of
 * runtime/chan_test.go), written afresh. Memory of select2: chan/test_select_memory.c; uniform choice: chan/test_select_fair.c. */
#include "chan/queues.h"

typedef weir_chan(int) int_chan;
static const int_chan none = {NULL};

static int_chan make(size_t capacity)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, capacity) == 0);
    return ch;
}

static int_chan filled(size_t capacity, int n)
{
    int_chan ch = make(capacity);
    for (int i = 0; i < n; i++)
        CHECK_INT(weir_send(NULL, ch, &i), 0);
    return ch;
}

/* ---- select3: what blocks and what does not ---- */

/* A select of one or two operations, or a plain call; `a` and `b` are the channels. The context ends a wait. */
enum { PLAIN_SEND, PLAIN_RECV, SELECT_NOTHING, SELECT_SEND, SELECT_RECV, SELECT_BOTH, WAYS };

static int operate(int way, weir_ctx *ctx, int_chan a, int_chan b)
{
    int v = 0, got = 0, done;
    weir_case cases[] = {WEIR_SEND(a, &v), WEIR_RECV(b, &got)};
    switch (way) {
    case PLAIN_SEND: return weir_send(ctx, a, &v);
    case PLAIN_RECV: return weir_recv(ctx, b, &got);
    default: break;
    }
    done = weir_select(ctx, cases + (way == SELECT_RECV), way == SELECT_NOTHING ? 0 : way == SELECT_BOTH ? 2 : 1);
    return done < 0 ? -done : cases[done + (way == SELECT_RECV)].status;
}

/* The same with a default: -1 when that is taken. */
static int operate_or_not(int way, int_chan a, int_chan b)
{
    int v = 0, got = 0, done;
    weir_case cases[] = {WEIR_SEND(a, &v), WEIR_RECV(b, &got)};
    if (way == PLAIN_SEND || way == PLAIN_RECV) {
        done = way == PLAIN_SEND ? weir_try_send(a, &v) : weir_try_recv(b, &got);
        return done == EAGAIN ? -1 : done;
    }
    done = weir_try_select(cases + (way == SELECT_RECV), way == SELECT_NOTHING ? 0 : way == SELECT_BOTH ? 2 : 1);
    return done == -EAGAIN ? -1 : done < 0 ? -done : cases[done + (way == SELECT_RECV)].status;
}

struct blocking {
    const char *what;
    int way;
    size_t capacity[2]; /* of a, b; 99 for no channel */
    int inside[2];      /* values */
    bool closed[2];
    int end; /* -1: it blocks; or what it returns */
};

static const struct blocking table[] = {
    {"a send to no channel", PLAIN_SEND, {99, 99}, {0, 0}, {false, false}, -1},
    {"a receive from no channel", PLAIN_RECV, {99, 99}, {0, 0}, {false, false}, -1},
    {"a select of nothing", SELECT_NOTHING, {99, 99}, {0, 0}, {false, false}, -1},
    {"a select of a send to no channel", SELECT_SEND, {99, 99}, {0, 0}, {false, false}, -1},
    {"a select of a receive from no channel", SELECT_RECV, {99, 99}, {0, 0}, {false, false}, -1},
    {"a select of both over no channel", SELECT_BOTH, {99, 99}, {0, 0}, {false, false}, -1},
    {"a rendezvous send without a receiver", PLAIN_SEND, {0, 99}, {0, 0}, {false, false}, -1},
    {"a rendezvous receive without a sender", PLAIN_RECV, {99, 0}, {0, 0}, {false, false}, -1},
    {"a select of a rendezvous send", SELECT_SEND, {0, 99}, {0, 0}, {false, false}, -1},
    {"a select of a rendezvous receive", SELECT_RECV, {99, 0}, {0, 0}, {false, false}, -1},
    {"a select of two rendezvous", SELECT_BOTH, {0, 0}, {0, 0}, {false, false}, -1},
    {"a receive from an empty buffer", PLAIN_RECV, {99, 10}, {0, 0}, {false, false}, -1},
    {"a select of a receive from an empty buffer", SELECT_RECV, {99, 10}, {0, 0}, {false, false}, -1},
    {"a send to a full buffer", PLAIN_SEND, {10, 99}, {10, 0}, {false, false}, -1},
    {"a select of a send to a full buffer", SELECT_SEND, {10, 99}, {10, 0}, {false, false}, -1},
    {"a full and an empty buffer", SELECT_BOTH, {10, 10}, {10, 0}, {false, false}, -1},
    {"a send to a buffer with room", PLAIN_SEND, {10, 99}, {9, 0}, {false, false}, 0},
    {"a receive from a buffer with a value", PLAIN_RECV, {99, 10}, {0, 1}, {false, false}, 0},
    {"a select of a send to a buffer with room", SELECT_SEND, {10, 99}, {0, 0}, {false, false}, 0},
    {"a select of a receive from a buffer with a value", SELECT_RECV, {99, 10}, {0, 10}, {false, false}, 0},
    {"no channel beside a buffer with a value", SELECT_BOTH, {99, 10}, {0, 1}, {false, false}, 0},
    {"a full buffer beside one with a value", SELECT_BOTH, {10, 10}, {10, 1}, {false, false}, 0},
    {"room beside an empty buffer", SELECT_BOTH, {10, 10}, {9, 0}, {false, false}, 0},
    {"a receive from a closed rendezvous", PLAIN_RECV, {99, 0}, {0, 0}, {false, true}, EPIPE},
    {"a receive from a closed buffer", PLAIN_RECV, {99, 10}, {0, 0}, {false, true}, EPIPE},
    {"a receive from a closed buffer with a value", PLAIN_RECV, {99, 10}, {0, 1}, {false, true}, 0},
    {"a send to a closed full buffer", PLAIN_SEND, {10, 99}, {10, 0}, {true, false}, EPIPE},
    {"a select of a receive from a closed rendezvous", SELECT_RECV, {99, 0}, {0, 0}, {false, true}, EPIPE},
    {"a select of a receive from a closed buffer", SELECT_RECV, {99, 10}, {0, 0}, {false, true}, EPIPE},
    {"a select of a send to a closed rendezvous", SELECT_SEND, {0, 99}, {0, 0}, {true, false}, EPIPE},
    {"no channel beside a closed one", SELECT_BOTH, {99, 10}, {0, 0}, {false, true}, EPIPE},
};

TEST(what_blocks_and_what_does_not)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct blocking *t = &table[i];
        int_chan ch[2];
        weir_ctx ctx;
        int end, now;
        for (int k = 0; k < 2; k++) {
            ch[k] = t->capacity[k] == 99 ? none : filled(t->capacity[k], t->inside[k]);
            if (t->closed[k])
                CHECK_INT(weir_close(ch[k]), 0);
        }
        /* What does not block has no deadline: if it did block, the test would hang, and say so. */
        weir_ctx_init(&ctx, NULL);
        if (t->end == -1)
            weir_ctx_init_deadline(&ctx, NULL, weir_now() + WEIR_MS(2));
        if (t->end == -1)
            CHECK_INT(operate_or_not(t->way, ch[0], ch[1]), -1);
        end = operate(t->way, &ctx, ch[0], ch[1]);
        now = t->end == -1 ? ETIMEDOUT : t->end;
        if (!CHECK_INT(end, now))
            test_say("#   %s\n", t->what);
        weir_ctx_free(&ctx);
        for (int k = 0; k < 2; k++)
            weir_chan_free(&ch[k]);
    }
}

/* ---- select, select5: what is chosen is what happens, and nothing else ---- */

TEST(a_loop_that_switches_cases_on_and_off_sends_in_turn)
{
    int_chan a = make(1), b = make(1);
    for (int i = 0; i < 100; i++) {
        int v = i, got = -1;
        weir_case cases[] = {WEIR_SEND(i % 2 ? none : a, &v), WEIR_SEND(i % 2 ? b : none, &v)};
        CHECK_INT(weir_select(NULL, cases, 2), i % 2);
        CHECK_INT(weir_recv(NULL, i % 2 ? b : a, &got), 0);
        CHECK_INT(got, i);
    }
    weir_chan_free(&a);
    weir_chan_free(&b);
}

enum { READY, FULL_OR_EMPTY, NIL, CLOSED_ONE, STATES };

struct mix {
    int_chan ch[10];
    int state[10], in[10], out[10];
    bool sends[10];
    weir_case cases[10];
    int n, ready;
};

static void mix_draw(struct mix *m, unsigned *seed)
{
    m->n = 1 + (int)(draw(seed) % 10);
    m->ready = 0;
    for (int i = 0; i < m->n; i++) {
        const size_t capacity = 1 + draw(seed) % 3;
        m->sends[i] = draw(seed) % 2;
        m->state[i] = (int)(draw(seed) % STATES);
        m->in[i] = 1000 + i;
        m->out[i] = -1;
        m->ch[i] = m->state[i] == NIL ? none : make(capacity);
        for (size_t k = 0; k < capacity; k++)
            if ((m->state[i] == READY && !m->sends[i]) || (m->state[i] == FULL_OR_EMPTY && m->sends[i]))
                CHECK_INT(weir_send(NULL, m->ch[i], &(int){(int)k}), 0);
        if (m->state[i] == CLOSED_ONE)
            CHECK_INT(weir_close(m->ch[i]), 0);
        m->ready += m->state[i] == READY || m->state[i] == CLOSED_ONE;
        m->cases[i] = m->sends[i] ? WEIR_SEND(m->ch[i], &m->in[i]) : WEIR_RECV(m->ch[i], &m->out[i]);
    }
}

static void mix_check(struct mix *m, int done, const size_t *before)
{
    for (int i = 0; i < m->n; i++) {
        const int change = i != done || m->state[i] != READY ? 0 : m->sends[i] ? 1 : -1;
        CHECK_INT((int)weir_len(m->ch[i]) - (int)before[i], change);
        CHECK_INT(m->out[i], change == -1 ? 0 : -1);
    }
    if (m->ready == 0) {
        CHECK_INT(done, -EAGAIN);
        return;
    }
    REQUIRE(done >= 0 && done < m->n);
    CHECK(m->state[done] == READY || m->state[done] == CLOSED_ONE);
    CHECK_INT(m->cases[done].status, m->state[done] == READY ? 0 : EPIPE);
}

TEST(of_any_mixture_a_ready_case_is_done_and_no_other)
{
    unsigned seed = 5;
    for (long round = 0; round < test_rounds(20000); round++) {
        struct mix m;
        size_t before[10];
        int done;
        mix_draw(&m, &seed);
        for (int i = 0; i < m.n; i++)
            before[i] = weir_len(m.ch[i]);
        if (m.ready == 0 || round % 4 == 0)
            done = weir_try_select(m.cases, (size_t)m.n);
        else if (round % 4 == 1)
            done = weir_select_ordered(NULL, m.cases, (size_t)m.n);
        else
            done = round % 4 == 2 ? weir_select(NULL, m.cases, (size_t)m.n)
                                  : weir_select_until(NULL, m.cases, (size_t)m.n, 0);
        mix_check(&m, done, before);
        for (int i = 0; i < m.n; i++)
            weir_chan_free(&m.ch[i]);
    }
}

/* ---- select6: a select that was done elsewhere leaves the queues whole ---- */

struct line {
    int_chan a, b;
    int place, of, rc, got; /* place: the select's among the receivers of a */
    int id;
};

static void stand_in_line(void *p)
{
    struct line *l = (struct line *)p;
    EVENTUALLY(waiting_receivers(l->a) == l->id);
    if (l->id != l->place) {
        l->rc = weir_recv(NULL, l->a, &l->got);
        return;
    }
    weir_case cases[] = {WEIR_RECV(l->a, &l->got), WEIR_RECV(l->b, &l->got)};
    CHECK_INT(weir_select(NULL, cases, 2), 1);
}

TEST(a_select_that_was_done_elsewhere_leaves_the_queue_to_the_others)
{
    for (size_t capacity = 0; capacity < 2; capacity++)
        for (int place = 0; place < 4; place++) {
            int_chan a = make(capacity), b = make(capacity);
            struct line lines[4];
            int v = 9, sum = 0;
            for (int i = 0; i < 4; i++)
                lines[i] = (struct line){a, b, place, 4, -1, -1, i};
            struct test_team *team = test_start(4, stand_in_line, lines, sizeof lines[0]);
            EVENTUALLY(waiting_receivers(a) == 4);
            CHECK_INT(weir_send(NULL, b, &v), 0);
            EVENTUALLY(waiting_receivers(a) == 3);
            /* One more behind it, where the corrupted queue once ended. */
            struct line last = {a, b, -1, 5, -1, -1, 3};
            struct test_team *late = test_start(1, stand_in_line, &last, 0);
            EVENTUALLY(waiting_receivers(a) == 4);
            for (v = 0; v < 4; v++)
                CHECK_INT(weir_send(NULL, a, &v), 0);
            test_join(team);
            test_join(late);
            for (int i = 0; i < 4; i++)
                sum += i == place ? 0 : lines[i].got;
            CHECK_INT(sum + last.got, 0 + 1 + 2 + 3);
            CHECK(queues_are_empty(a));
            CHECK(queues_are_empty(b));
            weir_chan_free(&a);
            weir_chan_free(&b);
        }
}

/* ---- duplicate channels: the first of two cases that was not the one ---- */

static void select_duplicates(void *p)
{
    struct line *l = (struct line *)p;
    weir_case cases[] = {WEIR_RECV(l->a, &l->got), WEIR_RECV(l->a, &l->got), WEIR_RECV(l->b, &l->got)};
    l->rc = weir_select(NULL, cases, 3);
}

TEST(a_channel_listed_twice_is_left_twice)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        int_chan a = make(capacity), b = make(capacity);
        struct line first = {a, b, 0, 1, -1, -1, 0}, second = {a, b, 1, 1, -1, -1, 2};
        int v = 7;
        struct test_team *selecting = test_start(1, select_duplicates, &first, 0);
        EVENTUALLY(waiting_receivers(a) == 2);
        second.place = -1;
        struct test_team *receiving = test_start(1, stand_in_line, &second, 0);
        EVENTUALLY(waiting_receivers(a) == 3);
        CHECK_INT(weir_send(NULL, b, &v), 0);
        test_join(selecting);
        CHECK_INT(first.rc, 2);
        CHECK_INT(first.got, 7);
        v = 8;
        CHECK_INT(weir_send(NULL, a, &v), 0);
        test_join(receiving);
        CHECK_INT(second.got, 8);
        weir_chan_free(&a);
        weir_chan_free(&b);
    }
}
