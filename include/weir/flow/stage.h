/* weir/flow/stage.h: what every stage of a pipeline is made of: a body, the channels beside it, and each worker's memory.
 *
 * Overview
 *   A stage is a weir__flow: one allocation, which the pipeline keeps until every thread has been joined. A module that adds a stage writes
 *   its body, the loop of one worker, and starts it:
 *
 *       weir__flow *f = weir__flow_new(body, in, 1, out, 1, weir__flow_workers(opt), sizeof(struct plan));
 *       if (f != NULL) fill in f->ins, f->outs beyond the first, f->arg, and f->plan, which is zero
 *       return weir__flow_run(p, f, opt);
 *
 *   body(desk, ctx, f, worker, from, to) takes values from weir__flow_in(f, worker), sends to weir__flow_out(f, worker), both over the desk
 *   (flow/desk.h), and returns as the loops of flow/loop.h do. from and to are its own memory for one value in and one out.
 *
 * Who closes what
 *   A worker that returns closes the inputs it has taken from: nobody reads them any more, and whoever sends there finds out. The outputs are
 *   closed once, after the last worker. A worker that has an input or an output of its own (own_in, own_out) closes that one.
 *
 * Order, in a stage of several workers
 *
 *       in ──deal──► queue i ──worker i──► queue i ──collect──► out
 *
 *   One thread deals the values out in turn, one collects in the same turn, over queues that are made for the stage (weir_stage_opt.queue,
 *   .wait). What a worker sends is marked, because a turn need not make one value: HAS_VALUE, and ENDS_TURN on the last of a
 *   turn. So a value that vanishes, and one that becomes many, keep the turn of their input. A body that may be ordered sends by
 *   weir__send_turn alone, and ends one turn for each value it takes, whatever became of it.
 *
 * All of it is private.
 */
#ifndef WEIR_FLOW_STAGE_H
#define WEIR_FLOW_STAGE_H

#include "loop.h"
#include "pipeline.h"

/* Values that a queue inside of a stage takes, where weir_stage_opt does not say. */
#ifndef WEIR_MAP_QUEUE
#define WEIR_MAP_QUEUE 64
#endif

typedef struct weir__flow weir__flow;
typedef int weir__flow_body(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to);

struct weir__flow {
    weir__flow_body *body;
    weir__port in, out; /* kind and size; with arrays, the chan is the array's */
    weir__chan **ins;
    weir_closer *outs; /* closed at the end */
    size_t in_count, out_count;
    void *arg;
    void *plan; /* what the stage knows besides */
    weir_pipeline *pipeline;
    weir__room *room; /* where its workers' desks stand; NULL: they have none */
    weir__atomic_u32 next_worker;
    unsigned char *values;     /* per worker: from_room bytes, then to_room */
    size_t from_room, to_room; /* a value of in, one of out with its mark; multiples of 64 */
    bool own_in, own_out;      /* worker i alone takes from ins[i], sends to outs[i] */
    bool marked;               /* what is sent is marked */
    bool owns_ins, owns_outs;  /* they were made for the stage */
    bool helper;               /* deals to another stage's workers, or collects from them */
};

/* Where a stage has no input, or no output. */
static inline weir__port weir__port_none(void)
{
    return weir__port_of(NULL, WEIR__MPMC, 0);
}

static inline unsigned weir__flow_workers(const weir_stage_opt *opt)
{
    return opt == NULL || opt->workers == 0 ? 1 : opt->workers;
}
static inline weir__port weir__flow_in(const weir__flow *f, uint32_t worker)
{
    return weir__port_at(f->in, f->ins, f->own_in ? worker : 0);
}
static inline weir__port weir__flow_out(const weir__flow *f, uint32_t worker)
{
    return weir__port_at(f->out, f->outs, f->own_out ? worker : 0);
}

#define weir__flow_new WEIR__RINGED(weir__flow_new)
#define weir__flow_start WEIR__RINGED(weir__flow_start)
#define weir__flow_room WEIR__RINGED(weir__flow_room)
#define weir__flow_run WEIR__RINGED(weir__flow_run)
#define weir__flow_refuse WEIR__RINGED(weir__flow_refuse)
#define weir__flow_deal WEIR__RINGED(weir__flow_deal)
#define weir__flow_queues WEIR__RINGED(weir__flow_queues)

/* NULL: no memory. plan_size bytes at f->plan are zero; ins[0] and outs[0] are those of the ports; there is room for as many of each as the
 * count says, and as there are workers. */
WEIR_API weir__flow *weir__flow_new(weir__flow_body *body, weir__port in, size_t in_count, weir__port out,
                                    size_t out_count, unsigned workers, size_t plan_size);
/* Starts f with that many workers; f is the pipeline's from here on, also on failure. f may be NULL: ENOMEM. EINVAL: an output
 * that has not been made, more workers than a channel allows. */
WEIR_API int weir__flow_start(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers);
/* Gives f a room, if it needs one: before its channels become others than those that the program has given. weir__flow_start does, else. */
WEIR_API int weir__flow_room(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers);
/* The same for a stage of one input and one output (or none of either) with the workers of opt, in order if opt says so. */
WEIR_API int weir__flow_run(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt);
/* The stage cannot be: releases f (NULL: nothing) and fails the pipeline with rc, which it returns. */
WEIR_API int weir__flow_refuse(weir_pipeline *p, weir__flow *f, int rc);
/* Deals from in_count channels to out_count, each in turn, in one thread; helper: for the workers of another stage. */
WEIR_API int weir__flow_deal(weir_pipeline *p, weir__port in, const void *ins, size_t in_count, weir__port out,
                             const void *outs, size_t out_count, const weir_stage_opt *opt, bool helper);
/* n queues for one sender and one receiver each, with handles at `handles`; wait and name are those of `beside` (may be NULL) where opt does not
 * say. 0; ENOMEM, EINVAL, EOVERFLOW, with NULL for what has not been made. */
WEIR_API int weir__flow_queues(void *handles, size_t n, size_t size, const weir__chan *beside,
                               const weir_stage_opt *opt);

/* ---- marks ------------------------------------------------------------------------------------------------------------------ */

enum { WEIR__HAS_VALUE = 1, WEIR__ENDS_TURN = 2 };

/* The size of a marked value; the mark stands behind it. */
static inline size_t weir__marked_size(size_t plain)
{
    return (plain + 7) / 8 * 8 + 8;
}

/* Sends what lies at `to`, with marks: a value, the end of a turn, or both. Where nothing is marked an end is nothing. */
WEIR_INLINE int weir__send_turn(weir__desk *desk, weir_ctx *ctx, bool marked, weir__port out, void *to, int marks)
{
    const uint64_t mark = (uint64_t)marks;
    if (marked)
        memcpy((unsigned char *)to + out.size - sizeof mark, &mark, sizeof mark);
    if ((marks & WEIR__HAS_VALUE) != 0)
        return weir__desk_send(desk, ctx, out, to);
    return marked ? weir__send(ctx, out.chan, out.kind, to, out.size, WEIR_FOREVER) : 0; /* no value: not counted */
}

/* What follows a stage function that has returned rc for the value at `from`: what lies at `to` is sent, with these marks; or the value has failed,
 * and its turn ends. 0, or what ends the stage. */
WEIR_INLINE int weir__flow_answer(weir__desk *desk, weir_ctx *ctx, const weir__flow *f, weir__port out, int rc,
                                  const void *from, void *to, int marks)
{
    if (WEIR_LIKELY(rc == 0))
        return weir__send_turn(desk, ctx, f->marked, out, to, marks);
    rc = weir__desk_failed(desk, ctx, rc, from);
    return rc != 0 ? rc : weir__send_turn(desk, ctx, f->marked, out, to, WEIR__ENDS_TURN);
}

#endif /* WEIR_FLOW_STAGE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_STAGE_IMPLEMENTED)
#define WEIR_FLOW_STAGE_IMPLEMENTED

#include "../core/memory.h"

static size_t weir__flow_round(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

WEIR_API weir__flow *weir__flow_new(weir__flow_body *body, weir__port in, size_t in_count, weir__port out,
                                    size_t out_count, unsigned workers, size_t plan_size)
{
    const size_t in_room = in_count > workers ? in_count : workers,
                 out_room = out_count > workers ? out_count : workers;
    const size_t from_room = weir__flow_round(in.size), to_room = weir__flow_round(weir__marked_size(out.size));
    const size_t head = weir__flow_round(sizeof(weir__flow) + (in_room + out_room) * sizeof(weir__chan *));
    const size_t plan = weir__flow_round(plan_size);
    weir__flow *f = (weir__flow *)WEIR_ALLOC(64, head + plan + workers * (from_room + to_room));
    if (f == NULL)
        return NULL;
    memset(f, 0, head + plan);
    f->body = body;
    f->in = in;
    f->out = out;
    f->ins = (weir__chan **)(void *)(f + 1);
    f->outs = (weir_closer *)(void *)(f->ins + in_room);
    f->in_count = in_count;
    f->out_count = out_count;
    f->plan = (unsigned char *)f + head;
    f->values = (unsigned char *)f + head + plan;
    f->from_room = from_room;
    f->to_room = to_room;
    if (in_count > 0)
        f->ins[0] = in.chan;
    if (out_count > 0)
        f->outs[0].chan = out.chan;
    return f;
}

static void weir__flow_release(void *arg)
{
    weir__flow *f = (weir__flow *)arg;
    for (size_t i = 0; f->owns_ins && i < f->in_count; i++)
        weir__chan_free(&f->ins[i]);
    for (size_t i = 0; f->owns_outs && i < f->out_count; i++)
        weir__chan_free(&f->outs[i].chan);
    WEIR_FREE(f);
}

/* One worker of a stage. */
static int weir__flow_main(weir_ctx *ctx, void *arg)
{
    weir__flow *f = (weir__flow *)arg;
    const uint32_t worker = weir__add_rlx(&f->next_worker, 1);
    unsigned char *from = f->values + worker * (f->from_room + f->to_room);
    weir__desk *desk = f->room == NULL ? NULL : &f->room->desks[worker];
    int rc;
    if (desk != NULL)
        weir__desk_open(desk, ctx);
    rc = f->body(desk, ctx, f, worker, from, from + f->from_room);
    if (desk != NULL)
        weir__desk_close(desk);
    weir__pipeline_fail(f->pipeline, rc); /* before anything closes: the others see the error first */
    if (f->own_in)
        (void)weir__chan_close(f->ins[worker]);
    for (size_t i = 0; !f->own_in && i < f->in_count; i++)
        (void)weir__chan_close(f->ins[i]); /* nobody reads them any more */
    if (f->own_out)
        (void)weir__chan_close(f->outs[worker].chan);
    if (f->room != NULL)
        weir__room_leave(&f->pipeline->rooms, f->room);
    return rc;
}

WEIR_API int weir__flow_refuse(weir_pipeline *p, weir__flow *f, int rc)
{
    if (f != NULL)
        weir__flow_release(f);
    weir__pipeline_fail(p, rc);
    return rc;
}

WEIR_API int weir__flow_room(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers)
{
    weir__room_plan plan;
    weir_stage_opt used;
    if (f->room != NULL || f->helper)
        return 0;
    if (opt == NULL)
        memset(&used, 0, sizeof used);
    else
        used = *opt;
    if (used.name == NULL)
        used.name = WEIR__STAGE_NAME;
    plan.workers = workers;
    plan.item_size = f->in_count > 0 ? f->in.size : f->out.size;
    plan.ins = f->ins;
    plan.outs = (const weir__chan *const *)(const void *)f->outs;
    plan.in_count = f->in_count;
    plan.out_count = f->out_count;
    plan.told = f->arg;
    return weir__room_new(&p->rooms, &used, &plan, &f->room);
}

/* Whether its outputs have been made: nobody could close one that is NULL. (An input that is NULL is never ready, as in Go.) */
static bool weir__flow_has_outputs(const weir__flow *f)
{
    for (size_t i = 0; i < f->out_count; i++)
        if (f->outs[i].chan == NULL)
            return false;
    return true;
}

WEIR_API int weir__flow_start(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers)
{
    int rc;
    weir_stage_opt used;
    if (f == NULL)
        return weir__flow_refuse(p, NULL, ENOMEM);
    if (opt == NULL)
        memset(&used, 0, sizeof used);
    else
        used = *opt;
    used.workers = workers;
    f->pipeline = p;
    if (!weir__flow_has_outputs(f))
        return weir__flow_refuse(p, f, EINVAL);
    if (workers > 1 && ((!f->own_in && f->in_count > 0 && !weir__many_consumers(f->in.kind)) ||
                        (!f->own_out && f->out_count > 0 && !weir__many_producers(f->out.kind))))
        return weir__flow_refuse(p, f, EINVAL);
    rc = weir__flow_room(p, f, opt, workers);
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    return weir__pipeline_start(p, &used, weir__flow_main, f, f->outs, f->out_count, weir__flow_release);
}

static int weir__flow_deal_body(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    (void)worker;
    (void)to;
    return weir__deal_body(desk, ctx, f->in, f->ins, f->in_count, f->out, f->outs, f->out_count, from);
}

WEIR_API int weir__flow_deal(weir_pipeline *p, weir__port in, const void *ins, size_t in_count, weir__port out,
                             const void *outs, size_t out_count, const weir_stage_opt *opt, bool helper)
{
    weir__flow *f = weir__flow_new(weir__flow_deal_body, in, in_count, out, out_count, 1, 0);
    if (f != NULL) {
        f->helper = helper;
        memcpy(f->ins, ins, in_count * sizeof *f->ins);
        memcpy(f->outs, outs, out_count * sizeof *f->outs);
    }
    return weir__flow_start(p, f, opt, 1);
}

/* ---- order ------------------------------------------------------------------------------------------------------------------ */

WEIR_API int weir__flow_queues(void *handles, size_t n, size_t size, const weir__chan *beside,
                               const weir_stage_opt *opt)
{
    weir_chan_opt made = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    int rc = 0;
    if (beside != NULL) {
        made.wait = (weir_wait_strategy)beside->wait;
        made.name = beside->name;
    }
    if (opt->wait != WEIR_WAIT_ADAPTIVE)
        made.wait = opt->wait;
    memset(handles, 0, n * sizeof(weir__chan *));
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = weir__chan_make((unsigned char *)handles + i * sizeof(weir__chan *), WEIR__SPSC,
                             opt->queue == 0 ? WEIR_MAP_QUEUE : opt->queue, size, &made);
    return rc;
}

/* Takes from each of ins until its turn ends, in turn. */
static int weir__flow_collect_body(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from,
                                   void *to)
{
    size_t i = 0;
    uint64_t mark;
    (void)worker;
    (void)to;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, weir__port_at(f->in, f->ins, i), from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        memcpy(&mark, (unsigned char *)from + f->in.size - sizeof mark, sizeof mark);
        if ((mark & WEIR__HAS_VALUE) != 0)
            rc = weir__desk_send(desk, ctx, f->out, from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        if ((mark & WEIR__ENDS_TURN) != 0)
            i = i + 1 < f->in_count ? i + 1 : 0;
    }
}

/* f was made for `in` and `out` and n workers: turns it to queues of its own, and puts a dealer before it and a collector behind. */
static int weir__flow_ordered(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned n)
{
    const weir__port in = f->in, out = f->out;
    weir__flow *collect;
    weir__port queued = {NULL, WEIR__SPSC, in.size}, marked = {NULL, WEIR__SPSC, weir__marked_size(out.size)};
    int rc = weir__flow_room(p, f, opt, n);
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    rc = weir__flow_queues(f->ins, n, queued.size, in.chan, opt);
    memset(f->outs, 0, n * sizeof *f->outs);
    if (rc == 0)
        rc = weir__flow_queues(f->outs, n, marked.size, out.chan, opt);
    f->in = queued;
    f->out = marked;
    f->in_count = f->out_count = n;
    f->own_in = f->own_out = f->owns_ins = f->owns_outs = f->marked = true;
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    /* From here on f, and with it the queues, stays until all threads have been joined. */
    rc = weir__flow_start(p, f, opt, n);
    if (rc != 0)
        return rc;
    rc = weir__flow_deal(p, in, &in.chan, 1, queued, f->ins, n, opt, true);
    if (rc != 0)
        return rc;
    collect = weir__flow_new(weir__flow_collect_body, marked, n, out, 1, 1, 0);
    if (collect != NULL) {
        collect->helper = true;
        memcpy(collect->ins, f->outs, n * sizeof *f->outs);
    }
    return weir__flow_start(p, collect, opt, 1);
}

WEIR_API int weir__flow_run(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    if (f != NULL && workers > 1 && opt->ordered && f->in_count == 1 && f->out_count == 1)
        return weir__flow_ordered(p, f, opt, workers);
    return weir__flow_start(p, f, opt, workers);
}

#endif /* WEIR_FLOW_STAGE_IMPLEMENTED */
