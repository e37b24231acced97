/* tests/linear/test_histories.c: threads at work on one channel, all that they did and when, and the question whether a channel could have
 * answered so. A hundred thousand histories of two hundred and more calls; `test_histories a_million` makes ten times as many.
 *
 * Ticks come from one counter: its locked addition is a full fence, so what a call did is visible to whoever reads a later tick. By the clock
 * it would not be: a store may lie in the processor's buffer still when the time is read. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>

#include <sched.h>

/* Between calls and at the library's hook points a thread stops now and then, for a short while or until all others have had their turn: so
 * they meet it half way, also when there are fewer cores than threads. */
static __thread unsigned hesitation;
static inline void hesitate(void)
{
    hesitation = hesitation * 1664525U + 1013904223U;
    if (hesitation >> 28 == 0)
        (void)sched_yield();
    else if (hesitation >> 28 == 1)
        for (volatile unsigned i = hesitation >> 8 & 511; i > 0; i--) {}
}
#define WEIR_HOOK(point) hesitate()
#include "../harness.h"

#include "../chan/kinds.h"
#include "monitor.h"

enum { SIDE = 2, CALLS_OF_FOUR = 52, CALLS_OF_TWO = 104 };

struct actor {
    struct stage *stage;
    bool sends;
    int first_value, calls;
    int logged;
    struct call log[CALLS_OF_TWO];
};

struct stage {
    const struct kind *k;
    void *ch;
    int tick, round, ready; /* atomic */
    int actors, closes_at;  /* the call before which the first actor closes; -1: never */
    struct actor actor[2 * SIDE];
};

static int tick(struct stage *s)
{
    return __atomic_fetch_add(&s->tick, 1, __ATOMIC_SEQ_CST);
}

static int send_somehow(struct stage *s, const uint64_t *v, unsigned how)
{
    weir_case c = weir__case(WEIR__CASE_SEND, inside(s->ch), v, NULL, NULL);
    if (how % 8 == 0)
        return s->k->send_until(NULL, s->ch, v, weir_now() + 2000);
    if (how % 8 == 1) {
        const int done = weir_try_select(&c, 1);
        return done < 0 ? -done : c.status;
    }
    return s->k->try_send(s->ch, v);
}

static int recv_somehow(struct stage *s, uint64_t *v, unsigned how)
{
    weir_case c = weir__case(WEIR__CASE_RECV, inside(s->ch), NULL, v, NULL);
    if (how % 8 == 0)
        return s->k->recv_until(NULL, s->ch, v, weir_now() + 2000);
    if (how % 8 == 1) {
        const int done = weir_try_select(&c, 1);
        return done < 0 ? -done : c.status;
    }
    return s->k->try_recv(s->ch, v);
}

/* A call that timed out has changed nothing, and says nothing: it is left out. */
static void log_call(struct actor *a, int rc, int value, int begin)
{
    struct call *c = &a->log[a->logged];
    c->begin = begin;
    c->end = tick(a->stage);
    c->value = value;
    if (rc == ETIMEDOUT)
        return;
    CHECK(rc == 0 || rc == EAGAIN || rc == EPIPE);
    c->what = a->sends      ? rc == 0       ? SENT
                              : rc == EPIPE ? SEND_CLOSED
                                            : FULL
              : rc == 0     ? RECEIVED
              : rc == EPIPE ? RECV_CLOSED
                            : EMPTY;
    a->logged++;
}

static void act(struct actor *a)
{
    struct stage *s = a->stage;
    a->logged = 0;
    for (int i = 0; i < a->calls; i++) {
        if (a == &s->actor[0] && i == s->closes_at) {
            const int begin = tick(s);
            CHECK_INT(s->k->close(s->ch), 0);
            const struct call closing = {CLOSED, 0, begin, tick(s), 0, 0};
            a->log[a->logged++] = closing;
            continue;
        }
        uint64_t v = (uint64_t)(a->first_value + i);
        hesitate();
        const int begin = tick(s);
        const int rc = a->sends ? send_somehow(s, &v, hesitation >> 16) : recv_somehow(s, &v, hesitation >> 16);
        log_call(a, rc, (int)v, begin);
    }
}

static void actor_main(void *p)
{
    struct actor *a = (struct actor *)p;
    struct stage *s = a->stage;
    hesitation = (unsigned)(a - s->actor) * 7919U + 1;
    for (int seen = 0;;) {
        while (load_int(&s->round) == seen)
            sched_yield();
        seen = load_int(&s->round);
        if (seen < 0)
            return;
        __atomic_add_fetch(&s->ready, 1, __ATOMIC_ACQ_REL); /* nobody begins before all are awake */
        for (int i = 0; load_int(&s->ready) < s->actors; i++)
            i < 50 ? WEIR_CPU_PAUSE() : (void)sched_yield();
        act(a);
        __atomic_add_fetch(&s->ready, s->actors, __ATOMIC_ACQ_REL);
    }
}

/* What is left is received, so that a value that was lost shows. */
static void collect(struct stage *s, struct history *h)
{
    struct actor drain;
    memset(&drain, 0, sizeof drain);
    drain.stage = s;
    h->n = 0;
    for (int i = 0; i < s->actors; i++)
        for (int k = 0; k < s->actor[i].logged; k++)
            h->calls[h->n++] = s->actor[i].log[k];
    for (int rc = 0; rc == 0 && drain.logged < CALLS_OF_TWO;) {
        uint64_t v = 0;
        const int begin = tick(s);
        rc = s->k->try_recv(s->ch, &v);
        log_call(&drain, rc, (int)v, begin);
    }
    for (int k = 0; k < drain.logged; k++)
        h->calls[h->n++] = drain.log[k];
}

static void play(struct stage *s, int capacity, int round)
{
    static struct history h;
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    REQUIRE(s->k->make(&s->ch, (size_t)capacity, &opt) == 0);
    s->tick = 0;
    s->closes_at = round % 3 == 0 ? (int)((unsigned)round * 2654435761U >> 16) % s->actor[0].calls : -1;
    store_int(&s->ready, 0);
    store_int(&s->round, round);
    while (load_int(&s->ready) < s->actors + s->actors * s->actors)
        sched_yield();
    h.capacity = capacity;
    collect(s, &h);
    const char *wrong = monitor(&h);
    if (!CHECK_STR(wrong, NULL))
        history_print(&h);
    s->k->free(&s->ch);
}

static void record(const struct kind *k, long histories)
{
    static const int capacities[] = {1, 2, 3, 0, 5, 1, 2, 16};
    static struct stage s;
    memset(&s, 0, sizeof s);
    s.k = k;
    const int senders = senders_of(k, SIDE), receivers = receivers_of(k, SIDE);
    s.actors = senders + receivers;
    for (int i = 0; i < s.actors; i++) {
        struct actor *a = &s.actor[i];
        a->stage = &s;
        a->sends = i < senders;
        a->calls = s.actors == 2 ? CALLS_OF_TWO : s.actors == 3 ? 70 : CALLS_OF_FOUR;
        a->first_value = i * CALLS_OF_TWO;
    }
    struct test_team *team = test_start(s.actors, actor_main, s.actor, sizeof s.actor[0]);
    const long seed = test_seed() % 1000000000;
    for (long i = 1; i <= histories; i++)
        play(&s, capacities[i % 8], (int)(seed + i));
    store_int(&s.round, -1);
    test_join(team);
}

TEST_EACH_KIND_LIMIT(every_history_is_one_of_a_channel, 300)
{
    record(k, test_rounds(25000));
}

TEST_DEFINE(a_million, 1200, true)
{
    for (int k = 0; k < KINDS; k++)
        record(&kinds[k], 250000);
}
