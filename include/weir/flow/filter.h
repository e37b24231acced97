/* weir/flow/filter.h: stages that send fewer values than they take, or more.
 *
 *     int weir_filter(p, in, out, fn, arg, opt)      int fn(weir_ctx *ctx, void *arg, const void *value, bool *keep)
 *     int weir_flat_map(p, in, out, fn, arg, opt)    int fn(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e)
 *     int weir_filter_loop(ctx, in, out, fn, arg), weir_flat_map_loop(ctx, in, out, fn, arg)      in the calling thread
 *
 * A filter passes on the values of which fn says *keep = true; it is false before fn is called. A flat map sends whatever fn hands to
 * weir_emit, any number of values for one, and waits there as long as the output is full: it holds one value of each channel, no more.
 *
 * Calls, results, workers and closing as for weir_map (flow/stages.h, flow/loop.h). With opt->ordered and several workers the
 * values come out in the order of what they were made from: those of one input together, in the order they were emitted in.
 *
 * A flat map that fails has sent what it had emitted before. Whoever has fn called again then (a retry) gets those twice.
 */
#ifndef WEIR_FLOW_FILTER_H
#define WEIR_FLOW_FILTER_H

#include "stage.h"

typedef struct weir_emitter weir_emitter;
typedef int weir_filter_fn(weir_ctx *ctx, void *arg, const void *value, bool *keep);
typedef int weir_flat_map_fn(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e);

#define weir_filter(p, in, out, fn, arg, opt)                                                                          \
    weir__flow_filter((p), weir__port_if(WEIR__PORT(in), WEIR__SAME(in, out)), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_flat_map(p, in, out, fn, arg, opt)                                                                        \
    weir__flow_flat_map((p), WEIR__PORT(in), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_filter_loop(ctx, in, out, fn, arg)                                                                        \
    weir__filter_loop((ctx), weir__port_if(WEIR__LOOP_PORT(in), WEIR__SAME(in, out)), WEIR__LOOP_PORT(out), (fn), (arg))
#define weir_flat_map_loop(ctx, in, out, fn, arg)                                                                      \
    weir__flat_map_loop((ctx), WEIR__LOOP_PORT(in), WEIR__LOOP_PORT(out), (fn), (arg))

/* Where a flat map's values go. Belongs to the call of fn that was given it. */
struct weir_emitter {
    weir__desk *desk;
    weir_ctx *ctx;
    weir__port out;
    size_t size; /* of a value */
    void *to;    /* where a marked value is put together; NULL: nothing is marked */
    int rc;      /* why no more can be sent, or 0 */
};

/* Sends *value, of the output's type, waiting for room. 0; EPIPE: nobody wants more; ECANCELED, ETIMEDOUT: the context has ended. After an error all
 * further calls return it, and fn need not: the stage knows. By the thread that was given e. Progress: as weir_send. */
WEIR_INLINE int weir_emit(weir_emitter *e, const void *value)
{
    if (WEIR_UNLIKELY(e->rc != 0))
        return e->rc;
    if (e->to == NULL)
        return e->rc = weir__desk_send(e->desk, e->ctx, e->out, value);
    memcpy(e->to, value, e->size);
    return e->rc = weir__send_turn(e->desk, e->ctx, true, e->out, e->to, WEIR__HAS_VALUE);
}

typedef struct weir__filter_call {
    weir_filter_fn *fn;
    void *arg;
    const void *value;
    bool keep;
} weir__filter_call;

WEIR_INLINE int weir__filter_once(weir_ctx *ctx, void *arg)
{
    weir__filter_call *c = (weir__filter_call *)arg;
    c->keep = false;
    return c->fn(ctx, c->arg, c->value, &c->keep);
}

WEIR_INLINE int weir__filter_body(weir__desk *desk, weir_ctx *ctx, bool marked, weir__port in, weir__port out,
                                  weir_filter_fn *fn, void *arg, void *value)
{
    weir__filter_call call;
    call.fn = fn;
    call.arg = arg;
    call.value = value;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, value);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_call(desk, ctx, weir__filter_once, &call);
        if (WEIR_UNLIKELY(rc != 0)) {
            call.keep = false;
            rc = weir__desk_failed(desk, ctx, rc, value);
        } else if (!call.keep) {
            weir__desk_dropped(desk);
        }
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, marked, out, value, (call.keep ? WEIR__HAS_VALUE : 0) | WEIR__ENDS_TURN);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

typedef struct weir__flat_map_call {
    weir_flat_map_fn *fn;
    void *arg;
    const void *in;
    weir_emitter *e;
} weir__flat_map_call;

WEIR_INLINE int weir__flat_map_once(weir_ctx *ctx, void *arg)
{
    const weir__flat_map_call *c = (const weir__flat_map_call *)arg;
    return c->fn(ctx, c->arg, c->in, c->e);
}

/* to: NULL where nothing is marked. */
WEIR_INLINE int weir__flat_map_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, size_t size,
                                    weir_flat_map_fn *fn, void *arg, void *from, void *to)
{
    weir_emitter e;
    weir__flat_map_call call;
    e.desk = desk;
    e.ctx = ctx;
    e.out = out;
    e.size = size;
    e.to = to;
    e.rc = 0;
    call.fn = fn;
    call.arg = arg;
    call.in = from;
    call.e = &e;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_call(desk, ctx, weir__flat_map_once, &call);
        if (WEIR_UNLIKELY(e.rc != 0))
            return e.rc; /* whatever fn made of it */
        if (WEIR_UNLIKELY(rc != 0))
            rc = weir__desk_failed(desk, ctx, rc, from);
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, to != NULL, out, to, WEIR__ENDS_TURN);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__filter_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_filter_fn *fn, void *arg)
{
    weir__loop_value value;
    return weir__filter_body(NULL, ctx, false, in, out, fn, arg, value.bytes);
}

WEIR_INLINE int weir__flat_map_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_flat_map_fn *fn, void *arg)
{
    weir__loop_value from;
    return weir__flat_map_body(NULL, ctx, in, out, out.size, fn, arg, from.bytes, NULL);
}

#define weir__flow_filter WEIR__RINGED(weir__flow_filter)
#define weir__flow_flat_map WEIR__RINGED(weir__flow_flat_map)

WEIR_API int weir__flow_filter(weir_pipeline *p, weir__port in, weir__port out, weir_filter_fn *fn, void *arg,
                               const weir_stage_opt *opt);
WEIR_API int weir__flow_flat_map(weir_pipeline *p, weir__port in, weir__port out, weir_flat_map_fn *fn, void *arg,
                                 const weir_stage_opt *opt);

#endif /* WEIR_FLOW_FILTER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_FILTER_IMPLEMENTED)
#define WEIR_FLOW_FILTER_IMPLEMENTED

typedef struct weir__filter_plan {
    weir_filter_fn *filter;
    weir_flat_map_fn *flat_map;
    size_t size; /* of a value that goes out */
} weir__filter_plan;

static int weir__filter_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__filter_plan *plan = (const weir__filter_plan *)f->plan;
    (void)from;
    return weir__filter_body(desk, ctx, f->marked, weir__flow_in(f, worker), weir__flow_out(f, worker), plan->filter,
                             f->arg, to);
}

static int weir__flat_map_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__filter_plan *plan = (const weir__filter_plan *)f->plan;
    return weir__flat_map_body(desk, ctx, weir__flow_in(f, worker), weir__flow_out(f, worker), plan->size,
                               plan->flat_map, f->arg, from, f->marked ? to : NULL);
}

static int weir__flow_filter_run(weir_pipeline *p, weir__flow_body *body, weir__port in, weir__port out,
                                 weir__filter_plan plan, void *arg, const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(body, in, 1, out, 1, weir__flow_workers(opt), sizeof plan);
    if (f != NULL) {
        plan.size = out.size;
        memcpy(f->plan, &plan, sizeof plan);
        f->arg = arg;
    }
    return weir__flow_run(p, f, opt);
}

WEIR_API int weir__flow_filter(weir_pipeline *p, weir__port in, weir__port out, weir_filter_fn *fn, void *arg,
                               const weir_stage_opt *opt)
{
    const weir__filter_plan plan = {fn, NULL, 0};
    return weir__flow_filter_run(p, weir__filter_stage, in, out, plan, arg, opt);
}

WEIR_API int weir__flow_flat_map(weir_pipeline *p, weir__port in, weir__port out, weir_flat_map_fn *fn, void *arg,
                                 const weir_stage_opt *opt)
{
    const weir__filter_plan plan = {NULL, fn, 0};
    return weir__flow_filter_run(p, weir__flat_map_stage, in, out, plan, arg, opt);
}

#endif /* WEIR_FLOW_FILTER_IMPLEMENTED */
