/* singleflight.c: eight threads ask for the same thing at once; it is looked up once. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <pthread.h>
#include <stdio.h>

enum { THREADS = 8 };

static weir_single lookups = WEIR_SINGLE_INIT;
static int asked, looked_up; /* atomic */

static int look_up(weir_ctx *ctx, void *arg, void *value)
{
    const char *name = (const char *)arg;
    long address = 0;
    (void)ctx;
    __atomic_add_fetch(&looked_up, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&asked, __ATOMIC_SEQ_CST) < THREADS) {} /* slow: all have asked by then */
    WEIR_CPU_YIELD();
    for (const char *c = name; *c != 0; c++)
        address = address * 31 + *c;
    memcpy(value, &address, sizeof address);
    return 0;
}

static void *ask(void *arg)
{
    static char host[] = "example.org";
    long *address = (long *)arg;
    __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
    if (weir_single_do(NULL, &lookups, host, sizeof host, look_up, host, address, sizeof *address, NULL) != 0)
        *address = -1;
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    long addresses[THREADS];
    int same = 0;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, ask, &addresses[i]) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        same += addresses[i] == addresses[0];
    printf("%d askers, %d answers alike, fewer lookups than askers: %s\n", asked, same,
           looked_up < asked ? "yes" : "no");
    return 0;
}
