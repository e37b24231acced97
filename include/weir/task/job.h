/* weir/task/job.h: what a job of a pool is: a task, what is asked for it, and what is told of it.
 *
 *     int resize(weir_ctx *ctx, void *image)
 *     {
 *         weir_job_cleanup unlock;
 *         take_lock(image);
 *         weir_job_defer(&unlock, release_lock, image);
 *         … somewhere deep inside: weir_job_fail(EIO);        release_lock(image) runs, and the job has ended with EIO
 *         weir_job_undefer(&unlock, true);
 *         return 0;
 *     }
 *
 * Abandoning a job
 *   What recovering a panic is for in Go: weir_job_fail(code), from any depth below a job, ends that job and nothing else. The cleanups that are
 *   registered at that moment run, the last first, on top of the frame that fails, so they and what they point to may lie on the stack. Then the thread
 *   goes back to where it called the job (longjmp), which has now ended with that code.
 *   A cleanup belongs to the innermost job of its thread, and is taken off before the frame that it lies in returns.
 *   In C++, throw instead: longjmp runs no destructors. An exception that leaves a job that was submitted from a C++ unit ends it with WEIR_JOB_THREW,
 *   or with the number itself if an int above 0 was thrown. Destructors are its cleanups: those of weir_job_defer do not run, because the frames that
 *   they lie in are gone when it arrives. It may pass frames of C++ alone, and may not be a thread's end (pthread_exit).
 *
 * Who may call what at once: all of it is about the calling thread.
 */
#ifndef WEIR_TASK_JOB_H
#define WEIR_TASK_JOB_H

#include "future.h"

/* Which jobs run first. */
enum { WEIR_JOB_LOW = -1, WEIR_JOB_NORMAL = 0, WEIR_JOB_HIGH = 1, WEIR_JOB_URGENT = 2 };
/* What a job has ended with that an exception has left: no errno value. */
enum { WEIR_JOB_THREW = 1 << 20 };

/* What to do with a job when there is no room for it. */
typedef enum weir_overflow {
    WEIR_OVERFLOW_DEFAULT = 0, /* as the pool's options say, and if they do not: BLOCK */
    WEIR_OVERFLOW_BLOCK, /* waits for room as long as the context lives; from inside a job of any pool: as CALLER, for it might wait for itself */
    WEIR_OVERFLOW_REJECT,      /* EAGAIN */
    WEIR_OVERFLOW_DROP_NEWEST, /* this job is not run, and is reported with EOVERFLOW */
    WEIR_OVERFLOW_DROP_OLDEST, /* the one of this priority that has waited longest is not run, and is reported with EOVERFLOW */
    WEIR_OVERFLOW_CALLER /* this job runs at once, in the thread that submits it */
} weir_overflow;

/* What is told of a job that was accepted. */
typedef struct weir_job_result {
    uint64_t id;    /* as given in the options */
    void *output;   /* the job's arg, where it has left what it had to leave */
    int error;      /* what the job returned or failed with; or, not run: EOVERFLOW, ETIMEDOUT, ECANCELED */
    bool ran;       /* false: it was dropped, its deadline had passed before it began, or the pool was stopped */
    weir_ns queued; /* from submit until it began, or until it was found not worth it */
    weir_ns running;
} weir_job_result;

typedef weir_chan(weir_job_result) weir_job_results;
typedef weir_future(weir_job_result) weir_job_future;

/* Zero means the default, for each. A job may be reported in all three ways. */
typedef struct weir_job_opt {
    uint64_t id;
    int priority;     /* WEIR_JOB_LOW … WEIR_JOB_URGENT */
    int overflow;     /* a weir_overflow */
    weir_ns deadline; /* a point in time: of its context, and it is not begun after; 0: none */
    weir_ns timeout;  /* of its context, from when it begins; 0: none */
    /* what the roll of threads and a trace say that its thread runs; outlives the job, and the trace */
    const char *name;
    /* its context carries this id (obs/correlation.h); 0: that of the context it was submitted with, if the pool correlates */
    uint64_t correlation;
    /* Called once, by the thread that has run the job or found that it will not be run: a worker, or one that submits. */
    void (*done)(const weir_job_result *result, void *arg);
    void *done_arg;
    /* Is sent the result. A worker waits for room until the pool is stopped. Whoever else reports, and a worker then, does not wait: a result for which
     * there is no room is lost, and counted (unreported). */
    weir_job_results results;
    weir_job_future future; /* is set to the result, whatever its error */
} weir_job_opt;

/* Something to be done if the job fails. The caller's memory; private inside. */
typedef struct weir_job_cleanup {
    void (*fn)(void *arg);
    void *arg;
    struct weir_job_cleanup *next;
} weir_job_cleanup;

/* Ends the job that the calling thread is in, with this code (0: ECANCELED). Does not return, but outside of a job, where it does nothing. Source for
 * the meaning: recovering from a panic, as worker pools in Go do. */
WEIR_API void weir_job_fail(int code);
/* Has fn(arg) run if the job fails. Outside of a job, only remembers what undefer is to run. */
WEIR_API void weir_job_defer(weir_job_cleanup *cleanup, void (*fn)(void *arg), void *arg);
/* Takes the cleanup off, which is the last that was registered and not yet taken off, and runs it if asked to. */
WEIR_API void weir_job_undefer(weir_job_cleanup *cleanup, bool run);

/* Calls a task and catches what it throws; NULL: nothing is thrown. In the unit that submits, because only that is known to be C++. */
typedef int weir__job_guard(weir_task_fn *fn, weir_ctx *ctx, void *arg);
#if defined(__cplusplus) && defined(__cpp_exceptions)
static inline int weir__job_catch(weir_task_fn *fn, weir_ctx *ctx, void *arg)
{
    try {
        return fn(ctx, arg);
    } catch (int code) {
        return code > 0 ? code : (int)WEIR_JOB_THREW;
    } catch (...) {
        return WEIR_JOB_THREW;
    }
}
#define WEIR__JOB_GUARD weir__job_catch
#else
#define WEIR__JOB_GUARD NULL
#endif

/* Runs a task as a job of the calling thread. What it returns or fails with. */
WEIR_API int weir__job_call(weir_task_fn *fn, weir__job_guard *guard, weir_ctx *ctx, void *arg);

#endif /* WEIR_TASK_JOB_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_JOB_IMPLEMENTED)
#define WEIR_TASK_JOB_IMPLEMENTED

#include <setjmp.h>

/* A job that runs, on the stack of the thread that called it. */
typedef struct weir__job_frame {
    jmp_buf back;
    int code;
    weir_job_cleanup *cleanups;
    struct weir__job_frame *outer; /* a job that has run this one: the queue was full */
} weir__job_frame;

#ifndef WEIR__JOB_FRAME /* the model's threads have no thread-locals */
static WEIR_THREAD_LOCAL weir__job_frame *weir__job_frame_own;
#define WEIR__JOB_FRAME() (&weir__job_frame_own)
#endif

/* Apart, so that nothing changes between setjmp and longjmp that the caller keeps in a register. */
static WEIR_NOINLINE int weir__job_enter(weir__job_frame *frame, weir_task_fn *fn, weir__job_guard *guard,
                                         weir_ctx *ctx, void *arg)
{
    if (setjmp(frame->back) != 0)
        return (*WEIR__JOB_FRAME())->code;
    return guard == NULL ? fn(ctx, arg) : guard(fn, ctx, arg);
}

WEIR_API int weir__job_call(weir_task_fn *fn, weir__job_guard *guard, weir_ctx *ctx, void *arg)
{
    weir__job_frame frame, **own = WEIR__JOB_FRAME();
    int rc;
    frame.code = 0;
    frame.cleanups = NULL;
    frame.outer = *own;
    *own = &frame;
    rc = weir__job_enter(&frame, fn, guard, ctx, arg);
    *own = frame.outer;
    return rc;
}

WEIR_API void weir_job_fail(int code)
{
    weir__job_frame *frame = *WEIR__JOB_FRAME();
    weir_job_cleanup *c;
    if (frame == NULL)
        return;
    frame->code = code == 0 ? ECANCELED : code;
    while ((c = frame->cleanups) != NULL) { /* off before it runs: one that fails in turn ends with the others */
        frame->cleanups = c->next;
        c->fn(c->arg);
    }
    longjmp(frame->back, 1);
}

WEIR_API void weir_job_defer(weir_job_cleanup *cleanup, void (*fn)(void *arg), void *arg)
{
    weir__job_frame *frame = *WEIR__JOB_FRAME();
    cleanup->fn = fn;
    cleanup->arg = arg;
    cleanup->next = NULL;
    if (frame == NULL)
        return;
    cleanup->next = frame->cleanups;
    frame->cleanups = cleanup;
}

WEIR_API void weir_job_undefer(weir_job_cleanup *cleanup, bool run)
{
    weir__job_frame *frame = *WEIR__JOB_FRAME();
    WEIR_ASSERT(frame == NULL || frame->cleanups == cleanup);
    if (frame != NULL)
        frame->cleanups = cleanup->next;
    if (run)
        cleanup->fn(cleanup->arg);
}

#endif /* WEIR_TASK_JOB_IMPLEMENTED */
