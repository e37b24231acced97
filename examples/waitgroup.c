/* waitgroup.c: a thread that waits until others have done their part, whoever joins them. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <pthread.h>
#include <stdio.h>

enum { PARTS = 4, EACH = 250000 };

static weir_waitgroup parts = WEIR_WAITGROUP_INIT;
static long sums[PARTS];

static void *add_up(void *arg)
{
    const long part = (long)((long *)arg - sums);
    for (long i = 0; i < EACH; i++)
        sums[part] += part * EACH + i;
    weir_waitgroup_done(&parts);
    return NULL;
}

int main(void)
{
    long total = 0;
    weir_waitgroup_add(&parts, PARTS);
    for (int i = 0; i < PARTS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, add_up, &sums[i]) != 0)
            return 1;
        pthread_detach(thread);
    }
    weir_waitgroup_wait(NULL, &parts);
    for (int i = 0; i < PARTS; i++)
        total += sums[i];
    printf("%ld\n", total);
    printf("one done too many: %s\n", weir_error_text(weir_waitgroup_done(&parts)));
    return 0;
}
