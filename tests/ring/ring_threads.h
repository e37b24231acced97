/* tests/ring/ring_threads.h: rings between threads. Nothing is lost, nothing comes twice, each producer's values
 * come in its order. */
#include "ring_box.h"

enum { PARTIES = 4 };

static struct {
    struct ring_box *box;
    int producers, consumers;
    uint64_t each;
    unsigned char *seen; /* one atomic byte per value */
    uint64_t sum, count; /* atomic */
    int next_producer, next_consumer;
} traffic;

static void produce(void *unused)
{
    const uint64_t me = (uint64_t)__atomic_fetch_add(&traffic.next_producer, 1, __ATOMIC_SEQ_CST);
    (void)unused;
    for (uint64_t i = 0; i < traffic.each;) {
        const uint64_t value = me << 32 | i;
        const int rc = box_push(traffic.box, &value);
        if (rc == 0)
            i++;
        else if (CHECK(rc == EAGAIN || rc == WEIR__BUSY))
            sched_yield();
        else
            return;
    }
}

static void consume(void *unused)
{
    uint64_t next[PARTIES] = {0}, value, sum = 0, count = 0;
    int rc;
    (void)unused;
    while ((rc = box_pop(traffic.box, &value)) != EPIPE) {
        if (rc != 0) {
            CHECK(rc == EAGAIN || rc == WEIR__BUSY);
            sched_yield();
            continue;
        }
        const uint64_t from = value >> 32, number = value & UINT32_MAX;
        if (!CHECK(from < (uint64_t)traffic.producers && number < traffic.each))
            continue;
        CHECK(number >= next[from]); /* with several consumers others have what lies between */
        if (traffic.consumers == 1)
            CHECK_INT(number, next[from]);
        next[from] = number + 1;
        CHECK_INT(__atomic_add_fetch(&traffic.seen[from * traffic.each + number], 1, __ATOMIC_RELAXED), 1);
        sum += value;
        count++;
    }
    __atomic_add_fetch(&traffic.sum, sum, __ATOMIC_RELAXED);
    __atomic_add_fetch(&traffic.count, count, __ATOMIC_RELAXED);
}

static void run_traffic(int kind, size_t capacity, int producers, int consumers)
{
    uint64_t sum = 0;
    memset(&traffic, 0, sizeof traffic);
    traffic.box = box_make(kind, capacity, 8);
    traffic.producers = producers;
    traffic.consumers = consumers;
    traffic.each = (uint64_t)test_rounds(60000) / (uint64_t)producers;
    traffic.seen = (unsigned char *)calloc((size_t)traffic.each, (size_t)producers);
    REQUIRE(traffic.seen != NULL);
    struct test_team *out = test_start(consumers, consume, NULL, 0);
    test_threads(producers, produce, NULL, 0);
    CHECK(box_close(traffic.box));
    test_join(out);
    for (uint64_t p = 0; p < (uint64_t)producers; p++)
        sum += (p << 32) * traffic.each + traffic.each * (traffic.each - 1) / 2;
    CHECK_INT(traffic.count, (uint64_t)producers * traffic.each);
    CHECK_INT(traffic.sum, sum);
    CHECK_INT(box_len(traffic.box), 0);
    free(traffic.seen);
    box_free(traffic.box);
}

static void run_capacities(int kind, int producers, int consumers)
{
    static const size_t some[] = {1, 2, 3, 10, 1000};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
        run_traffic(kind, some[i], producers, consumers);
}

TEST(one_producer_one_consumer)
{
    FOR_EACH_KIND(kind)
    run_capacities(kind, 1, 1);
}

TEST(four_producers_one_consumer)
{
    run_capacities(WEIR__MPSC, 4, 1);
    run_capacities(WEIR__MPMC, 4, 1);
}

TEST(one_producer_four_consumers)
{
    run_capacities(WEIR__SPMC, 1, 4);
    run_capacities(WEIR__MPMC, 1, 4);
}

TEST(two_producers_two_consumers)
{
    run_capacities(WEIR__MPMC, 2, 2);
}
