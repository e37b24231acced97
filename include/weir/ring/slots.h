/* weir/ring/slots.h: the ring for many producers or many consumers.
 *
 * Every slot carries a stamp beside its value, which says whose turn it is. A position packs lap and index,
 *
 *     63                      log2(mark)+1   log2(mark)              0
 *     [ lap                              | closed |  index            ]        mark: the power of two above capacity
 *
 * so any capacity is exact, the end of a lap is one comparison, and nothing is divided. With lap = 2 * mark as the step:
 *
 *     stamp == pos          free, for the producer that claims pos
 *     stamp == pos + 1      holds the value that was pushed at pos
 *     stamp == pos + lap    free again, for the producer of the next lap
 *
 * A producer that finds its slot free claims it by moving tail (one compare-and-swap), writes the value and sets the stamp (S1); a
 * consumer does the same with head (S2). The closed bit stands in the tail: the claim of a producer fails once it is set.
 * Sources: D. Vyukov, "Bounded MPMC queue" (2010); the packing as in crossbeam-channel's array flavor, which credits him.
 *
 * Orders
 *   (S1) release store of the stamp by the producer, pairs with the acquire load in claim_pop: value written before read.
 *   (S2) release store of the stamp by the consumer, pairs with the acquire load in claim_push: value read before overwritten.
 *   The claims, and the looks at head and tail that answer "full" or "empty", are sequentially consistent: those answers are statements about
 *   the order of claims. Acquire and release would do for threads that anything orders (the model finds no history that is
 *   wrong by happens-before); as it is, they are also true for an observer who compares two threads by a clock. On x86 it costs nothing.
 *   One producer alone (one == !many_producers) stores the tail before (S1): whoever sees the value sees a tail beyond it.
 *
 * Full and empty are true
 *   A slot that is not ready does not prove it: a peer may stand between its claim and its stamp, and others have gone on behind it.
 *   The ring is full if, with tail known, head == tail - lap at one moment; empty if tail == head. Otherwise the answer is BUSY:
 *   wait for that peer. (weir__slots_why_full, _why_empty.)
 *
 * Progress: a claim is lock-free; the answers EAGAIN wait for a peer.
 */
#ifndef WEIR_RING_SLOTS_H
#define WEIR_RING_SLOTS_H

#include "base.h"

/* The largest alignment that a type of this size can have, as far as 64: the lowest bit set in the size. */
#define WEIR__ALIGN_OF_SIZE(size) (((size) & (0 - (size))) > 64 ? (size_t)64 : ((size) & (0 - (size))))
/* A slot: the stamp, and the value at the next multiple of its alignment. */
#define WEIR__SLOT_VALUE(size)                                                                                         \
    (WEIR__ALIGN_OF_SIZE(size) > sizeof(uint64_t) ? WEIR__ALIGN_OF_SIZE(size) : sizeof(uint64_t))
#define WEIR__SLOT_STRIDE(size)                                                                                        \
    (((size) + 2 * WEIR__SLOT_VALUE(size) - 1) / WEIR__SLOT_VALUE(size) * WEIR__SLOT_VALUE(size))

WEIR__STATIC_ASSERT(WEIR__SLOT_STRIDE(sizeof(uint64_t)) == 16, "four slots of 8 bytes share a cache line");
WEIR__STATIC_ASSERT(WEIR__SLOT_STRIDE(sizeof(char)) == 16, "small values take a word");

WEIR_INLINE weir__atomic_u64 *weir__slots_stamp(weir__ring *r, uint64_t pos, size_t size)
{
    return (weir__atomic_u64 *)(void *)(r->slots + (size_t)(pos & (r->mark - 1)) * WEIR__SLOT_STRIDE(size));
}

WEIR_INLINE void *weir__slots_value(weir__atomic_u64 *stamp, size_t size)
{
    return (unsigned char *)(void *)stamp + WEIR__SLOT_VALUE(size);
}

WEIR_INLINE weir__atomic_u64 *weir__slots_stamp_of(void *value, size_t size)
{
    return (weir__atomic_u64 *)(void *)((unsigned char *)value - WEIR__SLOT_VALUE(size));
}

WEIR_INLINE uint64_t weir__slots_lap(const weir__ring *r)
{
    return 2 * r->mark;
}

WEIR_INLINE uint64_t weir__slots_next(const weir__ring *r, uint64_t pos)
{
    const uint64_t index = pos & (r->mark - 1);
    return index + 1 < r->capacity ? pos + 1 : pos - index + weir__slots_lap(r);
}

/* Whether the value of a slot whose stamp has just been read may be taken, when there is one producer (base.h). */
WEIR_INLINE bool weir__slots_before_limit(weir__ring *r, uint64_t pos)
{
    return WEIR_LIKELY(weir__load_rlx(&r->state) == WEIR__RING_OPEN) ||
           (int64_t)(pos - weir__ring_bound(r, pos + 1)) < 0;
}

/* Claims at one end. `turn` is what a ready stamp exceeds the position by: 0 to push, 1 to pop. `limited`: the values end at the
 * limit of a ring that one producer fills. False: not ready at that moment. */
WEIR_INLINE bool weir__slots_claim(weir__ring *r, weir__ring_end *end, bool many, uint64_t turn, bool limited,
                                   size_t size, weir__claim *claim)
{
    uint64_t pos = weir__load_rlx(&end->pos);
    for (unsigned lost = 0;;) {
        weir__atomic_u64 *stamp = weir__slots_stamp(r, pos, size);
        if (WEIR_LIKELY(weir__load_acq(stamp) == pos + turn)) { /* pairs with (S1), (S2) */
            if (limited && !weir__slots_before_limit(r, pos))
                return false;
            claim->value = weir__slots_value(stamp, size);
            claim->pos = pos;
            if (!many || WEIR_LIKELY(weir__cas_sc(&end->pos, &pos, weir__slots_next(r, pos))))
                return true;
            weir__backoff_lost(++lost);
            pos = weir__load_rlx(&end->pos);
        } else {
            const uint64_t now = weir__load_rlx(&end->pos);
            if (now == pos)
                return false;
            pos = now;
        }
    }
}

WEIR_INLINE bool weir__slots_claim_push(weir__ring *r, bool many, size_t size, weir__claim *claim)
{
    return weir__slots_claim(r, &r->producer, many, 0, false, size, claim);
}

WEIR_INLINE bool weir__slots_claim_pop(weir__ring *r, bool many_producers, bool many, size_t size, weir__claim *claim)
{
    return weir__slots_claim(r, &r->consumer, many, 1, !many_producers, size, claim);
}

WEIR_INLINE void weir__slots_publish(weir__ring *r, bool many, size_t size, const weir__claim *claim)
{
    if (!many)
        weir__store_rlx(&r->producer.pos, weir__slots_next(r, claim->pos));
    weir__store_rel(weir__slots_stamp_of(claim->value, size), claim->pos + 1); /* (S1) */
}

WEIR_INLINE void weir__slots_release(weir__ring *r, bool many, size_t size, const weir__claim *claim)
{
    if (!many)
        weir__store_rlx(&r->consumer.pos, weir__slots_next(r, claim->pos));
    weir__store_rel(weir__slots_stamp_of(claim->value, size), claim->pos + weir__slots_lap(r)); /* (S2) */
}

/* The claim that belongs to a value's address: its slot is this thread's, so the stamp stands still. */
WEIR_INLINE void weir__slots_reclaim(void *value, size_t size, uint64_t turn, weir__claim *claim)
{
    claim->value = value;
    claim->pos = weir__load_rlx(weir__slots_stamp_of(value, size)) - turn;
}

/* Why a claim to push has failed: EAGAIN full, EPIPE closed, BUSY a peer is in the middle, 0 it may succeed now. */
WEIR_INLINE int weir__slots_why_full(weir__ring *r, bool many, size_t size)
{
    const uint64_t tail = weir__load_sc(&r->producer.pos);
    if (many ? (tail & r->mark) != 0 : weir__ring_closing(r))
        return EPIPE;
    if (weir__load_acq(weir__slots_stamp(r, tail, size)) == tail)
        return 0;
    /* head never falls back and tail never runs more than a lap ahead of it: so if head still is a lap behind the tail that was
     * read before, then at this moment the tail had not moved either, and the ring was full. */
    if (weir__load_sc(&r->consumer.pos) + weir__slots_lap(r) == tail)
        return EAGAIN;
    return weir__load_sc(&r->producer.pos) == tail ? WEIR__BUSY : 0;
}

/* Why a claim to pop has failed; EPIPE: closed and drained. */
WEIR_INLINE int weir__slots_why_empty(weir__ring *r, bool many_producers, size_t size)
{
    const uint64_t head = weir__load_sc(&r->consumer.pos);
    if (!many_producers && weir__ring_closing(r) && (int64_t)(head - weir__ring_limit(r)) >= 0)
        return EPIPE;
    if (weir__load_acq(weir__slots_stamp(r, head, size)) == head + 1)
        return 0;
    /* tail never falls behind head: if it equals the head that was read before, head has not moved up to this moment. */
    const uint64_t tail = weir__load_sc(&r->producer.pos);
    if ((tail & ~r->mark) == head)
        return (tail & r->mark) != 0 ? EPIPE : EAGAIN;
    return weir__load_sc(&r->consumer.pos) == head ? WEIR__BUSY : 0;
}

/* How many values lie between two positions, the closed bit taken off. */
WEIR_INLINE uint64_t weir__slots_distance(const weir__ring *r, uint64_t head, uint64_t tail)
{
    const uint64_t mask = r->mark - 1, laps = ((tail & ~mask) - (head & ~mask)) / weir__slots_lap(r);
    return laps * r->capacity + (tail & mask) - (head & mask);
}

#endif /* WEIR_RING_SLOTS_H */
