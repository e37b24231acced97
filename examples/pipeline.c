/* pipeline.c: orders come in out of order; they are priced, those that are too small left out, kept apart by customer, summed up each minute, and
 * written in batches. Each stage has its threads; channels of a few places bound what is under way. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

struct order {
    int64_t at; /* seconds since the shop opened */
    int customer, cents;
};
struct minute {
    int64_t minute;
    int orders, cents;
};
typedef weir_chan(struct order) order_chan;
typedef weir_chan(struct minute) minute_chan;
typedef weir_batch_of(struct minute, 4) minute_batch;
typedef weir_chan(minute_batch) batch_chan;

enum { ORDERS = 1000 };

/* One every second, but each third a little late. */
static int next_order(weir_ctx *ctx, void *arg, void *value)
{
    int *n = (int *)arg;
    struct order o;
    (void)ctx;
    if (*n == ORDERS)
        return EPIPE;
    o.at = *n % 3 == 0 && *n > 5 ? *n - 5 : *n;
    o.customer = *n * 7 % 13;
    o.cents = *n * 31 % 500;
    ++*n;
    memcpy(value, &o, sizeof o);
    return 0;
}

static int add_tax(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct order o;
    (void)ctx;
    (void)arg;
    memcpy(&o, in, sizeof o);
    o.cents += o.cents / 5;
    memcpy(out, &o, sizeof o);
    return 0;
}

static int add_postage(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct order o;
    (void)ctx;
    memcpy(&o, in, sizeof o);
    o.cents += *(const int *)arg;
    memcpy(out, &o, sizeof o);
    return 0;
}

static int worth_it(weir_ctx *ctx, void *arg, const void *value, bool *keep)
{
    (void)ctx;
    (void)arg;
    *keep = ((const struct order *)value)->cents >= 100;
    return 0;
}

static const void *customer(void *arg, const void *value, size_t *size)
{
    (void)arg;
    *size = sizeof(int);
    return &((const struct order *)value)->customer;
}

/* Each customer's orders come here in their order, whoever works on the others. */
static int give_discount(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    int *before = (int *)arg;
    struct order o;
    (void)ctx;
    memcpy(&o, in, sizeof o);
    if (++before[o.customer] % 10 == 0)
        o.cents /= 2;
    memcpy(out, &o, sizeof o);
    return 0;
}

static weir_ns seconds(void *arg, const void *value)
{
    (void)arg;
    return WEIR_SEC(((const struct order *)value)->at);
}

static int sum_up(weir_ctx *ctx, void *arg, const weir_window_span *span, const void *value, void *result)
{
    struct minute *m = (struct minute *)result;
    (void)ctx;
    (void)arg;
    m->minute = span->begin / WEIR_SEC(60);
    if (value != NULL) {
        m->orders++;
        m->cents += ((const struct order *)value)->cents;
    }
    return 0;
}

static int write_batch(weir_ctx *ctx, void *arg, const void *value)
{
    const minute_batch *b = (const minute_batch *)value;
    (void)ctx;
    (void)arg;
    for (size_t i = 0; i < b->n; i++)
        printf("%sminute %2d: %2d orders, %5d", i == 0 ? "" : " | ", (int)b->item[i].minute, b->item[i].orders,
               b->item[i].cents);
    printf("\n");
    return 0;
}

int main(void)
{
    const weir_map_step prices[] = {{add_tax, NULL, sizeof(struct order)}, {add_postage, &(int){20}, 0}};
    const weir_key by_customer = {.fn = customer};
    const weir_stage_opt in_order = {.name = "filter", .workers = 3, .ordered = true},
                         keyed = {.name = "discount", .workers = 3, .queue = 8};
    weir_window_report report = {0};
    /* The workers of the keyed map overtake each other; by no more than their queues hold. */
    const weir_window_rules minutes = {
        .length = WEIR_SEC(60), .stamp = seconds, .lateness = WEIR_SEC(600), .report = &report};
    int made = 0, before[13] = {0};
    order_chan orders, priced, kept, paid;
    minute_chan sums;
    batch_chan batches;
    weir_pipeline p;
    if (weir_chan_make(&orders, 8) != 0 || weir_chan_make(&priced, 8) != 0 || weir_chan_make(&kept, 8) != 0 ||
        weir_chan_make(&paid, 8) != 0 || weir_chan_make(&sums, 8) != 0 || weir_chan_make(&batches, 2) != 0)
        return 1;
    weir_pipeline_init(&p, NULL);
    (void)weir_generate(&p, orders, next_order, &made, NULL); /* what fails here, wait returns */
    (void)weir_map_fused(&p, orders, priced, prices, 2, NULL);
    (void)weir_filter(&p, priced, kept, worth_it, NULL, &in_order);
    (void)weir_map_keyed(&p, kept, paid, &by_customer, give_discount, before, &keyed);
    (void)weir_window(&p, paid, sums, &minutes, sum_up, NULL, NULL);
    (void)weir_batch(&p, sums, batches, NULL, NULL);
    (void)weir_sink(&p, batches, write_batch, NULL, NULL);
    printf("%s\n", weir_error_text(weir_pipeline_wait(&p)));
    printf("late: %d, threads left: %d\n", (int)weir_window_late(&report), weir_thread_count());
    weir_chan_free(&orders);
    weir_chan_free(&priced);
    weir_chan_free(&kept);
    weir_chan_free(&paid);
    weir_chan_free(&sums);
    weir_chan_free(&batches);
    return 0;
}
