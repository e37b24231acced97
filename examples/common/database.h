/* common/database.h: what an SQLite database says when it fails, as a message and an errno value. */
#ifndef COMMON_DATABASE_H
#define COMMON_DATABASE_H

#include "program.h"

#include <errno.h>
#include <sqlite3.h>

/* Says what has failed last. EIO. */
static inline int database_failed(sqlite3 *db, const char *file)
{
    fprintf(stderr, "%s: %s: %s\n", program_name, file, sqlite3_errmsg(db));
    return EIO;
}

/* Statements without values. 0, or EIO; then it has said why. */
static inline int database_do(sqlite3 *db, const char *file, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : database_failed(db, file);
}

#endif /* COMMON_DATABASE_H */
