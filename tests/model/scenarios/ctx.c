/* tests/model/scenarios/ctx.c: the tree of contexts: who cancels, who waits, who hooks, who goes. */
#include "model/calls.h"

static weir_ctx root, child;
static weir_ctx_hook hook;
static int ran, taken_back, waited;

static void counts(void *arg)
{
    (void)arg;
    MODEL_WRITE(&ran);
    ran++;
}

static void setup(void)
{
    ran = taken_back = waited = 0;
    weir_ctx_init(&root, NULL);
    weir_ctx_init(&child, &root);
    MODEL_NAME(root);
    MODEL_NAME(child);
    model_name(&root.tree.lock, sizeof root.tree.lock, "tree.lock");
    model_name(&root.tree.runs_changed, sizeof root.tree.runs_changed, "runs_changed");
    model_name(&root.err, sizeof root.err, "root.err");
    model_name(&child.err, sizeof child.err, "child.err");
}
THREAD(hooked, setup(); MODEL_CHECK(weir_ctx_on_cancel(&child, &hook, counts, NULL) == 0))
static void due(void)
{
    setup();
    weir_ctx_free(&child);
    weir_ctx_init_deadline(&child, &root, 1050);
}

static void waits(void)
{
    weir__wait w;
    weir__wait_init(&w, &child, WEIR_FOREVER, WEIR_WAIT_ADAPTIVE);
    waited = weir__wait_end(&w);
}
THREAD(cancel_root, weir_ctx_cancel(&root, 0))
THREAD(cancel_child, weir_ctx_cancel(&child, 7))
THREAD(free_child, weir_ctx_free(&child))
THREAD(take_back, taken_back = weir_ctx_off_cancel(&child, &hook); MODEL_READ(&ran);
       MODEL_CHECK(ran == (taken_back == ECANCELED)))
static void hook_late(void)
{
    const int rc = weir_ctx_on_cancel(&child, &hook, counts, NULL);
    if (rc == 0)
        taken_back = weir_ctx_off_cancel(&child, &hook);
    MODEL_READ(&ran);
    MODEL_CHECK(ran == (rc != 0 || taken_back != 0));
}
/* Whoever sees the parent ended sees the child ended, with a cause. */
static void looks(void)
{
    if (weir_ctx_err(&root) != 0)
        MODEL_CHECK(weir_ctx_err(&child) != 0 && weir_ctx_cause(&child) != 0);
}
static void has_child(void)
{
    weir_ctx mine;
    weir_ctx_init(&mine, &root);
    if (weir_ctx_err(&root) != 0)
        MODEL_CHECK(weir_ctx_err(&mine) == ECANCELED);
    weir_ctx_free(&mine);
}

static void finish(void)
{
    MODEL_CHECK(waited == 0 || waited == ECANCELED || waited == ETIMEDOUT);
    MODEL_CHECK(root.watchers.first == NULL && child.watchers.first == NULL && ran <= 1);
}
THREAD(was_woken, finish(); MODEL_CHECK(waited == ECANCELED))
THREAD(ran_once, finish(); MODEL_CHECK(ran == 1))
THREAD(timed_out, finish(); MODEL_CHECK(waited == ETIMEDOUT || waited == ECANCELED))
THREAD(cause_is_the_first, finish(); MODEL_CHECK(child.cause == 7 || child.cause == ECANCELED))

#define CTX(name, setup_, finish_, preempt, old, ...)                                                                  \
    MODEL(ctx_##name, .setup = setup_, .finish = finish_, .preemptions = preempt, .stale = old, .threads = __VA_ARGS__)
#define WITH(...)                                                                                                      \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
CTX(a_cancel_wakes_who_waits, setup, was_woken, 3, 2, WITH(waits, cancel_root))
CTX(two_cancels, setup, was_woken, 3, 2, WITH(waits, cancel_root, cancel_child))
CTX(the_first_cause_stays, setup, cause_is_the_first, 3, 2, WITH(cancel_root, cancel_child, looks))
CTX(children_end_before_parents, setup, finish, 3, 2, WITH(cancel_root, looks, looks))
CTX(hook_runs_once, hooked, ran_once, 3, 2, WITH(cancel_root, cancel_child))
CTX(hook_taken_back, hooked, finish, 3, 2, WITH(cancel_root, take_back))
CTX(hook_taken_back_between_two, hooked, finish, 3, 2, WITH(cancel_root, take_back, cancel_child))
CTX(hook_that_comes_late, setup, finish, 3, 2, WITH(cancel_root, hook_late))
CTX(child_freed_meanwhile, hooked, finish, 3, 2, WITH(cancel_root, free_child))
CTX(child_born_meanwhile, setup, finish, 3, 2, WITH(cancel_root, has_child))
CTX(two_born_and_freed, setup, finish, 3, 2, WITH(cancel_root, has_child, has_child))
MODEL(ctx_deadline, .setup = due, .finish = timed_out, .preemptions = 3, .stale = 2, .ticks = 1,
      .threads = {waits, cancel_root})

/* At the very nanosecond the time has come: asleep, and before. */
static void sleeps(void)
{
    MODEL_CHECK(weir_sleep_until(NULL, weir_now() + 50) == 0);
    weir_ctx ended;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    MODEL_CHECK(weir_sleep_until(&ended, weir_now()) == 0);
}
MODEL(ctx_sleep, .preemptions = 1, .threads = {sleeps})
