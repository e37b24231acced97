/* tests/ring/test_ring_wrap.c: test_ring.c once more, with positions that wrap after two values: at 2^64 in a cached
 * ring, at 2^32 in a ck ring, which cuts them off; in a slot ring after the first lap, where it starts a lap before
 * the end. */
#define WEIR_RING_START (UINT64_MAX - 1)
#include "harness.h"

#include "ring_steps.h"
#include "ring_threads.h"
