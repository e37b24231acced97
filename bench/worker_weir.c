/* bench/worker_weir.c: weir's four kinds of channel, each on the ring that this program was compiled with. Usage: worker.h. */
#include "bench.h"

#if defined(BENCH_ON_CK) && !(defined(__has_include) && __has_include(<ck_ring.h>))
#define BENCH_CANNOT "needs <ck_ring.h>"
#elif defined(BENCH_ON_CK) && !defined(__x86_64__) && !defined(__i386__) && !defined(WEIR_CK_FIXED)
#define BENCH_CANNOT "needs x86, or a mended ck_ring"
#endif

#ifdef BENCH_CANNOT

int main(void)
{
    puts(BENCH_CANNOT);
    return BENCH_EXIT_SKIPPED;
}

#else

#define WEIR_IMPLEMENTATION
#include <weir/all.h>

#define CHANNEL(name, handle, capacity)                                                                                \
    typedef handle(uint64_t) name##_t;                                                                                 \
    static inline bool name##_make(name##_t *q)                                                                        \
    {                                                                                                                  \
        return weir_chan_make(q, capacity) == 0;                                                                       \
    }                                                                                                                  \
    static inline void name##_send(name##_t q, uint64_t v)                                                             \
    {                                                                                                                  \
        (void)weir_send(NULL, q, &v);                                                                                  \
    }                                                                                                                  \
    static inline bool name##_recv(name##_t q, uint64_t *v)                                                            \
    {                                                                                                                  \
        return weir_recv(NULL, q, v) == 0;                                                                             \
    }                                                                                                                  \
    static inline void name##_end(name##_t q, unsigned receivers)                                                      \
    {                                                                                                                  \
        (void)receivers;                                                                                               \
        (void)weir_close(q);                                                                                           \
    }

CHANNEL(spsc, weir_spsc, BENCH_CAPACITY)
#define QUEUE spsc
#include "shapes.h"

CHANNEL(mpsc, weir_mpsc, BENCH_CAPACITY)
#define QUEUE mpsc
#include "shapes.h"

CHANNEL(spmc, weir_spmc, BENCH_CAPACITY)
#define QUEUE spmc
#include "shapes.h"

CHANNEL(mpmc, weir_chan, BENCH_CAPACITY)
#define QUEUE mpmc
#include "shapes.h"

/* Rendezvous. */
CHANNEL(spsc_meet, weir_spsc, 0)
#define QUEUE spsc_meet
#include "shapes.h"

CHANNEL(mpmc_meet, weir_chan, 0)
#define QUEUE mpmc_meet
#include "shapes.h"

int main(int argc, char **argv)
{
    static const bench_shapes *const queues[] = {&spsc_shapes, &mpsc_shapes,      &spmc_shapes,
                                                 &mpmc_shapes, &spsc_meet_shapes, &mpmc_meet_shapes};
    return bench_worker(argc, argv, queues, sizeof queues / sizeof queues[0]);
}

#endif
