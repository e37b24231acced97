/* weir/chan/handle.h: what a program holds of a channel: a typed handle, one pointer large, passed by value as a Go channel is.
 *
 *     typedef weir_chan(struct tick) tick_chan;      many senders, many receivers
 *     typedef weir_spsc(struct tick) tick_line;      one sender, one receiver; weir_mpsc, weir_spmc are the others
 *
 * The handle is a union of a pointer to the channel and one to the element's type. The second is never stored or followed; it
 * is there so that every call can check, in plain C11, that the element passed has that type, and can take its size as a constant:
 *
 *     weir_send(ctx, ch, ptr)   =>   weir__send(ctx, ch.core, kind, (1 ? ptr : ch.elem), sizeof *ch.elem)
 *
 * The kind is in the type of core. So the compiler picks the fast path, and a channel for one sender cannot be passed where
 * many are expected. Each use of weir_chan(T) is a type of its own: give it a name by typedef to pass it on.
 *
 * "One sender" means one at a time: another thread may go on sending once it knows, by whatever synchronizes the two, that the first
 * has stopped.
 */
#ifndef WEIR_CHAN_HANDLE_H
#define WEIR_CHAN_HANDLE_H

#include "channel.h"

/* clang-format off */
typedef struct weir_chan_core { weir__chan chan; } weir_chan_core;
typedef struct weir_spsc_core { weir__chan chan; } weir_spsc_core;
typedef struct weir_mpsc_core { weir__chan chan; } weir_mpsc_core;
typedef struct weir_spmc_core { weir__chan chan; } weir_spmc_core;

#define weir_chan(T) union { weir_chan_core *core; T *elem; }
#define weir_spsc(T) union { weir_spsc_core *core; T *elem; }
#define weir_mpsc(T) union { weir_mpsc_core *core; T *elem; }
#define weir_spmc(T) union { weir_spmc_core *core; T *elem; }
/* clang-format on */

/* The kind, as a constant, from the type of a pointer that is not evaluated. */
#ifdef __cplusplus
char (&weir__kind_tag(const weir_spsc_core *))[WEIR__SPSC + 1];
char (&weir__kind_tag(const weir_mpsc_core *))[WEIR__MPSC + 1];
char (&weir__kind_tag(const weir_spmc_core *))[WEIR__SPMC + 1];
char (&weir__kind_tag(const weir_chan_core *))[WEIR__MPMC + 1];
#define WEIR__KIND(core_) ((int)sizeof(weir__kind_tag(core_)) - 1)
#else
#define WEIR__KIND(core_)                                                                                              \
    _Generic((core_), weir_spsc_core *                                                                                 \
             : WEIR__SPSC, weir_mpsc_core *                                                                            \
             : WEIR__MPSC, weir_spmc_core *                                                                            \
             : WEIR__SPMC, weir_chan_core *                                                                            \
             : WEIR__MPMC)
#endif

/* The channel behind a handle; a core is a struct whose first member is the channel, so the cast is one that C allows. */
#define WEIR__CHAN(ch) ((weir__chan *)(void *)(ch).core)
/* An element pointer whose type is checked against the channel's. */
#define WEIR__ELEM(ch, ptr) (1 ? (ptr) : (ch).elem)
/* Pointer to an element pointer, likewise. */
#define WEIR__ELEM_SLOT(ch, slot) (1 ? (slot) : &(ch).elem)
/* 0, or a compile-time error. */
#define WEIR__REQUIRE(cond) (0 * sizeof(char[(cond) ? 1 : -1]))

#endif /* WEIR_CHAN_HANDLE_H */
