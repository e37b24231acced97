/* weir/guard/limiter_map.h: a limiter for each key: each client, address, account …, in bounded memory.
 *
 *     weir_limiter_map m;
 *     weir_limiter_map_init(&m, 10.0, 20, 100000, NULL);              10 a second and 20 at once, for each of up to 100,000 keys
 *     if (weir_limiter_map_allow(&m, weir_limiter_map_key(&m, name, strlen(name)), 1) == 0) …;
 *
 * Meaning
 *   A key that has not been seen has a full bucket; so a bucket that is full again need not be remembered, and makes room for another when the map
 *   holds as many as it may. Where none is full a new key is refused (EOVERFLOW), and those that are in use go on: forgetting one of them would give it
 *   a full bucket. One rate and burst for all; both can be changed while the map is in use.
 *
 * The table
 *   Places of two words, at least twice as many as keys: the key (0: never used, 1: free again) and its bucket (guard/bucket.h; all share the rules). A
 *   key lies within WEIR__LIMITER_PROBES places from where its number says.
 *   Whoever finds its key decides without a lock, as a limiter does. A new key takes the map's lock.
 *
 * Why nobody spends from another key's bucket
 *   Forgetting and reusing a place, under the lock          deciding
 *     1. key = free again                                     a. read the bucket (acquire)
 *     2. bucket: full -> closed, by compare-and-swap          b. read the key: still ours?
 *        (no longer full: the key comes back)                 c. compare-and-swap the bucket from what (a) saw
 *     3. bucket = the new one's, full (release)
 *     4. key = the new one's (release)
 *   If (a) saw the bucket of 2 or 3, it saw the key of 1 or a later one in (b), and (b) fails. If it saw an earlier one, either (c) comes before 2, which
 *   then fails, or it fails itself. Nor does the same word come again: a full bucket can be written in many ways, and each new one is written
 *   one unit lower. A refusal stands if the bucket still is what (a) saw.
 *   Who finds no key has not found that it is forgotten, only the lock says so: between 1 and the key's return nobody sees it. Tokens that come back look
 *   again under the lock; a decider takes the lock anyway, to bring the key in.
 *   Not done: 2 before 1. A decider would find its key with a closed bucket, and be refused though it has all its tokens (the model found it).
 *
 * Who may call what at once: all but init and free, from any number of threads.
 */
#ifndef WEIR_GUARD_LIMITER_MAP_H
#define WEIR_GUARD_LIMITER_MAP_H

#include "../core/hash.h"
#include "../core/memory.h"
#include "../core/random.h"
#include "limiter.h"

typedef struct weir__limiter_place {
    weir__atomic_u64 key, bucket;
} weir__limiter_place;

typedef struct weir_limiter_map {
    weir__limiter_place *places; /* mask + 1 of them */
    uint64_t mask, seed[2];
    weir__bucket_rules rules;
    weir_clock *clock;
    weir__atomic_u64 most; /* the burst, in tokens; UINT64_MAX: no limit */
    weir__atomic_u32 lock; /* guards all below, and who is in the table */
    weir__atomic_u64 used; /* keys; read by anybody */
    /* a time: before it no bucket will be full, the last search has found. A cancel, without the lock, makes it 0 */
    weir__atomic_u64 none_before;
    uint64_t capacity, hand; /* hand: where the search for full buckets goes on */
    uint64_t salt;           /* how many keys have come in */
    double rate;
    int64_t burst;
    unsigned generation;
} weir_limiter_map;

/* rate, burst, clock: as weir_limiter_init; capacity: the most keys at once, at least 1. 0; EINVAL; EOVERFLOW: above 2^32 keys; ENOMEM. 32 to 64
 * bytes for a key. */
WEIR_API int weir_limiter_map_init(weir_limiter_map *m, double rate, int64_t burst, size_t capacity, weir_clock *clock);
/* Nobody uses it any more. */
WEIR_API void weir_limiter_map_free(weir_limiter_map *m);

/* A key for some bytes, by a hash with a secret of this map. Any other number that the caller has will do, too. Wait-free. */
static inline uint64_t weir_limiter_map_key(const weir_limiter_map *m, const void *bytes, size_t size)
{
    return weir_hash(m->seed, bytes, size);
}

/* All as weir_limiter_…, for one key; in addition EOVERFLOW: the key is new, and no bucket in the map is full. Progress: as there for a key in the map, else
 * takes the lock. */
WEIR_API int weir_limiter_map_allow(weir_limiter_map *m, uint64_t key, int64_t n);
WEIR_API int weir_limiter_map_reserve(weir_limiter_map *m, uint64_t key, int64_t n, weir_reservation *r);
WEIR_API int weir_limiter_map_cancel(weir_limiter_map *m, uint64_t key, weir_reservation *r);
WEIR_API int weir_limiter_map_wait(weir_ctx *ctx, weir_limiter_map *m, uint64_t key, int64_t n);
/* For all keys. 0, EINVAL. Takes the lock for as long as it takes to go through all. */
WEIR_API int weir_limiter_map_set(weir_limiter_map *m, double rate, int64_t burst);
/* How many keys it remembers. */
WEIR_API size_t weir_limiter_map_count(weir_limiter_map *m);

#endif /* WEIR_GUARD_LIMITER_MAP_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_LIMITER_MAP_IMPLEMENTED)
#define WEIR_GUARD_LIMITER_MAP_IMPLEMENTED

#ifndef WEIR__LIMITER_PROBES
#define WEIR__LIMITER_PROBES 32
#endif
enum { WEIR__LIMITER_FREE = 1, WEIR__LIMITER_FIRST_KEY };

/* ---- finding ------------------------------------------------------------------------------------------------------------------ */

/* The key as the table has it. The mixing is D. Stafford's variant 13 of MurmurHash3's, as in splitmix64: one to one, but for two numbers that mean
 * something else. */
static uint64_t weir__limiter_number(const weir_limiter_map *m, uint64_t key)
{
    uint64_t x = key ^ m->seed[0];
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return x >= WEIR__LIMITER_FIRST_KEY ? x : x + WEIR__LIMITER_FIRST_KEY;
}

static weir__limiter_place *weir__limiter_probe(const weir_limiter_map *m, uint64_t number, uint64_t i)
{
    return &m->places[(number + i) & m->mask];
}

/* Relaxed: what the key promises is looked at again, after the bucket. NULL: not there. */
static weir__limiter_place *weir__limiter_find(const weir_limiter_map *m, uint64_t number)
{
    for (uint64_t i = 0; i < WEIR__LIMITER_PROBES; i++) {
        weir__limiter_place *place = weir__limiter_probe(m, number, i);
        const uint64_t key = weir__load_rlx(&place->key);
        if (key == number)
            return place;
        if (key == 0)
            break;
    }
    return NULL;
}

/* For who has not found it and must be sure: a key that is looked at to be forgotten is not there for a moment, and may come back. */
static weir__limiter_place *weir__limiter_find_surely(weir_limiter_map *m, uint64_t number)
{
    weir__limiter_place *place = weir__limiter_find(m, number);
    if (place == NULL) {
        weir__lock_take(&m->lock);
        place = weir__limiter_find(m, number);
        weir__lock_release(&m->lock);
    }
    return place;
}

/* ---- coming in, under the lock ------------------------------------------------------------------------------------------------ */

/* Forgets the key of a place, if its bucket is full. False: it is not; *wait: for how long. */
static bool weir__limiter_forget(weir_limiter_map *m, weir__limiter_place *place, weir_ns now, weir_ns *wait)
{
    /* Relaxed: keys and rules change under the lock. */
    const uint64_t number = weir__load_rlx(&place->key);
    uint64_t word = weir__load_rlx(&place->bucket), closed;
    if (!weir__bucket_full(word, &m->rules, now, &closed, wait))
        return false;
    weir__store_rlx(&place->key, WEIR__LIMITER_FREE);     /* (1): the release of (2) publishes it */
    while (!weir__cas_rel(&place->bucket, &word, closed)) /* (2) pairs with (a) */
        if (!weir__bucket_full(word, &m->rules, now, &closed, wait)) {
            /* Release: whoever finds it by this sees a bucket no older than the one seen here. */
            weir__store_rel(&place->key, number);
            return false;
        }
    weir__store_rlx(&m->used, m->used - 1);
    return true;
}

/* Forgets some keys, beginning where the last search ended: as soon as one is gone, no more than another few places. False: none is full. */
static bool weir__limiter_sweep(weir_limiter_map *m, weir_ns now)
{
    weir_ns soonest = WEIR_FOREVER, wait;
    uint64_t end = m->mask + 1;
    bool any = false;
    if (now < (weir_ns)weir__load_rlx(&m->none_before))
        return false;
    for (uint64_t i = 0; i < end; i++) {
        weir__limiter_place *place = &m->places[m->hand++ & m->mask];
        if (place->key < WEIR__LIMITER_FIRST_KEY)
            continue;
        if (weir__limiter_forget(m, place, now, &wait)) {
            end = any ? end : i + 64 < end ? i + 64 : end;
            any = true;
        } else if (wait < soonest)
            soonest = wait;
    }
    if (!any)
        weir__store_rlx(&m->none_before, (uint64_t)weir_time_add(now, soonest));
    return any;
}

/* The first free place on a key's way. No other: who looks for the key goes no further than to a place that has always been free. */
static weir__limiter_place *weir__limiter_free_place(const weir_limiter_map *m, uint64_t number)
{
    for (uint64_t i = 0; i < WEIR__LIMITER_PROBES; i++) {
        weir__limiter_place *place = weir__limiter_probe(m, number, i);
        if (place->key < WEIR__LIMITER_FIRST_KEY)
            return place;
    }
    return NULL;
}

/* A place for a new key: one that is free, or was until now one of a key that can be forgotten. NULL: none. The places on its way are looked at even
 * after a search that found nothing to forget: tokens may have come back since. */
static weir__limiter_place *weir__limiter_room(weir_limiter_map *m, uint64_t number, weir_ns now)
{
    weir__limiter_place *place = NULL;
    weir_ns wait;
    if (m->used < m->capacity || weir__limiter_sweep(m, now))
        place = weir__limiter_free_place(m, number);
    for (uint64_t i = 0; place == NULL && i < WEIR__LIMITER_PROBES; i++) {
        weir__limiter_place *other = weir__limiter_probe(m, number, i);
        if (other->key >= WEIR__LIMITER_FIRST_KEY && weir__limiter_forget(m, other, now, &wait))
            place = weir__limiter_free_place(m, number);
    }
    return place;
}

static weir__limiter_place *weir__limiter_enter(weir_limiter_map *m, uint64_t number)
{
    weir__limiter_place *place;
    weir__lock_take(&m->lock);
    if ((place = weir__limiter_find(m, number)) == NULL) {
        const weir_ns now = weir__clock_now(m->clock);
        if ((place = weir__limiter_room(m, number, now)) != NULL) {
            const uint64_t full = weir__bucket_begin(&m->rules, m->generation, now) >> 2;
            m->salt++;
            weir__store_rel(&place->bucket, (full - (m->salt & 0xffff)) << 2 | m->generation); /* (3) */
            weir__store_rel(&place->key, number);                                              /* (4) */
            weir__store_rlx(&m->used, m->used + 1);
        }
    }
    weir__lock_release(&m->lock);
    return place;
}

/* ---- deciding ------------------------------------------------------------------------------------------------------------------ */

/* The bucket of a key, and what is in it, when the key was seen there after it. NULL: no room for a new key. */
static weir__limiter_place *weir__limiter_at(weir_limiter_map *m, uint64_t number, uint64_t *word)
{
    for (;;) {
        weir__limiter_place *place = weir__limiter_find(m, number);
        if (place == NULL && (place = weir__limiter_enter(m, number)) == NULL)
            return NULL;
        *word = weir__load_acq(&place->bucket);    /* (a) pairs with (3) */
        if (weir__load_acq(&place->key) == number) /* (b). Acquire: (c) comes after it */
            return place;
    }
}

static bool weir__limiter_never(weir_limiter_map *m, int64_t n)
{
    return n < 0 || (uint64_t)n > weir__load_rlx(&m->most);
}

/* The clock before the bucket, and only for a refusal after it: see weir__bucket_take. */
WEIR_API int weir_limiter_map_allow(weir_limiter_map *m, uint64_t key, int64_t n)
{
    const uint64_t number = weir__limiter_number(m, key);
    weir__limiter_place *place;
    weir_ns now;
    uint64_t word;
    bool late = false;
    if (weir__limiter_never(m, n))
        return EINVAL; /* before it takes a place */
    for (now = weir__clock_now(m->clock);;) {
        int rc;
        if ((place = weir__limiter_at(m, number, &word)) == NULL)
            return EOVERFLOW;
        if (late)
            now = weir__clock_now(m->clock);
        rc = weir__bucket_attempt(&place->bucket, word, &m->rules, n, now); /* (c) */
        if (rc != WEIR__BUSY && (rc != EAGAIN || late))
            return rc;
        late |= rc == EAGAIN;
    }
}

static int weir__limiter_map_reserve(weir_limiter_map *m, uint64_t key, int64_t n, weir_ns longest, weir_reservation *r,
                                     weir_ns *now)
{
    const uint64_t number = weir__limiter_number(m, key);
    weir__limiter_place *place;
    uint64_t word;
    int rc;
    r->n = 0;
    if (weir__limiter_never(m, n))
        return EINVAL;
    do {
        if ((place = weir__limiter_at(m, number, &word)) == NULL)
            return EOVERFLOW;
        *now = weir__clock_now(m->clock);
        rc = weir__bucket_reserve(&place->bucket, word, &m->rules, n, *now, longest, r); /* (c) */
    } while (rc == WEIR__BUSY);
    return rc;
}

WEIR_API int weir_limiter_map_reserve(weir_limiter_map *m, uint64_t key, int64_t n, weir_reservation *r)
{
    weir_ns now;
    return weir__limiter_map_reserve(m, key, n, WEIR_FOREVER, r, &now);
}

WEIR_API int weir_limiter_map_cancel(weir_limiter_map *m, uint64_t key, weir_reservation *r)
{
    const uint64_t number = weir__limiter_number(m, key);
    weir__limiter_place *place;
    int rc = EAGAIN;
    if (r->n > 0 && weir__clock_now(m->clock) <= r->when)
        do {
            uint64_t word;
            if ((place = weir__limiter_find_surely(m, number)) == NULL)
                break;                             /* it was full, and is forgotten */
            word = weir__load_acq(&place->bucket); /* (a) */
            /* (b). Relaxed: no refusal has to be true, and what is given back needs the bucket of (a). */
            rc = weir__load_rlx(&place->key) != number ? WEIR__BUSY
                                                       : weir__bucket_cancel(&place->bucket, word, &m->rules, r);
        } while (rc == WEIR__BUSY);
    r->n = 0;
    if (rc != 0)
        return EAGAIN;
    weir__store_rlx(&m->none_before, 0); /* it may be full earlier than the last search has computed */
    return 0;
}

WEIR_API int weir_limiter_map_wait(weir_ctx *ctx, weir_limiter_map *m, uint64_t key, int64_t n)
{
    weir_reservation r;
    weir_ns now;
    int rc = weir_ctx_err(ctx);
    if (rc != 0)
        return rc;
    rc = weir__limiter_map_reserve(m, key, n, weir__clock_left(ctx, WEIR_FOREVER), &r, &now);
    if (rc == 0 && r.when > now && (rc = weir__clock_sleep(m->clock, ctx, r.when)) != 0)
        (void)weir_limiter_map_cancel(m, key, &r);
    return rc == EAGAIN ? ETIMEDOUT : rc;
}

/* ---- the map ------------------------------------------------------------------------------------------------------------------- */

static int weir__limiter_map_rule(weir_limiter_map *m, unsigned next, const weir__bucket_rule *before, double rate,
                                  int64_t burst)
{
    if (weir__bucket_rule_set(&m->rules, next, before, rate, burst, weir__clock_now(m->clock)) != 0)
        return EINVAL;
    m->generation = next;
    m->rate = rate;
    m->burst = burst;
    weir__store_rlx(&m->none_before, 0);
    weir__store_rlx(&m->most, rate == WEIR_RATE_INFINITE ? UINT64_MAX : (uint64_t)burst);
    return 0;
}

WEIR_API int weir_limiter_map_init(weir_limiter_map *m, double rate, int64_t burst, size_t capacity, weir_clock *clock)
{
    uint64_t places = WEIR__LIMITER_PROBES;
    memset(m, 0, sizeof *m);
    m->clock = clock;
    m->capacity = capacity;
    for (int i = 0; i < 2; i++)
        m->seed[i] = (uint64_t)weir__random_below(UINT32_MAX) << 32 | weir__random_below(UINT32_MAX);
    if (capacity == 0 || weir__limiter_map_rule(m, 0, NULL, rate, burst) != 0)
        return EINVAL;
    if ((uint64_t)capacity > UINT64_C(1) << 32)
        return EOVERFLOW;
    while (places < 2 * (uint64_t)capacity)
        places *= 2;
    if (places > SIZE_MAX / sizeof *m->places)
        return EOVERFLOW;
    m->mask = places - 1;
    m->places = (weir__limiter_place *)WEIR_ALLOC(WEIR_CACHE_PAD, (size_t)places * sizeof *m->places);
    if (m->places == NULL)
        return ENOMEM;
    memset(m->places, 0, (size_t)places * sizeof *m->places);
    return 0;
}

WEIR_API void weir_limiter_map_free(weir_limiter_map *m)
{
    if (m->places != NULL)
        WEIR_FREE(m->places);
    memset(m, 0, sizeof *m);
}

WEIR_API int weir_limiter_map_set(weir_limiter_map *m, double rate, int64_t burst)
{
    int rc;
    weir__lock_take(&m->lock);
    {
        const unsigned next = (m->generation + 1) & 3;
        rc = weir__limiter_map_rule(m, next, &m->rules.rule[m->generation], rate, burst);
        for (uint64_t i = 0; rc == 0 && i <= m->mask; i++)
            if (m->places[i].key >= WEIR__LIMITER_FIRST_KEY)
                weir__bucket_change(&m->places[i].bucket, &m->rules, next);
    }
    weir__lock_release(&m->lock);
    return rc;
}

WEIR_API size_t weir_limiter_map_count(weir_limiter_map *m)
{
    return (size_t)weir__load_rlx(&m->used);
}

#endif /* WEIR_GUARD_LIMITER_MAP_IMPLEMENTED */
