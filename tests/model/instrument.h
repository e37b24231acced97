/* tests/model/instrument.h: the functions that a compiler calls at each plain access under -fsanitize=thread. Scenarios are compiled with
 * that and linked with these instead of the sanitizer's library, so that the model sees the accesses. Both gcc and clang.
 */
#ifndef WEIR_MODEL_INSTRUMENT_H
#define WEIR_MODEL_INSTRUMENT_H

#include "machine.h"

#define INSTRUMENT(size)                                                                                               \
    void __tsan_read##size(void *p);                                                                                   \
    void __tsan_read##size(void *p)                                                                                    \
    {                                                                                                                  \
        model_plain(p, size, 0);                                                                                       \
    }                                                                                                                  \
    void __tsan_write##size(void *p);                                                                                  \
    void __tsan_write##size(void *p)                                                                                   \
    {                                                                                                                  \
        model_plain(p, size, 1);                                                                                       \
    }                                                                                                                  \
    void __tsan_unaligned_read##size(void *p);                                                                         \
    void __tsan_unaligned_read##size(void *p)                                                                          \
    {                                                                                                                  \
        model_plain(p, size, 0);                                                                                       \
    }                                                                                                                  \
    void __tsan_unaligned_write##size(void *p);                                                                        \
    void __tsan_unaligned_write##size(void *p)                                                                         \
    {                                                                                                                  \
        model_plain(p, size, 1);                                                                                       \
    }
INSTRUMENT(1)
INSTRUMENT(2)
INSTRUMENT(4)
INSTRUMENT(8)
INSTRUMENT(16)

void __tsan_read_range(void *p, size_t size);
void __tsan_read_range(void *p, size_t size)
{
    model_plain(p, size, 0);
}

void __tsan_write_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size)
{
    model_plain(p, size, 1);
}

void __tsan_init(void);
void __tsan_init(void)
{
    plain.all_reads = true;
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* clang calls these for memcpy and its kin. */
void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
    model_plain(from, size, 0);
    model_plain(to, size, 1);
    return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size)
{
    model_plain(from, size, 0);
    model_plain(to, size, 1);
    return memmove(to, from, size);
}

void *__tsan_memset(void *to, int byte, size_t size);
void *__tsan_memset(void *to, int byte, size_t size)
{
    model_plain(to, size, 1);
    return memset(to, byte, size);
}

#endif /* WEIR_MODEL_INSTRUMENT_H */
