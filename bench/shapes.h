/* bench/shapes.h: the loops that are measured. A template: include it once per queue, after
 *
 *     #define QUEUE fifo             and, before it, for that name:
 *     typedef … fifo_t;              a small handle; each thread has a copy, in a register
 *     static bool fifo_make(fifo_t *q);
 *     static void fifo_send(fifo_t q, uint64_t v);
 *     static bool fifo_recv(fifo_t q, uint64_t *v);           false: the stream has ended
 *     static void fifo_end(fifo_t q, unsigned receivers);     no more values: closes, or sends each receiver a poison value
 *
 * It defines fifo_shapes. The loops are the same for all queues, down to the letter; what differs is what inlines into them.
 */
#include "worker.h"

#define NAME(suffix) BENCH_PASTE(QUEUE, suffix)

static bool NAME(_make_in)(void *place)
{
    NAME(_t) q;
    if (!NAME(_make)(&q))
        return false;
    memcpy(place, &q, sizeof q);
    return true;
}

static NAME(_t) NAME(_from)(const bench_place *place)
{
    NAME(_t) q;
    memcpy(&q, place, sizeof q);
    return q;
}

static void *NAME(_produce)(void *arg)
{
    bench_thread *t = (bench_thread *)arg;
    const NAME(_t) q = NAME(_from)(&t->run->queues[0]);
    bench_begin(t);
    for (uint64_t v = t->first; v <= t->last; v++)
        NAME(_send)(q, v);
    if (bench_last_sender(t->run))
        NAME(_end)(q, t->run->receivers);
    bench_finish(t);
    return NULL;
}

static void *NAME(_consume)(void *arg)
{
    bench_thread *t = (bench_thread *)arg;
    const NAME(_t) q = NAME(_from)(&t->run->queues[0]);
    uint64_t v, count = 0, sum = 0;
    bench_begin(t);
    while (NAME(_recv)(q, &v)) {
        count++;
        sum += v;
    }
    t->count = count;
    t->sum = sum;
    bench_finish(t);
    return NULL;
}

static void *NAME(_ping)(void *arg)
{
    bench_thread *t = (bench_thread *)arg;
    const NAME(_t) there = NAME(_from)(&t->run->queues[0]);
    const NAME(_t) back = NAME(_from)(&t->run->queues[1]);
    uint64_t got, count = 0, sum = 0;
    bench_begin(t);
    for (uint64_t v = t->first; v <= t->last; v++) {
        NAME(_send)(there, v);
        if (!NAME(_recv)(back, &got))
            break;
        count++;
        sum += got;
    }
    bench_finish(t);
    t->count = count;
    t->sum = sum;
    NAME(_end)(there, 1);
    return NULL;
}

static void *NAME(_echo)(void *arg)
{
    bench_thread *t = (bench_thread *)arg;
    const NAME(_t) there = NAME(_from)(&t->run->queues[0]);
    const NAME(_t) back = NAME(_from)(&t->run->queues[1]);
    uint64_t v;
    bench_begin(t);
    bench_finish(t); /* the other side keeps the time */
    while (NAME(_recv)(there, &v))
        NAME(_send)(back, v);
    return NULL;
}

static const bench_shapes NAME(_shapes) = {
    BENCH_TEXT(QUEUE), NAME(_make_in), NAME(_produce), NAME(_consume), NAME(_ping), NAME(_echo),
};
_Static_assert(sizeof(NAME(_t)) <= sizeof(bench_place), "a handle fits in its place");

#undef NAME
#undef QUEUE
