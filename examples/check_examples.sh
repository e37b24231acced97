#!/bin/sh
# examples/check_examples.sh: each small example, built as its reader would build it, prints what it should.
. tests/tap.sh

# The single header, the strictest C11, warnings as errors.
build() # NAME
{
    $CC -std=c11 -O2 $CWARN -Werror -Iinclude "examples/$1.c" -o "$BUILD/$1" -pthread
}
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout -k 5 120"; fi

# prints NAME <expected: the output, and the end with status 0. Twenty times: the schedule must not show.
prints()
{
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        $limit "$BUILD/$1" >"$BUILD/got" || { echo "run $i: status $?"; return 1; }
        diff "$BUILD/expected" "$BUILD/got" || { echo "run $i"; return 1; }
    done
}
example()
{
    cat >"$BUILD/expected"
    expect "$1 builds without a warning" build "$1"
    expect "$1 prints what it should, every time" prints "$1"
}

example rendezvous <<'END'
before the start: would have to wait
second runner has the red baton
second runner has the green baton
second runner has the blue baton
after the close: closed
END
example timeout <<'END'
nothing to receive                 deadline passed
no room for a second value         deadline passed
a value, and a deadline long past  success
the value that had been sent       1, and 0 left
a step of a request                deadline passed
the request itself                 deadline passed
a cancelled request                cancelled
its cause                          77
END
example select <<'END'
small 500500, large 1000499500, at least three ticks: yes, quit: cancelled
END
example prime_sieve <<'END'
2 3 5 7 11 13 17 19 23 29
31 37 41 43 47 53 59 61 67 71
73 79 83 89 97 101 103 107 109 113
127 131 137 139 149 151 157 163 167 173
179 181 191 193 197 199 211 223 227 229
END
example fibonacci <<'END'
0
1
1
2
3
5
8
13
21
34
55
89
144
233
377
610
987
1597
the generator was cancelled
END
finish
