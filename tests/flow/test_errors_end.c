/* flow/desk.h: an item that is in a hand when the pipeline ends is abandoned, and has not failed; letters close after the last stage that writes them. */
#include "letters.h"

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

static int makes_the_end(weir_ctx *ctx, void *arg, void *value)
{
    (void)arg;
    (void)value;
    weir_ctx_cancel(ctx, 0);
    return 9;
}
static int maps_to_the_end(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)in;
    return makes_the_end(ctx, arg, out);
}

TEST(what_fails_when_the_pipeline_has_ended_is_abandoned_whatever_the_policy)
{
    for (int on_error = WEIR_ON_ERROR_FAIL; on_error <= WEIR_ON_ERROR_DEAD_LETTER; on_error++)
        for (int makes = 0; makes <= 1; makes++) { /* a generator has nothing in hand then */
            struct rig r;
            const int v = 1;
            weir_stage_opt opt = {.name = "map", .on_error = on_error};
            rig_open(&r, 0, 1, NULL);
            opt.dead = WEIR_DEAD_LETTERS(r.in, r.dead);
            CHECK_INT(weir_send(NULL, r.in, &v), 0);
            if (makes == 1)
                CHECK_INT(weir_generate(&r.p, r.out, makes_the_end, NULL, &opt), 0);
            else
                CHECK_INT(weir_map(&r.p, r.in, r.out, maps_to_the_end, NULL, &opt), 0);
            CHECK_INT(weir_pipeline_wait(&r.p), on_error == WEIR_ON_ERROR_FAIL ? 9 : ECANCELED);
            CHECK_INT(rig_stage(&r).in, 1 - makes);
            CHECK_INT(rig_stage(&r).abandoned, 1 - makes);
            CHECK_INT(rig_stage(&r).failed, 0);
            CHECK_INT(weir_len(r.dead), 0);
            rig_close(&r);
        }
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
    dawdle(v * 7919 % 23);
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

/* Many workers; cancelled in the middle, or not. Nothing arrives twice, and what a stage counts is what arrives. */
TEST_LIMIT(each_item_arrives_once_or_is_one_letter_whenever_the_pipeline_ends, 300)
{
    for (int round = 0; round < test_rounds(1000); round++) {
        struct rig r;
        const bool cut = round % 2 == 1;
        weir_stage_opt opt = {.name = "map", .workers = (unsigned)test_wide(8), .on_error = WEIR_ON_ERROR_DEAD_LETTER};
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
        if (cut) {
            dawdle(round % 50 * 8);
            weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
        }
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
TEST_LIMIT(letters_that_come_too_late_are_abandoned, 300)
{
    for (int round = 0; round < test_rounds(10000); round++) {
        struct rig r;
        struct picky all = {1, 9, 0};
        weir_stage_opt opt = {.workers = 3, .on_error = WEIR_ON_ERROR_DEAD_LETTER};
        rig_open(&r, INT32_MAX, 1, NULL);
        rig_start(&r, refuse_some, &all, &opt, true);
        dawdle(round % 16 * 8);
        weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
        CHECK_INT(weir_pipeline_wait(&r.p), ECANCELED);
        CHECK_INT(rig_stage(&r).failed, rig_stage(&r).dead);
        rig_close(&r);
    }
}

/* Two stages end at the same moment: the channel of their letters is closed, after the last of them. */
TEST_LIMIT(a_dead_letter_channel_of_two_stages_is_closed_after_both, 300)
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
