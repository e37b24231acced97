/* fetch_titles.c: the titles of many web pages, into a database: by a pool of workers, each request behind rate limit, breaker, retries and timeouts.
 *
 *     fetch_titles [OPTION N]... DATABASE [FILE]             FILE, or standard input: a URL in each line; "#" begins a comment
 *
 *     --workers    requests at once                  8        --rate      requests a second, of each host      20
 *     --attempts   of each page                      4        --burst     of these at once                     5
 *     --delay      ms before the second one        200        --failures  in a row open a host's breaker       5
 *     --timeout    ms for an attempt              5000        --open      ms for which it stays open         2000
 *     --deadline   ms for a page, with its pauses 60000       --grace     ms to finish in, when it is stopped 3000
 *     --bytes      of a page that are read       65536
 *
 *     lines ──► pool: a job for each page ──► one writer: a transaction for as many pages as have come meanwhile
 *               the policy around each attempt, the first is the outermost:
 *               retry ─ not any more, once it stops ─ breaker of the host ─ rate of the host ─ timeout ─ curl
 *     The pool's queue and the channel are bounded: a long list is read as fast as its pages are written.
 *
 * The table `pages` has a row for each URL, with the outcome:
 *     fetched        status 2xx; the title may be missing
 *     missing        the server has another answer that is final: 404, or too many redirects
 *     failed         no answer, or 5xx or 429, at each attempt; or not asked, because its host's breaker is open: `error` tells
 *     not fetched    the program was stopped before
 *   A second run skips what is fetched or missing, and tries the others again. A line that is no URL is named with its file and number; the others go
 *   on.
 *
 * SIGTERM or SIGINT: nothing more is begun. What is under way may finish, for --grace; then it is cut off. The rest of a file is read, and recorded
 * as not fetched; of a pipe, what is there. A second signal ends it at once: what the writer has committed stays.
 *
 * Where to read
 *   fetch_titles/list.h      the lines;   page.h   what is known of a page;   host.h   the guards of its host
 *   fetch_titles/fetcher.h   one request, by curl;   title.h   the title in it
 *   fetch_titles/store.h     the database;   options.h   the command line
 *   Here: the policy around each attempt, the pipeline, and how it ends.   pages.c   is a server to try it with.
 *
 * Exit status: 0: all fetched; 1: a page is not, or a line was bad; 2: the file, the database or threads could not be had; 128 + the signal's number.
 *
 * A redirect is followed by curl, within the attempt: the guards are those of the host that was asked first. What is between <title> and </title> is
 * taken as it stands: this is no parser of HTML.
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include "fetch_titles/fetcher.h"
#include "fetch_titles/host.h"
#include "fetch_titles/list.h"
#include "fetch_titles/options.h"
#include "fetch_titles/page.h"
#include "fetch_titles/store.h"

#include <signal.h>

enum { BATCH = 100 };

static const char *program_name = "fetch_titles";

typedef weir_mpsc(struct page *) page_channel;
typedef weir_chan(struct fetcher *) fetcher_channel;

static struct app {
    const char *database, *file;
    weir_shutdown stop;
    weir_pipeline pipeline;
    weir_pool pool;
    page_channel results;
    fetcher_channel idle;
    struct fetcher fetcher[WORKERS_MAX];
    int failed; /* what the pipeline ended with */
    struct store store;
    /* the reader's */
    struct list list;
    bool listed; /* it is open */
    long skipped, bad;
    struct hosts hosts;
} app;

static bool stopping(void)
{
    return weir_ctx_err(weir_shutdown_ctx(&app.stop)) != 0;
}

/* ---- the job: a page ---- */

/* What the policy guards. */
static int fetch(weir_ctx *ctx, void *arg)
{
    struct page *p = (struct page *)arg;
    struct fetcher *f;
    int rc = weir_recv(ctx, app.idle, &f);
    if (rc != 0)
        return rc;
    p->attempts++;
    rc = fetcher_get(ctx, f, p);
    (void)weir_send(NULL, app.idle, &f); /* there is room for all of them */
    return rc;
}

/* A layer of our own: no attempt begins once the program stops. */
static int unless_stopping(weir_ctx *ctx, const weir_policy_layer *layer, weir_policy_next *next)
{
    (void)layer;
    return stopping() ? weir_policy_refuse(next, ECANCELED) : weir_policy_go(ctx, next);
}

static int fetch_page(weir_ctx *ctx, void *arg)
{
    static const int passing[] = {ETIMEDOUT, ECONNREFUSED, ECONNRESET, EREMOTEIO};
    struct page *p = (struct page *)arg;
    const weir_retry_config retry = {
        .attempts = (int)option[ATTEMPTS].value, .codes = passing, .n_codes = 4, .delay = ms(DELAY)};
    const weir_policy_layer layers[] = {weir_policy_retry(&retry),
                                        {"shutdown", unless_stopping, NULL, 0},
                                        weir_policy_breaker(&p->host->breaker),
                                        weir_policy_limiter(&p->host->limiter),
                                        weir_policy_timeout(ms(TIMEOUT))};
    weir_policy_report report;
    p->rc = weir_policy_call(ctx, layers, 5, fetch, p, &report);
    if (p->rc != 0 && report.refused_by >= 0) {
        char last[sizeof p->error];
        memcpy(last, p->error, sizeof last);
        snprintf(p->error, sizeof p->error, "refused by the %s: %s%s%.120s", report.name, weir_error_text(p->rc),
                 last[0] != '\0' ? "; before: " : "", last);
    }
    return p->rc;
}

/* To the writer; if there is none any more, nowhere. Waits for room: who fetches is not faster than who writes. */
static void hand_over(struct page *p)
{
    if (weir_send(NULL, app.results, &p) != 0)
        free(p);
}

/* Once for each job, by the worker that has run it, or has found that the pool is stopped. */
static void page_done(const weir_job_result *result, void *unused)
{
    struct page *p = (struct page *)result->output;
    (void)unused;
    p->took = result->running;
    if (!result->ran)
        p->rc = result->error;
    hand_over(p);
}

/* ---- the reader ---- */

/* The page that the line asks for; NULL: none, and that has been counted. */
static struct page *page_of(struct app *a, const char *line, int length)
{
    struct page *p = NULL;
    struct host *host = NULL;
    const char *wrong;
    if (line[0] == '#' || length == 0)
        return NULL;
    if (length > URL_MAX)
        wrong = "too long";
    else if (strlen(line) != (size_t)length)
        wrong = "not text";
    else
        wrong = host_find(&a->hosts, line, &host);
    if (wrong == NULL && store_has(&a->store, line)) {
        a->skipped++;
        return NULL;
    }
    if (wrong == NULL && (p = (struct page *)calloc(1, sizeof *p)) == NULL)
        wrong = "no memory";
    if (wrong != NULL) {
        fprintf(stderr, "fetch_titles: %s:%ld: %s\n", a->file, a->list.line, wrong);
        a->bad++;
        return NULL;
    }
    p->host = host;
    memcpy(p->url, line, (size_t)length + 1);
    return p;
}

/* A stage: each line to the pool. When it has returned, no job is left, and the channel of results is closed. */
static int read_all(weir_ctx *ctx, void *arg)
{
    struct app *a = (struct app *)arg;
    const weir_job_opt opt = {.name = "fetch", .timeout = ms(DEADLINE), .done = page_done};
    char line[URL_MAX + 2];
    int length;
    while (weir_ctx_err(ctx) == 0 && (length = list_next(&a->list, line, URL_MAX + 1)) >= 0) {
        struct page *p = page_of(a, line, length);
        if (p != NULL && weir_pool_submit(ctx, &a->pool, fetch_page, p, &opt) != 0) {
            p->rc = ECANCELED; /* the pool takes no more */
            hand_over(p);
        }
    }
    if (a->list.error != 0) {
        fprintf(stderr, "fetch_titles: %s: %s\n", a->file, strerror(a->list.error));
        a->bad++;
    }
    return weir_pool_drain(NULL, &a->pool);
}

/* ---- the writer ---- */

/* A stage: until all is written, or cannot be. Then the program stops. Its context is no reason to leave anything. */
static int write_all(weir_ctx *ctx, void *arg)
{
    struct app *a = (struct app *)arg;
    struct page *pages[BATCH];
    size_t n;
    int rc;
    (void)ctx;
    while ((rc = weir_recv_n(NULL, a->results, pages, BATCH, &n)) == 0)
        if ((rc = store_batch(&a->store, pages, n)) != 0)
            break;
    (void)weir_close(a->results); /* nobody waits for room any more */
    weir_shutdown_begin(&a->stop, 0);
    return rc == EPIPE ? 0 : rc;
}

/* ---- the end ---- */

/* No job is taken any more, those that have not begun are refused by their policy; those that have may finish. */
static int drain(weir_ctx *ctx, void *arg)
{
    struct app *a = (struct app *)arg;
    weir_ctx grace;
    int rc;
    weir_ctx_init_timeout(&grace, ctx, ms(GRACE));
    rc = weir_pool_drain(&grace, &a->pool);
    weir_ctx_free(&grace);
    return rc == ETIMEDOUT ? weir_pool_stop(&a->pool) : rc;
}

static int finish(weir_ctx *ctx, void *arg)
{
    struct app *a = (struct app *)arg;
    (void)ctx;
    return a->failed = weir_pipeline_wait(&a->pipeline);
}

/* ---- the beginning ---- */

/* 0, or why not. What has been opened stays until close_all. */
static int open_all(struct app *a)
{
    const unsigned workers = (unsigned)option[WORKERS].value;
    int rc = list_open(&a->list, a->file, weir_shutdown_ctx(&a->stop), ms(GRACE));
    if (rc != 0) {
        fprintf(stderr, "fetch_titles: %s: %s\n", a->file, strerror(rc));
        return EIO;
    }
    a->listed = true;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ENOMEM;
    if (store_open(&a->store, a->database) != 0)
        return EIO;
    if (weir_chan_make(&a->results, BATCH) != 0 || weir_chan_make(&a->idle, workers) != 0)
        return ENOMEM;
    for (unsigned i = 0; i < workers; i++) {
        struct fetcher *f = &a->fetcher[i];
        if (!fetcher_open(f))
            return ENOMEM;
        (void)weir_send(NULL, a->idle, &f);
    }
    return weir_pool_start(&a->pool, NULL,
                           &(weir_pool_opt){.min = 1, .max = workers, .queue = 2 * workers, .name = "fetcher"});
}

static void close_all(struct app *a)
{
    (void)weir_pool_free(&a->pool);
    for (struct page *p; a->results.core != NULL && weir_try_recv(a->results, &p) == 0;)
        free(p); /* the writer could not */
    weir_chan_free(&a->results);
    weir_chan_free(&a->idle);
    for (int i = 0; i < WORKERS_MAX; i++)
        fetcher_close(&a->fetcher[i]);
    curl_global_cleanup();
    store_close(&a->store);
    hosts_free(&a->hosts);
    if (a->listed)
        list_close(&a->list);
}

/* The two stages, until all is done or a signal comes; then the phases of the end. */
static void run(struct app *a)
{
    const weir_closer closes[] = {WEIR_CLOSER(a->results)};
    const weir_stage_opt reader = {.name = "read"}, writer = {.name = "write"};
    weir_shutdown_on_phase(&a->stop, WEIR_SHUTDOWN_DRAIN, "requests", ms(GRACE) + WEIR_SEC(10), drain, a);
    weir_shutdown_on_phase(&a->stop, WEIR_SHUTDOWN_FINISH, "database", WEIR_SEC(60), finish, a);
    weir_pipeline_init(&a->pipeline, NULL);
    if (weir_pipeline_go(&a->pipeline, &writer, write_all, a, NULL, 0) != 0)
        weir_shutdown_begin(&a->stop, 0); /* nobody else will */
    (void)weir_pipeline_go(&a->pipeline, &reader, read_all, a, closes, 1);
    (void)weir_shutdown_wait(NULL, &a->stop); /* all_stopped and a->failed tell more */
}

/* Whether every step of the end has returned. If not, a second signal has come, or something hangs, and still uses all this. */
static bool all_stopped(struct app *a)
{
    weir_shutdown_line line[2];
    const size_t n = weir_shutdown_report(&a->stop, line, 2);
    for (size_t i = 0; i < n; i++)
        if (line[i].not_stopped || line[i].not_run)
            return false;
    return true;
}

/* The last line, and the exit status. */
static int judge(struct app *a)
{
    const int signal_number = weir_shutdown_signal(&a->stop);
    printf("%ld fetched, %ld missing, %ld failed, %ld not fetched; %ld skipped, %ld bad lines; %ld attempts\n",
           a->store.outcome[FETCHED], a->store.outcome[MISSING], a->store.outcome[FAILED],
           a->store.outcome[NOT_FETCHED], a->skipped, a->bad, a->store.attempts);
    if (a->failed != 0)
        return 2;
    if (signal_number != 0)
        return 128 + signal_number;
    return a->store.outcome[MISSING] + a->store.outcome[FAILED] + a->store.outcome[NOT_FETCHED] + a->bad > 0;
}

int main(int argc, char **argv)
{
    struct app *a = &app;
    const int i = options_read(argc, argv);
    int rc, status = 2;
    if (i < 0 || argc - i < 1 || argc - i > 2) {
        options_usage();
        return 2;
    }
    a->database = argv[i];
    a->file = argc - i == 2 ? argv[i + 1] : "-";
    (void)signal(SIGPIPE, SIG_IGN); /* a server that hangs up is an error of one transfer */
    if ((rc = weir_shutdown_init(&a->stop, NULL)) == 0 && (rc = open_all(a)) == 0) {
        run(a);
        if (!all_stopped(a)) {
            fprintf(stderr, "fetch_titles: ended before everything had stopped\n");
            _exit(weir_shutdown_signal(&a->stop) != 0 ? 128 + weir_shutdown_signal(&a->stop) : 2);
        }
        status = judge(a);
    } else if (rc != EIO) {
        fprintf(stderr, "fetch_titles: %s\n", weir_error_text(rc));
    }
    close_all(a);
    (void)weir_shutdown_free(&a->stop);
    return status;
}
