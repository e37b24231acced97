/* market_data/parse.h: from a line of text to a message, or to a row of the book file. */
#ifndef MARKET_DATA_PARSE_H
#define MARKET_DATA_PARSE_H

#include "lines.h"

/* One cache line. The time is checked here and used by the reader alone, to replay at the recorded speed; the order id is checked only:
 * the book counts shares per price, not orders. */
struct message {
    int64_t born;
    uint64_t line;
    struct block *done;
    int64_t size, price;
    uint32_t replay;
    struct fault fault;
    int8_t type, direction;
};

enum {
    TYPE_ADD = 1,
    TYPE_CANCEL,
    TYPE_DELETE,
    TYPE_EXECUTE,
    TYPE_EXECUTE_HIDDEN,
    TYPE_CROSS,
    TYPE_HALT,
    MESSAGE_COLUMNS = 6,
    BOOK_COLUMNS = 400 /* 100 levels */
};

/* A row being read. The first fault sticks, and what comes after it does nothing: so a row is read straight through and judged once. */
struct row {
    const char *at, *end;
    uint16_t column; /* the one that was read last, from 1 */
    struct fault fault;
};

static inline void row_fault(struct row *r, uint8_t code)
{
    if (r->fault.code == FAULT_NONE) {
        r->fault.code = code;
        r->fault.detail = r->column;
    }
}

/* To the start of the next column; false: there is none, or there has been a fault. */
static inline bool row_next(struct row *r)
{
    if (r->at == r->end)
        row_fault(r, FAULT_SHORT);
    if (r->fault.code != FAULT_NONE)
        return false;
    if (r->column++ > 0)
        r->at++; /* the comma */
    return true;
}

static inline bool row_digit(const struct row *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

/* Digits, at least one, up to INT64_MAX. */
static inline int64_t row_digits(struct row *r)
{
    int64_t value = 0;
    if (!row_digit(r))
        row_fault(r, FAULT_NUMBER);
    for (; row_digit(r); r->at++) {
        const int digit = *r->at - '0';
        if (value > (INT64_MAX - digit) / 10) {
            row_fault(r, FAULT_OVERFLOW);
            return 0;
        }
        value = value * 10 + digit;
    }
    return value;
}

static inline void row_column_ends(struct row *r)
{
    if (r->at < r->end && *r->at != ',')
        row_fault(r, FAULT_NUMBER);
}

static inline int64_t row_integer(struct row *r)
{
    int64_t value;
    bool minus;
    if (!row_next(r))
        return 0;
    minus = r->at < r->end && *r->at == '-';
    r->at += minus ? 1 : 0;
    value = row_digits(r);
    row_column_ends(r);
    return minus ? -value : value;
}

static inline int64_t row_not_negative(struct row *r)
{
    const int64_t value = row_integer(r);
    if (value < 0)
        row_fault(r, FAULT_NEGATIVE);
    return value;
}

/* Seconds, as nanoseconds. Not by way of a double: 34200.004241176 has 14 digits, and all of them count. Whoever recorded the data
 * did go by way of one, and left a 35821.088778456004: decimals after the ninth are checked, and dropped. */
static inline int64_t row_time(struct row *r)
{
    int64_t value, unit = 1000000000;
    if (!row_next(r))
        return 0;
    value = row_digits(r);
    if (value >= INT64_MAX / unit) {
        row_fault(r, FAULT_OVERFLOW);
        return 0;
    }
    value *= unit;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!row_digit(r))
            row_fault(r, FAULT_NUMBER);
        for (; row_digit(r); r->at++)
            value += (*r->at - '0') * (unit /= 10);
    }
    row_column_ends(r);
    return value;
}

static inline void row_end(struct row *r)
{
    if (r->at != r->end)
        row_fault(r, FAULT_LONG);
}

static inline struct row row_of(const struct line *l)
{
    struct row r = {l->text, l->text + l->length, 0, l->fault};
    return r;
}

/* A NUL byte deserves better than "not a number"; looked for only when something is wrong. */
static inline struct fault row_verdict(const struct row *r, const struct line *l)
{
    struct fault f = r->fault;
    if (f.code != FAULT_NONE && l->length > 0 && memchr(l->text, 0, l->length) != NULL)
        f.code = FAULT_NUL;
    return f;
}

static inline void parse_message(const struct line *l, struct message *m)
{
    struct row r = row_of(l);
    int64_t type, direction;
    (void)row_time(&r);
    type = row_integer(&r);
    if (type < TYPE_ADD || type > TYPE_HALT)
        row_fault(&r, FAULT_TYPE);
    (void)row_integer(&r); /* order id */
    m->size = row_not_negative(&r);
    m->price = row_integer(&r);
    direction = row_integer(&r);
    if (direction != 1 && direction != -1)
        row_fault(&r, FAULT_DIRECTION);
    row_end(&r);
    m->born = l->born;
    m->line = l->number;
    m->done = l->done;
    m->replay = l->replay;
    m->type = (int8_t)type;
    m->direction = (int8_t)direction;
    m->fault = row_verdict(&r, l);
}

/* The recorded time of a message, for the reader; false if the row does not begin with one: the parser will say so. */
static inline bool parse_time(const struct line *l, int64_t *time)
{
    struct row r = row_of(l);
    *time = row_time(&r);
    return r.fault.code == FAULT_NONE;
}

/* A row of the book: ask price, ask size, bid price, bid size per level. Returns how many columns it has: a multiple of four, and as
 * many as `expected`, unless that is 0. */
static inline unsigned parse_book_row(const struct line *l, int64_t column[BOOK_COLUMNS], unsigned expected,
                                      struct fault *fault)
{
    struct row r = row_of(l);
    const unsigned most = expected > 0 ? expected : BOOK_COLUMNS;
    r.fault.in_book = true;
    do {
        const unsigned i = r.column;
        column[i] = i % 2 == 1 ? row_not_negative(&r) : row_integer(&r);
    } while (r.fault.code == FAULT_NONE && r.column < most && (r.at < r.end || r.column % 4 != 0 || expected > 0));
    row_end(&r);
    *fault = row_verdict(&r, l);
    return r.column;
}

#endif /* MARKET_DATA_PARSE_H */
