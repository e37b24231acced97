#!/bin/sh
# tests/chan/check_fast_path.sh: looks at the machine code of send and recv: no call, no fence, and no atomic read-modify-write
# but the one compare-and-swap that several senders (receivers) need. fast_path.awk says what is looked at.
. tests/tap.sh
here=tests/chan

if ! $CC -dM -E -x c /dev/null 2>/dev/null | grep -q '__x86_64__'; then
    skip "fast paths" "reads x86-64 code"
    finish
    exit
fi
if ! command -v objdump >/dev/null 2>&1; then
    skip "fast paths" "needs objdump (binutils)"
    finish
    exit
fi

cat >"$BUILD/implementation.c" <<'X'
#define WEIR_IMPLEMENTATION
#include <weir/all.h>
int elsewhere(void);
int elsewhere(void) { return 0; }
X

cat >"$BUILD/paths.c" <<'X'
#include <weir/all.h>
#define KIND(kind)                                                                                                     \
    typedef weir_##kind(uint64_t) kind##_words;                                                                          \
    int kind##_send(kind##_words ch, uint64_t *v);                                                                             \
    int kind##_recv(kind##_words ch, uint64_t *v);                                                                             \
    int kind##_try_send(kind##_words ch, uint64_t *v);                                                                         \
    int kind##_try_recv(kind##_words ch, uint64_t *v);                                                                         \
    int kind##_send(kind##_words ch, uint64_t *v) { return weir_send(NULL, ch, v); }                                           \
    int kind##_recv(kind##_words ch, uint64_t *v) { return weir_recv(NULL, ch, v); }                                           \
    int kind##_try_send(kind##_words ch, uint64_t *v) { return weir_try_send(ch, v); }                                         \
    int kind##_try_recv(kind##_words ch, uint64_t *v) { return weir_try_recv(ch, v); }
KIND(spsc)
KIND(mpsc)
KIND(spmc)
KIND(chan)
/* What the checker has to find fault with. */
extern int elsewhere(void);
int slow_fence(uint64_t *p);
int slow_seq_cst(uint64_t *p);
int slow_lock(uint64_t *p);
int slow_exchange(uint64_t *p);
int slow_call(uint64_t *p);
int slow_behind_branch(uint64_t *p);
int no_store(const uint64_t *p);
int quick(uint64_t *p);
int slow_fence(uint64_t *p) { *p = 1; __asm__ __volatile__("mfence" ::: "memory"); return (int)p[1]; }
int slow_seq_cst(uint64_t *p) { *p = 1; __atomic_thread_fence(__ATOMIC_SEQ_CST); return (int)p[1]; }
int slow_lock(uint64_t *p) { p[1] = 1; __atomic_fetch_add(p, 5, __ATOMIC_SEQ_CST); return 0; }
int slow_exchange(uint64_t *p) { p[1] = 1; return (int)__atomic_exchange_n(p, 5, __ATOMIC_SEQ_CST); }
int slow_call(uint64_t *p) { *p = 1; return elsewhere() + 1; }
int slow_behind_branch(uint64_t *p) { if (*p) __asm__ __volatile__("mfence" ::: "memory"); *p = 2; return 0; }
int no_store(const uint64_t *p) { return p[0] > p[1] ? 3 : 4; }
int quick(uint64_t *p) { if (p[1] > 7) return elsewhere(); *p = 2; return 0; }
int main(void) { return 0; }
X

build()
{
    $CC -std=c11 -O2 -Iinclude -pthread -c "$BUILD/implementation.c" -o "$BUILD/implementation.o" &&
        $CC -std=c11 -O2 -Iinclude -pthread -c "$BUILD/paths.c" -o "$BUILD/paths.o" &&
        $CC -pthread "$BUILD/paths.o" "$BUILD/implementation.o" -o "$BUILD/paths" &&
        objdump -d --no-show-raw-insn "$BUILD/paths" >"$BUILD/listing"
}
judge() # FUNCTION LOCKED
{
    $AWK -v name="$1" -v locked="$2" -f $here/fast_path.awk "$BUILD/listing"
}

expect "build" build
expect "a quick function passes" judge quick 0
refuse "a fence is found" "1 fences" judge slow_fence 0
refuse "a seq_cst fence is found, whatever it compiles to" "a way through it" judge slow_seq_cst 0
refuse "a fence behind a branch is found" "1 fences" judge slow_behind_branch 0
refuse "a locked instruction is found" "1 locked" judge slow_lock 0
refuse "an exchange is found" "1 locked" judge slow_exchange 0
refuse "a call is found" "without a call" judge slow_call 0
refuse "a function that moves nothing is found" "nothing is stored" judge no_store 0
refuse "a missing function is found" "not found" judge missing 0
for op in send recv; do
    for call in $op try_$op; do
        expect "spsc $call: no call, no fence, nothing locked" judge spsc_$call 0
        expect "chan $call: no call, no fence, one compare-and-swap" judge chan_$call 1
    done
done
for call in send try_send; do
    expect "mpsc $call: one compare-and-swap" judge mpsc_$call 1
    expect "spmc $call: nothing locked" judge spmc_$call 0
done
for call in recv try_recv; do
    expect "mpsc $call: nothing locked" judge mpsc_$call 0
    expect "spmc $call: one compare-and-swap" judge spmc_$call 1
done
finish
