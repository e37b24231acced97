/* tests/task/test_pool.c: what a pool does with a job: order, deadlines, results; names and processors. */
#include "harness.h"

#include "pool.h"

/* ---- running ---- */

TEST(each_job_runs_once)
{
    weir_pool p;
    int ran = 0, n = (int)test_rounds(20000);
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    for (int i = 0; i < n; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(counted(&ran), n);
    CHECK_INT(tally_of(&p).done, n);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, NULL), EPIPE);
    CHECK_INT(weir_thread_count(), 0);
    CHECK_INT(weir_pool_free(&p), 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(a_job_that_returns_an_error_is_counted_apart_if_nothing_was_asked_for_it_too)
{
    weir_pool p;
    int codes[] = {33, 0};
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    for (int i = 0; i < 2; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, returns, &codes[i], NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(tally_of(&p).failed, 1);
    CHECK_INT(tally_of(&p).done, 1);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(misuse_is_told_and_changes_nothing)
{
    weir_pool p;
    int ran = 0;
    const weir_pool_opt narrow = {.min = 3, .max = 2}, odd = {.overflow = 9}, huge = {.queue = SIZE_MAX / 16},
                        strange = {.wait = 77}, none = {.overflow = -1}, hasty = {.grow_wait = -1},
                        restless = {.idle = -1}, good = {.max = 1};
    const weir_job_opt high = {.priority = 3}, low = {.priority = -2}, how = {.overflow = 6}, no_way = {.overflow = -1},
                       late = {.deadline = -1}, slow = {.timeout = -1};
    CHECK_INT(weir_pool_start(&p, NULL, &narrow), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &odd), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &strange), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &none), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &hasty), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &restless), EINVAL);
    CHECK_INT(weir_pool_start(&p, NULL, &huge), EOVERFLOW);
    REQUIRE(weir_pool_start(&p, NULL, &good) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, NULL, NULL, NULL), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &high), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &low), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &how), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &no_way), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &late), EINVAL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &slow), EINVAL);
    CHECK_INT(weir_pool_resize(&p, 0, 1), EINVAL);
    CHECK_INT(weir_pool_resize(&p, 2, 1), EINVAL);
    CHECK_INT(weir_pool_free(&p), 0);
    CHECK_INT(ran, 0);
}

TEST(who_submits_looks_behind_a_fence_where_the_workers_cannot_make_one)
{
    weir_pool p;
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    CHECK_INT((weir__load_rlx(&p.queue.idle.attention) & WEIR__ATTENTION_FENCE) == 0, weir__fence_asymmetric());
    CHECK_INT(weir_pool_free(&p), 0);
}

/* ---- order ---- */

static int order[400], ordered; /* written by one worker */
static int takes_its_turn(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    order[ordered++] = *(int *)arg;
    return 0;
}

TEST(higher_priorities_first_and_each_in_its_order)
{
    weir_pool p;
    struct gate g;
    int number[16];
    ordered = 0;
    start_blocked(&p, &g, NULL);
    for (int i = 0; i < 16; i++) {
        const weir_job_opt opt = {.priority = i % 4 - 1};
        number[i] = (i % 4 - 1) * 100 + i;
        CHECK_INT(weir_pool_submit(NULL, &p, takes_its_turn, &number[i], &opt), 0);
    }
    end(&p, &g);
    for (int i = 0; i < 16; i++)
        CHECK_INT(order[i], number[i % 4 * 4 + 3 - i / 4]);
}

TEST(no_priority_is_starved)
{
    weir_pool p;
    struct gate g;
    static const int level[] = {WEIR_JOB_LOW, WEIR_JOB_NORMAL, WEIR_JOB_HIGH, WEIR_JOB_URGENT};
    const weir_pool_opt opt = {.age = 4, .queue = 200};
    int at[4] = {0, 0, 0, 0};
    ordered = 0;
    start_blocked(&p, &g, &opt);
    for (int i = 0; i < 100; i++)
        for (int l = 0; l < 4; l++) {
            const weir_job_opt job = {.priority = level[l]};
            if (l == 3 || i < 3) /* three of each, among a hundred urgent ones */
                CHECK_INT(weir_pool_submit(NULL, &p, takes_its_turn, (void *)(uintptr_t)&level[l], &job), 0);
        }
    end(&p, &g);
    CHECK_INT(ordered, 109);
    for (int i = 0; i < ordered; i++)
        for (int l = 0; l < 3; l++)
            if (order[i] == level[l]) {
                at[l]++;
                CHECK(i < at[l] * (4 + 4)); /* a turn in age + 4 jobs at least */
            }
    CHECK(at[0] == 3 && at[1] == 3 && at[2] == 3);
    CHECK(order[0] == WEIR_JOB_URGENT && order[1] == WEIR_JOB_URGENT && order[2] == WEIR_JOB_URGENT);
}

TEST(a_lower_priority_has_its_turn_after_just_as_many_jobs)
{
    weir_pool p;
    struct gate g;
    static const int low = WEIR_JOB_LOW, urgent = WEIR_JOB_URGENT;
    const weir_pool_opt opt = {.age = 4};
    ordered = 0;
    start_blocked(&p, &g, &opt); /* by a job of a higher priority: the first */
    for (int i = 0; i < 15; i++) {
        const weir_job_opt job = {.priority = i < 3 ? low : urgent};
        CHECK_INT(weir_pool_submit(NULL, &p, takes_its_turn, (void *)(uintptr_t)(i < 3 ? &low : &urgent), &job), 0);
    }
    end(&p, &g);
    for (int i = 0; i < 15; i++)
        CHECK_INT(order[i], i == 3 || i == 8 || i == 13 ? low : urgent);
}

/* ---- time ---- */

TEST(a_job_whose_deadline_passes_in_the_queue_is_not_run)
{
    weir_pool p;
    struct gate g;
    int ran = 0;
    weir_job_result result = {0}, future_result = {0};
    const weir_job_opt opt = {.id = 1, .deadline = weir_now() + WEIR_MS(1), .done = keeps, .done_arg = &result},
                       later = {.id = 2, .deadline = WEIR_FOREVER, .done = keeps, .done_arg = &future_result};
    start_blocked(&p, &g, NULL);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &later), 0);
    while (weir_now() < opt.deadline)
        sched_yield();
    end(&p, &g);
    CHECK_INT(ran, 1);
    CHECK(result.id == 1 && result.error == ETIMEDOUT && !result.ran && result.queued > 0 && result.running == 0);
    CHECK(future_result.id == 2 && future_result.error == 0 && future_result.ran);
}

static int notes_deadline(weir_ctx *ctx, void *arg)
{
    *(weir_ns *)arg = weir_ctx_deadline(ctx);
    return 0;
}
TEST(a_time_limit_needs_no_other_option)
{
    weir_pool p;
    weir_ns seen[2] = {0, 0};
    const weir_ns begun = weir_now();
    const weir_job_opt deadline = {.deadline = begun + WEIR_SEC(1000)}, timeout = {.timeout = WEIR_SEC(500)};
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, notes_deadline, &seen[0], &deadline), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, notes_deadline, &seen[1], &timeout), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(seen[0], deadline.deadline);
    CHECK(seen[1] >= begun + timeout.timeout && seen[1] <= weir_now() + timeout.timeout);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(a_job_that_runs_sees_its_timeout_and_its_deadline)
{
    weir_pool p;
    weir_job_result a = {0}, b = {0};
    const weir_pool_opt two = {.min = 2};
    const weir_job_opt timeout = {.timeout = WEIR_MS(1), .done = keeps, .done_arg = &a},
                       deadline = {.deadline = weir_now() + WEIR_SEC(1),
                                   .timeout = WEIR_SEC(100),
                                   .done = keeps,
                                   .done_arg = &b};
    REQUIRE(weir_pool_start(&p, NULL, &two) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, until_ended, NULL, &timeout), 0);
    CHECK_INT(weir_pool_submit(NULL, &p, until_ended, NULL, &deadline), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK(a.error == ETIMEDOUT && a.ran && a.running >= WEIR_MS(1));
    CHECK(b.error == ETIMEDOUT && b.ran);
    CHECK_INT(tally_of(&p).failed, 2);
    CHECK_INT(tally_of(&p).expired, 0);
    CHECK_INT(weir_pool_free(&p), 0);
}

/* ---- results ---- */

static int takes_a_moment(weir_ctx *ctx, void *arg)
{
    const weir_ns begun = weir_now();
    (void)ctx;
    (void)arg;
    while (weir_now() == begun) {}
    return 0;
}
TEST(times_are_told_however_a_result_is_asked_for)
{
    weir_pool p;
    weir_job_result result[3] = {{0}, {0}, {0}};
    weir_job_results results;
    weir_job_future future;
    const weir_ns begun = weir_now();
    REQUIRE(weir_chan_make(&results, 1) == 0);
    REQUIRE(weir_future_make(&future) == 0);
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    const weir_job_opt opt[] = {{.done = keeps, .done_arg = &result[0]}, {.results = results}, {.future = future}};
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, takes_a_moment, NULL, &opt[i]), 0);
    CHECK_INT(weir_recv(NULL, results, &result[1]), 0);
    CHECK_INT(weir_future_get(NULL, future, &result[2]), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    for (int i = 0; i < 3; i++)
        CHECK(result[i].ran && result[i].queued >= 0 && result[i].running > 0 &&
              result[i].queued + result[i].running <= weir_now() - begun);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_chan_free(&results);
    weir_future_free(&future);
}

TEST(results_by_channel_future_and_callback_tell_the_same)
{
    weir_pool p;
    int code = 33;
    weir_job_result told = {0}, received = {0}, got = {0};
    weir_job_results results;
    weir_job_future future;
    REQUIRE(weir_chan_make(&results, 1) == 0);
    REQUIRE(weir_future_make(&future) == 0);
    REQUIRE(weir_pool_start(&p, NULL, NULL) == 0);
    const weir_job_opt opt = {.id = 5, .done = keeps, .done_arg = &told, .results = results, .future = future};
    CHECK_INT(weir_pool_submit(NULL, &p, returns, &code, &opt), 0);
    CHECK_INT(weir_recv(NULL, results, &received), 0);
    CHECK_INT(weir_future_get(NULL, future, &got), 0);
    CHECK(got.id == 5 && got.output == &code && got.error == 33 && got.ran && got.queued > 0 && got.running >= 0);
    CHECK(memcmp(&got, &received, offsetof(weir_job_result, ran)) == 0 && received.queued == got.queued);
    CHECK(told.id == got.id && told.error == got.error && told.running == got.running);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_future_free(&future);
    weir_chan_free(&results);
}

TEST(a_full_channel_of_results_holds_the_worker_until_the_pool_is_stopped)
{
    weir_pool p;
    int ran = 0, left = 0;
    weir_job_results results;
    const weir_pool_opt one = {.min = 1};
    REQUIRE(weir_chan_make(&results, 1) == 0);
    REQUIRE(weir_pool_start(&p, NULL, &one) == 0);
    const weir_job_opt opt = {.results = results};
    for (int i = 0; i < 4; i++)
        CHECK_INT(weir_pool_submit(NULL, &p, counts, &ran, &opt), 0);
    EVENTUALLY(weir__waitq_sleepers(&WEIR__CHAN(results)->senders) == 1);
    CHECK_INT(counted(&ran), 2);
    CHECK_INT(weir_recv(NULL, results, NULL), 0);
    EVENTUALLY(counted(&ran) == 3);
    CHECK_INT(weir_pool_stop(&p), 0);
    while (weir_try_recv(results, NULL) == 0)
        left++;
    CHECK_INT(left, 1);
    CHECK_INT(tally_of(&p).unreported, 2);
    CHECK_INT(weir_pool_free(&p), 0);
    weir_chan_free(&results);
}

/* ---- names and processors ---- */

static int names_itself(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return pthread_getname_np(pthread_self(), (char *)arg, 16);
}

TEST(threads_are_named_and_pinned)
{
    weir_pool p;
    char name[16] = "";
    const int cpus[] = {0, 100000};
    const weir_pool_opt opt = {.min = 1, .name = "a_very_long_name_of_a_pool", .cpus = cpus, .cpus_count = 2};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, names_itself, name, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_STR(name, "a_very_long_n-0");
    CHECK_INT(weir_pool_free(&p), 0);
}

static int counts_cpus(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    *(int *)arg = weir_cpu_count();
    return 0;
}

TEST(a_pinned_worker_has_one_processor)
{
    weir_pool p;
    cpu_set_t all;
    size_t first = 0;
    int cpu, count = 0;
    REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
    while (!CPU_ISSET(first, &all))
        first++;
    cpu = (int)first;
    const weir_pool_opt opt = {.min = 1, .cpus = &cpu, .cpus_count = 1};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts_cpus, &count, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(count, 1);
    CHECK_INT(weir_pool_free(&p), 0);
}

TEST(a_list_of_no_processors_pins_nobody)
{
    weir_pool p;
    int cpu = 0, count = 0;
    const weir_pool_opt opt = {.min = 1, .cpus = &cpu};
    REQUIRE(weir_pool_start(&p, NULL, &opt) == 0);
    CHECK_INT(weir_pool_submit(NULL, &p, counts_cpus, &count, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &p), 0);
    CHECK_INT(count, weir_cpu_count());
    CHECK_INT(weir_pool_free(&p), 0);
}
