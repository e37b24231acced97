/* enrich_orders.c: rows → enrich → write: a file of orders into a database, each row once, however often the program is killed on the way.
 *
 *     enrich_orders DATABASE FILE [WORKERS [PATIENCE]]
 *
 * FILE has LOBSTER's messages, as those in examples/data: time, type, order id, size, price, direction. Each row becomes one of the table `orders`,
 * under its line number, with what the tables `kinds` and `ticks` of the same database say of it, with its value and with the volume of its minute so
 * far. A row that is not as it should be goes to `rejects`, with the reason. WORKERS: 4. PATIENCE: how many milliseconds to wait while another
 * program writes into the database: 5000.
 *
 *     lines ──► enrich, by several workers ──► one writer: a transaction for as many rows as have come meanwhile
 *               each with a connection         the rows, the sums of their minutes, and the position in the file
 *     The channels between are bounded: the file is read as fast as the database takes it. The map is ordered, so rows come to the writer as they
 *     stand in the file, and what it writes does not depend on the number of workers, nor on where one transaction ends and the next one begins.
 *
 * Exactly once
 *   The position moves in the transaction that writes the rows before it, or neither happens. So it always says which rows are there; a run begins
 *   behind it. The transaction moves it from where this run believes it to be, or fails: a second run at the same time cannot write a row twice
 *   either. The position is the number of lines and a digest of them all: the file may have grown since, and if it is another one, nothing is
 *   written. A last line without a newline is taken if it is whole, as in LOBSTER's files. If it is not, somebody may still be writing it: it is left
 *   where it is.
 *
 * Where to read
 *   enrich_orders/file.h     lines and positions;   row.h   what a line says
 *   enrich_orders/clerk.h    what the database knows of a row
 *   enrich_orders/tables.h   the tables, and the statements that write into them
 *   Here: the pipeline, and the transaction that writes each row once.
 *
 * Exit status: 0: all rows are there; 1: likewise, but some are rejects, or the last line is cut off; 2: the file, the database or a thread could not
 * be had, what had been written stays; 128 + a signal's number, likewise: it can be started again.
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include "enrich_orders/clerk.h"
#include "enrich_orders/file.h"
#include "enrich_orders/row.h"
#include "enrich_orders/tables.h"

enum { BATCH = 512, QUEUE = 256, WORKERS_MAX = 64 };

static const char *program_name = "enrich_orders";

typedef weir_spmc(struct line) line_channel;
typedef weir_mpsc(struct row) row_channel;
typedef weir_chan(struct clerk *) clerk_channel;

static struct app {
    unsigned workers;
    weir_shutdown stop;
    struct file file;
    struct tables tables; /* the writer's */
    int64_t cut;          /* the line that is cut off; 0: none */
    line_channel lines;
    row_channel rows;
    clerk_channel clerks;
    struct clerk clerk[WORKERS_MAX];
    struct row batch[BATCH];
} app;

/* ---- the stages ---- */

static int next_line(weir_ctx *ctx, void *arg, void *value)
{
    (void)ctx;
    return file_line((struct file *)arg, (struct line *)value);
}

static int enrich(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct app *a = (struct app *)arg;
    struct row *r = (struct row *)out;
    struct clerk *clerk;
    int rc;
    memset(r, 0, sizeof *r);
    r->line = *(const struct line *)in;
    r->reason = row_parse(r);
    if (r->reason != NULL)
        return 0;
    if ((rc = weir_recv(ctx, a->clerks, &clerk)) != 0)
        return rc;
    rc = clerk_look_up(clerk, r);
    (void)weir_send(NULL, a->clerks, &clerk); /* there is room for all of them */
    return rc;
}

/* All of the batch, and the position behind it, or nothing. */
static int write_batch(struct app *a, const struct row *rows, size_t n)
{
    struct tables *t = &a->tables;
    struct position to;
    int rc;
    if (rows[n - 1].reason != NULL && rows[n - 1].line.cut) {
        a->cut = rows[n - 1].line.at.line;
        if (--n == 0)
            return 0;
    }
    to = rows[n - 1].line.at;
    if ((rc = tables_do(t, "BEGIN IMMEDIATE")) != 0) /* waits here for other writers, and nowhere else */
        return rc;
    rc = tables_move(t, &to);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = rows[i].reason != NULL ? tables_add_reject(t, &rows[i]) : tables_add_row(t, &rows[i]);
    if (rc == 0 && (rc = tables_do(t, "COMMIT")) == 0)
        t->written = to;
    else
        (void)sqlite3_exec(t->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* A stage: the more rows come while it writes, the more go into the next transaction. */
static int write_all(weir_ctx *ctx, void *arg)
{
    struct app *a = (struct app *)arg;
    size_t n;
    int rc;
    while ((rc = weir_recv_n(ctx, a->rows, a->batch, BATCH, &n)) == 0)
        if ((rc = write_batch(a, a->batch, n)) != 0)
            return rc;
    return rc == EPIPE ? 0 : rc;
}

static int run_pipeline(struct app *a)
{
    const weir_stage_opt workers = {.name = "enrich", .workers = a->workers, .ordered = true};
    const weir_stage_opt reader = {.name = "read"}, writer = {.name = "write"};
    weir_pipeline p;
    weir_pipeline_init(&p, weir_shutdown_ctx(&a->stop));
    (void)weir_generate(&p, a->lines, next_line, &a->file, &reader);
    (void)weir_map(&p, a->lines, a->rows, enrich, a, &workers);
    (void)weir_pipeline_go(&p, &writer, write_all, a, NULL, 0);
    return weir_pipeline_wait(&p); /* says, too, if one of them could not be started */
}

/* ---- the beginning and the end ---- */

/* Passes the lines that are in the database. They have to be the same ones. */
static int skip_written(struct app *a)
{
    const struct position *written = &a->tables.written;
    const int rc = file_skip(&a->file, written);
    if (rc == EINVAL)
        fprintf(stderr, "enrich_orders: %s: not the file whose first %lld lines are in %s\n", a->file.name,
                (long long)written->line, a->tables.file);
    if (rc == 0 && written->line > 0)
        printf("goes on after line %lld\n", (long long)written->line);
    return rc;
}

static int open_clerks(struct app *a)
{
    int rc = weir_chan_make(&a->clerks, a->workers);
    for (unsigned i = 0; i < a->workers && rc == 0; i++) {
        struct clerk *c = &a->clerk[i];
        if ((rc = clerk_open(c, a->tables.file, a->tables.patience)) == 0)
            rc = weir_send(NULL, a->clerks, &c);
    }
    return rc;
}

/* 0, or why nothing was done. Says so. */
static int open_all(struct app *a, const char *database, const char *file)
{
    int rc;
    a->tables.file = database;
    if ((rc = file_open(&a->file, file)) != 0)
        return rc;
    if ((rc = tables_open(&a->tables)) == 0 && (rc = skip_written(a)) == 0 && (rc = open_clerks(a)) == 0 &&
        (rc = weir_chan_make(&a->lines, QUEUE)) == 0)
        rc = weir_chan_make(&a->rows, QUEUE);
    if (rc == ENOMEM)
        fprintf(stderr, "enrich_orders: %s\n", weir_error_text(rc));
    return rc;
}

static void close_all(struct app *a)
{
    for (unsigned i = 0; i < WORKERS_MAX; i++)
        clerk_close(&a->clerk[i]);
    tables_close(&a->tables);
    if (a->file.in != NULL)
        fclose(a->file.in);
    weir_chan_free(&a->clerks);
    weir_chan_free(&a->lines);
    weir_chan_free(&a->rows);
}

static int judge(const struct app *a, int rc, int signal)
{
    int64_t rejects;
    if (rc != 0 && signal == 0) {
        if (rc != EIO && rc != EBUSY)
            fprintf(stderr, "enrich_orders: %s\n", weir_error_text(rc));
        return 2;
    }
    rejects = tables_summary(&a->tables);
    if (rc != 0)
        return 128 + signal;
    if (a->cut > 0)
        fprintf(stderr, "enrich_orders: %s:%lld: cut off; left for the next run\n", a->file.name, (long long)a->cut);
    return rejects < 0 ? 2 : rejects > 0 || a->cut > 0;
}

int main(int argc, char **argv)
{
    const weir_shutdown_config watched = {.watch = true};
    struct app *a = &app;
    const int workers = argc > 3 ? atoi(argv[3]) : 4, patience = argc > 4 ? atoi(argv[4]) : 5000;
    int rc, status;
    if (argc < 3 || argc > 5 || workers < 1 || workers > WORKERS_MAX || patience < 0) {
        fprintf(stderr, "usage: enrich_orders DATABASE FILE [WORKERS [PATIENCE]]\n");
        return 2;
    }
    a->workers = (unsigned)workers;
    if ((rc = weir_shutdown_init(&a->stop, &watched)) != 0) {
        fprintf(stderr, "enrich_orders: %s\n", weir_error_text(rc));
        return 2;
    }
    a->tables.stop = weir_shutdown_ctx(&a->stop);
    a->tables.patience = WEIR_MS(patience);
    status = open_all(a, argv[1], argv[2]);
    if (status == 0) {
        rc = run_pipeline(a);
        status = judge(a, rc, weir_shutdown_signal(&a->stop));
    } else {
        status = weir_shutdown_signal(&a->stop) != 0 ? 128 + weir_shutdown_signal(&a->stop) : 2;
    }
    close_all(a);
    (void)weir_shutdown_free(&a->stop);
    return status;
}
