/* tests/golang/series.h: threads that make the terms of a power series on demand, and what they ask each other with.
 *
 *   consumer ──ask──► stage        Nothing is computed before it is asked for: that is what lets a series be defined by itself,
 *   consumer ◄─answer─ stage       as exp is. Both channels are rendezvous.
 *
 * After M. D. McIlroy, "Squinting at Power Series", Software: Practice and Experience 20 (1990). A term is a rational; a series that
 * ends says so with a term whose denominator is 0, once, and is not asked again.
 *
 * Who owns what
 *   The world owns every series and thread. world_end cancels the one context that all waits stand under, joins all threads (a thread
 *   that is being joined may still start others), then frees.
 */
#ifndef WEIR_TEST_GOLANG_SERIES_H
#define WEIR_TEST_GOLANG_SERIES_H

#include "harness.h"

typedef struct {
    int64_t num, den;
} rational;

typedef struct {
    weir_chan(int) ask;
    weir_chan(rational) answer;
} series;

typedef struct stage stage;

struct world {
    weir_ctx ctx;
    pthread_mutex_t lock; /* of what follows */
    stage *running, *joined;
    int stages;
};

struct stage {
    struct world *world;
    void (*run)(stage *);
    series own[2]; /* what it makes; only a splitter makes two */
    series *in[2];
    rational c;
    int n;
    pthread_t thread;
    stage *next;
};

/* ---- rationals, kept in lowest terms ---- */

static const rational END = {0, 0};

static inline bool ended(rational a)
{
    return a.den == 0;
}

static inline rational ratio(int64_t num, int64_t den)
{
    int64_t a = num < 0 ? -num : num, b = den < 0 ? -den : den;
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    if (den < 0)
        a = -a;
    return (rational){num / a, den / a};
}

static inline rational plus(rational a, rational b)
{
    const rational over = ratio(a.den, b.den); /* small numbers: by the least common denominator */
    return ratio(a.num * over.den + b.num * over.num, a.den * over.den);
}

static inline rational times(rational a, rational b)
{
    const rational x = ratio(a.num, b.den), y = ratio(b.num, a.den);
    return (rational){x.num * y.num, x.den * y.den};
}

/* ---- the world ---- */

static inline void world_begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    weir_ctx_init(&w->ctx, NULL);
    REQUIRE(pthread_mutex_init(&w->lock, NULL) == 0);
}

static void *stage_main(void *p)
{
    stage *s = (stage *)p;
    s->run(s);
    return NULL;
}

static inline stage *stage_new(struct world *w, void (*run)(stage *))
{
    stage *s = (stage *)calloc(1, sizeof *s);
    REQUIRE(s != NULL);
    s->world = w;
    s->run = run;
    for (int i = 0; i < 2; i++)
        REQUIRE(weir_chan_make(&s->own[i].ask, 0) == 0 && weir_chan_make(&s->own[i].answer, 0) == 0);
    return s;
}

static inline series *stage_start(stage *s)
{
    struct world *w = s->world;
    pthread_attr_t attr;
    REQUIRE(pthread_attr_init(&attr) == 0);
    REQUIRE(pthread_attr_setstacksize(&attr, 256 * 1024) == 0);
    pthread_mutex_lock(&w->lock); /* over the creation: world_end sees a thread only when it can join it */
    REQUIRE(pthread_create(&s->thread, &attr, stage_main, s) == 0);
    s->next = w->running;
    w->running = s;
    w->stages++;
    pthread_mutex_unlock(&w->lock);
    pthread_attr_destroy(&attr);
    return &s->own[0];
}

/* Returns how many threads there have been. */
static inline int world_end(struct world *w)
{
    stage *s;
    weir_ctx_cancel(&w->ctx, 0);
    for (;;) {
        pthread_mutex_lock(&w->lock);
        if ((s = w->running) != NULL)
            w->running = s->next;
        pthread_mutex_unlock(&w->lock);
        if (s == NULL)
            break;
        pthread_join(s->thread, NULL);
        s->next = w->joined;
        w->joined = s;
    }
    while ((s = w->joined) != NULL) {
        w->joined = s->next;
        for (int i = 0; i < 2; i++) {
            weir_chan_free(&s->own[i].ask);
            weir_chan_free(&s->own[i].answer);
        }
        free(s);
    }
    pthread_mutex_destroy(&w->lock);
    weir_ctx_free(&w->ctx);
    return w->stages;
}

/* ---- asking and answering; false: the world has ended ---- */

static inline bool get(struct world *w, series *from, rational *term)
{
    int nothing = 0;
    return weir_send(&w->ctx, from->ask, &nothing) == 0 && weir_recv(&w->ctx, from->answer, term) == 0;
}

static inline bool asked(stage *s)
{
    return weir_recv(&s->world->ctx, s->own[0].ask, NULL) == 0;
}

static inline bool answer(stage *s, rational term)
{
    return weir_send(&s->world->ctx, s->own[0].answer, &term) == 0;
}

/* One term of each of two series, in whatever order they take the question and give the answer. A step that is not due has no
 * channel: NULL is never ready. */
static inline bool get2(struct world *w, series *const from[2], rational term[2])
{
    int nothing = 0, step[2] = {0, 0}; /* 0 to ask, 1 to be answered, 2 done */
    while (step[0] + step[1] < 4) {
        weir_case cases[4];
        for (int i = 0; i < 2; i++) {
            series now = *from[i];
            if (step[i] != 0)
                now.ask.core = NULL;
            if (step[i] != 1)
                now.answer.core = NULL;
            cases[2 * i] = WEIR_SEND(now.ask, &nothing);
            cases[2 * i + 1] = WEIR_RECV(now.answer, &term[i]);
        }
        const int done = weir_select(&w->ctx, cases, 4);
        if (done < 0)
            return false;
        step[done / 2]++;
    }
    return true;
}

#endif /* WEIR_TEST_GOLANG_SERIES_H */
