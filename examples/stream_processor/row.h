/* stream_processor/row.h: from a line of CSV to a row: its time, key, price and size. */
#ifndef STREAM_PROCESSOR_ROW_H
#define STREAM_PROCESSOR_ROW_H

#include "../market_data/lines.h" /* cuts a file into lines */
#include "options.h"

enum { KEY_TEXT = 24, NUMBER_TEXT = 40 };

struct row {
    weir_ns time;
    double price, size;
    char key[KEY_TEXT]; /* filled up with zeros: all of it is compared */
};

struct cell {
    const char *text;
    size_t length;
};

/* Seconds, exact to the nanosecond: a double is not. */
static inline bool cell_time(struct cell c, weir_ns *time)
{
    weir_ns whole = 0, rest = 0, unit = 1000000000;
    size_t i = 0, digits = 0;
    for (; i < c.length && c.text[i] >= '0' && c.text[i] <= '9'; i++, digits++)
        if ((whole = 10 * whole + (c.text[i] - '0')) > 4000000000)
            return false;
    if (digits > 0 && i < c.length && c.text[i] == '.')
        for (i++; i < c.length && c.text[i] >= '0' && c.text[i] <= '9'; i++)
            rest += (c.text[i] - '0') * (unit /= 10);
    *time = whole * 1000000000 + rest;
    return digits > 0 && i == c.length;
}

static inline bool cell_number(struct cell c, double *number)
{
    char text[NUMBER_TEXT], *end;
    if (c.length == 0 || c.length >= sizeof text || memchr("+-.0123456789", c.text[0], 13) == NULL)
        return false;
    memcpy(text, c.text, c.length);
    text[c.length] = '\0';
    if (text[strspn(text, "+-.0123456789eE")] != '\0')
        return false;
    *number = strtod(text, &end);
    return *end == '\0' && *number < 1e300 && *number > -1e300;
}

/* NULL, or what is wrong. */
static inline const char *row_parse(const unsigned column[COLUMNS], const struct line *line, struct row *row)
{
    struct cell cells[COLUMNS_MAX];
    const char *at = line->text, *end = line->text + line->length;
    unsigned n = 0;
    for (; n < COLUMNS_MAX; n++) {
        const char *comma = (const char *)memchr(at, ',', (size_t)(end - at));
        cells[n].text = at;
        cells[n].length = (size_t)((comma == NULL ? end : comma) - at);
        if (comma == NULL)
            break;
        at = comma + 1;
    }
    for (int i = 0; i < COLUMNS; i++)
        if (column[i] > n + 1)
            return "too few columns";
    memset(row, 0, sizeof *row);
    if (!cell_time(cells[column[TIME] - 1], &row->time))
        return "not a time";
    if (!cell_number(cells[column[PRICE] - 1], &row->price) || !cell_number(cells[column[SIZE] - 1], &row->size))
        return "not a number";
    if (cells[column[KEY] - 1].length >= KEY_TEXT || memchr(line->text, '\0', line->length) != NULL)
        return "not a key";
    memcpy(row->key, cells[column[KEY] - 1].text, cells[column[KEY] - 1].length);
    return NULL;
}

#endif /* STREAM_PROCESSOR_ROW_H */
