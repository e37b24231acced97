/* weir/core/config.h: what can be set at compile time, and the few macros that everything else is written in.
 *
 * How to use the library
 *   In every unit:   #include "weir.h"
 *   In one C unit:   #define WEIR_IMPLEMENTATION
 *                    #include "weir.h"
 *   Link with -pthread. Nothing has to be started or shut down.
 *
 * What a program may define before the include (the same in all its units, unless it says otherwise)
 *   WEIR_IMPLEMENTATION   this unit also holds the function bodies
 *   WEIR_STATIC           every function is static: each unit has its own copy
 *   WEIR_ASSERT(cond)     catches misuse in debug builds; does nothing unless defined
 *   WEIR_ALLOC, WEIR_FREE the allocator (core/memory.h); both or neither
 *   WEIR_RING_SPSC, _MPSC, _SPMC, _MPMC   which ring a kind of channel stands on (ring/choice.h)
 *   WEIR_SPIN_TURNS, WEIR_YIELD_TURNS, WEIR_BURST_TURNS     lengths of the waiting phases (park/backoff.h); WEIR_POOL_BURST_TURNS (task/pool_queue.h)
 *   WEIR_LOCK_TURNS, WEIR_LANE_GLANCES   how often a taken lock, an empty lane is looked at first (park/lock.h, chan/rendezvous.h)
 *   WEIR_FENCE_SYMMETRIC  never use membarrier (core/fence.h); read by the implementation alone
 *   WEIR_PLATFORM_H       a header to include first: it may replace any WEIR_ macro of core (atomics, fences, futex, clock,
 *                         threads, random numbers, allocation). The model checker is such a header; a port can be another.
 */
#ifndef WEIR_CORE_CONFIG_H
#define WEIR_CORE_CONFIG_H

#ifdef WEIR_PLATFORM_H
#include WEIR_PLATFORM_H
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Usable in #if: WEIR_VERSION >= 100 means 0.1.0 or later. */
#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0
#define WEIR_VERSION (WEIR_VERSION_MAJOR * 10000 + WEIR_VERSION_MINOR * 100 + WEIR_VERSION_PATCH)

#if !defined(__GNUC__)
#error "weir needs gcc or clang (it uses their __atomic operations, which C and C++ units can share)"
#endif
#if !defined(__linux__) && !defined(WEIR_PLATFORM_H)
#error "weir runs on Linux; another system needs a WEIR_PLATFORM_H that supplies futex, clock and threads"
#endif

/* WEIR_API stands before each function that is not inline, at its declaration and at its definition. */
#if defined(WEIR_STATIC)
#define WEIR_API static __attribute__((unused))
#elif defined(__cplusplus)
#define WEIR_API extern "C"
#else
#define WEIR_API extern
#endif

/* Fast paths fold to a few instructions only when the kind of channel and the element's size are constants in them, so they are
 * inlined always, and what they fall back to never is. WEIR_COLD also keeps the jump there out of the way; it makes gcc optimize the
 * function for size, though, memcpy to `rep movsb` included, so it is for functions that no loop waits for: under a receive that spins
 * it halved the throughput. */
#define WEIR_INLINE static inline __attribute__((always_inline, unused))
#define WEIR_NOINLINE __attribute__((noinline))
#define WEIR_COLD __attribute__((cold, noinline))
#define WEIR_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEIR_UNLIKELY(x) __builtin_expect(!!(x), 0)

#ifndef WEIR_ASSERT
#define WEIR_ASSERT(cond) ((void)0)
#endif

#ifdef __cplusplus
#define WEIR__STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define WEIR__STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* Two cache lines: x86 fetches lines in pairs, and some Arm cores have lines of 128 bytes. Words that different threads write
 * stand this far apart. Not configurable, because it is part of the layout that all units of a program share. */
#define WEIR_CACHE_PAD 128
#define WEIR__PADDED __attribute__((aligned(WEIR_CACHE_PAD)))

/* Before a static variable of which each thread has its own. */
#ifndef WEIR_THREAD_LOCAL
#define WEIR_THREAD_LOCAL __thread
#endif

/* A point where a test may stop a thread, to provoke one interleaving: WEIR_HOOK("claimed") between claim and publish. */
#ifndef WEIR_HOOK
#define WEIR_HOOK(point) ((void)0)
#endif

#define WEIR__PASTE2(a, b) a##b
#define WEIR__PASTE(a, b) WEIR__PASTE2(a, b)

#endif /* WEIR_CORE_CONFIG_H */
