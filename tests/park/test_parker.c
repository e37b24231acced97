/* tests/park/test_parker.c: a thread sleeps, and is claimed exactly once. */
static unsigned sleeps; /* atomic: futex waits begun */
#define WEIR_FUTEX_WAIT(word, value, deadline)                                                                         \
    (__atomic_add_fetch(&sleeps, 1, __ATOMIC_SEQ_CST), weir__futex_wait((word), (value), (deadline)))
#define WEIR_FUTEX_WAKE(word, count) weir__futex_wake((word), (count))
#include "harness.h"
#include <sys/mman.h>

/* A claim by somebody who does not look whether there is a futex to wake. */
static bool claim(weir__parker *p, uint32_t ticket)
{
    weir__atomic_u32 *wake;
    return weir__parker_claim(p, ticket, &wake);
}

/* To the end, without spinning first. */
static uint32_t sleep_until(weir__parker *p, weir_ns deadline)
{
    return weir__parker_wait(p, WEIR_WAIT_PARK, deadline, NULL);
}

static unsigned sleeps_begun(void)
{
    return __atomic_load_n(&sleeps, __ATOMIC_SEQ_CST);
}

TEST(one_claim_wins)
{
    weir__parker p = {WEIR__PARKER_WAITING};
    CHECK(claim(&p, 7));
    CHECK(!claim(&p, 8));
    CHECK(!claim(&p, 7));
    CHECK(!weir__parker_cancel(&p));
    CHECK_INT(p.state, 7);
    p.state = WEIR__PARKER_WAITING;
    CHECK(weir__parker_cancel(&p));
    CHECK(!weir__parker_cancel(&p));
    CHECK(!claim(&p, 7));
    CHECK_INT(p.state, WEIR__PARKER_CANCELLED);
}

TEST(only_a_sleeper_has_to_be_woken)
{
    weir__parker p = {WEIR__PARKER_WAITING};
    weir__atomic_u32 *wake = &p.state;
    CHECK(weir__parker_claim(&p, 5, &wake));
    CHECK(wake == NULL);
    p.state = WEIR__PARKER_SLEEPING;
    CHECK(weir__parker_claim(&p, 5, &wake));
    CHECK(wake == &p.state);
    CHECK(!weir__parker_claim(&p, 6, &wake));
}

TEST(every_strategy_waits_for_the_deadline)
{
    for (int strategy = WEIR_WAIT_ADAPTIVE; strategy <= WEIR_WAIT_PARK; strategy++) {
        weir__parker p = {WEIR__PARKER_WAITING};
        const weir_ns deadline = weir_now() + WEIR_MS(2);
        CHECK_INT(weir__parker_wait(&p, strategy, deadline, NULL), WEIR__PARKER_CANCELLED);
        CHECK(weir_now() >= deadline);
    }
}

struct holder {
    weir__parker parker;
    int value; /* plain: moved while the parker is held */
    int done;  /* atomic */
};

static void hold_and_let_go(void *arg)
{
    struct holder *h = (struct holder *)arg;
    CHECK(claim(&h->parker, 9 | WEIR__PARKER_HELD));
    for (int i = 0; i < 20; i++)
        sched_yield();
    h->value++;
    __atomic_store_n(&h->done, 1, __ATOMIC_RELEASE);
    weir__parker_let_go(&h->parker, 9);
}

TEST(an_owner_waits_while_it_is_held_whatever_its_deadline)
{
    for (long round = 0; round < test_rounds(1000); round++) {
        struct holder h = {{WEIR__PARKER_WAITING}, 0, 0};
        struct test_team *team = test_start(1, hold_and_let_go, &h, 0);
        while (__atomic_load_n(&h.parker.state, __ATOMIC_RELAXED) == WEIR__PARKER_WAITING)
            sched_yield();
        CHECK(!weir__parker_cancel(&h.parker));
        CHECK_INT(sleep_until(&h.parker, weir_now()), 9);
        CHECK_INT(__atomic_load_n(&h.done, __ATOMIC_RELAXED), 1);
        CHECK_INT(h.value, 1);
        test_join(team);
    }
}

TEST(one_that_is_claimed_does_not_sleep)
{
    weir__parker p = {WEIR__PARKER_WAITING};
    sleeps = 0;
    CHECK(claim(&p, 9));
    CHECK_INT(sleep_until(&p, WEIR_FOREVER), 9);
    CHECK_INT(sleep_until(&p, weir_now() - 1), 9); /* the claim comes before the deadline */
    CHECK_INT(sleeps, 0);
}

TEST(deadlines)
{
    static const weir_ns past[] = {INT64_MIN, -1, 0, 1};
    for (size_t i = 0; i < sizeof past / sizeof past[0]; i++) {
        weir__parker p = {WEIR__PARKER_WAITING};
        CHECK_INT(sleep_until(&p, past[i]), WEIR__PARKER_CANCELLED);
        CHECK(!claim(&p, 3));
    }
    for (int i = 0; i < 5; i++) {
        weir__parker p = {WEIR__PARKER_WAITING};
        const weir_ns deadline = weir_now() + WEIR_MS(4);
        CHECK_INT(sleep_until(&p, deadline), WEIR__PARKER_CANCELLED);
        CHECK(weir_now() >= deadline);
    }
}

/* ---- a sleeper, and wake-ups that are none of its business ---- */

struct sleeper {
    weir__parker parker;
    int claimed;   /* atomic: set before the claim */
    char *message; /* plain: handed over by the claim */
    uint32_t ticket;
};

static void sleep_once(void *p)
{
    struct sleeper *s = (struct sleeper *)p;
    s->ticket = sleep_until(&s->parker, WEIR_FOREVER);
    CHECK_STR(s->message, "handed over"); /* before anything else that orders: the claim must */
    CHECK(__atomic_load_n(&s->claimed, __ATOMIC_SEQ_CST) != 0);
}

TEST(late_wake_ups_are_harmless)
{
    struct sleeper s = {{WEIR__PARKER_WAITING}, 0, NULL, 0};
    sleeps = 0;
    struct test_team *team = test_start(1, sleep_once, &s, 0);
    EVENTUALLY(sleeps_begun() >= 1);
    /* A futex that stood at this address before is woken now: the sleeper looks, and sleeps again. */
    for (unsigned seen = sleeps_begun(); seen < 20; seen = sleeps_begun()) {
        weir__futex_wake(&s.parker.state, 1);
        sched_yield();
    }
    CHECK_INT(__atomic_load_n(&s.parker.state, __ATOMIC_SEQ_CST), WEIR__PARKER_SLEEPING);
    s.message = (char[]){"handed over"};
    __atomic_store_n(&s.claimed, 1, __ATOMIC_SEQ_CST);
    CHECK(claim(&s.parker, 11));
    weir__futex_wake(&s.parker.state, 1);
    test_join(team);
    CHECK_INT(s.ticket, 11);
    weir__futex_wake(&s.parker.state, 1); /* after the sleeper has gone */
}

/* Its address alone is used: the memory behind it may have become something else, or nothing. */
static void leave_the_frame(void *address)
{
    weir__parker p = {WEIR__PARKER_WAITING};
    CHECK(claim(&p, 5));
    CHECK_INT(sleep_until(&p, WEIR_FOREVER), 5);
    *(uintptr_t *)address = (uintptr_t)&p.state;
}

TEST(a_wake_up_may_come_when_the_sleepers_memory_is_gone)
{
    uintptr_t address = 0;
    struct test_team *team = test_start(1, leave_the_frame, &address, 0);
    test_join(team);
    errno = 0;
    weir__futex_wake((weir__atomic_u32 *)address, 1);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED && munmap(page, 4096) == 0);
    weir__futex_wake((weir__atomic_u32 *)page, 1);
    CHECK_INT(errno, 0);
}

/* ---- one sleeper with a deadline, two wakers: exactly one of the three has it ---- */

enum { WAKERS = 2 };

static struct {
    weir__parker parker;
    uint32_t round, answered; /* atomic: the round that runs; wakers that are through with it */
    bool won[WAKERS];
    long rounds;
    int next;
} race;

static void wake_each_round(void *unused)
{
    const int me = __atomic_fetch_add(&race.next, 1, __ATOMIC_SEQ_CST);
    (void)unused;
    for (uint32_t round = 1; round <= (uint32_t)race.rounds; round++) {
        while (__atomic_load_n(&race.round, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        for (uint32_t i = round % 64 * (uint32_t)(me + 1); i > 0; i--) /* early in some rounds, late in others */
            WEIR_CPU_PAUSE();
        race.won[me] = claim(&race.parker, WEIR__PARKER_FIRST_TICKET + (uint32_t)me);
        if (race.won[me])
            weir__futex_wake(&race.parker.state, 1);
        __atomic_add_fetch(&race.answered, 1, __ATOMIC_ACQ_REL);
    }
}

static void judge(uint32_t ticket)
{
    const int winners = race.won[0] + race.won[1];
    CHECK_INT(race.parker.state, ticket);
    if (ticket == WEIR__PARKER_CANCELLED)
        CHECK_INT(winners, 0);
    else if (CHECK(ticket - WEIR__PARKER_FIRST_TICKET < WAKERS))
        CHECK(winners == 1 && race.won[ticket - WEIR__PARKER_FIRST_TICKET]);
}

TEST(a_deadline_and_two_wakers_10000_times)
{
    memset(&race, 0, sizeof race);
    race.rounds = test_rounds(10000);
    struct test_team *team = test_start(WAKERS, wake_each_round, NULL, 0);
    for (uint32_t round = 1; round <= (uint32_t)race.rounds; round++) {
        race.parker.state = WEIR__PARKER_WAITING;
        race.answered = 0;
        __atomic_store_n(&race.round, round, __ATOMIC_RELEASE);
        const uint32_t ticket = sleep_until(&race.parker, weir_now() + WEIR_US(round % 8));
        while (__atomic_load_n(&race.answered, __ATOMIC_ACQUIRE) < WAKERS)
            sched_yield();
        judge(ticket);
    }
    test_join(team);
}

/* The same without a deadline in the kernel: the sleeper gives up by itself. */
TEST(a_cancel_and_two_wakers_10000_times)
{
    memset(&race, 0, sizeof race);
    race.rounds = test_rounds(10000);
    struct test_team *team = test_start(WAKERS, wake_each_round, NULL, 0);
    for (uint32_t round = 1; round <= (uint32_t)race.rounds; round++) {
        race.parker.state = WEIR__PARKER_WAITING;
        race.answered = 0;
        __atomic_store_n(&race.round, round, __ATOMIC_RELEASE);
        for (uint32_t i = round % 50 * 2; i > 0; i--)
            WEIR_CPU_PAUSE();
        const bool cancelled = weir__parker_cancel(&race.parker);
        while (__atomic_load_n(&race.answered, __ATOMIC_ACQUIRE) < WAKERS)
            sched_yield();
        CHECK(cancelled == (race.parker.state == WEIR__PARKER_CANCELLED));
        judge(sleep_until(&race.parker, WEIR_FOREVER));
    }
    test_join(team);
}
