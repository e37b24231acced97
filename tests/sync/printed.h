/* tests/sync/printed.h: what is on the roll of threads. Comes after the harness. */
#ifndef WEIR_TEST_PRINTED_H
#define WEIR_TEST_PRINTED_H

#include <stdio.h>
#include <string.h>

static bool printed(const char *wanted)
{
    char text[2000] = "";
    FILE *file = fmemopen(text, sizeof text - 1, "w");
    REQUIRE(file != NULL);
    weir_threads(file);
    fclose(file);
    return strstr(text, wanted) != NULL;
}

/* Has a thread of the library's run fn, which waits until its context ends, and returns ECANCELED; meanwhile the roll says `wanted`. */
static __attribute__((unused)) void printed_while(weir_task_fn *fn, void *arg, const char *wanted)
{
    weir_group g = WEIR_GROUP_INIT;
    CHECK_INT(weir_group_go(NULL, &g, fn, arg), 0);
    EVENTUALLY(printed(wanted));
    weir_group_cancel(&g, 0);
    CHECK_INT(weir_group_wait(&g), ECANCELED);
    weir_group_free(&g);
}

#endif /* WEIR_TEST_PRINTED_H */
