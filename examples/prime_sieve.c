/* prime_sieve.c: the sieve of Eratosthenes as a chain of threads (D. McIlroy's, known from Go's tour).
 *
 *     counter ──2,3,4,5…──► [not by 2] ──3,5,7…──► [not by 3] ──5,7,11…──► …
 *
 * Whatever reaches the end of the chain is a prime, and gets a filter of its own. Each filter is a thread with a rendezvous channel on either side.
 * One context stops them all.
 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

enum { PRIMES = 50 };

typedef weir_spsc(int) int_line;

struct stage {
    weir_ctx *ctx;
    int_line in, out;
    int prime; /* 0: the counter, which has no input */
    pthread_t thread;
};

static void *run_stage(void *arg)
{
    struct stage *s = arg;
    int n = 2;
    for (;;) {
        if (s->prime != 0 && weir_recv(s->ctx, s->in, &n) != 0)
            return NULL;
        if (s->prime == 0 || n % s->prime != 0)
            if (weir_send(s->ctx, s->out, &n) != 0)
                return NULL;
        if (s->prime == 0)
            n++;
    }
}

static int start(struct stage *s, weir_ctx *ctx, int_line in, int prime)
{
    s->ctx = ctx;
    s->in = in;
    s->prime = prime;
    if (weir_chan_make(&s->out, 0) != 0)
        return -1;
    return pthread_create(&s->thread, NULL, run_stage, s) == 0 ? 0 : -1;
}

int main(void)
{
    static struct stage stages[PRIMES + 1];
    const int_line none = {NULL};
    weir_ctx ctx;
    int prime, started = 0;
    weir_ctx_init(&ctx, NULL);
    if (start(&stages[started++], &ctx, none, 0) != 0)
        return 1;
    while (started <= PRIMES) {
        const int_line end = stages[started - 1].out;
        if (weir_recv(&ctx, end, &prime) != 0)
            return 1;
        printf("%d%c", prime, started % 10 == 0 ? '\n' : ' ');
        if (start(&stages[started++], &ctx, end, prime) != 0)
            return 1;
    }
    weir_ctx_cancel(&ctx, 0); /* ends whatever wait each of them is in */
    for (int i = 0; i < started; i++)
        pthread_join(stages[i].thread, NULL);
    for (int i = 0; i < started; i++) /* only now: two threads used each channel */
        weir_chan_free(&stages[i].out);
    weir_ctx_free(&ctx);
    return 0;
}
