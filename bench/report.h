/* bench/report.h: prints what was measured: the machine, the floors, the table, the targets; and all raw numbers as JSON. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "child.h"
#include "plan.h"

#include <sys/utsname.h>

/* The rest of the first line of the file that begins with `key`, without the colon. */
static inline void line_of(const char *path, const char *key, char *out, size_t size)
{
    char line[512];
    FILE *f = fopen(path, "r");
    snprintf(out, size, "unknown");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        const char *rest = line + strlen(key);
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        rest += strspn(rest, " \t:");
        snprintf(out, size, "%.*s", (int)strcspn(rest, "\n"), rest);
        break;
    }
    if (f != NULL)
        fclose(f);
}

typedef struct machine {
    char cpu[128], kernel[160], compiler[96], flags[256], go[64];
    int cores;
} machine;

static inline machine machine_here(const bench *b)
{
    machine m;
    struct utsname u;
    char path[512];
    memset(&m, 0, sizeof m);
    line_of("/proc/cpuinfo", "model name", m.cpu, sizeof m.cpu);
    m.cores = bench_cpus(NULL, 0);
    if (uname(&u) == 0)
        snprintf(m.kernel, sizeof m.kernel, "%.64s %.80s", u.sysname, u.release);
#ifdef __clang__
    snprintf(m.compiler, sizeof m.compiler, "%s", __VERSION__);
#else
    snprintf(m.compiler, sizeof m.compiler, "gcc %s", __VERSION__);
#endif
    snprintf(path, sizeof path, "%s/command", b->folder); /* the build leaves its command there */
    line_of(path, "", m.flags, sizeof m.flags);
    snprintf(path, sizeof path, "%s/chan_go", b->folder);
    const char *const argv[] = {path, "version", NULL};
    if (child_run(argv, 10, m.go, sizeof m.go) != CHILD_DONE)
        snprintf(m.go, sizeof m.go, "no go");
    m.go[strcspn(m.go, "\n")] = '\0';
    return m;
}

static inline void print_machine(const bench *b, const machine *m)
{
    printf("machine   %s, %d CPUs, %s, load %.2f at the start\n", m->cpu, m->cores, m->kernel, b->load);
    printf("programs  %s; %s; %s\n", m->compiler, m->flags, m->go);
    printf("runs      median of %d, %.2g s each, interleaved; every value counted and summed; pinned: CPUs %d and %d\n",
           b->runs, b->run_s, b->cpus[0], b->cpus[1]);
}

/* Three digits that matter. */
static inline const char *figure(double x, char text[16])
{
    snprintf(text, 16, x < 9.995 ? "%.2f" : x < 99.95 ? "%.1f" : "%.0f", x);
    return text;
}

static inline void print_floors(const bench *b)
{
    char text[16];
    printf("\nFloors: what the machine takes\n");
    for (int i = 0; i < b->floor_count; i++)
        printf("  %9s %-4s %s\n",
               b->floors[i].n > 0 ? figure(bench_quantile(b->floors[i].runs, b->floors[i].n, 0.5), text) : "-",
               b->floors[i].unit, b->floors[i].what);
}

static inline const char *cell_text(const cell *x, char text[16])
{
    switch (x->state) {
    case MEASURED: return figure(cell_median(x), text);
    case SKIPPED: return "skipped";
    case UNFINISHED: return "DNF";
    case WRONG: return "WRONG";
    default: return "-";
    }
}

static inline void print_row(const bench *b, row_id r, const column_id *list, size_t n)
{
    char text[16];
    printf("  %-25s", rows[r].name);
    if (b->why[r][0] != '\0') {
        printf("  skipped: %s\n", b->why[r]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        printf(" %9s", cell_text(&b->cells[r][list[i]], text));
    printf("\n");
}

static inline void print_heads(const column_id *list, size_t n)
{
    printf("  %-25s", "");
    for (size_t i = 0; i < n; i++)
        printf(" %9s", columns[list[i]].name);
    printf("\n");
}

static inline bool row_wanted(const bench *b, row_id r)
{
    return b->only == NULL || strstr(rows[r].name, b->only) != NULL;
}

static inline void print_table(const bench *b)
{
    static const column_id list[] = {C_1P1C_PINNED, C_1P1C, C_4P1C, C_1P4C, C_2P2C, C_8P8C, C_PING_PINNED, C_PING};
    const size_t n = sizeof list / sizeof list[0];
    printf("\nMillion messages a second (8 bytes, capacity %d; free unless pinned), and round trips in ns\n",
           BENCH_CAPACITY);
    print_heads(list, n);
    for (int r = 0; r < ROWS; r++)
        if (row_wanted(b, (row_id)r))
            print_row(b, (row_id)r, list, n);
}

static inline void print_many_threads(const bench *b)
{
    static const column_id list[] = {C_1P1C, C_2P2C, C_4P4C, C_8P8C, C_16P16C, C_32P32C};
    const size_t n = sizeof list / sizeof list[0];
    printf("\nMore threads than cores: 2, 4, 8, 16, 32, 64 threads; million messages a second\n");
    print_heads(list, n);
    for (int r = 0; r < ROWS; r++)
        if (rows[r].many && row_wanted(b, (row_id)r))
            print_row(b, (row_id)r, list, n);
}

static inline void print_selecting_rows(const bench *b, const column_id *list, size_t n)
{
    print_heads(list, n);
    for (int r = 0; r < ROWS; r++)
        if (rows[r].selects != NULL && row_wanted(b, (row_id)r))
            print_row(b, (row_id)r, list, n);
}

static inline void print_rendezvous(const bench *b)
{
    static const column_id list[] = {C_MEET_PINNED, C_MEET, C_MEET_PING_PINNED, C_MEET_PING};
    printf("\nRendezvous (capacity 0): million messages a second, and round trips in ns\n");
    print_selecting_rows(b, list, sizeof list / sizeof list[0]);
}

static inline void print_selects(const bench *b)
{
    static const column_id pinned[] = {C_ONE_2_PINNED, C_ONE_8_PINNED, C_ONE_64_PINNED,
                                       C_ALL_2_PINNED, C_ALL_8_PINNED, C_ALL_64_PINNED};
    static const column_id loose[] = {C_ONE_2, C_ONE_8, C_ONE_64, C_ALL_2, C_ALL_8, C_ALL_64};
    static const column_id tries[] = {C_TRY_2, C_TRY_8, C_TRY_64};
    printf("\nSelect over 2, 8, 64 channels, one or all of them active: million values a second, pinned\n");
    print_selecting_rows(b, pinned, sizeof pinned / sizeof pinned[0]);
    printf("\nThe same, free\n");
    print_selecting_rows(b, loose, sizeof loose / sizeof loose[0]);
    printf("\nA try over 2, 8, 64 idle channels, in ns\n");
    print_selecting_rows(b, tries, sizeof tries / sizeof tries[0]);
}

static inline void print_idle(const bench *b)
{
    char text[16];
    printf("\nCPU time of a process whose receiver is blocked, in µs\n");
    for (int r = 0; r < ROWS; r++) {
        const cell *x = &b->cells[r][C_IDLE];
        if (x->state == MEASURED)
            printf("  %-25s %9s in %llu ms\n", rows[r].name, cell_text(x, text), (unsigned long long)x->count);
    }
}

/* Cells that need a word beside their figure. */
static inline void print_notes(const bench *b)
{
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLUMNS; c++) {
            const cell *x = &b->cells[r][c];
            if (x->late > 0 && b->why[r][0] == '\0')
                printf("note: %s, %s: %d of %d runs did not finish within %g s\n", rows[r].name, columns[c].name,
                       x->late, b->runs, b->limit_s);
        }
    }
}

#endif /* BENCH_REPORT_H */
