/* stream_processor/table.h: the sums of all windows: while they come, the newest of them on a terminal; in the end all of them. */
#ifndef STREAM_PROCESSOR_TABLE_H
#define STREAM_PROCESSOR_TABLE_H

#include "window.h"

enum { VIEW_LINES = 12 };

struct line_of_table {
    weir_ns begin;
    struct sum sum;
};

struct table {
    struct line_of_table *line;
    size_t count, room;
    unsigned drawn; /* lines of the view on the terminal */
};

/* Takes the sums of a pane. */
static inline void table_add(struct table *t, struct pane *pane)
{
    for (size_t i = 0; i < pane->count; i++) {
        if (pane->sums[i].rows == 0)
            continue;
        if (t->count == t->room) {
            t->room = 2 * t->room + 256;
            t->line = (struct line_of_table *)or_die(realloc(t->line, t->room * sizeof *t->line));
        }
        t->line[t->count].begin = pane->begin;
        t->line[t->count++].sum = pane->sums[i];
    }
    free(pane->sums);
}

static inline void table_head(const char *end)
{
    printf("%12s %-12s %8s %12s %14s %14s %14s %7s %7s%s\n", "window", "key", "rows", "size", "mean", "lowest",
           "highest", "up", "down", end);
}

static inline void table_line(const struct line_of_table *l, const char *end)
{
    const struct sum *s = &l->sum;
    printf("%12.3f %-12s %8ld %12.10g %14.4f %14.4f %14.4f %7ld %7ld%s\n", (double)l->begin / 1e9, s->key, s->rows,
           s->size, s->size != 0 ? s->value / s->size : 0, s->low, s->high, s->ups, s->downs, end);
}

/* The lines of the last view are drawn over. "\033[K" clears what is left of a line, "\033[J" what is below. */
static inline void table_erase(struct table *t)
{
    if (t->drawn > 0)
        printf("\033[%uA\r\033[J", t->drawn);
    t->drawn = 0;
}

/* The newest lines, and how far the pipeline is; over the last view. */
static inline void table_draw(struct table *t, weir_pipeline *pipeline)
{
    char text[200];
    weir_progress progress;
    const size_t from = t->count > VIEW_LINES ? t->count - VIEW_LINES : 0;
    table_erase(t);
    printf("\033[?7l"); /* a line that is too long for the terminal is cut off, and stays one */
    table_head("\033[K");
    for (size_t i = from; i < t->count; i++)
        table_line(&t->line[i], "\033[K");
    t->drawn = (unsigned)(t->count - from) + 1;
    if (weir_pipeline_progress(pipeline, &progress, NULL, 0) == 0) {
        (void)weir_progress_line(text, sizeof text, &progress, NULL);
        printf("%s\033[K\n", text);
        t->drawn++;
    }
    printf("\033[?7h");
    (void)fflush(stdout);
}

static inline int by_window_and_key(const void *a, const void *b)
{
    const struct line_of_table *x = (const struct line_of_table *)a, *y = (const struct line_of_table *)b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : strcmp(x->sum.key, y->sum.key);
}

/* All lines, sorted. */
static inline void table_print(struct table *t)
{
    table_erase(t);
    if (t->count > 0)
        qsort(t->line, t->count, sizeof *t->line, by_window_and_key);
    table_head("");
    for (size_t i = 0; i < t->count; i++)
        table_line(&t->line[i], "");
}

#endif /* STREAM_PROCESSOR_TABLE_H */
