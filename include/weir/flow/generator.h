/* weir/flow/generator.h: a lazy sequence: a thread that makes the next value when somebody takes the last.
 *
 *     typedef weir_generator(int) int_generator;
 *     int_generator primes;
 *     weir_generator_start(ctx, &primes, next_prime, &state, NULL);    int next_prime(weir_ctx *ctx, void *state, void *value)
 *     while (weir_recv(ctx, primes.out, &p) == 0 && p < 1000) use(p);
 *     rc = weir_generator_stop(&primes);
 *
 * The channel is a rendezvous unless the options say otherwise, so the function is at most one value ahead. The sequence ends when the function returns
 * EPIPE, or another code, which stop returns; when the context ends; or when stop is called, whatever the thread is doing: it is never left behind.
 * After the end receives say EPIPE. Other channels and calls, select among them, treat .out as any channel.
 */
#ifndef WEIR_FLOW_GENERATOR_H
#define WEIR_FLOW_GENERATOR_H

#include "pipeline.h"
#include "stages.h"

#define weir_generator(T)                                                                                              \
    struct {                                                                                                           \
        weir_chan(T) out;                                                                                              \
        weir__generator run;                                                                                           \
    }

typedef struct weir__generator {
    weir_pipeline pipeline;
    bool started;
} weir__generator;

/* Zero means the default, for each. */
typedef struct weir_generator_opt {
    const char *name; /* of the thread and the channel; "generator" */
    size_t ahead;     /* capacity of the channel: so many values are made before they are asked for */
} weir_generator_opt;

/* ctx: NULL, or a context that outlives the generator. 0; ENOMEM; EAGAIN: the system refused a thread; nothing is left then. opt may be NULL. */
#define weir_generator_start(ctx, g, fn, arg, opt)                                                                     \
    weir__generator_start((ctx), &(g)->run, (void *)&(g)->out, sizeof *(g)->out.elem, (fn), (arg), (opt))
/* Ends it, joins the thread, frees the channel: no other thread uses it any more. 0, also if the sequence had not ended; the function's code; what
 * ended ctx. A generator that could not be started may be stopped, too. */
#define weir_generator_stop(g) weir__generator_stop(&(g)->run, (void *)&(g)->out)

WEIR_API int weir__generator_start(weir_ctx *ctx, weir__generator *g, void *handle, size_t size, weir_generate_fn *fn,
                                   void *arg, const weir_generator_opt *opt);
WEIR_API int weir__generator_stop(weir__generator *g, void *handle);

#endif /* WEIR_FLOW_GENERATOR_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_GENERATOR_IMPLEMENTED)
#define WEIR_FLOW_GENERATOR_IMPLEMENTED

WEIR_API int weir__generator_start(weir_ctx *ctx, weir__generator *g, void *handle, size_t size, weir_generate_fn *fn,
                                   void *arg, const weir_generator_opt *opt)
{
    weir_chan_opt chan_opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    weir_stage_opt stage_opt;
    weir__port out = {NULL, WEIR__MPMC, 0};
    int rc;
    memset(&stage_opt, 0, sizeof stage_opt);
    stage_opt.name = chan_opt.name = opt == NULL || opt->name == NULL ? "generator" : opt->name;
    memset(g, 0, sizeof *g);
    rc = weir__chan_make(handle, WEIR__MPMC, opt == NULL ? 0 : opt->ahead, size, &chan_opt);
    if (rc != 0)
        return rc;
    memcpy(&out.chan, handle, sizeof out.chan);
    out.size = size;
    weir_pipeline_init(&g->pipeline, ctx);
    g->started = true;
    rc = weir__flow_generate(&g->pipeline, out, fn, arg, &stage_opt);
    if (rc != 0)
        (void)weir__generator_stop(g, handle);
    return rc;
}

WEIR_API int weir__generator_stop(weir__generator *g, void *handle)
{
    weir_ctx *ctx = weir_pipeline_ctx(&g->pipeline);
    int ended, rc;
    if (!g->started)
        return 0;
    ended = weir_ctx_err(ctx); /* by its parent, or because the function has failed */
    weir_ctx_cancel(ctx, 0);
    rc = weir_pipeline_wait(&g->pipeline);
    weir__chan_free(handle);
    g->started = false;
    return ended == 0 && rc == ECANCELED ? 0 : rc;
}

#endif /* WEIR_FLOW_GENERATOR_IMPLEMENTED */
