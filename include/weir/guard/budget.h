/* weir/guard/budget.h: retries stay under a share of the requests, for all callers together.
 *
 *     static weir_retry_budget budget = WEIR_RETRY_BUDGET_INIT(0.1, 10);     one retry in ten requests, ten before there were any
 *
 * When a service fails, everybody retries, and it gets several times its load. A budget ends that: each request pays `share` in, each retry takes 1 out; where
 * there is less, there is no retry. At most `most` is ever saved up, and a budget begins with that much. It is a token bucket that is filled
 * by requests instead of time (Finagle's RetryBudget; gRPC's retry throttling).
 *
 * Any number of threads at once; one atomic operation each, lock-free.
 */
#ifndef WEIR_GUARD_BUDGET_H
#define WEIR_GUARD_BUDGET_H

#include "../core/atomic.h"
#include "../core/error.h"

/* All in millionths of a retry. */
typedef struct weir_retry_budget {
    weir__atomic_u64 saved;
    uint64_t share, most;
} weir_retry_budget;

#define WEIR_RETRY_BUDGET_MAX 1000000000 /* of most, and of share */
#define WEIR__RETRY_ONE 1000000
/* clang-format off */
#define WEIR_RETRY_BUDGET_INIT(share, most) {(uint64_t)((double)(most) * 1e6), (uint64_t)((share) * 1e6), (uint64_t)((double)(most) * 1e6)}
/* clang-format on */

/* share: of the requests, 0 or more; most: retries, 0 or more. EINVAL: they are not, or above WEIR_RETRY_BUDGET_MAX. */
static inline int weir_retry_budget_init(weir_retry_budget *b, double share, double most)
{
    if (!(share >= 0 && share <= WEIR_RETRY_BUDGET_MAX && most >= 0 && most <= WEIR_RETRY_BUDGET_MAX))
        return EINVAL;
    b->share = (uint64_t)(share * 1e6);
    b->saved = b->most = (uint64_t)(most * 1e6);
    return 0;
}

/* The orders are relaxed: the number stands for nothing in memory. */
static inline void weir__retry_budget_add(weir_retry_budget *b, uint64_t millionths)
{
    uint64_t seen = weir__load_rlx(&b->saved), now;
    do {
        if (seen == b->most)
            return; /* full, as it is when all is well: no write */
        now = seen + millionths < b->most ? seen + millionths : b->most;
    } while (!weir__cas_rlx(&b->saved, &seen, now));
}

/* A request is made. */
static inline void weir_retry_budget_request(weir_retry_budget *b)
{
    weir__retry_budget_add(b, b->share);
}
/* What was taken was not used: the retry could not be made. */
static inline void weir_retry_budget_give_back(weir_retry_budget *b)
{
    weir__retry_budget_add(b, WEIR__RETRY_ONE);
}

/* 0: a retry may be made. EAGAIN: there have been too many. */
static inline int weir_retry_budget_take(weir_retry_budget *b)
{
    uint64_t seen = weir__load_rlx(&b->saved);
    do {
        if (seen < WEIR__RETRY_ONE)
            return EAGAIN;
    } while (!weir__cas_rlx(&b->saved, &seen, seen - WEIR__RETRY_ONE));
    return 0;
}

#endif /* WEIR_GUARD_BUDGET_H */
