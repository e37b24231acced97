/* weir/ctx/sleep.h: sleeping, until a point in time or the end of a context.
 *
 * Any thread. 0: the time has come, also if the context ended at the same moment or before the call; ECANCELED, ETIMEDOUT: the context ended earlier. A
 * point that has passed is no wait. Progress: parks at once, there is no phase of spinning.
 */
#ifndef WEIR_CTX_SLEEP_H
#define WEIR_CTX_SLEEP_H

#include "wait.h"

WEIR_API int weir_sleep_until(weir_ctx *ctx, weir_ns when);
static inline int weir_sleep(weir_ctx *ctx, weir_ns duration)
{
    return weir_sleep_until(ctx, weir_time_add(weir_now(), duration));
}

#endif /* WEIR_CTX_SLEEP_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CTX_SLEEP_IMPLEMENTED)
#define WEIR_CTX_SLEEP_IMPLEMENTED

WEIR_API int weir_sleep_until(weir_ctx *ctx, weir_ns when)
{
    weir__wait w;
    int over;
    if (weir_now() >= when)
        return 0;
    weir__wait_init(&w, ctx, when, WEIR_WAIT_PARK);
    weir__wait_label(&w, "sleep", NULL);
    over = weir__wait_end(&w);
    return when != WEIR_FOREVER && weir_now() >= when ? 0 : over;
}

#endif /* WEIR_CTX_SLEEP_IMPLEMENTED */
