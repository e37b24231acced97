/* tests/flow/test_generator.c: lazy, ends with its function, its context or its reader, and never leaves its thread behind. */
#include "../faults/failing.h"

#include "flow.h"

typedef weir_generator(int) int_generator;

static int made; /* atomic */

static int counts(weir_ctx *ctx, void *arg, void *value)
{
    const int n = __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
    (void)ctx;
    if (n > *(int *)arg)
        return EPIPE;
    memcpy(value, &n, sizeof n);
    return 0;
}

static int fails_at(weir_ctx *ctx, void *arg, void *value)
{
    const int n = __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
    (void)ctx;
    memcpy(value, &n, sizeof n);
    return n == *(int *)arg ? 7 : 0;
}

static int waits_for_its_context(weir_ctx *ctx, void *arg, void *value)
{
    weir_case done = WEIR_DONE(ctx);
    (void)arg;
    (void)value;
    __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST);
    (void)weir_select(NULL, &done, 1);
    return weir_ctx_err(ctx);
}

static void none_left(void)
{
    CHECK_INT(weir_thread_count(), 0);
    CHECK_INT(allocations, 0);
}

TEST(it_makes_values_until_its_function_ends)
{
    int_generator g;
    int end = 100, v, want = 1;
    made = 0;
    CHECK_INT(weir_generator_start(NULL, &g, counts, &end, NULL), 0);
    while (weir_recv(NULL, g.out, &v) == 0)
        CHECK_INT(v, want++);
    CHECK_INT(want, 101);
    CHECK_INT(weir_recv(NULL, g.out, &v), EPIPE);
    CHECK_INT(weir_generator_stop(&g), 0);
    CHECK_INT(weir_generator_stop(&g), 0);
    none_left();
}

TEST(it_is_no_more_ahead_than_it_was_told)
{
    for (size_t ahead = 0; ahead < 4; ahead += 3) {
        int_generator g;
        weir_generator_opt opt = {ahead == 0 ? NULL : "ahead", ahead};
        int end = 1000, v;
        made = 0;
        CHECK_INT(weir_generator_start(NULL, &g, counts, &end, &opt), 0);
        for (int i = 1; i <= 20; i++) {
            CHECK_INT(weir_recv(NULL, g.out, &v), 0);
            CHECK_INT(v, i);
            EVENTUALLY(__atomic_load_n(&made, __ATOMIC_SEQ_CST) == i + 1 + (int)ahead);
        }
        CHECK_INT(weir_generator_stop(&g), 0); /* the reader leaves early */
        CHECK_INT(made, 21 + (int)ahead);
        none_left();
    }
}

TEST(a_failure_of_the_function_is_what_stop_returns)
{
    int_generator g;
    int at = 5, v, n = 0;
    made = 0;
    CHECK_INT(weir_generator_start(NULL, &g, fails_at, &at, NULL), 0);
    while (weir_recv(NULL, g.out, &v) == 0)
        n++;
    CHECK_INT(n, 4);
    CHECK_INT(weir_generator_stop(&g), 7);
    none_left();
}

TEST(it_ends_with_its_context)
{
    int_generator g;
    weir_ctx ctx;
    int end = INT32_MAX, v, rc;
    made = 0;
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(weir_generator_start(&ctx, &g, counts, &end, NULL), 0);
    CHECK_INT(weir_recv(NULL, g.out, &v), 0);
    weir_ctx_cancel(&ctx, 0);
    while ((rc = weir_recv(NULL, g.out, &v)) == 0) {}
    CHECK_INT(rc, EPIPE);
    CHECK_INT(weir_generator_stop(&g), ECANCELED);
    weir_ctx_free(&ctx);
    none_left();
}

TEST(stop_ends_a_function_that_waits_for_something_else)
{
    int_generator g;
    made = 0;
    CHECK_INT(weir_generator_start(NULL, &g, waits_for_its_context, NULL, NULL), 0);
    EVENTUALLY(__atomic_load_n(&made, __ATOMIC_SEQ_CST) == 1);
    CHECK_INT(weir_generator_stop(&g), 0);
    none_left();
}

TEST(it_stands_in_a_select)
{
    int_generator odd, even;
    int end = 50, a, b, n = 0;
    made = 0;
    CHECK_INT(weir_generator_start(NULL, &odd, counts, &end, NULL), 0);
    CHECK_INT(weir_generator_start(NULL, &even, counts, &end, NULL), 0);
    weir_case cases[] = {WEIR_RECV(odd.out, &a), WEIR_RECV(even.out, &b)};
    while (cases[0].status == 0 || cases[1].status == 0) {
        const int i = weir_select(NULL, cases, 2);
        n += cases[i].status == 0;
        if (cases[i].status != 0) {
            cases[i] = WEIR_RECV((int_chan){NULL}, &a);
            cases[i].status = EPIPE;
        }
    }
    CHECK_INT(n, 50); /* of one sequence, which both draw from */
    CHECK_INT(weir_generator_stop(&odd), 0);
    CHECK_INT(weir_generator_stop(&even), 0);
    none_left();
}

TEST(every_failure_to_start_is_reported_and_leaves_nothing)
{
    int failures = 0, end = 3, v;
    for (int k = 0; k < 10; k++) {
        int_generator g;
        made = 0;
        fail_allocation = k;
        const int rc = weir_generator_start(NULL, &g, counts, &end, NULL);
        fail_allocation = -1;
        if (rc == 0) {
            CHECK_INT(weir_recv(NULL, g.out, &v), 0);
            CHECK_INT(weir_generator_stop(&g), 0);
            break;
        }
        CHECK_INT(rc, ENOMEM);
        failures++;
        CHECK_INT(weir_generator_stop(&g), 0);
        none_left();
    }
    CHECK(failures >= 2);
    int_generator g;
    fail_thread = 0;
    CHECK_INT(weir_generator_start(NULL, &g, counts, &end, NULL), EAGAIN);
    fail_thread = -1;
    CHECK_INT(weir_generator_stop(&g), 0);
    none_left();
}
