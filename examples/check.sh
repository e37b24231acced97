# examples/check.sh: sourced by the check_NAME.sh of examples/NAME.c: builds the example, runs it, and looks at how it ends. With tests/tap.sh.
#
#   builds                       a test: the example compiles without a warning, as $program; without it the script ends. libraries="-lX": what it needs
#   run OPTIONS...               runs it, no longer than two minutes: a hang is a failure
#   goes OPTIONS...              likewise, from $sample (or nothing) to $out and $said; a script may have its own
#   ends STATUS OPTIONS...       goes; succeeds if it ends with that status
#   says TEXT                    succeeds if the text is in $said
#   complains TEXT OPTIONS...    succeeds if it ends with status 2, and says that and nothing else
#   starter                      builds heeds: `"$BUILD/heeds" $fixed "$program" ... &` starts it so that it heeds SIGINT
#   ends_by SIGNAL STATUS        sends the signal to $pid; succeeds if it ends with that status
#   each_sanitizer FUNCTION      builds it with each sanitizer, and calls the function with its name; and then puts it under valgrind, and calls it once more
. tests/tap.sh
: "${BUILD:?}" # nothing below may write to the root folder

example=$(basename "$0" .sh)
example=${example#check_}
program=$BUILD/$example
libraries= sample=/dev/null
out=$BUILD/out
said=$BUILD/said
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout -k 5 120"; fi
fixed= # the thread sanitizer cannot start under strong address randomisation
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed="setarch $(uname -m) -R"; fi

compile() # OUTPUT FLAGS...: as its reader would build it: the single header, the strictest C11
{
    output=$1
    shift
    $CC -std=c11 ${CFLAGS:--O2 -g} ${CWARN:--Wall -Wextra} "$@" -Iinclude -pthread "examples/$example.c" -o "$output" $LDFLAGS $libraries
}
builds()
{
    expect "it builds without a warning" compile "$program" -Werror
    [ -x "$program" ] || { finish; exit 1; }
}
run() { $limit $fixed "$program" "$@"; }
goes() { run "$@" <"$sample" >"$out" 2>"$said"; }
ends()
{
    wanted=$1
    shift
    goes "$@"
    got=$?
    [ $got -eq "$wanted" ] || { echo "status $got instead of $wanted"; cat "$said"; return 1; }
}
says() { grep -qF -- "$1" "$said" || { echo "does not say: $1"; cat "$said"; return 1; }; }
complains()
{
    text=$1
    shift
    ends 2 "$@" && [ "$(cat "$said")" = "$text" ] || { cat "$said"; return 1; }
}

# A shell has its background processes ignore SIGINT, and weir leaves an ignored signal ignored.
starter()
{
    cat >"$BUILD/heeds.c" <<'X'
#include <signal.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    return argc < 2 || signal(SIGINT, SIG_DFL) == SIG_ERR || execvp(argv[1], argv + 1);
}
X
    $CC "$BUILD/heeds.c" -o "$BUILD/heeds"
}
ends_by()
{
    kill -"$1" $pid
    (sleep 30; kill -KILL $pid) 2>/dev/null & # a hang is a failure
    killer=$!
    wait $pid
    got=$?
    kill $killer
    cat "$said"
    [ $got -eq "$2" ] || { echo "status $got instead of $2"; return 1; }
}

# Whatever it does not call is not compiled, a quarter of the time.
each_sanitizer()
{
    plain=$program
    for sanitizer in thread address,undefined; do
        program=$plain.$sanitizer
        if echo 'int main(void) { return 0; }' | $CC -fsanitize=$sanitizer -x c - -o "$BUILD/probe" 2>/dev/null; then
            expect "$sanitizer sanitizer: it builds" compile "$program" -DWEIR_STATIC= -O1 -fsanitize=$sanitizer -fno-sanitize-recover=all
            "$1" "$sanitizer sanitizer"
        else
            skip "$sanitizer sanitizer" "needs the $sanitizer sanitizer of $CC"
        fi
    done
    program=$plain.valgrind
    if command -v valgrind >/dev/null 2>&1; then
        # DWARF 4: valgrind 3.19 complains on the error output of what clang 14 writes as version 5
        expect "valgrind: it builds" compile "$program.bin" -DWEIR_STATIC= -gdwarf-4
        echo "#!/bin/sh
exec valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --fair-sched=yes '$program.bin' \"\$@\"" >"$program"
        chmod +x "$program"
        "$1" valgrind
    else
        skip "valgrind" "needs valgrind"
    fi
    program=$plain
}
