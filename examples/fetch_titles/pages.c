/* fetch_titles/pages.c: a web server that is hard to get on with: for examples/check_fetch_titles.sh.
 *
 * Prints "listening on A B C D", four ports of 127.0.0.1: three serve the same pages, the fourth refuses connections. Then a line for each request:
 * the port's number, from 1, and the path. A connection is for one request, and has a thread. Runs until it is killed.
 *
 *     /page/N         a title with N in it        /slow/MS/N      the same, after so many milliseconds
 *     /flaky/N/K      500, K times; then a page   /fail/N         500
 *     /once/N         a page after 100 ms; 500 each time after the first
 *     /busy/N         503 with Retry-After: 1, once; then a page
 *     /redirect/K     K times on, then to a page  /loop           to itself        /elsewhere    to ftp:
 *     /hang           says nothing                /trickle        a byte every 20 ms, for ever
 *     /reset          hangs up                    /cut            hangs up in the middle of the page
 *     /untitled       no title                    /split          a few bytes at a time, also within the words
 *     /huge           a title, and no end         /late           a title after a megabyte
 *     /odd, /long     titles to be tidied         else            404
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORTS = 4, SERVING = 3, COUNTERS = 1024 };
static uint32_t asked[COUNTERS]; /* atomic: requests for /flaky/N, /busy/N */

static bool say(int fd, const char *text, size_t size)
{
    while (size > 0) {
        const ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

static bool head(int fd, const char *status, const char *more)
{
    char text[300];
    const int n = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nConnection: close\r\n%s\r\n", status, more);
    return say(fd, text, (size_t)n);
}

static void page(int fd, const char *status, const char *more, const char *body)
{
    if (head(fd, status, more))
        (void)say(fd, body, strlen(body));
}

static void titled(int fd, const char *text)
{
    char body[300];
    snprintf(body, sizeof body, "<html><head><title>Page %.100s</title></head><body>text</body></html>", text);
    page(fd, "200 OK", "", body);
}

/* How often the page with this number was asked for before. */
static uint32_t before(const char *number)
{
    return __atomic_fetch_add(&asked[strtoul(number, NULL, 10) % COUNTERS], 1, __ATOMIC_RELAXED);
}

static void wait_for_end(int fd)
{
    char text[256];
    while (recv(fd, text, sizeof text, 0) > 0) {}
}

/* ---- the pages ---- */

static void send_page(int fd, const char *rest)
{
    titled(fd, rest);
}
static void send_slow(int fd, const char *rest)
{
    weir_sleep(NULL, WEIR_MS(atoi(rest)));
    titled(fd, strchr(rest, '/') != NULL ? strchr(rest, '/') + 1 : rest);
}
static void send_flaky(int fd, const char *rest)
{
    const char *times = strchr(rest, '/');
    if (times != NULL && before(rest) < strtoul(times + 1, NULL, 10))
        page(fd, "500 Internal Server Error", "", "<title>not this one</title>");
    else
        titled(fd, "that was flaky");
}
static void send_fail(int fd, const char *rest)
{
    (void)rest;
    page(fd, "500 Internal Server Error", "", "<title>not this one</title>");
}
static void send_once(int fd, const char *rest)
{
    const bool first = before(rest) == 0;
    weir_sleep(NULL, WEIR_MS(100));
    if (first)
        titled(fd, "that was there once");
    else
        send_fail(fd, rest);
}
static void send_busy(int fd, const char *rest)
{
    if (before(rest) == 0)
        page(fd, "503 Service Unavailable", "Retry-After: 1\r\n", "");
    else
        titled(fd, "that was busy");
}
static void send_redirect(int fd, const char *rest)
{
    char to[64];
    const int left = atoi(rest);
    if (left > 1)
        snprintf(to, sizeof to, "Location: /redirect/%d\r\n", left - 1);
    else
        snprintf(to, sizeof to, "Location: /page/redirected\r\n");
    page(fd, "302 Found", to, "<title>not this one</title>");
}
static void send_loop(int fd, const char *rest)
{
    (void)rest;
    page(fd, "301 Moved Permanently", "Location: /loop\r\n", "");
}
static void send_elsewhere(int fd, const char *rest)
{
    (void)rest;
    page(fd, "301 Moved Permanently", "Location: ftp://127.0.0.1/\r\n", "");
}
static void send_nothing(int fd, const char *rest)
{
    (void)rest;
    wait_for_end(fd);
}
static void send_trickle(int fd, const char *rest)
{
    (void)rest;
    (void)head(fd, "200 OK", "");
    while (say(fd, "x", 1))
        weir_sleep(NULL, WEIR_MS(20));
}
static void send_reset(int fd, const char *rest)
{
    const struct linger at_once = {1, 0};
    (void)rest;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}
static void send_cut(int fd, const char *rest)
{
    (void)rest;
    page(fd, "200 OK", "Content-Length: 1000\r\n", "<title>only the begin");
}
static void send_untitled(int fd, const char *rest)
{
    (void)rest;
    page(fd, "200 OK", "", "<html><titles>no</titles><p>nothing here</html>");
}
static void send_split(int fd, const char *rest)
{
    static const char body[] = "<html><head><title>Sent in many pieces</title></head></html>";
    (void)rest;
    if (head(fd, "200 OK", ""))
        for (size_t i = 0; i + 1 < sizeof body && say(fd, body + i, sizeof body - 1 - i < 3 ? sizeof body - 1 - i : 3);
             i += 3)
            weir_sleep(NULL, WEIR_MS(2));
}
static void send_huge(int fd, const char *rest)
{
    static const char filler[8192];
    (void)rest;
    page(fd, "200 OK", "", "<title>Page huge</title>");
    while (say(fd, filler, sizeof filler)) {}
}
static void send_late(int fd, const char *rest)
{
    static const char filler[8192];
    bool open = head(fd, "200 OK", "");
    (void)rest;
    for (int i = 0; i < 128 && open; i++)
        open = say(fd, filler, sizeof filler);
    if (open)
        (void)say(fd, "<title>Page late</title>", 24);
}
static void send_odd(int fd, const char *rest)
{
    (void)rest;
    page(fd, "200 OK", "",
         "<titles>no</titles><TITLE\n lang='en'>\r\n  Fish &amp;\t\tChips\n</Title><title>second</title>");
}
static void send_long(int fd, const char *rest)
{
    char body[1100] = "<title>a";
    (void)rest;
    for (int i = 0; i < 500; i++)
        strcat(body, "\xc3\xa4");
    strcat(body, "</title>");
    page(fd, "200 OK", "", body);
}

static const struct {
    const char *path;
    void (*send)(int fd, const char *rest);
} pages[] = {{"/page/", send_page},
             {"/slow/", send_slow},
             {"/flaky/", send_flaky},
             {"/fail/", send_fail},
             {"/once/", send_once},
             {"/busy/", send_busy},
             {"/redirect/", send_redirect},
             {"/loop", send_loop},
             {"/elsewhere", send_elsewhere},
             {"/hang", send_nothing},
             {"/trickle", send_trickle},
             {"/reset", send_reset},
             {"/cut", send_cut},
             {"/untitled", send_untitled},
             {"/split", send_split},
             {"/huge", send_huge},
             {"/late", send_late},
             {"/odd", send_odd},
             {"/long", send_long}};

/* ---- connections ---- */

struct visit {
    int fd, port;
};

/* The path of a request for a page; false: it is none. */
static bool read_path(int fd, char *path, size_t room)
{
    char text[4096];
    size_t have = 0;
    const char *end;
    for (text[0] = '\0'; strstr(text, "\r\n\r\n") == NULL;) {
        const ssize_t n = have + 1 < sizeof text ? recv(fd, text + have, sizeof text - 1 - have, 0) : 0;
        if (n <= 0)
            return false;
        have += (size_t)n;
        text[have] = '\0';
    }
    if (strncmp(text, "GET /", 5) != 0 || (end = strchr(text + 4, ' ')) == NULL || (size_t)(end - text) - 4 >= room)
        return false;
    memcpy(path, text + 4, (size_t)(end - text) - 4);
    path[end - text - 4] = '\0';
    return true;
}

static int serve(weir_ctx *ctx, void *arg)
{
    const struct visit v = *(const struct visit *)arg;
    const int yes = 1;
    char path[2048];
    size_t i;
    (void)ctx;
    free(arg);
    if (read_path(v.fd, path, sizeof path)) {
        printf("%d %s\n", v.port, path);
        fflush(stdout);
        (void)setsockopt(v.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        for (i = 0; i < sizeof pages / sizeof pages[0] && strncmp(path, pages[i].path, strlen(pages[i].path)) != 0;
             i++) {}
        if (i < sizeof pages / sizeof pages[0])
            pages[i].send(v.fd, path + strlen(pages[i].path));
        else
            page(v.fd, "404 Not Found", "", "<title>not this one</title>");
    }
    close(v.fd);
    return 0;
}

static int open_port(struct pollfd *p, bool serving, int *number)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* port 0: any that is free */
    p->events = POLLIN;
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&address, size) != 0 || (serving && listen(p->fd, 128) != 0) ||
        getsockname(p->fd, (struct sockaddr *)&address, &size) != 0)
        return errno;
    *number = ntohs(address.sin_port);
    return 0;
}

int main(void)
{
    static weir_group visitors;
    struct pollfd ports[PORTS];
    int number[PORTS];
    for (int i = 0; i < PORTS; i++)
        if (open_port(&ports[i], i < SERVING, &number[i]) != 0)
            return 1;
    weir_group_init(&visitors, NULL, NULL);
    printf("listening on %d %d %d %d\n", number[0], number[1], number[2], number[3]);
    fflush(stdout);
    while (poll(ports, SERVING, -1) > 0)
        for (int i = 0; i < SERVING; i++) {
            struct visit *v = (struct visit *)malloc(sizeof *v);
            if (v == NULL || ports[i].revents == 0 || (v->fd = accept(ports[i].fd, NULL, NULL)) < 0) {
                free(v);
                continue;
            }
            v->port = i + 1;
            if (weir_group_go(NULL, &visitors, serve, v) != 0) {
                close(v->fd);
                free(v);
            }
        }
    return 1;
}
