/* tests/ring/test_ring_suspend.c: a peer that stops between claim and publish, provoked with WEIR_HOOK rather than
 * hoped for. What others can still do meanwhile, and what is answered to them: never "empty" or "full" when that is
 * not so. */
#include "ring_actors.h"

/* ---- a producer ---- */

/* On ck the others' commit waits for the one that stands: that is its nature, and ring/ck.h says so. */
static void others_push_past_a_producer(int kind)
{
    uint64_t v = 9;
    struct actor first = cast(box_make(kind, CAPACITY, 8), "send claimed", 0);
    struct test_team *team = suspend(push_one, &first);
    CHECK_INT(box_len(first.box), 1);
    CHECK_INT(why_empty(first.box), WEIR__BUSY);
    push_numbers(first.box, 1, CAPACITY - 1);
    CHECK_INT(box_len(first.box), CAPACITY);
    CHECK_INT(why_full(first.box), EAGAIN); /* the claimed place counts: the ring is full indeed */
    CHECK_INT(box_push(first.box, &v), EAGAIN);
    /* Values are there, and their sends have returned. To say "empty" now would be wrong; so would taking them out
     * of turn. */
    CHECK_INT(why_empty(first.box), WEIR__BUSY);
    CHECK_INT(box_pop(first.box, &v), WEIR__BUSY);
    CHECK_INT(box_pop(first.box, NULL), WEIR__BUSY); /* nor dropping them */
    resume(team, &first);
    CHECK_INT(first.rc, 0);
    pop_numbers(first.box, 0, CAPACITY);
    CHECK_INT(why_empty(first.box), EAGAIN);
    box_free(first.box);
}

TEST(others_go_on_while_a_producer_stands)
{
    if (on_ck(WEIR__MPSC) || on_ck(WEIR__MPMC))
        SKIP("on ck, producers wait for the one before");
    others_push_past_a_producer(WEIR__MPSC);
    others_push_past_a_producer(WEIR__MPMC);
}

/* Every ring with many producers, ck included: one claimed value is neither "empty" nor a value, and it comes out
 * first. */
static void a_claim_is_not_empty(int kind)
{
    uint64_t v = 9;
    struct actor first = cast(box_make(kind, CAPACITY, 8), "send claimed", 0);
    struct actor second = cast(first.box, NULL, 1);
    struct test_team *team = suspend(push_one, &first);
    CHECK_INT(why_empty(first.box), WEIR__BUSY);
    struct test_team *behind = test_start(1, push_one, &second, 0);
    EVENTUALLY(box_len(first.box) ==
               2); /* the second has claimed; on ck it waits for the first, elsewhere it returns */
    if (!on_ck(kind))
        EVENTUALLY(flag(&second.done));
    CHECK_INT(box_pop(first.box, &v), WEIR__BUSY);
    CHECK_INT(why_full(first.box), 0);
    resume(team, &first);
    test_join(behind);
    CHECK(first.rc == 0 && second.rc == 0);
    pop_numbers(first.box, 0, 2);
    CHECK_INT(box_pop(first.box, &v), EAGAIN);
    box_free(first.box);
}

TEST(a_claimed_value_is_not_empty)
{
    a_claim_is_not_empty(WEIR__MPSC);
    a_claim_is_not_empty(WEIR__MPMC);
}

/* A lone producer shows nothing before it publishes: empty is true then, unless the ring claims as many producers do
 * (ck SPMC). */
TEST(a_lone_producer_has_not_sent_before_it_publishes)
{
    for (int i = 0; i < 2; i++) {
        const int kind = i == 0 ? WEIR__SPSC : WEIR__SPMC;
        struct actor a = cast(box_make(kind, CAPACITY, 8), "send claimed", 0);
        struct test_team *team = suspend(push_one, &a);
        const bool shown = on_ck(kind) && kind == WEIR__SPMC;
        CHECK_INT(why_empty(a.box), shown ? WEIR__BUSY : EAGAIN);
        CHECK_INT(box_len(a.box), shown ? 1 : 0);
        resume(team, &a);
        pop_numbers(a.box, 0, 1);
        box_free(a.box);
    }
}

/* ---- a consumer ---- */

static void others_pop_past_a_consumer(int kind)
{
    uint64_t v = 9;
    struct actor first = cast(box_make(kind, CAPACITY, 8), "recv claimed", 9);
    push_numbers(first.box, 0, CAPACITY);
    CHECK_INT(why_full(first.box), EAGAIN);
    struct test_team *team = suspend(pop_one, &first);
    CHECK_INT(box_len(first.box), CAPACITY - 1);
    CHECK_INT(why_full(first.box), WEIR__BUSY); /* not full: one value is out; but its place is not free yet */
    CHECK_INT(box_push(first.box, &v), WEIR__BUSY);
    pop_numbers(first.box, 1, 2); /* other consumers go on */
    CHECK_INT(box_push(first.box, &v), WEIR__BUSY);
    pop_numbers(first.box, 3, CAPACITY - 3);
    CHECK_INT(why_empty(first.box), EAGAIN);
    CHECK_INT(box_pop(first.box, &v), EAGAIN);
    CHECK_INT(why_full(first.box),
              WEIR__BUSY); /* even empty, as long as the place that is next belongs to that consumer */
    resume(team, &first);
    CHECK_INT(first.rc, 0);
    CHECK_INT(first.value, 0);
    push_numbers(first.box, 10, CAPACITY);
    pop_numbers(first.box, 10, CAPACITY);
    box_free(first.box);
}

TEST(others_go_on_while_a_consumer_stands)
{
    if (on_ck(WEIR__SPMC) || on_ck(WEIR__MPMC))
        SKIP("on ck, consumers copy first and then take with one step");
    others_pop_past_a_consumer(WEIR__SPMC);
    others_pop_past_a_consumer(WEIR__MPMC);
}

/* A lone consumer takes a value when it gives the place back: full is true until then. */
TEST(a_lone_consumer_has_not_taken_before_it_releases)
{
    for (int i = 0; i < 2; i++) {
        const int kind = i == 0 ? WEIR__SPSC : WEIR__MPSC;
        if (on_ck(kind))
            continue; /* has no such point */
        struct actor a = cast(box_make(kind, CAPACITY, 8), "recv claimed", 9);
        push_numbers(a.box, 0, CAPACITY);
        struct test_team *team = suspend(pop_one, &a);
        CHECK_INT(why_full(a.box), EAGAIN);
        CHECK_INT(box_len(a.box), CAPACITY);
        resume(team, &a);
        CHECK_INT(a.value, 0);
        push_numbers(a.box, CAPACITY, 1);
        pop_numbers(a.box, 1, CAPACITY);
        box_free(a.box);
    }
}
