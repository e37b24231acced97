/* stream_processor/window.h: what is computed of the rows of a window, key by key, in the order in which they come. */
#ifndef STREAM_PROCESSOR_WINDOW_H
#define STREAM_PROCESSOR_WINDOW_H

#include "../common/keys.h"
#include "row.h"

struct tick {
    struct row row;
    size_t number; /* of the key, at its worker */
    int move;      /* of the price, from the key's row before: 1, 0, -1 */
};

struct sum {
    char key[KEY_TEXT];
    long rows, ups, downs;
    double size, value, low, high;
};

/* What a worker has of one window: the sums of its keys, by number. Whoever receives it owns them. */
struct pane {
    weir_ns begin;
    struct sum *sums;
    size_t count;
};

/* What a worker knows of its keys: it has all rows of each. */
struct moves {
    struct keys keys;
    double *price; /* of the last row, by number */
    size_t room;
};

/* The price's move from the key's row before. */
static inline struct tick moves_tick(struct moves *m, const struct row *row)
{
    struct tick tick = {.row = *row, .number = 0};
    const size_t known = m->keys.count;
    double *price;
    tick.number = keys_number(&m->keys, row->key, strlen(row->key));
    if (tick.number >= m->room) {
        m->room = 2 * (tick.number + 32);
        m->price = (double *)or_die(realloc(m->price, m->room * sizeof *m->price));
    }
    price = &m->price[tick.number];
    if (tick.number == known) /* its first row */
        *price = row->price;
    tick.move = (row->price > *price) - (row->price < *price);
    *price = row->price;
    return tick;
}

static inline void moves_free(struct moves *m)
{
    keys_free(&m->keys);
    free(m->price);
}

/* The sums of a new pane are zeros. */
static inline void pane_add(struct pane *pane, const struct tick *tick)
{
    struct sum *sum;
    if (tick->number >= pane->count) {
        const size_t count = 2 * tick->number + 8;
        pane->sums = (struct sum *)or_die(realloc(pane->sums, count * sizeof *sum));
        memset(pane->sums + pane->count, 0, (count - pane->count) * sizeof *sum);
        pane->count = count;
    }
    sum = &pane->sums[tick->number];
    if (sum->rows++ == 0) {
        memcpy(sum->key, tick->row.key, KEY_TEXT);
        sum->low = sum->high = tick->row.price;
    }
    sum->low = tick->row.price < sum->low ? tick->row.price : sum->low;
    sum->high = tick->row.price > sum->high ? tick->row.price : sum->high;
    sum->size += tick->row.size;
    sum->value += tick->row.size * tick->row.price;
    sum->ups += tick->move > 0;
    sum->downs += tick->move < 0;
}

#endif /* STREAM_PROCESSOR_WINDOW_H */
