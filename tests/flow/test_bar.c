/* flow/bar.h, flow/metrics.h: what people and Prometheus are told of a pipeline. */
#include "watched.h"

/* ---- the line --------------------------------------------------------------------------------------------------------------- */

static const char *line_of(weir_progress progress, const weir_bar_opt *opt)
{
    static char line[256];
    CHECK_INT(weir_progress_line(line, sizeof line, &progress, opt), 0);
    return line;
}

TEST(a_line_says_how_far_how_fast_and_how_long_still)
{
    weir_bar_opt ten = {.label = "rows", .width = 10}, label = {.label = "rows"};
    weir_progress p;
    char small[12];
    memset(&p, 0, sizeof p);
    p.total = 1000;
    p.eta = WEIR_FOREVER;
    CHECK_STR(line_of(p, &ten), "rows [>         ]   0%  0/1000  0/s  -:-- left");
    p.done = 437;
    p.failed = 2;
    p.rate = 120.4;
    p.eta = WEIR_MS(4700);
    p.elapsed = WEIR_SEC(3);
    CHECK_STR(line_of(p, &ten), "rows [====>     ]  43%  437/1000  2 failed  120/s  0:04 left");
    p.done = 999;
    p.rate = 9.96;
    p.eta = WEIR_SEC(3661);
    CHECK_STR(line_of(p, &ten), "rows [=========>]  99%  999/1000  2 failed  10/s  1:01:01 left");
    p.eta = WEIR_SEC(3600 + 5 * 60 + 9);
    CHECK_STR(line_of(p, &ten), "rows [=========>]  99%  999/1000  2 failed  10/s  1:05:09 left");
    p.eta = WEIR_SEC(7200 + 10 * 60);
    p.rate = 1e30; /* more than it can write */
    CHECK_STR(line_of(p, &ten), "rows [=========>]  99%  999/1000  2 failed  1000000000000000000/s  2:10:00 left");
    p.rate = 2.55;
    p.eta = WEIR_SEC(754);
    CHECK_STR(line_of(p, &ten), "rows [=========>]  99%  999/1000  2 failed  2.6/s  12:34 left");
    p.done = 1000;
    p.failed = 0;
    p.ended = true;
    p.elapsed = WEIR_SEC(59);
    CHECK_STR(line_of(p, NULL), "[========================] 100%  1000/1000  2.6/s  0:59");
    CHECK_STR(line_of(p, &label), "rows [========================] 100%  1000/1000  2.6/s  0:59");
    p.done = 2000; /* more than was told */
    CHECK_STR(line_of(p, &ten), "rows [==========] 100%  2000/1000  2.6/s  0:59");
    p.ended = false;
    p.total = 0;
    CHECK_STR(line_of(p, NULL), "2000  2.6/s  0:59");
    CHECK_INT(weir_progress_line(small, sizeof small, &p, NULL), EOVERFLOW);
    CHECK_STR(small, "2000  2.6/s");
}

/* What a bar has written to a file, in `style`, with a total of 100. */
static const char *drawn(int style, char *text, size_t size)
{
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {.total = 100};
    weir_bar_opt bar = {.label = "all", .width = 4, .every = WEIR_MS(1)};
    FILE *file = tmpfile();
    size_t n;
    weir_pipeline p;
    int_chan in;
    bar.style = style;
    REQUIRE(file != NULL && weir_chan_make(&in, 1) == 0);
    weir_pipeline_init(&p, NULL);
    CHECK_INT(weir_pipeline_bar(&p, file, &bar), EINVAL); /* nothing is counted */
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_pipeline_bar(&p, file, &bar), 0);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_sink(&p, in, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_pipeline_unwatch(&p);
    weir_chan_free(&in);
    rewind(file);
    n = fread(text, 1, size - 1, file);
    text[n] = 0;
    fclose(file);
    return text;
}

TEST(a_bar_is_one_line_drawn_over_itself_on_a_terminal_and_lines_elsewhere)
{
    static char text[1 << 20];
    const char *last;
    drawn(WEIR_BAR_TERMINAL, text, sizeof text);
    CHECK(text[0] == '\r');
    CHECK(strchr(text, '\n') == text + strlen(text) - 1); /* one, at the end */
    last = strrchr(text, '\r');
    CHECK(last != NULL && strncmp(last, "\rall [====] 100%  100/100  ", 27) == 0);
    drawn(WEIR_BAR_AUTO, text, sizeof text); /* a file is none */
    CHECK(strchr(text, '\r') == NULL);
    CHECK(strncmp(text, "all [", 5) == 0 && strstr(text, "\nall [====] 100%  100/100  ") != NULL);
    CHECK(text[strlen(text) - 1] == '\n');
}

static const char *text_of(FILE *file)
{
    static char text[1 << 20];
    const ssize_t n = pread(fileno(file), text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    return text;
}

TEST(a_bar_follows_the_pipeline_and_a_shorter_line_leaves_nothing_of_a_longer_one)
{
    struct hand hand;
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {0, NULL, 0, NULL};
    const weir_bar_opt bar = {.style = WEIR_BAR_TERMINAL, .every = WEIR_MS(1)};
    FILE *file = tmpfile();
    weir_pipeline p;
    int_chan in;
    REQUIRE(file != NULL && weir_chan_make(&in, 16) == 0);
    hand_init(&hand, 0);
    watch.clock = &hand.clock;
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_sink(&p, in, tally_up, &t, NULL), 0);
    for (int i = 0; i < 10; i++)
        CHECK_INT(weir_send(NULL, in, &i), 0);
    EVENTUALLY(progress_of(&p, NULL, 0).done == 10);
    hand_set(&hand, WEIR_SEC(1));
    CHECK_INT(weir_pipeline_bar(&p, file, &bar), 0);
    EVENTUALLY(strstr(text_of(file), "\r10  10/s  0:01") != NULL);
    hand_set(&hand, WEIR_SEC(21));
    EVENTUALLY(strstr(text_of(file), "\r10  10/s  0:01\r10  0/s  0:21 \r") != NULL);
    weir_close(in);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_pipeline_unwatch(&p);
    weir_chan_free(&in);
    fclose(file);
}

TEST(a_bar_is_drawn_ten_times_a_second_on_a_terminal_and_six_times_a_minute_elsewhere)
{
    FILE *file = fopen("/dev/null", "w");
    REQUIRE(file != NULL);
    for (int terminal = 0; terminal <= 1; terminal++) {
        const weir_bar_opt bar = {.style = terminal == 1 ? WEIR_BAR_TERMINAL : WEIR_BAR_LINES};
        weir_pipeline p;
        weir_pipeline_init(&p, NULL);
        weir_pipeline_watch(&p, NULL);
        CHECK_INT(weir_pipeline_bar(&p, file, &bar), 0);
        CHECK(((const weir__bar *)(const void *)p.ends)->opt.every == (terminal == 1 ? WEIR_MS(100) : WEIR_SEC(10)));
        CHECK_INT(weir_pipeline_wait(&p), 0);
        weir_pipeline_unwatch(&p);
    }
    fclose(file);
}

/* ---- Prometheus ------------------------------------------------------------------------------------------------------------- */

TEST(stages_are_written_for_prometheus)
{
    struct hand hand;
    struct source s = {0, 100, -1};
    struct tally t = {0, 0, 0, 0, 0};
    weir_watch_opt watch = {0, NULL, 0, NULL};
    weir_stage_opt opt = {.name = "neg\"ate", .workers = 2, .on_error = WEIR_ON_ERROR_SKIP};
    static char text[1 << 14];
    weir_named_pipeline named[2];
    weir_prometheus w;
    weir_pipeline p, unwatched;
    int_chan in, out;
    REQUIRE(weir_chan_make(&in, 4) == 0 && weir_chan_make(&out, 4) == 0);
    hand_init(&hand, 0);
    watch.clock = &hand.clock;
    weir_pipeline_init(&p, NULL);
    weir_pipeline_init(&unwatched, NULL);
    weir_pipeline_watch(&p, &watch);
    CHECK_INT(weir_generate(&p, in, count_up, &s, NULL), 0);
    CHECK_INT(weir_map(&p, in, out, fail_each_tenth, NULL, &opt), 0);
    CHECK_INT(weir_sink(&p, out, tally_up, &t, NULL), 0);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_chan_free(&in);
    weir_chan_free(&out);
    named[0].name = "p";
    named[0].pipeline = &p;
    named[1].name = "none";
    named[1].pipeline = &unwatched;
    weir_prometheus_init(&w, text, sizeof text);
    CHECK_INT(weir_prometheus_pipelines(&w, named, 2), 0);
    CHECK_INT(weir_prometheus_end(&w, NULL), 0);
    CHECK(strstr(text, "# TYPE weir_stage_in_total counter\n"
                       "weir_stage_in_total{pipeline=\"p\",stage=\"stage\",number=\"0\"} 100\n"
                       "weir_stage_in_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\"} 100\n"
                       "weir_stage_in_total{pipeline=\"p\",stage=\"stage\",number=\"2\"} 90\n"
                       "# HELP") != NULL);
    CHECK(strstr(text,
                 "weir_stage_failed_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\",outcome=\"skipped\"} 10\n"
                 "weir_stage_failed_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\",outcome=\"dead\"} 0\n"
                 "weir_stage_failed_total{pipeline=\"p\",stage=\"neg\\\"ate\",number=\"1\",outcome=\"fatal\"} 0\n") !=
          NULL);
    CHECK(strstr(text,
                 "weir_stage_blocked_seconds_total{pipeline=\"p\",stage=\"stage\",number=\"2\",side=\"output\"} 0\n") !=
          NULL);
    CHECK(strstr(text, "weir_stage_running_workers{pipeline=\"p\",stage=\"stage\",number=\"2\"} 0\n") != NULL);
    CHECK(strstr(text, "none") == NULL);
    weir_pipeline_unwatch(&p);
    CHECK_INT(weir_pipeline_wait(&unwatched), 0);
}

TEST(a_running_stage_tells_prometheus_what_waits_for_it)
{
    static char text[1 << 14];
    weir_named_pipeline named;
    weir_prometheus w;
    weir_stage_progress s;
    weir_pipeline p;
    weir_sem taken;
    int_chan in;
    REQUIRE(weir_sem_init(&taken, 3) == 0 && weir_sem_try_acquire(&taken, 3) == 0 && weir_chan_make(&in, 4) == 0);
    weir_pipeline_init(&p, NULL);
    weir_pipeline_watch(&p, NULL);
    CHECK_INT(weir_sink(&p, in, take_gated, &taken, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(weir_send(NULL, in, &i), 0);
    EVENTUALLY(progress_of(&p, &s, 1).in == 1 && s.queue == 2); /* one is in hand */
    named.name = "p";
    named.pipeline = &p;
    weir_prometheus_init(&w, text, sizeof text);
    CHECK_INT(weir_prometheus_pipelines(&w, &named, 1), 0);
    CHECK_INT(weir_prometheus_end(&w, NULL), 0);
    CHECK(strstr(text, "weir_stage_queue_length{pipeline=\"p\",stage=\"stage\",number=\"0\"} 2\n") != NULL);
    CHECK(strstr(text, "weir_stage_running_workers{pipeline=\"p\",stage=\"stage\",number=\"0\"} 1\n") != NULL);
    weir_prometheus_init(&w, text, sizeof text);
    CHECK_INT(weir_prometheus_family(&w, "weir_stage_in_total", NULL, WEIR_PROMETHEUS_GAUGE), 0);
    CHECK_INT(weir_prometheus_pipelines(&w, &named, 1), EINVAL); /* it is a counter */
    CHECK_INT(weir_prometheus_end(&w, NULL), 0);
    CHECK_STR(text, "# TYPE weir_stage_in_total gauge\n");
    weir_sem_release(&taken, 3);
    weir_close(in);
    CHECK_INT(weir_pipeline_wait(&p), 0);
    weir_pipeline_unwatch(&p);
    weir_chan_free(&in);
}
