/* future.c: values that are not there yet: computed by a function, set by hand, waited for together or whichever comes first. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

typedef weir_future(long) long_future;

static int add_up_to(weir_ctx *ctx, void *arg, void *value)
{
    long sum = 0;
    (void)ctx;
    for (long i = 1; i <= *(long *)arg; i++)
        sum += i;
    memcpy(value, &sum, sizeof sum);
    return 0;
}

int main(void)
{
    long limits[] = {10, 1000, 100000}, sum, answer = 42;
    long_future sums[3], promise;
    size_t which = 0;
    weir_timer late;
    weir_ns when;

    for (int i = 0; i < 3; i++)
        if (weir_future_make(&sums[i]) != 0 || weir_future_run(NULL, sums[i], add_up_to, &limits[i]) != 0)
            return 1;
    printf("all: %s\n", weir_error_text(weir_future_all(NULL, sums, 3, NULL)));
    for (int i = 0; i < 3; i++) {
        weir_future_get(NULL, sums[i], &sum);
        printf("%ld\n", sum);
    }

    /* By hand; and in a select, beside anything else. */
    if (weir_future_make(&promise) != 0 || weir_after(&late, WEIR_MS(5)) != 0)
        return 1;
    weir_case cases[] = {WEIR_FUTURE(promise, &sum), WEIR_RECV(late, &when)};
    printf("not yet: case %d\n", weir_select(NULL, cases, 2));
    printf("set: %s\n", weir_error_text(weir_future_set(promise, &answer)));
    printf("set again: %s\n", weir_error_text(weir_future_set(promise, &answer)));
    printf("now: case %d", weir_select(NULL, cases, 2));
    printf(", %ld\n", sum);
    weir_chan_free(&late);

    /* The first of several that has a value. */
    weir_future_free(&sums[1]);
    if (weir_future_make(&sums[1]) != 0)
        return 1;
    weir_future_fail(sums[1], EIO);
    long_future either[] = {sums[1], promise};
    weir_future_any(NULL, either, 2, &which);
    printf("any: number %zu\n", which);
    for (int i = 0; i < 3; i++)
        weir_future_free(&sums[i]); /* would wait for a function that still runs; weir_future_detach would not */
    weir_future_free(&promise);
    return 0;
}
