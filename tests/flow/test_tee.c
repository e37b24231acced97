/* flow/tee.h: every value to every output that has not asked for less; the slowest decides, except those that drop. */
#include "clauses.h"

enum { MANY = 70 }; /* more than a select takes in one piece */

static int_chan outs[MANY];
static size_t width;

static void open_outs(size_t n, size_t capacity)
{
    width = n;
    for (size_t i = 0; i < n; i++)
        REQUIRE(weir_chan_make(&outs[i], capacity) == 0);
}
static void close_outs(void)
{
    for (size_t i = 0; i < width; i++)
        weir_chan_free(&outs[i]);
}

TEST(every_output_gets_every_value_in_order)
{
    const size_t widths[] = {1, 2, 3, MANY};
    for (size_t k = 0; k < 4; k++) {
        struct source s = {0, widths[k] == MANY ? 200 : 5000, -1};
        struct tally t[MANY];
        int_chan in;
        weir_pipeline p;
        memset(t, 0, sizeof t);
        open_outs(widths[k], k % 2); /* rendezvous too */
        REQUIRE(weir_chan_make(&in, 2) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_tee(&p, in, outs, width, NULL, NULL), 0);
        int_chan negated[MANY];
        for (size_t i = 0; i < width; i++) {
            REQUIRE(weir_chan_make(&negated[i], 1 + i % 3) == 0);
            CHECK_INT(weir_map(&p, outs[i], negated[i], negate, NULL, NULL), 0);
            CHECK_INT(weir_sink(&p, negated[i], tally_up, &t[i], NULL), 0);
        }
        CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        for (size_t i = 0; i < width; i++) {
            CHECK_INT(t[i].count, s.end);
            CHECK_INT(t[i].out_of_order, 0);
            CHECK_INT(weir_close(outs[i]), EPIPE);
            weir_chan_free(&negated[i]);
        }
        close_outs();
        weir_chan_free(&in);
    }
}

/* Takes one of the second output, then one of the first, which is full as long as nothing comes from the second. */
static int takes_crosswise(weir_ctx *ctx, void *arg)
{
    int a, b, n = 0;
    while (weir_recv(ctx, outs[1], &b) == 0 && weir_recv(ctx, outs[1], &b) == 0) {
        CHECK_INT(weir_recv(ctx, outs[0], &a), 0);
        CHECK_INT(weir_recv(ctx, outs[0], &a), 0);
        CHECK_INT(a, b);
        n += 2;
    }
    *(int *)arg = n;
    return 0;
}

TEST(readers_of_two_outputs_may_wait_for_each_other)
{
    struct source s = {0, 2000, -1};
    int taken = 0;
    int_chan in;
    weir_pipeline p;
    open_outs(2, 1);
    REQUIRE(weir_chan_make(&in, 2) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_tee(&p, in, outs, 2, NULL, NULL), 0);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_pipeline_go(&p, NULL, takes_crosswise, &taken, NULL, 0), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(taken, 2000);
    close_outs();
    weir_chan_free(&in);
}

TEST(an_output_that_drops_gets_what_there_is_room_for_and_the_rest_is_counted)
{
    weir_tee_side sides[2];
    struct source s = {0, 1000, -1};
    struct tally t = {0, 0, 0, 0, 0};
    int_chan in, negated;
    weir_pipeline p;
    int v;
    memset(sides, 0, sizeof sides);
    sides[0].drop = true;
    open_outs(2, 5);
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&negated, 2) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_tee(&p, in, outs, 2, sides, NULL), 0);
    CHECK_INT(weir_map(&p, outs[1], negated, negate, NULL, NULL), 0);
    CHECK_INT(weir_sink(&p, negated, tally_up, &t, NULL), 0);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 1000);
    CHECK_INT(t.out_of_order, 0);
    CHECK_INT(weir_tee_dropped(&sides[0]), 995);
    CHECK_INT(weir_tee_dropped(&sides[1]), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(weir_try_recv(outs[0], &v), 0);
        CHECK_INT(v, i);
    }
    close_outs();
    weir_chan_free(&in);
    weir_chan_free(&negated);
}

static int takes_three(weir_ctx *ctx, void *arg)
{
    int v;
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_recv(ctx, *(int_chan *)arg, &v), 0);
    weir_close(*(int_chan *)arg);
    return 0;
}

TEST(a_reader_that_leaves_does_not_end_the_others)
{
    for (int round = 0; round < test_rounds(200); round++) {
        struct source s = {0, 100, -1};
        struct tally t = {0, 0, 0, 0, 0};
        int_chan in, negated;
        weir_pipeline p;
        open_outs(3, 1);
        REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&negated, 2) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_tee(&p, in, outs, 3, NULL, NULL), 0);
        CHECK_INT(weir_pipeline_go(&p, NULL, takes_three, &outs[0], NULL, 0), 0);
        CHECK_INT(weir_map(&p, outs[1], negated, negate, NULL, NULL), 0);
        CHECK_INT(weir_sink(&p, negated, tally_up, &t, NULL), 0);
        CHECK_INT(weir_pipeline_go(&p, NULL, takes_three, &outs[2], NULL, 0), 0);
        CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(t.count, 100);
        close_outs();
        weir_chan_free(&in);
        weir_chan_free(&negated);
    }
}

static weir_stage_progress progress_of(weir_pipeline *p)
{
    weir_progress all;
    weir_stage_progress s;
    CHECK_INT(weir_pipeline_progress(p, &all, &s, 1), 0);
    return s;
}

TEST(each_copy_that_goes_out_is_counted_and_none_is_dropped_where_nobody_said_so)
{
    weir_tee_side sides[2];
    int_chan in;
    weir_pipeline p;
    int v;
    memset(sides, 0, sizeof sides);
    open_outs(2, 1);
    REQUIRE(weir_chan_make(&in, 2) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, NULL);
    for (v = 0; v < 2; v++)
        CHECK_INT(weir_send(NULL, in, &v), 0);
    CHECK_INT(weir_tee(&p, in, outs, 2, sides, NULL), 0);
    EVENTUALLY((weir__load_rlx(&p.rooms.first->desks->blocked_out) & 1) != 0); /* both outputs have the first value */
    CHECK_INT(progress_of(&p).in, 2);
    CHECK_INT(progress_of(&p).out, 2);
    CHECK_INT(weir_recv(NULL, outs[1], &v), 0);
    EVENTUALLY(progress_of(&p).out == 3);
    weir_ctx_cancel(weir_pipeline_ctx(&p), 0); /* while the first has no room */
    CHECK_INT(weir_pipeline_wait(&p), ECANCELED);
    CHECK_INT(progress_of(&p).out, 3);
    CHECK_INT(progress_of(&p).abandoned, 1);
    CHECK_INT(weir_tee_dropped(&sides[0]) + weir_tee_dropped(&sides[1]), 0);
    weir_pipeline_unwatch(&p);
    close_outs();
    weir_chan_free(&in);
}

TEST(no_output_and_too_many_are_misuse)
{
    for (int many = 0; many <= 1; many++) {
        int_chan in;
        weir_pipeline p;
        REQUIRE(weir_chan_make(&in, 2) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_tee(&p, in, outs, many == 1 ? (size_t)UINT32_MAX + 1 : 0, NULL, NULL), EINVAL);
        CHECK_INT(weir_pipeline_wait(&p), EINVAL);
        weir_chan_free(&in);
    }
}

/* The clauses: two outputs; a value is drained when it has come out of the first. */
static void open_two(void)
{
    open_outs(2, 2);
}
static int start(weir_pipeline *p, int_chan in)
{
    return weir_tee(p, in, outs, 2, NULL, NULL);
}
static int drain_other(weir_ctx *ctx, void *arg, const void *value)
{
    (void)ctx;
    (void)arg;
    (void)value;
    return clause.enough != 0 && __atomic_load_n(&clause.drained, __ATOMIC_ACQUIRE) >= clause.enough ? EPIPE : 0;
}
static int drain_two(weir_pipeline *p)
{
    const int rc = weir_sink(p, outs[0], drain_one, NULL, NULL);
    return rc != 0 ? rc : weir_sink(p, outs[1], drain_other, NULL, NULL);
}

TEST(what_holds_for_every_stage_holds_for_it)
{
    const struct subject s = {open_two, start, drain_two, close_outs, 6, 1};
    clauses_hold(&s);
}
