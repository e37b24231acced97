/* tests/chan/test_select.c: what select and its sisters return, by one thread on channels whose state is known. */
#include "queues.h"

#include <limits.h>

typedef weir_chan(int) int_chan;

static int_chan make(size_t capacity)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, capacity) == 0);
    return ch;
}

/* A channel of capacity 1 with a value in it. */
static int_chan holding(int v)
{
    int_chan ch = make(1);
    REQUIRE(weir_try_send(ch, &v) == 0);
    return ch;
}

static int_chan closed(size_t capacity)
{
    int_chan ch = make(capacity);
    REQUIRE(weir_close(ch) == 0);
    return ch;
}

/* The four calls, as one. */
enum { WAIT, UNTIL, ORDERED, TRY, CALLS };
static int call(int which, weir_case *cases, size_t n)
{
    switch (which) {
    case WAIT: return weir_select(NULL, cases, n);
    case UNTIL: return weir_select_until(NULL, cases, n, weir_now() + WEIR_SEC(20));
    case ORDERED: return weir_select_ordered(NULL, cases, n);
    default: return weir_try_select(cases, n);
    }
}

TEST(the_one_ready_case_is_done_wherever_it_stands)
{
    static const size_t sizes[] = {1, 2, 3, 10, 63, 64, 65, 200, 1024, 1500};
    int_chan idle = make(1), rendezvous = make(0), ready = make(1);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int which = 0; which < CALLS; which++) {
            const size_t n = sizes[s], at = (n * 5 + (size_t)which) % n;
            weir_case *cases = (weir_case *)malloc(n * sizeof *cases);
            int got[2] = {-1, -1}, v = (int)n;
            REQUIRE(cases != NULL);
            for (size_t i = 0; i < n; i++) {
                cases[i] = i % 3 ? WEIR_RECV(idle, &got[0]) : WEIR_RECV(rendezvous, &got[0]);
                cases[i].status = 99;
            }
            cases[at] = WEIR_RECV(ready, &got[1]);
            CHECK_INT(weir_try_send(ready, &v), 0);
            CHECK_INT(call(which, cases, n), at);
            CHECK_INT(cases[at].status, 0);
            CHECK_INT(got[0], -1);
            CHECK_INT(got[1], n);
            free(cases);
        }
    CHECK(queues_are_empty(idle));
    CHECK(queues_are_empty(rendezvous));
    CHECK(queues_are_empty(ready));
    weir_chan_free(&idle);
    weir_chan_free(&rendezvous);
    weir_chan_free(&ready);
}

TEST(exactly_one_case_is_done)
{
    for (int which = 0; which < CALLS; which++)
        for (int round = 0; round < 50; round++) {
            int_chan a = holding(1), b = holding(2), c = make(1);
            int x = 0, y = 0, z = 3;
            weir_case cases[] = {WEIR_RECV(a, &x), WEIR_RECV(b, &y), WEIR_SEND(c, &z)};
            const int done = call(which, cases, 3);
            CHECK(done >= 0 && done < 3);
            CHECK_INT(x, done == 0 ? 1 : 0);
            CHECK_INT(y, done == 1 ? 2 : 0);
            CHECK_INT(z, 3);
            CHECK_INT(weir_len(a), done == 0 ? 0 : 1);
            CHECK_INT(weir_len(b), done == 1 ? 0 : 1);
            CHECK_INT(weir_len(c), done == 2 ? 1 : 0);
            weir_chan_free(&a);
            weir_chan_free(&b);
            weir_chan_free(&c);
        }
}

TEST(a_closed_channel_is_ready_and_says_so)
{
    for (int which = 0; which < CALLS; which++)
        for (size_t capacity = 0; capacity < 3; capacity++) {
            int_chan idle = make(0), gone = closed(capacity);
            int v = 5;
            weir_case receive[] = {WEIR_RECV(idle, &v), WEIR_RECV(gone, &v)};
            weir_case send[] = {WEIR_SEND(gone, &v), WEIR_RECV(idle, &v)};
            CHECK_INT(call(which, receive, 2), 1);
            CHECK_INT(receive[1].status, EPIPE);
            CHECK_INT(call(which, send, 2), 0);
            CHECK_INT(send[0].status, EPIPE);
            CHECK_INT(v, 5);
            weir_chan_free(&idle);
            weir_chan_free(&gone);
        }
}

TEST(a_closed_channel_is_drained_first)
{
    for (int which = 0; which < CALLS; which++) {
        int_chan ch = holding(7);
        int v = 0;
        weir_case c = WEIR_RECV(ch, &v);
        weir_close(ch);
        CHECK_INT(call(which, &c, 1), 0);
        CHECK_INT(c.status, 0);
        CHECK_INT(v, 7);
        CHECK_INT(call(which, &c, 1), 0);
        CHECK_INT(c.status, EPIPE);
        CHECK_INT(v, 7);
        weir_chan_free(&ch);
    }
}

TEST(an_ended_context_is_a_ready_case)
{
    int_chan idle = make(0);
    int v;
    weir_ctx ended, late, live;
    weir_ctx_init(&ended, NULL);
    weir_ctx_init(&live, NULL);
    weir_ctx_init_deadline(&late, NULL, weir_now() - 1);
    weir_ctx_cancel(&ended, 0);
    for (int which = 0; which < CALLS; which++) {
        weir_case cases[] = {WEIR_RECV(idle, &v), WEIR_DONE(NULL), WEIR_DONE(&live), WEIR_DONE(&ended)};
        weir_case passed[] = {WEIR_DONE(&late), WEIR_DONE(&live)};
        CHECK_INT(call(which, cases, 4), 3);
        CHECK_INT(cases[3].status, ECANCELED);
        CHECK_INT(call(which, passed, 2), 0);
        CHECK_INT(passed[0].status, ETIMEDOUT);
    }
    weir_ctx_free(&ended);
    weir_ctx_free(&late);
    weir_ctx_free(&live);
    weir_chan_free(&idle);
}

TEST(the_first_listed_wins_an_ordered_select)
{
    int_chan idle = make(0), full = holding(1), gone = closed(0);
    weir_ctx ended;
    int v = 0;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    for (int i = 0; i < 200; i++) {
        weir_case done[] = {WEIR_RECV(idle, &v), WEIR_DONE(&ended), WEIR_RECV(gone, &v), WEIR_RECV(full, &v)};
        weir_case closes[] = {WEIR_SEND(full, &v), WEIR_RECV(gone, &v), WEIR_DONE(&ended), WEIR_RECV(full, &v)};
        CHECK_INT(weir_select_ordered(NULL, done, 4), 1);
        CHECK_INT(weir_select_ordered(NULL, closes, 4), 1);
        CHECK_INT(closes[1].status, EPIPE);
    }
    CHECK_INT(weir_len(full), 1);
    weir_ctx_free(&ended);
    weir_chan_free(&idle);
    weir_chan_free(&full);
    weir_chan_free(&gone);
}

TEST(nothing_ready)
{
    int_chan idle = make(0), empty = make(2), full = holding(1);
    weir_ctx ctx, ended;
    int v = 8;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    weir_case cases[] = {WEIR_SEND(idle, &v), WEIR_RECV(idle, &v), WEIR_RECV(empty, &v), WEIR_SEND(full, &v),
                         WEIR_DONE(&ctx)};
    CHECK_INT(weir_try_select(cases, 5), -EAGAIN);
    for (size_t i = 0; i < 5; i++)
        CHECK_INT(weir_try_select(&cases[i], 1), -EAGAIN);
    CHECK_INT(weir_select_until(NULL, cases, 5, weir_now()), -ETIMEDOUT);
    CHECK_INT(weir_select_until(NULL, cases, 5, INT64_MIN), -ETIMEDOUT);
    CHECK_INT(weir_select(&ended, cases, 5), -ECANCELED);
    CHECK_INT(weir_select_ordered(&ended, cases, 5), -ECANCELED);
    CHECK_INT(v, 8);
    CHECK(queues_are_empty(idle));
    CHECK(queues_are_empty(empty));
    CHECK(queues_are_empty(full));
    weir_ctx_free(&ctx);
    weir_ctx_free(&ended);
    weir_chan_free(&idle);
    weir_chan_free(&empty);
    weir_chan_free(&full);
}

TEST(a_ready_case_comes_before_context_and_deadline)
{
    int_chan ch = make(1);
    weir_ctx ended;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    for (int v = 0; v < 100; v++) {
        weir_case send = WEIR_SEND(ch, &v), receive = WEIR_RECV(ch, (int *)NULL);
        CHECK_INT(weir_select_until(&ended, &send, 1, 0), 0);
        CHECK_INT(weir_select(&ended, &receive, 1), 0);
    }
    weir_ctx_free(&ended);
    weir_chan_free(&ch);
}

TEST(a_select_until_is_not_over_early)
{
    int_chan idle = make(0), empty = make(1);
    int v;
    for (int i = 0; i < 5; i++) {
        weir_case cases[] = {WEIR_RECV(empty, &v), WEIR_RECV(idle, &v)};
        const weir_ns until = weir_now() + WEIR_MS(2);
        CHECK_INT(weir_select_until(NULL, cases, i % 2 ? 2 : 1, until), -ETIMEDOUT);
        CHECK(weir_now() >= until);
    }
    weir_chan_free(&idle);
    weir_chan_free(&empty);
}

TEST(without_a_case_that_can_be_ready_only_context_and_deadline_end_it)
{
    const int_chan none = {NULL};
    weir_ctx ctx;
    int v = 1;
    weir_case cases[] = {WEIR_SEND(none, &v), WEIR_RECV(none, &v), WEIR_DONE(NULL)};
    CHECK_INT(weir_try_select(NULL, 0), -EAGAIN);
    CHECK_INT(weir_try_select(cases, 0), -EAGAIN);
    CHECK_INT(weir_try_select(cases, 3), -EAGAIN);
    for (size_t n = 0; n <= 3; n++) {
        const weir_ns until = weir_now() + WEIR_MS(1);
        CHECK_INT(weir_select_until(NULL, n == 0 ? NULL : cases, n, until), -ETIMEDOUT);
        CHECK(weir_now() >= until);
        weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(1));
        CHECK_INT(weir_select(&ctx, cases, n), -ETIMEDOUT);
        CHECK_INT(weir_select_ordered(&ctx, cases, n), -ETIMEDOUT);
        weir_ctx_free(&ctx);
    }
}

TEST(a_null_case_beside_a_ready_one_is_passed_over)
{
    const int_chan none = {NULL};
    int_chan ready = make(1);
    int v = 4;
    for (int i = 0; i < 100; i++) {
        weir_case send[] = {WEIR_SEND(none, &v), WEIR_SEND(ready, &v), WEIR_RECV(none, &v)};
        weir_case receive[] = {WEIR_RECV(none, &v), WEIR_DONE(NULL), WEIR_RECV(ready, &v)};
        CHECK_INT(weir_select(NULL, send, 3), 1);
        CHECK_INT(weir_select(NULL, receive, 3), 2);
    }
    weir_chan_free(&ready);
}

TEST(misuse_is_refused_before_anything_is_done)
{
    int_chan full = holding(1);
    weir_timer timer;
    weir_ns when = 0;
    int v = 0;
    REQUIRE(weir_after(&timer, 0) == 0);
    for (int which = 0; which < CALLS; which++) {
        weir_case cases[] = {WEIR_RECV(full, &v), WEIR_SEND(timer, &when)};
        CHECK_INT(call(which, cases, 2), -EINVAL);
        CHECK_INT(call(which, NULL, 1), -EINVAL);
        CHECK_INT(call(which, cases, SIZE_MAX), -EINVAL);
        CHECK_INT(call(which, cases, (size_t)INT_MAX + 1), -EINVAL);
    }
    CHECK_INT(v, 0);
    CHECK_INT(weir_len(full), 1);
    weir_chan_free(&timer);
    weir_chan_free(&full);
}

TEST(a_channel_may_stand_in_many_cases)
{
    int_chan ch = make(3);
    int v = 2, got[3] = {0, 0, 0}, counts[3] = {0, 0, 0};
    for (int i = 0; i < 300; i++) {
        weir_case cases[] = {WEIR_RECV(ch, &got[0]), WEIR_RECV(ch, &got[1]), WEIR_RECV(ch, &got[2])};
        CHECK_INT(weir_try_select(cases, 3), -EAGAIN);
        CHECK_INT(weir_try_send(ch, &v), 0);
        const int done = weir_select(NULL, cases, 3);
        if (!CHECK(done >= 0 && done < 3))
            break;
        CHECK_INT(got[done], 2);
        got[done] = 0;
        counts[done]++;
    }
    CHECK(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
    /* To send and to receive, in a buffer: either may go first, and the other next. */
    weir_case both[] = {WEIR_SEND(ch, &v), WEIR_RECV(ch, &got[0])};
    CHECK_INT(weir_select(NULL, both, 2), 0);
    for (int i = 0; i < 300; i++)
        CHECK(weir_select(NULL, both, 2) >= 0);
    weir_chan_free(&ch);
}

TEST(a_select_never_meets_itself)
{
    int_chan ch = make(0), other = make(0);
    int v = 1, w = 2;
    weir_case cases[] = {WEIR_SEND(ch, &v), WEIR_RECV(ch, &w), WEIR_RECV(other, &w), WEIR_RECV(ch, &w),
                         WEIR_SEND(ch, &v)};
    CHECK_INT(weir_try_select(cases, 5), -EAGAIN);
    for (int i = 0; i < 200; i++)
        CHECK_INT(weir_select_until(NULL, cases, 5, weir_now() + (i % 8 ? WEIR_US(20) : WEIR_MS(1))), -ETIMEDOUT);
    CHECK_INT(w, 2);
    CHECK(queues_are_empty(ch));
    CHECK(queues_are_empty(other));
    weir_chan_free(&ch);
    weir_chan_free(&other);
}

/* ---- the kinds with one sender or one receiver ---- */

#define KIND_TEST(kind)                                                                                                \
    TEST(select_on_##kind)                                                                                             \
    {                                                                                                                  \
        typedef weir_##kind(int) kind##_ints;                                                                          \
        kind##_ints a, b;                                                                                              \
        int v = 6, got = 0;                                                                                            \
        REQUIRE(weir_chan_make(&a, 2) == 0);                                                                           \
        REQUIRE(weir_chan_make(&b, 0) == 0);                                                                           \
        for (int i = 0; i < 100; i++) {                                                                                \
            weir_case receive[] = {WEIR_RECV(b, &got), WEIR_RECV(a, &got)};                                            \
            weir_case send[] = {WEIR_SEND(a, &v), WEIR_SEND(b, &v)};                                                   \
            CHECK_INT(weir_try_select(receive, 2), -EAGAIN);                                                           \
            CHECK_INT(weir_select(NULL, send, 2), 0);                                                                  \
            CHECK_INT(weir_select_ordered(NULL, send, 2), 0);                                                          \
            CHECK_INT(weir_try_select(send, 2), -EAGAIN);                                                              \
            CHECK_INT(weir_select_until(NULL, send, 2, 0), -ETIMEDOUT);                                                \
            CHECK_INT(weir_select(NULL, receive, 2), 1);                                                               \
            CHECK_INT(weir_try_select(receive, 2), 1);                                                                 \
            CHECK_INT(got, 6);                                                                                         \
        }                                                                                                              \
        weir_close(a);                                                                                                 \
        weir_case closes[] = {WEIR_RECV(b, &got), WEIR_RECV(a, &got)};                                                 \
        CHECK_INT(weir_select(NULL, closes, 2), 1);                                                                    \
        CHECK_INT(closes[1].status, EPIPE);                                                                            \
        weir_chan_free(&a);                                                                                            \
        weir_chan_free(&b);                                                                                            \
    }
KIND_TEST(chan)
KIND_TEST(spsc)
KIND_TEST(mpsc)
KIND_TEST(spmc)
