/* weir/guard/breaker.h: a circuit breaker: calls of a service that fails are refused for a while: it can recover, and nobody waits for it in vain.
 *
 *     weir_breaker breaker;
 *     weir_breaker_init(&breaker, &(weir_breaker_config){.consecutive = 3, .open_time = WEIR_SEC(10)});
 *     rc = weir_breaker_call(ctx, &breaker, ask_the_service, &question);         EAGAIN, EBUSY: it was not asked
 *
 *     weir_breaker_permit permit;                                                the same in two steps
 *     if ((rc = weir_breaker_allow(&breaker, &permit)) == 0)
 *         weir_breaker_done(&breaker, &permit, ask() ? WEIR_BREAKER_SUCCESS : WEIR_BREAKER_FAILURE);
 *
 * Overview
 *            ┌──────────── failures: a rule says so ───────────┐
 *        CLOSED                                                ▼
 *        all are admitted, results count                     OPEN  none is admitted, for open_time
 *            ▲                                                 │ ▲
 *            │                          the first that asks    ▼ │ one failure, or it takes longer than half_open_time
 *            └── so many successes ─────────────────────── HALF-OPEN  `probes` at a time are admitted
 *
 *   By hand: FORCED OPEN admits none and DISABLED admits all, and counts nothing, until weir_breaker_reset makes it CLOSED.
 *
 * Meaning
 *   Each change of state begins a new generation. A permit belongs to the generation that it was given in, and its result counts there or nowhere:
 *   whoever was admitted before the breaker opened does not close or reopen it afterwards.
 *   HALF-OPEN counts at admission: one more is admitted if fewer than `probes` are under way, and if those and the successes so far do not make up
 *   what it takes to close already. A permit that ends as IGNORED frees its place. One that never ends keeps it: half_open_time bounds that.
 *   A success is what fn returns 0 for. An error after the caller's ctx was cancelled is neither success nor failure. One after the deadline of ctx
 *   has passed is a failure, for a service that hangs shows in nothing else; a program that gives some calls too little time tells by `classify`.
 *   The open time is counted from a reading of the clock that was made after the breaker had opened: it is never shorter, and at most two
 *   microseconds longer. Each reopening without a close between makes it `growth` times as long.
 *   A reading that is older than an earlier one ends nothing. What begins at such a reading is counted from there.
 *   The state changes when somebody asks: a breaker whose open time has passed is open until the next allow.
 *
 * Rules by which it opens, looked at when a call fails; any of them is enough
 *   consecutive    so many failures in a row, of calls in the order in which they end
 *   window_calls or window_time, with failure_rate and min_calls: the share of failures among the last calls (guard/rolling.h)
 *   trips          the program's own, on these numbers
 *
 * The word
 *       63……61 state     60……54 how often reopened without a close     53……24 generation     23……0 counts:
 *           closed: failures in a row          half-open: 23……12 permits under way, 11……0 successes
 *   One compare-and-swap is a transition; it fits one generation only, since the next differs. So exactly one thread makes each, and it is the one
 *   that calls on_change, after the swap, with nothing held: the callback may call anything, this breaker included. Callbacks of two transitions
 *   made by two threads may run at once, or the later one first.
 *   A permit is the upper forty bits; a result whose permit differs there from the word is of an earlier generation. They differ until 2^30
 *   transitions have come between.
 *
 * The end of the open time stands in a second word, marked with sixteen bits of its generation
 *   Who opens the breaker writes it after the swap. Between the two the mark is of an earlier generation: then whoever asks writes it, from a
 *   clock reading of its own; the first counts. So nobody waits for a thread that stops there, the time is set once, and no shorter
 *   than it should be. A thread that was held up before it writes finds, or its swap does, that a later generation has set its time; if none has yet,
 *   it writes a mark that fits no later one, and whoever needs the word next overwrites it.
 *   Not done: writing the time before the swap. A thread that then loses the swap has shortened, by an older reading, the open time of another.
 *   The mark fits by mistake after 65,536 transitions none of which has set a time, that is, by hand: then one probe comes early.
 *
 * What is seen
 *   (D) A result's swap releases, and (A) an admission acquires: who is admitted after a transition, or in the place that another has given
 *   back, sees what that other did before. With `probes` 1 one probe sees all of the one before. Successes while closed that change nothing in
 *   the word order nothing.
 *
 * Source for the meanings: sony/gobreaker, failsafe-go, resilience4j, and what their users have asked for: a callback under a lock deadlocks
 * (gobreaker PR#119), a fixed window misjudges (#21), when to close (#63), half-open for ever (resilience4j#903, #935, #2289).
 *
 * Who may call what at once: allow, done, call, force, reset, state, counts: any threads. init, free: one thread.
 * Progress: allow while closed, and done of a success that nothing is counted for, are wait-free, a load each; else all are lock-free. Nothing
 * parks, allocates or takes a lock.
 */
#ifndef WEIR_GUARD_BREAKER_H
#define WEIR_GUARD_BREAKER_H

#include "../core/random.h"
#include "circuit.h"

struct weir_breaker {
    weir__atomic_u64 word, end;
    weir__rolling window;
    weir_breaker_config config; /* defaults filled in */
};

/* One admission, to be ended once. 0: none, or ended. */
typedef struct weir_breaker_permit {
    uint64_t stamp;
} weir_breaker_permit;

/* Static: so many failures in a row open it, for so long; all else as by default. */
/* clang-format off */
#define WEIR_BREAKER_INIT(consecutive, open_time) \
    {0, 0, {NULL, 0, 0, 0, 0}, {(consecutive), 0, 0, 0, 0, 0, NULL, (open_time), 1, WEIR__BREAKER_LONGEST, 0, 1, 1, NULL, 0, NULL, NULL, NULL, NULL}}
/* clang-format on */

enum { WEIR__BREAKER_UNDER_WAY = 0x1000 };
WEIR_INLINE int weir__breaker_state(uint64_t word)
{
    return (int)(word >> 61);
}

/* Closed; config NULL: all defaults. 0; EINVAL: a number out of its range, or both windows; ENOMEM: none for the window. */
WEIR_API int weir_breaker_init(weir_breaker *b, const weir_breaker_config *config);
/* Frees the window. Nobody uses the breaker; permits that have not ended may be forgotten. One without a window need not be freed. */
WEIR_API void weir_breaker_free(weir_breaker *b);

/* WEIR_BREAKER_OPEN (or _FORCED_OPEN): admits none; WEIR_BREAKER_DISABLED: admits all, and counts nothing; until weir_breaker_reset. Permits of
 * before count nowhere. 0; EINVAL: another state. Any thread; lock-free, as reset. */
WEIR_API int weir_breaker_force(weir_breaker *b, int state);
/* Closed, with nothing counted, whatever it was; also if it was closed. */
WEIR_API void weir_breaker_reset(weir_breaker *b);

/* What it is at this moment, and what it has counted. */
WEIR_API int weir_breaker_state(weir_breaker *b);
WEIR_API void weir_breaker_counts(weir_breaker *b, weir_breaker_tally *tally);

WEIR_API int weir__breaker_allow_slow(weir_breaker *b, weir_breaker_permit *permit);
WEIR_API int weir__breaker_done_slow(weir_breaker *b, weir_breaker_permit *permit, int outcome);
WEIR_API int weir__breaker_outcome(weir_breaker *b, weir_ctx *ctx, int rc);

/* May a call be made now? 0: yes, and *permit is to be ended with weir_breaker_done. EAGAIN: it is open. EBUSY: it is half-open, and all places are
 * taken. Any thread; wait-free while closed, else lock-free. */
static inline int weir_breaker_allow(weir_breaker *b, weir_breaker_permit *permit)
{
    const uint64_t word = weir__load_acq(&b->word); /* (A) pairs with (D) */
    if (WEIR_UNLIKELY(weir__breaker_state(word) != WEIR_BREAKER_CLOSED))
        return weir__breaker_allow_slow(b, permit);
    permit->stamp = word | WEIR__BREAKER_COUNTS;
    return 0;
}

/* How the call has ended. 0, also if it no longer counts. EINVAL: no such outcome, the permit then stays good; or a permit that was not given, or has
 * ended already. (A copy of one that has ended is noticed only in a half-open breaker with nobody under way; else it counts as another call's end.)
 * Any thread, also another than asked; lock-free. */
static inline int weir_breaker_done(weir_breaker *b, weir_breaker_permit *permit, int outcome)
{
    /* The word of the permit's generation, closed, and nothing counted. */
    if (WEIR_UNLIKELY(outcome != WEIR_BREAKER_SUCCESS) || WEIR_UNLIKELY(b->window.words != NULL) ||
        WEIR_UNLIKELY((weir__load_rlx(&b->word) ^ permit->stamp) != WEIR__BREAKER_COUNTS) ||
        WEIR_UNLIKELY(weir__breaker_state(permit->stamp) != WEIR_BREAKER_CLOSED))
        return weir__breaker_done_slow(b, permit, outcome);
    permit->stamp = 0;
    return 0;
}

typedef struct weir__breaker_visit {
    weir_breaker *b;
    weir_breaker_permit permit;
    int outcome;
} weir__breaker_visit;
static inline void weir__breaker_leave(weir__breaker_visit *visit)
{
    if (visit->permit.stamp != 0)
        (void)weir_breaker_done(visit->b, &visit->permit, visit->outcome);
}

/* Runs fn(ctx, arg) if a call may be made, and returns what it returns. ECANCELED, ETIMEDOUT: ctx had ended before; EAGAIN, EBUSY: as
 * weir_breaker_allow; then fn was not run. (A fn that returns these itself is told from a refusal in two steps.) An exception that leaves fn, in a
 * C++ unit, is a failure. Any thread. */
static inline int weir_breaker_call(weir_ctx *ctx, weir_breaker *b, weir_task_fn *fn, void *arg)
{
    __attribute__((cleanup(weir__breaker_leave))) weir__breaker_visit visit = {b, {0}, WEIR_BREAKER_FAILURE};
    int rc = ctx == NULL ? 0 : weir_ctx_err(ctx);
    if (WEIR_UNLIKELY(rc != 0) || (rc = weir_breaker_allow(b, &visit.permit)) != 0)
        return rc;
    rc = fn(ctx, arg);
    visit.outcome = weir__breaker_outcome(b, ctx, rc);
    return rc;
}

#endif /* WEIR_GUARD_BREAKER_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_BREAKER_IMPLEMENTED)
#define WEIR_GUARD_BREAKER_IMPLEMENTED

/* ---- the word ---- */

enum { WEIR__BREAKER_REOPENED_AT = 54, WEIR__BREAKER_REOPENED_MAX = 127 };

static uint32_t weir__breaker_reopened(uint64_t word)
{
    return (uint32_t)(word >> WEIR__BREAKER_REOPENED_AT) & WEIR__BREAKER_REOPENED_MAX;
}
static uint64_t weir__breaker_generation(uint64_t word)
{
    return (word >> WEIR__GENERATION_AT) & 0x3fffffff;
}
static uint32_t weir__breaker_under_way(uint64_t word)
{
    return (uint32_t)(word / WEIR__BREAKER_UNDER_WAY) & WEIR__BREAKER_COUNT;
}
static uint32_t weir__breaker_successes(uint64_t word)
{
    return (uint32_t)word & WEIR__BREAKER_COUNT;
}
static bool weir__breaker_same(uint64_t word, uint64_t stamp)
{
    return (word ^ stamp) <= WEIR__BREAKER_COUNTS;
}
/* The word of the generation after that of `word`, in this state, with nothing counted. */
static uint64_t weir__breaker_next(uint64_t word, int state, uint32_t reopened)
{
    return (uint64_t)state << 61 | (uint64_t)reopened << WEIR__BREAKER_REOPENED_AT |
           ((weir__breaker_generation(word) + 1) & 0x3fffffff) << WEIR__GENERATION_AT;
}
/* Half-open no longer: open once more. */
static uint64_t weir__breaker_again(uint64_t word)
{
    const uint32_t reopened = weir__breaker_reopened(word);
    return weir__breaker_next(word, WEIR_BREAKER_OPEN, reopened + (reopened < WEIR__BREAKER_REOPENED_MAX));
}

/* ---- the end of open, and of half-open ---- */

enum { WEIR__BREAKER_MARK_AT = 48, WEIR__BREAKER_UNIT = 1024 }; /* nanoseconds: the clock goes round in nine years */
#define WEIR__BREAKER_TIMES ((UINT64_C(1) << WEIR__BREAKER_MARK_AT) - 1)

/* How long a generation lasts, if nothing else ends it. */
static weir_ns weir__breaker_lasts(weir_breaker *b, uint64_t word)
{
    const double longest = (double)b->config.max_open_time;
    double t = (double)b->config.open_time;
    if (weir__breaker_state(word) == WEIR_BREAKER_HALF_OPEN)
        return b->config.half_open_time;
    for (uint32_t i = 0; i < weir__breaker_reopened(word) && t < longest; i++)
        t *= b->config.growth;
    if (b->config.jitter > 0)
        t *= 1 + b->config.jitter * ((double)weir__random_below(65536) / 32768 - 1);
    return t < longest ? (weir_ns)t : b->config.max_open_time; /* the cap comes last, so that it holds */
}

/* Has the generation of `word` lasted as long as it may? Sets when that will be, if nobody has. */
static bool weir__breaker_over(weir_breaker *b, uint64_t word)
{
    const uint64_t mark = weir__breaker_generation(word) << WEIR__BREAKER_MARK_AT;
    for (;;) {
        uint64_t end = weir__load_acq(&b->end), at; /* (R) pairs with (S): a later generation's end brings its word */
        const weir_ns now = weir__clock_now(b->config.clock);
        if ((end & ~WEIR__BREAKER_TIMES) == mark) /* how far beyond it are we, going round? Up to half of it is past */
            return (((uint64_t)now / WEIR__BREAKER_UNIT - end) & WEIR__BREAKER_TIMES) <= WEIR__BREAKER_TIMES / 2;
        if (!weir__breaker_same(weir__load_rlx(&b->word), word))
            return false; /* another has ended it */
        at = (uint64_t)weir_time_add(now, weir__breaker_lasts(b, word)) + WEIR__BREAKER_UNIT - 1;
        if (weir__cas_rel(&b->end, &end, mark | (at / WEIR__BREAKER_UNIT & WEIR__BREAKER_TIMES))) /* (S) */
            return false;
    }
}

/* The caller has made a transition. */
static void weir__breaker_changed(weir_breaker *b, uint64_t was, uint64_t word)
{
    const int from = weir__breaker_state(was), to = weir__breaker_state(word);
    if (to == WEIR_BREAKER_OPEN || (to == WEIR_BREAKER_HALF_OPEN && b->config.half_open_time != 0))
        (void)weir__breaker_over(b, word);
    if (from != to && b->config.on_change != NULL)
        b->config.on_change(b, from, to, b->config.arg);
}

/* ---- admission ---- */

/* What `word` becomes when somebody asks; itself: there is nothing to change. *rc: the answer. */
static uint64_t weir__breaker_ask(weir_breaker *b, uint64_t word, int *rc)
{
    const uint32_t under_way = weir__breaker_under_way(word);
    *rc = 0;
    switch (weir__breaker_state(word)) {
    case WEIR_BREAKER_OPEN:
        if (weir__breaker_over(b, word))
            return weir__breaker_next(word, WEIR_BREAKER_HALF_OPEN, weir__breaker_reopened(word)) +
                   WEIR__BREAKER_UNDER_WAY;
        *rc = EAGAIN;
        return word;
    case WEIR_BREAKER_FORCED_OPEN: *rc = EAGAIN; return word;
    case WEIR_BREAKER_HALF_OPEN:
        if (b->config.half_open_time != 0 && weir__breaker_over(b, word)) {
            *rc = EAGAIN;
            return weir__breaker_again(word);
        }
        if (under_way < b->config.probes &&
            (b->config.closes != NULL || under_way + weir__breaker_successes(word) < b->config.successes))
            return word + WEIR__BREAKER_UNDER_WAY;
        *rc = EBUSY;
        return word;
    default: return word;
    }
}

WEIR_API int weir__breaker_allow_slow(weir_breaker *b, weir_breaker_permit *permit)
{
    uint64_t word, next;
    int rc;
    do {
        word = weir__load_acq(&b->word); /* (A) */
        next = weir__breaker_ask(b, word, &rc);
    } while (next != word && !weir__cas_acq(&b->word, &word, next)); /* (A) */
    permit->stamp = rc == 0 ? next | WEIR__BREAKER_COUNTS : 0;
    if (!weir__breaker_same(word, next))
        weir__breaker_changed(b, word, next);
    return rc;
}

/* ---- results ---- */

static void weir__breaker_tally_of(uint64_t word, const weir__rolling_sum *sum, weir_breaker_tally *tally)
{
    const int state = weir__breaker_state(word);
    memset(tally, 0, sizeof *tally);
    tally->calls = sum->calls;
    tally->failures = sum->failures;
    tally->reopened = weir__breaker_reopened(word);
    if (state == WEIR_BREAKER_CLOSED)
        tally->consecutive = (uint32_t)(word & WEIR__BREAKER_COUNTS);
    if (state == WEIR_BREAKER_HALF_OPEN) {
        tally->under_way = weir__breaker_under_way(word);
        tally->successes = weir__breaker_successes(word);
    }
}

/* Closed, and one more has failed: `word` counts it already. */
static bool weir__breaker_trips(weir_breaker *b, uint64_t word, const weir__rolling_sum *sum)
{
    const weir_breaker_config *c = &b->config;
    weir_breaker_tally tally;
    if (c->consecutive != 0 && (word & WEIR__BREAKER_COUNTS) >= c->consecutive)
        return true;
    if (c->failure_rate > 0 && sum->calls >= c->min_calls &&
        (double)sum->failures >= c->failure_rate * (double)sum->calls)
        return true;
    if (c->trips == NULL)
        return false;
    weir__breaker_tally_of(word, sum, &tally);
    return c->trips(&tally, c->arg);
}

/* What `word` becomes with a result of a call that was admitted while closed. */
static uint64_t weir__breaker_count(weir_breaker *b, uint64_t word, bool failed, const weir__rolling_sum *sum)
{
    if (!failed)
        return word & ~(uint64_t)WEIR__BREAKER_COUNTS;
    word += (word & WEIR__BREAKER_COUNTS) != WEIR__BREAKER_COUNTS;
    return weir__breaker_trips(b, word, sum) ? weir__breaker_next(word, WEIR_BREAKER_OPEN, 0) : word;
}

/* The same of a probe. */
static uint64_t weir__breaker_probed(weir_breaker *b, uint64_t word, int outcome)
{
    const weir__rolling_sum none = {0, 0};
    weir_breaker_tally tally;
    bool enough;
    if (outcome == WEIR_BREAKER_FAILURE)
        return weir__breaker_again(word);
    word -= WEIR__BREAKER_UNDER_WAY;
    if (outcome == WEIR_BREAKER_IGNORED)
        return word;
    word += weir__breaker_successes(word) != WEIR__BREAKER_COUNT;
    weir__breaker_tally_of(word, &none, &tally);
    enough =
        b->config.closes != NULL ? b->config.closes(&tally, b->config.arg) : tally.successes >= b->config.successes;
    return enough ? weir__breaker_next(word, WEIR_BREAKER_CLOSED, 0) : word;
}

WEIR_API int weir__breaker_done_slow(weir_breaker *b, weir_breaker_permit *permit, int outcome)
{
    const uint64_t stamp = permit->stamp;
    const bool closed = weir__breaker_state(stamp) == WEIR_BREAKER_CLOSED, failed = outcome == WEIR_BREAKER_FAILURE;
    weir__rolling_sum sum = {0, 0};
    uint64_t word, next;
    if (stamp == 0 || outcome < WEIR_BREAKER_SUCCESS || outcome > WEIR_BREAKER_IGNORED)
        return EINVAL;
    permit->stamp = 0;
    if (weir__breaker_state(stamp) == WEIR_BREAKER_DISABLED || (closed && outcome == WEIR_BREAKER_IGNORED))
        return 0;
    if (closed && b->window.words != NULL &&
        !weir__rolling_note(&b->window, &b->word, weir__breaker_generation(stamp), failed,
                            b->window.calls != 0 ? 0 : weir__clock_now(b->config.clock), failed ? &sum : NULL))
        return 0;
    word = weir__load_rlx(&b->word);
    do {
        if (!weir__breaker_same(word, stamp))
            return 0; /* of an earlier generation */
        if (!closed && weir__breaker_under_way(word) == 0)
            return EINVAL;
        next = closed ? weir__breaker_count(b, word, failed, &sum) : weir__breaker_probed(b, word, outcome);
    } while (next != word && !weir__cas_rel(&b->word, &word, next)); /* (D) pairs with (A) */
    if (!weir__breaker_same(word, next))
        weir__breaker_changed(b, word, next);
    return 0;
}

WEIR_API int weir__breaker_outcome(weir_breaker *b, weir_ctx *ctx, int rc)
{
    int outcome = WEIR_BREAKER_SUCCESS;
    if (rc != 0)
        outcome = ctx != NULL && weir_ctx_err(ctx) == ECANCELED ? WEIR_BREAKER_IGNORED : WEIR_BREAKER_FAILURE;
    if (b->config.classify != NULL)
        outcome = b->config.classify(rc, outcome, b->config.arg);
    /* Whatever it says, the permit ends. */
    return outcome == WEIR_BREAKER_SUCCESS || outcome == WEIR_BREAKER_IGNORED ? outcome : WEIR_BREAKER_FAILURE;
}

/* ---- the rest ---- */

WEIR_API int weir_breaker_init(weir_breaker *b, const weir_breaker_config *config)
{
    weir_breaker_config *c = &b->config;
    int rc;
    memset(b, 0, sizeof *b);
    if (config != NULL)
        *c = *config;
    if ((rc = weir__breaker_defaults(c)) != 0 || (c->window_calls == 0 && c->window_time == 0))
        return rc;
    return weir__rolling_init(&b->window, c->window_calls, c->buckets,
                              c->window_time / c->buckets + (c->window_time % c->buckets != 0));
}

WEIR_API void weir_breaker_free(weir_breaker *b)
{
    weir__rolling_free(&b->window);
}

static void weir__breaker_set(weir_breaker *b, int state)
{
    uint64_t word = weir__load_rlx(&b->word), next;
    do {
        if (state != WEIR_BREAKER_CLOSED && weir__breaker_state(word) == state)
            return;
        next = weir__breaker_next(word, state, 0);
    } while (!weir__cas_rel(&b->word, &word, next)); /* (D) */
    weir__breaker_changed(b, word, next);
}

WEIR_API int weir_breaker_force(weir_breaker *b, int state)
{
    if (state != WEIR_BREAKER_OPEN && state != WEIR_BREAKER_FORCED_OPEN && state != WEIR_BREAKER_DISABLED)
        return EINVAL;
    weir__breaker_set(b, state == WEIR_BREAKER_OPEN ? WEIR_BREAKER_FORCED_OPEN : state);
    return 0;
}

WEIR_API void weir_breaker_reset(weir_breaker *b)
{
    weir__breaker_set(b, WEIR_BREAKER_CLOSED);
}

WEIR_API int weir_breaker_state(weir_breaker *b)
{
    return weir__breaker_state(weir__load_acq(&b->word)); /* (A) */
}

WEIR_API void weir_breaker_counts(weir_breaker *b, weir_breaker_tally *tally)
{
    const uint64_t word = weir__load_rlx(&b->word);
    weir__rolling_sum sum = {0, 0};
    if (weir__breaker_state(word) == WEIR_BREAKER_CLOSED && b->window.words != NULL)
        sum = weir__rolling_read(&b->window, weir__breaker_generation(word),
                                 b->window.calls != 0 ? 0 : weir__clock_now(b->config.clock));
    weir__breaker_tally_of(word, &sum, tally);
}

#endif /* WEIR_GUARD_BREAKER_IMPLEMENTED */
