/* tests/chan/test_select_moment.c: a try that says EAGAIN says that no case was ready at one moment; and a wait misses no moment
 * either.
 *
 * In each round another thread makes the second case ready before it makes the first one not so: at every moment one is. A select that only looks at one after the other can miss both. */
#include "clock.h"
#include "queues.h"

typedef weir_chan(int) int_chan;

enum move { TWO_BUFFERS, TWO_ROOMS, BUFFER_THEN_CLOSE, BUFFER_THEN_CONTEXT, ROOM_THEN_BUFFER, MOVES };

struct mover {
    struct duel duel;
    enum move move;
    int_chan a, b;
    weir_ctx ctx;
    unsigned delay;
};

static int one = 1;

static void mover_main(void *p)
{
    struct mover *m = (struct mover *)p;
    int seen = 0, v;
    while (duel_next(&m->duel, &seen)) {
        dawdle(m->delay);
        switch (m->move) {
        case TWO_BUFFERS:
            (void)weir_try_send(m->b, &one);
            (void)weir_try_recv(m->a, &v);
            break;
        case TWO_ROOMS:
            (void)weir_try_recv(m->b, &v);
            (void)weir_try_send(m->a, &one);
            break;
        case BUFFER_THEN_CLOSE:
            (void)weir_close(m->b);
            (void)weir_try_recv(m->a, &v);
            break;
        case BUFFER_THEN_CONTEXT:
            weir_ctx_cancel(&m->ctx, 0);
            (void)weir_try_recv(m->a, &v);
            break;
        default:
            (void)weir_try_send(m->b, &one);
            (void)weir_try_send(m->a, &one);
            break;
        }
    }
}

static void run_moves(enum move move)
{
    struct mover m;
    unsigned random = 7;
    int v;
    memset(&m, 0, sizeof m);
    m.move = move;
    m.duel.others = 1;
    struct test_team *team = test_start(1, mover_main, &m, 0);
    for (long r = test_rounds(20000); r > 0; r--) {
        REQUIRE(weir_chan_make(&m.a, 1) == 0);
        REQUIRE(weir_chan_make(&m.b, 1) == 0);
        weir_ctx_init(&m.ctx, NULL);
        if (move != TWO_ROOMS && move != ROOM_THEN_BUFFER)
            CHECK_INT(weir_try_send(m.a, &one), 0);
        if (move == TWO_ROOMS)
            CHECK_INT(weir_try_send(m.b, &one), 0);
        weir_case recv_a = WEIR_RECV(m.a, &v), recv_b = WEIR_RECV(m.b, &v), send_a = WEIR_SEND(m.a, &one);
        weir_case send_b = WEIR_SEND(m.b, &one), done = WEIR_DONE(&m.ctx);
        weir_case first = move == TWO_ROOMS || move == ROOM_THEN_BUFFER ? send_a : recv_a;
        weir_case second = move == TWO_ROOMS ? send_b : move == BUFFER_THEN_CONTEXT ? done : recv_b;
        weir_case cases[] = {first, second};
        m.delay = draw(&random) % 300;
        const unsigned own_delay = draw(&random) % 300;
        duel_begin(&m.duel);
        dawdle(own_delay);
        const int rc = weir_try_select(cases, 2);
        duel_end(&m.duel);
        CHECK(rc == 0 || rc == 1);
        weir_ctx_free(&m.ctx);
        weir_chan_free(&m.a);
        weir_chan_free(&m.b);
    }
    duel_stop(&m.duel);
    test_join(team);
}

TEST(a_value_that_moves_to_another_channel)
{
    run_moves(TWO_BUFFERS);
}

TEST(room_that_moves_to_another_channel)
{
    run_moves(TWO_ROOMS);
}

TEST(a_channel_closed_before_the_other_is_drained)
{
    run_moves(BUFFER_THEN_CLOSE);
}

TEST(a_context_cancelled_before_the_channel_is_drained)
{
    run_moves(BUFFER_THEN_CONTEXT);
}

TEST(a_value_in_one_channel_before_the_room_in_the_other_has_gone)
{
    run_moves(ROOM_THEN_BUFFER);
}

/* ---- a peer in a rendezvous before the value in the buffer has gone ---- */

struct meeting {
    struct duel duel;
    int_chan buffer, rendezvous;
};

static void meeting_sender(void *p)
{
    struct meeting *m = (struct meeting *)p;
    int seen = 0;
    while (duel_next(&m->duel, &seen))
        CHECK_INT(weir_send(NULL, m->rendezvous, &one), 0);
}

static void meeting_taker(void *p)
{
    struct meeting *m = (struct meeting *)p;
    int seen = 0, v;
    while (duel_next(&m->duel, &seen)) {
        int turns = 0;
        while (waiting_senders(m->rendezvous) == 0 && turns++ < 100000) {} /* or main has met the sender already */
        if (waiting_senders(m->rendezvous) > 0)
            (void)weir_try_recv(m->buffer, &v);
    }
}

TEST(a_peer_that_comes_before_the_value_goes)
{
    struct meeting m;
    int v;
    memset(&m, 0, sizeof m);
    m.duel.others = 2;
    REQUIRE(weir_chan_make(&m.buffer, 1) == 0);
    REQUIRE(weir_chan_make(&m.rendezvous, 0) == 0);
    struct test_team *sender = test_start(1, meeting_sender, &m, 0), *taker = test_start(1, meeting_taker, &m, 0);
    for (long r = test_rounds(10000); r > 0; r--) {
        weir_case cases[] = {WEIR_RECV(m.rendezvous, &v), WEIR_RECV(m.buffer, &v)};
        CHECK_INT(weir_try_send(m.buffer, &one), 0);
        duel_begin(&m.duel);
        const int rc = weir_try_select(cases, 2);
        CHECK(rc == 0 || rc == 1);
        if (rc != 0)
            CHECK_INT(weir_recv(NULL, m.rendezvous, &v), 0);
        duel_end(&m.duel);
        (void)weir_try_recv(m.buffer, &v);
    }
    duel_stop(&m.duel);
    test_join(sender);
    test_join(taker);
    weir_chan_free(&m.buffer);
    weir_chan_free(&m.rendezvous);
}

/* ---- time: due before the value has gone. The thread's own look at the clock makes both happen, so no luck is needed ---- */

static int_chan drained;

static void time_passes_then_drain(void)
{
    int v;
    pass(WEIR_SEC(100));
    (void)weir_try_recv(drained, &v);
}

static void check_time_first(bool timer_case)
{
    int v;
    weir_ns when;
    REQUIRE(weir_chan_make(&drained, 1) == 0);
    for (int r = 0; r < 64; r++) { /* in random order: half of the rounds look at the time first */
        weir_timer timer;
        weir_ctx ctx;
        REQUIRE(weir_after(&timer, WEIR_SEC(50)) == 0);
        weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(50));
        CHECK_INT(weir_try_send(drained, &one), 0);
        weir_case time_case = WEIR_RECV(timer, &when), done = WEIR_DONE(&ctx);
        weir_case cases[] = {WEIR_RECV(drained, &v), timer_case ? time_case : done};
        after_look = time_passes_then_drain;
        CHECK(weir_try_select(cases, 2) >= 0);
        after_look = NULL;
        (void)weir_try_recv(drained, &v);
        weir_ctx_free(&ctx);
        weir_chan_free(&timer);
    }
    weir_chan_free(&drained);
}

TEST(a_timer_due_before_the_value_goes)
{
    check_time_first(true);
}

TEST(a_context_out_of_time_before_the_value_goes)
{
    check_time_first(false);
}

/* ---- the same without luck: a case in the middle looks at the clock, and then the others change places ---- */

static int_chan left, right;
static int what_changes;
static int sender_may_come;

static void change_places(void)
{
    int v = 1;
    if (what_changes == 0) {
        (void)weir_try_send(left, &v); /* a value here before that one goes */
        (void)weir_try_recv(right, &v);
    } else if (what_changes == 1) {
        (void)weir_try_recv(left, &v); /* room here before that one goes */
        (void)weir_try_send(right, &v);
    } else {
        set(&sender_may_come, 1); /* a peer here before the value there goes */
        EVENTUALLY(waiting_senders(left) == 1);
        (void)weir_try_recv(right, &v);
    }
}

static void comes_when_called(void *p)
{
    int v = 2;
    (void)p;
    for (;;) {
        EVENTUALLY(get(&sender_may_come) != 0);
        if (get(&sender_may_come) < 0)
            return;
        set(&sender_may_come, 0);
        (void)weir_send(NULL, left, &v);
    }
}

TEST(readiness_that_changes_places_in_the_middle_of_a_try)
{
    for (what_changes = 0; what_changes < 3; what_changes++) {
        struct test_team *team = NULL;
        weir_ctx far;
        int v;
        weir_ctx_init_timeout(&far, NULL, WEIR_SEC(100000));
        REQUIRE(weir_chan_make(&left, what_changes == 2 ? 0 : 1) == 0);
        REQUIRE(weir_chan_make(&right, 1) == 0);
        sender_may_come = 0;
        if (what_changes == 2)
            team = test_start(1, comes_when_called, NULL, 0);
        for (int r = 0; r < 200; r++) { /* in random order: each sixth time it is left, clock, right */
            weir_case sends[] = {WEIR_SEND(left, &one), WEIR_DONE(&far), WEIR_SEND(right, &one)};
            weir_case receives[] = {WEIR_RECV(left, &v), WEIR_DONE(&far), WEIR_RECV(right, &v)};
            if (what_changes == 1) /* full, and with room */
                CHECK_INT(weir_try_send(left, &one), 0);
            else /* empty or nobody there, and with a value */
                CHECK_INT(weir_try_send(right, &one), 0);
            after_look = change_places;
            const int done = weir_try_select(what_changes == 1 ? sends : receives, 3);
            CHECK(done == 0 || done == 2);
            const bool looked = after_look == NULL;
            after_look = NULL;
            if (what_changes == 2 && looked && done != 0)
                CHECK_INT(weir_recv(NULL, left, &v), 0);
            if (what_changes != 2)
                (void)weir_try_recv(left, &v);
            (void)weir_try_recv(right, &v);
        }
        if (team != NULL) {
            set(&sender_may_come, -1);
            test_join(team);
        }
        weir_ctx_free(&far);
        weir_chan_free(&left);
        weir_chan_free(&right);
    }
}

/* ---- a wait: what comes after the poll and before the thread lies in the queues, when nobody can find it yet ---- */

static int_chan unseen;
static int unseen_what;

static void comes_unseen(void)
{
    int v = 1;
    CHECK_INT(waiting_receivers(unseen) + waiting_senders(unseen), 0);
    if (unseen_what == 0)
        CHECK_INT(weir_try_send(unseen, &v), 0);
    else if (unseen_what == 1)
        CHECK_INT(weir_try_recv(unseen, &v), 0);
    else
        CHECK_INT(weir_close(unseen), 0);
}

TEST(what_comes_between_the_poll_and_lying_down_is_seen)
{
    /* A value; room; close of an empty buffer, of a full one, of a rendezvous. */
    for (unseen_what = 0; unseen_what < 5; unseen_what++) {
        const bool full = unseen_what % 2 == 1;
        weir_chan_opt opt = {WEIR_WAIT_PARK, NULL, NULL, 0};
        int v = 0;
        REQUIRE(weir_chan_make_opt(&unseen, unseen_what == 4 ? 0 : 1, &opt) == 0);
        if (full)
            CHECK_INT(weir_try_send(unseen, &one), 0);
        weir_case cases[] = {full ? WEIR_SEND(unseen, &one) : WEIR_RECV(unseen, &v), WEIR_DONE(NULL)};
        const weir_ns far = weir_now() + WEIR_SEC(3);
        after_look = comes_unseen; /* a wait with a deadline looks at the clock after its poll found nothing */
        CHECK_INT(weir_select_until(NULL, cases, 2, far), 0);
        CHECK(after_look == NULL);
        CHECK(weir_now() < far); /* and not only when it woke to give up */
        CHECK_INT(cases[0].status, unseen_what < 2 ? 0 : EPIPE);
        CHECK(queues_are_empty(unseen));
        weir_chan_free(&unseen);
    }
}

/* ---- what comes between two looks, at a hook point rather than by luck ---- */

static int_chan meets;
static weir_timer timer;
static weir_ctx ctx;
static struct test_team *helper;
static bool through_done;

static void send_one(void *unused)
{
    (void)unused;
    CHECK_INT(weir_send(NULL, meets, &one), 0);
}

static void close_or_cancel(void *unused)
{
    (void)unused;
    if (through_done)
        weir_ctx_cancel(&ctx, 0);
    else
        CHECK_INT(weir_close(timer), 0);
}

static bool a_sender_sleeps(void)
{
    weir__waitq *q = &meets.core->chan.senders;
    weir__lock_take(weir__meet_lock(&meets.core->chan));
    const bool sleeps = q->list.first != NULL && weir__load_acq(&q->list.first->parker->state) == WEIR__PARKER_SLEEPING;
    weir__lock_release(weir__meet_lock(&meets.core->chan));
    return sleeps;
}

static void at(const char *point, const char *wanted, void (*fn)(void *), bool over)
{
    if (strcmp(point, wanted) != 0 || helper != NULL)
        return;
    helper = test_start(1, fn, NULL, 0);
    if (fn == send_one)
        EVENTUALLY(a_sender_sleeps());
    else
        EVENTUALLY(through_done ? weir_ctx_err(&ctx) != 0 : weir_is_closed(timer));
    if (over)
        test_join(helper);
}

static void a_sender_comes(const char *point)
{
    at(point, "looking again", send_one, false);
}

static void it_ends(const char *point)
{
    at(point, "looking again", close_or_cancel, true);
}

/* Here the select holds the locks of its channels, and what comes waits for one of them: it must be seen by the last look. */
static void it_ends_while_we_lie_down(const char *point)
{
    at(point, "lying down", close_or_cancel, false);
}

static void begin_two_looks(void)
{
    REQUIRE(weir_chan_make(&meets, 0) == 0 && weir_after(&timer, WEIR_SEC(1000)) == 0);
    weir_ctx_init(&ctx, NULL);
    helper = NULL;
}

static void end_two_looks(void)
{
    at_point = NULL;
    weir_chan_free(&meets);
    weir_chan_free(&timer);
    weir_ctx_free(&ctx);
}

TEST(a_sender_that_comes_between_two_looks_is_met)
{
    for (int waits = 0; waits < 2; waits++) {
        int v = 0;
        weir_ns when;
        begin_two_looks();
        weir_case cases[] = {WEIR_RECV(meets, &v), WEIR_RECV(timer, &when)};
        at_point = a_sender_comes;
        CHECK_INT(waits ? weir_select(NULL, cases, 2) : weir_try_select(cases, 2), 0);
        CHECK_INT(v, 1);
        test_join(helper);
        end_two_looks();
    }
}

TEST(a_timer_or_context_that_ends_between_the_looks_of_a_try_is_seen)
{
    for (int i = 0; i < 2; i++) {
        int v;
        weir_ns when;
        begin_two_looks();
        weir_case recv = WEIR_RECV(timer, &when), done = WEIR_DONE(&ctx);
        weir_case cases[] = {WEIR_RECV(meets, &v), i == 0 ? recv : done};
        through_done = i == 1;
        at_point = it_ends;
        CHECK_INT(weir_try_select(cases, 2), 1);
        CHECK_INT(cases[1].status, i == 0 ? EPIPE : ECANCELED);
        end_two_looks();
    }
}

TEST(a_timer_or_context_that_ends_while_a_select_lies_down_is_seen)
{
    for (int i = 0; i < 2; i++) {
        int v;
        weir_ns when;
        begin_two_looks();
        weir_case recv = WEIR_RECV(timer, &when), done = WEIR_DONE(&ctx);
        weir_case cases[] = {WEIR_RECV(meets, &v), i == 0 ? recv : done};
        through_done = i == 1;
        at_point = it_ends_while_we_lie_down;
        CHECK_INT(weir_select(NULL, cases, 2), 1);
        CHECK_INT(cases[1].status, i == 0 ? EPIPE : ECANCELED);
        test_join(helper);
        end_two_looks();
    }
}

/* ---- the very nanosecond ---- */

static weir_ns due;

static void time_comes(const char *point)
{
    if (strcmp(point, "looking again") == 0 && due != 0) {
        at_point = NULL;
        pass(due);
    }
}

TEST(what_is_due_now_is_due)
{
    weir_ns when;
    int v;
    clock_stands_still(true);
    begin_two_looks();
    CHECK_INT(weir_timer_reset(timer, 100), 0);
    pass(99);
    CHECK_INT(weir_try_recv(timer, &when), EAGAIN);
    pass(1);
    CHECK_INT(weir_try_recv(timer, &when), 0);
    for (int i = 0; i < 2; i++) { /* between the looks of a try */
        weir_ctx late;
        CHECK_INT(weir_timer_reset(timer, i == 0 ? 100 : WEIR_SEC(1)), 0);
        weir_ctx_init_timeout(&late, NULL, 100);
        weir_case recv = WEIR_RECV(timer, &when), done = WEIR_DONE(&late);
        weir_case cases[] = {WEIR_RECV(meets, &v), i == 0 ? recv : done};
        due = 100;
        at_point = time_comes;
        CHECK_INT(weir_try_select(cases, 2), 1);
        weir_ctx_free(&late);
    }
    end_two_looks();
    clock_stands_still(false);
}
