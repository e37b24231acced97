/* weir/guard/circuit.h: what a circuit breaker is told, and what it tells.
 *
 * Every number that is left out is the one that its comment names; weir_breaker_init writes it in. The functions are called without any lock, in the
 * thread whose call they are about, and may call anything; `trips` and `closes` may be asked again about one result, with newer numbers, and should
 * do no more than answer.
 */
#ifndef WEIR_GUARD_CIRCUIT_H
#define WEIR_GUARD_CIRCUIT_H

#include "../core/error.h"
#include "clock.h"
#include "rolling.h"

typedef struct weir_breaker weir_breaker;

/* States. */
enum {
    WEIR_BREAKER_CLOSED,
    WEIR_BREAKER_HALF_OPEN,
    WEIR_BREAKER_OPEN,
    WEIR_BREAKER_FORCED_OPEN,
    WEIR_BREAKER_DISABLED
};
/* How a call has ended. */
enum {
    WEIR_BREAKER_SUCCESS,
    WEIR_BREAKER_FAILURE,
    WEIR_BREAKER_IGNORED /* neither: as if it had not been made */
};

/* What a breaker has counted in its present generation. */
typedef struct weir_breaker_tally {
    uint32_t consecutive;     /* closed: failures in a row */
    uint64_t calls, failures; /* closed: in the window; 0 without one */
    uint32_t under_way;       /* half-open: permits that have not ended */
    uint32_t successes;       /* half-open */
    uint32_t reopened;        /* open, half-open: how often, without a close between */
} weir_breaker_tally;

/* Zero means the default, for each. */
typedef struct weir_breaker_config {
    /* When it opens. */
    uint32_t consecutive;  /* failures in a row, up to 16,777,215; 5, or no such rule if there is a window or `trips` */
    uint32_t window_calls; /* looks at the last so many calls, up to 1023; 0: does not */
    weir_ns window_time;   /* looks at the calls that ended in the last so many nanoseconds; 0: does not */
    uint32_t buckets;      /* of window_time, which rolls in steps of one; up to 1024; 10 */
    double failure_rate;   /* of the window, above 0 and up to 1; 0.5, or no such rule if there is `trips` */
    uint32_t min_calls;    /* in the window, before the rate counts; as many as window_calls, 20 for window_time */
    bool (*trips)(const weir_breaker_tally *tally, void *arg); /* after a failure, in its thread; perhaps repeatedly */
    /* How long it stays open. */
    weir_ns open_time;     /* 60 s */
    double growth;         /* after each reopening so many times as long; 1, and not below */
    weir_ns max_open_time; /* of all, jitter included; 0: years */
    double jitter;         /* longer or shorter by up to this share, at random; 0 … 1; 0 */
    /* Half-open. */
    uint32_t probes;                                            /* calls under way at once, up to 4095; 1 */
    uint32_t successes;                                         /* to close, up to 4095; as many as probes */
    bool (*closes)(const weir_breaker_tally *tally, void *arg); /* after a success, instead of `successes` */
    weir_ns half_open_time;                                     /* after which it opens again; 0: never */
    /* What a result of weir_breaker_call means: rc is fn's, `outcome` what it would be taken for. */
    int (*classify)(int rc, int outcome, void *arg);
    /* After each change of state, once, in the thread that has made it. May call anything. */
    void (*on_change)(weir_breaker *b, int from, int to, void *arg);
    void *arg; /* passed to all of these */
    weir_clock *clock;
} weir_breaker_config;

#define WEIR__BREAKER_LONGEST (INT64_C(1) << 56) /* two years; longer times count as this */
enum { WEIR__BREAKER_COUNTS = 0xffffff, WEIR__BREAKER_COUNT = 0xfff };

/* "closed", "half-open", "open", "forced open", "disabled". */
WEIR_API const char *weir_breaker_state_text(int state);

/* Fills in the defaults. 0; EINVAL: a number out of its range, or both windows. */
WEIR_API int weir__breaker_defaults(weir_breaker_config *c);

#endif /* WEIR_GUARD_CIRCUIT_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_GUARD_CIRCUIT_IMPLEMENTED)
#define WEIR_GUARD_CIRCUIT_IMPLEMENTED

WEIR_API const char *weir_breaker_state_text(int state)
{
    switch (state) {
    case WEIR_BREAKER_CLOSED: return "closed";
    case WEIR_BREAKER_HALF_OPEN: return "half-open";
    case WEIR_BREAKER_OPEN: return "open";
    case WEIR_BREAKER_FORCED_OPEN: return "forced open";
    case WEIR_BREAKER_DISABLED: return "disabled";
    default: return "unknown";
    }
}

/* A time that the words can hold; 0: the default. */
static weir_ns weir__breaker_time(weir_ns given, weir_ns standard)
{
    return given == 0 ? standard : given < WEIR__BREAKER_LONGEST ? given : WEIR__BREAKER_LONGEST;
}

/* Defaults are filled in. Written so that what is not a number does not pass either. */
static bool weir__breaker_in_range(const weir_breaker_config *c)
{
    if (c->window_calls != 0 && (c->window_time != 0 || c->min_calls > c->window_calls))
        return false;
    if (c->window_calls == 0 && c->window_time == 0 && c->failure_rate != 0)
        return false; /* of what? */
    return c->consecutive <= WEIR__BREAKER_COUNTS && c->window_calls <= WEIR__ROLLING_CALLS_MAX &&
           c->window_time >= 0 && c->buckets <= WEIR__ROLLING_BUCKETS_MAX && c->failure_rate >= 0 &&
           c->failure_rate <= 1 && c->open_time > 0 && c->max_open_time >= c->open_time && c->growth >= 1 &&
           c->jitter >= 0 && c->jitter <= 1 && c->probes <= WEIR__BREAKER_COUNT &&
           c->successes <= WEIR__BREAKER_COUNT && c->half_open_time >= 0;
}

WEIR_API int weir__breaker_defaults(weir_breaker_config *c)
{
    const bool window = c->window_calls != 0 || c->window_time != 0;
    if (c->consecutive == 0 && !window && c->trips == NULL)
        c->consecutive = 5;
    if (c->failure_rate == 0 && window && c->trips == NULL)
        c->failure_rate = 0.5;
    if (c->min_calls == 0)
        c->min_calls = c->window_calls != 0 ? c->window_calls : 20;
    if (c->buckets == 0)
        c->buckets = 10;
    if (c->growth == 0)
        c->growth = 1;
    if (c->probes == 0)
        c->probes = 1;
    if (c->successes == 0)
        c->successes = c->probes;
    c->max_open_time = weir__breaker_time(c->max_open_time, WEIR__BREAKER_LONGEST);
    c->open_time = weir__breaker_time(c->open_time, c->max_open_time < WEIR_SEC(60) ? c->max_open_time : WEIR_SEC(60));
    c->half_open_time = weir__breaker_time(c->half_open_time, 0);
    return weir__breaker_in_range(c) ? 0 : EINVAL;
}

#endif /* WEIR_GUARD_CIRCUIT_IMPLEMENTED */
