/* weir/chan/stats.h: a channel's numbers.
 *
 *     weir_chan_tally t;
 *     weir_chan_stats(ch, &t);
 *     printf("%s: %zu of %zu, %llu sent, senders slept %llu times\n", t.name, t.len, t.cap, t.sent, t.senders_slept);
 *
 * Nothing is counted for this on a fast path: how many values have gone through is what the ring's two positions say, and those who lie down to sleep are
 * counted under the lock that they hold for it.
 */
#ifndef WEIR_CHAN_STATS_H
#define WEIR_CHAN_STATS_H

#include "make.h"

typedef struct weir_chan_tally {
    const char *name; /* "channel" if it was given none */
    size_t len, cap;  /* now; as weir_len, weir_cap */
    bool closed;
    /* Since it was made: values that were accepted, and values that were taken, by receivers or by weir_send_latest to make room. On a ck ring modulo 2^32.
     * 0 for rendezvous and timers, which keep no positions. */
    uint64_t sent, received;
    /* Now, those in a select included; of a rendezvous, those in its queues: the first may wait beside them (chan/lane.h). */
    uint32_t senders_asleep, receivers_asleep;
    uint64_t senders_slept, receivers_slept; /* how often one lay down */
} weir_chan_tally;

/* int weir_chan_stats(CH ch, weir_chan_tally *tally)
 *     The numbers of one moment each, not of one moment together; but received is never above sent. 0; EINVAL: a NULL handle, and everything is 0; ENOTRECOVERABLE:
 *     a parent process's. Any thread; takes the locks of those who sleep. */
#define weir_chan_stats(ch, tally) weir__chan_stats(WEIR__CHAN(ch), (tally))
#define weir__chan_stats WEIR__RINGED(weir__chan_stats)
WEIR_API int weir__chan_stats(weir__chan *c, weir_chan_tally *tally);

#endif /* WEIR_CHAN_STATS_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_STATS_IMPLEMENTED)
#define WEIR_CHAN_STATS_IMPLEMENTED

static uint64_t weir__waitq_slept(weir__waitq *q)
{
    uint64_t slept;
    weir__lock_take(&q->lock);
    slept = q->slept;
    weir__lock_release(&q->lock);
    return slept;
}

WEIR_API int weir__chan_stats(weir__chan *c, weir_chan_tally *tally)
{
    memset(tally, 0, sizeof *tally);
    tally->name = weir__chan_name(c);
    if (c == NULL)
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    tally->cap = weir__chan_cap(c);
    tally->len = weir__chan_len(c);
    tally->closed = weir__chan_is_closed(c);
    if (c->flavor == WEIR__BUFFER)
        weir__ring_passed(&c->ring, c->kind, &tally->sent, &tally->received);
    tally->senders_asleep = weir__waitq_sleepers(&c->senders);
    tally->receivers_asleep = weir__waitq_sleepers(&c->receivers);
    tally->senders_slept = weir__waitq_slept(&c->senders);
    tally->receivers_slept = weir__waitq_slept(&c->receivers);
    return 0;
}

#endif /* WEIR_CHAN_STATS_IMPLEMENTED */
