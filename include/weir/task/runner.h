/* weir/task/runner.h: where tasks run: what a pool, or an executor of the program's own, offers to groups and futures. */
#ifndef WEIR_TASK_RUNNER_H
#define WEIR_TASK_RUNNER_H

#include "../ctx/ctx.h"

/* run: has fn(arg) called once, by another thread, soon; may wait for room as long as ctx lives. 0: it will be called; else an error code, and it
 * will not. Called by any number of threads at once. */
typedef struct weir_runner {
    int (*run)(struct weir_runner *runner, weir_ctx *ctx, void (*fn)(void *arg), void *arg);
} weir_runner;

#endif /* WEIR_TASK_RUNNER_H */
