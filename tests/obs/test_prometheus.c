/* obs/prometheus.h, obs/text.h: what is written is read back by a strict parser of the format; buffers of every size; names and text of every kind.
 * */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the library writes and reads numbers with, in a locale whose point is this; NULL: a point. Such locales are installed nowhere. */
static const char *point_is;

static int local_snprintf(char *to, size_t size, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *const point = point_is != NULL ? strchr(text, '.') : NULL;
    if (point != NULL) {
        memmove(point + strlen(point_is), point + 1, strlen(point + 1) + 1);
        memcpy(point, point_is, strlen(point_is));
        n += (int)strlen(point_is) - 1;
    }
    if (size > (size_t)n)
        memcpy(to, text, (size_t)n + 1);
    return n;
}

static double local_strtod(const char *from, char **end)
{
    char text[200] = "";
    const char *const point = point_is != NULL ? strstr(from, point_is) : NULL;
    if (point == NULL)
        return strtod(from, end);
    memcpy(text, from, (size_t)(point - from));
    strcat(strcat(text, "."), point + strlen(point_is));
    return strtod(text, NULL);
}
#define snprintf local_snprintf
#define strtod local_strtod
#include "harness.h"
#undef snprintf
#undef strtod

static char buffer[100000];
static weir_prometheus p;
static weir_hist hist;

/* ---- a parser that takes nothing but what the format says, in the way that is written here ---- */

struct sample {
    char name[100], labels[8][2][300];
    int label_count;
    double value;
};
static struct {
    const char *at;
    char family[100], type[20];
    struct sample sample[100];
    int count, families;
} parsed;

static bool take(const char *text)
{
    const size_t n = strlen(text);
    if (strncmp(parsed.at, text, n) != 0)
        return false;
    parsed.at += n;
    return true;
}

static bool take_name(char *to, size_t size, bool colons)
{
    const char *const from = parsed.at;
    while ((*parsed.at >= 'a' && *parsed.at <= 'z') || (*parsed.at >= 'A' && *parsed.at <= 'Z') || *parsed.at == '_' ||
           (colons && *parsed.at == ':') || (parsed.at > from && *parsed.at >= '0' && *parsed.at <= '9'))
        parsed.at++;
    const size_t n = (size_t)(parsed.at - from);
    if (n == 0 || n >= size)
        return false;
    memcpy(to, from, n);
    to[n] = 0;
    return true;
}

/* Up to, and with, the end. */
static bool take_text(char *to, size_t size, char end)
{
    size_t n = 0;
    for (; *parsed.at != end; parsed.at++) {
        char c = *parsed.at;
        if (c == 0 || c == '\n' || n + 1 >= size)
            return false;
        if (c == '\\') {
            c = *++parsed.at;
            if (c == 'n')
                c = '\n';
            else if (c != '\\' && (c != '"' || end == '\n'))
                return false;
        }
        to[n++] = c;
    }
    parsed.at++;
    to[n] = 0;
    return true;
}

static bool take_number(double *value)
{
    char *end;
    *value = strtod(parsed.at, &end);
    if (strncmp(parsed.at, "inf", 3) == 0 || strncmp(parsed.at, "nan", 3) == 0 || end == parsed.at)
        return false;
    parsed.at = end;
    return true;
}

static bool belongs(const char *name)
{
    const size_t n = strlen(parsed.family);
    const bool histogram = strcmp(parsed.type, "histogram") == 0, summary = strcmp(parsed.type, "summary") == 0;
    if (strncmp(name, parsed.family, n) != 0)
        return false;
    return (name[n] == 0 && !histogram) || ((histogram || summary) && strcmp(name + n, "_sum") == 0) ||
           ((histogram || summary) && strcmp(name + n, "_count") == 0) ||
           (histogram && strcmp(name + n, "_bucket") == 0);
}

static bool parse_sample(void)
{
    struct sample *s = &parsed.sample[parsed.count++];
    if (!take_name(s->name, sizeof s->name, true) || !belongs(s->name))
        return false;
    s->label_count = 0;
    if (take("{"))
        do {
            char(*label)[300] = s->labels[s->label_count++];
            if (!take_name(label[0], 300, false) || !take("=\"") || !take_text(label[1], 300, '"'))
                return false;
            if (take("}"))
                break;
        } while (take(","));
    return take(" ") && take_number(&s->value) && take("\n");
}

static char help[300];
static bool parse(const char *text)
{
    char name[100];
    memset(&parsed, 0, sizeof parsed);
    for (parsed.at = text; *parsed.at != 0;) {
        const bool helped = take("# HELP ");
        if (helped && !(take_name(name, sizeof name, true) && take(" ") && take_text(help, sizeof help, '\n')))
            return false;
        if (take("# TYPE ")) {
            parsed.families++;
            if (!take_name(parsed.family, sizeof parsed.family, true) || (helped && strcmp(name, parsed.family) != 0) ||
                !take(" ") || !take_name(parsed.type, sizeof parsed.type, false) || !take("\n"))
                return false;
        } else if (helped || !parse_sample()) {
            return false;
        }
    }
    return true;
}

static double value_of(const char *name, const char *label, const char *is)
{
    for (int i = 0; i < parsed.count; i++)
        if (strcmp(parsed.sample[i].name, name) == 0)
            for (int k = 0; k < parsed.sample[i].label_count; k++)
                if (strcmp(parsed.sample[i].labels[k][0], label) == 0 && strcmp(parsed.sample[i].labels[k][1], is) == 0)
                    return parsed.sample[i].value;
    return -1;
}

/* ---- tests ---- */

TEST(what_is_written_is_exactly_this)
{
    const weir_label in[] = {{"channel", "jobs"}, {"side", NULL}}, ends[] = {{"_azAZ09", "x"}};
    size_t needed;
    weir_prometheus_init(&p, buffer, sizeof buffer);
    CHECK_INT(weir_prometheus_family(&p, "waits_total", "How often a\nthread \\slept.", WEIR_PROMETHEUS_COUNTER), 0);
    CHECK_INT(weir_prometheus_count(&p, in, 2, UINT64_MAX), 0);
    CHECK_INT(weir_prometheus_family(&p, "waits_total", "again", WEIR_PROMETHEUS_COUNTER), 0);
    CHECK_INT(weir_prometheus_count(&p, NULL, 0, 0), 0);
    CHECK_INT(weir_prometheus_family(&p, "a:load", NULL, WEIR_PROMETHEUS_GAUGE), 0);
    CHECK_INT(weir_prometheus_value(&p, in, 1, 0.1), 0);
    CHECK_INT(weir_prometheus_value(&p, NULL, 0, -2.5e-7), 0);
    CHECK_INT(weir_prometheus_family(&p, "azAZ_09", NULL, WEIR_PROMETHEUS_UNTYPED), 0);
    CHECK_INT(weir_prometheus_count(&p, ends, 1, 3), 0);
    CHECK_INT(weir_prometheus_end(&p, &needed), 0);
    CHECK_STR(buffer, "# HELP waits_total How often a\\nthread \\\\slept.\n"
                      "# TYPE waits_total counter\n"
                      "waits_total{channel=\"jobs\",side=\"\"} 18446744073709551615\n"
                      "waits_total 0\n"
                      "# TYPE a:load gauge\n"
                      "a:load{channel=\"jobs\"} 0.1\n"
                      "a:load -2.5e-07\n"
                      "# TYPE azAZ_09 untyped\n"
                      "azAZ_09{_azAZ09=\"x\"} 3\n");
    CHECK_INT(needed, strlen(buffer) + 1);
    CHECK(parse(buffer));
    CHECK_INT(parsed.families, 3);
    CHECK_STR(help, "How often a\nthread \\slept.");
}

static void write_all(void)
{
    const weir_label odd[] = {{"path", "C:\\DIR\n\"x\" {=,} é 漢 😀"}, {"_", "\\n"}};
    (void)weir_prometheus_family(&p, "odd", "\"as it is\"", WEIR_PROMETHEUS_UNTYPED);
    (void)weir_prometheus_count(&p, odd, 2, 7);
    (void)weir_prometheus_family(&p, "h_seconds", NULL, WEIR_PROMETHEUS_HISTOGRAM);
    (void)weir_prometheus_hist(&p, odd, 2, &hist, NULL);
    (void)weir_prometheus_family(&p, "s_seconds", NULL, WEIR_PROMETHEUS_SUMMARY);
    (void)weir_prometheus_hist(&p, odd, 1, &hist, NULL);
}

TEST(odd_labels_come_back_as_they_were)
{
    weir_hist_init(&hist);
    weir_hist_record(&hist, WEIR_MS(3));
    weir_prometheus_init(&p, buffer, sizeof buffer);
    write_all();
    CHECK_INT(weir_prometheus_end(&p, NULL), 0);
    REQUIRE(parse(buffer));
    CHECK_INT(value_of("odd", "path", "C:\\DIR\n\"x\" {=,} é 漢 😀"), 7);
    CHECK_INT(value_of("odd", "_", "\\n"), 7);
    CHECK_INT(value_of("h_seconds_count", "_", "\\n"), 1);
    CHECK(value_of("h_seconds_bucket", "le", "0.001") == 0 && value_of("h_seconds_bucket", "le", "0.01") == 1);
    CHECK(value_of("s_seconds", "quantile", "1") == 0.003);
}

TEST(a_buffer_of_any_size_is_never_overrun)
{
    static char small[20000];
    size_t needed, again;
    weir_prometheus_init(&p, buffer, sizeof buffer);
    write_all();
    CHECK_INT(weir_prometheus_end(&p, &needed), 0);
    REQUIRE(needed < sizeof small);
    for (size_t size = 0; size <= needed + 1; size += TEST_SANITIZED ? 37 : 1) {
        memset(small, 'x', sizeof small);
        weir_prometheus_init(&p, size > 0 ? small : NULL, size);
        write_all();
        CHECK_INT(weir_prometheus_end(&p, &again), size < needed ? EOVERFLOW : 0);
        CHECK_INT(again, needed);
        if (small[size] != 'x' || (size > 0 && strncmp(small, buffer, size < needed ? size - 1 : size) != 0))
            CHECK_INT(size, -1);
        if (size > 0)
            CHECK_INT(strlen(small), size < needed ? size - 1 : needed - 1);
    }
}

TEST(a_file_gets_the_same)
{
    char *text = NULL;
    size_t size, needed;
    FILE *file = open_memstream(&text, &size), *full = fopen("/dev/full", "w");
    REQUIRE(file != NULL);
    weir_prometheus_init(&p, buffer, sizeof buffer);
    write_all();
    CHECK_INT(weir_prometheus_end(&p, NULL), 0);
    weir_prometheus_init_file(&p, file);
    write_all();
    CHECK_INT(weir_prometheus_end(&p, &needed), 0);
    fclose(file);
    CHECK_STR(text, buffer);
    CHECK_INT(needed, size + 1);
    free(text);
    if (full != NULL) {
        weir_prometheus_init_file(&p, full);
        write_all();
        CHECK_INT(weir_prometheus_end(&p, NULL), EIO);
        fclose(full);
    }
}

TEST(an_error_in_the_middle_of_a_file_is_told_at_the_end)
{
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL)
        SKIP("needs /dev/full");
    setvbuf(full, NULL, _IONBF, 0); /* so that writing fails, and there is nothing left to flush */
    weir_prometheus_init_file(&p, full);
    write_all();
    CHECK_INT(fflush(full), 0);
    CHECK_INT(weir_prometheus_end(&p, NULL), EIO);
    fclose(full);
}

TEST(bad_names_are_refused_and_nothing_is_written)
{
    const char *const bad[] = {"", "1a", "a-b", "a b", "a\n", "é", "{", "a/", "a@", "a[", "a`", NULL};
    const char *const bad_labels[] = {"a:b", "__name__", "__"};
    const weir_label twice[] = {{"a", "1"}, {"b", "2"}, {"a", "3"}}, le[] = {{"le", "1"}},
                     quantile[] = {{"quantile", "1"}};
    weir_label label = {NULL, "x"};
    size_t before, after;
    weir_prometheus_init(&p, buffer, sizeof buffer);
    CHECK_INT(weir_prometheus_count(&p, NULL, 0, 1), EINVAL); /* no family */
    CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, NULL), EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_INT(weir_prometheus_family(&p, bad[i], NULL, WEIR_PROMETHEUS_GAUGE), EINVAL);
    CHECK_INT(weir_prometheus_family(&p, "a", NULL, WEIR_PROMETHEUS_SUMMARY + 1), EINVAL);
    CHECK_INT(weir_prometheus_family(&p, "a", NULL, -1), EINVAL);
    (void)weir_prometheus_end(&p, &before);
    CHECK_INT(before, 1);
    CHECK_INT(weir_prometheus_family(&p, "a", NULL, WEIR_PROMETHEUS_GAUGE), 0);
    CHECK_INT(weir_prometheus_family(&p, "a", NULL, WEIR_PROMETHEUS_COUNTER), EINVAL);
    (void)weir_prometheus_end(&p, &before);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        label.name = bad[i];
        CHECK_INT(weir_prometheus_value(&p, &label, 1, 1), EINVAL);
    }
    for (size_t i = 0; i < sizeof bad_labels / sizeof bad_labels[0]; i++) {
        label.name = bad_labels[i];
        CHECK_INT(weir_prometheus_count(&p, &label, 1, 1), EINVAL);
    }
    CHECK_INT(weir_prometheus_count(&p, twice, 3, 1), EINVAL);
    CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, NULL), EINVAL);
    (void)weir_prometheus_end(&p, &after);
    CHECK_INT(after, before);
    const double falling[] = {1, 1}, below[] = {-1}, above[] = {0.5, 1.1}, none[] = {__builtin_nan("")},
                 all[] = {__builtin_inf()};
    const weir_prometheus_hist_opt opts[] = {{falling, 2, 0}, {below, 1, 0}, {none, 1, 0}, {all, 1, 0}, {NULL, 0, -1}};
    const weir_prometheus_hist_opt wrong[] = {{above, 2, 0}, {below, 1, 0}, {none, 1, 0}};
    CHECK_INT(weir_prometheus_family(&p, "h", NULL, WEIR_PROMETHEUS_HISTOGRAM), 0);
    (void)weir_prometheus_end(&p, &before);
    CHECK_INT(weir_prometheus_count(&p, NULL, 0, 1), EINVAL);
    CHECK_INT(weir_prometheus_hist(&p, le, 1, &hist, NULL), EINVAL);
    for (size_t i = 0; i < sizeof opts / sizeof opts[0]; i++)
        CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, &opts[i]), EINVAL);
    (void)weir_prometheus_end(&p, &after);
    CHECK_INT(after, before);
    CHECK_INT(weir_prometheus_family(&p, "s", NULL, WEIR_PROMETHEUS_SUMMARY), 0);
    CHECK_INT(weir_prometheus_hist(&p, quantile, 1, &hist, NULL), EINVAL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, &wrong[i]), EINVAL);
    CHECK(parse(buffer));
}

TEST(what_is_not_utf_8_becomes_a_replacement_character)
{
#define R "\xEF\xBF\xBD"
    const char *const texts[][2] = {{"a\xFFz", "a" R "z"},
                                    {"\xC0\x80", R R},             /* overlong */
                                    {"\xE0\x80\x80", R R R},       /* overlong */
                                    {"\xED\xA0\x80", R R R},       /* a surrogate */
                                    {"\xF4\x90\x80\x80", R R R R}, /* beyond the last */
                                    {"\xF5\x80\x80\x80", R R R R}, /* no lead */
                                    {"\xF0\x8F\xBF\xBF", R R R R}, /* overlong */
                                    {"\xE6\xBC", R R},             /* it ends */
                                    {"\xC3(", R "("},              /* no continuation */
                                    {"\x80", R},                   /* nothing before it */
                                    {"\xF4\x8F\xBF\xBF\xEE\x80\x80\xED\x9F\xBF\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80",
                                     "\xF4\x8F\xBF\xBF\xEE\x80\x80\xED\x9F\xBF\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const weir_label label = {"text", texts[i][0]};
        weir_prometheus_init(&p, buffer, sizeof buffer);
        (void)weir_prometheus_family(&p, "m", texts[i][0], WEIR_PROMETHEUS_GAUGE);
        CHECK_INT(weir_prometheus_count(&p, &label, 1, 1), 0);
        REQUIRE(weir_prometheus_end(&p, NULL) == 0 && parse(buffer));
        CHECK_STR(parsed.sample[0].labels[0][1], texts[i][1]);
        CHECK_STR(help, texts[i][1]);
    }
}

static double written(double value)
{
    weir_prometheus_init(&p, buffer, sizeof buffer);
    (void)weir_prometheus_family(&p, "m", NULL, WEIR_PROMETHEUS_GAUGE);
    CHECK_INT(weir_prometheus_value(&p, NULL, 0, value), 0);
    REQUIRE(weir_prometheus_end(&p, NULL) == 0 && parse(buffer) && parsed.count == 1);
    return parsed.sample[0].value;
}

TEST(numbers_come_back_as_they_were)
{
    uint64_t bits = (uint64_t)test_seed() + 88172645463325252U;
    const double some[] = {0, 1, -1, 0.1, 1.0 / 3, 1e15, 123456789012345678.0, 5e-324, 1.7976931348623157e308};
    double value;
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
        CHECK(written(some[i]) == some[i]);
    for (long i = 0; i < test_rounds(20000); i++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (value - value == 0 && written(value) != value)
            CHECK_INT(bits, 0);
    }
    CHECK(written(__builtin_nan("")) != 0 && strstr(buffer, "m NaN\n") != NULL);
    CHECK(written(__builtin_inf()) > 0 && strstr(buffer, "m +Inf\n") != NULL);
    CHECK(written(-__builtin_inf()) < 0 && strstr(buffer, "m -Inf\n") != NULL);
}

TEST(the_point_is_a_point_in_every_locale)
{
    const char *const points[] = {",", "\xD9\xAB"};
    for (size_t i = 0; i < 2; i++) {
        point_is = points[i];
        CHECK(written(0.1) == 0.1);
        CHECK(strstr(buffer, "m 0.1\n") != NULL);
        CHECK(written(-1.0 / 3e-9) == -1.0 / 3e-9);
    }
    point_is = NULL;
}

TEST(a_histogram_has_rising_buckets_and_a_summary_quantiles)
{
    const double bounds[] = {0, 1, 2.5, 10, 1e20}, quantiles[] = {0, 0.25, 1};
    const weir_prometheus_hist_opt by_bound = {bounds, 5, 1}, by_quantile = {quantiles, 3, 2};
    weir_hist_init(&hist);
    for (weir_ns v = 0; v < 20; v++)
        weir_hist_record(&hist, v);
    weir_prometheus_init(&p, buffer, sizeof buffer);
    (void)weir_prometheus_family(&p, "h", NULL, WEIR_PROMETHEUS_HISTOGRAM);
    CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, &by_bound), 0);
    (void)weir_prometheus_family(&p, "s", NULL, WEIR_PROMETHEUS_SUMMARY);
    CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, &by_quantile), 0);
    CHECK_INT(weir_prometheus_end(&p, NULL), 0);
    CHECK_STR(buffer, "# TYPE h histogram\n"
                      "h_bucket{le=\"0\"} 1\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2.5\"} 3\nh_bucket{le=\"10\"} 11\n"
                      "h_bucket{le=\"1e+20\"} 20\nh_bucket{le=\"+Inf\"} 20\nh_sum 190\nh_count 20\n"
                      "# TYPE s summary\n"
                      "s{quantile=\"0\"} 0\ns{quantile=\"0.25\"} 2\ns{quantile=\"1\"} 9.5\ns_sum 95\ns_count 20\n");
    CHECK(parse(buffer));
}

TEST(a_bound_is_what_it_says_in_nanoseconds)
{
    for (weir_ns v = 1; v < 2048; v++) { /* v / 1e9 * 1e9 is below v for some of them */
        const double bound = (double)v / 1e9;
        const weir_prometheus_hist_opt opt = {&bound, 1, 0};
        if (v != 15 && v != 30 && v % 64 != 0)
            continue;
        weir_hist_init(&hist);
        weir_hist_record(&hist, v);
        weir_hist_record(&hist, v + 1);
        weir_prometheus_init(&p, buffer, sizeof buffer);
        (void)weir_prometheus_family(&p, "h", NULL, WEIR_PROMETHEUS_HISTOGRAM);
        CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, &opt), 0);
        REQUIRE(parse(buffer));
        CHECK_INT(parsed.sample[0].value, 1);
    }
}

static int stop; /* atomic */
static void record(void *unused)
{
    (void)unused;
    for (weir_ns v = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); v = (v * 7 + 1) % WEIR_SEC(20))
        weir_hist_record(&hist, v);
}

TEST(buckets_never_decrease_while_others_record)
{
    stop = 0;
    weir_hist_init(&hist);
    struct test_team *team = test_start(2, record, NULL, 0);
    for (long i = 0; i < test_rounds(200); i++) {
        double last = 0;
        weir_prometheus_init(&p, buffer, sizeof buffer);
        (void)weir_prometheus_family(&p, "h", NULL, WEIR_PROMETHEUS_HISTOGRAM);
        CHECK_INT(weir_prometheus_hist(&p, NULL, 0, &hist, NULL), 0);
        REQUIRE(parse(buffer) && parsed.count == 11);
        for (int k = 0; k < 9; k++) {
            CHECK(parsed.sample[k].value >= last);
            last = parsed.sample[k].value;
        }
        CHECK(parsed.sample[10].value == last);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    test_join(team);
}
