/* weir/flow/fuse.h: consecutive maps in one thread, with no channel between them.
 *
 *     static const weir_map_step steps[] = {{parse, NULL, sizeof(struct row)}, {price, &book, sizeof(struct quote)}, {round_up, NULL, 0}};
 *     weir_map_fused(p, lines, quotes, steps, 3, NULL);
 *
 * Like one weir_map whose function calls the steps in order (functions as weir_map's, flow/loop.h): what one makes is the next one's input, in
 * memory of the worker's own. A channel between two maps costs a copy in, a copy out and often a cache line's way to another core; it pays
 * when the two have enough to do for a core each. The steps are copied; what their arg points to outlives the pipeline.
 *
 * The first error of a step ends the value's way. To the stage the steps are one function: guards are asked once, and a retry begins at the first.
 * opt as weir_map's, workers and ordered among it. Returns as weir_map; EINVAL too for no steps, and for a last one that makes values of a size that
 * is not the output's.
 *
 * Not here: a loop to be inlined (flow/loop.h). A function that calls two others is that.
 */
#ifndef WEIR_FLOW_FUSE_H
#define WEIR_FLOW_FUSE_H

#include "stage.h"

typedef struct weir_map_step {
    weir_map_fn *fn;
    void *arg;
    size_t size; /* bytes of what it makes; 0 for the last: those of the output */
} weir_map_step;

#define weir_map_fused(p, in, out, steps, n, opt)                                                                      \
    weir__flow_fused((p), WEIR__PORT(in), WEIR__PORT(out), (steps), (n), (opt))

#define weir__flow_fused WEIR__RINGED(weir__flow_fused)
WEIR_API int weir__flow_fused(weir_pipeline *p, weir__port in, weir__port out, const weir_map_step *steps, size_t n,
                              const weir_stage_opt *opt);

#endif /* WEIR_FLOW_FUSE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_FUSE_IMPLEMENTED)
#define WEIR_FLOW_FUSE_IMPLEMENTED

/* Before the steps; behind them each worker has two places for what goes from one step to the next. */
typedef struct weir__fused_plan {
    size_t n, place, first; /* steps; bytes of a place; where the places begin */
} weir__fused_plan;

typedef struct weir__fused_call {
    const weir_map_step *steps;
    size_t n;
    const void *from;
    void *place[2], *to;
} weir__fused_call;

static int weir__fused_once(weir_ctx *ctx, void *arg)
{
    const weir__fused_call *c = (const weir__fused_call *)arg;
    const void *from = c->from;
    for (size_t i = 0; i < c->n; i++) {
        void *to = i + 1 == c->n ? c->to : c->place[i % 2];
        const int rc = c->steps[i].fn(ctx, c->steps[i].arg, from, to);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        from = to;
    }
    return 0;
}

static int weir__fused_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__fused_plan *plan = (const weir__fused_plan *)f->plan;
    const weir__port in = weir__flow_in(f, worker), out = weir__flow_out(f, worker);
    weir__fused_call call;
    call.steps = (const weir_map_step *)(const void *)(plan + 1);
    call.n = plan->n;
    call.from = from;
    call.to = to;
    call.place[0] = (unsigned char *)f->plan + plan->first + 2 * plan->place * worker;
    call.place[1] = (unsigned char *)call.place[0] + plan->place;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from), marks = WEIR__HAS_VALUE | WEIR__ENDS_TURN;
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_call(desk, ctx, weir__fused_once, &call);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = weir__desk_failed(desk, ctx, rc, from);
            marks = WEIR__ENDS_TURN;
        }
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, f->marked, out, to, marks);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_API int weir__flow_fused(weir_pipeline *p, weir__port in, weir__port out, const weir_map_step *steps, size_t n,
                              const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    weir__fused_plan plan = {n, 0, 0};
    weir__flow *f;
    if (n == 0 || n > UINT32_MAX || (steps[n - 1].size != 0 && steps[n - 1].size != out.size))
        return weir__flow_refuse(p, NULL, EINVAL);
    for (size_t i = 0; i + 1 < n; i++)
        if (steps[i].size > plan.place)
            plan.place = steps[i].size;
    if (plan.place > SIZE_MAX / 8 / workers)
        return weir__flow_refuse(p, NULL, EOVERFLOW);
    plan.place = (plan.place + 63) / 64 * 64;
    plan.first = (sizeof plan + n * sizeof *steps + 63) / 64 * 64;
    f = weir__flow_new(weir__fused_stage, in, 1, out, 1, workers, plan.first + 2 * plan.place * workers);
    if (f != NULL) {
        memcpy(f->plan, &plan, sizeof plan);
        memcpy((weir__fused_plan *)f->plan + 1, steps, n * sizeof *steps);
    }
    return weir__flow_run(p, f, opt);
}

#endif /* WEIR_FLOW_FUSE_IMPLEMENTED */
