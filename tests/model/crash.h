/* tests/model/crash.h: a program that crashes has failed, and is shown like any other failure.
 *
 * The signal is handled on a stack of its own, because that of the thread may be what is wrong. From there the checker goes on as from any
 * failure: it leaves for the search's own stack and never comes back to the thread.
 */
#ifndef WEIR_MODEL_CRASH_H
#define WEIR_MODEL_CRASH_H

#include "schedule.h"

#include <signal.h>

static unsigned char crash_stack[16 * 1024];

static void crash(int number)
{
    if (schedule.running)
        schedule_fail(number == SIGFPE   ? "a crash: arithmetic (SIGFPE)"
                      : number == SIGILL ? "a crash: no such instruction (SIGILL)"
                                         : "a crash: no such memory (SIGSEGV, SIGBUS)");
    (void)signal(number, SIG_DFL); /* setup or finish has crashed, or the checker: the next time it ends the program */
}

static void crashes_are_caught(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    stack_t stack;
    struct sigaction action;
    memset(&stack, 0, sizeof stack);
    stack.ss_sp = crash_stack;
    stack.ss_size = sizeof crash_stack;
    memset(&action, 0, sizeof action);
    action.sa_handler = crash;
    action.sa_flags = SA_ONSTACK | SA_NODEFER; /* it does not return */
    if (sigaltstack(&stack, NULL) != 0)
        return; /* then a crash is a crash */
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

#endif /* WEIR_MODEL_CRASH_H */
