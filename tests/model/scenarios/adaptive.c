/* tests/model/scenarios/adaptive.c: windows of samples: each ends once, by one thread, on sums that all have added to. */
#include "model/calls.h"

static weir_adaptive limiter;
static weir_ctx ctx;
static int served;

/* Each reading is 100 later than the one before: a request takes that at least. */
static weir_ns readings;
MODEL_OUTSIDE static weir_ns later(weir_clock *clock)
{
    (void)clock;
    readings += 100;
    model_goes_by((uint64_t)readings);
    return readings;
}
static weir_clock ticking = {later, NULL};

static void sample(int outcome)
{
    weir_adaptive_permit permit;
    if (weir_adaptive_try_acquire(&limiter, &permit) == 0)
        MODEL_CHECK(weir_adaptive_release(&limiter, &permit, outcome) == 0);
}

MODEL_OUTSIDE static void setup(int method, int64_t initial, int64_t max, int before)
{
    const weir_adaptive_config config = {
        .method = method, .initial = initial, .max = max, .backoff = 50, .measure = -1, .clock = &ticking};
    readings = 0;
    served = 0;
    MODEL_CHECK(weir_adaptive_init(&limiter, &config) == 0);
    weir_ctx_init(&ctx, NULL);
    for (int i = 0; i < before; i++)
        sample(WEIR_ADAPTIVE_OK);
    MODEL_NAME(limiter.window);
    MODEL_NAME(limiter.places.word);
    MODEL_NAME(limiter.places.line);
}
/* Windows are of four samples here. */
THREAD(aimd_of_2_after_2, setup(WEIR_ADAPTIVE_AIMD, 2, 3, 2))
THREAD(aimd_of_2_after_3, setup(WEIR_ADAPTIVE_AIMD, 2, 3, 3))
THREAD(aimd_of_3_after_3, setup(WEIR_ADAPTIVE_AIMD, 3, 3, 3))
THREAD(aimd_of_1_after_3, setup(WEIR_ADAPTIVE_AIMD, 1, 2, 3))
THREAD(gradient_of_2_after_measuring, setup(WEIR_ADAPTIVE_GRADIENT, 2, 3, 18))

THREAD(succeeds, sample(WEIR_ADAPTIVE_OK))
THREAD(succeeds_twice, sample(WEIR_ADAPTIVE_OK); sample(WEIR_ADAPTIVE_OK))
THREAD(is_dropped, sample(WEIR_ADAPTIVE_DROPPED))
THREAD(fails, sample(WEIR_ADAPTIVE_FAILED))
static void waits_in(weir_ctx *of)
{
    weir_adaptive_permit permit;
    const int rc = weir_adaptive_acquire(of, &limiter, &permit);
    MODEL_CHECK(rc == 0 || (rc == ECANCELED && of != NULL));
    if (rc == 0)
        MODEL_CHECK(weir_adaptive_release(&limiter, &permit, WEIR_ADAPTIVE_OK) == 0);
}
THREAD(waits, waits_in(NULL))
THREAD(waits_in_ctx, waits_in(&ctx))
THREAD(cancels, weir_ctx_cancel(&ctx, 0))

static void at_rest(void)
{
    const uint64_t word = limiter.window;
    const weir__adaptive_sums *s = &limiter.sums[weir__adaptive_number(word) & 1];
    MODEL_CHECK(weir_adaptive_in_flight(&limiter) == 0 && limiter.places.line.list.first == NULL);
    MODEL_CHECK(weir__adaptive_count(word) < weir__adaptive_target(word));
    /* All that is counted has been added, to sums that were empty. */
    MODEL_CHECK(s->in_flight + s->dropped >= weir__adaptive_count(word) && s->dropped <= weir__adaptive_count(word));
    MODEL_CHECK(weir_adaptive_limit(&limiter) >= 1 && weir_adaptive_limit(&limiter) <= limiter.config.max);
}
static void ended(uint32_t windows)
{
    at_rest();
    MODEL_CHECK(weir__adaptive_number(limiter.window) == windows);
}
THREAD(one_window_ended, ended(1))
THREAD(one_window_ended_with_a_drop, ended(1); MODEL_CHECK(weir_adaptive_limit(&limiter) == 1))
MODEL(adaptive_last_sample, .setup = aimd_of_2_after_2, .finish = one_window_ended, .preemptions = 3, .stale = 2,
      .threads = {waits, waits})
MODEL(adaptive_one_too_many, .setup = aimd_of_3_after_3, .finish = one_window_ended, .preemptions = 3, .stale = 2,
      .threads = {succeeds, succeeds, succeeds})
MODEL(adaptive_drop_is_heard_of, .setup = aimd_of_2_after_2, .finish = one_window_ended_with_a_drop, .preemptions = 3,
      .stale = 2, .threads = {is_dropped, waits})
MODEL(adaptive_two_windows, .setup = aimd_of_2_after_3, .finish = at_rest, .preemptions = 3, .stale = 2,
      .threads = {succeeds_twice, succeeds_twice, fails})
MODEL(adaptive_after_measuring, .setup = gradient_of_2_after_measuring, .finish = at_rest, .preemptions = 3, .stale = 2,
      .threads = {succeeds_twice, succeeds})
/* The end of a window makes room while somebody waits. */
MODEL(adaptive_waits_while_the_limit_grows, .setup = aimd_of_1_after_3, .finish = at_rest, .preemptions = 3, .stale = 2,
      .threads = {waits, waits})
MODEL(adaptive_wait_cancelled, .setup = aimd_of_1_after_3, .finish = at_rest, .preemptions = 3, .stale = 2,
      .threads = {waits, waits_in_ctx, cancels})

/* Nobody is in flight any more: what they did is seen. */
static weir_adaptive_permit last;
static int did;
THREAD(aimd_with_one_in_flight, setup(WEIR_ADAPTIVE_AIMD, 2, 3, 0); did = 0;
       MODEL_CHECK(weir_adaptive_try_acquire(&limiter, &last) == 0))
THREAD(does_and_releases, MODEL_WRITE(&did); did = 1;
       MODEL_CHECK(weir_adaptive_release(&limiter, &last, WEIR_ADAPTIVE_OK) == 0))
static void looks(void)
{
    if (weir_adaptive_in_flight(&limiter) != 0)
        return;
    MODEL_READ(&did);
    MODEL_CHECK(did == 1);
}
MODEL(adaptive_none_in_flight, .setup = aimd_with_one_in_flight, .finish = at_rest, .preemptions = 3, .stale = 2,
      .threads = {does_and_releases, looks})
