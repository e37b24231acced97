/* tests/tsan-shim/ck_string.h: what <ck_ring.h> copies values with, in a form that thread sanitizer accepts. See
 * ck_pr.h beside it.
 *
 * A consumer of a ck_ring with several consumers copies the oldest value first and claims it afterwards; when the
 * claim fails, the copy, which a producer may have written over meanwhile, is thrown away. That race is by design.
 * Here each word of a copy is one relaxed atomic access, so that the sanitizer lets it pass. The same macro serves
 * the producers' copy into the slot (WEIR_COPY_IN), which is the other party to the race.
 */
#ifndef WEIR_TSAN_SHIM_CK_STRING_H
#define WEIR_TSAN_SHIM_CK_STRING_H

#include <stdint.h>
#include <string.h>

static inline __attribute__((unused)) void *weir_shim_copy(void *to, const void *from, size_t n)
{
    unsigned char *t = (unsigned char *)to;
    const unsigned char *f = (const unsigned char *)from;
    size_t done = 0;
    if (((uintptr_t)t | (uintptr_t)f) % sizeof(uint64_t) == 0)
        for (; n - done >= sizeof(uint64_t); done += sizeof(uint64_t))
            __atomic_store_n((uint64_t *)(void *)(t + done),
                             __atomic_load_n((const uint64_t *)(const void *)(f + done), __ATOMIC_RELAXED),
                             __ATOMIC_RELAXED);
    for (; done < n; done++)
        __atomic_store_n(t + done, __atomic_load_n(f + done, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    return to;
}

#undef memcpy
#define memcpy(to, from, n) weir_shim_copy((to), (from), (n))

#endif /* WEIR_TSAN_SHIM_CK_STRING_H */
