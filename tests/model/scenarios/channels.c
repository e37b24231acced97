/* tests/model/scenarios/channels.c: buffered channels of one kind: -DKIND=chan, spsc, mpsc or spmc. Every history is checked against what a
 * channel may do (linear.h). Threads are named by what they do: s12 sends 1 and 2, r receives.
 */
#include "model/calls.h"

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
/* A scenario of this kind, with its history checked; bounds: preemptions, old values. */
#define CHANNEL(name, make, preempt, old, ...) CHANNEL2(PASTE(PASTE(KIND, _), name), make, preempt, old, __VA_ARGS__)
#define CHANNEL2(name, make, preempt, old, ...)                                                                        \
    MODEL(name, .setup = make, .finish = finish, .preemptions = preempt, .stale = old, .threads = __VA_ARGS__)
#define WITH(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }

#define KIND_chan 3
#define KIND_spsc 0
#define KIND_mpsc 1
#define KIND_spmc 2
#define MANY_SENDERS (PASTE(KIND_, KIND) & 1)
#define MANY_RECEIVERS (PASTE(KIND_, KIND) & 2)

typedef PASTE(weir_, KIND)(uint64_t) channel;
static channel ch;
static weir_ctx ctx;

static void make(size_t capacity, uint64_t start)
{
    model_ring_start = start;
    MODEL_CHECK(weir_chan_make(&ch, capacity) == 0);
    MODEL_NAME_CHANNEL(ch);
    linear_start((int)capacity);
}
THREAD(one, make(1, 0))
THREAD(two, make(2, 0))
/* Positions wrap after the first value. */
THREAD(wrap, make(1, (uint64_t)0 - 1))
THREAD(with_ctx, make(1, 0); weir_ctx_init(&ctx, NULL); MODEL_NAME(ctx))

/* Nobody is left in a queue. */
static void finish(void)
{
    linear_check();
    MODEL_CHECK(weir__waitq_sleepers(&WEIR__CHAN(ch)->senders) == 0);
    MODEL_CHECK(weir__waitq_sleepers(&WEIR__CHAN(ch)->receivers) == 0);
    weir_chan_free(&ch);
}

THREAD(s1, SEND(ch, 1))
THREAD(s12, SEND(ch, 1); SEND(ch, 2))
THREAD(r, RECV(ch))
THREAD(rr, RECV(ch); RECV(ch))
THREAD(c, CLOSE(ch))
THREAD(ts12, TRY_SEND(ch, 1); TRY_SEND(ch, 2))
THREAD(trr, TRY_RECV(ch); TRY_RECV(ch))
THREAD(s1c, SEND(ch, 1); CLOSE(ch))

CHANNEL(pipe, one, 3, 2, WITH(s12, rr))
/* What is in it, and nobody takes, does not vanish with the close. */
static void look(void)
{
    const size_t n = weir_len(ch), later = weir_len(ch);
    MODEL_CHECK(n <= later && later <= 1);
}
CHANNEL(len_while_closing, one, 3, 2, WITH(s1c, look))
THREAD(look_on, MODEL_CHECK(weir_len(ch) <= 1))
CHANNEL(len_while_passing, one, 3, 2, WITH(s1, r, look_on))
static void tally_on(void)
{
    weir_chan_tally t;
    MODEL_CHECK(weir_chan_stats(ch, &t) == 0 && t.received <= t.sent && t.sent <= 1);
}
CHANNEL(tally_while_passing, one, 3, 2, WITH(s1, r, tally_on))
CHANNEL(pipe_of_two, two, 3, 2, WITH(s12, rr))
CHANNEL(pipe_at_the_wrap, wrap, 3, 2, WITH(s12, rr))
CHANNEL(tries, one, 3, 2, WITH(ts12, trr))
CHANNEL(tries_at_the_wrap, wrap, 3, 2, WITH(ts12, trr))
CHANNEL(sender_closes, one, 3, 2, WITH(s1c, rr))
CHANNEL(close_meets_senders, one, 3, 2, WITH(s12, c))
CHANNEL(close_meets_receivers, one, 3, 2, WITH(r, c))
#if MANY_SENDERS
CHANNEL(close_among_both, one, 3, 2, WITH(s12, rr, c))
#else /* with one sender closing takes longer; ck's rings for one sender and many receivers do what those for many of both do */
CHANNEL(close_among_both, one, 2, 1, WITH(s12, rr, c))
#endif
CHANNEL(close_among_tries, one, 3, 2, WITH(ts12, trr, c))
CHANNEL(two_closers, one, 3, 2, WITH(c, c, r))

/* Time goes by at some moment: a value is received, or stays the sender's, and none is lost. */
THREAD(s12_late, SEND_UNTIL(ch, 1, NULL, 1050); SEND_UNTIL(ch, 2, NULL, 1050))
THREAD(rr_late, RECV_UNTIL(ch, NULL, 1050); RECV_UNTIL(ch, NULL, 1150))
MODEL(PASTE(KIND, _deadlines), .setup = one, .finish = finish, .preemptions = 3, .stale = 2, .ticks = 1,
      .threads = {s12_late, rr_late})
MODEL(PASTE(KIND, _spurious_wake_ups), .setup = one, .finish = finish, .preemptions = 3, .stale = 2, .spurious = 2,
      .threads = {s12, rr})

THREAD(r_ctx, RECV_UNTIL(ch, &ctx, WEIR_FOREVER))
THREAD(cancel, weir_ctx_cancel(&ctx, 0))
CHANNEL(cancelled_receiver, with_ctx, 3, 2, WITH(r_ctx, cancel, s1))

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
    while (weir_send(NULL, ch, &v) == 0) {}
    heard();
}
static void receives_until_closed(void)
{
    uint64_t v;
    while (weir_recv(NULL, ch, &v) == 0) {}
    heard();
}
static void tries_until_closed(void)
{
    uint64_t v = 1;
    while (weir_try_send(ch, &v) != EPIPE)
        model_pause();
    heard();
}
static void looks(void)
{
    if (weir_is_closed(ch))
        heard();
}
THREAD(silent, make(1, 0); message = 0)
#define HEARD(name, ...)                                                                                               \
    MODEL(PASTE(KIND, _##name), .setup = silent, .preemptions = 3, .stale = 2, .threads = {__VA_ARGS__})
HEARD(close_is_heard_by_a_sender, sends_until_closed, says)
HEARD(close_is_heard_by_a_receiver, receives_until_closed, says)
HEARD(close_is_heard_by_a_try, tries_until_closed, says)
HEARD(close_is_seen, looks, says)

/* ---- batches, and values built in place ---- */

THREAD(batch_12, const uint64_t v[] = {1, 2}; size_t sent;
       MODEL_CHECK(weir_send_n(NULL, ch, v, 2, &sent) == 0 && sent == 2))
static void batch_of_all(void)
{
    uint64_t v[2], next = 1;
    size_t got;
    while (next <= 2) {
        MODEL_CHECK(weir_recv_n(NULL, ch, v, 2, &got) == 0 && got >= 1);
        for (size_t i = 0; i < got; i++)
            MODEL_CHECK(v[i] == next++);
    }
}
CHANNEL(batches, one, 3, 2, WITH(batch_12, batch_of_all))
CHANNEL(batches_of_two, two, 3, 2, WITH(batch_12, batch_of_all))
static void batch_until_closed(void)
{
    const uint64_t v[] = {1, 2};
    size_t sent;
    const int rc = weir_send_n(NULL, ch, v, 2, &sent);
    MODEL_CHECK(rc == 0 ? sent == 2 : rc == EPIPE && sent < 2);
}
CHANNEL(batch_meets_close, two, 3, 2, WITH(batch_until_closed, c))

#if WEIR_RING_MPMC != WEIR_RING_CK
static void builds(void)
{
    for (uint64_t i = 1; i <= 2; i++) {
        uint64_t *place = NULL;
        MODEL_CHECK(weir_reserve(NULL, ch, &place) == 0);
        MODEL_WRITE(place);
        *place = i;
        MODEL_CHECK(weir_commit(ch, place) == 0);
    }
}
static void peeks(void)
{
    for (uint64_t i = 1; i <= 2; i++) {
        uint64_t *place = NULL;
        MODEL_CHECK(weir_peek(NULL, ch, &place) == 0);
        MODEL_READ(place);
        MODEL_CHECK(*place == i);
        MODEL_CHECK(weir_release(ch, place) == 0);
    }
}
CHANNEL(in_place, one, 3, 2, WITH(builds, peeks))
#endif

/* ---- several on one side ---- */

#if MANY_SENDERS
THREAD(s3, SEND(ch, 3))
CHANNEL(two_senders, one, 2, 1, WITH(s12, s3, rr))
CHANNEL(two_senders_of_one, two, 3, 2, WITH(s1, s3, r))
CHANNEL(two_senders_and_tries, two, 3, 2, WITH(s1, s3, trr))
CHANNEL(two_senders_and_a_close, two, 3, 2, WITH(s1, s3, c))
#endif

#if MANY_RECEIVERS
THREAD(tr, TRY_RECV(ch))
#if MANY_SENDERS || !defined MODEL_COPY_CK
CHANNEL(two_receivers, one, 3, 2, WITH(s12, r, r))
#else /* as above: as many executions of as many states */
CHANNEL(two_receivers, one, 2, 1, WITH(s12, r, r))
#endif
CHANNEL(two_receivers_and_tries, two, 3, 2, WITH(ts12, r, tr))
CHANNEL(two_receivers_and_a_close, one, 3, 2, WITH(s1c, r, r))
/* The oldest is dropped for the newest. */
static size_t dropped;
static void latest(void)
{
    for (uint64_t i = 1; i <= 2; i++) {
        size_t n;
        MODEL_CHECK(weir_send_latest(ch, &i, &n) == 0);
        dropped += n;
    }
}
static uint64_t last;
static size_t taken;
static void takes(void)
{
    uint64_t v;
    for (int i = 0; i < 2; i++)
        if (weir_try_recv(ch, &v) == 0) {
            MODEL_CHECK(v > last);
            last = v;
            taken++;
        }
}
THREAD(latest_setup, make(1, 0); dropped = taken = 0; last = 0)
static void latest_finish(void)
{
    uint64_t v;
    while (weir_try_recv(ch, &v) == 0)
        taken++;
    MODEL_CHECK(taken + dropped == 2);
}
MODEL(PASTE(KIND, _latest), .setup = latest_setup, .finish = latest_finish, .preemptions = 3, .stale = 2,
      .threads = {latest, takes})
#endif

#if MANY_SENDERS && MANY_RECEIVERS
CHANNEL(two_and_two, two, 2, 1, WITH(s1, s3, r, r))
CHANNEL(two_and_two_closed, one, 2, 0, WITH(s1c, s3, r, r))
#endif
