/* log_pipeline/table.h: how often each action was done, by package, hour or command. */
#ifndef LOG_PIPELINE_TABLE_H
#define LOG_PIPELINE_TABLE_H

#include "../common/keys.h"
#include "entry.h"

enum key { BY_PACKAGE, BY_HOUR, BY_COMMAND, BY_ALL };
static const char *const table_keys[] = {"package", "hour", "command", "all"};

struct row {
    const char *key;
    long count[ACTIONS];
};

struct table {
    enum key by;
    struct keys keys;
    struct row *rows; /* by the number of the key */
    size_t room;
};

static inline const char *table_key(const struct table *t, const struct entry *e)
{
    switch (t->by) {
    case BY_PACKAGE: return e->package;
    case BY_HOUR: return e->time; /* as much of it as table_key_size says */
    case BY_COMMAND: return e->command;
    default: return "all";
    }
}

static inline size_t table_key_size(const struct table *t, const char *key)
{
    return t->by == BY_HOUR ? sizeof "2025-06-24 14" - 1 : strlen(key);
}

static inline void table_count(struct table *t, const struct entry *e)
{
    const char *key = table_key(t, e);
    const size_t number = keys_number(&t->keys, key, table_key_size(t, key));
    if (number >= t->room) {
        t->rows = (struct row *)or_die(realloc(t->rows, 2 * (number + 32) * sizeof *t->rows));
        memset(t->rows + t->room, 0, (2 * (number + 32) - t->room) * sizeof *t->rows);
        t->room = 2 * (number + 32);
    }
    t->rows[number].key = t->keys.text[number];
    t->rows[number].count[e->action]++;
}

static inline int rows_by_key(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->key, ((const struct row *)b)->key);
}

/* In the order of the keys. Nothing is counted after that: the rows have other places then. */
static inline void table_print(struct table *t)
{
    static const int columns[] = {INSTALL, UPGRADE, CONFIGURE, TRIGPROC, REMOVE, PURGE, STATUS};
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    for (int c = 0; c < COLUMNS; c++)
        printf("%9s ", actions[columns[c]].name);
    printf("%9s %9s  %s\n", "other", "total", table_keys[t->by]);
    if (t->keys.count > 0)
        qsort(t->rows, t->keys.count, sizeof *t->rows, rows_by_key);
    for (size_t i = 0; i < t->keys.count; i++) {
        const struct row *row = &t->rows[i];
        long total = 0, other = 0;
        for (int a = 0; a < ACTIONS; a++)
            total += row->count[a];
        other = total;
        for (int c = 0; c < COLUMNS; c++) {
            printf("%9ld ", row->count[columns[c]]);
            other -= row->count[columns[c]];
        }
        printf("%9ld %9ld  %s\n", other, total, row->key);
    }
}

static inline void table_free(struct table *t)
{
    keys_free(&t->keys);
    free(t->rows);
}

#endif /* LOG_PIPELINE_TABLE_H */
