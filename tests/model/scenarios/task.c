/* tests/model/scenarios/task.c: futures, groups, shared runs. */
#include "model/calls.h"

/* ---- a future: one of two sets it, all see that one; whoever has got it may free it ---- */

static weir_future(int) future;
static int set_by, before[3];
static weir_ctx ctx;

static void future_setup(void)
{
    MODEL_CHECK(weir_future_make(&future) == 0);
    weir_ctx_init(&ctx, NULL);
    set_by = 0;
    memset(before, 0, sizeof before);
}
static void future_finish(void)
{
    if (future.core != NULL)
        weir_future_free(&future);
}
static void set_to(int v)
{
    MODEL_WRITE(&before[v]);
    before[v] = v;
    const int rc = weir_future_set(future, &v);
    MODEL_CHECK(rc == 0 || rc == EINVAL);
    if (rc == 0) {
        MODEL_CHECK(set_by == 0);
        set_by = v;
    }
}
static void got_one(int v)
{
    MODEL_CHECK(v == 1 || v == 2);
    MODEL_READ(&before[v]);
    MODEL_CHECK(before[v] == v);
}
static void get_it(void)
{
    int v = 0;
    MODEL_CHECK(weir_future_get(NULL, future, &v) == 0);
    got_one(v);
}
static void select_it(void)
{
    int v = 0;
    weir_case cases[] = {WEIR_FUTURE(future, &v), WEIR_DONE(&ctx)};
    MODEL_CHECK(weir_select(NULL, cases, 2) == 0 && cases[0].status == 0);
    got_one(v);
}
static void may_get_it(void)
{
    int v = 0;
    const int rc = weir_future_get(&ctx, future, &v);
    MODEL_CHECK(rc == 0 || rc == ECANCELED);
    if (rc == 0)
        got_one(v);
}
THREAD(sets_1, set_to(1))
THREAD(sets_2, set_to(2))
THREAD(gets_it, get_it())
THREAD(gets_and_frees, get_it(); weir_future_free(&future))
THREAD(selects_it, select_it())
THREAD(may_get, may_get_it())
THREAD(cancels, weir_ctx_cancel(&ctx, 0))
MODEL(future_freed_after_get, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {sets_1, gets_and_frees})
MODEL(future_set_by_one_of_two, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {sets_1, sets_2, gets_it})
MODEL(future_for_two, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {sets_1, gets_it, gets_it})
MODEL(future_in_select, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {sets_1, selects_it})
MODEL(future_cancelled, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {sets_1, may_get, cancels})

/* A runner that refuses leaves it to the next one as it was. */
static int refuses(weir_runner *unused, weir_ctx *of, void (*run)(void *), void *arg)
{
    (void)unused;
    (void)of;
    (void)run;
    (void)arg;
    return EAGAIN;
}
static weir_runner refusing = {refuses};
static int compute(weir_ctx *unused, void *arg, void *value);
THREAD(future_setup_refused, const weir_future_opt opt = {.runner = &refusing};
       MODEL_CHECK(weir_future_make_opt(&future, &opt) == 0))
static void is_refused(void)
{
    int rc;
    while ((rc = weir_future_run(NULL, future, compute, NULL)) == EINVAL) /* another's is under way */
        model_pause();
    MODEL_CHECK(rc == EAGAIN);
}
MODEL(future_refused, .setup = future_setup_refused, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {is_refused, is_refused})

/* A function runs on a thread; free and detach against its end. */
static int compute(weir_ctx *unused, void *arg, void *value)
{
    (void)unused;
    MODEL_WRITE(&before[1]);
    before[1] = 1;
    memcpy(value, arg, sizeof(int));
    return 0;
}
static int one = 1;
THREAD(runs_and_gets, MODEL_CHECK(weir_future_run(NULL, future, compute, &one) == 0); get_it();
       weir_future_free(&future))
THREAD(runs_and_frees, MODEL_CHECK(weir_future_run(NULL, future, compute, &one) == 0); weir_future_free(&future))
THREAD(runs_and_detaches, MODEL_CHECK(weir_future_run(NULL, future, compute, &one) == 0); weir_future_detach(&future))
MODEL(future_run_and_got, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {runs_and_gets})
MODEL(future_run_and_freed, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {runs_and_frees})
MODEL(future_run_and_detached, .setup = future_setup, .finish = future_finish, .preemptions = 3, .stale = 2,
      .threads = {runs_and_detaches})

/* ---- a group ---- */

static weir_group *group;
static int ran;

static void group_setup_with(unsigned limit)
{
    const weir_group_opt opt = {.limit = limit};
    group = (weir_group *)WEIR_ALLOC(16, sizeof *group);
    MODEL_CHECK(group != NULL);
    weir_group_init(group, NULL, &opt);
    ran = 0;
    memset(before, 0, sizeof before);
}
THREAD(group_setup_1, group_setup_with(1))
THREAD(group_setup_2, group_setup_with(2))
static int task(weir_ctx *unused, void *arg)
{
    const int i = *(int *)arg;
    (void)unused;
    MODEL_WRITE(&before[i]);
    before[i]++;
    return i == 2 ? 7 : 0;
}
static int numbers[] = {0, 1, 2};
static void go_and_wait(int first, int n, int want)
{
    for (int i = first; i < first + n; i++)
        MODEL_CHECK(weir_group_go(NULL, group, task, &numbers[i]) == 0);
    MODEL_CHECK(weir_group_wait(group) == want);
    for (int i = first; i < first + n; i++) {
        MODEL_READ(&before[i]);
        MODEL_CHECK(before[i] == 1);
    }
    MODEL_CHECK(weir_ctx_err(weir_group_ctx(group)) != 0);
    WEIR_FREE(group); /* as soon as wait has returned */
}
THREAD(goes_once, go_and_wait(0, 1, 0))
THREAD(goes_twice, go_and_wait(0, 2, 0))
THREAD(fails, go_and_wait(1, 2, 7))
MODEL(group_of_one, .setup = group_setup_2, .preemptions = 3, .stale = 2, .threads = {goes_once})
MODEL(group_of_two, .setup = group_setup_2, .preemptions = 3, .stale = 2, .threads = {goes_twice})
MODEL(group_at_its_limit, .setup = group_setup_1, .preemptions = 3, .stale = 2, .threads = {goes_twice})
MODEL(group_that_fails, .setup = group_setup_1, .preemptions = 3, .stale = 2, .threads = {fails})

/* ---- a shared run ---- */

static weir_single single;
static int in_flight, leaders;

static void single_setup(void)
{
    memset(&single, 0, sizeof single);
    weir_ctx_init(&ctx, NULL);
    in_flight = leaders = 0;
}
static int looks_up(weir_ctx *of, void *arg, void *value)
{
    (void)arg;
    MODEL_WRITE(&in_flight);
    MODEL_CHECK(in_flight == 0);
    in_flight = 1;
    leaders++;
    WEIR_CPU_YIELD();
    MODEL_WRITE(&in_flight);
    in_flight = 0;
    if (weir_ctx_err(of) != 0)
        return ECANCELED;
    memcpy(value, &one, sizeof one);
    return 0;
}
static void ask(weir_ctx *of)
{
    int v = 0;
    const int rc = weir_single_do(of, &single, "k", 1, looks_up, NULL, &v, sizeof v, NULL);
    MODEL_CHECK((rc == 0 && v == 1) || (rc == ECANCELED && v == 0 && of != NULL));
}
THREAD(asks, ask(NULL))
THREAD(asks_in_ctx, ask(&ctx))
THREAD(single_at_rest, MODEL_CHECK(single.runs == NULL && single.lock == 0 && leaders > 0))
MODEL(single_of_two, .setup = single_setup, .finish = single_at_rest, .preemptions = 3, .stale = 2,
      .threads = {asks, asks})
MODEL(single_of_three, .setup = single_setup, .finish = single_at_rest, .preemptions = 3, .stale = 2,
      .threads = {asks, asks, asks})
MODEL(single_cancelled, .setup = single_setup, .finish = single_at_rest, .preemptions = 3, .stale = 2,
      .threads = {asks_in_ctx, asks, cancels})
