/* tests/chan/test_cxx.cc: the same channels from C++17. */
#include "harness.h"

#include <thread>

struct tick {
    double price;
    int size;
};
typedef weir_chan(tick) tick_chan;
typedef weir_spsc(tick) tick_line;
typedef weir_mpsc(tick) tick_merge;
typedef weir_spmc(tick) tick_split;

/* The handle's type is a template argument like any other. */
template <typename Chan> static void one_by_one()
{
    Chan ch;
    tick t = {1.5, 7};
    REQUIRE(weir_chan_make(&ch, 2) == 0);
    CHECK_INT(weir_cap(ch), 2);
    CHECK_INT(weir_send(nullptr, ch, &t), 0);
    t.size = 8;
    CHECK_INT(weir_try_send(ch, &t), 0);
    CHECK_INT(weir_try_send(ch, &t), EAGAIN);
    CHECK_INT(weir_send_until(nullptr, ch, &t, weir_now()), ETIMEDOUT);
    CHECK_INT(weir_len(ch), 2);
    t = tick();
    CHECK_INT(weir_recv(nullptr, ch, &t), 0);
    CHECK(t.price == 1.5 && t.size == 7);
    CHECK_INT(weir_try_recv(ch, nullptr), 0);
    CHECK_INT(weir_try_recv(ch, &t), EAGAIN);
    CHECK_INT(weir_recv_until(nullptr, ch, &t, WEIR_MS(1)), ETIMEDOUT);
    CHECK_INT(weir_close(ch), 0);
    CHECK(weir_is_closed(ch));
    CHECK_INT(weir_recv(nullptr, ch, &t), EPIPE);
    weir_chan_free(&ch);
    CHECK(ch.core == nullptr);
}

template <typename Chan> static void batches_and_in_place()
{
    Chan ch;
    tick in[5], out[5], *slot = nullptr;
    size_t n = 0;
    for (int i = 0; i < 5; i++)
        in[i] = {i * 0.5, i};
    weir_chan_opt opt = weir_chan_opt();
    opt.name = "ticks";
    REQUIRE(weir_chan_make_opt(&ch, 6, &opt) == 0);
    CHECK_STR(weir_chan_name(ch), "ticks");
    CHECK_INT(weir_send_n(nullptr, ch, in, 5, &n), 0);
    CHECK_INT(n, 5);
    REQUIRE(weir_reserve(nullptr, ch, &slot) == 0);
    slot->price = 9;
    slot->size = 9;
    CHECK_INT(weir_commit(ch, slot), 0);
    CHECK_INT(weir_recv_n(nullptr, ch, out, 5, &n), 0);
    CHECK_INT(n, 5);
    for (int i = 0; i < 5; i++)
        CHECK(out[i].size == i && out[i].price == i * 0.5);
    const int rc = weir_peek(nullptr, ch, &slot);
    if (rc == ENOTSUP) { /* ck with several receivers */
        CHECK_INT(weir_recv(nullptr, ch, out), 0);
        CHECK_INT(out[0].size, 9);
    } else {
        REQUIRE(rc == 0);
        CHECK_INT(slot->size, 9);
        CHECK_INT(weir_release(ch, slot), 0);
    }
    weir_chan_free(&ch);
}

template <typename Chan> static void between_threads()
{
    Chan ch;
    const long rounds = test_rounds(20000);
    REQUIRE(weir_chan_make(&ch, 3) == 0);
    std::thread sender([ch, rounds] {
        for (long i = 0; i < rounds; i++) {
            const tick t = {0.25 * (double)i, (int)i};
            CHECK_INT(weir_send(nullptr, ch, &t), 0);
        }
        CHECK_INT(weir_close(ch), 0);
    });
    tick t;
    long got = 0;
    for (; weir_recv(nullptr, ch, &t) == 0; got++)
        CHECK(t.size == got && t.price == 0.25 * (double)got);
    sender.join();
    CHECK_INT(got, rounds);
    weir_chan_free(&ch);
}

template <typename Chan> static void all_of_it()
{
    one_by_one<Chan>();
    batches_and_in_place<Chan>();
    between_threads<Chan>();
}

TEST(chan_from_cxx)
{
    all_of_it<tick_chan>();
}

TEST(spsc_from_cxx)
{
    all_of_it<tick_line>();
}

TEST(mpsc_from_cxx)
{
    all_of_it<tick_merge>();
}

TEST(spmc_from_cxx)
{
    all_of_it<tick_split>();
}

template <typename Chan> static void latest()
{
    Chan ch;
    tick t = {0, 0};
    size_t dropped = 0, sum = 0;
    REQUIRE(weir_chan_make(&ch, 3) == 0);
    for (t.size = 0; t.size < 10; t.size++) {
        CHECK_INT(weir_send_latest(ch, &t, &dropped), 0);
        sum += dropped;
    }
    CHECK_INT(sum, 7);
    CHECK_INT(weir_recv(nullptr, ch, &t), 0);
    CHECK_INT(t.size, 7);
    weir_chan_free(&ch);
}

TEST(send_latest_from_cxx)
{
    latest<tick_chan>();
    latest<tick_split>();
}
