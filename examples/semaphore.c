/* semaphore.c: a budget that is shared: copies of any size run at once as long as they fit into memory together, in the order in which they came. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <pthread.h>
#include <stdio.h>

enum { BUDGET = 100 }; /* megabytes */

static weir_sem memory = WEIR_SEM_INIT(BUDGET);
static long used, most; /* atomic */

static void *copy(void *arg)
{
    const long size = *(long *)arg;
    for (int i = 0; i < 1000; i++) {
        if (weir_sem_acquire(NULL, &memory, size) != 0)
            return NULL;
        const long now = __atomic_add_fetch(&used, size, __ATOMIC_SEQ_CST);
        if (now > __atomic_load_n(&most, __ATOMIC_SEQ_CST))
            __atomic_store_n(&most, now, __ATOMIC_SEQ_CST);
        __atomic_sub_fetch(&used, size, __ATOMIC_SEQ_CST);
        weir_sem_release(&memory, size);
    }
    return NULL;
}

int main(void)
{
    long sizes[] = {10, 40, 100, 25};
    pthread_t threads[4];
    weir_ctx request;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, copy, &sizes[i]) != 0)
            return 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("never more than %d: %s\n", BUDGET, most <= BUDGET ? "yes" : "no");
    printf("free again: %ld\n", (long)weir_sem_available(&memory));
    printf("more than there is: %s\n", weir_error_text(weir_sem_acquire(NULL, &memory, BUDGET + 1)));

    /* A wait that its context ends; then room for it. */
    weir_sem_acquire(NULL, &memory, BUDGET);
    weir_ctx_init_timeout(&request, NULL, WEIR_MS(5));
    printf("no room in time: %s\n", weir_error_text(weir_sem_acquire(&request, &memory, 1)));
    weir_ctx_free(&request);
    weir_sem_resize(&memory, BUDGET + 50);
    printf("after growing: %s\n", weir_error_text(weir_sem_try_acquire(&memory, 50)));
    return 0;
}
