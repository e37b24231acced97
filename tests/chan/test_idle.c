/* tests/chan/test_idle.c: who waits long, sleeps. */
#include "harness.h"
#include "kinds.h"

struct idler {
    const struct kind *k;
    void *ch;
    bool sends;
    weir_ctx *ctx;
    weir_ns used; /* processor time of the call */
    int rc;
};

static weir_ns processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return WEIR_SEC(t.tv_sec) + t.tv_nsec;
}

static void idle(void *p)
{
    struct idler *i = (struct idler *)p;
    uint64_t v = 0;
    const weir_ns begun = processor_time();
    i->rc = i->sends ? i->k->send(i->ctx, i->ch, &v) : i->k->recv(i->ctx, i->ch, &v);
    i->used = processor_time() - begun;
}

/* For each kind a receiver, a sender, and one on a NULL channel, with and without a context, all at once for 300 ms. */
static void check_idle(weir_wait_strategy s)
{
    enum { EACH = 5 };
    struct idler idlers[KINDS * EACH];
    void *empty[KINDS], *full[KINDS];
    weir_ctx ctx;
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(300));
    for (int i = 0; i < KINDS; i++) {
        const struct kind *k = &kinds[i];
        empty[i] = open_channel(k, 2, s);
        full[i] = open_channel(k, 2, s);
        CHECK_INT(fill(k, full[i], 0), 2);
        struct idler receives = {k, empty[i], false, &ctx, 0, 0}, sends = {k, full[i], true, &ctx, 0, 0};
        struct idler nowhere = {k, NULL, false, &ctx, 0, 0};
        idlers[i * EACH] = receives;
        idlers[i * EACH + 1] = sends;
        idlers[i * EACH + 2] = nowhere;
        /* Without a context: woken by a close, further down. In kinds with one thread a side these are other channels. */
        idlers[i * EACH + 3] = receives;
        idlers[i * EACH + 4] = sends;
        for (int other = 3; other < EACH; other++) {
            idlers[i * EACH + other].ctx = NULL;
            idlers[i * EACH + other].ch = open_channel(k, 2, s);
        }
        CHECK_INT(fill(k, idlers[i * EACH + 4].ch, 0), 2);
    }
    struct test_team *team = test_start(KINDS * EACH, idle, idlers, sizeof idlers[0]);
    while (weir_ctx_err(&ctx) == 0)
        usleep(10000);
    for (int i = 0; i < KINDS * EACH; i++)
        if (i % EACH >= 3)
            CHECK_INT(idlers[i].k->close(idlers[i].ch), 0);
    test_join(team);
    for (int i = 0; i < KINDS * EACH; i++) {
        CHECK_INT(idlers[i].rc, i % EACH >= 3 ? EPIPE : ETIMEDOUT);
        if (!CHECK(idlers[i].used < WEIR_MS(20)))
            test_say("#   %s, case %d: %lld us of processor time\n", idlers[i].k->name, i % EACH,
                     (long long)(idlers[i].used / 1000));
        if (i % EACH >= 3)
            idlers[i].k->free(&idlers[i].ch);
    }
    for (int i = 0; i < KINDS; i++) {
        kinds[i].free(&empty[i]);
        kinds[i].free(&full[i]);
    }
    weir_ctx_free(&ctx);
}

TEST(a_blocked_thread_sleeps)
{
    check_idle(WEIR_WAIT_ADAPTIVE);
}

TEST(a_parked_thread_sleeps)
{
    check_idle(WEIR_WAIT_PARK);
}

/* A sender behind a stopped peer, or a receiver behind one, sleeps too: here a reservation that nobody commits for 300 ms. */
TEST(a_thread_behind_a_busy_peer_sleeps)
{
    const struct kind *k = &kinds[0];
    void *ch = open_channel(k, 2, WEIR_WAIT_ADAPTIVE);
    weir_ctx ctx;
    uint64_t *slot = NULL;
    REQUIRE(k->reserve(NULL, ch, &slot) == 0);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(300));
    struct idler i = {k, ch, false, &ctx, 0, 0};
    test_threads(1, idle, &i, 0);
    CHECK_INT(i.rc, ETIMEDOUT);
    CHECK(i.used < WEIR_MS(20));
    *slot = 1;
    CHECK_INT(k->commit(ch, slot), 0);
    weir_ctx_free(&ctx);
    k->free(&ch);
}
