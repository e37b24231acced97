/* weir/core/thread.h: starting and joining threads. */
#ifndef WEIR_CORE_THREAD_H
#define WEIR_CORE_THREAD_H

#include "config.h"
#include "error.h"
#include "system.h"

#include <pthread.h>

#ifndef WEIR_THREAD_START
typedef pthread_t weir__thread;
/* 0, or EAGAIN when the system refuses another thread. */
#define WEIR_THREAD_START(thread, fn, arg) pthread_create((thread), NULL, (fn), (arg))
#define WEIR_THREAD_JOIN(thread) ((void)pthread_join((thread), NULL))
/* A number that no other living thread has. */
#define WEIR_THREAD_SELF() ((uintptr_t)pthread_self())
#endif

/* Names the calling thread, as debuggers and top show it; 15 characters are kept. Any thread, for itself. Source: prctl(2). */
WEIR_API void weir_thread_name(const char *name);

#endif /* WEIR_CORE_THREAD_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CORE_THREAD_IMPLEMENTED)
#define WEIR_CORE_THREAD_IMPLEMENTED

WEIR_API void weir_thread_name(const char *name)
{
    if (name != NULL)
        (void)weir__system_call(SYS_prctl, 15 /* PR_SET_NAME */, (long)name, 0, 0, 0, 0);
}

#endif /* WEIR_CORE_THREAD_IMPLEMENTED */
