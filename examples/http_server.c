/* http_server.c: a small HTTP/1.1 server: a pool of workers, pages for health and for Prometheus, and a shutdown that drops no request.
 *
 *     http_server [PORT]                   0 (any that is free) by default; prints "listening on 127.0.0.1:PORT"
 *
 *     GET /          a greeting            GET /health     200, or 503 once it stops
 *     GET /metrics   Prometheus' text      anything else   404; not GET or HEAD: 405; not HTTP: 400; a head above 8 KiB: 431
 *
 * Connections are kept alive. Each has a worker while it lasts; the pool grows to 64, and more wait in its queue.
 *
 * SIGTERM or SIGINT, in three phases
 *   stop     the listener takes what the system has accepted for it already, then closes
 *   drain    each connection gets its next answer with "Connection: close"; one that asks for nothing is closed after 200 ms
 *   finish   the last line of the log
 *   A second signal ends it at once. Exit status: 0; 1: something did not stop, and is named; 2: it could not start.
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, IDLE_MS = 30000, LAST_IDLE_MS = 200, CODES = 6, BODY_MAX = 4096 };

static const struct {
    int code;
    const char *text;
} codes[CODES] = {{200, "OK"},
                  {400, "Bad Request"},
                  {404, "Not Found"},
                  {405, "Method Not Allowed"},
                  {431, "Request Header Fields Too Large"},
                  {503, "Service Unavailable"}};

static struct server {
    int listener, wake[2]; /* wake: readable once the server stops: nothing is ever read from it */
    int stopping;          /* atomic: the listener is closed */
    weir_shutdown stop;
    weir_pool workers;
    weir_group acceptor;
    weir_hist latency;
    uint64_t answers[CODES], connections; /* atomic */
} server;

static bool stopping(void)
{
    return __atomic_load_n(&server.stopping, __ATOMIC_ACQUIRE) != 0;
}

/* ---- answers ---- */

static bool send_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        const ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        text += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* In one piece: a head and a body sent one after the other would wait for each other (Nagle's algorithm, and a delayed acknowledgement). */
static bool answer(int fd, int which, bool last, bool head_only, const char *type, const char *body)
{
    char text[300 + BODY_MAX];
    const size_t size = strlen(body);
    const int head =
        snprintf(text, 300, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: %s\r\n\r\n",
                 codes[which].code, codes[which].text, type, size, last ? "close" : "keep-alive");
    __atomic_add_fetch(&server.answers[which], 1, __ATOMIC_RELAXED);
    memcpy(text + head, body, size);
    return send_all(fd, text, (size_t)head + (head_only ? 0 : size)) && !last;
}

static void write_metrics(char *text, size_t size)
{
    weir_prometheus p;
    weir_pool_tally pool;
    weir_pool_stats(&server.workers, &pool);
    weir_prometheus_init(&p, text, size);
    weir_prometheus_family(&p, "http_requests_total", "Answers, by status.", WEIR_PROMETHEUS_COUNTER);
    for (int i = 0; i < CODES; i++) {
        char code[8];
        const weir_label label = {"code", code};
        snprintf(code, sizeof code, "%d", codes[i].code);
        weir_prometheus_count(&p, &label, 1, __atomic_load_n(&server.answers[i], __ATOMIC_RELAXED));
    }
    weir_prometheus_family(&p, "http_connections", "Connections that are open.", WEIR_PROMETHEUS_GAUGE);
    weir_prometheus_count(&p, NULL, 0, __atomic_load_n(&server.connections, __ATOMIC_RELAXED));
    weir_prometheus_family(&p, "pool_workers", "Threads of the pool.", WEIR_PROMETHEUS_GAUGE);
    weir_prometheus_count(&p, NULL, 0, pool.workers);
    weir_prometheus_family(&p, "pool_queued", "Connections that wait for a worker.", WEIR_PROMETHEUS_GAUGE);
    weir_prometheus_count(&p, NULL, 0, pool.queued);
    weir_prometheus_family(&p, "http_request_seconds", "From the end of the head to the end of the answer.",
                           WEIR_PROMETHEUS_SUMMARY);
    weir_prometheus_hist(&p, NULL, 0, &server.latency, NULL);
    (void)weir_prometheus_end(&p, NULL);
}

/* Answers the request whose head begins at `head` and ends before an empty line. False: the connection is to be closed. */
static bool respond(int fd, char *head)
{
    char *method = head, *path, *version;
    const bool last = stopping() || strstr(head, "Connection: close") != NULL;
    bool head_only;
    if ((path = strchr(method, ' ')) == NULL || (version = strchr(path + 1, ' ')) == NULL ||
        strncmp(version + 1, "HTTP/1.1", 8) != 0)
        return answer(fd, 1, true, false, "text/plain", "not an HTTP/1.1 request\n");
    *path++ = *version = '\0';
    head_only = strcmp(method, "HEAD") == 0;
    if (!head_only && strcmp(method, "GET") != 0)
        return answer(fd, 3, true, false, "text/plain", "GET or HEAD\n");
    if (strcmp(path, "/") == 0)
        return answer(fd, 0, last, head_only, "text/plain", "hello\n");
    if (strcmp(path, "/health") == 0)
        return answer(fd, weir_ctx_err(weir_shutdown_ctx(&server.stop)) != 0 ? 5 : 0, last, head_only, "text/plain",
                      last ? "stopping\n" : "ok\n");
    if (strcmp(path, "/metrics") == 0) {
        char text[BODY_MAX];
        write_metrics(text, sizeof text);
        return answer(fd, 0, last, head_only, "text/plain; version=0.0.4", text);
    }
    return answer(fd, 2, last, head_only, "text/plain", "no such page\n");
}

/* ---- connections ---- */

/* Waits for bytes of the next request. False: there will be none. */
static bool wait_for_request(int fd)
{
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {server.wake[0], POLLIN, 0}};
    const int n = poll(fds, stopping() ? 1 : 2, stopping() ? LAST_IDLE_MS : IDLE_MS);
    if (n < 0)
        return errno == EINTR;
    if (n > 0 && fds[0].revents == 0) /* the server stops: whoever has just sent a request still gets an answer */
        return stopping() ? wait_for_request(fd) : (sched_yield(), true);
    return n > 0;
}

/* A job: one connection, until either side has had enough. */
static int serve(weir_ctx *ctx, void *arg)
{
    const int fd = (int)(intptr_t)arg;
    char head[HEAD_MAX + 1];
    size_t have = 0;
    bool open = true;
    (void)ctx;
    __atomic_add_fetch(&server.connections, 1, __ATOMIC_RELAXED);
    while (open) {
        char *end;
        head[have] = '\0';
        if ((end = strstr(head, "\r\n\r\n")) != NULL) {
            const weir_ns begun = weir_now();
            const size_t used = (size_t)(end - head) + 4;
            end[2] = '\0';
            open = respond(fd, head);
            weir_hist_record(&server.latency, weir_now() - begun);
            have -= used;
            memmove(head, head + used, have); /* the next request may be here already */
        } else if (have == HEAD_MAX) {
            open = answer(fd, 4, true, false, "text/plain", "the head is too long\n");
        } else if ((open = wait_for_request(fd))) {
            const ssize_t n = recv(fd, head + have, HEAD_MAX - have, MSG_DONTWAIT);
            open = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
            have += n > 0 ? (size_t)n : 0;
        }
    }
    close(fd);
    __atomic_sub_fetch(&server.connections, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Takes whatever connection there is. False: none. */
static bool take_one(void)
{
    const int fd = accept(server.listener, NULL, NULL);
    if (fd < 0)
        return false;
    if (weir_pool_submit(NULL, &server.workers, serve, (void *)(intptr_t)fd, &(weir_job_opt){.name = "connection"}) !=
        0)
        close(fd);
    return true;
}

static int accept_all(weir_ctx *ctx, void *unused)
{
    struct pollfd fds[2] = {{server.listener, POLLIN, 0}, {server.wake[0], POLLIN, 0}};
    (void)unused;
    while (weir_ctx_err(ctx) == 0) {
        if (poll(fds, 2, -1) > 0 && fds[0].revents != 0)
            (void)take_one();
    }
    while (take_one()) {} /* those that the system has accepted for us */
    close(server.listener);
    return 0;
}

/* ---- the end ---- */

/* When the context ends: whoever polls wakes up. */
static void wake_all(void *unused)
{
    (void)unused;
    if (write(server.wake[1], "", 1) < 0) {} /* the pipe is empty: there is room */
}

static int stop_accepting(weir_ctx *ctx, void *unused)
{
    const int rc = weir_group_wait(&server.acceptor);
    (void)ctx;
    (void)unused;
    __atomic_store_n(&server.stopping, 1, __ATOMIC_RELEASE);
    return rc;
}

static int drain(weir_ctx *ctx, void *unused)
{
    (void)unused;
    return weir_pool_drain(ctx, &server.workers);
}

static int last_line(weir_ctx *ctx, void *unused)
{
    uint64_t all = 0;
    (void)ctx;
    (void)unused;
    for (int i = 0; i < CODES; i++)
        all += server.answers[i];
    printf("stopped: %llu answers, %llu connections left\n", (unsigned long long)all,
           (unsigned long long)server.connections);
    return 0;
}

static int start(int port)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    const weir_group_opt opt = {.name = "acceptor"};
    const int yes = 1;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    server.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (server.listener < 0 || setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(server.listener, (struct sockaddr *)&address, size) != 0 || listen(server.listener, 128) != 0 ||
        getsockname(server.listener, (struct sockaddr *)&address, &size) != 0 ||
        fcntl(server.listener, F_SETFL, O_NONBLOCK) != 0 || pipe(server.wake) != 0)
        return errno;
    weir_hist_init(&server.latency);
    if (weir_pool_start(&server.workers, NULL, &(weir_pool_opt){.min = 4, .max = 64, .queue = 128}) != 0)
        return EAGAIN;
    weir_group_init(&server.acceptor, weir_shutdown_ctx(&server.stop), &opt);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return weir_group_go(NULL, &server.acceptor, accept_all, NULL);
}

int main(int argc, char **argv)
{
    static weir_ctx_hook hook;
    weir_shutdown_line line[8];
    size_t lines;
    int rc;
    if ((rc = weir_shutdown_init(&server.stop, NULL)) != 0 || (rc = start(argc > 1 ? atoi(argv[1]) : 0)) != 0) {
        fprintf(stderr, "http_server: %s\n", strerror(rc));
        return 2;
    }
    weir_ctx_on_cancel(weir_shutdown_ctx(&server.stop), &hook, wake_all, NULL);
    weir_shutdown_on_phase(&server.stop, WEIR_SHUTDOWN_STOP, "listener", WEIR_SEC(5), stop_accepting, NULL);
    weir_shutdown_on_phase(&server.stop, WEIR_SHUTDOWN_DRAIN, "connections", WEIR_SEC(20), drain, NULL);
    weir_shutdown_on_phase(&server.stop, WEIR_SHUTDOWN_FINISH, "log", WEIR_SEC(1), last_line, NULL);
    rc = weir_shutdown_wait(NULL, &server.stop);
    lines = weir_shutdown_report(&server.stop, line, 8);
    for (size_t i = 0; i < lines && i < 8; i++)
        if (line[i].rc != 0)
            fprintf(stderr, "http_server: %s: %s\n", line[i].name, strerror(line[i].rc));
    if (rc != 0)
        return 1; /* what did not stop still uses all this */
    weir_pool_free(&server.workers);
    weir_group_free(&server.acceptor);
    return weir_shutdown_free(&server.stop);
}
