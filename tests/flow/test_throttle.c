/* flow/throttle.h: as fast as the limiter says, on a clock moved by hand; what it refuses is a failure. */
#include "clauses.h"

#include "../guard/hand.h"

static weir_limiter limiter;
static struct hand hand;

TEST(values_pass_at_the_rate_of_the_limiter)
{
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    int_chan in, out, last;
    weir_pipeline p;
    hand_init(&hand, 0);
    CHECK_INT(weir_limiter_init(&limiter, 1000.0, 10, &hand.clock), 0);
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0 && weir_chan_make(&last, 2) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_throttle(&p, in, out, &limiter, NULL), 0);
    CHECK_INT(weir_map(&p, out, last, negate, NULL, NULL), 0);
    CHECK_INT(weir_sink(&p, last, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 100);
    CHECK_INT(t.out_of_order, 0);
    CHECK_INT(hand.at, WEIR_MS(90)); /* 10 at once, then one a millisecond */
    CHECK_INT(hand.slept, 90);
    weir_chan_free(&in);
    weir_chan_free(&out);
    weir_chan_free(&last);
}

TEST(no_token_is_spent_while_there_is_no_value)
{
    int_chan in, out;
    int v = 1;
    hand_init(&hand, 0);
    CHECK_INT(weir_limiter_init(&limiter, 1.0, 10, &hand.clock), 0);
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
    CHECK_INT(weir_send(NULL, in, &v), 0);
    weir_close(in);
    CHECK_INT(weir_throttle_loop(NULL, in, out, &limiter), 0);
    CHECK_INT(weir_len(out), 1);
    CHECK_INT((int)weir_limiter_tokens(&limiter), 9);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

TEST(what_the_limiter_refuses_for_ever_is_a_failure)
{
    struct source s = {0, 100, -1};
    int_chan in, out;
    weir_pipeline p;
    hand_init(&hand, 0);
    CHECK_INT(weir_limiter_init(&limiter, 0.0, 3, &hand.clock), 0);
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 16) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_throttle(&p, in, out, &limiter, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), ETIMEDOUT);
    CHECK_INT(weir_len(out), 3);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

TEST(a_wait_beyond_the_deadline_of_the_context_is_refused_at_once)
{
    struct source s = {0, 100, -1};
    int_chan in, out;
    weir_pipeline p;
    weir_ctx ctx;
    CHECK_INT(weir_limiter_init(&limiter, 0.001, 1, NULL), 0);
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 16) == 0);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(500)); /* the second token comes after 1000 s */
    weir_pipeline_init(&p, &ctx);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_throttle(&p, in, out, &limiter, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), ETIMEDOUT);
    CHECK_INT(weir_ctx_err(&ctx), 0);
    CHECK_INT(weir_len(out), 1);
    weir_ctx_free(&ctx);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

TEST(a_stage_that_waits_for_its_limiter_ends_with_the_context)
{
    struct source s = {0, 100, -1};
    int_chan in, out;
    weir_pipeline p;
    CHECK_INT(weir_limiter_init(&limiter, 0.001, 1, NULL), 0);
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 16) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_throttle(&p, in, out, &limiter, NULL), 0);
    EVENTUALLY(weir_limiter_tokens(&limiter) < 0); /* it waits */
    weir_ctx_cancel(weir_pipeline_ctx(&p), 0);
    CHECK_INT(weir_pipeline_wait(&p), ECANCELED);
    CHECK_INT(weir_len(out), 1);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

static weir_stage_opt opt;

static int start(weir_pipeline *p, int_chan in)
{
    CHECK_INT(weir_limiter_init(&limiter, WEIR_RATE_INFINITE, 1, NULL), 0);
    return weir_throttle(p, in, clause_out, &limiter, &opt);
}

TEST(what_holds_for_every_stage_holds_for_it)
{
    struct subject s = {open_clause_out, start, drain_clause_out, close_clause_out, 6, 1};
    memset(&opt, 0, sizeof opt);
    clauses_hold(&s);
    opt = (weir_stage_opt){.workers = 2, .ordered = true, .queue = 1};
    s.bound = 3 + 2 * 3 + 1 + 2 + 1;
    s.threads = 4;
    clauses_hold(&s);
}
