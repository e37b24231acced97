/* tests/linear/monitor.h: is a history one of a channel (chan/channel.h, "What full, empty and closed mean")? In time proportional to its
 * length, so that millions of long ones can be asked about.
 *
 * The search for an order of the calls is exponential; but where every value is sent once, a queue's wrong histories are those that show
 * one of a few patterns (A. Bouajjani, M. Emmi, C. Enea, J. Hamza, "On reducing linearizability to state reachability", 2018):
 *
 *   a value received twice, or never sent, or before its send began
 *   b received before a although a was sent before b
 *   empty, while at every moment of that call some value was certainly in
 *
 * A value is certainly in from the end of its send to the begin of its receive, and possibly from the begin of the send to the end of the
 * receive. So a bounded queue with a close adds
 *
 *   more values certainly in than fit
 *   full, while at every moment of that call fewer values than fit were possibly in
 *   no moment for the close after all that found it open began, and before all that found it closed ended
 *   closed and empty, while a value that was sent had certainly not been received yet
 *
 * Whatever it calls wrong is wrong. The other way round it is not complete where capacity and order work together: test_monitor.c compares it
 * with the exact search, and tells how much it misses.
 */
#ifndef WEIR_TEST_LINEAR_MONITOR_H
#define WEIR_TEST_LINEAR_MONITOR_H

#include "history.h"

struct monitor {
    const struct history *h;
    int close_begin, close_end;                             /* its one moment lies in between; NEVER: there was none */
    int send_begin[HISTORY_CALLS], send_end[HISTORY_CALLS]; /* of a value: NEVER: not sent */
    int receive_begin[HISTORY_CALLS], receive_end[HISTORY_CALLS];
    int certain[HISTORY_TICKS + 1], possible[HISTORY_TICKS + 1]; /* values in between tick t and t + 1 */
    int oldest[HISTORY_TICKS + 1]; /* of the values whose send ended by tick t: the last begin of a receive */
};

static inline int earlier(int a, int b)
{
    return a < b ? a : b;
}

/* The moment lies within the call that closed; and after the begin of whatever found it open, before the end of whatever found it closed. */
static inline const char *monitor_close(struct monitor *m)
{
    int open = 0, closed = NEVER;
    m->close_begin = m->close_end = NEVER;
    for (int i = 0; i < m->h->n; i++) {
        const struct call *c = &m->h->calls[i];
        if (c->what == CLOSED && m->close_end != NEVER)
            return "two calls have closed";
        if (c->what == CLOSED) {
            m->close_begin = c->begin;
            m->close_end = c->end;
        } else if (c->what == SENT || c->what == FULL || c->what == EMPTY) {
            open = open > c->begin ? open : c->begin;
        } else if (c->what != RECEIVED) {
            closed = earlier(closed, c->end);
        }
    }
    if (closed < open || closed < m->close_begin)
        return "closed, when it was not";
    if (m->close_end < open)
        return "open, when it was not";
    m->close_begin = m->close_begin > open ? m->close_begin : open; /* NEVER is the greatest */
    m->close_end = earlier(m->close_end, closed);
    return NULL;
}

/* Which call sent each value, and which received it. */
static inline const char *monitor_values(struct monitor *m)
{
    for (int v = 0; v < HISTORY_CALLS; v++)
        m->send_begin[v] = m->send_end[v] = m->receive_begin[v] = m->receive_end[v] = NEVER;
    for (int i = 0; i < m->h->n; i++) {
        const struct call *c = &m->h->calls[i];
        if (c->what == SENT) {
            m->send_begin[c->value] = c->begin;
            m->send_end[c->value] = earlier(c->end, m->close_end); /* it took effect before the close */
        } else if (c->what == RECEIVED) {
            if (m->receive_begin[c->value] != NEVER)
                return "received twice";
            m->receive_begin[c->value] = c->begin;
            m->receive_end[c->value] = c->end;
        }
    }
    for (int v = 0; v < HISTORY_CALLS; v++) {
        if (m->receive_begin[v] != NEVER && m->send_begin[v] == NEVER)
            return "received, but not sent";
        if (m->send_begin[v] != NEVER && m->receive_end[v] < m->send_begin[v])
            return "received before it was sent";
    }
    return NULL;
}

static inline void monitor_count(struct monitor *m)
{
    memset(m->certain, 0, sizeof m->certain);
    memset(m->possible, 0, sizeof m->possible);
    memset(m->oldest, -1, sizeof m->oldest);
    for (int v = 0; v < HISTORY_CALLS; v++) {
        if (m->send_begin[v] == NEVER)
            continue;
        m->possible[m->send_begin[v]]++;
        m->possible[m->receive_end[v]]--;
        if (m->send_end[v] < m->receive_begin[v]) {
            m->certain[m->send_end[v]]++;
            m->certain[m->receive_begin[v]]--;
        }
        if (m->oldest[m->send_end[v]] < m->receive_begin[v])
            m->oldest[m->send_end[v]] = m->receive_begin[v];
    }
    for (int t = 1; t <= HISTORY_TICKS; t++) {
        m->possible[t] += m->possible[t - 1];
        m->certain[t] += m->certain[t - 1];
        if (m->oldest[t] < m->oldest[t - 1])
            m->oldest[t] = m->oldest[t - 1];
    }
}

static inline const char *monitor_order(const struct monitor *m)
{
    for (int v = 0; v < HISTORY_CALLS; v++) {
        if (m->send_begin[v] == NEVER)
            continue;
        if (m->receive_end[v] != NEVER && m->oldest[m->send_begin[v]] > m->receive_end[v])
            return "received before a value that was sent earlier";
    }
    return NULL;
}

/* Capacity 0: the two calls of an exchange overlap. */
static inline const char *monitor_meetings(const struct monitor *m)
{
    for (int v = 0; v < HISTORY_CALLS; v++)
        if (m->send_begin[v] != NEVER && (m->receive_begin[v] == NEVER || m->send_end[v] < m->receive_begin[v]))
            return "sent while nobody received";
    return NULL;
}

static inline const char *monitor_room(const struct monitor *m)
{
    for (int t = 0; t < HISTORY_TICKS; t++)
        if (m->certain[t] > m->h->capacity)
            return "more values than fit";
    return NULL;
}

/* Whether during some moment of the call, before the close has ended, it was as the call says. */
static inline bool monitor_was(const struct monitor *m, const struct call *c)
{
    for (int t = c->begin; t < earlier(c->end, m->close_end); t++)
        if (m->h->capacity == 0 || (c->what == EMPTY ? m->certain[t] == 0 : m->possible[t] >= m->h->capacity))
            return true;
    return false;
}

static inline const char *monitor_call(const struct monitor *m, const struct call *c, int last_receive_begin)
{
    switch (c->what) {
    case EMPTY: return monitor_was(m, c) ? NULL : "empty, when it was not";
    case FULL: return monitor_was(m, c) ? NULL : "full, when it was not";
    case RECV_CLOSED: return last_receive_begin < c->end ? NULL : "closed and empty, when a value was still in";
    default: return NULL;
    }
}

/* NULL, or what is wrong. Not for several threads at once: what it needs is large, and static. */
static inline const char *monitor(const struct history *h)
{
    static struct monitor m;
    const char *wrong;
    m.h = h;
    if ((wrong = monitor_close(&m)) != NULL || (wrong = monitor_values(&m)) != NULL)
        return wrong;
    monitor_count(&m);
    if ((wrong = monitor_order(&m)) != NULL)
        return wrong;
    if ((wrong = h->capacity == 0 ? monitor_meetings(&m) : monitor_room(&m)) != NULL)
        return wrong;
    for (int i = 0; i < h->n; i++)
        if ((wrong = monitor_call(&m, &h->calls[i], m.oldest[HISTORY_TICKS])) != NULL)
            return wrong;
    return NULL;
}

#endif /* WEIR_TEST_LINEAR_MONITOR_H */
