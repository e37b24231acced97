/* tests/sync/test_sem.c: units, order, admission, resizing, and the races between a grant and a wait that gives up. */
#include "../core/before.h"

#include "harness.h"
#include "../sync/printed.h"

TEST(units_are_taken_and_given_back)
{
    static weir_sem sem = WEIR_SEM_INIT(3);
    CHECK_INT(weir_sem_size(&sem), 3);
    CHECK_INT(weir_sem_try_acquire(&sem, 2), 0);
    CHECK_INT(weir_sem_available(&sem), 1);
    CHECK_INT(weir_sem_try_acquire(&sem, 2), EAGAIN);
    CHECK_INT(weir_sem_acquire(NULL, &sem, 1), 0);
    CHECK_INT(weir_sem_try_acquire(&sem, 1), EAGAIN);
    CHECK_INT(weir_sem_acquire_until(NULL, &sem, 1, weir_now() + 1000), ETIMEDOUT);
    CHECK_INT(weir_sem_release(&sem, 3), 0);
    CHECK_INT(weir_sem_try_acquire(&sem, 3), 0);
    CHECK_INT(weir_sem_release(&sem, 3), 0);
    CHECK_INT(weir_sem_acquire(NULL, &sem, 0), 0);
    CHECK_INT(weir_sem_release(&sem, 0), 0);
}

TEST(misuse_is_told_and_changes_nothing)
{
    weir_sem sem;
    CHECK_INT(weir_sem_init(&sem, -1), EINVAL);
    CHECK_INT(weir_sem_init(&sem, (int64_t)WEIR_SEM_MAX + 1), EINVAL);
    CHECK_INT(weir_sem_init(&sem, WEIR_SEM_MAX), 0);
    CHECK_INT(weir_sem_try_acquire(&sem, WEIR_SEM_MAX), 0);
    CHECK_INT(weir_sem_release(&sem, WEIR_SEM_MAX), 0);
    CHECK_INT(weir_sem_init(&sem, 2), 0);
    CHECK_INT(weir_sem_acquire(NULL, &sem, 3), EINVAL); /* at once: it could wait for ever */
    CHECK_INT(weir_sem_try_acquire(&sem, 3), EINVAL);
    CHECK_INT(weir_sem_acquire(NULL, &sem, -1), EINVAL);
    CHECK_INT(weir_sem_release(&sem, 1), EINVAL);
    CHECK_INT(weir_sem_release(&sem, -1), EINVAL);
    CHECK_INT(weir_sem_release(&sem, INT64_MAX), EINVAL);
    CHECK_INT(weir_sem_resize(&sem, -1), EINVAL);
    CHECK_INT(weir_sem_resize(&sem, (int64_t)WEIR_SEM_MAX + 1), EINVAL);
    CHECK_INT(weir_sem_available(&sem), 2);
}

/* What an acquire calls once it has seen that it has to wait. */
TEST(a_resize_while_an_acquire_makes_up_its_mind_is_seen)
{
    weir_sem sem = WEIR_SEM_INIT(3);
    CHECK_INT(weir_sem_resize(&sem, 2), 0);
    CHECK_INT(weir__sem_acquire_slow(NULL, &sem, 3, WEIR_FOREVER), EINVAL);
    CHECK_INT(weir_sem_try_acquire(&sem, 2), 0);
    CHECK_INT(weir_sem_release(&sem, 2), 0);
}

static weir_sem freed = WEIR_SEM_INIT(2);
static void another_releases(void *word)
{
    (void)word;
    CHECK_INT(weir_sem_release(&freed, 2), 0);
}

/* Between its look and its lock. */
TEST(who_finds_units_freed_meanwhile_does_not_lie_down)
{
    CHECK_INT(weir_sem_try_acquire(&freed, 2), 0);
    before_word = &freed.line.lock;
    before_swap = another_releases;
    CHECK_INT(weir_sem_acquire_until(NULL, &freed, 1, 0), 0); /* a deadline that has passed: a wait would end with it */
    CHECK(before_swap == NULL);
    CHECK_INT(weir_sem_available(&freed), 1);
}

/* What a release calls once it has seen that somebody waits. */
TEST(a_release_that_another_is_faster_than_is_refused)
{
    weir_sem sem = WEIR_SEM_INIT(3);
    CHECK_INT(weir_sem_try_acquire(&sem, 2), 0);
    CHECK_INT(weir__sem_release_slow(&sem, 3), EINVAL);
    CHECK_INT(weir__sem_release_slow(&sem, 2), 0);
    CHECK_INT(weir__sem_release_slow(&sem, 1), EINVAL);
    CHECK_INT(weir_sem_available(&sem), 3);
}

TEST(an_ended_context_gets_nothing_even_if_units_are_free)
{
    weir_sem sem = WEIR_SEM_INIT(1);
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(weir_sem_acquire(&ctx, &sem, 1), 0);
    CHECK_INT(weir_sem_release(&sem, 1), 0);
    weir_ctx_cancel(&ctx, 0);
    CHECK_INT(weir_sem_acquire(&ctx, &sem, 1), ECANCELED);
    CHECK_INT(weir_sem_available(&sem), 1);
    weir_ctx_free(&ctx);
    weir_ctx_init_timeout(&ctx, NULL, 0);
    CHECK_INT(weir_sem_acquire(&ctx, &sem, 1), ETIMEDOUT);
    weir_ctx_free(&ctx);
}

/* ---- threads that wait: started one by one, each seen in the line before the next ---- */

struct asker {
    weir_sem *sem;
    weir_ctx *ctx;
    int64_t n;
    int rc, order; /* order: when it was served, from 1; 0: not yet. Atomic */
    struct test_team *team;
};
static int served; /* atomic */

static void ask(void *arg)
{
    struct asker *a = (struct asker *)arg;
    a->rc = weir_sem_acquire(a->ctx, a->sem, a->n);
    __atomic_store_n(&a->order, __atomic_add_fetch(&served, 1, __ATOMIC_SEQ_CST), __ATOMIC_RELEASE);
}

static int waiting(weir_sem *sem)
{
    int n = 0;
    weir__lock_take(&sem->line.lock);
    for (weir__waiter *w = sem->line.list.first; w != NULL; w = w->next)
        n++;
    weir__lock_release(&sem->line.lock);
    return n;
}

static void start(struct asker *a, weir_sem *sem, weir_ctx *ctx, int64_t n)
{
    const int before = waiting(sem);
    a->sem = sem;
    a->ctx = ctx;
    a->n = n;
    a->rc = -1;
    a->order = 0;
    a->team = test_start(1, ask, a, 0);
    EVENTUALLY(waiting(sem) == before + 1);
}

static int order_of(struct asker *a)
{
    return __atomic_load_n(&a->order, __ATOMIC_ACQUIRE);
}

TEST(a_large_request_is_not_overtaken)
{
    weir_sem sem = WEIR_SEM_INIT(3);
    struct asker large, small[3];
    served = 0;
    CHECK_INT(weir_sem_acquire(NULL, &sem, 3), 0);
    start(&large, &sem, NULL, 3);
    for (int i = 0; i < 3; i++)
        start(&small[i], &sem, NULL, 1);
    CHECK_INT(weir_sem_release(&sem, 2), 0);
    CHECK_INT(weir_sem_available(&sem), 2); /* two small ones would fit */
    CHECK_INT(waiting(&sem), 4);
    CHECK_INT(weir_sem_try_acquire(&sem, 1), EAGAIN); /* nor does a try overtake */
    CHECK_INT(weir_sem_release(&sem, 1), 0);
    EVENTUALLY(order_of(&large) == 1);
    CHECK_INT(waiting(&sem), 3);
    CHECK_INT(weir_sem_release(&sem, 3), 0);
    test_join(large.team);
    for (int i = 0; i < 3; i++)
        test_join(small[i].team);
    CHECK_INT(served, 4);
    CHECK_INT(weir_sem_release(&sem, 3), 0);
    CHECK_INT(weir_sem_available(&sem), 3);
}

TEST(a_head_that_gives_up_lets_those_behind_it_go)
{
    weir_sem sem = WEIR_SEM_INIT(3);
    weir_ctx ctx;
    struct asker large, small[2];
    served = 0;
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(weir_sem_acquire(NULL, &sem, 1), 0);
    start(&large, &sem, &ctx, 3);
    start(&small[0], &sem, NULL, 1);
    start(&small[1], &sem, NULL, 1);
    weir_ctx_cancel(&ctx, 0);
    EVENTUALLY(order_of(&small[0]) && order_of(&small[1])); /* nobody releases anything */
    test_join(large.team);
    CHECK_INT(large.rc, ECANCELED);
    for (int i = 0; i < 2; i++) {
        test_join(small[i].team);
        CHECK_INT(small[i].rc, 0);
    }
    CHECK_INT(weir_sem_available(&sem), 0);
    CHECK_INT(weir_sem_release(&sem, 3), 0);
    CHECK_INT(weir_sem_try_acquire(&sem, 1), 0); /* the mark of the line is gone with it */
    weir_ctx_free(&ctx);
}

TEST(growing_serves_whoever_now_fits)
{
    weir_sem sem = WEIR_SEM_INIT(2);
    struct asker a, b;
    CHECK_INT(weir_sem_acquire(NULL, &sem, 2), 0);
    start(&a, &sem, NULL, 2);
    start(&b, &sem, NULL, 1);
    CHECK_INT(weir_sem_resize(&sem, 4), 0);
    test_join(a.team);
    CHECK_INT(a.rc, 0);
    CHECK_INT(waiting(&sem), 1);
    CHECK_INT(weir_sem_resize(&sem, 5), 0);
    test_join(b.team);
    CHECK_INT(weir_sem_available(&sem), 0);
    CHECK_INT(weir_sem_release(&sem, 5), 0);
    CHECK_INT(weir_sem_release(&sem, 1), EINVAL);
}

TEST(shrinking_takes_effect_as_holders_release)
{
    weir_sem sem = WEIR_SEM_INIT(4);
    struct asker a, too_large, b;
    CHECK_INT(weir_sem_acquire(NULL, &sem, 4), 0);
    start(&a, &sem, NULL, 1);
    start(&too_large, &sem, NULL, 3);
    start(&b, &sem, NULL, 2);
    CHECK_INT(weir_sem_resize(&sem, 2), 0);
    CHECK_INT(weir_sem_size(&sem), 2);
    CHECK_INT(weir_sem_available(&sem), -2);
    test_join(too_large.team);
    CHECK_INT(too_large.rc, EINVAL); /* it can never be served any more */
    CHECK_INT(weir_sem_release(&sem, 2), 0);
    CHECK_INT(weir_sem_available(&sem), 0);
    CHECK_INT(waiting(&sem), 2);
    CHECK_INT(weir_sem_release(&sem, 1), 0);
    test_join(a.team);
    CHECK_INT(weir_sem_release(&sem, 1), 0);
    CHECK_INT(waiting(&sem), 1);
    CHECK_INT(weir_sem_release(&sem, 1), 0);
    test_join(b.team);
    CHECK_INT(weir_sem_release(&sem, 2), 0);
    CHECK_INT(weir_sem_release(&sem, 1), EINVAL);
    CHECK_INT(weir_sem_available(&sem), 2);
}

TEST(a_semaphore_of_none_can_grow)
{
    weir_sem sem = WEIR_SEM_INIT(0);
    CHECK_INT(weir_sem_try_acquire(&sem, 1), EINVAL);
    CHECK_INT(weir_sem_resize(&sem, 1), 0);
    CHECK_INT(weir_sem_try_acquire(&sem, 1), 0);
}

/* ---- forty that one release lets go: more than are woken in one go ---- */

TEST(one_release_serves_many)
{
    enum { MANY = 40 };
    weir_sem sem = WEIR_SEM_INIT(MANY);
    static struct asker askers[MANY];
    served = 0;
    CHECK_INT(weir_sem_acquire(NULL, &sem, MANY), 0);
    for (int i = 0; i < MANY; i++)
        start(&askers[i], &sem, NULL, 1);
    CHECK_INT(weir_sem_release(&sem, MANY), 0);
    for (int i = 0; i < MANY; i++)
        test_join(askers[i].team);
    CHECK_INT(served, MANY);
    CHECK_INT(weir_sem_available(&sem), 0);
}

/* ---- everything at once ---- */

struct user {
    weir_sem *sem;
    int number;
    long rounds, held, gave_up;
};
static int64_t in_use; /* atomic */

static void user_main(void *arg)
{
    struct user *u = (struct user *)arg;
    unsigned random = (unsigned)u->number * 7919 + 1;
    for (long i = 0; i < u->rounds; i++) {
        weir_ctx ctx;
        random = random * 1664525 + 1013904223;
        const int64_t n = 1 + (random >> 16) % 3;
        int rc;
        switch ((random >> 24) % 4) {
        case 0: rc = weir_sem_try_acquire(u->sem, n); break;
        case 1: rc = weir_sem_acquire_until(NULL, u->sem, n, weir_now() + (random >> 8) % 30000); break;
        case 2:
            weir_ctx_init_timeout(&ctx, NULL, (random >> 8) % 30000);
            rc = weir_sem_acquire(&ctx, u->sem, n);
            weir_ctx_free(&ctx);
            break;
        default: rc = weir_sem_acquire(NULL, u->sem, n);
        }
        if (rc != 0) {
            u->gave_up++;
            CHECK(rc == EAGAIN || rc == ETIMEDOUT);
            continue;
        }
        CHECK(__atomic_add_fetch(&in_use, n, __ATOMIC_SEQ_CST) <= 4);
        if (i % 64 == 0)
            sched_yield();
        __atomic_sub_fetch(&in_use, n, __ATOMIC_SEQ_CST);
        CHECK_INT(weir_sem_release(u->sem, n), 0);
        u->held++;
    }
}

static void run_users(int threads)
{
    weir_sem sem = WEIR_SEM_INIT(4);
    struct user users[TEST_WIDEST];
    long held = 0;
    in_use = 0;
    memset(users, 0, sizeof users);
    for (int i = 0; i < threads; i++) {
        users[i].sem = &sem;
        users[i].number = i;
        users[i].rounds = test_rounds(40000) / threads;
    }
    test_threads(threads, user_main, users, sizeof users[0]);
    for (int i = 0; i < threads; i++)
        held += users[i].held;
    CHECK(held > 0);
    CHECK_INT(weir_sem_available(&sem), 4);
    CHECK_INT(waiting(&sem), 0);
    CHECK_INT(weir_sem_try_acquire(&sem, 4), 0);
}

TEST(never_more_than_the_size_and_no_unit_is_lost)
{
    run_users(2);
    run_users(test_wide(8));
}

/* ---- a cancellation in the very moment of the grant ---- */

static void cancel_it(void *arg)
{
    weir_ctx_cancel((weir_ctx *)arg, 0);
}

TEST(a_grant_that_races_with_a_cancellation_is_given_back)
{
    for (long i = test_rounds(1000); i > 0; i--) {
        weir_sem sem = WEIR_SEM_INIT(1);
        weir_ctx ctx;
        struct asker a;
        weir_ctx_init(&ctx, NULL);
        CHECK_INT(weir_sem_acquire(NULL, &sem, 1), 0);
        start(&a, &sem, &ctx, 1);
        struct test_team *team = test_start(1, cancel_it, &ctx, 0);
        CHECK_INT(weir_sem_release(&sem, 1), 0);
        test_join(team);
        test_join(a.team);
        CHECK(a.rc == 0 || a.rc == ECANCELED);
        CHECK_INT(weir_sem_available(&sem), a.rc == 0 ? 0 : 1);
        weir_ctx_free(&ctx);
    }
}

/* Granted and ended, for certain: the grant comes first, and the context has ended before the thread looks. */
static void release_it(void *sem)
{
    (void)weir_sem_release((weir_sem *)sem, 1);
}

TEST(a_context_that_ends_after_the_grant_gives_the_unit_back)
{
    weir_sem sem = WEIR_SEM_INIT(1);
    weir_ctx ctx;
    weir_ctx_hook hook;
    struct asker a;
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(weir_ctx_on_cancel(&ctx, &hook, release_it, &sem), 0);
    CHECK_INT(weir_sem_acquire(NULL, &sem, 1), 0);
    start(&a, &sem, &ctx, 1);
    weir_ctx_cancel(&ctx, 0); /* ends it, wakes it, and then releases: granted or not, it must not hold the unit */
    test_join(a.team);
    CHECK_INT(a.rc, ECANCELED);
    CHECK_INT(weir_sem_available(&sem), 1);
    weir_ctx_free(&ctx);
}

static int wants_one(weir_ctx *ctx, void *sem)
{
    return weir_sem_acquire(ctx, (weir_sem *)sem, 1);
}
TEST(the_roll_says_who_waits_for_units)
{
    static weir_sem none = WEIR_SEM_INIT(1);
    CHECK_INT(weir_sem_try_acquire(&none, 1), 0);
    printed_while(wants_one, &none, " in semaphore for ");
}
