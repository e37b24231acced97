/* weir/flow/stages.h: the stages of a pipeline, one call each.
 *
 *     int weir_generate(p, out, fn, arg, opt)     fn makes values until it returns EPIPE
 *     int weir_map(p, in, out, fn, arg, opt)      one value out for each value in, on opt->workers threads
 *     int weir_sink(p, in, fn, arg, opt)          fn takes values; EPIPE from it: it wants no more
 *     int weir_fan_out(p, in, outs, n, opt)       value k goes to outs[k % n]
 *     int weir_fan_in(p, ins, n, out, opt)        opt->ordered: takes from ins[k % n] in turn; else each input as it comes
 *
 * p: a weir_pipeline; opt: a weir_stage_opt or NULL; ins, outs: arrays of n handles of one type (copied). Stage functions are those of
 * flow/loop.h. Each call starts the stage's threads and returns. When a stage ends it closes its outputs, once, after its last
 * worker; and its inputs, so that nobody goes on sending to it if it ended early.
 *
 * A channel has one stage at each end. With opt->workers above 1 the channels beside it are of kinds that allow that many at once;
 * EINVAL otherwise. Except for an ordered map: there one thread deals the values out to the workers in turn, over channels of its own, and one
 * collects the results in the same turn, so the order is kept without numbering, and any kind will do. (A slow value holds up
 * those behind it; each worker's queue takes WEIR_MAP_QUEUE of them meanwhile.)
 *
 * Returns 0, ENOMEM, EAGAIN (no thread to be had), EINVAL. After an error the pipeline is cancelled: weir_pipeline_wait is still
 * owed, and returns that error.
 *
 * The stage function is called through a pointer here. To have it inlined, give weir_pipeline_go a task that runs the loop:
 *     static int parse_all(weir_ctx *ctx, void *arg) { struct app *a = arg; return weir_map_loop(ctx, a->lines, a->rows, parse, a); }
 */
#ifndef WEIR_FLOW_STAGES_H
#define WEIR_FLOW_STAGES_H

#include "loop.h"
#include "pipeline.h"

#ifndef WEIR_MAP_QUEUE
#define WEIR_MAP_QUEUE 64
#endif

#define weir_generate(p, out, fn, arg, opt) weir__flow_generate((p), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_map(p, in, out, fn, arg, opt) weir__flow_map((p), WEIR__PORT(in), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_sink(p, in, fn, arg, opt) weir__flow_sink((p), WEIR__PORT(in), (fn), (arg), (opt))
#define weir_fan_out(p, in, outs, n, opt)                                                                              \
    weir__flow_fan_out((p), WEIR__PORT(in), WEIR__PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in), (opt))
#define weir_fan_in(p, ins, n, out, opt)                                                                               \
    weir__flow_fan_in((p), WEIR__PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__PORT(out), (opt))

#define weir__flow_generate WEIR__RINGED(weir__flow_generate)
#define weir__flow_map WEIR__RINGED(weir__flow_map)
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

#endif /* WEIR_FLOW_STAGES_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_STAGES_IMPLEMENTED)
#define WEIR_FLOW_STAGES_IMPLEMENTED

#include "../core/memory.h"

enum { WEIR__FLOW_GENERATE, WEIR__FLOW_MAP, WEIR__FLOW_SINK, WEIR__FLOW_DEAL, WEIR__FLOW_PUMP };

/* A stage's argument: what it moves, from where to where. Allocated with the handles of its inputs and outputs, and with room for
 * each worker's values; lives until the pipeline has been joined. */
typedef struct weir__flow {
    int what;
    weir__port in, out; /* kind and size; with arrays, the chan is the array's */
    weir__chan **ins;
    weir_closer *outs; /* closed at the end */
    size_t in_count, out_count;
    union {
        weir_generate_fn *generate;
        weir_map_fn *map;
        weir_sink_fn *sink;
    } fn;
    void *arg;
    weir__atomic_u32 next_worker;
    unsigned char *values; /* per worker: one of in.size and one of out.size, each on a multiple of 64 */
    bool owns_channels;    /* ins and outs were made for this stage: an ordered map's */
} weir__flow;

static size_t weir__flow_value_bytes(const weir__port *port)
{
    return (port->size + 63) / 64 * 64;
}

static weir__flow *weir__flow_new(int what, weir__port in, size_t in_count, weir__port out, size_t out_count,
                                  unsigned workers)
{
    const size_t values = (size_t)workers * (weir__flow_value_bytes(&in) + weir__flow_value_bytes(&out));
    const size_t head = (sizeof(weir__flow) + (in_count + out_count) * sizeof(weir__chan *) + 63) / 64 * 64;
    weir__flow *f = (weir__flow *)WEIR_ALLOC(64, head + values);
    if (f == NULL)
        return NULL;
    memset(f, 0, sizeof *f);
    f->what = what;
    f->in = in;
    f->out = out;
    f->ins = (weir__chan **)(void *)(f + 1);
    f->outs = (weir_closer *)(void *)(f->ins + in_count);
    f->in_count = in_count;
    f->out_count = out_count;
    f->values = (unsigned char *)f + head;
    if (in_count > 0)
        f->ins[0] = in.chan;
    if (out_count > 0)
        f->outs[0].chan = out.chan;
    return f;
}

static void weir__flow_release(void *arg)
{
    weir__flow *f = (weir__flow *)arg;
    for (size_t i = 0; f->owns_channels && i < f->in_count; i++)
        weir__chan_free(&f->ins[i]);
    for (size_t i = 0; f->owns_channels && i < f->out_count; i++)
        weir__chan_free(&f->outs[i].chan);
    WEIR_FREE(f);
}

/* One worker of a stage. */
static int weir__flow_main(weir_ctx *ctx, void *arg)
{
    weir__flow *f = (weir__flow *)arg;
    const uint32_t worker = weir__add_rlx(&f->next_worker, 1);
    unsigned char *from = f->values + worker * (weir__flow_value_bytes(&f->in) + weir__flow_value_bytes(&f->out));
    unsigned char *to = from + weir__flow_value_bytes(&f->in);
    int rc;
    switch (f->what) {
    case WEIR__FLOW_GENERATE: rc = weir__generate_body(ctx, f->out, f->fn.generate, f->arg, to); break;
    case WEIR__FLOW_MAP: rc = weir__map_body(ctx, f->in, f->out, f->fn.map, f->arg, from, to); break;
    case WEIR__FLOW_SINK: rc = weir__sink_body(ctx, f->in, f->fn.sink, f->arg, from); break;
    case WEIR__FLOW_DEAL:
        rc = weir__deal_body(ctx, f->in, f->ins, f->in_count, f->out, f->outs, f->out_count, from);
        break;
    default: /* WEIR__FLOW_PUMP: worker i empties ins[i] */
        rc = weir__deal_body(ctx, f->in, &f->ins[worker], 1, f->out, f->outs, 1, from);
        (void)weir__chan_close(f->ins[worker]);
        return rc;
    }
    for (size_t i = 0; i < f->in_count; i++)
        (void)weir__chan_close(f->ins[i]); /* nobody reads them any more */
    return rc;
}

static int weir__flow_refuse(weir_pipeline *p, weir__flow *f, int rc)
{
    if (f != NULL)
        weir__flow_release(f);
    weir__pipeline_fail(p, rc);
    return rc;
}

/* Starts f with the given number of workers; f is the pipeline's from here on. */
static int weir__flow_start(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers)
{
    weir_stage_opt used = {NULL, 0, false, NULL, 0};
    if (f == NULL)
        return weir__flow_refuse(p, NULL, ENOMEM);
    if (opt != NULL)
        used = *opt;
    used.workers = workers;
    if (workers > 1 && ((f->what != WEIR__FLOW_PUMP && f->in_count > 0 && !weir__many_consumers(f->in.kind)) ||
                        (f->out_count > 0 && !weir__many_producers(f->out.kind))))
        return weir__flow_refuse(p, f, EINVAL);
    return weir__pipeline_start(p, &used, weir__flow_main, f, f->outs, f->out_count, weir__flow_release);
}

static unsigned weir__flow_workers(const weir_stage_opt *opt)
{
    return opt == NULL || opt->workers == 0 ? 1 : opt->workers;
}

static const weir__port weir__no_port = {NULL, WEIR__MPMC, 0};

WEIR_API int weir__flow_generate(weir_pipeline *p, weir__port out, weir_generate_fn *fn, void *arg,
                                 const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    weir__flow *f = weir__flow_new(WEIR__FLOW_GENERATE, weir__no_port, 0, out, 1, workers);
    if (f != NULL) {
        f->fn.generate = fn;
        f->arg = arg;
    }
    return weir__flow_start(p, f, opt, workers);
}

WEIR_API int weir__flow_sink(weir_pipeline *p, weir__port in, weir_sink_fn *fn, void *arg, const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    weir__flow *f = weir__flow_new(WEIR__FLOW_SINK, in, 1, weir__no_port, 0, workers);
    if (f != NULL) {
        f->fn.sink = fn;
        f->arg = arg;
    }
    return weir__flow_start(p, f, opt, workers);
}

/* Deals from in_count channels to out_count, each in turn, in one thread. */
static int weir__flow_deal(weir_pipeline *p, weir__port in, const void *ins, size_t in_count, weir__port out,
                           const void *outs, size_t out_count, const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(WEIR__FLOW_DEAL, in, in_count, out, out_count, 1);
    if (f != NULL) {
        memcpy(f->ins, ins, in_count * sizeof *f->ins);
        memcpy(f->outs, outs, out_count * sizeof *f->outs);
    }
    return weir__flow_start(p, f, opt, 1);
}

WEIR_API int weir__flow_fan_out(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                const weir_stage_opt *opt)
{
    return n == 0 ? weir__flow_refuse(p, NULL, EINVAL) : weir__flow_deal(p, in, &in.chan, 1, out, outs, n, opt);
}

WEIR_API int weir__flow_fan_in(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                               const weir_stage_opt *opt)
{
    weir__flow *f;
    if (n == 0 || n > UINT32_MAX)
        return weir__flow_refuse(p, NULL, EINVAL);
    if (opt != NULL && opt->ordered)
        return weir__flow_deal(p, in, ins, n, out, &out.chan, 1, opt);
    f = weir__flow_new(WEIR__FLOW_PUMP, in, n, out, 1, (unsigned)n);
    if (f != NULL)
        memcpy(f->ins, ins, n * sizeof *f->ins);
    return weir__flow_start(p, f, opt, (unsigned)n);
}

static int weir__flow_map_one(weir_pipeline *p, weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                              const weir_stage_opt *opt, unsigned workers)
{
    weir__flow *f = weir__flow_new(WEIR__FLOW_MAP, in, 1, out, 1, workers);
    if (f != NULL) {
        f->fn.map = fn;
        f->arg = arg;
    }
    return weir__flow_start(p, f, opt, workers);
}

/* Makes n channels of the port's element size for one sender and one receiver. */
static int weir__flow_make_queues(void *handles, size_t n, const weir__port *port)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    int rc = 0;
    if (port->chan != NULL) {
        opt.wait = (weir_wait_strategy)port->chan->wait;
        opt.name = port->chan->name;
    }
    memset(handles, 0, n * sizeof(weir__chan *));
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = weir__chan_make((unsigned char *)handles + i * sizeof(weir__chan *), WEIR__SPSC, WEIR_MAP_QUEUE,
                             port->size, &opt);
    return rc;
}

/* in ─deal─► queue i ─worker i─► queue i ─collect─► out. The queues belong to a record of their own, which the pipeline releases after
 * all threads have been joined. */
static int weir__flow_map_ordered(weir_pipeline *p, weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                                  const weir_stage_opt *opt, unsigned n)
{
    weir__port from = {NULL, WEIR__SPSC, in.size}, to = {NULL, WEIR__SPSC, out.size};
    weir__flow *queues = weir__flow_new(WEIR__FLOW_DEAL, in, n, out, n, 1);
    weir_stage_opt one = {NULL, 1, false, NULL, 0};
    int rc;
    if (queues == NULL)
        return weir__flow_refuse(p, NULL, ENOMEM);
    queues->owns_channels = true;
    rc = weir__flow_make_queues(queues->ins, n, &in) | weir__flow_make_queues(queues->outs, n, &out); /* 0 or ENOMEM */
    if (rc != 0)
        return weir__flow_refuse(p, queues, ENOMEM);
    rc = weir__pipeline_keep(p, queues, weir__flow_release);
    if (rc == 0)
        rc = weir__flow_deal(p, in, &in.chan, 1, from, queues->ins, n, opt);
    for (unsigned i = 0; i < n && rc == 0; i++) {
        one.name = opt->name;
        one.cpu_count = opt->cpu_count == 0 ? 0 : 1;
        one.cpus = opt->cpu_count == 0 ? NULL : &opt->cpus[i % opt->cpu_count];
        from.chan = queues->ins[i];
        to.chan = queues->outs[i].chan;
        rc = weir__flow_map_one(p, from, to, fn, arg, &one, 1);
    }
    return rc != 0 ? rc : weir__flow_deal(p, to, queues->outs, n, out, &out.chan, 1, opt);
}

WEIR_API int weir__flow_map(weir_pipeline *p, weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                            const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    if (workers > 1 && opt->ordered)
        return weir__flow_map_ordered(p, in, out, fn, arg, opt, workers);
    return weir__flow_map_one(p, in, out, fn, arg, opt, workers);
}

#endif /* WEIR_FLOW_STAGES_IMPLEMENTED */
