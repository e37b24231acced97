/* weir/chan/make.h: making, closing and freeing channels, and asking about them. */
#ifndef WEIR_CHAN_MAKE_H
#define WEIR_CHAN_MAKE_H

#include "handle.h"
#include "rendezvous.h"

/* Zero means the default, for each. */
typedef struct weir_chan_opt {
    weir_wait_strategy wait; /* how its blocked callers wait; WEIR_WAIT_ADAPTIVE */
    const char *name;        /* for people: kept as a pointer, so it outlives the channel */
    void *memory;            /* storage of the caller's, instead of WEIR_ALLOC; in use until weir_chan_free */
    size_t memory_size;      /* at least WEIR_CHAN_BYTES(T, capacity) */
} weir_chan_opt;

/* Bytes that a channel of T with this capacity needs, whatever its kind and the memory's alignment. A constant expression. */
#define WEIR_CHAN_BYTES(T, capacity)                                                                                   \
    (sizeof(weir__chan) + WEIR_CACHE_PAD + ((size_t)(capacity) + 1) * WEIR__SLOT_STRIDE(sizeof(T)) +                   \
     (WEIR__RING_CK_USED ? 2 * ((size_t)(capacity) + 1) * sizeof(T) : 0))

/* int weir_chan_make(CH *ch, size_t capacity)
 * int weir_chan_make_opt(CH *ch, size_t capacity, const weir_chan_opt *opt)
 *     Makes a channel that holds exactly `capacity` values, for a handle of any of the four kinds; capacity 0 is a rendezvous
 *     (chan/rendezvous.h): a send returns when its value has been taken. opt may be NULL.
 *     Returns 0; ENOMEM; EINVAL for a wait strategy that is none, or memory that is too small; EOVERFLOW when that many values cannot be
 *     addressed. On failure the handle is NULL.
 *     One thread; hand the handle to others by any means that synchronizes (starting a thread does). */
#define weir_chan_make(ch, capacity) weir_chan_make_opt((ch), (capacity), NULL)
#define weir_chan_make_opt(ch, capacity, opt)                                                                          \
    weir__chan_make(&(ch)->core, WEIR__KIND((ch)->core), (capacity), sizeof *(ch)->elem, (opt))

/* void weir_chan_free(CH *ch)
 *     Frees the channel, with any values still in it, and sets the handle to NULL; a NULL handle is left alone. Every other call on the
 *     channel has returned before: join its threads, or count them out. A receiver that got EPIPE does not know that the
 *     thread which closed has returned from weir_close. */
#define weir_chan_free(ch) weir__chan_free(&(ch)->core)

/* int weir_close(CH ch)
 *     Closes: later sends fail with EPIPE, blocked ones too and their values stay the callers'; receivers take what is left, then get
 *     EPIPE. Every send that returned 0 is received or still in the channel, whenever it ran. 0; EPIPE: it was closed before; EINVAL:
 *     a NULL handle. Any thread, at any time. Progress: wakes the sleepers under their queue's lock; never waits for room. */
#define weir_close(ch) weir__chan_close(WEIR__CHAN(ch))

/* size_t weir_len(CH ch), size_t weir_cap(CH ch), bool weir_is_closed(CH ch)
 *     How many values are in it, how many fit, whether it was closed. NULL: 0, 0, false. Any thread; len may be old when it arrives. Where
 *     there are several senders, a value that one has claimed room for, and not published yet, counts in len. */
#define weir_len(ch) weir__chan_len(WEIR__CHAN(ch))
#define weir_cap(ch) weir__chan_cap(WEIR__CHAN(ch))
#define weir_is_closed(ch) weir__chan_is_closed(WEIR__CHAN(ch))
/* const char *weir_chan_name(CH ch): the name given when it was made, or "channel". */
#define weir_chan_name(ch) weir__chan_name(WEIR__CHAN(ch))

#define weir__chan_make WEIR__RINGED(weir__chan_make)
#define weir__chan_free WEIR__RINGED(weir__chan_free)
#define weir__chan_close WEIR__RINGED(weir__chan_close)
#define weir__chan_len WEIR__RINGED(weir__chan_len)
#define weir__chan_is_closed WEIR__RINGED(weir__chan_is_closed)

/* handle: the address of a core pointer of any kind. */
WEIR_API int weir__chan_make(void *handle, int kind, size_t capacity, size_t size, const weir_chan_opt *opt);
WEIR_API void weir__chan_free(void *handle);
WEIR_API int weir__chan_close(weir__chan *c);
WEIR_API size_t weir__chan_len(weir__chan *c);
WEIR_API bool weir__chan_is_closed(weir__chan *c);

static inline size_t weir__chan_cap(const weir__chan *c)
{
    return c == NULL ? 0 : (size_t)c->ring.capacity;
}

static inline const char *weir__chan_name(const weir__chan *c)
{
    return c == NULL || c->name == NULL ? "channel" : c->name;
}

#endif /* WEIR_CHAN_MAKE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_MAKE_IMPLEMENTED)
#define WEIR_CHAN_MAKE_IMPLEMENTED

#include "../core/memory.h"

/* The caller's memory, at its first aligned byte, or fresh memory. NULL with *rc set on failure. */
static void *weir__chan_memory(const weir_chan_opt *opt, size_t bytes, int *rc)
{
    void *memory;
    if (opt->memory != NULL) {
        const size_t skip = (size_t)(0 - (uintptr_t)opt->memory) % WEIR_CACHE_PAD;
        if (opt->memory_size < skip || opt->memory_size - skip < bytes) {
            *rc = EINVAL;
            return NULL;
        }
        return (unsigned char *)opt->memory + skip;
    }
    memory = WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    if (memory == NULL)
        *rc = ENOMEM;
    return memory;
}

WEIR_API int weir__chan_make(void *handle, int kind, size_t capacity, size_t size, const weir_chan_opt *opt)
{
    static const weir_chan_opt none = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    const size_t ring_bytes = weir__ring_bytes(kind, capacity, size);
    weir__chan *c = NULL;
    int rc = 0;
    memcpy(handle, &c, sizeof c);
    if (opt == NULL)
        opt = &none;
    if ((unsigned)opt->wait > WEIR_WAIT_PARK)
        return EINVAL;
    if (ring_bytes == 0 || ring_bytes > SIZE_MAX / 2)
        return EOVERFLOW;
    c = (weir__chan *)weir__chan_memory(opt, sizeof *c + ring_bytes, &rc);
    if (c == NULL)
        return rc;
    weir__ring_init(&c->ring, kind, capacity, size, c + 1);
    weir__waitq_init(&c->receivers);
    weir__waitq_init(&c->senders);
    c->flavor = capacity == 0 ? WEIR__RENDEZVOUS : WEIR__BUFFER;
    memset(&c->lane, 0, sizeof c->lane);
    c->closed = 0;
    c->due = c->period = 0;
    c->size = size;
    c->kind = kind;
    c->wait = (int)opt->wait;
    c->name = opt->name;
    c->allocated = opt->memory == NULL ? c : NULL;
    c->forks = weir__fork_count();
    memcpy(handle, &c, sizeof c);
    return 0;
}

WEIR_API void weir__chan_free(void *handle)
{
    weir__chan *c, *none = NULL;
    memcpy(&c, handle, sizeof c);
    memcpy(handle, &none, sizeof none);
    if (c != NULL && c->allocated != NULL)
        WEIR_FREE(c->allocated);
}

static void weir__chan_mark_closed(void *chan)
{
    weir__waitq_mark(&((weir__chan *)chan)->receivers, WEIR__ATTENTION_CLOSED);
}

WEIR_API int weir__chan_close(weir__chan *c)
{
    uint32_t open = 0;
    if (c == NULL)
        return EINVAL;
    if (weir__chan_inherited(c))
        return ENOTRECOVERABLE;
    if (c->flavor == WEIR__RENDEZVOUS)
        return weir__meet_close(c) ? 0 : EPIPE;
    /* Release: what the closer did before; pairs with the acquire in weir__timer_take, and below. */
    if (c->flavor == WEIR__TIMER ? !weir__cas_rel(&c->closed, &open, 1)
                                 : !weir__ring_close(&c->ring, c->kind, weir__chan_mark_closed, c))
        return EPIPE;
    /* Whoever joins a queue from here on finds the ring closed in its last look; whoever joined before is woken. The queue's lock
     * decides which. */
    weir__waitq_wake(&c->receivers, WEIR__WAKE_ALL);
    weir__waitq_wake(&c->senders, WEIR__WAKE_ALL);
    return 0;
}

WEIR_API size_t weir__chan_len(weir__chan *c)
{
    return c == NULL || c->flavor != WEIR__BUFFER ? 0 : weir__ring_len(&c->ring, c->kind);
}

WEIR_API bool weir__chan_is_closed(weir__chan *c)
{
    if (c == NULL || c->flavor != WEIR__BUFFER)
        return c != NULL && weir__load_acq(&c->closed) != 0;
    return weir__ring_is_closed(&c->ring, c->kind);
}

#endif /* WEIR_CHAN_MAKE_IMPLEMENTED */
