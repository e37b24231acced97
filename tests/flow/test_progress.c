/* flow/progress.h, flow/bar.h, flow/metrics.h: what a pipeline tells of itself, and that it is true at any moment. */
#include "flow.h"
#include "guard/hand.h"

/* A source that makes a value for each unit of its semaphore, up to `end`. */
struct gated {
    weir_sem sem;
    int next, end;
};

static int count_gated(weir_ctx *ctx, void *arg, void *value)
{
    struct gated *g = (struct gated *)arg;
    if (g->next == g->end)
        return EPIPE;
    if (weir_sem_acquire(ctx, &g->sem, 1) != 0)
        return ECANCELED;
    memcpy(value, &g->next, sizeof g->next);
    g->next++;
    return 0;
}

static void gate_init(struct gated *g, int end)
{
    REQUIRE(weir_sem_init(&g->sem, 1000000) == 0 && weir_sem_try_acquire(&g->sem, 1000000) == 0);
    g->next = 0;
    g->end = end;
}

static int fail_each_tenth(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    memcpy(&v, in, sizeof v);
    return v % 10 == 0 ? 9 : negate(ctx, arg, in, out);
}

static int take_gated(weir_ctx *ctx, void *arg, const void *value)
{
    (void)value;
    return weir_sem_acquire(ctx, (weir_sem *)arg, 1);
}

static weir_progress progress_of(weir_pipeline *p, weir_stage_progress *stages, size_t n)
{
    weir_progress now;
    CHECK_INT(weir_pipeline_progress(p, &now, stages, n), 0);
    return now;
}

static uint64_t done_of(weir_pipeline *p)
{
    return progress_of(p, NULL, 0).done;
}

TEST(a_pipeline_tells_what_has_become_of_each_item_also_when_it_is_over)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int ordered = 0; ordered <= 1; ordered++) {
            struct source s = {0, 1000, -1};
            struct tally t = {0, 0, 0, 0, 0};
            weir_watch_opt watch = {.total = 1000};
            weir_stage_opt opt = {
                .name = "map", .workers = workers, .ordered = ordered == 1, .on_error = WEIR_ON_ERROR_SKIP};
            weir_stage_progress stages[3];
            weir_progress now;
            weir_pipeline p;
            int_chan in, out;
            REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0);
            weir_pipeline_init(&p, NULL);
            weir_pipeline_watch(&p, &watch);
            CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
            CHECK_INT(weir_map(&p, in, out, fail_each_tenth, NULL, &opt), 0);
            CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
            CHECK_INT(weir_pipeline_wait(&p), 0);
            weir_chan_free(&in);
            weir_chan_free(&out);
            now = progress_of(&p, stages, 2); /* there are more than fit */
            CHECK_INT(now.stages, 3);
            now = progress_of(&p, stages, 3);
            CHECK(now.in == 1000 && now.out == 900 && now.failed == 100 && now.skipped == 100 && now.dead == 0);
            CHECK(now.done == 1000 && now.total == 1000 && now.eta == 0 && now.ended && now.abandoned == 0);
            CHECK(now.rate > 0 && now.elapsed > 0);
            CHECK_STR(stages[0].name, "stage");
            CHECK_STR(stages[1].name, "map");
            CHECK(stages[0].in == 900 && stages[0].out == 900 && stages[0].failed == 0);
            CHECK(stages[1].in == 1000 && stages[1].out == 900 && stages[1].failed == 100 && stages[1].skipped == 100);
            CHECK(stages[2].in == 1000 && stages[2].out == 1000);
            CHECK(stages[1].workers == workers && stages[1].running == 0 && stages[1].queue == 0);
            weir_pipeline_unwatch(&p);
            CHECK_INT(weir_pipeline_progress(&p, &now, NULL, 0), EINVAL);
        }
}

TEST(the_rate_is_that_of_the_window_and_the_eta_follows_it)
{
    struct hand hand;
    struct gated gate;
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {.total = 1000, .window = WEIR_SEC(10)};
    weir_progress now;
    weir_pipeline p;
    int_chan in;
    gate_init(&gate, 1000);
    hand_init(&hand, WEIR_SEC(100));
    watch.clock = &hand.clock;
    REQUIRE(weir_chan_make(&in, 4) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_generate(&p, in, count_gated, &gate, NULL), 0);
    CHECK_INT(weir_sink(&p, in, tally_up, &t, NULL), 0);
    now = progress_of(&p, NULL, 0);
    CHECK(now.rate == 0 && now.eta == WEIR_FOREVER && now.elapsed == 0 && now.done == 0 && !now.ended);
    weir_sem_release(&gate.sem, 100);
    EVENTUALLY(done_of(&p) == 100);
    hand_move(&hand, WEIR_SEC(5));
    now = progress_of(&p, NULL, 0);
    CHECK(now.rate == 20 && now.eta == WEIR_SEC(45) && now.elapsed == WEIR_SEC(5)); /* the window is not full yet */
    hand_move(&hand, WEIR_SEC(5));
    CHECK(progress_of(&p, NULL, 0).rate == 10);
    weir_sem_release(&gate.sem, 200);
    EVENTUALLY(done_of(&p) == 300);
    hand_move(&hand, WEIR_SEC(5)); /* the window began when 100 were done */
    now = progress_of(&p, NULL, 0);
    CHECK(now.rate == 20 && now.eta == WEIR_SEC(35));
    hand_move(&hand, WEIR_SEC(20)); /* nobody has asked for longer than the window, and nothing was done */
    now = progress_of(&p, NULL, 0);
    CHECK(now.rate == 0 && now.eta == WEIR_FOREVER);
    for (int second = 0; second < 100; second++) { /* more questions than samples */
        weir_sem_release(&gate.sem, 5);
        EVENTUALLY(done_of(&p) == 305 + 5 * (uint64_t)second);
        hand_move(&hand, WEIR_SEC(1));
        now = progress_of(&p, NULL, 0);
    }
    CHECK(now.rate > 4.7 && now.rate < 5.3);
    weir_sem_release(&gate.sem, 200);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    now = progress_of(&p, NULL, 0);
    CHECK(now.done == 1000 && now.eta == 0 && now.elapsed == WEIR_SEC(135));
    CHECK(now.rate > 7.407 && now.rate < 7.408); /* 1000 / 135 */
    hand_move(&hand, WEIR_SEC(50));
    CHECK(progress_of(&p, NULL, 0).elapsed == WEIR_SEC(135));
    weir_pipeline_unwatch(&p);
    weir_chan_free(&in);
}

/* The worker of that stage waits now. */
static bool waits(weir_pipeline *p, int stage, bool for_input)
{
    weir__desk *desk = stage == 0 ? p->rooms.first->desks : p->rooms.first->next->desks;
    return (weir__load_rlx(for_input ? &desk->blocked_in : &desk->blocked_out) & 1) != 0;
}

TEST(shares_tell_who_waits_for_whom)
{
    struct hand hand;
    struct gated gate;
    weir_sem taken;
    weir_watch_opt watch = {0, NULL, 0, NULL};
    weir_stage_progress s[2];
    weir_pipeline p;
    int_chan in;
    gate_init(&gate, 3);
    REQUIRE(weir_sem_init(&taken, 100) == 0 && weir_sem_try_acquire(&taken, 100) == 0);
    hand_init(&hand, WEIR_SEC(7));
    watch.clock = &hand.clock;
    REQUIRE(weir_chan_make(&in, 1) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_generate(&p, in, count_gated, &gate, NULL), 0);
    CHECK_INT(weir_sink(&p, in, take_gated, &taken, NULL), 0);
    EVENTUALLY(waits(&p, 1, true));
    EVENTUALLY((weir__load_rlx(&p.rooms.first->desks->life) & 1) != 0);
    hand_move(&hand, WEIR_SEC(4));
    (void)progress_of(&p, s, 2);
    CHECK(s[0].works == 1 && s[0].blocked_in == 0 && s[0].blocked_out == 0 && s[0].lived == WEIR_SEC(4));
    CHECK(s[1].works == 0 && s[1].blocked_in == 1 && s[1].blocked_out == 0 && s[1].running == 1);
    weir_sem_release(&gate.sem, 3); /* one is taken, one lies in the channel, the third waits for room */
    EVENTUALLY(progress_of(&p, s, 2).in == 3 && s[1].in == 1 && s[1].queue == 1 && waits(&p, 0, false));
    hand_move(&hand, WEIR_SEC(12));
    (void)progress_of(&p, s, 2);
    CHECK(s[0].works == 0.25 && s[0].blocked_out == 0.75 && s[0].waited_out == WEIR_SEC(12));
    CHECK(s[1].works == 0.75 && s[1].blocked_in == 0.25);
    weir_sem_release(&taken, 100);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    (void)progress_of(&p, s, 2);
    CHECK(s[0].blocked_out == 0.75 && s[0].lived == WEIR_SEC(16));
    weir_pipeline_unwatch(&p);
    weir_chan_free(&in);
}

struct reader {
    weir_pipeline *p;
    int snapshots, wrong;
    weir__atomic_u32 *over;
};

static void *read_progress(void *arg)
{
    struct reader *r = (struct reader *)arg;
    weir_stage_progress before[3], now[3];
    memset(before, 0, sizeof before);
    while (weir__load_acq(r->over) == 0) {
        weir_progress all;
        sched_yield();
        if (weir_pipeline_progress(r->p, &all, now, 3) != 0)
            continue;
        for (size_t i = 0; i < all.stages; i++) {
            r->wrong += now[i].in < now[i].out + now[i].failed + now[i].abandoned;
            r->wrong += now[i].in < before[i].in || now[i].out < before[i].out;
            r->wrong += now[i].failed != now[i].skipped;
            before[i] = now[i];
        }
        r->snapshots++;
    }
    return NULL;
}

TEST(no_snapshot_has_more_outcomes_than_items_nor_less_than_the_one_before)
{
    struct source s = {0, (int)test_rounds(300000), -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir__atomic_u32 over = 0;
    struct reader readers[2];
    weir_stage_opt opt = {.name = "map", .workers = 2, .on_error = WEIR_ON_ERROR_SKIP};
    pthread_t threads[2];
    weir_pipeline p;
    int_chan in, out;
    REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, NULL);
    for (int i = 0; i < 2; i++) {
        readers[i] = (struct reader){&p, 0, 0, &over};
        REQUIRE(pthread_create(&threads[i], NULL, read_progress, &readers[i]) == 0);
    }
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, fail_each_tenth, NULL, &opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_chan_free(&in);
    weir_chan_free(&out);
    weir__store_rel(&over, 1);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(readers[i].wrong, 0);
    }
    weir_pipeline_unwatch(&p);
}

/* 10,000 short pipelines, each ending while it is asked: the queues that are looked into may be freed by then. */
TEST(a_pipeline_may_be_asked_while_it_ends)
{
    for (int round = 0; round < test_rounds(10000); round++) {
        struct source s = {0, 3, -1};
        struct tally t = {0, 0, 0, 0, 0};
        weir__atomic_u32 over = 0;
        struct reader reader;
        pthread_t thread;
        weir_pipeline p;
        int_chan in;
        REQUIRE(weir_chan_make(&in, 1) == 0);
        weir_pipeline_init(&p, NULL);
        weir_pipeline_watch(&p, NULL);
        reader = (struct reader){&p, 0, 0, &over};
        CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
        REQUIRE(pthread_create(&thread, NULL, read_progress, &reader) == 0);
        CHECK_INT(weir_sink(&p, in, tally_up, &t, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        weir_chan_free(&in);
        CHECK_INT(done_of(&p), 3);
        weir__store_rel(&over, 1);
        pthread_join(thread, NULL);
        weir_pipeline_unwatch(&p);
    }
}

TEST(progress_may_be_that_of_one_stage)
{
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {.total = 100, .stage = "in"};
    weir_stage_opt in_opt = {.name = "in"};
    weir_pipeline p;
    int_chan in, out;
    t.enough = 10; /* the last stage wants no more */
    REQUIRE(weir_chan_make(&in, 1) == 0 && weir_chan_make(&out, 1) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, negate, NULL, &in_opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    {
        weir_stage_progress st[3];
        const weir_progress now = progress_of(&p, st, 3);
        CHECK_INT(now.out, 10);
        CHECK_INT(now.done, st[1].out + st[1].abandoned);
        CHECK_INT(st[1].in, st[1].out + st[1].abandoned); /* what nobody wanted is not lost silently */
        CHECK_INT(st[0].in, st[0].out + st[0].abandoned);
        CHECK(st[1].out >= 10);
    }
    weir_pipeline_unwatch(&p);
    weir_chan_free(&in);
    weir_chan_free(&out);
}

/* ---- the line --------------------------------------------------------------------------------------------------------------- */

static const char *line_of(weir_progress progress, const weir_bar_opt *opt)
{
    static char line[256];
    CHECK_INT(weir_progress_line(line, sizeof line, &progress, opt), 0);
    return line;
}

TEST(a_line_says_how_far_how_fast_and_how_long_still)
{
    weir_bar_opt ten = {.label = "rows", .width = 10};
    weir_progress p;
    char small[12];
    memset(&p, 0, sizeof p);
    p.total = 1000;
    p.eta = WEIR_FOREVER;
    CHECK_STR(line_of(p, &ten), "rows [>         ]   0%  0/1000  0/s  -:-- left");
    p.done = 437;
    p.failed = 2;
    p.rate = 120.4;
    p.eta = WEIR_MS(4700);
    p.elapsed = WEIR_SEC(3);
    CHECK_STR(line_of(p, &ten), "rows [====>     ]  43%  437/1000  2 failed  120/s  0:04 left");
    p.done = 999;
    p.rate = 9.96;
    p.eta = WEIR_SEC(3661);
    CHECK_STR(line_of(p, &ten), "rows [=========>]  99%  999/1000  2 failed  10/s  1:01:01 left");
    p.rate = 2.55;
    p.eta = WEIR_SEC(754);
    CHECK_STR(line_of(p, &ten), "rows [=========>]  99%  999/1000  2 failed  2.6/s  12:34 left");
    p.done = 1000;
    p.failed = 0;
    p.ended = true;
    p.elapsed = WEIR_SEC(59);
    CHECK_STR(line_of(p, NULL), "[========================] 100%  1000/1000  2.6/s  0:59");
    p.done = 2000; /* more than was told */
    CHECK_STR(line_of(p, &ten), "rows [==========] 100%  2000/1000  2.6/s  0:59");
    p.ended = false;
    p.total = 0;
    CHECK_STR(line_of(p, NULL), "2000  2.6/s  0:59");
    CHECK_INT(weir_progress_line(small, sizeof small, &p, NULL), EOVERFLOW);
    CHECK_STR(small, "2000  2.6/s");
}

/* What a bar has written to a file, in `style`, with a total of 100. */
static const char *drawn(int style, char *text, size_t size)
{
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {.total = 100};
    weir_bar_opt bar = {.label = "all", .width = 4, .every = WEIR_MS(1)};
    FILE *file = tmpfile();
    size_t n;
    weir_pipeline p;
    int_chan in;
    bar.style = style;
    REQUIRE(file != NULL && weir_chan_make(&in, 1) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_bar(&p, file, &bar), EINVAL); /* nothing is counted */
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_pipeline_bar(&p, file, &bar), 0);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_sink(&p, in, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_pipeline_unwatch(&p);
    weir_chan_free(&in);
    rewind(file);
    n = fread(text, 1, size - 1, file);
    text[n] = 0;
    fclose(file);
    return text;
}

TEST(a_bar_is_one_line_drawn_over_itself_on_a_terminal_and_lines_elsewhere)
{
    static char text[1 << 20];
    const char *last;
    drawn(WEIR_BAR_TERMINAL, text, sizeof text);
    CHECK(text[0] == '\r');
    CHECK(strchr(text, '\n') == text + strlen(text) - 1); /* one, at the end */
    last = strrchr(text, '\r');
    CHECK(last != NULL && strncmp(last, "\rall [====] 100%  100/100  ", 27) == 0);
    drawn(WEIR_BAR_AUTO, text, sizeof text); /* a file is none */
    CHECK(strchr(text, '\r') == NULL);
    CHECK(strncmp(text, "all [", 5) == 0 && strstr(text, "\nall [====] 100%  100/100  ") != NULL);
    CHECK(text[strlen(text) - 1] == '\n');
}

/* ---- Prometheus ------------------------------------------------------------------------------------------------------------- */

TEST(stages_are_written_for_prometheus)
{
    struct hand hand;
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {0, NULL, 0, NULL};
    weir_stage_opt opt = {.name = "neg\"ate", .workers = 2, .on_error = WEIR_ON_ERROR_SKIP};
    static char text[1 << 14];
    weir_named_pipeline named[2];
    weir_prometheus w;
    weir_pipeline p, unwatched;
    int_chan in, out;
    REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0);
    hand_init(&hand, 0);
    watch.clock = &hand.clock;
    weir_pipeline_init(&p, NULL);
    weir_pipeline_init(&unwatched, NULL);
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, fail_each_tenth, NULL, &opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_chan_free(&in);
    weir_chan_free(&out);
    named[0].name = "p";
    named[0].pipeline = &p;
    named[1].name = "none";
    named[1].pipeline = &unwatched;
    weir_prometheus_init(&w, text, sizeof text);
    CHECK_INT(weir_prometheus_pipelines(&w, named, 2), 0);
    CHECK_INT(weir_prometheus_end(&w, NULL), 0);
    CHECK(strstr(text, "# TYPE weir_stage_in_total counter\n"
                       "weir_stage_in_total{pipeline=\"p\",stage=\"stage\",number=\"0\"} 100\n"
                       "weir_stage_in_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\"} 100\n"
                       "weir_stage_in_total{pipeline=\"p\",stage=\"stage\",number=\"2\"} 90\n"
                       "# HELP") != NULL);
    CHECK(strstr(text,
                 "weir_stage_failed_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\",outcome=\"skipped\"} 10\n"
                 "weir_stage_failed_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\",outcome=\"dead\"} 0\n"
                 "weir_stage_failed_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\",outcome=\"fatal\"} 0\n") !=
          NULL);
    CHECK(strstr(text,
                 "weir_stage_blocked_seconds_total{pipeline=\"p\",stage=\"stage\",number=\"2\",side=\"output\"} 0\n") !=
          NULL);
    CHECK(strstr(text, "weir_stage_running_workers{pipeline=\"p\",stage=\"stage\",number=\"2\"} 0\n") != NULL);
    CHECK(strstr(text, "none") == NULL);
    weir_pipeline_unwatch(&p);
    CHECK_INT(weir_pipeline_wait(&unwatched), 0);
}
