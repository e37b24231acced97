/* fibonacci.c: a generator that runs as long as somebody wants its numbers, and is stopped by its context.
 *
 * The channel is a rendezvous, so the generator is never more than one number ahead. It would run for ever; cancelling its context
 * ends the send that it waits in, and the thread can be joined: an endless producer does not leak when its consumer leaves.
 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <inttypes.h>
#include <stdio.h>

typedef weir_spsc(uint64_t) number_line;

struct generator {
    weir_ctx *ctx;
    number_line out;
    int ended; /* why: the error of its last send */
};

static void *fibonacci(void *arg)
{
    struct generator *g = arg;
    uint64_t a = 0, b = 1;
    while ((g->ended = weir_send(g->ctx, g->out, &a)) == 0) {
        const uint64_t next = a + b;
        a = b;
        b = next;
    }
    return NULL;
}

int main(void)
{
    weir_ctx ctx;
    struct generator g = {&ctx, {NULL}, 0};
    pthread_t thread;
    uint64_t number;
    weir_ctx_init(&ctx, NULL);
    if (weir_chan_make(&g.out, 0) != 0 || pthread_create(&thread, NULL, fibonacci, &g) != 0)
        return 1;
    do {
        if (weir_recv(NULL, g.out, &number) != 0)
            return 1;
        printf("%" PRIu64 "\n", number);
    } while (number < 1000);

    weir_ctx_cancel(&ctx, 0); /* enough */
    pthread_join(thread, NULL);
    printf("the generator was %s\n", weir_error_text(g.ended));
    weir_chan_free(&g.out);
    weir_ctx_free(&ctx);
    return 0;
}
