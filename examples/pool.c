/* pool.c: the words of many pages are counted by a pool of workers: results through a channel, a page that cannot be read, a job that nobody wants
 * any more, and an array in parallel. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

struct page {
    const char *text; /* NULL: it cannot be read */
    int words;
};

static int next_letter(const char **at)
{
    if (*at == NULL)
        weir_job_fail(EIO); /* from wherever it is noticed: the job ends, its worker goes on */
    return *(*at)++;
}

static int count_words(weir_ctx *ctx, void *arg)
{
    struct page *p = (struct page *)arg;
    const char *at = p->text;
    int letter, before = ' ';
    (void)ctx;
    for (; (letter = next_letter(&at)) != '\0'; before = letter)
        p->words += before == ' ' && letter != ' ';
    return 0;
}

static int square(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)arg;
    *(long *)out = (long)*(const int *)in * *(const int *)in;
    return 0;
}

int main(void)
{
    static const char *const text[] = {"call me ishmael", "some years ago", NULL, "never mind how long precisely"};
    struct page pages[100];
    int numbers[1000], words = 0, failed = 0, late = 0;
    long squares[1000], sum = 0;
    weir_pool pool;
    weir_pool_tally tally;
    weir_job_results results;
    weir_job_result r;
    if (weir_chan_make(&results, 101) != 0 ||
        weir_pool_start(&pool, NULL, &(weir_pool_opt){.min = 2, .max = 8, .queue = 16}) != 0)
        return 1;

    for (int i = 0; i < 100; i++) {
        pages[i] = (struct page){text[i % 4], 0};
        /* Waits while sixteen are queued. */
        if (weir_pool_submit(NULL, &pool, count_words, &pages[i],
                             &(weir_job_opt){.id = (uint64_t)i, .results = results}) != 0)
            return 1;
    }
    /* Too late when it was submitted: it is reported, not run. */
    weir_pool_submit(NULL, &pool, count_words, &pages[0],
                     &(weir_job_opt){.deadline = 1, .priority = WEIR_JOB_LOW, .results = results});

    for (int i = 0; i < 101; i++) {
        weir_recv(NULL, results, &r);
        if (!r.ran)
            late++;
        else if (r.error != 0)
            failed += r.error == EIO && r.id % 4 == 2;
        else
            words += ((struct page *)r.output)->words;
    }
    printf("%d words, %d pages could not be read, %d job was late\n", words, failed, late);

    for (int i = 0; i < 1000; i++)
        numbers[i] = i;
    if (weir_pool_map(NULL, &pool, square, NULL, numbers, squares, 1000, NULL) == 0)
        for (int i = 0; i < 1000; i++)
            sum += squares[i];
    printf("sum of squares %ld\n", sum);

    printf("drained: %s\n", weir_error_text(weir_pool_drain(NULL, &pool)));
    printf("one more: %s\n", weir_error_text(weir_pool_submit(NULL, &pool, count_words, &pages[0], NULL)));
    weir_pool_stats(&pool, &tally);
    printf("failed %d, expired %d, left in the queue %d, threads left %d\n", (int)tally.failed, (int)tally.expired,
           (int)tally.queued, weir_thread_count());
    weir_pool_free(&pool);
    weir_chan_free(&results);
    return 0;
}
