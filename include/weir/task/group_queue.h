/* weir/task/group_queue.h: the tasks of a group between go and the thread that runs them, oldest first.
 *
 * It has room for 32, and needs no more with threads of the group, which soon take what is there. A runner may be long behind, and its only thread may
 * be the one that starts tasks: for a runner the queue grows. What it allocates it keeps until the group's wait.
 *
 * Who may call what at once: all under the group's lock.
 */
#ifndef WEIR_TASK_GROUP_QUEUE_H
#define WEIR_TASK_GROUP_QUEUE_H

#include "../core/memory.h"
#include "runner.h"

enum { WEIR__GROUP_QUEUE = 32 };

typedef struct weir__group_task {
    weir_task_fn *fn;
    void *arg;
} weir__group_task;

/* Zeros: empty. */
typedef struct weir__group_queue {
    weir__group_task fixed[WEIR__GROUP_QUEUE];
    weir__group_task *larger; /* of `room`, instead of `fixed`, once there were more; NULL */
    unsigned room, first, count;
} weir__group_queue;

static inline unsigned weir__group_room(const weir__group_queue *q)
{
    return q->larger == NULL ? (unsigned)WEIR__GROUP_QUEUE : q->room;
}

/* The i-th task, or the place for it. */
static inline weir__group_task *weir__group_at(weir__group_queue *q, unsigned i)
{
    return (q->larger == NULL ? q->fixed : q->larger) + (q->first + i) % weir__group_room(q);
}

/* There is room. */
static inline void weir__group_put(weir__group_queue *q, weir_task_fn *fn, void *arg)
{
    weir__group_task *task = weir__group_at(q, q->count++);
    task->fn = fn;
    task->arg = arg;
}

/* The oldest; there is one. */
static inline weir__group_task weir__group_take(weir__group_queue *q)
{
    const weir__group_task task = *weir__group_at(q, 0);
    q->first = (q->first + 1) % weir__group_room(q);
    q->count--;
    return task;
}

/* Takes the newest such task back out. False: it is not there any more. */
WEIR_API bool weir__group_take_back(weir__group_queue *q, weir_task_fn *fn, void *arg);

/* Twice the room. 0, ENOMEM. */
WEIR_API int weir__group_widen(weir__group_queue *q);

/* Frees what it has allocated; it is empty. */
WEIR_API void weir__group_shrink(weir__group_queue *q);

#endif /* WEIR_TASK_GROUP_QUEUE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_GROUP_QUEUE_IMPLEMENTED)
#define WEIR_TASK_GROUP_QUEUE_IMPLEMENTED

WEIR_API bool weir__group_take_back(weir__group_queue *q, weir_task_fn *fn, void *arg)
{
    for (unsigned i = q->count; i-- > 0;) {
        const weir__group_task *t = weir__group_at(q, i);
        if (t->fn != fn || t->arg != arg)
            continue;
        for (; i + 1 < q->count; i++)
            *weir__group_at(q, i) = *weir__group_at(q, i + 1);
        q->count--;
        return true;
    }
    return false;
}

WEIR_API int weir__group_widen(weir__group_queue *q)
{
    const unsigned room = 2 * weir__group_room(q);
    weir__group_task *larger = (weir__group_task *)WEIR_ALLOC(sizeof(void *), room * sizeof *larger);
    if (larger == NULL)
        return ENOMEM;
    for (unsigned i = 0; i < q->count; i++)
        larger[i] = *weir__group_at(q, i);
    if (q->larger != NULL)
        WEIR_FREE(q->larger);
    q->larger = larger;
    q->room = room;
    q->first = 0;
    return 0;
}

WEIR_API void weir__group_shrink(weir__group_queue *q)
{
    if (q->larger != NULL)
        WEIR_FREE(q->larger);
    q->larger = NULL;
    q->first = 0;
}

#endif /* WEIR_TASK_GROUP_QUEUE_IMPLEMENTED */
