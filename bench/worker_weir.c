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

#define CHANNEL(name, handle)                                                                                          \
    typedef handle(uint64_t) name##_t;                                                                                 \
    static inline bool name##_make(name##_t *q)                                                                        \
    {                                                                                                                  \
        return weir_chan_make(q, BENCH_CAPACITY) == 0;                                                                 \
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

CHANNEL(spsc, weir_spsc)
#define QUEUE spsc
#include "shapes.h"

CHANNEL(mpsc, weir_mpsc)
#define QUEUE mpsc
#include "shapes.h"

CHANNEL(spmc, weir_spmc)
#define QUEUE spmc
#include "shapes.h"

CHANNEL(mpmc, weir_chan)
#define QUEUE mpmc
#include "shapes.h"

int main(int argc, char **argv)
{
    static const bench_shapes *const queues[] = {&spsc_shapes, &mpsc_shapes, &spmc_shapes, &mpmc_shapes};
    return bench_worker(argc, argv, queues, sizeof queues / sizeof queues[0]);
}

#endif
