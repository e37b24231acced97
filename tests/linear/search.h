/* tests/linear/search.h: is there an order of a short history's calls that a channel could have had? The exact answer, by trying them all
 * (J. Wing, C. Gong, "Testing and verifying concurrent objects", 1993). Ten calls or so.
 */
#ifndef WEIR_TEST_LINEAR_SEARCH_H
#define WEIR_TEST_LINEAR_SEARCH_H

#include "history.h"

enum { SEARCH_CALLS = 16 };

struct search {
    const struct history *h;
    unsigned done; /* bits */
    bool closed;
    int queue[SEARCH_CALLS], first, last; /* queue[first, last) */
};

/* Whether the call may take effect now; if so it does. */
static inline bool search_apply(struct search *s, const struct call *c)
{
    const int length = s->last - s->first;
    switch (c->what) {
    case SENT:
        if (s->closed || length >= s->h->capacity)
            return false;
        s->queue[s->last++] = c->value;
        return true;
    case RECEIVED:
        if (length == 0 || s->queue[s->first] != c->value)
            return false;
        s->first++;
        return true;
    case FULL: return !s->closed && length >= s->h->capacity;
    case EMPTY: return !s->closed && length == 0;
    case RECV_CLOSED: return s->closed && length == 0;
    case CLOSED:
        if (s->closed)
            return false;
        return s->closed = true;
    default: return s->closed;
    }
}

/* A call may come next unless another one that is not done yet ended before it began. */
static inline bool search_may_be_next(const struct search *s, const struct call *c)
{
    for (int i = 0; i < s->h->n; i++)
        if ((s->done >> i & 1) == 0 && s->h->calls[i].end < c->begin)
            return false;
    return true;
}

static inline bool search_from(struct search *s, int left)
{
    if (left == 0)
        return true;
    for (int i = 0; i < s->h->n; i++) {
        struct search next;
        if ((s->done >> i & 1) != 0 || !search_may_be_next(s, &s->h->calls[i]))
            continue;
        next = *s;
        if (!search_apply(&next, &s->h->calls[i]))
            continue;
        next.done |= 1U << i;
        if (search_from(&next, left - 1))
            return true;
    }
    return false;
}

/* Capacity at least 1; at most SEARCH_CALLS calls. */
static inline bool search(const struct history *h)
{
    struct search s;
    memset(&s, 0, sizeof s);
    s.h = h;
    return search_from(&s, h->n);
}

#endif /* WEIR_TEST_LINEAR_SEARCH_H */
