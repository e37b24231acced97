/* tests/task/hold.h: a thread that comes to a point of the library's (WEIR_HOOK) is held there. Include it first.
 *
 *   hold_the_next(point)       whoever comes to `point` next stands there
 *   EVENTUALLY(is_held())      he does
 *   let_go()
 */
#ifndef WEIR_TEST_TASK_HOLD_H
#define WEIR_TEST_TASK_HOLD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdbool.h>
#include <string.h>

static void hold(const char *point);
#define WEIR_HOOK(point) hold(point)

static int hold_state; /* atomic. 1: whoever comes to `hold_at` next makes it 2, and stands there until it is 0 */
static const char *hold_at = "";
static void hold(const char *point)
{
    int expected = 1;
    if (__atomic_load_n(&hold_state, __ATOMIC_SEQ_CST) != 1 || strcmp(point, hold_at) != 0 ||
        !__atomic_compare_exchange_n(&hold_state, &expected, 2, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    while (__atomic_load_n(&hold_state, __ATOMIC_SEQ_CST) != 0)
        sched_yield();
}

static inline void hold_the_next(const char *point)
{
    hold_at = point;
    __atomic_store_n(&hold_state, 1, __ATOMIC_SEQ_CST);
}
static inline bool is_held(void)
{
    return __atomic_load_n(&hold_state, __ATOMIC_SEQ_CST) == 2;
}
static inline void let_go(void)
{
    __atomic_store_n(&hold_state, 0, __ATOMIC_SEQ_CST);
}

#endif /* WEIR_TEST_TASK_HOLD_H */
