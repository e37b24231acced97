/* weir/guard/window.h: so many events in a window of time: windows that stand side by side, and a window that slides.
 *
 *     weir_fixed_window login;
 *     weir_fixed_window_init(&login, &(weir_window_config){.limit = 100, .window = WEIR_SEC(60)});
 *     if (weir_fixed_window_allow(&login, 1) == EAGAIN) …           not now
 *
 *     weir_sliding_window api;
 *     weir_sliding_window_init(&api, &(weir_window_config){.limit = 1000, .window = WEIR_SEC(1)});
 *     rc = weir_sliding_window_wait(ctx, &api, 20);                  when there is room, or not at all
 *
 * Which one
 *                        in any stretch as long as a window,    n events   memory        refuses though the last
 *                        at most                                 at once                  window had room
 *   fixed                2 × limit                               yes        1 word        no (it counts from the window's begin)
 *   sliding              2 × limit - 1                           yes        2 words       sometimes
 *   sliding, exact       limit                                   no         limit words   no
 *   None of the three ever lets more than `limit` events into one of the windows that stand side by side from init on.
 *
 *   sliding is the approximation by two counters: the events of the previous window are taken for evenly spread, so those of its share that still
 *   lies within the last window's length count. With e of the current window w gone, previous × (1 - e/w) + current + n <= limit admits. So the last
 *   window's length may hold up to limit + previous × e/w events, all of the previous ones having come at its very end; and one is refused too early
 *   if they came at its begin. It is exact where nothing came in the previous window, or where what came was spread evenly. The comparison is one of
 *   whole numbers, without rounding. Of 400 million requests from 270,000 sources 0.003 % were decided wrongly (Cloudflare, "How we built rate
 *   limiting capable of scaling to millions of domains", 2017, where the method is from).
 *
 * Meaning
 *   Windows begin when init is called, on the guard's clock. An event belongs to the moment at which its call read the clock. A reading from a window
 *   before one that another call has reached counts as the begin of that one (exact: as what it is, and it goes behind all that were entered): an
 *   older reading gains nobody anything. A refused request changes nothing.
 *   EAGAIN: not now. EINVAL: never; more than the limit, or less than 1.
 *   wait sleeps until the first moment at which there would be room if nobody else came, and tries again. Who waits longest is not served first: there
 *   is no line, and a large n can be kept from its turn by small ones. If that moment lies beyond the deadline it returns ETIMEDOUT at once. A wait
 *   that ends without success has taken nothing.
 *   Admission: a context that has ended gets nothing, whatever room there is.
 *
 * Who may call what at once: allow and wait: any threads. init and free: one, while nobody else uses the window.
 * Progress: allow is lock-free, without a system call, and so is wait until it sleeps. Nothing is allocated after init.
 *
 * The fixed window is one word
 *     63 … shift  number of the window      shift-1 … 0  events in it           shift: as many bits as the limit has
 *   No number wraps: a window is at least 4 ns long for each event of the limit (which no caller will miss), so that 2^63 ns have no more windows
 *   than there are bits for, here and below.
 *
 * The two counters are a word each: that of the windows with odd numbers, and that of those with even ones
 *     63 … shift+1  number of the window    shift  SEALED    shift-1 … 0  events in it
 *   One who comes in window i needs that of window i - 1 unchanged while it decides. So before the first event of window i
 *       (A) the word of i - 2 becomes that of i, with 0 events;      (B) the word of i - 1 is sealed, or becomes (i - 1, sealed, 0).
 *   Who adds to a word does so by a compare-and-swap of the value that it has decided on, so nobody adds to what has been sealed or replaced.
 *   While the word of i stands unsealed, unchanged from a decision to its swap, the sealed word of i - 1 is what it was, for only that of i + 1
 *   replaces it. Hence all events are in one order, and each decision is one on the true counts. All that is decided on is in the two words, and
 *   nothing beside them is published: relaxed operations do.
 *
 * The exact one is a log: the k-th event takes the place of event k - limit, if that one is a window old
 *     head: 63 … 20  lap   19 … 0  slot; slot: 63 … 1  when its event has left the window   0  parity of the lap
 *   An event is entered by a compare-and-swap of its slot, and is counted when head has gone on, which anybody may do: whoever finds the slot at head
 *   with the parity of head's lap finds it entered, helps head on, and looks at the next. So nobody waits for a thread that has stopped in between.
 *   Why no stretch of time as long as a window, its ends excluded, holds more than `limit` events: of limit + 1 events that are neighbors in the log
 *   the first and the last have the same slot, and the last was entered only a window or more after the first. But readings of different threads may be
 *   entered in another order than their times have. Take then any limit + 1 events: there are `limit` slots, so two of them have the same; in one slot
 *   each event is a window or more later than the one before; so these two are a window or more apart. The order does not matter.
 *   The same is true of times if each event is given the latest reading of all those entered up to it: t(k) >= t(k - limit) + window for all k implies
 *   max t(j), j <= k, >= max t(j), j <= k - limit, + window. That is why an older reading is of no use to anybody.
 *   Why a swap never hits a slot that has gone round: a slot's times grow from event to event, so no value ever comes again (one that would lie beyond
 *   the end of the clock stays there). And parity is enough: head is read once more after the slot, and is what it was, so the slot has not been
 *   entered for the lap after. (C), (D) below. Head itself comes again after 2^44 laps of a window each.
 */
#ifndef WEIR_GUARD_WINDOW_H
#define WEIR_GUARD_WINDOW_H

#include "../core/memory.h"
#include "clock.h"

#define WEIR_WINDOW_MAX INT32_MAX
#define WEIR_WINDOW_EXACT_MAX (1 << 20)

typedef struct weir_window_config {
    int64_t limit;  /* events in a window: 1 … WEIR_WINDOW_MAX, exact: WEIR_WINDOW_EXACT_MAX. There is no default */
    weir_ns window; /* its length, at least 4 ns for each event; 0: a second */
    weir_clock *clock; /* NULL: the monotonic one */
    bool exact;        /* sliding: the log; 8 bytes an event, one event a call */
} weir_window_config;

typedef struct weir_fixed_window {
    weir__atomic_u64 word;
    weir_ns start, window;
    int64_t limit;
    weir_clock *clock;
    unsigned shift;
} weir_fixed_window;

typedef struct weir_sliding_window {
    weir__atomic_u64 word[2]; /* the counters; exact: the first is head */
    weir__atomic_u64 *slot;   /* NULL: not exact */
    weir_ns start, window;
    int64_t limit;
    weir_clock *clock;
    unsigned shift;
} weir_sliding_window;

/* 0. EINVAL: limit or window are not in their range. One thread. */
WEIR_API int weir_fixed_window_init(weir_fixed_window *w, const weir_window_config *config);
/* 0: n events are admitted now. EAGAIN: the window has no room for them. EINVAL: n is not 1 … limit. Any thread; lock-free. */
WEIR_API int weir_fixed_window_allow(weir_fixed_window *w, int64_t n);
/* Waits until n events are admitted. 0; ECANCELED, ETIMEDOUT: nothing was taken; ETIMEDOUT also at once, if there will be no room before `deadline`
 * (on weir's own clock), or before that of ctx; EINVAL. Any thread; sleeps. */
WEIR_API int weir_fixed_window_wait_until(weir_ctx *ctx, weir_fixed_window *w, int64_t n, weir_ns deadline);
static inline int weir_fixed_window_wait(weir_ctx *ctx, weir_fixed_window *w, int64_t n)
{
    return weir_fixed_window_wait_until(ctx, w, n, WEIR_FOREVER);
}

/* 0. EINVAL: limit or window are not in their range; ENOMEM: exact, and there is no memory for the log. One thread. */
WEIR_API int weir_sliding_window_init(weir_sliding_window *w, const weir_window_config *config);
/* Frees the log, if there is one. */
WEIR_API void weir_sliding_window_free(weir_sliding_window *w);
/* As those of the fixed window. EINVAL also: exact, and n is not 1. */
WEIR_API int weir_sliding_window_allow(weir_sliding_window *w, int64_t n);
WEIR_API int weir_sliding_window_wait_until(weir_ctx *ctx, weir_sliding_window *w, int64_t n, weir_ns deadline);
static inline int weir_sliding_window_wait(weir_ctx *ctx, weir_sliding_window *w, int64_t n)
{
    return weir_sliding_window_wait_until(ctx, w, n, WEIR_FOREVER);
}

#endif /* WEIR_GUARD_WINDOW_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_WINDOW_IMPLEMENTED)
#define WEIR_GUARD_WINDOW_IMPLEMENTED

/* ---- what both have in common ---- */

static int weir__window_config(const weir_window_config *config, int64_t most, weir_ns *window, unsigned *shift)
{
    *window = config->window == 0 ? WEIR_SEC(1) : config->window;
    if (config->limit < 1 || config->limit > most || *window / 4 < config->limit)
        return EINVAL;
    for (*shift = 1; config->limit >> *shift != 0;)
        ++*shift;
    return 0;
}

/* How much of the clock has gone since `start`; a reading from before it is taken for it. */
static inline uint64_t weir__window_elapsed(weir_ns start, weir_ns now)
{
    return now > start ? (uint64_t)now - (uint64_t)start : 0;
}

/* One attempt at time `now`; EAGAIN: *next is the earliest moment at which one can succeed. */
typedef int (*weir__window_take)(void *w, int64_t n, weir_ns now, weir_ns *next);

/* A refusal is told only if the window had no room at a moment within the call: whoever was held up after reading the clock reads it again. */
static int weir__window_try(weir__window_take take, void *w, int64_t n, weir_clock *clock, weir_ns *now, weir_ns *next)
{
    int rc;
    *now = weir__clock_now(clock);
    while ((rc = take(w, n, *now, next)) == EAGAIN && *next <= (*now = weir__clock_now(clock))) {}
    return rc;
}

static int weir__window_wait(weir_ctx *ctx, weir__window_take take, void *w, int64_t n, weir_clock *clock,
                             weir_ns deadline)
{
    for (;;) {
        int rc = ctx == NULL ? 0 : weir_ctx_err(ctx);
        weir_ns now, next, left;
        if (rc != 0)
            return rc;
        rc = weir__window_try(take, w, n, clock, &now, &next);
        if (rc != EAGAIN)
            return rc;
        left = weir__clock_left(ctx, deadline);
        if (left != WEIR_FOREVER && next - now > left)
            return ETIMEDOUT;
        rc = weir__clock_sleep(clock, ctx, next);
        if (rc != 0)
            return rc;
    }
}

/* ---- fixed ---- */

WEIR_API int weir_fixed_window_init(weir_fixed_window *w, const weir_window_config *config)
{
    memset(w, 0, sizeof *w);
    w->limit = config->limit;
    w->clock = config->clock;
    w->start = weir__clock_now(config->clock);
    return weir__window_config(config, WEIR_WINDOW_MAX, &w->window, &w->shift);
}

static int weir__fixed_window_take(void *window, int64_t n, weir_ns now, weir_ns *next)
{
    weir_fixed_window *w = (weir_fixed_window *)window;
    const uint64_t at = weir__window_elapsed(w->start, now) / (uint64_t)w->window;
    uint64_t seen = weir__load_rlx(&w->word);
    if (n < 1 || n > w->limit)
        return EINVAL;
    for (;;) {
        uint64_t number = seen >> w->shift, count = seen & ((UINT64_C(1) << w->shift) - 1);
        if (number < at) {
            number = at;
            count = 0;
        }
        if (count + (uint64_t)n > (uint64_t)w->limit) {
            *next = weir_time_add(w->start + (weir_ns)(number * (uint64_t)w->window), w->window);
            return EAGAIN;
        }
        if (weir__cas_rlx(&w->word, &seen, number << w->shift | (count + (uint64_t)n)))
            return 0;
    }
}

WEIR_API int weir_fixed_window_allow(weir_fixed_window *w, int64_t n)
{
    weir_ns now, next;
    return weir__window_try(weir__fixed_window_take, w, n, w->clock, &now, &next);
}

WEIR_API int weir_fixed_window_wait_until(weir_ctx *ctx, weir_fixed_window *w, int64_t n, weir_ns deadline)
{
    return weir__window_wait(ctx, weir__fixed_window_take, w, n, w->clock, deadline);
}

/* ---- sliding: two counters ---- */

/* x * a / b, for a < b < 2^31 and x < 2^63; rounded down. */
static uint64_t weir__window_share(uint64_t x, uint64_t a, uint64_t b)
{
    const uint64_t high = (x >> 32) * a;
    return (high / b << 32) + (((high % b) << 32) + (x & UINT32_MAX) * a) / b;
}

/* How far into a window n events have room, after `previous` in the one before and `current` in this; more than its length: not in this one. */
static uint64_t weir__sliding_from(const weir_sliding_window *w, uint64_t previous, uint64_t current, uint64_t n)
{
    const uint64_t length = (uint64_t)w->window;
    if (current + n > (uint64_t)w->limit)
        return UINT64_MAX;
    current = (uint64_t)w->limit - current - n; /* the room that `previous` may fill */
    return previous <= current ? 0 : length - weir__window_share(length, current, previous);
}

static inline uint64_t weir__sliding_number(const weir_sliding_window *w, uint64_t word)
{
    return word >> (w->shift + 1);
}
static inline bool weir__sliding_sealed(const weir_sliding_window *w, uint64_t word)
{
    return (word >> w->shift & 1) != 0;
}
static inline uint64_t weir__sliding_count(const weir_sliding_window *w, uint64_t word)
{
    return word & ((UINT64_C(1) << w->shift) - 1);
}
static inline uint64_t weir__sliding_word(const weir_sliding_window *w, uint64_t number, bool sealed, uint64_t count)
{
    return (number << 1 | (sealed ? 1 : 0)) << w->shift | count;
}

/* Whether the words are those of windows at - 1, sealed, and at; else does what is lacking, as far as nobody else has. */
static bool weir__sliding_enter(weir_sliding_window *w, uint64_t at, uint64_t before, uint64_t here)
{
    if (weir__sliding_number(w, here) < at) {
        (void)weir__cas_rlx(&w->word[at & 1], &here, weir__sliding_word(w, at, false, 0)); /* (A) */
        return false;
    }
    if (weir__sliding_number(w, before) < at - 1 || !weir__sliding_sealed(w, before)) {
        const uint64_t count = weir__sliding_number(w, before) < at - 1 ? 0 : weir__sliding_count(w, before);
        (void)weir__cas_rlx(&w->word[(at - 1) & 1], &before, weir__sliding_word(w, at - 1, true, count)); /* (B) */
        return false;
    }
    return true;
}

/* Windows are numbered from 1 here, so that words of zeros are those of an empty past. */
static int weir__sliding_counters_take(weir_sliding_window *w, uint64_t n, weir_ns now, weir_ns *next)
{
    const uint64_t length = (uint64_t)w->window, elapsed = weir__window_elapsed(w->start, now);
    uint64_t at = elapsed / length + 1, in = elapsed % length;
    for (;;) {
        const uint64_t before = weir__load_rlx(&w->word[(at - 1) & 1]);
        uint64_t here = weir__load_rlx(&w->word[at & 1]), from, previous, current;
        /* What others have reached: a sealed word is followed by one that may not be there yet. */
        const uint64_t newest = weir__sliding_number(w, before) + (weir__sliding_sealed(w, before) ? 1 : 0);
        const uint64_t newer = weir__sliding_number(w, here) + (weir__sliding_sealed(w, here) ? 1 : 0);
        if (newest > at || newer > at) {
            at = newest > newer ? newest : newer;
            in = 0;
            continue;
        }
        previous = weir__sliding_number(w, before) == at - 1 ? weir__sliding_count(w, before) : 0;
        current = weir__sliding_number(w, here) == at ? weir__sliding_count(w, here) : 0;
        from = weir__sliding_from(w, previous, current, n);
        if (from > in) {
            *next = w->start + (weir_ns)((at - 1) * length);
            if (from > length) {
                *next = weir_time_add(*next, w->window);
                from = weir__sliding_from(w, current, 0, n);
            }
            *next = weir_time_add(*next, (weir_ns)from);
            return EAGAIN;
        }
        if (weir__sliding_enter(w, at, before, here) && weir__cas_rlx(&w->word[at & 1], &here, here + n))
            return 0;
    }
}

/* ---- sliding: the log ---- */

enum { WEIR__LOG_SLOT_BITS = 20 };

static uint64_t weir__log_next(const weir_sliding_window *w, uint64_t head)
{
    const uint64_t slots = UINT64_C(1) << WEIR__LOG_SLOT_BITS;
    return (head & (slots - 1)) + 1 < (uint64_t)w->limit ? head + 1 : (head & ~(slots - 1)) + slots;
}

static int weir__sliding_log_take(weir_sliding_window *w, weir_ns now, weir_ns *next)
{
    for (;;) {
        uint64_t head = weir__load_acq(&w->word[0]); /* (C) pairs with (E): all slots before head have been entered */
        weir__atomic_u64 *slot = &w->slot[head & ((UINT64_C(1) << WEIR__LOG_SLOT_BITS) - 1)];
        uint64_t seen =
            weir__load_acq(slot); /* (D) pairs with (F): who entered this had seen head here, one lap on perhaps */
        const uint64_t parity = head >> WEIR__LOG_SLOT_BITS & 1;
        if ((seen & 1) != parity) {
            if (weir__load_rlx(&w->word[0]) != head)
                continue; /* head has gone on: by (D) it is known here if the slot is a lap ahead */
            if (seen >> 1 > (uint64_t)now) {
                *next = (weir_ns)(seen >> 1);
                return EAGAIN;
            }
            /* (F) release. A failure: somebody else has entered his event here. */
            if (!weir__cas_rel(slot, &seen, (uint64_t)weir_time_add(now, w->window) << 1 | parity))
                continue;
            (void)weir__cas_rel(&w->word[0], &head, weir__log_next(w, head)); /* (E) or another has helped */
            return 0;
        }
        (void)weir__cas_rel(&w->word[0], &head, weir__log_next(w, head)); /* (E) */
    }
}

/* ---- sliding: either ---- */

WEIR_API int weir_sliding_window_init(weir_sliding_window *w, const weir_window_config *config)
{
    const int rc =
        weir__window_config(config, config->exact ? WEIR_WINDOW_EXACT_MAX : WEIR_WINDOW_MAX, &w->window, &w->shift);
    if (rc != 0)
        return rc;
    w->word[0] = w->word[1] = 0;
    w->slot = NULL;
    w->limit = config->limit;
    w->clock = config->clock;
    w->start = weir__clock_now(config->clock);
    if (!config->exact)
        return 0;
    w->slot = (weir__atomic_u64 *)WEIR_ALLOC(WEIR_CACHE_PAD, (size_t)w->limit * sizeof *w->slot);
    if (w->slot == NULL)
        return ENOMEM;
    for (int64_t i = 0; i < w->limit; i++)
        w->slot[i] = 1; /* free since 0, and of the lap before the first */
    return 0;
}

WEIR_API void weir_sliding_window_free(weir_sliding_window *w)
{
    if (w->slot != NULL)
        WEIR_FREE(w->slot);
    w->slot = NULL;
}

static int weir__sliding_window_take(void *window, int64_t n, weir_ns now, weir_ns *next)
{
    weir_sliding_window *w = (weir_sliding_window *)window;
    if (n < 1 || n > (w->slot == NULL ? w->limit : 1))
        return EINVAL;
    return w->slot == NULL ? weir__sliding_counters_take(w, (uint64_t)n, now, next)
                           : weir__sliding_log_take(w, now, next);
}

WEIR_API int weir_sliding_window_allow(weir_sliding_window *w, int64_t n)
{
    weir_ns now, next;
    return weir__window_try(weir__sliding_window_take, w, n, w->clock, &now, &next);
}

WEIR_API int weir_sliding_window_wait_until(weir_ctx *ctx, weir_sliding_window *w, int64_t n, weir_ns deadline)
{
    return weir__window_wait(ctx, weir__sliding_window_take, w, n, w->clock, deadline);
}

#endif /* WEIR_GUARD_WINDOW_IMPLEMENTED */
