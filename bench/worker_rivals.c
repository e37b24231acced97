/* bench/worker_rivals.c: what people use in C today: ck_ring by itself, and a bounded queue under a mutex. Usage: worker.h.
 *
 * ck_ring has no blocking calls and no close: its users spin, and end the stream by a poison value per receiver. That costs them
 * one comparison per value, where a channel's receiver compares a return code. A ck_ring of size 1024 holds 1023 values.
 */
#include "bench.h"

#if defined(__has_include)
#if __has_include(<ck_ring.h>)
#define HAVE_CK 1
#endif
#endif

#define POISON 0 /* values begin at 1 */

#ifdef HAVE_CK
#include <ck_ring.h>

typedef struct raw_ring {
    ck_ring_t ring __attribute__((aligned(128)));
    ck_ring_buffer_t slots[BENCH_CAPACITY] __attribute__((aligned(128)));
} raw_ring;

static inline raw_ring *raw_ring_make(void)
{
    raw_ring *r = (raw_ring *)aligned_alloc(128, sizeof *r);
    if (r != NULL)
        ck_ring_init(&r->ring, BENCH_CAPACITY);
    return r;
}

/* After so many turns the yielding variant gives its core away; weir's channels begin to at 32 as well. */
#define YIELD_AFTER 32
#define STALL_SPIN (ck_pr_stall())
#define STALL_YIELD (++turns > YIELD_AFTER ? (void)sched_yield() : ck_pr_stall())

#define RAW_RING(name, kind, stall)                                                                                    \
    typedef struct name##_t {                                                                                          \
        raw_ring *r;                                                                                                   \
    } name##_t;                                                                                                        \
    static inline bool name##_make(name##_t *q)                                                                        \
    {                                                                                                                  \
        q->r = raw_ring_make();                                                                                        \
        return q->r != NULL;                                                                                           \
    }                                                                                                                  \
    static inline void name##_send(name##_t q, uint64_t v)                                                             \
    {                                                                                                                  \
        unsigned turns = 0;                                                                                            \
        while (!ck_ring_enqueue_##kind(&q.r->ring, q.r->slots, (void *)(uintptr_t)v))                                  \
            stall;                                                                                                     \
        (void)turns;                                                                                                   \
    }                                                                                                                  \
    static inline bool name##_recv(name##_t q, uint64_t *v)                                                            \
    {                                                                                                                  \
        unsigned turns = 0;                                                                                            \
        void *value;                                                                                                   \
        while (!ck_ring_dequeue_##kind(&q.r->ring, q.r->slots, &value))                                                \
            stall;                                                                                                     \
        (void)turns;                                                                                                   \
        *v = (uintptr_t)value;                                                                                         \
        return *v != POISON;                                                                                           \
    }                                                                                                                  \
    static inline void name##_end(name##_t q, unsigned receivers)                                                      \
    {                                                                                                                  \
        while (receivers-- > 0)                                                                                        \
            name##_send(q, POISON);                                                                                    \
    }

RAW_RING(ck_spsc, spsc, STALL_SPIN)
#define QUEUE ck_spsc
#include "shapes.h"

RAW_RING(ck_mpmc, mpmc, STALL_SPIN)
#define QUEUE ck_mpmc
#include "shapes.h"

RAW_RING(ck_mpmc_yield, mpmc, STALL_YIELD)
#define QUEUE ck_mpmc_yield
#include "shapes.h"

#endif /* HAVE_CK */

#include <pthread.h>

/* The queue of every textbook: a lock, two conditions, a ring; one signal per value. */
typedef struct locked_queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    size_t head, count;
    bool ended;
    uint64_t values[BENCH_CAPACITY];
} locked_queue;

typedef struct mutex_t {
    locked_queue *l;
} mutex_t;

static inline bool mutex_make(mutex_t *q)
{
    q->l = (locked_queue *)calloc(1, sizeof *q->l);
    return q->l != NULL && pthread_mutex_init(&q->l->lock, NULL) == 0 &&
           pthread_cond_init(&q->l->not_empty, NULL) == 0 && pthread_cond_init(&q->l->not_full, NULL) == 0;
}

static inline void mutex_send(mutex_t q, uint64_t v)
{
    pthread_mutex_lock(&q.l->lock);
    while (q.l->count == BENCH_CAPACITY)
        pthread_cond_wait(&q.l->not_full, &q.l->lock);
    q.l->values[(q.l->head + q.l->count++) % BENCH_CAPACITY] = v;
    pthread_mutex_unlock(&q.l->lock);
    pthread_cond_signal(&q.l->not_empty);
}

static inline bool mutex_recv(mutex_t q, uint64_t *v)
{
    pthread_mutex_lock(&q.l->lock);
    while (q.l->count == 0 && !q.l->ended)
        pthread_cond_wait(&q.l->not_empty, &q.l->lock);
    if (q.l->count == 0) {
        pthread_mutex_unlock(&q.l->lock);
        return false;
    }
    *v = q.l->values[q.l->head];
    q.l->head = (q.l->head + 1) % BENCH_CAPACITY;
    q.l->count--;
    pthread_mutex_unlock(&q.l->lock);
    pthread_cond_signal(&q.l->not_full);
    return true;
}

static inline void mutex_end(mutex_t q, unsigned receivers)
{
    (void)receivers;
    pthread_mutex_lock(&q.l->lock);
    q.l->ended = true;
    pthread_mutex_unlock(&q.l->lock);
    pthread_cond_broadcast(&q.l->not_empty);
}

#define QUEUE mutex
#include "shapes.h"

int main(int argc, char **argv)
{
    static const bench_shapes *const queues[] = {
        &mutex_shapes,
#ifdef HAVE_CK
        &ck_spsc_shapes,
        &ck_mpmc_shapes,
        &ck_mpmc_yield_shapes,
#endif
    };
#ifndef HAVE_CK
    if (argc > 1 && strncmp(argv[1], "ck", 2) == 0) {
        puts("needs <ck_ring.h>");
        return BENCH_EXIT_SKIPPED;
    }
#endif
    return bench_worker(argc, argv, queues, sizeof queues / sizeof queues[0]);
}
