/* bench/targets.h: the ratios that the project promises, from the medians of one table; and the JSON file. */
#ifndef BENCH_TARGETS_H
#define BENCH_TARGETS_H

#include "report.h"

typedef struct target {
    const char *name;
    row_id ours, theirs;
    column_id column;
    double least; /* ours / theirs; 0: for information */
} target;

static const target targets[] = {
    {"spsc over raw ck_ring SPSC, 1P1C pinned", SPSC, RAW_CK_SPSC, C_1P1C_PINNED, 1.2},
    {"mpmc over raw ck_ring MPMC, 1P1C pinned", MPMC, RAW_CK_MPMC, C_1P1C_PINNED, 4},
    {"mpmc over Go, 1P1C pinned", MPMC, GO, C_1P1C_PINNED, 3},
    {"mpmc over Go, 2P2C", MPMC, GO, C_2P2C, 2},
    {"mpmc over Go, 4P1C", MPMC, GO, C_4P1C, 2},
    {"mpmc over Go, 1P4C", MPMC, GO, C_1P4C, 2},
    {"mpmc over Go, 8P8C", MPMC, GO, C_8P8C, 2},
    {"mpmc over Go, select over 8, all active", MPMC, GO, C_ALL_8, 1},
    {"mpmc over crossbeam, select over 8, all", MPMC, CROSSBEAM, C_ALL_8, 1},
    {"the same, pinned: over Go", MPMC, GO, C_ALL_8_PINNED, 1},
    {"the same, pinned: over crossbeam", MPMC, CROSSBEAM, C_ALL_8_PINNED, 1},
    {"mpmc rendezvous over crossbeam, pinned", MPMC, CROSSBEAM, C_MEET_PINNED, 3},
    {"the same, round trips", MPMC, CROSSBEAM, C_MEET_PING_PINNED, 3},
    {"spsc over Go, 1P1C pinned", SPSC, GO, C_1P1C_PINNED, 0},
    {"mpsc over Go, 4P1C", MPSC, GO, C_4P1C, 0},
    {"spmc over Go, 1P4C", SPMC, GO, C_1P4C, 0},
    {"mpmc over raw ck_ring MPMC, 1P1C free", MPMC, RAW_CK_MPMC, C_1P1C, 0},
};
#define TARGETS (sizeof targets / sizeof targets[0])

/* How many times as fast; 0 if one of the two has no figure. */
static inline double target_ratio(const bench *b, const target *t)
{
    const cell *ours = &b->cells[t->ours][t->column], *theirs = &b->cells[t->theirs][t->column];
    if (ours->state != MEASURED || theirs->state != MEASURED)
        return 0;
    if (in_ns(columns[t->column].shape))
        return cell_median(theirs) / cell_median(ours);
    return cell_median(ours) / cell_median(theirs);
}

static inline const char *target_verdict(const bench *b, const target *t)
{
    const double ratio = target_ratio(b, t);
    if (b->cells[t->ours][t->column].state == UNFINISHED)
        return "MISS: did not finish";
    if (b->cells[t->theirs][t->column].state == UNFINISHED)
        return "no figure: the rival did not finish";
    return ratio == 0 ? "no figure" : t->least == 0 ? "" : ratio >= t->least ? "PASS" : "MISS";
}

static inline const char *cell_range(const cell *x, char text[64])
{
    char a[16], b[16], c[16];
    snprintf(text, 64, "%s (%s-%s)", figure(cell_median(x), a), figure(bench_quantile(x->runs, x->n, 0), b),
             figure(bench_quantile(x->runs, x->n, 1), c));
    return text;
}

static inline void print_targets(const bench *b)
{
    printf("\nTargets: ratios of the medians; (least-greatest) of the runs\n");
    for (size_t i = 0; i < TARGETS; i++) {
        const target *t = &targets[i];
        const double ratio = target_ratio(b, t);
        char ours[64], theirs[64], least[16] = "";
        if (!row_wanted(b, t->ours) || !row_wanted(b, t->theirs) || (columns[t->column].pinned && !b->pinning))
            continue;
        if (ratio == 0) {
            printf("  %-41s %s\n", t->name, target_verdict(b, t));
            continue;
        }
        if (t->least > 0)
            snprintf(least, sizeof least, ">= %.1f", t->least);
        printf("  %-41s %6.2f  %-7s %-5s %s / %s\n", t->name, ratio, least, target_verdict(b, t),
               cell_range(&b->cells[t->ours][t->column], ours), cell_range(&b->cells[t->theirs][t->column], theirs));
    }
}

static inline void json_text(FILE *f, const char *name, const char *text)
{
    fprintf(f, "\"%s\": \"", name);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', f);
        if ((unsigned char)*text >= ' ')
            fputc(*text, f);
    }
    fputc('"', f);
}

/* JSON knows no infinity. */
static inline void json_number(FILE *f, double x)
{
    if (x < 1e300)
        fprintf(f, "%.6g", x);
    else
        fprintf(f, "null");
}

static inline void json_runs(FILE *f, const double *runs, int n)
{
    fprintf(f, ", \"median\": ");
    json_number(f, n > 0 ? bench_quantile(runs, n, 0.5) : 1e300);
    fprintf(f, ", \"runs\": [");
    for (int i = 0; i < n; i++) {
        fprintf(f, "%s", i > 0 ? ", " : "");
        json_number(f, runs[i]);
    }
    fprintf(f, "]}");
}

static inline void json_cells(FILE *f, const bench *b)
{
    static const char *const states[] = {"empty", "measured", "skipped", "did not finish", "wrong"};
    const char *between = "";
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLUMNS; c++) {
            const cell *x = &b->cells[r][c];
            if (x->state == EMPTY)
                continue;
            fprintf(f, "%s\n    {", between);
            between = ",";
            json_text(f, "row", rows[r].name);
            fprintf(f, ", ");
            json_text(f, "column", columns[c].name);
            fprintf(f, ", ");
            json_text(f, "unit", columns[c].unit);
            fprintf(f, ", \"state\": \"%s\", \"count\": %llu, \"late\": %d", states[x->state],
                    (unsigned long long)x->count, x->late);
            json_runs(f, x->runs, x->n);
        }
    }
}

/* Returns false if the file cannot be written. */
static inline bool write_json(const bench *b, const machine *m)
{
    FILE *f = fopen(b->json, "w");
    if (f == NULL)
        return false;
    fprintf(f, "{\n  ");
    json_text(f, "cpu", m->cpu);
    fprintf(f, ",\n  \"cpus\": %d, \"load\": %.2f,\n  ", m->cores, b->load);
    json_text(f, "kernel", m->kernel);
    fprintf(f, ",\n  ");
    json_text(f, "compiler", m->compiler);
    fprintf(f, ",\n  ");
    json_text(f, "command", m->flags);
    fprintf(f, ",\n  ");
    json_text(f, "go", m->go);
    fprintf(f, ",\n  \"floors\": [");
    for (int i = 0; i < b->floor_count; i++) {
        fprintf(f, "%s\n    {", i > 0 ? "," : "");
        json_text(f, "floor", b->floors[i].what);
        fprintf(f, ", ");
        json_text(f, "unit", b->floors[i].unit);
        json_runs(f, b->floors[i].runs, b->floors[i].n);
    }
    fprintf(f, "\n  ],\n  \"cells\": [");
    json_cells(f, b);
    fprintf(f, "\n  ],\n  \"targets\": [");
    for (size_t i = 0; i < TARGETS; i++) {
        fprintf(f, "%s\n    {", i > 0 ? "," : "");
        json_text(f, "target", targets[i].name);
        fprintf(f, ", \"ratio\": %.4g, \"least\": %.3g, \"verdict\": \"%s\"}", target_ratio(b, &targets[i]),
                targets[i].least, target_verdict(b, &targets[i]));
    }
    fprintf(f, "\n  ]\n}\n");
    return fclose(f) == 0;
}

#endif /* BENCH_TARGETS_H */
