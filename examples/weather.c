/* weather.c: the records of many stations, read at once and gathered in one table; the first that is bad stops all.
 *
 *     weather FOLDER
 *
 * FOLDER/STATION.csv has lines of a date and a temperature, "2012-06-21,-3.4". For each station, by name: how many lines, the coldest, the mean, the hottest; then
 * the same of all. Exit status: 0; 1: a file is bad, which is named with its line, and no table is printed; 2: the folder cannot be had.
 *
 *     files ──► a group, at most two tasks for each CPU at once ──► a channel of rows ──► the table
 *               the first error ends its context, and the            closed when all
 *               others stop reading                                  have returned
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Temperatures in tenths of a degree. */
struct row {
    const char *station;
    long lines, sum;
    int coldest, hottest;
};
typedef weir_mpsc(struct row) row_channel;

struct station {
    char name[64]; /* of the file, without .csv */
    const char *folder;
    row_channel rows;
    char complaint[200]; /* if its task has failed */
};

struct work {
    struct station *stations;
    size_t count;
    row_channel rows;
    weir_group readers;
};

/* ---- one station ---- */

/* "-3.4" as -34. False: it is something else. */
static bool tenths(const char *text, int *value)
{
    const bool negative = *text == '-';
    int whole = 0, digits = 0;
    for (text += negative; *text >= '0' && *text <= '9' && digits < 3; text++, digits++)
        whole = 10 * whole + (*text - '0');
    if (digits == 0 || text[0] != '.' || text[1] < '0' || text[1] > '9' || strcspn(text + 2, "\r\n") != 0)
        return false;
    *value = (negative ? -1 : 1) * (10 * whole + (text[1] - '0'));
    return true;
}

static int complain(struct station *s, long line, const char *what)
{
    if (line > 0)
        snprintf(s->complaint, sizeof s->complaint, "%s.csv:%ld: %s", s->name, line, what);
    else
        snprintf(s->complaint, sizeof s->complaint, "%s.csv: %s", s->name, what);
    return EINVAL;
}

static int read_lines(weir_ctx *ctx, struct station *s, FILE *in, struct row *row)
{
    char line[64];
    while (fgets(line, sizeof line, in) != NULL) {
        const char *comma = strchr(line, ',');
        int value;
        row->lines++;
        if (comma == NULL || comma - line != 10)
            return complain(s, row->lines, "no date and comma");
        if (!tenths(comma + 1, &value))
            return complain(s, row->lines, "not a temperature");
        if (value < row->coldest)
            row->coldest = value;
        if (value > row->hottest)
            row->hottest = value;
        row->sum += value;
        if (row->lines % 64 == 0 && weir_ctx_err(ctx) != 0)
            return ECANCELED; /* another file is bad */
    }
    if (ferror(in))
        return complain(s, 0, "cannot be read");
    return row->lines == 0 ? complain(s, 0, "empty") : 0;
}

/* A task of the group. */
static int read_station(weir_ctx *ctx, void *arg)
{
    struct station *s = (struct station *)arg;
    struct row row = {s->name, 0, 0, INT_MAX, INT_MIN};
    char path[PATH_MAX];
    FILE *in = NULL;
    int rc;
    if (snprintf(path, sizeof path, "%s/%s.csv", s->folder, s->name) < (int)sizeof path)
        in = fopen(path, "r");
    if (in == NULL)
        return complain(s, 0, "cannot be opened");
    rc = read_lines(ctx, s, in, &row);
    fclose(in);
    return rc != 0 ? rc : weir_send(ctx, s->rows, &row);
}

/* Starts a task for each station, waiting while as many as may run; then closes the channel, for the table is complete, or will not be. */
static int read_all(weir_ctx *ctx, void *arg)
{
    struct work *w = (struct work *)arg;
    int rc, started = 0;
    (void)ctx;
    for (size_t i = 0; i < w->count && started == 0; i++)
        started = weir_group_go(weir_group_ctx(&w->readers), &w->readers, read_station, &w->stations[i]);
    rc = weir_group_wait(&w->readers);
    (void)weir_close(w->rows);
    return rc != 0 ? rc : started;
}

/* ---- the folder, the table ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->station, ((const struct row *)b)->station);
}

static int list(const char *folder, struct work *w)
{
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return errno;
    while ((entry = readdir(dir)) != NULL) {
        const size_t size = strlen(entry->d_name);
        struct station *s;
        if (size < 5 || size >= sizeof s->name + 4 || strcmp(entry->d_name + size - 4, ".csv") != 0)
            continue;
        if (w->count % 256 == 0) {
            s = (struct station *)realloc(w->stations, (w->count + 256) * sizeof *s);
            if (s == NULL) {
                closedir(dir);
                return ENOMEM;
            }
            w->stations = s;
        }
        s = &w->stations[w->count++];
        memset(s, 0, sizeof *s);
        memcpy(s->name, entry->d_name, size - 4);
        s->folder = folder;
    }
    closedir(dir);
    return 0;
}

static void print_row(const struct row *r)
{
    const long mean = (r->sum + (r->sum < 0 ? -r->lines / 2 : r->lines / 2)) / r->lines;
    printf("%-12s %8ld %7.1f %7.1f %7.1f\n", r->station, r->lines, r->coldest / 10.0, (double)mean / 10,
           r->hottest / 10.0);
}

/* Receives until the channel is closed. The number of rows. */
static size_t gather(struct work *w, struct row *table, struct row *all)
{
    size_t n = 0;
    while (weir_recv(NULL, w->rows, &table[n]) == 0) {
        all->lines += table[n].lines;
        all->sum += table[n].sum;
        if (table[n].coldest < all->coldest)
            all->coldest = table[n].coldest;
        if (table[n].hottest > all->hottest)
            all->hottest = table[n].hottest;
        n++;
    }
    return n;
}

int main(int argc, char **argv)
{
    struct work w = {NULL, 0, {NULL}, WEIR_GROUP_INIT};
    struct row all = {"all", 0, 0, INT_MAX, INT_MIN}, *table = NULL;
    weir_group feeder = WEIR_GROUP_INIT;
    weir_group_error first = {0, NULL};
    size_t n;
    int rc = argc == 2 ? list(argv[1], &w) : EINVAL;
    if (rc == 0 && (table = (struct row *)malloc((w.count + 1) * sizeof *table)) == NULL)
        rc = ENOMEM;
    if (rc != 0 || weir_chan_make(&w.rows, 64) != 0) {
        fprintf(stderr, "weather: %s: %s\n", argc == 2 ? argv[1] : "one folder", strerror(rc != 0 ? rc : ENOMEM));
        return 2;
    }
    for (size_t i = 0; i < w.count; i++)
        w.stations[i].rows = w.rows;
    (void)weir_group_limit(&w.readers, 2 * (unsigned)weir_cpu_count());
    if ((rc = weir_group_go(NULL, &feeder, read_all, &w)) != 0)
        return 2;
    n = gather(&w, table, &all);
    rc = weir_group_wait(&feeder);
    if (rc != 0) {
        const bool any = weir_group_errors(&w.readers, &first, 1) > 0; /* the one that has ended the others */
        fprintf(stderr, "weather: %s\n", any ? ((const struct station *)first.arg)->complaint : weir_error_text(rc));
    } else {
        qsort(table, n, sizeof *table, by_name);
        printf("%-12s %8s %7s %7s %7s\n", "station", "lines", "coldest", "mean", "hottest");
        for (size_t i = 0; i < n; i++)
            print_row(&table[i]);
        if (n > 0)
            print_row(&all);
    }
    weir_chan_free(&w.rows);
    free(table);
    free(w.stations);
    return rc != 0;
}
