/* What the tests of watched pipelines share: a map that fails for some, a sink that takes as many as it is let, and what the pipeline tells. */
#ifndef TEST_WATCHED_H
#define TEST_WATCHED_H

#include "flow.h"
#include "guard/hand.h"

static inline int fail_each_tenth(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int v;
    memcpy(&v, in, sizeof v);
    return v % 10 == 0 ? 9 : negate(ctx, arg, in, out);
}

static inline int take_gated(weir_ctx *ctx, void *arg, const void *value)
{
    (void)value;
    return weir_sem_acquire(ctx, (weir_sem *)arg, 1);
}

static inline weir_progress progress_of(weir_pipeline *p, weir_stage_progress *stages, size_t n)
{
    weir_progress now;
    CHECK_INT(weir_pipeline_progress(p, &now, stages, n), 0);
    return now;
}

#endif
