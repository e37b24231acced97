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

#ifndef WEIR_SPIN_TURNS
#define WEIR_SPIN_TURNS 32
#endif
#ifndef WEIR_YIELD_TURNS
#define WEIR_YIELD_TURNS 16
#endif
#ifndef WEIR_BURST_TURNS
#define WEIR_BURST_TURNS 15
#endif

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

/* Takes one turn. Returns false, at once, when it is time to park. */
static inline bool weir__backoff_turn(weir__backoff *b)
{
    if (weir__backoff_spinning(b)) {
        WEIR_CPU_PAUSE();
    } else if (b->strategy == WEIR_WAIT_YIELD ||
               (b->strategy == WEIR_WAIT_ADAPTIVE && b->turn + 1 <= WEIR_SPIN_TURNS + WEIR_YIELD_TURNS)) {
        WEIR_CPU_YIELD();
    } else {
        return false;
    }
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

WEIR_API WEIR_NOINLINE void weir__backoff_lost(unsigned lost)
{
    const unsigned turns = 8U << (lost < 5 ? lost - 1 : 4);
    for (unsigned i = 0; i < turns; i++)
        WEIR_CPU_PAUSE();
}

#endif /* WEIR_PARK_BACKOFF_IMPLEMENTED */
