/* weir/ctx/ctx.h: a context carries cancellation, a deadline and values down a tree of calls and threads.
 *
 * Overview
 *   A context belongs to the caller, usually on its stack; nothing is allocated and no thread watches the clock. It ends once, by
 *   weir_ctx_cancel or when its deadline passes, and everything below it ends with it: each wait that was given it, or a context
 *   under it, returns ECANCELED or ETIMEDOUT.
 *
 *       weir_ctx ctx;
 *       weir_ctx_init_timeout(&ctx, parent, WEIR_MS(50));
 *       int rc = weir_recv(&ctx, replies, &reply);        0, EPIPE, ETIMEDOUT after 50 ms, or what ended the parent
 *       weir_ctx_free(&ctx);
 *
 * Deadlines without a timer
 *   A deadline is a number. Every wait sleeps no longer than until the nearest one, and notices that it has passed. A context whose
 *   deadline passes while nobody waits on it or asks for its error has ended all the same (weir_ctx_err looks at the clock), but its
 *   on_cancel hooks run only when somebody notices: a wait, weir_ctx_err, or weir_ctx_cancel.
 *
 * Who may call what at once
 *   init, free: one thread, while nobody else uses that context; children are freed before their parent. Parents and siblings may be
 *   in use, cancelled or freed (siblings) by others meanwhile. All else: any number of threads.
 *
 * Invariants
 *   1. One lock per tree, in its root, guards links, hooks, watchers and the transition of err; waiters take it when they park,
 *      never before.
 *   2. err goes from 0 to its value once, after cause was written. A context has ended only if all below it have: the
 *      whole subtree is marked in one pass under the lock, children first.
 *   3. Hooks run without the lock, in the thread that ended the context, each at most once (ctx/hook.h).
 *
 * Source for the meanings: Go's context package, with AfterFunc as weir_ctx_on_cancel.
 */
#ifndef WEIR_CTX_CTX_H
#define WEIR_CTX_CTX_H

#include "../core/error.h"
#include "../core/time.h"
#include "../park/waitq.h"
#include "hook.h"

typedef struct weir_ctx weir_ctx;
struct weir_ctx {
    weir__atomic_u32 err; /* 0, ECANCELED or ETIMEDOUT */
    int cause;            /* valid once err is not 0 */
    weir_ns deadline;     /* the nearest of its own and its ancestors' */
    weir_ctx *parent, *root;
    weir_ctx *children, *next_sibling, *prev_sibling;
    const void *key; /* weir_ctx_init_value */
    void *value;
    weir__hook_list hooks;
    weir__waiter_list watchers;
    weir__hook_tree tree; /* in the root alone: the lock of all, and the hooks that run */
};

/* A task, as every part of the library runs it: 0, or an error code of the user's own (positive). ctx tells it when to stop. */
typedef int weir_task_fn(weir_ctx *ctx, void *arg);

/* Starts a context. parent: NULL, or a context that outlives it; one that has ended makes the child end at once, with the same cause.
 * Wait-free for a root; else takes the tree's lock. */
WEIR_API void weir_ctx_init(weir_ctx *ctx, weir_ctx *parent);
/* The same, ending with ETIMEDOUT at `deadline` (a point in time), or its parent's deadline if that is earlier. A point that has
 * passed ends it at once. */
WEIR_API void weir_ctx_init_deadline(weir_ctx *ctx, weir_ctx *parent, weir_ns deadline);
/* The same, `timeout` nanoseconds from now. */
WEIR_API void weir_ctx_init_timeout(weir_ctx *ctx, weir_ctx *parent, weir_ns timeout);
/* The same without a deadline of its own, carrying one value. Keys are compared by address. */
WEIR_API void weir_ctx_init_value(weir_ctx *ctx, weir_ctx *parent, const void *key, void *value);
/* The value of the nearest context upwards that carries key, or NULL. */
WEIR_API void *weir_ctx_value(const weir_ctx *ctx, const void *key);

/* Ends ctx and everything below it with ECANCELED, wakes every wait there and runs their hooks before it returns. The first end
 * counts, later ones change nothing. cause: a reason of the caller's own; 0 means ECANCELED. ctx may be NULL. */
WEIR_API void weir_ctx_cancel(weir_ctx *ctx, int cause);

/* 0 while ctx lives; else ECANCELED or ETIMEDOUT. NULL never ends. Any thread; reads the clock only if there is a deadline. */
WEIR_API int weir_ctx_err(weir_ctx *ctx);
/* 0 while ctx lives; else the cause given to the first cancel, here or above, or ETIMEDOUT. */
WEIR_API int weir_ctx_cause(weir_ctx *ctx);
/* The point in time at which it ends at the latest; WEIR_FOREVER if none. */
WEIR_API weir_ns weir_ctx_deadline(const weir_ctx *ctx);

/* Takes ctx out of its parent. Nobody may wait on it; its children are freed before. Hooks still registered never run; one that
 * runs at this moment in another thread is waited for. */
WEIR_API void weir_ctx_free(weir_ctx *ctx);

/* Has fn(arg) run once when ctx ends, by the thread that ends it. fn may call anything, weir_ctx_cancel and weir_ctx_free included.
 * Returns 0; or, if ctx has ended, its error, after having run fn. The hook's memory stays in use until weir_ctx_off_cancel has
 * returned, or fn has, or ctx is freed. NULL ctx: never runs, returns 0. */
WEIR_API int weir_ctx_on_cancel(weir_ctx *ctx, weir_ctx_hook *hook, void (*fn)(void *arg), void *arg);
/* Takes the hook back. 0: it will not run. ECANCELED: it has run; one that is running in another thread is waited for. */
WEIR_API int weir_ctx_off_cancel(weir_ctx *ctx, weir_ctx_hook *hook);

/* Has the parker of w claimed when ctx ends. Returns ctx's error, and does nothing, if it has ended. */
WEIR_API int weir__ctx_watch(weir_ctx *ctx, weir__waiter *w);
WEIR_API void weir__ctx_unwatch(weir_ctx *ctx, weir__waiter *w);

/* What ended it, without a look at the clock. */
static inline int weir__ctx_ended(weir_ctx *ctx)
{
    return ctx == NULL ? 0 : (int)weir__load_acq(&ctx->err);
}

#endif /* WEIR_CTX_CTX_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CTX_CTX_IMPLEMENTED)
#define WEIR_CTX_CTX_IMPLEMENTED

/* ---- ending ---------------------------------------------------------------------------------------------------------------- */

/* Marks one context as ended: cause before err. Its waiters are claimed; its hooks go to the front of the run, so that those of its
 * parent, which is marked later, run before them. Under the lock. */
static void weir__ctx_mark(weir_ctx *ctx, int err, int cause, weir__hook_run *run)
{
    weir__atomic_u32 *wake;
    weir_ctx_hook *h;
    uint32_t unlinked = 0;
    ctx->cause = cause;
    weir__store_rel(&ctx->err, (uint32_t)err);
    while (weir__waiter_claim_first(&ctx->watchers, &unlinked, &wake))
        if (wake != NULL)
            WEIR_FUTEX_WAKE(wake, 1); /* under the lock: cancelling is rare, and the sleepers' number has no bound */
    while ((h = ctx->hooks.last) != NULL) {
        weir__hook_unlink(&ctx->hooks, h);
        h->ctx = ctx;
        weir__hook_link_first(&run->pending, h);
    }
}

/* The first context of a list of siblings that has not ended; those that have are skipped with all below them, which have too. */
static weir_ctx *weir__ctx_first_alive(weir_ctx *at)
{
    while (at != NULL && weir__load_rlx(&at->err) != 0)
        at = at->next_sibling;
    return at;
}

static weir_ctx *weir__ctx_deepest(weir_ctx *at)
{
    weir_ctx *child;
    while ((child = weir__ctx_first_alive(at->children)) != NULL)
        at = child;
    return at;
}

/* The next to end in the subtree of top: children before parents, so that whoever reads that one has ended, lock or no lock, finds
 * that all below it have. */
static weir_ctx *weir__ctx_next_to_end(const weir_ctx *top, weir_ctx *at)
{
    weir_ctx *sibling;
    if (at == top)
        return NULL;
    sibling = weir__ctx_first_alive(at->next_sibling);
    return sibling != NULL ? weir__ctx_deepest(sibling) : at->parent;
}

static void weir__ctx_end(weir_ctx *ctx, int err, int cause)
{
    weir_ctx *root = ctx->root;
    weir__hook_run run;
    memset(&run, 0, sizeof run);
    weir__lock_take(&root->tree.lock);
    if (weir__load_rlx(&ctx->err) == 0)
        for (weir_ctx *at = weir__ctx_deepest(ctx); at != NULL; at = weir__ctx_next_to_end(ctx, at))
            weir__ctx_mark(at, err, cause, &run);
    if (run.pending.first != NULL)
        weir__hooks_run(&root->tree, &run);
    if (!run.tree_gone)
        weir__lock_release(&root->tree.lock);
}

WEIR_API void weir_ctx_cancel(weir_ctx *ctx, int cause)
{
    if (ctx == NULL)
        return;
    (void)weir_ctx_err(ctx); /* a deadline that has passed came first */
    weir__ctx_end(ctx, ECANCELED, cause != 0 ? cause : ECANCELED);
}

WEIR_API int weir_ctx_err(weir_ctx *ctx)
{
    int err = weir__ctx_ended(ctx);
    if (ctx != NULL && err == 0 && ctx->deadline != WEIR_FOREVER && weir_now() >= ctx->deadline) {
        weir__ctx_end(ctx, ETIMEDOUT, ETIMEDOUT);
        err = weir__ctx_ended(ctx);
    }
    return err;
}

WEIR_API int weir_ctx_cause(weir_ctx *ctx)
{
    return weir_ctx_err(ctx) == 0 ? 0 : ctx->cause;
}

WEIR_API weir_ns weir_ctx_deadline(const weir_ctx *ctx)
{
    return ctx == NULL ? WEIR_FOREVER : ctx->deadline;
}

/* ---- birth and death ------------------------------------------------------------------------------------------------------- */

WEIR_API void weir_ctx_init_deadline(weir_ctx *ctx, weir_ctx *parent, weir_ns deadline)
{
    memset(ctx, 0, sizeof *ctx);
    ctx->root = ctx;
    ctx->deadline = deadline;
    if (parent != NULL) {
        ctx->parent = parent;
        ctx->root = parent->root;
        if (parent->deadline < deadline)
            ctx->deadline = parent->deadline;
        weir__lock_take(&ctx->root->tree.lock);
        ctx->cause = parent->cause;
        ctx->err = weir__load_rlx(&parent->err);
        ctx->next_sibling = parent->children;
        if (parent->children != NULL)
            parent->children->prev_sibling = ctx;
        parent->children = ctx;
        weir__lock_release(&ctx->root->tree.lock);
    }
    (void)weir_ctx_err(ctx); /* a point that has passed */
}

WEIR_API void weir_ctx_init(weir_ctx *ctx, weir_ctx *parent)
{
    weir_ctx_init_deadline(ctx, parent, WEIR_FOREVER);
}

WEIR_API void weir_ctx_init_timeout(weir_ctx *ctx, weir_ctx *parent, weir_ns timeout)
{
    weir_ctx_init_deadline(ctx, parent, weir_time_add(weir_now(), timeout));
}

WEIR_API void weir_ctx_init_value(weir_ctx *ctx, weir_ctx *parent, const void *key, void *value)
{
    weir_ctx_init_deadline(ctx, parent, WEIR_FOREVER);
    ctx->key = key;
    ctx->value = value;
}

WEIR_API void *weir_ctx_value(const weir_ctx *ctx, const void *key)
{
    for (; ctx != NULL; ctx = ctx->parent)
        if (key != NULL && ctx->key == key)
            return ctx->value;
    return NULL;
}

WEIR_API void weir_ctx_free(weir_ctx *ctx)
{
    weir_ctx *root = ctx->root;
    weir__lock_take(&root->tree.lock);
    WEIR_ASSERT(ctx->children == NULL);
    WEIR_ASSERT(ctx->watchers.first == NULL);
    while (ctx->hooks.first != NULL)
        weir__hook_unlink(&ctx->hooks, ctx->hooks.first);
    weir__hooks_drop(&root->tree, ctx);
    weir__hooks_await(&root->tree, NULL, ctx == root ? NULL : ctx);
    if (ctx != root) {
        if (ctx->prev_sibling != NULL)
            ctx->prev_sibling->next_sibling = ctx->next_sibling;
        else
            ctx->parent->children = ctx->next_sibling;
        if (ctx->next_sibling != NULL)
            ctx->next_sibling->prev_sibling = ctx->prev_sibling;
    } else {
        weir__hooks_tree_gone(&root->tree);
    }
    weir__lock_release(&root->tree.lock);
}

/* ---- hooks and watchers ---------------------------------------------------------------------------------------------------- */

WEIR_API int weir_ctx_on_cancel(weir_ctx *ctx, weir_ctx_hook *hook, void (*fn)(void *arg), void *arg)
{
    int err;
    hook->fn = fn;
    hook->arg = arg;
    hook->ctx = NULL;
    if (ctx == NULL)
        return 0;
    (void)weir_ctx_err(ctx); /* notices a deadline that has passed */
    weir__lock_take(&ctx->root->tree.lock);
    err = (int)weir__load_rlx(&ctx->err);
    if (err == 0) {
        weir__hook_link(&ctx->hooks, hook);
        hook->ctx = ctx;
    }
    weir__lock_release(&ctx->root->tree.lock);
    if (err != 0)
        fn(arg);
    return err;
}

WEIR_API int weir_ctx_off_cancel(weir_ctx *ctx, weir_ctx_hook *hook)
{
    int rc = 0;
    if (ctx == NULL)
        return 0;
    weir__lock_take(&ctx->root->tree.lock);
    if (hook->ctx != NULL) {
        weir__hook_unlink(weir__hooks_list_of(&ctx->root->tree, &ctx->hooks, hook), hook);
    } else {
        weir__hooks_await(&ctx->root->tree, hook, NULL);
        rc = ECANCELED;
    }
    weir__lock_release(&ctx->root->tree.lock);
    return rc;
}

WEIR_API int weir__ctx_watch(weir_ctx *ctx, weir__waiter *w)
{
    int err;
    weir__lock_take(&ctx->root->tree.lock);
    err = (int)weir__load_rlx(&ctx->err);
    if (err == 0)
        weir__waiter_link(&ctx->watchers, w);
    weir__lock_release(&ctx->root->tree.lock);
    return err;
}

WEIR_API void weir__ctx_unwatch(weir_ctx *ctx, weir__waiter *w)
{
    weir__lock_take(&ctx->root->tree.lock);
    if (w->linked)
        weir__waiter_unlink(&ctx->watchers, w);
    weir__lock_release(&ctx->root->tree.lock);
}

#endif /* WEIR_CTX_CTX_IMPLEMENTED */
