/* tests/guard/test_breaker_cxx.cc: a breaker in C++: an exception that leaves a call ends its permit, as a failure. */
#include "harness.h"

static int throws(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    throw *static_cast<int *>(arg);
}
static int answers(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return *static_cast<int *>(arg);
}

static int call_that_throws(weir_breaker *b)
{
    int what = 42;
    try {
        return weir_breaker_call(nullptr, b, throws, &what);
    } catch (int thrown) {
        CHECK_INT(thrown, what);
        return -1;
    }
}

TEST(an_exception_is_a_failure_and_goes_on_to_the_caller)
{
    weir_breaker b;
    weir_breaker_tally tally;
    weir_breaker_config config = {};
    config.consecutive = 2;
    config.open_time = 1;
    int good = 0;
    REQUIRE(weir_breaker_init(&b, &config) == 0);
    CHECK_INT(call_that_throws(&b), -1);
    weir_breaker_counts(&b, &tally);
    CHECK_INT(tally.consecutive, 1);
    CHECK_INT(call_that_throws(&b), -1);
    CHECK_INT(weir_breaker_state(&b), WEIR_BREAKER_OPEN);
    EVENTUALLY(call_that_throws(&b) == -1); /* the one place of half-open: it reopens */
    CHECK_INT(weir_breaker_state(&b), WEIR_BREAKER_OPEN);
    EVENTUALLY(weir_breaker_call(nullptr, &b, answers, &good) == 0);
    CHECK_INT(weir_breaker_state(&b), WEIR_BREAKER_CLOSED);
}

TEST(a_static_breaker_in_cxx)
{
    static weir_breaker b = WEIR_BREAKER_INIT(1, WEIR_SEC(60));
    int bad = 7;
    CHECK_INT(weir_breaker_call(nullptr, &b, answers, &bad), 7);
    CHECK_INT(weir_breaker_call(nullptr, &b, answers, &bad), EAGAIN);
}
