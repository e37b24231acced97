/* tests/model/model.c: the checker, as one unit; model.h says how to use it. */
#define _XOPEN_SOURCE 700
#define MODEL_WITHOUT_WEIR
#define MODEL_CHECKER
#include "search.h"

bool model_stacks_tell;

#include "instrument.h"

static struct options {
    bool verbose, counts, stop, ends;
    enum choice_mode mode;
    long count;
    uint64_t seed;
    int names;
    char **name;
} options;

static bool main_chosen(const scenario *s)
{
    for (int i = 0; i < options.names; i++)
        if (options.name[i][0] == '=' ? strcmp(s->name, options.name[i] + 1) == 0
                                      : strstr(s->name, options.name[i]) != NULL)
            return true;
    return options.names == 0;
}

/* What a scenario asks for, against what was found. */
static bool main_judge(const scenario *s, const char *wrong)
{
    const bool found = wrong != NULL && s->finds != NULL && strstr(wrong, s->finds) != NULL;
    if (wrong != NULL && (!found || options.verbose))
        search_show(s, wrong);
    if (s->finds != NULL) {
        if (wrong == NULL)
            printf("#   not found: %s\n", s->finds);
        return found;
    }
    if (wrong == NULL && s->sees != 0 && options.mode == CHOICE_ALL && search.saw != s->sees && !search.cut) {
        printf("#   saw outcomes %llx, not %llx\n", (unsigned long long)search.saw, (unsigned long long)s->sees);
        return false;
    }
    return wrong == NULL;
}

static double main_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool main_run(const scenario *s)
{
    const double begin = main_seconds();
    int steps = 0, blocking = 0;
    const char *wrong;
    search.saw = 0;
    if (s->suspends)
        wrong = search_suspended(s, &steps, &blocking, options.verbose);
    else if (options.mode == CHOICE_ALL)
        wrong = search_all(s);
    else
        wrong = search_random(s, options.mode, options.seed, options.count);
    const long executions = search.executions; /* main_judge makes more */
    const bool passed = main_judge(s, wrong);
    if (options.ends && !search.cut)
        printf("%s %zu ends\n", s->name, visited.ends);
    else if (options.counts && s->suspends)
        printf("%s %d of %d steps\n", s->name, blocking, steps);
    else if (options.counts)
        printf("%s %ld executions %zu states\n", s->name, executions, visited.used);
    else if (s->suspends)
        printf("%sok - %s (%d of %d steps, %.1f s)\n", passed ? "" : "not ", s->name, blocking, steps,
               main_seconds() - begin);
    else
        printf("%sok - %s (%ld executions, %zu states, %.1f s)%s\n", passed ? "" : "not ", s->name, executions,
               visited.used, main_seconds() - begin, search.cut ? " not all" : "");
    fflush(stdout);
    return passed;
}

static int main_replay(const char *name, const char *text)
{
    for (int i = 0; i < search.scenarios; i++) {
        const scenario *s = search.scenario[i];
        if (strcmp(s->name, name) != 0)
            continue;
        if (!choices_read(text))
            break;
        trace.on = true;
        const char *wrong = search_execute(s, 0);
        printf("#   %s\n", wrong != NULL ? wrong : "nothing went wrong");
        return wrong != NULL;
    }
    fprintf(stderr, "no such scenario, or not a list of choices\n");
    return 2;
}

int main(int argc, char **argv)
{
    int i = 1, passed = 0, failed = 0;
    schedule.stop_thread = -1;
    program_find();
    program_without(&options, sizeof options);
    search_keep_program();
    crashes_are_caught();
    if (argc == 4 && strcmp(argv[1], "--replay") == 0)
        return main_replay(argv[2], argv[3]);
    for (; i < argc && argv[i][0] == '-'; i++) {
        const bool pct = strcmp(argv[i], "--pct") == 0;
        if (strcmp(argv[i], "-v") == 0)
            options.verbose = true;
        else if (strcmp(argv[i], "--counts") == 0)
            options.counts = true;
        else if (strcmp(argv[i], "--stop") == 0)
            options.stop = true;
        else if (strcmp(argv[i], "--from-the-begin") == 0)
            snapshots.none = true;
        else if (strcmp(argv[i], "--every-way") == 0)
            visited.every_way = true;
        else if (strcmp(argv[i], "--ends") == 0)
            options.ends = visited.counts_ends = true;
        else if (strcmp(argv[i], "--most") == 0 && i + 2 < argc) {
            search.preemptions.most = atoi(argv[++i]);
            search.stale.most = atoi(argv[++i]) < STALE_MAX ? atoi(argv[i]) : STALE_MAX;
        } else if (strcmp(argv[i], "--least") == 0 && i + 2 < argc) {
            search.preemptions.least = atoi(argv[++i]);
            search.stale.least = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--limit") == 0 && i + 1 < argc)
            search.limit = atol(argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            options.seed = strtoull(argv[++i], NULL, 10);
        else if ((pct || strcmp(argv[i], "--random") == 0) && i + 1 < argc) {
            options.mode = pct ? CHOICE_PCT : CHOICE_RANDOM;
            options.count = atol(argv[++i]);
        } else {
            fprintf(stderr, "%s: %s: model.h says what there is\n", argv[0], argv[i]);
            return 2;
        }
    }
    options.names = argc - i;
    options.name = argv + i;
    for (i = 0; i < search.scenarios && !(options.stop && failed > 0); i++) {
        const scenario *s = search.scenario[i];
        if (main_chosen(s) && !(options.mode != CHOICE_ALL && s->suspends))
            *(main_run(s) ? &passed : &failed) += 1;
    }
    if (!options.counts)
        printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
