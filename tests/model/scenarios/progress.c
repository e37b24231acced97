/* tests/model/scenarios/progress.c: at how many of a call's atomic steps does a thread that stops for ever keep others from finishing?
 *
 * The first thread makes one call, undisturbed, and is suspended before each of its atomic steps in turn. Then one other thread tries to send
 * and one to receive, twice each (or the like), in all their interleavings: a try that comes back, with whatever result, was not kept.
 * "0 of n" is what is called lock-free: whoever stops, stops alone. The numbers stand in README, and are compared with tests/model/counts.
 *
 * Waiting calls are taken both ways: where they need not wait; and where they do, with their steps on the way to sleep, and from there once
 * the others have woken them.
 */
struct weir__seat_ticket;
static struct weir__seat_ticket *my_ticket(void);
#define WEIR__SEAT_MINE(pool_) my_ticket()
#include "model/model.h"

static weir_chan(uint64_t) many;
static weir_spsc(uint64_t) line;
static weir_chan(uint64_t) other;
static weir_timer timer;
static weir_ctx root, child;
static weir_ctx_hook hook;

#define THREAD(name, ...)                                                                                              \
    static void name(void)                                                                                             \
    {                                                                                                                  \
        uint64_t v = 1;                                                                                                \
        __VA_ARGS__;                                                                                                   \
        (void)v;                                                                                                       \
    }

static void setup(size_t capacity, size_t values)
{
    uint64_t v = 9;
    MODEL_CHECK(weir_chan_make(&many, capacity) == 0 && weir_chan_make(&line, capacity) == 0 &&
                weir_chan_make(&other, capacity) == 0);
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    MODEL_CHECK(weir_after(&timer, 0) == 0);
    for (size_t i = 0; i < values; i++)
        MODEL_CHECK(weir_try_send(many, &v) == 0 && weir_try_send(line, &v) == 0 && weir_try_send(other, &v) == 0);
}
THREAD(empty, setup(2, 0))
THREAD(half, setup(2, 1))
THREAD(full, setup(2, 2))
THREAD(meeting, setup(0, 0))

#define OTHERS_MANY send_many_twice, recv_many_twice
THREAD(try_send_many, (void)weir_try_send(many, &v))
THREAD(try_recv_many, (void)weir_try_recv(many, &v))
THREAD(send_many_twice, (void)weir_try_send(many, &v); (void)weir_try_send(many, &v))
THREAD(recv_many_twice, (void)weir_try_recv(many, &v); (void)weir_try_recv(many, &v))
THREAD(try_send_line, (void)weir_try_send(line, &v))
THREAD(try_recv_line, (void)weir_try_recv(line, &v))
THREAD(send_line_twice, (void)weir_try_send(line, &v); (void)weir_try_send(line, &v))
THREAD(recv_line_twice, (void)weir_try_recv(line, &v); (void)weir_try_recv(line, &v))

#define PROGRESS(name, setup_, ...)                                                                                    \
    MODEL(progress_##name, .setup = setup_, .preemptions = 2, .suspends = true, .threads = {__VA_ARGS__})

THREAD(send_many, (void)weir_send(NULL, many, &v))
THREAD(recv_many, (void)weir_recv(NULL, many, &v))
PROGRESS(chan_send, half, send_many, OTHERS_MANY)
PROGRESS(chan_send_waiting, full, send_many, OTHERS_MANY)
PROGRESS(chan_recv, half, recv_many, OTHERS_MANY)
PROGRESS(chan_recv_waiting, empty, recv_many, OTHERS_MANY)
PROGRESS(chan_try_send, half, try_send_many, OTHERS_MANY)
PROGRESS(chan_try_send_full, full, try_send_many, OTHERS_MANY)
PROGRESS(chan_try_recv, half, try_recv_many, OTHERS_MANY)
PROGRESS(chan_try_recv_empty, empty, try_recv_many, OTHERS_MANY)
THREAD(latest_many, (void)weir_send_latest(many, &v, NULL))
PROGRESS(chan_send_latest, full, latest_many, OTHERS_MANY)
THREAD(close_many, (void)weir_close(many))
PROGRESS(chan_close, half, close_many, OTHERS_MANY)
THREAD(len_many, (void)weir_len(many); (void)weir_is_closed(many))
PROGRESS(chan_len_and_is_closed, half, len_many, OTHERS_MANY)
THREAD(batch_many, const uint64_t two[] = {1, 2}; (void)weir_send_n(NULL, many, two, 2, NULL))
PROGRESS(chan_send_n, empty, batch_many, OTHERS_MANY)
THREAD(get_batch_many, uint64_t two[2]; (void)weir_recv_n(NULL, many, two, 2, NULL))
PROGRESS(chan_recv_n, full, get_batch_many, OTHERS_MANY)
THREAD(build_many, uint64_t *at; if (weir_reserve(NULL, many, &at) == 0)(void) weir_commit(many, at))
PROGRESS(chan_reserve_and_commit, half, build_many, OTHERS_MANY)
THREAD(peek_many, uint64_t *at; if (weir_peek(NULL, many, &at) == 0)(void) weir_release(many, at))
PROGRESS(chan_peek_and_release, half, peek_many, OTHERS_MANY)

THREAD(send_line, (void)weir_send(NULL, line, &v))
THREAD(recv_line, (void)weir_recv(NULL, line, &v))
PROGRESS(spsc_send, half, send_line, recv_line_twice)
PROGRESS(spsc_send_waiting, full, send_line, recv_line_twice)
PROGRESS(spsc_recv, half, recv_line, send_line_twice)
PROGRESS(spsc_recv_waiting, empty, recv_line, send_line_twice)
PROGRESS(spsc_try_send, half, try_send_line, recv_line_twice)
PROGRESS(spsc_try_recv, half, try_recv_line, send_line_twice)
THREAD(close_line, (void)weir_close(line))
PROGRESS(spsc_close, half, close_line, send_line_twice, recv_line_twice)

PROGRESS(meet_send_waiting, meeting, send_many, OTHERS_MANY)
PROGRESS(meet_recv_waiting, meeting, recv_many, OTHERS_MANY)
PROGRESS(meet_try_send, meeting, try_send_many, OTHERS_MANY)
PROGRESS(meet_try_recv, meeting, try_recv_many, OTHERS_MANY)
/* The same where a counterpart waits already: it gives up after a while, unless it is kept from that. */
MODEL_OUTSIDE static bool somebody_waits(void)
{
    const weir__chan *c = WEIR__CHAN(many);
    return (c->lane.word & (WEIR__LANE_TURN - 1)) != 0 || c->senders.attention + c->receivers.attention != 0;
}
static void once_somebody_waits(void (*call)(void))
{
    while (!somebody_waits())
        model_wait();
    call();
}
THREAD(send_late, (void)weir_send_until(NULL, many, &v, 1500))
THREAD(recv_late, (void)weir_recv_until(NULL, many, &v, 1500))
THREAD(send_met, once_somebody_waits(send_late))
THREAD(recv_met, once_somebody_waits(recv_late))
THREAD(try_send_met, once_somebody_waits(try_send_many))
THREAD(try_recv_met, once_somebody_waits(try_recv_many))
PROGRESS(meet_send_met, meeting, send_met, recv_late)
PROGRESS(meet_recv_met, meeting, recv_met, send_late)
PROGRESS(meet_try_send_met, meeting, try_send_met, recv_late)
PROGRESS(meet_try_recv_met, meeting, try_recv_met, send_late)
PROGRESS(meet_close, meeting, close_many, OTHERS_MANY)

THREAD(select_two, weir_case cases[] = {WEIR_RECV(many, &v), WEIR_RECV(other, &v)};
       (void)weir_select_ordered(NULL, cases, 2))
THREAD(try_select_two, weir_case cases[] = {WEIR_RECV(many, &v), WEIR_RECV(other, &v)}; (void)weir_try_select(cases, 2))
PROGRESS(select, half, select_two, OTHERS_MANY)
PROGRESS(select_waiting, empty, select_two, OTHERS_MANY)
PROGRESS(select_waiting_to_meet, meeting, select_two, OTHERS_MANY)
PROGRESS(try_select, half, try_select_two, OTHERS_MANY)
PROGRESS(try_select_empty, empty, try_select_two, OTHERS_MANY)

THREAD(take_timer, weir_ns at; (void)weir_try_recv(timer, &at))
THREAD(stop_timer, (void)weir_timer_stop(timer))
THREAD(reset_timer, (void)weir_timer_reset(timer, 0))
PROGRESS(timer_recv, empty, take_timer, take_timer, stop_timer)
PROGRESS(timer_stop, empty, stop_timer, take_timer, reset_timer)
PROGRESS(timer_reset, empty, reset_timer, take_timer, stop_timer)

static void nothing(void *arg)
{
    (void)arg;
}
THREAD(ctx_err, (void)weir_ctx_err(&child))
THREAD(ctx_cancel, weir_ctx_cancel(&root, 0))
THREAD(ctx_child, weir_ctx c; weir_ctx_init(&c, &root); weir_ctx_free(&c))
THREAD(ctx_hook, (void)weir_ctx_on_cancel(&child, &hook, nothing, NULL); (void)weir_ctx_off_cancel(&child, &hook))
PROGRESS(ctx_err, empty, ctx_err, ctx_cancel, ctx_child)
PROGRESS(ctx_cancel, empty, ctx_cancel, ctx_err, ctx_child)
PROGRESS(ctx_init_and_free, empty, ctx_child, ctx_err, ctx_cancel)
PROGRESS(ctx_on_and_off_cancel, empty, ctx_hook, ctx_err, ctx_cancel)

/* ---- sync: the others acquire and release, add and finish ---- */

static weir_sem sem;
static weir_waitgroup group;
static weir_once once;
static weir_future(uint64_t) future;

static void sync_setup(int64_t held)
{
    MODEL_CHECK(weir_sem_init(&sem, 3) == 0 && weir_sem_try_acquire(&sem, held) == 0);
    weir_waitgroup_init(&group);
    MODEL_CHECK(weir_waitgroup_add(&group, 3) == 0);
    weir_once_init(&once);
    MODEL_CHECK(weir_future_make(&future) == 0);
}
THREAD(sync_free, sync_setup(0))
THREAD(sync_taken, sync_setup(3))
static int run_once(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

THREAD(sem_try, if (weir_sem_try_acquire(&sem, 1) == 0)(void) weir_sem_release(&sem, 1))
THREAD(sem_acquire, (void)weir_sem_acquire(NULL, &sem, 1))
THREAD(sem_acquire_late, (void)weir_sem_acquire_until(NULL, &sem, 1, 1500))
THREAD(sem_release, (void)weir_sem_release(&sem, 1))
THREAD(sem_resize, (void)weir_sem_resize(&sem, 2))
PROGRESS(sem_acquire, sync_free, sem_acquire, sem_try, sem_try)
PROGRESS(sem_acquire_waiting, sync_taken, sem_acquire_late, sem_release, sem_try)
PROGRESS(sem_try_acquire_and_release, sync_free, sem_try, sem_try, sem_acquire)
PROGRESS(sem_release, sync_taken, sem_release, sem_try, sem_release)
PROGRESS(sem_resize, sync_taken, sem_resize, sem_try, sem_release)

THREAD(group_add, (void)weir_waitgroup_add(&group, 1))
THREAD(group_done, (void)weir_waitgroup_done(&group))
THREAD(group_done_all, (void)weir_waitgroup_add(&group, -3))
THREAD(group_wait, (void)weir_waitgroup_wait_until(NULL, &group, 1500))
PROGRESS(waitgroup_add, sync_free, group_add, group_done, group_wait)
PROGRESS(waitgroup_done, sync_free, group_done, group_done, group_wait)
PROGRESS(waitgroup_last_done, sync_free, group_done_all, group_wait, group_add)
PROGRESS(waitgroup_wait, sync_free, group_wait, group_done_all, group_add)

THREAD(once_do, (void)weir_once_do(&once, run_once, NULL))
THREAD(once_do_twice, (void)weir_once_do(&once, run_once, NULL); (void)weir_once_do(&once, run_once, NULL))
PROGRESS(once_do, sync_free, once_do, once_do_twice)

/* ---- task ---- */

THREAD(future_set, (void)weir_future_set(future, &v))
THREAD(future_get, (void)weir_future_get_until(NULL, future, &v, 1500))
PROGRESS(future_set, sync_free, future_set, future_get, future_set)
PROGRESS(future_get, sync_free, future_get, future_set, future_get)

static weir_objpool pool;
static weir__seat_ticket tickets[8];
static weir__seat_ticket *my_ticket(void)
{
    return &tickets[model_thread_self()];
}
static void pool_setup(uint32_t objects)
{
    const weir_objpool_opt opt = {.seats = 2};
    memset(tickets, 0, sizeof tickets);
    MODEL_CHECK(weir_objpool_init(&pool, sizeof(int), objects, &opt) == 0);
}
THREAD(pool_of_five, pool_setup(5))
THREAD(pool_of_one, pool_setup(1))
THREAD(pool_use, int *object; if (weir_objpool_get(&pool, &object) == 0) weir_objpool_put(&pool, object))
THREAD(pool_use_twice, pool_use(); pool_use())
PROGRESS(objpool_get_and_put, pool_of_five, pool_use, pool_use_twice, pool_use)
PROGRESS(objpool_get_and_put_of_one, pool_of_one, pool_use, pool_use_twice, pool_use)

/* A group on a runner that calls at once; runs under other keys (under the same one they wait, by intent). */
static int runs_here(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    (void)runner;
    (void)ctx;
    fn(arg);
    return 0;
}
static weir_runner here = {runs_here};
static weir_group tasks;
static weir_single single;
static int shared_run(weir_ctx *ctx, void *arg, void *result)
{
    (void)ctx;
    (void)arg;
    (void)result;
    return 0;
}
static void tasks_setup(void)
{
    const weir_group_opt opt = {.limit = 2, .runner = &here};
    weir_group_init(&tasks, NULL, &opt);
    memset(&single, 0, sizeof single);
}
static void run_shared(const char *key)
{
    uint64_t v;
    (void)weir_single_do(NULL, &single, key, 1, shared_run, NULL, &v, sizeof v, NULL);
}
THREAD(tasks_begun, tasks_setup())
THREAD(tasks_try_go, (void)weir_group_try_go(&tasks, run_once, NULL))
THREAD(single_a, run_shared("a"))
THREAD(single_b, run_shared("b"))
PROGRESS(group_try_go_on_a_runner, tasks_begun, tasks_try_go, tasks_try_go, tasks_try_go)
PROGRESS(single_do_of_other_keys, tasks_begun, single_a, single_b, single_b)

/* ---- guard: whoever holds a permit and stops keeps its place, and lets everybody come back with an answer ---- */

static weir_breaker breaker;
static weir_clock breaker_clock;
static weir_ns breaker_at;
MODEL_OUTSIDE static weir_ns breaker_now(weir_clock *clock)
{
    (void)clock;
    return breaker_at += 1024; /* due as soon as it has opened */
}
static void breaker_setup(weir_breaker_config config)
{
    weir_breaker_permit permit;
    breaker_at = WEIR_SEC(1);
    breaker_clock.now = breaker_now;
    config.clock = &breaker_clock;
    config.open_time = 1;
    MODEL_CHECK(weir_breaker_init(&breaker, &config) == 0);
    if (config.consecutive == 1)
        MODEL_CHECK(weir_breaker_allow(&breaker, &permit) == 0 &&
                    weir_breaker_done(&breaker, &permit, WEIR_BREAKER_FAILURE) == 0);
}
static void breaker_call(int outcome)
{
    weir_breaker_permit permit;
    if (weir_breaker_allow(&breaker, &permit) == 0)
        (void)weir_breaker_done(&breaker, &permit, outcome);
}
THREAD(breaker_closed, breaker_setup((weir_breaker_config){.consecutive = 2}))
THREAD(breaker_open, breaker_setup((weir_breaker_config){.consecutive = 1, .half_open_time = 1}))
THREAD(breaker_by_count, breaker_setup((weir_breaker_config){.window_calls = 2}))
THREAD(breaker_by_time, breaker_setup((weir_breaker_config){.window_time = 2000, .min_calls = 2}))
THREAD(breaker_success, breaker_call(WEIR_BREAKER_SUCCESS))
THREAD(breaker_failure, breaker_call(WEIR_BREAKER_FAILURE))
THREAD(breaker_both, breaker_call(WEIR_BREAKER_SUCCESS); breaker_call(WEIR_BREAKER_FAILURE))
THREAD(breaker_meddle, (void)weir_breaker_force(&breaker, WEIR_BREAKER_OPEN); weir_breaker_reset(&breaker))
PROGRESS(breaker_success, breaker_closed, breaker_success, breaker_both, breaker_both)
PROGRESS(breaker_failure, breaker_closed, breaker_failure, breaker_both, breaker_both)
PROGRESS(breaker_half_open, breaker_open, breaker_both, breaker_both, breaker_both)
PROGRESS(breaker_window_calls, breaker_by_count, breaker_both, breaker_both, breaker_both)
PROGRESS(breaker_window_time, breaker_by_time, breaker_both, breaker_both, breaker_both)
PROGRESS(breaker_force_and_reset, breaker_open, breaker_meddle, breaker_both, breaker_both)
/* ---- guard: the others ask, too ---- */

static weir_fixed_window fixed;
static weir_sliding_window sliding, exact;
static weir_adaptive adaptive;
static weir_adaptive_permit held;
static weir_ns guards_now;
MODEL_OUTSIDE static weir_ns guards_read(weir_clock *clock)
{
    (void)clock;
    return guards_now;
}
static weir_clock guards_clock = {guards_read, NULL};

/* Windows of 3, of which one was taken; a new window has begun since, or, exact, that one has left. */
static void windows(void)
{
    weir_window_config config = {.limit = 3, .window = 1000, .clock = &guards_clock};
    guards_now = 0;
    MODEL_CHECK(weir_fixed_window_init(&fixed, &config) == 0 && weir_sliding_window_init(&sliding, &config) == 0);
    config.exact = true;
    MODEL_CHECK(weir_sliding_window_init(&exact, &config) == 0);
    MODEL_CHECK(weir_fixed_window_allow(&fixed, 1) == 0 && weir_sliding_window_allow(&sliding, 1) == 0 &&
                weir_sliding_window_allow(&exact, 1) == 0);
    guards_now = 1000;
}
/* A limit of 4; `samples` of the four that end a window are there, and one permit is held. */
static void adaptive_setup(int samples)
{
    const weir_adaptive_config config = {.method = WEIR_ADAPTIVE_AIMD, .initial = 4, .clock = &guards_clock};
    weir_adaptive_permit permit;
    guards_now = 0;
    MODEL_CHECK(weir_adaptive_init(&adaptive, &config) == 0);
    for (int i = 0; i < samples; i++)
        MODEL_CHECK(weir_adaptive_try_acquire(&adaptive, &permit) == 0 &&
                    weir_adaptive_release(&adaptive, &permit, WEIR_ADAPTIVE_DROPPED) == 0);
    MODEL_CHECK(weir_adaptive_try_acquire(&adaptive, &held) == 0);
}
THREAD(adaptive_begun, adaptive_setup(0))
THREAD(adaptive_before_the_last, adaptive_setup(3))
THREAD(fixed_allow, (void)weir_fixed_window_allow(&fixed, 1))
THREAD(sliding_allow, (void)weir_sliding_window_allow(&sliding, 1))
THREAD(exact_allow, (void)weir_sliding_window_allow(&exact, 1))
THREAD(adaptive_use, weir_adaptive_permit p;
       if (weir_adaptive_try_acquire(&adaptive, &p) == 0)(void) weir_adaptive_release(&adaptive, &p, WEIR_ADAPTIVE_OK))
THREAD(adaptive_give_back, (void)weir_adaptive_release(&adaptive, &held, WEIR_ADAPTIVE_OK))
PROGRESS(fixed_window_allow, windows, fixed_allow, fixed_allow, fixed_allow)
PROGRESS(sliding_window_allow, windows, sliding_allow, sliding_allow, sliding_allow)
PROGRESS(sliding_window_allow_exact, windows, exact_allow, exact_allow, exact_allow)
PROGRESS(adaptive_acquire_and_release, adaptive_begun, adaptive_use, adaptive_use, adaptive_give_back)
PROGRESS(adaptive_release_that_changes_the_limit, adaptive_before_the_last, adaptive_use, adaptive_use,
         adaptive_give_back)

static weir_limiter limiter;
static weir_limiter_map limiter_map;
static weir_retry_budget budget = WEIR_RETRY_BUDGET_INIT(0.5, 2);
static void limiters(void)
{
    guards_now = 1000;
    MODEL_CHECK(weir_limiter_init(&limiter, 10, 3, &guards_clock) == 0 &&
                weir_limiter_map_init(&limiter_map, 10, 3, 4, &guards_clock) == 0);
    limiter_map.seed[0] = 0;
    MODEL_CHECK(weir_limiter_map_allow(&limiter_map, 1, 1) == 0 && weir_limiter_map_allow(&limiter_map, 2, 1) == 0);
}
THREAD(limiters_begun, limiters())
THREAD(limiter_allow, (void)weir_limiter_allow(&limiter, 1))
THREAD(limiter_use, weir_reservation r;
       if (weir_limiter_reserve(&limiter, 1, &r) == 0)(void) weir_limiter_cancel(&limiter, &r))
THREAD(limiter_rate, (void)weir_limiter_set_rate(&limiter, 20))
THREAD(map_known, (void)weir_limiter_map_allow(&limiter_map, 1, 1))
THREAD(map_other, (void)weir_limiter_map_allow(&limiter_map, 2, 1))
THREAD(map_new, (void)weir_limiter_map_allow(&limiter_map, 3, 1))
THREAD(map_newer, (void)weir_limiter_map_allow(&limiter_map, 4, 1))
THREAD(budget_begun, limiters_begun(); (void)weir_retry_budget_take(&budget)) /* so that there is room to pay in */
THREAD(budget_use, weir_retry_budget_request(&budget); (void)weir_retry_budget_take(&budget))
PROGRESS(limiter_allow, limiters_begun, limiter_allow, limiter_allow, limiter_use)
PROGRESS(limiter_reserve_and_cancel, limiters_begun, limiter_use, limiter_allow, limiter_use)
PROGRESS(limiter_set_rate, limiters_begun, limiter_rate, limiter_allow, limiter_use)
PROGRESS(limiter_map_allow, limiters_begun, map_known, map_known, map_new)
PROGRESS(limiter_map_allow_of_a_new_key, limiters_begun, map_new, map_known, map_other)
PROGRESS(limiter_map_allow_of_new_keys, limiters_begun, map_new, map_known, map_newer)
PROGRESS(retry_budget, budget_begun, budget_use, budget_use, budget_use)
/* ---- obs: the others record into the one place, and write it out ---- */

static weir_trace trace;
static weir_trace_event slots[1];

THREAD(trace_setup, const weir_trace_opt newest = {true}; MODEL_CHECK(weir_trace_init(&trace, slots, 1, &newest) == 0);
       weir_trace_record(&trace, "event", NULL, 1, 2, v))
THREAD(trace_record, weir_trace_record(&trace, "event", NULL, 1, 2, v))
THREAD(trace_record_twice, weir_trace_record(&trace, "event", NULL, 1, 2, v);
       weir_trace_record(&trace, "event", NULL, 1, 2, v))
THREAD(trace_copy, weir_trace_event copy; (void)weir__trace_copy(slots, &copy))
PROGRESS(trace_record, trace_setup, trace_record, trace_record_twice, trace_copy)
PROGRESS(trace_write, trace_setup, trace_copy, trace_record_twice, trace_copy)
