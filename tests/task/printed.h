/* tests/task/printed.h: what is on the roll of threads. Comes after the harness. */
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

#endif /* WEIR_TEST_PRINTED_H */
