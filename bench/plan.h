/* bench/plan.h: what is measured: rows are queues, columns are shapes of work, a cell is one queue under one shape. */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include "bench.h"

#define RUNS_MAX 64 /* as many as bench_quantile sorts */

/* clang-format off: these are tables */
typedef enum row_id {
    SPSC,
    MPSC,
    SPMC,
    MPMC,
    SPSC_ON_CK,
    MPSC_ON_CK,
    SPMC_ON_CK,
    MPMC_ON_CK,
    SPSC_ON_SLOTS,
    RAW_CK_SPSC,
    RAW_CK_MPMC,
    RAW_CK_YIELD,
    MUTEX,
    GO,
    ROWS
} row_id;

typedef struct row {
    const char *name, *program, *kind;
    int senders, receivers; /* at most */
    bool sleeps;            /* blocked callers go to sleep in the end */
    bool many;              /* stands in the table of many threads */
} row;

static const row rows[ROWS] = {
    [SPSC] = {"weir spsc", "worker_weir", "spsc", 1, 1, true, false},
    [MPSC] = {"weir mpsc", "worker_weir", "mpsc", 64, 1, false, false},
    [SPMC] = {"weir spmc", "worker_weir", "spmc", 1, 64, false, false},
    [MPMC] = {"weir mpmc", "worker_weir", "mpmc", 64, 64, true, true},
    [SPSC_ON_CK] = {"weir spsc on ck", "worker_weir_ck", "spsc", 1, 1, false, false},
    [MPSC_ON_CK] = {"weir mpsc on ck", "worker_weir_ck", "mpsc", 64, 1, false, false},
    [SPMC_ON_CK] = {"weir spmc on ck", "worker_weir_ck", "spmc", 1, 64, false, false},
    [MPMC_ON_CK] = {"weir mpmc on ck", "worker_weir_ck", "mpmc", 64, 64, false, true},
    [SPSC_ON_SLOTS] = {"weir spsc on slots", "worker_weir_slots", "spsc", 1, 1, false, false},
    [RAW_CK_SPSC] = {"raw ck_ring SPSC", "worker_rivals", "ck_spsc", 1, 1, false, false},
    [RAW_CK_MPMC] = {"raw ck_ring MPMC", "worker_rivals", "ck_mpmc", 64, 64, false, true},
    [RAW_CK_YIELD] = {"raw ck_ring MPMC + yield", "worker_rivals", "ck_mpmc_yield", 64, 64, false, true},
    [MUTEX] = {"mutex and condition", "worker_rivals", "mutex", 64, 64, true, true},
    [GO] = {"Go channel", "chan_go", "chan", 64, 64, true, true},
};

typedef enum shape { FLOW, PING, IDLE } shape;

typedef enum column_id {
    C_1P1C_PINNED,
    C_1P1C,
    C_4P1C,
    C_1P4C,
    C_2P2C,
    C_8P8C,
    C_PING_PINNED,
    C_PING,
    C_4P4C,
    C_16P16C,
    C_32P32C, /* only rows with `many` */
    C_IDLE,   /* only rows with `sleeps` */
    COLUMNS
} column_id;

typedef struct column {
    const char *name;
    shape shape;
    int senders, receivers;
    bool pinned;
    const char *unit;
} column;

static const column columns[COLUMNS] = {
    [C_1P1C_PINNED] = {"1P1C pin", FLOW, 1, 1, true, "M/s"}, [C_1P1C] = {"1P1C", FLOW, 1, 1, false, "M/s"},
    [C_4P1C] = {"4P1C", FLOW, 4, 1, false, "M/s"},           [C_1P4C] = {"1P4C", FLOW, 1, 4, false, "M/s"},
    [C_2P2C] = {"2P2C", FLOW, 2, 2, false, "M/s"},           [C_8P8C] = {"8P8C", FLOW, 8, 8, false, "M/s"},
    [C_PING_PINNED] = {"trip pin", PING, 1, 1, true, "ns"},  [C_PING] = {"trip", PING, 1, 1, false, "ns"},
    [C_4P4C] = {"4P4C", FLOW, 4, 4, false, "M/s"},           [C_16P16C] = {"16P16C", FLOW, 16, 16, false, "M/s"},
    [C_32P32C] = {"32P32C", FLOW, 32, 32, false, "M/s"},     [C_IDLE] = {"idle", IDLE, 1, 1, false, "us"},
};

/* clang-format on */

typedef enum cell_state { EMPTY, MEASURED, SKIPPED, UNFINISHED, WRONG } cell_state;

typedef struct cell {
    cell_state state;
    uint64_t count; /* messages, round trips or, idle, milliseconds; per run */
    double runs[RUNS_MAX];
    int n;    /* runs that gave a figure */
    int late; /* runs that were killed at the time limit */
} cell;

typedef struct floor_figure {
    char unit[8], what[80];
    double runs[RUNS_MAX];
    int n;
} floor_figure;

#define FLOORS_MAX 16

typedef struct bench {
    /* options */
    int runs;
    double run_s, limit_s; /* how long a run is to take, and may take */
    bool quick, pinning;
    const char *only, *json; /* NULL: all rows; no file */
    int cpus[2];
    /* results */
    char folder[480], why[ROWS][80]; /* where the programs lie; why a row was skipped */
    int64_t began;
    double load; /* of the machine, when it began */
    cell cells[ROWS][COLUMNS];
    floor_figure floors[FLOORS_MAX];
    int floor_count;
} bench;

static inline bool applies(const bench *b, row_id r, column_id c)
{
    const bool extra = c >= C_4P4C && c <= C_32P32C;
    if (b->only != NULL && strstr(rows[r].name, b->only) == NULL)
        return false;
    return columns[c].senders <= rows[r].senders && columns[c].receivers <= rows[r].receivers &&
           (b->pinning || !columns[c].pinned) && (rows[r].many || !extra) && (rows[r].sleeps || c != C_IDLE);
}

static inline double cell_median(const cell *x)
{
    return bench_quantile(x->runs, x->n, 0.5);
}

#endif /* BENCH_PLAN_H */
