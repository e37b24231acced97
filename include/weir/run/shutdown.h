/* weir/run/shutdown.h: how a program stops: on a signal, in three phases, each step with a time of its own, and a report of what did not stop.
 *
 *     static weir_shutdown stop;                                         it outlives every step, also one that never returns
 *     weir_shutdown_init(&stop, NULL);                                   from here on SIGINT and SIGTERM are its
 *     weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_STOP, "listener", WEIR_SEC(1), close_listener, &server);
 *     weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_DRAIN, "requests", WEIR_SEC(20), drain, &server);
 *     weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_FINISH, "log", WEIR_SEC(2), flush, &log);
 *     …start the server under weir_shutdown_ctx(&stop)…
 *     rc = weir_shutdown_wait(NULL, &stop);                              sleeps until a signal comes, then runs the three phases
 *
 * Meaning
 *   It begins with the first signal, with weir_shutdown_begin, or when the parent context ends, whichever comes first; signals that came between
 *   init and wait count. weir_shutdown_ctx ends then, before the first step.
 *   Phases: WEIR_SHUTDOWN_STOP, accept nothing more; _DRAIN, cancel or finish what is under way; _FINISH, wait for the rest, flush, close. A phase
 *   is over when each of its steps has returned or had its time. The next one runs in any case: a listener that hangs does not keep the log from
 *   being flushed.
 *   Steps of one phase run at the same time, each on a thread of its own: one that hangs takes nobody's time but its own, and a phase
 *   takes as long as its longest step. What needs an order stands in one step, or in two phases.
 *   A step's context ends after its timeout; a little later (`grace`) it is not waited for any more, and left behind, on its thread. It is joined
 *   if it returns while other steps are still waited for; else it is in the report as one that did not stop.
 *   A second signal forces: the contexts of all steps are cancelled, nothing is waited for any more, steps that have not begun do not begin. It
 *   takes two also where weir_shutdown_begin came first: the supervisor's signal may just have met it. Many who mean one signal send two: timeout(1) to the
 *   program and to its group, a wrapper what the terminal has sent already. So what comes within `settle` of the first belongs to it.
 *
 * Signals (run/signal.h has the handler)
 *   What the handler has noted is looked at by a thread: the one in weir_shutdown_wait; or, for a program whose main thread works rather than
 *   waits, one of the library's (config.watch), which ends the context with the first signal.
 *   One shutdown in a process has the signals. A child made by fork has the handler and nobody who looks: it calls weir_shutdown_free, or exec.
 *
 * Who may call what at once
 *   init, free: one thread, while nobody else uses it. wait: one thread at a time. All else: any thread, at any time in between.
 *
 * The complaint behind the phases: shutdowns whose later parts never ran because an earlier one had timed out (PostHog#71244).
 */
#ifndef WEIR_RUN_SHUTDOWN_H
#define WEIR_RUN_SHUTDOWN_H

#include "../ctx/ctx.h"
#include "../park/roll.h"
#include "signal.h"

enum { WEIR_SHUTDOWN_STOP, WEIR_SHUTDOWN_DRAIN, WEIR_SHUTDOWN_FINISH, WEIR_SHUTDOWN_PHASES };
enum { WEIR_SHUTDOWN_STEPS = 32 };

/* Zero means the default, for each. */
typedef struct weir_shutdown_config {
    weir_ctx *parent;    /* its end begins the shutdown; outlives it. None */
    const int *signals;  /* SIGINT and SIGTERM; no more than WEIR_SIGNALS_MAX */
    size_t signal_count; /* of `signals` */
    bool no_signals;     /* begins with weir_shutdown_begin or the parent alone */
    weir_ns settle;      /* a signal that comes so soon after the first belongs to it; 100 ms */
    bool third_kills; /* the second signal restores the default action: a third ends the process, whatever else hangs */
    bool watch;       /* a thread of the library's ends the context with the first signal */
    weir_ns step_timeout; /* of steps that have none of their own; 10 s */
    weir_ns grace;        /* how long after its timeout a step may take to return; 100 ms */
    /* of all phases together: forced then, as by a second signal. Choose it larger than the steps' in a row. None */
    weir_ns timeout;
} weir_shutdown_config;

typedef struct weir_shutdown_line {
    const char *name;
    int phase;
    int rc; /* what the step returned; of one that has not: ETIMEDOUT, ECANCELED (forced), EAGAIN (the system refused a thread) */
    weir_ns took;     /* until it returned, or until it was left behind */
    bool timed_out;   /* it had not returned when its time was over */
    bool not_stopped; /* it had not returned at the end */
    bool not_run;     /* it was never called */
} weir_shutdown_line;

typedef struct weir__shutdown_step {
    weir_shutdown_line line;
    weir_task_fn *fn;
    void *arg;
    weir_ns timeout, begun;
    weir_ctx ctx;
    weir__thread thread;
    weir__atomic_u32 state; /* weir__shutdown_… */
    int rc;                 /* the thread's until it has returned, as `returned` */
    weir_ns returned;
} weir__shutdown_step;

typedef struct weir_shutdown {
    weir_shutdown_config config;
    weir_ctx ctx;   /* its end is the beginning */
    weir_ctx force; /* its end is what a second signal does; the parent of the steps' */
    weir_ctx_hook begins, forces;
    weir__lock lock; /* of the registration */
    bool sealed, done, watched, owns_signals;
    int result; /* once done */
    weir__atomic_u32 waiting;
    uint32_t forks;
    weir__thread watcher;
    size_t count;
    weir__shutdown_step steps[WEIR_SHUTDOWN_STEPS];
} weir_shutdown;

/* Takes the signals over. config may be NULL, and is copied, its signals too. 0; EINVAL: a negative duration, too many signals, or one that cannot
 * be handled; EBUSY: another shutdown has the signals; EAGAIN: the system refused the watching thread. On failure nothing has changed. */
WEIR_API int weir_shutdown_init(weir_shutdown *s, const weir_shutdown_config *config);

/* Has fn(a context that ends after `timeout`, arg) run in that phase. timeout: 0 means the config's. name: kept as a pointer. 0; EINVAL: no such
 * phase, a negative timeout, no function; EOVERFLOW: WEIR_SHUTDOWN_STEPS there are; EBUSY: wait has found that the shutdown has begun. */
WEIR_API int weir_shutdown_on_phase(weir_shutdown *s, int phase, const char *name, weir_ns timeout, weir_task_fn *fn,
                                    void *arg);

/* The context that ends when the shutdown begins. Its cause: 128 + the number of the signal, as a shell would say; what was given to begin; the
 * parent's. It ends in the thread that looks (see above), not in the handler. */
static inline weir_ctx *weir_shutdown_ctx(weir_shutdown *s)
{
    return &s->ctx;
}

/* Begins it without a signal. cause: as weir_ctx_cancel's; the first counts. */
WEIR_API void weir_shutdown_begin(weir_shutdown *s, int cause);
/* As a second signal. Begins nothing: phases that begin later are skipped. */
WEIR_API void weir_shutdown_force(weir_shutdown *s);

/* Waits until the shutdown begins, and runs it, in this thread and those of the steps. 0: every step has returned 0 in its time, or there is none;
 * else the first rc of the report that is not 0. ECANCELED, ETIMEDOUT while weir_shutdown_ctx has not ended: ctx ended first, and nothing has
 * happened; once it has begun ctx plays no part. EBUSY: another thread waits. ENOTRECOVERABLE: a child of the process that called init. Once it is
 * over, the same answer again. Parks. */
WEIR_API int weir_shutdown_wait(weir_ctx *ctx, weir_shutdown *s);

/* The first max lines of the report, in the order of phases and, within, of registration. Returns how many there are. After wait. */
WEIR_API size_t weir_shutdown_report(weir_shutdown *s, weir_shutdown_line *lines, size_t max);
/* Whether the remaining waits were cut short: a second signal, weir_shutdown_force, or the timeout of all. */
WEIR_API bool weir_shutdown_forced(weir_shutdown *s);
/* The first signal that came, 0: none. Wait-free. */
WEIR_API int weir_shutdown_signal(weir_shutdown *s);

/* Restores the signals' actions, ends the contexts, joins. EBUSY: a step that was left behind still runs; the signals are restored, the memory
 * stays in use, and free may be called again. */
WEIR_API int weir_shutdown_free(weir_shutdown *s);

#endif /* WEIR_RUN_SHUTDOWN_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RUN_SHUTDOWN_IMPLEMENTED)
#define WEIR_RUN_SHUTDOWN_IMPLEMENTED

enum { WEIR__SHUTDOWN_NOT_RUN, WEIR__SHUTDOWN_RUNS, WEIR__SHUTDOWN_RETURNED, WEIR__SHUTDOWN_JOINED };

/* ---- looking and sleeping ---------------------------------------------------------------------------------------------------- */

/* Does what the signals so far ask for. */
static void weir__shutdown_notice(weir_shutdown *s)
{
    const uint32_t count = s->owns_signals ? weir__signals_count() : 0;
    if (count > 0 && weir__ctx_ended(&s->ctx) == 0)
        weir_ctx_cancel(&s->ctx, 128 + weir_shutdown_signal(s));
    if (count > 1)
        weir_shutdown_force(s);
}

/* Sleeps until something may have happened since the caller has read `seen`. on: the step that is waited for, or NULL. */
static void weir__shutdown_sleep(uint32_t seen, weir_ns until, const char *on)
{
    weir__roll_label label;
    label.what = "shutdown";
    label.on = on;
    if (weir_now() >= until)
        return;
    weir__roll_sleeps(&label);
    weir__signals_sleep(seen, until);
    weir__roll_wakes();
}

/* ---- init and free --------------------------------------------------------------------------------------------------------- */

static void *weir__shutdown_watch(void *arg)
{
    weir_shutdown *s = (weir_shutdown *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, "shutdown");
    weir_thread_name("shutdown");
    for (;;) {
        const uint32_t seen = weir__signals_events();
        weir__shutdown_notice(s);
        if (weir_ctx_err(&s->ctx) != 0)
            break;
        weir__shutdown_sleep(seen, weir_ctx_deadline(&s->ctx), NULL);
    }
    weir__roll_leave(&entry);
    return NULL;
}

static int weir__shutdown_configure(weir_shutdown *s, const weir_shutdown_config *config)
{
    memset(s, 0, sizeof *s);
    if (config != NULL)
        s->config = *config;
    config = &s->config;
    if (config->step_timeout < 0 || config->grace < 0 || config->timeout < 0 || config->settle < 0)
        return EINVAL;
    if (config->step_timeout == 0)
        s->config.step_timeout = WEIR_SEC(10);
    if (config->grace == 0)
        s->config.grace = WEIR_MS(100);
    if (config->settle == 0)
        s->config.settle = WEIR_MS(100);
    return 0;
}

WEIR_API int weir_shutdown_init(weir_shutdown *s, const weir_shutdown_config *config)
{
    int rc = weir__shutdown_configure(s, config);
    if (rc == 0 && !s->config.no_signals) {
        rc = weir__signals_take(s->config.signals, s->config.signal_count, s->config.third_kills, s->config.settle);
        s->owns_signals = rc == 0;
    }
    if (rc != 0)
        return rc;
    s->config.signals = NULL;
    s->forks = weir__fork_count();
    weir_ctx_init(&s->ctx, s->config.parent);
    weir_ctx_init(&s->force, NULL);
    (void)weir_ctx_on_cancel(&s->ctx, &s->begins, weir__signals_poke, NULL);
    (void)weir_ctx_on_cancel(&s->force, &s->forces, weir__signals_poke, NULL);
    if (s->config.watch) {
        rc = weir__roll_start(&s->watcher, weir__shutdown_watch, s);
        s->watched = rc == 0;
        if (rc != 0)
            (void)weir_shutdown_free(s);
    }
    return rc;
}

/* The step's thread has returned, and ends: the report gets what it says. */
static void weir__shutdown_join(weir__shutdown_step *step)
{
    if (weir__load_acq(&step->state) !=
        WEIR__SHUTDOWN_RETURNED) /* acquire: pairs with the release in weir__shutdown_run */
        return;
    WEIR_THREAD_JOIN(step->thread);
    weir__store_rlx(&step->state, WEIR__SHUTDOWN_JOINED);
    weir_ctx_free(&step->ctx);
    step->line.rc = step->rc;
    step->line.took = step->returned - step->begun;
    step->line.timed_out = step->line.timed_out || step->line.took >= step->timeout;
}

/* Whether its thread has been started and has not been joined. */
static bool weir__shutdown_is_out(weir__shutdown_step *step)
{
    const uint32_t state = weir__load_rlx(&step->state);
    return state == WEIR__SHUTDOWN_RUNS || state == WEIR__SHUTDOWN_RETURNED;
}

WEIR_API int weir_shutdown_free(weir_shutdown *s)
{
    if (s->owns_signals)
        weir__signals_give_back();
    if (weir__fork_passed(s->forks)) { /* the threads, and whoever held a lock, are the parent's */
        s->owns_signals = false;
        return 0;
    }
    weir_ctx_cancel(&s->ctx, 0);
    weir_shutdown_force(s);
    if (s->watched)
        WEIR_THREAD_JOIN(s->watcher);
    s->watched = s->owns_signals = false;
    for (size_t i = 0; i < s->count; i++) {
        weir__shutdown_join(&s->steps[i]);
        if (weir__shutdown_is_out(&s->steps[i])) /* also if it has returned since */
            return EBUSY;
    }
    weir_ctx_free(&s->force);
    weir_ctx_free(&s->ctx);
    s->count = 0;
    return 0;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------------- */

WEIR_API int weir_shutdown_on_phase(weir_shutdown *s, int phase, const char *name, weir_ns timeout, weir_task_fn *fn,
                                    void *arg)
{
    weir__shutdown_step *step;
    int rc = 0;
    if (phase < 0 || phase >= WEIR_SHUTDOWN_PHASES || timeout < 0 || fn == NULL)
        return EINVAL;
    weir__lock_take(&s->lock);
    if (s->sealed) {
        rc = EBUSY;
    } else if (s->count == WEIR_SHUTDOWN_STEPS) {
        rc = EOVERFLOW;
    } else {
        step = &s->steps[s->count++];
        step->line.name = name;
        step->line.phase = phase;
        step->line.not_run = true;
        step->timeout = timeout > 0 ? timeout : s->config.step_timeout;
        step->fn = fn;
        step->arg = arg;
    }
    weir__lock_release(&s->lock);
    return rc;
}

static void *weir__shutdown_run(void *arg)
{
    weir__shutdown_step *step = (weir__shutdown_step *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, "shutdown");
    weir_thread_name("shutdown");
    weir_thread_task(step->line.name);
    step->rc = step->fn(&step->ctx, step->arg);
    step->returned = weir_now();
    weir__roll_leave(&entry);
    weir__store_rel(&step->state, WEIR__SHUTDOWN_RETURNED); /* pairs with weir__shutdown_join: it reads rc, and joins */
    weir__signals_poke(NULL);
    return NULL;
}

static void weir__shutdown_start(weir_shutdown *s, weir__shutdown_step *step)
{
    step->begun = weir_now();
    weir_ctx_init_deadline(&step->ctx, &s->force, weir_time_add(step->begun, step->timeout));
    weir__store_rlx(&step->state, WEIR__SHUTDOWN_RUNS);
    step->line.not_run = false;
    step->line.rc = weir__roll_start(&step->thread, weir__shutdown_run, step);
    if (step->line.rc == 0)
        return;
    weir__store_rlx(&step->state, WEIR__SHUTDOWN_NOT_RUN);
    step->line.not_run = true;
    weir_ctx_free(&step->ctx);
}

/* Joins what has returned, of whatever phase, and gives up on what has had its time. Returns a step of this phase that is to be waited for, or
 * NULL; *until: when to look again at the latest. */
static weir__shutdown_step *weir__shutdown_look(weir_shutdown *s, int phase, weir_ns *until)
{
    weir__shutdown_step *awaited = NULL;
    const weir_ns now = weir_now();
    for (size_t i = 0; i < s->count; i++) {
        weir__shutdown_step *step = &s->steps[i];
        const weir_ns end = weir_time_add(step->begun, step->timeout), last = weir_time_add(end, s->config.grace);
        weir__shutdown_join(step);
        if (step->line.phase != phase || !weir__shutdown_is_out(step))
            continue;
        if (now >= end) {
            step->line.timed_out = true;
            (void)weir_ctx_err(&step->ctx); /* its hooks, if nobody else has noticed */
        }
        if (now >= last)
            continue;
        awaited = step;
        if ((now < end ? end : last) < *until)
            *until = now < end ? end : last;
    }
    return awaited;
}

static void weir__shutdown_phase(weir_shutdown *s, int phase, weir_ns end)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->steps[i].line.phase == phase && !weir_shutdown_forced(s))
            weir__shutdown_start(s, &s->steps[i]);
    for (;;) {
        const uint32_t seen = weir__signals_events();
        weir_ns until = end;
        const weir__shutdown_step *awaited = weir__shutdown_look(s, phase, &until);
        weir__shutdown_notice(s);
        if (weir_now() >= end)
            weir_shutdown_force(s);
        if (awaited == NULL || weir_shutdown_forced(s))
            return;
        weir__shutdown_sleep(seen, until, awaited->line.name);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------- */

WEIR_API void weir_shutdown_begin(weir_shutdown *s, int cause)
{
    weir_ctx_cancel(&s->ctx, cause);
}

WEIR_API void weir_shutdown_force(weir_shutdown *s)
{
    weir_ctx_cancel(&s->force, 0);
}

WEIR_API bool weir_shutdown_forced(weir_shutdown *s)
{
    return weir__ctx_ended(&s->force) != 0;
}

WEIR_API int weir_shutdown_signal(weir_shutdown *s)
{
    return s->owns_signals ? weir__signals_first() : 0;
}

/* Until it has begun: 0. */
static int weir__shutdown_await(weir_ctx *ctx, weir_shutdown *s)
{
    weir_ctx_hook ends;
    int rc;
    if (ctx != NULL)
        (void)weir_ctx_on_cancel(ctx, &ends, weir__signals_poke, NULL);
    for (;;) {
        const uint32_t seen = weir__signals_events();
        const weir_ns one = weir_ctx_deadline(ctx), other = weir_ctx_deadline(&s->ctx);
        weir__shutdown_notice(s);
        rc = 0;
        if (weir_ctx_err(&s->ctx) != 0 || (rc = weir_ctx_err(ctx)) != 0)
            break;
        weir__shutdown_sleep(seen, one < other ? one : other, NULL);
    }
    if (ctx != NULL)
        (void)weir_ctx_off_cancel(ctx, &ends);
    return rc;
}

/* What the report says of those that are left. */
static int weir__shutdown_sum_up(weir_shutdown *s)
{
    int rc = 0;
    for (int phase = 0; phase < WEIR_SHUTDOWN_PHASES; phase++)
        for (size_t i = 0; i < s->count; i++) {
            weir__shutdown_step *step = &s->steps[i];
            if (step->line.phase != phase)
                continue;
            weir__shutdown_join(step);
            if (weir__shutdown_is_out(step)) {
                step->line.not_stopped = true;
                step->line.took = weir_now() - step->begun;
                step->line.rc = step->line.timed_out ? ETIMEDOUT : ECANCELED;
            } else if (step->line.not_run && step->line.rc == 0) {
                step->line.rc = ECANCELED;
            }
            if (rc == 0)
                rc = step->line.rc != 0 ? step->line.rc : step->line.timed_out ? ETIMEDOUT : 0;
        }
    return rc;
}

WEIR_API int weir_shutdown_wait(weir_ctx *ctx, weir_shutdown *s)
{
    uint32_t nobody = 0;
    int rc;
    if (weir__fork_passed(s->forks))
        return ENOTRECOVERABLE;
    if (!weir__cas_acq(&s->waiting, &nobody, 1)) /* acquire: what the one who waited before has done */
        return EBUSY;
    rc = s->done ? 0 : weir__shutdown_await(ctx, s);
    if (rc == 0 && !s->done) {
        weir_ns end;
        weir__lock_take(&s->lock);
        s->sealed = true;
        weir__lock_release(&s->lock);
        end = s->config.timeout > 0 ? weir_time_add(weir_now(), s->config.timeout) : WEIR_FOREVER;
        for (int phase = 0; phase < WEIR_SHUTDOWN_PHASES; phase++)
            weir__shutdown_phase(s, phase, end);
        s->result = weir__shutdown_sum_up(s);
        s->done = true;
    }
    if (rc == 0)
        rc = s->result;
    weir__store_rel(&s->waiting, 0); /* pairs with the acquire above */
    return rc;
}

WEIR_API size_t weir_shutdown_report(weir_shutdown *s, weir_shutdown_line *lines, size_t max)
{
    size_t n = 0;
    for (int phase = 0; phase < WEIR_SHUTDOWN_PHASES; phase++)
        for (size_t i = 0; i < s->count; i++)
            if (s->steps[i].line.phase == phase && n++ < max)
                lines[n - 1] = s->steps[i].line;
    return n;
}

#endif /* WEIR_RUN_SHUTDOWN_IMPLEMENTED */
