/* tests/model/scenarios/park.c: the lock, the parker and the queue of sleepers by themselves. */
#include "model/calls.h"

/* ---- the lock: one at a time, and whoever waits gets it ---- */

static weir__lock lock;
static int inside;

static void lock_setup(void)
{
    lock = 0;
    inside = 0;
    MODEL_NAME(lock);
}

static void critical(void)
{
    weir__lock_take(&lock);
    MODEL_WRITE(&inside);
    inside++;
    weir__lock_release(&lock);
}
THREAD(once, critical())
THREAD(twice, critical(); critical())
THREAD(two_were_inside, MODEL_CHECK(inside == 2 && lock == 0))
THREAD(three_were_inside, MODEL_CHECK(inside == 3 && lock == 0))
THREAD(four_were_inside, MODEL_CHECK(inside == 4 && lock == 0))
MODEL(lock_of_two, .setup = lock_setup, .finish = four_were_inside, .preemptions = 3, .stale = 2,
      .threads = {twice, twice})
MODEL(lock_of_three, .setup = lock_setup, .finish = three_were_inside, .preemptions = 3, .stale = 2,
      .threads = {once, once, once})
MODEL(lock_of_three_twice, .setup = lock_setup, .finish = four_were_inside, .preemptions = 3, .stale = 2,
      .threads = {twice, once, once})
MODEL(lock_spurious_wake_ups, .setup = lock_setup, .finish = two_were_inside, .preemptions = 3, .stale = 2,
      .spurious = 2, .threads = {once, once})

/* ---- the parker: claimed once, by one of two wakers, by the deadline or by the owner ---- */

static weir__parker parker;
static int claims, message;
static uint32_t ticket;

static void parker_setup(void)
{
    parker.state = WEIR__PARKER_WAITING;
    claims = message = 0;
    ticket = 0;
    MODEL_NAME(parker);
}

static void claim_with(uint32_t with, bool held)
{
    weir__atomic_u32 *wake;
    if (!weir__parker_claim(&parker, with | (held ? WEIR__PARKER_HELD : 0), &wake))
        return;
    MODEL_WRITE(&message);
    message = (int)with;
    claims++;
    if (held)
        weir__parker_let_go(&parker, with);
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
}
THREAD(claim_5, claim_with(5, true))
THREAD(claim_6, claim_with(6, true))
static void owner(void)
{
    ticket = weir__parker_wait(&parker, WEIR_WAIT_ADAPTIVE, WEIR_FOREVER, NULL);
    MODEL_READ(&message);
    MODEL_CHECK(message == (int)ticket);
}
static void owner_late(void)
{
    ticket = weir__parker_wait(&parker, WEIR_WAIT_PARK, 1050, NULL);
    if (ticket != WEIR__PARKER_CANCELLED) {
        MODEL_READ(&message);
        MODEL_CHECK(message == (int)ticket);
    }
}
/* A claim that is a hint: what its waker did before is known to whoever reads the ticket. */
static int done[2];
static void hints(int which)
{
    weir__atomic_u32 *wake;
    MODEL_WRITE(&done[which]);
    done[which] = 1;
    if (!weir__parker_claim(&parker, (uint32_t)(5 + which), &wake))
        return;
    claims++;
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
}
THREAD(hint_5, hints(0))
THREAD(hint_6, hints(1))
static void hinted(void)
{
    ticket = weir__parker_wait(&parker, WEIR_WAIT_ADAPTIVE, WEIR_FOREVER, NULL);
    MODEL_READ(&done[ticket - 5]);
    MODEL_CHECK(done[ticket - 5] == 1);
}
THREAD(hint_setup, parker_setup(); done[0] = done[1] = 0)
THREAD(claimed_once, MODEL_CHECK(claims == 1 && (ticket == 5 || ticket == 6)))
THREAD(claimed_or_late, MODEL_CHECK(claims == (ticket != WEIR__PARKER_CANCELLED)))
MODEL(parker_of_two_wakers, .setup = parker_setup, .finish = claimed_once, .preemptions = 3, .stale = 2, .spurious = 1,
      .threads = {owner, claim_5, claim_6})
MODEL(parker_of_two_hints, .setup = hint_setup, .finish = claimed_once, .preemptions = 3, .stale = 2, .spurious = 1,
      .threads = {hinted, hint_5, hint_6})
MODEL(parker_and_a_deadline, .setup = parker_setup, .finish = claimed_or_late, .preemptions = 3, .stale = 2, .ticks = 1,
      .threads = {owner_late, claim_5})

/* ---- the queue: announce, heavy fence, look; publish, light fence, look. Nobody sleeps on ---- */

static weir__waitq q;
static weir__atomic_u32 published;

static void queue_setup(void)
{
    weir__waitq_init(&q);
    published = 0;
    MODEL_NAME(published);
    MODEL_NAME(q);
    model_name(&q.lock, sizeof q.lock, "q.lock");
    model_name(&q.attention, sizeof q.attention, "q.attention");
}

static void awaits(uint32_t what, weir_ns deadline)
{
    while (weir__load_acq(&published) < what) {
        weir__parker own = {WEIR__PARKER_WAITING};
        weir__waiter node;
        uint32_t got = WEIR__TICKET_QUEUE;
        weir__waiter_init(&node, &own, WEIR__TICKET_QUEUE);
        weir__waitq_join(&q, &node);
        WEIR_FENCE_HEAVY();
        if (weir__load_acq(&published) < what)
            got = weir__parker_wait(&own, WEIR_WAIT_PARK, deadline, NULL);
        weir__waitq_leave(&q, &node);
        if (got == WEIR__PARKER_CANCELLED)
            return;
    }
}

static void publishes(void)
{
    (void)weir__add_ar(&published, 1);
    WEIR_FENCE_LIGHT();
    if (weir__load_rlx(&q.attention) != 0)
        weir__waitq_wake(&q, WEIR__WAKE_ALL);
}
THREAD(awaits_one, awaits(1, WEIR_FOREVER))
THREAD(awaits_two, awaits(2, WEIR_FOREVER))
THREAD(awaits_late, awaits(1, 1050))
THREAD(publishes_two, publishes(); publishes())
THREAD(queue_empty, MODEL_CHECK(weir__waitq_sleepers(&q) == 0 && q.list.first == NULL))
MODEL(queue_of_one, .setup = queue_setup, .finish = queue_empty, .preemptions = 3, .stale = 2,
      .threads = {awaits_two, publishes_two})
MODEL(queue_of_two, .setup = queue_setup, .finish = queue_empty, .preemptions = 3, .stale = 2,
      .threads = {awaits_one, awaits_one, publishes})
MODEL(queue_of_two_publishers, .setup = queue_setup, .finish = queue_empty, .preemptions = 3, .stale = 2,
      .threads = {awaits_two, publishes, publishes})
MODEL(queue_and_a_deadline, .setup = queue_setup, .finish = queue_empty, .preemptions = 3, .stale = 2, .ticks = 1,
      .threads = {awaits_late, awaits_one, publishes})
