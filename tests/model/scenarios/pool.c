/* tests/model/scenarios/pool.c: object pools: no object goes to two, none is lost, and who gets one sees what its last user did to it. A seat has
 * room for two objects beside the one that lies apart.
 */
struct weir__seat_ticket;
static struct weir__seat_ticket *my_ticket(const void *pool);
static int lives(unsigned number);
#define WEIR__SEAT_MINE(pool_) my_ticket(pool_)
#define WEIR__SEAT_ROOM 2
#define WEIR_THREAD_LIVES(number) lives(number)
#include "model/calls.h"

/* 3 and 2; and these where each operation has a fence of its own, and searches take longer. */
#ifdef WEIR_FENCE_SYMMETRIC
#define BOUNDS(preempt, old) .preemptions = preempt, .stale = old
#else
#define BOUNDS(preempt, old) .preemptions = 3, .stale = 2
#endif

static weir_objpool pool;
static struct weir__seat_ticket tickets[8];
static int owner[4];
static struct weir__seat_ticket *my_ticket(const void *unused)
{
    (void)unused;
    return &tickets[model_thread_self()];
}

/* A thread has ended, as far as others can see; nothing of what it did is known with it. */
static weir__atomic_u32 gone;
static int lives(unsigned number)
{
    return number != 1 || weir__load_rlx(&gone) == 0;
}

static void pool_setup_with(uint32_t objects, uint32_t seats)
{
    const weir_objpool_opt opt = {.seats = seats};
    memset(tickets, 0, sizeof tickets);
    memset(owner, 0, sizeof owner);
    gone = 0;
    MODEL_CHECK(weir_objpool_init(&pool, sizeof(int), objects, &opt) == 0);
    MODEL_NAME(pool.shared);
    MODEL_NAME(pool.fresh);
    model_name(pool.seat, sizeof *pool.seat, "seat");
}
THREAD(pool_setup_1, pool_setup_with(1, 2))
THREAD(pool_setup_2, pool_setup_with(2, 2))
static int *take(void)
{
    int *object = NULL;
    const int rc = weir_objpool_get(&pool, &object);
    MODEL_CHECK(rc == 0 || rc == EAGAIN);
    if (rc != 0)
        return NULL;
    MODEL_WRITE(&owner[weir__objpool_number(object)]);
    MODEL_CHECK(owner[weir__objpool_number(object)] == 0);
    owner[weir__objpool_number(object)] = 1;
    return object;
}
static void give(int *object)
{
    if (object == NULL)
        return;
    MODEL_WRITE(&owner[weir__objpool_number(object)]);
    owner[weir__objpool_number(object)] = 0;
    weir_objpool_put(&pool, object);
}
static void use_twice(void)
{
    give(take());
    give(take());
}
static void use_two(void)
{
    int *a = take(), *b = take();
    give(a);
    give(b);
    give(take());
}
static void pool_finish(void)
{
    for (uint32_t i = 0; i < pool.count; i++) /* all are still there */
        MODEL_CHECK(take() != NULL);
    weir_objpool_free(&pool);
}
THREAD(uses_twice, use_twice())
THREAD(uses_once, give(take()))
THREAD(uses_thrice, use_twice(); give(take()))
THREAD(uses_two, use_two())
MODEL(pool_of_one, .setup = pool_setup_1, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_twice, uses_twice})
/* It comes back to a seat that it was taken from. */
MODEL(pool_of_one_that_comes_back, .setup = pool_setup_1, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_thrice, uses_once})
MODEL(pool_of_two, .setup = pool_setup_2, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_two, uses_twice})
MODEL(pool_of_three_threads, .setup = pool_setup_2, .finish = pool_finish, BOUNDS(2, 1),
      .threads = {uses_twice, uses_once, uses_once})

/* More than lies apart: a thief takes from the other end of the same seat. */
static void use_three(void)
{
    int *a = take(), *b = take(), *c = take();
    give(a);
    give(b);
    give(c);
}
THREAD(pool_setup_3, pool_setup_with(3, 2))
THREAD(uses_three_and_two, use_three(); use_two())
MODEL(pool_of_three, .setup = pool_setup_3, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_three_and_two, uses_twice})

/* More than a seat has room for: half of it goes to the stack. */
static void use_four(void)
{
    int *o[4];
    for (int i = 0; i < 4; i++)
        o[i] = take();
    for (int i = 0; i < 4; i++)
        give(o[i]);
}
THREAD(pool_setup_4, pool_setup_with(4, 2))
THREAD(uses_four, use_four())
MODEL(pool_that_overflows, .setup = pool_setup_4, .finish = pool_finish, BOUNDS(2, 1), .threads = {uses_four, uses_two})

/* The stack alone: for threads that have no seat. */
static void on_the_stack(void)
{
    int *o[3];
    pool_setup_with(3, 1);
    for (int i = 0; i < 8; i++)
        tickets[i].number = pool.number; /* and no seat */
    for (int i = 0; i < 3; i++)
        o[i] = take();
    for (int i = 0; i < 3; i++)
        give(o[i]);
}
MODEL(pool_stack, .setup = on_the_stack, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_twice, uses_two})
MODEL(pool_stack_of_three, .setup = on_the_stack, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_twice, uses_once, uses_once})

/* The seat of one that has ended, and what lay there. */
static void wait_until_gone(void)
{
    while (weir__load_rlx(&gone) == 0)
        model_pause();
}
THREAD(pool_setup_3_and_a_seat, pool_setup_with(3, 1))
THREAD(uses_three_and_goes, use_three(); weir__store_rlx(&gone, 1))
THREAD(comes_after, wait_until_gone(); use_three())
MODEL(pool_seat_left_behind, .setup = pool_setup_3_and_a_seat, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_three_and_goes, comes_after})
MODEL(pool_seat_left_to_two, .setup = pool_setup_3_and_a_seat, .finish = pool_finish, .preemptions = 3, .stale = 2,
      .threads = {uses_three_and_goes, comes_after, uses_once})
