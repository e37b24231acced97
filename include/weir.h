/* weir.h: lock-free channels, contexts and pipelines for C11, in one file.
 *
 * SPDX-License-Identifier: MIT-0 OR Unlicense
 *
 * GENERATED from the modules that include/weir/all.h lists, by `make single`. Edit those, not this.
 *
 * Use: #include "weir.h" wherever you need it. In one C file of the program, write
 *          #define WEIR_IMPLEMENTATION
 *      before the include. Compile and link with -pthread. WEIR_STATIC makes every function static.
 *
 * Contents (search for "==== weir/"; the implementation parts follow in the same order)
 *   core/config.h        what a program may define; the macros that everything is written in
 *   core/system.h        the C library's symbols that -std=c11 hides
 *   core/error.h         error codes and what they mean
 *   core/atomic.h        atomic operations with the order in their name
 *   core/cpu.h           pause, yield, pinning
 *   core/memory.h        allocation hooks
 *   core/time.h          the monotonic clock
 *   core/random.h        fair choices
 *   core/hash.h          a number for some bytes
 *   core/futex.h         sleep until a word changes
 *   core/fence.h         the fence that only the sleeping side pays for
 *   core/thread.h        starting and joining threads
 *   park/lock.h          a small futex lock for slow paths
 *   park/roll.h          the threads that the library has started
 *   park/backoff.h       spin, yield, park: the four strategies
 *   park/parker.h        how one thread sleeps, and is claimed exactly once
 *   park/waitq.h         who sleeps on one side of a channel
 *   ring/choice.h        the four kinds of channel, and which ring each stands on
 *   ring/ck_include.h    <ck_ring.h>, in C and C++
 *   ring/base.h          what all rings share; how one is closed
 *   ring/spsc.h          one producer, one consumer: cached indices
 *   ring/slots.h         many: a stamp per slot
 *   ring/ck.h            Concurrency Kit's ck_ring
 *   ring/ring.h          one interface to the three
 *   ctx/hook.h           functions that run when a context ends
 *   ctx/ctx.h            cancellation, deadlines and values down a tree
 *   ctx/wait.h           one wait, bounded by a context and a deadline
 *   ctx/sleep.h          sleeping within a context
 *   chan/channel.h       a ring and two queues
 *   chan/handle.h        typed handles
 *   chan/lane.h          capacity 0, both awake: one cache line
 *   chan/rendezvous.h    capacity 0: from hand to hand
 *   chan/make.h          make, close, free, len, cap
 *   chan/stats.h         a channel's numbers
 *   chan/promise.h       a value that arrives once and stays
 *   chan/timer.h         channels on which the time arrives
 *   chan/op.h            one operation on a channel of any flavor
 *   chan/wait.h          what an operation does when the ring is not ready
 *   chan/send_recv.h     send, recv, try, until, send_latest
 *   chan/inplace.h       reserve and commit, peek and release
 *   chan/batch.h         send_n, recv_n
 *   chan/case.h          one case of a select
 *   chan/select.h        whichever of several can go on first
 *   sync/line.h          who waits, in order, for what is given under a lock
 *   sync/once.h          done once, whoever comes first
 *   sync/waitgroup.h     until so many are done
 *   sync/sem.h           so many units, first come first served
 *   obs/hist.h           a latency histogram
 *   obs/text.h           text for formats that others read
 *   obs/prometheus.h     metrics, as Prometheus scrapes them
 *   obs/tally.h          the numbers of channels for Prometheus, and the way for others
 *   obs/correlation.h    a number that contexts carry along
 *   obs/trace.h          what ran when, as Chrome and Perfetto draw it
 *   obs/threads.h        prints that roll
 *   task/runner.h        where tasks run
 *   task/group_queue.h   tasks of a group that nobody has taken yet
 *   task/group.h         tasks that end together: the first error, joined
 *   task/future.h        a value that is not there yet
 *   task/single.h        who asks for the same at the same time shares one run
 *   task/objpool.h       objects to be used again
 *   task/job.h           what is asked for a job, what is told of it, how it gives up
 *   task/pool_queue.h    jobs that wait, by priority
 *   task/pool_job.h      what becomes of a job
 *   task/pool_worker.h   who runs them
 *   task/pool.h          a pool of workers
 *   task/pool_metrics.h  its numbers for Prometheus
 *   task/pool_map.h      an array in parallel
 *   guard/clock.h        the clock by which guards decide; a test's own
 *   guard/rate.h         events a second as whole numbers
 *   guard/bucket.h       a token bucket in one word
 *   guard/limiter.h      so many events a second, with bursts
 *   guard/leaky.h        events evenly spaced
 *   guard/limiter_map.h  a limiter for each key
 *   guard/rolling.h      how many of the latest calls have failed
 *   guard/circuit.h      what a circuit breaker is told, and what it tells
 *   guard/breaker.h      refuses calls of what fails, for a while
 *   guard/window.h       so many events in a window of time: fixed, sliding
 *   guard/adaptive.h     a limit of concurrency that follows what is observed
 *   guard/budget.h       retries stay under a share of the requests
 *   guard/retry.h        called again, when it fails in a way that may pass
 *   guard/policy.h       guards around a call, in the order listed
 *   flow/dead_letter.h   where a stage puts the items that have failed for good
 *   flow/option.h        what a stage can be told: threads, order, guards, errors
 *   flow/desk.h          where a worker of a stage works: what is counted and guarded
 *   flow/loop.h          generate, map, sink, fan-out, fan-in as inline loops
 *   flow/room.h          the desks of a stage, the rooms of a pipeline
 *   flow/pipeline.h      the threads of a pipeline, and how it ends
 *   flow/stage.h         what every stage is made of; order among several workers
 *   flow/stages.h        the stages of a pipeline, one call each
 *   flow/filter.h        filter and flat-map: fewer values, or more
 *   flow/fuse.h          several maps in one thread
 *   flow/throttle.h      a limiter as a stage
 *   flow/tee.h           every value to each output
 *   flow/partition.h     by key: same key, same worker
 *   flow/merge.h         many inputs, each as often; or by order of their values
 *   flow/batch.h         so many values at a time, or what has come in time
 *   flow/window.h        a result for each span of values, or of time
 *   flow/progress.h      how far a pipeline is, and which stage holds it up
 *   flow/bar.h           that as a line, on a terminal
 *   flow/metrics.h       that for Prometheus
 *   flow/generator.h     a lazy sequence
 *   run/signal.h         signals, counted in a word
 *   run/shutdown.h       how a program stops: signals, phases, a report
 */

#ifndef WEIR_H
#define WEIR_H

/* ==== weir/core/config.h ==== */

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

/* ==== weir/core/system.h ==== */

/* weir/core/system.h: how the library reaches the operating system.
 *
 * -std=c11 hides clock_gettime and syscall in the C library's headers, and whether they are visible depends on what the user
 * included before. So both are declared here under private names that are bound to the C library's symbols by assembler label:
 * no feature-test macro is needed, and nothing can clash with a declaration of the same function elsewhere.
 */
#ifndef WEIR_CORE_SYSTEM_H
#define WEIR_CORE_SYSTEM_H


#endif /* WEIR_CORE_SYSTEM_H */

/* ==== weir/core/error.h ==== */

/* weir/core/error.h: how calls report failure.
 *
 * A call that can fail returns 0 or a positive errno value, as the pthread calls do; errno itself is left alone. What each value
 * means, everywhere in the library:
 *
 *   EPIPE       the channel is closed (for a receive: and drained)
 *   EAGAIN      a try-operation would have to wait
 *   EBUSY       all places are taken (a half-open breaker); somebody else has it, or it has begun (a shutdown)
 *   EIO         a file took not all that was written
 *   ETIMEDOUT   a deadline has passed
 *   ECANCELED   the context was cancelled
 *   ENOMEM      no memory; nothing was changed and nothing leaked
 *   EINVAL      misuse that can be told at run time
 *   EOVERFLOW   a size or count that does not fit
 *   ENOTRECOVERABLE  the parent process made this channel, and its threads are not in this child (core/thread.h)
 *   ENOTSUP     this ring cannot do that (in-place reading from a ck ring with several consumers)
 */
#ifndef WEIR_CORE_ERROR_H
#define WEIR_CORE_ERROR_H


#include <errno.h>

/* What an error code of this library means, in a few words; "error" for one that is not its own. Any thread; wait-free. */
WEIR_API const char *weir_error_text(int code);

/* Never leaves the library: a peer stands between claiming a place in the ring and publishing it. The answer to "is it full, is it
 * empty" is not known until that peer has taken a few more steps. */
#define WEIR__BUSY (-1)

#endif /* WEIR_CORE_ERROR_H */

/* ==== weir/core/atomic.h ==== */

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

/* ==== weir/core/cpu.h ==== */

/* weir/core/cpu.h: what a thread tells the processor and the scheduler while it waits. */
#ifndef WEIR_CORE_CPU_H
#define WEIR_CORE_CPU_H


#include <sched.h>

/* One turn of a spin loop: lets a sibling hardware thread run, and saves power. Some 20 to 60 ns on today's x86. */
#ifndef WEIR_CPU_PAUSE
#if defined(__x86_64__) || defined(__i386__)
#define WEIR_CPU_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__) || defined(__arm__)
#define WEIR_CPU_PAUSE() __asm__ __volatile__("yield" ::: "memory")
#else
#define WEIR_CPU_PAUSE() __asm__ __volatile__("" ::: "memory")
#endif
#endif

/* Gives the rest of this thread's time slice away: about 0.3 µs when nobody else wants the core. */
#ifndef WEIR_CPU_YIELD
#define WEIR_CPU_YIELD() ((void)sched_yield())
#endif

/* Pins the calling thread to one CPU, counted from 0. EINVAL: there is no such CPU, or this process may not run on it.
 * Any thread, for itself. Source: sched_setaffinity(2). */
WEIR_API int weir_pin(int cpu);

/* How many CPUs the calling thread may run on; at least 1. Source: sched_getaffinity(2). */
WEIR_API int weir_cpu_count(void);

#endif /* WEIR_CORE_CPU_H */

/* ==== weir/core/memory.h ==== */

/* weir/core/memory.h: the two allocation hooks. Nothing is allocated after construction on a path that moves data. */
#ifndef WEIR_CORE_MEMORY_H
#define WEIR_CORE_MEMORY_H


#if defined(WEIR_ALLOC) != defined(WEIR_FREE)
#error "define both WEIR_ALLOC(align, size) and WEIR_FREE(ptr), or neither"
#endif

#ifndef WEIR_ALLOC
#include <stdlib.h>
/* align: a power of two. Returns NULL when memory is out. aligned_alloc wants a size that is a multiple of the alignment. */
#define WEIR_ALLOC(align, size) aligned_alloc((align), ((size) + (align)-1) / (align) * (align))
#define WEIR_FREE(ptr) free(ptr)
#endif

#endif /* WEIR_CORE_MEMORY_H */

/* ==== weir/core/time.h ==== */

/* weir/core/time.h: time is a number of nanoseconds.
 *
 * weir_ns is both a duration and a point on the monotonic clock, which starts at boot and never steps; setting the wall clock
 * changes nothing here. A deadline is a point; WEIR_FOREVER is the point that never comes.
 */
#ifndef WEIR_CORE_TIME_H
#define WEIR_CORE_TIME_H


typedef int64_t weir_ns;

#define WEIR_NS(n) ((weir_ns)(n))
#define WEIR_US(n) ((weir_ns)(n)*1000)
#define WEIR_MS(n) ((weir_ns)(n)*1000000)
#define WEIR_SEC(n) ((weir_ns)(n)*1000000000)
#define WEIR_FOREVER INT64_MAX

/* Now, on the monotonic clock. Any thread; wait-free; about 20 ns, no system call. Source: clock_gettime(2), CLOCK_MONOTONIC. */
WEIR_API weir_ns weir_now(void);

/* Processor time that the threads of this process have used, together. A system call. */
WEIR_API weir_ns weir__time_used(void);

/* The point `duration` after `start` (before it, for a negative one); a sum that does not fit stops at the end of the range, and
 * WEIR_FOREVER is that end. Any thread. */
static inline weir_ns weir_time_add(weir_ns start, weir_ns duration)
{
    if (duration > 0 && start > WEIR_FOREVER - duration)
        return WEIR_FOREVER;
    if (duration < 0 && start < INT64_MIN - duration)
        return INT64_MIN;
    return start + duration;
}

#endif /* WEIR_CORE_TIME_H */

/* ==== weir/core/random.h ==== */

/* weir/core/random.h: random numbers for choices that should be fair, not secret.
 *
 * xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016), one state per thread, seeded
 * from its address and the clock. A range is cut out by multiplication (D. Lemire, 2019), whose bias for ranges below 2^16 is below 2^-16.
 */
#ifndef WEIR_CORE_RANDOM_H
#define WEIR_CORE_RANDOM_H


/* A number in [0, below), each equally likely; below > 0. Any thread; wait-free. */
WEIR_API uint32_t weir__random_below(uint32_t below);

/* A number in [0, 1). As above. */
static inline double weir__random_share(void)
{
    return (double)weir__random_below(UINT32_MAX) / (double)UINT32_MAX;
}

#endif /* WEIR_CORE_RANDOM_H */

/* ==== weir/core/hash.h ==== */

/* weir/core/hash.h: a 64-bit number for some bytes, which nobody can aim at who does not know the seed.
 *
 * SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012). Keys often come from outside (addresses, names); with
 * a hash that can be computed there, a flood of keys that collide is easily made. The test has the paper's own vector.
 */
#ifndef WEIR_CORE_HASH_H
#define WEIR_CORE_HASH_H


#include <string.h>

/* The number of `size` bytes under a seed of two words. Any thread; wait-free. */
WEIR_API uint64_t weir_hash(const uint64_t seed[2], const void *bytes, size_t size);

#endif /* WEIR_CORE_HASH_H */

/* ==== weir/core/futex.h ==== */

/* weir/core/futex.h: sleep until a word changes.
 *
 * WEIR_FUTEX_WAIT(word, value, deadline) sleeps while *word == value, until a wake, the deadline (a point on the monotonic clock),
 * a signal, or for no reason at all; it returns ETIMEDOUT or 0, and the caller looks at the word again. Source: futex(2),
 * FUTEX_WAIT_BITSET, which is the variant that takes an absolute time.
 *
 * WEIR_FUTEX_WAKE(word, count) wakes up to count sleepers. It uses the word's address alone, never its memory: a waker may call it
 * after the sleeper has gone and its stack frame with it. The worst outcome is a spurious wake-up of some other futex that came to
 * stand at the same address, and everybody here looks at his word again after waking.
 */
#ifndef WEIR_CORE_FUTEX_H
#define WEIR_CORE_FUTEX_H


WEIR_API int weir__futex_wait(weir__atomic_u32 *word, uint32_t value, weir_ns deadline);
WEIR_API void weir__futex_wake(weir__atomic_u32 *word, int count);

#ifndef WEIR_FUTEX_WAIT
#define WEIR_FUTEX_WAIT(word, value, deadline) weir__futex_wait((word), (value), (deadline))
#define WEIR_FUTEX_WAKE(word, count) weir__futex_wake((word), (count))
#endif

#define WEIR__WAKE_ALL INT32_MAX

#endif /* WEIR_CORE_FUTEX_H */

/* ==== weir/core/fence.h ==== */

/* weir/core/fence.h: a full fence that only the side that sleeps pays for.
 *
 * The problem
 *   Whoever publishes a value must then look whether somebody sleeps; whoever goes to sleep must say so and then look at the ring
 *   once more. Store, then load, on both sides: each needs a full fence between, or both may read the old state and the sleeper is
 *   never woken. That fence costs 5 ns, which is more than the rest of a single-producer send.
 *
 * The way out
 *   WEIR_FENCE_LIGHT, on the side that publishes, only keeps the compiler from moving the load up. WEIR_FENCE_HEAVY, on the side that
 *   sleeps, is membarrier(2): it has every running thread of the process execute a full fence before it returns. For each publisher
 *   that fence fell either before its store, and then its later load sees the sleeper; or after it, and then the sleeper's later
 *   look sees the store. Between the two it may fall as well: both see. "Both miss" is impossible, as with two fences.
 *   Cost of the heavy side: 0.2 to 10 µs, depending on what the other cores do. It is paid before a futex sleep, never else.
 *
 * Where membarrier is missing (an old kernel, a seccomp filter, WEIR_FENCE_SYMMETRIC)
 *   A fast path cannot ask at each call. But it does look at one word, "somebody wants attention" (park/waitq.h), and a queue made
 *   while the call is missing has the WEIR__ATTENTION_FENCE bit set in it for good. That sends every publisher through the slow
 *   side of the look, where a real fence stands; and the heavy fence is a plain one too.
 *   Not done: a global flag tested next to each light fence: one more load and branch in every send for a case that is rare.
 */
#ifndef WEIR_CORE_FENCE_H
#define WEIR_CORE_FENCE_H


WEIR_API void weir__fence_heavy(void);

#ifndef WEIR_FENCE_LIGHT
#define WEIR_FENCE_LIGHT() __asm__ __volatile__("" ::: "memory")
#define WEIR_FENCE_HEAVY() weir__fence_heavy()
#endif

/* Whether the asymmetric pair works in this process. The first call asks the kernel. Any thread. */
WEIR_API bool weir__fence_asymmetric(void);

#endif /* WEIR_CORE_FENCE_H */

/* ==== weir/core/thread.h ==== */

/* weir/core/thread.h: starting and joining threads, and what is left of them after a fork.
 *
 * fork(2) copies the memory and one thread. What the others were doing stays half done in the copy for ever: a place claimed and not published,
 * a lock held. So a channel remembers by how many forks this process differs from its first ancestor, and in a child the calls on what
 * its parent had made fail with ENOTRECOVERABLE instead of waiting for a thread that is not there (chan/channel.h).
 */
#ifndef WEIR_CORE_THREAD_H
#define WEIR_CORE_THREAD_H


#include <pthread.h>

#ifndef WEIR_THREAD_START
typedef pthread_t weir__thread;
/* 0, or EAGAIN when the system refuses another thread. */
#define WEIR_THREAD_START(thread, fn, arg) pthread_create((thread), NULL, (fn), (arg))
#define WEIR_THREAD_JOIN(thread) ((void)pthread_join((thread), NULL))
/* A number that no other living thread has. */
#define WEIR_THREAD_SELF() ((uintptr_t)pthread_self())
#endif
#ifndef WEIR_THREAD_CURRENT
/* The calling thread, as WEIR_THREAD_JOIN takes it. */
#define WEIR_THREAD_CURRENT() pthread_self()
#endif
#ifndef WEIR_THREAD_NUMBER
/* The system's number of the calling thread: not 0, and no other living thread's; and whether such a thread of this process lives. Sources: gettid(2),
 * tgkill(2). */
#define WEIR_THREAD_NUMBER() weir__system_call(SYS_gettid, 0, 0, 0, 0, 0, 0)
#define WEIR_THREAD_LIVES(number)                                                                                      \
    (weir__system_call(SYS_tgkill, weir__system_call(SYS_getpid, 0, 0, 0, 0, 0, 0), (long)(number), 0, 0, 0, 0) == 0)
#endif
#ifndef WEIR_THREAD_SET_NAME
#define WEIR_THREAD_SET_NAME(name) ((void)weir__system_call(SYS_prctl, 15 /* PR_SET_NAME */, (long)(name), 0, 0, 0, 0))
#endif
#ifndef WEIR_THREAD_GET_NAME
/* Into 16 bytes. */
#define WEIR_THREAD_GET_NAME(name) ((void)weir__system_call(SYS_prctl, 16 /* PR_GET_NAME */, (long)(name), 0, 0, 0, 0))
#endif
#ifndef WEIR_PROCESS_NUMBER
#define WEIR_PROCESS_NUMBER() weir__system_call(SYS_getpid, 0, 0, 0, 0, 0, 0)
#endif
#ifndef WEIR_THREAD_DETACH
#define WEIR_THREAD_DETACH(thread) ((void)pthread_detach(thread))
#endif
#ifndef WEIR_AT_FORK
/* fn will be called in each child process, by its only thread. Source: pthread_atfork(3). */
#define WEIR_AT_FORK(fn) ((void)pthread_atfork(NULL, NULL, (fn)))
#endif

/* Names the calling thread, as debuggers and top show it; 15 characters are kept. Any thread, for itself. Source: prctl(2). */
WEIR_API void weir_thread_name(const char *name);

/* How many forks lie between this process and the ancestor that first asked. The first call begins to count: it comes from whoever makes
 * something that remembers the number. Any thread; wait-free. */
WEIR_API uint32_t weir__fork_count(void);
/* Whether the process that saw this number was another one. */
WEIR_API bool weir__fork_passed(uint32_t count);

#endif /* WEIR_CORE_THREAD_H */

/* ==== weir/park/lock.h ==== */

/* weir/park/lock.h: the small lock behind queues of sleepers and trees of contexts. No fast path ever takes it.
 *
 * Three states, after Ulrich Drepper, "Futexes Are Tricky" (2011), mutex 2: 0 free, 1 held, 2 held and somebody may sleep. A holder
 * that finds 2 when it lets go wakes one. Critical sections here are some ten instructions, so a taker first spins a little.
 * Progress: waits for a peer, then parks. Not recursive.
 */
#ifndef WEIR_PARK_LOCK_H
#define WEIR_PARK_LOCK_H


typedef weir__atomic_u32 weir__lock;

WEIR_API void weir__lock_slow(weir__lock *l);

static inline void weir__lock_take(weir__lock *l)
{
    uint32_t free_state = 0;
    if (WEIR_UNLIKELY(!weir__cas_acq(l, &free_state, 1)))
        weir__lock_slow(l);
}

static inline void weir__lock_release(weir__lock *l)
{
    if (WEIR_UNLIKELY(weir__swap_rel(l, 0) == 2))
        WEIR_FUTEX_WAKE(l, 1);
}

#endif /* WEIR_PARK_LOCK_H */

/* ==== weir/park/roll.h ==== */

/* weir/park/roll.h: the roll of the threads that the library has started: what each is called, what it runs, and what it sleeps on since when.
 *
 * What a goroutine profile is for. A thread writes down what it is about to sleep on when it parks, under a lock of its own that only somebody who
 * prints the roll ever contends for; a thread that never parks never comes by here. Threads that the program starts itself are not on the roll.
 *
 * Who owns the memory
 *   An entry lies on its thread's stack. It is linked and unlinked under the roll's lock; what it says is under its own, so that a
 *   name that it points to (a channel's, say) is not freed while it is read: the thread takes it down before its call returns.
 *
 * WEIR_NO_ROLL, defined, leaves all of it out: weir_thread_count is then 0.
 */
#ifndef WEIR_PARK_ROLL_H
#define WEIR_PARK_ROLL_H


typedef struct weir__roll_entry {
    struct weir__roll_entry *next, *prev;
    weir__lock lock;  /* of all that follows */
    const char *name; /* the thread's */
    const char *task; /* what it runs at present; NULL: nothing */
    /* what it sleeps in, and the name of what it sleeps on; NULL: it does not sleep, there is none */
    const char *what, *on;
    weir_ns since;
    long id; /* the system's */
} weir__roll_entry;

/* How many threads the library has started that have not ended. Any thread; wait-free. */
WEIR_API int weir_thread_count(void);
/* For a task: what the roll says that the calling thread runs, until the task returns or says something else; NULL: nothing. The text is kept as a pointer. Does
 * nothing in a thread that is not the library's. */
WEIR_API void weir_thread_task(const char *task);

/* What a wait is called on the roll: in what, on what; both may be NULL. */
typedef struct weir__roll_label {
    const char *what, *on;
} weir__roll_label;

#ifdef WEIR_NO_ROLL
#define weir__roll_start(thread, fn, arg) WEIR_THREAD_START((thread), (fn), (arg))
#define weir__roll_enter(entry, name) ((void)(entry), (void)(name))
#define weir__roll_leave(entry) ((void)(entry))
#define weir__roll_sleeps(label) ((void)(label))
#define weir__roll_wakes() ((void)0)
#else
/* WEIR_THREAD_START for a function that begins with enter and ends with leave. */
WEIR_API int weir__roll_start(weir__thread *thread, void *(*fn)(void *), void *arg);
WEIR_API void weir__roll_enter(weir__roll_entry *entry, const char *name);
WEIR_API void weir__roll_leave(weir__roll_entry *entry);
/* The calling thread is about to sleep, and has woken. label: may be NULL if the thread is not on the roll. */
WEIR_API void weir__roll_sleeps(const weir__roll_label *label);
WEIR_API void weir__roll_wakes(void);
/* Calls fn for each entry, locked: fn may not wait for anything of the library's. */
WEIR_API void weir__roll_each(void (*fn)(const weir__roll_entry *entry, void *arg), void *arg);
#endif

/* Joins a thread, which may take as long as that one runs; on: what it is called. */
static inline void weir__roll_join(weir__thread thread, const char *on)
{
    weir__roll_label label;
    label.what = "join";
    label.on = on;
    weir__roll_sleeps(&label);
    WEIR_THREAD_JOIN(thread);
    weir__roll_wakes();
}

#endif /* WEIR_PARK_ROLL_H */

/* ==== weir/park/backoff.h ==== */

/* weir/park/backoff.h: the three phases of a wait, and the four strategies.
 *
 *   spin with pause    the peer runs on another core and needs a moment        (a turn: 20 to 60 ns)
 *   sched_yield        the peer wants this very core                            (a turn: 0.3 µs and more)
 *   park on a futex    nothing is to be expected soon                           (30 µs round trip, and a heavy fence)
 *
 * The middle phase is the one that is easily left out. With more threads than cores, a spinner occupies the core that the peer it
 * waits for would need, and a sleeper costs two system calls and a context switch per value; spin-then-park alone moved 2 million
 * values a second through a channel with one producer and four consumers on two cores, with four yields between 75 million.
 *
 * A yield is dear where a stranger has the core, a program that computes, or a thread of our own that does: the scheduler gives it a slice, and the one
 * that has yielded is back after 1 to 4 ms, sixteen times per wait. A pipeline of 8 workers took 130 ms for 400 values beside one busy program a core, and 9
 * when all parked at once: whoever is woken is let in soon. So a thread whose yields take a millisecond, twice in a row, parks for as long as two of them
 * take, then tries again (18 ms); unless this process has had nearly all of its processors meanwhile. Then the slices went to threads of its own, which move
 * values all the while and had better not be asked for wake-ups: without the exception 64 threads moved 149 million values a second on two cores, with it 189.
 * Rejected: barring yields in all threads at once. All hear sooner, but those on the other cores did well: the same 64 threads moved 115 to 122 million.
 *
 *   WEIR_WAIT_ADAPTIVE  spin, yield, park: the default
 *   WEIR_WAIT_SPIN      spin for ever: lowest latency, for a thread that owns its core
 *   WEIR_WAIT_YIELD     spin, then yield for ever: no system call but sched_yield, shares its core
 *   WEIR_WAIT_PARK      park at once: for waits that are known to be long; frees the core
 *
 * A thread under WEIR_WAIT_SPIN or _YIELD never sleeps, so its peers never pay for waking it.
 */
#ifndef WEIR_PARK_BACKOFF_H
#define WEIR_PARK_BACKOFF_H


#ifndef WEIR_SPIN_TURNS
#define WEIR_SPIN_TURNS 32
#endif
#ifndef WEIR_YIELD_TURNS
#define WEIR_YIELD_TURNS 16
#endif
#ifndef WEIR_BURST_TURNS
#define WEIR_BURST_TURNS 15
#endif

/* From where on a yield is dear: no wake-up takes so long. And the longest time without one: a slice may have been a suspension, and clocks are set. */
#define WEIR__YIELD_DEAR WEIR_MS(1)
#define WEIR__YIELD_BAR WEIR_SEC(1)

typedef enum weir_wait_strategy {
    WEIR_WAIT_ADAPTIVE = 0,
    WEIR_WAIT_SPIN,
    WEIR_WAIT_YIELD,
    WEIR_WAIT_PARK
} weir_wait_strategy;

typedef struct weir__backoff {
    int strategy;
    unsigned turn; /* turns taken since the wait began, or since the last wake-up */
} weir__backoff;

/* Whether the next turn would be in the phase of spinning: too short to look at a clock. (`turn + 1 <=`, because compilers warn of
 * `turn < 0`, which a program without that phase would get.) */
static inline bool weir__backoff_spinning(const weir__backoff *b)
{
    return b->strategy == WEIR_WAIT_SPIN || (b->strategy != WEIR_WAIT_PARK && b->turn + 1 <= WEIR_SPIN_TURNS);
}

/* Yields, unless this thread has found that to be dear. Returns whether it has. Any thread; two readings of the clock and a system call. */
WEIR_API WEIR_NOINLINE bool weir__backoff_yield(void);

/* Takes one turn. Returns false, at once, when it is time to park. */
static inline bool weir__backoff_turn(weir__backoff *b)
{
    if (weir__backoff_spinning(b))
        WEIR_CPU_PAUSE();
    else if (b->strategy == WEIR_WAIT_YIELD)
        WEIR_CPU_YIELD();
    else if (b->strategy != WEIR_WAIT_ADAPTIVE || b->turn + 1 > WEIR_SPIN_TURNS + WEIR_YIELD_TURNS ||
             !weir__backoff_yield())
        return false;
    b->turn++;
    return true;
}

/* Lets a peer that is at work get some values ahead, so that the two do not fight for each one's cache line. */
static inline void weir__backoff_burst(void)
{
    for (int i = 0; i < WEIR_BURST_TURNS; i++)
        WEIR_CPU_PAUSE();
}

/* Stays away from a position that other threads move, after the lost-th claim in a row that one of them was faster at: 8 pauses, doubled
 * each time up to 128 (3 µs).
 * Two producers that claim in lockstep on two cores hand the cache lines of the tail and of the slots over for every single value:
 * 20 million values a second where one alone does 160. While one stays away the other makes a run of values at full speed; and as the
 * two then fill the ring at different speeds, they and the consumers fall out of step, so that on both cores something is to be done.
 * Eight pauses without the doubling left it in step in one run out of four. Yielding worked as well, but is a system call.
 * Source: exponential backoff, after T. E. Anderson, "The Performance of Spin Lock Alternatives" (1990). */
WEIR_API WEIR_NOINLINE void weir__backoff_lost(unsigned lost);

/* Waits, without sleeping, for a peer that is a few instructions from done. That peer may have lost its core: hence the yield. */
static inline void weir__backoff_peer(weir__backoff *b)
{
    b->strategy = WEIR_WAIT_YIELD;
    (void)weir__backoff_turn(b);
}

#endif /* WEIR_PARK_BACKOFF_H */

/* ==== weir/park/parker.h ==== */

/* weir/park/parker.h: how one thread waits to be woken, and how it is claimed exactly once.
 *
 * Overview
 *   A parker is one word on the waiting thread's stack, and is the futex that it sleeps on. Whoever wants to wake the thread first
 *   claims it, by changing the word into the ticket of the queue in which it found the thread; there is one winner, and the
 *   waiting thread reads from the ticket who that was. A thread that stops waiting by itself (deadline) claims itself.
 *
 *       WAITING ──► SLEEPING            the owner, before it sleeps: only then does a waker owe a system call
 *          │            │
 *          ├────────────┼─► ticket                  claimed: a hint to try again
 *          ├────────────┼─► ticket|HELD ─► ticket   claimed by a peer that moves a value first, then lets go
 *          └────────────┴─► CANCELLED               by the owner; fails if a waker came first
 *
 * Who owns the memory
 *   The owner, until it returns. A waker touches the parker only while it holds the lock of a queue in which a node of that
 *   parker is linked, or while the parker is HELD by it; unlinking takes the same lock, and the owner waits while it is HELD. The
 *   futex wake comes after the lock is released, and uses the address alone (core/futex.h).
 *   Not done: a parker in thread-local storage. It would be one more thing to tear down, and a thread waits in one place at a time
 *   anyway.
 */
#ifndef WEIR_PARK_PARKER_H
#define WEIR_PARK_PARKER_H


#define WEIR__PARKER_WAITING 0U
#define WEIR__PARKER_SLEEPING 1U
#define WEIR__PARKER_FIRST_TICKET 2U
#define WEIR__PARKER_HELD (1U << 31)
#define WEIR__PARKER_CANCELLED (WEIR__PARKER_HELD - 1)

typedef struct weir__parker {
    weir__atomic_u32 state;
} weir__parker;

/* True for the one caller that wins; *wake is then the futex to wake, or NULL if the owner is awake. Release: what the waker
 * did before is visible to the owner that reads the ticket. No acquire: what the owner tells its wakers, it tells under a queue's lock.
 * SLEEPING is never left but by a claim, so two attempts decide. */
static inline bool weir__parker_claim(weir__parker *p, uint32_t ticket, weir__atomic_u32 **wake)
{
    uint32_t seen = WEIR__PARKER_WAITING;
    *wake = NULL;
    if (weir__cas_rel(&p->state, &seen, ticket))
        return true;
    if (seen != WEIR__PARKER_SLEEPING || !weir__cas_rel(&p->state, &seen, ticket))
        return false;
    *wake = &p->state;
    return true;
}

/* Ends what a claim with WEIR__PARKER_HELD began: the last touch. */
static inline void weir__parker_let_go(weir__parker *p, uint32_t ticket)
{
    weir__store_rel(&p->state, ticket);
}

/* The owner gives up. False: a waker was faster. */
static inline bool weir__parker_cancel(weir__parker *p)
{
    weir__atomic_u32 *own;
    return weir__parker_claim(p, WEIR__PARKER_CANCELLED, &own);
}

/* Waits, with the given strategy, until claimed or until the deadline; label: what this is called on the roll of threads (NULL: the thread is
 * not on it).
 * Returns the ticket, or WEIR__PARKER_CANCELLED once the deadline has passed. */
WEIR_API uint32_t weir__parker_wait(weir__parker *p, int strategy, weir_ns deadline, const weir__roll_label *label);

#endif /* WEIR_PARK_PARKER_H */

/* ==== weir/park/waitq.h ==== */

/* weir/park/waitq.h: who sleeps on one side of a channel.
 *
 * Overview
 *   A waitq is a FIFO of sleeping threads: a sender that finds the ring full joins the channel's `senders`, a receiver that finds it
 *   empty joins its `receivers`. Whoever frees or fills a slot wakes the first of them. Joining and waking take a small lock. Looking
 *   whether anyone is there does not, and that look, at one word, is all that a fast path ever does.
 *
 * The word: attention
 *       bit 31  CLOSED   the channel has been closed (set in `receivers` only, for rings with one producer; ring/spsc.h)
 *       bit 30  FENCE    no asymmetric fence here: fence, then look again (core/fence.h)
 *       0..29            how many sleep
 *   Zero means: nothing to do.
 *
 * Who may call what at once
 *                    join   leave   wake   look
 *       join          L       L      L      -          L: serialized by the queue's lock      -: any thread, no lock
 *       wake          L       L      L      -
 *
 * Invariants
 *   1. A node is linked in at most one queue. It lives on the sleeper's stack and is unlinked before that thread returns: by its
 *      waker, under the lock, or by its owner in leave.
 *   2. A waker unlinks first and claims last, both under the lock; after a successful claim it touches neither node nor parker.
 *   3. count == 0 in attention implies that the list is empty, whenever the lock is free.
 *
 * Why no wake-up is lost
 *   Without (A) and (B):
 *       receiver (parking)                    sender (publishing)
 *       ring looks empty                      publish value
 *                                             attention == 0, so wakes nobody
 *       attention = 1
 *       sleeps for ever
 *   With them:
 *       attention = 1  (join)                 publish value
 *       (A) heavy fence                       (B) light fence
 *       look at the ring again                look at attention
 *   One side writes X then reads Y, the other writes Y then reads X, each with a full fence between. "Both read the old value" is
 *   the one outcome that two full fences forbid: either the receiver sees the value or the sender sees the receiver. core/fence.h
 *   says how (B) can be free.
 *
 * Waking is a hint, not a hand-over
 *   A woken thread tries its operation again like anybody else, and a faster thread may have taken the slot: then it waits again.
 *   A hand-over, as in Go, would make every value that meets a sleeper cost a context switch. The price is a duty: a
 *   wake-up that was spent on a thread that did not need it must be passed on (chan/wait.h).
 */
#ifndef WEIR_PARK_WAITQ_H
#define WEIR_PARK_WAITQ_H


#define WEIR__ATTENTION_CLOSED (1U << 31)
#define WEIR__ATTENTION_FENCE (1U << 30)
#define WEIR__ATTENTION_COUNT (WEIR__ATTENTION_FENCE - 1)

typedef struct weir__waiter {
    struct weir__waiter *next, *prev; /* guarded by the queue's lock */
    weir__parker *parker;
    uint32_t ticket; /* what to claim the parker with */
    bool linked;     /* guarded by the queue's lock */
    int status;      /* rendezvous: how it ended, 0 or EPIPE; written by the peer that holds the parker */
    const void *src; /* rendezvous: a sender's value, in the sender's memory */
    void *dst;       /* rendezvous: where a receiver wants it; may be NULL */
} weir__waiter;

static inline void weir__waiter_init(weir__waiter *w, weir__parker *parker, uint32_t ticket)
{
    w->next = w->prev = NULL;
    w->parker = parker;
    w->ticket = ticket;
    w->linked = false;
    w->status = 0;
    w->src = NULL;
    w->dst = NULL;
}

/* A doubly linked FIFO of waiters, without a lock of its own: a channel's queue guards it, and so does a context tree. */
typedef struct weir__waiter_list {
    weir__waiter *first, *last;
} weir__waiter_list;

typedef struct weir__waitq {
    weir__atomic_u32 attention;
    weir__lock lock;
    weir__waiter_list list;
    uint64_t slept; /* how many have ever joined; guarded by lock */
} weir__waitq;

static inline void weir__waiter_link(weir__waiter_list *l, weir__waiter *w)
{
    w->next = NULL;
    w->prev = l->last;
    if (l->last != NULL)
        l->last->next = w;
    else
        l->first = w;
    l->last = w;
    w->linked = true;
}

/* For one that has waited longer than all of them, elsewhere. */
static inline void weir__waiter_link_first(weir__waiter_list *l, weir__waiter *w)
{
    w->prev = NULL;
    w->next = l->first;
    if (l->first != NULL)
        l->first->prev = w;
    else
        l->last = w;
    l->first = w;
    w->linked = true;
}

static inline void weir__waiter_unlink(weir__waiter_list *l, weir__waiter *w)
{
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        l->first = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    else
        l->last = w->prev;
    w->linked = false;
}

/* Takes the longest sleeper off the list and claims it; those whose parkers somebody else has claimed are unlinked on the way, each
 * counted in *unlinked. False when nobody is left; else *wake is the futex to wake, or NULL if that thread is awake. */
static inline bool weir__waiter_claim_first(weir__waiter_list *l, uint32_t *unlinked, weir__atomic_u32 **wake)
{
    weir__waiter *w;
    while ((w = l->first) != NULL) {
        weir__waiter_unlink(l, w);
        ++*unlinked;
        if (weir__parker_claim(w->parker, w->ticket, wake)) /* the last touch: from here on the sleeper may be gone */
            return true;
    }
    return false;
}

WEIR_API void weir__waitq_init(weir__waitq *q);

/* Puts w, whose parker and ticket are set, at the end of the queue. The caller owes (A), WEIR_FENCE_HEAVY, and a last look. */
WEIR_API void weir__waitq_join(weir__waitq *q, weir__waiter *w);

/* Takes w off, if nobody has yet. Afterwards no other thread knows of it. */
WEIR_API void weir__waitq_leave(weir__waitq *q, weir__waiter *w);

/* Wakes up to `count` of the longest sleepers; WEIR__WAKE_ALL for all. Any thread. */
WEIR_API WEIR_COLD void weir__waitq_wake(weir__waitq *q, uint32_t count);

/* Sets bits in attention for good. */
WEIR_API void weir__waitq_mark(weir__waitq *q, uint32_t bits);

/* Every change of attention is made under the lock, so a load and a store will do; that the store is atomic is for the look. Release: pairs with the
 * acquire in weir__meet_try; all other looks have fences. */
static inline void weir__waitq_add(weir__waitq *q, uint32_t difference)
{
    weir__store_rel(&q->attention, weir__load_rlx(&q->attention) + difference);
}

/* How many sleep. Any thread; a number that may be old when it arrives. */
static inline uint32_t weir__waitq_sleepers(weir__waitq *q)
{
    return weir__load_rlx(&q->attention) & WEIR__ATTENTION_COUNT;
}

#endif /* WEIR_PARK_WAITQ_H */

/* ==== weir/ring/choice.h ==== */

/* weir/ring/choice.h: the four kinds of channel, and which ring each of them stands on.
 *
 *   kind    producers, consumers   default ring   others that it may stand on
 *   SPSC    one, one               CACHED         SLOTS, CK
 *   MPSC    many, one              SLOTS          CK
 *   SPMC    one, many              SLOTS          CK
 *   MPMC    many, many             SLOTS          CK
 *
 * The defaults are what `make bench` shows to be fastest among those that keep every meaning of a channel. A program chooses
 * otherwise when it compiles, in all of its units: -DWEIR_RING_MPMC=WEIR_RING_CK. Units that chose differently do not link: the
 * functions that are not inline carry the choice in their names (weir__chan_make_rings_3111: SPSC, MPSC, SPMC, MPMC).
 */
#ifndef WEIR_RING_CHOICE_H
#define WEIR_RING_CHOICE_H


#define WEIR_RING_SLOTS 1  /* ring/slots.h: a stamp per slot */
#define WEIR_RING_CK 2     /* ring/ck.h: Concurrency Kit's ck_ring */
#define WEIR_RING_CACHED 3 /* ring/spsc.h: two indices, each cached by the other side */

#ifndef WEIR_RING_SPSC
#define WEIR_RING_SPSC WEIR_RING_CACHED
#endif
#ifndef WEIR_RING_MPSC
#define WEIR_RING_MPSC WEIR_RING_SLOTS
#endif
#ifndef WEIR_RING_SPMC
#define WEIR_RING_SPMC WEIR_RING_SLOTS
#endif
#ifndef WEIR_RING_MPMC
#define WEIR_RING_MPMC WEIR_RING_SLOTS
#endif

#if WEIR_RING_MPSC == WEIR_RING_CACHED || WEIR_RING_SPMC == WEIR_RING_CACHED || WEIR_RING_MPMC == WEIR_RING_CACHED
#error "weir: WEIR_RING_CACHED is for WEIR_RING_SPSC alone: it knows one producer and one consumer"
#endif
#if WEIR_RING_SPSC == WEIR_RING_CK || WEIR_RING_MPSC == WEIR_RING_CK || WEIR_RING_SPMC == WEIR_RING_CK ||              \
    WEIR_RING_MPMC == WEIR_RING_CK
#define WEIR__RING_CK_USED 1
#else
#define WEIR__RING_CK_USED 0
#endif

/* The kind is a constant wherever speed matters, and a number in the channel elsewhere. */
enum { WEIR__SPSC = 0, WEIR__MPSC = 1, WEIR__SPMC = 2, WEIR__MPMC = 3 };

WEIR_INLINE bool weir__many_producers(int kind)
{
    return (kind & 1) != 0;
}

WEIR_INLINE bool weir__many_consumers(int kind)
{
    return (kind & 2) != 0;
}

WEIR_INLINE int weir__ring_of(int kind)
{
    return kind == WEIR__SPSC   ? WEIR_RING_SPSC
           : kind == WEIR__MPSC ? WEIR_RING_MPSC
           : kind == WEIR__SPMC ? WEIR_RING_SPMC
                                : WEIR_RING_MPMC;
}

/* WEIR__RINGED(weir__f) is the name under which f links in a program with this choice of rings. */
#define WEIR__RINGED(name)                                                                                             \
    WEIR__PASTE(WEIR__PASTE(WEIR__PASTE(WEIR__PASTE(name##_rings_, WEIR_RING_SPSC), WEIR_RING_MPSC), WEIR_RING_SPMC),  \
                WEIR_RING_MPMC)

#endif /* WEIR_RING_CHOICE_H */

/* ==== weir/ring/ck_include.h ==== */

/* weir/ring/ck_include.h: includes <ck_ring.h>, in C and in C++, and says no where it must not be used.
 *
 * Version 0.7.1, the latest release, returns `false` from a function whose type is a pointer, which C++ refuses; read as a plain 0 it
 * is right in both languages. On Arm its consumers order the copy of a value before the release of its slot with a fence that
 * orders stores alone, so a slot can be read after it was written over; upstream has mended that after the release
 * (commit c7945fe). Define WEIR_CK_FIXED when your copy has it.
 */
#ifndef WEIR_RING_CK_INCLUDE_H
#define WEIR_RING_CK_INCLUDE_H


#if WEIR__RING_CK_USED

#if !defined(__x86_64__) && !defined(__i386__) && !defined(WEIR_CK_FIXED)
#error                                                                                                                 \
    "weir: ck_ring 0.7.1 has wrong fences on this processor: use weir's own rings, or a mended ck with -DWEIR_CK_FIXED"
#endif
#if defined(__has_include)
#if !__has_include(<ck_ring.h>)
#error "weir: a ring was set to WEIR_RING_CK, but <ck_ring.h> is not installed (Debian: libck-dev)"
#endif
#endif

#ifdef __cplusplus
#include <ck_cc.h>
#include <ck_md.h>
#include <ck_pr.h>
#include <ck_stdbool.h>
#include <ck_string.h>
#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wkeyword-macro"
#endif
#define false 0
#include <ck_ring.h>
#undef false
#pragma GCC diagnostic pop
#else
#include <ck_ring.h>
#endif

#endif
#endif /* WEIR_RING_CK_INCLUDE_H */

/* ==== weir/ring/base.h ==== */

/* weir/ring/base.h: what all rings share: geometry, two ends, and how a ring with one producer is closed.
 *
 * A ring is bounded storage for values of one size, with a position at each end. Values go through it in two steps:
 *
 *     claim a place  ->  write it  ->  publish          by a producer
 *     claim a value  ->  read it   ->  release          by a consumer
 *
 * A claim with several parties on that side is an atomic operation on the end's position; alone on its side, a claim stores
 * nothing, and publish (release) does all.
 *
 * Closing
 *   Closing is one moment: every send that claimed its place before it is delivered, every later one fails. With several producers
 *   the claim is a compare-and-swap on the tail, and a bit in that very word closes the ring: nothing to prove. With one producer
 *   the tail is advanced by a plain store, which would overwrite such a bit, so closing takes three steps:
 *
 *       closer                                   producer                        consumer
 *       state = CLOSING                          tail = p + 1  (publish p)       t = tail  (acquire)
 *       attention |= CLOSED                      (B) light fence                 state == OPEN: t is the bound
 *       (C) heavy fence                          attention has CLOSED?           else wait for CLOSED; limit is the bound
 *       limit = tail; state = CLOSED             wait for CLOSED; p < limit?
 *
 *   (C) pairs with (B). It falls, on the producer's core, before or after the store of tail.
 *     After: the closer's read of tail, which follows (C), sees p + 1, so p < limit: p counts, whether or not the producer saw CLOSED.
 *     Before: the producer's look at attention, which follows its store, sees CLOSED; it waits for the limit and tells its
 *       caller the truth, delivered or EPIPE. And a consumer that reads such a tail also reads state != OPEN after it, because the
 *       state was written before the fence and the tail after; so it asks for the limit too, and never takes what lies beyond.
 *   The consumer looks at the state only when it reads a new tail, which a cached index makes rare. The producer looks at a word
 *   that it looks at anyway. Nobody pays for close until it happens.
 *
 *   Where (C) is an ordinary fence (core/fence.h), "before" means that it came before the producer's fence, which follows the store of
 *   tail, and the store may have come first. Without (F):
 *       closer: state = CLOSING;  (C);  limit = old tail          consumer: reads the new tail;  reads state: still OPEN
 *   and the consumer takes a value that its sender is told is refused. No processor with one order of stores for all does this, but C11
 *   allows it. (F), a fence between the consumer's two reads, pairs with (C): before it in their one order, the closer reads the new tail
 *   too; after it, the consumer reads CLOSING. Such a ring starts in the state OPEN_SYMMETRIC, which no fast path takes for OPEN: so they all
 *   go where (F) stands.
 */
#ifndef WEIR_RING_BASE_H
#define WEIR_RING_BASE_H


#if WEIR__RING_CK_USED
#endif

/* Positions of a fresh ring. Tests start them just below the point where they wrap. */
#ifndef WEIR_RING_START
#define WEIR_RING_START 0
#endif

enum { WEIR__RING_OPEN = 0, WEIR__RING_OPEN_SYMMETRIC = 1, WEIR__RING_CLOSING = 2, WEIR__RING_CLOSED = 3 };

/* One end of a ring, alone on its cache lines. */
typedef struct weir__ring_end {
    weir__atomic_u64 pos; /* producer's end: the tail, next to write; consumer's: the head, next to read */
    uint64_t peer;        /* spsc ring: the other end's pos, as last seen; private to this end's one thread */
    size_t offset;        /* spsc ring: where pos lies in the buffer; private to this end's one thread */
} weir__ring_end;

typedef struct weir__ring {
    /* Written at construction, read by all. */
    unsigned char *slots;
    size_t bytes;      /* spsc ring: length of the buffer, at which offset starts anew */
    uint64_t capacity; /* exact */
    /* slot ring: power of two above capacity; positions are lap * 2 * mark + index, and mark itself closes */
    uint64_t mark;
    /* Written when it is closed (rings with one producer). */
    weir__atomic_u32 state;
    weir__atomic_u64 limit; /* valid once state is CLOSED: the first position that does not count */
    WEIR__PADDED weir__ring_end producer;
    WEIR__PADDED weir__ring_end consumer;
#if WEIR__RING_CK_USED
    WEIR__PADDED struct ck_ring ck;
#endif
} weir__ring;

/* A place in a ring that one thread has to itself for a moment. */
typedef struct weir__claim {
    void *value;
    uint64_t pos;
} weir__claim;

/* Waits until a close that has begun has fixed the limit: the closer is between two instructions, or inside membarrier. */
WEIR_API WEIR_COLD void weir__ring_await_limit(weir__ring *r);

WEIR_INLINE bool weir__ring_is_open(uint32_t state)
{
    return state <= WEIR__RING_OPEN_SYMMETRIC;
}

/* Where the values of a closed ring, or one that is being closed, end. */
static inline uint64_t weir__ring_limit(weir__ring *r)
{
    if (weir__load_acq(&r->state) != WEIR__RING_CLOSED)
        weir__ring_await_limit(r);
    return weir__load_rlx(&r->limit);
}

/* Where the values end for the consumer of a ring with one producer, which has just read this tail (acquire). Not WEIR_COLD: gcc
 * then takes the ways that may lead here for cold as well, and moves the whole of a receive out of the way. */
WEIR_API WEIR_NOINLINE uint64_t weir__ring_bound(weir__ring *r, uint64_t tail);

/* Whether a ring with one producer takes no more. While its closer stands before the limit this is not decided: a send could still
 * be accepted, and may not follow one that was refused. So it waits for the limit. */
static inline bool weir__ring_closing(weir__ring *r)
{
    const uint32_t state = weir__load_acq(&r->state);
    if (state == WEIR__RING_CLOSING)
        weir__ring_await_limit(r);
    return !weir__ring_is_open(state);
}

#endif /* WEIR_RING_BASE_H */

/* ==== weir/ring/spsc.h ==== */

/* weir/ring/spsc.h: the ring for one producer and one consumer. Value of WEIR_RING_SPSC: WEIR_RING_CACHED.
 *
 * Two counters that only grow, tail and head, each written by one thread. The other side reads a counter only when its own cached
 * copy says that the ring is full (empty), so that in a busy ring the two cache lines change hands once per lap and not once per
 * value. Any capacity: the place in the buffer is kept beside the counter and starts anew at the end; nothing is divided.
 * Sources: L. Lamport, "Specifying Concurrent Program Modules" (1983); cached indices as in rigtorp/SPSCQueue and FastFlow.
 *
 * Orders: publish (P1) is a release store of tail, paired with the acquire load (P2) that refreshes the consumer's copy: the value is
 * written before it can be read. Release (R1) of head pairs with the acquire (R2) of the producer: it is read before it is
 * written over.
 *
 * Progress: wait-free, both ends. A consumer waits for a closer that stands between its two steps (base.h).
 */
#ifndef WEIR_RING_SPSC_H
#define WEIR_RING_SPSC_H


WEIR_INLINE bool weir__spsc_claim_push(weir__ring *r, weir__claim *claim)
{
    weir__ring_end *end = &r->producer;
    const uint64_t tail = weir__load_rlx(&end->pos);
    if (WEIR_UNLIKELY(tail - end->peer == r->capacity)) {
        const uint64_t head = weir__load_acq(&r->consumer.pos); /* (R2) */
        if (tail - head == r->capacity)
            return false; /* and nothing is written: a consumer that finds the ring empty reads this line */
        end->peer = head;
    }
    claim->value = r->slots + end->offset;
    claim->pos = tail;
    return true;
}

/* Moves one end `count` values of `size` bytes on, and shows it. The values lie in one piece. */
WEIR_INLINE void weir__spsc_advance(weir__ring *r, weir__ring_end *end, uint64_t pos, size_t count, size_t size)
{
    const size_t offset = end->offset + count * size;
    end->offset = offset == r->bytes ? 0 : offset;
    weir__store_rel(&end->pos, pos + count); /* (P1), (R1) */
}

WEIR_INLINE bool weir__spsc_claim_pop(weir__ring *r, weir__claim *claim)
{
    weir__ring_end *end = &r->consumer;
    const uint64_t head = weir__load_rlx(&end->pos);
    if (WEIR_UNLIKELY(head == end->peer)) {
        const uint64_t tail = weir__load_acq(&r->producer.pos); /* (P2) */
        if (tail == head || weir__load_rlx(&r->state) != WEIR__RING_OPEN)
            return false;
        end->peer = tail;
    }
    claim->value = r->slots + end->offset;
    claim->pos = head;
    return true;
}

/* How many values, at most `max`, can be pushed (popped) in one piece right now; the claim is the first. At least one: it follows
 * a claim of the same end that succeeded. */
WEIR_INLINE size_t weir__spsc_run(weir__ring *r, weir__ring_end *end, uint64_t ready, size_t max, size_t size)
{
    const size_t piece = (r->bytes - end->offset) / size;
    const size_t most = ready < piece ? (size_t)ready : piece;
    return most < max ? most : max;
}

WEIR_INLINE int weir__spsc_why_full(weir__ring *r)
{
    if (weir__ring_closing(r))
        return EPIPE;
    return weir__load_rlx(&r->producer.pos) - weir__load_rlx(&r->consumer.pos) == r->capacity ? EAGAIN : 0;
}

WEIR_INLINE int weir__spsc_why_empty(weir__ring *r)
{
    const uint64_t head = weir__load_rlx(&r->consumer.pos);
    const uint32_t state = weir__load_rlx(&r->state); /* open at either moment is open and empty at the earlier one */
    const uint64_t tail = weir__load_acq(&r->producer.pos);
    uint64_t bound;
    if (tail == head && weir__ring_is_open(state))
        return EAGAIN;
    if (state == WEIR__RING_OPEN)
        return 0;
    bound = weir__ring_bound(r, tail);
    if ((int64_t)(head - bound) >= 0)
        return EPIPE;
    r->consumer.peer = bound; /* nothing beyond it is ever looked at */
    return 0;
}

#endif /* WEIR_RING_SPSC_H */

/* ==== weir/ring/slots.h ==== */

/* weir/ring/slots.h: the ring for many producers or many consumers.
 *
 * Every slot carries a stamp beside its value, which says whose turn it is. A position packs lap and index,
 *
 *     63                      log2(mark)+1   log2(mark)              0
 *     [ lap                              | closed |  index            ]        mark: the power of two above capacity
 *
 * so any capacity is exact, the end of a lap is one comparison, and nothing is divided. With lap = 2 * mark as the step:
 *
 *     stamp == pos          free, for the producer that claims pos
 *     stamp == pos + 1      holds the value that was pushed at pos
 *     stamp == pos + lap    free again, for the producer of the next lap
 *
 * A producer that finds its slot free claims it by moving tail (one compare-and-swap), writes the value and sets the stamp (S1); a
 * consumer does the same with head (S2). The closed bit stands in the tail: the claim of a producer fails once it is set.
 * Sources: D. Vyukov, "Bounded MPMC queue" (2010); the packing as in crossbeam-channel's array flavor, which credits him.
 *
 * Orders
 *   (S1) release store of the stamp by the producer, pairs with the acquire load in claim_pop: value written before read.
 *   (S2) release store of the stamp by the consumer, pairs with the acquire load in claim_push: value read before overwritten.
 *   The claims, and the looks at head and tail that answer "full" or "empty", are sequentially consistent: those answers are statements about
 *   the order of claims. Acquire and release would do for threads that anything orders (the model finds no history that is
 *   wrong by happens-before); as it is, they are also true for an observer who compares two threads by a clock. On x86 it costs nothing.
 *   One producer alone (one == !many_producers) stores the tail before (S1): whoever sees the value sees a tail beyond it.
 *
 * Full and empty are true
 *   A slot that is not ready does not prove it: a peer may stand between its claim and its stamp, and others have gone on behind it.
 *   The ring is full if, with tail known, head == tail - lap at one moment; empty if tail == head. Otherwise the answer is BUSY:
 *   wait for that peer. (weir__slots_why_full, _why_empty.)
 *
 * Progress: a claim is lock-free; the answers EAGAIN wait for a peer.
 */
#ifndef WEIR_RING_SLOTS_H
#define WEIR_RING_SLOTS_H


/* The largest alignment that a type of this size can have, as far as 64: the lowest bit set in the size. */
#define WEIR__ALIGN_OF_SIZE(size) (((size) & (0 - (size))) > 64 ? (size_t)64 : ((size) & (0 - (size))))
/* A slot: the stamp, and the value at the next multiple of its alignment. */
#define WEIR__SLOT_VALUE(size)                                                                                         \
    (WEIR__ALIGN_OF_SIZE(size) > sizeof(uint64_t) ? WEIR__ALIGN_OF_SIZE(size) : sizeof(uint64_t))
#define WEIR__SLOT_STRIDE(size)                                                                                        \
    (((size) + 2 * WEIR__SLOT_VALUE(size) - 1) / WEIR__SLOT_VALUE(size) * WEIR__SLOT_VALUE(size))

WEIR__STATIC_ASSERT(WEIR__SLOT_STRIDE(sizeof(uint64_t)) == 16, "four slots of 8 bytes share a cache line");
WEIR__STATIC_ASSERT(WEIR__SLOT_STRIDE(sizeof(char)) == 16, "small values take a word");

WEIR_INLINE weir__atomic_u64 *weir__slots_stamp(weir__ring *r, uint64_t pos, size_t size)
{
    return (weir__atomic_u64 *)(void *)(r->slots + (size_t)(pos & (r->mark - 1)) * WEIR__SLOT_STRIDE(size));
}

WEIR_INLINE void *weir__slots_value(weir__atomic_u64 *stamp, size_t size)
{
    return (unsigned char *)(void *)stamp + WEIR__SLOT_VALUE(size);
}

WEIR_INLINE weir__atomic_u64 *weir__slots_stamp_of(void *value, size_t size)
{
    return (weir__atomic_u64 *)(void *)((unsigned char *)value - WEIR__SLOT_VALUE(size));
}

WEIR_INLINE uint64_t weir__slots_lap(const weir__ring *r)
{
    return 2 * r->mark;
}

WEIR_INLINE uint64_t weir__slots_next(const weir__ring *r, uint64_t pos)
{
    const uint64_t index = pos & (r->mark - 1);
    return index + 1 < r->capacity ? pos + 1 : pos - index + weir__slots_lap(r);
}

/* Whether the value of a slot whose stamp has just been read may be taken, when there is one producer (base.h). */
WEIR_INLINE bool weir__slots_before_limit(weir__ring *r, uint64_t pos)
{
    return WEIR_LIKELY(weir__load_rlx(&r->state) == WEIR__RING_OPEN) ||
           (int64_t)(pos - weir__ring_bound(r, pos + 1)) < 0;
}

/* Claims at one end. `turn` is what a ready stamp exceeds the position by: 0 to push, 1 to pop. `limited`: the values end at the
 * limit of a ring that one producer fills. False: not ready at that moment. */
WEIR_INLINE bool weir__slots_claim(weir__ring *r, weir__ring_end *end, bool many, uint64_t turn, bool limited,
                                   size_t size, weir__claim *claim)
{
    uint64_t pos = weir__load_rlx(&end->pos);
    for (unsigned lost = 0;;) {
        weir__atomic_u64 *stamp = weir__slots_stamp(r, pos, size);
        if (WEIR_LIKELY(weir__load_acq(stamp) == pos + turn)) { /* pairs with (S1), (S2) */
            if (limited && !weir__slots_before_limit(r, pos))
                return false;
            claim->value = weir__slots_value(stamp, size);
            claim->pos = pos;
            if (!many || WEIR_LIKELY(weir__cas_sc(&end->pos, &pos, weir__slots_next(r, pos))))
                return true;
            weir__backoff_lost(++lost);
            pos = weir__load_rlx(&end->pos);
        } else {
            const uint64_t now = weir__load_rlx(&end->pos);
            if (now == pos)
                return false;
            pos = now;
        }
    }
}

WEIR_INLINE bool weir__slots_claim_push(weir__ring *r, bool many, size_t size, weir__claim *claim)
{
    return weir__slots_claim(r, &r->producer, many, 0, false, size, claim);
}

WEIR_INLINE bool weir__slots_claim_pop(weir__ring *r, bool many_producers, bool many, size_t size, weir__claim *claim)
{
    return weir__slots_claim(r, &r->consumer, many, 1, !many_producers, size, claim);
}

WEIR_INLINE void weir__slots_publish(weir__ring *r, bool many, size_t size, const weir__claim *claim)
{
    if (!many)
        weir__store_rlx(&r->producer.pos, weir__slots_next(r, claim->pos));
    weir__store_rel(weir__slots_stamp_of(claim->value, size), claim->pos + 1); /* (S1) */
}

WEIR_INLINE void weir__slots_release(weir__ring *r, bool many, size_t size, const weir__claim *claim)
{
    if (!many)
        weir__store_rlx(&r->consumer.pos, weir__slots_next(r, claim->pos));
    weir__store_rel(weir__slots_stamp_of(claim->value, size), claim->pos + weir__slots_lap(r)); /* (S2) */
}

/* The claim that belongs to a value's address: its slot is this thread's, so the stamp stands still. */
WEIR_INLINE void weir__slots_reclaim(void *value, size_t size, uint64_t turn, weir__claim *claim)
{
    claim->value = value;
    claim->pos = weir__load_rlx(weir__slots_stamp_of(value, size)) - turn;
}

/* Why a claim to push has failed: EAGAIN full, EPIPE closed, BUSY a peer is in the middle, 0 it may succeed now. */
WEIR_INLINE int weir__slots_why_full(weir__ring *r, bool many, size_t size)
{
    const uint64_t tail = weir__load_sc(&r->producer.pos);
    if (many ? (tail & r->mark) != 0 : weir__ring_closing(r))
        return EPIPE;
    if (weir__load_acq(weir__slots_stamp(r, tail, size)) == tail)
        return 0;
    /* head never falls back and tail never runs more than a lap ahead of it: so if head still is a lap behind the tail that was
     * read before, then at this moment the tail had not moved either, and the ring was full. */
    if (weir__load_sc(&r->consumer.pos) + weir__slots_lap(r) == tail)
        return EAGAIN;
    return weir__load_sc(&r->producer.pos) == tail ? WEIR__BUSY : 0;
}

/* Why a claim to pop has failed; EPIPE: closed and drained. */
WEIR_INLINE int weir__slots_why_empty(weir__ring *r, bool many_producers, size_t size)
{
    const uint64_t head = weir__load_sc(&r->consumer.pos);
    if (!many_producers && weir__ring_closing(r) && (int64_t)(head - weir__ring_limit(r)) >= 0)
        return EPIPE;
    if (weir__load_acq(weir__slots_stamp(r, head, size)) == head + 1)
        return 0;
    /* tail never falls behind head: if it equals the head that was read before, head has not moved up to this moment. */
    const uint64_t tail = weir__load_sc(&r->producer.pos);
    if ((tail & ~r->mark) == head)
        return (tail & r->mark) != 0 ? EPIPE : EAGAIN;
    return weir__load_sc(&r->consumer.pos) == head ? WEIR__BUSY : 0;
}

/* How many values lie between two positions, the closed bit taken off. */
WEIR_INLINE uint64_t weir__slots_distance(const weir__ring *r, uint64_t head, uint64_t tail)
{
    const uint64_t mask = r->mark - 1, laps = ((tail & ~mask) - (head & ~mask)) / weir__slots_lap(r);
    return laps * r->capacity + (tail & mask) - (head & mask);
}

#endif /* WEIR_RING_SLOTS_H */

/* ==== weir/ring/ck.h ==== */

/* weir/ring/ck.h: Concurrency Kit's ck_ring under a channel. Value of the WEIR_RING_ macros: WEIR_RING_CK.
 *
 * Overview
 *   ck_ring keeps three 32-bit counters: p_head, which producers claim places by moving; p_tail, up to which values are published;
 *   c_head, up to which they have been taken. Values of any size go through its _ck_ring_ functions, which take the size as an
 *   argument (CK_RING_PROTOTYPE, the public way, fixes it per type and only wraps them).
 *
 * What it does that a channel must not, and how that is hidden
 *   Capacity. A ck_ring of size 2^k holds 2^k - 1. Here the ring is made larger than the channel and the bound is ours: a lone
 *     producer compares before it enqueues, many producers reserve in weir__ck_claim_many, which is ck's loop with our bound in place of
 *     its mask, and commit through ck.
 *   Closing. With several producers p_head + 2^31 means closed: every reservation fails then, as on a full ring. A kind with one
 *     producer and many consumers enqueues like many producers do, because ck's plain store of p_tail leaves nothing for a closer to
 *     set that the consumers' compare-and-swap would respect. One producer and one consumer close as in base.h.
 *
 * What remains, and is stated
 *   A producer publishes only after all earlier ones have: one that is suspended between claim and publish stops the others. With
 *   more threads than cores that is common, hence the yields in weir__ck_commit. A send waits for a peer; it is not lock-free.
 *   Several consumers copy a value before they claim it. Values up to WEIR__CK_BOUNCE bytes go through a copy of ours, so that an
 *   attempt that fails leaves the caller's memory alone; larger ones may leave another receiver's value there. None can be read in place
 *   (weir_peek: ENOTSUP). Thread sanitizers report that copy, also against a value that is being written in place: tests/tsan-shim.
 *   Counters have 32 bits: a thread stopped for exactly 2^32 operations inside its claim meets its own past.
 *   Capacity is at most 2^30.
 */
#ifndef WEIR_RING_CK_H
#define WEIR_RING_CK_H


#if WEIR__RING_CK_USED

#define WEIR__CK_CLOSED 0x80000000U
#define WEIR__CK_BOUNCE 256
#define WEIR__CK_CAPACITY_MAX ((size_t)1 << 30)

/* With several producers, or several consumers, the places are claimed on p_head. */
WEIR_INLINE bool weir__ck_shared(int kind)
{
    return kind != WEIR__SPSC;
}

/* Several producers: how far p_head is ahead of c_head; with WEIR__CK_CLOSED added once it is closed. */
static inline unsigned weir__ck_ahead(weir__ring *r, unsigned *tail)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    ck_pr_fence_load(); /* c_head first: it never passes p_head, so the difference is never negative */
    *tail = ck_pr_load_uint(&r->ck.p_head);
    return *tail - head;
}

static inline bool weir__ck_before_limit(weir__ring *r, unsigned pos)
{
    return (int32_t)(pos - (unsigned)weir__ring_limit(r)) < 0;
}

/* weir__slots_before_limit for counters of 32 bits. */
static inline bool weir__ck_counts(weir__ring *r, unsigned pos)
{
    return (int32_t)(pos - (unsigned)weir__ring_bound(r, pos + 1)) < 0;
}

WEIR_INLINE bool weir__ck_claim_many(weir__ring *r, size_t size, weir__claim *claim)
{
    unsigned tail;
    for (;;) {
        if (weir__ck_ahead(r, &tail) >= (unsigned)r->capacity)
            return false;
        if (ck_pr_cas_uint(&r->ck.p_head, tail, tail + 1)) {
            claim->value = r->slots + (tail & r->ck.mask) * size;
            claim->pos = tail;
            return true;
        }
    }
}

WEIR_INLINE bool weir__ck_claim_push(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    if (weir__ck_shared(kind))
        return weir__ck_claim_many(r, size, claim);
    claim->pos = r->ck.p_tail;
    if (r->ck.p_tail - ck_pr_load_uint(&r->ck.c_head) >= (unsigned)r->capacity)
        return false;
    claim->value = _ck_ring_enqueue_reserve_sp(&r->ck, r->slots, (unsigned)size, NULL);
    return true;
}

/* Waits, with a yield, for the producers that claimed before; ck's own wait would spin on a core that one of them may need. */
static inline void weir__ck_commit(weir__ring *r, unsigned ticket)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    while (ck_pr_load_uint(&r->ck.p_tail) != ticket)
        weir__backoff_peer(&b);
    _ck_ring_enqueue_commit_mp(&r->ck, ticket);
}

WEIR_INLINE void weir__ck_publish(weir__ring *r, int kind, const weir__claim *claim)
{
    if (weir__ck_shared(kind))
        weir__ck_commit(r, (unsigned)claim->pos);
    else
        _ck_ring_enqueue_commit_sp(&r->ck);
}

/* Whether there is a value for a lone consumer to take. The tail is read first, the state after: base.h says why. */
WEIR_INLINE bool weir__ck_ready(weir__ring *r, int kind)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    if (ck_pr_load_uint(&r->ck.p_tail) == head)
        return false;
    ck_pr_fence_load();
    return weir__ck_shared(kind) || weir__load_rlx(&r->state) == WEIR__RING_OPEN || weir__ck_counts(r, head);
}

/* Drops the oldest value without a copy; ck has no call for that. */
static inline bool weir__ck_drop(weir__ring *r)
{
    for (;;) {
        const unsigned head = ck_pr_load_uint(&r->ck.c_head);
        ck_pr_fence_load();
        if (ck_pr_load_uint(&r->ck.p_tail) == head)
            return false;
        if (ck_pr_cas_uint(&r->ck.c_head, head, head + 1))
            return true;
    }
}

/* Takes the oldest value, several consumers. */
WEIR_INLINE bool weir__ck_pop_many(weir__ring *r, void *dst, size_t size)
{
    unsigned char bounce[WEIR__CK_BOUNCE];
    if (size > sizeof bounce)
        return _ck_ring_dequeue_mc(&r->ck, r->slots, dst, (unsigned)size);
    if (!_ck_ring_dequeue_mc(&r->ck, r->slots, bounce, (unsigned)size))
        return false;
    memcpy(dst, bounce, size);
    return true;
}

/* Takes the oldest value; dst may be NULL. */
WEIR_INLINE bool weir__ck_pop(weir__ring *r, int kind, void *dst, size_t size)
{
    if (dst == NULL && weir__many_consumers(kind))
        return weir__ck_drop(r);
    if (weir__many_consumers(kind))
        return weir__ck_pop_many(r, dst, size);
    if (!weir__ck_ready(r, kind))
        return false;
    if (dst != NULL)
        return _ck_ring_dequeue_sc(&r->ck, r->slots, dst, (unsigned)size);
    ck_pr_store_uint(&r->ck.c_head, r->ck.c_head + 1);
    return true;
}

/* In place, one consumer. */
WEIR_INLINE bool weir__ck_claim_pop(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    if (!weir__ck_ready(r, kind))
        return false;
    claim->pos = r->ck.c_head;
    claim->value = r->slots + (r->ck.c_head & r->ck.mask) * size;
    return true;
}

WEIR_INLINE void weir__ck_release(weir__ring *r)
{
    ck_pr_fence_load(); /* the value has been read; on x86 loads are not passed by later stores */
    ck_pr_fence_store();
    ck_pr_store_uint(&r->ck.c_head, r->ck.c_head + 1);
}

/* The claim of a reserved place. Places from p_tail to p_head are claimed, and fewer than the ring's size: the index tells which. */
WEIR_INLINE void weir__ck_reclaim(weir__ring *r, void *value, size_t size, weir__claim *claim)
{
    const unsigned index = (unsigned)((size_t)((unsigned char *)value - r->slots) / size),
                   tail = ck_pr_load_uint(&r->ck.p_tail);
    claim->value = value;
    claim->pos = tail + ((index - tail) & r->ck.mask);
}

static inline int weir__ck_why_full(weir__ring *r, int kind)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    ck_pr_fence_load();
    const unsigned tail = weir__ck_shared(kind) ? ck_pr_load_uint(&r->ck.p_head) : ck_pr_load_uint(&r->ck.p_tail);
    if (weir__ck_shared(kind) ? tail - head >= WEIR__CK_CLOSED : weir__ring_closing(r))
        return EPIPE;
    if (tail - head < (unsigned)r->capacity)
        return 0;
    ck_pr_fence_load();
    return ck_pr_load_uint(&r->ck.c_head) == head ? EAGAIN : 0; /* it stood still around the read of tail */
}

static inline int weir__ck_why_empty(weir__ring *r, int kind)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    if (!weir__ck_shared(kind) && weir__load_acq(&r->state) != WEIR__RING_OPEN && !weir__ck_counts(r, head))
        return EPIPE;
    ck_pr_fence_load();
    if (ck_pr_load_uint(&r->ck.p_tail) != head)
        return 0;
    if (!weir__ck_shared(kind))
        return EAGAIN;
    ck_pr_fence_load();
    const unsigned claimed = ck_pr_load_uint(&r->ck.p_head);
    if (claimed == head)
        return EAGAIN;
    if (claimed == (head ^ WEIR__CK_CLOSED))
        return EPIPE;
    return ck_pr_load_uint(&r->ck.c_head) == head ? WEIR__BUSY : 0;
}

static inline bool weir__ck_is_closed(weir__ring *r)
{
    unsigned tail;
    return weir__ck_ahead(r, &tail) >= WEIR__CK_CLOSED;
}

static inline size_t weir__ck_len(weir__ring *r)
{
    unsigned head, tail;
    size_t ahead;
    do { /* until the two were read at one moment */
        head = ck_pr_load_uint(&r->ck.c_head);
        ck_pr_fence_load();
        tail = ck_pr_load_uint(&r->ck.p_head);
        ck_pr_fence_load();
    } while (ck_pr_load_uint(&r->ck.c_head) != head);
    ahead = (tail - head) & ~WEIR__CK_CLOSED;
    return ahead < r->capacity ? ahead : (size_t)r->capacity;
}

/* Sets the closed bit; true for the caller that did it. */
static inline bool weir__ck_close_many(weir__ring *r)
{
    unsigned tail;
    for (;;) {
        if (weir__ck_ahead(r, &tail) >= WEIR__CK_CLOSED)
            return false;
        if (ck_pr_cas_uint(&r->ck.p_head, tail, tail ^ WEIR__CK_CLOSED))
            return true;
    }
}

#endif
#endif /* WEIR_RING_CK_H */

/* ==== weir/ring/ring.h ==== */

/* weir/ring/ring.h: the one interface to the three rings.
 *
 * Each function takes the kind of channel. Where that is a constant, as in every fast path, the compiler keeps one branch and
 * the rest is gone; where it is a number read from the channel, it is a jump. So the same few functions are the fast paths and the
 * slow ones, and a new ring is one more case in each.
 *
 *   claim_push, publish       a place for one value; make it visible             producers
 *   claim_pop, release        the oldest value, in place; give its place back    consumers
 *   push, pop                 both steps and the copy
 *   why_full, why_empty       what a claim that failed means: EAGAIN, EPIPE, WEIR__BUSY, or 0 for "try again"
 *   close, settle             closing, and whether a value published meanwhile counts
 */
#ifndef WEIR_RING_RING_H
#define WEIR_RING_RING_H


#define weir__ring_bytes WEIR__RINGED(weir__ring_bytes)
#define weir__ring_init WEIR__RINGED(weir__ring_init)
#define weir__ring_why_full WEIR__RINGED(weir__ring_why_full)
#define weir__ring_why_empty WEIR__RINGED(weir__ring_why_empty)
#define weir__ring_close WEIR__RINGED(weir__ring_close)
#define weir__ring_len WEIR__RINGED(weir__ring_len)
#define weir__ring_passed WEIR__RINGED(weir__ring_passed)
#define weir__ring_ready WEIR__RINGED(weir__ring_ready)
#define weir__ring_touched WEIR__RINGED(weir__ring_touched)
#define weir__ring_is_closed WEIR__RINGED(weir__ring_is_closed)

/* Bytes of storage for `capacity` values of `size` bytes; 0 when that does not fit a size_t or the ring. */
WEIR_API size_t weir__ring_bytes(int kind, size_t capacity, size_t size);
/* storage: aligned to WEIR_CACHE_PAD, of that many bytes; it stays the caller's. A ring of capacity 0 is never ready for anything: it
 * stands in for a ring where a channel has none. */
WEIR_API void weir__ring_init(weir__ring *r, int kind, size_t capacity, size_t size, void *storage);
WEIR_API WEIR_NOINLINE int weir__ring_why_full(weir__ring *r, int kind, size_t size);
WEIR_API WEIR_NOINLINE int weir__ring_why_empty(weir__ring *r, int kind, size_t size);
/* Whether a claim to push (pop) would have succeeded at this moment; reads no more than the claim does. By a thread of that side. */
WEIR_API bool weir__ring_ready(weir__ring *r, int kind, size_t size, bool pushing);
/* Closes; false when somebody has before. mark(arg) is called on the way, in rings with a limit: it sets what the lone producer looks
 * at after each publish (ring/base.h). */
WEIR_API bool weir__ring_close(weir__ring *r, int kind, void (*mark)(void *), void *arg);
WEIR_API bool weir__ring_is_closed(weir__ring *r, int kind);
WEIR_API size_t weir__ring_len(weir__ring *r, int kind);
/* How many values have ever been pushed, and popped; modulo 2^32 on a ck ring. */
WEIR_API void weir__ring_passed(weir__ring *r, int kind, uint64_t *pushed, uint64_t *popped);
/* A number that changes whenever a full ring gets room (pushing) or an empty one a value, or the ring is closed. */
WEIR_API uint64_t weir__ring_touched(weir__ring *r, int kind, bool pushing);

/* Whether a ring with one producer is closed by its state and limit, rather than by a bit in the tail. */
WEIR_INLINE bool weir__ring_has_limit(int kind)
{
    return weir__ring_of(kind) == WEIR_RING_CK ? kind == WEIR__SPSC : !weir__many_producers(kind);
}

WEIR_INLINE bool weir__ring_claim_push(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_claim_push(r, claim);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return weir__ck_claim_push(r, kind, size, claim);
#endif
    default: return weir__slots_claim_push(r, weir__many_producers(kind), size, claim);
    }
}

WEIR_INLINE void weir__ring_publish(weir__ring *r, int kind, size_t size, const weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: weir__spsc_advance(r, &r->producer, claim->pos, 1, size); break;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: weir__ck_publish(r, kind, claim); break;
#endif
    default: weir__slots_publish(r, weir__many_producers(kind), size, claim); break;
    }
}

/* In place. A ck ring with several consumers has no such claim: always false there. */
WEIR_INLINE bool weir__ring_claim_pop(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_claim_pop(r, claim);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return !weir__many_consumers(kind) && weir__ck_claim_pop(r, kind, size, claim);
#endif
    default: return weir__slots_claim_pop(r, weir__many_producers(kind), weir__many_consumers(kind), size, claim);
    }
}

WEIR_INLINE void weir__ring_release(weir__ring *r, int kind, size_t size, const weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: weir__spsc_advance(r, &r->consumer, claim->pos, 1, size); break;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: weir__ck_release(r); break;
#endif
    default: weir__slots_release(r, weir__many_consumers(kind), size, claim); break;
    }
}

/* The claim behind a value's address, as reserve or peek handed it out. `popping`: it was claimed to be read. */
WEIR_INLINE void weir__ring_reclaim(weir__ring *r, int kind, size_t size, bool popping, void *value, weir__claim *claim)
{
    claim->value = value;
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: claim->pos = weir__load_rlx(popping ? &r->consumer.pos : &r->producer.pos); break;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK:
        if (!popping)
            weir__ck_reclaim(r, value, size, claim);
        break;
#endif
    default: weir__slots_reclaim(value, size, popping ? 1 : 0, claim); break;
    }
}

WEIR_INLINE bool weir__ring_push(weir__ring *r, int kind, const void *src, size_t size, uint64_t *pos)
{
    weir__claim claim;
    if (!WEIR_LIKELY(weir__ring_claim_push(r, kind, size, &claim)))
        return false;
    WEIR_HOOK("send claimed");
    WEIR_COPY_IN(claim.value, src, size);
    weir__ring_publish(r, kind, size, &claim);
    *pos = claim.pos;
    return true;
}

/* dst may be NULL: the value is dropped. */
WEIR_INLINE bool weir__ring_pop(weir__ring *r, int kind, void *dst, size_t size)
{
    weir__claim claim;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_pop(r, kind, dst, size);
#endif
    if (!WEIR_LIKELY(weir__ring_claim_pop(r, kind, size, &claim)))
        return false;
    WEIR_HOOK("recv claimed");
    if (dst != NULL)
        WEIR_COPY_OUT(dst, claim.value, size);
    weir__ring_release(r, kind, size, &claim);
    return true;
}

/* A claim that may be held for a while. A lone producer's claim is no more than a look, so it can be refused here, not only when the
 * value is published. */
WEIR_INLINE bool weir__ring_reserve(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    if (weir__ring_has_limit(kind) && !weir__ring_is_open(weir__load_rlx(&r->state)))
        return false;
    return weir__ring_claim_push(r, kind, size, claim);
}

/* After publishing at pos: was the value accepted, given that the ring is closing or closed? 0 or EPIPE. */
WEIR_INLINE int weir__ring_settle(weir__ring *r, int kind, uint64_t pos)
{
    if (!weir__ring_has_limit(kind))
        return 0;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_before_limit(r, (unsigned)pos) ? 0 : EPIPE;
#endif
    return (int64_t)(pos - weir__ring_limit(r)) < 0 ? 0 : EPIPE;
}

#endif /* WEIR_RING_RING_H */

/* ==== weir/ctx/hook.h ==== */

/* weir/ctx/hook.h: functions that run once when a context ends, and how one is taken back while it may be running.
 *
 * Overview
 *   A registered hook stands in the list of its context. When that ends, its hooks move to a run: a record on the stack of the
 *   thread that ended it, which then calls them one at a time, without the lock. The runs of a tree are linked in its root. So
 *   whoever takes a hook back, or frees a context, finds it in one of three places:
 *
 *       in its context's list, or pending in a run      unlink it: it will not run
 *       current in a run of another thread               wait until that call has returned
 *       current in a run of this thread                  we are inside of it: go on
 *
 *   A hook may do anything, freeing its own context or the whole tree included. The run therefore touches nothing of a hook after
 *   calling it, and nothing of the tree after a hook of its own thread has freed that.
 *
 * All of it is guarded by the tree's lock, except the calls.
 */
#ifndef WEIR_CTX_HOOK_H
#define WEIR_CTX_HOOK_H


typedef struct weir_ctx weir_ctx;
typedef struct weir_ctx_hook weir_ctx_hook;

/* A function to run when a context ends. The caller's memory; private inside. */
struct weir_ctx_hook {
    void (*fn)(void *arg);
    void *arg;
    weir_ctx *ctx; /* where it is registered; NULL once it has been taken off or has been run */
    weir_ctx_hook *next, *prev;
};

typedef struct weir__hook_list {
    weir_ctx_hook *first, *last;
} weir__hook_list;

/* What one ending of a context has to call. */
typedef struct weir__hook_run {
    struct weir__hook_run *next;
    uintptr_t thread;
    weir__hook_list pending;
    weir_ctx_hook *current; /* compared, never followed: fn may have ended its life */
    weir_ctx *current_ctx;  /* likewise */
    bool tree_gone;         /* a hook of this very run freed the tree */
} weir__hook_run;

/* In the root of each tree. */
typedef struct weir__hook_tree {
    weir__lock lock;
    weir__atomic_u32 runs_changed; /* counts the ends of calls: what waits for a hook sleeps on it */
    weir__hook_run *runs;
} weir__hook_tree;

static inline void weir__hook_link(weir__hook_list *l, weir_ctx_hook *h)
{
    h->next = NULL;
    h->prev = l->last;
    if (l->last != NULL)
        l->last->next = h;
    else
        l->first = h;
    l->last = h;
}

static inline void weir__hook_link_first(weir__hook_list *l, weir_ctx_hook *h)
{
    h->prev = NULL;
    h->next = l->first;
    if (l->first != NULL)
        l->first->prev = h;
    else
        l->last = h;
    l->first = h;
}

static inline void weir__hook_unlink(weir__hook_list *l, weir_ctx_hook *h)
{
    if (h->prev != NULL)
        h->prev->next = h->next;
    else
        l->first = h->next;
    if (h->next != NULL)
        h->next->prev = h->prev;
    else
        l->last = h->prev;
    h->ctx = NULL;
}

/* Calls what is pending in run. Called and returns locked, unless the tree is gone. */
WEIR_API void weir__hooks_run(weir__hook_tree *tree, weir__hook_run *run);
/* Waits until no other thread runs this hook, or (hook NULL) any hook of this context, or (both NULL) any hook of the tree. A run of
 * the calling thread is the one that it is inside of: waiting for it would never end. Called and returns locked. */
WEIR_API void weir__hooks_await(weir__hook_tree *tree, const weir_ctx_hook *hook, const weir_ctx *ctx);
/* Takes what is pending for ctx out of every run. Locked. */
WEIR_API void weir__hooks_drop(weir__hook_tree *tree, const weir_ctx *ctx);
/* The list in which a registered hook stands: `own`, its context's, or once that has ended a run's. Locked. */
WEIR_API weir__hook_list *weir__hooks_list_of(weir__hook_tree *tree, weir__hook_list *own, const weir_ctx_hook *hook);
/* The tree is being freed, and no other thread runs a hook of it: tells the runs of this thread. Locked. */
WEIR_API void weir__hooks_tree_gone(weir__hook_tree *tree);

#endif /* WEIR_CTX_HOOK_H */

/* ==== weir/ctx/ctx.h ==== */

/* weir/ctx/ctx.h: a context carries cancellation, a deadline and values down a tree of calls and threads.
 *
 * Overview
 *   A context belongs to the caller, usually on its stack; nothing is allocated and no thread watches the clock. It ends once, by
 *   weir_ctx_cancel or when its deadline passes, and everything below it ends with it: each wait that was given it, or a context
 *   under it, returns ECANCELED or ETIMEDOUT.
 *
 *       weir_ctx ctx;
 *       weir_ctx_init_timeout(&ctx, parent, WEIR_MS(50));
 *       int rc = weir_recv(&ctx, replies, &reply);        0, EPIPE, ETIMEDOUT after 50 ms, or what ended the parent
 *       weir_ctx_free(&ctx);
 *
 * Deadlines without a timer
 *   A deadline is a number. Every wait sleeps no longer than until the nearest one, and notices that it has passed. A context whose
 *   deadline passes while nobody waits on it or asks for its error has ended all the same (weir_ctx_err looks at the clock), but its
 *   on_cancel hooks run only when somebody notices: a wait, weir_ctx_err, or weir_ctx_cancel.
 *
 * Who may call what at once
 *   init, free: one thread, while nobody else uses that context; children are freed before their parent. Parents and siblings may be
 *   in use, cancelled or freed (siblings) by others meanwhile. All else: any number of threads.
 *
 * Invariants
 *   1. One lock per tree, in its root, guards links, hooks, watchers and the transition of err; waiters take it when they park,
 *      never before.
 *   2. err goes from 0 to its value once, after cause was written. A context has ended only if all below it have: the
 *      whole subtree is marked in one pass under the lock, children first.
 *   3. Hooks run without the lock, in the thread that ended the context, each at most once (ctx/hook.h).
 *
 * Source for the meanings: Go's context package, with AfterFunc as weir_ctx_on_cancel.
 */
#ifndef WEIR_CTX_CTX_H
#define WEIR_CTX_CTX_H


typedef struct weir_ctx weir_ctx;
struct weir_ctx {
    weir__atomic_u32 err; /* 0, ECANCELED or ETIMEDOUT */
    int cause;            /* valid once err is not 0 */
    weir_ns deadline;     /* the nearest of its own and its ancestors' */
    weir_ctx *parent, *root;
    weir_ctx *children, *next_sibling, *prev_sibling;
    const void *key; /* weir_ctx_init_value */
    void *value;
    weir__hook_list hooks;
    weir__waiter_list watchers;
    weir__hook_tree tree; /* in the root alone: the lock of all, and the hooks that run */
};

/* A task, as every part of the library runs it: 0, or an error code of the user's own (positive). ctx tells it when to stop. */
typedef int weir_task_fn(weir_ctx *ctx, void *arg);

/* Starts a context. parent: NULL, or a context that outlives it; one that has ended makes the child end at once, with the same cause.
 * Wait-free for a root; else takes the tree's lock. */
WEIR_API void weir_ctx_init(weir_ctx *ctx, weir_ctx *parent);
/* The same, ending with ETIMEDOUT at `deadline` (a point in time), or its parent's deadline if that is earlier. A point that has
 * passed ends it at once. */
WEIR_API void weir_ctx_init_deadline(weir_ctx *ctx, weir_ctx *parent, weir_ns deadline);
/* The same, `timeout` nanoseconds from now. */
WEIR_API void weir_ctx_init_timeout(weir_ctx *ctx, weir_ctx *parent, weir_ns timeout);
/* The same without a deadline of its own, carrying one value. Keys are compared by address. */
WEIR_API void weir_ctx_init_value(weir_ctx *ctx, weir_ctx *parent, const void *key, void *value);
/* The value of the nearest context upwards that carries key, or NULL. */
WEIR_API void *weir_ctx_value(const weir_ctx *ctx, const void *key);

/* Ends ctx and everything below it with ECANCELED, wakes every wait there and runs their hooks before it returns. The first end
 * counts, later ones change nothing. cause: a reason of the caller's own; 0 means ECANCELED. ctx may be NULL. */
WEIR_API void weir_ctx_cancel(weir_ctx *ctx, int cause);

/* 0 while ctx lives; else ECANCELED or ETIMEDOUT. NULL never ends. Any thread; reads the clock only if there is a deadline. */
WEIR_API int weir_ctx_err(weir_ctx *ctx);
/* 0 while ctx lives; else the cause given to the first cancel, here or above, or ETIMEDOUT. */
WEIR_API int weir_ctx_cause(weir_ctx *ctx);
/* The point in time at which it ends at the latest; WEIR_FOREVER if none. */
WEIR_API weir_ns weir_ctx_deadline(const weir_ctx *ctx);

/* Takes ctx out of its parent. Nobody may wait on it; its children are freed before. Hooks still registered never run; one that
 * runs at this moment in another thread is waited for. */
WEIR_API void weir_ctx_free(weir_ctx *ctx);

/* Has fn(arg) run once when ctx ends, by the thread that ends it. fn may call anything, weir_ctx_cancel and weir_ctx_free included.
 * Returns 0; or, if ctx has ended, its error, after having run fn. The hook's memory stays in use until weir_ctx_off_cancel has
 * returned, or fn has, or ctx is freed. NULL ctx: never runs, returns 0. */
WEIR_API int weir_ctx_on_cancel(weir_ctx *ctx, weir_ctx_hook *hook, void (*fn)(void *arg), void *arg);
/* Takes the hook back. 0: it will not run. ECANCELED: it has run; one that is running in another thread is waited for. */
WEIR_API int weir_ctx_off_cancel(weir_ctx *ctx, weir_ctx_hook *hook);

/* Has the parker of w claimed when ctx ends. Returns ctx's error, and does nothing, if it has ended. */
WEIR_API int weir__ctx_watch(weir_ctx *ctx, weir__waiter *w);
WEIR_API void weir__ctx_unwatch(weir_ctx *ctx, weir__waiter *w);

/* What ended it, without a look at the clock. */
static inline int weir__ctx_ended(weir_ctx *ctx)
{
    return ctx == NULL ? 0 : (int)weir__load_acq(&ctx->err);
}

#endif /* WEIR_CTX_CTX_H */

/* ==== weir/ctx/wait.h ==== */

/* weir/ctx/wait.h: one wait: the context and the deadline that bound it, and the phases that it goes through.
 *
 * What waits in this library does so in one of two ways:
 *   polling   look at the condition; weir__wait_over; weir__backoff_turn; … until that says: park
 *   parked    be found in a queue by a peer; weir__wait_parked, until claimed by that queue, the context's end or the deadline
 */
#ifndef WEIR_CTX_WAIT_H
#define WEIR_CTX_WAIT_H


typedef struct weir__wait {
    weir_ctx *ctx;
    weir_ns deadline; /* the nearer of the call's and the context's */
    weir__backoff backoff;
    weir__roll_label label; /* what it is called on the roll of threads */
} weir__wait;

enum { WEIR__TICKET_CTX = WEIR__PARKER_FIRST_TICKET, WEIR__TICKET_QUEUE };

static inline void weir__wait_init(weir__wait *w, weir_ctx *ctx, weir_ns deadline, int strategy)
{
    const weir_ns end = weir_ctx_deadline(ctx);
    w->ctx = ctx;
    w->deadline = deadline < end ? deadline : end;
    w->backoff.strategy = strategy;
    w->backoff.turn = 0;
    w->label.what = w->label.on = NULL;
}

/* Says what the wait is called. */
static inline void weir__wait_label(weir__wait *w, const char *what, const char *on)
{
    w->label.what = what;
    w->label.on = on;
}

/* 0, or why the wait is over: ECANCELED, ETIMEDOUT. While polling it does not read the clock in every turn of a spin. */
WEIR_API int weir__wait_over(const weir__wait *w);

/* The same, for a wait that its context or its deadline has just ended: never 0. */
WEIR_API int weir__wait_ended(const weir__wait *w);

/* Waits until the parker is claimed; `until`: a point earlier than the wait's deadline, or WEIR_FOREVER. Returns the ticket:
 * WEIR__TICKET_CTX, WEIR__PARKER_CANCELLED when a point in time has come, or the one of a queue that the caller joined. */
WEIR_API uint32_t weir__wait_parked(const weir__wait *w, weir__parker *parker, int strategy, weir_ns until);

/* Waits for nothing but the end of the context or the deadline, and returns which it was. */
WEIR_API int weir__wait_end(weir__wait *w);

#endif /* WEIR_CTX_WAIT_H */

/* ==== weir/ctx/sleep.h ==== */

/* weir/ctx/sleep.h: sleeping, until a point in time or the end of a context.
 *
 * Any thread. 0: the time has come, also if the context ended at the same moment or before the call; ECANCELED, ETIMEDOUT: the context ended earlier. A
 * point that has passed is no wait. Progress: parks at once, there is no phase of spinning.
 */
#ifndef WEIR_CTX_SLEEP_H
#define WEIR_CTX_SLEEP_H


WEIR_API int weir_sleep_until(weir_ctx *ctx, weir_ns when);
static inline int weir_sleep(weir_ctx *ctx, weir_ns duration)
{
    return weir_sleep_until(ctx, weir_time_add(weir_now(), duration));
}

#endif /* WEIR_CTX_SLEEP_H */

/* ==== weir/chan/channel.h ==== */

/* weir/chan/channel.h: a channel is a ring, and two queues of those who wait for it.
 *
 *       senders ──►  [ ring: capacity values, one FIFO over all senders ]  ──► receivers
 *          │                                                                     │
 *          └─ senders queue: sleep while it is full       receivers queue: sleep while it is empty
 *
 * Every operation is a ring operation followed by a look at the other side's queue:
 *
 *       send:     push;  (B);  does a receiver need attention?  then wake it
 *       receive:  pop;   (B);  does a sender need attention?    then wake it
 *
 * (B), the light fence, pairs with (A) of whoever goes to sleep (chan/wait.h) and with (C) of whoever closes (ring/ring.h).
 *
 * What full, empty and closed mean
 *   A channel is, at every moment, a list of at most `capacity` values and a flag, closed. Each call takes effect at one moment between
 *   its begin and its end, whole, and in one order for all threads (linearizability: M. Herlihy, J. Wing, 1990). At that moment:
 *
 *       a send that returns 0         finds the flag down and fewer than `capacity` values; its value becomes the last
 *       a receive that returns 0      takes the first value, whether the flag is up or down
 *       EAGAIN from a try to send     the flag is down, and `capacity` values are in the list
 *       EAGAIN from a try to receive  the flag is down, and the list is empty
 *       EPIPE from a send             the flag is up; the value has not been in the list, and stays the caller's
 *       EPIPE from a receive          the flag is up, and the list is empty: for good
 *       close                         raises the flag: 0 for the one call that found it down, EPIPE for the others
 *       select                        is the one call that it says it has done; EAGAIN from its try: none of the cases could have
 *                                     been done, all of them looked at at the same moment
 *       a batch                       is as many single calls in a row; others may come between
 *       send_latest                   is a receive and a send, at one moment each, as often as it takes
 *
 *   Capacity 0: a send and a receive that return 0 have one moment together. EAGAIN from a try: no counterpart was waiting at some moment of
 *   it; who begins to wait counts as waiting once it has announced itself, at the latest when it sleeps.
 *
 *   So a try may not contradict a call that has ended: after a send has returned 0, and before anybody has received, no try_recv says
 *   EAGAIN. This is what a ring alone does not give. A thread that stands between claim and publish hides the values that later senders
 *   have published behind its own; a try that meets such a thread waits for it, which is a few instructions, rather than call
 *   the channel empty (WEIR__BUSY in ring/ring.h).
 *
 *   What a thread did before a send that returns 0 is known to whoever receives that value; what it did before a close, to whoever is told
 *   EPIPE, or is_closed, because of it. (Happens-before of C11, as in Go's memory model.)
 *
 *   ETIMEDOUT and ECANCELED say nothing about the list, except that the call has not changed it. is_closed tells of one moment; len also
 *   counts what a send in progress has claimed room for.
 */
#ifndef WEIR_CHAN_CHANNEL_H
#define WEIR_CHAN_CHANNEL_H


/* What a channel is made of; chan/op.h tells them apart. */
enum { WEIR__BUFFER, WEIR__RENDEZVOUS, WEIR__TIMER, WEIR__PROMISE };

/* A rendezvous channel's fast way: chan/lane.h. */
typedef struct weir__lane {
    weir__atomic_u64 word;
    unsigned char deal[24], offer[24];
} weir__lane;

typedef struct weir__chan {
    weir__ring ring;
    WEIR__PADDED weir__waitq receivers; /* senders look at it */
    WEIR__PADDED weir__waitq senders;   /* receivers look at it */
    WEIR__PADDED weir__lane lane;
    WEIR__PADDED size_t size; /* of an element */
    int kind;
    int flavor;
    int wait;                /* a weir_wait_strategy */
    weir__atomic_u32 closed; /* rendezvous and timers; a promise's state; a buffer's ring knows for itself */
    weir__atomic_u64 due;    /* timers: when, and for tickers how far apart; a promise's code */
    weir__atomic_u64 period;
    const char *name;
    void *allocated; /* NULL when the memory is the caller's */
    uint32_t forks;  /* weir__fork_count when it was made */
} weir__chan;

/* Whether another process, an ancestor, made c. Asked before every wait and lock, for whoever holds it may not be here; the fast paths do not ask:
 * what is in the copy of a buffer can be taken, and what is put there stays in the copy. */
#define weir__chan_inherited(c) weir__fork_passed((c)->forks)

#define weir__chan_wake_receiver WEIR__RINGED(weir__chan_wake_receiver)
#define weir__chan_wake_sender WEIR__RINGED(weir__chan_wake_sender)

/* What attention != 0 asks for. The first returns whether the value at pos was accepted, should the channel be closed: 0 or EPIPE; the
 * second returns 0, so that a receive can end in a jump to it and needs no stack frame of its own. */
WEIR_API WEIR_COLD int weir__chan_wake_receiver(weir__chan *c, uint64_t pos);
WEIR_API WEIR_COLD int weir__chan_wake_sender(weir__chan *c);

/* A value has been published at pos: 0, or EPIPE if a close came first. */
WEIR_INLINE int weir__chan_sent(weir__chan *c, uint64_t pos)
{
    WEIR_FENCE_LIGHT(); /* (B) */
    if (WEIR_LIKELY(weir__load_rlx(&c->receivers.attention) == 0))
        return 0;
    return weir__chan_wake_receiver(c, pos);
}

/* A place has been freed: 0. */
WEIR_INLINE int weir__chan_received(weir__chan *c)
{
    WEIR_FENCE_LIGHT(); /* (B) */
    if (WEIR_LIKELY(weir__load_rlx(&c->senders.attention) == 0))
        return 0;
    return weir__chan_wake_sender(c);
}

/* True: done, with *rc to return. False: the ring was not ready, or there is no channel. */
WEIR_INLINE bool weir__chan_push(weir__chan *c, int kind, const void *src, size_t size, int *rc)
{
    uint64_t pos;
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_push(&c->ring, kind, src, size, &pos)))
        return false;
    *rc = weir__chan_sent(c, pos);
    return true;
}

WEIR_INLINE bool weir__chan_pop(weir__chan *c, int kind, void *dst, size_t size, int *rc)
{
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_pop(&c->ring, kind, dst, size)))
        return false;
    *rc = weir__chan_received(c);
    return true;
}

#endif /* WEIR_CHAN_CHANNEL_H */

/* ==== weir/chan/handle.h ==== */

/* weir/chan/handle.h: what a program holds of a channel: a typed handle, one pointer large, passed by value as a Go channel is.
 *
 *     typedef weir_chan(struct tick) tick_chan;      many senders, many receivers
 *     typedef weir_spsc(struct tick) tick_line;      one sender, one receiver; weir_mpsc, weir_spmc are the others
 *
 * The handle is a union of a pointer to the channel and one to the element's type. The second is never stored or followed; it
 * is there so that every call can check, in plain C11, that the element passed has that type, and can take its size as a constant:
 *
 *     weir_send(ctx, ch, ptr)   =>   weir__send(ctx, ch.core, kind, (1 ? ptr : ch.elem), sizeof *ch.elem)
 *
 * The kind is in the type of core. So the compiler picks the fast path, and a channel for one sender cannot be passed where
 * many are expected. Each use of weir_chan(T) is a type of its own: give it a name by typedef to pass it on.
 *
 * "One sender" means one at a time: another thread may go on sending once it knows, by whatever synchronizes the two, that the first
 * has stopped.
 */
#ifndef WEIR_CHAN_HANDLE_H
#define WEIR_CHAN_HANDLE_H


/* clang-format off */
typedef struct weir_chan_core { weir__chan chan; } weir_chan_core;
typedef struct weir_spsc_core { weir__chan chan; } weir_spsc_core;
typedef struct weir_mpsc_core { weir__chan chan; } weir_mpsc_core;
typedef struct weir_spmc_core { weir__chan chan; } weir_spmc_core;

#define weir_chan(T) union { weir_chan_core *core; T *elem; }
#define weir_spsc(T) union { weir_spsc_core *core; T *elem; }
#define weir_mpsc(T) union { weir_mpsc_core *core; T *elem; }
#define weir_spmc(T) union { weir_spmc_core *core; T *elem; }
/* clang-format on */

/* The kind, as a constant, from the type of a pointer that is not evaluated. */
#ifdef __cplusplus
char (&weir__kind_tag(const weir_spsc_core *))[WEIR__SPSC + 1];
char (&weir__kind_tag(const weir_mpsc_core *))[WEIR__MPSC + 1];
char (&weir__kind_tag(const weir_spmc_core *))[WEIR__SPMC + 1];
char (&weir__kind_tag(const weir_chan_core *))[WEIR__MPMC + 1];
#define WEIR__KIND(core_) ((int)sizeof(weir__kind_tag(core_)) - 1)
#else
#define WEIR__KIND(core_)                                                                                              \
    _Generic((core_), weir_spsc_core *                                                                                 \
             : WEIR__SPSC, weir_mpsc_core *                                                                            \
             : WEIR__MPSC, weir_spmc_core *                                                                            \
             : WEIR__SPMC, weir_chan_core *                                                                            \
             : WEIR__MPMC)
#endif

/* The channel behind a handle; a core is a struct whose first member is the channel, so the cast is one that C allows. */
#define WEIR__CHAN(ch) ((weir__chan *)(void *)(ch).core)
/* An element pointer whose type is checked against the channel's. */
#define WEIR__ELEM(ch, ptr) (1 ? (ptr) : (ch).elem)
/* Pointer to an element pointer, likewise. */
#define WEIR__ELEM_SLOT(ch, slot) (1 ? (slot) : &(ch).elem)
/* 0, or a compile-time error. */
#define WEIR__REQUIRE(cond) (0 * sizeof(char[(cond) ? 1 : -1]))

#endif /* WEIR_CHAN_HANDLE_H */

/* ==== weir/chan/lane.h ==== */

/* weir/chan/lane.h: where two threads that are awake meet in a rendezvous channel: one cache line, and no lock.
 *
 * Overview
 *   A channel of capacity 0 has a lane beside its two queues (chan/rendezvous.h). Whoever comes first announces itself there, spins and
 *   yields; whoever comes second does the exchange. Nobody sleeps in the lane: who would, moves into the queue. There is room for one
 *   receiver and one sender, and a value of up to 24 bytes each; everybody else uses the queues.
 *
 * The word
 *       63                 4 3      2 1      0
 *       [ turn              | receiver| sender ]       turn: + 1 with every announcement, so that no two are taken for one another
 *
 *       sender      NONE ──► OFFERING ──► OFFER ──► TAKING ──► NONE       the value stands in `offer`
 *                             writes it    │ announced  copied out
 *                                          └──────────────────► NONE      given up
 *       receiver    NONE ──► WANT ──► GIVING ──► DEAL ──► NONE            the value stands in `deal`
 *                    announced │        copied in    picked up
 *                              └────────────────────────► NONE            given up
 *
 *   All steps that two parties might want at once (announcing, OFFER and WANT onwards) are compare-and-swaps of the whole word: one wins,
 *   so an exchange excludes a timeout. A sender is done when its offer has gone; one that finds a WANT is done as soon as it has
 *   given: that receiver can no longer leave.
 *
 * Why a sender may announce itself beside a DEAL
 *   One exchange at a time costs a transfer of the line in each direction: 77 ns. But a sender that has just given can announce its next
 *   value before the receiver has picked up the first, and a receiver that has just taken can announce its next wish: then each transfer
 *   carries the end of one exchange and the beginning of the next, and a value takes 42 ns. Hence two places for values.
 *   A receiver never announces itself beside an offer: it takes it.
 *
 * Lane and queues: no two wait past each other
 *   Without (D) and (E): a receiver sees an empty senders' queue and announces itself in the lane; a sender sees an empty lane and joins
 *   the queue. Both wait for ever. With them:
 *       announce in the lane (CAS, seq_cst)     join the queue
 *       (D)                                     (E) full fence
 *       look at the other side's queue          look at the lane
 *   (D) is the order that seq_cst gives the CAS and the load after it; (E) a fence, or the heavy one of a select. Both looking too early
 *   is the outcome that they exclude. Whoever sees the other acts: the one in the lane leaves it for the queue's lock, where it meets
 *   who waits there; the one in the queue leaves that and tries the lane.
 *
 * Order
 *   Nobody enters the lane while somebody of its own side is in the queue, the lane is served first, and who moves from the lane into the
 *   queue goes to its front: so threads are met in the order of their coming. They move that way only, and are in the queue
 *   before they leave the lane: a try that looks at the lane first misses nobody.
 *
 * Progress: announcing and claiming are lock-free; OFFERING, TAKING and GIVING last for one copy, and are waited out.
 * Sources: W. Scherer, D. Lea, M. Scott, "Scalable Synchronous Queues" (2006), for the two kinds of waiter in one place.
 */
#ifndef WEIR_CHAN_LANE_H
#define WEIR_CHAN_LANE_H


enum {
    WEIR__LANE_OFFERING = 1,
    WEIR__LANE_OFFER = 2,
    WEIR__LANE_TAKING = 3,
    WEIR__LANE_SENDER = 3, /* the field */
    WEIR__LANE_WANT = 1 << 2,
    WEIR__LANE_GIVING = 2 << 2,
    WEIR__LANE_DEAL = 3 << 2,
    WEIR__LANE_RECEIVER = 3 << 2,
    WEIR__LANE_TURN = 1 << 4
};

/* How entering the lane has ended. */
typedef enum weir__lane_entry {
    WEIR__LANE_DONE,    /* a counterpart was there: exchanged */
    WEIR__LANE_STAY,    /* announced: weir__lane_gone tells when it is done */
    WEIR__LANE_PASSING, /* a counterpart is about to announce itself: try again */
    WEIR__LANE_TAKEN    /* no place here: to the queue */
} weir__lane_entry;

/* Gives to, or takes from, a counterpart that waits in the lane. False: there is none. Any thread. dst may be NULL. */
WEIR_API bool weir__lane_meet(weir__chan *c, bool sending, const void *src, void *dst);

/* Whether a counterpart waits in the lane or is about to. */
static inline bool weir__lane_there(weir__chan *c, bool sending)
{
    const uint64_t word = weir__load_sc(&c->lane.word);
    const uint64_t sender = word & WEIR__LANE_SENDER;
    return sending ? (word & WEIR__LANE_RECEIVER) == WEIR__LANE_WANT
                   : sender == WEIR__LANE_OFFERING || sender == WEIR__LANE_OFFER;
}

#endif /* WEIR_CHAN_LANE_H */

/* ==== weir/chan/rendezvous.h ==== */

/* weir/chan/rendezvous.h: channels of capacity 0, where a value goes from hand to hand.
 *
 * Overview
 *   There is no ring. Whoever comes first waits with its value (or with the wish for one); whoever comes second finds it, moves the value
 *   and lets it go. So a send returns 0 only after a receiver has taken the value, and a try succeeds only if a counterpart is waiting
 *   already. Unlike in a buffered channel a wake-up is no hint here: it is the exchange, done.
 *
 *   There are two places to wait in. The lane (chan/lane.h) has room for one thread of each side that is awake, and needs no lock: two threads
 *   at full speed meet there. The queues hold everybody else: who sleeps, who selects, who finds the lane taken, and values that are too
 *   large for it. The way of a call:
 *
 *       enter the lane ──► a counterpart was there: done
 *             │ announced                   │ taken
 *             ▼                             ▼
 *       spin and yield there         under the lock: meet the first of the other queue, or
 *             │ time to sleep        lie down at the back of one's own, and look at the lane once more
 *             ▼                             │
 *       to the front of the queue ──► park ◄┘
 *
 * Invariants of the queues, under the channel's one lock (that of `receivers`, for both)
 *   1. At most one of the two holds a thread that can be claimed, unless both belong to one select, which never meets itself.
 *   2. After closed is set, both are empty for good.
 *   3. A thread's parker is claimed once. The peer claims it HELD, moves the value, writes the status and lets go; the deadline or the
 *      context claims it CANCELLED or with its own ticket. So "exchanged" and "timed out" exclude each other, and the value
 *      of a send that was given up has not been looked at.
 *   4. A thread is in the lane and in a queue at once only under the lock, on its way to sleep.
 *
 * Both sides of a claimed thread's memory are touched only while it is HELD, and it waits that out: a few instructions and a copy.
 *
 * Progress: the lane is lock-free but for one copy; the queues take the lock, and a try waits for peers in it. Blocked: spins, yields and parks on its own parker, by the channel's strategy, where
 * the peer finds it in any of the three phases.
 */
#ifndef WEIR_CHAN_RENDEZVOUS_H
#define WEIR_CHAN_RENDEZVOUS_H


/* The lock that guards both queues. */
static inline weir__lock *weir__meet_lock(weir__chan *c)
{
    return &c->receivers.lock;
}

static inline weir__waitq *weir__meet_queue(weir__chan *c, bool sending)
{
    return sending ? &c->senders : &c->receivers;
}

/* Puts a thread into the queue of its side; takes it off again if it is still there. Locked. */
static inline void weir__meet_link(weir__chan *c, bool sending, weir__waiter *w, bool first)
{
    (first ? weir__waiter_link_first : weir__waiter_link)(&weir__meet_queue(c, sending)->list, w);
    weir__waitq_add(weir__meet_queue(c, sending), 1);
    weir__meet_queue(c, sending)->slept++;
}

static inline void weir__meet_unlink(weir__chan *c, bool sending, weir__waiter *w)
{
    if (!w->linked)
        return;
    weir__waiter_unlink(&weir__meet_queue(c, sending)->list, w);
    weir__waitq_add(weir__meet_queue(c, sending), 0U - 1U);
}

/* Meets the first counterpart that waits: 0 with *wake to be woken once the lock is free (or NULL); EPIPE; EAGAIN. Locked. The caller's
 * thread is in neither queue. */
WEIR_API int weir__meet_exchange(weir__chan *c, bool sending, const void *src, void *dst, weir__atomic_u32 **wake);

/* 0, EPIPE, EAGAIN. */
WEIR_API int weir__meet_try(weir__chan *c, bool sending, const void *src, void *dst);
/* 0, EPIPE, ETIMEDOUT, ECANCELED. */
WEIR_API int weir__meet_send(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline);
WEIR_API int weir__meet_recv(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline);
/* True for the caller that closed. */
WEIR_API bool weir__meet_close(weir__chan *c);

#endif /* WEIR_CHAN_RENDEZVOUS_H */

/* ==== weir/chan/make.h ==== */

/* weir/chan/make.h: making, closing and freeing channels, and asking about them. */
#ifndef WEIR_CHAN_MAKE_H
#define WEIR_CHAN_MAKE_H


/* Zero means the default, for each. */
typedef struct weir_chan_opt {
    weir_wait_strategy wait; /* how its blocked callers wait; WEIR_WAIT_ADAPTIVE */
    const char *name;        /* for people: kept as a pointer, so it outlives the channel */
    void *memory;            /* storage of the caller's, instead of WEIR_ALLOC; in use until weir_chan_free */
    size_t memory_size;      /* at least WEIR_CHAN_BYTES(T, capacity) */
} weir_chan_opt;

/* Bytes that a channel of T with this capacity needs, whatever its kind and the memory's alignment. A constant expression. */
#define WEIR_CHAN_BYTES(T, capacity)                                                                                   \
    (sizeof(weir__chan) + WEIR_CACHE_PAD + ((size_t)(capacity) + 1) * WEIR__SLOT_STRIDE(sizeof(T)) +                   \
     (WEIR__RING_CK_USED ? 2 * ((size_t)(capacity) + 1) * sizeof(T) : 0))

/* int weir_chan_make(CH *ch, size_t capacity)
 * int weir_chan_make_opt(CH *ch, size_t capacity, const weir_chan_opt *opt)
 *     Makes a channel that holds exactly `capacity` values, for a handle of any of the four kinds; capacity 0 is a rendezvous
 *     (chan/rendezvous.h): a send returns when its value has been taken. opt may be NULL.
 *     Returns 0; ENOMEM; EINVAL for a wait strategy that is none, or memory that is too small; EOVERFLOW when that many values cannot be
 *     addressed. On failure the handle is NULL.
 *     One thread; hand the handle to others by any means that synchronizes (starting a thread does). */
#define weir_chan_make(ch, capacity) weir_chan_make_opt((ch), (capacity), NULL)
#define weir_chan_make_opt(ch, capacity, opt)                                                                          \
    weir__chan_make(&(ch)->core, WEIR__KIND((ch)->core), (capacity), sizeof *(ch)->elem, (opt))

/* void weir_chan_free(CH *ch)
 *     Frees the channel, with any values still in it, and sets the handle to NULL; a NULL handle is left alone. Every other call on the
 *     channel has returned before: join its threads, or count them out. A receiver that got EPIPE does not know that the
 *     thread which closed has returned from weir_close. */
#define weir_chan_free(ch) weir__chan_free(&(ch)->core)

/* int weir_close(CH ch)
 *     Closes: later sends fail with EPIPE, blocked ones too and their values stay the callers'; receivers take what is left, then get
 *     EPIPE. Every send that returned 0 is received or still in the channel, whenever it ran. 0; EPIPE: it was closed before; EINVAL:
 *     a NULL handle. Any thread, at any time. Progress: wakes the sleepers under their queue's lock; never waits for room. */
#define weir_close(ch) weir__chan_close(WEIR__CHAN(ch))

/* size_t weir_len(CH ch), size_t weir_cap(CH ch), bool weir_is_closed(CH ch)
 *     How many values are in it, how many fit, whether it was closed. NULL: 0, 0, false. Any thread; len may be old when it arrives. Where
 *     there are several senders, a value that one has claimed room for, and not published yet, counts in len. */
#define weir_len(ch) weir__chan_len(WEIR__CHAN(ch))
#define weir_cap(ch) weir__chan_cap(WEIR__CHAN(ch))
#define weir_is_closed(ch) weir__chan_is_closed(WEIR__CHAN(ch))
/* const char *weir_chan_name(CH ch): the name given when it was made, or "channel". */
#define weir_chan_name(ch) weir__chan_name(WEIR__CHAN(ch))

#define weir__chan_make WEIR__RINGED(weir__chan_make)
#define weir__chan_free WEIR__RINGED(weir__chan_free)
#define weir__chan_close WEIR__RINGED(weir__chan_close)
#define weir__chan_len WEIR__RINGED(weir__chan_len)
#define weir__chan_is_closed WEIR__RINGED(weir__chan_is_closed)

/* handle: the address of a core pointer of any kind. */
WEIR_API int weir__chan_make(void *handle, int kind, size_t capacity, size_t size, const weir_chan_opt *opt);
WEIR_API void weir__chan_free(void *handle);
WEIR_API int weir__chan_close(weir__chan *c);
WEIR_API size_t weir__chan_len(weir__chan *c);
WEIR_API bool weir__chan_is_closed(weir__chan *c);

static inline size_t weir__chan_cap(const weir__chan *c)
{
    return c == NULL ? 0 : (size_t)c->ring.capacity;
}

static inline const char *weir__chan_name(const weir__chan *c)
{
    return c == NULL || c->name == NULL ? "channel" : c->name;
}

#endif /* WEIR_CHAN_MAKE_H */

/* ==== weir/chan/stats.h ==== */

/* weir/chan/stats.h: a channel's numbers.
 *
 *     weir_chan_tally t;
 *     weir_chan_stats(ch, &t);
 *     printf("%s: %zu of %zu, %llu sent, senders slept %llu times\n", t.name, t.len, t.cap, t.sent, t.senders_slept);
 *
 * Nothing is counted for this on a fast path: how many values have gone through is what the ring's two positions say, and those who lie down to sleep are
 * counted under the lock that they hold for it.
 */
#ifndef WEIR_CHAN_STATS_H
#define WEIR_CHAN_STATS_H


typedef struct weir_chan_tally {
    const char *name; /* "channel" if it was given none */
    size_t len, cap;  /* now; as weir_len, weir_cap */
    bool closed;
    /* Since it was made: values that were accepted, and values that were taken, by receivers or by weir_send_latest to make room. On a ck ring modulo 2^32.
     * 0 for rendezvous and timers, which keep no positions. */
    uint64_t sent, received;
    /* Now, those in a select included; of a rendezvous, those in its queues: the first may wait beside them (chan/lane.h). */
    uint32_t senders_asleep, receivers_asleep;
    uint64_t senders_slept, receivers_slept; /* how often one lay down */
} weir_chan_tally;

/* int weir_chan_stats(CH ch, weir_chan_tally *tally)
 *     The numbers of one moment each, not of one moment together; but received is never above sent. 0; EINVAL: a NULL handle, and everything is 0; ENOTRECOVERABLE:
 *     a parent process's. Any thread; takes the locks of those who sleep. */
#define weir_chan_stats(ch, tally) weir__chan_stats(WEIR__CHAN(ch), (tally))
#define weir__chan_stats WEIR__RINGED(weir__chan_stats)
WEIR_API int weir__chan_stats(weir__chan *c, weir_chan_tally *tally);

#endif /* WEIR_CHAN_STATS_H */

/* ==== weir/chan/promise.h ==== */

/* weir/chan/promise.h: a channel on which one value arrives, once, and stays for all who come: what a future waits on (task/future.h).
 *
 *     PENDING ──► SETTING ──► DONE ──► LEFT
 *        ▲           │
 *        └───────────┘ the thread that was to compute it could not be started
 *
 * SETTING belongs to one thread, which writes the value. DONE: it is there, or the code that stands for it, and never changes. LEFT: that thread has
 * woken everybody and touches the promise no more, so whoever frees it waits for LEFT.
 */
#ifndef WEIR_CHAN_PROMISE_H
#define WEIR_CHAN_PROMISE_H


enum { WEIR__PROMISE_PENDING, WEIR__PROMISE_SETTING, WEIR__PROMISE_DONE, WEIR__PROMISE_LEFT };

/* The state is in `closed`, the code in `due`, the value behind the channel. */
#define weir__promise_value(c) ((void *)((c) + 1))

/* Acquire: pairs with the release in weir__promise_end. */
static inline bool weir__promise_done(weir__chan *c)
{
    return weir__load_acq(&c->closed) >= WEIR__PROMISE_DONE;
}
/* 0, or the code that stands for the value. Once it is done. */
static inline int weir__promise_code(weir__chan *c)
{
    return (int)weir__load_rlx(&c->due);
}

#define weir__promise_make WEIR__RINGED(weir__promise_make)
/* A channel with room for a value of this size and `extra` bytes, which are at *beside. Errors as weir_chan_make_opt. */
WEIR_API int weir__promise_make(void *handle, size_t size, size_t extra, void *beside, const weir_chan_opt *opt);
/* 0: done, and copied to dst (NULL: not) if there is a value. EAGAIN. */
WEIR_API int weir__promise_take(weir__chan *c, void *dst);
/* The caller is the one that sets it. */
WEIR_API bool weir__promise_begin(weir__chan *c);
/* It will not, after all. */
WEIR_API void weir__promise_give_up(weir__chan *c);
/* The value has been written, or (code not 0) there is none. Wakes all. The promise may be gone when this returns. */
WEIR_API void weir__promise_end(weir__chan *c, int code);
/* Waits for the thread that sets it, if there is one, to leave. */
WEIR_API void weir__promise_await_left(weir__chan *c);

#endif /* WEIR_CHAN_PROMISE_H */

/* ==== weir/chan/timer.h ==== */

/* weir/chan/timer.h: channels on which the time arrives.
 *
 *     weir_timer t;
 *     weir_after(&t, WEIR_MS(50));      one value, 50 ms from now
 *     weir_tick(&t, WEIR_MS(50));       one every 50 ms, first in 50 ms
 *     weir_recv(ctx, t, &when);         or WEIR_RECV(t, &when) in a select; by any number of threads, each tick goes to one
 *     weir_chan_free(&t);
 *
 * Overview
 *   There is no timer thread, no signal and no buffer: a timer is the number `due`. A receive that finds it in the past moves it on, by
 *   compare-and-swap, and returns the time that was due; one that finds it in the future sleeps until then. A tick that nobody
 *   received is missed, not queued: the next one due is the first that lies ahead, on the same grid.
 *
 *     int weir_after(weir_timer *t, weir_ns ns)      0, ENOMEM. A duration of 0 or less is due at once.
 *     int weir_tick(weir_timer *t, weir_ns ns)       0, ENOMEM; EINVAL for ns <= 0
 *     int weir_timer_stop(t)                         0: it was running; EAGAIN: it had fired or been stopped. Nothing is due any more.
 *                                                    (One that is due at WEIR_FOREVER counts as stopped.)
 *     int weir_timer_reset(t, ns)                    starts it anew: fires ns from now; a ticker ticks every ns from then on.
 *                                                    0; EINVAL for a ticker and ns <= 0
 * stop, reset, weir_close: any thread, together with receives. A value that was due and not received is gone after stop or reset.
 * Sending to a timer: EINVAL. weir_close ends it: EPIPE for all its receivers. weir_len is 0.
 * Source for the meanings: Go's time.After and time.Ticker (as of Go 1.23, where stop and reset leave no stale value behind).
 */
#ifndef WEIR_CHAN_TIMER_H
#define WEIR_CHAN_TIMER_H


typedef weir_chan(weir_ns) weir_timer;

#define weir_after(t, ns) weir__timer_make(&(t)->core, 0 ? (t)->elem : (weir_ns *)NULL, (ns), false)
#define weir_tick(t, ns) weir__timer_make(&(t)->core, 0 ? (t)->elem : (weir_ns *)NULL, (ns), true)
#define weir_timer_stop(t) weir__timer_stop(WEIR__CHAN(t))
#define weir_timer_reset(t, ns) weir__timer_reset(WEIR__CHAN(t), (ns))

#define weir__timer_make WEIR__RINGED(weir__timer_make)

/* `elem` is there for its type alone. */
WEIR_API int weir__timer_make(weir_chan_core **handle, const weir_ns *elem, weir_ns ns, bool periodic);
WEIR_API int weir__timer_stop(weir__chan *c);
WEIR_API int weir__timer_reset(weir__chan *c, weir_ns ns);

/* When the next value is due; WEIR_FOREVER: never. Relaxed: whoever changes it has those who sleep look again, and a take looks for itself. */
static inline weir_ns weir__timer_due(weir__chan *c)
{
    return (weir_ns)weir__load_rlx(&c->due);
}

/* Takes the value that is due: 0, EAGAIN, EPIPE. dst may be NULL. */
WEIR_API int weir__timer_take(weir__chan *c, weir_ns *dst);

#endif /* WEIR_CHAN_TIMER_H */

/* ==== weir/chan/op.h ==== */

/* weir/chan/op.h: one operation on a channel of any flavor, for the paths that are not inline.
 *
 *   flavor       ready to receive            ready to send        moved by
 *   BUFFER       the ring holds a value      the ring has room    ring/ring.h
 *   RENDEZVOUS   a sender waits              a receiver waits     chan/rendezvous.h
 *   TIMER        its time has come           never (EINVAL)       chan/timer.h
 *
 * The inline paths know buffers only: the ring of the other two is one of capacity 0, which is never ready, so they end up here.
 */
#ifndef WEIR_CHAN_OP_H
#define WEIR_CHAN_OP_H


enum { WEIR__OP_SEND, WEIR__OP_RESERVE, WEIR__OP_RECV, WEIR__OP_PEEK };

typedef struct weir__op {
    int what;
    const void *src;   /* SEND */
    void *dst;         /* RECV; may be NULL */
    weir__claim claim; /* RESERVE, PEEK: the result */
} weir__op;

#define weir__op_once WEIR__RINGED(weir__op_once)
#define weir__op_why WEIR__RINGED(weir__op_why)

static inline bool weir__op_sends(const weir__op *op)
{
    return op->what == WEIR__OP_SEND || op->what == WEIR__OP_RESERVE;
}

static inline weir__waitq *weir__op_queue(weir__chan *c, const weir__op *op)
{
    return weir__op_sends(op) ? &c->senders : &c->receivers;
}

/* One attempt: 0, EPIPE, EAGAIN or WEIR__BUSY; EINVAL, ENOTSUP. c is not NULL. */
WEIR_API WEIR_NOINLINE int weir__op_once(weir__chan *c, weir__op *op);

/* Why a buffer or a timer is not ready for op: EAGAIN, WEIR__BUSY, EPIPE; 0 if it is now. By a thread of op's side. */
WEIR_API int weir__op_why(weir__chan *c, const weir__op *op);

#endif /* WEIR_CHAN_OP_H */

/* ==== weir/chan/wait.h ==== */

/* weir/chan/wait.h: what an operation does when the ring is not ready.
 *
 * Overview
 *   take a turn of the backoff (spin, yield); try; … ; park:
 *
 *       join the queue of this side
 *       (A) heavy fence                        pairs with (B) in chan/channel.h
 *       still not ready?  watch the context, sleep until a peer, the context or the deadline ends it
 *       leave the queue
 *
 *   and try again. The try comes before the look at context and clock each time, so a value that is there is returned even when the context has ended or
 *   the deadline has passed; and a timeout is decided by a try that failed, so it never loses a value.
 *
 * A wake-up is never lost with the thread that got it
 *   A publisher wakes one sleeper per value. That sleeper may find that its value is not at the head yet, because an earlier
 *   sender still stands between claim and publish, or it may leave on a timeout at the same moment. Without a rule:
 *       sender 1 claims p, is suspended;  sender 2 publishes p+1, wakes R1;  R1 finds p not ready, sleeps again;
 *       sender 1 publishes p, wakes R1, which takes p;  p+1 stays in the ring while R2 sleeps.
 *   The rule: a thread that was claimed by its queue owes a wake-up (`owes`). When it leaves, with a value or without, it looks
 *   whether the ring is ready for one more of its side, and if so wakes the next sleeper, who then owes in turn. Closed and drained
 *   is ready too: a receiver may lie down after the close has woken everybody, because the last value is claimed and not published
 *   yet; whoever gets that value, or finds it gone, has to tell the others that there will be no more.
 *   Why that suffices. Let the head be ready while somebody sleeps. It became ready by a publish at the head, whose publisher then
 *   woke a sleeper; or because a thread took the value before it. In the second case consider that value in turn, down to the
 *   one whose publisher woke a sleeper: that sleeper has not left yet, or it left after the head was ready and passed the wake on, or
 *   it went to sleep again, after (A) and a look that found the head not ready; whoever made it ready then looked after (B).
 */
#ifndef WEIR_CHAN_WAIT_H
#define WEIR_CHAN_WAIT_H


#define weir__op_wait WEIR__RINGED(weir__op_wait)
#define weir__op_try WEIR__RINGED(weir__op_try)
#define weir__send_slow WEIR__RINGED(weir__send_slow)
#define weir__recv_slow WEIR__RINGED(weir__recv_slow)
#define weir__try_send_slow WEIR__RINGED(weir__try_send_slow)
#define weir__try_recv_slow WEIR__RINGED(weir__try_recv_slow)

/* Waits as long as ctx and deadline allow. 0, EPIPE, ETIMEDOUT, ECANCELED; EINVAL, ENOTSUP from chan/op.h. c may be NULL: a channel
 * that is never ready. */
WEIR_API WEIR_NOINLINE int weir__op_wait(weir_ctx *ctx, weir__chan *c, weir__op *op, weir_ns deadline);
/* 0, EPIPE, or EAGAIN if the channel was not ready at one moment; waits for a peer if that is not known. */
WEIR_API WEIR_NOINLINE int weir__op_try(weir__chan *c, weir__op *op);

/* What the fast paths fall back to: waiting, and not. */
WEIR_API WEIR_NOINLINE int weir__send_slow(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline);
WEIR_API WEIR_NOINLINE int weir__recv_slow(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline);
WEIR_API WEIR_NOINLINE int weir__try_send_slow(weir__chan *c, const void *src);
WEIR_API WEIR_NOINLINE int weir__try_recv_slow(weir__chan *c, void *dst);

/* What a thread that was claimed by the queue of op owes when it leaves: see above. */
WEIR_API void weir__op_pass_on(weir__chan *c, const weir__op *op);

#endif /* WEIR_CHAN_WAIT_H */

/* ==== weir/chan/send_recv.h ==== */

/* weir/chan/send_recv.h: sending and receiving one value.
 *
 *     int weir_send(ctx, ch, &v)         int weir_recv(ctx, ch, &v)             waits as long as ctx lives; ctx NULL: for ever
 *     int weir_send_until(ctx, ch, &v, deadline)   int weir_recv_until(…)       likewise, at most until a point in time
 *     int weir_try_send(ch, &v)          int weir_try_recv(ch, &v)              never waits for room or for a value
 *     int weir_send_latest(ch, &v, &dropped)                                    never waits: drops the oldest values when full
 *
 * Who may call: as many senders and as many receivers at once as the kind of the channel says, and weir_close, weir_len at any time.
 * The value is copied in before the call returns; &v of a receive may be NULL, and the value is dropped.
 *
 * Returns 0 or
 *     EPIPE       send: the channel was closed, and the value has not been sent. recv: it was closed and has been drained.
 *     EAGAIN      try: it was full (empty) at one moment during the call
 *     ETIMEDOUT   the deadline, or the context's, has passed; nothing has been sent or received
 *     ECANCELED   the context was cancelled; likewise
 * A value that is there, or room, comes first: it is looked for before context and deadline are. (A value is not there yet while its
 * sender, or one before it, has not returned.)
 * A NULL channel is never ready: the waiting calls wait until the context ends, the try calls say EAGAIN.
 *
 * Progress, with room (a value) there: one sender, one receiver: wait-free, no atomic read-modify-write, no fence, no call. Several
 * senders (receivers): lock-free, one compare-and-swap. On a ck ring a send waits for earlier senders.
 * EAGAIN waits for a peer that stands between its claim and its publish. Without room (a value): spins, yields, parks.
 */
#ifndef WEIR_CHAN_SEND_RECV_H
#define WEIR_CHAN_SEND_RECV_H


#define weir_send(ctx, ch, ptr) weir_send_until((ctx), ch, (ptr), WEIR_FOREVER)
#define weir_recv(ctx, ch, ptr) weir_recv_until((ctx), ch, (ptr), WEIR_FOREVER)
#define weir_send_until(ctx, ch, ptr, deadline)                                                                        \
    weir__send((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (deadline))
#define weir_recv_until(ctx, ch, ptr, deadline)                                                                        \
    weir__recv((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (deadline))
#define weir_try_send(ch, ptr)                                                                                         \
    weir__try_send(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem)
#define weir_try_recv(ch, ptr)                                                                                         \
    weir__try_recv(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem)

/* For kinds with many receivers, because the sender takes the oldest value away as a receiver would. dropped: a size_t pointer, or
 * NULL; how many values were discarded to make room. 0, EPIPE; EAGAIN for a NULL channel, and for a rendezvous where nobody
 * waits to receive. Values that own memory should not go
 * this way: what is dropped is gone. */
#define weir_send_latest(ch, ptr, dropped)                                                                             \
    weir__send_latest(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr),                                      \
                      sizeof *(ch).elem + WEIR__REQUIRE(WEIR__KIND((ch).core) >= WEIR__SPMC), (dropped))

WEIR_INLINE int weir__send(weir_ctx *ctx, weir__chan *c, int kind, const void *src, size_t size, weir_ns deadline)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_push(c, kind, src, size, &rc)))
        return rc;
    return weir__send_slow(ctx, c, src, deadline);
}

WEIR_INLINE int weir__recv(weir_ctx *ctx, weir__chan *c, int kind, void *dst, size_t size, weir_ns deadline)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_pop(c, kind, dst, size, &rc)))
        return rc;
    return weir__recv_slow(ctx, c, dst, deadline);
}

WEIR_INLINE int weir__try_send(weir__chan *c, int kind, const void *src, size_t size)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_push(c, kind, src, size, &rc)))
        return rc;
    return weir__try_send_slow(c, src);
}

WEIR_INLINE int weir__try_recv(weir__chan *c, int kind, void *dst, size_t size)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_pop(c, kind, dst, size, &rc)))
        return rc;
    return weir__try_recv_slow(c, dst);
}

static inline int weir__send_latest(weir__chan *c, int kind, const void *src, size_t size, size_t *dropped)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    size_t discarded = 0;
    int rc;
    if (dropped != NULL)
        *dropped = 0;
    if (c == NULL || c->flavor != WEIR__BUFFER)
        return weir__try_send_slow(c, src); /* there is no oldest value to drop */
    while (!weir__chan_push(c, kind, src, size, &rc)) {
        rc = weir__chan_inherited(c) ? ENOTRECOVERABLE : weir__ring_why_full(&c->ring, kind, size);
        if (rc == EPIPE || rc == ENOTRECOVERABLE)
            break;
        /* No sender is woken for this place: it is ours, or a faster sender's. */
        if (rc == EAGAIN && weir__ring_pop(&c->ring, kind, NULL, size))
            discarded++;
        else if (rc != 0)
            weir__backoff_peer(&b);
    }
    if (dropped != NULL)
        *dropped = discarded;
    return rc;
}

#endif /* WEIR_CHAN_SEND_RECV_H */

/* ==== weir/chan/inplace.h ==== */

/* weir/chan/inplace.h: building a value where it will lie, and reading it where it lies: no copy.
 *
 *     struct tick *t;
 *     weir_reserve(ctx, ch, &t);   t->price = …;   weir_commit(ch, t);
 *     weir_peek(ctx, ch, &t);      use(t);         weir_release(ch, t);
 *
 * Between reserve and commit the place is taken: later values, though sent, are received only after it (one FIFO). So be quick,
 * and commit every reservation. Likewise a peeked value is gone for other receivers, and its place is not free until it is
 * released. In kinds with several senders (receivers) a thread may hold several places, and give them back in any order (on a
 * ck ring in the order in which it took them); in kinds with one, it holds one at a time.
 * While a thread holds a place it does not call a try-operation of the other side on that channel, nor waits there: both wait for the peer
 * that stands between claim and publish, and that peer is itself.
 *
 *     int weir_reserve(ctx, ch, &slot)   0, EPIPE, ETIMEDOUT, ECANCELED as weir_send
 *     int weir_commit(ch, slot)          0; EPIPE: closed meanwhile, not sent (only in kinds with one sender: with many the
 *                                        reservation came before the close, and counts)
 *     int weir_peek(ctx, ch, &slot)      0, EPIPE, ETIMEDOUT, ECANCELED as weir_recv; ENOTSUP: a ck ring with several receivers
 *     int weir_release(ch, slot)         0
 * ENOTSUP, from reserve and peek: a rendezvous or a timer, where there is no place to build in.
 * Same threads and progress as weir_send and weir_recv.
 */
#ifndef WEIR_CHAN_INPLACE_H
#define WEIR_CHAN_INPLACE_H


#define weir_reserve(ctx, ch, slot)                                                                                    \
    weir__reserve((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM_SLOT(ch, slot), sizeof *(ch).elem)
#define weir_commit(ch, slot)                                                                                          \
    weir__commit(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, slot), sizeof *(ch).elem)
#define weir_peek(ctx, ch, slot)                                                                                       \
    weir__peek((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM_SLOT(ch, slot), sizeof *(ch).elem)
#define weir_release(ch, slot)                                                                                         \
    weir__release(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, slot), sizeof *(ch).elem)

/* slot: the address of an element pointer of the channel's type. */
WEIR_INLINE int weir__reserve(weir_ctx *ctx, weir__chan *c, int kind, void *slot, size_t size)
{
    weir__op op = {WEIR__OP_RESERVE, NULL, NULL, {NULL, 0}};
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_reserve(&c->ring, kind, size, &op.claim))) {
        const int rc = weir__op_wait(ctx, c, &op, WEIR_FOREVER);
        if (rc != 0)
            return rc;
    }
    memcpy(slot, &op.claim.value, sizeof op.claim.value);
    return 0;
}

WEIR_INLINE int weir__commit(weir__chan *c, int kind, void *value, size_t size)
{
    weir__claim claim;
    weir__ring_reclaim(&c->ring, kind, size, false, value, &claim);
    weir__ring_publish(&c->ring, kind, size, &claim);
    return weir__chan_sent(c, claim.pos);
}

WEIR_INLINE int weir__peek(weir_ctx *ctx, weir__chan *c, int kind, void *slot, size_t size)
{
    weir__op op = {WEIR__OP_PEEK, NULL, NULL, {NULL, 0}};
    if (weir__ring_of(kind) == WEIR_RING_CK && weir__many_consumers(kind))
        return ENOTSUP;
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_claim_pop(&c->ring, kind, size, &op.claim))) {
        const int rc = weir__op_wait(ctx, c, &op, WEIR_FOREVER);
        if (rc != 0)
            return rc;
    }
    memcpy(slot, &op.claim.value, sizeof op.claim.value);
    return 0;
}

WEIR_INLINE int weir__release(weir__chan *c, int kind, void *value, size_t size)
{
    weir__claim claim;
    weir__ring_reclaim(&c->ring, kind, size, true, value, &claim);
    weir__ring_release(&c->ring, kind, size, &claim);
    return weir__chan_received(c);
}

#endif /* WEIR_CHAN_INPLACE_H */

/* ==== weir/chan/batch.h ==== */

/* weir/chan/batch.h: many values in one call.
 *
 *     int weir_send_n(ctx, ch, ptr, n, &sent)     sends ptr[0..n-1] in order, waiting for room as it must. 0: all sent. EPIPE, ETIMEDOUT,
 *                                                 ECANCELED: the first *sent of them were, and no others.
 *     int weir_recv_n(ctx, ch, ptr, max, &got)    waits for the first value only, then takes what is there, at most max.
 *                                                 0 with *got >= 1; errors as weir_recv, with *got = 0.
 *
 * One FIFO stays one FIFO: the values of a batch keep their order; those of other senders may come between. sent and got may be
 * NULL; so may ptr of a receive (the values are dropped). n = 0 or max = 0: 0, and nothing happens.
 * Between one sender and one receiver a batch is copied in one piece and published once. Threads and progress as for one value.
 */
#ifndef WEIR_CHAN_BATCH_H
#define WEIR_CHAN_BATCH_H


#define weir_send_n(ctx, ch, ptr, n, sent)                                                                             \
    weir__send_n((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (n), (sent))
#define weir_recv_n(ctx, ch, ptr, max, got)                                                                            \
    weir__recv_n((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (max), (got))

/* Pushes at most n values in one piece, if there is room for one: how many. */
WEIR_INLINE size_t weir__chan_push_run(weir__chan *c, const unsigned char *src, size_t size, size_t n, int *rc)
{
    weir__ring *r = &c->ring;
    weir__claim claim;
    size_t run;
    if (!weir__spsc_claim_push(r, &claim))
        return 0;
    run = weir__spsc_run(r, &r->producer, r->capacity - (claim.pos - r->producer.peer), n, size);
    WEIR_COPY_IN(claim.value, src, run * size);
    weir__spsc_advance(r, &r->producer, claim.pos, run, size);
    *rc = weir__chan_sent(c, claim.pos);
    return run;
}

WEIR_INLINE size_t weir__chan_pop_run(weir__chan *c, unsigned char *dst, size_t size, size_t max)
{
    weir__ring *r = &c->ring;
    weir__claim claim;
    size_t run;
    if (!weir__spsc_claim_pop(r, &claim))
        return 0;
    run = weir__spsc_run(r, &r->consumer, r->consumer.peer - claim.pos, max, size);
    if (dst != NULL)
        WEIR_COPY_OUT(dst, claim.value, run * size);
    weir__spsc_advance(r, &r->consumer, claim.pos, run, size);
    (void)weir__chan_received(c);
    return run;
}

WEIR_INLINE int weir__send_n(weir_ctx *ctx, weir__chan *c, int kind, const void *ptr, size_t size, size_t n,
                             size_t *sent)
{
    const unsigned char *src = (const unsigned char *)ptr;
    size_t done = 0;
    int rc = 0;
    while (done < n) {
        size_t run = 1;
        if (weir__ring_of(kind) == WEIR_RING_CACHED && c != NULL)
            run = weir__chan_push_run(c, src + done * size, size, n - done, &rc);
        else
            rc = weir__send(ctx, c, kind, src + done * size, size, WEIR_FOREVER);
        if (run == 0) {
            rc = weir__send_slow(ctx, c, src + done * size, WEIR_FOREVER);
            run = 1;
        }
        if (rc != 0)
            break;
        done += run;
    }
    if (sent != NULL)
        *sent = done;
    return rc;
}

WEIR_INLINE int weir__recv_n(weir_ctx *ctx, weir__chan *c, int kind, void *ptr, size_t size, size_t max, size_t *got)
{
    unsigned char *dst = (unsigned char *)ptr;
    size_t done = 0, run;
    int rc = 0;
    while (done < max) {
        unsigned char *at = dst == NULL ? NULL : dst + done * size;
        if (weir__ring_of(kind) == WEIR_RING_CACHED && c != NULL)
            run = weir__chan_pop_run(c, at, size, max - done);
        else
            run = weir__chan_pop(c, kind, at, size, &rc) ? 1 : 0;
        if (run == 0) {
            if (done == 0) {
                rc = weir__recv_slow(ctx, c, at, WEIR_FOREVER);
            } else if (c->flavor == WEIR__BUFFER) {
                if (weir__ring_why_empty(&c->ring, kind, size) != 0)
                    break;
                continue; /* a closed ring shows its last values only when asked */
            } else {
                rc = weir__try_recv_slow(c, at); /* no ring shows who waits to meet us */
            }
            if (rc != 0)
                break;
            run = 1;
        }
        done += run;
    }
    if (got != NULL)
        *got = done;
    return done > 0 ? 0 : rc;
}

#endif /* WEIR_CHAN_BATCH_H */

/* ==== weir/chan/case.h ==== */

/* weir/chan/case.h: one case of a select: what it would do, whether it can, and doing it.
 *
 *     WEIR_RECV(ch, ptr)   receive into *ptr (NULL: drop the value)
 *     WEIR_SEND(ch, ptr)   send *ptr
 *     WEIR_DONE(ctx)       ctx has ended
 *
 * Expressions of type weir_case, for an array initialiser or an assignment. The element's type is checked against the channel's. A NULL
 * channel or context is never ready.
 */
#ifndef WEIR_CHAN_CASE_H
#define WEIR_CHAN_CASE_H


typedef struct weir_case {
    int status; /* how the case that was done ended */
    int what;
    weir__chan *chan;
    const void *src;
    void *dst;
    weir_ctx *ctx;
} weir_case;

enum { WEIR__CASE_RECV, WEIR__CASE_SEND, WEIR__CASE_DONE };

static inline weir_case weir__case(int what, weir__chan *chan, const void *src, void *dst, weir_ctx *ctx)
{
    weir_case c;
    c.status = 0;
    c.what = what;
    c.chan = chan;
    c.src = src;
    c.dst = dst;
    c.ctx = ctx;
    return c;
}

#define WEIR_RECV(ch, ptr) weir__case(WEIR__CASE_RECV, WEIR__CHAN(ch), NULL, WEIR__ELEM(ch, ptr), NULL)
#define WEIR_SEND(ch, ptr) weir__case(WEIR__CASE_SEND, WEIR__CHAN(ch), WEIR__ELEM(ch, ptr), NULL, NULL)
#define WEIR_DONE(ctx) weir__case(WEIR__CASE_DONE, NULL, NULL, NULL, (ctx))

static inline weir__op weir__case_op(const weir_case *c)
{
    weir__op op = {c->what == WEIR__CASE_SEND ? WEIR__OP_SEND : WEIR__OP_RECV, c->src, c->dst, {NULL, 0}};
    return op;
}

static inline bool weir__case_meets(const weir_case *c)
{
    return c->chan != NULL && c->chan->flavor == WEIR__RENDEZVOUS;
}

/* Whether time alone can make it ready. */
static inline bool weir__case_timed(const weir_case *c)
{
    return c->what == WEIR__CASE_DONE || (c->chan != NULL && c->chan->flavor == WEIR__TIMER);
}

/* Tries one case: true if it was done, with its status. *busy: a peer stands in the middle of it. */
WEIR_API bool weir__case_try(weir_case *c, bool *busy);
/* The word of a channel that changes whenever it becomes ready for this case, and its state with it; a timer's due changes when its value
 * is taken. */
WEIR_API uint64_t weir__case_seen(const weir_case *c);
/* Whether the time of a timer or of a context has come by `now`. Other than weir_ctx_err it runs no hooks, so it may be asked under
 * locks. */
WEIR_API bool weir__case_due(const weir_case *c, weir_ns now);

#endif /* WEIR_CHAN_CASE_H */

/* ==== weir/chan/select.h ==== */

/* weir/chan/select.h: waiting for whichever of several operations can go on first, and doing exactly that one.
 *
 *     enum { JOB, TICK, QUIT };
 *     weir_case cases[] = {WEIR_RECV(jobs, &job), WEIR_SEND(out, &tick), WEIR_DONE(ctx)};
 *     switch (weir_select(ctx, cases, 3)) { case JOB: … }
 *
 *     int weir_select(ctx, cases, n)                    waits; among ready cases each is equally likely
 *     int weir_select_until(ctx, cases, n, deadline)    at most until a point in time
 *     int weir_select_ordered(ctx, cases, n)            the first listed of the ready ones (a busy first case starves the others)
 *     int weir_try_select(cases, n)                     does not wait; Go's default
 *
 * Returns the index of the case that was done; cases[i].status tells how: 0, or EPIPE if the channel was closed (a closed channel is
 * ready); for WEIR_DONE the context's error. Otherwise nothing was done and the return is minus an error: -EAGAIN (try: no case was
 * ready, all at one moment), -ECANCELED or -ETIMEDOUT (ctx, deadline; ready cases come first), -ENOMEM (more than 64 cases, and no
 * memory), -EINVAL (a send to a timer; cases NULL with n > 0; n above INT_MAX / 2).
 *
 * Cases may name the same channel many times, also to send and to receive: a thread never meets itself. NULL channels and contexts
 * are never ready; with no case that can be, only ctx or the deadline end the wait. What a case that was not done points to is
 * untouched. The strategy of the first channel with one decides how the wait is spent.
 *
 * How it works
 *   1. Poll: try the cases in random order until one is done. Up to 64 cases, nothing is allocated.
 *   2. Before parking, lock all rendezvous channels among the cases, in the order of their addresses; look once more who waits there;
 *      if nobody, lie down in all queues, with one parker; unlock. So two selects that meet over several channels
 *      see each other whole: either finds the other's nodes in place, or takes the locks first.
 *   3. (A) heavy fence, and a last look at buffers, timers and contexts, as in chan/wait.h.
 *   4. Sleep until claimed. Leave every queue. A claim by a rendezvous peer is the exchange, done. Any other claim is a hint: poll again. If
 *      then another case is done, the wake-up of the first is passed on (chan/wait.h).
 *   Not done: locking every channel for every select, as Go does; a buffered channel's fast path knows no lock.
 *
 * Trying is one moment
 *   -EAGAIN says that no case was ready at one moment. Looking at one channel after the other does not show that: a value may come into
 *   the first after the look at it and leave the second before. So the tail (for a send: the head) of each channel is noted before
 *   its look, and compared once all have been looked at: as long as it stands still, an empty channel stays empty, a full one full. In
 *   between, with all rendezvous channels locked, timers and contexts are looked at: those not due then were not due before.
 *
 * Threads: as many selects on a channel at once as its kind allows senders or receivers. Sources: Go's runtime/select.go for the
 * meanings; crossbeam-channel's select.rs for hints and rendezvous in one select.
 */
#ifndef WEIR_CHAN_SELECT_H
#define WEIR_CHAN_SELECT_H


#define weir_select WEIR__RINGED(weir_select)
#define weir_select_until WEIR__RINGED(weir_select_until)
#define weir_select_ordered WEIR__RINGED(weir_select_ordered)
#define weir_try_select WEIR__RINGED(weir_try_select)

WEIR_API int weir_select(weir_ctx *ctx, weir_case *cases, size_t n);
WEIR_API int weir_select_until(weir_ctx *ctx, weir_case *cases, size_t n, weir_ns deadline);
WEIR_API int weir_select_ordered(weir_ctx *ctx, weir_case *cases, size_t n);
WEIR_API int weir_try_select(weir_case *cases, size_t n);

#define weir__select_in WEIR__RINGED(weir__select_in)
/* weir_select for a caller that selects again and again: memory of weir__select_bytes(n), on a multiple of 16, is where it keeps what it needs for more
 * than 64 cases, so that nothing is allocated. */
WEIR_API int weir__select_in(weir_ctx *ctx, weir_case *cases, size_t n, void *memory);
WEIR_API size_t weir__select_bytes(size_t n);

#endif /* WEIR_CHAN_SELECT_H */

/* ==== weir/sync/line.h ==== */

/* weir/sync/line.h: who waits for a once, a waitgroup, a semaphore, a group: a FIFO under a lock.
 *
 * A channel's queue (park/waitq.h) only hints: the woken thread looks again. Here the waker decides, under the lock, and what it has decided
 * stands: the woken thread has been given what it asked for. So the order of arrival is the order of service, and nobody who comes later can
 * be faster.
 *
 * Who owns the memory
 *   A node lies on the waiting thread's stack. It leaves the line under the lock: taken out by a waker, or by its owner that gives up. In both
 *   cases the owner takes the lock once more before it returns, so whoever woke it has released the lock by then. So what the line is a part of
 *   may be freed by the thread that has just been woken: the last touch of the waker's is behind it. (The futex wakes
 *   that follow use addresses alone: core/futex.h.)
 *
 * All zeros is an empty line, free.
 */
#ifndef WEIR_SYNC_LINE_H
#define WEIR_SYNC_LINE_H


typedef struct weir__line {
    weir__lock lock;
    weir__waiter_list list;
} weir__line;

/* Futexes to wake once the lock is free: a woken thread needs it. When it is full it is emptied under the lock, which costs time and
 * nothing else. */
typedef struct weir__line_wakes {
    weir__atomic_u32 *futex[16];
    unsigned count;
} weir__line_wakes;

/* Called locked, returns locked; in between waits, at the end of the list, until a waker claims `node`, whose status it has set (0 unless it
 * says otherwise). Returns that; or ECANCELED, ETIMEDOUT: nobody has claimed it, and it has left the list. */
WEIR_API int weir__list_wait(weir__lock *lock, weir__waiter_list *list, weir__waiter *node, weir__wait *w);

/* Takes `node` out, wherever it stands, and claims it with a status. Locked. False: it had given up. */
WEIR_API bool weir__list_pick(weir__waiter_list *list, weir__waiter *node, int status, weir__line_wakes *wakes);
/* Takes out and claims the first that has not given up. Locked. False: there is none, and the list is empty. */
WEIR_API bool weir__list_call(weir__waiter_list *list, int status, weir__line_wakes *wakes);
/* Calls all. Locked. */
WEIR_API void weir__list_call_all(weir__waiter_list *list, int status, weir__line_wakes *wakes);

/* Releases the lock, then wakes. */
WEIR_API void weir__line_release(weir__lock *lock, weir__line_wakes *wakes);

#define weir__line_wait(l, node, w) weir__list_wait(&(l)->lock, &(l)->list, (node), (w))

#endif /* WEIR_SYNC_LINE_H */

/* ==== weir/sync/once.h ==== */

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

/* ==== weir/sync/waitgroup.h ==== */

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

/* ==== weir/sync/sem.h ==== */

/* weir/sync/sem.h: a counting semaphore: as many units as its size, taken and given back in any number, first come first served.
 *
 *     static weir_sem room = WEIR_SEM_INIT(8);
 *     if (weir_sem_acquire(ctx, &room, 3) == 0) { …; weir_sem_release(&room, 3); }
 *
 * Meaning
 *   FIFO: a large request at the head is not overtaken by small ones behind it, which would starve it; so weir_sem_try_acquire fails while
 *   anybody waits, whatever is free. An acquire that gives up at the head lets those behind it have a look.
 *   Admission: a context that has ended gets nothing, units or not; one that ends while its grant is under way gives the units back.
 *   A request for more than the size fails at once, for it could wait for ever; so does one that is waiting when the size shrinks below it.
 *   Resizing a semaphore that is in use: growing serves whoever now fits; shrinking takes effect as holders release.
 *
 * The word
 *       63……33  size     32  SOMEBODY WAITS     31……0  free units, in two's complement: below 0 after a shrink
 *   All three in one word, so that the uncontended calls are one compare-and-swap each, and see a size that belongs to the units. While the bit
 *   is set only the holder of the line's lock changes the word. The bit is set and cleared under the lock: it is set whenever the line is not empty.
 *
 * Who may call what at once: anything, from any number of threads. Whoever has returned from acquire may free the semaphore, if nobody else
 * uses it: the release that let it go on has let go of the memory (sync/line.h).
 */
#ifndef WEIR_SYNC_SEM_H
#define WEIR_SYNC_SEM_H


typedef struct weir_sem {
    weir__atomic_u64 word;
    weir__line line;
} weir_sem;

#define WEIR_SEM_MAX INT32_MAX
/* clang-format off */
#define WEIR_SEM_INIT(size) {(uint64_t)(size) << 33 | (uint64_t)(size), {0, {NULL, NULL}}}
/* clang-format on */

#define WEIR__SEM_WAITED (UINT64_C(1) << 32)
WEIR_INLINE int64_t weir__sem_free(uint64_t word)
{
    return (int32_t)(uint32_t)word;
}
WEIR_INLINE int64_t weir__sem_size(uint64_t word)
{
    return (int64_t)(word >> 33);
}
/* The word with `free` units; size and bit stay. */
WEIR_INLINE uint64_t weir__sem_with(uint64_t word, int64_t free)
{
    return (word & ~(uint64_t)UINT32_MAX) | (uint32_t)free;
}

/* size: 0 … WEIR_SEM_MAX, all units free. EINVAL: it is not. */
WEIR_API int weir_sem_init(weir_sem *sem, int64_t size);
/* 0, EINVAL. Requests that wait for more than the new size end with EINVAL. Any thread. */
WEIR_API int weir_sem_resize(weir_sem *sem, int64_t size);
/* What is free at this moment; below 0: so many are to be released before the semaphore is as small as it was told to be. */
WEIR_API int64_t weir_sem_available(weir_sem *sem);
WEIR_API int64_t weir_sem_size(weir_sem *sem);

WEIR_API int weir__sem_acquire_slow(weir_ctx *ctx, weir_sem *sem, int64_t n, weir_ns deadline);
WEIR_API int weir__sem_release_slow(weir_sem *sem, int64_t n);

/* 0: taken. EAGAIN: not that many are free, or somebody waits. EINVAL: n is negative or above the size. Lock-free. */
static inline int weir_sem_try_acquire(weir_sem *sem, int64_t n)
{
    uint64_t seen = weir__load_rlx(&sem->word);
    do {
        if (WEIR_UNLIKELY(n < 0 || n > weir__sem_size(seen)))
            return EINVAL;
        if ((seen & WEIR__SEM_WAITED) != 0 || weir__sem_free(seen) < n)
            return EAGAIN;
        /* Acquire: what the one who released before us did. Release is release's. */
    } while (!weir__cas_acq(&sem->word, &seen, weir__sem_with(seen, weir__sem_free(seen) - n)));
    return 0;
}

/* Waits until n units are free and takes them. 0; ECANCELED, ETIMEDOUT (also when ctx has ended before the call); EINVAL: n is negative, or above the size,
 * now or after a resize. Progress: lock-free when they are free and nobody waits, else parks. */
static inline int weir_sem_acquire_until(weir_ctx *ctx, weir_sem *sem, int64_t n, weir_ns deadline)
{
    const int err = ctx == NULL ? 0 : weir_ctx_err(ctx);
    int rc;
    if (WEIR_UNLIKELY(err != 0))
        return err;
    rc = weir_sem_try_acquire(sem, n);
    return WEIR_LIKELY(rc != EAGAIN) ? rc : weir__sem_acquire_slow(ctx, sem, n, deadline);
}

static inline int weir_sem_acquire(weir_ctx *ctx, weir_sem *sem, int64_t n)
{
    return weir_sem_acquire_until(ctx, sem, n, WEIR_FOREVER);
}

/* Gives n units back, and lets those who wait for them go on. EINVAL: more than were taken; nothing has changed. Any thread, also one that took
 * none. Progress: lock-free when nobody waits, else takes a lock. */
static inline int weir_sem_release(weir_sem *sem, int64_t n)
{
    uint64_t seen = weir__load_rlx(&sem->word);
    do {
        if (WEIR_UNLIKELY(n < 0 || n > weir__sem_size(seen) - weir__sem_free(seen)))
            return EINVAL;
        if (WEIR_UNLIKELY((seen & WEIR__SEM_WAITED) != 0))
            return weir__sem_release_slow(sem, n);
    } while (!weir__cas_rel(&sem->word, &seen, weir__sem_with(seen, weir__sem_free(seen) + n)));
    return 0;
}

#endif /* WEIR_SYNC_SEM_H */

/* ==== weir/obs/hist.h ==== */

/* weir/obs/hist.h: a histogram of latencies that keeps three significant digits.
 *
 * Overview
 *   Log-linear buckets, as in HdrHistogram (G. Tene): values below 2 * HALF are exact; above, each power of two is cut into HALF = 1024 equal
 *   buckets, so that values which differ by a thousandth lie in different ones, and a reported value, the middle of its bucket, is at most 0.05 %
 *   off. Values of 2^40 ns (18 minutes) and above share the last bucket; the maximum is kept exactly. A histogram is 250 KiB, the caller's
 *   memory, and never allocates.
 *
 * Coordinated omission
 *   Who sends a request, waits for the answer, and sends the next, measures nothing while one answer takes long: the requests that should have gone
 *   out meanwhile, and would have waited too, are missing from the picture. weir_hist_record_corrected puts them in: a value v at an expected
 *   interval of i counts as v, v - i, v - 2i, … down to i. Better still is to measure from when a request was due.
 *   Source: HdrHistogram's recordValueWithExpectedInterval.
 *
 * Who may call what at once
 *   record: any number of threads, together with all else: one atomic add, wait-free, and for a new maximum compare-and-swaps, lock-free.
 *   What reads, merge's source too: any thread; what is recorded meanwhile may or may not be in. init: one thread, before.
 *   All relaxed: a count says nothing about other memory.
 */
#ifndef WEIR_OBS_HIST_H
#define WEIR_OBS_HIST_H


#define WEIR__HIST_HALF_BITS 10
#define WEIR__HIST_HALF ((size_t)1 << WEIR__HIST_HALF_BITS)
#define WEIR__HIST_TOP_BITS 40
#define WEIR__HIST_BUCKETS ((WEIR__HIST_TOP_BITS - WEIR__HIST_HALF_BITS + 1) * WEIR__HIST_HALF)

typedef struct weir_hist {
    weir__atomic_u64 max;
    weir__atomic_u64 counts[WEIR__HIST_BUCKETS];
} weir_hist;

WEIR_API void weir_hist_init(weir_hist *h);

/* The bucket of a value: the power of two that it lies in, above the first two, and the HALF steps within. */
static inline size_t weir__hist_bucket(uint64_t value)
{
    unsigned power; /* so that value >> power lies in [HALF, 2 * HALF) */
    if (value < 2 * WEIR__HIST_HALF)
        return (size_t)value;
    power = 63U - (unsigned)__builtin_clzll(value) - WEIR__HIST_HALF_BITS;
    if (power > WEIR__HIST_TOP_BITS - 1 - WEIR__HIST_HALF_BITS)
        return WEIR__HIST_BUCKETS - 1;
    return (size_t)(power * WEIR__HIST_HALF + (value >> power));
}

static inline void weir__hist_raise(weir_hist *h, uint64_t value)
{
    uint64_t max = weir__load_rlx(&h->max);
    while (value > max && !weir__cas_rlx(&h->max, &max, value)) {}
}

/* Counts one value, in nanoseconds or any unit; negative ones count as 0. */
static inline void weir_hist_record(weir_hist *h, weir_ns value)
{
    const uint64_t v = value > 0 ? (uint64_t)value : 0;
    (void)weir__add_rlx(&h->counts[weir__hist_bucket(v)], 1);
    weir__hist_raise(h, v);
}

/* Counts one value, and those that were not measured because it took so long (see above). interval: between two values, as it should be; 0 or
 * below: as weir_hist_record. One add for each bucket on the way, however many values. */
WEIR_API void weir_hist_record_corrected(weir_hist *h, weir_ns value, weir_ns interval);

/* Adds what `from` has counted to `into`. */
WEIR_API void weir_hist_merge(weir_hist *into, weir_hist *from);
WEIR_API uint64_t weir_hist_count(weir_hist *h);
/* How many values do not exceed `value`, as far as their bucket tells: those in the same bucket count as not exceeding it. */
WEIR_API uint64_t weir_hist_count_to(weir_hist *h, weir_ns value);
/* The sum of all values, at most 0.05 % off, if none is above 2^40: made from the buckets, so that nobody pays for it who does not ask. */
WEIR_API double weir_hist_sum(weir_hist *h);
/* The largest value, exactly; 0 if none. */
WEIR_API weir_ns weir_hist_max(weir_hist *h);
/* The value that `percent` % of the values do not exceed: the middle of its bucket, and never above the maximum. percent is cut to
 * 0..100; 100 is the maximum. 0 if nothing was recorded. */
WEIR_API weir_ns weir_hist_percentile(weir_hist *h, double percent);

#endif /* WEIR_OBS_HIST_H */

/* ==== weir/obs/text.h ==== */

/* weir/obs/text.h: text into a caller's buffer or a file, for formats that others read: no locale, always valid UTF-8.
 *
 * A buffer that is too small gets the beginning, and what would have been needed is counted on; it always ends with a 0. Nothing is allocated.
 * One thread at a time.
 */
#ifndef WEIR_OBS_TEXT_H
#define WEIR_OBS_TEXT_H


#include <stdio.h>
#include <string.h>

typedef struct weir__text {
    FILE *file; /* NULL: into the buffer */
    char *to;
    size_t size, needed; /* needed: without the 0 at the end */
    bool failed;         /* writing the file */
} weir__text;

WEIR_API void weir__text_init(weir__text *t, FILE *file, char *to, size_t size);
WEIR_API void weir__text_put(weir__text *t, const char *bytes, size_t n);
WEIR_API void weir__text_string(weir__text *t, const char *s);
WEIR_API void weir__text_u64(weir__text *t, uint64_t value);
/* The shortest of 15 to 17 digits that reads back as the same; NaN, +Inf, -Inf. The point is a point in every locale. */
WEIR_API void weir__text_double(weir__text *t, double value);
/* Puts each character of s; of one that is ASCII, whatever `ascii` puts for it; for a byte that is not UTF-8, U+FFFD. */
WEIR_API void weir__text_escaped(weir__text *t, const char *s, void (*ascii)(weir__text *t, char c));
/* 0; EOVERFLOW: the buffer is too small; EIO: the file took not all. */
WEIR_API int weir__text_end(weir__text *t);

#endif /* WEIR_OBS_TEXT_H */

/* ==== weir/obs/prometheus.h ==== */

/* weir/obs/prometheus.h: writes metrics in the text form that Prometheus scrapes, into a caller's buffer or a file.
 *
 *     weir_label in[] = {{"channel", "jobs"}, {"side", "send"}};
 *     weir_prometheus_init(&p, buffer, sizeof buffer);
 *     weir_prometheus_family(&p, "waits_total", "How often a thread had to sleep.", WEIR_PROMETHEUS_COUNTER);
 *     weir_prometheus_count(&p, in, 2, waits);
 *     weir_prometheus_family(&p, "latency_seconds", "From send to receive.", WEIR_PROMETHEUS_SUMMARY);
 *     weir_prometheus_hist(&p, in, 2, &latency, NULL);
 *     rc = weir_prometheus_end(&p, &needed);                   0, or EOVERFLOW: the buffer needs `needed` bytes
 *
 * Meaning
 *   A family is a name with its help and type, written once; then come its values, one for each set of labels. The format wants all values of a
 *   family in one place: a name is not to be used again after another. Prometheus measures in seconds, so histograms, which count nanoseconds, are
 *   divided by 10^9 unless told otherwise.
 *   Names are checked, and a call with a bad one writes nothing; label values and help may be any text, and what is not UTF-8 in it becomes U+FFFD.
 *   What is read of a histogram while others record is some moment of each bucket: buckets never decrease, and the count is that of the last.
 *
 * Nothing is allocated. One thread at a time. Content type: text/plain; version=0.0.4.
 * Source: "Exposition formats", prometheus.io/docs/instrumenting/exposition_formats.
 */
#ifndef WEIR_OBS_PROMETHEUS_H
#define WEIR_OBS_PROMETHEUS_H


enum {
    WEIR_PROMETHEUS_UNTYPED,
    WEIR_PROMETHEUS_COUNTER,
    WEIR_PROMETHEUS_GAUGE,
    WEIR_PROMETHEUS_HISTOGRAM,
    WEIR_PROMETHEUS_SUMMARY
};

typedef struct weir_label {
    const char *name, *value; /* value: NULL is "" */
} weir_label;

/* Zero means the default, for each. */
typedef struct weir_prometheus_hist_opt {
    /* histogram: upper bounds in the metric's unit, rising; 1e-6 to 10, a decade each. summary: quantiles; .5 .9 .99 .999 1 */
    const double *points;
    size_t point_count; /* of `points` */
    double unit;        /* so many of what was recorded make one of the metric's; 1e9 */
} weir_prometheus_hist_opt;

typedef struct weir_prometheus {
    weir__text text;
    const char *family; /* NULL: none yet */
    int type;
} weir_prometheus;

/* Begins a text in a buffer of `size` bytes, which may be 0 (then only counts), or in a file that is open for writing. */
WEIR_API void weir_prometheus_init(weir_prometheus *p, char *buffer, size_t size);
WEIR_API void weir_prometheus_init_file(weir_prometheus *p, FILE *file);

/* What the following values belong to. name is kept as a pointer until the next one; help may be NULL. The same name as the last one's writes
 * nothing again. EINVAL: a name that is not [a-zA-Z_:][a-zA-Z0-9_:]*, no such type, another type than it had. */
WEIR_API int weir_prometheus_family(weir_prometheus *p, const char *name, const char *help, int type);

/* One value with these labels. EINVAL: no family, one of histograms or summaries; a label's name that is not [a-zA-Z_][a-zA-Z0-9_]*, that begins
 * with "__", or that stands there twice. */
WEIR_API int weir_prometheus_value(weir_prometheus *p, const weir_label *labels, size_t n, double value);
/* The same for a whole number, exactly. */
WEIR_API int weir_prometheus_count(weir_prometheus *p, const weir_label *labels, size_t n, uint64_t value);
/* A histogram, as buckets or as quantiles, after the family's type; opt may be NULL. EINVAL also: another type of family; a label called "le" or
 * "quantile"; bounds that do not rise or are below 0, quantiles outside 0 to 1, a unit below 0. */
WEIR_API int weir_prometheus_hist(weir_prometheus *p, const weir_label *labels, size_t n, weir_hist *h,
                                  const weir_prometheus_hist_opt *opt);

/* Ends it. *needed (may be NULL): the bytes that the whole text takes, its 0 at the end included. 0; EOVERFLOW: the buffer has only the beginning;
 * EIO: the file took not all. More may be written after it. */
WEIR_API int weir_prometheus_end(weir_prometheus *p, size_t *needed);

#endif /* WEIR_OBS_PROMETHEUS_H */

/* ==== weir/obs/tally.h ==== */

/* weir/obs/tally.h: the numbers of channels, and of whatever else keeps a tally, as Prometheus scrapes them.
 *
 *     weir_chan_tally t[2];
 *     weir_chan_stats(jobs, &t[0]);
 *     weir_chan_stats(results, &t[1]);
 *     weir_prometheus_channels(&p, t, 2);                       weir_channel_sent_total{channel="jobs"} 4711 …
 *
 * A tally is a struct of whole numbers. What its fields are called and what they mean stands in a table, one line for each family; the families are
 * written one after the other, each with the values of all tallies, as the format wants it.
 */
#ifndef WEIR_OBS_TALLY_H
#define WEIR_OBS_TALLY_H


/* The families weir_channel_…, of n channels, told apart by the label "channel": give them names that differ. 0, or the first error of
 * weir_prometheus_family. */
WEIR_API int weir_prometheus_channels(weir_prometheus *p, const weir_chan_tally *tallies, size_t n);

/* One family: a field of a tally. Its size says what it is: bool, unsigned, or a number of 64 bits. */
typedef struct weir__tally_field {
    const char *family, *help;
    int type;
    size_t offset, size;
} weir__tally_field;
#define WEIR__TALLY_FIELD(family, type, tally, field, help)                                                            \
    {                                                                                                                  \
        family, help, type, offsetof(tally, field), sizeof(((tally *)0)->field)                                        \
    }

/* n tallies of `stride` bytes, each of which begins with its name (const char *), which becomes the value of `label`. */
WEIR_API int weir__prometheus_tallies(weir_prometheus *p, const weir__tally_field *fields, size_t field_count,
                                      const char *label, const void *tallies, size_t n, size_t stride);

#endif /* WEIR_OBS_TALLY_H */

/* ==== weir/obs/correlation.h ==== */

/* weir/obs/correlation.h: a number that a request keeps on its way: contexts carry it to whatever runs below them.
 *
 *     weir_ctx request;
 *     weir_correlation_init(&request, parent, 4711);
 *     …in a task of a group, a pool or a pipeline under it:   log("%llu: …", weir_correlation(ctx));
 *
 * The nearest number upwards counts. 0 is none. As many bits as a pointer has are kept.
 */
#ifndef WEIR_OBS_CORRELATION_H
#define WEIR_OBS_CORRELATION_H


/* A key that is the same in every unit, also under WEIR_STATIC, where each has variables of its own: no object lies at an odd address at the top of
 * memory. */
#define WEIR__CORRELATION_KEY ((const void *)(uintptr_t)(UINTPTR_MAX - 2))

/* As weir_ctx_init_value. id: 0 hides one from above. */
WEIR_API void weir_correlation_init(weir_ctx *ctx, weir_ctx *parent, uint64_t id);
/* The same for a context that carries nothing, or another number, and that nobody else uses now: for a thread that serves one request after the other. */
static inline void weir__correlation_set(weir_ctx *ctx, uint64_t id)
{
    ctx->key = WEIR__CORRELATION_KEY;
    ctx->value = (void *)(uintptr_t)id;
}
/* The number; 0: none, or ctx is NULL. Any thread; wait-free: some steps for each context on the way. */
WEIR_API uint64_t weir_correlation(const weir_ctx *ctx);

#endif /* WEIR_OBS_CORRELATION_H */

/* ==== weir/obs/trace.h ==== */

/* weir/obs/trace.h: what ran when, on which thread, and for which request, for chrome://tracing and ui.perfetto.dev.
 *
 *     static weir_trace_event events[10000];
 *     weir_trace_init(&trace, events, 10000, NULL);
 *     …anywhere:  const weir_ns begun = weir_now();
 *                 rows = parse(line);
 *                 weir_trace_record(&trace, "parse", "stage", begun, weir_now(), weir_correlation(ctx));
 *     weir_trace_write(&trace, file);                          a JSON file that these programs open
 *
 * Meaning
 *   Events are kept in the caller's array; the first that fit, or (newest) the last, as a flight recorder does. The rest is counted.
 *   One with a correlation id is joined by arrows with the others that have it, in the order in which they began.
 *   A NULL trace records nothing, and costs a comparison.
 *
 * Implementation
 *   Whoever records takes a number, which says the slot, and locks the slot by changing its stamp, without ever waiting: if somebody else is in it
 *   (one that is a whole lap behind or ahead, or weir_trace_write, which copies it), the event is dropped and counted.
 *       stamp    0 empty     BUSY somebody is in it     else 1 + the number of its event
 *   An event that comes to a slot with a later one than itself is dropped: it has been overtaken by a whole lap.
 *
 * Who may call what at once: init, one thread, before. All else: any thread. Progress: record is wait-free; a system call or two for a thread's
 * first event.
 *
 * Source: "Trace Event Format", Google, 2016: complete events (X), flow events (s, t, f), metadata (M).
 */
#ifndef WEIR_OBS_TRACE_H
#define WEIR_OBS_TRACE_H


typedef struct weir_trace_event {
    weir__atomic_u64 stamp;
    const char *name, *category;
    weir_ns begin, end;
    uint64_t id; /* the correlation id; 0: none */
    long thread; /* the system's number */
    char thread_name[16];
} weir_trace_event;

/* Zero means the default, for each. */
typedef struct weir_trace_opt {
    bool newest; /* keep the last events, not the first */
} weir_trace_opt;

typedef struct weir_trace {
    weir__atomic_u64 next; /* the number of the next event, from 0 */
    weir_trace_event *events;
    size_t capacity;
    weir_trace_opt opt;
} weir_trace;

/* events: `capacity` of them, the caller's, which outlive the trace. opt may be NULL, and is copied. EINVAL: no capacity. */
WEIR_API int weir_trace_init(weir_trace *t, weir_trace_event *events, size_t capacity, const weir_trace_opt *opt);

WEIR_API void weir__trace_keep(weir_trace *t, const char *name, const char *category, weir_ns begin, weir_ns end,
                               uint64_t id);

/* name and category are kept as pointers. begin, end: points on weir_now's clock, 0 or later; an end before the beginning counts as the beginning.
 * id: 0 is none. */
static inline void weir_trace_record(weir_trace *t, const char *name, const char *category, weir_ns begin, weir_ns end,
                                     uint64_t id)
{
    if (t != NULL)
        weir__trace_keep(t, name, category, begin, end, id);
}

/* How many events are kept, and how many have been dropped or overwritten; exact while nobody records. */
WEIR_API size_t weir_trace_count(weir_trace *t);
WEIR_API uint64_t weir_trace_dropped(weir_trace *t);

/* Writes all that is kept, sorted by the time of their beginning, as JSON. 0; ENOMEM: it needs memory for a copy, and nothing is written; EIO: the
 * file took not all. Others may record meanwhile; what they want to put into the slot that is being copied is dropped. */
WEIR_API int weir_trace_write(weir_trace *t, FILE *file);

#endif /* WEIR_OBS_TRACE_H */

/* ==== weir/obs/threads.h ==== */

/* weir/obs/threads.h: prints the roll of the library's threads (park/roll.h), for whoever looks for one that has been left behind.
 *
 *     thread 4711  sink     in recv on "jobs" for 1.204 s, runs resize
 */
#ifndef WEIR_OBS_THREADS_H
#define WEIR_OBS_THREADS_H


#include <stdio.h>

/* A line for each thread that the library has started and that has not ended: its system id, its name, what it sleeps on and since when, the task
 * that it runs; the youngest first. Any thread; threads that start, end or park meanwhile wait for the printing. */
WEIR_API void weir_threads(FILE *file);

#endif /* WEIR_OBS_THREADS_H */

/* ==== weir/task/runner.h ==== */

/* weir/task/runner.h: where tasks run: what a pool, or an executor of the program's own, offers to groups and futures. */
#ifndef WEIR_TASK_RUNNER_H
#define WEIR_TASK_RUNNER_H


/* run: has fn(arg) called once, by another thread, soon; may wait for room as long as ctx lives. 0: it will be called; else an error code, and it
 * will not. Called by any number of threads at once. */
typedef struct weir_runner {
    int (*run)(struct weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg);
} weir_runner;

#endif /* WEIR_TASK_RUNNER_H */

/* ==== weir/task/group_queue.h ==== */

/* weir/task/group_queue.h: the tasks of a group between go and the thread that runs them, oldest first.
 *
 * It has room for 32, and needs no more with threads of the group, which soon take what is there. A runner may be long behind, and its only thread may
 * be the one that starts tasks: for a runner the queue grows. What it allocates it keeps until the group's wait.
 *
 * Who may call what at once: all under the group's lock.
 */
#ifndef WEIR_TASK_GROUP_QUEUE_H
#define WEIR_TASK_GROUP_QUEUE_H


enum { WEIR__GROUP_QUEUE = 32 };

typedef struct weir__group_task {
    weir_task_fn *fn;
    void *arg;
} weir__group_task;

/* Zeros: empty. */
typedef struct weir__group_queue {
    weir__group_task fixed[WEIR__GROUP_QUEUE];
    weir__group_task *larger; /* of `room`, instead of `fixed`, once there were more; NULL */
    unsigned room, first, count;
} weir__group_queue;

static inline unsigned weir__group_room(const weir__group_queue *q)
{
    return q->larger == NULL ? (unsigned)WEIR__GROUP_QUEUE : q->room;
}

/* The i-th task, or the place for it. */
static inline weir__group_task *weir__group_at(weir__group_queue *q, unsigned i)
{
    return (q->larger == NULL ? q->fixed : q->larger) + (q->first + i) % weir__group_room(q);
}

/* There is room. */
static inline void weir__group_put(weir__group_queue *q, weir_task_fn *fn, void *arg)
{
    weir__group_task *task = weir__group_at(q, q->count++);
    task->fn = fn;
    task->arg = arg;
}

/* The oldest; there is one. */
static inline weir__group_task weir__group_take(weir__group_queue *q)
{
    const weir__group_task task = *weir__group_at(q, 0);
    q->first = (q->first + 1) % weir__group_room(q);
    q->count--;
    return task;
}

/* Takes the newest such task back out. False: it is not there any more. */
WEIR_API bool weir__group_take_back(weir__group_queue *q, weir_task_fn *fn, void *arg);

/* Twice the room. 0, ENOMEM. */
WEIR_API int weir__group_widen(weir__group_queue *q);

/* Frees what it has allocated; it is empty. */
WEIR_API void weir__group_shrink(weir__group_queue *q);

#endif /* WEIR_TASK_GROUP_QUEUE_H */

/* ==== weir/task/group.h ==== */

/* weir/task/group.h: tasks that belong together: they run at the same time, the first to fail ends the others, and wait joins them all.
 *
 *     weir_group g = WEIR_GROUP_INIT;            or weir_group_init(&g, ctx, &(weir_group_opt){.limit = 4})
 *     for (int i = 0; i < n; i++)
 *         if ((rc = weir_group_go(ctx, &g, fetch, &pages[i])) != 0) break;
 *     rc = weir_group_wait(&g);                  the first error of a task, after all have returned
 *
 * Meaning (after Go's x/sync/errgroup)
 *   The first task that returns non-zero cancels the group's context with its code as the cause; that code is what wait returns. The context is
 *   cancelled before the task's place is free, so whoever gets the place finds it so.
 *   wait returns after every task has, and after every thread that the group has started is joined: what tasks point to may be on the caller's
 *   stack. It cancels the context on success too.
 *   limit: so many tasks at once; weir_group_go waits, in order of arrival, for a place; weir_group_try_go does not, and does not mind those who
 *   wait. A task may start others; at the limit with go it waits for a place as any other, and if all do that they wait for each other: use try_go there.
 *   A group that has been waited for may be used again; it keeps its first error, and its context has ended.
 *
 * Threads: the group starts one when a task finds none idle, keeps it, and never has more than the limit (or than were running at once). With
 * a runner in the options they are the runner's.
 *
 * Who may call what at once: go, try_go, cancel, errors: any thread. wait: one thread, while no other than the group's own tasks calls go.
 *
 * Implementation
 *   One lock. `places` counts tasks that have been accepted and have not returned. Under the lock places <= threads, so an accepted task has a thread
 *   that will take it: threads are interchangeable, and so are the tasks in the short queue between go and them. A place that becomes free goes to
 *   the first of those who wait for one, without becoming free for anybody else.
 *   With a runner there are as many calls to come, and tasks about to be submitted, as tasks in the queue (group_queue.h); so no call finds it empty, and none
 *   comes after the last task has returned.
 *   A thread that ends joins the one that ended before it; wait joins the last. So no list of handles is kept anywhere.
 *   Not done: handing a task to a new thread as its argument. It would have to live somewhere until the thread has begun: an allocation, or a wait.
 */
#ifndef WEIR_TASK_GROUP_H
#define WEIR_TASK_GROUP_H


typedef struct weir_group_error {
    int code;
    void *arg; /* the task's */
} weir_group_error;

/* Zero means the default, for each. */
typedef struct weir_group_opt {
    unsigned limit;           /* tasks at once; 0: any number */
    const char *name;         /* of its threads and on the roll; "group" */
    weir_runner *runner;      /* where tasks run; NULL: on threads of the group */
    weir_group_error *errors; /* where to keep errors beyond the first WEIR_GROUP_ERRORS; the caller's memory */
    size_t errors_max;        /* of `errors` */
} weir_group_opt;

enum { WEIR_GROUP_ERRORS = 8 };

typedef struct weir_group {
    bool begun, ending;
    weir__lock lock; /* of all but ctx */
    weir_group_opt opt;
    weir__waiter_list for_place, for_task, for_end; /* in go, idle threads, in wait */
    unsigned places, threads;
    weir__group_queue queue; /* of tasks that have a place */
    bool has_ended_thread;
    weir__thread ended_thread; /* nobody has joined it yet */
    size_t failed;             /* how many tasks */
    weir_group_error errors[WEIR_GROUP_ERRORS];
    weir_ctx ctx;
} weir_group;

/* All zeros. */
#ifdef __cplusplus
#define WEIR_GROUP_INIT                                                                                                \
    {                                                                                                                  \
    }
#else
#define WEIR_GROUP_INIT                                                                                                \
    {                                                                                                                  \
        0                                                                                                              \
    }
#endif

/* parent: NULL, or a context that outlives the group; opt may be NULL, and is copied. */
WEIR_API void weir_group_init(weir_group *g, weir_ctx *parent, const weir_group_opt *opt);

/* The context that every task gets. */
WEIR_API weir_ctx *weir_group_ctx(weir_group *g);

/* Has task(ctx of the group, arg) run. Waits for a place as long as ctx lives. 0: it will run. ECANCELED, ETIMEDOUT: ctx ended first; EAGAIN: the system
 * refused a thread; what the runner said; ENOMEM: the runner is so far behind that memory is wanted: it will not run, and the group is as before. Progress: takes
 * a lock; parks at the limit. */
WEIR_API int weir_group_go(weir_ctx *ctx, weir_group *g, weir_task_fn *task, void *arg);
/* EAGAIN also: the limit is reached. */
WEIR_API int weir_group_try_go(weir_group *g, weir_task_fn *task, void *arg);

/* Waits until every task has returned, joins the threads, cancels the context. The first error, or 0. Parks. */
WEIR_API int weir_group_wait(weir_group *g);

/* Ends the context: tasks that look at it stop. cause as weir_ctx_cancel's; what wait returns is still the tasks' affair. */
WEIR_API void weir_group_cancel(weir_group *g, int cause);

/* A new limit; 0: none. EINVAL: tasks run or wait to. */
WEIR_API int weir_group_limit(weir_group *g, unsigned limit);

/* Copies up to max errors, in the order in which they came. Returns how many tasks have failed; what was beyond the memory for them is
 * counted only. */
WEIR_API size_t weir_group_errors(weir_group *g, weir_group_error *to, size_t max);

/* Takes the group's context out of its parent; needed only for a group with a parent, after the last wait. */
WEIR_API void weir_group_free(weir_group *g);

#endif /* WEIR_TASK_GROUP_H */

/* ==== weir/task/future.h ==== */

/* weir/task/future.h: a value that is not there yet.
 *
 *     typedef weir_future(struct page) page_future;
 *     page_future f;
 *     weir_future_make(&f);
 *     weir_future_run(ctx, f, fetch, url);               int fetch(weir_ctx *ctx, void *url, void *page)
 *     …
 *     rc = weir_future_get(ctx, f, &page);               any number of threads, any number of times
 *     weir_future_free(&f);
 *
 * Either a function computes the value (run), or somebody sets it by hand (set, fail): the first decides, for all the others EINVAL. A future that has failed
 * gives its code to all who get. It stands in a select as WEIR_FUTURE(f, &page), ready once there is a value or a code; the
 * code is in the case's status.
 *
 * The handle is one pointer, passed by value, and typed as a channel's (chan/handle.h).
 *
 * Who may call what at once: get, get_until, select, set, fail, run, is_done: any threads. free, detach: one thread, after which none may use it:
 * free waits for a running function, and for a set in progress; detach leaves the function running, and what there is of the future goes with
 * it. A future that nobody has set is simply freed.
 *
 * Progress: get is wait-free once it is done, else parks. set takes the lock of the queue of those who wait.
 */
#ifndef WEIR_TASK_FUTURE_H
#define WEIR_TASK_FUTURE_H


/* clang-format off */
typedef struct weir_future_core { weir__chan chan; } weir_future_core;
#define weir_future(T) union { weir_future_core *core; T *elem; }
/* clang-format on */

/* Computes a value. 0: it is in *value; else a code that stands for it. */
typedef int weir_future_fn(weir_ctx *ctx, void *arg, void *value);

/* Zero means the default, for each. */
typedef struct weir_future_opt {
    const char *name;    /* on the roll of threads, and of the thread that runs it; "future" */
    weir_runner *runner; /* where it runs; NULL: on a thread of its own */
    /* the caller's, WEIR_FUTURE_BYTES(T) of it; NULL: allocated. It outlives a function that runs, detached or not */
    void *memory;
    size_t memory_size;
} weir_future_opt;

/* Lies behind the value. */
typedef struct weir__future_work {
    weir__chan *chan;
    weir_ctx *ctx;
    weir_future_fn *fn;
    void *arg;
    weir_runner *runner;
    bool threaded; /* the thread is to be joined or detached */
    weir__thread thread;
    weir__atomic_u32 leavers; /* of the handle and the function, who has gone; the second frees */
} weir__future_work;
#define WEIR_FUTURE_BYTES(T) WEIR_CHAN_BYTES(char[(sizeof(T) + 63) / 64 * 64 + sizeof(weir__future_work)], 1)

/* 0; ENOMEM; EINVAL: memory is given, but too little. opt may be NULL; it is copied. The only call that allocates. */
#define weir_future_make(f) weir_future_make_opt((f), NULL)
#define weir_future_make_opt(f, opt) weir__future_make((void *)(f), sizeof *(f)->elem, (opt))

/* Has fn(ctx, arg, &value) run; ctx lives until it has returned. 0; EINVAL: it has been set, or runs; EAGAIN: the system refused a thread; what the runner said. */
#define weir_future_run(ctx, f, fn, arg) weir__future_run((ctx), WEIR__CHAN(f), (fn), (arg))
/* Sets the value, or a code other than 0. 0; EINVAL: it has been set, or is being computed; code is 0. */
#define weir_future_set(f, ptr) weir__future_set(WEIR__CHAN(f), (const void *)WEIR__ELEM(f, ptr), 0)
#define weir_future_fail(f, code) weir__future_set(WEIR__CHAN(f), NULL, (code))

/* Waits for the value. 0, or the code that stands for it; ECANCELED, ETIMEDOUT: ctx or the deadline ended first (weir_future_is_done tells, where a code
 * may be the same). ptr may be NULL. */
#define weir_future_get(ctx, f, ptr) weir__future_get((ctx), WEIR__CHAN(f), (void *)WEIR__ELEM(f, ptr), WEIR_FOREVER)
#define weir_future_get_until(ctx, f, ptr, deadline)                                                                   \
    weir__future_get((ctx), WEIR__CHAN(f), (void *)WEIR__ELEM(f, ptr), (deadline))
#define weir_future_is_done(f) weir__promise_done(WEIR__CHAN(f))
/* A case of a select. */
#define WEIR_FUTURE(f, ptr) weir__case(WEIR__CASE_RECV, WEIR__CHAN(f), NULL, (void *)WEIR__ELEM(f, ptr), NULL)

/* Waits for all: 0; or the code of the first that is found to have failed, whose number is in *which, without waiting for the rest. */
#define weir_future_all(ctx, fs, n, which) weir__future_all((ctx), (fs), (n), (which))
/* Waits for the first that has a value: 0, and its number in *which; or, if all have failed, the code of the last. EINVAL: n is 0. Both: ECANCELED, ETIMEDOUT;
 * ENOMEM: n is above 16 and there is no memory for the wait. which may be NULL. */
#define weir_future_any(ctx, fs, n, which) weir__future_any((ctx), (fs), (n), (which))

/* Frees it, after whoever sets it is through, and makes the handle NULL. */
#define weir_future_free(f) weir__future_free((void *)(f))
/* The same without waiting for a function that runs. */
#define weir_future_detach(f) weir__future_detach((void *)(f))

WEIR_API int weir__future_make(void *handle, size_t size, const weir_future_opt *opt);
WEIR_API int weir__future_run(weir_ctx *ctx, weir__chan *c, weir_future_fn *fn, void *arg);
WEIR_API int weir__future_set(weir__chan *c, const void *value, int code);
WEIR_API int weir__future_get(weir_ctx *ctx, weir__chan *c, void *value, weir_ns deadline);
WEIR_API int weir__future_all(weir_ctx *ctx, const void *handles, size_t n, size_t *which);
WEIR_API int weir__future_any(weir_ctx *ctx, const void *handles, size_t n, size_t *which);
WEIR_API void weir__future_free(void *handle);
WEIR_API void weir__future_detach(void *handle);

#endif /* WEIR_TASK_FUTURE_H */

/* ==== weir/task/single.h ==== */

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

/* ==== weir/task/objpool.h ==== */

/* weir/task/objpool.h: objects of one size that are used again and again: what Go's sync.Pool is for, bounded.
 *
 *     weir_objpool pool;
 *     weir_objpool_init(&pool, sizeof(struct request), 1000, &(weir_objpool_opt){.reset = forget_request});
 *     struct request *r;
 *     if ((rc = weir_objpool_get(&pool, &r)) == 0) { …; weir_objpool_put(&pool, r); }
 *
 * Overview
 *   A thread puts objects into a seat of its own, and gets them from there, without an atomic read-modify-write: two nanoseconds for both. A seat that is
 *   full gives half to a stack that all share; one that is empty takes some from it, then from the seats of others, then an object
 *   that was never used. So `high_water` is exact: a new object is touched only when all used ones were out.
 *
 *     seat of thread A   ┌─┐ ┌──────────────┐  hot, bottom: A puts and gets here    shared: a stack by number, with a tag against ABA
 *                        │●│ │ ○ ○ ○ ○      │  top: others take from here           fresh: the number of the first object never used
 *                        └─┘ └──────────────┘
 *
 * Meaning
 *   init(object, arg) runs once for each object, when it is first given out; reset(object, arg) whenever one is put back. An object that
 *   comes from get has whatever init or its last reset left in it. Objects are not destroyed: they hold no more than memory, or the program keeps account.
 *   EAGAIN: none was found. An object that another thread is just putting back may be missed.
 *   grow: the first `count` objects are one block, allocated by init; up to `max` more are allocated one by one as they are needed.
 *
 * Who may call what at once: get, put: any threads, an object may be put by another thread than the one that got it. free: one thread, while no
 * object is out of use that matters: all memory goes.
 * Progress: put, and get from one's own seat or the shared stack, are lock-free; a get that finds nothing there looks at the seats of others, under a lock of each
 * and behind a heavy fence (core/fence.h), and the owner of a seat that was looked at takes that lock once.
 *
 * Seats and threads
 *   A thread takes the first free seat when it first comes by; if there is none, one whose owner has ended; else it does without, on the shared stack.
 *   It remembers the seat, with the pool's number, which is used once in a process: what it remembers of a pool that is gone fits no other.
 *
 * Why two do not get one object (D. Chase and Y. Lev, "Dynamic circular work-stealing deque", SPAA 2005; the fences as in core/fence.h)
 *       owner, get                            thief
 *       bottom = b - 1                        t = top
 *       (P) light fence                       (Q) heavy fence
 *       t = top                               b = bottom
 *       t < bottom: takes the last            t < b: takes the first, if top is still t (compare-and-swap)
 *   (P) pairs with (Q): one of the two sees what the other wrote. With one object left both see it, and both want top: the swap decides.
 *   Where membarrier is missing (P) is a real fence.
 *
 *   The last object that was put lies apart, in `hot`: get and put then hand on one address in one word, where a count that goes up and down would be two
 *   trips through the store buffer (3 ns a pair instead of 6).
 *       owner, get                            thief, under the seat's lock
 *       p = hot; hot = none                   asked = true
 *       (P) light fence                       (Q) heavy fence
 *       asked: takes the lock, and            p = hot; if it is none: asked = false; else hot = none (compare-and-swap),
 *         has lost p if stolen == p             stolen = p
 *   Again one of the two sees the other: either the thief finds nothing, or the owner asks under the lock who has p. `asked` stays until it does, at the
 *   latest before it puts the next object there.
 */
#ifndef WEIR_TASK_OBJPOOL_H
#define WEIR_TASK_OBJPOOL_H


/* Zero means the default, for each. */
typedef struct weir_objpool_opt {
    void (*init)(void *object, void *arg);
    void (*reset)(void *object, void *arg);
    void *arg;
    uint32_t max;   /* may grow to so many; 0: it may not */
    uint32_t seats; /* threads that have a seat; 64 */
} weir_objpool_opt;

#ifndef WEIR__SEAT_ROOM
#define WEIR__SEAT_ROOM 32 /* objects; a power of two. The model makes it small. */
#endif
enum { WEIR__SEAT_BATCH = 16 }; /* seats that are looked at behind one fence */

typedef struct weir__seat {
    WEIR__PADDED weir__atomic_u64 hot; /* an address, or 0 */
    weir__atomic_u32 bottom;           /* written by the owner alone */
    uint32_t top_seen;                 /* the owner's: top is not below this */
    weir__atomic_u32 owner;            /* the system's number of a thread; 0: free */
    WEIR__PADDED weir__atomic_u32 top;
    weir__atomic_u32 asked;
    weir__lock lock; /* of stolen */
    uint64_t stolen;
    /* addresses: a number would cost a multiplication and a load in each pair */
    WEIR__PADDED weir__atomic_u64 object[WEIR__SEAT_ROOM];
} weir__seat;

typedef struct weir_objpool {
    uint64_t number;     /* of the pool */
    size_t size, stride; /* of an object; from one to the next */
    uint32_t count, max, seats;
    bool symmetric; /* no asymmetric fence here: (P) is a real one */
    weir_objpool_opt opt;
    weir__seat *seat;
    unsigned char *objects;               /* the first `count` */
    unsigned char **grown;                /* those beyond */
    weir__atomic_u32 *below;              /* of each object, what is below it on the shared stack */
    WEIR__PADDED weir__atomic_u64 shared; /* tag and number + 1 of the top of the stack; 0: empty */
    WEIR__PADDED weir__atomic_u32 fresh;
} weir_objpool;

/* Room for `count` objects of `size` bytes. 0; EINVAL: size or count is 0, or max below count; EOVERFLOW; ENOMEM. opt may be NULL. */
WEIR_API int weir_objpool_init(weir_objpool *pool, size_t size, uint32_t count, const weir_objpool_opt *opt);
/* Frees all memory, that of objects that are out, too. */
WEIR_API void weir_objpool_free(weir_objpool *pool);
/* How many objects have been out at once, at most. Any thread. */
WEIR_API uint32_t weir_objpool_high_water(weir_objpool *pool);

/* What a thread knows of the pools that it uses. */
typedef struct weir__seat_ticket {
    uint64_t number; /* of the pool */
    weir__seat *seat;
} weir__seat_ticket;
#ifndef WEIR__SEAT_MINE /* the model's threads have no thread-locals */
static WEIR_THREAD_LOCAL weir__seat_ticket weir__seat_tickets[8] __attribute__((unused));
#define WEIR__SEAT_MINE(pool_) (&weir__seat_tickets[(pool_)->number % 8])
#endif

WEIR_API int weir__objpool_get_slow(weir_objpool *pool, weir__seat_ticket *ticket, void **object);
WEIR_API void weir__objpool_put_slow(weir_objpool *pool, weir__seat_ticket *ticket, void *object);

/* An object's number stands before it. */
#define WEIR__OBJPOOL_HEAD 16
static inline uint32_t weir__objpool_number(const void *object)
{
    uint32_t number;
    memcpy(&number, (const unsigned char *)object - WEIR__OBJPOOL_HEAD, sizeof number);
    return number;
}
static inline void *weir__objpool_at(weir_objpool *pool, uint32_t number)
{
    return number < pool->count ? pool->objects + number * pool->stride : pool->grown[number - pool->count];
}

WEIR_API bool weir__seat_asked(weir__seat *s, uint64_t object);

/* The owner takes what lies apart, if anything does and no thief was faster. */
static inline void *weir__seat_cool(weir_objpool *pool, weir__seat *s)
{
    const uint64_t object = weir__load_rlx(&s->hot);
    if (WEIR_UNLIKELY(object == 0))
        return NULL;
    weir__store_rlx(&s->hot, 0);
    WEIR_FENCE_LIGHT(); /* (P) pairs with (Q) in weir__objpool_steal */
    if (WEIR_UNLIKELY(pool->symmetric))
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (P), symmetric */
    if (WEIR_UNLIKELY(weir__load_rlx(&s->asked) != 0) && !weir__seat_asked(s, object))
        return NULL;
    return (void *)(uintptr_t)object;
}

/* The owner takes the last of its seat. NULL: it is empty, or the last one has gone to a thief. */
static inline void *weir__seat_pop(weir_objpool *pool, weir__seat *s)
{
    const uint32_t b = weir__load_rlx(&s->bottom) - 1;
    uint64_t object;
    uint32_t t;
    weir__store_rel(&s->bottom, b); /* release, in each store to it: a thief reads what was pushed before */
    WEIR_FENCE_LIGHT();             /* (P) pairs with (Q) in weir__objpool_steal */
    if (WEIR_UNLIKELY(pool->symmetric))
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (P), symmetric */
    t = weir__load_rlx(&s->top);
    object = weir__load_rlx(&s->object[b % WEIR__SEAT_ROOM]);
    if (WEIR_UNLIKELY((int32_t)(b - t) <= 0)) {                       /* the last one, or none */
        const bool won = b == t && weir__cas_rlx(&s->top, &t, t + 1); /* relaxed: the object is our own */
        weir__store_rlx(&s->bottom, b + 1); /* relaxed: a thief that sees it finds nothing below */
        if (!won)
            return NULL;
    }
    return (void *)(uintptr_t)object;
}

static inline void *weir__seat_take(weir_objpool *pool, weir__seat *s)
{
    void *object = weir__seat_cool(pool, s);
    return WEIR_LIKELY(object != NULL) ? object : weir__seat_pop(pool, s);
}

/* The owner adds one. False: it is full. */
static inline bool weir__seat_push(weir__seat *s, void *object)
{
    uint32_t b;
    if (WEIR_LIKELY(weir__load_rlx(&s->hot) == 0)) { /* nobody else ever puts something there */
        if (WEIR_UNLIKELY(weir__load_rlx(&s->asked) != 0))
            (void)weir__seat_asked(s,
                                   0); /* or an object that was stolen once and has come back would be taken for lost */
        weir__store_rel(&s->hot, (uint64_t)(uintptr_t)object);
        return true;
    }
    b = weir__load_rlx(&s->bottom);
    if (WEIR_UNLIKELY(b - s->top_seen >= WEIR__SEAT_ROOM)) {
        s->top_seen = weir__load_acq(&s->top); /* a thief that has advanced it has read its object */
        if (b - s->top_seen >= WEIR__SEAT_ROOM)
            return false;
    }
    weir__store_rlx(&s->object[b % WEIR__SEAT_ROOM], (uint64_t)(uintptr_t)object);
    weir__store_rel(&s->bottom, b + 1); /* a thief that sees it sees the address, and what was done to the object */
    return true;
}

/* ptr: the address of a pointer to objects. */
#define weir_objpool_get(pool, ptr) weir__objpool_get((pool), (void *)(ptr))

/* An object, its address at *to. 0; EAGAIN: none is free; ENOMEM: the pool may grow and there is no memory. */
static inline int weir__objpool_get(weir_objpool *pool, void *to)
{
    weir__seat_ticket *ticket = WEIR__SEAT_MINE(pool);
    void *object = NULL;
    if (WEIR_LIKELY(ticket->number == pool->number) && WEIR_LIKELY(ticket->seat != NULL))
        object = weir__seat_take(pool, ticket->seat);
    if (WEIR_UNLIKELY(object == NULL)) {
        const int rc = weir__objpool_get_slow(pool, ticket, &object);
        if (rc != 0)
            return rc;
    }
    memcpy(to, &object, sizeof object);
    return 0;
}

/* Gives back an object that get has given. */
static inline void weir_objpool_put(weir_objpool *pool, void *object)
{
    weir__seat_ticket *ticket = WEIR__SEAT_MINE(pool);
    if (pool->opt.reset != NULL)
        pool->opt.reset(object, pool->opt.arg);
    if (WEIR_UNLIKELY(ticket->number != pool->number) || WEIR_UNLIKELY(ticket->seat == NULL) ||
        WEIR_UNLIKELY(!weir__seat_push(ticket->seat, object)))
        weir__objpool_put_slow(pool, ticket, object);
}

#endif /* WEIR_TASK_OBJPOOL_H */

/* ==== weir/task/job.h ==== */

/* weir/task/job.h: what a job of a pool is: a task, what is asked for it, and what is told of it.
 *
 *     int resize(weir_ctx *ctx, void *image)
 *     {
 *         weir_job_cleanup unlock;
 *         take_lock(image);
 *         weir_job_defer(&unlock, release_lock, image);
 *         … somewhere deep inside: weir_job_fail(EIO);        release_lock(image) runs, and the job has ended with EIO
 *         weir_job_undefer(&unlock, true);
 *         return 0;
 *     }
 *
 * Abandoning a job
 *   What recovering a panic is for in Go: weir_job_fail(code), from any depth below a job, ends that job and nothing else. The cleanups that are
 *   registered at that moment run, the last first, on top of the frame that fails, so they and what they point to may lie on the stack. Then the thread
 *   goes back to where it called the job (longjmp), which has now ended with that code.
 *   A cleanup belongs to the innermost job of its thread, and is taken off before the frame that it lies in returns.
 *   In C++, throw instead: longjmp runs no destructors. An exception that leaves a job that was submitted from a C++ unit ends it with WEIR_JOB_THREW,
 *   or with the number itself if an int above 0 was thrown. Destructors are its cleanups: those of weir_job_defer do not run, because the frames that
 *   they lie in are gone when it arrives. It may pass frames of C++ alone, and may not be a thread's end (pthread_exit).
 *
 * Who may call what at once: all of it is about the calling thread.
 */
#ifndef WEIR_TASK_JOB_H
#define WEIR_TASK_JOB_H


/* Which jobs run first. */
enum { WEIR_JOB_LOW = -1, WEIR_JOB_NORMAL = 0, WEIR_JOB_HIGH = 1, WEIR_JOB_URGENT = 2 };
/* What a job has ended with that an exception has left: no errno value. */
enum { WEIR_JOB_THREW = 1 << 20 };

/* What to do with a job when there is no room for it. */
typedef enum weir_overflow {
    WEIR_OVERFLOW_DEFAULT = 0, /* as the pool's options say, and if they do not: BLOCK */
    WEIR_OVERFLOW_BLOCK, /* waits for room as long as the context lives; from inside a job of any pool: as CALLER, for it might wait for itself */
    WEIR_OVERFLOW_REJECT,      /* EAGAIN */
    WEIR_OVERFLOW_DROP_NEWEST, /* this job is not run, and is reported with EOVERFLOW */
    WEIR_OVERFLOW_DROP_OLDEST, /* the one of this priority that has waited longest is not run, and is reported with EOVERFLOW */
    WEIR_OVERFLOW_CALLER /* this job runs at once, in the thread that submits it */
} weir_overflow;

/* What is told of a job that was accepted. */
typedef struct weir_job_result {
    uint64_t id;    /* as given in the options */
    void *output;   /* the job's arg, where it has left what it had to leave */
    int error;      /* what the job returned or failed with; or, not run: EOVERFLOW, ETIMEDOUT, ECANCELED */
    bool ran;       /* false: it was dropped, its deadline had passed before it began, or the pool was stopped */
    weir_ns queued; /* from submit until it began, or until it was found not worth it */
    weir_ns running;
} weir_job_result;

typedef weir_chan(weir_job_result) weir_job_results;
typedef weir_future(weir_job_result) weir_job_future;

/* Zero means the default, for each. A job may be reported in all three ways. */
typedef struct weir_job_opt {
    uint64_t id;
    int priority;     /* WEIR_JOB_LOW … WEIR_JOB_URGENT */
    int overflow;     /* a weir_overflow */
    weir_ns deadline; /* a point in time: of its context, and it is not begun after; 0: none */
    weir_ns timeout;  /* of its context, from when it begins; 0: none */
    /* what the roll of threads and a trace say that its thread runs; outlives the job, and the trace */
    const char *name;
    /* its context carries this id (obs/correlation.h); 0: that of the context it was submitted with, if the pool correlates */
    uint64_t correlation;
    /* Called once, by the thread that has run the job or found that it will not be run: a worker, or one that submits. */
    void (*done)(const weir_job_result *result, void *arg);
    void *done_arg;
    /* Is sent the result. A worker waits for room until the pool is stopped. Whoever else reports, and a worker then, does not wait: a result for which
     * there is no room is lost, and counted (unreported). */
    weir_job_results results;
    weir_job_future future; /* is set to the result, whatever its error */
} weir_job_opt;

/* Something to be done if the job fails. The caller's memory; private inside. */
typedef struct weir_job_cleanup {
    void (*fn)(void *arg);
    void *arg;
    struct weir_job_cleanup *next;
} weir_job_cleanup;

/* Ends the job that the calling thread is in, with this code (0: ECANCELED). Does not return, but outside of a job, where it does nothing. Source for
 * the meaning: recovering from a panic, as worker pools in Go do. */
WEIR_API void weir_job_fail(int code);
/* Has fn(arg) run if the job fails. Outside of a job, only remembers what undefer is to run. */
WEIR_API void weir_job_defer(weir_job_cleanup *cleanup, void (*fn)(void *arg), void *arg);
/* Takes the cleanup off, which is the last that was registered and not yet taken off, and runs it if asked to. */
WEIR_API void weir_job_undefer(weir_job_cleanup *cleanup, bool run);

/* Calls a task and catches what it throws; NULL: nothing is thrown. In the unit that submits, because only that is known to be C++. */
typedef int weir__job_guard(weir_task_fn *fn, weir_ctx *ctx, void *arg);
#if defined(__cplusplus) && defined(__cpp_exceptions)
static inline int weir__job_catch(weir_task_fn *fn, weir_ctx *ctx, void *arg)
{
    try {
        return fn(ctx, arg);
    } catch (int code) {
        return code > 0 ? code : (int)WEIR_JOB_THREW;
    } catch (...) {
        return WEIR_JOB_THREW;
    }
}
#define WEIR__JOB_GUARD weir__job_catch
#else
#define WEIR__JOB_GUARD NULL
#endif

/* Runs a task as a job of the calling thread. What it returns or fails with. */
WEIR_API int weir__job_call(weir_task_fn *fn, weir__job_guard *guard, weir_ctx *ctx, void *arg);

#endif /* WEIR_TASK_JOB_H */

/* ==== weir/task/pool_queue.h ==== */

/* weir/task/pool_queue.h: the jobs of a pool that wait to be run: a ring for each priority, and the workers that wait for them.
 *
 * Overview
 *   A level is a channel of many senders and many receivers (chan/channel.h), with the job in it by value. Those who submit send, and wait for room, as on any
 *   channel. Workers take from several at once, so they do not wait in the channels' queues but in one of their own, `idle`.
 *
 *     submit ──► URGENT  ▯▯▯▯▯▯▯▯ ──┐
 *                HIGH    ▯▯▯▯▯▯▯▯ ──┼─► take: the first that has a job; by turns, one that was passed over for long
 *                NORMAL  ▯▯▯▯▯▯▯▯ ──┤
 *                LOW     ▯▯▯▯▯▯▯▯ ──┘   none has: spin, yield, join `idle`, park
 *
 * Ageing
 *   Counted in jobs, not in time: a worker that has taken `age` jobs from above a level looks into that level first, once. So each worker gives the
 *   head of every level a turn at least once in age + 4 jobs, whatever comes in above; and no clock is read for it.
 *
 * Why no job waits while a worker sleeps
 *   (A) and (B) as in park/waitq.h, with the rings as what is looked at again; and as in chan/wait.h a worker that a submit has woken owes a wake-up: when it goes
 *   on, with a job or for good, it looks whether there is one more, and then wakes the next.
 *   A worker goes for good because the pool gets smaller or idles, and then another is left, which sleeps (and is woken as said), or will
 *   look for a job before it sleeps; or because all levels are closed and empty, and then it wakes all the others, who find the same.
 */
#ifndef WEIR_TASK_POOL_QUEUE_H
#define WEIR_TASK_POOL_QUEUE_H


#ifndef WEIR__POOL_LEVELS /* the model makes do with fewer */
#define WEIR__POOL_LEVELS 4
#define WEIR__JOB_LEVEL(priority) (WEIR_JOB_URGENT - (priority))
#endif
#define WEIR__JOB_NORMAL_LEVEL WEIR__JOB_LEVEL(WEIR_JOB_NORMAL)

#ifndef WEIR_POOL_BURST_TURNS
#define WEIR_POOL_BURST_TURNS 50
#endif

/* A job as it lies in a ring. What every job has comes first: with the slot's stamp it fills one cache line, and of a job for which nothing was asked nothing else is
 * copied (is_long). The whole takes two. */
typedef struct weir__job {
    union {
        weir_task_fn *task;
        void (*plain)(void *arg); /* of a runner: guard and options do not count, and it is always called */
    } fn;
    void *arg;
    weir__job_guard *guard;
    weir_ns queued_at; /* 0: nobody wants to know */
    int32_t level;
    uint16_t is_plain, is_long;
    uint64_t id;
    weir_ns deadline, timeout;
    const char *name;
    void (*done)(const weir_job_result *result, void *arg);
    void *done_arg;
    weir__chan *results, *future;
    uint64_t correlation; /* 0: none */
    uint64_t unused;
} weir__job;

#define WEIR__JOB_SHORT offsetof(weir__job, id)
WEIR__STATIC_ASSERT(WEIR__SLOT_VALUE(sizeof(weir__job)) + WEIR__JOB_SHORT <= 64, "a short job lies in one cache line");
WEIR__STATIC_ASSERT(WEIR__SLOT_STRIDE(sizeof(weir__job)) % 64 == 0, "slots begin where a line does");

typedef struct weir__pool_queue {
    weir__chan *level[WEIR__POOL_LEVELS]; /* the first is served first */
    unsigned age;
    weir__atomic_u32 used; /* levels in which there has ever been a job, by bits: workers look in no others */
    unsigned char apart[WEIR_CACHE_PAD]; /* not WEIR__PADDED: a pool may be malloc'd */
    weir__waitq idle;
} weir__pool_queue;

/* How often a worker has passed over each level; and a number that none of these exceeds, so that as long as it is small none has to be looked at. */
typedef struct weir__pool_turns {
    unsigned passed[WEIR__POOL_LEVELS], most;
} weir__pool_turns;

/* 0, ENOMEM, EOVERFLOW. Room for `capacity` jobs in each level. */
WEIR_API int weir__pool_queue_make(weir__pool_queue *q, size_t capacity, unsigned age, const char *name);
WEIR_API void weir__pool_queue_free(weir__pool_queue *q);
/* From here on nothing is accepted; what is there can be taken. Wakes all who wait. */
WEIR_API void weir__pool_queue_close(weir__pool_queue *q);
/* How many jobs wait. */
WEIR_API size_t weir__pool_queue_len(weir__pool_queue *q);

/* After a try that has found no room. 0; EPIPE: closed; ECANCELED, ETIMEDOUT: there was no room in time. */
WEIR_API int weir__pool_queue_push(weir_ctx *ctx, weir__pool_queue *q, const weir__job *job);
/* The oldest job of a level, without waking anybody who waits for room there: it is for the caller. */
WEIR_API bool weir__pool_queue_drop(weir__pool_queue *q, int level, weir__job *job);

/* A worker takes the job whose turn it is. False: it found none. */
WEIR_API bool weir__pool_queue_take(weir__pool_queue *q, weir__pool_turns *turns, weir__job *job);
/* 0: there is a job. EAGAIN: there is none, or its sender has still to wake somebody. EPIPE: there will be none. */
WEIR_API int weir__pool_queue_why(weir__pool_queue *q);
/* Wakes a worker if there is a job. */
WEIR_API void weir__pool_queue_pass_on(weir__pool_queue *q);

#endif /* WEIR_TASK_POOL_QUEUE_H */

/* ==== weir/task/pool_job.h ==== */

/* weir/task/pool_job.h: a pool as its workers see it, and what becomes of a job: it is run or not, counted, and told.
 *
 * A job for which nothing was asked takes the short way: is the pool still there, call it, count it. All else is for those that have a name, a time limit, an id
 * or somebody who wants to know.
 */
#ifndef WEIR_TASK_POOL_JOB_H
#define WEIR_TASK_POOL_JOB_H


/* Zero means the default, for each. */
typedef struct weir_pool_opt {
    /* workers; one of them 0: as the other; both: as many as there are CPUs for the calling thread */
    unsigned min, max;
    size_t queue;        /* room for so many jobs that wait, at each priority; 256 */
    int overflow;        /* a weir_overflow, for jobs that do not say; BLOCK */
    unsigned age;        /* a lower priority gets a turn after so many jobs of higher ones, in each worker; 16 */
    unsigned grow_depth; /* a worker more when so many jobs wait that no worker waits for; 1 */
    weir_ns grow_wait;   /* or when one does, and so long none was taken; 1 ms */
    weir_ns idle;        /* a worker above min that has waited so long ends; 10 s */
    int wait;            /* how workers wait: a weir_wait_strategy. One that never parks never ends for being idle. */
    weir_trace *trace; /* each job that runs becomes an event, with its correlation id; outlives the pool. NULL: none */
    /* a job has the correlation id of the context that it is submitted with; a trace asks for that too */
    bool correlate;
    const char *name; /* of the threads, with a number, and on the roll; outlives the pool; "pool" */
    /* workers are pinned to these in turn, those that this process may not use left out; NULL: they are not pinned */
    const int *cpus;
    size_t cpus_count;
} weir_pool_opt;

enum {
    WEIR__POOL_DONE,
    WEIR__POOL_FAILED,
    WEIR__POOL_EXPIRED,
    WEIR__POOL_CANCELLED,
    WEIR__POOL_REJECTED,
    WEIR__POOL_DROPPED_NEWEST,
    WEIR__POOL_DROPPED_OLDEST,
    WEIR__POOL_CALLER_RAN,
    WEIR__POOL_UNREPORTED,
    WEIR__POOL_COUNTS
};

typedef struct weir_pool weir_pool;

/* Lies on its thread's stack; linked in the pool, under the pool's lock. */
typedef struct weir__pool_worker {
    weir_pool *pool;
    struct weir__pool_worker *next, *prev;
    weir__atomic_u32 waits; /* 1: for a job */
    weir__atomic_u64 took;  /* when it last took one, if jobs carry times */
    weir__atomic_u64 count[WEIR__POOL_COUNTS];
    weir__pool_turns turns;
    unsigned unspun;  /* so many turns of spinning it leaves out, because they have found nothing lately */
    const char *task; /* what the roll says that it runs */
} weir__pool_worker;

typedef struct weir__pool_runner {
    weir_runner base;
    weir_pool *pool;
} weir__pool_runner;

struct weir_pool {
    weir__pool_queue queue;
    weir__pool_runner runner;
    weir_pool_opt opt;
    weir__atomic_u32 min, max, threads; /* written under the lock, read by all */
    weir__atomic_u32 timed;             /* jobs carry the time at which they were submitted */
    uint32_t forks;
    bool watched; /* jobs are traced, or carry correlation ids */
    unsigned char apart[WEIR_CACHE_PAD];
    weir_ctx ctx; /* of the jobs */
    weir__atomic_u64 count[WEIR__POOL_COUNTS];
    weir__lock lock; /* of all that follows */
    weir__pool_worker *workers;
    weir__waiter_list for_end;
    unsigned listed, numbered, most;
    uint64_t grown, shrunk, refused;
    bool ending, growing, has_ended_thread;
    weir__thread ended_thread; /* nobody has joined it yet */
};

/* The worker that the calling thread is, of whichever pool; or NULL. */
WEIR_API weir__pool_worker *weir__pool_worker_self(void);
/* Sees to a job that was taken from the queue, or never was in it: runs or reports it. */
WEIR_API void weir__pool_see_to(weir_pool *p, const weir__job *job);
/* Counts one of these. */
WEIR_API void weir__pool_note(weir_pool *p, int what);
/* Tells whoever wants to know that a job has ended with `error`. */
WEIR_API void weir__pool_report(weir_pool *p, const weir__job *job, int error, bool ran, weir_ns begun, weir_ns ended);

#endif /* WEIR_TASK_POOL_JOB_H */

/* ==== weir/task/pool_worker.h ==== */

/* weir/task/pool_worker.h: a pool from inside: its workers, how their number follows the queue, and what becomes of a job.
 *
 * A worker's life
 *   serve:  take a job; or wait for one: spin, yield, join `idle`, park
 *   run it: not worth it (the pool's context has ended, the job's deadline has passed): report; else call it, count it, report it
 *   end:    all levels are closed and empty; or there are more workers than `max`, or than `min` and nothing has come for the idle time
 *
 * Each job that was accepted is run or reported, exactly once
 *   Accepted means that its send into a level returned 0, so (chan/channel.h) it is in the ring until one receiver takes it, also after a close. Receivers are
 *   workers, and those who drop the oldest; both see to the job that they took before they do anything else. While the pool is open there is at least
 *   one worker: it starts with `min`, 1 or more, and one that leaves on its own account does so under the lock and never as one of the last `min`, closed or
 *   not. Any other ends only when every level is closed and empty, and that is for good. Drain and stop wait for the last worker: when they return, nothing
 *   is left in the queue. A job that runs in its caller has never been in the queue, and is seen to before submit returns.
 *
 * Growing
 *   Whoever submits, and each worker that takes a job, looks (only while there are fewer than `max`): are at least grow_depth jobs queued beyond those for which
 *   a worker waits already? Or is any, and has none been taken for grow_wait? Then it starts a worker.
 *   Both write before they look, the queue or "I do not wait any more", with a full fence between (G): of two jobs that come to one waiting worker, either the
 *   second submit sees that the worker has gone to work, or the worker sees the second job.
 *   A worker that wants to leave makes the number smaller, and then looks at the queue once more, with (L) between, as (A) and (B): either it sees the job that has
 *   just come, and stays, or who has submitted that sees that there may be a worker more.
 *   The lock is not held while the thread starts. Whoever finds a start in progress leaves it at that, also the new worker, which may have taken a job before its
 *   starter is back: so the starter looks again, under the lock, until all is well.
 *
 * Threads end as in a group: one that ends joins the one that ended before it; who waits for the end joins the last.
 */
#ifndef WEIR_TASK_POOL_WORKER_H
#define WEIR_TASK_POOL_WORKER_H


/* Starts a worker if the queue is long. */
WEIR_API void weir__pool_consider(weir_pool *p);
/* Starts a worker. 0, EAGAIN. Called and returns locked, and is not in between. */
WEIR_API int weir__pool_grow(weir_pool *p);

#endif /* WEIR_TASK_POOL_WORKER_H */

/* ==== weir/task/pool.h ==== */

/* weir/task/pool.h: a pool of workers that run jobs from a bounded queue.
 *
 *     weir_pool pool;
 *     weir_pool_opt opt = {.min = 2, .max = 16, .queue = 100};
 *     rc = weir_pool_start(&pool, ctx, &opt);
 *     rc = weir_pool_submit(ctx, &pool, resize, image, NULL);          int resize(weir_ctx *ctx, void *image)
 *     rc = weir_pool_submit(ctx, &pool, resize, image, &(weir_job_opt){.priority = WEIR_JOB_HIGH, .timeout = WEIR_MS(50), .future = f});
 *     weir_pool_drain(ctx, &pool);
 *     weir_pool_free(&pool);
 *
 * Meaning
 *   Submitting fails or succeeds by itself: 0 says that the job was accepted, and nothing about how it will end; that is told by its result (task/job.h). A
 *   job that was accepted is run or reported, once, whatever is called at the same time; why, stands in task/pool_worker.h.
 *   Room: `queue` jobs wait at each priority, so many of low priority do not keep out those of high. What happens when there is no room, each submit
 *   may choose. From inside a job, of any pool, submit never waits: where it would, the job runs in the caller.
 *   Order: by priority, then as submitted. Each priority gets a turn now and then, however busy the higher ones are (`age`).
 *   A job that has not begun when its deadline passes is not run; it is reported, with ETIMEDOUT, by the worker that comes to it in its turn.
 *   When the pool's context ends, by stop or because its parent has ended, jobs that run see it in theirs, and jobs that wait are reported with its error, not run.
 *   They go on being taken, so nobody who waits for room, a result or the drain waits for ever.
 *
 * Ending
 *   drain   accepts no more, runs what was accepted, ends the workers
 *   stop    accepts no more, ends the jobs' context, reports what was waiting, ends the workers; with a deadline: does not wait longer. What still runs then
 *           stands on the roll (weir_threads, obs/threads.h) under the jobs' names, and another stop waits again.
 *   Both may be called any number of times, by any threads, while others submit: whose job is no longer accepted gets EPIPE. Whoever returns with 0 knows that
 *   no worker is left, its thread joined. Calls that run a job in their own thread are not waited for, they return by themselves.
 *
 * As a runner, for groups and futures (weir_pool_runner): functions of theirs count as jobs of normal priority that are always called, after a stop too, because somebody
 * waits for their end; their own contexts tell them to stop.
 *
 * Who may call what at once: everything but start and free, any threads. free: one thread, when no other uses the pool.
 *
 * Progress: submit is lock-free while there is room, no worker sleeps and the pool has all the workers that it may have; else it may take a lock, to wake a worker
 * or to see whether one more is wanted, and it parks where it waits for room. It reads the clock only for an elastic pool or a job that is to be reported or traced. To
 * drop the oldest it tries again as long as others fill the place. Nothing is allocated after start, but one block in a call of weir_pool_map.
 *
 * Not done: a queue for each worker, with stealing. One ring for all keeps the order of submission. On two cores oneTBB's task_group, which steals, takes five times
 * as long for a job that does nothing, and at 1 us nothing is left to gain; with more cores it has not been measured.
 */
#ifndef WEIR_TASK_POOL_H
#define WEIR_TASK_POOL_H


typedef struct weir_pool_tally {
    const char *name;
    unsigned workers, running; /* now; of them in a job */
    unsigned most_workers;     /* at any one time */
    size_t queued;             /* now */
    uint64_t done, failed;     /* jobs that have returned 0, an error */
    uint64_t expired;          /* not run: their deadline had passed */
    uint64_t cancelled;        /* not run: the pool was stopped */
    uint64_t rejected;         /* EAGAIN */
    uint64_t dropped_newest, dropped_oldest;
    uint64_t caller_ran; /* in the thread that submitted, as any job also counted under what became of them */
    uint64_t unreported; /* results that found no room in their channel */
    /* workers started for the queue's sake; ended for being too many; that the system refused */
    uint64_t grown, shrunk, refused;
} weir_pool_tally;

/* Starts the pool with its least number of workers. parent: NULL, or a context that outlives it; opt may be NULL, and is copied. 0; EINVAL: min above max, a wrong
 * overflow or wait; ENOMEM; EOVERFLOW: the queue is too large; EAGAIN: the system refused a thread: nothing is left. */
WEIR_API int weir_pool_start(weir_pool *p, weir_ctx *parent, const weir_pool_opt *opt);

/* Submits a job: fn(ctx of the job, arg). opt may be NULL, and is copied. As the overflow says, waits for room as long as ctx lives. 0: accepted. Else it will not
 * run: EAGAIN: there was no room; EPIPE: drained or stopped; ECANCELED, ETIMEDOUT: ctx ended first; EINVAL: fn is NULL, or a number in opt is wrong;
 * ENOTRECOVERABLE: the pool is a parent process's. */
static inline int weir_pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt);
/* The same without waiting: EAGAIN for want of room, whatever the overflow says. */
static inline int weir_pool_try_submit(weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt);

/* New bounds; 1 <= min <= max. Starts workers up to min at once; has those above max end when they are through with their jobs. 0; EINVAL; EPIPE: drained or
 * stopped; EAGAIN: the system refused a thread; the bounds count. */
WEIR_API int weir_pool_resize(weir_pool *p, unsigned min, unsigned max);

/* See above. 0; ECANCELED, ETIMEDOUT: ctx or the deadline ended first; EBUSY: called by a job that runs in a worker of this pool, which would wait for itself: it
 * has begun; ENOTRECOVERABLE. */
WEIR_API int weir_pool_drain(weir_ctx *ctx, weir_pool *p);
WEIR_API int weir_pool_stop(weir_pool *p);
WEIR_API int weir_pool_stop_until(weir_pool *p, weir_ns deadline);

/* Stops it and frees its memory. 0; EBUSY as above, and nothing is freed. Again: 0. */
WEIR_API int weir_pool_free(weir_pool *p);

/* The pool's numbers. Those that belong together may be a moment apart. Any thread; takes a lock. */
WEIR_API void weir_pool_stats(weir_pool *p, weir_pool_tally *tally);

/* For weir_group_opt.runner, weir_future_opt.runner. Lives as long as the pool. */
static inline weir_runner *weir_pool_runner(weir_pool *p)
{
    return &p->runner.base;
}

/* The context of the pool's jobs. */
static inline weir_ctx *weir_pool_ctx(weir_pool *p)
{
    return &p->ctx;
}

WEIR_API int weir__pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt,
                               weir__job_guard *guard, bool waits);

static inline int weir_pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt)
{
    return weir__pool_submit(ctx, p, fn, arg, opt, WEIR__JOB_GUARD, true);
}

static inline int weir_pool_try_submit(weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt)
{
    return weir__pool_submit(NULL, p, fn, arg, opt, WEIR__JOB_GUARD, false);
}

#endif /* WEIR_TASK_POOL_H */

/* ==== weir/task/pool_metrics.h ==== */

/* weir/task/pool_metrics.h: the numbers of pools, as Prometheus scrapes them.
 *
 *     weir_pool_tally t;
 *     weir_pool_stats(&pool, &t);
 *     weir_prometheus_pools(&p, &t, 1);                         weir_pool_done_total{pool="thumbnails"} 4711 …
 */
#ifndef WEIR_TASK_POOL_METRICS_H
#define WEIR_TASK_POOL_METRICS_H


/* The families weir_pool_…, of n pools, told apart by the label "pool": give them names that differ. 0, or the first error of weir_prometheus_family. */
WEIR_API int weir_prometheus_pools(weir_prometheus *p, const weir_pool_tally *tallies, size_t n);

#endif /* WEIR_TASK_POOL_METRICS_H */

/* ==== weir/task/pool_map.h ==== */

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

/* ==== weir/guard/clock.h ==== */

/* weir/guard/clock.h: the clock by which a guard decides: the monotonic one, or the caller's own.
 *
 * Guards (limiters, breakers, retries) know time only through this, so a test or a simulation moves it by hand and never sleeps:
 *
 *     struct by_hand { weir_clock clock; weir_ns at; } hand = {{by_hand_now, by_hand_sleep}, 0};
 *     weir_limiter_init(&l, 10, 1, &hand.clock);
 *
 * A clock outlives the guards that use it. Its functions may be called by any number of threads at once. It need not be steady: a reading that is
 * older than an earlier one gains nobody anything. Deadlines of contexts are on weir's own clock; against a clock of the caller's they are
 * compared as durations, what is left of one beside what is left of the other.
 */
#ifndef WEIR_GUARD_CLOCK_H
#define WEIR_GUARD_CLOCK_H


typedef struct weir_clock weir_clock;
struct weir_clock {
    /* Nanoseconds, 0 or more. */
    weir_ns (*now)(weir_clock *clock);
    /* Waits until `until` on this clock: 0, or what ended ctx. NULL: as long on weir's own clock. */
    int (*sleep)(weir_clock *clock, weir_ctx *ctx, weir_ns until);
};

/* NULL: the monotonic clock. */
static inline weir_ns weir__clock_now(weir_clock *clock)
{
    return WEIR_LIKELY(clock == NULL) ? weir_now() : clock->now(clock);
}

/* What is left of the deadline of ctx, and of `deadline`, both on weir's own clock; WEIR_FOREVER: neither. May be negative. */
WEIR_API weir_ns weir__clock_left(weir_ctx *ctx, weir_ns deadline);
/* Waits until `until` on the clock: 0, ECANCELED, ETIMEDOUT. */
WEIR_API int weir__clock_sleep(weir_clock *clock, weir_ctx *ctx, weir_ns until);

#endif /* WEIR_GUARD_CLOCK_H */

/* ==== weir/guard/rate.h ==== */

/* weir/guard/rate.h: a rate in events a second as whole numbers: so many units in a nanosecond, times a power of two.
 *
 * A double has 53 bits and no nanoseconds; a bucket (guard/bucket.h) multiplies time by a rate for years, and may be off by less than one event in 1e9. So
 * the rate's mantissa is divided by 1e9 to 62 bits, once, and time is multiplied by that to 128.
 */
#ifndef WEIR_GUARD_RATE_H
#define WEIR_GUARD_RATE_H


#include <string.h>

/* Events a second. Everything passes, whatever the burst. */
#define WEIR_RATE_INFINITE __builtin_inf()
#define WEIR_RATE_MAX 1e12
#define WEIR_BURST_MAX (INT64_C(1) << 40)

/* a * b / 2^shift, rounded down, modulo 2^64. */
WEIR_INLINE uint64_t weir__mul_shift(uint64_t a, uint64_t b, unsigned shift)
{
#if defined(__SIZEOF_INT128__) && !defined(WEIR__NO_INT128)
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    return shift < 128 ? (uint64_t)(product >> shift) : 0;
#else
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t middle = ah * bl + (al * bl >> 32), cross = al * bh + (uint32_t)middle;
    const uint64_t high = ah * bh + (middle >> 32) + (cross >> 32), low = a * b;
    return shift == 0 ? low : shift < 64 ? low >> shift | high << (64 - shift) : shift < 128 ? high >> (shift - 64) : 0;
#endif
}

#define WEIR__RATE_BURST (UINT64_C(1) << 58) /* a burst in units is at most this */

/* A token is 2^this units: as coarse as 2 to 4 for a nanosecond, and as the burst needs. rate: 0 … WEIR_RATE_MAX; burst: 0 … WEIR_BURST_MAX. */
WEIR_API unsigned weir__rate_token_shift(double rate, int64_t burst);
/* rate * 2^token_shift / 1e9, as the result / 2^*speed_shift: 62 bits, rounded up, so that at a rate of ten a tenth of a second is a whole token. It is too fast
 * by 2^-62 of itself. rate: above 0. */
WEIR_API uint64_t weir__rate_speed(double rate, unsigned token_shift, unsigned *speed_shift);

#endif /* WEIR_GUARD_RATE_H */

/* ==== weir/guard/bucket.h ==== */

/* weir/guard/bucket.h: the arithmetic of a token bucket that is one word.
 *
 * Two numbers on one line
 *   minted   how many tokens the rate has made up to a point in time: computed afresh from the clock by one multiplication, so that nothing
 *            adds up, neither rounding nor late readings; an old reading gives an old, smaller number
 *   spent    how many have been taken; the only thing that changes, by compare-and-swap
 *   minted - spent is what the bucket holds. Above the burst, the rest has run over: spent counts from minted - burst. Below zero, tokens are reserved
 *   that have yet to be made. (This is GCRA, ITU-T I.371, with tokens on the axis instead of time: a period of 1e9 / rate nanoseconds would have to be
 *   rounded, and 1e9 roundings add up.)
 *
 * Units
 *   A token is 2^token_shift units, chosen with the rate such that a nanosecond mints 2 to 4 units where it can: fine enough for rounding to stay
 *   below the clock's own, coarse enough for 62 bits to last. Minted is rounded down: readings that are T nanoseconds apart, which lie up to T + 1 apart,
 *   never admit more than rate * (T + 1) + burst. (Above 2e9 tokens a second a unit is a token, and a nanosecond mints more.)
 *
 * The word
 *       63……2  spent, modulo 2^62     1 0  generation: which of four rules it belongs to
 *   Distances are what counts: spent may be ahead of minted by up to 2^60 units (who reserves stops at half of that; the other half marks buckets that
 *   are not in use); anything else is behind. A bucket that idles for 2^62 - 2^60 units (27 years at any rate up to 4e9 a second, 40 days at 1e12) may
 *   look ahead when it is full.
 *
 * Rules change while others decide
 *   A rule is rate and burst from a point in time on. Whoever changes them (under the owner's lock) fills the next of the four, then moves the word
 *   from one line onto the other by one compare-and-swap, which also names the rule: no decision mixes two.
 *   A decider that was suspended may read a rule that is being filled for the fourth time. Its fields are stored with release (A) after the word
 *   had moved on, and read with acquire (B); so whoever has read a new field finds another word than it began with, and begins anew. For the word to
 *   have come back to the same value, spent too would have to be the same: each new line begins 2^62 / golden ratio further on, which four changes do
 *   not bring back.
 *
 * Progress: lock-free; a decision repeats only when another one has succeeded, or the rule has changed.
 */
#ifndef WEIR_GUARD_BUCKET_H
#define WEIR_GUARD_BUCKET_H


#define WEIR__BUCKET_MASK ((UINT64_C(1) << 62) - 1)
#define WEIR__BUCKET_AHEAD (UINT64_C(1) << 59)        /* a reservation is at most so far ahead */
#define WEIR__BUCKET_CLOSED ((UINT64_C(1) << 60) - 1) /* a bucket so far ahead refuses everything */
#define WEIR__BUCKET_STEP (UINT64_C(0x9e3779b97f4a7c15) >> 2)
#define WEIR__BUCKET_LEDGER 16 /* a ledger counts 2^-16 tokens */

typedef struct weir__bucket_rule {
    weir__atomic_u64 from;   /* the reading of the clock from which it holds */
    weir__atomic_u64 minted; /* up to there */
    weir__atomic_u64 speed;  /* units that a nanosecond mints, times 2^speed_shift; 0: none */
    weir__atomic_u64 burst;  /* units; UINT64_MAX: everything passes */
    weir__atomic_u64 shifts; /* token_shift | speed_shift << 8 */
    weir__atomic_u64 period; /* nanoseconds for a unit: the bits of a double, for a first guess */
    weir__atomic_u64 ledger; /* what the ledger, which goes on over all rules, says at `minted` */
} weir__bucket_rule;

typedef struct weir__bucket_rules {
    weir__bucket_rule rule[4];
    weir__atomic_u32 newest; /* a hint: the generation of most words */
} weir__bucket_rules;

/* The same, read: what all the arithmetic works on. */
typedef struct weir__bucket_terms {
    weir_ns from;
    uint64_t minted, speed, burst;
    unsigned token_shift, speed_shift;
} weir__bucket_terms;

/* One look at a bucket. */
typedef struct weir__bucket_look {
    uint64_t word;   /* as seen */
    uint64_t minted; /* up to `now` */
    uint64_t spent;  /* not more than the burst behind */
    uint64_t need;
} weir__bucket_look;

/* Acquire, all of them: (B). */
WEIR_INLINE weir__bucket_terms weir__bucket_read(const weir__bucket_rule *rule)
{
    const uint64_t shifts = weir__load_acq(&rule->shifts);
    weir__bucket_terms terms;
    terms.from = (weir_ns)weir__load_acq(&rule->from);
    terms.minted = weir__load_acq(&rule->minted);
    terms.speed = weir__load_acq(&rule->speed);
    terms.burst = weir__load_acq(&rule->burst);
    terms.token_shift = (unsigned)shifts & 63;
    terms.speed_shift = (unsigned)(shifts >> 8);
    return terms;
}

/* Units minted up to `now`, since the rule holds. */
WEIR_INLINE uint64_t weir__bucket_since(const weir__bucket_terms *terms, weir_ns now)
{
    return now <= terms->from ? 0 : weir__mul_shift((uint64_t)(now - terms->from), terms->speed, terms->speed_shift);
}

/* Looks at the bucket with a request for n tokens. 0: `need` and all the rest are set; ENOTSUP: no limit; EINVAL: more than the burst, or negative. */
WEIR_INLINE int weir__bucket_look_at(weir__bucket_look *look, uint64_t word, const weir__bucket_terms *terms, int64_t n,
                                     weir_ns now)
{
    uint64_t behind;
    look->word = word;
    if (WEIR_UNLIKELY(terms->burst == UINT64_MAX))
        return n < 0 ? EINVAL : ENOTSUP;
    if (WEIR_UNLIKELY(n < 0 || (uint64_t)n > terms->burst >> terms->token_shift))
        return EINVAL;
    look->need = (uint64_t)n << terms->token_shift;
    look->minted = terms->minted + weir__bucket_since(terms, now);
    behind = (look->minted - (word >> 2)) & WEIR__BUCKET_MASK;
    look->spent = behind >= WEIR__BUCKET_MASK - WEIR__BUCKET_CLOSED || behind <= terms->burst
                      ? word >> 2
                      : look->minted - terms->burst;
    return 0;
}

/* How far ahead of what is minted the request brings the bucket; 0 or less: it can be served now. */
WEIR_INLINE int64_t weir__bucket_ahead(const weir__bucket_look *look)
{
    return (int64_t)((look->spent + look->need - look->minted) << 2) / 4;
}

/* Spends what the look asks for, if nothing has changed since. Relaxed would do for the bucket alone: acquire, here, and release, where tokens are given back,
 * order what they stand for, so that whoever gets them sees what that one did; through all that others have done to the word in between, for a
 * read-modify-write goes on with the release of the one before it. */
WEIR_INLINE bool weir__bucket_spend(weir__atomic_u64 *bucket, const weir__bucket_look *look)
{
    uint64_t word = look->word;
    return weir__cas_acq(bucket, &word, (look->spent + look->need) << 2 | (look->word & 3));
}

/* One attempt to take n tokens from the bucket, in which `word` was seen (acquire: pairs with the release in weir__bucket_change: the rule that it names).
 * 0: taken. EAGAIN: they are not there. EINVAL: never, see above. WEIR__BUSY: the word is another one by now. */
WEIR_INLINE int weir__bucket_attempt_by(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rule *rule,
                                        int64_t n, weir_ns now)
{
    const weir__bucket_terms terms = weir__bucket_read(rule);
    weir__bucket_look look;
    int rc = weir__bucket_look_at(&look, word, &terms, n, now);
    if (WEIR_LIKELY(rc == 0)) {
        if (WEIR_LIKELY(weir__bucket_ahead(&look) <= 0))
            return WEIR_LIKELY(weir__bucket_spend(bucket, &look)) ? 0 : WEIR__BUSY;
        rc = EAGAIN;
    }
    if (WEIR_UNLIKELY(weir__load_rlx(bucket) !=
                      word)) /* the rule may have been another's. Relaxed: (B) comes before it */
        return WEIR__BUSY;
    return rc == ENOTSUP ? 0 : rc;
}
WEIR_API int weir__bucket_attempt_slow(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                       int64_t n, weir_ns now);
/* The rule is looked up by the hint, not by the word, so that what has been minted is computed while the word is still on its way from another
 * core: half of the time. */
WEIR_INLINE int weir__bucket_attempt(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                     int64_t n, weir_ns now)
{
    const uint32_t newest = weir__load_rlx(&rules->newest);
    if (WEIR_UNLIKELY((word & 3) != newest))
        return weir__bucket_attempt_slow(bucket, word, rules, n, now);
    return weir__bucket_attempt_by(bucket, word, &rules->rule[newest], n, now);
}

/* The same, as often as it takes; *now: the reading of the clock that decided.
 * The clock is read first, so that between the look at the word and its swap there is time for nothing else: with the word first, 8 threads on two
 * cores took twice as long. But then a thread that was held up between clock and word would be refused for being late, though there had been tokens
 * all the time. So a refusal asks again, the word before the clock: then the bucket, the same before and after, did not hold the tokens at
 * that reading. */
WEIR_API int weir__bucket_take_late(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_clock *clock,
                                    int64_t n, weir_ns *now);
WEIR_INLINE int weir__bucket_take(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_clock *clock,
                                  int64_t n, weir_ns *now)
{
    int rc;
    *now = weir__clock_now(clock);
    do
        rc = weir__bucket_attempt(bucket, weir__load_acq(bucket), rules, n, *now);
    while (WEIR_UNLIKELY(rc == WEIR__BUSY));
    return WEIR_LIKELY(rc != EAGAIN) ? rc : weir__bucket_take_late(bucket, rules, clock, n, now);
}

/* Tokens taken ahead of time. */
typedef struct weir_reservation {
    weir_ns when;    /* the reading of the clock from which they may be used */
    int64_t n;       /* how many; 0: none, or given back */
    uint64_t ledger; /* what the ledger said after it */
} weir_reservation;

/* One attempt to take tokens that may have yet to be made, at the latest `longest` after now. 0; EINVAL, WEIR__BUSY as above; ETIMEDOUT: later than
 * that; EAGAIN: never at this rate, or further ahead than the bucket can count. Nothing has changed then. */
WEIR_API int weir__bucket_reserve(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules, int64_t n,
                                  weir_ns now, weir_ns longest, weir_reservation *r);
/* One attempt to give back what was reserved, less what has been reserved since. 0; EAGAIN: nothing was left to give back; WEIR__BUSY. */
WEIR_API int weir__bucket_cancel(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                 const weir_reservation *r);
/* What the bucket holds, in tokens; below 0: reserved ahead. */
WEIR_API double weir__bucket_holds(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_ns now);
/* Fills rule `next` (0 … 3). before: the one that holds until now, or NULL. EINVAL: rate is negative, not a number, or finite and above WEIR_RATE_MAX; burst is
 * negative or above WEIR_BURST_MAX. Under the owner's lock. */
WEIR_API int weir__bucket_rule_set(weir__bucket_rules *rules, unsigned next, const weir__bucket_rule *before,
                                   double rate, int64_t burst, weir_ns now);
/* The word of a full bucket under that rule. */
WEIR_API uint64_t weir__bucket_begin(const weir__bucket_rules *rules, unsigned generation, weir_ns now);
/* Under the owner's lock: whether the bucket in which `word` was seen is full, so that nobody needs to remember it; else *wait nanoseconds more. *closed: a word
 * of that rule that refuses everything. */
WEIR_API bool weir__bucket_full(uint64_t word, const weir__bucket_rules *rules, weir_ns now, uint64_t *closed,
                                weir_ns *wait);
/* Moves a bucket from the rule before `next` to rule `next`. */
WEIR_API void weir__bucket_change(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, unsigned next);

#endif /* WEIR_GUARD_BUCKET_H */

/* ==== weir/guard/limiter.h ==== */

/* weir/guard/limiter.h: at most so many events a second, with bursts: a token bucket.
 *
 *     weir_limiter l;
 *     weir_limiter_init(&l, 100.0, 20, NULL);             100 events a second, up to 20 at once
 *     if (weir_limiter_allow(&l, 1) == 0) …;               now, or not
 *     if (weir_limiter_wait(ctx, &l, 1) == 0) …;           when it is its turn
 *     weir_limiter_reserve(&l, 5, &r); … r.when …           in time; weir_limiter_cancel(&l, &r) if it is not needed after all
 *
 * Meaning
 *   The bucket begins full, with `burst` tokens. Rate 0: they are all that there will ever be. WEIR_RATE_INFINITE: everything passes, whatever the burst.
 *   More than the burst at once can never be: EINVAL, not EAGAIN. A refused request changes nothing.
 *   Reserving takes tokens that have yet to be made, so whoever reserves first goes first, and those behind wait longer. Cancelling a reservation gives
 *   its tokens back less what was reserved after it (those were told a time that counted them), and nothing once its own time has come.
 *   weir_limiter_wait reserves and sleeps. A wait that would outlast the deadline fails at once and reserves nothing; one whose context ends
 *   before its time gives back what it can.
 *   Changing rate or burst counts from that moment on: what has been made stays made, within the new burst; times that were told stay told.
 *   Weir's clock does not go back; one of the caller's own may: an old reading finds the tokens of that time, less what has been spent since.
 *
 * Who may call what at once: after weir_limiter_init everything, from any number of threads. There is nothing to free.
 *
 * Limits: rate 0 … 1e12, or infinite; burst 0 … 2^40. guard/bucket.h has the arithmetic, and why no rounding adds up.
 * Source for the meanings: Go's x/time/rate; for the algorithm: GCRA, ITU-T I.371.
 */
#ifndef WEIR_GUARD_LIMITER_H
#define WEIR_GUARD_LIMITER_H


typedef struct weir_limiter {
    weir__atomic_u64 bucket;
    char apart[WEIR_CACHE_PAD - sizeof(weir__atomic_u64)]; /* from what is only read */
    weir__bucket_rules rules;
    weir_clock *clock;
    weir__atomic_u64 rate; /* the bits of a double; this and burst: as set, for those who ask */
    weir__atomic_u64 burst;
    weir__atomic_u32 changing; /* a lock: one change of rules at a time */
} weir_limiter;

/* The rate of one event in so many nanoseconds. */
#define WEIR_RATE_EVERY(ns) (1e9 / (double)(ns))

/* rate: events a second; clock: NULL for the monotonic one. 0; EINVAL: outside of the limits. */
WEIR_API int weir_limiter_init(weir_limiter *l, double rate, int64_t burst, weir_clock *clock);
/* 0, EINVAL. Progress: takes a lock against other changes; nobody who decides waits for it. */
WEIR_API int weir_limiter_set_rate(weir_limiter *l, double rate);
WEIR_API int weir_limiter_set_burst(weir_limiter *l, int64_t burst);
WEIR_API double weir_limiter_rate(weir_limiter *l);
WEIR_API int64_t weir_limiter_burst(weir_limiter *l);
/* How many tokens there are at this moment; below 0: so many are reserved ahead. Infinite where everything passes. */
WEIR_API double weir_limiter_tokens(weir_limiter *l);

/* 0: n events may happen now. EAGAIN: not now. EINVAL: never: more than the burst, or negative. Progress: lock-free. */
static inline int weir_limiter_allow(weir_limiter *l, int64_t n)
{
    weir_ns now;
    return weir__bucket_take(&l->bucket, &l->rules, l->clock, n, &now);
}

/* 0: n events may happen at r->when, on the limiter's clock (which may be now). EINVAL as above. EAGAIN: never at this rate. Lock-free. */
WEIR_API int weir_limiter_reserve(weir_limiter *l, int64_t n, weir_reservation *r);
/* 0: all of it or a part was given back. EAGAIN: nothing: its time has come, or all of it counts in what others were told. A second cancel does nothing.
 * Progress: lock-free. */
WEIR_API int weir_limiter_cancel(weir_limiter *l, weir_reservation *r);

/* Waits until n events may happen. 0; EINVAL as above; ECANCELED, ETIMEDOUT: the context has ended; ETIMEDOUT, at once: it would take longer than the
 * context or the deadline allows, or for ever. The deadline is on weir's clock. Progress: lock-free when they may happen now, else parks. */
WEIR_API int weir_limiter_wait_until(weir_ctx *ctx, weir_limiter *l, int64_t n, weir_ns deadline);
static inline int weir_limiter_wait(weir_ctx *ctx, weir_limiter *l, int64_t n)
{
    return weir_limiter_wait_until(ctx, l, n, WEIR_FOREVER);
}

#endif /* WEIR_GUARD_LIMITER_H */

/* ==== weir/guard/leaky.h ==== */

/* weir/guard/leaky.h: events evenly spaced: one every 1 / rate seconds, and no bursts but the slack.
 *
 *     weir_leaky l;
 *     weir_leaky_init(&l, 100.0, 0, NULL);       one every 10 ms, never two closer together
 *     while (weir_leaky_wait(ctx, &l) == 0) …;
 *
 * With slack, whoever was late may catch up: up to `slack` events that did not happen in their turn follow without a distance. It begins with none saved.
 * It is a token bucket of 1 + slack tokens (guard/limiter.h), which begins with one; errors, threads and progress are those of a limiter.
 * Source: uber-go/ratelimit, whose complaint is heeded that idle time must not be saved without bound (#119): nor, here, without asking.
 */
#ifndef WEIR_GUARD_LEAKY_H
#define WEIR_GUARD_LEAKY_H


typedef struct weir_leaky {
    weir_limiter limiter;
} weir_leaky;

/* rate: above 0; slack: 0 or more events. 0, EINVAL. */
WEIR_API int weir_leaky_init(weir_leaky *l, double rate, int64_t slack, weir_clock *clock);
/* 0, EINVAL. */
static inline int weir_leaky_set_rate(weir_leaky *l, double rate)
{
    return rate > 0 ? weir_limiter_set_rate(&l->limiter, rate) : EINVAL;
}

/* 0: an event may happen now. EAGAIN: it is too early. */
static inline int weir_leaky_allow(weir_leaky *l)
{
    return weir_limiter_allow(&l->limiter, 1);
}
/* Waits for the turn of one event. 0; ECANCELED, ETIMEDOUT. */
static inline int weir_leaky_wait_until(weir_ctx *ctx, weir_leaky *l, weir_ns deadline)
{
    return weir_limiter_wait_until(ctx, &l->limiter, 1, deadline);
}
static inline int weir_leaky_wait(weir_ctx *ctx, weir_leaky *l)
{
    return weir_leaky_wait_until(ctx, l, WEIR_FOREVER);
}

#endif /* WEIR_GUARD_LEAKY_H */

/* ==== weir/guard/limiter_map.h ==== */

/* weir/guard/limiter_map.h: a limiter for each key: each client, address, account …, in bounded memory.
 *
 *     weir_limiter_map m;
 *     weir_limiter_map_init(&m, 10.0, 20, 100000, NULL);              10 a second and 20 at once, for each of up to 100,000 keys
 *     if (weir_limiter_map_allow(&m, weir_limiter_map_key(&m, name, strlen(name)), 1) == 0) …;
 *
 * Meaning
 *   A key that has not been seen has a full bucket; so a bucket that is full again need not be remembered, and makes room for another when the map
 *   holds as many as it may. Where none is full a new key is refused (EOVERFLOW), and those that are in use go on: forgetting one of them would give it
 *   a full bucket. One rate and burst for all; both can be changed while the map is in use.
 *
 * The table
 *   Places of two words, at least twice as many as keys: the key (0: never used, 1: free again) and its bucket (guard/bucket.h; all share the rules). A
 *   key lies within WEIR__LIMITER_PROBES places from where its number says.
 *   Whoever finds its key decides without a lock, as a limiter does. A new key takes the map's lock.
 *
 * Why nobody spends from another key's bucket
 *   Forgetting and reusing a place, under the lock          deciding
 *     1. key = free again                                     a. read the bucket (acquire)
 *     2. bucket: full -> closed, by compare-and-swap          b. read the key: still ours?
 *        (no longer full: the key comes back)                 c. compare-and-swap the bucket from what (a) saw
 *     3. bucket = the new one's, full (release)
 *     4. key = the new one's (release)
 *   If (a) saw the bucket of 2 or 3, it saw the key of 1 or a later one in (b), and (b) fails. If it saw an earlier one, either (c) comes before 2, which
 *   then fails, or it fails itself. Nor does the same word come again: a full bucket can be written in many ways, and each new one is written
 *   one unit lower. A refusal stands if the bucket still is what (a) saw.
 *   Who finds no key has not found that it is forgotten, only the lock says so: between 1 and the key's return nobody sees it. Tokens that come back look
 *   again under the lock; a decider takes the lock anyway, to bring the key in.
 *   Not done: 2 before 1. A decider would find its key with a closed bucket, and be refused though it has all its tokens (the model found it).
 *
 * Who may call what at once: all but init and free, from any number of threads.
 */
#ifndef WEIR_GUARD_LIMITER_MAP_H
#define WEIR_GUARD_LIMITER_MAP_H


typedef struct weir__limiter_place {
    weir__atomic_u64 key, bucket;
} weir__limiter_place;

typedef struct weir_limiter_map {
    weir__limiter_place *places; /* mask + 1 of them */
    uint64_t mask, seed[2];
    weir__bucket_rules rules;
    weir_clock *clock;
    weir__atomic_u64 most; /* the burst, in tokens; UINT64_MAX: no limit */
    weir__atomic_u32 lock; /* guards all below, and who is in the table */
    weir__atomic_u64 used; /* keys; read by anybody */
    /* a time: before it no bucket will be full, the last search has found. A cancel, without the lock, makes it 0 */
    weir__atomic_u64 none_before;
    uint64_t capacity, hand; /* hand: where the search for full buckets goes on */
    uint64_t salt;           /* how many keys have come in */
    double rate;
    int64_t burst;
    unsigned generation;
} weir_limiter_map;

/* rate, burst, clock: as weir_limiter_init; capacity: the most keys at once, at least 1. 0; EINVAL; EOVERFLOW: above 2^32 keys; ENOMEM. 32 to 64
 * bytes for a key. */
WEIR_API int weir_limiter_map_init(weir_limiter_map *m, double rate, int64_t burst, size_t capacity, weir_clock *clock);
/* Nobody uses it any more. */
WEIR_API void weir_limiter_map_free(weir_limiter_map *m);

/* A key for some bytes, by a hash with a secret of this map. Any other number that the caller has will do, too. Wait-free. */
static inline uint64_t weir_limiter_map_key(const weir_limiter_map *m, const void *bytes, size_t size)
{
    return weir_hash(m->seed, bytes, size);
}

/* All as weir_limiter_…, for one key; in addition EOVERFLOW: the key is new, and no bucket in the map is full. Progress: as there for a key in the map, else
 * takes the lock. */
WEIR_API int weir_limiter_map_allow(weir_limiter_map *m, uint64_t key, int64_t n);
WEIR_API int weir_limiter_map_reserve(weir_limiter_map *m, uint64_t key, int64_t n, weir_reservation *r);
WEIR_API int weir_limiter_map_cancel(weir_limiter_map *m, uint64_t key, weir_reservation *r);
WEIR_API int weir_limiter_map_wait(weir_ctx *ctx, weir_limiter_map *m, uint64_t key, int64_t n);
/* For all keys. 0, EINVAL. Takes the lock for as long as it takes to go through all. */
WEIR_API int weir_limiter_map_set(weir_limiter_map *m, double rate, int64_t burst);
/* How many keys it remembers. */
WEIR_API size_t weir_limiter_map_count(weir_limiter_map *m);

#endif /* WEIR_GUARD_LIMITER_MAP_H */

/* ==== weir/guard/rolling.h ==== */

/* weir/guard/rolling.h: how many of the latest calls have failed: of the last so many, or of those of the last so long.
 *
 * Overview
 *   A guard that moves from generation to generation (guard/breaker.h) notes here how each call has ended, and reads how many there were and how
 *   many failed. No lock, no thread; memory only at the start. A fixed window, cleared at intervals, would forget at its edge all that it knew.
 *
 * Generations
 *   The guard's word holds its generation above bit 24. Everything here is marked with the generation that it was noted in, and means nothing in
 *   another; so a new one begins empty though nobody clears anything. A thread that was held up between its look at the guard's word and its note
 *   cannot note in a later generation: it reads what it is about to replace, then the guard's word once more, and replaces only what it has read:
 *
 *       held-up thread, generation 3               another, generation 5
 *                                                  the guard's word says 5
 *       (R) reads an entry: one of generation 5    (S) writes an entry of generation 5
 *       the guard's word says 5: gives up
 *
 *   (R) acquires what (S) released, so the second look at the guard's word cannot be older than (S). Had (R) read an older entry, the
 *   swap that follows would fail, for (S) changed the entry; had (S) not come yet, it replaces what the held-up thread has written.
 *
 * By count: exact, one word
 *       head:  63……34 generation   33……11 sequence of the next note   10……1 failures   0 how the latest one ended
 *       slot of each of the last notes:  generation, sequence, how it ended
 *   A note is one compare-and-swap of the head: it adds one, takes away what falls out of the window, and leaves its own end in bit 0. Whoever
 *   comes next first puts that end into its slot: so a thread that stops for ever between two steps keeps nobody waiting, and what falls
 *   out is always there to be read. The counts are therefore those of one moment, that of the swap.
 *   The sequence starts at 0; at its end it goes back by half, so that it never looks young again. A head would be taken for another only by a
 *   thread that was held up for 4 million notes to the very note.
 *
 * By time: a count per bucket and end
 *       bucket of an end:  63……52 generation   51……24 number of the window's length that it belongs to   23……0 how many
 *   The window has as many buckets as it is told; each covers its part of every window's length, and what it held before is replaced by who comes
 *   first. Sums are read bucket by bucket: a call that ends at that very moment is in or not, as if it had ended a little earlier or later; one that
 *   had ended before is in. Of one bucket, 16 million of each end are counted. It would be taken for a later one after 2^28 window lengths without
 *   a note (eight years, for a second), or 4096 generations within one bucket.
 *   A clock reading that is older than another's, by up to sixteen windows, notes in its own bucket if that is still there, and nowhere else.
 *
 * Who may call what at once: note, read: any threads. init, free: one thread.
 * Progress: note, read: lock-free.
 */
#ifndef WEIR_GUARD_ROLLING_H
#define WEIR_GUARD_ROLLING_H


/* The guard's word, from here up, says in which generation it is. */
enum { WEIR__GENERATION_AT = 24 };

enum { WEIR__ROLLING_CALLS_MAX = 1023, WEIR__ROLLING_BUCKETS_MAX = 1024 };

typedef struct weir__rolling {
    weir__atomic_u64 *words; /* NULL: there is no window */
    uint32_t calls;          /* by count: the last so many; 0: by time */
    uint32_t mask;           /* by count: slots - 1 */
    uint32_t buckets;
    weir_ns bucket; /* how long one is */
} weir__rolling;

typedef struct weir__rolling_sum {
    uint64_t calls, failures;
} weir__rolling_sum;

/* The last `calls` calls (1 … 1023); or, with 0, those of `buckets` (1 … 1024) times `bucket` (1 or more) nanoseconds. 0; ENOMEM. */
WEIR_API int weir__rolling_init(weir__rolling *r, uint32_t calls, uint32_t buckets, weir_ns bucket);
WEIR_API void weir__rolling_free(weir__rolling *r);
/* A call of `generation` has ended at `now` (used by time alone). False: that generation, says *guard, is over; nothing has changed. What the
 * window then holds is in *sum, unless that is NULL: by count, of the very moment of the note. */
WEIR_API bool weir__rolling_note(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                 weir_ns now, weir__rolling_sum *sum);
/* What the window holds of that generation. */
WEIR_API weir__rolling_sum weir__rolling_read(weir__rolling *r, uint64_t generation, weir_ns now);

#endif /* WEIR_GUARD_ROLLING_H */

/* ==== weir/guard/circuit.h ==== */

/* weir/guard/circuit.h: what a circuit breaker is told, and what it tells.
 *
 * Every number that is left out is the one that its comment names; weir_breaker_init writes it in. The functions are called without any lock, in the
 * thread whose call they are about, and may call anything; `trips` and `closes` may be asked again about one result, with newer numbers, and should
 * do no more than answer.
 */
#ifndef WEIR_GUARD_CIRCUIT_H
#define WEIR_GUARD_CIRCUIT_H


typedef struct weir_breaker weir_breaker;

/* States. */
enum {
    WEIR_BREAKER_CLOSED,
    WEIR_BREAKER_HALF_OPEN,
    WEIR_BREAKER_OPEN,
    WEIR_BREAKER_FORCED_OPEN,
    WEIR_BREAKER_DISABLED
};
/* How a call has ended. */
enum {
    WEIR_BREAKER_SUCCESS,
    WEIR_BREAKER_FAILURE,
    WEIR_BREAKER_IGNORED /* neither: as if it had not been made */
};

/* What a breaker has counted in its present generation. */
typedef struct weir_breaker_tally {
    uint32_t consecutive;     /* closed: failures in a row */
    uint64_t calls, failures; /* closed: in the window; 0 without one */
    uint32_t under_way;       /* half-open: permits that have not ended */
    uint32_t successes;       /* half-open */
    uint32_t reopened;        /* open, half-open: how often, without a close between */
} weir_breaker_tally;

/* Zero means the default, for each. */
typedef struct weir_breaker_config {
    /* When it opens. */
    uint32_t consecutive;  /* failures in a row, up to 16,777,215; 5, or no such rule if there is a window or `trips` */
    uint32_t window_calls; /* looks at the last so many calls, up to 1023; 0: does not */
    weir_ns window_time;   /* looks at the calls that ended in the last so many nanoseconds; 0: does not */
    uint32_t buckets;      /* of window_time, which rolls in steps of one; up to 1024; 10 */
    double failure_rate;   /* of the window, above 0 and up to 1; 0.5, or no such rule if there is `trips` */
    uint32_t min_calls;    /* in the window, before the rate counts; as many as window_calls, 20 for window_time */
    bool (*trips)(const weir_breaker_tally *tally, void *arg); /* after a failure, in its thread; perhaps repeatedly */
    /* How long it stays open. */
    weir_ns open_time;     /* 60 s */
    double growth;         /* after each reopening so many times as long; 1, and not below */
    weir_ns max_open_time; /* of all, jitter included; 0: years */
    double jitter;         /* longer or shorter by up to this share, at random; 0 … 1; 0 */
    /* Half-open. */
    uint32_t probes;                                            /* calls under way at once, up to 4095; 1 */
    uint32_t successes;                                         /* to close, up to 4095; as many as probes */
    bool (*closes)(const weir_breaker_tally *tally, void *arg); /* after a success, instead of `successes` */
    weir_ns half_open_time;                                     /* after which it opens again; 0: never */
    /* What a result of weir_breaker_call means: rc is fn's, `outcome` what it would be taken for. */
    int (*classify)(int rc, int outcome, void *arg);
    /* After each change of state, once, in the thread that has made it. May call anything. */
    void (*on_change)(weir_breaker *b, int from, int to, void *arg);
    void *arg; /* passed to all of these */
    weir_clock *clock;
} weir_breaker_config;

#define WEIR__BREAKER_LONGEST (INT64_C(1) << 56) /* two years; longer times count as this */
enum { WEIR__BREAKER_COUNTS = 0xffffff, WEIR__BREAKER_COUNT = 0xfff };

/* "closed", "half-open", "open", "forced open", "disabled". */
WEIR_API const char *weir_breaker_state_text(int state);

/* Fills in the defaults. 0; EINVAL: a number out of its range, or both windows. */
WEIR_API int weir__breaker_defaults(weir_breaker_config *c);

#endif /* WEIR_GUARD_CIRCUIT_H */

/* ==== weir/guard/breaker.h ==== */

/* weir/guard/breaker.h: a circuit breaker: calls of a service that fails are refused for a while: it can recover, and nobody waits for it in vain.
 *
 *     weir_breaker breaker;
 *     weir_breaker_init(&breaker, &(weir_breaker_config){.consecutive = 3, .open_time = WEIR_SEC(10)});
 *     rc = weir_breaker_call(ctx, &breaker, ask_the_service, &question);         EAGAIN, EBUSY: it was not asked
 *
 *     weir_breaker_permit permit;                                                the same in two steps
 *     if ((rc = weir_breaker_allow(&breaker, &permit)) == 0)
 *         weir_breaker_done(&breaker, &permit, ask() ? WEIR_BREAKER_SUCCESS : WEIR_BREAKER_FAILURE);
 *
 * Overview
 *            ┌──────────── failures: a rule says so ───────────┐
 *        CLOSED                                                ▼
 *        all are admitted, results count                     OPEN  none is admitted, for open_time
 *            ▲                                                 │ ▲
 *            │                          the first that asks    ▼ │ one failure, or it takes longer than half_open_time
 *            └── so many successes ─────────────────────── HALF-OPEN  `probes` at a time are admitted
 *
 *   By hand: FORCED OPEN admits none and DISABLED admits all, and counts nothing, until weir_breaker_reset makes it CLOSED.
 *
 * Meaning
 *   Each change of state begins a new generation. A permit belongs to the generation that it was given in, and its result counts there or nowhere:
 *   whoever was admitted before the breaker opened does not close or reopen it afterwards.
 *   HALF-OPEN counts at admission: one more is admitted if fewer than `probes` are under way, and if those and the successes so far do not make up
 *   what it takes to close already. A permit that ends as IGNORED frees its place. One that never ends keeps it: half_open_time bounds that.
 *   A success is what fn returns 0 for. An error after the caller's ctx was cancelled is neither success nor failure. One after the deadline of ctx
 *   has passed is a failure, for a service that hangs shows in nothing else; a program that gives some calls too little time tells by `classify`.
 *   The open time is counted from a reading of the clock that was made after the breaker had opened: it is never shorter, and at most two
 *   microseconds longer. Each reopening without a close between makes it `growth` times as long.
 *   A reading that is older than an earlier one ends nothing. What begins at such a reading is counted from there.
 *   The state changes when somebody asks: a breaker whose open time has passed is open until the next allow.
 *
 * Rules by which it opens, looked at when a call fails; any of them is enough
 *   consecutive    so many failures in a row, of calls in the order in which they end
 *   window_calls or window_time, with failure_rate and min_calls: the share of failures among the last calls (guard/rolling.h)
 *   trips          the program's own, on these numbers
 *
 * The word
 *       63……61 state     60……54 how often reopened without a close     53……24 generation     23……0 counts:
 *           closed: failures in a row          half-open: 23……12 permits under way, 11……0 successes
 *   One compare-and-swap is a transition; it fits one generation only, since the next differs. So exactly one thread makes each, and it is the one
 *   that calls on_change, after the swap, with nothing held: the callback may call anything, this breaker included. Callbacks of two transitions
 *   made by two threads may run at once, or the later one first.
 *   A permit is the upper forty bits; a result whose permit differs there from the word is of an earlier generation. They differ until 2^30
 *   transitions have come between.
 *
 * The end of the open time stands in a second word, marked with sixteen bits of its generation
 *   Who opens the breaker writes it after the swap. Between the two the mark is of an earlier generation: then whoever asks writes it, from a
 *   clock reading of its own; the first counts. So nobody waits for a thread that stops there, the time is set once, and no shorter
 *   than it should be. A thread that was held up before it writes finds, or its swap does, that a later generation has set its time; if none has yet,
 *   it writes a mark that fits no later one, and whoever needs the word next overwrites it.
 *   Not done: writing the time before the swap. A thread that then loses the swap has shortened, by an older reading, the open time of another.
 *   The mark fits by mistake after 65,536 transitions none of which has set a time, that is, by hand: then one probe comes early.
 *
 * What is seen
 *   (D) A result's swap releases, and (A) an admission acquires: who is admitted after a transition, or in the place that another has given
 *   back, sees what that other did before. With `probes` 1 one probe sees all of the one before. Successes while closed that change nothing in
 *   the word order nothing.
 *
 * Source for the meanings: sony/gobreaker, failsafe-go, resilience4j, and what their users have asked for: a callback under a lock deadlocks
 * (gobreaker PR#119), a fixed window misjudges (#21), when to close (#63), half-open for ever (resilience4j#903, #935, #2289).
 *
 * Who may call what at once: allow, done, call, force, reset, state, counts: any threads. init, free: one thread.
 * Progress: allow while closed, and done of a success that nothing is counted for, are wait-free, a load each; else all are lock-free. Nothing
 * parks, allocates or takes a lock.
 */
#ifndef WEIR_GUARD_BREAKER_H
#define WEIR_GUARD_BREAKER_H


struct weir_breaker {
    weir__atomic_u64 word, end;
    weir__rolling window;
    weir_breaker_config config; /* defaults filled in */
};

/* One admission, to be ended once. 0: none, or ended. */
typedef struct weir_breaker_permit {
    uint64_t stamp;
} weir_breaker_permit;

/* Static: so many failures in a row open it, for so long; all else as by default. */
/* clang-format off */
#define WEIR_BREAKER_INIT(consecutive, open_time) \
    {0, 0, {NULL, 0, 0, 0, 0}, {(consecutive), 0, 0, 0, 0, 0, NULL, (open_time), 1, WEIR__BREAKER_LONGEST, 0, 1, 1, NULL, 0, NULL, NULL, NULL, NULL}}
/* clang-format on */

enum { WEIR__BREAKER_UNDER_WAY = 0x1000 };
WEIR_INLINE int weir__breaker_state(uint64_t word)
{
    return (int)(word >> 61);
}

/* Closed; config NULL: all defaults. 0; EINVAL: a number out of its range, or both windows; ENOMEM: none for the window. */
WEIR_API int weir_breaker_init(weir_breaker *b, const weir_breaker_config *config);
/* Frees the window. Nobody uses the breaker; permits that have not ended may be forgotten. One without a window need not be freed. */
WEIR_API void weir_breaker_free(weir_breaker *b);

/* WEIR_BREAKER_OPEN (or _FORCED_OPEN): admits none; WEIR_BREAKER_DISABLED: admits all, and counts nothing; until weir_breaker_reset. Permits of
 * before count nowhere. 0; EINVAL: another state. Any thread; lock-free, as reset. */
WEIR_API int weir_breaker_force(weir_breaker *b, int state);
/* Closed, with nothing counted, whatever it was; also if it was closed. */
WEIR_API void weir_breaker_reset(weir_breaker *b);

/* What it is at this moment, and what it has counted. */
WEIR_API int weir_breaker_state(weir_breaker *b);
WEIR_API void weir_breaker_counts(weir_breaker *b, weir_breaker_tally *tally);

WEIR_API int weir__breaker_allow_slow(weir_breaker *b, weir_breaker_permit *permit);
WEIR_API int weir__breaker_done_slow(weir_breaker *b, weir_breaker_permit *permit, int outcome);
WEIR_API int weir__breaker_outcome(weir_breaker *b, weir_ctx *ctx, int rc);

/* May a call be made now? 0: yes, and *permit is to be ended with weir_breaker_done. EAGAIN: it is open. EBUSY: it is half-open, and all places are
 * taken. Any thread; wait-free while closed, else lock-free. */
static inline int weir_breaker_allow(weir_breaker *b, weir_breaker_permit *permit)
{
    const uint64_t word = weir__load_acq(&b->word); /* (A) pairs with (D) */
    if (WEIR_UNLIKELY(weir__breaker_state(word) != WEIR_BREAKER_CLOSED))
        return weir__breaker_allow_slow(b, permit);
    permit->stamp = word | WEIR__BREAKER_COUNTS;
    return 0;
}

/* How the call has ended. 0, also if it no longer counts. EINVAL: no such outcome, the permit then stays good; or a permit that was not given, or has
 * ended already. (A copy of one that has ended is noticed only in a half-open breaker with nobody under way; else it counts as another call's end.)
 * Any thread, also another than asked; lock-free. */
static inline int weir_breaker_done(weir_breaker *b, weir_breaker_permit *permit, int outcome)
{
    /* The word of the permit's generation, closed, and nothing counted. */
    if (WEIR_UNLIKELY(outcome != WEIR_BREAKER_SUCCESS) || WEIR_UNLIKELY(b->window.words != NULL) ||
        WEIR_UNLIKELY((weir__load_rlx(&b->word) ^ permit->stamp) != WEIR__BREAKER_COUNTS) ||
        WEIR_UNLIKELY(weir__breaker_state(permit->stamp) != WEIR_BREAKER_CLOSED))
        return weir__breaker_done_slow(b, permit, outcome);
    permit->stamp = 0;
    return 0;
}

typedef struct weir__breaker_visit {
    weir_breaker *b;
    weir_breaker_permit permit;
    int outcome;
} weir__breaker_visit;
static inline void weir__breaker_leave(weir__breaker_visit *visit)
{
    if (visit->permit.stamp != 0)
        (void)weir_breaker_done(visit->b, &visit->permit, visit->outcome);
}

/* Runs fn(ctx, arg) if a call may be made, and returns what it returns. ECANCELED, ETIMEDOUT: ctx had ended before; EAGAIN, EBUSY: as
 * weir_breaker_allow; then fn was not run. (A fn that returns these itself is told from a refusal in two steps.) An exception that leaves fn, in a
 * C++ unit, is a failure. Any thread. */
static inline int weir_breaker_call(weir_ctx *ctx, weir_breaker *b, weir_task_fn *fn, void *arg)
{
    __attribute__((cleanup(weir__breaker_leave))) weir__breaker_visit visit = {b, {0}, WEIR_BREAKER_FAILURE};
    int rc = ctx == NULL ? 0 : weir_ctx_err(ctx);
    if (WEIR_UNLIKELY(rc != 0) || (rc = weir_breaker_allow(b, &visit.permit)) != 0)
        return rc;
    rc = fn(ctx, arg);
    visit.outcome = weir__breaker_outcome(b, ctx, rc);
    return rc;
}

#endif /* WEIR_GUARD_BREAKER_H */

/* ==== weir/guard/window.h ==== */

/* weir/guard/window.h: so many events in a window of time: windows that stand side by side, and a window that slides.
 *
 *     weir_fixed_window login;
 *     weir_fixed_window_init(&login, &(weir_window_config){.limit = 100, .window = WEIR_SEC(60)});
 *     if (weir_fixed_window_allow(&login, 1) == EAGAIN) …           not now
 *
 *     weir_sliding_window api;
 *     weir_sliding_window_init(&api, &(weir_window_config){.limit = 1000, .window = WEIR_SEC(1)});
 *     rc = weir_sliding_window_wait(ctx, &api, 20);                  when there is room, or not at all
 *
 * Which one
 *                        in any stretch as long as a window,    n events   memory        refuses though the last
 *                        at most                                 at once                  window had room
 *   fixed                2 × limit                               yes        1 word        no (it counts from the window's begin)
 *   sliding              2 × limit - 1                           yes        2 words       sometimes
 *   sliding, exact       limit                                   no         limit words   no
 *   None of the three ever lets more than `limit` events into one of the windows that stand side by side from init on.
 *
 *   sliding is the approximation by two counters: the events of the previous window are taken for evenly spread, so those of its share that still
 *   lies within the last window's length count. With e of the current window w gone, previous × (1 - e/w) + current + n <= limit admits. So the last
 *   window's length may hold up to limit + previous × e/w events, all of the previous ones having come at its very end; and one is refused too early
 *   if they came at its begin. It is exact where nothing came in the previous window, or where what came was spread evenly. The comparison is one of
 *   whole numbers, without rounding. Of 400 million requests from 270,000 sources 0.003 % were decided wrongly (Cloudflare, "How we built rate
 *   limiting capable of scaling to millions of domains", 2017, where the method is from).
 *
 * Meaning
 *   Windows begin when init is called, on the guard's clock. An event belongs to the moment at which its call read the clock. A reading from a window
 *   before one that another call has reached counts as the begin of that one (exact: as what it is, and it goes behind all that were entered): an
 *   older reading gains nobody anything. A refused request changes nothing.
 *   EAGAIN: not now. EINVAL: never; more than the limit, or less than 1.
 *   wait sleeps until the first moment at which there would be room if nobody else came, and tries again. Who waits longest is not served first: there
 *   is no line, and a large n can be kept from its turn by small ones. If that moment lies beyond the deadline it returns ETIMEDOUT at once. A wait
 *   that ends without success has taken nothing.
 *   Admission: a context that has ended gets nothing, whatever room there is.
 *
 * Who may call what at once: allow and wait: any threads. init and free: one, while nobody else uses the window.
 * Progress: allow is lock-free, without a system call, and so is wait until it sleeps. Nothing is allocated after init.
 *
 * The fixed window is one word
 *     63 … shift  number of the window      shift-1 … 0  events in it           shift: as many bits as the limit has
 *   No number wraps: a window is at least 4 ns long for each event of the limit (which no caller will miss), so that 2^63 ns have no more windows
 *   than there are bits for, here and below.
 *
 * The two counters are a word each: that of the windows with odd numbers, and that of those with even ones
 *     63 … shift+1  number of the window    shift  SEALED    shift-1 … 0  events in it
 *   One who comes in window i needs that of window i - 1 unchanged while it decides. So before the first event of window i
 *       (A) the word of i - 2 becomes that of i, with 0 events;      (B) the word of i - 1 is sealed, or becomes (i - 1, sealed, 0).
 *   Who adds to a word does so by a compare-and-swap of the value that it has decided on, so nobody adds to what has been sealed or replaced.
 *   While the word of i stands unsealed, unchanged from a decision to its swap, the sealed word of i - 1 is what it was, for only that of i + 1
 *   replaces it. Hence all events are in one order, and each decision is one on the true counts. All that is decided on is in the two words, and
 *   nothing beside them is published: relaxed operations do.
 *
 * The exact one is a log: the k-th event takes the place of event k - limit, if that one is a window old
 *     head: 63 … 20  lap   19 … 0  slot; slot: 63 … 1  when its event has left the window   0  parity of the lap
 *   An event is entered by a compare-and-swap of its slot, and is counted when head has gone on, which anybody may do: whoever finds the slot at head
 *   with the parity of head's lap finds it entered, helps head on, and looks at the next. So nobody waits for a thread that has stopped in between.
 *   Why no stretch of time as long as a window, its ends excluded, holds more than `limit` events: of limit + 1 events that are neighbors in the log
 *   the first and the last have the same slot, and the last was entered only a window or more after the first. But readings of different threads may be
 *   entered in another order than their times have. Take then any limit + 1 events: there are `limit` slots, so two of them have the same; in one slot
 *   each event is a window or more later than the one before; so these two are a window or more apart. The order does not matter.
 *   The same is true of times if each event is given the latest reading of all those entered up to it: t(k) >= t(k - limit) + window for all k implies
 *   max t(j), j <= k, >= max t(j), j <= k - limit, + window. That is why an older reading is of no use to anybody.
 *   Why a swap never hits a slot that has gone round: a slot's times grow from event to event, so no value ever comes again (one that would lie beyond
 *   the end of the clock stays there). And parity is enough: head is read once more after the slot, and is what it was, so the slot has not been
 *   entered for the lap after. (C), (D) below. Head itself comes again after 2^44 laps of a window each.
 */
#ifndef WEIR_GUARD_WINDOW_H
#define WEIR_GUARD_WINDOW_H


#define WEIR_WINDOW_MAX INT32_MAX
#define WEIR_WINDOW_EXACT_MAX (1 << 20)

typedef struct weir_window_config {
    int64_t limit;  /* events in a window: 1 … WEIR_WINDOW_MAX, exact: WEIR_WINDOW_EXACT_MAX. There is no default */
    weir_ns window; /* its length, at least 4 ns for each event; 0: a second */
    weir_clock *clock; /* NULL: the monotonic one */
    bool exact;        /* sliding: the log; 8 bytes an event, one event a call */
} weir_window_config;

typedef struct weir_fixed_window {
    weir__atomic_u64 word;
    weir_ns start, window;
    int64_t limit;
    weir_clock *clock;
    unsigned shift;
} weir_fixed_window;

typedef struct weir_sliding_window {
    weir__atomic_u64 word[2]; /* the counters; exact: the first is head */
    weir__atomic_u64 *slot;   /* NULL: not exact */
    weir_ns start, window;
    int64_t limit;
    weir_clock *clock;
    unsigned shift;
} weir_sliding_window;

/* 0. EINVAL: limit or window are not in their range. One thread. */
WEIR_API int weir_fixed_window_init(weir_fixed_window *w, const weir_window_config *config);
/* 0: n events are admitted now. EAGAIN: the window has no room for them. EINVAL: n is not 1 … limit. Any thread; lock-free. */
WEIR_API int weir_fixed_window_allow(weir_fixed_window *w, int64_t n);
/* Waits until n events are admitted. 0; ECANCELED, ETIMEDOUT: nothing was taken; ETIMEDOUT also at once, if there will be no room before `deadline`
 * (on weir's own clock), or before that of ctx; EINVAL. Any thread; sleeps. */
WEIR_API int weir_fixed_window_wait_until(weir_ctx *ctx, weir_fixed_window *w, int64_t n, weir_ns deadline);
static inline int weir_fixed_window_wait(weir_ctx *ctx, weir_fixed_window *w, int64_t n)
{
    return weir_fixed_window_wait_until(ctx, w, n, WEIR_FOREVER);
}

/* 0. EINVAL: limit or window are not in their range; ENOMEM: exact, and there is no memory for the log. One thread. */
WEIR_API int weir_sliding_window_init(weir_sliding_window *w, const weir_window_config *config);
/* Frees the log, if there is one. */
WEIR_API void weir_sliding_window_free(weir_sliding_window *w);
/* As those of the fixed window. EINVAL also: exact, and n is not 1. */
WEIR_API int weir_sliding_window_allow(weir_sliding_window *w, int64_t n);
WEIR_API int weir_sliding_window_wait_until(weir_ctx *ctx, weir_sliding_window *w, int64_t n, weir_ns deadline);
static inline int weir_sliding_window_wait(weir_ctx *ctx, weir_sliding_window *w, int64_t n)
{
    return weir_sliding_window_wait_until(ctx, w, n, WEIR_FOREVER);
}

#endif /* WEIR_GUARD_WINDOW_H */

/* ==== weir/guard/adaptive.h ==== */

/* weir/guard/adaptive.h: how many requests may be on their way at once: a limit that is not configured but found out, from latencies and drops.
 *
 *     weir_adaptive backend;
 *     weir_adaptive_init(&backend, NULL);
 *     weir_adaptive_permit permit;
 *     if ((rc = weir_adaptive_acquire(ctx, &backend, &permit)) == 0) {
 *         rc = call_it(ctx);
 *         weir_adaptive_release(&backend, &permit, rc == 0 ? WEIR_ADAPTIVE_OK : rc == ETIMEDOUT ? WEIR_ADAPTIVE_DROPPED : WEIR_ADAPTIVE_FAILED);
 *     }
 *
 * Overview
 *   A server that works on C requests at once answers in time S as long as no more than C are on their way; beyond, they queue, and with N on their
 *   way latency is N / C × S. The limit stays a little above C: all of the server is used, and the queue is short. Two methods:
 *
 *   gradient (the default): from latency alone, beside the latency without a queue.
 *     no queue seen     the limit grows by a sixth of itself, less as latency comes near what is taken for a queue
 *     a queue           capacity = requests in flight × unloaded latency × tolerance / latency, and a sixteenth more (at least 1), so that growth
 *                       would be seen; no less than half of the limit that was
 *     a drop            × backoff
 *   aimd: for servers that refuse, or with a timeout beyond which an answer is of no use: + 1 in each window without drops, × backoff in one with
 *   any.
 *
 *   In both the limit grows only where it was used: at least half of the samples were admitted when no more than an eighth of the places was free. So
 *   neither bursts with idleness between, nor little load, inflate it. The gradient shrinks only where half of it was in use.
 *
 * What is promised, and tested by simulation (tests/guard/test_adaptive_server.c)
 *   gradient, a server with steady service times, callers who always want more, capacities of 5 to 1000: 10 round trips (of S) after the capacity has
 *   halved, or recovered, the limit is within 20 % of it (or one place, where that is more) and stays there. Windows that measure come on top, and do
 *   not count. After all service times have become longer for good the limit falls to a third or so, and is back in 40 round trips. From the
 *   beginning it grows tenfold in 30.
 *   With service times that vary by half to either side, what is noise and what a queue cannot be told apart in few samples: the limit then lies up
 *   to three times as high as a capacity below 10, two and a half below 50, one and a half from there on, and hardly ever below. aimd: the limit
 *   swings between 0.9 times the number at which drops begin and that number. To halve takes it 7 windows; to grow, as many windows of a round trip
 *   as there are places to gain: from half of 10 to 8 in 10 round trips, from half of 100 to 80 in 30. It keeps no 20 % of the capacity, and cannot:
 *   all that it hears of is drops.
 *
 * Windows
 *   A window is as many samples as the limit has places (gradient: twice as many, for servers answer in waves), which is one or two round trips.
 *   Permits remember how many were in flight with them: a sample's latency belongs to that number, not to the limit of today. OK brings a latency;
 *   DROPPED (refused, timed out) brings none; a failed one counts as nothing at all. The one who brings the last sample sets the next limit. Samples
 *   that come meanwhile are not counted.
 *
 * The latency without a queue
 *   is measured in the first window, at a quarter of the initial limit, and anew after 8 windows, 16, 32 … up to `measure`, at half of the limit,
 *   each time with 16 samples at least, of which only those count that were admitted in that window; so a server that has become slower for good is
 *   not taken for a queue for ever. Also at once
 *      when the limit has fallen to a third of what it was at most since: either much of the server is gone, or it is that;
 *      when less is found than it was taken for, by more than the tolerance: so that was wrong. If a window that measures has found it, the next has
 *      half of its limit, until there is no less: so whoever began with a queue gets rid of it.
 *   In between it follows windows without a queue, slowly upwards, and at once downwards. All of these are means of a window, not minima: the least
 *   of times that vary is one that no window can reach again. For the same reason a mean may lie above by (mean - least) / sqrt(samples), mean and
 *   least as they were measured, before it is taken for a queue.
 *
 * Meaning
 *   Waiting is first come first served, and an ended context gets nothing: places are units of a weir_sem (sync/sem.h). A smaller limit takes effect
 *   as permits are released; nobody is admitted above the limit of that moment. A clock that goes back brings no sample.
 *
 * Who may call what at once: all but init, any threads; a permit is one thread's at a time, and may be released by another than acquired it.
 * Progress: try_acquire is lock-free; so is release when nobody waits, but for one that ends a window and changes the limit: that takes the
 * semaphore's lock. A thread that stops while it sets the next limit holds one place and delays that change; within the lock, at one of its steps,
 * also those who release or wait.
 *
 * Sources: Netflix, github.com/Netflix/concurrency-limits (AIMDLimit, GradientLimit: the gradient against the unloaded latency, probes for it, no
 * growth unless used); D. Chiu and R. Jain, "Analysis of the increase and decrease algorithms for congestion avoidance in computer networks", 1989;
 * J. Little, "A proof for the queuing formula L = λW", 1961. Different here: capacity by Little's law from what each sample saw in flight, where
 * Netflix scales the limit of the moment, which overshoots because latencies are of the past; and growth by a share instead of by sqrt(limit), which
 * takes 18 windows from 500 to 1000.
 */
#ifndef WEIR_GUARD_ADAPTIVE_H
#define WEIR_GUARD_ADAPTIVE_H


#define WEIR_ADAPTIVE_MAX (1 << 20)

enum { WEIR_ADAPTIVE_GRADIENT, WEIR_ADAPTIVE_AIMD };                    /* methods */
enum { WEIR_ADAPTIVE_OK, WEIR_ADAPTIVE_FAILED, WEIR_ADAPTIVE_DROPPED }; /* outcomes */

/* Zero means the default, for each. */
typedef struct weir_adaptive_config {
    int method; /* WEIR_ADAPTIVE_GRADIENT */
    /* limits: 20, 1, 1000; 1 … WEIR_ADAPTIVE_MAX. gradient: `initial` comes after the first window, which measures */
    int64_t initial, min, max;
    int tolerance; /* gradient: percent of the latency without a queue that are still taken for none; 105, 100 … 1000 */
    int backoff;   /* percent of the limit that remain after a drop; 90, 1 … 99 */
    int measure; /* gradient: windows from one measuring of the latency without a queue to the next, in the end; 256. -1: only the first */
    weir_ns timeout;   /* what took longer counts as dropped; 0: never */
    weir_clock *clock; /* of latencies; NULL: the monotonic one */
} weir_adaptive_config;

/* A place that is taken. The caller's, from acquire to release. */
typedef struct weir_adaptive_permit {
    weir_ns since;
    uint32_t in_flight; /* with it, when it was admitted; 0: this holds no place */
    uint32_t window;
    bool full; /* there was hardly a place left */
} weir_adaptive_permit;

/* What the samples of a window come to. least: of the latencies; full: admitted when there was hardly a place left. */
typedef struct weir__adaptive_sums {
    weir__atomic_u64 latency, in_flight, full, dropped, least;
} weir__adaptive_sums;

typedef struct weir_adaptive {
    weir_sem places; /* its size is the limit */
    weir_adaptive_config config;
    WEIR__PADDED weir__atomic_u64 window;
    weir__adaptive_sums sums[2];
    /* Of whoever has ended a window; handed on by `window`. */
    int64_t kept, most; /* the limit to go on with after measuring; the greatest since */
    /* latencies: without a queue; mean - least when that was measured; of the last windows */
    uint64_t unloaded, spread, recent;
    int until_measuring, interval; /* windows; below 0: never; the next but one */
} weir_adaptive;

/* 0. EINVAL: something is not in its range, or not min <= initial <= max. config may be NULL. One thread. */
WEIR_API int weir_adaptive_init(weir_adaptive *a, const weir_adaptive_config *config);

/* Takes a place, if one is free. 0; EAGAIN: none is free, somebody waits, or the limit is just changing. Any thread; lock-free. */
WEIR_API int weir_adaptive_try_acquire(weir_adaptive *a, weir_adaptive_permit *permit);
/* Waits for a place. 0; ECANCELED, ETIMEDOUT (also when ctx has ended before the call). Any thread; parks. */
WEIR_API int weir_adaptive_acquire_until(weir_ctx *ctx, weir_adaptive *a, weir_adaptive_permit *permit,
                                         weir_ns deadline);
static inline int weir_adaptive_acquire(weir_ctx *ctx, weir_adaptive *a, weir_adaptive_permit *permit)
{
    return weir_adaptive_acquire_until(ctx, a, permit, WEIR_FOREVER);
}
/* Gives the place back, and says how it went. 0; EINVAL: the permit holds no place, or there is no such outcome; nothing has changed. Any thread. */
WEIR_API int weir_adaptive_release(weir_adaptive *a, weir_adaptive_permit *permit, int outcome);

/* How many places there are now, and how many are taken. Any thread; wait-free. */
WEIR_API int64_t weir_adaptive_limit(weir_adaptive *a);
WEIR_API int64_t weir_adaptive_in_flight(weir_adaptive *a);

#endif /* WEIR_GUARD_ADAPTIVE_H */

/* ==== weir/guard/budget.h ==== */

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

/* ==== weir/guard/retry.h ==== */

/* weir/guard/retry.h: a task is called again when it fails in a way that may pass: with growing pauses, within a deadline and a budget.
 *
 *     static const int passing[] = {ETIMEDOUT, ECONNREFUSED, ECONNRESET};
 *     weir_retry_config config = {.attempts = 5, .codes = passing, .n_codes = 3, .attempt_timeout = WEIR_MS(200), .timeout = WEIR_SEC(2)};
 *     int rc = weir_retry(ctx, &config, fetch, &page, NULL);
 *
 * Meaning
 *   Only what the caller has listed is retried; all other codes are returned as they come. Without a list and with more than one attempt: EINVAL.
 *   The pause begins at `delay` and grows by `growth`, to max_delay and no further: it stops growing there before it multiplies, and jitter is
 *   applied before the cap.
 *     WEIR_JITTER_FULL           anything between 0 and the pause: callers that failed together do not come back together
 *     WEIR_JITTER_NONE           the pause itself
 *     WEIR_JITTER_DECORRELATED   anything between `delay` and three times the last pause
 *     (M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015)
 *   A task that knows better says so: weir_retry_after(ctx, pause), as a server does with Retry-After. That replaces the next pause, above max_delay too.
 *   A pause that would outlast the total deadline or the context's is not begun: the code of the last attempt is returned at once.
 *   An attempt that is over its time limit has an ended context; it is not abandoned, it has to return.
 *
 * Hedging
 *   With `hedge`, an attempt that has not returned after so long is joined by another one (it counts as one of `attempts`, and against the budget). The first
 *   result that is not to be retried wins; the other attempt's context is cancelled, and it is joined before weir_retry returns. Both get the same arg
 *   at the same time: weir_retry_attempt(ctx) tells them apart, and the report which of them has won. Hedged attempts run on threads that live until
 *   weir_retry returns, or on `runner`; where none can be had, the attempt runs in the caller, alone.
 *
 * Who may call what at once: a config is only read and may serve any number of threads.
 */
#ifndef WEIR_GUARD_RETRY_H
#define WEIR_GUARD_RETRY_H


enum { WEIR_JITTER_FULL, WEIR_JITTER_NONE, WEIR_JITTER_DECORRELATED };

/* Zero means the default, for each. */
typedef struct weir_retry_config {
    int attempts;                           /* calls in all; 3 */
    const int *codes;                       /* what is retried … */
    size_t n_codes;                         /* … so many of them */
    bool (*retryable)(int code, void *arg); /* instead of the list, with the task's arg */
    weir_ns delay;                          /* 100 ms */
    weir_ns max_delay;                      /* 10 s */
    double growth;                          /* 2; at least 1 */
    int jitter;                             /* WEIR_JITTER_FULL */
    weir_ns attempt_timeout;                /* none */
    weir_ns timeout;                        /* of all together; none */
    weir_retry_budget *budget;              /* none; may be shared */
    weir_ns hedge;                          /* none. On weir's own clock */
    weir_runner *runner;                    /* for hedged attempts; threads of its own */
    weir_clock *clock;                      /* of pauses and of `timeout`; the monotonic one */
} weir_retry_config;

/* Why it went no further. */
enum {
    WEIR_RETRY_DONE,     /* the task returned 0 */
    WEIR_RETRY_CODE,     /* it returned something that is not retried */
    WEIR_RETRY_ATTEMPTS, /* there were no attempts left */
    WEIR_RETRY_BUDGET,   /* the budget was used up */
    WEIR_RETRY_DEADLINE, /* the next attempt would have come too late */
    WEIR_RETRY_CONTEXT   /* the caller's context has ended */
};

typedef struct weir_retry_report {
    int attempts; /* calls that were made */
    int winner;   /* which of them, from 1, returned `last`; 0: there was none */
    int last;     /* what it returned */
    int why;
    weir_ns paused; /* in all */
} weir_retry_report;

/* Calls fn(ctx, arg) until it succeeds or must not be called again. What the last attempt returned: 0, or its code; ECANCELED, ETIMEDOUT: ctx has ended before the
 * first attempt or in a pause; EINVAL: a config that makes no sense. report: may be NULL. Allocates nothing (but see runner). */
WEIR_API int weir_retry(weir_ctx *ctx, const weir_retry_config *config, weir_task_fn *fn, void *arg,
                        weir_retry_report *report);

/* For the task, with the context that it was given, or one below it. The pause before the next attempt, should there be one; negative: 0. */
WEIR_API void weir_retry_after(weir_ctx *ctx, weir_ns pause);
/* Which attempt this is, from 1; 0: none. */
WEIR_API int weir_retry_attempt(weir_ctx *ctx);

#endif /* WEIR_GUARD_RETRY_H */

/* ==== weir/guard/policy.h ==== */

/* weir/guard/policy.h: guards around a call, in the order in which they are listed: the first is the outermost.
 *
 *     const weir_policy_layer layers[] = {
 *         weir_policy_retry(&retry),            calls what follows again, when it fails in a listed way (a refusal by the breaker, too, if EAGAIN is listed)
 *         weir_policy_breaker(&breaker),        refuses while the server is known to fail
 *         weir_policy_limiter(&limiter),        waits for its turn; refuses if that would come too late
 *         weir_policy_timeout(WEIR_MS(200)),    ends the context of what follows
 *     };
 *     weir_policy_report report;
 *     int rc = weir_policy_call(ctx, layers, 4, fetch, &page, &report);
 *     if (rc != 0 && report.refused_by >= 0) … layers[report.refused_by].name …         fetch was not called for this result
 *
 * Meaning
 *   Each layer calls the next one, or refuses. The result is what the outermost returned; the report says which layer refused, if the result is a refusal
 *   and not the task's own: also under a retry, whose other attempts may have ended otherwise.
 *   A layer may appear more than once: a timeout around all, and another one in each attempt. A layer of the program's own (a cache, a fallback, a log)
 *   is a weir_policy_fn.
 *
 * Who may call what at once: layers are only read; what they point to says itself who may use it: all guards of this library, any threads.
 */
#ifndef WEIR_GUARD_POLICY_H
#define WEIR_GUARD_POLICY_H


typedef struct weir_policy_layer weir_policy_layer;
typedef struct weir_policy_next weir_policy_next;

/* A layer: returns what weir_policy_go(ctx, next) returns, any number of times, by any threads, before it returns; or what weir_policy_refuse does. */
typedef int weir_policy_fn(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next);

struct weir_policy_layer {
    const char *name;
    weir_policy_fn *call;
    void *guard;
    int64_t number; /* tokens, nanoseconds … */
};

struct weir_policy_next {
    const weir_policy_layer *layers;
    int at, count; /* the layer that is to be called next, and how many there are */
    weir_task_fn *fn;
    void *arg;
    int refused_by; /* of the last weir_policy_go; -1: the task, or a layer's own doing */
    void *told;     /* what functions of the program's that a layer asks get as their arg: the task's, as a rule */
};

typedef struct weir_policy_report {
    int refused_by;   /* the layer, from 0, whose refusal the result is; -1: none */
    const char *name; /* its name; NULL */
} weir_policy_report;

/* Runs fn within the layers. What the first layer returns; with none, fn. EINVAL: count is negative. report: may be NULL. */
WEIR_API int weir_policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                              weir_policy_report *report);

/* For who calls a function of the program's by a task of the library's own: told is what the program has given. */
WEIR_API int weir__policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                               void *told, weir_policy_report *report);

/* For layers: calls all that is inside of this one. */
WEIR_API int weir_policy_go(weir_ctx *ctx, weir_policy_next *next);
/* For layers: `return weir_policy_refuse(next, code)`: the rest is not called for this result. */
static inline int weir_policy_refuse(weir_policy_next *next, int code)
{
    next->refused_by = next->at - 1;
    return code;
}

/* ---- the library's own layers ---- */

WEIR_API weir_policy_fn weir__policy_retry, weir__policy_breaker, weir__policy_limiter, weir__policy_try_limiter,
    weir__policy_timeout, weir__policy_sem, weir__policy_adaptive, weir__policy_fixed_window,
    weir__policy_sliding_window;

static inline weir_policy_layer weir__policy_layer(const char *name, weir_policy_fn *call, void *guard, int64_t number)
{
    weir_policy_layer layer;
    layer.name = name;
    layer.call = call;
    layer.guard = guard;
    layer.number = number;
    return layer;
}

/* weir_retry. Its config is only read; the cast is for C++, whose guard pointer is not const. */
static inline weir_policy_layer weir_policy_retry(const weir_retry_config *config)
{
    return weir__policy_layer("retry", weir__policy_retry, (void *)(uintptr_t)config, 0);
}
/* Refuses with EAGAIN, EBUSY. What the breaker's config says about results holds for what the inner layers return: their refusals by EAGAIN, EBUSY and ETIMEDOUT count as
 * neither, for nobody has asked the server. */
static inline weir_policy_layer weir_policy_breaker(weir_breaker *breaker)
{
    return weir__policy_layer("breaker", weir__policy_breaker, breaker, 0);
}
/* One token, waited for: refuses with ETIMEDOUT when that would be too late. _try_: now, or EAGAIN. */
static inline weir_policy_layer weir_policy_limiter(weir_limiter *limiter)
{
    return weir__policy_layer("limiter", weir__policy_limiter, limiter, 1);
}
static inline weir_policy_layer weir_policy_try_limiter(weir_limiter *limiter)
{
    return weir__policy_layer("limiter", weir__policy_try_limiter, limiter, 1);
}
/* One event in the window, waited for. */
static inline weir_policy_layer weir_policy_fixed_window(weir_fixed_window *window)
{
    return weir__policy_layer("fixed window", weir__policy_fixed_window, window, 1);
}
static inline weir_policy_layer weir_policy_sliding_window(weir_sliding_window *window)
{
    return weir__policy_layer("sliding window", weir__policy_sliding_window, window, 1);
}
/* Ends the context of the inner layers after so long. Never refuses: what runs has to look at its context. */
static inline weir_policy_layer weir_policy_timeout(weir_ns timeout)
{
    return weir__policy_layer("timeout", weir__policy_timeout, NULL, timeout);
}
/* A bulkhead: one unit of a semaphore while the inner layers run. */
static inline weir_policy_layer weir_policy_bulkhead(weir_sem *sem)
{
    return weir__policy_layer("bulkhead", weir__policy_sem, sem, 1);
}
/* A limit of concurrency that finds itself: 0 is a success, ETIMEDOUT a drop, other codes failures. */
static inline weir_policy_layer weir_policy_adaptive(weir_adaptive *adaptive)
{
    return weir__policy_layer("adaptive", weir__policy_adaptive, adaptive, 0);
}

#endif /* WEIR_GUARD_POLICY_H */

/* ==== weir/flow/dead_letter.h ==== */

/* weir/flow/dead_letter.h: where a stage puts the items that have failed for good.
 *
 *     typedef weir_dead(struct order) dead_order;               { weir_dead_letter why; struct order item; }
 *     typedef weir_chan(dead_order) dead_orders;
 *
 *     weir_stage_opt opt = {.name = "book", .on_error = WEIR_ON_ERROR_DEAD_LETTER, .dead = WEIR_DEAD_LETTERS(orders, dead)};
 *     weir_map(&p, orders, booked, book, NULL, &opt);
 *     weir_sink(&p, dead, write_down, &journal, NULL);           or a thread of the program's own: weir_recv(ctx, dead, &letter)
 *
 * Meaning
 *   WEIR_DEAD_LETTERS(ch, dead): what flows through the channel ch goes to the channel dead. ch is the stage's input; for a generator, its
 *   output: the item is then what the generator had left in its value (zeros, where it had written nothing). That the item has the type of ch's
 *   elements is checked when this is compiled; that the stage is one of such elements, by size, when it is started.
 *   Any number of stages may use one dead-letter channel of the same element type. It is a channel of the caller's: of a kind that allows as many
 *   senders as there are workers of all these stages (EINVAL where the kind allows one, and there are more, or another stage).
 *   Full: the worker waits for room, as at its output, until the pipeline ends; the item counts as abandoned then. Closed by those who
 *   read it: the item's error ends the pipeline, for there is nobody left to be told.
 *   It is closed by the pipeline, when the last stage that uses it has ended, but not before weir_pipeline_started or weir_pipeline_wait has been
 *   called: until then another stage may come that uses it.
 */
#ifndef WEIR_FLOW_DEAD_LETTER_H
#define WEIR_FLOW_DEAD_LETTER_H


/* Why an item is where it is. */
typedef struct weir_dead_letter {
    int error;              /* what the stage function returned at last, or the guard that refused to call it */
    int calls;              /* of the stage function, for this item */
    const char *stage;      /* its name */
    const char *refused_by; /* the guard whose refusal `error` is; NULL: none */
    uint64_t id;            /* weir_correlation of the context that the stage function got */
} weir_dead_letter;

/* The element type of a dead-letter channel. Name it by typedef. */
#define weir_dead(T)                                                                                                   \
    struct {                                                                                                           \
        weir_dead_letter why;                                                                                          \
        T item;                                                                                                        \
    }

/* weir_stage_opt.dead; made by WEIR_DEAD_LETTERS. */
typedef struct weir_dead_letters {
    weir__chan *chan;
    int kind;
    size_t size, item_at, item_size;
} weir_dead_letters;

#define WEIR_DEAD_LETTERS(ch, dead)                                                                                    \
    weir__dead_letters(WEIR__CHAN(dead), WEIR__KIND((dead).core), sizeof *(dead).elem,                                 \
                       __builtin_offsetof(__typeof__(*(dead).elem), item) +                                            \
                           0 * sizeof(1 ? &(dead).elem->why : (weir_dead_letter *)0),                                  \
                       sizeof *(ch).elem + 0 * sizeof(1 ? &(dead).elem->item : (ch).elem))

static inline weir_dead_letters weir__dead_letters(weir__chan *chan, int kind, size_t size, size_t item_at,
                                                   size_t item_size)
{
    weir_dead_letters letters;
    letters.chan = chan;
    letters.kind = kind;
    letters.size = size;
    letters.item_at = item_at;
    letters.item_size = item_size;
    return letters;
}

#endif /* WEIR_FLOW_DEAD_LETTER_H */

/* ==== weir/flow/option.h ==== */

/* weir/flow/option.h: what a stage of a pipeline can be told: threads, order, and what happens to an item that fails.
 *
 * Guards and errors
 *   `guards` stand around each call of the stage function (guard/policy.h): retry, breaker, limiter, timeout; the first is the outermost. What the
 *   outermost returns at last decides: 0, and the item goes on; else it has failed for good, whether the function failed or a guard
 *   refused to call it, and on_error says what becomes of it:
 *       WEIR_ON_ERROR_FAIL          the error ends the pipeline
 *       WEIR_ON_ERROR_SKIP          the item is counted and forgotten
 *       WEIR_ON_ERROR_DEAD_LETTER   it is sent to `dead` (flow/dead_letter.h)
 *   What a function has written to its output before it failed is not sent. EPIPE from a function is no failure, and no guard sees it: it ends the
 *   stage. If the pipeline's own context has ended when a function fails, then the item has not failed: it is abandoned, and no letter is sent.
 *   A generator that fails is called again, under the two latter; it has to move on by itself.
 *   Guards may not hedge (EINVAL): two calls for one item would write to one place. A layer of the program's own calls what is inside one at a time;
 *   one that returns 0 although the last call failed, or without a call, makes an item fail with ENODATA: there is nothing to send.
 */
#ifndef WEIR_FLOW_OPTION_H
#define WEIR_FLOW_OPTION_H


#define WEIR__STAGE_NAME "stage"

enum { WEIR_ON_ERROR_FAIL, WEIR_ON_ERROR_SKIP, WEIR_ON_ERROR_DEAD_LETTER };

/* Zero means the default, for each. */
typedef struct weir_stage_opt {
    const char *name; /* of its threads, for people; kept as a pointer. "stage" */
    unsigned workers; /* threads that run the task at once; 1 */
    bool ordered;     /* keep the order of the input, whatever the number of workers */
    const int *cpus;  /* worker i is pinned to cpus[i % cpu_count]; copied. Not pinned */
    size_t cpu_count;
    size_t queue; /* values that a queue inside of the stage takes: an ordered stage has two for each worker; 64 */
    weir_wait_strategy wait; /* how the stage waits at them; as at the channel beside them */
    /* The following are for stages with a function of the program's own, those of flow/stages.h. */
    int on_error;                    /* WEIR_ON_ERROR_FAIL */
    weir_dead_letters dead;          /* for WEIR_ON_ERROR_DEAD_LETTER: WEIR_DEAD_LETTERS(ch, dead) */
    const weir_policy_layer *guards; /* around each call; kept as a pointer until weir_pipeline_wait has returned */
    int guard_count;
    /* The correlation id of an item: weir_correlation(ctx) in the stage function, of what runs below it, and in a trace. The pipeline's own */
    uint64_t (*correlate)(const void *item);
} weir_stage_opt;

#endif /* WEIR_FLOW_OPTION_H */

/* ==== weir/flow/desk.h ==== */

/* weir/flow/desk.h: where a worker of a stage works: all that its loop does beside the stage function goes through here.
 *
 *     weir__desk_recv     the next value of the input
 *     weir__desk_send     a value for the output
 *     weir__desk_call     the stage function, under the guards of the stage
 *     weir__desk_failed   what becomes of an item whose stage function has failed
 *
 * A desk of NULL, as the loops of flow/loop.h have, counts nothing and guards nothing, and folds away. A worker has a desk only if its pipeline is
 * watched or traced, or its stage has guards, an error policy or correlation ids (flow/room.h).
 *
 * Counting
 *   Each desk has lines of its own. Its worker alone writes there, without read-modify-writes; any thread reads. What has become of an item is
 *   stored with release after `in`, which counted it; who reads the outcomes first (acquire) and `in` last never finds more outcomes than items.
 *       in = out + dropped + skipped + dead + fatal + abandoned, and the one in hand                     where each item in makes one out
 *   Time is only read when a channel makes the worker wait, twice for each time.
 */
#ifndef WEIR_FLOW_DESK_H
#define WEIR_FLOW_DESK_H


/* One end of a stage: a channel with what the compiler knows of it. */
typedef struct weir__port {
    weir__chan *chan;
    int kind;
    size_t size;
} weir__port;

/* ---- a watch that one thread starts and stops, and any thread reads --------------------------------------------------------- */

/* Twice the time so far; while it runs: twice (the time so far - when it was started), plus 1. All of it in one word, modulo 2^64, so that nobody
 * reads one half before a change and the other after it. */
typedef weir__atomic_u64 weir__stopwatch;

static inline void weir__stopwatch_start(weir__stopwatch *w, weir_ns now)
{
    weir__store_rlx(w, (weir__load_rlx(w) - 2 * (uint64_t)now) | 1);
}
static inline void weir__stopwatch_stop(weir__stopwatch *w, weir_ns now)
{
    weir__store_rlx(w, (weir__load_rlx(w) & ~(uint64_t)1) + 2 * (uint64_t)now);
}
/* now: read after the clock of whoever has started it, or a moment before: then it is 0 rather than less. */
static inline weir_ns weir__stopwatch_read(const weir__stopwatch *w, weir_ns now)
{
    const uint64_t word = weir__load_rlx(w);
    const int64_t twice = (int64_t)((word & 1) != 0 ? (word & ~(uint64_t)1) + 2 * (uint64_t)now : word);
    return twice < 0 ? 0 : twice / 2;
}

/* ---- the desk --------------------------------------------------------------------------------------------------------------- */

/* What the desks of a stage have in common: flow/room.h makes it. Only read while the stage runs, but for what room.h says. */
typedef struct weir__room weir__room;

typedef struct WEIR__PADDED weir__desk {
    weir__atomic_u64 in, out, dropped, skipped, dead, fatal, abandoned;
    weir__stopwatch life, blocked_in, blocked_out;
    weir__room *room;
    /* The rest is the worker's own. */
    weir_ctx own;     /* under the pipeline's context: carries the id of the item in hand */
    const void *item; /* in hand */
    uint64_t id;
    int calls;              /* of the stage function, for the item in hand */
    const char *refused_by; /* the guard that has refused it */
    unsigned char *letter;  /* room for one */
} weir__desk;

/* By the worker: before its first item, and after its last. */
WEIR_API void weir__desk_open(weir__desk *desk, weir_ctx *ctx);
WEIR_API void weir__desk_close(weir__desk *desk);

/* Release: pairs with the acquire loads of weir__desk_read, in flow/progress.h. */
static inline void weir__desk_count(weir__atomic_u64 *counter)
{
    weir__store_rel(counter, weir__load_rlx(counter) + 1);
}

/* The same, when the channel was not ready at once. */
WEIR_API int weir__desk_recv_slow(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value, weir_ns deadline);
WEIR_API int weir__desk_send_slow(weir__desk *desk, weir_ctx *ctx, weir__port out, const void *value);

/* The next value: 0; EPIPE at the end of the input; or why the context has ended. _until: at most until a point on weir's clock: then ETIMEDOUT
 * too. */
WEIR_INLINE int weir__desk_recv_until(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value, weir_ns deadline)
{
    int rc = weir__ctx_ended(ctx);
    if (WEIR_UNLIKELY(rc != 0))
        return rc;
    if (desk == NULL)
        return weir__recv(ctx, in.chan, in.kind, value, in.size, deadline);
    if (WEIR_UNLIKELY(!weir__chan_pop(in.chan, in.kind, value, in.size, &rc)))
        rc = weir__desk_recv_slow(desk, ctx, in, value, deadline);
    if (WEIR_LIKELY(rc == 0)) {
        desk->item = value;
        weir__desk_count(&desk->in);
    }
    return rc;
}
WEIR_INLINE int weir__desk_recv(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value)
{
    return weir__desk_recv_until(desk, ctx, in, value, WEIR_FOREVER);
}

/* 0; EPIPE: nobody wants more; or why the context has ended: the item in hand is abandoned. */
WEIR_INLINE int weir__desk_send(weir__desk *desk, weir_ctx *ctx, weir__port out, const void *value)
{
    int rc;
    if (desk == NULL)
        return weir__send(ctx, out.chan, out.kind, value, out.size, WEIR_FOREVER);
    if (WEIR_UNLIKELY(!weir__chan_push(out.chan, out.kind, value, out.size, &rc)))
        rc = weir__desk_send_slow(desk, ctx, out, value);
    weir__desk_count(WEIR_LIKELY(rc == 0) ? &desk->out : &desk->abandoned);
    return rc;
}

/* Calls fn(ctx, arg), for the item that was received last, under the guards of the stage. 0; EPIPE from fn; or the error of the item. */
WEIR_API int weir__desk_guarded(weir__desk *desk, weir_ctx *ctx, weir_task_fn *fn, void *arg);
WEIR_INLINE int weir__desk_call(weir__desk *desk, weir_ctx *ctx, weir_task_fn *fn, void *arg)
{
    return desk == NULL ? fn(ctx, arg) : weir__desk_guarded(desk, ctx, fn, arg);
}

/* The stage function has failed on *item with rc. 0: it has been dealt with, go on with the next one; else the error that ends the stage. */
WEIR_API int weir__desk_given_up(weir__desk *desk, weir_ctx *ctx, int rc, const void *item);
WEIR_INLINE int weir__desk_failed(weir__desk *desk, weir_ctx *ctx, int rc, const void *item)
{
    return desk == NULL ? rc : weir__desk_given_up(desk, ctx, rc, item);
}

/* Before a generator is called: its item will be *value, which is all that a dead letter would hold if it writes nothing. */
WEIR_API void weir__desk_blank(weir__desk *desk, void *value);

/* ---- for stages that go on in another way ------------------------------------------------------------------------------------ */

/* Without waiting: EAGAIN: nothing there, no room. */
WEIR_INLINE int weir__desk_try_recv(weir__desk *desk, weir__port in, void *value)
{
    const int rc = weir__try_recv(in.chan, in.kind, value, in.size);
    if (desk != NULL && rc == 0) {
        desk->item = value;
        weir__desk_count(&desk->in);
    }
    return rc;
}
WEIR_INLINE int weir__desk_try_send(weir__desk *desk, weir__port out, const void *value)
{
    const int rc = weir__try_send(out.chan, out.kind, value, out.size);
    if (desk != NULL && rc == 0)
        weir__desk_count(&desk->out);
    return rc;
}

/* A value has come, has gone, by a select of the stage's own; is not to be sent; will not be sent. */
WEIR_INLINE void weir__desk_took(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->in);
}
WEIR_INLINE void weir__desk_gave(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->out);
}
WEIR_INLINE void weir__desk_dropped(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->dropped);
}
WEIR_INLINE void weir__desk_abandoned(weir__desk *desk)
{
    if (desk != NULL)
        weir__desk_count(&desk->abandoned);
}

/* The worker begins to wait, or has waited, by a call of the stage's own: for input, or for room at an output. */
WEIR_API void weir__desk_waits(weir__desk *desk, bool for_input);
WEIR_API void weir__desk_goes_on(weir__desk *desk, bool for_input);

struct weir__room {
    weir__room *next; /* in the order in which the stages were started */
    const char *name;
    unsigned workers;
    weir__atomic_u32 running; /* workers that have not returned */
    weir__desk *desks;
    /* What was asked for. */
    int on_error, guard_count;
    const weir_policy_layer *guards;
    uint64_t (*correlate)(const void *item);
    weir_dead_letters dead;
    size_t item_size; /* of what a letter holds */
    void *told;       /* what guards that ask functions of the program's tell them */
    weir_trace *trace;
    weir_clock *clock; /* of the times that a worker is blocked */
    bool timed, makes; /* whether those are measured; whether the stage is a generator */
    /* The channels beside it, for progress: compared, and only queue is looked into, which is NULL once the stages are gone. Guarded by the lock of
     * weir__rooms. */
    const weir__chan **ins, **outs;
    size_t in_count, out_count;
    weir__chan *queue;
    bool aside; /* what it takes has already been counted as failed */
};

#endif /* WEIR_FLOW_DESK_H */

/* ==== weir/flow/loop.h ==== */

/* weir/flow/loop.h: what a stage does, as a loop in the calling thread.
 *
 * Overview
 *   A stage takes values from a channel, does something, and sends the results on. These loops are inline, so the stage's function
 *   inlines into them wherever it is visible, and so do the fast paths of the two channels. They start nothing and close nothing: a
 *   thread of the user's own may run them, or a task of a pipeline (flow/pipeline.h), which starts the threads and does the closing;
 *   flow/stages.h has a pipeline call for each of them.
 *
 *     int weir_generate_loop(ctx, out, fn, arg)     int fn(weir_ctx *ctx, void *arg, void *value)
 *     int weir_map_loop(ctx, in, out, fn, arg)      int fn(weir_ctx *ctx, void *arg, const void *in, void *out)
 *     int weir_sink_loop(ctx, in, fn, arg)          int fn(weir_ctx *ctx, void *arg, const void *value)
 *     int weir_fan_out_loop(ctx, in, outs, n)       value k goes to outs[k % n]
 *     int weir_fan_in_loop(ctx, ins, n, out)        takes from ins[k % n] in turn: the order that fan_out took apart
 *
 *   A stage function returns 0 for "go on". A generator returns EPIPE at the end of its sequence. Anything else is an error and ends
 *   the loop, which returns it.
 *
 * What a loop returns
 *     0            the input was closed and is drained; the sequence is at its end
 *     EPIPE        the output was closed by those who read it: nobody wants more
 *     ECANCELED, ETIMEDOUT   the context has ended; looked at before each value, not only when a channel blocks
 *     else         what the stage function returned
 *
 * Values go through memory of the loop's own, so that no place in a channel is held while the function runs: reading in place would
 * save a copy, and stop every other receiver's peers for as long as the function takes. Elements up to WEIR_LOOP_BYTES (256) lie on the
 * stack; larger ones do not compile here: send pointers, or use flow/stages.h.
 */
#ifndef WEIR_FLOW_LOOP_H
#define WEIR_FLOW_LOOP_H


#ifndef WEIR_LOOP_BYTES
#define WEIR_LOOP_BYTES 256
#endif

typedef int weir_generate_fn(weir_ctx *ctx, void *arg, void *value);
typedef int weir_map_fn(weir_ctx *ctx, void *arg, const void *in, void *out);
typedef int weir_sink_fn(weir_ctx *ctx, void *arg, const void *value);

WEIR_INLINE weir__port weir__port_of(weir__chan *c, int kind, size_t size)
{
    weir__port p;
    p.chan = c;
    p.kind = kind;
    p.size = size;
    return p;
}
/* The port, where a check of types has come to 0. */
WEIR_INLINE weir__port weir__port_if(weir__port port, size_t zero)
{
    port.size += zero;
    return port;
}
#define WEIR__PORT(ch) weir__port_of(WEIR__CHAN(ch), WEIR__KIND((ch).core), sizeof *(ch).elem)
#define WEIR__FITS(ch) WEIR__REQUIRE(sizeof *(ch).elem <= WEIR_LOOP_BYTES)
#define WEIR__LOOP_PORT(ch) weir__port_of(WEIR__CHAN(ch), WEIR__KIND((ch).core), sizeof *(ch).elem + WEIR__FITS(ch))

#define weir_generate_loop(ctx, out, fn, arg) weir__generate_loop((ctx), WEIR__LOOP_PORT(out), (fn), (arg))
#define weir_map_loop(ctx, in, out, fn, arg)                                                                           \
    weir__map_loop((ctx), WEIR__LOOP_PORT(in), WEIR__LOOP_PORT(out), (fn), (arg))
#define weir_sink_loop(ctx, in, fn, arg) weir__sink_loop((ctx), WEIR__LOOP_PORT(in), (fn), (arg))
/* outs, ins: arrays of n handles of one type; in and out of the same element type. */
#define weir_fan_out_loop(ctx, in, outs, n)                                                                            \
    weir__fan_out_loop((ctx), WEIR__LOOP_PORT(in), WEIR__LOOP_PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in))
#define weir_fan_in_loop(ctx, ins, n, out)                                                                             \
    weir__fan_in_loop((ctx), WEIR__LOOP_PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__LOOP_PORT(out))
/* 0; a compiler diagnostic where the two element types differ. */
#define WEIR__SAME(a, b) (0 * sizeof(1 ? (a).elem : (b).elem))

typedef union weir__loop_value {
    unsigned char bytes[WEIR_LOOP_BYTES];
    unsigned char align __attribute__((aligned(64)));
} weir__loop_value;

/* Channel i of an array of handles, each of which is one pointer. */
WEIR_INLINE weir__port weir__port_at(weir__port like, const void *handles, size_t i)
{
    memcpy(&like.chan, (const unsigned char *)handles + i * sizeof(void *), sizeof like.chan);
    return like;
}

/* How a loop ends when its input says rc: the end of the input is no error. */
WEIR_INLINE int weir__loop_end(int rc)
{
    return rc == EPIPE ? 0 : rc;
}

/* ---- calls of stage functions: where there is no desk, nothing but the call ------------------------------------------------- */

typedef struct weir__loop_call {
    union {
        weir_generate_fn *generate;
        weir_map_fn *map;
        weir_sink_fn *sink;
    } fn;
    void *arg;
    const void *in;
    void *out;
} weir__loop_call;

static inline int weir__loop_generated(weir_ctx *ctx, void *arg)
{
    const weir__loop_call *call = (const weir__loop_call *)arg;
    return call->fn.generate(ctx, call->arg, call->out);
}
static inline int weir__loop_mapped(weir_ctx *ctx, void *arg)
{
    const weir__loop_call *call = (const weir__loop_call *)arg;
    return call->fn.map(ctx, call->arg, call->in, call->out);
}
static inline int weir__loop_sunk(weir_ctx *ctx, void *arg)
{
    const weir__loop_call *call = (const weir__loop_call *)arg;
    return call->fn.sink(ctx, call->arg, call->in);
}

WEIR_INLINE int weir__loop_generate(weir__desk *desk, weir_ctx *ctx, weir_generate_fn *fn, void *arg, void *value)
{
    weir__loop_call call;
    int rc;
    if (desk == NULL)
        return fn(ctx, arg, value);
    call.fn.generate = fn;
    call.arg = arg;
    call.in = NULL;
    call.out = value;
    weir__desk_blank(desk, value);
    rc = weir__desk_guarded(desk, ctx, weir__loop_generated, &call);
    if (rc == 0)
        weir__desk_count(&desk->in);
    return rc;
}
WEIR_INLINE int weir__loop_map(weir__desk *desk, weir_ctx *ctx, weir_map_fn *fn, void *arg, const void *in, void *out)
{
    weir__loop_call call;
    if (desk == NULL)
        return fn(ctx, arg, in, out);
    call.fn.map = fn;
    call.arg = arg;
    call.in = in;
    call.out = out;
    return weir__desk_guarded(desk, ctx, weir__loop_mapped, &call);
}
WEIR_INLINE int weir__loop_sink(weir__desk *desk, weir_ctx *ctx, weir_sink_fn *fn, void *arg, const void *value)
{
    weir__loop_call call;
    int rc;
    if (desk == NULL)
        return fn(ctx, arg, value);
    call.fn.sink = fn;
    call.arg = arg;
    call.in = value;
    call.out = NULL;
    rc = weir__desk_guarded(desk, ctx, weir__loop_sunk, &call);
    if (rc == 0 || rc == EPIPE) /* EPIPE: this one it has taken */
        weir__desk_count(&desk->out);
    return rc;
}

/* ---- the loops -------------------------------------------------------------------------------------------------------------- */

WEIR_INLINE int weir__generate_body(weir__desk *desk, weir_ctx *ctx, weir__port out, weir_generate_fn *fn, void *arg,
                                    void *value)
{
    for (;;) {
        int rc = weir__ctx_ended(ctx);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        rc = weir__loop_generate(desk, ctx, fn, arg, value);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = rc == EPIPE ? rc : weir__desk_failed(desk, ctx, rc, value);
            if (desk == NULL || rc != 0)
                return weir__loop_end(rc);
            continue;
        }
        rc = weir__desk_send(desk, ctx, out, value);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__map_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, weir_map_fn *fn,
                               void *arg, void *from, void *to)
{
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__loop_map(desk, ctx, fn, arg, from, to);
        rc = WEIR_LIKELY(rc == 0) ? weir__desk_send(desk, ctx, out, to) : weir__desk_failed(desk, ctx, rc, from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__sink_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir_sink_fn *fn, void *arg,
                                void *value)
{
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, value);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__loop_sink(desk, ctx, fn, arg, value);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = rc == EPIPE ? rc : weir__desk_failed(desk, ctx, rc, value);
            if (desk == NULL || rc != 0)
                return rc;
        }
    }
}

/* Moves values from in to out, each the next of its array in turn; an array of one is a plain channel. */
WEIR_INLINE int weir__deal_body(weir__desk *desk, weir_ctx *ctx, weir__port in, const void *ins, size_t in_count,
                                weir__port out, const void *outs, size_t out_count, void *value)
{
    size_t i = 0, o = 0;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, ins == NULL ? in : weir__port_at(in, ins, i), value);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_send(desk, ctx, outs == NULL ? out : weir__port_at(out, outs, o), value);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        i = i + 1 < in_count ? i + 1 : 0;
        o = o + 1 < out_count ? o + 1 : 0;
    }
}

WEIR_INLINE int weir__generate_loop(weir_ctx *ctx, weir__port out, weir_generate_fn *fn, void *arg)
{
    weir__loop_value value;
    return weir__generate_body(NULL, ctx, out, fn, arg, value.bytes);
}

WEIR_INLINE int weir__map_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_map_fn *fn, void *arg)
{
    weir__loop_value from, to;
    return weir__map_body(NULL, ctx, in, out, fn, arg, from.bytes, to.bytes);
}

WEIR_INLINE int weir__sink_loop(weir_ctx *ctx, weir__port in, weir_sink_fn *fn, void *arg)
{
    weir__loop_value value;
    return weir__sink_body(NULL, ctx, in, fn, arg, value.bytes);
}

WEIR_INLINE int weir__fan_out_loop(weir_ctx *ctx, weir__port in, weir__port out, const void *outs, size_t n)
{
    weir__loop_value value;
    return n == 0 ? EINVAL : weir__deal_body(NULL, ctx, in, NULL, 1, out, outs, n, value.bytes);
}

WEIR_INLINE int weir__fan_in_loop(weir_ctx *ctx, weir__port in, const void *ins, size_t n, weir__port out)
{
    weir__loop_value value;
    return n == 0 ? EINVAL : weir__deal_body(NULL, ctx, in, ins, n, out, NULL, 1, value.bytes);
}

#endif /* WEIR_FLOW_LOOP_H */

/* ==== weir/flow/room.h ==== */

/* weir/flow/room.h: the desks of a stage's workers, and the rooms of a pipeline: who counts what, and who closes a dead-letter channel.
 *
 * Overview
 *   A stage has a room, with a desk (flow/desk.h) for each of its workers, if its pipeline is watched or traced when it is started, or if it has
 *   guards, an error policy or correlation ids of its own; else it has none, and its workers have no desks. A room is one allocation, made when the
 *   stage is started.
 *   Rooms stay until all threads have been joined; those of a watched pipeline stay longer, so that what they have counted can be read:
 *   until weir_pipeline_unwatch.
 *
 * Who may call what at once: all of it any thread, but for weir__rooms_end and weir__rooms_free: one, when no worker runs any more. The list,
 * `aside` and `queue` are guarded by the lock; a room that is in the list does not move, and its `next` changes once, so whoever has found the last
 * one may walk up to it without the lock.
 *
 * All of it is private, but for weir_watch_opt.
 */
#ifndef WEIR_FLOW_ROOM_H
#define WEIR_FLOW_ROOM_H


/* Zero means the default, for each. What is pointed to is kept as a pointer. */
typedef struct weir_watch_opt {
    uint64_t total; /* how many items there will be; not known */
    /* progress is what the stage of this name has finished; what the last stages have (flow/progress.h) */
    const char *stage;
    weir_ns window;    /* the rate is that of so long; 10 s */
    weir_clock *clock; /* of rates and shares; the monotonic one. A test's own */
} weir_watch_opt;

/* What was done when: enough of it for the rate of the window. */
#define WEIR__RATE_SAMPLES 16
typedef struct weir__rate {
    weir_ns at[WEIR__RATE_SAMPLES];
    uint64_t done[WEIR__RATE_SAMPLES];
    unsigned first, count; /* a ring */
} weir__rate;

typedef struct weir__rooms {
    weir__lock lock;
    weir__room *first, *last;
    bool all_started; /* no stage is to come that uses dead letters */
    bool ended;       /* all threads have been joined */
    bool watched;
    weir_ns begun, over; /* when the pipeline began to be watched, and when it had ended; on the watch's clock */
    weir_trace *trace;
    weir_watch_opt watch;
    weir__rate rate;
} weir__rooms;

/* What the stage is, for its room. */
typedef struct weir__room_plan {
    unsigned workers;
    size_t item_size; /* of what can fail: what it takes, or what it makes */
    weir__chan *const *ins;
    const weir__chan *const *outs;
    size_t in_count, out_count;
    void *told; /* what the stage function gets as its arg */
} weir__room_plan;

/* *room: NULL where none is needed. opt: with name set. 0; ENOMEM; EINVAL: options that make no sense. */
WEIR_API int weir__room_new(weir__rooms *rooms, const weir_stage_opt *opt, const weir__room_plan *plan,
                            weir__room **room);
/* A worker will work no more. */
WEIR_API void weir__room_leave(weir__rooms *rooms, weir__room *room);
/* Dead-letter channels may be closed from now on. */
WEIR_API void weir__rooms_all_started(weir__rooms *rooms);
/* All threads have been joined. */
WEIR_API void weir__rooms_end(weir__rooms *rooms);
WEIR_API void weir__rooms_free(weir__rooms *rooms);

#endif /* WEIR_FLOW_ROOM_H */

/* ==== weir/flow/pipeline.h ==== */

/* weir/flow/pipeline.h: the threads of a pipeline, and how it ends.
 *
 * Overview
 *   A pipeline is a context and the stages that run under it. A stage is a task that runs on one or more threads of the pipeline's;
 *   stages talk over channels that the caller has made, and that outlive the pipeline.
 *
 *       weir_pipeline p;
 *       weir_pipeline_init(&p, NULL);
 *       weir_generate(&p, lines, read_line, &file, NULL);             flow/stages.h
 *       weir_map(&p, lines, rows, parse, NULL, &three_workers);
 *       weir_sink(&p, rows, print, NULL, NULL);
 *       int rc = weir_pipeline_wait(&p);                              0, or the first error
 *
 * How it ends
 *   At the end of the input: a stage whose last worker has returned closes the channels that it was started with, so the next stage
 *   drains what is left and ends too, down to the last.
 *   On an error: the first task that returns one decides what weir_pipeline_wait returns; the pipeline's context is cancelled with it
 *   as the cause, which ends every wait in every stage. EPIPE is no error: it says that whoever reads the output wants no more,
 *   and the stage ends as at the end of its input. A stage may keep the errors of its items to itself, and try again first (flow/option.h).
 *   From outside: when the parent context ends; tasks then return its error, and so does weir_pipeline_wait.
 *   In each case wait returns only when every thread has been joined: what the tasks were given may live on the caller's stack.
 *
 * Who may call what at once: init and wait, one thread. Starting stages: any thread, the pipeline's own included, until wait returns.
 */
#ifndef WEIR_FLOW_PIPELINE_H
#define WEIR_FLOW_PIPELINE_H


/* A channel to close, of any type and kind: weir_closer c[] = { WEIR_CLOSER(ch) }. */
typedef struct weir_closer {
    weir__chan *chan;
} weir_closer;
#define WEIR_CLOSER(ch)                                                                                                \
    {                                                                                                                  \
        WEIR__CHAN(ch)                                                                                                 \
    }

/* What is to be done when all stages have been joined, before they are released; it frees itself. */
typedef struct weir__pipeline_end weir__pipeline_end;
struct weir__pipeline_end {
    void (*fn)(weir__pipeline_end *end);
    weir__pipeline_end *next;
};

typedef struct weir_pipeline {
    weir_ctx ctx;
    weir__lock lock;
    struct weir__stage *stages; /* all that were started, newest first; guarded by lock */
    weir__atomic_u32 first_error;
    weir__rooms rooms;
    weir__pipeline_end *ends; /* guarded by lock */
} weir_pipeline;

/* parent may be NULL; it outlives the pipeline. */
WEIR_API void weir_pipeline_init(weir_pipeline *p, weir_ctx *parent);

/* The context that every task gets. Cancel it to end the pipeline. */
static inline weir_ctx *weir_pipeline_ctx(weir_pipeline *p)
{
    return &p->ctx;
}

/* Records each call of a stage function in the trace, by the stage's name, with the correlation id of its item. Before the stages that it is for are
 * started; trace outlives them. NULL: none. */
WEIR_API void weir_pipeline_trace(weir_pipeline *p, weir_trace *trace);

/* Says that all stages that use dead-letter channels have been started: those channels are closed from now on, when the last such stage ends. For who
 * drains such a channel before it calls weir_pipeline_wait, which says the same. */
WEIR_API void weir_pipeline_started(weir_pipeline *p);

/* Starts a stage: task(ctx, arg) on opt->workers threads; opt may be NULL. After the last of them has returned, closes the close_count
 * channels of `closes` (copied). 0; ENOMEM, or EINVAL for a NULL channel (a WEIR_CLOSER that was written before its channel was made): nothing was started,
 * and the channels are closed; EAGAIN: the system refused a thread, and EINVAL: a CPU that is none: in each case the pipeline is cancelled and wait will
 * say so. */
WEIR_API int weir_pipeline_go(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                              const weir_closer *closes, size_t close_count);

/* For flow/stage.h. weir_pipeline_go, for a task whose argument the pipeline is to release, at the very end, or when this fails. */
WEIR_API int weir__pipeline_start(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                                  const weir_closer *closes, size_t close_count, void (*release)(void *arg));
/* The pipeline has failed with rc, unless that is 0 or EPIPE. */
WEIR_API void weir__pipeline_fail(weir_pipeline *p, int rc);

WEIR_API void weir__pipeline_at_end(weir_pipeline *p, weir__pipeline_end *end);

/* Joins every thread, frees the stages, returns the first error; the pipeline is then as before init. */
WEIR_API int weir_pipeline_wait(weir_pipeline *p);

#endif /* WEIR_FLOW_PIPELINE_H */

/* ==== weir/flow/stage.h ==== */

/* weir/flow/stage.h: what every stage of a pipeline is made of: a body, the channels beside it, and each worker's memory.
 *
 * Overview
 *   A stage is a weir__flow: one allocation, which the pipeline keeps until every thread has been joined. A module that adds a stage writes
 *   its body, the loop of one worker, and starts it:
 *
 *       weir__flow *f = weir__flow_new(body, in, 1, out, 1, weir__flow_workers(opt), sizeof(struct plan));
 *       if (f != NULL) fill in f->ins, f->outs beyond the first, f->arg, and f->plan, which is zero
 *       return weir__flow_run(p, f, opt);
 *
 *   body(desk, ctx, f, worker, from, to) takes values from weir__flow_in(f, worker), sends to weir__flow_out(f, worker), both over the desk
 *   (flow/desk.h), and returns as the loops of flow/loop.h do. from and to are its own memory for one value in and one out.
 *
 * Who closes what
 *   A worker that returns closes the inputs it has taken from: nobody reads them any more, and whoever sends there finds out. The outputs are
 *   closed once, after the last worker. A worker that has an input or an output of its own (own_in, own_out) closes that one.
 *
 * Order, in a stage of several workers
 *
 *       in ──deal──► queue i ──worker i──► queue i ──collect──► out
 *
 *   One thread deals the values out in turn, one collects in the same turn, over queues that are made for the stage (weir_stage_opt.queue,
 *   .wait). What a worker sends is marked, because a turn need not make one value: HAS_VALUE, and ENDS_TURN on the last of a
 *   turn. So a value that vanishes, and one that becomes many, keep the turn of their input. A body that may be ordered sends by
 *   weir__send_turn alone, and ends one turn for each value it takes, whatever became of it.
 *
 * All of it is private.
 */
#ifndef WEIR_FLOW_STAGE_H
#define WEIR_FLOW_STAGE_H


/* Values that a queue inside of a stage takes, where weir_stage_opt does not say. */
#ifndef WEIR_MAP_QUEUE
#define WEIR_MAP_QUEUE 64
#endif

typedef struct weir__flow weir__flow;
typedef int weir__flow_body(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to);

struct weir__flow {
    weir__flow_body *body;
    weir__port in, out; /* kind and size; with arrays, the chan is the array's */
    weir__chan **ins;
    weir_closer *outs; /* closed at the end */
    size_t in_count, out_count;
    void *arg;
    void *plan; /* what the stage knows besides */
    weir_pipeline *pipeline;
    weir__room *room; /* where its workers' desks stand; NULL: they have none */
    weir__atomic_u32 next_worker;
    unsigned char *values;     /* per worker: from_room bytes, then to_room */
    size_t from_room, to_room; /* a value of in, one of out with its mark; multiples of 64 */
    bool own_in, own_out;      /* worker i alone takes from ins[i], sends to outs[i] */
    bool marked;               /* what is sent is marked */
    bool owns_ins, owns_outs;  /* they were made for the stage */
    bool helper;               /* deals to another stage's workers, or collects from them */
};

/* Where a stage has no input, or no output. */
static inline weir__port weir__port_none(void)
{
    return weir__port_of(NULL, WEIR__MPMC, 0);
}

static inline unsigned weir__flow_workers(const weir_stage_opt *opt)
{
    return opt == NULL || opt->workers == 0 ? 1 : opt->workers;
}
static inline weir__port weir__flow_in(const weir__flow *f, uint32_t worker)
{
    return weir__port_at(f->in, f->ins, f->own_in ? worker : 0);
}
static inline weir__port weir__flow_out(const weir__flow *f, uint32_t worker)
{
    return weir__port_at(f->out, f->outs, f->own_out ? worker : 0);
}

#define weir__flow_new WEIR__RINGED(weir__flow_new)
#define weir__flow_start WEIR__RINGED(weir__flow_start)
#define weir__flow_room WEIR__RINGED(weir__flow_room)
#define weir__flow_run WEIR__RINGED(weir__flow_run)
#define weir__flow_refuse WEIR__RINGED(weir__flow_refuse)
#define weir__flow_deal WEIR__RINGED(weir__flow_deal)
#define weir__flow_queues WEIR__RINGED(weir__flow_queues)

/* NULL: no memory. plan_size bytes at f->plan are zero; ins[0] and outs[0] are those of the ports; there is room for as many of each as the
 * count says, and as there are workers. */
WEIR_API weir__flow *weir__flow_new(weir__flow_body *body, weir__port in, size_t in_count, weir__port out,
                                    size_t out_count, unsigned workers, size_t plan_size);
/* Starts f with that many workers; f is the pipeline's from here on, also on failure. f may be NULL: ENOMEM. EINVAL: an output
 * that has not been made, more workers than a channel allows. */
WEIR_API int weir__flow_start(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers);
/* Gives f a room, if it needs one: before its channels become others than those that the program has given. weir__flow_start does, else. */
WEIR_API int weir__flow_room(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers);
/* The same for a stage of one input and one output (or none of either) with the workers of opt, in order if opt says so. */
WEIR_API int weir__flow_run(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt);
/* The stage cannot be: releases f (NULL: nothing) and fails the pipeline with rc, which it returns. */
WEIR_API int weir__flow_refuse(weir_pipeline *p, weir__flow *f, int rc);
/* Deals from in_count channels to out_count, each in turn, in one thread; helper: for the workers of another stage. */
WEIR_API int weir__flow_deal(weir_pipeline *p, weir__port in, const void *ins, size_t in_count, weir__port out,
                             const void *outs, size_t out_count, const weir_stage_opt *opt, bool helper);
/* n queues for one sender and one receiver each, with handles at `handles`; wait and name are those of `beside` (may be NULL) where opt does not
 * say. 0; ENOMEM, EINVAL, EOVERFLOW, with NULL for what has not been made. */
WEIR_API int weir__flow_queues(void *handles, size_t n, size_t size, const weir__chan *beside,
                               const weir_stage_opt *opt);

/* ---- marks ------------------------------------------------------------------------------------------------------------------ */

enum { WEIR__HAS_VALUE = 1, WEIR__ENDS_TURN = 2 };

/* The size of a marked value; the mark stands behind it. */
static inline size_t weir__marked_size(size_t plain)
{
    return (plain + 7) / 8 * 8 + 8;
}

/* Sends what lies at `to`, with marks: a value, the end of a turn, or both. Where nothing is marked an end is nothing. */
WEIR_INLINE int weir__send_turn(weir__desk *desk, weir_ctx *ctx, bool marked, weir__port out, void *to, int marks)
{
    const uint64_t mark = (uint64_t)marks;
    if (marked)
        memcpy((unsigned char *)to + out.size - sizeof mark, &mark, sizeof mark);
    if ((marks & WEIR__HAS_VALUE) != 0)
        return weir__desk_send(desk, ctx, out, to);
    return marked ? weir__send(ctx, out.chan, out.kind, to, out.size, WEIR_FOREVER) : 0; /* no value: not counted */
}

/* What follows a stage function that has returned rc for the value at `from`: what lies at `to` is sent, with these marks; or the value has failed,
 * and its turn ends. 0, or what ends the stage. */
WEIR_INLINE int weir__flow_answer(weir__desk *desk, weir_ctx *ctx, const weir__flow *f, weir__port out, int rc,
                                  const void *from, void *to, int marks)
{
    if (WEIR_LIKELY(rc == 0))
        return weir__send_turn(desk, ctx, f->marked, out, to, marks);
    rc = weir__desk_failed(desk, ctx, rc, from);
    return rc != 0 ? rc : weir__send_turn(desk, ctx, f->marked, out, to, WEIR__ENDS_TURN);
}

#endif /* WEIR_FLOW_STAGE_H */

/* ==== weir/flow/stages.h ==== */

/* weir/flow/stages.h: the stages of a pipeline, one call each.
 *
 *     int weir_generate(p, out, fn, arg, opt)     fn makes values until it returns EPIPE
 *     int weir_map(p, in, out, fn, arg, opt)      one value out for each value in, on opt->workers threads
 *     int weir_sink(p, in, fn, arg, opt)          fn takes values; EPIPE from it: it wants no more
 *     int weir_fan_out(p, in, outs, n, opt)       value k goes to outs[k % n]
 *     int weir_fan_in(p, ins, n, out, opt)        opt->ordered: takes from ins[k % n] in turn; else each input as it comes
 *
 * More stages, called alike: flow/filter.h (filter, flat-map), batch.h, window.h, fuse.h, throttle.h, tee.h, partition.h (by key), merge.h.
 *
 * p: a weir_pipeline; opt: a weir_stage_opt or NULL; ins, outs: arrays of n handles of one type (copied). Stage functions are those of
 * flow/loop.h. Each call starts the stage's threads and returns. When a stage ends it closes its outputs, once, after its last
 * worker; and its inputs, so that nobody goes on sending to it if it ended early.
 *
 * A channel has one stage at each end. With opt->workers above 1 the channels beside it are of kinds that allow that many at once;
 * EINVAL otherwise. Except for an ordered map: there one thread deals the values out to the workers in turn, over channels of its own, and one
 * collects the results in the same turn, so the order is kept without numbering, and any kind will do. (A slow value holds up
 * those behind it; each worker's queues take opt->queue of them meanwhile.)
 *
 * Returns 0, ENOMEM, EAGAIN (no thread to be had), EINVAL. After an error the pipeline is cancelled: weir_pipeline_wait is still
 * owed, and returns that error.
 *
 * The stage function is called through a pointer here. To have it inlined, give weir_pipeline_go a task that runs the loop:
 *     static int parse_all(weir_ctx *ctx, void *arg) { struct app *a = arg; return weir_map_loop(ctx, a->lines, a->rows, parse, a); }
 */
#ifndef WEIR_FLOW_STAGES_H
#define WEIR_FLOW_STAGES_H


#define weir_generate(p, out, fn, arg, opt) weir__flow_generate((p), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_map(p, in, out, fn, arg, opt) weir__flow_map((p), WEIR__PORT(in), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_sink(p, in, fn, arg, opt) weir__flow_sink((p), WEIR__PORT(in), (fn), (arg), (opt))
#define weir_fan_out(p, in, outs, n, opt)                                                                              \
    weir__flow_fan_out((p), WEIR__PORT(in), WEIR__PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in), (opt))
#define weir_fan_in(p, ins, n, out, opt)                                                                               \
    weir__flow_fan_in((p), WEIR__PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__PORT(out), (opt))

#define weir__flow_generate WEIR__RINGED(weir__flow_generate)
#define weir__flow_map WEIR__RINGED(weir__flow_map)
#define weir__flow_map_new WEIR__RINGED(weir__flow_map_new)
#define weir__flow_sink WEIR__RINGED(weir__flow_sink)
#define weir__flow_fan_out WEIR__RINGED(weir__flow_fan_out)
#define weir__flow_fan_in WEIR__RINGED(weir__flow_fan_in)

WEIR_API int weir__flow_generate(weir_pipeline *p, weir__port out, weir_generate_fn *fn, void *arg,
                                 const weir_stage_opt *opt);
WEIR_API int weir__flow_map(weir_pipeline *p, weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                            const weir_stage_opt *opt);
WEIR_API int weir__flow_sink(weir_pipeline *p, weir__port in, weir_sink_fn *fn, void *arg, const weir_stage_opt *opt);
WEIR_API int weir__flow_fan_out(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                const weir_stage_opt *opt);
WEIR_API int weir__flow_fan_in(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                               const weir_stage_opt *opt);
/* A map that has not been started (flow/stage.h). */
WEIR_API weir__flow *weir__flow_map_new(weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                                        const weir_stage_opt *opt);

#endif /* WEIR_FLOW_STAGES_H */

/* ==== weir/flow/filter.h ==== */

/* weir/flow/filter.h: stages that send fewer values than they take, or more.
 *
 *     int weir_filter(p, in, out, fn, arg, opt)      int fn(weir_ctx *ctx, void *arg, const void *value, bool *keep)
 *     int weir_flat_map(p, in, out, fn, arg, opt)    int fn(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e)
 *     int weir_filter_loop(ctx, in, out, fn, arg), weir_flat_map_loop(ctx, in, out, fn, arg)      in the calling thread
 *
 * A filter passes on the values of which fn says *keep = true; it is false before fn is called. A flat map sends whatever fn hands to
 * weir_emit, any number of values for one, and waits there as long as the output is full: it holds one value of each channel, no more.
 *
 * Calls, results, workers and closing as for weir_map (flow/stages.h, flow/loop.h). With opt->ordered and several workers the
 * values come out in the order of what they were made from: those of one input together, in the order they were emitted in.
 *
 * A flat map that fails has sent what it had emitted before. Whoever has fn called again then (a retry) gets those twice.
 */
#ifndef WEIR_FLOW_FILTER_H
#define WEIR_FLOW_FILTER_H


typedef struct weir_emitter weir_emitter;
typedef int weir_filter_fn(weir_ctx *ctx, void *arg, const void *value, bool *keep);
typedef int weir_flat_map_fn(weir_ctx *ctx, void *arg, const void *in, weir_emitter *e);

#define weir_filter(p, in, out, fn, arg, opt)                                                                          \
    weir__flow_filter((p), weir__port_if(WEIR__PORT(in), WEIR__SAME(in, out)), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_flat_map(p, in, out, fn, arg, opt)                                                                        \
    weir__flow_flat_map((p), WEIR__PORT(in), WEIR__PORT(out), (fn), (arg), (opt))
#define weir_filter_loop(ctx, in, out, fn, arg)                                                                        \
    weir__filter_loop((ctx), weir__port_if(WEIR__LOOP_PORT(in), WEIR__SAME(in, out)), WEIR__LOOP_PORT(out), (fn), (arg))
#define weir_flat_map_loop(ctx, in, out, fn, arg)                                                                      \
    weir__flat_map_loop((ctx), WEIR__LOOP_PORT(in), WEIR__LOOP_PORT(out), (fn), (arg))

/* Where a flat map's values go. Belongs to the call of fn that was given it. */
struct weir_emitter {
    weir__desk *desk;
    weir_ctx *ctx;
    weir__port out;
    size_t size; /* of a value */
    void *to;    /* where a marked value is put together; NULL: nothing is marked */
    int rc;      /* why no more can be sent, or 0 */
};

/* Sends *value, of the output's type, waiting for room. 0; EPIPE: nobody wants more; ECANCELED, ETIMEDOUT: the context has ended. After an error all
 * further calls return it, and fn need not: the stage knows. By the thread that was given e. Progress: as weir_send. */
WEIR_INLINE int weir_emit(weir_emitter *e, const void *value)
{
    if (WEIR_UNLIKELY(e->rc != 0))
        return e->rc;
    if (e->to == NULL)
        return e->rc = weir__desk_send(e->desk, e->ctx, e->out, value);
    memcpy(e->to, value, e->size);
    return e->rc = weir__send_turn(e->desk, e->ctx, true, e->out, e->to, WEIR__HAS_VALUE);
}

typedef struct weir__filter_call {
    weir_filter_fn *fn;
    void *arg;
    const void *value;
    bool keep;
} weir__filter_call;

WEIR_INLINE int weir__filter_once(weir_ctx *ctx, void *arg)
{
    weir__filter_call *c = (weir__filter_call *)arg;
    c->keep = false;
    return c->fn(ctx, c->arg, c->value, &c->keep);
}

WEIR_INLINE int weir__filter_body(weir__desk *desk, weir_ctx *ctx, bool marked, weir__port in, weir__port out,
                                  weir_filter_fn *fn, void *arg, void *value)
{
    weir__filter_call call;
    call.fn = fn;
    call.arg = arg;
    call.value = value;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, value);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_call(desk, ctx, weir__filter_once, &call);
        if (WEIR_UNLIKELY(rc != 0)) {
            call.keep = false;
            rc = weir__desk_failed(desk, ctx, rc, value);
        } else if (!call.keep) {
            weir__desk_dropped(desk);
        }
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, marked, out, value, (call.keep ? WEIR__HAS_VALUE : 0) | WEIR__ENDS_TURN);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

typedef struct weir__flat_map_call {
    weir_flat_map_fn *fn;
    void *arg;
    const void *in;
    weir_emitter *e;
} weir__flat_map_call;

WEIR_INLINE int weir__flat_map_once(weir_ctx *ctx, void *arg)
{
    const weir__flat_map_call *c = (const weir__flat_map_call *)arg;
    return c->fn(ctx, c->arg, c->in, c->e);
}

/* to: NULL where nothing is marked. */
WEIR_INLINE int weir__flat_map_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, size_t size,
                                    weir_flat_map_fn *fn, void *arg, void *from, void *to)
{
    weir_emitter e;
    weir__flat_map_call call;
    e.desk = desk;
    e.ctx = ctx;
    e.out = out;
    e.size = size;
    e.to = to;
    e.rc = 0;
    call.fn = fn;
    call.arg = arg;
    call.in = from;
    call.e = &e;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_call(desk, ctx, weir__flat_map_once, &call);
        if (WEIR_UNLIKELY(e.rc != 0))
            return e.rc; /* whatever fn made of it */
        if (WEIR_UNLIKELY(rc != 0))
            rc = weir__desk_failed(desk, ctx, rc, from);
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, to != NULL, out, to, WEIR__ENDS_TURN);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__filter_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_filter_fn *fn, void *arg)
{
    weir__loop_value value;
    return weir__filter_body(NULL, ctx, false, in, out, fn, arg, value.bytes);
}

WEIR_INLINE int weir__flat_map_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_flat_map_fn *fn, void *arg)
{
    weir__loop_value from;
    return weir__flat_map_body(NULL, ctx, in, out, out.size, fn, arg, from.bytes, NULL);
}

#define weir__flow_filter WEIR__RINGED(weir__flow_filter)
#define weir__flow_flat_map WEIR__RINGED(weir__flow_flat_map)

WEIR_API int weir__flow_filter(weir_pipeline *p, weir__port in, weir__port out, weir_filter_fn *fn, void *arg,
                               const weir_stage_opt *opt);
WEIR_API int weir__flow_flat_map(weir_pipeline *p, weir__port in, weir__port out, weir_flat_map_fn *fn, void *arg,
                                 const weir_stage_opt *opt);

#endif /* WEIR_FLOW_FILTER_H */

/* ==== weir/flow/fuse.h ==== */

/* weir/flow/fuse.h: consecutive maps in one thread, with no channel between them.
 *
 *     static const weir_map_step steps[] = {{parse, NULL, sizeof(struct row)}, {price, &book, sizeof(struct quote)}, {round_up, NULL, 0}};
 *     weir_map_fused(p, lines, quotes, steps, 3, NULL);
 *
 * Like one weir_map whose function calls the steps in order (functions as weir_map's, flow/loop.h): what one makes is the next one's input, in
 * memory of the worker's own. A channel between two maps costs a copy in, a copy out and often a cache line's way to another core; it pays
 * when the two have enough to do for a core each. The steps are copied; what their arg points to outlives the pipeline.
 *
 * The first error of a step ends the value's way. To the stage the steps are one function: guards are asked once, and a retry begins at the first.
 * opt as weir_map's, workers and ordered among it. Returns as weir_map; EINVAL too for no steps, and for a last one that makes values of a size that
 * is not the output's.
 *
 * Not here: a loop to be inlined (flow/loop.h). A function that calls two others is that.
 */
#ifndef WEIR_FLOW_FUSE_H
#define WEIR_FLOW_FUSE_H


typedef struct weir_map_step {
    weir_map_fn *fn;
    void *arg;
    size_t size; /* bytes of what it makes; 0 for the last: those of the output */
} weir_map_step;

#define weir_map_fused(p, in, out, steps, n, opt)                                                                      \
    weir__flow_fused((p), WEIR__PORT(in), WEIR__PORT(out), (steps), (n), (opt))

#define weir__flow_fused WEIR__RINGED(weir__flow_fused)
WEIR_API int weir__flow_fused(weir_pipeline *p, weir__port in, weir__port out, const weir_map_step *steps, size_t n,
                              const weir_stage_opt *opt);

#endif /* WEIR_FLOW_FUSE_H */

/* ==== weir/flow/throttle.h ==== */

/* weir/flow/throttle.h: a stage that passes values on as fast as a limiter lets it.
 *
 *     weir_limiter_init(&l, 1000.0, 50, NULL);
 *     weir_throttle(p, in, out, &l, opt);               weir_throttle_loop(ctx, in, out, &l): in the calling thread
 *
 * A value is taken first, then its token is waited for (weir_limiter_wait), then it is sent: no token is spent while there is nothing to send, and
 * one value is in hand meanwhile. Stages may share a limiter; the limiter outlives the pipeline, and its rate may be changed while it runs.
 *
 * What the limiter refuses for ever (a burst of 0), or for longer than the context's deadline allows (ETIMEDOUT, at once), is a failure of that
 * value, and as any other ends the stage unless its policy says otherwise. in, out, opt, the result: as weir_map's; both channels of one type.
 */
#ifndef WEIR_FLOW_THROTTLE_H
#define WEIR_FLOW_THROTTLE_H


#define weir_throttle(p, in, out, limiter, opt)                                                                        \
    weir__flow_throttle((p), weir__port_if(WEIR__PORT(in), WEIR__SAME(in, out)), WEIR__PORT(out), (limiter), (opt))
#define weir_throttle_loop(ctx, in, out, limiter)                                                                      \
    weir__throttle_loop((ctx), weir__port_if(WEIR__LOOP_PORT(in), WEIR__SAME(in, out)), WEIR__LOOP_PORT(out), (limiter))

WEIR_INLINE int weir__throttle_body(weir__desk *desk, weir_ctx *ctx, bool marked, weir__port in, weir__port out,
                                    weir_limiter *limiter, void *value)
{
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, value), marks = WEIR__HAS_VALUE | WEIR__ENDS_TURN;
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir_limiter_wait(ctx, limiter, 1);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = weir__desk_failed(desk, ctx, rc, value);
            marks = WEIR__ENDS_TURN;
        }
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, marked, out, value, marks);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__throttle_loop(weir_ctx *ctx, weir__port in, weir__port out, weir_limiter *limiter)
{
    weir__loop_value value;
    return weir__throttle_body(NULL, ctx, false, in, out, limiter, value.bytes);
}

#define weir__flow_throttle WEIR__RINGED(weir__flow_throttle)
WEIR_API int weir__flow_throttle(weir_pipeline *p, weir__port in, weir__port out, weir_limiter *limiter,
                                 const weir_stage_opt *opt);

#endif /* WEIR_FLOW_THROTTLE_H */

/* ==== weir/flow/tee.h ==== */

/* weir/flow/tee.h: every value to each of several outputs.
 *
 *     weir_tee_side sides[] = {{0}, {.drop = true}};
 *     weir_tee(p, in, outs, 2, sides, opt);            sides NULL: none drops
 *
 * The slowest output decides how fast values are taken: the next one is, when the last has gone to every output. Except to those that `drop`: where
 * one of these is full the value is not sent there, and counted. A value goes to whichever outputs have room first, so stages behind
 * two of them may wait for each other in any order.
 *
 * An output that its reader has closed gets no more, and the others go on; the stage ends when none is left.
 *
 * in: as other stages'; outs: n handles of one type, copied. One thread; opt->workers and .ordered mean nothing. sides are kept as a pointer and
 * outlive the pipeline. Returns as the calls of flow/stages.h; EINVAL for n = 0.
 */
#ifndef WEIR_FLOW_TEE_H
#define WEIR_FLOW_TEE_H


typedef struct weir_tee_side {
    bool drop;
    weir__atomic_u64 dropped; /* weir_tee_dropped */
} weir_tee_side;

/* How many values were not sent there. Any thread, at any time; wait-free. */
static inline uint64_t weir_tee_dropped(weir_tee_side *side)
{
    return weir__load_rlx(&side->dropped);
}

#define weir_tee(p, in, outs, n, sides, opt)                                                                           \
    weir__flow_tee((p), WEIR__PORT(in), WEIR__PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in), (sides), (opt))

#define weir__flow_tee WEIR__RINGED(weir__flow_tee)
WEIR_API int weir__flow_tee(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                            weir_tee_side *sides, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_TEE_H */

/* ==== weir/flow/partition.h ==== */

/* weir/flow/partition.h: by key: values of one key go to one worker, in their order.
 *
 *     static const void *symbol(void *arg, const void *value, size_t *size)      what its key is: some bytes, in the value or beside it
 *     {
 *         const struct order *o = value;
 *         *size = sizeof o->symbol;
 *         return &o->symbol;
 *     }
 *     weir_key by_symbol = {.fn = symbol};
 *     weir_partition(p, in, outs, n, &by_symbol, opt)         to one of n outputs
 *     weir_map_keyed(p, in, out, &by_symbol, fn, arg, opt)    a weir_map whose workers have a queue each, by key
 *
 * Which of the n it is says SipHash of the key's bytes (core/hash.h) under the seed; the same for equal bytes, so a key has no padding in it, and
 * no pointer unless the pointer is the key. Without a seed each call draws one, which nobody outside can aim at; two partitions that are to agree
 * get the same.
 *
 * Keys are spread by chance: with few of them some workers may have nothing to do. A worker that is busy holds up, once its queue (opt->queue, 64)
 * is full, all that come behind, other keys among them: memory stays bounded.
 *
 * weir_partition: one thread; when a reader has closed its output the stage ends with the next value for it. weir_map_keyed: opt->workers, queue,
 * wait as an ordered map's; values of one key come out in their order, of different ones in any. It has no other order: .ordered is EINVAL. key is
 * copied. All else as in flow/stages.h; EINVAL for n = 0.
 */
#ifndef WEIR_FLOW_PARTITION_H
#define WEIR_FLOW_PARTITION_H


/* Returns where the key of *value lies, and its *size; it is looked at before the next call. By one thread at a time. */
typedef const void *weir_key_fn(void *arg, const void *value, size_t *size);

typedef struct weir_key {
    weir_key_fn *fn;
    void *arg;
    uint64_t seed[2]; /* zeros: drawn */
} weir_key;

#define weir_partition(p, in, outs, n, key, opt)                                                                       \
    weir__flow_partition((p), WEIR__PORT(in), WEIR__PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in), (key),   \
                         (opt))
#define weir_map_keyed(p, in, out, key, fn, arg, opt)                                                                  \
    weir__flow_map_keyed((p), WEIR__PORT(in), WEIR__PORT(out), (key), (fn), (arg), (opt))

/* Where, of n, *value belongs, with key->seed as it is; n > 0. */
WEIR_API size_t weir_key_place(const weir_key *key, const void *value, size_t n);

#define weir__flow_partition WEIR__RINGED(weir__flow_partition)
#define weir__flow_map_keyed WEIR__RINGED(weir__flow_map_keyed)
WEIR_API int weir__flow_partition(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                  const weir_key *key, const weir_stage_opt *opt);
WEIR_API int weir__flow_map_keyed(weir_pipeline *p, weir__port in, weir__port out, const weir_key *key, weir_map_fn *fn,
                                  void *arg, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_PARTITION_H */

/* ==== weir/flow/merge.h ==== */

/* weir/flow/merge.h: any number of inputs into one output, in one thread.
 *
 *     weir_merge(p, ins, n, out, opt)                      as they come, each as often
 *     weir_merge_sorted(p, ins, n, out, before, arg, opt)      inputs that rise into an output that rises
 *
 * weir_merge takes one value from each input that has one, in turn, and sleeps on all of them when none has. So no input starves: when the output is
 * the bottleneck, inputs that always have something get equal shares, to within one value; an input whose value has come waits for one
 * value of each other at most. An input that has ended is left out.
 *
 * weir_merge_sorted waits until it knows the next value of every input that has not ended, and sends the first of them: bool before(arg, a, b) says
 * that a comes before b. Of equal ones that of the input listed first goes first. It holds one value of each input, and the output rises if each of
 * them does; an input that is silent holds up all.
 *
 * Beside weir_fan_in (flow/stages.h): that one has a thread for each input, so the inputs move at once and the output's queue decides whose turn it
 * is; and with .ordered it takes apart what weir_fan_out has dealt.
 *
 * ins: n handles of one type, copied; opt->workers, .ordered mean nothing. Nothing is allocated once it runs. Returns as the calls of flow/stages.h;
 * EINVAL for n = 0 and n > 2^20.
 */
#ifndef WEIR_FLOW_MERGE_H
#define WEIR_FLOW_MERGE_H


typedef bool weir_before_fn(void *arg, const void *a, const void *b);

#define weir_merge(p, ins, n, out, opt)                                                                                \
    weir__flow_merge((p), WEIR__PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__PORT(out), (opt))
#define weir_merge_sorted(p, ins, n, out, before, arg, opt)                                                            \
    weir__flow_merge_sorted((p), WEIR__PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__PORT(out),        \
                            (before), (arg), (opt))

#define weir__flow_merge WEIR__RINGED(weir__flow_merge)
#define weir__flow_merge_sorted WEIR__RINGED(weir__flow_merge_sorted)
WEIR_API int weir__flow_merge(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                              const weir_stage_opt *opt);
WEIR_API int weir__flow_merge_sorted(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                                     weir_before_fn *before, void *arg, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_MERGE_H */

/* ==== weir/flow/batch.h ==== */

/* weir/flow/batch.h: so many values at a time, or what has come in time, whichever is first.
 *
 *     typedef weir_batch_of(struct row, 100) row_batch;        struct { struct row item[100]; size_t n; }
 *     typedef weir_chan(row_batch) batch_chan;
 *     weir_batch_rules rules = {.count = 50, .within = WEIR_MS(5)};
 *     weir_batch(p, rows, batches, &rules, opt)                rules NULL: by count alone, as many as the type holds
 *     weir_batch_loop(ctx, rows, batches, &batch, &rules)      in the calling thread, in memory of the caller's
 *
 * The output's values are batches: the first n of item[], in the order they came in; what is behind them means nothing. The type of item is checked
 * against the input's. A batch is copied as a whole: for large values send pointers.
 *
 * A batch goes out
 *   when it has rules.count values (0: as many as the type holds; more is EINVAL);
 *   when rules.within has passed since its first value was taken (0: no limit), never empty. A value that comes later begins the next batch;
 *   at the end of the input, with what there is.
 * When the context ends, what has been gathered is gone, as whatever is in the channels. While the output is full nothing is taken, and the time of
 * a batch that is ready means nothing any more.
 *
 * rules.clock: NULL, or the clock that says when (guard/clock.h). It is looked at whenever a value comes, and when as much time as is left has
 * passed on weir's own clock, which is what the wait goes by.
 *
 * With several workers each gathers batches of its own. .ordered with more than one is EINVAL: there is no order to keep. All else as in
 * flow/stages.h.
 */
#ifndef WEIR_FLOW_BATCH_H
#define WEIR_FLOW_BATCH_H


/* item first: so its place and that of n follow from their sizes. */
#define weir_batch_of(T, most)                                                                                         \
    struct {                                                                                                           \
        T item[most];                                                                                                  \
        size_t n;                                                                                                      \
    }

/* Zero means the default, for each. */
typedef struct weir_batch_rules {
    size_t count;      /* values in a batch; as many as the type holds */
    weir_ns within;    /* how long a batch waits for more, from its first value on; for ever */
    weir_clock *clock; /* weir's own */
} weir_batch_rules;

/* What of a batch the compiler knows. */
typedef struct weir__batch_shape {
    size_t most, n_at;
} weir__batch_shape;
WEIR_INLINE weir__batch_shape weir__batch_shape_of(size_t item, size_t items, size_t zero)
{
    weir__batch_shape s;
    s.most = items / item + zero;
    s.n_at = (items + sizeof(size_t) - 1) / sizeof(size_t) * sizeof(size_t);
    return s;
}
/* And diagnostics where the input has other items, or the output no batches. */
#define WEIR__BATCH_SHAPE(in, out)                                                                                     \
    weir__batch_shape_of(sizeof *(in).elem, sizeof(out).elem->item,                                                    \
                         0 * sizeof(1 ? (in).elem : (out).elem->item) + 0 * sizeof(1 ? &(out).elem->n : (size_t *)0))

#define weir_batch(p, in, out, rules, opt)                                                                             \
    weir__flow_batch((p), WEIR__PORT(in), WEIR__PORT(out), WEIR__BATCH_SHAPE(in, out), (rules), (opt))
#define weir_batch_loop(ctx, in, out, batch, rules)                                                                    \
    weir__batch_loop((ctx), WEIR__PORT(in), WEIR__PORT(out), WEIR__BATCH_SHAPE(in, out), (rules),                      \
                     WEIR__ELEM(out, batch))

/* A batch that is being gathered. */
typedef struct weir__batch {
    weir_batch_rules rules;
    weir__batch_shape shape;
    unsigned char *memory;
    size_t n;
    weir_ns now, due; /* on the rules' clock: when it was last looked at; when the batch goes out */
} weir__batch;

/* 0, or EINVAL. */
WEIR_INLINE int weir__batch_init(weir__batch *b, const weir_batch_rules *rules, weir__batch_shape shape, void *memory)
{
    memset(b, 0, sizeof *b);
    if (rules != NULL)
        b->rules = *rules;
    if (b->rules.count == 0)
        b->rules.count = shape.most;
    b->shape = shape;
    b->memory = (unsigned char *)memory;
    return b->rules.count > shape.most || b->rules.within < 0 ? EINVAL : 0;
}

WEIR_INLINE int weir__batch_send(weir__desk *desk, weir_ctx *ctx, weir__port out, weir__batch *b)
{
    if (b->n == 0)
        return 0;
    memcpy(b->memory + b->shape.n_at, &b->n, sizeof b->n);
    b->n = 0;
    return weir__desk_send(desk, ctx, out, b->memory);
}

/* Waits for the next value, behind those that have been gathered, at most until they are due. */
WEIR_INLINE int weir__batch_recv(weir__desk *desk, weir_ctx *ctx, weir__port in, const weir__batch *b)
{
    void *at = b->memory + b->n * in.size;
    weir_ns until = b->due;
    if (b->n == 0 || b->rules.within == 0)
        return weir__desk_recv(desk, ctx, in, at);
    if (b->rules.clock != NULL)
        until = weir_time_add(weir_now(), b->due - b->now);
    return weir__desk_recv_until(desk, ctx, in, at, until);
}

/* A value lies behind those that have been gathered. If their time has come they go first. */
WEIR_INLINE int weir__batch_add(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, weir__batch *b)
{
    int rc = 0;
    if (b->rules.within != 0) {
        b->now = weir__clock_now(b->rules.clock);
        if (b->n > 0 && b->now >= b->due) {
            const unsigned char *value = b->memory + b->n * in.size;
            rc = weir__batch_send(desk, ctx, out, b);
            memmove(b->memory, value, in.size);
        }
        if (b->n == 0)
            b->due = weir_time_add(b->now, b->rules.within);
    }
    b->n++;
    return rc == 0 && b->n == b->rules.count ? weir__batch_send(desk, ctx, out, b) : rc;
}

WEIR_INLINE int weir__batch_body(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__port out, weir__batch *b)
{
    for (;;) {
        int rc = weir__batch_recv(desk, ctx, in, b);
        if (WEIR_LIKELY(rc == 0)) {
            rc = weir__batch_add(desk, ctx, in, out, b);
        } else if (rc == ETIMEDOUT && weir_ctx_err(ctx) == 0) { /* not the context's time: the batch's */
            b->now = weir__clock_now(b->rules.clock);
            rc = b->now >= b->due ? weir__batch_send(desk, ctx, out, b) : 0;
        } else {
            const int sent = rc == EPIPE ? weir__batch_send(desk, ctx, out, b) : 0;
            return sent != 0 ? sent : weir__loop_end(rc);
        }
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_INLINE int weir__batch_loop(weir_ctx *ctx, weir__port in, weir__port out, weir__batch_shape shape,
                                 const weir_batch_rules *rules, void *batch)
{
    weir__batch b;
    const int rc = weir__batch_init(&b, rules, shape, batch);
    return rc != 0 ? rc : weir__batch_body(NULL, ctx, in, out, &b);
}

#define weir__flow_batch WEIR__RINGED(weir__flow_batch)
WEIR_API int weir__flow_batch(weir_pipeline *p, weir__port in, weir__port out, weir__batch_shape shape,
                              const weir_batch_rules *rules, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_BATCH_H */

/* ==== weir/flow/window.h ==== */

/* weir/flow/window.h: a result for each window of values: the last hundred, each minute.
 *
 *     static int mean(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
 *     {
 *         struct mean *m = result;                                   zero when the window begins
 *         if (value != NULL) m->sum += *(const double *)value;       once for each value of the window
 *         else m->mean = m->sum / (double)span->values;              once when it closes, before *m is sent
 *         return 0;
 *     }
 *     weir_window_rules rules = {.length = WEIR_SEC(60), .every = WEIR_SEC(10), .stamp = made_at, .lateness = WEIR_SEC(2)};
 *     weir_window(p, in, out, &rules, mean, arg, opt)                out: a channel of struct mean
 *
 * Windows
 *   By count (.count): window k is the values k * every … k * every + count - 1, numbered from 0 as they come. By time (.length): those of a time in
 *   [k * every, k * every + length), k any whole number. every 0: as long as the window, so that they tumble; less: they slide, and a value belongs
 *   to several; more: some values belong to none. A window without values is not sent.
 *   The time of a value is what .stamp says, or else when it came, by .clock (NULL: weir's own).
 *
 * When a window closes
 *   By count: with its last value.
 *   By arrival: when the clock says that its end has come, whether or not a value comes. (On a clock of the caller's: as flow/batch.h.)
 *   By stamp: when a value with a stamp of at least its end + lateness has come: out of order, values may be late by lateness and miss nothing. No
 *   clock moves it: while nothing comes, nothing closes.
 *   At the end of the input: all, as they are; unless .whole, which leaves out those that have not been filled or whose time has not come.
 *   Results go out in the order of their windows.
 *
 * A value that is late belongs to windows that have all been closed: it is left out, counted in *report, and handed to .on_late. One that still
 * finds some of its windows open goes there, and counts as on time. The first value opens the windows that lateness allows before it.
 *
 * Memory: (length + lateness) / every + 2 results, at the start; never more. Each value costs a call for each window it belongs to.
 *
 * fn returns 0, or an error, which ends the stage; for one value its policy may say otherwise, and the windows that fn has not got to are without
 * it. One thread: workers above 1 are EINVAL (for windows by key: flow/partition.h before it). EINVAL too: not one of count and length, more than
 * 2^20 windows at once, lengths of more than 2^60, lateness without a stamp; from the stage, a stamp of more than ±2^62. rules are copied; report
 * outlives the pipeline.
 */
#ifndef WEIR_FLOW_WINDOW_H
#define WEIR_FLOW_WINDOW_H


typedef struct weir_window_span {
    int64_t begin, end; /* numbers of values, or times: [begin, end) */
    uint64_t values;    /* that it has so far, this one among them */
} weir_window_span;

typedef int weir_window_fn(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result);

typedef struct weir_window_report {
    weir__atomic_u64 late;
} weir_window_report;

/* Zero means the default, for each; but one of count and length is needed. */
typedef struct weir_window_rules {
    int64_t count;
    weir_ns length;
    int64_t every; /* from one window's begin to the next one's, in values or ns */
    weir_ns (*stamp)(void *arg, const void *value);
    weir_ns lateness;
    void (*on_late)(void *arg, const void *value);
    bool whole;
    weir_clock *clock;
    weir_window_report *report;
} weir_window_rules;

/* How many values were late. Any thread, at any time; wait-free. */
static inline uint64_t weir_window_late(weir_window_report *report)
{
    return weir__load_rlx(&report->late);
}

/* arg goes to fn, stamp and on_late. */
#define weir_window(p, in, out, rules, fn, arg, opt)                                                                   \
    weir__flow_window((p), WEIR__PORT(in), WEIR__PORT(out), (rules), (fn), (arg), (opt))

#define weir__flow_window WEIR__RINGED(weir__flow_window)
WEIR_API int weir__flow_window(weir_pipeline *p, weir__port in, weir__port out, const weir_window_rules *rules,
                               weir_window_fn *fn, void *arg, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_WINDOW_H */

/* ==== weir/flow/progress.h ==== */

/* weir/flow/progress.h: how far a pipeline is, how fast, and which of its stages holds up the others.
 *
 *     weir_watch_opt watch = {.total = lines};
 *     weir_pipeline_init(&p, NULL);
 *     weir_pipeline_watch(&p, &watch);                   before the stages are started
 *     …
 *     weir_progress now;
 *     weir_stage_progress stages[8];
 *     weir_pipeline_progress(&p, &now, stages, 8);       any thread, at any time, also after weir_pipeline_wait
 *     …
 *     weir_pipeline_wait(&p);
 *     weir_pipeline_unwatch(&p);                         frees what has been counted
 *
 * Meaning
 *   Stages are those of flow/stages.h, in the order in which they were started; a task of weir_pipeline_go is the program's own, and is not listed.
 *       in         taken from the input; for a generator: made, or failed to be made
 *       out        sent; for a stage without an output: finished
 *       failed     given up for good: skipped, dead letters, and those that ended the pipeline
 *       dropped    a filter did not want it
 *       abandoned  in hand, and neither sent nor failed, when the pipeline ended or nobody wanted more
 *   in = out + dropped + failed + abandoned + what is in hand, in a stage that makes one item of each. No snapshot has more on the right than on
 *   the left. The shares are those of the time that the stage's workers have lived: waiting for input, waiting for room at the output (or in a
 *   dead-letter channel), and the rest, working. The slowest stage works all the time; those before it wait at their outputs, those behind at their
 *   inputs. Times are read while they run: of two snapshots the later one may have a little less.
 *   Of the whole: what comes in at stages that no other feeds, and goes out at those that feed no other. Stages that take dead letters, and what
 *   they feed, stand aside: their items have been counted as failed.
 *   done, for total and ETA, is out + dropped + failed + abandoned, of the whole or of the stage that the watch names. Name one where the others do
 *   not count alike: stages that multiply, copy or batch.
 *   The rate is that of the window that ends now (10 s); if nobody has asked within it, since somebody did, or since the beginning. After the end:
 *   that of all.
 *
 * Cost: where nothing is watched, none. Else a plain store or two for each item, and two readings of the clock each time that a worker has to wait.
 */
#ifndef WEIR_FLOW_PROGRESS_H
#define WEIR_FLOW_PROGRESS_H


typedef struct weir_stage_progress {
    const char *name;
    unsigned workers, running;             /* threads: all, and those that have not returned */
    uint64_t in, out, dropped;             /* items */
    uint64_t failed, skipped, dead;        /* skipped and dead are parts of failed */
    uint64_t abandoned;                    /* items */
    double blocked_in, blocked_out, works; /* shares, 0 to 1; all 0 before the first worker has begun */
    weir_ns lived, waited_in, waited_out;  /* of all workers together */
    size_t queue;                          /* values that wait in its (first) input; 0 after the end */
} weir_stage_progress;

typedef struct weir_progress {
    uint64_t in, out, dropped, failed, skipped, dead, abandoned;
    uint64_t done, total; /* total: as told; 0: not known */
    double rate;          /* of done, a second */
    weir_ns eta;          /* until done is total at this rate; WEIR_FOREVER: not known */
    weir_ns elapsed;      /* since weir_pipeline_watch; in all, after the end */
    size_t stages;        /* how many there are */
    bool ended;           /* every thread has been joined */
} weir_progress;

/* From now on stages count. Once, before the stages are started; opt may be NULL, and is copied. After it weir_pipeline_unwatch is owed. */
WEIR_API void weir_pipeline_watch(weir_pipeline *p, const weir_watch_opt *opt);
/* Frees what was counted. After weir_pipeline_wait, when nobody reads any more. */
WEIR_API void weir_pipeline_unwatch(weir_pipeline *p);
/* Where it stands: of the whole, and of the first `capacity` stages; stages may be NULL if that is 0. 0; EINVAL: it is not watched. Any thread.
 * Takes a lock that no worker takes for its items. */
WEIR_API int weir_pipeline_progress(weir_pipeline *p, weir_progress *progress, weir_stage_progress *stages,
                                    size_t capacity);

/* One room as it is now. */
WEIR_API void weir__room_read(weir__room *room, weir_clock *clock, weir_stage_progress *s);

#endif /* WEIR_FLOW_PROGRESS_H */

/* ==== weir/flow/bar.h ==== */

/* weir/flow/bar.h: the progress of a pipeline as one line of text, and a thread that keeps it on a terminal.
 *
 *     weir_pipeline_watch(&p, &watch);
 *     weir_pipeline_bar(&p, stderr, NULL);               drawn until weir_pipeline_wait returns
 *
 *     rows [==========>             ]  43%  430/1000  2 failed  120/s  0:04 left
 *
 * On a terminal the line is drawn over itself, ten times a second, and ends with a newline at the end. Elsewhere, in a log, each is a line, one in
 * ten seconds, and one at the end. A program that draws by itself has weir_progress_line.
 */
#ifndef WEIR_FLOW_BAR_H
#define WEIR_FLOW_BAR_H


#include <stdio.h>

enum { WEIR_BAR_AUTO, WEIR_BAR_TERMINAL, WEIR_BAR_LINES };

/* Zero means the default, for each. */
typedef struct weir_bar_opt {
    const char *label; /* before the line; kept as a pointer. Nothing */
    unsigned width;    /* of what is between the brackets; 24 */
    int style;         /* WEIR_BAR_AUTO: whether the file is a terminal */
    weir_ns every;     /* from one drawing to the next; 100 ms on a terminal, else 10 s */
} weir_bar_opt;

/* The line, without a newline, into a buffer of `size` bytes; opt may be NULL. Without a total there is no bar and no ETA, but the time that has
 * passed, as at the end. 0; EOVERFLOW: the buffer has only the beginning. 160 bytes are enough, beside label and bar. One thread for each buffer. */
WEIR_API int weir_progress_line(char *buffer, size_t size, const weir_progress *progress, const weir_bar_opt *opt);

/* Starts a thread that draws the pipeline's progress to the file, now and then and, by weir_pipeline_wait, at the end. opt may be NULL, and is
 * copied. file is open until weir_pipeline_wait has returned; nobody else writes to it meanwhile, where the line is drawn over itself. What it does
 * not take is lost. 0; EINVAL: the pipeline is not watched; ENOMEM, EAGAIN: no bar, and the pipeline goes on without. */
WEIR_API int weir_pipeline_bar(weir_pipeline *p, FILE *file, const weir_bar_opt *opt);

#endif /* WEIR_FLOW_BAR_H */

/* ==== weir/flow/metrics.h ==== */

/* weir/flow/metrics.h: what the stages of watched pipelines have counted, in the form that Prometheus scrapes (obs/prometheus.h).
 *
 *     weir_named_pipeline pipelines[] = {{"orders", &orders}, {"quotes", &quotes}};
 *     weir_prometheus_init(&w, buffer, sizeof buffer);
 *     weir_prometheus_pipelines(&w, pipelines, 2);
 *     rc = weir_prometheus_end(&w, &needed);
 *
 * Each value has the labels pipeline, stage (its name) and number (from 0, in the order in which the stages were started: names may be alike).
 * Meanings: flow/progress.h.
 *     weir_stage_in_total, weir_stage_out_total, weir_stage_dropped_total, weir_stage_abandoned_total   items
 *     weir_stage_failed_total{outcome="skipped", "dead" or "fatal"}               items
 *     weir_stage_lived_seconds_total, weir_stage_blocked_seconds_total{side="input" or "output"}   of all its workers
 *     weir_stage_queue_length, weir_stage_running_workers                        now
 */
#ifndef WEIR_FLOW_METRICS_H
#define WEIR_FLOW_METRICS_H


typedef struct weir_named_pipeline {
    const char *name;
    weir_pipeline *pipeline;
} weir_named_pipeline;

/* Writes them all. One that is not watched has no stages. 0; EINVAL: one of the names was used before for a family of another type. Any thread, one
 * for each writer, between watch and unwatch of each pipeline. */
WEIR_API int weir_prometheus_pipelines(weir_prometheus *w, const weir_named_pipeline *pipelines, size_t n);

#endif /* WEIR_FLOW_METRICS_H */

/* ==== weir/flow/generator.h ==== */

/* weir/flow/generator.h: a lazy sequence: a thread that makes the next value when somebody takes the last.
 *
 *     typedef weir_generator(int) int_generator;
 *     int_generator primes;
 *     weir_generator_start(ctx, &primes, next_prime, &state, NULL);    int next_prime(weir_ctx *ctx, void *state, void *value)
 *     while (weir_recv(ctx, primes.out, &p) == 0 && p < 1000) use(p);
 *     rc = weir_generator_stop(&primes);
 *
 * The channel is a rendezvous unless the options say otherwise, so the function is at most one value ahead. The sequence ends when the function returns
 * EPIPE, or another code, which stop returns; when the context ends; or when stop is called, whatever the thread is doing: it is never left behind.
 * After the end receives say EPIPE. Other channels and calls, select among them, treat .out as any channel.
 */
#ifndef WEIR_FLOW_GENERATOR_H
#define WEIR_FLOW_GENERATOR_H


#define weir_generator(T)                                                                                              \
    struct {                                                                                                           \
        weir_chan(T) out;                                                                                              \
        weir__generator run;                                                                                           \
    }

typedef struct weir__generator {
    weir_pipeline pipeline;
    bool started;
} weir__generator;

/* Zero means the default, for each. */
typedef struct weir_generator_opt {
    const char *name; /* of the thread and the channel; "generator" */
    size_t ahead;     /* capacity of the channel: so many values are made before they are asked for */
} weir_generator_opt;

/* ctx: NULL, or a context that outlives the generator. 0; ENOMEM; EAGAIN: the system refused a thread; nothing is left then. opt may be NULL. */
#define weir_generator_start(ctx, g, fn, arg, opt)                                                                     \
    weir__generator_start((ctx), &(g)->run, (void *)&(g)->out, sizeof *(g)->out.elem, (fn), (arg), (opt))
/* Ends it, joins the thread, frees the channel: no other thread uses it any more. 0, also if the sequence had not ended; the function's code; what
 * ended ctx. A generator that could not be started may be stopped, too. */
#define weir_generator_stop(g) weir__generator_stop(&(g)->run, (void *)&(g)->out)

WEIR_API int weir__generator_start(weir_ctx *ctx, weir__generator *g, void *handle, size_t size, weir_generate_fn *fn,
                                   void *arg, const weir_generator_opt *opt);
WEIR_API int weir__generator_stop(weir__generator *g, void *handle);

#endif /* WEIR_FLOW_GENERATOR_H */

/* ==== weir/run/signal.h ==== */

/* weir/run/signal.h: signals, counted in a word that threads sleep on.
 *
 * A handler adds one to a word and wakes whoever sleeps on it: that is all that it may do. It runs in whichever thread the system picks, started
 * before or after; a thread that blocks the signals changes nothing as long as one does not. Interrupted system calls are restarted.
 *
 * A signal that was ignored before stays ignored: a shell says so to what it starts in the background. Giving back restores what was before,
 * whatever that was: the struct of sigaction, which -std=c11 hides, is read and written back as bytes.
 *
 *   Not done: signalfd, and sigwait in a thread. Both need the signals blocked in every thread, also in those that libraries have started before
 *   main. Not done: a pipe from the handler to the waiting thread. futex(2) is as safe to call there, has no descriptor to leak, and cannot be
 *   full.
 *
 * Who may call what at once: take and give back, one thread, the owner. All else: any thread; poke and what the handler calls, also in a handler.
 *
 * Sources: signal-safety(7), sigaction(2), signal(2), futex(2); "Basic Signal Handling" in the manual of the GNU C library, for signals that are
 * ignored.
 */
#ifndef WEIR_RUN_SIGNAL_H
#define WEIR_RUN_SIGNAL_H


enum { WEIR_SIGNALS_MAX = 8 };

/* Counts these from now on (count 0: SIGINT and SIGTERM). third_kills: the second restores the default actions. Those that
 * come less than `settle` after the first are not counted. 0; EBUSY: they are taken already;
 * EINVAL: one cannot be handled, and nothing has changed. */
WEIR_API int weir__signals_take(const int *signals, size_t count, bool third_kills, weir_ns settle);
WEIR_API void weir__signals_give_back(void);

/* How many have come since take; the first one's number, or 0. */
WEIR_API uint32_t weir__signals_count(void);
WEIR_API int weir__signals_first(void);

/* Sleeping: read events, look at what is waited for, sleep if it has not happened. Whoever makes it happen pokes, and so does each signal. */
WEIR_API uint32_t weir__signals_events(void);
WEIR_API void weir__signals_sleep(uint32_t seen, weir_ns until);
WEIR_API void weir__signals_poke(void *unused);

#endif /* WEIR_RUN_SIGNAL_H */

/* ==== weir/run/shutdown.h ==== */

/* weir/run/shutdown.h: how a program stops: on a signal, in three phases, each step with a time of its own, and a report of what did not stop.
 *
 *     static weir_shutdown stop;                                         it outlives every step, also one that never returns
 *     weir_shutdown_init(&stop, NULL);                                   from here on SIGINT and SIGTERM are its
 *     weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_STOP, "listener", WEIR_SEC(1), close_listener, &server);
 *     weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_DRAIN, "requests", WEIR_SEC(20), drain, &server);
 *     weir_shutdown_on_phase(&stop, WEIR_SHUTDOWN_FINISH, "log", WEIR_SEC(2), flush, &log);
 *     …start the server under weir_shutdown_ctx(&stop)…
 *     rc = weir_shutdown_wait(NULL, &stop);                              sleeps until a signal comes, then runs the three phases
 *
 * Meaning
 *   It begins with the first signal, with weir_shutdown_begin, or when the parent context ends, whichever comes first; signals that came between
 *   init and wait count. weir_shutdown_ctx ends then, before the first step.
 *   Phases: WEIR_SHUTDOWN_STOP, accept nothing more; _DRAIN, cancel or finish what is under way; _FINISH, wait for the rest, flush, close. A phase
 *   is over when each of its steps has returned or had its time. The next one runs in any case: a listener that hangs does not keep the log from
 *   being flushed.
 *   Steps of one phase run at the same time, each on a thread of its own: one that hangs takes nobody's time but its own, and a phase
 *   takes as long as its longest step. What needs an order stands in one step, or in two phases.
 *   A step's context ends after its timeout; a little later (`grace`) it is not waited for any more, and left behind, on its thread. It is joined
 *   if it returns while other steps are still waited for; else it is in the report as one that did not stop.
 *   A second signal forces: the contexts of all steps are cancelled, nothing is waited for any more, steps that have not begun do not begin. It
 *   takes two also where weir_shutdown_begin came first: the supervisor's signal may just have met it. Many who mean one signal send two: timeout(1) to the
 *   program and to its group, a wrapper what the terminal has sent already. So what comes within `settle` of the first belongs to it.
 *
 * Signals (run/signal.h has the handler)
 *   What the handler has noted is looked at by a thread: the one in weir_shutdown_wait; or, for a program whose main thread works rather than
 *   waits, one of the library's (config.watch), which ends the context with the first signal.
 *   One shutdown in a process has the signals. A child made by fork has the handler and nobody who looks: it calls weir_shutdown_free, or exec.
 *
 * Who may call what at once
 *   init, free: one thread, while nobody else uses it. wait: one thread at a time. All else: any thread, at any time in between.
 *
 * The complaint behind the phases: shutdowns whose later parts never ran because an earlier one had timed out (PostHog#71244).
 */
#ifndef WEIR_RUN_SHUTDOWN_H
#define WEIR_RUN_SHUTDOWN_H


enum { WEIR_SHUTDOWN_STOP, WEIR_SHUTDOWN_DRAIN, WEIR_SHUTDOWN_FINISH, WEIR_SHUTDOWN_PHASES };
enum { WEIR_SHUTDOWN_STEPS = 32 };

/* Zero means the default, for each. */
typedef struct weir_shutdown_config {
    weir_ctx *parent;    /* its end begins the shutdown; outlives it. None */
    const int *signals;  /* SIGINT and SIGTERM; no more than WEIR_SIGNALS_MAX */
    size_t signal_count; /* of `signals` */
    bool no_signals;     /* begins with weir_shutdown_begin or the parent alone */
    weir_ns settle;      /* a signal that comes so soon after the first belongs to it; 100 ms */
    bool third_kills; /* the second signal restores the default action: a third ends the process, whatever else hangs */
    bool watch;       /* a thread of the library's ends the context with the first signal */
    weir_ns step_timeout; /* of steps that have none of their own; 10 s */
    weir_ns grace;        /* how long after its timeout a step may take to return; 100 ms */
    /* of all phases together: forced then, as by a second signal. Choose it larger than the steps' in a row. None */
    weir_ns timeout;
} weir_shutdown_config;

typedef struct weir_shutdown_line {
    const char *name;
    int phase;
    int rc; /* what the step returned; of one that has not: ETIMEDOUT, ECANCELED (forced), EAGAIN (the system refused a thread) */
    weir_ns took;     /* until it returned, or until it was left behind */
    bool timed_out;   /* it had not returned when its time was over */
    bool not_stopped; /* it had not returned at the end */
    bool not_run;     /* it was never called */
} weir_shutdown_line;

typedef struct weir__shutdown_step {
    weir_shutdown_line line;
    weir_task_fn *fn;
    void *arg;
    weir_ns timeout, begun;
    weir_ctx ctx;
    weir__thread thread;
    weir__atomic_u32 state; /* weir__shutdown_… */
    int rc;                 /* the thread's until it has returned, as `returned` */
    weir_ns returned;
} weir__shutdown_step;

typedef struct weir_shutdown {
    weir_shutdown_config config;
    weir_ctx ctx;   /* its end is the beginning */
    weir_ctx force; /* its end is what a second signal does; the parent of the steps' */
    weir_ctx_hook begins, forces;
    weir__lock lock; /* of the registration */
    bool sealed, done, watched, owns_signals;
    int result; /* once done */
    weir__atomic_u32 waiting;
    uint32_t forks;
    weir__thread watcher;
    size_t count;
    weir__shutdown_step steps[WEIR_SHUTDOWN_STEPS];
} weir_shutdown;

/* Takes the signals over. config may be NULL, and is copied, its signals too. 0; EINVAL: a negative duration, too many signals, or one that cannot
 * be handled; EBUSY: another shutdown has the signals; EAGAIN: the system refused the watching thread. On failure nothing has changed. */
WEIR_API int weir_shutdown_init(weir_shutdown *s, const weir_shutdown_config *config);

/* Has fn(a context that ends after `timeout`, arg) run in that phase. timeout: 0 means the config's. name: kept as a pointer. 0; EINVAL: no such
 * phase, a negative timeout, no function; EOVERFLOW: WEIR_SHUTDOWN_STEPS there are; EBUSY: wait has found that the shutdown has begun. */
WEIR_API int weir_shutdown_on_phase(weir_shutdown *s, int phase, const char *name, weir_ns timeout, weir_task_fn *fn,
                                    void *arg);

/* The context that ends when the shutdown begins. Its cause: 128 + the number of the signal, as a shell would say; what was given to begin; the
 * parent's. It ends in the thread that looks (see above), not in the handler. */
static inline weir_ctx *weir_shutdown_ctx(weir_shutdown *s)
{
    return &s->ctx;
}

/* Begins it without a signal. cause: as weir_ctx_cancel's; the first counts. */
WEIR_API void weir_shutdown_begin(weir_shutdown *s, int cause);
/* As a second signal. Begins nothing: phases that begin later are skipped. */
WEIR_API void weir_shutdown_force(weir_shutdown *s);

/* Waits until the shutdown begins, and runs it, in this thread and those of the steps. 0: every step has returned 0 in its time, or there is none;
 * else the first rc of the report that is not 0. ECANCELED, ETIMEDOUT while weir_shutdown_ctx has not ended: ctx ended first, and nothing has
 * happened; once it has begun ctx plays no part. EBUSY: another thread waits. ENOTRECOVERABLE: a child of the process that called init. Once it is
 * over, the same answer again. Parks. */
WEIR_API int weir_shutdown_wait(weir_ctx *ctx, weir_shutdown *s);

/* The first max lines of the report, in the order of phases and, within, of registration. Returns how many there are. After wait. */
WEIR_API size_t weir_shutdown_report(weir_shutdown *s, weir_shutdown_line *lines, size_t max);
/* Whether the remaining waits were cut short: a second signal, weir_shutdown_force, or the timeout of all. */
WEIR_API bool weir_shutdown_forced(weir_shutdown *s);
/* The first signal that came, 0: none. Wait-free. */
WEIR_API int weir_shutdown_signal(weir_shutdown *s);

/* Restores the signals' actions, ends the contexts, joins. EBUSY: a step that was left behind still runs; the signals are restored, the memory
 * stays in use, and free may be called again. */
WEIR_API int weir_shutdown_free(weir_shutdown *s);

#endif /* WEIR_RUN_SHUTDOWN_H */

#endif /* WEIR_H */

/* ==== weir/core/system.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_SYSTEM_IMPLEMENTED)
#define WEIR_CORE_SYSTEM_IMPLEMENTED
#if defined(__linux__)

#include <errno.h>
#include <sys/syscall.h>

#ifdef __cplusplus
extern "C" {
#endif
struct timespec;
extern long weir__libc_syscall(long number, ...) __asm__("syscall");
extern int weir__libc_clock_gettime(int clock, struct timespec *t) __asm__("clock_gettime");
#ifdef __cplusplus
}
#endif

/* A system call as the kernel answers it: the result, or minus the error. errno stays as it was. */
static inline long weir__system_call(long number, long a, long b, long c, long d, long e, long f)
{
    const int saved = errno;
    long rc = weir__libc_syscall(number, a, b, c, d, e, f);
    if (rc == -1)
        rc = -(long)errno;
    errno = saved;
    return rc;
}

#endif
#endif /* WEIR_CORE_SYSTEM_IMPLEMENTED */

/* ==== weir/core/error.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_ERROR_IMPLEMENTED)
#define WEIR_CORE_ERROR_IMPLEMENTED

WEIR_API const char *weir_error_text(int code)
{
    switch (code) {
    case 0: return "success";
    case EPIPE: return "closed";
    case EAGAIN: return "would have to wait";
    case EBUSY: return "in use";
    case EIO: return "not written";
    case ETIMEDOUT: return "deadline passed";
    case ECANCELED: return "cancelled";
    case ENOMEM: return "out of memory";
    case EINVAL: return "invalid argument";
    case EOVERFLOW: return "too large";
    case ENOTRECOVERABLE: return "made before a fork";
    case ENOTSUP: return "not supported by this ring";
    default: return "error";
    }
}

#endif /* WEIR_CORE_ERROR_IMPLEMENTED */

/* ==== weir/core/cpu.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_CPU_IMPLEMENTED)
#define WEIR_CORE_CPU_IMPLEMENTED

#define WEIR__CPU_MAX 8192
typedef struct weir__cpu_mask {
    unsigned long bits[WEIR__CPU_MAX / (8 * sizeof(unsigned long))];
} weir__cpu_mask;

WEIR_API int weir_pin(int cpu)
{
    weir__cpu_mask mask = {{0}};
    const unsigned word_bits = 8 * (unsigned)sizeof mask.bits[0];
    if (cpu < 0 || cpu >= WEIR__CPU_MAX)
        return EINVAL;
    mask.bits[(unsigned)cpu / word_bits] |= 1UL << ((unsigned)cpu % word_bits);
    /* The raw call takes thread 0 as the caller, and knows no cpu_set_t, which -std=c11 hides. */
    return weir__system_call(SYS_sched_setaffinity, 0, sizeof mask, (long)&mask, 0, 0, 0) == 0 ? 0 : EINVAL;
}

WEIR_API int weir_cpu_count(void)
{
    weir__cpu_mask mask = {{0}};
    int count = 0;
    if (weir__system_call(SYS_sched_getaffinity, 0, sizeof mask, (long)&mask, 0, 0, 0) <= 0)
        return 1;
    for (size_t i = 0; i < sizeof mask.bits / sizeof mask.bits[0]; i++)
        count += __builtin_popcountl(mask.bits[i]);
    return count; /* a thread always has one */
}

#endif /* WEIR_CORE_CPU_IMPLEMENTED */

/* ==== weir/core/time.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_TIME_IMPLEMENTED)
#define WEIR_CORE_TIME_IMPLEMENTED

#include <time.h>

static weir_ns weir__time_on(int clock)
{
    struct timespec t;
    weir__libc_clock_gettime(clock, &t);
    return WEIR_SEC(t.tv_sec) + t.tv_nsec;
}

WEIR_API weir_ns weir__time_used(void)
{
    return weir__time_on(2 /* CLOCK_PROCESS_CPUTIME_ID */);
}

WEIR_API weir_ns weir_now(void)
{
#ifdef WEIR_CLOCK_NOW
    return WEIR_CLOCK_NOW();
#else
    return weir__time_on(1 /* CLOCK_MONOTONIC */);
#endif
}

#endif /* WEIR_CORE_TIME_IMPLEMENTED */

/* ==== weir/core/random.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_RANDOM_IMPLEMENTED)
#define WEIR_CORE_RANDOM_IMPLEMENTED

#ifdef WEIR_RANDOM_BELOW
WEIR_API uint32_t weir__random_below(uint32_t below)
{
    return WEIR_RANDOM_BELOW(below);
}
#else
static WEIR_THREAD_LOCAL uint64_t weir__random_state;

WEIR_API uint32_t weir__random_below(uint32_t below)
{
    uint64_t x = weir__random_state;
    if (x == 0)
        x = ((uint64_t)(uintptr_t)&weir__random_state * 0x9e3779b97f4a7c15U ^ (uint64_t)weir_now()) | 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    weir__random_state = x;
    return (uint32_t)(((x * 0x2545f4914f6cdd1dU >> 32) * below) >> 32);
}
#endif

#endif /* WEIR_CORE_RANDOM_IMPLEMENTED */

/* ==== weir/core/hash.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_HASH_IMPLEMENTED)
#define WEIR_CORE_HASH_IMPLEMENTED

static uint64_t weir__hash_turn(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void weir__hash_rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[1] = weir__hash_turn(v[1], 13) ^ v[0];
        v[0] = weir__hash_turn(v[0], 32);
        v[2] += v[3];
        v[3] = weir__hash_turn(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = weir__hash_turn(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = weir__hash_turn(v[1], 17) ^ v[2];
        v[2] = weir__hash_turn(v[2], 32);
    }
}

WEIR_API uint64_t weir_hash(const uint64_t seed[2], const void *bytes, size_t size)
{
    const unsigned char *at = (const unsigned char *)bytes;
    uint64_t v[4];
    v[0] = seed[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = seed[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = seed[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = seed[1] ^ UINT64_C(0x7465646279746573);
    /* Words of eight bytes, the lowest first; the last one holds what is left, and the size in its highest byte. */
    for (size_t left = size;; left -= 8, at += 8) {
        const size_t n = left < 8 ? left : 8;
        uint64_t word = n < 8 ? (uint64_t)size << 56 : 0;
        for (size_t i = 0; i < n; i++)
            word |= (uint64_t)at[i] << (8 * i);
        v[3] ^= word;
        weir__hash_rounds(v, 2);
        v[0] ^= word;
        if (n < 8)
            break;
    }
    v[2] ^= 0xff;
    weir__hash_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif /* WEIR_CORE_HASH_IMPLEMENTED */

/* ==== weir/core/futex.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_FUTEX_IMPLEMENTED)
#define WEIR_CORE_FUTEX_IMPLEMENTED
#if defined(__linux__)

#include <time.h>

WEIR_API int weir__futex_wait(weir__atomic_u32 *word, uint32_t value, weir_ns deadline)
{
    struct timespec t, *until = NULL;
    if (deadline != WEIR_FOREVER) {
        const weir_ns d = deadline > 0 ? deadline : 0;
        t.tv_sec = (time_t)(d / WEIR_SEC(1));
        t.tv_nsec = (long)(d % WEIR_SEC(1));
        until = &t;
    }
    /* 9 FUTEX_WAIT_BITSET | 128 FUTEX_PRIVATE_FLAG; the last argument matches every wake. */
    return weir__system_call(SYS_futex, (long)word, 9 | 128, (long)value, (long)until, 0, 0xffffffff) == -ETIMEDOUT
               ? ETIMEDOUT
               : 0;
}

WEIR_API void weir__futex_wake(weir__atomic_u32 *word, int count)
{
    (void)weir__system_call(SYS_futex, (long)word, 1 | 128 /* FUTEX_WAKE, private */, count, 0, 0, 0);
}

#endif
#endif /* WEIR_CORE_FUTEX_IMPLEMENTED */

/* ==== weir/core/fence.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_FENCE_IMPLEMENTED)
#define WEIR_CORE_FENCE_IMPLEMENTED

#if defined(WEIR_FENCE_SYMMETRIC) || !defined(SYS_membarrier)

WEIR_API bool weir__fence_asymmetric(void)
{
    return false;
}

WEIR_API void weir__fence_heavy(void)
{
    WEIR_FENCE(__ATOMIC_SEQ_CST);
}

#else

/* From <linux/membarrier.h>, which is not everywhere. */
#define WEIR__MEMBARRIER_PRIVATE_EXPEDITED (1 << 3)
#define WEIR__MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1 << 4)

static bool weir__membarrier(int command)
{
    return weir__system_call(SYS_membarrier, command, 0, 0, 0, 0, 0) == 0;
}

/* 0 not asked yet, 1 works, 2 missing. Two threads may both ask: registering twice is harmless, and both get the same answer. */
static weir__atomic_u32 weir__fence_state;

WEIR_API bool weir__fence_asymmetric(void)
{
    uint32_t state = weir__load_rlx(&weir__fence_state);
    if (state == 0) {
        state = weir__membarrier(WEIR__MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) ? 1 : 2;
        weir__store_rlx(&weir__fence_state, state);
    }
    return state == 1;
}

/* Every queue is made after weir__fence_asymmetric has been asked, so the state is known here. */
WEIR_API void weir__fence_heavy(void)
{
    if (weir__load_rlx(&weir__fence_state) != 1 || !weir__membarrier(WEIR__MEMBARRIER_PRIVATE_EXPEDITED))
        WEIR_FENCE(__ATOMIC_SEQ_CST);
}

#endif
#endif /* WEIR_CORE_FENCE_IMPLEMENTED */

/* ==== weir/core/thread.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_THREAD_IMPLEMENTED)
#define WEIR_CORE_THREAD_IMPLEMENTED

WEIR_API void weir_thread_name(const char *name)
{
    if (name != NULL)
        WEIR_THREAD_SET_NAME(name);
}

static uint32_t weir__forks; /* written by a child's only thread, before fork returns in it */
static void weir__forked(void)
{
    weir__forks++;
}

WEIR_API uint32_t weir__fork_count(void)
{
    static weir__atomic_u32 counting;
    uint32_t not_yet = 0;
    if (weir__load_rlx(&counting) == 0 && weir__cas_rlx(&counting, &not_yet, 1))
        WEIR_AT_FORK(weir__forked);
    return weir__forks;
}

WEIR_API bool weir__fork_passed(uint32_t count)
{
    return count != weir__forks;
}

#endif /* WEIR_CORE_THREAD_IMPLEMENTED */

/* ==== weir/park/lock.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_LOCK_IMPLEMENTED)
#define WEIR_PARK_LOCK_IMPLEMENTED

#ifndef WEIR_LOCK_TURNS
#define WEIR_LOCK_TURNS 40
#endif

WEIR_API void weir__lock_slow(weir__lock *l)
{
    for (int i = 0; i < WEIR_LOCK_TURNS; i++) {
        uint32_t seen = weir__load_rlx(l);
        if (seen == 0 && weir__cas_acq(l, &seen, 1))
            return;
        if (seen == 2)
            break;
        WEIR_CPU_PAUSE();
    }
    /* From here on the lock is taken as 2: whether another still sleeps is not known, and a wake too many costs less than one
     * too few. */
    while (weir__swap_acq(l, 2) != 0)
        WEIR_FUTEX_WAIT(l, 2, WEIR_FOREVER);
}

#endif /* WEIR_PARK_LOCK_IMPLEMENTED */

/* ==== weir/park/roll.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_ROLL_IMPLEMENTED)
#define WEIR_PARK_ROLL_IMPLEMENTED

#ifdef WEIR_NO_ROLL
WEIR_API int weir_thread_count(void)
{
    return 0;
}

WEIR_API void weir_thread_task(const char *task)
{
    (void)task;
}
#else
static struct {
    weir__lock lock;
    weir__roll_entry *first;
    weir__atomic_u32 count; /* with those that have been started and have not entered */
} weir__roll;
static WEIR_THREAD_LOCAL weir__roll_entry *weir__roll_own;

WEIR_API int weir_thread_count(void)
{
    /* Pairs with the release in weir__roll_leave: who is not counted has done all that it does. */
    return (int)weir__load_acq(&weir__roll.count);
}

WEIR_API int weir__roll_start(weir__thread *thread, void *(*fn)(void *), void *arg)
{
    int rc;
    (void)weir__add_rlx(&weir__roll.count, 1);
    rc = WEIR_THREAD_START(thread, fn, arg);
    if (rc != 0)
        (void)weir__add_rlx(&weir__roll.count, 0U - 1U);
    return rc;
}

WEIR_API void weir__roll_enter(weir__roll_entry *entry, const char *name)
{
    memset(entry, 0, sizeof *entry);
    entry->name = name;
    entry->id = WEIR_THREAD_NUMBER();
    weir__lock_take(&weir__roll.lock);
    entry->next = weir__roll.first;
    if (entry->next != NULL)
        entry->next->prev = entry;
    weir__roll.first = entry;
    weir__lock_release(&weir__roll.lock);
    weir__roll_own = entry;
}

WEIR_API void weir__roll_leave(weir__roll_entry *entry)
{
    weir__roll_own = NULL;
    weir__lock_take(&weir__roll.lock);
    if (entry->prev != NULL)
        entry->prev->next = entry->next;
    else
        weir__roll.first = entry->next;
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    weir__lock_release(&weir__roll.lock);
    (void)weir__add_rel(&weir__roll.count, 0U - 1U);
}

WEIR_API void weir_thread_task(const char *task)
{
    weir__roll_entry *own = weir__roll_own;
    if (own == NULL)
        return;
    weir__lock_take(&own->lock);
    own->task = task;
    weir__lock_release(&own->lock);
}

static void weir__roll_write(const char *what, const char *on, weir_ns since)
{
    weir__roll_entry *own = weir__roll_own;
    if (own == NULL)
        return;
    weir__lock_take(&own->lock);
    own->what = what;
    own->on = on;
    own->since = since;
    weir__lock_release(&own->lock);
}

WEIR_API void weir__roll_sleeps(const weir__roll_label *label)
{
    if (weir__roll_own != NULL)
        weir__roll_write(label->what, label->on, weir_now());
}

WEIR_API void weir__roll_wakes(void)
{
    weir__roll_write(NULL, NULL, 0);
}

WEIR_API void weir__roll_each(void (*fn)(const weir__roll_entry *entry, void *arg), void *arg)
{
    weir__lock_take(&weir__roll.lock);
    for (weir__roll_entry *e = weir__roll.first; e != NULL; e = e->next) {
        weir__lock_take(&e->lock);
        fn(e, arg);
        weir__lock_release(&e->lock);
    }
    weir__lock_release(&weir__roll.lock);
}
#endif

#endif /* WEIR_PARK_ROLL_IMPLEMENTED */

/* ==== weir/park/backoff.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_BACKOFF_IMPLEMENTED)
#define WEIR_PARK_BACKOFF_IMPLEMENTED

/* A thread's: when its last dear yield ended, and what the process had used of its processors by then; until when it does not yield. */
static WEIR_THREAD_LOCAL struct {
    weir_ns ended, used, barred;
} weir__yields;

/* Twice in a row: it has waited for less since the one before, or since it was let in again, than it has lost now. */
static void weir__yield_was_dear(weir_ns began, weir_ns ended)
{
    const weir_ns lost = ended - began, used = weir__time_used();
    const weir_ns since = weir__yields.barred > weir__yields.ended ? weir__yields.barred : weir__yields.ended;
    if (began - since < lost && (used - weir__yields.used) / 7 < (ended - weir__yields.ended) / 8 * weir_cpu_count())
        weir__yields.barred = ended + (lost < WEIR__YIELD_BAR / 2 ? 2 * lost : WEIR__YIELD_BAR);
    weir__yields.ended = ended;
    weir__yields.used = used;
}

WEIR_API WEIR_NOINLINE bool weir__backoff_yield(void)
{
    const weir_ns began = weir_now();
    weir_ns ended;
    if (began < weir__yields.barred && weir__yields.barred - began <= WEIR__YIELD_BAR)
        return false;
    WEIR_CPU_YIELD();
    ended = weir_now();
    if (WEIR_UNLIKELY(ended - began >= WEIR__YIELD_DEAR))
        weir__yield_was_dear(began, ended);
    return true;
}

WEIR_API WEIR_NOINLINE void weir__backoff_lost(unsigned lost)
{
    const unsigned turns = 8U << (lost < 5 ? lost - 1 : 4);
    for (unsigned i = 0; i < turns; i++)
        WEIR_CPU_PAUSE();
}

#endif /* WEIR_PARK_BACKOFF_IMPLEMENTED */

/* ==== weir/park/parker.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_PARKER_IMPLEMENTED)
#define WEIR_PARK_PARKER_IMPLEMENTED

/* Sleeps once, if nobody has claimed us before it could be announced. True: the deadline has passed. */
static bool weir__parker_sleep(weir__parker *p, weir_ns deadline, const weir__roll_label *label)
{
    uint32_t seen = WEIR__PARKER_WAITING;
    bool late;
    if (!weir__cas_rlx(&p->state, &seen, WEIR__PARKER_SLEEPING) && seen != WEIR__PARKER_SLEEPING)
        return false;
    weir__roll_sleeps(label);
    late = WEIR_FUTEX_WAIT(&p->state, WEIR__PARKER_SLEEPING, deadline) == ETIMEDOUT;
    weir__roll_wakes();
    return late;
}

WEIR_API uint32_t weir__parker_wait(weir__parker *p, int strategy, weir_ns deadline, const weir__roll_label *label)
{
    weir__backoff turns = {strategy, 0}, peer = {WEIR_WAIT_YIELD, 0};
    for (;;) {
        const uint32_t state = weir__load_acq(&p->state);
        bool late = false;
        if ((state & WEIR__PARKER_HELD) != 0) {
            weir__backoff_peer(&peer);
            continue;
        }
        if (state >= WEIR__PARKER_FIRST_TICKET)
            return state;
        if (!weir__backoff_turn(&turns))
            late = weir__parker_sleep(p, deadline, label);
        else if (deadline != WEIR_FOREVER && turns.turn % 16 == 0)
            late = weir_now() >= deadline;
        if (late && weir__parker_cancel(p))
            return WEIR__PARKER_CANCELLED;
    }
}

#endif /* WEIR_PARK_PARKER_IMPLEMENTED */

/* ==== weir/park/waitq.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_WAITQ_IMPLEMENTED)
#define WEIR_PARK_WAITQ_IMPLEMENTED

WEIR_API void weir__waitq_init(weir__waitq *q)
{
    q->attention = weir__fence_asymmetric() ? 0 : WEIR__ATTENTION_FENCE;
    q->lock = 0;
    q->list.first = q->list.last = NULL;
    q->slept = 0;
}

WEIR_API void weir__waitq_join(weir__waitq *q, weir__waiter *w)
{
    weir__lock_take(&q->lock);
    weir__waiter_link(&q->list, w);
    weir__waitq_add(q, 1);
    q->slept++;
    weir__lock_release(&q->lock);
}

WEIR_API void weir__waitq_leave(weir__waitq *q, weir__waiter *w)
{
    weir__lock_take(&q->lock);
    if (w->linked) {
        weir__waiter_unlink(&q->list, w);
        weir__waitq_add(q, 0U - 1U);
    }
    weir__lock_release(&q->lock);
}

WEIR_API WEIR_COLD void weir__waitq_wake(weir__waitq *q, uint32_t count)
{
    enum { BATCH = 16 };
    weir__atomic_u32 *wake[BATCH];
    uint32_t n;
    /* The futex wakes come after the lock is free: a woken thread that took the lock while we held it would sleep again. */
    do {
        uint32_t unlinked = 0;
        n = 0;
        weir__lock_take(&q->lock);
        while (n < BATCH && n < count && weir__waiter_claim_first(&q->list, &unlinked, &wake[n]))
            n++;
        weir__waitq_add(q, 0U - unlinked);
        weir__lock_release(&q->lock);
        for (uint32_t i = 0; i < n; i++)
            if (wake[i] != NULL)
                WEIR_FUTEX_WAKE(wake[i], 1);
        count -= n;
    } while (n == BATCH && count > 0);
}

WEIR_API void weir__waitq_mark(weir__waitq *q, uint32_t bits)
{
    weir__lock_take(&q->lock);
    weir__store_rlx(&q->attention, weir__load_rlx(&q->attention) | bits);
    weir__lock_release(&q->lock);
}

#endif /* WEIR_PARK_WAITQ_IMPLEMENTED */

/* ==== weir/ring/base.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RING_BASE_IMPLEMENTED)
#define WEIR_RING_BASE_IMPLEMENTED

WEIR_API WEIR_COLD void weir__ring_await_limit(weir__ring *r)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    while (weir__load_acq(&r->state) != WEIR__RING_CLOSED)
        weir__backoff_peer(&b);
}

WEIR_API WEIR_NOINLINE uint64_t weir__ring_bound(weir__ring *r, uint64_t tail)
{
    if (weir__load_rlx(&r->state) == WEIR__RING_OPEN_SYMMETRIC)
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (F) pairs with (C) */
    return weir__ring_is_open(weir__load_rlx(&r->state)) ? tail : weir__ring_limit(r);
}

#endif /* WEIR_RING_BASE_IMPLEMENTED */

/* ==== weir/ring/ring.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RING_RING_IMPLEMENTED)
#define WEIR_RING_RING_IMPLEMENTED

static size_t weir__power_of_two_above(size_t n)
{
    size_t power = 1;
    while (power <= n)
        power *= 2;
    return power;
}

WEIR_API size_t weir__ring_bytes(int kind, size_t capacity, size_t size)
{
    size_t count = capacity > 0 ? capacity : 1, stride = size, bytes;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        if (capacity > WEIR__CK_CAPACITY_MAX)
            return 0;
        count = weir__power_of_two_above(count);
    }
#endif
    if (capacity > SIZE_MAX / 8 || size > SIZE_MAX / 8)
        return 0;
    if (weir__ring_of(kind) == WEIR_RING_SLOTS)
        stride = WEIR__SLOT_STRIDE(size);
    return __builtin_mul_overflow(count, stride, &bytes) ? 0 : bytes;
}

WEIR_API void weir__ring_init(weir__ring *r, int kind, size_t capacity, size_t size, void *storage)
{
    uint64_t start = WEIR_RING_START;
    memset(r, 0, sizeof *r);
    r->state = weir__ring_has_limit(kind) && !weir__fence_asymmetric() ? WEIR__RING_OPEN_SYMMETRIC : WEIR__RING_OPEN;
    r->slots = (unsigned char *)storage;
    r->bytes = capacity * size;
    r->capacity = capacity;
    r->mark = weir__power_of_two_above(capacity);
    if (weir__ring_of(kind) == WEIR_RING_SLOTS) {
        start &= ~(weir__slots_lap(r) - 1);
        for (size_t i = 0; i < capacity; i++)
            weir__store_rlx(weir__slots_stamp(r, i, size), start + i);
        if (capacity == 0)
            weir__store_rlx(weir__slots_stamp(r, 0, size), start - 1); /* nobody's turn, ever */
    }
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        ck_ring_init(&r->ck, (unsigned)r->mark);
        r->ck.c_head = r->ck.p_head = r->ck.p_tail = (unsigned)start;
    }
#endif
    r->consumer.pos = r->producer.pos = r->consumer.peer = r->producer.peer = start;
}

WEIR_API WEIR_NOINLINE int weir__ring_why_full(weir__ring *r, int kind, size_t size)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_why_full(r);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return weir__ck_why_full(r, kind);
#endif
    default: return weir__slots_why_full(r, weir__many_producers(kind), size);
    }
}

WEIR_API WEIR_NOINLINE int weir__ring_why_empty(weir__ring *r, int kind, size_t size)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_why_empty(r);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return weir__ck_why_empty(r, kind);
#endif
    default: return weir__slots_why_empty(r, weir__many_producers(kind), size);
    }
}

/* The tail of a ring as its producers move it, closed bit and all; for rings with a limit there is no such bit. */
static uint64_t weir__ring_tail(weir__ring *r, int kind)
{
    (void)kind;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return ck_pr_load_uint(weir__ck_shared(kind) ? &r->ck.p_head : &r->ck.p_tail);
#endif
    return weir__load_acq(&r->producer.pos);
}

WEIR_API bool weir__ring_is_closed(weir__ring *r, int kind)
{
    if (weir__ring_has_limit(kind))
        return weir__load_acq(&r->state) == WEIR__RING_CLOSED;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_is_closed(r);
#endif
    return (weir__load_acq(&r->producer.pos) & r->mark) != 0;
}

/* The three steps of base.h. */
static bool weir__ring_close_limit(weir__ring *r, int kind, void (*mark)(void *), void *arg)
{
    uint32_t open =
        weir__load_rlx(&r->state); /* relaxed, both: (C) orders the look at the tail, the store of CLOSED all else */
    if (!weir__ring_is_open(open) || !weir__cas_rlx(&r->state, &open, WEIR__RING_CLOSING)) {
        (void)weir__ring_closing(r); /* whoever is told that it is closed may rely on that */
        return false;
    }
    mark(arg);
    WEIR_HOOK("closing");
    WEIR_FENCE_HEAVY(); /* (C) pairs with (B), chan/channel.h */
    weir__store_rlx(&r->limit, weir__ring_tail(r, kind));
    weir__store_rel(&r->state, WEIR__RING_CLOSED);
    return true;
}

WEIR_API bool weir__ring_close(weir__ring *r, int kind, void (*mark)(void *), void *arg)
{
    if (weir__ring_has_limit(kind))
        return weir__ring_close_limit(r, kind, mark, arg);
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_close_many(r);
#endif
    return (weir__or_sc(&r->producer.pos, r->mark) & r->mark) == 0;
}

WEIR_API size_t weir__ring_len(weir__ring *r, int kind)
{
    uint64_t tail, head;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK && weir__ck_shared(kind))
        return weir__ck_len(r);
#endif
    do { /* until the two were read at one moment */
        tail = weir__ring_tail(r, kind);
#if WEIR__RING_CK_USED
        if (weir__ring_of(kind) == WEIR_RING_CK)
            head = ck_pr_load_uint(&r->ck.c_head);
        else
#endif
            head = weir__load_acq(&r->consumer.pos);
        /* A lone consumer of slots says nothing with its position (ring/slots.h): it may be seen before the tail that it has caught up with. */
    } while (weir__ring_tail(r, kind) != tail ||
             (weir__ring_of(kind) == WEIR_RING_SLOTS && weir__slots_distance(r, head, tail & ~r->mark) > r->capacity));
    if (weir__ring_has_limit(kind) && weir__load_acq(&r->state) == WEIR__RING_CLOSED)
        tail = weir__load_rlx(&r->limit);
    if (weir__ring_of(kind) == WEIR_RING_SLOTS)
        return (size_t)weir__slots_distance(r, head, tail & ~r->mark);
    return weir__ring_of(kind) == WEIR_RING_CK ? (size_t)(uint32_t)(tail - head) : (size_t)(tail - head);
}

/* From the first position of the ring to this one. */
static uint64_t weir__ring_distance(weir__ring *r, int kind, uint64_t pos)
{
    const uint64_t start = WEIR_RING_START;
    if (weir__ring_of(kind) == WEIR_RING_SLOTS)
        return weir__slots_distance(r, start & ~(weir__slots_lap(r) - 1), pos & ~r->mark);
    return weir__ring_of(kind) == WEIR_RING_CK ? (uint32_t)(pos - start) : pos - start;
}

WEIR_API void weir__ring_passed(weir__ring *r, int kind, uint64_t *pushed, uint64_t *popped)
{
    uint64_t head, tail; /* head first: it never passes the tail (of a ck ring; below for the others) */
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        head = ck_pr_load_uint(&r->ck.c_head);
        ck_pr_fence_load();
        tail = weir__ring_tail(r, kind);
        if (!weir__ring_has_limit(kind) && ((unsigned)(tail - head) & WEIR__CK_CLOSED) != 0)
            tail -= WEIR__CK_CLOSED;
    } else
#endif
    {
        head = weir__load_rlx(&r->consumer.pos);
        tail = weir__load_rlx(&r->producer.pos);
    }
    if (weir__ring_has_limit(kind) && weir__load_acq(&r->state) == WEIR__RING_CLOSED) /* so the limit is valid */
        tail = weir__load_rlx(&r->limit);
    *popped = weir__ring_distance(r, kind, head);
    *pushed = weir__ring_distance(r, kind, tail);
    /* Relaxed: nothing is concluded from them, but on weak memory the tail may have been read older. */
    if (weir__ring_of(kind) != WEIR_RING_CK && *pushed < *popped)
        *pushed = *popped;
}

WEIR_API bool weir__ring_ready(weir__ring *r, int kind, size_t size, bool pushing)
{
    const uint64_t pos = weir__load_rlx(pushing ? &r->producer.pos : &r->consumer.pos);
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED:
        return pushing ? pos - weir__load_rlx(&r->consumer.pos) != r->capacity
                       : weir__load_rlx(&r->producer.pos) != pos;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return pushing ? weir__ck_why_full(r, kind) == 0 : weir__ck_why_empty(r, kind) == 0;
#endif
    default: return weir__load_rlx(weir__slots_stamp(r, pos, size)) == (pushing ? pos : pos + 1);
    }
}

WEIR_API uint64_t weir__ring_touched(weir__ring *r, int kind, bool pushing)
{
    /* The state goes into the top bits, which a position of an open ring with a limit reaches after 2^62 values only. */
    const uint64_t state = (uint64_t)weir__load_acq(&r->state) << 62;
    if (!pushing)
        return weir__ring_tail(r, kind) ^ state;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        const unsigned head = ck_pr_load_uint(&r->ck.c_head);
        return ((uint64_t)weir__ring_is_closed(r, kind) << 32) ^ head;
    }
#endif
    return weir__load_acq(&r->consumer.pos) ^ state ^ ((uint64_t)(weir__ring_is_closed(r, kind) ? 1 : 0) << 61);
}

#endif /* WEIR_RING_RING_IMPLEMENTED */

/* ==== weir/ctx/hook.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CTX_HOOK_IMPLEMENTED)
#define WEIR_CTX_HOOK_IMPLEMENTED

WEIR_API void weir__hooks_run(weir__hook_tree *tree, weir__hook_run *run)
{
    weir__hook_run **link;
    weir_ctx_hook *h;
    run->thread = WEIR_THREAD_SELF();
    run->next = tree->runs;
    tree->runs = run;
    while ((h = run->pending.first) != NULL) {
        void (*fn)(void *) = h->fn;
        void *arg = h->arg;
        run->current = h;
        run->current_ctx = h->ctx;
        weir__hook_unlink(&run->pending, h);
        weir__lock_release(&tree->lock);
        fn(arg);
        if (run->tree_gone)
            return;
        weir__lock_take(&tree->lock);
        run->current = NULL;
        run->current_ctx = NULL;
        (void)weir__add_rlx(&tree->runs_changed, 1);
        WEIR_FUTEX_WAKE(&tree->runs_changed, WEIR__WAKE_ALL);
    }
    for (link = &tree->runs; *link != run; link = &(*link)->next)
        ;
    *link = run->next;
}

/* Whether the run is inside this hook, or (hook NULL) a hook of this context, or (both NULL) any. */
static bool weir__hook_runs(const weir__hook_run *run, const weir_ctx_hook *hook, const weir_ctx *ctx)
{
    if (hook != NULL)
        return run->current == hook;
    return ctx == NULL || run->current_ctx == ctx;
}

WEIR_API void weir__hooks_await(weir__hook_tree *tree, const weir_ctx_hook *hook, const weir_ctx *ctx)
{
    const uintptr_t self = WEIR_THREAD_SELF();
    for (;;) {
        const uint32_t seen = weir__load_rlx(&tree->runs_changed);
        weir__hook_run *run = tree->runs;
        for (; run != NULL; run = run->next)
            if (run->thread != self && weir__hook_runs(run, hook, ctx))
                break;
        if (run == NULL)
            return;
        weir__lock_release(&tree->lock);
        WEIR_FUTEX_WAIT(&tree->runs_changed, seen, WEIR_FOREVER);
        weir__lock_take(&tree->lock);
    }
}

WEIR_API void weir__hooks_drop(weir__hook_tree *tree, const weir_ctx *ctx)
{
    for (weir__hook_run *run = tree->runs; run != NULL; run = run->next)
        for (weir_ctx_hook *h = run->pending.first, *next; h != NULL; h = next) {
            next = h->next;
            if (h->ctx == ctx)
                weir__hook_unlink(&run->pending, h);
        }
}

WEIR_API weir__hook_list *weir__hooks_list_of(weir__hook_tree *tree, weir__hook_list *own, const weir_ctx_hook *hook)
{
    for (weir__hook_run *run = tree->runs; run != NULL; run = run->next)
        for (weir_ctx_hook *h = run->pending.first; h != NULL; h = h->next)
            if (h == hook)
                return &run->pending;
    return own;
}

WEIR_API void weir__hooks_tree_gone(weir__hook_tree *tree)
{
    for (weir__hook_run *run = tree->runs; run != NULL; run = run->next)
        run->tree_gone = true;
}

#endif /* WEIR_CTX_HOOK_IMPLEMENTED */

/* ==== weir/ctx/ctx.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CTX_CTX_IMPLEMENTED)
#define WEIR_CTX_CTX_IMPLEMENTED

/* ---- ending ---------------------------------------------------------------------------------------------------------------- */

/* Marks one context as ended: cause before err. Its waiters are claimed; its hooks go to the front of the run, so that those of its
 * parent, which is marked later, run before them. Under the lock. */
static void weir__ctx_mark(weir_ctx *ctx, int err, int cause, weir__hook_run *run)
{
    weir__atomic_u32 *wake;
    weir_ctx_hook *h;
    uint32_t unlinked = 0;
    ctx->cause = cause;
    weir__store_rel(&ctx->err, (uint32_t)err);
    while (weir__waiter_claim_first(&ctx->watchers, &unlinked, &wake))
        if (wake != NULL)
            WEIR_FUTEX_WAKE(wake, 1); /* under the lock: cancelling is rare, and the sleepers' number has no bound */
    while ((h = ctx->hooks.last) != NULL) {
        weir__hook_unlink(&ctx->hooks, h);
        h->ctx = ctx;
        weir__hook_link_first(&run->pending, h);
    }
}

/* The first context of a list of siblings that has not ended; those that have are skipped with all below them, which have too. */
static weir_ctx *weir__ctx_first_alive(weir_ctx *at)
{
    while (at != NULL && weir__load_rlx(&at->err) != 0)
        at = at->next_sibling;
    return at;
}

static weir_ctx *weir__ctx_deepest(weir_ctx *at)
{
    weir_ctx *child;
    while ((child = weir__ctx_first_alive(at->children)) != NULL)
        at = child;
    return at;
}

/* The next to end in the subtree of top: children before parents, so that whoever reads that one has ended, lock or no lock, finds
 * that all below it have. */
static weir_ctx *weir__ctx_next_to_end(const weir_ctx *top, weir_ctx *at)
{
    weir_ctx *sibling;
    if (at == top)
        return NULL;
    sibling = weir__ctx_first_alive(at->next_sibling);
    return sibling != NULL ? weir__ctx_deepest(sibling) : at->parent;
}

static void weir__ctx_end(weir_ctx *ctx, int err, int cause)
{
    weir_ctx *root = ctx->root;
    weir__hook_run run;
    memset(&run, 0, sizeof run);
    weir__lock_take(&root->tree.lock);
    if (weir__load_rlx(&ctx->err) == 0)
        for (weir_ctx *at = weir__ctx_deepest(ctx); at != NULL; at = weir__ctx_next_to_end(ctx, at))
            weir__ctx_mark(at, err, cause, &run);
    if (run.pending.first != NULL)
        weir__hooks_run(&root->tree, &run);
    if (!run.tree_gone)
        weir__lock_release(&root->tree.lock);
}

WEIR_API void weir_ctx_cancel(weir_ctx *ctx, int cause)
{
    if (ctx == NULL)
        return;
    (void)weir_ctx_err(ctx); /* a deadline that has passed came first */
    weir__ctx_end(ctx, ECANCELED, cause != 0 ? cause : ECANCELED);
}

WEIR_API int weir_ctx_err(weir_ctx *ctx)
{
    int err = weir__ctx_ended(ctx);
    if (ctx != NULL && err == 0 && ctx->deadline != WEIR_FOREVER && weir_now() >= ctx->deadline) {
        weir__ctx_end(ctx, ETIMEDOUT, ETIMEDOUT);
        err = weir__ctx_ended(ctx);
    }
    return err;
}

WEIR_API int weir_ctx_cause(weir_ctx *ctx)
{
    return weir_ctx_err(ctx) == 0 ? 0 : ctx->cause;
}

WEIR_API weir_ns weir_ctx_deadline(const weir_ctx *ctx)
{
    return ctx == NULL ? WEIR_FOREVER : ctx->deadline;
}

/* ---- birth and death ------------------------------------------------------------------------------------------------------- */

WEIR_API void weir_ctx_init_deadline(weir_ctx *ctx, weir_ctx *parent, weir_ns deadline)
{
    memset(ctx, 0, sizeof *ctx);
    ctx->root = ctx;
    ctx->deadline = deadline;
    if (parent != NULL) {
        ctx->parent = parent;
        ctx->root = parent->root;
        if (parent->deadline < deadline)
            ctx->deadline = parent->deadline;
        weir__lock_take(&ctx->root->tree.lock);
        ctx->cause = parent->cause;
        ctx->err = weir__load_rlx(&parent->err);
        ctx->next_sibling = parent->children;
        if (parent->children != NULL)
            parent->children->prev_sibling = ctx;
        parent->children = ctx;
        weir__lock_release(&ctx->root->tree.lock);
    }
    (void)weir_ctx_err(ctx); /* a point that has passed */
}

WEIR_API void weir_ctx_init(weir_ctx *ctx, weir_ctx *parent)
{
    weir_ctx_init_deadline(ctx, parent, WEIR_FOREVER);
}

WEIR_API void weir_ctx_init_timeout(weir_ctx *ctx, weir_ctx *parent, weir_ns timeout)
{
    weir_ctx_init_deadline(ctx, parent, weir_time_add(weir_now(), timeout));
}

WEIR_API void weir_ctx_init_value(weir_ctx *ctx, weir_ctx *parent, const void *key, void *value)
{
    weir_ctx_init_deadline(ctx, parent, WEIR_FOREVER);
    ctx->key = key;
    ctx->value = value;
}

WEIR_API void *weir_ctx_value(const weir_ctx *ctx, const void *key)
{
    for (; ctx != NULL; ctx = ctx->parent)
        if (key != NULL && ctx->key == key)
            return ctx->value;
    return NULL;
}

WEIR_API void weir_ctx_free(weir_ctx *ctx)
{
    weir_ctx *root = ctx->root;
    weir__lock_take(&root->tree.lock);
    WEIR_ASSERT(ctx->children == NULL);
    WEIR_ASSERT(ctx->watchers.first == NULL);
    while (ctx->hooks.first != NULL)
        weir__hook_unlink(&ctx->hooks, ctx->hooks.first);
    weir__hooks_drop(&root->tree, ctx);
    weir__hooks_await(&root->tree, NULL, ctx == root ? NULL : ctx);
    if (ctx != root) {
        if (ctx->prev_sibling != NULL)
            ctx->prev_sibling->next_sibling = ctx->next_sibling;
        else
            ctx->parent->children = ctx->next_sibling;
        if (ctx->next_sibling != NULL)
            ctx->next_sibling->prev_sibling = ctx->prev_sibling;
    } else {
        weir__hooks_tree_gone(&root->tree);
    }
    weir__lock_release(&root->tree.lock);
}

/* ---- hooks and watchers ---------------------------------------------------------------------------------------------------- */

WEIR_API int weir_ctx_on_cancel(weir_ctx *ctx, weir_ctx_hook *hook, void (*fn)(void *arg), void *arg)
{
    int err;
    hook->fn = fn;
    hook->arg = arg;
    hook->ctx = NULL;
    if (ctx == NULL)
        return 0;
    (void)weir_ctx_err(ctx); /* notices a deadline that has passed */
    weir__lock_take(&ctx->root->tree.lock);
    err = (int)weir__load_rlx(&ctx->err);
    if (err == 0) {
        weir__hook_link(&ctx->hooks, hook);
        hook->ctx = ctx;
    }
    weir__lock_release(&ctx->root->tree.lock);
    if (err != 0)
        fn(arg);
    return err;
}

WEIR_API int weir_ctx_off_cancel(weir_ctx *ctx, weir_ctx_hook *hook)
{
    int rc = 0;
    if (ctx == NULL)
        return 0;
    weir__lock_take(&ctx->root->tree.lock);
    if (hook->ctx != NULL) {
        weir__hook_unlink(weir__hooks_list_of(&ctx->root->tree, &ctx->hooks, hook), hook);
    } else {
        weir__hooks_await(&ctx->root->tree, hook, NULL);
        rc = ECANCELED;
    }
    weir__lock_release(&ctx->root->tree.lock);
    return rc;
}

WEIR_API int weir__ctx_watch(weir_ctx *ctx, weir__waiter *w)
{
    int err;
    weir__lock_take(&ctx->root->tree.lock);
    err = (int)weir__load_rlx(&ctx->err);
    if (err == 0)
        weir__waiter_link(&ctx->watchers, w);
    weir__lock_release(&ctx->root->tree.lock);
    return err;
}

WEIR_API void weir__ctx_unwatch(weir_ctx *ctx, weir__waiter *w)
{
    weir__lock_take(&ctx->root->tree.lock);
    if (w->linked)
        weir__waiter_unlink(&ctx->watchers, w);
    weir__lock_release(&ctx->root->tree.lock);
}

#endif /* WEIR_CTX_CTX_IMPLEMENTED */

/* ==== weir/ctx/wait.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CTX_WAIT_IMPLEMENTED)
#define WEIR_CTX_WAIT_IMPLEMENTED

WEIR_API int weir__wait_over(const weir__wait *w)
{
    const int err = weir__ctx_ended(w->ctx);
    if (err != 0)
        return err;
    if (w->deadline == WEIR_FOREVER || (weir__backoff_spinning(&w->backoff) && w->backoff.turn % 16 != 0))
        return 0;
    return weir_now() < w->deadline ? 0 : weir__wait_ended(w);
}

WEIR_API int weir__wait_ended(const weir__wait *w)
{
    const int err = weir_ctx_err(w->ctx); /* if it was the context's own deadline, the context has to know */
    return err != 0 ? err : ETIMEDOUT;
}

WEIR_API uint32_t weir__wait_parked(const weir__wait *w, weir__parker *parker, int strategy, weir_ns until)
{
    const weir_ns deadline = until < w->deadline ? until : w->deadline;
    weir__waiter watch;
    uint32_t ticket;
    if (w->ctx == NULL)
        return weir__parker_wait(parker, strategy, deadline, &w->label);
    weir__waiter_init(&watch, parker, WEIR__TICKET_CTX);
    if (weir__ctx_watch(w->ctx, &watch) != 0 && weir__parker_cancel(parker))
        return WEIR__TICKET_CTX;
    ticket = weir__parker_wait(parker, strategy, deadline, &w->label);
    weir__ctx_unwatch(w->ctx, &watch);
    return ticket;
}

WEIR_API int weir__wait_end(weir__wait *w)
{
    int over;
    w->backoff.strategy = WEIR_WAIT_PARK; /* so that weir__wait_over reads the clock */
    while ((over = weir__wait_over(w)) == 0) {
        weir__parker parker = {WEIR__PARKER_WAITING};
        (void)weir__wait_parked(w, &parker, WEIR_WAIT_PARK, WEIR_FOREVER);
    }
    return over;
}

#endif /* WEIR_CTX_WAIT_IMPLEMENTED */

/* ==== weir/ctx/sleep.h: implementation ==== */

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

/* ==== weir/chan/channel.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_CHANNEL_IMPLEMENTED)
#define WEIR_CHAN_CHANNEL_IMPLEMENTED

/* Attention once more, behind a real fence where the light one is not enough (core/fence.h). */
static uint32_t weir__chan_attention(weir__waitq *q)
{
    const uint32_t attention = weir__load_rlx(&q->attention);
    if ((attention & WEIR__ATTENTION_FENCE) == 0)
        return attention;
    WEIR_FENCE(__ATOMIC_SEQ_CST); /* (B), symmetric */
    return weir__load_rlx(&q->attention);
}

WEIR_API WEIR_COLD int weir__chan_wake_receiver(weir__chan *c, uint64_t pos)
{
    const uint32_t attention = weir__chan_attention(&c->receivers);
    if (weir__chan_inherited(c)) /* nobody to wake; and a close that has begun will not end here */
        return (attention & WEIR__ATTENTION_CLOSED) != 0 ? ENOTRECOVERABLE : 0;
    if ((attention & WEIR__ATTENTION_COUNT) != 0)
        weir__waitq_wake(&c->receivers, 1);
    return (attention & WEIR__ATTENTION_CLOSED) != 0 ? weir__ring_settle(&c->ring, c->kind, pos) : 0;
}

WEIR_API WEIR_COLD int weir__chan_wake_sender(weir__chan *c)
{
    if ((weir__chan_attention(&c->senders) & WEIR__ATTENTION_COUNT) != 0 && !weir__chan_inherited(c))
        weir__waitq_wake(&c->senders, 1);
    return 0;
}

#endif /* WEIR_CHAN_CHANNEL_IMPLEMENTED */

/* ==== weir/chan/lane.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_LANE_IMPLEMENTED)
#define WEIR_CHAN_LANE_IMPLEMENTED

/* Values of one word are the common case, and copied without a call. */
WEIR_INLINE void weir__lane_copy_in(void *place, const void *src, size_t size)
{
    if (size == sizeof(uint64_t))
        WEIR_COPY_IN(place, src, sizeof(uint64_t));
    else
        WEIR_COPY_IN(place, src, size);
}

WEIR_INLINE void weir__lane_copy_out(void *dst, const void *place, size_t size)
{
    if (dst == NULL)
        return;
    if (size == sizeof(uint64_t))
        WEIR_COPY_OUT(dst, place, sizeof(uint64_t));
    else
        WEIR_COPY_OUT(dst, place, size);
}

/* The end of a step that the word's one owner takes: by a store where nobody else can change the other field meanwhile. Release: the value. */
WEIR_INLINE void weir__lane_step(weir__chan *c, uint64_t now, uint64_t difference, bool alone)
{
    if (alone)
        weir__store_rel(&c->lane.word, now + difference);
    else
        (void)weir__add_rel(&c->lane.word, difference);
}

/* While a receiver wants, no sender announces itself: so the word is the giver's until it stores DEAL. False: *word has changed.
 * *word was loaded with acquire: what was read from `deal` before, and what stands in `offer`; the turn tells that it is the same word. Release, here
 * and below: a try that finds nobody there any more knows what whoever was faster did before (chan/select.h, "Trying is one moment"). */
WEIR_INLINE bool weir__lane_give(weir__chan *c, uint64_t *word, const void *src)
{
    const uint64_t giving = *word + (WEIR__LANE_GIVING - WEIR__LANE_WANT);
    if (!weir__cas_rel(&c->lane.word, word, giving))
        return false;
    WEIR_HOOK("meeting");
    weir__lane_copy_in(c->lane.deal, src, c->size);
    weir__lane_step(c, giving, WEIR__LANE_DEAL - WEIR__LANE_GIVING, true);
    return true;
}

/* Beside a DEAL, its receiver may pick up at any time. */
WEIR_INLINE bool weir__lane_take(weir__chan *c, uint64_t *word, void *dst)
{
    const uint64_t taking = *word + (WEIR__LANE_TAKING - WEIR__LANE_OFFER);
    if (!weir__cas_rel(&c->lane.word, word, taking))
        return false;
    WEIR_HOOK("meeting");
    weir__lane_copy_out(dst, c->lane.offer, c->size);
    weir__lane_step(c, taking, 0 - (uint64_t)WEIR__LANE_TAKING, (taking & WEIR__LANE_RECEIVER) == 0);
    return true;
}

WEIR_API bool weir__lane_meet(weir__chan *c, bool sending, const void *src, void *dst)
{
    for (;;) {
        /* Acquire, in each turn: who has left the lane for the queue is found there by whoever looks next. */
        uint64_t word = weir__load_acq(&c->lane.word);
        if (sending ? (word & WEIR__LANE_RECEIVER) != WEIR__LANE_WANT : (word & WEIR__LANE_SENDER) != WEIR__LANE_OFFER)
            return false;
        if (sending ? weir__lane_give(c, &word, src) : weir__lane_take(c, &word, dst))
            return true;
    }
}

/* Announces the caller, given that there is room for it in *word. False: *word has changed. */
WEIR_INLINE bool weir__lane_announce(weir__chan *c, bool sending, const void *src, uint64_t *word, uint64_t *mine)
{
    uint64_t now = *word + WEIR__LANE_TURN + (sending ? WEIR__LANE_OFFERING : WEIR__LANE_WANT);
    if (!weir__cas_sc(&c->lane.word, word, now)) /* before (D) */
        return false;
    if (sending) {
        WEIR_HOOK("offering");
        weir__lane_copy_in(c->lane.offer, src, c->size);
        weir__lane_step(c, now, WEIR__LANE_OFFER - WEIR__LANE_OFFERING, (now & WEIR__LANE_RECEIVER) == 0);
    }
    *mine = now;
    return true;
}

/* Announced: gives up. False: a counterpart was faster, and weir__lane_gone will soon say so. Release: whoever finds us gone from the lane finds us in the
 * queue, if we have moved there. */
WEIR_INLINE bool weir__lane_leave(weir__chan *c, bool sending, uint64_t mine)
{
    uint64_t word = mine;
    if (!sending)
        return weir__cas_rel(&c->lane.word, &word, word - WEIR__LANE_WANT);
    word = weir__load_rlx(&c->lane.word); /* weir__lane_gone acquires */
    while ((word & WEIR__LANE_SENDER) == WEIR__LANE_OFFER && ((word ^ mine) & ~(uint64_t)(WEIR__LANE_TURN - 1)) == 0)
        if (weir__cas_rel(&c->lane.word, &word, word - WEIR__LANE_OFFER))
            return true;
    return false;
}

/* As weir__lane_meet, and announces the caller when nobody is there. *mine: what the word was then. */
WEIR_INLINE weir__lane_entry weir__lane_enter(weir__chan *c, bool sending, const void *src, void *dst, uint64_t *mine)
{
    weir__waitq *const own = sending ? &c->senders : &c->receivers, *const other =
                                                                        sending ? &c->receivers : &c->senders;
    if (c->size > sizeof c->lane.offer)
        return WEIR__LANE_TAKEN;
    for (;;) {
        uint64_t word = weir__load_acq(&c->lane.word); /* acquire, in each turn: who has left it stands in the queue */
        const uint64_t sender = word & WEIR__LANE_SENDER, receiver = word & WEIR__LANE_RECEIVER;
        if (sending ? receiver == WEIR__LANE_WANT : sender == WEIR__LANE_OFFER) {
            if (sending ? weir__lane_give(c, &word, src) : weir__lane_take(c, &word, dst))
                return WEIR__LANE_DONE;
            continue;
        }
        if (!sending && sender == WEIR__LANE_OFFERING)
            return WEIR__LANE_PASSING;
        if (sender != 0 || (receiver != 0 && (!sending || receiver != WEIR__LANE_DEAL)) ||
            weir__waitq_sleepers(own) != 0)
            return WEIR__LANE_TAKEN;
        if (weir__lane_announce(c, sending, src, &word, mine))
            break;
    }
    /* (D) pairs with (E). If somebody is there who may not have seen us: leave, unless it has. */
    if ((weir__load_sc(&other->attention) & WEIR__ATTENTION_COUNT) != 0 && weir__lane_leave(c, sending, *mine))
        return WEIR__LANE_TAKEN;
    return WEIR__LANE_STAY;
}

/* Announced: whether the exchange is done, a receiver's value then in dst. */
WEIR_INLINE bool weir__lane_gone(weir__chan *c, bool sending, void *dst, uint64_t mine)
{
    const uint64_t word = weir__load_acq(&c->lane.word); /* acquire: the value, and what the counterpart did before */
    if (sending) /* the turn is that of the last announcement: an offer of another turn, or a wish, came when ours had gone */
        return (word & WEIR__LANE_SENDER) == 0 || ((word ^ mine) & ~(uint64_t)(WEIR__LANE_TURN - 1)) != 0;
    if ((word & WEIR__LANE_RECEIVER) != WEIR__LANE_DEAL)
        return false;
    weir__lane_copy_out(dst, c->lane.deal, c->size);
    (void)weir__add_rel(&c->lane.word, 0 - (uint64_t)WEIR__LANE_DEAL); /* release: `deal` has been read */
    return true;
}

#endif /* WEIR_CHAN_LANE_IMPLEMENTED */

/* ==== weir/chan/rendezvous.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_RENDEZVOUS_IMPLEMENTED)
#define WEIR_CHAN_RENDEZVOUS_IMPLEMENTED

/* Takes the first thread of a queue that nobody else has claimed, and holds it; NULL when none is left. Locked. */
static weir__waiter *weir__meet_hold_first(weir__waitq *q, weir__atomic_u32 **wake)
{
    weir__waiter *w;
    while ((w = q->list.first) != NULL) {
        weir__waiter_unlink(&q->list, w);
        weir__waitq_add(q, 0U - 1U);
        if (weir__parker_claim(w->parker, w->ticket | WEIR__PARKER_HELD, wake))
            return w;
        /* Acquire: who finds it claimed knows what its claimer did before: a try in a select needs that. It takes the lock before it goes. */
        (void)weir__load_acq(&w->parker->state);
    }
    return NULL;
}

static void weir__meet_let_go(weir__waiter *w, int status)
{
    w->status = status;
    weir__parker_let_go(w->parker, w->ticket);
}

WEIR_API int weir__meet_exchange(weir__chan *c, bool sending, const void *src, void *dst, weir__atomic_u32 **wake)
{
    weir__waiter *peer;
    *wake = NULL;
    if (weir__load_rlx(&c->closed) != 0)
        return EPIPE;
    if (weir__lane_meet(c, sending, src, dst)) /* first: it came before all in the queue */
        return 0;
    peer = weir__meet_hold_first(weir__meet_queue(c, !sending), wake);
    if (peer == NULL)
        return EAGAIN;
    WEIR_HOOK("meeting");
    if (sending && peer->dst != NULL)
        WEIR_COPY_IN(peer->dst, src, c->size);
    if (!sending && dst != NULL)
        WEIR_COPY_OUT(dst, peer->src, c->size);
    weir__meet_let_go(peer, 0);
    return 0;
}

static int weir__meet_finish(weir__chan *c, int rc, weir__atomic_u32 *wake)
{
    weir__lock_release(weir__meet_lock(c));
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
    return rc;
}

WEIR_API int weir__meet_try(weir__chan *c, bool sending, const void *src, void *dst)
{
    weir__atomic_u32 *wake;
    int rc;
    if (weir__load_acq(&c->closed) != 0)
        return EPIPE;
    if (weir__lane_meet(c, sending, src, dst))
        return 0;
    /* Nobody there, and not closed: then it was not closed either when nobody was there, because it was looked at later. Saves polling
     * callers the lock. Acquire: pairs with the release in weir__waitq_add, and makes the look at closed the later one: the close that has sent
     * somebody away is seen. */
    if ((weir__load_acq(&weir__meet_queue(c, !sending)->attention) & WEIR__ATTENTION_COUNT) == 0 &&
        weir__load_rlx(&c->closed) == 0)
        return EAGAIN;
    weir__lock_take(weir__meet_lock(c));
    rc = weir__meet_exchange(c, sending, src, dst, &wake);
    return weir__meet_finish(c, rc, wake);
}

/* Waits in the lane: 0, or why the wait is over; EAGAIN: it is time to sleep, and the caller is still announced. */
static int weir__meet_stay(weir__wait *w, weir__chan *c, bool sending, void *dst, uint64_t mine)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    WEIR_HOOK("staying");
    while (!weir__lane_gone(c, sending, dst, mine)) {
        const int over = weir__load_acq(&c->closed) != 0
                             ? EPIPE
                             : weir__wait_over(w); /* may run hooks, which may use this channel */
        if (over == 0) {
            if (!weir__backoff_turn(&w->backoff))
                return EAGAIN;
        } else if (weir__lane_leave(c, sending, mine)) {
            return over;
        } else {
            weir__backoff_peer(&peer);
        }
    }
    return 0;
}

/* Joins the queue of its side; `mine` not NULL: out of the lane. Locked. EAGAIN: the caller lies there, and nobody waits to meet it. Otherwise
 * it does not: 0, EPIPE; BUSY: a counterpart is at work in the lane, or about to be. */
static int weir__meet_lie_down(weir__chan *c, bool sending, weir__waiter *node, const uint64_t *mine,
                               weir__atomic_u32 **wake)
{
    int rc = WEIR__BUSY;
    WEIR_HOOK("lying down");
    weir__meet_link(c, sending, node, mine != NULL);
    if (mine == NULL) {
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (E) pairs with (D) in weir__lane_enter */
        if (!weir__lane_there(c, sending))
            return EAGAIN;
    } else if (weir__lane_leave(c, sending, *mine)) {
        /* Nobody could announce itself beside us, and whoever does so from here on sees us in the queue. But a select may have joined
         * the other one and not looked at the lane before we left it. */
        rc = weir__meet_exchange(c, sending, node->src, node->dst, wake);
        if (rc == EAGAIN)
            return EAGAIN;
    }
    weir__meet_unlink(c, sending, node);
    return rc;
}

/* Waits in the queue. BUSY: see weir__meet_lie_down. */
static int weir__meet_park(weir__wait *w, weir__chan *c, bool sending, const void *src, void *dst, const uint64_t *mine)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__atomic_u32 *wake = NULL;
    weir__waiter node;
    uint32_t ticket;
    int rc;
    weir__waiter_init(&node, &parker, WEIR__TICKET_QUEUE);
    node.src = src;
    node.dst = dst;
    weir__lock_take(weir__meet_lock(c));
    rc = mine == NULL ? weir__meet_exchange(c, sending, src, dst, &wake) : EAGAIN;
    if (rc == EAGAIN)
        rc = weir__meet_lie_down(c, sending, &node, mine,
                                 &wake); /* even if the wait is over: finding that out may run hooks */
    (void)weir__meet_finish(c, rc, wake);
    if (rc != EAGAIN)
        return rc;
    WEIR_HOOK("parking");
    ticket = weir__wait_parked(w, &parker, mine == NULL ? w->backoff.strategy : WEIR_WAIT_PARK, WEIR_FOREVER);
    if (ticket == WEIR__TICKET_QUEUE)
        return node.status; /* unlinked by the peer, under the lock, before it claimed us */
    weir__lock_take(weir__meet_lock(c));
    weir__meet_unlink(c, sending, &node);
    weir__lock_release(weir__meet_lock(c));
    return weir__wait_ended(w);
}

/* The rest of weir__meet_wait, once it is known how entering the lane has ended. */
static WEIR_NOINLINE int weir__meet_wait_on(weir_ctx *ctx, weir__chan *c, bool sending, const void *src, void *dst,
                                            weir_ns deadline, weir__lane_entry entry, uint64_t mine)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    weir__wait w;
    weir__wait_init(&w, ctx, deadline, c->wait);
    weir__wait_label(&w, sending ? "send" : "recv", c->name);
    while (entry != WEIR__LANE_DONE) {
        if (entry != WEIR__LANE_PASSING) {
            int rc = entry == WEIR__LANE_STAY ? weir__meet_stay(&w, c, sending, dst, mine) : EAGAIN;
            if (rc == EAGAIN)
                rc = weir__meet_park(&w, c, sending, src, dst, entry == WEIR__LANE_STAY ? &mine : NULL);
            if (rc != WEIR__BUSY)
                return rc;
        }
        weir__backoff_peer(&peer);
        if (entry == WEIR__LANE_STAY) { /* a counterpart was faster than we were at leaving */
            if (weir__lane_gone(c, sending, dst, mine))
                return 0;
        } else {
            if (weir__load_acq(&c->closed) != 0)
                return EPIPE;
            entry = weir__lane_enter(c, sending, src, dst, &mine);
        }
    }
    return 0;
}

#ifndef WEIR_LANE_GLANCES
#define WEIR_LANE_GLANCES 8
#endif

/* Two threads at full speed meet here within some 50 ns, so what a longer wait needs is left for later. */
WEIR_INLINE int weir__meet_wait(weir_ctx *ctx, weir__chan *c, bool sending, const void *src, void *dst,
                                weir_ns deadline)
{
    weir__lane_entry entry = WEIR__LANE_TAKEN;
    uint64_t mine = 0;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    if (weir__load_acq(&c->closed) != 0)
        return EPIPE;
    if (c->wait != WEIR_WAIT_PARK) /* who means to sleep at once goes to the queue */
        entry = weir__lane_enter(c, sending, src, dst, &mine);
    if (entry == WEIR__LANE_DONE)
        return 0;
    for (int i = 0; i < WEIR_LANE_GLANCES && entry == WEIR__LANE_STAY; i++) {
        WEIR_CPU_PAUSE();
        if (weir__lane_gone(c, sending, dst, mine))
            return 0;
    }
    return weir__meet_wait_on(ctx, c, sending, src, dst, deadline, entry, mine);
}

WEIR_API int weir__meet_send(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline)
{
    return weir__meet_wait(ctx, c, true, src, NULL, deadline);
}

WEIR_API int weir__meet_recv(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline)
{
    return weir__meet_wait(ctx, c, false, NULL, dst, deadline);
}

WEIR_API bool weir__meet_close(weir__chan *c)
{
    weir__lock_take(weir__meet_lock(c));
    const bool first = weir__load_rlx(&c->closed) == 0;
    weir__store_rel(&c->closed, 1);
    for (int side = 0; side < 2; side++) {
        weir__atomic_u32 *wake;
        weir__waiter *w;
        while ((w = weir__meet_hold_first(weir__meet_queue(c, side == 0), &wake)) != NULL) {
            weir__meet_let_go(w, EPIPE);
            if (wake != NULL)
                WEIR_FUTEX_WAKE(wake, 1);
        }
    }
    weir__lock_release(weir__meet_lock(c));
    return first;
}

#endif /* WEIR_CHAN_RENDEZVOUS_IMPLEMENTED */

/* ==== weir/chan/make.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_MAKE_IMPLEMENTED)
#define WEIR_CHAN_MAKE_IMPLEMENTED


/* The caller's memory, at its first aligned byte, or fresh memory. NULL with *rc set on failure. */
static void *weir__chan_memory(const weir_chan_opt *opt, size_t bytes, int *rc)
{
    void *memory;
    if (opt->memory != NULL) {
        const size_t skip = (size_t)(0 - (uintptr_t)opt->memory) % WEIR_CACHE_PAD;
        if (opt->memory_size < skip || opt->memory_size - skip < bytes) {
            *rc = EINVAL;
            return NULL;
        }
        return (unsigned char *)opt->memory + skip;
    }
    memory = WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    if (memory == NULL)
        *rc = ENOMEM;
    return memory;
}

WEIR_API int weir__chan_make(void *handle, int kind, size_t capacity, size_t size, const weir_chan_opt *opt)
{
    static const weir_chan_opt none = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    const size_t ring_bytes = weir__ring_bytes(kind, capacity, size);
    weir__chan *c = NULL;
    int rc = 0;
    memcpy(handle, &c, sizeof c);
    if (opt == NULL)
        opt = &none;
    if ((unsigned)opt->wait > WEIR_WAIT_PARK)
        return EINVAL;
    if (ring_bytes == 0 || ring_bytes > SIZE_MAX / 2)
        return EOVERFLOW;
    c = (weir__chan *)weir__chan_memory(opt, sizeof *c + ring_bytes, &rc);
    if (c == NULL)
        return rc;
    weir__ring_init(&c->ring, kind, capacity, size, c + 1);
    weir__waitq_init(&c->receivers);
    weir__waitq_init(&c->senders);
    c->flavor = capacity == 0 ? WEIR__RENDEZVOUS : WEIR__BUFFER;
    memset(&c->lane, 0, sizeof c->lane);
    c->closed = 0;
    c->due = c->period = 0;
    c->size = size;
    c->kind = kind;
    c->wait = (int)opt->wait;
    c->name = opt->name;
    c->allocated = opt->memory == NULL ? c : NULL;
    c->forks = weir__fork_count();
    memcpy(handle, &c, sizeof c);
    return 0;
}

WEIR_API void weir__chan_free(void *handle)
{
    weir__chan *c, *none = NULL;
    memcpy(&c, handle, sizeof c);
    memcpy(handle, &none, sizeof none);
    if (c != NULL && c->allocated != NULL)
        WEIR_FREE(c->allocated);
}

static void weir__chan_mark_closed(void *chan)
{
    weir__waitq_mark(&((weir__chan *)chan)->receivers, WEIR__ATTENTION_CLOSED);
}

WEIR_API int weir__chan_close(weir__chan *c)
{
    uint32_t open = 0;
    if (c == NULL)
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    if (c->flavor == WEIR__RENDEZVOUS)
        return weir__meet_close(c) ? 0 : EPIPE;
    /* Release: what the closer did before; pairs with the acquire in weir__timer_take, and below. */
    if (c->flavor == WEIR__TIMER ? !weir__cas_rel(&c->closed, &open, 1)
                                 : !weir__ring_close(&c->ring, c->kind, weir__chan_mark_closed, c))
        return EPIPE;
    /* Whoever joins a queue from here on finds the ring closed in its last look; whoever joined before is woken. The queue's lock
     * decides which. */
    weir__waitq_wake(&c->receivers, WEIR__WAKE_ALL);
    weir__waitq_wake(&c->senders, WEIR__WAKE_ALL);
    return 0;
}

WEIR_API size_t weir__chan_len(weir__chan *c)
{
    return c == NULL || c->flavor != WEIR__BUFFER ? 0 : weir__ring_len(&c->ring, c->kind);
}

WEIR_API bool weir__chan_is_closed(weir__chan *c)
{
    if (c == NULL || c->flavor != WEIR__BUFFER)
        return c != NULL && weir__load_acq(&c->closed) != 0;
    return weir__ring_is_closed(&c->ring, c->kind);
}

#endif /* WEIR_CHAN_MAKE_IMPLEMENTED */

/* ==== weir/chan/stats.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_STATS_IMPLEMENTED)
#define WEIR_CHAN_STATS_IMPLEMENTED

static uint64_t weir__waitq_slept(weir__waitq *q)
{
    uint64_t slept;
    weir__lock_take(&q->lock);
    slept = q->slept;
    weir__lock_release(&q->lock);
    return slept;
}

WEIR_API int weir__chan_stats(weir__chan *c, weir_chan_tally *tally)
{
    memset(tally, 0, sizeof *tally);
    tally->name = weir__chan_name(c);
    if (c == NULL)
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    tally->cap = weir__chan_cap(c);
    tally->len = weir__chan_len(c);
    tally->closed = weir__chan_is_closed(c);
    if (c->flavor == WEIR__BUFFER)
        weir__ring_passed(&c->ring, c->kind, &tally->sent, &tally->received);
    tally->senders_asleep = weir__waitq_sleepers(&c->senders);
    tally->receivers_asleep = weir__waitq_sleepers(&c->receivers);
    tally->senders_slept = weir__waitq_slept(&c->senders);
    tally->receivers_slept = weir__waitq_slept(&c->receivers);
    return 0;
}

#endif /* WEIR_CHAN_STATS_IMPLEMENTED */

/* ==== weir/chan/promise.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_PROMISE_IMPLEMENTED)
#define WEIR_CHAN_PROMISE_IMPLEMENTED

WEIR_API int weir__promise_make(void *handle, size_t size, size_t extra, void *beside, const weir_chan_opt *opt)
{
    const size_t room = (size + 63) / 64 * 64;
    weir__chan *c;
    unsigned char *at;
    int rc;
    if (size > SIZE_MAX / 4)
        return EOVERFLOW;
    rc = weir__chan_make(handle, WEIR__MPMC, 1, room + extra,
                         opt); /* a ring of one, whose memory is all that is wanted of it */
    if (rc != 0)
        return rc;
    memcpy(&c, handle, sizeof c);
    c->flavor = WEIR__PROMISE;
    c->size = size;
    at = (unsigned char *)weir__promise_value(c) + room;
    memset(at, 0, extra);
    memcpy(beside, &at, sizeof at);
    return 0;
}

WEIR_API int weir__promise_take(weir__chan *c, void *dst)
{
    if (!weir__promise_done(c))
        return EAGAIN;
    if (dst != NULL && weir__promise_code(c) == 0)
        WEIR_COPY_OUT(dst, weir__promise_value(c), c->size);
    return 0;
}

WEIR_API bool weir__promise_begin(weir__chan *c)
{
    uint32_t pending = WEIR__PROMISE_PENDING;
    return weir__cas_acq(&c->closed, &pending, WEIR__PROMISE_SETTING);
}

WEIR_API void weir__promise_give_up(weir__chan *c)
{
    weir__store_rel(&c->closed, WEIR__PROMISE_PENDING);
}

WEIR_API void weir__promise_end(weir__chan *c, int code)
{
    weir__store_rlx(&c->due, (uint64_t)code);
    weir__store_rel(&c->closed, WEIR__PROMISE_DONE);
    /* No fence for a sleeper between join and its last look: the wake takes the queue's lock, which it has had before us, and is found, or has
     * after us, and sees DONE. */
    weir__waitq_wake(&c->receivers, WEIR__WAKE_ALL);
    weir__store_rel(&c->closed, WEIR__PROMISE_LEFT);
}

WEIR_API void weir__promise_await_left(weir__chan *c)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    for (;;) {
        const uint32_t state = weir__load_acq(&c->closed);
        if (state == WEIR__PROMISE_PENDING || state == WEIR__PROMISE_LEFT)
            return;
        weir__backoff_peer(&peer);
    }
}

#endif /* WEIR_CHAN_PROMISE_IMPLEMENTED */

/* ==== weir/chan/timer.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_TIMER_IMPLEMENTED)
#define WEIR_CHAN_TIMER_IMPLEMENTED

WEIR_API int weir__timer_make(weir_chan_core **handle, const weir_ns *elem, weir_ns ns, bool periodic)
{
    weir__chan *c;
    int rc;
    (void)elem;
    *handle = NULL;
    if (periodic && ns <= 0)
        return EINVAL;
    rc = weir__chan_make(handle, WEIR__MPMC, 0, sizeof(weir_ns), NULL);
    if (rc != 0)
        return rc;
    c = &(*handle)->chan;
    c->flavor = WEIR__TIMER;
    c->due = (uint64_t)weir_time_add(weir_now(), ns);
    c->period = periodic ? (uint64_t)ns : 0;
    return 0;
}

WEIR_API int weir__timer_take(weir__chan *c, weir_ns *dst)
{
    for (;;) {
        /* Acquire: pairs with the release in weir__timer_set, so the period is not older than due, and with that of another take: who finds the
         * value gone knows what its receiver did before (a try in a select needs that). */
        uint64_t due = weir__load_acq(&c->due), next = (uint64_t)WEIR_FOREVER;
        const uint64_t period = weir__load_rlx(&c->period);
        const weir_ns now = weir_now();
        if (weir__load_acq(&c->closed) != 0) /* acquire: what the closer did before */
            return EPIPE;
        if (now < (weir_ns)due)
            return EAGAIN;
        if (period != 0)
            next = due + ((uint64_t)now - due) / period * period + period;
        if (!weir__cas_rel(&c->due, &due, next))
            continue;
        if (dst != NULL)
            *dst = (weir_ns)due;
        return 0;
    }
}

/* Sets due, and has every sleeper look again: the time that it sleeps until is not right any more. A sleeper between join and its last look needs no
 * fence here: the wake takes the queue's lock, which it has had before us, and is found in the queue, or has after us, and sees due. */
static uint64_t weir__timer_set(weir__chan *c, weir_ns due)
{
    const uint64_t before =
        weir__swap_rel(&c->due, (uint64_t)due); /* release: the period, and what the caller did before */
    weir__waitq_wake(&c->receivers, WEIR__WAKE_ALL);
    return before;
}

WEIR_API int weir__timer_stop(weir__chan *c)
{
    if (c == NULL || c->flavor != WEIR__TIMER)
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    return weir__timer_set(c, WEIR_FOREVER) == (uint64_t)WEIR_FOREVER ? EAGAIN : 0;
}

WEIR_API int weir__timer_reset(weir__chan *c, weir_ns ns)
{
    if (c == NULL || c->flavor != WEIR__TIMER || (ns <= 0 && weir__load_rlx(&c->period) != 0))
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    if (weir__load_rlx(&c->period) != 0)
        weir__store_rlx(&c->period, (uint64_t)ns); /* due publishes it */
    (void)weir__timer_set(c, weir_time_add(weir_now(), ns));
    return 0;
}

#endif /* WEIR_CHAN_TIMER_IMPLEMENTED */

/* ==== weir/chan/op.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_OP_IMPLEMENTED)
#define WEIR_CHAN_OP_IMPLEMENTED

WEIR_API int weir__op_why(weir__chan *c, const weir__op *op)
{
    if (c->flavor == WEIR__TIMER) /* relaxed: a take looks for itself */
        return weir__load_rlx(&c->closed) != 0 ? EPIPE : weir_now() < weir__timer_due(c) ? EAGAIN : 0;
    if (c->flavor == WEIR__PROMISE)
        return weir__promise_done(c) ? 0 : EAGAIN;
    return weir__op_sends(op) ? weir__ring_why_full(&c->ring, c->kind, c->size)
                              : weir__ring_why_empty(&c->ring, c->kind, c->size);
}

WEIR_INLINE bool weir__op_move(weir__chan *c, weir__op *op, size_t size, int *rc)
{
    *rc = 0;
    switch (op->what) {
    case WEIR__OP_SEND: return weir__chan_push(c, c->kind, op->src, size, rc);
    case WEIR__OP_RECV: return weir__chan_pop(c, c->kind, op->dst, size, rc);
    case WEIR__OP_RESERVE: return weir__ring_reserve(&c->ring, c->kind, size, &op->claim);
    default: return weir__ring_claim_pop(&c->ring, c->kind, size, &op->claim);
    }
}

/* One try on a buffer. True: done, with *rc. Values of one word are the common case, and copied without a call. */
static bool weir__op_buffer(weir__chan *c, weir__op *op, int *rc)
{
    return c->size == sizeof(uint64_t) ? weir__op_move(c, op, sizeof(uint64_t), rc) : weir__op_move(c, op, c->size, rc);
}

WEIR_API WEIR_NOINLINE int weir__op_once(weir__chan *c, weir__op *op)
{
    int rc;
    if (c->flavor != WEIR__BUFFER) {
        if (op->what == WEIR__OP_RESERVE || op->what == WEIR__OP_PEEK)
            return ENOTSUP; /* there is no place to build in */
        if (c->flavor == WEIR__RENDEZVOUS)
            return weir__meet_try(c, weir__op_sends(op), op->src, op->dst);
        if (weir__op_sends(op))
            return EINVAL;
        return c->flavor == WEIR__PROMISE ? weir__promise_take(c, op->dst) : weir__timer_take(c, (weir_ns *)op->dst);
    }
    for (;;) {
        if (weir__op_buffer(c, op, &rc))
            return rc;
        rc = weir__op_why(c, op);
        if (rc != 0)
            return rc;
    }
}

#endif /* WEIR_CHAN_OP_IMPLEMENTED */

/* ==== weir/chan/wait.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_WAIT_IMPLEMENTED)
#define WEIR_CHAN_WAIT_IMPLEMENTED

WEIR_API void weir__op_pass_on(weir__chan *c, const weir__op *op)
{
    weir__waitq *q = weir__op_queue(c, op);
    int why;
    if (weir__waitq_sleepers(q) == 0)
        return;
    why = weir__op_why(c, op);
    if (why == 0 || why == EPIPE)
        weir__waitq_wake(q, 1);
}

/* Sleeps once. Returns whether a wake-up is owed from now on; `owes`: whether it was before. */
static bool weir__op_park(weir__chan *c, const weir__op *op, weir__wait *w, bool owes)
{
    weir__waitq *q = weir__op_queue(c, op);
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__waiter node;
    int why;
    weir__waiter_init(&node, &parker, WEIR__TICKET_QUEUE);
    weir__waitq_join(q, &node);
    WEIR_FENCE_HEAVY(); /* (A) pairs with (B) in weir__chan_sent and weir__chan_received */
    why = weir__op_why(c, op);
    if (why == EAGAIN || why == WEIR__BUSY) {
        owes = false; /* not ready: whoever makes it ready sees us */
        WEIR_HOOK("parking");
        (void)weir__wait_parked(w, &parker, WEIR_WAIT_PARK,
                                c->flavor == WEIR__TIMER ? weir__timer_due(c) : WEIR_FOREVER);
    }
    weir__waitq_leave(q, &node);
    w->backoff.turn = 0;
    return owes || weir__load_rlx(&parker.state) == WEIR__TICKET_QUEUE; /* relaxed: nobody knows of it any more */
}

/* A few turns of a spin that only try. True: done, with *rc.
 *
 * Asking why a try failed means reading the other end's position, whose cache line that end is about to write: asked in every turn it
 * halved the throughput of one producer and one consumer.
 *
 * A ring that is ready again after the first pause is not a ring that is waited for: the peer runs at full speed, and we have caught
 * up with it. Taking its values one by one as they appear makes both wait for the same cache line each time: 37 million values a second
 * where 150 would do. So then we let it get WEIR_BURST_TURNS ahead first. A peer that answers, as in a round trip, needs
 * longer than the first pause, and is not delayed. Not under WEIR_WAIT_SPIN, whose user wants each value at once. */
static bool weir__op_spin(weir__chan *c, weir__op *op, weir__backoff *b, int *rc)
{
    enum { TURNS = 16 };
    if (c->flavor != WEIR__BUFFER || weir__load_rlx(&c->ring.state) == WEIR__RING_OPEN_SYMMETRIC)
        return false; /* the second shows new values only to those who ask why (ring/base.h) */
    for (int i = 0; i < TURNS && weir__backoff_spinning(b); i++) {
        const bool first = b->turn == 0 && b->strategy != WEIR_WAIT_SPIN;
        (void)weir__backoff_turn(b);
        if (first && weir__ring_ready(&c->ring, c->kind, c->size, weir__op_sends(op)))
            weir__backoff_burst();
        if (weir__op_buffer(c, op, rc))
            return true;
    }
    return false;
}

WEIR_API WEIR_NOINLINE int weir__op_wait(weir_ctx *ctx, weir__chan *c, weir__op *op, weir_ns deadline)
{
    weir__wait w;
    bool owes = false;
    int rc;
    weir__wait_init(&w, ctx, deadline, c != NULL ? c->wait : WEIR_WAIT_PARK);
    if (c == NULL)
        return weir__wait_end(&w);
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    weir__wait_label(&w, weir__op_sends(op) ? "send" : "recv", c->name);
    for (;;) {
        if (weir__op_spin(c, op, &w.backoff, &rc))
            break;
        rc = weir__op_once(c, op);
        if (rc != EAGAIN && rc != WEIR__BUSY)
            break;
        rc = weir__wait_over(&w);
        if (rc != 0)
            break;
        if (!weir__backoff_turn(&w.backoff))
            owes = weir__op_park(c, op, &w, owes);
    }
    if (owes)
        weir__op_pass_on(c, op);
    return rc;
}

WEIR_API WEIR_NOINLINE int weir__op_try(weir__chan *c, weir__op *op)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    int rc;
    if (c == NULL)
        return EAGAIN;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    while ((rc = weir__op_once(c, op)) == WEIR__BUSY)
        weir__backoff_peer(&b);
    return rc;
}

WEIR_API WEIR_NOINLINE int weir__send_slow(weir_ctx *ctx, weir__chan *c, const void *src, weir_ns deadline)
{
    weir__op op = {WEIR__OP_SEND, src, NULL, {NULL, 0}};
    if (c != NULL && c->flavor == WEIR__RENDEZVOUS)
        return weir__meet_send(ctx, c, src, deadline);
    return weir__op_wait(ctx, c, &op, deadline);
}

WEIR_API WEIR_NOINLINE int weir__recv_slow(weir_ctx *ctx, weir__chan *c, void *dst, weir_ns deadline)
{
    weir__op op = {WEIR__OP_RECV, NULL, dst, {NULL, 0}};
    if (c != NULL && c->flavor == WEIR__RENDEZVOUS)
        return weir__meet_recv(ctx, c, dst, deadline);
    return weir__op_wait(ctx, c, &op, deadline);
}

WEIR_API WEIR_NOINLINE int weir__try_send_slow(weir__chan *c, const void *src)
{
    weir__op op = {WEIR__OP_SEND, src, NULL, {NULL, 0}};
    return weir__op_try(c, &op);
}

WEIR_API WEIR_NOINLINE int weir__try_recv_slow(weir__chan *c, void *dst)
{
    weir__op op = {WEIR__OP_RECV, NULL, dst, {NULL, 0}};
    return weir__op_try(c, &op);
}

#endif /* WEIR_CHAN_WAIT_IMPLEMENTED */

/* ==== weir/chan/case.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_CASE_IMPLEMENTED)
#define WEIR_CHAN_CASE_IMPLEMENTED

WEIR_API bool weir__case_try(weir_case *c, bool *busy)
{
    weir__op op = weir__case_op(c);
    int rc;
    if (c->what == WEIR__CASE_DONE)
        return (c->status = weir_ctx_err(c->ctx)) != 0;
    if (c->chan == NULL)
        return false;
    rc = weir__op_once(c->chan, &op);
    if (rc == WEIR__BUSY)
        *busy = true;
    if (rc == EAGAIN || rc == WEIR__BUSY)
        return false;
    c->status = c->chan->flavor == WEIR__PROMISE ? weir__promise_code(c->chan) : rc;
    return true;
}

WEIR_API uint64_t weir__case_seen(const weir_case *c)
{
    if (c->chan != NULL && c->chan->flavor == WEIR__TIMER)
        return (uint64_t)weir__timer_due(c->chan);
    if (c->chan == NULL)
        return 0;
    if (c->chan->flavor == WEIR__PROMISE)
        return weir__promise_done(c->chan);
    if (c->chan->flavor == WEIR__RENDEZVOUS)
        return weir__load_acq(&c->chan->lane.word);
    return weir__ring_touched(&c->chan->ring, c->chan->kind, c->what == WEIR__CASE_SEND);
}

WEIR_API bool weir__case_due(const weir_case *c, weir_ns now)
{
    if (c->what == WEIR__CASE_DONE)
        return weir__ctx_ended(c->ctx) != 0 ||
               (weir_ctx_deadline(c->ctx) != WEIR_FOREVER && now >= weir_ctx_deadline(c->ctx));
    return c->chan != NULL && c->chan->flavor == WEIR__TIMER &&
           (weir__load_rlx(&c->chan->closed) != 0 ||
            now >= weir__timer_due(c->chan)); /* relaxed: the case is tried anew */
}

#endif /* WEIR_CHAN_CASE_IMPLEMENTED */

/* ==== weir/chan/select.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_SELECT_IMPLEMENTED)
#define WEIR_CHAN_SELECT_IMPLEMENTED


#include <limits.h>

#define WEIR__SELECT_INLINE 64
/* Inside, an index or one of these. */
#define WEIR__SELECT_NONE (-1)
#define WEIR__SELECT_BUSY (-2)

enum { WEIR__TICKET_CASE = WEIR__TICKET_QUEUE + 1 }; /* + index */

/* What a select keeps per case. */
typedef struct weir__select_slot {
    weir__waiter node;
    uint64_t seen; /* try: the position that shows whether the channel was touched */
    /* [0, meet_count): the rendezvous channels among the cases, each once, in the order of their addresses */
    weir__chan *meets;
} weir__select_slot;

typedef struct weir__select {
    weir_case *cases;
    size_t n;
    bool ordered;
    bool sorted; /* meets is filled */
    bool timed;  /* try: a timer or a context is among the cases */
    /* the last look before sleeping found a case ready: if it still cannot be done, a peer stands in the middle of it */
    bool hasty;
    size_t meet_count;
    size_t owed; /* the case whose queue spent a wake-up on us, or n */
    weir__select_slot *slots;
    /* the permutation in which cases are tried; apart from the slots, which a ready select never touches */
    uint32_t *order;
    weir__parker parker;
} weir__select;

/* ---- trying ---------------------------------------------------------------------------------------------------------------- */

/* The next case to try: in order, or drawn from those not tried yet. A permutation is drawn only as far as it is used. */
static size_t weir__select_draw(weir__select *s, size_t turn)
{
    size_t other;
    uint32_t drawn;
    if (s->ordered)
        return turn;
    other = turn + weir__random_below((uint32_t)(s->n - turn));
    drawn = s->order[other];
    s->order[other] = s->order[turn];
    s->order[turn] = drawn;
    return drawn;
}

static int weir__select_poll(weir__select *s)
{
    bool busy = false;
    for (size_t turn = 0; turn < s->n; turn++) {
        const size_t i = weir__select_draw(s, turn);
        if (weir__case_try(&s->cases[i], &busy))
            return (int)i;
    }
    return busy ? WEIR__SELECT_BUSY : WEIR__SELECT_NONE;
}

/* ---- rendezvous channels, all locked at once --------------------------------------------------------------------------------- */

static void weir__select_sort(weir__select *s)
{
    size_t n = 0;
    if (s->sorted)
        return;
    s->sorted = true;
    for (size_t i = 0; i < s->n; i++) {
        weir__chan *c = s->cases[i].chan;
        size_t low = 0, high = n;
        if (!weir__case_meets(&s->cases[i]))
            continue;
        while (low < high) { /* the first that does not come before c */
            const size_t middle = low + (high - low) / 2;
            if ((uintptr_t)s->slots[middle].meets < (uintptr_t)c)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < n && s->slots[low].meets == c)
            continue;
        for (size_t k = n++; k > low; k--)
            s->slots[k].meets = s->slots[k - 1].meets;
        s->slots[low].meets = c;
    }
    s->meet_count = n;
}

static void weir__select_lock(weir__select *s)
{
    weir__select_sort(s);
    for (size_t i = 0; i < s->meet_count; i++)
        weir__lock_take(weir__meet_lock(s->slots[i].meets));
}

static void weir__select_unlock(weir__select *s)
{
    for (size_t i = 0; i < s->meet_count; i++)
        weir__lock_release(weir__meet_lock(s->slots[i].meets));
}

/* All locked: meets whoever waits at one of them. An index, with *wake, or NONE. */
static int weir__select_meet(weir__select *s, weir__atomic_u32 **wake)
{
    *wake = NULL;
    for (size_t turn = 0; s->meet_count > 0 && turn < s->n; turn++) {
        const size_t i = weir__select_draw(s, turn);
        weir_case *c = &s->cases[i];
        int rc;
        if (!weir__case_meets(c))
            continue;
        rc = weir__meet_exchange(c->chan, c->what == WEIR__CASE_SEND, c->src, c->dst, wake);
        if (rc != EAGAIN) {
            c->status = rc;
            return (int)i;
        }
    }
    return WEIR__SELECT_NONE;
}

/* ---- parking --------------------------------------------------------------------------------------------------------------- */

/* Lies down in the queue of every case. All rendezvous channels are locked. In the order of the last poll, which drew it whole: of two
 * cases on one rendezvous, a peer meets the one that lies in front. */
static void weir__select_join(weir__select *s)
{
    for (size_t turn = 0; turn < s->n; turn++) {
        const size_t i = s->order[turn];
        weir_case *c = &s->cases[i];
        weir__waiter *node = &s->slots[i].node;
        const weir__op op = weir__case_op(c);
        weir__waiter_init(node, &s->parker, WEIR__TICKET_CASE + (uint32_t)i);
        node->src = c->src;
        node->dst = c->dst;
        if (c->what == WEIR__CASE_DONE && c->ctx != NULL)
            (void)weir__ctx_watch(c->ctx, node);
        else if (weir__case_meets(c))
            weir__meet_link(c->chan, c->what == WEIR__CASE_SEND, node, false);
        else if (c->chan != NULL)
            weir__waitq_join(weir__op_queue(c->chan, &op), node);
    }
}

static void weir__select_leave(weir__select *s)
{
    for (size_t i = 0; i < s->n; i++) {
        weir_case *c = &s->cases[i];
        weir__waiter *node = &s->slots[i].node;
        const weir__op op = weir__case_op(c);
        if (c->what == WEIR__CASE_DONE && c->ctx != NULL) {
            weir__ctx_unwatch(c->ctx, node);
        } else if (weir__case_meets(c)) {
            weir__lock_take(weir__meet_lock(c->chan));
            weir__meet_unlink(c->chan, c->what == WEIR__CASE_SEND, node);
            weir__lock_release(weir__meet_lock(c->chan));
        } else if (c->chan != NULL) {
            weir__waitq_leave(weir__op_queue(c->chan, &op), node);
        }
    }
}

/* The last look, after (A): whether a buffer, a timer or a context is ready, or a peer waits in the lane of a rendezvous (where (A) is (E),
 * chan/lane.h; those that come to its queues find us by themselves). *until: when the first timer or context will be. */
static bool weir__select_ready(weir__select *s, weir_ns *until)
{
    *until = WEIR_FOREVER;
    for (size_t i = 0; i < s->n; i++) {
        const weir_case *c = &s->cases[i];
        const weir__op op = weir__case_op(c);
        weir_ns point = WEIR_FOREVER;
        if (c->what == WEIR__CASE_DONE) {
            if (weir_ctx_err(c->ctx) != 0)
                return true;
            point = weir_ctx_deadline(c->ctx);
        } else if (weir__case_meets(c)) {
            if (weir__lane_there(c->chan, c->what == WEIR__CASE_SEND))
                return true;
        } else if (c->chan != NULL) {
            const int why = weir__op_why(c->chan, &op);
            if (why == 0 || why == EPIPE)
                return true;
            if (c->chan->flavor == WEIR__TIMER)
                point = weir__timer_due(c->chan);
        }
        if (point < *until)
            *until = point;
    }
    return false;
}

/* What a claimed or cancelled parker means: the index of an exchange that is done, or NONE: poll again. */
static int weir__select_woken(weir__select *s, uint32_t ticket)
{
    size_t i;
    if (ticket < WEIR__TICKET_CASE || ticket == WEIR__PARKER_CANCELLED)
        return WEIR__SELECT_NONE;
    i = ticket - WEIR__TICKET_CASE;
    if (weir__case_meets(&s->cases[i])) {
        s->cases[i].status = s->slots[i].node.status;
        return (int)i;
    }
    if (s->cases[i].chan != NULL)
        s->owed = i;
    return WEIR__SELECT_NONE;
}

static int weir__select_park(weir__select *s, weir__wait *w, int strategy)
{
    weir__atomic_u32 *wake;
    weir_ns until;
    uint32_t ticket;
    int done;
    s->parker.state = WEIR__PARKER_WAITING;
    WEIR_HOOK("looking again");
    weir__select_lock(s);
    done = weir__select_meet(s, &wake);
    if (done == WEIR__SELECT_NONE) {
        WEIR_HOOK("lying down");
        weir__select_join(s);
    }
    weir__select_unlock(s);
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
    if (done != WEIR__SELECT_NONE)
        return done;
    WEIR_FENCE_HEAVY(); /* (A) pairs with (B) in weir__chan_sent and weir__chan_received */
    s->hasty = weir__select_ready(s, &until);
    if (!s->hasty) {
        s->owed = s->n; /* chan/wait.h: whoever makes a channel ready from here on sees us */
        WEIR_HOOK("parking");
        ticket = weir__wait_parked(w, &s->parker, strategy, until);
    } else if (weir__parker_cancel(&s->parker)) {
        ticket = WEIR__PARKER_CANCELLED;
    } else {
        weir__wait claimed;
        weir__wait_init(&claimed, NULL, WEIR_FOREVER, WEIR_WAIT_YIELD);
        ticket = weir__wait_parked(&claimed, &s->parker, WEIR_WAIT_YIELD, WEIR_FOREVER); /* until its peer has let go */
    }
    weir__select_leave(s);
    w->backoff.turn = 0;
    return weir__select_woken(s, ticket);
}

/* ---- the loop -------------------------------------------------------------------------------------------------------------- */

/* How to wait: the strategy of the first channel. *polls: whether to try the cases in turn before lying down. With a rendezvous
 * among the cases one lies down at once and spins there: two selects that only poll would never meet. */
static int weir__select_strategy(const weir__select *s, bool *polls)
{
    int strategy = -1;
    *polls = true;
    for (size_t i = 0; i < s->n; i++) {
        const weir__chan *c = s->cases[i].chan;
        if (c == NULL)
            continue;
        if (strategy < 0)
            strategy = c->wait;
        if (c->flavor == WEIR__RENDEZVOUS)
            *polls = false;
    }
    return strategy < 0 ? WEIR_WAIT_PARK : strategy;
}

static int weir__select_wait(weir__select *s, weir_ctx *ctx, weir_ns deadline)
{
    bool polls;
    const int strategy = weir__select_strategy(s, &polls);
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    weir__wait w;
    int done;
    weir__wait_init(&w, ctx, deadline, polls ? strategy : WEIR_WAIT_PARK);
    weir__wait_label(&w, "select", s->n > 0 && s->cases[0].chan != NULL ? s->cases[0].chan->name : NULL);
    for (;;) {
        int over;
        done = weir__select_poll(s);
        if (done >= 0)
            return done;
        over = weir__wait_over(&w);
        if (over != 0)
            return -over;
        if (s->hasty)
            weir__backoff_peer(&peer); /* which may have lost its core to us */
        else if (weir__backoff_turn(&w.backoff))
            continue;
        done = weir__select_park(s, &w, polls ? WEIR_WAIT_PARK : strategy);
        if (done >= 0)
            return done;
    }
}

/* One attempt at "no case is ready, at one moment": an index, NONE if that was shown, BUSY if it was not. */
static int weir__select_try_once(weir__select *s)
{
    weir__atomic_u32 *wake;
    bool still = true;
    weir_ns now;
    int done;
    for (size_t i = 0; i < s->n; i++)
        s->slots[i].seen = weir__case_seen(&s->cases[i]);
    done = weir__select_poll(s);
    if (done != WEIR__SELECT_NONE || s->n < 2)
        return done;
    WEIR_HOOK("looking again");
    weir__select_lock(s);
    done = weir__select_meet(s, &wake);
    now = s->timed ? weir_now() : 0; /* the moment: no case is ready now */
    for (size_t i = 0; s->timed && done == WEIR__SELECT_NONE && still && i < s->n; i++)
        still = !weir__case_due(&s->cases[i], now);
    for (size_t i = 0; done == WEIR__SELECT_NONE && still && i < s->n; i++)
        still = weir__case_seen(&s->cases[i]) == s->slots[i].seen;
    weir__select_unlock(s);
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
    return done == WEIR__SELECT_NONE && !still ? WEIR__SELECT_BUSY : done;
}

static int weir__select_try(weir__select *s)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    int done;
    for (size_t i = 0; i < s->n && !s->timed; i++)
        s->timed = weir__case_timed(&s->cases[i]);
    while ((done = weir__select_try_once(s)) == WEIR__SELECT_BUSY)
        weir__backoff_peer(&b);
    return done >= 0 ? done : -EAGAIN;
}

WEIR_API size_t weir__select_bytes(size_t n)
{
    return n <= WEIR__SELECT_INLINE ? 0 : n * (sizeof(weir__select_slot) + sizeof(uint32_t));
}

/* All calls. wait false: try. memory: NULL, or the caller's for more than the usual number of cases. */
static int weir__select_run(weir_ctx *ctx, weir_case *cases, size_t n, weir_ns deadline, bool wait, bool ordered,
                            void *memory)
{
    weir__select_slot fixed[WEIR__SELECT_INLINE];
    uint32_t fixed_order[WEIR__SELECT_INLINE];
    weir__select s;
    int done;
    if (n > INT_MAX / (2 * sizeof *fixed) || (cases == NULL && n > 0))
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (cases[i].chan == NULL)
            continue; /* WEIR_DONE, or a channel that is never ready */
        if (cases[i].what == WEIR__CASE_SEND && cases[i].chan->flavor == WEIR__TIMER)
            return -EINVAL;
        if (weir__chan_inherited(cases[i].chan))
            return -ENOTRECOVERABLE;
    }
    memset(&s, 0, sizeof s);
    s.cases = cases;
    s.n = s.owed = n;
    s.ordered = ordered;
    s.slots = fixed;
    s.order = fixed_order;
    if (n > WEIR__SELECT_INLINE) {
        s.slots =
            (weir__select_slot *)(memory != NULL ? memory : WEIR_ALLOC(sizeof(uint64_t) * 2, weir__select_bytes(n)));
        if (s.slots == NULL)
            return -ENOMEM;
        s.order = (uint32_t *)(void *)(s.slots + n);
    }
    for (size_t i = 0; i < n; i++)
        s.order[i] = (uint32_t)i;
    done = wait ? weir__select_wait(&s, ctx, deadline) : weir__select_try(&s);
    if (s.owed < n) { /* whether that case was done or another: there may be a value for the next sleeper */
        const weir__op op = weir__case_op(&cases[s.owed]);
        weir__op_pass_on(cases[s.owed].chan, &op);
    }
    if (s.slots != fixed && memory == NULL)
        WEIR_FREE(s.slots);
    return done;
}

WEIR_API int weir__select_in(weir_ctx *ctx, weir_case *cases, size_t n, void *memory)
{
    return weir__select_run(ctx, cases, n, WEIR_FOREVER, true, false, memory);
}

WEIR_API int weir_select(weir_ctx *ctx, weir_case *cases, size_t n)
{
    return weir__select_run(ctx, cases, n, WEIR_FOREVER, true, false, NULL);
}

WEIR_API int weir_select_until(weir_ctx *ctx, weir_case *cases, size_t n, weir_ns deadline)
{
    return weir__select_run(ctx, cases, n, deadline, true, false, NULL);
}

WEIR_API int weir_select_ordered(weir_ctx *ctx, weir_case *cases, size_t n)
{
    return weir__select_run(ctx, cases, n, WEIR_FOREVER, true, true, NULL);
}

WEIR_API int weir_try_select(weir_case *cases, size_t n)
{
    return weir__select_run(NULL, cases, n, WEIR_FOREVER, false, false, NULL);
}

#endif /* WEIR_CHAN_SELECT_IMPLEMENTED */

/* ==== weir/sync/line.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_SYNC_LINE_IMPLEMENTED)
#define WEIR_SYNC_LINE_IMPLEMENTED

WEIR_API int weir__list_wait(weir__lock *lock, weir__waiter_list *list, weir__waiter *node, weir__wait *w)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    uint32_t ticket;
    int status;
    weir__waiter_init(node, &parker, WEIR__TICKET_QUEUE);
    weir__waiter_link(list, node);
    weir__lock_release(lock);
    ticket = weir__wait_parked(w, &parker, w->backoff.strategy, WEIR_FOREVER);
    /* A deadline that has passed ends the context, whose hooks may want this lock. */
    status = ticket == WEIR__TICKET_QUEUE ? 0 : weir__wait_ended(w);
    weir__lock_take(lock);
    if (ticket == WEIR__TICKET_QUEUE)
        return node->status;
    if (node->linked)
        weir__waiter_unlink(list, node);
    return status;
}

static void weir__line_wake(weir__line_wakes *wakes)
{
    while (wakes->count > 0)
        WEIR_FUTEX_WAKE(wakes->futex[--wakes->count], 1);
}

WEIR_API bool weir__list_pick(weir__waiter_list *list, weir__waiter *node, int status, weir__line_wakes *wakes)
{
    weir__atomic_u32 *wake;
    weir__waiter_unlink(list, node);
    node->status = status; /* before the claim, which publishes it */
    if (!weir__parker_claim(node->parker, node->ticket, &wake))
        return false;
    if (wake == NULL)
        return true;
    if (wakes->count == sizeof wakes->futex / sizeof wakes->futex[0])
        weir__line_wake(wakes);
    wakes->futex[wakes->count++] = wake;
    return true;
}

WEIR_API bool weir__list_call(weir__waiter_list *list, int status, weir__line_wakes *wakes)
{
    while (list->first != NULL)
        if (weir__list_pick(list, list->first, status, wakes))
            return true;
    return false;
}

WEIR_API void weir__list_call_all(weir__waiter_list *list, int status, weir__line_wakes *wakes)
{
    while (weir__list_call(list, status, wakes)) {}
}

WEIR_API void weir__line_release(weir__lock *lock, weir__line_wakes *wakes)
{
    weir__lock_release(lock);
    weir__line_wake(wakes);
}

#endif /* WEIR_SYNC_LINE_IMPLEMENTED */

/* ==== weir/sync/once.h: implementation ==== */

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

/* ==== weir/sync/waitgroup.h: implementation ==== */

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

/* ==== weir/sync/sem.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_SYNC_SEM_IMPLEMENTED)
#define WEIR_SYNC_SEM_IMPLEMENTED

typedef struct weir__sem_request {
    weir__waiter node; /* first */
    int64_t n;
} weir__sem_request;

WEIR_API int weir_sem_init(weir_sem *sem, int64_t size)
{
    if (size < 0 || size > WEIR_SEM_MAX)
        return EINVAL;
    memset(sem, 0, sizeof *sem);
    sem->word = (uint64_t)size << 33 | (uint64_t)size;
    return 0;
}

WEIR_API int64_t weir_sem_available(weir_sem *sem)
{
    return weir__sem_free(weir__load_rlx(&sem->word)); /* relaxed: a number */
}

WEIR_API int64_t weir_sem_size(weir_sem *sem)
{
    return weir__sem_size(weir__load_rlx(&sem->word));
}

/* Locked, the bit set: serves the head as long as it fits, and clears the bit when nobody is left. Release, in the store: pairs with the acquire of
 * those who come after; what they wait for was seen under the lock. */
static void weir__sem_serve(weir_sem *sem, uint64_t word, weir__line_wakes *wakes)
{
    weir__waiter *head;
    while ((head = sem->line.list.first) != NULL) {
        const int64_t n = ((weir__sem_request *)(void *)head)->n;
        if (n > weir__sem_free(word))
            break;
        if (weir__list_pick(&sem->line.list, head, 0, wakes))
            word = weir__sem_with(word, weir__sem_free(word) - n);
    }
    weir__store_rel(&sem->word, head != NULL ? word : word & ~WEIR__SEM_WAITED);
}

/* Locked: takes the bit, if it is not set already. From here until weir__sem_serve the word is the caller's. Returns it. Acquire: from those who
 * released without the lock. */
static uint64_t weir__sem_own(weir_sem *sem)
{
    uint64_t word = weir__load_rlx(&sem->word);
    while ((word & WEIR__SEM_WAITED) == 0 && !weir__cas_acq(&sem->word, &word, word | WEIR__SEM_WAITED)) {}
    return word | WEIR__SEM_WAITED;
}

static uint64_t weir__sem_lock(weir_sem *sem)
{
    weir__lock_take(&sem->line.lock);
    return weir__sem_own(sem);
}

WEIR_API int weir__sem_release_slow(weir_sem *sem, int64_t n)
{
    weir__line_wakes wakes;
    uint64_t word = weir__sem_lock(sem);
    const bool fits = n <= weir__sem_size(word) - weir__sem_free(word);
    wakes.count = 0;
    weir__sem_serve(sem, fits ? weir__sem_with(word, weir__sem_free(word) + n) : word, &wakes);
    weir__line_release(&sem->line.lock, &wakes);
    return fits ? 0 : EINVAL;
}

WEIR_API int weir__sem_acquire_slow(weir_ctx *ctx, weir_sem *sem, int64_t n, weir_ns deadline)
{
    weir__sem_request request;
    weir__line_wakes wakes;
    weir__wait w;
    uint64_t word = weir__sem_lock(sem);
    int rc = 0;
    wakes.count = 0;
    if (n > weir__sem_size(word)) {
        rc = EINVAL;
        weir__sem_serve(sem, word, &wakes);
    } else if (sem->line.list.first == NULL && n <= weir__sem_free(word)) { /* freed meanwhile */
        weir__sem_serve(sem, weir__sem_with(word, weir__sem_free(word) - n), &wakes);
    } else {
        weir__wait_init(&w, ctx, deadline, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "semaphore", NULL);
        request.n = n;
        rc = weir__line_wait(&sem->line, &request.node, &w);
        if (rc == ECANCELED || rc == ETIMEDOUT)
            weir__sem_serve(sem, weir__sem_own(sem), &wakes); /* it may have been the head */
    }
    weir__line_release(&sem->line.lock, &wakes);
    if (rc == 0 && ctx != NULL && (rc = weir_ctx_err(ctx)) != 0)
        (void)weir_sem_release(sem, n); /* it ended while the grant was under way */
    return rc;
}

WEIR_API int weir_sem_resize(weir_sem *sem, int64_t size)
{
    weir__line_wakes wakes;
    uint64_t word;
    if (size < 0 || size > WEIR_SEM_MAX)
        return EINVAL;
    wakes.count = 0;
    word = weir__sem_lock(sem);
    for (weir__waiter *at = sem->line.list.first, *next; at != NULL; at = next) {
        next = at->next;
        if (((weir__sem_request *)(void *)at)->n > size)
            (void)weir__list_pick(&sem->line.list, at, EINVAL,
                                  &wakes); /* also behind the head: it could never be served */
    }
    word = weir__sem_with((uint64_t)size << 33 | WEIR__SEM_WAITED, weir__sem_free(word) + size - weir__sem_size(word));
    weir__sem_serve(sem, word, &wakes);
    weir__line_release(&sem->line.lock, &wakes);
    return 0;
}

#endif /* WEIR_SYNC_SEM_IMPLEMENTED */

/* ==== weir/obs/hist.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_HIST_IMPLEMENTED)
#define WEIR_OBS_HIST_IMPLEMENTED

WEIR_API void weir_hist_init(weir_hist *h)
{
    memset(h, 0, sizeof *h);
}

WEIR_API void weir_hist_merge(weir_hist *into, weir_hist *from)
{
    for (size_t i = 0; i < WEIR__HIST_BUCKETS; i++) {
        const uint64_t n = weir__load_rlx(&from->counts[i]);
        if (n != 0)
            (void)weir__add_rlx(&into->counts[i], n);
    }
    weir__hist_raise(into, weir__load_rlx(&from->max));
}

/* The smallest value of a bucket. */
static uint64_t weir__hist_low(size_t bucket)
{
    unsigned power;
    if (bucket < 2 * WEIR__HIST_HALF)
        return bucket;
    power = (unsigned)(bucket >> WEIR__HIST_HALF_BITS) - 1;
    return (bucket - power * WEIR__HIST_HALF) << power;
}

/* The middle of a bucket. */
static uint64_t weir__hist_value(size_t bucket)
{
    const unsigned power = bucket < 2 * WEIR__HIST_HALF ? 0 : (unsigned)(bucket >> WEIR__HIST_HALF_BITS) - 1;
    return weir__hist_low(bucket) + (((uint64_t)1 << power) >> 1);
}

WEIR_API void weir_hist_record_corrected(weir_hist *h, weir_ns value, weir_ns interval)
{
    weir_hist_record(h, value);
    if (interval <= 0 || value <= interval)
        return;
    for (weir_ns left = value - interval; left >= interval;) {
        const size_t bucket = weir__hist_bucket((uint64_t)left);
        /* Of those that are left, so many lie in this bucket. None is below the interval: the bucket would be wider than that. */
        const weir_ns n = (left - (weir_ns)weir__hist_low(bucket)) / interval + 1;
        (void)weir__add_rlx(&h->counts[bucket], (uint64_t)n);
        left -= n * interval;
    }
}

WEIR_API uint64_t weir_hist_count(weir_hist *h)
{
    uint64_t total = 0;
    for (size_t i = 0; i < WEIR__HIST_BUCKETS; i++)
        total += weir__load_rlx(&h->counts[i]);
    return total;
}

WEIR_API weir_ns weir_hist_max(weir_hist *h)
{
    return (weir_ns)weir__load_rlx(&h->max);
}

WEIR_API uint64_t weir_hist_count_to(weir_hist *h, weir_ns value)
{
    const size_t last = value >= 0 ? weir__hist_bucket((uint64_t)value) : 0;
    uint64_t total = 0;
    for (size_t i = 0; value >= 0 && i <= last; i++)
        total += weir__load_rlx(&h->counts[i]);
    return total;
}

WEIR_API double weir_hist_sum(weir_hist *h)
{
    double sum = 0;
    for (size_t i = 0; i < WEIR__HIST_BUCKETS; i++)
        sum += (double)weir__load_rlx(&h->counts[i]) * (double)weir__hist_value(i);
    return sum;
}

WEIR_API weir_ns weir_hist_percentile(weir_hist *h, double percent)
{
    const uint64_t total = weir_hist_count(h), max = weir__load_rlx(&h->max);
    uint64_t rank, seen = 0;
    double exact = (double)total * percent / 100;
    if (total == 0)
        return 0;
    if (percent >= 100)
        return (weir_ns)max;
    rank = exact > 1 ? (uint64_t)exact : 1;
    if ((double)rank < exact)
        rank++; /* the smallest rank that covers the share */
    for (size_t i = 0; i < WEIR__HIST_BUCKETS - 1; i++) {
        seen += weir__load_rlx(&h->counts[i]);
        if (seen >= rank) {
            const uint64_t value = weir__hist_value(i);
            return (weir_ns)(value < max ? value : max);
        }
    }
    return (weir_ns)max;
}

#endif /* WEIR_OBS_HIST_IMPLEMENTED */

/* ==== weir/obs/text.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_TEXT_IMPLEMENTED)
#define WEIR_OBS_TEXT_IMPLEMENTED

#include <stdlib.h>

WEIR_API void weir__text_init(weir__text *t, FILE *file, char *to, size_t size)
{
    memset(t, 0, sizeof *t);
    t->file = file;
    t->to = to;
    t->size = size;
    if (size > 0)
        to[0] = 0;
}

WEIR_API void weir__text_put(weir__text *t, const char *bytes, size_t n)
{
    const size_t at = t->needed;
    t->needed += n;
    if (t->file != NULL) {
        if (fwrite(bytes, 1, n, t->file) != n)
            t->failed = true;
    } else if (at < t->size) {
        const size_t fits = n < t->size - 1 - at ? n : t->size - 1 - at;
        memcpy(t->to + at, bytes, fits);
        t->to[at + fits] = 0;
    }
}

WEIR_API void weir__text_string(weir__text *t, const char *s)
{
    weir__text_put(t, s, strlen(s));
}

WEIR_API void weir__text_u64(weir__text *t, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;
    do {
        digits[--n] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    weir__text_put(t, digits + n, sizeof digits - n);
}

WEIR_API void weir__text_double(weir__text *t, double value)
{
    char text[64], point = 0;
    const double none = value - value; /* 0, or not a number */
    if (none != none) {
        weir__text_string(t, value != value ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 15;; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (digits == 17 || strtod(text, NULL) - value == 0) /* in the same locale */
            break;
    }
    for (const char *c = text; *c != 0; c++)
        if ((*c >= '0' && *c <= '9') || *c == 'e' || *c == '+' || *c == '-') {
            weir__text_put(t, c, 1);
        } else if (point == 0) {
            point = '.';
            weir__text_put(t, &point, 1);
        }
}

/* The bytes of the character that begins here, before the end of s; 0: none does. Source: the Unicode Standard, table 3-7: no overlong
 * forms, no surrogates. */
static size_t weir__text_character(const char *s)
{
    const unsigned char lead = (unsigned char)s[0], second = (unsigned char)s[1];
    const size_t n = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (n < 2)
        return n;
    if (second < (lead == 0xE0   ? 0xA0
                  : lead == 0xF0 ? 0x90
                                 : 0x80) ||
        second > (lead == 0xED   ? 0x9F
                  : lead == 0xF4 ? 0x8F
                                 : 0xBF))
        return 0;
    for (size_t i = 2; i < n; i++) /* a 0 ends it, too */
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

WEIR_API void weir__text_escaped(weir__text *t, const char *s, void (*ascii)(weir__text *t, char c))
{
    while (*s != 0) {
        const size_t n = weir__text_character(s);
        if (n == 1)
            ascii(t, *s);
        else if (n > 1)
            weir__text_put(t, s, n);
        else
            weir__text_string(t, "\xEF\xBF\xBD");
        s += n > 0 ? n : 1;
    }
}

WEIR_API int weir__text_end(weir__text *t)
{
    if (t->file != NULL)
        return t->failed || fflush(t->file) != 0 ? EIO : 0;
    return t->needed < t->size ? 0 : EOVERFLOW;
}

#endif /* WEIR_OBS_TEXT_IMPLEMENTED */

/* ==== weir/obs/prometheus.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_PROMETHEUS_IMPLEMENTED)
#define WEIR_OBS_PROMETHEUS_IMPLEMENTED

WEIR_API void weir_prometheus_init(weir_prometheus *p, char *buffer, size_t size)
{
    memset(p, 0, sizeof *p);
    weir__text_init(&p->text, NULL, buffer, size);
}

WEIR_API void weir_prometheus_init_file(weir_prometheus *p, FILE *file)
{
    memset(p, 0, sizeof *p);
    weir__text_init(&p->text, file, NULL, 0);
}

WEIR_API int weir_prometheus_end(weir_prometheus *p, size_t *needed)
{
    if (needed != NULL)
        *needed = p->text.needed + 1;
    return weir__text_end(&p->text);
}

/* ---- names ----------------------------------------------------------------------------------------------------------------- */

static bool weir__prometheus_name(const char *name, bool colons)
{
    if (name == NULL || *name == 0 || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name != 0; name++)
        if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') ||
              *name == '_' || (colons && *name == ':')))
            return false;
    return true;
}

/* own: the label that the caller adds itself, or NULL. */
static bool weir__prometheus_labels(const weir_label *labels, size_t n, const char *own)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = labels[i].name;
        if (!weir__prometheus_name(name, false) || strncmp(name, "__", 2) == 0 ||
            (own != NULL && strcmp(name, own) == 0))
            return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(labels[k].name, name) == 0)
                return false;
    }
    return true;
}

static void weir__prometheus_help(weir__text *t, char c)
{
    if (c == '\\')
        weir__text_string(t, "\\\\");
    else if (c == '\n')
        weir__text_string(t, "\\n");
    else
        weir__text_put(t, &c, 1);
}

static void weir__prometheus_quoted(weir__text *t, char c)
{
    if (c == '"')
        weir__text_string(t, "\\\"");
    else
        weir__prometheus_help(t, c);
}

WEIR_API int weir_prometheus_family(weir_prometheus *p, const char *name, const char *help, int type)
{
    static const char *const types[] = {"untyped", "counter", "gauge", "histogram", "summary"};
    if (!weir__prometheus_name(name, true) || type < WEIR_PROMETHEUS_UNTYPED || type > WEIR_PROMETHEUS_SUMMARY)
        return EINVAL;
    if (p->family != NULL && strcmp(p->family, name) == 0)
        return type == p->type ? 0 : EINVAL;
    p->family = name;
    p->type = type;
    if (help != NULL) {
        weir__text_string(&p->text, "# HELP ");
        weir__text_string(&p->text, name);
        weir__text_put(&p->text, " ", 1);
        weir__text_escaped(&p->text, help, weir__prometheus_help);
        weir__text_put(&p->text, "\n", 1);
    }
    weir__text_string(&p->text, "# TYPE ");
    weir__text_string(&p->text, name);
    weir__text_put(&p->text, " ", 1);
    weir__text_string(&p->text, types[type]);
    weir__text_put(&p->text, "\n", 1);
    return 0;
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

/* What stands before the value. own: a label more, whose value is a number; NULL: none. */
static void weir__prometheus_begin(weir_prometheus *p, const char *suffix, const weir_label *labels, size_t n,
                                   const char *own, double own_value)
{
    weir__text *t = &p->text;
    weir__text_string(t, p->family);
    weir__text_string(t, suffix);
    if (n > 0 || own != NULL)
        weir__text_put(t, "{", 1);
    for (size_t i = 0; i < n; i++) {
        weir__text_string(t, labels[i].name);
        weir__text_string(t, "=\"");
        weir__text_escaped(t, labels[i].value == NULL ? "" : labels[i].value, weir__prometheus_quoted);
        weir__text_string(t, i + 1 < n || own != NULL ? "\"," : "\"");
    }
    if (own != NULL) {
        weir__text_string(t, own);
        weir__text_string(t, "=\"");
        weir__text_double(t, own_value);
        weir__text_string(t, "\"");
    }
    weir__text_string(t, n > 0 || own != NULL ? "} " : " ");
}

static void weir__prometheus_whole(weir_prometheus *p, const char *suffix, const weir_label *labels, size_t n,
                                   const char *own, double own_value, uint64_t value)
{
    weir__prometheus_begin(p, suffix, labels, n, own, own_value);
    weir__text_u64(&p->text, value);
    weir__text_put(&p->text, "\n", 1);
}

static void weir__prometheus_real(weir_prometheus *p, const char *suffix, const weir_label *labels, size_t n,
                                  const char *own, double own_value, double value)
{
    weir__prometheus_begin(p, suffix, labels, n, own, own_value);
    weir__text_double(&p->text, value);
    weir__text_put(&p->text, "\n", 1);
}

static bool weir__prometheus_plain(const weir_prometheus *p, const weir_label *labels, size_t n)
{
    return p->family != NULL && p->type < WEIR_PROMETHEUS_HISTOGRAM && weir__prometheus_labels(labels, n, NULL);
}

WEIR_API int weir_prometheus_value(weir_prometheus *p, const weir_label *labels, size_t n, double value)
{
    if (!weir__prometheus_plain(p, labels, n))
        return EINVAL;
    weir__prometheus_real(p, "", labels, n, NULL, 0, value);
    return 0;
}

WEIR_API int weir_prometheus_count(weir_prometheus *p, const weir_label *labels, size_t n, uint64_t value)
{
    if (!weir__prometheus_plain(p, labels, n))
        return EINVAL;
    weir__prometheus_whole(p, "", labels, n, NULL, 0, value);
    return 0;
}

/* ---- histograms ------------------------------------------------------------------------------------------------------------ */

/* A bound in what was recorded, rounded down, but not where only the multiplication is to blame. */
static weir_ns weir__prometheus_bound(double bound, double unit)
{
    const double exact = bound * unit, raised = exact + exact * 1e-12;
    return raised < 9e18 ? (weir_ns)raised : INT64_MAX;
}

static bool weir__prometheus_points(const weir_prometheus *p, const double *points, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(points[i] >= 0) || (p->type == WEIR_PROMETHEUS_SUMMARY && points[i] > 1))
            return false;
        if (p->type == WEIR_PROMETHEUS_HISTOGRAM && (!(points[i] <= 1e300) || (i > 0 && points[i] <= points[i - 1])))
            return false;
    }
    return true;
}

WEIR_API int weir_prometheus_hist(weir_prometheus *p, const weir_label *labels, size_t n, weir_hist *h,
                                  const weir_prometheus_hist_opt *opt)
{
    static const double bounds[] = {1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10}, quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    const bool summary = p->type == WEIR_PROMETHEUS_SUMMARY;
    const bool given = opt != NULL && opt->point_count > 0;
    const double *points = given ? opt->points : summary ? quantiles : bounds;
    const size_t count = given     ? opt->point_count
                         : summary ? sizeof quantiles / sizeof quantiles[0]
                                   : sizeof bounds / sizeof bounds[0];
    const double unit = opt != NULL && !(opt->unit >= 0 && opt->unit <= 0) ? opt->unit : 1e9;
    uint64_t total;
    if (p->family == NULL || p->type < WEIR_PROMETHEUS_HISTOGRAM || !(unit > 0) ||
        !weir__prometheus_points(p, points, count) || !weir__prometheus_labels(labels, n, summary ? "quantile" : "le"))
        return EINVAL;
    for (size_t i = 0; i < count; i++)
        if (summary)
            weir__prometheus_real(p, "", labels, n, "quantile", points[i],
                                  (double)weir_hist_percentile(h, points[i] * 100) / unit);
        else
            weir__prometheus_whole(p, "_bucket", labels, n, "le", points[i],
                                   weir_hist_count_to(h, weir__prometheus_bound(points[i], unit)));
    total = weir_hist_count(h); /* the last look, so that no bucket has more */
    if (!summary)
        weir__prometheus_whole(p, "_bucket", labels, n, "le", (double)__builtin_inf(), total);
    weir__prometheus_real(p, "_sum", labels, n, NULL, 0, weir_hist_sum(h) / unit);
    weir__prometheus_whole(p, "_count", labels, n, NULL, 0, total);
    return 0;
}

#endif /* WEIR_OBS_PROMETHEUS_IMPLEMENTED */

/* ==== weir/obs/tally.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_TALLY_IMPLEMENTED)
#define WEIR_OBS_TALLY_IMPLEMENTED

static uint64_t weir__tally_number(const unsigned char *at, size_t size)
{
    uint64_t large;
    uint32_t small;
    bool flag;
    if (size == sizeof flag) {
        memcpy(&flag, at, sizeof flag);
        return flag;
    }
    if (size == sizeof small) {
        memcpy(&small, at, sizeof small);
        return small;
    }
    memcpy(&large, at, sizeof large);
    return large;
}

WEIR_API int weir__prometheus_tallies(weir_prometheus *p, const weir__tally_field *fields, size_t field_count,
                                      const char *label, const void *tallies, size_t n, size_t stride)
{
    for (size_t f = 0; f < field_count; f++) {
        const int rc = weir_prometheus_family(p, fields[f].family, fields[f].help, fields[f].type);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < n; i++) {
            const unsigned char *tally = (const unsigned char *)tallies + i * stride;
            weir_label of = {label, NULL};
            memcpy(&of.value, tally, sizeof of.value);
            (void)weir_prometheus_count(p, &of, 1, weir__tally_number(tally + fields[f].offset, fields[f].size));
        }
    }
    return 0;
}

WEIR_API int weir_prometheus_channels(weir_prometheus *p, const weir_chan_tally *tallies, size_t n)
{
    static const weir__tally_field fields[] = {
        WEIR__TALLY_FIELD("weir_channel_length", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, len, "Values in it."),
        WEIR__TALLY_FIELD("weir_channel_capacity", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, cap, "Values that fit."),
        WEIR__TALLY_FIELD("weir_channel_closed", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, closed, "1: it was closed."),
        WEIR__TALLY_FIELD("weir_channel_sent_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally, sent,
                          "Values accepted."),
        WEIR__TALLY_FIELD("weir_channel_received_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally, received,
                          "Values taken."),
        WEIR__TALLY_FIELD("weir_channel_senders_asleep", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, senders_asleep,
                          "Senders that sleep."),
        WEIR__TALLY_FIELD("weir_channel_receivers_asleep", WEIR_PROMETHEUS_GAUGE, weir_chan_tally, receivers_asleep,
                          "Receivers that sleep."),
        WEIR__TALLY_FIELD("weir_channel_sender_sleeps_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally, senders_slept,
                          "How often a sender lay down."),
        WEIR__TALLY_FIELD("weir_channel_receiver_sleeps_total", WEIR_PROMETHEUS_COUNTER, weir_chan_tally,
                          receivers_slept, "How often a receiver lay down."),
    };
    return weir__prometheus_tallies(p, fields, sizeof fields / sizeof fields[0], "channel", tallies, n,
                                    sizeof *tallies);
}

#endif /* WEIR_OBS_TALLY_IMPLEMENTED */

/* ==== weir/obs/correlation.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_CORRELATION_IMPLEMENTED)
#define WEIR_OBS_CORRELATION_IMPLEMENTED

WEIR_API void weir_correlation_init(weir_ctx *ctx, weir_ctx *parent, uint64_t id)
{
    weir_ctx_init(ctx, parent);
    weir__correlation_set(ctx, id);
}

WEIR_API uint64_t weir_correlation(const weir_ctx *ctx)
{
    return (uint64_t)(uintptr_t)weir_ctx_value(ctx, WEIR__CORRELATION_KEY);
}

#endif /* WEIR_OBS_CORRELATION_IMPLEMENTED */

/* ==== weir/obs/trace.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_TRACE_IMPLEMENTED)
#define WEIR_OBS_TRACE_IMPLEMENTED


#include <stdlib.h>

#define WEIR__TRACE_BUSY UINT64_MAX

/* ---- recording ------------------------------------------------------------------------------------------------------------- */

/* The calling thread, as it was called when it recorded its first event (in this process). */
static void weir__trace_thread(weir_trace_event *e)
{
#ifdef WEIR_NO_ROLL /* as on the model's fibers, which have no thread-locals */
    memset(e->thread_name, 0, sizeof e->thread_name);
    e->thread = WEIR_THREAD_NUMBER();
#else
    static WEIR_THREAD_LOCAL struct {
        uint32_t forks;
        long number;
        char name[16];
    } own;
    const uint32_t forks = weir__fork_count();
    if (own.number == 0 || own.forks != forks) {
        WEIR_THREAD_GET_NAME(own.name);
        own.number = WEIR_THREAD_NUMBER();
        own.forks = forks;
    }
    e->thread = own.number;
    memcpy(e->thread_name, own.name, sizeof own.name);
#endif
}

WEIR_API int weir_trace_init(weir_trace *t, weir_trace_event *events, size_t capacity, const weir_trace_opt *opt)
{
    memset(t, 0, sizeof *t);
    if (capacity == 0)
        return EINVAL;
    memset(events, 0, capacity * sizeof *events);
    t->events = events;
    t->capacity = capacity;
    if (opt != NULL)
        t->opt = *opt;
    return 0;
}

WEIR_API void weir__trace_keep(weir_trace *t, const char *name, const char *category, weir_ns begin, weir_ns end,
                               uint64_t id)
{
    const uint64_t number = weir__add_rlx(&t->next, 1);
    weir_trace_event *e = &t->events[number % t->capacity];
    uint64_t stamp = weir__load_rlx(&e->stamp);
    if (number >= t->capacity && !t->opt.newest)
        return;
    /* (A) Acquire: whoever was in the slot before has left it. */
    if (stamp > number || !weir__cas_acq(&e->stamp, &stamp, WEIR__TRACE_BUSY))
        return;
    e->name = name;
    e->category = category;
    e->begin = begin > 0 ? begin : 0;
    e->end = end > e->begin ? end : e->begin;
    e->id = id;
    weir__trace_thread(e);
    weir__store_rel(&e->stamp, number + 1); /* pairs with (A) and (B) */
}

/* Copies an event. False: there is none, or somebody is in the slot. */
static bool weir__trace_copy(weir_trace_event *e, weir_trace_event *to)
{
    uint64_t stamp = weir__load_rlx(&e->stamp);
    /* (B) Acquire: what was recorded. */
    if (stamp == 0 || stamp == WEIR__TRACE_BUSY || !weir__cas_acq(&e->stamp, &stamp, WEIR__TRACE_BUSY))
        return false;
    to->stamp = stamp;
    to->name = e->name;
    to->category = e->category;
    to->begin = e->begin;
    to->end = e->end;
    to->id = e->id;
    to->thread = e->thread;
    memcpy(to->thread_name, e->thread_name, sizeof to->thread_name);
    weir__store_rel(&e->stamp, stamp); /* pairs with (A): the next one writes after we have read */
    return true;
}

WEIR_API size_t weir_trace_count(weir_trace *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->capacity; i++)
        n += weir__load_rlx(&t->events[i].stamp) != 0;
    return n;
}

WEIR_API uint64_t weir_trace_dropped(weir_trace *t)
{
    const uint64_t kept = weir_trace_count(t), all = weir__load_rlx(&t->next);
    return all > kept ? all - kept : 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

static void weir__trace_json(weir__text *t, char c)
{
    char code[8];
    if (c == '"' || c == '\\') {
        weir__text_put(t, "\\", 1);
        weir__text_put(t, &c, 1);
    } else if ((unsigned char)c < 0x20 || c == 0x7f) {
        snprintf(code, sizeof code, "\\u%04x", (unsigned)c);
        weir__text_string(t, code);
    } else {
        weir__text_put(t, &c, 1);
    }
}

static void weir__trace_member(weir__text *t, const char *name, const char *value)
{
    weir__text_put(t, "\"", 1);
    weir__text_string(t, name);
    weir__text_string(t, "\":\"");
    weir__text_escaped(t, value == NULL ? "" : value, weir__trace_json);
    weir__text_put(t, "\"", 1);
}

/* Nanoseconds as the microseconds that the format has. */
static void weir__trace_time(weir__text *t, const char *name, weir_ns value)
{
    char text[64];
    snprintf(text, sizeof text, ",\"%s\":%lld.%03d", name, (long long)(value / 1000), (int)(value % 1000));
    weir__text_string(t, text);
}

/* The members that all have: phase, process, thread. */
static void weir__trace_head(weir__text *t, const char *phase, const weir_trace_event *e)
{
    char text[96];
    snprintf(text, sizeof text, ",\n{\"ph\":\"%s\",\"pid\":%ld,\"tid\":%ld,", phase, WEIR_PROCESS_NUMBER(), e->thread);
    weir__text_string(t, text);
}

static void weir__trace_thread_name(weir__text *t, const weir_trace_event *e)
{
    weir__trace_head(t, "M", e);
    weir__text_string(t, "\"name\":\"thread_name\",\"args\":{");
    weir__trace_member(t, "name", e->thread_name);
    weir__text_string(t, "}}");
}

static void weir__trace_complete(weir__text *t, const weir_trace_event *e)
{
    char text[64];
    weir__trace_head(t, "X", e);
    weir__trace_member(t, "name", e->name);
    weir__text_put(t, ",", 1);
    weir__trace_member(t, "cat", e->category);
    weir__trace_time(t, "ts", e->begin);
    weir__trace_time(t, "dur", e->end - e->begin);
    if (e->id != 0) {
        snprintf(text, sizeof text, ",\"args\":{\"correlation\":\"%llu\"}", (unsigned long long)e->id);
        weir__text_string(t, text);
    }
    weir__text_put(t, "}", 1);
}

/* One end, or a stop, of an arrow: it belongs to the event that this thread is in at that time. */
static void weir__trace_flow(weir__text *t, const char *phase, const weir_trace_event *e)
{
    char text[64];
    weir__trace_head(t, phase, e);
    snprintf(text, sizeof text, ",\"id\":\"0x%llx\"", (unsigned long long)e->id);
    weir__trace_member(t, "name", "correlation");
    weir__text_put(t, ",", 1);
    weir__trace_member(t, "cat", "correlation");
    weir__text_string(t, text);
    if (*phase == 'f')
        weir__text_string(t, ",\"bp\":\"e\"");
    weir__trace_time(t, "ts", e->begin);
    weir__text_put(t, "}", 1);
}

static int weir__trace_by_id(const void *one, const void *other)
{
    const weir_trace_event *a = (const weir_trace_event *)one, *b = (const weir_trace_event *)other;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->stamp < b->stamp ? -1 : 1;
}

static int weir__trace_by_thread(const void *one, const void *other)
{
    const weir_trace_event *a = (const weir_trace_event *)one, *b = (const weir_trace_event *)other;
    if (a->thread != b->thread)
        return a->thread < b->thread ? -1 : 1;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1; /* what contains the other comes first */
    return a->stamp < b->stamp ? -1 : 1;
}

static void weir__trace_all(weir__text *t, weir_trace_event *events, size_t n)
{
    qsort(events, n, sizeof *events, weir__trace_by_thread);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || events[i].thread != events[i - 1].thread)
            weir__trace_thread_name(t, &events[i]);
        weir__trace_complete(t, &events[i]);
    }
    qsort(events, n, sizeof *events, weir__trace_by_id);
    for (size_t i = 0; i < n; i++) {
        const bool before = i > 0 && events[i - 1].id == events[i].id;
        const bool after = i + 1 < n && events[i + 1].id == events[i].id;
        if (events[i].id != 0 && (before || after))
            weir__trace_flow(t, before && after ? "t" : after ? "s" : "f", &events[i]);
    }
}

WEIR_API int weir_trace_write(weir_trace *t, FILE *file)
{
    weir__text text;
    char head[128];
    size_t n = 0;
    weir_trace_event *copy = (weir_trace_event *)WEIR_ALLOC(16, t->capacity * sizeof *copy);
    if (copy == NULL)
        return ENOMEM;
    for (size_t i = 0; i < t->capacity; i++)
        n += weir__trace_copy(&t->events[i], &copy[n]);
    weir__text_init(&text, file, NULL, 0);
    snprintf(head, sizeof head, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"dropped\":\"%llu\"},\"traceEvents\":[\n",
             (unsigned long long)weir_trace_dropped(t));
    weir__text_string(&text, head);
    snprintf(head, sizeof head, "{\"ph\":\"M\",\"pid\":%ld,\"name\":\"process_labels\",\"args\":{\"labels\":\"weir\"}}",
             WEIR_PROCESS_NUMBER());
    weir__text_string(&text, head);
    weir__trace_all(&text, copy, n);
    weir__text_string(&text, "\n]}\n");
    WEIR_FREE(copy);
    return weir__text_end(&text);
}

#endif /* WEIR_OBS_TRACE_IMPLEMENTED */

/* ==== weir/obs/threads.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_THREADS_IMPLEMENTED)
#define WEIR_OBS_THREADS_IMPLEMENTED

#ifndef WEIR_NO_ROLL
static void weir__threads_line(const weir__roll_entry *e, void *arg)
{
    FILE *file = (FILE *)arg;
    fprintf(file, "thread %ld  %-15s ", e->id, e->name);
    if (e->what == NULL)
        fputs("running", file);
    else
        fprintf(file, "in %s", e->what);
    if (e->on != NULL)
        fprintf(file, " on \"%s\"", e->on);
    if (e->what != NULL)
        fprintf(file, " for %.3f s", (double)(weir_now() - e->since) / 1e9);
    if (e->task != NULL)
        fprintf(file, ", runs %s", e->task);
    fputc('\n', file);
}
#endif

WEIR_API void weir_threads(FILE *file)
{
#ifdef WEIR_NO_ROLL
    (void)file;
#else
    weir__roll_each(weir__threads_line, file);
#endif
}

#endif /* WEIR_OBS_THREADS_IMPLEMENTED */

/* ==== weir/task/group_queue.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_GROUP_QUEUE_IMPLEMENTED)
#define WEIR_TASK_GROUP_QUEUE_IMPLEMENTED

WEIR_API bool weir__group_take_back(weir__group_queue *q, weir_task_fn *fn, void *arg)
{
    for (unsigned i = q->count; i-- > 0;) {
        const weir__group_task *t = weir__group_at(q, i);
        if (t->fn != fn || t->arg != arg)
            continue;
        for (; i + 1 < q->count; i++)
            *weir__group_at(q, i) = *weir__group_at(q, i + 1);
        q->count--;
        return true;
    }
    return false;
}

WEIR_API int weir__group_widen(weir__group_queue *q)
{
    const unsigned room = 2 * weir__group_room(q);
    weir__group_task *larger = (weir__group_task *)WEIR_ALLOC(sizeof(void *), room * sizeof *larger);
    if (larger == NULL)
        return ENOMEM;
    for (unsigned i = 0; i < q->count; i++)
        larger[i] = *weir__group_at(q, i);
    if (q->larger != NULL)
        WEIR_FREE(q->larger);
    q->larger = larger;
    q->room = room;
    q->first = 0;
    return 0;
}

WEIR_API void weir__group_shrink(weir__group_queue *q)
{
    if (q->larger != NULL)
        WEIR_FREE(q->larger);
    q->larger = NULL;
    q->first = 0;
}

#endif /* WEIR_TASK_GROUP_QUEUE_IMPLEMENTED */

/* ==== weir/task/group.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_GROUP_IMPLEMENTED)
#define WEIR_TASK_GROUP_IMPLEMENTED

WEIR_API void weir_group_init(weir_group *g, weir_ctx *parent, const weir_group_opt *opt)
{
    memset(g, 0, sizeof *g);
    if (opt != NULL)
        g->opt = *opt;
    weir_ctx_init(&g->ctx, parent);
    g->begun = true;
}

static void weir__group_lock(weir_group *g)
{
    weir__lock_take(&g->lock);
    if (!g->begun) { /* WEIR_GROUP_INIT */
        weir_ctx_init(&g->ctx, NULL);
        g->begun = true;
    }
}

static const char *weir__group_name(const weir_group *g)
{
    return g->opt.name == NULL ? "group" : g->opt.name;
}

WEIR_API weir_ctx *weir_group_ctx(weir_group *g)
{
    weir__group_lock(g);
    weir__lock_release(&g->lock);
    return &g->ctx;
}

/* ---- places ---- */

/* A place, now or when it is our turn. Called and returns locked. */
static int weir__group_enter(weir_group *g, weir_ctx *ctx, bool waits)
{
    weir__waiter node;
    weir__wait w;
    if (g->opt.limit == 0 || g->places < g->opt.limit) {
        g->places++;
        return 0;
    }
    if (!waits)
        return EAGAIN;
    weir__wait_init(&w, ctx, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
    weir__wait_label(&w, "go", weir__group_name(g));
    return weir__list_wait(&g->lock, &g->for_place, &node, &w); /* 0: the place of one that has returned */
}

/* A place is free: for the first who waits for one, or for anybody. Locked. */
static void weir__group_leave(weir_group *g, weir__line_wakes *wakes)
{
    if (weir__list_call(&g->for_place, 0, wakes))
        return;
    if (--g->places == 0)
        weir__list_call_all(&g->for_end, 0, wakes);
}

/* ---- tasks ---- */

static void weir__group_note(weir_group *g, int code, void *arg)
{
    const weir_group_error error = {code, arg};
    weir__lock_take(&g->lock);
    if (g->failed < WEIR_GROUP_ERRORS)
        g->errors[g->failed] = error;
    else if (g->failed - WEIR_GROUP_ERRORS < g->opt.errors_max)
        g->opt.errors[g->failed - WEIR_GROUP_ERRORS] = error;
    g->failed++;
    weir__lock_release(&g->lock);
    weir_ctx_cancel(&g->ctx, code);
}

/* Runs it. Called and returns without the lock; releasing it is the last touch, after which the group may be gone. */
static void weir__group_run(weir_group *g, const weir__group_task *task)
{
    weir__line_wakes wakes;
    const int rc = task->fn(&g->ctx, task->arg);
    weir_thread_task(NULL);
    if (rc != 0)
        weir__group_note(g, rc, task->arg);
    wakes.count = 0;
    weir__lock_take(&g->lock);
    weir__group_leave(g, &wakes);
    weir__line_release(&g->lock, &wakes);
}

/* For a runner. */
static void weir__group_run_one(void *arg)
{
    weir_group *g = (weir_group *)arg;
    weir__group_task task;
    weir__lock_take(&g->lock);
    task = weir__group_take(&g->queue);
    weir__lock_release(&g->lock);
    weir__group_run(g, &task);
}

/* The last act of a thread of the group. Locked; releases. */
static void weir__group_thread_ends(weir_group *g)
{
    weir__line_wakes wakes;
    const weir__thread before = g->ended_thread;
    const bool any = g->has_ended_thread;
    wakes.count = 0;
    g->ended_thread = WEIR_THREAD_CURRENT();
    g->has_ended_thread = true;
    if (--g->threads == 0)
        weir__list_call_all(&g->for_end, 0, &wakes);
    weir__line_release(&g->lock, &wakes);
    if (any)
        WEIR_THREAD_JOIN(before);
}

static void *weir__group_thread(void *arg)
{
    weir_group *g = (weir_group *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, weir__group_name(g));
    weir_thread_name(weir__group_name(g));
    weir__lock_take(&g->lock);
    while (!g->ending) { /* and then the queue is empty: a task in it has a place */
        weir__waiter node;
        weir__wait w;
        if (g->queue.count > 0) {
            const weir__group_task task = weir__group_take(&g->queue);
            weir__lock_release(&g->lock);
            weir__group_run(g, &task);
            weir__lock_take(&g->lock);
            continue;
        }
        weir__wait_init(&w, NULL, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "idle", weir__group_name(g));
        (void)weir__list_wait(&g->lock, &g->for_task, &node, &w);
    }
    weir__roll_leave(&entry);
    weir__group_thread_ends(g);
    return NULL;
}

/* With a place taken: sees to it that there is a thread for it. Called and returns locked. */
static int weir__group_staff(weir_group *g)
{
    weir__thread thread;
    int rc;
    if (g->opt.runner != NULL || g->threads >= g->places)
        return 0;
    g->threads++;
    weir__lock_release(&g->lock);
    rc = weir__roll_start(&thread, weir__group_thread, g);
    weir__lock_take(&g->lock);
    if (rc != 0)
        g->threads--;
    return rc;
}

/* Puts the task into the queue. 0, ENOMEM. Called and returns locked. Without a runner, a full queue is one whose threads are about to begin. */
static int weir__group_push(weir_group *g, weir_task_fn *fn, void *arg)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    while (g->opt.runner == NULL && g->queue.count == weir__group_room(&g->queue)) {
        weir__lock_release(&g->lock);
        weir__backoff_peer(&peer);
        weir__lock_take(&g->lock);
    }
    if (g->queue.count == weir__group_room(&g->queue) && weir__group_widen(&g->queue) != 0)
        return ENOMEM;
    weir__group_put(&g->queue, fn, arg);
    return 0;
}

/* Has the runner call weir__group_run_one. There are as many such calls as tasks, and any of them may run any task: so if it refuses, and
 * our task has been run already, then one that has lost its call is left to us. */
static int weir__group_submit(weir_ctx *ctx, weir_group *g, weir_task_fn *fn, void *arg)
{
    weir__line_wakes wakes;
    bool back;
    const int rc = g->opt.runner->run(g->opt.runner, ctx, weir__group_run_one, g);
    if (rc == 0)
        return 0;
    wakes.count = 0;
    weir__lock_take(&g->lock);
    back = weir__group_take_back(&g->queue, fn, arg);
    if (back)
        weir__group_leave(g, &wakes);
    weir__line_release(&g->lock, &wakes);
    if (back)
        return rc;
    weir__group_run_one(g);
    return 0;
}

static int weir__group_start(weir_ctx *ctx, weir_group *g, weir_task_fn *fn, void *arg, bool waits)
{
    weir__line_wakes wakes;
    int rc;
    wakes.count = 0;
    weir__group_lock(g);
    rc = weir__group_enter(g, ctx, waits);
    if (rc == 0) {
        rc = weir__group_staff(g);
        if (rc == 0)
            rc = weir__group_push(g, fn, arg);
        if (rc == 0)
            (void)weir__list_call(&g->for_task, 0, &wakes);
        else
            weir__group_leave(g, &wakes);
    }
    weir__line_release(&g->lock, &wakes);
    return rc == 0 && g->opt.runner != NULL ? weir__group_submit(ctx, g, fn, arg) : rc;
}

WEIR_API int weir_group_go(weir_ctx *ctx, weir_group *g, weir_task_fn *task, void *arg)
{
    return weir__group_start(ctx, g, task, arg, true);
}

WEIR_API int weir_group_try_go(weir_group *g, weir_task_fn *task, void *arg)
{
    return weir__group_start(NULL, g, task, arg, false);
}

/* ---- the end ---- */

static void weir__group_await(weir_group *g, const unsigned *count)
{
    while (*count > 0) {
        weir__waiter node;
        weir__wait w;
        weir__wait_init(&w, NULL, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "wait for a group", weir__group_name(g));
        (void)weir__list_wait(&g->lock, &g->for_end, &node, &w);
    }
}

WEIR_API int weir_group_wait(weir_group *g)
{
    weir__line_wakes wakes;
    int rc;
    wakes.count = 0;
    weir__group_lock(g);
    weir__group_await(g, &g->places);
    g->ending = true;
    weir__list_call_all(&g->for_task, 0, &wakes);
    weir__line_release(&g->lock, &wakes);
    weir__lock_take(&g->lock);
    weir__group_await(g, &g->threads);
    g->ending = false;
    if (g->has_ended_thread)
        WEIR_THREAD_JOIN(g->ended_thread);
    g->has_ended_thread = false;
    weir__group_shrink(&g->queue);
    rc = g->failed == 0 ? 0 : g->errors[0].code;
    weir__lock_release(&g->lock);
    weir_ctx_cancel(&g->ctx, 0);
    return rc;
}

WEIR_API void weir_group_cancel(weir_group *g, int cause)
{
    weir_ctx_cancel(weir_group_ctx(g), cause);
}

WEIR_API int weir_group_limit(weir_group *g, unsigned limit)
{
    int rc;
    weir__group_lock(g);
    rc = g->places > 0 ? EINVAL : 0;
    if (rc == 0)
        g->opt.limit = limit;
    weir__lock_release(&g->lock);
    return rc;
}

WEIR_API size_t weir_group_errors(weir_group *g, weir_group_error *to, size_t max)
{
    size_t failed;
    weir__group_lock(g);
    failed = g->failed;
    for (size_t i = 0; i < failed && i < max && i < WEIR_GROUP_ERRORS + g->opt.errors_max; i++)
        to[i] = i < WEIR_GROUP_ERRORS ? g->errors[i] : g->opt.errors[i - WEIR_GROUP_ERRORS];
    weir__lock_release(&g->lock);
    return failed;
}

WEIR_API void weir_group_free(weir_group *g)
{
    if (g->begun)
        weir_ctx_free(&g->ctx);
    g->begun = false;
}

#endif /* WEIR_TASK_GROUP_IMPLEMENTED */

/* ==== weir/task/future.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_FUTURE_IMPLEMENTED)
#define WEIR_TASK_FUTURE_IMPLEMENTED

static weir__future_work *weir__future_work_of(weir__chan *c)
{
    return (weir__future_work *)(void *)((unsigned char *)weir__promise_value(c) + (c->size + 63) / 64 * 64);
}

WEIR_API int weir__future_make(void *handle, size_t size, const weir_future_opt *opt)
{
    weir__future_work *work;
    weir_chan_opt chan_opt = {WEIR_WAIT_ADAPTIVE, "future", NULL, 0};
    int rc;
    if (opt != NULL) {
        chan_opt.memory = opt->memory;
        chan_opt.memory_size = opt->memory_size;
    }
    if (opt != NULL && opt->name != NULL)
        chan_opt.name = opt->name;
    rc = weir__promise_make(handle, size, sizeof *work, &work, &chan_opt);
    if (rc != 0)
        return rc;
    memcpy(&work->chan, handle, sizeof work->chan);
    work->runner = opt == NULL ? NULL : opt->runner;
    return 0;
}

/* ---- setting ---- */

WEIR_API int weir__future_set(weir__chan *c, const void *value, int code)
{
    if (c == NULL || (value == NULL && code == 0) || !weir__promise_begin(c))
        return EINVAL;
    if (value != NULL)
        WEIR_COPY_IN(weir__promise_value(c), value, c->size);
    weir__promise_end(c, code);
    return 0;
}

static void weir__future_leave(weir__future_work *work)
{
    if (weir__add_ar(&work->leavers, 1) == 1)
        weir__chan_free(&work->chan);
}

static void weir__future_compute(void *arg)
{
    weir__future_work *work = (weir__future_work *)arg;
    weir__promise_end(work->chan, work->fn(work->ctx, work->arg, weir__promise_value(work->chan)));
    weir__future_leave(work);
}

static void *weir__future_thread(void *arg)
{
    weir__future_work *work = (weir__future_work *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, work->chan->name);
    weir_thread_name(work->chan->name);
    weir__future_compute(work);
    weir__roll_leave(&entry);
    return NULL;
}

WEIR_API int weir__future_run(weir_ctx *ctx, weir__chan *c, weir_future_fn *fn, void *arg)
{
    weir__future_work *work;
    int rc;
    if (c == NULL || !weir__promise_begin(c))
        return EINVAL;
    work = weir__future_work_of(c);
    work->ctx = ctx;
    work->fn = fn;
    work->arg = arg;
    work->threaded = work->runner == NULL;
    rc = work->threaded ? weir__roll_start(&work->thread, weir__future_thread, work)
                        : work->runner->run(work->runner, ctx, weir__future_compute, work);
    if (rc == 0)
        return 0;
    work->fn = NULL;
    work->threaded = false;
    weir__promise_give_up(c);
    return rc;
}

/* ---- getting ---- */

WEIR_API int weir__future_get(weir_ctx *ctx, weir__chan *c, void *value, weir_ns deadline)
{
    weir__op op = {WEIR__OP_RECV, NULL, NULL, {NULL, 0}};
    if (c == NULL)
        return weir__op_wait(ctx, c, &op, deadline); /* never there: why the wait has ended */
    if (!weir__promise_done(c)) {
        const int rc = weir__op_wait(ctx, c, &op, deadline);
        if (rc != 0)
            return rc;
    }
    (void)weir__promise_take(c, value);
    return weir__promise_code(c);
}

static weir__chan *weir__future_at(const void *handles, size_t i)
{
    weir__chan *c;
    memcpy(&c, (const unsigned char *)handles + i * sizeof(void *), sizeof c);
    return c;
}

/* Waits until each is done, or until `stops` says of one that this is enough. 0: all are done; else as weir_select, or 1: *at is that one. */
static int weir__future_each(weir_ctx *ctx, const void *handles, size_t n, bool stops_at_value, size_t *at, int *last)
{
    enum { FEW = 16 };
    weir_case few[FEW], *cases = few;
    size_t left = n;
    int rc = 0;
    if (n > FEW && (cases = (weir_case *)WEIR_ALLOC(sizeof(void *), n * sizeof *cases)) == NULL)
        return ENOMEM;
    for (size_t i = 0; i < n; i++)
        cases[i] = weir__case(WEIR__CASE_RECV, weir__future_at(handles, i), NULL, NULL, NULL);
    while (left > 0 && rc == 0) {
        const int i = weir_select_ordered(ctx, cases, n);
        if (i < 0) {
            rc = -i;
            break;
        }
        *at = (size_t)i;
        *last = cases[i].status;
        if ((cases[i].status == 0) == stops_at_value)
            rc = -1;
        cases[i].chan = NULL; /* never ready again */
        left--;
    }
    if (cases != few)
        WEIR_FREE(cases);
    return rc;
}

WEIR_API int weir__future_all(weir_ctx *ctx, const void *handles, size_t n, size_t *which)
{
    size_t at = 0;
    int last = 0;
    const int rc = weir__future_each(ctx, handles, n, false, &at, &last);
    if (rc == -1 && which != NULL)
        *which = at;
    return rc == -1 ? last : rc;
}

WEIR_API int weir__future_any(weir_ctx *ctx, const void *handles, size_t n, size_t *which)
{
    size_t at = 0;
    int last = EINVAL, rc;
    rc = weir__future_each(ctx, handles, n, true, &at, &last);
    if (rc == -1 && which != NULL)
        *which = at;
    return rc == -1 ? 0 : rc == 0 ? last : rc;
}

/* ---- the end ---- */

WEIR_API void weir__future_free(void *handle)
{
    weir__chan *c;
    weir__future_work *work;
    memcpy(&c, handle, sizeof c);
    if (c == NULL)
        return;
    work = weir__future_work_of(c);
    if (work->fn != NULL)
        (void)weir__future_get(NULL, c, NULL, WEIR_FOREVER);
    weir__promise_await_left(c);
    memset(handle, 0, sizeof c);
    if (work->threaded)
        weir__roll_join(work->thread, c->name);
    if (work->fn == NULL)
        weir__chan_free(&c);
    else
        weir__future_leave(work);
}

WEIR_API void weir__future_detach(void *handle)
{
    weir__chan *c;
    weir__future_work *work;
    memcpy(&c, handle, sizeof c);
    if (c == NULL)
        return;
    work = weir__future_work_of(c);
    if (work->fn == NULL) {
        weir__future_free(handle);
        return;
    }
    memset(handle, 0, sizeof c);
    if (work->threaded)
        WEIR_THREAD_DETACH(work->thread);
    weir__future_leave(work);
}

#endif /* WEIR_TASK_FUTURE_IMPLEMENTED */

/* ==== weir/task/single.h: implementation ==== */

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

/* ==== weir/task/objpool.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_OBJPOOL_IMPLEMENTED)
#define WEIR_TASK_OBJPOOL_IMPLEMENTED

WEIR_API int weir_objpool_init(weir_objpool *pool, size_t size, uint32_t count, const weir_objpool_opt *opt)
{
    static weir__atomic_u64 pools;
    size_t bytes;
    memset(pool, 0, sizeof *pool);
    if (opt != NULL)
        pool->opt = *opt;
    if (size == 0 || count == 0 || (pool->opt.max != 0 && pool->opt.max < count))
        return EINVAL;
    if (size > SIZE_MAX / 4 || count > INT32_MAX || pool->opt.max > INT32_MAX)
        return EOVERFLOW;
    pool->stride = (size + WEIR__OBJPOOL_HEAD + 15) / 16 * 16;
    if (pool->stride > (SIZE_MAX / 2) / count)
        return EOVERFLOW;
    pool->size = size;
    pool->count = count;
    pool->max = pool->opt.max == 0 ? count : pool->opt.max;
    pool->seats = pool->opt.seats == 0 ? 64 : pool->opt.seats;
    bytes = pool->seats * sizeof(weir__seat) + (pool->max - count) * sizeof(void *) + pool->max * sizeof(uint32_t);
    pool->seat = (weir__seat *)WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    pool->objects = (unsigned char *)WEIR_ALLOC(WEIR_CACHE_PAD, count * pool->stride + WEIR__OBJPOOL_HEAD);
    if (pool->seat == NULL || pool->objects == NULL) {
        weir_objpool_free(pool);
        return ENOMEM;
    }
    memset((void *)pool->seat, 0, bytes);
    pool->grown = (unsigned char **)(void *)(pool->seat + pool->seats);
    pool->below = (weir__atomic_u32 *)(void *)(pool->grown + (pool->max - count));
    pool->objects += WEIR__OBJPOOL_HEAD;
    pool->symmetric = !weir__fence_asymmetric();
    pool->number = weir__add_rlx(&pools, 1) + 1;
    return 0;
}

WEIR_API void weir_objpool_free(weir_objpool *pool)
{
    const uint32_t fresh = weir__load_rlx(&pool->fresh);
    for (uint32_t i = pool->count; i < fresh; i++)
        WEIR_FREE(pool->grown[i - pool->count] - WEIR__OBJPOOL_HEAD);
    if (pool->objects != NULL)
        WEIR_FREE(pool->number == 0 ? pool->objects : pool->objects - WEIR__OBJPOOL_HEAD);
    if (pool->seat != NULL)
        WEIR_FREE(pool->seat);
    memset((void *)pool, 0, sizeof *pool);
}

WEIR_API uint32_t weir_objpool_high_water(weir_objpool *pool)
{
    return weir__load_rlx(&pool->fresh);
}

/* ---- the shared stack (R. K. Treiber, 1986): the tag changes with every push, so that a number that has come back is not taken for one that has
 * stayed ---- */

static void weir__objpool_share(weir_objpool *pool, const void *object)
{
    const uint32_t number = weir__objpool_number(object);
    uint64_t top = weir__load_rlx(&pool->shared);
    do
        weir__store_rlx(&pool->below[number], (uint32_t)top);
    while (!weir__cas_rel(&pool->shared, &top, ((top >> 32) + 1) << 32 | (number + 1)));
}

static void *weir__objpool_unshare(weir_objpool *pool)
{
    for (;;) {
        /* Acquire, in each turn: pairs with the release in weir__objpool_share: what lies below the top, and the object, are not older than the
         * top. The swap needs none: no two pushes and pops leave the same top, so it finds what the load found. */
        uint64_t top = weir__load_acq(&pool->shared);
        const uint32_t number = (uint32_t)top - 1;
        if ((uint32_t)top == 0)
            return NULL;
        if (weir__cas_rlx(&pool->shared, &top, (top & ~(uint64_t)UINT32_MAX) | weir__load_rlx(&pool->below[number])))
            return weir__objpool_at(pool, number);
    }
}

/* ---- seats ---- */

/* Takes a seat for the calling thread, if there is one; else NULL. */
static weir__seat *weir__objpool_seat(weir_objpool *pool)
{
    const uint32_t self = (uint32_t)WEIR_THREAD_NUMBER();
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < pool->seats; i++) {
            weir__seat *s = &pool->seat[i];
            uint32_t owner = weir__load_rlx(&s->owner);
            if (owner == self)
                return s;
            if ((round == 0 ? owner == 0 : !WEIR_THREAD_LIVES(owner)) && weir__cas_rlx(&s->owner, &owner, self)) {
                /* The newest of both; acquire: what an owner that has ended did to its last objects. It says nothing by `owner`. */
                (void)weir__add_acq(&s->bottom, 0);
                (void)weir__add_acq(&s->hot, 0);
                s->top_seen = weir__load_acq(&s->top); /* acquire: as in weir__seat_push */
                return s;
            }
        }
    return NULL;
}

/* A thief has been here since the owner last asked. Whether the object that the owner has just taken is the owner's. */
WEIR_API bool weir__seat_asked(weir__seat *s, uint64_t object)
{
    bool kept;
    weir__lock_take(&s->lock);
    kept = s->stolen != object;
    s->stolen = 0;
    weir__store_rlx(&s->asked, 0);
    weir__lock_release(&s->lock);
    return kept;
}

/* Takes the first of somebody's seat, whose top stood at t before the heavy fence, or what lies apart. NULL: there is none, or somebody was faster.
 * Locked, asked. */
static void *weir__seat_steal(weir__seat *s, uint32_t t)
{
    const uint32_t b = weir__load_acq(&s->bottom); /* acquire: the owner's pushes, and what was done to the objects */
    uint64_t object;
    if ((int32_t)(b - t) > 0) {
        object = weir__load_rlx(&s->object[t % WEIR__SEAT_ROOM]);
        /* Release: it has been read; pairs with the acquire in weir__seat_push. */
        if (weir__cas_rel(&s->top, &t, t + 1))
            return (void *)(uintptr_t)object;
    }
    object = weir__load_rlx(&s->hot);
    if (object == 0 ||
        !weir__cas_acq(&s->hot, &object, 0)) /* acquire: what was done to it, also if it went and came back since */
        return NULL;
    s->stolen = object;
    return (void *)(uintptr_t)object;
}

/* From one of `n` seats, behind one heavy fence, or NULL. */
static void *weir__seats_steal(weir__seat *seats, uint32_t n)
{
    uint32_t top[WEIR__SEAT_BATCH];
    void *object = NULL;
    for (uint32_t i = 0; i < n; i++) {
        weir__lock_take(&seats[i].lock); /* from the first to the last, as every thief does */
        top[i] = weir__load_rlx(&seats[i].top);
        weir__store_rlx(&seats[i].asked, 1);
    }
    WEIR_FENCE_HEAVY(); /* (Q) pairs with (P) in weir__seat_pop and weir__seat_cool */
    for (uint32_t i = 0; i < n; i++) {
        if (object == NULL)
            object = weir__seat_steal(&seats[i], top[i]);
        if (seats[i].stolen == 0)
            weir__store_rlx(&seats[i].asked, 0);
        weir__lock_release(&seats[i].lock);
    }
    return object;
}

/* From any seat, or NULL. */
static void *weir__objpool_steal(weir_objpool *pool)
{
    uint32_t used = 0;
    void *object = NULL;
    while (used < pool->seats && weir__load_rlx(&pool->seat[used].owner) != 0)
        used++; /* seats are taken from the front */
    for (uint32_t from = 0; from < used && object == NULL; from += WEIR__SEAT_BATCH) {
        const uint32_t left = used - from;
        object = weir__seats_steal(&pool->seat[from], left < WEIR__SEAT_BATCH ? left : (uint32_t)WEIR__SEAT_BATCH);
    }
    return object;
}

/* One that was never used. */
static int weir__objpool_fresh(weir_objpool *pool, void **object)
{
    unsigned char *memory = NULL;
    uint32_t n = weir__load_rlx(&pool->fresh);
    do {
        if (n >= pool->max) {
            if (memory != NULL)
                WEIR_FREE(memory);
            return EAGAIN;
        }
        if (n >= pool->count && memory == NULL && (memory = (unsigned char *)WEIR_ALLOC(16, pool->stride)) == NULL)
            return ENOMEM;
    } while (
        !weir__cas_rlx(&pool->fresh, &n, n + 1)); /* relaxed: the number, and no more; the object is nobody's yet */
    if (n >= pool->count)
        pool->grown[n - pool->count] = memory + WEIR__OBJPOOL_HEAD;
    *object = weir__objpool_at(pool, n);
    memcpy((unsigned char *)*object - WEIR__OBJPOOL_HEAD, &n, sizeof n);
    if (pool->opt.init != NULL)
        pool->opt.init(*object, pool->opt.arg);
    return 0;
}

/* The seat of a thread that comes by for the first time, or has forgotten it. */
static weir__seat *weir__objpool_sit(weir_objpool *pool, weir__seat_ticket *ticket)
{
    if (ticket->number != pool->number) {
        ticket->seat = weir__objpool_seat(pool);
        ticket->number = pool->number;
    }
    return ticket->seat;
}

WEIR_API int weir__objpool_get_slow(weir_objpool *pool, weir__seat_ticket *ticket, void **object)
{
    const bool known = ticket->number == pool->number;
    weir__seat *seat = weir__objpool_sit(pool, ticket);
    void *more;
    *object = known || seat == NULL ? NULL : weir__seat_take(pool, seat);
    if (*object != NULL)
        return 0;
    *object = weir__objpool_unshare(pool);
    if (*object == NULL) {
        *object = weir__objpool_steal(pool);
        return *object != NULL ? 0 : weir__objpool_fresh(pool, object);
    }
    for (int i = 0; i < WEIR__SEAT_ROOM / 4 && seat != NULL && (more = weir__objpool_unshare(pool)) != NULL; i++)
        (void)weir__seat_push(seat, more); /* it was empty, so there is room */
    return 0;
}

WEIR_API void weir__objpool_put_slow(weir_objpool *pool, weir__seat_ticket *ticket, void *object)
{
    weir__seat *seat = weir__objpool_sit(pool, ticket);
    void *more;
    if (seat != NULL) {
        if (weir__seat_push(seat, object))
            return;
        for (int i = 0; i < WEIR__SEAT_ROOM / 2 && (more = weir__seat_pop(pool, seat)) != NULL; i++)
            weir__objpool_share(pool, more);
    }
    weir__objpool_share(pool, object);
}

#endif /* WEIR_TASK_OBJPOOL_IMPLEMENTED */

/* ==== weir/task/job.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_JOB_IMPLEMENTED)
#define WEIR_TASK_JOB_IMPLEMENTED

#include <setjmp.h>

/* A job that runs, on the stack of the thread that called it. */
typedef struct weir__job_frame {
    jmp_buf back;
    int code;
    weir_job_cleanup *cleanups;
    struct weir__job_frame *outer; /* a job that has run this one: the queue was full */
} weir__job_frame;

#ifndef WEIR__JOB_FRAME /* the model's threads have no thread-locals */
static WEIR_THREAD_LOCAL weir__job_frame *weir__job_frame_own;
#define WEIR__JOB_FRAME() (&weir__job_frame_own)
#endif

/* Apart, so that nothing changes between setjmp and longjmp that the caller keeps in a register. */
static WEIR_NOINLINE int weir__job_enter(weir__job_frame *frame, weir_task_fn *fn, weir__job_guard *guard,
                                         weir_ctx *ctx, void *arg)
{
    if (setjmp(frame->back) != 0)
        return (*WEIR__JOB_FRAME())->code;
    return guard == NULL ? fn(ctx, arg) : guard(fn, ctx, arg);
}

WEIR_API int weir__job_call(weir_task_fn *fn, weir__job_guard *guard, weir_ctx *ctx, void *arg)
{
    weir__job_frame frame, **own = WEIR__JOB_FRAME();
    int rc;
    frame.code = 0;
    frame.cleanups = NULL;
    frame.outer = *own;
    *own = &frame;
    rc = weir__job_enter(&frame, fn, guard, ctx, arg);
    *own = frame.outer;
    return rc;
}

WEIR_API void weir_job_fail(int code)
{
    weir__job_frame *frame = *WEIR__JOB_FRAME();
    weir_job_cleanup *c;
    if (frame == NULL)
        return;
    frame->code = code == 0 ? ECANCELED : code;
    while ((c = frame->cleanups) != NULL) { /* off before it runs: one that fails in turn ends with the others */
        frame->cleanups = c->next;
        c->fn(c->arg);
    }
    longjmp(frame->back, 1);
}

WEIR_API void weir_job_defer(weir_job_cleanup *cleanup, void (*fn)(void *arg), void *arg)
{
    weir__job_frame *frame = *WEIR__JOB_FRAME();
    cleanup->fn = fn;
    cleanup->arg = arg;
    cleanup->next = NULL;
    if (frame == NULL)
        return;
    cleanup->next = frame->cleanups;
    frame->cleanups = cleanup;
}

WEIR_API void weir_job_undefer(weir_job_cleanup *cleanup, bool run)
{
    weir__job_frame *frame = *WEIR__JOB_FRAME();
    WEIR_ASSERT(frame == NULL || frame->cleanups == cleanup);
    if (frame != NULL)
        frame->cleanups = cleanup->next;
    if (run)
        cleanup->fn(cleanup->arg);
}

#endif /* WEIR_TASK_JOB_IMPLEMENTED */

/* ==== weir/task/pool_queue.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_QUEUE_IMPLEMENTED)
#define WEIR_TASK_POOL_QUEUE_IMPLEMENTED

WEIR_API int weir__pool_queue_make(weir__pool_queue *q, size_t capacity, unsigned age, const char *name)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    opt.name = name;
    memset(q, 0, sizeof *q);
    q->age = age;
    weir__waitq_init(&q->idle);
    for (int i = 0; i < WEIR__POOL_LEVELS; i++) {
        const int rc = weir__chan_make(&q->level[i], WEIR__MPMC, capacity, sizeof(weir__job), &opt);
        if (rc != 0) {
            weir__pool_queue_free(q);
            return rc;
        }
    }
    return 0;
}

WEIR_API void weir__pool_queue_free(weir__pool_queue *q)
{
    for (int i = 0; i < WEIR__POOL_LEVELS; i++)
        weir__chan_free(&q->level[i]);
}

WEIR_API void weir__pool_queue_close(weir__pool_queue *q)
{
    for (int i = 0; i < WEIR__POOL_LEVELS; i++)
        (void)weir__chan_close(q->level[i]); /* EPIPE: another thread does the same */
    /* Whoever joins from here on finds it closed in the last look; the lock of `idle` decides. */
    weir__waitq_wake(&q->idle, WEIR__WAKE_ALL);
}

WEIR_API size_t weir__pool_queue_len(weir__pool_queue *q)
{
    size_t len = 0;
    for (int i = 0; i < WEIR__POOL_LEVELS; i++)
        len += weir__chan_len(q->level[i]);
    return len;
}

/* A job has been published. */
static inline void weir__pool_queue_pushed(weir__pool_queue *q)
{
    WEIR_FENCE_LIGHT(); /* (B) pairs with (A) in weir__pool_worker_park */
    if (weir__load_rlx(&q->idle.attention) != 0 && (weir__chan_attention(&q->idle) & WEIR__ATTENTION_COUNT) != 0)
        weir__waitq_wake(&q->idle, 1);
}

/* A job into a ring, and out of it, in as few cache lines as it has. A channel's own send and receive copy it whole: that is the same job, but for what lies
 * behind a short one in the slot. */
static inline bool weir__job_push(weir__chan *c, const weir__job *job, int *rc)
{
    weir__claim claim;
    if (WEIR_UNLIKELY(!weir__ring_claim_push(&c->ring, WEIR__MPMC, sizeof *job, &claim)))
        return false;
    WEIR_HOOK("send claimed");
    WEIR_COPY_IN(claim.value, job, WEIR__JOB_SHORT);
    if (job->is_long)
        WEIR_COPY_IN((unsigned char *)claim.value + WEIR__JOB_SHORT, &job->id, sizeof *job - WEIR__JOB_SHORT);
    weir__ring_publish(&c->ring, WEIR__MPMC, sizeof *job, &claim);
    *rc = weir__chan_sent(c, claim.pos);
    return true;
}

static inline bool weir__job_pop(weir__ring *r, weir__job *job)
{
    const size_t rest = sizeof *job - WEIR__JOB_SHORT;
    weir__claim claim;
    if (weir__ring_of(WEIR__MPMC) == WEIR_RING_CK) { /* which copies before it claims */
        if (!weir__ring_pop(r, WEIR__MPMC, job, sizeof *job))
            return false;
    } else {
        if (!weir__ring_claim_pop(r, WEIR__MPMC, sizeof *job, &claim))
            return false;
        WEIR_HOOK("recv claimed");
        WEIR_COPY_OUT(job, claim.value, WEIR__JOB_SHORT);
        if (WEIR_UNLIKELY(job->is_long))
            WEIR_COPY_OUT(&job->id, (const unsigned char *)claim.value + WEIR__JOB_SHORT, rest);
        weir__ring_release(r, WEIR__MPMC, sizeof *job, &claim);
    }
    return true;
}

/* Before a try to publish a job, so whoever takes that job's slot for full will see the bit. Relaxed: nobody goes to sleep on it. */
static inline void weir__pool_queue_use(weir__pool_queue *q, int level)
{
    const uint32_t bit = 1U << level;
    if (WEIR_UNLIKELY((weir__load_rlx(&q->used) & bit) == 0))
        (void)weir__or_rlx(&q->used, bit);
}

/* 0; EAGAIN: there is no room; EPIPE: closed. */
static inline int weir__pool_queue_try_push(weir__pool_queue *q, const weir__job *job)
{
    weir__chan *c = q->level[job->level];
    int rc;
    weir__pool_queue_use(q, job->level);
    if (WEIR_UNLIKELY(!weir__job_push(c, job, &rc)))
        rc = weir__try_send_slow(c, job);
    if (WEIR_LIKELY(rc == 0))
        weir__pool_queue_pushed(q);
    return rc;
}

/* Lets the workers make room for more than one job. Who submits as soon as there is one place takes it from under the worker that has just left it, and the
 * two go on in step, a cache line's way for each job: 22 ns for an empty job on two cores, and 14 with 50 pauses (a microsecond or two). If little room has come
 * of it the jobs are longer, and a worker may want the core: without the yield, two workers ran jobs of 1 us one at a time, beside a submitter that paused. */
static void weir__pool_queue_stand_back(weir__chan *level)
{
    const size_t capacity = weir__chan_cap(level);
    for (size_t i = 0; i < capacity / 4 && i < WEIR_POOL_BURST_TURNS; i++)
        WEIR_CPU_PAUSE();
    if (capacity - weir__chan_len(level) < capacity / 16)
        (void)weir__backoff_yield();
}

WEIR_API int weir__pool_queue_push(weir_ctx *ctx, weir__pool_queue *q, const weir__job *job)
{
    int rc;
    weir__pool_queue_stand_back(q->level[job->level]);
    rc = weir__send_slow(ctx, q->level[job->level], job, WEIR_FOREVER);
    if (rc == 0)
        weir__pool_queue_pushed(q);
    return rc;
}

WEIR_API bool weir__pool_queue_drop(weir__pool_queue *q, int level, weir__job *job)
{
    return weir__job_pop(&q->level[level]->ring, job);
}

static inline bool weir__pool_queue_pop(weir__pool_queue *q, int level, weir__pool_turns *turns, weir__job *job)
{
    if (!weir__job_pop(&q->level[level]->ring, job))
        return false;
    (void)weir__chan_received(q->level[level]);
    turns->passed[level] = 0;
    for (int below = level + 1; below < WEIR__POOL_LEVELS; below++)
        turns->passed[below]++;
    turns->most++;
    return true;
}

/* From a level that was passed over for long, the lowest first. */
static WEIR_NOINLINE bool weir__pool_queue_take_aged(weir__pool_queue *q, weir__pool_turns *turns, weir__job *job)
{
    unsigned most = 0;
    for (int level = WEIR__POOL_LEVELS - 1; level > 0; level--) {
        if (turns->passed[level] < q->age) {
            most = turns->passed[level] > most ? turns->passed[level] : most;
            continue;
        }
        turns->passed[level] = 0; /* it has its look, whatever it finds */
        if (weir__pool_queue_pop(q, level, turns, job))
            return true; /* `most` as it was: the next take comes here too, for the levels above */
    }
    turns->most = most;
    return false;
}

WEIR_API bool weir__pool_queue_take(weir__pool_queue *q, weir__pool_turns *turns, weir__job *job)
{
    if (WEIR_UNLIKELY(turns->most >= q->age) && weir__pool_queue_take_aged(q, turns, job))
        return true;
    const uint32_t used = weir__load_rlx(&q->used);
    for (int level = 0; level < WEIR__POOL_LEVELS; level++)
        if ((used >> level & 1) != 0 && weir__pool_queue_pop(q, level, turns, job))
            return true;
    return false;
}

WEIR_API int weir__pool_queue_why(weir__pool_queue *q)
{
    int closed = 0;
    for (int i = 0; i < WEIR__POOL_LEVELS; i++) {
        const int why = weir__ring_why_empty(&q->level[i]->ring, WEIR__MPMC, sizeof(weir__job));
        if (why == 0)
            return 0;
        closed += why == EPIPE;
    }
    return closed == WEIR__POOL_LEVELS ? EPIPE : EAGAIN;
}

WEIR_API void weir__pool_queue_pass_on(weir__pool_queue *q)
{
    if (weir__waitq_sleepers(&q->idle) != 0 && weir__pool_queue_why(q) == 0)
        weir__waitq_wake(&q->idle, 1);
}

#endif /* WEIR_TASK_POOL_QUEUE_IMPLEMENTED */

/* ==== weir/task/pool_job.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_JOB_IMPLEMENTED)
#define WEIR_TASK_POOL_JOB_IMPLEMENTED

#ifndef WEIR__POOL_WORKER_SELF /* the model's threads have no thread-locals */
static WEIR_THREAD_LOCAL weir__pool_worker *weir__pool_worker_own;
#define WEIR__POOL_WORKER_SELF() (&weir__pool_worker_own)
#endif

WEIR_API weir__pool_worker *weir__pool_worker_self(void)
{
    return *WEIR__POOL_WORKER_SELF();
}

/* A worker counts for itself, so that no line is fought for; relaxed: numbers. */
WEIR_API void weir__pool_note(weir_pool *p, int what)
{
    weir__pool_worker *w = weir__pool_worker_self();
    if (w != NULL && w->pool == p)
        weir__store_rlx(&w->count[what], weir__load_rlx(&w->count[what]) + 1);
    else
        (void)weir__add_rlx(&p->count[what], 1);
}

WEIR_API void weir__pool_report(weir_pool *p, const weir__job *job, int error, bool ran, weir_ns begun, weir_ns ended)
{
    const weir__pool_worker *w = weir__pool_worker_self();
    weir_job_result result;
    int rc = 0;
    if (!job->is_long || (job->done == NULL && job->results == NULL && job->future == NULL))
        return;
    result.id = job->id;
    result.output = job->arg;
    result.error = error;
    result.ran = ran;
    result.queued = begun - job->queued_at;
    result.running = ended - begun;
    if (job->done != NULL)
        job->done(&result, job->done_arg);
    if (job->future != NULL)
        (void)weir__future_set(job->future, &result, 0); /* EINVAL: the program has set it */
    if (job->results != NULL)
        rc = weir__try_send_slow(job->results, &result);
    if (rc == EAGAIN && w != NULL && w->pool == p)
        rc = weir__send_slow(&p->ctx, job->results, &result, WEIR_FOREVER);
    if (rc != 0)
        weir__pool_note(p, WEIR__POOL_UNREPORTED);
}

/* For a runner: no job, so weir_job_fail does nothing in it, and never leaves through whoever called it. */
static void weir__pool_run_plain(weir_pool *p, const weir__job *job)
{
    weir__job_frame **frame = WEIR__JOB_FRAME(), *outer = *frame;
    *frame = NULL;
    if (p->opt.trace == NULL) {
        job->fn.plain(job->arg);
    } else {
        const weir_ns begun = weir_now();
        job->fn.plain(job->arg);
        weir_trace_record(p->opt.trace, p->opt.name, "task", begun, weir_now(), 0);
    }
    *frame = outer;
    weir__pool_note(p, WEIR__POOL_DONE);
}

/* Calls the job, in a context of its own if it has a time limit. What it returns. */
static int weir__pool_call(weir_pool *p, const weir__job *job, weir_ns now)
{
    weir_ctx own;
    weir_ns until = job->deadline == 0 ? WEIR_FOREVER : job->deadline;
    int rc;
    if (job->deadline == 0 && job->timeout == 0 && job->correlation == 0)
        return weir__job_call(job->fn.task, job->guard, &p->ctx, job->arg);
    if (job->timeout != 0 && weir_time_add(now, job->timeout) < until)
        until = weir_time_add(now, job->timeout);
    weir_ctx_init_deadline(&own, &p->ctx, until);
    if (job->correlation != 0)
        weir__correlation_set(&own, job->correlation);
    rc = weir__job_call(job->fn.task, job->guard, &own, job->arg);
    weir_ctx_free(&own);
    return rc;
}

/* The same, and says on the roll what is running. */
static int weir__pool_call_named(weir_pool *p, const weir__job *job, weir_ns now)
{
    weir__pool_worker *w = weir__pool_worker_self();
    const char *outer = w == NULL ? NULL : w->task;
    int rc;
    if (w == NULL || job->name == NULL)
        return weir__pool_call(p, job, now);
    w->task = job->name;
    weir_thread_task(job->name);
    rc = weir__pool_call(p, job, now);
    w->task = outer;
    weir_thread_task(outer);
    return rc;
}

/* A job for which something was asked: a name, a time limit, a report. */
static WEIR_NOINLINE void weir__pool_see_to_long(weir_pool *p, const weir__job *job)
{
    const bool timed = job->queued_at != 0 || job->deadline != 0 || job->timeout != 0 || p->opt.trace != NULL;
    const weir_ns begun = timed ? weir_now() : 0;
    weir_ns ended;
    int rc = weir_ctx_err(&p->ctx);
    if (WEIR_UNLIKELY(rc != 0)) {
        weir__pool_note(p, WEIR__POOL_CANCELLED);
        weir__pool_report(p, job, rc, false, begun, begun);
    } else if (WEIR_UNLIKELY(job->deadline != 0 && begun >= job->deadline)) {
        weir__pool_note(p, WEIR__POOL_EXPIRED);
        weir__pool_report(p, job, ETIMEDOUT, false, begun, begun);
    } else {
        rc = weir__pool_call_named(p, job, begun);
        weir__pool_note(p, rc == 0 ? WEIR__POOL_DONE : WEIR__POOL_FAILED);
        ended = timed ? weir_now() : 0;
        weir_trace_record(p->opt.trace, job->name == NULL ? p->opt.name : job->name, "job", begun, ended,
                          job->correlation);
        weir__pool_report(p, job, rc, true, begun, ended);
    }
}

static inline bool weir__pool_has_ended(weir_pool *p)
{
    return (weir__ctx_ended(&p->ctx) != 0 || p->ctx.deadline != WEIR_FOREVER) && weir_ctx_err(&p->ctx) != 0;
}

WEIR_API void weir__pool_see_to(weir_pool *p, const weir__job *job)
{
    int rc;
    if (job->is_long) {
        weir__pool_see_to_long(p, job);
    } else if (job->is_plain) {
        weir__pool_run_plain(p, job);
    } else if (WEIR_UNLIKELY(weir__pool_has_ended(p))) {
        weir__pool_note(p, WEIR__POOL_CANCELLED);
    } else {
        rc = weir__job_call(job->fn.task, job->guard, &p->ctx, job->arg);
        weir__pool_note(p, rc == 0 ? WEIR__POOL_DONE : WEIR__POOL_FAILED);
    }
}

#endif /* WEIR_TASK_POOL_JOB_IMPLEMENTED */

/* ==== weir/task/pool_worker.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_WORKER_IMPLEMENTED)
#define WEIR_TASK_POOL_WORKER_IMPLEMENTED

/* ---- how many workers ---- */

static void *weir__pool_worker_thread(void *pool);

WEIR_API int weir__pool_grow(weir_pool *p)
{
    weir__line_wakes wakes;
    weir__thread thread;
    const uint32_t threads = weir__load_rlx(&p->threads) + 1;
    int rc;
    weir__store_rlx(&p->threads, threads);
    p->most = threads > p->most ? threads : p->most;
    p->growing = true;
    weir__lock_release(&p->lock);
    rc = weir__roll_start(&thread, weir__pool_worker_thread, p);
    WEIR_HOOK("worker started");
    weir__lock_take(&p->lock); /* starting a thread takes long */
    p->growing = false;
    if (rc == 0)
        return 0;
    p->refused++;
    weir__store_rlx(&p->threads, weir__load_rlx(&p->threads) - 1);
    wakes.count = 0;
    if (weir__load_rlx(&p->threads) == 0)
        weir__list_call_all(&p->for_end, 0, &wakes);
    weir__line_wake(&wakes);
    return rc;
}

/* Whether so many wait that a worker more is wanted. Locked. */
static bool weir__pool_is_short(weir_pool *p)
{
    const size_t queued = weir__pool_queue_len(&p->queue);
    size_t waiting = weir__load_rlx(&p->threads) - p->listed; /* they will */
    uint64_t took = 0;
    for (weir__pool_worker *w = p->workers; w != NULL; w = w->next) {
        const uint64_t at = weir__load_rlx(&w->took);
        took = at > took ? at : took;
        waiting += weir__load_rlx(&w->waits);
    }
    if (queued <= waiting)
        return false;
    return queued - waiting >= p->opt.grow_depth || weir_now() - (weir_ns)took >= p->opt.grow_wait;
}

WEIR_API void weir__pool_consider(weir_pool *p)
{
    WEIR_FENCE(__ATOMIC_SEQ_CST); /* (G), of a submit, pairs with (G) of a worker */
    if (weir__pool_queue_len(&p->queue) == 0)
        return;
    weir__lock_take(&p->lock);
    while (!p->ending && !p->growing && weir__load_rlx(&p->threads) < weir__load_rlx(&p->max) &&
           weir__pool_is_short(p) && weir__pool_grow(p) == 0)
        p->grown++;
    weir__lock_release(&p->lock);
}

/* Whether there are more than there should be. Relaxed: decided under the lock. */
static inline bool weir__pool_is_wide(weir_pool *p)
{
    return weir__load_rlx(&p->threads) > weir__load_rlx(&p->max);
}

/* ---- a worker ---- */

/* Sleeps once. Returns whether a wake-up is owed from now on; `owes`: whether it was before. *late: it was idle for the pool's idle time. */
static bool weir__pool_worker_park(weir__pool_worker *w, bool owes, weir_ns until, bool *late)
{
    weir_pool *p = w->pool;
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__waiter node;
    weir__wait wait;
    weir_thread_task(NULL); /* a job may have said something */
    weir__wait_init(&wait, NULL, until, WEIR_WAIT_PARK);
    weir__wait_label(&wait, "idle", p->opt.name);
    weir__waiter_init(&node, &parker, WEIR__TICKET_QUEUE);
    WEIR_HOOK("worker parks");
    weir__waitq_join(&p->queue.idle, &node);
    WEIR_FENCE_HEAVY(); /* (A) pairs with (B) in weir__pool_queue_pushed */
    if (weir__pool_queue_why(&p->queue) == EAGAIN && !weir__pool_is_wide(p)) {
        owes = false; /* not ready: whoever makes it ready sees us */
        *late = weir__wait_parked(&wait, &parker, WEIR_WAIT_PARK, until) == WEIR__PARKER_CANCELLED;
    }
    weir__waitq_leave(&p->queue.idle, &node);
    return owes || weir__load_rlx(&parker.state) == WEIR__TICKET_QUEUE; /* relaxed: nobody knows of it any more */
}

/* A spin that found a job is worth another one of full length; one that did not is cut by half, down to a turn or two. With more threads than cores the one
 * that would submit a job waits for the core on which a worker spins: with two workers and a submitter on one core a sixth of all time went there. */
static inline void weir__pool_worker_learn(weir__pool_worker *w, bool found)
{
    w->unspun = found ? 0 : (w->unspun + WEIR_SPIN_TURNS) / 2;
}

/* Waits for a job. 0; EPIPE: there will be none; ETIMEDOUT: none came in the idle time; EAGAIN: there were more workers than there may be. */
static int weir__pool_worker_wait(weir__pool_worker *w, weir__job *job)
{
    weir_pool *p = w->pool;
    weir__backoff turns = {p->opt.wait, w->unspun};
    bool owes = false, late = false;
    weir_ns since = 0;
    int rc = EAGAIN;
    while (!late && !weir__pool_is_wide(p)) {
        if (weir__pool_queue_take(&p->queue, &w->turns, job)) {
            rc = 0;
            break;
        }
        /* Why it was empty is in the lines that those who submit write: not asked in every turn of a spin. */
        if ((!weir__backoff_spinning(&turns) || turns.turn % 16 == 15) && weir__pool_queue_why(&p->queue) == EPIPE) {
            rc = EPIPE;
            break;
        }
        if (weir__backoff_turn(&turns))
            continue;
        if (weir__load_rlx(&p->threads) <= weir__load_rlx(&p->min))
            since = WEIR_FOREVER;
        else if (since == 0 || since == WEIR_FOREVER)
            since = weir_now();
        owes = weir__pool_worker_park(w, owes, weir_time_add(since, p->opt.idle), &late);
        turns.turn = w->unspun;
    }
    if (rc == EAGAIN && late)
        rc = ETIMEDOUT;
    weir__pool_worker_learn(w, rc == 0 && weir__backoff_spinning(&turns));
    if (rc == EPIPE)
        weir__waitq_wake(&p->queue.idle, WEIR__WAKE_ALL);
    else if (owes)
        weir__pool_queue_pass_on(&p->queue);
    return rc;
}

/* The next job, as above. */
static int weir__pool_worker_next(weir__pool_worker *w, weir__job *job)
{
    weir_pool *p = w->pool;
    int rc = 0;
    if (weir__pool_is_wide(p) || !weir__pool_queue_take(&p->queue, &w->turns, job)) {
        weir__store_rlx(&w->waits, 1);
        rc = weir__pool_worker_wait(w, job);
    }
    weir__store_rlx(&w->waits, 0);
    if (rc != 0)
        return rc;
    if (job->queued_at != 0 && weir__load_rlx(&p->timed) != 0)
        weir__store_rlx(&w->took, (uint64_t)weir_now());
    if (WEIR_UNLIKELY(weir__load_rlx(&p->threads) < weir__load_rlx(&p->max)))
        weir__pool_consider(p); /* (G): after the store to `waits` */
    return 0;
}

/* Its last act. why: as above. False: it has to stay: with EAGAIN another has left meanwhile, with ETIMEDOUT there are no more than the least. */
static bool weir__pool_worker_end(weir__pool_worker *w, weir__roll_entry *entry, int why)
{
    weir_pool *p = w->pool;
    const bool wants = why != EPIPE;
    weir__line_wakes wakes;
    weir__thread before;
    bool any;
    wakes.count = 0;
    weir__lock_take(&p->lock);
    if (wants && !weir__pool_is_wide(p) && (why == EAGAIN || weir__load_rlx(&p->threads) <= weir__load_rlx(&p->min))) {
        weir__lock_release(&p->lock);
        return false;
    }
    weir__store_rlx(&p->threads, weir__load_rlx(&p->threads) - 1);
    if (wants && weir__load_rlx(&p->threads) < weir__load_rlx(&p->max)) { /* else nobody would start another */
        WEIR_FENCE_HEAVY(); /* (L) pairs with (B) in weir__pool_queue_pushed */
        if (weir__pool_queue_why(&p->queue) == 0) {
            weir__store_rlx(&p->threads, weir__load_rlx(&p->threads) + 1);
            weir__lock_release(&p->lock);
            return false;
        }
    }
    p->shrunk += wants;
    for (int i = 0; i < WEIR__POOL_COUNTS; i++)
        (void)weir__add_rlx(&p->count[i], weir__load_rlx(&w->count[i]));
    if (w->next != NULL)
        w->next->prev = w->prev;
    if (w->prev != NULL)
        w->prev->next = w->next;
    else
        p->workers = w->next;
    p->listed--;
    weir__roll_leave(entry);
    *WEIR__POOL_WORKER_SELF() = NULL;
    before = p->ended_thread;
    any = p->has_ended_thread;
    p->ended_thread = WEIR_THREAD_CURRENT();
    p->has_ended_thread = true;
    if (weir__load_rlx(&p->threads) == 0)
        weir__list_call_all(&p->for_end, 0, &wakes);
    weir__line_release(&p->lock, &wakes);
    if (any)
        WEIR_THREAD_JOIN(before);
    return true;
}

/* The name of the n-th worker: as much of the pool's as leaves room for the number. */
static void weir__pool_worker_name(char (*name)[16], const char *pool, unsigned n)
{
    char digits[12];
    size_t count = 0, length = 0;
    do
        digits[count++] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    while (pool[length] != '\0' && length < sizeof *name - 2 - count) {
        (*name)[length] = pool[length];
        length++;
    }
    (*name)[length++] = '-';
    while (count > 0)
        (*name)[length++] = digits[--count];
    (*name)[length] = '\0';
}

static void *weir__pool_worker_thread(void *pool)
{
    weir_pool *p = (weir_pool *)pool;
    weir__roll_entry entry;
    weir__pool_worker w;
    weir__job job;
    char name[16];
    unsigned n;
    memset(&w, 0, sizeof w);
    w.pool = p;
    w.waits = 1;
    w.took = (uint64_t)weir_now();
    *WEIR__POOL_WORKER_SELF() = &w;
    weir__lock_take(&p->lock);
    w.next = p->workers;
    if (w.next != NULL)
        w.next->prev = &w;
    p->workers = &w;
    p->listed++;
    n = p->numbered++;
    weir__lock_release(&p->lock);
    weir__pool_worker_name(&name, p->opt.name, n);
    weir__roll_enter(&entry, name);
    weir_thread_name(name);
    if (p->opt.cpus != NULL && p->opt.cpus_count > 0)
        (void)weir_pin(p->opt.cpus[n % p->opt.cpus_count]);
    for (;;) {
        const int rc = weir__pool_worker_next(&w, &job);
        if (rc == 0)
            weir__pool_see_to(p, &job);
        else if (weir__pool_worker_end(&w, &entry, rc))
            break;
    }
    return NULL;
}

#endif /* WEIR_TASK_POOL_WORKER_IMPLEMENTED */

/* ==== weir/task/pool.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_IMPLEMENTED)
#define WEIR_TASK_POOL_IMPLEMENTED

/* ---- submitting ---- */

/* EAGAIN: there is no room. */
static int weir__pool_put(weir_pool *p, const weir__job *job)
{
    int rc;
    if (WEIR_UNLIKELY(weir__fork_passed(p->forks)))
        return ENOTRECOVERABLE;
    rc = weir__pool_queue_try_push(&p->queue, job);
    if (rc == 0 && WEIR_UNLIKELY(weir__load_rlx(&p->threads) < weir__load_rlx(&p->max)))
        weir__pool_consider(p);
    return rc;
}

static int weir__pool_run_in_caller(weir_pool *p, const weir__job *job)
{
    weir__pool_note(p, WEIR__POOL_CALLER_RAN);
    weir__pool_see_to(p, job);
    return 0;
}

static int weir__pool_wait_for_room(weir_ctx *ctx, weir_pool *p, const weir__job *job)
{
    int rc;
    if (weir__pool_worker_self() != NULL)
        return weir__pool_run_in_caller(p, job);
    rc = weir__pool_queue_push(ctx, &p->queue, job);
    if (rc == 0 && weir__load_rlx(&p->threads) < weir__load_rlx(&p->max))
        weir__pool_consider(p);
    return rc;
}

/* A job that will not be run, for want of room. */
static void weir__pool_drop(weir_pool *p, const weir__job *job, int what)
{
    const weir_ns now = job->queued_at != 0 ? weir_now() : 0;
    weir__pool_note(p, what);
    weir__pool_report(p, job, EOVERFLOW, false, now, now);
}

static int weir__pool_put_for_oldest(weir_pool *p, const weir__job *job)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    weir__job oldest;
    int rc;
    do {
        if (!weir__pool_queue_drop(&p->queue, job->level, &oldest))
            weir__backoff_peer(&peer); /* it is just being taken, or has not been published yet */
        else if (oldest.is_plain)
            (void)weir__pool_run_in_caller(p, &oldest); /* a runner has promised that it is called */
        else
            weir__pool_drop(p, &oldest, WEIR__POOL_DROPPED_OLDEST);
    } while ((rc = weir__pool_put(p, job)) == EAGAIN);
    return rc;
}

static int weir__pool_overflow(weir_ctx *ctx, weir_pool *p, const weir__job *job, int overflow)
{
    switch (overflow) {
    case WEIR_OVERFLOW_REJECT: weir__pool_note(p, WEIR__POOL_REJECTED); return EAGAIN;
    case WEIR_OVERFLOW_DROP_NEWEST: weir__pool_drop(p, job, WEIR__POOL_DROPPED_NEWEST); return 0;
    case WEIR_OVERFLOW_DROP_OLDEST: return weir__pool_put_for_oldest(p, job);
    case WEIR_OVERFLOW_CALLER: return weir__pool_run_in_caller(p, job);
    default: return weir__pool_wait_for_room(ctx, p, job);
    }
}

/* The job as it lies in the queue. False: something in opt is wrong. */
static bool weir__job_fill(weir__job *job, const weir_job_opt *opt)
{
    if (opt->priority < WEIR_JOB_LOW || opt->priority > WEIR_JOB_URGENT || opt->deadline < 0 || opt->timeout < 0 ||
        opt->overflow < WEIR_OVERFLOW_DEFAULT || opt->overflow > WEIR_OVERFLOW_CALLER)
        return false;
    job->id = opt->id;
    job->deadline = opt->deadline;
    job->timeout = opt->timeout;
    job->name = opt->name;
    job->correlation = opt->correlation;
    job->done = opt->done;
    job->done_arg = opt->done_arg;
    job->results = WEIR__CHAN(opt->results);
    job->future = WEIR__CHAN(opt->future);
    job->level = WEIR__JOB_LEVEL(opt->priority);
    return true;
}

WEIR_API int weir__pool_submit(weir_ctx *ctx, weir_pool *p, weir_task_fn *fn, void *arg, const weir_job_opt *opt,
                               weir__job_guard *guard, bool waits)
{
    int overflow = opt == NULL ? (int)WEIR_OVERFLOW_DEFAULT : opt->overflow, rc;
    bool timed = weir__load_rlx(&p->timed) != 0;
    weir__job job;
    job.is_long = opt != NULL || p->watched;
    job.is_plain = 0;
    job.level = WEIR__JOB_NORMAL_LEVEL;
    if (fn == NULL || (opt != NULL && !weir__job_fill(&job, opt)))
        return EINVAL;
    job.fn.task = fn;
    job.arg = arg;
    job.guard = guard;
    if (WEIR_UNLIKELY(p->watched)) {
        if (opt == NULL)
            memset(&job.id, 0, sizeof job - WEIR__JOB_SHORT);
        if (job.correlation == 0)
            job.correlation = weir_correlation(ctx);
    }
    timed = timed || (opt != NULL && (job.done != NULL || job.results != NULL || job.future != NULL));
    job.queued_at = timed ? weir_now() : 0;
    rc = weir__pool_put(p, &job);
    if (WEIR_LIKELY(rc != EAGAIN))
        return rc;
    if (overflow == WEIR_OVERFLOW_DEFAULT)
        overflow = p->opt.overflow;
    return weir__pool_overflow(ctx, p, &job, waits ? overflow : (int)WEIR_OVERFLOW_REJECT);
}

static int weir__pool_run(weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg)
{
    weir_pool *p = ((weir__pool_runner *)(void *)runner)->pool;
    weir__job job;
    int rc;
    memset(&job, 0, sizeof job);
    job.fn.plain = fn;
    job.arg = arg;
    job.is_plain = 1;
    job.level = WEIR__JOB_NORMAL_LEVEL;
    job.queued_at = weir__load_rlx(&p->timed) != 0 ? weir_now() : 0;
    rc = weir__pool_put(p, &job);
    return rc == EAGAIN ? weir__pool_wait_for_room(ctx, p, &job) : rc;
}

/* ---- beginning ---- */

static int weir__pool_defaults(weir_pool_opt *opt)
{
    if (opt->min == 0)
        opt->min = opt->max != 0 ? opt->max : (unsigned)weir_cpu_count();
    if (opt->max == 0)
        opt->max = opt->min;
    if (opt->queue == 0)
        opt->queue = 256;
    if (opt->age == 0)
        opt->age = 16;
    if (opt->grow_depth == 0)
        opt->grow_depth = 1;
    if (opt->grow_wait == 0)
        opt->grow_wait = WEIR_MS(1);
    if (opt->idle == 0)
        opt->idle = WEIR_SEC(10);
    if (opt->name == NULL)
        opt->name = "pool";
    if (opt->overflow < WEIR_OVERFLOW_DEFAULT || opt->overflow > WEIR_OVERFLOW_CALLER ||
        (unsigned)opt->wait > WEIR_WAIT_PARK)
        return EINVAL;
    return opt->min > opt->max || opt->grow_wait < 0 || opt->idle < 0 ? EINVAL : 0;
}

/* Workers up to min. Locked. */
static int weir__pool_fill(weir_pool *p)
{
    int rc = 0;
    while (rc == 0 && !p->ending && weir__load_rlx(&p->threads) < weir__load_rlx(&p->min))
        rc = weir__pool_grow(p);
    return rc;
}

/* All but the workers. */
static int weir__pool_init(weir_pool *p, weir_ctx *parent, const weir_pool_opt *opt)
{
    int rc;
    memset(p, 0, sizeof *p);
    if (opt != NULL)
        p->opt = *opt;
    rc = weir__pool_defaults(&p->opt);
    if (rc == 0)
        rc = weir__pool_queue_make(&p->queue, p->opt.queue, p->opt.age, p->opt.name);
    if (rc != 0)
        return rc;
    p->min = p->opt.min;
    p->max = p->opt.max;
    p->timed = p->opt.max > p->opt.min;
    p->watched = p->opt.trace != NULL || p->opt.correlate;
    p->forks = weir__fork_count();
    p->runner.base.run = weir__pool_run;
    p->runner.pool = p;
    weir_ctx_init(&p->ctx, parent);
    return 0;
}

WEIR_API int weir_pool_start(weir_pool *p, weir_ctx *parent, const weir_pool_opt *opt)
{
    int rc = weir__pool_init(p, parent, opt);
    if (rc != 0)
        return rc;
    weir__lock_take(&p->lock); /* as who fills it wants */
    rc = weir__pool_fill(p);
    weir__lock_release(&p->lock);
    if (rc != 0)
        (void)weir_pool_free(p);
    return rc;
}

WEIR_API int weir_pool_resize(weir_pool *p, unsigned min, unsigned max)
{
    int rc = 0;
    if (min == 0 || min > max)
        return EINVAL;
    if (weir__fork_passed(p->forks))
        return ENOTRECOVERABLE;
    weir__lock_take(&p->lock); /* of the bounds */
    if (p->ending) {
        rc = EPIPE;
    } else {
        weir__store_rlx(&p->timed, max > min);
        weir__store_rlx(&p->min, min);
        weir__store_rlx(&p->max, max);
        rc = weir__pool_fill(p);
    }
    weir__lock_release(&p->lock);
    if (rc == 0)
        weir__pool_consider(p); /* for jobs that wait already, and for those who have found a start in progress */
    /* Those who wait look at the bounds again; the lock of `idle` decides who has seen them before. */
    weir__waitq_wake(&p->queue.idle, WEIR__WAKE_ALL);
    return rc;
}

/* ---- ending ---- */

static int weir__pool_end(weir_ctx *ctx, weir_pool *p, weir_ns deadline, bool cancels)
{
    const weir__pool_worker *self = weir__pool_worker_self();
    int rc = 0;
    if (weir__fork_passed(p->forks))
        return ENOTRECOVERABLE;
    weir__lock_take(&p->lock);
    p->ending = true; /* from here on no worker is started */
    weir__lock_release(&p->lock);
    weir__pool_queue_close(&p->queue);
    if (cancels)
        weir_ctx_cancel(&p->ctx, 0);
    if (self != NULL && self->pool == p)
        return EBUSY;
    weir__lock_take(&p->lock);
    while (weir__load_rlx(&p->threads) > 0 && rc == 0) {
        weir__waiter node;
        weir__wait w;
        weir__wait_init(&w, ctx, deadline, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "wait for a pool", p->opt.name);
        rc = weir__list_wait(&p->lock, &p->for_end, &node, &w);
    }
    if (weir__load_rlx(&p->threads) == 0) {
        rc = 0;
        if (p->has_ended_thread)
            WEIR_THREAD_JOIN(p->ended_thread);
        p->has_ended_thread = false;
    }
    weir__lock_release(&p->lock);
    return rc;
}

WEIR_API int weir_pool_drain(weir_ctx *ctx, weir_pool *p)
{
    return weir__pool_end(ctx, p, WEIR_FOREVER, false);
}

WEIR_API int weir_pool_stop(weir_pool *p)
{
    return weir__pool_end(NULL, p, WEIR_FOREVER, true);
}

WEIR_API int weir_pool_stop_until(weir_pool *p, weir_ns deadline)
{
    return weir__pool_end(NULL, p, deadline, true);
}

WEIR_API int weir_pool_free(weir_pool *p)
{
    int rc;
    if (p->queue.level[0] == NULL)
        return 0;
    rc = weir_pool_stop(p);
    if (rc == EBUSY)
        return rc;
    if (rc == 0)
        weir_ctx_free(&p->ctx);
    weir__pool_queue_free(&p->queue);
    return 0;
}

/* ---- watching ---- */

WEIR_API void weir_pool_stats(weir_pool *p, weir_pool_tally *tally)
{
    uint64_t count[WEIR__POOL_COUNTS];
    memset(tally, 0, sizeof *tally);
    weir__lock_take(&p->lock);
    for (int i = 0; i < WEIR__POOL_COUNTS; i++)
        count[i] = weir__load_rlx(&p->count[i]);
    for (weir__pool_worker *w = p->workers; w != NULL; w = w->next) {
        tally->running += weir__load_rlx(&w->waits) == 0;
        for (int i = 0; i < WEIR__POOL_COUNTS; i++)
            count[i] += weir__load_rlx(&w->count[i]);
    }
    tally->name = p->opt.name;
    tally->workers = weir__load_rlx(&p->threads);
    tally->most_workers = p->most;
    tally->grown = p->grown;
    tally->shrunk = p->shrunk;
    tally->refused = p->refused;
    weir__lock_release(&p->lock);
    tally->queued = weir__pool_queue_len(&p->queue);
    tally->done = count[WEIR__POOL_DONE];
    tally->failed = count[WEIR__POOL_FAILED];
    tally->expired = count[WEIR__POOL_EXPIRED];
    tally->cancelled = count[WEIR__POOL_CANCELLED];
    tally->rejected = count[WEIR__POOL_REJECTED];
    tally->dropped_newest = count[WEIR__POOL_DROPPED_NEWEST];
    tally->dropped_oldest = count[WEIR__POOL_DROPPED_OLDEST];
    tally->caller_ran = count[WEIR__POOL_CALLER_RAN];
    tally->unreported = count[WEIR__POOL_UNREPORTED];
}

#endif /* WEIR_TASK_POOL_IMPLEMENTED */

/* ==== weir/task/pool_metrics.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_METRICS_IMPLEMENTED)
#define WEIR_TASK_POOL_METRICS_IMPLEMENTED

#define WEIR__POOL_GAUGE(name, field, help)                                                                            \
    WEIR__TALLY_FIELD("weir_pool_" name, WEIR_PROMETHEUS_GAUGE, weir_pool_tally, field, help)
#define WEIR__POOL_COUNTER(name, field, help)                                                                          \
    WEIR__TALLY_FIELD("weir_pool_" name "_total", WEIR_PROMETHEUS_COUNTER, weir_pool_tally, field, help)

WEIR_API int weir_prometheus_pools(weir_prometheus *p, const weir_pool_tally *tallies, size_t n)
{
    static const weir__tally_field fields[] = {
        WEIR__POOL_GAUGE("workers", workers, "Workers."),
        WEIR__POOL_GAUGE("running", running, "Workers that are in a job."),
        WEIR__POOL_GAUGE("workers_most", most_workers, "The most workers at any one time."),
        WEIR__POOL_GAUGE("queued", queued, "Jobs that wait."),
        WEIR__POOL_COUNTER("done", done, "Jobs that have returned 0."),
        WEIR__POOL_COUNTER("failed", failed, "Jobs that have returned an error."),
        WEIR__POOL_COUNTER("expired", expired, "Jobs not run: their deadline had passed."),
        WEIR__POOL_COUNTER("cancelled", cancelled, "Jobs not run: the pool was stopped."),
        WEIR__POOL_COUNTER("rejected", rejected, "Jobs not accepted for want of room."),
        WEIR__POOL_COUNTER("dropped_newest", dropped_newest, "Jobs dropped for want of room."),
        WEIR__POOL_COUNTER("dropped_oldest", dropped_oldest, "Jobs dropped to make room."),
        WEIR__POOL_COUNTER("caller_ran", caller_ran, "Jobs that ran in the thread that submitted them."),
        WEIR__POOL_COUNTER("unreported", unreported, "Results for which there was no room."),
        WEIR__POOL_COUNTER("grown", grown, "Workers started because jobs waited."),
        WEIR__POOL_COUNTER("shrunk", shrunk, "Workers ended because there were too many."),
        WEIR__POOL_COUNTER("refused", refused, "Threads that the system refused."),
    };
    return weir__prometheus_tallies(p, fields, sizeof fields / sizeof fields[0], "pool", tallies, n, sizeof *tallies);
}

#endif /* WEIR_TASK_POOL_METRICS_IMPLEMENTED */

/* ==== weir/task/pool_map.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_POOL_MAP_IMPLEMENTED)
#define WEIR_TASK_POOL_MAP_IMPLEMENTED


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

/* ==== weir/guard/clock.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_CLOCK_IMPLEMENTED)
#define WEIR_GUARD_CLOCK_IMPLEMENTED

WEIR_API weir_ns weir__clock_left(weir_ctx *ctx, weir_ns deadline)
{
    const weir_ns end = weir_ctx_deadline(ctx);
    if (end < deadline)
        deadline = end;
    return deadline == WEIR_FOREVER ? WEIR_FOREVER : deadline - weir_now();
}

WEIR_API int weir__clock_sleep(weir_clock *clock, weir_ctx *ctx, weir_ns until)
{
    if (clock == NULL)
        return weir_sleep_until(ctx, until);
    if (clock->sleep != NULL)
        return clock->sleep(clock, ctx, until);
    return weir_sleep(ctx, until - clock->now(clock));
}

#endif /* WEIR_GUARD_CLOCK_IMPLEMENTED */

/* ==== weir/guard/rate.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_RATE_IMPLEMENTED)
#define WEIR_GUARD_RATE_IMPLEMENTED

/* A positive finite number as mantissa * 2^exponent, the mantissa's highest bit set. */
static uint64_t weir__double_split(double x, int *exponent)
{
    uint64_t bits, mantissa;
    memcpy(&bits, &x, sizeof bits);
    mantissa = bits & ((UINT64_C(1) << 52) - 1);
    *exponent = (int)(bits >> 52) - 1075;
    if (bits >> 52 != 0)
        mantissa |= UINT64_C(1) << 52;
    else
        ++*exponent; /* subnormal */
    for (; mantissa >> 63 == 0; mantissa <<= 1)
        --*exponent;
    return mantissa;
}

WEIR_API unsigned weir__rate_token_shift(double rate, int64_t burst)
{
    unsigned shift = 0;
    while (shift < 57 && (double)(UINT64_C(1) << shift) * rate < 2e9)
        shift++;
    while ((uint64_t)burst > WEIR__RATE_BURST >> shift)
        shift--;
    return shift;
}

WEIR_API uint64_t weir__rate_speed(double rate, unsigned token_shift, unsigned *speed_shift)
{
    int exponent;
    const uint64_t mantissa = weir__double_split(rate, &exponent), rest = (mantissa % 1000000000) << 29;
    *speed_shift = (unsigned)(29 - exponent - (int)token_shift);
    return (mantissa / 1000000000 << 29) + rest / 1000000000 + (rest % 1000000000 != 0);
}

#endif /* WEIR_GUARD_RATE_IMPLEMENTED */

/* ==== weir/guard/bucket.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_BUCKET_IMPLEMENTED)
#define WEIR_GUARD_BUCKET_IMPLEMENTED

WEIR_API int weir__bucket_attempt_slow(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                       int64_t n, weir_ns now)
{
    return weir__bucket_attempt_by(bucket, word, &rules->rule[word & 3], n, now);
}

WEIR_API int weir__bucket_take_late(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_clock *clock,
                                    int64_t n, weir_ns *now)
{
    int rc;
    do {
        const uint64_t word = weir__load_acq(bucket);
        *now = weir__clock_now(clock);
        rc = weir__bucket_attempt(bucket, word, rules, n, *now);
    } while (rc == WEIR__BUSY);
    return rc;
}

/* ---- rules ------------------------------------------------------------------------------------------------------------------- */

/* What the ledger says when so much is spent; `at_minted`: the rule's. */
static uint64_t weir__bucket_ledger_at(const weir__bucket_terms *terms, uint64_t at_minted, uint64_t spent)
{
    const unsigned shift = terms->token_shift;
    const int64_t distance = (int64_t)((spent - terms->minted) << 2) / 4;
    return at_minted + (shift >= WEIR__BUCKET_LEDGER ? (uint64_t)(distance >> (shift - WEIR__BUCKET_LEDGER))
                                                     : (uint64_t)distance << (WEIR__BUCKET_LEDGER - shift));
}

WEIR_API int weir__bucket_rule_set(weir__bucket_rules *rules, unsigned next, const weir__bucket_rule *before,
                                   double rate, int64_t burst, weir_ns now)
{
    weir__bucket_rule *rule = &rules->rule[next];
    const bool infinite = rate == WEIR_RATE_INFINITE;
    uint64_t speed = 0, period_bits;
    unsigned token_shift = 0, speed_shift = 0;
    double period;
    if (!(rate >= 0) || (rate > WEIR_RATE_MAX && !infinite) || burst < 0 || burst > WEIR_BURST_MAX)
        return EINVAL;
    if (!infinite)
        token_shift = weir__rate_token_shift(rate, burst);
    if (rate > 0 && !infinite)
        speed = weir__rate_speed(rate, token_shift, &speed_shift);
    period = speed == 0 ? WEIR_RATE_INFINITE : 1e9 / rate / (double)(UINT64_C(1) << token_shift);
    memcpy(&period_bits, &period, sizeof period_bits);
    /* Release, all of these: (A). */
    weir__store_rel(&rule->from, (uint64_t)now);
    weir__store_rel(&rule->speed, speed);
    weir__store_rel(&rule->burst, infinite ? UINT64_MAX : (uint64_t)burst << token_shift);
    weir__store_rel(&rule->shifts, (uint64_t)token_shift | (uint64_t)speed_shift << 8);
    weir__store_rel(&rule->period, period_bits);
    if (before == NULL) {
        weir__store_rlx(&rule->minted, 0); /* nobody decides yet */
        weir__store_rlx(&rule->ledger, 0);
    } else {
        const weir__bucket_terms terms = weir__bucket_read(before);
        const uint64_t end = terms.minted + weir__bucket_since(&terms, now);
        weir__store_rel(&rule->minted, end + WEIR__BUCKET_STEP);
        weir__store_rel(&rule->ledger, weir__bucket_ledger_at(&terms, weir__load_rlx(&before->ledger), end));
    }
    weir__store_rlx(&rules->newest, next);
    return 0;
}

WEIR_API uint64_t weir__bucket_begin(const weir__bucket_rules *rules, unsigned generation, weir_ns now)
{
    const weir__bucket_terms terms = weir__bucket_read(&rules->rule[generation]);
    return (terms.minted + weir__bucket_since(&terms, now) - (terms.burst == UINT64_MAX ? 0 : terms.burst)) << 2 |
           generation;
}

/* What a bucket holds at the end of rule `before`, in units of rule `next`, not more than fits there. */
static int64_t weir__bucket_carry(uint64_t word, const weir__bucket_terms *before, const weir__bucket_terms *next)
{
    const unsigned from = before->token_shift, to = next->token_shift;
    const int64_t most = next->burst == UINT64_MAX ? 0 : (int64_t)next->burst, least = -(int64_t)WEIR__BUCKET_AHEAD;
    weir__bucket_look look;
    int64_t holds;
    if (weir__bucket_look_at(&look, word, before, 0, next->from) != 0)
        return most; /* there was no limit: full */
    holds = -weir__bucket_ahead(&look);
    if (to <= from)
        holds >>= from - to;
    else if (holds > most >> (to - from))
        holds = most;
    else if (holds < least >> (to - from))
        holds = least;
    else
        holds = (int64_t)((uint64_t)holds << (to - from));
    return holds < most ? holds : most;
}

WEIR_API void weir__bucket_change(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, unsigned next)
{
    const weir__bucket_terms terms = weir__bucket_read(&rules->rule[next]);
    uint64_t word = weir__load_rlx(bucket), moved;
    do {
        const weir__bucket_terms before =
            weir__bucket_read(&rules->rule[word & 3]); /* under the owner's lock it does not change */
        moved = (terms.minted - (uint64_t)weir__bucket_carry(word, &before, &terms)) << 2 | next;
    } while (!weir__cas_rel(bucket, &word, moved)); /* release: the rule, for those who read its number */
}

/* ---- ahead of time ------------------------------------------------------------------------------------------------------------- */

/* How long until the rule has minted `units` (> 0) more: the smallest such number of nanoseconds. The double is a guess, off by a few; bisection from
 * there is exact. WEIR_FOREVER: never. */
static weir_ns weir__bucket_until(const weir__bucket_terms *terms, uint64_t period_bits, weir_ns now, uint64_t units)
{
    const weir_ns begun =
        now < terms->from ? terms->from : now; /* an old reading mints nothing until the rule begins */
    const uint64_t made = weir__bucket_since(terms, begun);
    weir_ns low, high, slack;
    double period, guess;
    memcpy(&period, &period_bits, sizeof period);
    guess = (double)units * period;
    if (terms->speed == 0 || !(guess < 2e18) || begun > WEIR_FOREVER / 2)
        return WEIR_FOREVER;
    slack = 2 + (weir_ns)(2 * period + guess * 1e-15);
    low = high = (weir_ns)guess;
    while (weir__bucket_since(terms, begun + high) - made < units)
        high += slack;
    while (low >= 0 && weir__bucket_since(terms, begun + low) - made >= units)
        low -= slack;
    if (low < 0)
        low = 0; /* 0 mints nothing */
    while (high - low > 1) {
        const weir_ns middle = low + (high - low) / 2;
        if (weir__bucket_since(terms, begun + middle) - made >= units)
            high = middle;
        else
            low = middle;
    }
    return weir_time_add(high, begun - now);
}

/* What the rule of the word that was seen says besides its terms; false: the word is another one by now, and all of it worth nothing. */
static bool weir__bucket_reads(const weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                               weir__bucket_terms *terms, uint64_t *period, uint64_t *ledger)
{
    const weir__bucket_rule *rule = &rules->rule[word & 3];
    *terms = weir__bucket_read(rule);
    *period = weir__load_acq(&rule->period); /* (B) */
    *ledger = weir__load_acq(&rule->ledger); /* (B) */
    return weir__load_rlx(bucket) == word;
}

WEIR_API int weir__bucket_reserve(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules, int64_t n,
                                  weir_ns now, weir_ns longest, weir_reservation *r)
{
    weir__bucket_look look;
    weir__bucket_terms terms;
    weir_ns wait = 0;
    uint64_t period, ledger;
    int64_t ahead;
    int rc;
    r->n = 0;
    r->when = now;
    if (!weir__bucket_reads(bucket, word, rules, &terms, &period, &ledger))
        return WEIR__BUSY;
    if ((rc = weir__bucket_look_at(&look, word, &terms, n, now)) != 0)
        return rc == ENOTSUP ? 0 : rc;
    ahead = weir__bucket_ahead(&look);
    if (ahead > 0)
        wait = ahead > (int64_t)WEIR__BUCKET_AHEAD ? WEIR_FOREVER
                                                   : weir__bucket_until(&terms, period, now, (uint64_t)ahead);
    if (wait == WEIR_FOREVER || wait > longest)
        return wait == WEIR_FOREVER ? EAGAIN : ETIMEDOUT;
    if (!weir__bucket_spend(bucket, &look))
        return WEIR__BUSY;
    r->n = n;
    r->when = weir_time_add(now, wait);
    r->ledger = weir__bucket_ledger_at(&terms, ledger, look.spent + look.need);
    return 0;
}

WEIR_API int weir__bucket_cancel(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                 const weir_reservation *r)
{
    weir__bucket_terms terms;
    uint64_t units, period, ledger;
    unsigned shift;
    int64_t since, back;
    if (!weir__bucket_reads(bucket, word, rules, &terms, &period, &ledger))
        return WEIR__BUSY;
    since = (int64_t)(weir__bucket_ledger_at(&terms, ledger, word >> 2) - r->ledger);
    back = r->n * (INT64_C(1) << WEIR__BUCKET_LEDGER) - (since > 0 ? since : 0);
    if (terms.burst == UINT64_MAX || back <= 0)
        return EAGAIN;
    shift = terms.token_shift;
    units = shift >= WEIR__BUCKET_LEDGER ? (uint64_t)back << (shift - WEIR__BUCKET_LEDGER)
                                         : (uint64_t)back >> (WEIR__BUCKET_LEDGER - shift);
    /* Release: see weir__bucket_spend. */
    return weir__cas_rel(bucket, &word, ((word >> 2) - units) << 2 | (word & 3)) ? 0 : WEIR__BUSY;
}

WEIR_API double weir__bucket_holds(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_ns now)
{
    weir__bucket_look look;
    weir__bucket_terms terms;
    uint64_t word, period, ledger;
    do
        word = weir__load_acq(bucket);
    while (!weir__bucket_reads(bucket, word, rules, &terms, &period, &ledger));
    if (weir__bucket_look_at(&look, word, &terms, 0, now) != 0)
        return WEIR_RATE_INFINITE;
    return (double)-weir__bucket_ahead(&look) / (double)(UINT64_C(1) << terms.token_shift);
}

WEIR_API bool weir__bucket_full(uint64_t word, const weir__bucket_rules *rules, weir_ns now, uint64_t *closed,
                                weir_ns *wait)
{
    const weir__bucket_rule *rule = &rules->rule[word & 3];
    const weir__bucket_terms terms = weir__bucket_read(rule);
    weir__bucket_look look;
    int64_t lacks = 0;
    look.minted = terms.minted;
    if (weir__bucket_look_at(&look, word, &terms, 0, now) == 0)
        lacks = (int64_t)terms.burst + weir__bucket_ahead(&look);
    *wait = lacks <= 0 ? 0 : weir__bucket_until(&terms, weir__load_rlx(&rule->period), now, (uint64_t)lacks);
    *closed = (look.minted + WEIR__BUCKET_CLOSED) << 2 | (word & 3);
    return lacks <= 0;
}

#endif /* WEIR_GUARD_BUCKET_IMPLEMENTED */

/* ==== weir/guard/limiter.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_LIMITER_IMPLEMENTED)
#define WEIR_GUARD_LIMITER_IMPLEMENTED

static void weir__limiter_note(weir_limiter *l, double rate, int64_t burst)
{
    uint64_t bits;
    memcpy(&bits, &rate, sizeof bits);
    weir__store_rlx(&l->rate, bits);
    weir__store_rlx(&l->burst, (uint64_t)burst);
}

WEIR_API int weir_limiter_init(weir_limiter *l, double rate, int64_t burst, weir_clock *clock)
{
    const weir_ns now = weir__clock_now(clock);
    memset(l, 0, sizeof *l);
    l->clock = clock;
    weir__limiter_note(l, rate, burst);
    if (weir__bucket_rule_set(&l->rules, 0, NULL, rate, burst, now) != 0)
        return EINVAL;
    l->bucket = weir__bucket_begin(&l->rules, 0, now);
    return 0;
}

WEIR_API double weir_limiter_rate(weir_limiter *l)
{
    const uint64_t bits = weir__load_rlx(&l->rate);
    double rate;
    memcpy(&rate, &bits, sizeof rate);
    return rate;
}

WEIR_API int64_t weir_limiter_burst(weir_limiter *l)
{
    return (int64_t)weir__load_rlx(&l->burst);
}

WEIR_API double weir_limiter_tokens(weir_limiter *l)
{
    return weir__bucket_holds(&l->bucket, &l->rules, weir__clock_now(l->clock));
}

/* Under the lock. */
static int weir__limiter_change(weir_limiter *l, double rate, int64_t burst)
{
    const unsigned now = (unsigned)weir__load_rlx(&l->bucket) & 3, next = (now + 1) & 3;
    if (weir__bucket_rule_set(&l->rules, next, &l->rules.rule[now], rate, burst, weir__clock_now(l->clock)) != 0)
        return EINVAL;
    weir__bucket_change(&l->bucket, &l->rules, next);
    weir__limiter_note(l, rate, burst);
    return 0;
}

WEIR_API int weir_limiter_set_rate(weir_limiter *l, double rate)
{
    int rc;
    weir__lock_take(&l->changing);
    rc = weir__limiter_change(l, rate, weir_limiter_burst(l));
    weir__lock_release(&l->changing);
    return rc;
}

WEIR_API int weir_limiter_set_burst(weir_limiter *l, int64_t burst)
{
    int rc;
    weir__lock_take(&l->changing);
    rc = weir__limiter_change(l, weir_limiter_rate(l), burst);
    weir__lock_release(&l->changing);
    return rc;
}

/* `longest` from now; *now: the reading of the clock. */
static int weir__limiter_reserve(weir_limiter *l, int64_t n, weir_ns longest, weir_reservation *r, weir_ns *now)
{
    int rc;
    do {
        const uint64_t word = weir__load_acq(&l->bucket);
        *now = weir__clock_now(l->clock);
        rc = weir__bucket_reserve(&l->bucket, word, &l->rules, n, *now, longest, r);
    } while (rc == WEIR__BUSY);
    return rc;
}

WEIR_API int weir_limiter_reserve(weir_limiter *l, int64_t n, weir_reservation *r)
{
    weir_ns now;
    return weir__limiter_reserve(l, n, WEIR_FOREVER, r, &now);
}

WEIR_API int weir_limiter_cancel(weir_limiter *l, weir_reservation *r)
{
    int rc = EAGAIN;
    if (r->n > 0 && weir__clock_now(l->clock) <= r->when)
        do
            rc = weir__bucket_cancel(&l->bucket, weir__load_acq(&l->bucket), &l->rules, r);
        while (rc == WEIR__BUSY);
    r->n = 0;
    return rc;
}

WEIR_API int weir_limiter_wait_until(weir_ctx *ctx, weir_limiter *l, int64_t n, weir_ns deadline)
{
    weir_reservation r;
    weir_ns now;
    int rc = weir_ctx_err(ctx);
    if (rc != 0)
        return rc; /* tokens or not: a limiter admits work */
    rc = weir__bucket_take(&l->bucket, &l->rules, l->clock, n, &now);
    if (rc != EAGAIN)
        return rc;
    rc = weir__limiter_reserve(l, n, weir__clock_left(ctx, deadline), &r, &now);
    if (rc == 0 && r.when > now && (rc = weir__clock_sleep(l->clock, ctx, r.when)) != 0)
        (void)weir_limiter_cancel(l, &r);
    return rc == EAGAIN ? ETIMEDOUT : rc;
}

#endif /* WEIR_GUARD_LIMITER_IMPLEMENTED */

/* ==== weir/guard/leaky.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_LEAKY_IMPLEMENTED)
#define WEIR_GUARD_LEAKY_IMPLEMENTED

WEIR_API int weir_leaky_init(weir_leaky *l, double rate, int64_t slack, weir_clock *clock)
{
    if (!(rate > 0) || slack < 0 || slack >= WEIR_BURST_MAX ||
        weir_limiter_init(&l->limiter, rate, 1 + slack, clock) != 0)
        return EINVAL;
    return slack == 0 ? 0 : weir_limiter_allow(&l->limiter, slack); /* nothing has been saved yet */
}

#endif /* WEIR_GUARD_LEAKY_IMPLEMENTED */

/* ==== weir/guard/limiter_map.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_LIMITER_MAP_IMPLEMENTED)
#define WEIR_GUARD_LIMITER_MAP_IMPLEMENTED

#ifndef WEIR__LIMITER_PROBES
#define WEIR__LIMITER_PROBES 32
#endif
enum { WEIR__LIMITER_FREE = 1, WEIR__LIMITER_FIRST_KEY };

/* ---- finding ------------------------------------------------------------------------------------------------------------------ */

/* The key as the table has it. The mixing is D. Stafford's variant 13 of MurmurHash3's, as in splitmix64: one to one, but for two numbers that mean
 * something else. */
static uint64_t weir__limiter_number(const weir_limiter_map *m, uint64_t key)
{
    uint64_t x = key ^ m->seed[0];
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x >= WEIR__LIMITER_FIRST_KEY ? x : x + WEIR__LIMITER_FIRST_KEY;
}

static weir__limiter_place *weir__limiter_probe(const weir_limiter_map *m, uint64_t number, uint64_t i)
{
    return &m->places[(number + i) & m->mask];
}

/* Relaxed: what the key promises is looked at again, after the bucket. NULL: not there. */
static weir__limiter_place *weir__limiter_find(const weir_limiter_map *m, uint64_t number)
{
    for (uint64_t i = 0; i < WEIR__LIMITER_PROBES; i++) {
        weir__limiter_place *place = weir__limiter_probe(m, number, i);
        const uint64_t key = weir__load_rlx(&place->key);
        if (key == number)
            return place;
        if (key == 0)
            break;
    }
    return NULL;
}

/* For who has not found it and must be sure: a key that is looked at to be forgotten is not there for a moment, and may come back. */
static weir__limiter_place *weir__limiter_find_surely(weir_limiter_map *m, uint64_t number)
{
    weir__limiter_place *place = weir__limiter_find(m, number);
    if (place == NULL) {
        weir__lock_take(&m->lock);
        place = weir__limiter_find(m, number);
        weir__lock_release(&m->lock);
    }
    return place;
}

/* ---- coming in, under the lock ------------------------------------------------------------------------------------------------ */

/* Forgets the key of a place, if its bucket is full. False: it is not; *wait: for how long. */
static bool weir__limiter_forget(weir_limiter_map *m, weir__limiter_place *place, weir_ns now, weir_ns *wait)
{
    /* Relaxed: keys and rules change under the lock. */
    const uint64_t number = weir__load_rlx(&place->key);
    uint64_t word = weir__load_rlx(&place->bucket), closed;
    if (!weir__bucket_full(word, &m->rules, now, &closed, wait))
        return false;
    weir__store_rlx(&place->key, WEIR__LIMITER_FREE);     /* (1): the release of (2) publishes it */
    while (!weir__cas_rel(&place->bucket, &word, closed)) /* (2) pairs with (a) */
        if (!weir__bucket_full(word, &m->rules, now, &closed, wait)) {
            /* Release: whoever finds it by this sees a bucket no older than the one seen here. */
            weir__store_rel(&place->key, number);
            return false;
        }
    weir__store_rlx(&m->used, m->used - 1);
    return true;
}

/* Forgets some keys, beginning where the last search ended: as soon as one is gone, no more than another few places. False: none is full. */
static bool weir__limiter_sweep(weir_limiter_map *m, weir_ns now)
{
    weir_ns soonest = WEIR_FOREVER, wait;
    uint64_t end = m->mask + 1;
    bool any = false;
    if (now < (weir_ns)weir__load_rlx(&m->none_before))
        return false;
    for (uint64_t i = 0; i < end; i++) {
        weir__limiter_place *place = &m->places[m->hand++ & m->mask];
        if (place->key < WEIR__LIMITER_FIRST_KEY)
            continue;
        if (weir__limiter_forget(m, place, now, &wait)) {
            end = any ? end : i + 64 < end ? i + 64 : end;
            any = true;
        } else if (wait < soonest)
            soonest = wait;
    }
    if (!any)
        weir__store_rlx(&m->none_before, (uint64_t)weir_time_add(now, soonest));
    return any;
}

/* The first free place on a key's way. No other: who looks for the key goes no further than to a place that has always been free. */
static weir__limiter_place *weir__limiter_free_place(const weir_limiter_map *m, uint64_t number)
{
    for (uint64_t i = 0; i < WEIR__LIMITER_PROBES; i++) {
        weir__limiter_place *place = weir__limiter_probe(m, number, i);
        if (place->key < WEIR__LIMITER_FIRST_KEY)
            return place;
    }
    return NULL;
}

/* A place for a new key: one that is free, or was until now one of a key that can be forgotten. NULL: none. The places on its way are looked at even
 * after a search that found nothing to forget: tokens may have come back since. */
static weir__limiter_place *weir__limiter_room(weir_limiter_map *m, uint64_t number, weir_ns now)
{
    weir__limiter_place *place = NULL;
    weir_ns wait;
    if (m->used < m->capacity || weir__limiter_sweep(m, now))
        place = weir__limiter_free_place(m, number);
    for (uint64_t i = 0; place == NULL && i < WEIR__LIMITER_PROBES; i++) {
        weir__limiter_place *other = weir__limiter_probe(m, number, i);
        if (other->key >= WEIR__LIMITER_FIRST_KEY && weir__limiter_forget(m, other, now, &wait))
            place = weir__limiter_free_place(m, number);
    }
    return place;
}

static weir__limiter_place *weir__limiter_enter(weir_limiter_map *m, uint64_t number)
{
    weir__limiter_place *place;
    weir__lock_take(&m->lock);
    if ((place = weir__limiter_find(m, number)) == NULL) {
        const weir_ns now = weir__clock_now(m->clock);
        if ((place = weir__limiter_room(m, number, now)) != NULL) {
            const uint64_t full = weir__bucket_begin(&m->rules, m->generation, now) >> 2;
            m->salt++;
            weir__store_rel(&place->bucket, (full - (m->salt & 0xffff)) << 2 | m->generation); /* (3) */
            weir__store_rel(&place->key, number);                                              /* (4) */
            weir__store_rlx(&m->used, m->used + 1);
        }
    }
    weir__lock_release(&m->lock);
    return place;
}

/* ---- deciding ------------------------------------------------------------------------------------------------------------------ */

/* The bucket of a key, and what is in it, when the key was seen there after it. NULL: no room for a new key. */
static weir__limiter_place *weir__limiter_at(weir_limiter_map *m, uint64_t number, uint64_t *word)
{
    for (;;) {
        weir__limiter_place *place = weir__limiter_find(m, number);
        if (place == NULL && (place = weir__limiter_enter(m, number)) == NULL)
            return NULL;
        *word = weir__load_acq(&place->bucket);    /* (a) pairs with (3) */
        if (weir__load_acq(&place->key) == number) /* (b). Acquire: (c) comes after it */
            return place;
    }
}

static bool weir__limiter_never(weir_limiter_map *m, int64_t n)
{
    return n < 0 || (uint64_t)n > weir__load_rlx(&m->most);
}

/* The clock before the bucket, and only for a refusal after it: see weir__bucket_take. */
WEIR_API int weir_limiter_map_allow(weir_limiter_map *m, uint64_t key, int64_t n)
{
    const uint64_t number = weir__limiter_number(m, key);
    weir__limiter_place *place;
    weir_ns now;
    uint64_t word;
    bool late = false;
    if (weir__limiter_never(m, n))
        return EINVAL; /* before it takes a place */
    for (now = weir__clock_now(m->clock);;) {
        int rc;
        if ((place = weir__limiter_at(m, number, &word)) == NULL)
            return EOVERFLOW;
        if (late)
            now = weir__clock_now(m->clock);
        rc = weir__bucket_attempt(&place->bucket, word, &m->rules, n, now); /* (c) */
        if (rc != WEIR__BUSY && (rc != EAGAIN || late))
            return rc;
        late |= rc == EAGAIN;
    }
}

static int weir__limiter_map_reserve(weir_limiter_map *m, uint64_t key, int64_t n, weir_ns longest, weir_reservation *r,
                                     weir_ns *now)
{
    const uint64_t number = weir__limiter_number(m, key);
    weir__limiter_place *place;
    uint64_t word;
    int rc;
    r->n = 0;
    if (weir__limiter_never(m, n))
        return EINVAL;
    do {
        if ((place = weir__limiter_at(m, number, &word)) == NULL)
            return EOVERFLOW;
        *now = weir__clock_now(m->clock);
        rc = weir__bucket_reserve(&place->bucket, word, &m->rules, n, *now, longest, r); /* (c) */
    } while (rc == WEIR__BUSY);
    return rc;
}

WEIR_API int weir_limiter_map_reserve(weir_limiter_map *m, uint64_t key, int64_t n, weir_reservation *r)
{
    weir_ns now;
    return weir__limiter_map_reserve(m, key, n, WEIR_FOREVER, r, &now);
}

WEIR_API int weir_limiter_map_cancel(weir_limiter_map *m, uint64_t key, weir_reservation *r)
{
    const uint64_t number = weir__limiter_number(m, key);
    weir__limiter_place *place;
    int rc = EAGAIN;
    if (r->n > 0 && weir__clock_now(m->clock) <= r->when)
        do {
            uint64_t word;
            if ((place = weir__limiter_find_surely(m, number)) == NULL)
                break;                             /* it was full, and is forgotten */
            word = weir__load_acq(&place->bucket); /* (a) */
            /* (b). Relaxed: no refusal has to be true, and what is given back needs the bucket of (a). */
            rc = weir__load_rlx(&place->key) != number ? WEIR__BUSY
                                                       : weir__bucket_cancel(&place->bucket, word, &m->rules, r);
        } while (rc == WEIR__BUSY);
    r->n = 0;
    if (rc != 0)
        return EAGAIN;
    weir__store_rlx(&m->none_before, 0); /* it may be full earlier than the last search has computed */
    return 0;
}

WEIR_API int weir_limiter_map_wait(weir_ctx *ctx, weir_limiter_map *m, uint64_t key, int64_t n)
{
    weir_reservation r;
    weir_ns now;
    int rc = weir_ctx_err(ctx);
    if (rc != 0)
        return rc;
    rc = weir__limiter_map_reserve(m, key, n, weir__clock_left(ctx, WEIR_FOREVER), &r, &now);
    if (rc == 0 && r.when > now && (rc = weir__clock_sleep(m->clock, ctx, r.when)) != 0)
        (void)weir_limiter_map_cancel(m, key, &r);
    return rc == EAGAIN ? ETIMEDOUT : rc;
}

/* ---- the map ------------------------------------------------------------------------------------------------------------------- */

static int weir__limiter_map_rule(weir_limiter_map *m, unsigned next, const weir__bucket_rule *before, double rate,
                                  int64_t burst)
{
    if (weir__bucket_rule_set(&m->rules, next, before, rate, burst, weir__clock_now(m->clock)) != 0)
        return EINVAL;
    m->generation = next;
    m->rate = rate;
    m->burst = burst;
    weir__store_rlx(&m->none_before, 0);
    weir__store_rlx(&m->most, rate == WEIR_RATE_INFINITE ? UINT64_MAX : (uint64_t)burst);
    return 0;
}

WEIR_API int weir_limiter_map_init(weir_limiter_map *m, double rate, int64_t burst, size_t capacity, weir_clock *clock)
{
    uint64_t places = WEIR__LIMITER_PROBES;
    memset(m, 0, sizeof *m);
    m->clock = clock;
    m->capacity = capacity;
    for (int i = 0; i < 2; i++)
        m->seed[i] = (uint64_t)weir__random_below(UINT32_MAX) << 32 | weir__random_below(UINT32_MAX);
    if (capacity == 0 || weir__limiter_map_rule(m, 0, NULL, rate, burst) != 0)
        return EINVAL;
    if ((uint64_t)capacity > UINT64_C(1) << 32)
        return EOVERFLOW;
    while (places < 2 * (uint64_t)capacity)
        places *= 2;
    if (places > SIZE_MAX / sizeof *m->places)
        return EOVERFLOW;
    m->mask = places - 1;
    m->places = (weir__limiter_place *)WEIR_ALLOC(WEIR_CACHE_PAD, (size_t)places * sizeof *m->places);
    if (m->places == NULL)
        return ENOMEM;
    memset(m->places, 0, (size_t)places * sizeof *m->places);
    return 0;
}

WEIR_API void weir_limiter_map_free(weir_limiter_map *m)
{
    if (m->places != NULL)
        WEIR_FREE(m->places);
    memset(m, 0, sizeof *m);
}

WEIR_API int weir_limiter_map_set(weir_limiter_map *m, double rate, int64_t burst)
{
    int rc;
    weir__lock_take(&m->lock);
    {
        const unsigned next = (m->generation + 1) & 3;
        rc = weir__limiter_map_rule(m, next, &m->rules.rule[m->generation], rate, burst);
        for (uint64_t i = 0; rc == 0 && i <= m->mask; i++)
            if (m->places[i].key >= WEIR__LIMITER_FIRST_KEY)
                weir__bucket_change(&m->places[i].bucket, &m->rules, next);
    }
    weir__lock_release(&m->lock);
    return rc;
}

WEIR_API size_t weir_limiter_map_count(weir_limiter_map *m)
{
    return (size_t)weir__load_rlx(&m->used);
}

#endif /* WEIR_GUARD_LIMITER_MAP_IMPLEMENTED */

/* ==== weir/guard/rolling.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_ROLLING_IMPLEMENTED)
#define WEIR_GUARD_ROLLING_IMPLEMENTED

/* The head has a cache line of its own, before the slots. */
enum { WEIR__ROLLING_HEAD = WEIR_CACHE_PAD / 8 };

WEIR_API int weir__rolling_init(weir__rolling *r, uint32_t calls, uint32_t buckets, weir_ns bucket)
{
    size_t slots = 1, bytes;
    memset(r, 0, sizeof *r);
    while (slots < calls)
        slots *= 2;
    bytes = (calls != 0 ? WEIR__ROLLING_HEAD + slots : (size_t)2 * buckets) * sizeof(uint64_t);
    r->words = (weir__atomic_u64 *)WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    if (r->words == NULL)
        return ENOMEM;
    memset(r->words, 0, bytes);
    r->calls = calls;
    r->mask = (uint32_t)slots - 1;
    r->buckets = buckets;
    r->bucket = bucket;
    return 0;
}

WEIR_API void weir__rolling_free(weir__rolling *r)
{
    if (r->words != NULL)
        WEIR_FREE(r->words);
    memset(r, 0, sizeof *r);
}

static bool weir__rolling_current(const weir__atomic_u64 *guard, uint64_t generation)
{
    return weir__load_rlx(guard) >> WEIR__GENERATION_AT == generation;
}

/* ---- by count ---- */

enum { WEIR__ROLLING_SEQUENCE_AT = 11, WEIR__ROLLING_GENERATION_AT = 34 };
#define WEIR__ROLLING_FAILURES (UINT64_C(0x3ff) << 1)
#define WEIR__ROLLING_SEQUENCES (UINT64_C(1) << (WEIR__ROLLING_GENERATION_AT - WEIR__ROLLING_SEQUENCE_AT))

static uint64_t weir__rolling_sequence(uint64_t head)
{
    return (head >> WEIR__ROLLING_SEQUENCE_AT) & (WEIR__ROLLING_SEQUENCES - 1);
}

static weir__atomic_u64 *weir__rolling_slot(weir__rolling *r, uint64_t sequence)
{
    return &r->words[WEIR__ROLLING_HEAD + (sequence & r->mask)];
}

/* The latest note stands in `head` alone: puts it into its slot, for whoever it was. */
static void weir__rolling_settle(weir__rolling *r, uint64_t head)
{
    weir__atomic_u64 *slot = weir__rolling_slot(r, weir__rolling_sequence(head) - 1);
    const uint64_t entry = head & ~WEIR__ROLLING_FAILURES;
    uint64_t was = weir__load_acq(slot); /* (R) pairs with the swap below: one of a later note brings a later head */
    if (was != entry && weir__load_rlx(&r->words[0]) == head)
        (void)weir__cas_rel(slot, &was, entry); /* (S) */
}

/* The head after one more note on top of `head`, which is settled and of the same generation. */
static uint64_t weir__rolling_next(weir__rolling *r, uint64_t head, bool failed)
{
    uint64_t sequence = weir__rolling_sequence(head), failures = (head & WEIR__ROLLING_FAILURES) >> 1;
    if (sequence >= r->calls)
        failures -= weir__load_rlx(weir__rolling_slot(r, sequence - r->calls)) & 1; /* settled before the head was */
    if (++sequence == WEIR__ROLLING_SEQUENCES)
        sequence /= 2;
    failures += failed;
    return head >> WEIR__ROLLING_GENERATION_AT << WEIR__ROLLING_GENERATION_AT | sequence << WEIR__ROLLING_SEQUENCE_AT |
           failures << 1 | failed;
}

static weir__rolling_sum weir__rolling_sum_of(const weir__rolling *r, uint64_t head)
{
    const uint64_t sequence = weir__rolling_sequence(head);
    weir__rolling_sum sum;
    sum.calls = sequence < r->calls ? sequence : r->calls;
    sum.failures = (head & WEIR__ROLLING_FAILURES) >> 1;
    return sum;
}

static bool weir__rolling_note_count(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                     weir__rolling_sum *sum)
{
    for (;;) {
        /* (R) pairs with the swap below: a head of a later generation brings a later word of the guard. And what was settled before it. */
        uint64_t head = weir__load_acq(&r->words[0]), next;
        if (!weir__rolling_current(guard, generation))
            return false;
        if (head >> WEIR__ROLLING_GENERATION_AT == generation && weir__rolling_sequence(head) != 0) {
            weir__rolling_settle(r, head);
            next = weir__rolling_next(r, head, failed);
        } else { /* the first of its generation */
            next = generation << WEIR__ROLLING_GENERATION_AT | UINT64_C(1) << WEIR__ROLLING_SEQUENCE_AT |
                   (failed ? 3U : 0U);
        }
        if (weir__cas_rel(&r->words[0], &head, next)) { /* (S) */
            if (sum != NULL)
                *sum = weir__rolling_sum_of(r, next);
            return true;
        }
    }
}

/* ---- by time ---- */

#define WEIR__ROLLING_COUNT (UINT64_C(0xffffff))
#define WEIR__ROLLING_LAPS (UINT64_C(0xfffffff))

/* What marks the buckets of a generation in a window's length. */
static uint64_t weir__rolling_mark(uint64_t generation, uint64_t lap)
{
    return generation << 52 | (lap & WEIR__ROLLING_LAPS) << 24;
}

static bool weir__rolling_note_time(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                    weir_ns now)
{
    const uint64_t at = (uint64_t)now / (uint64_t)r->bucket, lap = at / r->buckets;
    const uint64_t mark = weir__rolling_mark(generation, lap);
    weir__atomic_u64 *bucket = &r->words[2 * (at % r->buckets) + failed];
    for (;;) {
        /* (R) pairs with the swap below: a bucket of a later generation brings a later word of the guard. */
        uint64_t was = weir__load_acq(bucket), next = mark | 1;
        if (!weir__rolling_current(guard, generation))
            return false;
        if ((was ^ mark) < WEIR__ROLLING_COUNT)
            next = was + 1;
        else if ((was ^ mark) >> 52 == 0 && (((was >> 24) - lap) & WEIR__ROLLING_LAPS) <= 16)
            return true; /* it is full; or others have read a later time, and this end has left the window */
        if (weir__cas_rel(bucket, &was, next)) /* (S) */
            return true;
    }
}

WEIR_API bool weir__rolling_note(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                 weir_ns now, weir__rolling_sum *sum)
{
    if (r->calls != 0)
        return weir__rolling_note_count(r, guard, generation, failed, sum);
    if (!weir__rolling_note_time(r, guard, generation, failed, now))
        return false;
    if (sum != NULL)
        *sum = weir__rolling_read(r, generation, now);
    return true;
}

WEIR_API weir__rolling_sum weir__rolling_read(weir__rolling *r, uint64_t generation, weir_ns now)
{
    weir__rolling_sum sum = {0, 0};
    if (r->calls != 0) {
        const uint64_t head = weir__load_rlx(&r->words[0]);
        return head >> WEIR__ROLLING_GENERATION_AT == generation ? weir__rolling_sum_of(r, head) : sum;
    }
    for (uint64_t i = 0, at = (uint64_t)now / (uint64_t)r->bucket; i < r->buckets; i++) {
        /* Buckets up to the present one are of this length of the window, those behind it of the one before. */
        const uint64_t mark = weir__rolling_mark(generation, at / r->buckets - (i > at % r->buckets));
        for (int failed = 0; failed < 2; failed++) {
            const uint64_t bucket = weir__load_rlx(&r->words[2 * i + (uint64_t)failed]);
            const uint64_t n = (bucket ^ mark) <= WEIR__ROLLING_COUNT ? bucket & WEIR__ROLLING_COUNT : 0;
            sum.calls += n;
            sum.failures += failed != 0 ? n : 0;
        }
    }
    return sum;
}

#endif /* WEIR_GUARD_ROLLING_IMPLEMENTED */

/* ==== weir/guard/circuit.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_CIRCUIT_IMPLEMENTED)
#define WEIR_GUARD_CIRCUIT_IMPLEMENTED

WEIR_API const char *weir_breaker_state_text(int state)
{
    switch (state) {
    case WEIR_BREAKER_CLOSED: return "closed";
    case WEIR_BREAKER_HALF_OPEN: return "half-open";
    case WEIR_BREAKER_OPEN: return "open";
    case WEIR_BREAKER_FORCED_OPEN: return "forced open";
    case WEIR_BREAKER_DISABLED: return "disabled";
    default: return "unknown";
    }
}

/* A time that the words can hold; 0: the default. */
static weir_ns weir__breaker_time(weir_ns given, weir_ns standard)
{
    return given == 0 ? standard : given < WEIR__BREAKER_LONGEST ? given : WEIR__BREAKER_LONGEST;
}

/* Defaults are filled in. Written so that what is not a number does not pass either. */
static bool weir__breaker_in_range(const weir_breaker_config *c)
{
    if (c->window_calls != 0 && (c->window_time != 0 || c->min_calls > c->window_calls))
        return false;
    if (c->window_calls == 0 && c->window_time == 0 && c->failure_rate != 0)
        return false; /* of what? */
    return c->consecutive <= WEIR__BREAKER_COUNTS && c->window_calls <= WEIR__ROLLING_CALLS_MAX &&
           c->window_time >= 0 && c->buckets <= WEIR__ROLLING_BUCKETS_MAX && c->failure_rate >= 0 &&
           c->failure_rate <= 1 && c->open_time > 0 && c->max_open_time >= c->open_time && c->growth >= 1 &&
           c->jitter >= 0 && c->jitter <= 1 && c->probes <= WEIR__BREAKER_COUNT &&
           c->successes <= WEIR__BREAKER_COUNT && c->half_open_time >= 0;
}

WEIR_API int weir__breaker_defaults(weir_breaker_config *c)
{
    const bool window = c->window_calls != 0 || c->window_time != 0;
    if (c->consecutive == 0 && !window && c->trips == NULL)
        c->consecutive = 5;
    if (c->failure_rate == 0 && window && c->trips == NULL)
        c->failure_rate = 0.5;
    if (c->min_calls == 0)
        c->min_calls = c->window_calls != 0 ? c->window_calls : 20;
    if (c->buckets == 0)
        c->buckets = 10;
    if (c->growth == 0)
        c->growth = 1;
    if (c->probes == 0)
        c->probes = 1;
    if (c->successes == 0)
        c->successes = c->probes;
    c->max_open_time = weir__breaker_time(c->max_open_time, WEIR__BREAKER_LONGEST);
    c->open_time = weir__breaker_time(c->open_time, c->max_open_time < WEIR_SEC(60) ? c->max_open_time : WEIR_SEC(60));
    c->half_open_time = weir__breaker_time(c->half_open_time, 0);
    return weir__breaker_in_range(c) ? 0 : EINVAL;
}

#endif /* WEIR_GUARD_CIRCUIT_IMPLEMENTED */

/* ==== weir/guard/breaker.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_BREAKER_IMPLEMENTED)
#define WEIR_GUARD_BREAKER_IMPLEMENTED

/* ---- the word ---- */

enum { WEIR__BREAKER_REOPENED_AT = 54, WEIR__BREAKER_REOPENED_MAX = 127 };

static uint32_t weir__breaker_reopened(uint64_t word)
{
    return (uint32_t)(word >> WEIR__BREAKER_REOPENED_AT) & WEIR__BREAKER_REOPENED_MAX;
}
static uint64_t weir__breaker_generation(uint64_t word)
{
    return (word >> WEIR__GENERATION_AT) & 0x3fffffff;
}
static uint32_t weir__breaker_under_way(uint64_t word)
{
    return (uint32_t)(word / WEIR__BREAKER_UNDER_WAY) & WEIR__BREAKER_COUNT;
}
static uint32_t weir__breaker_successes(uint64_t word)
{
    return (uint32_t)word & WEIR__BREAKER_COUNT;
}
static bool weir__breaker_same(uint64_t word, uint64_t stamp)
{
    return (word ^ stamp) <= WEIR__BREAKER_COUNTS;
}
/* The word of the generation after that of `word`, in this state, with nothing counted. */
static uint64_t weir__breaker_next(uint64_t word, int state, uint32_t reopened)
{
    return (uint64_t)state << 61 | (uint64_t)reopened << WEIR__BREAKER_REOPENED_AT |
           ((weir__breaker_generation(word) + 1) & 0x3fffffff) << WEIR__GENERATION_AT;
}
/* Half-open no longer: open once more. */
static uint64_t weir__breaker_again(uint64_t word)
{
    const uint32_t reopened = weir__breaker_reopened(word);
    return weir__breaker_next(word, WEIR_BREAKER_OPEN, reopened + (reopened < WEIR__BREAKER_REOPENED_MAX));
}

/* ---- the end of open, and of half-open ---- */

enum { WEIR__BREAKER_MARK_AT = 48, WEIR__BREAKER_UNIT = 1024 }; /* nanoseconds: the clock goes round in nine years */
#define WEIR__BREAKER_TIMES ((UINT64_C(1) << WEIR__BREAKER_MARK_AT) - 1)

/* How long a generation lasts, if nothing else ends it. */
static weir_ns weir__breaker_lasts(weir_breaker *b, uint64_t word)
{
    const double longest = (double)b->config.max_open_time;
    double t = (double)b->config.open_time;
    if (weir__breaker_state(word) == WEIR_BREAKER_HALF_OPEN)
        return b->config.half_open_time;
    for (uint32_t i = 0; i < weir__breaker_reopened(word) && t < longest; i++)
        t *= b->config.growth;
    if (b->config.jitter > 0)
        t *= 1 + b->config.jitter * ((double)weir__random_below(65536) / 32768 - 1);
    return t < longest ? (weir_ns)t : b->config.max_open_time; /* the cap comes last, so that it holds */
}

/* Has the generation of `word` lasted as long as it may? Sets when that will be, if nobody has. */
static bool weir__breaker_over(weir_breaker *b, uint64_t word)
{
    const uint64_t mark = weir__breaker_generation(word) << WEIR__BREAKER_MARK_AT;
    for (;;) {
        uint64_t end = weir__load_acq(&b->end), at; /* (R) pairs with (S): a later generation's end brings its word */
        const weir_ns now = weir__clock_now(b->config.clock);
        if ((end & ~WEIR__BREAKER_TIMES) == mark) /* how far beyond it are we, going round? Up to half of it is past */
            return (((uint64_t)now / WEIR__BREAKER_UNIT - end) & WEIR__BREAKER_TIMES) <= WEIR__BREAKER_TIMES / 2;
        if (!weir__breaker_same(weir__load_rlx(&b->word), word))
            return false; /* another has ended it */
        at = (uint64_t)weir_time_add(now, weir__breaker_lasts(b, word)) + WEIR__BREAKER_UNIT - 1;
        if (weir__cas_rel(&b->end, &end, mark | (at / WEIR__BREAKER_UNIT & WEIR__BREAKER_TIMES))) /* (S) */
            return false;
    }
}

/* The caller has made a transition. */
static void weir__breaker_changed(weir_breaker *b, uint64_t was, uint64_t word)
{
    const int from = weir__breaker_state(was), to = weir__breaker_state(word);
    if (to == WEIR_BREAKER_OPEN || (to == WEIR_BREAKER_HALF_OPEN && b->config.half_open_time != 0))
        (void)weir__breaker_over(b, word);
    if (from != to && b->config.on_change != NULL)
        b->config.on_change(b, from, to, b->config.arg);
}

/* ---- admission ---- */

/* What `word` becomes when somebody asks; itself: there is nothing to change. *rc: the answer. */
static uint64_t weir__breaker_ask(weir_breaker *b, uint64_t word, int *rc)
{
    const uint32_t under_way = weir__breaker_under_way(word);
    *rc = 0;
    switch (weir__breaker_state(word)) {
    case WEIR_BREAKER_OPEN:
        if (weir__breaker_over(b, word))
            return weir__breaker_next(word, WEIR_BREAKER_HALF_OPEN, weir__breaker_reopened(word)) +
                   WEIR__BREAKER_UNDER_WAY;
        *rc = EAGAIN;
        return word;
    case WEIR_BREAKER_FORCED_OPEN: *rc = EAGAIN; return word;
    case WEIR_BREAKER_HALF_OPEN:
        if (b->config.half_open_time != 0 && weir__breaker_over(b, word)) {
            *rc = EAGAIN;
            return weir__breaker_again(word);
        }
        if (under_way < b->config.probes &&
            (b->config.closes != NULL || under_way + weir__breaker_successes(word) < b->config.successes))
            return word + WEIR__BREAKER_UNDER_WAY;
        *rc = EBUSY;
        return word;
    default: return word;
    }
}

WEIR_API int weir__breaker_allow_slow(weir_breaker *b, weir_breaker_permit *permit)
{
    uint64_t word, next;
    int rc;
    do {
        word = weir__load_acq(&b->word); /* (A) */
        next = weir__breaker_ask(b, word, &rc);
    } while (next != word && !weir__cas_acq(&b->word, &word, next)); /* (A) */
    permit->stamp = rc == 0 ? next | WEIR__BREAKER_COUNTS : 0;
    if (!weir__breaker_same(word, next))
        weir__breaker_changed(b, word, next);
    return rc;
}

/* ---- results ---- */

static void weir__breaker_tally_of(uint64_t word, const weir__rolling_sum *sum, weir_breaker_tally *tally)
{
    const int state = weir__breaker_state(word);
    memset(tally, 0, sizeof *tally);
    tally->calls = sum->calls;
    tally->failures = sum->failures;
    tally->reopened = weir__breaker_reopened(word);
    if (state == WEIR_BREAKER_CLOSED)
        tally->consecutive = (uint32_t)(word & WEIR__BREAKER_COUNTS);
    if (state == WEIR_BREAKER_HALF_OPEN) {
        tally->under_way = weir__breaker_under_way(word);
        tally->successes = weir__breaker_successes(word);
    }
}

/* Closed, and one more has failed: `word` counts it already. */
static bool weir__breaker_trips(weir_breaker *b, uint64_t word, const weir__rolling_sum *sum)
{
    const weir_breaker_config *c = &b->config;
    weir_breaker_tally tally;
    if (c->consecutive != 0 && (word & WEIR__BREAKER_COUNTS) >= c->consecutive)
        return true;
    if (c->failure_rate > 0 && sum->calls >= c->min_calls &&
        (double)sum->failures >= c->failure_rate * (double)sum->calls)
        return true;
    if (c->trips == NULL)
        return false;
    weir__breaker_tally_of(word, sum, &tally);
    return c->trips(&tally, c->arg);
}

/* What `word` becomes with a result of a call that was admitted while closed. */
static uint64_t weir__breaker_count(weir_breaker *b, uint64_t word, bool failed, const weir__rolling_sum *sum)
{
    if (!failed)
        return word & ~(uint64_t)WEIR__BREAKER_COUNTS;
    word += (word & WEIR__BREAKER_COUNTS) != WEIR__BREAKER_COUNTS;
    return weir__breaker_trips(b, word, sum) ? weir__breaker_next(word, WEIR_BREAKER_OPEN, 0) : word;
}

/* The same of a probe. */
static uint64_t weir__breaker_probed(weir_breaker *b, uint64_t word, int outcome)
{
    const weir__rolling_sum none = {0, 0};
    weir_breaker_tally tally;
    bool enough;
    if (outcome == WEIR_BREAKER_FAILURE)
        return weir__breaker_again(word);
    word -= WEIR__BREAKER_UNDER_WAY;
    if (outcome == WEIR_BREAKER_IGNORED)
        return word;
    word += weir__breaker_successes(word) != WEIR__BREAKER_COUNT;
    weir__breaker_tally_of(word, &none, &tally);
    enough =
        b->config.closes != NULL ? b->config.closes(&tally, b->config.arg) : tally.successes >= b->config.successes;
    return enough ? weir__breaker_next(word, WEIR_BREAKER_CLOSED, 0) : word;
}

WEIR_API int weir__breaker_done_slow(weir_breaker *b, weir_breaker_permit *permit, int outcome)
{
    const uint64_t stamp = permit->stamp;
    const bool closed = weir__breaker_state(stamp) == WEIR_BREAKER_CLOSED, failed = outcome == WEIR_BREAKER_FAILURE;
    weir__rolling_sum sum = {0, 0};
    uint64_t word, next;
    if (stamp == 0 || outcome < WEIR_BREAKER_SUCCESS || outcome > WEIR_BREAKER_IGNORED)
        return EINVAL;
    permit->stamp = 0;
    if (weir__breaker_state(stamp) == WEIR_BREAKER_DISABLED || (closed && outcome == WEIR_BREAKER_IGNORED))
        return 0;
    if (closed && b->window.words != NULL &&
        !weir__rolling_note(&b->window, &b->word, weir__breaker_generation(stamp), failed,
                            b->window.calls != 0 ? 0 : weir__clock_now(b->config.clock), failed ? &sum : NULL))
        return 0;
    word = weir__load_rlx(&b->word);
    do {
        if (!weir__breaker_same(word, stamp))
            return 0; /* of an earlier generation */
        if (!closed && weir__breaker_under_way(word) == 0)
            return EINVAL;
        next = closed ? weir__breaker_count(b, word, failed, &sum) : weir__breaker_probed(b, word, outcome);
    } while (next != word && !weir__cas_rel(&b->word, &word, next)); /* (D) pairs with (A) */
    if (!weir__breaker_same(word, next))
        weir__breaker_changed(b, word, next);
    return 0;
}

WEIR_API int weir__breaker_outcome(weir_breaker *b, weir_ctx *ctx, int rc)
{
    int outcome = WEIR_BREAKER_SUCCESS;
    if (rc != 0)
        outcome = ctx != NULL && weir_ctx_err(ctx) == ECANCELED ? WEIR_BREAKER_IGNORED : WEIR_BREAKER_FAILURE;
    if (b->config.classify != NULL)
        outcome = b->config.classify(rc, outcome, b->config.arg);
    /* Whatever it says, the permit ends. */
    return outcome == WEIR_BREAKER_SUCCESS || outcome == WEIR_BREAKER_IGNORED ? outcome : WEIR_BREAKER_FAILURE;
}

/* ---- the rest ---- */

WEIR_API int weir_breaker_init(weir_breaker *b, const weir_breaker_config *config)
{
    weir_breaker_config *c = &b->config;
    int rc;
    memset(b, 0, sizeof *b);
    if (config != NULL)
        *c = *config;
    if ((rc = weir__breaker_defaults(c)) != 0 || (c->window_calls == 0 && c->window_time == 0))
        return rc;
    return weir__rolling_init(&b->window, c->window_calls, c->buckets,
                              c->window_time / c->buckets + (c->window_time % c->buckets != 0));
}

WEIR_API void weir_breaker_free(weir_breaker *b)
{
    weir__rolling_free(&b->window);
}

static void weir__breaker_set(weir_breaker *b, int state)
{
    uint64_t word = weir__load_rlx(&b->word), next;
    do {
        if (state != WEIR_BREAKER_CLOSED && weir__breaker_state(word) == state)
            return;
        next = weir__breaker_next(word, state, 0);
    } while (!weir__cas_rel(&b->word, &word, next)); /* (D) */
    weir__breaker_changed(b, word, next);
}

WEIR_API int weir_breaker_force(weir_breaker *b, int state)
{
    if (state != WEIR_BREAKER_OPEN && state != WEIR_BREAKER_FORCED_OPEN && state != WEIR_BREAKER_DISABLED)
        return EINVAL;
    weir__breaker_set(b, state == WEIR_BREAKER_OPEN ? WEIR_BREAKER_FORCED_OPEN : state);
    return 0;
}

WEIR_API void weir_breaker_reset(weir_breaker *b)
{
    weir__breaker_set(b, WEIR_BREAKER_CLOSED);
}

WEIR_API int weir_breaker_state(weir_breaker *b)
{
    return weir__breaker_state(weir__load_acq(&b->word)); /* (A) */
}

WEIR_API void weir_breaker_counts(weir_breaker *b, weir_breaker_tally *tally)
{
    const uint64_t word = weir__load_rlx(&b->word);
    weir__rolling_sum sum = {0, 0};
    if (weir__breaker_state(word) == WEIR_BREAKER_CLOSED && b->window.words != NULL)
        sum = weir__rolling_read(&b->window, weir__breaker_generation(word),
                                 b->window.calls != 0 ? 0 : weir__clock_now(b->config.clock));
    weir__breaker_tally_of(word, &sum, tally);
}

#endif /* WEIR_GUARD_BREAKER_IMPLEMENTED */

/* ==== weir/guard/window.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_WINDOW_IMPLEMENTED)
#define WEIR_GUARD_WINDOW_IMPLEMENTED

/* ---- what both have in common ---- */

static int weir__window_config(const weir_window_config *config, int64_t most, weir_ns *window, unsigned *shift)
{
    *window = config->window == 0 ? WEIR_SEC(1) : config->window;
    if (config->limit < 1 || config->limit > most || *window / 4 < config->limit)
        return EINVAL;
    for (*shift = 1; config->limit >> *shift != 0;)
        ++*shift;
    return 0;
}

/* How much of the clock has gone since `start`; a reading from before it is taken for it. */
static inline uint64_t weir__window_elapsed(weir_ns start, weir_ns now)
{
    return now > start ? (uint64_t)now - (uint64_t)start : 0;
}

/* One attempt at time `now`; EAGAIN: *next is the earliest moment at which one can succeed. */
typedef int (*weir__window_take)(void *w, int64_t n, weir_ns now, weir_ns *next);

/* A refusal is told only if the window had no room at a moment within the call: whoever was held up after reading the clock reads it again. */
static int weir__window_try(weir__window_take take, void *w, int64_t n, weir_clock *clock, weir_ns *now, weir_ns *next)
{
    int rc;
    *now = weir__clock_now(clock);
    while ((rc = take(w, n, *now, next)) == EAGAIN && *next <= (*now = weir__clock_now(clock))) {}
    return rc;
}

static int weir__window_wait(weir_ctx *ctx, weir__window_take take, void *w, int64_t n, weir_clock *clock,
                             weir_ns deadline)
{
    for (;;) {
        int rc = ctx == NULL ? 0 : weir_ctx_err(ctx);
        weir_ns now, next, left;
        if (rc != 0)
            return rc;
        rc = weir__window_try(take, w, n, clock, &now, &next);
        if (rc != EAGAIN)
            return rc;
        left = weir__clock_left(ctx, deadline);
        if (left != WEIR_FOREVER && next - now > left)
            return ETIMEDOUT;
        rc = weir__clock_sleep(clock, ctx, next);
        if (rc != 0)
            return rc;
    }
}

/* ---- fixed ---- */

WEIR_API int weir_fixed_window_init(weir_fixed_window *w, const weir_window_config *config)
{
    memset(w, 0, sizeof *w);
    w->limit = config->limit;
    w->clock = config->clock;
    w->start = weir__clock_now(config->clock);
    return weir__window_config(config, WEIR_WINDOW_MAX, &w->window, &w->shift);
}

static int weir__fixed_window_take(void *window, int64_t n, weir_ns now, weir_ns *next)
{
    weir_fixed_window *w = (weir_fixed_window *)window;
    const uint64_t at = weir__window_elapsed(w->start, now) / (uint64_t)w->window;
    uint64_t seen = weir__load_rlx(&w->word);
    if (n < 1 || n > w->limit)
        return EINVAL;
    for (;;) {
        uint64_t number = seen >> w->shift, count = seen & ((UINT64_C(1) << w->shift) - 1);
        if (number < at) {
            number = at;
            count = 0;
        }
        if (count + (uint64_t)n > (uint64_t)w->limit) {
            *next = weir_time_add(w->start + (weir_ns)(number * (uint64_t)w->window), w->window);
            return EAGAIN;
        }
        if (weir__cas_rlx(&w->word, &seen, number << w->shift | (count + (uint64_t)n)))
            return 0;
    }
}

WEIR_API int weir_fixed_window_allow(weir_fixed_window *w, int64_t n)
{
    weir_ns now, next;
    return weir__window_try(weir__fixed_window_take, w, n, w->clock, &now, &next);
}

WEIR_API int weir_fixed_window_wait_until(weir_ctx *ctx, weir_fixed_window *w, int64_t n, weir_ns deadline)
{
    return weir__window_wait(ctx, weir__fixed_window_take, w, n, w->clock, deadline);
}

/* ---- sliding: two counters ---- */

/* x * a / b, for a < b < 2^31 and x < 2^63; rounded down. */
static uint64_t weir__window_share(uint64_t x, uint64_t a, uint64_t b)
{
    const uint64_t high = (x >> 32) * a;
    return (high / b << 32) + (((high % b) << 32) + (x & UINT32_MAX) * a) / b;
}

/* How far into a window n events have room, after `previous` in the one before and `current` in this; more than its length: not in this one. */
static uint64_t weir__sliding_from(const weir_sliding_window *w, uint64_t previous, uint64_t current, uint64_t n)
{
    const uint64_t length = (uint64_t)w->window;
    if (current + n > (uint64_t)w->limit)
        return UINT64_MAX;
    current = (uint64_t)w->limit - current - n; /* the room that `previous` may fill */
    return previous <= current ? 0 : length - weir__window_share(length, current, previous);
}

static inline uint64_t weir__sliding_number(const weir_sliding_window *w, uint64_t word)
{
    return word >> (w->shift + 1);
}
static inline bool weir__sliding_sealed(const weir_sliding_window *w, uint64_t word)
{
    return (word >> w->shift & 1) != 0;
}
static inline uint64_t weir__sliding_count(const weir_sliding_window *w, uint64_t word)
{
    return word & ((UINT64_C(1) << w->shift) - 1);
}
static inline uint64_t weir__sliding_word(const weir_sliding_window *w, uint64_t number, bool sealed, uint64_t count)
{
    return (number << 1 | (sealed ? 1 : 0)) << w->shift | count;
}

/* Whether the words are those of windows at - 1, sealed, and at; else does what is lacking, as far as nobody else has. */
static bool weir__sliding_enter(weir_sliding_window *w, uint64_t at, uint64_t before, uint64_t here)
{
    if (weir__sliding_number(w, here) < at) {
        (void)weir__cas_rlx(&w->word[at & 1], &here, weir__sliding_word(w, at, false, 0)); /* (A) */
        return false;
    }
    if (weir__sliding_number(w, before) < at - 1 || !weir__sliding_sealed(w, before)) {
        const uint64_t count = weir__sliding_number(w, before) < at - 1 ? 0 : weir__sliding_count(w, before);
        (void)weir__cas_rlx(&w->word[(at - 1) & 1], &before, weir__sliding_word(w, at - 1, true, count)); /* (B) */
        return false;
    }
    return true;
}

/* Windows are numbered from 1 here, so that words of zeros are those of an empty past. */
static int weir__sliding_counters_take(weir_sliding_window *w, uint64_t n, weir_ns now, weir_ns *next)
{
    const uint64_t length = (uint64_t)w->window, elapsed = weir__window_elapsed(w->start, now);
    uint64_t at = elapsed / length + 1, in = elapsed % length;
    for (;;) {
        const uint64_t before = weir__load_rlx(&w->word[(at - 1) & 1]);
        uint64_t here = weir__load_rlx(&w->word[at & 1]), from, previous, current;
        /* What others have reached: a sealed word is followed by one that may not be there yet. */
        const uint64_t newest = weir__sliding_number(w, before) + (weir__sliding_sealed(w, before) ? 1 : 0);
        const uint64_t newer = weir__sliding_number(w, here) + (weir__sliding_sealed(w, here) ? 1 : 0);
        if (newest > at || newer > at) {
            at = newest > newer ? newest : newer;
            in = 0;
            continue;
        }
        previous = weir__sliding_number(w, before) == at - 1 ? weir__sliding_count(w, before) : 0;
        current = weir__sliding_number(w, here) == at ? weir__sliding_count(w, here) : 0;
        from = weir__sliding_from(w, previous, current, n);
        if (from > in) {
            *next = w->start + (weir_ns)((at - 1) * length);
            if (from > length) {
                *next = weir_time_add(*next, w->window);
                from = weir__sliding_from(w, current, 0, n);
            }
            *next = weir_time_add(*next, (weir_ns)from);
            return EAGAIN;
        }
        if (weir__sliding_enter(w, at, before, here) && weir__cas_rlx(&w->word[at & 1], &here, here + n))
            return 0;
    }
}

/* ---- sliding: the log ---- */

enum { WEIR__LOG_SLOT_BITS = 20 };

static uint64_t weir__log_next(const weir_sliding_window *w, uint64_t head)
{
    const uint64_t slots = UINT64_C(1) << WEIR__LOG_SLOT_BITS;
    return (head & (slots - 1)) + 1 < (uint64_t)w->limit ? head + 1 : (head & ~(slots - 1)) + slots;
}

static int weir__sliding_log_take(weir_sliding_window *w, weir_ns now, weir_ns *next)
{
    for (;;) {
        uint64_t head = weir__load_acq(&w->word[0]); /* (C) pairs with (E): all slots before head have been entered */
        weir__atomic_u64 *slot = &w->slot[head & ((UINT64_C(1) << WEIR__LOG_SLOT_BITS) - 1)];
        uint64_t seen =
            weir__load_acq(slot); /* (D) pairs with (F): who entered this had seen head here, one lap on perhaps */
        const uint64_t parity = head >> WEIR__LOG_SLOT_BITS & 1;
        if ((seen & 1) != parity) {
            if (weir__load_rlx(&w->word[0]) != head)
                continue; /* head has gone on: by (D) it is known here if the slot is a lap ahead */
            if (seen >> 1 > (uint64_t)now) {
                *next = (weir_ns)(seen >> 1);
                return EAGAIN;
            }
            /* (F) release. A failure: somebody else has entered his event here. */
            if (!weir__cas_rel(slot, &seen, (uint64_t)weir_time_add(now, w->window) << 1 | parity))
                continue;
            (void)weir__cas_rel(&w->word[0], &head, weir__log_next(w, head)); /* (E) or another has helped */
            return 0;
        }
        (void)weir__cas_rel(&w->word[0], &head, weir__log_next(w, head)); /* (E) */
    }
}

/* ---- sliding: either ---- */

WEIR_API int weir_sliding_window_init(weir_sliding_window *w, const weir_window_config *config)
{
    const int rc =
        weir__window_config(config, config->exact ? WEIR_WINDOW_EXACT_MAX : WEIR_WINDOW_MAX, &w->window, &w->shift);
    if (rc != 0)
        return rc;
    w->word[0] = w->word[1] = 0;
    w->slot = NULL;
    w->limit = config->limit;
    w->clock = config->clock;
    w->start = weir__clock_now(config->clock);
    if (!config->exact)
        return 0;
    w->slot = (weir__atomic_u64 *)WEIR_ALLOC(WEIR_CACHE_PAD, (size_t)w->limit * sizeof *w->slot);
    if (w->slot == NULL)
        return ENOMEM;
    for (int64_t i = 0; i < w->limit; i++)
        w->slot[i] = 1; /* free since 0, and of the lap before the first */
    return 0;
}

WEIR_API void weir_sliding_window_free(weir_sliding_window *w)
{
    if (w->slot != NULL)
        WEIR_FREE(w->slot);
    w->slot = NULL;
}

static int weir__sliding_window_take(void *window, int64_t n, weir_ns now, weir_ns *next)
{
    weir_sliding_window *w = (weir_sliding_window *)window;
    if (n < 1 || n > (w->slot == NULL ? w->limit : 1))
        return EINVAL;
    return w->slot == NULL ? weir__sliding_counters_take(w, (uint64_t)n, now, next)
                           : weir__sliding_log_take(w, now, next);
}

WEIR_API int weir_sliding_window_allow(weir_sliding_window *w, int64_t n)
{
    weir_ns now, next;
    return weir__window_try(weir__sliding_window_take, w, n, w->clock, &now, &next);
}

WEIR_API int weir_sliding_window_wait_until(weir_ctx *ctx, weir_sliding_window *w, int64_t n, weir_ns deadline)
{
    return weir__window_wait(ctx, weir__sliding_window_take, w, n, w->clock, deadline);
}

#endif /* WEIR_GUARD_WINDOW_IMPLEMENTED */

/* ==== weir/guard/adaptive.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_ADAPTIVE_IMPLEMENTED)
#define WEIR_GUARD_ADAPTIVE_IMPLEMENTED

enum {
    WEIR__ADAPTIVE_FEW = 4,     /* samples make a window, at least */
    WEIR__ADAPTIVE_SOME = 16,   /* and one that measures */
    WEIR__ADAPTIVE_SOON = 8,    /* windows until the second measuring */
    WEIR__ADAPTIVE_LONGEST = 40 /* latencies are below 2^this, 18 minutes */
};

/* ---- the word of a window: 63 measures, 62 fresh: only what was admitted in it counts, 61 … 48 number, 47 … 24 samples that end it,
 * 23 … 0 samples so far ---- */

static inline uint64_t weir__adaptive_word(const weir_adaptive *a, uint32_t number, bool measures, bool fresh,
                                           int64_t limit)
{
    const int64_t few = measures ? WEIR__ADAPTIVE_SOME : WEIR__ADAPTIVE_FEW,
                  samples = a->config.method == WEIR_ADAPTIVE_AIMD ? limit : 2 * limit;
    return (uint64_t)measures << 63 | (uint64_t)fresh << 62 | (uint64_t)(number & 0x3fff) << 48 |
           (uint64_t)(samples < few ? few : samples) << 24;
}
static inline bool weir__adaptive_measures(uint64_t word)
{
    return word >> 63 != 0;
}
static inline bool weir__adaptive_fresh(uint64_t word)
{
    return (word >> 62 & 1) != 0;
}
static inline uint32_t weir__adaptive_number(uint64_t word)
{
    return (uint32_t)(word >> 48) & 0x3fff;
}
static inline uint64_t weir__adaptive_target(uint64_t word)
{
    return word >> 24 & 0xffffff;
}
static inline uint64_t weir__adaptive_count(uint64_t word)
{
    return word & 0xffffff;
}

/* ---- the next limit ---- */

static int64_t weir__adaptive_within(const weir_adaptive *a, int64_t limit)
{
    return limit < a->config.min ? a->config.min : limit > a->config.max ? a->config.max : limit;
}

static int64_t weir__adaptive_backed_off(const weir_adaptive *a, int64_t limit)
{
    return limit * a->config.backoff / 100; /* less, for the backoff is below 100 */
}

/* The whole part of a square root: Newton's steps from above. */
static uint64_t weir__adaptive_root(uint64_t n)
{
    uint64_t root = n, next = (n + 1) / 2;
    while (next < root) {
        root = next;
        next = (root + n / root) / 2;
    }
    return root;
}

/* in_flight / samples × calm / latency: so many the server works on at once. */
static int64_t weir__adaptive_capacity(uint64_t in_flight, uint64_t samples, uint64_t calm, uint64_t latency)
{
    while (latency >> 32 != 0) { /* calm is less: the product fits */
        latency >>= 1;
        calm >>= 1;
    }
    return (int64_t)(in_flight * 16 / samples * calm / latency / 16);
}

/* No queue: the limit grows by up to a sixth, the less the nearer latency is to the middle of what is taken for none; so the last step does not go
 * far beyond the capacity. Not on the first such window after a queue: where waves are served, one of them may be a window without.
 * Above the middle nothing moves: a limit that rests there must not take its queue for the server's own time, bit by bit. */
static int64_t weir__adaptive_calm(weir_adaptive *a, uint64_t latency, uint64_t calm, uint64_t room, int64_t step)
{
    const uint64_t used = latency > a->unloaded ? latency - a->unloaded : 0;
    if (a->recent > calm || used > room)
        return 0;
    a->unloaded = (a->unloaded * 15 + latency) / 16;
    return room == 0 ? step : (int64_t)(((uint64_t)step * (room - used) + room / 2) / room);
}

/* Less than was taken for the latency without a queue, by more than the tolerance: that was wrong, so it is measured in the next window. */
static void weir__adaptive_suspect(weir_adaptive *a, uint64_t latency)
{
    if (a->until_measuring > 0 && latency * (uint64_t)a->config.tolerance < a->unloaded * 100)
        a->until_measuring = 1;
}

/* What a window that measures has found. Taken for as much more as it may be wrong by; later windows see to it that it is not too much. */
static void weir__adaptive_measured(weir_adaptive *a, uint64_t mean, uint64_t least, uint64_t samples)
{
    const bool first = a->unloaded >> WEIR__ADAPTIVE_LONGEST != 0;
    a->spread = mean > least ? mean - least : 0;
    mean += a->spread / weir__adaptive_root(samples);
    if (!first)
        weir__adaptive_suspect(a, mean);
    a->unloaded = mean;
}

static int64_t weir__adaptive_gradient(weir_adaptive *a, const weir__adaptive_sums *s, uint64_t samples, int64_t limit)
{
    const uint64_t latency = s->latency / samples, margin = a->spread / weir__adaptive_root(samples);
    const int64_t step = s->full * 2 < samples ? 0 : limit < 9 ? 1 : (limit + 3) / 6;
    uint64_t calm;
    int64_t next;
    if (latency + margin < a->unloaded) {
        if ((latency + margin) * (uint64_t)a->config.tolerance < a->unloaded * 100)
            a->until_measuring =
                a->until_measuring < 0 ? -1 : 1; /* a faster server, and perhaps a queue all the same */
        a->unloaded = latency + margin;
    }
    calm = a->unloaded * (uint64_t)a->config.tolerance / 100 + margin;
    a->recent = (a->recent + 2 * latency) / 3;
    if (latency <= calm)
        return limit + weir__adaptive_calm(a, latency, calm, (calm + margin - a->unloaded) / 2, step);
    if (s->in_flight * 2 < samples * (uint64_t)limit)
        return limit;
    next = weir__adaptive_capacity(s->in_flight, samples, calm, latency) + (limit < 32 ? 1 : limit / 16);
    return next < limit / 2 ? limit / 2 : next < limit + step ? next : limit + step;
}

static int64_t weir__adaptive_next(weir_adaptive *a, const weir__adaptive_sums *s, uint64_t word, int64_t limit)
{
    const uint64_t samples = weir__adaptive_target(word) - s->dropped;
    if (weir__adaptive_measures(word)) {
        limit = a->kept;
        if (samples > 0)
            weir__adaptive_measured(a, s->latency / samples, s->least, samples);
    }
    if (s->dropped > 0)
        return weir__adaptive_backed_off(a, limit);
    if (weir__adaptive_measures(word))
        return limit;
    if (a->config.method == WEIR_ADAPTIVE_AIMD)
        return s->full * 2 >= samples ? limit + 1 : limit;
    return weir__adaptive_gradient(a, s, samples, limit);
}

/* Whether the next window measures, with the limit that is to follow it. */
static bool weir__adaptive_measure(weir_adaptive *a, int64_t next)
{
    if (next > a->most)
        a->most = next;
    if (a->until_measuring < 0 || (--a->until_measuring > 0 && next > a->most / 3))
        return false;
    a->until_measuring = a->interval;
    a->interval = a->interval < a->config.measure / 2 ? a->interval * 2 : a->config.measure;
    a->kept = a->most = next;
    return true;
}

/* Called by the one who has brought the last sample of the window. */
static void weir__adaptive_end(weir_adaptive *a, uint64_t word)
{
    const uint32_t number = weir__adaptive_number(word);
    weir__adaptive_sums *from = &a->sums[number & 1], *to = &a->sums[~number & 1], s;
    const int64_t limit = weir_sem_size(&a->places);
    int64_t next;
    bool measures;
    s.latency = weir__load_rlx(&from->latency);
    s.least = weir__load_rlx(&from->least);
    s.in_flight = weir__load_rlx(&from->in_flight);
    s.full = weir__load_rlx(&from->full);
    s.dropped = weir__load_rlx(&from->dropped);
    next = weir__adaptive_within(a, weir__adaptive_next(a, &s, word, limit));
    measures = weir__adaptive_measure(a, next);
    if (measures)
        next = weir__adaptive_within(a, (weir__adaptive_measures(word) && limit < next ? limit : next) / 2);
    weir__store_rlx(&to->latency, 0);
    weir__store_rlx(&to->least, UINT64_MAX);
    weir__store_rlx(&to->in_flight, 0);
    weir__store_rlx(&to->full, 0);
    weir__store_rlx(&to->dropped, 0);
    if (next != limit)
        (void)weir_sem_resize(&a->places, next);
    /* (B) release: sums that are empty, and what the next to end a window needs. */
    weir__store_rel(&a->window,
                    weir__adaptive_word(a, number + 1, measures, measures || weir__adaptive_measures(word), next));
}

/* ---- samples ---- */

static void weir__adaptive_add(weir__adaptive_sums *s, const weir_adaptive_permit *permit, weir_ns latency)
{
    const uint64_t most = UINT64_C(1) << WEIR__ADAPTIVE_LONGEST;
    const uint64_t counts = latency == 0 ? 1 : (uint64_t)latency < most ? (uint64_t)latency : most;
    uint64_t least = weir__load_rlx(&s->least);
    (void)weir__add_rlx(&s->latency, counts);
    (void)weir__add_rlx(&s->in_flight, permit->in_flight);
    if (permit->full)
        (void)weir__add_rlx(&s->full, 1);
    while (counts < least && !weir__cas_rlx(&s->least, &least, counts)) {}
}

/* What is added to the sums and then not counted, because the window has ended meanwhile, is lost with them; one who stops in between for longer
 * than a window adds to those of the window after the next, and distorts one mean. */
static void weir__adaptive_sample(weir_adaptive *a, const weir_adaptive_permit *permit, bool dropped, weir_ns latency)
{
    uint64_t seen = weir__load_acq(&a->window); /* (A) pairs with (B): the sums are those of this window */
    const uint32_t number = weir__adaptive_number(seen);
    weir__adaptive_sums *s = &a->sums[number & 1];
    if (weir__adaptive_count(seen) >= weir__adaptive_target(seen) ||
        (weir__adaptive_fresh(seen) && permit->window != number))
        return;
    if (dropped)
        (void)weir__add_rlx(&s->dropped, 1);
    else
        weir__adaptive_add(s, permit, latency);
    /* (C) pairs with itself: whoever counts the last sample sees what all before have added; and (B), by whoever began the window. */
    while (!weir__cas_ar(&a->window, &seen, seen + 1))
        if (weir__adaptive_number(seen) != number || weir__adaptive_count(seen) >= weir__adaptive_target(seen))
            return;
    if (weir__adaptive_count(seen) + 1 == weir__adaptive_target(seen))
        weir__adaptive_end(a, seen);
}

/* ---- calls ---- */

WEIR_API int weir_adaptive_init(weir_adaptive *a, const weir_adaptive_config *config)
{
    weir_adaptive_config *c = &a->config;
    int64_t limit;
    bool measures;
    memset(a, 0, sizeof *a);
    if (config != NULL)
        *c = *config;
    c->min = c->min == 0 ? 1 : c->min;
    c->max = c->max == 0 ? (c->min > 1000 ? c->min : 1000) : c->max;
    c->initial = c->initial == 0 ? weir__adaptive_within(a, 20) : c->initial;
    c->tolerance = c->tolerance == 0 ? 105 : c->tolerance;
    c->backoff = c->backoff == 0 ? 90 : c->backoff;
    c->measure = c->measure == 0 ? 256 : c->measure;
    if (c->min < 1 || c->initial < c->min || c->max < c->initial || c->max > WEIR_ADAPTIVE_MAX || c->timeout < 0)
        return EINVAL;
    if (c->tolerance < 100 || c->tolerance > 1000 || c->backoff < 1 || c->backoff > 99 || c->measure < -1)
        return EINVAL;
    if (c->method != WEIR_ADAPTIVE_GRADIENT && c->method != WEIR_ADAPTIVE_AIMD)
        return EINVAL;
    measures = c->method == WEIR_ADAPTIVE_GRADIENT;
    a->sums[0].least = UINT64_MAX;
    a->kept = a->most = c->initial;
    a->unloaded = UINT64_C(1) << WEIR__ADAPTIVE_LONGEST;
    a->interval = c->measure < WEIR__ADAPTIVE_SOON ? c->measure : WEIR__ADAPTIVE_SOON;
    a->until_measuring = measures ? a->interval : -1;
    limit = measures ? weir__adaptive_within(a, c->initial / 4) : c->initial;
    a->window = weir__adaptive_word(a, 0, measures, measures, limit);
    return weir_sem_init(&a->places, limit);
}

static void weir__adaptive_admitted(weir_adaptive *a, weir_adaptive_permit *permit)
{
    const uint64_t places = weir__load_rlx(&a->places.word);
    const int64_t size = weir__sem_size(places), in_flight = size - weir__sem_free(places);
    permit->in_flight = (uint32_t)in_flight; /* at least this one, whatever others have released and resized */
    permit->full = in_flight >= size - size / 8;
    permit->window = weir__adaptive_number(weir__load_rlx(&a->window));
    permit->since = weir__clock_now(a->config.clock);
}

WEIR_API int weir_adaptive_try_acquire(weir_adaptive *a, weir_adaptive_permit *permit)
{
    const int rc = weir_sem_try_acquire(&a->places, 1);
    permit->in_flight = 0;
    if (rc == 0)
        weir__adaptive_admitted(a, permit);
    return rc;
}

WEIR_API int weir_adaptive_acquire_until(weir_ctx *ctx, weir_adaptive *a, weir_adaptive_permit *permit,
                                         weir_ns deadline)
{
    const int rc = weir_sem_acquire_until(ctx, &a->places, 1, deadline);
    permit->in_flight = 0;
    if (rc == 0)
        weir__adaptive_admitted(a, permit);
    return rc;
}

WEIR_API int weir_adaptive_release(weir_adaptive *a, weir_adaptive_permit *permit, int outcome)
{
    weir_ns latency;
    if (permit->in_flight == 0 || outcome < WEIR_ADAPTIVE_OK || outcome > WEIR_ADAPTIVE_DROPPED)
        return EINVAL;
    if (outcome != WEIR_ADAPTIVE_FAILED) {
        latency = weir__clock_now(a->config.clock) - permit->since;
        if (outcome == WEIR_ADAPTIVE_DROPPED || latency >= 0)
            weir__adaptive_sample(
                a, permit, outcome == WEIR_ADAPTIVE_DROPPED || (a->config.timeout > 0 && latency > a->config.timeout),
                latency);
    }
    permit->in_flight = 0;
    return weir_sem_release(&a->places, 1);
}

WEIR_API int64_t weir_adaptive_limit(weir_adaptive *a)
{
    return weir_sem_size(&a->places);
}

WEIR_API int64_t weir_adaptive_in_flight(weir_adaptive *a)
{
    const uint64_t places = weir__load_acq(&a->places.word);
    return weir__sem_size(places) - weir__sem_free(places);
}

#endif /* WEIR_GUARD_ADAPTIVE_IMPLEMENTED */

/* ==== weir/guard/retry.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_RETRY_IMPLEMENTED)
#define WEIR_GUARD_RETRY_IMPLEMENTED

typedef struct weir__retry {
    const weir_retry_config *config;
    weir_task_fn *fn;
    void *arg;
    weir_ctx *parent;
    weir_retry_report report;
    weir_ns delay, max_delay, pause; /* pause: the last one before jitter, or with decorrelated jitter after it */
    double growth;
    int attempts;
    bool has_group;
    weir_group group; /* the threads of hedged attempts */
    weir_sem finished;
} weir__retry;

/* One call of the task; on the stack of weir__retry_round. */
typedef struct weir__retry_call {
    weir__retry *retry;
    weir_ctx ctx;
    int number, rc;
    weir_ns after; /* what the task has asked for; negative: nothing */
    weir__atomic_u32 returned;
} weir__retry_call;

/* Its address is the key under which a context carries a call. */
static const char weir__retry_key = 0;

static weir__retry_call *weir__retry_call_of(weir_ctx *ctx)
{
    return (weir__retry_call *)weir_ctx_value(ctx, &weir__retry_key);
}

WEIR_API void weir_retry_after(weir_ctx *ctx, weir_ns pause)
{
    weir__retry_call *call = weir__retry_call_of(ctx);
    if (call != NULL)
        call->after = pause < 0 ? 0 : pause;
}

WEIR_API int weir_retry_attempt(weir_ctx *ctx)
{
    const weir__retry_call *call = weir__retry_call_of(ctx);
    return call == NULL ? 0 : call->number;
}

/* ---- the pause ----------------------------------------------------------------------------------------------------------------- */

static weir_ns weir__retry_grown(weir_ns pause, double growth, weir_ns most)
{
    return (double)pause >= (double)most / growth ? most : (weir_ns)((double)pause * growth);
}

/* The pause before the next attempt. */
static weir_ns weir__retry_pause(weir__retry *r, weir_ns asked)
{
    weir_ns pause = r->pause == 0 ? r->delay : weir__retry_grown(r->pause, r->growth, r->max_delay);
    if (r->config->jitter == WEIR_JITTER_DECORRELATED) {
        const weir_ns high = weir__retry_grown(r->pause == 0 ? r->delay : r->pause, 3, r->max_delay);
        pause = r->delay + (weir_ns)((double)(high - r->delay) * weir__random_share());
    }
    r->pause = pause < r->max_delay ? pause : r->max_delay;
    if (asked >= 0)
        return asked;
    return r->config->jitter == WEIR_JITTER_FULL ? (weir_ns)((double)r->pause * weir__random_share()) : r->pause;
}

static bool weir__retry_listed(const weir__retry *r, int code)
{
    if (r->config->retryable != NULL)
        return r->config->retryable(code, r->arg);
    for (size_t i = 0; i < r->config->n_codes; i++)
        if (r->config->codes[i] == code)
            return true;
    return false;
}

/* ---- one attempt, or two at once ------------------------------------------------------------------------------------------------ */

static void weir__retry_call_begin(weir__retry *r, weir__retry_call *call)
{
    const weir_ns timeout = r->config->attempt_timeout;
    call->retry = r;
    call->number = ++r->report.attempts;
    call->after = -1;
    call->returned = 0;
    weir_ctx_init_deadline(&call->ctx, r->parent, timeout > 0 ? weir_time_add(weir_now(), timeout) : WEIR_FOREVER);
    call->ctx.key = &weir__retry_key;
    call->ctx.value = call;
}

/* A task of the group: never fails there, for the group would end. */
static int weir__retry_call_run(weir_ctx *unused, void *arg)
{
    weir__retry_call *call = (weir__retry_call *)arg;
    (void)unused;
    call->rc = call->retry->fn(&call->ctx, call->retry->arg);
    weir__store_rel(&call->returned, 1); /* pairs with the acquire in weir__retry_winner: rc and after */
    (void)weir_sem_release(&call->retry->finished, 1);
    return 0;
}

static bool weir__retry_start(weir__retry *r, weir__retry_call *call)
{
    if (!r->has_group) {
        weir_group_opt opt;
        memset(&opt, 0, sizeof opt);
        opt.name = "retry";
        opt.runner = r->config->runner;
        weir_group_init(&r->group, NULL, &opt);
        (void)weir_sem_init(&r->finished, 2);
        (void)weir_sem_try_acquire(&r->finished, 2);
        r->has_group = true;
    }
    return weir_group_try_go(&r->group, weir__retry_call_run, call) == 0;
}

/* A call that has returned what is to be kept, or NULL. */
static weir__retry_call *weir__retry_winner(weir__retry *r, weir__retry_call *calls, int n)
{
    for (int i = 0; i < n; i++)
        if (weir__load_acq(&calls[i].returned) != 0 && !weir__retry_listed(r, calls[i].rc))
            return &calls[i];
    return NULL;
}

/* The first call is under way, and may be followed by another: waits, adds the second one, and returns the one that counts, both having returned. */
static weir__retry_call *weir__retry_hedged(weir__retry *r, weir__retry_call *calls)
{
    const weir_retry_config *c = r->config;
    weir__retry_call *winner;
    int n = 1, returned = 0;
    if (weir_sem_acquire_until(NULL, &r->finished, 1, weir_time_add(weir_now(), c->hedge)) == 0)
        return &calls[0];
    if (c->budget == NULL || weir_retry_budget_take(c->budget) == 0) {
        weir__retry_call_begin(r, &calls[1]);
        if (weir__retry_start(r, &calls[1]))
            n = 2;
        else {
            weir_ctx_free(&calls[1].ctx);
            r->report.attempts--;
            if (c->budget != NULL)
                weir_retry_budget_give_back(c->budget);
        }
    }
    do {
        (void)weir_sem_acquire(NULL, &r->finished, 1);
        returned++;
        winner = weir__retry_winner(r, calls, n);
    } while (winner == NULL && returned < n);
    for (int i = 0; i < n && returned < n; i++)
        if (&calls[i] != winner)
            weir_ctx_cancel(&calls[i].ctx, 0);
    for (; returned < n; returned++)
        (void)weir_sem_acquire(NULL, &r->finished, 1);
    if (n == 2)
        weir_ctx_free(&calls[1].ctx);
    return winner != NULL ? winner : &calls[n - 1];
}

/* One attempt. Returns what the task asks for as the next pause; its code is in the report. */
static weir_ns weir__retry_round(weir__retry *r)
{
    weir__retry_call calls[2], *counts = &calls[0];
    weir__retry_call_begin(r, &calls[0]);
    if (r->config->hedge > 0 && r->report.attempts < r->attempts && weir__retry_start(r, &calls[0]))
        counts = weir__retry_hedged(r, calls);
    else
        calls[0].rc = r->fn(&calls[0].ctx, r->arg);
    weir_ctx_free(&calls[0].ctx);
    r->report.last = counts->rc;
    r->report.winner = counts->number;
    return counts->after;
}

/* ---- all of them ---------------------------------------------------------------------------------------------------------------- */

static int weir__retry_stop(weir__retry *r, int why, int rc)
{
    r->report.why = why;
    return rc;
}

static int weir__retry_loop(weir__retry *r, weir_ctx *ctx)
{
    const weir_retry_config *c = r->config;
    const weir_ns end = c->timeout > 0 ? weir_time_add(weir__clock_now(c->clock), c->timeout) : WEIR_FOREVER;
    if (c->budget != NULL)
        weir_retry_budget_request(c->budget);
    for (;;) {
        weir_ns pause;
        int rc = weir_ctx_err(ctx);
        if (rc != 0)
            return weir__retry_stop(r, WEIR_RETRY_CONTEXT, rc);
        pause = weir__retry_round(r);
        rc = r->report.last;
        if (rc == 0 || !weir__retry_listed(r, rc))
            return weir__retry_stop(r, rc == 0 ? WEIR_RETRY_DONE : WEIR_RETRY_CODE, rc);
        if (r->report.attempts >= r->attempts)
            return weir__retry_stop(r, WEIR_RETRY_ATTEMPTS, rc);
        if (weir_ctx_err(ctx) != 0)
            return weir__retry_stop(r, WEIR_RETRY_CONTEXT, rc);
        {
            const weir_ns now = weir__clock_now(c->clock),
                          until = weir_time_add(now, pause = weir__retry_pause(r, pause));
            if (until >= end || pause >= weir__clock_left(ctx, WEIR_FOREVER))
                return weir__retry_stop(r, WEIR_RETRY_DEADLINE, rc);
            if (c->budget != NULL && weir_retry_budget_take(c->budget) != 0)
                return weir__retry_stop(r, WEIR_RETRY_BUDGET, rc);
            rc = pause > 0 ? weir__clock_sleep(c->clock, ctx, until) : 0;
            r->report.paused = weir_time_add(r->report.paused, pause);
            if (rc != 0)
                return weir__retry_stop(r, WEIR_RETRY_CONTEXT, rc);
        }
    }
}

static bool weir__retry_sound(const weir_retry_config *c)
{
    if (c->attempts < 0 || c->delay < 0 || c->max_delay < 0 || c->attempt_timeout < 0 || c->timeout < 0 || c->hedge < 0)
        return false;
    if (c->growth != 0 && !(c->growth >= 1))
        return false;
    if (c->jitter < WEIR_JITTER_FULL || c->jitter > WEIR_JITTER_DECORRELATED || (c->n_codes > 0 && c->codes == NULL))
        return false;
    return c->attempts == 1 || c->n_codes > 0 || c->retryable != NULL;
}

WEIR_API int weir_retry(weir_ctx *ctx, const weir_retry_config *config, weir_task_fn *fn, void *arg,
                        weir_retry_report *report)
{
    weir__retry r;
    weir_ctx all;
    int rc;
    memset(&r.report, 0, sizeof r.report);
    if (report != NULL)
        *report = r.report;
    if (!weir__retry_sound(config))
        return EINVAL;
    r.config = config;
    r.fn = fn;
    r.arg = arg;
    r.has_group = false;
    r.attempts = config->attempts != 0 ? config->attempts : 3;
    r.delay = config->delay != 0 ? config->delay : WEIR_MS(100);
    r.max_delay = config->max_delay != 0 ? config->max_delay : WEIR_SEC(10);
    r.growth = config->growth != 0 ? config->growth : 2;
    r.pause = 0;
    /* The total deadline reaches into the attempts. */
    weir_ctx_init_deadline(&all, ctx, config->timeout > 0 ? weir_time_add(weir_now(), config->timeout) : WEIR_FOREVER);
    r.parent = &all;
    rc = weir__retry_loop(&r, ctx);
    if (r.has_group)
        (void)weir_group_wait(&r.group);
    if (r.has_group)
        weir_group_free(&r.group);
    weir_ctx_free(&all);
    if (report != NULL)
        *report = r.report;
    return rc;
}

#endif /* WEIR_GUARD_RETRY_IMPLEMENTED */

/* ==== weir/guard/policy.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_POLICY_IMPLEMENTED)
#define WEIR_GUARD_POLICY_IMPLEMENTED

/* Each weir_policy_go works on a copy of its own, so that two of them may be under way at once (a hedge). */
WEIR_API int weir_policy_go(weir_ctx *ctx, weir_policy_next *next)
{
    weir_policy_next inner = *next;
    int rc;
    inner.refused_by = -1;
    if (inner.at == inner.count) {
        rc = inner.fn(ctx, inner.arg);
    } else {
        inner.at++;
        rc = inner.layers[inner.at - 1].call(ctx, &inner.layers[inner.at - 1], &inner);
    }
    next->refused_by = inner.refused_by;
    return rc;
}

WEIR_API int weir__policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                               void *told, weir_policy_report *report)
{
    weir_policy_next next = {layers, 0, count, fn, arg, -1, told};
    int rc = count < 0 ? EINVAL : weir_policy_go(ctx, &next);
    if (report != NULL) {
        report->refused_by = next.refused_by;
        report->name = next.refused_by < 0 ? NULL : layers[next.refused_by].name;
    }
    return rc;
}

WEIR_API int weir_policy_call(weir_ctx *ctx, const weir_policy_layer *layers, int count, weir_task_fn *fn, void *arg,
                              weir_policy_report *report)
{
    return weir__policy_call(ctx, layers, count, fn, arg, arg, report);
}

/* ---- retry: which of the attempts it was whose result counts ---- */

typedef struct weir__policy_attempts {
    const weir_policy_next *next;
    int refused_by[2]; /* of attempts with odd and even numbers: two may be under way at once, and the last two count */
} weir__policy_attempts;

static int weir__policy_attempt(weir_ctx *ctx, void *arg)
{
    weir__policy_attempts *attempts = (weir__policy_attempts *)arg;
    weir_policy_next next = *attempts->next;
    const int number = weir_retry_attempt(ctx), rc = weir_policy_go(ctx, &next);
    attempts->refused_by[number & 1] = next.refused_by;
    return rc;
}

/* The list of codes, for the function of a config gets the task's arg, which here is not the program's. */
static bool weir__policy_retryable(int code, void *arg)
{
    const weir__policy_attempts *attempts = (const weir__policy_attempts *)arg;
    const weir_retry_config *config = (const weir_retry_config *)attempts->next->layers[attempts->next->at - 1].guard;
    return config->retryable(code, attempts->next->told);
}

WEIR_API int weir__policy_retry(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_retry_config config = *(const weir_retry_config *)layer->guard;
    weir__policy_attempts attempts = {next, {-1, -1}};
    weir_retry_report report;
    int rc;
    if (config.retryable != NULL)
        config.retryable = weir__policy_retryable;
    rc = weir_retry(ctx, &config, weir__policy_attempt, &attempts, &report);
    if (report.attempts == 0 || rc != report.last)
        return weir_policy_refuse(next, rc); /* not called, or not any more */
    next->refused_by = attempts.refused_by[report.winner & 1];
    return rc;
}

/* ---- the others ---- */

WEIR_API int weir__policy_breaker(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_breaker *breaker = (weir_breaker *)layer->guard;
    __attribute__((cleanup(weir__breaker_leave))) weir__breaker_visit visit = {breaker, {0}, WEIR_BREAKER_FAILURE};
    int rc = weir_ctx_err(ctx);
    if (rc != 0 || (rc = weir_breaker_allow(breaker, &visit.permit)) != 0)
        return weir_policy_refuse(next, rc);
    rc = weir_policy_go(ctx, next);
    visit.outcome = next->refused_by >= 0 ? WEIR_BREAKER_IGNORED : weir__breaker_outcome(breaker, ctx, rc);
    return rc;
}

WEIR_API int weir__policy_limiter(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_limiter_wait(ctx, (weir_limiter *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_try_limiter(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_limiter_allow((weir_limiter *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_fixed_window(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_fixed_window_wait(ctx, (weir_fixed_window *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_sliding_window(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    const int rc = weir_sliding_window_wait(ctx, (weir_sliding_window *)layer->guard, layer->number);
    return rc != 0 ? weir_policy_refuse(next, rc) : weir_policy_go(ctx, next);
}

WEIR_API int weir__policy_timeout(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_ctx limited;
    int rc;
    weir_ctx_init_timeout(&limited, ctx, layer->number);
    rc = weir_policy_go(&limited, next);
    weir_ctx_free(&limited);
    return rc;
}

WEIR_API int weir__policy_sem(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_sem *sem = (weir_sem *)layer->guard;
    int rc = weir_sem_acquire(ctx, sem, layer->number);
    if (rc != 0)
        return weir_policy_refuse(next, rc);
    rc = weir_policy_go(ctx, next);
    (void)weir_sem_release(sem, layer->number);
    return rc;
}

WEIR_API int weir__policy_adaptive(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    weir_adaptive *adaptive = (weir_adaptive *)layer->guard;
    weir_adaptive_permit permit;
    int rc = weir_adaptive_acquire(ctx, adaptive, &permit);
    if (rc != 0)
        return weir_policy_refuse(next, rc);
    rc = weir_policy_go(ctx, next);
    (void)weir_adaptive_release(adaptive, &permit,
                                rc == 0                                   ? WEIR_ADAPTIVE_OK
                                : rc == ETIMEDOUT && next->refused_by < 0 ? WEIR_ADAPTIVE_DROPPED
                                                                          : WEIR_ADAPTIVE_FAILED);
    return rc;
}

#endif /* WEIR_GUARD_POLICY_IMPLEMENTED */

/* ==== weir/flow/desk.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_DESK_IMPLEMENTED)
#define WEIR_FLOW_DESK_IMPLEMENTED


WEIR_API void weir__desk_open(weir__desk *desk, weir_ctx *ctx)
{
    const weir__room *room = desk->room;
    desk->id = weir_correlation(ctx);
    if (room->correlate != NULL)
        weir_correlation_init(&desk->own, ctx, desk->id);
    if (room->timed)
        weir__stopwatch_start(&desk->life, weir__clock_now(room->clock));
}

WEIR_API void weir__desk_close(weir__desk *desk)
{
    const weir__room *room = desk->room;
    if (room->timed)
        weir__stopwatch_stop(&desk->life, weir__clock_now(room->clock));
    if (room->correlate != NULL)
        weir_ctx_free(&desk->own);
}

WEIR_API void weir__desk_waits(weir__desk *desk, bool for_input)
{
    if (desk != NULL && desk->room->timed)
        weir__stopwatch_start(for_input ? &desk->blocked_in : &desk->blocked_out, weir__clock_now(desk->room->clock));
}

WEIR_API void weir__desk_goes_on(weir__desk *desk, bool for_input)
{
    if (desk != NULL && desk->room->timed)
        weir__stopwatch_stop(for_input ? &desk->blocked_in : &desk->blocked_out, weir__clock_now(desk->room->clock));
}

WEIR_API int weir__desk_recv_slow(weir__desk *desk, weir_ctx *ctx, weir__port in, void *value, weir_ns deadline)
{
    int rc;
    weir__desk_waits(desk, true);
    rc = weir__recv_slow(ctx, in.chan, value, deadline);
    weir__desk_goes_on(desk, true);
    return rc;
}

WEIR_API int weir__desk_send_slow(weir__desk *desk, weir_ctx *ctx, weir__port out, const void *value)
{
    int rc;
    weir__desk_waits(desk, false);
    rc = weir__send_slow(ctx, out.chan, value, WEIR_FOREVER);
    weir__desk_goes_on(desk, false);
    return rc;
}

/* ---- calling ---------------------------------------------------------------------------------------------------------------- */

/* The guards' task. */
typedef struct weir__desk_task {
    weir__desk *desk;
    weir_task_fn *fn;
    void *arg;
    bool ended, done; /* the last call returned EPIPE; 0 */
} weir__desk_task;

static int weir__desk_attempt(weir_ctx *ctx, void *arg)
{
    weir__desk_task *task = (weir__desk_task *)arg;
    weir__desk *desk = task->desk;
    const weir__room *room = desk->room;
    const weir_ns begun = room->trace == NULL ? 0 : weir_now();
    const int rc = task->fn(ctx, task->arg);
    desk->calls++;
    task->ended = rc == EPIPE;
    task->done = rc == 0;
    if (room->makes && room->correlate != NULL)
        desk->id = rc == 0 ? room->correlate(desk->item) : weir_correlation(desk->own.parent);
    if (room->trace != NULL)
        weir_trace_record(room->trace, room->name, "stage", begun, weir_now(), desk->id);
    return task->ended ? 0 : rc; /* to the guards the end of a sequence is no failure */
}

WEIR_API int weir__desk_guarded(weir__desk *desk, weir_ctx *ctx, weir_task_fn *fn, void *arg)
{
    weir__desk_task task = {desk, fn, arg, false, false};
    const weir__room *room = desk->room;
    weir_policy_report report;
    int rc;
    desk->calls = 0;
    desk->refused_by = NULL;
    if (room->correlate != NULL) {
        if (!room->makes)
            weir__correlation_set(&desk->own, desk->id = room->correlate(desk->item));
        ctx = &desk->own;
    }
    if (room->guard_count == 0) {
        rc = weir__desk_attempt(ctx, &task);
    } else {
        rc = weir__policy_call(ctx, room->guards, room->guard_count, weir__desk_attempt, &task, room->told, &report);
        desk->refused_by = report.name;
    }
    if (rc == 0 && task.ended)
        return EPIPE;
    return rc == 0 && !task.done ? ENODATA : rc;
}

/* ---- giving up -------------------------------------------------------------------------------------------------------------- */

WEIR_API void weir__desk_blank(weir__desk *desk, void *value)
{
    desk->item = value;
    if (desk->room->on_error == WEIR_ON_ERROR_DEAD_LETTER)
        memset(value, 0, desk->room->item_size);
}

/* 0: the letter is sent. */
static int weir__desk_bury(weir__desk *desk, weir_ctx *ctx, int error, const void *item)
{
    const weir__room *room = desk->room;
    weir_dead_letter why;
    weir__port to;
    int rc;
    to.chan = room->dead.chan;
    to.kind = room->dead.kind;
    to.size = room->dead.size;
    memset(&why, 0, sizeof why);
    why.error = error;
    why.calls = desk->calls;
    why.stage = room->name;
    why.refused_by = desk->refused_by;
    why.id = desk->id;
    memcpy(desk->letter, &why, sizeof why);
    memcpy(desk->letter + room->dead.item_at, item, room->item_size);
    if (!weir__chan_push(to.chan, to.kind, desk->letter, to.size, &rc))
        rc = weir__desk_send_slow(desk, ctx, to, desk->letter);
    if (rc == EPIPE && weir_ctx_err(ctx) != 0)
        rc = weir_ctx_err(ctx); /* who reads them has left because the pipeline ends */
    weir__desk_count(rc == 0 ? &desk->dead : rc == EPIPE ? &desk->fatal : &desk->abandoned);
    return rc == EPIPE ? error : rc;
}

WEIR_API int weir__desk_given_up(weir__desk *desk, weir_ctx *ctx, int rc, const void *item)
{
    const int ended = rc == EPIPE ? 0 : weir_ctx_err(ctx);
    const bool makes = desk->room->makes;
    if (makes && ended == 0)
        weir__desk_count(&desk->in); /* it has failed to make one */
    if (rc == EPIPE || ended != 0) {
        if (!makes) /* else there was none in hand */
            weir__desk_count(&desk->abandoned);
        return rc == EPIPE || desk->room->on_error == WEIR_ON_ERROR_FAIL ? rc : ended;
    }
    switch (desk->room->on_error) {
    case WEIR_ON_ERROR_SKIP: weir__desk_count(&desk->skipped); return 0;
    case WEIR_ON_ERROR_DEAD_LETTER: return weir__desk_bury(desk, ctx, rc, item);
    default: weir__desk_count(&desk->fatal); return rc;
    }
}

#endif /* WEIR_FLOW_DESK_IMPLEMENTED */

/* ==== weir/flow/room.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_ROOM_IMPLEMENTED)
#define WEIR_FLOW_ROOM_IMPLEMENTED


/* ---- making ----------------------------------------------------------------------------------------------------------------- */

static bool weir__room_needed(const weir__rooms *rooms, const weir_stage_opt *opt)
{
    return rooms->watched || rooms->trace != NULL || opt->on_error != WEIR_ON_ERROR_FAIL || opt->guard_count != 0 ||
           opt->correlate != NULL;
}

static bool weir__room_hedges(const weir_policy_layer *layer)
{
    return layer->call == weir__policy_retry && ((const weir_retry_config *)layer->guard)->hedge > 0;
}

static bool weir__room_sound(const weir_stage_opt *opt, const weir__room_plan *plan)
{
    if (opt->on_error < WEIR_ON_ERROR_FAIL || opt->on_error > WEIR_ON_ERROR_DEAD_LETTER || opt->guard_count < 0)
        return false;
    for (int i = 0; i < opt->guard_count; i++)
        if (weir__room_hedges(&opt->guards[i]))
            return false;
    return opt->on_error != WEIR_ON_ERROR_DEAD_LETTER ||
           (opt->dead.chan != NULL && opt->dead.item_size == plan->item_size &&
            (plan->workers == 1 || weir__many_producers(opt->dead.kind)));
}

static size_t weir__room_round(size_t bytes)
{
    return (bytes + WEIR_CACHE_PAD - 1) / WEIR_CACHE_PAD * WEIR_CACHE_PAD;
}

static weir__room *weir__room_alloc(const weir_stage_opt *opt, const weir__room_plan *plan)
{
    const size_t head =
        weir__room_round(sizeof(weir__room) + (plan->in_count + plan->out_count) * sizeof(weir__chan *));
    const size_t letter = weir__room_round(opt->on_error == WEIR_ON_ERROR_DEAD_LETTER ? opt->dead.size : 0);
    const size_t bytes = head + plan->workers * (sizeof(weir__desk) + letter);
    weir__room *room = (weir__room *)WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    if (room == NULL)
        return NULL;
    memset(room, 0, bytes);
    room->ins = (const weir__chan **)(void *)(room + 1);
    room->outs = room->ins + plan->in_count;
    room->desks = (weir__desk *)(void *)((unsigned char *)room + head);
    for (unsigned i = 0; i < plan->workers; i++) {
        room->desks[i].room = room;
        room->desks[i].letter = (unsigned char *)(room->desks + plan->workers) + i * letter;
    }
    return room;
}

static void weir__room_fill(weir__room *room, const weir__rooms *rooms, const weir_stage_opt *opt,
                            const weir__room_plan *plan)
{
    room->name = opt->name;
    room->running = room->workers = plan->workers;
    room->on_error = opt->on_error;
    room->guards = opt->guards;
    room->guard_count = opt->guard_count;
    room->correlate = opt->correlate;
    room->dead = opt->dead;
    room->item_size = plan->item_size;
    room->told = plan->told;
    room->trace = rooms->trace;
    room->clock = rooms->watch.clock;
    room->timed = rooms->watched;
    room->makes = plan->in_count == 0;
    room->in_count = plan->in_count;
    room->out_count = plan->out_count;
    for (size_t i = 0; i < plan->in_count; i++)
        room->ins[i] = plan->ins[i];
    for (size_t i = 0; i < plan->out_count; i++)
        room->outs[i] = plan->outs[i];
    room->queue = plan->in_count == 0 ? NULL : plan->ins[0];
}

/* ---- the list --------------------------------------------------------------------------------------------------------------- */

static bool weir__room_uses(const weir__room *room, const weir__chan *dead)
{
    return room->on_error == WEIR_ON_ERROR_DEAD_LETTER && room->dead.chan == dead;
}

/* Whether a room of the list sends to `chan`: one that counts, one that is aside (what is dead is), both, none. */
enum { WEIR__ROOM_COUNTS = 1, WEIR__ROOM_ASIDE = 2 };
static int weir__room_senders(const weir__rooms *rooms, const weir__chan *chan)
{
    int senders = 0;
    for (const weir__room *r = rooms->first; r != NULL; r = r->next) {
        if (weir__room_uses(r, chan))
            senders |= WEIR__ROOM_ASIDE;
        for (size_t i = 0; i < r->out_count; i++)
            if (r->outs[i] == chan)
                senders |= r->aside ? WEIR__ROOM_ASIDE : WEIR__ROOM_COUNTS;
    }
    return senders;
}

/* Whoever takes dead letters, or what such a stage sends, is aside. Until nothing changes: a stage may be started before those that feed it. */
static void weir__rooms_sort(weir__rooms *rooms)
{
    bool changed = true;
    for (weir__room *r = rooms->first; r != NULL; r = r->next)
        r->aside = false;
    while (changed) {
        changed = false;
        for (weir__room *r = rooms->first; r != NULL; r = r->next) {
            int senders = 0;
            for (size_t i = 0; i < r->in_count; i++)
                senders |= weir__room_senders(rooms, r->ins[i]);
            if (senders == WEIR__ROOM_ASIDE && !r->aside)
                changed = r->aside = true;
        }
    }
}

/* Under the lock. */
static bool weir__rooms_use(const weir__rooms *rooms, const weir__chan *dead, bool running)
{
    for (const weir__room *r = rooms->first; r != NULL; r = r->next)
        if (weir__room_uses(r, dead) && (!running || weir__load_acq(&r->running) != 0))
            return true;
    return false;
}

WEIR_API int weir__room_new(weir__rooms *rooms, const weir_stage_opt *opt, const weir__room_plan *plan,
                            weir__room **made)
{
    weir__room *room;
    int rc = 0;
    *made = NULL;
    if (!weir__room_needed(rooms, opt))
        return 0;
    if (!weir__room_sound(opt, plan))
        return EINVAL;
    room = weir__room_alloc(opt, plan);
    if (room == NULL)
        return ENOMEM;
    weir__room_fill(room, rooms, opt, plan);
    weir__lock_take(&rooms->lock);
    if (opt->on_error == WEIR_ON_ERROR_DEAD_LETTER && !weir__many_producers(opt->dead.kind) &&
        weir__rooms_use(rooms, opt->dead.chan, false)) {
        rc = EINVAL;
    } else {
        if (rooms->last == NULL)
            rooms->first = room;
        else
            rooms->last->next = room;
        rooms->last = room;
        weir__rooms_sort(rooms);
    }
    weir__lock_release(&rooms->lock);
    if (rc == 0)
        *made = room;
    else
        WEIR_FREE(room);
    return rc;
}

/* ---- dead-letter channels --------------------------------------------------------------------------------------------------- */

WEIR_API void weir__room_leave(weir__rooms *rooms, weir__room *room)
{
    bool close;
    if (weir__add_ar(&room->running, 0U - 1) != 1 || room->on_error != WEIR_ON_ERROR_DEAD_LETTER)
        return; /* acquire, release: the last one comes after all the others' letters */
    weir__lock_take(&rooms->lock);
    close = rooms->all_started && !weir__rooms_use(rooms, room->dead.chan, true);
    weir__lock_release(&rooms->lock);
    if (close)
        (void)weir__chan_close(room->dead.chan);
}

WEIR_API void weir__rooms_all_started(weir__rooms *rooms)
{
    weir__lock_take(&rooms->lock);
    rooms->all_started = true;
    for (weir__room *r = rooms->first; r != NULL; r = r->next)
        if (r->on_error == WEIR_ON_ERROR_DEAD_LETTER && !weir__rooms_use(rooms, r->dead.chan, true))
            (void)weir__chan_close(r->dead.chan);
    weir__lock_release(&rooms->lock);
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------- */

WEIR_API void weir__rooms_end(weir__rooms *rooms)
{
    weir__lock_take(&rooms->lock);
    for (weir__room *r = rooms->first; r != NULL; r = r->next) {
        if (r->on_error == WEIR_ON_ERROR_DEAD_LETTER) /* also where a worker could not be started, and so never left */
            (void)weir__chan_close(r->dead.chan);
        weir__store_rlx(&r->running, 0);
        r->queue = NULL; /* it may be freed now */
    }
    rooms->ended = true;
    rooms->over = rooms->watched ? weir__clock_now(rooms->watch.clock) : 0;
    weir__lock_release(&rooms->lock);
    if (!rooms->watched)
        weir__rooms_free(rooms);
}

WEIR_API void weir__rooms_free(weir__rooms *rooms)
{
    weir__room *room;
    while ((room = rooms->first) != NULL) {
        rooms->first = room->next;
        WEIR_FREE(room);
    }
    memset(rooms, 0, sizeof *rooms);
}

#endif /* WEIR_FLOW_ROOM_IMPLEMENTED */

/* ==== weir/flow/pipeline.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_PIPELINE_IMPLEMENTED)
#define WEIR_FLOW_PIPELINE_IMPLEMENTED


typedef struct weir__worker {
    struct weir__stage *stage;
    weir__thread thread;
    int cpu; /* -1: anywhere */
    bool started;
} weir__worker;

/* One allocation: the stage, its workers, its closers. Freed by weir_pipeline_wait, once every thread has been joined. */
typedef struct weir__stage {
    struct weir__stage *next;
    weir_pipeline *pipeline;
    weir_task_fn *task;
    void *arg;
    const char *name;
    weir__atomic_u32 running; /* workers that have not returned; the last one closes */
    unsigned workers;
    weir__worker *worker;
    weir_closer *closes;
    size_t close_count;
    void (*release)(void *arg); /* what to do with arg at the very end; NULL: nothing */
} weir__stage;

static void weir__closers_close(const weir_closer *closes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)weir__chan_close(closes[i].chan);
}

WEIR_API void weir__pipeline_fail(weir_pipeline *p, int rc)
{
    uint32_t none = 0;
    if (rc == 0 || rc == EPIPE)
        return;
    (void)weir__cas_ar(&p->first_error, &none, (uint32_t)rc);
    weir_ctx_cancel(&p->ctx, rc);
}

/* `count` workers will run no more. */
static void weir__stage_leave(weir__stage *s, uint32_t count)
{
    if (weir__add_ar(&s->running, 0U - count) == count)
        weir__closers_close(s->closes, s->close_count);
}

static void *weir__stage_main(void *arg)
{
    weir__worker *w = (weir__worker *)arg;
    weir__stage *s = w->stage;
    weir__roll_entry entry;
    int rc = w->cpu < 0 ? 0 : weir_pin(w->cpu);
    weir__roll_enter(&entry, s->name);
    weir_thread_name(s->name);
    if (rc == 0)
        rc = s->task(&s->pipeline->ctx, s->arg);
    weir__pipeline_fail(s->pipeline, rc); /* before the channels close: the others see the error first */
    weir__stage_leave(s, 1);
    weir__roll_leave(&entry);
    return NULL;
}

static weir__stage *weir__stage_new(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                                    const weir_closer *closes, size_t close_count)
{
    const unsigned workers = opt->workers == 0 ? 1 : opt->workers;
    const size_t bytes = sizeof(weir__stage) + workers * sizeof(weir__worker) + close_count * sizeof *closes;
    weir__stage *s = (weir__stage *)WEIR_ALLOC(sizeof(void *) * 2, bytes);
    if (s == NULL)
        return NULL;
    memset(s, 0, bytes);
    s->pipeline = p;
    s->task = task;
    s->arg = arg;
    s->name = opt->name == NULL ? WEIR__STAGE_NAME : opt->name;
    s->running = s->workers = workers;
    s->worker = (weir__worker *)(void *)(s + 1);
    s->closes = (weir_closer *)(void *)(s->worker + workers);
    s->close_count = close_count;
    if (close_count > 0)
        memcpy(s->closes, closes, close_count * sizeof *closes);
    for (unsigned i = 0; i < workers; i++) {
        s->worker[i].stage = s;
        s->worker[i].cpu = opt->cpu_count == 0 ? -1 : opt->cpus[i % opt->cpu_count];
    }
    return s;
}

WEIR_API void weir_pipeline_init(weir_pipeline *p, weir_ctx *parent)
{
    memset(p, 0, sizeof *p);
    weir_ctx_init(&p->ctx, parent);
}

/* Starts the workers of a stage that is in the pipeline's list. */
static int weir__stage_start(weir__stage *s)
{
    for (unsigned i = 0; i < s->workers; i++) {
        const int rc = weir__roll_start(&s->worker[i].thread, weir__stage_main, &s->worker[i]);
        if (rc != 0) {
            weir__pipeline_fail(s->pipeline, rc);
            weir__stage_leave(s, s->workers - i);
            return rc;
        }
        s->worker[i].started = true;
    }
    return 0;
}

WEIR_API int weir__pipeline_start(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                                  const weir_closer *closes, size_t close_count, void (*release)(void *arg))
{
    weir_stage_opt none;
    weir__stage *s;
    int rc;
    memset(&none, 0, sizeof none);
    s = weir__stage_new(p, opt == NULL ? &none : opt, task, arg, closes, close_count);
    if (s == NULL) {
        weir__pipeline_fail(p, ENOMEM);
        weir__closers_close(closes, close_count);
        if (release != NULL)
            release(arg);
        return ENOMEM;
    }
    s->release = release;
    weir__lock_take(&p->lock);
    s->next = p->stages;
    p->stages = s;
    rc = weir__stage_start(s);
    weir__lock_release(&p->lock);
    return rc;
}

WEIR_API int weir_pipeline_go(weir_pipeline *p, const weir_stage_opt *opt, weir_task_fn *task, void *arg,
                              const weir_closer *closes, size_t close_count)
{
    for (size_t i = 0; i < close_count; i++)
        if (closes[i].chan == NULL) {
            weir__pipeline_fail(p, EINVAL);
            weir__closers_close(closes, close_count);
            return EINVAL;
        }
    return weir__pipeline_start(p, opt, task, arg, closes, close_count, NULL);
}

/* Takes the newest stage off the list, or returns NULL. A running stage may still start others: they come first in the list, and the
 * stage is joined before we look again. */
static weir__stage *weir__pipeline_pop(weir_pipeline *p)
{
    weir__stage *s;
    weir__lock_take(&p->lock);
    s = p->stages;
    if (s != NULL)
        p->stages = s->next;
    weir__lock_release(&p->lock);
    return s;
}

WEIR_API void weir_pipeline_trace(weir_pipeline *p, weir_trace *trace)
{
    p->rooms.trace = trace;
}

WEIR_API void weir_pipeline_started(weir_pipeline *p)
{
    weir__rooms_all_started(&p->rooms);
}

WEIR_API void weir__pipeline_at_end(weir_pipeline *p, weir__pipeline_end *end)
{
    weir__lock_take(&p->lock);
    end->next = p->ends;
    p->ends = end;
    weir__lock_release(&p->lock);
}

WEIR_API int weir_pipeline_wait(weir_pipeline *p)
{
    weir__stage *s, *joined = NULL;
    weir__pipeline_end *end, *next;
    weir_pipeline_started(p);
    while ((s = weir__pipeline_pop(p)) != NULL) {
        for (unsigned i = 0; i < s->workers; i++)
            if (s->worker[i].started)
                weir__roll_join(s->worker[i].thread, s->name);
        s->next = joined;
        joined = s;
    }
    weir__rooms_end(&p->rooms);
    for (end = p->ends; end != NULL; end = next) {
        next = end->next;
        end->fn(end);
    }
    p->ends = NULL;
    while ((s = joined) != NULL) { /* now that no thread is left that could use what another stage owns */
        joined = s->next;
        if (s->release != NULL)
            s->release(s->arg);
        WEIR_FREE(s);
    }
    weir_ctx_free(&p->ctx);
    return (int)weir__load_acq(&p->first_error);
}

#endif /* WEIR_FLOW_PIPELINE_IMPLEMENTED */

/* ==== weir/flow/stage.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_STAGE_IMPLEMENTED)
#define WEIR_FLOW_STAGE_IMPLEMENTED


static size_t weir__flow_round(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

WEIR_API weir__flow *weir__flow_new(weir__flow_body *body, weir__port in, size_t in_count, weir__port out,
                                    size_t out_count, unsigned workers, size_t plan_size)
{
    const size_t in_room = in_count > workers ? in_count : workers,
                 out_room = out_count > workers ? out_count : workers;
    const size_t from_room = weir__flow_round(in.size), to_room = weir__flow_round(weir__marked_size(out.size));
    const size_t head = weir__flow_round(sizeof(weir__flow) + (in_room + out_room) * sizeof(weir__chan *));
    const size_t plan = weir__flow_round(plan_size);
    weir__flow *f = (weir__flow *)WEIR_ALLOC(64, head + plan + workers * (from_room + to_room));
    if (f == NULL)
        return NULL;
    memset(f, 0, head + plan);
    f->body = body;
    f->in = in;
    f->out = out;
    f->ins = (weir__chan **)(void *)(f + 1);
    f->outs = (weir_closer *)(void *)(f->ins + in_room);
    f->in_count = in_count;
    f->out_count = out_count;
    f->plan = (unsigned char *)f + head;
    f->values = (unsigned char *)f + head + plan;
    f->from_room = from_room;
    f->to_room = to_room;
    if (in_count > 0)
        f->ins[0] = in.chan;
    if (out_count > 0)
        f->outs[0].chan = out.chan;
    return f;
}

static void weir__flow_release(void *arg)
{
    weir__flow *f = (weir__flow *)arg;
    for (size_t i = 0; f->owns_ins && i < f->in_count; i++)
        weir__chan_free(&f->ins[i]);
    for (size_t i = 0; f->owns_outs && i < f->out_count; i++)
        weir__chan_free(&f->outs[i].chan);
    WEIR_FREE(f);
}

/* One worker of a stage. */
static int weir__flow_main(weir_ctx *ctx, void *arg)
{
    weir__flow *f = (weir__flow *)arg;
    const uint32_t worker = weir__add_rlx(&f->next_worker, 1);
    unsigned char *from = f->values + worker * (f->from_room + f->to_room);
    weir__desk *desk = f->room == NULL ? NULL : &f->room->desks[worker];
    int rc;
    if (desk != NULL)
        weir__desk_open(desk, ctx);
    rc = f->body(desk, ctx, f, worker, from, from + f->from_room);
    if (desk != NULL)
        weir__desk_close(desk);
    weir__pipeline_fail(f->pipeline, rc); /* before anything closes: the others see the error first */
    if (f->own_in)
        (void)weir__chan_close(f->ins[worker]);
    for (size_t i = 0; !f->own_in && i < f->in_count; i++)
        (void)weir__chan_close(f->ins[i]); /* nobody reads them any more */
    if (f->own_out)
        (void)weir__chan_close(f->outs[worker].chan);
    if (f->room != NULL)
        weir__room_leave(&f->pipeline->rooms, f->room);
    return rc;
}

WEIR_API int weir__flow_refuse(weir_pipeline *p, weir__flow *f, int rc)
{
    if (f != NULL)
        weir__flow_release(f);
    weir__pipeline_fail(p, rc);
    return rc;
}

WEIR_API int weir__flow_room(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers)
{
    weir__room_plan plan;
    weir_stage_opt used;
    if (f->room != NULL || f->helper)
        return 0;
    if (opt == NULL)
        memset(&used, 0, sizeof used);
    else
        used = *opt;
    if (used.name == NULL)
        used.name = WEIR__STAGE_NAME;
    plan.workers = workers;
    plan.item_size = f->in_count > 0 ? f->in.size : f->out.size;
    plan.ins = f->ins;
    plan.outs = (const weir__chan *const *)(const void *)f->outs;
    plan.in_count = f->in_count;
    plan.out_count = f->out_count;
    plan.told = f->arg;
    return weir__room_new(&p->rooms, &used, &plan, &f->room);
}

/* Whether its outputs have been made: nobody could close one that is NULL. (An input that is NULL is never ready, as in Go.) */
static bool weir__flow_has_outputs(const weir__flow *f)
{
    for (size_t i = 0; i < f->out_count; i++)
        if (f->outs[i].chan == NULL)
            return false;
    return true;
}

WEIR_API int weir__flow_start(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned workers)
{
    int rc;
    weir_stage_opt used;
    if (f == NULL)
        return weir__flow_refuse(p, NULL, ENOMEM);
    if (opt == NULL)
        memset(&used, 0, sizeof used);
    else
        used = *opt;
    used.workers = workers;
    f->pipeline = p;
    if (!weir__flow_has_outputs(f))
        return weir__flow_refuse(p, f, EINVAL);
    if (workers > 1 && ((!f->own_in && f->in_count > 0 && !weir__many_consumers(f->in.kind)) ||
                        (!f->own_out && f->out_count > 0 && !weir__many_producers(f->out.kind))))
        return weir__flow_refuse(p, f, EINVAL);
    rc = weir__flow_room(p, f, opt, workers);
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    return weir__pipeline_start(p, &used, weir__flow_main, f, f->outs, f->out_count, weir__flow_release);
}

static int weir__flow_deal_body(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    (void)worker;
    (void)to;
    return weir__deal_body(desk, ctx, f->in, f->ins, f->in_count, f->out, f->outs, f->out_count, from);
}

WEIR_API int weir__flow_deal(weir_pipeline *p, weir__port in, const void *ins, size_t in_count, weir__port out,
                             const void *outs, size_t out_count, const weir_stage_opt *opt, bool helper)
{
    weir__flow *f = weir__flow_new(weir__flow_deal_body, in, in_count, out, out_count, 1, 0);
    if (f != NULL) {
        f->helper = helper;
        memcpy(f->ins, ins, in_count * sizeof *f->ins);
        memcpy(f->outs, outs, out_count * sizeof *f->outs);
    }
    return weir__flow_start(p, f, opt, 1);
}

/* ---- order ------------------------------------------------------------------------------------------------------------------ */

WEIR_API int weir__flow_queues(void *handles, size_t n, size_t size, const weir__chan *beside,
                               const weir_stage_opt *opt)
{
    weir_chan_opt made = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    int rc = 0;
    if (beside != NULL) {
        made.wait = (weir_wait_strategy)beside->wait;
        made.name = beside->name;
    }
    if (opt->wait != WEIR_WAIT_ADAPTIVE)
        made.wait = opt->wait;
    memset(handles, 0, n * sizeof(weir__chan *));
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = weir__chan_make((unsigned char *)handles + i * sizeof(weir__chan *), WEIR__SPSC,
                             opt->queue == 0 ? WEIR_MAP_QUEUE : opt->queue, size, &made);
    return rc;
}

/* Takes from each of ins until its turn ends, in turn. */
static int weir__flow_collect_body(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from,
                                   void *to)
{
    size_t i = 0;
    uint64_t mark;
    (void)worker;
    (void)to;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, weir__port_at(f->in, f->ins, i), from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        memcpy(&mark, (unsigned char *)from + f->in.size - sizeof mark, sizeof mark);
        if ((mark & WEIR__HAS_VALUE) != 0)
            rc = weir__desk_send(desk, ctx, f->out, from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        if ((mark & WEIR__ENDS_TURN) != 0)
            i = i + 1 < f->in_count ? i + 1 : 0;
    }
}

/* f was made for `in` and `out` and n workers: turns it to queues of its own, and puts a dealer before it and a collector behind. */
static int weir__flow_ordered(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt, unsigned n)
{
    const weir__port in = f->in, out = f->out;
    weir__flow *collect;
    weir__port queued = {NULL, WEIR__SPSC, in.size}, marked = {NULL, WEIR__SPSC, weir__marked_size(out.size)};
    int rc = weir__flow_room(p, f, opt, n);
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    rc = weir__flow_queues(f->ins, n, queued.size, in.chan, opt);
    memset(f->outs, 0, n * sizeof *f->outs);
    if (rc == 0)
        rc = weir__flow_queues(f->outs, n, marked.size, out.chan, opt);
    f->in = queued;
    f->out = marked;
    f->in_count = f->out_count = n;
    f->own_in = f->own_out = f->owns_ins = f->owns_outs = f->marked = true;
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    /* From here on f, and with it the queues, stays until all threads have been joined. */
    rc = weir__flow_start(p, f, opt, n);
    if (rc != 0)
        return rc;
    rc = weir__flow_deal(p, in, &in.chan, 1, queued, f->ins, n, opt, true);
    if (rc != 0)
        return rc;
    collect = weir__flow_new(weir__flow_collect_body, marked, n, out, 1, 1, 0);
    if (collect != NULL) {
        collect->helper = true;
        memcpy(collect->ins, f->outs, n * sizeof *f->outs);
    }
    return weir__flow_start(p, collect, opt, 1);
}

WEIR_API int weir__flow_run(weir_pipeline *p, weir__flow *f, const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    if (f != NULL && workers > 1 && opt->ordered && f->in_count == 1 && f->out_count == 1)
        return weir__flow_ordered(p, f, opt, workers);
    return weir__flow_start(p, f, opt, workers);
}

#endif /* WEIR_FLOW_STAGE_IMPLEMENTED */

/* ==== weir/flow/stages.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_STAGES_IMPLEMENTED)
#define WEIR_FLOW_STAGES_IMPLEMENTED

typedef union weir__stage_fn {
    weir_generate_fn *generate;
    weir_map_fn *map;
    weir_sink_fn *sink;
} weir__stage_fn;

static weir__stage_fn *weir__stage_plan(const weir__flow *f)
{
    return (weir__stage_fn *)f->plan;
}

/* Whether a worker has a desk is asked once, not for each value. */
static int weir__generate_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__port out = weir__flow_out(f, worker);
    weir_generate_fn *fn = weir__stage_plan(f)->generate;
    (void)from;
    return desk == NULL ? weir__generate_body(NULL, ctx, out, fn, f->arg, to)
                        : weir__generate_body(desk, ctx, out, fn, f->arg, to);
}

static int weir__sink_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__port in = weir__flow_in(f, worker);
    weir_sink_fn *fn = weir__stage_plan(f)->sink;
    (void)to;
    return desk == NULL ? weir__sink_body(NULL, ctx, in, fn, f->arg, from)
                        : weir__sink_body(desk, ctx, in, fn, f->arg, from);
}

WEIR_INLINE int weir__map_stage_work(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from,
                                     void *to)
{
    const weir__port in = weir__flow_in(f, worker), out = weir__flow_out(f, worker);
    weir_map_fn *fn = weir__stage_plan(f)->map;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__loop_map(desk, ctx, fn, f->arg, from, to);
        rc = weir__flow_answer(desk, ctx, f, out, rc, from, to, WEIR__HAS_VALUE | WEIR__ENDS_TURN);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

static int weir__map_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    return desk == NULL ? weir__map_stage_work(NULL, ctx, f, worker, from, to)
                        : weir__map_stage_work(desk, ctx, f, worker, from, to);
}

/* Worker i empties ins[i]. */
static int weir__pump_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    (void)to;
    return weir__deal_body(desk, ctx, f->in, &f->ins[worker], 1, f->out, f->outs, 1, from);
}

WEIR_API int weir__flow_generate(weir_pipeline *p, weir__port out, weir_generate_fn *fn, void *arg,
                                 const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(weir__generate_stage, weir__port_none(), 0, out, 1, weir__flow_workers(opt),
                                   sizeof(weir__stage_fn));
    if (f != NULL) {
        weir__stage_plan(f)->generate = fn;
        f->arg = arg;
    }
    return weir__flow_run(p, f, opt);
}

WEIR_API weir__flow *weir__flow_map_new(weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                                        const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(weir__map_stage, in, 1, out, 1, weir__flow_workers(opt), sizeof(weir__stage_fn));
    if (f != NULL) {
        weir__stage_plan(f)->map = fn;
        f->arg = arg;
    }
    return f;
}

WEIR_API int weir__flow_map(weir_pipeline *p, weir__port in, weir__port out, weir_map_fn *fn, void *arg,
                            const weir_stage_opt *opt)
{
    return weir__flow_run(p, weir__flow_map_new(in, out, fn, arg, opt), opt);
}

WEIR_API int weir__flow_sink(weir_pipeline *p, weir__port in, weir_sink_fn *fn, void *arg, const weir_stage_opt *opt)
{
    weir__flow *f =
        weir__flow_new(weir__sink_stage, in, 1, weir__port_none(), 0, weir__flow_workers(opt), sizeof(weir__stage_fn));
    if (f != NULL) {
        weir__stage_plan(f)->sink = fn;
        f->arg = arg;
    }
    return weir__flow_run(p, f, opt);
}

WEIR_API int weir__flow_fan_out(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                const weir_stage_opt *opt)
{
    return n == 0 ? weir__flow_refuse(p, NULL, EINVAL) : weir__flow_deal(p, in, &in.chan, 1, out, outs, n, opt, false);
}

WEIR_API int weir__flow_fan_in(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                               const weir_stage_opt *opt)
{
    weir__flow *f;
    if (n == 0 || n > UINT32_MAX)
        return weir__flow_refuse(p, NULL, EINVAL);
    if (opt != NULL && opt->ordered)
        return weir__flow_deal(p, in, ins, n, out, &out.chan, 1, opt, false);
    f = weir__flow_new(weir__pump_stage, in, n, out, 1, (unsigned)n, 0);
    if (f != NULL) {
        f->own_in = true;
        memcpy(f->ins, ins, n * sizeof *f->ins);
    }
    return weir__flow_start(p, f, opt, (unsigned)n);
}

#endif /* WEIR_FLOW_STAGES_IMPLEMENTED */

/* ==== weir/flow/filter.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_FILTER_IMPLEMENTED)
#define WEIR_FLOW_FILTER_IMPLEMENTED

typedef struct weir__filter_plan {
    weir_filter_fn *filter;
    weir_flat_map_fn *flat_map;
    size_t size; /* of a value that goes out */
} weir__filter_plan;

static int weir__filter_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__filter_plan *plan = (const weir__filter_plan *)f->plan;
    (void)from;
    return weir__filter_body(desk, ctx, f->marked, weir__flow_in(f, worker), weir__flow_out(f, worker), plan->filter,
                             f->arg, to);
}

static int weir__flat_map_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__filter_plan *plan = (const weir__filter_plan *)f->plan;
    return weir__flat_map_body(desk, ctx, weir__flow_in(f, worker), weir__flow_out(f, worker), plan->size,
                               plan->flat_map, f->arg, from, f->marked ? to : NULL);
}

static int weir__flow_filter_run(weir_pipeline *p, weir__flow_body *body, weir__port in, weir__port out,
                                 weir__filter_plan plan, void *arg, const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(body, in, 1, out, 1, weir__flow_workers(opt), sizeof plan);
    if (f != NULL) {
        plan.size = out.size;
        memcpy(f->plan, &plan, sizeof plan);
        f->arg = arg;
    }
    return weir__flow_run(p, f, opt);
}

WEIR_API int weir__flow_filter(weir_pipeline *p, weir__port in, weir__port out, weir_filter_fn *fn, void *arg,
                               const weir_stage_opt *opt)
{
    const weir__filter_plan plan = {fn, NULL, 0};
    return weir__flow_filter_run(p, weir__filter_stage, in, out, plan, arg, opt);
}

WEIR_API int weir__flow_flat_map(weir_pipeline *p, weir__port in, weir__port out, weir_flat_map_fn *fn, void *arg,
                                 const weir_stage_opt *opt)
{
    const weir__filter_plan plan = {NULL, fn, 0};
    return weir__flow_filter_run(p, weir__flat_map_stage, in, out, plan, arg, opt);
}

#endif /* WEIR_FLOW_FILTER_IMPLEMENTED */

/* ==== weir/flow/fuse.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_FUSE_IMPLEMENTED)
#define WEIR_FLOW_FUSE_IMPLEMENTED

/* Before the steps; behind them each worker has two places for what goes from one step to the next. */
typedef struct weir__fused_plan {
    size_t n, place, first; /* steps; bytes of a place; where the places begin */
} weir__fused_plan;

typedef struct weir__fused_call {
    const weir_map_step *steps;
    size_t n;
    const void *from;
    void *place[2], *to;
} weir__fused_call;

static int weir__fused_once(weir_ctx *ctx, void *arg)
{
    const weir__fused_call *c = (const weir__fused_call *)arg;
    const void *from = c->from;
    for (size_t i = 0; i < c->n; i++) {
        void *to = i + 1 == c->n ? c->to : c->place[i % 2];
        const int rc = c->steps[i].fn(ctx, c->steps[i].arg, from, to);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        from = to;
    }
    return 0;
}

static int weir__fused_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir__fused_plan *plan = (const weir__fused_plan *)f->plan;
    const weir__port in = weir__flow_in(f, worker), out = weir__flow_out(f, worker);
    weir__fused_call call;
    call.steps = (const weir_map_step *)(const void *)(plan + 1);
    call.n = plan->n;
    call.from = from;
    call.to = to;
    call.place[0] = (unsigned char *)f->plan + plan->first + 2 * plan->place * worker;
    call.place[1] = (unsigned char *)call.place[0] + plan->place;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, in, from), marks = WEIR__HAS_VALUE | WEIR__ENDS_TURN;
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_call(desk, ctx, weir__fused_once, &call);
        if (WEIR_UNLIKELY(rc != 0)) {
            rc = weir__desk_failed(desk, ctx, rc, from);
            marks = WEIR__ENDS_TURN;
        }
        if (WEIR_LIKELY(rc == 0))
            rc = weir__send_turn(desk, ctx, f->marked, out, to, marks);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_API int weir__flow_fused(weir_pipeline *p, weir__port in, weir__port out, const weir_map_step *steps, size_t n,
                              const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    weir__fused_plan plan = {n, 0, 0};
    weir__flow *f;
    if (n == 0 || n > UINT32_MAX || (steps[n - 1].size != 0 && steps[n - 1].size != out.size))
        return weir__flow_refuse(p, NULL, EINVAL);
    for (size_t i = 0; i + 1 < n; i++)
        if (steps[i].size > plan.place)
            plan.place = steps[i].size;
    if (plan.place > SIZE_MAX / 8 / workers)
        return weir__flow_refuse(p, NULL, EOVERFLOW);
    plan.place = (plan.place + 63) / 64 * 64;
    plan.first = (sizeof plan + n * sizeof *steps + 63) / 64 * 64;
    f = weir__flow_new(weir__fused_stage, in, 1, out, 1, workers, plan.first + 2 * plan.place * workers);
    if (f != NULL) {
        memcpy(f->plan, &plan, sizeof plan);
        memcpy((weir__fused_plan *)f->plan + 1, steps, n * sizeof *steps);
    }
    return weir__flow_run(p, f, opt);
}

#endif /* WEIR_FLOW_FUSE_IMPLEMENTED */

/* ==== weir/flow/throttle.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_THROTTLE_IMPLEMENTED)
#define WEIR_FLOW_THROTTLE_IMPLEMENTED

static int weir__throttle_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    (void)from;
    return weir__throttle_body(desk, ctx, f->marked, weir__flow_in(f, worker), weir__flow_out(f, worker),
                               (weir_limiter *)f->arg, to);
}

WEIR_API int weir__flow_throttle(weir_pipeline *p, weir__port in, weir__port out, weir_limiter *limiter,
                                 const weir_stage_opt *opt)
{
    weir__flow *f = weir__flow_new(weir__throttle_stage, in, 1, out, 1, weir__flow_workers(opt), 0);
    if (f != NULL)
        f->arg = limiter;
    return weir__flow_run(p, f, opt);
}

#endif /* WEIR_FLOW_THROTTLE_IMPLEMENTED */

/* ==== weir/flow/tee.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_TEE_IMPLEMENTED)
#define WEIR_FLOW_TEE_IMPLEMENTED

/* The first `waiting` cases are those that the value still has to go to. */
typedef struct weir__tee_plan {
    weir_tee_side *sides;
    size_t open, waiting;
    weir_case *cases; /* n */
    size_t *number;   /* n: of whom is the case */
    bool *closed;     /* n: by number */
} weir__tee_plan;

static void weir__tee_close(weir__tee_plan *plan, size_t i)
{
    plan->closed[i] = true;
    plan->open--;
}

/* Sends where there is room; the others are noted as waiting. */
static void weir__tee_try(weir__desk *desk, weir__flow *f, weir__tee_plan *plan, const void *value)
{
    plan->waiting = 0;
    for (size_t i = 0; i < f->out_count; i++) {
        int rc;
        if (plan->closed[i])
            continue;
        rc = weir__desk_try_send(desk, weir__port_at(f->out, f->outs, i), value);
        if (rc == EPIPE) {
            weir__tee_close(plan, i);
        } else if (rc != 0 && plan->sides != NULL && plan->sides[i].drop) {
            (void)weir__add_rlx(&plan->sides[i].dropped, 1);
        } else if (rc != 0) {
            plan->cases[plan->waiting] = weir__case(WEIR__CASE_SEND, f->outs[i].chan, value, NULL, NULL);
            plan->number[plan->waiting++] = i;
        }
    }
}

/* Sends to those that wait, whichever has room first. */
static int weir__tee_wait(weir__desk *desk, weir_ctx *ctx, weir__tee_plan *plan)
{
    while (plan->waiting > 0) {
        /* No more at a time than a select takes without memory of its own. */
        const size_t n = plan->waiting < WEIR__SELECT_INLINE ? plan->waiting : WEIR__SELECT_INLINE;
        int i;
        weir__desk_waits(desk, false);
        i = weir_select(ctx, plan->cases, n);
        weir__desk_goes_on(desk, false);
        if (i < 0) {
            weir__desk_abandoned(desk);
            return -i;
        }
        if (plan->cases[i].status == 0)
            weir__desk_gave(desk);
        else
            weir__tee_close(plan, plan->number[i]);
        plan->waiting--;
        plan->cases[i] = plan->cases[plan->waiting];
        plan->number[i] = plan->number[plan->waiting];
    }
    return 0;
}

static int weir__tee_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__tee_plan *plan = (weir__tee_plan *)f->plan;
    (void)to;
    (void)worker;
    while (plan->open > 0) {
        int rc = weir__desk_recv(desk, ctx, f->in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        weir__tee_try(desk, f, plan, from);
        rc = weir__tee_wait(desk, ctx, plan);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
    return EPIPE;
}

WEIR_API int weir__flow_tee(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                            weir_tee_side *sides, const weir_stage_opt *opt)
{
    const size_t each = sizeof(weir_case) + sizeof(size_t) + sizeof(bool);
    weir__tee_plan *plan;
    weir__flow *f;
    if (n == 0 || n > UINT32_MAX)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__tee_stage, in, 1, out, n, 1, sizeof *plan + n * each);
    if (f != NULL) {
        memcpy(f->outs, outs, n * sizeof *f->outs);
        plan = (weir__tee_plan *)f->plan;
        plan->sides = sides;
        plan->open = n;
        plan->cases = (weir_case *)(void *)(plan + 1);
        plan->number = (size_t *)(void *)(plan->cases + n);
        plan->closed = (bool *)(void *)(plan->number + n);
    }
    return weir__flow_start(p, f, opt, 1);
}

#endif /* WEIR_FLOW_TEE_IMPLEMENTED */

/* ==== weir/flow/partition.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_PARTITION_IMPLEMENTED)
#define WEIR_FLOW_PARTITION_IMPLEMENTED


WEIR_API size_t weir_key_place(const weir_key *key, const void *value, size_t n)
{
    size_t size = 0;
    const void *bytes = key->fn(key->arg, value, &size);
    return (size_t)(weir_hash(key->seed, bytes, size) % n);
}

static int weir__partition_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir_key *key = (const weir_key *)f->plan;
    (void)worker;
    (void)to;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, f->in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_send(desk, ctx, weir__port_at(f->out, f->outs, weir_key_place(key, from, f->out_count)), from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

static int weir__partition_start(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                 const weir_key *key, const weir_stage_opt *opt, bool helper)
{
    weir__flow *f = weir__flow_new(weir__partition_stage, in, 1, out, n, 1, sizeof *key);
    if (f != NULL) {
        weir_key used = *key;
        for (int i = 0; i < 4 && (key->seed[0] | key->seed[1]) == 0; i++)
            used.seed[i / 2] = used.seed[i / 2] << 32 | weir__random_below(UINT32_MAX);
        memcpy(f->plan, &used, sizeof used);
        memcpy(f->outs, outs, n * sizeof *f->outs);
        f->helper = helper;
    }
    return weir__flow_start(p, f, opt, 1);
}

WEIR_API int weir__flow_partition(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                  const weir_key *key, const weir_stage_opt *opt)
{
    if (n == 0 || n > UINT32_MAX)
        return weir__flow_refuse(p, NULL, EINVAL);
    return weir__partition_start(p, in, out, outs, n, key, opt, false);
}

WEIR_API int weir__flow_map_keyed(weir_pipeline *p, weir__port in, weir__port out, const weir_key *key, weir_map_fn *fn,
                                  void *arg, const weir_stage_opt *opt)
{
    const unsigned n = weir__flow_workers(opt);
    weir__flow *f;
    weir__port queued = {NULL, WEIR__SPSC, in.size};
    weir_stage_opt used;
    int rc;
    memset(&used, 0, sizeof used);
    if (opt != NULL)
        used = *opt;
    if (used.ordered)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_map_new(queued, out, fn, arg, &used);
    if (f == NULL)
        return weir__flow_refuse(p, NULL, ENOMEM);
    f->ins[0] = in.chan;
    rc = weir__flow_room(p, f, &used, n);
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    rc = weir__flow_queues(f->ins, n, in.size, in.chan, &used);
    f->in_count = n;
    f->own_in = f->owns_ins = true;
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    /* From here on f, and with it the queues, stays until all threads have been joined. */
    rc = weir__flow_start(p, f, &used, n);
    return rc != 0 ? rc : weir__partition_start(p, in, queued, f->ins, n, key, &used, true);
}

#endif /* WEIR_FLOW_PARTITION_IMPLEMENTED */

/* ==== weir/flow/merge.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_MERGE_IMPLEMENTED)
#define WEIR_FLOW_MERGE_IMPLEMENTED

#define WEIR__MERGE_MOST ((size_t)1 << 20)

/* ---- as they come ----------------------------------------------------------------------------------------------------------- */

/* Behind it n cases and what a select wants. cases[0 .. alive) are the inputs that have not ended. */
typedef struct weir__merge_plan {
    size_t alive;
    weir_case *cases;
    void *memory; /* for weir__select_in */
} weir__merge_plan;

/* Input i has ended. The others keep their turns. */
static void weir__merge_drop(weir__merge_plan *plan, size_t i)
{
    plan->alive--;
    memmove(&plan->cases[i], &plan->cases[i + 1], (plan->alive - i) * sizeof *plan->cases);
}

/* Takes a value of the first input from *turn on that has one, or of whichever is the first to have one: 0, with *turn of the next input. EPIPE: all
 * have ended. */
static int weir__merge_take(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__merge_plan *plan, size_t *turn,
                            void *value)
{
    size_t seen = 0; /* inputs in a row that have none */
    while (plan->alive > 0) {
        size_t i = *turn < plan->alive ? *turn : 0;
        int rc;
        if (seen < plan->alive) {
            in.chan = plan->cases[i].chan;
            rc = weir__desk_try_recv(desk, in, value);
        } else {
            int done;
            weir__desk_waits(desk, true);
            done = weir__select_in(ctx, plan->cases, plan->alive, plan->memory);
            weir__desk_goes_on(desk, true);
            if (done < 0)
                return -done;
            i = (size_t)done;
            rc = plan->cases[i].status;
            if (rc == 0)
                weir__desk_took(desk);
        }
        *turn = i + 1;
        if (rc == 0)
            return 0;
        seen++;
        if (rc == EAGAIN)
            continue;
        if (rc != EPIPE)
            return rc;
        weir__merge_drop(plan, i);
        *turn = i;
        seen = 0;
    }
    return EPIPE;
}

static int weir__merge_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__merge_plan *plan = (weir__merge_plan *)f->plan;
    size_t turn = 0;
    (void)worker;
    (void)to;
    for (size_t i = 0; i < f->in_count; i++)
        plan->cases[i] = weir__case(WEIR__CASE_RECV, f->ins[i], NULL, from, NULL);
    for (;;) {
        int rc = weir__ctx_ended(ctx);
        if (rc == 0)
            rc = weir__merge_take(desk, ctx, f->in, plan, &turn, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_send(desk, ctx, f->out, from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_API int weir__flow_merge(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                              const weir_stage_opt *opt)
{
    const size_t cases = (sizeof(weir__merge_plan) + 15) / 16 * 16,
                 memory = cases + (n * sizeof(weir_case) + 15) / 16 * 16;
    weir__merge_plan *plan;
    weir__flow *f;
    if (n == 0 || n > WEIR__MERGE_MOST)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__merge_stage, in, n, out, 1, 1, memory + weir__select_bytes(n));
    if (f != NULL) {
        memcpy(f->ins, ins, n * sizeof *f->ins);
        plan = (weir__merge_plan *)f->plan;
        plan->alive = n;
        plan->cases = (weir_case *)(void *)((unsigned char *)f->plan + cases);
        plan->memory = (unsigned char *)f->plan + memory;
    }
    return weir__flow_start(p, f, opt, 1);
}

/* ---- in order --------------------------------------------------------------------------------------------------------------- */

/* A heap of inputs, by the value that each has at its front; behind it the numbers of the inputs, then the values. */
typedef struct weir__sorted_plan {
    weir_before_fn *before;
    size_t held; /* inputs in the heap */
    uint32_t *heap;
    unsigned char *values;
    size_t room; /* from one value to the next */
} weir__sorted_plan;

static bool weir__sorted_first(const weir__flow *f, const weir__sorted_plan *plan, uint32_t a, uint32_t b)
{
    const void *va = plan->values + a * plan->room, *vb = plan->values + b * plan->room;
    return plan->before(f->arg, va, vb) || (a < b && !plan->before(f->arg, vb, va));
}

static void weir__sorted_swap(uint32_t *heap, size_t a, size_t b)
{
    const uint32_t input = heap[a];
    heap[a] = heap[b];
    heap[b] = input;
}

/* The root may come later than its children. */
static void weir__sorted_down(const weir__flow *f, weir__sorted_plan *plan)
{
    size_t at = 0;
    for (;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < plan->held; child++)
            if (weir__sorted_first(f, plan, plan->heap[child], plan->heap[first]))
                first = child;
        if (first == at)
            return;
        weir__sorted_swap(plan->heap, at, first);
        at = first;
    }
}

static void weir__sorted_up(const weir__flow *f, weir__sorted_plan *plan, size_t at)
{
    while (at > 0 && weir__sorted_first(f, plan, plan->heap[at], plan->heap[(at - 1) / 2])) {
        weir__sorted_swap(plan->heap, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static int weir__sorted_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__sorted_plan *plan = (weir__sorted_plan *)f->plan;
    int rc;
    (void)worker;
    (void)from;
    (void)to;
    for (uint32_t i = 0; i < f->in_count; i++) {
        rc = weir__desk_recv(desk, ctx, weir__port_at(f->in, f->ins, i), plan->values + i * plan->room);
        if (rc == EPIPE)
            continue;
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        plan->heap[plan->held++] = i;
        weir__sorted_up(f, plan, plan->held - 1);
    }
    while (plan->held > 0) {
        const uint32_t i = plan->heap[0];
        void *value = plan->values + i * plan->room;
        rc = weir__desk_send(desk, ctx, f->out, value);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        rc = weir__desk_recv(desk, ctx, weir__port_at(f->in, f->ins, i), value);
        if (rc == EPIPE)
            plan->heap[0] = plan->heap[--plan->held];
        else if (WEIR_UNLIKELY(rc != 0))
            return rc;
        weir__sorted_down(f, plan);
    }
    return 0;
}

WEIR_API int weir__flow_merge_sorted(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                                     weir_before_fn *before, void *arg, const weir_stage_opt *opt)
{
    const size_t room = (in.size + 15) / 16 * 16;
    const size_t head = (sizeof(weir__sorted_plan) + n * sizeof(uint32_t) + 63) / 64 * 64;
    weir__sorted_plan *plan;
    weir__flow *f;
    if (n == 0 || n > WEIR__MERGE_MOST)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__sorted_stage, in, n, out, 1, 1, head + n * room);
    if (f != NULL) {
        memcpy(f->ins, ins, n * sizeof *f->ins);
        f->arg = arg;
        plan = (weir__sorted_plan *)f->plan;
        plan->before = before;
        plan->heap = (uint32_t *)(void *)(plan + 1);
        plan->values = (unsigned char *)f->plan + head;
        plan->room = room;
    }
    return weir__flow_start(p, f, opt, 1);
}

#endif /* WEIR_FLOW_MERGE_IMPLEMENTED */

/* ==== weir/flow/batch.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_BATCH_IMPLEMENTED)
#define WEIR_FLOW_BATCH_IMPLEMENTED

static int weir__batch_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__batch b = *(const weir__batch *)f->plan;
    (void)from;
    b.memory = (unsigned char *)to;
    return weir__batch_body(desk, ctx, weir__flow_in(f, worker), weir__flow_out(f, worker), &b);
}

WEIR_API int weir__flow_batch(weir_pipeline *p, weir__port in, weir__port out, weir__batch_shape shape,
                              const weir_batch_rules *rules, const weir_stage_opt *opt)
{
    const unsigned workers = weir__flow_workers(opt);
    weir__batch plan;
    weir__flow *f;
    int rc = weir__batch_init(&plan, rules, shape, NULL);
    if (rc != 0 || (workers > 1 && opt->ordered))
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__batch_stage, in, 1, out, 1, workers, sizeof plan);
    if (f != NULL)
        memcpy(f->plan, &plan, sizeof plan);
    return weir__flow_start(p, f, opt, workers);
}

#endif /* WEIR_FLOW_BATCH_IMPLEMENTED */

/* ==== weir/flow/window.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_WINDOW_IMPLEMENTED)
#define WEIR_FLOW_WINDOW_IMPLEMENTED

#define WEIR__WINDOW_LONGEST ((int64_t)1 << 60)
#define WEIR__WINDOW_FARTHEST ((int64_t)1 << 62)
#define WEIR__WINDOW_MOST ((int64_t)1 << 20)

/* A ring of windows, by their number; behind it the spans, then the results. A span without values is a window that nobody has. */
typedef struct weir__windows {
    weir_window_rules rules; /* length, every: filled in, whatever they count */
    weir_window_fn *fn;
    bool begun;
    int64_t low;         /* windows below it are closed; those from low + slots on cannot be open */
    int64_t next, clock; /* number of the next value; the latest time that was seen */
    int64_t slots, open; /* there are; have values */
    weir_window_span *span;
    unsigned char *results;
    size_t room; /* from one result to the next */
} weir__windows;

/* What a stage works with. */
typedef struct weir__windows_run {
    weir__desk *desk;
    weir_ctx *ctx;
    weir__flow *f;
    weir__windows *w;
} weir__windows_run;

/* a / b, downwards; b > 0. */
static int64_t weir__floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}
static int64_t weir__windows_slot(const weir__windows *w, int64_t number)
{
    return number - weir__floor_div(number, w->slots) * w->slots;
}
/* The first window that does not end at or before t. */
static int64_t weir__windows_first(const weir__windows *w, int64_t t)
{
    return weir__floor_div(t - w->rules.length, w->rules.every) + 1;
}

typedef struct weir__window_call {
    const weir__windows_run *run;
    const weir_window_span *span;
    const void *value;
    void *result;
} weir__window_call;

static int weir__window_once(weir_ctx *ctx, void *arg)
{
    const weir__window_call *c = (const weir__window_call *)arg;
    return c->run->w->fn(ctx, c->run->f->arg, c->span, c->value, c->result);
}

static int weir__window_call_fn(const weir__windows_run *r, const weir_window_span *span, const void *value,
                                void *result)
{
    weir__window_call call = {r, span, value, result};
    return weir__desk_call(r->desk, r->ctx, weir__window_once, &call);
}

static int weir__windows_close(const weir__windows_run *r, int64_t number)
{
    weir__windows *w = r->w;
    const int64_t slot = weir__windows_slot(w, number);
    unsigned char *result = w->results + (size_t)slot * w->room;
    int rc;
    if (w->span[slot].values == 0)
        return 0;
    rc = weir__window_call_fn(r, &w->span[slot], NULL, result);
    if (rc == 0)
        rc = weir__desk_send(r->desk, r->ctx, r->f->out, result);
    w->span[slot].values = 0;
    w->open--;
    return rc;
}

/* Closes the windows below number `low`, in their order. */
static int weir__windows_close_below(const weir__windows_run *r, int64_t low)
{
    weir__windows *w = r->w;
    int rc = 0;
    if (!w->begun)
        w->low = low;
    w->begun = true;
    while (w->low < low && w->open > 0 && rc == 0)
        rc = weir__windows_close(r, w->low++);
    if (w->low < low)
        w->low = low;
    return rc;
}

/* Adds *value, of time t, to its windows. */
static int weir__windows_add(const weir__windows_run *r, int64_t t, const void *value)
{
    weir__windows *w = r->w;
    const int64_t last = weir__floor_div(t, w->rules.every);
    int64_t number = weir__windows_first(w, t);
    int rc = 0;
    if (number <= last && last < w->low) {
        if (w->rules.report != NULL)
            (void)weir__add_rlx(&w->rules.report->late, 1);
        if (w->rules.on_late != NULL)
            w->rules.on_late(r->f->arg, value);
        return 0;
    }
    for (number = number < w->low ? w->low : number; number <= last && rc == 0; number++) {
        const int64_t slot = weir__windows_slot(w, number);
        unsigned char *result = w->results + (size_t)slot * w->room;
        weir_window_span *span = &w->span[slot];
        if (span->values == 0) {
            span->begin = number * w->rules.every;
            span->end = span->begin + w->rules.length;
            memset(result, 0, r->f->out.size);
            w->open++;
        }
        span->values++;
        rc = weir__window_call_fn(r, span, value, result);
    }
    return rc;
}

/* The windows whose end has come by the clock. */
static int weir__windows_tick(const weir__windows_run *r)
{
    weir__windows *w = r->w;
    const weir_ns now = weir__clock_now(w->rules.clock);
    if (now > w->clock || !w->begun)
        w->clock = now; /* it does not go back */
    return weir__windows_close_below(r, weir__windows_first(w, w->clock));
}

/* A value has come. A failure of fn is the value's, and *own; others are the stage's. */
static int weir__windows_take(const weir__windows_run *r, const void *value, bool *own)
{
    weir__windows *w = r->w;
    int64_t t;
    int rc = 0;
    *own = false;
    if (w->rules.count != 0) {
        t = w->next++;
        rc = weir__windows_close_below(r, weir__windows_first(w, t) < 0 ? 0 : weir__windows_first(w, t));
    } else if (w->rules.stamp == NULL) {
        rc = weir__windows_tick(r);
        t = w->clock;
    } else {
        t = w->rules.stamp(r->f->arg, value);
        *own = true;
        if (t > WEIR__WINDOW_FARTHEST || t < -WEIR__WINDOW_FARTHEST)
            return EINVAL;
        *own = false;
        rc = weir__windows_close_below(r, weir__windows_first(w, t - w->rules.lateness));
    }
    if (rc != 0)
        return rc;
    rc = weir__windows_add(r, t, value);
    *own = rc != 0;
    if (rc == 0 && w->rules.count != 0) /* none waits for the next value to be closed */
        rc = weir__windows_close_below(r, weir__windows_first(w, t + 1) < 0 ? 0 : weir__windows_first(w, t + 1));
    return rc;
}

/* Waits for the next value; by arrival, at most until the next window ends. That is the lowest: it has not ended, so it has whatever has come for a
 * later one. */
static int weir__windows_recv(const weir__windows_run *r, void *value)
{
    weir__windows *w = r->w;
    weir_ns until;
    if (w->rules.count != 0 || w->rules.stamp != NULL || w->open == 0)
        return weir__desk_recv(r->desk, r->ctx, r->f->in, value);
    until = w->span[weir__windows_slot(w, w->low)].end;
    if (w->rules.clock != NULL)
        until = weir_time_add(weir_now(), until - w->clock);
    return weir__desk_recv_until(r->desk, r->ctx, r->f->in, value, until);
}

static int weir__windows_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__windows_run r = {desk, ctx, f, (weir__windows *)f->plan};
    (void)worker;
    (void)to;
    for (;;) {
        bool own;
        int rc = weir__windows_recv(&r, from);
        if (WEIR_LIKELY(rc == 0)) {
            rc = weir__windows_take(&r, from, &own);
            if (WEIR_UNLIKELY(rc != 0) && own)
                rc = weir__desk_failed(desk, ctx, rc, from);
        } else if (rc == ETIMEDOUT && weir_ctx_err(ctx) == 0) { /* not the context's time: a window's */
            rc = weir__windows_tick(&r);
        } else {
            const int64_t all = r.w->low + r.w->slots;
            const int sent = rc == EPIPE && !r.w->rules.whole ? weir__windows_close_below(&r, all) : 0;
            return sent != 0 ? sent : weir__loop_end(rc);
        }
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

/* Fills in what is left to the default: 0, or EINVAL. */
static int weir__windows_rules_check(weir_window_rules *rules)
{
    if ((rules->count == 0) == (rules->length == 0) || rules->count < 0 || rules->length < 0 || rules->every < 0 ||
        rules->lateness < 0 || (rules->lateness > 0 && rules->stamp == NULL) ||
        (rules->count > 0 && rules->stamp != NULL))
        return EINVAL;
    if (rules->count != 0)
        rules->length = rules->count;
    if (rules->every == 0)
        rules->every = rules->length;
    if (rules->length > WEIR__WINDOW_LONGEST || rules->every > WEIR__WINDOW_LONGEST ||
        rules->lateness > WEIR__WINDOW_LONGEST)
        return EINVAL;
    return (rules->length + rules->lateness) / rules->every + 2 > WEIR__WINDOW_MOST ? EINVAL : 0;
}

WEIR_API int weir__flow_window(weir_pipeline *p, weir__port in, weir__port out, const weir_window_rules *rules,
                               weir_window_fn *fn, void *arg, const weir_stage_opt *opt)
{
    const size_t room = (out.size + 15) / 16 * 16;
    weir__windows plan;
    weir__flow *f;
    size_t slots, spans = (sizeof plan + 15) / 16 * 16, results;
    memset(&plan, 0, sizeof plan);
    plan.rules = *rules;
    if (weir__windows_rules_check(&plan.rules) != 0 || weir__flow_workers(opt) > 1)
        return weir__flow_refuse(p, NULL, EINVAL);
    plan.slots = (plan.rules.length + plan.rules.lateness) / plan.rules.every + 2;
    slots = (size_t)plan.slots;
    results = (spans + slots * sizeof *plan.span + 63) / 64 * 64;
    if (room > SIZE_MAX / 4 / slots)
        return weir__flow_refuse(p, NULL, EOVERFLOW);
    f = weir__flow_new(weir__windows_stage, in, 1, out, 1, 1, results + slots * room);
    if (f != NULL) {
        plan.fn = fn;
        plan.room = room;
        plan.span = (weir_window_span *)(void *)((unsigned char *)f->plan + spans);
        plan.results = (unsigned char *)f->plan + results;
        memcpy(f->plan, &plan, sizeof plan);
        f->arg = arg;
    }
    return weir__flow_start(p, f, opt, 1);
}

#endif /* WEIR_FLOW_WINDOW_IMPLEMENTED */

/* ==== weir/flow/progress.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_PROGRESS_IMPLEMENTED)
#define WEIR_FLOW_PROGRESS_IMPLEMENTED

WEIR_API void weir_pipeline_watch(weir_pipeline *p, const weir_watch_opt *opt)
{
    weir__rooms *rooms = &p->rooms;
    if (opt != NULL)
        rooms->watch = *opt;
    if (rooms->watch.window <= 0)
        rooms->watch.window = WEIR_SEC(10);
    rooms->watched = true;
    rooms->begun = weir__clock_now(rooms->watch.clock);
    rooms->rate.at[0] = rooms->begun; /* nothing was done then */
    rooms->rate.count = 1;
}

WEIR_API void weir_pipeline_unwatch(weir_pipeline *p)
{
    weir__rooms_free(&p->rooms);
}

/* ---- one stage -------------------------------------------------------------------------------------------------------------- */

static uint64_t weir__desk_outcomes(const weir__desk *d, weir_stage_progress *s)
{
    /* Acquire: `in` counts, for us, what these count. Pairs with weir__desk_count. */
    const uint64_t out = weir__load_acq(&d->out), dropped = weir__load_acq(&d->dropped),
                   skipped = weir__load_acq(&d->skipped), dead = weir__load_acq(&d->dead),
                   fatal = weir__load_acq(&d->fatal), abandoned = weir__load_acq(&d->abandoned);
    s->out += out;
    s->dropped += dropped;
    s->skipped += skipped;
    s->dead += dead;
    s->failed += skipped + dead + fatal;
    s->abandoned += abandoned;
    return weir__load_rlx(&d->in);
}

WEIR_API void weir__room_read(weir__room *room, weir_clock *clock, weir_stage_progress *s)
{
    weir_ns waited, whole;
    memset(s, 0, sizeof *s);
    s->name = room->name;
    s->workers = room->workers;
    s->running = weir__load_rlx(&room->running);
    for (unsigned i = 0; i < room->workers; i++) {
        const weir__desk *d = &room->desks[i];
        const weir_ns now = weir__clock_now(clock);
        s->in += weir__desk_outcomes(d, s);
        s->waited_in += weir__stopwatch_read(&d->blocked_in, now);
        s->waited_out += weir__stopwatch_read(&d->blocked_out, now);
        s->lived += weir__stopwatch_read(&d->life, now);
    }
    waited = s->waited_in + s->waited_out;
    whole = s->lived > waited ? s->lived : waited; /* less: the clock has gone on between the readings */
    if (whole > 0) {
        s->blocked_in = (double)s->waited_in / (double)whole;
        s->blocked_out = (double)s->waited_out / (double)whole;
        s->works = (double)(whole - waited) / (double)whole;
    }
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------- */

/* Whether another stage takes what this one sends. */
static bool weir__room_feeds(const weir__rooms *rooms, const weir__room *room)
{
    for (size_t i = 0; i < room->out_count; i++)
        for (const weir__room *r = rooms->first; r != NULL; r = r->next)
            for (size_t k = 0; k < r->in_count; k++)
                if (r->ins[k] == room->outs[i])
                    return true;
    return false;
}

static bool weir__room_is_fed(const weir__rooms *rooms, const weir__room *room)
{
    for (size_t i = 0; i < room->in_count; i++)
        if (weir__room_senders(rooms, room->ins[i]) != 0)
            return true;
    return false;
}

static void weir__progress_add(const weir__rooms *rooms, const weir__room *room, const weir_stage_progress *s,
                               weir_progress *total)
{
    const char *named = rooms->watch.stage;
    if (named != NULL && strcmp(named, room->name) == 0)
        total->done += s->out + s->dropped + s->failed + s->abandoned;
    if (room->aside)
        return;
    if (!weir__room_is_fed(rooms, room))
        total->in += s->in;
    if (!weir__room_feeds(rooms, room))
        total->out += s->out;
    total->dropped += s->dropped;
    total->failed += s->failed;
    total->skipped += s->skipped;
    total->dead += s->dead;
    total->abandoned += s->abandoned;
}

/* ---- the rate --------------------------------------------------------------------------------------------------------------- */

/* Notes that so many are done now, and forgets what the window has left behind, but for the last of it. Under the lock. */
static void weir__rate_note(weir__rate *rate, weir_ns now, uint64_t done, weir_ns window)
{
    const unsigned last = (rate->first + rate->count - 1) % WEIR__RATE_SAMPLES;
    while (rate->count > 1 && rate->at[(rate->first + 1) % WEIR__RATE_SAMPLES] <= now - window) {
        rate->first = (rate->first + 1) % WEIR__RATE_SAMPLES;
        rate->count--;
    }
    /* So far apart that all of a window fit, with one from before it. */
    if (now - rate->at[last] >= window / (WEIR__RATE_SAMPLES - 2) && rate->count < WEIR__RATE_SAMPLES) {
        rate->at[(last + 1) % WEIR__RATE_SAMPLES] = now;
        rate->done[(last + 1) % WEIR__RATE_SAMPLES] = done;
        rate->count++;
    }
}

static double weir__rate_of(weir_ns time, uint64_t done)
{
    return time > 0 ? (double)done * 1e9 / (double)time : 0;
}

static void weir__progress_rate(weir__rooms *rooms, weir_ns now, weir_progress *progress)
{
    weir__rate *rate = &rooms->rate;
    double left = 0;
    weir__rate_note(rate, now, progress->done, rooms->watch.window);
    progress->elapsed = (rooms->ended ? rooms->over : now) - rooms->begun;
    progress->rate = rooms->ended
                         ? weir__rate_of(progress->elapsed, progress->done)
                         : weir__rate_of(now - rate->at[rate->first], progress->done - rate->done[rate->first]);
    if (progress->done < progress->total)
        left = progress->rate > 0 ? (double)(progress->total - progress->done) * 1e9 / progress->rate : 1e19;
    progress->eta = rooms->ended ? 0 : progress->total == 0 || left > 1e18 ? WEIR_FOREVER : (weir_ns)left;
}

WEIR_API int weir_pipeline_progress(weir_pipeline *p, weir_progress *progress, weir_stage_progress *stages,
                                    size_t capacity)
{
    weir__rooms *rooms = &p->rooms;
    if (!rooms->watched)
        return EINVAL;
    memset(progress, 0, sizeof *progress);
    weir__lock_take(&rooms->lock);
    for (weir__room *r = rooms->first; r != NULL; r = r->next) {
        weir_stage_progress s;
        weir__room_read(r, rooms->watch.clock, &s);
        s.queue = r->queue == NULL ? 0 : weir__chan_len(r->queue);
        weir__progress_add(rooms, r, &s, progress);
        if (progress->stages < capacity)
            stages[progress->stages] = s;
        progress->stages++;
    }
    if (rooms->watch.stage == NULL)
        progress->done = progress->out + progress->dropped + progress->failed + progress->abandoned;
    progress->total = rooms->watch.total;
    progress->ended = rooms->ended;
    weir__progress_rate(rooms, weir__clock_now(rooms->watch.clock), progress);
    weir__lock_release(&rooms->lock);
    return 0;
}

#endif /* WEIR_FLOW_PROGRESS_IMPLEMENTED */

/* ==== weir/flow/bar.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_BAR_IMPLEMENTED)
#define WEIR_FLOW_BAR_IMPLEMENTED


#ifndef WEIR_IS_TERMINAL
#ifdef __cplusplus
extern "C" {
#endif
/* -std=c11 hides them (core/system.h). Sources: fileno(3), isatty(3). */
extern int weir__libc_fileno(FILE *file) __asm__("fileno");
extern int weir__libc_isatty(int fd) __asm__("isatty");
#ifdef __cplusplus
}
#endif
#define WEIR_IS_TERMINAL(file) (weir__libc_isatty(weir__libc_fileno(file)) == 1)
#endif

#define WEIR__BAR_WIDTH 24

/* ---- the line --------------------------------------------------------------------------------------------------------------- */

static void weir__line_put(weir__text *t, char c, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        weir__text_put(t, &c, 1);
}

/* A number, with blanks before it up to so many places. */
static void weir__line_number(weir__text *t, uint64_t value, int places)
{
    for (uint64_t bound = 10; places > 1; places--, bound *= 10)
        if (value < bound)
            weir__text_put(t, " ", 1);
    weir__text_u64(t, value);
}

static void weir__line_time(weir__text *t, weir_ns time)
{
    const uint64_t seconds = (uint64_t)(time / WEIR_SEC(1)), rest[] = {seconds / 60 % 60, seconds % 60};
    if (seconds >= 3600) {
        weir__text_u64(t, seconds / 3600);
        weir__text_put(t, ":", 1);
    }
    if (seconds >= 3600 && rest[0] < 10)
        weir__text_put(t, "0", 1);
    weir__text_u64(t, rest[0]);
    weir__text_string(t, rest[1] < 10 ? ":0" : ":");
    weir__text_u64(t, rest[1]);
}

/* Whole, from 10 on; below with a digit behind the point. */
static void weir__line_rate(weir__text *t, double rate)
{
    const uint64_t tenths = (uint64_t)((rate < 1e18 ? rate : 1e18) * 10 + 0.5);
    weir__text_u64(t, tenths < 100 ? tenths / 10 : (tenths + 5) / 10);
    if (tenths < 100 && tenths % 10 != 0) {
        weir__text_put(t, ".", 1);
        weir__text_u64(t, tenths % 10);
    }
    weir__text_string(t, "/s");
}

static void weir__line_bar(weir__text *t, const weir_progress *progress, unsigned width)
{
    const double share = progress->done < progress->total ? (double)progress->done / (double)progress->total : 1;
    const uint64_t full = (uint64_t)(share * width);
    weir__text_put(t, "[", 1);
    weir__line_put(t, '=', full);
    if (full < width)
        weir__text_put(t, ">", 1);
    weir__line_put(t, ' ', full < width ? width - full - 1 : 0);
    weir__text_string(t, "] ");
    weir__line_number(t, (uint64_t)(share * 100), 3);
    weir__text_string(t, "%  ");
}

WEIR_API int weir_progress_line(char *buffer, size_t size, const weir_progress *progress, const weir_bar_opt *opt)
{
    weir__text t;
    weir__text_init(&t, NULL, buffer, size);
    if (opt != NULL && opt->label != NULL) {
        weir__text_string(&t, opt->label);
        weir__text_put(&t, " ", 1);
    }
    if (progress->total > 0)
        weir__line_bar(&t, progress, opt == NULL || opt->width == 0 ? WEIR__BAR_WIDTH : opt->width);
    weir__text_u64(&t, progress->done);
    if (progress->total > 0) {
        weir__text_put(&t, "/", 1);
        weir__text_u64(&t, progress->total);
    }
    weir__text_string(&t, "  ");
    if (progress->failed > 0) {
        weir__text_u64(&t, progress->failed);
        weir__text_string(&t, " failed  ");
    }
    weir__line_rate(&t, progress->rate);
    weir__text_string(&t, "  ");
    if (progress->total > 0 && !progress->ended && progress->eta == WEIR_FOREVER) {
        weir__text_string(&t, "-:-- left");
    } else if (progress->total > 0 && !progress->ended) {
        weir__line_time(&t, progress->eta);
        weir__text_string(&t, " left");
    } else {
        weir__line_time(&t, progress->elapsed);
    }
    return weir__text_end(&t);
}

/* ---- the thread ------------------------------------------------------------------------------------------------------------- */

typedef struct weir__bar {
    weir__pipeline_end end; /* first */
    weir_pipeline *pipeline;
    FILE *file;
    weir_bar_opt opt;
    weir_ctx ctx; /* of its own: it outlives the pipeline's, to draw the end */
    weir__thread thread;
    size_t shown; /* how long the line is that stands there */
} weir__bar;

/* last: nothing is drawn over it. */
static void weir__bar_draw(weir__bar *b, bool last)
{
    char line[512], blanks[512];
    weir_progress progress;
    size_t length, gone;
    (void)weir_pipeline_progress(b->pipeline, &progress, NULL, 0); /* it is watched until the bar has ended */
    (void)weir_progress_line(line, sizeof line, &progress, &b->opt);
    length = strlen(line);
    gone = b->opt.style == WEIR_BAR_TERMINAL && b->shown > length ? b->shown - length : 0;
    memset(blanks, ' ', sizeof blanks);
    b->shown = length;
    (void)fprintf(b->file, "%s%s%.*s%s", b->opt.style == WEIR_BAR_TERMINAL ? "\r" : "", line, (int)gone, blanks,
                  b->opt.style == WEIR_BAR_LINES || last ? "\n" : "");
    (void)fflush(b->file);
}

static void *weir__bar_main(void *arg)
{
    weir__bar *b = (weir__bar *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, "bar");
    weir_thread_name("bar");
    do
        weir__bar_draw(b, false);
    while (weir_sleep(&b->ctx, b->opt.every) == 0);
    weir__bar_draw(b, true);
    weir__roll_leave(&entry);
    return NULL;
}

static void weir__bar_end(weir__pipeline_end *end)
{
    weir__bar *b = (weir__bar *)(void *)end;
    weir_ctx_cancel(&b->ctx, 0);
    weir__roll_join(b->thread, "bar");
    weir_ctx_free(&b->ctx);
    WEIR_FREE(b);
}

WEIR_API int weir_pipeline_bar(weir_pipeline *p, FILE *file, const weir_bar_opt *opt)
{
    weir__bar *b;
    int rc;
    if (!p->rooms.watched)
        return EINVAL;
    b = (weir__bar *)WEIR_ALLOC(16, sizeof *b);
    if (b == NULL)
        return ENOMEM;
    memset(b, 0, sizeof *b);
    b->end.fn = weir__bar_end;
    b->pipeline = p;
    b->file = file;
    if (opt != NULL)
        b->opt = *opt;
    if (b->opt.style == WEIR_BAR_AUTO)
        b->opt.style = WEIR_IS_TERMINAL(file) ? WEIR_BAR_TERMINAL : WEIR_BAR_LINES;
    if (b->opt.every <= 0)
        b->opt.every = b->opt.style == WEIR_BAR_TERMINAL ? WEIR_MS(100) : WEIR_SEC(10);
    weir_ctx_init(&b->ctx, NULL);
    rc = weir__roll_start(&b->thread, weir__bar_main, b);
    if (rc == 0) {
        weir__pipeline_at_end(p, &b->end);
        return 0;
    }
    weir_ctx_free(&b->ctx);
    WEIR_FREE(b);
    return rc;
}

#endif /* WEIR_FLOW_BAR_IMPLEMENTED */

/* ==== weir/flow/metrics.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_METRICS_IMPLEMENTED)
#define WEIR_FLOW_METRICS_IMPLEMENTED

typedef struct weir__stage_metric {
    const char *name, *help;
    int type;
    const char *label, *values[3]; /* besides those of all; NULL: none */
} weir__stage_metric;

static const weir__stage_metric weir__stage_metrics[] = {
    {"weir_stage_in_total", "Items taken or made.", WEIR_PROMETHEUS_COUNTER, NULL, {NULL, NULL, NULL}},
    {"weir_stage_out_total", "Items sent or finished.", WEIR_PROMETHEUS_COUNTER, NULL, {NULL, NULL, NULL}},
    {"weir_stage_dropped_total",
     "Items that a filter did not want.",
     WEIR_PROMETHEUS_COUNTER,
     NULL,
     {NULL, NULL, NULL}},
    {"weir_stage_abandoned_total",
     "Items in hand when the pipeline ended.",
     WEIR_PROMETHEUS_COUNTER,
     NULL,
     {NULL, NULL, NULL}},
    {"weir_stage_failed_total",
     "Items that failed for good.",
     WEIR_PROMETHEUS_COUNTER,
     "outcome",
     {"skipped", "dead", "fatal"}},
    {"weir_stage_lived_seconds_total", "Time of all workers.", WEIR_PROMETHEUS_COUNTER, NULL, {NULL, NULL, NULL}},
    {"weir_stage_blocked_seconds_total",
     "Time of all workers without input, or room at the output.",
     WEIR_PROMETHEUS_COUNTER,
     "side",
     {"input", "output", NULL}},
    {"weir_stage_queue_length", "Values that wait in the input.", WEIR_PROMETHEUS_GAUGE, NULL, {NULL, NULL, NULL}},
    {"weir_stage_running_workers", "Workers that have not returned.", WEIR_PROMETHEUS_GAUGE, NULL, {NULL, NULL, NULL}}};

#define WEIR__STAGE_METRICS (sizeof weir__stage_metrics / sizeof *weir__stage_metrics)

/* Value number `which` of metric number `metric`. */
static int weir__stage_metric_write(weir_prometheus *w, size_t metric, size_t which, const weir_label *labels, size_t n,
                                    const weir_stage_progress *s)
{
    const uint64_t failed[] = {s->skipped, s->dead, s->failed - s->skipped - s->dead};
    switch (metric) {
    case 0: return weir_prometheus_count(w, labels, n, s->in);
    case 1: return weir_prometheus_count(w, labels, n, s->out);
    case 2: return weir_prometheus_count(w, labels, n, s->dropped);
    case 3: return weir_prometheus_count(w, labels, n, s->abandoned);
    case 4: return weir_prometheus_count(w, labels, n, failed[which]);
    case 5: return weir_prometheus_value(w, labels, n, (double)s->lived / 1e9);
    case 6: return weir_prometheus_value(w, labels, n, (double)(which == 0 ? s->waited_in : s->waited_out) / 1e9);
    case 7: return weir_prometheus_count(w, labels, n, s->queue);
    default: return weir_prometheus_count(w, labels, n, s->running);
    }
}

/* A metric of one stage. Its family has been begun, and the labels are names: there is nothing to refuse. */
static void weir__stage_metric_put(weir_prometheus *w, size_t metric, const char *pipeline, size_t number,
                                   const weir_stage_progress *s)
{
    const weir__stage_metric *m = &weir__stage_metrics[metric];
    weir_label labels[4];
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", number);
    labels[0].name = "pipeline";
    labels[0].value = pipeline;
    labels[1].name = "stage";
    labels[1].value = s->name;
    labels[2].name = "number";
    labels[2].value = digits;
    labels[3].name = m->label;
    for (size_t i = 0; i < 3 && (i == 0 || m->values[i] != NULL); i++) {
        labels[3].value = m->values[i];
        (void)weir__stage_metric_write(w, metric, i, labels, m->label == NULL ? 3 : 4, s);
    }
}

WEIR_API int weir_prometheus_pipelines(weir_prometheus *w, const weir_named_pipeline *pipelines, size_t n)
{
    for (size_t metric = 0; metric < WEIR__STAGE_METRICS; metric++) {
        const weir__stage_metric *m = &weir__stage_metrics[metric];
        const int rc = weir_prometheus_family(w, m->name, m->help, m->type);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < n; i++) {
            weir__rooms *rooms = &pipelines[i].pipeline->rooms;
            weir__room *room, *last;
            size_t number = 0;
            weir__lock_take(&rooms->lock);
            room = rooms->watched ? rooms->first : NULL;
            last = rooms->last; /* up to here the list does not change any more */
            weir__lock_release(&rooms->lock);
            for (; room != NULL; room = room == last ? NULL : room->next) {
                weir_stage_progress s;
                weir__room_read(room, rooms->watch.clock, &s);
                weir__lock_take(&rooms->lock);
                s.queue = room->queue == NULL ? 0 : weir__chan_len(room->queue);
                weir__lock_release(&rooms->lock);
                weir__stage_metric_put(w, metric, pipelines[i].name, number++, &s);
            }
        }
    }
    return 0;
}

#endif /* WEIR_FLOW_METRICS_IMPLEMENTED */

/* ==== weir/flow/generator.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_GENERATOR_IMPLEMENTED)
#define WEIR_FLOW_GENERATOR_IMPLEMENTED

WEIR_API int weir__generator_start(weir_ctx *ctx, weir__generator *g, void *handle, size_t size, weir_generate_fn *fn,
                                   void *arg, const weir_generator_opt *opt)
{
    weir_chan_opt chan_opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    weir_stage_opt stage_opt;
    weir__port out = {NULL, WEIR__MPMC, 0};
    int rc;
    memset(&stage_opt, 0, sizeof stage_opt);
    stage_opt.name = chan_opt.name = opt == NULL || opt->name == NULL ? "generator" : opt->name;
    memset(g, 0, sizeof *g);
    rc = weir__chan_make(handle, WEIR__MPMC, opt == NULL ? 0 : opt->ahead, size, &chan_opt);
    if (rc != 0)
        return rc;
    memcpy(&out.chan, handle, sizeof out.chan);
    out.size = size;
    weir_pipeline_init(&g->pipeline, ctx);
    g->started = true;
    rc = weir__flow_generate(&g->pipeline, out, fn, arg, &stage_opt);
    if (rc != 0)
        (void)weir__generator_stop(g, handle);
    return rc;
}

WEIR_API int weir__generator_stop(weir__generator *g, void *handle)
{
    weir_ctx *ctx = weir_pipeline_ctx(&g->pipeline);
    int ended, rc;
    if (!g->started)
        return 0;
    ended = weir_ctx_err(ctx); /* by its parent, or because the function has failed */
    weir_ctx_cancel(ctx, 0);
    rc = weir_pipeline_wait(&g->pipeline);
    weir__chan_free(handle);
    g->started = false;
    return ended == 0 && rc == ECANCELED ? 0 : rc;
}

#endif /* WEIR_FLOW_GENERATOR_IMPLEMENTED */

/* ==== weir/run/signal.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RUN_SIGNAL_IMPLEMENTED)
#define WEIR_RUN_SIGNAL_IMPLEMENTED

#include <signal.h>

/* signal, under this name, is the one of BSD: the handler stays installed, and system calls are restarted. */
#ifdef __cplusplus
extern "C" {
#endif
typedef void weir__signal_fn(int number);
extern int weir__libc_sigaction(int number, const void *action, void *before) __asm__("sigaction");
extern weir__signal_fn *weir__libc_signal(int number, weir__signal_fn *fn) __asm__("signal");
#ifdef __cplusplus
}
#endif

typedef union weir__signal_action {
    char bytes[256]; /* 152 on 64-bit Linux */
    uint64_t align;
} weir__signal_action;

/* What the handler touches: static, for it may be at its last instruction in another thread when the signals are given back. */
static struct {
    weir__atomic_u32 events; /* the futex */
    weir__atomic_u32 count, first, owned, third_kills, numbers;
    weir__atomic_u64 first_at, settle;
    int number[WEIR_SIGNALS_MAX]; /* the first `numbers` are handled */
    weir__signal_action before[WEIR_SIGNALS_MAX];
} weir__signals;

WEIR_API uint32_t weir__signals_count(void)
{
    return weir__load_acq(&weir__signals.count); /* pairs with the release in the handler: `first` is there */
}

WEIR_API int weir__signals_first(void)
{
    return (int)weir__load_rlx(&weir__signals.first);
}

/* (A) Acquire: what was done before the poke that is counted here. */
WEIR_API uint32_t weir__signals_events(void)
{
    return weir__load_acq(&weir__signals.events);
}

WEIR_API void weir__signals_sleep(uint32_t seen, weir_ns until)
{
    (void)WEIR_FUTEX_WAIT(&weir__signals.events, seen, until);
}

WEIR_API void weir__signals_poke(void *unused)
{
    (void)unused;
    (void)weir__add_rel(&weir__signals.events, 1); /* pairs with (A) */
    WEIR_FUTEX_WAKE(&weir__signals.events, WEIR__WAKE_ALL);
}

/* Calls what a handler may: clock_gettime behind weir_now (a program that puts its own in WEIR_CLOCK_NOW has to have one as safe), futex, signal. */
static void weir__signals_handle(int number)
{
    uint64_t first_at = 0;
    uint32_t numbers;
    if (weir__cas_rlx(&weir__signals.first_at, &first_at, (uint64_t)weir_now() | 1))
        weir__store_rlx(&weir__signals.first, (uint32_t)number);
    else if (weir_now() - (weir_ns)first_at <
             (weir_ns)weir__load_rlx(&weir__signals.settle)) /* looked at anew: it may have overtaken this one */
        return;
    if (weir__add_rel(&weir__signals.count, 1) == 1 && weir__load_rlx(&weir__signals.third_kills) != 0) {
        numbers = weir__load_acq(&weir__signals.numbers); /* pairs with the release in take */
        for (uint32_t i = 0; i < numbers; i++)
            (void)weir__libc_signal(weir__signals.number[i], SIG_DFL);
    }
    weir__signals_poke(NULL);
}

WEIR_API void weir__signals_give_back(void)
{
    uint32_t n = weir__load_rlx(&weir__signals.numbers);
    while (n > 0) {
        weir__store_rlx(&weir__signals.numbers, --n);
        (void)weir__libc_sigaction(weir__signals.number[n], &weir__signals.before[n], NULL);
    }
    weir__store_rel(&weir__signals.owned, 0); /* pairs with the acquire in take */
}

/* One more. */
static int weir__signals_add(int number)
{
    const uint32_t at = weir__load_rlx(&weir__signals.numbers);
    weir__signal_action *before = &weir__signals.before[at];
    weir__signal_fn *was;
    if (weir__libc_sigaction(number, NULL, before) != 0)
        return EINVAL;
    was = weir__libc_signal(number, weir__signals_handle);
    if (was == SIG_ERR)
        return EINVAL;
    if (was == SIG_IGN) {
        (void)weir__libc_sigaction(number, before, NULL);
        return 0;
    }
    weir__signals.number[at] = number;
    weir__store_rel(&weir__signals.numbers, at + 1); /* pairs with the acquire in the handler */
    return 0;
}

WEIR_API int weir__signals_take(const int *signals, size_t count, bool third_kills, weir_ns settle)
{
    static const int usual[] = {SIGINT, SIGTERM};
    const int saved = errno;
    uint32_t none = 0;
    int rc = 0;
    if (count > WEIR_SIGNALS_MAX)
        return EINVAL;
    if (!weir__cas_acq(&weir__signals.owned, &none, 1)) /* acquire: what the owner before has restored */
        return EBUSY;
    weir__store_rlx(&weir__signals.count, 0);
    weir__store_rlx(&weir__signals.first, 0);
    weir__store_rlx(&weir__signals.first_at, 0);
    weir__store_rlx(&weir__signals.settle, (uint64_t)settle);
    weir__store_rlx(&weir__signals.third_kills, third_kills);
    for (size_t i = 0; i < (count > 0 ? count : 2) && rc == 0; i++)
        rc = weir__signals_add(count > 0 ? signals[i] : usual[i]);
    if (rc != 0)
        weir__signals_give_back();
    errno = saved;
    return rc;
}

#endif /* WEIR_RUN_SIGNAL_IMPLEMENTED */

/* ==== weir/run/shutdown.h: implementation ==== */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RUN_SHUTDOWN_IMPLEMENTED)
#define WEIR_RUN_SHUTDOWN_IMPLEMENTED

enum { WEIR__SHUTDOWN_NOT_RUN, WEIR__SHUTDOWN_RUNS, WEIR__SHUTDOWN_RETURNED, WEIR__SHUTDOWN_JOINED };

/* ---- looking and sleeping ---------------------------------------------------------------------------------------------------- */

/* Does what the signals so far ask for. */
static void weir__shutdown_notice(weir_shutdown *s)
{
    const uint32_t count = s->owns_signals ? weir__signals_count() : 0;
    if (count > 0 && weir__ctx_ended(&s->ctx) == 0)
        weir_ctx_cancel(&s->ctx, 128 + weir_shutdown_signal(s));
    if (count > 1)
        weir_shutdown_force(s);
}

/* Sleeps until something may have happened since the caller has read `seen`. on: the step that is waited for, or NULL. */
static void weir__shutdown_sleep(uint32_t seen, weir_ns until, const char *on)
{
    weir__roll_label label;
    label.what = "shutdown";
    label.on = on;
    if (weir_now() >= until)
        return;
    weir__roll_sleeps(&label);
    weir__signals_sleep(seen, until);
    weir__roll_wakes();
}

/* ---- init and free --------------------------------------------------------------------------------------------------------- */

static void *weir__shutdown_watch(void *arg)
{
    weir_shutdown *s = (weir_shutdown *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, "shutdown");
    weir_thread_name("shutdown");
    for (;;) {
        const uint32_t seen = weir__signals_events();
        weir__shutdown_notice(s);
        if (weir_ctx_err(&s->ctx) != 0)
            break;
        weir__shutdown_sleep(seen, weir_ctx_deadline(&s->ctx), NULL);
    }
    weir__roll_leave(&entry);
    return NULL;
}

static int weir__shutdown_configure(weir_shutdown *s, const weir_shutdown_config *config)
{
    memset(s, 0, sizeof *s);
    if (config != NULL)
        s->config = *config;
    config = &s->config;
    if (config->step_timeout < 0 || config->grace < 0 || config->timeout < 0 || config->settle < 0)
        return EINVAL;
    if (config->step_timeout == 0)
        s->config.step_timeout = WEIR_SEC(10);
    if (config->grace == 0)
        s->config.grace = WEIR_MS(100);
    if (config->settle == 0)
        s->config.settle = WEIR_MS(100);
    return 0;
}

WEIR_API int weir_shutdown_init(weir_shutdown *s, const weir_shutdown_config *config)
{
    int rc = weir__shutdown_configure(s, config);
    if (rc == 0 && !s->config.no_signals) {
        rc = weir__signals_take(s->config.signals, s->config.signal_count, s->config.third_kills, s->config.settle);
        s->owns_signals = rc == 0;
    }
    if (rc != 0)
        return rc;
    s->config.signals = NULL;
    s->forks = weir__fork_count();
    weir_ctx_init(&s->ctx, s->config.parent);
    weir_ctx_init(&s->force, NULL);
    (void)weir_ctx_on_cancel(&s->ctx, &s->begins, weir__signals_poke, NULL);
    (void)weir_ctx_on_cancel(&s->force, &s->forces, weir__signals_poke, NULL);
    if (s->config.watch) {
        rc = weir__roll_start(&s->watcher, weir__shutdown_watch, s);
        s->watched = rc == 0;
        if (rc != 0)
            (void)weir_shutdown_free(s);
    }
    return rc;
}

/* The step's thread has returned, and ends: the report gets what it says. */
static void weir__shutdown_join(weir__shutdown_step *step)
{
    if (weir__load_acq(&step->state) !=
        WEIR__SHUTDOWN_RETURNED) /* acquire: pairs with the release in weir__shutdown_run */
        return;
    WEIR_THREAD_JOIN(step->thread);
    weir__store_rlx(&step->state, WEIR__SHUTDOWN_JOINED);
    weir_ctx_free(&step->ctx);
    step->line.rc = step->rc;
    step->line.took = step->returned - step->begun;
    step->line.timed_out = step->line.timed_out || step->line.took >= step->timeout;
}

/* Whether its thread has been started and has not been joined. */
static bool weir__shutdown_is_out(weir__shutdown_step *step)
{
    const uint32_t state = weir__load_rlx(&step->state);
    return state == WEIR__SHUTDOWN_RUNS || state == WEIR__SHUTDOWN_RETURNED;
}

WEIR_API int weir_shutdown_free(weir_shutdown *s)
{
    if (s->owns_signals)
        weir__signals_give_back();
    if (weir__fork_passed(s->forks)) { /* the threads, and whoever held a lock, are the parent's */
        s->owns_signals = false;
        return 0;
    }
    weir_ctx_cancel(&s->ctx, 0);
    weir_shutdown_force(s);
    if (s->watched)
        WEIR_THREAD_JOIN(s->watcher);
    s->watched = s->owns_signals = false;
    for (size_t i = 0; i < s->count; i++) {
        weir__shutdown_join(&s->steps[i]);
        if (weir__shutdown_is_out(&s->steps[i])) /* also if it has returned since */
            return EBUSY;
    }
    weir_ctx_free(&s->force);
    weir_ctx_free(&s->ctx);
    s->count = 0;
    return 0;
}

/* ---- steps ----------------------------------------------------------------------------------------------------------------- */

WEIR_API int weir_shutdown_on_phase(weir_shutdown *s, int phase, const char *name, weir_ns timeout, weir_task_fn *fn,
                                    void *arg)
{
    weir__shutdown_step *step;
    int rc = 0;
    if (phase < 0 || phase >= WEIR_SHUTDOWN_PHASES || timeout < 0 || fn == NULL)
        return EINVAL;
    weir__lock_take(&s->lock);
    if (s->sealed) {
        rc = EBUSY;
    } else if (s->count == WEIR_SHUTDOWN_STEPS) {
        rc = EOVERFLOW;
    } else {
        step = &s->steps[s->count++];
        step->line.name = name;
        step->line.phase = phase;
        step->line.not_run = true;
        step->timeout = timeout > 0 ? timeout : s->config.step_timeout;
        step->fn = fn;
        step->arg = arg;
    }
    weir__lock_release(&s->lock);
    return rc;
}

static void *weir__shutdown_run(void *arg)
{
    weir__shutdown_step *step = (weir__shutdown_step *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, "shutdown");
    weir_thread_name("shutdown");
    weir_thread_task(step->line.name);
    step->rc = step->fn(&step->ctx, step->arg);
    step->returned = weir_now();
    weir__roll_leave(&entry);
    weir__store_rel(&step->state, WEIR__SHUTDOWN_RETURNED); /* pairs with weir__shutdown_join: it reads rc, and joins */
    weir__signals_poke(NULL);
    return NULL;
}

static void weir__shutdown_start(weir_shutdown *s, weir__shutdown_step *step)
{
    step->begun = weir_now();
    weir_ctx_init_deadline(&step->ctx, &s->force, weir_time_add(step->begun, step->timeout));
    weir__store_rlx(&step->state, WEIR__SHUTDOWN_RUNS);
    step->line.not_run = false;
    step->line.rc = weir__roll_start(&step->thread, weir__shutdown_run, step);
    if (step->line.rc == 0)
        return;
    weir__store_rlx(&step->state, WEIR__SHUTDOWN_NOT_RUN);
    step->line.not_run = true;
    weir_ctx_free(&step->ctx);
}

/* Joins what has returned, of whatever phase, and gives up on what has had its time. Returns a step of this phase that is to be waited for, or
 * NULL; *until: when to look again at the latest. */
static weir__shutdown_step *weir__shutdown_look(weir_shutdown *s, int phase, weir_ns *until)
{
    weir__shutdown_step *awaited = NULL;
    const weir_ns now = weir_now();
    for (size_t i = 0; i < s->count; i++) {
        weir__shutdown_step *step = &s->steps[i];
        const weir_ns end = weir_time_add(step->begun, step->timeout), last = weir_time_add(end, s->config.grace);
        weir__shutdown_join(step);
        if (step->line.phase != phase || !weir__shutdown_is_out(step))
            continue;
        if (now >= end) {
            step->line.timed_out = true;
            (void)weir_ctx_err(&step->ctx); /* its hooks, if nobody else has noticed */
        }
        if (now >= last)
            continue;
        awaited = step;
        if ((now < end ? end : last) < *until)
            *until = now < end ? end : last;
    }
    return awaited;
}

static void weir__shutdown_phase(weir_shutdown *s, int phase, weir_ns end)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->steps[i].line.phase == phase && !weir_shutdown_forced(s))
            weir__shutdown_start(s, &s->steps[i]);
    for (;;) {
        const uint32_t seen = weir__signals_events();
        weir_ns until = end;
        const weir__shutdown_step *awaited = weir__shutdown_look(s, phase, &until);
        weir__shutdown_notice(s);
        if (weir_now() >= end)
            weir_shutdown_force(s);
        if (awaited == NULL || weir_shutdown_forced(s))
            return;
        weir__shutdown_sleep(seen, until, awaited->line.name);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------- */

WEIR_API void weir_shutdown_begin(weir_shutdown *s, int cause)
{
    weir_ctx_cancel(&s->ctx, cause);
}

WEIR_API void weir_shutdown_force(weir_shutdown *s)
{
    weir_ctx_cancel(&s->force, 0);
}

WEIR_API bool weir_shutdown_forced(weir_shutdown *s)
{
    return weir__ctx_ended(&s->force) != 0;
}

WEIR_API int weir_shutdown_signal(weir_shutdown *s)
{
    return s->owns_signals ? weir__signals_first() : 0;
}

/* Until it has begun: 0. */
static int weir__shutdown_await(weir_ctx *ctx, weir_shutdown *s)
{
    weir_ctx_hook ends;
    int rc;
    if (ctx != NULL)
        (void)weir_ctx_on_cancel(ctx, &ends, weir__signals_poke, NULL);
    for (;;) {
        const uint32_t seen = weir__signals_events();
        const weir_ns one = weir_ctx_deadline(ctx), other = weir_ctx_deadline(&s->ctx);
        weir__shutdown_notice(s);
        rc = 0;
        if (weir_ctx_err(&s->ctx) != 0 || (rc = weir_ctx_err(ctx)) != 0)
            break;
        weir__shutdown_sleep(seen, one < other ? one : other, NULL);
    }
    if (ctx != NULL)
        (void)weir_ctx_off_cancel(ctx, &ends);
    return rc;
}

/* What the report says of those that are left. */
static int weir__shutdown_sum_up(weir_shutdown *s)
{
    int rc = 0;
    for (int phase = 0; phase < WEIR_SHUTDOWN_PHASES; phase++)
        for (size_t i = 0; i < s->count; i++) {
            weir__shutdown_step *step = &s->steps[i];
            if (step->line.phase != phase)
                continue;
            weir__shutdown_join(step);
            if (weir__shutdown_is_out(step)) {
                step->line.not_stopped = true;
                step->line.took = weir_now() - step->begun;
                step->line.rc = step->line.timed_out ? ETIMEDOUT : ECANCELED;
            } else if (step->line.not_run && step->line.rc == 0) {
                step->line.rc = ECANCELED;
            }
            if (rc == 0)
                rc = step->line.rc != 0 ? step->line.rc : step->line.timed_out ? ETIMEDOUT : 0;
        }
    return rc;
}

WEIR_API int weir_shutdown_wait(weir_ctx *ctx, weir_shutdown *s)
{
    uint32_t nobody = 0;
    int rc;
    if (weir__fork_passed(s->forks))
        return ENOTRECOVERABLE;
    if (!weir__cas_acq(&s->waiting, &nobody, 1)) /* acquire: what the one who waited before has done */
        return EBUSY;
    rc = s->done ? 0 : weir__shutdown_await(ctx, s);
    if (rc == 0 && !s->done) {
        weir_ns end;
        weir__lock_take(&s->lock);
        s->sealed = true;
        weir__lock_release(&s->lock);
        end = s->config.timeout > 0 ? weir_time_add(weir_now(), s->config.timeout) : WEIR_FOREVER;
        for (int phase = 0; phase < WEIR_SHUTDOWN_PHASES; phase++)
            weir__shutdown_phase(s, phase, end);
        s->result = weir__shutdown_sum_up(s);
        s->done = true;
    }
    if (rc == 0)
        rc = s->result;
    weir__store_rel(&s->waiting, 0); /* pairs with the acquire above */
    return rc;
}

WEIR_API size_t weir_shutdown_report(weir_shutdown *s, weir_shutdown_line *lines, size_t max)
{
    size_t n = 0;
    for (int phase = 0; phase < WEIR_SHUTDOWN_PHASES; phase++)
        for (size_t i = 0; i < s->count; i++)
            if (s->steps[i].line.phase == phase && n++ < max)
                lines[n - 1] = s->steps[i].line;
    return n;
}

#endif /* WEIR_RUN_SHUTDOWN_IMPLEMENTED */

/*
 * weir is available under either of two licences, whichever you prefer:
 *
 *     SPDX-License-Identifier: MIT-0 OR Unlicense
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE A - MIT No Attribution (MIT-0)
 * ------------------------------------------------------------------------------
 *
 * Copyright (c) weir contributors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of
 * this software and associated documentation files (the "Software"), to deal in
 * the Software without restriction, including without limitation the rights to
 * use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies
 * of the Software, and to permit persons to whom the Software is furnished to do
 * so.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE B - The Unlicense (www.unlicense.org)
 * ------------------------------------------------------------------------------
 *
 * This is free and unencumbered software released into the public domain.
 *
 * Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
 * software, either in source code form or as a compiled binary, for any purpose,
 * commercial or non-commercial, and by any means.
 *
 * In jurisdictions that recognize copyright laws, the author or authors of this
 * software dedicate any and all copyright interest in the software to the public
 * domain. We make this dedication for the benefit of the public at large and to
 * the detriment of our heirs and successors. We intend this dedication to be an
 * overt act of relinquishment in perpetuity of all present and future rights to
 * this software under copyright law.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
 * ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
 * WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 *
 * For more information, please refer to <https://unlicense.org>
 */
