/* weir/core/system.h: how the library reaches the operating system.
 *
 * -std=c11 hides clock_gettime and syscall in the C library's headers, and whether they are visible depends on what the user
 * included before. So both are declared here under private names that are bound to the C library's symbols by assembler label:
 * no feature-test macro is needed, and nothing can clash with a declaration of the same function elsewhere.
 */
#ifndef WEIR_CORE_SYSTEM_H
#define WEIR_CORE_SYSTEM_H

#include "config.h"

#endif /* WEIR_CORE_SYSTEM_H */

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
