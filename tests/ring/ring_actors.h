/* tests/ring/ring_actors.h: threads that do one thing to a ring and stop on the way, at a WEIR_HOOK. Include first, in
 * place of harness.h. */
#ifndef WEIR_TEST_RING_ACTORS_H
#define WEIR_TEST_RING_ACTORS_H

static void stop_here(const char *point);
#define WEIR_HOOK(point) stop_here(point)
#include "harness.h"

#include "ring_box.h"

enum { CAPACITY = 5 };

/* A thread that does one thing, and stops once on its way. */
struct actor {
    struct ring_box *box;
    const char *stop; /* where; NULL: nowhere */
    uint64_t value;
    int rc;
    int stopped, go_on, done; /* atomic */
};

static _Thread_local struct actor *self;

static inline int flag(const int *p)
{
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline void raise_flag(int *p)
{
    __atomic_store_n(p, 1, __ATOMIC_SEQ_CST);
}

static void stop_here(const char *point)
{
    if (self == NULL || self->stop == NULL || strcmp(self->stop, point) != 0)
        return;
    self->stop = NULL;
    raise_flag(&self->stopped);
    while (!flag(&self->go_on))
        sched_yield();
}

static inline void push_one(void *p)
{
    self = (struct actor *)p;
    self->rc = box_push(self->box, &self->value);
    raise_flag(&self->done);
}

static inline void pop_one(void *p)
{
    self = (struct actor *)p;
    self->rc = box_pop(self->box, &self->value);
    raise_flag(&self->done);
}

static inline struct actor cast(struct ring_box *box, const char *stop, uint64_t value)
{
    struct actor a = {box, stop, value, -2, 0, 0, 0};
    return a;
}

/* Starts an actor and waits until it stands at its point. */
static inline struct test_team *suspend(void (*fn)(void *), struct actor *a)
{
    struct test_team *team = test_start(1, fn, a, 0);
    EVENTUALLY(flag(&a->stopped));
    return team;
}

static inline void resume(struct test_team *team, struct actor *a)
{
    raise_flag(&a->go_on);
    test_join(team);
}

static inline void push_numbers(struct ring_box *b, uint64_t first, uint64_t n)
{
    for (uint64_t v = first; v < first + n; v++)
        CHECK_INT(box_push(b, &v), 0);
}

static inline void pop_numbers(struct ring_box *b, uint64_t first, uint64_t n)
{
    uint64_t v = 0;
    for (uint64_t i = 0; i < n; i++)
        if (CHECK_INT(box_pop(b, &v), 0))
            CHECK_INT(v, first + i);
}

static inline int why_empty(struct ring_box *b)
{
    return weir__ring_why_empty(&b->ring, b->kind, b->size);
}

static inline int why_full(struct ring_box *b)
{
    return weir__ring_why_full(&b->ring, b->kind, b->size);
}

#endif /* WEIR_TEST_RING_ACTORS_H */
