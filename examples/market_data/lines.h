/* market_data/lines.h: cuts a file into lines, without copying them and without knowing how long it is.
 *
 * The file is read in blocks of 64 KiB; a line is a pointer into its block. What a full block holds of its last line moves to the start
 * of the next block. So memory is bounded whatever is read, a pipe included, and the reader never blocks for more than the kernel
 * has to give.
 *
 * When may a block be filled again? When all its lines have been parsed, by whichever thread. The reader cannot know that. But the
 * first line of the next block knows: it carries `done`, the block before, and once it arrives where the lines are in order
 * again, all lines of that block have passed. Whoever is there gives the block back.
 */
#ifndef MARKET_DATA_LINES_H
#define MARKET_DATA_LINES_H

#include "fault.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { BLOCK_BYTES = 64 * 1024, LINE_BYTES = 8 * 1024 };

struct block {
    char text[BLOCK_BYTES];
};

struct line {
    const char *text; /* without the newline, and the carriage return before it */
    struct block *done;
    uint64_t number; /* from 1 */
    int64_t born;    /* when it entered the pipeline, or was due to */
    uint32_t length;
    uint32_t replay;
    struct fault fault;
};

struct lines {
    int fd;
    int wake; /* a file descriptor: when it becomes readable, stop. -1: never */
    bool in_book;
    bool ended;
    struct block *block, *done;
    size_t begin, end; /* what has been read and not cut yet */
    uint64_t number;
};

enum lines_result { LINES_ONE, LINES_END, LINES_NEED_BLOCK, LINES_STOPPED };

/* Supplies a block that no line points into. */
static inline void lines_give(struct lines *l, struct block *block)
{
    const size_t rest = l->end - l->begin;
    if (rest > 0)
        memcpy(block->text, l->block->text + l->begin, rest);
    l->done = l->block;
    l->block = block;
    l->begin = 0;
    l->end = rest;
}

/* Back to the first line; 0 or an errno value. Lines in flight point into the block, so it is filled on, not over. */
static inline int lines_rewind(struct lines *l)
{
    if (lseek(l->fd, 0, SEEK_SET) != 0)
        return errno;
    l->begin = l->end;
    l->number = 0;
    l->ended = false;
    return 0;
}

static inline enum lines_result lines_fault(struct lines *l, struct line *out, uint8_t code, int detail)
{
    memset(out, 0, sizeof *out);
    out->text = "";
    out->number = l->number + 1;
    out->fault.code = code;
    out->fault.in_book = l->in_book;
    out->fault.detail = (uint16_t)detail;
    return LINES_ONE;
}

static inline enum lines_result lines_cut(struct lines *l, struct line *out, size_t length, size_t newline)
{
    const char *text = l->block->text + l->begin;
    l->begin += length + newline;
    if (length > 0 && text[length - 1] == '\r')
        length--;
    memset(out, 0, sizeof *out);
    out->text = text;
    out->length = (uint32_t)length;
    out->number = ++l->number;
    out->done = l->done;
    l->done = NULL;
    return LINES_ONE;
}

/* Reads what there is, waiting for the first byte or for the wake-up. 0, an errno value, or -1: woken. */
static inline int lines_fill(struct lines *l)
{
    struct pollfd both[2] = {{.fd = l->fd, .events = POLLIN}, {.fd = l->wake, .events = POLLIN}};
    ssize_t got;
    while (poll(both, 2, -1) < 0)
        if (errno != EINTR)
            return errno;
    if (both[1].revents != 0)
        return -1;
    got = read(l->fd, l->block->text + l->end, BLOCK_BYTES - l->end);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    l->ended = got == 0;
    l->end += (size_t)got;
    return 0;
}

/* The next line. A fault is a line too, the last one: out->fault says what. */
static inline enum lines_result lines_next(struct lines *l, struct line *out)
{
    for (;;) {
        const size_t rest = l->end - l->begin;
        const char *newline = rest == 0 ? NULL : memchr(l->block->text + l->begin, '\n', rest);
        const size_t length = newline == NULL ? rest : (size_t)(newline - l->block->text) - l->begin;
        int rc;
        if (length > LINE_BYTES)
            return lines_fault(l, out, FAULT_LINE_BYTES, 0);
        if (newline != NULL)
            return lines_cut(l, out, length, 1);
        if (l->ended && rest > 0)
            return lines_cut(l, out, rest, 0);
        if (l->ended)
            return l->number == 0 ? lines_fault(l, out, FAULT_EMPTY, 0) : LINES_END;
        if (l->block == NULL || l->end == BLOCK_BYTES)
            return LINES_NEED_BLOCK;
        rc = lines_fill(l);
        if (rc < 0)
            return LINES_STOPPED;
        if (rc > 0)
            return lines_fault(l, out, FAULT_READ, rc);
    }
}

/* For one who is through with each line before he asks for the next: two blocks in turn. */
static inline enum lines_result lines_next_alone(struct lines *l, struct line *out, struct block pair[2])
{
    enum lines_result result;
    while ((result = lines_next(l, out)) == LINES_NEED_BLOCK)
        lines_give(l, l->block == &pair[0] ? &pair[1] : &pair[0]);
    return result;
}

#endif /* MARKET_DATA_LINES_H */
