/* flow/option.h, flow/dead_letter.h: what becomes of an item whose stage function fails: each is sent, skipped, a dead letter, or abandoned, once. */
#include "faults/failing.h"

#include "flow.h"
#include "guard/hand.h"

typedef weir_dead(int) dead_int;
typedef weir_chan(dead_int) dead_ints;
typedef weir_spsc(dead_int) dead_line;

/* Fails with arg's code where the value is one of `every`. */
struct picky {
    int every, code;
    int calls; /* atomic */
};

static int refuse_some(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct picky *p = (struct picky *)arg;
    int v;
    memcpy(&v, in, sizeof v);
    __atomic_add_fetch(&p->calls, 1, __ATOMIC_RELAXED);
    if (v % p->every == 0) {
        const int written = 1 << 30; /* before it fails: must not be sent */
        memcpy(out, &written, sizeof written);
        return p->code;
    }
    return negate(ctx, NULL, in, out);
}

struct letters {
    int count, wrong;
    int64_t sum;
    dead_int last;
};

static int note_letter(weir_ctx *ctx, void *arg, const void *value)
{
    struct letters *l = (struct letters *)arg;
    (void)ctx;
    memcpy(&l->last, value, sizeof l->last);
    l->count++;
    l->sum += l->last.item;
    l->wrong += l->last.why.error != 9 || strcmp(l->last.why.stage, "map") != 0 || l->last.why.refused_by != NULL;
    return 0;
}

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

/* ---- one stage, its channels, and what it tells ------------------------------------------------------------------------------ */

struct rig {
    weir_pipeline p;
    int_chan in, out;
    dead_ints dead;
    struct source source;
    struct tally tally;
    struct letters letters;
};

static void rig_open(struct rig *r, int n, size_t dead_room, weir_ctx *parent)
{
    memset(r, 0, sizeof *r);
    r->source.end = n;
    r->source.fail_at = -1;
    REQUIRE(weir_chan_make(&r->in, 4) == 0 && weir_chan_make(&r->out, 4) == 0);
    REQUIRE(weir_chan_make(&r->dead, dead_room) == 0);
    weir_pipeline_init(&r->p, parent);
    weir_pipeline_watch(&r->p, NULL);
}

static void rig_start(struct rig *r, weir_map_fn *fn, void *arg, weir_stage_opt *opt, bool reads_letters)
{
    opt->name = "map";
    if (opt->on_error == WEIR_ON_ERROR_DEAD_LETTER)
        opt->dead = WEIR_DEAD_LETTERS(r->in, r->dead);
    CHECK_INT(weir_map(&r->p, r->in, r->out, fn, arg, opt), 0);
    CHECK_INT(weir_generate(&r->p, r->in, count_up, &r->source, NULL), 0);
    CHECK_INT(weir_sink(&r->p, r->out, tally_up, &r->tally, NULL), 0);
    if (reads_letters)
        CHECK_INT(weir_sink(&r->p, r->dead, note_letter, &r->letters, NULL), 0);
}

/* The map's, at this moment. */
static weir_stage_progress rig_stage(struct rig *r)
{
    weir_stage_progress s;
    weir_progress all;
    CHECK_INT(weir_pipeline_progress(&r->p, &all, &s, 1), 0);
    return s;
}

static void rig_close(struct rig *r)
{
    const weir_stage_progress s = rig_stage(r);
    CHECK_INT(s.in, s.out + s.failed + s.abandoned); /* each item once */
    weir_pipeline_unwatch(&r->p);
    weir_chan_free(&r->in);
    weir_chan_free(&r->out);
    weir_chan_free(&r->dead);
}

/* ---- guards ------------------------------------------------------------------------------------------------------------------ */

static const int nine = 9;

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

/* ---- the end of the pipeline ------------------------------------------------------------------------------------------------- */

TEST(an_item_that_is_in_a_pause_when_the_pipeline_ends_is_abandoned)
{
    for (int by_hand = 0; by_hand <= 1; by_hand++) {
        struct hand hand;
        struct rig r;
        struct picky all = {1, 9, 0};
        weir_retry_config retry = {.attempts = 1000,
                                   .codes = &nine,
                                   .n_codes = 1,
                                   .delay = WEIR_SEC(3600),
                                   .max_delay = WEIR_SEC(3600),
                                   .jitter = WEIR_JITTER_NONE};
        weir_policy_layer guards[1];
        weir_stage_opt opt = {.guards = guards, .guard_count = 1, .on_error = WEIR_ON_ERROR_DEAD_LETTER};
        guards[0] = weir_policy_retry(&retry);
        rig_open(&r, 10, 1, NULL);
        hand_init(&hand, 0);
        hand.cancels = weir_pipeline_ctx(&r.p);
        if (by_hand == 1)
            retry.clock = &hand.clock;
        rig_start(&r, refuse_some, &all, &opt, true);
        if (by_hand == 0) {
            EVENTUALLY(__atomic_load_n(&all.calls, __ATOMIC_ACQUIRE) == 1);
            weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
        }
        CHECK_INT(weir_pipeline_wait(&r.p), ECANCELED);
        CHECK_INT(rig_stage(&r).abandoned, 1);
        CHECK_INT(rig_stage(&r).failed, 0);
        CHECK_INT(r.letters.count, 0);
        CHECK_INT(all.calls, 1);
        rig_close(&r);
    }
}

TEST(an_item_that_waits_for_room_among_dead_letters_when_the_pipeline_ends_is_abandoned)
{
    struct rig r;
    struct picky all = {1, 9, 0};
    weir_stage_opt opt = {.on_error = WEIR_ON_ERROR_DEAD_LETTER};
    dead_int letter;
    rig_open(&r, 10, 1, NULL);
    rig_start(&r, refuse_some, &all, &opt, false);
    EVENTUALLY((weir__load_rlx(&r.p.rooms.first->desks->blocked_out) & 1) != 0);
    CHECK_INT(rig_stage(&r).dead, 1);
    CHECK_INT(rig_stage(&r).in, 2);
    CHECK_INT(__atomic_load_n(&all.calls, __ATOMIC_ACQUIRE), 2); /* backpressure: no third one */
    weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
    CHECK_INT(weir_pipeline_wait(&r.p), ECANCELED);
    CHECK_INT(rig_stage(&r).dead, 1);
    CHECK_INT(rig_stage(&r).abandoned, 1);
    CHECK_INT(weir_try_recv(r.dead, &letter), 0); /* what was sent is there still */
    CHECK_INT(letter.item, 0);
    CHECK_INT(weir_try_recv(r.dead, &letter), EPIPE);
    rig_close(&r);
}

TEST(dead_letters_that_nobody_takes_end_the_pipeline_with_the_items_error)
{
    struct rig r;
    struct picky picky = {10, 9, 0};
    weir_stage_opt opt = {.on_error = WEIR_ON_ERROR_DEAD_LETTER};
    rig_open(&r, 1000, 4, NULL);
    CHECK_INT(weir_close(r.dead), 0);
    rig_start(&r, refuse_some, &picky, &opt, false);
    CHECK_INT(weir_pipeline_wait(&r.p), 9);
    CHECK_INT(rig_stage(&r).failed, 1);
    CHECK_INT(rig_stage(&r).dead, 0);
    rig_close(&r);
}

/* Waits for the end, as a function does that is given its context, and says why. */
static int sleeps_to_the_end(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)arg;
    (void)in;
    (void)out;
    return weir_sleep(ctx, WEIR_FOREVER);
}

static int limited(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)arg;
    (void)in;
    (void)out;
    return ETIMEDOUT;
}

TEST(a_time_limit_of_an_item_is_a_failure_and_one_of_the_pipeline_is_not)
{
    for (int of_item = 0; of_item <= 1; of_item++) { /* the function's own code; a guard's limit */
        struct rig r;
        weir_ctx ctx;
        const weir_policy_layer guard = weir_policy_timeout(1);
        weir_stage_opt opt = {.guards = &guard, .guard_count = of_item, .on_error = WEIR_ON_ERROR_SKIP};
        weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(3600));
        rig_open(&r, 10, 1, &ctx);
        rig_start(&r, of_item == 1 ? sleeps_to_the_end : limited, NULL, &opt, false);
        CHECK_INT(weir_pipeline_wait(&r.p), 0);
        CHECK_INT(rig_stage(&r).skipped, 10);
        rig_close(&r);
        weir_ctx_free(&ctx);
    }
    {
        struct rig r;
        weir_ctx ctx;
        weir_stage_opt opt = {.on_error = WEIR_ON_ERROR_SKIP};
        weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(20));
        rig_open(&r, 10, 1, &ctx);
        rig_start(&r, sleeps_to_the_end, NULL, &opt, false);
        CHECK_INT(weir_pipeline_wait(&r.p), ETIMEDOUT);
        CHECK_INT(rig_stage(&r).skipped, 0);
        CHECK_INT(rig_stage(&r).abandoned, rig_stage(&r).in); /* 1; 0 if it was not even taken */
        rig_close(&r);
        weir_ctx_free(&ctx);
    }
}

/* ---- races ------------------------------------------------------------------------------------------------------------------- */

/* Each value is sent or fails as a hash of it says; all that arrive are marked. */
enum { CHAOS = 400 };
static unsigned char chaos_seen[CHAOS]; /* atomic: 1 at the sink, 2 as a letter, added up */

static bool chaos_fails(int v)
{
    return (unsigned)v * 2654435761U >> 28 < 5;
}
static int chaos_map(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    memcpy(&v, in, sizeof v);
    if (v % 7 == 0)
        sched_yield();
    return chaos_fails(v) ? 9 : negate(ctx, arg, in, out);
}
static int chaos_sink(weir_ctx *ctx, void *arg, const void *value)
{
    int v;
    (void)ctx;
    (void)arg;
    memcpy(&v, value, sizeof v);
    __atomic_add_fetch(&chaos_seen[-v], 1, __ATOMIC_RELAXED);
    return 0;
}
static int chaos_letter(weir_ctx *ctx, void *arg, const void *value)
{
    dead_int letter;
    (void)ctx;
    (void)arg;
    memcpy(&letter, value, sizeof letter);
    __atomic_add_fetch(&chaos_seen[letter.item], 2, __ATOMIC_RELAXED);
    return 0;
}

/* 8 workers; cancelled in the middle, or not. Nothing arrives twice, and what a stage counts is what arrives. */
TEST(each_item_arrives_once_or_is_one_letter_whenever_the_pipeline_ends)
{
    for (int round = 0; round < test_rounds(1000); round++) {
        struct rig r;
        const bool cut = round % 2 == 1;
        weir_stage_opt opt = {.name = "map", .workers = 8, .on_error = WEIR_ON_ERROR_DEAD_LETTER};
        weir_stage_progress s;
        dead_int letter;
        int rc, v, failing = 0, sent = 0, letters = 0, wrong = 0;
        memset(chaos_seen, 0, sizeof chaos_seen);
        rig_open(&r, CHAOS, 3, NULL);
        opt.dead = WEIR_DEAD_LETTERS(r.in, r.dead);
        CHECK_INT(weir_map(&r.p, r.in, r.out, chaos_map, NULL, &opt), 0);
        CHECK_INT(weir_generate(&r.p, r.in, count_up, &r.source, NULL), 0);
        CHECK_INT(weir_sink(&r.p, r.out, chaos_sink, NULL, NULL), 0);
        CHECK_INT(weir_sink(&r.p, r.dead, chaos_letter, NULL, NULL), 0);
        for (int i = 0; cut && i < round % 50; i++)
            sched_yield();
        if (cut)
            weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
        rc = weir_pipeline_wait(&r.p);
        CHECK(rc == 0 || (cut && rc == ECANCELED));
        while (weir_try_recv(r.dead, &letter) == 0)
            chaos_letter(NULL, NULL, &letter);
        while (weir_try_recv(r.out, &v) == 0)
            chaos_sink(NULL, NULL, &v);
        for (int i = 0; i < CHAOS; i++) {
            failing += chaos_fails(i);
            sent += chaos_seen[i] == 1;
            letters += chaos_seen[i] == 2;
            wrong += chaos_seen[i] != 0 && chaos_seen[i] != (chaos_fails(i) ? 2 : 1);
        }
        s = rig_stage(&r);
        CHECK_INT(wrong, 0);
        CHECK_INT(s.out, sent);
        CHECK_INT(s.dead, letters);
        CHECK_INT(s.failed, letters);
        CHECK(cut || (s.in == CHAOS && s.abandoned == 0 && letters == failing));
        rig_close(&r);
    }
}

/* Whoever reads the letters leaves because the pipeline ends, perhaps before the worker has noticed: the item is abandoned, and has not failed. */
TEST(letters_that_come_too_late_are_abandoned)
{
    for (int round = 0; round < test_rounds(10000); round++) {
        struct rig r;
        struct picky all = {1, 9, 0};
        weir_stage_opt opt = {.workers = 3, .on_error = WEIR_ON_ERROR_DEAD_LETTER};
        rig_open(&r, INT32_MAX, 1, NULL);
        rig_start(&r, refuse_some, &all, &opt, true);
        for (int i = 0; i < round % 16; i++)
            sched_yield();
        weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
        CHECK_INT(weir_pipeline_wait(&r.p), ECANCELED);
        CHECK_INT(rig_stage(&r).failed, rig_stage(&r).dead);
        rig_close(&r);
    }
}

/* Two stages end at the same moment: the channel of their letters is closed, after the last of them. */
TEST(a_dead_letter_channel_of_two_stages_is_closed_after_both)
{
    for (int round = 0; round < test_rounds(10000); round++) {
        struct source s[2] = {{0, 1, -1}, {0, 1, -1}};
        struct picky all = {1, 9, 0};
        struct letters l;
        weir_stage_opt opt = {.name = "map", .on_error = WEIR_ON_ERROR_DEAD_LETTER};
        weir_pipeline p;
        int_chan in[2], out[2];
        dead_ints dead;
        memset(&l, 0, sizeof l);
        REQUIRE(weir_chan_make(&dead, 1) == 0);
        weir_pipeline_init(&p, NULL);
        for (int i = 0; i < 2; i++) {
            REQUIRE(weir_chan_make(&in[i], 1) == 0 && weir_chan_make(&out[i], 1) == 0);
            opt.dead = WEIR_DEAD_LETTERS(in[i], dead);
            CHECK_INT(weir_generate(&p, in[i], count_up, &s[i], NULL), 0);
            CHECK_INT(weir_map(&p, in[i], out[i], refuse_some, &all, &opt), 0);
            /* The first may have ended before the second is started. */
        }
        CHECK_INT(weir_sink(&p, dead, note_letter, &l, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(l.count, 2);
        for (int i = 0; i < 2; i++) {
            weir_chan_free(&in[i]);
            weir_chan_free(&out[i]);
        }
        weir_chan_free(&dead);
    }
}

TEST(who_drains_the_letters_before_the_wait_says_that_all_stages_are_started)
{
    struct rig r;
    struct picky picky = {10, 9, 0};
    weir_stage_opt opt = {.on_error = WEIR_ON_ERROR_DEAD_LETTER};
    dead_int letter;
    int n = 0, rc;
    rig_open(&r, 1000, 4, NULL);
    rig_start(&r, refuse_some, &picky, &opt, false);
    for (int i = 0; i < 100; i++)
        n += weir_recv(NULL, r.dead, &letter) == 0;
    EVENTUALLY(rig_stage(&r).running == 0);
    CHECK(!weir_is_closed(r.dead)); /* another stage might come */
    weir_pipeline_started(&r.p);
    rc = weir_recv(NULL, r.dead, &letter);
    CHECK_INT(rc, EPIPE);
    CHECK_INT(n, 100);
    CHECK_INT(weir_pipeline_wait(&r.p), 0);
    rig_close(&r);
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
