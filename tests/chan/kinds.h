/* tests/chan/kinds.h: the four kinds of channel behind one table, so that a test is written once. Include it after harness.h.
 *
 *   TEST_EACH_KIND(name) { ... k->send(NULL, ch, &v) ... }      four tests, name_chan, name_spsc, name_mpsc, name_spmc
 *   TEST_MANY_SENDERS, TEST_MANY_RECEIVERS, TEST_ONE_SENDER     two tests each, for the kinds that are so
 *
 * Every function of the table calls the typed macros on a handle of its own kind: what runs is what a user's program
 * compiles, inlined for that kind. Elements are uint64_t. A handle travels as its core pointer.
 */
#ifndef WEIR_TEST_CHAN_KINDS_H
#define WEIR_TEST_CHAN_KINDS_H

#include "waiting.h"

struct kind {
    const char *name;
    bool many_senders, many_receivers;
    int ring;
    int (*make)(void **ch, size_t capacity, const weir_chan_opt *opt);
    void (*free)(void **ch);
    int (*close)(void *ch);
    int (*send)(weir_ctx *ctx, void *ch, const uint64_t *v);
    int (*recv)(weir_ctx *ctx, void *ch, uint64_t *v);
    int (*send_until)(weir_ctx *ctx, void *ch, const uint64_t *v, weir_ns deadline);
    int (*recv_until)(weir_ctx *ctx, void *ch, uint64_t *v, weir_ns deadline);
    int (*try_send)(void *ch, const uint64_t *v);
    int (*try_recv)(void *ch, uint64_t *v);
    int (*send_n)(weir_ctx *ctx, void *ch, const uint64_t *v, size_t n, size_t *sent);
    int (*recv_n)(weir_ctx *ctx, void *ch, uint64_t *v, size_t max, size_t *got);
    int (*reserve)(weir_ctx *ctx, void *ch, uint64_t **slot);
    int (*commit)(void *ch, uint64_t *slot);
    int (*peek)(weir_ctx *ctx, void *ch, uint64_t **slot);
    int (*release)(void *ch, uint64_t *slot);
    size_t (*len)(void *ch);
    size_t (*cap)(void *ch);
    bool (*is_closed)(void *ch);
    const char *(*label)(void *ch);
};

/* clang-format off */
#define KIND_FUNCTIONS(kind)                                                                                           \
    typedef weir_##kind(uint64_t) kind##_u64;                                                                          \
    static kind##_u64 kind##_of(void *ch)                                                                              \
    {                                                                                                                  \
        kind##_u64 handle;                                                                                             \
        handle.core = (weir_##kind##_core *)ch;                                                                        \
        return handle;                                                                                                 \
    }                                                                                                                  \
    static int kind##_make(void **ch, size_t capacity, const weir_chan_opt *opt)                                       \
    {                                                                                                                  \
        kind##_u64 handle;                                                                                             \
        int rc = opt ? weir_chan_make_opt(&handle, capacity, opt) : weir_chan_make(&handle, capacity);                 \
        *ch = handle.core;                                                                                             \
        return rc;                                                                                                     \
    }                                                                                                                  \
    static void kind##_free(void **ch)                                                                                 \
    {                                                                                                                  \
        kind##_u64 handle = kind##_of(*ch);                                                                            \
        weir_chan_free(&handle);                                                                                       \
        *ch = handle.core;                                                                                             \
    }                                                                                                                  \
    static int kind##_close(void *ch) { return weir_close(kind##_of(ch)); }                                            \
    static int kind##_send(weir_ctx *ctx, void *ch, const uint64_t *v) { return weir_send(ctx, kind##_of(ch), v); }    \
    static int kind##_recv(weir_ctx *ctx, void *ch, uint64_t *v) { return weir_recv(ctx, kind##_of(ch), v); }          \
    static int kind##_send_until(weir_ctx *ctx, void *ch, const uint64_t *v, weir_ns deadline)                         \
    {                                                                                                                  \
        return weir_send_until(ctx, kind##_of(ch), v, deadline);                                                       \
    }                                                                                                                  \
    static int kind##_recv_until(weir_ctx *ctx, void *ch, uint64_t *v, weir_ns deadline)                               \
    {                                                                                                                  \
        return weir_recv_until(ctx, kind##_of(ch), v, deadline);                                                       \
    }                                                                                                                  \
    static int kind##_try_send(void *ch, const uint64_t *v) { return weir_try_send(kind##_of(ch), v); }                \
    static int kind##_try_recv(void *ch, uint64_t *v) { return weir_try_recv(kind##_of(ch), v); }                      \
    static int kind##_send_n(weir_ctx *ctx, void *ch, const uint64_t *v, size_t n, size_t *sent)                       \
    {                                                                                                                  \
        kind##_u64 handle = kind##_of(ch);                                                                             \
        return weir_send_n(ctx, handle, v, n, sent);                                                                   \
    }                                                                                                                  \
    static int kind##_recv_n(weir_ctx *ctx, void *ch, uint64_t *v, size_t max, size_t *got)                            \
    {                                                                                                                  \
        kind##_u64 handle = kind##_of(ch);                                                                             \
        return weir_recv_n(ctx, handle, v, max, got);                                                                  \
    }                                                                                                                  \
    static int kind##_reserve(weir_ctx *ctx, void *ch, uint64_t **slot)                                                \
    {                                                                                                                  \
        kind##_u64 handle = kind##_of(ch);                                                                             \
        return weir_reserve(ctx, handle, slot);                                                                        \
    }                                                                                                                  \
    static int kind##_commit(void *ch, uint64_t *slot) { return weir_commit(kind##_of(ch), slot); }                    \
    static int kind##_peek(weir_ctx *ctx, void *ch, uint64_t **slot)                                                   \
    {                                                                                                                  \
        kind##_u64 handle = kind##_of(ch);                                                                             \
        return weir_peek(ctx, handle, slot);                                                                           \
    }                                                                                                                  \
    static int kind##_release(void *ch, uint64_t *slot) { return weir_release(kind##_of(ch), slot); }                  \
    static size_t kind##_len(void *ch) { return weir_len(kind##_of(ch)); }                                             \
    static size_t kind##_cap(void *ch) { return weir_cap(kind##_of(ch)); }                                             \
    static bool kind##_is_closed(void *ch) { return weir_is_closed(kind##_of(ch)); }                                   \
    static const char *kind##_label(void *ch) { return weir_chan_name(kind##_of(ch)); }

#define KIND_ENTRY(kind, many_senders, many_receivers, ring)                                                           \
    {                                                                                                                  \
        #kind, many_senders, many_receivers, ring, kind##_make, kind##_free, kind##_close, kind##_send, kind##_recv,   \
            kind##_send_until, kind##_recv_until, kind##_try_send, kind##_try_recv, kind##_send_n, kind##_recv_n,      \
            kind##_reserve, kind##_commit, kind##_peek, kind##_release, kind##_len, kind##_cap, kind##_is_closed,      \
            kind##_label                                                                                               \
    }
/* clang-format on */

KIND_FUNCTIONS(chan)
KIND_FUNCTIONS(spsc)
KIND_FUNCTIONS(mpsc)
KIND_FUNCTIONS(spmc)

enum { KINDS = 4 };
static const struct kind kinds[KINDS] = {
    KIND_ENTRY(chan, true, true, WEIR_RING_MPMC),
    KIND_ENTRY(spsc, false, false, WEIR_RING_SPSC),
    KIND_ENTRY(mpsc, true, false, WEIR_RING_MPSC),
    KIND_ENTRY(spmc, false, true, WEIR_RING_SPMC),
};

/* clang-format off */
#define TEST_EACH_KIND_LIMIT(name, seconds)                                                                            \
    static void name(const struct kind *k);                                                                            \
    TEST_LIMIT(name##_chan, seconds) { name(&kinds[0]); }                                                              \
    TEST_LIMIT(name##_spsc, seconds) { name(&kinds[1]); }                                                              \
    TEST_LIMIT(name##_mpsc, seconds) { name(&kinds[2]); }                                                              \
    TEST_LIMIT(name##_spmc, seconds) { name(&kinds[3]); }                                                              \
    static void name(const struct kind *k)
#define TEST_EACH_KIND(name) TEST_EACH_KIND_LIMIT(name, 0)
/* For what needs several senders, or several receivers. */
#define TEST_MANY_SENDERS(name)                                                                                        \
    static void name(const struct kind *k);                                                                            \
    TEST(name##_chan) { name(&kinds[0]); }                                                                             \
    TEST(name##_mpsc) { name(&kinds[2]); }                                                                             \
    static void name(const struct kind *k)
#define TEST_MANY_RECEIVERS(name)                                                                                      \
    static void name(const struct kind *k);                                                                            \
    TEST(name##_chan) { name(&kinds[0]); }                                                                             \
    TEST(name##_spmc) { name(&kinds[3]); }                                                                             \
    static void name(const struct kind *k)
#define TEST_ONE_SENDER(name)                                                                                          \
    static void name(const struct kind *k);                                                                            \
    TEST(name##_spsc) { name(&kinds[1]); }                                                                             \
    TEST(name##_spmc) { name(&kinds[3]); }                                                                             \
    static void name(const struct kind *k)

/* ---- what tests ask of a kind ---- */

static inline bool on_ck(const struct kind *k)
{
    return k->ring == WEIR_RING_CK;
}

/* Into a reserved slot. By memcpy, because on ck a receiver whose claim will fail may be copying the slot's old value: for
 * thread sanitizer tests/tsan-shim makes both accesses atomic. On weir's own rings this is a plain store, and a race is seen. */
static inline void write_in_place(uint64_t *slot, uint64_t v)
{
    memcpy(slot, &v, sizeof v);
}

/* ck_ring copies a value before it claims it, so several consumers cannot read in place. */
static inline bool can_peek(const struct kind *k)
{
    return !(on_ck(k) && k->many_receivers);
}

/* Closed by a limit that the closer fixes, and not by a bit that stops every claim: a value whose place was claimed before
 * the close but published after it is refused. (ck with several consumers claims as several producers would.) */
static inline bool closes_by_limit(const struct kind *k)
{
    return on_ck(k) ? !k->many_senders && !k->many_receivers : !k->many_senders;
}

static inline int senders_of(const struct kind *k, int many)
{
    return k->many_senders ? many : 1;
}

static inline int receivers_of(const struct kind *k, int many)
{
    return k->many_receivers ? many : 1;
}

static const weir_wait_strategy strategies[] = {WEIR_WAIT_ADAPTIVE, WEIR_WAIT_SPIN, WEIR_WAIT_YIELD, WEIR_WAIT_PARK};
enum { STRATEGIES = sizeof strategies / sizeof strategies[0] };

/* Whether a thread that waits this way goes to sleep in the end. */
static inline bool sleeps(weir_wait_strategy s)
{
    (void)strategies;
    return s == WEIR_WAIT_ADAPTIVE || s == WEIR_WAIT_PARK;
}
/* clang-format on */

static inline void *open_channel(const struct kind *k, size_t capacity, weir_wait_strategy wait)
{
    weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, NULL, NULL, 0};
    void *ch;
    opt.wait = wait;
    REQUIRE(k->make(&ch, capacity, &opt) == 0);
    return ch;
}

/* Sends first, first + 1, ... until it is full; returns how many. */
static inline size_t fill(const struct kind *k, void *ch, uint64_t first)
{
    size_t n = 0;
    for (uint64_t v = first; k->try_send(ch, &v) == 0; v++)
        n++;
    return n;
}

static inline weir__chan *inside(void *ch)
{
    return &((weir_chan_core *)ch)->chan;
}

static inline int receivers_waiting(void *ch)
{
    return count_waiting(inside(ch), false);
}

static inline int senders_waiting(void *ch)
{
    return count_waiting(inside(ch), true);
}

static inline int load_int(int *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void store_int(int *p, int v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Small pseudo-random numbers, the same in every run. */
static inline unsigned next_random(unsigned *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 16;
}

/* For what must not happen: time enough for a wrong thread to do it. A right one is never failed by the length. */
static inline void let_others_run(void)
{
    struct timespec t = {0, 20 * 1000 * 1000};
    nanosleep(&t, NULL);
}

#endif /* WEIR_TEST_CHAN_KINDS_H */
