/* weir/flow/bar.h: the progress of a pipeline as one line of text, and a thread that keeps it on a terminal.
 *
 *     weir_pipeline_watch(&p, &watch);
 *     weir_pipeline_bar(&p, stderr, NULL);               drawn until weir_pipeline_wait returns
 *
 *     rows [==========>             ]  43%  430/1000  2 failed  120/s  0:04 left
 *
 * On a terminal the line is drawn over itself, ten times a second, and ends with a newline at the end. Elsewhere, in a log, each is a line, one in
 * ten seconds, and one at the end. A program that draws by itself has weir_progress_line.
 */
#ifndef WEIR_FLOW_BAR_H
#define WEIR_FLOW_BAR_H

#include "progress.h"

#include <stdio.h>

enum { WEIR_BAR_AUTO, WEIR_BAR_TERMINAL, WEIR_BAR_LINES };

/* Zero means the default, for each. */
typedef struct weir_bar_opt {
    const char *label; /* before the line; kept as a pointer. Nothing */
    unsigned width;    /* of what is between the brackets; 24 */
    int style;         /* WEIR_BAR_AUTO: whether the file is a terminal */
    weir_ns every;     /* from one drawing to the next; 100 ms on a terminal, else 10 s */
} weir_bar_opt;

/* The line, without a newline, into a buffer of `size` bytes; opt may be NULL. Without a total there is no bar and no ETA, but the time that has
 * passed, as at the end. 0; EOVERFLOW: the buffer has only the beginning. 160 bytes are enough, beside label and bar. One thread for each buffer. */
WEIR_API int weir_progress_line(char *buffer, size_t size, const weir_progress *progress, const weir_bar_opt *opt);

/* Starts a thread that draws the pipeline's progress to the file, now and then and, by weir_pipeline_wait, at the end. opt may be NULL, and is
 * copied. file is open until weir_pipeline_wait has returned; nobody else writes to it meanwhile, where the line is drawn over itself. What it does
 * not take is lost. 0; EINVAL: the pipeline is not watched; ENOMEM, EAGAIN: no bar, and the pipeline goes on without. */
WEIR_API int weir_pipeline_bar(weir_pipeline *p, FILE *file, const weir_bar_opt *opt);

#endif /* WEIR_FLOW_BAR_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_BAR_IMPLEMENTED)
#define WEIR_FLOW_BAR_IMPLEMENTED

#include "../core/memory.h"
#include "../ctx/sleep.h"
#include "../obs/text.h"
#include "../park/roll.h"

#ifndef WEIR_IS_TERMINAL
#ifdef __cplusplus
extern "C" {
#endif
/* -std=c11 hides them (core/system.h). Sources: fileno(3), isatty(3). */
extern int weir__libc_fileno(FILE *file) __asm__("fileno");
extern int weir__libc_isatty(int fd) __asm__("isatty");
#ifdef __cplusplus
}
#endif
#define WEIR_IS_TERMINAL(file) (weir__libc_isatty(weir__libc_fileno(file)) == 1)
#endif

#define WEIR__BAR_WIDTH 24

/* ---- the line --------------------------------------------------------------------------------------------------------------- */

static void weir__line_put(weir__text *t, char c, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        weir__text_put(t, &c, 1);
}

/* A number, with blanks before it up to so many places. */
static void weir__line_number(weir__text *t, uint64_t value, int places)
{
    for (uint64_t bound = 10; places > 1; places--, bound *= 10)
        if (value < bound)
            weir__text_put(t, " ", 1);
    weir__text_u64(t, value);
}

static void weir__line_time(weir__text *t, weir_ns time)
{
    const uint64_t seconds = (uint64_t)(time / WEIR_SEC(1)), rest[] = {seconds / 60 % 60, seconds % 60};
    if (seconds >= 3600) {
        weir__text_u64(t, seconds / 3600);
        weir__text_put(t, ":", 1);
    }
    if (seconds >= 3600 && rest[0] < 10)
        weir__text_put(t, "0", 1);
    weir__text_u64(t, rest[0]);
    weir__text_string(t, rest[1] < 10 ? ":0" : ":");
    weir__text_u64(t, rest[1]);
}

/* Whole, from 10 on; below with a digit behind the point. */
static void weir__line_rate(weir__text *t, double rate)
{
    const uint64_t tenths = (uint64_t)((rate < 1e18 ? rate : 1e18) * 10 + 0.5);
    weir__text_u64(t, tenths < 100 ? tenths / 10 : (tenths + 5) / 10);
    if (tenths < 100 && tenths % 10 != 0) {
        weir__text_put(t, ".", 1);
        weir__text_u64(t, tenths % 10);
    }
    weir__text_string(t, "/s");
}

static void weir__line_bar(weir__text *t, const weir_progress *progress, unsigned width)
{
    const double share = progress->done < progress->total ? (double)progress->done / (double)progress->total : 1;
    const uint64_t full = (uint64_t)(share * width);
    weir__text_put(t, "[", 1);
    weir__line_put(t, '=', full);
    if (full < width)
        weir__text_put(t, ">", 1);
    weir__line_put(t, ' ', full < width ? width - full - 1 : 0);
    weir__text_string(t, "] ");
    weir__line_number(t, (uint64_t)(share * 100), 3);
    weir__text_string(t, "%  ");
}

WEIR_API int weir_progress_line(char *buffer, size_t size, const weir_progress *progress, const weir_bar_opt *opt)
{
    weir__text t;
    weir__text_init(&t, NULL, buffer, size);
    if (opt != NULL && opt->label != NULL) {
        weir__text_string(&t, opt->label);
        weir__text_put(&t, " ", 1);
    }
    if (progress->total > 0)
        weir__line_bar(&t, progress, opt == NULL || opt->width == 0 ? WEIR__BAR_WIDTH : opt->width);
    weir__text_u64(&t, progress->done);
    if (progress->total > 0) {
        weir__text_put(&t, "/", 1);
        weir__text_u64(&t, progress->total);
    }
    weir__text_string(&t, "  ");
    if (progress->failed > 0) {
        weir__text_u64(&t, progress->failed);
        weir__text_string(&t, " failed  ");
    }
    weir__line_rate(&t, progress->rate);
    weir__text_string(&t, "  ");
    if (progress->total > 0 && !progress->ended && progress->eta == WEIR_FOREVER) {
        weir__text_string(&t, "-:-- left");
    } else if (progress->total > 0 && !progress->ended) {
        weir__line_time(&t, progress->eta);
        weir__text_string(&t, " left");
    } else {
        weir__line_time(&t, progress->elapsed);
    }
    return weir__text_end(&t);
}

/* ---- the thread ------------------------------------------------------------------------------------------------------------- */

typedef struct weir__bar {
    weir__pipeline_end end; /* first */
    weir_pipeline *pipeline;
    FILE *file;
    weir_bar_opt opt;
    weir_ctx ctx; /* of its own: it outlives the pipeline's, to draw the end */
    weir__thread thread;
    size_t shown; /* how long the line is that stands there */
} weir__bar;

/* last: nothing is drawn over it. */
static void weir__bar_draw(weir__bar *b, bool last)
{
    char line[512], blanks[512];
    weir_progress progress;
    size_t length, gone;
    (void)weir_pipeline_progress(b->pipeline, &progress, NULL, 0); /* it is watched until the bar has ended */
    (void)weir_progress_line(line, sizeof line, &progress, &b->opt);
    length = strlen(line);
    gone = b->opt.style == WEIR_BAR_TERMINAL && b->shown > length ? b->shown - length : 0;
    memset(blanks, ' ', sizeof blanks);
    b->shown = length;
    (void)fprintf(b->file, "%s%s%.*s%s", b->opt.style == WEIR_BAR_TERMINAL ? "\r" : "", line, (int)gone, blanks,
                  b->opt.style == WEIR_BAR_LINES || last ? "\n" : "");
    (void)fflush(b->file);
}

static void *weir__bar_main(void *arg)
{
    weir__bar *b = (weir__bar *)arg;
    weir__roll_entry entry;
    weir__roll_enter(&entry, "bar");
    weir_thread_name("bar");
    do
        weir__bar_draw(b, false);
    while (weir_sleep(&b->ctx, b->opt.every) == 0);
    weir__bar_draw(b, true);
    weir__roll_leave(&entry);
    return NULL;
}

static void weir__bar_end(weir__pipeline_end *end)
{
    weir__bar *b = (weir__bar *)(void *)end;
    weir_ctx_cancel(&b->ctx, 0);
    weir__roll_join(b->thread, "bar");
    weir_ctx_free(&b->ctx);
    WEIR_FREE(b);
}

WEIR_API int weir_pipeline_bar(weir_pipeline *p, FILE *file, const weir_bar_opt *opt)
{
    weir__bar *b;
    int rc;
    if (!p->rooms.watched)
        return EINVAL;
    b = (weir__bar *)WEIR_ALLOC(16, sizeof *b);
    if (b == NULL)
        return ENOMEM;
    memset(b, 0, sizeof *b);
    b->end.fn = weir__bar_end;
    b->pipeline = p;
    b->file = file;
    if (opt != NULL)
        b->opt = *opt;
    if (b->opt.style == WEIR_BAR_AUTO)
        b->opt.style = WEIR_IS_TERMINAL(file) ? WEIR_BAR_TERMINAL : WEIR_BAR_LINES;
    if (b->opt.every <= 0)
        b->opt.every = b->opt.style == WEIR_BAR_TERMINAL ? WEIR_MS(100) : WEIR_SEC(10);
    weir_ctx_init(&b->ctx, NULL);
    rc = weir__roll_start(&b->thread, weir__bar_main, b);
    if (rc == 0) {
        weir__pipeline_at_end(p, &b->end);
        return 0;
    }
    weir_ctx_free(&b->ctx);
    WEIR_FREE(b);
    return rc;
}

#endif /* WEIR_FLOW_BAR_IMPLEMENTED */
