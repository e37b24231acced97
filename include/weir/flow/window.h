/* weir/flow/window.h: a result for each window of values: the last hundred, each minute.
 *
 *     static int mean(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
 *     {
 *         struct mean *m = result;                                   zero when the window begins
 *         if (value != NULL) m->sum += *(const double *)value;       once for each value of the window
 *         else m->mean = m->sum / (double)span->values;              once when it closes, before *m is sent
 *         return 0;
 *     }
 *     weir_window_rules rules = {.length = WEIR_SEC(60), .every = WEIR_SEC(10), .stamp = made_at, .lateness = WEIR_SEC(2)};
 *     weir_window(p, in, out, &rules, mean, arg, opt)                out: a channel of struct mean
 *
 * Windows
 *   By count (.count): window k is the values k * every … k * every + count - 1, numbered from 0 as they come. By time (.length): those of a time in
 *   [k * every, k * every + length), k any whole number. every 0: as long as the window, so that they tumble; less: they slide, and a value belongs
 *   to several; more: some values belong to none. A window without values is not sent.
 *   The time of a value is what .stamp says, or else when it came, by .clock (NULL: weir's own).
 *
 * When a window closes
 *   By count: with its last value.
 *   By arrival: when the clock says that its end has come, whether or not a value comes. (On a clock of the caller's: as flow/batch.h.)
 *   By stamp: when a value with a stamp of at least its end + lateness has come: out of order, values may be late by lateness and miss nothing. No
 *   clock moves it: while nothing comes, nothing closes.
 *   At the end of the input: all, as they are; unless .whole, which leaves out those that have not been filled or whose time has not come.
 *   Results go out in the order of their windows.
 *
 * A value that is late belongs to windows that have all been closed: it is left out, counted in *report, and handed to .on_late. One that still
 * finds some of its windows open goes there, and counts as on time. The first value opens the windows that lateness allows before it.
 *
 * Memory: (length + lateness) / every + 2 results, at the start; never more. Each value costs a call for each window it belongs to.
 *
 * fn returns 0, or an error, which ends the stage; for one value its policy may say otherwise, and the windows that fn has not got to are without
 * it. One thread: workers above 1 are EINVAL (for windows by key: flow/partition.h before it). EINVAL too: not one of count and length, more than
 * 2^20 windows at once, lengths of more than 2^60, lateness without a stamp; from the stage, a stamp of more than ±2^62. rules are copied; report
 * outlives the pipeline.
 */
#ifndef WEIR_FLOW_WINDOW_H
#define WEIR_FLOW_WINDOW_H

#include "../guard/clock.h"
#include "stage.h"

typedef struct weir_window_span {
    int64_t begin, end; /* numbers of values, or times: [begin, end) */
    uint64_t values;    /* that it has so far, this one among them */
} weir_window_span;

typedef int weir_window_fn(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result);

typedef struct weir_window_report {
    weir__atomic_u64 late;
} weir_window_report;

/* Zero means the default, for each; but one of count and length is needed. */
typedef struct weir_window_rules {
    int64_t count;
    weir_ns length;
    int64_t every; /* from one window's begin to the next one's, in values or ns */
    weir_ns (*stamp)(void *arg, const void *value);
    weir_ns lateness;
    void (*on_late)(void *arg, const void *value);
    bool whole;
    weir_clock *clock;
    weir_window_report *report;
} weir_window_rules;

/* How many values were late. Any thread, at any time; wait-free. */
static inline uint64_t weir_window_late(weir_window_report *report)
{
    return weir__load_rlx(&report->late);
}

/* arg goes to fn, stamp and on_late. */
#define weir_window(p, in, out, rules, fn, arg, opt)                                                                   \
    weir__flow_window((p), WEIR__PORT(in), WEIR__PORT(out), (rules), (fn), (arg), (opt))

#define weir__flow_window WEIR__RINGED(weir__flow_window)
WEIR_API int weir__flow_window(weir_pipeline *p, weir__port in, weir__port out, const weir_window_rules *rules,
                               weir_window_fn *fn, void *arg, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_WINDOW_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_WINDOW_IMPLEMENTED)
#define WEIR_FLOW_WINDOW_IMPLEMENTED

#define WEIR__WINDOW_LONGEST ((int64_t)1 << 60)
#define WEIR__WINDOW_FARTHEST ((int64_t)1 << 62)
#define WEIR__WINDOW_MOST ((int64_t)1 << 20)

/* A ring of windows, by their number; behind it the spans, then the results. A span without values is a window that nobody has. */
typedef struct weir__windows {
    weir_window_rules rules; /* length, every: filled in, whatever they count */
    weir_window_fn *fn;
    bool begun;
    int64_t low;         /* windows below it are closed; those from low + slots on cannot be open */
    int64_t next, clock; /* number of the next value; the latest time that was seen */
    int64_t slots, open; /* there are; have values */
    weir_window_span *span;
    unsigned char *results;
    size_t room; /* from one result to the next */
} weir__windows;

/* What a stage works with. */
typedef struct weir__windows_run {
    weir__desk *desk;
    weir_ctx *ctx;
    weir__flow *f;
    weir__windows *w;
} weir__windows_run;

/* a / b, downwards; b > 0. */
static int64_t weir__floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}
static int64_t weir__windows_slot(const weir__windows *w, int64_t number)
{
    return number - weir__floor_div(number, w->slots) * w->slots;
}
/* The first window that does not end at or before t. */
static int64_t weir__windows_first(const weir__windows *w, int64_t t)
{
    return weir__floor_div(t - w->rules.length, w->rules.every) + 1;
}

typedef struct weir__window_call {
    const weir__windows_run *run;
    const weir_window_span *span;
    const void *value;
    void *result;
} weir__window_call;

static int weir__window_once(weir_ctx *ctx, void *arg)
{
    const weir__window_call *c = (const weir__window_call *)arg;
    return c->run->w->fn(ctx, c->run->f->arg, c->span, c->value, c->result);
}

static int weir__window_call_fn(const weir__windows_run *r, const weir_window_span *span, const void *value,
                                void *result)
{
    weir__window_call call = {r, span, value, result};
    return weir__desk_call(r->desk, r->ctx, weir__window_once, &call);
}

static int weir__windows_close(const weir__windows_run *r, int64_t number)
{
    weir__windows *w = r->w;
    const int64_t slot = weir__windows_slot(w, number);
    unsigned char *result = w->results + (size_t)slot * w->room;
    int rc;
    if (w->span[slot].values == 0)
        return 0;
    rc = weir__window_call_fn(r, &w->span[slot], NULL, result);
    if (rc == 0)
        rc = weir__desk_send(r->desk, r->ctx, r->f->out, result);
    w->span[slot].values = 0;
    w->open--;
    return rc;
}

/* Closes the windows below number `low`, in their order. */
static int weir__windows_close_below(const weir__windows_run *r, int64_t low)
{
    weir__windows *w = r->w;
    int rc = 0;
    if (!w->begun)
        w->low = low;
    w->begun = true;
    while (w->low < low && w->open > 0 && rc == 0)
        rc = weir__windows_close(r, w->low++);
    if (w->low < low)
        w->low = low;
    return rc;
}

/* Adds *value, of time t, to its windows. */
static int weir__windows_add(const weir__windows_run *r, int64_t t, const void *value)
{
    weir__windows *w = r->w;
    const int64_t last = weir__floor_div(t, w->rules.every);
    int64_t number = weir__windows_first(w, t);
    int rc = 0;
    if (number <= last && last < w->low) {
        if (w->rules.report != NULL)
            (void)weir__add_rlx(&w->rules.report->late, 1);
        if (w->rules.on_late != NULL)
            w->rules.on_late(r->f->arg, value);
        return 0;
    }
    for (number = number < w->low ? w->low : number; number <= last && rc == 0; number++) {
        const int64_t slot = weir__windows_slot(w, number);
        unsigned char *result = w->results + (size_t)slot * w->room;
        weir_window_span *span = &w->span[slot];
        if (span->values == 0) {
            span->begin = number * w->rules.every;
            span->end = span->begin + w->rules.length;
            memset(result, 0, r->f->out.size);
            w->open++;
        }
        span->values++;
        rc = weir__window_call_fn(r, span, value, result);
    }
    return rc;
}

/* The windows whose end has come by the clock. */
static int weir__windows_tick(const weir__windows_run *r)
{
    weir__windows *w = r->w;
    const weir_ns now = weir__clock_now(w->rules.clock);
    if (now > w->clock || !w->begun)
        w->clock = now; /* it does not go back */
    return weir__windows_close_below(r, weir__windows_first(w, w->clock));
}

/* A value has come. A failure of fn is the value's, and *own; others are the stage's. */
static int weir__windows_take(const weir__windows_run *r, const void *value, bool *own)
{
    weir__windows *w = r->w;
    int64_t t;
    int rc = 0;
    *own = false;
    if (w->rules.count != 0) {
        t = w->next++;
        rc = weir__windows_close_below(r, weir__windows_first(w, t) < 0 ? 0 : weir__windows_first(w, t));
    } else if (w->rules.stamp == NULL) {
        rc = weir__windows_tick(r);
        t = w->clock;
    } else {
        t = w->rules.stamp(r->f->arg, value);
        *own = true;
        if (t > WEIR__WINDOW_FARTHEST || t < -WEIR__WINDOW_FARTHEST)
            return EINVAL;
        *own = false;
        rc = weir__windows_close_below(r, weir__windows_first(w, t - w->rules.lateness));
    }
    if (rc != 0)
        return rc;
    rc = weir__windows_add(r, t, value);
    *own = rc != 0;
    if (rc == 0 && w->rules.count != 0) /* none waits for the next value to be closed */
        rc = weir__windows_close_below(r, weir__windows_first(w, t + 1) < 0 ? 0 : weir__windows_first(w, t + 1));
    return rc;
}

/* Waits for the next value; by arrival, at most until the next window ends. That is the lowest: it has not ended, so it has whatever has come for a
 * later one. */
static int weir__windows_recv(const weir__windows_run *r, void *value)
{
    weir__windows *w = r->w;
    weir_ns until;
    if (w->rules.count != 0 || w->rules.stamp != NULL || w->open == 0)
        return weir__desk_recv(r->desk, r->ctx, r->f->in, value);
    until = w->span[weir__windows_slot(w, w->low)].end;
    if (w->rules.clock != NULL)
        until = weir_time_add(weir_now(), until - w->clock);
    return weir__desk_recv_until(r->desk, r->ctx, r->f->in, value, until);
}

static int weir__windows_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__windows_run r = {desk, ctx, f, (weir__windows *)f->plan};
    (void)worker;
    (void)to;
    for (;;) {
        bool own;
        int rc = weir__windows_recv(&r, from);
        if (WEIR_LIKELY(rc == 0)) {
            rc = weir__windows_take(&r, from, &own);
            if (WEIR_UNLIKELY(rc != 0) && own)
                rc = weir__desk_failed(desk, ctx, rc, from);
        } else if (rc == ETIMEDOUT && weir_ctx_err(ctx) == 0) { /* not the context's time: a window's */
            rc = weir__windows_tick(&r);
        } else {
            const int64_t all = r.w->low + r.w->slots;
            const int sent = rc == EPIPE && !r.w->rules.whole ? weir__windows_close_below(&r, all) : 0;
            return sent != 0 ? sent : weir__loop_end(rc);
        }
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

/* Fills in what is left to the default: 0, or EINVAL. */
static int weir__windows_rules_check(weir_window_rules *rules)
{
    if ((rules->count == 0) == (rules->length == 0) || rules->count < 0 || rules->length < 0 || rules->every < 0 ||
        rules->lateness < 0 || (rules->lateness > 0 && rules->stamp == NULL) ||
        (rules->count > 0 && rules->stamp != NULL))
        return EINVAL;
    if (rules->count != 0)
        rules->length = rules->count;
    if (rules->every == 0)
        rules->every = rules->length;
    if (rules->length > WEIR__WINDOW_LONGEST || rules->every > WEIR__WINDOW_LONGEST ||
        rules->lateness > WEIR__WINDOW_LONGEST)
        return EINVAL;
    return (rules->length + rules->lateness) / rules->every + 2 > WEIR__WINDOW_MOST ? EINVAL : 0;
}

WEIR_API int weir__flow_window(weir_pipeline *p, weir__port in, weir__port out, const weir_window_rules *rules,
                               weir_window_fn *fn, void *arg, const weir_stage_opt *opt)
{
    const size_t room = (out.size + 15) / 16 * 16;
    weir__windows plan;
    weir__flow *f;
    size_t slots, spans = (sizeof plan + 15) / 16 * 16, results;
    memset(&plan, 0, sizeof plan);
    plan.rules = *rules;
    if (weir__windows_rules_check(&plan.rules) != 0 || weir__flow_workers(opt) > 1)
        return weir__flow_refuse(p, NULL, EINVAL);
    plan.slots = (plan.rules.length + plan.rules.lateness) / plan.rules.every + 2;
    slots = (size_t)plan.slots;
    results = (spans + slots * sizeof *plan.span + 63) / 64 * 64;
    if (room > SIZE_MAX / 4 / slots)
        return weir__flow_refuse(p, NULL, EOVERFLOW);
    f = weir__flow_new(weir__windows_stage, in, 1, out, 1, 1, results + slots * room);
    if (f != NULL) {
        plan.fn = fn;
        plan.room = room;
        plan.span = (weir_window_span *)(void *)((unsigned char *)f->plan + spans);
        plan.results = (unsigned char *)f->plan + results;
        memcpy(f->plan, &plan, sizeof plan);
        f->arg = arg;
    }
    return weir__flow_start(p, f, opt, 1);
}

#endif /* WEIR_FLOW_WINDOW_IMPLEMENTED */
