/* fetch_titles/store.h: the database: a connection for the reader, who asks what is there, and one for the writer. */
#ifndef FETCH_TITLES_STORE_H
#define FETCH_TITLES_STORE_H

#include "../common/database.h"
#include "page.h"

enum { FETCHED, MISSING, FAILED, NOT_FETCHED, OUTCOMES };
static const char *const outcome_text[OUTCOMES] = {"fetched", "missing", "failed", "not fetched"};

struct store {
    const char *file;
    /* the reader's */
    sqlite3 *seen;
    sqlite3_stmt *look_up;
    /* the writer's */
    sqlite3 *db;
    sqlite3_stmt *insert;
    long outcome[OUTCOMES], attempts;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS pages(url TEXT PRIMARY KEY, outcome TEXT NOT NULL, status INTEGER, title TEXT,"
    " error TEXT, attempts INTEGER, ms INTEGER)";
static const char insert_sql[] =
    "INSERT INTO pages VALUES (?1,?2,nullif(?3,0),nullif(?4,''),nullif(?5,''),?6,?7) ON CONFLICT (url) DO UPDATE SET"
    " outcome = excluded.outcome, status = excluded.status, title = excluded.title, error = excluded.error,"
    " attempts = excluded.attempts, ms = excluded.ms WHERE outcome NOT IN ('fetched', 'missing')";
static const char look_up_sql[] = "SELECT 1 FROM pages WHERE url = ?1 AND outcome IN ('fetched', 'missing')";

static inline int store_open(struct store *s, const char *file)
{
    s->file = file;
    if (sqlite3_open(s->file, &s->db) != SQLITE_OK || sqlite3_busy_timeout(s->db, 10000) != SQLITE_OK)
        return database_failed(s->db, s->file);
    if (database_do(s->db, s->file, "PRAGMA journal_mode = WAL") != 0 || database_do(s->db, s->file, schema) != 0)
        return EIO;
    if (sqlite3_prepare_v2(s->db, insert_sql, -1, &s->insert, NULL) != SQLITE_OK)
        return database_failed(s->db, s->file);
    if (sqlite3_open_v2(s->file, &s->seen, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(s->seen, 10000) != SQLITE_OK ||
        sqlite3_prepare_v2(s->seen, look_up_sql, -1, &s->look_up, NULL) != SQLITE_OK)
        return database_failed(s->seen, s->file);
    return 0;
}

static inline void store_close(struct store *s)
{
    (void)sqlite3_finalize(s->insert);
    (void)sqlite3_finalize(s->look_up);
    (void)sqlite3_close(s->seen);
    (void)sqlite3_close(s->db);
}

/* Whether an earlier run, or this one, has an answer for it. */
static inline bool store_has(struct store *s, const char *url)
{
    bool found;
    sqlite3_bind_text(s->look_up, 1, url, -1, SQLITE_STATIC);
    found = sqlite3_step(s->look_up) == SQLITE_ROW;
    (void)sqlite3_reset(s->look_up);
    return found;
}

static inline int store_page(struct store *s, const struct page *p)
{
    const int outcome = p->rc == ECANCELED ? NOT_FETCHED : p->rc != 0 ? FAILED : p->status < 300 ? FETCHED : MISSING;
    sqlite3_stmt *to = s->insert;
    int rc;
    sqlite3_bind_text(to, 1, p->url, -1, SQLITE_STATIC);
    sqlite3_bind_text(to, 2, outcome_text[outcome], -1, SQLITE_STATIC);
    sqlite3_bind_int64(to, 3, p->status);
    sqlite3_bind_text(to, 4, p->title, -1, SQLITE_STATIC);
    sqlite3_bind_text(to, 5, p->error, -1, SQLITE_STATIC);
    sqlite3_bind_int64(to, 6, p->attempts);
    sqlite3_bind_int64(to, 7, p->took / WEIR_MS(1));
    rc = sqlite3_step(to) == SQLITE_DONE ? 0 : database_failed(s->db, s->file);
    (void)sqlite3_reset(to);
    s->outcome[outcome]++;
    s->attempts += p->attempts;
    return rc;
}

/* Frees them, also when it fails. */
static inline int store_batch(struct store *s, struct page **pages, size_t n)
{
    int rc = database_do(s->db, s->file, "BEGIN IMMEDIATE");
    for (size_t i = 0; i < n; i++) {
        if (rc == 0)
            rc = store_page(s, pages[i]);
        free(pages[i]);
    }
    return rc != 0 ? rc : database_do(s->db, s->file, "COMMIT");
}

#endif /* FETCH_TITLES_STORE_H */
