/* log_pipeline/history.h: apt's history.log: which command was at work at a time. */
#ifndef LOG_PIPELINE_HISTORY_H
#define LOG_PIPELINE_HISTORY_H

#include "entry.h"

struct transaction {
    char begin[TIME_TEXT], end[TIME_TEXT];
    char *command;
};

struct history {
    struct transaction *transactions; /* in the order of time */
    size_t count;
};

/* "Start-Date: 2025-06-24  14:36:25": with one space, as dpkg writes it. False: another line. */
static inline bool history_time(const char *text, const char *head, char *time)
{
    const size_t size = strlen(head);
    if (strncmp(text, head, size) != 0 || strlen(text + size) < TIME_TEXT)
        return false;
    memcpy(time, text + size, 11);
    memcpy(time + 11, text + size + 12, 8);
    time[TIME_TEXT - 1] = '\0';
    return true;
}

/* What apt has done, each with its times. One that has no end was broken off. 0 or an errno value. */
static inline int history_read(struct history *h, const char *file)
{
    FILE *in = fopen(file, "r");
    struct transaction *t = NULL;
    char *text = NULL, time[TIME_TEXT];
    size_t room = 0;
    if (in == NULL)
        return errno;
    while (getline(&text, &room, in) > 0) {
        text[strcspn(text, "\n")] = '\0';
        if (history_time(text, "Start-Date: ", time)) {
            h->transactions =
                (struct transaction *)or_die(realloc(h->transactions, (h->count + 1) * sizeof *h->transactions));
            t = &h->transactions[h->count++];
            memcpy(t->begin, time, TIME_TEXT);
            memcpy(t->end, time, TIME_TEXT);
            t->command = NULL;
        } else if (t != NULL && t->command == NULL && strncmp(text, "Commandline: ", 13) == 0) {
            t->command = (char *)or_die(strdup(text + 13));
        } else if (t != NULL && history_time(text, "End-Date: ", time)) {
            memcpy(t->end, time, TIME_TEXT);
        }
    }
    free(text);
    fclose(in);
    return 0;
}

/* The command of the last transaction that has begun by then, unless it was over. */
static inline const char *history_command(const struct history *h, const char *time)
{
    size_t low = 0, high = h->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(h->transactions[middle].begin, time) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || strcmp(h->transactions[low - 1].end, time) < 0 || h->transactions[low - 1].command == NULL)
        return "-";
    return h->transactions[low - 1].command;
}

static inline void history_free(struct history *h)
{
    for (size_t i = 0; i < h->count; i++)
        free(h->transactions[i].command);
    free(h->transactions);
}

#endif /* LOG_PIPELINE_HISTORY_H */
