/* tests/model/trace.h: what happened, one column per thread, for a person to read. Written only while an execution is replayed. */
#ifndef WEIR_MODEL_TRACE_H
#define WEIR_MODEL_TRACE_H

#include "schedule.h"

#include <stdarg.h>

enum { TRACE_NAMES = 128, TRACE_COLUMN = 58 };

static struct trace {
    bool on;
    int names;
    struct trace_name {
        uintptr_t begin, end;
        const char *name;
    } name[TRACE_NAMES];
} trace;

/* Gives a name to a piece of memory; a later one for the same bytes, or a part of them, wins. */
void model_name(const void *p, size_t size, const char *name)
{
    if (trace.names == TRACE_NAMES)
        return;
    trace.name[trace.names].begin = (uintptr_t)p;
    trace.name[trace.names].end = (uintptr_t)p + size;
    trace.name[trace.names++].name = name;
}

static const char *trace_place(const void *p)
{
    static char text[64];
    const uintptr_t at = (uintptr_t)p;
    for (int i = trace.names - 1; i >= 0; i--) {
        const struct trace_name *n = &trace.name[i];
        if (at < n->begin || at >= n->end)
            continue;
        if (at == n->begin)
            return n->name;
        snprintf(text, sizeof text, "%s+%u", n->name, (unsigned)(at - n->begin));
        return text;
    }
    for (int t = 0; t < schedule.threads; t++) {
        if (at < (uintptr_t)schedule.stack[t] || at >= (uintptr_t)schedule.stack[t] + FIBER_STACK)
            continue;
        snprintf(text, sizeof text, "thread %d's stack-%u", t,
                 (unsigned)((uintptr_t)schedule.stack[t] + FIBER_STACK - at));
        return text;
    }
    snprintf(text, sizeof text, "word%d", memory_number(p));
    return text;
}

static const char *trace_order(int order)
{
    static const char *const names[] = {"rlx", "con", "acq", "rel", "ar", "sc"};
    return order >= 0 && order < 6 ? names[order] : "?";
}

/* where: the function that did it. */
#define TRACE(...) (trace.on ? trace_line(__VA_ARGS__) : (void)0)
static void trace_line(const char *where, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void trace_line(const char *where, const char *format, ...)
{
    va_list rest;
    printf("#   %*s%d %s ", schedule.running ? schedule.self * TRACE_COLUMN : 0, "",
           schedule.running ? schedule.self : -1, where);
    va_start(rest, format);
    vprintf(format, rest);
    va_end(rest);
    printf("\n");
}

#endif /* WEIR_MODEL_TRACE_H */
