/* tests/golang/test_power_series.c: the rational power series of Go's test suite (powser1, powser2), written afresh after McIlroy's
 * paper (series.h). Hundreds of threads, each with a handful of rendezvous channels, in graphs with cycles: a wake-up lost, a value
 * doubled, or a select that left something behind shows as a hang or a wrong fraction. */
#include "series.h"

/* ---- one series for two consumers, who ask at their own pace ---- */

enum { TERMS_MAX = 64 };

struct splitter {
    rational terms[TERMS_MAX]; /* all so far; each consumer has had the first at[i] of them */
    int count, at[2];
    bool asking[2], waiting; /* waiting: the source has been asked */
};

/* Serves both and the source in one select, and never waits for one of them alone: in a series that is defined by itself, the
 * first one's next question may depend on the answer to the second's.
 * The cases: 0 and 1 a question, 2 and 3 its answer, 4 the question to the source, 5 its answer. */
static int split_select(stage *s, struct splitter *p)
{
    series to[2] = {s->own[0], s->own[1]}, from = *s->in[0];
    int nothing = 0;
    bool wanting = false;
    for (int i = 0; i < 2; i++) {
        wanting = wanting || (p->asking[i] && p->at[i] == p->count);
        if (p->asking[i])
            to[i].ask.core = NULL;
        if (!p->asking[i] || p->at[i] == p->count)
            to[i].answer.core = NULL;
    }
    if (!wanting || p->waiting)
        from.ask.core = NULL;
    if (!p->waiting)
        from.answer.core = NULL;
    REQUIRE(p->count < TERMS_MAX);
    weir_case cases[] = {
        WEIR_RECV(to[0].ask, NULL),
        WEIR_RECV(to[1].ask, NULL),
        WEIR_SEND(to[0].answer, &p->terms[p->at[0]]),
        WEIR_SEND(to[1].answer, &p->terms[p->at[1]]),
        WEIR_SEND(from.ask, &nothing),
        WEIR_RECV(from.answer, &p->terms[p->count]),
    };
    return weir_select(&s->world->ctx, cases, 6);
}

static void run_split(stage *s)
{
    struct splitter p;
    int over = 0;
    memset(&p, 0, sizeof p);
    while (over < 2) {
        const int done = split_select(s, &p);
        if (done < 0)
            return;
        if (done < 2)
            p.asking[done] = true;
        else if (done < 4) {
            p.asking[done - 2] = false;
            over += ended(p.terms[p.at[done - 2]++]);
        } else {
            p.waiting = done == 4;
            p.count += done == 5;
        }
    }
}

/* Started once its source is known: stage_new first, where the source is made from the copies themselves. */
static stage *split_later(struct world *w)
{
    return stage_new(w, run_split);
}

static void split_from(stage *split, series *u)
{
    split->in[0] = u;
    stage_start(split);
}

/* ---- the operations: one thread each ---- */

static series *start(struct world *w, void (*run)(stage *), series *u, series *v, rational c, int n)
{
    stage *s = stage_new(w, run);
    s->in[0] = u;
    s->in[1] = v;
    s->c = c;
    s->n = n;
    return stage_start(s);
}

/* All the rest of u. */
static void copy(stage *s, series *u)
{
    rational t;
    while (asked(s) && get(s->world, u, &t) && answer(s, t) && !ended(t)) {}
}

/* c, c, c, … or, with n > 0, only n of them. */
static void run_repeat(stage *s)
{
    for (int i = 0; s->n == 0 || i < s->n; i++)
        if (!asked(s) || !answer(s, s->c))
            return;
    if (asked(s))
        answer(s, END);
}

static series *repeat(struct world *w, rational c, int n)
{
    return start(w, run_repeat, NULL, NULL, c, n);
}

static void run_scale(stage *s)
{
    rational t;
    while (asked(s) && get(s->world, s->in[0], &t) && answer(s, ended(t) ? t : times(t, s->c)) && !ended(t)) {}
}

static series *scale(struct world *w, rational c, series *u)
{
    return start(w, run_scale, u, NULL, c, 0);
}

static void run_add(stage *s)
{
    rational t[2] = {END, END};
    while (asked(s) && get2(s->world, s->in, t)) {
        const int rest = ended(t[0]);
        const bool both = !ended(t[0]) && !ended(t[1]);
        if (!answer(s, both ? plus(t[0], t[1]) : t[rest]) || ended(t[rest]))
            return;
        if (!both) {
            copy(s, s->in[rest]);
            return;
        }
    }
}

static series *add(struct world *w, series *u, series *v)
{
    return start(w, run_add, u, v, END, 0);
}

/* c + x u */
static void run_shift(stage *s)
{
    if (asked(s) && answer(s, s->c))
        copy(s, s->in[0]);
}

static series *shift(struct world *w, rational c, series *u)
{
    return start(w, run_shift, u, NULL, c, 0);
}

/* (u - u0) / x, looked at only when asked. */
static void run_tail(stage *s)
{
    rational t;
    if (!asked(s) || !get(s->world, s->in[0], &t) || (!ended(t) && !get(s->world, s->in[0], &t)) || !answer(s, t) ||
        ended(t))
        return;
    copy(s, s->in[0]);
}

static series *tail(struct world *w, series *u)
{
    return start(w, run_tail, u, NULL, END, 0);
}

/* With u = u0 + x u', v = v0 + x v':  uv = u0 v0 + x (u0 v' + v0 u' + x u' v'). */
static series *multiply(struct world *w, series *u, series *v);
static void run_multiply(stage *s)
{
    struct world *w = s->world;
    rational t[2] = {END, END}, first;
    if (!asked(s) || !get2(w, s->in, t))
        return;
    if (ended(t[0]) || ended(t[1])) {
        answer(s, END);
        return;
    }
    if (!answer(s, times(t[0], t[1])))
        return;
    stage *u = split_later(w), *v = split_later(w);
    split_from(u, s->in[0]);
    split_from(v, s->in[1]);
    series *outer = add(w, scale(w, t[0], &v->own[0]), scale(w, t[1], &u->own[0]));
    if (!asked(s) || !get(w, outer, &first) || !answer(s, first) || ended(first))
        return;
    copy(s, add(w, outer, multiply(w, &u->own[1], &v->own[1])));
}

static series *multiply(struct world *w, series *u, series *v)
{
    return start(w, run_multiply, u, v, END, 0);
}

static void run_derive(stage *s)
{
    rational t;
    for (int i = 0; asked(s); i++) {
        if (i == 0 && (!get(s->world, s->in[0], &t) || ended(t)))
            break;
        if (!get(s->world, s->in[0], &t) || !answer(s, ended(t) ? t : times(t, ratio(i + 1, 1))) || ended(t))
            return;
    }
}

static series *derive(struct world *w, series *u)
{
    return start(w, run_derive, u, NULL, END, 0);
}

static void run_integrate(stage *s)
{
    rational t;
    if (!asked(s) || !answer(s, s->c))
        return;
    for (int i = 1; asked(s) && get(s->world, s->in[0], &t); i++)
        if (!answer(s, ended(t) ? t : times(t, ratio(1, i))) || ended(t))
            return;
}

static series *integrate(struct world *w, rational c, series *u)
{
    return start(w, run_integrate, u, NULL, c, 0);
}

/* e^u, u0 = 0: the z with z' = z u', z0 = 1. */
static series *exponential(struct world *w, series *u)
{
    stage *z = split_later(w);
    split_from(z, integrate(w, ratio(1, 1), multiply(w, &z->own[0], derive(w, u))));
    return &z->own[1];
}

/* 1/u: the z with z0 = 1/u0, z = z0 - x z0 u' z. */
static void run_reciprocal(stage *s)
{
    struct world *w = s->world;
    rational t;
    if (!asked(s) || !get(w, s->in[0], &t))
        return;
    const rational one = ratio(t.den, t.num);
    if (!answer(s, one))
        return;
    stage *z = split_later(w);
    split_from(z, shift(w, one, scale(w, times(one, ratio(-1, 1)), multiply(w, s->in[0], &z->own[0]))));
    rational again;
    if (get(w, &z->own[1], &again))
        copy(s, &z->own[1]);
}

static series *reciprocal(struct world *w, series *u)
{
    return start(w, run_reciprocal, u, NULL, END, 0);
}

/* u(v), v0 = 0:  u0 + v u'(v) = u0 + x v' u'(v). */
static series *substitute(struct world *w, series *u, series *v);
static void run_substitute(stage *s)
{
    struct world *w = s->world;
    rational t, zero;
    stage *v = split_later(w);
    split_from(v, s->in[1]);
    if (!asked(s) || !get(w, s->in[0], &t) || !answer(s, t) || ended(t) || !get(w, &v->own[0], &zero))
        return;
    copy(s, multiply(w, &v->own[0], substitute(w, s->in[0], &v->own[1])));
}

static series *substitute(struct world *w, series *u, series *v)
{
    return start(w, run_substitute, u, v, END, 0);
}

/* u(c x^n) */
static void run_substitute_term(stage *s)
{
    rational t, power = ratio(1, 1);
    while (asked(s) && get(s->world, s->in[0], &t)) {
        if (!answer(s, ended(t) ? t : times(t, power)) || ended(t))
            return;
        power = times(power, s->c);
        for (int i = 1; i < s->n; i++)
            if (!asked(s) || !answer(s, ratio(0, 1)))
                return;
    }
}

static series *substitute_term(struct world *w, series *u, rational c, int n)
{
    return start(w, run_substitute_term, u, NULL, c, n);
}

/* The r with u(r) = x, u = x u':  r = x / u'(r). */
static series *reverse(struct world *w, series *u)
{
    stage *r = split_later(w);
    split_from(r, shift(w, ratio(0, 1), reciprocal(w, substitute(w, tail(w, u), &r->own[0]))));
    return &r->own[1];
}

/* ---- what is known of them ---- */

static series *ones(struct world *w)
{
    return repeat(w, ratio(1, 1), 0);
}

static series *arc_tangent(struct world *w)
{
    return integrate(w, ratio(0, 1), substitute_term(w, ones(w), ratio(-1, 1), 2));
}

/* The first terms as num, den; a den of 0 is the end. */
#define CHECK_SERIES(w, u, ...)                                                                                        \
    do {                                                                                                               \
        static const rational want[] = {__VA_ARGS__};                                                                  \
        check_series((w), (u), want, sizeof want / sizeof want[0]);                                                    \
    } while (0)

static void check_series(struct world *w, series *u, const rational *want, size_t n)
{
    rational got = END;
    for (size_t i = 0; i < n; i++) {
        REQUIRE(get(w, u, &got));
        if (!CHECK_INT(got.num, want[i].num) || !CHECK_INT(got.den, want[i].den))
            test_say("#   the term of x^%zu is %lld/%lld\n", i, (long long)got.num, (long long)got.den);
    }
}

#define SERIES_TEST(name)                                                                                              \
    static void series_##name(struct world *w);                                                                        \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        struct world w;                                                                                                \
        world_begin(&w);                                                                                               \
        series_##name(&w);                                                                                             \
        test_say("#   %d threads\n", world_end(&w));                                                                   \
    }                                                                                                                  \
    static void series_##name(struct world *w)

SERIES_TEST(a_sum_goes_on_with_the_longer_one_and_ends_with_it)
{
    CHECK_SERIES(w, add(w, repeat(w, ratio(2, 1), 2), repeat(w, ratio(1, 2), 4)), {5, 2}, {5, 2}, {1, 2}, {1, 2},
                 {0, 0});
    CHECK_SERIES(w, add(w, ones(w), repeat(w, ratio(-1, 1), 3)), {0, 1}, {0, 1}, {0, 1}, {1, 1}, {1, 1});
}

SERIES_TEST(derivative_and_integral_of_all_ones)
{
    CHECK_SERIES(w, derive(w, ones(w)), {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1});
    CHECK_SERIES(w, integrate(w, ratio(0, 1), ones(w)), {0, 1}, {1, 1}, {1, 2}, {1, 3}, {1, 4});
    CHECK_SERIES(w, derive(w, integrate(w, ratio(7, 3), ones(w))), {1, 1}, {1, 1}, {1, 1}, {1, 1});
}

SERIES_TEST(products)
{
    CHECK_SERIES(w, multiply(w, ones(w), ones(w)), {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}, {8, 1},
                 {9, 1}, {10, 1});
    CHECK_SERIES(w, multiply(w, repeat(w, ratio(1, 1), 2), repeat(w, ratio(1, 1), 3)), {1, 1}, {2, 1}, {2, 1}, {1, 1},
                 {0, 0});
}

SERIES_TEST(both_halves_of_a_split_have_every_term)
{
    stage *s = split_later(w);
    split_from(s, integrate(w, ratio(0, 1), repeat(w, ratio(1, 1), 3)));
    CHECK_SERIES(w, &s->own[1], {0, 1}, {1, 1}, {1, 2});
    CHECK_SERIES(w, &s->own[0], {0, 1}, {1, 1}, {1, 2}, {1, 3}, {0, 0});
    CHECK_SERIES(w, &s->own[1], {1, 3}, {0, 0});
}

SERIES_TEST(the_exponential_is_made_from_itself)
{
    CHECK_SERIES(w, exponential(w, ones(w)), {1, 1}, {1, 1}, {3, 2}, {13, 6}, {73, 24}, {167, 40}, {4051, 720},
                 {37633, 5040}, {43817, 4480}, {4596553, 362880});
}

SERIES_TEST(a_reciprocal_times_its_series_is_one)
{
    stage *e = split_later(w);
    split_from(e, exponential(w, shift(w, ratio(0, 1), repeat(w, ratio(1, 1), 1)))); /* e^x */
    CHECK_SERIES(w, multiply(w, &e->own[0], reciprocal(w, &e->own[1])), {1, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1}, {0, 1});
}

SERIES_TEST(the_arc_tangent)
{
    CHECK_SERIES(w, arc_tangent(w), {0, 1}, {1, 1}, {0, 1}, {-1, 3}, {0, 1}, {1, 5}, {0, 1}, {-1, 7}, {0, 1}, {1, 9},
                 {0, 1}, {-1, 11});
}

TEST_LIMIT(the_tangent_is_the_arc_tangent_turned_round, 120)
{
    for (long round = 0; round < test_rounds(20); round++) {
        struct world w;
        world_begin(&w);
        CHECK_SERIES(&w, reverse(&w, arc_tangent(&w)), {0, 1}, {1, 1}, {0, 1}, {1, 3}, {0, 1}, {2, 15}, {0, 1},
                     {17, 315}, {0, 1}, {62, 2835}, {0, 1}, {1382, 155925});
        const int threads = world_end(&w);
        CHECK(threads > 200);
        if (round == 0)
            test_say("#   %d threads\n", threads);
    }
}
