/* weir/task/objpool.h: objects of one size that are used again and again: what Go's sync.Pool is for, bounded.
 *
 *     weir_objpool pool;
 *     weir_objpool_init(&pool, sizeof(struct request), 1000, &(weir_objpool_opt){.reset = forget_request});
 *     struct request *r;
 *     if ((rc = weir_objpool_get(&pool, &r)) == 0) { …; weir_objpool_put(&pool, r); }
 *
 * Overview
 *   A thread puts objects into a seat of its own, and gets them from there, without an atomic read-modify-write: two nanoseconds for both. A seat that is
 *   full gives half to a stack that all share; one that is empty takes some from it, then from the seats of others, then an object
 *   that was never used. So `high_water` is exact: a new object is touched only when all used ones were out.
 *
 *     seat of thread A   ┌─┐ ┌──────────────┐  hot, bottom: A puts and gets here    shared: a stack by number, with a tag against ABA
 *                        │●│ │ ○ ○ ○ ○      │  top: others take from here           fresh: the number of the first object never used
 *                        └─┘ └──────────────┘
 *
 * Meaning
 *   init(object, arg) runs once for each object, when it is first given out; reset(object, arg) whenever one is put back. An object that
 *   comes from get has whatever init or its last reset left in it. Objects are not destroyed: they hold no more than memory, or the program keeps account.
 *   EAGAIN: none was found. An object that another thread is just putting back may be missed.
 *   grow: the first `count` objects are one block, allocated by init; up to `max` more are allocated one by one as they are needed.
 *
 * Who may call what at once: get, put: any threads, an object may be put by another thread than the one that got it. free: one thread, while no
 * object is out of use that matters: all memory goes.
 * Progress: put, and get from one's own seat or the shared stack, are lock-free; a get that finds nothing there looks at the seats of others, under a lock of each
 * and behind a heavy fence (core/fence.h), and the owner of a seat that was looked at takes that lock once.
 *
 * Seats and threads
 *   A thread takes the first free seat when it first comes by; if there is none, one whose owner has ended; else it does without, on the shared stack.
 *   It remembers the seat, with the pool's number, which is used once in a process: what it remembers of a pool that is gone fits no other.
 *
 * Why two do not get one object (D. Chase and Y. Lev, "Dynamic circular work-stealing deque", SPAA 2005; the fences as in core/fence.h)
 *       owner, get                            thief
 *       bottom = b - 1                        t = top
 *       (P) light fence                       (Q) heavy fence
 *       t = top                               b = bottom
 *       t < bottom: takes the last            t < b: takes the first, if top is still t (compare-and-swap)
 *   (P) pairs with (Q): one of the two sees what the other wrote. With one object left both see it, and both want top: the swap decides.
 *   Where membarrier is missing (P) is a real fence.
 *
 *   The last object that was put lies apart, in `hot`: get and put then hand on one address in one word, where a count that goes up and down would be two
 *   trips through the store buffer (3 ns a pair instead of 6).
 *       owner, get                            thief, under the seat's lock
 *       p = hot; hot = none                   asked = true
 *       (P) light fence                       (Q) heavy fence
 *       asked: takes the lock, and            p = hot; if it is none: asked = false; else hot = none (compare-and-swap),
 *         has lost p if stolen == p             stolen = p
 *   Again one of the two sees the other: either the thief finds nothing, or the owner asks under the lock who has p. `asked` stays until it does, at the
 *   latest before it puts the next object there.
 */
#ifndef WEIR_TASK_OBJPOOL_H
#define WEIR_TASK_OBJPOOL_H

#include "../core/fence.h"
#include "../core/memory.h"
#include "../core/thread.h"
#include "../park/lock.h"

/* Zero means the default, for each. */
typedef struct weir_objpool_opt {
    void (*init)(void *object, void *arg);
    void (*reset)(void *object, void *arg);
    void *arg;
    uint32_t max;   /* may grow to so many; 0: it may not */
    uint32_t seats; /* threads that have a seat; 64 */
} weir_objpool_opt;

#ifndef WEIR__SEAT_ROOM
#define WEIR__SEAT_ROOM 32 /* objects; a power of two. The model makes it small. */
#endif
enum { WEIR__SEAT_BATCH = 16 }; /* seats that are looked at behind one fence */

typedef struct weir__seat {
    WEIR__PADDED weir__atomic_u64 hot; /* an address, or 0 */
    weir__atomic_u32 bottom;           /* written by the owner alone */
    uint32_t top_seen;                 /* the owner's: top is not below this */
    weir__atomic_u32 owner;            /* the system's number of a thread; 0: free */
    WEIR__PADDED weir__atomic_u32 top;
    weir__atomic_u32 asked;
    weir__lock lock; /* of stolen */
    uint64_t stolen;
    /* addresses: a number would cost a multiplication and a load in each pair */
    WEIR__PADDED weir__atomic_u64 object[WEIR__SEAT_ROOM];
} weir__seat;

typedef struct weir_objpool {
    uint64_t number;     /* of the pool */
    size_t size, stride; /* of an object; from one to the next */
    uint32_t count, max, seats;
    bool symmetric; /* no asymmetric fence here: (P) is a real one */
    weir_objpool_opt opt;
    weir__seat *seat;
    unsigned char *objects;               /* the first `count` */
    unsigned char **grown;                /* those beyond */
    weir__atomic_u32 *below;              /* of each object, what is below it on the shared stack */
    WEIR__PADDED weir__atomic_u64 shared; /* tag and number + 1 of the top of the stack; 0: empty */
    WEIR__PADDED weir__atomic_u32 fresh;
} weir_objpool;

/* Room for `count` objects of `size` bytes. 0; EINVAL: size or count is 0, or max below count; EOVERFLOW; ENOMEM. opt may be NULL. */
WEIR_API int weir_objpool_init(weir_objpool *pool, size_t size, uint32_t count, const weir_objpool_opt *opt);
/* Frees all memory, that of objects that are out, too. */
WEIR_API void weir_objpool_free(weir_objpool *pool);
/* How many objects have been out at once, at most. Any thread. */
WEIR_API uint32_t weir_objpool_high_water(weir_objpool *pool);

/* What a thread knows of the pools that it uses. */
typedef struct weir__seat_ticket {
    uint64_t number; /* of the pool */
    weir__seat *seat;
} weir__seat_ticket;
#ifndef WEIR__SEAT_MINE /* the model's threads have no thread-locals */
static WEIR_THREAD_LOCAL weir__seat_ticket weir__seat_tickets[8] __attribute__((unused));
#define WEIR__SEAT_MINE(pool_) (&weir__seat_tickets[(pool_)->number % 8])
#endif

WEIR_API int weir__objpool_get_slow(weir_objpool *pool, weir__seat_ticket *ticket, void **object);
WEIR_API void weir__objpool_put_slow(weir_objpool *pool, weir__seat_ticket *ticket, void *object);

/* An object's number stands before it. */
#define WEIR__OBJPOOL_HEAD 16
static inline uint32_t weir__objpool_number(const void *object)
{
    uint32_t number;
    memcpy(&number, (const unsigned char *)object - WEIR__OBJPOOL_HEAD, sizeof number);
    return number;
}
static inline void *weir__objpool_at(weir_objpool *pool, uint32_t number)
{
    return number < pool->count ? pool->objects + number * pool->stride : pool->grown[number - pool->count];
}

WEIR_API bool weir__seat_asked(weir__seat *s, uint64_t object);

/* The owner takes what lies apart, if anything does and no thief was faster. */
static inline void *weir__seat_cool(weir_objpool *pool, weir__seat *s)
{
    const uint64_t object = weir__load_rlx(&s->hot);
    if (WEIR_UNLIKELY(object == 0))
        return NULL;
    weir__store_rlx(&s->hot, 0);
    WEIR_FENCE_LIGHT(); /* (P) pairs with (Q) in weir__objpool_steal */
    if (WEIR_UNLIKELY(pool->symmetric))
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (P), symmetric */
    if (WEIR_UNLIKELY(weir__load_rlx(&s->asked) != 0) && !weir__seat_asked(s, object))
        return NULL;
    return (void *)(uintptr_t)object;
}

/* The owner takes the last of its seat. NULL: it is empty, or the last one has gone to a thief. */
static inline void *weir__seat_pop(weir_objpool *pool, weir__seat *s)
{
    const uint32_t b = weir__load_rlx(&s->bottom) - 1;
    uint64_t object;
    uint32_t t;
    weir__store_rel(&s->bottom, b); /* release, in each store to it: a thief reads what was pushed before */
    WEIR_FENCE_LIGHT();             /* (P) pairs with (Q) in weir__objpool_steal */
    if (WEIR_UNLIKELY(pool->symmetric))
        WEIR_FENCE(__ATOMIC_SEQ_CST); /* (P), symmetric */
    t = weir__load_rlx(&s->top);
    object = weir__load_rlx(&s->object[b % WEIR__SEAT_ROOM]);
    if (WEIR_UNLIKELY((int32_t)(b - t) <= 0)) {                       /* the last one, or none */
        const bool won = b == t && weir__cas_rlx(&s->top, &t, t + 1); /* relaxed: the object is our own */
        weir__store_rlx(&s->bottom, b + 1); /* relaxed: a thief that sees it finds nothing below */
        if (!won)
            return NULL;
    }
    return (void *)(uintptr_t)object;
}

static inline void *weir__seat_take(weir_objpool *pool, weir__seat *s)
{
    void *object = weir__seat_cool(pool, s);
    return WEIR_LIKELY(object != NULL) ? object : weir__seat_pop(pool, s);
}

/* The owner adds one. False: it is full. */
static inline bool weir__seat_push(weir__seat *s, void *object)
{
    uint32_t b;
    if (WEIR_LIKELY(weir__load_rlx(&s->hot) == 0)) { /* nobody else ever puts something there */
        if (WEIR_UNLIKELY(weir__load_rlx(&s->asked) != 0))
            (void)weir__seat_asked(s,
                                   0); /* or an object that was stolen once and has come back would be taken for lost */
        weir__store_rel(&s->hot, (uint64_t)(uintptr_t)object);
        return true;
    }
    b = weir__load_rlx(&s->bottom);
    if (WEIR_UNLIKELY(b - s->top_seen >= WEIR__SEAT_ROOM)) {
        s->top_seen = weir__load_acq(&s->top); /* a thief that has advanced it has read its object */
        if (b - s->top_seen >= WEIR__SEAT_ROOM)
            return false;
    }
    weir__store_rlx(&s->object[b % WEIR__SEAT_ROOM], (uint64_t)(uintptr_t)object);
    weir__store_rel(&s->bottom, b + 1); /* a thief that sees it sees the address, and what was done to the object */
    return true;
}

/* ptr: the address of a pointer to objects. */
#define weir_objpool_get(pool, ptr) weir__objpool_get((pool), (void *)(ptr))

/* An object, its address at *to. 0; EAGAIN: none is free; ENOMEM: the pool may grow and there is no memory. */
static inline int weir__objpool_get(weir_objpool *pool, void *to)
{
    weir__seat_ticket *ticket = WEIR__SEAT_MINE(pool);
    void *object = NULL;
    if (WEIR_LIKELY(ticket->number == pool->number) && WEIR_LIKELY(ticket->seat != NULL))
        object = weir__seat_take(pool, ticket->seat);
    if (WEIR_UNLIKELY(object == NULL)) {
        const int rc = weir__objpool_get_slow(pool, ticket, &object);
        if (rc != 0)
            return rc;
    }
    memcpy(to, &object, sizeof object);
    return 0;
}

/* Gives back an object that get has given. */
static inline void weir_objpool_put(weir_objpool *pool, void *object)
{
    weir__seat_ticket *ticket = WEIR__SEAT_MINE(pool);
    if (pool->opt.reset != NULL)
        pool->opt.reset(object, pool->opt.arg);
    if (WEIR_UNLIKELY(ticket->number != pool->number) || WEIR_UNLIKELY(ticket->seat == NULL) ||
        WEIR_UNLIKELY(!weir__seat_push(ticket->seat, object)))
        weir__objpool_put_slow(pool, ticket, object);
}

#endif /* WEIR_TASK_OBJPOOL_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_TASK_OBJPOOL_IMPLEMENTED)
#define WEIR_TASK_OBJPOOL_IMPLEMENTED

WEIR_API int weir_objpool_init(weir_objpool *pool, size_t size, uint32_t count, const weir_objpool_opt *opt)
{
    static weir__atomic_u64 pools;
    size_t bytes;
    memset(pool, 0, sizeof *pool);
    if (opt != NULL)
        pool->opt = *opt;
    if (size == 0 || count == 0 || (pool->opt.max != 0 && pool->opt.max < count))
        return EINVAL;
    if (size > SIZE_MAX / 4 || count > INT32_MAX || pool->opt.max > INT32_MAX)
        return EOVERFLOW;
    pool->stride = (size + WEIR__OBJPOOL_HEAD + 15) / 16 * 16;
    if (pool->stride > (SIZE_MAX / 2) / count)
        return EOVERFLOW;
    pool->size = size;
    pool->count = count;
    pool->max = pool->opt.max == 0 ? count : pool->opt.max;
    pool->seats = pool->opt.seats == 0 ? 64 : pool->opt.seats;
    bytes = pool->seats * sizeof(weir__seat) + (pool->max - count) * sizeof(void *) + pool->max * sizeof(uint32_t);
    pool->seat = (weir__seat *)WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    pool->objects = (unsigned char *)WEIR_ALLOC(WEIR_CACHE_PAD, count * pool->stride + WEIR__OBJPOOL_HEAD);
    if (pool->seat == NULL || pool->objects == NULL) {
        weir_objpool_free(pool);
        return ENOMEM;
    }
    memset((void *)pool->seat, 0, bytes);
    pool->grown = (unsigned char **)(void *)(pool->seat + pool->seats);
    pool->below = (weir__atomic_u32 *)(void *)(pool->grown + (pool->max - count));
    pool->objects += WEIR__OBJPOOL_HEAD;
    pool->symmetric = !weir__fence_asymmetric();
    pool->number = weir__add_rlx(&pools, 1) + 1;
    return 0;
}

WEIR_API void weir_objpool_free(weir_objpool *pool)
{
    const uint32_t fresh = weir__load_rlx(&pool->fresh);
    for (uint32_t i = pool->count; i < fresh; i++)
        WEIR_FREE(pool->grown[i - pool->count] - WEIR__OBJPOOL_HEAD);
    if (pool->objects != NULL)
        WEIR_FREE(pool->number == 0 ? pool->objects : pool->objects - WEIR__OBJPOOL_HEAD);
    if (pool->seat != NULL)
        WEIR_FREE(pool->seat);
    memset((void *)pool, 0, sizeof *pool);
}

WEIR_API uint32_t weir_objpool_high_water(weir_objpool *pool)
{
    return weir__load_rlx(&pool->fresh);
}

/* ---- the shared stack (R. K. Treiber, 1986): the tag changes with every push, so that a number that has come back is not taken for one that has
 * stayed ---- */

static void weir__objpool_share(weir_objpool *pool, const void *object)
{
    const uint32_t number = weir__objpool_number(object);
    uint64_t top = weir__load_rlx(&pool->shared);
    do
        weir__store_rlx(&pool->below[number], (uint32_t)top);
    while (!weir__cas_rel(&pool->shared, &top, ((top >> 32) + 1) << 32 | (number + 1)));
}

static void *weir__objpool_unshare(weir_objpool *pool)
{
    for (;;) {
        /* Acquire, in each turn: pairs with the release in weir__objpool_share: what lies below the top, and the object, are not older than the
         * top. The swap needs none: no two pushes and pops leave the same top, so it finds what the load found. */
        uint64_t top = weir__load_acq(&pool->shared);
        const uint32_t number = (uint32_t)top - 1;
        if ((uint32_t)top == 0)
            return NULL;
        if (weir__cas_rlx(&pool->shared, &top, (top & ~(uint64_t)UINT32_MAX) | weir__load_rlx(&pool->below[number])))
            return weir__objpool_at(pool, number);
    }
}

/* ---- seats ---- */

/* Takes a seat for the calling thread, if there is one; else NULL. */
static weir__seat *weir__objpool_seat(weir_objpool *pool)
{
    const uint32_t self = (uint32_t)WEIR_THREAD_NUMBER();
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < pool->seats; i++) {
            weir__seat *s = &pool->seat[i];
            uint32_t owner = weir__load_rlx(&s->owner);
            if (owner == self)
                return s;
            if ((round == 0 ? owner == 0 : !WEIR_THREAD_LIVES(owner)) && weir__cas_rlx(&s->owner, &owner, self)) {
                /* The newest of both; acquire: what an owner that has ended did to its last objects. It says nothing by `owner`. */
                (void)weir__add_acq(&s->bottom, 0);
                (void)weir__add_acq(&s->hot, 0);
                s->top_seen = weir__load_acq(&s->top); /* acquire: as in weir__seat_push */
                return s;
            }
        }
    return NULL;
}

/* A thief has been here since the owner last asked. Whether the object that the owner has just taken is the owner's. */
WEIR_API bool weir__seat_asked(weir__seat *s, uint64_t object)
{
    bool kept;
    weir__lock_take(&s->lock);
    kept = s->stolen != object;
    s->stolen = 0;
    weir__store_rlx(&s->asked, 0);
    weir__lock_release(&s->lock);
    return kept;
}

/* Takes the first of somebody's seat, whose top stood at t before the heavy fence, or what lies apart. NULL: there is none, or somebody was faster.
 * Locked, asked. */
static void *weir__seat_steal(weir__seat *s, uint32_t t)
{
    const uint32_t b = weir__load_acq(&s->bottom); /* acquire: the owner's pushes, and what was done to the objects */
    uint64_t object;
    if ((int32_t)(b - t) > 0) {
        object = weir__load_rlx(&s->object[t % WEIR__SEAT_ROOM]);
        /* Release: it has been read; pairs with the acquire in weir__seat_push. */
        if (weir__cas_rel(&s->top, &t, t + 1))
            return (void *)(uintptr_t)object;
    }
    object = weir__load_rlx(&s->hot);
    if (object == 0 ||
        !weir__cas_acq(&s->hot, &object, 0)) /* acquire: what was done to it, also if it went and came back since */
        return NULL;
    s->stolen = object;
    return (void *)(uintptr_t)object;
}

/* From one of `n` seats, behind one heavy fence, or NULL. */
static void *weir__seats_steal(weir__seat *seats, uint32_t n)
{
    uint32_t top[WEIR__SEAT_BATCH];
    void *object = NULL;
    for (uint32_t i = 0; i < n; i++) {
        weir__lock_take(&seats[i].lock); /* from the first to the last, as every thief does */
        top[i] = weir__load_rlx(&seats[i].top);
        weir__store_rlx(&seats[i].asked, 1);
    }
    WEIR_FENCE_HEAVY(); /* (Q) pairs with (P) in weir__seat_pop and weir__seat_cool */
    for (uint32_t i = 0; i < n; i++) {
        if (object == NULL)
            object = weir__seat_steal(&seats[i], top[i]);
        if (seats[i].stolen == 0)
            weir__store_rlx(&seats[i].asked, 0);
        weir__lock_release(&seats[i].lock);
    }
    return object;
}

/* From any seat, or NULL. */
static void *weir__objpool_steal(weir_objpool *pool)
{
    uint32_t used = 0;
    void *object = NULL;
    while (used < pool->seats && weir__load_rlx(&pool->seat[used].owner) != 0)
        used++; /* seats are taken from the front */
    for (uint32_t from = 0; from < used && object == NULL; from += WEIR__SEAT_BATCH) {
        const uint32_t left = used - from;
        object = weir__seats_steal(&pool->seat[from], left < WEIR__SEAT_BATCH ? left : (uint32_t)WEIR__SEAT_BATCH);
    }
    return object;
}

/* One that was never used. */
static int weir__objpool_fresh(weir_objpool *pool, void **object)
{
    unsigned char *memory = NULL;
    uint32_t n = weir__load_rlx(&pool->fresh);
    do {
        if (n >= pool->max) {
            if (memory != NULL)
                WEIR_FREE(memory);
            return EAGAIN;
        }
        if (n >= pool->count && memory == NULL && (memory = (unsigned char *)WEIR_ALLOC(16, pool->stride)) == NULL)
            return ENOMEM;
    } while (
        !weir__cas_rlx(&pool->fresh, &n, n + 1)); /* relaxed: the number, and no more; the object is nobody's yet */
    if (n >= pool->count)
        pool->grown[n - pool->count] = memory + WEIR__OBJPOOL_HEAD;
    *object = weir__objpool_at(pool, n);
    memcpy((unsigned char *)*object - WEIR__OBJPOOL_HEAD, &n, sizeof n);
    if (pool->opt.init != NULL)
        pool->opt.init(*object, pool->opt.arg);
    return 0;
}

/* The seat of a thread that comes by for the first time, or has forgotten it. */
static weir__seat *weir__objpool_sit(weir_objpool *pool, weir__seat_ticket *ticket)
{
    if (ticket->number != pool->number) {
        ticket->seat = weir__objpool_seat(pool);
        ticket->number = pool->number;
    }
    return ticket->seat;
}

WEIR_API int weir__objpool_get_slow(weir_objpool *pool, weir__seat_ticket *ticket, void **object)
{
    const bool known = ticket->number == pool->number;
    weir__seat *seat = weir__objpool_sit(pool, ticket);
    void *more;
    *object = known || seat == NULL ? NULL : weir__seat_take(pool, seat);
    if (*object != NULL)
        return 0;
    *object = weir__objpool_unshare(pool);
    if (*object == NULL) {
        *object = weir__objpool_steal(pool);
        return *object != NULL ? 0 : weir__objpool_fresh(pool, object);
    }
    for (int i = 0; i < WEIR__SEAT_ROOM / 4 && seat != NULL && (more = weir__objpool_unshare(pool)) != NULL; i++)
        (void)weir__seat_push(seat, more); /* it was empty, so there is room */
    return 0;
}

WEIR_API void weir__objpool_put_slow(weir_objpool *pool, weir__seat_ticket *ticket, void *object)
{
    weir__seat *seat = weir__objpool_sit(pool, ticket);
    void *more;
    if (seat != NULL) {
        if (weir__seat_push(seat, object))
            return;
        for (int i = 0; i < WEIR__SEAT_ROOM / 2 && (more = weir__seat_pop(pool, seat)) != NULL; i++)
            weir__objpool_share(pool, more);
    }
    weir__objpool_share(pool, object);
}

#endif /* WEIR_TASK_OBJPOOL_IMPLEMENTED */
