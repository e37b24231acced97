/* weir/obs/prometheus.h: writes metrics in the text form that Prometheus scrapes, into a caller's buffer or a file.
 *
 *     weir_label in[] = {{"channel", "jobs"}, {"side", "send"}};
 *     weir_prometheus_init(&p, buffer, sizeof buffer);
 *     weir_prometheus_family(&p, "waits_total", "How often a thread had to sleep.", WEIR_PROMETHEUS_COUNTER);
 *     weir_prometheus_count(&p, in, 2, waits);
 *     weir_prometheus_family(&p, "latency_seconds", "From send to receive.", WEIR_PROMETHEUS_SUMMARY);
 *     weir_prometheus_hist(&p, in, 2, &latency, NULL);
 *     rc = weir_prometheus_end(&p, &needed);                   0, or EOVERFLOW: the buffer needs `needed` bytes
 *
 * Meaning
 *   A family is a name with its help and type, written once; then come its values, one for each set of labels. The format wants all values of a
 *   family in one place: a name is not to be used again after another. Prometheus measures in seconds, so histograms, which count nanoseconds, are
 *   divided by 10^9 unless told otherwise.
 *   Names are checked, and a call with a bad one writes nothing; label values and help may be any text, and what is not UTF-8 in it becomes U+FFFD.
 *   What is read of a histogram while others record is some moment of each bucket: buckets never decrease, and the count is that of the last.
 *
 * Nothing is allocated. One thread at a time. Content type: text/plain; version=0.0.4.
 * Source: "Exposition formats", prometheus.io/docs/instrumenting/exposition_formats.
 */
#ifndef WEIR_OBS_PROMETHEUS_H
#define WEIR_OBS_PROMETHEUS_H

#include "hist.h"
#include "text.h"

enum {
    WEIR_PROMETHEUS_UNTYPED,
    WEIR_PROMETHEUS_COUNTER,
    WEIR_PROMETHEUS_GAUGE,
    WEIR_PROMETHEUS_HISTOGRAM,
    WEIR_PROMETHEUS_SUMMARY
};

typedef struct weir_label {
    const char *name, *value; /* value: NULL is "" */
} weir_label;

/* Zero means the default, for each. */
typedef struct weir_prometheus_hist_opt {
    /* histogram: upper bounds in the metric's unit, rising; 1e-6 to 10, a decade each. summary: quantiles; .5 .9 .99 .999 1 */
    const double *points;
    size_t point_count; /* of `points` */
    double unit;        /* so many of what was recorded make one of the metric's; 1e9 */
} weir_prometheus_hist_opt;

typedef struct weir_prometheus {
    weir__text text;
    const char *family; /* NULL: none yet */
    int type;
} weir_prometheus;

/* Begins a text in a buffer of `size` bytes, which may be 0 (then only counts), or in a file that is open for writing. */
WEIR_API void weir_prometheus_init(weir_prometheus *p, char *buffer, size_t size);
WEIR_API void weir_prometheus_init_file(weir_prometheus *p, FILE *file);

/* What the following values belong to. name is kept as a pointer until the next one; help may be NULL. The same name as the last one's writes
 * nothing again. EINVAL: a name that is not [a-zA-Z_:][a-zA-Z0-9_:]*, no such type, another type than it had. */
WEIR_API int weir_prometheus_family(weir_prometheus *p, const char *name, const char *help, int type);

/* One value with these labels. EINVAL: no family, one of histograms or summaries; a label's name that is not [a-zA-Z_][a-zA-Z0-9_]*, that begins
 * with "__", or that stands there twice. */
WEIR_API int weir_prometheus_value(weir_prometheus *p, const weir_label *labels, size_t n, double value);
/* The same for a whole number, exactly. */
WEIR_API int weir_prometheus_count(weir_prometheus *p, const weir_label *labels, size_t n, uint64_t value);
/* A histogram, as buckets or as quantiles, after the family's type; opt may be NULL. EINVAL also: another type of family; a label called "le" or
 * "quantile"; bounds that do not rise or are below 0, quantiles outside 0 to 1, a unit below 0. */
WEIR_API int weir_prometheus_hist(weir_prometheus *p, const weir_label *labels, size_t n, weir_hist *h,
                                  const weir_prometheus_hist_opt *opt);

/* Ends it. *needed (may be NULL): the bytes that the whole text takes, its 0 at the end included. 0; EOVERFLOW: the buffer has only the beginning;
 * EIO: the file took not all. More may be written after it. */
WEIR_API int weir_prometheus_end(weir_prometheus *p, size_t *needed);

#endif /* WEIR_OBS_PROMETHEUS_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_PROMETHEUS_IMPLEMENTED)
#define WEIR_OBS_PROMETHEUS_IMPLEMENTED

WEIR_API void weir_prometheus_init(weir_prometheus *p, char *buffer, size_t size)
{
    memset(p, 0, sizeof *p);
    weir__text_init(&p->text, NULL, buffer, size);
}

WEIR_API void weir_prometheus_init_file(weir_prometheus *p, FILE *file)
{
    memset(p, 0, sizeof *p);
    weir__text_init(&p->text, file, NULL, 0);
}

WEIR_API int weir_prometheus_end(weir_prometheus *p, size_t *needed)
{
    if (needed != NULL)
        *needed = p->text.needed + 1;
    return weir__text_end(&p->text);
}

/* ---- names ----------------------------------------------------------------------------------------------------------------- */

static bool weir__prometheus_name(const char *name, bool colons)
{
    if (name == NULL || *name == 0 || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name != 0; name++)
        if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') ||
              *name == '_' || (colons && *name == ':')))
            return false;
    return true;
}

/* own: the label that the caller adds itself, or NULL. */
static bool weir__prometheus_labels(const weir_label *labels, size_t n, const char *own)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = labels[i].name;
        if (!weir__prometheus_name(name, false) || strncmp(name, "__", 2) == 0 ||
            (own != NULL && strcmp(name, own) == 0))
            return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(labels[k].name, name) == 0)
                return false;
    }
    return true;
}

static void weir__prometheus_help(weir__text *t, char c)
{
    if (c == '\\')
        weir__text_string(t, "\\\\");
    else if (c == '\n')
        weir__text_string(t, "\\n");
    else
        weir__text_put(t, &c, 1);
}

static void weir__prometheus_quoted(weir__text *t, char c)
{
    if (c == '"')
        weir__text_string(t, "\\\"");
    else
        weir__prometheus_help(t, c);
}

WEIR_API int weir_prometheus_family(weir_prometheus *p, const char *name, const char *help, int type)
{
    static const char *const types[] = {"untyped", "counter", "gauge", "histogram", "summary"};
    if (!weir__prometheus_name(name, true) || type < WEIR_PROMETHEUS_UNTYPED || type > WEIR_PROMETHEUS_SUMMARY)
        return EINVAL;
    if (p->family != NULL && strcmp(p->family, name) == 0)
        return type == p->type ? 0 : EINVAL;
    p->family = name;
    p->type = type;
    if (help != NULL) {
        weir__text_string(&p->text, "# HELP ");
        weir__text_string(&p->text, name);
        weir__text_put(&p->text, " ", 1);
        weir__text_escaped(&p->text, help, weir__prometheus_help);
        weir__text_put(&p->text, "\n", 1);
    }
    weir__text_string(&p->text, "# TYPE ");
    weir__text_string(&p->text, name);
    weir__text_put(&p->text, " ", 1);
    weir__text_string(&p->text, types[type]);
    weir__text_put(&p->text, "\n", 1);
    return 0;
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

/* What stands before the value. own: a label more, whose value is a number; NULL: none. */
static void weir__prometheus_begin(weir_prometheus *p, const char *suffix, const weir_label *labels, size_t n,
                                   const char *own, double own_value)
{
    weir__text *t = &p->text;
    weir__text_string(t, p->family);
    weir__text_string(t, suffix);
    if (n > 0 || own != NULL)
        weir__text_put(t, "{", 1);
    for (size_t i = 0; i < n; i++) {
        weir__text_string(t, labels[i].name);
        weir__text_string(t, "=\"");
        weir__text_escaped(t, labels[i].value == NULL ? "" : labels[i].value, weir__prometheus_quoted);
        weir__text_string(t, i + 1 < n || own != NULL ? "\"," : "\"");
    }
    if (own != NULL) {
        weir__text_string(t, own);
        weir__text_string(t, "=\"");
        weir__text_double(t, own_value);
        weir__text_string(t, "\"");
    }
    weir__text_string(t, n > 0 || own != NULL ? "} " : " ");
}

static void weir__prometheus_whole(weir_prometheus *p, const char *suffix, const weir_label *labels, size_t n,
                                   const char *own, double own_value, uint64_t value)
{
    weir__prometheus_begin(p, suffix, labels, n, own, own_value);
    weir__text_u64(&p->text, value);
    weir__text_put(&p->text, "\n", 1);
}

static void weir__prometheus_real(weir_prometheus *p, const char *suffix, const weir_label *labels, size_t n,
                                  const char *own, double own_value, double value)
{
    weir__prometheus_begin(p, suffix, labels, n, own, own_value);
    weir__text_double(&p->text, value);
    weir__text_put(&p->text, "\n", 1);
}

static bool weir__prometheus_plain(const weir_prometheus *p, const weir_label *labels, size_t n)
{
    return p->family != NULL && p->type < WEIR_PROMETHEUS_HISTOGRAM && weir__prometheus_labels(labels, n, NULL);
}

WEIR_API int weir_prometheus_value(weir_prometheus *p, const weir_label *labels, size_t n, double value)
{
    if (!weir__prometheus_plain(p, labels, n))
        return EINVAL;
    weir__prometheus_real(p, "", labels, n, NULL, 0, value);
    return 0;
}

WEIR_API int weir_prometheus_count(weir_prometheus *p, const weir_label *labels, size_t n, uint64_t value)
{
    if (!weir__prometheus_plain(p, labels, n))
        return EINVAL;
    weir__prometheus_whole(p, "", labels, n, NULL, 0, value);
    return 0;
}

/* ---- histograms ------------------------------------------------------------------------------------------------------------ */

/* A bound in what was recorded, rounded down, but not where only the multiplication is to blame. */
static weir_ns weir__prometheus_bound(double bound, double unit)
{
    const double exact = bound * unit, raised = exact + exact * 1e-12;
    return raised < 9e18 ? (weir_ns)raised : INT64_MAX;
}

static bool weir__prometheus_points(const weir_prometheus *p, const double *points, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!(points[i] >= 0) || (p->type == WEIR_PROMETHEUS_SUMMARY && points[i] > 1))
            return false;
        if (p->type == WEIR_PROMETHEUS_HISTOGRAM && (!(points[i] <= 1e300) || (i > 0 && points[i] <= points[i - 1])))
            return false;
    }
    return true;
}

WEIR_API int weir_prometheus_hist(weir_prometheus *p, const weir_label *labels, size_t n, weir_hist *h,
                                  const weir_prometheus_hist_opt *opt)
{
    static const double bounds[] = {1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10}, quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
    const bool summary = p->type == WEIR_PROMETHEUS_SUMMARY;
    const bool given = opt != NULL && opt->point_count > 0;
    const double *points = given ? opt->points : summary ? quantiles : bounds;
    const size_t count = given     ? opt->point_count
                         : summary ? sizeof quantiles / sizeof quantiles[0]
                                   : sizeof bounds / sizeof bounds[0];
    const double unit = opt != NULL && !(opt->unit >= 0 && opt->unit <= 0) ? opt->unit : 1e9;
    uint64_t total;
    if (p->family == NULL || p->type < WEIR_PROMETHEUS_HISTOGRAM || !(unit > 0) ||
        !weir__prometheus_points(p, points, count) || !weir__prometheus_labels(labels, n, summary ? "quantile" : "le"))
        return EINVAL;
    for (size_t i = 0; i < count; i++)
        if (summary)
            weir__prometheus_real(p, "", labels, n, "quantile", points[i],
                                  (double)weir_hist_percentile(h, points[i] * 100) / unit);
        else
            weir__prometheus_whole(p, "_bucket", labels, n, "le", points[i],
                                   weir_hist_count_to(h, weir__prometheus_bound(points[i], unit)));
    total = weir_hist_count(h); /* the last look, so that no bucket has more */
    if (!summary)
        weir__prometheus_whole(p, "_bucket", labels, n, "le", (double)__builtin_inf(), total);
    weir__prometheus_real(p, "_sum", labels, n, NULL, 0, weir_hist_sum(h) / unit);
    weir__prometheus_whole(p, "_count", labels, n, NULL, 0, total);
    return 0;
}

#endif /* WEIR_OBS_PROMETHEUS_IMPLEMENTED */
