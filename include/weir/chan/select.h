/* weir/chan/select.h: waiting for whichever of several operations can go on first, and doing exactly that one.
 *
 *     enum { JOB, TICK, QUIT };
 *     weir_case cases[] = {WEIR_RECV(jobs, &job), WEIR_SEND(out, &tick), WEIR_DONE(ctx)};
 *     switch (weir_select(ctx, cases, 3)) { case JOB: … }
 *
 *     int weir_select(ctx, cases, n)                    waits; among ready cases each is equally likely
 *     int weir_select_until(ctx, cases, n, deadline)    at most until a point in time
 *     int weir_select_ordered(ctx, cases, n)            the first listed of the ready ones (a busy first case starves the others)
 *     int weir_try_select(cases, n)                     does not wait; Go's default
 *
 * Returns the index of the case that was done; cases[i].status tells how: 0, or EPIPE if the channel was closed (a closed channel is
 * ready); for WEIR_DONE the context's error. Otherwise nothing was done and the return is minus an error: -EAGAIN (try: no case was
 * ready, all at one moment), -ECANCELED or -ETIMEDOUT (ctx, deadline; ready cases come first), -ENOMEM (more than 64 cases, and no
 * memory), -EINVAL (a send to a timer; cases NULL with n > 0; n above INT_MAX / 2).
 *
 * Cases may name the same channel many times, also to send and to receive: a thread never meets itself. NULL channels and contexts
 * are never ready; with no case that can be, only ctx or the deadline end the wait. What a case that was not done points to is
 * untouched. The strategy of the first channel with one decides how the wait is spent.
 *
 * How it works
 *   1. Poll: try the cases in random order until one is done. Up to 64 cases, nothing is allocated.
 *   2. Before parking, lock all rendezvous channels among the cases, in the order of their addresses; look once more who waits there;
 *      if nobody, lie down in all queues, with one parker; unlock. So two selects that meet over several channels
 *      see each other whole: either finds the other's nodes in place, or takes the locks first.
 *   3. (A) heavy fence, and a last look at buffers, timers and contexts, as in chan/wait.h.
 *   4. Sleep until claimed. Leave every queue. A claim by a rendezvous peer is the exchange, done. Any other claim is a hint: poll again. If
 *      then another case is done, the wake-up of the first is passed on (chan/wait.h).
 *   Not done: locking every channel for every select, as Go does; a buffered channel's fast path knows no lock.
 *
 * Trying is one moment
 *   -EAGAIN says that no case was ready at one moment. Looking at one channel after the other does not show that: a value may come into
 *   the first after the look at it and leave the second before. So the tail (for a send: the head) of each channel is noted before
 *   its look, and compared once all have been looked at: as long as it stands still, an empty channel stays empty, a full one full. In
 *   between, with all rendezvous channels locked, timers and contexts are looked at: those not due then were not due before.
 *
 * Threads: as many selects on a channel at once as its kind allows senders or receivers. Sources: Go's runtime/select.go for the
 * meanings; crossbeam-channel's select.rs for hints and rendezvous in one select.
 */
#ifndef WEIR_CHAN_SELECT_H
#define WEIR_CHAN_SELECT_H

#include "case.h"

#define weir_select WEIR__RINGED(weir_select)
#define weir_select_until WEIR__RINGED(weir_select_until)
#define weir_select_ordered WEIR__RINGED(weir_select_ordered)
#define weir_try_select WEIR__RINGED(weir_try_select)

WEIR_API int weir_select(weir_ctx *ctx, weir_case *cases, size_t n);
WEIR_API int weir_select_until(weir_ctx *ctx, weir_case *cases, size_t n, weir_ns deadline);
WEIR_API int weir_select_ordered(weir_ctx *ctx, weir_case *cases, size_t n);
WEIR_API int weir_try_select(weir_case *cases, size_t n);

#define weir__select_in WEIR__RINGED(weir__select_in)
/* weir_select for a caller that selects again and again: memory of weir__select_bytes(n), on a multiple of 16, is where it keeps what it needs for more
 * than 64 cases, so that nothing is allocated. */
WEIR_API int weir__select_in(weir_ctx *ctx, weir_case *cases, size_t n, void *memory);
WEIR_API size_t weir__select_bytes(size_t n);

#endif /* WEIR_CHAN_SELECT_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_CHAN_SELECT_IMPLEMENTED)
#define WEIR_CHAN_SELECT_IMPLEMENTED

#include "../core/memory.h"
#include "../core/random.h"

#include <limits.h>

#define WEIR__SELECT_INLINE 64
/* Inside, an index or one of these. */
#define WEIR__SELECT_NONE (-1)
#define WEIR__SELECT_BUSY (-2)

enum { WEIR__TICKET_CASE = WEIR__TICKET_QUEUE + 1 }; /* + index */

/* What a select keeps per case. */
typedef struct weir__select_slot {
    weir__waiter node;
    uint64_t seen; /* try: the position that shows whether the channel was touched */
    /* [0, meet_count): the rendezvous channels among the cases, each once, in the order of their addresses */
    weir__chan *meets;
} weir__select_slot;

typedef struct weir__select {
    weir_case *cases;
    size_t n;
    bool ordered;
    bool sorted; /* meets is filled */
    bool timed;  /* try: a timer or a context is among the cases */
    /* the last look before sleeping found a case ready: if it still cannot be done, a peer stands in the middle of it */
    bool hasty;
    size_t meet_count;
    size_t owed; /* the case whose queue spent a wake-up on us, or n */
    weir__select_slot *slots;
    /* the permutation in which cases are tried; apart from the slots, which a ready select never touches */
    uint32_t *order;
    weir__parker parker;
} weir__select;

/* ---- trying ---------------------------------------------------------------------------------------------------------------- */

/* The next case to try: in order, or drawn from those not tried yet. A permutation is drawn only as far as it is used. */
static size_t weir__select_draw(weir__select *s, size_t turn)
{
    size_t other;
    uint32_t drawn;
    if (s->ordered)
        return turn;
    other = turn + weir__random_below((uint32_t)(s->n - turn));
    drawn = s->order[other];
    s->order[other] = s->order[turn];
    s->order[turn] = drawn;
    return drawn;
}

static int weir__select_poll(weir__select *s)
{
    bool busy = false;
    for (size_t turn = 0; turn < s->n; turn++) {
        const size_t i = weir__select_draw(s, turn);
        if (weir__case_try(&s->cases[i], &busy))
            return (int)i;
    }
    return busy ? WEIR__SELECT_BUSY : WEIR__SELECT_NONE;
}

/* ---- rendezvous channels, all locked at once --------------------------------------------------------------------------------- */

static void weir__select_sort(weir__select *s)
{
    size_t n = 0;
    if (s->sorted)
        return;
    s->sorted = true;
    for (size_t i = 0; i < s->n; i++) {
        weir__chan *c = s->cases[i].chan;
        size_t low = 0, high = n;
        if (!weir__case_meets(&s->cases[i]))
            continue;
        while (low < high) { /* the first that does not come before c */
            const size_t middle = low + (high - low) / 2;
            if ((uintptr_t)s->slots[middle].meets < (uintptr_t)c)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < n && s->slots[low].meets == c)
            continue;
        for (size_t k = n++; k > low; k--)
            s->slots[k].meets = s->slots[k - 1].meets;
        s->slots[low].meets = c;
    }
    s->meet_count = n;
}

static void weir__select_lock(weir__select *s)
{
    weir__select_sort(s);
    for (size_t i = 0; i < s->meet_count; i++)
        weir__lock_take(weir__meet_lock(s->slots[i].meets));
}

static void weir__select_unlock(weir__select *s)
{
    for (size_t i = 0; i < s->meet_count; i++)
        weir__lock_release(weir__meet_lock(s->slots[i].meets));
}

/* All locked: meets whoever waits at one of them. An index, with *wake, or NONE. */
static int weir__select_meet(weir__select *s, weir__atomic_u32 **wake)
{
    *wake = NULL;
    for (size_t turn = 0; s->meet_count > 0 && turn < s->n; turn++) {
        const size_t i = weir__select_draw(s, turn);
        weir_case *c = &s->cases[i];
        int rc;
        if (!weir__case_meets(c))
            continue;
        rc = weir__meet_exchange(c->chan, c->what == WEIR__CASE_SEND, c->src, c->dst, wake);
        if (rc != EAGAIN) {
            c->status = rc;
            return (int)i;
        }
    }
    return WEIR__SELECT_NONE;
}

/* ---- parking --------------------------------------------------------------------------------------------------------------- */

/* Lies down in the queue of every case. All rendezvous channels are locked. In the order of the last poll, which drew it whole: of two
 * cases on one rendezvous, a peer meets the one that lies in front. */
static void weir__select_join(weir__select *s)
{
    for (size_t turn = 0; turn < s->n; turn++) {
        const size_t i = s->order[turn];
        weir_case *c = &s->cases[i];
        weir__waiter *node = &s->slots[i].node;
        const weir__op op = weir__case_op(c);
        weir__waiter_init(node, &s->parker, WEIR__TICKET_CASE + (uint32_t)i);
        node->src = c->src;
        node->dst = c->dst;
        if (c->what == WEIR__CASE_DONE && c->ctx != NULL)
            (void)weir__ctx_watch(c->ctx, node);
        else if (weir__case_meets(c))
            weir__meet_link(c->chan, c->what == WEIR__CASE_SEND, node, false);
        else if (c->chan != NULL)
            weir__waitq_join(weir__op_queue(c->chan, &op), node);
    }
}

static void weir__select_leave(weir__select *s)
{
    for (size_t i = 0; i < s->n; i++) {
        weir_case *c = &s->cases[i];
        weir__waiter *node = &s->slots[i].node;
        const weir__op op = weir__case_op(c);
        if (c->what == WEIR__CASE_DONE && c->ctx != NULL) {
            weir__ctx_unwatch(c->ctx, node);
        } else if (weir__case_meets(c)) {
            weir__lock_take(weir__meet_lock(c->chan));
            weir__meet_unlink(c->chan, c->what == WEIR__CASE_SEND, node);
            weir__lock_release(weir__meet_lock(c->chan));
        } else if (c->chan != NULL) {
            weir__waitq_leave(weir__op_queue(c->chan, &op), node);
        }
    }
}

/* The last look, after (A): whether a buffer, a timer or a context is ready, or a peer waits in the lane of a rendezvous (where (A) is (E),
 * chan/lane.h; those that come to its queues find us by themselves). *until: when the first timer or context will be. */
static bool weir__select_ready(weir__select *s, weir_ns *until)
{
    *until = WEIR_FOREVER;
    for (size_t i = 0; i < s->n; i++) {
        const weir_case *c = &s->cases[i];
        const weir__op op = weir__case_op(c);
        weir_ns point = WEIR_FOREVER;
        if (c->what == WEIR__CASE_DONE) {
            if (weir_ctx_err(c->ctx) != 0)
                return true;
            point = weir_ctx_deadline(c->ctx);
        } else if (weir__case_meets(c)) {
            if (weir__lane_there(c->chan, c->what == WEIR__CASE_SEND))
                return true;
        } else if (c->chan != NULL) {
            const int why = weir__op_why(c->chan, &op);
            if (why == 0 || why == EPIPE)
                return true;
            if (c->chan->flavor == WEIR__TIMER)
                point = weir__timer_due(c->chan);
        }
        if (point < *until)
            *until = point;
    }
    return false;
}

/* What a claimed or cancelled parker means: the index of an exchange that is done, or NONE: poll again. */
static int weir__select_woken(weir__select *s, uint32_t ticket)
{
    size_t i;
    if (ticket < WEIR__TICKET_CASE || ticket == WEIR__PARKER_CANCELLED)
        return WEIR__SELECT_NONE;
    i = ticket - WEIR__TICKET_CASE;
    if (weir__case_meets(&s->cases[i])) {
        s->cases[i].status = s->slots[i].node.status;
        return (int)i;
    }
    if (s->cases[i].chan != NULL)
        s->owed = i;
    return WEIR__SELECT_NONE;
}

static int weir__select_park(weir__select *s, weir__wait *w, int strategy)
{
    weir__atomic_u32 *wake;
    weir_ns until;
    uint32_t ticket;
    int done;
    s->parker.state = WEIR__PARKER_WAITING;
    WEIR_HOOK("looking again");
    weir__select_lock(s);
    done = weir__select_meet(s, &wake);
    if (done == WEIR__SELECT_NONE) {
        WEIR_HOOK("lying down");
        weir__select_join(s);
    }
    weir__select_unlock(s);
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
    if (done != WEIR__SELECT_NONE)
        return done;
    WEIR_FENCE_HEAVY(); /* (A) pairs with (B) in weir__chan_sent and weir__chan_received */
    s->hasty = weir__select_ready(s, &until);
    if (!s->hasty) {
        s->owed = s->n; /* chan/wait.h: whoever makes a channel ready from here on sees us */
        WEIR_HOOK("parking");
        ticket = weir__wait_parked(w, &s->parker, strategy, until);
    } else if (weir__parker_cancel(&s->parker)) {
        ticket = WEIR__PARKER_CANCELLED;
    } else {
        weir__wait claimed;
        weir__wait_init(&claimed, NULL, WEIR_FOREVER, WEIR_WAIT_YIELD);
        ticket = weir__wait_parked(&claimed, &s->parker, WEIR_WAIT_YIELD, WEIR_FOREVER); /* until its peer has let go */
    }
    weir__select_leave(s);
    w->backoff.turn = 0;
    return weir__select_woken(s, ticket);
}

/* ---- the loop -------------------------------------------------------------------------------------------------------------- */

/* How to wait: the strategy of the first channel. *polls: whether to try the cases in turn before lying down. With a rendezvous
 * among the cases one lies down at once and spins there: two selects that only poll would never meet. */
static int weir__select_strategy(const weir__select *s, bool *polls)
{
    int strategy = -1;
    *polls = true;
    for (size_t i = 0; i < s->n; i++) {
        const weir__chan *c = s->cases[i].chan;
        if (c == NULL)
            continue;
        if (strategy < 0)
            strategy = c->wait;
        if (c->flavor == WEIR__RENDEZVOUS)
            *polls = false;
    }
    return strategy < 0 ? WEIR_WAIT_PARK : strategy;
}

static int weir__select_wait(weir__select *s, weir_ctx *ctx, weir_ns deadline)
{
    bool polls;
    const int strategy = weir__select_strategy(s, &polls);
    weir__backoff peer = {WEIR_WAIT_YIELD, 0};
    weir__wait w;
    int done;
    weir__wait_init(&w, ctx, deadline, polls ? strategy : WEIR_WAIT_PARK);
    weir__wait_label(&w, "select", s->n > 0 && s->cases[0].chan != NULL ? s->cases[0].chan->name : NULL);
    for (;;) {
        int over;
        done = weir__select_poll(s);
        if (done >= 0)
            return done;
        over = weir__wait_over(&w);
        if (over != 0)
            return -over;
        if (s->hasty)
            weir__backoff_peer(&peer); /* which may have lost its core to us */
        else if (weir__backoff_turn(&w.backoff))
            continue;
        done = weir__select_park(s, &w, polls ? WEIR_WAIT_PARK : strategy);
        if (done >= 0)
            return done;
    }
}

/* One attempt at "no case is ready, at one moment": an index, NONE if that was shown, BUSY if it was not. */
static int weir__select_try_once(weir__select *s)
{
    weir__atomic_u32 *wake;
    bool still = true;
    weir_ns now;
    int done;
    for (size_t i = 0; i < s->n; i++)
        s->slots[i].seen = weir__case_seen(&s->cases[i]);
    done = weir__select_poll(s);
    if (done != WEIR__SELECT_NONE || s->n < 2)
        return done;
    WEIR_HOOK("looking again");
    weir__select_lock(s);
    done = weir__select_meet(s, &wake);
    now = s->timed ? weir_now() : 0; /* the moment: no case is ready now */
    for (size_t i = 0; s->timed && done == WEIR__SELECT_NONE && still && i < s->n; i++)
        still = !weir__case_due(&s->cases[i], now);
    for (size_t i = 0; done == WEIR__SELECT_NONE && still && i < s->n; i++)
        still = weir__case_seen(&s->cases[i]) == s->slots[i].seen;
    weir__select_unlock(s);
    if (wake != NULL)
        WEIR_FUTEX_WAKE(wake, 1);
    return done == WEIR__SELECT_NONE && !still ? WEIR__SELECT_BUSY : done;
}

static int weir__select_try(weir__select *s)
{
    weir__backoff b = {WEIR_WAIT_YIELD, 0};
    int done;
    for (size_t i = 0; i < s->n && !s->timed; i++)
        s->timed = weir__case_timed(&s->cases[i]);
    while ((done = weir__select_try_once(s)) == WEIR__SELECT_BUSY)
        weir__backoff_peer(&b);
    return done >= 0 ? done : -EAGAIN;
}

WEIR_API size_t weir__select_bytes(size_t n)
{
    return n <= WEIR__SELECT_INLINE ? 0 : n * (sizeof(weir__select_slot) + sizeof(uint32_t));
}

/* All calls. wait false: try. memory: NULL, or the caller's for more than the usual number of cases. */
static int weir__select_run(weir_ctx *ctx, weir_case *cases, size_t n, weir_ns deadline, bool wait, bool ordered,
                            void *memory)
{
    weir__select_slot fixed[WEIR__SELECT_INLINE];
    uint32_t fixed_order[WEIR__SELECT_INLINE];
    weir__select s;
    int done;
    if (n > INT_MAX / (2 * sizeof *fixed) || (cases == NULL && n > 0))
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (cases[i].chan == NULL)
            continue; /* WEIR_DONE, or a channel that is never ready */
        if (cases[i].what == WEIR__CASE_SEND && cases[i].chan->flavor == WEIR__TIMER)
            return -EINVAL;
        if (weir__chan_inherited(cases[i].chan))
            return -ENOTRECOVERABLE;
    }
    memset(&s, 0, sizeof s);
    s.cases = cases;
    s.n = s.owed = n;
    s.ordered = ordered;
    s.slots = fixed;
    s.order = fixed_order;
    if (n > WEIR__SELECT_INLINE) {
        s.slots =
            (weir__select_slot *)(memory != NULL ? memory : WEIR_ALLOC(sizeof(uint64_t) * 2, weir__select_bytes(n)));
        if (s.slots == NULL)
            return -ENOMEM;
        s.order = (uint32_t *)(void *)(s.slots + n);
    }
    for (size_t i = 0; i < n; i++)
        s.order[i] = (uint32_t)i;
    done = wait ? weir__select_wait(&s, ctx, deadline) : weir__select_try(&s);
    if (s.owed < n) { /* whether that case was done or another: there may be a value for the next sleeper */
        const weir__op op = weir__case_op(&cases[s.owed]);
        weir__op_pass_on(cases[s.owed].chan, &op);
    }
    if (s.slots != fixed && memory == NULL)
        WEIR_FREE(s.slots);
    return done;
}

WEIR_API int weir__select_in(weir_ctx *ctx, weir_case *cases, size_t n, void *memory)
{
    return weir__select_run(ctx, cases, n, WEIR_FOREVER, true, false, memory);
}

WEIR_API int weir_select(weir_ctx *ctx, weir_case *cases, size_t n)
{
    return weir__select_run(ctx, cases, n, WEIR_FOREVER, true, false, NULL);
}

WEIR_API int weir_select_until(weir_ctx *ctx, weir_case *cases, size_t n, weir_ns deadline)
{
    return weir__select_run(ctx, cases, n, deadline, true, false, NULL);
}

WEIR_API int weir_select_ordered(weir_ctx *ctx, weir_case *cases, size_t n)
{
    return weir__select_run(ctx, cases, n, WEIR_FOREVER, true, true, NULL);
}

WEIR_API int weir_try_select(weir_case *cases, size_t n)
{
    return weir__select_run(NULL, cases, n, WEIR_FOREVER, false, false, NULL);
}

#endif /* WEIR_CHAN_SELECT_IMPLEMENTED */
