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

static struct linear {
    struct history h;
    struct model_moment begin[SEARCH_CALLS], end[SEARCH_CALLS];
} linear;

/* In setup. */
static inline void linear_start(int capacity)
{
    linear.h.capacity = capacity;
    linear.h.n = 0;
}

/* A call begins: its number, for linear_end. */
MODEL_OUTSIDE static inline int linear_begin(void)
{
    const struct model_moment m = model_moment(0);
    const int i = linear.h.n++;
    linear.begin[i] = m;
    return i;
}

/* cases: of NONE_READY; without any it says nothing, as a timeout does. */
MODEL_OUTSIDE static inline void linear_end(int i, enum what what, int channel, int value, unsigned cases)
{
    const struct model_moment m = model_moment(1);
    linear.end[i] = m;
    linear.h.calls[i].what = what;
    linear.h.calls[i].channel = channel;
    linear.h.calls[i].value = value;
    linear.h.calls[i].cases = cases;
}

/* A capacity of 0 knows one rule, and the search none: the two calls of an exchange are under way at one moment. */
static inline bool linear_meetings(void)
{
    for (int s = 0; s < linear.h.n; s++) {
        bool met = linear.h.calls[s].what != SENT;
        for (int r = 0; r < linear.h.n; r++)
            if (linear.h.calls[r].what == RECEIVED && linear.h.calls[r].value == linear.h.calls[s].value)
                met =
                    !model_before(&linear.end[s], &linear.begin[r]) && !model_before(&linear.end[r], &linear.begin[s]);
        if (!met)
            return false;
    }
    return true;
}

static inline void linear_check(void)
{
    unsigned after[SEARCH_CALLS] = {0};
    for (int i = 0; i < linear.h.n; i++)
        for (int before = 0; before < linear.h.n; before++)
            if (before != i && model_before(&linear.end[before], &linear.begin[i]))
                after[i] |= 1U << before;
    const bool history_of_a_channel = linear.h.capacity == 0 ? linear_meetings() : search_ordered(&linear.h, after);
    for (int i = 0; i < linear.h.n; i++) /* their ticks tell the story */
        linear.h.calls[i].begin = linear.begin[i].tick, linear.h.calls[i].end = linear.end[i].tick;
    if (!history_of_a_channel && model_tracing())
        history_print(&linear.h);
    MODEL_CHECK(history_of_a_channel);
}

#endif /* WEIR_MODEL_LINEAR_H */
