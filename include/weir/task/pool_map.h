/* weir/task/pool_map.h: a function applied to each element of an array by a pool.
 *
 *     int thumbnail(weir_ctx *ctx, void *arg, const void *image, void *thumb)
 *     struct image images[1000]; struct thumb thumbs[1000];
 *     rc = weir_pool_map(ctx, &pool, thumbnail, NULL, images, thumbs, 1000, &which);
 *
 * Meaning
 *   thumbs[i] comes from images[i], in whatever order they are worked on. Every element is worked on, unless one fails or ctx ends: then those that nobody has
 *   begun are left out. The calling thread works too, and so the call never waits for a worker to become free: from inside a job of the same pool, with a full
 *   queue, or on a pool that is stopped it works as well, at worst alone.
 *   It returns when no thread works on an element any more: the arrays, arg and ctx may be on the caller's stack.
 *
 * Implementation
 *   Whoever helps takes the next elements, a few at a time, by adding to a counter. What the helpers share is one allocation for the whole call, freed by the last
 *   who has it: a helper that the pool comes to late finds no element left, and may find the caller gone. Without memory for it the
 *   caller works alone.
 */
#ifndef WEIR_TASK_POOL_MAP_H
#define WEIR_TASK_POOL_MAP_H

#include "../sync/waitgroup.h"
#include "pool.h"

/* 0, or an error code: what it left in *out does not count then. May use weir_job_fail, and in C++ throw. */
typedef int weir_pool_map_fn(weir_ctx *ctx, void *arg, const void *in, void *out);

/* Calls fn(ctx, arg, &in[i], &out[i]) for each i below n. in and out: pointers to the elements. 0; the code of the first element, in the order of the array, of those
 * that were found to fail, its number in *which (a size_t pointer, or NULL); ECANCELED, ETIMEDOUT: ctx ended before all were begun (*which is n then);
 * EOVERFLOW: n is 2^31 or more. */
#define weir_pool_map(ctx, p, fn, arg, in, out, n, which)                                                              \
    weir__pool_map_of((ctx), (p), (fn), (arg), (const void *)(in), sizeof *(in), (void *)(out), sizeof *(out), (n),    \
                      (which))

typedef struct weir__map_call {
    weir_pool_map_fn *fn;
    weir_ctx *ctx;
    void *arg;
    const unsigned char *in;
    unsigned char *out;
    size_t in_size, out_size;
} weir__map_call;

/* One element, as a task: in the unit that calls, so that what fn throws passes frames of that unit alone. */
typedef struct weir__map_item {
    const weir__map_call *call;
    size_t i;
} weir__map_item;
static inline int weir__map_one(weir_ctx *ctx, void *arg)
{
    const weir__map_item *item = (const weir__map_item *)arg;
    const weir__map_call *call = item->call;
    return call->fn(ctx, call->arg, call->in + item->i * call->in_size, call->out + item->i * call->out_size);
}

WEIR_API int weir__pool_map(weir_pool *p, const weir__map_call *call, size_t n, size_t *which, weir_task_fn *one,
                            weir__job_guard *guard);

static inline int weir__pool_map_of(weir_ctx *ctx, weir_pool *p, weir_pool_map_fn *fn, void *arg, const void *in,
                                    size_t in_size, void *out, size_t out_size, size_t n, size_t *which)
{
    weir__map_call call;
    call.fn = fn;
    call.ctx = ctx;
    call.arg = arg;
    call.in = (const unsigned char *)in;
    call.out = (unsigned char *)out;
    call.in_size = in_size;
    call.out_size = out_size;
    return weir__pool_map(p, &call, n, which, weir__map_one, WEIR__JOB_GUARD);
}

#endif /* WEIR_TASK_POOL_MAP_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_MAP_IMPLEMENTED)
#define WEIR_TASK_POOL_MAP_IMPLEMENTED

#include "../core/memory.h"

/* What those who work on one array share. */
typedef struct weir__map {
    weir__map_call call;
    weir_task_fn *one;
    weir__job_guard *guard;
    uint64_t n, few;         /* elements; how many are taken at a time */
    weir__atomic_u64 next;   /* the first that nobody has taken; may run beyond n */
    weir__atomic_u64 failed; /* the first that is known to have failed, its number above its code; all ones: none has */
    weir__atomic_u32 left_out;   /* what ended ctx, if an element was left out for that */
    weir__atomic_u32 references; /* helpers that may come, and the caller */
    weir_waitgroup working;      /* elements that nobody is through with */
} weir__map;

#define WEIR__MAP_NONE UINT64_MAX

/* Keeps the failure of the lowest number. */
static void weir__map_fail(weir__map *m, uint64_t i, int code)
{
    const uint64_t mine = i << 32 | (uint32_t)code;
    uint64_t seen = weir__load_rlx(&m->failed);
    while (mine < seen && !weir__cas_rlx(&m->failed, &seen, mine)) {} /* relaxed: who waits is told by `working` */
}

/* Works on element i, or leaves it out. */
static void weir__map_see_to(weir__map *m, uint64_t i)
{
    weir__map_item item;
    int rc;
    if (weir__load_rlx(&m->failed) != WEIR__MAP_NONE)
        return;
    rc = weir_ctx_err(m->call.ctx);
    if (rc != 0) {
        weir__store_rlx(&m->left_out, (uint32_t)rc);
        return;
    }
    item.call = &m->call;
    item.i = (size_t)i;
    rc = weir__job_call(m->one, m->guard, m->call.ctx, &item);
    if (rc != 0)
        weir__map_fail(m, i, rc);
}

static void weir__map_work(weir__map *m)
{
    uint64_t from;
    /* Relaxed: what an element is worked on with was there before the map was handed to anybody. */
    while ((from = weir__add_rlx(&m->next, m->few)) < m->n) {
        const uint64_t to = m->n - from < m->few ? m->n : from + m->few;
        for (uint64_t i = from; i < to; i++)
            weir__map_see_to(m, i);
        (void)weir_waitgroup_add(&m->working, -(int)(to - from));
    }
}

/* Acquire and release: the last who drops it frees it after all others are through. */
static void weir__map_drop(weir__map *m, uint32_t references)
{
    if (weir__add_ar(&m->references, 0U - references) == references)
        WEIR_FREE(m);
}

static void weir__map_help(void *arg)
{
    weir__map *m = (weir__map *)arg;
    weir__map_work(m);
    weir__map_drop(m, 1);
}

static void weir__map_init(weir__map *m, const weir__map_call *call, size_t n, weir_task_fn *one,
                           weir__job_guard *guard, unsigned helpers)
{
    memset(m, 0, sizeof *m);
    m->call = *call;
    m->one = one;
    m->guard = guard;
    m->n = n;
    m->few = 1 + n / (8 * ((uint64_t)helpers + 1));
    m->failed = WEIR__MAP_NONE;
    m->references = helpers + 1;
    weir_waitgroup_init(&m->working);
    (void)weir_waitgroup_add(&m->working, (int)n);
}

/* Asks the pool for helpers, and drops those that it has no room for. */
static void weir__map_call_helpers(weir_pool *p, weir__map *m, unsigned helpers)
{
    weir__job job;
    memset(&job, 0, sizeof job);
    job.fn.plain = weir__map_help;
    job.arg = m;
    job.is_plain = 1;
    job.level = WEIR__JOB_NORMAL_LEVEL;
    for (unsigned i = 0; i < helpers; i++)
        if (weir__pool_put(p, &job) != 0) {
            weir__map_drop(m, helpers - i);
            return;
        }
}

WEIR_API int weir__pool_map(weir_pool *p, const weir__map_call *call, size_t n, size_t *which, weir_task_fn *one,
                            weir__job_guard *guard)
{
    unsigned helpers = weir__load_rlx(&p->max);
    weir__map *m, alone;
    uint64_t failed;
    int rc;
    if (n > INT32_MAX)
        return EOVERFLOW;
    helpers = n <= 1 ? 0 : n - 1 < helpers ? (unsigned)(n - 1) : helpers;
    m = helpers == 0 ? NULL : (weir__map *)WEIR_ALLOC(WEIR_CACHE_PAD, sizeof *m);
    if (m == NULL) {
        m = &alone;
        helpers = 0;
    }
    weir__map_init(m, call, n, one, guard, helpers);
    weir__map_call_helpers(p, m, helpers);
    weir__map_work(m);
    (void)weir_waitgroup_wait(NULL, &m->working);
    failed = weir__load_rlx(&m->failed);
    rc = failed == WEIR__MAP_NONE ? (int)weir__load_rlx(&m->left_out) : (int)(uint32_t)failed;
    if (rc != 0 && which != NULL)
        *which = failed == WEIR__MAP_NONE ? n : (size_t)(failed >> 32);
    if (m != &alone)
        weir__map_drop(m, 1);
    return rc;
}

#endif /* WEIR_TASK_POOL_MAP_IMPLEMENTED */
