/* tests/chan/test_select_fair.c: among ready cases each is equally likely, whatever makes them ready and whatever stands between.
 *
 * Pearson's chi-squared over many draws. The bounds are those that a fair choice exceeds about once in 10^9 runs. */
#include "queues.h"

typedef weir_chan(int) int_chan;

enum { MOST = 10 };

static double bound(int degrees)
{
    switch (degrees) {
    case 1: return 38;
    case 2: return 42;
    case 8: return 60;
    default: return 63; /* 9 */
    }
}

static void check_uniform(const long *counts, int n)
{
    double total = 0, sum = 0;
    for (int i = 0; i < n; i++)
        total += (double)counts[i];
    for (int i = 0; i < n; i++) {
        const double off = (double)counts[i] - total / n;
        sum += off * off / (total / n);
    }
    if (!CHECK(sum < bound(n - 1)))
        for (int i = 0; i < n; i++)
            test_say("#   %d: %ld\n", i, counts[i]);
}

/* What makes a case ready. */
enum how { FILLED, CLOSED, ROOMY, CLOSED_RENDEZVOUS, SEND_TO_CLOSED };

static void make_ready(int_chan *ch, enum how how)
{
    REQUIRE(weir_chan_make(ch, how == CLOSED_RENDEZVOUS ? 0 : 1) == 0);
    if (how == FILLED)
        CHECK_INT(weir_try_send(*ch, &(int){0}), 0);
    else if (how != ROOMY)
        CHECK_INT(weir_close(*ch), 0);
}

/* n ready cases, with `gaps` cases that are not ready after the first: a scan from a random start would favour what follows. */
static void draws(int n, int gaps, enum how how, bool trying, long rounds)
{
    int_chan ready[MOST], idle;
    weir_case cases[2 * MOST];
    long counts[MOST] = {0}, pairs[9] = {0};
    int place[2 * MOST], last = 0, v = 0;
    REQUIRE(weir_chan_make(&idle, 1) == 0);
    for (int i = 0; i < n; i++) {
        const int at = i == 0 ? 0 : i + gaps;
        make_ready(&ready[i], how);
        place[at] = i;
        cases[at] = how == ROOMY || how == SEND_TO_CLOSED ? WEIR_SEND(ready[i], &v) : WEIR_RECV(ready[i], &v);
    }
    for (int i = 1; i <= gaps; i++) {
        cases[i] = WEIR_RECV(idle, &v);
        place[i] = -1;
    }
    for (long r = 0; r < rounds; r++) {
        const int done =
            trying ? weir_try_select(cases, (size_t)(n + gaps)) : weir_select(NULL, cases, (size_t)(n + gaps));
        if (!CHECK(done >= 0 && place[done] >= 0))
            break;
        const int i = place[done];
        counts[i]++;
        if (n == 3 && r > 0)
            pairs[3 * last + i]++;
        last = i;
        if (how == FILLED)
            CHECK_INT(weir_try_send(ready[i], &v), 0);
        else if (how == ROOMY)
            CHECK_INT(weir_try_recv(ready[i], &v), 0);
    }
    check_uniform(counts, n);
    if (n == 3)
        check_uniform(pairs, 9); /* one choice says nothing about the next */
    for (int i = 0; i < n; i++)
        weir_chan_free(&ready[i]);
    weir_chan_free(&idle);
}

static void draws_of_all_sizes(enum how how)
{
    const long rounds = test_rounds(100000);
    draws(2, 0, how, false, rounds);
    draws(3, 0, how, false, rounds);
    draws(10, 0, how, false, rounds);
    draws(2, 5, how, false, rounds);
    draws(3, 1, how, true, rounds);
    draws(10, 9, how, true, rounds);
}

TEST(receiving_from_filled_channels)
{
    draws_of_all_sizes(FILLED);
}

TEST(receiving_from_closed_channels)
{
    draws_of_all_sizes(CLOSED);
}

TEST(sending_to_channels_with_room)
{
    draws_of_all_sizes(ROOMY);
}

TEST(closed_rendezvous)
{
    draws_of_all_sizes(CLOSED_RENDEZVOUS);
}

TEST(sending_to_closed_channels)
{
    draws_of_all_sizes(SEND_TO_CLOSED);
}

/* The share is among ready cases, not among channels: one that stands in two of three cases has two thirds. */
TEST(a_channel_in_two_cases_has_two_chances)
{
    int_chan a, b;
    long counts[3] = {0};
    make_ready(&a, CLOSED);
    make_ready(&b, CLOSED);
    weir_case cases[] = {WEIR_RECV(a, (int *)NULL), WEIR_RECV(b, (int *)NULL), WEIR_RECV(a, (int *)NULL)};
    for (long r = test_rounds(100000); r > 0; r--)
        counts[weir_select(NULL, cases, 3)]++;
    check_uniform(counts, 3);
    weir_chan_free(&a);
    weir_chan_free(&b);
}

/* ---- peers that wait in rendezvous channels ---- */

struct peer {
    int_chan ch;
    bool sends;
};

static void peer_main(void *p)
{
    struct peer *peer = (struct peer *)p;
    int v = 1, rc;
    do
        rc = peer->sends ? weir_send(NULL, peer->ch, &v) : weir_recv(NULL, peer->ch, &v);
    while (rc == 0);
    CHECK_INT(rc, EPIPE);
}

TEST(rendezvous_with_a_peer_waiting_in_each)
{
    enum { PEERS = 3 };
    struct peer peers[PEERS];
    weir_case cases[PEERS];
    long counts[PEERS] = {0}, pairs[PEERS * PEERS] = {0};
    int v = 0, last = 0;
    for (int i = 0; i < PEERS; i++) {
        REQUIRE(weir_chan_make(&peers[i].ch, 0) == 0);
        peers[i].sends = i != 1;
        cases[i] = peers[i].sends ? WEIR_RECV(peers[i].ch, &v) : WEIR_SEND(peers[i].ch, &v);
    }
    struct test_team *team = test_start(PEERS, peer_main, peers, sizeof peers[0]);
    for (long r = 0; r < test_rounds(100000); r++) {
        for (int i = 0; i < PEERS; i++)
            while (waiting_senders(peers[i].ch) + waiting_receivers(peers[i].ch) == 0)
                sched_yield();
        const int done = weir_select(NULL, cases, PEERS);
        if (!CHECK(done >= 0 && cases[done].status == 0))
            break;
        counts[done]++;
        if (r > 0)
            pairs[PEERS * last + done]++;
        last = done;
    }
    check_uniform(counts, PEERS);
    check_uniform(pairs, PEERS * PEERS);
    for (int i = 0; i < PEERS; i++)
        weir_close(peers[i].ch);
    test_join(team);
    for (int i = 0; i < PEERS; i++)
        weir_chan_free(&peers[i].ch);
}
