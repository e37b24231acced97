/* tests/core/test_time.c: points and durations on the monotonic clock. */
#include "harness.h"

/* Usable where a constant is needed, whatever the argument looks like. */
static const weir_ns constants[] = {WEIR_NS(1 + 1), WEIR_US(1 + 1), WEIR_MS(1 + 1), WEIR_SEC(1 + 1)};

TEST(units)
{
    CHECK_INT(constants[0], 2);
    CHECK_INT(constants[1], 2000);
    CHECK_INT(constants[2], 2000000);
    CHECK_INT(constants[3], 2000000000);
    CHECK_INT(WEIR_MS(-3), -3000000);
    /* The widening comes before the product: this does not fit an int. */
    CHECK_INT(WEIR_SEC(86400), 86400000000000);
    CHECK_INT(WEIR_MS(0x7fffffff), 0x7fffffffLL * 1000000);
    CHECK(WEIR_FOREVER == INT64_MAX);
}

TEST(sums)
{
    CHECK_INT(weir_time_add(0, 0), 0);
    CHECK_INT(weir_time_add(100, 23), 123);
    CHECK_INT(weir_time_add(100, -123), -23);
    CHECK_INT(weir_time_add(-100, -23), -123);
    CHECK_INT(weir_time_add(INT64_MIN, INT64_MAX), -1);
}

TEST(sums_stop_at_the_ends)
{
    CHECK(weir_time_add(WEIR_FOREVER, 0) == WEIR_FOREVER);
    CHECK(weir_time_add(WEIR_FOREVER, 1) == WEIR_FOREVER);
    CHECK(weir_time_add(WEIR_FOREVER, WEIR_FOREVER) == WEIR_FOREVER);
    CHECK(weir_time_add(1, WEIR_FOREVER) == WEIR_FOREVER);
    CHECK(weir_time_add(0, WEIR_FOREVER) == WEIR_FOREVER);
    CHECK(weir_time_add(WEIR_FOREVER - 5, 5) == WEIR_FOREVER);
    CHECK(weir_time_add(WEIR_FOREVER - 5, 4) == WEIR_FOREVER - 1);
    CHECK(weir_time_add(WEIR_FOREVER - 5, 6) == WEIR_FOREVER);
    CHECK(weir_time_add(weir_now(), WEIR_FOREVER) == WEIR_FOREVER);
    CHECK(weir_time_add(INT64_MIN, -1) == INT64_MIN);
    CHECK(weir_time_add(INT64_MIN + 5, -5) == INT64_MIN);
    CHECK(weir_time_add(INT64_MIN + 5, -4) == INT64_MIN + 1);
    CHECK(weir_time_add(-5, INT64_MIN) == INT64_MIN);
    CHECK(weir_time_add(WEIR_FOREVER, -1) == WEIR_FOREVER - 1);
}

static weir_ns system_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return WEIR_SEC(t.tv_sec) + t.tv_nsec;
}

/* Between two looks at CLOCK_MONOTONIC stands a third: any other clock (boot time may equal it) or unit would fall
 * outside. */
TEST(now_is_the_monotonic_clock)
{
    for (long i = test_rounds(10000); i > 0; i--) {
        const weir_ns before = system_clock(CLOCK_MONOTONIC), now = weir_now(), after = system_clock(CLOCK_MONOTONIC);
        CHECK(before <= now && now <= after);
    }
}

TEST(now_never_falls_back)
{
    weir_ns last = weir_now();
    const weir_ns first = last;
    while (last - first < WEIR_MS(20)) {
        const weir_ns now = weir_now();
        if (!CHECK(now >= last))
            break;
        last = now;
    }
}

TEST(now_leaves_errno_alone)
{
    errno = 42;
    (void)weir_now();
    CHECK_INT(errno, 42);
}
