/* tests/crossbeam/test_timers.c: what crossbeam-channel's tests of after, tick and never require, written afresh. */
#include "chan/queues.h"

typedef weir_chan(int) int_chan;

TEST(after_delivers_once_when_its_time_has_come)
{
    weir_timer t;
    weir_ns when;
    const weir_ns start = weir_now();
    REQUIRE(weir_after(&t, WEIR_MS(5)) == 0);
    CHECK_INT(weir_cap(t), 0);
    CHECK_INT(weir_len(t), 0);
    int rc;
    while ((rc = weir_try_recv(t, &when)) == EAGAIN)
        sched_yield();
    CHECK_INT(rc, 0);
    CHECK(weir_now() - start >= WEIR_MS(5));
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    weir_case c = WEIR_RECV(t, &when);
    CHECK_INT(weir_try_select(&c, 1), -EAGAIN);
    CHECK_INT(weir_select_until(NULL, &c, 1, weir_now() + WEIR_MS(1)), -ETIMEDOUT);
    weir_chan_free(&t);
}

TEST(a_deadline_before_the_timer_comes_first_and_one_after_it_second)
{
    weir_timer t;
    weir_ns when;
    const weir_ns start = weir_now();
    REQUIRE(weir_after(&t, WEIR_MS(20)) == 0);
    if (weir_recv_until(NULL, t, &when, start + WEIR_MS(1)) == ETIMEDOUT)
        CHECK_INT(weir_recv_until(NULL, t, &when, start + WEIR_SEC(60)), 0);
    CHECK(weir_now() - start >= WEIR_MS(20));
    weir_chan_free(&t);
}

struct racer {
    weir_timer t;
    weir_ctx *ctx;
    int *winners, last;
};

static void race_for_one(void *p)
{
    struct racer *r = (struct racer *)p;
    weir_ns when;
    if (weir_recv(r->ctx, r->t, &when) == 0) {
        __atomic_add_fetch(r->winners, 1, __ATOMIC_RELAXED);
        weir_ctx_cancel(r->ctx, 0);
    }
}

TEST(of_many_who_wait_for_one_timer_one_gets_it)
{
    for (int i = 0; i < 20; i++) {
        int winners = 0;
        weir_ctx ctx;
        struct racer r = {{NULL}, &ctx, &winners, 0};
        weir_ctx_init(&ctx, NULL);
        REQUIRE(weir_after(&r.t, WEIR_US(500)) == 0);
        test_threads(4, race_for_one, &r, 0);
        CHECK_INT(winners, 1);
        CHECK(queues_are_empty(r.t));
        weir_ctx_free(&ctx);
        weir_chan_free(&r.t);
    }
}

TEST(in_a_select_the_nearest_of_several_timers_fires_first)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        weir_timer slow, fast, never;
        weir_ns when;
        REQUIRE(weir_after(&slow, WEIR_SEC(1000)) == 0);
        REQUIRE(weir_after(&fast, WEIR_MS(2)) == 0);
        REQUIRE(weir_tick(&never, WEIR_SEC(1000)) == 0);
        weir_case cases[] = {WEIR_RECV(slow, &when), WEIR_RECV(fast, &when), WEIR_RECV(never, &when)};
        const weir_ns start = weir_now();
        CHECK_INT(ordered ? weir_select_ordered(NULL, cases, 3) : weir_select(NULL, cases, 3), 1);
        CHECK(when <= weir_now() && when > start - WEIR_SEC(1));
        weir_chan_free(&slow);
        weir_chan_free(&fast);
        weir_chan_free(&never);
    }
}

TEST(timers_beside_channels_in_a_loop)
{
    weir_timer tick;
    int_chan ch;
    weir_ns when, last = 0;
    int ticks = 0, values = 0, v = 1;
    REQUIRE(weir_tick(&tick, WEIR_US(200)) == 0);
    REQUIRE(weir_chan_make(&ch, 1) == 0);
    while (ticks < 20) {
        weir_case cases[] = {WEIR_RECV(tick, &when), values % 2 ? WEIR_RECV(ch, &v) : WEIR_SEND(ch, &v)};
        const int done = weir_select(NULL, cases, 2);
        if (done == 1) {
            values++;
            continue;
        }
        CHECK_INT(done, 0);
        CHECK(when > last);
        last = when;
        ticks++;
    }
    CHECK(values > 0);
    weir_chan_free(&tick);
    weir_chan_free(&ch);
}

TEST(two_due_timers_are_both_chosen_in_turn)
{
    weir_timer a, b;
    long hits[2] = {0, 0};
    const long rounds = test_rounds(10000);
    REQUIRE(weir_after(&a, 0) == 0 && weir_after(&b, 0) == 0);
    for (long i = 0; i < rounds; i++) {
        weir_case cases[] = {WEIR_RECV(a, (weir_ns *)NULL), WEIR_RECV(b, (weir_ns *)NULL)};
        const int done = weir_select(NULL, cases, 2);
        if (!CHECK(done == 0 || done == 1))
            break;
        hits[done]++;
        CHECK_INT(weir_timer_reset(done == 0 ? a : b, 0), 0);
    }
    CHECK(hits[0] > rounds / 4 && hits[1] > rounds / 4);
    weir_chan_free(&a);
    weir_chan_free(&b);
}

TEST(ticks_keep_their_distance_to_each_other)
{
    weir_timer t;
    weir_ns when[6];
    REQUIRE(weir_tick(&t, WEIR_MS(1)) == 0);
    const weir_ns start = weir_now();
    for (int i = 0; i < 6; i++) {
        CHECK_INT(weir_recv(NULL, t, &when[i]), 0);
        CHECK(weir_now() >= when[i]);
        if (i > 0)
            CHECK(when[i] - when[i - 1] >= WEIR_MS(1) && (when[i] - when[i - 1]) % WEIR_MS(1) == 0);
    }
    CHECK(weir_now() - start >= WEIR_MS(5)); /* so they were not queued up */
    weir_chan_free(&t);
}

TEST(a_receiver_that_was_late_gets_one_tick_not_many)
{
    weir_timer t;
    weir_ns when, until = weir_now() + WEIR_MS(10);
    REQUIRE(weir_tick(&t, WEIR_MS(2)) == 0);
    while (weir_now() < until) {}
    CHECK_INT(weir_recv(NULL, t, &when), 0);
    const weir_ns first_taken = weir_now(), first = when;
    CHECK_INT(weir_recv(NULL, t, &when), 0);
    CHECK(when > until - WEIR_MS(2) && when >= first + WEIR_MS(2)); /* it lies ahead of the late receive, on the grid */
    CHECK(weir_now() >= when && first_taken > first);
    CHECK_INT((when - first) % WEIR_MS(2), 0);
    weir_chan_free(&t);
}

/* A null channel is what crossbeam calls never. */
TEST(never_is_never_ready)
{
    const int_chan never = {NULL};
    int_chan ready;
    int v = 3;
    const weir_ns start = weir_now();
    REQUIRE(weir_chan_make(&ready, 1) == 0);
    CHECK_INT(weir_len(never), 0);
    CHECK_INT(weir_cap(never), 0);
    CHECK(!weir_is_closed(never));
    CHECK_INT(weir_try_recv(never, &v), EAGAIN);
    CHECK_INT(weir_recv_until(NULL, never, &v, start + WEIR_MS(2)), ETIMEDOUT);
    CHECK(weir_now() >= start + WEIR_MS(2));
    weir_case cases[] = {WEIR_RECV(never, &v), WEIR_SEND(ready, &v)};
    CHECK_INT(weir_select(NULL, cases, 2), 1);
    CHECK_INT(weir_try_select(cases, 2), -EAGAIN);
    weir_chan_free(&ready);
}
