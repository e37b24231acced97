/* generator.c: a lazy sequence: prime numbers, made one by one as they are asked for, until nobody wants more. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

static int next_prime(weir_ctx *ctx, void *state, void *value)
{
    int *last = (int *)state;
    (void)ctx;
    for (bool prime = false; !prime;) {
        prime = true;
        ++*last;
        for (int d = 2; d * d <= *last; d++)
            prime = prime && *last % d != 0;
    }
    memcpy(value, last, sizeof *last);
    return 0;
}

int main(void)
{
    weir_generator(int) primes;
    int state = 1, p;
    if (weir_generator_start(NULL, &primes, next_prime, &state, NULL) != 0)
        return 1;
    while (weir_recv(NULL, primes.out, &p) == 0 && p < 50)
        printf("%d ", p);
    printf("and no more: %s\n", weir_error_text(weir_generator_stop(&primes)));
    printf("threads left: %d\n", weir_thread_count());
    return 0;
}
