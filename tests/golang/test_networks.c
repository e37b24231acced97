/* tests/golang/test_networks.c: random programs of several threads whose outcome is determined, run on weir and on Go.
 *
 * Each channel has one thread that sends and closes and one that receives, and every call blocks: a network in Kahn's sense ("The semantics of
 * a simple language for parallel programming", IFIP 1974). What each thread gets, where it sees the end, and on which call it stays for ever
 * do not depend on the schedule. So the three must agree to the last value: a simulation that takes one step after another, weir on threads,
 * and Go's own runtime (check_networks.sh gives it the file that `networks_for_go` writes).
 *
 * A program that gets stuck is let go by its context once each thread has come as far as it can; it must not have come further.
 */
#include "harness.h"

enum { MOST_THREADS = 4, MOST_CHANNELS = 4, MOST_CALLS = 8 };
enum { SEND, RECV, CLOSE };
enum { CLOSED = -1, STUCK = -2 };

struct call {
    int what, channel, value;
    int outcome; /* what was received, 0 for a send or close; CLOSED; STUCK: it never came back */
};
struct network {
    int threads, channels;
    int capacity[MOST_CHANNELS];
    int calls[MOST_THREADS];
    struct call call[MOST_THREADS][MOST_CALLS];
    int comes_to[MOST_THREADS]; /* calls that come back */
};

static uint64_t state;
static int below(int n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)((state >> 11) % (uint64_t)n);
}

/* Few calls on few channels, so that they meet; one in eight closes. */
static void invent(struct network *net)
{
    int value = 0, from[MOST_CHANNELS], to[MOST_CHANNELS];
    net->threads = 2 + below(MOST_THREADS - 1);
    net->channels = 1 + below(MOST_CHANNELS);
    for (int c = 0; c < net->channels; c++) {
        net->capacity[c] = below(4);
        from[c] = below(net->threads);
        to[c] = (from[c] + 1 + below(net->threads - (below(8) != 0))) % net->threads; /* seldom the same thread */
    }
    for (int t = 0; t < net->threads; t++) {
        const int calls = 1 + below(MOST_CALLS);
        net->calls[t] = 0;
        for (int i = 0; i < calls; i++) {
            const int c = below(net->channels);
            struct call *call = &net->call[t][net->calls[t]];
            if (from[c] != t && to[c] != t)
                continue;
            call->what = from[c] != t || (to[c] == t && below(2) != 0) ? RECV : below(8) == 0 ? CLOSE : SEND;
            call->channel = c;
            call->value = call->what == SEND ? ++value : 0;
            net->calls[t]++;
        }
    }
}

/* ---- the simulation ---- */

struct queue {
    int value[MOST_THREADS * MOST_CALLS];
    int first, past;
    bool closed;
};

/* Takes thread t's next call if it can come back now; a rendezvous also takes the peer's. */
static bool step(struct network *net, struct queue *queues, int *at, int t)
{
    if (at[t] == net->calls[t])
        return false;
    struct call *call = &net->call[t][at[t]];
    struct queue *q = &queues[call->channel];
    const int capacity = net->capacity[call->channel];
    switch (call->what) {
    case CLOSE:
        call->outcome = q->closed ? CLOSED : 0;
        q->closed = true;
        break;
    case SEND:
        if (!q->closed && q->past - q->first >= capacity)
            return false; /* a rendezvous: its receiver takes the step */
        call->outcome = q->closed ? CLOSED : 0;
        if (!q->closed)
            q->value[q->past++] = call->value;
        break;
    default:
        for (int s = 0; capacity == 0 && !q->closed && s < net->threads; s++) {
            struct call *peer = at[s] < net->calls[s] ? &net->call[s][at[s]] : NULL;
            if (s == t || peer == NULL || peer->what != SEND || peer->channel != call->channel)
                continue;
            peer->outcome = 0;
            at[s]++;
            q->value[q->past++] = peer->value;
        }
        if (q->past == q->first && !q->closed)
            return false;
        call->outcome = q->past == q->first ? CLOSED : q->value[q->first++];
    }
    at[t]++;
    return true;
}

static void simulate(struct network *net)
{
    struct queue queues[MOST_CHANNELS];
    memset(queues, 0, sizeof queues);
    memset(net->comes_to, 0, sizeof net->comes_to);
    for (bool on = true; on;) {
        on = false;
        for (int t = 0; t < net->threads; t++)
            on |= step(net, queues, net->comes_to, t);
    }
    for (int t = 0; t < net->threads; t++)
        for (int i = net->comes_to[t]; i < net->calls[t]; i++)
            net->call[t][i].outcome = STUCK;
}

/* ---- weir ---- */

/* The same program on channels of each kind that one sender and one receiver may use, half of the calls through select. */
#define RUN_ON(name, handle)                                                                                           \
    typedef handle(int) name##_channel;                                                                                \
    struct name##_run {                                                                                                \
        const struct network *net;                                                                                     \
        name##_channel *channels;                                                                                      \
        weir_ctx *ctx;                                                                                                 \
        int thread;                                                                                                    \
        int came_to; /* atomic */                                                                                      \
    };                                                                                                                 \
    static void name##_thread(void *arg)                                                                               \
    {                                                                                                                  \
        struct name##_run *run = (struct name##_run *)arg;                                                             \
        for (int i = 0; i < run->net->calls[run->thread]; i++) {                                                       \
            const struct call *call = &run->net->call[run->thread][i];                                                 \
            const name##_channel ch = run->channels[call->channel];                                                    \
            int value = call->value, err;                                                                              \
            weir_case one = call->what == SEND ? WEIR_SEND(ch, &value) : WEIR_RECV(ch, &value);                        \
            if (call->what == CLOSE)                                                                                   \
                err = weir_close(ch);                                                                                  \
            else if ((run->thread + i) % 2 != 0)                                                                       \
                err = weir_select(run->ctx, &one, 1) == 0 ? one.status : ECANCELED;                                    \
            else                                                                                                       \
                err = call->what == SEND ? weir_send(run->ctx, ch, &value) : weir_recv(run->ctx, ch, &value);          \
            if (err == ECANCELED)                                                                                      \
                return;                                                                                                \
            if (err != 0)                                                                                              \
                CHECK_INT(err, EPIPE);                                                                                 \
            CHECK_INT(err != 0 ? CLOSED : call->what == RECV ? value : 0, call->outcome);                              \
            __atomic_store_n(&run->came_to, i + 1, __ATOMIC_RELEASE);                                                  \
        }                                                                                                              \
    }                                                                                                                  \
    static bool name##_network(const struct network *net)                                                              \
    {                                                                                                                  \
        name##_channel channels[MOST_CHANNELS];                                                                        \
        struct name##_run runs[MOST_THREADS];                                                                          \
        weir_ctx ctx;                                                                                                  \
        bool held = true;                                                                                              \
        weir_ctx_init(&ctx, NULL);                                                                                     \
        for (int c = 0; c < net->channels; c++)                                                                        \
            REQUIRE(weir_##name##_make(&channels[c], (size_t)net->capacity[c]) == 0);                                  \
        for (int t = 0; t < net->threads; t++)                                                                         \
            runs[t] = (struct name##_run){.net = net, .channels = channels, .ctx = &ctx, .thread = t};                 \
        struct test_team *team = test_start(net->threads, name##_thread, runs, sizeof runs[0]);                        \
        for (int t = 0; t < net->threads; t++)                                                                         \
            EVENTUALLY(__atomic_load_n(&runs[t].came_to, __ATOMIC_ACQUIRE) >= net->comes_to[t]);                       \
        weir_ctx_cancel(&ctx, 0);                                                                                      \
        test_join(team);                                                                                               \
        for (int t = 0; t < net->threads; t++)                                                                         \
            held &= CHECK_INT(runs[t].came_to, net->comes_to[t]);                                                      \
        for (int c = 0; c < net->channels; c++)                                                                        \
            weir_##name##_free(&channels[c]);                                                                          \
        weir_ctx_free(&ctx);                                                                                           \
        return held;                                                                                                   \
    }
#define weir_spsc_make weir_chan_make /* one name makes every kind */
#define weir_spsc_free weir_chan_free
RUN_ON(chan, weir_chan)
RUN_ON(spsc, weir_spsc)

static void print(FILE *file, const struct network *net)
{
    fprintf(file, "%d %d", net->threads, net->channels);
    for (int c = 0; c < net->channels; c++)
        fprintf(file, " %d", net->capacity[c]);
    for (int t = 0; t < net->threads; t++) {
        fprintf(file, "  %d", net->calls[t]);
        for (int i = 0; i < net->calls[t]; i++) {
            const struct call *c = &net->call[t][i];
            fprintf(file, " %d %d %d %d", c->what, c->channel, c->value, c->outcome);
        }
    }
    fputc('\n', file);
}

static void networks(long n, FILE *file)
{
    for (long i = 0; i < n; i++) {
        struct network net;
        state = ((uint64_t)test_seed() << 32 | (uint64_t)(i + 1)) * UINT64_C(0x9E3779B97F4A7C15);
        invent(&net);
        simulate(&net);
        if (!(i % 2 != 0 ? spsc_network(&net) : chan_network(&net))) {
            test_say("# network %ld of WEIR_TEST_SEED=%ld: ", i, test_seed());
            print(stdout, &net);
        }
        if (file != NULL)
            print(file, &net);
    }
}

TEST_LIMIT(networks_come_out_as_they_must, 120)
{
    networks(test_rounds(10000), NULL);
}

/* WEIR_TEST_FILE: where to. */
TEST_DEFINE(networks_for_go, 600, true)
{
    FILE *file = fopen(getenv("WEIR_TEST_FILE") != NULL ? getenv("WEIR_TEST_FILE") : "/dev/null", "w");
    REQUIRE(file != NULL);
    networks(100000, file);
    CHECK(fclose(file) == 0);
}
