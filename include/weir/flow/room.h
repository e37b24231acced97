/* weir/flow/room.h: the desks of a stage's workers, and the rooms of a pipeline: who counts what, and who closes a dead-letter channel.
 *
 * Overview
 *   A stage has a room, with a desk (flow/desk.h) for each of its workers, if its pipeline is watched or traced when it is started, or if it has
 *   guards, an error policy or correlation ids of its own; else it has none, and its workers have no desks. A room is one allocation, made when the
 *   stage is started.
 *   Rooms stay until all threads have been joined; those of a watched pipeline stay longer, so that what they have counted can be read:
 *   until weir_pipeline_unwatch.
 *
 * Who may call what at once: all of it any thread, but for weir__rooms_end and weir__rooms_free: one, when no worker runs any more. The list,
 * `aside` and `queue` are guarded by the lock; a room that is in the list does not move, and its `next` changes once, so whoever has found the last
 * one may walk up to it without the lock.
 *
 * All of it is private, but for weir_watch_opt.
 */
#ifndef WEIR_FLOW_ROOM_H
#define WEIR_FLOW_ROOM_H

#include "../chan/make.h"
#include "../park/lock.h"
#include "desk.h"

/* Zero means the default, for each. What is pointed to is kept as a pointer. */
typedef struct weir_watch_opt {
    uint64_t total; /* how many items there will be; not known */
    /* progress is what the stage of this name has finished; what the last stages have (flow/progress.h) */
    const char *stage;
    weir_ns window;    /* the rate is that of so long; 10 s */
    weir_clock *clock; /* of rates and shares; the monotonic one. A test's own */
} weir_watch_opt;

/* What was done when: enough of it for the rate of the window. */
#define WEIR__RATE_SAMPLES 16
typedef struct weir__rate {
    weir_ns at[WEIR__RATE_SAMPLES];
    uint64_t done[WEIR__RATE_SAMPLES];
    unsigned first, count; /* a ring */
} weir__rate;

typedef struct weir__rooms {
    weir__lock lock;
    weir__room *first, *last;
    bool all_started; /* no stage is to come that uses dead letters */
    bool ended;       /* all threads have been joined */
    bool watched;
    weir_ns begun, over; /* when the pipeline began to be watched, and when it had ended; on the watch's clock */
    weir_trace *trace;
    weir_watch_opt watch;
    weir__rate rate;
} weir__rooms;

/* What the stage is, for its room. */
typedef struct weir__room_plan {
    unsigned workers;
    size_t item_size; /* of what can fail: what it takes, or what it makes */
    weir__chan *const *ins;
    const weir__chan *const *outs;
    size_t in_count, out_count;
    void *told; /* what the stage function gets as its arg */
} weir__room_plan;

/* *room: NULL where none is needed. opt: with name set. 0; ENOMEM; EINVAL: options that make no sense. */
WEIR_API int weir__room_new(weir__rooms *rooms, const weir_stage_opt *opt, const weir__room_plan *plan,
                            weir__room **room);
/* A worker will work no more. */
WEIR_API void weir__room_leave(weir__rooms *rooms, weir__room *room);
/* Dead-letter channels may be closed from now on. */
WEIR_API void weir__rooms_all_started(weir__rooms *rooms);
/* All threads have been joined. */
WEIR_API void weir__rooms_end(weir__rooms *rooms);
WEIR_API void weir__rooms_free(weir__rooms *rooms);

#endif /* WEIR_FLOW_ROOM_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_ROOM_IMPLEMENTED)
#define WEIR_FLOW_ROOM_IMPLEMENTED

#include "../core/memory.h"

/* ---- making ----------------------------------------------------------------------------------------------------------------- */

static bool weir__room_needed(const weir__rooms *rooms, const weir_stage_opt *opt)
{
    return rooms->watched || rooms->trace != NULL || opt->on_error != WEIR_ON_ERROR_FAIL || opt->guard_count != 0 ||
           opt->correlate != NULL;
}

static bool weir__room_hedges(const weir_policy_layer *layer)
{
    return layer->call == weir__policy_retry && ((const weir_retry_config *)layer->guard)->hedge > 0;
}

static bool weir__room_sound(const weir_stage_opt *opt, const weir__room_plan *plan)
{
    if (opt->on_error < WEIR_ON_ERROR_FAIL || opt->on_error > WEIR_ON_ERROR_DEAD_LETTER || opt->guard_count < 0)
        return false;
    for (int i = 0; i < opt->guard_count; i++)
        if (weir__room_hedges(&opt->guards[i]))
            return false;
    return opt->on_error != WEIR_ON_ERROR_DEAD_LETTER ||
           (opt->dead.chan != NULL && opt->dead.item_size == plan->item_size &&
            (plan->workers == 1 || weir__many_producers(opt->dead.kind)));
}

static size_t weir__room_round(size_t bytes)
{
    return (bytes + WEIR_CACHE_PAD - 1) / WEIR_CACHE_PAD * WEIR_CACHE_PAD;
}

static weir__room *weir__room_alloc(const weir_stage_opt *opt, const weir__room_plan *plan)
{
    const size_t head =
        weir__room_round(sizeof(weir__room) + (plan->in_count + plan->out_count) * sizeof(weir__chan *));
    const size_t letter = weir__room_round(opt->on_error == WEIR_ON_ERROR_DEAD_LETTER ? opt->dead.size : 0);
    const size_t bytes = head + plan->workers * (sizeof(weir__desk) + letter);
    weir__room *room = (weir__room *)WEIR_ALLOC(WEIR_CACHE_PAD, bytes);
    if (room == NULL)
        return NULL;
    memset(room, 0, bytes);
    room->ins = (const weir__chan **)(void *)(room + 1);
    room->outs = room->ins + plan->in_count;
    room->desks = (weir__desk *)(void *)((unsigned char *)room + head);
    for (unsigned i = 0; i < plan->workers; i++) {
        room->desks[i].room = room;
        room->desks[i].letter = (unsigned char *)(room->desks + plan->workers) + i * letter;
    }
    return room;
}

static void weir__room_fill(weir__room *room, const weir__rooms *rooms, const weir_stage_opt *opt,
                            const weir__room_plan *plan)
{
    room->name = opt->name;
    room->running = room->workers = plan->workers;
    room->on_error = opt->on_error;
    room->guards = opt->guards;
    room->guard_count = opt->guard_count;
    room->correlate = opt->correlate;
    room->dead = opt->dead;
    room->item_size = plan->item_size;
    room->told = plan->told;
    room->trace = rooms->trace;
    room->clock = rooms->watch.clock;
    room->timed = rooms->watched;
    room->makes = plan->in_count == 0;
    room->in_count = plan->in_count;
    room->out_count = plan->out_count;
    for (size_t i = 0; i < plan->in_count; i++)
        room->ins[i] = plan->ins[i];
    for (size_t i = 0; i < plan->out_count; i++)
        room->outs[i] = plan->outs[i];
    room->queue = plan->in_count == 0 ? NULL : plan->ins[0];
}

/* ---- the list --------------------------------------------------------------------------------------------------------------- */

static bool weir__room_uses(const weir__room *room, const weir__chan *dead)
{
    return room->on_error == WEIR_ON_ERROR_DEAD_LETTER && room->dead.chan == dead;
}

/* Whether a room of the list sends to `chan`: one that counts, one that is aside (what is dead is), both, none. */
enum { WEIR__ROOM_COUNTS = 1, WEIR__ROOM_ASIDE = 2 };
static int weir__room_senders(const weir__rooms *rooms, const weir__chan *chan)
{
    int senders = 0;
    for (const weir__room *r = rooms->first; r != NULL; r = r->next) {
        if (weir__room_uses(r, chan))
            senders |= WEIR__ROOM_ASIDE;
        for (size_t i = 0; i < r->out_count; i++)
            if (r->outs[i] == chan)
                senders |= r->aside ? WEIR__ROOM_ASIDE : WEIR__ROOM_COUNTS;
    }
    return senders;
}

/* Whoever takes dead letters, or what such a stage sends, is aside. Until nothing changes: a stage may be started before those that feed it. */
static void weir__rooms_sort(weir__rooms *rooms)
{
    bool changed = true;
    for (weir__room *r = rooms->first; r != NULL; r = r->next)
        r->aside = false;
    while (changed) {
        changed = false;
        for (weir__room *r = rooms->first; r != NULL; r = r->next) {
            int senders = 0;
            for (size_t i = 0; i < r->in_count; i++)
                senders |= weir__room_senders(rooms, r->ins[i]);
            if (senders == WEIR__ROOM_ASIDE && !r->aside)
                changed = r->aside = true;
        }
    }
}

/* Under the lock. */
static bool weir__rooms_use(const weir__rooms *rooms, const weir__chan *dead, bool running)
{
    for (const weir__room *r = rooms->first; r != NULL; r = r->next)
        if (weir__room_uses(r, dead) && (!running || weir__load_acq(&r->running) != 0))
            return true;
    return false;
}

WEIR_API int weir__room_new(weir__rooms *rooms, const weir_stage_opt *opt, const weir__room_plan *plan,
                            weir__room **made)
{
    weir__room *room;
    int rc = 0;
    *made = NULL;
    if (!weir__room_needed(rooms, opt))
        return 0;
    if (!weir__room_sound(opt, plan))
        return EINVAL;
    room = weir__room_alloc(opt, plan);
    if (room == NULL)
        return ENOMEM;
    weir__room_fill(room, rooms, opt, plan);
    weir__lock_take(&rooms->lock);
    if (opt->on_error == WEIR_ON_ERROR_DEAD_LETTER && !weir__many_producers(opt->dead.kind) &&
        weir__rooms_use(rooms, opt->dead.chan, false)) {
        rc = EINVAL;
    } else {
        if (rooms->last == NULL)
            rooms->first = room;
        else
            rooms->last->next = room;
        rooms->last = room;
        weir__rooms_sort(rooms);
    }
    weir__lock_release(&rooms->lock);
    if (rc == 0)
        *made = room;
    else
        WEIR_FREE(room);
    return rc;
}

/* ---- dead-letter channels --------------------------------------------------------------------------------------------------- */

WEIR_API void weir__room_leave(weir__rooms *rooms, weir__room *room)
{
    bool close;
    if (weir__add_ar(&room->running, 0U - 1) != 1 || room->on_error != WEIR_ON_ERROR_DEAD_LETTER)
        return; /* acquire, release: the last one comes after all the others' letters */
    weir__lock_take(&rooms->lock);
    close = rooms->all_started && !weir__rooms_use(rooms, room->dead.chan, true);
    weir__lock_release(&rooms->lock);
    if (close)
        (void)weir__chan_close(room->dead.chan);
}

WEIR_API void weir__rooms_all_started(weir__rooms *rooms)
{
    weir__lock_take(&rooms->lock);
    rooms->all_started = true;
    for (weir__room *r = rooms->first; r != NULL; r = r->next)
        if (r->on_error == WEIR_ON_ERROR_DEAD_LETTER && !weir__rooms_use(rooms, r->dead.chan, true))
            (void)weir__chan_close(r->dead.chan);
    weir__lock_release(&rooms->lock);
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------- */

WEIR_API void weir__rooms_end(weir__rooms *rooms)
{
    weir__lock_take(&rooms->lock);
    for (weir__room *r = rooms->first; r != NULL; r = r->next) {
        if (r->on_error == WEIR_ON_ERROR_DEAD_LETTER) /* also where a worker could not be started, and so never left */
            (void)weir__chan_close(r->dead.chan);
        weir__store_rlx(&r->running, 0);
        r->queue = NULL; /* it may be freed now */
    }
    rooms->ended = true;
    rooms->over = rooms->watched ? weir__clock_now(rooms->watch.clock) : 0;
    weir__lock_release(&rooms->lock);
    if (!rooms->watched)
        weir__rooms_free(rooms);
}

WEIR_API void weir__rooms_free(weir__rooms *rooms)
{
    weir__room *room;
    while ((room = rooms->first) != NULL) {
        rooms->first = room->next;
        WEIR_FREE(room);
    }
    memset(rooms, 0, sizeof *rooms);
}

#endif /* WEIR_FLOW_ROOM_IMPLEMENTED */
