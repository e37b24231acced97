/* weir/flow/stages.h: the stages of a pipeline, one call each.
 *
 *     int weir_generate(p, out, fn, arg, opt)     fn makes values until it returns EPIPE
 *     int weir_map(p, in, out, fn, arg, opt)      one value out for each value in, on opt->workers threads
 *     int weir_sink(p, in, fn, arg, opt)          fn takes values; EPIPE from it: it wants no more
 *     int weir_fan_out(p, in, outs, n, opt)       value k goes to outs[k % n]
 *     int weir_fan_in(p, ins, n, out, opt)        opt->ordered: takes from ins[k % n] in turn; else each input as it comes
 *
 * More stages, called alike: flow/filter.h (filter, flat-map), batch.h, window.h, fuse.h, throttle.h, tee.h, partition.h (by key), merge.h.
 *
 * p: a weir_pipeline; opt: a weir_stage_opt or NULL; ins, outs: arrays of n handles of one type (copied). Stage functions are those of
 * flow/loop.h. Each call starts the stage's threads and returns. When a stage ends it closes its outputs, once, after its last
 * worker; and its inputs, so that nobody goes on sending to it if it ended early.
 *
 * A channel has one stage at each end. With opt->workers above 1 the channels beside it are of kinds that allow that many at once;
 * EINVAL otherwise. Except for an ordered map: there one thread deals the values out to the workers in turn, over channels of its own, and one
 * collects the results in the same turn, so the order is kept without numbering, and any kind will do. (A slow value holds up
 * those behind it; each worker's queues take opt->queue of them meanwhile.)
 *
 * Returns 0, ENOMEM, EAGAIN (no thread to be had), EINVAL. After an error the pipeline is cancelled: weir_pipeline_wait is still
 * owed, and returns that error.
 *
 * The stage function is called through a pointer here. To have it inlined, give weir_pipeline_go a task that runs the loop:
 *     static int parse_all(weir_ctx *ctx, void *arg) { struct app *a = arg; return weir_map_loop(ctx, a->lines, a->rows, parse, a); }
 */
#ifndef WEIR_FLOW_STAGES_H
#define WEIR_FLOW_STAGES_H

#include "stage.h"

#define weir_generate(p, out, fn, arg, opt) weir__flow_generate((p), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_map(p, in, out, fn, arg, opt) weir__flow_map((p), WEIR__PORT(in), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_sink(p, in, fn, arg, opt) weir__flow_sink((p), WEIR__PORT(in), (fn), (arg), (opt))
#define weir_fan_out(p, in, outs, n, opt)                                                                              \
    weir__flow_fan_out((p), WEIR__PORT(in), WEIR__PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in), (opt))
#define weir_fan_in(p, ins, n, out, opt)                                                                               \
    weir__flow_fan_in((p), WEIR__PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__PORT(out), (opt))

#define weir__flow_generate WEIR__RINGED(weir__flow_generate)
#define weir__flow_map WEIR__RINGED(weir__flow_map)
#define weir__flow_map_new WEIR__RINGED(weir__flow_map_new)
#define weir__flow_sink WEIR__RINGED(weir__flow_sink)
#define weir__flow_fan_out WEIR__RINGED(weir__flow_fan_out)
#define weir__flow_fan_in WEIR__RINGED(weir__flow_fan_in)

WEIR_API int weir__flow_generate(weir_pipeline *p, weir__port out, weir_generate_fn *fn, void *arg,
                                 const weir_stage_opt *opt);
WEIR_API int weir__flow_map(weir_pipeline *p, weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                            const weir_stage_opt *opt);
WEIR_API int weir__flow_sink(weir_pipeline *p, weir__port in, weir_sink_fn *fn, void *arg, const weir_stage_opt *opt);
WEIR_API int weir__flow_fan_out(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                const weir_stage_opt *opt);
WEIR_API int weir__flow_fan_in(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                               const weir_stage_opt *opt);
/* A map that has not been started (flow/stage.h). */
WEIR_API weir__flow *weir__flow_map_new(weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                                        const weir_stage_opt *opt);

#endif /* WEIR_FLOW_STAGES_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_STAGES_IMPLEMENTED)
#define WEIR_FLOW_STAGES_IMPLEMENTED

typedef union weir__stage_fn {
    weir_generate_fn *generate;
    weir_map_fn *map;
    weir_sink_fn *sink;
} weir__stage_fn;

static weir__stage_fn *weir__stage_plan(const weir__flow *f)
{
    return (weir__stage_fn *)f->plan;
}

/* Whether a worker has a desk is asked once, not for each value. */
static int weir__generate_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__port out = weir__flow_out(f, worker);
    weir_generate_fn *fn = weir__stage_plan(f)->generate;
    (void)from;
    return desk == NULL ? weir__generate_body(NULL, ctx, out, fn, f->arg, to)
                        : weir__generate_body(desk, ctx, out, fn, f->arg, to);
}

static int weir__sink_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__port in = weir__flow_in(f, worker);
    weir_sink_fn *fn = weir__stage_plan(f)->sink;
    (void)to;
    return desk == NULL ? weir__sink_body(NULL, ctx, in, fn, f->arg, from)
                        : weir__sink_body(desk, ctx, in, fn, f->arg, from);
}

WEIR_INLINE int weir__map_stage_work(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from,
                                     void *to)
{
    const weir__port in = weir__flow_in(f, worker), out = weir__flow_out(f, worker);
    weir_map_fn *fn = weir__stage_plan(f)->map;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__loop_map(desk, ctx, fn, f->arg, from, to);
        rc = weir__flow_answer(desk, ctx, f, out, rc, from, to, WEIR__HAS_VALUE | WEIR__ENDS_TURN);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

static int weir__map_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    return desk == NULL ? weir__map_stage_work(NULL, ctx, f, worker, from, to)
                        : weir__map_stage_work(desk, ctx, f, worker, from, to);
}

/* Worker i empties ins[i]. */
static int weir__pump_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    (void)to;
    return weir__deal_body(desk, ctx, f->in, &f->ins[worker], 1, f->out, f->outs, 1, from);
}

WEIR_API int weir__flow_generate(weir_pipeline *p, weir__port out, weir_generate_fn *fn, void *arg,
                                 const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(weir__generate_stage, weir__port_none(), 0, out, 1, weir__flow_workers(opt),
                                   sizeof(weir__stage_fn));
    if (f != NULL) {
        weir__stage_plan(f)->generate = fn;
        f->arg = arg;
    }
    return weir__flow_run(p, f, opt);
}

WEIR_API weir__flow *weir__flow_map_new(weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                                        const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(weir__map_stage, in, 1, out, 1, weir__flow_workers(opt), sizeof(weir__stage_fn));
    if (f != NULL) {
        weir__stage_plan(f)->map = fn;
        f->arg = arg;
    }
    return f;
}

WEIR_API int weir__flow_map(weir_pipeline *p, weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                            const weir_stage_opt *opt)
{
    return weir__flow_run(p, weir__flow_map_new(in, out, fn, arg, opt), opt);
}

WEIR_API int weir__flow_sink(weir_pipeline *p, weir__port in, weir_sink_fn *fn, void *arg, const weir_stage_opt *opt)
{
    weir__flow *f =
        weir__flow_new(weir__sink_stage, in, 1, weir__port_none(), 0, weir__flow_workers(opt), sizeof(weir__stage_fn));
    if (f != NULL) {
        weir__stage_plan(f)->sink = fn;
        f->arg = arg;
    }
    return weir__flow_run(p, f, opt);
}

WEIR_API int weir__flow_fan_out(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                const weir_stage_opt *opt)
{
    return n == 0 ? weir__flow_refuse(p, NULL, EINVAL) : weir__flow_deal(p, in, &in.chan, 1, out, outs, n, opt, false);
}

WEIR_API int weir__flow_fan_in(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                               const weir_stage_opt *opt)
{
    weir__flow *f;
    if (n == 0 || n > UINT32_MAX)
        return weir__flow_refuse(p, NULL, EINVAL);
    if (opt != NULL && opt->ordered)
        return weir__flow_deal(p, in, ins, n, out, &out.chan, 1, opt, false);
    f = weir__flow_new(weir__pump_stage, in, n, out, 1, (unsigned)n, 0);
    if (f != NULL) {
        f->own_in = true;
        memcpy(f->ins, ins, n * sizeof *f->ins);
    }
    return weir__flow_start(p, f, opt, (unsigned)n);
}

#endif /* WEIR_FLOW_STAGES_IMPLEMENTED */
