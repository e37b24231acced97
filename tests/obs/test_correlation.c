/* obs/correlation.h: the nearest number upwards, through children and tasks. */
#include "harness.h"

static int looks(weir_ctx *ctx, void *arg)
{
    __atomic_store_n((uint64_t *)arg, weir_correlation(ctx), __ATOMIC_RELAXED);
    return 0;
}

TEST(the_nearest_number_upwards_counts)
{
    const uint64_t large = UINTPTR_MAX;
    weir_ctx root, one, value, two, none;
    int key, thing;
    weir_ctx_init(&root, NULL);
    weir_correlation_init(&one, &root, 4711);
    weir_ctx_init_value(&value, &one, &key, &thing);
    weir_correlation_init(&two, &value, large);
    weir_correlation_init(&none, &two, 0);
    CHECK_INT(weir_correlation(NULL), 0);
    CHECK_INT(weir_correlation(&root), 0);
    CHECK_INT(weir_correlation(&one), 4711);
    CHECK_INT(weir_correlation(&value), 4711);
    CHECK(weir_ctx_value(&two, &key) == &thing);
    CHECK(weir_correlation(&two) == large);
    CHECK_INT(weir_correlation(&none), 0);
    weir_ctx_cancel(&one, 0);
    CHECK_INT(weir_ctx_err(&none), ECANCELED);
    CHECK(weir_correlation(&two) == large);
    weir_ctx_free(&none);
    weir_ctx_free(&two);
    weir_ctx_free(&value);
    weir_ctx_free(&one);
    weir_ctx_free(&root);
}

TEST(tasks_of_groups_and_stages_of_pipelines_have_it)
{
    weir_ctx request;
    weir_group g;
    weir_pipeline p;
    uint64_t seen = 0, seen_in_stage = 0;
    weir_correlation_init(&request, NULL, 99);
    weir_group_init(&g, &request, NULL);
    weir_pipeline_init(&p, &request);
    CHECK_INT(weir_group_go(NULL, &g, looks, &seen), 0);
    CHECK_INT(weir_pipeline_go(&p, NULL, looks, &seen_in_stage, NULL, 0), 0);
    CHECK_INT(weir_group_wait(&g), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(seen, 99);
    CHECK_INT(seen_in_stage, 99);
    weir_group_free(&g);
    weir_ctx_free(&request);
}
