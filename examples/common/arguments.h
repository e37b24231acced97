/* common/arguments.h: a command line of options, "--flag" or "--name value", and then files. */
#ifndef COMMON_ARGUMENTS_H
#define COMMON_ARGUMENTS_H

#include "program.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Sets one option; value is NULL where nothing follows the name. How many arguments these are: 1: a flag; 2; 0: no such option, or not such a value. */
typedef int argument_set(void *options, const char *name, const char *value);

/* Sets all options. The index of the first argument that is none, or -1; then it has said what is wrong. */
static inline int arguments_read(int argc, char **argv, argument_set *set, void *options)
{
    int i = 1, taken;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i += taken)
        if ((taken = set(options, argv[i], i + 1 < argc ? argv[i + 1] : NULL)) == 0) {
            fprintf(stderr, "%s: %s: no such option, or not with that value; examples/%s.c has them\n", program_name,
                    argv[i], program_name);
            return -1;
        }
    return i;
}

/* A file that is to be read; "-" is standard input. A FIFO is opened without waiting for somebody to write to it: who reads waits, in a poll that can be
 * woken. -1: errno says why. */
static inline int argument_open(const char *name)
{
    return strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_NONBLOCK);
}

#endif /* COMMON_ARGUMENTS_H */
