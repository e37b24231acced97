/* tests/chan/test_timer.c: timers: when they fire, and what stop and reset mean. */
#include "clock.h"
#include "queues.h"

TEST(after_fires_once_and_not_early)
{
    weir_timer t;
    weir_ns when = 0;
    const weir_ns begun = weir_now();
    REQUIRE(weir_after(&t, WEIR_MS(3)) == 0);
    int rc = weir_try_recv(t, &when);
    while (rc != 0) { /* not early, however long this thread is held up between two calls */
        CHECK(rc == EAGAIN || rc == ETIMEDOUT);
        CHECK_INT(when, 0);
        rc = weir_recv_until(NULL, t, &when, weir_now() + WEIR_US(50));
    }
    CHECK(weir_now() >= begun + WEIR_MS(3));
    CHECK(when >= begun + WEIR_MS(3) && when <= weir_now());
    CHECK_INT(weir_recv_until(NULL, t, &when, weir_now() + WEIR_US(50)), ETIMEDOUT);
    pass(WEIR_SEC(1000));
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    CHECK_INT(weir_timer_stop(t), EAGAIN);
    weir_chan_free(&t);
    CHECK(t.core == NULL);
    back_to_real_time();
}

TEST(a_duration_of_nothing_or_less_is_due_at_once)
{
    static const weir_ns durations[] = {0, -1, -WEIR_SEC(1), INT64_MIN};
    weir_timer t;
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        REQUIRE(weir_after(&t, durations[i]) == 0);
        CHECK_INT(weir_try_recv(t, (weir_ns *)NULL), 0);
        CHECK_INT(weir_try_recv(t, (weir_ns *)NULL), EAGAIN);
        weir_chan_free(&t);
        CHECK_INT(weir_tick(&t, durations[i]), EINVAL);
        CHECK(t.core == NULL);
    }
    REQUIRE(weir_tick(&t, 1) == 0);
    CHECK_INT(weir_timer_reset(t, 0), EINVAL);
    CHECK_INT(weir_timer_reset(t, -5), EINVAL);
    weir_chan_free(&t);
}

TEST(durations_beyond_the_end_of_time_never_fire)
{
    static const weir_ns durations[] = {WEIR_FOREVER, WEIR_FOREVER - 1, WEIR_FOREVER / 2};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        weir_timer after, tick;
        weir_ns when;
        REQUIRE(weir_after(&after, durations[i]) == 0);
        REQUIRE(weir_tick(&tick, durations[i]) == 0);
        CHECK_INT(weir_try_recv(after, &when), EAGAIN);
        CHECK_INT(weir_try_recv(tick, &when), EAGAIN);
        CHECK_INT(weir_recv_until(NULL, after, &when, weir_now() + WEIR_US(100)), ETIMEDOUT);
        weir_case cases[] = {WEIR_RECV(after, &when), WEIR_RECV(tick, &when)};
        CHECK_INT(weir_select_until(NULL, cases, 2, weir_now() + WEIR_US(100)), -ETIMEDOUT);
        CHECK_INT(weir_timer_reset(tick, WEIR_MS(1)), 0);
        CHECK_INT(weir_recv(NULL, tick, &when), 0);
        CHECK_INT(weir_timer_reset(tick, WEIR_FOREVER), 0);
        CHECK_INT(weir_try_recv(tick, &when), EAGAIN);
        weir_chan_free(&after);
        weir_chan_free(&tick);
    }
}

TEST(ticks_stand_on_a_grid)
{
    weir_timer t;
    weir_ns first, when;
    REQUIRE(weir_tick(&t, WEIR_MS(1)) == 0);
    const weir_ns begun = weir_now();
    CHECK_INT(weir_recv(NULL, t, &first), 0);
    CHECK(first > begun - WEIR_SEC(1) && weir_now() >= first);
    weir_ns last = first;
    for (int i = 0; i < 10; i++) {
        CHECK_INT(weir_recv(NULL, t, &when), 0);
        CHECK(weir_now() >= when);
        CHECK(when > last);
        CHECK_INT((when - first) % WEIR_MS(1), 0);
        last = when;
    }
    weir_chan_free(&t);
}

TEST(missed_ticks_are_missed_not_queued)
{
    weir_timer t;
    weir_ns first, when;
    const weir_ns hour = WEIR_SEC(3600);
    REQUIRE(weir_tick(&t, hour) == 0);
    pass(hour);
    CHECK_INT(weir_try_recv(t, &first), 0);
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    pass(hour * 10 + hour / 2); /* ten are due; one is kept, the oldest */
    CHECK_INT(weir_try_recv(t, &when), 0);
    CHECK_INT(when, first + hour);
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    pass(hour / 2 - WEIR_SEC(60)); /* not yet: the next stands on the old grid */
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    pass(WEIR_SEC(120));
    CHECK_INT(weir_try_recv(t, &when), 0);
    CHECK_INT(when, first + 11 * hour);
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    weir_chan_free(&t);
    back_to_real_time();
}

TEST(stop_and_reset_leave_nothing_stale)
{
    weir_timer t;
    weir_ns when, before;
    REQUIRE(weir_after(&t, WEIR_SEC(10)) == 0);
    CHECK_INT(weir_timer_stop(t), 0);
    CHECK_INT(weir_timer_stop(t), EAGAIN);
    pass(WEIR_SEC(20));
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);

    CHECK_INT(weir_timer_reset(t, WEIR_SEC(10)), 0); /* a stopped one starts */
    pass(WEIR_SEC(11));
    CHECK_INT(weir_timer_stop(t), 0); /* due, and not received: gone */
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);

    CHECK_INT(weir_timer_reset(t, 0), 0);
    CHECK_INT(weir_timer_reset(t, WEIR_SEC(10)), 0); /* likewise */
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    pass(WEIR_SEC(11));
    CHECK_INT(weir_try_recv(t, &when), 0);
    CHECK_INT(weir_timer_stop(t), EAGAIN); /* it has fired */
    CHECK_INT(weir_timer_reset(t, -1), 0); /* and fires again */
    CHECK_INT(weir_try_recv(t, &when), 0);
    weir_chan_free(&t);

    REQUIRE(weir_tick(&t, WEIR_SEC(10)) == 0);
    pass(WEIR_SEC(15));
    before = weir_now();
    CHECK_INT(weir_timer_reset(t, WEIR_SEC(100)), 0);
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    pass(WEIR_SEC(301));
    CHECK_INT(weir_try_recv(t, &when), 0);
    CHECK(when >= before + WEIR_SEC(100) && when <= weir_now() - WEIR_SEC(201));
    const weir_ns grid = when;
    pass(WEIR_SEC(100));
    CHECK_INT(weir_try_recv(t, &when), 0);
    CHECK_INT(when, grid + WEIR_SEC(300)); /* every 100 s from then on */
    CHECK_INT(weir_timer_stop(t), 0);
    CHECK_INT(weir_timer_stop(t), EAGAIN);
    pass(WEIR_SEC(1000));
    CHECK_INT(weir_try_recv(t, &when), EAGAIN);
    CHECK_INT(weir_timer_reset(t, WEIR_SEC(1)), 0);
    pass(WEIR_SEC(2));
    CHECK_INT(weir_try_recv(t, &when), 0);
    weir_chan_free(&t);
    back_to_real_time();
}

TEST(what_a_timer_is_not)
{
    const weir_timer none = {NULL};
    weir_timer t;
    weir_chan(weir_ns) plain;
    weir_ns when = 0, *slot = NULL;
    size_t got = 5;
    REQUIRE(weir_after(&t, 0) == 0);
    CHECK_INT(weir_send(NULL, t, &when), EINVAL);
    CHECK_INT(weir_try_send(t, &when), EINVAL);
    CHECK_INT(weir_send_until(NULL, t, &when, 0), EINVAL);
    CHECK_INT(weir_send_n(NULL, t, &when, 1, &got), EINVAL);
    CHECK_INT(got, 0);
    CHECK_INT(weir_send_latest(t, &when, &got), EINVAL);
    CHECK_INT(weir_reserve(NULL, t, &slot), ENOTSUP);
    CHECK_INT(weir_peek(NULL, t, &slot), ENOTSUP);
    CHECK_INT(weir_len(t), 0);
    CHECK_INT(weir_cap(t), 0);
    CHECK(!weir_is_closed(t));
    CHECK_INT(weir_recv_n(NULL, t, &when, 1, &got), 0);
    CHECK_INT(got, 1);
    weir_chan_free(&t);
    REQUIRE(weir_chan_make(&plain, 0) == 0);
    CHECK_INT(weir_timer_stop(plain), EINVAL);
    CHECK_INT(weir_timer_reset(plain, 1), EINVAL);
    CHECK_INT(weir_timer_stop(none), EINVAL);
    CHECK_INT(weir_timer_reset(none, 1), EINVAL);
    weir_chan_free(&plain);
}

/* ---- no thread, nothing kept ---- */

static int threads_now(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    REQUIRE(d != NULL);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

TEST(no_thread_is_started_and_an_idle_timer_can_be_freed)
{
    enum { MANY = 1000 };
    static weir_timer timers[2 * MANY];
    const int before = threads_now();
    for (int i = 0; i < MANY; i++) {
        REQUIRE(weir_after(&timers[2 * i], WEIR_SEC(5) + i) == 0);
        REQUIRE(weir_tick(&timers[2 * i + 1], WEIR_US(1) + i) == 0);
    }
    CHECK_INT(threads_now(), before);
    for (int i = 0; i < 2 * MANY; i++)
        weir_chan_free(&timers[i]);
}
