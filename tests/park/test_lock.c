/* tests/park/test_lock.c: the futex lock of the slow paths. */
static unsigned sleeps, woken; /* atomic: futex calls begun */
#define WEIR_FUTEX_WAIT(word, value, deadline)                                                                         \
    (__atomic_add_fetch(&sleeps, 1, __ATOMIC_SEQ_CST), weir__futex_wait((word), (value), (deadline)))
#define WEIR_FUTEX_WAKE(word, count)                                                                                   \
    (__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST), weir__futex_wake((word), (count)))
#include "harness.h"

static weir__lock lock;

static unsigned count_of(unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

TEST(a_free_lock_needs_no_system_call)
{
    lock = 0;
    sleeps = woken = 0;
    for (int i = 0; i < 100; i++) {
        weir__lock_take(&lock);
        CHECK_INT(lock, 1);
        weir__lock_release(&lock);
        CHECK_INT(lock, 0);
    }
    CHECK_INT(sleeps + woken, 0);
}

/* ---- mutual exclusion: the counter is plain, so thread sanitizer judges the orders too ---- */

static struct {
    long value, shadow;
    bool inside;
} guarded;

static void add_often(void *p)
{
    for (long i = *(long *)p; i > 0; i--) {
        weir__lock_take(&lock);
        CHECK(!guarded.inside);
        guarded.inside = true;
        guarded.value++;
        if (i % 64 == 0)
            sched_yield(); /* loses the core now and then while it holds the lock */
        guarded.shadow++;
        guarded.inside = false;
        weir__lock_release(&lock);
    }
}

TEST(one_holder_at_a_time)
{
    long each = test_rounds(50000);
    guarded.value = guarded.shadow = 0;
    test_threads(4, add_often, &each, 0);
    CHECK_INT(guarded.value, 4 * each);
    CHECK_INT(guarded.shadow, 4 * each);
    CHECK_INT(lock, 0);
}

/* ---- sleepers ---- */

static int admitted; /* atomic */

static void take_once(void *unused)
{
    (void)unused;
    weir__lock_take(&lock);
    __atomic_add_fetch(&admitted, 1, __ATOMIC_SEQ_CST);
    weir__lock_release(&lock);
}

/* Each sleeper owes the next one a wake-up, because taking the lock as "2" hides whether another sleeps. */
TEST(all_sleepers_are_admitted_one_after_the_other)
{
    for (long round = test_rounds(300); round > 0; round--) {
        sleeps = 0;
        admitted = 0;
        weir__lock_take(&lock);
        struct test_team *team = test_start(3, take_once, NULL, 0);
        EVENTUALLY(count_of(&sleeps) >= 3);
        CHECK_INT(__atomic_load_n(&admitted, __ATOMIC_SEQ_CST), 0);
        CHECK_INT(__atomic_load_n(&lock, __ATOMIC_SEQ_CST), 2);
        weir__lock_release(&lock);
        test_join(team);
        CHECK_INT(admitted, 3);
        CHECK_INT(lock, 0);
    }
}

/* Wakes without a reason, as a late wake of an earlier futex at this address would be. */
TEST(a_wake_up_without_a_release_admits_nobody)
{
    sleeps = 0;
    admitted = 0;
    weir__lock_take(&lock);
    struct test_team *team = test_start(1, take_once, NULL, 0);
    EVENTUALLY(count_of(&sleeps) >= 1);
    for (unsigned seen = count_of(&sleeps); seen < 5; seen = count_of(&sleeps)) { /* until it has slept five times */
        weir__futex_wake(&lock, 1);
        sched_yield();
    }
    CHECK_INT(__atomic_load_n(&admitted, __ATOMIC_SEQ_CST), 0);
    weir__lock_release(&lock);
    test_join(team);
    CHECK_INT(admitted, 1);
}
