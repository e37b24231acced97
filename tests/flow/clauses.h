/* What is true of every stage, whatever it does to the values: it ends when its context does, wherever it is blocked; when its reader
 * leaves; with the error of somebody else; it holds no more values than its channels and its hands do; it reports what it could not get.
 *
 * A subject is a stage that takes numbers. clauses_hold(&s) runs
 *
 *     source ──► in (capacity 2) ──► the stage ──► its outputs ──► its sinks
 *
 * once for each clause. Include it instead of harness.h. */
#ifndef TEST_CLAUSES_H
#define TEST_CLAUSES_H

#include "../faults/failing.h"

#include "flow.h"

struct subject {
    void (*open)(void);                      /* makes the outputs */
    int (*start)(weir_pipeline *, int_chan); /* starts the stage */
    int (*drain)(
        weir_pipeline *); /* starts sinks that call `drained` for each value, with how many inputs it stands for */
    void (*close)(void);  /* frees the outputs */
    int bound;            /* values the source has made when nothing is drained and nothing moves any more */
    int threads;          /* that start starts */
};

static struct {
    int made, drained, most, enough, slow, end, fail_at; /* made, drained: atomic */
} clause;

static int clause_source(weir_ctx *ctx, void *arg, void *value)
{
    const int v = __atomic_load_n(&clause.made, __ATOMIC_ACQUIRE);
    (void)ctx;
    (void)arg;
    if (v == clause.end)
        return EPIPE;
    if (v == clause.fail_at)
        return 7;
    memcpy(value, &v, sizeof v);
    __atomic_store_n(&clause.made, v + 1, __ATOMIC_RELEASE);
    return 0;
}

/* A sink has taken what stands for n values of the source. */
static inline int drained(int n)
{
    const int taken = __atomic_add_fetch(&clause.drained, n, __ATOMIC_ACQ_REL);
    const int flying = __atomic_load_n(&clause.made, __ATOMIC_ACQUIRE) - taken;
    dawdle(clause.slow);
    if (flying > __atomic_load_n(&clause.most, __ATOMIC_RELAXED))
        __atomic_store_n(&clause.most, flying, __ATOMIC_RELAXED);
    return clause.enough != 0 && taken >= clause.enough ? EPIPE : 0;
}

enum { CLAUSE_SOURCE = 1, CLAUSE_DRAIN = 2 };

struct clause_run {
    const struct subject *s;
    weir_pipeline p;
    int_chan in;
    int started; /* what start said */
};

static void clause_begin(struct clause_run *r, const struct subject *s, int parts, int end)
{
    const int planned = fail_allocation;
    fail_allocation = -1;
    memset(r, 0, sizeof *r);
    memset(&clause, 0, sizeof clause);
    clause.end = end;
    clause.fail_at = -1;
    r->s = s;
    REQUIRE(weir_chan_make(&r->in, 2) == 0);
    s->open();
    weir_pipeline_init(&r->p, NULL);
    fail_allocation = planned;
    if ((parts & CLAUSE_SOURCE) != 0)
        CHECK_INT(weir_generate(&r->p, r->in, clause_source, NULL, NULL), 0);
    r->started = s->start(&r->p, r->in);
    if (r->started == 0 && (parts & CLAUSE_DRAIN) != 0)
        CHECK_INT(s->drain(&r->p), 0);
}

static int clause_end(struct clause_run *r)
{
    const int rc = weir_pipeline_wait(&r->p);
    r->s->close();
    weir_chan_free(&r->in);
    CHECK_INT(allocations, 0);
    CHECK_INT(threads_kept, 0);
    return rc;
}

static void it_ends_when_its_input_is_empty_and_the_context_ends(const struct subject *s)
{
    struct clause_run r;
    clause_begin(&r, s, CLAUSE_DRAIN, INT32_MAX);
    CHECK_INT(r.started, 0);
    dawdle(1000);
    weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
    CHECK_INT(clause_end(&r), ECANCELED);
}

static void it_is_full_with_so_many_and_ends_with_the_context(const struct subject *s)
{
    struct clause_run r;
    clause_begin(&r, s, CLAUSE_SOURCE, INT32_MAX);
    CHECK_INT(r.started, 0);
    EVENTUALLY(__atomic_load_n(&clause.made, __ATOMIC_ACQUIRE) >= s->bound);
    dawdle(10000);
    CHECK_INT(__atomic_load_n(&clause.made, __ATOMIC_ACQUIRE), s->bound);
    weir_ctx_cancel(weir_pipeline_ctx(&r.p), 0);
    CHECK_INT(clause_end(&r), ECANCELED);
}

static void it_holds_no_more_when_its_sink_is_a_thousand_times_slower(const struct subject *s)
{
    const int n = (int)test_rounds(3 * s->bound);
    struct clause_run r;
    clause_begin(&r, s, CLAUSE_SOURCE, n);
    clause.slow = 1000;
    CHECK_INT(s->drain(&r.p), 0);
    CHECK_INT(clause_end(&r), 0);
    CHECK_INT(clause.drained, n);
    CHECK(clause.most <= s->bound + 1); /* one in the sink's hand */
}

static void it_ends_when_its_reader_has_enough(const struct subject *s)
{
    for (int enough = 1; enough < 100; enough += 33) {
        struct clause_run r;
        clause_begin(&r, s, CLAUSE_SOURCE, INT32_MAX);
        clause.enough = enough;
        CHECK_INT(s->drain(&r.p), 0);
        CHECK_INT(clause_end(&r), 0);
        CHECK(clause.drained >= enough);
    }
}

static void it_ends_with_the_error_of_another(const struct subject *s)
{
    struct clause_run r;
    memset(&r, 0, sizeof r);
    clause_begin(&r, s, CLAUSE_DRAIN, INT32_MAX);
    clause.fail_at = 500;
    CHECK_INT(weir_generate(&r.p, r.in, clause_source, NULL, NULL), 0);
    CHECK_INT(clause_end(&r), 7);
    CHECK(clause.drained <= 500);
}

static void it_moves_every_value_once_and_ends_with_its_input(const struct subject *s)
{
    const int n = (int)test_rounds(10000);
    struct clause_run r;
    clause_begin(&r, s, CLAUSE_SOURCE | CLAUSE_DRAIN, n);
    CHECK_INT(clause_end(&r), 0);
    CHECK_INT(clause.drained, n);
    for (int few = 0; few < 4; few++) {
        clause_begin(&r, s, CLAUSE_SOURCE | CLAUSE_DRAIN, few);
        CHECK_INT(clause_end(&r), 0);
        CHECK_INT(clause.drained, few);
    }
}

static void every_failure_to_start_it_is_reported(const struct subject *s, bool memory)
{
    int failures = 0;
    for (int k = 0; k < 60; k++) {
        struct clause_run r;
        int rc;
        *(memory ? &fail_allocation : &fail_thread) = k;
        clause_begin(&r, s, 0, 100);
        fail_allocation = fail_thread = -1;
        if (r.started == 0) {
            CHECK_INT(s->drain(&r.p), 0);
            CHECK_INT(weir_generate(&r.p, r.in, clause_source, NULL, NULL), 0);
        }
        rc = clause_end(&r);
        CHECK_INT(rc, r.started);
        if (rc == 0)
            break;
        CHECK_INT(rc, memory ? ENOMEM : EAGAIN);
        failures++;
    }
    if (memory)
        CHECK(failures >= 2); /* what it is, and its threads */
    else
        CHECK_INT(failures, s->threads);
}

static inline void clauses_hold(const struct subject *s)
{
    it_ends_when_its_input_is_empty_and_the_context_ends(s);
    it_is_full_with_so_many_and_ends_with_the_context(s);
    it_holds_no_more_when_its_sink_is_a_thousand_times_slower(s);
    it_ends_when_its_reader_has_enough(s);
    it_ends_with_the_error_of_another(s);
    it_moves_every_value_once_and_ends_with_its_input(s);
    every_failure_to_start_it_is_reported(s, true);
    every_failure_to_start_it_is_reported(s, false);
}

/* The usual outputs: one channel of numbers. */
static int_chan clause_out;

static inline void open_clause_out(void)
{
    REQUIRE(weir_chan_make(&clause_out, 2) == 0);
}
static inline void close_clause_out(void)
{
    weir_chan_free(&clause_out);
}
static inline int drain_one(weir_ctx *ctx, void *arg, const void *value)
{
    (void)ctx;
    (void)arg;
    (void)value;
    return drained(1);
}
static inline int drain_clause_out(weir_pipeline *p)
{
    return weir_sink(p, clause_out, drain_one, NULL, NULL);
}

#endif
