/* flow/option.h, flow/dead_letter.h: what becomes of an item whose stage function fails: each is sent, skipped, a dead letter, or abandoned, once. */
#include "letters.h"

/* 0 .. n - 1, of which each tenth fails, on `workers` threads. Returns what wait returns. */
static int run_picky(weir_stage_opt *opt, int n, struct tally *t, struct letters *l)
{
    struct source s = {0, n, -1};
    struct picky picky = {10, 9, 0};
    weir_pipeline p;
    int_chan in, out;
    dead_ints dead;
    int rc;
    memset(t, 0, sizeof *t);
    memset(l, 0, sizeof *l);
    REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0 && weir_chan_make(&dead, 2) == 0);
    opt->name = "map";
    if (opt->on_error == WEIR_ON_ERROR_DEAD_LETTER)
        opt->dead = WEIR_DEAD_LETTERS(in, dead);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, refuse_some, &picky, opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, t, NULL), 0);
    if (opt->on_error == WEIR_ON_ERROR_DEAD_LETTER)
        CHECK_INT(weir_sink(&p, dead, note_letter, l, NULL), 0);
    rc = weir_pipeline_wait(&p);
    weir_chan_free(&in);
    weir_chan_free(&out);
    weir_chan_free(&dead);
    return rc;
}

TEST(an_error_ends_the_pipeline_unless_the_stage_says_otherwise)
{
    struct tally t;
    struct letters l;
    weir_stage_opt opt = {.workers = 3};
    CHECK_INT(run_picky(&opt, 1000, &t, &l), 9);
    CHECK(t.count < 1000);
}

TEST(what_is_skipped_is_missing_and_nothing_else)
{
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int ordered = 0; ordered <= 1; ordered++) {
            struct tally t;
            struct letters l;
            weir_stage_opt opt = {.workers = workers, .ordered = ordered == 1, .on_error = WEIR_ON_ERROR_SKIP};
            CHECK_INT(run_picky(&opt, 1000, &t, &l), 0);
            CHECK_INT(t.count, 900);
            CHECK_INT(t.sum, -(999 * 1000 / 2 - 99 * 100 / 2 * 10));
            if (ordered == 1 || workers == 1)
                CHECK_INT(t.out_of_order, 0);
        }
}

TEST(each_item_that_fails_is_one_dead_letter)
{
    for (unsigned workers = 1; workers <= 8; workers++)
        for (int ordered = 0; ordered <= 1; ordered++) {
            struct tally t;
            struct letters l;
            weir_stage_opt opt = {.workers = workers, .ordered = ordered == 1, .on_error = WEIR_ON_ERROR_DEAD_LETTER};
            CHECK_INT(run_picky(&opt, 1000, &t, &l), 0);
            CHECK_INT(t.count, 900);
            CHECK_INT(l.count, 100);
            CHECK_INT(l.sum, 99 * 100 / 2 * 10);
            CHECK_INT(l.wrong, 0);
            CHECK_INT(l.last.why.calls, 1);
        }
}

/* ---- generators and sinks ---------------------------------------------------------------------------------------------------- */

/* Makes 0 .. end - 1; every tenth is written, and fails; every twentieth is not even written. */
static int count_and_fail(weir_ctx *ctx, void *arg, void *value)
{
    const int v = ((struct source *)arg)->next, rc = v % 20 == 0 ? 0 : count_up(ctx, arg, value);
    if (v % 20 == 0)
        ((struct source *)arg)->next++;
    return rc == 0 && v % 10 == 0 ? 9 : rc;
}

static int refuse_some_too(weir_ctx *ctx, void *arg, const void *value)
{
    int v;
    memcpy(&v, value, sizeof v);
    return v % 10 == 5 ? 9 : tally_up(ctx, arg, value);
}

TEST(generators_and_sinks_skip_and_bury_too)
{
    for (int bury = 0; bury <= 1; bury++) {
        struct source s = {0, 101, -1};
        struct tally t = {0, 0, 0, 0, 0};
        struct letters l;
        weir_stage_opt opt = {.name = "map", .on_error = bury == 1 ? WEIR_ON_ERROR_DEAD_LETTER : WEIR_ON_ERROR_SKIP};
        weir_stage_progress now[3];
        weir_progress all;
        weir_pipeline p;
        int_chan in;
        dead_ints dead;
        memset(&l, 0, sizeof l);
        REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&dead, 4) == 0);
        if (bury == 1)
            opt.dead = WEIR_DEAD_LETTERS(in, dead);
        weir_pipeline_init(&p, NULL);
        weir_pipeline_watch(&p, NULL);
        CHECK_INT(weir_generate(&p, in, count_and_fail, &s, &opt), 0);
        CHECK_INT(weir_sink(&p, in, refuse_some_too, &t, &opt), 0);
        if (bury == 1)
            CHECK_INT(weir_sink(&p, dead, note_letter, &l, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(t.count, 101 - 11 - 10);
        CHECK_INT(weir_pipeline_progress(&p, &all, now, 3), 0);
        CHECK(now[0].in == 101 && now[0].out == 90 && now[0].failed == 11);
        CHECK(now[1].in == 90 && now[1].out == 80 && now[1].failed == 10);
        CHECK(all.in == 101 && all.out == 80 && all.failed == 21 &&
              all.done == 101); /* the letters' sink stands aside */
        CHECK(bury == 0 ? all.skipped == 21 && all.dead == 0 : all.dead == 21 && all.skipped == 0);
        if (bury == 1) {
            CHECK_INT(l.count, 21);
            CHECK_INT(l.wrong, 0);
            CHECK_INT(l.sum, (10 + 30 + 50 + 70 + 90) + (5 + 15 + 25 + 35 + 45 + 55 + 65 + 75 + 85 + 95)); /* else 0 */
        }
        weir_pipeline_unwatch(&p);
        weir_chan_free(&in);
        weir_chan_free(&dead);
    }
}

static int take_item(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)arg;
    memcpy(out, &((const dead_int *)in)->item, sizeof(int));
    return 0;
}

TEST(what_becomes_of_letters_further_on_is_not_counted_again)
{
    struct rig r;
    struct picky picky = {10, 9, 0};
    struct tally again = {0, 0, 0, 0, 0};
    weir_stage_opt opt = {.on_error = WEIR_ON_ERROR_DEAD_LETTER};
    weir_progress all;
    int_chan items;
    REQUIRE(weir_chan_make(&items, 2) == 0);
    rig_open(&r, 100, 2, NULL);
    CHECK_INT(weir_sink(&r.p, items, tally_up, &again, NULL), 0); /* before those that feed it */
    CHECK_INT(weir_map(&r.p, r.dead, items, take_item, NULL, NULL), 0);
    rig_start(&r, refuse_some, &picky, &opt, false);
    CHECK_INT(weir_pipeline_wait(&r.p), 0);
    CHECK(again.count == 10 && again.sum == 450);
    CHECK_INT(weir_pipeline_progress(&r.p, &all, NULL, 0), 0);
    CHECK(all.in == 100 && all.out == 90 && all.dead == 10 && all.done == 100 && all.stages == 5);
    rig_close(&r);
    weir_chan_free(&items);
}

static int ends_at_five(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    memcpy(&v, in, sizeof v);
    return v == 5 ? EPIPE : negate(ctx, arg, in, out);
}

TEST(a_function_that_wants_no_more_has_not_failed)
{
    struct rig r;
    weir_stage_opt opt = {.on_error = WEIR_ON_ERROR_SKIP};
    rig_open(&r, 1000, 1, NULL);
    rig_start(&r, ends_at_five, NULL, &opt, false);
    CHECK_INT(weir_pipeline_wait(&r.p), 0);
    CHECK_INT(r.tally.count, 5);
    CHECK_INT(rig_stage(&r).failed, 0);
    CHECK_INT(rig_stage(&r).abandoned, 1); /* the one in hand */
    rig_close(&r);
}

/* ---- the other stages -------------------------------------------------------------------------------------------------------- */

static int keep_even(weir_ctx *ctx, void *arg, const void *value, bool *keep)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, value, sizeof v);
    *keep = v % 2 == 0;
    return v % 10 == 0 ? 9 : 0;
}

static int twice(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, in, sizeof v);
    if (v % 10 == 0)
        return 9;
    (void)weir_emit(e, in);
    return weir_emit(e, in);
}

static const void *itself(void *arg, const void *value, size_t *size)
{
    (void)arg;
    *size = sizeof(int);
    return value;
}

TEST(filters_flat_maps_fused_and_keyed_maps_skip_too)
{
    for (int what = 0; what < 4; what++)
        for (unsigned workers = 1; workers <= 3; workers += 2)
            for (int ordered = 0; ordered <= (what < 3); ordered++) {
                struct rig r;
                struct picky picky = {10, 9, 0};
                const weir_map_step steps[] = {{negate, NULL, sizeof(int)}, {refuse_some, &picky, 0}};
                weir_stage_opt opt = {
                    .name = "x", .workers = workers, .ordered = ordered == 1, .on_error = WEIR_ON_ERROR_SKIP};
                const weir_key key = {itself, NULL, {1, 2}};
                static const int sent[] = {400, 1800, 900, 900}, dropped[] = {500, 0, 0, 0};
                weir_progress all;
                weir_stage_progress s;
                int rc;
                rig_open(&r, 1000, 1, NULL);
                rc = what == 0   ? weir_filter(&r.p, r.in, r.out, keep_even, NULL, &opt)
                     : what == 1 ? weir_flat_map(&r.p, r.in, r.out, twice, NULL, &opt)
                     : what == 2 ? weir_map_fused(&r.p, r.in, r.out, steps, 2, &opt)
                                 : weir_map_keyed(&r.p, r.in, r.out, &key, refuse_some, &picky, &opt);
                CHECK_INT(rc, 0);
                CHECK_INT(weir_generate(&r.p, r.in, count_up, &r.source, NULL), 0);
                CHECK_INT(weir_sink(&r.p, r.out, tally_up, &r.tally, NULL), 0);
                CHECK_INT(weir_pipeline_wait(&r.p), 0);
                CHECK_INT(r.tally.count, sent[what]);
                s = rig_stage(&r);
                CHECK(s.in == 1000 && s.skipped == 100 && s.abandoned == 0 && s.running == 0);
                CHECK_INT(s.out, sent[what]);
                CHECK_INT(s.dropped, dropped[what]);
                CHECK_INT(weir_pipeline_progress(&r.p, &all, NULL, 0), 0);
                CHECK(all.in == 1000 && all.stages == 3);
                CHECK_INT(all.done, sent[what] + dropped[what] + 100);
                weir_pipeline_unwatch(&r.p);
                weir_chan_free(&r.in);
                weir_chan_free(&r.out);
                weir_chan_free(&r.dead);
            }
}

/* ---- what can not be --------------------------------------------------------------------------------------------------------- */

typedef weir_spsc(dead_int) dead_line;
typedef weir_dead(long) dead_long;
typedef weir_chan(dead_long) dead_longs;
typedef weir_chan(long) long_chan;

static int refused_option(int what)
{
    static weir_retry_config hedged = {.attempts = 2, .codes = &nine, .n_codes = 1, .hedge = WEIR_MS(1)};
    struct rig r;
    weir_policy_layer guard = weir_policy_retry(&hedged);
    weir_stage_opt opt = {.name = "map", .on_error = WEIR_ON_ERROR_DEAD_LETTER};
    dead_line line;
    dead_longs longs;
    long_chan others = {NULL};
    int rc, first = 0;
    rig_open(&r, 10, 1, NULL);
    REQUIRE(weir_chan_make(&line, 1) == 0 && weir_chan_make(&longs, 1) == 0);
    opt.dead = WEIR_DEAD_LETTERS(r.in, line); /* one sender */
    switch (what) {
    case 0: opt.on_error = 3; break;
    case 1: opt.on_error = -1; break;
    case 2: opt.guards = &guard, opt.guard_count = 1; break;
    case 3: opt.guard_count = -1; break;
    case 4: memset(&opt.dead, 0, sizeof opt.dead); break;
    case 5: opt.dead = WEIR_DEAD_LETTERS(others, longs); break; /* of another stage */
    case 6: opt.workers = 2; break;
    case 7: first = weir_map(&r.p, r.in, r.out, negate, NULL, &opt); break; /* a second one */
    }
    CHECK_INT(first, 0);
    rc = weir_map(&r.p, r.in, r.out, negate, NULL, &opt);
    CHECK_INT(weir_pipeline_wait(&r.p), rc);
    weir_pipeline_unwatch(&r.p);
    weir_chan_free(&r.in);
    weir_chan_free(&r.out);
    weir_chan_free(&r.dead);
    weir_chan_free(&line);
    weir_chan_free(&longs);
    return rc;
}

TEST(options_that_make_no_sense_are_refused)
{
    for (int what = 0; what < 8; what++)
        if (!CHECK_INT(refused_option(what), EINVAL))
            test_say("# option %d\n", what);
}

/* A watched pipeline with letters and a bar, during which one allocation or thread start fails. */
static int run_failing(FILE *file)
{
    struct rig r;
    struct picky picky = {10, 9, 0};
    weir_stage_opt opt = {.name = "map", .workers = 2, .ordered = true, .on_error = WEIR_ON_ERROR_DEAD_LETTER};
    const int planned = fail_allocation;
    int first, rc;
    fail_allocation = -1;
    rig_open(&r, 300, 2, NULL);
    fail_allocation = planned;
    opt.dead = WEIR_DEAD_LETTERS(r.in, r.dead);
    first = weir_pipeline_bar(&r.p, file, NULL);
    CHECK(first == 0 || first == ENOMEM || first == EAGAIN);
    if (first == 0)
        first = weir_sink(&r.p, r.dead, note_letter, &r.letters, NULL);
    if (first == 0)
        first = weir_map(&r.p, r.in, r.out, refuse_some, &picky, &opt);
    if (first == 0)
        first = weir_generate(&r.p, r.in, count_up, &r.source, NULL);
    if (first == 0)
        first = weir_sink(&r.p, r.out, tally_up, &r.tally, NULL);
    rc = weir_pipeline_wait(&r.p);
    if (first == 0)
        CHECK_INT(r.letters.count, 30);
    weir_pipeline_unwatch(&r.p);
    weir_chan_free(&r.in);
    weir_chan_free(&r.out);
    weir_chan_free(&r.dead);
    CHECK_INT(rc == 0 ? first : rc, first); /* but for the bar's: the pipeline goes on without */
    return first;
}

TEST(every_failing_allocation_or_thread_is_reported_and_leaks_nothing)
{
    FILE *file = fopen("/dev/null", "w");
    int failures[2] = {0, 0};
    REQUIRE(file != NULL);
    for (int what = 0; what < 2; what++)
        for (int k = 0; k < 60; k++) {
            fail_allocation = what == 0 ? k : -1;
            fail_thread = what == 1 ? k : -1;
            const int rc = run_failing(file);
            fail_allocation = fail_thread = -1;
            CHECK(rc == 0 || rc == (what == 0 ? ENOMEM : EAGAIN));
            CHECK_INT(allocations, 0);
            CHECK_INT(threads_kept, 0);
            if (rc == 0)
                break;
            failures[what]++;
        }
    fclose(file);
    CHECK_INT(failures[0],
              1 + 3 + (3 + 4 + 4) + 3 + 3); /* bar; flow, stage and room of each; an ordered map's queues and helpers */
    CHECK_INT(failures[1], 1 + 1 + 4 + 1 + 1);
}
