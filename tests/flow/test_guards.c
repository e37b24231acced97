/* flow/desk.h, guards of a stage: retries with pauses, breakers, limits; what they refuse has failed as any other item. */
#include "letters.h"

/* Succeeds at the third call for each value. */
struct slow_learner {
    int calls, arg_was_seen;
};

static int third_time(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct slow_learner *l = (struct slow_learner *)arg;
    CHECK_INT(weir_retry_attempt(ctx), l->calls % 3 + 1);
    return ++l->calls % 3 != 0 ? 9 : negate(ctx, NULL, in, out);
}

TEST(a_stage_retries_with_pauses_and_every_item_arrives)
{
    struct hand hand;
    struct rig r;
    struct slow_learner learner = {0, 0};
    weir_retry_config retry = {
        .attempts = 3, .codes = &nine, .n_codes = 1, .delay = WEIR_SEC(1), .jitter = WEIR_JITTER_NONE};
    weir_policy_layer guards[1];
    weir_stage_opt opt = {.guards = guards, .guard_count = 1};
    hand_init(&hand, 0);
    retry.clock = &hand.clock;
    guards[0] = weir_policy_retry(&retry);
    rig_open(&r, 100, 1, NULL);
    rig_start(&r, third_time, &learner, &opt, false);
    CHECK_INT(weir_pipeline_wait(&r.p), 0);
    CHECK_INT(learner.calls, 300);
    CHECK_INT(r.tally.count, 100);
    CHECK_INT(r.tally.out_of_order, 0);
    CHECK_INT(hand.slept, 200);
    CHECK(hand.at == WEIR_SEC(300)); /* 1 + 2 for each */
    CHECK_INT(rig_stage(&r).failed, 0);
    rig_close(&r);
}

TEST(guards_alone_are_enough_to_guard)
{
    struct hand hand;
    struct source s = {0, 10, -1};
    struct tally t = {0, 0, 0, 0, 0};
    struct slow_learner learner = {0, 0};
    weir_retry_config retry = {.attempts = 3, .codes = &nine, .n_codes = 1};
    weir_policy_layer guards[1];
    weir_stage_opt opt = {.guards = guards, .guard_count = 1};
    weir_pipeline p; /* neither watched nor traced */
    int_chan in, out;
    hand_init(&hand, 0);
    retry.clock = &hand.clock;
    guards[0] = weir_policy_retry(&retry);
    REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, third_time, &learner, &opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(learner.calls, 30);
    CHECK_INT(t.count, 10);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

static bool retries_nine(int code, void *arg)
{
    struct picky *p = (struct picky *)arg; /* the stage's own */
    return code == p->code;
}

TEST(when_the_retries_are_spent_the_error_policy_decides)
{
    struct hand hand;
    struct rig r;
    struct picky picky = {10, 9, 0};
    weir_retry_config retry = {.attempts = 4, .retryable = retries_nine};
    weir_policy_layer guards[1];
    weir_stage_opt opt = {.guards = guards, .guard_count = 1, .on_error = WEIR_ON_ERROR_DEAD_LETTER, .workers = 3};
    hand_init(&hand, 0);
    retry.clock = &hand.clock;
    guards[0] = weir_policy_retry(&retry);
    rig_open(&r, 100, 1, NULL);
    rig_start(&r, refuse_some, &picky, &opt, true);
    CHECK_INT(weir_pipeline_wait(&r.p), 0);
    CHECK_INT(picky.calls, 90 + 10 * 4);
    CHECK_INT(r.letters.count, 10);
    CHECK_INT(r.letters.wrong, 0);
    CHECK_INT(r.letters.last.why.calls, 4);
    CHECK_INT(rig_stage(&r).dead, 10);
    rig_close(&r);
}

static int note_refusals(weir_ctx *ctx, void *arg, const void *value)
{
    int *refused = (int *)arg;
    dead_int letter;
    (void)ctx;
    memcpy(&letter, value, sizeof letter);
    if (letter.why.refused_by != NULL) {
        CHECK_STR(letter.why.refused_by, "breaker");
        CHECK_INT(letter.why.calls, 0);
        CHECK_INT(letter.why.error, EAGAIN);
        *refused += 1;
    } else {
        CHECK_INT(letter.why.calls, 1);
        CHECK_INT(letter.why.error, 9);
    }
    return 0;
}

TEST(what_a_breaker_refuses_has_failed_as_any_other_item)
{
    struct hand hand;
    struct rig r;
    struct picky all = {1, 9, 0};
    int refused = 0;
    weir_breaker breaker;
    weir_breaker_config config = {.consecutive = 5};
    weir_policy_layer guards[1];
    weir_stage_opt opt = {.guards = guards, .guard_count = 1, .on_error = WEIR_ON_ERROR_DEAD_LETTER};
    hand_init(&hand, 0); /* does not move: the breaker stays open */
    config.clock = &hand.clock;
    REQUIRE(weir_breaker_init(&breaker, &config) == 0);
    guards[0] = weir_policy_breaker(&breaker);
    rig_open(&r, 50, 1, NULL);
    rig_start(&r, refuse_some, &all, &opt, false);
    CHECK_INT(weir_sink(&r.p, r.dead, note_refusals, &refused, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&r.p), 0);
    CHECK_INT(all.calls, 5);
    CHECK_INT(refused, 45);
    CHECK_INT(weir_breaker_state(&breaker), WEIR_BREAKER_OPEN);
    CHECK_INT(rig_stage(&r).dead, 50);
    rig_close(&r);
    weir_breaker_free(&breaker);
}

/* The end of a sequence is a success to the breaker, and no reason to call again. */
TEST(the_end_of_a_sequence_passes_the_guards)
{
    static const int epipe = EPIPE;
    struct source s = {0, 10, -1};
    struct tally t = {0, 0, 0, 0, 5};
    weir_breaker breaker;
    weir_breaker_config config = {.consecutive = 1};
    weir_retry_config retry = {.attempts = 3, .codes = &epipe, .n_codes = 1};
    weir_policy_layer guards[2];
    weir_stage_opt opt = {.guards = guards, .guard_count = 2, .on_error = WEIR_ON_ERROR_SKIP};
    weir_pipeline p;
    int_chan in;
    REQUIRE(weir_breaker_init(&breaker, &config) == 0 && weir_chan_make(&in, 1) == 0);
    guards[0] = weir_policy_retry(&retry);
    guards[1] = weir_policy_breaker(&breaker);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, &opt), 0);
    CHECK_INT(weir_sink(&p, in, tally_up, &t, &opt), 0); /* wants no more after 5 */
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 5);
    CHECK_INT(weir_breaker_state(&breaker), WEIR_BREAKER_CLOSED);
    weir_chan_free(&in);
    weir_breaker_free(&breaker);
}

static int makes_it_up(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    (void)ctx;
    (void)layer;
    (void)next;
    return 0; /* without a call: there is nothing to send */
}

TEST(a_guard_that_makes_results_up_makes_items_fail)
{
    struct rig r;
    const weir_policy_layer guard = {"liar", makes_it_up, NULL, 0};
    weir_stage_opt opt = {.guards = &guard, .guard_count = 1};
    rig_open(&r, 10, 1, NULL);
    rig_start(&r, negate, NULL, &opt, false);
    CHECK_INT(weir_pipeline_wait(&r.p), ENODATA);
    CHECK_INT(rig_stage(&r).failed, 1);
    CHECK_INT(r.tally.count, 0);
    rig_close(&r);
}
