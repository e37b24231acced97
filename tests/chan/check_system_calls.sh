#!/bin/sh
# tests/chan/check_system_calls.sh: a select that finds a case ready, and a send or receive that need not wait, make no system call.
# The program is run with 0 rounds and with 2000; strace has to count the same number of calls.
. tests/tap.sh
. tests/system_calls.sh

cat >"$BUILD/calls.c" <<'X'
#define WEIR_IMPLEMENTATION
#include <weir/all.h>
#include <stdio.h>
#include <stdlib.h>

enum { CASES = 64 };
typedef weir_chan(int) int_chan;
static int_chan ch[CASES];
static weir_ctx ended;
static weir_timer timer;

static int each(int mode, int n)
{
    weir_case cases[CASES];
    int v = 1, got;
    for (int i = 0; i < n; i++)
        cases[i] = WEIR_RECV(ch[i], &got);
    switch (mode) {
    case 0: /* one of n is ready, by each call; then all are sends with room */
        for (int i = 0; i < n; i++)
            if (weir_send(NULL, ch[i], &v) != 0 || weir_select(NULL, cases, (size_t)n) != i || weir_send(NULL, ch[i], &v) != 0 ||
                weir_select_ordered(NULL, cases, (size_t)n) != i || weir_send(NULL, ch[i], &v) != 0 ||
                weir_select_until(NULL, cases, (size_t)n, weir_now() + WEIR_SEC(9)) != i || weir_send(NULL, ch[i], &v) != 0 ||
                weir_try_select(cases, (size_t)n) != i)
                return 1;
        cases[0] = WEIR_SEND(ch[0], &v);
        return weir_select(NULL, cases, (size_t)n) != 0 || weir_recv(NULL, ch[0], &got) != 0;
    case 1: /* none is: a default */
        return weir_try_select(cases, (size_t)n) != -EAGAIN || weir_try_recv(ch[0], &got) != EAGAIN;
    case 2: /* a context that has ended */
        cases[n - 1] = WEIR_DONE(&ended);
        return weir_select(NULL, cases, (size_t)n) != n - 1;
    case 3: /* a timer that is due */
        cases[0] = WEIR_RECV(timer, NULL);
        return weir_timer_reset(timer, 0) != 0 || weir_select(NULL, cases, (size_t)n) != 0;
    default: /* a select that waits, to show that its calls are counted */
        return weir_select_until(NULL, cases, (size_t)n, weir_now() + WEIR_US(10)) != -ETIMEDOUT;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    weir_ctx_init(&ended, NULL);
    weir_ctx_cancel(&ended, 0);
    if (weir_after(&timer, 0) != 0)
        return 2;
    for (int i = 0; i < CASES; i++)
        if (weir_chan_make(&ch[i], 2) != 0)
            return 2;
    for (int round = atoi(argv[2]); round > 0; round--)
        if (each(atoi(argv[1]), atoi(argv[3])) != 0)
            return 1;
    return 0;
}
X
expect "the program builds" $CC -std=c11 -O2 $CWARN -Iinclude "$BUILD/calls.c" -o "$BUILD/calls" -pthread

for n in 2 8 64; do
    expect "a ready case among $n: no system call" same_calls 0 "$n"
    expect "no ready case among $n, and a default: no system call" same_calls 1 "$n"
    expect "an ended context among $n: no system call" same_calls 2 "$n"
    expect "a due timer among $n: no system call" same_calls 3 "$n"
done
refuse "a wait is counted" "with 0 rounds" same_calls 4 2
finish
