/* select.c: one thread that waits for four things at once: two producers, a ticker and the end.
 *
 * Which case comes when differs from run to run; what is printed is what must come out whatever the order.
 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

typedef weir_chan(int) int_chan;

struct producer {
    int_chan out;
    int first, count;
    pthread_t thread;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (int v = p->first; v < p->first + p->count; v++)
        if (weir_send(NULL, p->out, &v) != 0)
            return NULL;
    weir_close(p->out);
    return NULL;
}

int main(void)
{
    enum { SMALL, LARGE, TICK, QUIT };
    struct producer small = {{NULL}, 1, 1000, 0}, large = {{NULL}, 1000000, 1000, 0};
    long sums[2] = {0, 0};
    int v, ticks = 0, done = 0;
    weir_timer ticker;
    weir_ctx quit;
    weir_ctx_init(&quit, NULL);
    if (weir_chan_make(&small.out, 8) != 0 || weir_chan_make(&large.out, 0) != 0 ||
        weir_tick(&ticker, WEIR_MS(1)) != 0 || pthread_create(&small.thread, NULL, produce, &small) != 0 ||
        pthread_create(&large.thread, NULL, produce, &large) != 0)
        return 1;

    weir_case cases[] = {WEIR_RECV(small.out, &v), WEIR_RECV(large.out, &v), WEIR_RECV(ticker, NULL), WEIR_DONE(&quit)};
    while (!done) {
        const int which = weir_select(NULL, cases, 4);
        switch (which) {
        case SMALL:
        case LARGE:
            if (cases[which].status == 0)
                sums[which] += v;
            else
                cases[which].chan = NULL; /* closed and drained: from now on never ready, like Go's nil channel */
            break;
        case TICK:
            ticks++;
            if (ticks >= 3 && cases[SMALL].chan == NULL && cases[LARGE].chan == NULL)
                weir_ctx_cancel(&quit, 0);
            break;
        case QUIT: done = 1; break;
        default: return 1; /* minus an error: none of the calls above can fail here */
        }
    }
    printf("small %ld, large %ld, at least three ticks: %s, quit: %s\n", sums[SMALL], sums[LARGE],
           ticks >= 3 ? "yes" : "no", weir_error_text(cases[QUIT].status));
    pthread_join(small.thread, NULL);
    pthread_join(large.thread, NULL);
    weir_chan_free(&small.out);
    weir_chan_free(&large.out);
    weir_chan_free(&ticker);
    weir_ctx_free(&quit);
    return 0;
}
