/* fetch_titles/host.h: the guards of each host: its breaker and its rate. */
#ifndef FETCH_TITLES_HOST_H
#define FETCH_TITLES_HOST_H

#include "options.h"
#include "page.h"

#include <curl/curl.h>

enum { HOSTS = 256 };

struct host {
    struct host *next;
    weir_breaker breaker;
    weir_limiter limiter;
    char name[]; /* with the port */
};

struct hosts {
    struct host *at[HOSTS]; /* by hash */
};

/* The guards of "name:port"; NULL: no memory. One thread looks in this table. */
static inline struct host *host_of(struct hosts *hosts, const char *name)
{
    static const uint64_t seed[2] = {1, 2};
    const size_t size = strlen(name) + 1;
    struct host **at = &hosts->at[weir_hash(seed, name, size) % HOSTS], *h;
    const weir_breaker_config breaker = {.consecutive = (uint32_t)option[FAILURES].value,
                                         .open_time = ms(OPEN),
                                         .growth = 2,
                                         .max_open_time = WEIR_SEC(3600)};
    for (h = *at; h != NULL; h = h->next)
        if (strcmp(h->name, name) == 0)
            return h;
    if ((h = (struct host *)calloc(1, sizeof *h + size)) == NULL)
        return NULL;
    (void)weir_breaker_init(&h->breaker, &breaker); /* the numbers are within their limits, and */
    (void)weir_limiter_init(&h->limiter, (double)option[RATE].value, option[BURST].value, NULL); /* so are these */
    memcpy(h->name, name, size);
    h->next = *at;
    return *at = h;
}

/* NULL, or what is wrong with the URL. */
static inline const char *host_find(struct hosts *hosts, const char *url, struct host **host)
{
    char *scheme = NULL, *name = NULL, *port = NULL, both[URL_MAX + 16];
    CURLU *parts = curl_url();
    const char *wrong = "no memory";
    if (parts != NULL) {
        if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
            curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
            curl_url_get(parts, CURLUPART_HOST, &name, 0) != CURLUE_OK)
            wrong = "not a URL";
        else if ((strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
                 curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
            wrong = "neither http nor https";
        else if (snprintf(both, sizeof both, "%s:%s", name, port) > 0 && (*host = host_of(hosts, both)) != NULL)
            wrong = NULL;
        curl_free(scheme);
        curl_free(name);
        curl_free(port);
        curl_url_cleanup(parts);
    }
    return wrong;
}

static inline void hosts_free(struct hosts *hosts)
{
    for (int i = 0; i < HOSTS; i++)
        for (struct host *h = hosts->at[i], *next; h != NULL; h = next) {
            next = h->next;
            weir_breaker_free(&h->breaker);
            free(h);
        }
}

#endif /* FETCH_TITLES_HOST_H */
