/* tests/ctx/test_ctx_wait.c: waits that a context ends. */
static void stop_here(const char *point);
#define WEIR_HOOK(point) stop_here(point)
#include "harness.h"

typedef weir_chan(int) chan;

static _Thread_local bool stop_at_parking;
static int parked, go_on; /* atomic */

static void stop_here(const char *point)
{
    if (!stop_at_parking || strcmp(point, "parking") != 0)
        return;
    stop_at_parking = false;
    __atomic_store_n(&parked, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&go_on, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
}

/* ---- callers that block ---- */

struct caller {
    weir_ctx *ctx;
    chan ch;
    bool sends, stops;
    int value, rc;
    int done; /* atomic */
};

static void call(void *p)
{
    struct caller *c = (struct caller *)p;
    stop_at_parking = c->stops;
    c->rc = c->sends ? weir_send(c->ctx, c->ch, &c->value) : weir_recv(c->ctx, c->ch, &c->value);
    __atomic_store_n(&c->done, 1, __ATOMIC_SEQ_CST);
}

static chan make(size_t capacity, weir_wait_strategy wait)
{
    chan ch;
    weir_chan_opt opt = {wait, NULL, NULL, 0};
    REQUIRE(weir_chan_make_opt(&ch, capacity, &opt) == 0);
    return ch;
}

static uint32_t receivers(chan ch)
{
    return weir__waitq_sleepers(&ch.core->chan.receivers);
}

static uint32_t senders(chan ch)
{
    return weir__waitq_sleepers(&ch.core->chan.senders);
}

/* Under the tree's lock, which the watchers are linked under. */
static bool watched(weir_ctx *ctx)
{
    weir__lock_take(&ctx->root->tree.lock);
    const bool some = ctx->watchers.first != NULL;
    weir__lock_release(&ctx->root->tree.lock);
    return some;
}

enum { RECEIVERS = 3, STRATEGIES = WEIR_WAIT_PARK + 1 };

/* Root, child and grandchild; the grandchild is what the callers were given. */
static weir_ctx tree[3];

static void make_tree(void)
{
    for (int i = 0; i < 3; i++)
        weir_ctx_init(&tree[i], i > 0 ? &tree[i - 1] : NULL);
}

static void free_tree(void)
{
    for (int i = 2; i >= 0; i--) {
        CHECK(!watched(&tree[i]));
        weir_ctx_free(&tree[i]);
    }
}

TEST(cancel_wakes_receivers_below)
{
    for (int wait = 0; wait < STRATEGIES; wait++) {
        struct caller c[RECEIVERS];
        chan ch = make(4, (weir_wait_strategy)wait);
        make_tree();
        for (int i = 0; i < RECEIVERS; i++)
            c[i] = (struct caller){&tree[2], ch, false, false, -1, -2, 0};
        struct test_team *team = test_start(RECEIVERS, call, c, sizeof c[0]);
        if (wait == WEIR_WAIT_ADAPTIVE || wait == WEIR_WAIT_PARK) {
            EVENTUALLY(receivers(ch) == RECEIVERS);
            EVENTUALLY(watched(&tree[2]));
        }
        weir_ctx_cancel(&tree[0], 5);
        test_join(team);
        for (int i = 0; i < RECEIVERS; i++)
            CHECK(c[i].rc == ECANCELED && c[i].value == -1);
        CHECK_INT(receivers(ch), 0);
        free_tree();
        weir_chan_free(&ch);
    }
}

TEST(cancel_wakes_senders_and_nothing_was_sent)
{
    struct caller c[RECEIVERS];
    int v = 1;
    chan ch = make(1, WEIR_WAIT_PARK);
    CHECK_INT(weir_send(NULL, ch, &v), 0);
    make_tree();
    for (int i = 0; i < RECEIVERS; i++)
        c[i] = (struct caller){&tree[2], ch, true, false, 7, -2, 0};
    struct test_team *team = test_start(RECEIVERS, call, c, sizeof c[0]);
    EVENTUALLY(senders(ch) == RECEIVERS);
    weir_ctx_cancel(&tree[1], 0);
    test_join(team);
    for (int i = 0; i < RECEIVERS; i++)
        CHECK_INT(c[i].rc, ECANCELED);
    CHECK_INT(senders(ch), 0);
    CHECK_INT(weir_ctx_err(&tree[0]), 0);
    CHECK(weir_recv(NULL, ch, &v) == 0 && v == 1);
    CHECK_INT(weir_try_recv(ch, &v), EAGAIN);
    free_tree();
    weir_chan_free(&ch);
}

TEST(a_sibling_sleeps_on)
{
    weir_ctx root, left, right;
    int v = 3;
    chan ch = make(1, WEIR_WAIT_PARK);
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&left, &root);
    weir_ctx_init(&right, &root);
    struct caller c[2] = {{&left, ch, false, false, -1, -2, 0}, {&right, ch, false, false, -1, -2, 0}};
    struct test_team *team = test_start(2, call, c, sizeof c[0]);
    EVENTUALLY(watched(&left) && watched(&right));
    weir_ctx_cancel(&left, 0);
    EVENTUALLY(__atomic_load_n(&c[0].done, __ATOMIC_SEQ_CST) != 0);
    CHECK_INT(__atomic_load_n(&c[1].done, __ATOMIC_SEQ_CST), 0);
    CHECK(watched(&right));
    CHECK_INT(receivers(ch), 1);
    CHECK_INT(weir_send(NULL, ch, &v), 0);
    test_join(team);
    CHECK_INT(c[0].rc, ECANCELED);
    CHECK(c[1].rc == 0 && c[1].value == 3);
    weir_ctx_free(&left);
    weir_ctx_free(&right);
    weir_ctx_free(&root);
    weir_chan_free(&ch);
}

TEST(cancel_wakes_those_on_a_null_channel)
{
    chan none = {NULL};
    make_tree();
    struct caller c[2] = {{&tree[2], none, false, false, -1, -2, 0}, {&tree[2], none, true, false, -1, -2, 0}};
    struct test_team *team = test_start(2, call, c, sizeof c[0]);
    EVENTUALLY(watched(&tree[2]));
    weir_ctx_cancel(&tree[0], 0);
    test_join(team);
    CHECK(c[0].rc == ECANCELED && c[1].rc == ECANCELED);
    free_tree();
}

/* ---- what happens between the last look at the ring and the sleep ---- */

enum { CANCEL, SEND, CLOSE, CANCEL_AND_SEND };

static void meanwhile(int what, int rc, bool with_ctx)
{
    int v = 4;
    chan ch = make(1, WEIR_WAIT_PARK);
    make_tree();
    struct caller c = {with_ctx ? &tree[2] : NULL, ch, false, true, -1, -2, 0};
    parked = go_on = 0;
    struct test_team *team = test_start(1, call, &c, 0);
    EVENTUALLY(__atomic_load_n(&parked, __ATOMIC_SEQ_CST) != 0);
    CHECK_INT(receivers(ch), 1);
    if (what == CANCEL || what == CANCEL_AND_SEND)
        weir_ctx_cancel(&tree[0], 0);
    if (what == SEND || what == CANCEL_AND_SEND)
        CHECK_INT(weir_send(NULL, ch, &v), 0);
    if (what == CLOSE)
        CHECK_INT(weir_close(ch), 0);
    __atomic_store_n(&go_on, 1, __ATOMIC_SEQ_CST);
    test_join(team);
    CHECK_INT(c.rc, rc);
    CHECK_INT(c.value, rc == 0 ? 4 : -1);
    CHECK_INT(receivers(ch), 0);
    free_tree();
    weir_chan_free(&ch);
}

TEST(between_the_last_look_and_the_sleep)
{
    meanwhile(CANCEL, ECANCELED, true);
    meanwhile(SEND, 0, true);
    meanwhile(SEND, 0, false);
    meanwhile(CLOSE, EPIPE, true);
    meanwhile(CLOSE, EPIPE, false);
    meanwhile(CANCEL_AND_SEND, 0, true); /* a value that is there comes first */
}

/* ---- deadlines ---- */

static int hook_ran;

static void run_hook(void *unused)
{
    (void)unused;
    hook_ran++;
}

TEST(deadlines_wake_in_time)
{
    for (int wait = 0; wait < STRATEGIES; wait++) {
        weir_ctx root, child;
        weir_ctx_hook hook;
        int v = -1;
        chan ch = make(1, (weir_wait_strategy)wait);
        hook_ran = 0;
        weir_ctx_init_timeout(&root, NULL, WEIR_MS(10));
        weir_ctx_init(&child, &root);
        weir_ctx_on_cancel(&child, &hook, run_hook, NULL);
        CHECK_INT(weir_recv(&child, ch, &v), ETIMEDOUT);
        CHECK(weir_now() >=
              weir_ctx_deadline(&root)); /* late only by scheduling: the watchdog would see a wait without end */
        CHECK_INT(weir__ctx_ended(&child), ETIMEDOUT); /* the wait that noticed has ended it, and has run its hooks */
        CHECK_INT(hook_ran, 1);
        CHECK_INT(weir_ctx_cause(&root), ETIMEDOUT);
        CHECK_INT(v, -1);
        weir_ctx_free(&child);
        weir_ctx_free(&root);
        weir_chan_free(&ch);
    }
}

TEST(the_nearer_of_two_deadlines)
{
    weir_ctx ctx;
    int v;
    chan ch = make(1, WEIR_WAIT_PARK), none = {NULL};
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(1000));
    const weir_ns t = weir_now() + WEIR_MS(5);
    CHECK_INT(weir_recv_until(&ctx, ch, &v, t), ETIMEDOUT);
    CHECK(weir_now() >= t);
    CHECK_INT(weir_recv_until(&ctx, none, &v, weir_now() + WEIR_MS(2)), ETIMEDOUT);
    CHECK_INT(weir_ctx_err(&ctx), 0); /* the call's deadline is not the context's */
    weir_ctx_free(&ctx);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(5));
    CHECK_INT(weir_recv_until(&ctx, ch, &v, weir_now() + WEIR_SEC(1000)), ETIMEDOUT);
    CHECK_INT(weir__ctx_ended(&ctx), ETIMEDOUT);
    weir_ctx_free(&ctx);
    weir_chan_free(&ch);
}

/* A cancel of the parent comes before the child's far deadline: what is said is what came first. */
TEST(cancelled_before_the_deadline)
{
    weir_ctx root, child;
    chan ch = make(1, WEIR_WAIT_PARK);
    weir_ctx_init(&root, NULL);
    weir_ctx_init_timeout(&child, &root, WEIR_SEC(1000));
    struct caller c = {&child, ch, false, false, -1, -2, 0};
    struct test_team *team = test_start(1, call, &c, 0);
    EVENTUALLY(watched(&child));
    weir_ctx_cancel(&root, 6);
    test_join(team);
    CHECK_INT(c.rc, ECANCELED);
    CHECK_INT(weir_ctx_cause(&child), 6);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
    weir_chan_free(&ch);
}

/* ---- an ended context ---- */

TEST(what_is_there_comes_before_the_context)
{
    weir_ctx ended[2];
    int v = 1;
    weir_ctx_init(&ended[0], NULL);
    weir_ctx_cancel(&ended[0], 0);
    weir_ctx_init_deadline(&ended[1], NULL, 0);
    for (int i = 0; i < 2; i++) {
        const int err = i == 0 ? ECANCELED : ETIMEDOUT;
        chan ch = make(2, WEIR_WAIT_ADAPTIVE);
        CHECK_INT(weir_recv(&ended[i], ch, &v), err);
        CHECK_INT(weir_send(&ended[i], ch, &v), 0);
        CHECK_INT(weir_send(&ended[i], ch, &v), 0);
        CHECK_INT(weir_send(&ended[i], ch, &v), err);
        CHECK_INT(weir_len(ch), 2);
        CHECK_INT(weir_recv(&ended[i], ch, &v), 0);
        CHECK_INT(weir_close(ch), 0);
        CHECK_INT(weir_recv(&ended[i], ch, &v), 0);
        CHECK_INT(weir_recv(&ended[i], ch, &v), EPIPE); /* so is the channel's end */
        CHECK_INT(weir_send(&ended[i], ch, &v), EPIPE);
        weir_chan_free(&ch);
        weir_ctx_free(&ended[i]);
    }
}

/* ---- cancelled and sent at once: the value is received, or it is still there ---- */

static struct {
    weir_ctx ctx;
    chan ch;
    uint32_t begun, ended; /* atomic */
    long rounds;
    int rc, value;
} race;

static void receive_each_round(void *unused)
{
    (void)unused;
    for (uint32_t round = 1; round <= (uint32_t)race.rounds; round++) {
        while (__atomic_load_n(&race.begun, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        race.rc = weir_recv(&race.ctx, race.ch, &race.value);
        __atomic_store_n(&race.ended, round, __ATOMIC_RELEASE);
    }
}

TEST(cancelled_and_sent_at_once_10000_times)
{
    memset(&race, 0, sizeof race);
    race.rounds = test_rounds(10000);
    race.ch = make(1, WEIR_WAIT_PARK);
    struct test_team *team = test_start(1, receive_each_round, NULL, 0);
    for (uint32_t round = 1; round <= (uint32_t)race.rounds; round++) {
        int v = (int)round;
        weir_ctx_init(&race.ctx, NULL);
        race.value = -1;
        __atomic_store_n(&race.begun, round, __ATOMIC_RELEASE);
        if (round % 3 == 0)
            while (receivers(race.ch) == 0) /* it parks: nothing else can end its wait */
                sched_yield();
        if (round % 2 == 0)
            weir_ctx_cancel(&race.ctx, 0);
        CHECK_INT(weir_send(NULL, race.ch, &v), 0);
        weir_ctx_cancel(&race.ctx, 0);
        while (__atomic_load_n(&race.ended, __ATOMIC_ACQUIRE) < round)
            sched_yield();
        if (race.rc != 0) {
            CHECK_INT(race.rc, ECANCELED);
            CHECK_INT(race.value, -1);
            CHECK_INT(weir_try_recv(race.ch, &race.value), 0);
        }
        CHECK_INT(race.value, round);
        CHECK_INT(weir_len(race.ch), 0);
        CHECK_INT(receivers(race.ch), 0);
        weir_ctx_free(&race.ctx);
    }
    test_join(team);
    weir_chan_free(&race.ch);
}
