/* weir/task/group.h: tasks that belong together: they run at the same time, the first to fail ends the others, and wait joins them all.
 *
 *     weir_group g = WEIR_GROUP_INIT;            or weir_group_init(&g, ctx, &(weir_group_opt){.limit = 4})
 *     for (int i = 0; i < n; i++)
 *         if ((rc = weir_group_go(ctx, &g, fetch, &pages[i])) != 0) break;
 *     rc = weir_group_wait(&g);                  the first error of a task, after all have returned
 *
 * Meaning (after Go's x/sync/errgroup)
 *   The first task that returns non-zero cancels the group's context with its code as the cause; that code is what wait returns. The context is
 *   cancelled before the task's place is free, so whoever gets the place finds it so.
 *   wait returns after every task has, and after every thread that the group has started is joined: what tasks point to may be on the caller's
 *   stack. It cancels the context on success too.
 *   limit: so many tasks at once; weir_group_go waits, in order of arrival, for a place; weir_group_try_go does not, and does not mind those who
 *   wait. A task may start others; at the limit with go it waits for a place as any other, and if all do that they wait for each other: use try_go there.
 *   A group that has been waited for may be used again; it keeps its first error, and its context has ended.
 *
 * Threads: the group starts one when a task finds none idle, keeps it, and never has more than the limit (or than were running at once). With
 * a runner in the options they are the runner's.
 *
 * Who may call what at once: go, try_go, cancel, errors: any thread. wait: one thread, while no other than the group's own tasks calls go.
 *
 * Implementation
 *   One lock. `places` counts tasks that have been accepted and have not returned. Under the lock places <= threads, so an accepted task has a thread
 *   that will take it: threads are interchangeable, and so are the tasks in the short queue between go and them. A place that becomes free goes to
 *   the first of those who wait for one, without becoming free for anybody else.
 *   With a runner there are as many calls to come, and tasks about to be submitted, as tasks in the queue (group_queue.h); so no call finds it empty, and none
 *   comes after the last task has returned.
 *   A thread that ends joins the one that ended before it; wait joins the last. So no list of handles is kept anywhere.
 *   Not done: handing a task to a new thread as its argument. It would have to live somewhere until the thread has begun: an allocation, or a wait.
 */
#ifndef WEIR_TASK_GROUP_H
#define WEIR_TASK_GROUP_H

#include "../park/roll.h"
#include "../sync/line.h"
#include "group_queue.h"

typedef struct weir_group_error {
    int code;
    void *arg; /* the task's */
} weir_group_error;

/* Zero means the default, for each. */
typedef struct weir_group_opt {
    unsigned limit;           /* tasks at once; 0: any number */
    const char *name;         /* of its threads and on the roll; "group" */
    weir_runner *runner;      /* where tasks run; NULL: on threads of the group */
    weir_group_error *errors; /* where to keep errors beyond the first WEIR_GROUP_ERRORS; the caller's memory */
    size_t errors_max;        /* of `errors` */
} weir_group_opt;

enum { WEIR_GROUP_ERRORS = 8 };

typedef struct weir_group {
    bool begun, ending;
    weir__lock lock; /* of all but ctx */
    weir_group_opt opt;
    weir__waiter_list for_place, for_task, for_end; /* in go, idle threads, in wait */
    unsigned places, threads;
    weir__group_queue queue; /* of tasks that have a place */
    bool has_ended_thread;
    weir__thread ended_thread; /* nobody has joined it yet */
    size_t failed;             /* how many tasks */
    weir_group_error errors[WEIR_GROUP_ERRORS];
    weir_ctx ctx;
} weir_group;

/* All zeros. */
#ifdef __cplusplus
#define WEIR_GROUP_INIT                                                                                                \
    {                                                                                                                  \
    }
#else
#define WEIR_GROUP_INIT                                                                                                \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* parent: NULL, or a context that outlives the group; opt may be NULL, and is copied. */
WEIR_API void weir_group_init(weir_group *g, weir_ctx *parent, const weir_group_opt *opt);

/* The context that every task gets. */
WEIR_API weir_ctx *weir_group_ctx(weir_group *g);

/* Has task(ctx of the group, arg) run. Waits for a place as long as ctx lives. 0: it will run. ECANCELED, ETIMEDOUT: ctx ended first; EAGAIN: the system
 * refused a thread; what the runner said; ENOMEM: the runner is so far behind that memory is wanted: it will not run, and the group is as before. Progress: takes
 * a lock; parks at the limit. */
WEIR_API int weir_group_go(weir_ctx *ctx, weir_group *g, weir_task_fn *task, void *arg);
/* EAGAIN also: the limit is reached. */
WEIR_API int weir_group_try_go(weir_group *g, weir_task_fn *task, void *arg);

/* Waits until every task has returned, joins the threads, cancels the context. The first error, or 0. Parks. */
WEIR_API int weir_group_wait(weir_group *g);

/* Ends the context: tasks that look at it stop. cause as weir_ctx_cancel's; what wait returns is still the tasks' affair. */
WEIR_API void weir_group_cancel(weir_group *g, int cause);

/* A new limit; 0: none. EINVAL: tasks run or wait to. */
WEIR_API int weir_group_limit(weir_group *g, unsigned limit);

/* Copies up to max errors, in the order in which they came. Returns how many tasks have failed; what was beyond the memory for them is
 * counted only. */
WEIR_API size_t weir_group_errors(weir_group *g, weir_group_error *to, size_t max);

/* Takes the group's context out of its parent; needed only for a group with a parent, after the last wait. */
WEIR_API void weir_group_free(weir_group *g);

#endif /* WEIR_TASK_GROUP_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_GROUP_IMPLEMENTED)
#define WEIR_TASK_GROUP_IMPLEMENTED

WEIR_API void weir_group_init(weir_group *g, weir_ctx *parent, const weir_group_opt *opt)
{
    memset(g, 0, sizeof *g);
    if (opt != NULL)
        g->opt = *opt;
    weir_ctx_init(&g->ctx, parent);
    g->begun = true;
}

static void weir__group_lock(weir_group *g)
{
    weir__lock_take(&g->lock);
    if (!g->begun) { /* WEIR_GROUP_INIT */
        weir_ctx_init(&g->ctx, NULL);
        g->begun = true;
    }
}

static const char *weir__group_name(const weir_group *g)
{
    return g->opt.name == NULL ? "group" : g->opt.name;
}

WEIR_API weir_ctx *weir_group_ctx(weir_group *g)
{
    weir__group_lock(g);
    weir__lock_release(&g->lock);
    return &g->ctx;
}

/* ---- places ---- */

/* A place, now or when it is our turn. Called and returns locked. */
static int weir__group_enter(weir_group *g, weir_ctx *ctx, bool waits)
{
    weir__waiter node;
    weir__wait w;
    if (g->opt.limit == 0 || g->places < g->opt.limit) {
        g->places++;
        return 0;
    }
    if (!waits)
        return EAGAIN;
    weir__wait_init(&w, ctx, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
    weir__wait_label(&w, "go", weir__group_name(g));
    return weir__list_wait(&g->lock, &g->for_place, &node, &w); /* 0: the place of one that has returned */
}

/* A place is free: for the first who waits for one, or for anybody. Locked. */
static void weir__group_leave(weir_group *g, weir__line_wakes *wakes)
{
    if (weir__list_call(&g->for_place, 0, wakes))
        return;
    if (--g->places == 0)
        weir__list_call_all(&g->for_end, 0, wakes);
}

/* ---- tasks ---- */

static void weir__group_note(weir_group *g, int code, void *arg)
{
    const weir_group_error error = {code, arg};
    weir__lock_take(&g->lock);
    if (g->failed < WEIR_GROUP_ERRORS)
        g->errors[g->failed] = error;
    else if (g->failed - WEIR_GROUP_ERRORS < g->opt.errors_max)
        g->opt.errors[g->failed - WEIR_GROUP_ERRORS] = error;
    g->failed++;
    weir__lock_release(&g->lock);
    weir_ctx_cancel(&g->ctx, code);
}

/* Runs it. Called and returns without the lock; releasing it is the last touch, after which the group may be gone. */
static void weir__group_run(weir_group *g, const weir__group_task *task)
{
    weir__line_wakes wakes;
    const int rc = task->fn(&g->ctx, task->arg);
    weir_thread_task(NULL);
    if (rc != 0)
        weir__group_note(g, rc, task->arg);
    wakes.count = 0;
    weir__lock_take(&g->lock);
    weir__group_leave(g, &wakes);
    weir__line_release(&g->lock, &wakes);
}

/* For a runner. */
static void weir__group_run_one(void *arg)
{
    weir_group *g = (weir_group *)arg;
    weir__group_task task;
    weir__lock_take(&g->lock);
    task = weir__group_take(&g->queue);
    weir__lock_release(&g->lock);
    weir__group_run(g, &task);
}

/* The last act of a thread of the group. Locked; releases. */
static void weir__group_thread_ends(weir_group *g)
{
    weir__line_wakes wakes;
    const weir__thread before = g->ended_thread;
    const bool any = g->has_ended_thread;
    wakes.count = 0;
    g->ended_thread = WEIR_THREAD_CURRENT();
    g->has_ended_thread = true;
    if (--g->threads == 0)
        weir__list_call_all(&g->for_end, 0, &wakes);
    weir__line_release(&g->lock, &wakes);
    if (any)
        WEIR_THREAD_JOIN(before);
}

static void *weir__group_thread(void *arg)
{
    weir_group *g = (weir_group *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, weir__group_name(g));
    weir_thread_name(weir__group_name(g));
    weir__lock_take(&g->lock);
    while (!g->ending) { /* and then the queue is empty: a task in it has a place */
        weir__waiter node;
        weir__wait w;
        if (g->queue.count > 0) {
            const weir__group_task task = weir__group_take(&g->queue);
            weir__lock_release(&g->lock);
            weir__group_run(g, &task);
            weir__lock_take(&g->lock);
            continue;
        }
        weir__wait_init(&w, NULL, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "idle", weir__group_name(g));
        (void)weir__list_wait(&g->lock, &g->for_task, &node, &w);
    }
    weir__roll_leave(&entry);
    weir__group_thread_ends(g);
    return NULL;
}

/* With a place taken: sees to it that there is a thread for it. Called and returns locked. */
static int weir__group_staff(weir_group *g)
{
    weir__thread thread;
    int rc;
    if (g->opt.runner != NULL || g->threads >= g->places)
        return 0;
    g->threads++;
    weir__lock_release(&g->lock);
    rc = weir__roll_start(&thread, weir__group_thread, g);
    weir__lock_take(&g->lock);
    if (rc != 0)
        g->threads--;
    return rc;
}

/* Puts the task into the queue. 0, ENOMEM. Called and returns locked. Without a runner, a full queue is one whose threads are about to begin. */
static int weir__group_push(weir_group *g, weir_task_fn *fn, void *arg)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    while (g->opt.runner == NULL && g->queue.count == weir__group_room(&g->queue)) {
        weir__lock_release(&g->lock);
        weir__backoff_peer(&peer);
        weir__lock_take(&g->lock);
    }
    if (g->queue.count == weir__group_room(&g->queue) && weir__group_widen(&g->queue) != 0)
        return ENOMEM;
    weir__group_put(&g->queue, fn, arg);
    return 0;
}

/* Has the runner call weir__group_run_one. There are as many such calls as tasks, and any of them may run any task: so if it refuses, and
 * our task has been run already, then one that has lost its call is left to us. */
static int weir__group_submit(weir_ctx *ctx, weir_group *g, weir_task_fn *fn, void *arg)
{
    weir__line_wakes wakes;
    bool back;
    const int rc = g->opt.runner->run(g->opt.runner, ctx, weir__group_run_one, g);
    if (rc == 0)
        return 0;
    wakes.count = 0;
    weir__lock_take(&g->lock);
    back = weir__group_take_back(&g->queue, fn, arg);
    if (back)
        weir__group_leave(g, &wakes);
    weir__line_release(&g->lock, &wakes);
    if (back)
        return rc;
    weir__group_run_one(g);
    return 0;
}

static int weir__group_start(weir_ctx *ctx, weir_group *g, weir_task_fn *fn, void *arg, bool waits)
{
    weir__line_wakes wakes;
    int rc;
    wakes.count = 0;
    weir__group_lock(g);
    rc = weir__group_enter(g, ctx, waits);
    if (rc == 0) {
        rc = weir__group_staff(g);
        if (rc == 0)
            rc = weir__group_push(g, fn, arg);
        if (rc == 0)
            (void)weir__list_call(&g->for_task, 0, &wakes);
        else
            weir__group_leave(g, &wakes);
    }
    weir__line_release(&g->lock, &wakes);
    return rc == 0 && g->opt.runner != NULL ? weir__group_submit(ctx, g, fn, arg) : rc;
}

WEIR_API int weir_group_go(weir_ctx *ctx, weir_group *g, weir_task_fn *task, void *arg)
{
    return weir__group_start(ctx, g, task, arg, true);
}

WEIR_API int weir_group_try_go(weir_group *g, weir_task_fn *task, void *arg)
{
    return weir__group_start(NULL, g, task, arg, false);
}

/* ---- the end ---- */

static void weir__group_await(weir_group *g, const unsigned *count)
{
    while (*count > 0) {
        weir__waiter node;
        weir__wait w;
        weir__wait_init(&w, NULL, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "wait for a group", weir__group_name(g));
        (void)weir__list_wait(&g->lock, &g->for_end, &node, &w);
    }
}

WEIR_API int weir_group_wait(weir_group *g)
{
    weir__line_wakes wakes;
    int rc;
    wakes.count = 0;
    weir__group_lock(g);
    weir__group_await(g, &g->places);
    g->ending = true;
    weir__list_call_all(&g->for_task, 0, &wakes);
    weir__line_release(&g->lock, &wakes);
    weir__lock_take(&g->lock);
    weir__group_await(g, &g->threads);
    g->ending = false;
    if (g->has_ended_thread)
        WEIR_THREAD_JOIN(g->ended_thread);
    g->has_ended_thread = false;
    weir__group_shrink(&g->queue);
    rc = g->failed == 0 ? 0 : g->errors[0].code;
    weir__lock_release(&g->lock);
    weir_ctx_cancel(&g->ctx, 0);
    return rc;
}

WEIR_API void weir_group_cancel(weir_group *g, int cause)
{
    weir_ctx_cancel(weir_group_ctx(g), cause);
}

WEIR_API int weir_group_limit(weir_group *g, unsigned limit)
{
    int rc;
    weir__group_lock(g);
    rc = g->places > 0 ? EINVAL : 0;
    if (rc == 0)
        g->opt.limit = limit;
    weir__lock_release(&g->lock);
    return rc;
}

WEIR_API size_t weir_group_errors(weir_group *g, weir_group_error *to, size_t max)
{
    size_t failed;
    weir__group_lock(g);
    failed = g->failed;
    for (size_t i = 0; i < failed && i < max && i < WEIR_GROUP_ERRORS + g->opt.errors_max; i++)
        to[i] = i < WEIR_GROUP_ERRORS ? g->errors[i] : g->opt.errors[i - WEIR_GROUP_ERRORS];
    weir__lock_release(&g->lock);
    return failed;
}

WEIR_API void weir_group_free(weir_group *g)
{
    if (g->begun)
        weir_ctx_free(&g->ctx);
    g->begun = false;
}

#endif /* WEIR_TASK_GROUP_IMPLEMENTED */
