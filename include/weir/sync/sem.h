/* weir/sync/sem.h: a counting semaphore: as many units as its size, taken and given back in any number, first come first served.
 *
 *     static weir_sem room = WEIR_SEM_INIT(8);
 *     if (weir_sem_acquire(ctx, &room, 3) == 0) { …; weir_sem_release(&room, 3); }
 *
 * Meaning
 *   FIFO: a large request at the head is not overtaken by small ones behind it, which would starve it; so weir_sem_try_acquire fails while
 *   anybody waits, whatever is free. An acquire that gives up at the head lets those behind it have a look.
 *   Admission: a context that has ended gets nothing, units or not; one that ends while its grant is under way gives the units back.
 *   A request for more than the size fails at once, for it could wait for ever; so does one that is waiting when the size shrinks below it.
 *   Resizing a semaphore that is in use: growing serves whoever now fits; shrinking takes effect as holders release.
 *
 * The word
 *       63……33  size     32  SOMEBODY WAITS     31……0  free units, in two's complement: below 0 after a shrink
 *   All three in one word, so that the uncontended calls are one compare-and-swap each, and see a size that belongs to the units. While the bit
 *   is set only the holder of the line's lock changes the word. The bit is set and cleared under the lock: it is set whenever the line is not empty.
 *
 * Who may call what at once: anything, from any number of threads. Whoever has returned from acquire may free the semaphore, if nobody else
 * uses it: the release that let it go on has let go of the memory (sync/line.h).
 */
#ifndef WEIR_SYNC_SEM_H
#define WEIR_SYNC_SEM_H

#include "line.h"

typedef struct weir_sem {
    weir__atomic_u64 word;
    weir__line line;
} weir_sem;

#define WEIR_SEM_MAX INT32_MAX
/* clang-format off */
#define WEIR_SEM_INIT(size) {(uint64_t)(size) << 33 | (uint64_t)(size), {0, {NULL, NULL}}}
/* clang-format on */

#define WEIR__SEM_WAITED (UINT64_C(1) << 32)
WEIR_INLINE int64_t weir__sem_free(uint64_t word)
{
    return (int32_t)(uint32_t)word;
}
WEIR_INLINE int64_t weir__sem_size(uint64_t word)
{
    return (int64_t)(word >> 33);
}
/* The word with `free` units; size and bit stay. */
WEIR_INLINE uint64_t weir__sem_with(uint64_t word, int64_t free)
{
    return (word & ~(uint64_t)UINT32_MAX) | (uint32_t)free;
}

/* size: 0 … WEIR_SEM_MAX, all units free. EINVAL: it is not. */
WEIR_API int weir_sem_init(weir_sem *sem, int64_t size);
/* 0, EINVAL. Requests that wait for more than the new size end with EINVAL. Any thread. */
WEIR_API int weir_sem_resize(weir_sem *sem, int64_t size);
/* What is free at this moment; below 0: so many are to be released before the semaphore is as small as it was told to be. */
WEIR_API int64_t weir_sem_available(weir_sem *sem);
WEIR_API int64_t weir_sem_size(weir_sem *sem);

WEIR_API int weir__sem_acquire_slow(weir_ctx *ctx, weir_sem *sem, int64_t n, weir_ns deadline);
WEIR_API int weir__sem_release_slow(weir_sem *sem, int64_t n);

/* 0: taken. EAGAIN: not that many are free, or somebody waits. EINVAL: n is negative or above the size. Lock-free. */
static inline int weir_sem_try_acquire(weir_sem *sem, int64_t n)
{
    uint64_t seen = weir__load_rlx(&sem->word);
    do {
        if (WEIR_UNLIKELY(n < 0 || n > weir__sem_size(seen)))
            return EINVAL;
        if ((seen & WEIR__SEM_WAITED) != 0 || weir__sem_free(seen) < n)
            return EAGAIN;
        /* Acquire: what the one who released before us did. Release is release's. */
    } while (!weir__cas_acq(&sem->word, &seen, weir__sem_with(seen, weir__sem_free(seen) - n)));
    return 0;
}

/* Waits until n units are free and takes them. 0; ECANCELED, ETIMEDOUT (also when ctx has ended before the call); EINVAL: n is negative, or above the size,
 * now or after a resize. Progress: lock-free when they are free and nobody waits, else parks. */
static inline int weir_sem_acquire_until(weir_ctx *ctx, weir_sem *sem, int64_t n, weir_ns deadline)
{
    const int err = ctx == NULL ? 0 : weir_ctx_err(ctx);
    int rc;
    if (WEIR_UNLIKELY(err != 0))
        return err;
    rc = weir_sem_try_acquire(sem, n);
    return WEIR_LIKELY(rc != EAGAIN) ? rc : weir__sem_acquire_slow(ctx, sem, n, deadline);
}

static inline int weir_sem_acquire(weir_ctx *ctx, weir_sem *sem, int64_t n)
{
    return weir_sem_acquire_until(ctx, sem, n, WEIR_FOREVER);
}

/* Gives n units back, and lets those who wait for them go on. EINVAL: more than were taken; nothing has changed. Any thread, also one that took
 * none. Progress: lock-free when nobody waits, else takes a lock. */
static inline int weir_sem_release(weir_sem *sem, int64_t n)
{
    uint64_t seen = weir__load_rlx(&sem->word);
    do {
        if (WEIR_UNLIKELY(n < 0 || n > weir__sem_size(seen) - weir__sem_free(seen)))
            return EINVAL;
        if (WEIR_UNLIKELY((seen & WEIR__SEM_WAITED) != 0))
            return weir__sem_release_slow(sem, n);
    } while (!weir__cas_rel(&sem->word, &seen, weir__sem_with(seen, weir__sem_free(seen) + n)));
    return 0;
}

#endif /* WEIR_SYNC_SEM_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_SYNC_SEM_IMPLEMENTED)
#define WEIR_SYNC_SEM_IMPLEMENTED

typedef struct weir__sem_request {
    weir__waiter node; /* first */
    int64_t n;
} weir__sem_request;

WEIR_API int weir_sem_init(weir_sem *sem, int64_t size)
{
    if (size < 0 || size > WEIR_SEM_MAX)
        return EINVAL;
    memset(sem, 0, sizeof *sem);
    sem->word = (uint64_t)size << 33 | (uint64_t)size;
    return 0;
}

WEIR_API int64_t weir_sem_available(weir_sem *sem)
{
    return weir__sem_free(weir__load_rlx(&sem->word)); /* relaxed: a number */
}

WEIR_API int64_t weir_sem_size(weir_sem *sem)
{
    return weir__sem_size(weir__load_rlx(&sem->word));
}

/* Locked, the bit set: serves the head as long as it fits, and clears the bit when nobody is left. Release, in the store: pairs with the acquire of
 * those who come after; what they wait for was seen under the lock. */
static void weir__sem_serve(weir_sem *sem, uint64_t word, weir__line_wakes *wakes)
{
    weir__waiter *head;
    while ((head = sem->line.list.first) != NULL) {
        const int64_t n = ((weir__sem_request *)(void *)head)->n;
        if (n > weir__sem_free(word))
            break;
        if (weir__list_pick(&sem->line.list, head, 0, wakes))
            word = weir__sem_with(word, weir__sem_free(word) - n);
    }
    weir__store_rel(&sem->word, head != NULL ? word : word & ~WEIR__SEM_WAITED);
}

/* Locked: takes the bit, if it is not set already. From here until weir__sem_serve the word is the caller's. Returns it. Acquire: from those who
 * released without the lock. */
static uint64_t weir__sem_own(weir_sem *sem)
{
    uint64_t word = weir__load_rlx(&sem->word);
    while ((word & WEIR__SEM_WAITED) == 0 && !weir__cas_acq(&sem->word, &word, word | WEIR__SEM_WAITED)) {}
    return word | WEIR__SEM_WAITED;
}

static uint64_t weir__sem_lock(weir_sem *sem)
{
    weir__lock_take(&sem->line.lock);
    return weir__sem_own(sem);
}

WEIR_API int weir__sem_release_slow(weir_sem *sem, int64_t n)
{
    weir__line_wakes wakes;
    uint64_t word = weir__sem_lock(sem);
    const bool fits = n <= weir__sem_size(word) - weir__sem_free(word);
    wakes.count = 0;
    weir__sem_serve(sem, fits ? weir__sem_with(word, weir__sem_free(word) + n) : word, &wakes);
    weir__line_release(&sem->line.lock, &wakes);
    return fits ? 0 : EINVAL;
}

WEIR_API int weir__sem_acquire_slow(weir_ctx *ctx, weir_sem *sem, int64_t n, weir_ns deadline)
{
    weir__sem_request request;
    weir__line_wakes wakes;
    weir__wait w;
    uint64_t word = weir__sem_lock(sem);
    int rc = 0;
    wakes.count = 0;
    if (n > weir__sem_size(word)) {
        rc = EINVAL;
        weir__sem_serve(sem, word, &wakes);
    } else if (sem->line.list.first == NULL && n <= weir__sem_free(word)) { /* freed meanwhile */
        weir__sem_serve(sem, weir__sem_with(word, weir__sem_free(word) - n), &wakes);
    } else {
        weir__wait_init(&w, ctx, deadline, WEIR_WAIT_ADAPTIVE);
        weir__wait_label(&w, "semaphore", NULL);
        request.n = n;
        rc = weir__line_wait(&sem->line, &request.node, &w);
        if (rc == ECANCELED || rc == ETIMEDOUT)
            weir__sem_serve(sem, weir__sem_own(sem), &wakes); /* it may have been the head */
    }
    weir__line_release(&sem->line.lock, &wakes);
    if (rc == 0 && ctx != NULL && (rc = weir_ctx_err(ctx)) != 0)
        (void)weir_sem_release(sem, n); /* it ended while the grant was under way */
    return rc;
}

WEIR_API int weir_sem_resize(weir_sem *sem, int64_t size)
{
    weir__line_wakes wakes;
    uint64_t word;
    if (size < 0 || size > WEIR_SEM_MAX)
        return EINVAL;
    wakes.count = 0;
    word = weir__sem_lock(sem);
    for (weir__waiter *at = sem->line.list.first, *next; at != NULL; at = next) {
        next = at->next;
        if (((weir__sem_request *)(void *)at)->n > size)
            (void)weir__list_pick(&sem->line.list, at, EINVAL,
                                  &wakes); /* also behind the head: it could never be served */
    }
    word = weir__sem_with((uint64_t)size << 33 | WEIR__SEM_WAITED, weir__sem_free(word) + size - weir__sem_size(word));
    weir__sem_serve(sem, word, &wakes);
    weir__line_release(&sem->line.lock, &wakes);
    return 0;
}

#endif /* WEIR_SYNC_SEM_IMPLEMENTED */
