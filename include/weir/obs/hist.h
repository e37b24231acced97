/* weir/obs/hist.h: a histogram of latencies that keeps three significant digits.
 *
 * Overview
 *   Log-linear buckets, as in HdrHistogram (G. Tene): values below 2 * HALF are exact; above, each power of two is cut into HALF = 1024 equal
 *   buckets, so that values which differ by a thousandth lie in different ones, and a reported value, the middle of its bucket, is at most 0.05 %
 *   off. Values of 2^40 ns (18 minutes) and above share the last bucket; the maximum is kept exactly. A histogram is 250 KiB, the caller's
 *   memory, and never allocates.
 *
 * Coordinated omission
 *   Who sends a request, waits for the answer, and sends the next, measures nothing while one answer takes long: the requests that should have gone
 *   out meanwhile, and would have waited too, are missing from the picture. weir_hist_record_corrected puts them in: a value v at an expected
 *   interval of i counts as v, v - i, v - 2i, … down to i. Better still is to measure from when a request was due.
 *   Source: HdrHistogram's recordValueWithExpectedInterval.
 *
 * Who may call what at once
 *   record: any number of threads, together with all else: one atomic add, wait-free, and for a new maximum compare-and-swaps, lock-free.
 *   What reads, merge's source too: any thread; what is recorded meanwhile may or may not be in. init: one thread, before.
 *   All relaxed: a count says nothing about other memory.
 */
#ifndef WEIR_OBS_HIST_H
#define WEIR_OBS_HIST_H

#include "../core/atomic.h"
#include "../core/time.h"

#define WEIR__HIST_HALF_BITS 10
#define WEIR__HIST_HALF ((size_t)1 << WEIR__HIST_HALF_BITS)
#define WEIR__HIST_TOP_BITS 40
#define WEIR__HIST_BUCKETS ((WEIR__HIST_TOP_BITS - WEIR__HIST_HALF_BITS + 1) * WEIR__HIST_HALF)

typedef struct weir_hist {
    weir__atomic_u64 max;
    weir__atomic_u64 counts[WEIR__HIST_BUCKETS];
} weir_hist;

WEIR_API void weir_hist_init(weir_hist *h);

/* The bucket of a value: the power of two that it lies in, above the first two, and the HALF steps within. */
static inline size_t weir__hist_bucket(uint64_t value)
{
    unsigned power; /* so that value >> power lies in [HALF, 2 * HALF) */
    if (value < 2 * WEIR__HIST_HALF)
        return (size_t)value;
    power = 63U - (unsigned)__builtin_clzll(value) - WEIR__HIST_HALF_BITS;
    if (power > WEIR__HIST_TOP_BITS - 1 - WEIR__HIST_HALF_BITS)
        return WEIR__HIST_BUCKETS - 1;
    return (size_t)(power * WEIR__HIST_HALF + (value >> power));
}

static inline void weir__hist_raise(weir_hist *h, uint64_t value)
{
    uint64_t max = weir__load_rlx(&h->max);
    while (value > max && !weir__cas_rlx(&h->max, &max, value)) {}
}

/* Counts one value, in nanoseconds or any unit; negative ones count as 0. */
static inline void weir_hist_record(weir_hist *h, weir_ns value)
{
    const uint64_t v = value > 0 ? (uint64_t)value : 0;
    (void)weir__add_rlx(&h->counts[weir__hist_bucket(v)], 1);
    weir__hist_raise(h, v);
}

/* Counts one value, and those that were not measured because it took so long (see above). interval: between two values, as it should be; 0 or
 * below: as weir_hist_record. One add for each bucket on the way, however many values. */
WEIR_API void weir_hist_record_corrected(weir_hist *h, weir_ns value, weir_ns interval);

/* Adds what `from` has counted to `into`. */
WEIR_API void weir_hist_merge(weir_hist *into, weir_hist *from);
WEIR_API uint64_t weir_hist_count(weir_hist *h);
/* How many values do not exceed `value`, as far as their bucket tells: those in the same bucket count as not exceeding it. */
WEIR_API uint64_t weir_hist_count_to(weir_hist *h, weir_ns value);
/* The sum of all values, at most 0.05 % off, if none is above 2^40: made from the buckets, so that nobody pays for it who does not ask. */
WEIR_API double weir_hist_sum(weir_hist *h);
/* The largest value, exactly; 0 if none. */
WEIR_API weir_ns weir_hist_max(weir_hist *h);
/* The value that `percent` % of the values do not exceed: the middle of its bucket, and never above the maximum. percent is cut to
 * 0..100; 100 is the maximum. 0 if nothing was recorded. */
WEIR_API weir_ns weir_hist_percentile(weir_hist *h, double percent);

#endif /* WEIR_OBS_HIST_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_HIST_IMPLEMENTED)
#define WEIR_OBS_HIST_IMPLEMENTED

WEIR_API void weir_hist_init(weir_hist *h)
{
    memset(h, 0, sizeof *h);
}

WEIR_API void weir_hist_merge(weir_hist *into, weir_hist *from)
{
    for (size_t i = 0; i < WEIR__HIST_BUCKETS; i++) {
        const uint64_t n = weir__load_rlx(&from->counts[i]);
        if (n != 0)
            (void)weir__add_rlx(&into->counts[i], n);
    }
    weir__hist_raise(into, weir__load_rlx(&from->max));
}

/* The smallest value of a bucket. */
static uint64_t weir__hist_low(size_t bucket)
{
    unsigned power;
    if (bucket < 2 * WEIR__HIST_HALF)
        return bucket;
    power = (unsigned)(bucket >> WEIR__HIST_HALF_BITS) - 1;
    return (bucket - power * WEIR__HIST_HALF) << power;
}

/* The middle of a bucket. */
static uint64_t weir__hist_value(size_t bucket)
{
    const unsigned power = bucket < 2 * WEIR__HIST_HALF ? 0 : (unsigned)(bucket >> WEIR__HIST_HALF_BITS) - 1;
    return weir__hist_low(bucket) + (((uint64_t)1 << power) >> 1);
}

WEIR_API void weir_hist_record_corrected(weir_hist *h, weir_ns value, weir_ns interval)
{
    weir_hist_record(h, value);
    if (interval <= 0 || value <= interval)
        return;
    for (weir_ns left = value - interval; left >= interval;) {
        const size_t bucket = weir__hist_bucket((uint64_t)left);
        /* Of those that are left, so many lie in this bucket. None is below the interval: the bucket would be wider than that. */
        const weir_ns n = (left - (weir_ns)weir__hist_low(bucket)) / interval + 1;
        (void)weir__add_rlx(&h->counts[bucket], (uint64_t)n);
        left -= n * interval;
    }
}

WEIR_API uint64_t weir_hist_count(weir_hist *h)
{
    uint64_t total = 0;
    for (size_t i = 0; i < WEIR__HIST_BUCKETS; i++)
        total += weir__load_rlx(&h->counts[i]);
    return total;
}

WEIR_API weir_ns weir_hist_max(weir_hist *h)
{
    return (weir_ns)weir__load_rlx(&h->max);
}

WEIR_API uint64_t weir_hist_count_to(weir_hist *h, weir_ns value)
{
    const size_t last = value >= 0 ? weir__hist_bucket((uint64_t)value) : 0;
    uint64_t total = 0;
    for (size_t i = 0; value >= 0 && i <= last; i++)
        total += weir__load_rlx(&h->counts[i]);
    return total;
}

WEIR_API double weir_hist_sum(weir_hist *h)
{
    double sum = 0;
    for (size_t i = 0; i < WEIR__HIST_BUCKETS; i++)
        sum += (double)weir__load_rlx(&h->counts[i]) * (double)weir__hist_value(i);
    return sum;
}

WEIR_API weir_ns weir_hist_percentile(weir_hist *h, double percent)
{
    const uint64_t total = weir_hist_count(h), max = weir__load_rlx(&h->max);
    uint64_t rank, seen = 0;
    double exact = (double)total * percent / 100;
    if (total == 0)
        return 0;
    if (percent >= 100)
        return (weir_ns)max;
    rank = exact > 1 ? (uint64_t)exact : 1;
    if ((double)rank < exact)
        rank++; /* the smallest rank that covers the share */
    for (size_t i = 0; i < WEIR__HIST_BUCKETS - 1; i++) {
        seen += weir__load_rlx(&h->counts[i]);
        if (seen >= rank) {
            const uint64_t value = weir__hist_value(i);
            return (weir_ns)(value < max ? value : max);
        }
    }
    return (weir_ns)max;
}

#endif /* WEIR_OBS_HIST_IMPLEMENTED */
