/* tests/linear/history.h: what threads did to one channel, and when: the input of the monitor and of the exact search.
 *
 * A history is a list of calls that have returned. Begin and end are ticks: each is one number of one counter, so all differ, and a call
 * that ended at a smaller tick than another began had returned before. Every value is sent once.
 */
#ifndef WEIR_TEST_LINEAR_HISTORY_H
#define WEIR_TEST_LINEAR_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef HISTORY_CALLS
#define HISTORY_CALLS 512 /* at most; the model has fewer */
#endif
enum { HISTORY_TICKS = 2 * HISTORY_CALLS, NEVER = HISTORY_TICKS };

enum what { SENT, FULL, SEND_CLOSED, RECEIVED, EMPTY, RECV_CLOSED, CLOSED, CLOSED_AGAIN, NONE_READY };

/* NONE_READY, a select that did nothing: its cases. */
#define NONE_RECV(channel) (1U << 2 * (channel))
#define NONE_SEND(channel) (2U << 2 * (channel))

struct call {
    enum what what;
    int value; /* SENT, FULL, SEND_CLOSED, RECEIVED; from 0, below HISTORY_CALLS */
    int begin, end;
    int channel;    /* from 0; the monitor knows one only */
    unsigned cases; /* NONE_READY */
};

struct history {
    int capacity, n;
    struct call calls[HISTORY_CALLS];
};

static inline void history_print(const struct history *h)
{
    static const char *const names[] = {"sent",         "full",   "send: closed", "received",  "empty",
                                        "recv: closed", "closed", "closed again", "none ready"};
    for (int i = 0; i < h->n; i++)
        printf("#   [%d, %d] %s %d\n", h->calls[i].begin, h->calls[i].end, names[h->calls[i].what], h->calls[i].value);
}

#endif /* WEIR_TEST_LINEAR_HISTORY_H */
