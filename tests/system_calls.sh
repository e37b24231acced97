# tests/system_calls.sh: for scripts that count system calls with strace. Sourced after tap.sh; ends the script where that cannot be had.
# The program $BUILD/calls takes a mode, a number of rounds and whatever else.

if ! command -v strace >/dev/null 2>&1; then
    skip "system calls" "needs strace"
    finish
    exit
fi
if ! strace -f -c -o "$BUILD/probe" true 2>/dev/null; then
    skip "system calls" "needs ptrace"
    finish
    exit
fi

calls() # MODE ROUNDS [ARG]: how many system calls
{
    strace -f -c -o "$BUILD/calls.txt" "$BUILD/calls" "$@" || { echo "status $?" >&2; return 1; }
    awk '$NF == "total" { print $4 }' "$BUILD/calls.txt"
}
same_calls() # MODE [ARG]: as many with 0 rounds as with 2000
{
    mode=$1
    shift
    none=$(calls "$mode" 0 "$@") && many=$(calls "$mode" 2000 "$@") || return 1
    [ -n "$none" ] && [ "$none" = "$many" ] && return 0
    echo "with 0 rounds $none system calls, with 2000 rounds $many"
    cat "$BUILD/calls.txt"
    return 1
}
