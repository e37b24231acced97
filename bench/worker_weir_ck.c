/* bench/worker_weir_ck.c: weir's channels, all four kinds on Concurrency Kit's ck_ring. */
#define BENCH_ON_CK
#define WEIR_RING_SPSC WEIR_RING_CK
#define WEIR_RING_MPSC WEIR_RING_CK
#define WEIR_RING_SPMC WEIR_RING_CK
#define WEIR_RING_MPMC WEIR_RING_CK
#include "worker_weir.c"
