/* tests/fuzz/sequences.h: a string of bytes becomes a program of calls on channels, select, contexts and timers, run by one thread; after each call
 * its result is compared with that of a model of a few lines: lists of values, a flag, a number. Nothing waits: calls that could are given a
 * context that has ended or a deadline that has passed, which they look at only after they have tried.
 *
 * The clock is the program's: it moves when the program says so.
 */
#ifndef WEIR_TEST_FUZZ_SEQUENCES_H
#define WEIR_TEST_FUZZ_SEQUENCES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>

static int64_t fuzz_now;
#define WEIR_CLOCK_NOW() fuzz_now
#define WEIR_IMPLEMENTATION
#define WEIR_STATIC
#ifdef WEIR_TEST_SINGLE
#include "weir.h"
#else
#include <weir/all.h>
#endif

#include <stdio.h>
#include <string.h>

enum { FUZZ_CHANNELS = 4, FUZZ_CAPACITY = 3, FUZZ_CASES = 5 };

/* What a channel should be. */
struct fuzz_model {
    int capacity, length;
    uint64_t values[FUZZ_CAPACITY];
    bool closed;
};

struct fuzz {
    const uint8_t *code, *end;
    struct fuzz_model model[FUZZ_CHANNELS];
    weir_chan(uint64_t) many; /* 0 */
    weir_spsc(uint64_t) line; /* 1 */
    weir_spmc(uint64_t) out;  /* 2 */
    weir_chan(uint64_t) meet; /* 3: capacity 0 */
    weir_timer timer;
    int64_t due, period; /* the timer's: INT64_MAX never */
    weir_ctx root, child, over;
    int64_t deadline; /* the child's */
    int root_err, child_err;
    uint64_t next; /* value to be sent */
    const char *wrong;
};

static unsigned fuzz_byte(struct fuzz *f)
{
    return f->code < f->end ? *f->code++ : 0;
}

#define FUZZ_EXPECT(f, cond) ((cond) || ((f)->wrong != NULL) || ((f)->wrong = #cond, false))

static weir__chan *fuzz_chan(struct fuzz *f, int i)
{
    return i == 0   ? WEIR__CHAN(f->many)
           : i == 1 ? WEIR__CHAN(f->line)
           : i == 2 ? WEIR__CHAN(f->out)
                    : WEIR__CHAN(f->meet);
}

/* ---- the model ---- */

static int model_send(struct fuzz_model *m, uint64_t v)
{
    if (m->closed)
        return EPIPE;
    if (m->length == m->capacity)
        return EAGAIN;
    m->values[m->length++] = v;
    return 0;
}

static int model_recv(struct fuzz_model *m, uint64_t *v)
{
    if (m->length == 0)
        return m->closed ? EPIPE : EAGAIN;
    *v = m->values[0];
    memmove(m->values, m->values + 1, (size_t)--m->length * sizeof *v);
    return 0;
}

static int model_err(struct fuzz *f)
{
    if (f->child_err == 0 && fuzz_now >= f->deadline)
        f->child_err = ETIMEDOUT;
    return f->child_err;
}

static int model_timer(struct fuzz *f, int64_t *v)
{
    if (f->due == INT64_MAX || fuzz_now < f->due)
        return EAGAIN;
    *v = f->due;
    f->due = f->period == 0 ? INT64_MAX : f->due + ((fuzz_now - f->due) / f->period + 1) * f->period;
    return 0;
}

/* ---- single calls; `how`: try, context that has ended, deadline that has passed ---- */

#define FUZZ_SEND(f, ch, v, how)                                                                                       \
    ((how) == 0   ? weir_try_send(ch, v)                                                                               \
     : (how) == 1 ? weir_send(&(f)->over, ch, v)                                                                       \
                  : weir_send_until(NULL, ch, v, fuzz_now - 1))
#define FUZZ_RECV(f, ch, v, how)                                                                                       \
    ((how) == 0   ? weir_try_recv(ch, v)                                                                               \
     : (how) == 1 ? weir_recv(&(f)->over, ch, v)                                                                       \
                  : weir_recv_until(NULL, ch, v, fuzz_now - 1))
#define FUZZ_EACH(f, i, CALL, ...)                                                                                     \
    ((i) == 0   ? CALL(f, (f)->many, __VA_ARGS__)                                                                      \
     : (i) == 1 ? CALL(f, (f)->line, __VA_ARGS__)                                                                      \
     : (i) == 2 ? CALL(f, (f)->out, __VA_ARGS__)                                                                       \
                : CALL(f, (f)->meet, __VA_ARGS__))

/* EAGAIN, as a call that may wait puts it. */
static int fuzz_not_now(int how)
{
    return how == 0 ? EAGAIN : how == 1 ? ECANCELED : ETIMEDOUT;
}

static void fuzz_send(struct fuzz *f, int i, int how)
{
    uint64_t v = f->next++;
    int want = model_send(&f->model[i], v);
    if (want == EAGAIN)
        want = fuzz_not_now(how);
    FUZZ_EXPECT(f, FUZZ_EACH(f, i, FUZZ_SEND, &v, how) == want);
}

static void fuzz_recv(struct fuzz *f, int i, int how)
{
    uint64_t v = 77, w = 77;
    int want = model_recv(&f->model[i], &w);
    if (want == EAGAIN)
        want = fuzz_not_now(how);
    FUZZ_EXPECT(f, FUZZ_EACH(f, i, FUZZ_RECV, &v, how) == want);
    FUZZ_EXPECT(f, v == w);
}

#define FUZZ_SEND_N(f, ch, v, n, sent) weir_send_n(&(f)->over, ch, v, n, sent)
#define FUZZ_RECV_N(f, ch, v, n, got) weir_recv_n(&(f)->over, ch, v, n, got)
static void fuzz_batch(struct fuzz *f, int i, size_t n, bool sends)
{
    uint64_t v[4] = {0, 0, 0, 0}, w[4] = {0, 0, 0, 0};
    size_t done = 9, want_done = 0;
    int rc, want = 0;
    for (size_t k = 0; k < n && want == 0; k++) {
        if (sends)
            v[k] = w[k] = f->next + k;
        want = sends ? model_send(&f->model[i], v[k]) : model_recv(&f->model[i], &w[k]);
        want_done += want == 0;
    }
    if (!sends && want_done > 0)
        want = 0;
    if (want == EAGAIN)
        want = ECANCELED;
    f->next += n;
    for (size_t k = want_done; sends && k < n; k++)
        v[k] = 0; /* never looked at */
    rc = sends ? FUZZ_EACH(f, i, FUZZ_SEND_N, v, n, &done) : FUZZ_EACH(f, i, FUZZ_RECV_N, v, n, &done);
    FUZZ_EXPECT(f, rc == want);
    FUZZ_EXPECT(f, done == want_done);
    FUZZ_EXPECT(f, sends || memcmp(v, w, sizeof v) == 0);
}

#define FUZZ_RESERVE(f, ch, at) weir_reserve(&(f)->over, ch, at)
#define FUZZ_COMMIT(f, ch, at) weir_commit(ch, at)
#define FUZZ_PEEK(f, ch, at) weir_peek(&(f)->over, ch, at)
#define FUZZ_RELEASE(f, ch, at) weir_release(ch, at)
/* A rendezvous has no place to build in, and several consumers of a ck ring none to read in. */
static bool fuzz_has_place(int i, bool sends)
{
    const int ring = i == 0 ? WEIR_RING_MPMC : i == 2 ? WEIR_RING_SPMC : 0;
    return i != 3 && (sends || ring != WEIR_RING_CK);
}

static void fuzz_in_place(struct fuzz *f, int i, bool sends)
{
    uint64_t *at = NULL, w = 0, v = f->next++;
    int want = ENOTSUP;
    if (fuzz_has_place(i, sends))
        want = sends ? model_send(&f->model[i], v) : model_recv(&f->model[i], &w);
    want = want == EAGAIN ? ECANCELED : want;
    FUZZ_EXPECT(f, (sends ? FUZZ_EACH(f, i, FUZZ_RESERVE, &at) : FUZZ_EACH(f, i, FUZZ_PEEK, &at)) == want);
    if (want != 0 || f->wrong != NULL)
        return;
    if (sends)
        *at = v;
    else
        FUZZ_EXPECT(f, *at == w);
    FUZZ_EXPECT(f, (sends ? FUZZ_EACH(f, i, FUZZ_COMMIT, at) : FUZZ_EACH(f, i, FUZZ_RELEASE, at)) == 0);
}

static void fuzz_latest(struct fuzz *f, bool many)
{
    struct fuzz_model *m = &f->model[many ? 0 : 2];
    uint64_t v = f->next++, w;
    size_t dropped = 9, want_dropped = 0;
    if (!m->closed && m->length == m->capacity)
        want_dropped += model_recv(m, &w) == 0;
    const int want = model_send(m, v);
    const int rc = many ? weir_send_latest(f->many, &v, &dropped) : weir_send_latest(f->out, &v, &dropped);
    FUZZ_EXPECT(f, rc == want);
    FUZZ_EXPECT(f, dropped == want_dropped);
}

static void fuzz_close(struct fuzz *f, int i)
{
    FUZZ_EXPECT(f, weir__chan_close(fuzz_chan(f, i)) == (f->model[i].closed ? EPIPE : 0));
    f->model[i].closed = true;
}

/* ---- select ---- */

/* What a case would do now, without doing it; 4: a timer, 5: a context, 6: no channel. */
static int fuzz_ready(struct fuzz *f, int what, bool sends, int *status)
{
    const struct fuzz_model *m = &f->model[what & 3];
    *status = 0;
    if (what == 4)
        return f->due != INT64_MAX && fuzz_now >= f->due;
    if (what == 5)
        return (*status = model_err(f)) != 0;
    if (what == 6)
        return false;
    *status = m->closed && (sends || m->length == 0) ? EPIPE : 0;
    return *status != 0 || (sends ? m->length < m->capacity : m->length > 0);
}

static weir_case fuzz_case(struct fuzz *f, int what, bool sends, uint64_t *v)
{
    static weir_chan(uint64_t) none;
    switch (what) {
    case 0: return sends ? WEIR_SEND(f->many, v) : WEIR_RECV(f->many, v);
    case 1: return sends ? WEIR_SEND(f->line, v) : WEIR_RECV(f->line, v);
    case 2: return sends ? WEIR_SEND(f->out, v) : WEIR_RECV(f->out, v);
    case 3: return sends ? WEIR_SEND(f->meet, v) : WEIR_RECV(f->meet, v);
    case 4: return WEIR_RECV(f->timer, (weir_ns *)v);
    case 5: return WEIR_DONE(&f->child);
    default: return sends ? WEIR_SEND(none, v) : WEIR_RECV(none, v);
    }
}

/* The case that was chosen takes place in the model too. */
static void fuzz_chosen(struct fuzz *f, int what, bool sends, uint64_t v)
{
    uint64_t w = v;
    int64_t at = 0;
    if (what == 4)
        FUZZ_EXPECT(f, model_timer(f, &at) == 0 && (uint64_t)at == v);
    else if (what < 4 && sends)
        (void)model_send(&f->model[what], v);
    else if (what < 4 && model_recv(&f->model[what], &w) == 0)
        FUZZ_EXPECT(f, v == w);
}

static void fuzz_select(struct fuzz *f, int how)
{
    const int n = (int)(fuzz_byte(f) % (FUZZ_CASES + 1));
    weir_case cases[FUZZ_CASES];
    uint64_t v[FUZZ_CASES];
    int what[FUZZ_CASES], status[FUZZ_CASES], first = -1;
    bool sends[FUZZ_CASES], ready[FUZZ_CASES];
    for (int k = 0; k < n; k++) {
        const unsigned b = fuzz_byte(f);
        what[k] = (int)(b % 7);
        sends[k] = (b & 0x80) != 0 && what[k] != 4;
        v[k] = f->next++;
        cases[k] = fuzz_case(f, what[k], sends[k], &v[k]);
        ready[k] = fuzz_ready(f, what[k], sends[k], &status[k]) != 0;
        if (ready[k] && first < 0)
            first = k;
    }
    const int i = how == 0   ? weir_try_select(cases, (size_t)n)
                  : how == 1 ? weir_select_ordered(&f->over, cases, (size_t)n)
                             : weir_select_until(NULL, cases, (size_t)n, fuzz_now - 1);
    if (first < 0) {
        FUZZ_EXPECT(f, i == -fuzz_not_now(how));
        return;
    }
    if (!FUZZ_EXPECT(f, i >= 0 && i < n && ready[i]) || !FUZZ_EXPECT(f, how != 1 || i == first) ||
        !FUZZ_EXPECT(f, cases[i].status == status[i]))
        return;
    fuzz_chosen(f, what[i], sends[i], v[i]);
}

/* ---- time and contexts ---- */

static void fuzz_time(struct fuzz *f, unsigned what)
{
    int64_t at = 5, want_at = 5;
    switch (what % 6) {
    case 0: fuzz_now += fuzz_byte(f); break;
    case 1: FUZZ_EXPECT(f, weir_try_recv(f->timer, &at) == model_timer(f, &want_at) && at == want_at); break;
    case 2:
        FUZZ_EXPECT(f, weir_timer_stop(f->timer) == (f->due == INT64_MAX ? EAGAIN : 0));
        f->due = INT64_MAX;
        break;
    case 3:
        at = (int64_t)fuzz_byte(f) + (f->period != 0);
        FUZZ_EXPECT(f, weir_timer_reset(f->timer, at) == 0);
        f->due = fuzz_now + at;
        f->period = f->period != 0 ? at : 0;
        break;
    case 4:
        weir_ctx_cancel(what & 8 ? &f->root : &f->child, 0);
        (void)model_err(f); /* a deadline that has passed came first */
        if (what & 8)
            f->root_err = ECANCELED;
        if (f->child_err == 0)
            f->child_err = ECANCELED;
        break;
    default: break;
    }
    FUZZ_EXPECT(f, weir_ctx_err(&f->child) == model_err(f));
    FUZZ_EXPECT(f, weir_ctx_err(&f->root) == f->root_err);
}

/* ---- a program ---- */

static void fuzz_call(struct fuzz *f)
{
    const unsigned b = fuzz_byte(f), i = b / 16 % 4;
    const int how = (int)(b / 64 % 3);
    switch (b % 16) {
    case 0:
    case 1:
    case 2: fuzz_send(f, (int)i, how); break;
    case 3:
    case 4:
    case 5: fuzz_recv(f, (int)i, how); break;
    case 6: fuzz_batch(f, (int)i, b / 64, true); break;
    case 7: fuzz_batch(f, (int)i, b / 64, false); break;
    case 8: fuzz_in_place(f, (int)i, (b & 0x80) != 0); break;
    case 9: fuzz_latest(f, (b & 0x80) != 0); break;
    case 10:
        if (fuzz_byte(f) % 8 == 0)
            fuzz_close(f, (int)i);
        break;
    case 11:
    case 12:
    case 13: fuzz_select(f, how); break;
    default: fuzz_time(f, b / 16 * 2 + b % 2); break;
    }
    for (int k = 0; k < FUZZ_CHANNELS && f->wrong == NULL; k++) {
        FUZZ_EXPECT(f, weir__chan_len(fuzz_chan(f, k)) == (size_t)f->model[k].length);
        FUZZ_EXPECT(f, weir__chan_is_closed(fuzz_chan(f, k)) == f->model[k].closed);
    }
}

static void fuzz_begin(struct fuzz *f)
{
    const unsigned b = fuzz_byte(f);
    memset(f->model, 0, sizeof f->model);
    for (unsigned i = 0; i < 3; i++)
        f->model[i].capacity = 1 + (int)((b >> 2 * i) % 4 % FUZZ_CAPACITY);
    fuzz_now = 1000;
    FUZZ_EXPECT(f, weir_chan_make(&f->many, (size_t)f->model[0].capacity) == 0);
    FUZZ_EXPECT(f, weir_chan_make(&f->line, (size_t)f->model[1].capacity) == 0);
    FUZZ_EXPECT(f, weir_chan_make(&f->out, (size_t)f->model[2].capacity) == 0);
    FUZZ_EXPECT(f, weir_chan_make(&f->meet, 0) == 0);
    f->period = b & 0x80 ? 30 : 0;
    f->due = fuzz_now + 30;
    FUZZ_EXPECT(f, (f->period != 0 ? weir_tick(&f->timer, 30) : weir_after(&f->timer, 30)) == 0);
    f->deadline = fuzz_now + 200;
    f->root_err = f->child_err = 0;
    weir_ctx_init(&f->root, NULL);
    weir_ctx_init_deadline(&f->child, &f->root, f->deadline);
    weir_ctx_init(&f->over, NULL);
    weir_ctx_cancel(&f->over, 0);
    f->next = 100;
}

/* NULL, or what did not hold; *at: after how many bytes. */
static const char *fuzz_run(const uint8_t *code, size_t size, size_t *at)
{
    struct fuzz f;
    f.code = code;
    f.end = code + size;
    f.wrong = NULL;
    fuzz_begin(&f);
    while (f.code < f.end && f.wrong == NULL)
        fuzz_call(&f);
    *at = (size_t)(f.code - code);
    weir_chan_free(&f.many);
    weir_chan_free(&f.line);
    weir_chan_free(&f.out);
    weir_chan_free(&f.meet);
    weir_chan_free(&f.timer);
    weir_ctx_free(&f.over);
    weir_ctx_free(&f.child);
    weir_ctx_free(&f.root);
    return f.wrong;
}

#endif /* WEIR_TEST_FUZZ_SEQUENCES_H */
