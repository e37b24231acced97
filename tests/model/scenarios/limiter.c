/* tests/model/scenarios/limiter.c: token buckets on a clock that stands still: what is there when the rate changes, when what was reserved is given back,
 * and when a key of a map is forgotten for another.
 */
#define WEIR__LIMITER_PROBES 2
#include "model/calls.h"

static weir_limiter l;
static weir_limiter_map m;
static weir_clock hand;
static weir_ns at;
static int got, key_got[5];
static int passed_on; /* written before tokens are given back, read by whoever gets them */

MODEL_OUTSIDE static weir_ns hand_now(weir_clock *clock)
{
    (void)clock;
    return at;
}

MODEL_OUTSIDE static void begin(double rate, int64_t burst, int64_t taken)
{
    at = WEIR_SEC(1000);
    hand.now = hand_now;
    got = passed_on = 0;
    MODEL_CHECK(weir_limiter_init(&l, rate, burst, &hand) == 0);
    MODEL_CHECK(weir_limiter_allow(&l, taken) == 0);
    model_name(&l.bucket, 8, "bucket");
}
THREAD(one_left, begin(10, 3, 2))
THREAD(two_left, begin(10, 3, 1))

static void take(int64_t n)
{
    const int rc = weir_limiter_allow(&l, n);
    MODEL_CHECK(rc == 0 || rc == EAGAIN);
    if (rc == 0)
        got += (int)n;
}
THREAD(takes, take(1))
THREAD(takes_twice, take(1); take(1))
THREAD(takes_two, take(2))

/* ---- nobody gets what another has got, and a refusal is true ---- */

THREAD(one_got, MODEL_CHECK(got == 1))
THREAD(two_got, MODEL_CHECK(got == 2))
MODEL(limiter_last_token, .setup = one_left, .finish = one_got, .preemptions = 3, .stale = 2,
      .threads = {takes_twice, takes_twice, takes})
MODEL(limiter_two_and_one, .setup = two_left, .finish = two_got, .preemptions = 3, .stale = 2,
      .threads = {takes_two, takes_twice})

/* ---- changes: tokens stay, whatever the rule; all four rules are gone through ---- */

static void change(double rate)
{
    MODEL_CHECK(weir_limiter_set_rate(&l, rate) == 0);
}
THREAD(changes, change(1e9))
THREAD(changes_often, change(1e9); change(0.001); change(1e6); change(3e9); change(7))
THREAD(changes_both, change(1e9); MODEL_CHECK(weir_limiter_set_burst(&l, 5) == 0))
MODEL(limiter_changes, .setup = one_left, .finish = one_got, .preemptions = 3, .stale = 2,
      .threads = {takes, takes, changes})
MODEL(limiter_changes_often, .setup = two_left, .finish = two_got, .preemptions = 3, .stale = 2,
      .threads = {takes_twice, changes_often})
MODEL(limiter_two_change, .setup = one_left, .finish = one_got, .preemptions = 3, .stale = 2,
      .threads = {takes, changes, changes_both})

/* Whoever looks, reserves or gives back in between goes by the rule that the word names. */
static weir_reservation early;
MODEL_OUTSIDE static void with_early(void)
{
    begin(10, 3, 1);
    MODEL_CHECK(weir_limiter_reserve(&l, 2, &early) == 0);
}
THREAD(early_setup, with_early())
THREAD(looks, MODEL_CHECK(weir_limiter_tokens(&l) == 0))
THREAD(looks_ahead, weir_reservation r; MODEL_CHECK(weir_limiter_reserve(&l, 1, &r) == 0 && r.when > at))
THREAD(gives_all_back, MODEL_CHECK(weir_limiter_cancel(&l, &early) == 0); MODEL_CHECK(weir_limiter_tokens(&l) == 2))
MODEL(limiter_looks, .setup = early_setup, .preemptions = 3, .stale = 2, .threads = {looks, changes_often})
MODEL(limiter_reserves_in_between, .setup = early_setup, .preemptions = 3, .stale = 2,
      .threads = {looks_ahead, changes_often})
/* Not by what was there before that rule, if all of that is stale. */
MODEL(limiter_reserves_by_a_new_rule, .setup = early_setup, .preemptions = 3, .stale = 8,
      .threads = {looks_ahead, changes})
MODEL(limiter_gives_back_in_between, .setup = early_setup, .preemptions = 3, .stale = 2,
      .threads = {gives_all_back, changes_often})

/* ---- given back: all of it, when nobody reserves after it; and what the giver did is seen ---- */

static void reserve_and_cancel(int64_t n)
{
    weir_reservation r;
    MODEL_CHECK(weir_limiter_reserve(&l, n, &r) == 0);
    MODEL_WRITE(&passed_on);
    passed_on++;
    MODEL_CHECK(weir_limiter_cancel(&l, &r) == 0);
}
static void take_after(void)
{
    if (weir_limiter_allow(&l, 2) == 0) {
        got += 2;
        MODEL_READ(&passed_on);
    }
}
THREAD(cancels, reserve_and_cancel(2))
THREAD(takes_if_given, take_after())
THREAD(all_back, MODEL_CHECK(weir_limiter_tokens(&l) == 2 - got))
MODEL(limiter_cancel_and_change, .setup = two_left, .finish = all_back, .preemptions = 3, .stale = 2,
      .threads = {cancels, changes_often})

static void give_early(void)
{
    MODEL_WRITE(&passed_on);
    passed_on++;
    (void)weir_limiter_cancel(&l, &early);
}
THREAD(gives_early, give_early())
MODEL(limiter_gives_to_another, .setup = early_setup, .finish = all_back, .preemptions = 3, .stale = 2,
      .threads = {gives_early, takes_if_given})

/* One token is a lock: reserved, used, given back, so that the word comes back to what a third has seen. */
static void use_as_a_lock(void)
{
    weir_reservation r;
    MODEL_CHECK(weir_limiter_reserve(&l, 1, &r) == 0);
    if (r.when <= at) {
        MODEL_WRITE(&passed_on);
        passed_on++;
    }
    (void)weir_limiter_cancel(&l, &r);
}
THREAD(locks, use_as_a_lock())
MODEL(limiter_as_a_lock, .setup = one_left, .preemptions = 3, .stale = 2, .threads = {locks, locks})
MODEL(limiter_as_a_lock_of_three, .setup = one_left, .preemptions = 3, .stale = 2, .threads = {locks, locks, locks})

/* ---- a map: a place that is forgotten for another key ---- */

/* Keys 1, 2, 3 begin their ways at the same place, so that one follows the other there; key 4 at the other place. */
static const uint64_t name[] = {0, 1, 9, 11, 2};

MODEL_OUTSIDE static void begin_map(void)
{
    at = WEIR_SEC(1000);
    hand.now = hand_now;
    memset(key_got, 0, sizeof key_got);
    MODEL_CHECK(weir_limiter_map_init(&m, 10, 2, 1, &hand) == 0);
    m.seed[0] = 0; /* so that each execution is the same */
    for (int key = 1; key < 5; key++)
        MODEL_CHECK((((weir__limiter_number(&m, name[key]) ^ weir__limiter_number(&m, name[1])) & m.mask) == 0) ==
                    (key < 4));
    MODEL_CHECK(weir_limiter_map_allow(&m, name[1], 0) == 0); /* the first is there, and full */
}
MODEL_OUTSIDE static void count(uint64_t key)
{
    key_got[key]++;
}
static void ask(uint64_t key)
{
    const int rc = weir_limiter_map_allow(&m, name[key], 1);
    MODEL_CHECK(rc == 0 || rc == EOVERFLOW);
    if (rc == 0)
        count(key);
}
/* What is left of each key's tokens: of one that is not remembered, all. */
MODEL_OUTSIDE static void accounts(void)
{
    for (uint64_t key = 1; key < 5; key++) {
        weir__limiter_place *place = weir__limiter_find(&m, weir__limiter_number(&m, name[key]));
        const double left = place == NULL ? 2 : weir__bucket_holds(&place->bucket, &m.rules, at);
        MODEL_CHECK(left == 2 - key_got[key]);
    }
    MODEL_CHECK(weir_limiter_map_count(&m) == 1);
    weir_limiter_map_free(&m);
}
THREAD(map_setup, begin_map())
THREAD(asks_1, ask(1))
THREAD(asks_2, ask(2))
THREAD(asks_1_twice, ask(1); ask(1))
THREAD(asks_2_and_3, ask(2); ask(3))
THREAD(map_changes, MODEL_CHECK(weir_limiter_map_set(&m, 1e9, 2) == 0))
THREAD(accounts_hold, accounts())
MODEL(limiter_map_forgets, .setup = map_setup, .finish = accounts_hold, .preemptions = 3, .stale = 2,
      .threads = {asks_1_twice, asks_2})
MODEL(limiter_map_three_keys, .setup = map_setup, .finish = accounts_hold, .preemptions = 3, .stale = 2,
      .threads = {asks_1, asks_2_and_3, asks_1})
/* Whoever finds the key that another has just brought in finds its full bucket, too. */
MODEL(limiter_map_new_key_found, .setup = map_setup, .finish = accounts_hold, .preemptions = 3, .stale = 4,
      .threads = {asks_2, asks_2})
/* And whoever finds a key that has come back, because its bucket was no longer full. */
THREAD(asks_3, ask(3))
MODEL(limiter_map_key_that_comes_back, .setup = map_setup, .finish = accounts_hold, .preemptions = 3, .stale = 2,
      .threads = {asks_2, asks_3, asks_2})
MODEL(limiter_map_changes, .setup = map_setup, .finish = accounts_hold, .preemptions = 3, .stale = 2,
      .threads = {asks_1, asks_2, map_changes})

/* What is given back while the place is looked at for another key, and not given away after all, is there again. */
static void reserve_and_cancel_of(uint64_t key, int64_t n)
{
    weir_reservation r;
    const int rc = weir_limiter_map_reserve(&m, name[key], n, &r);
    MODEL_CHECK(rc == 0 || rc == EOVERFLOW);
    if (rc == 0)
        (void)weir_limiter_map_cancel(&m, name[key], &r);
}
THREAD(reserves_and_cancels_1, reserve_and_cancel_of(1, 1))
THREAD(reserves_and_cancels_two, reserve_and_cancel_of(1, 2))
MODEL(limiter_map_gives_back_in_between, .setup = map_setup, .finish = accounts_hold, .preemptions = 3, .stale = 2,
      .threads = {reserves_and_cancels_1, asks_2})

/* Nor does the other key come in behind the place at which its own way begins, and where nobody has been yet. */
THREAD(asks_4, ask(4))
MODEL(limiter_map_gives_back_beside, .setup = map_setup, .finish = accounts_hold, .preemptions = 3, .stale = 2,
      .threads = {reserves_and_cancels_1, asks_4})

/* What is given back too late, when the place is another key's, goes to nobody. */
static weir__atomic_u64 passed; /* since `at`, for a clock that a thread moves */
static weir_ns moved_now(weir_clock *clock)
{
    (void)clock;
    return at + (weir_ns)weir__load_acq(&passed);
}
static void begin_empty(void)
{
    begin_map();
    weir__store_rel(&passed, 0);
    hand.now = moved_now;
    MODEL_CHECK(weir_limiter_map_allow(&m, name[1], 2) == 0);
}
/* Until the bucket is full, only just: the tokens that were reserved are more than have been taken since. */
static void refill(void)
{
    weir__store_rel(&passed, (uint64_t)WEIR_MS(401));
}
static void later(void)
{
    at += WEIR_MS(401);
    accounts();
}
THREAD(empty_setup, begin_empty())
THREAD(refills_and_asks_2, refill(); ask(2))
THREAD(accounts_hold_later, later())
MODEL(limiter_map_gives_back_too_late, .setup = empty_setup, .finish = accounts_hold_later, .preemptions = 3,
      .stale = 2, .threads = {reserves_and_cancels_two, refills_and_asks_2})

/* ---- a budget: no more is taken than was paid in ---- */

static weir_retry_budget budget;
MODEL_OUTSIDE static void begin_budget(void)
{
    got = 0;
    MODEL_CHECK(weir_retry_budget_init(&budget, 0.5, 2) == 0);
    budget.saved = 0;
}
MODEL_OUTSIDE static void count_one(void)
{
    got++;
}
static void pay_and_take(void)
{
    weir_retry_budget_request(&budget);
    if (weir_retry_budget_take(&budget) == 0)
        count_one();
}
THREAD(budget_setup, begin_budget())
THREAD(pays_and_takes, pay_and_take())
THREAD(pays_twice, pay_and_take(); pay_and_take())
THREAD(budget_adds_up, MODEL_CHECK(got *INT64_C(1000000) + (int64_t)budget.saved == 2000000))
MODEL(budget_of_three, .setup = budget_setup, .finish = budget_adds_up, .preemptions = 3, .stale = 2,
      .threads = {pays_twice, pays_and_takes, pays_and_takes})
