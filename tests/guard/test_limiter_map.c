/* tests/guard/test_limiter_map.c: a limiter for each key: room, forgetting, changes, and races between those who decide and those who move in. */
#include "../faults/failing.h"

#include "guard/hand.h"

static struct hand hand;
static weir_limiter_map m;

static void begin(double rate, int64_t burst, size_t capacity)
{
    hand_init(&hand, WEIR_SEC(1000));
    REQUIRE(weir_limiter_map_init(&m, rate, burst, capacity, &hand.clock) == 0);
}

TEST(each_key_has_a_bucket_of_its_own)
{
    begin(10, 2, 100);
    for (uint64_t key = 0; key < 50; key++) {
        CHECK_INT(weir_limiter_map_allow(&m, key, 2), 0);
        CHECK_INT(weir_limiter_map_allow(&m, key, 1), EAGAIN);
    }
    CHECK_INT(weir_limiter_map_count(&m), 50);
    hand_move(&hand, WEIR_MS(100));
    for (uint64_t key = 0; key < 50; key++) {
        CHECK_INT(weir_limiter_map_allow(&m, key, 1), 0);
        CHECK_INT(weir_limiter_map_allow(&m, key, 1), EAGAIN);
    }
    CHECK_INT(weir_limiter_map_allow(&m, 7, 3), EINVAL);
    CHECK_INT(weir_limiter_map_allow(&m, 777, 3), EINVAL); /* and takes no place */
    CHECK_INT(weir_limiter_map_allow(&m, 777, -1), EINVAL);
    CHECK_INT(weir_limiter_map_count(&m), 50);
    CHECK(weir_limiter_map_key(&m, "ann", 3) != weir_limiter_map_key(&m, "bob", 3));
    CHECK(weir_limiter_map_key(&m, "ann", 3) == weir_limiter_map_key(&m, "ann", 3));
    weir_limiter_map_free(&m);
}

/* A key whose number would be one of the two that mean something else. */
TEST(any_number_is_a_key)
{
    begin(10, 2, 100);
    CHECK_INT(weir_limiter_map_allow(&m, m.seed[0], 2), 0);
    CHECK_INT(weir_limiter_map_allow(&m, m.seed[0], 1), EAGAIN);
    CHECK_INT(weir_limiter_map_count(&m), 1);
    weir_limiter_map_free(&m);
}

TEST(bad_arguments)
{
    CHECK_INT(weir_limiter_map_init(&m, 1, 1, 0, NULL), EINVAL);
    CHECK_INT(weir_limiter_map_init(&m, -1, 1, 1, NULL), EINVAL);
    CHECK_INT(weir_limiter_map_init(&m, 1, -1, 1, NULL), EINVAL);
    CHECK_INT(weir_limiter_map_init(&m, 1, 1, SIZE_MAX, NULL), EOVERFLOW);
    weir_limiter_map_free(&m);
}

TEST(it_holds_so_many_keys_and_forgets_those_whose_bucket_is_full)
{
    begin(10, 2, 4);
    for (uint64_t key = 1; key <= 4; key++)
        CHECK_INT(weir_limiter_map_allow(&m, key, (int64_t)key % 2 + 1), 0); /* 1 and 3: empty; 2 and 4: half full */
    CHECK_INT(weir_limiter_map_allow(&m, 5, 1), EOVERFLOW);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 1), EAGAIN); /* those in use are still known */
    hand_move(&hand, WEIR_MS(100));
    CHECK_INT(weir_limiter_map_allow(&m, 5, 2), 0); /* 2 and 4 are full by now */
    CHECK_INT(weir_limiter_map_allow(&m, 1, 2), EAGAIN);
    CHECK_INT(weir_limiter_map_allow(&m, 6, 2), 0);
    CHECK_INT(weir_limiter_map_allow(&m, 7, 2), EOVERFLOW);
    CHECK_INT(weir_limiter_map_allow(&m, 5, 1), EAGAIN);
    CHECK(weir_limiter_map_count(&m) <= 4);
    hand_move(&hand, WEIR_SEC(1));
    for (uint64_t key = 100; key < 104; key++) /* all have been forgotten by whom nobody remembers */
        CHECK_INT(weir_limiter_map_allow(&m, key, 2), 0);
    CHECK_INT(weir_limiter_map_count(&m), 4);
    CHECK_INT(weir_limiter_map_allow(&m, 104, 1), EOVERFLOW);
    weir_limiter_map_free(&m);
}

/* Where nothing is limited every bucket is full, and every key can be forgotten. */
TEST(without_a_limit_there_is_room_for_every_key)
{
    begin(WEIR_RATE_INFINITE, 0, 4);
    for (uint64_t key = 0; key < 100; key++) {
        CHECK_INT(weir_limiter_map_allow(&m, key, 1000), 0);
        CHECK(weir_limiter_map_count(&m) <= 4);
    }
    CHECK_INT(weir_limiter_map_set(&m, 10, 2), 0); /* from here on it counts, and each begins full */
    for (uint64_t key = 96; key < 100; key++) {
        CHECK_INT(weir_limiter_map_allow(&m, key, 2), 0);
        CHECK_INT(weir_limiter_map_allow(&m, key, 1), EAGAIN);
    }
    CHECK_INT(weir_limiter_map_allow(&m, 100, 1), EOVERFLOW);
    weir_limiter_map_free(&m);
}

/* The next key that begins its way at the table's first place. */
static uint64_t first_place(uint64_t key)
{
    do
        key++;
    while ((weir__limiter_number(&m, key) & m.mask) != 0);
    return key;
}

TEST(where_all_places_on_a_keys_way_are_taken_one_that_is_full_is_forgotten)
{
    uint64_t key = 0, first;
    begin(10, 2, 100);
    for (int i = 0; i < WEIR__LIMITER_PROBES; i++) {
        key = first_place(key);
        first = i == 0 ? key : first;
        CHECK_INT(weir_limiter_map_allow(&m, key, i == 0 ? 2 : 1), 0);
    }
    key = first_place(key);
    CHECK_INT(weir_limiter_map_allow(&m, key, 2), EOVERFLOW);
    hand_move(&hand, WEIR_MS(100));
    CHECK_INT(weir_limiter_map_allow(&m, key, 2), 0); /* all but the first are full by now */
    CHECK_INT(weir_limiter_map_allow(&m, key, 1), EAGAIN);
    CHECK_INT(weir_limiter_map_count(&m), WEIR__LIMITER_PROBES);
    CHECK_INT(weir_limiter_map_allow(&m, first, 2), EAGAIN);
    weir_limiter_map_free(&m);
}

TEST(many_keys_come_and_go)
{
    enum { KEYS = 5000 };
    begin(1, 1, KEYS);
    for (uint64_t turn = 0; turn < 20; turn++) {
        for (uint64_t key = 0; key < KEYS; key++) {
            CHECK_INT(weir_limiter_map_allow(&m, turn * KEYS + key, 1), 0);
            CHECK_INT(weir_limiter_map_allow(&m, turn * KEYS + key, 1), EAGAIN);
        }
        CHECK_INT(weir_limiter_map_count(&m), KEYS);
        CHECK_INT(weir_limiter_map_allow(&m, turn * KEYS + KEYS, 1), EOVERFLOW);
        hand_move(&hand, WEIR_SEC(1));
    }
    weir_limiter_map_free(&m);
}

TEST(a_new_rate_and_burst_for_all)
{
    weir_reservation r;
    begin(10, 4, 10);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 4), 0);
    CHECK_INT(weir_limiter_map_allow(&m, 2, 1), 0);
    CHECK_INT(weir_limiter_map_set(&m, -1, 4), EINVAL);
    CHECK_INT(weir_limiter_map_set(&m, 20, 2), 0);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 1), EAGAIN);
    CHECK_INT(weir_limiter_map_allow(&m, 2, 3), EINVAL);
    CHECK_INT(weir_limiter_map_allow(&m, 2, 2), 0);
    CHECK_INT(weir_limiter_map_allow(&m, 3, 2), 0); /* a new one */
    hand_move(&hand, WEIR_MS(50));
    for (uint64_t key = 1; key <= 3; key++) {
        CHECK_INT(weir_limiter_map_allow(&m, key, 1), 0);
        CHECK_INT(weir_limiter_map_allow(&m, key, 1), EAGAIN);
    }
    CHECK_INT(weir_limiter_map_reserve(&m, 1, 2, &r), 0);
    for (int i = 0; i < 20; i++)
        CHECK_INT(weir_limiter_map_set(&m, 10 + i, 2), 0);
    CHECK_INT(weir_limiter_map_cancel(&m, 1, &r), 0);
    CHECK_INT(weir_limiter_map_cancel(&m, 1, &r), EAGAIN);
    CHECK_INT(weir_limiter_map_set(&m, WEIR_RATE_INFINITE, 2), 0);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 1000), 0);
    weir_limiter_map_free(&m);
}

TEST(waiting_and_giving_back)
{
    weir_ctx ctx;
    weir_reservation r;
    begin(10, 2, 2);
    CHECK_INT(weir_limiter_map_wait(NULL, &m, 1, 2), 0);
    CHECK_INT(weir_limiter_map_wait(NULL, &m, 1, 2), 0);
    CHECK_INT(hand.at, WEIR_SEC(1000) + WEIR_MS(200));
    CHECK_INT(weir_limiter_map_wait(NULL, &m, 1, 3), EINVAL);
    weir_ctx_init_timeout(&ctx, NULL,
                          WEIR_MS(100)); /* the real clock's 100 ms are shorter than the 200 that it would take */
    CHECK_INT(weir_limiter_map_wait(&ctx, &m, 1, 2), ETIMEDOUT);
    weir_ctx_free(&ctx);
    weir_ctx_init(&ctx, NULL);
    hand.cancels = &ctx;
    CHECK_INT(weir_limiter_map_wait(&ctx, &m, 1, 2), ECANCELED);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 1), 0);
    CHECK_INT(weir_limiter_map_wait(&ctx, &m, 1, 1), ECANCELED);
    weir_ctx_free(&ctx);
    /* What is given back may make a bucket full, and room. */
    CHECK_INT(weir_limiter_map_reserve(&m, 2, 2, &r), 0);
    CHECK_INT(weir_limiter_map_allow(&m, 3, 1), EOVERFLOW);
    CHECK_INT(weir_limiter_map_cancel(&m, 2, &r), 0);
    CHECK_INT(weir_limiter_map_allow(&m, 3, 1), 0);
    CHECK_INT(weir_limiter_map_cancel(&m, 99, &r), EAGAIN);
    weir_limiter_map_free(&m);
}

static void another_takes_two(void)
{
    CHECK_INT(weir_limiter_map_allow(&m, 1, 2), 0);
}

static void another_takes_one_later(void)
{
    hand_move(&hand, WEIR_MS(200));
    CHECK_INT(weir_limiter_map_allow(&m, 1, 1), 0);
}
static void another_takes_one_after_the_next_reading(void)
{
    hand.held_up = another_takes_one_later;
}

/* Refused at the first reading; overtaken after the second, at which there was nothing either; served at the third. */
TEST(who_is_overtaken_asks_again)
{
    begin(10, 2, 2);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 2), 0);
    hand.looks = 0;
    hand.held_up = another_takes_one_after_the_next_reading;
    CHECK_INT(weir_limiter_map_allow(&m, 1, 1), 0);
    CHECK_INT(hand.looks, 4); /* one was the other's */
    CHECK_INT(weir_limiter_map_allow(&m, 1, 1), EAGAIN);
    weir_limiter_map_free(&m);
}

TEST(who_is_overtaken_reserves_behind_the_other)
{
    weir_reservation r;
    begin(10, 2, 2);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 0), 0);
    hand.held_up = another_takes_two; /* between the look at the bucket and its swap */
    CHECK_INT(weir_limiter_map_reserve(&m, 1, 2, &r), 0);
    CHECK_INT(r.n, 2);
    CHECK_INT(r.when, hand.at + WEIR_MS(200));
    CHECK_INT(weir_limiter_map_cancel(&m, 1, &r), 0);
    hand_move(&hand, WEIR_MS(200));
    CHECK_INT(weir_limiter_map_allow(&m, 1, 2), 0);
    weir_limiter_map_free(&m);
}

/* The map has computed that none will be full for long. In so large a table the new key's own places hardly ever hold the one that has become so. */
TEST(what_is_given_back_makes_room_before_the_time_that_a_search_has_found)
{
    enum { MANY = 1000, TIMES = 20 };
    weir_reservation r[TIMES];
    begin(1, 2, MANY);
    for (uint64_t key = 0; key < MANY; key++)
        if (key < TIMES)
            CHECK_INT(weir_limiter_map_reserve(&m, key, 2, &r[key]), 0);
        else
            CHECK_INT(weir_limiter_map_allow(&m, key, 2), 0);
    for (uint64_t i = 0; i < TIMES; i++) {
        CHECK_INT(weir_limiter_map_allow(&m, MANY + i, 2), EOVERFLOW);
        CHECK_INT(weir_limiter_map_cancel(&m, i, &r[i]), 0);
        CHECK_INT(weir_limiter_map_allow(&m, MANY + i, 2), 0);
    }
    CHECK_INT(weir_limiter_map_count(&m), MANY);
    weir_limiter_map_free(&m);
}

TEST(without_memory_or_room_it_says_so)
{
    weir_reservation r;
    weir_ctx ctx;
    fail_allocation = 0;
    CHECK_INT(weir_limiter_map_init(&m, 1, 1, 10, NULL), ENOMEM);
    fail_allocation = -1;
    weir_limiter_map_free(&m);
    begin(10, 2, 1);
    CHECK_INT(weir_limiter_map_allow(&m, 1, 2), 0);
    CHECK_INT(weir_limiter_map_reserve(&m, 2, 1, &r), EOVERFLOW);
    CHECK_INT(weir_limiter_map_wait(NULL, &m, 2, 1), EOVERFLOW);
    CHECK_INT(weir_limiter_map_cancel(&m, 2, &r), EAGAIN);
    /* Too late: its time has come. Nor is anything given back to a key that has been forgotten. */
    CHECK_INT(weir_limiter_map_reserve(&m, 1, 1, &r), 0);
    hand_move(&hand, WEIR_MS(101));
    CHECK_INT(weir_limiter_map_cancel(&m, 1, &r), EAGAIN);
    weir_limiter_map_free(&m);
    begin(10, 2, 1);
    CHECK_INT(weir_limiter_map_reserve(&m, 1, 2, &r), 0);
    hand_move(&hand, WEIR_SEC(1));
    CHECK_INT(weir_limiter_map_allow(&m, 2, 1), 0);
    hand.at = r.when;
    CHECK_INT(weir_limiter_map_cancel(&m, 1, &r), EAGAIN);
    weir_limiter_map_free(&m);
    /* What never comes is not waited for. */
    begin(0, 1, 1);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(1000));
    CHECK_INT(weir_limiter_map_wait(&ctx, &m, 1, 1), 0);
    CHECK_INT(weir_limiter_map_wait(&ctx, &m, 1, 1), ETIMEDOUT);
    weir_ctx_free(&ctx);
    weir_limiter_map_free(&m);
    CHECK_INT(allocations, 0);
}

/* ---- races ---- */

enum { THREADS = 8, KEYS = 6, ROUNDS = 20000 };
static int64_t admitted[THREADS][KEYS];

/* The clock stands still, and every key has a burst of 1: so a key that has been admitted is not full, and never forgotten. */
static void asks(void *arg)
{
    int64_t *mine = (int64_t *)arg;
    for (int i = 0; i < 200; i++)
        for (uint64_t key = 0; key < KEYS; key++) {
            const int rc = weir_limiter_map_allow(&m, key, 1);
            CHECK(rc == 0 || rc == EAGAIN || rc == EOVERFLOW);
            mine[key] += rc == 0;
        }
}

TEST(racing_threads_get_a_key_in_once)
{
    for (long round = test_rounds(300); round > 0; round--) {
        int64_t all = 0;
        begin(1, 1, KEYS - 2);
        memset(admitted, 0, sizeof admitted);
        test_threads(THREADS, asks, admitted, sizeof admitted[0]);
        for (int key = 0; key < KEYS; key++) {
            int64_t sum = 0;
            for (int k = 0; k < THREADS; k++)
                sum += admitted[k][key];
            CHECK(sum <= 1);
            all += sum;
        }
        CHECK_INT(all, KEYS - 2);
        weir_limiter_map_free(&m);
    }
}

/* Keys that fill up in no time, so that they are forgotten all the time, and one that does not. */
static void churns(void *arg)
{
    int64_t *mine = (int64_t *)arg;
    const uint64_t own = 1000 + (uint64_t)(mine - admitted[0]);
    for (uint64_t i = 0; i < ROUNDS / THREADS; i++) {
        (void)weir_limiter_map_allow(&m, own + i % 64 * 1000, 1);
        hand_move(&hand, 1000); /* a token of a key lasts a million */
        mine[0] += weir_limiter_map_allow(&m, 1, 1) == 0;
    }
}

TEST(forgetting_gives_nobody_more_than_rate_and_burst)
{
    for (long round = test_rounds(20); round > 0; round--) {
        int64_t sum = 0;
        begin(1000, 3, 8);
        memset(admitted, 0, sizeof admitted);
        test_threads(THREADS, churns, admitted, sizeof admitted[0]);
        for (int k = 0; k < THREADS; k++)
            sum += admitted[k][0];
        CHECK((double)sum <= (double)(hand.at - WEIR_SEC(1000)) / 1e6 + 3);
        CHECK(sum > 0);
        weir_limiter_map_free(&m);
    }
}
