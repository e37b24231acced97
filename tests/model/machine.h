/* tests/model/machine.h: the operations that platform.h promises: a point where others may go first, then the effect, then a line of the
 * trace.
 */
#ifndef WEIR_MODEL_MACHINE_H
#define WEIR_MODEL_MACHINE_H

#include "platform.h"
#include "step.h"
#include "trace.h"

#include <errno.h>

enum { ARENA = 1 << 20, BLOCKS_MAX = 64 };

static struct machine { /* all of it is of an execution */
    int fail_alloc;     /* the number of the allocation that fails; -1: none */
    int blocks;
    size_t used;
    struct block {
        unsigned char *begin, *end;
        bool freed;
    } block[BLOCKS_MAX];
    unsigned char arena[ARENA] __attribute__((aligned(128)));
} machine;

static int machine_self(void)
{
    return schedule.running ? schedule.self : MAIN;
}

/* A freed block stays freed until the execution ends, so every later access shows. */
static void machine_check_block(const unsigned char *p)
{
    for (int i = 0; i < machine.blocks; i++)
        if (machine.block[i].freed && p >= machine.block[i].begin && p < machine.block[i].end)
            schedule_fail("use after free");
}

/* What lies beyond the top of another thread's stack was a variable of a function that has returned. */
static void machine_check_stack(int owner, const unsigned char *p)
{
    const thread *x = &schedule.thread[owner];
    if (schedule.running && owner != schedule.self && (owner >= schedule.threads || x->state == ENDED || p < x->top))
        schedule_fail("use after return: of a variable on a stack that is gone");
}

static void machine_check(const void *address)
{
    const unsigned char *p = (const unsigned char *)address;
    const size_t at = (uintptr_t)p - (uintptr_t)machine.arena, on_stacks = (uintptr_t)p - (uintptr_t)schedule.stack[0];
    if (at < ARENA)
        machine_check_block(p);
    else if (on_stacks < sizeof schedule.stack)
        machine_check_stack((int)(on_stacks / FIBER_STACK), p);
}

static int machine_word(const void *p, size_t size)
{
    machine_check(p);
    return memory_word((void *)(uintptr_t)p, size);
}

static void machine_wrote(void)
{
    schedule.writes++;
    schedule.idle = 0;
    if (schedule.running)
        schedule.thread[schedule.self].own++;
}

/* How an operation is done, as one number. */
static uint64_t machine_way(size_t size, int order)
{
    return size << 8 | (unsigned)order;
}

uint64_t model_load(const void *p, size_t size, int order, const char *where)
{
    bool old;
    SCHEDULE_ENTERED(machine_way(size, order));
    schedule_point(p, order == __ATOMIC_SEQ_CST); /* two seq_cst loads do not commute (memory.h) */
    const store *s = memory_load(machine_self(), machine_word(p, size), order, schedule_since(order), &old);
    schedule_note(s->value);
    if (old && schedule.running)
        schedule.thread[schedule.self].read_old = true;
    TRACE(where, "%s: %s is %llx%s", trace_place(p), trace_order(order), (unsigned long long)s->value,
          old ? " (OLD)" : "");
    return s->value;
}

static uint64_t machine_mask(size_t size)
{
    return size == 8 ? ~(uint64_t)0 : ((uint64_t)1 << 8 * size) - 1;
}

void model_store(void *p, size_t size, uint64_t value, int order, const char *where)
{
    bool early;
    SCHEDULE_ENTERED(mix(machine_way(size, order), value));
    schedule_point(p, true);
    value &= machine_mask(size);
    memory_store(machine_self(), machine_word(p, size), size, value, order, &early);
    machine_wrote();
    TRACE(where, "%s: %s = %llx%s", trace_place(p), trace_order(order), (unsigned long long)value,
          early ? " (BEFORE A STORE NOT SEEN)" : "");
}

uint64_t model_update(void *p, size_t size, enum model_update how, uint64_t operand, int order, const char *where)
{
    SCHEDULE_ENTERED(mix(machine_way(size, order) << 8 | how, operand));
    schedule_point(p, true);
    const int at = machine_word(p, size);
    const store *read = memory_update_load(machine_self(), at, order);
    const uint64_t found = read->value;
    schedule_note(read->value);
    const uint64_t value = machine_mask(size) & (how == MODEL_SWAP  ? operand
                                                 : how == MODEL_ADD ? found + operand
                                                 : how == MODEL_OR  ? found | operand
                                                                    : found & operand);
    memory_update_store(machine_self(), at, size, value, order);
    machine_wrote();
    TRACE(where, "%s: %s %llx -> %llx", trace_place(p), trace_order(order), (unsigned long long)found,
          (unsigned long long)value);
    return found;
}

/* One that fails is a relaxed load, and may read an old value, but not one that would have let it succeed. */
int model_cas(void *p, size_t size, void *expected, uint64_t value, int order, const char *where)
{
    uint64_t want = 0;
    bool old = false;
    SCHEDULE_ENTERED(mix(mix(machine_way(size, order), (uintptr_t)expected), value));
    const int n = schedule.running ? shared_word(p) : 0;
    if (schedule.running)
        schedule_step(n, true);
    memcpy(&want, expected, size);
    const int at = machine_word(p, size), self = machine_self();
    const word *w = &memory.word[at];
    const store *s = &memory.stores[at][w->count - 1];
    const bool equal = s->value == want;
    if (schedule.running)
        schedule_stepped(n, equal);
    if (equal)
        (void)memory_update_load(self, at, order);
    else
        s = memory_load(self, at, __ATOMIC_RELAXED, 0, &old);
    if (old && s->value == want) /* a strong compare-and-swap does not fail so: as if it had read the last one */
        s = memory_read(self, at, w->count - 1, __ATOMIC_RELAXED);
    const uint64_t found = s->value;
    schedule_note(found);
    if (equal) {
        memory_update_store(self, at, size, value & machine_mask(size), order);
        machine_wrote();
    } else {
        memcpy(expected, &found, size);
    }
    TRACE(where, "%s: %s cas %llx -> %llx%s", trace_place(p), trace_order(order), (unsigned long long)want,
          (unsigned long long)(equal ? value : found), equal ? "" : " FOUND");
    return equal;
}

/* Other fences than seq_cst concern the one thread alone. */
void model_fence(int order, const char *where)
{
    SCHEDULE_ENTERED(order);
    if (order == __ATOMIC_SEQ_CST)
        schedule_point_everything();
    memory_fence(machine_self(), order);
    TRACE(where, "fence %s", trace_order(order));
}

/* membarrier(2): a fence on each of the other threads, one after the other, between two of the caller's own. */
void model_fence_heavy(const char *where)
{
    const int self = schedule.self;
    model_fence(__ATOMIC_SEQ_CST, where);
    SCHEDULE_ENTERED(0);
    for (int t = 0; schedule.running && t < schedule.threads; t++) {
        if (t == self)
            continue;
        memory_fence(t, __ATOMIC_SEQ_CST);
        if (schedule.threads > 2)
            schedule_point_everything();
    }
    if (schedule.running)
        memory_fence(self, __ATOMIC_SEQ_CST);
    TRACE(where, "heavy fence");
}

/* What the thread has written up to its last write, but not what it has read since. */
void model_fence_store(const char *where)
{
    memory_thread *self = &memory.thread[machine_self()];
    self->released = self->now;
    self->released.clock[machine_self()] = self->wrote;
    TRACE(where, "fence st");
}

/* ---- the kernel ---- */

/* The kernel compares and goes to sleep at one moment, under a lock that a wake takes too. */
int model_futex_wait(uint32_t *p, uint32_t value, int64_t deadline, const char *where)
{
    SCHEDULE_ENTERED(mix(value, (uint64_t)deadline));
    schedule_point(p, false);
    thread *self = &schedule.thread[schedule.self];
    const int at = machine_word(p, sizeof *p);
    memory_fence(machine_self(), __ATOMIC_SEQ_CST);
    const store *s = memory_update_load(machine_self(), at, __ATOMIC_RELAXED);
    schedule_note(s->value);
    if (s->value != value || deadline <= schedule.now) {
        TRACE(where, "%s: does not sleep", trace_place(p));
        return s->value == value ? ETIMEDOUT : 0;
    }
    if (!schedule.running) {
        schedule_fail("setup or finish would sleep for ever");
        return 0;
    }
    TRACE(where, "%s: SLEEPS", trace_place(p));
    self->state = ASLEEP;
    self->sleeps_on = p;
    self->deadline = deadline;
    self->woken = false;
    schedule_next();
    const bool late = !self->woken && schedule.now >= deadline;
    schedule_note((uint64_t)(self->woken ? 2 : late));
    TRACE(where, "%s: AWAKE%s", trace_place(p), self->woken ? "" : late ? ", late" : ", for no reason");
    return late ? ETIMEDOUT : 0;
}

void model_futex_wake(uint32_t *p, int count, const char *where)
{
    SCHEDULE_ENTERED(count);
    schedule_point(p, true);
    memory_fence(machine_self(), __ATOMIC_SEQ_CST);
    TRACE(where, "%s: wakes %d", trace_place(p), count);
    for (int t = 0; schedule.running && t < schedule.threads && count > 0; t++) {
        thread *x = &schedule.thread[t];
        if (x->state != ASLEEP || x->sleeps_on != p)
            continue;
        x->state = READY;
        x->woken = true;
        count--;
    }
}

/* Time stands still but where a thread looks at it, and goes by there by choice, `ticks` times. */
int64_t model_clock(void)
{
    SCHEDULE_ENTERED(0);
    if (schedule.running && schedule.ticks > 0) {
        schedule_point_everything();
        if (schedule.ticks > 0 && choose_rarely(2) == 1) {
            schedule.ticks--;
            schedule.now += 100;
            TRACE("model_clock", "time goes by");
        }
    }
    schedule_note((uint64_t)schedule.now);
    return schedule.now;
}

void model_pause(void)
{
    if (!schedule.running)
        return;
    thread *self = &schedule.thread[schedule.self];
    if (self->paused)
        return;
    SCHEDULE_ENTERED(0);
    schedule_count();
    self->state = QUIET;
    schedule_next();
    schedule_note(UINT64_MAX);
    self->paused = true;
    self->seen = schedule.writes - self->own;
    self->read_old = false;
    memory_refresh(schedule.self);
}

/* For a loop of the scenario's own, which looks at plain memory between two pauses. */
void model_wait(void)
{
    schedule.thread[schedule.self].paused = false;
    model_pause();
}

uint32_t model_random_below(uint32_t below)
{
    const uint32_t drawn = below < sizeof choice_digits ? (uint32_t)choose((int)below) : 0;
    schedule_note(drawn);
    return drawn;
}

/* ---- memory ---- */

void *model_alloc(size_t align, size_t size)
{
    const size_t begin = (machine.used + align - 1) / align * align;
    if (machine.fail_alloc-- == 0)
        return NULL;
    if (machine.blocks == BLOCKS_MAX || begin + size > ARENA) {
        schedule_fail("the model's memory is out");
        return NULL;
    }
    struct block *b = &machine.block[machine.blocks++];
    b->begin = machine.arena + begin;
    b->end = b->begin + size;
    b->freed = false;
    machine.used = begin + size;
    schedule_note(begin);
    return b->begin;
}

/* To free is to write all of it: who frees must know of every plain access, and each word that another thread touches is one that both do, so that the
 * search tries what comes first. */
void model_free(void *p)
{
    SCHEDULE_ENTERED((uintptr_t)p);
    for (int i = 0; i < machine.blocks; i++) {
        struct block *b = &machine.block[i];
        if (b->begin != p)
            continue;
        if (b->freed)
            schedule_fail("freed twice");
        if (schedule.running) {
            shared_touch_all(b->begin, b->end, schedule.self);
            schedule_point_everything();
            model_plain(b->begin, (size_t)(b->end - b->begin), true);
        }
        b->freed = true;
    }
}

/* What the running thread reads as plain memory, or overwrites: clang does not say that a variable is read if a write to it follows. */
static void machine_note_bytes(const void *p, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t value = 0;
        memcpy(&value, (const unsigned char *)p + at, size - at < sizeof value ? size - at : sizeof value);
        schedule_note(value);
    }
}

void model_plain(const void *p, size_t size, int writes)
{
    SCHEDULE_WIPES();
    if (!schedule.running)
        return;
    machine_check(p);
    if (schedule_concerns(p)) {
        plain_access(schedule.self, p, size, writes != 0,
                     writes ? memory.thread[schedule.self].now.clock[schedule.self] : plain_now(schedule.self));
        if (!model_stacks_tell)
            machine_note_bytes(p, size);
    }
    if (writes)
        memory_plain_store(p);
    if (memory.wrong != NULL)
        schedule_fail(memory.wrong);
}

void model_goes_by(uint64_t value)
{
    if (!schedule.running)
        return;
    schedule_note(value);
    schedule_does(OUTSIDE, true);
}

int16_t model_plain_now(void)
{
    return schedule.running ? plain_now(schedule.self) : 0;
}

void model_plain_read_at(const void *p, size_t size, int16_t when)
{
    if (schedule.running)
        plain_access(schedule.self, p, size, false, when);
}

void model_copy(void *to, const void *from, size_t size)
{
    model_plain(from, size, 0);
    model_plain(to, size, 1);
    memcpy(to, from, size);
}

/* ---- threads ---- */

int model_thread_start(int *id, void *(*fn)(void *), void *arg)
{
    const int t = schedule.threads;
    if (!schedule.running || t == MAIN)
        return EAGAIN;
    SCHEDULE_ENTERED(mix(mix((uintptr_t)fn, (uintptr_t)arg), (uintptr_t)id));
    schedule_point_everything();
    schedule.threads++;
    schedule.thread[t].body = NULL;
    schedule.thread[t].fn = fn;
    schedule.thread[t].arg = arg;
    schedule_prepare(t, schedule.self);
    schedule.thread[t].history = mix(schedule.thread[schedule.self].history, (uint64_t)t);
    schedule_note((uint64_t)t);
    *id = t;
    return 0;
}

void model_thread_join(int id)
{
    SCHEDULE_ENTERED(id);
    schedule_point_everything();
    if (schedule.thread[id].state != ENDED) {
        schedule.thread[schedule.self].state = JOINING;
        schedule.thread[schedule.self].joins = id;
        schedule_next();
    }
    view_join(&memory.thread[schedule.self].now, &memory.thread[id].now);
}

#endif /* WEIR_MODEL_MACHINE_H */
