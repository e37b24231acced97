/* tests/chan/race.h: senders and receivers that work until somebody stops them, thousands of rounds with the same threads; after
 * each round the books must balance. Include it after kinds.h.
 *
 *   A round: a fresh channel; every sender sends its numbers 0, 1, 2 ... until a send says that it is over, or it has sent MOST;
 *   every receiver keeps a log of what it got, until it is told likewise; the stopper closes the channel, or cancels the
 *   context, at some moment in between. What is left in the channel is drained.
 *   The books: of each sender exactly the values whose send returned 0 are in the logs, each once; and each log
 *   has the values of one sender in the order in which they were sent.
 */
#ifndef WEIR_TEST_CHAN_RACE_H
#define WEIR_TEST_CHAN_RACE_H

enum { RACE_SIDE = 2, RACE_MOST = 200, RACE_VALUES = RACE_SIDE * RACE_MOST };

struct race {
    const struct kind *k;
    void (*stop)(struct race *); /* NULL: nobody does, the senders close when the last of them is through */
    long rounds;
    unsigned capacity; /* 0: a different one each round */
    bool impatient;    /* calls have deadlines of some microseconds, and are repeated when those pass */
    int senders, receivers;
    /* of this round */
    void *ch;
    weir_ctx ctx;
    unsigned how; /* which of the ways to send and to receive */
    int sending;  /* atomic */
    uint64_t sent[RACE_SIDE];
    uint64_t log[RACE_SIDE + 1][RACE_VALUES]; /* the last one is that of the drain */
    size_t logged[RACE_SIDE + 1];
    /* the barrier */
    int arrived, generation; /* atomic */
};

/* Waits for all others. With more threads than cores a spinner would hold up whom it waits for: hence the yield. */
static void race_meet(struct race *r)
{
    const int generation = load_int(&r->generation), parties = r->senders + r->receivers + 2;
    if (__atomic_add_fetch(&r->arrived, 1, __ATOMIC_ACQ_REL) == parties) {
        store_int(&r->arrived, 0);
        store_int(&r->generation, generation + 1);
        return;
    }
    while (load_int(&r->generation) == generation)
        sched_yield();
}

static bool race_over(int rc)
{
    return rc == EPIPE || rc == ECANCELED;
}

/* One value by reserve and commit. A commit says EPIPE when the close came first. */
static int race_reserve(struct race *r, const uint64_t *v)
{
    uint64_t *slot = NULL;
    const int rc = r->k->reserve(&r->ctx, r->ch, &slot);
    if (rc != 0)
        return rc;
    write_in_place(slot, *v);
    return r->k->commit(r->ch, slot);
}

/* Up to n values from v on, in one of the ways; *sent of them went. */
static int race_send(struct race *r, const uint64_t *v, size_t n, unsigned *random, size_t *sent)
{
    const struct kind *k = r->k;
    int rc;
    if (r->how % 4 == 3 && !r->impatient)
        return k->send_n(&r->ctx, r->ch, v, n, sent);
    if (r->impatient)
        rc = k->send_until(&r->ctx, r->ch, v, weir_now() + next_random(random) % 8000);
    else if (r->how % 4 == 0)
        rc = k->send(&r->ctx, r->ch, v);
    else if (r->how % 4 == 1)
        rc = weir_ctx_err(&r->ctx) != 0 ? ECANCELED : k->try_send(r->ch, v);
    else
        rc = race_reserve(r, v);
    *sent = rc == 0 ? 1 : 0;
    return rc;
}

static void race_send_all(struct race *r, int self, unsigned *random)
{
    uint64_t values[3], next = 0;
    int rc = 0;
    while (!race_over(rc) && next < RACE_MOST) {
        size_t sent = 0, n = RACE_MOST - next < 3 ? (size_t)(RACE_MOST - next) : 3;
        for (size_t i = 0; i < n; i++)
            values[i] = (uint64_t)self * RACE_MOST + next + i;
        rc = race_send(r, values, n, random, &sent);
        CHECK(rc == 0 || race_over(rc) || (rc == ETIMEDOUT && r->impatient) || (rc == EAGAIN && r->how % 4 == 1));
        if (rc == EAGAIN)
            sched_yield();
        next += sent;
    }
    r->sent[self] = next;
    if (__atomic_sub_fetch(&r->sending, 1, __ATOMIC_ACQ_REL) == 0 && r->stop == NULL)
        CHECK_INT(r->k->close(r->ch), 0);
}

static int race_peek(struct race *r, uint64_t *v)
{
    uint64_t *slot = NULL;
    const int rc = r->k->peek(&r->ctx, r->ch, &slot);
    if (rc != 0)
        return rc;
    *v = *slot;
    return r->k->release(r->ch, slot);
}

static int race_recv(struct race *r, uint64_t *v, size_t max, unsigned *random, size_t *got)
{
    const struct kind *k = r->k;
    const unsigned how = r->how / 4 % 4;
    int rc;
    if (how == 3 && !r->impatient)
        return k->recv_n(&r->ctx, r->ch, v, max, got);
    if (r->impatient)
        rc = k->recv_until(&r->ctx, r->ch, v, weir_now() + next_random(random) % 8000);
    else if (how == 0 || (how == 2 && !can_peek(k)))
        rc = k->recv(&r->ctx, r->ch, v);
    else if (how == 1)
        rc = weir_ctx_err(&r->ctx) != 0 ? ECANCELED : k->try_recv(r->ch, v);
    else
        rc = race_peek(r, v);
    *got = rc == 0 ? 1 : 0;
    return rc;
}

static void race_recv_all(struct race *r, int self, unsigned *random)
{
    int rc = 0;
    while (!race_over(rc)) {
        size_t got = 0, at = r->logged[self];
        if (at == RACE_VALUES) { /* all that there is: what comes now can only be the end */
            uint64_t v;
            rc = race_recv(r, &v, 1, random, &got);
            if (!CHECK(rc != 0))
                return;
            continue;
        }
        rc = race_recv(r, &r->log[self][at], RACE_VALUES - at < 5 ? RACE_VALUES - at : 5, random, &got);
        CHECK(rc == 0 || race_over(rc) || (rc == ETIMEDOUT && r->impatient) || (rc == EAGAIN && r->how / 4 % 4 == 1));
        CHECK((got > 0) == (rc == 0));
        if (rc == EAGAIN)
            sched_yield();
        r->logged[self] += got;
    }
}

struct race_seat {
    struct race *r;
    int self; /* 0 .. senders - 1 send; then the receivers; then the stopper */
};

static void race_thread(void *p)
{
    struct race_seat *seat = (struct race_seat *)p;
    struct race *r = seat->r;
    unsigned random = (unsigned)seat->self + 1;
    for (long i = 0; i < r->rounds; i++) {
        race_meet(r);
        if (seat->self < r->senders) {
            race_send_all(r, seat->self, &random);
        } else if (seat->self < r->senders + r->receivers) {
            race_recv_all(r, seat->self - r->senders, &random);
        } else if (r->stop != NULL) {
            for (unsigned turns = next_random(&random) % 2048; turns > 0; turns--)
                WEIR_CPU_PAUSE();
            r->stop(r);
        }
        race_meet(r);
    }
}

static void race_drain(struct race *r)
{
    size_t *n = &r->logged[RACE_SIDE];
    while (*n < RACE_VALUES && r->k->try_recv(r->ch, &r->log[RACE_SIDE][*n]) == 0)
        ++*n;
}

static void race_check_books(struct race *r)
{
    static unsigned char seen[RACE_VALUES];
    memset(seen, 0, sizeof seen);
    for (int log = 0; log <= RACE_SIDE; log++) {
        int64_t last[RACE_SIDE] = {-1, -1};
        for (size_t i = 0; i < r->logged[log]; i++) {
            const uint64_t v = r->log[log][i], sender = v / RACE_MOST;
            if (!CHECK(v < RACE_VALUES))
                continue;
            CHECK((int64_t)(v % RACE_MOST) > last[sender]);
            last[sender] = (int64_t)(v % RACE_MOST);
            seen[v]++;
        }
    }
    for (uint64_t v = 0; v < RACE_VALUES; v++)
        CHECK_INT(seen[v], v % RACE_MOST < r->sent[v / RACE_MOST]);
}

static void race_round(struct race *r, long i)
{
    static const unsigned capacities[] = {1, 2, 3, 8, 64};
    r->ch = open_channel(r->k, r->capacity ? r->capacity : capacities[i % 5],
                         i / 5 % 2 ? WEIR_WAIT_PARK : WEIR_WAIT_ADAPTIVE);
    weir_ctx_init(&r->ctx, NULL);
    r->how = (unsigned)(i / 10 % 16);
    memset(r->sent, 0, sizeof r->sent);
    memset(r->logged, 0, sizeof r->logged);
    store_int(&r->sending, r->senders);
    race_meet(r);
    race_meet(r);
    race_drain(r);
    race_check_books(r);
    weir_ctx_free(&r->ctx);
    r->k->free(&r->ch);
}

static void run_race(const struct kind *k, void (*stop)(struct race *), bool impatient, long rounds)
{
    static struct race race;
    struct race_seat seats[2 * RACE_SIDE + 1];
    struct race *r = &race;
    memset(r, 0, sizeof *r);
    r->k = k;
    r->stop = stop;
    r->impatient = impatient;
    r->rounds = rounds;
    r->senders = senders_of(k, RACE_SIDE);
    r->receivers = receivers_of(k, RACE_SIDE);
    for (int i = 0; i <= r->senders + r->receivers; i++) {
        seats[i].r = r;
        seats[i].self = i;
    }
    struct test_team *team = test_start(r->senders + r->receivers + 1, race_thread, seats, sizeof seats[0]);
    for (long i = 0; i < rounds; i++)
        race_round(r, i);
    test_join(team);
}

#endif /* WEIR_TEST_CHAN_RACE_H */
