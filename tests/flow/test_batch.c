/* flow/batch.h: by count or by time, whichever is first; the time from the first value on; every value in one batch, in order. */
#include "clauses.h"
#include "guard/hand.h"

typedef weir_batch_of(int, 10) int_batch;
typedef weir_chan(int_batch) batch_chan;

static struct hand hand;

static int_chan in;
static batch_chan out;

static void open_both(size_t capacity)
{
    REQUIRE(weir_chan_make(&in, capacity) == 0 && weir_chan_make(&out, capacity) == 0);
}
static void free_both(void)
{
    weir_chan_free(&in);
    weir_chan_free(&out);
}
/* What comes next is a batch of first … first + n - 1. */
static void comes(int first, size_t n)
{
    int_batch b;
    CHECK_INT(weir_recv(NULL, out, &b), 0);
    CHECK_INT(b.n, n);
    for (size_t i = 0; i < n && i < b.n; i++)
        CHECK_INT(b.item[i], first + (int)i);
}
static void nothing_comes(void)
{
    int_batch b;
    CHECK_INT(weir_try_recv(out, &b), EAGAIN);
}

TEST(batches_have_the_count_and_the_last_one_what_is_left)
{
    for (int n = 0; n <= 41; n++)
        for (size_t count = 0; count <= 10; count += count == 0 ? 1 : 3) {
            const weir_batch_rules rules = {.count = count};
            const int each = count == 0 ? 10 : (int)count;
            int_batch b;
            open_both(64);
            for (int i = 0; i < n; i++)
                CHECK_INT(weir_send(NULL, in, &i), 0);
            weir_close(in);
            CHECK_INT(weir_batch_loop(NULL, in, out, &b, count == 0 ? NULL : &rules), 0);
            weir_close(out);
            for (int first = 0; first < n; first += each)
                comes(first, (size_t)(n - first < each ? n - first : each));
            CHECK_INT(weir_recv(NULL, out, &b), EPIPE);
            free_both();
        }
}

static void give(int v, int looks)
{
    CHECK_INT(weir_send(NULL, in, &v), 0);
    EVENTUALLY(hand_looks(&hand) == looks); /* it has been taken, and its time */
}

TEST(the_time_of_a_batch_runs_from_its_first_value)
{
    const weir_batch_rules rules = {.within = WEIR_SEC(100), .clock = &hand.clock};
    weir_pipeline p;
    hand_init(&hand, 0);
    open_both(4);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_batch(&p, in, out, &rules, NULL), 0);
    hand_set(&hand, WEIR_SEC(1000)); /* while nothing has come no time runs */
    give(0, 1);
    hand_set(&hand, WEIR_SEC(1050)); /* the stage waits as long as is left on its own clock, so there is some left */
    give(1, 2);
    nothing_comes();
    hand_set(&hand, WEIR_SEC(1100));
    give(2, 3); /* begins the next one: its time runs until 1200 */
    comes(0, 2);
    hand_set(&hand, WEIR_SEC(1150));
    give(3, 4);
    nothing_comes();
    hand_set(&hand, WEIR_SEC(1500));
    give(4, 5);
    comes(2, 2);
    for (int i = 5; i < 14; i++) /* by count: no time has passed */
        give(i, i + 1);
    comes(4, 10);
    give(14, 15);
    nothing_comes();
    weir_close(in);
    comes(14, 1);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    free_both();
}

TEST(a_batch_whose_time_has_come_goes_without_another_value)
{
    for (int with_clock = 0; with_clock < 2; with_clock++) {
        const weir_batch_rules rules = {.within = WEIR_MS(2), .clock = with_clock ? &hand.clock : NULL};
        const int v[] = {0, 1};
        weir_pipeline p;
        hand_init(&hand, 0);
        open_both(4);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_batch(&p, in, out, &rules, NULL), 0);
        for (int i = 0; i < 2; i++) {
            CHECK_INT(weir_send(NULL, in, &v[i]), 0);
            if (with_clock) {
                EVENTUALLY(hand_looks(&hand) >= 4); /* too early, by this clock, again and again */
                nothing_comes();
                hand_move(&hand, WEIR_MS(2));
            }
            comes(i, 1);
            __atomic_store_n(&hand.looks, 0, __ATOMIC_RELEASE);
        }
        weir_close(in);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        free_both();
    }
}

TEST(a_batch_that_waits_for_more_ends_with_the_context)
{
    const weir_batch_rules rules = {.within = WEIR_SEC(1000)};
    const int v = 0;
    for (int what = 0; what < 4; what++) {
        const bool timeout = what % 2 == 1, empty = what / 2 == 1; /* empty: it waits for its first value */
        weir_pipeline p;
        weir_ctx ctx;
        open_both(4);
        if (timeout)
            weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(5));
        else
            weir_ctx_init(&ctx, NULL);
        weir_pipeline_init(&p, &ctx);
        if (!empty)
            CHECK_INT(weir_send(NULL, in, &v), 0);
        CHECK_INT(weir_batch(&p, in, out, &rules, NULL), 0);
        EVENTUALLY(weir_len(in) == 0);
        if (!timeout)
            weir_ctx_cancel(&ctx, 0);
        CHECK_INT(weir_pipeline_wait(&p), timeout ? ETIMEDOUT : ECANCELED);
        CHECK_INT(weir_len(out), 0); /* what was gathered is gone */
        weir_ctx_free(&ctx);
        free_both();
    }
}

TEST(a_last_batch_that_nobody_wants_is_told)
{
    const int v = 0;
    int_batch b;
    open_both(4);
    CHECK_INT(weir_send(NULL, in, &v), 0);
    weir_close(in);
    weir_close(out);
    CHECK_INT(weir_batch_loop(NULL, in, out, &b, NULL), EPIPE);
    free_both();
}

static weir_ns jumps(weir_clock *clock)
{
    static weir_ns at;
    (void)clock;
    return at += WEIR_SEC(1000);
}

TEST(a_batch_whose_time_has_come_and_that_nobody_wants_ends_it)
{
    weir_clock clock = {.now = jumps};
    const weir_batch_rules rules = {.within = WEIR_SEC(100), .clock = &clock};
    int_batch b;
    open_both(4);
    for (int v = 0; v < 3; v++)
        CHECK_INT(weir_send(NULL, in, &v), 0);
    weir_close(out);
    CHECK_INT(weir_batch_loop(NULL, in, out, &b, &rules), EPIPE);
    CHECK_INT(weir_len(in), 1); /* the second value was too late for the first one's */
    free_both();
}

struct sums {
    int64_t sum;
    int count, odd;
};
static int add_batch(weir_ctx *ctx, void *arg, const void *value)
{
    struct sums *s = (struct sums *)arg;
    const int_batch *b = (const int_batch *)value;
    (void)ctx;
    s->odd += b->n == 0 || b->n > 7;
    for (size_t i = 0; i < b->n; i++) {
        s->sum += b->item[i];
        s->count++;
        s->odd += i > 0 && b->item[i] <= b->item[i - 1]; /* each worker takes rising values */
    }
    return 0;
}

TEST(several_workers_lose_nothing_whatever_the_time_says)
{
    const weir_stage_opt three = {.workers = 3};
    for (int round = 0; round < 3; round++) {
        const weir_batch_rules rules = {.count = 7, .within = round == 0 ? 1 : round == 1 ? WEIR_US(20) : 0};
        struct source s = {0, (int)test_rounds(30000), -1};
        struct sums sums = {0, 0, 0};
        weir_pipeline p;
        open_both(3);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
        CHECK_INT(weir_batch(&p, in, out, &rules, &three), 0);
        CHECK_INT(weir_sink(&p, out, add_batch, &sums, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(sums.count, s.end);
        CHECK_INT(sums.sum, (int64_t)s.end * (s.end - 1) / 2);
        CHECK_INT(sums.odd, 0);
        free_both();
    }
}

TEST(what_makes_no_sense_is_refused)
{
    const weir_batch_rules many = {.count = 11}, back = {.within = -1};
    const weir_stage_opt ordered = {.workers = 2, .ordered = true};
    for (int what = 0; what < 3; what++) {
        weir_pipeline p;
        int_batch b;
        open_both(1);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_batch(&p, in, out,
                             what == 0   ? &many
                             : what == 1 ? &back
                                         : NULL,
                             what < 2 ? NULL : &ordered),
                  EINVAL);
        CHECK_INT(weir_pipeline_wait(&p), EINVAL);
        if (what == 0)
            CHECK_INT(weir_batch_loop(NULL, in, out, &b, &many), EINVAL);
        free_both();
    }
}

struct odd_bytes {
    char c[3];
};
typedef weir_batch_of(struct odd_bytes, 3) bytes_batch;

TEST(items_of_any_size_are_where_the_type_has_them)
{
    weir_chan(struct odd_bytes) bytes;
    weir_chan(bytes_batch) batches;
    bytes_batch b;
    REQUIRE(weir_chan_make(&bytes, 8) == 0 && weir_chan_make(&batches, 8) == 0);
    for (int i = 0; i < 5; i++) {
        struct odd_bytes v = {{(char)i, (char)(i + 1), (char)(i + 2)}};
        CHECK_INT(weir_send(NULL, bytes, &v), 0);
    }
    weir_close(bytes);
    CHECK_INT(weir_batch_loop(NULL, bytes, batches, &b, NULL), 0);
    for (int first = 0; first < 5; first += 3) {
        CHECK_INT(weir_try_recv(batches, &b), 0);
        CHECK_INT(b.n, first == 0 ? 3 : 2);
        for (int i = 0; i < (int)b.n; i++)
            CHECK(b.item[i].c[0] == first + i && b.item[i].c[2] == first + i + 2);
    }
    weir_chan_free(&bytes);
    weir_chan_free(&batches);
}

static void open_out(void)
{
    REQUIRE(weir_chan_make(&out, 2) == 0);
}
static void close_out(void)
{
    weir_chan_free(&out);
}
static int start(weir_pipeline *p, int_chan from)
{
    const weir_batch_rules rules = {.count = 3};
    return weir_batch(p, from, out, &rules, NULL);
}
static int drain_batch(weir_ctx *ctx, void *arg, const void *value)
{
    (void)ctx;
    (void)arg;
    return drained((int)((const int_batch *)value)->n);
}
static int drain(weir_pipeline *p)
{
    return weir_sink(p, out, drain_batch, NULL, NULL);
}

TEST(what_holds_for_every_stage_holds_for_it)
{
    const struct subject s = {open_out, start, drain, close_out, 2 + 3 + 2 * 3 + 1, 1};
    clauses_hold(&s);
}
