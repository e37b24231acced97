/* weir/chan/batch.h: many values in one call.
 *
 *     int weir_send_n(ctx, ch, ptr, n, &sent)     sends ptr[0..n-1] in order, waiting for room as it must. 0: all sent. EPIPE, ETIMEDOUT,
 *                                                 ECANCELED: the first *sent of them were, and no others.
 *     int weir_recv_n(ctx, ch, ptr, max, &got)    waits for the first value only, then takes what is there, at most max.
 *                                                 0 with *got >= 1; errors as weir_recv, with *got = 0.
 *
 * One FIFO stays one FIFO: the values of a batch keep their order; those of other senders may come between. sent and got may be
 * NULL; so may ptr of a receive (the values are dropped). n = 0 or max = 0: 0, and nothing happens.
 * Between one sender and one receiver a batch is copied in one piece and published once. Threads and progress as for one value.
 */
#ifndef WEIR_CHAN_BATCH_H
#define WEIR_CHAN_BATCH_H

#include "send_recv.h"

#define weir_send_n(ctx, ch, ptr, n, sent)                                                                             \
    weir__send_n((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (n), (sent))
#define weir_recv_n(ctx, ch, ptr, max, got)                                                                            \
    weir__recv_n((ctx), WEIR__CHAN(ch), WEIR__KIND((ch).core), WEIR__ELEM(ch, ptr), sizeof *(ch).elem, (max), (got))

/* Pushes at most n values in one piece, if there is room for one: how many. */
WEIR_INLINE size_t weir__chan_push_run(weir__chan *c, const unsigned char *src, size_t size, size_t n, int *rc)
{
    weir__ring *r = &c->ring;
    weir__claim claim;
    size_t run;
    if (!weir__spsc_claim_push(r, &claim))
        return 0;
    run = weir__spsc_run(r, &r->producer, r->capacity - (claim.pos - r->producer.peer), n, size);
    WEIR_COPY_IN(claim.value, src, run * size);
    weir__spsc_advance(r, &r->producer, claim.pos, run, size);
    *rc = weir__chan_sent(c, claim.pos);
    return run;
}

WEIR_INLINE size_t weir__chan_pop_run(weir__chan *c, unsigned char *dst, size_t size, size_t max)
{
    weir__ring *r = &c->ring;
    weir__claim claim;
    size_t run;
    if (!weir__spsc_claim_pop(r, &claim))
        return 0;
    run = weir__spsc_run(r, &r->consumer, r->consumer.peer - claim.pos, max, size);
    if (dst != NULL)
        WEIR_COPY_OUT(dst, claim.value, run * size);
    weir__spsc_advance(r, &r->consumer, claim.pos, run, size);
    (void)weir__chan_received(c);
    return run;
}

WEIR_INLINE int weir__send_n(weir_ctx *ctx, weir__chan *c, int kind, const void *ptr, size_t size, size_t n,
                             size_t *sent)
{
    const unsigned char *src = (const unsigned char *)ptr;
    size_t done = 0;
    int rc = 0;
    while (done < n) {
        size_t run = 1;
        if (weir__ring_of(kind) == WEIR_RING_CACHED && c != NULL)
            run = weir__chan_push_run(c, src + done * size, size, n - done, &rc);
        else
            rc = weir__send(ctx, c, kind, src + done * size, size, WEIR_FOREVER);
        if (run == 0) {
            rc = weir__send_slow(ctx, c, src + done * size, WEIR_FOREVER);
            run = 1;
        }
        if (rc != 0)
            break;
        done += run;
    }
    if (sent != NULL)
        *sent = done;
    return rc;
}

WEIR_INLINE int weir__recv_n(weir_ctx *ctx, weir__chan *c, int kind, void *ptr, size_t size, size_t max, size_t *got)
{
    unsigned char *dst = (unsigned char *)ptr;
    size_t done = 0, run;
    int rc = 0;
    while (done < max) {
        unsigned char *at = dst == NULL ? NULL : dst + done * size;
        if (weir__ring_of(kind) == WEIR_RING_CACHED && c != NULL)
            run = weir__chan_pop_run(c, at, size, max - done);
        else
            run = weir__chan_pop(c, kind, at, size, &rc) ? 1 : 0;
        if (run == 0) {
            if (done == 0) {
                rc = weir__recv_slow(ctx, c, at, WEIR_FOREVER);
            } else if (c->flavor == WEIR__BUFFER) {
                if (weir__ring_why_empty(&c->ring, kind, size) != 0)
                    break;
                continue; /* a closed ring shows its last values only when asked */
            } else {
                rc = weir__try_recv_slow(c, at); /* no ring shows who waits to meet us */
            }
            if (rc != 0)
                break;
            run = 1;
        }
        done += run;
    }
    if (got != NULL)
        *got = done;
    return done > 0 ? 0 : rc;
}

#endif /* WEIR_CHAN_BATCH_H */
