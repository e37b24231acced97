/* tests/model/state.h: where an execution stands, as one number: the same only for executions that can go on in the same ways.
 *
 * Overview
 *   Two executions stand at the same place when each thread is at the same point of its program, memory holds the same, and each thread may
 *   read, and knows, the same. Which of the many ways led there is no part of it. So a search that has been there need not go on
 *   (visited.h): a thread that has lost a race and tried again stands where the one stands that has come late.
 *
 *   A thread is where its stack says, beyond which it knows nothing when it calls the model (platform.h); and within a call, what that was given and
 *   has read since (thread.history). So what it has read and does not need any more, such as by how much it has lost a race, is no part of it: that
 *   nearly halved all searches together, and the longest became four times as short. What earlier calls have left on the stack is wiped away
 *   (schedule.h). A state may come again in one execution: the search goes on there, so that an endless loop is one.
 *   Memory is the program's variables, what it has allocated, and those pieces of stacks that others than their owner touch.
 *
 * What a thread may read
 *   Of each word, the stores from the oldest that any thread may still read, with what they carry (memory.h); the places of views are counted from that
 *   one. When nothing old may be read any more (memory.stale), the last store is all there is, and views have no places.
 *
 * Less to come
 *   A search from some state has been through all that can come of the same state with fewer old values to come. So a state has a name for each number of
 *   them (state_names): where none may be read any more, what was old is no part of it; and where one has been read, the order of calls asks less than
 *   where none has (moment.h).
 *
 * What a thread knows
 *   Data races and the order of calls ask whether a thread knows of a certain time of another. Times count up without end; what matters is which of
 *   those that somebody may ask for (the last accesses to plain memory, the ends of calls) lie before what a view knows: their rank. What
 *   every live thread knows will never be asked for, and is left out.
 *
 * What is not a part
 *   Threads that have ended, and stacks beyond their tops. Who ran last, where the running thread cannot go on anyway.
 *
 * With another compiler than gcc, or for another processor, registers may hold what a thread knows. There it is where what it has read has brought it: a
 * hash of all values that it has read from atomic words, from plain memory that others may write, from the clock, and of its steps. What a program that is
 * not compiled with -fsanitize=thread reads from plain memory is unknown; all stacks are hashed then, with what is left there by others. Either way fewer
 * executions meet.
 */
#ifndef WEIR_MODEL_STATE_H
#define WEIR_MODEL_STATE_H

#include "machine.h"
#include "moment.h"
#include "program.h"

enum { TIMES_MAX = 1024 };

static struct state {
    const unsigned char *top[THREADS_MAX]; /* of their stacks */
    int live, alive[THREADS_MAX];          /* threads that still run, or are to be joined */
    /* Places. */
    unsigned char low[WORDS_MAX]; /* the oldest that anybody may read */
    int open, opened[WORDS_MAX];  /* words of which that is not the last one */
    uint64_t key[WORDS_MAX];
    /* Times of each thread, counted from the last one that all know. */
    int16_t known[THREADS_MAX];
    int high[THREADS_MAX];                 /* above all that matter */
    uint16_t rank[THREADS_MAX][TIMES_MAX]; /* how many matter up to this one */
    int cells;
    const plain_cell *cell[PLAIN_MAX]; /* those of which somebody does not know */
} state;

/* ---- threads and their stacks ---- */

/* Whose stack an address lies on; THREADS_MAX: nobody's. */
static int state_owner(const void *address)
{
    const size_t at = (uintptr_t)address - (uintptr_t)schedule.stack[0];
    return at < sizeof schedule.stack ? (int)(at / FIBER_STACK) : THREADS_MAX;
}

/* Whether an address lies where a stack is not in use. */
static bool state_dead(int owner, const void *address)
{
    return owner < THREADS_MAX && (const unsigned char *)address < state.top[owner];
}

static void state_find_threads(void)
{
    state.live = 0;
    for (int t = 0; t < THREADS_MAX; t++) {
        const bool ended = t >= schedule.threads || schedule.thread[t].state == ENDED;
        if (!ended || (t < schedule.threads && schedule.thread[t].body == NULL))
            state.alive[state.live++] = t;
        state.top[t] = ended ? schedule.stack[t] + FIBER_STACK : schedule.thread[t].top;
    }
}

/* ---- places ---- */

static void state_find_places(void)
{
    const bool last = memory.stale == 0 || state.live == 0;
    state.open = 0;
    memset(state.low, 0xff, sizeof state.low);
    for (int n = 0; n < state.live && !last; n++) {
        const unsigned char *oldest = memory.thread[state.alive[n]].now.oldest;
        for (int i = 0; i < WORDS_MAX; i++)
            state.low[i] = state.low[i] < oldest[i] ? state.low[i] : oldest[i];
    }
    for (int i = 0; i < memory.words; i++) {
        const word *w = &memory.word[i];
        if (last)
            state.low[i] = (unsigned char)(w->count - 1);
        if (state.low[i] < w->first)
            state.low[i] = (unsigned char)w->first;
        if (w->restarts || state.low[i] >= w->count - 1 || state_dead(state_owner(w->address), w->address))
            continue;
        state.key[i] = mix((uintptr_t)w->address, 3) | 1;
        state.opened[state.open++] = i;
    }
}

/* ---- times ---- */

static void state_mark(int u, int at)
{
    const int n = at - state.known[u];
    if (n <= 0)
        return;
    if (n >= TIMES_MAX) {
        memory.wrong = "more times than the model has room for";
        return;
    }
    while (state.high[u] <= n)
        state.rank[u][state.high[u]++] = 0;
    state.rank[u][n] = 1;
}

static int state_rank(int u, int at)
{
    const int n = at - state.known[u], last = state.high[u] - 1;
    return n <= 0 || last < 0 ? 0 : state.rank[u][n < last ? n : last];
}

static void state_find_known(void)
{
    for (int u = 0; u < THREADS_MAX; u++) {
        state.known[u] = INT16_MAX;
        state.high[u] = 0;
        for (int n = 0; n < state.live; n++) {
            const int16_t at = memory.thread[state.alive[n]].now.clock[u];
            if (state.alive[n] != u && at < state.known[u])
                state.known[u] = at;
        }
    }
}

/* Whether there is an access to a piece that somebody does not know of. One comparison of vectors. */
static bool state_matters(const plain_cell *c)
{
    int16_t matters = 0;
    for (int u = 0; u < THREADS_MAX; u++)
        matters = (int16_t)(matters | (c->read[u] > state.known[u] ? -1 : 0));
    return matters != 0 || c->write > state.known[c->writer];
}

static void state_find_times(void)
{
    state_find_known();
    state.cells = 0;
    for (int i = 0; i < plain.used; i++)
        if (state_matters(&plain.cell[i]))
            state.cell[state.cells++] = &plain.cell[i];
    for (int i = 0; i < state.cells; i++) {
        state_mark(state.cell[i]->writer, state.cell[i]->write);
        for (int u = 0; u < schedule.threads; u++)
            state_mark(u, state.cell[i]->read[u]);
    }
    for (int i = 0; i < moments.used && schedule.first_stale > 0; i++)
        if (moments.moment[i].ends)
            state_mark(moments.moment[i].thread, moments.moment[i].clock[moments.moment[i].thread] + 1);
    for (int u = 0; u < schedule.threads; u++)
        for (int n = 1; n < state.high[u]; n++)
            state.rank[u][n] = (uint16_t)(state.rank[u][n] + state.rank[u][n - 1]);
}

/* ---- hashes of what there is ---- */

static uint64_t state_places(const view *v)
{
    uint64_t places = 0;
    for (int n = 0; n < state.open; n++) {
        const int i = state.opened[n];
        places += (uint64_t)(v->oldest[i] > state.low[i] ? v->oldest[i] - state.low[i] : 0) * state.key[i];
    }
    return places;
}

static uint64_t state_times(const view *v)
{
    uint64_t times = 0;
    for (int u = 0; u < schedule.threads; u++)
        times = (times << 9 | times >> 55) + (uint64_t)state_rank(u, v->clock[u]);
    return mix(0, times);
}

/* What a word on a stack held before the first atomic store to it its owner knows, or nobody. */
static uint64_t state_store(const word *w, const store *stores, int place)
{
    const bool unknown = place == w->first && state_owner(w->address) < THREADS_MAX;
    return mix(stores[place].updates, unknown ? 0 : stores[place].value) + state_times(&stores[place].carries);
}

static uint64_t state_words(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < memory.words; i++) {
        const word *w = &memory.word[i];
        if (!state_dead(state_owner(w->address), w->address))
            sum += mix(w->restarts ? 1 : state_store(w, memory.stores[i], w->count - 1), (uintptr_t)w->address);
    }
    return sum;
}

/* What matters only as long as something old may be read. */
static uint64_t state_old(void)
{
    uint64_t h = state_places(&memory.shared), sum = 0;
    for (int t = 0; t < schedule.threads; t++) {
        const memory_thread *m = &memory.thread[t];
        if (schedule.thread[t].state != ENDED)
            h = mix(mix(h, state_places(&m->now)), mix(state_places(&m->acquirable), state_places(&m->released)));
        else if (schedule.thread[t].body == NULL)
            h = mix(h, state_places(&m->now));
    }
    for (int i = 0; i < memory.words; i++) {
        const word *w = &memory.word[i];
        const int last = w->count - 1;
        uint64_t stores = 0;
        if (w->restarts || state_dead(state_owner(w->address), w->address))
            continue;
        for (int p = state.low[i]; p < last; p++)
            stores = mix(stores, state_store(w, memory.stores[i], p)) + state_places(&memory.stores[i][p].carries);
        sum += mix(mix(stores, state_places(&memory.stores[i][last].carries)), (uintptr_t)w->address);
    }
    return mix(h, sum);
}

static uint64_t state_races(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < state.cells; i++) {
        const plain_cell *c = state.cell[i];
        const int write = state_rank(c->writer, c->write);
        uint64_t h = 0;
        for (int u = 0; u < schedule.threads; u++)
            h = (h << 9 | h >> 55) + (uint64_t)state_rank(u, c->read[u]);
        sum += mix(mix(h, write == 0 ? 0 : (uint64_t)write * THREADS_MAX + c->writer), plain.table[c->at].key);
    }
    return sum;
}

/* by_tick: nothing old has been read. */
static uint64_t state_moments(bool by_tick)
{
    uint64_t h = moments.ended;
    if (by_tick)
        h = mix(h, moments.before_by_tick);
    if (schedule.first_stale == 0)
        return h;
    for (int i = 0; i < moments.used; i++) {
        const struct moment *m = &moments.moment[i];
        if (m->ends)
            h += mix((uint64_t)state_rank(m->thread, m->clock[m->thread] + 1), moment_name(m->thread, m->number));
    }
    return mix(h, moments.before_by_clock);
}

enum { LANES = 8 }; /* so that multiplications need not wait for each other */

typedef struct lanes {
    uint64_t of[LANES];
} lanes;

static void lanes_block(lanes *h, const uint64_t *x)
{
    for (int l = 0; l < LANES; l++) {
        const uint64_t y = h->of[l] ^ x[l];
        h->of[l] = (y << 29 | y >> 35) * 0x9e3779b97f4a7c15U;
    }
}

static void lanes_bytes(lanes *h, const unsigned char *p, size_t size)
{
    uint64_t x[LANES];
    size_t at = 0;
    for (; at + sizeof x <= size; at += sizeof x) {
        memcpy(x, p + at, sizeof x);
        lanes_block(h, x);
    }
    if (at == size)
        return;
    memset(x, 0, sizeof x);
    memcpy(x, p + at, size - at);
    lanes_block(h, x);
}

static uint64_t lanes_end(const lanes *h)
{
    uint64_t sum = 0;
    for (int l = 0; l < LANES; l++)
        sum = mix(sum, h->of[l]);
    return sum;
}

static uint64_t state_pieces(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < shared.pieces; i++) {
        const int owner = shared.piece[i].owner;
        const unsigned char *p = schedule.stack[owner] + sizeof(uint32_t) * (size_t)shared.piece[i].at;
        uint32_t value;
        if (state_dead(owner, p))
            continue;
        memcpy(&value, p, sizeof value);
        sum += mix((uintptr_t)p, value);
    }
    return sum;
}

/* All that is in use of the stacks, the checker's own functions too, with the registers that the running thread has saved there: here, below this
 * function's frame, at the latest. */
__attribute__((noinline)) static void state_stacks(lanes *h)
{
    enum { SAVED = 256 };
    __builtin_unwind_init();
    for (int n = 0; n < state.live; n++) {
        const int t = state.alive[n];
        const unsigned char *top = t == schedule.self ? (const unsigned char *)__builtin_frame_address(0) - SAVED
                                                      : fiber_top(&schedule.thread[t].fiber);
        lanes_bytes(h, top, (size_t)(schedule.stack[t] + FIBER_STACK - top));
    }
}

static uint64_t state_memory(void)
{
    lanes h = {{machine.used, 1, 2, 3, 4, 5, 6, 7}};
    for (int i = 0; i < program.pieces; i++)
        lanes_bytes(&h, program.piece[i].begin, program.piece[i].size);
    for (int i = 0; i < machine.blocks; i++) {
        const struct block *b = &machine.block[i];
        h.of[0] += b->freed;
        h.of[1] = mix(h.of[1], (uintptr_t)b->end);
        if (!b->freed)
            lanes_bytes(&h, b->begin, (size_t)(b->end - b->begin));
    }
    if (!plain.all_reads && !model_stacks_tell)
        state_stacks(&h);
    return lanes_end(&h) + state_pieces();
}

/* What the program has on a thread's stack; and how many calls there were, which names the next one (moment.h). */
static uint64_t state_stack(int t)
{
    const unsigned char *top = schedule.thread[t].top;
    lanes h = {{moments.count[t], 1, 2, 3, 4, 5, 6, 7}};
    lanes_bytes(&h, top, (size_t)(schedule.stack[t] + FIBER_STACK - top));
    return lanes_end(&h);
}

static uint64_t state_thread(int t)
{
    const thread *x = &schedule.thread[t];
    const memory_thread *m = &memory.thread[t];
    if (x->state == ENDED)
        return x->body == NULL ? mix(ENDED, state_times(&m->now)) : ENDED;
    uint64_t bits = (uint64_t)x->state;
    bits = bits << 1 | schedule_can_run(t);
    bits = bits << 1 | (x->seen != schedule.writes - x->own);
    bits = bits << 1 | x->read_old;
    bits = bits << 1 | x->paused;
    bits = bits << 1 | x->fresh;
    bits = bits << 1 | x->woken;
    bits = bits << 1 | (m->wrote == m->now.clock[t]);
    uint64_t h = mix(x->history, bits << 16 | (uint64_t)state_rank(t, m->wrote));
    if (model_stacks_tell)
        h = mix(h, state_stack(t));
    return mix(mix(h, state_times(&m->now)), mix(state_times(&m->acquirable), state_times(&m->released)));
}

/* All but what is old, and which call came before which. `point`: the running thread could go on. */
static uint64_t state_bare(bool point)
{
    state_find_threads();
    state_find_places();
    state_find_times();
    uint64_t h = mix(state_memory(), state_words() + state_races());
    h = mix(h, state_times(&memory.shared));
    h = mix(h, (uint64_t)schedule.now);
    h = mix(h, (uint64_t)machine.fail_alloc << 32 | (uint64_t)schedule.idle % 8);
    h = mix(h, (uint64_t)schedule.spurious << 16 | (uint64_t)schedule.ticks << 8 |
                   (uint64_t)(point ? schedule.self + 1 : 0));
    for (int t = 0; t < schedule.threads; t++)
        h = mix(h, state_thread(t));
    return h;
}

/* What the state is called, as it is and with fewer old values to come: name[0], for as many as there are, down to that for none; how many. */
static int state_names(bool point, uint64_t *name)
{
    const uint64_t bare = state_bare(point), h = state.open > 0 ? mix(bare, state_old()) : bare;
    for (int n = 0; n <= memory.stale; n++) {
        const int stale = memory.stale - n;
        const uint64_t all = mix(stale > 0 ? h : bare, state_moments(moments_nothing_old() && n == 0));
        name[n] = mix(all, (uint64_t)stale) | 1; /* 0 is no name (visited.h) */
    }
    return memory.stale + 1;
}

#endif /* WEIR_MODEL_STATE_H */
