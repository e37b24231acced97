/* once.c: something that is set up when it is first needed, by whoever comes first; and tried again when it fails. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <pthread.h>
#include <stdio.h>

static weir_once table_ready = WEIR_ONCE_INIT;
static int square[100], attempts;

static int make_table(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    if (++attempts == 1)
        return EAGAIN; /* say, a file that is not there yet */
    for (int i = 0; i < 100; i++)
        square[i] = i * i;
    return 0;
}

static void *user(void *number)
{
    while (weir_once_do(&table_ready, make_table, NULL) != 0) {}
    *(int *)number = square[*(int *)number];
    return NULL;
}

int main(void)
{
    pthread_t threads[8];
    int numbers[8];
    for (int i = 0; i < 8; i++) {
        numbers[i] = i + 1;
        if (pthread_create(&threads[i], NULL, user, &numbers[i]) != 0)
            return 1;
    }
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 8; i++)
        printf("%d ", numbers[i]);
    printf("after %d attempts\n", attempts);
    return 0;
}
