/* flow/partition.h: the same key, the same worker, in order; whatever the keys are, and however busy a worker is. */
#include "clauses.h"

enum { KEYS = 37, OUTS = 4 };

struct item {
    int key, number;
};
typedef weir_chan(struct item) item_chan;

static const void *item_key(void *arg, const void *value, size_t *size)
{
    (void)arg;
    *size = sizeof(int);
    return &((const struct item *)value)->key;
}
static const weir_key by_key = {item_key, NULL, {0, 0}};

struct items {
    int next, end, numbers[KEYS];
    int keys; /* how many; 0: all */
};

static int make_item(weir_ctx *ctx, void *arg, void *value)
{
    struct items *s = (struct items *)arg;
    struct item i;
    (void)ctx;
    if (s->next == s->end)
        return EPIPE;
    i.key = s->next++ * 7919 % (s->keys != 0 ? s->keys : KEYS);
    i.number = s->numbers[i.key]++;
    memcpy(value, &i, sizeof i);
    return 0;
}

struct shelf {
    int numbers[KEYS], count, wrong;
};

static int put_on_shelf(weir_ctx *ctx, void *arg, const void *value)
{
    struct shelf *s = (struct shelf *)arg;
    struct item i;
    (void)ctx;
    memcpy(&i, value, sizeof i);
    s->wrong += s->numbers[i.key] != i.number;
    s->numbers[i.key] = i.number + 1;
    s->count++;
    return 0;
}

TEST(each_key_comes_out_of_one_output_whole_and_in_order)
{
    struct items s;
    struct shelf shelves[OUTS];
    item_chan in, outs[OUTS];
    weir_pipeline p;
    int used = 0;
    memset(&s, 0, sizeof s);
    memset(shelves, 0, sizeof shelves);
    s.end = (int)test_rounds(20000);
    REQUIRE(weir_chan_make(&in, 2) == 0);
    weir_pipeline_init(&p, NULL);
    for (int i = 0; i < OUTS; i++) {
        REQUIRE(weir_chan_make(&outs[i], 2) == 0);
        CHECK_INT(weir_sink(&p, outs[i], put_on_shelf, &shelves[i], NULL), 0);
    }
    CHECK_INT(weir_partition(&p, in, outs, OUTS, &by_key, NULL), 0);
    CHECK_INT(weir_generate(&p, in, make_item, &s, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    for (int k = 0; k < KEYS; k++) {
        int homes = 0;
        for (int i = 0; i < OUTS; i++) {
            homes += shelves[i].numbers[k] != 0;
            CHECK(shelves[i].numbers[k] == 0 || shelves[i].numbers[k] == s.numbers[k]);
        }
        CHECK_INT(homes, 1);
    }
    for (int i = 0; i < OUTS; i++) {
        CHECK_INT(shelves[i].wrong, 0);
        used += shelves[i].count > 0;
        weir_chan_free(&outs[i]);
    }
    CHECK(used > 1); /* 37 keys in one of 4: once in 4^36 */
    weir_chan_free(&in);
}

TEST(the_place_of_a_key_is_that_of_the_seed)
{
    weir_key one = {item_key, NULL, {1, 2}}, other = {item_key, NULL, {3, 4}};
    int differ = 0, counts[8] = {0};
    for (int k = 0; k < 8000; k++) {
        struct item a = {k, 1}, b = {k, 2};
        const size_t place = weir_key_place(&one, &a, 8);
        CHECK_INT(weir_key_place(&one, &b, 8), place);
        differ += weir_key_place(&other, &a, 8) != place;
        counts[place]++;
    }
    CHECK(differ > 6500 && differ < 7500); /* 7 of 8 */
    for (int i = 0; i < 8; i++)
        CHECK(counts[i] > 800 && counts[i] < 1200);
}

static int holders[KEYS];

/* No two threads work on one key at once; and each takes as long as it likes. */
static int work(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct item i;
    (void)ctx;
    (void)arg;
    memcpy(&i, in, sizeof i);
    CHECK_INT(__atomic_fetch_add(&holders[i.key], 1, __ATOMIC_ACQ_REL), 0);
    dawdle((i.number + i.key) * 7919 % 29);
    CHECK_INT(__atomic_fetch_sub(&holders[i.key], 1, __ATOMIC_ACQ_REL), 1);
    memcpy(out, &i, sizeof i);
    return 0;
}

TEST(a_keyed_map_keeps_the_order_of_each_key)
{
    for (unsigned workers = 0; workers <= 2 + (unsigned)test_wide(3); workers += workers == 0 ? 1 : 2) {
        weir_stage_opt opt = {.workers = workers, .queue = 3};
        struct items s;
        struct shelf shelf;
        item_chan in, out;
        weir_pipeline p;
        memset(&s, 0, sizeof s);
        memset(&shelf, 0, sizeof shelf);
        s.end = (int)test_rounds(10000);
        s.keys = 5; /* so few that several values of one are under way at once */
        REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0);
        weir_pipeline_init(&p, NULL);
        CHECK_INT(weir_generate(&p, in, make_item, &s, NULL), 0);
        CHECK_INT(weir_map_keyed(&p, in, out, &by_key, work, NULL, workers == 0 ? NULL : &opt), 0);
        CHECK_INT(weir_sink(&p, out, put_on_shelf, &shelf, NULL), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(shelf.count, s.end);
        CHECK_INT(shelf.wrong, 0);
        weir_chan_free(&in);
        weir_chan_free(&out);
    }
}

TEST(what_makes_no_sense_is_refused)
{
    weir_stage_opt ordered = {.workers = 2, .ordered = true}, two = {.workers = 2},
                   endless = {.workers = 2, .queue = SIZE_MAX / 2}, none = {.on_error = 3, .queue = SIZE_MAX / 2};
    for (int what = 0; what < 6; what++) {
        item_chan in, out;
        weir_spsc(struct item) line;
        weir_pipeline p;
        int rc;
        REQUIRE(weir_chan_make(&in, 2) == 0 && weir_chan_make(&out, 2) == 0 && weir_chan_make(&line, 2) == 0);
        weir_pipeline_init(&p, NULL);
        switch (what) {
        case 0: rc = weir_partition(&p, in, &out, 0, &by_key, NULL); break;
        case 1: rc = weir_map_keyed(&p, in, out, &by_key, work, NULL, &ordered); break;
        case 2: rc = weir_map_keyed(&p, in, line, &by_key, work, NULL, &two); break;
        case 3: rc = weir_partition(&p, in, &out, (size_t)UINT32_MAX + 1, &by_key, NULL); break;
        case 4:
            rc = weir_map_keyed(&p, in, out, &by_key, work, NULL, &none);
            break; /* there is no such policy: no queues either */
        default: rc = weir_map_keyed(&p, in, out, &by_key, work, NULL, &endless); break;
        }
        CHECK_INT(rc, what < 5 ? EINVAL : EOVERFLOW);
        CHECK_INT(weir_pipeline_wait(&p), rc);
        weir_chan_free(&in);
        weir_chan_free(&out);
        weir_chan_free(&line);
    }
}

static const void *all_alike(void *arg, const void *value, size_t *size)
{
    (void)value;
    *size = sizeof(int);
    return arg;
}
static int the_key = 5;
static const weir_key alike = {all_alike, &the_key, {0, 0}};
static int_chan two_outs[2];

static void open_two(void)
{
    REQUIRE(weir_chan_make(&two_outs[0], 2) == 0 && weir_chan_make(&two_outs[1], 2) == 0);
}
static void close_two(void)
{
    weir_chan_free(&two_outs[0]);
    weir_chan_free(&two_outs[1]);
}
static int start_partition(weir_pipeline *p, int_chan in)
{
    return weir_partition(p, in, two_outs, 2, &alike, NULL);
}
static int drain_two(weir_pipeline *p)
{
    const int rc = weir_sink(p, two_outs[0], drain_one, NULL, NULL);
    return rc != 0 ? rc : weir_sink(p, two_outs[1], drain_one, NULL, NULL);
}
static int same(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    (void)ctx;
    (void)arg;
    memcpy(out, in, sizeof(int));
    return 0;
}
static int start_keyed(weir_pipeline *p, int_chan in)
{
    const weir_stage_opt opt = {.workers = 3, .queue = 4};
    return weir_map_keyed(p, in, clause_out, &alike, same, NULL, &opt);
}

TEST(what_holds_for_every_stage_holds_for_them)
{
    const struct subject partition = {open_two, start_partition, drain_two, close_two, 6, 1};
    const struct subject keyed = {open_clause_out,  start_keyed,           drain_clause_out,
                                  close_clause_out, 2 + 1 + 4 + 1 + 2 + 1, 4};
    clauses_hold(&partition);
    clauses_hold(&keyed);
}
