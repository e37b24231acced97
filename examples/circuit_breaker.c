/* circuit_breaker.c: a client that leaves a failing server in peace, and comes back to it by itself.
 *
 * The server is a thread of this program, on a TCP port of this machine: whoever connects gets a line. For a while it is ill, and hangs up on
 * everybody. The client asks every millisecond, through a breaker. Three failures in a row open it: for 20 ms the client makes do with the answer
 * that it had last, and the server has no load at all. Then one call is let through to see; it fails, and the breaker stays open for twice as long.
 * After that the next two succeed, and all is as before.
 */
#define _POSIX_C_SOURCE 200809L /* sockets, beside -std=c11 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ILL_FROM = 4, WELL_FROM = 8, LAST = 12 }; /* connections, by their number */

struct server {
    int listener;
    struct sockaddr_in address;
};

static int start_listening(struct server *s)
{
    socklen_t size = sizeof s->address;
    memset(&s->address, 0, sizeof s->address);
    s->address.sin_family = AF_INET;
    s->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* port 0: any that is free */
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&s->address, size) != 0 ||
        listen(s->listener, 8) != 0 || getsockname(s->listener, (struct sockaddr *)&s->address, &size) != 0)
        return errno;
    return 0;
}

static int serve(weir_ctx *ctx, void *arg)
{
    const struct server *s = (const struct server *)arg;
    (void)ctx;
    for (int number = 1; number <= LAST; number++) {
        const int connection = accept(s->listener, NULL, NULL);
        char line[32];
        if (connection < 0)
            return errno;
        if (number < ILL_FROM || number >= WELL_FROM) {
            const int size = snprintf(line, sizeof line, "answer %d", number);
            if (send(connection, line, (size_t)size, MSG_NOSIGNAL) != size)
                puts("the client did not wait for its answer");
        }
        close(connection);
    }
    return 0;
}

/* What the breaker guards: 0, or why there is no answer. Any other call over a network would stand here. */
struct request {
    const struct server *server;
    char answer[32];
};

static int ask(weir_ctx *ctx, void *arg)
{
    struct request *r = (struct request *)arg;
    char line[sizeof r->answer] = "";
    size_t size = 0;
    ssize_t n = -1;
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    (void)ctx;
    if (connection < 0)
        return errno;
    if (connect(connection, (const struct sockaddr *)&r->server->address, sizeof r->server->address) == 0)
        while ((n = read(connection, line + size, sizeof line - 1 - size)) > 0)
            size += (size_t)n;
    close(connection);
    if (n != 0 || size == 0) {
        puts("the server hangs up");
        return EIO;
    }
    memcpy(r->answer, line, sizeof line);
    printf("the server gives %s\n", line);
    return 0;
}

/* Called once for each change, by the thread that has made it, with no lock held. */
static void show_change(weir_breaker *b, int from, int to, void *arg)
{
    weir_breaker_tally tally;
    (void)arg;
    weir_breaker_counts(b, &tally);
    printf("    the breaker was %s and is %s", weir_breaker_state_text(from), weir_breaker_state_text(to));
    printf(tally.reopened > 0 && to == WEIR_BREAKER_OPEN ? ", for twice as long\n" : "\n");
}

int main(void)
{
    struct server server;
    struct request request = {&server, "nothing yet"};
    weir_group threads;
    weir_breaker breaker;
    int asked = 0, refused = 0;
    const weir_breaker_config config = {
        .consecutive = 3,         /* failures in a row open it, */
        .open_time = WEIR_MS(20), /* for so long; */
        .growth = 2,              /* each time that a probe fails, twice as long, */
        .max_open_time = WEIR_SEC(1),
        .successes = 2, /* and so many successes close it */
        .on_change = show_change,
    };
    if (start_listening(&server) != 0 || weir_breaker_init(&breaker, &config) != 0)
        return 1;
    weir_group_init(&threads, NULL, NULL);
    if (weir_group_go(NULL, &threads, serve, &server) != 0)
        return 1;

    while (asked < LAST) {
        if (weir_breaker_call(NULL, &breaker, ask, &request) == EAGAIN)
            refused++; /* open: nobody has waited for the server, and request.answer is as good as it was */
        else
            asked++;
        weir_sleep(NULL, WEIR_MS(1));
    }

    printf("asked %d times, and refused to ask in between: %s\n", asked, refused > 0 ? "yes" : "no");
    printf("the server has ended: %s\n", weir_error_text(weir_group_wait(&threads)));
    weir_group_free(&threads);
    weir_breaker_free(&breaker);
    close(server.listener);
    return 0;
}
