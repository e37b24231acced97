/* tests/model/fiber.h: threads of a model run as fibers, each on a stack of its own, one at a time. A switch by hand costs 12 ns, and a
 * search makes hundreds of millions; elsewhere than on x86-64 it is ucontext, at 250 ns.
 */
#ifndef WEIR_MODEL_FIBER_H
#define WEIR_MODEL_FIBER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FIBER_STACK = 128 * 1024 };

#if defined(__x86_64__)

typedef struct fiber {
    void *top; /* of its stack, while it does not run */
} fiber;

/* Of one that does not run: from there to its end a stack is in use. */
enum { FIBER_TOP_IS_KNOWN = 1 };
static inline unsigned char *fiber_top(const fiber *f)
{
    return (unsigned char *)f->top;
}

/* Saves what the calling convention says a function must preserve, on the stack of the one, and restores it from that of the other. */
void fiber_swap(fiber *from, fiber *to);
__asm__(".text\n"
        ".type fiber_swap, @function\n"
        "fiber_swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq (%rsi), %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_swap, .-fiber_swap\n");

/* The first switch to it enters fn, which never returns. */
static inline void fiber_prepare(fiber *f, unsigned char *stack, void (*fn)(void))
{
    uintptr_t top = ((uintptr_t)stack + FIBER_STACK) & ~(uintptr_t)63;
    void **p = (void **)top;
    *--p = NULL;                 /* where fn would return to; it also aligns the stack as a call does */
    memcpy(--p, &fn, sizeof fn); /* ISO C has no cast from a function to an object */
    for (int i = 0; i < 6; i++)
        *--p = NULL;
    f->top = p;
}

#else

#include <ucontext.h>

typedef struct fiber {
    ucontext_t context;
} fiber;

enum { FIBER_TOP_IS_KNOWN = 0 }; /* all of it may be */
static inline unsigned char *fiber_top(const fiber *f)
{
    return (unsigned char *)f->context.uc_stack.ss_sp;
}

static inline void fiber_swap(fiber *from, fiber *to)
{
    swapcontext(&from->context, &to->context);
}

static inline void fiber_prepare(fiber *f, unsigned char *stack, void (*fn)(void))
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = FIBER_STACK;
    f->context.uc_link = NULL;
    makecontext(&f->context, fn, 0);
}

#endif
#endif /* WEIR_MODEL_FIBER_H */
