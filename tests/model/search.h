/* tests/model/search.h: runs a scenario in all its ways, or in many random ones, and says what went wrong. */
#ifndef WEIR_MODEL_SEARCH_H
#define WEIR_MODEL_SEARCH_H

#include "crash.h"
#include "model.h"
#include "snapshot.h"

#include <stdlib.h>
#include <time.h>

enum { SCENARIOS_MAX = 256 };

static struct search {
    const scenario *scenario[SCENARIOS_MAX];
    int scenarios;
    uint64_t saw;
    long executions;
    bool reached; /* the step at which a thread is to be suspended */
    struct search_bound {
        int least, most;
    } preemptions, stale;       /* what a scenario asks for counts within these */
    long limit;                 /* of executions; 0: none */
    bool cut;                   /* it was reached */
    char text[CHOICES_MAX + 1]; /* of a replay */
} search = {.preemptions = {0, 1000}, .stale = {0, STALE_MAX}};

uint64_t model_ring_start;

/* Once. */
static void search_keep_program(void)
{
    program_without(&choices, sizeof choices);
    program_without(&memory, sizeof memory);
    program_without(&plain, sizeof plain);
    program_without(&visited, sizeof visited);
    program_without(&shared, sizeof shared);
    program_without(&window, sizeof window);
    program_without(&schedule, sizeof schedule);
    program_without(&trace, sizeof trace);
    program_without(&moments, sizeof moments);
    program_without(&machine, sizeof machine);
    program_without(&state, sizeof state);
    program_without(&snapshots, sizeof snapshots);
    program_without(&crash_stack, sizeof crash_stack);
    program_without(&search, sizeof search);
    program_keep();
    if (program.pieces == 0)
        visited.every_way = true; /* what is in them is unknown, so no two states are known to be the same */
}

void model_add(const scenario *s)
{
    if (search.scenarios == SCENARIOS_MAX)
        abort(); /* before main: there is nobody to tell */
    search.scenario[search.scenarios++] = s;
}

void model_fail(const char *why)
{
    schedule_fail(why);
}

void model_saw(int outcome)
{
    search.saw |= (uint64_t)1 << outcome;
}

bool model_tracing(void)
{
    return trace.on;
}

int model_thread_self(void)
{
    return machine_self();
}

static int search_bounded(int wanted, struct search_bound b)
{
    const int n = wanted < b.least ? b.least : wanted;
    return n > b.most ? b.most : n;
}

/* Nothing of the last execution is left. */
static void search_clear(const scenario *s, uint64_t seed)
{
    const int more = choices_are_random() ? 4 : 1;
    choices_begin(seed);
    program_begin();
    model_ring_start = 0;
    memory_begin();
    plain.used = 0;
    memset(machine.arena, 0xa5, machine.used); /* nothing of one execution reaches the next */
    machine.blocks = 0;
    machine.used = 0;
    machine.fail_alloc = s->fail_alloc - 1;
    trace.names = 0;
    schedule.running = false;
    schedule.threads = 0;
    while (s->threads[schedule.threads] != NULL) {
        schedule.thread[schedule.threads].body = s->threads[schedule.threads];
        schedule.threads++;
    }
    schedule.self = schedule.threads;
    schedule.preemptions = more > 1 ? 1000 : search_bounded(s->preemptions, search.preemptions);
    schedule.first_stale = more * search_bounded(s->stale, search.stale);
    schedule.spurious = more * s->spurious;
    schedule.ticks = more * s->ticks;
    schedule.writes = schedule.steps = schedule.idle = schedule.everything = 0;
    schedule.now = 1000;
    moments_begin();
    schedule.wrong = NULL;
    schedule.pruned = schedule.stopped = false;
    schedule.halts = false;
    schedule.halt = snapshots.on ? 0 : LONG_MAX;
}

/* What setup finds in variables that nobody has set, and what lies between the members of structs that it copies, is always the same. */
__attribute__((noinline)) static void search_clean_stack(void)
{
    unsigned char bytes[4096];
    memset(bytes, 0xa5, sizeof bytes);
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

static void search_begin(const scenario *s, uint64_t seed)
{
    search_clean_stack();
    search_clear(s, seed);
    if (s->setup != NULL)
        s->setup();
    memory.stale = schedule.first_stale;
    schedule_begin();
}

/* One execution: NULL, or what went wrong. */
static const char *search_execute(const scenario *s, uint64_t seed)
{
    if (snapshot_return())
        schedule_go_on();
    else
        search_begin(s, seed);
    while (schedule.halts) {
        snapshot_take();
        schedule_go_on();
    }
    schedule_end();
    search.reached = search.reached || schedule.stopped;
    if (schedule.wrong == NULL && !schedule.pruned && !schedule.stopped && s->finish != NULL) {
        const int stale =
            memory
                .stale; /* finish may ask whether anything old was read (model_before), but reads nothing old itself */
        schedule.first_stale -= stale;
        memory.stale = 0;
        memory_refresh(MAIN);
        s->finish();
    }
    if (memory.wrong != NULL && schedule.wrong == NULL)
        schedule.wrong = memory.wrong;
    search.executions++;
    return schedule.wrong;
}

/* Repeats the execution that was just made, with its trace. */
static void search_show(const scenario *s, const char *wrong)
{
    const enum choice_mode mode = choices.mode;
    choices_write(search.text);
    printf("#   %s: %s\n#   --replay %s %s\n", s->name, wrong, s->name, search.text[0] != '\0' ? search.text : "0");
    (void)choices_read(search.text);
    trace.on = true;
    wrong = search_execute(s, 0);
    trace.on = false;
    printf("#   %s\n", wrong != NULL ? wrong : "THE REPLAY DID NOT FAIL");
    choices.mode = mode;
}

static bool search_goes_on(void)
{
    search.cut = search.limit > 0 && search.executions >= search.limit;
    return !search.cut;
}

static const char *search_random(const scenario *s, enum choice_mode mode, uint64_t from, long count)
{
    const char *wrong = NULL;
    search.executions = 0;
    choices.mode = mode;
    for (long i = 0; i < count && wrong == NULL; i++)
        wrong = search_execute(s, from + (uint64_t)i);
    return wrong;
}

/* What is shared, as far as random schedules show it: as long as one of the last 50 has shown more. All executions in their order come to the
 * last of it late, and all up to there would have been in vain: half of them, for a pool of two workers. What goes wrong here, all executions
 * will show, or it is not within their bounds. */
static void search_for_shared(const scenario *s)
{
    const uint64_t saw = search.saw;
    uint64_t seed = 0;
    shared_forget();
    do
        shared.discovered = false;
    while (search_random(s, CHOICE_RANDOM, 50 * seed++, 50) == NULL && shared.discovered);
    search.saw = saw;
}

/* All executions: NULL, or what went wrong first. Begins anew whenever something more turns out to be shared. */
static const char *search_all(const scenario *s)
{
    const char *wrong;
    search_for_shared(s);
    search.executions = 0;
    search.reached = search.cut = false;
    do {
        visited_clear();
        window_forget();
        shared.discovered = false;
        choices.mode = CHOICE_ALL;
        choices.length = 0;
        snapshots_begin(true);
        do
            wrong = search_execute(s, 0);
        while (wrong == NULL && !shared.discovered && search_goes_on() && choices_next());
    } while (wrong == NULL && shared.discovered && !search.cut);
    snapshots_begin(false);
    return wrong;
}

/* Suspends the first thread before each of its steps in turn: how many there are, and at how many of them the others cannot go on.
 * NULL, or what else went wrong. */
static const char *search_suspended(const scenario *s, int *steps, int *blocking, bool show)
{
    const char *wrong = NULL;
    *steps = *blocking = 0;
    schedule.stop_thread = 0;
    for (schedule.stop_step = 0;; schedule.stop_step++) {
        wrong = search_all(s);
        if (!search.reached)
            break;
        ++*steps;
        if (wrong != NULL && strncmp(wrong, "the others", 10) != 0)
            break;
        *blocking += wrong != NULL;
        if (wrong != NULL && show)
            search_show(s, wrong);
        wrong = NULL;
    }
    schedule.stop_thread = -1;
    return wrong;
}

#endif /* WEIR_MODEL_SEARCH_H */
