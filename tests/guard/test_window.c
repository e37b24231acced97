/* tests/guard/test_window.c: fixed and sliding windows: what they say, at their edges, with clocks that are not steady, and how one waits. */
#include "window.h"

/* ---- what each says ---- */

TEST(as_many_as_the_limit_and_then_not_now)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, WEIR_SEC(5));
    FOR_EACH_KIND(w, 3, WEIR_SEC(1), &hand.clock)
    {
        for (int i = 0; i < 3; i++)
            CHECK_INT(allow(&w, 1), 0);
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand_move(&hand, WEIR_MS(999));
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand_move(&hand, WEIR_SEC(2));
        CHECK_INT(room(&w), 3);
    }
}

TEST(more_than_the_limit_is_never_and_changes_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 5, WEIR_SEC(1), &hand.clock)
    {
        CHECK_INT(allow(&w, 6), EINVAL);
        CHECK_INT(allow(&w, INT64_MAX), EINVAL);
        CHECK_INT(allow(&w, 0), EINVAL);
        CHECK_INT(allow(&w, -1), EINVAL);
        CHECK_INT(await(NULL, &w, 6), EINVAL);
        CHECK_INT(await(NULL, &w, 0), EINVAL);
        CHECK_INT(allow(&w, 2), w.kind == EXACT ? EINVAL : 0);
        CHECK_INT(room(&w), w.kind == EXACT ? 5 : 3);
    }
}

TEST(many_at_once_go_in_whole_or_not_at_all)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 5, WEIR_SEC(1), &hand.clock)
    {
        if (w.kind == EXACT)
            continue;
        CHECK_INT(allow(&w, 3), 0);
        CHECK_INT(allow(&w, 3), EAGAIN);
        CHECK_INT(allow(&w, 2), 0);
        CHECK_INT(allow(&w, 1), EAGAIN);
    }
}

TEST(what_is_out_of_range_is_told_by_init)
{
    struct window w;
    for (int kind = FIXED; kind < KINDS; kind++) {
        const int64_t most = kind == EXACT ? WEIR_WINDOW_EXACT_MAX : WEIR_WINDOW_MAX;
        CHECK_INT(init(&w, (enum kind)kind, 0, 0, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, -1, 0, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 1, -1, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 1, INT64_MIN, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 1, 3, NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 250001, WEIR_MS(1), NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, most + 1, WEIR_SEC(3600), NULL), EINVAL);
        CHECK_INT(init(&w, (enum kind)kind, 250000, WEIR_MS(1), NULL), 0);
        done(&w);
        CHECK_INT(init(&w, (enum kind)kind, most, WEIR_SEC(3600), NULL), 0);
        CHECK_INT(allow(&w, 1), 0); /* on the monotonic clock */
        done(&w);
        CHECK_INT(init(&w, (enum kind)kind, 1, 4, NULL), 0);
        done(&w);
    }
    no_memory = true;
    CHECK_INT(init(&w, EXACT, 10, 0, NULL), ENOMEM);
    CHECK_INT(init(&w, COUNTERS, 10, 0, NULL), 0);
    no_memory = false;
}

TEST(a_window_is_a_second_unless_told_otherwise)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 1, 0, &hand.clock)
    {
        CHECK_INT(allow(&w, 1), 0);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.at % WEIR_SEC(1), 0);
        hand_move(&hand, WEIR_SEC(10));
    }
}

/* ---- edges ---- */

TEST(fixed_windows_begin_with_init)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 12345);
    init(&w, FIXED, 2, 1000, &hand.clock);
    hand_move(&hand, 999);
    CHECK_INT(allow(&w, 2), 0);
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand_move(&hand, 1); /* 2 more, 1 ns later: what a fixed window cannot help */
    CHECK_INT(allow(&w, 2), 0);
    hand_move(&hand, 999);
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand_move(&hand, 1);
    CHECK_INT(allow(&w, 1), 0);
}

TEST(the_log_lets_one_in_when_one_has_left)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    init(&w, EXACT, 3, 1000, &hand.clock);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(allow(&w, 1), 0);
        hand_move(&hand, 100);
    }
    for (int i = 0; i < 9; i++) { /* at 300, 1000, 1100, 1200, 2000 … */
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = i / 3 * 1000 + 1000 + i % 3 * 100 - 1;
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at++;
        CHECK_INT(allow(&w, 1), 0);
    }
    done(&w);
}

TEST(the_previous_window_counts_by_its_share)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    init(&w, COUNTERS, 10, 1000, &hand.clock);
    CHECK_INT(allow(&w, 10), 0);
    for (int i = 0; i < 10; i++) {
        hand.at = 1000 + i * 100 + 99;
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at++;
        CHECK_INT(allow(&w, 1), 0);
    }
    CHECK_INT(hand.at, 2000); /* the tenth came with the next window, the nine before it were spread evenly */
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand.at = 2111;
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand.at++; /* 9 * (1 - 0.112) + 1 + 1 <= 10 */
    CHECK_INT(allow(&w, 1), 0);
    hand.at = 4000; /* nothing came in the window before */
    CHECK_INT(allow(&w, 10), 0);
}

TEST(the_clock_may_begin_and_end_anywhere)
{
    struct hand hand;
    struct window w;
    const weir_ns end = WEIR_FOREVER - 1, before[] = {0, 3, 1001, 2500};
    hand_init(&hand, 0);
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        hand.at = end - before[i];
        FOR_EACH_KIND(w, 250, 1000, &hand.clock)
        {
            CHECK_INT(room(&w), 250);
            hand.at = end;
            CHECK_INT(room(&w), before[i] > 2000 ? 250 : before[i] < 1000 || w.kind == COUNTERS ? 0 : 250);
            hand.at = end - before[i];
        }
    }
    hand.at = 0;
    FOR_EACH_KIND(w, 250, 1000, &hand.clock) /* as many windows as there can be */
    {
        CHECK_INT(room(&w), 250);
        hand.at = end;
        CHECK_INT(room(&w), 250);
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = 0;
    }
    FOR_EACH_KIND(w, WEIR_WINDOW_EXACT_MAX, WEIR_FOREVER, &hand.clock)
    {
        CHECK_INT(room(&w), WEIR_WINDOW_EXACT_MAX);
    }
}

TEST(idle_for_any_time_it_is_empty)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 77);
    FOR_EACH_KIND(w, 7, 64, &hand.clock)
    {
        for (int bits = 0; bits < 56; bits++) {
            CHECK_INT(room(&w), 7);
            CHECK_INT(allow(&w, 1), EAGAIN);
            hand_move(&hand, 128 + 64 * (INT64_C(1) << bits));
        }
        hand.at = 77;
    }
}

/* ---- a clock that is not steady ---- */

TEST(an_older_reading_gains_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 10000);
    FOR_EACH_KIND(w, 4, 1000, &hand.clock)
    {
        hand.at = 15500;
        CHECK_INT(room(&w), 4);
        for (weir_ns at = 15499; at >= 0; at -= 499) {
            hand.at = at;
            CHECK_INT(allow(&w, 1), EAGAIN);
        }
        hand.at = 15500;
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = 17000;
        CHECK_INT(room(&w), 4);
        hand.at = 10000;
    }
    /* Two of the next window, then one whose reading is of this one: it is the third of the next. */
    init(&w, FIXED, 3, 1000, &hand.clock);
    hand.at += 1000;
    CHECK_INT(allow(&w, 2), 0);
    hand.at -= 1;
    CHECK_INT(allow(&w, 1), 0);
    CHECK_INT(allow(&w, 1), EAGAIN);
    hand.at += 1;
    CHECK_INT(allow(&w, 1), EAGAIN);
    /* The same for the counters, where one who comes back sees a word that is sealed, or one of two windows later. */
    for (int later = 1; later <= 2; later++) {
        const weir_ns begin = hand.at;
        init(&w, COUNTERS, 3, 1000, &hand.clock);
        CHECK_INT(allow(&w, 2), 0);
        hand.at = begin + later * 1000 + 999;
        CHECK_INT(allow(&w, 1), 0);
        hand.at = begin + 999; /* taken for begin + later * 1000 */
        CHECK_INT(allow(&w, 2), later == 1 ? EAGAIN : 0);
        CHECK_INT(allow(&w, 1), EAGAIN);
        hand.at = begin + later * 1000 + 999;
        CHECK_INT(room(&w), later == 1 ? 1 : 0);
    }
}

/* Somebody has begun window 2, or 4, and was held up before he sealed the one before it. */
TEST(an_older_reading_counts_in_a_window_that_has_only_begun)
{
    for (uint64_t begun = 2; begun <= 4; begun += 2) {
        const weir_ns begin = ((weir_ns)begun - 1) * 1000;
        struct hand hand;
        struct window w;
        hand_init(&hand, 0);
        init(&w, COUNTERS, 3, 1000, &hand.clock);
        CHECK_INT(allow(&w, 2), 0);
        CHECK(!weir__sliding_enter(&w.sliding, begun, w.sliding.word[1], w.sliding.word[0]));
        CHECK_INT(weir__sliding_number(&w.sliding, w.sliding.word[0]), begun);
        CHECK(!weir__sliding_sealed(&w.sliding, w.sliding.word[1]));
        hand.at = begun == 2 ? 999 : 1999;
        CHECK_INT(allow(&w, 1), 0); /* in its first nanosecond */
        CHECK(weir__sliding_sealed(&w.sliding, w.sliding.word[1]));
        CHECK_INT(weir__sliding_number(&w.sliding, w.sliding.word[1]), begun - 1);
        CHECK_INT(weir__sliding_count(&w.sliding, w.sliding.word[1]), begun == 2 ? 2 : 0);
        CHECK_INT(weir__sliding_count(&w.sliding, w.sliding.word[0]), 1);
        hand.at = begin + 499;
        CHECK_INT(room(&w), begun == 2 ? 0 : 2);
        hand.at = begin + 500; /* half of the two before are left */
        CHECK_INT(room(&w), begun == 2 ? 1 : 0);
    }
}

TEST(a_refused_request_of_a_later_time_moves_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    init(&w, COUNTERS, 4, 1000, &hand.clock);
    CHECK_INT(allow(&w, 3), 0);
    hand.at = 1000;
    CHECK_INT(allow(&w, 2), EAGAIN);
    hand.at = 999;
    CHECK_INT(allow(&w, 1), 0);
}

/* ---- waiting ---- */

TEST(a_wait_ends_when_there_is_room)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 2, 1000, &hand.clock)
    {
        const weir_ns begin = hand.at;
        hand.slept = 0;
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.slept, 0);
        hand_move(&hand, 1);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.slept, 1);
        CHECK_INT(hand.at - begin, w.kind == COUNTERS ? 1500 : 1000);
        CHECK_INT(await(NULL, &w, 1), 0);
        CHECK_INT(hand.at - begin, w.kind == COUNTERS ? 2000 : 1000);
        hand_move(&hand, 5000);
    }
}

TEST(a_wait_that_would_outlast_its_deadline_ends_at_once)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 1, WEIR_SEC(3600), &hand.clock)
    {
        const weir_ns begin = hand.at;
        weir_ctx ctx, passed;
        hand.slept = 0;
        weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(3599));
        weir_ctx_init_timeout(&passed, NULL, 0);
        CHECK_INT(await(&passed, &w, 1), ETIMEDOUT); /* although there is room */
        CHECK_INT(await(&ctx, &w, 1), 0);
        CHECK_INT(await(&ctx, &w, 1), ETIMEDOUT);
        CHECK_INT(await_until(&w, 1, weir_now() + WEIR_SEC(3599)), ETIMEDOUT);
        CHECK_INT(await_until(&w, 1, 0), ETIMEDOUT);
        CHECK_INT(hand.slept, 0);
        CHECK_INT(hand.at, begin);
        CHECK_INT(weir_ctx_err(&ctx), 0);
        hand_move(&hand, WEIR_SEC(2)); /* now there is time enough */
        if (w.kind == COUNTERS)
            hand_move(&hand, WEIR_SEC(3600));
        CHECK_INT(await(&ctx, &w, 1), 0);
        CHECK_INT(hand.slept, 1);
        CHECK_INT(await_until(&w, 1, WEIR_FOREVER), 0);
        hand_move(&hand, WEIR_SEC(20000));
        CHECK_INT(await_until(&w, 1, 0), 0); /* no wait, no deadline */
        weir_ctx_free(&ctx);
        weir_ctx_free(&passed);
    }
}

TEST(a_cancelled_wait_has_taken_nothing)
{
    struct hand hand;
    struct window w;
    hand_init(&hand, 0);
    FOR_EACH_KIND(w, 3, 1000, &hand.clock)
    {
        weir_ctx ctx;
        weir_ctx_init(&ctx, NULL);
        CHECK_INT(room(&w), 3);
        hand.cancels = &ctx;
        CHECK_INT(await(&ctx, &w, 1), ECANCELED);
        hand_move(&hand, 2000);
        CHECK_INT(await(&ctx, &w, 1), ECANCELED); /* although there is room */
        CHECK_INT(room(&w), 3);
        hand_move(&hand, 5000);
        weir_ctx_free(&ctx);
    }
}

static void cancels(void *ctx)
{
    weir_ctx_cancel((weir_ctx *)ctx, 0);
}

TEST(a_cancel_wakes_one_who_waits_on_the_monotonic_clock)
{
    struct window w;
    FOR_EACH_KIND(w, 1, WEIR_SEC(3600), NULL)
    {
        weir_ctx ctx;
        weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(36000));
        CHECK_INT(await(&ctx, &w, 1), 0);
        struct test_team *team = test_start(1, cancels, &ctx, 0);
        CHECK_INT(await(&ctx, &w, 1), ECANCELED);
        test_join(team);
        weir_ctx_free(&ctx);
    }
}

/* ---- held up between the clock and the window ---- */

static struct hand late_hand;
static struct window late_window;
static void others_in_the_next_window(void)
{
    hand_move(&late_hand, WEIR_SEC(3));
    CHECK_INT(allow(&late_window, 1), 0);
}

TEST(whoever_was_held_up_after_reading_the_clock_is_not_refused_for_being_late)
{
    for (int kind = 0; kind < KINDS; kind++) {
        hand_init(&late_hand, WEIR_SEC(100));
        REQUIRE(init(&late_window, (enum kind)kind, 2, WEIR_SEC(1), &late_hand.clock) == 0);
        CHECK_INT(allow(&late_window, 1), 0);
        CHECK_INT(allow(&late_window, 1), 0);
        late_hand.held_up = others_in_the_next_window; /* at the reading there was no room; since then there is */
        CHECK_INT(allow(&late_window, 1), 0);
        CHECK_INT(allow(&late_window, 1), EAGAIN);
        if (kind != FIXED)
            weir_sliding_window_free(&late_window.sliding);
    }
}
