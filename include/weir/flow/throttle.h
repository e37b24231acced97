/* weir/flow/throttle.h: a stage that passes values on as fast as a limiter lets it.
 *
 *     weir_limiter_init(&l, 1000.0, 50, NULL);
 *     weir_throttle(p, in, out, &l, opt);               weir_throttle_loop(ctx, in, out, &l): in the calling thread
 *
 * A value is taken first, then its token is waited for (weir_limiter_wait), then it is sent: no token is spent while there is nothing to send, and
 * one value is in hand meanwhile. Stages may share a limiter; the limiter outlives the pipeline, and its rate may be changed while it runs.
 *
 * What the limiter refuses for ever (a burst of 0), or for longer than the context's deadline allows (ETIMEDOUT, at once), is a failure of that
 * value, and as any other ends the stage unless its policy says otherwise. in, out, opt, the result: as weir_map's; both channels of one type.
 */
#ifndef WEIR_FLOW_THROTTLE_H
#define WEIR_FLOW_THROTTLE_H

#include "../guard/limiter.h"
#include "stage.h"

#define weir_throttle(p, in, out, limiter, opt)                                                                        \
    weir__flow_throttle((p), weir__port_if(WEIR__PORT(in), WEIR__SAME(in, out)), WEIR__PORT(out), (limiter), (opt))
#define weir_throttle_loop(ctx, in, out, limiter)                                                                      \
    weir__throttle_loop((ctx), weir__port_if(WEIR__LOOP_PORT(in), WEIR__SAME(in, out)), WEIR__LOOP_PORT(out), (limiter))

WEIR_INLINE int weir__throttle_body(weir__desk *desk, weir_ctx *ctx, bool marked, weir__port in, weir__port out,
                                    weir_limiter *limiter, void *value)
{
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, value), marks = WEIR__HAS_VALUE | WEIR__ENDS_TURN;
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir_limiter_wait(ctx, limiter, 1);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = weir__desk_failed(desk, ctx, rc, value);
            marks = WEIR__ENDS_TURN;
        }
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, marked, out, value, marks);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__throttle_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_limiter *limiter)
{
    weir__loop_value value;
    return weir__throttle_body(NULL, ctx, false, in, out, limiter, value.bytes);
}

#define weir__flow_throttle WEIR__RINGED(weir__flow_throttle)
WEIR_API int weir__flow_throttle(weir_pipeline *p, weir__port in, weir__port out, weir_limiter *limiter,
                                 const weir_stage_opt *opt);

#endif /* WEIR_FLOW_THROTTLE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_THROTTLE_IMPLEMENTED)
#define WEIR_FLOW_THROTTLE_IMPLEMENTED

static int weir__throttle_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    (void)from;
    return weir__throttle_body(desk, ctx, f->marked, weir__flow_in(f, worker), weir__flow_out(f, worker),
                               (weir_limiter *)f->arg, to);
}

WEIR_API int weir__flow_throttle(weir_pipeline *p, weir__port in, weir__port out, weir_limiter *limiter,
                                 const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(weir__throttle_stage, in, 1, out, 1, weir__flow_workers(opt), 0);
    if (f != NULL)
        f->arg = limiter;
    return weir__flow_run(p, f, opt);
}

#endif /* WEIR_FLOW_THROTTLE_IMPLEMENTED */
