/* tests/task/test_group_roll.c: what the roll of threads says of a group's: names, what each sleeps in, what it runs. */
#include "../faults/failing.h"
#include "../sync/printed.h"

#include <sys/prctl.h>

static void none_left(void)
{
    CHECK_INT(weir_thread_count(), 0);
    CHECK_INT(threads_kept, 0);
}

static int says_who_it_is(weir_ctx *ctx, void *arg)
{
    char name[16] = "";
    (void)ctx;
    (void)arg;
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    return strcmp(name, "a name") == 0 ? 0 : 1;
}

TEST(its_threads_have_its_name)
{
    weir_group g;
    const weir_group_opt opt = {.name = "a name"};
    weir_group_init(&g, NULL, &opt);
    CHECK_INT(weir_group_go(NULL, &g, says_who_it_is, NULL), 0);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
    none_left();
}

static int receives(weir_ctx *ctx, void *arg)
{
    weir_chan(int) ch;
    int v;
    ch.core = (weir_chan_core *)arg;
    weir_thread_task("drain the jobs");
    return weir_recv(ctx, ch, &v) == ECANCELED ? 0 : -1;
}

static int looks_once_woken(weir_ctx *ctx, void *arg)
{
    weir_chan(int) ch;
    int v;
    ch.core = (weir_chan_core *)arg;
    CHECK_INT(weir_recv(ctx, ch, &v), 0);
    CHECK(printed("running"));
    CHECK(!printed("in recv"));
    return 0;
}

TEST(the_roll_says_that_a_thread_runs_again)
{
    weir_group g = WEIR_GROUP_INIT;
    weir_chan(int) ch;
    const int one = 1;
    REQUIRE(weir_chan_make(&ch, 1) == 0);
    CHECK_INT(weir_group_go(NULL, &g, looks_once_woken, ch.core), 0);
    EVENTUALLY(printed("in recv"));
    CHECK_INT(weir_send(NULL, ch, &one), 0);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
    weir_chan_free(&ch);
}

static int makes_nothing(weir_ctx *ctx, void *arg, void *out)
{
    const int nothing = 0;
    (void)ctx;
    (void)arg;
    memcpy(out, &nothing, sizeof nothing);
    return 0;
}

static int joins_a_thread(weir_ctx *ctx, void *arg)
{
    weir_future(int) f;
    (void)arg;
    CHECK_INT(weir_future_make(&f), 0);
    CHECK_INT(weir_future_run(ctx, f, makes_nothing, NULL), 0);
    weir_future_free(&f);
    CHECK(printed("running"));
    CHECK(!printed("in join"));
    return 0;
}

TEST(the_roll_says_that_a_thread_runs_after_it_has_joined_another)
{
    weir_group g = WEIR_GROUP_INIT;
    CHECK_INT(weir_group_go(NULL, &g, joins_a_thread, NULL), 0);
    CHECK_INT(weir_group_wait(&g), 0);
    weir_group_free(&g);
}

TEST(the_roll_says_what_each_thread_sleeps_in)
{
    weir_group g;
    weir_group_opt opt = {.name = "workers"};
    weir_chan_opt named = {.name = "jobs"};
    weir_chan(int) ch;
    REQUIRE(weir_chan_make_opt(&ch, 1, &named) == 0);
    weir_group_init(&g, NULL, &opt);
    CHECK(!printed("thread"));
    CHECK_INT(weir_group_go(NULL, &g, receives, ch.core), 0);
    EVENTUALLY(printed("workers         in recv on \"jobs\" for "));
    CHECK(printed(" s, runs drain the jobs\n"));
    CHECK_INT(weir_thread_count(), 1);
    weir_group_cancel(&g, 0);
    EVENTUALLY(printed("workers         in idle on \"workers\""));
    CHECK(!printed("drain"));
    weir_thread_task("of no thread of the library's");
    CHECK_INT(weir_group_wait(&g), 0);
    CHECK(!printed("thread"));
    weir_chan_free(&ch);
    weir_group_free(&g);
}

static int waits_for_a_group(weir_ctx *ctx, void *arg)
{
    weir_group inner;
    weir_group_opt opt = {.name = "inner"};
    weir_chan(int) ch;
    (void)arg;
    REQUIRE(weir_chan_make(&ch, 1) == 0);
    weir_group_init(&inner, ctx, &opt);
    CHECK_INT(weir_group_go(NULL, &inner, receives, ch.core), 0);
    CHECK_INT(weir_group_wait(&inner), 0);
    weir_group_free(&inner);
    weir_chan_free(&ch);
    return ECANCELED;
}
static int wants_a_place(weir_ctx *ctx, void *full)
{
    return weir_group_go(ctx, (weir_group *)full, receives, NULL);
}
TEST(the_roll_says_who_waits_for_a_group_or_a_place)
{
    weir_group full;
    weir_group_opt opt = {.name = "full", .limit = 1};
    weir_chan(int) ch;
    printed_while(waits_for_a_group, NULL, " in wait for a group on \"inner\"");
    REQUIRE(weir_chan_make(&ch, 1) == 0);
    weir_group_init(&full, NULL, &opt);
    CHECK_INT(weir_group_go(NULL, &full, receives, ch.core), 0);
    printed_while(wants_a_place, &full, " in go on \"full\"");
    weir_group_cancel(&full, 0);
    CHECK_INT(weir_group_wait(&full), 0);
    weir_group_free(&full);
    weir_chan_free(&ch);
}

static int meets(weir_ctx *ctx, void *arg)
{
    weir_chan(int) ch;
    int v;
    ch.core = (weir_chan_core *)arg;
    return weir_recv(ctx, ch, &v);
}
static int selects(weir_ctx *ctx, void *arg)
{
    weir_chan(int) ch;
    int v;
    ch.core = (weir_chan_core *)arg;
    weir_case cases[1];
    cases[0] = WEIR_RECV(ch, &v);
    return -weir_select(ctx, cases, 1);
}
TEST(the_roll_says_who_waits_for_a_meeting_or_in_a_select)
{
    weir_chan_opt named = {.name = "meeting"};
    weir_chan(int) ch;
    REQUIRE(weir_chan_make_opt(&ch, 0, &named) == 0);
    printed_while(meets, ch.core, " in recv on \"meeting\" for ");
    printed_while(selects, ch.core, " in select on \"meeting\" for ");
    weir_chan_free(&ch);
}
