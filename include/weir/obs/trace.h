/* weir/obs/trace.h: what ran when, on which thread, and for which request, for chrome://tracing and ui.perfetto.dev.
 *
 *     static weir_trace_event events[10000];
 *     weir_trace_init(&trace, events, 10000, NULL);
 *     …anywhere:  const weir_ns begun = weir_now();
 *                 rows = parse(line);
 *                 weir_trace_record(&trace, "parse", "stage", begun, weir_now(), weir_correlation(ctx));
 *     weir_trace_write(&trace, file);                          a JSON file that these programs open
 *
 * Meaning
 *   Events are kept in the caller's array; the first that fit, or (newest) the last, as a flight recorder does. The rest is counted.
 *   One with a correlation id is joined by arrows with the others that have it, in the order in which they began.
 *   A NULL trace records nothing, and costs a comparison.
 *
 * Implementation
 *   Whoever records takes a number, which says the slot, and locks the slot by changing its stamp, without ever waiting: if somebody else is in it
 *   (one that is a whole lap behind or ahead, or weir_trace_write, which copies it), the event is dropped and counted.
 *       stamp    0 empty     BUSY somebody is in it     else 1 + the number of its event
 *   An event that comes to a slot with a later one than itself is dropped: it has been overtaken by a whole lap.
 *
 * Who may call what at once: init, one thread, before. All else: any thread. Progress: record is wait-free; a system call or two for a thread's
 * first event.
 *
 * Source: "Trace Event Format", Google, 2016: complete events (X), flow events (s, t, f), metadata (M).
 */
#ifndef WEIR_OBS_TRACE_H
#define WEIR_OBS_TRACE_H

#include "../core/atomic.h"
#include "../core/thread.h"
#include "../core/time.h"
#include "text.h"

typedef struct weir_trace_event {
    weir__atomic_u64 stamp;
    const char *name, *category;
    weir_ns begin, end;
    uint64_t id; /* the correlation id; 0: none */
    long thread; /* the system's number */
    char thread_name[16];
} weir_trace_event;

/* Zero means the default, for each. */
typedef struct weir_trace_opt {
    bool newest; /* keep the last events, not the first */
} weir_trace_opt;

typedef struct weir_trace {
    weir__atomic_u64 next; /* the number of the next event, from 0 */
    weir_trace_event *events;
    size_t capacity;
    weir_trace_opt opt;
} weir_trace;

/* events: `capacity` of them, the caller's, which outlive the trace. opt may be NULL, and is copied. EINVAL: no capacity. */
WEIR_API int weir_trace_init(weir_trace *t, weir_trace_event *events, size_t capacity, const weir_trace_opt *opt);

WEIR_API void weir__trace_keep(weir_trace *t, const char *name, const char *category, weir_ns begin, weir_ns end,
                               uint64_t id);

/* name and category are kept as pointers. begin, end: points on weir_now's clock, 0 or later; an end before the beginning counts as the beginning.
 * id: 0 is none. */
static inline void weir_trace_record(weir_trace *t, const char *name, const char *category, weir_ns begin, weir_ns end,
                                     uint64_t id)
{
    if (t != NULL)
        weir__trace_keep(t, name, category, begin, end, id);
}

/* How many events are kept, and how many have been dropped or overwritten; exact while nobody records. */
WEIR_API size_t weir_trace_count(weir_trace *t);
WEIR_API uint64_t weir_trace_dropped(weir_trace *t);

/* Writes all that is kept, sorted by the time of their beginning, as JSON. 0; ENOMEM: it needs memory for a copy, and nothing is written; EIO: the
 * file took not all. Others may record meanwhile; what they want to put into the slot that is being copied is dropped. */
WEIR_API int weir_trace_write(weir_trace *t, FILE *file);

#endif /* WEIR_OBS_TRACE_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_TRACE_IMPLEMENTED)
#define WEIR_OBS_TRACE_IMPLEMENTED

#include "../core/memory.h"

#include <stdlib.h>

#define WEIR__TRACE_BUSY UINT64_MAX

/* ---- recording ------------------------------------------------------------------------------------------------------------- */

/* The calling thread, as it was called when it recorded its first event (in this process). */
static void weir__trace_thread(weir_trace_event *e)
{
#ifdef WEIR_NO_ROLL /* as on the model's fibers, which have no thread-locals */
    memset(e->thread_name, 0, sizeof e->thread_name);
    e->thread = WEIR_THREAD_NUMBER();
#else
    static WEIR_THREAD_LOCAL struct {
        uint32_t forks;
        long number;
        char name[16];
    } own;
    const uint32_t forks = weir__fork_count();
    if (own.number == 0 || own.forks != forks) {
        WEIR_THREAD_GET_NAME(own.name);
        own.number = WEIR_THREAD_NUMBER();
        own.forks = forks;
    }
    e->thread = own.number;
    memcpy(e->thread_name, own.name, sizeof own.name);
#endif
}

WEIR_API int weir_trace_init(weir_trace *t, weir_trace_event *events, size_t capacity, const weir_trace_opt *opt)
{
    memset(t, 0, sizeof *t);
    if (capacity == 0)
        return EINVAL;
    memset(events, 0, capacity * sizeof *events);
    t->events = events;
    t->capacity = capacity;
    if (opt != NULL)
        t->opt = *opt;
    return 0;
}

WEIR_API void weir__trace_keep(weir_trace *t, const char *name, const char *category, weir_ns begin, weir_ns end,
                               uint64_t id)
{
    const uint64_t number = weir__add_rlx(&t->next, 1);
    weir_trace_event *e = &t->events[number % t->capacity];
    uint64_t stamp = weir__load_rlx(&e->stamp);
    if (number >= t->capacity && !t->opt.newest)
        return;
    /* (A) Acquire: whoever was in the slot before has left it. */
    if (stamp > number || !weir__cas_acq(&e->stamp, &stamp, WEIR__TRACE_BUSY))
        return;
    e->name = name;
    e->category = category;
    e->begin = begin > 0 ? begin : 0;
    e->end = end > e->begin ? end : e->begin;
    e->id = id;
    weir__trace_thread(e);
    weir__store_rel(&e->stamp, number + 1); /* pairs with (A) and (B) */
}

/* Copies an event. False: there is none, or somebody is in the slot. */
static bool weir__trace_copy(weir_trace_event *e, weir_trace_event *to)
{
    uint64_t stamp = weir__load_rlx(&e->stamp);
    /* (B) Acquire: what was recorded. */
    if (stamp == 0 || stamp == WEIR__TRACE_BUSY || !weir__cas_acq(&e->stamp, &stamp, WEIR__TRACE_BUSY))
        return false;
    to->stamp = stamp;
    to->name = e->name;
    to->category = e->category;
    to->begin = e->begin;
    to->end = e->end;
    to->id = e->id;
    to->thread = e->thread;
    memcpy(to->thread_name, e->thread_name, sizeof to->thread_name);
    weir__store_rel(&e->stamp, stamp); /* pairs with (A): the next one writes after we have read */
    return true;
}

WEIR_API size_t weir_trace_count(weir_trace *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->capacity; i++)
        n += weir__load_rlx(&t->events[i].stamp) != 0;
    return n;
}

WEIR_API uint64_t weir_trace_dropped(weir_trace *t)
{
    const uint64_t kept = weir_trace_count(t), all = weir__load_rlx(&t->next);
    return all > kept ? all - kept : 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------------------- */

static void weir__trace_json(weir__text *t, char c)
{
    char code[8];
    if (c == '"' || c == '\\') {
        weir__text_put(t, "\\", 1);
        weir__text_put(t, &c, 1);
    } else if ((unsigned char)c < 0x20 || c == 0x7f) {
        snprintf(code, sizeof code, "\\u%04x", (unsigned)c);
        weir__text_string(t, code);
    } else {
        weir__text_put(t, &c, 1);
    }
}

static void weir__trace_member(weir__text *t, const char *name, const char *value)
{
    weir__text_put(t, "\"", 1);
    weir__text_string(t, name);
    weir__text_string(t, "\":\"");
    weir__text_escaped(t, value == NULL ? "" : value, weir__trace_json);
    weir__text_put(t, "\"", 1);
}

/* Nanoseconds as the microseconds that the format has. */
static void weir__trace_time(weir__text *t, const char *name, weir_ns value)
{
    char text[64];
    snprintf(text, sizeof text, ",\"%s\":%lld.%03d", name, (long long)(value / 1000), (int)(value % 1000));
    weir__text_string(t, text);
}

/* The members that all have: phase, process, thread. */
static void weir__trace_head(weir__text *t, const char *phase, const weir_trace_event *e)
{
    char text[96];
    snprintf(text, sizeof text, ",\n{\"ph\":\"%s\",\"pid\":%ld,\"tid\":%ld,", phase, WEIR_PROCESS_NUMBER(), e->thread);
    weir__text_string(t, text);
}

static void weir__trace_thread_name(weir__text *t, const weir_trace_event *e)
{
    weir__trace_head(t, "M", e);
    weir__text_string(t, "\"name\":\"thread_name\",\"args\":{");
    weir__trace_member(t, "name", e->thread_name);
    weir__text_string(t, "}}");
}

static void weir__trace_complete(weir__text *t, const weir_trace_event *e)
{
    char text[64];
    weir__trace_head(t, "X", e);
    weir__trace_member(t, "name", e->name);
    weir__text_put(t, ",", 1);
    weir__trace_member(t, "cat", e->category);
    weir__trace_time(t, "ts", e->begin);
    weir__trace_time(t, "dur", e->end - e->begin);
    if (e->id != 0) {
        snprintf(text, sizeof text, ",\"args\":{\"correlation\":\"%llu\"}", (unsigned long long)e->id);
        weir__text_string(t, text);
    }
    weir__text_put(t, "}", 1);
}

/* One end, or a stop, of an arrow: it belongs to the event that this thread is in at that time. */
static void weir__trace_flow(weir__text *t, const char *phase, const weir_trace_event *e)
{
    char text[64];
    weir__trace_head(t, phase, e);
    snprintf(text, sizeof text, ",\"id\":\"0x%llx\"", (unsigned long long)e->id);
    weir__trace_member(t, "name", "correlation");
    weir__text_put(t, ",", 1);
    weir__trace_member(t, "cat", "correlation");
    weir__text_string(t, text);
    if (*phase == 'f')
        weir__text_string(t, ",\"bp\":\"e\"");
    weir__trace_time(t, "ts", e->begin);
    weir__text_put(t, "}", 1);
}

static int weir__trace_by_id(const void *one, const void *other)
{
    const weir_trace_event *a = (const weir_trace_event *)one, *b = (const weir_trace_event *)other;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->stamp < b->stamp ? -1 : 1;
}

static int weir__trace_by_thread(const void *one, const void *other)
{
    const weir_trace_event *a = (const weir_trace_event *)one, *b = (const weir_trace_event *)other;
    if (a->thread != b->thread)
        return a->thread < b->thread ? -1 : 1;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1; /* what contains the other comes first */
    return a->stamp < b->stamp ? -1 : 1;
}

static void weir__trace_all(weir__text *t, weir_trace_event *events, size_t n)
{
    qsort(events, n, sizeof *events, weir__trace_by_thread);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || events[i].thread != events[i - 1].thread)
            weir__trace_thread_name(t, &events[i]);
        weir__trace_complete(t, &events[i]);
    }
    qsort(events, n, sizeof *events, weir__trace_by_id);
    for (size_t i = 0; i < n; i++) {
        const bool before = i > 0 && events[i - 1].id == events[i].id;
        const bool after = i + 1 < n && events[i + 1].id == events[i].id;
        if (events[i].id != 0 && (before || after))
            weir__trace_flow(t, before && after ? "t" : after ? "s" : "f", &events[i]);
    }
}

WEIR_API int weir_trace_write(weir_trace *t, FILE *file)
{
    weir__text text;
    char head[128];
    size_t n = 0;
    weir_trace_event *copy = (weir_trace_event *)WEIR_ALLOC(16, t->capacity * sizeof *copy);
    if (copy == NULL)
        return ENOMEM;
    for (size_t i = 0; i < t->capacity; i++)
        n += weir__trace_copy(&t->events[i], &copy[n]);
    weir__text_init(&text, file, NULL, 0);
    snprintf(head, sizeof head, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"dropped\":\"%llu\"},\"traceEvents\":[\n",
             (unsigned long long)weir_trace_dropped(t));
    weir__text_string(&text, head);
    snprintf(head, sizeof head, "{\"ph\":\"M\",\"pid\":%ld,\"name\":\"process_labels\",\"args\":{\"labels\":\"weir\"}}",
             WEIR_PROCESS_NUMBER());
    weir__text_string(&text, head);
    weir__trace_all(&text, copy, n);
    weir__text_string(&text, "\n]}\n");
    WEIR_FREE(copy);
    return weir__text_end(&text);
}

#endif /* WEIR_OBS_TRACE_IMPLEMENTED */
