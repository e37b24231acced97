/* fetch_titles/fetcher.h: one request, by libcurl, which a context cuts off. */
#ifndef FETCH_TITLES_FETCHER_H
#define FETCH_TITLES_FETCHER_H

#include "options.h"
#include "page.h"

#include <curl/curl.h>

/* What one request works with. The connections that it keeps are used again. */
struct fetcher {
    CURL *easy;
    CURLM *multi;
    char *body;
    size_t used;
    bool cut; /* the page is longer */
    char error[CURL_ERROR_SIZE];
};

static inline size_t fetcher_take(char *data, size_t one, size_t size, void *arg)
{
    struct fetcher *f = (struct fetcher *)arg;
    const size_t room = (size_t)option[BYTES].value - f->used, n = size < room ? size : room;
    (void)one; /* is 1 */
    memcpy(f->body + f->used, data, n);
    f->used += n;
    f->cut = n < size;
    return n; /* less than there is: curl gives up */
}

static inline void fetcher_wake(void *multi)
{
    (void)curl_multi_wakeup((CURLM *)multi);
}

/* Runs what f->easy is set up for. 0: *code is how curl has ended; ECANCELED, ETIMEDOUT: the context has, and the transfer is cut off. No call in
 * here waits beyond the context: whoever cancels it wakes the poll, and its deadline is the poll's. */
static inline int fetcher_transfer(weir_ctx *ctx, struct fetcher *f, CURLcode *code)
{
    weir_ctx_hook hook;
    int running = 1, left, rc;
    const CURLMsg *message;
    *code = CURLE_FAILED_INIT;
    if (curl_multi_add_handle(f->multi, f->easy) != CURLM_OK)
        return 0;
    (void)weir_ctx_on_cancel(ctx, &hook, fetcher_wake, f->multi);
    while ((rc = weir_ctx_err(ctx)) == 0 && curl_multi_perform(f->multi, &running) == CURLM_OK && running > 0) {
        const weir_ns until = weir_ctx_deadline(ctx), now = weir_now();
        const weir_ns wait = until <= now ? 0 : until - now < WEIR_SEC(60) ? until - now : WEIR_SEC(60);
        (void)curl_multi_poll(f->multi, NULL, 0, (int)(wait / WEIR_MS(1)) + 1, NULL);
    }
    (void)weir_ctx_off_cancel(ctx, &hook);
    while ((message = curl_multi_info_read(f->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE)
            *code = message->data.result;
    (void)curl_multi_remove_handle(f->multi, f->easy);
    return running > 0 ? rc : 0; /* it may have ended at the last moment */
}

/* What the end of a transfer means for those around it: retry, breaker. 0: the server has an answer that is final. */
static inline int fetcher_meaning(weir_ctx *ctx, const struct fetcher *f, struct page *p, CURLcode code)
{
    curl_off_t after = 0;
    if (code == CURLE_WRITE_ERROR && f->cut)
        code = CURLE_OK;
    (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &p->status);
    if (code != CURLE_OK && code != CURLE_TOO_MANY_REDIRECTS) {
        snprintf(p->error, sizeof p->error, "%.199s", f->error[0] != '\0' ? f->error : curl_easy_strerror(code));
        return code == CURLE_COULDNT_CONNECT                                       ? ECONNREFUSED
               : code == CURLE_COULDNT_RESOLVE_HOST                                ? EHOSTUNREACH
               : code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT ? EPROTO /* where it redirects to */
                                                                                   : ECONNRESET;
    }
    if (code == CURLE_OK && p->status < 300)
        return 0;
    snprintf(p->error, sizeof p->error, code == CURLE_OK ? "status %ld" : "status %ld, too many redirects", p->status);
    if (p->status != 429 && p->status < 500)
        return 0;
    if (curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
        weir_retry_after(ctx, WEIR_SEC(after < 86400 ? after : 86400));
    return EREMOTEIO;
}

/* One attempt at the page: its status and title, or error. What it returns is for those around it: retry, breaker. */
static inline int fetcher_get(weir_ctx *ctx, struct fetcher *f, struct page *p)
{
    CURLcode code;
    int rc;
    p->status = 0;
    p->error[0] = f->error[0] = '\0';
    f->used = 0;
    f->cut = false;
    (void)curl_easy_setopt(f->easy, CURLOPT_URL, p->url);
    rc = fetcher_transfer(ctx, f, &code);
    if (rc != 0)
        snprintf(p->error, sizeof p->error, rc == ETIMEDOUT ? "timed out" : "cut off");
    else if ((rc = fetcher_meaning(ctx, f, p, code)) == 0 && p->status < 300 && !title_find(f->body, f->used, p->title))
        snprintf(p->error, sizeof p->error, f->cut ? "no title in the first %zu bytes" : "no title", f->used);
    return rc;
}

static inline bool fetcher_open(struct fetcher *f)
{
    f->easy = curl_easy_init();
    f->multi = curl_multi_init();
    f->body = (char *)malloc((size_t)option[BYTES].value);
    if (f->easy == NULL || f->multi == NULL || f->body == NULL)
        return false;
#if LIBCURL_VERSION_NUM >= 0x075700
    (void)curl_easy_setopt(f->easy, CURLOPT_QUICK_EXIT,
                           1L); /* who is cut off does not wait for a name to be resolved */
#endif
#if LIBCURL_VERSION_NUM >= 0x075500
    (void)curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(f->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    (void)curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    (void)curl_easy_setopt(f->easy, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    (void)curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(f->easy, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(f->easy, CURLOPT_MAXREDIRS, 5L);
    (void)curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "fetch_titles/1");
    (void)curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, fetcher_take);
    (void)curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
    (void)curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->error);
    return true;
}

static inline void fetcher_close(struct fetcher *f)
{
    (void)curl_multi_cleanup(f->multi);
    curl_easy_cleanup(f->easy);
    free(f->body);
}

#endif /* FETCH_TITLES_FETCHER_H */
