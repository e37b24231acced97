/* tests/core/child.h: child processes in which the kernel refuses something. Brings harness.h.
 *
 *   in_child(fn)     runs fn in a child; its exit status. The child must not use CHECK: its counts are its own
 *   forbid(nr)       from now on this system call says ENOSYS; false where the kernel has no seccomp (then the child returns NO_SECCOMP)
 */
#ifndef WEIR_TEST_CORE_CHILD_H
#define WEIR_TEST_CORE_CHILD_H

#include "harness.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { FINE = 0, NO_SECCOMP = 77 };

static inline int in_child(int (*fn)(void))
{
    int status = -1;
    const pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0)
        test_exit(fn());
    REQUIRE(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline bool forbid(unsigned nr)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program;
    program.len = sizeof filter / sizeof filter[0];
    program.filter = filter;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#endif /* WEIR_TEST_CORE_CHILD_H */
