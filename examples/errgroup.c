/* errgroup.c: sums of many files' worth of work, four at a time; the first failure stops the rest, and wait tells which it was. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

struct part {
    int number, bad; /* bad: fails */
    long sum;
};

static int work(weir_ctx *ctx, void *arg)
{
    struct part *p = (struct part *)arg;
    for (int i = 0; i < 1000; i++) {
        if (weir_ctx_err(ctx) != 0)
            return weir_ctx_err(ctx); /* another has failed: what we would still do is for nothing */
        p->sum += i * p->number;
    }
    return p->bad ? EIO : 0;
}

static void run(int bad)
{
    struct part parts[50];
    weir_group g;
    weir_group_error first = {0, NULL};
    long total = 0;
    int rc;
    weir_group_init(&g, NULL, &(weir_group_opt){.name = "parts", .limit = 4});
    for (int i = 0; i < 50; i++) {
        parts[i] = (struct part){i, i == bad, 0};
        if (weir_group_go(NULL, &g, work, &parts[i]) != 0) /* waits while four run */
            break;
    }
    rc = weir_group_wait(&g); /* all have returned: `parts` may go */
    for (int i = 0; i < 50; i++)
        total += parts[i].sum;
    if (rc == 0)
        printf("sum %ld\n", total);
    else if (weir_group_errors(&g, &first, 1) > 0)
        printf("part %d failed first: %d\n", ((struct part *)first.arg)->number, rc == EIO);
    printf("threads left: %d\n", weir_thread_count());
    weir_group_free(&g);
}

int main(void)
{
    run(-1);
    run(17);
    return 0;
}
