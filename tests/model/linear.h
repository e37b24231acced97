/* tests/model/linear.h: what the threads of a scenario did to its channels, and whether a channel may behave so (chan/channel.h,
 * tests/linear/search.h). A scenario calls the functions here in place of weir's, and linear_check in its finish.
 *
 * Which call came before which is the machine's business (model_before): by the order of the execution while nothing old was read; and by
 * happens-before once something was, because then the order of the execution is nobody's order.
 */
#ifndef WEIR_MODEL_LINEAR_H
#define WEIR_MODEL_LINEAR_H

#define HISTORY_CALLS 16 /* the exact search knows no more, and less is to be taken back (snapshot.h) */
#include "linear/search.h"
#include "model/model.h"

enum { LINEAR_THREADS = 8, LINEAR_CALLS = 4 };

static struct linear {
    int capacity;
    /* Each thread has its own, so that what they did stands in the same places whoever came first (state.h). */
    struct linear_thread {
        int n;
        struct linear_call {
            struct model_moment begin, end;
            short value;
            unsigned char what, channel, cases; /* of struct call */
        } call[LINEAR_CALLS];
    } thread[LINEAR_THREADS];
} linear;

/* In setup. */
static inline void linear_start(int capacity)
{
    memset(&linear, 0, sizeof linear);
    linear.capacity = capacity;
}

static inline struct linear_call *linear_call(int number)
{
    return &linear.thread[number / LINEAR_CALLS].call[number % LINEAR_CALLS];
}

/* A call begins: its number, for linear_end. */
MODEL_OUTSIDE static inline int linear_begin(void)
{
    const int self = model_thread_self();
    MODEL_CHECK(linear.thread[self].n < LINEAR_CALLS);
    const int number = self * LINEAR_CALLS + linear.thread[self].n++;
    linear_call(number)->begin = model_moment(0);
    return number;
}

/* cases: of NONE_READY; without any it says nothing, as a timeout does. */
MODEL_OUTSIDE static inline void linear_end(int number, enum what what, int channel, int value, unsigned cases)
{
    struct linear_call *c = linear_call(number);
    c->end = model_moment(1);
    c->value = (short)value;
    c->what = (unsigned char)what;
    c->channel = (unsigned char)channel;
    c->cases = (unsigned char)cases;
}

static inline int linear_count(enum what what)
{
    int n = 0;
    for (int t = 0; t < LINEAR_THREADS; t++)
        for (int i = 0; i < linear.thread[t].n; i++)
            n += linear.thread[t].call[i].what == what;
    return n;
}

/* All calls that there were. */
struct linear_history {
    struct history h;
    const struct linear_call *call[SEARCH_CALLS];
};

static inline void linear_gather(struct linear_history *all)
{
    all->h.capacity = linear.capacity;
    all->h.n = 0;
    for (int t = 0; t < LINEAR_THREADS; t++)
        for (int i = 0; i < linear.thread[t].n; i++) {
            const struct linear_call *c = &linear.thread[t].call[i];
            MODEL_CHECK(all->h.n < SEARCH_CALLS);
            all->call[all->h.n] = c;
            all->h.calls[all->h.n++] = (struct call){.what = (enum what)c->what,
                                                     .value = c->value,
                                                     .begin = model_tick(&c->begin), /* ticks tell the story */
                                                     .end = model_tick(&c->end),
                                                     .channel = c->channel,
                                                     .cases = c->cases};
        }
}

static inline bool linear_before(const struct linear_history *all, int a, int b)
{
    return model_before(&all->call[a]->end, &all->call[b]->begin);
}

/* A capacity of 0 knows one rule, and the search none: the two calls of an exchange are under way at one moment. */
static inline bool linear_meetings(const struct linear_history *all)
{
    for (int s = 0; s < all->h.n; s++) {
        bool met = all->h.calls[s].what != SENT;
        for (int r = 0; r < all->h.n; r++)
            if (all->h.calls[r].what == RECEIVED && all->h.calls[r].value == all->h.calls[s].value)
                met = !linear_before(all, s, r) && !linear_before(all, r, s);
        if (!met)
            return false;
    }
    return true;
}

static inline void linear_check(void)
{
    struct linear_history all;
    unsigned after[SEARCH_CALLS] = {0};
    linear_gather(&all);
    for (int i = 0; i < all.h.n; i++)
        for (int before = 0; before < all.h.n; before++)
            if (before != i && linear_before(&all, before, i))
                after[i] |= 1U << before;
    const bool history_of_a_channel = all.h.capacity == 0 ? linear_meetings(&all) : search_ordered(&all.h, after);
    if (!history_of_a_channel && model_tracing())
        history_print(&all.h);
    MODEL_CHECK(history_of_a_channel);
}

#endif /* WEIR_MODEL_LINEAR_H */
