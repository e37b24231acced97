/* tests/model/scenarios/breaker.c: circuit breakers: admissions of a half-open one, late results, transitions, the end of open, windows. */
#include "model/calls.h"

#define OPEN_TIME (WEIR_US(1024) * 1000)

static weir_breaker b;
static weir_clock hand;
static weir_ns at;
static weir_breaker_permit early[3]; /* given in setup */
static int changes[5][5], under_way, probes, shared;

MODEL_OUTSIDE static weir_ns hand_now(weir_clock *clock)
{
    (void)clock;
    model_goes_by((uint64_t)at);
    return at;
}
MODEL_OUTSIDE static void pass(weir_ns by)
{
    at += by;
    model_goes_by(0);
}
MODEL_OUTSIDE static void on_change(weir_breaker *of, int from, int to, void *arg)
{
    (void)of;
    (void)arg;
    changes[from][to]++;
}
#define OPENED changes[WEIR_BREAKER_CLOSED][WEIR_BREAKER_OPEN]
#define HALF_OPENED changes[WEIR_BREAKER_OPEN][WEIR_BREAKER_HALF_OPEN]
#define REOPENED changes[WEIR_BREAKER_HALF_OPEN][WEIR_BREAKER_OPEN]
#define SHUT changes[WEIR_BREAKER_HALF_OPEN][WEIR_BREAKER_CLOSED]

MODEL_OUTSIDE static void begin(weir_breaker_config config)
{
    memset(changes, 0, sizeof changes);
    under_way = shared = 0;
    at = WEIR_SEC(1000);
    hand.now = hand_now;
    config.clock = &hand;
    config.open_time = OPEN_TIME;
    config.on_change = on_change;
    probes = config.probes == 0 ? 1 : (int)config.probes;
    MODEL_CHECK(weir_breaker_init(&b, &config) == 0);
    for (int i = 0; i < 3; i++)
        MODEL_CHECK(weir_breaker_allow(&b, &early[i]) == 0);
    model_name(&b.word, 8, "word");
    model_name(&b.end, 8, "end");
}
static void end(weir_breaker_permit *permit, int outcome)
{
    MODEL_CHECK(weir_breaker_done(&b, permit, outcome) == 0);
}
static int state(void)
{
    return weir_breaker_state(&b);
}

/* ---- half-open: never more than so many under way; who is admitted sees what the one before has done ---- */

MODEL_OUTSIDE static bool enter(const weir_breaker_permit *permit)
{
    const bool probe = weir__breaker_state(permit->stamp) == WEIR_BREAKER_HALF_OPEN;
    if (probe)
        MODEL_CHECK(++under_way <= probes);
    model_goes_by(0);
    return probe;
}
MODEL_OUTSIDE static void leave(void)
{
    under_way--;
    model_goes_by(0);
}
static void ask(int outcome)
{
    weir_breaker_permit permit;
    const int rc = weir_breaker_allow(&b, &permit);
    MODEL_CHECK(rc == 0 || rc == EBUSY || rc == EAGAIN);
    if (rc != 0)
        return;
    if (enter(&permit)) {
        if (probes == 1) {
            MODEL_WRITE(&shared);
            shared++;
        }
        leave();
    } else { /* closed by a probe: all that probes have done is seen */
        MODEL_READ(&shared);
    }
    end(&permit, outcome);
}
/* Open, and its time has come. */
static void due(weir_breaker_config config)
{
    config.consecutive = 1;
    begin(config);
    end(&early[0], WEIR_BREAKER_FAILURE);
    pass(OPEN_TIME);
}
/* What the callbacks have counted fits the state. */
static void settled(void)
{
    const int now = state();
    MODEL_CHECK(1 + SHUT - OPENED == (now == WEIR_BREAKER_CLOSED));
    MODEL_CHECK(HALF_OPENED - REOPENED - SHUT == (now == WEIR_BREAKER_HALF_OPEN));
    MODEL_CHECK(OPENED + REOPENED - HALF_OPENED == (now == WEIR_BREAKER_OPEN));
    if (now == WEIR_BREAKER_HALF_OPEN)
        MODEL_CHECK(weir__breaker_under_way(b.word) == 0);
}
THREAD(due_1, due((weir_breaker_config){.successes = 3}))
THREAD(due_1_of_2, due((weir_breaker_config){.successes = 2}))
THREAD(due_2, due((weir_breaker_config){.probes = 2}))
THREAD(ignores, ask(WEIR_BREAKER_IGNORED))
THREAD(ignores_twice, ask(WEIR_BREAKER_IGNORED); ask(WEIR_BREAKER_IGNORED))
THREAD(succeeds, ask(WEIR_BREAKER_SUCCESS))
THREAD(succeeds_twice, ask(WEIR_BREAKER_SUCCESS); ask(WEIR_BREAKER_SUCCESS))
THREAD(fails, ask(WEIR_BREAKER_FAILURE))
/* Who sees it closed sees what closed it. */
static void looks(void)
{
    if (state() == WEIR_BREAKER_CLOSED)
        MODEL_READ(&shared);
}
MODEL(breaker_seen_closed, .setup = due_1_of_2, .finish = settled, .preemptions = 3, .stale = 2,
      .threads = {succeeds_twice, looks, looks})
MODEL(breaker_one_probe_at_a_time, .setup = due_1, .finish = settled, .preemptions = 3, .stale = 2,
      .threads = {ignores_twice, ignores, ignores})
MODEL(breaker_probes_close_it, .setup = due_1_of_2, .finish = settled, .preemptions = 3, .stale = 2,
      .threads = {succeeds_twice, succeeds, succeeds})
MODEL(breaker_two_probes, .setup = due_2, .finish = settled, .preemptions = 3, .stale = 2,
      .threads = {succeeds, ignores_twice, succeeds})
MODEL(breaker_one_failure_of_two_probes, .setup = due_2, .finish = settled, .preemptions = 3, .stale = 2,
      .threads = {fails, succeeds_twice, fails})

/* ---- a place is given back while another closes ---- */

static weir_breaker_permit held[2];
static void two_under_way(void)
{
    due_2();
    for (int i = 0; i < 2; i++)
        MODEL_CHECK(weir_breaker_allow(&b, &held[i]) == 0);
    under_way = 0;
    probes = 3; /* those two are not counted here */
}
THREAD(held_succeeds, end(&held[0], WEIR_BREAKER_SUCCESS))
THREAD(held_is_given_back, end(&held[1], WEIR_BREAKER_IGNORED))
THREAD(held_fails, end(&held[1], WEIR_BREAKER_FAILURE))
/* One success of two so far; or the third thread has got the place that was free, and closed it. */
static void closed_or_one_success(void)
{
    settled();
    if (state() == WEIR_BREAKER_HALF_OPEN)
        MODEL_CHECK(weir__breaker_successes(b.word) == 1);
    MODEL_SAW(state());
}
MODEL(breaker_given_back_and_closed, .setup = two_under_way, .finish = closed_or_one_success, .preemptions = 3,
      .stale = 2, .threads = {held_succeeds, held_is_given_back, succeeds},
      .sees = 1U << WEIR_BREAKER_CLOSED | 1U << WEIR_BREAKER_HALF_OPEN)
static void reopened(void)
{
    settled();
    MODEL_CHECK(REOPENED == 1 && state() == WEIR_BREAKER_OPEN);
}
MODEL(breaker_success_and_failure, .setup = two_under_way, .finish = reopened, .preemptions = 3, .stale = 2,
      .threads = {held_succeeds, held_fails, succeeds})

/* ---- a late result changes nothing ---- */

THREAD(closed_setup, begin((weir_breaker_config){.consecutive = 1}))
THREAD(late_failure_0, end(&early[0], WEIR_BREAKER_FAILURE))
THREAD(late_failure_1, end(&early[1], WEIR_BREAKER_FAILURE))
THREAD(late_success_2, end(&early[2], WEIR_BREAKER_SUCCESS))
THREAD(time_passes_and_it_closes, pass(OPEN_TIME); ask(WEIR_BREAKER_SUCCESS))
/* Whoever comes first opens it; the other is late, whatever it has become meanwhile. */
THREAD(opened_by_one, settled(); MODEL_CHECK(OPENED == 1))
MODEL(breaker_late_failures, .setup = closed_setup, .finish = opened_by_one, .preemptions = 3, .stale = 2,
      .threads = {late_failure_0, late_failure_1, time_passes_and_it_closes})
MODEL(breaker_late_success, .setup = closed_setup, .finish = opened_by_one, .preemptions = 3, .stale = 2,
      .threads = {late_failure_0, late_success_2, fails})

/* ---- exactly one opens it ---- */

THREAD(two_in_a_row, begin((weir_breaker_config){.consecutive = 2}))
THREAD(late_failure_2, end(&early[2], WEIR_BREAKER_FAILURE))
static void opened_once(void)
{
    MODEL_CHECK(OPENED == 1 && state() == WEIR_BREAKER_OPEN && weir__breaker_generation(b.word) == 1);
    MODEL_CHECK(weir_breaker_allow(&b, &early[0]) == EAGAIN); /* its time is set */
    pass(OPEN_TIME);
    MODEL_CHECK(weir_breaker_allow(&b, &early[0]) == 0);
}
MODEL(breaker_opens_once, .setup = two_in_a_row, .finish = opened_once, .preemptions = 4, .stale = 2,
      .threads = {late_failure_0, late_failure_1, late_failure_2})
static void at_most_once(void)
{
    MODEL_CHECK(OPENED <= 1 && (OPENED == 1) == (state() == WEIR_BREAKER_OPEN));
    if (OPENED == 0)
        MODEL_CHECK((b.word & WEIR__BREAKER_COUNTS) == 1); /* the success came between */
    MODEL_SAW(OPENED);
}
MODEL(breaker_success_between, .setup = two_in_a_row, .finish = at_most_once, .preemptions = 4, .stale = 2,
      .threads = {late_failure_0, late_failure_1, late_success_2}, .sees = 3)

/* ---- the end of open is set once, and is never too early ---- */

/* Each reading of the clock is a microsecond later: a unit of the end. */
static weir_ns asked_at;
MODEL_OUTSIDE static weir_ns running_now(weir_clock *clock)
{
    (void)clock;
    at += 1024;
    model_goes_by((uint64_t)at);
    return at;
}
static void running_setup(void)
{
    begin((weir_breaker_config){.consecutive = 1});
    hand.now = running_now;
}
MODEL_OUTSIDE static void remember_when(void)
{
    asked_at = at;
}
static void reset_and_fail(void)
{
    weir_breaker_permit permit;
    weir_breaker_reset(&b);
    MODEL_CHECK(weir_breaker_allow(&b, &permit) == 0);
    pass(OPEN_TIME / 2);
    remember_when();
    end(&permit, WEIR_BREAKER_FAILURE);
}
THREAD(asks, (void)weir_breaker_allow(&b, &early[2]))
static void open_lasts_long_enough(void)
{
    const weir_ns now = at;
    MODEL_CHECK(state() == WEIR_BREAKER_OPEN);
    MODEL_CHECK(weir_breaker_allow(&b, &early[2]) == EAGAIN);
    MODEL_CHECK((b.end & ~WEIR__BREAKER_TIMES) == weir__breaker_generation(b.word) << WEIR__BREAKER_MARK_AT);
    MODEL_CHECK((weir_ns)(b.end & WEIR__BREAKER_TIMES) * WEIR__BREAKER_UNIT > asked_at + OPEN_TIME);
    MODEL_CHECK((weir_ns)(b.end & WEIR__BREAKER_TIMES) * WEIR__BREAKER_UNIT <= now + OPEN_TIME); /* set before */
}
MODEL(breaker_opened_anew_while_opening, .setup = running_setup, .finish = open_lasts_long_enough, .preemptions = 3,
      .stale = 2, .threads = {late_failure_0, reset_and_fail, asks})

/* Half-open for too long, or ended in that moment. */
static void overdue(void)
{
    due((weir_breaker_config){.half_open_time = OPEN_TIME});
    MODEL_CHECK(weir_breaker_allow(&b, &held[0]) == 0);
    pass(OPEN_TIME);
}
THREAD(asks_too_late, ask(WEIR_BREAKER_IGNORED))
static void reopened_or_closed(void)
{
    settled();
    MODEL_CHECK(REOPENED + SHUT == 1);
    MODEL_SAW(state());
}
MODEL(breaker_half_open_for_too_long, .setup = overdue, .finish = reopened_or_closed, .preemptions = 3, .stale = 2,
      .threads = {held_succeeds, asks_too_late, asks_too_late},
      .sees = 1U << WEIR_BREAKER_CLOSED | 1U << WEIR_BREAKER_OPEN)

/* ---- by hand, in the midst of it ---- */

THREAD(forces_and_resets, MODEL_CHECK(weir_breaker_force(&b, WEIR_BREAKER_OPEN) == 0); weir_breaker_reset(&b))
static void ends_as(int outcome)
{
    weir_breaker_permit permit;
    if (weir_breaker_allow(&b, &permit) == 0)
        end(&permit, outcome);
}
THREAD(calls_and_fails, ends_as(WEIR_BREAKER_FAILURE))
THREAD(calls_and_succeeds, ends_as(WEIR_BREAKER_SUCCESS))
static void closed_at_last(void)
{
    MODEL_CHECK(state() == WEIR_BREAKER_CLOSED || (state() == WEIR_BREAKER_OPEN && OPENED == 2));
}
MODEL(breaker_forced_and_reset, .setup = due_1, .finish = closed_at_last, .preemptions = 3, .stale = 2,
      .threads = {calls_and_fails, forces_and_resets, calls_and_succeeds})

/* Who is admitted after a reset sees what was done before it. */
static void forced(void)
{
    begin((weir_breaker_config){0});
    MODEL_CHECK(weir_breaker_force(&b, WEIR_BREAKER_OPEN) == 0);
}
THREAD(mends_and_resets, MODEL_WRITE(&shared); shared = 1; weir_breaker_reset(&b))
static void finds_it_mended(void)
{
    weir_breaker_permit permit;
    const int rc = weir_breaker_allow(&b, &permit);
    MODEL_CHECK(rc == 0 || rc == EAGAIN);
    if (rc != 0)
        return;
    MODEL_READ(&shared);
    MODEL_CHECK(shared == 1);
    end(&permit, WEIR_BREAKER_SUCCESS);
}
MODEL(breaker_reset_after_the_repair, .setup = forced, .preemptions = 3, .stale = 2,
      .threads = {mends_and_resets, finds_it_mended})

/* ---- windows: every note counts, in its own generation alone ---- */

static bool never(const weir_breaker_tally *tally, void *arg)
{
    (void)tally;
    (void)arg;
    return false;
}
static void note(int outcome)
{
    weir_breaker_permit permit;
    MODEL_CHECK(weir_breaker_allow(&b, &permit) == 0);
    end(&permit, outcome);
}
static void count(uint64_t calls, uint64_t failures)
{
    weir_breaker_tally tally;
    weir_breaker_counts(&b, &tally);
    MODEL_CHECK(tally.calls == calls && tally.failures == failures);
}
THREAD(notes_failure, note(WEIR_BREAKER_FAILURE))
THREAD(notes_success, note(WEIR_BREAKER_SUCCESS))
THREAD(notes_both, note(WEIR_BREAKER_FAILURE); note(WEIR_BREAKER_SUCCESS))
THREAD(window_of_2, begin((weir_breaker_config){.window_calls = 2, .trips = never}))
THREAD(window_of_1, begin((weir_breaker_config){.window_calls = 1, .trips = never}))
/* A miscount would never leave the window. */
static void window_is_whole(void)
{
    const uint32_t size = b.config.window_calls;
    weir_breaker_tally tally;
    weir_breaker_counts(&b, &tally);
    MODEL_CHECK(tally.calls == size);
    for (uint32_t i = 0; i < size; i++)
        note(WEIR_BREAKER_SUCCESS);
    count(size, 0);
    for (uint32_t i = 0; i < size; i++)
        note(WEIR_BREAKER_FAILURE);
    count(size, size);
    weir_breaker_free(&b);
}
MODEL(breaker_window_by_count, .setup = window_of_2, .finish = window_is_whole, .preemptions = 3, .stale = 2,
      .threads = {notes_both, notes_both, notes_success})
MODEL(breaker_window_of_one, .setup = window_of_1, .finish = window_is_whole, .preemptions = 3, .stale = 2,
      .threads = {notes_both, notes_failure, notes_success})

THREAD(window_of_seconds, begin((weir_breaker_config){.window_time = WEIR_SEC(1), .buckets = 1, .trips = never}))
static void two_of_four(void)
{
    count(4, 2);
    weir_breaker_free(&b);
}
MODEL(breaker_window_by_time, .setup = window_of_seconds, .finish = two_of_four, .preemptions = 3, .stale = 2,
      .threads = {notes_both, notes_success, notes_failure})

/* What is noted late counts nowhere; what is noted after the reset counts, whoever was first in the new generation. */
THREAD(reset_and_note, weir_breaker_reset(&b); note(WEIR_BREAKER_SUCCESS))
THREAD(one_success, count(1, 0); weir_breaker_free(&b))
/* Each end has its bucket: here all are in the same. */
THREAD(reset_and_note_failure, weir_breaker_reset(&b); note(WEIR_BREAKER_FAILURE))
THREAD(one_failure, count(1, 1); weir_breaker_free(&b))
MODEL(breaker_window_by_count_reset, .setup = window_of_2, .finish = one_success, .preemptions = 3, .stale = 2,
      .threads = {late_failure_0, reset_and_note, late_failure_1})
MODEL(breaker_window_by_time_reset, .setup = window_of_seconds, .finish = one_failure, .preemptions = 3, .stale = 2,
      .threads = {late_failure_0, reset_and_note_failure, late_failure_1})

/* The rate opens it exactly when the window has it, though others note at the same time. */
THREAD(half_of_four, begin((weir_breaker_config){.window_calls = 4, .min_calls = 3, .failure_rate = 1}))
MODEL(breaker_rate_opens_once, .setup = half_of_four, .finish = opened_once, .preemptions = 3, .stale = 2,
      .threads = {late_failure_0, late_failure_1, late_failure_2})
