/* weir/flow/progress.h: how far a pipeline is, how fast, and which of its stages holds up the others.
 *
 *     weir_watch_opt watch = {.total = lines};
 *     weir_pipeline_init(&p, NULL);
 *     weir_pipeline_watch(&p, &watch);                   before the stages are started
 *     …
 *     weir_progress now;
 *     weir_stage_progress stages[8];
 *     weir_pipeline_progress(&p, &now, stages, 8);       any thread, at any time, also after weir_pipeline_wait
 *     …
 *     weir_pipeline_wait(&p);
 *     weir_pipeline_unwatch(&p);                         frees what has been counted
 *
 * Meaning
 *   Stages are those of flow/stages.h, in the order in which they were started; a task of weir_pipeline_go is the program's own, and is not listed.
 *       in         taken from the input; for a generator: made, or failed to be made
 *       out        sent; for a stage without an output: finished
 *       failed     given up for good: skipped, dead letters, and those that ended the pipeline
 *       dropped    a filter did not want it
 *       abandoned  in hand, and neither sent nor failed, when the pipeline ended or nobody wanted more
 *   in = out + dropped + failed + abandoned + what is in hand, in a stage that makes one item of each. No snapshot has more on the right than on
 *   the left. The shares are those of the time that the stage's workers have lived: waiting for input, waiting for room at the output (or in a
 *   dead-letter channel), and the rest, working. The slowest stage works all the time; those before it wait at their outputs, those behind at their
 *   inputs. Times are read while they run: of two snapshots the later one may have a little less.
 *   Of the whole: what comes in at stages that no other feeds, and goes out at those that feed no other. Stages that take dead letters, and what
 *   they feed, stand aside: their items have been counted as failed.
 *   done, for total and ETA, is out + dropped + failed + abandoned, of the whole or of the stage that the watch names. Name one where the others do
 *   not count alike: stages that multiply, copy or batch.
 *   The rate is that of the window that ends now (10 s); if nobody has asked within it, since somebody did, or since the beginning. After the end:
 *   that of all.
 *
 * Cost: where nothing is watched, none. Else a plain store or two for each item, and two readings of the clock each time that a worker has to wait.
 */
#ifndef WEIR_FLOW_PROGRESS_H
#define WEIR_FLOW_PROGRESS_H

#include "pipeline.h"

typedef struct weir_stage_progress {
    const char *name;
    unsigned workers, running;             /* threads: all, and those that have not returned */
    uint64_t in, out, dropped;             /* items */
    uint64_t failed, skipped, dead;        /* skipped and dead are parts of failed */
    uint64_t abandoned;                    /* items */
    double blocked_in, blocked_out, works; /* shares, 0 to 1; all 0 before the first worker has begun */
    weir_ns lived, waited_in, waited_out;  /* of all workers together */
    size_t queue;                          /* values that wait in its (first) input; 0 after the end */
} weir_stage_progress;

typedef struct weir_progress {
    uint64_t in, out, dropped, failed, skipped, dead, abandoned;
    uint64_t done, total; /* total: as told; 0: not known */
    double rate;          /* of done, a second */
    weir_ns eta;          /* until done is total at this rate; WEIR_FOREVER: not known */
    weir_ns elapsed;      /* since weir_pipeline_watch; in all, after the end */
    size_t stages;        /* how many there are */
    bool ended;           /* every thread has been joined */
} weir_progress;

/* From now on stages count. Once, before the stages are started; opt may be NULL, and is copied. After it weir_pipeline_unwatch is owed. */
WEIR_API void weir_pipeline_watch(weir_pipeline *p, const weir_watch_opt *opt);
/* Frees what was counted. After weir_pipeline_wait, when nobody reads any more. */
WEIR_API void weir_pipeline_unwatch(weir_pipeline *p);
/* Where it stands: of the whole, and of the first `capacity` stages; stages may be NULL if that is 0. 0; EINVAL: it is not watched. Any thread.
 * Takes a lock that no worker takes for its items. */
WEIR_API int weir_pipeline_progress(weir_pipeline *p, weir_progress *progress, weir_stage_progress *stages,
                                    size_t capacity);

/* One room as it is now. */
WEIR_API void weir__room_read(weir__room *room, weir_clock *clock, weir_stage_progress *s);

#endif /* WEIR_FLOW_PROGRESS_H */

#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FLOW_PROGRESS_IMPLEMENTED)
#define WEIR_FLOW_PROGRESS_IMPLEMENTED

WEIR_API void weir_pipeline_watch(weir_pipeline *p, const weir_watch_opt *opt)
{
    weir__rooms *rooms = &p->rooms;
    if (opt != NULL)
        rooms->watch = *opt;
    if (rooms->watch.window <= 0)
        rooms->watch.window = WEIR_SEC(10);
    rooms->watched = true;
    rooms->begun = weir__clock_now(rooms->watch.clock);
    rooms->rate.at[0] = rooms->begun; /* nothing was done then */
    rooms->rate.count = 1;
}

WEIR_API void weir_pipeline_unwatch(weir_pipeline *p)
{
    weir__rooms_free(&p->rooms);
}

/* ---- one stage -------------------------------------------------------------------------------------------------------------- */

static uint64_t weir__desk_outcomes(const weir__desk *d, weir_stage_progress *s)
{
    /* Acquire: `in` counts, for us, what these count. Pairs with weir__desk_count. */
    const uint64_t out = weir__load_acq(&d->out), dropped = weir__load_acq(&d->dropped),
                   skipped = weir__load_acq(&d->skipped), dead = weir__load_acq(&d->dead),
                   fatal = weir__load_acq(&d->fatal), abandoned = weir__load_acq(&d->abandoned);
    s->out += out;
    s->dropped += dropped;
    s->skipped += skipped;
    s->dead += dead;
    s->failed += skipped + dead + fatal;
    s->abandoned += abandoned;
    return weir__load_rlx(&d->in);
}

WEIR_API void weir__room_read(weir__room *room, weir_clock *clock, weir_stage_progress *s)
{
    weir_ns waited, whole;
    memset(s, 0, sizeof *s);
    s->name = room->name;
    s->workers = room->workers;
    s->running = weir__load_rlx(&room->running);
    for (unsigned i = 0; i < room->workers; i++) {
        const weir__desk *d = &room->desks[i];
        const weir_ns now = weir__clock_now(clock);
        s->in += weir__desk_outcomes(d, s);
        s->waited_in += weir__stopwatch_read(&d->blocked_in, now);
        s->waited_out += weir__stopwatch_read(&d->blocked_out, now);
        s->lived += weir__stopwatch_read(&d->life, now);
    }
    waited = s->waited_in + s->waited_out;
    whole = s->lived > waited ? s->lived : waited; /* less: the clock has gone on between the readings */
    if (whole > 0) {
        s->blocked_in = (double)s->waited_in / (double)whole;
        s->blocked_out = (double)s->waited_out / (double)whole;
        s->works = (double)(whole - waited) / (double)whole;
    }
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------- */

/* Whether another stage takes what this one sends. */
static bool weir__room_feeds(const weir__rooms *rooms, const weir__room *room)
{
    for (size_t i = 0; i < room->out_count; i++)
        for (const weir__room *r = rooms->first; r != NULL; r = r->next)
            for (size_t k = 0; k < r->in_count; k++)
                if (r->ins[k] == room->outs[i])
                    return true;
    return false;
}

static bool weir__room_is_fed(const weir__rooms *rooms, const weir__room *room)
{
    for (size_t i = 0; i < room->in_count; i++)
        if (weir__room_senders(rooms, room->ins[i]) != 0)
            return true;
    return false;
}

static void weir__progress_add(const weir__rooms *rooms, const weir__room *room, const weir_stage_progress *s,
                               weir_progress *total)
{
    const char *named = rooms->watch.stage;
    if (named != NULL && strcmp(named, room->name) == 0)
        total->done += s->out + s->dropped + s->failed + s->abandoned;
    if (room->aside)
        return;
    if (!weir__room_is_fed(rooms, room))
        total->in += s->in;
    if (!weir__room_feeds(rooms, room))
        total->out += s->out;
    total->dropped += s->dropped;
    total->failed += s->failed;
    total->skipped += s->skipped;
    total->dead += s->dead;
    total->abandoned += s->abandoned;
}

/* ---- the rate --------------------------------------------------------------------------------------------------------------- */

/* Notes that so many are done now, and forgets what the window has left behind, but for the last of it. Under the lock. */
static void weir__rate_note(weir__rate *rate, weir_ns now, uint64_t done, weir_ns window)
{
    const unsigned last = (rate->first + rate->count - 1) % WEIR__RATE_SAMPLES;
    while (rate->count > 1 && rate->at[(rate->first + 1) % WEIR__RATE_SAMPLES] <= now - window) {
        rate->first = (rate->first + 1) % WEIR__RATE_SAMPLES;
        rate->count--;
    }
    /* So far apart that all of a window fit, with one from before it. */
    if (now - rate->at[last] >= window / (WEIR__RATE_SAMPLES - 2) && rate->count < WEIR__RATE_SAMPLES) {
        rate->at[(last + 1) % WEIR__RATE_SAMPLES] = now;
        rate->done[(last + 1) % WEIR__RATE_SAMPLES] = done;
        rate->count++;
    }
}

static double weir__rate_of(weir_ns time, uint64_t done)
{
    return time > 0 ? (double)done * 1e9 / (double)time : 0;
}

static void weir__progress_rate(weir__rooms *rooms, weir_ns now, weir_progress *progress)
{
    weir__rate *rate = &rooms->rate;
    double left = 0;
    weir__rate_note(rate, now, progress->done, rooms->watch.window);
    progress->elapsed = (rooms->ended ? rooms->over : now) - rooms->begun;
    progress->rate = rooms->ended
                         ? weir__rate_of(progress->elapsed, progress->done)
                         : weir__rate_of(now - rate->at[rate->first], progress->done - rate->done[rate->first]);
    if (progress->done < progress->total)
        left = progress->rate > 0 ? (double)(progress->total - progress->done) * 1e9 / progress->rate : 1e19;
    progress->eta = rooms->ended ? 0 : progress->total == 0 || left > 1e18 ? WEIR_FOREVER : (weir_ns)left;
}

WEIR_API int weir_pipeline_progress(weir_pipeline *p, weir_progress *progress, weir_stage_progress *stages,
                                    size_t capacity)
{
    weir__rooms *rooms = &p->rooms;
    if (!rooms->watched)
        return EINVAL;
    memset(progress, 0, sizeof *progress);
    weir__lock_take(&rooms->lock);
    for (weir__room *r = rooms->first; r != NULL; r = r->next) {
        weir_stage_progress s;
        weir__room_read(r, rooms->watch.clock, &s);
        s.queue = r->queue == NULL ? 0 : weir__chan_len(r->queue);
        weir__progress_add(rooms, r, &s, progress);
        if (progress->stages < capacity)
            stages[progress->stages] = s;
        progress->stages++;
    }
    if (rooms->watch.stage == NULL)
        progress->done = progress->out + progress->dropped + progress->failed + progress->abandoned;
    progress->total = rooms->watch.total;
    progress->ended = rooms->ended;
    weir__progress_rate(rooms, weir__clock_now(rooms->watch.clock), progress);
    weir__lock_release(&rooms->lock);
    return 0;
}

#endif /* WEIR_FLOW_PROGRESS_IMPLEMENTED */
