/* tests/model/scenarios/ck.c: Concurrency Kit's ck_ring itself, one producer and two consumers, read as on x86 and as on any processor
 * (ck/ck_pr.h). The second is the reason why weir refuses 0.7.1 on other processors (ring/ck_include.h): a consumer gives its slot back behind a
 * fence that orders stores alone, so the producer may write over a value that is still being read. Mended upstream in commit c7945fe.
 */
#include "model/calls.h"

#include <ck_ring.h>

static ck_ring_t ring;
static ck_ring_buffer_t slots[2];
static uint64_t value[3];
static bool taken[3];

static void setup(void)
{
    for (int i = 0; i < 2; i++)
        slots[i].value = NULL;
    taken[0] = taken[1] = taken[2] = false;
    ck_ring_init(&ring, 2); /* holds one */
    model_name(&ring.p_tail, sizeof ring.p_tail, "p_tail");
    model_name(&ring.c_head, sizeof ring.c_head, "c_head");
    MODEL_NAME(slots);
}

static void produces(void)
{
    for (int i = 0; i < 3; i++) {
        void *v = &value[i];
        while (!ck_ring_enqueue_spmc(&ring, slots, v))
            model_pause();
    }
}

MODEL_OUTSIDE static void consume(int n)
{
    void *got;
    while (n-- > 0) {
        while (!ck_ring_dequeue_spmc(&ring, slots, &got))
            model_pause();
        const size_t i = (size_t)((uint64_t *)got - value);
        MODEL_CHECK(i < 3 && !taken[i]);
        taken[i] = true;
    }
}
THREAD(consumes_one, consume(1))
THREAD(consumes_two, consume(2))

#define CK(name, ...) MODEL(ck_##name, .setup = setup, .threads = {produces, consumes_one, consumes_two}, __VA_ARGS__)
#if defined(MODEL_CK_FIXED)
CK(fixed_on_any_processor, .preemptions = 3, .stale = 2)
#elif defined(MODEL_CK_PORTABLE)
CK(on_any_processor, .preemptions = 2, .stale = 1, .finds = "data race: a write after a read")
#else
CK(on_x86, .preemptions = 3, .stale = 2)
#endif
