/* chan/stats.h: what a channel says of itself: exact when nobody uses it, never more received than sent while many do; kept without a step on a fast path. */
#include "harness.h"
#include "kinds.h"

static weir_chan_tally tally_of(void *ch)
{
    weir_chan_tally t;
    CHECK_INT(weir__chan_stats((weir__chan *)ch, &t), 0);
    return t;
}

TEST_EACH_KIND(it_counts_what_went_through_over_many_laps)
{
    const weir_chan_opt opt = {WEIR_WAIT_ADAPTIVE, "letters", NULL, 0};
    uint64_t v = 0;
    void *ch;
    REQUIRE(k->make(&ch, 3, &opt) == 0);
    for (uint64_t sent = 0; sent < 100; sent++) {
        const weir_chan_tally t = tally_of(ch);
        CHECK_INT(t.sent, sent);
        CHECK_INT(t.received, sent < 2 ? 0 : sent - 2);
        CHECK_INT(t.len, sent < 2 ? sent : 2);
        CHECK_INT(t.cap, 3);
        CHECK(!t.closed && strcmp(t.name, "letters") == 0);
        CHECK_INT(t.senders_slept + t.receivers_slept + t.senders_asleep + t.receivers_asleep, 0);
        CHECK_INT(k->try_send(ch, &sent), 0);
        if (sent >= 2)
            CHECK_INT(k->try_recv(ch, &v), 0);
    }
    CHECK_INT(k->close(ch), 0);
    CHECK_INT(k->try_send(ch, &v), EPIPE);
    CHECK(tally_of(ch).closed);
    CHECK_INT(tally_of(ch).sent, 100);
    CHECK_INT(tally_of(ch).received, 98);
    k->free(&ch);
}

TEST(a_handle_that_is_null_has_no_numbers)
{
    chan_u64 none = {NULL};
    weir_chan_tally t = {"x", 1, 2, true, 3, 4, 5, 6, 7, 8};
    CHECK_INT(weir_chan_stats(none, &t), EINVAL);
    CHECK_INT(t.len + t.cap + t.sent + t.received + t.senders_slept + t.receivers_slept, 0);
    CHECK(!t.closed && t.name != NULL);
}

struct sleeper {
    const struct kind *k;
    void *ch;
};

static void *receives_one(void *arg)
{
    const struct sleeper *s = (const struct sleeper *)arg;
    uint64_t v;
    CHECK_INT(s->k->recv(NULL, s->ch, &v), 0);
    return NULL;
}

static void *sends_one(void *arg)
{
    const struct sleeper *s = (const struct sleeper *)arg;
    const uint64_t v = 1;
    CHECK_INT(s->k->send(NULL, s->ch, &v), 0);
    return NULL;
}

static void sleeps_are_counted(const struct kind *k, size_t capacity, bool sending)
{
    const weir_chan_opt opt = {WEIR_WAIT_PARK, NULL, NULL, 0};
    struct sleeper s = {k, NULL};
    uint64_t v = 7;
    weir_chan_tally t;
    pthread_t thread;
    REQUIRE(k->make(&s.ch, capacity, &opt) == 0);
    for (size_t i = 0; sending && i < capacity; i++)
        CHECK_INT(k->try_send(s.ch, &v), 0);
    REQUIRE(pthread_create(&thread, NULL, sending ? sends_one : receives_one, &s) == 0);
    EVENTUALLY(count_waiting((weir__chan *)s.ch, sending) == 1);
    t = tally_of(s.ch);
    CHECK_INT(sending ? t.senders_asleep : t.receivers_asleep, 1);
    CHECK_INT(sending ? t.receivers_asleep : t.senders_asleep, 0);
    CHECK((sending ? t.senders_slept : t.receivers_slept) >= 1);
    CHECK_INT(sending ? k->recv(NULL, s.ch, &v) : k->send(NULL, s.ch, &v), 0);
    pthread_join(thread, NULL);
    t = tally_of(s.ch);
    CHECK_INT(t.senders_asleep + t.receivers_asleep, 0);
    CHECK((sending ? t.senders_slept : t.receivers_slept) >= 1);
    k->free(&s.ch);
}

TEST_EACH_KIND(those_who_sleep_are_counted)
{
    sleeps_are_counted(k, 2, true);
    sleeps_are_counted(k, 2, false);
    sleeps_are_counted(k, 0, true); /* WEIR_WAIT_PARK: into the queue at once */
    sleeps_are_counted(k, 0, false);
}

struct crowd {
    chan_u64 ch;
    int done; /* atomic: senders that have returned */
};

static void *sends_many(void *arg)
{
    struct crowd *c = (struct crowd *)arg;
    for (uint64_t i = 0; i < 5000; i++)
        CHECK_INT(weir_send(NULL, c->ch, &i), 0);
    __atomic_add_fetch(&c->done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *receives_many(void *arg)
{
    struct crowd *c = (struct crowd *)arg;
    uint64_t v;
    while (weir_recv(NULL, c->ch, &v) == 0) {}
    return NULL;
}

TEST(while_many_use_it_numbers_rise_and_received_is_never_above_sent)
{
    struct crowd c = {{NULL}, 0};
    weir_chan_tally t, before;
    pthread_t thread[4];
    REQUIRE(weir_chan_make(&c.ch, 7) == 0);
    REQUIRE(weir_chan_stats(c.ch, &before) == 0);
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_create(&thread[i], NULL, i % 2 == 0 ? sends_many : receives_many, &c) == 0);
    do {
        CHECK_INT(weir_chan_stats(c.ch, &t), 0);
        CHECK(t.received <= t.sent && t.len <= t.cap);
        CHECK(t.sent >= before.sent && t.received >= before.received && t.senders_slept >= before.senders_slept);
        before = t;
        sched_yield();
    } while (__atomic_load_n(&c.done, __ATOMIC_SEQ_CST) < 2);
    CHECK_INT(weir_close(c.ch), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    CHECK_INT(weir_chan_stats(c.ch, &t), 0);
    CHECK_INT(t.sent, 10000);
    CHECK_INT(t.received, 10000);
    weir_chan_free(&c.ch);
}

TEST(what_is_dropped_for_newer_values_counts_as_received)
{
    chan_u64 ch;
    weir_chan_tally t;
    REQUIRE(weir_chan_make(&ch, 2) == 0);
    for (uint64_t i = 0; i < 5; i++)
        CHECK_INT(weir_send_latest(ch, &i, NULL), 0);
    CHECK_INT(weir_chan_stats(ch, &t), 0);
    CHECK_INT(t.sent, 5);
    CHECK_INT(t.received, 3);
    CHECK_INT(t.len, 2);
    weir_chan_free(&ch);
}
