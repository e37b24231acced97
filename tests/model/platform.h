/* tests/model/platform.h: the library's atomics, fences, futex, clock, threads and memory, as calls into the model. Named by WEIR_PLATFORM_H,
 * so that the shipped headers run in it as they are.
 */
#ifndef WEIR_MODEL_PLATFORM_H
#define WEIR_MODEL_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* When a thread calls the model all that it knows lies on its stack (state.h): nothing is in the registers that a call preserves, for these are not
 * the compiler's here, in each unit of the program. Other compilers than gcc want them. */
extern bool model_stacks_tell;
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(MODEL_CHECKER)
__extension__ register uint64_t model_rbx __asm__("rbx");
__extension__ register uint64_t model_r12 __asm__("r12");
__extension__ register uint64_t model_r13 __asm__("r13");
__extension__ register uint64_t model_r14 __asm__("r14");
__extension__ register uint64_t model_r15 __asm__("r15");
__attribute__((constructor)) static void model_registers_are_left_alone(void)
{
    model_stacks_tell = true;
}
#endif

/* `where`: the function that asks, for the trace. */
uint64_t model_load(const void *p, size_t size, int order, const char *where);
void model_store(void *p, size_t size, uint64_t value, int order, const char *where);
enum model_update { MODEL_SWAP, MODEL_ADD, MODEL_OR, MODEL_AND };
uint64_t model_update(void *p, size_t size, enum model_update how, uint64_t operand, int order, const char *where);
int model_cas(void *p, size_t size, void *expected, uint64_t value, int order, const char *where);
void model_fence(int order, const char *where);
void model_fence_heavy(const char *where);
/* Orders stores with later stores and nothing else: weaker than any C11 fence; ck/ck_pr.h. */
void model_fence_store(const char *where);
int model_futex_wait(uint32_t *word, uint32_t value, int64_t deadline, const char *where);
void model_futex_wake(uint32_t *word, int count, const char *where);
int64_t model_clock(void);
void model_pause(void);
void model_wait(void);
uint32_t model_random_below(uint32_t below);
void *model_alloc(size_t align, size_t size);
void model_free(void *p);
void model_plain(const void *p, size_t size, int writes);
/* A read that has taken place at an earlier time, and only now turns out to count (ck/ck_string.h). */
int16_t model_plain_now(void);
void model_plain_read_at(const void *p, size_t size, int16_t when);
/* In a function that is MODEL_OUTSIDE: the running thread has looked at, or has changed, what others look at there, too; and what it does from
 * now on depends on `value`. */
void model_goes_by(uint64_t value);
void model_copy(void *to, const void *from, size_t size);
int model_thread_start(int *id, void *(*fn)(void *), void *arg);
void model_thread_join(int id);
int model_thread_self(void);

/* The begin or end of a call: a thread's first, second … one. */
struct model_moment {
    unsigned char thread, number;
};
struct model_moment model_moment(int ends);
int model_tick(const struct model_moment *m);
int model_before(const struct model_moment *end, const struct model_moment *begin);

#define MODEL_TYPE(p) __typeof__(*(p) + 0)
#define WEIR_ATOMIC_LOAD(p, order) ((MODEL_TYPE(p))model_load((p), sizeof *(p), (order), __func__))
#define WEIR_ATOMIC_STORE(p, v, order) model_store((p), sizeof *(p), (uint64_t)(MODEL_TYPE(p))(v), (order), __func__)
#define WEIR_ATOMIC_CAS(p, expected, v, order)                                                                         \
    (model_cas((p), sizeof *(p), (expected), (uint64_t)(MODEL_TYPE(p))(v), (order), __func__) != 0)
#define MODEL_UPDATE(p, how, v, order)                                                                                 \
    ((MODEL_TYPE(p))model_update((p), sizeof *(p), (how), (uint64_t)(MODEL_TYPE(p))(v), (order), __func__))
#define WEIR_ATOMIC_SWAP(p, v, order) MODEL_UPDATE(p, MODEL_SWAP, v, order)
#define WEIR_ATOMIC_ADD(p, v, order) MODEL_UPDATE(p, MODEL_ADD, v, order)
#define WEIR_ATOMIC_OR(p, v, order) MODEL_UPDATE(p, MODEL_OR, v, order)
#define WEIR_ATOMIC_AND(p, v, order) MODEL_UPDATE(p, MODEL_AND, v, order)
#define WEIR_FENCE(order) model_fence((order), __func__)
#define WEIR_FENCE_LIGHT() ((void)0)
#ifdef WEIR_FENCE_SYMMETRIC
#define WEIR_FENCE_HEAVY() weir__fence_heavy() /* as it is shipped */
#else
#define WEIR_FENCE_HEAVY() model_fence_heavy(__func__)
#endif
#define WEIR_FUTEX_WAIT(word, value, deadline) model_futex_wait((word), (value), (deadline), __func__)
#define WEIR_FUTEX_WAKE(word, count) model_futex_wake((word), (count), __func__)
#define WEIR_CLOCK_NOW() model_clock()
#define WEIR_CPU_PAUSE() model_pause()
#define WEIR_CPU_YIELD() model_pause()
#define WEIR_RANDOM_BELOW(below) model_random_below(below)
#define WEIR_ALLOC(align, size) model_alloc((align), (size))
#define WEIR_FREE(p) model_free(p)
#ifndef MODEL_COPY_CK
#define WEIR_COPY_IN(slot, src, n) model_copy((slot), (src), (n))
#define WEIR_COPY_OUT(dst, slot, n) model_copy((dst), (slot), (n))
#endif
typedef int weir__thread;
#define WEIR_THREAD_START(thread, fn, arg) model_thread_start((thread), (fn), (arg))
#define WEIR_THREAD_JOIN(thread) model_thread_join(thread)
#define WEIR_NO_ROLL                  /* fibers have no thread-locals */
#define WEIR_AT_FORK(fn) ((void)(fn)) /* a model has one process */
#define WEIR_THREAD_NUMBER() (model_thread_self() + 1)
#ifndef WEIR_THREAD_LIVES
#define WEIR_THREAD_LIVES(number) 1
#endif
#define WEIR_THREAD_SET_NAME(name) ((void)(name))
#define WEIR_THREAD_GET_NAME(name) ((void)(name))
#define WEIR_PROCESS_NUMBER() 1L
#define WEIR_THREAD_DETACH(thread) ((void)(thread))
#define WEIR_THREAD_CURRENT() model_thread_self()
#define WEIR_THREAD_SELF() ((uintptr_t)model_thread_self())

/* A wait parks at once: that a thread may take its time before is in the schedules anyway. */
#ifndef WEIR_SPIN_TURNS
#define WEIR_SPIN_TURNS 0
#define WEIR_YIELD_TURNS 0
#endif
#define WEIR_BURST_TURNS 0
#define WEIR_LOCK_TURNS 1
#define WEIR_LANE_GLANCES 1

#endif /* WEIR_MODEL_PLATFORM_H */
