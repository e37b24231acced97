/* shutdown.c: a server that stops as it should: it takes no more requests, finishes those that it has, and says what did not stop. It sends itself
 * the signal that the system would send. */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <signal.h>
#include <stdio.h>

typedef weir_chan(int) int_chan;

static struct server {
    weir_shutdown stop;
    int_chan requests;
    weir_group clients, workers;
    int answered;
} server;

/* Sends requests until it is told to stop; the hundredth is followed by a signal. */
static int client(weir_ctx *ctx, void *unused)
{
    (void)unused;
    for (int i = 1; weir_ctx_err(ctx) == 0; i++)
        if (weir_send(ctx, server.requests, &i) == 0 && i == 100)
            raise(SIGTERM);
    return 0;
}

/* Answers until the channel is closed and drained: the context of the clients is no affair of its. */
static int worker(weir_ctx *ctx, void *unused)
{
    int request;
    (void)unused;
    while (weir_recv(ctx, server.requests, &request) == 0)
        server.answered++;
    return 0;
}

static int stop_accepting(weir_ctx *ctx, void *unused)
{
    (void)ctx;
    (void)unused;
    weir_group_wait(&server.clients); /* their context has ended */
    return weir_close(server.requests);
}

static int drain(weir_ctx *ctx, void *unused)
{
    (void)ctx;
    (void)unused;
    return weir_group_wait(&server.workers);
}

/* A cache that is slow to write, and minds its context. */
static int save_cache(weir_ctx *ctx, void *unused)
{
    (void)unused;
    return weir_sleep(ctx, WEIR_SEC(1000));
}

static int flush_log(weir_ctx *ctx, void *unused)
{
    (void)ctx;
    (void)unused;
    printf("log: %s\n", server.answered >= 100 ? "all that was sent has been answered" : "some requests were lost");
    return 0;
}

int main(void)
{
    weir_shutdown_line line[8];
    weir_shutdown *stop = &server.stop;
    int rc;
    if (weir_shutdown_init(stop, NULL) != 0 || weir_chan_make(&server.requests, 16) != 0)
        return 1;
    weir_shutdown_on_phase(stop, WEIR_SHUTDOWN_STOP, "clients", WEIR_SEC(60), stop_accepting, NULL);
    weir_shutdown_on_phase(stop, WEIR_SHUTDOWN_DRAIN, "requests", WEIR_SEC(60), drain, NULL);
    weir_shutdown_on_phase(stop, WEIR_SHUTDOWN_DRAIN, "cache", WEIR_MS(50), save_cache, NULL);
    weir_shutdown_on_phase(stop, WEIR_SHUTDOWN_FINISH, "log", WEIR_SEC(60), flush_log, NULL);
    weir_group_init(&server.clients, weir_shutdown_ctx(stop), NULL);
    weir_group_init(&server.workers, NULL, NULL);
    if (weir_group_go(NULL, &server.workers, worker, NULL) != 0 ||
        weir_group_go(NULL, &server.clients, client, NULL) != 0)
        return 1;
    rc = weir_shutdown_wait(NULL, stop);
    printf("stopped by signal %d: %s\n", weir_shutdown_signal(stop), weir_error_text(rc));
    for (size_t i = 0, n = weir_shutdown_report(stop, line, 8); i < n && i < 8; i++)
        printf("%-10s%s%s\n", line[i].name, weir_error_text(line[i].rc), line[i].not_stopped ? ", still running" : "");
    weir_group_free(&server.clients);
    rc = weir_shutdown_free(stop);
    printf("threads left: %d\n", weir_thread_count());
    weir_chan_free(&server.requests);
    return rc;
}
