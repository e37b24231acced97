/* bench/plan.h: what is measured: rows are queues, columns are shapes of work, a cell is one queue under one shape. */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H

#include "bench.h"

#define RUNS_MAX 64 /* as many as bench_quantile sorts */

/* These are tables. */
/* clang-format off */
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
    CROSSBEAM,
    ROWS
} row_id;

typedef struct row {
    const char *name, *program, *kind;
    int senders, receivers; /* at most */
    bool sleeps;            /* blocked callers go to sleep in the end */
    bool many;              /* stands in the table of many threads */
    const char *selects;    /* the program that selects; NULL: the row has neither select nor rendezvous */
} row;

static const row rows[ROWS] = {
    [SPSC] = {"weir spsc", "worker_weir", "spsc", 1, 1, true, false, "worker_select"},
    [MPSC] = {"weir mpsc", "worker_weir", "mpsc", 64, 1, false, false, NULL},
    [SPMC] = {"weir spmc", "worker_weir", "spmc", 1, 64, false, false, NULL},
    [MPMC] = {"weir mpmc", "worker_weir", "mpmc", 64, 64, true, true, "worker_select"},
    [SPSC_ON_CK] = {"weir spsc on ck", "worker_weir_ck", "spsc", 1, 1, false, false, NULL},
    [MPSC_ON_CK] = {"weir mpsc on ck", "worker_weir_ck", "mpsc", 64, 1, false, false, NULL},
    [SPMC_ON_CK] = {"weir spmc on ck", "worker_weir_ck", "spmc", 1, 64, false, false, NULL},
    [MPMC_ON_CK] = {"weir mpmc on ck", "worker_weir_ck", "mpmc", 64, 64, false, true, NULL},
    [SPSC_ON_SLOTS] = {"weir spsc on slots", "worker_weir_slots", "spsc", 1, 1, false, false, NULL},
    [RAW_CK_SPSC] = {"raw ck_ring SPSC", "worker_rivals", "ck_spsc", 1, 1, false, false, NULL},
    [RAW_CK_MPMC] = {"raw ck_ring MPMC", "worker_rivals", "ck_mpmc", 64, 64, false, true, NULL},
    [RAW_CK_YIELD] = {"raw ck_ring MPMC + yield", "worker_rivals", "ck_mpmc_yield", 64, 64, false, true, NULL},
    [MUTEX] = {"mutex and condition", "worker_rivals", "mutex", 64, 64, true, true, NULL},
    [GO] = {"Go channel", "chan_go", "chan", 64, 64, true, true, "chan_go"},
    [CROSSBEAM] = {"crossbeam-channel", "chan_crossbeam", "chan", 64, 64, true, true, "chan_crossbeam"},
};

typedef enum shape { FLOW, PING, IDLE, ONE, ALL, TRY } shape; /* from ONE on: select (bench/worker_select.c) */

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
    C_32P32C,      /* only rows with `many` */
    C_IDLE,        /* only rows with `sleeps` */
    C_MEET_PINNED, /* from here on only rows that select */
    C_MEET,
    C_MEET_PING_PINNED,
    C_MEET_PING,
    C_ONE_2_PINNED,
    C_ONE_8_PINNED,
    C_ONE_64_PINNED,
    C_ALL_2_PINNED,
    C_ALL_8_PINNED,
    C_ALL_64_PINNED,
    C_ONE_2,
    C_ONE_8,
    C_ONE_64,
    C_ALL_2,
    C_ALL_8,
    C_ALL_64,
    C_TRY_2,
    C_TRY_8,
    C_TRY_64,
    COLUMNS
} column_id;

typedef struct column {
    const char *name;
    shape shape;
    int senders, receivers;
    bool pinned;
    const char *unit;
    bool meets;   /* capacity 0 */
    int channels; /* of a select */
} column;

static const column columns[COLUMNS] = {
    [C_1P1C_PINNED] = {"1P1C pin", FLOW, 1, 1, true, "M/s", false, 0},
    [C_1P1C] = {"1P1C", FLOW, 1, 1, false, "M/s", false, 0},
    [C_4P1C] = {"4P1C", FLOW, 4, 1, false, "M/s", false, 0},
    [C_1P4C] = {"1P4C", FLOW, 1, 4, false, "M/s", false, 0},
    [C_2P2C] = {"2P2C", FLOW, 2, 2, false, "M/s", false, 0},
    [C_8P8C] = {"8P8C", FLOW, 8, 8, false, "M/s", false, 0},
    [C_PING_PINNED] = {"trip pin", PING, 1, 1, true, "ns", false, 0},
    [C_PING] = {"trip", PING, 1, 1, false, "ns", false, 0},
    [C_4P4C] = {"4P4C", FLOW, 4, 4, false, "M/s", false, 0},
    [C_16P16C] = {"16P16C", FLOW, 16, 16, false, "M/s", false, 0},
    [C_32P32C] = {"32P32C", FLOW, 32, 32, false, "M/s", false, 0},
    [C_IDLE] = {"idle", IDLE, 1, 1, false, "us", false, 0},
    [C_MEET_PINNED] = {"1P1C pin", FLOW, 1, 1, true, "M/s", true, 0},
    [C_MEET] = {"1P1C", FLOW, 1, 1, false, "M/s", true, 0},
    [C_MEET_PING_PINNED] = {"trip pin", PING, 1, 1, true, "ns", true, 0},
    [C_MEET_PING] = {"trip", PING, 1, 1, false, "ns", true, 0},
    [C_ONE_2_PINNED] = {"one of 2", ONE, 1, 1, true, "M/s", false, 2},
    [C_ONE_8_PINNED] = {"one of 8", ONE, 1, 1, true, "M/s", false, 8},
    [C_ONE_64_PINNED] = {"one of 64", ONE, 1, 1, true, "M/s", false, 64},
    [C_ALL_2_PINNED] = {"all of 2", ALL, 1, 1, true, "M/s", false, 2},
    [C_ALL_8_PINNED] = {"all of 8", ALL, 1, 1, true, "M/s", false, 8},
    [C_ALL_64_PINNED] = {"all of 64", ALL, 1, 1, true, "M/s", false, 64},
    [C_ONE_2] = {"one of 2", ONE, 1, 1, false, "M/s", false, 2},
    [C_ONE_8] = {"one of 8", ONE, 1, 1, false, "M/s", false, 8},
    [C_ONE_64] = {"one of 64", ONE, 1, 1, false, "M/s", false, 64},
    [C_ALL_2] = {"all of 2", ALL, 1, 1, false, "M/s", false, 2},
    [C_ALL_8] = {"all of 8", ALL, 1, 1, false, "M/s", false, 8},
    [C_ALL_64] = {"all of 64", ALL, 1, 1, false, "M/s", false, 64},
    [C_TRY_2] = {"try 2", TRY, 1, 1, true, "ns", false, 2},
    [C_TRY_8] = {"try 8", TRY, 1, 1, true, "ns", false, 8},
    [C_TRY_64] = {"try 64", TRY, 1, 1, true, "ns", false, 64},
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
           (b->pinning || !columns[c].pinned) && (rows[r].many || !extra) && (rows[r].sleeps || c != C_IDLE) &&
           (rows[r].selects != NULL || c < C_MEET_PINNED);
}

static inline bool in_ns(shape s)
{
    return s == PING || s == TRY;
}

static inline double cell_median(const cell *x)
{
    return bench_quantile(x->runs, x->n, 0.5);
}

#endif /* BENCH_PLAN_H */
