/* weir/obs/threads.h: prints the roll of the library's threads (park/roll.h), for whoever looks for one that has been left behind.
 *
 *     thread 4711  sink     in recv on "jobs" for 1.204 s, runs resize
 */
#ifndef WEIR_OBS_THREADS_H
#define WEIR_OBS_THREADS_H

#include "../park/roll.h"

#include <stdio.h>

/* A line for each thread that the library has started and that has not ended: its system id, its name, what it sleeps on and since when, the task
 * that it runs; the youngest first. Any thread; threads that start, end or park meanwhile wait for the printing. */
WEIR_API void weir_threads(FILE *file);

#endif /* WEIR_OBS_THREADS_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_OBS_THREADS_IMPLEMENTED)
#define WEIR_OBS_THREADS_IMPLEMENTED

#ifndef WEIR_NO_ROLL
static void weir__threads_line(const weir__roll_entry *e, void *arg)
{
    FILE *file = (FILE *)arg;
    fprintf(file, "thread %ld  %-15s ", e->id, e->name);
    if (e->what == NULL)
        fputs("running", file);
    else
        fprintf(file, "in %s", e->what);
    if (e->on != NULL)
        fprintf(file, " on \"%s\"", e->on);
    if (e->what != NULL)
        fprintf(file, " for %.3f s", (double)(weir_now() - e->since) / 1e9);
    if (e->task != NULL)
        fprintf(file, ", runs %s", e->task);
    fputc('\n', file);
}
#endif

WEIR_API void weir_threads(FILE *file)
{
#ifdef WEIR_NO_ROLL
    (void)file;
#else
    weir__roll_each(weir__threads_line, file);
#endif
}

#endif /* WEIR_OBS_THREADS_IMPLEMENTED */
