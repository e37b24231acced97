/* weir/chan/promise.h: a channel on which one value arrives, once, and stays for all who come: what a future waits on (task/future.h).
 *
 *     PENDING ──► SETTING ──► DONE ──► LEFT
 *        ▲           │
 *        └───────────┘ the thread that was to compute it could not be started
 *
 * SETTING belongs to one thread, which writes the value. DONE: it is there, or the code that stands for it, and never changes. LEFT: that thread has
 * woken everybody and touches the promise no more, so whoever frees it waits for LEFT.
 */
#ifndef WEIR_CHAN_PROMISE_H
#define WEIR_CHAN_PROMISE_H

#include "make.h"

enum { WEIR__PROMISE_PENDING, WEIR__PROMISE_SETTING, WEIR__PROMISE_DONE, WEIR__PROMISE_LEFT };

/* The state is in `closed`, the code in `due`, the value behind the channel. */
#define weir__promise_value(c) ((void *)((c) + 1))

/* Acquire: pairs with the release in weir__promise_end. */
static inline bool weir__promise_done(weir__chan *c)
{
    return weir__load_acq(&c->closed) >= WEIR__PROMISE_DONE;
}
/* 0, or the code that stands for the value. Once it is done. */
static inline int weir__promise_code(weir__chan *c)
{
    return (int)weir__load_rlx(&c->due);
}

#define weir__promise_make WEIR__RINGED(weir__promise_make)
/* A channel with room for a value of this size and `extra` bytes, which are at *beside. Errors as weir_chan_make_opt. */
WEIR_API int weir__promise_make(void *handle, size_t size, size_t extra, void *beside, const weir_chan_opt *opt);
/* 0: done, and copied to dst (NULL: not) if there is a value. EAGAIN. */
WEIR_API int weir__promise_take(weir__chan *c, void *dst);
/* The caller is the one that sets it. */
WEIR_API bool weir__promise_begin(weir__chan *c);
/* It will not, after all. */
WEIR_API void weir__promise_give_up(weir__chan *c);
/* The value has been written, or (code not 0) there is none. Wakes all. The promise may be gone when this returns. */
WEIR_API void weir__promise_end(weir__chan *c, int code);
/* Waits for the thread that sets it, if there is one, to leave. */
WEIR_API void weir__promise_await_left(weir__chan *c);

#endif /* WEIR_CHAN_PROMISE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_PROMISE_IMPLEMENTED)
#define WEIR_CHAN_PROMISE_IMPLEMENTED

WEIR_API int weir__promise_make(void *handle, size_t size, size_t extra, void *beside, const weir_chan_opt *opt)
{
    const size_t room = (size + 63) / 64 * 64;
    weir__chan *c;
    unsigned char *at;
    int rc;
    if (size > SIZE_MAX / 4)
        return EOVERFLOW;
    rc = weir__chan_make(handle, WEIR__MPMC, 1, room + extra,
                         opt); /* a ring of one, whose memory is all that is wanted of it */
    if (rc != 0)
        return rc;
    memcpy(&c, handle, sizeof c);
    c->flavor = WEIR__PROMISE;
    c->size = size;
    at = (unsigned char *)weir__promise_value(c) + room;
    memset(at, 0, extra);
    memcpy(beside, &at, sizeof at);
    return 0;
}

WEIR_API int weir__promise_take(weir__chan *c, void *dst)
{
    if (!weir__promise_done(c))
        return EAGAIN;
    if (dst != NULL && weir__promise_code(c) == 0)
        WEIR_COPY_OUT(dst, weir__promise_value(c), c->size);
    return 0;
}

WEIR_API bool weir__promise_begin(weir__chan *c)
{
    uint32_t pending = WEIR__PROMISE_PENDING;
    return weir__cas_acq(&c->closed, &pending, WEIR__PROMISE_SETTING);
}

WEIR_API void weir__promise_give_up(weir__chan *c)
{
    weir__store_rel(&c->closed, WEIR__PROMISE_PENDING);
}

WEIR_API void weir__promise_end(weir__chan *c, int code)
{
    weir__store_rlx(&c->due, (uint64_t)code);
    weir__store_rel(&c->closed, WEIR__PROMISE_DONE);
    /* No fence for a sleeper between join and its last look: the wake takes the queue's lock, which it has had before us, and is found, or has
     * after us, and sees DONE. */
    weir__waitq_wake(&c->receivers, WEIR__WAKE_ALL);
    weir__store_rel(&c->closed, WEIR__PROMISE_LEFT);
}

WEIR_API void weir__promise_await_left(weir__chan *c)
{
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    for (;;) {
        const uint32_t state = weir__load_acq(&c->closed);
        if (state == WEIR__PROMISE_PENDING || state == WEIR__PROMISE_LEFT)
            return;
        weir__backoff_peer(&peer);
    }
}

#endif /* WEIR_CHAN_PROMISE_IMPLEMENTED */
