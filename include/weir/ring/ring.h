/* weir/ring/ring.h: the one interface to the three rings.
 *
 * Each function takes the kind of channel. Where that is a constant, as in every fast path, the compiler keeps one branch and
 * the rest is gone; where it is a number read from the channel, it is a jump. So the same few functions are the fast paths and the
 * slow ones, and a new ring is one more case in each.
 *
 *   claim_push, publish       a place for one value; make it visible             producers
 *   claim_pop, release        the oldest value, in place; give its place back    consumers
 *   push, pop                 both steps and the copy
 *   why_full, why_empty       what a claim that failed means: EAGAIN, EPIPE, WEIR__BUSY, or 0 for "try again"
 *   close, settle             closing, and whether a value published meanwhile counts
 */
#ifndef WEIR_RING_RING_H
#define WEIR_RING_RING_H

#include "base.h"
#include "ck.h"
#include "slots.h"
#include "spsc.h"

#define weir__ring_bytes WEIR__RINGED(weir__ring_bytes)
#define weir__ring_init WEIR__RINGED(weir__ring_init)
#define weir__ring_why_full WEIR__RINGED(weir__ring_why_full)
#define weir__ring_why_empty WEIR__RINGED(weir__ring_why_empty)
#define weir__ring_close WEIR__RINGED(weir__ring_close)
#define weir__ring_len WEIR__RINGED(weir__ring_len)
#define weir__ring_passed WEIR__RINGED(weir__ring_passed)
#define weir__ring_ready WEIR__RINGED(weir__ring_ready)
#define weir__ring_touched WEIR__RINGED(weir__ring_touched)
#define weir__ring_is_closed WEIR__RINGED(weir__ring_is_closed)

/* Bytes of storage for `capacity` values of `size` bytes; 0 when that does not fit a size_t or the ring. */
WEIR_API size_t weir__ring_bytes(int kind, size_t capacity, size_t size);
/* storage: aligned to WEIR_CACHE_PAD, of that many bytes; it stays the caller's. A ring of capacity 0 is never ready for anything: it
 * stands in for a ring where a channel has none. */
WEIR_API void weir__ring_init(weir__ring *r, int kind, size_t capacity, size_t size, void *storage);
WEIR_API WEIR_NOINLINE int weir__ring_why_full(weir__ring *r, int kind, size_t size);
WEIR_API WEIR_NOINLINE int weir__ring_why_empty(weir__ring *r, int kind, size_t size);
/* Whether a claim to push (pop) would have succeeded at this moment; reads no more than the claim does. By a thread of that side. */
WEIR_API bool weir__ring_ready(weir__ring *r, int kind, size_t size, bool pushing);
/* Closes; false when somebody has before. mark(arg) is called on the way, in rings with a limit: it sets what the lone producer looks
 * at after each publish (ring/base.h). */
WEIR_API bool weir__ring_close(weir__ring *r, int kind, void (*mark)(void *), void *arg);
WEIR_API bool weir__ring_is_closed(weir__ring *r, int kind);
WEIR_API size_t weir__ring_len(weir__ring *r, int kind);
/* How many values have ever been pushed, and popped; modulo 2^32 on a ck ring. */
WEIR_API void weir__ring_passed(weir__ring *r, int kind, uint64_t *pushed, uint64_t *popped);
/* A number that changes whenever a full ring gets room (pushing) or an empty one a value, or the ring is closed. */
WEIR_API uint64_t weir__ring_touched(weir__ring *r, int kind, bool pushing);

/* Whether a ring with one producer is closed by its state and limit, rather than by a bit in the tail. */
WEIR_INLINE bool weir__ring_has_limit(int kind)
{
    return weir__ring_of(kind) == WEIR_RING_CK ? kind == WEIR__SPSC : !weir__many_producers(kind);
}

WEIR_INLINE bool weir__ring_claim_push(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_claim_push(r, claim);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return weir__ck_claim_push(r, kind, size, claim);
#endif
    default: return weir__slots_claim_push(r, weir__many_producers(kind), size, claim);
    }
}

WEIR_INLINE void weir__ring_publish(weir__ring *r, int kind, size_t size, const weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: weir__spsc_advance(r, &r->producer, claim->pos, 1, size); break;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: weir__ck_publish(r, kind, claim); break;
#endif
    default: weir__slots_publish(r, weir__many_producers(kind), size, claim); break;
    }
}

/* In place. A ck ring with several consumers has no such claim: always false there. */
WEIR_INLINE bool weir__ring_claim_pop(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_claim_pop(r, claim);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return !weir__many_consumers(kind) && weir__ck_claim_pop(r, kind, size, claim);
#endif
    default: return weir__slots_claim_pop(r, weir__many_producers(kind), weir__many_consumers(kind), size, claim);
    }
}

WEIR_INLINE void weir__ring_release(weir__ring *r, int kind, size_t size, const weir__claim *claim)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: weir__spsc_advance(r, &r->consumer, claim->pos, 1, size); break;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: weir__ck_release(r); break;
#endif
    default: weir__slots_release(r, weir__many_consumers(kind), size, claim); break;
    }
}

/* The claim behind a value's address, as reserve or peek handed it out. `popping`: it was claimed to be read. */
WEIR_INLINE void weir__ring_reclaim(weir__ring *r, int kind, size_t size, bool popping, void *value, weir__claim *claim)
{
    claim->value = value;
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: claim->pos = weir__load_rlx(popping ? &r->consumer.pos : &r->producer.pos); break;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK:
        if (!popping)
            weir__ck_reclaim(r, value, size, claim);
        break;
#endif
    default: weir__slots_reclaim(value, size, popping ? 1 : 0, claim); break;
    }
}

WEIR_INLINE bool weir__ring_push(weir__ring *r, int kind, const void *src, size_t size, uint64_t *pos)
{
    weir__claim claim;
    if (!WEIR_LIKELY(weir__ring_claim_push(r, kind, size, &claim)))
        return false;
    WEIR_HOOK("send claimed");
    WEIR_COPY_IN(claim.value, src, size);
    weir__ring_publish(r, kind, size, &claim);
    *pos = claim.pos;
    return true;
}

/* dst may be NULL: the value is dropped. */
WEIR_INLINE bool weir__ring_pop(weir__ring *r, int kind, void *dst, size_t size)
{
    weir__claim claim;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_pop(r, kind, dst, size);
#endif
    if (!WEIR_LIKELY(weir__ring_claim_pop(r, kind, size, &claim)))
        return false;
    WEIR_HOOK("recv claimed");
    if (dst != NULL)
        WEIR_COPY_OUT(dst, claim.value, size);
    weir__ring_release(r, kind, size, &claim);
    return true;
}

/* A claim that may be held for a while. A lone producer's claim is no more than a look, so it can be refused here, not only when the
 * value is published. */
WEIR_INLINE bool weir__ring_reserve(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    if (weir__ring_has_limit(kind) && !weir__ring_is_open(weir__load_rlx(&r->state)))
        return false;
    return weir__ring_claim_push(r, kind, size, claim);
}

/* After publishing at pos: was the value accepted, given that the ring is closing or closed? 0 or EPIPE. */
WEIR_INLINE int weir__ring_settle(weir__ring *r, int kind, uint64_t pos)
{
    if (!weir__ring_has_limit(kind))
        return 0;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_before_limit(r, (unsigned)pos) ? 0 : EPIPE;
#endif
    return (int64_t)(pos - weir__ring_limit(r)) < 0 ? 0 : EPIPE;
}

#endif /* WEIR_RING_RING_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RING_RING_IMPLEMENTED)
#define WEIR_RING_RING_IMPLEMENTED

static size_t weir__power_of_two_above(size_t n)
{
    size_t power = 1;
    while (power <= n)
        power *= 2;
    return power;
}

WEIR_API size_t weir__ring_bytes(int kind, size_t capacity, size_t size)
{
    size_t count = capacity > 0 ? capacity : 1, stride = size, bytes;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        if (capacity > WEIR__CK_CAPACITY_MAX)
            return 0;
        count = weir__power_of_two_above(count);
    }
#endif
    if (capacity > SIZE_MAX / 8 || size > SIZE_MAX / 8)
        return 0;
    if (weir__ring_of(kind) == WEIR_RING_SLOTS)
        stride = WEIR__SLOT_STRIDE(size);
    return __builtin_mul_overflow(count, stride, &bytes) ? 0 : bytes;
}

WEIR_API void weir__ring_init(weir__ring *r, int kind, size_t capacity, size_t size, void *storage)
{
    uint64_t start = WEIR_RING_START;
    memset(r, 0, sizeof *r);
    r->state = weir__ring_has_limit(kind) && !weir__fence_asymmetric() ? WEIR__RING_OPEN_SYMMETRIC : WEIR__RING_OPEN;
    r->slots = (unsigned char *)storage;
    r->bytes = capacity * size;
    r->capacity = capacity;
    r->mark = weir__power_of_two_above(capacity);
    if (weir__ring_of(kind) == WEIR_RING_SLOTS) {
        start &= ~(weir__slots_lap(r) - 1);
        for (size_t i = 0; i < capacity; i++)
            weir__store_rlx(weir__slots_stamp(r, i, size), start + i);
        if (capacity == 0)
            weir__store_rlx(weir__slots_stamp(r, 0, size), start - 1); /* nobody's turn, ever */
    }
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        ck_ring_init(&r->ck, (unsigned)r->mark);
        r->ck.c_head = r->ck.p_head = r->ck.p_tail = (unsigned)start;
    }
#endif
    r->consumer.pos = r->producer.pos = r->consumer.peer = r->producer.peer = start;
}

WEIR_API WEIR_NOINLINE int weir__ring_why_full(weir__ring *r, int kind, size_t size)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_why_full(r);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return weir__ck_why_full(r, kind);
#endif
    default: return weir__slots_why_full(r, weir__many_producers(kind), size);
    }
}

WEIR_API WEIR_NOINLINE int weir__ring_why_empty(weir__ring *r, int kind, size_t size)
{
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED: return weir__spsc_why_empty(r);
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return weir__ck_why_empty(r, kind);
#endif
    default: return weir__slots_why_empty(r, weir__many_producers(kind), size);
    }
}

/* The tail of a ring as its producers move it, closed bit and all; for rings with a limit there is no such bit. */
static uint64_t weir__ring_tail(weir__ring *r, int kind)
{
    (void)kind;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return ck_pr_load_uint(weir__ck_shared(kind) ? &r->ck.p_head : &r->ck.p_tail);
#endif
    return weir__load_acq(&r->producer.pos);
}

WEIR_API bool weir__ring_is_closed(weir__ring *r, int kind)
{
    if (weir__ring_has_limit(kind))
        return weir__load_acq(&r->state) == WEIR__RING_CLOSED;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_is_closed(r);
#endif
    return (weir__load_acq(&r->producer.pos) & r->mark) != 0;
}

/* The three steps of base.h. */
static bool weir__ring_close_limit(weir__ring *r, int kind, void (*mark)(void *), void *arg)
{
    uint32_t open =
        weir__load_rlx(&r->state); /* relaxed, both: (C) orders the look at the tail, the store of CLOSED all else */
    if (!weir__ring_is_open(open) || !weir__cas_rlx(&r->state, &open, WEIR__RING_CLOSING)) {
        (void)weir__ring_closing(r); /* whoever is told that it is closed may rely on that */
        return false;
    }
    mark(arg);
    WEIR_HOOK("closing");
    WEIR_FENCE_HEAVY(); /* (C) pairs with (B), chan/channel.h */
    weir__store_rlx(&r->limit, weir__ring_tail(r, kind));
    weir__store_rel(&r->state, WEIR__RING_CLOSED);
    return true;
}

WEIR_API bool weir__ring_close(weir__ring *r, int kind, void (*mark)(void *), void *arg)
{
    if (weir__ring_has_limit(kind))
        return weir__ring_close_limit(r, kind, mark, arg);
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK)
        return weir__ck_close_many(r);
#endif
    return (weir__or_sc(&r->producer.pos, r->mark) & r->mark) == 0;
}

WEIR_API size_t weir__ring_len(weir__ring *r, int kind)
{
    uint64_t tail, head;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK && weir__ck_shared(kind))
        return weir__ck_len(r);
#endif
    do { /* until the two were read at one moment */
        tail = weir__ring_tail(r, kind);
#if WEIR__RING_CK_USED
        if (weir__ring_of(kind) == WEIR_RING_CK)
            head = ck_pr_load_uint(&r->ck.c_head);
        else
#endif
            head = weir__load_acq(&r->consumer.pos);
        /* A lone consumer of slots says nothing with its position (ring/slots.h): it may be seen before the tail that it has caught up with. */
    } while (weir__ring_tail(r, kind) != tail ||
             (weir__ring_of(kind) == WEIR_RING_SLOTS && weir__slots_distance(r, head, tail & ~r->mark) > r->capacity));
    if (weir__ring_has_limit(kind) && weir__load_acq(&r->state) == WEIR__RING_CLOSED)
        tail = weir__load_rlx(&r->limit);
    if (weir__ring_of(kind) == WEIR_RING_SLOTS)
        return (size_t)weir__slots_distance(r, head, tail & ~r->mark);
    return weir__ring_of(kind) == WEIR_RING_CK ? (size_t)(uint32_t)(tail - head) : (size_t)(tail - head);
}

/* From the first position of the ring to this one. */
static uint64_t weir__ring_distance(weir__ring *r, int kind, uint64_t pos)
{
    const uint64_t start = WEIR_RING_START;
    if (weir__ring_of(kind) == WEIR_RING_SLOTS)
        return weir__slots_distance(r, start & ~(weir__slots_lap(r) - 1), pos & ~r->mark);
    return weir__ring_of(kind) == WEIR_RING_CK ? (uint32_t)(pos - start) : pos - start;
}

WEIR_API void weir__ring_passed(weir__ring *r, int kind, uint64_t *pushed, uint64_t *popped)
{
    uint64_t head, tail; /* head first: it never passes the tail (of a ck ring; below for the others) */
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        head = ck_pr_load_uint(&r->ck.c_head);
        ck_pr_fence_load();
        tail = weir__ring_tail(r, kind);
        if (!weir__ring_has_limit(kind) && ((unsigned)(tail - head) & WEIR__CK_CLOSED) != 0)
            tail -= WEIR__CK_CLOSED;
    } else
#endif
    {
        head = weir__load_rlx(&r->consumer.pos);
        tail = weir__load_rlx(&r->producer.pos);
    }
    if (weir__ring_has_limit(kind) && weir__load_acq(&r->state) == WEIR__RING_CLOSED) /* so the limit is valid */
        tail = weir__load_rlx(&r->limit);
    *popped = weir__ring_distance(r, kind, head);
    *pushed = weir__ring_distance(r, kind, tail);
    /* Relaxed: nothing is concluded from them, but on weak memory the tail may have been read older. */
    if (weir__ring_of(kind) != WEIR_RING_CK && *pushed < *popped)
        *pushed = *popped;
}

WEIR_API bool weir__ring_ready(weir__ring *r, int kind, size_t size, bool pushing)
{
    const uint64_t pos = weir__load_rlx(pushing ? &r->producer.pos : &r->consumer.pos);
    switch (weir__ring_of(kind)) {
    case WEIR_RING_CACHED:
        return pushing ? pos - weir__load_rlx(&r->consumer.pos) != r->capacity
                       : weir__load_rlx(&r->producer.pos) != pos;
#if WEIR__RING_CK_USED
    case WEIR_RING_CK: return pushing ? weir__ck_why_full(r, kind) == 0 : weir__ck_why_empty(r, kind) == 0;
#endif
    default: return weir__load_rlx(weir__slots_stamp(r, pos, size)) == (pushing ? pos : pos + 1);
    }
}

WEIR_API uint64_t weir__ring_touched(weir__ring *r, int kind, bool pushing)
{
    /* The state goes into the top bits, which a position of an open ring with a limit reaches after 2^62 values only. */
    const uint64_t state = (uint64_t)weir__load_acq(&r->state) << 62;
    if (!pushing)
        return weir__ring_tail(r, kind) ^ state;
#if WEIR__RING_CK_USED
    if (weir__ring_of(kind) == WEIR_RING_CK) {
        const unsigned head = ck_pr_load_uint(&r->ck.c_head);
        return ((uint64_t)weir__ring_is_closed(r, kind) << 32) ^ head;
    }
#endif
    return weir__load_acq(&r->consumer.pos) ^ state ^ ((uint64_t)(weir__ring_is_closed(r, kind) ? 1 : 0) << 61);
}

#endif /* WEIR_RING_RING_IMPLEMENTED */
