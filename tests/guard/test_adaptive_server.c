/* tests/guard/test_adaptive_server.c: the limit beside a simulated server whose capacity is known. */
#include "guard/hand.h"

/* ---- a server: `capacity` requests at once, first come first served, each `service` long; and callers who want as much as they are allowed ---- */

enum { MOST = 5000 };
struct job {
    weir_adaptive_permit permit;
    weir_ns end;
    int outcome;
};
static struct sim {
    weir_adaptive a;
    struct hand hand;
    int capacity, room; /* room: in the queue; beyond, it refuses, which takes `service` too */
    weir_ns service;
    unsigned vary; /* percent by which service times vary */
    uint64_t random;
    struct job heap[2 * MOST], queue[MOST]; /* at work and being refused, the first to end on top; waiting, a ring */
    int heaped, at_work, head, waiting;
    long done, refused;
} sim;

static uint32_t below(uint32_t n)
{
    sim.random = sim.random * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(((sim.random >> 33) * n) >> 31);
}

static void push(const struct job *job)
{
    int i = sim.heaped++;
    for (; i > 0 && sim.heap[(i - 1) / 2].end > job->end; i = (i - 1) / 2)
        sim.heap[i] = sim.heap[(i - 1) / 2];
    sim.heap[i] = *job;
}

static struct job pop(void)
{
    const struct job first = sim.heap[0], last = sim.heap[--sim.heaped];
    int i = 0;
    for (int next = 1; next < sim.heaped; next = 2 * i + 1) {
        next += next + 1 < sim.heaped && sim.heap[next + 1].end < sim.heap[next].end;
        if (sim.heap[next].end >= last.end)
            break;
        sim.heap[i] = sim.heap[next];
        i = next;
    }
    sim.heap[i] = last;
    return first;
}

static void work(struct job *job)
{
    const weir_ns vary = sim.vary == 0 ? 0 : (weir_ns)below(2 * sim.vary + 1) - (weir_ns)sim.vary;
    job->end = sim.hand.at + sim.service + sim.service / 100 * vary;
    push(job);
    sim.at_work++;
}

static void arrive(struct job *job)
{
    job->outcome = WEIR_ADAPTIVE_OK;
    if (sim.at_work < sim.capacity) {
        work(job);
    } else if (sim.waiting < sim.room) {
        sim.queue[(sim.head + sim.waiting++) % MOST] = *job;
    } else {
        job->outcome = WEIR_ADAPTIVE_DROPPED;
        job->end = sim.hand.at + sim.service;
        push(job);
    }
}

static void serve(void)
{
    while (sim.at_work < sim.capacity && sim.waiting > 0) {
        work(&sim.queue[sim.head]);
        sim.head = (sim.head + 1) % MOST;
        sim.waiting--;
    }
}

/* Up to n more callers come, as far as there are places. */
static int callers(int n)
{
    struct job job;
    int came = 0;
    for (; came < n && weir_adaptive_try_acquire(&sim.a, &job.permit) == 0; came++) {
        CHECK(weir_adaptive_in_flight(&sim.a) <= weir_adaptive_limit(&sim.a));
        arrive(&job);
    }
    return came;
}

/* The next request ends. */
static void step(void)
{
    struct job job = pop();
    sim.hand.at = job.end;
    sim.at_work -= job.outcome == WEIR_ADAPTIVE_OK;
    sim.done++;
    sim.refused += job.outcome != WEIR_ADAPTIVE_OK;
    CHECK_INT(weir_adaptive_release(&sim.a, &job.permit, job.outcome), 0);
    serve();
}

static void sim_init(const weir_adaptive_config *config, int capacity)
{
    weir_adaptive_config c = *config;
    memset(&sim, 0, sizeof sim);
    hand_init(&sim.hand, WEIR_SEC(1));
    c.clock = &sim.hand.clock;
    sim.capacity = capacity;
    sim.room = MOST;
    sim.service = WEIR_MS(10);
    sim.random = (uint64_t)capacity + (uint64_t)test_seed() * 1000;
    REQUIRE(weir_adaptive_init(&sim.a, &c) == 0);
}

static bool measuring(void)
{
    return weir__adaptive_measures(sim.a.window);
}

/* For so many round trips as many callers as there are places. The least and the greatest limit, but for windows that measure. */
struct seen {
    int64_t least, most;
};
static struct seen run(double round_trips)
{
    const weir_ns end = sim.hand.at + (weir_ns)(round_trips * (double)sim.service);
    struct seen seen = {INT64_MAX, 0};
    callers(MOST);
    while (sim.hand.at < end) {
        const int64_t limit = (step(), callers(MOST), weir_adaptive_limit(&sim.a));
        if (!measuring()) {
            seen.least = limit < seen.least ? limit : seen.least;
            seen.most = limit > seen.most ? limit : seen.most;
        }
    }
    return seen;
}

/* For so many round trips, those not counted in which a window measures. */
static void settle(double round_trips)
{
    weir_ns left = (weir_ns)(round_trips * (double)sim.service);
    callers(MOST);
    while (left > 0) {
        const weir_ns before = sim.hand.at;
        const bool counts = !measuring();
        step();
        callers(MOST);
        left -= counts ? sim.hand.at - before : 0;
    }
}

/* Within `percent` of the capacity, or one place. */
static void check_near(struct seen seen, int percent, const char *when)
{
    const double near = sim.capacity * percent / 100.0 > 1 ? sim.capacity * percent / 100.0 : 1;
    if (!CHECK((double)seen.least >= sim.capacity - near - 1e-9 && (double)seen.most <= sim.capacity + near + 1e-9))
        test_say("#   %s: capacity %d, limit %lld to %lld\n", when, sim.capacity, (long long)seen.least,
                 (long long)seen.most);
}

static const weir_adaptive_config gradient = {.max = MOST - 1};

/* ---- gradient ---- */

static void halves_and_recovers(int capacity, double settled)
{
    sim_init(&gradient, capacity);
    run(80);
    check_near(run(settled), 20, "begun");
    for (int i = 0; i < 3; i++) {
        sim.capacity = capacity / 2;
        settle(10);
        check_near(run(settled), 20, "halved");
        sim.capacity = capacity;
        serve();
        settle(10);
        check_near(run(settled), 20, "recovered");
    }
}

TEST(gradient_tracks_a_capacity_that_halves_and_recovers)
{
    const int sizes[] = {5, 10, 50, 100, 500, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        halves_and_recovers(sizes[i], 40 + (double)test_rounds(360));
}

TEST(gradient_tracks_servers_of_all_sizes)
{
    for (int capacity = 6; capacity <= 1000; capacity += 2 + 2 * (int)(capacity / test_rounds(32)))
        halves_and_recovers(capacity, 30);
}

static int far_off(int capacity)
{
    return capacity < 10 ? 200 : capacity < 50 ? 150 : 50;
}

TEST(gradient_is_not_far_off_when_service_times_vary)
{
    const int sizes[] = {5, 10, 20, 50, 100, 200, 500};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (unsigned vary = 25; vary <= 50; vary += 25) {
            sim_init(&gradient, sizes[i]);
            sim.vary = vary;
            run(400);
            check_near(run((double)test_rounds(1000)), far_off(sim.capacity), "varying");
            sim.capacity /= 2;
            run(20);
            check_near(run(50), far_off(sim.capacity), "varying, halved");
        }
}

TEST(gradient_uses_a_server_of_one)
{
    sim_init(&gradient, 1);
    run(300);
    const struct seen seen = run(1000);
    CHECK_INT(seen.least, 2);
    CHECK_INT(seen.most, 2);
}

TEST(a_server_that_becomes_slower_for_good_is_not_taken_for_a_queue)
{
    const int sizes[] = {5, 10, 50, 100, 500, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sim_init(&gradient, sizes[i]);
        run(100);
        sim.service *= 3;
        run(40);
        check_near(run(100), 20, "slower");
        sim.service /= 6;
        run(80);
        check_near(run(100), 20, "faster");
    }
}

TEST(it_measures_every_so_many_windows_and_goes_on_as_before)
{
    weir_adaptive_config config = gradient;
    config.measure = 10;
    sim_init(&config, 100);
    run(100);
    int measured = 0;
    int64_t before = 0;
    bool was = measuring();
    callers(MOST);
    for (long i = 0; i < 50000; i++) {
        const int64_t limit = weir_adaptive_limit(&sim.a);
        step();
        callers(MOST);
        if (measuring() && !was) {
            measured++;
            CHECK(weir_adaptive_limit(&sim.a) == sim.a.kept / 2);
            before = sim.a.kept;
        } else if (was && !measuring()) {
            CHECK(limit == before / 2 && weir_adaptive_limit(&sim.a) == before);
        }
        was = measuring();
    }
    CHECK(measured >= 50000 / 220 / 11 && measured <= 50000 / 160 / 10 + 1);
    config.measure = -1;
    sim_init(&config, 100);
    CHECK(measuring());
    run(100);
    for (long i = 0; i < 50000; i++) {
        step();
        callers(MOST);
        CHECK(!measuring());
    }
}

/* The first window measures: whoever begins with far too many is not fooled by the queue that they are. */
TEST(a_start_far_above_the_capacity_is_found_out)
{
    weir_adaptive_config config = gradient;
    config.initial = 40;
    sim_init(&config, 10);
    run(20);
    check_near(run(100), 20, "begun");
}

/* ---- what is not used does not grow ---- */

TEST(bursts_with_idleness_between_do_not_inflate_the_limit)
{
    for (int burst = 1; burst <= 40; burst++) {
        sim_init(&gradient, 1000);
        for (int i = 0; i < 500; i++) {
            callers(burst);
            while (sim.heaped > 0)
                step();
            hand_move(&sim.hand, WEIR_SEC(1));
        }
        CHECK_INT(weir_adaptive_limit(&sim.a), measuring() ? 5 : 20);
        CHECK_INT(weir_adaptive_in_flight(&sim.a), 0);
    }
}

TEST(a_little_load_neither_inflates_the_limit_nor_shrinks_it)
{
    sim_init(&gradient, 1000);
    sim.vary = 50;
    callers(5);
    for (long i = 0; i < 20000; i++) {
        step();
        callers(1);
        CHECK(weir_adaptive_limit(&sim.a) == 20 || measuring());
    }
}

TEST(aimd_does_not_grow_unless_it_is_used)
{
    const weir_adaptive_config config = {.method = WEIR_ADAPTIVE_AIMD};
    sim_init(&config, 1000);
    for (int i = 0; i < 2000; i++) {
        callers(i % 20 + 1);
        while (sim.heaped > 0)
            step();
        CHECK_INT(weir_adaptive_limit(&sim.a), 20);
    }
}

/* ---- min, max, drops ---- */

TEST(the_limit_stays_between_min_and_max)
{
    for (int method = WEIR_ADAPTIVE_GRADIENT; method <= WEIR_ADAPTIVE_AIMD; method++) {
        const weir_adaptive_config config = {.method = method, .initial = 10, .min = 8, .max = 30, .measure = 5};
        struct seen seen;
        sim_init(&config, 1000);
        run(100);
        seen = run(100);
        CHECK_INT(seen.most, 30);
        CHECK(weir_adaptive_limit(&sim.a) >= 8);
        sim.capacity = 1;
        sim.room = 1;
        run(100);
        seen = run(100);
        CHECK_INT(seen.least, 8);
        CHECK_INT(seen.most, 8);
    }
}

/* ---- aimd: where refusals begin ---- */

TEST(aimd_swings_below_where_refusals_begin)
{
    const int sizes[] = {10, 40, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const weir_adaptive_config config = {.method = WEIR_ADAPTIVE_AIMD};
        sim_init(&config, sizes[i]);
        sim.room = sizes[i] / 10;
        run(200);
        for (int half = 1; half <= 2; half++) { /* whole, then half */
            const int refuses = sim.capacity + sim.room;
            const struct seen seen = run(200);
            CHECK(seen.most <= refuses + refuses / 10 + 2); /* a window or two go by until refusals are heard of */
            CHECK(seen.least >= refuses * 7 / 10 - 2);
            if (half == 2)
                break;
            sim.capacity /= 2;
            sim.room /= 2;
            run(20); /* seven windows, and what is in the queue */
        }
        sim.capacity *= 2;
        sim.room *= 2;
        serve();
        run(10); /* one place a round trip */
        const int64_t after_10 = weir_adaptive_limit(&sim.a);
        CHECK(after_10 <= sim.capacity / 2 + sim.room + 12);
        CHECK((after_10 >= sim.capacity * 8 / 10) == (sizes[i] == 10));
        run(0.4 * sim.capacity + 10);
        CHECK(weir_adaptive_limit(&sim.a) >= sim.capacity * 8 / 10);
        CHECK(sim.refused < sim.done / 10);
    }
}
