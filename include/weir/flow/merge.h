/* weir/flow/merge.h: any number of inputs into one output, in one thread.
 *
 *     weir_merge(p, ins, n, out, opt)                      as they come, each as often
 *     weir_merge_sorted(p, ins, n, out, before, arg, opt)      inputs that rise into an output that rises
 *
 * weir_merge takes one value from each input that has one, in turn, and sleeps on all of them when none has. So no input starves: when the output is
 * the bottleneck, inputs that always have something get equal shares, to within one value; an input whose value has come waits for one
 * value of each other at most. An input that has ended is left out.
 *
 * weir_merge_sorted waits until it knows the next value of every input that has not ended, and sends the first of them: bool before(arg, a, b) says
 * that a comes before b. Of equal ones that of the input listed first goes first. It holds one value of each input, and the output rises if each of
 * them does; an input that is silent holds up all.
 *
 * Beside weir_fan_in (flow/stages.h): that one has a thread for each input, so the inputs move at once and the output's queue decides whose turn it
 * is; and with .ordered it takes apart what weir_fan_out has dealt.
 *
 * ins: n handles of one type, copied; opt->workers, .ordered mean nothing. Nothing is allocated once it runs. Returns as the calls of flow/stages.h;
 * EINVAL for n = 0 and n > 2^20.
 */
#ifndef WEIR_FLOW_MERGE_H
#define WEIR_FLOW_MERGE_H

#include "../chan/select.h"
#include "stage.h"

typedef bool weir_before_fn(void *arg, const void *a, const void *b);

#define weir_merge(p, ins, n, out, opt)                                                                                \
    weir__flow_merge((p), WEIR__PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__PORT(out), (opt))
#define weir_merge_sorted(p, ins, n, out, before, arg, opt)                                                            \
    weir__flow_merge_sorted((p), WEIR__PORT((ins)[0]), (ins), (n) + WEIR__SAME((ins)[0], out), WEIR__PORT(out),        \
                            (before), (arg), (opt))

#define weir__flow_merge WEIR__RINGED(weir__flow_merge)
#define weir__flow_merge_sorted WEIR__RINGED(weir__flow_merge_sorted)
WEIR_API int weir__flow_merge(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                              const weir_stage_opt *opt);
WEIR_API int weir__flow_merge_sorted(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                                     weir_before_fn *before, void *arg, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_MERGE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_MERGE_IMPLEMENTED)
#define WEIR_FLOW_MERGE_IMPLEMENTED

#define WEIR__MERGE_MOST ((size_t)1 << 20)

/* ---- as they come ----------------------------------------------------------------------------------------------------------- */

/* Behind it n cases and what a select wants. cases[0 .. alive) are the inputs that have not ended. */
typedef struct weir__merge_plan {
    size_t alive;
    weir_case *cases;
    void *memory; /* for weir__select_in */
} weir__merge_plan;

/* Input i has ended. The others keep their turns. */
static void weir__merge_drop(weir__merge_plan *plan, size_t i)
{
    plan->alive--;
    memmove(&plan->cases[i], &plan->cases[i + 1], (plan->alive - i) * sizeof *plan->cases);
}

/* Takes a value of the first input from *turn on that has one, or of whichever is the first to have one: 0, with *turn of the next input. EPIPE: all
 * have ended. */
static int weir__merge_take(weir__desk *desk, weir_ctx *ctx, weir__port in, weir__merge_plan *plan, size_t *turn,
                            void *value)
{
    size_t seen = 0; /* inputs in a row that have none */
    while (plan->alive > 0) {
        size_t i = *turn < plan->alive ? *turn : 0;
        int rc;
        if (seen < plan->alive) {
            in.chan = plan->cases[i].chan;
            rc = weir__desk_try_recv(desk, in, value);
        } else {
            int done;
            weir__desk_waits(desk, true);
            done = weir__select_in(ctx, plan->cases, plan->alive, plan->memory);
            weir__desk_goes_on(desk, true);
            if (done < 0)
                return -done;
            i = (size_t)done;
            rc = plan->cases[i].status;
            if (rc == 0)
                weir__desk_took(desk);
        }
        *turn = i + 1;
        if (rc == 0)
            return 0;
        seen++;
        if (rc == EAGAIN)
            continue;
        if (rc != EPIPE)
            return rc;
        weir__merge_drop(plan, i);
        *turn = i;
        seen = 0;
    }
    return EPIPE;
}

static int weir__merge_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__merge_plan *plan = (weir__merge_plan *)f->plan;
    size_t turn = 0;
    (void)worker;
    (void)to;
    for (size_t i = 0; i < f->in_count; i++)
        plan->cases[i] = weir__case(WEIR__CASE_RECV, f->ins[i], NULL, from, NULL);
    for (;;) {
        int rc = weir__ctx_ended(ctx);
        if (rc == 0)
            rc = weir__merge_take(desk, ctx, f->in, plan, &turn, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_send(desk, ctx, f->out, from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

WEIR_API int weir__flow_merge(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                              const weir_stage_opt *opt)
{
    const size_t cases = (sizeof(weir__merge_plan) + 15) / 16 * 16,
                 memory = cases + (n * sizeof(weir_case) + 15) / 16 * 16;
    weir__merge_plan *plan;
    weir__flow *f;
    if (n == 0 || n > WEIR__MERGE_MOST)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__merge_stage, in, n, out, 1, 1, memory + weir__select_bytes(n));
    if (f != NULL) {
        memcpy(f->ins, ins, n * sizeof *f->ins);
        plan = (weir__merge_plan *)f->plan;
        plan->alive = n;
        plan->cases = (weir_case *)(void *)((unsigned char *)f->plan + cases);
        plan->memory = (unsigned char *)f->plan + memory;
    }
    return weir__flow_start(p, f, opt, 1);
}

/* ---- in order --------------------------------------------------------------------------------------------------------------- */

/* A heap of inputs, by the value that each has at its front; behind it the numbers of the inputs, then the values. */
typedef struct weir__sorted_plan {
    weir_before_fn *before;
    size_t held; /* inputs in the heap */
    uint32_t *heap;
    unsigned char *values;
    size_t room; /* from one value to the next */
} weir__sorted_plan;

static bool weir__sorted_first(const weir__flow *f, const weir__sorted_plan *plan, uint32_t a, uint32_t b)
{
    const void *va = plan->values + a * plan->room, *vb = plan->values + b * plan->room;
    return plan->before(f->arg, va, vb) || (a < b && !plan->before(f->arg, vb, va));
}

static void weir__sorted_swap(uint32_t *heap, size_t a, size_t b)
{
    const uint32_t input = heap[a];
    heap[a] = heap[b];
    heap[b] = input;
}

/* The root may come later than its children. */
static void weir__sorted_down(const weir__flow *f, weir__sorted_plan *plan)
{
    size_t at = 0;
    for (;;) {
        size_t first = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < plan->held; child++)
            if (weir__sorted_first(f, plan, plan->heap[child], plan->heap[first]))
                first = child;
        if (first == at)
            return;
        weir__sorted_swap(plan->heap, at, first);
        at = first;
    }
}

static void weir__sorted_up(const weir__flow *f, weir__sorted_plan *plan, size_t at)
{
    while (at > 0 && weir__sorted_first(f, plan, plan->heap[at], plan->heap[(at - 1) / 2])) {
        weir__sorted_swap(plan->heap, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static int weir__sorted_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    weir__sorted_plan *plan = (weir__sorted_plan *)f->plan;
    int rc;
    (void)worker;
    (void)from;
    (void)to;
    for (uint32_t i = 0; i < f->in_count; i++) {
        rc = weir__desk_recv(desk, ctx, weir__port_at(f->in, f->ins, i), plan->values + i * plan->room);
        if (rc == EPIPE)
            continue;
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        plan->heap[plan->held++] = i;
        weir__sorted_up(f, plan, plan->held - 1);
    }
    while (plan->held > 0) {
        const uint32_t i = plan->heap[0];
        void *value = plan->values + i * plan->room;
        rc = weir__desk_send(desk, ctx, f->out, value);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
        rc = weir__desk_recv(desk, ctx, weir__port_at(f->in, f->ins, i), value);
        if (rc == EPIPE)
            plan->heap[0] = plan->heap[--plan->held];
        else if (WEIR_UNLIKELY(rc != 0))
            return rc;
        weir__sorted_down(f, plan);
    }
    return 0;
}

WEIR_API int weir__flow_merge_sorted(weir_pipeline *p, weir__port in, const void *ins, size_t n, weir__port out,
                                     weir_before_fn *before, void *arg, const weir_stage_opt *opt)
{
    const size_t room = (in.size + 15) / 16 * 16;
    const size_t head = (sizeof(weir__sorted_plan) + n * sizeof(uint32_t) + 63) / 64 * 64;
    weir__sorted_plan *plan;
    weir__flow *f;
    if (n == 0 || n > WEIR__MERGE_MOST)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_new(weir__sorted_stage, in, n, out, 1, 1, head + n * room);
    if (f != NULL) {
        memcpy(f->ins, ins, n * sizeof *f->ins);
        f->arg = arg;
        plan = (weir__sorted_plan *)f->plan;
        plan->before = before;
        plan->heap = (uint32_t *)(void *)(plan + 1);
        plan->values = (unsigned char *)f->plan + head;
        plan->room = room;
    }
    return weir__flow_start(p, f, opt, 1);
}

#endif /* WEIR_FLOW_MERGE_IMPLEMENTED */
