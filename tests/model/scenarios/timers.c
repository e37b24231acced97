/* tests/model/scenarios/timers.c: channels on which the time arrives, received by several threads, stopped and started anew meanwhile. */
#include "model/calls.h"

static weir_timer t;
static int got, stopped;
static weir_ns when[2];

static void setup(void)
{
    MODEL_CHECK(weir_after(&t, 50) == 0);
    MODEL_NAME_CHANNEL(t);
    model_name(&WEIR__CHAN(t)->due, sizeof(uint64_t), "due");
    got = stopped = 0;
    when[0] = when[1] = 0;
}
static void ticks(void)
{
    weir_chan_free(&t);
    MODEL_CHECK(weir_tick(&t, 50) == 0);
}
THREAD(ticking, setup(); ticks())
THREAD(finish, weir_chan_free(&t))
THREAD(got_one, MODEL_CHECK(got == 1); finish())

/* Not instrumented: got counts what all have received. */
MODEL_OUTSIDE static void count(weir_ns at)
{
    when[got++ % 2] = at;
}
static void receives(void)
{
    weir_ns at = 0;
    const int rc = weir_recv(NULL, t, &at);
    MODEL_CHECK(rc == EPIPE || (rc == 0 && at >= 1050));
    if (rc == 0)
        count(at);
}
static void receives_or_not(void)
{
    weir_ns at = 0;
    const int rc = weir_recv_until(NULL, t, &at, 1200);
    MODEL_CHECK(rc == ETIMEDOUT || (rc == 0 && at == 1050));
    if (rc == 0)
        count(at);
}
static void tries(void)
{
    weir_ns at = 0;
    if (weir_try_recv(t, &at) == 0)
        count(at);
}
THREAD(stops, stopped = weir_timer_stop(t))
THREAD(closes, MODEL_CHECK(weir_close(t) == 0))
THREAD(resets, MODEL_CHECK(weir_timer_reset(t, 100) == 0))
/* It fired, or it was stopped: one of them. */
THREAD(fired_or_stopped, MODEL_CHECK((got == 1) == (stopped == EAGAIN)); finish())
/* Both ticks were on the grid, and they were two. */
THREAD(two_ticks, MODEL_CHECK(got == 2 && when[0] != when[1] && when[0] % 50 == 0 && when[1] % 50 == 0); finish())

#define TIMER(name, setup_, finish_, preempt, old, ...)                                                                \
    MODEL(timer_##name, .setup = setup_, .finish = finish_, .preemptions = preempt, .stale = old, .ticks = 2,          \
          .threads = __VA_ARGS__)
#define WITH(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
TIMER(fires, setup, got_one, 3, 2, WITH(receives))
TIMER(one_of_two_gets_it, setup, got_one, 3, 2, WITH(receives_or_not, receives_or_not))
TIMER(stopped, setup, fired_or_stopped, 3, 2, WITH(receives_or_not, stops))
TIMER(stopped_meets_a_try, setup, fired_or_stopped, 3, 2, WITH(tries, stops))
TIMER(closed, setup, finish, 3, 2, WITH(receives, closes))
TIMER(closed_with_two, setup, finish, 3, 2, WITH(receives, receives, closes))
TIMER(reset, setup, got_one, 3, 2, WITH(receives, resets))
TIMER(ticks_go_to_one_each, ticking, two_ticks, 3, 2, WITH(receives, receives))

/* ---- who is told that it is closed, or gets a value of a reset, knows what the other did before ---- */

static int message;
THREAD(silent, setup(); message = 0)
THREAD(silent_ticking, silent(); ticks())
static void says(void)
{
    MODEL_WRITE(&message);
    message = 1;
}
static void hears(void)
{
    weir_ns at = 0;
    const int rc = weir_recv(NULL, t, &at);
    MODEL_CHECK(rc == 0 || rc == EPIPE);
    if (rc == EPIPE || at % 50 == 30) {
        MODEL_READ(&message);
        MODEL_CHECK(message == 1);
    }
    if (rc == 0)
        count(at);
}
THREAD(says_and_closes, says(); closes())
THREAD(says_and_resets, says(); MODEL_CHECK(weir_timer_reset(t, 130) == 0))
/* A tick of the reset is followed by one of the new period. */
THREAD(on_the_new_grid,
       MODEL_CHECK(got == 1 && (when[0] % 50 == 0 || ((weir_ns)WEIR__CHAN(t)->due - when[0]) % 130 == 0));
       finish())
TIMER(close_is_heard, silent, finish, 3, 2, WITH(hears, says_and_closes))
TIMER(reset_is_heard, silent, got_one, 3, 2, WITH(hears, says_and_resets))
TIMER(ticker_is_reset, silent_ticking, on_the_new_grid, 3, 2, WITH(hears, says_and_resets))

/* A value comes into a channel before that of the timer is taken: a try between finds one of them. */
static weir_spsc(int) values;
static void both(void)
{
    MODEL_CHECK(weir_after(&t, 0) == 0 && weir_chan_make(&values, 1) == 0);
    MODEL_NAME_CHANNEL(values);
}
static void puts_then_takes(void)
{
    int v = 1;
    weir_ns at;
    MODEL_CHECK(weir_try_send(values, &v) == 0);
    (void)weir_try_recv(t, &at);
}
static void tries_both(void)
{
    int v;
    weir_ns at;
    weir_case cases[] = {WEIR_RECV(values, &v), WEIR_RECV(t, &at)};
    MODEL_CHECK(weir_try_select(cases, 2) >= 0);
}
THREAD(free_both, weir_chan_free(&values); finish())
TIMER(and_a_channel_at_one_moment, both, free_both, 3, 3, WITH(tries_both, puts_then_takes))
