/* threads.c: which of the library's threads is where? A stage that has been forgotten, and where to find it. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

typedef weir_chan(int) int_chan;

static int forgotten(weir_ctx *ctx, void *arg)
{
    int_chan jobs;
    int v;
    memcpy(&jobs, arg, sizeof jobs);
    return weir_recv(ctx, jobs, &v) == EPIPE ? 0 : ECANCELED; /* nobody sends, nobody closes */
}

int main(void)
{
    int_chan jobs;
    weir_group g;
    if (weir_chan_make_opt(&jobs, 4, &(weir_chan_opt){.name = "jobs"}) != 0)
        return 1;
    weir_group_init(&g, NULL, &(weir_group_opt){.name = "worker"});
    if (weir_group_go(NULL, &g, forgotten, &jobs) != 0)
        return 1;
    weir_threads(stderr); /* thread 4711  worker          in recv on "jobs" for 0.000 s */
    printf("threads: %d\n", weir_thread_count());
    weir_close(jobs);
    printf("joined: %s\n", weir_error_text(weir_group_wait(&g)));
    printf("threads: %d\n", weir_thread_count());
    weir_group_free(&g);
    weir_chan_free(&jobs);
    return 0;
}
