/* rendezvous.c: a channel of capacity 0 hands values over. A send returns only when the value has been taken, so whoever has sent
 * knows that the other side has got there: no buffer, no acknowledgement.
 *
 *     cc -std=c11 -Iinclude -pthread examples/rendezvous.c -o rendezvous && ./rendezvous
 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

typedef weir_chan(const char *) baton_chan;

static void *runner(void *arg)
{
    baton_chan hand = *(baton_chan *)arg;
    const char *baton;
    while (weir_recv(NULL, hand, &baton) == 0) /* EPIPE once the channel is closed */
        printf("second runner has the %s baton\n", baton);
    return NULL;
}

int main(void)
{
    static const char *const batons[] = {"red", "green", "blue"};
    const char *late = "yellow";
    baton_chan hand;
    pthread_t second;
    int rc = weir_chan_make(&hand, 0);
    if (rc != 0) {
        fprintf(stderr, "rendezvous: %s\n", weir_error_text(rc));
        return 1;
    }
    /* Nobody is waiting yet: a try does not leave anything behind. */
    printf("before the start: %s\n", weir_error_text(weir_try_send(hand, &late)));
    if (pthread_create(&second, NULL, runner, &hand) != 0)
        return 1;
    for (size_t i = 0; i < sizeof batons / sizeof batons[0]; i++)
        if (weir_send(NULL, hand, &batons[i]) != 0)
            return 1;
    weir_close(hand); /* all three have been taken: that is what the sends said */
    pthread_join(second, NULL);
    printf("after the close: %s\n", weir_error_text(weir_send(NULL, hand, &late)));
    weir_chan_free(&hand);
    return 0;
}
