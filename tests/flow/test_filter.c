/* flow/filter.h: what vanishes and what multiplies keeps its place, in every way that a stage can run and end. */
#include "clauses.h"

static weir_stage_opt opt;

static int keep_thirds(weir_ctx *ctx, void *arg, const void *value, bool *keep)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, value, sizeof v);
    dawdle(v * 7919 % 37); /* order must not depend on speed */
    CHECK(!*keep);
    *keep = v % 3 == 0;
    return 0;
}

/* Each v as many times as v % 4 says, as v * 4, v * 4 + 1 … */
static int multiply(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, in, sizeof v);
    dawdle(v * 7919 % 37); /* order must not depend on speed */
    for (int i = 0; i < v % 4; i++) {
        const int made = v * 4 + i;
        const int rc = weir_emit(e, &made);
        if (rc != 0)
            return rc;
    }
    return 0;
}

struct rising {
    int count, last, fallen;
    int64_t sum;
};

static int rises(weir_ctx *ctx, void *arg, const void *value)
{
    struct rising *r = (struct rising *)arg;
    int v;
    (void)ctx;
    memcpy(&v, value, sizeof v);
    r->fallen += r->count > 0 && v <= r->last;
    r->last = v;
    r->sum += v;
    r->count++;
    return 0;
}

static void run(bool flat, unsigned workers, bool ordered, int n, struct rising *r)
{
    struct source s = {0, n, -1};
    int_chan in, out;
    weir_pipeline p;
    memset(r, 0, sizeof *r);
    memset(&opt, 0, sizeof opt);
    opt.workers = workers;
    opt.ordered = ordered;
    opt.queue = 3;
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    if (flat)
        CHECK_INT(weir_flat_map(&p, in, out, multiply, NULL, &opt), 0);
    else
        CHECK_INT(weir_filter(&p, in, out, keep_thirds, NULL, &opt), 0);
    CHECK_INT(weir_sink(&p, out, rises, r, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

static void came_out_right(bool flat, int n, const struct rising *r)
{
    int count = 0;
    int64_t sum = 0;
    for (int v = 0; v < n; v++) {
        if (!flat && v % 3 == 0) {
            count++;
            sum += v;
        }
        for (int i = 0; flat && i < v % 4; i++) {
            count++;
            sum += v * 4 + i;
        }
    }
    CHECK_INT(r->count, count);
    CHECK_INT(r->sum, sum);
}

TEST(one_worker_keeps_the_order_and_what_the_function_says)
{
    for (int flat = 0; flat < 2; flat++) {
        struct rising r;
        run(flat, 1, false, 3000, &r);
        came_out_right(flat, 3000, &r);
        CHECK_INT(r.fallen, 0);
    }
}

TEST(several_workers_lose_nothing_and_make_nothing_twice)
{
    for (int flat = 0; flat < 2; flat++) {
        struct rising r;
        run(flat, (unsigned)test_wide(4), false, (int)test_rounds(10000), &r);
        came_out_right(flat, (int)test_rounds(10000), &r);
    }
}

TEST(several_workers_in_order_keep_the_order_of_the_input)
{
    for (int flat = 0; flat < 2; flat++)
        for (unsigned workers = 2; workers <= 2 + (unsigned)test_wide(3); workers++)
            for (int n = 0; n < 3000; n += n < 12 ? 1 : 991) {
                struct rising r;
                run(flat, workers, true, n, &r);
                came_out_right(flat, n, &r);
                CHECK_INT(r.fallen, 0);
            }
}

static int keep_all(weir_ctx *ctx, void *arg, const void *value, bool *keep)
{
    (void)ctx;
    (void)arg;
    (void)value;
    *keep = true;
    return 0;
}
static int emit_same(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e)
{
    (void)ctx;
    (void)arg;
    (void)weir_emit(e, in); /* the stage knows how it ended */
    return 0;
}

static int start_filter(weir_pipeline *p, int_chan in)
{
    return weir_filter(p, in, clause_out, keep_all, NULL, &opt);
}
static int start_flat_map(weir_pipeline *p, int_chan in)
{
    return weir_flat_map(p, in, clause_out, emit_same, NULL, &opt);
}

TEST(what_holds_for_every_stage_holds_for_them)
{
    /* in 2, out 2, the source's 1; and 1 with each worker */
    struct subject s = {open_clause_out, start_filter, drain_clause_out, close_clause_out, 6, 1};
    memset(&opt, 0, sizeof opt);
    clauses_hold(&s);
    s.start = start_flat_map;
    clauses_hold(&s);
    opt.workers = 3;
    s.bound = 8;
    s.threads = 3;
    clauses_hold(&s);
    s.start = start_filter;
    clauses_hold(&s);
    /* In order: 3 have been collected (2 in out); each worker has 2 queues of 4, and one value; the dealer has one. */
    opt.ordered = true;
    opt.queue = 4;
    s.bound = 3 + 3 * 9 + 1 + 2 + 1;
    s.threads = 5;
    clauses_hold(&s);
    opt.wait = WEIR_WAIT_PARK;
    clauses_hold(&s);
    /* The end of a turn is a mark of its own here. The third worker, whose first value the collector holds, has one queue of values 4; of the
     * other the place of a mark, and 2 values, the mark of the last in its hand: with the first, 7. It is the first to be full, at turn 2 + 3 * 7. */
    s.start = start_flat_map;
    s.bound = 2 + 3 * 7 + 1 + 2 + 1;
    clauses_hold(&s);
}

static int fails_at_100(weir_ctx *ctx, void *arg, const void *value, bool *keep)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, value, sizeof v);
    *keep = true;
    return v == 100 ? 9 : 0;
}
static int fails_half_way(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, in, sizeof v);
    const int rc = weir_emit(e, in);
    return v == 100 ? 9 : rc;
}

TEST(an_error_of_the_function_ends_the_pipeline)
{
    for (int what = 0; what < 4; what++) {
        struct source s = {0, INT32_MAX, -1};
        struct rising r = {0, 0, 0, 0};
        int_chan in, out;
        weir_pipeline p;
        memset(&opt, 0, sizeof opt);
        opt.workers = what < 2 ? 1 : 3;
        opt.ordered = true;
        REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
        if (what % 2 == 0)
            CHECK_INT(weir_filter(&p, in, out, fails_at_100, NULL, &opt), 0);
        else
            CHECK_INT(weir_flat_map(&p, in, out, fails_half_way, NULL, &opt), 0);
        CHECK_INT(weir_sink(&p, out, rises, &r, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 9);
        CHECK(r.count <= 101);
        CHECK_INT(r.fallen, 0);
        weir_chan_free(&in);
        weir_chan_free(&out);
    }
}

static void fill(int_chan c, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_INT(weir_send(NULL, c, &i), 0);
    weir_close(c);
}

TEST(the_loops_run_in_the_calling_thread)
{
    int_chan in, out;
    int v;
    REQUIRE(weir_chan_make(&in, 16) == 0 && weir_chan_make(&out, 16) == 0);
    fill(in, 10);
    CHECK_INT(weir_filter_loop(NULL, in, out, keep_thirds, NULL), 0);
    for (int i = 0; i < 10; i += 3) {
        CHECK_INT(weir_try_recv(out, &v), 0);
        CHECK_INT(v, i);
    }
    weir_chan_free(&in);
    REQUIRE(weir_chan_make(&in, 16) == 0);
    fill(in, 4);
    CHECK_INT(weir_flat_map_loop(NULL, in, out, multiply, NULL), 0);
    CHECK_INT(weir_len(out), 6);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

static int emit_after_the_end(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e)
{
    int *count = (int *)arg;
    (void)ctx;
    CHECK_INT(weir_emit(e, in), EPIPE);
    CHECK_INT(weir_emit(e, in), EPIPE);
    ++*count;
    return 8; /* not what counts */
}

TEST(an_emitter_whose_channel_is_closed_says_so_again_and_again)
{
    int_chan in, out;
    int calls = 0;
    REQUIRE(weir_chan_make(&in, 16) == 0 && weir_chan_make(&out, 16) == 0);
    fill(in, 4);
    weir_close(out);
    CHECK_INT(weir_flat_map_loop(NULL, in, out, emit_after_the_end, &calls), EPIPE);
    CHECK_INT(calls, 1);
    weir_chan_free(&in);
    weir_chan_free(&out);
}
