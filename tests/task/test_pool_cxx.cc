/* tests/task/test_pool_cxx.cc: a pool in C++: an exception that leaves a job ends that job. */
#include "harness.h"
#include "pool.h"

#include <stdexcept>
#include <string>

static int destroyed;
struct guard {
    ~guard()
    {
        destroyed++;
    }
};

static int throws_a_string(weir_ctx *, void *)
{
    guard g;
    throw std::runtime_error("no good");
}
static int throws_a_code(weir_ctx *, void *arg)
{
    guard g;
    throw *static_cast<int *>(arg);
}
static int abandons(weir_ctx *, void *arg)
{
    weir_job_fail(*static_cast<int *>(arg));
    return 0;
}

static int error_of(weir_pool *p, weir_task_fn *fn, int code)
{
    weir_job_result result = {};
    weir_job_opt opt = {};
    weir_job_future future;
    REQUIRE(weir_future_make(&future) == 0);
    opt.future = future;
    CHECK_INT(weir_pool_submit(nullptr, p, fn, &code, &opt), 0);
    CHECK_INT(weir_future_get(nullptr, future, &result), 0);
    CHECK(result.ran);
    weir_future_free(&future);
    return result.error;
}

TEST(an_exception_ends_its_job_and_no_more)
{
    weir_pool p;
    weir_pool_opt opt = {};
    opt.min = 1;
    REQUIRE(weir_pool_start(&p, nullptr, &opt) == 0);
    for (int i = 1; i <= 100; i++) {
        CHECK_INT(error_of(&p, throws_a_string, 0), WEIR_JOB_THREW);
        CHECK_INT(error_of(&p, throws_a_code, 42), 42);
        CHECK_INT(error_of(&p, throws_a_code, -1), WEIR_JOB_THREW);
        CHECK_INT(error_of(&p, throws_a_code, 0), WEIR_JOB_THREW);
        CHECK_INT(error_of(&p, abandons, 7), 7);
        CHECK_INT(error_of(&p, returns, i), i);
        CHECK_INT(destroyed, 4 * i);
    }
    CHECK_INT(tally_of(&p).failed, 600);
    CHECK_INT(weir_pool_free(&p), 0);
}

static int throws_at_seven(weir_ctx *, void *, const void *in, void *out)
{
    const int i = *static_cast<const int *>(in);
    if (i == 7)
        throw std::string("seven");
    *static_cast<int *>(out) = -i;
    return 0;
}

TEST(an_exception_ends_a_map)
{
    weir_pool p;
    int in[20], out[20];
    size_t which = 0;
    REQUIRE(weir_pool_start(&p, nullptr, nullptr) == 0);
    for (int i = 0; i < 20; i++)
        in[i] = i;
    CHECK_INT(weir_pool_map(nullptr, &p, throws_at_seven, nullptr, in, out, 20, &which), WEIR_JOB_THREW);
    CHECK_INT(which, 7);
    CHECK_INT(weir_pool_map(nullptr, &p, throws_at_seven, nullptr, in, out, 7, nullptr), 0);
    CHECK_INT(out[6], -6);
    CHECK_INT(weir_pool_free(&p), 0);
}
