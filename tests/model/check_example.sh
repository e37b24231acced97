#!/bin/sh
# tests/model/check_example.sh: README's program for the model checker compiles and passes as it stands there; with one line changed it fails,
# and the line that it prints repeats the failure.
. tests/tap.sh

if ! echo 'int main(void) { return 0; }' | $CC -fsanitize=thread -x c -c - -o "$BUILD/probe.o" 2>/dev/null; then
    skip "a program of one's own" "needs a compiler with -fsanitize=thread"
    finish
    exit
fi
awk '/^```/ { on = 0 } on; /^```c$/ { on = 1 }' README.md | awk '/model\/model.h/ { on = 1 } on' >"$BUILD/mine.c"
sed 's/MODEL_CHECK(weir_send(NULL, ch, &v) == 0)/& ; (void)weir_close(ch); MODEL_CHECK(weir_send(NULL, ch, \&v) == 0)/' "$BUILD/mine.c" >"$BUILD/broken.c"

build() # NAME
{
    # shellcheck disable=SC2086 # a list
    $CC -std=c11 -Iinclude -Itests $CWARN -fsanitize=thread -c "$BUILD/$1.c" -o "$BUILD/$1.o" &&
        $CC -std=c11 -Iinclude -Itests -O2 -c tests/model/model.c -o "$BUILD/model.o" && $CC "$BUILD/$1.o" "$BUILD/model.o" -o "$BUILD/$1"
}
replay()
{
    line=$("$BUILD/broken" | sed -n 's/^# *\(--replay .*\)/\1/p')
    # shellcheck disable=SC2086 # a list
    "$BUILD/broken" $line
}

expect "it compiles without a warning" build mine
expect "it passes" "$BUILD/mine"
expect "random schedules of it pass" "$BUILD/mine" --random 1000
expect "PCT schedules of it pass" "$BUILD/mine" --pct 1000
expect "with a bug in it, it compiles" build broken
refuse "and fails" "not weir_send" "$BUILD/broken"
refuse "and its replay fails in the same way" "not weir_send" replay
finish
