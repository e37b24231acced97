/* fetch_titles/page.h: a page: what is asked for, and what has come of it. */
#ifndef FETCH_TITLES_PAGE_H
#define FETCH_TITLES_PAGE_H

#include "title.h"
#include "weir.h"

enum { URL_MAX = 2000 };

struct page {
    struct host *host;
    int rc; /* what the policy has returned */
    int attempts;
    long status; /* of the last answer; 0: none */
    weir_ns took;
    char url[URL_MAX + 1], title[TITLE_MAX + 1], error[200];
};

#endif /* FETCH_TITLES_PAGE_H */
