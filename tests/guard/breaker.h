/* tests/guard/breaker.h: a breaker on a clock that is moved by hand, and what has happened to it. */
#ifndef WEIR_TEST_GUARD_BREAKER_H
#define WEIR_TEST_GUARD_BREAKER_H

#include "hand.h"

#define OPEN_TIME (WEIR_US(1024) * 1000) /* a whole number of the breaker's units of time */

struct bench {
    weir_breaker b;
    struct hand hand;
    int changes; /* atomic */
    char log[200];
};

/* "closed>open " for each change. */
static inline void bench_log(weir_breaker *b, int from, int to, void *arg)
{
    struct bench *t = (struct bench *)arg;
    const size_t n = strlen(t->log);
    (void)b;
    __atomic_add_fetch(&t->changes, 1, __ATOMIC_RELAXED);
    snprintf(t->log + n, sizeof t->log - n, "%s>%s ", weir_breaker_state_text(from), weir_breaker_state_text(to));
}

/* config: what differs from the defaults; its open time, clock and callback are filled in where they are not given. */
static inline void bench_begin(struct bench *t, weir_breaker_config config)
{
    memset(t, 0, sizeof *t);
    hand_init(&t->hand, WEIR_SEC(1000));
    config.clock = &t->hand.clock;
    if (config.open_time == 0)
        config.open_time = OPEN_TIME;
    if (config.on_change == NULL)
        config.on_change = bench_log;
    if (config.arg == NULL)
        config.arg = t;
    REQUIRE(weir_breaker_init(&t->b, &config) == 0);
}

/* One call that ends like this at once; returns what weir_breaker_allow has said. */
static inline int call(struct bench *t, int outcome)
{
    weir_breaker_permit permit;
    const int rc = weir_breaker_allow(&t->b, &permit);
    if (rc == 0)
        CHECK_INT(weir_breaker_done(&t->b, &permit, outcome), 0);
    else
        CHECK_INT(weir_breaker_done(&t->b, &permit, outcome), EINVAL); /* there is nothing to end */
    return rc;
}
static inline int succeed(struct bench *t)
{
    return call(t, WEIR_BREAKER_SUCCESS);
}
static inline int fail(struct bench *t)
{
    return call(t, WEIR_BREAKER_FAILURE);
}
static inline int ignore(struct bench *t)
{
    return call(t, WEIR_BREAKER_IGNORED);
}
static inline weir_breaker_tally tally(struct bench *t)
{
    weir_breaker_tally now;
    weir_breaker_counts(&t->b, &now);
    return now;
}
/* Fails until it opens; returns how many it took. */
static inline int trip(struct bench *t)
{
    int n = 0;
    while (weir_breaker_state(&t->b) == WEIR_BREAKER_CLOSED && n < 10000) {
        CHECK_INT(fail(t), 0);
        n++;
    }
    CHECK_INT(weir_breaker_state(&t->b), WEIR_BREAKER_OPEN);
    return n;
}

/* Open, and its time has come. */
static inline void bench_begin_due(struct bench *t, weir_breaker_config config)
{
    config.consecutive = 1;
    bench_begin(t, config);
    CHECK_INT(fail(t), 0);
    hand_move(&t->hand, OPEN_TIME);
}

#endif /* WEIR_TEST_GUARD_BREAKER_H */
