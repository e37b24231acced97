/* bench/rows.h: a table of rows that take turns: the median of several rounds for each, and its ratio to another row in the same round.
 *
 * A program defines its rows and calls rows_main(argc, argv, rows, count, of_what). All in nanoseconds for one operation.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "bench.h"

#include <pthread.h>

enum { ROWS_MAX = 60, ROUNDS_MAX = 25 };

struct row {
    const char *name, *of;
    void *(*loop)(void *);                /* does row_operations operations; by `threads` threads at once */
    double (*run)(const struct row *row); /* instead: nanoseconds; below 0: cannot be had */
    int threads;
    int64_t operations; /* of all threads */
    int base;           /* the row that it is compared with: how many further down; 0: none */
};

static int64_t row_operations; /* of each thread */

#define LOOP(name, ...)                                                                                                \
    static void *name(void *arg)                                                                                       \
    {                                                                                                                  \
        (void)arg;                                                                                                     \
        for (int64_t i = 0; i < row_operations; i++) {                                                                 \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        return NULL;                                                                                                   \
    }

static double row_loop(const struct row *r)
{
    pthread_t thread[BENCH_THREADS_MAX];
    row_operations = r->operations / r->threads;
    const int64_t begun = bench_now();
    for (int i = 1; i < r->threads; i++)
        pthread_create(&thread[i], NULL, r->loop, NULL);
    (void)r->loop(NULL);
    for (int i = 1; i < r->threads; i++)
        pthread_join(thread[i], NULL);
    return (double)(bench_now() - begun) / (double)(row_operations * r->threads);
}

/* A program of another language that prints the number; below 0: there is none. */
static inline double row_program(const char *command)
{
    double each = -1;
    FILE *out = popen(command, "r");
    if (out == NULL || fscanf(out, "%lf", &each) != 1)
        each = -1;
    if (out != NULL)
        pclose(out);
    return each;
}

static int rows_main(int argc, char **argv, const struct row *rows, int count)
{
    static double took[ROWS_MAX][ROUNDS_MAX];
    const int rounds = argc > 1 && atoi(argv[1]) > 0 && atoi(argv[1]) <= ROUNDS_MAX ? atoi(argv[1]) : 5;
    for (int round = 0; round < rounds; round++)
        for (int r = 0; r < count; r++)
            took[r][round] = rows[r].run != NULL ? rows[r].run(&rows[r]) : row_loop(&rows[r]);
    printf("nanoseconds, median of %d; ratio: the other's time over weir's, each round by itself\n", rounds);
    for (int r = 0; r < count; r++) {
        double ratio[ROUNDS_MAX];
        if (took[r][0] < 0) {
            printf("%-20s skipped: needs it\n", rows[r].name);
            continue;
        }
        printf("%-20s %-34s %10.1f", rows[r].name, rows[r].of, bench_quantile(took[r], rounds, 0.5));
        for (int round = 0; rows[r].base > 0 && round < rounds; round++)
            ratio[round] = took[r + rows[r].base][round] / took[r][round];
        if (rows[r].base > 0 && took[r + rows[r].base][0] >= 0)
            printf("   ratio %.2f", bench_quantile(ratio, rounds, 0.5));
        puts("");
    }
    return 0;
}

#endif /* BENCH_ROWS_H */
