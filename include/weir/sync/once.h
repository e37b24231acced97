/* weir/sync/once.h: something that is done once, whoever comes first.
 *
 *     static weir_once ready = WEIR_ONCE_INIT;
 *     int rc = weir_once_do(&ready, load_tables, &tables);
 *
 * The first caller runs fn; those who come meanwhile wait for it; once it has returned 0 every call returns 0 at once, and sees what fn did. If
 * fn fails, its caller gets the code, and the next in line runs its own fn, as if nothing had been: nobody is told of
 * a failure that was another's. (So does C++'s call_once when the function throws. Go's Once takes a failed run for done.)
 *
 * fn may not call weir_once_do on the same weir_once: it would wait for itself.
 *
 *     NEW ──► RUNNING ──► DONE          NEW again when fn has failed and nobody waits; while somebody does, RUNNING passes to the
 *      ▲         │                      first of the line
 *      └─────────┘
 */
#ifndef WEIR_SYNC_ONCE_H
#define WEIR_SYNC_ONCE_H

#include "line.h"

typedef struct weir_once {
    weir__atomic_u32 state;
    weir__line line;
} weir_once;

/* clang-format off */
#define WEIR_ONCE_INIT {0, {0, {NULL, NULL}}}
/* clang-format on */
enum { WEIR__ONCE_NEW, WEIR__ONCE_RUNNING, WEIR__ONCE_DONE };

WEIR_API void weir_once_init(weir_once *once);
WEIR_API int weir__once_slow(weir_ctx *ctx, weir_once *once, weir_task_fn *fn, void *arg);

/* Runs fn(ctx, arg) unless it has been done. 0: it has been, here or elsewhere; else what fn returned, or ECANCELED, ETIMEDOUT: the context ended while
 * another ran it. Any number of threads at once. Progress: wait-free once it is done; parks while another thread runs it. */
static inline int weir_once_do_ctx(weir_ctx *ctx, weir_once *once, weir_task_fn *fn, void *arg)
{
    /* Acquire: pairs with the release that says done. */
    return WEIR_LIKELY(weir__load_acq(&once->state) == WEIR__ONCE_DONE) ? 0 : weir__once_slow(ctx, once, fn, arg);
}

static inline int weir_once_do(weir_once *once, weir_task_fn *fn, void *arg)
{
    return weir_once_do_ctx(NULL, once, fn, arg);
}

#endif /* WEIR_SYNC_ONCE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_SYNC_ONCE_IMPLEMENTED)
#define WEIR_SYNC_ONCE_IMPLEMENTED

WEIR_API void weir_once_init(weir_once *once)
{
    memset(once, 0, sizeof *once);
}

/* fn has returned: done for all, or the first of the line takes over. */
static void weir__once_leave(weir_once *once, int rc)
{
    weir__line_wakes wakes;
    wakes.count = 0;
    weir__lock_take(&once->line.lock);
    if (rc == 0) {
        weir__store_rel(&once->state, WEIR__ONCE_DONE);
        weir__list_call_all(&once->line.list, 0, &wakes);
    } else if (!weir__list_call(&once->line.list, 0, &wakes)) {
        weir__store_rlx(&once->state, WEIR__ONCE_NEW);
    }
    weir__line_release(&once->line.lock, &wakes);
}

WEIR_API int weir__once_slow(weir_ctx *ctx, weir_once *once, weir_task_fn *fn, void *arg)
{
    weir__wait w;
    weir__waiter node;
    int rc = 0;
    weir__lock_take(&once->line.lock);
    if (weir__load_rlx(&once->state) == WEIR__ONCE_RUNNING) {
        weir__wait_init(&w, ctx, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "once", NULL);
        rc = weir__line_wait(&once->line, &node, &w);
    }
    if (rc == 0 && weir__load_rlx(&once->state) != WEIR__ONCE_DONE)
        weir__store_rlx(&once->state, WEIR__ONCE_RUNNING); /* NEW, or passed on to us */
    else
        fn = NULL;
    weir__lock_release(&once->line.lock);
    if (fn == NULL)
        return rc;
    rc = fn(ctx, arg);
    weir__once_leave(once, rc);
    return rc;
}

#endif /* WEIR_SYNC_ONCE_IMPLEMENTED */
