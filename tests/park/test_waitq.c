/* tests/park/test_waitq.c: the queue of those who sleep. Most tests need no thread: a node joins, is claimed, and
 * its parker tells by which ticket. */
static void note_wake(const void *word);
#define WEIR_FUTEX_WAIT(word, value, deadline) weir__futex_wait((word), (value), (deadline))
#define WEIR_FUTEX_WAKE(word, count) (note_wake(word), weir__futex_wake((word), (count)))
#include "harness.h"

enum { MANY = 100 };

static unsigned wakes; /* atomic: futex wakes, except those of the queue's lock */
static weir__waitq q;
static weir__parker parkers[MANY];
static weir__waiter nodes[MANY];

static void note_wake(const void *word)
{
    if (word != &q.lock)
        __atomic_add_fetch(&wakes, 1, __ATOMIC_SEQ_CST);
}

/* n nodes with tickets BASE + 1 … BASE + n, in this order; all asleep, so that each claim owes a wake. */
enum { BASE = WEIR__PARKER_FIRST_TICKET };
static void queue_up(int n)
{
    weir__waitq_init(&q);
    memset(nodes, 0, sizeof nodes);
    memset(parkers, 0, sizeof parkers);
    for (int i = 0; i < n; i++) {
        parkers[i].state = WEIR__PARKER_SLEEPING;
        weir__waiter_init(&nodes[i], &parkers[i], BASE + (uint32_t)i + 1);
        weir__waitq_join(&q, &nodes[i]);
        CHECK(nodes[i].linked);
        CHECK_INT(weir__waitq_sleepers(&q), i + 1);
    }
    wakes = 0;
}

static bool claimed(int i)
{
    return parkers[i].state == nodes[i].ticket && !nodes[i].linked;
}

static bool waits(int i)
{
    return parkers[i].state == WEIR__PARKER_SLEEPING && nodes[i].linked;
}

static void check_empty(void)
{
    CHECK(q.list.first == NULL && q.list.last == NULL);
    CHECK_INT(q.attention, weir__fence_asymmetric() ? 0 : WEIR__ATTENTION_FENCE);
    CHECK_INT(q.lock, 0);
}

/* The list, forwards and backwards, holds exactly the tickets given, 0 at the end. */
static void check_order(const uint32_t *tickets)
{
    weir__waiter *w = q.list.first, *last = NULL;
    uint32_t n = 0;
    for (; *tickets != 0 && w != NULL; tickets++, last = w, w = w->next, n++) {
        CHECK_INT(w->ticket - BASE, *tickets);
        CHECK(w->prev == last);
    }
    CHECK(*tickets == 0 && w == NULL);
    CHECK(q.list.last == last);
    CHECK_INT(weir__waitq_sleepers(&q), n);
}

TEST(first_come_first_woken)
{
    queue_up(5);
    for (int i = 0; i < 5; i++) {
        weir__waitq_wake(&q, 1);
        for (int j = 0; j < 5; j++)
            CHECK(j <= i ? claimed(j) : waits(j));
        CHECK_INT(weir__waitq_sleepers(&q), 4 - i);
    }
    CHECK_INT(wakes, 5);
    weir__waitq_wake(&q, 1); /* nobody left */
    CHECK_INT(wakes, 5);
    check_empty();
}

TEST(wake_several_and_none)
{
    queue_up(5);
    weir__waitq_wake(&q, 0);
    CHECK(waits(0));
    weir__waitq_wake(&q, 3);
    CHECK(claimed(0) && claimed(1) && claimed(2) && waits(3) && waits(4));
    weir__waitq_wake(&q, 100);
    CHECK(claimed(3) && claimed(4));
    check_empty();
}

/* Sixteen are taken off under one lock: that many and no more, and more than that. */
TEST(wake_a_whole_batch_and_two)
{
    queue_up(40);
    weir__waitq_wake(&q, 16);
    CHECK(claimed(15) && waits(16));
    weir__waitq_wake(&q, 17);
    CHECK(claimed(32) && waits(33));
    weir__waitq_wake(&q, 100);
    check_empty();
}

TEST(leaving_from_the_front_the_middle_and_the_end)
{
    queue_up(6);
    weir__waitq_leave(&q, &nodes[2]);
    check_order((const uint32_t[]){1, 2, 4, 5, 6, 0});
    weir__waitq_leave(&q, &nodes[0]);
    check_order((const uint32_t[]){2, 4, 5, 6, 0});
    weir__waitq_leave(&q, &nodes[5]);
    check_order((const uint32_t[]){2, 4, 5, 0});
    weir__waitq_leave(&q, &nodes[5]); /* not linked: nothing happens */
    check_order((const uint32_t[]){2, 4, 5, 0});
    CHECK(!nodes[5].linked && parkers[5].state == WEIR__PARKER_SLEEPING);
    weir__waitq_join(&q, &nodes[0]); /* again, and at the end */
    check_order((const uint32_t[]){2, 4, 5, 1, 0});
    weir__waitq_wake(&q, 1);
    CHECK(claimed(1) && waits(3) && waits(0));
    weir__waitq_leave(&q, &nodes[1]); /* already taken off by its waker */
    check_order((const uint32_t[]){4, 5, 1, 0});
    weir__waitq_leave(&q, &nodes[3]);
    weir__waitq_leave(&q, &nodes[4]);
    weir__waitq_leave(&q, &nodes[0]);
    check_empty();
}

/* A wake-up spent on a thread that had given up, or was claimed elsewhere, would be lost. */
TEST(wake_skips_those_who_are_claimed_already)
{
    weir__atomic_u32 *wake;
    queue_up(5);
    CHECK(weir__parker_cancel(&parkers[0]));
    CHECK(weir__parker_claim(&parkers[1], 77, &wake));
    CHECK(weir__parker_cancel(&parkers[3]));
    weir__waitq_wake(&q, 1);
    CHECK(claimed(2));
    CHECK_INT(wakes, 1);
    CHECK_INT(parkers[0].state, WEIR__PARKER_CANCELLED);
    CHECK_INT(parkers[1].state, 77);
    CHECK(!nodes[0].linked && !nodes[1].linked && nodes[3].linked);
    check_order((const uint32_t[]){4, 5, 0});
    weir__waitq_wake(&q, 1);
    CHECK(claimed(4));
    CHECK_INT(wakes, 2);
    check_empty();
}

TEST(a_queue_of_claimed_nodes_only)
{
    queue_up(40);
    for (int i = 0; i < 40; i++)
        CHECK(weir__parker_cancel(&parkers[i]));
    weir__waitq_wake(&q, 1);
    CHECK_INT(wakes, 0);
    check_empty();
}

/* As in select: one parker, a node in each of two queues. */
TEST(one_thread_in_two_queues_is_woken_by_one)
{
    static weir__waitq other;
    weir__waiter second, behind;
    weir__waiter_init(&second, &parkers[0], 50);
    weir__waiter_init(&behind, &parkers[1], 51);
    queue_up(1);
    parkers[1].state = WEIR__PARKER_SLEEPING;
    weir__waitq_init(&other);
    weir__waitq_join(&other, &second);
    weir__waitq_join(&other, &behind);
    weir__waitq_wake(&q, 1);
    CHECK(claimed(0));
    weir__waitq_wake(&other, 1); /* passes it over */
    CHECK_INT(parkers[0].state, BASE + 1);
    CHECK_INT(parkers[1].state, 51);
    CHECK_INT(wakes, 2);
    CHECK(!second.linked && !behind.linked);
    CHECK_INT(weir__waitq_sleepers(&other), 0);
}

/* More than are claimed under one lock, and one more or less than a whole number of batches. */
TEST(wake_all)
{
    static const int sizes[] = {1, 15, 16, 17, 31, 32, 33, 100};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        queue_up(sizes[s]);
        weir__waitq_wake(&q, WEIR__WAKE_ALL);
        for (int i = 0; i < sizes[s]; i++)
            CHECK(claimed(i));
        CHECK_INT(wakes, sizes[s]);
        check_empty();
    }
    queue_up(40);
    weir__waitq_wake(&q, 33);
    CHECK(claimed(32) && waits(33));
    CHECK_INT(weir__waitq_sleepers(&q), 7);
}

TEST(marks_stay_and_do_not_count)
{
    const uint32_t base = weir__fence_asymmetric() ? 0 : WEIR__ATTENTION_FENCE;
    queue_up(2);
    weir__waitq_mark(&q, WEIR__ATTENTION_CLOSED);
    CHECK_INT(q.attention, base + WEIR__ATTENTION_CLOSED + 2);
    CHECK_INT(weir__waitq_sleepers(&q), 2);
    weir__waitq_mark(&q, WEIR__ATTENTION_CLOSED);
    weir__waitq_wake(&q, WEIR__WAKE_ALL);
    weir__waitq_join(&q, &nodes[0]);
    weir__waitq_leave(&q, &nodes[0]);
    CHECK_INT(q.attention, base + WEIR__ATTENTION_CLOSED);
    CHECK_INT(weir__waitq_sleepers(&q), 0);
}

/* ---- with threads ---- */

static struct {
    int asleep, woken, gave_up; /* atomic */
    long rounds;
} crowd;

static void sleep_once(void *unused)
{
    weir__parker parker = {WEIR__PARKER_WAITING};
    weir__waiter node;
    (void)unused;
    weir__waiter_init(&node, &parker, 5);
    weir__waitq_join(&q, &node);
    __atomic_add_fetch(&crowd.asleep, 1, __ATOMIC_SEQ_CST);
    CHECK_INT(weir__parker_wait(&parker, WEIR_WAIT_PARK, WEIR_FOREVER, NULL), 5);
    weir__waitq_leave(&q, &node);
}

TEST(thirty_sleepers_are_all_woken)
{
    weir__waitq_init(&q);
    crowd.asleep = 0;
    struct test_team *team = test_start(30, sleep_once, NULL, 0);
    EVENTUALLY(__atomic_load_n(&crowd.asleep, __ATOMIC_SEQ_CST) == 30);
    CHECK_INT(weir__waitq_sleepers(&q), 30);
    weir__waitq_wake(&q, WEIR__WAKE_ALL);
    test_join(team);
    check_empty();
}

/* Sleeps again and again, each time with a deadline so near that it often gives up in the waker's arms. The node
 * lies on this stack: whoever touched it after its owner had left would be found by the address sanitizer, or the
 * thread sanitizer. */
static void sleep_often(void *unused)
{
    (void)unused;
    for (long i = crowd.rounds; i > 0; i--) {
        weir__parker parker = {WEIR__PARKER_WAITING};
        weir__waiter node;
        weir__waiter_init(&node, &parker, 5);
        weir__waitq_join(&q, &node);
        const uint32_t ticket = weir__parker_wait(&parker, WEIR_WAIT_PARK, weir_now() + WEIR_US(i % 20), NULL);
        weir__waitq_leave(&q, &node);
        CHECK(!node.linked);
        if (ticket == 5)
            __atomic_add_fetch(&crowd.woken, 1, __ATOMIC_RELAXED);
        else if (CHECK_INT(ticket, WEIR__PARKER_CANCELLED))
            __atomic_add_fetch(&crowd.gave_up, 1, __ATOMIC_RELAXED);
    }
    __atomic_add_fetch(&crowd.asleep, -1, __ATOMIC_SEQ_CST);
}

static void wake_often(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; __atomic_load_n(&crowd.asleep, __ATOMIC_SEQ_CST) > 0; i++) {
        weir__waitq_wake(&q, i % 7 == 0 ? WEIR__WAKE_ALL : 1);
        if (i % 3 == 0)
            sched_yield();
    }
}

TEST(sleepers_that_give_up_while_they_are_woken)
{
    weir__waitq_init(&q);
    memset(&crowd, 0, sizeof crowd);
    crowd.rounds = test_rounds(5000);
    crowd.asleep = 3;
    wakes = 0;
    struct test_team *sleepers = test_start(3, sleep_often, NULL, 0);
    struct test_team *waker = test_start(1, wake_often, NULL, 0);
    test_join(sleepers);
    test_join(waker);
    CHECK_INT(crowd.woken + crowd.gave_up, 3 * crowd.rounds);
    CHECK(wakes > 0 &&
          (unsigned)crowd.woken >= wakes); /* those that were claimed before they slept cost no futex wake */
    check_empty();
}
