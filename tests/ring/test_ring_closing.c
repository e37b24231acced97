/* tests/ring/test_ring_closing.c: a close while a producer stands between claim and publish, and a closer that stands
 * itself before it has fixed the limit (ring/base.h). A ring is closed at one moment, whoever asks. */
#include "ring_actors.h"

/* Claimed before the close: delivered after it. "Drained" is not said before. */
static void close_while_a_producer_stands(int kind)
{
    uint64_t v = 9;
    struct actor a = cast(box_make(kind, CAPACITY, 8), "send claimed", 1);
    push_numbers(a.box, 0, 1);
    struct test_team *team = suspend(push_one, &a);
    CHECK(box_close(a.box));
    CHECK_INT(box_push(a.box, &v), EPIPE);
    CHECK_INT(box_len(a.box), 2);
    pop_numbers(a.box, 0, 1);
    CHECK_INT(box_pop(a.box, &v), WEIR__BUSY);
    CHECK_INT(box_len(a.box), 1);
    resume(team, &a);
    CHECK_INT(a.rc, 0);
    pop_numbers(a.box, 1, 1);
    CHECK_INT(box_pop(a.box, &v), EPIPE);
    box_free(a.box);
}

TEST(a_value_claimed_before_the_close_is_delivered)
{
    close_while_a_producer_stands(WEIR__MPSC);
    close_while_a_producer_stands(WEIR__MPMC);
    if (on_ck(WEIR__SPMC))
        close_while_a_producer_stands(WEIR__SPMC);
}

/* A lone producer has its place only once it has published: closed before that, it is refused, though the place is
 * written. */
TEST(a_lone_producer_that_publishes_after_the_close_is_refused)
{
    for (int i = 0; i < 2; i++) {
        uint64_t v = 9;
        const int kind = i == 0 ? WEIR__SPSC : WEIR__SPMC;
        if (!weir__ring_has_limit(kind))
            continue;
        struct actor a = cast(box_make(kind, CAPACITY, 8), "send claimed", 1);
        push_numbers(a.box, 0, 1);
        struct test_team *team = suspend(push_one, &a);
        CHECK(box_close(a.box));
        CHECK_INT(box_len(a.box), 1);
        resume(team, &a);
        CHECK_INT(a.rc, EPIPE);
        CHECK_INT(box_len(a.box), 1);
        pop_numbers(a.box, 0, 1);
        CHECK_INT(box_pop(a.box, &v), EPIPE);
        CHECK_INT(box_pop(a.box, NULL), EPIPE);
        box_free(a.box);
    }
}

static void close_it(void *p)
{
    self = (struct actor *)p;
    self->rc = box_close(self->box) ? 0 : EPIPE;
    raise_flag(&self->done);
}

/* The closer has announced itself and not fixed the limit yet. A producer that publishes now is told the truth, and
 * so is whoever pops: both wait for the closer, who finds the value before the limit. */
static void publish_while_a_closer_stands(int kind)
{
    uint64_t v = 9;
    struct actor closer = cast(box_make(kind, CAPACITY, 8), "closing", 0);
    struct actor sender = cast(closer.box, NULL, 0);
    struct actor receiver = cast(closer.box, NULL, 9);
    struct test_team *team = suspend(close_it, &closer);
    struct test_team *send = test_start(1, push_one, &sender, 0);
    EVENTUALLY(box_len(closer.box) == 1);
    struct test_team *recv = test_start(1, pop_one, &receiver, 0);
    CHECK(!flag(&sender.done) && !flag(&receiver.done)); /* nobody can know yet */
    resume(team, &closer);
    test_join(send);
    test_join(recv);
    CHECK(closer.rc == 0 && sender.rc == 0 && receiver.rc == 0);
    CHECK_INT(receiver.value, 0);
    CHECK_INT(box_pop(closer.box, &v), EPIPE);
    box_free(closer.box);
}

TEST(a_value_published_before_the_closer_looks_counts)
{
    for (int kind = 0; kind < 4; kind++)
        if (weir__ring_has_limit(kind))
            publish_while_a_closer_stands(kind);
}

/* ---- once closed, always closed: the first refusal is final, though the closer has not fixed the limit ---- */

static int first_answer; /* atomic: the first push has returned */
static int answers[2];

static void push_two(void *p)
{
    self = (struct actor *)p;
    answers[0] = box_push(self->box, &self->value);
    raise_flag(&first_answer);
    while (!flag(&self->go_on)) /* until there is room */
        sched_yield();
    answers[1] = box_push(self->box, &self->value);
    raise_flag(&self->done);
}

/* The ring is full, and a consumer stands with the oldest value in its hands; a closer stands before the limit. Now a
 * push finds no room; then the consumer goes on; then a second push finds room. */
static void refuse_and_accept(int kind)
{
    struct actor consumer = cast(box_make(kind, CAPACITY, 8), "recv claimed", 9);
    struct actor closer = cast(consumer.box, "closing", 0), sender = cast(consumer.box, NULL, 99);
    first_answer = 0;
    push_numbers(consumer.box, 0, CAPACITY);
    struct test_team *pops = suspend(pop_one, &consumer);
    struct test_team *closes = suspend(close_it, &closer);
    struct test_team *pushes = test_start(1, push_two, &sender, 0);
    /* It either answers now, or waits for the closer: then this is over after some time, and the test is right too. */
    for (int i = 0; i < 2000 && !flag(&first_answer); i++)
        sched_yield();
    resume(pops, &consumer);
    raise_flag(&sender.go_on);
    for (int i = 0; i < 2000 && box_len(consumer.box) < CAPACITY; i++) /* likewise: until the second is published */
        sched_yield();
    resume(closes, &closer);
    test_join(pushes);
    if (answers[0] == EPIPE)
        CHECK_INT(answers[1], EPIPE);
    box_free(consumer.box);
}

TEST(nothing_is_accepted_after_a_refusal)
{
    for (int kind = 0; kind < 4; kind++)
        if (weir__ring_has_limit(kind) && !on_ck(kind)) /* a ck consumer has no point at which to stop */
            refuse_and_accept(kind);
}

static void ask_whether_closed(void *p)
{
    self = (struct actor *)p;
    self->rc = weir__ring_is_closed(&self->box->ring, self->box->kind) ? EPIPE : 0;
    raise_flag(&self->done);
}

/* Whoever is told that the channel is closed, by weir_is_closed or by a second close, may tell the producer; and then
 * no push succeeds. */
static void told_of_the_close(int kind, void (*ask)(void *))
{
    struct actor closer = cast(box_make(kind, CAPACITY, 8), "closing", 0);
    struct actor asker = cast(closer.box, NULL, 0), sender = cast(closer.box, NULL, 0);
    struct test_team *closes = suspend(close_it, &closer);
    struct test_team *asks = test_start(1, ask, &asker, 0);
    for (int i = 0; i < 2000 && !flag(&asker.done); i++) /* it answers, or waits for the closer */
        sched_yield();
    const bool told = flag(&asker.done) && asker.rc == EPIPE;
    struct test_team *sends = test_start(1, push_one, &sender, 0);
    EVENTUALLY(box_len(closer.box) == 1 || flag(&sender.done));
    resume(closes, &closer);
    test_join(asks);
    test_join(sends);
    if (told)
        CHECK_INT(sender.rc, EPIPE);
    box_free(closer.box);
}

TEST(nothing_is_accepted_after_somebody_was_told_closed)
{
    for (int kind = 0; kind < 4; kind++)
        if (weir__ring_has_limit(kind)) {
            told_of_the_close(kind, ask_whether_closed);
            told_of_the_close(kind, close_it);
        }
}
