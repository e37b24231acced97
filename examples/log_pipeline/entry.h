/* log_pipeline/entry.h: from a line of the log to what it says. Its format stands in dpkg(1), under --log. */
#ifndef LOG_PIPELINE_ENTRY_H
#define LOG_PIPELINE_ENTRY_H

#include "source.h"

enum { TIME_TEXT = 20, NAME_TEXT = 100, WORDS = 6 };

enum { INSTALL, UPGRADE, CONFIGURE, TRIGPROC, REMOVE, PURGE, STATUS, STARTUP, CONFFILE, DISAPPEAR, ACTIONS };
static const struct {
    const char *name;
    size_t words; /* of the line, the time's two among them */
} actions[ACTIONS] = {{"install", 6}, {"upgrade", 6}, {"configure", 6}, {"trigproc", 6}, {"remove", 6},
                      {"purge", 6},   {"status", 6},  {"startup", 5},   {"conffile", 5}, {"disappear", 6}};

/* Owns nothing: one that is dropped is gone, and no more. */
struct entry {
    const struct source *source;
    long number;
    const char *fault;   /* NULL, or what is wrong with the line; then nothing else is set */
    const char *command; /* of apt; by the enrichment */
    int action;
    char time[TIME_TEXT];
    char package[NAME_TEXT]; /* without its architecture; "-": it is about none */
};

struct word {
    const char *at;
    size_t size;
};

/* The words of the line, which single spaces part; the last one has all that is left. */
static inline size_t line_split(const struct line *line, struct word words[WORDS])
{
    const char *at = line->text, *end = line->text + line->length;
    size_t n = 0;
    while (n < WORDS) {
        const char *space = (const char *)memchr(at, ' ', (size_t)(end - at));
        words[n].at = at;
        words[n].size = (size_t)((space == NULL || n + 1 == WORDS ? end : space) - at);
        if (words[n++].size == 0)
            return 0; /* two spaces, or one at an end */
        if (space == NULL)
            break;
        at = space + 1;
    }
    return n;
}

static inline bool is_time(const char *text, size_t length)
{
    static const char like[] = "0000-00-00 00:00:00 ";
    for (size_t i = 0; i < TIME_TEXT; i++)
        if (i >= length || (like[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != like[i]))
            return false;
    return true;
}

/* NULL, or what is wrong with the line. */
static inline const char *entry_fault(const struct line *line, struct entry *e)
{
    struct word words[WORDS], package = {"-", 1};
    size_t n;
    if (line->length > LINE_TEXT)
        return "too long";
    if (!is_time(line->text, line->length))
        return "no time";
    if (memchr(line->text, '\0', line->length) != NULL)
        return "a NUL byte";
    n = line_split(line, words);
    for (e->action = 0; e->action < ACTIONS; e->action++)
        if (n > 2 && strlen(actions[e->action].name) == words[2].size &&
            memcmp(actions[e->action].name, words[2].at, words[2].size) == 0)
            break;
    if (e->action == ACTIONS)
        return "an unknown action";
    if (n != actions[e->action].words || memchr(words[n - 1].at, ' ', words[n - 1].size) != NULL)
        return "not as many words as its action has";
    if (e->action != STARTUP && e->action != CONFFILE)
        package = words[e->action == STATUS ? 4 : 3];
    if (memchr(package.at, ':', package.size) != NULL)
        package.size = (size_t)((const char *)memchr(package.at, ':', package.size) - package.at);
    if (package.size == 0 || package.size >= NAME_TEXT)
        return "no name of a package";
    memcpy(e->package, package.at, package.size);
    memcpy(e->time, line->text, TIME_TEXT - 1);
    return NULL;
}

/* From the line alone: several threads may parse at once. */
static inline void entry_parse(const struct line *line, struct entry *e)
{
    memset(e, 0, sizeof *e);
    e->source = line->source;
    e->number = line->number;
    e->fault = entry_fault(line, e);
}

#endif /* LOG_PIPELINE_ENTRY_H */
