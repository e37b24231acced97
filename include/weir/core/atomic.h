/* weir/core/atomic.h: atomic operations, with the memory order in the name.
 *
 * Overview
 *   weir__load_acq(&x), weir__store_rel(&x, v), weir__cas_rlx(&x, &expected, v) … work on plain 32- and 64-bit words through the
 *   compiler's __atomic operations, which follow the C11 memory model. <stdatomic.h> is not used: C++ cannot include it before
 *   C++23, and an _Atomic member need not have the same layout in both languages, while a channel is shared by units of both.
 *
 *   Suffixes: _rlx relaxed, _acq acquire, _rel release, _ar acquire and release, _sc sequentially consistent.
 *
 * Replacing them
 *   The seven WEIR_ATOMIC_ macros, WEIR_FENCE and the two copies are the whole interface to the memory model. A header named by
 *   WEIR_PLATFORM_H may define them first; the model checker does.
 */
#ifndef WEIR_CORE_ATOMIC_H
#define WEIR_CORE_ATOMIC_H

#include "config.h"

#include <string.h>

/* Words that several threads touch at once have these types, so that a plain access to one stands out when reading. */
typedef uint32_t weir__atomic_u32;
typedef uint64_t weir__atomic_u64 __attribute__((aligned(8)));

#ifndef WEIR_ATOMIC_LOAD
#define WEIR_ATOMIC_LOAD(p, order) __atomic_load_n((p), (order))
#define WEIR_ATOMIC_STORE(p, v, order) __atomic_store_n((p), (v), (order))
#define WEIR_ATOMIC_CAS(p, expected, v, order)                                                                         \
    __atomic_compare_exchange_n((p), (expected), (v), 0, (order), __ATOMIC_RELAXED)
#define WEIR_ATOMIC_SWAP(p, v, order) __atomic_exchange_n((p), (v), (order))
#define WEIR_ATOMIC_ADD(p, v, order) __atomic_fetch_add((p), (v), (order))
#define WEIR_ATOMIC_OR(p, v, order) __atomic_fetch_or((p), (v), (order))
#define WEIR_ATOMIC_AND(p, v, order) __atomic_fetch_and((p), (v), (order))
#if defined(__SANITIZE_THREAD__)
/* gcc's thread sanitizer knows no fences, and warns of each. A read-modify-write of a word of one's own is one on every processor
 * that this sanitizer runs on. */
#define WEIR_FENCE(order)                                                                                              \
    do {                                                                                                               \
        uint32_t weir__own_word = 0;                                                                                   \
        (void)__atomic_fetch_add(&weir__own_word, 1, (order));                                                         \
    } while (0)
#else
#define WEIR_FENCE(order) __atomic_thread_fence(order)
#endif
#endif

#define weir__load_rlx(p) WEIR_ATOMIC_LOAD((p), __ATOMIC_RELAXED)
#define weir__load_acq(p) WEIR_ATOMIC_LOAD((p), __ATOMIC_ACQUIRE)
#define weir__load_sc(p) WEIR_ATOMIC_LOAD((p), __ATOMIC_SEQ_CST)
#define weir__store_rlx(p, v) WEIR_ATOMIC_STORE((p), (v), __ATOMIC_RELAXED)
#define weir__store_rel(p, v) WEIR_ATOMIC_STORE((p), (v), __ATOMIC_RELEASE)
#define weir__swap_acq(p, v) WEIR_ATOMIC_SWAP((p), (v), __ATOMIC_ACQUIRE)
#define weir__swap_rel(p, v) WEIR_ATOMIC_SWAP((p), (v), __ATOMIC_RELEASE)
#define weir__swap_ar(p, v) WEIR_ATOMIC_SWAP((p), (v), __ATOMIC_ACQ_REL)
#define weir__add_rlx(p, v) WEIR_ATOMIC_ADD((p), (v), __ATOMIC_RELAXED)
#define weir__add_acq(p, v) WEIR_ATOMIC_ADD((p), (v), __ATOMIC_ACQUIRE)
#define weir__add_rel(p, v) WEIR_ATOMIC_ADD((p), (v), __ATOMIC_RELEASE)
#define weir__add_ar(p, v) WEIR_ATOMIC_ADD((p), (v), __ATOMIC_ACQ_REL)
#define weir__or_rlx(p, v) WEIR_ATOMIC_OR((p), (v), __ATOMIC_RELAXED)
#define weir__or_sc(p, v) WEIR_ATOMIC_OR((p), (v), __ATOMIC_SEQ_CST)
/* On failure *expected holds what was found, read relaxed. */
#define weir__cas_rlx(p, expected, v) WEIR_ATOMIC_CAS((p), (expected), (v), __ATOMIC_RELAXED)
#define weir__cas_rel(p, expected, v) WEIR_ATOMIC_CAS((p), (expected), (v), __ATOMIC_RELEASE)
#define weir__cas_acq(p, expected, v) WEIR_ATOMIC_CAS((p), (expected), (v), __ATOMIC_ACQUIRE)
#define weir__cas_ar(p, expected, v) WEIR_ATOMIC_CAS((p), (expected), (v), __ATOMIC_ACQ_REL)
#define weir__cas_sc(p, expected, v) WEIR_ATOMIC_CAS((p), (expected), (v), __ATOMIC_SEQ_CST)

/* Copies of a payload into and out of a shared slot. Plain memory: the ring's protocol orders them, and a checker that replaces
 * these two can prove that it does. A constant n becomes a move or two. */
#ifndef WEIR_COPY_IN
#define WEIR_COPY_IN(slot, src, n) memcpy((slot), (src), (n))
#define WEIR_COPY_OUT(dst, slot, n) memcpy((dst), (slot), (n))
#endif

#endif /* WEIR_CORE_ATOMIC_H */
