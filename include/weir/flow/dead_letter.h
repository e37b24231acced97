/* weir/flow/dead_letter.h: where a stage puts the items that have failed for good.
 *
 *     typedef weir_dead(struct order) dead_order;               { weir_dead_letter why; struct order item; }
 *     typedef weir_chan(dead_order) dead_orders;
 *
 *     weir_stage_opt opt = {.name = "book", .on_error = WEIR_ON_ERROR_DEAD_LETTER, .dead = WEIR_DEAD_LETTERS(orders, dead)};
 *     weir_map(&p, orders, booked, book, NULL, &opt);
 *     weir_sink(&p, dead, write_down, &journal, NULL);           or a thread of the program's own: weir_recv(ctx, dead, &letter)
 *
 * Meaning
 *   WEIR_DEAD_LETTERS(ch, dead): what flows through the channel ch goes to the channel dead. ch is the stage's input; for a generator, its
 *   output: the item is then what the generator had left in its value (zeros, where it had written nothing). That the item has the type of ch's
 *   elements is checked when this is compiled; that the stage is one of such elements, by size, when it is started.
 *   Any number of stages may use one dead-letter channel of the same element type. It is a channel of the caller's: of a kind that allows as many
 *   senders as there are workers of all these stages (EINVAL where the kind allows one, and there are more, or another stage).
 *   Full: the worker waits for room, as at its output, until the pipeline ends; the item counts as abandoned then. Closed by those who
 *   read it: the item's error ends the pipeline, for there is nobody left to be told.
 *   It is closed by the pipeline, when the last stage that uses it has ended, but not before weir_pipeline_started or weir_pipeline_wait has been
 *   called: until then another stage may come that uses it.
 */
#ifndef WEIR_FLOW_DEAD_LETTER_H
#define WEIR_FLOW_DEAD_LETTER_H

#include "../chan/handle.h"

/* Why an item is where it is. */
typedef struct weir_dead_letter {
    int error;              /* what the stage function returned at last, or the guard that refused to call it */
    int calls;              /* of the stage function, for this item */
    const char *stage;      /* its name */
    const char *refused_by; /* the guard whose refusal `error` is; NULL: none */
    uint64_t id;            /* weir_correlation of the context that the stage function got */
} weir_dead_letter;

/* The element type of a dead-letter channel. Name it by typedef. */
#define weir_dead(T)                                                                                                   \
    struct {                                                                                                           \
        weir_dead_letter why;                                                                                          \
        T item;                                                                                                        \
    }

/* weir_stage_opt.dead; made by WEIR_DEAD_LETTERS. */
typedef struct weir_dead_letters {
    weir__chan *chan;
    int kind;
    size_t size, item_at, item_size;
} weir_dead_letters;

#define WEIR_DEAD_LETTERS(ch, dead)                                                                                    \
    weir__dead_letters(WEIR__CHAN(dead), WEIR__KIND((dead).core), sizeof *(dead).elem,                                 \
                       __builtin_offsetof(__typeof__(*(dead).elem), item) +                                            \
                           0 * sizeof(1 ? &(dead).elem->why : (weir_dead_letter *)0),                                  \
                       sizeof *(ch).elem + 0 * sizeof(1 ? &(dead).elem->item : (ch).elem))

static inline weir_dead_letters weir__dead_letters(weir__chan *chan, int kind, size_t size, size_t item_at,
                                                   size_t item_size)
{
    weir_dead_letters letters;
    letters.chan = chan;
    letters.kind = kind;
    letters.size = size;
    letters.item_at = item_at;
    letters.item_size = item_size;
    return letters;
}

#endif /* WEIR_FLOW_DEAD_LETTER_H */
