/* weir/flow/desk.h: where a worker of a stage works: all that its loop does beside the stage function goes through here.
 *
 *     weir__desk_recv     the next value of the input
 *     weir__desk_send     a value for the output
 *     weir__desk_call     the stage function, under the guards of the stage
 *     weir__desk_failed   what becomes of an item whose stage function has failed
 *
 * A desk of NULL, as the loops of flow/loop.h have, counts nothing and guards nothing, and folds away. A worker has a desk only if its pipeline is
 * watched or traced, or its stage has guards, an error policy or correlation ids (flow/room.h).
 *
 * Counting
 *   Each desk has lines of its own. Its worker alone writes there, without read-modify-writes; any thread reads. What has become of an item is
 *   stored with release after `in`, which counted it; who reads the outcomes first (acquire) and `in` last never finds more outcomes than items.
 *       in = out + dropped + skipped + dead + fatal + abandoned, and the one in hand                     where each item in makes one out
 *   Time is only read when a channel makes the worker wait, twice for each time.
 */
#ifndef WEIR_FLOW_DESK_H
#define WEIR_FLOW_DESK_H

#include "../chan/send_recv.h"
#include "../ctx/ctx.h"
#include "../guard/clock.h"
#include "../obs/trace.h"
#include "option.h"

/* One end of a stage: a channel with what the compiler knows of it. */
typedef struct weir__port {
    weir__chan *chan;
    int kind;
    size_t size;
} weir__port;

/* ---- a watch that one thread starts and stops, and any thread reads --------------------------------------------------------- */

/* Twice the time so far; while it runs: twice (the time so far - when it was started), plus 1. All of it in one word, modulo 2^64, so that nobody
 * reads one half before a change and the other after it. */
typedef weir__atomic_u64 weir__stopwatch;

static inline void weir__stopwatch_start(weir__stopwatch *w, weir_ns now)
{
    weir__store_rlx(w, (weir__load_rlx(w) - 2 * (uint64_t)now) | 1);
}
static inline void weir__stopwatch_stop(weir__stopwatch *w, weir_ns now)
{
    weir__store_rlx(w, (weir__load_rlx(w) & ~(uint64_t)1) + 2 * (uint64_t)now);
}
/* now: read after the clock of whoever has started it, or a moment before: then it is 0 rather than less. */
static inline weir_ns weir__stopwatch_read(const weir__stopwatch *w, weir_ns now)
{
    const uint64_t word = weir__load_rlx(w);
    const int64_t twice = (int64_t)((word & 1) != 0 ? (word & ~(uint64_t)1) + 2 * (uint64_t)now : word);
    return twice < 0 ? 0 : twice / 2;
}

/* ---- the desk --------------------------------------------------------------------------------------------------------------- */

/* What the desks of a stage have in common: flow/room.h makes it. Only read while the stage runs, but for what room.h says. */
typedef struct weir__room weir__room;

typedef struct WEIR__PADDED weir__desk {
    weir__atomic_u64 in, out, dropped, skipped, dead, fatal, abandoned;
    weir__stopwatch life, blocked_in, blocked_out;
    weir__room *room;
    /* The rest is the worker's own. */
    weir_ctx own;     /* under the pipeline's context: carries the id of the item in hand */
    const void *item; /* in hand */
    uint64_t id;
    int calls;              /* of the stage function, for the item in hand */
    const char *refused_by; /* the guard that has refused it */
    unsigned char *letter;  /* room for one */
} weir__desk;

/* By the worker: before its first item, and after its last. */
WEIR_API void weir__desk_open(weir__desk *desk, weir_ctx *ctx);
WEIR_API void weir__desk_close(weir__desk *desk);

/* Release: pairs with the acquire loads of weir__desk_read, in flow/progress.h. */
static inline void weir__desk_count(weir__atomic_u64 *counter)
{
    weir__store_rel(counter, weir__load_rlx(counter) + 1);
}

/* The same, when the channel was not ready at once. */
WEIR_API int weir__desk_recv_slow(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value, weir_ns deadline);
WEIR_API int weir__desk_send_slow(weir__desk *desk, weir_ctx *ctx, weir__port out, const void *value);

/* The next value: 0; EPIPE at the end of the input; or why the context has ended. _until: at most until a point on weir's clock: then ETIMEDOUT
 * too. */
WEIR_INLINE int weir__desk_recv_until(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value, weir_ns deadline)
{
    int rc = weir__ctx_ended(ctx);
    if (WEIR_UNLIKELY(rc != 0))
        return rc;
    if (desk == NULL)
        return weir__recv(ctx, in.chan, in.kind, value, in.size, deadline);
    if (WEIR_UNLIKELY(!weir__chan_pop(in.chan, in.kind, value, in.size, &rc)))
        rc = weir__desk_recv_slow(desk, ctx, in, value, deadline);
    if (WEIR_LIKELY(rc == 0)) {
        desk->item = value;
        weir__desk_count(&desk->in);
    }
    return rc;
}
WEIR_INLINE int weir__desk_recv(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value)
{
    return weir__desk_recv_until(desk, ctx, in, value, WEIR_FOREVER);
}

/* 0; EPIPE: nobody wants more; or why the context has ended: the item in hand is abandoned. */
WEIR_INLINE int weir__desk_send(weir__desk *desk, weir_ctx *ctx, weir__port out, const void *value)
{
    int rc;
    if (desk == NULL)
        return weir__send(ctx, out.chan, out.kind, value, out.size, WEIR_FOREVER);
    if (WEIR_UNLIKELY(!weir__chan_push(out.chan, out.kind, value, out.size, &rc)))
        rc = weir__desk_send_slow(desk, ctx, out, value);
    weir__desk_count(WEIR_LIKELY(rc == 0) ? &desk->out : &desk->abandoned);
    return rc;
}

/* Calls fn(ctx, arg), for the item that was received last, under the guards of the stage. 0; EPIPE from fn; or the error of the item. */
WEIR_API int weir__desk_guarded(weir__desk *desk, weir_ctx *ctx, weir_task_fn *fn, void *arg);
WEIR_INLINE int weir__desk_call(weir__desk *desk, weir_ctx *ctx, weir_task_fn *fn, void *arg)
{
    return desk == NULL ? fn(ctx, arg) : weir__desk_guarded(desk, ctx, fn, arg);
}

/* The stage function has failed on *item with rc. 0: it has been dealt with, go on with the next one; else the error that ends the stage. */
WEIR_API int weir__desk_given_up(weir__desk *desk, weir_ctx *ctx, int rc, const void *item);
WEIR_INLINE int weir__desk_failed(weir__desk *desk, weir_ctx *ctx, int rc, const void *item)
{
    return desk == NULL ? rc : weir__desk_given_up(desk, ctx, rc, item);
}

/* Before a generator is called: its item will be *value, which is all that a dead letter would hold if it writes nothing. */
WEIR_API void weir__desk_blank(weir__desk *desk, void *value);

/* ---- for stages that go on in another way ------------------------------------------------------------------------------------ */

/* Without waiting: EAGAIN: nothing there, no room. */
WEIR_INLINE int weir__desk_try_recv(weir__desk *desk, weir__port in, void *value)
{
    const int rc = weir__try_recv(in.chan, in.kind, value, in.size);
    if (desk != NULL && rc == 0) {
        desk->item = value;
        weir__desk_count(&desk->in);
    }
    return rc;
}
WEIR_INLINE int weir__desk_try_send(weir__desk *desk, weir__port out, const void *value)
{
    const int rc = weir__try_send(out.chan, out.kind, value, out.size);
    if (desk != NULL && rc == 0)
        weir__desk_count(&desk->out);
    return rc;
}

/* A value has come, has gone, by a select of the stage's own; is not to be sent; will not be sent. */
WEIR_INLINE void weir__desk_took(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->in);
}
WEIR_INLINE void weir__desk_gave(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->out);
}
WEIR_INLINE void weir__desk_dropped(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->dropped);
}
WEIR_INLINE void weir__desk_abandoned(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->abandoned);
}

/* The worker begins to wait, or has waited, by a call of the stage's own: for input, or for room at an output. */
WEIR_API void weir__desk_waits(weir__desk *desk, bool for_input);
WEIR_API void weir__desk_goes_on(weir__desk *desk, bool for_input);

struct weir__room {
    weir__room *next; /* in the order in which the stages were started */
    const char *name;
    unsigned workers;
    weir__atomic_u32 running; /* workers that have not returned */
    weir__desk *desks;
    /* What was asked for. */
    int on_error, guard_count;
    const weir_policy_layer *guards;
    uint64_t (*correlate)(const void *item);
    weir_dead_letters dead;
    size_t item_size; /* of what a letter holds */
    void *told;       /* what guards that ask functions of the program's tell them */
    weir_trace *trace;
    weir_clock *clock; /* of the times that a worker is blocked */
    bool timed, makes; /* whether those are measured; whether the stage is a generator */
    /* The channels beside it, for progress: compared, and only queue is looked into, which is NULL once the stages are gone. Guarded by the lock of
     * weir__rooms. */
    const weir__chan **ins, **outs;
    size_t in_count, out_count;
    weir__chan *queue;
    bool aside; /* what it takes has already been counted as failed */
};

#endif /* WEIR_FLOW_DESK_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_DESK_IMPLEMENTED)
#define WEIR_FLOW_DESK_IMPLEMENTED

#include "../obs/correlation.h"

WEIR_API void weir__desk_open(weir__desk *desk, weir_ctx *ctx)
{
    const weir__room *room = desk->room;
    desk->id = weir_correlation(ctx);
    if (room->correlate != NULL)
        weir_correlation_init(&desk->own, ctx, desk->id);
    if (room->timed)
        weir__stopwatch_start(&desk->life, weir__clock_now(room->clock));
}

WEIR_API void weir__desk_close(weir__desk *desk)
{
    const weir__room *room = desk->room;
    if (room->timed)
        weir__stopwatch_stop(&desk->life, weir__clock_now(room->clock));
    if (room->correlate != NULL)
        weir_ctx_free(&desk->own);
}

WEIR_API void weir__desk_waits(weir__desk *desk, bool for_input)
{
    if (desk != NULL && desk->room->timed)
        weir__stopwatch_start(for_input ? &desk->blocked_in : &desk->blocked_out, weir__clock_now(desk->room->clock));
}

WEIR_API void weir__desk_goes_on(weir__desk *desk, bool for_input)
{
    if (desk != NULL && desk->room->timed)
        weir__stopwatch_stop(for_input ? &desk->blocked_in : &desk->blocked_out, weir__clock_now(desk->room->clock));
}

WEIR_API int weir__desk_recv_slow(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value, weir_ns deadline)
{
    int rc;
    weir__desk_waits(desk, true);
    rc = weir__recv_slow(ctx, in.chan, value, deadline);
    weir__desk_goes_on(desk, true);
    return rc;
}

WEIR_API int weir__desk_send_slow(weir__desk *desk, weir_ctx *ctx, weir__port out, const void *value)
{
    int rc;
    weir__desk_waits(desk, false);
    rc = weir__send_slow(ctx, out.chan, value, WEIR_FOREVER);
    weir__desk_goes_on(desk, false);
    return rc;
}

/* ---- calling ---------------------------------------------------------------------------------------------------------------- */

/* The guards' task. */
typedef struct weir__desk_task {
    weir__desk *desk;
    weir_task_fn *fn;
    void *arg;
    bool ended, done; /* the last call returned EPIPE; 0 */
} weir__desk_task;

static int weir__desk_attempt(weir_ctx *ctx, void *arg)
{
    weir__desk_task *task = (weir__desk_task *)arg;
    weir__desk *desk = task->desk;
    const weir__room *room = desk->room;
    const weir_ns begun = room->trace == NULL ? 0 : weir_now();
    const int rc = task->fn(ctx, task->arg);
    desk->calls++;
    task->ended = rc == EPIPE;
    task->done = rc == 0;
    if (room->makes && room->correlate != NULL)
        desk->id = rc == 0 ? room->correlate(desk->item) : weir_correlation(desk->own.parent);
    if (room->trace != NULL)
        weir_trace_record(room->trace, room->name, "stage", begun, weir_now(), desk->id);
    return task->ended ? 0 : rc; /* to the guards the end of a sequence is no failure */
}

WEIR_API int weir__desk_guarded(weir__desk *desk, weir_ctx *ctx, weir_task_fn *fn, void *arg)
{
    weir__desk_task task = {desk, fn, arg, false, false};
    const weir__room *room = desk->room;
    weir_policy_report report;
    int rc;
    desk->calls = 0;
    desk->refused_by = NULL;
    if (room->correlate != NULL) {
        if (!room->makes)
            weir__correlation_set(&desk->own, desk->id = room->correlate(desk->item));
        ctx = &desk->own;
    }
    if (room->guard_count == 0) {
        rc = weir__desk_attempt(ctx, &task);
    } else {
        rc = weir__policy_call(ctx, room->guards, room->guard_count, weir__desk_attempt, &task, room->told, &report);
        desk->refused_by = report.name;
    }
    if (rc == 0 && task.ended)
        return EPIPE;
    return rc == 0 && !task.done ? ENODATA : rc;
}

/* ---- giving up -------------------------------------------------------------------------------------------------------------- */

WEIR_API void weir__desk_blank(weir__desk *desk, void *value)
{
    desk->item = value;
    if (desk->room->on_error == WEIR_ON_ERROR_DEAD_LETTER)
        memset(value, 0, desk->room->item_size);
}

/* 0: the letter is sent. */
static int weir__desk_bury(weir__desk *desk, weir_ctx *ctx, int error, const void *item)
{
    const weir__room *room = desk->room;
    weir_dead_letter why;
    weir__port to;
    int rc;
    to.chan = room->dead.chan;
    to.kind = room->dead.kind;
    to.size = room->dead.size;
    memset(&why, 0, sizeof why);
    why.error = error;
    why.calls = desk->calls;
    why.stage = room->name;
    why.refused_by = desk->refused_by;
    why.id = desk->id;
    memcpy(desk->letter, &why, sizeof why);
    memcpy(desk->letter + room->dead.item_at, item, room->item_size);
    if (!weir__chan_push(to.chan, to.kind, desk->letter, to.size, &rc))
        rc = weir__desk_send_slow(desk, ctx, to, desk->letter);
    if (rc == EPIPE && weir_ctx_err(ctx) != 0)
        rc = weir_ctx_err(ctx); /* who reads them has left because the pipeline ends */
    weir__desk_count(rc == 0 ? &desk->dead : rc == EPIPE ? &desk->fatal : &desk->abandoned);
    return rc == EPIPE ? error : rc;
}

WEIR_API int weir__desk_given_up(weir__desk *desk, weir_ctx *ctx, int rc, const void *item)
{
    const int ended = rc == EPIPE ? 0 : weir_ctx_err(ctx);
    const bool makes = desk->room->makes;
    if (makes && ended == 0)
        weir__desk_count(&desk->in); /* it has failed to make one */
    if (rc == EPIPE || ended != 0) {
        if (!makes) /* else there was none in hand */
            weir__desk_count(&desk->abandoned);
        return rc == EPIPE || desk->room->on_error == WEIR_ON_ERROR_FAIL ? rc : ended;
    }
    switch (desk->room->on_error) {
    case WEIR_ON_ERROR_SKIP: weir__desk_count(&desk->skipped); return 0;
    case WEIR_ON_ERROR_DEAD_LETTER: return weir__desk_bury(desk, ctx, rc, item);
    default: weir__desk_count(&desk->fatal); return rc;
    }
}

#endif /* WEIR_FLOW_DESK_IMPLEMENTED */
