/* log_pipeline/source.h: the lines of all files, one file after the other; with --follow also what is added to them, for ever. */
#ifndef LOG_PIPELINE_SOURCE_H
#define LOG_PIPELINE_SOURCE_H

#include "../common/arguments.h"
#include "weir.h"

#include <poll.h>
#include <sys/stat.h>

enum { LINE_TEXT = 500, BLOCK = 65536, FILES_MAX = 64 };

struct source {
    const char *name;
    int fd;
    long number;       /* of the line that was cut last */
    bool overlong;     /* the line has begun in an earlier block */
    bool replaced;     /* another file has its name */
    size_t begin, end; /* what has been read and not been cut yet */
    char text[BLOCK];
};

struct line {
    const struct source *source;
    long number;
    size_t length; /* more than LINE_TEXT: it was cut off */
    char text[LINE_TEXT];
};

struct reader {
    weir_ctx *stop; /* it ends, and wake becomes readable: no more lines */
    int wake[2];    /* nothing is ever read from it */
    bool follow;
    bool unreadable; /* one of the sources */
    struct source *sources[FILES_MAX];
    size_t source_count, current, idle;
    long read; /* lines */
};

/* 0 or an errno value. */
static inline int reader_add(struct reader *r, const char *name)
{
    struct source *s;
    if (r->source_count == FILES_MAX)
        return EMFILE;
    s = (struct source *)or_die(calloc(1, sizeof *s));
    r->sources[r->source_count++] = s;
    s->name = name;
    s->fd = argument_open(name);
    return s->fd < 0 ? errno : 0;
}

static inline void reader_free(struct reader *r)
{
    for (size_t i = 0; i < r->source_count; i++) {
        if (r->sources[i]->fd > STDIN_FILENO)
            close(r->sources[i]->fd);
        free(r->sources[i]);
    }
    if (r->wake[0] > 0)
        close(r->wake[0]), close(r->wake[1]);
}

/* When the program is to stop: a reader that sleeps in poll looks at no context. */
static inline void reader_wake(void *arg)
{
    if (write(((struct reader *)arg)->wake[1], "", 1) < 0) {} /* the pipe is empty: there is room */
}

/* The next line that has its end, or, at the end of the file, what is left. False: none. */
static inline bool source_cut(struct source *s, bool at_end, struct line *line)
{
    const char *from = s->text + s->begin, *newline = (const char *)memchr(from, '\n', s->end - s->begin);
    const size_t size = newline != NULL ? (size_t)(newline - from) : s->end - s->begin;
    if (newline == NULL && !(at_end && (size > 0 || s->overlong)))
        return false;
    line->source = s;
    line->number = ++s->number;
    line->length = s->overlong ? LINE_TEXT + 1 : size;
    memcpy(line->text, from, size < LINE_TEXT ? size : LINE_TEXT);
    s->begin += size + (newline != NULL);
    s->overlong = false;
    return true;
}

/* Reads what there is; waits for the first byte, or until the program stops. The number of bytes, 0: the end; or -1. */
static inline ssize_t reader_fill(struct reader *r, struct source *s)
{
    struct pollfd both[2] = {{s->fd, POLLIN, 0}, {r->wake[0], POLLIN, 0}};
    ssize_t n;
    if (s->begin == 0 && s->end == BLOCK) { /* no end of the line in all of it: too long, and not needed */
        s->overlong = true;
        s->end = 0;
    }
    memmove(s->text, s->text + s->begin, s->end - s->begin);
    s->end -= s->begin;
    s->begin = 0;
    do {
        n = poll(both, 2, -1) < 0 || both[1].revents != 0 ? -1 : read(s->fd, s->text + s->end, BLOCK - s->end);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN) && weir_ctx_err(r->stop) == 0);
    s->end += n > 0 ? (size_t)n : 0;
    return n;
}

/* --follow, at the end of the file: when it was truncated or another has taken its name, begins with its first line. */
static inline void source_look_again(struct source *s)
{
    struct stat is, was;
    int fd;
    if (fstat(s->fd, &was) != 0 || !S_ISREG(was.st_mode))
        return;
    if (lseek(s->fd, 0, SEEK_CUR) > was.st_size) {
        (void)lseek(s->fd, 0, SEEK_SET);
    } else {
        if (stat(s->name, &is) != 0 || (is.st_ino == was.st_ino && is.st_dev == was.st_dev))
            return;
        s->replaced = !s->replaced;
        if (s->replaced) /* something may have been written after we had read its end, and before it was renamed: once more */
            return;
        if ((fd = open(s->name, O_RDONLY | O_NONBLOCK)) < 0)
            return;
        close(s->fd);
        s->fd = fd;
    }
    s->number = 0;
    s->begin = s->end = 0; /* a line without its end never gets one */
    s->overlong = false;
}

/* Has no whole line of the current source. Reads on, there or in the next. 0: look for a line again; EPIPE: that was all; or ECANCELED. */
static inline int reader_on(struct reader *r, struct line *line, bool *got)
{
    struct source *s = r->sources[r->current];
    const ssize_t n = reader_fill(r, s);
    if (n < 0 && weir_ctx_err(r->stop) == 0) {
        fprintf(stderr, "%s: %s: %s\n", program_name, s->name, strerror(errno));
        r->unreadable = true;
    }
    if (n > 0) {
        r->idle = 0;
        return 0;
    }
    if (!r->follow) {
        *got = source_cut(s, true, line);
        return !*got && ++r->current == r->source_count ? EPIPE : 0;
    }
    source_look_again(s);
    r->current = (r->current + 1) % r->source_count;
    if (++r->idle < r->source_count)
        return 0;
    r->idle = 0; /* none has anything */
    return weir_sleep(r->stop, WEIR_MS(50));
}

/* Waits for the next line. EPIPE: there is none, or the program stops. */
static inline int reader_next(struct reader *r, struct line *line)
{
    bool got = false;
    while (!got) {
        if (weir_ctx_err(r->stop) != 0)
            return EPIPE;
        got = source_cut(r->sources[r->current], false, line);
        if (!got && reader_on(r, line, &got) != 0)
            return EPIPE;
    }
    r->read++;
    return 0;
}

#endif /* LOG_PIPELINE_SOURCE_H */
