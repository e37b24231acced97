/* tests/task/test_objpool.c: every object to one at a time, none lost, however threads get, put, exchange and end; hooks, growth, exhaustion. */
#include "../core/before.h"
#include "../faults/failing.h"

struct thing {
    int owner; /* atomic: 0, or the number of the thread that has it */
    int inits, resets;
    long payload[4];
};

static int inits; /* atomic */

static void init_thing(void *object, void *arg)
{
    struct thing *t = (struct thing *)object;
    memset(t, 0, sizeof *t);
    t->inits = *(int *)arg;
    __atomic_add_fetch(&inits, 1, __ATOMIC_SEQ_CST);
}

static void reset_thing(void *object, void *arg)
{
    (void)arg;
    ((struct thing *)object)->resets++;
}

static int hook_arg = 42;
static const weir_objpool_opt hooks = {.init = init_thing, .reset = reset_thing, .arg = &hook_arg};

TEST(objects_are_initialised_once_and_reset_each_time)
{
    weir_objpool pool;
    struct thing *t[3], *again = NULL;
    inits = 0;
    CHECK_INT(weir_objpool_init(&pool, sizeof(struct thing), 3, &hooks), 0);
    CHECK_INT(weir_objpool_high_water(&pool), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(weir_objpool_get(&pool, &t[i]), 0);
        CHECK_INT((uintptr_t)t[i] % 16, 0);
        CHECK_INT(t[i]->inits, 42);
    }
    CHECK(t[0] != t[1] && t[1] != t[2] && t[0] != t[2]);
    CHECK_INT(weir_objpool_get(&pool, &again), EAGAIN);
    weir_objpool_put(&pool, t[1]);
    CHECK_INT(weir_objpool_get(&pool, &again), 0);
    CHECK(again == t[1]);
    CHECK_INT(again->resets, 1);
    CHECK_INT(inits, 3);
    CHECK_INT(weir_objpool_high_water(&pool), 3);
    weir_objpool_free(&pool);
    CHECK_INT(allocations, 0);
}

TEST(what_was_put_back_is_used_before_what_never_was)
{
    weir_objpool pool;
    struct thing *t[200];
    CHECK_INT(weir_objpool_init(&pool, sizeof(struct thing), 1000, NULL), 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 200; i++)
            REQUIRE(weir_objpool_get(&pool, &t[i]) == 0);
        for (int i = 0; i < 200; i++)
            weir_objpool_put(&pool, t[i]);
    }
    CHECK_INT(weir_objpool_high_water(&pool), 200);
    weir_objpool_free(&pool);
}

TEST(misuse_and_sizes)
{
    weir_objpool pool;
    weir_objpool_opt less = {.max = 3};
    CHECK_INT(weir_objpool_init(&pool, 0, 1, NULL), EINVAL);
    CHECK_INT(weir_objpool_init(&pool, 1, 0, NULL), EINVAL);
    CHECK_INT(weir_objpool_init(&pool, 1, 4, &less), EINVAL);
    CHECK_INT(weir_objpool_init(&pool, SIZE_MAX / 2, 1, NULL), EOVERFLOW);
    CHECK_INT(weir_objpool_init(&pool, SIZE_MAX / 100, 1000, NULL), EOVERFLOW);
    CHECK_INT(weir_objpool_init(&pool, 1, UINT32_MAX, NULL), EOVERFLOW);
    less.max = UINT32_MAX;
    CHECK_INT(weir_objpool_init(&pool, 1, 1, &less), EOVERFLOW);
    for (size_t size = 1; size < 200; size += 13) { /* no object overlaps another */
        unsigned char *objects[5];
        CHECK_INT(weir_objpool_init(&pool, size, 5, NULL), 0);
        for (int i = 0; i < 5; i++) {
            REQUIRE(weir_objpool_get(&pool, &objects[i]) == 0);
            memset(objects[i], i, size);
        }
        for (int i = 0; i < 5; i++)
            for (size_t b = 0; b < size; b++)
                REQUIRE(objects[i][b] == i);
        weir_objpool_free(&pool);
    }
}

TEST(it_grows_to_its_maximum_if_it_may)
{
    weir_objpool pool;
    weir_objpool_opt opt = hooks;
    struct thing *t[10], *none;
    opt.max = 10;
    CHECK_INT(weir_objpool_init(&pool, sizeof(struct thing), 2, &opt), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(weir_objpool_get(&pool, &t[i]), 0);
        CHECK_INT(t[i]->inits, 42);
    }
    CHECK_INT(allocations, 2 + 8);
    CHECK_INT(weir_objpool_get(&pool, &none), EAGAIN);
    for (int i = 0; i < 10; i++)
        weir_objpool_put(&pool, t[i]);
    for (int i = 0; i < 10; i++)
        CHECK_INT(weir_objpool_get(&pool, &t[i]), 0);
    CHECK_INT(allocations, 2 + 8);
    weir_objpool_free(&pool);
    CHECK_INT(allocations, 0);
}

TEST(every_failing_allocation_is_reported)
{
    for (int k = 0; k < 6; k++) {
        weir_objpool pool;
        weir_objpool_opt opt = {.max = 4};
        struct thing *t[4];
        int rc, got = 0;
        fail_allocation = k;
        rc = weir_objpool_init(&pool, sizeof(struct thing), 1, &opt);
        CHECK_INT(rc, k < 2 ? ENOMEM : 0);
        for (int i = 0; rc == 0 && i < 4; i++) {
            const int one = weir_objpool_get(&pool, &t[got]);
            CHECK_INT(one, i < k - 1 ? 0 : ENOMEM);
            got += one == 0;
        }
        fail_allocation = -1;
        for (int i = 0; i < got; i++)
            weir_objpool_put(&pool, t[i]);
        for (int i = 0; rc == 0 && i < 4; i++)
            CHECK_INT(weir_objpool_get(&pool, &t[i]), 0); /* and the pool goes on */
        if (rc == 0)
            weir_objpool_free(&pool);
        CHECK_INT(allocations, 0);
    }
}

/* ---- threads ---- */

struct user {
    weir_objpool *pool;
    weir_chan(struct thing *) * passed;
    int number;
    long rounds, got, missed;
};

static void take(struct user *u, struct thing *t)
{
    int nobody = 0;
    CHECK(__atomic_compare_exchange_n(&t->owner, &nobody, u->number, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    for (int i = 0; i < 4; i++)
        t->payload[i] = u->number; /* plain: the pool orders one owner after another */
    u->got++;
}

static void give(struct user *u, struct thing *t)
{
    for (int i = 0; i < 4; i++)
        CHECK_INT(t->payload[i], u->number);
    __atomic_store_n(&t->owner, 0, __ATOMIC_RELAXED);
    weir_objpool_put(u->pool, t);
}

static void user_main(void *arg)
{
    struct user *u = (struct user *)arg;
    struct thing *have[40];
    unsigned random = (unsigned)u->number * 7919;
    int n = 0;
    for (long i = 0; i < u->rounds; i++) {
        random = random * 1664525 + 1013904223;
        if (n < 40 && (random >> 16) % 40 >= (unsigned)n / 2) {
            struct thing *t;
            const int rc = weir_objpool_get(u->pool, &t);
            CHECK(rc == 0 || rc == EAGAIN);
            u->missed += rc != 0;
            if (rc == 0)
                take(u, have[n++] = t);
        } else if (n > 0) {
            give(u, have[--n]);
        }
    }
    while (n > 0)
        give(u, have[--n]);
}

static void run_users(int threads, uint32_t objects, uint32_t seats)
{
    weir_objpool pool;
    weir_objpool_opt opt = hooks;
    struct user users[TEST_WIDEST + 2];
    long got = 0;
    opt.seats = seats;
    REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), objects, &opt) == 0);
    for (int round = 0; round < 3;
         round++) { /* each time with new threads, who find the seats of those that have ended */
        memset(users, 0, sizeof users);
        for (int i = 0; i < threads; i++) {
            users[i].pool = &pool;
            users[i].number = i + 1;
            users[i].rounds = test_rounds(300000) / threads;
        }
        test_threads(threads, user_main, users, sizeof users[0]);
        for (int i = 0; i < threads; i++)
            got += users[i].got;
    }
    CHECK(got > 0);
    CHECK(weir_objpool_high_water(&pool) <= objects);
    for (uint32_t i = 0; i < objects; i++) { /* all are still there */
        struct thing *t;
        REQUIRE(weir_objpool_get(&pool, &t) == 0);
        CHECK_INT(t->owner, 0);
        t->owner = 1;
    }
    weir_objpool_free(&pool);
}

TEST(no_object_is_given_to_two_and_none_is_lost)
{
    run_users(2, 1000, 0);
    run_users(test_wide(4), 60, 0); /* mostly taken from each other */
    run_users(4, 3, 0);
    run_users(test_wide(6) + 2, 50, 2); /* more threads than seats */
    run_users(3, 1, 1);
}

/* ---- moments: between a look and what follows, another thread is faster ---- */

static weir_objpool *moment;
static struct thing *taken[100];
static int takes; /* how many objects the other thread gets */

static void gets(void *arg)
{
    (void)arg;
    for (int i = 0; i < takes; i++)
        CHECK_INT(weir_objpool_get(moment, &taken[i]), 0);
}
static void another_gets(void)
{
    test_threads(1, gets, NULL, 0);
}
static void another_gets_before(void *word)
{
    (void)word;
    another_gets();
}

TEST(the_object_that_lies_apart_goes_to_a_thief_and_not_to_its_owner)
{
    weir_objpool pool;
    struct thing *own, *first;
    REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), 2, NULL) == 0);
    CHECK_INT(weir_objpool_get(&pool, &first), 0);
    weir_objpool_put(&pool, first);
    moment = &pool;
    takes = 1;
    before_word = &pool.seat[0].hot;
    before_store = another_gets_before;
    CHECK_INT(weir_objpool_get(&pool, &own), 0);
    CHECK(before_store == NULL && taken[0] == first);
    CHECK(own != first);
    CHECK_INT(weir_objpool_high_water(&pool), 2);
    weir_objpool_free(&pool);
}

/* A thief that has found what it wanted elsewhere in the seat, and is about to say that it has gone. */
static int thief_at_end; /* atomic */
static void waits_for_the_owner(void *word)
{
    (void)word;
    __atomic_store_n(&thief_at_end, 1, __ATOMIC_SEQ_CST);
    EVENTUALLY(__atomic_load_n(&moment->seat[0].lock, __ATOMIC_SEQ_CST) == 2); /* the owner sleeps */
}
static void comes(void *word)
{
    (void)word;
    before_store = waits_for_the_owner;
}
static void gets_slowly(void *arg)
{
    before_word = &moment->seat[0].asked;
    before_store = comes;
    gets(arg);
}
TEST(an_owner_keeps_the_object_that_a_thief_has_left_apart)
{
    weir_objpool pool;
    struct thing *t[2], *own = NULL;
    REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), 3, NULL) == 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(weir_objpool_get(&pool, &t[i]), 0);
    for (int i = 0; i < 2; i++)
        weir_objpool_put(&pool, t[i]);
    moment = &pool;
    takes = 1;
    thief_at_end = 0;
    struct test_team *team = test_start(1, gets_slowly, NULL, 0);
    EVENTUALLY(__atomic_load_n(&thief_at_end, __ATOMIC_SEQ_CST));
    CHECK_INT(weir_objpool_get(&pool, &own), 0);
    test_join(team);
    CHECK(own == t[0] && taken[0] == t[1]);
    weir_objpool_free(&pool);
}

static void puts_both_and_gets_one(void *arg)
{
    struct thing **both = (struct thing **)arg;
    weir_objpool_put(moment, both[0]);
    weir_objpool_put(moment, both[1]);
    gets(NULL);
}
TEST(a_thread_without_a_seat_takes_one_object_and_no_more)
{
    weir_objpool pool;
    const weir_objpool_opt opt = {.seats = 1};
    struct thing *t[2], *own = NULL;
    REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), 3, &opt) == 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(weir_objpool_get(&pool, &t[i]), 0);
    moment = &pool;
    takes = 1;
    test_threads(1, puts_both_and_gets_one, t, 0);
    CHECK_INT(weir_objpool_get(&pool, &own), 0);
    CHECK(taken[0] == t[1] && own == t[0]);
    CHECK_INT(weir_objpool_high_water(&pool), 2);
    weir_objpool_free(&pool);
}

/* The owner has seen that its seat is full, and gives half of it to all; a thief has emptied it by then. */
TEST(a_full_seat_that_is_emptied_has_none_to_give_away)
{
    enum { FULL = WEIR__SEAT_ROOM + 1 };
    weir_objpool pool;
    struct thing *t[FULL + 1], *again = NULL;
    REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), FULL + 1, NULL) == 0);
    for (int i = 0; i <= FULL; i++)
        REQUIRE(weir_objpool_get(&pool, &t[i]) == 0);
    for (int i = 0; i < FULL; i++)
        weir_objpool_put(&pool, t[i]);
    moment = &pool;
    takes = FULL;
    before_word = &pool.seat[0].bottom;
    before_store = another_gets_before;
    weir_objpool_put(&pool, t[FULL]);
    CHECK(before_store == NULL);
    CHECK_INT(weir_objpool_get(&pool, &again), 0);
    CHECK(again == t[FULL]);
    CHECK_INT(weir_objpool_get(&pool, &again), EAGAIN); /* the thief has the others, each once */
    for (int i = 0; i < FULL; i++)
        for (int j = 0; j < i; j++)
            CHECK(taken[i] != taken[j]);
    weir_objpool_free(&pool);
}

/* Seats are looked at some at a time; what is found among the first is not left for what the next have. */
static void puts_one(void *arg)
{
    weir_objpool_put(moment, *(struct thing **)arg);
}
TEST(objects_are_taken_from_many_seats_and_each_is_found)
{
    enum { MANY = 3 * WEIR__SEAT_BATCH };
    weir_objpool pool;
    struct thing *t[MANY], *got = NULL;
    REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), MANY + 1, NULL) == 0);
    moment = &pool;
    for (int i = 0; i < MANY; i++)
        REQUIRE(weir_objpool_get(&pool, &t[i]) == 0);
    for (int i = 0; i < MANY; i++)
        test_threads(1, puts_one, &t[i], 0); /* each into a seat of its own */
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(weir_objpool_get(&pool, &got), 0);
        CHECK(got == t[i]);
    }
    CHECK_INT(weir_objpool_high_water(&pool), MANY);
    weir_objpool_free(&pool);
}

TEST(memory_for_an_object_that_another_thread_is_faster_with_is_used_or_freed)
{
    for (uint32_t max = 2; max <= 3; max++) {
        weir_objpool pool;
        const weir_objpool_opt opt = {.max = max};
        struct thing *first, *own = NULL;
        REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), 1, &opt) == 0);
        CHECK_INT(weir_objpool_get(&pool, &first), 0);
        moment = &pool;
        takes = 1;
        allocate_first = another_gets;
        CHECK_INT(weir_objpool_get(&pool, &own), max == 2 ? EAGAIN : 0);
        CHECK(allocate_first == NULL && own != taken[0]);
        CHECK_INT(allocations, 2 + max - 1);
        weir_objpool_free(&pool);
        CHECK_INT(allocations, 0);
    }
}

/* One gets, the other puts: objects wander from seat to seat. */
static void puts_what_comes(void *arg)
{
    struct user *u = (struct user *)arg;
    struct thing *t;
    while (weir_recv(NULL, *u->passed, &t) == 0) {
        CHECK_INT(t->owner, 1);
        t->owner = 0;
        weir_objpool_put(u->pool, t);
    }
}

TEST(objects_may_be_put_by_another_thread_than_the_one_that_got_them)
{
    weir_objpool pool;
    weir_chan(struct thing *) passed;
    struct user putter = {.pool = &pool};
    REQUIRE(weir_objpool_init(&pool, sizeof(struct thing), 100, &hooks) == 0);
    REQUIRE(weir_chan_make(&passed, 16) == 0);
    memcpy(&putter.passed, &(void *){&passed}, sizeof putter.passed);
    struct test_team *team = test_start(1, puts_what_comes, &putter, 0);
    for (long i = test_rounds(100000); i > 0;) {
        struct thing *t;
        if (weir_objpool_get(&pool, &t) != 0)
            continue; /* all are under way */
        CHECK_INT(t->owner, 0);
        t->owner = 1;
        REQUIRE(weir_send(NULL, passed, &t) == 0);
        i--;
    }
    CHECK_INT(weir_close(passed), 0);
    test_join(team);
    weir_chan_free(&passed);
    weir_objpool_free(&pool);
}

TEST(a_thread_may_use_more_pools_than_it_remembers)
{
    enum { POOLS = 20 };
    weir_objpool pools[POOLS];
    struct thing *t[POOLS];
    for (int i = 0; i < POOLS; i++)
        REQUIRE(weir_objpool_init(&pools[i], sizeof(struct thing), 2, &hooks) == 0);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < POOLS; i++)
            CHECK_INT(weir_objpool_get(&pools[i], &t[i]), 0);
        for (int i = 0; i < POOLS; i++)
            weir_objpool_put(&pools[i], t[i]);
    }
    for (int i = 0; i < POOLS; i++) {
        CHECK_INT(weir_objpool_high_water(&pools[i]), 1);
        weir_objpool_free(&pools[i]);
    }
}
