/* What the tests of failing items share: a function that refuses some values, a reader of dead letters, and a stage between a source and a sink.
 *
 *   rig_open, rig_start, rig_stage (what the stage tells at this moment), rig_close      rig.out is drained; rig.dead if start is told so */
#ifndef TEST_LETTERS_H
#define TEST_LETTERS_H

#include "../faults/failing.h"

#include "../guard/hand.h"
#include "flow.h"

typedef weir_dead(int) dead_int;
typedef weir_chan(dead_int) dead_ints;

static const int nine = 9;

/* Fails with arg's code where the value is one of `every`. */
struct picky {
    int every, code;
    int calls; /* atomic */
};

static inline int refuse_some(weir_ctx *ctx, void *arg, const void *in, void *out)
{
    struct picky *p = (struct picky *)arg;
    int v;
    memcpy(&v, in, sizeof v);
    __atomic_add_fetch(&p->calls, 1, __ATOMIC_RELAXED);
    if (v % p->every == 0) {
        const int written = 1 << 30; /* before it fails: must not be sent */
        memcpy(out, &written, sizeof written);
        return p->code;
    }
    return negate(ctx, NULL, in, out);
}

struct letters {
    int count, wrong;
    int64_t sum;
    dead_int last;
};

static inline int note_letter(weir_ctx *ctx, void *arg, const void *value)
{
    struct letters *l = (struct letters *)arg;
    (void)ctx;
    memcpy(&l->last, value, sizeof l->last);
    l->count++;
    l->sum += l->last.item;
    l->wrong += l->last.why.error != 9 || strcmp(l->last.why.stage, "map") != 0 || l->last.why.refused_by != NULL;
    return 0;
}

struct rig {
    weir_pipeline p;
    int_chan in, out;
    dead_ints dead;
    struct source source;
    struct tally tally;
    struct letters letters;
};

static inline void rig_open(struct rig *r, int n, size_t dead_room, weir_ctx *parent)
{
    memset(r, 0, sizeof *r);
    r->source.end = n;
    r->source.fail_at = -1;
    REQUIRE(weir_chan_make(&r->in, 4) == 0 && weir_chan_make(&r->out, 4) == 0);
    REQUIRE(weir_chan_make(&r->dead, dead_room) == 0);
    weir_pipeline_init(&r->p, parent);
    weir_pipeline_watch(&r->p, NULL);
}

static inline void rig_start(struct rig *r, weir_map_fn *fn, void *arg, weir_stage_opt *opt, bool reads_letters)
{
    opt->name = "map";
    if (opt->on_error == WEIR_ON_ERROR_DEAD_LETTER)
        opt->dead = WEIR_DEAD_LETTERS(r->in, r->dead);
    CHECK_INT(weir_map(&r->p, r->in, r->out, fn, arg, opt), 0);
    CHECK_INT(weir_generate(&r->p, r->in, count_up, &r->source, NULL), 0);
    CHECK_INT(weir_sink(&r->p, r->out, tally_up, &r->tally, NULL), 0);
    if (reads_letters)
        CHECK_INT(weir_sink(&r->p, r->dead, note_letter, &r->letters, NULL), 0);
}

/* The map's, at this moment. */
static inline weir_stage_progress rig_stage(struct rig *r)
{
    weir_stage_progress s;
    weir_progress all;
    CHECK_INT(weir_pipeline_progress(&r->p, &all, &s, 1), 0);
    return s;
}

static inline void rig_close(struct rig *r)
{
    const weir_stage_progress s = rig_stage(r);
    CHECK_INT(s.in, s.out + s.failed + s.abandoned); /* each item once */
    weir_pipeline_unwatch(&r->p);
    weir_chan_free(&r->in);
    weir_chan_free(&r->out);
    weir_chan_free(&r->dead);
}

#endif
