/* tests/linear/test_monitor.c: the monitor against histories whose verdict is known, and against the exact search. */
#include "../harness.h"
#include "monitor.h"
#include "search.h"

/* Histories in words: a line of text a call, "what value begin end". */
static struct history history_of(int capacity, const char *text)
{
    static const struct {
        const char *name;
        enum what what;
    } names[] = {{"sent", SENT},    {"full", FULL},         {"send-closed", SEND_CLOSED},
                 {"got", RECEIVED}, {"empty", EMPTY},       {"closed", RECV_CLOSED},
                 {"close", CLOSED}, {"again", CLOSED_AGAIN}};
    struct history h = {capacity, 0, {{SENT, 0, 0, 0, 0, 0}}};
    char name[16];
    int used;
    struct call c = {SENT, 0, 0, 0, 0, 0};
    while (sscanf(text, "%15s %d %d %d%n", name, &c.value, &c.begin, &c.end, &used) == 4) {
        size_t k = 0;
        while (strcmp(names[k].name, name) != 0)
            k++;
        c.what = names[k].what;
        h.calls[h.n++] = c;
        text += used;
    }
    return h;
}

static void check_known(int capacity, const char *text, const char *wrong)
{
    const struct history h = history_of(capacity, text);
    CHECK_STR(monitor(&h), wrong);
    if (capacity > 0)
        CHECK_INT(search(&h), wrong == NULL);
}

TEST(right_histories)
{
    check_known(2, "sent 0 1 2  sent 1 3 4  full 2 5 6  got 0 7 8  got 1 9 10  empty 0 11 12", NULL);
    check_known(2, "sent 0 1 5  sent 1 2 6  got 1 3 8  got 0 4 7", NULL); /* all at once: any order */
    check_known(1, "sent 0 1 2  sent 1 3 6  got 0 4 5  got 1 7 8", NULL);
    check_known(1, "sent 0 1 4  empty 0 2 3  got 0 5 6", NULL); /* empty before the send took effect */
    check_known(3, "sent 0 1 2  close 0 3 4  again 0 5 6  send-closed 1 7 8  got 0 9 10  closed 0 11 12", NULL);
    check_known(3, "close 0 1 10  sent 0 2 3  got 0 4 5  closed 0 6 7", NULL); /* the close in between */
    check_known(0, "sent 0 1 4  got 0 2 3", NULL);
}

TEST(wrong_histories)
{
    check_known(2, "sent 0 1 2  got 0 3 4  got 0 5 6", "received twice");
    check_known(2, "full 0 1 2  got 0 3 4", "received, but not sent");
    check_known(2, "got 0 1 2  sent 0 3 4", "received before it was sent");
    check_known(2, "sent 0 1 2  sent 1 3 4  got 1 5 6  got 0 7 8", "received before a value that was sent earlier");
    check_known(2, "sent 0 1 2  sent 1 3 4  got 1 5 6", "received before a value that was sent earlier");
    check_known(1, "sent 0 1 2  sent 1 3 4  got 0 5 6  got 1 7 8", "more values than fit");
    check_known(2, "sent 0 1 2  empty 0 3 4", "empty, when it was not");
    check_known(2, "sent 0 1 2  sent 1 3 7  got 0 8 9  empty 0 4 5  got 1 10 11", "empty, when it was not");
    check_known(2, "sent 0 1 2  full 1 3 4  got 0 5 6", "full, when it was not");
    check_known(2, "close 0 1 2  sent 0 3 4", "open, when it was not");
    check_known(2, "close 0 1 2  empty 0 3 4", "open, when it was not");
    check_known(2, "close 0 1 9  empty 0 4 5  send-closed 0 2 3", "closed, when it was not");
    check_known(2, "close 0 1 2  close 0 3 4", "two calls have closed");
    check_known(2, "send-closed 0 1 2  close 0 3 4", "closed, when it was not");
    check_known(2, "again 0 1 2  close 0 3 4", "closed, when it was not");
    check_known(2, "sent 0 1 2  close 0 3 4  closed 0 5 6  got 0 7 8", "closed and empty, when a value was still in");
    check_known(2, "sent 0 1 2  close 0 3 4  closed 0 5 6", "closed and empty, when a value was still in");
    check_known(0, "sent 0 1 2  got 0 3 4", "sent while nobody received");
}

/* ---- against the search ---- */

static uint64_t random_state = 88172645463325252U;

static int below(int n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (int)((random_state >> 33) % (uint64_t)n);
}

/* What a channel would say to a random call. */
static struct call sequential_call(int capacity, bool *closed, int *first, int *last, int *refused)
{
    struct call c = {EMPTY, 0, 0, 0, 0, 0};
    const int choice = below(9);
    if (choice < 4) {
        c.what = *closed ? SEND_CLOSED : *last - *first >= capacity ? FULL : SENT;
        c.value = c.what == SENT ? (*last)++ : HISTORY_CALLS - 1 - (*refused)++;
    } else if (choice < 8) {
        c.what = *last > *first ? RECEIVED : *closed ? RECV_CLOSED : EMPTY;
        c.value = c.what == RECEIVED ? (*first)++ : 0;
    } else {
        c.what = *closed ? CLOSED_AGAIN : CLOSED;
        *closed = true;
    }
    return c;
}

/* Right by construction: each call takes effect at 100 * i, and begins and ends some time before and after. */
static void random_history(struct history *h, int calls)
{
    bool closed = false;
    int first = 0, last = 0, refused = 0, order[2 * SEARCH_CALLS], keys[2 * SEARCH_CALLS];
    h->capacity = 1 + below(3);
    h->n = calls;
    for (int i = 0; i < calls; i++) {
        h->calls[i] = sequential_call(h->capacity, &closed, &first, &last, &refused);
        keys[2 * i] = 100 * i - below(300);
        keys[2 * i + 1] = 100 * i + below(300);
    }
    for (int i = 0; i < 2 * calls; i++) { /* keys to ticks: by insertion */
        int k = i;
        for (; k > 0 && keys[order[k - 1]] > keys[i]; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
    for (int t = 0; t < 2 * calls; t++)
        *(order[t] % 2 == 0 ? &h->calls[order[t] / 2].begin : &h->calls[order[t] / 2].end) = t;
}

/* One small lie. */
static void spoil(struct history *h)
{
    struct call *a = &h->calls[below(h->n)], *b = &h->calls[below(h->n)];
    const struct call other = *b;
    const int value = a->value;
    switch (below(3)) {
    case 0: /* two calls of one side have exchanged their values */
        if (a->what != b->what || (a->what != RECEIVED && a->what != SENT))
            return;
        b->value = value;
        a->value = other.value;
        return;
    case 1: /* their times are exchanged */
        b->begin = a->begin;
        b->end = a->end;
        a->begin = other.begin;
        a->end = other.end;
        return;
    default:
        if (a->what == EMPTY || a->what == RECV_CLOSED)
            a->what = a->what == EMPTY ? RECV_CLOSED : EMPTY;
        else if (a->what == SENT || a->what == FULL)
            a->what = a->what == SENT ? FULL : SENT;
    }
}

TEST(what_is_right_is_never_called_wrong)
{
    struct history h;
    memset(&h, 0, sizeof h);
    for (long i = test_rounds(20000); i > 0; i--) {
        random_history(&h, 4 + below(5));
        const char *wrong = monitor(&h);
        if (!CHECK_STR(wrong, NULL) || !CHECK(search(&h)))
            history_print(&h);
    }
}

TEST(what_is_wrong_is_nearly_always_found)
{
    struct history h;
    long wrong = 0, found = 0;
    memset(&h, 0, sizeof h);
    for (long i = test_rounds(60000); i > 0; i--) {
        random_history(&h, 4 + below(5));
        spoil(&h);
        const bool right = search(&h);
        const char *said = monitor(&h);
        if (right && !CHECK_STR(said, NULL))
            history_print(&h);
        wrong += !right;
        found += said != NULL;
    }
    printf("#   %ld wrong histories, %ld found\n", wrong, found);
    CHECK(wrong > 0 && wrong - found <= wrong / 100 + 2); /* two: where there are few */
}
