/* tests/model/ck/ck_pr.h: Concurrency Kit's atomic operations as calls into the model, so that the system's <ck_ring.h> runs in it
 * unmodified. It stands before the system's on the include path (as tests/tsan-shim/ck_pr.h does for the thread sanitizer).
 *
 * Two readings
 *   By default the operations mean what they are on x86, where weir uses this ring: every load acquires, every store releases, a
 *   compare-and-swap is seq_cst, and the fences between loads or between stores add nothing.
 *   With -DMODEL_CK_PORTABLE stores and compare-and-swaps release nothing, and a store fence orders stores with later stores and nothing else, as on Arm. (Loads still
 *   acquire: what follows them here depends on them.) So read, 0.7.1 is wrong (ck.c). With -DMODEL_CK_FIXED as well, the store fence
 *   orders loads too, which is what mended it.
 */
#ifndef CK_PR_H
#define CK_PR_H

#include "model/platform.h"

#include <ck_cc.h>
#include <ck_md.h>
#include <ck_stdbool.h>
#include <ck_string.h>

#ifdef MODEL_CK_PORTABLE
#define MODEL_CK_STORE __ATOMIC_RELAXED
#define MODEL_CK_CAS __ATOMIC_ACQUIRE
#define ck_pr_fence_load() model_fence(__ATOMIC_ACQUIRE, "ck_pr_fence_load")
#ifdef MODEL_CK_FIXED
#define ck_pr_fence_store() model_fence(__ATOMIC_RELEASE, "ck_pr_fence_store")
#else
#define ck_pr_fence_store() model_fence_store("ck_pr_fence_store")
#endif
#define ck_pr_fence_store_atomic() ck_pr_fence_store()
#else
#define MODEL_CK_STORE __ATOMIC_RELEASE
#define MODEL_CK_CAS __ATOMIC_SEQ_CST
#define ck_pr_fence_load() ((void)0)
#define ck_pr_fence_store() ((void)0)
#define ck_pr_fence_store_atomic() ((void)0)
#endif

static inline __attribute__((unused)) void ck_pr_stall(void)
{
    model_pause();
}

static inline __attribute__((unused)) unsigned ck_pr_load_uint(const unsigned *word)
{
    return (unsigned)model_load(word, sizeof *word, __ATOMIC_ACQUIRE, "ck_ring");
}

static inline __attribute__((unused)) void ck_pr_store_uint(unsigned *word, unsigned value)
{
    model_store(word, sizeof *word, value, MODEL_CK_STORE, "ck_ring");
}

/* *found: what was there, whether or not it was replaced. One that fails is a fence on x86 too. */
static inline __attribute__((unused)) bool ck_pr_cas_uint_value(unsigned *word, unsigned expected, unsigned value,
                                                                unsigned *found)
{
    const bool done = model_cas(word, sizeof *word, &expected, value, MODEL_CK_CAS, "ck_ring") != 0;
    *found = expected;
    if (done)
        model_ck_claimed();
    else
        model_fence(__ATOMIC_ACQUIRE, "ck_ring");
    return done;
}

static inline __attribute__((unused)) bool ck_pr_cas_uint(unsigned *word, unsigned expected, unsigned value)
{
    return ck_pr_cas_uint_value(word, expected, value, &expected);
}

#endif /* CK_PR_H */
