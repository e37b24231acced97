/* tests/faults/failing.h: allocations and thread starts that fail when told to. Include it instead of harness.h, which it brings.
 *
 *   fail_allocation = k, fail_thread = k     so many more succeed, then all fail; -1: none fails
 *   fail_thread_first                        is called by the next thread whose start is refused, before it is told
 *   allocate_first                           is called by the next thread that allocates, before it does
 *   allocations                              how many blocks there are
 *   threads_kept                             how many threads have been started, and neither joined nor detached
 */
#ifndef WEIR_TEST_FAILING_H
#define WEIR_TEST_FAILING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* the harness wants it, and the headers below come before the harness */
#endif
#include <stddef.h>

static void *counting_alloc(size_t align, size_t size);
static void counting_free(void *memory);
#define WEIR_ALLOC(align, size) counting_alloc((align), (size))
#define WEIR_FREE(ptr) counting_free(ptr)

#include <pthread.h>
static int refused_threads(pthread_t *thread, void *(*fn)(void *), void *arg);
typedef pthread_t weir__thread;
#define WEIR_THREAD_START(thread, fn, arg) refused_threads((thread), (fn), (arg))
static void counted_join(pthread_t thread);
static void counted_detach(pthread_t thread);
#define WEIR_THREAD_JOIN(thread) counted_join(thread)
#define WEIR_THREAD_DETACH(thread) counted_detach(thread)
#define WEIR_THREAD_SELF() ((uintptr_t)pthread_self())

#include "harness.h"

static int allocations, fail_allocation = -1;
static int fail_thread = -1, threads_kept;
static void (*fail_thread_first)(void), (*allocate_first)(void);

static void *counting_alloc(size_t align, size_t size)
{
    void (*first)(void) = __atomic_exchange_n(&allocate_first, NULL, __ATOMIC_RELAXED);
    void *memory;
    if (first != NULL)
        first();
    if (fail_allocation == 0)
        return NULL;
    if (fail_allocation > 0)
        fail_allocation--;
    memory = aligned_alloc(align, (size + align - 1) / align * align);
    if (memory != NULL)
        __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
    return memory;
}

static void counting_free(void *memory)
{
    __atomic_fetch_sub(&allocations, 1, __ATOMIC_RELAXED);
    free(memory);
}

static int refused_threads(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    if (fail_thread == 0) {
        void (*first)(void) = fail_thread_first;
        fail_thread_first = NULL;
        if (first != NULL)
            first();
        return EAGAIN;
    }
    if (fail_thread > 0)
        fail_thread--;
    __atomic_fetch_add(&threads_kept, 1, __ATOMIC_RELAXED);
    return pthread_create(thread, NULL, fn, arg);
}

static __attribute__((unused)) void counted_join(pthread_t thread)
{
    __atomic_fetch_sub(&threads_kept, 1, __ATOMIC_RELAXED);
    (void)pthread_join(thread, NULL);
}

static __attribute__((unused)) void counted_detach(pthread_t thread)
{
    __atomic_fetch_sub(&threads_kept, 1, __ATOMIC_RELAXED);
    (void)pthread_detach(thread);
}

#endif /* WEIR_TEST_FAILING_H */
