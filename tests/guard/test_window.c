/* tests/guard/test_window.c: fixed and sliding windows beside references that count, at their edges, and among threads. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* An allocator that counts its blocks, and notices what is written behind the latest. */
static _Bool no_memory, overrun;
static int blocks;
static unsigned char *fence;
static void *fenced_alloc(size_t align, size_t size)
{
    unsigned char *p = no_memory ? NULL : (unsigned char *)aligned_alloc(align, (size + 8 + align - 1) / align * align);
    if (p == NULL)
        return NULL;
    fence = (unsigned char *)memset(p + size, 0xab, 8);
    blocks++;
    return p;
}
static void fenced_free(void *p)
{
    for (int i = 0; i < 8; i++)
        overrun |= fence[i] != 0xab;
    blocks--;
    free(p);
}
#define WEIR_ALLOC(align, size) fenced_alloc((align), (size))
#define WEIR_FREE(p) fenced_free(p)
#include "guard/hand.h"

/* ---- one interface to the three ---- */

enum kind { FIXED, COUNTERS, EXACT, KINDS };
struct window {
    enum kind kind;
    weir_fixed_window fixed;
    weir_sliding_window sliding;
};

static int init(struct window *w, enum kind kind, int64_t limit, weir_ns length, weir_clock *clock)
{
    const weir_window_config config = {.limit = limit, .window = length, .clock = clock, .exact = kind == EXACT};
    w->kind = kind;
    return kind == FIXED ? weir_fixed_window_init(&w->fixed, &config) : weir_sliding_window_init(&w->sliding, &config);
}
static int allow(struct window *w, int64_t n)
{
    return w->kind == FIXED ? weir_fixed_window_allow(&w->fixed, n) : weir_sliding_window_allow(&w->sliding, n);
}
static int await(weir_ctx *ctx, struct window *w, int64_t n)
{
    return w->kind == FIXED ? weir_fixed_window_wait(ctx, &w->fixed, n) : weir_sliding_window_wait(ctx, &w->sliding, n);
}
static int await_until(struct window *w, int64_t n, weir_ns deadline)
{
    return w->kind == FIXED ? weir_fixed_window_wait_until(NULL, &w->fixed, n, deadline)
                            : weir_sliding_window_wait_until(NULL, &w->sliding, n, deadline);
}
static int take(struct window *w, int64_t n, weir_ns now, weir_ns *next)
{
    return w->kind == FIXED ? weir__fixed_window_take(&w->fixed, n, now, next)
                            : weir__sliding_window_take(&w->sliding, n, now, next);
}
static void done(struct window *w)
{
    if (w->kind == FIXED)
        return;
    weir_sliding_window_free(&w->sliding);
    weir_sliding_window_free(&w->sliding);
    CHECK(blocks == 0 && !overrun);
}
/* How many more go in now, one by one. */
static int room(struct window *w)
{
    int n = 0;
    while (allow(w, 1) == 0)
        n++;
    return n;
}

#define FOR_EACH_KIND(w, limit, length, clock)                                                                         \
    for (int kind = FIXED; kind < KINDS && (CHECK_INT(init(&(w), (enum kind)kind, (limit), (length), (clock)), 0), 1); \
         done(&(w)), kind++)

/* ---- what each says ---- */

TEST(as_many_as_the_limit_and_then_not_now)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, WEIR_SEC(5));
    FOR_EACH_KIND(w, 3, WEIR_SEC(1), &hand.clock)
    {
        for (int i = 0; i < 3; i++)
            CHECK_INT(allow(&w, 1), 0);
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand_move(&hand, WEIR_MS(999));
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand_move(&hand, WEIR_SEC(2));
        CHECK_INT(room(&w), 3);
    }
}

TEST(more_than_the_limit_is_never_and_changes_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 5, WEIR_SEC(1), &hand.clock)
    {
        CHECK_INT(allow(&w, 6), EINVAL);
        CHECK_INT(allow(&w, INT64_MAX), EINVAL);
        CHECK_INT(allow(&w, 0), EINVAL);
        CHECK_INT(allow(&w, -1), EINVAL);
        CHECK_INT(await(NULL, &w, 6), EINVAL);
        CHECK_INT(await(NULL, &w, 0), EINVAL);
        CHECK_INT(allow(&w, 2), w.kind == EXACT ? EINVAL : 0);
        CHECK_INT(room(&w), w.kind == EXACT ? 5 : 3);
    }
}

TEST(many_at_once_go_in_whole_or_not_at_all)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 5, WEIR_SEC(1), &hand.clock)
    {
        if (w.kind == EXACT)
            continue;
        CHECK_INT(allow(&w, 3), 0);
        CHECK_INT(allow(&w, 3), EAGAIN);
        CHECK_INT(allow(&w, 2), 0);
        CHECK_INT(allow(&w, 1), EAGAIN);
    }
}

TEST(what_is_out_of_range_is_told_by_init)
{
    struct window w;
    for (int kind = FIXED; kind < KINDS; kind++) {
        const int64_t most = kind == EXACT ? WEIR_WINDOW_EXACT_MAX : WEIR_WINDOW_MAX;
        CHECK_INT(init(&w, (enum kind)kind, 0, 0, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, -1, 0, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 1, -1, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 1, INT64_MIN, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 1, 3, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 250001, WEIR_MS(1), NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, most + 1, WEIR_SEC(3600), NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 250000, WEIR_MS(1), NULL), 0);
        done(&w);
        CHECK_INT(init(&w, (enum kind)kind, most, WEIR_SEC(3600), NULL), 0);
        CHECK_INT(allow(&w, 1), 0); /* on the monotonic clock */
        done(&w);
        CHECK_INT(init(&w, (enum kind)kind, 1, 4, NULL), 0);
        done(&w);
    }
    no_memory = true;
    CHECK_INT(init(&w, EXACT, 10, 0, NULL), ENOMEM);
    CHECK_INT(init(&w, COUNTERS, 10, 0, NULL), 0);
    no_memory = false;
}

TEST(a_window_is_a_second_unless_told_otherwise)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 1, 0, &hand.clock)
    {
        CHECK_INT(allow(&w, 1), 0);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.at % WEIR_SEC(1), 0);
        hand_move(&hand, WEIR_SEC(10));
    }
}

/* ---- edges ---- */

TEST(fixed_windows_begin_with_init)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 12345);
    init(&w, FIXED, 2, 1000, &hand.clock);
    hand_move(&hand, 999);
    CHECK_INT(allow(&w, 2), 0);
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand_move(&hand, 1); /* 2 more, 1 ns later: what a fixed window cannot help */
    CHECK_INT(allow(&w, 2), 0);
    hand_move(&hand, 999);
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand_move(&hand, 1);
    CHECK_INT(allow(&w, 1), 0);
}

TEST(the_log_lets_one_in_when_one_has_left)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    init(&w, EXACT, 3, 1000, &hand.clock);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(allow(&w, 1), 0);
        hand_move(&hand, 100);
    }
    for (int i = 0; i < 9; i++) { /* at 300, 1000, 1100, 1200, 2000 … */
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = i / 3 * 1000 + 1000 + i % 3 * 100 - 1;
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at++;
        CHECK_INT(allow(&w, 1), 0);
    }
    done(&w);
}

TEST(the_previous_window_counts_by_its_share)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    init(&w, COUNTERS, 10, 1000, &hand.clock);
    CHECK_INT(allow(&w, 10), 0);
    for (int i = 0; i < 10; i++) {
        hand.at = 1000 + i * 100 + 99;
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at++;
        CHECK_INT(allow(&w, 1), 0);
    }
    CHECK_INT(hand.at, 2000); /* the tenth came with the next window, the nine before it were spread evenly */
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand.at = 2111;
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand.at++; /* 9 * (1 - 0.112) + 1 + 1 <= 10 */
    CHECK_INT(allow(&w, 1), 0);
    hand.at = 4000; /* nothing came in the window before */
    CHECK_INT(allow(&w, 10), 0);
}

TEST(the_clock_may_begin_and_end_anywhere)
{
    struct hand hand;
    struct window w;
    const weir_ns end = WEIR_FOREVER - 1, before[] = {0, 3, 1001, 2500};
    hand_init(&hand, 0);
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        hand.at = end - before[i];
        FOR_EACH_KIND(w, 250, 1000, &hand.clock)
        {
            CHECK_INT(room(&w), 250);
            hand.at = end;
            CHECK_INT(room(&w), before[i] > 2000 ? 250 : before[i] < 1000 || w.kind == COUNTERS ? 0 : 250);
            hand.at = end - before[i];
        }
    }
    hand.at = 0;
    FOR_EACH_KIND(w, 250, 1000, &hand.clock) /* as many windows as there can be */
    {
        CHECK_INT(room(&w), 250);
        hand.at = end;
        CHECK_INT(room(&w), 250);
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = 0;
    }
    FOR_EACH_KIND(w, WEIR_WINDOW_EXACT_MAX, WEIR_FOREVER, &hand.clock)
    {
        CHECK_INT(room(&w), WEIR_WINDOW_EXACT_MAX);
    }
}

TEST(idle_for_any_time_it_is_empty)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 77);
    FOR_EACH_KIND(w, 7, 64, &hand.clock)
    {
        for (int bits = 0; bits < 56; bits++) {
            CHECK_INT(room(&w), 7);
            CHECK_INT(allow(&w, 1), EAGAIN);
            hand_move(&hand, 128 + 64 * (INT64_C(1) << bits));
        }
        hand.at = 77;
    }
}

/* ---- a clock that is not steady ---- */

TEST(an_older_reading_gains_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 10000);
    FOR_EACH_KIND(w, 4, 1000, &hand.clock)
    {
        hand.at = 15500;
        CHECK_INT(room(&w), 4);
        for (weir_ns at = 15499; at >= 0; at -= 499) {
            hand.at = at;
            CHECK_INT(allow(&w, 1), EAGAIN);
        }
        hand.at = 15500;
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = 17000;
        CHECK_INT(room(&w), 4);
        hand.at = 10000;
    }
    /* Two of the next window, then one whose reading is of this one: it is the third of the next. */
    init(&w, FIXED, 3, 1000, &hand.clock);
    hand.at += 1000;
    CHECK_INT(allow(&w, 2), 0);
    hand.at -= 1;
    CHECK_INT(allow(&w, 1), 0);
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand.at += 1;
    CHECK_INT(allow(&w, 1), EAGAIN);
    /* The same for the counters, where one who comes back sees a word that is sealed, or one of two windows later. */
    for (int later = 1; later <= 2; later++) {
        const weir_ns begin = hand.at;
        init(&w, COUNTERS, 3, 1000, &hand.clock);
        CHECK_INT(allow(&w, 2), 0);
        hand.at = begin + later * 1000 + 999;
        CHECK_INT(allow(&w, 1), 0);
        hand.at = begin + 999; /* taken for begin + later * 1000 */
        CHECK_INT(allow(&w, 2), later == 1 ? EAGAIN : 0);
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = begin + later * 1000 + 999;
        CHECK_INT(room(&w), later == 1 ? 1 : 0);
    }
}

TEST(a_refused_request_of_a_later_time_moves_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    init(&w, COUNTERS, 4, 1000, &hand.clock);
    CHECK_INT(allow(&w, 3), 0);
    hand.at = 1000;
    CHECK_INT(allow(&w, 2), EAGAIN);
    hand.at = 999;
    CHECK_INT(allow(&w, 1), 0);
}

/* ---- waiting ---- */

TEST(a_wait_ends_when_there_is_room)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 2, 1000, &hand.clock)
    {
        const weir_ns begin = hand.at;
        hand.slept = 0;
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.slept, 0);
        hand_move(&hand, 1);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.slept, 1);
        CHECK_INT(hand.at - begin, w.kind == COUNTERS ? 1500 : 1000);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.at - begin, w.kind == COUNTERS ? 2000 : 1000);
        hand_move(&hand, 5000);
    }
}

TEST(a_wait_that_would_outlast_its_deadline_ends_at_once)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 1, WEIR_SEC(3600), &hand.clock)
    {
        const weir_ns begin = hand.at;
        weir_ctx ctx, passed;
        hand.slept = 0;
        weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(3599));
        weir_ctx_init_timeout(&passed, NULL, 0);
        CHECK_INT(await(&passed, &w, 1), ETIMEDOUT); /* although there is room */
        CHECK_INT(await(&ctx, &w, 1), 0);
        CHECK_INT(await(&ctx, &w, 1), ETIMEDOUT);
        CHECK_INT(await_until(&w, 1, weir_now() + WEIR_SEC(3599)), ETIMEDOUT);
        CHECK_INT(await_until(&w, 1, 0), ETIMEDOUT);
        CHECK_INT(hand.slept, 0);
        CHECK_INT(hand.at, begin);
        CHECK_INT(weir_ctx_err(&ctx), 0);
        hand_move(&hand, WEIR_SEC(2)); /* now there is time enough */
        if (w.kind == COUNTERS)
            hand_move(&hand, WEIR_SEC(3600));
        CHECK_INT(await(&ctx, &w, 1), 0);
        CHECK_INT(hand.slept, 1);
        CHECK_INT(await_until(&w, 1, WEIR_FOREVER), 0);
        hand_move(&hand, WEIR_SEC(20000));
        CHECK_INT(await_until(&w, 1, 0), 0); /* no wait, no deadline */
        weir_ctx_free(&ctx);
        weir_ctx_free(&passed);
    }
}

TEST(a_cancelled_wait_has_taken_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 3, 1000, &hand.clock)
    {
        weir_ctx ctx;
        weir_ctx_init(&ctx, NULL);
        CHECK_INT(room(&w), 3);
        hand.cancels = &ctx;
        CHECK_INT(await(&ctx, &w, 1), ECANCELED);
        hand_move(&hand, 2000);
        CHECK_INT(await(&ctx, &w, 1), ECANCELED); /* although there is room */
        CHECK_INT(room(&w), 3);
        hand_move(&hand, 5000);
        weir_ctx_free(&ctx);
    }
}

static void cancels(void *ctx)
{
    weir_ctx_cancel((weir_ctx *)ctx, 0);
}

TEST(a_cancel_wakes_one_who_waits_on_the_monotonic_clock)
{
    struct window w;
    FOR_EACH_KIND(w, 1, WEIR_SEC(3600), NULL)
    {
        weir_ctx ctx;
        weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(36000));
        CHECK_INT(await(&ctx, &w, 1), 0);
        struct test_team *team = test_start(1, cancels, &ctx, 0);
        CHECK_INT(await(&ctx, &w, 1), ECANCELED);
        test_join(team);
        weir_ctx_free(&ctx);
    }
}

/* ---- a million random histories beside references that look at all events ---- */

enum { HISTORY = 14 };
struct history {
    int64_t limit;
    weir_ns start, length;
    int events;
    weir_ns at[HISTORY];
    int64_t n[HISTORY];
};
static uint64_t random_state;

static uint32_t below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(((random_state >> 33) * n) >> 31);
}

/* Events from `from` up to and without `to`. */
static int64_t count(const struct history *h, weir_ns from, weir_ns to)
{
    int64_t n = 0;
    for (int i = 0; i < h->events; i++)
        if (h->at[i] >= from && h->at[i] < to)
            n += h->n[i];
    return n;
}

static bool fits(const struct history *h, enum kind kind, weir_ns now, int64_t n)
{
    const weir_ns begin = now - (now - h->start) % h->length;
    const int64_t current = count(h, begin, WEIR_FOREVER), previous = count(h, begin - h->length, begin);
    switch (kind) {
    case FIXED: return current + n <= h->limit;
    case COUNTERS: return previous * (begin + h->length - now) <= (h->limit - current - n) * h->length;
    default: return count(h, now - h->length + 1, WEIR_FOREVER) + n <= h->limit;
    }
}

/* No stretch as long as a window holds more than promised. It is enough to look at those that begin with an event. */
static void check_bound(const struct history *h, enum kind kind)
{
    const int64_t most = kind == FIXED ? 2 * h->limit : kind == COUNTERS ? 2 * h->limit - 1 : h->limit;
    for (int i = 0; i < h->events; i++)
        CHECK(count(h, h->at[i], h->at[i] + h->length) <= most);
}

static void one_history(enum kind kind)
{
    struct hand hand;
    struct window w;
    struct history h;
    hand_init(&hand, below(50));
    h.events = 0;
    h.limit = 1 + below(5);
    h.length = h.limit * 4 + below(40);
    h.start = hand.at;
    REQUIRE(init(&w, kind, h.limit, h.length, &hand.clock) == 0);
    for (int i = 0; i < HISTORY; i++) {
        const int64_t n = kind == EXACT ? 1 : 1 + below((uint32_t)h.limit);
        const bool fit = fits(&h, kind, hand.at, n);
        weir_ns next = -1;
        CHECK_INT(take(&w, n, hand.at, &next), fit ? 0 : EAGAIN);
        if (fit) {
            h.at[h.events] = hand.at;
            h.n[h.events++] = n;
        } else {
            CHECK(next > hand.at && !fits(&h, kind, next - 1, n) && fits(&h, kind, next, n));
        }
        hand.at += below(8) == 0     ? below(200)
                   : fit || below(2) ? below((uint32_t)h.length / 3)
                                     : next - hand.at - below(2);
    }
    check_bound(&h, kind);
    done(&w);
}

TEST_LIMIT(random_histories_are_as_the_references_say, 120)
{
    random_state = (uint64_t)test_seed() + 1;
    for (long i = test_rounds(1000000); i > 0; i--)
        one_history((enum kind)(i % KINDS));
}

/* Whatever the clock does, the log holds its bound: for the readings themselves, and for the latest of those so far. */
TEST(an_unsteady_clock_does_not_break_the_log)
{
    random_state = (uint64_t)test_seed() + 1;
    for (long i = test_rounds(100000); i > 0; i--) {
        struct hand hand;
        struct window w;
        struct history h, latest;
        hand_init(&hand, 0);
        h.events = 0;
        h.limit = 1 + below(4);
        h.length = h.limit * 4 + below(20);
        REQUIRE(init(&w, EXACT, h.limit, h.length, &hand.clock) == 0);
        latest = h;
        for (int k = 0; k < 60 && h.events < HISTORY; k++) {
            hand.at += (weir_ns)below(20) - 6;
            if (hand.at < 0)
                hand.at = 0;
            if (allow(&w, 1) != 0)
                continue;
            const weir_ns last = h.events > 0 ? latest.at[h.events - 1] : 0;
            h.at[h.events] = hand.at;
            latest.at[h.events] = hand.at > last ? hand.at : last;
            h.n[h.events] = latest.n[h.events] = 1;
            latest.events = ++h.events;
        }
        check_bound(&h, EXACT);
        check_bound(&latest, EXACT);
        done(&w);
    }
}

TEST(shares_of_large_numbers_are_exact)
{
    __extension__ typedef unsigned __int128 wide;
    random_state = (uint64_t)test_seed() + 1;
    for (long i = test_rounds(100000); i > 0; i--) {
        const uint64_t x = ((uint64_t)below(UINT32_MAX) << 32 | below(UINT32_MAX)) >> (1 + below(40));
        const uint32_t b = 2 + (below(INT32_MAX - 2) >> below(28)), a = below(b);
        CHECK(weir__window_share(x, a, b) == (uint64_t)((wide)x * a / b));
    }
    CHECK(weir__window_share(INT64_MAX, INT32_MAX - 1, INT32_MAX) ==
          (uint64_t)((wide)INT64_MAX * (INT32_MAX - 1) / INT32_MAX));
}

/* ---- threads ---- */

enum { THREADS = 8, EVENTS = 4000 };
struct event {
    weir_ns begin, end; /* of the call; or twice the reading that it was decided on */
};
struct asker {
    struct window *w;
    struct event event[EVENTS];
    int events;
    long calls;
    unsigned random;
    struct hand *hand;
};
static struct asker askers[TEST_WIDEST];

/* The monotonic clock, remembering what it has said. */
static __thread weir_ns last_reading;
static weir_ns reading(weir_clock *clock)
{
    (void)clock;
    return last_reading = weir_now();
}
static weir_clock recording = {reading, NULL};

static void asks(void *arg)
{
    struct asker *a = (struct asker *)arg;
    for (long i = 0; i < a->calls && a->events < EVENTS; i++) {
        const weir_ns begin = weir_now();
        const int rc = allow(a->w, 1);
        CHECK(rc == 0 || rc == EAGAIN);
        if (rc != 0)
            continue;
        a->event[a->events].begin = a->w->kind == EXACT ? last_reading : begin;
        a->event[a->events++].end = a->w->kind == EXACT ? last_reading : weir_now();
    }
}

static int by_begin(const void *a, const void *b)
{
    const weir_ns x = ((const struct event *)a)->begin, y = ((const struct event *)b)->begin;
    return (x > y) - (x < y);
}

TEST(threads_never_exceed_the_bound_in_real_time)
{
    enum { LIMIT = 20 };
    const weir_ns length = WEIR_US(200);
    struct window w;
    FOR_EACH_KIND(w, LIMIT, length, &recording)
    {
        const int threads = test_wide(THREADS), most = w.kind == FIXED      ? 2 * LIMIT
                                                       : w.kind == COUNTERS ? 2 * LIMIT - 1
                                                                            : LIMIT;
        struct event *all = (struct event *)calloc((size_t)threads * EVENTS, sizeof *all);
        int n = 0;
        REQUIRE(all != NULL);
        memset(askers, 0, sizeof askers);
        for (int i = 0; i < threads; i++) {
            askers[i].w = &w;
            askers[i].calls = test_rounds(40000);
        }
        test_threads(threads, asks, askers, sizeof askers[0]);
        for (int i = 0; i < threads; i++)
            for (int k = 0; k < askers[i].events; k++)
                all[n++] = askers[i].event[k];
        qsort(all, (size_t)n, sizeof *all, by_begin);
        CHECK(n >= LIMIT);
        for (int i = 0; i < n; i++) {
            int inside = 0;
            for (int k = i; k < n && all[k].begin < all[i].begin + length; k++)
                inside += all[k].end < all[i].begin + length;
            CHECK(inside <= most);
        }
        free(all);
    }
}

/* All move one clock by hand, and ask. Nobody is too many, and afterwards no place is missing. */
static void asks_and_moves(void *arg)
{
    struct asker *a = (struct asker *)arg;
    for (long i = 0; i < a->calls; i++) {
        a->random = a->random * 1664525 + 1013904223;
        if (a->random >> 28 == 0)
            hand_move(a->hand, (a->random >> 16) % 100);
        a->events += allow(a->w, 1) == 0;
        if (i % 256 == 0)
            sched_yield();
    }
}

TEST(threads_fill_each_window_to_the_limit_and_no_further)
{
    enum { LIMIT = 7, LENGTH = 1000 };
    struct hand hand;
    struct window w;
    for (int round = 0; round < 20; round++) {
        hand_init(&hand, 0);
        FOR_EACH_KIND(w, LIMIT, LENGTH, &hand.clock)
        {
            const int threads = test_wide(4);
            const weir_ns begin = hand.at;
            int64_t n = 0;
            memset(askers, 0, sizeof askers);
            for (int i = 0; i < threads; i++) {
                askers[i].w = &w;
                askers[i].hand = &hand;
                askers[i].random = (unsigned)(round * 100 + i) * 7919 + 1;
                askers[i].calls = test_rounds(20000) / threads;
            }
            test_threads(threads, asks_and_moves, askers, sizeof askers[0]);
            for (int i = 0; i < threads; i++)
                n += askers[i].events;
            CHECK(n <= ((hand.at - begin) / LENGTH + 1) * LIMIT);
            n += room(&w);
            CHECK(n <= ((hand.at - begin) / LENGTH + 1) * LIMIT);
            hand_move(&hand, 2 * LENGTH);
            CHECK_INT(room(&w), LIMIT);
        }
    }
}

/* As many places as threads but one, again and again: all places are taken. */
static void takes_one(void *arg)
{
    struct asker *a = (struct asker *)arg;
    a->events = allow(a->w, 1) == 0;
}

TEST(the_last_place_goes_to_one)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 3, 1000, &hand.clock)
    {
        for (long round = test_rounds(1000); round > 0; round--) {
            int n = 0;
            for (int i = 0; i < 4; i++)
                askers[i].w = &w;
            test_threads(4, takes_one, askers, sizeof askers[0]);
            for (int i = 0; i < 4; i++)
                n += askers[i].events;
            CHECK_INT(n, 3);
            hand_move(&hand, 2000);
        }
    }
}

static void waits(void *arg)
{
    struct asker *a = (struct asker *)arg;
    for (int i = 0; i < a->calls; i++) {
        CHECK_INT(await(NULL, a->w, 1), 0);
        a->event[a->events].begin = a->event[a->events].end = last_reading;
        a->events++;
    }
}

TEST(threads_that_wait_all_get_in)
{
    enum { LIMIT = 8, EACH = 5 };
    struct window w;
    FOR_EACH_KIND(w, LIMIT, WEIR_MS(1), &recording)
    {
        const int threads = test_wide(THREADS);
        const weir_ns begin = weir_now();
        memset(askers, 0, sizeof askers);
        for (int i = 0; i < threads; i++) {
            askers[i].w = &w;
            askers[i].calls = EACH;
        }
        test_threads(threads, waits, askers, sizeof askers[0]);
        CHECK(weir_now() - begin >= (threads * EACH / LIMIT - 2) * WEIR_MS(1));
    }
}

/* ---- held up between the clock and the window ---- */

static struct hand late_hand;
static struct window late_window;
static void others_in_the_next_window(void)
{
    hand_move(&late_hand, WEIR_SEC(3));
    CHECK_INT(allow(&late_window, 1), 0);
}

TEST(whoever_was_held_up_after_reading_the_clock_is_not_refused_for_being_late)
{
    for (int kind = 0; kind < KINDS; kind++) {
        hand_init(&late_hand, WEIR_SEC(100));
        REQUIRE(init(&late_window, (enum kind)kind, 2, WEIR_SEC(1), &late_hand.clock) == 0);
        CHECK_INT(allow(&late_window, 1), 0);
        CHECK_INT(allow(&late_window, 1), 0);
        late_hand.held_up = others_in_the_next_window; /* at the reading there was no room; since then there is */
        CHECK_INT(allow(&late_window, 1), 0);
        CHECK_INT(allow(&late_window, 1), EAGAIN);
        if (kind != FIXED)
            weir_sliding_window_free(&late_window.sliding);
    }
}
