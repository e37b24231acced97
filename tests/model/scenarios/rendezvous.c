/* tests/model/scenarios/rendezvous.c: channels of capacity 0: the lane, the queues, and the way from the one into the other. A send that
 * returns 0 and the receive of its value are under way at one moment (linear.h), and each value is received once or stays its sender's.
 */
#include "model/calls.h"

static weir_chan(uint64_t) ch;
static weir_ctx ctx;

static void make(weir_wait_strategy wait)
{
    weir_chan_opt opt = {wait, NULL, NULL, 0};
    MODEL_CHECK(weir_chan_make_opt(&ch, 0, &opt) == 0);
    MODEL_NAME_CHANNEL(ch);
    linear_start(0);
}
THREAD(adaptive, make(WEIR_WAIT_ADAPTIVE))
THREAD(parks, make(WEIR_WAIT_PARK))
THREAD(yields, make(WEIR_WAIT_YIELD))
THREAD(with_ctx, make(WEIR_WAIT_ADAPTIVE); weir_ctx_init(&ctx, NULL); MODEL_NAME(ctx))

/* Each value that was sent was received, once; nobody is left behind anywhere. */
static void finish(void)
{
    linear_check();
    MODEL_CHECK(linear_count(SENT) == linear_count(RECEIVED));
    MODEL_CHECK((WEIR__CHAN(ch)->lane.word & (WEIR__LANE_TURN - 1)) == 0);
    MODEL_CHECK(weir__waitq_sleepers(&WEIR__CHAN(ch)->senders) == 0);
    MODEL_CHECK(weir__waitq_sleepers(&WEIR__CHAN(ch)->receivers) == 0);
    weir_chan_free(&ch);
}

#define MEET(name, make_, preempt, old, ...)                                                                           \
    MODEL(meet_##name, .setup = make_, .finish = finish, .preemptions = preempt, .stale = old, .threads = __VA_ARGS__)
#define WITH(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

THREAD(s1, SEND(ch, 1))
THREAD(s3, SEND(ch, 3))
THREAD(s12, SEND(ch, 1); SEND(ch, 2))
THREAD(r, RECV(ch))
THREAD(rr, RECV(ch); RECV(ch))
THREAD(c, CLOSE(ch))
THREAD(ts1, TRY_SEND(ch, 1))
THREAD(tr, TRY_RECV(ch))
THREAD(s1_late, SEND_UNTIL(ch, 1, NULL, 1050))
THREAD(r_late, RECV_UNTIL(ch, NULL, 1050))
THREAD(r_ctx, RECV_UNTIL(ch, &ctx, WEIR_FOREVER))
THREAD(s1_ctx, SEND_UNTIL(ch, 1, &ctx, WEIR_FOREVER))
THREAD(cancel, weir_ctx_cancel(&ctx, 0))

MEET(two_in_a_row, adaptive, 3, 2, WITH(s12, rr))
MEET(two_in_a_row_parked, parks, 3, 2, WITH(s12, rr))
MEET(two_in_a_row_yielding, yields, 3, 2, WITH(s12, rr))
MEET(two_receivers_yielding, yields, 3, 2, WITH(s12, r, r))
MEET(two_senders, adaptive, 2, 1, WITH(s1, s3, rr))
MEET(two_receivers, adaptive, 2, 1, WITH(s12, r, r))
MEET(two_and_two, adaptive, 2, 0, WITH(s1, s3, r, r))
MEET(two_and_two_parked, parks, 2, 1, WITH(s1, s3, r, r))
MEET(a_sender_and_a_close, adaptive, 3, 2, WITH(s1, c))
MEET(a_receiver_and_a_close, parks, 3, 2, WITH(r, c))
MEET(both_and_a_close, adaptive, 3, 2, WITH(s1, r, c))
MEET(tries_meet_nobody, adaptive, 3, 2, WITH(ts1, tr))
MEET(a_try_to_send, adaptive, 3, 2, WITH(ts1, r, c))
MEET(a_try_to_receive, adaptive, 3, 2, WITH(s1, tr, c))
MEET(cancelled_receiver, with_ctx, 3, 2, WITH(r_ctx, cancel, ts1))
MEET(cancelled_sender, with_ctx, 3, 2, WITH(s1_ctx, cancel, tr))
MODEL(meet_deadlines, .setup = adaptive, .finish = finish, .preemptions = 3, .stale = 2, .ticks = 1,
      .threads = {s1_late, r_late})
MODEL(meet_deadlines_parked, .setup = parks, .finish = finish, .preemptions = 3, .stale = 2, .ticks = 1,
      .threads = {s1_late, r_late})
MODEL(meet_spurious_wake_ups, .setup = adaptive, .finish = finish, .preemptions = 3, .stale = 2, .spurious = 2,
      .threads = {s12, rr})

/* ---- who is told that it is closed knows what the closer did before ---- */

static int message;
static void says(void)
{
    MODEL_WRITE(&message);
    message = 1;
    MODEL_CHECK(weir_close(ch) == 0);
}
static void heard(void)
{
    MODEL_READ(&message);
    MODEL_CHECK(message == 1);
}
static void sends_until_closed(void)
{
    uint64_t v = 1;
    MODEL_CHECK(weir_send(NULL, ch, &v) == EPIPE);
    heard();
}
static void tries_until_closed(void)
{
    uint64_t v;
    while (weir_try_recv(ch, &v) != EPIPE)
        model_pause();
    heard();
}
static void looks(void)
{
    if (weir_is_closed(ch))
        heard();
}
THREAD(silent, make(WEIR_WAIT_ADAPTIVE); message = 0)
#define HEARD(name, ...) MODEL(meet_##name, .setup = silent, .preemptions = 3, .stale = 2, .threads = {__VA_ARGS__})
HEARD(close_is_heard, sends_until_closed, says)
HEARD(close_is_heard_by_a_try, tries_until_closed, says)
HEARD(close_is_seen, looks, says)

/* Also while somebody is in the middle of an offer. */
static void receives_until_closed(void)
{
    uint64_t v;
    if (weir_recv(NULL, ch, &v) == EPIPE)
        heard();
}
static void sends_or_not(void)
{
    uint64_t v = 1;
    (void)weir_send(NULL, ch, &v);
}
MODEL(meet_close_is_heard_beside_an_offer, .setup = silent, .preemptions = 3, .stale = 2,
      .threads = {sends_or_not, receives_until_closed, says})

/* A wait that sleeps counts as waiting: a try after that finds it. */
static int tried;
static void sleeps_then_tried(void)
{
    uint64_t v;
    while (weir__load_rlx(&WEIR__CHAN(ch)->senders.attention) == 0)
        model_pause();
    tried = weir_try_recv(ch, &v);
}
static void met(void)
{
    MODEL_CHECK(tried == 0);
}
static void sends(void)
{
    uint64_t v = 1;
    MODEL_CHECK(weir_send(NULL, ch, &v) == 0);
}
MODEL(meet_a_try_finds_who_sleeps, .setup = parks, .finish = met, .preemptions = 3, .stale = 2,
      .threads = {sends, sleeps_then_tried})

/* Who sleeps until it is closed: a try that knows of the one finds the other. */
static void met_or_closed(void)
{
    MODEL_CHECK(tried == 0 || tried == EPIPE);
}
static void tries_if_one_sleeps(void)
{
    uint64_t v;
    if (weir__load_rlx(&WEIR__CHAN(ch)->senders.attention) != 0)
        tried = weir_try_recv(ch, &v);
}
THREAD(closes, MODEL_CHECK(weir_close(ch) == 0))
THREAD(parks_untried, parks(); tried = 0)
MODEL(meet_a_try_finds_who_sleeps_or_the_close, .setup = parks_untried, .finish = met_or_closed, .preemptions = 3,
      .stale = 2, .threads = {sends_or_not, tries_if_one_sleeps, closes})

/* Who moves from the lane into the queue is found by a try all the time. */
static void receives_or_not(void)
{
    uint64_t v;
    (void)weir_recv(NULL, ch, &v);
}
static void tries_who_is_there(void)
{
    uint64_t v = 1;
    if ((weir__load_rlx(&WEIR__CHAN(ch)->lane.word) & WEIR__LANE_RECEIVER) == WEIR__LANE_WANT)
        tried = weir_try_send(ch, &v);
    (void)weir_close(ch); /* for who has not been found */
}
THREAD(adaptive_untried, adaptive(); tried = 0)
MODEL(meet_a_try_finds_who_moves, .setup = adaptive_untried, .finish = met, .preemptions = 3, .stale = 2,
      .threads = {receives_or_not, tries_who_is_there})
