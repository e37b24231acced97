/* tests/valgrind_futex.c: futexes that are slept on in a table. valgrind.sh lays it between the test programs and the C library.
 *
 * A waker names its sleeper's word when that sleeper may have gone, and its stack frame with it (core/futex.h): the kernel takes the
 * address for a name and does not read there. memcheck takes it for an argument that is read, and reports it when the frame is gone. Here the
 * address is a name for memcheck too: it chooses a place of a table, and the place is what is slept on and woken. The word itself is read
 * where the kernel reads it, by who is about to sleep, so that memcheck sees whether it is there.
 *
 * Places count their wake-ups. Who goes to sleep reads the count, then the word; who wakes has changed the word, then changes the
 * count. So either the word is seen to have changed, or the count has changed by the time that the kernel compares it, or the sleeper is in the
 * kernel's queue before that and is woken. Words that share a place wake each other for no reason, which a futex may do anyway.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

enum {
    PLACES = 1024,
    PRIVATE_WAIT = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
    PRIVATE_WAKE = FUTEX_WAKE | FUTEX_PRIVATE_FLAG
};
static uint32_t places[PLACES];

static uint32_t *place_of(long word)
{
    return &places[(uint64_t)word / sizeof(uint32_t) % PLACES];
}

static long refused(int error)
{
    errno = error;
    return -1;
}

long syscall(long number, ...)
{
    static long (*next)(long, ...);
    long a[6], (*call)(long, ...) = __atomic_load_n(&next, __ATOMIC_ACQUIRE);
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (call == NULL) {
        *(void **)&call = dlsym(RTLD_NEXT, "syscall");
        __atomic_store_n(&next, call, __ATOMIC_RELEASE);
    }
    if (number == SYS_futex && a[1] == PRIVATE_WAIT) {
        uint32_t *place = place_of(a[0]);
        const uint32_t count = __atomic_load_n(place, __ATOMIC_SEQ_CST);
        if (__atomic_load_n((uint32_t *)a[0], __ATOMIC_SEQ_CST) != (uint32_t)a[2])
            return refused(EAGAIN);
        return call(number, place, PRIVATE_WAIT, count, a[3], a[4], a[5]);
    }
    if (number == SYS_futex && a[1] == PRIVATE_WAKE) {
        uint32_t *place = place_of(a[0]);
        __atomic_add_fetch(place, 1, __ATOMIC_SEQ_CST);
        return call(number, place, PRIVATE_WAKE, INT_MAX, a[3], a[4], a[5]);
    }
    return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
