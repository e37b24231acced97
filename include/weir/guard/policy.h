/* weir/guard/policy.h: guards around a call, in the order in which they are listed: the first is the outermost.
 *
 *     const weir_policy_layer layers[] = {
 *         weir_policy_retry(&retry),            calls what follows again, when it fails in a listed way (a refusal by the breaker, too, if EAGAIN is listed)
 *         weir_policy_breaker(&breaker),        refuses while the server is known to fail
 *         weir_policy_limiter(&limiter),        waits for its turn; refuses if that would come too late
 *         weir_policy_timeout(WEIR_MS(200)),    ends the context of what follows
 *     };
 *     weir_policy_report report;
 *     int rc = weir_policy_call(ctx, layers, 4, fetch, &page, &report);
 *     if (rc != 0 && report.refused_by >= 0) … layers[report.refused_by].name …         fetch was not called for this result
 *
 * Meaning
 *   Each layer calls the next one, or refuses. The result is what the outermost returned; the report says which layer refused, if the result is a refusal
 *   and not the task's own: also under a retry, whose other attempts may have ended otherwise.
 *   A layer may appear more than once: a timeout around all, and another one in each attempt. A layer of the program's own (a cache, a fallback, a log)
 *   is a weir_policy_fn.
 *
 * Who may call what at once: layers are only read; what they point to says itself who may use it: all guards of this library, any threads.
 */
#ifndef WEIR_GUARD_POLICY_H
#define WEIR_GUARD_POLICY_H

#include "adaptive.h"
#include "breaker.h"
#include "limiter.h"
#include "retry.h"
#include "window.h"

typedef struct weir_policy_layer weir_policy_layer;
typedef struct weir_policy_next weir_policy_next;

/* A layer: returns what weir_policy_go(ctx, next) returns, any number of times, by any threads, before it returns; or what weir_policy_refuse does. */
typedef int weir_policy_fn(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next);

struct weir_policy_layer {
    const char *name;
    weir_policy_fn *call;
    void *guard;
    int64_t number; /* tokens, nanoseconds … */
};

struct weir_policy_next {
    const weir_policy_layer *layers;
    int at, count; /* the layer that is to be called next, and how many there are */
    weir_task_fn *fn;
    void *arg;
    int refused_by; /* of the last weir_policy_go; -1: the task, or a layer's own doing */
    void *told;     /* what functions of the program's that a layer asks get as their arg: the task's, as a rule */
};

typedef struct weir_policy_report {
    int refused_by;   /* the layer, from 0, whose refusal the result is; -1: none */
    const char *name; /* its name; NULL */
} weir_policy_report;

/* Runs fn within the layers. What the first layer returns; with none, fn. EINVAL: count is negative. report: may be NULL. */
WEIR_API int weir_policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                              weir_policy_report *report);

/* For who calls a function of the program's by a task of the library's own: told is what the program has given. */
WEIR_API int weir__policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                               void *told, weir_policy_report *report);

/* For layers: calls all that is inside of this one. */
WEIR_API int weir_policy_go(weir_ctx *ctx, weir_policy_next *next);
/* For layers: `return weir_policy_refuse(next, code)`: the rest is not called for this result. */
static inline int weir_policy_refuse(weir_policy_next *next, int code)
{
    next->refused_by = next->at - 1;
    return code;
}

/* ---- the library's own layers ---- */

WEIR_API weir_policy_fn weir__policy_retry, weir__policy_breaker, weir__policy_limiter, weir__policy_try_limiter,
    weir__policy_timeout, weir__policy_sem, weir__policy_adaptive, weir__policy_fixed_window,
    weir__policy_sliding_window;

static inline weir_policy_layer weir__policy_layer(const char *name, weir_policy_fn *call, void *guard, int64_t number)
{
    weir_policy_layer layer;
    layer.name = name;
    layer.call = call;
    layer.guard = guard;
    layer.number = number;
    return layer;
}

/* weir_retry. Its config is only read; the cast is for C++, whose guard pointer is not const. */
static inline weir_policy_layer weir_policy_retry(const weir_retry_config *config)
{
    return weir__policy_layer("retry", weir__policy_retry, (void *)(uintptr_t)config, 0);
}
/* Refuses with EAGAIN, EBUSY. What the breaker's config says about results holds for what the inner layers return: their refusals by EAGAIN, EBUSY and ETIMEDOUT count as
 * neither, for nobody has asked the server. */
static inline weir_policy_layer weir_policy_breaker(weir_breaker *breaker)
{
    return weir__policy_layer("breaker", weir__policy_breaker, breaker, 0);
}
/* One token, waited for: refuses with ETIMEDOUT when that would be too late. _try_: now, or EAGAIN. */
static inline weir_policy_layer weir_policy_limiter(weir_limiter *limiter)
{
    return weir__policy_layer("limiter", weir__policy_limiter, limiter, 1);
}
static inline weir_policy_layer weir_policy_try_limiter(weir_limiter *limiter)
{
    return weir__policy_layer("limiter", weir__policy_try_limiter, limiter, 1);
}
/* One event in the window, waited for. */
static inline weir_policy_layer weir_policy_fixed_window(weir_fixed_window *window)
{
    return weir__policy_layer("fixed window", weir__policy_fixed_window, window, 1);
}
static inline weir_policy_layer weir_policy_sliding_window(weir_sliding_window *window)
{
    return weir__policy_layer("sliding window", weir__policy_sliding_window, window, 1);
}
/* Ends the context of the inner layers after so long. Never refuses: what runs has to look at its context. */
static inline weir_policy_layer weir_policy_timeout(weir_ns timeout)
{
    return weir__policy_layer("timeout", weir__policy_timeout, NULL, timeout);
}
/* A bulkhead: one unit of a semaphore while the inner layers run. */
static inline weir_policy_layer weir_policy_bulkhead(weir_sem *sem)
{
    return weir__policy_layer("bulkhead", weir__policy_sem, sem, 1);
}
/* A limit of concurrency that finds itself: 0 is a success, ETIMEDOUT a drop, other codes failures. */
static inline weir_policy_layer weir_policy_adaptive(weir_adaptive *adaptive)
{
    return weir__policy_layer("adaptive", weir__policy_adaptive, adaptive, 0);
}

#endif /* WEIR_GUARD_POLICY_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_POLICY_IMPLEMENTED)
#define WEIR_GUARD_POLICY_IMPLEMENTED

/* Each weir_policy_go works on a copy of its own, so that two of them may be under way at once (a hedge). */
WEIR_API int weir_policy_go(weir_ctx *ctx, weir_policy_next *next)
{
    weir_policy_next inner = *next;
    int rc;
    inner.refused_by = -1;
    if (inner.at == inner.count) {
        rc = inner.fn(ctx, inner.arg);
    } else {
        inner.at++;
        rc = inner.layers[inner.at - 1].call(ctx, &inner.layers[inner.at - 1], &inner);
    }
    next->refused_by = inner.refused_by;
    return rc;
}

WEIR_API int weir__policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                               void *told, weir_policy_report *report)
{
    weir_policy_next next = {layers, 0, count, fn, arg, -1, told};
    int rc = count < 0 ? EINVAL : weir_policy_go(ctx, &next);
    if (report != NULL) {
        report->refused_by = next.refused_by;
        report->name = next.refused_by < 0 ? NULL : layers[next.refused_by].name;
    }
    return rc;
}

WEIR_API int weir_policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                              weir_policy_report *report)
{
    return weir__policy_call(ctx, layers, count, fn, arg, arg, report);
}

/* ---- retry: which of the attempts it was whose result counts ---- */

typedef struct weir__policy_attempts {
    const weir_policy_next *next;
    int refused_by[2]; /* of attempts with odd and even numbers: two may be under way at once, and the last two count */
} weir__policy_attempts;

static int weir__policy_attempt(weir_ctx *ctx, void *arg)
{
    weir__policy_attempts *attempts = (weir__policy_attempts *)arg;
    weir_policy_next next = *attempts->next;
    const int number = weir_retry_attempt(ctx), rc = weir_policy_go(ctx, &next);
    attempts->refused_by[number & 1] = next.refused_by;
    return rc;
}

/* The list of codes, for the function of a config gets the task's arg, which here is not the program's. */
static bool weir__policy_retryable(int code, void *arg)
{
    const weir__policy_attempts *attempts = (const weir__policy_attempts *)arg;
    const weir_retry_config *config = (const weir_retry_config *)attempts->next->layers[attempts->next->at - 1].guard;
    return config->retryable(code, attempts->next->told);
}

WEIR_API int weir__policy_retry(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_retry_config config = *(const weir_retry_config *)layer->guard;
    weir__policy_attempts attempts = {next, {-1, -1}};
    weir_retry_report report;
    int rc;
    if (config.retryable != NULL)
        config.retryable = weir__policy_retryable;
    rc = weir_retry(ctx, &config, weir__policy_attempt, &attempts, &report);
    if (report.attempts == 0 || rc != report.last)
        return weir_policy_refuse(next, rc); /* not called, or not any more */
    next->refused_by = attempts.refused_by[report.winner & 1];
    return rc;
}

/* ---- the others ---- */

WEIR_API int weir__policy_breaker(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_breaker *breaker = (weir_breaker *)layer->guard;
    __attribute__((cleanup(weir__breaker_leave))) weir__breaker_visit visit = {breaker, {0}, WEIR_BREAKER_FAILURE};
    int rc = weir_ctx_err(ctx);
    if (rc != 0 || (rc = weir_breaker_allow(breaker, &visit.permit)) != 0)
        return weir_policy_refuse(next, rc);
    rc = weir_policy_go(ctx, next);
    visit.outcome = next->refused_by >= 0 ? WEIR_BREAKER_IGNORED : weir__breaker_outcome(breaker, ctx, rc);
    return rc;
}

WEIR_API int weir__policy_limiter(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_limiter_wait(ctx, (weir_limiter *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_try_limiter(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_limiter_allow((weir_limiter *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_fixed_window(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_fixed_window_wait(ctx, (weir_fixed_window *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_sliding_window(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_sliding_window_wait(ctx, (weir_sliding_window *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_timeout(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_ctx limited;
    int rc;
    weir_ctx_init_timeout(&limited, ctx, layer->number);
    rc = weir_policy_go(&limited, next);
    weir_ctx_free(&limited);
    return rc;
}

WEIR_API int weir__policy_sem(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_sem *sem = (weir_sem *)layer->guard;
    int rc = weir_sem_acquire(ctx, sem, layer->number);
    if (rc != 0)
        return weir_policy_refuse(next, rc);
    rc = weir_policy_go(ctx, next);
    (void)weir_sem_release(sem, layer->number);
    return rc;
}

WEIR_API int weir__policy_adaptive(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_adaptive *adaptive = (weir_adaptive *)layer->guard;
    weir_adaptive_permit permit;
    int rc = weir_adaptive_acquire(ctx, adaptive, &permit);
    if (rc != 0)
        return weir_policy_refuse(next, rc);
    rc = weir_policy_go(ctx, next);
    (void)weir_adaptive_release(adaptive, &permit,
                                rc == 0                                   ? WEIR_ADAPTIVE_OK
                                : rc == ETIMEDOUT && next->refused_by < 0 ? WEIR_ADAPTIVE_DROPPED
                                                                          : WEIR_ADAPTIVE_FAILED);
    return rc;
}

#endif /* WEIR_GUARD_POLICY_IMPLEMENTED */
