/* enrich_orders/tables.h: the database's tables, and the statements that write into them. */
#ifndef ENRICH_ORDERS_TABLES_H
#define ENRICH_ORDERS_TABLES_H

#include "../common/database.h"
#include "row.h"
#include "weir.h"

enum { INSERT_ROW, INSERT_REJECT, ADD_TO_MINUTE, MOVE, STATEMENTS };

struct tables {
    const char *file;
    weir_ns patience, busy_since;
    weir_ctx *stop;
    struct position written;
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
};

/* Prices are dollars times 10,000; their steps are those of SEC Rule 612: a cent from one dollar on. A halt has the price -1. WAL: readers do not
 * keep the writer from writing. With it, NORMAL loses no transaction when the program dies, and may lose the last ones when the power fails; they are
 * then written once more. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS kinds(type INTEGER PRIMARY KEY, kind TEXT NOT NULL, trade INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO kinds VALUES (1,'new',0),(2,'reduced',0),(3,'deleted',0),(4,'executed',1),(5,'hidden',1),"
    " (6,'cross',1),(7,'halt',0);"
    "CREATE TABLE IF NOT EXISTS ticks(from_price INTEGER PRIMARY KEY, tick INTEGER NOT NULL CHECK (tick > 0));"
    "INSERT OR IGNORE INTO ticks VALUES (-1,1),(10000,100);"
    "CREATE TABLE IF NOT EXISTS orders(line INTEGER PRIMARY KEY, time INTEGER, order_id INTEGER, size INTEGER,"
    " price INTEGER, side INTEGER, ticks INTEGER, off_tick INTEGER, value INTEGER, minute INTEGER,"
    " minute_volume INTEGER, kind TEXT);"
    "CREATE TABLE IF NOT EXISTS rejects(line INTEGER PRIMARY KEY, reason TEXT NOT NULL, text BLOB);"
    "CREATE TABLE IF NOT EXISTS minutes(minute INTEGER PRIMARY KEY, messages INTEGER, trades INTEGER, volume INTEGER,"
    " value INTEGER);"
    "CREATE TABLE IF NOT EXISTS position(id INTEGER PRIMARY KEY CHECK (id = 1), line INTEGER, digest INTEGER);"
    "INSERT OR IGNORE INTO position VALUES (1, 0, 0);";

static const char *const statements[STATEMENTS] = {
    "INSERT INTO orders VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)", "INSERT INTO rejects VALUES (?1,?2,?3)",
    "INSERT INTO minutes VALUES (?1,1,?2,?3,?4) ON CONFLICT (minute) DO UPDATE SET messages = messages + 1,"
    " trades = trades + excluded.trades, volume = volume + excluded.volume, value = value + excluded.value"
    " RETURNING volume",
    "UPDATE position SET line = ?1, digest = ?2 WHERE id = 1 AND line = ?3"};

static inline int tables_do(const struct tables *t, const char *sql)
{
    return database_do(t->db, t->file, sql);
}

/* SQLite asks whether to try again while another has the lock: until the patience is over, or a signal comes. */
static inline int tables_wait(void *arg, int tries)
{
    struct tables *t = (struct tables *)arg;
    if (tries == 0)
        t->busy_since = weir_now();
    return weir_now() - t->busy_since < t->patience && weir_sleep(t->stop, WEIR_MS(5)) == 0;
}

/* What is not there yet, it makes. */
static inline int tables_open(struct tables *t)
{
    sqlite3_stmt *s = NULL;
    int rc;
    if (sqlite3_open(t->file, &t->db) != SQLITE_OK)
        return database_failed(t->db, t->file);
    (void)sqlite3_busy_handler(t->db, tables_wait, t);
    if ((rc = tables_do(t, "PRAGMA journal_mode = WAL")) != 0 ||
        (rc = tables_do(t, "PRAGMA synchronous = NORMAL")) != 0 || (rc = tables_do(t, "BEGIN IMMEDIATE")) != 0 ||
        (rc = tables_do(t, schema)) != 0 || (rc = tables_do(t, "COMMIT")) != 0)
        return rc;
    for (int i = 0; i < STATEMENTS; i++)
        if (sqlite3_prepare_v2(t->db, statements[i], -1, &t->statement[i], NULL) != SQLITE_OK)
            return database_failed(t->db, t->file);
    if (sqlite3_prepare_v2(t->db, "SELECT line, digest FROM position", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        rc = database_failed(t->db, t->file);
    else
        t->written = (struct position){sqlite3_column_int64(s, 0), (uint64_t)sqlite3_column_int64(s, 1)};
    (void)sqlite3_finalize(s);
    return rc;
}

static inline void tables_close(struct tables *t)
{
    for (int i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(t->statement[i]);
    (void)sqlite3_close(t->db);
}

/* A statement whose values are bound. EIO: it has failed. RETURNING: *first is the value. */
static inline int tables_run(const struct tables *t, int which, int64_t *first)
{
    sqlite3_stmt *s = t->statement[which];
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        *first = sqlite3_column_int64(s, 0);
        rc = sqlite3_step(s);
    }
    if (rc != SQLITE_DONE)
        (void)database_failed(t->db, t->file);
    (void)sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : EIO;
}

static inline void bind(sqlite3_stmt *s, const int64_t *values, int count)
{
    for (int i = 0; i < count; i++)
        sqlite3_bind_int64(s, i + 1, values[i]);
}

static inline int tables_add_reject(const struct tables *t, const struct row *r)
{
    sqlite3_stmt *s = t->statement[INSERT_REJECT];
    sqlite3_bind_int64(s, 1, r->line.at.line);
    sqlite3_bind_text(s, 2, r->reason, -1, SQLITE_STATIC);
    sqlite3_bind_blob(s, 3, r->line.text, (int)r->line.length, SQLITE_STATIC);
    return tables_run(t, INSERT_REJECT, NULL);
}

static inline int tables_add_row(const struct tables *t, const struct row *r)
{
    const int64_t minute = r->time / 60000000000, value = r->size * r->price, ticks = r->price / r->tick;
    const int64_t sums[] = {minute, r->trade, r->trade * r->size, r->trade * value};
    int64_t volume = 0;
    int rc;
    bind(t->statement[ADD_TO_MINUTE], sums, 4);
    rc = tables_run(t, ADD_TO_MINUTE, &volume);
    if (rc == 0) {
        const int64_t columns[] = {r->line.at.line,    r->time, r->order, r->size, r->price, r->side, ticks,
                                   r->price % r->tick, value,   minute,   volume};
        bind(t->statement[INSERT_ROW], columns, 11);
        sqlite3_bind_text(t->statement[INSERT_ROW], 12, r->kind, -1, SQLITE_STATIC);
        rc = tables_run(t, INSERT_ROW, NULL);
    }
    return rc;
}

/* The position, from where this run believes it to be. EBUSY: it was not there. */
static inline int tables_move(struct tables *t, const struct position *to)
{
    const int64_t values[] = {to->line, (int64_t)to->digest, t->written.line};
    int rc;
    bind(t->statement[MOVE], values, 3);
    rc = tables_run(t, MOVE, NULL);
    if (rc == 0 && sqlite3_changes(t->db) != 1) {
        fprintf(stderr, "%s: %s: another run writes into it\n", program_name, t->file);
        rc = EBUSY;
    }
    return rc;
}

/* What is in the database, whichever runs have written it. Returns how many rows are rejects; -1: it cannot be read. */
static inline int64_t tables_summary(const struct tables *t)
{
    static const char sql[] = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM rejects),"
                              " (SELECT total(volume) FROM minutes)";
    sqlite3_stmt *s = NULL;
    int64_t rejects = -1;
    if (sqlite3_prepare_v2(t->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW) {
        rejects = sqlite3_column_int64(s, 1);
        printf("%lld lines: %lld orders, %lld rejects, %lld shares traded\n", (long long)t->written.line,
               (long long)sqlite3_column_int64(s, 0), (long long)rejects, (long long)sqlite3_column_int64(s, 2));
    } else {
        (void)database_failed(t->db, t->file);
    }
    (void)sqlite3_finalize(s);
    return rejects;
}

#endif /* ENRICH_ORDERS_TABLES_H */
