/* tests/guard/test_limiter_bound.c: no interval of length T admits more than rate * T + burst (T to a nanosecond): a million random histories by hand, then threads that
 * race on the real clock. And what is reserved, cancelled and taken by racing threads adds up.
 */
#include "guard/hand.h"

enum { EVENTS = 48, THREADS = 8 };

static struct hand hand;
static weir_limiter l;

/* Every interval that begins and ends with an event: the most that any interval can hold. Readings of the clock are whole nanoseconds: two that are T apart
 * lie up to T + 1 apart. */
static bool within(const weir_ns *when, const int64_t *n, int events, double rate, int64_t burst)
{
    for (int i = 0; i < events; i++) {
        int64_t sum = 0;
        for (int j = i; j < events; j++) {
            sum += n[j];
            if ((double)sum > rate * 1e-9 * (double)(when[j] - when[i] + 1) * (1 + 1e-12) + (double)burst)
                return false;
        }
    }
    return true;
}

static uint64_t random_state;
static uint64_t draw(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

TEST_LIMIT(a_million_random_histories, 180)
{
    static const double rates[] = {0.3, 7, 1000, 12345.678, 1e6, 33e6, 1e9, 4e9};
    random_state = (uint64_t)test_seed() | 0x9e3779b9;
    for (long round = test_rounds(1000000); round > 0; round--) {
        const double rate = rates[draw(8)];
        const int64_t burst = (int64_t)draw(20) + 1;
        const double token = 1e9 / rate;
        weir_ns when[EVENTS];
        int64_t n[EVENTS];
        int events = 0;
        hand_init(&hand, (weir_ns)draw(1000000000000));
        REQUIRE(weir_limiter_init(&l, rate, burst, &hand.clock) == 0);
        for (int i = 0; i < EVENTS; i++) {
            const int64_t want = (int64_t)draw((uint64_t)burst) + 1;
            const weir_ns back = draw(16) == 0 && events > 0 ? (weir_ns)draw((uint64_t)(3 * token) + 2) : 0;
            weir_reservation r;
            hand_move(&hand, (weir_ns)(token * (double)draw(4000) / 1000) + (weir_ns)draw(3));
            hand_move(&hand, -back); /* an old reading, now and then */
            if (draw(4) == 0
                    ? weir_limiter_reserve(&l, want, &r) == 0 && (draw(4) != 0 || weir_limiter_cancel(&l, &r) != 0)
                    : weir_limiter_allow(&l, want) == 0 && (r.when = hand.at, true)) {
                when[events] = r.when;
                n[events++] = want;
            }
            hand_move(&hand, back);
        }
        for (int i = 1; i < events; i++) /* by time: a reservation may lie behind what is allowed later */
            for (int j = i; j > 0 && when[j - 1] > when[j]; j--) {
                const weir_ns t = when[j];
                const int64_t m = n[j];
                when[j] = when[j - 1];
                n[j] = n[j - 1];
                when[j - 1] = t;
                n[j - 1] = m;
            }
        if (!CHECK(within(when, n, events, rate, burst))) {
            test_say("#   rate %g burst %d\n", rate, (int)burst);
            return;
        }
    }
}

/* ---- threads ---- */

struct taker {
    int64_t got, lost;
    weir_ns until;
};

static void takes(void *arg)
{
    struct taker *t = (struct taker *)arg;
    do
        for (int i = 0; i < 64; i++)
            if (weir_limiter_allow(&l, 1 + i % 3) == 0)
                t->got += 1 + i % 3;
    while (weir_now() < t->until);
}

TEST(threads_that_race_on_the_real_clock_get_no_more)
{
    static const double rates[] = {1000, 100000, 3e6, 1e9};
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct taker t[THREADS] = {{0, 0, 0}};
        const weir_ns begun = weir_now();
        int64_t got = 0;
        double most;
        REQUIRE(weir_limiter_init(&l, rates[i], 50, NULL) == 0);
        for (int k = 0; k < THREADS; k++)
            t[k].until = begun + WEIR_MS(100);
        test_threads(THREADS, takes, t, sizeof t[0]);
        most = rates[i] * 1e-9 * (double)(weir_now() - begun) + 50;
        for (int k = 0; k < THREADS; k++)
            got += t[k].got;
        CHECK((double)got <= most);
        CHECK(got >= 48); /* the last two may be too few for whoever wants three */
    }
}

/* Without time: as many tokens as the burst, whoever takes, reserves, cancels. */
static void takes_and_gives_back(void *arg)
{
    struct taker *t = (struct taker *)arg;
    for (int i = 0; i < 3000; i++) {
        weir_reservation r;
        if (weir_limiter_reserve(&l, 2, &r) != 0)
            continue;
        if (weir_limiter_cancel(&l, &r) != 0)
            t->lost += 2;
        if (weir_limiter_allow(&l, 1) == 0)
            t->got++;
    }
}

TEST(tokens_reserved_and_given_back_by_racing_threads_add_up)
{
    hand_init(&hand, 5);
    for (long round = test_rounds(20); round > 0; round--) {
        struct taker t[THREADS] = {{0, 0, 0}};
        int64_t got = 0, lost = 0;
        double left;
        REQUIRE(weir_limiter_init(&l, 1, 1 << 20, &hand.clock) == 0);
        test_threads(THREADS, takes_and_gives_back, t, sizeof t[0]);
        for (int k = 0; k < THREADS; k++) {
            got += t[k].got;
            lost += t[k].lost;
        }
        left = weir_limiter_tokens(&l);
        /* A cancel that others overtook gives back a part: at least nothing, at most all. */
        CHECK((double)(1 << 20) - (double)got - (double)lost - (double)(2 * THREADS * 3000) <= left);
        CHECK(left <= (double)(1 << 20) - (double)got - (double)lost);
    }
}

static int changing; /* atomic */
static void changes(void *arg)
{
    struct taker *t = (struct taker *)arg;
    int i = 0;
    while (weir_now() < t->until) {
        (void)weir_limiter_set_rate(&l, i % 2 ? 1000 : 3e9);
        (void)weir_limiter_set_rate(&l, i % 2 ? 0.001 : 77777);
        if (++i % 16 == 0)
            (void)weir_limiter_set_burst(&l, 10 + i % 40);
    }
    __atomic_store_n(&changing, 0, __ATOMIC_RELEASE);
    t->got = 0;
}

static void takes_or_changes(void *arg)
{
    struct taker *t = (struct taker *)arg;
    if (t->lost == 1) {
        t->lost = 0;
        changes(t);
    } else
        takes(t);
}

/* On a clock that stands still nothing is minted: whatever the rates become, the first burst is all there is. */
TEST(changing_the_rate_under_them_makes_no_token)
{
    for (long round = test_rounds(10); round > 0; round--) {
        struct taker t[THREADS] = {{0, 0, 0}};
        int64_t got = 0;
        hand_init(&hand, 5);
        REQUIRE(weir_limiter_init(&l, 1000, 50, &hand.clock) == 0);
        for (int k = 0; k < THREADS; k++)
            t[k].until = weir_now() + WEIR_MS(20);
        t[0].lost = 1;
        test_threads(THREADS, takes_or_changes, t, sizeof t[0]);
        for (int k = 0; k < THREADS; k++)
            got += t[k].got;
        CHECK(got <= 50);
    }
}
