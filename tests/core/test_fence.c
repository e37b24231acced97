/* tests/core/test_fence.c: the asymmetric pair, and what takes its place where the kernel refuses membarrier(2). */
#include "child.h"

TEST(the_answer_does_not_change)
{
    const bool first = weir__fence_asymmetric();
    for (int i = 0; i < 3; i++) {
        WEIR_FENCE_HEAVY();
        CHECK(weir__fence_asymmetric() == first);
    }
#ifdef WEIR_FENCE_SYMMETRIC
    CHECK(!first);
#elif defined(SYS_membarrier)
    const long offers = syscall(SYS_membarrier, 0 /* MEMBARRIER_CMD_QUERY */, 0, 0);
    CHECK(first == (offers > 0 && (offers & WEIR__MEMBARRIER_PRIVATE_EXPEDITED) != 0));
    CHECK_INT(weir__fence_state, first ? 1 : 2); /* the heavy fence goes by it */
#endif
}

TEST(queues_know_which_fence_they_need)
{
    weir__waitq q;
    weir__waitq_init(&q);
    CHECK(((q.attention & WEIR__ATTENTION_FENCE) == 0) == weir__fence_asymmetric());
    CHECK_INT(weir__waitq_sleepers(&q), 0);
}

/* ---- store, fence, load on both sides: "both read the old value" must not happen. A heavy fence that does nothing
 * is caught at once; one that is a fence of its own thread alone hardly ever, on x86. ---- */

struct litmus {
    struct {
        uint32_t word;
        char pad[WEIR_CACHE_PAD - 4];
    } x, y, arrived; /* how many of the two have reached the round's start or end */
    uint32_t saw_x, saw_y;
    uint32_t turn;
    long rounds;
};

/* Both leave at nearly one moment: they spin, for a yield would cost microseconds and the two would never meet; but
 * not for long, since there may be one core only. */
static void meet(struct litmus *l, uint32_t *passed)
{
    uint32_t spins = 0;
    *passed += 2;
    __atomic_add_fetch(&l->arrived.word, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&l->arrived.word, __ATOMIC_ACQUIRE) < *passed)
        if (++spins % 1024 == 0)
            sched_yield();
}

static void publish(struct litmus *l)
{
    weir__store_rlx(&l->x.word, 1);
    WEIR_FENCE_LIGHT();
    if (!weir__fence_asymmetric()) /* as a publisher does that finds WEIR__ATTENTION_FENCE set */
        WEIR_FENCE(__ATOMIC_SEQ_CST);
    l->saw_y = weir__load_rlx(&l->y.word);
}

static void go_to_sleep(struct litmus *l)
{
    weir__store_rlx(&l->y.word, 1);
    WEIR_FENCE_HEAVY();
    l->saw_x = weir__load_rlx(&l->x.word);
}

static void side(void *p)
{
    struct litmus *l = (struct litmus *)p;
    const bool publisher = __atomic_fetch_add(&l->turn, 1, __ATOMIC_ACQ_REL) == 0;
    uint32_t passed = 0;
    for (long i = 0; i < l->rounds; i++) {
        meet(l, &passed);
        if (publisher)
            publish(l);
        else
            go_to_sleep(l);
        meet(l, &passed);
        if (publisher) {
            CHECK(l->saw_x != 0 || l->saw_y != 0);
            l->x.word = l->y.word = 0;
        }
    }
}

TEST(one_of_the_two_sides_sees_the_other)
{
    static struct litmus l;
    l.rounds = test_rounds(200000);
    (void)weir__fence_asymmetric();
    test_threads(2, side, &l, 0);
}

/* ---- in a child process ---- */

static int pair_after_fork(void)
{
#if !defined(WEIR_FENCE_SYMMETRIC) && defined(SYS_membarrier)
    return syscall(SYS_membarrier, WEIR__MEMBARRIER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 0 : 1;
#else
    return 0;
#endif
}

/* The answer is kept in a variable, which a fork copies: so the registration must be copied as well. */
TEST(a_fork_keeps_the_pair)
{
    if (!weir__fence_asymmetric())
        SKIP("needs membarrier");
    CHECK_INT(in_child(pair_after_fork), 0);
}

#if !defined(WEIR_FENCE_SYMMETRIC) && defined(SYS_membarrier)
static bool forbid_membarrier(void)
{
    return forbid(SYS_membarrier) && syscall(SYS_membarrier, 0, 0, 0) == -1 && errno == ENOSYS;
}

static int without_membarrier(void)
{
    weir_spsc(int) ch;
    int v = 5;
    if (!forbid_membarrier())
        return NO_SECCOMP;
    weir__fence_state = 0; /* nobody has asked yet */
    errno = 42;
    if (weir__fence_asymmetric() || weir__fence_asymmetric())
        return 1;
    weir__fence_heavy();
    if (errno != 42)
        return 2;
    if (weir_chan_make(&ch, 2) != 0)
        return 3;
    if ((ch.core->chan.receivers.attention & WEIR__ATTENTION_FENCE) == 0 ||
        (ch.core->chan.senders.attention & WEIR__ATTENTION_FENCE) == 0)
        return 4;
    if (weir_send(NULL, ch, &v) != 0 || weir_recv_until(NULL, ch, &v, WEIR_FOREVER) != 0 || v != 5)
        return 5;
    if (weir_recv_until(NULL, ch, &v, weir_now() + WEIR_MS(2)) != ETIMEDOUT) /* parks, with the plain fence */
        return 6;
    if (weir__waitq_sleepers(&ch.core->chan.receivers) != 0)
        return 7;
    weir_chan_free(&ch);
    return FINE;
}

TEST(a_kernel_that_refuses_membarrier)
{
    const int rc = in_child(without_membarrier);
    if (rc == NO_SECCOMP)
        SKIP("needs seccomp");
    CHECK_INT(rc, FINE);
}

/* The kernel's permission goes away later, say by a sandbox that the program enters: the heavy fence still is one,
 * and says nothing in errno. (That a queue made before has no fence bit cannot be mended: core/fence.h.) */
static int membarrier_lost(void)
{
    (void)weir__fence_asymmetric();
    if (!forbid_membarrier())
        return NO_SECCOMP;
    errno = 42;
    weir__fence_heavy();
    return errno == 42 ? FINE : 1;
}

TEST(membarrier_refused_after_it_was_granted)
{
    const int rc = in_child(membarrier_lost);
    if (rc == NO_SECCOMP)
        SKIP("needs seccomp");
    CHECK_INT(rc, FINE);
}
#endif
