/* tests/model/memory.h: what a load may read under the C11 memory model.
 *
 * Every atomic word has the list of its stores, oldest first: its modification order. A thread has a view: for each word the oldest store
 * that it may still read. A load takes any store from there on and moves its view up to it; so a thread never sees a word go back
 * (coherence), but may see an old value of it long after another thread has written a new one. What makes it see more is synchronization:
 *
 *   a release store carries the view of its thread; an acquire load that reads it joins that into its own
 *   a read-modify-write reads the last store, and passes on the view of the one that it read (release sequence)
 *   a release fence lends later relaxed stores the view of now; an acquire fence joins what earlier relaxed loads have read
 *   a seq_cst fence joins the one view that all seq_cst operations share, both ways
 *   a seq_cst load or store of a word goes past, and into, that word's place in the shared view
 *   the heavy fence is a seq_cst fence executed by every thread (membarrier(2)); the light one is nothing
 *
 * This is the view machine of J. Kang, C. Hur, O. Lahav, V. Vafeiadis, D. Dreyer, "A promising semantics for relaxed-memory concurrency"
 * (2017), without its promises: a load never reads a store that comes later in the execution. So load buffering is not found.
 * Stores are placed at the end of the list, or by choice before stores that the thread has not seen. How many loads and stores do the
 * unexpected is bounded per execution (`stale`).
 *
 * A view also holds a vector clock: what happens before what. It orders plain accesses (plain.h). Fences alone do not move it: two seq_cst
 * fences restrict what is read, and synchronize nothing.
 *
 * A view is a row of bytes, so that a join is a few vector instructions: the place of a store is its index in the list, and a store
 * that is inserted before others renumbers them in all views, which is rare.
 *
 * Nothing is ever taken out of a list: a word that starts anew does so behind what there was, and inserts are noted. So whoever goes back to an
 * earlier step (snapshot.h) shortens the lists and undoes inserts, and copies none of it.
 */
#ifndef WEIR_MODEL_MEMORY_H
#define WEIR_MODEL_MEMORY_H

#include "choice.h"

#include <stddef.h>

enum { THREADS_MAX = 8, WORDS_MAX = 112, STORES_MAX = 250, INSERTS_MAX = 64, WORD_TABLE = 512 };

typedef struct view {
    unsigned char oldest[WORDS_MAX]; /* of a word: a place in its list */
    int16_t clock[THREADS_MAX];
} view;

typedef struct store {
    uint64_t value;
    view carries;
    int made;     /* how many there were before it */
    bool updates; /* a read-modify-write: it stands behind the store that it read for good */
} store;

typedef struct word {
    void *address;
    int first, count; /* its list is stores[first, count) */
    bool restarts;    /* has been written as plain memory: the next access starts it anew */
} word;

typedef struct memory_thread {
    view now, acquirable, released; /* what it knows; what an acquire fence would add; what a release fence has lent */
    int16_t wrote;                  /* its clock at its last write: what a fence for stores alone lends */
} memory_thread;

static struct memory {
    /* Of an execution: what a snapshot holds. */
    int words, inserts, made, stale; /* made: stores; stale: how many accesses may still do the unexpected */
    view shared;                     /* by the seq_cst operations; its clock stays 0 */
    const char *wrong;               /* first thing that was: too many words, a data race */
    memory_thread thread[THREADS_MAX];
    word word[WORDS_MAX];

    store stores[WORDS_MAX][STORES_MAX];
    struct memory_insert {
        int word, place;
    } insert[INSERTS_MAX];
    struct word_entry {
        uint32_t execution;
        int word;
        const void *address;
    } table[WORD_TABLE];
    uint32_t execution, filter[WORD_TABLE]; /* filter: whether a word of this execution may stand at such an address */
} memory;

static void view_join_places(view *into, const view *from)
{
    for (int w = 0; w < WORDS_MAX; w++)
        into->oldest[w] = into->oldest[w] > from->oldest[w] ? into->oldest[w] : from->oldest[w];
}

static void view_join(view *into, const view *from)
{
    view_join_places(into, from);
    for (int t = 0; t < THREADS_MAX; t++)
        into->clock[t] = into->clock[t] > from->clock[t] ? into->clock[t] : from->clock[t];
}

static uint64_t word_real(const word *w, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, w->address, size); /* little-endian, as x86-64 and aarch64 are */
    return value;
}

/* f(view, argument) for every view that there is. */
static void memory_each_view(void (*f)(view *, int, int), int i, int place)
{
    for (int t = 0; t < THREADS_MAX; t++) {
        f(&memory.thread[t].now, i, place);
        f(&memory.thread[t].acquirable, i, place);
        f(&memory.thread[t].released, i, place);
    }
    f(&memory.shared, i, place);
    for (int o = 0; o < memory.words; o++)
        for (int s = 0; s < memory.word[o].count; s++)
            f(&memory.stores[o][s].carries, i, place);
}

static void view_shift(view *v, int i, int place)
{
    v->oldest[i] = (unsigned char)(v->oldest[i] + (v->oldest[i] >= place));
}

static void view_unshift(view *v, int i, int place)
{
    v->oldest[i] = (unsigned char)(v->oldest[i] - (v->oldest[i] > place));
}

/* Puts a store at a place: that behind the last, or one before. */
static store *word_insert(int i, int place)
{
    word *w = &memory.word[i];
    store *s = &memory.stores[i][place];
    if (w->count == STORES_MAX || memory.inserts == INSERTS_MAX) {
        memory.wrong = "more stores to one word than the model has room for";
        return &memory.stores[i][STORES_MAX - 1];
    }
    if (place < w->count++) {
        memmove(s + 1, s, (size_t)(w->count - 1 - place) * sizeof *s);
        memset(&s->carries, 0, sizeof(view));
        memory_each_view(view_shift, i, place); /* also that of the last, which has moved */
        memory.insert[memory.inserts++] = (struct memory_insert){i, place};
    }
    return s;
}

/* Takes back the last inserts, down to the first `inserts`. What has read one of those stores is gone already, or goes now. */
static void memory_uninsert(int inserts)
{
    while (memory.inserts > inserts) {
        const struct memory_insert *n = &memory.insert[--memory.inserts];
        store *s = &memory.stores[n->word][n->place];
        memmove(s, s + 1, (size_t)(--memory.word[n->word].count - n->place) * sizeof *s);
        memory_each_view(view_unshift, n->word, n->place);
    }
}

static void word_restart(int i, size_t size)
{
    word *w = &memory.word[i];
    store *s = word_insert(i, w->count);
    memset(s, 0, sizeof *s);
    s->value = word_real(w, size);
    s->made = memory.made++;
    w->first = w->count - 1;
    w->restarts = false;
}

static uint32_t *memory_filter(const void *address)
{
    return &memory.filter[((uintptr_t)address >> 2) % WORD_TABLE];
}

static struct word_entry *memory_entry(const void *address)
{
    size_t at = (size_t)(((uintptr_t)address >> 2) * 0x9e3779b97f4a7c15U >> 55);
    while (memory.table[at].execution == memory.execution && memory.table[at].address != address)
        at = (at + 1) % WORD_TABLE;
    return &memory.table[at];
}

/* The word at an address. One that the program has set by a plain store meanwhile, as it does before others know of it, starts anew. */
static int memory_word(void *address, size_t size)
{
    struct word_entry *e = memory_entry(address);
    if (e->execution != memory.execution) {
        if (memory.words == WORDS_MAX) {
            memory.wrong = "more atomic words than the model has room for";
            return 0;
        }
        e->execution = *memory_filter(address) = memory.execution;
        e->address = address;
        e->word = memory.words++;
        word *new = &memory.word[e->word];
        new->address = address;
        new->count = 0;
        word_restart(e->word, size);
        return e->word;
    }
    word *w = &memory.word[e->word];
    const store *last = &memory.stores[e->word][w->count - 1];
    if (w->restarts || word_real(w, size) != last->value)
        word_restart(e->word, size);
    return e->word;
}

/* The number of the word at this address, for a name: looks at nothing else, for the size is not known. 0 also where there is none. */
static int memory_number(const void *address)
{
    const struct word_entry *e = memory_entry(address);
    return e->execution == memory.execution ? e->word : 0;
}

/* Back to the first `words` words, the newest first (plain.h). */
static void memory_forget(int words)
{
    while (memory.words > words)
        memory_entry(memory.word[--memory.words].address)->execution = memory.execution - 1;
}

/* A plain store to whatever stands at this address. */
static void memory_plain_store(const void *address)
{
    if (*memory_filter(address) != memory.execution)
        return;
    const struct word_entry *e = memory_entry(address);
    if (e->execution == memory.execution)
        memory.word[e->word].restarts = true;
}

static bool acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST ||
           order == __ATOMIC_CONSUME;
}

static bool releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

/* The oldest store that a thread may read. */
static int memory_from(int t, int i, int order)
{
    const int first = memory.word[i].first, own = memory.thread[t].now.oldest[i], shared = memory.shared.oldest[i];
    const int seen = own > first ? own : first;
    return order == __ATOMIC_SEQ_CST && shared > seen ? shared : seen;
}

static const store *memory_read(int t, int i, int place, int order)
{
    memory_thread *self = &memory.thread[t];
    const store *s = &memory.stores[i][place];
    self->now.oldest[i] = (unsigned char)place;
    view_join(&self->acquirable, &s->carries);
    if (acquires(order))
        view_join(&self->now, &s->carries);
    if (order == __ATOMIC_SEQ_CST && memory.shared.oldest[i] < place)
        memory.shared.oldest[i] = (unsigned char)place;
    return s;
}

/* How far back a load may read: that many stores before the last. `since`: what was made before that many is left out. */
static int memory_back(int t, int i, int order, int since)
{
    const int last = memory.word[i].count - 1, all = memory_from(t, i, order);
    int from = all;
    while (from < last && memory.stores[i][from].made < since)
        from++;
    if (from == last && from > all)
        choose_nothing();
    return last - from;
}

/* The store that a load reads; *old: it is not the last one. */
static const store *memory_load(int t, int i, int order, int since, bool *old)
{
    const int last = memory.word[i].count - 1;
    const int place = last - (memory.stale > 0 ? choose_rarely(memory_back(t, i, order, since) + 1) : 0);
    *old = place != last;
    memory.stale -= *old;
    return memory_read(t, i, place, order);
}

/* read: the store that a read-modify-write has read, the last one; NULL for a plain store. */
static void memory_append(int t, int i, size_t size, uint64_t value, int order, int place, const store *read)
{
    memory_thread *self = &memory.thread[t];
    word *w = &memory.word[i];
    store *s = word_insert(i, place);
    self->now.oldest[i] = (unsigned char)place;
    s->value = value;
    s->updates = read != NULL;
    s->made = memory.made++;
    s->carries = releases(order) ? self->now : self->released;
    if (read != NULL)
        view_join(&s->carries, &read->carries);
    s->carries.oldest[i] = (unsigned char)place;
    if (order == __ATOMIC_SEQ_CST && memory.shared.oldest[i] < place)
        memory.shared.oldest[i] = (unsigned char)place;
    if (place == w->count - 1)
        memcpy(w->address, &value, size);
    self->wrote = self->now.clock[t]++; /* what comes after is not part of what was released */
}

/* *early: stores that it had not seen come after it. */
static void memory_store(int t, int i, size_t size, uint64_t value, int order, bool *early)
{
    const word *w = &memory.word[i];
    int places[STORES_MAX + 1], n = 0, place = w->count;
    if (memory.stale > 0 && order != __ATOMIC_SEQ_CST) {
        for (int p = w->count; p > memory_from(t, i, order); p--)
            if (p == w->count || !memory.stores[i][p].updates)
                places[n++] = p;
        place = places[choose_rarely(n)];
    }
    *early = place != w->count;
    memory.stale -= *early;
    memory_append(t, i, size, value, order, place, NULL);
}

/* A read-modify-write in two steps: the caller computes in between. */
static const store *memory_update_load(int t, int i, int order)
{
    return memory_read(t, i, memory.word[i].count - 1, order);
}

static void memory_update_store(int t, int i, size_t size, uint64_t value, int order)
{
    const int count = memory.word[i].count;
    memory_append(t, i, size, value, order, count, &memory.stores[i][count - 1]);
}

static void memory_fence(int t, int order)
{
    memory_thread *self = &memory.thread[t];
    if (acquires(order))
        view_join(&self->now, &self->acquirable);
    if (order == __ATOMIC_SEQ_CST) {
        view_join_places(&self->now, &memory.shared);
        view_join_places(&memory.shared, &self->now);
    }
    if (releases(order)) {
        self->released = self->now;
        self->now.clock[t]++;
    }
}

/* After a pause a thread reads what there is: on no machine does a store stay hidden for ever. */
static void memory_refresh(int t)
{
    for (int i = 0; i < memory.words; i++)
        memory.thread[t].now.oldest[i] = (unsigned char)(memory.word[i].count - 1);
}

static void memory_begin(void)
{
    memory.execution++;
    memory.words = memory.inserts = memory.made = memory.stale = 0;
    memory.wrong = NULL;
    memset(&memory.shared, 0, sizeof memory.shared);
    memset(memory.thread, 0, sizeof memory.thread);
    for (int t = 0; t < THREADS_MAX; t++)
        memory.thread[t].now.clock[t] = 1;
}

#endif /* WEIR_MODEL_MEMORY_H */
