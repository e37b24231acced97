/* enrich_orders/clerk.h: one worker's connection to the tables that it looks things up in. */
#ifndef ENRICH_ORDERS_CLERK_H
#define ENRICH_ORDERS_CLERK_H

#include "../common/database.h"
#include "row.h"
#include "weir.h"

struct clerk {
    const char *file;
    sqlite3 *db;
    sqlite3_stmt *look_up;
};

static const char look_up_sql[] = "SELECT kind, trade, tick FROM kinds JOIN ticks WHERE type = ?1 AND from_price <= ?2"
                                  " ORDER BY from_price DESC LIMIT 1";

/* Whoever writes is waited for as long as the patience says. */
static inline int clerk_open(struct clerk *c, const char *file, weir_ns patience)
{
    c->file = file;
    if (sqlite3_open_v2(file, &c->db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(c->db, (int)(patience / WEIR_MS(1))) != SQLITE_OK ||
        sqlite3_prepare_v2(c->db, look_up_sql, -1, &c->look_up, NULL) != SQLITE_OK)
        return database_failed(c->db, file);
    return 0;
}

static inline void clerk_close(struct clerk *c)
{
    (void)sqlite3_finalize(c->look_up);
    (void)sqlite3_close(c->db);
}

/* What the database knows of such a row. */
static inline int clerk_look_up(struct clerk *c, struct row *r)
{
    int rc, failed = 0;
    sqlite3_bind_int64(c->look_up, 1, r->type);
    sqlite3_bind_int64(c->look_up, 2, r->price);
    rc = sqlite3_step(c->look_up);
    if (rc == SQLITE_ROW) {
        snprintf(r->kind, sizeof r->kind, "%s", (const char *)sqlite3_column_text(c->look_up, 0));
        r->trade = sqlite3_column_int64(c->look_up, 1);
        r->tick = sqlite3_column_int64(c->look_up, 2);
    } else if (rc == SQLITE_DONE) {
        r->reason = "no such type, or no tick size for the price";
    } else {
        failed = database_failed(c->db, c->file);
    }
    (void)sqlite3_reset(c->look_up);
    return failed;
}

#endif /* ENRICH_ORDERS_CLERK_H */
