/* tests/tsan-shim/ck_pr.h: the atomic operations of Concurrency Kit that <ck_ring.h> and weir/ring/ck.h use, for
 * thread sanitizer.
 *
 *     cc -fsanitize=thread -Itests/tsan-shim -DWEIR_RING_MPMC=WEIR_RING_CK …
 *
 * Why it exists
 *   ck_pr.h is written in inline assembler, which thread sanitizer does not see: it finds two threads at one word, no
 *   atomic operation and no order, and reports races where there are none. This file stands before the system's on
 *   the include path and says the same with the compiler's atomics. ck_ring.h itself is the system's, unmodified.
 *
 * Orders
 *   The sanitizer knows no fences either, so the order that ck_ring gets from a fence between two operations stands
 *   on the operations: loads acquire, stores release, compare-and-swap does both. That is what x86 does anyway, and
 *   stronger than ck promises elsewhere: a clean run speaks for the algorithm on x86, not for ck's fences on other
 *   processors.
 */
#ifndef CK_PR_H
#define CK_PR_H

#include <ck_cc.h>
#include <ck_md.h>
#include <ck_stdbool.h>

#define ck_pr_barrier() __asm__ __volatile__("" ::: "memory")
#define ck_pr_fence_load() ck_pr_barrier()
#define ck_pr_fence_store() ck_pr_barrier()
#define ck_pr_fence_store_atomic() ck_pr_barrier()

static inline __attribute__((unused)) void ck_pr_stall(void)
{
    ck_pr_barrier();
}

static inline __attribute__((unused)) unsigned ck_pr_load_uint(const unsigned *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline __attribute__((unused)) void ck_pr_store_uint(unsigned *word, unsigned value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* *found: what was there, whether or not it was replaced. */
static inline __attribute__((unused)) bool ck_pr_cas_uint_value(unsigned *word, unsigned expected, unsigned value,
                                                                unsigned *found)
{
    const bool done = __atomic_compare_exchange_n(word, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    *found = expected;
    return done;
}

static inline __attribute__((unused)) bool ck_pr_cas_uint(unsigned *word, unsigned expected, unsigned value)
{
    return __atomic_compare_exchange_n(word, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

#endif /* CK_PR_H */
