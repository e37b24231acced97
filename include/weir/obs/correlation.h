/* weir/obs/correlation.h: a number that a request keeps on its way: contexts carry it to whatever runs below them.
 *
 *     weir_ctx request;
 *     weir_correlation_init(&request, parent, 4711);
 *     …in a task of a group, a pool or a pipeline under it:   log("%llu: …", weir_correlation(ctx));
 *
 * The nearest number upwards counts. 0 is none. As many bits as a pointer has are kept.
 */
#ifndef WEIR_OBS_CORRELATION_H
#define WEIR_OBS_CORRELATION_H

#include "../ctx/ctx.h"

/* A key that is the same in every unit, also under WEIR_STATIC, where each has variables of its own: no object lies at an odd address at the top of
 * memory. */
#define WEIR__CORRELATION_KEY ((const void *)(uintptr_t)(UINTPTR_MAX - 2))

/* As weir_ctx_init_value. id: 0 hides one from above. */
WEIR_API void weir_correlation_init(weir_ctx *ctx, weir_ctx *parent, uint64_t id);
/* The same for a context that carries nothing, or another number, and that nobody else uses now: for a thread that serves one request after the other. */
static inline void weir__correlation_set(weir_ctx *ctx, uint64_t id)
{
    ctx->key = WEIR__CORRELATION_KEY;
    ctx->value = (void *)(uintptr_t)id;
}
/* The number; 0: none, or ctx is NULL. Any thread; wait-free: some steps for each context on the way. */
WEIR_API uint64_t weir_correlation(const weir_ctx *ctx);

#endif /* WEIR_OBS_CORRELATION_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_CORRELATION_IMPLEMENTED)
#define WEIR_OBS_CORRELATION_IMPLEMENTED

WEIR_API void weir_correlation_init(weir_ctx *ctx, weir_ctx *parent, uint64_t id)
{
    weir_ctx_init(ctx, parent);
    weir__correlation_set(ctx, id);
}

WEIR_API uint64_t weir_correlation(const weir_ctx *ctx)
{
    return (uint64_t)(uintptr_t)weir_ctx_value(ctx, WEIR__CORRELATION_KEY);
}

#endif /* WEIR_OBS_CORRELATION_IMPLEMENTED */
