/* tests/chan/test_idle.c: who waits long, sleeps. */
#include "chan/queues.h"
#include "kinds.h"

#include <sys/resource.h>

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

/* ---- select ---- */

enum { BUFFERS = 8 };
typedef weir_chan(int) int_chan;

struct select_idler {
    int_chan empty[BUFFERS], full, rendezvous;
    weir_timer far;
    weir_ctx ctx;
    int done;
};

static void idle_in_select(void *p)
{
    struct select_idler *s = (struct select_idler *)p;
    int v = 0;
    weir_case cases[BUFFERS + 5];
    for (int i = 0; i < BUFFERS; i++)
        cases[i] = WEIR_RECV(s->empty[i], NULL);
    cases[BUFFERS] = WEIR_SEND(s->full, &v);
    cases[BUFFERS + 1] = WEIR_RECV(s->rendezvous, NULL);
    cases[BUFFERS + 2] = WEIR_SEND(s->rendezvous, &v);
    cases[BUFFERS + 3] = WEIR_RECV(s->far, NULL);
    cases[BUFFERS + 4] = WEIR_DONE(&s->ctx);
    s->done = weir_select(NULL, cases, BUFFERS + 5);
}

static weir_ns process_time(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return WEIR_SEC(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + WEIR_US(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

TEST(a_blocked_select_uses_no_processor_for_a_second)
{
    struct select_idler s;
    int v = 0;
    for (int i = 0; i < BUFFERS; i++)
        REQUIRE(weir_chan_make(&s.empty[i], 1) == 0);
    REQUIRE(weir_chan_make(&s.full, 1) == 0 && weir_chan_make(&s.rendezvous, 0) == 0);
    REQUIRE(weir_after(&s.far, WEIR_SEC(3600)) == 0);
    CHECK_INT(weir_send(NULL, s.full, &v), 0);
    weir_ctx_init(&s.ctx, NULL);
    struct test_team *team = test_start(1, idle_in_select, &s, 0);
    EVENTUALLY(waiting_senders(s.full) == 1);
    usleep(50000); /* its spinning and yielding are over */
    const weir_ns before = process_time();
    for (weir_ns end = weir_now() + WEIR_SEC(1); weir_now() < end;)
        usleep(1000000);
    const weir_ns used = process_time() - before;
    if (!CHECK(used < WEIR_MS(5)))
        test_say("#   %lld us\n", (long long)(used / 1000));
    weir_ctx_cancel(&s.ctx, 0);
    test_join(team);
    CHECK_INT(s.done, BUFFERS + 4);
    for (int i = 0; i < BUFFERS; i++)
        weir_chan_free(&s.empty[i]);
    weir_chan_free(&s.full);
    weir_chan_free(&s.rendezvous);
    weir_chan_free(&s.far);
    weir_ctx_free(&s.ctx);
}
