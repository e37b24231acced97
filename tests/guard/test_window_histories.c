/* tests/guard/test_window_histories.c: a million random histories beside references that look at all events. */
#include "window.h"

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
