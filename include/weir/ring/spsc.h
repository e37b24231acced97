/* weir/ring/spsc.h: the ring for one producer and one consumer. Value of WEIR_RING_SPSC: WEIR_RING_CACHED.
 *
 * Two counters that only grow, tail and head, each written by one thread. The other side reads a counter only when its own cached
 * copy says that the ring is full (empty), so that in a busy ring the two cache lines change hands once per lap and not once per
 * value. Any capacity: the place in the buffer is kept beside the counter and starts anew at the end; nothing is divided.
 * Sources: L. Lamport, "Specifying Concurrent Program Modules" (1983); cached indices as in rigtorp/SPSCQueue and FastFlow.
 *
 * Orders: publish (P1) is a release store of tail, paired with the acquire load (P2) that refreshes the consumer's copy: the value is
 * written before it can be read. Release (R1) of head pairs with the acquire (R2) of the producer: it is read before it is
 * written over.
 *
 * Progress: wait-free, both ends. A consumer waits for a closer that stands between its two steps (base.h).
 */
#ifndef WEIR_RING_SPSC_H
#define WEIR_RING_SPSC_H

#include "base.h"

WEIR_INLINE bool weir__spsc_claim_push(weir__ring *r, weir__claim *claim)
{
    weir__ring_end *end = &r->producer;
    const uint64_t tail = weir__load_rlx(&end->pos);
    if (WEIR_UNLIKELY(tail - end->peer == r->capacity)) {
        const uint64_t head = weir__load_acq(&r->consumer.pos); /* (R2) */
        if (tail - head == r->capacity)
            return false; /* and nothing is written: a consumer that finds the ring empty reads this line */
        end->peer = head;
    }
    claim->value = r->slots + end->offset;
    claim->pos = tail;
    return true;
}

/* Moves one end `count` values of `size` bytes on, and shows it. The values lie in one piece. */
WEIR_INLINE void weir__spsc_advance(weir__ring *r, weir__ring_end *end, uint64_t pos, size_t count, size_t size)
{
    const size_t offset = end->offset + count * size;
    end->offset = offset == r->bytes ? 0 : offset;
    weir__store_rel(&end->pos, pos + count); /* (P1), (R1) */
}

WEIR_INLINE bool weir__spsc_claim_pop(weir__ring *r, weir__claim *claim)
{
    weir__ring_end *end = &r->consumer;
    const uint64_t head = weir__load_rlx(&end->pos);
    if (WEIR_UNLIKELY(head == end->peer)) {
        const uint64_t tail = weir__load_acq(&r->producer.pos); /* (P2) */
        if (tail == head || weir__load_rlx(&r->state) != WEIR__RING_OPEN)
            return false;
        end->peer = tail;
    }
    claim->value = r->slots + end->offset;
    claim->pos = head;
    return true;
}

/* How many values, at most `max`, can be pushed (popped) in one piece right now; the claim is the first. At least one: it follows
 * a claim of the same end that succeeded. */
WEIR_INLINE size_t weir__spsc_run(weir__ring *r, weir__ring_end *end, uint64_t ready, size_t max, size_t size)
{
    const size_t piece = (r->bytes - end->offset) / size;
    const size_t most = ready < piece ? (size_t)ready : piece;
    return most < max ? most : max;
}

WEIR_INLINE int weir__spsc_why_full(weir__ring *r)
{
    if (weir__ring_closing(r))
        return EPIPE;
    return weir__load_rlx(&r->producer.pos) - weir__load_rlx(&r->consumer.pos) == r->capacity ? EAGAIN : 0;
}

WEIR_INLINE int weir__spsc_why_empty(weir__ring *r)
{
    const uint64_t head = weir__load_rlx(&r->consumer.pos);
    const uint32_t state = weir__load_rlx(&r->state); /* open at either moment is open and empty at the earlier one */
    const uint64_t tail = weir__load_acq(&r->producer.pos);
    uint64_t bound;
    if (tail == head && weir__ring_is_open(state))
        return EAGAIN;
    if (state == WEIR__RING_OPEN)
        return 0;
    bound = weir__ring_bound(r, tail);
    if ((int64_t)(head - bound) >= 0)
        return EPIPE;
    r->consumer.peer = bound; /* nothing beyond it is ever looked at */
    return 0;
}

#endif /* WEIR_RING_SPSC_H */
