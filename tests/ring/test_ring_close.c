/* tests/ring/test_ring_close.c: a close that races with the sender, and the receivers, thousands of times. Each send
 * that returned 0 is received exactly once, each that returned EPIPE never, and nothing is accepted after a refusal.
 * */
#include "harness.h"

enum { RECEIVERS = 2, VALUES = 64, CAPACITY = 3 };

typedef weir_spsc(uint32_t) line;
typedef weir_spmc(uint32_t) spread;
typedef weir_mpsc(uint32_t) funnel;
typedef weir_chan(uint32_t) crowd;

/* One of these per round; the handles of the kinds are one pointer each. */
static struct {
    int kind, receivers;
    line line;
    spread spread;
    funnel funnel;
    crowd crowd;
    weir_chan_opt opt;
    uint32_t begun, ended; /* atomic: rounds; threads through with this one */
    long rounds;
    int next;                             /* atomic: the roles */
    uint32_t accepted;                    /* by the sender */
    unsigned char got[RECEIVERS][VALUES]; /* by each receiver */
} game;

static int send_one(uint32_t v)
{
    switch (game.kind) {
    case WEIR__SPSC: return weir_send(NULL, game.line, &v);
    case WEIR__MPSC: return weir_send(NULL, game.funnel, &v);
    case WEIR__SPMC: return weir_send(NULL, game.spread, &v);
    default: return weir_send(NULL, game.crowd, &v);
    }
}

static int recv_one(uint32_t *v)
{
    switch (game.kind) {
    case WEIR__SPSC: return weir_recv(NULL, game.line, v);
    case WEIR__MPSC: return weir_recv(NULL, game.funnel, v);
    case WEIR__SPMC: return weir_recv(NULL, game.spread, v);
    default: return weir_recv(NULL, game.crowd, v);
    }
}

static int close_channel(void)
{
    switch (game.kind) {
    case WEIR__SPSC: return weir_close(game.line);
    case WEIR__MPSC: return weir_close(game.funnel);
    case WEIR__SPMC: return weir_close(game.spread);
    default: return weir_close(game.crowd);
    }
}

static void make_channel(void)
{
    int rc;
    switch (game.kind) {
    case WEIR__SPSC: rc = weir_chan_make_opt(&game.line, CAPACITY, &game.opt); break;
    case WEIR__MPSC: rc = weir_chan_make_opt(&game.funnel, CAPACITY, &game.opt); break;
    case WEIR__SPMC: rc = weir_chan_make_opt(&game.spread, CAPACITY, &game.opt); break;
    default: rc = weir_chan_make_opt(&game.crowd, CAPACITY, &game.opt); break;
    }
    REQUIRE(rc == 0);
}

static void free_channel(void)
{
    switch (game.kind) {
    case WEIR__SPSC: weir_chan_free(&game.line); break;
    case WEIR__MPSC: weir_chan_free(&game.funnel); break;
    case WEIR__SPMC: weir_chan_free(&game.spread); break;
    default: weir_chan_free(&game.crowd); break;
    }
}

/* Sends until it is refused, or all are sent; a few more to see that the refusal stands. */
static void send_round(void)
{
    uint32_t v = 0;
    while (v < VALUES && send_one(v) == 0)
        v++;
    game.accepted = v;
    for (uint32_t i = 0; v < VALUES && i < CAPACITY + 2; i++)
        CHECK_INT(send_one(VALUES - 1), EPIPE);
}

static void recv_round(int me)
{
    uint32_t v = 0, least = 0;
    int rc;
    while ((rc = recv_one(&v)) == 0) {
        if (!CHECK(v < VALUES && v >= least))
            continue;
        least = v + 1;
        game.got[me][v]++;
    }
    CHECK_INT(rc, EPIPE);
}

static void play(void *unused)
{
    const int role = __atomic_fetch_add(&game.next, 1, __ATOMIC_SEQ_CST);
    (void)unused;
    for (uint32_t round = 1; round <= (uint32_t)game.rounds; round++) {
        while (__atomic_load_n(&game.begun, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        if (role == 0)
            send_round();
        else
            recv_round(role - 1);
        __atomic_add_fetch(&game.ended, 1, __ATOMIC_ACQ_REL);
    }
}

static void judge(void)
{
    for (uint32_t v = 0; v < VALUES; v++) {
        int times = 0;
        for (int r = 0; r < game.receivers; r++)
            times += game.got[r][v];
        CHECK_INT(times, v < game.accepted ? 1 : 0);
    }
}

static void play_rounds(int kind, int receivers, weir_wait_strategy wait)
{
    memset(&game, 0, sizeof game);
    game.kind = kind;
    game.receivers = receivers;
    game.opt.wait = wait;
    game.rounds = test_rounds(10000);
    struct test_team *team = test_start(1 + receivers, play, NULL, 0);
    for (uint32_t round = 1; round <= (uint32_t)game.rounds; round++) {
        make_channel();
        memset(game.got, 0, sizeof game.got);
        game.ended = 0;
        __atomic_store_n(&game.begun, round, __ATOMIC_RELEASE);
        for (uint32_t i = round % 37 * 8; i > 0; i--) /* sometimes before the first value, sometimes in the midst */
            WEIR_CPU_PAUSE();
        if (round % 5 == 0)
            sched_yield();
        CHECK_INT(close_channel(), 0);
        CHECK_INT(close_channel(), EPIPE);
        while (__atomic_load_n(&game.ended, __ATOMIC_ACQUIRE) < 1 + (uint32_t)receivers)
            sched_yield();
        judge();
        free_channel();
    }
    test_join(team);
}

TEST_LIMIT(spsc, 120)
{
    play_rounds(WEIR__SPSC, 1, WEIR_WAIT_ADAPTIVE);
}

TEST_LIMIT(spsc_parking, 120)
{
    play_rounds(WEIR__SPSC, 1, WEIR_WAIT_PARK);
}

TEST_LIMIT(spmc, 120)
{
    play_rounds(WEIR__SPMC, 1, WEIR_WAIT_ADAPTIVE);
    play_rounds(WEIR__SPMC, RECEIVERS, WEIR_WAIT_ADAPTIVE);
}

TEST_LIMIT(spmc_parking, 120)
{
    play_rounds(WEIR__SPMC, RECEIVERS, WEIR_WAIT_PARK);
}

TEST_LIMIT(many_producers, 120)
{
    play_rounds(WEIR__MPSC, 1, WEIR_WAIT_ADAPTIVE);
    play_rounds(WEIR__MPMC, RECEIVERS, WEIR_WAIT_ADAPTIVE);
}
