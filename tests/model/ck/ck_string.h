/* tests/model/ck/ck_string.h: what <ck_ring.h> copies values with. See ck_pr.h beside it.
 *
 * Several consumers copy the oldest value first and claim it afterwards; where the claim fails, the copy is thrown away. That race is by
 * design. On x86 each word of a copy is one access that acquires or releases, as every move there does. Read portably, a copy is a relaxed
 * load, and counts as a plain read, of the time at which it took place, once its thread has claimed the value (ck_pr_cas_uint).
 */
#ifndef WEIR_MODEL_CK_STRING_H
#define WEIR_MODEL_CK_STRING_H

#include "model/platform.h"

#include <string.h>

/* What a thread has copied last, and when. */
static struct model_ck_read {
    const void *from;
    int16_t when;
} model_ck_read[8];

static inline __attribute__((unused, no_sanitize("thread"))) void *model_ck_copy(void *to, const void *from, size_t n)
{
    struct model_ck_read *last = &model_ck_read[model_thread_self()];
    last->from = from;
    last->when = model_plain_now();
    for (size_t at = 0; at < n; at += sizeof(uint64_t)) { /* values are uint64_t in the model */
        unsigned char *into = (unsigned char *)to + at;
#ifdef MODEL_CK_PORTABLE
        const uint64_t value = model_load((const unsigned char *)from + at, sizeof value, __ATOMIC_RELAXED, "ck_ring");
        model_plain(into, sizeof value, 1);
        (memcpy)(into, &value, sizeof value);
#else
        model_store(into, sizeof(uint64_t),
                    model_load((const unsigned char *)from + at, sizeof(uint64_t), __ATOMIC_ACQUIRE, "ck_ring"),
                    __ATOMIC_RELEASE, "ck_ring");
#endif
    }
    return to;
}
#define memcpy(to, from, n) model_ck_copy((to), (from), (n))

/* The copy counts: its thread has claimed the value. */
static inline __attribute__((unused, no_sanitize("thread"))) void model_ck_claimed(void)
{
#ifdef MODEL_CK_PORTABLE
    struct model_ck_read *last = &model_ck_read[model_thread_self()];
    if (last->from != NULL)
        model_plain_read_at(last->from, sizeof(uint64_t), last->when);
    last->from = NULL;
#endif
}

#endif /* WEIR_MODEL_CK_STRING_H */
