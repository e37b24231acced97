/* weir/chan/send_recv.h: sending and receiving one value.
 *
 *     int weir_send(ctx, ch, &v)         int weir_recv(ctx, ch, &v)             waits as long as ctx lives; ctx NULL: for ever
 *     int weir_send_until(ctx, ch, &v, deadline)   int weir_recv_until(…)       likewise, at most until a point in time
 *     int weir_try_send(ch, &v)          int weir_try_recv(ch, &v)              never waits for room or for a value
 *     int weir_send_latest(ch, &v, &dropped)                                    never waits: drops the oldest values when full
 *
 * Who may call: as many senders and as many receivers at once as the kind of the channel says, and weir_close, weir_len at any time.
 * The value is copied in before the call returns; &v of a receive may be NULL, and the value is dropped.
 *
 * Returns 0 or
 *     EPIPE       send: the channel was closed, and the value has not been sent. recv: it was closed and has been drained.
 *     EAGAIN      try: it was full (empty) at one moment during the call
 *     ETIMEDOUT   the deadline, or the context's, has passed; nothing has been sent or received
 *     ECANCELED   the context was cancelled; likewise
 * A value that is there, or room, comes first: it is looked for before context and deadline are. (A value is not there yet while its
 * sender, or one before it, has not returned.)
 * A NULL channel is never ready: the waiting calls wait until the context ends, the try calls say EAGAIN.
 *
 * Progress, with room (a value) there: one sender, one receiver: wait-free, no atomic read-modify-write, no fence, no call. Several
 * senders (receivers): lock-free, one compare-and-swap. On a ck ring a send waits for earlier senders.
 * EAGAIN waits for a peer that stands between its claim and its publish. Without room (a value): spins, yields, parks.
 */
#ifndef WEIR_CHAN_SEND_RECV_H
#define WEIR_CHAN_SEND_RECV_H

#include "handle.h"
#include "wait.h"

#define weir_send(ctx, ch, ptr) weir_send_until((ctx), ch, (ptr), WEIR_FOREVER)
#define weir_recv(ctx, ch, ptr) weir_recv_until((ctx), ch, (ptr), WEIR_FOREVER)
#define weir_send_until(ctx, ch, ptr, deadline)                                                                        \
    weir__send((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (deadline))
#define weir_recv_until(ctx, ch, ptr, deadline)                                                                        \
    weir__recv((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (deadline))
#define weir_try_send(ch, ptr)                                                                                         \
    weir__try_send(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem)
#define weir_try_recv(ch, ptr)                                                                                         \
    weir__try_recv(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem)

/* For kinds with many receivers, because the sender takes the oldest value away as a receiver would. dropped: a size_t pointer, or
 * NULL; how many values were discarded to make room. 0, EPIPE; EAGAIN for a NULL channel, and for a rendezvous where nobody
 * waits to receive. Values that own memory should not go
 * this way: what is dropped is gone. */
#define weir_send_latest(ch, ptr, dropped)                                                                             \
    weir__send_latest(WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr),                                      \
                      sizeof *(ch).elem + WEIR__REQUIRE(WEIR__KIND((ch).core) >= WEIR__SPMC), (dropped))

WEIR_INLINE int weir__send(weir_ctx *ctx, weir__chan *c, int kind, const void *src, size_t size, weir_ns deadline)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_push(c, kind, src, size, &rc)))
        return rc;
    return weir__send_slow(ctx, c, src, deadline);
}

WEIR_INLINE int weir__recv(weir_ctx *ctx, weir__chan *c, int kind, void *dst, size_t size, weir_ns deadline)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_pop(c, kind, dst, size, &rc)))
        return rc;
    return weir__recv_slow(ctx, c, dst, deadline);
}

WEIR_INLINE int weir__try_send(weir__chan *c, int kind, const void *src, size_t size)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_push(c, kind, src, size, &rc)))
        return rc;
    return weir__try_send_slow(c, src);
}

WEIR_INLINE int weir__try_recv(weir__chan *c, int kind, void *dst, size_t size)
{
    int rc;
    if (WEIR_LIKELY(weir__chan_pop(c, kind, dst, size, &rc)))
        return rc;
    return weir__try_recv_slow(c, dst);
}

static inline int weir__send_latest(weir__chan *c, int kind, const void *src, size_t size, size_t *dropped)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    size_t discarded = 0;
    int rc;
    if (dropped != NULL)
        *dropped = 0;
    if (c == NULL || c->flavor != WEIR__BUFFER)
        return weir__try_send_slow(c, src); /* there is no oldest value to drop */
    while (!weir__chan_push(c, kind, src, size, &rc)) {
        rc = weir__chan_inherited(c) ? ENOTRECOVERABLE : weir__ring_why_full(&c->ring, kind, size);
        if (rc == EPIPE || rc == ENOTRECOVERABLE)
            break;
        /* No sender is woken for this place: it is ours, or a faster sender's. */
        if (rc == EAGAIN && weir__ring_pop(&c->ring, kind, NULL, size))
            discarded++;
        else if (rc != 0)
            weir__backoff_peer(&b);
    }
    if (dropped != NULL)
        *dropped = discarded;
    return rc;
}

#endif /* WEIR_CHAN_SEND_RECV_H */
