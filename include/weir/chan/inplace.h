/* weir/chan/inplace.h: building a value where it will lie, and reading it where it lies: no copy.
 *
 *     struct tick *t;
 *     weir_reserve(ctx, ch, &t);   t->price = …;   weir_commit(ch, t);
 *     weir_peek(ctx, ch, &t);      use(t);         weir_release(ch, t);
 *
 * Between reserve and commit the place is taken: later values, though sent, are received only after it (one FIFO). So be quick,
 * and commit every reservation. Likewise a peeked value is gone for other receivers, and its place is not free until it is
 * released. In kinds with several senders (receivers) a thread may hold several places, and give them back in any order (on a
 * ck ring in the order in which it took them); in kinds with one, it holds one at a time.
 * While a thread holds a place it does not call a try-operation of the other side on that channel, nor waits there: both wait for the peer
 * that stands between claim and publish, and that peer is itself.
 *
 *     int weir_reserve(ctx, ch, &slot)   0, EPIPE, ETIMEDOUT, ECANCELED as weir_send
 *     int weir_commit(ch, slot)          0; EPIPE: closed meanwhile, not sent (only in kinds with one sender: with many the
 *                                        reservation came before the close, and counts)
 *     int weir_peek(ctx, ch, &slot)      0, EPIPE, ETIMEDOUT, ECANCELED as weir_recv; ENOTSUP: a ck ring with several receivers
 *     int weir_release(ch, slot)         0
 * ENOTSUP, from reserve and peek: a rendezvous or a timer, where there is no place to build in.
 * Same threads and progress as weir_send and weir_recv.
 */
#ifndef WEIR_CHAN_INPLACE_H
#define WEIR_CHAN_INPLACE_H

#include "handle.h"
#include "wait.h"

#define weir_reserve(ctx, ch, slot)                                                                                    \
    weir__reserve((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM_SLOT(ch, slot), sizeof *(ch).elem)
#define weir_commit(ch, slot)                                                                                          \
    weir__commit(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, slot), sizeof *(ch).elem)
#define weir_peek(ctx, ch, slot)                                                                                       \
    weir__peek((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM_SLOT(ch, slot), sizeof *(ch).elem)
#define weir_release(ch, slot)                                                                                         \
    weir__release(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, slot), sizeof *(ch).elem)

/* slot: the address of an element pointer of the channel's type. */
WEIR_INLINE int weir__reserve(weir_ctx *ctx, weir__chan *c, int kind, void *slot, size_t size)
{
    weir__op op = {WEIR__OP_RESERVE, NULL, NULL, {NULL, 0}};
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_reserve(&c->ring, kind, size, &op.claim))) {
        const int rc = weir__op_wait(ctx, c, &op, WEIR_FOREVER);
        if (rc != 0)
            return rc;
    }
    memcpy(slot, &op.claim.value, sizeof op.claim.value);
    return 0;
}

WEIR_INLINE int weir__commit(weir__chan *c, int kind, void *value, size_t size)
{
    weir__claim claim;
    weir__ring_reclaim(&c->ring, kind, size, false, value, &claim);
    weir__ring_publish(&c->ring, kind, size, &claim);
    return weir__chan_sent(c, claim.pos);
}

WEIR_INLINE int weir__peek(weir_ctx *ctx, weir__chan *c, int kind, void *slot, size_t size)
{
    weir__op op = {WEIR__OP_PEEK, NULL, NULL, {NULL, 0}};
    if (weir__ring_of(kind) == WEIR_RING_CK && weir__many_consumers(kind))
        return ENOTSUP;
    if (WEIR_UNLIKELY(c == NULL) || WEIR_UNLIKELY(!weir__ring_claim_pop(&c->ring, kind, size, &op.claim))) {
        const int rc = weir__op_wait(ctx, c, &op, WEIR_FOREVER);
        if (rc != 0)
            return rc;
    }
    memcpy(slot, &op.claim.value, sizeof op.claim.value);
    return 0;
}

WEIR_INLINE int weir__release(weir__chan *c, int kind, void *value, size_t size)
{
    weir__claim claim;
    weir__ring_reclaim(&c->ring, kind, size, true, value, &claim);
    weir__ring_release(&c->ring, kind, size, &claim);
    return weir__chan_received(c);
}

#endif /* WEIR_CHAN_INPLACE_H */
