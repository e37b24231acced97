/* obs/hist.h: percentiles within the promised error, exact where values are small, saturation, merging, many recorders. */
#include "harness.h"

static weir_hist one, two;

TEST(an_empty_histogram_answers_zero)
{
    weir_hist_init(&one);
    CHECK_INT(weir_hist_count(&one), 0);
    CHECK_INT(weir_hist_percentile(&one, 50), 0);
    CHECK_INT(weir_hist_max(&one), 0);
}

TEST(small_values_are_exact)
{
    weir_hist_init(&one);
    for (weir_ns v = 1; v <= 1000; v++)
        weir_hist_record(&one, v);
    CHECK_INT(weir_hist_count(&one), 1000);
    CHECK_INT(weir_hist_percentile(&one, 50), 500);
    CHECK_INT(weir_hist_percentile(&one, 99), 990);
    CHECK_INT(weir_hist_percentile(&one, 99.9), 999);
    CHECK_INT(weir_hist_percentile(&one, 0), 1);
    CHECK_INT(weir_hist_percentile(&one, 100), 1000);
    CHECK_INT(weir_hist_percentile(&one, -5), 1);
    CHECK_INT(weir_hist_percentile(&one, 500), 1000);
}

TEST(every_magnitude_is_within_two_per_mille)
{
    for (weir_ns v = 1; v < (weir_ns)1 << 39; v += v / 7 + 1) {
        weir_hist_init(&one);
        weir_hist_record(&one, v);
        weir_hist_record(&one, v * 2); /* so that the maximum does not hide an error */
        const weir_ns got = weir_hist_percentile(&one, 50);
        const weir_ns off = got > v ? got - v : v - got;
        if (off * 500 > v)
            CHECK_INT(got, v);
    }
}

TEST(buckets_do_not_overlap_and_grow)
{
    size_t last = 0;
    for (uint64_t v = 0; v < (uint64_t)1 << 41; v += v / 3000 + 1) {
        const size_t bucket = weir__hist_bucket(v);
        if (bucket < last || bucket > last + 1)
            CHECK_INT(bucket, last);
        last = bucket;
    }
    CHECK_INT(last, WEIR__HIST_BUCKETS - 1);
    CHECK_INT(weir__hist_bucket(UINT64_MAX), WEIR__HIST_BUCKETS - 1);
}

TEST(huge_and_negative_values_lose_nothing)
{
    weir_hist_init(&one);
    weir_hist_record(&one, -17);
    weir_hist_record(&one, INT64_MAX);
    CHECK_INT(weir_hist_count(&one), 2);
    CHECK_INT(weir_hist_percentile(&one, 50), 0);
    CHECK_INT(weir_hist_percentile(&one, 99), INT64_MAX);
    CHECK_INT(weir_hist_max(&one), INT64_MAX);
}

TEST(merging_adds_counts_and_keeps_the_larger_maximum)
{
    weir_hist_init(&one);
    weir_hist_init(&two);
    for (int i = 0; i < 100; i++) {
        weir_hist_record(&one, 10);
        weir_hist_record(&two, 2000);
    }
    weir_hist_merge(&one, &two);
    CHECK_INT(weir_hist_count(&one), 200);
    CHECK_INT(weir_hist_percentile(&one, 50), 10);
    CHECK_INT(weir_hist_max(&one), 2000);
    CHECK_INT(weir_hist_count(&two), 100);
    weir_hist_merge(&two, &one);
    weir_hist_init(&one);
    weir_hist_record(&one, 5);
    weir_hist_merge(&two, &one); /* a smaller maximum changes nothing */
    CHECK_INT(weir_hist_max(&two), 2000);
    CHECK_INT(weir_hist_count(&two), 301);
}

TEST(no_percentile_is_above_the_maximum)
{
    weir_hist_init(&one);
    weir_hist_record(&one, 1 << 20); /* the lower end of a bucket, whose middle is above it */
    CHECK_INT(weir_hist_percentile(&one, 50), 1 << 20);
}

static void merge_many(void *arg)
{
    static weir_hist mine[4];
    weir_hist *h = &mine[*(int *)arg];
    weir_hist_init(h);
    for (int i = 0; i < (int)test_rounds(2000); i++) {
        weir_hist_record(h, i * 4 + *(int *)arg);
        weir_hist_merge(&two, h);
        weir_hist_init(h);
    }
}

TEST(many_threads_merge_at_once)
{
    int number[4] = {0, 1, 2, 3};
    weir_hist_init(&two);
    test_threads(4, merge_many, number, sizeof number[0]);
    CHECK_INT(weir_hist_count(&two), 4 * (uint64_t)test_rounds(2000));
    CHECK_INT(weir_hist_max(&two), 4 * test_rounds(2000) - 1);
}

static void record_many(void *arg)
{
    const weir_ns base = *(weir_ns *)arg;
    const int n = (int)test_rounds(100000);
    for (int i = 0; i < n; i++)
        weir_hist_record(&one, base + 4 * i); /* each time a new maximum, for which all compete */
}

TEST(many_threads_record_at_once)
{
    weir_ns base[4] = {0, 1, 2, 3};
    weir_hist_init(&one);
    test_threads(4, record_many, base, sizeof base[0]);
    CHECK_INT(weir_hist_count(&one), 4 * (uint64_t)test_rounds(100000));
    CHECK_INT(weir_hist_max(&one), 4 * test_rounds(100000) - 1);
}
