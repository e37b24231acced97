/* weir/chan/lane.h: where two threads that are awake meet in a rendezvous channel: one cache line, and no lock.
 *
 * Overview
 *   A channel of capacity 0 has a lane beside its two queues (chan/rendezvous.h). Whoever comes first announces itself there, spins and
 *   yields; whoever comes second does the exchange. Nobody sleeps in the lane: who would, moves into the queue. There is room for one
 *   receiver and one sender, and a value of up to 24 bytes each; everybody else uses the queues.
 *
 * The word
 *       63                 4 3      2 1      0
 *       [ turn              | receiver| sender ]       turn: + 1 with every announcement, so that no two are taken for one another
 *
 *       sender      NONE ──► OFFERING ──► OFFER ──► TAKING ──► NONE       the value stands in `offer`
 *                             writes it    │ announced  copied out
 *                                          └──────────────────► NONE      given up
 *       receiver    NONE ──► WANT ──► GIVING ──► DEAL ──► NONE            the value stands in `deal`
 *                    announced │        copied in    picked up
 *                              └────────────────────────► NONE            given up
 *
 *   All steps that two parties might want at once (announcing, OFFER and WANT onwards) are compare-and-swaps of the whole word: one wins,
 *   so an exchange excludes a timeout. A sender is done when its offer has gone; one that finds a WANT is done as soon as it has
 *   given: that receiver can no longer leave.
 *
 * Why a sender may announce itself beside a DEAL
 *   One exchange at a time costs a transfer of the line in each direction: 77 ns. But a sender that has just given can announce its next
 *   value before the receiver has picked up the first, and a receiver that has just taken can announce its next wish: then each transfer
 *   carries the end of one exchange and the beginning of the next, and a value takes 42 ns. Hence two places for values.
 *   A receiver never announces itself beside an offer: it takes it.
 *
 * Lane and queues: no two wait past each other
 *   Without (D) and (E): a receiver sees an empty senders' queue and announces itself in the lane; a sender sees an empty lane and joins
 *   the queue. Both wait for ever. With them:
 *       announce in the lane (CAS, seq_cst)     join the queue
 *       (D)                                     (E) full fence
 *       look at the other side's queue          look at the lane
 *   (D) is the order that seq_cst gives the CAS and the load after it; (E) a fence, or the heavy one of a select. Both looking too early
 *   is the outcome that they exclude. Whoever sees the other acts: the one in the lane leaves it for the queue's lock, where it meets
 *   who waits there; the one in the queue leaves that and tries the lane.
 *
 * Order
 *   Nobody enters the lane while somebody of its own side is in the queue, the lane is served first, and who moves from the lane into the
 *   queue goes to its front: so threads are met in the order of their coming. They move that way only, and are in the queue
 *   before they leave the lane: a try that looks at the lane first misses nobody.
 *
 * Progress: announcing and claiming are lock-free; OFFERING, TAKING and GIVING last for one copy, and are waited out.
 * Sources: W. Scherer, D. Lea, M. Scott, "Scalable Synchronous Queues" (2006), for the two kinds of waiter in one place.
 */
#ifndef WEIR_CHAN_LANE_H
#define WEIR_CHAN_LANE_H

#include "channel.h"

enum {
    WEIR__LANE_OFFERING = 1,
    WEIR__LANE_OFFER = 2,
    WEIR__LANE_TAKING = 3,
    WEIR__LANE_SENDER = 3, /* the field */
    WEIR__LANE_WANT = 1 << 2,
    WEIR__LANE_GIVING = 2 << 2,
    WEIR__LANE_DEAL = 3 << 2,
    WEIR__LANE_RECEIVER = 3 << 2,
    WEIR__LANE_TURN = 1 << 4
};

/* How entering the lane has ended. */
typedef enum weir__lane_entry {
    WEIR__LANE_DONE,    /* a counterpart was there: exchanged */
    WEIR__LANE_STAY,    /* announced: weir__lane_gone tells when it is done */
    WEIR__LANE_PASSING, /* a counterpart is about to announce itself: try again */
    WEIR__LANE_TAKEN    /* no place here: to the queue */
} weir__lane_entry;

/* Gives to, or takes from, a counterpart that waits in the lane. False: there is none. Any thread. dst may be NULL. */
WEIR_API bool weir__lane_meet(weir__chan *c, bool sending, const void *src, void *dst);

/* Whether a counterpart waits in the lane or is about to. */
static inline bool weir__lane_there(weir__chan *c, bool sending)
{
    const uint64_t word = weir__load_sc(&c->lane.word);
    const uint64_t sender = word & WEIR__LANE_SENDER;
    return sending ? (word & WEIR__LANE_RECEIVER) == WEIR__LANE_WANT
                   : sender == WEIR__LANE_OFFERING || sender == WEIR__LANE_OFFER;
}

#endif /* WEIR_CHAN_LANE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_LANE_IMPLEMENTED)
#define WEIR_CHAN_LANE_IMPLEMENTED

/* Values of one word are the common case, and copied without a call. */
WEIR_INLINE void weir__lane_copy_in(void *place, const void *src, size_t size)
{
    if (size == sizeof(uint64_t))
        WEIR_COPY_IN(place, src, sizeof(uint64_t));
    else
        WEIR_COPY_IN(place, src, size);
}

WEIR_INLINE void weir__lane_copy_out(void *dst, const void *place, size_t size)
{
    if (dst == NULL)
        return;
    if (size == sizeof(uint64_t))
        WEIR_COPY_OUT(dst, place, sizeof(uint64_t));
    else
        WEIR_COPY_OUT(dst, place, size);
}

/* The end of a step that the word's one owner takes: by a store where nobody else can change the other field meanwhile. Release: the value. */
WEIR_INLINE void weir__lane_step(weir__chan *c, uint64_t now, uint64_t difference, bool alone)
{
    if (alone)
        weir__store_rel(&c->lane.word, now + difference);
    else
        (void)weir__add_rel(&c->lane.word, difference);
}

/* While a receiver wants, no sender announces itself: so the word is the giver's until it stores DEAL. False: *word has changed.
 * *word was loaded with acquire: what was read from `deal` before, and what stands in `offer`; the turn tells that it is the same word. Release, here
 * and below: a try that finds nobody there any more knows what whoever was faster did before (chan/select.h, "Trying is one moment"). */
WEIR_INLINE bool weir__lane_give(weir__chan *c, uint64_t *word, const void *src)
{
    const uint64_t giving = *word + (WEIR__LANE_GIVING - WEIR__LANE_WANT);
    if (!weir__cas_rel(&c->lane.word, word, giving))
        return false;
    WEIR_HOOK("meeting");
    weir__lane_copy_in(c->lane.deal, src, c->size);
    weir__lane_step(c, giving, WEIR__LANE_DEAL - WEIR__LANE_GIVING, true);
    return true;
}

/* Beside a DEAL, its receiver may pick up at any time. */
WEIR_INLINE bool weir__lane_take(weir__chan *c, uint64_t *word, void *dst)
{
    const uint64_t taking = *word + (WEIR__LANE_TAKING - WEIR__LANE_OFFER);
    if (!weir__cas_rel(&c->lane.word, word, taking))
        return false;
    WEIR_HOOK("meeting");
    weir__lane_copy_out(dst, c->lane.offer, c->size);
    weir__lane_step(c, taking, 0 - (uint64_t)WEIR__LANE_TAKING, (taking & WEIR__LANE_RECEIVER) == 0);
    return true;
}

WEIR_API bool weir__lane_meet(weir__chan *c, bool sending, const void *src, void *dst)
{
    for (;;) {
        /* Acquire, in each turn: who has left the lane for the queue is found there by whoever looks next. */
        uint64_t word = weir__load_acq(&c->lane.word);
        if (sending ? (word & WEIR__LANE_RECEIVER) != WEIR__LANE_WANT : (word & WEIR__LANE_SENDER) != WEIR__LANE_OFFER)
            return false;
        if (sending ? weir__lane_give(c, &word, src) : weir__lane_take(c, &word, dst))
            return true;
    }
}

/* Announces the caller, given that there is room for it in *word. False: *word has changed. */
WEIR_INLINE bool weir__lane_announce(weir__chan *c, bool sending, const void *src, uint64_t *word, uint64_t *mine)
{
    uint64_t now = *word + WEIR__LANE_TURN + (sending ? WEIR__LANE_OFFERING : WEIR__LANE_WANT);
    if (!weir__cas_sc(&c->lane.word, word, now)) /* before (D) */
        return false;
    if (sending) {
        WEIR_HOOK("offering");
        weir__lane_copy_in(c->lane.offer, src, c->size);
        weir__lane_step(c, now, WEIR__LANE_OFFER - WEIR__LANE_OFFERING, (now & WEIR__LANE_RECEIVER) == 0);
    }
    *mine = now;
    return true;
}

/* Announced: gives up. False: a counterpart was faster, and weir__lane_gone will soon say so. Release: whoever finds us gone from the lane finds us in the
 * queue, if we have moved there. */
WEIR_INLINE bool weir__lane_leave(weir__chan *c, bool sending, uint64_t mine)
{
    uint64_t word = mine;
    if (!sending)
        return weir__cas_rel(&c->lane.word, &word, word - WEIR__LANE_WANT);
    word = weir__load_rlx(&c->lane.word); /* weir__lane_gone acquires */
    while ((word & WEIR__LANE_SENDER) == WEIR__LANE_OFFER && ((word ^ mine) & ~(uint64_t)(WEIR__LANE_TURN - 1)) == 0)
        if (weir__cas_rel(&c->lane.word, &word, word - WEIR__LANE_OFFER))
            return true;
    return false;
}

/* As weir__lane_meet, and announces the caller when nobody is there. *mine: what the word was then. */
WEIR_INLINE weir__lane_entry weir__lane_enter(weir__chan *c, bool sending, const void *src, void *dst, uint64_t *mine)
{
    weir__waitq *const own = sending ? &c->senders : &c->receivers, *const other =
                                                                        sending ? &c->receivers : &c->senders;
    if (c->size > sizeof c->lane.offer)
        return WEIR__LANE_TAKEN;
    for (;;) {
        uint64_t word = weir__load_acq(&c->lane.word); /* acquire, in each turn: who has left it stands in the queue */
        const uint64_t sender = word & WEIR__LANE_SENDER, receiver = word & WEIR__LANE_RECEIVER;
        if (sending ? receiver == WEIR__LANE_WANT : sender == WEIR__LANE_OFFER) {
            if (sending ? weir__lane_give(c, &word, src) : weir__lane_take(c, &word, dst))
                return WEIR__LANE_DONE;
            continue;
        }
        if (!sending && sender == WEIR__LANE_OFFERING)
            return WEIR__LANE_PASSING;
        if (sender != 0 || (receiver != 0 && (!sending || receiver != WEIR__LANE_DEAL)) ||
            weir__waitq_sleepers(own) != 0)
            return WEIR__LANE_TAKEN;
        if (weir__lane_announce(c, sending, src, &word, mine))
            break;
    }
    /* (D) pairs with (E). If somebody is there who may not have seen us: leave, unless it has. */
    if ((weir__load_sc(&other->attention) & WEIR__ATTENTION_COUNT) != 0 && weir__lane_leave(c, sending, *mine))
        return WEIR__LANE_TAKEN;
    return WEIR__LANE_STAY;
}

/* Announced: whether the exchange is done, a receiver's value then in dst. */
WEIR_INLINE bool weir__lane_gone(weir__chan *c, bool sending, void *dst, uint64_t mine)
{
    const uint64_t word = weir__load_acq(&c->lane.word); /* acquire: the value, and what the counterpart did before */
    if (sending) /* the turn is that of the last announcement: an offer of another turn, or a wish, came when ours had gone */
        return (word & WEIR__LANE_SENDER) == 0 || ((word ^ mine) & ~(uint64_t)(WEIR__LANE_TURN - 1)) != 0;
    if ((word & WEIR__LANE_RECEIVER) != WEIR__LANE_DEAL)
        return false;
    weir__lane_copy_out(dst, c->lane.deal, c->size);
    (void)weir__add_rel(&c->lane.word, 0 - (uint64_t)WEIR__LANE_DEAL); /* release: `deal` has been read */
    return true;
}

#endif /* WEIR_CHAN_LANE_IMPLEMENTED */
