/* tests/ctx/test_ctx.c: contexts in one thread: deadlines, causes, the tree, values. Hooks: test_ctx_hooks.c; waits:
 * test_ctx_wait.c; races: test_ctx_race.c. */
#include "harness.h"

static void check_alive(weir_ctx *ctx)
{
    CHECK_INT(weir_ctx_err(ctx), 0);
    CHECK_INT(weir_ctx_cause(ctx), 0);
}

static void check_ended(weir_ctx *ctx, int err, int cause)
{
    CHECK_INT(weir_ctx_err(ctx), err);
    CHECK_INT(weir_ctx_cause(ctx), cause);
}

/* ---- one context ---- */

TEST(null_never_ends)
{
    check_alive(NULL);
    weir_ctx_cancel(NULL, 5);
    check_alive(NULL);
    CHECK(weir_ctx_deadline(NULL) == WEIR_FOREVER);
    CHECK(weir_ctx_value(NULL, "key") == NULL);
}

TEST(the_first_end_counts)
{
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    check_alive(&ctx);
    CHECK(weir_ctx_deadline(&ctx) == WEIR_FOREVER);
    weir_ctx_cancel(&ctx, 1234);
    check_ended(&ctx, ECANCELED, 1234);
    weir_ctx_cancel(&ctx, 5678);
    check_ended(&ctx, ECANCELED, 1234);
    weir_ctx_free(&ctx);
}

TEST(no_cause_is_ecanceled)
{
    weir_ctx ctx;
    weir_ctx_init(&ctx, NULL);
    weir_ctx_cancel(&ctx, 0);
    check_ended(&ctx, ECANCELED, ECANCELED);
    weir_ctx_cancel(&ctx, 9);
    check_ended(&ctx, ECANCELED, ECANCELED);
    weir_ctx_free(&ctx);
}

TEST(a_cause_is_any_number)
{
    static const int causes[] = {-1, INT32_MIN, INT32_MAX, ETIMEDOUT};
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        weir_ctx ctx;
        weir_ctx_init(&ctx, NULL);
        weir_ctx_cancel(&ctx, causes[i]);
        check_ended(&ctx, ECANCELED, causes[i]);
        weir_ctx_free(&ctx);
    }
}

/* ---- deadlines ---- */

TEST(a_past_deadline_ends_at_creation)
{
    static const weir_ns past[] = {INT64_MIN, -1, 0, 1};
    weir_ctx ctx;
    for (size_t i = 0; i < sizeof past / sizeof past[0]; i++) {
        weir_ctx_init_deadline(&ctx, NULL, past[i]);
        CHECK_INT(weir__ctx_ended(&ctx),
                  ETIMEDOUT); /* without a look at the clock: it has ended, not "will be found to have" */
        check_ended(&ctx, ETIMEDOUT, ETIMEDOUT);
        weir_ctx_free(&ctx);
    }
    weir_ctx_init_timeout(&ctx, NULL, 0);
    CHECK_INT(weir__ctx_ended(&ctx), ETIMEDOUT);
    weir_ctx_free(&ctx);
    weir_ctx_init_timeout(&ctx, NULL, INT64_MIN);
    CHECK_INT(weir__ctx_ended(&ctx), ETIMEDOUT);
    weir_ctx_free(&ctx);
}

TEST(a_timeout_is_a_deadline_from_now)
{
    weir_ctx ctx;
    const weir_ns before = weir_now();
    weir_ctx_init_timeout(&ctx, NULL, WEIR_SEC(1000));
    CHECK(weir_ctx_deadline(&ctx) >= before + WEIR_SEC(1000) && weir_ctx_deadline(&ctx) <= weir_now() + WEIR_SEC(1000));
    check_alive(&ctx);
    weir_ctx_free(&ctx);
    weir_ctx_init_timeout(&ctx, NULL, WEIR_FOREVER);
    CHECK(weir_ctx_deadline(&ctx) == WEIR_FOREVER);
    check_alive(&ctx);
    weir_ctx_free(&ctx);
}

TEST(a_deadline_passes_and_is_not_early)
{
    weir_ctx ctx;
    const weir_ns deadline = weir_now() + WEIR_MS(5);
    weir_ctx_init_deadline(&ctx, NULL, deadline);
    for (;;) {
        const weir_ns before = weir_now();
        const int err = weir_ctx_err(&ctx);
        if (before >= deadline)
            CHECK_INT(err, ETIMEDOUT);
        if (err != 0)
            break;
    }
    CHECK(weir_now() >= deadline);
    check_ended(&ctx, ETIMEDOUT, ETIMEDOUT);
    weir_ctx_cancel(&ctx, 7); /* too late */
    check_ended(&ctx, ETIMEDOUT, ETIMEDOUT);
    weir_ctx_free(&ctx);
}

/* Nobody has asked for its error when it is cancelled: its deadline has ended it all the same. */
TEST(a_cancel_after_the_deadline_is_too_late)
{
    weir_ctx ctx;
    const weir_ns deadline = weir_now() + WEIR_MS(2);
    weir_ctx_init_deadline(&ctx, NULL, deadline);
    while (weir_now() < deadline) {}
    weir_ctx_cancel(&ctx, 7);
    check_ended(&ctx, ETIMEDOUT, ETIMEDOUT);
    weir_ctx_free(&ctx);
}

TEST(a_cancel_before_the_deadline_stays)
{
    weir_ctx ctx;
    const weir_ns deadline = weir_now() + WEIR_MS(2);
    weir_ctx_init_deadline(&ctx, NULL, WEIR_FOREVER - 1);
    weir_ctx_cancel(&ctx, 7);
    ctx.deadline = deadline; /* as if it had been near */
    while (weir_now() < deadline) {}
    check_ended(&ctx, ECANCELED, 7);
    weir_ctx_free(&ctx);
}

TEST(a_child_never_outlives_its_parents_deadline)
{
    weir_ctx root, longer, shorter, plain, value;
    const weir_ns t = weir_now() + WEIR_SEC(1000);
    weir_ctx_init_deadline(&root, NULL, t);
    weir_ctx_init_deadline(&longer, &root, t + 1);
    weir_ctx_init_deadline(&shorter, &root, t - 1);
    weir_ctx_init(&plain, &shorter);
    weir_ctx_init_value(&value, &plain, "key", NULL);
    CHECK_INT(weir_ctx_deadline(&longer), t);
    CHECK_INT(weir_ctx_deadline(&shorter), t - 1);
    CHECK_INT(weir_ctx_deadline(&plain), t - 1);
    CHECK_INT(weir_ctx_deadline(&value), t - 1);
    weir_ctx_free(&value);
    weir_ctx_init_timeout(&value, &plain, WEIR_FOREVER);
    CHECK_INT(weir_ctx_deadline(&value), t - 1);
    weir_ctx_free(&value);
    weir_ctx_free(&plain);
    weir_ctx_free(&shorter);
    weir_ctx_free(&longer);
    weir_ctx_free(&root);
}

/* The deadline of a child ends it and what is below it, and neither parent nor sibling. */
TEST(a_childs_deadline_is_its_own)
{
    weir_ctx root, sibling, child, grandchild;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&sibling, &root);
    weir_ctx_init_timeout(&child, &root, WEIR_MS(2));
    weir_ctx_init(&grandchild, &child);
    check_alive(&sibling);
    EVENTUALLY(weir_ctx_err(&child) != 0);
    check_ended(&child, ETIMEDOUT, ETIMEDOUT);
    CHECK_INT(weir__ctx_ended(&grandchild), ETIMEDOUT); /* marked in the same pass */
    check_alive(&root);
    check_alive(&sibling);
    weir_ctx_cancel(&root, 3);
    check_ended(&sibling, ECANCELED, 3);
    check_ended(&child, ETIMEDOUT, ETIMEDOUT);
    check_ended(&grandchild, ETIMEDOUT, ETIMEDOUT);
    weir_ctx_free(&grandchild);
    weir_ctx_free(&child);
    weir_ctx_free(&sibling);
    weir_ctx_free(&root);
}

/* ---- the tree ---- */

TEST(an_end_reaches_all_below_and_nobody_beside)
{
    weir_ctx root, left, right, below_left[2], deepest;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&left, &root);
    weir_ctx_init(&right, &root);
    weir_ctx_init(&below_left[0], &left);
    weir_ctx_init(&below_left[1], &left);
    weir_ctx_init(&deepest, &below_left[0]);
    weir_ctx_cancel(&below_left[1], 1);
    weir_ctx_cancel(&left, 2);
    check_alive(&root);
    check_alive(&right);
    check_ended(&left, ECANCELED, 2);
    check_ended(&below_left[0], ECANCELED, 2);
    check_ended(&deepest, ECANCELED, 2);
    check_ended(&below_left[1], ECANCELED, 1); /* ended before, and keeps its cause */
    weir_ctx_cancel(&root, 3);
    check_ended(&root, ECANCELED, 3);
    check_ended(&right, ECANCELED, 3);
    check_ended(&left, ECANCELED, 2);
    check_ended(&deepest, ECANCELED, 2);
    weir_ctx_free(&deepest);
    weir_ctx_free(&below_left[0]);
    weir_ctx_free(&below_left[1]);
    weir_ctx_free(&left);
    weir_ctx_free(&right);
    weir_ctx_free(&root);
}

TEST(born_under_an_ended_parent)
{
    weir_ctx root, child, grandchild, late, past;
    weir_ctx_init(&root, NULL);
    weir_ctx_cancel(&root, 77);
    weir_ctx_init(&child, &root);
    CHECK_INT(weir__ctx_ended(&child), ECANCELED);
    check_ended(&child, ECANCELED, 77);
    weir_ctx_init_timeout(&grandchild, &child, WEIR_SEC(1000));
    check_ended(&grandchild, ECANCELED, 77);
    weir_ctx_init_value(&late, &root, "key", &root);
    check_ended(&late, ECANCELED, 77);
    CHECK(weir_ctx_value(&late, late.key) == &root);
    weir_ctx_init_deadline(&past, &root, 0); /* the parent's end came first */
    check_ended(&past, ECANCELED, 77);
    weir_ctx_free(&past);
    weir_ctx_free(&late);
    weir_ctx_free(&grandchild);
    weir_ctx_free(&child);
    weir_ctx_free(&root);
}

TEST(born_under_a_parent_whose_deadline_has_passed_unnoticed)
{
    weir_ctx root, child;
    const weir_ns deadline = weir_now() + WEIR_MS(2);
    weir_ctx_init_deadline(&root, NULL, deadline);
    while (weir_now() < deadline) {}
    weir_ctx_init(&child, &root);
    CHECK_INT(weir__ctx_ended(&child), ETIMEDOUT);
    check_ended(&child, ETIMEDOUT, ETIMEDOUT);
    weir_ctx_free(&child);
    check_ended(&root, ETIMEDOUT, ETIMEDOUT);
    weir_ctx_free(&root);
}

/* How many children the list holds; -1 if its links do not agree. */
static int count_children(const weir_ctx *ctx)
{
    const weir_ctx *last = NULL;
    int n = 0;
    for (const weir_ctx *c = ctx->children; c != NULL; last = c, c = c->next_sibling, n++)
        if (c->prev_sibling != last || c->parent != ctx)
            return -1;
    return n;
}

TEST(freeing_unlinks_from_the_parent)
{
    enum { N = 5 };
    static const int order[N] = {2, 0, 4, 1, 3}; /* the middle, both ends, the rest */
    weir_ctx root, child[N];
    weir_ctx_init(&root, NULL);
    for (int i = 0; i < N; i++) {
        weir_ctx_init(&child[i], &root);
        CHECK_INT(count_children(&root), i + 1);
    }
    for (int i = 0; i < N; i++) {
        weir_ctx_free(&child[order[i]]);
        memset(&child[order[i]], 0xdb, sizeof child[0]); /* whoever still follows it crashes */
        CHECK_INT(count_children(&root), N - 1 - i);
    }
    weir_ctx_cancel(&root, 0);
    weir_ctx_free(&root);
}

TEST(a_deep_tree)
{
    enum { DEPTH = 1000 };
    static weir_ctx chain[DEPTH];
    static int key;
    for (int i = 0; i < DEPTH; i++)
        weir_ctx_init_value(&chain[i], i > 0 ? &chain[i - 1] : NULL, i == 0 ? &key : NULL, i == 0 ? &key : NULL);
    CHECK(weir_ctx_value(&chain[DEPTH - 1], &key) == &key);
    weir_ctx_cancel(&chain[500], 5);
    for (int i = 0; i < DEPTH; i++)
        CHECK_INT(weir_ctx_cause(&chain[i]), i < 500 ? 0 : 5);
    weir_ctx_cancel(&chain[0], 6);
    for (int i = 0; i < DEPTH; i++)
        CHECK_INT(weir_ctx_cause(&chain[i]), i < 500 ? 6 : 5);
    for (int i = DEPTH - 1; i >= 0; i--)
        weir_ctx_free(&chain[i]);
}

TEST(a_wide_tree)
{
    enum { WIDTH = 1000 };
    static weir_ctx root, child[WIDTH], below[WIDTH];
    weir_ctx_init(&root, NULL);
    for (int i = 0; i < WIDTH; i++) {
        weir_ctx_init(&child[i], &root);
        weir_ctx_init(&below[i], &child[i]);
    }
    for (int i = 0; i < WIDTH; i += 3) {
        weir_ctx_free(&below[i]);
        weir_ctx_free(&child[i]);
    }
    for (int i = 1; i < WIDTH; i += 3)
        weir_ctx_cancel(&child[i], 1);
    check_alive(&root);
    check_alive(&below[2]);
    weir_ctx_cancel(&root, 2);
    for (int i = 0; i < WIDTH; i++)
        if (i % 3 != 0) {
            check_ended(&below[i], ECANCELED, i % 3);
            weir_ctx_free(&below[i]);
            weir_ctx_free(&child[i]);
        }
    CHECK(root.children == NULL);
    weir_ctx_free(&root);
}

/* ---- values ---- */

TEST(values_are_found_upwards_by_the_keys_address)
{
    static const char user[] = "name", trace[] = "name"; /* equal in contents only */
    int a = 1, b = 2, c = 3;
    weir_ctx root, top, middle, shadow, none;
    weir_ctx_init(&root, NULL);
    weir_ctx_init_value(&top, &root, user, &a);
    weir_ctx_init_value(&middle, &top, trace, &b);
    weir_ctx_init_value(&shadow, &middle, user, &c);
    weir_ctx_init_value(&none, &shadow, trace, NULL);
    CHECK(weir_ctx_value(&root, user) == NULL);
    CHECK(weir_ctx_value(&top, user) == &a);
    CHECK(weir_ctx_value(&top, trace) == NULL);
    CHECK(weir_ctx_value(&middle, user) == &a);
    CHECK(weir_ctx_value(&middle, trace) == &b);
    CHECK(weir_ctx_value(&shadow, user) == &c); /* the nearest */
    CHECK(weir_ctx_value(&shadow, trace) == &b);
    CHECK(weir_ctx_value(&none, trace) == NULL); /* a NULL value hides those above */
    CHECK(weir_ctx_value(&none, user) == &c);
    CHECK(weir_ctx_value(&none, NULL) == NULL);
    CHECK(weir_ctx_value(&none, &a) == NULL);
    weir_ctx_cancel(&root, 0);
    CHECK(weir_ctx_value(&none, user) == &c); /* an end takes no value away */
    weir_ctx_free(&none);
    weir_ctx_free(&shadow);
    weir_ctx_free(&middle);
    weir_ctx_free(&top);
    weir_ctx_free(&root);
}
