/* flow/loop.h: the loops in the calling thread: what they return, and that they look at the context before every value. */
#include "flow.h"

static int_chan in, out;

static void open_both(size_t capacity)
{
    REQUIRE(weir_chan_make(&in, capacity) == 0 && weir_chan_make(&out, capacity) == 0);
}

static void free_both(void)
{
    weir_chan_free(&in);
    weir_chan_free(&out);
}

static void fill(int_chan c, int n)
{
    for (int i = 0; i < n; i++)
        CHECK_INT(weir_send(NULL, c, &i), 0);
}

TEST(generate_sends_until_the_end_of_the_sequence_and_leaves_the_channel_open)
{
    struct source s = {0, 10, -1};
    open_both(16);
    CHECK_INT(weir_generate_loop(NULL, out, count_up, &s), 0);
    CHECK_INT(weir_len(out), 10);
    CHECK(!weir_is_closed(out));
    free_both();
}

TEST(map_ends_with_its_input_and_keeps_every_value)
{
    struct tally t = {0, 0, 0, 0, 0};
    open_both(16);
    fill(in, 10);
    weir_close(in);
    CHECK_INT(weir_map_loop(NULL, in, out, negate, NULL), 0);
    weir_close(out);
    CHECK_INT(weir_sink_loop(NULL, out, tally_up, &t), 0);
    CHECK_INT(t.count, 10);
    CHECK_INT(t.sum, -45);
    free_both();
}

TEST(an_output_closed_by_its_reader_ends_the_loop_with_epipe)
{
    struct source s = {0, 10, -1};
    open_both(16);
    fill(in, 3);
    weir_close(out);
    CHECK_INT(weir_map_loop(NULL, in, out, negate, NULL), EPIPE);
    CHECK_INT(weir_generate_loop(NULL, out, count_up, &s), EPIPE);
    free_both();
}

TEST(an_error_of_the_stage_function_is_returned)
{
    struct source s = {0, 10, 4};
    open_both(16);
    CHECK_INT(weir_generate_loop(NULL, out, count_up, &s), 7);
    CHECK_INT(weir_len(out), 4);
    free_both();
}

static int cancel_at_three(weir_ctx *ctx, void *arg, const void *value)
{
    struct tally *t = (struct tally *)arg;
    if (++t->count == 3)
        weir_ctx_cancel(ctx, 0);
    (void)value;
    return 0;
}

TEST(a_loop_looks_at_the_context_even_when_no_channel_blocks)
{
    struct tally t = {0, 0, 0, 0, 0};
    weir_ctx ctx;
    open_both(16);
    fill(in, 10);
    weir_ctx_init(&ctx, NULL);
    CHECK_INT(weir_sink_loop(&ctx, in, cancel_at_three, &t), ECANCELED);
    CHECK_INT(t.count, 3);
    CHECK_INT(weir_len(in), 7);
    weir_ctx_free(&ctx);
    free_both();
}

TEST(fan_out_deals_in_turn_and_fan_in_collects_in_the_same_turn)
{
    int_chan outs[3];
    int v;
    open_both(16);
    for (int i = 0; i < 3; i++)
        REQUIRE(weir_chan_make(&outs[i], 16) == 0);
    fill(in, 10);
    weir_close(in);
    CHECK_INT(weir_fan_out_loop(NULL, in, outs, 3), 0);
    CHECK_INT(weir_len(outs[0]), 4);
    CHECK_INT(weir_len(outs[1]), 3);
    CHECK_INT(weir_len(outs[2]), 3);
    for (int i = 0; i < 3; i++)
        weir_close(outs[i]);
    CHECK_INT(weir_fan_in_loop(NULL, outs, 3, out), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(weir_try_recv(out, &v), 0);
        CHECK_INT(v, i);
    }
    for (int i = 0; i < 3; i++)
        weir_chan_free(&outs[i]);
    free_both();
}

TEST(an_array_of_no_channels_is_misuse)
{
    int_chan none[1] = {{NULL}};
    open_both(1);
    CHECK_INT(weir_fan_out_loop(NULL, in, none, 0), EINVAL);
    CHECK_INT(weir_fan_in_loop(NULL, none, 0, out), EINVAL);
    free_both();
}
