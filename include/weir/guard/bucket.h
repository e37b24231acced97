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

#define WEIR__BUCKET_MASK ((UINT64_C(1) << 62) - 1)
#define WEIR__BUCKET_AHEAD (UINT64_C(1) << 59)        /* a reservation is at most so far ahead */
#define WEIR__BUCKET_CLOSED ((UINT64_C(1) << 60) - 1) /* a bucket so far ahead refuses everything */
#define WEIR__BUCKET_BURST (UINT64_C(1) << 58)        /* a burst in units is at most this */
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

/* One look at a bucket. */
typedef struct weir__bucket_look {
    uint64_t word;   /* as seen */
    uint64_t minted; /* up to `now` */
    uint64_t spent;  /* not more than the burst behind */
    uint64_t need, burst;
    unsigned token_shift;
} weir__bucket_look;

/* a * b / 2^shift, rounded down, modulo 2^64. */
WEIR_INLINE uint64_t weir__mul_shift(uint64_t a, uint64_t b, unsigned shift)
{
#if defined(__SIZEOF_INT128__) && !defined(WEIR__NO_INT128)
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    return shift < 128 ? (uint64_t)(product >> shift) : 0;
#else
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t middle = ah * bl + (al * bl >> 32), cross = al * bh + (uint32_t)middle;
    const uint64_t high = ah * bh + (middle >> 32) + (cross >> 32), low = a * b;
    return shift == 0 ? low : shift < 64 ? low >> shift | high << (64 - shift) : shift < 128 ? high >> (shift - 64) : 0;
#endif
}

/* Units that a rule has minted up to `now`, since it holds. */
WEIR_INLINE uint64_t weir__bucket_since(const weir__bucket_rule *rule, weir_ns now)
{
    const weir_ns from = (weir_ns)weir__load_acq(&rule->from); /* (B), all of these */
    const unsigned shift = (unsigned)(weir__load_acq(&rule->shifts) >> 8);
    return now <= from ? 0 : weir__mul_shift((uint64_t)(now - from), weir__load_acq(&rule->speed), shift);
}

/* Looks at the bucket with a request for n tokens. 0: `need` and all the rest are set; ENOTSUP: no limit; EINVAL: more than the burst, or negative. */
WEIR_INLINE int weir__bucket_look_at(weir__bucket_look *look, uint64_t word, const weir__bucket_rule *rule, int64_t n,
                                     weir_ns now)
{
    uint64_t behind;
    look->word = word;
    look->burst = weir__load_acq(&rule->burst); /* (B) */
    if (WEIR_UNLIKELY(look->burst == UINT64_MAX))
        return n < 0 ? EINVAL : ENOTSUP;
    look->token_shift = (unsigned)weir__load_acq(&rule->shifts) & 63;
    if (WEIR_UNLIKELY(n < 0 || (uint64_t)n > look->burst >> look->token_shift))
        return EINVAL;
    look->need = (uint64_t)n << look->token_shift;
    look->minted = weir__load_acq(&rule->minted) + weir__bucket_since(rule, now);
    behind = (look->minted - (word >> 2)) & WEIR__BUCKET_MASK;
    look->spent = behind >= WEIR__BUCKET_MASK - WEIR__BUCKET_CLOSED || behind <= look->burst
                      ? word >> 2
                      : look->minted - look->burst;
    return 0;
}

/* How far ahead of what is minted the request brings the bucket; 0 or less: it can be served now. */
WEIR_INLINE int64_t weir__bucket_ahead(const weir__bucket_look *look)
{
    return (int64_t)((look->spent + look->need - look->minted) << 2) / 4;
}

/* Spends what the look asks for, if nothing has changed since. Relaxed would do for the bucket alone: acquire and release order what the tokens stand
 * for, so that whoever gets what another gave back sees what that one did. */
WEIR_INLINE bool weir__bucket_spend(weir__atomic_u64 *bucket, const weir__bucket_look *look)
{
    uint64_t word = look->word;
    return weir__cas_ar(bucket, &word, (look->spent + look->need) << 2 | (look->word & 3));
}

/* One attempt to take n tokens from the bucket, in which `word` was seen (acquire: pairs with the release in weir__bucket_change: the rule that it names).
 * 0: taken. EAGAIN: they are not there. EINVAL: never, see above. WEIR__BUSY: the word is another one by now. */
WEIR_INLINE int weir__bucket_attempt_by(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rule *rule,
                                        int64_t n, weir_ns now)
{
    weir__bucket_look look;
    int rc = weir__bucket_look_at(&look, word, rule, n, now);
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

/* The same, as often as it takes; *now: the reading of the clock that decided. The word is read before the clock, so a refusal is true of one moment:
 * at that reading the bucket, which was the same before and after, did not hold the tokens. With a reading from before, a thread that was held up
 * between the two would be refused for being late, though there had been tokens all the time. */
WEIR_INLINE int weir__bucket_take(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_clock *clock,
                                  int64_t n, weir_ns *now)
{
    int rc;
    do {
        const uint64_t word = weir__load_acq(bucket);
        *now = weir__clock_now(clock);
        rc = weir__bucket_attempt(bucket, word, rules, n, *now);
    } while (WEIR_UNLIKELY(rc == WEIR__BUSY));
    return rc;
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
/* Events a second. Everything passes, whatever the burst. */
#define WEIR_RATE_INFINITE __builtin_inf()
#define WEIR_RATE_MAX 1e12
#define WEIR_BURST_MAX (INT64_C(1) << 40)

/* Fills rule `next` (0 … 3). before: the one that holds until now, or NULL. EINVAL: rate is negative, not a number, or finite and above WEIR_RATE_MAX; burst is
 * negative or above WEIR_BURST_MAX. Under the owner's lock. */
WEIR_API int weir__bucket_rule_set(weir__bucket_rules *rules, unsigned next, const weir__bucket_rule *before,
                                   double rate, int64_t burst, weir_ns now);
/* The word of a full bucket under that rule, at the moment from which the rule holds. */
WEIR_API uint64_t weir__bucket_begin(const weir__bucket_rules *rules, unsigned generation);
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

/* ---- from a rate to a rule -------------------------------------------------------------------------------------------------- */

/* A positive finite number as mantissa * 2^exponent, the mantissa's highest bit set. */
static uint64_t weir__double_split(double x, int *exponent)
{
    uint64_t bits, mantissa;
    memcpy(&bits, &x, sizeof bits);
    mantissa = bits & ((UINT64_C(1) << 52) - 1);
    *exponent = (int)(bits >> 52) - 1075;
    if (bits >> 52 != 0)
        mantissa |= UINT64_C(1) << 52;
    else
        ++*exponent; /* subnormal */
    for (; mantissa >> 63 == 0; mantissa <<= 1)
        --*exponent;
    return mantissa;
}

/* Units of 2^-shift tokens: as coarse as 2 to 4 for a nanosecond, and as the burst needs. */
static unsigned weir__bucket_token_shift(double rate, int64_t burst)
{
    unsigned shift = 0;
    while (shift < 57 && (double)(UINT64_C(1) << shift) * rate < 2e9)
        shift++;
    while ((uint64_t)burst > WEIR__BUCKET_BURST >> shift)
        shift--;
    return shift;
}

static uint64_t weir__bucket_ledger_at(const weir__bucket_rule *rule, uint64_t spent)
{
    const unsigned shift = (unsigned)weir__load_acq(&rule->shifts) & 63;
    const int64_t distance = (int64_t)((spent - weir__load_acq(&rule->minted)) << 2) / 4;
    const uint64_t counted = shift >= WEIR__BUCKET_LEDGER ? (uint64_t)(distance >> (shift - WEIR__BUCKET_LEDGER))
                                                          : (uint64_t)distance << (WEIR__BUCKET_LEDGER - shift);
    return weir__load_acq(&rule->ledger) + counted;
}

/* rate * 2^token_shift / 1e9, as speed / 2^speed_shift: 62 bits, rounded up, so that at a rate of ten a tenth of a second is a whole token. It is too fast
 * by 2^-62 of itself. */
static uint64_t weir__bucket_speed(double rate, unsigned token_shift, unsigned *speed_shift)
{
    int exponent;
    const uint64_t mantissa = weir__double_split(rate, &exponent), rest = (mantissa % 1000000000) << 29;
    *speed_shift = (unsigned)(29 - exponent - (int)token_shift);
    return (mantissa / 1000000000 << 29) + rest / 1000000000 + (rest % 1000000000 != 0);
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
        token_shift = weir__bucket_token_shift(rate, burst);
    if (rate > 0 && !infinite)
        speed = weir__bucket_speed(rate, token_shift, &speed_shift);
    period = speed == 0 ? WEIR_RATE_INFINITE : 1e9 / rate / (double)(UINT64_C(1) << token_shift);
    memcpy(&period_bits, &period, sizeof period_bits);
    /* Release, all of these: (A). */
    weir__store_rel(&rule->from, (uint64_t)now);
    weir__store_rel(&rule->speed, speed);
    weir__store_rel(&rule->burst, infinite ? UINT64_MAX : (uint64_t)burst << token_shift);
    weir__store_rel(&rule->shifts, (uint64_t)token_shift | (uint64_t)speed_shift << 8);
    weir__store_rel(&rule->period, period_bits);
    if (before == NULL) {
        weir__store_rel(&rule->minted, 0);
        weir__store_rel(&rule->ledger, 0);
    } else {
        const uint64_t end = before->minted + weir__bucket_since(before, now);
        weir__store_rel(&rule->minted, end + WEIR__BUCKET_STEP);
        weir__store_rel(&rule->ledger, weir__bucket_ledger_at(before, end));
    }
    weir__store_rlx(&rules->newest, next);
    return 0;
}

WEIR_API uint64_t weir__bucket_begin(const weir__bucket_rules *rules, unsigned generation)
{
    const weir__bucket_rule *rule = &rules->rule[generation];
    const uint64_t burst = rule->burst == UINT64_MAX ? 0 : rule->burst;
    return (rule->minted - burst) << 2 | generation;
}

/* What a bucket holds at the end of rule `before`, in units of rule `next`, not more than fits there. */
static int64_t weir__bucket_carry(uint64_t word, const weir__bucket_rule *before, const weir__bucket_rule *next)
{
    const unsigned from = (unsigned)before->shifts & 63, to = (unsigned)next->shifts & 63;
    const int64_t most = next->burst == UINT64_MAX ? 0 : (int64_t)next->burst, least = -(int64_t)WEIR__BUCKET_AHEAD;
    weir__bucket_look look;
    int64_t holds;
    if (weir__bucket_look_at(&look, word, before, 0, (weir_ns)next->from) != 0)
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
    const weir__bucket_rule *rule = &rules->rule[next];
    uint64_t word = weir__load_rlx(bucket), moved;
    do {
        moved = (rule->minted - (uint64_t)weir__bucket_carry(word, &rules->rule[word & 3], rule)) << 2 | next;
        /* Release: the rule, for those who read its number. Acquire: tokens given back before. */
    } while (!weir__cas_ar(bucket, &word, moved));
}

/* ---- slow paths: on a copy of the rule ------------------------------------------------------------------------------------- */

/* The rule of the word that was seen. False: the word is another one by now, and the copy worth nothing. */
static bool weir__bucket_snapshot(const weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                  weir__bucket_rule *copy)
{
    const weir__bucket_rule *rule = &rules->rule[word & 3];
    /* (B), all of these. */
    copy->from = weir__load_acq(&rule->from);
    copy->minted = weir__load_acq(&rule->minted);
    copy->speed = weir__load_acq(&rule->speed);
    copy->burst = weir__load_acq(&rule->burst);
    copy->shifts = weir__load_acq(&rule->shifts);
    copy->period = weir__load_acq(&rule->period);
    copy->ledger = weir__load_acq(&rule->ledger);
    return weir__load_rlx(bucket) == word;
}

/* How long until the rule has minted `units` (> 0) more: the smallest such number of nanoseconds. The double is a guess, off by a few; bisection from
 * there is exact. WEIR_FOREVER: never. */
static weir_ns weir__bucket_until(const weir__bucket_rule *rule, weir_ns now, uint64_t units)
{
    const weir_ns from = (weir_ns)rule->from,
                  begun = now < from ? from : now; /* an old reading mints nothing until the rule begins */
    const uint64_t made = weir__bucket_since(rule, begun);
    weir_ns low, high, slack;
    double period, guess;
    memcpy(&period, &rule->period, sizeof period);
    guess = (double)units * period;
    if (rule->speed == 0 || !(guess < 2e18) || begun > WEIR_FOREVER / 2)
        return WEIR_FOREVER;
    slack = 2 + (weir_ns)(2 * period + guess * 1e-15);
    low = high = (weir_ns)guess;
    while (weir__bucket_since(rule, begun + high) - made < units)
        high += slack;
    while (low >= 0 && weir__bucket_since(rule, begun + low) - made >= units)
        low -= slack;
    if (low < 0)
        low = 0; /* 0 mints nothing */
    while (high - low > 1) {
        const weir_ns middle = low + (high - low) / 2;
        if (weir__bucket_since(rule, begun + middle) - made >= units)
            high = middle;
        else
            low = middle;
    }
    return weir_time_add(high, begun - now);
}

WEIR_API int weir__bucket_reserve(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules, int64_t n,
                                  weir_ns now, weir_ns longest, weir_reservation *r)
{
    weir__bucket_look look;
    weir__bucket_rule rule;
    weir_ns wait = 0;
    int64_t ahead;
    int rc;
    r->n = 0;
    r->when = now;
    if (!weir__bucket_snapshot(bucket, word, rules, &rule))
        return WEIR__BUSY;
    if ((rc = weir__bucket_look_at(&look, word, &rule, n, now)) != 0)
        return rc == ENOTSUP ? 0 : rc;
    ahead = weir__bucket_ahead(&look);
    if (ahead > 0)
        wait = ahead > (int64_t)WEIR__BUCKET_AHEAD ? WEIR_FOREVER : weir__bucket_until(&rule, now, (uint64_t)ahead);
    if (wait == WEIR_FOREVER || wait > longest)
        return wait == WEIR_FOREVER ? EAGAIN : ETIMEDOUT;
    if (!weir__bucket_spend(bucket, &look))
        return WEIR__BUSY;
    r->n = n;
    r->when = weir_time_add(now, wait);
    r->ledger = weir__bucket_ledger_at(&rule, look.spent + look.need);
    return 0;
}

WEIR_API int weir__bucket_cancel(weir__atomic_u64 *bucket, uint64_t word, const weir__bucket_rules *rules,
                                 const weir_reservation *r)
{
    weir__bucket_rule rule;
    uint64_t units;
    unsigned shift;
    int64_t since, back;
    if (!weir__bucket_snapshot(bucket, word, rules, &rule))
        return WEIR__BUSY;
    since = (int64_t)(weir__bucket_ledger_at(&rule, word >> 2) - r->ledger);
    back = r->n * (INT64_C(1) << WEIR__BUCKET_LEDGER) - (since > 0 ? since : 0);
    if (rule.burst == UINT64_MAX || back <= 0)
        return EAGAIN;
    shift = (unsigned)rule.shifts & 63;
    units = shift >= WEIR__BUCKET_LEDGER ? (uint64_t)back << (shift - WEIR__BUCKET_LEDGER)
                                         : (uint64_t)back >> (WEIR__BUCKET_LEDGER - shift);
    /* As in weir__bucket_spend. */
    return weir__cas_ar(bucket, &word, ((word >> 2) - units) << 2 | (word & 3)) ? 0 : WEIR__BUSY;
}

WEIR_API double weir__bucket_holds(weir__atomic_u64 *bucket, const weir__bucket_rules *rules, weir_ns now)
{
    weir__bucket_look look;
    weir__bucket_rule rule;
    uint64_t word;
    do
        word = weir__load_acq(bucket);
    while (!weir__bucket_snapshot(bucket, word, rules, &rule));
    if (weir__bucket_look_at(&look, word, &rule, 0, now) != 0)
        return WEIR_RATE_INFINITE;
    return (double)-weir__bucket_ahead(&look) / (double)(UINT64_C(1) << look.token_shift);
}

#endif /* WEIR_GUARD_BUCKET_IMPLEMENTED */
