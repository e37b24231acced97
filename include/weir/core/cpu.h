/* weir/core/cpu.h: what a thread tells the processor and the scheduler while it waits. */
#ifndef WEIR_CORE_CPU_H
#define WEIR_CORE_CPU_H

#include "config.h"
#include "error.h"
#include "system.h"

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
