/* tests/run/shutdown.h: a shutdown and steps for it: one that notes when it ran, one that hangs, one that minds its context. */
#ifndef WEIR_TEST_RUN_SHUTDOWN_H
#define WEIR_TEST_RUN_SHUTDOWN_H

#include "harness.h"

#include <signal.h>

static weir_shutdown stop;
static const weir_shutdown_config silent = {.no_signals = true};
static const weir_shutdown_config every_signal = {.settle = 1}; /* however soon after the first */
static int order, go_on;                                        /* atomic */

static inline int get(int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}
static inline void set(int *flag, int value)
{
    __atomic_store_n(flag, value, __ATOMIC_RELEASE);
}

/* A shell may have told this program to ignore what it is about to send itself. */
__attribute__((constructor)) static void default_actions(void)
{
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
}

/* Steps. */

struct mark {
    int at, rc; /* at: when it ran, from 1; 0: never. Atomic */
};
static inline int marks(weir_ctx *ctx, void *arg)
{
    struct mark *m = (struct mark *)arg;
    (void)ctx;
    set(&m->at, __atomic_add_fetch(&order, 1, __ATOMIC_ACQ_REL));
    return m->rc;
}

/* Never minds its context. */
static inline int hangs(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    if (arg != NULL)
        set((int *)arg, 1);
    while (!get(&go_on))
        sched_yield();
    return 0;
}

static inline int until_its_end(weir_ctx *ctx, void *arg)
{
    if (arg != NULL)
        set((int *)arg, 1);
    while (weir_ctx_err(ctx) == 0)
        (void)weir_sleep_until(ctx, WEIR_FOREVER);
    return weir_ctx_err(ctx);
}

static inline weir_shutdown_line line(size_t i)
{
    static weir_shutdown_line lines[WEIR_SHUTDOWN_STEPS];
    CHECK(i < weir_shutdown_report(&stop, lines, WEIR_SHUTDOWN_STEPS));
    return lines[i];
}

static inline void start_with(const weir_shutdown_config *config)
{
    order = go_on = 0;
    REQUIRE(weir_shutdown_init(&stop, config) == 0);
}

static inline void step(int phase, const char *name, weir_ns timeout, weir_task_fn *fn, void *arg)
{
    CHECK_INT(weir_shutdown_on_phase(&stop, phase, name, timeout, fn, arg), 0);
}

#endif /* WEIR_TEST_RUN_SHUTDOWN_H */
