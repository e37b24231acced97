/* weir/flow/pipeline.h: the threads of a pipeline, and how it ends.
 *
 * Overview
 *   A pipeline is a context and the stages that run under it. A stage is a task that runs on one or more threads of the pipeline's;
 *   stages talk over channels that the caller has made, and that outlive the pipeline.
 *
 *       weir_pipeline p;
 *       weir_pipeline_init(&p, NULL);
 *       weir_generate(&p, lines, read_line, &file, NULL);             flow/stages.h
 *       weir_map(&p, lines, rows, parse, NULL, &three_workers);
 *       weir_sink(&p, rows, print, NULL, NULL);
 *       int rc = weir_pipeline_wait(&p);                              0, or the first error
 *
 * How it ends
 *   At the end of the input: a stage whose last worker has returned closes the channels that it was started with, so the next stage
 *   drains what is left and ends too, down to the last.
 *   On an error: the first task that returns one decides what weir_pipeline_wait returns; the pipeline's context is cancelled with it
 *   as the cause, which ends every wait in every stage. EPIPE is no error: it says that whoever reads the output wants no more,
 *   and the stage ends as at the end of its input. A stage may keep the errors of its items to itself, and try again first (flow/option.h).
 *   From outside: when the parent context ends; tasks then return its error, and so does weir_pipeline_wait.
 *   In each case wait returns only when every thread has been joined: what the tasks were given may live on the caller's stack.
 *
 * Who may call what at once: init and wait, one thread. Starting stages: any thread, the pipeline's own included, until wait returns.
 */
#ifndef WEIR_FLOW_PIPELINE_H
#define WEIR_FLOW_PIPELINE_H

#include "../chan/make.h"
#include "../core/thread.h"
#include "../ctx/ctx.h"
#include "room.h"

/* A channel to close, of any type and kind: weir_closer c[] = { WEIR_CLOSER(ch) }. */
typedef struct weir_closer {
    weir__chan *chan;
} weir_closer;
#define WEIR_CLOSER(ch)                                                                                                \
    {                                                                                                                  \
        WEIR__CHAN(ch)                                                                                                 \
    }

/* What is to be done when all stages have been joined, before they are released; it frees itself. */
typedef struct weir__pipeline_end weir__pipeline_end;
struct weir__pipeline_end {
    void (*fn)(weir__pipeline_end *end);
    weir__pipeline_end *next;
};

typedef struct weir_pipeline {
    weir_ctx ctx;
    weir__lock lock;
    struct weir__stage *stages; /* all that were started, newest first; guarded by lock */
    weir__atomic_u32 first_error;
    weir__rooms rooms;
    weir__pipeline_end *ends; /* guarded by lock */
} weir_pipeline;

/* parent may be NULL; it outlives the pipeline. */
WEIR_API void weir_pipeline_init(weir_pipeline *p, weir_ctx *parent);

/* The context that every task gets. Cancel it to end the pipeline. */
static inline weir_ctx *weir_pipeline_ctx(weir_pipeline *p)
{
    return &p->ctx;
}

/* Records each call of a stage function in the trace, by the stage's name, with the correlation id of its item. Before the stages that it is for are
 * started; trace outlives them. NULL: none. */
WEIR_API void weir_pipeline_trace(weir_pipeline *p, weir_trace *trace);

/* Says that all stages that use dead-letter channels have been started: those channels are closed from now on, when the last such stage ends. For who
 * drains such a channel before it calls weir_pipeline_wait, which says the same. */
WEIR_API void weir_pipeline_started(weir_pipeline *p);

/* Starts a stage: task(ctx, arg) on opt->workers threads; opt may be NULL. After the last of them has returned, closes the close_count
 * channels of `closes` (copied). 0; ENOMEM, or EINVAL for a NULL channel (a WEIR_CLOSER that was written before its channel was made): nothing was started,
 * and the channels are closed; EAGAIN: the system refused a thread, and EINVAL: a CPU that is none: in each case the pipeline is cancelled and wait will
 * say so. */
WEIR_API int weir_pipeline_go(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                              const weir_closer *closes, size_t close_count);

/* For flow/stage.h. weir_pipeline_go, for a task whose argument the pipeline is to release, at the very end, or when this fails. */
WEIR_API int weir__pipeline_start(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                                  const weir_closer *closes, size_t close_count, void (*release)(void *arg));
/* The pipeline has failed with rc, unless that is 0 or EPIPE. */
WEIR_API void weir__pipeline_fail(weir_pipeline *p, int rc);

WEIR_API void weir__pipeline_at_end(weir_pipeline *p, weir__pipeline_end *end);

/* Joins every thread, frees the stages, returns the first error; the pipeline is then as before init. */
WEIR_API int weir_pipeline_wait(weir_pipeline *p);

#endif /* WEIR_FLOW_PIPELINE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_PIPELINE_IMPLEMENTED)
#define WEIR_FLOW_PIPELINE_IMPLEMENTED

#include "../core/memory.h"

typedef struct weir__worker {
    struct weir__stage *stage;
    weir__thread thread;
    int cpu; /* -1: anywhere */
    bool started;
} weir__worker;

/* One allocation: the stage, its workers, its closers. Freed by weir_pipeline_wait, once every thread has been joined. */
typedef struct weir__stage {
    struct weir__stage *next;
    weir_pipeline *pipeline;
    weir_task_fn *task;
    void *arg;
    const char *name;
    weir__atomic_u32 running; /* workers that have not returned; the last one closes */
    unsigned workers;
    weir__worker *worker;
    weir_closer *closes;
    size_t close_count;
    void (*release)(void *arg); /* what to do with arg at the very end; NULL: nothing */
} weir__stage;

static void weir__closers_close(const weir_closer *closes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)weir__chan_close(closes[i].chan);
}

WEIR_API void weir__pipeline_fail(weir_pipeline *p, int rc)
{
    uint32_t none = 0;
    if (rc == 0 || rc == EPIPE)
        return;
    (void)weir__cas_ar(&p->first_error, &none, (uint32_t)rc);
    weir_ctx_cancel(&p->ctx, rc);
}

/* `count` workers will run no more. */
static void weir__stage_leave(weir__stage *s, uint32_t count)
{
    if (weir__add_ar(&s->running, 0U - count) == count)
        weir__closers_close(s->closes, s->close_count);
}

static void *weir__stage_main(void *arg)
{
    weir__worker *w = (weir__worker *)arg;
    weir__stage *s = w->stage;
    weir__roll_entry entry;
    int rc = w->cpu < 0 ? 0 : weir_pin(w->cpu);
    weir__roll_enter(&entry, s->name);
    weir_thread_name(s->name);
    if (rc == 0)
        rc = s->task(&s->pipeline->ctx, s->arg);
    weir__pipeline_fail(s->pipeline, rc); /* before the channels close: the others see the error first */
    weir__stage_leave(s, 1);
    weir__roll_leave(&entry);
    return NULL;
}

static weir__stage *weir__stage_new(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                                    const weir_closer *closes, size_t close_count)
{
    const unsigned workers = opt->workers == 0 ? 1 : opt->workers;
    const size_t bytes = sizeof(weir__stage) + workers * sizeof(weir__worker) + close_count * sizeof *closes;
    weir__stage *s = (weir__stage *)WEIR_ALLOC(sizeof(void *) * 2, bytes);
    if (s == NULL)
        return NULL;
    memset(s, 0, bytes);
    s->pipeline = p;
    s->task = task;
    s->arg = arg;
    s->name = opt->name == NULL ? WEIR__STAGE_NAME : opt->name;
    s->running = s->workers = workers;
    s->worker = (weir__worker *)(void *)(s + 1);
    s->closes = (weir_closer *)(void *)(s->worker + workers);
    s->close_count = close_count;
    if (close_count > 0)
        memcpy(s->closes, closes, close_count * sizeof *closes);
    for (unsigned i = 0; i < workers; i++) {
        s->worker[i].stage = s;
        s->worker[i].cpu = opt->cpu_count == 0 ? -1 : opt->cpus[i % opt->cpu_count];
    }
    return s;
}

WEIR_API void weir_pipeline_init(weir_pipeline *p, weir_ctx *parent)
{
    memset(p, 0, sizeof *p);
    weir_ctx_init(&p->ctx, parent);
}

/* Starts the workers of a stage that is in the pipeline's list. */
static int weir__stage_start(weir__stage *s)
{
    for (unsigned i = 0; i < s->workers; i++) {
        const int rc = weir__roll_start(&s->worker[i].thread, weir__stage_main, &s->worker[i]);
        if (rc != 0) {
            weir__pipeline_fail(s->pipeline, rc);
            weir__stage_leave(s, s->workers - i);
            return rc;
        }
        s->worker[i].started = true;
    }
    return 0;
}

WEIR_API int weir__pipeline_start(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                                  const weir_closer *closes, size_t close_count, void (*release)(void *arg))
{
    weir_stage_opt none;
    weir__stage *s;
    int rc;
    memset(&none, 0, sizeof none);
    s = weir__stage_new(p, opt == NULL ? &none : opt, task, arg, closes, close_count);
    if (s == NULL) {
        weir__pipeline_fail(p, ENOMEM);
        weir__closers_close(closes, close_count);
        if (release != NULL)
            release(arg);
        return ENOMEM;
    }
    s->release = release;
    weir__lock_take(&p->lock);
    s->next = p->stages;
    p->stages = s;
    rc = weir__stage_start(s);
    weir__lock_release(&p->lock);
    return rc;
}

WEIR_API int weir_pipeline_go(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                              const weir_closer *closes, size_t close_count)
{
    for (size_t i = 0; i < close_count; i++)
        if (closes[i].chan == NULL) {
            weir__pipeline_fail(p, EINVAL);
            weir__closers_close(closes, close_count);
            return EINVAL;
        }
    return weir__pipeline_start(p, opt, task, arg, closes, close_count, NULL);
}

/* Takes the newest stage off the list, or returns NULL. A running stage may still start others: they come first in the list, and the
 * stage is joined before we look again. */
static weir__stage *weir__pipeline_pop(weir_pipeline *p)
{
    weir__stage *s;
    weir__lock_take(&p->lock);
    s = p->stages;
    if (s != NULL)
        p->stages = s->next;
    weir__lock_release(&p->lock);
    return s;
}

WEIR_API void weir_pipeline_trace(weir_pipeline *p, weir_trace *trace)
{
    p->rooms.trace = trace;
}

WEIR_API void weir_pipeline_started(weir_pipeline *p)
{
    weir__rooms_all_started(&p->rooms);
}

WEIR_API void weir__pipeline_at_end(weir_pipeline *p, weir__pipeline_end *end)
{
    weir__lock_take(&p->lock);
    end->next = p->ends;
    p->ends = end;
    weir__lock_release(&p->lock);
}

WEIR_API int weir_pipeline_wait(weir_pipeline *p)
{
    weir__stage *s, *joined = NULL;
    weir__pipeline_end *end, *next;
    weir_pipeline_started(p);
    while ((s = weir__pipeline_pop(p)) != NULL) {
        for (unsigned i = 0; i < s->workers; i++)
            if (s->worker[i].started)
                weir__roll_join(s->worker[i].thread, s->name);
        s->next = joined;
        joined = s;
    }
    weir__rooms_end(&p->rooms);
    for (end = p->ends; end != NULL; end = next) {
        next = end->next;
        end->fn(end);
    }
    p->ends = NULL;
    while ((s = joined) != NULL) { /* now that no thread is left that could use what another stage owns */
        joined = s->next;
        if (s->release != NULL)
            s->release(s->arg);
        WEIR_FREE(s);
    }
    weir_ctx_free(&p->ctx);
    return (int)weir__load_acq(&p->first_error);
}

#endif /* WEIR_FLOW_PIPELINE_IMPLEMENTED */
