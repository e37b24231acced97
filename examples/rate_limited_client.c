/* rate_limited_client.c: clients that know the quota of a server, and stay under it together.
 *
 * The server is a thread of this program, on a TCP port of this machine, with two plans: on /free it answers ten requests at once and then one every six seconds,
 * on /paid 500 a second; above that it says 429, as a web service does. First a client asks /free as fast as it can. Then four threads ask /paid, and
 * share a limiter of 500 a second: each waits for its turn before it asks, and none is ever refused.
 */
#define _POSIX_C_SOURCE 200809L /* sockets, beside -std=c11 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS = 60, CLIENTS = 4, RATE = 500, BURST = 5 };

/* ---- the server ---- */

struct server {
    int listener;
    struct sockaddr_in address;
    weir_limiter free, paid; /* one for each plan; weir_limiter_map has one for each client */
};

static int start_listening(struct server *s)
{
    socklen_t size = sizeof s->address;
    memset(&s->address, 0, sizeof s->address);
    s->address.sin_family = AF_INET;
    s->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* port 0: any that is free */
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&s->address, size) != 0 ||
        listen(s->listener, 64) != 0 || getsockname(s->listener, (struct sockaddr *)&s->address, &size) != 0)
        return errno;
    return 0;
}

static int serve(weir_ctx *ctx, void *arg)
{
    struct server *s = (struct server *)arg;
    (void)ctx;
    for (int i = 0; i < 2 * REQUESTS; i++) {
        const int connection = accept(s->listener, NULL, NULL);
        char line[16] = "";
        int refused;
        if (connection < 0)
            return errno;
        if (read(connection, line, sizeof line - 1) <= 0)
            return EIO;
        refused = strcmp(line, "GET /free\n") == 0 ? weir_limiter_allow(&s->free, 1) : weir_limiter_allow(&s->paid, 1);
        if (send(connection, refused ? "429\n" : "200\n", 4, MSG_NOSIGNAL) != 4)
            return EIO;
        close(connection);
    }
    return 0;
}

/* ---- the clients ---- */

struct client {
    const struct server *server;
    const char *request;
    weir_limiter *limiter; /* NULL: as fast as it can */
    int requests, answered, refused;
};

static int ask_once(struct client *c)
{
    char answer[8] = "";
    const size_t size = strlen(c->request);
    const int connection = socket(AF_INET, SOCK_STREAM, 0);
    ssize_t n = -1;
    if (connection < 0)
        return errno;
    if (connect(connection, (const struct sockaddr *)&c->server->address, sizeof c->server->address) == 0 &&
        send(connection, c->request, size, MSG_NOSIGNAL) == (ssize_t)size)
        n = read(connection, answer, sizeof answer - 1);
    close(connection);
    if (n <= 0)
        return EIO;
    if (strcmp(answer, "200\n") == 0)
        c->answered++;
    else
        c->refused++;
    return 0;
}

static int ask(weir_ctx *ctx, void *arg)
{
    struct client *c = (struct client *)arg;
    int rc = 0;
    for (int i = 0; i < c->requests && rc == 0; i++) {
        if (c->limiter != NULL && (rc = weir_limiter_wait(ctx, c->limiter, 1)) != 0)
            break;
        rc = ask_once(c);
    }
    return rc;
}

int main(void)
{
    static struct server server;
    struct client free_plan = {&server, "GET /free\n", NULL, REQUESTS, 0, 0}, paid[CLIENTS];
    weir_limiter limiter;
    weir_group threads, clients;
    int rc, answered = 0, refused = 0;
    weir_ns begun, took;
    if (start_listening(&server) != 0 || weir_limiter_init(&server.free, 1.0 / 6, 10, NULL) != 0)
        return 1;
    /* Four requests may be on their way, so the server sees up to four more at once than the clients' limiter has let go. */
    if (weir_limiter_init(&server.paid, RATE, BURST + CLIENTS, NULL) != 0 ||
        weir_limiter_init(&limiter, RATE, BURST, NULL) != 0)
        return 1;
    weir_group_init(&threads, NULL, NULL);
    if (weir_group_go(NULL, &threads, serve, &server) != 0)
        return 1;

    rc = ask(NULL, &free_plan);
    printf("/free, without a limiter: %d answered, %d refused (%s)\n", free_plan.answered, free_plan.refused,
           weir_error_text(rc));

    weir_group_init(&clients, NULL, NULL);
    begun = weir_now();
    for (int i = 0; i < CLIENTS; i++) {
        paid[i] = (struct client){&server, "GET /paid\n", &limiter, REQUESTS / CLIENTS, 0, 0};
        if (weir_group_go(NULL, &clients, ask, &paid[i]) != 0)
            return 1;
    }
    rc = weir_group_wait(&clients);
    took = weir_now() - begun;
    for (int i = 0; i < CLIENTS; i++) {
        answered += paid[i].answered;
        refused += paid[i].refused;
    }
    printf("/paid, four threads under one limiter: %d answered, %d refused (%s)\n", answered, refused,
           weir_error_text(rc));
    printf("it took as long as 500 a second take: %s\n",
           took >= WEIR_MS(1000 * (REQUESTS - BURST) / RATE) ? "yes" : "no");

    printf("the server has ended: %s\n", weir_error_text(weir_group_wait(&threads)));
    weir_group_free(&clients);
    weir_group_free(&threads);
    close(server.listener);
    return 0;
}
