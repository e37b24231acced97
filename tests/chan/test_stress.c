/* tests/chan/test_stress.c: more threads than cores, small rings, all strategies. Everything sent is received once, errno stays. */
#include "harness.h"
#include "kinds.h"

enum { ERRNO = 12345 }; /* a value that no system call leaves there */

struct load {
    const struct kind *k;
    void *ch;
    int seats; /* atomic */
    long values;
    uint64_t count, sum, squares; /* atomic; modulo 2^64, as good as any checksum */
};

static void add_up(struct load *l, uint64_t count, uint64_t sum, uint64_t squares)
{
    __atomic_add_fetch(&l->count, count, __ATOMIC_RELAXED);
    __atomic_add_fetch(&l->sum, sum, __ATOMIC_RELAXED);
    __atomic_add_fetch(&l->squares, squares, __ATOMIC_RELAXED);
}

static void send_share(void *p)
{
    struct load *l = (struct load *)p;
    const long self = __atomic_fetch_add(&l->seats, 1, __ATOMIC_RELAXED);
    errno = ERRNO;
    for (long i = 0; i < l->values; i++) {
        const uint64_t v = (uint64_t)(self * l->values + i);
        CHECK_INT(l->k->send(NULL, l->ch, &v), 0);
    }
    CHECK_INT(errno, ERRNO);
}

static void receive_share(void *p)
{
    struct load *l = (struct load *)p;
    uint64_t v, count = 0, sum = 0, squares = 0;
    errno = ERRNO;
    for (; l->k->recv(NULL, l->ch, &v) == 0; count++) {
        sum += v;
        squares += v * v;
    }
    CHECK_INT(errno, ERRNO);
    add_up(l, count, sum, squares);
}

static void run_load(const struct kind *k, size_t capacity, weir_wait_strategy s, int senders, int receivers,
                     long values)
{
    struct load l = {k, open_channel(k, capacity, s), 0, values / senders + 1, 0, 0, 0};
    uint64_t count = (uint64_t)(senders * l.values), sum = 0, squares = 0;
    struct test_team *team = test_start(receivers, receive_share, &l, 0);
    test_threads(senders, send_share, &l, 0);
    CHECK_INT(k->close(l.ch), 0);
    test_join(team);
    for (uint64_t v = 0; v < count; v++) {
        sum += v;
        squares += v * v;
    }
    CHECK_INT(l.count, count);
    CHECK_INT(l.sum, sum);
    CHECK_INT(l.squares, squares);
    CHECK_INT(k->len(l.ch), 0);
    k->free(&l.ch);
}

static const size_t capacities[] = {1, 2, 3, 64};

/* One thread on each side, and several. A spinner keeps its core for a time slice, so there are fewer values for it. */
TEST_EACH_KIND_LIMIT(every_strategy_and_capacity, 180)
{
    for (int s = 0; s < STRATEGIES; s++)
        for (int c = 0; c < 4; c++) {
            const long values = test_rounds(strategies[s] == WEIR_WAIT_SPIN ? 1000 : 10000);
            run_load(k, capacities[c], strategies[s], 1, 1, values);
            run_load(k, capacities[c], strategies[s], senders_of(k, 3), receivers_of(k, 2), values);
        }
}

TEST_EACH_KIND_LIMIT(far_more_threads_than_cores, 180)
{
    for (int c = 0; c < 4; c++) {
        run_load(k, capacities[c], WEIR_WAIT_ADAPTIVE, senders_of(k, 16), receivers_of(k, 16), test_rounds(20000));
        run_load(k, capacities[c], WEIR_WAIT_YIELD, senders_of(k, 16), receivers_of(k, 16), test_rounds(10000));
    }
}

/* Parks on every wait: the wake-ups are all there is. */
TEST_EACH_KIND_LIMIT(nothing_but_parking, 180)
{
    for (int c = 0; c < 4; c++) {
        run_load(k, capacities[c], WEIR_WAIT_PARK, senders_of(k, 16), receivers_of(k, 16), test_rounds(10000));
        run_load(k, capacities[c], WEIR_WAIT_PARK, senders_of(k, 16), 1, test_rounds(5000));
        run_load(k, capacities[c], WEIR_WAIT_PARK, 1, receivers_of(k, 16), test_rounds(5000));
    }
}

/* errno, where calls fail, sleep and time out. */
TEST_EACH_KIND(errno_is_left_alone)
{
    for (int s = 0; s < STRATEGIES; s++) {
        void *ch = open_channel(k, 1, strategies[s]);
        uint64_t v = 0;
        errno = ERRNO;
        CHECK_INT(k->recv_until(NULL, ch, &v, weir_now() + WEIR_MS(2)), ETIMEDOUT);
        CHECK_INT(k->send(NULL, ch, &v), 0);
        CHECK_INT(k->send_until(NULL, ch, &v, weir_now() + WEIR_MS(2)), ETIMEDOUT);
        CHECK_INT(k->try_send(ch, &v), EAGAIN);
        CHECK_INT(k->recv_until(NULL, NULL, &v, weir_now() + WEIR_MS(2)), ETIMEDOUT);
        CHECK_INT(k->close(ch), 0);
        CHECK_INT(k->send(NULL, ch, &v), EPIPE);
        CHECK_INT(errno, ERRNO);
        k->free(&ch);
    }
}

/* weir_len reads two counters that move: what it says was so at one moment. */
struct traffic {
    weir_chan(int) ch;
    int stop; /* atomic */
};

static void send_and_take(void *p)
{
    struct traffic *t = (struct traffic *)p;
    int v = 0;
    while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
        CHECK_INT(weir_send(NULL, t->ch, &v), 0);
        CHECK_INT(weir_recv(NULL, t->ch, &v), 0);
    }
}

TEST(len_is_within_the_capacity_while_values_move)
{
    struct traffic t = {.stop = 0};
    REQUIRE(weir_chan_make(&t.ch, 5) == 0);
    struct test_team *team = test_start(2, send_and_take, &t, 0);
    for (long i = test_rounds(2000000); i > 0; i--)
        REQUIRE(weir_len(t.ch) <= 2); /* each has at most one inside */
    __atomic_store_n(&t.stop, 1, __ATOMIC_RELEASE);
    test_join(team);
    CHECK_INT(weir_len(t.ch), 0);
    weir_chan_free(&t.ch);
}
