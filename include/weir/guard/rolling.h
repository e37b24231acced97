/* weir/guard/rolling.h: how many of the latest calls have failed: of the last so many, or of those of the last so long.
 *
 * Overview
 *   A guard that moves from generation to generation (guard/breaker.h) notes here how each call has ended, and reads how many there were and how
 *   many failed. No lock, no thread; memory only at the start. A fixed window, cleared at intervals, would forget at its edge all that it knew.
 *
 * Generations
 *   The guard's word holds its generation above bit 24. Everything here is marked with the generation that it was noted in, and means nothing in
 *   another; so a new one begins empty though nobody clears anything. A thread that was held up between its look at the guard's word and its note
 *   cannot note in a later generation: it reads what it is about to replace, then the guard's word once more, and replaces only what it has read:
 *
 *       held-up thread, generation 3               another, generation 5
 *                                                  the guard's word says 5
 *       (R) reads an entry: one of generation 5    (S) writes an entry of generation 5
 *       the guard's word says 5: gives up
 *
 *   (R) acquires what (S) released, so the second look at the guard's word cannot be older than (S). Had (R) read an older entry, the
 *   swap that follows would fail, for (S) changed the entry; had (S) not come yet, it replaces what the held-up thread has written.
 *
 * By count: exact, one word
 *       head:  63……34 generation   33……11 sequence of the next note   10……1 failures   0 how the latest one ended
 *       slot of each of the last notes:  generation, sequence, how it ended
 *   A note is one compare-and-swap of the head: it adds one, takes away what falls out of the window, and leaves its own end in bit 0. Whoever
 *   comes next first puts that end into its slot: so a thread that stops for ever between two steps keeps nobody waiting, and what falls
 *   out is always there to be read. The counts are therefore those of one moment, that of the swap.
 *   The sequence starts at 0; at its end it goes back by half, so that it never looks young again. A head would be taken for another only by a
 *   thread that was held up for 4 million notes to the very note.
 *
 * By time: a count per bucket and end
 *       bucket of an end:  63……52 generation   51……24 number of the window's length that it belongs to   23……0 how many
 *   The window has as many buckets as it is told; each covers its part of every window's length, and what it held before is replaced by who comes
 *   first. Sums are read bucket by bucket: a call that ends at that very moment is in or not, as if it had ended a little earlier or later; one that
 *   had ended before is in. Of one bucket, 16 million of each end are counted. It would be taken for a later one after 2^28 window lengths without
 *   a note (eight years, for a second), or 4096 generations within one bucket.
 *   A clock reading that is older than another's, by up to sixteen windows, notes in its own bucket if that is still there, and nowhere else.
 *
 * Who may call what at once: note, read: any threads. init, free: one thread.
 * Progress: note, read: lock-free.
 */
#ifndef WEIR_GUARD_ROLLING_H
#define WEIR_GUARD_ROLLING_H

#include "../core/atomic.h"
#include "../core/error.h"
#include "../core/memory.h"
#include "../core/time.h"

/* The guard's word, from here up, says in which generation it is. */
enum { WEIR__GENERATION_AT = 24 };

enum { WEIR__ROLLING_CALLS_MAX = 1023, WEIR__ROLLING_BUCKETS_MAX = 1024 };

typedef struct weir__rolling {
    weir__atomic_u64 *words; /* NULL: there is no window */
    uint32_t calls;          /* by count: the last so many; 0: by time */
    uint32_t mask;           /* by count: slots - 1 */
    uint32_t buckets;
    weir_ns bucket; /* how long one is */
} weir__rolling;

typedef struct weir__rolling_sum {
    uint64_t calls, failures;
} weir__rolling_sum;

/* The last `calls` calls (1 … 1023); or, with 0, those of `buckets` (1 … 1024) times `bucket` (1 or more) nanoseconds. 0; ENOMEM. */
WEIR_API int weir__rolling_init(weir__rolling *r, uint32_t calls, uint32_t buckets, weir_ns bucket);
WEIR_API void weir__rolling_free(weir__rolling *r);
/* A call of `generation` has ended at `now` (used by time alone). False: that generation, says *guard, is over; nothing has changed. What the
 * window then holds is in *sum, unless that is NULL: by count, of the very moment of the note. */
WEIR_API bool weir__rolling_note(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                 weir_ns now, weir__rolling_sum *sum);
/* What the window holds of that generation. */
WEIR_API weir__rolling_sum weir__rolling_read(weir__rolling *r, uint64_t generation, weir_ns now);

#endif /* WEIR_GUARD_ROLLING_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_ROLLING_IMPLEMENTED)
#define WEIR_GUARD_ROLLING_IMPLEMENTED

/* The head has a cache line of its own, before the slots. */
enum { WEIR__ROLLING_HEAD = WEIR_CACHE_PAD / 8 };

WEIR_API int weir__rolling_init(weir__rolling *r, uint32_t calls, uint32_t buckets, weir_ns bucket)
{
    size_t slots = 1, bytes;
    memset(r, 0, sizeof *r);
    while (slots < calls)
        slots *= 2;
    bytes = (calls != 0 ? WEIR__ROLLING_HEAD + slots : (size_t)2 * buckets) * sizeof(uint64_t);
    r->words = (weir__atomic_u64 *)WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    if (r->words == NULL)
        return ENOMEM;
    memset(r->words, 0, bytes);
    r->calls = calls;
    r->mask = (uint32_t)slots - 1;
    r->buckets = buckets;
    r->bucket = bucket;
    return 0;
}

WEIR_API void weir__rolling_free(weir__rolling *r)
{
    if (r->words != NULL)
        WEIR_FREE(r->words);
    memset(r, 0, sizeof *r);
}

static bool weir__rolling_current(const weir__atomic_u64 *guard, uint64_t generation)
{
    return weir__load_rlx(guard) >> WEIR__GENERATION_AT == generation;
}

/* ---- by count ---- */

enum { WEIR__ROLLING_SEQUENCE_AT = 11, WEIR__ROLLING_GENERATION_AT = 34 };
#define WEIR__ROLLING_FAILURES (UINT64_C(0x3ff) << 1)
#define WEIR__ROLLING_SEQUENCES (UINT64_C(1) << (WEIR__ROLLING_GENERATION_AT - WEIR__ROLLING_SEQUENCE_AT))

static uint64_t weir__rolling_sequence(uint64_t head)
{
    return (head >> WEIR__ROLLING_SEQUENCE_AT) & (WEIR__ROLLING_SEQUENCES - 1);
}

static weir__atomic_u64 *weir__rolling_slot(weir__rolling *r, uint64_t sequence)
{
    return &r->words[WEIR__ROLLING_HEAD + (sequence & r->mask)];
}

/* The latest note stands in `head` alone: puts it into its slot, for whoever it was. */
static void weir__rolling_settle(weir__rolling *r, uint64_t head)
{
    weir__atomic_u64 *slot = weir__rolling_slot(r, weir__rolling_sequence(head) - 1);
    const uint64_t entry = head & ~WEIR__ROLLING_FAILURES;
    uint64_t was = weir__load_acq(slot); /* (R) pairs with the swap below: one of a later note brings a later head */
    if (was != entry && weir__load_rlx(&r->words[0]) == head)
        (void)weir__cas_rel(slot, &was, entry); /* (S) */
}

/* The head after one more note on top of `head`, which is settled and of the same generation. */
static uint64_t weir__rolling_next(weir__rolling *r, uint64_t head, bool failed)
{
    uint64_t sequence = weir__rolling_sequence(head), failures = (head & WEIR__ROLLING_FAILURES) >> 1;
    if (sequence >= r->calls)
        failures -= weir__load_rlx(weir__rolling_slot(r, sequence - r->calls)) & 1; /* settled before the head was */
    if (++sequence == WEIR__ROLLING_SEQUENCES)
        sequence /= 2;
    failures += failed;
    return head >> WEIR__ROLLING_GENERATION_AT << WEIR__ROLLING_GENERATION_AT | sequence << WEIR__ROLLING_SEQUENCE_AT |
           failures << 1 | failed;
}

static weir__rolling_sum weir__rolling_sum_of(const weir__rolling *r, uint64_t head)
{
    const uint64_t sequence = weir__rolling_sequence(head);
    weir__rolling_sum sum;
    sum.calls = sequence < r->calls ? sequence : r->calls;
    sum.failures = (head & WEIR__ROLLING_FAILURES) >> 1;
    return sum;
}

static bool weir__rolling_note_count(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                     weir__rolling_sum *sum)
{
    for (;;) {
        /* (R) pairs with the swap below: a head of a later generation brings a later word of the guard. And what was settled before it. */
        uint64_t head = weir__load_acq(&r->words[0]), next;
        if (!weir__rolling_current(guard, generation))
            return false;
        if (head >> WEIR__ROLLING_GENERATION_AT == generation && weir__rolling_sequence(head) != 0) {
            weir__rolling_settle(r, head);
            next = weir__rolling_next(r, head, failed);
        } else { /* the first of its generation */
            next = generation << WEIR__ROLLING_GENERATION_AT | UINT64_C(1) << WEIR__ROLLING_SEQUENCE_AT |
                   (failed ? 3U : 0U);
        }
        if (weir__cas_rel(&r->words[0], &head, next)) { /* (S) */
            if (sum != NULL)
                *sum = weir__rolling_sum_of(r, next);
            return true;
        }
    }
}

/* ---- by time ---- */

#define WEIR__ROLLING_COUNT (UINT64_C(0xffffff))
#define WEIR__ROLLING_LAPS (UINT64_C(0xfffffff))

/* What marks the buckets of a generation in a window's length. */
static uint64_t weir__rolling_mark(uint64_t generation, uint64_t lap)
{
    return generation << 52 | (lap & WEIR__ROLLING_LAPS) << 24;
}

static bool weir__rolling_note_time(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                    weir_ns now)
{
    const uint64_t at = (uint64_t)now / (uint64_t)r->bucket, lap = at / r->buckets;
    const uint64_t mark = weir__rolling_mark(generation, lap);
    weir__atomic_u64 *bucket = &r->words[2 * (at % r->buckets) + failed];
    for (;;) {
        /* (R) pairs with the swap below: a bucket of a later generation brings a later word of the guard. */
        uint64_t was = weir__load_acq(bucket), next = mark | 1;
        if (!weir__rolling_current(guard, generation))
            return false;
        if ((was ^ mark) < WEIR__ROLLING_COUNT)
            next = was + 1;
        else if ((was ^ mark) >> 52 == 0 && (((was >> 24) - lap) & WEIR__ROLLING_LAPS) <= 16)
            return true; /* it is full; or others have read a later time, and this end has left the window */
        if (weir__cas_rel(bucket, &was, next)) /* (S) */
            return true;
    }
}

WEIR_API bool weir__rolling_note(weir__rolling *r, const weir__atomic_u64 *guard, uint64_t generation, bool failed,
                                 weir_ns now, weir__rolling_sum *sum)
{
    if (r->calls != 0)
        return weir__rolling_note_count(r, guard, generation, failed, sum);
    if (!weir__rolling_note_time(r, guard, generation, failed, now))
        return false;
    if (sum != NULL)
        *sum = weir__rolling_read(r, generation, now);
    return true;
}

WEIR_API weir__rolling_sum weir__rolling_read(weir__rolling *r, uint64_t generation, weir_ns now)
{
    weir__rolling_sum sum = {0, 0};
    if (r->calls != 0) {
        const uint64_t head = weir__load_rlx(&r->words[0]);
        return head >> WEIR__ROLLING_GENERATION_AT == generation ? weir__rolling_sum_of(r, head) : sum;
    }
    for (uint64_t i = 0, at = (uint64_t)now / (uint64_t)r->bucket; i < r->buckets; i++) {
        /* Buckets up to the present one are of this length of the window, those behind it of the one before. */
        const uint64_t mark = weir__rolling_mark(generation, at / r->buckets - (i > at % r->buckets));
        for (int failed = 0; failed < 2; failed++) {
            const uint64_t bucket = weir__load_rlx(&r->words[2 * i + (uint64_t)failed]);
            const uint64_t n = (bucket ^ mark) <= WEIR__ROLLING_COUNT ? bucket & WEIR__ROLLING_COUNT : 0;
            sum.calls += n;
            sum.failures += failed != 0 ? n : 0;
        }
    }
    return sum;
}

#endif /* WEIR_GUARD_ROLLING_IMPLEMENTED */
