/* tests/guard/test_retry.c: what is retried and what not, pauses, deadlines, budgets. */
#include "retry.h"

TEST(it_calls_again_until_it_succeeds)
{
    struct work w = {.fails = 2, .code = PASSES};
    weir_retry_config c = plain(5);
    weir_retry_report report;
    CHECK_INT(weir_retry(NULL, &c, works, &w, &report), 0);
    CHECK_INT(w.calls, 3);
    CHECK_INT(report.attempts, 3);
    CHECK_INT(report.winner, 3);
    CHECK_INT(report.last, 0);
    CHECK_INT(report.why, WEIR_RETRY_DONE);
    CHECK_INT(report.paused, WEIR_MS(300));
    for (int i = 0; i < 3; i++)
        CHECK_INT(w.attempt[i], i + 1);
    CHECK_INT(w.when[1] - w.when[0], WEIR_MS(100));
    CHECK_INT(w.when[2] - w.when[1], WEIR_MS(200));
    CHECK_INT(weir_retry_attempt(NULL), 0);
    weir_retry_after(NULL, 5); /* outside: nothing */
}

TEST(it_stops_after_so_many)
{
    struct work w = {.fails = 99, .code = ALSO};
    weir_retry_config c = plain(0);
    weir_retry_report report;
    CHECK_INT(weir_retry(NULL, &c, works, &w, &report), ALSO);
    CHECK_INT(w.calls, 3); /* the default */
    CHECK_INT(report.why, WEIR_RETRY_ATTEMPTS);
    CHECK_INT(hand.slept, 2); /* none after the last */
}

static bool even(int code, void *arg)
{
    CHECK(arg != NULL);
    return code % 2 == 0;
}

TEST(only_listed_codes_are_retried)
{
    struct work w = {.fails = 99, .code = FINAL};
    weir_retry_config c = plain(5);
    weir_retry_report report;
    CHECK_INT(weir_retry(NULL, &c, works, &w, &report), FINAL);
    CHECK_INT(w.calls, 1);
    CHECK_INT(report.why, WEIR_RETRY_CODE);
    memset(&w, 0, sizeof w);
    w.fails = 1;
    w.code = PASSES;
    w.last = FINAL; /* a listed one, then another */
    CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), FINAL);
    CHECK_INT(w.calls, 2);
    c.retryable = even;
    memset(&w, 0, sizeof w);
    w.fails = 99;
    w.code = PASSES;
    CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), PASSES);
    CHECK_INT(w.calls, 1);
    w.code = ALSO;
    CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), ALSO);
    CHECK_INT(w.calls, 6);
}

TEST(a_config_without_sense_runs_nothing)
{
    struct work w = {.fails = 0};
    for (int i = 0; i < 12; i++) {
        weir_retry_config c = plain(2);
        switch (i) {
        case 0: c.attempts = -1; break;
        case 1: c.delay = -1; break;
        case 2: c.max_delay = -1; break;
        case 3: c.growth = 0.5; break;
        case 4: c.growth = __builtin_nan(""); break;
        case 5: c.jitter = 3; break;
        case 6: c.codes = NULL; break;
        case 7: c.n_codes = 0; break;
        case 8: c.timeout = -1; break;
        case 9: c.attempt_timeout = -1; break;
        case 10: c.jitter = WEIR_JITTER_FULL - 1; break;
        default: c.hedge = -1; break;
        }
        CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), EINVAL);
    }
    CHECK_INT(w.calls, 0);
    {
        weir_retry_config c = plain(1); /* one attempt needs no list */
        c.codes = NULL;
        c.n_codes = 0;
        CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), 0);
    }
}

/* ---- pauses ---- */

TEST(the_pause_saturates)
{
    struct work w = {.fails = 1000, .code = PASSES};
    weir_retry_config c = plain(1000);
    weir_retry_report report;
    c.max_delay = WEIR_SEC(1);
    CHECK_INT(weir_retry(NULL, &c, works, &w, &report), PASSES);
    /* 0.1 0.2 0.4 0.8, then 995 times 1 */
    CHECK_INT(report.paused, WEIR_MS(1500) + 995 * WEIR_SEC(1));
    c = plain(200);
    c.delay = WEIR_SEC(1);
    c.growth = 1e300;
    c.max_delay = WEIR_FOREVER / 1000;
    w.calls = 0;
    CHECK_INT(weir_retry(NULL, &c, works, &w, &report), PASSES);
    CHECK_INT(report.paused, WEIR_SEC(1) + 198 * (WEIR_FOREVER / 1000));
    c = plain(3); /* a first pause above the greatest */
    c.delay = WEIR_SEC(100);
    c.max_delay = WEIR_SEC(2);
    w.calls = 0;
    CHECK_INT(weir_retry(NULL, &c, works, &w, &report), PASSES);
    CHECK_INT(report.paused, WEIR_SEC(4));
}

TEST(jitter_stays_below_the_cap_and_spreads)
{
    for (int jitter = WEIR_JITTER_FULL; jitter <= WEIR_JITTER_DECORRELATED; jitter++) {
        int low = 0, high = 0;
        for (int round = 0; round < 200; round++) {
            struct work w = {.fails = 99, .code = PASSES};
            weir_retry_config c = plain(8);
            weir_ns last = 0;
            c.jitter = jitter;
            c.max_delay = WEIR_MS(900);
            CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), PASSES);
            for (int i = 1; i < 8; i++) {
                const weir_ns pause = w.when[i] - w.when[i - 1];
                const weir_ns grown = i < 4 ? WEIR_MS(100) << (i - 1) : WEIR_MS(i < 5 ? 800 : 900);
                CHECK(pause <= WEIR_MS(900) && pause >= 0);
                if (jitter == WEIR_JITTER_FULL)
                    CHECK(pause <= grown);
                if (jitter == WEIR_JITTER_NONE)
                    CHECK_INT(pause, grown);
                if (jitter == WEIR_JITTER_DECORRELATED)
                    CHECK(pause >= WEIR_MS(100) && (pause <= 3 * last || last == 0));
                last = pause;
                if (i >= 5) {
                    low += pause < WEIR_MS(450);
                    high += pause >= WEIR_MS(450);
                }
            }
        }
        if (jitter != WEIR_JITTER_NONE)
            CHECK(low > 50 && high > 50);
    }
}

TEST(the_task_may_say_when)
{
    struct work w = {.fails = 3, .code = PASSES, .after = {WEIR_SEC(60), -1, 0, 0}};
    weir_retry_config c = plain(5);
    CHECK_INT(weir_retry(NULL, &c, works, &w, NULL), 0);
    CHECK_INT(w.when[1] - w.when[0], WEIR_SEC(60)); /* above max_delay */
    CHECK_INT(w.when[2] - w.when[1], 0);
    CHECK_INT(w.when[3] - w.when[2], WEIR_MS(400));
}

/* ---- time and contexts ---- */

TEST(a_pause_that_would_outlast_the_deadline_is_not_begun)
{
    struct work w = {.fails = 99, .code = PASSES};
    weir_retry_config c = plain(50);
    weir_retry_report report;
    weir_ctx ctx;
    c.timeout = WEIR_MS(700);
    CHECK_INT(weir_retry(NULL, &c, works, &w, &report), PASSES);
    CHECK_INT(w.calls, 3); /* at 0, 100, 300; the next were at 700 */
    CHECK_INT(report.why, WEIR_RETRY_DEADLINE);
    CHECK_INT(hand.at, WEIR_SEC(5) + WEIR_MS(300));
    c = plain(50);
    w.calls = 0;
    w.after[0] = WEIR_SEC(3600);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(1800));
    CHECK_INT(weir_retry(&ctx, &c, works, &w, &report), PASSES);
    CHECK_INT(report.why, WEIR_RETRY_DEADLINE);
    CHECK_INT(w.calls, 1);
    weir_ctx_free(&ctx);
}

TEST(an_ended_context_ends_it)
{
    struct work w = {.fails = 99, .code = PASSES};
    weir_retry_config c = plain(50);
    weir_retry_report report;
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    hand.cancels = &ctx; /* in the first pause */
    CHECK_INT(weir_retry(&ctx, &c, works, &w, &report), ECANCELED);
    CHECK_INT(w.calls, 1);
    CHECK_INT(report.why, WEIR_RETRY_CONTEXT);
    CHECK_INT(report.last, PASSES);
    CHECK_INT(weir_retry(&ctx, &c, works, &w, &report), ECANCELED);
    CHECK_INT(report.attempts, 0);
    CHECK_INT(report.winner, 0);
    weir_ctx_free(&ctx);
    weir_ctx_init(&ctx, NULL); /* in the task */
    w.calls = 0;
    w.cancels = &ctx;
    CHECK_INT(weir_retry(&ctx, &c, works, &w, &report), PASSES);
    CHECK_INT(w.calls, 1);
    CHECK_INT(report.why, WEIR_RETRY_CONTEXT);
    weir_ctx_free(&ctx);
}

static int waits_for_the_end(weir_ctx *ctx, void *arg)
{
    ++*(int *)arg;
    return weir_sleep(ctx, WEIR_FOREVER);
}

TEST(each_attempt_has_its_time_and_all_together_have_theirs)
{
    static const int codes[] = {ETIMEDOUT};
    weir_retry_config c = plain(3);
    weir_retry_report report;
    int calls = 0;
    c.codes = codes;
    c.n_codes = 1;
    c.attempt_timeout = WEIR_MS(2);
    CHECK_INT(weir_retry(NULL, &c, waits_for_the_end, &calls, &report), ETIMEDOUT);
    CHECK_INT(calls, 3);
    CHECK_INT(report.why, WEIR_RETRY_ATTEMPTS);
    c.attempt_timeout = 0;
    c.timeout = WEIR_MS(5);
    c.clock = NULL;
    calls = 0;
    CHECK_INT(weir_retry(NULL, &c, waits_for_the_end, &calls, &report), ETIMEDOUT);
    CHECK_INT(calls, 1);
    CHECK_INT(report.why, WEIR_RETRY_DEADLINE);
}

/* ---- budget ---- */

TEST(retries_stay_under_their_share)
{
    static weir_retry_budget budget = WEIR_RETRY_BUDGET_INIT(0.1, 5);
    weir_retry_config c = plain(3);
    weir_retry_report report;
    int calls = 0;
    c.budget = &budget;
    for (int i = 0; i < 1000; i++) {
        struct work w = {.fails = 99, .code = PASSES};
        CHECK_INT(weir_retry(NULL, &c, works, &w, &report), PASSES);
        CHECK(report.why == WEIR_RETRY_BUDGET || report.why == WEIR_RETRY_ATTEMPTS);
        calls += w.calls;
    }
    CHECK(calls <= 1000 + 100 + 5 && calls >= 1000 + 100);
    CHECK_INT(weir_retry_budget_init(&budget, -1, 5), EINVAL);
    CHECK_INT(weir_retry_budget_init(&budget, 1, -5), EINVAL);
    CHECK_INT(weir_retry_budget_init(&budget, __builtin_nan(""), 5), EINVAL);
    CHECK_INT(weir_retry_budget_init(&budget, 1, 1e300), EINVAL);
    CHECK_INT(weir_retry_budget_init(&budget, 2.0 * WEIR_RETRY_BUDGET_MAX, 5), EINVAL);
    CHECK_INT(weir_retry_budget_init(&budget, 0, 0), 0);
    CHECK_INT(weir_retry_budget_take(&budget), EAGAIN);
    CHECK_INT(weir_retry_budget_init(&budget, WEIR_RETRY_BUDGET_MAX, WEIR_RETRY_BUDGET_MAX), 0);
    CHECK_INT(weir_retry_budget_take(&budget), 0);
    CHECK_INT(weir_retry_budget_init(&budget, 0.5, 1), 0);
    CHECK_INT(weir_retry_budget_take(&budget), 0);
    CHECK_INT(weir_retry_budget_take(&budget), EAGAIN);
    weir_retry_budget_request(&budget);
    CHECK_INT(weir_retry_budget_take(&budget), EAGAIN);
    for (int i = 0; i < 100; i++)
        weir_retry_budget_request(&budget);
    CHECK_INT(weir_retry_budget_take(&budget), 0); /* no more than `most` is saved */
    CHECK_INT(weir_retry_budget_take(&budget), EAGAIN);
}

static weir_retry_budget shared;
static void pays_and_takes(void *arg)
{
    for (int i = 0; i < 10000; i++) {
        weir_retry_budget_request(&shared);
        *(int *)arg += weir_retry_budget_take(&shared) == 0;
    }
}

TEST(a_budget_shared_by_threads_adds_up)
{
    int taken[8] = {0}, sum = 0;
    REQUIRE(weir_retry_budget_init(&shared, 0.25, 100) == 0);
    test_threads(8, pays_and_takes, taken, sizeof taken[0]);
    for (int i = 0; i < 8; i++)
        sum += taken[i];
    CHECK(sum <= 8 * 10000 / 4 + 100);
    CHECK((uint64_t)sum * 1000000 + shared.saved <= (8 * 10000 / 4 + 100) * UINT64_C(1000000));
    CHECK(sum >= 8 * 10000 / 4 - 1);
}
