/* tests/model/scenarios/sync.c: once, waitgroup, semaphore. */
#include "model/calls.h"

/* ---- once: it runs once, whoever returns 0 sees what it did; after a failure the next one runs ---- */

static weir_once once;
static weir_ctx ctx;
static int made, running, failures;

static void once_setup(void)
{
    weir_once_init(&once);
    weir_ctx_init(&ctx, NULL);
    made = running = failures = 0;
    MODEL_NAME(once);
}

static int make(weir_ctx *unused, void *fails)
{
    (void)unused;
    MODEL_WRITE(&running);
    MODEL_CHECK(running == 0);
    running = 1;
    WEIR_CPU_YIELD();
    MODEL_WRITE(&running);
    running = 0;
    if (failures < *(int *)fails) {
        failures++;
        return 7;
    }
    MODEL_WRITE(&made);
    made++;
    return 0;
}

static void need(weir_ctx *of, int fails)
{
    const int rc = weir_once_do_ctx(of, &once, make, &fails);
    MODEL_CHECK(rc == 0 || (rc == 7 && fails > 0) || (rc == ECANCELED && of != NULL));
    if (rc == 0) {
        MODEL_READ(&made);
        MODEL_CHECK(made == 1);
    }
}
THREAD(needs, need(NULL, 0))
THREAD(needs_twice, need(NULL, 0); need(NULL, 0))
THREAD(needs_1, need(NULL, 1))
THREAD(needs_2, need(NULL, 2))
THREAD(needs_in_ctx, need(&ctx, 1))
THREAD(cancels, weir_ctx_cancel(&ctx, 0))
THREAD(made_once, MODEL_CHECK(made == 1 && once.state == WEIR__ONCE_DONE && once.line.lock == 0))
THREAD(not_running, MODEL_CHECK(made <= 1 && once.state != WEIR__ONCE_RUNNING && once.line.list.first == NULL))
MODEL(once_of_two, .setup = once_setup, .finish = made_once, .preemptions = 3, .stale = 2,
      .threads = {needs_twice, needs})
MODEL(once_of_three, .setup = once_setup, .finish = made_once, .preemptions = 3, .stale = 2,
      .threads = {needs, needs, needs})
MODEL(once_fails_first, .setup = once_setup, .finish = not_running, .preemptions = 3, .stale = 2,
      .threads = {needs_1, needs_1, needs_1})
MODEL(once_fails_for_all, .setup = once_setup, .finish = not_running, .preemptions = 3, .stale = 2,
      .threads = {needs_2, needs_2})
MODEL(once_cancelled, .setup = once_setup, .finish = not_running, .preemptions = 3, .stale = 2,
      .threads = {needs_1, needs_in_ctx, cancels})

/* ---- waitgroup: waits for all, sees all; may be freed by whoever has waited ---- */

static weir_waitgroup *group;
static int did[3];

static void group_setup_with(int n)
{
    group = (weir_waitgroup *)WEIR_ALLOC(16, sizeof *group);
    MODEL_CHECK(group != NULL);
    weir_waitgroup_init(group);
    weir_ctx_init(&ctx, NULL);
    memset(did, 0, sizeof did);
    MODEL_CHECK(weir_waitgroup_add(group, n) == 0);
}
THREAD(group_setup, group_setup_with(1))
THREAD(group_setup_2, group_setup_with(2))

static void finish_one(int i)
{
    MODEL_WRITE(&did[i]);
    did[i] = 1;
    MODEL_CHECK(weir_waitgroup_done(group) == 0);
}
static void saw(int n)
{
    for (int i = 0; i < n; i++) {
        MODEL_READ(&did[i]);
        MODEL_CHECK(did[i] == 1);
    }
}
THREAD(done_0, finish_one(0))
THREAD(done_1, finish_one(1))
THREAD(done_both, finish_one(0); finish_one(1))
THREAD(waits_and_frees, MODEL_CHECK(weir_waitgroup_wait(NULL, group) == 0); saw(1); WEIR_FREE(group); group = NULL)
THREAD(waits_for_2_and_frees, MODEL_CHECK(weir_waitgroup_wait(NULL, group) == 0); saw(2); WEIR_FREE(group);
       group = NULL)
THREAD(waits_for_2, MODEL_CHECK(weir_waitgroup_wait(NULL, group) == 0); saw(2))
static void may_wait(void)
{
    const int rc = weir_waitgroup_wait(&ctx, group);
    MODEL_CHECK(rc == 0 || rc == ECANCELED);
    if (rc == 0)
        saw(1);
}
THREAD(one_too_many, MODEL_CHECK(weir_waitgroup_add(group, -2) == EINVAL))
THREAD(group_freed, if (group != NULL) WEIR_FREE(group))
MODEL(waitgroup_freed_after_wait, .setup = group_setup, .finish = group_freed, .preemptions = 3, .stale = 2,
      .threads = {done_0, waits_and_frees})
MODEL(waitgroup_freed_after_two, .setup = group_setup_2, .finish = group_freed, .preemptions = 3, .stale = 2,
      .threads = {done_0, done_1, waits_for_2_and_frees})
MODEL(waitgroup_of_two_waiters, .setup = group_setup_2, .finish = group_freed, .preemptions = 3, .stale = 2,
      .threads = {done_both, waits_for_2, waits_for_2})
MODEL(waitgroup_cancelled, .setup = group_setup, .finish = group_freed, .preemptions = 3, .stale = 2,
      .threads = {done_0, may_wait, cancels})
MODEL(waitgroup_too_many, .setup = group_setup, .finish = group_freed, .preemptions = 3, .stale = 2,
      .threads = {one_too_many, done_0})

/* ---- semaphore ---- */

static weir_sem sem;
static int holders, most, served;
static bool shrinks; /* to nothing, for a while */

static void sem_setup_with(int64_t size)
{
    MODEL_CHECK(weir_sem_init(&sem, size) == 0);
    weir_ctx_init(&ctx, NULL);
    shrinks = false;
    holders = served = 0;
    most = (int)size;
    MODEL_NAME(sem.word);
    MODEL_NAME(sem.line);
}
THREAD(sem_setup_1, sem_setup_with(1))
THREAD(sem_setup_shrinks, sem_setup_with(1); shrinks = true; most = 2)
THREAD(sem_setup_2, sem_setup_with(2))

MODEL_OUTSIDE static void hold(int n)
{
    holders += n;
    MODEL_CHECK(holders <= most);
    model_goes_by(0);
    if (most == 1)
        did[0]++; /* a plain write: units order what is done under them */
}
MODEL_OUTSIDE static void let_go(int n)
{
    holders -= n;
    model_goes_by(0);
    served++;
}

static void use(weir_ctx *of, int n)
{
    const int rc = weir_sem_acquire(of, &sem, n);
    MODEL_CHECK(rc == 0 || (rc == ECANCELED && of != NULL));
    if (rc != 0)
        return;
    if (most == 1)
        MODEL_WRITE(&did[0]);
    hold(n);
    let_go(n);
    MODEL_CHECK(weir_sem_release(&sem, n) == 0);
}
static void try_use(int n)
{
    const int rc = weir_sem_try_acquire(&sem, n);
    MODEL_CHECK(rc == 0 || rc == EAGAIN || (rc == EINVAL && shrinks));
    if (rc != 0)
        return;
    if (most == 1)
        MODEL_WRITE(&did[0]);
    hold(n);
    let_go(n);
    MODEL_CHECK(weir_sem_release(&sem, n) == 0);
}
THREAD(uses, use(NULL, 1))
THREAD(uses_twice, use(NULL, 1); use(NULL, 1))
THREAD(uses_2, use(NULL, 2))
THREAD(uses_in_ctx, use(&ctx, 1))
THREAD(uses_2_in_ctx, use(&ctx, 2))
THREAD(tries, try_use(1))
THREAD(resizes, MODEL_CHECK(weir_sem_resize(&sem, 1) == 0))
THREAD(shrinks_and_grows, MODEL_CHECK(weir_sem_resize(&sem, 0) == 0); MODEL_CHECK(weir_sem_resize(&sem, 2) == 0))
static void uses_2_or_not(void)
{
    const int rc = weir_sem_acquire(NULL, &sem, 2);
    MODEL_CHECK(rc == 0 || rc == EINVAL);
    if (rc == 0)
        MODEL_CHECK(weir_sem_release(&sem, 2) == 0);
}
/* All units are back, nobody is left in the line, and the bit is clear. */
static void sem_at_rest(void)
{
    MODEL_CHECK(weir_sem_available(&sem) == weir_sem_size(&sem) && sem.line.list.first == NULL);
    MODEL_CHECK((sem.word & WEIR__SEM_WAITED) == 0 && sem.line.lock == 0);
}
MODEL(sem_of_two, .setup = sem_setup_1, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {uses_twice, uses})
MODEL(sem_of_three, .setup = sem_setup_1, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {uses, uses, uses})
MODEL(sem_of_four, .setup = sem_setup_1, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {uses, uses, uses, uses})
MODEL(sem_weighted, .setup = sem_setup_2, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {uses, uses_2, uses})
MODEL(sem_with_tries, .setup = sem_setup_1, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {tries, uses, tries})
/* Units as a lock for readers and writers: who tries after a release that went through the line sees what was written. */
static void write_with_2(void)
{
    MODEL_CHECK(weir_sem_acquire(NULL, &sem, 2) == 0);
    MODEL_WRITE(&did[1]);
    did[1]++;
    MODEL_CHECK(weir_sem_release(&sem, 2) == 0);
}
static void read_with_1(int rc)
{
    MODEL_CHECK(rc == 0 || rc == EAGAIN);
    if (rc != 0)
        return;
    MODEL_READ(&did[1]);
    MODEL_CHECK(weir_sem_release(&sem, 1) == 0);
}
THREAD(writes_with_2, write_with_2())
THREAD(reads_with_1, read_with_1(weir_sem_acquire(NULL, &sem, 1)))
THREAD(tries_to_read, read_with_1(weir_sem_try_acquire(&sem, 1)))
MODEL(sem_of_readers_and_a_writer, .setup = sem_setup_2, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {writes_with_2, reads_with_1, tries_to_read})
/* The head gives up: those behind it that fit go on. */
MODEL(sem_head_cancelled, .setup = sem_setup_2, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {uses, uses_2_in_ctx, uses, cancels})
/* The same where nobody else will ever release. */
THREAD(sem_setup_2_one_taken, sem_setup_with(2); MODEL_CHECK(weir_sem_try_acquire(&sem, 1) == 0))
THREAD(gives_the_taken_one_back, MODEL_CHECK(weir_sem_release(&sem, 1) == 0); sem_at_rest())
static void wants_2(void)
{
    MODEL_CHECK(weir_sem_acquire(&ctx, &sem, 2) == ECANCELED);
}
MODEL(sem_head_gives_up, .setup = sem_setup_2_one_taken, .finish = gives_the_taken_one_back, .preemptions = 3,
      .stale = 2, .threads = {wants_2, uses, cancels})
MODEL(sem_grant_races_cancel, .setup = sem_setup_1, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {uses, uses_in_ctx, cancels})
MODEL(sem_resized, .setup = sem_setup_2, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {uses, uses_2_or_not, resizes})
MODEL(sem_shrunk_and_grown, .setup = sem_setup_shrinks, .finish = sem_at_rest, .preemptions = 3, .stale = 2,
      .threads = {tries, shrinks_and_grows, tries})
