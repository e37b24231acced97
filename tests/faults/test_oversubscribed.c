/* tests/faults/test_oversubscribed.c: as many threads as cores, eight and thirty-two times as many. No wake-up is lost, no run collapses: the
 * slowest of twelve is at least half as fast as the median of a bounded queue under a mutex with two condition variables; and no try-operation
 * keeps its processor for 10 ms. (Time on the processor: the time until a thread gets one again is the scheduler's.)
 */
#include "harness.h"

enum { RUNS = 12, CAPACITY = 64 };

/* ---- the queue that people write ---- */

struct plain_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    uint64_t value[CAPACITY];
    size_t first, count;
};

static void plain_send(struct plain_queue *q, uint64_t v)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == CAPACITY)
        pthread_cond_wait(&q->drained, &q->lock);
    q->value[(q->first + q->count++) % CAPACITY] = v;
    pthread_cond_signal(&q->filled);
    pthread_mutex_unlock(&q->lock);
}

static uint64_t plain_recv(struct plain_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == 0)
        pthread_cond_wait(&q->filled, &q->lock);
    const uint64_t v = q->value[q->first];
    q->first = (q->first + 1) % CAPACITY;
    q->count--;
    pthread_cond_signal(&q->drained);
    pthread_mutex_unlock(&q->lock);
    return v;
}

/* ---- one run: every thread moves its share, half of them send ---- */

struct crowd {
    struct plain_queue *plain; /* or NULL: */
    weir_chan(uint64_t) ch;
    long share;
};
struct member {
    struct crowd *crowd;
    int number;
    uint64_t sum; /* of what it sent or received */
    int64_t worst_try;
    bool wrong;
};

static int64_t own_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Every 64th call is a try first, timed. */
static void move(struct member *m, long i, uint64_t *v)
{
    struct crowd *c = m->crowd;
    const bool sends = m->number % 2 == 0;
    if (i % 64 == 0) {
        const int64_t begun = own_time();
        const int rc = sends ? weir_try_send(c->ch, v) : weir_try_recv(c->ch, v);
        const int64_t took = own_time() - begun;
        if (took > m->worst_try)
            m->worst_try = took;
        if (rc == 0)
            return;
        m->wrong |= rc != EAGAIN;
    }
    m->wrong |= (sends ? weir_send(NULL, c->ch, v) : weir_recv(NULL, c->ch, v)) != 0;
}

static void member_main(void *arg)
{
    struct member *m = (struct member *)arg;
    for (long i = 0; i < m->crowd->share; i++) {
        uint64_t v = (uint64_t)m->number << 32 | (uint64_t)i;
        if (m->crowd->plain == NULL)
            move(m, i, &v);
        else if (m->number % 2 == 0)
            plain_send(m->crowd->plain, v);
        else
            v = plain_recv(m->crowd->plain);
        m->sum += v;
    }
}

/* Seconds for `threads` that move `values` in all. */
static double run_crowd(struct plain_queue *plain, int threads, long values, int64_t *worst_try)
{
    struct crowd crowd = {.plain = plain, .share = values / (threads / 2)};
    struct member *members = (struct member *)calloc((size_t)threads, sizeof *members);
    uint64_t sent = 0, received = 0;
    REQUIRE(members != NULL && weir_chan_make(&crowd.ch, CAPACITY) == 0);
    for (int i = 0; i < threads; i++) {
        members[i].crowd = &crowd;
        members[i].number = i;
    }
    const double begun = test_now();
    test_threads(threads, member_main, members, sizeof *members);
    const double took = test_now() - begun;
    for (int i = 0; i < threads; i++) {
        *(i % 2 == 0 ? &sent : &received) += members[i].sum;
        CHECK(!members[i].wrong);
        if (members[i].worst_try > *worst_try)
            *worst_try = members[i].worst_try;
    }
    CHECK(sent == received);
    weir_chan_free(&crowd.ch);
    free(members);
    return took;
}

static int by_size(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : 1;
}

/* One measurement. True: the slowest run is within twice the mutex's median, and no try took 10 ms. */
static bool keeps_up(int threads)
{
    static struct plain_queue plain = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER, .drained = PTHREAD_COND_INITIALIZER};
    const long values = test_rounds(60000);
    double ours[RUNS], theirs[RUNS];
    int64_t worst_try = 0, none = 0;
    for (int i = 0; i < RUNS; i++) {
        ours[i] = run_crowd(NULL, threads, values, &worst_try);
        theirs[i] = run_crowd(&plain, threads, values, &none);
    }
    qsort(ours, RUNS, sizeof ours[0], by_size);
    qsort(theirs, RUNS, sizeof theirs[0], by_size);
    test_say("#   %d threads: slowest %.2f ms, median %.2f; under a mutex %.2f; longest try %.3f ms\n", threads,
             ours[RUNS - 1] * 1e3, ours[RUNS / 2] * 1e3, theirs[RUNS / 2] * 1e3, (double)worst_try / 1e6);
    return ours[RUNS - 1] <= 2 * theirs[RUNS / 2] && worst_try < WEIR_MS(10);
}

/* Other programs may take the processor in one run and not in the next: the limit has to be kept in one of five measurements. A collapse breaks it in all. */
static void crowded(int times)
{
    const int threads = (weir_cpu_count() * times + 1) / 2 * 2;
    bool kept = keeps_up(threads);
    /* Speed means nothing under a sanitizer, and ck_ring's producers wait for each other (ring/ck.h): that all values arrived has been checked. */
    if (TEST_SANITIZED || weir__ring_of(WEIR__MPMC) == WEIR_RING_CK)
        return;
    for (int i = 1; i < 5 && !kept; i++)
        kept = keeps_up(threads);
    CHECK(kept);
}

TEST(as_many_threads_as_cores)
{
    crowded(1);
}

TEST(eight_threads_a_core)
{
    crowded(8);
}

TEST(thirty_two_threads_a_core)
{
    crowded(32);
}
