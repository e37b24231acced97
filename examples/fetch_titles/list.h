/* fetch_titles/list.h: the lines of a file or a pipe, read until they end or a context does.
 *
 * While the context lives, a read that waits is woken by its end. After that the list is read on as far as it is there: a file to its end, a pipe
 * until it is empty, and one that never is, for `patience`.
 */
#ifndef FETCH_TITLES_LIST_H
#define FETCH_TITLES_LIST_H

#include "weir.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { LIST_BYTES = 16384 };

struct list {
    int in, wake[2]; /* wake: readable once the context has ended; nothing is ever read from it */
    weir_ctx *ctx;
    weir_ctx_hook hook;
    weir_ns patience, until; /* until: 0 while the context lives */
    int error;               /* why it has ended before its time; 0 */
    long line;               /* the number of the last one */
    size_t at, have;
    char text[LIST_BYTES];
};

static inline void list_wake(void *arg)
{
    if (write(((struct list *)arg)->wake[1], "", 1) < 0) {} /* the pipe is empty: there is room */
}

/* file: "-" is standard input. 0 or an errno value. */
static inline int list_open(struct list *l, const char *file, weir_ctx *ctx, weir_ns patience)
{
    l->ctx = ctx;
    l->patience = patience;
    l->in = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (l->in < 0 || pipe(l->wake) != 0)
        return errno;
    (void)weir_ctx_on_cancel(ctx, &l->hook, list_wake, l);
    return 0;
}

/* After list_open has succeeded. */
static inline void list_close(struct list *l)
{
    (void)weir_ctx_off_cancel(l->ctx, &l->hook);
    (void)close(l->in);
    (void)close(l->wake[0]);
    (void)close(l->wake[1]);
}

/* Waits until there is something to read, or the end. False: it is over, because the context is. */
static inline bool list_wait(struct list *l)
{
    for (;;) {
        struct pollfd fds[2] = {{l->in, POLLIN, 0}, {l->wake[0], POLLIN, 0}};
        const bool last = weir_ctx_err(l->ctx) != 0;
        const int ready = poll(fds, last ? 1 : 2, last ? 0 : -1);
        if (last && l->until == 0)
            l->until = weir_time_add(weir_now(), l->patience);
        if (last && (ready == 0 || weir_now() > l->until))
            return false;
        if (ready > 0 && fds[0].revents != 0)
            return true;
    }
}

/* More text. False: there is no more. */
static inline bool list_fill(struct list *l)
{
    ssize_t n;
    do {
        if (!list_wait(l))
            return false;
        n = read(l->in, l->text, sizeof l->text);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        l->error = errno;
    l->at = 0;
    l->have = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* The next line, without its end; of a longer one the first `most` characters. line has room for most + 1. The length; -1: there is none. */
static inline int list_next(struct list *l, char *line, int most)
{
    int length = -1;
    for (;;) {
        if (l->at == l->have && !list_fill(l))
            break;
        if (length < 0)
            length = 0;
        if (l->text[l->at++] == '\n')
            break;
        if (length < most)
            line[length++] = l->text[l->at - 1];
    }
    if (length >= 0)
        l->line++;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length < 0 ? 0 : length] = '\0';
    return length;
}

#endif /* FETCH_TITLES_LIST_H */
