/* flow/window.h: each value in the windows that it belongs to, each window once and in order; what is late is counted. */
#include "clauses.h"
#include "guard/hand.h"

struct event {
    int64_t at;
    int value;
};
struct sum {
    int64_t begin, end, sum;
    uint64_t values, closed;
};
typedef weir_chan(struct event) event_chan;
typedef weir_chan(struct sum) sum_chan;

static int add_up(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
{
    struct sum *s = (struct sum *)result;
    (void)ctx;
    (void)arg;
    CHECK_INT(s->closed, 0);
    if (value == NULL) {
        CHECK_INT(span->values, s->values);
        s->closed = 1;
        return 0;
    }
    s->begin = span->begin;
    s->end = span->end;
    s->sum += ((const struct event *)value)->value;
    s->values++;
    CHECK_INT(span->values, s->values);
    return 0;
}
static weir_ns stamp(void *arg, const void *value)
{
    (void)arg;
    return ((const struct event *)value)->at;
}
static int left_out;
static void leave_out(void *arg, const void *value)
{
    (void)arg;
    left_out += ((const struct event *)value)->value;
}

enum { MOST = 4000 };
static struct sum got[MOST];
static size_t got_count;

/* The windows of n events, in `got`. */
static int run_with(const weir_window_rules *rules, weir_window_fn *fn, void *arg, const weir_stage_opt *opt,
                    const struct event *events, size_t n)
{
    event_chan in;
    sum_chan out;
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in, n + 1) == 0 && weir_chan_make(&out, MOST) == 0);
    for (size_t i = 0; i < n; i++)
        CHECK_INT(weir_send(NULL, in, &events[i]), 0);
    weir_close(in);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_window(&p, in, out, rules, fn, arg, opt), 0);
    got_count = 0;
    while (weir_recv(NULL, out, &got[got_count]) == 0)
        CHECK_INT(got[got_count++].closed, 1);
    weir_chan_free(&in);
    const int rc = weir_pipeline_wait(&p);
    weir_chan_free(&out);
    return rc;
}
static int run(const weir_window_rules *rules, const struct event *events, size_t n)
{
    return run_with(rules, add_up, NULL, NULL, events, n);
}

static uint32_t dice = 1;
static int throw_dice(int below)
{
    dice = dice * 1664525U + 1013904223U;
    return (int)((uint64_t)(dice >> 8) * (unsigned)below >> 24);
}

/* What should have come: every window of [begin, begin + length), for begin a multiple of every, with what is in it. */
static void came_out_right(const struct event *events, size_t n, int64_t length, int64_t every, int64_t from,
                           int64_t to, bool by_count)
{
    size_t k = 0;
    for (int64_t begin = from / every * every; begin <= to; begin += every) {
        struct sum want = {begin, begin + length, 0, 0, 1};
        for (size_t i = 0; i < n; i++) {
            const int64_t at = by_count ? (int64_t)i : events[i].at;
            if (at < begin || at >= begin + length)
                continue;
            want.sum += events[i].value;
            want.values++;
        }
        if (want.values == 0)
            continue;
        if (!CHECK(k < got_count))
            return;
        CHECK_INT(got[k].begin, want.begin);
        CHECK_INT(got[k].end, want.end);
        CHECK_INT(got[k].sum, want.sum);
        CHECK_INT(got[k].values, want.values);
        k++;
    }
    CHECK_INT(got_count, k);
}

TEST(windows_by_count_tumble_slide_and_leave_gaps)
{
    struct event events[100];
    for (int i = 0; i < 100; i++)
        events[i] = (struct event){0, throw_dice(1000)};
    for (int64_t count = 1; count <= 12; count++)
        for (int64_t every = 0; every <= 15; every++)
            for (size_t n = 0; n <= 100; n += n < 16 ? 5 : 40) {
                const weir_window_rules rules = {.count = count, .every = every};
                CHECK_INT(run(&rules, events, n), 0);
                came_out_right(events, n, count, every == 0 ? count : every, 0, (int64_t)n, true);
            }
}

TEST(what_is_not_whole_is_left_out_on_request)
{
    const weir_window_rules by_count = {.count = 10, .every = 4, .whole = true},
                            by_time = {.length = 10, .stamp = stamp, .whole = true};
    struct event events[25];
    for (int i = 0; i < 25; i++)
        events[i] = (struct event){i, 1};
    CHECK_INT(run(&by_count, events, 25), 0);
    CHECK_INT(got_count, 4); /* 0, 4, 8, 12; 16 … 25 misses one */
    for (size_t i = 0; i < got_count; i++)
        CHECK_INT(got[i].values, 10);
    CHECK_INT(run(&by_time, events, 25), 0);
    CHECK_INT(got_count, 2);
}

TEST(windows_by_stamp_take_what_is_out_of_order_within_their_lateness)
{
    const int rounds = (int)test_rounds(300);
    for (int round = 0; round < rounds; round++) {
        enum { N = 200 };
        struct event events[N];
        weir_window_report report = {0};
        const int64_t length = 1 + throw_dice(50), every = 1 + throw_dice(60), late = throw_dice(40);
        const weir_window_rules rules = {
            .length = length, .every = every, .stamp = stamp, .lateness = late, .report = &report};
        int64_t newest = -1000 + throw_dice(2000), from = newest - late, to = newest;
        for (int i = 0; i < N; i++) {
            if (i > 0)
                newest += throw_dice(20) == 0 ? throw_dice(1000) : throw_dice(5); /* a gap, sometimes */
            events[i].at = throw_dice(2) == 0 ? newest : newest - throw_dice((int)late + 1);
            events[i].value = throw_dice(1000);
        }
        to = newest;
        CHECK_INT(run(&rules, events, N), 0);
        /* from below all, on a multiple of every; C divides towards zero */
        came_out_right(events, N, length, every, ((from - length) / every - 2) * every, to, false);
        CHECK_INT(weir_window_late(&report), 0);
    }
}

TEST(what_comes_after_its_windows_is_counted_and_handed_over)
{
    const struct event events[] = {{100, 1}, {119, 2}, {105, 4}, {120, 8}, {109, 16}, {110, 32}, {200, 64}, {130, 128}};
    weir_window_report report = {0};
    weir_window_rules rules = {.length = 10, .stamp = stamp, .lateness = 10, .report = &report, .on_late = leave_out};
    left_out = 0;
    CHECK_INT(run(&rules, events, 8), 0);
    /* [100, 110) closes at 120, so 109 is late then; [110, 120) at 130 or later, which is 200. */
    CHECK_INT(got_count, 4);
    CHECK_INT(got[0].sum, 1 + 4);
    CHECK_INT(got[1].sum, 2 + 32);
    CHECK_INT(got[2].sum, 8);
    CHECK_INT(got[3].sum, 64);
    CHECK_INT(weir_window_late(&report), 2);
    CHECK_INT(left_out, 16 + 128);
    rules.report = NULL; /* nobody wants to know how many */
    CHECK_INT(run(&rules, events, 8), 0);
    CHECK_INT(got_count, 4);
    CHECK_INT(left_out, 2 * (16 + 128));
}

TEST(a_value_that_finds_some_of_its_windows_is_not_late)
{
    const struct event events[] = {{10, 1}, {20, 2}, {13, 4}};
    weir_window_report report = {0};
    const weir_window_rules rules = {.length = 10, .every = 5, .stamp = stamp, .report = &report};
    CHECK_INT(run(&rules, events, 3), 0);
    /* At 20 [5, 15) and [10, 20) have closed; 13 belonged to these two: late. */
    CHECK_INT(weir_window_late(&report), 1);
    const struct event more[] = {{10, 1}, {19, 2}, {13, 4}};
    report.late = 0;
    CHECK_INT(run(&rules, more, 3), 0);
    /* At 19 only [5, 15) has: 13 is in [10, 20). */
    CHECK_INT(weir_window_late(&report), 0);
    CHECK_INT(got_count, 3); /* the closed one does not come again */
    CHECK_INT(got[0].sum, 1);
    CHECK_INT(got[1].sum, 1 + 2 + 4);
    CHECK_INT(got[2].sum, 2);
}

static struct hand hand;

static event_chan by_arrival;
static void give(int value, int looks)
{
    const struct event e = {0, value};
    CHECK_INT(weir_send(NULL, by_arrival, &e), 0);
    EVENTUALLY(hand_looks(&hand) == looks);
}

TEST(windows_by_arrival_go_by_the_clock)
{
    const weir_window_rules rules = {.length = WEIR_SEC(100), .clock = &hand.clock};
    sum_chan out;
    weir_pipeline p;
    struct sum s;
    hand_init(&hand, WEIR_SEC(1050));
    REQUIRE(weir_chan_make(&by_arrival, 4) == 0 && weir_chan_make(&out, 4) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_window(&p, by_arrival, out, &rules, add_up, NULL, NULL), 0);
    give(1, 1);
    hand_set(&hand, WEIR_SEC(1070));
    give(2, 2);
    CHECK_INT(weir_try_recv(out, &s), EAGAIN);
    hand_set(&hand, WEIR_SEC(1100));
    give(4, 3);
    CHECK_INT(weir_recv(NULL, out, &s), 0);
    CHECK_INT(s.begin, WEIR_SEC(1000));
    CHECK_INT(s.sum, 3);
    hand_set(&hand, WEIR_SEC(1000)); /* a clock that goes back does not open it again */
    give(8, 4);
    weir_close(by_arrival);
    CHECK_INT(weir_recv(NULL, out, &s), 0);
    CHECK_INT(s.begin, WEIR_SEC(1100));
    CHECK_INT(s.sum, 12);
    CHECK_INT(weir_recv(NULL, out, &s), EPIPE);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_chan_free(&by_arrival);
    weir_chan_free(&out);
}

TEST(a_window_by_arrival_closes_without_another_value)
{
    for (int with_clock = 0; with_clock < 2; with_clock++) {
        const weir_window_rules rules = {
            .length = WEIR_MS(2), .every = WEIR_MS(1), .clock = with_clock ? &hand.clock : NULL};
        const struct event e = {0, 1};
        sum_chan out;
        weir_pipeline p;
        struct sum s;
        hand_init(&hand, 0);
        REQUIRE(weir_chan_make(&by_arrival, 4) == 0 && weir_chan_make(&out, 4) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_window(&p, by_arrival, out, &rules, add_up, NULL, NULL), 0);
        CHECK_INT(weir_send(NULL, by_arrival, &e), 0);
        if (with_clock) {
            EVENTUALLY(hand_looks(&hand) >= 3); /* too early, by this clock */
            CHECK_INT(weir_try_recv(out, &s), EAGAIN);
            hand_set(&hand, WEIR_MS(2));
        }
        for (int i = 0; i < 2; i++) { /* the two that it slides through, by the clock alone */
            CHECK_INT(weir_recv(NULL, out, &s), 0);
            CHECK_INT(s.sum, 1);
            CHECK_INT(s.begin % WEIR_MS(1), 0);
        }
        weir_close(by_arrival);
        CHECK_INT(weir_recv(NULL, out, &s), EPIPE);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        weir_chan_free(&by_arrival);
        weir_chan_free(&out);
    }
}

TEST(a_window_that_waits_for_its_end_ends_with_the_context)
{
    for (int what = 0; what < 4; what++) {
        const bool timeout = what % 2 == 1, empty = what / 2 == 1; /* empty: it waits for its first value */
        const weir_window_rules rules = {.length = WEIR_SEC(100000)};
        const struct event e = {0, 1};
        sum_chan out;
        weir_pipeline p;
        weir_ctx ctx;
        REQUIRE(weir_chan_make(&by_arrival, 4) == 0 && weir_chan_make(&out, 4) == 0);
        if (timeout)
            weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(5));
        else
            weir_ctx_init(&ctx, NULL);
        weir_pipeline_init(&p, &ctx);
        if (!empty)
            CHECK_INT(weir_send(NULL, by_arrival, &e), 0);
        CHECK_INT(weir_window(&p, by_arrival, out, &rules, add_up, NULL, NULL), 0);
        EVENTUALLY(weir_len(by_arrival) == 0);
        if (!timeout)
            weir_ctx_cancel(&ctx, 0);
        CHECK_INT(weir_pipeline_wait(&p), timeout ? ETIMEDOUT : ECANCELED);
        CHECK_INT(weir_len(out), 0);
        weir_ctx_free(&ctx);
        weir_chan_free(&by_arrival);
        weir_chan_free(&out);
    }
}

static int fails_at(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
{
    (void)ctx;
    (void)result;
    return *(int *)arg == (value == NULL ? -(int)span->begin : ((const struct event *)value)->value) ? 9 : 0;
}

TEST(an_error_of_the_function_ends_the_pipeline)
{
    for (int at = -20; at <= 25; at += 45) { /* when the third window closes; at a value of it */
        const weir_window_rules rules = {.count = 10};
        event_chan in;
        sum_chan out;
        weir_pipeline p;
        REQUIRE(weir_chan_make(&in, 64) == 0 && weir_chan_make(&out, 64) == 0);
        for (int i = 0; i < 40; i++) {
            const struct event e = {0, i};
            CHECK_INT(weir_send(NULL, in, &e), 0);
        }
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_window(&p, in, out, &rules, fails_at, &at, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 9);
        CHECK_INT(weir_len(out), 2);
        weir_chan_free(&in);
        weir_chan_free(&out);
    }
}

static int fails_to_close(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
{
    return value == NULL && span->begin == *(const int64_t *)arg ? 9 : add_up(ctx, NULL, span, value, result);
}

/* It is no failure of the value that has closed it. */
TEST(a_window_that_fails_when_it_closes_ends_the_stage_whatever_the_policy)
{
    struct event events[25];
    const struct event far[] = {{5, 1}, {15, 2}, {100, 4}}; /* the last one closes two */
    const weir_window_rules by_count = {.count = 10}, by_time = {.length = 10, .stamp = stamp, .lateness = 10};
    const weir_stage_opt skip = {.on_error = WEIR_ON_ERROR_SKIP};
    int64_t begin = 20;
    for (int i = 0; i < 25; i++)
        events[i] = (struct event){0, 1};
    for (int skips = 0; skips <= 1; skips++) {
        begin = 20; /* at the end of the input */
        CHECK_INT(run_with(&by_count, fails_to_close, &begin, skips ? &skip : NULL, events, 25), 9);
        CHECK_INT(got_count, 2);
        begin = 0;
        CHECK_INT(run_with(&by_time, fails_to_close, &begin, skips ? &skip : NULL, far, 3), 9);
        CHECK_INT(got_count, 0); /* those behind it are not closed */
    }
}

/* Fails for the value 2, in the window that begins at 10. */
static int fails_at_ten(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
{
    struct sum *s = (struct sum *)result;
    (void)ctx;
    (void)arg;
    s->closed = value == NULL;
    if (value == NULL)
        return 0;
    if (span->begin == 10 && ((const struct event *)value)->value == 2)
        return 9;
    s->sum += ((const struct event *)value)->value;
    return 0;
}

TEST(a_value_that_fails_in_one_window_is_not_in_those_behind_it)
{
    const struct event events[] = {{10, 1}, {11, 2}, {12, 4}};
    const weir_window_rules rules = {.length = 2, .every = 1, .stamp = stamp};
    const weir_stage_opt skip = {.on_error = WEIR_ON_ERROR_SKIP};
    CHECK_INT(run_with(&rules, fails_at_ten, NULL, &skip, events, 3), 0);
    CHECK_INT(got_count, 4); /* from 9, 10, 11, 12 on */
    CHECK(got[0].sum == 1 && got[1].sum == 1 && got[2].sum == 4 && got[3].sum == 4);
}

/* 2^20 of them are a quarter of all addresses. */
struct vast {
    char bytes[(SIZE_MAX >> 22) + 1];
};

TEST(results_that_no_memory_can_hold_are_refused)
{
    const weir_window_rules rules = {.length = ((int64_t)1 << 20) - 2, .every = 1, .stamp = stamp};
    event_chan in;
    weir_chan(struct vast) out = {NULL};
    weir_pipeline p;
    REQUIRE(weir_chan_make(&in, 1) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_window(&p, in, out, &rules, add_up, NULL, NULL), EOVERFLOW);
    CHECK_INT(weir_pipeline_wait(&p), EOVERFLOW);
    weir_chan_free(&in);
}

TEST(what_makes_no_sense_is_refused)
{
    const weir_stage_opt two = {.workers = 2};
    const weir_window_rules wrong[] = {{.count = 0},
                                       {.count = 1, .length = 1},
                                       {.count = -1},
                                       {.length = -1},
                                       {.count = 1, .every = -1},
                                       {.length = 1, .lateness = 1},
                                       {.length = 1, .stamp = stamp, .lateness = -1},
                                       {.count = 1, .stamp = stamp},
                                       {.length = ((int64_t)1 << 60) + 1, .stamp = stamp},
                                       {.length = 1, .every = ((int64_t)1 << 60) + 1},
                                       {.length = 1, .stamp = stamp, .lateness = ((int64_t)1 << 60) + 1},
                                       {.length = (int64_t)1 << 30, .every = 1},
                                       {.count = 1}};
    const size_t n = sizeof wrong / sizeof *wrong;
    for (size_t i = 0; i < n; i++) {
        event_chan in;
        sum_chan out;
        weir_pipeline p;
        REQUIRE(weir_chan_make(&in, 1) == 0 && weir_chan_make(&out, 1) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_window(&p, in, out, &wrong[i], add_up, NULL, i == n - 1 ? &two : NULL), EINVAL);
        CHECK_INT(weir_pipeline_wait(&p), EINVAL);
        weir_chan_free(&in);
        weir_chan_free(&out);
    }
    const weir_window_rules far = {.length = 10, .stamp = stamp};
    struct event e = {INT64_MAX, 1};
    CHECK_INT(run(&far, &e, 1), EINVAL);
    e.at = INT64_MIN;
    CHECK_INT(run(&far, &e, 1), EINVAL);
    e.at = -((int64_t)1 << 62);
    CHECK_INT(run(&far, &e, 1), 0);
    CHECK_INT(got_count, 1);
}

static weir_chan(uint64_t) counts_out;
static void open_out(void)
{
    REQUIRE(weir_chan_make(&counts_out, 2) == 0);
}
static void close_out(void)
{
    weir_chan_free(&counts_out);
}
static int count_values(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
{
    (void)ctx;
    (void)arg;
    (void)value;
    memcpy(result, &span->values, sizeof span->values);
    return 0;
}
static int start(weir_pipeline *p, int_chan in)
{
    const weir_window_rules rules = {.count = 3};
    return weir_window(p, in, counts_out, &rules, count_values, NULL, NULL);
}
static int drain_window(weir_ctx *ctx, void *arg, const void *value)
{
    uint64_t n;
    (void)ctx;
    (void)arg;
    memcpy(&n, value, sizeof n);
    return drained((int)n);
}
static int drain(weir_pipeline *p)
{
    return weir_sink(p, counts_out, drain_window, NULL, NULL);
}

TEST(what_holds_for_every_stage_holds_for_it)
{
    const struct subject s = {open_out, start, drain, close_out, 2 + 3 + 2 * 3 + 1, 1};
    clauses_hold(&s);
}
