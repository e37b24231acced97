/* tests/chan/test_timer_wait.c: threads that wait for timers: what wakes them, and who gets the tick. */
#include "queues.h"

struct sleeper {
    weir_timer t;
    weir_ctx *ctx;
    bool selects;
    weir_ns when, returned_at;
    int rc;
};

static void sleep_on(void *p)
{
    struct sleeper *s = (struct sleeper *)p;
    const weir_timer none = {NULL};
    if (s->selects) {
        weir_case cases[] = {WEIR_RECV(none, &s->when), WEIR_RECV(s->t, &s->when)};
        const int done = weir_select(s->ctx, cases, 2);
        s->rc = done < 0 ? -done : cases[1].status;
        CHECK(done < 0 || done == 1);
    } else {
        s->rc = weir_recv(s->ctx, s->t, &s->when);
    }
    s->returned_at = weir_now();
}

TEST(reset_to_an_earlier_time_wakes_sleepers)
{
    for (int i = 0; i < 40; i++) {
        struct sleeper s;
        memset(&s, 0, sizeof s);
        s.selects = i % 2;
        REQUIRE(weir_after(&s.t, i % 4 < 2 ? WEIR_FOREVER : WEIR_SEC(1000)) == 0);
        struct test_team *team = test_start(1, sleep_on, &s, 0);
        EVENTUALLY(waiting_receivers(s.t) == 1);
        if (i % 8 == 7)
            give_time();
        const weir_ns reset_at = weir_now();
        CHECK_INT(weir_timer_reset(s.t, WEIR_US(200)), 0);
        test_join(team);
        CHECK_INT(s.rc, 0);
        CHECK(s.when >= reset_at + WEIR_US(200) && s.returned_at >= s.when);
        CHECK(queues_are_empty(s.t));
        weir_chan_free(&s.t);
    }
}

TEST(reset_to_a_later_time_and_stop_hold_a_sleeper_back)
{
    for (int i = 0; i < 8; i++) {
        struct sleeper s;
        memset(&s, 0, sizeof s);
        s.selects = i % 2;
        REQUIRE(weir_after(&s.t, WEIR_MS(20)) == 0);
        struct test_team *team = test_start(1, sleep_on, &s, 0);
        const int stopped = weir_timer_stop(s.t); /* before or after it lay down */
        CHECK(stopped == 0 || stopped == EAGAIN);
        const weir_ns reset_at = weir_now();
        CHECK_INT(weir_timer_reset(s.t, WEIR_MS(30)), 0);
        test_join(team);
        CHECK_INT(s.rc, 0);
        CHECK(s.when >= reset_at + WEIR_MS(30) || s.when < reset_at); /* the new time; or it had fired before */
        CHECK(s.returned_at >= s.when);
        weir_chan_free(&s.t);
    }
}

TEST(close_and_cancel_end_a_sleep)
{
    for (int i = 0; i < 8; i++) {
        struct sleeper s;
        weir_ctx ctx;
        memset(&s, 0, sizeof s);
        s.selects = i % 2;
        s.ctx = &ctx;
        weir_ctx_init(&ctx, NULL);
        REQUIRE(i % 4 < 2 ? weir_after(&s.t, WEIR_SEC(1000)) == 0 : weir_tick(&s.t, WEIR_SEC(1000)) == 0);
        struct test_team *team = test_start(1, sleep_on, &s, 0);
        EVENTUALLY(waiting_receivers(s.t) == 1);
        if (i < 4)
            weir_ctx_cancel(&ctx, 0);
        else
            CHECK_INT(weir_close(s.t), 0);
        test_join(team);
        CHECK_INT(s.rc, i < 4 ? ECANCELED : EPIPE);
        if (i >= 4) {
            CHECK_INT(weir_close(s.t), EPIPE);
            CHECK(weir_is_closed(s.t));
            CHECK_INT(weir_timer_reset(s.t, 1), 0);
            CHECK_INT(weir_recv(NULL, s.t, &s.when), EPIPE); /* also when something is due */
            CHECK_INT(weir_try_recv(s.t, &s.when), EPIPE);
        }
        weir_ctx_free(&ctx);
        weir_chan_free(&s.t);
    }
}

/* ---- many receivers ---- */

enum { TICKS = 300, RECEIVERS = 4 };

struct shared {
    weir_timer t;
    weir_ctx ctx;
    weir_ns got[TICKS];
    int count; /* atomic */
};

static void take_ticks(void *p)
{
    struct shared *s = (struct shared *)p;
    weir_ns when;
    while (weir_recv(&s->ctx, s->t, &when) == 0) {
        const int i = __atomic_fetch_add(&s->count, 1, __ATOMIC_RELAXED);
        CHECK(weir_now() >= when);
        if (i < TICKS)
            s->got[i] = when;
        if (i == TICKS - 1)
            weir_ctx_cancel(&s->ctx, 0);
        if (i >= TICKS - 1)
            return;
    }
}

static int by_value(const void *a, const void *b)
{
    const weir_ns x = *(const weir_ns *)a, y = *(const weir_ns *)b;
    return x < y ? -1 : x > y;
}

TEST(each_tick_goes_to_exactly_one)
{
    static struct shared s;
    REQUIRE(weir_tick(&s.t, WEIR_US(100)) == 0);
    weir_ctx_init(&s.ctx, NULL);
    test_threads(RECEIVERS, take_ticks, &s, 0);
    qsort(s.got, TICKS, sizeof s.got[0], by_value);
    for (int i = 1; i < TICKS; i++) {
        CHECK(s.got[i] > s.got[i - 1]);
        CHECK_INT((s.got[i] - s.got[0]) % WEIR_US(100), 0);
    }
    CHECK(queues_are_empty(s.t));
    weir_ctx_free(&s.ctx);
    weir_chan_free(&s.t);
}

struct after_race {
    struct duel duel;
    weir_timer t;
    int got; /* atomic */
};

static void race_for_it(void *p)
{
    struct after_race *r = (struct after_race *)p;
    int seen = 0;
    while (duel_next(&r->duel, &seen))
        if (weir_try_recv(r->t, (weir_ns *)NULL) == 0)
            __atomic_add_fetch(&r->got, 1, __ATOMIC_RELAXED);
}

TEST(what_is_due_is_taken_once_or_stopped)
{
    struct after_race r;
    memset(&r, 0, sizeof r);
    r.duel.others = 1;
    REQUIRE(weir_after(&r.t, WEIR_FOREVER) == 0);
    struct test_team *team = test_start(1, race_for_it, &r, 0);
    for (long i = test_rounds(20000); i > 0; i--) {
        r.got = 0;
        CHECK_INT(weir_timer_reset(r.t, 0), 0);
        duel_begin(&r.duel);
        int own = i % 2 ? weir_timer_stop(r.t) == 0 : weir_try_recv(r.t, (weir_ns *)NULL) == 0;
        duel_end(&r.duel);
        CHECK_INT(own + r.got, 1);
    }
    duel_stop(&r.duel);
    test_join(team);
    weir_chan_free(&r.t);
}
