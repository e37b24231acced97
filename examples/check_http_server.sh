#!/bin/sh
# examples/check_http_server.sh: pages and errors of the server; and twenty times: eight connections ask as fast as they can, SIGTERM comes, and no
# request is left without its answer.
. examples/check.sh

builds

# client PORT ask TEXT: sends it, prints what comes back until the server closes. client PORT load PID: eight connections, SIGTERM to PID once each has had 50
# answers; prints how many answers came, and how many requests got none.
cat >"$BUILD/client.c" <<'X'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 8, WARM = 50 };
static struct sockaddr_in address;
static long answered, failed;
static int warm, pid;

static int to_server(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}
/* A whole answer; its size, or -1. */
static long read_answer(int fd, char *text, size_t room)
{
    size_t have = 0;
    for (;;) {
        const ssize_t n = recv(fd, text + have, room - 1 - have, 0);
        char *body, *length;
        if (n <= 0)
            return -1;
        have += (size_t)n;
        text[have] = '\0';
        body = strstr(text, "\r\n\r\n");
        length = strstr(text, "Content-Length: ");
        if (body && length && have >= (size_t)(body + 4 - text) + strtoul(length + 16, NULL, 10))
            return (long)have;
    }
}
static void *asks(void *unused)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
    int fd = to_server();
    char text[4096];
    for (long n = 0; fd >= 0; n++) {
        if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1 || read_answer(fd, text, sizeof text) < 0 ||
            strncmp(text, "HTTP/1.1 200 OK\r\n", 17) != 0 || !strstr(text, "\r\n\r\nhello\n")) {
            __atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
            break;
        }
        __atomic_add_fetch(&answered, 1, __ATOMIC_RELAXED);
        if (n + 1 == WARM && __atomic_add_fetch(&warm, 1, __ATOMIC_RELAXED) == CONNECTIONS)
            kill(pid, SIGTERM);
        if (strstr(text, "Connection: close")) {
            close(fd);
            fd = to_server(); /* refused, by now */
        }
    }
    if (fd >= 0)
        close(fd);
    return unused;
}
int main(int argc, char **argv)
{
    char text[65536];
    if (argc != 4)
        return 2;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    if (strcmp(argv[2], "load") == 0) {
        pthread_t thread[CONNECTIONS];
        pid = atoi(argv[3]);
        for (int i = 0; i < CONNECTIONS; i++)
            pthread_create(&thread[i], NULL, asks, NULL);
        for (int i = 0; i < CONNECTIONS; i++)
            pthread_join(thread[i], NULL);
        printf("%s %ld failed\n", answered >= CONNECTIONS * WARM ? "enough answers," : "too few answers,", failed);
        return 0;
    }
    const int fd = to_server();
    size_t have = 0;
    for (char *at = argv[3]; *at; at++) { /* "|" ends a line */
        if (*at == '|' ? send(fd, "\r\n", 2, MSG_NOSIGNAL) != 2 : send(fd, at, 1, MSG_NOSIGNAL) != 1)
            break;
    }
    for (ssize_t n; have < sizeof text && (n = recv(fd, text + have, sizeof text - have, 0)) > 0;)
        have += (size_t)n;
    return fwrite(text, 1, have, stdout) != have;
}
X
expect "the client builds" $CC -O2 "$BUILD/client.c" -o "$BUILD/client" -pthread

begin() # starts the server; $pid, $port
{
    : >"$BUILD/log"
    $fixed "$program" >"$BUILD/log" 2>"$BUILD/errors" &
    pid=$! port=
    while [ -z "$port" ]; do
        kill -0 "$pid" 2>/dev/null || { cat "$BUILD/errors"; return 1; }
        port=$(sed -n 's/listening on 127.0.0.1://p' "$BUILD/log")
    done
}
end() # SIGTERM; the server's status
{
    kill -TERM "$pid" 2>/dev/null
    wait "$pid"
}
asks() # TEXT WANTED...: the answer has all of them
{
    text=$1
    shift
    "$BUILD/client" "$port" ask "$text" | tr -d '\r' >"$BUILD/answer"
    for wanted in "$@"; do
        grep -q "$wanted" "$BUILD/answer" || { echo "no: $wanted"; cat "$BUILD/answer"; return 1; }
    done
}
long=$(awk 'BEGIN { for (i = 0; i < 9000; i++) printf "x" }')
pages()
{
    begin || return 1
    asks "GET / HTTP/1.1|Connection: close||" "^HTTP/1.1 200 OK" "^Content-Length: 6" "^Connection: close" "^hello" &&
        asks "GET / HTTP/1.1||GET /health HTTP/1.1||GET / HTTP/1.1|Connection: close||" "^ok" "^hello" "^Connection: keep-alive" &&
        asks "HEAD / HTTP/1.1|Connection: close||" "^HTTP/1.1 200 OK" "^Content-Length: 6" && ! grep -q hello "$BUILD/answer" &&
        asks "GET /nowhere HTTP/1.1|Connection: close||" "^HTTP/1.1 404 Not Found" &&
        asks "POST / HTTP/1.1||" "^HTTP/1.1 405 Method Not Allowed" &&
        asks "what is this||" "^HTTP/1.1 400 Bad Request" &&
        asks "$long" "^HTTP/1.1 431 " &&
        asks "GET /metrics HTTP/1.1|Connection: close||" '^http_requests_total{code="200"} 5$' '^http_requests_total{code="404"} 1$' \
            '^http_requests_total{code="431"} 1$' '^http_connections 1$' '^http_request_seconds_count 8$' '^# TYPE http_request_seconds summary$'
    answered=$?
    end && [ "$answered" -eq 0 ] && grep -q "^stopped: 10 answers, 0 connections left" "$BUILD/log" || { cat "$BUILD/log" "$BUILD/errors"; return 1; }
}
under_load() # TIMES
{
    for i in $(seq "$1"); do
        begin || return 1
        line=$("$BUILD/client" "$port" load "$pid")
        wait "$pid"
        status=$?
        [ "$line" = "enough answers, 0 failed" ] && [ "$status" -eq 0 ] && grep -q "connections left" "$BUILD/log" ||
            { echo "shutdown $i: $line, status $status"; cat "$BUILD/log" "$BUILD/errors"; return 1; }
    done
}
idle()
{
    begin || return 1
    "$BUILD/client" "$port" ask "GET / HTTP/1.1||" >"$BUILD/answer" & # is kept alive, and asks for nothing more
    client=$!
    until grep -q hello "$BUILD/answer" || asks "GET /metrics HTTP/1.1|Connection: close||" '^http_connections 2$'; do :; done
    end || return 1
    wait "$client"
    grep -q hello "$BUILD/answer"
}
expect "pages, errors, keep-alive, metrics" pages
expect "twenty shutdowns under load: no request is dropped" under_load 20
expect "a connection that asks for nothing does not keep it" idle
sanitized() # SANITIZER
{
    expect "$1: pages" pages
    expect "$1: three shutdowns under load" under_load 3
    expect "$1: a connection that asks for nothing" idle
}
each_sanitizer sanitized
finish
