/* weir/ring/ck.h: Concurrency Kit's ck_ring under a channel. Value of the WEIR_RING_ macros: WEIR_RING_CK.
 *
 * Overview
 *   ck_ring keeps three 32-bit counters: p_head, which producers claim places by moving; p_tail, up to which values are published;
 *   c_head, up to which they have been taken. Values of any size go through its _ck_ring_ functions, which take the size as an
 *   argument (CK_RING_PROTOTYPE, the public way, fixes it per type and only wraps them).
 *
 * What it does that a channel must not, and how that is hidden
 *   Capacity. A ck_ring of size 2^k holds 2^k - 1. Here the ring is made larger than the channel and the bound is ours: a lone
 *     producer compares before it enqueues, many producers reserve in weir__ck_claim_many, which is ck's loop with our bound in place of
 *     its mask, and commit through ck.
 *   Closing. With several producers p_head + 2^31 means closed: every reservation fails then, as on a full ring. A kind with one
 *     producer and many consumers enqueues like many producers do, because ck's plain store of p_tail leaves nothing for a closer to
 *     set that the consumers' compare-and-swap would respect. One producer and one consumer close as in base.h.
 *
 * What remains, and is stated
 *   A producer publishes only after all earlier ones have: one that is suspended between claim and publish stops the others. With
 *   more threads than cores that is common, hence the yields in weir__ck_commit. A send waits for a peer; it is not lock-free.
 *   Several consumers copy a value before they claim it. Values up to WEIR__CK_BOUNCE bytes go through a copy of ours, so that an
 *   attempt that fails leaves the caller's memory alone; larger ones may leave another receiver's value there. None can be read in place
 *   (weir_peek: ENOTSUP). Thread sanitizers report that copy, also against a value that is being written in place: tests/tsan-shim.
 *   Counters have 32 bits: a thread stopped for exactly 2^32 operations inside its claim meets its own past.
 *   Capacity is at most 2^30.
 */
#ifndef WEIR_RING_CK_H
#define WEIR_RING_CK_H

#include "base.h"

#if WEIR__RING_CK_USED

#define WEIR__CK_CLOSED 0x80000000U
#define WEIR__CK_BOUNCE 256
#define WEIR__CK_CAPACITY_MAX ((size_t)1 << 30)

/* With several producers, or several consumers, the places are claimed on p_head. */
WEIR_INLINE bool weir__ck_shared(int kind)
{
    return kind != WEIR__SPSC;
}

/* Several producers: how far p_head is ahead of c_head; with WEIR__CK_CLOSED added once it is closed. */
static inline unsigned weir__ck_ahead(weir__ring *r, unsigned *tail)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    ck_pr_fence_load(); /* c_head first: it never passes p_head, so the difference is never negative */
    *tail = ck_pr_load_uint(&r->ck.p_head);
    return *tail - head;
}

static inline bool weir__ck_before_limit(weir__ring *r, unsigned pos)
{
    return (int32_t)(pos - (unsigned)weir__ring_limit(r)) < 0;
}

/* weir__slots_before_limit for counters of 32 bits. */
static inline bool weir__ck_counts(weir__ring *r, unsigned pos)
{
    return (int32_t)(pos - (unsigned)weir__ring_bound(r, pos + 1)) < 0;
}

WEIR_INLINE bool weir__ck_claim_many(weir__ring *r, size_t size, weir__claim *claim)
{
    unsigned tail;
    for (;;) {
        if (weir__ck_ahead(r, &tail) >= (unsigned)r->capacity)
            return false;
        if (ck_pr_cas_uint(&r->ck.p_head, tail, tail + 1)) {
            claim->value = r->slots + (tail & r->ck.mask) * size;
            claim->pos = tail;
            return true;
        }
    }
}

WEIR_INLINE bool weir__ck_claim_push(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    if (weir__ck_shared(kind))
        return weir__ck_claim_many(r, size, claim);
    claim->pos = r->ck.p_tail;
    if (r->ck.p_tail - ck_pr_load_uint(&r->ck.c_head) >= (unsigned)r->capacity)
        return false;
    claim->value = _ck_ring_enqueue_reserve_sp(&r->ck, r->slots, (unsigned)size, NULL);
    return true;
}

/* Waits, with a yield, for the producers that claimed before; ck's own wait would spin on a core that one of them may need. */
static inline void weir__ck_commit(weir__ring *r, unsigned ticket)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    while (ck_pr_load_uint(&r->ck.p_tail) != ticket)
        weir__backoff_peer(&b);
    _ck_ring_enqueue_commit_mp(&r->ck, ticket);
}

WEIR_INLINE void weir__ck_publish(weir__ring *r, int kind, const weir__claim *claim)
{
    if (weir__ck_shared(kind))
        weir__ck_commit(r, (unsigned)claim->pos);
    else
        _ck_ring_enqueue_commit_sp(&r->ck);
}

/* Whether there is a value for a lone consumer to take. The tail is read first, the state after: base.h says why. */
WEIR_INLINE bool weir__ck_ready(weir__ring *r, int kind)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    if (ck_pr_load_uint(&r->ck.p_tail) == head)
        return false;
    ck_pr_fence_load();
    return weir__ck_shared(kind) || weir__load_rlx(&r->state) == WEIR__RING_OPEN || weir__ck_counts(r, head);
}

/* Drops the oldest value without a copy; ck has no call for that. */
static inline bool weir__ck_drop(weir__ring *r)
{
    for (;;) {
        const unsigned head = ck_pr_load_uint(&r->ck.c_head);
        ck_pr_fence_load();
        if (ck_pr_load_uint(&r->ck.p_tail) == head)
            return false;
        if (ck_pr_cas_uint(&r->ck.c_head, head, head + 1))
            return true;
    }
}

/* Takes the oldest value, several consumers. */
WEIR_INLINE bool weir__ck_pop_many(weir__ring *r, void *dst, size_t size)
{
    unsigned char bounce[WEIR__CK_BOUNCE];
    if (size > sizeof bounce)
        return _ck_ring_dequeue_mc(&r->ck, r->slots, dst, (unsigned)size);
    if (!_ck_ring_dequeue_mc(&r->ck, r->slots, bounce, (unsigned)size))
        return false;
    memcpy(dst, bounce, size);
    return true;
}

/* Takes the oldest value; dst may be NULL. */
WEIR_INLINE bool weir__ck_pop(weir__ring *r, int kind, void *dst, size_t size)
{
    if (dst == NULL && weir__many_consumers(kind))
        return weir__ck_drop(r);
    if (weir__many_consumers(kind))
        return weir__ck_pop_many(r, dst, size);
    if (!weir__ck_ready(r, kind))
        return false;
    if (dst != NULL)
        return _ck_ring_dequeue_sc(&r->ck, r->slots, dst, (unsigned)size);
    ck_pr_store_uint(&r->ck.c_head, r->ck.c_head + 1);
    return true;
}

/* In place, one consumer. */
WEIR_INLINE bool weir__ck_claim_pop(weir__ring *r, int kind, size_t size, weir__claim *claim)
{
    if (!weir__ck_ready(r, kind))
        return false;
    claim->pos = r->ck.c_head;
    claim->value = r->slots + (r->ck.c_head & r->ck.mask) * size;
    return true;
}

WEIR_INLINE void weir__ck_release(weir__ring *r)
{
    ck_pr_fence_load(); /* the value has been read; on x86 loads are not passed by later stores */
    ck_pr_fence_store();
    ck_pr_store_uint(&r->ck.c_head, r->ck.c_head + 1);
}

/* The claim of a reserved place. Places from p_tail to p_head are claimed, and fewer than the ring's size: the index tells which. */
WEIR_INLINE void weir__ck_reclaim(weir__ring *r, void *value, size_t size, weir__claim *claim)
{
    const unsigned index = (unsigned)((size_t)((unsigned char *)value - r->slots) / size),
                   tail = ck_pr_load_uint(&r->ck.p_tail);
    claim->value = value;
    claim->pos = tail + ((index - tail) & r->ck.mask);
}

static inline int weir__ck_why_full(weir__ring *r, int kind)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    ck_pr_fence_load();
    const unsigned tail = weir__ck_shared(kind) ? ck_pr_load_uint(&r->ck.p_head) : ck_pr_load_uint(&r->ck.p_tail);
    if (weir__ck_shared(kind) ? tail - head >= WEIR__CK_CLOSED : weir__ring_closing(r))
        return EPIPE;
    if (tail - head < (unsigned)r->capacity)
        return 0;
    ck_pr_fence_load();
    return ck_pr_load_uint(&r->ck.c_head) == head ? EAGAIN : 0; /* it stood still around the read of tail */
}

static inline int weir__ck_why_empty(weir__ring *r, int kind)
{
    const unsigned head = ck_pr_load_uint(&r->ck.c_head);
    if (!weir__ck_shared(kind) && weir__load_acq(&r->state) != WEIR__RING_OPEN && !weir__ck_counts(r, head))
        return EPIPE;
    ck_pr_fence_load();
    if (ck_pr_load_uint(&r->ck.p_tail) != head)
        return 0;
    if (!weir__ck_shared(kind))
        return EAGAIN;
    ck_pr_fence_load();
    const unsigned claimed = ck_pr_load_uint(&r->ck.p_head);
    if (claimed == head)
        return EAGAIN;
    if (claimed == (head ^ WEIR__CK_CLOSED))
        return EPIPE;
    return ck_pr_load_uint(&r->ck.c_head) == head ? WEIR__BUSY : 0;
}

static inline bool weir__ck_is_closed(weir__ring *r)
{
    unsigned tail;
    return weir__ck_ahead(r, &tail) >= WEIR__CK_CLOSED;
}

static inline size_t weir__ck_len(weir__ring *r)
{
    unsigned head, tail;
    size_t ahead;
    do { /* until the two were read at one moment */
        head = ck_pr_load_uint(&r->ck.c_head);
        ck_pr_fence_load();
        tail = ck_pr_load_uint(&r->ck.p_head);
        ck_pr_fence_load();
    } while (ck_pr_load_uint(&r->ck.c_head) != head);
    ahead = (tail - head) & ~WEIR__CK_CLOSED;
    return ahead < r->capacity ? ahead : (size_t)r->capacity;
}

/* Sets the closed bit; true for the caller that did it. */
static inline bool weir__ck_close_many(weir__ring *r)
{
    unsigned tail;
    for (;;) {
        if (weir__ck_ahead(r, &tail) >= WEIR__CK_CLOSED)
            return false;
        if (ck_pr_cas_uint(&r->ck.p_head, tail, tail ^ WEIR__CK_CLOSED))
            return true;
    }
}

#endif
#endif /* WEIR_RING_CK_H */
