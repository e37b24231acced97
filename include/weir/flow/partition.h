/* weir/flow/partition.h: by key: values of one key go to one worker, in their order.
 *
 *     static const void *symbol(void *arg, const void *value, size_t *size)      what its key is: some bytes, in the value or beside it
 *     {
 *         const struct order *o = value;
 *         *size = sizeof o->symbol;
 *         return &o->symbol;
 *     }
 *     weir_key by_symbol = {.fn = symbol};
 *     weir_partition(p, in, outs, n, &by_symbol, opt)         to one of n outputs
 *     weir_map_keyed(p, in, out, &by_symbol, fn, arg, opt)    a weir_map whose workers have a queue each, by key
 *
 * Which of the n it is says SipHash of the key's bytes (core/hash.h) under the seed; the same for equal bytes, so a key has no padding in it, and
 * no pointer unless the pointer is the key. Without a seed each call draws one, which nobody outside can aim at; two partitions that are to agree
 * get the same.
 *
 * Keys are spread by chance: with few of them some workers may have nothing to do. A worker that is busy holds up, once its queue (opt->queue, 64)
 * is full, all that come behind, other keys among them: memory stays bounded.
 *
 * weir_partition: one thread; when a reader has closed its output the stage ends with the next value for it. weir_map_keyed: opt->workers, queue,
 * wait as an ordered map's; values of one key come out in their order, of different ones in any. It has no other order: .ordered is EINVAL. key is
 * copied. All else as in flow/stages.h; EINVAL for n = 0.
 */
#ifndef WEIR_FLOW_PARTITION_H
#define WEIR_FLOW_PARTITION_H

#include "../core/hash.h"
#include "stages.h"

/* Returns where the key of *value lies, and its *size; it is looked at before the next call. By one thread at a time. */
typedef const void *weir_key_fn(void *arg, const void *value, size_t *size);

typedef struct weir_key {
    weir_key_fn *fn;
    void *arg;
    uint64_t seed[2]; /* zeros: drawn */
} weir_key;

#define weir_partition(p, in, outs, n, key, opt)                                                                       \
    weir__flow_partition((p), WEIR__PORT(in), WEIR__PORT((outs)[0]), (outs), (n) + WEIR__SAME((outs)[0], in), (key),   \
                         (opt))
#define weir_map_keyed(p, in, out, key, fn, arg, opt)                                                                  \
    weir__flow_map_keyed((p), WEIR__PORT(in), WEIR__PORT(out), (key), (fn), (arg), (opt))

/* Where, of n, *value belongs, with key->seed as it is; n > 0. */
WEIR_API size_t weir_key_place(const weir_key *key, const void *value, size_t n);

#define weir__flow_partition WEIR__RINGED(weir__flow_partition)
#define weir__flow_map_keyed WEIR__RINGED(weir__flow_map_keyed)
WEIR_API int weir__flow_partition(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                  const weir_key *key, const weir_stage_opt *opt);
WEIR_API int weir__flow_map_keyed(weir_pipeline *p, weir__port in, weir__port out, const weir_key *key, weir_map_fn *fn,
                                  void *arg, const weir_stage_opt *opt);

#endif /* WEIR_FLOW_PARTITION_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_PARTITION_IMPLEMENTED)
#define WEIR_FLOW_PARTITION_IMPLEMENTED

#include "../core/random.h"

WEIR_API size_t weir_key_place(const weir_key *key, const void *value, size_t n)
{
    size_t size = 0;
    const void *bytes = key->fn(key->arg, value, &size);
    return (size_t)(weir_hash(key->seed, bytes, size) % n);
}

static int weir__partition_stage(weir__desk *desk, weir_ctx *ctx, weir__flow *f, uint32_t worker, void *from, void *to)
{
    const weir_key *key = (const weir_key *)f->plan;
    (void)worker;
    (void)to;
    for (;;) {
        int rc = weir__desk_recv(desk, ctx, f->in, from);
        if (WEIR_UNLIKELY(rc != 0))
            return weir__loop_end(rc);
        rc = weir__desk_send(desk, ctx, weir__port_at(f->out, f->outs, weir_key_place(key, from, f->out_count)), from);
        if (WEIR_UNLIKELY(rc != 0))
            return rc;
    }
}

static int weir__partition_start(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                 const weir_key *key, const weir_stage_opt *opt, bool helper)
{
    weir__flow *f = weir__flow_new(weir__partition_stage, in, 1, out, n, 1, sizeof *key);
    if (f != NULL) {
        weir_key used = *key;
        for (int i = 0; i < 4 && (key->seed[0] | key->seed[1]) == 0; i++)
            used.seed[i / 2] = used.seed[i / 2] << 32 | weir__random_below(UINT32_MAX);
        memcpy(f->plan, &used, sizeof used);
        memcpy(f->outs, outs, n * sizeof *f->outs);
        f->helper = helper;
    }
    return weir__flow_start(p, f, opt, 1);
}

WEIR_API int weir__flow_partition(weir_pipeline *p, weir__port in, weir__port out, const void *outs, size_t n,
                                  const weir_key *key, const weir_stage_opt *opt)
{
    if (n == 0 || n > UINT32_MAX)
        return weir__flow_refuse(p, NULL, EINVAL);
    return weir__partition_start(p, in, out, outs, n, key, opt, false);
}

WEIR_API int weir__flow_map_keyed(weir_pipeline *p, weir__port in, weir__port out, const weir_key *key, weir_map_fn *fn,
                                  void *arg, const weir_stage_opt *opt)
{
    const unsigned n = weir__flow_workers(opt);
    weir__flow *f;
    weir__port queued = {NULL, WEIR__SPSC, in.size};
    weir_stage_opt used;
    int rc;
    memset(&used, 0, sizeof used);
    if (opt != NULL)
        used = *opt;
    if (used.ordered)
        return weir__flow_refuse(p, NULL, EINVAL);
    f = weir__flow_map_new(queued, out, fn, arg, &used);
    if (f == NULL)
        return weir__flow_refuse(p, NULL, ENOMEM);
    f->ins[0] = in.chan;
    rc = weir__flow_room(p, f, &used, n);
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    rc = weir__flow_queues(f->ins, n, in.size, in.chan, &used);
    f->in_count = n;
    f->own_in = f->owns_ins = true;
    if (rc != 0)
        return weir__flow_refuse(p, f, rc);
    /* From here on f, and with it the queues, stays until all threads have been joined. */
    rc = weir__flow_start(p, f, &used, n);
    return rc != 0 ? rc : weir__partition_start(p, in, queued, f->ins, n, key, &used, true);
}

#endif /* WEIR_FLOW_PARTITION_IMPLEMENTED */
