/* enrich_orders/row.h: from a line of LOBSTER's messages to a row. */
#ifndef ENRICH_ORDERS_ROW_H
#define ENRICH_ORDERS_ROW_H

#include "file.h"

struct row {
    struct line line;
    const char *reason; /* why it is a reject; NULL */
    int64_t time, type, order, size, price, side;
    int64_t trade, tick; /* 1: shares have changed hands; the smallest step of prices there */
    char kind[16];
};

/* A whole number between low and high, and the comma or the end behind it. */
static inline bool field(const char **at, char end, int64_t low, int64_t high, int64_t *value)
{
    const bool negative = **at == '-';
    const char *p = *at + negative;
    int64_t n = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if ((n = 10 * n + (*p - '0')) > INT64_C(100000000000000000))
            return false;
    *value = negative ? -n : n;
    *at = p + (*p != '\0');
    return *p == end && *value >= low && *value <= high;
}

/* "34200.004241176" in nanoseconds; what stands behind the ninth digit is rounding of whoever has written it. */
static inline bool time_of_day(const char **at, int64_t *value)
{
    const char *p = *at + strcspn(*at, ".,");
    int64_t seconds, ns = 0, unit = 100000000;
    if (!field(at, *p == '.' ? '.' : ',', 0, 86399, &seconds))
        return false;
    if (*p == '.') {
        if (p[1] < '0' || p[1] > '9')
            return false;
        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
            ns += unit * (*p - '0');
        *at = p + 1;
    }
    *value = seconds * 1000000000 + ns;
    return *p == ',';
}

/* NULL, or what is wrong with the line. */
static inline const char *row_parse(struct row *r)
{
    char *text = r->line.text;
    const char *at = text;
    size_t length = r->line.length;
    if (r->line.too_long)
        return "too long";
    if (strlen(text) != length)
        return "not text";
    if (length > 0 && text[length - 1] == '\r')
        text[length - 1] = '\0';
    if (!time_of_day(&at, &r->time))
        return "time";
    if (!field(&at, ',', 0, INT32_MAX, &r->type))
        return "type";
    if (!field(&at, ',', 0, INT64_MAX, &r->order))
        return "order id";
    if (!field(&at, ',', 0, 100000000, &r->size))
        return "size";
    if (!field(&at, ',', -1, INT64_C(10000000000), &r->price)) /* times size: fits */
        return "price";
    return field(&at, '\0', -1, 1, &r->side) && r->side != 0 ? NULL : "direction";
}

#endif /* ENRICH_ORDERS_ROW_H */
