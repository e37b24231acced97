/* weir/ctx/hook.h: functions that run once when a context ends, and how one is taken back while it may be running.
 *
 * Overview
 *   A registered hook stands in the list of its context. When that ends, its hooks move to a run: a record on the stack of the
 *   thread that ended it, which then calls them one at a time, without the lock. The runs of a tree are linked in its root. So
 *   whoever takes a hook back, or frees a context, finds it in one of three places:
 *
 *       in its context's list, or pending in a run      unlink it: it will not run
 *       current in a run of another thread               wait until that call has returned
 *       current in a run of this thread                  we are inside of it: go on
 *
 *   A hook may do anything, freeing its own context or the whole tree included. The run therefore touches nothing of a hook after
 *   calling it, and nothing of the tree after a hook of its own thread has freed that.
 *
 * All of it is guarded by the tree's lock, except the calls.
 */
#ifndef WEIR_CTX_HOOK_H
#define WEIR_CTX_HOOK_H

#include "../core/thread.h"
#include "../park/lock.h"

typedef struct weir_ctx weir_ctx;
typedef struct weir_ctx_hook weir_ctx_hook;

/* A function to run when a context ends. The caller's memory; private inside. */
struct weir_ctx_hook {
    void (*fn)(void *arg);
    void *arg;
    weir_ctx *ctx; /* where it is registered; NULL once it has been taken off or has been run */
    weir_ctx_hook *next, *prev;
};

typedef struct weir__hook_list {
    weir_ctx_hook *first, *last;
} weir__hook_list;

/* What one ending of a context has to call. */
typedef struct weir__hook_run {
    struct weir__hook_run *next;
    uintptr_t thread;
    weir__hook_list pending;
    weir_ctx_hook *current; /* compared, never followed: fn may have ended its life */
    weir_ctx *current_ctx;  /* likewise */
    bool tree_gone;         /* a hook of this very run freed the tree */
} weir__hook_run;

/* In the root of each tree. */
typedef struct weir__hook_tree {
    weir__lock lock;
    weir__atomic_u32 runs_changed; /* counts the ends of calls: what waits for a hook sleeps on it */
    weir__hook_run *runs;
} weir__hook_tree;

static inline void weir__hook_link(weir__hook_list *l, weir_ctx_hook *h)
{
    h->next = NULL;
    h->prev = l->last;
    if (l->last != NULL)
        l->last->next = h;
    else
        l->first = h;
    l->last = h;
}

static inline void weir__hook_link_first(weir__hook_list *l, weir_ctx_hook *h)
{
    h->prev = NULL;
    h->next = l->first;
    if (l->first != NULL)
        l->first->prev = h;
    else
        l->last = h;
    l->first = h;
}

static inline void weir__hook_unlink(weir__hook_list *l, weir_ctx_hook *h)
{
    if (h->prev != NULL)
        h->prev->next = h->next;
    else
        l->first = h->next;
    if (h->next != NULL)
        h->next->prev = h->prev;
    else
        l->last = h->prev;
    h->ctx = NULL;
}

/* Calls what is pending in run. Called and returns locked, unless the tree is gone. */
WEIR_API void weir__hooks_run(weir__hook_tree *tree, weir__hook_run *run);
/* Waits until no other thread runs this hook, or (hook NULL) any hook of this context, or (both NULL) any hook of the tree. A run of
 * the calling thread is the one that it is inside of: waiting for it would never end. Called and returns locked. */
WEIR_API void weir__hooks_await(weir__hook_tree *tree, const weir_ctx_hook *hook, const weir_ctx *ctx);
/* Takes what is pending for ctx out of every run. Locked. */
WEIR_API void weir__hooks_drop(weir__hook_tree *tree, const weir_ctx *ctx);
/* The list in which a registered hook stands: `own`, its context's, or once that has ended a run's. Locked. */
WEIR_API weir__hook_list *weir__hooks_list_of(weir__hook_tree *tree, weir__hook_list *own, const weir_ctx_hook *hook);
/* The tree is being freed, and no other thread runs a hook of it: tells the runs of this thread. Locked. */
WEIR_API void weir__hooks_tree_gone(weir__hook_tree *tree);

#endif /* WEIR_CTX_HOOK_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CTX_HOOK_IMPLEMENTED)
#define WEIR_CTX_HOOK_IMPLEMENTED

WEIR_API void weir__hooks_run(weir__hook_tree *tree, weir__hook_run *run)
{
    weir__hook_run **link;
    weir_ctx_hook *h;
    run->thread = WEIR_THREAD_SELF();
    run->next = tree->runs;
    tree->runs = run;
    while ((h = run->pending.first) != NULL) {
        void (*fn)(void *) = h->fn;
        void *arg = h->arg;
        run->current = h;
        run->current_ctx = h->ctx;
        weir__hook_unlink(&run->pending, h);
        weir__lock_release(&tree->lock);
        fn(arg);
        if (run->tree_gone)
            return;
        weir__lock_take(&tree->lock);
        run->current = NULL;
        run->current_ctx = NULL;
        (void)weir__add_rlx(&tree->runs_changed, 1);
        WEIR_FUTEX_WAKE(&tree->runs_changed, WEIR__WAKE_ALL);
    }
    for (link = &tree->runs; *link != run; link = &(*link)->next)
        ;
    *link = run->next;
}

/* Whether the run is inside this hook, or (hook NULL) a hook of this context, or (both NULL) any. */
static bool weir__hook_runs(const weir__hook_run *run, const weir_ctx_hook *hook, const weir_ctx *ctx)
{
    if (hook != NULL)
        return run->current == hook;
    return ctx == NULL || run->current_ctx == ctx;
}

WEIR_API void weir__hooks_await(weir__hook_tree *tree, const weir_ctx_hook *hook, const weir_ctx *ctx)
{
    const uintptr_t self = WEIR_THREAD_SELF();
    for (;;) {
        const uint32_t seen = weir__load_rlx(&tree->runs_changed);
        weir__hook_run *run = tree->runs;
        for (; run != NULL; run = run->next)
            if (run->thread != self && weir__hook_runs(run, hook, ctx))
                break;
        if (run == NULL)
            return;
        weir__lock_release(&tree->lock);
        WEIR_FUTEX_WAIT(&tree->runs_changed, seen, WEIR_FOREVER);
        weir__lock_take(&tree->lock);
    }
}

WEIR_API void weir__hooks_drop(weir__hook_tree *tree, const weir_ctx *ctx)
{
    for (weir__hook_run *run = tree->runs; run != NULL; run = run->next)
        for (weir_ctx_hook *h = run->pending.first, *next; h != NULL; h = next) {
            next = h->next;
            if (h->ctx == ctx)
                weir__hook_unlink(&run->pending, h);
        }
}

WEIR_API weir__hook_list *weir__hooks_list_of(weir__hook_tree *tree, weir__hook_list *own, const weir_ctx_hook *hook)
{
    for (weir__hook_run *run = tree->runs; run != NULL; run = run->next)
        for (weir_ctx_hook *h = run->pending.first; h != NULL; h = h->next)
            if (h == hook)
                return &run->pending;
    return own;
}

WEIR_API void weir__hooks_tree_gone(weir__hook_tree *tree)
{
    for (weir__hook_run *run = tree->runs; run != NULL; run = run->next)
        run->tree_gone = true;
}

#endif /* WEIR_CTX_HOOK_IMPLEMENTED */
