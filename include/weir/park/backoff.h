/* weir/park/backoff.h: the three phases of a wait, and the four strategies.
 *
 *   spin with pause    the peer runs on another core and needs a moment        (a turn: 20 to 60 ns)
 *   sched_yield        the peer wants this very core                            (a turn: 0.3 µs and more)
 *   park on a futex    nothing is to be expected soon                           (30 µs round trip, and a heavy fence)
 *
 * The middle phase is the one that is easily left out. With more threads than cores, a spinner occupies the core that the peer it
 * waits for would need, and a sleeper costs two system calls and a context switch per value; spin-then-park alone moved 2 million
 * values a second through a channel with one producer and four consumers on two cores, with four yields between 75 million.
 *
 * A yield is dear where a stranger has the core, a program that computes, or a thread of our own that does: the scheduler gives it a slice, and the one
 * that has yielded is back after 1 to 4 ms, sixteen times per wait. A pipeline of 8 workers took 130 ms for 400 values beside one busy program a core, and 9
 * when all parked at once: whoever is woken is let in soon. So a thread whose yields take a millisecond, twice in a row, parks for as long as two of them
 * take, then tries again (18 ms); unless this process has had nearly all of its processors meanwhile. Then the slices went to threads of its own, which move
 * values all the while and had better not be asked for wake-ups: without the exception 64 threads moved 149 million values a second on two cores, with it 189.
 * Rejected: barring yields in all threads at once. All hear sooner, but those on the other cores did well: the same 64 threads moved 115 to 122 million.
 *
 *   WEIR_WAIT_ADAPTIVE  spin, yield, park: the default
 *   WEIR_WAIT_SPIN      spin for ever: lowest latency, for a thread that owns its core
 *   WEIR_WAIT_YIELD     spin, then yield for ever: no system call but sched_yield, shares its core
 *   WEIR_WAIT_PARK      park at once: for waits that are known to be long; frees the core
 *
 * A thread under WEIR_WAIT_SPIN or _YIELD never sleeps, so its peers never pay for waking it.
 */
#ifndef WEIR_PARK_BACKOFF_H
#define WEIR_PARK_BACKOFF_H

#include "../core/cpu.h"
#include "../core/time.h"

#ifndef WEIR_SPIN_TURNS
#define WEIR_SPIN_TURNS 32
#endif
#ifndef WEIR_YIELD_TURNS
#define WEIR_YIELD_TURNS 16
#endif
#ifndef WEIR_BURST_TURNS
#define WEIR_BURST_TURNS 15
#endif

/* From where on a yield is dear: no wake-up takes so long. And the longest time without one: a slice may have been a suspension, and clocks are set. */
#define WEIR__YIELD_DEAR WEIR_MS(1)
#define WEIR__YIELD_BAR WEIR_SEC(1)

typedef enum weir_wait_strategy {
    WEIR_WAIT_ADAPTIVE = 0,
    WEIR_WAIT_SPIN,
    WEIR_WAIT_YIELD,
    WEIR_WAIT_PARK
} weir_wait_strategy;

typedef struct weir__backoff {
    int strategy;
    unsigned turn; /* turns taken since the wait began, or since the last wake-up */
} weir__backoff;

/* Whether the next turn would be in the phase of spinning: too short to look at a clock. (`turn + 1 <=`, because compilers warn of
 * `turn < 0`, which a program without that phase would get.) */
static inline bool weir__backoff_spinning(const weir__backoff *b)
{
    return b->strategy == WEIR_WAIT_SPIN || (b->strategy != WEIR_WAIT_PARK && b->turn + 1 <= WEIR_SPIN_TURNS);
}

/* Yields, unless this thread has found that to be dear. Returns whether it has. Any thread; two readings of the clock and a system call. */
WEIR_API WEIR_NOINLINE bool weir__backoff_yield(void);

/* Takes one turn. Returns false, at once, when it is time to park. */
static inline bool weir__backoff_turn(weir__backoff *b)
{
    if (weir__backoff_spinning(b))
        WEIR_CPU_PAUSE();
    else if (b->strategy == WEIR_WAIT_YIELD)
        WEIR_CPU_YIELD();
    else if (b->strategy != WEIR_WAIT_ADAPTIVE || b->turn + 1 > WEIR_SPIN_TURNS + WEIR_YIELD_TURNS ||
             !weir__backoff_yield())
        return false;
    b->turn++;
    return true;
}

/* Lets a peer that is at work get some values ahead, so that the two do not fight for each one's cache line. */
static inline void weir__backoff_burst(void)
{
    for (int i = 0; i < WEIR_BURST_TURNS; i++)
        WEIR_CPU_PAUSE();
}

/* Stays away from a position that other threads move, after the lost-th claim in a row that one of them was faster at: 8 pauses, doubled
 * each time up to 128 (3 µs).
 * Two producers that claim in lockstep on two cores hand the cache lines of the tail and of the slots over for every single value:
 * 20 million values a second where one alone does 160. While one stays away the other makes a run of values at full speed; and as the
 * two then fill the ring at different speeds, they and the consumers fall out of step, so that on both cores something is to be done.
 * Eight pauses without the doubling left it in step in one run out of four. Yielding worked as well, but is a system call.
 * Source: exponential backoff, after T. E. Anderson, "The Performance of Spin Lock Alternatives" (1990). */
WEIR_API WEIR_NOINLINE void weir__backoff_lost(unsigned lost);

/* Waits, without sleeping, for a peer that is a few instructions from done. That peer may have lost its core: hence the yield. */
static inline void weir__backoff_peer(weir__backoff *b)
{
    b->strategy = WEIR_WAIT_YIELD;
    (void)weir__backoff_turn(b);
}

#endif /* WEIR_PARK_BACKOFF_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_BACKOFF_IMPLEMENTED)
#define WEIR_PARK_BACKOFF_IMPLEMENTED

/* A thread's: when its last dear yield ended, and what the process had used of its processors by then; until when it does not yield. */
static WEIR_THREAD_LOCAL struct {
    weir_ns ended, used, barred;
} weir__yields;

/* Twice in a row: it has waited for less since the one before, or since it was let in again, than it has lost now. */
static void weir__yield_was_dear(weir_ns began, weir_ns ended)
{
    const weir_ns lost = ended - began, used = weir__time_used();
    const weir_ns since = weir__yields.barred > weir__yields.ended ? weir__yields.barred : weir__yields.ended;
    if (began - since < lost && (used - weir__yields.used) / 7 < (ended - weir__yields.ended) / 8 * weir_cpu_count())
        weir__yields.barred = ended + (lost < WEIR__YIELD_BAR / 2 ? 2 * lost : WEIR__YIELD_BAR);
    weir__yields.ended = ended;
    weir__yields.used = used;
}

WEIR_API WEIR_NOINLINE bool weir__backoff_yield(void)
{
    const weir_ns began = weir_now();
    weir_ns ended;
    if (began < weir__yields.barred && weir__yields.barred - began <= WEIR__YIELD_BAR)
        return false;
    WEIR_CPU_YIELD();
    ended = weir_now();
    if (WEIR_UNLIKELY(ended - began >= WEIR__YIELD_DEAR))
        weir__yield_was_dear(began, ended);
    return true;
}

WEIR_API WEIR_NOINLINE void weir__backoff_lost(unsigned lost)
{
    const unsigned turns = 8U << (lost < 5 ? lost - 1 : 4);
    for (unsigned i = 0; i < turns; i++)
        WEIR_CPU_PAUSE();
}

#endif /* WEIR_PARK_BACKOFF_IMPLEMENTED */
