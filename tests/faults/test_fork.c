/* tests/faults/test_fork.c: a fork while other threads are in the middle of calls. In the child each call on what the parent has made comes back at once,
 * with ENOTRECOVERABLE where it would have to wait or lock; what the child makes itself works; the parent notices nothing.
 */
#include "../chan/queues.h"
#include "../core/child.h"

typedef weir_chan(int) int_chan;

enum { SECONDS = 20 }; /* for a child that hangs */

static struct {
    int_chan claimed; /* a sender stands between claiming a place and publishing it */
    int_chan empty, full, meeting, closing;
    weir_spsc(int) line, parting; /* parting: who closes it stands in the middle */
    weir_timer timer;
    int standing, go_on; /* atomic */
} all;

static void stop_there(const char *point)
{
    if (strcmp(point, "send claimed") != 0 && strcmp(point, "closing") != 0)
        return;
    __atomic_add_fetch(&all.standing, 1, __ATOMIC_RELEASE);
    while (!get(&all.go_on))
        sched_yield();
}

static void claims(void *unused)
{
    int v = 1;
    (void)unused;
    at_point = stop_there;
    CHECK_INT(weir_send(NULL, all.claimed, &v), 0);
    at_point = NULL;
}

static void closes(void *unused)
{
    (void)unused;
    at_point = stop_there;
    CHECK_INT(weir_close(all.parting), 0);
    at_point = NULL;
}

static void receives(void *unused)
{
    int v;
    (void)unused;
    CHECK_INT(weir_recv(NULL, all.empty, &v), 0);
    CHECK_INT(v, 5);
}

static void sends(void *unused)
{
    int v = 7;
    (void)unused;
    CHECK_INT(weir_send(NULL, all.full, &v), 0);
}

static void selects(void *unused)
{
    int v;
    weir_ns when;
    (void)unused;
    weir_case cases[] = {WEIR_RECV(all.meeting, &v), WEIR_RECV(all.timer, &when)};
    CHECK_INT(weir_select(NULL, cases, 2), 0);
    CHECK_INT(v, 9);
}

static int own_thread_got;
static void takes_own(void *ch)
{
    (void)weir_recv(NULL, *(int_chan *)ch, &own_thread_got);
}

/* The number of the first line that does not hold. */
#define EXPECT(expr)                                                                                                   \
    do {                                                                                                               \
        if (!(expr))                                                                                                   \
            return __LINE__ % 64 + 100;                                                                                \
    } while (0)

static int child(void)
{
    int v = 3, *slot;
    weir_ns when;
    size_t count;
    int_chan own;
    alarm(SECONDS);
    /* The lock of a queue may have been held, too. */
    weir__store_rlx(&all.empty.core->chan.receivers.lock, 1);
    EXPECT(weir_recv(NULL, all.claimed, &v) == ENOTRECOVERABLE);
    EXPECT(weir_try_recv(all.claimed, &v) == ENOTRECOVERABLE);
    EXPECT(weir_recv(NULL, all.empty, &v) == ENOTRECOVERABLE);
    EXPECT(weir_recv_until(NULL, all.empty, &v, weir_now() + 1) == ENOTRECOVERABLE);
    EXPECT(weir_send(NULL, all.empty, &v) == 0); /* into the copy; who seems to wait for it is not woken */
    EXPECT(weir_recv(NULL, all.full, &v) == 0);  /* what is in the copy; the sender that waits is not woken */
    EXPECT(weir_send(NULL, all.full, &v) == 0);
    EXPECT(weir_send(NULL, all.full, &v) == ENOTRECOVERABLE);
    EXPECT(weir_reserve(NULL, all.full, &slot) == ENOTRECOVERABLE);
    if (weir__ring_of(WEIR__MPMC) != WEIR_RING_CK) { /* whose producers wait for each other inside of ck_ring */
        EXPECT(weir_send_latest(all.claimed, &v, &count) == 0); /* the one free place of the copy */
        EXPECT(weir_send_latest(all.claimed, &v, &count) == ENOTRECOVERABLE && count == 0);
    }
    EXPECT(weir_recv_n(NULL, all.claimed, &v, 1, &count) == ENOTRECOVERABLE && count == 0);
    EXPECT(weir_send(NULL, all.meeting, &v) == ENOTRECOVERABLE);
    EXPECT(weir_try_send(all.meeting, &v) == ENOTRECOVERABLE);
    EXPECT(weir_recv(NULL, all.line, &v) == ENOTRECOVERABLE);
    EXPECT(weir_send(NULL, all.parting, &v) == ENOTRECOVERABLE); /* whether it would count is never known here */
    EXPECT(weir_close(all.closing) == ENOTRECOVERABLE);
    EXPECT(weir_close(all.meeting) == ENOTRECOVERABLE);
    EXPECT(weir_recv(NULL, all.timer, &when) == ENOTRECOVERABLE);
    EXPECT(weir_timer_stop(all.timer) == ENOTRECOVERABLE);
    EXPECT(weir_timer_reset(all.timer, 1) == ENOTRECOVERABLE);
    weir_case cases[] = {WEIR_RECV(all.empty, &v), WEIR_DONE(NULL)};
    EXPECT(weir_select(NULL, cases, 2) == -ENOTRECOVERABLE);
    EXPECT(weir_try_select(cases, 2) == -ENOTRECOVERABLE);
    EXPECT(weir_chan_make(&own, 1) == 0);
    if (!TEST_SANITIZED) { /* thread sanitizer has no threads in a child of threads */
        struct test_team *team = test_start(1, takes_own, &own, 0);
        EXPECT(weir_send(NULL, own, &v) == 0);
        test_join(team);
        EXPECT(own_thread_got == v);
    }
    EXPECT(weir_close(own) == 0);
    weir_chan_free(&own);
    weir_chan_free(&all.empty);
    return FINE;
}

/* The parent's channels are in another state by now: the child of a child is told the same. */
static int grandchild(void)
{
    int v;
    return weir_recv(NULL, all.empty, &v) == ENOTRECOVERABLE ? FINE : 1;
}

static int child_with_child(void)
{
    alarm(SECONDS);
    return in_child(grandchild);
}

TEST(calls_of_a_child_on_what_its_parent_has_made_come_back)
{
    int v = 5;
    struct test_team *teams[5];
    REQUIRE(weir_chan_make(&all.claimed, 2) == 0 && weir_chan_make(&all.empty, 1) == 0 &&
            weir_chan_make(&all.full, 1) == 0);
    REQUIRE(weir_chan_make(&all.meeting, 0) == 0 && weir_chan_make(&all.closing, 1) == 0);
    REQUIRE(weir_chan_make(&all.line, 1) == 0 && weir_chan_make(&all.parting, 1) == 0 &&
            weir_after(&all.timer, WEIR_SEC(1000)) == 0);
    CHECK_INT(weir_send(NULL, all.full, &v), 0);
    teams[0] = test_start(1, claims, NULL, 0);
    teams[1] = test_start(1, receives, NULL, 0);
    teams[2] = test_start(1, sends, NULL, 0);
    teams[3] = test_start(1, selects, NULL, 0);
    teams[4] = test_start(1, closes, NULL, 0);
    EVENTUALLY(get(&all.standing) == 2);
    EVENTUALLY(waiting_receivers(all.empty) == 1 && waiting_senders(all.full) == 1 &&
               waiting_receivers(all.meeting) == 1);
    CHECK_INT(in_child(child), FINE);
    CHECK_INT(in_child(child_with_child), FINE);
    /* The parent goes on. */
    set(&all.go_on, 1);
    CHECK_INT(weir_send(NULL, all.empty, &v), 0);
    CHECK_INT(weir_recv(NULL, all.full, &v), 0);
    CHECK_INT(weir_recv(NULL, all.full, &v), 0);
    CHECK_INT(v, 7);
    CHECK_INT(weir_recv(NULL, all.claimed, &v), 0);
    v = 9;
    CHECK_INT(weir_send(NULL, all.meeting, &v), 0);
    for (int i = 0; i < 5; i++)
        test_join(teams[i]);
    CHECK_INT(weir_send(NULL, all.parting, &v), EPIPE);
    weir_chan_free(&all.claimed);
    weir_chan_free(&all.empty);
    weir_chan_free(&all.full);
    weir_chan_free(&all.meeting);
    weir_chan_free(&all.closing);
    weir_chan_free(&all.line);
    weir_chan_free(&all.parting);
    weir_chan_free(&all.timer);
}
