/* tests/chan/waiting.h: who waits on a channel, and what they have left behind. The tests look inside here, and only here: nothing public
 * says it. */
#ifndef WEIR_TEST_CHAN_WAITING_H
#define WEIR_TEST_CHAN_WAITING_H

/* How many lie in a queue or stay in the lane, where a try finds them. Who moves from the lane into the queue is for a moment in both: so a rendezvous is counted
 * under its lock, where that is done. */
static inline int count_waiting(weir__chan *c, bool senders)
{
    weir__waitq *q = senders ? &c->senders : &c->receivers;
    if (c->flavor != WEIR__RENDEZVOUS)
        return (int)weir__waitq_sleepers(q);
    weir__lock_take(weir__meet_lock(c));
    const uint64_t word = weir__load_acq(&c->lane.word);
    const bool stays =
        senders ? (word & WEIR__LANE_SENDER) == WEIR__LANE_OFFER : (word & WEIR__LANE_RECEIVER) == WEIR__LANE_WANT;
    const int n = (int)weir__waitq_sleepers(q) + stays;
    weir__lock_release(weir__meet_lock(c));
    return n;
}

static inline bool queue_is_empty(weir__waitq *q)
{
    return weir__waitq_sleepers(q) == 0 && q->list.first == NULL && q->list.last == NULL &&
           weir__load_acq(&q->lock) == 0;
}

static inline bool lane_is_empty(weir__chan *c)
{
    return (weir__load_acq(&c->lane.word) & (WEIR__LANE_SENDER | WEIR__LANE_RECEIVER)) == 0;
}

/* While no other thread uses the channel. */
static inline bool left_empty(weir__chan *c)
{
    return queue_is_empty(&c->receivers) && queue_is_empty(&c->senders) && lane_is_empty(c);
}

#endif /* WEIR_TEST_CHAN_WAITING_H */
