/* market_data/fault.h: what can be wrong with the input, and how it is told: FILE:LINE: WHAT.
 *
 * A fault is not an exit: it travels through the pipeline in the place of the message that it stands for, so everything before it is
 * processed and written first, and of two bad rows the first in the file is the one reported, however many threads parse.
 */
#ifndef MARKET_DATA_FAULT_H
#define MARKET_DATA_FAULT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    FAULT_NONE,
    FAULT_NUMBER, /* these have the column in detail … */
    FAULT_OVERFLOW,
    FAULT_NEGATIVE,
    FAULT_TYPE,
    FAULT_DIRECTION,
    FAULT_SHORT, /* … these the number of columns that are there, or allowed … */
    FAULT_LONG,
    FAULT_READ, /* … and this an errno value */
    FAULT_NUL,
    FAULT_LINE_BYTES,
    FAULT_EMPTY,
    FAULT_LEVEL,
    FAULT_VOLUME,
    FAULT_MEMORY
};

struct fault {
    uint8_t code;
    bool in_book; /* in the book file, not in the message file */
    uint16_t detail;
};

static inline const char *fault_column(struct fault f)
{
    static const char *const message[] = {"time", "type", "order id", "size", "price", "direction"};
    static const char *const level[] = {"ask price", "ask size", "bid price", "bid size"};
    return f.in_book ? level[(f.detail - 1) % 4] : message[(f.detail - 1) % 6];
}

static inline void fault_print(FILE *to, const char *file, uint64_t line, struct fault f)
{
    static const char *const text[] = {
        [FAULT_NUMBER] = "not a number",
        [FAULT_OVERFLOW] = "too large a number",
        [FAULT_NEGATIVE] = "negative",
        [FAULT_TYPE] = "unknown type (1 to 7 are known)",
        [FAULT_DIRECTION] = "neither 1 nor -1",
        [FAULT_NUL] = "a NUL byte in the row",
        [FAULT_LINE_BYTES] = "the line is too long",
        [FAULT_EMPTY] = "the file is empty",
        [FAULT_LEVEL] = "the size of the price level overflows",
        [FAULT_VOLUME] = "the traded volume overflows",
        [FAULT_MEMORY] = "out of memory for the book",
    };
    fprintf(to, "%s:%" PRIu64 ": ", file, line);
    if (f.code == FAULT_READ)
        fprintf(to, "cannot be read: %s\n", strerror(f.detail));
    else if (f.code == FAULT_SHORT || f.code == FAULT_LONG)
        fprintf(to, "the row is too %s: %s %u columns\n", f.code == FAULT_SHORT ? "short" : "long",
                f.code == FAULT_SHORT ? "it has" : "more than", (unsigned)f.detail);
    else if (f.code < FAULT_SHORT)
        fprintf(to, "column %u, %s: %s\n", (unsigned)f.detail, fault_column(f), text[f.code]);
    else
        fprintf(to, "%s\n", text[f.code]);
}

#endif /* MARKET_DATA_FAULT_H */
