/* weir/flow/loop.h: what a stage does, as a loop in the calling thread.
 *
 * Overview
 *   A stage takes values from a channel, does something, and sends the results on. These loops are inline, so the stage's function
 *   inlines into them wherever it is visible, and so do the fast paths of the two channels. They start nothing and close nothing: a
 *   thread of the user's own may run them, or a task of a pipeline (flow/pipeline.h), which starts the threads and does the closing;
 *   flow/stages.h has a pipeline call for each of them.
 *
 *     int weir_generate_loop(ctx, out, fn, arg)     int fn(weir_ctx *ctx, void *arg, void *value)
 *     int weir_map_loop(ctx, in, out, fn, arg)      int fn(weir_ctx *ctx, void *arg, const void *in, void *out)
 *     int weir_sink_loop(ctx, in, fn, arg)          int fn(weir_ctx *ctx, void *arg, const void *value)
 *     int weir_fan_out_loop(ctx, in, outs, n)       value k goes to outs[k % n]
 *     int weir_fan_in_loop(ctx, ins, n, out)        takes from ins[k % n] in turn: the order that fan_out took apart
 *
 *   A stage function returns 0 for "go on". A generator returns EPIPE at the end of its sequence. Anything else is an error and ends
 *   the loop, which returns it.
 *
 * What a loop returns
 *     0            the input was closed and is drained; the sequence is at its end
 *     EPIPE        the output was closed by those who read it: nobody wants more
 *     ECANCELED, ETIMEDOUT   the context has ended; looked at before each value, not only when a channel blocks
 *     else         what the stage function returned
 *
 * Values go through memory of the loop's own, so that no place in a channel is held while the function runs: reading in place would
 * save a copy, and stop every other receiver's peers for as long as the function takes. Elements up to WEIR_LOOP_BYTES (256) lie on the
 * stack; larger ones do not compile here: send pointers, or use flow/stages.h.
 */
#ifndef WEIR_FLOW_LOOP_H
#define WEIR_FLOW_LOOP_H

#include "desk.h"

#ifndef WEIR_LOOP_BYTES
#define WEIR_LOOP_BYTES 256
#endif

typedef int weir_generate_fn(weir_ctx *ctx, void *arg, void *value);
typedef int weir_map_fn(weir_ctx *ctx, void *arg, const void *in, void *out);
typedef int weir_sink_fn(weir_ctx *ctx, void *arg, const void *value);

WEIR_INLINE weir__port weir__port_of(weir__chan *c, int kind, size_t size)
{
    weir__port p;
    p.chan = c;
    p.kind = kind;
    p.size = size;
    return p;
}
/* The port, where a check of types has come to 0. */
WEIR_INLINE weir__port weir__port_if(weir__port port, size_t zero)
{
    port.size += zero;
    return port;
}
#define WEIR__PORT(ch) weir__port_of(WEIR__CHAN(ch), WEIR__KIND((ch).core), sizeof *(ch).elem)
#define WEIR__FITS(ch) WEIR__REQUIRE(sizeof *(ch).elem <= WEIR_LOOP_BYTES)
#define WEIR__LOOP_PORT(ch) weir__port_of(WEIR__CHAN(ch), WEIR__KIND((ch).core), sizeof *(ch).elem + WEIR__FITS(ch))

#define weir_generate_loop(ctx, out, fn, arg) weir__generate_loop((ctx), WEIR__LOOP_PORT(out), (fn), (arg))
#define weir_map_loop(ctx, in, out, fn, arg)                                                                           \
    weir__map_loop((ctx), WEIR__LOOP_PORT(in), WEIR__LOOP_PORT(out), (fn), (arg))
#define weir_sink_loop(ctx, in, fn, arg) weir__sink_loop((ctx), WEIR__LOOP_PORT(in), (fn), (arg))
/* outs, ins: arrays of n handles of one type; in and out of the same element type. */
#define weir_fan_out_loop(ctx, in, outs, n)                                                                            \
    weir__fan_out_loop((ctx), WEIR__LOOP_PORT(in), WEIR__LOOP_PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in))
#define weir_fan_in_loop(ctx, ins, n, out)                                                                             \
    weir__fan_in_loop((ctx), WEIR__LOOP_PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__LOOP_PORT(out))
/* 0; a compiler diagnostic where the two element types differ. */
#define WEIR__SAME(a, b) (0 * sizeof(1 ? (a).elem : (b).elem))

typedef union weir__loop_value {
    unsigned char bytes[WEIR_LOOP_BYTES];
    unsigned char align __attribute__((aligned(64)));
} weir__loop_value;

/* Channel i of an array of handles, each of which is one pointer. */
WEIR_INLINE weir__port weir__port_at(weir__port like, const void *handles, size_t i)
{
    memcpy(&like.chan, (const unsigned char *)handles + i * sizeof(void *), sizeof like.chan);
    return like;
}

/* How a loop ends when its input says rc: the end of the input is no error. */
WEIR_INLINE int weir__loop_end(int rc)
{
    return rc == EPIPE ? 0 : rc;
}

/* ---- calls of stage functions: where there is no desk, nothing but the call ------------------------------------------------- */

typedef struct weir__loop_call {
    union {
        weir_generate_fn *generate;
        weir_map_fn *map;
        weir_sink_fn *sink;
    } fn;
    void *arg;
    const void *in;
    void *out;
} weir__loop_call;

static inline int weir__loop_generated(weir_ctx *ctx, void *arg)
{
    const weir__loop_call *call = (const weir__loop_call *)arg;
    return call->fn.generate(ctx, call->arg, call->out);
}
static inline int weir__loop_mapped(weir_ctx *ctx, void *arg)
{
    const weir__loop_call *call = (const weir__loop_call *)arg;
    return call->fn.map(ctx, call->arg, call->in, call->out);
}
static inline int weir__loop_sunk(weir_ctx *ctx, void *arg)
{
    const weir__loop_call *call = (const weir__loop_call *)arg;
    return call->fn.sink(ctx, call->arg, call->in);
}

WEIR_INLINE int weir__loop_generate(weir__desk *desk, weir_ctx *ctx, weir_generate_fn *fn, void *arg, void *value)
{
    weir__loop_call call;
    int rc;
    if (desk == NULL)
        return fn(ctx, arg, value);
    call.fn.generate = fn;
    call.arg = arg;
    call.in = NULL;
    call.out = value;
    weir__desk_blank(desk, value);
    rc = weir__desk_guarded(desk, ctx, weir__loop_generated, &call);
    if (rc == 0)
        weir__desk_count(&desk->in);
    return rc;
}
WEIR_INLINE int weir__loop_map(weir__desk *desk, weir_ctx *ctx, weir_map_fn *fn, void *arg, const void *in, void *out)
{
    weir__loop_call call;
    if (desk == NULL)
        return fn(ctx, arg, in, out);
    call.fn.map = fn;
    call.arg = arg;
    call.in = in;
    call.out = out;
    return weir__desk_guarded(desk, ctx, weir__loop_mapped, &call);
}
WEIR_INLINE int weir__loop_sink(weir__desk *desk, weir_ctx *ctx, weir_sink_fn *fn, void *arg, const void *value)
{
    weir__loop_call call;
    int rc;
    if (desk == NULL)
        return fn(ctx, arg, value);
    call.fn.sink = fn;
    call.arg = arg;
    call.in = value;
    call.out = NULL;
    rc = weir__desk_guarded(desk, ctx, weir__loop_sunk, &call);
    if (rc == 0 || rc == EPIPE) /* EPIPE: this one it has taken */
        weir__desk_count(&desk->out);
    return rc;
}

/* ---- the loops -------------------------------------------------------------------------------------------------------------- */

WEIR_INLINE int weir__generate_body(weir__desk *desk, weir_ctx *ctx, weir__port out, weir_generate_fn *fn, void *arg,
                                    void *value)
{
    for (;;) {
        int rc = weir__ctx_ended(ctx);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        rc = weir__loop_generate(desk, ctx, fn, arg, value);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = rc == EPIPE ? rc : weir__desk_failed(desk, ctx, rc, value);
            if (desk == NULL || rc != 0)
                return weir__loop_end(rc);
            continue;
        }
        rc = weir__desk_send(desk, ctx, out, value);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__map_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, weir_map_fn *fn,
                               void *arg, void *from, void *to)
{
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__loop_map(desk, ctx, fn, arg, from, to);
        rc = WEIR_LIKELY(rc == 0) ? weir__desk_send(desk, ctx, out, to) : weir__desk_failed(desk, ctx, rc, from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__sink_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir_sink_fn *fn, void *arg,
                                void *value)
{
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, value);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__loop_sink(desk, ctx, fn, arg, value);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = rc == EPIPE ? rc : weir__desk_failed(desk, ctx, rc, value);
            if (desk == NULL || rc != 0)
                return rc;
        }
    }
}

/* Moves values from in to out, each the next of its array in turn; an array of one is a plain channel. */
WEIR_INLINE int weir__deal_body(weir__desk *desk, weir_ctx *ctx, weir__port in, const void *ins, size_t in_count,
                                weir__port out, const void *outs, size_t out_count, void *value)
{
    size_t i = 0, o = 0;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, ins == NULL ? in : weir__port_at(in, ins, i), value);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_send(desk, ctx, outs == NULL ? out : weir__port_at(out, outs, o), value);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        i = i + 1 < in_count ? i + 1 : 0;
        o = o + 1 < out_count ? o + 1 : 0;
    }
}

WEIR_INLINE int weir__generate_loop(weir_ctx *ctx, weir__port out, weir_generate_fn *fn, void *arg)
{
    weir__loop_value value;
    return weir__generate_body(NULL, ctx, out, fn, arg, value.bytes);
}

WEIR_INLINE int weir__map_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_map_fn *fn, void *arg)
{
    weir__loop_value from, to;
    return weir__map_body(NULL, ctx, in, out, fn, arg, from.bytes, to.bytes);
}

WEIR_INLINE int weir__sink_loop(weir_ctx *ctx, weir__port in, weir_sink_fn *fn, void *arg)
{
    weir__loop_value value;
    return weir__sink_body(NULL, ctx, in, fn, arg, value.bytes);
}

WEIR_INLINE int weir__fan_out_loop(weir_ctx *ctx, weir__port in, weir__port out, const void *outs, size_t n)
{
    weir__loop_value value;
    return n == 0 ? EINVAL : weir__deal_body(NULL, ctx, in, NULL, 1, out, outs, n, value.bytes);
}

WEIR_INLINE int weir__fan_in_loop(weir_ctx *ctx, weir__port in, const void *ins, size_t n, weir__port out)
{
    weir__loop_value value;
    return n == 0 ? EINVAL : weir__deal_body(NULL, ctx, in, ins, n, out, NULL, 1, value.bytes);
}

#endif /* WEIR_FLOW_LOOP_H */
