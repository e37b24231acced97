/* weir/guard/retry.h: a task is called again when it fails in a way that may pass: with growing pauses, within a deadline and a budget.
 *
 *     static const int passing[] = {ETIMEDOUT, ECONNREFUSED, ECONNRESET};
 *     weir_retry_config config = {.attempts = 5, .codes = passing, .n_codes = 3, .attempt_timeout = WEIR_MS(200), .timeout = WEIR_SEC(2)};
 *     int rc = weir_retry(ctx, &config, fetch, &page, NULL);
 *
 * Meaning
 *   Only what the caller has listed is retried; all other codes are returned as they come. Without a list and with more than one attempt: EINVAL.
 *   The pause begins at `delay` and grows by `growth`, to max_delay and no further: it stops growing there before it multiplies, and jitter is
 *   applied before the cap.
 *     WEIR_JITTER_FULL           anything between 0 and the pause: callers that failed together do not come back together
 *     WEIR_JITTER_NONE           the pause itself
 *     WEIR_JITTER_DECORRELATED   anything between `delay` and three times the last pause
 *     (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015)
 *   A task that knows better says so: weir_retry_after(ctx, pause), as a server does with Retry-After. That replaces the next pause, above max_delay too.
 *   A pause that would outlast the total deadline or the context's is not begun: the code of the last attempt is returned at once.
 *   An attempt that is over its time limit has an ended context; it is not abandoned, it has to return.
 *
 * Hedging
 *   With `hedge`, an attempt that has not returned after so long is joined by another one (it counts as one of `attempts`, and against the budget). The first
 *   result that is not to be retried wins; the other attempt's context is cancelled, and it is joined before weir_retry returns. Both get the same arg
 *   at the same time: weir_retry_attempt(ctx) tells them apart, and the report which of them has won. Hedged attempts run on threads that live until
 *   weir_retry returns, or on `runner`; where none can be had, the attempt runs in the caller, alone.
 *
 * Who may call what at once: a config is only read and may serve any number of threads.
 */
#ifndef WEIR_GUARD_RETRY_H
#define WEIR_GUARD_RETRY_H

#include "../core/random.h"
#include "../sync/sem.h"
#include "../task/group.h"
#include "budget.h"
#include "clock.h"

enum { WEIR_JITTER_FULL, WEIR_JITTER_NONE, WEIR_JITTER_DECORRELATED };

/* Zero means the default, for each. */
typedef struct weir_retry_config {
    int attempts;                           /* calls in all; 3 */
    const int *codes;                       /* what is retried … */
    size_t n_codes;                         /* … so many of them */
    bool (*retryable)(int code, void *arg); /* instead of the list, with the task's arg */
    weir_ns delay;                          /* 100 ms */
    weir_ns max_delay;                      /* 10 s */
    double growth;                          /* 2; at least 1 */
    int jitter;                             /* WEIR_JITTER_FULL */
    weir_ns attempt_timeout;                /* none */
    weir_ns timeout;                        /* of all together; none */
    weir_retry_budget *budget;              /* none; may be shared */
    weir_ns hedge;                          /* none. On weir's own clock */
    weir_runner *runner;                    /* for hedged attempts; threads of its own */
    weir_clock *clock;                      /* of pauses and of `timeout`; the monotonic one */
} weir_retry_config;

/* Why it went no further. */
enum {
    WEIR_RETRY_DONE,     /* the task returned 0 */
    WEIR_RETRY_CODE,     /* it returned something that is not retried */
    WEIR_RETRY_ATTEMPTS, /* there were no attempts left */
    WEIR_RETRY_BUDGET,   /* the budget was used up */
    WEIR_RETRY_DEADLINE, /* the next attempt would have come too late */
    WEIR_RETRY_CONTEXT   /* the caller's context has ended */
};

typedef struct weir_retry_report {
    int attempts; /* calls that were made */
    int winner;   /* which of them, from 1, returned `last`; 0: there was none */
    int last;     /* what it returned */
    int why;
    weir_ns paused; /* in all */
} weir_retry_report;

/* Calls fn(ctx, arg) until it succeeds or must not be called again. What the last attempt returned: 0, or its code; ECANCELED, ETIMEDOUT: ctx has ended before the
 * first attempt or in a pause; EINVAL: a config that makes no sense. report: may be NULL. Allocates nothing (but see runner). */
WEIR_API int weir_retry(weir_ctx *ctx, const weir_retry_config *config, weir_task_fn *fn, void *arg,
                        weir_retry_report *report);

/* For the task, with the context that it was given, or one below it. The pause before the next attempt, should there be one; negative: 0. */
WEIR_API void weir_retry_after(weir_ctx *ctx, weir_ns pause);
/* Which attempt this is, from 1; 0: none. */
WEIR_API int weir_retry_attempt(weir_ctx *ctx);

#endif /* WEIR_GUARD_RETRY_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_RETRY_IMPLEMENTED)
#define WEIR_GUARD_RETRY_IMPLEMENTED

typedef struct weir__retry {
    const weir_retry_config *config;
    weir_task_fn *fn;
    void *arg;
    weir_ctx *parent;
    weir_retry_report report;
    weir_ns delay, max_delay, pause; /* pause: the last one before jitter, or with decorrelated jitter after it */
    double growth;
    int attempts;
    bool has_group;
    weir_group group; /* the threads of hedged attempts */
    weir_sem finished;
} weir__retry;

/* One call of the task; on the stack of weir__retry_round. */
typedef struct weir__retry_call {
    weir__retry *retry;
    weir_ctx ctx;
    int number, rc;
    weir_ns after; /* what the task has asked for; negative: nothing */
    weir__atomic_u32 returned;
} weir__retry_call;

/* Its address is the key under which a context carries a call. */
static const char weir__retry_key = 0;

static weir__retry_call *weir__retry_call_of(weir_ctx *ctx)
{
    return (weir__retry_call *)weir_ctx_value(ctx, &weir__retry_key);
}

WEIR_API void weir_retry_after(weir_ctx *ctx, weir_ns pause)
{
    weir__retry_call *call = weir__retry_call_of(ctx);
    if (call != NULL)
        call->after = pause < 0 ? 0 : pause;
}

WEIR_API int weir_retry_attempt(weir_ctx *ctx)
{
    const weir__retry_call *call = weir__retry_call_of(ctx);
    return call == NULL ? 0 : call->number;
}

/* ---- the pause ----------------------------------------------------------------------------------------------------------------- */

static weir_ns weir__retry_grown(weir_ns pause, double growth, weir_ns most)
{
    return (double)pause >= (double)most / growth ? most : (weir_ns)((double)pause * growth);
}

/* The pause before the next attempt. */
static weir_ns weir__retry_pause(weir__retry *r, weir_ns asked)
{
    weir_ns pause = r->pause == 0 ? r->delay : weir__retry_grown(r->pause, r->growth, r->max_delay);
    if (r->config->jitter == WEIR_JITTER_DECORRELATED) {
        const weir_ns high = weir__retry_grown(r->pause == 0 ? r->delay : r->pause, 3, r->max_delay);
        pause = r->delay + (weir_ns)((double)(high - r->delay) * weir__random_share());
    }
    r->pause = pause < r->max_delay ? pause : r->max_delay;
    if (asked >= 0)
        return asked;
    return r->config->jitter == WEIR_JITTER_FULL ? (weir_ns)((double)r->pause * weir__random_share()) : r->pause;
}

static bool weir__retry_listed(const weir__retry *r, int code)
{
    if (r->config->retryable != NULL)
        return r->config->retryable(code, r->arg);
    for (size_t i = 0; i < r->config->n_codes; i++)
        if (r->config->codes[i] == code)
            return true;
    return false;
}

/* ---- one attempt, or two at once ------------------------------------------------------------------------------------------------ */

static void weir__retry_call_begin(weir__retry *r, weir__retry_call *call)
{
    const weir_ns timeout = r->config->attempt_timeout;
    call->retry = r;
    call->number = ++r->report.attempts;
    call->after = -1;
    call->returned = 0;
    weir_ctx_init_deadline(&call->ctx, r->parent, timeout > 0 ? weir_time_add(weir_now(), timeout) : WEIR_FOREVER);
    call->ctx.key = &weir__retry_key;
    call->ctx.value = call;
}

/* A task of the group: never fails there, for the group would end. */
static int weir__retry_call_run(weir_ctx *unused, void *arg)
{
    weir__retry_call *call = (weir__retry_call *)arg;
    (void)unused;
    call->rc = call->retry->fn(&call->ctx, call->retry->arg);
    weir__store_rel(&call->returned, 1); /* pairs with the acquire in weir__retry_winner: rc and after */
    (void)weir_sem_release(&call->retry->finished, 1);
    return 0;
}

static bool weir__retry_start(weir__retry *r, weir__retry_call *call)
{
    if (!r->has_group) {
        weir_group_opt opt;
        memset(&opt, 0, sizeof opt);
        opt.name = "retry";
        opt.runner = r->config->runner;
        weir_group_init(&r->group, NULL, &opt);
        (void)weir_sem_init(&r->finished, 2);
        (void)weir_sem_try_acquire(&r->finished, 2);
        r->has_group = true;
    }
    return weir_group_try_go(&r->group, weir__retry_call_run, call) == 0;
}

/* A call that has returned what is to be kept, or NULL. */
static weir__retry_call *weir__retry_winner(weir__retry *r, weir__retry_call *calls, int n)
{
    for (int i = 0; i < n; i++)
        if (weir__load_acq(&calls[i].returned) != 0 && !weir__retry_listed(r, calls[i].rc))
            return &calls[i];
    return NULL;
}

/* The first call is under way, and may be followed by another: waits, adds the second one, and returns the one that counts, both having returned. */
static weir__retry_call *weir__retry_hedged(weir__retry *r, weir__retry_call *calls)
{
    const weir_retry_config *c = r->config;
    weir__retry_call *winner;
    int n = 1, returned = 0;
    if (weir_sem_acquire_until(NULL, &r->finished, 1, weir_time_add(weir_now(), c->hedge)) == 0)
        return &calls[0];
    if (c->budget == NULL || weir_retry_budget_take(c->budget) == 0) {
        weir__retry_call_begin(r, &calls[1]);
        if (weir__retry_start(r, &calls[1]))
            n = 2;
        else {
            weir_ctx_free(&calls[1].ctx);
            r->report.attempts--;
            if (c->budget != NULL)
                weir_retry_budget_give_back(c->budget);
        }
    }
    do {
        (void)weir_sem_acquire(NULL, &r->finished, 1);
        returned++;
        winner = weir__retry_winner(r, calls, n);
    } while (winner == NULL && returned < n);
    for (int i = 0; i < n && returned < n; i++)
        if (&calls[i] != winner)
            weir_ctx_cancel(&calls[i].ctx, 0);
    for (; returned < n; returned++)
        (void)weir_sem_acquire(NULL, &r->finished, 1);
    if (n == 2)
        weir_ctx_free(&calls[1].ctx);
    return winner != NULL ? winner : &calls[n - 1];
}

/* One attempt. Returns what the task asks for as the next pause; its code is in the report. */
static weir_ns weir__retry_round(weir__retry *r)
{
    weir__retry_call calls[2], *counts = &calls[0];
    weir__retry_call_begin(r, &calls[0]);
    if (r->config->hedge > 0 && r->report.attempts < r->attempts && weir__retry_start(r, &calls[0]))
        counts = weir__retry_hedged(r, calls);
    else
        calls[0].rc = r->fn(&calls[0].ctx, r->arg);
    weir_ctx_free(&calls[0].ctx);
    r->report.last = counts->rc;
    r->report.winner = counts->number;
    return counts->after;
}

/* ---- all of them ---------------------------------------------------------------------------------------------------------------- */

static int weir__retry_stop(weir__retry *r, int why, int rc)
{
    r->report.why = why;
    return rc;
}

static int weir__retry_loop(weir__retry *r, weir_ctx *ctx)
{
    const weir_retry_config *c = r->config;
    const weir_ns end = c->timeout > 0 ? weir_time_add(weir__clock_now(c->clock), c->timeout) : WEIR_FOREVER;
    if (c->budget != NULL)
        weir_retry_budget_request(c->budget);
    for (;;) {
        weir_ns pause;
        int rc = weir_ctx_err(ctx);
        if (rc != 0)
            return weir__retry_stop(r, WEIR_RETRY_CONTEXT, rc);
        pause = weir__retry_round(r);
        rc = r->report.last;
        if (rc == 0 || !weir__retry_listed(r, rc))
            return weir__retry_stop(r, rc == 0 ? WEIR_RETRY_DONE : WEIR_RETRY_CODE, rc);
        if (r->report.attempts >= r->attempts)
            return weir__retry_stop(r, WEIR_RETRY_ATTEMPTS, rc);
        if (weir_ctx_err(ctx) != 0)
            return weir__retry_stop(r, WEIR_RETRY_CONTEXT, rc);
        {
            const weir_ns now = weir__clock_now(c->clock),
                          until = weir_time_add(now, pause = weir__retry_pause(r, pause));
            if (until >= end || pause >= weir__clock_left(ctx, WEIR_FOREVER))
                return weir__retry_stop(r, WEIR_RETRY_DEADLINE, rc);
            if (c->budget != NULL && weir_retry_budget_take(c->budget) != 0)
                return weir__retry_stop(r, WEIR_RETRY_BUDGET, rc);
            rc = pause > 0 ? weir__clock_sleep(c->clock, ctx, until) : 0;
            r->report.paused = weir_time_add(r->report.paused, pause);
            if (rc != 0)
                return weir__retry_stop(r, WEIR_RETRY_CONTEXT, rc);
        }
    }
}

static bool weir__retry_sound(const weir_retry_config *c)
{
    if (c->attempts < 0 || c->delay < 0 || c->max_delay < 0 || c->attempt_timeout < 0 || c->timeout < 0 || c->hedge < 0)
        return false;
    if (c->growth != 0 && !(c->growth >= 1))
        return false;
    if (c->jitter < WEIR_JITTER_FULL || c->jitter > WEIR_JITTER_DECORRELATED || (c->n_codes > 0 && c->codes == NULL))
        return false;
    return c->attempts == 1 || c->n_codes > 0 || c->retryable != NULL;
}

WEIR_API int weir_retry(weir_ctx *ctx, const weir_retry_config *config, weir_task_fn *fn, void *arg,
                        weir_retry_report *report)
{
    weir__retry r;
    weir_ctx all;
    int rc;
    memset(&r.report, 0, sizeof r.report);
    if (report != NULL)
        *report = r.report;
    if (!weir__retry_sound(config))
        return EINVAL;
    r.config = config;
    r.fn = fn;
    r.arg = arg;
    r.has_group = false;
    r.attempts = config->attempts != 0 ? config->attempts : 3;
    r.delay = config->delay != 0 ? config->delay : WEIR_MS(100);
    r.max_delay = config->max_delay != 0 ? config->max_delay : WEIR_SEC(10);
    r.growth = config->growth != 0 ? config->growth : 2;
    r.pause = 0;
    /* The total deadline reaches into the attempts. */
    weir_ctx_init_deadline(&all, ctx, config->timeout > 0 ? weir_time_add(weir_now(), config->timeout) : WEIR_FOREVER);
    r.parent = &all;
    rc = weir__retry_loop(&r, ctx);
    if (r.has_group)
        (void)weir_group_wait(&r.group);
    if (r.has_group)
        weir_group_free(&r.group);
    weir_ctx_free(&all);
    if (report != NULL)
        *report = r.report;
    return rc;
}

#endif /* WEIR_GUARD_RETRY_IMPLEMENTED */
