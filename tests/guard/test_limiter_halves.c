/* tests/guard/test_limiter_halves.c: the same tests of limiters where the compiler has no numbers of 128 bits. */
#define WEIR__NO_INT128
#include "test_limiter.c"
#include "test_limiter_wait.c"
