/* common/program.h: what several of the larger examples say of themselves, and what they do without memory. */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>

static const char *program_name; /* each example gives it a value: its messages begin with it */

/* The memory; without it, nothing goes on. */
static inline void *or_die(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "%s: no memory\n", program_name);
        exit(2);
    }
    return memory;
}

#endif /* COMMON_PROGRAM_H */
