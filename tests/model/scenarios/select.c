/* tests/model/scenarios/select.c: select over two channels, buffered, rendezvous and mixed, to receive and to send. What it says that it has
 * done goes into the history as that call; what a try says not to have been possible was not, on all of its channels at one moment.
 */
#include "model/calls.h"

static weir_chan(uint64_t) a, b;
static weir_ctx ctx;

static void make_waiting(size_t of_a, size_t of_b, weir_wait_strategy wait)
{
    const weir_chan_opt opt = {wait, NULL, NULL, 0};
    MODEL_CHECK(weir_chan_make_opt(&a, of_a, &opt) == 0 && weir_chan_make_opt(&b, of_b, &opt) == 0);
    MODEL_NAME_CHANNEL(a);
    model_name(&b.core->chan, sizeof b.core->chan, "b");
    linear_start(of_a > 0 && of_b > 0 ? 1 : 0);
    weir_ctx_init(&ctx, NULL);
}
static void make(size_t of_a, size_t of_b)
{
    make_waiting(of_a, of_b, WEIR_WAIT_ADAPTIVE);
}
THREAD(yielding, make_waiting(0, 0, WEIR_WAIT_YIELD))
THREAD(buffers_parked, make_waiting(1, 1, WEIR_WAIT_PARK))
THREAD(meetings_parked, make_waiting(0, 0, WEIR_WAIT_PARK))
THREAD(mixed_parked, make_waiting(1, 0, WEIR_WAIT_PARK))
THREAD(buffers, make(1, 1))
THREAD(meetings, make(0, 0))
THREAD(mixed, make(1, 0))

static void empty_queues(void)
{
    MODEL_CHECK(weir__waitq_sleepers(&WEIR__CHAN(a)->senders) == 0 &&
                weir__waitq_sleepers(&WEIR__CHAN(a)->receivers) == 0);
    MODEL_CHECK(weir__waitq_sleepers(&WEIR__CHAN(b)->senders) == 0 &&
                weir__waitq_sleepers(&WEIR__CHAN(b)->receivers) == 0);
    MODEL_CHECK(ctx.watchers.first == NULL);
    weir_chan_free(&a);
    weir_chan_free(&b);
}

static void finish(void)
{
    if (linear.capacity > 0)
        linear_check();
    MODEL_CHECK(linear_count(RECEIVED) <= linear_count(SENT));
    empty_queues();
}

/* Two channels, one operation each; the value to send is `value`; a stands first or second in the list. */
static void select_listed(bool waits, bool sends_a, bool sends_b, uint64_t value, int place_of_a)
{
    uint64_t got = 99;
    weir_case cases[2];
    const int call = linear_begin();
    cases[place_of_a] = sends_a ? WEIR_SEND(a, &value) : WEIR_RECV(a, &got);
    cases[1 - place_of_a] = sends_b ? WEIR_SEND(b, &value) : WEIR_RECV(b, &got);
    const int i = waits ? weir_select(NULL, cases, 2) : weir_try_select(cases, 2);
    if (i < 0) {
        MODEL_CHECK(i == -EAGAIN && !waits && got == 99);
        linear_end(call, NONE_READY, 0, 0,
                   (sends_a ? NONE_SEND(0) : NONE_RECV(0)) | (sends_b ? NONE_SEND(1) : NONE_RECV(1)));
        return;
    }
    const int channel = i == place_of_a ? 0 : 1;
    if (channel == 0 ? sends_a : sends_b)
        linear_end(call, cases[i].status == 0 ? SENT : SEND_CLOSED, channel, (int)value, 0);
    else
        linear_end(call, cases[i].status == 0 ? RECEIVED : RECV_CLOSED, channel, (int)got, 0);
}

static void select_two(bool waits, bool sends_a, bool sends_b, uint64_t value)
{
    select_listed(waits, sends_a, sends_b, value, 0);
}

#define SEND_TO(n, ch, v) CALL_SEND(n, v, weir_send(NULL, ch, &value))
#define TRY_SEND_TO(n, ch, v) CALL_SEND(n, v, weir_try_send(ch, &value))
#define RECV_FROM(n, ch) CALL_RECV(n, weir_recv(NULL, ch, &value))
#define TRY_RECV_FROM(n, ch) CALL_RECV(n, weir_try_recv(ch, &value))

#define SELECT(name, make_, preempt, old, ...)                                                                         \
    MODEL(select_##name, .setup = make_, .finish = finish, .preemptions = preempt, .stale = old, .threads = __VA_ARGS__)
#define WITH(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

THREAD(gets, select_two(true, false, false, 0))
THREAD(gets_two, select_two(true, false, false, 0); select_two(true, false, false, 0))
THREAD(gives, select_two(true, true, true, 5))
THREAD(gets_a_gives_b, select_two(true, false, true, 6))
THREAD(gives_a_gets_b, select_two(true, true, false, 7))
THREAD(tries_to_get, select_two(false, false, false, 0))
THREAD(tries_to_give, select_two(false, true, true, 8))
THREAD(send_a, SEND_TO(0, a, 1))
THREAD(send_b, SEND_TO(1, b, 2))
THREAD(try_send_a, TRY_SEND_TO(0, a, 1))
THREAD(send_both, SEND_TO(0, a, 1); SEND_TO(1, b, 2))
THREAD(recv_a, RECV_FROM(0, a))
THREAD(moves_a_to_b, TRY_SEND_TO(1, b, 3); TRY_RECV_FROM(0, a))
THREAD(close_a, CLOSE(a))

/* ---- buffered ---- */
SELECT(one_of_two, buffers, 3, 2, WITH(gets, send_a))
SELECT(both_in_turn, buffers, 3, 2, WITH(gets_two, send_both))
SELECT(two_senders, buffers, 3, 2, WITH(gets_two, send_a, send_b))
SELECT(full_and_full, buffers, 3, 2, WITH(gives, gets))
SELECT(a_wake_up_is_passed_on, buffers, 2, 0, WITH(gets, recv_a, send_both, send_a))
SELECT(two_selects_and_a_receiver, buffers, 2, 0, WITH(gets, gets, send_both))
SELECT(two_selects_and_a_receiver_parked, buffers_parked, 2, 1, WITH(gets, gets, send_both))
/* A value comes into one channel before the other is emptied: a try between finds one of them ready. */
static void moving(void)
{
    uint64_t v = 1;
    buffers();
    CALL_SEND(0, v, weir_try_send(a, &value));
    linear_start(1);
}
THREAD(make_moving, moving())
static void finish_moving(void)
{
    /* the value that setup sent is the history's first call */
    empty_queues();
}
static int tried_i;
THREAD(tries_once, uint64_t got; weir_case cases[] = {WEIR_RECV(a, &got), WEIR_RECV(b, &got)};
       tried_i = weir_try_select(cases, 2); MODEL_CHECK(tried_i >= 0))
MODEL(select_tries_at_one_moment, .setup = make_moving, .finish = finish_moving, .preemptions = 3, .stale = 2,
      .threads = {tries_once, moves_a_to_b})
/* The same where the second is a meeting: somebody waits for it, and goes when the first has a value: met, or called off. (The first is of a kind
 * whose looks are not seq_cst.) */
static weir_spsc(uint64_t) line;
THREAD(line_and_meeting, make(1, 0); MODEL_CHECK(weir_chan_make(&line, 1) == 0))
THREAD(finish_line, empty_queues(); weir_chan_free(&line))
static void tries_there(bool sends)
{
    uint64_t got, value = 9;
    const uint64_t word = weir__load_acq(&WEIR__CHAN(b)->lane.word);
    weir_case cases[] = {WEIR_RECV(line, &got), sends ? WEIR_SEND(b, &value) : WEIR_RECV(b, &got)};
    if (sends ? (word & WEIR__LANE_RECEIVER) == WEIR__LANE_WANT : (word & WEIR__LANE_SENDER) == WEIR__LANE_OFFER)
        MODEL_CHECK(weir_try_select(cases, 2) >= 0);
}
static void puts_in_line(void)
{
    uint64_t v = 1;
    MODEL_CHECK(weir_try_send(line, &v) == 0);
}
THREAD(tries_to_give_there, tries_there(true))
THREAD(tries_to_get_there, tries_there(false))
THREAD(waits_there, uint64_t v; (void)weir_recv(&ctx, b, &v))
THREAD(offers_there, uint64_t v = 2; (void)weir_send(&ctx, b, &v))
THREAD(then_gives, uint64_t v = 1; puts_in_line(); (void)weir_try_send(b, &v); weir_close(b))
THREAD(then_gets, uint64_t v; puts_in_line(); (void)weir_try_recv(b, &v); weir_close(b))
THREAD(then_cancels, puts_in_line(); weir_ctx_cancel(&ctx, 0))
#define THERE(name, ...)                                                                                               \
    MODEL(select_##name, .setup = line_and_meeting, .finish = finish_line, .preemptions = 1, .stale = 5,               \
          .threads = {__VA_ARGS__})
THERE(tries_to_give_to_who_is_met, waits_there, then_gives, tries_to_give_there)
THERE(tries_to_get_what_is_taken, offers_there, then_gets, tries_to_get_there)
THERE(tries_to_give_to_who_leaves, waits_there, then_cancels, tries_to_give_there)
THERE(tries_to_get_what_is_withdrawn, offers_there, then_cancels, tries_to_get_there)
SELECT(tries_and_sends, buffers, 3, 2, WITH(tries_to_get, send_both))
SELECT(tries_to_give_and_to_get, buffers, 3, 2, WITH(tries_to_give, tries_to_get, try_send_a))

/* ---- rendezvous ---- */
SELECT(meets_a_sender, meetings, 3, 2, WITH(gets, send_a))
SELECT(meets_a_receiver, meetings, 3, 2, WITH(gives_a_gets_b, recv_a))
SELECT(meets_a_select, meetings, 3, 2, WITH(gets, gives))
SELECT(meets_a_select_crosswise, meetings, 3, 2, WITH(gets_a_gives_b, gives_a_gets_b))
THREAD(gets_reversed, select_listed(true, false, false, 0, 1))
SELECT(meets_a_select_reversed, meetings, 3, 2, WITH(gives, gets_reversed))
SELECT(meets_a_sender_yielding, yielding, 3, 2, WITH(gets, send_a))
SELECT(meets_two_in_turn, meetings, 1, 1, WITH(gets_two, send_a, send_b))
SELECT(meets_two_in_turn_parked, meetings_parked, 3, 2, WITH(gets_two, send_a, send_b))
SELECT(tries_meet_a_sender, meetings, 3, 2, WITH(tries_to_get, send_a, close_a))
SELECT(two_tries_do_not_meet, meetings, 3, 2, WITH(tries_to_get, tries_to_give))

/* ---- mixed, closed, cancelled ---- */
SELECT(of_both_flavors, mixed, 3, 2, WITH(gets, send_b))
SELECT(of_both_flavors_in_turn, mixed, 2, 0, WITH(gets_two, send_a, send_b))
SELECT(of_both_flavors_in_turn_parked, mixed_parked, 3, 2, WITH(gets_two, send_a, send_b))
SELECT(closed_buffer, buffers, 3, 2, WITH(gets, close_a))
SELECT(closed_meeting, meetings, 3, 2, WITH(gets, close_a))

static int chosen;
static void gets_or_done(void)
{
    uint64_t got;
    weir_case cases[] = {WEIR_RECV(a, &got), WEIR_DONE(&ctx)};
    chosen = weir_select(NULL, cases, 2);
    MODEL_CHECK(chosen == 0 ? cases[0].status == 0 && got == 1 : chosen == 1 && cases[1].status == ECANCELED);
}
/* If the context was chosen, the value is still there. */
static void finish_done(void)
{
    uint64_t v;
    MODEL_CHECK(chosen == 0 || WEIR__CHAN(a)->flavor == WEIR__RENDEZVOUS || weir_try_recv(a, &v) == 0);
    empty_queues();
}
THREAD(try_a, uint64_t v = 1; (void)weir_try_send(a, &v))
THREAD(put_a, uint64_t v = 1; MODEL_CHECK(weir_send(NULL, a, &v) == 0))
THREAD(cancel, weir_ctx_cancel(&ctx, 0))
MODEL(select_done, .setup = buffers, .finish = finish_done, .preemptions = 3, .stale = 2,
      .threads = {gets_or_done, put_a, cancel})
MODEL(select_done_or_meets, .setup = meetings, .finish = finish_done, .preemptions = 3, .stale = 2,
      .threads = {gets_or_done, try_a, cancel})
