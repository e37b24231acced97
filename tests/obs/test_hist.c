/* obs/hist.h: percentiles within the promised error, exact where values are small, saturation, merging, what was omitted, many recorders. */
#include "../core/before.h"

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

TEST(every_magnitude_is_within_half_a_per_mille)
{
    for (weir_ns v = 1; v < (weir_ns)1 << 39; v += v / 7 + 1) {
        weir_hist_init(&one);
        weir_hist_record(&one, v);
        weir_hist_record(&one, v * 2); /* so that the maximum does not hide an error */
        const weir_ns got = weir_hist_percentile(&one, 50);
        const weir_ns off = got > v ? got - v : v - got;
        if (off * 2000 > v)
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

static weir_hist raced;
static weir_ns faster;
static void records(void *word)
{
    (void)word;
    weir_hist_record(&raced, faster);
}

TEST(the_larger_of_two_that_race_is_the_maximum)
{
    for (faster = 50; faster <= 150; faster += 50) {
        memset(&raced, 0, sizeof raced);
        weir_hist_record(&raced, 20);
        before_swap = records;
        weir_hist_record(&raced, 100);
        CHECK(before_swap == NULL);
        CHECK_INT(weir_hist_max(&raced), faster > 100 ? faster : 100);
        CHECK_INT(weir_hist_count(&raced), 3);
    }
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

/* ---- against the sorted values themselves ---- */

static int by_value(const void *one_value, const void *other_value)
{
    const weir_ns x = *(const weir_ns *)one_value, y = *(const weir_ns *)other_value;
    return x < y ? -1 : x > y;
}

static bool close_to(double got, double exact)
{
    const double off = got - exact;
    return (off < 0 ? -off : off) <= exact * 0.0005 + 1e-9;
}

TEST(percentiles_sums_and_counts_are_those_of_the_sorted_values)
{
    static weir_ns all[20000];
    const double percents[] = {0.001, 1, 10, 50, 75, 90, 99, 99.9, 99.99};
    srand((unsigned)test_seed() + 1);
    for (int round = 0; round < 6; round++) {
        const size_t n = round == 0 ? 1 : round == 1 ? 2 : sizeof all / sizeof all[0];
        double sum = 0;
        weir_hist_init(&one);
        for (size_t i = 0; i < n; i++) { /* each magnitude as often as any other */
            all[i] = (weir_ns)(((uint64_t)rand() << 31 | (uint64_t)rand()) >> (23 + rand() % 40));
            weir_hist_record(&one, all[i]);
            sum += (double)all[i];
        }
        qsort(all, n, sizeof all[0], by_value);
        for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
            size_t rank = (size_t)((double)n * percents[i] / 100);
            rank += (double)rank < (double)n * percents[i] / 100;
            const weir_ns exact = all[rank > 0 ? rank - 1 : 0], got = weir_hist_percentile(&one, percents[i]);
            if (!close_to((double)got, (double)exact))
                CHECK_INT(got, exact);
        }
        CHECK(close_to(weir_hist_sum(&one), sum));
        CHECK_INT(weir_hist_max(&one), all[n - 1]);
        for (size_t i = 0; i < n; i += n / 7 + 1) {
            const uint64_t to = weir_hist_count_to(&one, all[i]);
            CHECK(to >= i + 1 && to <= n);
            CHECK(to == n || weir__hist_bucket((uint64_t)all[to]) > weir__hist_bucket((uint64_t)all[i]));
            CHECK(weir__hist_bucket((uint64_t)all[to - 1]) <= weir__hist_bucket((uint64_t)all[i]));
        }
        CHECK_INT(weir_hist_count_to(&one, INT64_MAX), n);
        CHECK_INT(weir_hist_count_to(&one, -1), 0);
    }
}

TEST(values_that_differ_by_a_thousandth_are_told_apart)
{
    for (weir_ns v = 1000; v < (weir_ns)1 << 39; v += v / 5)
        CHECK(weir__hist_bucket((uint64_t)v) < weir__hist_bucket((uint64_t)(v + v / 1000)));
}

/* ---- what was omitted ---- */

TEST(a_corrected_record_is_the_same_as_recording_each_value_that_was_omitted)
{
    const weir_ns values[] = {-5, 0, 1, 99, 100, 101, 199, 200, 1000, 1 << 20, 123456789};
    const weir_ns intervals[] = {1, 3, 100, 777, 1 << 19};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        for (size_t k = 0; k < sizeof intervals / sizeof intervals[0]; k++) {
            if (values[i] / intervals[k] > 2000000)
                continue;
            weir_hist_init(&one);
            weir_hist_init(&two);
            weir_hist_record_corrected(&one, values[i], intervals[k]);
            weir_hist_record(&two, values[i]);
            for (weir_ns v = values[i] - intervals[k]; v >= intervals[k]; v -= intervals[k])
                weir_hist_record(&two, v);
            CHECK(memcmp(&one, &two, sizeof one) == 0);
        }
}

TEST(a_corrected_record_of_anything_ends)
{
    weir_hist_init(&one);
    weir_hist_record_corrected(&one, INT64_MAX, 1);
    CHECK_INT(weir_hist_count(&one), INT64_MAX);
    weir_hist_init(&one);
    weir_hist_record_corrected(&one, 1000, 0);
    weir_hist_record_corrected(&one, 1000, -7);
    weir_hist_record_corrected(&one, INT64_MIN, INT64_MAX);
    CHECK_INT(weir_hist_count(&one), 3);
    /* a hundred requests of 1 ms and one of 100 ms, every millisecond: half of them would have waited */
    weir_hist_init(&one);
    for (int i = 0; i < 100; i++)
        weir_hist_record_corrected(&one, WEIR_MS(1), WEIR_MS(1));
    weir_hist_record_corrected(&one, WEIR_MS(100), WEIR_MS(1));
    CHECK_INT(weir_hist_count(&one), 200);
    CHECK(close_to((double)weir_hist_percentile(&one, 75), (double)WEIR_MS(50)));
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

static void record_corrected_many(void *arg)
{
    for (int i = 1; i <= (int)test_rounds(20000); i++)
        weir_hist_record_corrected(&one, (i % 50) * 1000 + *(int *)arg, 1000);
}

TEST(corrected_records_that_race_add_up)
{
    int number[4] = {0, 1, 2, 3};
    uint64_t expected = 0;
    weir_hist_init(&one);
    test_threads(4, record_corrected_many, number, sizeof number[0]);
    for (int i = 1; i <= (int)test_rounds(20000); i++)
        expected += 4 * (i % 50 < 2 ? 1 : (uint64_t)(i % 50));
    CHECK_INT(weir_hist_count(&one), expected);
}

static void record_many(void *arg)
{
    const weir_ns base = *(weir_ns *)arg;
    const int n = (int)test_rounds(100000);
    for (int i = 0; i < n; i++)
        weir_hist_record(&one, base + test_wide(4) * i); /* each time a new maximum, for which all compete */
}

TEST(many_threads_record_at_once)
{
    weir_ns base[TEST_WIDEST];
    const int n = test_wide(4);
    for (int i = 0; i < n; i++)
        base[i] = i;
    weir_hist_init(&one);
    test_threads(n, record_many, base, sizeof base[0]);
    CHECK_INT(weir_hist_count(&one), (uint64_t)n * (uint64_t)test_rounds(100000));
    CHECK_INT(weir_hist_max(&one), n * test_rounds(100000) - 1);
}
