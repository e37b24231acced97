/* weir/task/future.h: a value that is not there yet.
 *
 *     typedef weir_future(struct page) page_future;
 *     page_future f;
 *     weir_future_make(&f);
 *     weir_future_run(ctx, f, fetch, url);               int fetch(weir_ctx *ctx, void *url, void *page)
 *     …
 *     rc = weir_future_get(ctx, f, &page);               any number of threads, any number of times
 *     weir_future_free(&f);
 *
 * Either a function computes the value (run), or somebody sets it by hand (set, fail): the first decides, for all the others EINVAL. A future that has failed
 * gives its code to all who get. It stands in a select as WEIR_FUTURE(f, &page), ready once there is a value or a code; the
 * code is in the case's status.
 *
 * The handle is one pointer, passed by value, and typed as a channel's (chan/handle.h).
 *
 * Who may call what at once: get, get_until, select, set, fail, run, is_done: any threads. free, detach: one thread, after which none may use it:
 * free waits for a running function, and for a set in progress; detach leaves the function running, and what there is of the future goes with
 * it. A future that nobody has set is simply freed.
 *
 * Progress: get is wait-free once it is done, else parks. set takes the lock of the queue of those who wait.
 */
#ifndef WEIR_TASK_FUTURE_H
#define WEIR_TASK_FUTURE_H

#include "../chan/promise.h"
#include "../chan/select.h"
#include "../park/roll.h"
#include "runner.h"

/* clang-format off */
typedef struct weir_future_core { weir__chan chan; } weir_future_core;
#define weir_future(T) union { weir_future_core *core; T *elem; }
/* clang-format on */

/* Computes a value. 0: it is in *value; else a code that stands for it. */
typedef int weir_future_fn(weir_ctx *ctx, void *arg, void *value);

/* Zero means the default, for each. */
typedef struct weir_future_opt {
    const char *name;    /* on the roll of threads, and of the thread that runs it; "future" */
    weir_runner *runner; /* where it runs; NULL: on a thread of its own */
    /* the caller's, WEIR_FUTURE_BYTES(T) of it; NULL: allocated. It outlives a function that runs, detached or not */
    void *memory;
    size_t memory_size;
} weir_future_opt;

/* Lies behind the value. */
typedef struct weir__future_work {
    weir__chan *chan;
    weir_ctx *ctx;
    weir_future_fn *fn;
    void *arg;
    weir_runner *runner;
    bool threaded; /* the thread is to be joined or detached */
    weir__thread thread;
    weir__atomic_u32 leavers; /* of the handle and the function, who has gone; the second frees */
} weir__future_work;
#define WEIR_FUTURE_BYTES(T) WEIR_CHAN_BYTES(char[(sizeof(T) + 63) / 64 * 64 + sizeof(weir__future_work)], 1)

/* 0; ENOMEM; EINVAL: memory is given, but too little. opt may be NULL; it is copied. The only call that allocates. */
#define weir_future_make(f) weir_future_make_opt((f), NULL)
#define weir_future_make_opt(f, opt) weir__future_make((void *)(f), sizeof *(f)->elem, (opt))

/* Has fn(ctx, arg, &value) run; ctx lives until it has returned. 0; EINVAL: it has been set, or runs; EAGAIN: the system refused a thread; what the runner said. */
#define weir_future_run(ctx, f, fn, arg) weir__future_run((ctx), WEIR__CHAN(f), (fn), (arg))
/* Sets the value, or a code other than 0. 0; EINVAL: it has been set, or is being computed; code is 0. */
#define weir_future_set(f, ptr) weir__future_set(WEIR__CHAN(f), (const void *)WEIR__ELEM(f, ptr), 0)
#define weir_future_fail(f, code) weir__future_set(WEIR__CHAN(f), NULL, (code))

/* Waits for the value. 0, or the code that stands for it; ECANCELED, ETIMEDOUT: ctx or the deadline ended first (weir_future_is_done tells, where a code
 * may be the same). ptr may be NULL. */
#define weir_future_get(ctx, f, ptr) weir__future_get((ctx), WEIR__CHAN(f), (void *)WEIR__ELEM(f, ptr), WEIR_FOREVER)
#define weir_future_get_until(ctx, f, ptr, deadline)                                                                   \
    weir__future_get((ctx), WEIR__CHAN(f), (void *)WEIR__ELEM(f, ptr), (deadline))
#define weir_future_is_done(f) weir__promise_done(WEIR__CHAN(f))
/* A case of a select. */
#define WEIR_FUTURE(f, ptr) weir__case(WEIR__CASE_RECV, WEIR__CHAN(f), NULL, (void *)WEIR__ELEM(f, ptr), NULL)

/* Waits for all: 0; or the code of the first that is found to have failed, whose number is in *which, without waiting for the rest. */
#define weir_future_all(ctx, fs, n, which) weir__future_all((ctx), (fs), (n), (which))
/* Waits for the first that has a value: 0, and its number in *which; or, if all have failed, the code of the last. EINVAL: n is 0. Both: ECANCELED, ETIMEDOUT;
 * ENOMEM: n is above 16 and there is no memory for the wait. which may be NULL. */
#define weir_future_any(ctx, fs, n, which) weir__future_any((ctx), (fs), (n), (which))

/* Frees it, after whoever sets it is through, and makes the handle NULL. */
#define weir_future_free(f) weir__future_free((void *)(f))
/* The same without waiting for a function that runs. */
#define weir_future_detach(f) weir__future_detach((void *)(f))

WEIR_API int weir__future_make(void *handle, size_t size, const weir_future_opt *opt);
WEIR_API int weir__future_run(weir_ctx *ctx, weir__chan *c, weir_future_fn *fn, void *arg);
WEIR_API int weir__future_set(weir__chan *c, const void *value, int code);
WEIR_API int weir__future_get(weir_ctx *ctx, weir__chan *c, void *value, weir_ns deadline);
WEIR_API int weir__future_all(weir_ctx *ctx, const void *handles, size_t n, size_t *which);
WEIR_API int weir__future_any(weir_ctx *ctx, const void *handles, size_t n, size_t *which);
WEIR_API void weir__future_free(void *handle);
WEIR_API void weir__future_detach(void *handle);

#endif /* WEIR_TASK_FUTURE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_FUTURE_IMPLEMENTED)
#define WEIR_TASK_FUTURE_IMPLEMENTED

static weir__future_work *weir__future_work_of(weir__chan *c)
{
    return (weir__future_work *)(void *)((unsigned char *)weir__promise_value(c) + (c->size + 63) / 64 * 64);
}

WEIR_API int weir__future_make(void *handle, size_t size, const weir_future_opt *opt)
{
    weir__future_work *work;
    weir_chan_opt chan_opt = {WEIR_WAIT_ADAPTIVE, "future", NULL, 0};
    int rc;
    if (opt != NULL) {
        chan_opt.memory = opt->memory;
        chan_opt.memory_size = opt->memory_size;
    }
    if (opt != NULL && opt->name != NULL)
        chan_opt.name = opt->name;
    rc = weir__promise_make(handle, size, sizeof *work, &work, &chan_opt);
    if (rc != 0)
        return rc;
    memcpy(&work->chan, handle, sizeof work->chan);
    work->runner = opt == NULL ? NULL : opt->runner;
    return 0;
}

/* ---- setting ---- */

WEIR_API int weir__future_set(weir__chan *c, const void *value, int code)
{
    if (c == NULL || (value == NULL && code == 0) || !weir__promise_begin(c))
        return EINVAL;
    if (value != NULL)
        WEIR_COPY_IN(weir__promise_value(c), value, c->size);
    weir__promise_end(c, code);
    return 0;
}

static void weir__future_leave(weir__future_work *work)
{
    if (weir__add_ar(&work->leavers, 1) == 1)
        weir__chan_free(&work->chan);
}

static void weir__future_compute(void *arg)
{
    weir__future_work *work = (weir__future_work *)arg;
    weir__promise_end(work->chan, work->fn(work->ctx, work->arg, weir__promise_value(work->chan)));
    weir__future_leave(work);
}

static void *weir__future_thread(void *arg)
{
    weir__future_work *work = (weir__future_work *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, work->chan->name);
    weir_thread_name(work->chan->name);
    weir__future_compute(work);
    weir__roll_leave(&entry);
    return NULL;
}

WEIR_API int weir__future_run(weir_ctx *ctx, weir__chan *c, weir_future_fn *fn, void *arg)
{
    weir__future_work *work;
    int rc;
    if (c == NULL || !weir__promise_begin(c))
        return EINVAL;
    work = weir__future_work_of(c);
    work->ctx = ctx;
    work->fn = fn;
    work->arg = arg;
    work->threaded = work->runner == NULL;
    rc = work->threaded ? weir__roll_start(&work->thread, weir__future_thread, work)
                        : work->runner->run(work->runner, ctx, weir__future_compute, work);
    if (rc == 0)
        return 0;
    work->fn = NULL;
    work->threaded = false;
    weir__promise_give_up(c);
    return rc;
}

/* ---- getting ---- */

WEIR_API int weir__future_get(weir_ctx *ctx, weir__chan *c, void *value, weir_ns deadline)
{
    weir__op op = {WEIR__OP_RECV, NULL, NULL, {NULL, 0}};
    if (c == NULL)
        return weir__op_wait(ctx, c, &op, deadline); /* never there: why the wait has ended */
    if (!weir__promise_done(c)) {
        const int rc = weir__op_wait(ctx, c, &op, deadline);
        if (rc != 0)
            return rc;
    }
    (void)weir__promise_take(c, value);
    return weir__promise_code(c);
}

static weir__chan *weir__future_at(const void *handles, size_t i)
{
    weir__chan *c;
    memcpy(&c, (const unsigned char *)handles + i * sizeof(void *), sizeof c);
    return c;
}

/* Waits until each is done, or until `stops` says of one that this is enough. 0: all are done; else as weir_select, or 1: *at is that one. */
static int weir__future_each(weir_ctx *ctx, const void *handles, size_t n, bool stops_at_value, size_t *at, int *last)
{
    enum { FEW = 16 };
    weir_case few[FEW], *cases = few;
    size_t left = n;
    int rc = 0;
    if (n > FEW && (cases = (weir_case *)WEIR_ALLOC(sizeof(void *), n * sizeof *cases)) == NULL)
        return ENOMEM;
    for (size_t i = 0; i < n; i++)
        cases[i] = weir__case(WEIR__CASE_RECV, weir__future_at(handles, i), NULL, NULL, NULL);
    while (left > 0 && rc == 0) {
        const int i = weir_select_ordered(ctx, cases, n);
        if (i < 0) {
            rc = -i;
            break;
        }
        *at = (size_t)i;
        *last = cases[i].status;
        if ((cases[i].status == 0) == stops_at_value)
            rc = -1;
        cases[i].chan = NULL; /* never ready again */
        left--;
    }
    if (cases != few)
        WEIR_FREE(cases);
    return rc;
}

WEIR_API int weir__future_all(weir_ctx *ctx, const void *handles, size_t n, size_t *which)
{
    size_t at = 0;
    int last = 0;
    const int rc = weir__future_each(ctx, handles, n, false, &at, &last);
    if (rc == -1 && which != NULL)
        *which = at;
    return rc == -1 ? last : rc;
}

WEIR_API int weir__future_any(weir_ctx *ctx, const void *handles, size_t n, size_t *which)
{
    size_t at = 0;
    int last = EINVAL, rc;
    rc = weir__future_each(ctx, handles, n, true, &at, &last);
    if (rc == -1 && which != NULL)
        *which = at;
    return rc == -1 ? 0 : rc == 0 ? last : rc;
}

/* ---- the end ---- */

WEIR_API void weir__future_free(void *handle)
{
    weir__chan *c;
    weir__future_work *work;
    memcpy(&c, handle, sizeof c);
    if (c == NULL)
        return;
    work = weir__future_work_of(c);
    if (work->fn != NULL)
        (void)weir__future_get(NULL, c, NULL, WEIR_FOREVER);
    weir__promise_await_left(c);
    memset(handle, 0, sizeof c);
    if (work->threaded)
        weir__roll_join(work->thread, c->name);
    if (work->fn == NULL)
        weir__chan_free(&c);
    else
        weir__future_leave(work);
}

WEIR_API void weir__future_detach(void *handle)
{
    weir__chan *c;
    weir__future_work *work;
    memcpy(&c, handle, sizeof c);
    if (c == NULL)
        return;
    work = weir__future_work_of(c);
    if (work->fn == NULL) {
        weir__future_free(handle);
        return;
    }
    memset(handle, 0, sizeof c);
    if (work->threaded)
        WEIR_THREAD_DETACH(work->thread);
    weir__future_leave(work);
}

#endif /* WEIR_TASK_FUTURE_IMPLEMENTED */
