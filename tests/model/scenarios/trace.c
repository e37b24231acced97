/* tests/model/scenarios/trace.c: a trace whose places are fought for: no event is torn, none is lost while there is room, and a place keeps the
 * later event.
 */
#include "model/calls.h"

static weir_trace trace;
static weir_trace_event slots[2];
static weir_trace_event copy;
static int copied; /* 0, or the event that was copied */

MODEL_OUTSIDE static void begin(size_t capacity, bool newest)
{
    const weir_trace_opt opt = {newest};
    MODEL_CHECK(weir_trace_init(&trace, slots, capacity, &opt) == 0);
    copied = 0;
    model_name(&slots[0].stamp, sizeof slots[0].stamp, "stamp");
    model_name(&trace.next, sizeof trace.next, "next");
}
THREAD(one_of_the_last, begin(1, true))
THREAD(two_of_the_last, begin(2, true))
THREAD(two_of_the_first, begin(2, false))

static void record(uint64_t event)
{
    weir_trace_record(&trace, "event", NULL, (weir_ns)event, (weir_ns)event * 2, event);
}
static bool whole(const weir_trace_event *e)
{
    return e->id > 0 && e->begin == (weir_ns)e->id && e->end == (weir_ns)e->id * 2;
}
THREAD(records_1, record(1))
THREAD(records_2, record(2))
THREAD(records_3, record(3))
THREAD(records_1_2, record(1); record(2))
THREAD(records_3_4, record(3); record(4))
THREAD(
    copies, if (weir__trace_copy(&slots[0], &copy)) {
        MODEL_CHECK(whole(&copy));
        copied = (int)copy.id;
    })

THREAD(both_are_there, MODEL_CHECK(whole(&slots[0]) && whole(&slots[1]) && slots[0].id != slots[1].id);
       MODEL_CHECK(weir_trace_count(&trace) == 2 && weir_trace_dropped(&trace) == 0); MODEL_SAW(copied))
THREAD(two_are_there, MODEL_CHECK(whole(&slots[0]) && whole(&slots[1]));
       MODEL_CHECK(weir_trace_count(&trace) == 2 && weir_trace_dropped(&trace) == 1))
THREAD(one_is_there, MODEL_CHECK(whole(&slots[0]) && slots[0].stamp != WEIR__TRACE_BUSY);
       MODEL_CHECK(weir_trace_dropped(&trace) == trace.next - 1); MODEL_SAW(copied))

/* In the order of their numbers where nobody was in the way: one that has been copied is never followed by an earlier one. */
THREAD(copies_twice, copies(); const uint64_t first = copied == 0 ? 0 : copy.stamp; copies();
       MODEL_CHECK(copied == 0 || copy.stamp >= first))

MODEL(trace_room_for_both, .setup = two_of_the_first, .finish = both_are_there, .preemptions = 3, .stale = 2,
      .threads = {records_1, records_2, copies}, .sees = 7)
MODEL(trace_no_room_for_the_third, .setup = two_of_the_first, .finish = two_are_there, .preemptions = 3, .stale = 2,
      .threads = {records_1, records_2, records_3})
MODEL(trace_one_place, .setup = one_of_the_last, .finish = one_is_there, .preemptions = 3, .stale = 2,
      .threads = {records_1_2, records_3_4, copies}, .sees = 31)
MODEL(trace_overtaken, .setup = one_of_the_last, .finish = one_is_there, .preemptions = 3, .stale = 2,
      .threads = {records_1, records_2, records_3, copies_twice})
MODEL(trace_two_places, .setup = two_of_the_last, .finish = two_are_there, .preemptions = 3, .stale = 2,
      .threads = {records_1, records_2, records_3})
