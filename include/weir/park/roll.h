/* weir/park/roll.h: the roll of the threads that the library has started: what each is called, what it runs, and what it sleeps on since when.
 *
 * What a goroutine profile is for. A thread writes down what it is about to sleep on when it parks, under a lock of its own that only somebody who
 * prints the roll ever contends for; a thread that never parks never comes by here. Threads that the program starts itself are not on the roll.
 *
 * Who owns the memory
 *   An entry lies on its thread's stack. It is linked and unlinked under the roll's lock; what it says is under its own, so that a
 *   name that it points to (a channel's, say) is not freed while it is read: the thread takes it down before its call returns.
 *
 * WEIR_NO_ROLL, defined, leaves all of it out: weir_thread_count is then 0.
 */
#ifndef WEIR_PARK_ROLL_H
#define WEIR_PARK_ROLL_H

#include "../core/thread.h"
#include "../core/time.h"
#include "lock.h"

typedef struct weir__roll_entry {
    struct weir__roll_entry *next, *prev;
    weir__lock lock;  /* of all that follows */
    const char *name; /* the thread's */
    const char *task; /* what it runs at present; NULL: nothing */
    /* what it sleeps in, and the name of what it sleeps on; NULL: it does not sleep, there is none */
    const char *what, *on;
    weir_ns since;
    long id; /* the system's */
} weir__roll_entry;

/* How many threads the library has started that have not ended. Any thread; wait-free. */
WEIR_API int weir_thread_count(void);
/* For a task: what the roll says that the calling thread runs, until the task returns or says something else; NULL: nothing. The text is kept as a pointer. Does
 * nothing in a thread that is not the library's. */
WEIR_API void weir_thread_task(const char *task);

/* What a wait is called on the roll: in what, on what; both may be NULL. */
typedef struct weir__roll_label {
    const char *what, *on;
} weir__roll_label;

#ifdef WEIR_NO_ROLL
#define weir__roll_start(thread, fn, arg) WEIR_THREAD_START((thread), (fn), (arg))
#define weir__roll_enter(entry, name) ((void)(entry), (void)(name))
#define weir__roll_leave(entry) ((void)(entry))
#define weir__roll_sleeps(label) ((void)(label))
#define weir__roll_wakes() ((void)0)
#else
/* WEIR_THREAD_START for a function that begins with enter and ends with leave. */
WEIR_API int weir__roll_start(weir__thread *thread, void *(*fn)(void *), void *arg);
WEIR_API void weir__roll_enter(weir__roll_entry *entry, const char *name);
WEIR_API void weir__roll_leave(weir__roll_entry *entry);
/* The calling thread is about to sleep, and has woken. label: may be NULL if the thread is not on the roll. */
WEIR_API void weir__roll_sleeps(const weir__roll_label *label);
WEIR_API void weir__roll_wakes(void);
/* Calls fn for each entry, locked: fn may not wait for anything of the library's. */
WEIR_API void weir__roll_each(void (*fn)(const weir__roll_entry *entry, void *arg), void *arg);
#endif

/* Joins a thread, which may take as long as that one runs; on: what it is called. */
static inline void weir__roll_join(weir__thread thread, const char *on)
{
    weir__roll_label label;
    label.what = "join";
    label.on = on;
    weir__roll_sleeps(&label);
    WEIR_THREAD_JOIN(thread);
    weir__roll_wakes();
}

#endif /* WEIR_PARK_ROLL_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_ROLL_IMPLEMENTED)
#define WEIR_PARK_ROLL_IMPLEMENTED

#ifdef WEIR_NO_ROLL
WEIR_API int weir_thread_count(void)
{
    return 0;
}

WEIR_API void weir_thread_task(const char *task)
{
    (void)task;
}
#else
static struct {
    weir__lock lock;
    weir__roll_entry *first;
    weir__atomic_u32 count; /* with those that have been started and have not entered */
} weir__roll;
static WEIR_THREAD_LOCAL weir__roll_entry *weir__roll_own;

WEIR_API int weir_thread_count(void)
{
    /* Pairs with the release in weir__roll_leave: who is not counted has done all that it does. */
    return (int)weir__load_acq(&weir__roll.count);
}

WEIR_API int weir__roll_start(weir__thread *thread, void *(*fn)(void *), void *arg)
{
    int rc;
    (void)weir__add_rlx(&weir__roll.count, 1);
    rc = WEIR_THREAD_START(thread, fn, arg);
    if (rc != 0)
        (void)weir__add_rlx(&weir__roll.count, 0U - 1U);
    return rc;
}

WEIR_API void weir__roll_enter(weir__roll_entry *entry, const char *name)
{
    memset(entry, 0, sizeof *entry);
    entry->name = name;
    entry->id = WEIR_THREAD_NUMBER();
    weir__lock_take(&weir__roll.lock);
    entry->next = weir__roll.first;
    if (entry->next != NULL)
        entry->next->prev = entry;
    weir__roll.first = entry;
    weir__lock_release(&weir__roll.lock);
    weir__roll_own = entry;
}

WEIR_API void weir__roll_leave(weir__roll_entry *entry)
{
    weir__roll_own = NULL;
    weir__lock_take(&weir__roll.lock);
    if (entry->prev != NULL)
        entry->prev->next = entry->next;
    else
        weir__roll.first = entry->next;
    if (entry->next != NULL)
        entry->next->prev = entry->prev;
    weir__lock_release(&weir__roll.lock);
    (void)weir__add_rel(&weir__roll.count, 0U - 1U);
}

WEIR_API void weir_thread_task(const char *task)
{
    weir__roll_entry *own = weir__roll_own;
    if (own == NULL)
        return;
    weir__lock_take(&own->lock);
    own->task = task;
    weir__lock_release(&own->lock);
}

static void weir__roll_write(const char *what, const char *on, weir_ns since)
{
    weir__roll_entry *own = weir__roll_own;
    if (own == NULL)
        return;
    weir__lock_take(&own->lock);
    own->what = what;
    own->on = on;
    own->since = since;
    weir__lock_release(&own->lock);
}

WEIR_API void weir__roll_sleeps(const weir__roll_label *label)
{
    if (weir__roll_own != NULL)
        weir__roll_write(label->what, label->on, weir_now());
}

WEIR_API void weir__roll_wakes(void)
{
    weir__roll_write(NULL, NULL, 0);
}

WEIR_API void weir__roll_each(void (*fn)(const weir__roll_entry *entry, void *arg), void *arg)
{
    weir__lock_take(&weir__roll.lock);
    for (weir__roll_entry *e = weir__roll.first; e != NULL; e = e->next) {
        weir__lock_take(&e->lock);
        fn(e, arg);
        weir__lock_release(&e->lock);
    }
    weir__lock_release(&weir__roll.lock);
}
#endif

#endif /* WEIR_PARK_ROLL_IMPLEMENTED */
