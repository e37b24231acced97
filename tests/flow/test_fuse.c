/* flow/fuse.h: the steps run in their order, in one thread, each on what the last has made. */
#include "clauses.h"

struct wide {
    int64_t n[20];
};
static weir_stage_opt opt;
static pthread_t ran_in[3];

static int widen(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct wide w;
    int v;
    (void)ctx;
    memcpy(&v, in, sizeof v);
    for (int i = 0; i < 20; i++)
        w.n[i] = v + i;
    memcpy(out, &w, sizeof w);
    ran_in[*(int *)arg] = pthread_self();
    return 0;
}
static int twice(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct wide w;
    (void)ctx;
    memset(out, 0, sizeof w); /* what a step makes does not lie where it takes from */
    memcpy(&w, in, sizeof w);
    for (int i = 0; i < 20; i++)
        w.n[i] *= 2;
    memcpy(out, &w, sizeof w);
    ran_in[*(int *)arg] = pthread_self();
    return 0;
}
static int narrow(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct wide w;
    int v;
    (void)ctx;
    memcpy(&w, in, sizeof w);
    for (int i = 0; i < 20; i++)
        CHECK_INT(w.n[i], w.n[0] + 2 * i);
    v = (int)-w.n[0];
    memcpy(out, &v, sizeof v);
    ran_in[*(int *)arg] = pthread_self();
    return 0;
}
static int number[3] = {0, 1, 2};
static weir_map_step wide_steps[] = {
    {widen, &number[0], sizeof(struct wide)}, {twice, &number[1], sizeof(struct wide)}, {narrow, &number[2], 0}};

TEST(three_steps_are_one_stage_in_one_thread)
{
    struct source s = {0, 5000, -1};
    struct tally t = {0, 0, 0, 0, 0};
    int_line in, out;
    weir_pipeline p;
    weir_map_step steps[3];
    memcpy(steps, wide_steps, sizeof steps);
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_map_fused(&p, in, out, steps, 3, NULL), 0);
    memset(steps, 0, sizeof steps); /* they have been copied */
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 5000);
    CHECK_INT(t.sum, -(int64_t)4999 * 5000);
    CHECK_INT(t.out_of_order, 0);
    CHECK(pthread_equal(ran_in[0], ran_in[1]) && pthread_equal(ran_in[1], ran_in[2]));
    weir_chan_free(&in);
    weir_chan_free(&out);
}

static int add_one(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, in, sizeof v);
    v++;
    memcpy(out, &v, sizeof v);
    dawdle(v * 7919 % 23); /* long enough for another worker to write there, if it could */
    return 0;
}

TEST(any_number_of_steps_on_any_number_of_workers_in_order)
{
    for (size_t n = 1; n <= 5; n++)
        for (unsigned workers = 1; workers <= 3; workers++) {
            weir_map_step steps[6];
            struct source s = {0, 1000, -1};
            struct tally t = {0, 0, 0, 0, 0};
            int_chan in, out;
            weir_pipeline p;
            for (size_t i = 0; i < n; i++)
                steps[i] = (weir_map_step){add_one, NULL, sizeof(int)};
            steps[n] = (weir_map_step){negate, NULL, sizeof(int)};
            opt = (weir_stage_opt){.workers = workers, .ordered = true};
            REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
            weir_pipeline_init(&p, NULL);
            CHECK_INT(weir_map_fused(&p, in, out, steps, n + 1, &opt), 0);
            CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
            CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
            CHECK_INT(weir_pipeline_wait(&p), 0);
            CHECK_INT(t.count, 1000);
            CHECK_INT(t.sum, -(int64_t)(999 * 500 + 1000 * (int)n));
            CHECK_INT(t.out_of_order, 0);
            weir_chan_free(&in);
            weir_chan_free(&out);
        }
}

static int fails(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    (void)ctx;
    (void)out;
    (void)arg;
    memcpy(&v, in, sizeof v);
    return v == 50 ? 9 : 0;
}
static int counts(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    ++*(int *)arg;
    memset(out, 0, sizeof(int));
    return 0;
}

TEST(the_first_error_of_a_step_ends_it_there)
{
    struct source s = {0, INT32_MAX, -1};
    int after = 0;
    weir_map_step steps[] = {{fails, NULL, sizeof(int)}, {counts, &after, sizeof(int)}};
    int_chan in, out;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 64) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_map_fused(&p, in, out, steps, 2, NULL), 0);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 9);
    CHECK_INT(after, 50);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

TEST(what_makes_no_sense_is_refused)
{
    weir_map_step wrong[] = {{add_one, NULL, sizeof(int)}, {negate, NULL, sizeof(char)}};
    weir_map_step huge[] = {{add_one, NULL, SIZE_MAX / 2}, {negate, NULL, 0}};
    const size_t counts[] = {0, 2, (size_t)UINT32_MAX + 1, 2};
    for (int what = 0; what < 4; what++) {
        int_chan in, out;
        weir_pipeline p;
        REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_map_fused(&p, in, out, what < 3 ? wrong : huge, counts[what], NULL),
                  what < 3 ? EINVAL : EOVERFLOW);
        CHECK_INT(weir_pipeline_wait(&p), what < 3 ? EINVAL : EOVERFLOW);
        weir_chan_free(&in);
        weir_chan_free(&out);
    }
}

static int same(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)arg;
    memcpy(out, in, sizeof(int));
    return 0;
}
static int start(weir_pipeline *p, int_chan in)
{
    weir_map_step steps[] = {{same, NULL, sizeof(int)}, {same, NULL, sizeof(int)}, {same, NULL, 0}};
    return weir_map_fused(p, in, clause_out, steps, 3, &opt);
}

TEST(what_holds_for_every_stage_holds_for_it)
{
    struct subject s = {open_clause_out, start, drain_clause_out, close_clause_out, 6, 1};
    memset(&opt, 0, sizeof opt);
    clauses_hold(&s); /* in 2, its own 1, out 2, the source's 1: nothing between the steps */
    opt = (weir_stage_opt){.workers = 2, .ordered = true, .queue = 1};
    s.bound = 3 + 2 * 3 + 1 + 2 + 1;
    s.threads = 4;
    clauses_hold(&s);
}
