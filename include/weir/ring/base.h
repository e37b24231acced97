/* weir/ring/base.h: what all rings share: geometry, two ends, and how a ring with one producer is closed.
 *
 * A ring is bounded storage for values of one size, with a position at each end. Values go through it in two steps:
 *
 *     claim a place  ->  write it  ->  publish          by a producer
 *     claim a value  ->  read it   ->  release          by a consumer
 *
 * A claim with several parties on that side is an atomic operation on the end's position; alone on its side, a claim stores
 * nothing, and publish (release) does all.
 *
 * Closing
 *   Closing is one moment: every send that claimed its place before it is delivered, every later one fails. With several producers
 *   the claim is a compare-and-swap on the tail, and a bit in that very word closes the ring: nothing to prove. With one producer
 *   the tail is advanced by a plain store, which would overwrite such a bit, so closing takes three steps:
 *
 *       closer                                   producer                        consumer
 *       state = CLOSING                          tail = p + 1  (publish p)       t = tail  (acquire)
 *       attention |= CLOSED                      (B) light fence                 state == OPEN: t is the bound
 *       (C) heavy fence                          attention has CLOSED?           else wait for CLOSED; limit is the bound
 *       limit = tail; state = CLOSED             wait for CLOSED; p < limit?
 *
 *   (C) pairs with (B). It falls, on the producer's core, before or after the store of tail.
 *     After: the closer's read of tail, which follows (C), sees p + 1, so p < limit: p counts, whether or not the producer saw CLOSED.
 *     Before: the producer's look at attention, which follows its store, sees CLOSED; it waits for the limit and tells its
 *       caller the truth, delivered or EPIPE. And a consumer that reads such a tail also reads state != OPEN after it, because the
 *       state was written before the fence and the tail after; so it asks for the limit too, and never takes what lies beyond.
 *   The consumer looks at the state only when it reads a new tail, which a cached index makes rare. The producer looks at a word
 *   that it looks at anyway. Nobody pays for close until it happens.
 *
 *   Where (C) is an ordinary fence (core/fence.h), "before" means that it came before the producer's fence, which follows the store of
 *   tail, and the store may have come first. Without (F):
 *       closer: state = CLOSING;  (C);  limit = old tail          consumer: reads the new tail;  reads state: still OPEN
 *   and the consumer takes a value that its sender is told is refused. No processor with one order of stores for all does this, but C11
 *   allows it. (F), a fence between the consumer's two reads, pairs with (C): before it in their one order, the closer reads the new tail
 *   too; after it, the consumer reads CLOSING. Such a ring starts in the state OPEN_SYMMETRIC, which no fast path takes for OPEN: so they all
 *   go where (F) stands.
 */
#ifndef WEIR_RING_BASE_H
#define WEIR_RING_BASE_H

#include "../core/atomic.h"
#include "../core/cpu.h"
#include "../core/error.h"
#include "../core/fence.h"
#include "../park/backoff.h"
#include "choice.h"

#if WEIR__RING_CK_USED
#include "ck_include.h"
#endif

/* Positions of a fresh ring. Tests start them just below the point where they wrap. */
#ifndef WEIR_RING_START
#define WEIR_RING_START 0
#endif

enum { WEIR__RING_OPEN = 0, WEIR__RING_OPEN_SYMMETRIC = 1, WEIR__RING_CLOSING = 2, WEIR__RING_CLOSED = 3 };

/* One end of a ring, alone on its cache lines. */
typedef struct weir__ring_end {
    weir__atomic_u64 pos; /* producer's end: the tail, next to write; consumer's: the head, next to read */
    uint64_t peer;        /* spsc ring: the other end's pos, as last seen; private to this end's one thread */
    size_t offset;        /* spsc ring: where pos lies in the buffer; private to this end's one thread */
} weir__ring_end;

typedef struct weir__ring {
    /* Written at construction, read by all. */
    unsigned char *slots;
    size_t bytes;      /* spsc ring: length of the buffer, at which offset starts anew */
    uint64_t capacity; /* exact */
    /* slot ring: power of two above capacity; positions are lap * 2 * mark + index, and mark itself closes */
    uint64_t mark;
    /* Written when it is closed (rings with one producer). */
    weir__atomic_u32 state;
    weir__atomic_u64 limit; /* valid once state is CLOSED: the first position that does not count */
    WEIR__PADDED weir__ring_end producer;
    WEIR__PADDED weir__ring_end consumer;
#if WEIR__RING_CK_USED
    WEIR__PADDED struct ck_ring ck;
#endif
} weir__ring;

/* A place in a ring that one thread has to itself for a moment. */
typedef struct weir__claim {
    void *value;
    uint64_t pos;
} weir__claim;

/* Waits until a close that has begun has fixed the limit: the closer is between two instructions, or inside membarrier. */
WEIR_API WEIR_COLD void weir__ring_await_limit(weir__ring *r);

WEIR_INLINE bool weir__ring_is_open(uint32_t state)
{
    return state <= WEIR__RING_OPEN_SYMMETRIC;
}

/* Where the values of a closed ring, or one that is being closed, end. */
static inline uint64_t weir__ring_limit(weir__ring *r)
{
    if (weir__load_acq(&r->state) != WEIR__RING_CLOSED)
        weir__ring_await_limit(r);
    return weir__load_rlx(&r->limit);
}

/* Where the values end for the consumer of a ring with one producer, which has just read this tail (acquire). Not WEIR_COLD: gcc
 * then takes the ways that may lead here for cold as well, and moves the whole of a receive out of the way. */
WEIR_API WEIR_NOINLINE uint64_t weir__ring_bound(weir__ring *r, uint64_t tail);

/* Whether a ring with one producer takes no more. While its closer stands before the limit this is not decided: a send could still
 * be accepted, and may not follow one that was refused. So it waits for the limit. */
static inline bool weir__ring_closing(weir__ring *r)
{
    const uint32_t state = weir__load_acq(&r->state);
    if (state == WEIR__RING_CLOSING)
        weir__ring_await_limit(r);
    return !weir__ring_is_open(state);
}

#endif /* WEIR_RING_BASE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RING_BASE_IMPLEMENTED)
#define WEIR_RING_BASE_IMPLEMENTED

WEIR_API WEIR_COLD void weir__ring_await_limit(weir__ring *r)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    while (weir__load_acq(&r->state) != WEIR__RING_CLOSED)
        weir__backoff_peer(&b);
}

WEIR_API WEIR_NOINLINE uint64_t weir__ring_bound(weir__ring *r, uint64_t tail)
{
    if (weir__load_rlx(&r->state) == WEIR__RING_OPEN_SYMMETRIC)
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (F) pairs with (C) */
    return weir__ring_is_open(weir__load_rlx(&r->state)) ? tail : weir__ring_limit(r);
}

#endif /* WEIR_RING_BASE_IMPLEMENTED */
