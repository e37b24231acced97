/* tests/chan/test_select_wait.c: a select that lies in its queues: what ends the wait, and what is left behind. */
#include "queues.h"

typedef weir_chan(int) int_chan;

/* The cases of one waiting select, and what it waits in. EXTRA idle cases take it beyond what it keeps on its stack. */
enum { TAKE, ROOM, MEET_RECV, MEET_SEND, DONE, TIME, CASES, EXTRA = 70 };

struct waiter {
    int_chan in, out, meet_recv, meet_send, idle;
    weir_timer timer;
    weir_ctx ctx, done;
    weir_ns deadline;
    size_t n;
    weir_case cases[CASES + EXTRA];
    int got[CASES], give[CASES];
    weir_ns when;
    int result, returned;
    int parked; /* counts the "parking" points that it has come to */
};

static __thread struct waiter *self;
static __thread void (*then)(struct waiter *w); /* the last thing before it sleeps: a peer that comes just then */

static void count_parking(const char *point)
{
    if (strcmp(point, "parking") != 0)
        return;
    if (then != NULL)
        then(self);
    then = NULL;
    __atomic_add_fetch(&self->parked, 1, __ATOMIC_ACQ_REL);
}

static void prepare(struct waiter *w, size_t n, weir_wait_strategy wait)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    const int v = -5;
    opt.wait = wait;
    memset(w, 0, sizeof *w);
    REQUIRE(weir_chan_make_opt(&w->in, 1, &opt) == 0);
    REQUIRE(weir_chan_make_opt(&w->out, 1, &opt) == 0);
    REQUIRE(weir_chan_make_opt(&w->meet_recv, 0, &opt) == 0);
    REQUIRE(weir_chan_make_opt(&w->meet_send, 0, &opt) == 0);
    REQUIRE(weir_chan_make_opt(&w->idle, 0, &opt) == 0);
    REQUIRE(weir_after(&w->timer, WEIR_FOREVER) == 0);
    REQUIRE(weir_try_send(w->out, &v) == 0);
    weir_ctx_init(&w->ctx, NULL);
    weir_ctx_init(&w->done, NULL);
    w->deadline = WEIR_FOREVER;
    w->n = n;
    for (int i = 0; i < CASES; i++) {
        w->got[i] = -1;
        w->give[i] = 100 + i;
    }
    w->cases[TAKE] = WEIR_RECV(w->in, &w->got[TAKE]);
    w->cases[ROOM] = WEIR_SEND(w->out, &w->give[ROOM]);
    w->cases[MEET_RECV] = WEIR_RECV(w->meet_recv, &w->got[MEET_RECV]);
    w->cases[MEET_SEND] = WEIR_SEND(w->meet_send, &w->give[MEET_SEND]);
    w->cases[DONE] = WEIR_DONE(&w->done);
    w->cases[TIME] = WEIR_RECV(w->timer, &w->when);
    for (size_t i = CASES; i < n; i++)
        w->cases[i] = i % 2 ? WEIR_RECV(w->idle, (int *)NULL) : WEIR_SEND(w->idle, &w->give[0]);
}

static void waiter_main(void *p)
{
    struct waiter *w = (struct waiter *)p;
    self = w;
    at_point = count_parking;
    w->result = weir_select_until(&w->ctx, w->cases, w->n, w->deadline);
    at_point = NULL;
    set(&w->returned, 1);
}

static void check_nothing_left(struct waiter *w)
{
    CHECK(queues_are_empty(w->in));
    CHECK(queues_are_empty(w->out));
    CHECK(queues_are_empty(w->meet_recv));
    CHECK(queues_are_empty(w->meet_send));
    CHECK(queues_are_empty(w->idle));
    CHECK(queues_are_empty(w->timer));
    CHECK(w->ctx.watchers.first == NULL && w->done.watchers.first == NULL);
}

static void finish(struct waiter *w)
{
    weir_chan_free(&w->in);
    weir_chan_free(&w->out);
    weir_chan_free(&w->meet_recv);
    weir_chan_free(&w->meet_send);
    weir_chan_free(&w->idle);
    weir_chan_free(&w->timer);
    weir_ctx_free(&w->ctx);
    weir_ctx_free(&w->done);
}

/* What ends the wait, and how. */
static void give_a_value(struct waiter *w)
{
    CHECK_INT(weir_try_send(w->in, &(int){42}), 0);
}
static void make_room(struct waiter *w)
{
    CHECK_INT(weir_try_recv(w->out, (int *)NULL), 0);
}
static void meet_its_recv(struct waiter *w)
{
    CHECK_INT(weir_try_send(w->meet_recv, &(int){43}), 0);
}
static void meet_its_send(struct waiter *w)
{
    int v = 0;
    CHECK_INT(weir_try_recv(w->meet_send, &v), 0);
    CHECK_INT(v, 100 + MEET_SEND);
}
static void end_done(struct waiter *w)
{
    weir_ctx_cancel(&w->done, 0);
}
static void start_timer(struct waiter *w)
{
    CHECK_INT(weir_timer_reset(w->timer, 1), 0);
}
static void close_in(struct waiter *w)
{
    CHECK_INT(weir_close(w->in), 0);
}
static void close_out(struct waiter *w)
{
    CHECK_INT(weir_close(w->out), 0);
}
static void close_meet_recv(struct waiter *w)
{
    CHECK_INT(weir_close(w->meet_recv), 0);
}
static void close_meet_send(struct waiter *w)
{
    CHECK_INT(weir_close(w->meet_send), 0);
}
static void close_timer(struct waiter *w)
{
    CHECK_INT(weir_close(w->timer), 0);
}
static void cancel(struct waiter *w)
{
    weir_ctx_cancel(&w->ctx, 0);
}
static void cancel_done_too(struct waiter *w)
{
    end_done(w);
    cancel(w);
}
static void meet_then_cancel(struct waiter *w)
{
    meet_its_recv(w);
    cancel_done_too(w);
}

static const struct event {
    const char *name;
    void (*happens)(struct waiter *w);
    int result, status, got; /* got: what case `result` received */
} events[] = {
    {"a value", give_a_value, TAKE, 0, 42},
    {"room", make_room, ROOM, 0, -1},
    {"a sender", meet_its_recv, MEET_RECV, 0, 43},
    {"a receiver", meet_its_send, MEET_SEND, 0, -1},
    {"a context's end", end_done, DONE, ECANCELED, -1},
    {"time", start_timer, TIME, 0, -1},
    {"close of an empty channel", close_in, TAKE, EPIPE, -1},
    {"close of a full channel", close_out, ROOM, EPIPE, -1},
    {"close of a rendezvous, receiving", close_meet_recv, MEET_RECV, EPIPE, -1},
    {"close of a rendezvous, sending", close_meet_send, MEET_SEND, EPIPE, -1},
    {"close of a timer", close_timer, TIME, EPIPE, -1},
    {"cancel", cancel, -ECANCELED, 0, -1},
    {"a case's context and cancel", cancel_done_too, DONE, ECANCELED, -1},
    {"a sender, and a cancel that comes too late", meet_then_cancel, MEET_RECV, 0, 43},
};
enum { EVENTS = sizeof events / sizeof events[0] };

static void check_event(struct waiter *w, const struct event *e)
{
    if (!CHECK_INT(w->result, e->result))
        test_say("#   after %s\n", e->name);
    if (e->result >= 0)
        CHECK_INT(w->cases[e->result].status, e->status);
    for (int i = 0; i < CASES; i++) {
        CHECK_INT(w->give[i], 100 + i); /* sent or not, a value is never written to */
        CHECK_INT(w->got[i], i == e->result ? e->got : -1);
    }
    CHECK_INT(weir_is_closed(w->out) ? 1 : (long long)weir_len(w->out), 1); /* the old value, or ours in its place */
    check_nothing_left(w);
}

TEST(each_event_ends_the_wait_of_a_sleeping_select)
{
    static const weir_wait_strategy strategies[] = {WEIR_WAIT_ADAPTIVE, WEIR_WAIT_PARK, WEIR_WAIT_YIELD,
                                                    WEIR_WAIT_SPIN};
    static struct waiter w;
    for (int e = 0; e < EVENTS; e++)
        for (int i = 0; i < 5; i++) {
            prepare(&w, i < 4 ? CASES : CASES + EXTRA, strategies[i % 4]);
            struct test_team *team = test_start(1, waiter_main, &w, 0);
            EVENTUALLY(get(&w.parked) == 1);
            CHECK_INT(waiting_receivers(w.in), 1);
            CHECK_INT(waiting_senders(w.meet_send), 1);
            CHECK_INT(get(&w.returned), 0);
            if (i == 1)
                give_time(); /* until it really sleeps */
            events[e].happens(&w);
            test_join(team);
            check_event(&w, &events[e]);
            finish(&w);
        }
}

TEST(each_event_is_seen_between_lying_down_and_sleeping)
{
    static struct waiter w;
    for (int e = 0; e < EVENTS; e++) {
        prepare(&w, CASES, WEIR_WAIT_PARK);
        self = &w;
        then = events[e].happens;
        at_point = count_parking;
        w.result = weir_select_until(&w.ctx, w.cases, w.n, w.deadline);
        at_point = NULL;
        CHECK(w.parked >= 1);
        check_event(&w, &events[e]);
        finish(&w);
    }
}

TEST(many_events_at_once_do_one_case)
{
    static struct waiter w;
    for (int round = 0; round < 200; round++) {
        prepare(&w, CASES, WEIR_WAIT_ADAPTIVE);
        struct test_team *team = test_start(1, waiter_main, &w, 0);
        int met = 0, v = 7;
        EVENTUALLY(get(&w.parked) == 1);
        CHECK_INT(weir_try_send(w.in, &v), 0);
        make_room(&w);
        met += weir_try_send(w.meet_recv, &v) == 0;
        met += weir_try_recv(w.meet_send, &v) == 0;
        test_join(team);
        if (!CHECK(w.result == TAKE || w.result == ROOM || w.result == MEET_RECV || w.result == MEET_SEND))
            break;
        CHECK_INT(w.cases[w.result].status, 0);
        CHECK_INT(met,
                  w.result == MEET_RECV || w.result == MEET_SEND); /* a peer was met exactly if the select says so */
        CHECK_INT(weir_len(w.in), w.result == TAKE ? 0 : 1);
        CHECK_INT(weir_len(w.out), w.result == ROOM ? 1 : 0);
        check_nothing_left(&w);
        finish(&w);
    }
}

TEST(deadlines_of_the_call_the_context_and_a_case)
{
    static struct waiter w;
    for (int i = 0; i < 6; i++) {
        prepare(&w, CASES, i % 2 ? WEIR_WAIT_PARK : WEIR_WAIT_SPIN);
        const weir_ns until = weir_now() + WEIR_MS(3);
        if (i / 2 == 0) {
            w.deadline = until;
        } else if (i / 2 == 1) {
            weir_ctx_free(&w.ctx);
            weir_ctx_init_deadline(&w.ctx, NULL, until);
        } else {
            weir_ctx_free(&w.done);
            weir_ctx_init_deadline(&w.done, NULL, until);
        }
        waiter_main(&w);
        CHECK(weir_now() >= until);
        CHECK_INT(w.result, i / 2 == 2 ? DONE : -ETIMEDOUT);
        if (i / 2 == 2)
            CHECK_INT(w.cases[DONE].status, ETIMEDOUT);
        check_nothing_left(&w);
        finish(&w);
    }
}

/* The value goes over while the select is held; until it is let go, the call has not returned. */
static struct waiter *held;
static void at_meeting(const char *point)
{
    if (strcmp(point, "meeting") != 0)
        return;
    weir_ctx_cancel(&held->ctx, 0); /* and what comes now is too late */
    give_time();
    CHECK_INT(get(&held->returned), 0);
}

TEST(a_select_returns_only_after_the_exchange)
{
    static struct waiter w;
    for (int sends = 0; sends < 2; sends++) {
        prepare(&w, CASES, WEIR_WAIT_ADAPTIVE);
        held = &w;
        struct test_team *team = test_start(1, waiter_main, &w, 0);
        EVENTUALLY(get(&w.parked) == 1);
        at_point = at_meeting;
        (sends ? meet_its_send : meet_its_recv)(&w);
        at_point = NULL;
        test_join(team);
        check_event(&w, &events[sends ? 3 : 2]);
        finish(&w);
    }
}

TEST(a_select_meets_who_waits_already)
{
    static struct waiter w;
    for (int sends = 0; sends < 2; sends++) {
        static struct waiter other;
        prepare(&w, CASES, WEIR_WAIT_ADAPTIVE);
        struct test_team *team = test_start(1, waiter_main, &w, 0);
        EVENTUALLY(get(&w.parked) == 1);
        prepare(&other, CASES, WEIR_WAIT_ADAPTIVE);
        int v = 43;
        weir_case c = sends ? WEIR_RECV(w.meet_send, &v) : WEIR_SEND(w.meet_recv, &v);
        weir_case with[] = {WEIR_RECV(other.in, &v), WEIR_SEND(other.meet_send, &v), c};
        CHECK_INT(sends ? weir_try_select(with, 3) : weir_select(NULL, with, 3), 2);
        CHECK_INT(v, sends ? 100 + MEET_SEND : 43);
        test_join(team);
        check_event(&w, &events[sends ? 3 : 2]);
        check_nothing_left(&other);
        finish(&w);
        finish(&other);
    }
}

/* The select lies in the queue twice, a plain receiver behind it. When it has been met by the first, the second of its nodes is
 * still there: whoever comes next passes it over. All this before the select sleeps, so it cannot have left. */
static int_chan twice;

static void meet_twice(const char *point)
{
    int v = 1;
    if (strcmp(point, "parking") != 0)
        return;
    at_point = NULL;
    EVENTUALLY(waiting_receivers(twice) == 3);
    CHECK_INT(weir_try_send(twice, &v), 0);
    CHECK_INT(weir_try_send(twice, &v), 0);
    CHECK_INT(weir_try_send(twice, &v), EAGAIN);
}

static void receive_behind(void *unused)
{
    int v = 0;
    (void)unused;
    EVENTUALLY(waiting_receivers(twice) == 2);
    CHECK_INT(weir_recv_until(NULL, twice, &v, weir_now() + WEIR_SEC(20)), 0);
    CHECK_INT(v, 1);
}

TEST(a_select_that_has_been_met_is_passed_over)
{
    int v = 0;
    REQUIRE(weir_chan_make(&twice, 0) == 0);
    weir_case cases[] = {WEIR_RECV(twice, &v), WEIR_RECV(twice, &v)};
    struct test_team *team = test_start(1, receive_behind, NULL, 0);
    at_point = meet_twice;
    const int done = weir_select(NULL, cases, 2);
    CHECK(done == 0 || done == 1);
    CHECK_INT(v, 1);
    test_join(team);
    CHECK(queues_are_empty(twice));
    weir_chan_free(&twice);
}

/* ---- a wake-up that a select did not need ---- */

/* The select is the first in the queue of `contested`, a plain caller the second. The select is woken for `contested` and then
 * finds `better` ready, which it lists first: the plain caller has to be woken in its place. */
struct contest {
    int_chan contested, better;
    bool sends;
    int sleeping; /* the plain caller has come to the point after which only a wake-up helps */
};

static __thread struct contest *contest;

static void plain_sleeps(const char *point)
{
    if (strcmp(point, "parking") == 0)
        set(&contest->sleeping, 1);
}

static void plain_main(void *p)
{
    struct contest *c = contest = (struct contest *)p;
    int v = 1;
    EVENTUALLY(waiting_receivers(c->contested) + waiting_senders(c->contested) == 1);
    at_point = plain_sleeps;
    CHECK_INT(c->sends ? weir_send(NULL, c->contested, &v) : weir_recv(NULL, c->contested, &v), 0);
    at_point = NULL;
}

static void ready_both(const char *point)
{
    struct contest *c = contest;
    int v = 1;
    if (strcmp(point, "parking") != 0)
        return;
    at_point = NULL;
    EVENTUALLY(get(&c->sleeping) == 1);
    CHECK_INT(c->sends ? weir_try_recv(c->contested, &v) : weir_try_send(c->contested, &v), 0);
    CHECK_INT(c->sends ? weir_try_recv(c->better, &v) : weir_try_send(c->better, &v), 0);
}

TEST_LIMIT(a_wake_up_that_is_not_used_goes_to_the_next_in_the_queue, 20)
{
    for (int i = 0; i < 20; i++) {
        struct contest c = {{NULL}, {NULL}, i % 2 == 1, 0};
        weir_chan_opt opt = {i % 4 < 2 ? WEIR_WAIT_PARK : WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
        int v = 2;
        REQUIRE(weir_chan_make_opt(&c.contested, 1, &opt) == 0);
        REQUIRE(weir_chan_make_opt(&c.better, 1, &opt) == 0);
        if (c.sends) {
            CHECK_INT(weir_try_send(c.contested, &v), 0);
            CHECK_INT(weir_try_send(c.better, &v), 0);
        }
        struct test_team *team = test_start(1, plain_main, &c, 0);
        weir_case receives[] = {WEIR_RECV(c.better, &v), WEIR_RECV(c.contested, &v)};
        weir_case sends[] = {WEIR_SEND(c.better, &v), WEIR_SEND(c.contested, &v)};
        contest = &c;
        at_point = ready_both;
        CHECK_INT(weir_select_ordered(NULL, c.sends ? sends : receives, 2), 0);
        at_point = NULL;
        test_join(team); /* hangs if nobody wakes it */
        CHECK(queues_are_empty(c.contested));
        CHECK(queues_are_empty(c.better));
        weir_chan_free(&c.contested);
        weir_chan_free(&c.better);
    }
}
