/* weir/ring/choice.h: the four kinds of channel, and which ring each of them stands on.
 *
 *   kind    producers, consumers   default ring   others that it may stand on
 *   SPSC    one, one               CACHED         SLOTS, CK
 *   MPSC    many, one              SLOTS          CK
 *   SPMC    one, many              SLOTS          CK
 *   MPMC    many, many             SLOTS          CK
 *
 * The defaults are what `make bench` shows to be fastest among those that keep every meaning of a channel. A program chooses
 * otherwise when it compiles, in all of its units: -DWEIR_RING_MPMC=WEIR_RING_CK. Units that chose differently do not link: the
 * functions that are not inline carry the choice in their names (weir__chan_make_rings_3111: SPSC, MPSC, SPMC, MPMC).
 */
#ifndef WEIR_RING_CHOICE_H
#define WEIR_RING_CHOICE_H

#include "../core/config.h"

#define WEIR_RING_SLOTS 1  /* ring/slots.h: a stamp per slot */
#define WEIR_RING_CK 2     /* ring/ck.h: Concurrency Kit's ck_ring */
#define WEIR_RING_CACHED 3 /* ring/spsc.h: two indices, each cached by the other side */

#ifndef WEIR_RING_SPSC
#define WEIR_RING_SPSC WEIR_RING_CACHED
#endif
#ifndef WEIR_RING_MPSC
#define WEIR_RING_MPSC WEIR_RING_SLOTS
#endif
#ifndef WEIR_RING_SPMC
#define WEIR_RING_SPMC WEIR_RING_SLOTS
#endif
#ifndef WEIR_RING_MPMC
#define WEIR_RING_MPMC WEIR_RING_SLOTS
#endif

#if WEIR_RING_MPSC == WEIR_RING_CACHED || WEIR_RING_SPMC == WEIR_RING_CACHED || WEIR_RING_MPMC == WEIR_RING_CACHED
#error "weir: WEIR_RING_CACHED is for WEIR_RING_SPSC alone: it knows one producer and one consumer"
#endif
#if WEIR_RING_SPSC == WEIR_RING_CK || WEIR_RING_MPSC == WEIR_RING_CK || WEIR_RING_SPMC == WEIR_RING_CK ||              \
    WEIR_RING_MPMC == WEIR_RING_CK
#define WEIR__RING_CK_USED 1
#else
#define WEIR__RING_CK_USED 0
#endif

/* The kind is a constant wherever speed matters, and a number in the channel elsewhere. */
enum { WEIR__SPSC = 0, WEIR__MPSC = 1, WEIR__SPMC = 2, WEIR__MPMC = 3 };

WEIR_INLINE bool weir__many_producers(int kind)
{
    return (kind & 1) != 0;
}

WEIR_INLINE bool weir__many_consumers(int kind)
{
    return (kind & 2) != 0;
}

WEIR_INLINE int weir__ring_of(int kind)
{
    return kind == WEIR__SPSC   ? WEIR_RING_SPSC
           : kind == WEIR__MPSC ? WEIR_RING_MPSC
           : kind == WEIR__SPMC ? WEIR_RING_SPMC
                                : WEIR_RING_MPMC;
}

/* WEIR__RINGED(weir__f) is the name under which f links in a program with this choice of rings. */
#define WEIR__RINGED(name)                                                                                             \
    WEIR__PASTE(WEIR__PASTE(WEIR__PASTE(WEIR__PASTE(name##_rings_, WEIR_RING_SPSC), WEIR_RING_MPSC), WEIR_RING_SPMC),  \
                WEIR_RING_MPMC)

#endif /* WEIR_RING_CHOICE_H */
