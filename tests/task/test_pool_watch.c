/* task/pool.h, watched: jobs in a trace, and correlation ids that come with the context of whoever submits, or with the job. */
#include "harness.h"

static int notes_id(weir_ctx *ctx, void *arg)
{
    __atomic_store_n((uint64_t *)arg, weir_correlation(ctx), __ATOMIC_SEQ_CST);
    return 0;
}

static int fails(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    weir_job_fail(EIO);
    return 0;
}

TEST(a_job_has_the_id_of_the_context_it_was_submitted_with_or_its_own)
{
    const weir_pool_opt opt = {.min = 2, .correlate = true};
    const weir_job_opt own = {.correlation = 5}, timed = {.timeout = WEIR_SEC(100)},
                       plain = {.priority = WEIR_JOB_HIGH};
    uint64_t seen[5] = {1, 1, 1, 1, 1};
    weir_ctx request;
    weir_pool pool;
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    weir_correlation_init(&request, NULL, 4711);
    CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen[0], NULL), 0);
    CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen[1], &own), 0);
    CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen[2], &timed), 0);
    CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen[3], &plain), 0);
    CHECK_INT(weir_pool_submit(NULL, &pool, notes_id, &seen[4], NULL), 0);
    weir_ctx_free(&request); /* jobs do not use it */
    CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    CHECK_INT(seen[0], 4711);
    CHECK_INT(seen[1], 5);
    CHECK_INT(seen[2], 4711);
    CHECK_INT(seen[3], 4711);
    CHECK_INT(seen[4], 0);
    CHECK_INT(weir_pool_free(&pool), 0);
}

TEST(a_pool_that_is_not_asked_carries_only_a_jobs_own_id)
{
    const weir_job_opt own = {.correlation = 5};
    uint64_t seen[2] = {1, 1};
    weir_ctx request;
    weir_pool pool;
    REQUIRE(weir_pool_start(&pool, NULL, NULL) == 0);
    weir_correlation_init(&request, NULL, 4711);
    CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen[0], NULL), 0);
    CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen[1], &own), 0);
    CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    CHECK_INT(seen[0], 0);
    CHECK_INT(seen[1], 5);
    CHECK_INT(weir_pool_free(&pool), 0);
    weir_ctx_free(&request);
}

TEST(the_id_comes_through_the_full_queue_into_the_caller)
{
    const weir_pool_opt opt = {.min = 1, .queue = 1, .correlate = true, .overflow = WEIR_OVERFLOW_CALLER};
    uint64_t seen[64];
    weir_ctx request;
    weir_pool pool;
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    weir_correlation_init(&request, NULL, 4711);
    for (int i = 0; i < 64; i++)
        CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen[i], NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    for (int i = 0; i < 64; i++)
        CHECK_INT(seen[i], 4711);
    CHECK_INT(weir_pool_free(&pool), 0);
    weir_ctx_free(&request);
}

static int group_task(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

TEST(each_job_that_ran_is_an_event_with_its_name_and_id)
{
    weir_trace_event events[16];
    weir_trace trace;
    const weir_pool_opt opt = {.min = 2, .name = "pages", .trace = &trace};
    const weir_job_opt named = {.name = "resize", .correlation = 9};
    weir_group_opt group_opt = {.limit = 1};
    uint64_t seen;
    weir_ctx request;
    weir_group g;
    weir_pool pool;
    FILE *file = tmpfile();
    char text[8000];
    size_t length;
    REQUIRE(file != NULL && weir_trace_init(&trace, events, 16, NULL) == 0);
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    weir_correlation_init(&request, NULL, 4711);
    CHECK_INT(weir_pool_submit(&request, &pool, notes_id, &seen, NULL), 0);
    CHECK_INT(weir_pool_submit(&request, &pool, fails, NULL, &named), 0);
    group_opt.runner = weir_pool_runner(&pool);
    weir_group_init(&g, NULL, &group_opt);
    CHECK_INT(weir_group_go(NULL, &g, group_task, NULL), 0);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
    CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    CHECK_INT(seen, 4711);
    CHECK_INT(weir_trace_count(&trace), 3);
    CHECK_INT(weir_trace_write(&trace, file), 0);
    rewind(file);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = '\0';
    CHECK(strstr(text, "\"name\":\"pages\",\"cat\":\"job\"") != NULL);
    CHECK(strstr(text, "\"name\":\"resize\",\"cat\":\"job\"") != NULL);
    CHECK(strstr(text, "\"name\":\"pages\",\"cat\":\"task\"") != NULL);
    CHECK(strstr(text, "4711") != NULL);
    fclose(file);
    CHECK_INT(weir_pool_free(&pool), 0);
    weir_ctx_free(&request);
}

TEST(what_was_not_run_is_no_event)
{
    weir_trace_event events[4];
    weir_trace trace;
    const weir_pool_opt opt = {.min = 1, .trace = &trace};
    const weir_job_opt late = {.deadline = 1};
    uint64_t seen = 77;
    weir_pool pool;
    REQUIRE(weir_trace_init(&trace, events, 4, NULL) == 0);
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &pool, notes_id, &seen, &late), 0);
    CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    CHECK_INT(weir_trace_count(&trace), 0);
    CHECK_INT(seen, 77);
    CHECK_INT(weir_pool_free(&pool), 0);
}
