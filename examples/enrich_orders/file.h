/* enrich_orders/file.h: the lines of the file, and at each of them a position that says which lines came before. */
#ifndef ENRICH_ORDERS_FILE_H
#define ENRICH_ORDERS_FILE_H

#include "../common/program.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TEXT_MAX = 119 };
#define DIGEST_BEGIN UINT64_C(0xcbf29ce484222325) /* FNV-1a, 64 bits */
#define DIGEST_PRIME UINT64_C(0x100000001b3)

struct position {
    int64_t line;
    uint64_t digest; /* of all lines up to this one, each with a newline */
};

struct line {
    struct position at;
    bool cut;        /* it is the last, and has no newline */
    bool too_long;   /* `text` is its beginning */
    unsigned length; /* of text */
    char text[TEXT_MAX + 1];
};

struct file {
    const char *name;
    FILE *in;
    struct position read;
};

/* 0 or an errno value; then it has said so. */
static inline int file_open(struct file *f, const char *name)
{
    int rc = 0;
    f->name = name;
    f->read.digest = DIGEST_BEGIN;
    if ((f->in = fopen(name, "rb")) == NULL) {
        rc = errno;
        fprintf(stderr, "%s: %s: %s\n", program_name, name, strerror(rc));
    }
    return rc;
}

/* The next line, of any length, in bounded memory. EPIPE: there is none; EIO. */
static inline int file_line(struct file *f, struct line *line)
{
    uint64_t digest = f->read.digest;
    size_t length = 0;
    int c;
    while ((c = getc_unlocked(f->in)) != EOF && c != '\n') {
        digest = (digest ^ (unsigned char)c) * DIGEST_PRIME;
        if (length++ < TEXT_MAX)
            line->text[length - 1] = (char)c;
    }
    if (ferror(f->in)) {
        fprintf(stderr, "%s: %s: cannot be read\n", program_name, f->name);
        return EIO;
    }
    if (c == EOF && length == 0)
        return EPIPE;
    line->cut = c == EOF;
    line->too_long = length > TEXT_MAX;
    line->length = line->too_long ? TEXT_MAX : (unsigned)length;
    line->text[line->length] = '\0';
    f->read.digest = (digest ^ '\n') * DIGEST_PRIME;
    f->read.line++;
    line->at = f->read;
    return 0;
}

/* Passes the lines up to `to`. EINVAL: they are not those; EIO: it has said so. */
static inline int file_skip(struct file *f, const struct position *to)
{
    struct line line;
    int rc = 0;
    while (f->read.line < to->line && (rc = file_line(f, &line)) == 0) {}
    if (rc == EIO || to->line == 0)
        return rc;
    return rc != 0 || f->read.digest != to->digest ? EINVAL : 0;
}

#endif /* ENRICH_ORDERS_FILE_H */
