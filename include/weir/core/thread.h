/* weir/core/thread.h: starting and joining threads, and what is left of them after a fork.
 *
 * fork(2) copies the memory and one thread. What the others were doing stays half done in the copy for ever: a place claimed and not published,
 * a lock held. So a channel remembers by how many forks this process differs from its first ancestor, and in a child the calls on what
 * its parent had made fail with ENOTRECOVERABLE instead of waiting for a thread that is not there (chan/channel.h).
 */
#ifndef WEIR_CORE_THREAD_H
#define WEIR_CORE_THREAD_H

#include "atomic.h"
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
