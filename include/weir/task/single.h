/* weir/task/single.h: callers that ask for the same thing at the same time share one run (Go's x/sync/singleflight).
 *
 *     static weir_single lookups = WEIR_SINGLE_INIT;
 *     rc = weir_single_do(ctx, &lookups, host, strlen(host), resolve, host, &address, sizeof address, &shared);
 *
 * The first caller with a key runs the function, in its own thread; those who come with the same key before it has returned wait, and get a copy of
 * its value or its code. A later caller runs it again: nothing is kept.
 *
 * The run belongs to its caller's context. If that ends, and the run fails, this is not the others' failure: the first of them runs the function anew,
 * under its own context, and the rest wait for that. (In Go they all fail; it is the complaint that users have most often.)
 *
 * A function must not ask for its own key: it would wait for itself.
 *
 * Who may call what at once: anything, from any threads. Progress: a lock, under which running keys are compared one after the other: for tens of
 * runs at a time, not for thousands; parks while another runs.
 */
#ifndef WEIR_TASK_SINGLE_H
#define WEIR_TASK_SINGLE_H

#include "../sync/line.h"
#include "future.h"

typedef struct weir__single_run {
    struct weir__single_run *next;
    const void *key;
    size_t key_size;
    weir__waiter_list others;
    bool forgotten;
} weir__single_run;

typedef struct weir_single {
    weir__lock lock;
    weir__single_run *runs; /* each on the stack of the thread that runs it */
} weir_single;

/* clang-format off */
#define WEIR_SINGLE_INIT {0, NULL}
/* clang-format on */

/* fn(ctx, arg, value) writes at most `size` bytes to *value. 0, or what fn returned, here or for the caller whose run is shared; ECANCELED, ETIMEDOUT: ctx ended
 * while another ran it. *shared (may be NULL): whether more than one caller has this result. value is touched only with 0. */
WEIR_API int weir_single_do(weir_ctx *ctx, weir_single *s, const void *key, size_t key_size, weir_future_fn *fn,
                            void *arg, void *value, size_t size, bool *shared);

/* The next caller with this key runs the function even if it runs at present. */
WEIR_API void weir_single_forget(weir_single *s, const void *key, size_t key_size);

#endif /* WEIR_TASK_SINGLE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_SINGLE_IMPLEMENTED)
#define WEIR_TASK_SINGLE_IMPLEMENTED

typedef struct weir__single_waiter {
    weir__waiter node; /* first */
    void *value;
} weir__single_waiter;

enum { WEIR__SINGLE_AGAIN = -1 };

/* The run of this key that others may join, or NULL. Locked. */
static weir__single_run *weir__single_find(weir_single *s, const void *key, size_t key_size)
{
    weir__single_run *run = s->runs;
    while (run != NULL &&
           (run->forgotten || run->key_size != key_size || (key_size > 0 && memcmp(run->key, key, key_size) != 0)))
        run = run->next;
    return run;
}

/* Tells the others how it ended. Locked: each of them needs the lock before it returns, so its memory can be written to after the claim, and is not
 * if it has given up. */
static bool weir__single_tell(weir__single_run *run, int rc, const void *value, size_t size, weir__line_wakes *wakes)
{
    bool any = false;
    weir__waiter *first;
    while ((first = run->others.first) != NULL) {
        void *to = ((weir__single_waiter *)(void *)first)->value;
        if (!weir__list_pick(&run->others, first, rc, wakes))
            continue;
        any = true;
        if (rc == 0 && size > 0)
            memcpy(to, value, size);
    }
    return any;
}

static int weir__single_lead(weir_ctx *ctx, weir_single *s, weir__single_run *run, weir_future_fn *fn, void *arg,
                             void *value, size_t size, bool *shared)
{
    weir__line_wakes wakes;
    weir__single_run **link;
    int rc;
    run->next = s->runs;
    s->runs = run;
    weir__lock_release(&s->lock);
    rc = fn(ctx, arg, value);
    wakes.count = 0;
    const bool own = rc != 0 && weir_ctx_err(ctx) != 0; /* our context's failure */
    weir__lock_take(&s->lock);
    for (link = &s->runs; *link != run; link = &(*link)->next) {}
    *link = run->next;
    *shared = weir__single_tell(run, own ? WEIR__SINGLE_AGAIN : rc, value, size, &wakes) && !own;
    weir__line_release(&s->lock, &wakes);
    return rc;
}

WEIR_API int weir_single_do(weir_ctx *ctx, weir_single *s, const void *key, size_t key_size, weir_future_fn *fn,
                            void *arg, void *value, size_t size, bool *shared)
{
    bool unasked;
    int rc;
    if (shared == NULL)
        shared = &unasked;
    do {
        weir__single_run own = {NULL, key, key_size, {NULL, NULL}, false}, *run;
        weir__single_waiter waiter;
        weir__wait w;
        weir__lock_take(&s->lock);
        run = weir__single_find(s, key, key_size);
        if (run == NULL)
            return weir__single_lead(ctx, s, &own, fn, arg, value, size, shared);
        weir__wait_init(&w, ctx, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "a shared run", NULL);
        waiter.value = value;
        rc = weir__list_wait(&s->lock, &run->others, &waiter.node, &w);
        weir__lock_release(&s->lock);
    } while (rc == WEIR__SINGLE_AGAIN);
    *shared = true;
    return rc;
}

WEIR_API void weir_single_forget(weir_single *s, const void *key, size_t key_size)
{
    weir__single_run *run;
    weir__lock_take(&s->lock);
    run = weir__single_find(s, key, key_size);
    if (run != NULL)
        run->forgotten = true;
    weir__lock_release(&s->lock);
}

#endif /* WEIR_TASK_SINGLE_IMPLEMENTED */
