#!/bin/sh
# tests/valgrind.sh: the test programs under valgrind's memcheck, with few rounds: it runs one thread at a time. `make valgrind`; T=: some of them.
# No suppressions; futexes are slept on in a table, since memcheck has it that a futex wake reads the sleeper's memory (valgrind_futex.c).
# What asks the kernel to refuse calls, or counts on time, is left out.
command -v valgrind >/dev/null || {
    echo "valgrind: skipped: needs valgrind"
    exit 0
}
futex=build/valgrind_futex.so
${CC:-cc} -O2 -g -shared -fPIC -o "$futex" tests/valgrind_futex.c -ldl || exit 1
failed=0 passed=0
for p in $(find build/cc/modules -type f -perm -u+x -name 'test_*' ! -name '*.d' | grep -F -- "${T:-test_}" | sort); do
    case $p in */test_harness | */test_signals | */test_oversubscribed | */test_clock) continue ;; esac
    if WEIR_TEST_SCALE=0.01 LD_PRELOAD=$PWD/$futex timeout 300 valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes "$p" >build/valgrind.log 2>&1 </dev/null; then
        passed=$((passed + 1))
    else
        echo "valgrind: $p:" && grep -v '^ok' build/valgrind.log | tail -n 30
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
