/* tests/model/model.h: runs a small program of a few threads in every way that it can go.
 *
 * Overview
 *   A scenario is a setup, up to seven threads, and a finish. It is run again and again; each time the threads' atomic operations are
 *   interleaved in another way, and loads return other values among those that the C11 memory model allows (memory.h). After each run,
 *   and at each MODEL_CHECK, it is seen whether all is well. Found are: checks that fail, deadlocks and lost wake-ups, endless loops,
 *   data races, use after free and after return, crashes. What is found is printed as a trace, one column per thread, with a line that repeats it.
 *
 *   It runs the library as it is shipped: every atomic operation, fence, futex call, clock, thread and allocation of weir goes through a macro,
 *   and platform.h defines them. A program of your own on weir is checked the same way: its threads become functions, and what it shares
 *   besides channels it accesses through WEIR_ATOMIC_ macros, or as plain data that is ordered by what it sends.
 *
 * API
 *       #include "model/model.h"
 *
 *       static weir_chan(int) ch;
 *       static int got;
 *
 *       static void setup(void)  { MODEL_CHECK(weir_chan_make(&ch, 1, NULL) == 0); }
 *       static void sends(void)  { int v = 7; MODEL_CHECK(weir_send(NULL, ch, &v) == 0); }
 *       static void gets(void)   { MODEL_CHECK(weir_recv(NULL, ch, &got) == 0); }
 *       static void finish(void) { MODEL_CHECK(got == 7); weir_chan_free(&ch); }
 *
 *       MODEL(one_value_goes_through, .setup = setup, .finish = finish, .threads = {sends, gets}, .preemptions = 2)
 *
 *   cc -std=c11 -Iinclude -Itests -O3 -c tests/model/model.c
 *   cc -std=c11 -Iinclude -Itests -fsanitize=thread -c mine.c
 *   cc mine.o model.o && ./a.out
 *
 *   Compiled with -fsanitize=thread (and linked without it) all plain accesses are checked for races; else only those of payloads. With
 *   another compiler than gcc, or not on x86-64, it is also faster then, because more executions are seen to meet (state.h). Each unit whose functions
 *   are on the way to a call of weir includes model.h.
 *
 *   MODEL(name, ...)      a scenario; the members of struct scenario that are not 0
 *   MODEL_CHECK(cond)     anywhere
 *   MODEL_READ(p), MODEL_WRITE(p)   a plain access to *p follows: is it ordered with those of other threads?
 *   MODEL_OUTSIDE         before a function whose plain accesses are the scenario's own affair, such as counters of what happened. Where threads look at
 *                         each other's in the middle, or go by what it returns, it calls model_goes_by (platform.h)
 *   MODEL_NAME(x)         in setup: the trace calls this variable by its name. MODEL_NAME_CHANNEL(ch): a channel's words
 *   MODEL_SAW(n)          in finish: notes an outcome, 0 to 63; `sees` says which ones there must be, all of them and no others
 *
 *   ./a.out [-v] [NAME...]            runs all, or those whose names contain one of these (=NAME: are this); -v: with a trace of what `finds` has found
 *   ./a.out --counts [NAME...]        prints what is compared with tests/model/counts
 *   ./a.out --random N | --pct N [NAME...]   N random, or PCT, schedules of each, with more of everything. --seed S: from the S-th on
 *   --stop: at the first failure. --most P S, --least P S: no more, or no fewer, than P preemptions and S old values, whatever the scenarios
 *   say. --limit N: a search ends after N executions and says "not all". --from-the-begin: without snapshots (snapshot.h). --every-way: nothing is
 *   left out (step.h). --ends: prints in how many states executions have ended
 *   ./a.out --replay NAME CHOICES     repeats one execution, with its trace
 *
 * Implementation notes
 *   What a program does: fiber.h switches stacks; memory.h says what a load may read, plain.h what is a race; schedule.h who runs next, step.h where
 *   another may go first; machine.h joins them into the operations that platform.h promises; moment.h knows which call came before which.
 *   How all ways are gone through: choice.h makes and remembers decisions; state.h says where an execution stands, visited.h where the
 *   search has been; window.h whether a preemption is worth it; shared.h which words are shared; snapshot.h goes back to an earlier step; search.h drives.
 *   program.h knows the program's variables; crash.h catches crashes; trace.h prints.
 *
 *   An execution takes some microseconds. A scenario keeps what it has in variables, on its threads' stacks, and in what it gets from
 *   WEIR_ALLOC: that is what is taken back.
 *
 *   Not found: what needs load buffering (a load that reads a store made later in program order elsewhere), and anything beyond the
 *   bounds of the search.
 */
#ifndef WEIR_MODEL_H
#define WEIR_MODEL_H

#include "platform.h"

#include <stdbool.h>

/* Threads of the same function are searched as if nothing told them apart: what goes by the number of a thread is a function of its own. */
typedef struct scenario {
    const char *name;
    void (*setup)(void), (*finish)(void), (*threads[7])(void);
    /* Bounds of the search: switches away from a thread that could go on; loads and stores that do not take the last place, at most 8; wake-ups for
     * no reason; moments at which time goes by although somebody could run. */
    int preemptions, stale, spurious, ticks;
    const char *finds; /* a part of the failure that there must be; NULL: nothing may go wrong */
    uint64_t sees;     /* bits; 0: not asked */
    int fail_alloc;    /* the number of the allocation that fails, from 1; 0: none */
    bool suspends;     /* the first thread stops for ever at some step, at each in turn: the others must not need it */
} scenario;

void model_add(const scenario *s);
void model_fail(const char *why);
void model_saw(int outcome);
bool model_tracing(void);
void model_name(const void *p, size_t size, const char *name);

#define MODEL(id, ...) MODEL2(id, __VA_ARGS__) /* twice, so that the name may be a macro */
#define MODEL2(id, ...)                                                                                                \
    __attribute__((constructor)) static void model_add_##id(void)                                                      \
    {                                                                                                                  \
        static const scenario model_scenario = {.name = #id, __VA_ARGS__};                                             \
        model_add(&model_scenario);                                                                                    \
    }
#define MODEL_OUTSIDE __attribute__((no_sanitize("thread")))
#define MODEL_TEXT2(x) #x
#define MODEL_TEXT(x) MODEL_TEXT2(x)
#define MODEL_CHECK(cond) ((cond) ? (void)0 : model_fail("line " MODEL_TEXT(__LINE__) ": not " #cond))
#define MODEL_READ(p) model_plain((p), sizeof *(p), 0)
#define MODEL_WRITE(p) model_plain((p), sizeof *(p), 1)
#define MODEL_NAME(x) model_name(&(x), sizeof(x), #x)
#define MODEL_SAW(n) model_saw((int)(n))

/* Where positions of rings begin: setup may set it just below the point where they wrap. */
extern uint64_t model_ring_start;
#define WEIR_RING_START model_ring_start

#define WEIR_PLATFORM_H "model/platform.h"
#define WEIR_IMPLEMENTATION
#define WEIR_STATIC
#ifndef MODEL_WITHOUT_WEIR
#include <weir/all.h>

#define MODEL_NAME_CHANNEL(ch) model_name_channel(WEIR__CHAN(ch), #ch)
static inline void model_name_channel(weir__chan *c, const char *name)
{
    model_name(c, sizeof *c, name);
    model_name(&c->ring.producer.pos, 8, "tail");
    model_name(&c->ring.consumer.pos, 8, "head");
    model_name(&c->ring.state, 4, "ring.state");
    model_name(&c->ring.limit, 8, "ring.limit");
    model_name(&c->receivers.attention, 4, "receivers");
    model_name(&c->receivers.lock, 4, "receivers.lock");
    model_name(&c->senders.attention, 4, "senders");
    model_name(&c->senders.lock, 4, "senders.lock");
    model_name(&c->lane.word, 8, "lane");
    model_name(&c->closed, 4, "closed");
}
#endif

#endif /* WEIR_MODEL_H */
