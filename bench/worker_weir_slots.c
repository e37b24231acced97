/* bench/worker_weir_slots.c: weir's channels, the one for one sender and one receiver on slots as well. */
#define WEIR_RING_SPSC WEIR_RING_SLOTS
#include "worker_weir.c"
