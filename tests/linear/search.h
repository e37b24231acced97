/* tests/linear/search.h: is there an order of a short history's calls that channels could have had? The exact answer, by trying them all
 * (J. Wing, C. Gong, "Testing and verifying concurrent objects", 1993). Ten calls or so, on one channel, or on two with selects that found
 * nothing ready on either.
 */
#ifndef WEIR_TEST_LINEAR_SEARCH_H
#define WEIR_TEST_LINEAR_SEARCH_H

#include "history.h"

enum { SEARCH_CALLS = 16, SEARCH_CHANNELS = 2 };

struct search_channel {
    bool closed;
    int queue[SEARCH_CALLS], first, last; /* queue[first, last) */
};

struct search {
    const struct history *h;
    const unsigned *after; /* for each call: which ones come before it (bits) */
    unsigned done;         /* bits */
    struct search_channel channel[SEARCH_CHANNELS];
};

static inline bool search_could_send(const struct search *s, const struct search_channel *c)
{
    return c->closed || c->last - c->first < s->h->capacity;
}

static inline bool search_could_receive(const struct search_channel *c)
{
    return c->closed || c->last > c->first;
}

/* None of the cases could have been done. */
static inline bool search_none_ready(const struct search *s, unsigned cases)
{
    for (int i = 0; i < SEARCH_CHANNELS; i++) {
        const struct search_channel *c = &s->channel[i];
        if (((cases & NONE_RECV(i)) != 0 && search_could_receive(c)) ||
            ((cases & NONE_SEND(i)) != 0 && search_could_send(s, c)))
            return false;
    }
    return true;
}

/* Whether the call may take effect now; if so it does. */
static inline bool search_apply(struct search *s, const struct call *call)
{
    struct search_channel *c = &s->channel[call->channel];
    const int length = c->last - c->first;
    switch (call->what) {
    case SENT:
        if (c->closed || length >= s->h->capacity)
            return false;
        c->queue[c->last++] = call->value;
        return true;
    case RECEIVED:
        if (length == 0 || c->queue[c->first] != call->value)
            return false;
        c->first++;
        return true;
    case FULL: return !search_could_send(s, c);
    case EMPTY: return !search_could_receive(c);
    case RECV_CLOSED: return c->closed && length == 0;
    case NONE_READY: return search_none_ready(s, call->cases);
    case CLOSED:
        if (c->closed)
            return false;
        return c->closed = true;
    default: return c->closed;
    }
}

static inline bool search_from(struct search *s, int left)
{
    if (left == 0)
        return true;
    for (int i = 0; i < s->h->n; i++) {
        struct search next;
        if ((s->done >> i & 1) != 0 || (s->after[i] & ~s->done) != 0)
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

/* Capacity at least 1; at most SEARCH_CALLS calls. after: see struct search. */
static inline bool search_ordered(const struct history *h, const unsigned *after)
{
    struct search s;
    memset(&s, 0, sizeof s);
    s.h = h;
    s.after = after;
    return search_from(&s, h->n);
}

/* The same by the calls' ticks. */
static inline bool search(const struct history *h)
{
    unsigned after[SEARCH_CALLS] = {0};
    for (int i = 0; i < h->n; i++)
        for (int before = 0; before < h->n; before++)
            if (h->calls[before].end < h->calls[i].begin)
                after[i] |= 1U << before;
    return search_ordered(h, after);
}

#endif /* WEIR_TEST_LINEAR_SEARCH_H */
