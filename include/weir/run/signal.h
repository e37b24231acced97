/* weir/run/signal.h: signals, counted in a word that threads sleep on.
 *
 * A handler adds one to a word and wakes whoever sleeps on it: that is all that it may do. It runs in whichever thread the system picks, started
 * before or after; a thread that blocks the signals changes nothing as long as one does not. Interrupted system calls are restarted.
 *
 * A signal that was ignored before stays ignored: a shell says so to what it starts in the background. Giving back restores what was before,
 * whatever that was: the struct of sigaction, which -std=c11 hides, is read and written back as bytes.
 *
 *   Not done: signalfd, and sigwait in a thread. Both need the signals blocked in every thread, also in those that libraries have started before
 *   main. Not done: a pipe from the handler to the waiting thread. futex(2) is as safe to call there, has no descriptor to leak, and cannot be
 *   full.
 *
 * Who may call what at once: take and give back, one thread, the owner. All else: any thread; poke and what the handler calls, also in a handler.
 *
 * Sources: signal-safety(7), sigaction(2), signal(2), futex(2); "Basic Signal Handling" in the manual of the GNU C library, for signals that are
 * ignored.
 */
#ifndef WEIR_RUN_SIGNAL_H
#define WEIR_RUN_SIGNAL_H

#include "../core/atomic.h"
#include "../core/error.h"
#include "../core/futex.h"
#include "../core/time.h"

enum { WEIR_SIGNALS_MAX = 8 };

/* Counts these from now on (count 0: SIGINT and SIGTERM). third_kills: the second restores the default actions. Those that
 * come less than `settle` after the first are not counted. 0; EBUSY: they are taken already;
 * EINVAL: one cannot be handled, and nothing has changed. */
WEIR_API int weir__signals_take(const int *signals, size_t count, bool third_kills, weir_ns settle);
WEIR_API void weir__signals_give_back(void);

/* How many have come since take; the first one's number, or 0. */
WEIR_API uint32_t weir__signals_count(void);
WEIR_API int weir__signals_first(void);

/* Sleeping: read events, look at what is waited for, sleep if it has not happened. Whoever makes it happen pokes, and so does each signal. */
WEIR_API uint32_t weir__signals_events(void);
WEIR_API void weir__signals_sleep(uint32_t seen, weir_ns until);
WEIR_API void weir__signals_poke(void *unused);

#endif /* WEIR_RUN_SIGNAL_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_RUN_SIGNAL_IMPLEMENTED)
#define WEIR_RUN_SIGNAL_IMPLEMENTED

#include <signal.h>

/* signal, under this name, is the one of BSD: the handler stays installed, and system calls are restarted. */
#ifdef __cplusplus
extern "C" {
#endif
typedef void weir__signal_fn(int number);
extern int weir__libc_sigaction(int number, const void *action, void *before) __asm__("sigaction");
extern weir__signal_fn *weir__libc_signal(int number, weir__signal_fn *fn) __asm__("signal");
#ifdef __cplusplus
}
#endif

typedef union weir__signal_action {
    char bytes[256]; /* 152 on 64-bit Linux */
    uint64_t align;
} weir__signal_action;

/* What the handler touches: static, for it may be at its last instruction in another thread when the signals are given back. */
static struct {
    weir__atomic_u32 events; /* the futex */
    weir__atomic_u32 count, first, owned, third_kills, numbers;
    weir__atomic_u64 first_at, settle;
    int number[WEIR_SIGNALS_MAX]; /* the first `numbers` are handled */
    weir__signal_action before[WEIR_SIGNALS_MAX];
} weir__signals;

WEIR_API uint32_t weir__signals_count(void)
{
    return weir__load_acq(&weir__signals.count); /* pairs with the release in the handler: `first` is there */
}

WEIR_API int weir__signals_first(void)
{
    return (int)weir__load_rlx(&weir__signals.first);
}

/* (A) Acquire: what was done before the poke that is counted here. */
WEIR_API uint32_t weir__signals_events(void)
{
    return weir__load_acq(&weir__signals.events);
}

WEIR_API void weir__signals_sleep(uint32_t seen, weir_ns until)
{
    (void)WEIR_FUTEX_WAIT(&weir__signals.events, seen, until);
}

WEIR_API void weir__signals_poke(void *unused)
{
    (void)unused;
    (void)weir__add_rel(&weir__signals.events, 1); /* pairs with (A) */
    WEIR_FUTEX_WAKE(&weir__signals.events, WEIR__WAKE_ALL);
}

/* Calls what a handler may: clock_gettime behind weir_now (a program that puts its own in WEIR_CLOCK_NOW has to have one as safe), futex, signal. */
static void weir__signals_handle(int number)
{
    uint64_t first_at = 0;
    uint32_t numbers;
    if (weir__cas_rlx(&weir__signals.first_at, &first_at, (uint64_t)weir_now() | 1))
        weir__store_rlx(&weir__signals.first, (uint32_t)number);
    else if (weir_now() - (weir_ns)first_at <
             (weir_ns)weir__load_rlx(&weir__signals.settle)) /* looked at anew: it may have overtaken this one */
        return;
    if (weir__add_rel(&weir__signals.count, 1) == 1 && weir__load_rlx(&weir__signals.third_kills) != 0) {
        numbers = weir__load_acq(&weir__signals.numbers); /* pairs with the release in take */
        for (uint32_t i = 0; i < numbers; i++)
            (void)weir__libc_signal(weir__signals.number[i], SIG_DFL);
    }
    weir__signals_poke(NULL);
}

WEIR_API void weir__signals_give_back(void)
{
    uint32_t n = weir__load_rlx(&weir__signals.numbers);
    while (n > 0) {
        weir__store_rlx(&weir__signals.numbers, --n);
        (void)weir__libc_sigaction(weir__signals.number[n], &weir__signals.before[n], NULL);
    }
    weir__store_rel(&weir__signals.owned, 0); /* pairs with the acquire in take */
}

/* One more. */
static int weir__signals_add(int number)
{
    const uint32_t at = weir__load_rlx(&weir__signals.numbers);
    weir__signal_action *before = &weir__signals.before[at];
    weir__signal_fn *was;
    if (weir__libc_sigaction(number, NULL, before) != 0)
        return EINVAL;
    was = weir__libc_signal(number, weir__signals_handle);
    if (was == SIG_ERR)
        return EINVAL;
    if (was == SIG_IGN) {
        (void)weir__libc_sigaction(number, before, NULL);
        return 0;
    }
    weir__signals.number[at] = number;
    weir__store_rel(&weir__signals.numbers, at + 1); /* pairs with the acquire in the handler */
    return 0;
}

WEIR_API int weir__signals_take(const int *signals, size_t count, bool third_kills, weir_ns settle)
{
    static const int usual[] = {SIGINT, SIGTERM};
    const int saved = errno;
    uint32_t none = 0;
    int rc = 0;
    if (count > WEIR_SIGNALS_MAX)
        return EINVAL;
    if (!weir__cas_acq(&weir__signals.owned, &none, 1)) /* acquire: what the owner before has restored */
        return EBUSY;
    weir__store_rlx(&weir__signals.count, 0);
    weir__store_rlx(&weir__signals.first, 0);
    weir__store_rlx(&weir__signals.first_at, 0);
    weir__store_rlx(&weir__signals.settle, (uint64_t)settle);
    weir__store_rlx(&weir__signals.third_kills, third_kills);
    for (size_t i = 0; i < (count > 0 ? count : 2) && rc == 0; i++)
        rc = weir__signals_add(count > 0 ? signals[i] : usual[i]);
    if (rc != 0)
        weir__signals_give_back();
    errno = saved;
    return rc;
}

#endif /* WEIR_RUN_SIGNAL_IMPLEMENTED */
