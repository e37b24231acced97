/* adaptive.c: a limit that follows a server. The server is simulated: it works on so many requests at once, 10 ms each, and the others queue;
 * after a while half of it is gone, and later comes back. The callers want more than it can do, always. The limit knows nothing but latencies.
 * Time is a clock moved by hand, so a second takes no time, and each run prints the same. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>
#include <string.h>

enum { QUEUE = 256, WHOLE = 40, WIDTH = 56 };
#define SERVICE WEIR_MS(10)

struct hand {
    weir_clock clock; /* first */
    weir_ns at;
};
static weir_ns hand_now(weir_clock *clock)
{
    return ((struct hand *)(void *)clock)->at;
}
static struct hand hand = {{hand_now, NULL}, 0};

/* Requests in the order of their arrival, a ring. The first `at_work` are being worked on, and end in that order, for all take the same time. */
struct request {
    weir_adaptive_permit permit;
    weir_ns end;
};
static struct request requests[QUEUE];
static int head, count, at_work, capacity = WHOLE;
static weir_adaptive limit;

static void server_works(void)
{
    for (; at_work < count && at_work < capacity; at_work++)
        requests[(head + at_work) % QUEUE].end = hand.at + SERVICE;
}

static void callers_come(void)
{
    while (count < QUEUE && weir_adaptive_try_acquire(&limit, &requests[(head + count) % QUEUE].permit) == 0)
        count++;
    server_works();
}

/* Until the next request ends; its caller gives the permit back. */
static void next_ends(void)
{
    struct request *r = &requests[head];
    hand.at = r->end;
    weir_adaptive_release(&limit, &r->permit, WEIR_ADAPTIVE_OK);
    head = (head + 1) % QUEUE;
    count--;
    at_work--;
    server_works();
}

/* Capacity as a bar, the limit as a mark on it. */
static void show(int milliseconds)
{
    char line[WIDTH + 1];
    const int at = (int)weir_adaptive_limit(&limit);
    memset(line, ' ', WIDTH);
    memset(line, '-', (size_t)capacity);
    line[capacity - 1] = '|';
    line[at < WIDTH ? at - 1 : WIDTH - 1] = 'o';
    line[WIDTH] = '\0';
    for (char *end = line + WIDTH; end > line && end[-1] == ' ';)
        *--end = '\0';
    printf("%4d ms %3d  %s\n", milliseconds, at, line);
}

/* The worst of the limits that were seen, as percent of the capacity. */
static int off(void)
{
    const int by = (int)weir_adaptive_limit(&limit) - capacity;
    return (by < 0 ? -by : by) * 100 / capacity;
}

int main(void)
{
    weir_adaptive_config config;
    int worst = 0;
    memset(&config, 0, sizeof config); /* all as usual, but for these */
    config.clock = &hand.clock;
    config.measure =
        -1; /* how long an idle server takes is measured once, in the first window, for it does not change here */
    if (weir_adaptive_init(&limit, &config) != 0)
        return 1;
    printf("   time limit  --| capacity, o limit\n");
    for (int t = 0; t < 900; t += 20) {
        if (t == 300 || t == 600)
            capacity = t == 300 ? WHOLE / 2 : WHOLE;
        server_works();
        callers_come();
        while (requests[head].end <= WEIR_MS(t)) {
            next_ends();
            callers_come();
        }
        hand.at = WEIR_MS(t);
        show(t);
        if (t >= 200 && t % 300 >= 100 && off() > worst)
            worst = off();
    }
    printf("ten round trips after a change, and from then on, within 20 %%: %s\n", worst <= 20 ? "yes" : "no");
    return 0;
}
