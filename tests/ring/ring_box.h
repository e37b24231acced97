/* tests/ring/ring_box.h: a ring with storage, and push and pop as a channel does them, without the waiting. Include
 * after harness.h. */
#ifndef WEIR_TEST_RING_BOX_H
#define WEIR_TEST_RING_BOX_H

static const int kinds[] = {WEIR__SPSC, WEIR__MPSC, WEIR__SPMC, WEIR__MPMC};
#define FOR_EACH_KIND(kind) for (int kind##_i = 0, kind; kind##_i < 4 && (kind = kinds[kind##_i], true); kind##_i++)

struct ring_box {
    weir__ring ring;
    int kind;
    size_t capacity, size;
    void *storage;
    int closing; /* atomic: what a closer sets for a lone producer to see, in the place of attention */
};

/* Storage of exactly the bytes that the ring asks for, so that address sanitizer sees one too many. */
static inline struct ring_box *box_make(int kind, size_t capacity, size_t size)
{
    struct ring_box *b = (struct ring_box *)aligned_alloc(WEIR_CACHE_PAD, sizeof *b);
    const size_t bytes = weir__ring_bytes(kind, capacity, size);
    REQUIRE(b != NULL && bytes >= capacity * size);
    REQUIRE(posix_memalign(&b->storage, WEIR_CACHE_PAD, bytes) == 0);
    memset(b->storage, 0xdb, bytes);
    b->kind = kind;
    b->capacity = capacity;
    b->size = size;
    b->closing = 0;
    weir__ring_init(&b->ring, kind, capacity, size, b->storage);
    return b;
}

static inline void box_free(struct ring_box *b)
{
    free(b->storage);
    free(b);
}

static inline bool on_ck(int kind)
{
    return weir__ring_of(kind) == WEIR_RING_CK;
}

static inline void box_mark(void *p)
{
    __atomic_store_n((int *)p, 1, __ATOMIC_RELAXED);
}

static inline bool box_close(struct ring_box *b)
{
    return weir__ring_close(&b->ring, b->kind, box_mark, &b->closing);
}

/* 0, EPIPE, EAGAIN or WEIR__BUSY. */
static inline int box_push(struct ring_box *b, const void *value)
{
    uint64_t pos;
    int why;
    while (!weir__ring_push(&b->ring, b->kind, value, b->size, &pos))
        if ((why = weir__ring_why_full(&b->ring, b->kind, b->size)) != 0)
            return why;
    WEIR_FENCE_LIGHT(); /* (B); where it is not enough a channel knows from its queue, and we do not */
    if (!weir__fence_asymmetric())
        WEIR_FENCE(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&b->closing, __ATOMIC_RELAXED) != 0 ? weir__ring_settle(&b->ring, b->kind, pos) : 0;
}

static inline int box_pop(struct ring_box *b, void *value)
{
    int why;
    while (!weir__ring_pop(&b->ring, b->kind, value, b->size))
        if ((why = weir__ring_why_empty(&b->ring, b->kind, b->size)) != 0)
            return why;
    return 0;
}

static inline size_t box_len(struct ring_box *b)
{
    return weir__ring_len(&b->ring, b->kind);
}

#endif /* WEIR_TEST_RING_BOX_H */
