/* tests/guard/window.h: the three kinds of windows behind one interface, and memory that notices what is written behind it. Instead of the harness. */
#ifndef WEIR_TEST_GUARD_WINDOW_H
#define WEIR_TEST_GUARD_WINDOW_H

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* An allocator that counts its blocks, and notices what is written behind the latest. */
static _Bool no_memory, overrun;
static int blocks;
static unsigned char *fence;
static void *fenced_alloc(size_t align, size_t size)
{
    unsigned char *p = no_memory ? NULL : (unsigned char *)aligned_alloc(align, (size + 8 + align - 1) / align * align);
    if (p == NULL)
        return NULL;
    fence = (unsigned char *)memset(p + size, 0xab, 8);
    blocks++;
    return p;
}
static inline void fenced_free(void *p)
{
    for (int i = 0; i < 8; i++)
        overrun |= fence[i] != 0xab;
    blocks--;
    free(p);
}
#define WEIR_ALLOC(align, size) fenced_alloc((align), (size))
#define WEIR_FREE(p) fenced_free(p)
#include "guard/hand.h"

/* One interface to the three. */

enum kind { FIXED, COUNTERS, EXACT, KINDS };
struct window {
    enum kind kind;
    weir_fixed_window fixed;
    weir_sliding_window sliding;
};

static inline int init(struct window *w, enum kind kind, int64_t limit, weir_ns length, weir_clock *clock)
{
    const weir_window_config config = {.limit = limit, .window = length, .clock = clock, .exact = kind == EXACT};
    w->kind = kind;
    return kind == FIXED ? weir_fixed_window_init(&w->fixed, &config) : weir_sliding_window_init(&w->sliding, &config);
}
static inline int allow(struct window *w, int64_t n)
{
    return w->kind == FIXED ? weir_fixed_window_allow(&w->fixed, n) : weir_sliding_window_allow(&w->sliding, n);
}
static inline int await(weir_ctx *ctx, struct window *w, int64_t n)
{
    return w->kind == FIXED ? weir_fixed_window_wait(ctx, &w->fixed, n) : weir_sliding_window_wait(ctx, &w->sliding, n);
}
static inline int await_until(struct window *w, int64_t n, weir_ns deadline)
{
    return w->kind == FIXED ? weir_fixed_window_wait_until(NULL, &w->fixed, n, deadline)
                            : weir_sliding_window_wait_until(NULL, &w->sliding, n, deadline);
}
static inline int take(struct window *w, int64_t n, weir_ns now, weir_ns *next)
{
    return w->kind == FIXED ? weir__fixed_window_take(&w->fixed, n, now, next)
                            : weir__sliding_window_take(&w->sliding, n, now, next);
}
static inline void done(struct window *w)
{
    if (w->kind == FIXED)
        return;
    weir_sliding_window_free(&w->sliding);
    weir_sliding_window_free(&w->sliding);
    CHECK(blocks == 0 && !overrun);
}
/* How many more go in now, one by one. */
static inline int room(struct window *w)
{
    int n = 0;
    while (allow(w, 1) == 0)
        n++;
    return n;
}

#define FOR_EACH_KIND(w, limit, length, clock)                                                                         \
    for (int kind = FIXED; kind < KINDS && (CHECK_INT(init(&(w), (enum kind)kind, (limit), (length), (clock)), 0), 1); \
         done(&(w)), kind++)

#endif /* WEIR_TEST_GUARD_WINDOW_H */
