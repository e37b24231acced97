/* tests/ring/test_ring.c: every kind of ring, with positions that start at 0. */
#include "harness.h"

#include "ring_steps.h"
#include "ring_threads.h"
