#!/bin/sh
# tests/check_runner.sh: tests/run.sh counts what the programs say, and notices those that say nothing.
. tests/tap.sh
program() # NAME, text of a shell script on stdin
{
    { echo '#!/bin/sh'; cat; } >"$BUILD/$1"
    chmod +x "$BUILD/$1"
}
program good <<'X'
printf '1..3\nok 1 - a\nok 2 - b # SKIP needs luck\nok 3 - c\n'
X
program bad <<'X'
printf '1..2\nok 1 - a\n#   the reason\nnot ok 2 - b\n'; exit 1
X
program silent <<'X'
exit 0
X
program short <<'X'
printf '1..3\nok 1 - a\n'
X
program nasty <<'X'
printf '1..1\nok 1 - a\n'; kill -SEGV $$
X
run() { V= sh tests/run.sh "$BUILD/out" "$@"; }
# result STATUS LAST-LINE ENTRIES...
result()
{
    want=$1 line=$2
    shift 2
    run "$@" >"$BUILD/said"
    status=$?
    cat "$BUILD/said"
    [ "$status" -eq "$want" ] && [ "$(tail -n 1 "$BUILD/said")" = "$line" ]
}
expect "passes are counted" result 0 "2 passed, 0 failed, 1 skipped" "v=$BUILD/good"
expect "failures are counted" result 1 "3 passed, 1 failed, 1 skipped" "v=$BUILD/good" "v=$BUILD/bad"
expect "a program that prints nothing has failed" result 1 "0 passed, 1 failed" "v=$BUILD/silent"
expect "tests of the plan that did not run have failed" result 1 "1 passed, 2 failed" "v=$BUILD/short"
expect "a crash after the last test is a failure" result 1 "1 passed, 1 failed" "v=$BUILD/nasty"
expect "a program that was not built has failed" result 1 "0 passed, 1 failed" "v=$BUILD/absent"
expect "what is left out is counted as skipped" result 0 "2 passed, 0 failed, 2 skipped" "ck!needs libck-dev" "v=$BUILD/good"
expect "nothing at all is no success" result 1 "0 passed, 0 failed"
finish
