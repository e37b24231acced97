/* tests/chan/test_inplace.c: reserve and commit, peek and release. */
#include "harness.h"
#include "kinds.h"

/* Receives want, one way or the other. */
static void expect_value(const struct kind *k, void *ch, uint64_t want, bool in_place)
{
    uint64_t v = 0, *slot = NULL;
    if (!in_place || !can_peek(k)) {
        CHECK_INT(k->recv(NULL, ch, &v), 0);
        CHECK_INT(v, want);
        return;
    }
    REQUIRE(k->peek(NULL, ch, &slot) == 0);
    CHECK_INT(*slot, want);
    CHECK_INT(k->release(ch, slot), 0);
}

static uint64_t *reserved(const struct kind *k, void *ch)
{
    uint64_t *slot = NULL;
    REQUIRE(k->reserve(NULL, ch, &slot) == 0);
    REQUIRE(slot != NULL);
    return slot;
}

TEST_EACH_KIND(in_place_and_by_copy_share_one_order)
{
    void *ch = open_channel(k, 3, WEIR_WAIT_ADAPTIVE);
    uint64_t in = 0, out = 0;
    for (unsigned i = 0; i < 1000; i++) {
        for (unsigned n = 0; n < 1 + i % 3; n++, in++) {
            if ((i + n) % 4 == 0) {
                CHECK_INT(k->send(NULL, ch, &in), 0);
                continue;
            }
            uint64_t *slot = reserved(k, ch);
            write_in_place(slot, in);
            CHECK_INT(k->commit(ch, slot), 0);
        }
        CHECK_INT(k->len(ch), in - out);
        for (; out < in; out++)
            expect_value(k, ch, out, (i + out) % 3 != 0);
    }
    CHECK_INT(k->try_recv(ch, NULL), EAGAIN);
    k->free(&ch);
}

TEST_MANY_RECEIVERS(on_ck_several_receivers_cannot_read_in_place)
{
    void *ch = open_channel(k, 3, WEIR_WAIT_ADAPTIVE);
    uint64_t *slot = NULL;
    CHECK_INT(fill(k, ch, 0), 3);
    CHECK_INT(k->peek(NULL, ch, &slot), on_ck(k) ? ENOTSUP : 0);
    if (slot != NULL)
        CHECK_INT(k->release(ch, slot), 0);
    CHECK_INT(k->len(ch), on_ck(k) ? 3 : 2);
    k->free(&ch);
}

/* Where each fails: what the call says, and that nothing has changed. */
TEST_EACH_KIND(in_place_fails_as_copying_does)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_ADAPTIVE);
    weir_ctx ended, late;
    uint64_t *slot = NULL;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    weir_ctx_init_timeout(&late, NULL, WEIR_MS(2));
    if (can_peek(k))
        CHECK_INT(k->peek(&ended, ch, &slot), ECANCELED);
    CHECK_INT(k->reserve(&ended, ch, &slot), 0); /* there is room */
    write_in_place(slot, 7);
    CHECK_INT(k->commit(ch, slot), 0);
    CHECK_INT(k->reserve(&ended, ch, &slot), ECANCELED);
    CHECK_INT(k->reserve(&late, ch, &slot), ETIMEDOUT);
    CHECK(weir_now() >= weir_ctx_deadline(&late));
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->reserve(NULL, ch, &slot), EPIPE);
    expect_value(k, ch, 7, true);
    if (can_peek(k))
        CHECK_INT(k->peek(NULL, ch, &slot), EPIPE);
    CHECK_INT(k->reserve(NULL, ch, &slot), EPIPE);
    weir_ctx_free(&late);
    weir_ctx_free(&ended);
    k->free(&ch);
}

/* ---- several reservations ---- */

struct committer {
    const struct kind *k;
    void *ch;
    uint64_t *slot;
    int done; /* atomic */
};

static void commit_it(void *p)
{
    struct committer *c = (struct committer *)p;
    CHECK_INT(c->k->commit(c->ch, c->slot), 0);
    store_int(&c->done, 1);
}

/* Three places, committed in the order 2, 0, 1; the order of the values is that of the reservations. On ck a commit waits for
 * earlier ones, so there each is a thread of its own. */
TEST_MANY_SENDERS(the_order_is_that_of_the_reservations)
{
    static const int order[3] = {2, 0, 1};
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct committer c[3];
    struct test_team *team[3];
    const uint64_t last = 3;
    for (uint64_t i = 0; i < 3; i++) {
        struct committer one = {k, ch, reserved(k, ch), 0};
        c[i] = one;
        *c[i].slot = i;
    }
    CHECK_INT(k->len(ch), 3);
    for (int i = 0; i < 3; i++) {
        team[i] = test_start(1, commit_it, &c[order[i]], 0);
        if (!on_ck(k))
            EVENTUALLY(load_int(&c[order[i]].done));
        else if (order[i] == 2)
            let_others_run();
    }
    for (int i = 0; i < 3; i++)
        test_join(team[i]);
    CHECK_INT(k->try_send(ch, &last), 0);
    CHECK_INT(k->try_send(ch, &last), EAGAIN);
    for (uint64_t want = 0; want <= 3; want++)
        expect_value(k, ch, want, true);
    k->free(&ch);
}

/* A value that was sent after the reservation is received after it. */
static void receive_two(void *p)
{
    struct committer *c = (struct committer *)p;
    for (uint64_t want = 0; want < 2; want++) {
        uint64_t v = 99;
        CHECK_INT(c->k->recv(NULL, c->ch, &v), 0);
        CHECK_INT(v, want);
    }
    store_int(&c->done, 1);
}

TEST_MANY_SENDERS(a_reservation_holds_back_what_comes_after_it)
{
    void *ch = open_channel(k, 4, WEIR_WAIT_PARK);
    struct committer c = {k, ch, NULL, 0};
    const uint64_t later = 1;
    uint64_t *slot = reserved(k, ch);
    if (!on_ck(k)) /* there the send would wait for this very thread's commit */
        CHECK_INT(k->try_send(ch, &later), 0);
    struct test_team *team = test_start(1, receive_two, &c, 0);
    EVENTUALLY(receivers_waiting(ch) == 1);
    CHECK(!load_int(&c.done));
    write_in_place(slot, 0);
    CHECK_INT(k->commit(ch, slot), 0);
    if (on_ck(k))
        CHECK_INT(k->try_send(ch, &later), 0);
    test_join(team);
    k->free(&ch);
}

/* With several senders the reservation came before the close and counts; a lone sender's does not. */
TEST_EACH_KIND(a_commit_after_the_close)
{
    void *ch = open_channel(k, 3, WEIR_WAIT_PARK);
    uint64_t v = 1, *slot;
    CHECK_INT(k->send(NULL, ch, &v), 0);
    slot = reserved(k, ch);
    write_in_place(slot, 2);
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->commit(ch, slot), closes_by_limit(k) ? EPIPE : 0);
    expect_value(k, ch, 1, true);
    if (!closes_by_limit(k))
        expect_value(k, ch, 2, true);
    CHECK_INT(k->try_recv(ch, &v), EPIPE);
    CHECK_INT(k->len(ch), 0);
    k->free(&ch);
}

/* ---- several peeks ---- */

TEST_MANY_RECEIVERS(peeked_values_are_gone_for_others)
{
    void *ch = open_channel(k, 3, WEIR_WAIT_PARK);
    uint64_t *slot[2] = {NULL, NULL}, v = 99;
    if (!can_peek(k))
        SKIP("ck cannot read in place with several receivers");
    CHECK_INT(fill(k, ch, 0), 3);
    for (uint64_t i = 0; i < 2; i++) {
        REQUIRE(k->peek(NULL, ch, &slot[i]) == 0);
        CHECK_INT(*slot[i], i);
    }
    CHECK_INT(k->try_recv(ch, &v), 0);
    CHECK_INT(v, 2);
    CHECK_INT(k->try_recv(ch, &v), EAGAIN);
    CHECK_INT(k->release(ch, slot[1]), 0);
    CHECK_INT(k->release(ch, slot[0]), 0);
    CHECK_INT(fill(k, ch, 10), 3);
    for (uint64_t want = 10; want < 13; want++)
        expect_value(k, ch, want, true);
    k->free(&ch);
}

/* ---- blocking ---- */

struct blocked {
    const struct kind *k;
    void *ch;
    uint64_t value;
    int rc;
};

static void reserve_and_commit(void *p)
{
    struct blocked *b = (struct blocked *)p;
    uint64_t *slot = NULL;
    b->rc = b->k->reserve(NULL, b->ch, &slot);
    if (b->rc != 0)
        return;
    write_in_place(slot, b->value);
    b->rc = b->k->commit(b->ch, slot);
}

static void peek_and_release(void *p)
{
    struct blocked *b = (struct blocked *)p;
    uint64_t *slot = NULL;
    b->rc = b->k->peek(NULL, b->ch, &slot);
    if (b->rc != 0)
        return;
    b->value = *slot;
    b->rc = b->k->release(b->ch, slot);
}

/* A peeked value keeps its place: a sender sleeps until the release. */
TEST_EACH_KIND(release_wakes_a_reserve)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_PARK);
    struct blocked b = {k, ch, 5, -1};
    uint64_t *slot = NULL;
    CHECK_INT(fill(k, ch, 1), 1);
    if (can_peek(k))
        REQUIRE(k->peek(NULL, ch, &slot) == 0);
    struct test_team *team = test_start(1, reserve_and_commit, &b, 0);
    EVENTUALLY(senders_waiting(ch) == 1);
    if (slot != NULL)
        CHECK_INT(k->release(ch, slot), 0);
    else
        CHECK_INT(k->recv(NULL, ch, NULL), 0);
    test_join(team);
    CHECK_INT(b.rc, 0);
    expect_value(k, ch, 5, true);
    k->free(&ch);
}

TEST_EACH_KIND(commit_wakes_a_peek)
{
    void *ch = open_channel(k, 1, WEIR_WAIT_PARK);
    struct blocked b = {k, ch, 0, -1};
    uint64_t *slot;
    if (!can_peek(k))
        SKIP("ck cannot read in place with several receivers");
    struct test_team *team = test_start(1, peek_and_release, &b, 0);
    EVENTUALLY(receivers_waiting(ch) == 1);
    slot = reserved(k, ch);
    write_in_place(slot, 6);
    CHECK_INT(k->commit(ch, slot), 0);
    test_join(team);
    CHECK_INT(b.rc, 0);
    CHECK_INT(b.value, 6);
    k->free(&ch);
}

TEST_EACH_KIND(close_releases_a_reserve_and_a_peek)
{
    void *full = open_channel(k, 1, WEIR_WAIT_PARK), *empty = open_channel(k, 1, WEIR_WAIT_PARK);
    struct blocked r = {k, full, 5, -1}, p = {k, empty, 5, -1};
    CHECK_INT(fill(k, full, 1), 1);
    struct test_team *reserving = test_start(1, reserve_and_commit, &r, 0);
    struct test_team *peeking = test_start(can_peek(k) ? 1 : 0, peek_and_release, &p, 0);
    EVENTUALLY(senders_waiting(full) == 1);
    EVENTUALLY(receivers_waiting(empty) == 1 || !can_peek(k));
    CHECK_INT(k->close(full), 0);
    CHECK_INT(k->close(empty), 0);
    test_join(reserving);
    test_join(peeking);
    CHECK_INT(r.rc, EPIPE);
    CHECK_INT(p.rc, can_peek(k) ? EPIPE : -1);
    CHECK_INT(k->len(full), 1);
    k->free(&full);
    k->free(&empty);
}

/* ---- all at once ---- */

struct traffic {
    const struct kind *k;
    void *ch;
    int seats; /* atomic */
    long values;
    uint64_t count, sum; /* atomic */
};

static void send_in_place(void *p)
{
    struct traffic *t = (struct traffic *)p;
    const uint64_t self = (uint64_t)__atomic_fetch_add(&t->seats, 1, __ATOMIC_RELAXED);
    for (long i = 0; i < t->values; i++) {
        uint64_t *slot = reserved(t->k, t->ch);
        write_in_place(slot, self * (uint64_t)t->values + (uint64_t)i);
        CHECK_INT(t->k->commit(t->ch, slot), 0);
    }
}

static void receive_in_place(void *p)
{
    struct traffic *t = (struct traffic *)p;
    uint64_t count = 0, sum = 0, v = 0, *slot = NULL;
    for (;; count++, sum += v) {
        const int rc = can_peek(t->k) ? t->k->peek(NULL, t->ch, &slot) : t->k->recv(NULL, t->ch, &v);
        if (rc != 0)
            break;
        if (can_peek(t->k)) {
            v = *slot;
            CHECK_INT(t->k->release(t->ch, slot), 0);
        }
    }
    __atomic_add_fetch(&t->count, count, __ATOMIC_RELAXED);
    __atomic_add_fetch(&t->sum, sum, __ATOMIC_RELAXED);
}

TEST_EACH_KIND(many_threads_in_place)
{
    static const size_t capacities[] = {1, 3, 64};
    for (int i = 0; i < 3; i++) {
        struct traffic t = {k, open_channel(k, capacities[i], WEIR_WAIT_ADAPTIVE), 0, test_rounds(20000), 0, 0};
        const uint64_t n = (uint64_t)(senders_of(k, 3) * t.values);
        struct test_team *receivers = test_start(receivers_of(k, 3), receive_in_place, &t, 0);
        test_threads(senders_of(k, 3), send_in_place, &t, 0);
        CHECK_INT(k->close(t.ch), 0);
        test_join(receivers);
        CHECK_INT(t.count, n);
        CHECK_INT(t.sum, n * (n - 1) / 2);
        k->free(&t.ch);
    }
}

TEST(a_null_handle_is_never_ready_in_place)
{
    weir_spsc(uint64_t) line = {NULL};
    weir_chan(uint64_t) many = {NULL};
    weir_ctx ctx;
    uint64_t *slot;
    weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
    CHECK_INT(weir_reserve(&ctx, line, &slot), ETIMEDOUT);
    CHECK_INT(weir_peek(&ctx, line, &slot), ETIMEDOUT);
    CHECK_INT(weir_reserve(&ctx, many, &slot), ETIMEDOUT);
    CHECK_INT(weir_peek(&ctx, many, &slot), weir__ring_of(WEIR__MPMC) == WEIR_RING_CK ? ENOTSUP : ETIMEDOUT);
    weir_ctx_free(&ctx);
}
