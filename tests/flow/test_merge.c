/* flow/merge.h: every value once, each input's in order; equal shares where the output is the bottleneck; any number of inputs. */
#include "clauses.h"
#include "core/child.h"

enum { MANY = 200 }; /* more than a select takes in one piece */

static int_chan ins[MANY], out;

static void open_ins(size_t n, size_t capacity)
{
    for (size_t i = 0; i < n; i++)
        REQUIRE(weir_chan_make(&ins[i], capacity) == 0);
}
static void free_ins(size_t n)
{
    for (size_t i = 0; i < n; i++)
        weir_chan_free(&ins[i]);
}

/* A value is number * MANY + input. */
struct counts {
    int count[MANY], wrong, unfair, all;
    size_t n;
    bool equal; /* no input is more than one value ahead of another, until one has ended */
    int full;
};

static int count_by_input(weir_ctx *ctx, void *arg, const void *value)
{
    struct counts *c = (struct counts *)arg;
    int v, least, most;
    (void)ctx;
    memcpy(&v, value, sizeof v);
    c->wrong += c->count[v % MANY]++ != v / MANY;
    c->all++;
    least = most = c->count[0];
    for (size_t i = 1; i < c->n && c->equal; i++) {
        least = c->count[i] < least ? c->count[i] : least;
        most = c->count[i] > most ? c->count[i] : most;
    }
    c->unfair += c->equal && most > least + 1;
    return 0;
}

struct numbers {
    int input, next, end;
};
static int make_numbers(weir_ctx *ctx, void *arg, void *value)
{
    struct numbers *s = (struct numbers *)arg;
    const int v = s->next * MANY + s->input;
    (void)ctx;
    if (s->next == s->end)
        return EPIPE;
    dawdle(v * 7919 % 13);
    memcpy(value, &v, sizeof v);
    s->next++;
    return 0;
}

TEST(a_merge_in_a_context_that_has_ended_takes_nothing)
{
    const int v = 1;
    weir_ctx ended;
    weir_pipeline p;
    open_ins(2, 1);
    REQUIRE(weir_chan_make(&out, 1) == 0);
    CHECK_INT(weir_try_send(ins[0], &v), 0);
    CHECK_INT(weir_try_send(ins[1], &v), 0);
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    weir_pipeline_init(&p, &ended);
    CHECK_INT(weir_merge(&p, ins, 2, out, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), ECANCELED);
    CHECK_INT(weir_len(ins[0]) + weir_len(ins[1]), 2);
    weir_ctx_free(&ended);
    weir_chan_free(&out);
    free_ins(2);
}

TEST(every_value_comes_once_and_each_input_in_order)
{
    const int rounds = (int)test_rounds(100);
    for (int round = 0; round < rounds; round++) {
        struct numbers s[5];
        struct counts c;
        weir_pipeline p;
        int all = 0;
        memset(&c, 0, sizeof c);
        open_ins(5, (size_t)(round % 3)); /* rendezvous too */
        REQUIRE(weir_chan_make(&out, 1) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_merge(&p, ins, 5, out, NULL), 0);
        for (int i = 0; i < 5; i++) {
            s[i] = (struct numbers){i, 0, i * 40 + round % 3};
            all += s[i].end;
            CHECK_INT(weir_generate(&p, ins[i], make_numbers, &s[i], NULL), 0);
        }
        CHECK_INT(weir_sink(&p, out, count_by_input, &c, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(c.all, all);
        CHECK_INT(c.wrong, 0);
        CHECK_INT(weir_close(out), EPIPE);
        weir_chan_free(&out);
        free_ins(5);
    }
}

TEST(inputs_that_always_have_something_get_equal_shares)
{
    const size_t widths[] = {2, 7, MANY};
    for (int k = 0; k < 3; k++) {
        struct counts c;
        weir_pipeline p;
        memset(&c, 0, sizeof c);
        c.n = widths[k];
        c.equal = true;
        open_ins(c.n, 100);
        REQUIRE(weir_chan_make(&out, 1) == 0);
        for (size_t i = 0; i < c.n; i++) {
            for (int j = 0; j < 100; j++) {
                const int v = j * MANY + (int)i;
                CHECK_INT(weir_send(NULL, ins[i], &v), 0);
            }
            weir_close(ins[i]);
        }
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_merge(&p, ins, c.n, out, NULL), 0);
        CHECK_INT(weir_sink(&p, out, count_by_input, &c, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(c.all, 100 * (int)c.n);
        CHECK_INT(c.wrong, 0);
        CHECK_INT(c.unfair, 0);
        weir_chan_free(&out);
        free_ins(c.n);
    }
}

TEST(two_hundred_inputs_need_no_memory_while_they_run)
{
    struct counts c;
    weir_pipeline p;
    memset(&c, 0, sizeof c);
    open_ins(MANY, 2);
    REQUIRE(weir_chan_make(&out, 1) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_merge(&p, ins, MANY, out, NULL), 0);
    CHECK_INT(weir_sink(&p, out, count_by_input, &c, NULL), 0);
    fail_allocation = 0;
    for (int j = 0; j < 10; j++)
        for (int i = MANY - 1; i >= 0; i--) {
            const int v = j * MANY + i;
            CHECK_INT(weir_send(NULL, ins[i], &v), 0);
            if (v % 50 == 0)
                EVENTUALLY(weir_len(ins[i]) == 0); /* it has to sleep */
        }
    for (int i = 0; i < MANY; i++)
        weir_close(ins[i]);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    fail_allocation = -1;
    CHECK_INT(c.all, 10 * MANY);
    CHECK_INT(c.wrong, 0);
    weir_chan_free(&out);
    free_ins(MANY);
}

static int takes_five(weir_ctx *ctx, void *arg, const void *value)
{
    (void)ctx;
    (void)value;
    return ++*(int *)arg == 5 ? EPIPE : 0;
}

TEST(a_reader_that_leaves_closes_every_input)
{
    struct numbers s[3];
    weir_pipeline p;
    int taken = 0;
    open_ins(3, 1);
    REQUIRE(weir_chan_make(&out, 1) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_merge(&p, ins, 3, out, NULL), 0);
    for (int i = 0; i < 3; i++) {
        s[i] = (struct numbers){i, 0, INT32_MAX / MANY};
        CHECK_INT(weir_generate(&p, ins[i], make_numbers, &s[i], NULL), 0);
    }
    CHECK_INT(weir_sink(&p, out, takes_five, &taken, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(taken, 5);
    weir_chan_free(&out);
    free_ins(3);
}

/* The stage that was started first does, in a pipeline that is watched. */
static bool waits_for_input(weir_pipeline *p)
{
    return (weir__load_rlx(&p->rooms.first->desks->blocked_in) & 1) != 0;
}

TEST(a_merge_that_sleeps_on_many_ends_with_the_context)
{
    for (int sorted = 0; sorted < 2; sorted++) {
        weir_pipeline p;
        open_ins(MANY, 1);
        weir_close(ins[0]);
        REQUIRE(weir_chan_make(&out, 1) == 0);
        weir_pipeline_init(&p, NULL);
        weir_pipeline_watch(&p, NULL);
        if (sorted)
            CHECK_INT(weir_merge_sorted(&p, ins, MANY, out, NULL, NULL, NULL), 0);
        else
            CHECK_INT(weir_merge(&p, ins, MANY, out, NULL), 0);
        EVENTUALLY(waits_for_input(&p));
        weir_ctx_cancel(weir_pipeline_ctx(&p), 0);
        CHECK_INT(weir_pipeline_wait(&p), ECANCELED);
        weir_pipeline_unwatch(&p);
        weir_chan_free(&out);
        free_ins(MANY);
    }
}

TEST(a_merge_counts_what_is_there_and_what_it_has_waited_for)
{
    const int v = 0;
    weir_pipeline p;
    weir_progress all;
    weir_stage_progress s;
    open_ins(2, 1);
    REQUIRE(weir_chan_make(&out, 4) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, NULL);
    CHECK_INT(weir_send(NULL, ins[0], &v), 0);
    CHECK_INT(weir_merge(&p, ins, 2, out, NULL), 0);
    EVENTUALLY(waits_for_input(&p)); /* it has found no second one */
    CHECK_INT(weir_pipeline_progress(&p, &all, &s, 1), 0);
    CHECK(s.in == 1 && s.out == 1);
    CHECK_INT(weir_send(NULL, ins[1], &v), 0);
    EVENTUALLY(weir_len(out) == 2);
    weir_close(ins[0]);
    weir_close(ins[1]);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(weir_pipeline_progress(&p, &all, &s, 1), 0);
    CHECK(s.in == 2 && s.out == 2 && all.done == 2);
    weir_pipeline_unwatch(&p);
    weir_chan_free(&out);
    free_ins(2);
}

/* In a child process: what the parent has made has neither ended nor anything to give. */
static int merges_what_it_has_inherited(void)
{
    weir_pipeline p;
    alarm(20); /* if it hangs */
    weir_pipeline_init(&p, NULL);
    if (weir_chan_make(&out, 1) != 0 || weir_merge(&p, ins, 2, out, NULL) != 0)
        return 1;
    return weir_pipeline_wait(&p) == ENOTRECOVERABLE ? FINE : 2;
}

TEST(an_input_that_fails_fails_the_merge)
{
    if (TEST_SANITIZED)
        SKIP("thread sanitizer has no threads in a child of threads");
    open_ins(2, 1);
    CHECK_INT(in_child(merges_what_it_has_inherited), FINE);
    free_ins(2);
}

/* ---- in order ---- */

/* A value is key * MANY + input: by key. */
static bool key_before(void *arg, const void *a, const void *b)
{
    int va, vb;
    (void)arg;
    memcpy(&va, a, sizeof va);
    memcpy(&vb, b, sizeof vb);
    return va / MANY < vb / MANY;
}

static uint32_t dice = 1;
static int throw_dice(int below)
{
    dice = dice * 1664525U + 1013904223U;
    return (int)((uint64_t)(dice >> 8) * (unsigned)below >> 24);
}

TEST(sorted_inputs_make_a_sorted_output_and_equal_ones_come_by_input)
{
    const int rounds = (int)test_rounds(300);
    for (int round = 0; round < rounds; round++) {
        const size_t n = 1 + (size_t)(round % 9);
        weir_pipeline p;
        int all = 0, got = 0, last = -1, v;
        open_ins(n, 30);
        REQUIRE(weir_chan_make(&out, 2) == 0);
        for (size_t i = 0; i < n; i++) {
            const int length = throw_dice(30);
            for (int j = 0, key = 0; j < length; j++) {
                key += throw_dice(3);
                v = key * MANY + (int)i;
                CHECK_INT(weir_send(NULL, ins[i], &v), 0);
            }
            all += length;
            weir_close(ins[i]);
        }
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_merge_sorted(&p, ins, n, out, key_before, NULL, NULL), 0);
        while (weir_recv(NULL, out, &v) == 0) {
            CHECK(v >= last); /* by key, then by input */
            last = v;
            got++;
        }
        CHECK_INT(got, all);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        weir_chan_free(&out);
        free_ins(n);
    }
}

TEST(no_input_and_too_many_are_misuse)
{
    for (int what = 0; what < 4; what++) {
        weir_pipeline p;
        const size_t n = what % 2 == 0 ? 0 : ((size_t)1 << 20) + 1;
        REQUIRE(weir_chan_make(&out, 1) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(what < 2 ? weir_merge(&p, ins, n, out, NULL)
                           : weir_merge_sorted(&p, ins, n, out, key_before, NULL, NULL),
                  EINVAL);
        CHECK_INT(weir_pipeline_wait(&p), EINVAL);
        weir_chan_free(&out);
    }
}

/* One input that lives, and two that have ended. */
static void open_three(void)
{
    open_clause_out();
    open_ins(2, 1);
    weir_close(ins[0]);
    weir_close(ins[1]);
}
static void close_three(void)
{
    close_clause_out();
    free_ins(2);
}
static int start(weir_pipeline *p, int_chan in)
{
    const int_chan three[] = {ins[0], in, ins[1]};
    return weir_merge(p, three, 3, clause_out, NULL);
}
static int start_sorted(weir_pipeline *p, int_chan in)
{
    const int_chan three[] = {ins[0], in, ins[1]};
    return weir_merge_sorted(p, three, 3, clause_out, key_before, NULL, NULL);
}

TEST(what_holds_for_every_stage_holds_for_them)
{
    struct subject s = {open_three, start, drain_clause_out, close_three, 6, 1};
    clauses_hold(&s);
    s.start = start_sorted;
    clauses_hold(&s);
}
