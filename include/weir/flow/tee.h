/* weir/flow/tee.h: every value to each of several outputs.
 *
 *     weir_tee_side sides[] = {{0}, {.drop = true}};
 *     weir_tee(p, in, outs, 2, sides, opt);            sides NULL: none drops
 *
 * The slowest output decides how fast values are taken: the next one is, when the last has gone to every output. Except to those that `drop`: where
 * one of these is full the value is not sent there, and counted. A value goes to whichever outputs have room first, so stages behind
 * two of them may wait for each other in any order.
 *
 * An output that its reader has closed gets no more, and the others go on; the stage ends when none is left.
 *
 * in: as other stages'; outs: n handles of one type, copied. One thread; opt->workers and .ordered mean nothing. sides are kept as a pointer and
 * outlive the pipeline. Returns as the calls of flow/stages.h; EINVAL for n = 0.
 */
#ifndef WEIR_FLOW_TEE_H
#define WEIR_FLOW_TEE_H

#include "../chan/select.h"
#include "stage.h"

typedef struct weir_tee_side {
    bool drop;
    weir__atomic_u64 dropped; /* weir_tee_dropped */
} weir_tee_side;

/* How many values were not sent there. Any thread, at any time; wait-free. */
static inline uint64_t weir_tee_dropped(weir_tee_side *side)
{
    return weir__load_rlx(&side->dropped);
}

#define weir_tee(p, in, outs, n, sides, opt)                                                                           \
    weir__flow_tee((p), WEIR__PORT(in), WEIR__PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in), (sides), (opt))

#define weir__flow_tee WEIR__RINGED(weir__flow_tee)
WEIR_API int weir__flow_tee(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                            weir_tee_side *sides, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_TEE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_TEE_IMPLEMENTED)
#define WEIR_FLOW_TEE_IMPLEMENTED

/* The first `waiting` cases are those that the value still has to go to. */
typedef struct weir__tee_plan {
    weir_tee_side *sides;
    size_t open, waiting;
    weir_case *cases; /* n */
    size_t *number;   /* n: of whom is the case */
    bool *closed;     /* n: by number */
} weir__tee_plan;

static void weir__tee_close(weir__tee_plan *plan, size_t i)
{
    plan->closed[i] = true;
    plan->open--;
}

/* Sends where there is room; the others are noted as waiting. */
static void weir__tee_try(weir__desk *desk, weir__flow *f, weir__tee_plan *plan, const void *value)
{
    plan->waiting = 0;
    for (size_t i = 0; i < f->out_count; i++) {
        int rc;
        if (plan->closed[i])
            continue;
        rc = weir__desk_try_send(desk, weir__port_at(f->out, f->outs, i), value);
        if (rc == EPIPE) {
            weir__tee_close(plan, i);
        } else if (rc != 0 && plan->sides != NULL && plan->sides[i].drop) {
            (void)weir__add_rlx(&plan->sides[i].dropped, 1);
        } else if (rc != 0) {
            plan->cases[plan->waiting] = weir__case(WEIR__CASE_SEND, f->outs[i].chan, value, NULL, NULL);
            plan->number[plan->waiting++] = i;
        }
    }
}

/* Sends to those that wait, whichever has room first. */
static int weir__tee_wait(weir__desk *desk, weir_ctx *ctx, weir__tee_plan *plan)
{
    while (plan->waiting > 0) {
        /* No more at a time than a select takes without memory of its own. */
        const size_t n = plan->waiting < WEIR__SELECT_INLINE ? plan->waiting : WEIR__SELECT_INLINE;
        int i;
        weir__desk_waits(desk, false);
        i = weir_select(ctx, plan->cases, n);
        weir__desk_goes_on(desk, false);
        if (i < 0) {
            weir__desk_abandoned(desk);
            return -i;
        }
        if (plan->cases[i].status == 0)
            weir__desk_gave(desk);
        else
            weir__tee_close(plan, plan->number[i]);
        plan->waiting--;
        plan->cases[i] = plan->cases[plan->waiting];
        plan->number[i] = plan->number[plan->waiting];
    }
    return 0;
}

static int weir__tee_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__tee_plan *plan = (weir__tee_plan *)f->plan;
    (void)to;
    (void)worker;
    while (plan->open > 0) {
        int rc = weir__desk_recv(desk, ctx, f->in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        weir__tee_try(desk, f, plan, from);
        rc = weir__tee_wait(desk, ctx, plan);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
    return EPIPE;
}

WEIR_API int weir__flow_tee(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                            weir_tee_side *sides, const weir_stage_opt *opt)
{
    const size_t each = sizeof(weir_case) + sizeof(size_t) + sizeof(bool);
    weir__tee_plan *plan;
    weir__flow *f;
    if (n == 0 || n > UINT32_MAX)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__tee_stage, in, 1, out, n, 1, sizeof *plan + n * each);
    if (f != NULL) {
        memcpy(f->outs, outs, n * sizeof *f->outs);
        plan = (weir__tee_plan *)f->plan;
        plan->sides = sides;
        plan->open = n;
        plan->cases = (weir_case *)(void *)(plan + 1);
        plan->number = (size_t *)(void *)(plan->cases + n);
        plan->closed = (bool *)(void *)(plan->number + n);
    }
    return weir__flow_start(p, f, opt, 1);
}

#endif /* WEIR_FLOW_TEE_IMPLEMENTED */
