/* obs/tally.h, task/pool_metrics.h: the numbers of channels and pools as a text, letter by letter. */
#include "harness.h"

typedef weir_chan(int) int_chan;

/* The value of a family for one name, as text; "" if it is not there. */
static const char *value_of(const char *text, const char *family, const char *label, const char *name)
{
    static char line[200], value[40];
    const char *at;
    snprintf(line, sizeof line, "\n%s{%s=\"%s\"} ", family, label, name);
    at = strstr(text, line);
    value[0] = '\0';
    if (at != NULL)
        sscanf(at + strlen(line), "%39[^\n]", value);
    return value;
}

TEST(channels_stand_in_one_family_each_with_its_name)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, "jobs", NULL, 0};
    weir_chan_tally t[2];
    int_chan jobs, results;
    weir_prometheus p;
    char text[4000];
    REQUIRE(weir_chan_make_opt(&jobs, 3, &opt) == 0);
    opt.name = "a \"result\"";
    REQUIRE(weir_chan_make_opt(&results, 1, &opt) == 0);
    for (int i = 0; i < 5; i++)
        CHECK_INT(weir_send_latest(jobs, &i, NULL), 0);
    CHECK_INT(weir_close(results), 0);
    CHECK_INT(weir_chan_stats(jobs, &t[0]), 0);
    CHECK_INT(weir_chan_stats(results, &t[1]), 0);
    weir_prometheus_init(&p, text, sizeof text);
    CHECK_INT(weir_prometheus_channels(&p, t, 2), 0);
    CHECK_INT(weir_prometheus_end(&p, NULL), 0);
    CHECK(strstr(text, "# HELP weir_channel_sent_total Values accepted.\n# TYPE weir_channel_sent_total counter\n"
                       "weir_channel_sent_total{channel=\"jobs\"} 5\n"
                       "weir_channel_sent_total{channel=\"a \\\"result\\\"\"} 0\n") != NULL);
    CHECK(strcmp(value_of(text, "weir_channel_received_total", "channel", "jobs"), "2") == 0);
    CHECK(strcmp(value_of(text, "weir_channel_length", "channel", "jobs"), "3") == 0);
    CHECK(strcmp(value_of(text, "weir_channel_capacity", "channel", "jobs"), "3") == 0);
    CHECK(strcmp(value_of(text, "weir_channel_closed", "channel", "jobs"), "0") == 0);
    CHECK(strcmp(value_of(text, "weir_channel_closed", "channel", "a \\\"result\\\""), "1") == 0);
    CHECK(strcmp(value_of(text, "weir_channel_senders_asleep", "channel", "jobs"), "0") == 0);
    CHECK(strcmp(value_of(text, "weir_channel_sender_sleeps_total", "channel", "jobs"), "0") == 0);
    weir_chan_free(&jobs);
    weir_chan_free(&results);
}

static int returns(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return *(int *)arg;
}

TEST(pools_too)
{
    const weir_pool_opt opt = {.min = 2, .name = "thumbs"};
    int ok = 0, bad = EIO;
    weir_pool pool;
    weir_pool_tally t;
    weir_prometheus p;
    char text[4000];
    REQUIRE(weir_pool_start(&pool, NULL, &opt) == 0);
    for (int i = 0; i < 7; i++)
        CHECK_INT(weir_pool_submit(NULL, &pool, returns, i < 5 ? &ok : &bad, NULL), 0);
    CHECK_INT(weir_pool_drain(NULL, &pool), 0);
    weir_pool_stats(&pool, &t);
    weir_prometheus_init(&p, text, sizeof text);
    CHECK_INT(weir_prometheus_pools(&p, &t, 1), 0);
    CHECK_INT(weir_prometheus_end(&p, NULL), 0);
    CHECK(strcmp(value_of(text, "weir_pool_done_total", "pool", "thumbs"), "5") == 0);
    CHECK(strcmp(value_of(text, "weir_pool_failed_total", "pool", "thumbs"), "2") == 0);
    CHECK(strcmp(value_of(text, "weir_pool_workers", "pool", "thumbs"), "0") == 0);
    CHECK(strcmp(value_of(text, "weir_pool_workers_most", "pool", "thumbs"), "2") == 0);
    CHECK(strcmp(value_of(text, "weir_pool_queued", "pool", "thumbs"), "0") == 0);
    CHECK_INT(weir_pool_free(&pool), 0);
}

TEST(a_buffer_that_is_too_small_is_said_at_the_end)
{
    weir_chan_tally t;
    int_chan ch;
    weir_prometheus p;
    char text[100];
    size_t needed = 0;
    REQUIRE(weir_chan_make(&ch, 3) == 0);
    CHECK_INT(weir_chan_stats(ch, &t), 0);
    weir_prometheus_init(&p, text, sizeof text);
    CHECK_INT(weir_prometheus_channels(&p, &t, 1), 0);
    CHECK_INT(weir_prometheus_end(&p, &needed), EOVERFLOW);
    CHECK(needed > sizeof text);
    weir_chan_free(&ch);
}

TEST(a_family_that_has_another_type_is_refused)
{
    weir_chan_tally t;
    int_chan ch;
    weir_prometheus p;
    char text[4000];
    REQUIRE(weir_chan_make(&ch, 3) == 0);
    CHECK_INT(weir_chan_stats(ch, &t), 0);
    weir_prometheus_init(&p, text, sizeof text);
    CHECK_INT(weir_prometheus_family(&p, "weir_channel_length", NULL, WEIR_PROMETHEUS_COUNTER), 0);
    CHECK_INT(weir_prometheus_channels(&p, &t, 1), EINVAL);
    CHECK_INT(weir_prometheus_end(&p, NULL), 0);
    CHECK_STR(text, "# TYPE weir_channel_length counter\n");
    weir_chan_free(&ch);
}
