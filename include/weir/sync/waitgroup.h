/* weir/sync/waitgroup.h: waits until a number of things are done.
 *
 *     static weir_waitgroup all = WEIR_WAITGROUP_INIT;
 *     weir_waitgroup_add(&all, 3);           before the threads that call done are started
 *     weir_waitgroup_wait(NULL, &all);       until done has been called three times
 *
 * Every wait that began before the count came to 0 returns, and sees what was done before each weir_waitgroup_done. The group may
 * be used anew once they have returned, and it may be freed by whoever has returned from wait, at once: the last done has let go of it.
 *
 * Implementation: a count and a line. A done that does not end it is one compare-and-swap. The one that does takes the lock, and so does
 * every wait, even where the count is 0 already: that is how it knows that the last done is through with the memory. Not done: a bit in the count that says
 * whether anybody waits, as in Go, where no memory is ever freed under a thread's hands.
 */
#ifndef WEIR_SYNC_WAITGROUP_H
#define WEIR_SYNC_WAITGROUP_H

#include "line.h"

typedef struct weir_waitgroup {
    weir__atomic_u32 count; /* below 2^31 */
    weir__line line;
} weir_waitgroup;

/* clang-format off */
#define WEIR_WAITGROUP_INIT {0, {0, {NULL, NULL}}}
/* clang-format on */

WEIR_API void weir_waitgroup_init(weir_waitgroup *wg);

/* Adds n, which may be negative. 0; EINVAL: the count would fall below 0, and nothing has changed; EOVERFLOW: it would exceed 2^31 - 1. An add
 * that raises the count from 0 must come before the wait that is to see it. Any thread. Progress: lock-free while the count does not come
 * to 0, then takes a lock. */
WEIR_API int weir_waitgroup_add(weir_waitgroup *wg, int n);

/* One is done: weir_waitgroup_add(wg, -1). */
static inline int weir_waitgroup_done(weir_waitgroup *wg)
{
    return weir_waitgroup_add(wg, -1);
}

/* Waits until the count is 0. 0, ECANCELED, ETIMEDOUT. Any number of threads at once; parks. */
WEIR_API int weir_waitgroup_wait(weir_ctx *ctx, weir_waitgroup *wg);
/* deadline: a point in time on weir_now's clock. */
WEIR_API int weir_waitgroup_wait_until(weir_ctx *ctx, weir_waitgroup *wg, weir_ns deadline);

#endif /* WEIR_SYNC_WAITGROUP_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_SYNC_WAITGROUP_IMPLEMENTED)
#define WEIR_SYNC_WAITGROUP_IMPLEMENTED

WEIR_API void weir_waitgroup_init(weir_waitgroup *wg)
{
    memset(wg, 0, sizeof *wg);
}

/* Adds n to the count, unless that is not allowed: EINVAL, EOVERFLOW. Acquire and release: whoever brings the count to 0 has seen what was done
 * before each done, and passes it on. *now: the new count. Not `locked`: one that would end the group is left to who has the lock, with *now
 * 0. */
static int weir__waitgroup_change(weir_waitgroup *wg, int n, bool locked, int64_t *now)
{
    uint32_t seen = weir__load_rlx(&wg->count);
    do {
        *now = (int64_t)seen + n;
        if (*now < 0)
            return EINVAL;
        if (*now > INT32_MAX)
            return EOVERFLOW;
        if (*now == 0 && !locked)
            return 0;
    } while (!weir__cas_ar(&wg->count, &seen, (uint32_t)*now));
    return 0;
}

WEIR_API int weir_waitgroup_add(weir_waitgroup *wg, int n)
{
    weir__line_wakes wakes;
    int64_t now;
    int rc = weir__waitgroup_change(wg, n, false, &now);
    if (rc != 0 || now > 0)
        return rc;
    wakes.count = 0;
    weir__lock_take(&wg->line.lock);
    rc = weir__waitgroup_change(wg, n, true, &now);
    if (now == 0)
        weir__list_call_all(&wg->line.list, 0, &wakes);
    weir__line_release(&wg->line.lock, &wakes);
    return rc;
}

WEIR_API int weir_waitgroup_wait_until(weir_ctx *ctx, weir_waitgroup *wg, weir_ns deadline)
{
    weir__wait w;
    weir__waiter node;
    int rc = 0;
    weir__lock_take(&wg->line.lock);
    if (weir__load_rlx(&wg->count) != 0) { /* relaxed: it comes to 0 under the lock alone */
        weir__wait_init(&w, ctx, deadline, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "waitgroup", NULL);
        rc = weir__line_wait(&wg->line, &node, &w);
    }
    weir__lock_release(&wg->line.lock);
    return rc;
}

WEIR_API int weir_waitgroup_wait(weir_ctx *ctx, weir_waitgroup *wg)
{
    return weir_waitgroup_wait_until(ctx, wg, WEIR_FOREVER);
}

#endif /* WEIR_SYNC_WAITGROUP_IMPLEMENTED */
