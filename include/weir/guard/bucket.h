/* weir/guard/bucket.h: the arithmetic of a token bucket that is one word.
 *
 * Two numbers on one line
 *   minted   how many tokens the rate has made up to a point in time: computed afresh from the clock by one multiplication, so that nothing
 *            adds up, neither rounding nor late readings; an old reading gives an old, smaller number
 *   spent    how many have been taken; the only thing that changes, by compare-and-swap
 *   minted - spent is what the bucket holds. Above the burst, the rest has run over: spent counts from minted - burst. Below zero, tokens are reserved
 *   that have yet to be made. (This is GCRA, ITU-T I.371, with tokens on the axis instead of time: a period of 1e9 / rate nanoseconds would have to be
 *   rounded, and 1e9 roundings add up.)
 *
 * Units
 *   A token is 2^token_shift units, chosen with the rate such that a nanosecond mints 2 to 4 units where it can: fine enough for rounding to stay
 *   below the clock's own, coarse enough for 62 bits to last. Minted is rounded down: readings that are T nanoseconds apart, which lie up to T + 1 apart,
 *   never admit more than rate * (T + 1) + burst. (Above 2e9 tokens a second a unit is a token, and a nanosecond mints more.)
 *
 * The word
 *       63……2  spent, modulo 2^62     1 0  generation: which of four rules it belongs to
 *   Distances are what counts: spent may be ahead of minted by up to 2^60 units (who reserves stops at half of that; the other half marks buckets that
 *   are not in use); anything else is behind. A bucket that idles for 2^62 - 2^60 units (27 years at any rate up to 4e9 a second, 40 days at 1e12) may
 *   look ahead when it is full.
 *
 * Rules change while others decide
 *   A rule is rate and burst from a point in time on. Whoever changes them (under the owner's lock) fills the next of the four, then moves the word
 *   from one line onto the other by one compare-and-swap, which also names the rule: no decision mixes two.
 *   A decider that was suspended may read a rule that is being filled for the fourth time. Its fields are stored with release (A) after the word
 *   had moved on, and read with acquire (B); so whoever has read a new field finds another word than it began with, and begins anew. For the word to
 *   have come back to the same value, spent too would have to be the same: each new line begins 2^62 / golden ratio further on, which four changes do
 *   not bring back.
 *
 * Progress: lock-free; a decision repeats only when another one has succeeded, or the rule has changed.
 */
#ifndef WEIR_GUARD_BUCKET_H
#define WEIR_GUARD_BUCKET_H

#include "clock.h"
#include "rate.h"

#define WEIR__BUCKET_MASK ((UINT64_C(1) << 62) - 1)
#define WEIR__BUCKET_AHEAD (UINT64_C(1) << 59)        /* a reservation is at most so far ahead */
#define WEIR__BUCKET_CLOSED ((UINT64_C(1) << 60) - 1) /* a bucket so far ahead refuses everything */
#define WEIR__BUCKET_STEP (UINT64_C(0x9e3779b97f4a7c15) >> 2)
#define WEIR__BUCKET_LEDGER 16 /* a ledger counts 2^-16 tokens */

typedef struct weir__bucket_rule {
    weir__atomic_u64 from;   /* the reading of the clock from which it holds */
    weir__atomic_u64 minted; /* up to there */
    weir__atomic_u64 speed;  /* units that a nanosecond mints, times 2^speed_shift; 0: none */
    weir__atomic_u64 burst;  /* units; UINT64_MAX: everything passes */
    weir__atomic_u64 shifts; /* token_shift | speed_shift << 8 */
    weir__atomic_u64 period; /* nanoseconds for a unit: the bits of a double, for a first guess */
    weir__atomic_u64 ledger; /* what the ledger, which goes on over all rules, says at `minted` */
} weir__bucket_rule;

typedef struct weir__bucket_rules {
    weir__bucket_rule rule[4];
    weir__atomic_u32 newest; /* a hint: the generation of most words */
} weir__bucket_rules;

/* The same, read: what all the arithmetic works on. */
typedef struct weir__bucket_terms {
    weir_ns from;
    uint64_t minted, speed, burst;
    unsigned token_shift, speed_shift;
} weir__bucket_terms;

/* One look at a bucket. */
typedef struct weir__bucket_look {
    uint64_t word;   /* as seen */
    uint64_t minted; /* up to `now` */
    uint64_t spent;  /* not more than the burst behind */
    uint64_t need;
} weir__bucket_look;

/* Acquire, all of them: (B). */
WEIR_INLINE weir__bucket_terms weir__bucket_read(const weir__bucket_rule *rule)
{
    const uint64_t shifts = weir__load_acq(&rule->shifts);
    weir__bucket_terms terms;
    terms.from = (weir_ns)weir__load_acq(&rule->from);
    terms.minted = weir__load_acq(&rule->minted);
    terms.speed = weir__load_acq(&rule->speed);
    terms.burst = weir__load_acq(&rule->burst);
    terms.token_shift = (unsigned)shifts & 63;
    terms.speed_shift = (unsigned)(shifts >> 8);
    return terms;
}

/* Units minted up to `now`, since the rule holds. */
WEIR_INLINE uint64_t weir__bucket_since(const weir__bucket_terms *terms, weir_ns now)
{
    return now <= terms->from ? 0 : weir__mul_shift((uint64_t)(now - terms->from), terms->speed, terms->speed_shift);
}

/* Looks at the bucket with a request for n tokens. 0: `need` and all the rest are set; ENOTSUP: no limit; EINVAL: more than the burst, or negative. */
WEIR_INLINE int weir__bucket_look_at(weir__bucket_look *look, uint64_t word, const weir__bucket_terms *terms, int64_t n,
                                     weir_ns now)
{
    uint64_t behind;
    look->word = word;
    if (WEIR_UNLIKELY(terms->burst == UINT64_MAX))
        return n < 0 ? EINVAL : ENOTSUP;
    if (WEIR_UNLIKELY(n < 0 || (uint64_t)n > terms->burst >> terms->token_shift))
        return EINVAL;
    look->need = (uint64_t)n << terms->token_shift;
    look->minted = terms->minted + weir__bucket_since(terms, now);
    behind = (look->minted - (word >> 2)) & WEIR__BUCKET_MASK;
    look->spent = behind >= WEIR__BUCKET_MASK - WEIR__BUCKET_CLOSED || behind <= terms->burst
                      ? word >> 2
                      : look->minted - terms->burst;
    return 0;
}

/* How far ahead of what is minted the request brings the bucket; 0 or less: it can be served now. */
WEIR_INLINE int64_t weir__bucket_ahead(const weir__bucket_look *look)
{
    return (int64_t)((look->spent + look->need - look->minted) << 2) / 4;
}

/* Spends what the look asks for, if nothing has changed since. Relaxed would do for the bucket alone: acquire, here, and release, where tokens are given back,
 * order what they stand for, so that whoever gets them sees what that one did; through all that others have done to the word in between, for a
 * read-modify-write goes on with the release of the one before it. */
WEIR_INLINE bool weir__bucket_spend(weir__atomic_u64 *bucket, const weir__bucket_look *look)
{
    uint64_t word = look->word;
    return weir__cas_acq(bucket, &word, (look->spent + look->need) << 2 | (look->word & 3));
}

/* One attempt to take n tokens from the bucket, in which `word` was seen (acquire: pairs with the release in weir__bucket_change: the rule that it names).
 * 0: taken. EAGAIN: they are not there. EINVAL: never, see above. WEIR__BUSY: the word is another one by now. */
WEIR_INLINE int weir__bucket_attempt_by(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rule *rule,
                                        int64_t n, weir_ns now)
{
    const weir__bucket_terms terms = weir__bucket_read(rule);
    weir__bucket_look look;
    int rc = weir__bucket_look_at(&look, word, &terms, n, now);
    if (WEIR_LIKELY(rc == 0)) {
        if (WEIR_LIKELY(weir__bucket_ahead(&look) <= 0))
            return WEIR_LIKELY(weir__bucket_spend(bucket, &look)) ? 0 : WEIR__BUSY;
        rc = EAGAIN;
    }
    if (WEIR_UNLIKELY(weir__load_rlx(bucket) !=
                      word)) /* the rule may have been another's. Relaxed: (B) comes before it */
        return WEIR__BUSY;
    return rc == ENOTSUP ? 0 : rc;
}
WEIR_API int weir__bucket_attempt_slow(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                       int64_t n, weir_ns now);
/* The rule is looked up by the hint, not by the word, so that what has been minted is computed while the word is still on its way from another
 * core: half of the time. */
WEIR_INLINE int weir__bucket_attempt(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                     int64_t n, weir_ns now)
{
    const uint32_t newest = weir__load_rlx(&rules->newest);
    if (WEIR_UNLIKELY((word & 3) != newest))
        return weir__bucket_attempt_slow(bucket, word, rules, n, now);
    return weir__bucket_attempt_by(bucket, word, &rules->rule[newest], n, now);
}

/* The same, as often as it takes; *now: the reading of the clock that decided.
 * The clock is read first, so that between the look at the word and its swap there is time for nothing else: with the word first, 8 threads on two
 * cores took twice as long. But then a thread that was held up between clock and word would be refused for being late, though there had been tokens
 * all the time. So a refusal asks again, the word before the clock: then the bucket, the same before and after, did not hold the tokens at
 * that reading. */
WEIR_API int weir__bucket_take_late(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_clock *clock,
                                    int64_t n, weir_ns *now);
WEIR_INLINE int weir__bucket_take(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_clock *clock,
                                  int64_t n, weir_ns *now)
{
    int rc;
    *now = weir__clock_now(clock);
    do
        rc = weir__bucket_attempt(bucket, weir__load_acq(bucket), rules, n, *now);
    while (WEIR_UNLIKELY(rc == WEIR__BUSY));
    return WEIR_LIKELY(rc != EAGAIN) ? rc : weir__bucket_take_late(bucket, rules, clock, n, now);
}

/* Tokens taken ahead of time. */
typedef struct weir_reservation {
    weir_ns when;    /* the reading of the clock from which they may be used */
    int64_t n;       /* how many; 0: none, or given back */
    uint64_t ledger; /* what the ledger said after it */
} weir_reservation;

/* One attempt to take tokens that may have yet to be made, at the latest `longest` after now. 0; EINVAL, WEIR__BUSY as above; ETIMEDOUT: later than
 * that; EAGAIN: never at this rate, or further ahead than the bucket can count. Nothing has changed then. */
WEIR_API int weir__bucket_reserve(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules, int64_t n,
                                  weir_ns now, weir_ns longest, weir_reservation *r);
/* One attempt to give back what was reserved, less what has been reserved since. 0; EAGAIN: nothing was left to give back; WEIR__BUSY. */
WEIR_API int weir__bucket_cancel(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                 const weir_reservation *r);
/* What the bucket holds, in tokens; below 0: reserved ahead. */
WEIR_API double weir__bucket_holds(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_ns now);
/* Fills rule `next` (0 … 3). before: the one that holds until now, or NULL. EINVAL: rate is negative, not a number, or finite and above WEIR_RATE_MAX; burst is
 * negative or above WEIR_BURST_MAX. Under the owner's lock. */
WEIR_API int weir__bucket_rule_set(weir__bucket_rules *rules, unsigned next, const weir__bucket_rule *before,
                                   double rate, int64_t burst, weir_ns now);
/* The word of a full bucket under that rule. */
WEIR_API uint64_t weir__bucket_begin(const weir__bucket_rules *rules, unsigned generation, weir_ns now);
/* Under the owner's lock: whether the bucket in which `word` was seen is full, so that nobody needs to remember it; else *wait nanoseconds more. *closed: a word
 * of that rule that refuses everything. */
WEIR_API bool weir__bucket_full(uint64_t word, const weir__bucket_rules *rules, weir_ns now, uint64_t *closed,
                                weir_ns *wait);
/* Moves a bucket from the rule before `next` to rule `next`. */
WEIR_API void weir__bucket_change(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, unsigned next);

#endif /* WEIR_GUARD_BUCKET_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_BUCKET_IMPLEMENTED)
#define WEIR_GUARD_BUCKET_IMPLEMENTED

WEIR_API int weir__bucket_attempt_slow(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                       int64_t n, weir_ns now)
{
    return weir__bucket_attempt_by(bucket, word, &rules->rule[word & 3], n, now);
}

WEIR_API int weir__bucket_take_late(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_clock *clock,
                                    int64_t n, weir_ns *now)
{
    int rc;
    do {
        const uint64_t word = weir__load_acq(bucket);
        *now = weir__clock_now(clock);
        rc = weir__bucket_attempt(bucket, word, rules, n, *now);
    } while (rc == WEIR__BUSY);
    return rc;
}

/* ---- rules ------------------------------------------------------------------------------------------------------------------- */

/* What the ledger says when so much is spent; `at_minted`: the rule's. */
static uint64_t weir__bucket_ledger_at(const weir__bucket_terms *terms, uint64_t at_minted, uint64_t spent)
{
    const unsigned shift = terms->token_shift;
    const int64_t distance = (int64_t)((spent - terms->minted) << 2) / 4;
    return at_minted + (shift >= WEIR__BUCKET_LEDGER ? (uint64_t)(distance >> (shift - WEIR__BUCKET_LEDGER))
                                                     : (uint64_t)distance << (WEIR__BUCKET_LEDGER - shift));
}

WEIR_API int weir__bucket_rule_set(weir__bucket_rules *rules, unsigned next, const weir__bucket_rule *before,
                                   double rate, int64_t burst, weir_ns now)
{
    weir__bucket_rule *rule = &rules->rule[next];
    const bool infinite = rate == WEIR_RATE_INFINITE;
    uint64_t speed = 0, period_bits;
    unsigned token_shift = 0, speed_shift = 0;
    double period;
    if (!(rate >= 0) || (rate > WEIR_RATE_MAX && !infinite) || burst < 0 || burst > WEIR_BURST_MAX)
        return EINVAL;
    if (!infinite)
        token_shift = weir__rate_token_shift(rate, burst);
    if (rate > 0 && !infinite)
        speed = weir__rate_speed(rate, token_shift, &speed_shift);
    period = speed == 0 ? WEIR_RATE_INFINITE : 1e9 / rate / (double)(UINT64_C(1) << token_shift);
    memcpy(&period_bits, &period, sizeof period_bits);
    /* Release, all of these: (A). */
    weir__store_rel(&rule->from, (uint64_t)now);
    weir__store_rel(&rule->speed, speed);
    weir__store_rel(&rule->burst, infinite ? UINT64_MAX : (uint64_t)burst << token_shift);
    weir__store_rel(&rule->shifts, (uint64_t)token_shift | (uint64_t)speed_shift << 8);
    weir__store_rel(&rule->period, period_bits);
    if (before == NULL) {
        weir__store_rlx(&rule->minted, 0); /* nobody decides yet */
        weir__store_rlx(&rule->ledger, 0);
    } else {
        const weir__bucket_terms terms = weir__bucket_read(before);
        const uint64_t end = terms.minted + weir__bucket_since(&terms, now);
        weir__store_rel(&rule->minted, end + WEIR__BUCKET_STEP);
        weir__store_rel(&rule->ledger, weir__bucket_ledger_at(&terms, weir__load_rlx(&before->ledger), end));
    }
    weir__store_rlx(&rules->newest, next);
    return 0;
}

WEIR_API uint64_t weir__bucket_begin(const weir__bucket_rules *rules, unsigned generation, weir_ns now)
{
    const weir__bucket_terms terms = weir__bucket_read(&rules->rule[generation]);
    return (terms.minted + weir__bucket_since(&terms, now) - (terms.burst == UINT64_MAX ? 0 : terms.burst)) << 2 |
           generation;
}

/* What a bucket holds at the end of rule `before`, in units of rule `next`, not more than fits there. */
static int64_t weir__bucket_carry(uint64_t word, const weir__bucket_terms *before, const weir__bucket_terms *next)
{
    const unsigned from = before->token_shift, to = next->token_shift;
    const int64_t most = next->burst == UINT64_MAX ? 0 : (int64_t)next->burst, least = -(int64_t)WEIR__BUCKET_AHEAD;
    weir__bucket_look look;
    int64_t holds;
    if (weir__bucket_look_at(&look, word, before, 0, next->from) != 0)
        return most; /* there was no limit: full */
    holds = -weir__bucket_ahead(&look);
    if (to <= from)
        holds >>= from - to;
    else if (holds > most >> (to - from))
        holds = most;
    else if (holds < least >> (to - from))
        holds = least;
    else
        holds = (int64_t)((uint64_t)holds << (to - from));
    return holds < most ? holds : most;
}

WEIR_API void weir__bucket_change(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, unsigned next)
{
    const weir__bucket_terms terms = weir__bucket_read(&rules->rule[next]);
    uint64_t word = weir__load_rlx(bucket), moved;
    do {
        const weir__bucket_terms before =
            weir__bucket_read(&rules->rule[word & 3]); /* under the owner's lock it does not change */
        moved = (terms.minted - (uint64_t)weir__bucket_carry(word, &before, &terms)) << 2 | next;
    } while (!weir__cas_rel(bucket, &word, moved)); /* release: the rule, for those who read its number */
}

/* ---- ahead of time ------------------------------------------------------------------------------------------------------------- */

/* How long until the rule has minted `units` (> 0) more: the smallest such number of nanoseconds. The double is a guess, off by a few; bisection from
 * there is exact. WEIR_FOREVER: never. */
static weir_ns weir__bucket_until(const weir__bucket_terms *terms, uint64_t period_bits, weir_ns now, uint64_t units)
{
    const weir_ns begun =
        now < terms->from ? terms->from : now; /* an old reading mints nothing until the rule begins */
    const uint64_t made = weir__bucket_since(terms, begun);
    weir_ns low, high, slack;
    double period, guess;
    memcpy(&period, &period_bits, sizeof period);
    guess = (double)units * period;
    if (terms->speed == 0 || !(guess < 2e18) || begun > WEIR_FOREVER / 2)
        return WEIR_FOREVER;
    slack = 2 + (weir_ns)(2 * period + guess * 1e-15);
    low = high = (weir_ns)guess;
    while (weir__bucket_since(terms, begun + high) - made < units)
        high += slack;
    while (low >= 0 && weir__bucket_since(terms, begun + low) - made >= units)
        low -= slack;
    if (low < 0)
        low = 0; /* 0 mints nothing */
    while (high - low > 1) {
        const weir_ns middle = low + (high - low) / 2;
        if (weir__bucket_since(terms, begun + middle) - made >= units)
            high = middle;
        else
            low = middle;
    }
    return weir_time_add(high, begun - now);
}

/* What the rule of the word that was seen says besides its terms; false: the word is another one by now, and all of it worth nothing. */
static bool weir__bucket_reads(const weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                               weir__bucket_terms *terms, uint64_t *period, uint64_t *ledger)
{
    const weir__bucket_rule *rule = &rules->rule[word & 3];
    *terms = weir__bucket_read(rule);
    *period = weir__load_acq(&rule->period); /* (B) */
    *ledger = weir__load_acq(&rule->ledger); /* (B) */
    return weir__load_rlx(bucket) == word;
}

WEIR_API int weir__bucket_reserve(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules, int64_t n,
                                  weir_ns now, weir_ns longest, weir_reservation *r)
{
    weir__bucket_look look;
    weir__bucket_terms terms;
    weir_ns wait = 0;
    uint64_t period, ledger;
    int64_t ahead;
    int rc;
    r->n = 0;
    r->when = now;
    if (!weir__bucket_reads(bucket, word, rules, &terms, &period, &ledger))
        return WEIR__BUSY;
    if ((rc = weir__bucket_look_at(&look, word, &terms, n, now)) != 0)
        return rc == ENOTSUP ? 0 : rc;
    ahead = weir__bucket_ahead(&look);
    if (ahead > 0)
        wait = ahead > (int64_t)WEIR__BUCKET_AHEAD ? WEIR_FOREVER
                                                   : weir__bucket_until(&terms, period, now, (uint64_t)ahead);
    if (wait == WEIR_FOREVER || wait > longest)
        return wait == WEIR_FOREVER ? EAGAIN : ETIMEDOUT;
    if (!weir__bucket_spend(bucket, &look))
        return WEIR__BUSY;
    r->n = n;
    r->when = weir_time_add(now, wait);
    r->ledger = weir__bucket_ledger_at(&terms, ledger, look.spent + look.need);
    return 0;
}

WEIR_API int weir__bucket_cancel(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                 const weir_reservation *r)
{
    weir__bucket_terms terms;
    uint64_t units, period, ledger;
    unsigned shift;
    int64_t since, back;
    if (!weir__bucket_reads(bucket, word, rules, &terms, &period, &ledger))
        return WEIR__BUSY;
    since = (int64_t)(weir__bucket_ledger_at(&terms, ledger, word >> 2) - r->ledger);
    back = r->n * (INT64_C(1) << WEIR__BUCKET_LEDGER) - (since > 0 ? since : 0);
    if (terms.burst == UINT64_MAX || back <= 0)
        return EAGAIN;
    shift = terms.token_shift;
    units = shift >= WEIR__BUCKET_LEDGER ? (uint64_t)back << (shift - WEIR__BUCKET_LEDGER)
                                         : (uint64_t)back >> (WEIR__BUCKET_LEDGER - shift);
    /* Release: see weir__bucket_spend. */
    return weir__cas_rel(bucket, &word, ((word >> 2) - units) << 2 | (word & 3)) ? 0 : WEIR__BUSY;
}

WEIR_API double weir__bucket_holds(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_ns now)
{
    weir__bucket_look look;
    weir__bucket_terms terms;
    uint64_t word, period, ledger;
    do
        word = weir__load_acq(bucket);
    while (!weir__bucket_reads(bucket, word, rules, &terms, &period, &ledger));
    if (weir__bucket_look_at(&look, word, &terms, 0, now) != 0)
        return WEIR_RATE_INFINITE;
    return (double)-weir__bucket_ahead(&look) / (double)(UINT64_C(1) << terms.token_shift);
}

WEIR_API bool weir__bucket_full(uint64_t word, const weir__bucket_rules *rules, weir_ns now, uint64_t *closed,
                                weir_ns *wait)
{
    const weir__bucket_rule *rule = &rules->rule[word & 3];
    const weir__bucket_terms terms = weir__bucket_read(rule);
    weir__bucket_look look;
    int64_t lacks = 0;
    look.minted = terms.minted;
    if (weir__bucket_look_at(&look, word, &terms, 0, now) == 0)
        lacks = (int64_t)terms.burst + weir__bucket_ahead(&look);
    *wait = lacks <= 0 ? 0 : weir__bucket_until(&terms, weir__load_rlx(&rule->period), now, (uint64_t)lacks);
    *closed = (look.minted + WEIR__BUCKET_CLOSED) << 2 | (word & 3);
    return lacks <= 0;
}

#endif /* WEIR_GUARD_BUCKET_IMPLEMENTED */
