/* tests/model/scenarios/window.c: fixed and sliding windows. Each execution must be one that the same calls, one after the other in some
 * order, could have had: results and room left, tried out on a second window. */
#include "model/calls.h"

enum kind { FIXED, COUNTERS, EXACT };
enum { LENGTH = 1000 };
struct window {
    enum kind kind;
    weir_fixed_window fixed;
    weir_sliding_window sliding;
};
static struct window shared, again;
static int64_t limit;
static weir_ns filled_at; /* what setup has taken, one by one */
static int filled;
/* What the threads have asked for, and what they got. */
static struct asked {
    int thread, rc;
    weir_ns at;
    int64_t n;
} calls[6];
static int called;

static weir_ns zero(weir_clock *clock)
{
    (void)clock;
    return 0;
}
static weir_clock from_zero = {zero, NULL};

static int take(struct window *w, int64_t n, weir_ns at)
{
    weir_ns next = 0;
    const int rc = w->kind == FIXED ? weir__fixed_window_take(&w->fixed, n, at, &next)
                                    : weir__sliding_window_take(&w->sliding, n, at, &next);
    MODEL_CHECK(rc == 0 || (rc == EAGAIN && next > at));
    return rc;
}

MODEL_OUTSIDE static void begin(struct window *w, enum kind kind)
{
    const weir_window_config config = {.limit = limit, .window = LENGTH, .clock = &from_zero, .exact = kind == EXACT};
    w->kind = kind;
    MODEL_CHECK((kind == FIXED ? weir_fixed_window_init(&w->fixed, &config)
                               : weir_sliding_window_init(&w->sliding, &config)) == 0);
    for (int i = 0; i < filled; i++)
        MODEL_CHECK(take(w, 1, filled_at) == 0);
}
MODEL_OUTSIDE static void end(struct window *w)
{
    if (w->kind != FIXED)
        weir_sliding_window_free(&w->sliding);
}
MODEL_OUTSIDE static void setup(enum kind kind, int64_t most, int taken, weir_ns taken_at)
{
    limit = most;
    filled = taken;
    filled_at = taken_at;
    called = 0;
    begin(&shared, kind);
    MODEL_NAME(shared.fixed.word);
    MODEL_NAME(shared.sliding.word);
}

MODEL_OUTSIDE static int note(weir_ns at, int64_t n)
{
    calls[called].thread = model_thread_self();
    calls[called].at = at;
    calls[called].n = n;
    calls[called].rc = -1;
    model_goes_by((uint64_t)called);
    return called++;
}
MODEL_OUTSIDE static void note_result(int i, int rc)
{
    calls[i].rc = rc;
}
static void ask(weir_ns at, int64_t n)
{
    const int i = note(at, n);
    note_result(i, take(&shared, n, at));
}

/* ---- whether some order explains it ---- */

/* What is left of room, at times at which it can tell. It takes that room. */
MODEL_OUTSIDE static int room(struct window *w, int *left)
{
    const weir_ns ends[] = {LENGTH, 2 * LENGTH, 2 * LENGTH + 500, 3 * LENGTH, 4 * LENGTH - 1};
    for (int i = 0; i < 5; i++)
        for (left[i] = 0; take(w, 1, ends[i]) == 0;)
            left[i]++;
    return 5;
}

MODEL_OUTSIDE static bool same(const int *order, const weir_ns *at, const int *left)
{
    int other[5];
    bool equal = true;
    begin(&again, shared.kind);
    for (int i = 0; i < called && equal; i++)
        equal = take(&again, calls[order[i]].n, at[i]) == calls[order[i]].rc;
    if (equal) {
        room(&again, other);
        equal = memcmp(other, left, sizeof other) == 0;
    }
    end(&again);
    return equal;
}

/* Tries all orders that keep those of each thread. A call's reading counts as it is, or as the begin of a window that another call has reached. */
MODEL_OUTSIDE static bool explained(int *order, weir_ns *at, int n, const int *left)
{
    if (n == called)
        return same(order, at, left);
    for (int next = 0; next < called; next++) {
        bool used = false;
        for (int i = 0; i < n; i++)
            used |= order[i] == next;
        for (int i = 0; i < next && !used; i++) { /* an earlier one of that thread comes first */
            bool before = false;
            for (int k = 0; k < n; k++)
                before |= order[k] == i;
            used = calls[i].thread == calls[next].thread && !before;
        }
        if (used)
            continue;
        order[n] = next;
        for (int i = 0; i < called; i++) {
            const weir_ns reached = calls[i].at / LENGTH * LENGTH;
            at[n] = i != next ? reached : calls[i].at;
            if (at[n] >= calls[next].at && (i == next || shared.kind == COUNTERS) && explained(order, at, n + 1, left))
                return true;
        }
    }
    return false;
}

MODEL_OUTSIDE static void finish(void)
{
    int order[6], left[5];
    weir_ns at[6];
    room(&shared, left);
    MODEL_CHECK(explained(order, at, 0, left));
    end(&shared);
}
/* As finish; and so many were admitted. */
MODEL_OUTSIDE static void finish_with(int admitted)
{
    for (int i = 0; i < called; i++)
        admitted -= calls[i].rc == 0;
    MODEL_CHECK(admitted == 0);
    finish();
}
THREAD(one_was_admitted, finish_with(1))
THREAD(two_were_admitted, finish_with(2))

/* ---- the last place ---- */

THREAD(fixed_with_one_place, setup(FIXED, 2, 1, 0))
THREAD(counters_with_one_place, setup(COUNTERS, 2, 1, 0))
THREAD(counters_of_two, setup(COUNTERS, 2, 0, 0))
THREAD(log_with_one_place, setup(EXACT, 2, 1, 0))
THREAD(log_of_two, setup(EXACT, 2, 0, 0))
THREAD(asks, ask(10, 1))
THREAD(asks_for_two, ask(10, 2))
THREAD(asks_twice, ask(10, 1); ask(10, 1))
MODEL(window_fixed_last_place, .setup = fixed_with_one_place, .finish = one_was_admitted, .preemptions = 3, .stale = 2,
      .threads = {asks, asks, asks})
MODEL(window_counters_last_place, .setup = counters_with_one_place, .finish = one_was_admitted, .preemptions = 3,
      .stale = 2, .threads = {asks, asks, asks})
MODEL(window_counters_begin, .setup = counters_of_two, .finish = two_were_admitted, .preemptions = 3, .stale = 2,
      .threads = {asks, asks, asks})
MODEL(window_counters_one_or_two, .setup = counters_of_two, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks, asks_for_two})
MODEL(window_log_last_place, .setup = log_with_one_place, .finish = one_was_admitted, .preemptions = 3, .stale = 2,
      .threads = {asks, asks, asks})
MODEL(window_log_begin, .setup = log_of_two, .finish = two_were_admitted, .preemptions = 3, .stale = 2,
      .threads = {asks_twice, asks})

/* ---- while windows change ---- */

THREAD(asks_in_the_next, ask(LENGTH, 1))
THREAD(asks_in_the_middle_of_the_next, ask(LENGTH + 500, 1))
THREAD(asks_in_both, ask(10, 1); ask(LENGTH + 500, 1))
THREAD(asks_in_the_next_but_one, ask(2 * LENGTH + 500, 1))
THREAD(asks_much_later, ask(8 * LENGTH, 1))
THREAD(asks_much_later_still, ask(9 * LENGTH + 500, 1))
MODEL(window_fixed_edge, .setup = fixed_with_one_place, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks, asks_in_the_next, asks_in_both})
MODEL(window_counters_edge, .setup = counters_with_one_place, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks, asks_in_the_middle_of_the_next, asks_in_the_middle_of_the_next})
MODEL(window_counters_two_edges, .setup = counters_with_one_place, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks, asks_in_the_middle_of_the_next, asks_in_the_next_but_one})
MODEL(window_counters_across, .setup = counters_of_two, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks_in_both, asks_in_both})
MODEL(window_counters_after_long, .setup = counters_with_one_place, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks, asks_much_later, asks_much_later_still})

/* ---- the log goes round: whoever is behind must not enter into a slot of another lap ---- */

THREAD(log_full, setup(EXACT, 1, 1, 0))
THREAD(log_full_of_two, setup(EXACT, 2, 2, 0))
THREAD(asks_in_two_laps, ask(LENGTH, 1); ask(2 * LENGTH, 1))
THREAD(asks_in_three_laps, ask(LENGTH, 1); ask(2 * LENGTH, 1); ask(3 * LENGTH, 1))
THREAD(asks_in_the_second_lap, ask(2 * LENGTH, 1))
THREAD(asks_in_the_third_lap, ask(3 * LENGTH, 1))
MODEL(window_log_laps, .setup = log_full, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks_in_two_laps, asks_in_the_second_lap})
MODEL(window_log_three_laps, .setup = log_full, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks_in_three_laps, asks_in_the_third_lap})
MODEL(window_log_of_two_laps, .setup = log_full_of_two, .finish = finish, .preemptions = 3, .stale = 2,
      .threads = {asks_in_two_laps, asks_in_the_second_lap, asks_in_the_next})
