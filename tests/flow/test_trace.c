/* weir_pipeline_trace, weir_stage_opt.correlate: each call of a stage function is an event, and carries the id of its item. */
#include "flow.h"

static uint64_t id_of(const void *item)
{
    int v;
    memcpy(&v, item, sizeof v);
    return (uint64_t)(v < 0 ? -v : v) + 1000;
}

static int check_id(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    weir_ctx below;
    weir_ctx_init(&below, ctx);
    CHECK_INT(weir_correlation(&below), id_of(in));
    weir_ctx_free(&below);
    return negate(ctx, arg, in, out);
}

static int check_id_too(weir_ctx *ctx, void *arg, const void *value)
{
    CHECK_INT(weir_correlation(ctx), id_of(value));
    return tally_up(ctx, arg, value);
}

static int check_outer(weir_ctx *ctx, void *arg, void *value)
{
    CHECK_INT(weir_correlation(ctx), 77);
    return count_up(ctx, arg, value);
}

static size_t events_of(const weir_trace *t, const char *name, uint64_t id)
{
    size_t n = 0;
    for (size_t i = 0; i < t->capacity; i++)
        n += t->events[i].stamp != 0 && strcmp(t->events[i].name, name) == 0 && (id == 0 || t->events[i].id == id);
    return n;
}

static weir_trace_event events[1000];

TEST(each_call_is_an_event_with_the_id_of_its_item)
{
    for (int ordered = 0; ordered <= 1; ordered++) {
        struct source s = {0, 100, -1};
        struct tally t = {0, 0, 0, 0, 0};
        weir_stage_opt make = {.name = "make", .correlate = id_of};
        weir_stage_opt map = {.name = "map", .workers = 3, .ordered = ordered == 1, .correlate = id_of};
        weir_stage_opt sink = {.name = "sink", .correlate = id_of};
        weir_trace trace;
        weir_ctx outer;
        weir_pipeline p;
        int_chan in, out;
        FILE *file = tmpfile();
        static char text[1 << 19];
        size_t n;
        REQUIRE(file != NULL && weir_trace_init(&trace, events, 1000, NULL) == 0);
        REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0);
        weir_correlation_init(&outer, NULL, 77);
        weir_pipeline_init(&p, &outer);
        weir_pipeline_trace(&p, &trace);
        CHECK_INT(weir_generate(&p, in, check_outer, &s, &make), 0);
        CHECK_INT(weir_map(&p, in, out, check_id, NULL, &map), 0);
        CHECK_INT(weir_sink(&p, out, check_id_too, &t, &sink), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(t.count, 100);
        CHECK_INT(events_of(&trace, "make", 0), 101); /* and the call that says the end */
        CHECK_INT(events_of(&trace, "make", 77), 1);
        CHECK_INT(events_of(&trace, "map", 0), 100);
        CHECK_INT(events_of(&trace, "sink", 0), 100);
        CHECK_INT(weir_trace_count(&trace), 301); /* what deals and collects for an ordered stage calls nobody */
        for (uint64_t i = 0; i < 100; i++)
            CHECK(events_of(&trace, "make", 1000 + i) == 1 && events_of(&trace, "map", 1000 + i) == 1 &&
                  events_of(&trace, "sink", 1000 + i) == 1);
        CHECK_INT(weir_trace_write(&trace, file), 0);
        rewind(file);
        n = fread(text, 1, sizeof text - 1, file);
        text[n] = 0;
        CHECK(strstr(text, "\"name\":\"map\",\"cat\":\"stage\"") != NULL);
        CHECK(strstr(text, "\"args\":{\"correlation\":\"1042\"}") != NULL);
        fclose(file);
        weir_ctx_free(&outer);
        weir_chan_free(&in);
        weir_chan_free(&out);
    }
}

static int second_time(weir_ctx *ctx, void *arg, const void *value)
{
    (void)arg;
    CHECK_INT(weir_correlation(ctx), id_of(value));
    return weir_retry_attempt(ctx) < 2 ? 9 : 0;
}

/* Without ids of their own the items have that of the pipeline's context. */
TEST(each_attempt_is_an_event)
{
    static const int nine = 9;
    for (int own = 0; own <= 1; own++) {
        struct source s = {77 - 1000, 78 - 1000, -1};
        weir_retry_config retry = {.attempts = 3, .codes = &nine, .n_codes = 1, .delay = 1};
        weir_policy_layer guards[1];
        weir_stage_opt sink = {.name = "sink", .guards = guards, .guard_count = 1};
        weir_trace trace;
        weir_ctx outer;
        weir_pipeline p;
        int_chan in;
        guards[0] = weir_policy_retry(&retry);
        if (own == 1)
            sink.correlate = id_of;
        REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0 && weir_chan_make(&in, 4) == 0);
        weir_correlation_init(&outer, NULL, 1923); /* what id_of says of the one value */
        weir_pipeline_init(&p, &outer);
        weir_pipeline_trace(&p, &trace);
        CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
        CHECK_INT(weir_sink(&p, in, second_time, NULL, &sink), 0);
        CHECK_INT(weir_pipeline_wait(&p), 0);
        CHECK_INT(events_of(&trace, "sink", 1923), 2);
        CHECK_INT(events_of(&trace, "stage", 1923), 2); /* the value, and the end */
        weir_ctx_free(&outer);
        weir_chan_free(&in);
    }
}

TEST(ids_are_there_without_a_trace_and_nothing_is_recorded)
{
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_stage_opt sink = {.name = "sink", .correlate = id_of};
    weir_pipeline p;
    int_chan in;
    REQUIRE(weir_chan_make(&in, 4) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_trace(&p, NULL);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK(p.rooms.first == NULL); /* who has not asked has no desk */
    CHECK_INT(weir_sink(&p, in, check_id_too, &t, &sink), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    CHECK_INT(t.count, 100);
    weir_chan_free(&in);
}
