/* weir/flow/option.h: what a stage of a pipeline can be told: threads, order, and what happens to an item that fails.
 *
 * Guards and errors
 *   `guards` stand around each call of the stage function (guard/policy.h): retry, breaker, limiter, timeout; the first is the outermost. What the
 *   outermost returns at last decides: 0, and the item goes on; else it has failed for good, whether the function failed or a guard
 *   refused to call it, and on_error says what becomes of it:
 *       WEIR_ON_ERROR_FAIL          the error ends the pipeline
 *       WEIR_ON_ERROR_SKIP          the item is counted and forgotten
 *       WEIR_ON_ERROR_DEAD_LETTER   it is sent to `dead` (flow/dead_letter.h)
 *   What a function has written to its output before it failed is not sent. EPIPE from a function is no failure, and no guard sees it: it ends the
 *   stage. If the pipeline's own context has ended when a function fails, then the item has not failed: it is abandoned, and no letter is sent.
 *   A generator that fails is called again, under the two latter; it has to move on by itself.
 *   Guards may not hedge (EINVAL): two calls for one item would write to one place. A layer of the program's own calls what is inside one at a time;
 *   one that returns 0 although the last call failed, or without a call, makes an item fail with ENODATA: there is nothing to send.
 */
#ifndef WEIR_FLOW_OPTION_H
#define WEIR_FLOW_OPTION_H

#include "../guard/policy.h"
#include "../park/backoff.h"
#include "dead_letter.h"

#define WEIR__STAGE_NAME "stage"

enum { WEIR_ON_ERROR_FAIL, WEIR_ON_ERROR_SKIP, WEIR_ON_ERROR_DEAD_LETTER };

/* Zero means the default, for each. */
typedef struct weir_stage_opt {
    const char *name; /* of its threads, for people; kept as a pointer. "stage" */
    unsigned workers; /* threads that run the task at once; 1 */
    bool ordered;     /* keep the order of the input, whatever the number of workers */
    const int *cpus;  /* worker i is pinned to cpus[i % cpu_count]; copied. Not pinned */
    size_t cpu_count;
    size_t queue; /* values that a queue inside of the stage takes: an ordered stage has two for each worker; 64 */
    weir_wait_strategy wait; /* how the stage waits at them; as at the channel beside them */
    /* The following are for stages with a function of the program's own, those of flow/stages.h. */
    int on_error;                    /* WEIR_ON_ERROR_FAIL */
    weir_dead_letters dead;          /* for WEIR_ON_ERROR_DEAD_LETTER: WEIR_DEAD_LETTERS(ch, dead) */
    const weir_policy_layer *guards; /* around each call; kept as a pointer until weir_pipeline_wait has returned */
    int guard_count;
    /* The correlation id of an item: weir_correlation(ctx) in the stage function, of what runs below it, and in a trace. The pipeline's own */
    uint64_t (*correlate)(const void *item);
} weir_stage_opt;

#endif /* WEIR_FLOW_OPTION_H */
