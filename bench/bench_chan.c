/* bench/bench_chan.c: weir's channels beside their rivals, in one table from one run.
 *
 *     bench_chan [--runs N] [--seconds S] [--limit S] [--cpus A,B] [--only TEXT] [--json FILE] [--quick]
 *
 * How it measures
 *   Each run is a process of its own (worker.h), with a time limit; each figure is the median of at least five. How many messages a
 *   run sends is found out by short runs beforehand, for each queue and shape, so that every run takes about the same time
 *   (0.3 s). The runs are interleaved: a round takes each column in turn, and in it each row once, so that what is compared
 *   was measured within seconds, and a drift of the machine hits all alike.
 *   All queues run the same loops (shapes.h), check the number and the sum of what they received, and are built with
 *   the same flags. Go's channel is a program of its own, with the same loops in Go.
 *
 *   A run that is killed at the time limit counts as the slowest. Where the median is such a run, the table says DNF.
 *
 * Exit status: 1 if a queue delivered wrong values, or weir did not finish a run on its default rings. A missed target is printed, and
 * is no failure.
 */
#include "targets.h"

#include <math.h> /* INFINITY */

static bool run_once(const bench *b, row_id r, column_id c, uint64_t count, child_end *end, double *ns, char *said,
                     size_t size)
{
    static const char *const shapes[] = {"flow", "ping", "idle", "one", "all", "try"};
    const column *col = &columns[c];
    char program[512], kind[32], senders[16], receivers[16], counts[32], cpus[2][16];
    const char *const argv[] = {program, kind, shapes[col->shape], senders, receivers, counts, cpus[0], cpus[1], NULL};
    snprintf(program, sizeof program, "%s/%s", b->folder, col->channels > 0 ? rows[r].selects : rows[r].program);
    snprintf(kind, sizeof kind, "%s%s", rows[r].kind, col->meets ? "_meet" : "");
    snprintf(senders, sizeof senders, "%d", col->channels > 0 ? col->channels : col->senders);
    snprintf(receivers, sizeof receivers, "%d", col->receivers);
    snprintf(counts, sizeof counts, "%llu", (unsigned long long)count);
    for (int i = 0; i < 2; i++)
        snprintf(cpus[i], sizeof cpus[i], "%d", col->pinned ? b->cpus[i] : -1);
    *end = child_run(argv, b->limit_s, said, size);
    *ns = strtod(said, NULL);
    if (*end == CHILD_DONE && *ns <= 0 && col->shape != IDLE)
        *end = CHILD_WRONG;
    return *end == CHILD_DONE;
}

/* Some queues collapse in one run of two, to a hundredth: then the next run sends fewer. */
static void send_fewer(cell *x)
{
    x->count = x->count > 10 * BENCH_THREADS_MAX ? x->count / 10 : BENCH_THREADS_MAX;
}

static void cell_failed(bench *b, row_id r, cell *x, child_end end, const char *said)
{
    if (end == CHILD_LATE) {
        send_fewer(x);
        return;
    }
    x->state = end == CHILD_SKIPPED ? SKIPPED : WRONG;
    if (end == CHILD_SKIPPED && said[0] == '\0') /* there is no such program */
        snprintf(b->why[r], sizeof b->why[r], "%s",
                 r == GO          ? "needs go"
                 : r == CROSSBEAM ? "needs cargo and librust-crossbeam-channel-dev"
                                  : "not built");
    else if (end == CHILD_SKIPPED)
        snprintf(b->why[r], sizeof b->why[r], "%.*s", (int)strcspn(said, "\n"), said);
}

/* Finds how many messages take about run_s, in steps of at most twenty times. */
static void calibrate(bench *b, row_id r, column_id c)
{
    cell *x = &b->cells[r][c];
    const shape s = columns[c].shape;
    const double enough = b->run_s * 1e9 / 10;
    child_end end;
    double ns;
    char said[128];
    x->count = s == IDLE ? (b->quick ? 50 : 1000) : in_ns(s) ? 50 : 5000;
    if (b->why[r][0] != '\0') {
        x->state = SKIPPED;
        return;
    }
    while (s != IDLE) {
        if (!run_once(b, r, c, x->count, &end, &ns, said, sizeof said)) {
            cell_failed(b, r, x, end, said);
            break;
        }
        const double times = b->run_s * 1e9 / ns;
        const bool more = ns < enough && times > 20;
        x->count = (uint64_t)((double)x->count * (more ? 20 : times)) + BENCH_THREADS_MAX;
        if (!more)
            break;
    }
}

/* M/s; ns per round trip or try; µs of CPU. */
static double figure_of(shape s, uint64_t count, double ns)
{
    if (s == IDLE)
        return ns / 1e3;
    return in_ns(s) ? ns / (double)count : (double)count / ns * 1e3;
}

static void measure(bench *b, row_id r, column_id c)
{
    cell *x = &b->cells[r][c];
    const column *col = &columns[c];
    child_end end;
    double ns;
    char said[128];
    if (x->state != EMPTY && x->state != MEASURED)
        return;
    if (run_once(b, r, c, x->count, &end, &ns, said, sizeof said)) {
        x->state = MEASURED;
        x->runs[x->n++] = figure_of(col->shape, x->count, ns);
    } else {
        cell_failed(b, r, x, end, said);
        if (end == CHILD_LATE) { /* the slowest of the runs, whatever it would have come to */
            x->late++;
            x->runs[x->n++] = in_ns(col->shape) || col->shape == IDLE ? INFINITY : 0;
        }
    }
    if (x->late > b->runs / 2) /* so the median is one that did not finish: no need to wait for the rest */
        x->state = UNFINISHED;
}

static void measure_floors(bench *b)
{
    char program[512], cpus[2][16], out[2048], *line, *next;
    const char *const argv[] = {program, cpus[0], cpus[1], b->quick ? "20" : "1", NULL};
    int i = 0;
    snprintf(program, sizeof program, "%s/floors", b->folder);
    for (int k = 0; k < 2; k++)
        snprintf(cpus[k], sizeof cpus[k], "%d", b->cpus[k]);
    if (child_run(argv, 30, out, sizeof out) != CHILD_DONE)
        return;
    for (line = out; (next = strchr(line, '\n')) != NULL && i < FLOORS_MAX; line = next + 1, i++) {
        floor_figure *f = &b->floors[i];
        char value[32];
        if (sscanf(line, "%31s\t%7s\t%79[^\n]", value, f->unit, f->what) == 3 && value[0] != '-')
            f->runs[f->n++] = atof(value);
    }
    b->floor_count = i;
}

static void progress(const bench *b, int round, column_id c)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s %d of %d: %-9s %4.0f s ", round == 0 ? "calibrating" : "round", round == 0 ? 1 : round,
                round == 0 ? 1 : b->runs, columns[c].name, (double)(bench_now() - b->began) / 1e9);
}

static void measure_all(bench *b)
{
    for (int round = 0; round <= b->runs; round++) {
        if (round > 0)
            measure_floors(b);
        for (int c = 0; c < COLUMNS; c++) {
            progress(b, round, (column_id)c);
            for (int r = 0; r < ROWS; r++)
                if (applies(b, (row_id)r, (column_id)c))
                    (round == 0 ? calibrate : measure)(b, (row_id)r, (column_id)c);
        }
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%60s\r", "");
}

/* Whether all values arrived, and every run of weir on its default rings finished. */
static bool all_right(const bench *b)
{
    bool right = true;
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            if (b->cells[r][c].state == WRONG || (r <= MPMC && b->cells[r][c].late > 0))
                right = false;
    return right;
}

static int usage(void)
{
    fprintf(stderr, "usage: bench_chan [options]\n"
                    "  --runs N       runs per figure (5)\n"
                    "  --seconds S    length of a run (0.3)\n"
                    "  --limit S      when a run is given up (10)\n"
                    "  --cpus A,B     where pinned threads run (the first two that are allowed)\n"
                    "  --only TEXT    only rows whose name contains it\n"
                    "  --json FILE    writes all numbers there\n"
                    "  --quick        a smoke test of some seconds: figures without meaning\n");
    return 2;
}

/* False: an option that is none. */
static bool options(bench *b, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--quick") == 0) {
            b->quick = true;
            b->runs = 1;
            b->run_s = 0.005;
            b->limit_s = 3;
            continue;
        }
        if (value == NULL)
            return false;
        i++;
        if (strcmp(name, "--runs") == 0 && atoi(value) > 0)
            b->runs = atoi(value) < RUNS_MAX ? atoi(value) : RUNS_MAX;
        else if (strcmp(name, "--seconds") == 0 && atof(value) > 0)
            b->run_s = atof(value);
        else if (strcmp(name, "--limit") == 0 && atof(value) > 0)
            b->limit_s = atof(value);
        else if (strcmp(name, "--only") == 0)
            b->only = value;
        else if (strcmp(name, "--json") == 0)
            b->json = value;
        else if (strcmp(name, "--cpus") != 0 || sscanf(value, "%d,%d", &b->cpus[0], &b->cpus[1]) != 2)
            return false;
    }
    return true;
}

static void prepare(bench *b)
{
    char *slash;
    const ssize_t length = readlink("/proc/self/exe", b->folder, sizeof b->folder - 1);
    b->folder[length > 0 ? length : 0] = '\0';
    slash = strrchr(b->folder, '/');
    if (slash != NULL)
        *slash = '\0';
    b->runs = 5;
    b->run_s = 0.3;
    b->limit_s = 10;
    b->cpus[1] = b->cpus[0];
    b->pinning = bench_cpus(b->cpus, 2) >= 2;
    if (!b->pinning)
        b->cpus[1] = b->cpus[0];
    if (getloadavg(&b->load, 1) != 1)
        b->load = 0;
    b->began = bench_now();
}

int main(int argc, char **argv)
{
    static bench b;
    machine m;
    prepare(&b);
    if (!options(&b, argc, argv))
        return usage();
    m = machine_here(&b);
    measure_all(&b);
    print_machine(&b, &m);
    print_floors(&b);
    print_table(&b);
    print_many_threads(&b);
    print_rendezvous(&b);
    print_selects(&b);
    print_idle(&b);
    print_targets(&b);
    print_notes(&b);
    printf("\n%.0f s\n", (double)(bench_now() - b.began) / 1e9);
    if (b.json != NULL && !write_json(&b, &m)) {
        fprintf(stderr, "cannot write %s\n", b.json);
        return 2;
    }
    return all_right(&b) ? 0 : 1;
}
