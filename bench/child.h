/* bench/child.h: runs a program with a time limit, and takes what it prints. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum child_end {
    CHILD_DONE,    /* exit status 0 */
    CHILD_SKIPPED, /* it cannot run here; it printed why */
    CHILD_LATE,    /* it was killed at the time limit */
    CHILD_WRONG    /* anything else: it found its own result wrong, or crashed */
} child_end;

static inline void child_exec(const char *const *argv, int out)
{
    char *args[16] = {NULL};
    for (size_t i = 0; i < 15 && argv[i] != NULL; i++)
        args[i] = strdup(argv[i]);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no spinning child outlives an interrupted driver */
    dup2(out, STDOUT_FILENO);
    execv(args[0], args);
    _exit(BENCH_EXIT_SKIPPED); /* not built */
}

/* Reads until the child closes its output; false if that takes longer than until `deadline`. */
static inline bool child_read(int in, int64_t deadline, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (;;) {
        struct pollfd fd = {in, POLLIN, 0};
        const int64_t left = deadline - bench_now();
        char rest[256];
        if (left <= 0)
            return false;
        if (poll(&fd, 1, (int)(left / 1000000 + 1)) <= 0)
            continue;
        const bool full = used + 1 >= size; /* what does not fit is read and dropped */
        const ssize_t got = full ? read(in, rest, sizeof rest) : read(in, out + used, size - 1 - used);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return true;
        used += full || got < 0 ? 0 : (size_t)got;
        out[used] = '\0';
    }
}

/* argv[0] is a path; argv ends with NULL. `out` gets at most size - 1 bytes of what it prints, and a 0. */
static inline child_end child_run(const char *const *argv, double limit_s, char *out, size_t size)
{
    int pipes[2], status = 0;
    if (pipe(pipes) != 0)
        return CHILD_WRONG;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        child_exec(argv, pipes[1]);
    }
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return CHILD_WRONG;
    }
    const bool in_time = child_read(pipes[0], bench_now() + (int64_t)(limit_s * 1e9), out, size);
    close(pipes[0]);
    if (!in_time)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (!in_time)
        return CHILD_LATE;
    if (WIFEXITED(status) && WEXITSTATUS(status) == BENCH_EXIT_SKIPPED)
        return CHILD_SKIPPED;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CHILD_DONE : CHILD_WRONG;
}

#endif /* BENCH_CHILD_H */
