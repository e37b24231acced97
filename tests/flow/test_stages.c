/* flow/stages.h: each combinator moves every value once, keeps the order where it says so, closes its output exactly once and after its
 * last input, and releases upstream when it ends early. */
#include "flow.h"

/* generate -> map on `workers` threads -> sink; all channels many-to-many, of the given capacity. */
static int run_map(unsigned workers, bool ordered, size_t capacity, int n, struct tally *t)
{
    struct source s = {0, n, -1};
    weir_stage_opt opt = {.name = "map", .workers = workers, .ordered = ordered};
    weir_pipeline p;
    int_chan in, out;
    int rc;
    memset(t, 0, sizeof *t);
    REQUIRE(weir_chan_make(&in, capacity) == 0);
    REQUIRE(weir_chan_make(&out, capacity) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, negate, NULL, &opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, t, NULL), 0);
    rc = weir_pipeline_wait(&p);
    CHECK_INT(weir_close(in), EPIPE); /* closed by the stages, once */
    CHECK_INT(weir_close(out), EPIPE);
    weir_chan_free(&in);
    weir_chan_free(&out);
    return rc;
}

TEST(map_keeps_order_with_one_worker)
{
    struct tally t;
    CHECK_INT(run_map(1, false, 3, 10000, &t), 0);
    CHECK_INT(t.count, 10000);
    CHECK_INT(t.sum, -(int64_t)9999 * 10000 / 2);
    CHECK_INT(t.out_of_order, 0);
}

TEST(map_with_workers_loses_nothing)
{
    struct tally t;
    CHECK_INT(run_map((unsigned)test_wide(4), false, 8, (int)test_rounds(50000), &t), 0);
    CHECK_INT(t.count, test_rounds(50000));
    CHECK_INT(t.sum, -((int64_t)test_rounds(50000) - 1) * test_rounds(50000) / 2);
}

TEST(ordered_map_keeps_order_at_any_number_of_workers_and_values)
{
    for (unsigned workers = 2; workers <= 2 + (unsigned)test_wide(3); workers++)
        for (int n = 0; n < 2000; n += n < 12 ? 1 : 321) {
            struct tally t;
            CHECK_INT(run_map(workers, true, 2, n, &t), 0);
            CHECK_INT(t.count, n);
            CHECK_INT(t.out_of_order, 0);
        }
}

/* A worker that stops somewhere in the middle for a moment: order must not depend on speed. */
static int uneven(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    memcpy(&v, in, sizeof v);
    dawdle(v * 7919 % 50);
    return negate(ctx, arg, in, out);
}

TEST(ordered_map_keeps_order_when_workers_run_at_different_speeds)
{
    struct source s = {0, 3000, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_stage_opt opt = {.name = "map", .workers = 3, .ordered = true};
    weir_pipeline p;
    int_line in, out;
    REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, uneven, NULL, &opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 3000);
    CHECK_INT(t.out_of_order, 0);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

TEST(fan_out_and_ordered_fan_in_restore_the_order)
{
    struct source s = {0, 10001, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_stage_opt ordered = {.name = "in", .ordered = true};
    weir_pipeline p;
    int_line in, lines[3], mapped[3], out;
    weir_pipeline_init(&p, NULL);
    REQUIRE(weir_chan_make(&in, 5) == 0 && weir_chan_make(&out, 5) == 0);
    for (int i = 0; i < 3; i++)
        REQUIRE(weir_chan_make(&lines[i], 2) == 0 && weir_chan_make(&mapped[i], 3) == 0);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_fan_out(&p, in, lines, 3, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_map(&p, lines[i], mapped[i], negate, NULL, NULL), 0);
    CHECK_INT(weir_fan_in(&p, mapped, 3, out, &ordered), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 10001);
    CHECK_INT(t.out_of_order, 0);
    for (int i = 0; i < 3; i++) {
        weir_chan_free(&lines[i]);
        weir_chan_free(&mapped[i]);
    }
    weir_chan_free(&in);
    weir_chan_free(&out);
}

TEST(fan_in_closes_its_output_once_and_after_its_last_input)
{
    enum { INPUTS = 4 };
    for (int round = 0; round < test_rounds(300); round++) {
        struct source s[INPUTS];
        struct tally t = {0, 0, 0, 0, 0};
        weir_pipeline p;
        int_line in[INPUTS];
        int_chan out;
        int want = 0;
        weir_pipeline_init(&p, NULL);
        REQUIRE(weir_chan_make(&out, 3) == 0);
        for (int i = 0; i < INPUTS; i++) {
            s[i].next = 0;
            s[i].end = i * 17 + round % 5; /* they end at different times, one perhaps at once */
            s[i].fail_at = -1;
            want += s[i].end;
            REQUIRE(weir_chan_make(&in[i], 2) == 0);
            CHECK_INT(weir_generate(&p, in[i], count_up, &s[i], NULL), 0);
        }
        CHECK_INT(weir_fan_in(&p, in, INPUTS, out, NULL), 0);
        CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(t.count, want); /* closed before the last input ended: some are missing */
        CHECK_INT(weir_close(out), EPIPE);
        for (int i = 0; i < INPUTS; i++)
            weir_chan_free(&in[i]);
        weir_chan_free(&out);
    }
}

TEST(a_sink_that_wants_no_more_releases_everybody_before_it)
{
    for (int enough = 1; enough < 400; enough += 57)
        for (unsigned workers = 1; workers <= 3; workers += 2) {
            struct source s = {0, INT32_MAX, -1}; /* would never end */
            struct tally t = {0, 0, 0, 0, enough};
            weir_stage_opt opt = {.name = "map", .workers = workers, .ordered = true};
            weir_pipeline p;
            int_chan in, out;
            REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
            weir_pipeline_init(&p, NULL);
            CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
            CHECK_INT(weir_map(&p, in, out, negate, NULL, &opt), 0);
            CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
            CHECK_INT(weir_pipeline_wait(&p), 0); /* no error: somebody had enough */
            CHECK_INT(t.count, enough);
            CHECK_INT(t.out_of_order, 0);
            weir_chan_free(&in);
            weir_chan_free(&out);
        }
}

struct big {
    unsigned char bytes[1000];
};
typedef weir_chan(struct big) big_chan;

static int make_big(weir_ctx *ctx, void *arg, void *value)
{
    int *n = (int *)arg;
    (void)ctx;
    if (*n == 200)
        return EPIPE;
    memset(value, (*n)++, sizeof(struct big));
    return 0;
}

static int check_big(weir_ctx *ctx, void *arg, const void *value)
{
    const struct big *b = (const struct big *)value;
    int *n = (int *)arg;
    (void)ctx;
    for (size_t i = 0; i < sizeof b->bytes; i++)
        if (b->bytes[i] != (unsigned char)*n)
            return 1;
    ++*n;
    return 0;
}

TEST(values_larger_than_the_stack_buffer_of_a_loop_go_through_a_stage)
{
    int made = 0, seen = 0;
    big_chan c;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&c, 3) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, c, make_big, &made, NULL), 0);
    CHECK_INT(weir_sink(&p, c, check_big, &seen, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(seen, 200);
    weir_chan_free(&c);
}

TEST(a_kind_that_allows_one_is_not_given_to_many_workers)
{
    struct tally t = {0, 0, 0, 0, 0};
    weir_stage_opt two = {.name = "sink", .workers = 2};
    int_line in;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in, 1) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_sink(&p, in, tally_up, &t, &two), EINVAL);
    CHECK_INT(weir_pipeline_wait(&p), EINVAL);
    weir_chan_free(&in);
}

static const int no_cpu = 8191;

TEST(what_can_not_be_a_stage_is_refused_and_ends_the_pipeline)
{
    struct source s = {0, 10, -1};
    weir_stage_opt two = {.name = "two", .workers = 2},
                   pinned = {.name = "pinned", .workers = 2, .ordered = true, .cpus = &no_cpu, .cpu_count = 1};
    for (int what = 0; what < 5; what++) {
        int_chan in, other;
        int_line line;
        weir_pipeline p;
        int rc = 0;
        REQUIRE(weir_chan_make(&in, 1) == 0 && weir_chan_make(&other, 1) == 0 && weir_chan_make(&line, 1) == 0);
        weir_pipeline_init(&p, NULL);
        switch (what) {
        case 0: rc = weir_fan_out(&p, in, &other, 0, NULL); break;
        case 1: rc = weir_fan_in(&p, &other, 0, in, NULL); break;
        case 2: rc = weir_fan_in(&p, &other, (size_t)UINT32_MAX + 1, in, NULL); break;
        case 3: rc = weir_generate(&p, line, count_up, &s, &two); break; /* two into a channel for one */
        default: /* its workers find that they can not be there */
            CHECK_INT(weir_map(&p, in, other, negate, NULL, &pinned), 0);
            rc = EINVAL;
        }
        CHECK_INT(rc, EINVAL);
        CHECK_INT(weir_pipeline_wait(&p), EINVAL);
        weir_chan_free(&in);
        weir_chan_free(&other);
        weir_chan_free(&line);
    }
}

TEST(options_that_say_nothing_are_the_defaults)
{
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_stage_opt nothing = {.name = NULL};
    int_chan in[2], out;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in[0], 1) == 0 && weir_chan_make(&in[1], 1) == 0 && weir_chan_make(&out, 1) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_close(in[1]), 0);
    CHECK_INT(weir_generate(&p, in[0], count_up, &s, &nothing), 0);
    CHECK_INT(weir_fan_in(&p, in, 2, out, &nothing), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, &nothing), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 100);
    weir_chan_free(&in[0]);
    weir_chan_free(&in[1]);
    weir_chan_free(&out);
}

static int add_up(weir_ctx *ctx, void *arg, const void *value)
{
    int v;
    (void)ctx;
    memcpy(&v, value, sizeof v);
    (void)__atomic_add_fetch((int64_t *)arg, v, __ATOMIC_RELAXED);
    return 0;
}

TEST(a_sink_with_workers_takes_every_value_once)
{
    struct source s = {0, 10000, -1};
    int64_t sum = 0;
    weir_stage_opt three = {.name = "sink", .workers = (unsigned)test_wide(3)};
    int_chan in;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in, 4) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_sink(&p, in, add_up, &sum, &three), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(sum, 9999 * 10000 / 2);
    weir_chan_free(&in);
}

struct shared {
    int next, end; /* next: atomic */
};
static int count_together(weir_ctx *ctx, void *arg, void *value)
{
    struct shared *s = (struct shared *)arg;
    const int v = __atomic_fetch_add(&s->next, 1, __ATOMIC_RELAXED);
    (void)ctx;
    memcpy(value, &v, sizeof v);
    return v >= s->end ? EPIPE : 0;
}

/* Nothing comes in that a generator's workers could keep the order of, and nothing goes out of a sink's. */
TEST(at_either_end_of_a_pipeline_there_is_no_order_to_keep)
{
    struct shared s = {0, 1000};
    int64_t sum = 0;
    weir_stage_opt ordered = {.workers = 3, .ordered = true};
    int_chan in;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in, 4) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_together, &s, &ordered), 0);
    CHECK_INT(weir_sink(&p, in, add_up, &sum, &ordered), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(sum, 999 * 1000 / 2);
    weir_chan_free(&in);
}

/* A NULL handle is a channel on which nothing ever happens: a stage on it stays until the pipeline ends. */
TEST(a_stage_on_a_null_channel_stays_until_the_context_ends)
{
    weir_stage_opt ordered = {.name = "map", .workers = 2, .ordered = true};
    int_chan never = {NULL}, out;
    weir_ctx ctx;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&out, 1) == 0);
    weir_ctx_init(&ctx, NULL);
    weir_pipeline_init(&p, &ctx);
    CHECK_INT(weir_map(&p, never, out, negate, NULL, &ordered), 0);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_pipeline_wait(&p), ECANCELED);
    weir_chan_free(&out);
    weir_ctx_free(&ctx);
}
