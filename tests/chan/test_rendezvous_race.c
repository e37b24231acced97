/* tests/chan/test_rendezvous_race.c: an exchange against everything that can end the wait for it. Both sides must tell the same
 * story: both that it happened, or both that it did not.
 *
 * Each race has many rounds, most of them without any order. In some the order is given, so that an exchange, and none, are
 * both sure to be seen. */
#include "clock.h"
#include "queues.h"

#include "kinds.h"

enum { ROUNDS = 10000 };

enum part { SEND_UNTIL, RECV_UNTIL, SEND_CTX, RECV_CTX, TRY_SEND, TRY_RECV, CANCEL, CLOSE, PARTS };

/* Who waits for whom: nobody; they meet before the third acts; the third acts, or time is over, before they meet. */
enum order { ANY, MEET_FIRST, END_FIRST };

struct race {
    struct duel duel;
    enum order order;
    int main_done, third_done;
    const struct kind *k;
    void *ch;
    weir_ctx ctx;
    uint64_t number; /* of the round: the value that is sent */
    weir_ns sender_until, receiver_until;
    unsigned delay[3];
    enum part parts[3];
    uint64_t sent, received;
    int send_rc, recv_rc;
};

static void await_turn(struct race *r, int who)
{
    const bool tries = r->parts[who] == TRY_SEND || r->parts[who] == TRY_RECV;
    if (r->order == MEET_FIRST && who == 2)
        EVENTUALLY(get(&r->main_done));
    else if (r->order == MEET_FIRST && tries)
        EVENTUALLY(senders_waiting(r->ch) + receivers_waiting(r->ch) == 1);
    else if (r->order == END_FIRST && who < 2 && r->parts[2] != PARTS)
        EVENTUALLY(get(&r->third_done));
    else if (r->order == END_FIRST && who == 1)
        EVENTUALLY(get(&r->main_done));
    else if (r->order == ANY)
        dawdle(r->delay[who]);
}

static void play(struct race *r, int who)
{
    const struct kind *k = r->k;
    await_turn(r, who);
    switch (r->parts[who]) {
    case SEND_UNTIL: r->send_rc = k->send_until(NULL, r->ch, &r->sent, r->sender_until); break;
    case RECV_UNTIL: r->recv_rc = k->recv_until(NULL, r->ch, &r->received, r->receiver_until); break;
    case SEND_CTX: r->send_rc = k->send(&r->ctx, r->ch, &r->sent); break;
    case RECV_CTX: r->recv_rc = k->recv(&r->ctx, r->ch, &r->received); break;
    case TRY_SEND: r->send_rc = k->try_send(r->ch, &r->sent); break;
    case TRY_RECV: r->recv_rc = k->try_recv(r->ch, &r->received); break;
    case CANCEL: weir_ctx_cancel(&r->ctx, 0); break;
    default: k->close(r->ch); break;
    }
    if (who != 1)
        set(who == 0 ? &r->main_done : &r->third_done, 1);
    if (r->parts[who] == SEND_UNTIL || r->parts[who] == SEND_CTX || r->parts[who] == TRY_SEND)
        __atomic_store_n(&r->sent, 0xdeadU,
                         __ATOMIC_RELAXED); /* ours again: a peer that still reads it gets a wrong value */
}

struct player {
    struct race *race;
    int who;
};

static void player_main(void *p)
{
    struct player *player = (struct player *)p;
    int seen = 0;
    while (duel_next(&player->race->duel, &seen))
        play(player->race, player->who);
}

/* Exchanged: both say 0 and the value is right. Not: neither says 0, and the receiver's memory is as it was. */
static bool check_one_story(const struct race *r)
{
    const bool sent = r->send_rc == 0, received = r->recv_rc == 0;
    CHECK_INT(sent, received);
    CHECK_INT(r->received, received ? (long long)r->number : -1);
    return sent;
}

static const char *why_not_known(int rc, const int *expected)
{
    for (int i = 0; i < 3; i++)
        if (expected[i] == rc)
            return NULL;
    return "another error";
}

/* Main plays part 0, the others have threads. expected: how a side may say that it did not happen. */
static void run_race(const struct kind *k, enum part first, enum part second, enum part third, const int expected[3])
{
    const int players = third == PARTS ? 2 : 3;
    struct race r;
    struct player others[2] = {{&r, 1}, {&r, 2}};
    unsigned random = 1;
    long exchanged = 0, missed = 0;
    memset(&r, 0, sizeof r);
    r.k = k;
    r.duel.others = players - 1;
    r.parts[0] = first;
    r.parts[1] = second;
    r.parts[2] = third;
    r.ch = open_channel(k, 0, WEIR_WAIT_ADAPTIVE);
    struct test_team *team = test_start(players - 1, player_main, others, sizeof others[0]);
    const long rounds = test_rounds(ROUNDS);
    for (long i = 0; i < rounds; i++) {
        weir_ctx_init(&r.ctx, NULL);
        if (second == CLOSE || third == CLOSE) {
            k->free(&r.ch);
            r.ch = open_channel(k, 0, WEIR_WAIT_ADAPTIVE);
        }
        r.number = r.sent = (uint64_t)i + 1;
        r.received = (uint64_t)-1;
        r.send_rc = r.recv_rc = -1;
        for (int p = 0; p < 3; p++)
            r.delay[p] = draw(&random) % 4 == 0 ? draw(&random) % 8000 : draw(&random) % 200;
        /* A side that no third thread ends has a deadline; beside a context or a close it is there for the peer's sake only. */
        const weir_ns now = weir_now();
        r.order = i % 16 == 0 ? MEET_FIRST : i % 16 == 8 ? END_FIRST : ANY;
        r.main_done = r.third_done = 0;
        r.sender_until = now + (weir_ns)(draw(&random) % 30000);
        r.receiver_until = now + (weir_ns)(draw(&random) % 30000);
        if (r.order != ANY)
            r.sender_until = r.receiver_until = r.order == MEET_FIRST ? now + WEIR_SEC(600) : now;
        duel_begin(&r.duel);
        play(&r, 0);
        duel_end(&r.duel);
        if (check_one_story(&r))
            exchanged++;
        else
            missed++;
        CHECK_STR(r.send_rc == 0 ? NULL : why_not_known(r.send_rc, expected), NULL);
        CHECK_STR(r.recv_rc == 0 ? NULL : why_not_known(r.recv_rc, expected), NULL);
        weir_ctx_free(&r.ctx);
    }
    duel_stop(&r.duel);
    test_join(team);
    CHECK(exchanged > 0 && missed > 0);
    CHECK(left_empty(inside(r.ch)));
    k->free(&r.ch);
}

TEST_EACH_KIND(two_deadlines)
{
    static const int expected[3] = {ETIMEDOUT, ETIMEDOUT, ETIMEDOUT};
    run_race(k, SEND_UNTIL, RECV_UNTIL, PARTS, expected);
}

TEST_EACH_KIND(a_try_against_a_deadline)
{
    static const int expected[3] = {ETIMEDOUT, EAGAIN, EAGAIN};
    run_race(k, TRY_SEND, RECV_UNTIL, PARTS, expected);
    run_race(k, TRY_RECV, SEND_UNTIL, PARTS, expected);
}

TEST_EACH_KIND(a_cancelled_sender)
{
    static const int expected[3] = {ETIMEDOUT, ECANCELED, ECANCELED};
    run_race(k, RECV_UNTIL, SEND_CTX, CANCEL, expected);
}

TEST_EACH_KIND(a_cancelled_receiver)
{
    static const int expected[3] = {ETIMEDOUT, ECANCELED, ECANCELED};
    run_race(k, SEND_UNTIL, RECV_CTX, CANCEL, expected);
}

TEST_EACH_KIND(both_cancelled_at_once)
{
    static const int expected[3] = {ECANCELED, ECANCELED, ECANCELED};
    run_race(k, SEND_CTX, RECV_CTX, CANCEL, expected);
}

TEST_EACH_KIND(close_against_an_exchange)
{
    static const int expected[3] = {EPIPE, ETIMEDOUT, ETIMEDOUT};
    run_race(k, SEND_CTX, RECV_CTX, CLOSE, (const int[3]){EPIPE, EPIPE, EPIPE});
    run_race(k, SEND_UNTIL, RECV_UNTIL, CLOSE, expected);
}

TEST_EACH_KIND(close_against_a_try)
{
    static const int expected[3] = {EPIPE, EAGAIN, EAGAIN};
    run_race(k, TRY_RECV, SEND_CTX, CLOSE, expected);
    run_race(k, TRY_SEND, RECV_CTX, CLOSE, expected);
}

/* ---- the same without luck: in the lane; in the queue, but not asleep yet ---- */

static const struct kind *hook_kind;
static void *hook_ch;
static weir_ctx *hook_ctx;
static bool hook_sends;
static uint64_t hook_value;
static const char *hook_point;

/* The exchange; and then everything that could have prevented it. */
static void meet_then_end(const char *point)
{
    if (strcmp(point, hook_point) != 0)
        return;
    at_point = NULL;
    hook_value = 6;
    CHECK_INT(hook_sends ? hook_kind->try_send(hook_ch, &hook_value) : hook_kind->try_recv(hook_ch, &hook_value), 0);
    weir_ctx_cancel(hook_ctx, 0);
    hook_kind->close(hook_ch);
    pass(WEIR_SEC(2000));
}

static void meet_at(const struct kind *k, const char *point, weir_wait_strategy strategy, bool recv)
{
    weir_ctx ctx;
    uint64_t v = 5;
    weir_ctx_init(&ctx, NULL);
    hook_kind = k;
    hook_ch = open_channel(k, 0, strategy);
    hook_ctx = &ctx;
    hook_sends = recv;
    hook_point = point;
    const weir_ns until = weir_now() + WEIR_SEC(1000);
    at_point = meet_then_end;
    const int rc = recv ? k->recv_until(&ctx, hook_ch, &v, until) : k->send_until(&ctx, hook_ch, &v, until);
    back_to_real_time();
    CHECK(at_point == NULL);
    at_point = NULL;
    CHECK_INT(rc, 0);
    CHECK_INT(v, recv ? 6 : 5);
    CHECK_INT(hook_value, recv ? 6 : 5);
    CHECK(left_empty(inside(hook_ch)));
    weir_ctx_free(&ctx);
    k->free(&hook_ch);
}

/* Spinners and yielders stay in the lane; who parks goes to the queue at once, an adaptive thread later. */
TEST_EACH_KIND(what_was_exchanged_stays_so_whatever_comes_next)
{
    for (int recv = 0; recv < 2; recv++) {
        for (int s = 0; s < STRATEGIES; s++)
            if (strategies[s] != WEIR_WAIT_PARK)
                meet_at(k, "staying", strategies[s], recv);
        meet_at(k, "parking", WEIR_WAIT_PARK, recv);
        meet_at(k, "parking", WEIR_WAIT_ADAPTIVE, recv);
    }
}
