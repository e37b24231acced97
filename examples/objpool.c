/* objpool.c: requests that are used again: no allocation after the start, never more than there is room for. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

struct request {
    char text[240];
    int used;
};

static void new_request(void *object, void *arg)
{
    (void)arg;
    memset(object, 0, sizeof(struct request));
}

static void forget(void *object, void *arg)
{
    struct request *r = (struct request *)object;
    (void)arg;
    r->text[0] = 0;
    r->used++;
}

int main(void)
{
    weir_objpool pool;
    struct request *r, *all[4];
    if (weir_objpool_init(&pool, sizeof *r, 4, &(weir_objpool_opt){.init = new_request, .reset = forget}) != 0)
        return 1;
    for (int i = 0; i < 1000; i++) {
        if (weir_objpool_get(&pool, &r) != 0)
            return 1;
        snprintf(r->text, sizeof r->text, "request %d", i);
        weir_objpool_put(&pool, r);
    }
    if (weir_objpool_get(&pool, &all[0]) != 0)
        return 1;
    printf("used %d times, forgotten: %s, ever in use at once: %u\n", all[0]->used, all[0]->text[0] == 0 ? "yes" : "no",
           (unsigned)weir_objpool_high_water(&pool));
    for (int i = 1; i < 4; i++)
        if (weir_objpool_get(&pool, &all[i]) != 0)
            return 1;
    printf("one too many: %s\n", weir_error_text(weir_objpool_get(&pool, &r)));
    weir_objpool_free(&pool);
    return 0;
}
