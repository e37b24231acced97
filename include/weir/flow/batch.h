/* weir/flow/batch.h: so many values at a time, or what has come in time, whichever is first.
 *
 *     typedef weir_batch_of(struct row, 100) row_batch;        struct { struct row item[100]; size_t n; }
 *     typedef weir_chan(row_batch) batch_chan;
 *     weir_batch_rules rules = {.count = 50, .within = WEIR_MS(5)};
 *     weir_batch(p, rows, batches, &rules, opt)                rules NULL: by count alone, as many as the type holds
 *     weir_batch_loop(ctx, rows, batches, &batch, &rules)      in the calling thread, in memory of the caller's
 *
 * The output's values are batches: the first n of item[], in the order they came in; what is behind them means nothing. The type of item is checked
 * against the input's. A batch is copied as a whole: for large values send pointers.
 *
 * A batch goes out
 *   when it has rules.count values (0: as many as the type holds; more is EINVAL);
 *   when rules.within has passed since its first value was taken (0: no limit), never empty. A value that comes later begins the next batch;
 *   at the end of the input, with what there is.
 * When the context ends, what has been gathered is gone, as whatever is in the channels. While the output is full nothing is taken, and the time of
 * a batch that is ready means nothing any more.
 *
 * rules.clock: NULL, or the clock that says when (guard/clock.h). It is looked at whenever a value comes, and when as much time as is left has
 * passed on weir's own clock, which is what the wait goes by.
 *
 * With several workers each gathers batches of its own. .ordered with more than one is EINVAL: there is no order to keep. All else as in
 * flow/stages.h.
 */
#ifndef WEIR_FLOW_BATCH_H
#define WEIR_FLOW_BATCH_H

#include "../guard/clock.h"
#include "stage.h"

/* item first: so its place and that of n follow from their sizes. */
#define weir_batch_of(T, most)                                                                                         \
    struct {                                                                                                           \
        T item[most];                                                                                                  \
        size_t n;                                                                                                      \
    }

/* Zero means the default, for each. */
typedef struct weir_batch_rules {
    size_t count;      /* values in a batch; as many as the type holds */
    weir_ns within;    /* how long a batch waits for more, from its first value on; for ever */
    weir_clock *clock; /* weir's own */
} weir_batch_rules;

/* What of a batch the compiler knows. */
typedef struct weir__batch_shape {
    size_t most, n_at;
} weir__batch_shape;
WEIR_INLINE weir__batch_shape weir__batch_shape_of(size_t item, size_t items, size_t zero)
{
    weir__batch_shape s;
    s.most = items / item + zero;
    s.n_at = (items + sizeof(size_t) - 1) / sizeof(size_t) * sizeof(size_t);
    return s;
}
/* And diagnostics where the input has other items, or the output no batches. */
#define WEIR__BATCH_SHAPE(in, out)                                                                                     \
    weir__batch_shape_of(sizeof *(in).elem, sizeof(out).elem->item,                                                    \
                         0 * sizeof(1 ? (in).elem : (out).elem->item) + 0 * sizeof(1 ? &(out).elem->n : (size_t *)0))

#define weir_batch(p, in, out, rules, opt)                                                                             \
    weir__flow_batch((p), WEIR__PORT(in), WEIR__PORT(out), WEIR__BATCH_SHAPE(in, out), (rules), (opt))
#define weir_batch_loop(ctx, in, out, batch, rules)                                                                    \
    weir__batch_loop((ctx), WEIR__PORT(in), WEIR__PORT(out), WEIR__BATCH_SHAPE(in, out), (rules),                      \
                     WEIR__ELEM(out, batch))

/* A batch that is being gathered. */
typedef struct weir__batch {
    weir_batch_rules rules;
    weir__batch_shape shape;
    unsigned char *memory;
    size_t n;
    weir_ns now, due; /* on the rules' clock: when it was last looked at; when the batch goes out */
} weir__batch;

/* 0, or EINVAL. */
WEIR_INLINE int weir__batch_init(weir__batch *b, const weir_batch_rules *rules, weir__batch_shape shape, void *memory)
{
    memset(b, 0, sizeof *b);
    if (rules != NULL)
        b->rules = *rules;
    if (b->rules.count == 0)
        b->rules.count = shape.most;
    b->shape = shape;
    b->memory = (unsigned char *)memory;
    return b->rules.count > shape.most || b->rules.within < 0 ? EINVAL : 0;
}

WEIR_INLINE int weir__batch_send(weir__desk *desk, weir_ctx *ctx, weir__port out, weir__batch *b)
{
    if (b->n == 0)
        return 0;
    memcpy(b->memory + b->shape.n_at, &b->n, sizeof b->n);
    b->n = 0;
    return weir__desk_send(desk, ctx, out, b->memory);
}

/* Waits for the next value, behind those that have been gathered, at most until they are due. */
WEIR_INLINE int weir__batch_recv(weir__desk *desk, weir_ctx *ctx, weir__port in, const weir__batch *b)
{
    void *at = b->memory + b->n * in.size;
    weir_ns until = b->due;
    if (b->n == 0 || b->rules.within == 0)
        return weir__desk_recv(desk, ctx, in, at);
    if (b->rules.clock != NULL)
        until = weir_time_add(weir_now(), b->due - b->now);
    return weir__desk_recv_until(desk, ctx, in, at, until);
}

/* A value lies behind those that have been gathered. If their time has come they go first. */
WEIR_INLINE int weir__batch_add(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, weir__batch *b)
{
    int rc = 0;
    if (b->rules.within != 0) {
        b->now = weir__clock_now(b->rules.clock);
        if (b->n > 0 && b->now >= b->due) {
            const unsigned char *value = b->memory + b->n * in.size;
            rc = weir__batch_send(desk, ctx, out, b);
            memmove(b->memory, value, in.size);
        }
        if (b->n == 0)
            b->due = weir_time_add(b->now, b->rules.within);
    }
    b->n++;
    return rc == 0 && b->n == b->rules.count ? weir__batch_send(desk, ctx, out, b) : rc;
}

WEIR_INLINE int weir__batch_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, weir__batch *b)
{
    for (;;) {
        int rc = weir__batch_recv(desk, ctx, in, b);
        if (WEIR_LIKELY(rc == 0)) {
            rc = weir__batch_add(desk, ctx, in, out, b);
        } else if (rc == ETIMEDOUT && weir_ctx_err(ctx) == 0) { /* not the context's time: the batch's */
            b->now = weir__clock_now(b->rules.clock);
            rc = b->now >= b->due ? weir__batch_send(desk, ctx, out, b) : 0;
        } else {
            const int sent = rc == EPIPE ? weir__batch_send(desk, ctx, out, b) : 0;
            return sent != 0 ? sent : weir__loop_end(rc);
        }
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__batch_loop(weir_ctx *ctx, weir__port in, weir__port out, weir__batch_shape shape,
                                 const weir_batch_rules *rules, void *batch)
{
    weir__batch b;
    const int rc = weir__batch_init(&b, rules, shape, batch);
    return rc != 0 ? rc : weir__batch_body(NULL, ctx, in, out, &b);
}

#define weir__flow_batch WEIR__RINGED(weir__flow_batch)
WEIR_API int weir__flow_batch(weir_pipeline *p, weir__port in, weir__port out, weir__batch_shape shape,
                              const weir_batch_rules *rules, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_BATCH_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_BATCH_IMPLEMENTED)
#define WEIR_FLOW_BATCH_IMPLEMENTED

static int weir__batch_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__batch b = *(const weir__batch *)f->plan;
    (void)from;
    b.memory = (unsigned char *)to;
    return weir__batch_body(desk, ctx, weir__flow_in(f, worker), weir__flow_out(f, worker), &b);
}

WEIR_API int weir__flow_batch(weir_pipeline *p, weir__port in, weir__port out, weir__batch_shape shape,
                              const weir_batch_rules *rules, const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    weir__batch plan;
    weir__flow *f;
    int rc = weir__batch_init(&plan, rules, shape, NULL);
    if (rc != 0 || (workers > 1 && opt->ordered))
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__batch_stage, in, 1, out, 1, workers, sizeof plan);
    if (f != NULL)
        memcpy(f->plan, &plan, sizeof plan);
    return weir__flow_start(p, f, opt, workers);
}

#endif /* WEIR_FLOW_BATCH_IMPLEMENTED */
