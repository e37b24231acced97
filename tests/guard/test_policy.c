/* tests/guard/test_policy.c: guards in the order in which they are listed; each refusal tells by whom. */
#include "guard/hand.h"

static struct hand hand;
static const int passing[] = {EIO, EAGAIN};

struct work {
    int calls, fails, code;
    weir_ns deadline; /* of the last call's context */
};

static int works(weir_ctx *ctx, void *arg)
{
    struct work *w = (struct work *)arg;
    w->deadline = weir_ctx_deadline(ctx);
    return ++w->calls <= w->fails ? w->code : 0;
}

TEST(without_layers_the_task_is_called)
{
    struct work w = {0, 9, EIO, 0};
    weir_policy_report report;
    CHECK_INT(weir_policy_call(NULL, NULL, 0, works, &w, &report), EIO);
    CHECK_INT(w.calls, 1);
    CHECK_INT(report.refused_by, -1);
    CHECK(report.name == NULL);
    CHECK_INT(weir_policy_call(NULL, NULL, -1, works, &w, NULL), EINVAL);
    CHECK_INT(w.calls, 1);
}

/* Writes down who was called in which order. */
static char trail[64];
static int notes(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    int rc;
    strncat(trail, layer->name, sizeof trail - strlen(trail) - 1);
    rc = weir_policy_go(ctx, next);
    strncat(trail, rc == 0 ? ")" : "!", sizeof trail - strlen(trail) - 1);
    return rc;
}
static int stands_in(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_policy_go(ctx, next);
    if (rc != 0)
        ++*(int *)layer->guard;
    next->refused_by = -1; /* it has an answer */
    return 0;
}
static int says_no(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    (void)ctx;
    return weir_policy_refuse(next, (int)layer->number);
}

TEST(the_first_listed_is_the_outermost)
{
    const weir_policy_layer layers[] = {{"(a", notes, NULL, 0}, {"(b", notes, NULL, 0}, {"(c", notes, NULL, 0}};
    struct work w = {0, 0, 0, 0};
    trail[0] = 0;
    CHECK_INT(weir_policy_call(NULL, layers, 3, works, &w, NULL), 0);
    CHECK_STR(trail, "(a(b(c)))");
}

TEST(a_layer_of_ones_own_may_refuse_and_may_stand_in)
{
    int stood_in = 0;
    const weir_policy_layer layers[] = {
        {"cache", stands_in, &stood_in, 0}, {"(a", notes, NULL, 0}, {"gate", says_no, NULL, EPERM}};
    struct work w = {0, 0, 0, 0};
    weir_policy_report report;
    CHECK_INT(weir_policy_call(NULL, layers, 3, works, &w, &report), 0);
    CHECK_INT(stood_in, 1);
    CHECK_INT(report.refused_by, -1);
    CHECK_INT(weir_policy_call(NULL, layers + 1, 2, works, &w, &report), EPERM);
    CHECK_INT(report.refused_by, 1);
    CHECK_STR(report.name, "gate");
    CHECK_INT(w.calls, 0);
}

/* ---- retry around breaker around limiter around timeout ---- */

static weir_breaker breaker;
static weir_limiter limiter;
static weir_retry_config retry;

static void begin(int attempts, uint32_t consecutive, double rate, int64_t burst)
{
    weir_breaker_config c;
    hand_init(&hand, WEIR_SEC(100));
    memset(&c, 0, sizeof c);
    c.consecutive = consecutive;
    c.open_time = WEIR_SEC(10);
    c.clock = &hand.clock;
    retry = hand_retries(&hand, attempts, &passing);
    REQUIRE(weir_breaker_init(&breaker, &c) == 0 && weir_limiter_init(&limiter, rate, burst, &hand.clock) == 0);
}

static int call(struct work *w, weir_ctx *ctx, weir_policy_report *report)
{
    const weir_policy_layer layers[] = {weir_policy_retry(&retry), weir_policy_breaker(&breaker),
                                        weir_policy_limiter(&limiter), weir_policy_timeout(WEIR_SEC(5))};
    return weir_policy_call(ctx, layers, 4, works, w, report);
}

TEST(all_four_let_a_good_call_through)
{
    struct work w = {0, 2, EIO, 0};
    weir_policy_report report;
    begin(5, 10, 1000, 10);
    CHECK_INT(call(&w, NULL, &report), 0);
    CHECK_INT(w.calls, 3);
    CHECK_INT(report.refused_by, -1);
    CHECK(w.deadline > weir_now() && w.deadline <= weir_now() + WEIR_SEC(5));
    CHECK(weir_limiter_tokens(&limiter) >= 7);
    CHECK_INT(weir_breaker_state(&breaker), WEIR_BREAKER_CLOSED);
}

TEST(the_breaker_refuses_and_says_so)
{
    struct work w = {0, 99, EIO, 0};
    weir_policy_report report;
    begin(5, 3, 1000, 10);
    CHECK_INT(call(&w, NULL, &report), EAGAIN); /* three failures, then two refusals that are retried */
    CHECK_INT(w.calls, 3);
    CHECK_INT(report.refused_by, 1);
    CHECK_STR(report.name, "breaker");
    w.fails = 0;
    hand_move(&hand, WEIR_SEC(20));
    CHECK_INT(call(&w, NULL, &report), 0);
    CHECK_INT(report.refused_by, -1);
}

TEST(the_limiter_refuses_and_the_breaker_does_not_count_it)
{
    struct work w = {0, 0, 0, 0};
    weir_policy_report report;
    weir_ctx ctx;
    begin(1, 1, 0.001, 1);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(60));
    CHECK_INT(call(&w, &ctx, &report), 0);
    CHECK_INT(call(&w, &ctx, &report), ETIMEDOUT); /* it would take 1000 s */
    CHECK_INT(report.refused_by, 2);
    CHECK_STR(report.name, "limiter");
    CHECK_INT(w.calls, 1);
    CHECK_INT(weir_breaker_state(&breaker), WEIR_BREAKER_CLOSED);
    weir_ctx_free(&ctx);
}

TEST(an_ended_context_is_refused_by_the_outermost)
{
    struct work w = {0, 0, 0, 0};
    weir_policy_report report;
    weir_ctx ctx;
    begin(3, 3, 1000, 1);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(call(&w, &ctx, &report), ECANCELED);
    CHECK_INT(report.refused_by, 0);
    CHECK_STR(report.name, "retry");
    CHECK_INT(w.calls, 0);
    weir_ctx_free(&ctx);
}

TEST(a_context_that_ends_between_two_attempts_is_the_retrys_refusal)
{
    struct work w = {0, 9, EIO, 0};
    weir_policy_report report;
    weir_ctx ctx;
    begin(3, 9, 1000, 9);
    weir_ctx_init(&ctx, NULL);
    hand.cancels = &ctx;
    CHECK_INT(call(&w, &ctx, &report), ECANCELED);
    CHECK_INT(w.calls, 1);
    CHECK_INT(report.refused_by, 0);
    CHECK_STR(report.name, "retry");
    weir_ctx_free(&ctx);
}

TEST(an_ended_context_is_not_counted_by_a_breaker)
{
    const weir_policy_layer layers[] = {weir_policy_breaker(&breaker)};
    struct work w = {0, 0, 0, 0};
    weir_policy_report report;
    weir_ctx ctx;
    begin(1, 1, 1, 1);
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_policy_call(&ctx, layers, 1, works, &w, &report), ECANCELED);
    CHECK_STR(report.name, "breaker");
    CHECK_INT(w.calls, 0);
    CHECK_INT(weir_breaker_state(&breaker), WEIR_BREAKER_CLOSED);
    weir_ctx_free(&ctx);
}

TEST(the_order_is_the_users)
{
    /* A breaker around the retries sees one failure where the other order would see three. */
    struct work w = {0, 99, EIO, 0};
    weir_policy_report report;
    begin(3, 2, 1000, 10);
    {
        const weir_policy_layer layers[] = {weir_policy_breaker(&breaker), weir_policy_retry(&retry)};
        CHECK_INT(weir_policy_call(NULL, layers, 2, works, &w, &report), EIO);
        CHECK_INT(w.calls, 3);
        CHECK_INT(weir_breaker_state(&breaker), WEIR_BREAKER_CLOSED);
        CHECK_INT(weir_policy_call(NULL, layers, 2, works, &w, &report), EIO);
        CHECK_INT(w.calls, 6);
        CHECK_INT(weir_breaker_state(&breaker), WEIR_BREAKER_OPEN);
        CHECK_INT(weir_policy_call(NULL, layers, 2, works, &w, &report), EAGAIN);
        CHECK_INT(report.refused_by, 0);
    }
}

static bool odd(int code, void *arg)
{
    CHECK_INT(((struct work *)arg)->code, code); /* the program's own arg */
    return code % 2 == 1;
}

TEST(a_function_that_decides_gets_the_programs_arg)
{
    struct work w = {0, 2, EIO, 0};
    begin(5, 10, 1000, 10);
    retry.codes = NULL;
    retry.n_codes = 0;
    retry.retryable = odd;
    CHECK_INT(call(&w, NULL, NULL), 0);
    CHECK_INT(w.calls, 3);
}

/* ---- the others ---- */

/* Two units, of which the first call keeps one: whoever is next does not wait, so it is the count that tells. */
static int looks_at_the_bulkhead(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return (int)weir_sem_available((weir_sem *)arg) + 100;
}

TEST(a_bulkhead_has_its_unit_back_whatever_the_call_returns)
{
    weir_sem sem = WEIR_SEM_INIT(2);
    const weir_policy_layer layers[] = {weir_policy_bulkhead(&sem), {"gate", says_no, NULL, EPERM}};
    CHECK_INT(weir_policy_call(NULL, layers, 1, looks_at_the_bulkhead, &sem, NULL), 101);
    CHECK_INT(weir_sem_available(&sem), 2);
    CHECK_INT(weir_policy_call(NULL, layers, 2, looks_at_the_bulkhead, &sem, NULL), EPERM);
    CHECK_INT(weir_sem_available(&sem), 2);
}

TEST(bulkhead_windows_and_adaptive_limit)
{
    struct work w = {0, 0, 0, 0};
    weir_policy_report report;
    weir_sem sem = WEIR_SEM_INIT(1);
    weir_fixed_window fixed;
    weir_sliding_window sliding;
    weir_adaptive adaptive;
    weir_window_config c;
    weir_ctx ctx;
    hand_init(&hand, WEIR_SEC(100));
    memset(&c, 0, sizeof c);
    c.limit = 2;
    c.window = WEIR_SEC(3600);
    c.clock = &hand.clock;
    REQUIRE(weir_fixed_window_init(&fixed, &c) == 0 && weir_sliding_window_init(&sliding, &c) == 0 &&
            weir_adaptive_init(&adaptive, NULL) == 0);
    REQUIRE(weir_limiter_init(&limiter, 0, 3, &hand.clock) == 0);
    {
        const weir_policy_layer layers[] = {weir_policy_bulkhead(&sem), weir_policy_adaptive(&adaptive),
                                            weir_policy_try_limiter(&limiter), weir_policy_fixed_window(&fixed),
                                            weir_policy_sliding_window(&sliding)};
        CHECK_INT(weir_policy_call(NULL, layers, 5, works, &w, &report), 0);
        CHECK_INT(report.refused_by, -1);
        CHECK_INT(weir_sem_available(&sem), 1);
        CHECK_INT(weir_adaptive_in_flight(&adaptive), 0);
        weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(60));
        CHECK_INT(weir_policy_call(&ctx, layers, 5, works, &w, &report), 0);
        CHECK_INT(weir_policy_call(&ctx, layers, 5, works, &w, &report), ETIMEDOUT);
        CHECK_STR(report.name, "fixed window");
        CHECK_INT(weir_policy_call(&ctx, layers + 4, 1, works, &w, &report), ETIMEDOUT);
        CHECK_STR(report.name, "sliding window");
        CHECK_INT(weir_policy_call(&ctx, layers, 5, works, &w, &report), EAGAIN);
        CHECK_INT(report.refused_by, 2);
        CHECK_INT(w.calls, 2);
        CHECK_INT(weir_sem_available(&sem), 1);
        CHECK_INT(weir_adaptive_in_flight(&adaptive), 0);
        CHECK_INT(weir_sem_acquire(NULL, &sem, 1), 0);
        weir_ctx_cancel(&ctx, 0);
        CHECK_INT(weir_policy_call(&ctx, layers, 5, works, &w, &report), ECANCELED);
        CHECK_STR(report.name, "bulkhead");
        CHECK_INT(weir_policy_call(&ctx, layers + 1, 4, works, &w, &report), ECANCELED);
        CHECK_STR(report.name, "adaptive");
        weir_ctx_free(&ctx);
    }
    weir_sliding_window_free(&sliding);
}

TEST(a_call_that_timed_out_is_a_drop_and_a_refusal_is_none)
{
    struct work w = {0, 99, ETIMEDOUT, 0};
    weir_adaptive adaptive;
    const weir_adaptive_config c = {.method = WEIR_ADAPTIVE_AIMD, .initial = 4, .backoff = 50};
    const weir_policy_layer layers[] = {weir_policy_adaptive(&adaptive), {"gate", says_no, NULL, ETIMEDOUT}};
    REQUIRE(weir_adaptive_init(&adaptive, &c) == 0);
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_policy_call(NULL, layers, 2, works, &w, NULL), ETIMEDOUT);
    CHECK_INT(weir_adaptive_limit(&adaptive), 4);
    for (int i = 0; i < 4; i++) /* a window */
        CHECK_INT(weir_policy_call(NULL, layers, 1, works, &w, NULL), ETIMEDOUT);
    CHECK_INT(weir_adaptive_limit(&adaptive), 2);
    w.code = EIO;
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_policy_call(NULL, layers, 1, works, &w, NULL), EIO);
    CHECK_INT(weir_adaptive_limit(&adaptive), 2);
}

static int sleeps(weir_ctx *ctx, void *arg)
{
    (void)arg;
    return weir_sleep(ctx, WEIR_FOREVER);
}

TEST(a_timeout_ends_the_inner_context_alone)
{
    const weir_policy_layer layers[] = {weir_policy_timeout(WEIR_MS(2))};
    weir_policy_report report;
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(weir_policy_call(&ctx, layers, 1, sleeps, NULL, &report), ETIMEDOUT);
    CHECK_INT(report.refused_by, -1); /* the task has run, and returned that */
    CHECK_INT(weir_ctx_err(&ctx), 0);
    CHECK(ctx.children == NULL); /* the inner one was on the stack */
    weir_ctx_free(&ctx);
}

/* The first attempt waits; the hedge is refused by what lies inside. */
static int refuses_the_second(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    if (weir_retry_attempt(ctx) == 2)
        return weir_policy_refuse(next, (int)layer->number);
    return weir_policy_go(ctx, next);
}

TEST(of_two_attempts_at_once_the_report_is_the_winners)
{
    for (int round = 0; round < 20; round++) {
        weir_policy_report report;
        hand_init(&hand, WEIR_SEC(100));
        retry = hand_retries(&hand, 2, &passing);
        retry.hedge = WEIR_US(100);
        {
            const weir_policy_layer layers[] = {weir_policy_retry(&retry), {"second", refuses_the_second, NULL, EPERM}};
            CHECK_INT(weir_policy_call(NULL, layers, 2, sleeps, NULL, &report), EPERM);
            CHECK_INT(report.refused_by, 1);
        }
    }
}
