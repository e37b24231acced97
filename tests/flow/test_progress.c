/* flow/progress.h: what a pipeline tells of itself, and that it is true at any moment. */
#include "watched.h"

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

/* Samples of a window of a few nanoseconds all have the same time: no more are noted than there are places. */
TEST(a_window_shorter_than_its_samples_keeps_the_rate_right)
{
    struct hand hand;
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {.window = 10};
    weir_pipeline p;
    int_chan in;
    hand_init(&hand, WEIR_SEC(100));
    watch.clock = &hand.clock;
    REQUIRE(weir_chan_make(&in, 16) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_sink(&p, in, tally_up, &t, NULL), 0);
    for (int i = 0; i < 20; i++)
        CHECK(progress_of(&p, NULL, 0).rate == 0);
    for (int i = 0; i < 10; i++)
        CHECK_INT(weir_send(NULL, in, &i), 0);
    EVENTUALLY(done_of(&p) == 10);
    hand_move(&hand, 5);
    for (int i = 0; i < 20; i++)
        CHECK(progress_of(&p, NULL, 0).rate == 2e9);
    hand_move(&hand, 10);
    (void)progress_of(&p, NULL, 0);
    hand_move(&hand, 10);
    CHECK(progress_of(&p, NULL, 0).rate == 0); /* nothing was done in the window */
    weir_close(in);
    CHECK_INT(weir_pipeline_wait(&p), 0);
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

static struct {
    struct hand hand;
    weir_pipeline p;
    int_chan in;
} held;

static void goes_on_meanwhile(void)
{
    const int v = 0;
    hand_move(&held.hand, WEIR_SEC(8));
    CHECK_INT(weir_send(NULL, held.in, &v), 0);
    EVENTUALLY(!waits(&held.p, 0, true));
}

static weir_sem taken;

static void waits_meanwhile(void)
{
    hand_move(&held.hand, WEIR_SEC(8));
    weir_sem_release(&taken, 1);
    EVENTUALLY(waits(&held.p, 0, true));
}

/* A worker that goes on between two readings has waited longer than the first one says it has lived; one that stops has not waited yet. */
TEST(shares_are_shares_also_when_the_clock_goes_on_between_the_readings)
{
    const int v = 1;
    weir_watch_opt watch = {0, NULL, 0, NULL};
    weir_stage_progress s;
    hand_init(&held.hand, WEIR_SEC(7));
    watch.clock = &held.hand.clock;
    REQUIRE(weir_sem_init(&taken, 1) == 0 && weir_sem_try_acquire(&taken, 1) == 0 && weir_chan_make(&held.in, 1) == 0);
    weir_pipeline_init(&held.p, NULL);
    weir_pipeline_watch(&held.p, &watch);
    CHECK_INT(weir_sink(&held.p, held.in, take_gated, &taken, NULL), 0);
    EVENTUALLY(hand_looks(&held.hand) == 3 && waits(&held.p, 0, true)); /* watched, begun, waits */
    hand_move(&held.hand, WEIR_SEC(4));
    held.hand.held_up = goes_on_meanwhile;
    (void)progress_of(&held.p, &s, 1);
    CHECK(s.lived == WEIR_SEC(4) && s.waited_in == WEIR_SEC(12));
    CHECK(s.blocked_in == 1 && s.blocked_out == 0 && s.works == 0);
    weir_sem_release(&taken, 1);
    weir_close(held.in);
    CHECK_INT(weir_pipeline_wait(&held.p), 0);
    weir_pipeline_unwatch(&held.p);
    weir_chan_free(&held.in);
    hand_init(&held.hand, WEIR_SEC(7));
    REQUIRE(weir_chan_make(&held.in, 1) == 0);
    CHECK_INT(weir_send(NULL, held.in, &v), 0);
    weir_pipeline_init(&held.p, NULL);
    weir_pipeline_watch(&held.p, &watch);
    CHECK_INT(weir_sink(&held.p, held.in, take_gated, &taken, NULL), 0);
    EVENTUALLY(hand_looks(&held.hand) == 2 && weir_len(held.in) == 0); /* watched, begun; it did not have to wait */
    hand_move(&held.hand, WEIR_SEC(4));
    held.hand.held_up = waits_meanwhile;
    (void)progress_of(&held.p, &s, 1);
    CHECK(s.lived == WEIR_SEC(4) && s.waited_in == 0 && s.works == 1);
    weir_close(held.in);
    CHECK_INT(weir_pipeline_wait(&held.p), 0);
    weir_pipeline_unwatch(&held.p);
    weir_chan_free(&held.in);
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
