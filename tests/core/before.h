/* tests/core/before.h: something happens just before this thread writes a word that others write too. Include it first.
 *
 *   before_store = fn      the next store of this thread to *before_word is preceded by fn(word), once
 *   before_swap = fn       the same for a compare-and-swap
 *   before_word            NULL: any word
 */
#ifndef WEIR_TEST_BEFORE_H
#define WEIR_TEST_BEFORE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <weir/core/atomic.h>

static __thread const void *before_word;
static __thread void (*before_store)(void *word), (*before_swap)(void *word);

static inline void test_before(void (**act)(void *word), void *word)
{
    void (*now)(void *) = *act;
    if (now == NULL || (before_word != NULL && before_word != word))
        return;
    *act = NULL;
    now(word);
}

#undef WEIR_ATOMIC_STORE
#define WEIR_ATOMIC_STORE(p, v, order) (test_before(&before_store, (p)), __atomic_store_n((p), (v), (order)))
#undef WEIR_ATOMIC_CAS
#define WEIR_ATOMIC_CAS(p, expected, v, order)                                                                         \
    (test_before(&before_swap, (p)), __atomic_compare_exchange_n((p), (expected), (v), 0, (order), __ATOMIC_RELAXED))

#endif /* WEIR_TEST_BEFORE_H */
