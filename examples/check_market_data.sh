#!/bin/sh
# examples/check_market_data.sh: the example does what its --help says: the same bytes in every configuration, the same book as an
# implementation of the rules in awk, and an orderly end for each kind of bad input, signal and full disk.
# Run from the top folder, by `make test`.
. examples/check.sh

messages=examples/data/aapl_2012-06-21_head_messages.csv
book=examples/data/aapl_2012-06-21_head_book10.csv
hour=../shared/data/aapl_2012-06-21_0930-1030_messages.csv # optional: too large to be committed

# Runs it with the options; it must end with status 1 and say exactly the text on standard error. What else it prints is dropped.
fails_with() # TEXT OPTIONS...
{
    wanted_text=$1
    shift
    run "$@" >/dev/null 2>"$said"
    got=$?
    cat "$said"
    [ "$got" -eq 1 ] && [ "$(cat "$said")" = "$wanted_text" ] || { echo "status $got; wanted 1 and: $wanted_text"; return 1; }
}

builds

# ---- the book, once more ------------------------------------------------------------------------------------------------------

# The rules of market_data/book.h, in awk. With a book file as well: seeded from its first row, and prints how often they agree.
cat >"$BUILD/reference.awk" <<'AWK'
function best(side, sign,    p, b)
{
    b = ""
    for (p in side)
        if (b == "" || (p - b) * sign > 0)
            b = p
    return b == "" ? (sign > 0 ? "-9999999999" : "9999999999") ",0" : b "," side[b]
}
BEGIN { FS = "," }
FILENAME == book && FNR == 1 {
    for (i = 1; i <= NF; i += 4) {
        if ($(i + 1) > 0) ask[$i] = $(i + 1)
        if ($(i + 3) > 0) bid[$(i + 2)] = $(i + 3)
    }
    seeded = 1
}
FILENAME == book { published[FNR] = $1 "," $2 "," $3 "," $4; next }
!(seeded && FNR == 1) {
    if ($2 == 1) {
        if ($6 == 1) bid[$5] += $4; else ask[$5] += $4
    } else if ($2 >= 2 && $2 <= 4) {
        if ($6 == 1 && ($5 in bid)) { bid[$5] -= $4; if (bid[$5] <= 0) delete bid[$5] }
        if ($6 != 1 && ($5 in ask)) { ask[$5] -= $4; if (ask[$5] <= 0) delete ask[$5] }
    }
}
{
    now = best(ask, -1) "," best(bid, 1)
    if (!seeded)
        print now
    else if (FNR > 1) {
        if (now == published[FNR]) agree++; else differ++
    }
}
END { if (seeded) print "book: rows=" agree + differ " agree=" agree + 0 " differ=" differ + 0 }
AWK
$AWK -v book=none -f "$BUILD/reference.awk" "$messages" >"$BUILD/reference"
$AWK -v book="$book" -f "$BUILD/reference.awk" "$book" "$messages" >"$BUILD/reference.book"

same() # FILE OPTIONS...: the best levels are those in FILE
{
    wanted_bytes=$1
    shift
    rm -f "$out"
    run --bbo-out "$out" "$@" && cmp "$wanted_bytes" "$out"
}
same_book() # OPTIONS...: the book: line is the reference's
{
    run --book "$book" "$@" >"$said" || return 1
    grep '^book:' "$said" | diff "$BUILD/reference.book" -
}
reference_rows() { [ "$(wc -l <"$BUILD/reference")" -eq 999 ]; }
expect "the reference has a row per message" reference_rows
expect "sequential: the same best levels as a book in awk" same "$BUILD/reference" --sequential
expect "agrees with the published book as often as awk's" same_book --sequential
expect "the book: line of the pipeline" same_book --parsers 3
expect "the book: line is of the first replay" same_book --parsers 2 --repeat 3

each_of() # NAME FILE MESSAGES OPTIONS...: each argument from the fourth on is one configuration
{
    each_name=$1 each_wanted=$2 each_messages=$3
    shift 3
    for options in "$@"; do
        expect "$each_name: $options" same "$each_wanted" --messages "$each_messages" $options
    done
}
each_of "identical" "$BUILD/reference" "$messages" --sequential "--parsers 1" "--parsers 3" "--parsers 16" \
    "--wait spin" "--wait yield" "--wait park" "--wait adaptive" "--wait spin --parsers 2" "--wait yield --parsers 3" \
    "--wait park --parsers 3" "--pin 0" "--pin 0 --parsers 3" "--pin 0 --wait yield" "--pin 0 --wait park --parsers 2" \
    "--sequential --pin 0" "--repeat 5" "--repeat 5 --parsers 3" "--sequential --repeat 5" "--pace 1000000" "--pace=1000000"
if run --pin 0,1 >/dev/null 2>&1; then
    each_of "identical" "$BUILD/reference" "$messages" "--pin 0,1" "--pin 0,1 --parsers 3 --wait park" "--pin 0,1 --wait spin"
else
    skip "identical: --pin 0,1" "needs two CPUs"
fi

# Long enough that the reader fills its blocks again, which hold some 25,000 lines.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32; do
    cat "$messages"
    echo
done >"$BUILD/long"
$AWK -v book=none -f "$BUILD/reference.awk" "$BUILD/long" >"$BUILD/reference.long"
each_of "a long file" "$BUILD/reference.long" "$BUILD/long" --sequential "--parsers 1" "--parsers 3" "--wait park --parsers 16" \
    "--parsers 3 --repeat 3"

if [ -r "$hour" ]; then
    run --sequential --messages "$hour" --bbo-out "$BUILD/hour" >/dev/null
    hour_rows() { [ "$(wc -l <"$BUILD/hour")" -eq 91997 ]; }
    expect "a whole hour: every message" hour_rows
    each_of "a whole hour" "$BUILD/hour" "$hour" "--parsers 1" "--parsers 3" "--wait spin" "--wait yield --parsers 2" \
        "--wait park" "--pin 0" "--repeat 3" "--repeat 3 --parsers 3"
else
    skip "a whole hour" "needs $hour"
fi

# ---- other ways to get the same input -----------------------------------------------------------------------------------------

piped() { cat "$messages" | same "$BUILD/reference" --messages /dev/stdin "$@"; }
trickled() { dd if="$messages" bs=7 2>/dev/null | same "$BUILD/reference" --messages /dev/stdin "$@"; }
to_stdout() { run --bbo-out - "$@" 2>/dev/null | cmp "$BUILD/reference" -; }
piped_long() { cat "$BUILD/long" | same "$BUILD/reference.long" --messages /dev/stdin "$@"; }
not_twice() { cat "$messages" | run --messages /dev/stdin --repeat 2; }
expect "from a pipe" piped
expect "from a pipe, 3 parsers" piped --parsers 3
expect "from a pipe, sequential" piped --sequential
expect "a long file from a pipe" piped_long --parsers 3
expect "a long file from a pipe, sequential" piped_long --sequential
expect "from a pipe, seven bytes at a time" trickled
sed "s/\$/$(printf '\r')/" "$messages" >"$BUILD/crlf"
expect "lines that end in CRLF" same "$BUILD/reference" --messages "$BUILD/crlf"
{ cat "$messages" && echo; } >"$BUILD/newline"
expect "a newline at the end" same "$BUILD/reference" --messages "$BUILD/newline"
expect "to standard output" to_stdout
refuse "a pipe cannot be repeated" ":0: --repeat needs a file that can be read again" not_twice

# ---- the report ---------------------------------------------------------------------------------------------------------------

trades=$($AWK -F, '$2 == 4 || $2 == 5 { n++; v += $4 } END { print "trades " n ", volume " v "," }' "$messages")
best=$(tail -n 1 "$BUILD/reference" | $AWK -F, '{ print "last best ask " $1 " x " $2 ", last best bid " $3 " x " $4 }')
reported()
{
    run "$@" >"$said" || return 1
    cat "$said"
    for text in "messages in" "messages/s" "p50" "p90" "p99 " "p99.9" "max" "blocked on in" "blocked on out" "reader " "parser " \
        "book " "statistics " "sink " "$trades" "$best"; do
        grep -qF -- "$text" "$said" || { echo "missing: $text"; return 1; }
    done
}
expect "the report" reported
expect "the report, 3 parsers" reported --parsers 3
expect "the report, 3 replays" reported --repeat 3
expect "the report, sequential" reported --sequential
cat >"$BUILD/check_json.py" <<'PYTHON'
import json, sys
r = json.load(open(sys.argv[1]))
assert r["messages"] == 999 * r["repeat"] and r["trades"] == 159 and r["volume"] == 10592 and r["complete"] is True, r
assert [s["name"] for s in r["stages"]] == ["reader", "parser", "book", "statistics", "sink"], r
for s in r["stages"]:
    assert s["p50_ns"] <= s["p90_ns"] <= s["p99_ns"] <= s["p99_9_ns"] <= s["max_ns"], s
    assert s["blocked_in_ns"] >= 0 and s["blocked_out_ns"] >= 0, s
PYTHON
json() { run --json "$BUILD/json" "$@" >/dev/null && python3 "$BUILD/check_json.py" "$BUILD/json"; }
if python3 -c 'import json' 2>/dev/null; then
    expect "JSON" json --book "$book"
    expect "JSON, all options" json --parsers 3 --wait park --pin 0 --repeat 4 --pace 1000000
    expect "JSON, sequential" json --sequential
else
    skip "JSON" "needs python3"
fi
# The 999 messages took 49 s; at 100 times the speed they must take half a second.
paced()
{
    run --pace 100 --json "$BUILD/json" "$@" >/dev/null &&
        $AWK '/"seconds"/ && $2 + 0 >= 0.49 { good = 1 } END { exit !good }' "$BUILD/json"
}
expect "--pace keeps the recorded time" paced
expect "--pace, 3 parsers" paced --parsers 3
expect "--pace, sequential" paced --sequential
for options in "--parsers 0" "--parsers 17" "--parsers x" "--repeat -1" "--pace 0" "--pace nan" "--wait soon" "--pin 0,,1" "--pin" \
    "--pin 1x" "--what" "what" "--bbo-out - --json -"; do
    expect "bad usage: $options" ends 2 $options
done
refuse "a CPU that is none" "--pin" run --pin 4000
refuse "a CPU that is none, sequential" "--pin" run --sequential --pin 4000
expect "--help" run --help

# ---- bad input ----------------------------------------------------------------------------------------------------------------

# ROW becomes line 11 of a file whose line 12 is bad too. Line 11 is told of, and the ten rows before it are written.
head -n 10 "$BUILD/reference" >"$BUILD/ten"
bad_row()
{
    for options in "--sequential" "--parsers 1" "--parsers 3" "--parsers 3 --wait park" "--parsers 2 --repeat 3"; do
        rm -f "$out"
        fails_with "$BUILD/bad:11: $1" --messages "$BUILD/bad" --bbo-out "$out" $options && cmp "$BUILD/ten" "$out" || return 1
    done
}
bad() # NAME TEXT ROW; in ROW, \0000 is a NUL byte
{
    {
        head -n 10 "$messages"
        printf '%b\n' "$3"
        echo "34200.0,99,nonsense"
        tail -n +13 "$messages"
    } >"$BUILD/bad"
    expect "bad input: $1" bad_row "$2"
}
bad "a short row" "the row is too short: it has 5 columns" "34200.1,1,16113575,18,5853300"
bad "an empty row" "the row is too short: it has 0 columns" ""
bad "a long row" "the row is too long: more than 6 columns" "34200.1,1,16113575,18,5853300,1,1"
bad "no number" "column 4, size: not a number" "34200.1,1,16113575,x18,5853300,1"
bad "a number and more" "column 5, price: not a number" "34200.1,1,16113575,18,5853300.5,1"
bad "an empty column" "column 3, order id: not a number" "34200.1,1,,18,5853300,1"
bad "a space" "column 4, size: not a number" "34200.1,1,16113575, 18,5853300,1"
bad "a time that is none" "column 1, time: not a number" "34200.,1,16113575,18,5853300,1"
bad "a negative time" "column 1, time: not a number" "-1.5,1,16113575,18,5853300,1"
bad "an overflow" "column 4, size: too large a number" "34200.1,1,16113575,9223372036854775808,5853300,1"
bad "an overflow of the time" "column 1, time: too large a number" "99999999999.1,1,16113575,18,5853300,1"
bad "a negative size" "column 4, size: negative" "34200.1,1,16113575,-18,5853300,1"
bad "an unknown type" "column 2, type: unknown type (1 to 7 are known)" "34200.1,8,16113575,18,5853300,1"
bad "type zero" "column 2, type: unknown type (1 to 7 are known)" "34200.1,0,16113575,18,5853300,1"
bad "no direction" "column 6, direction: neither 1 nor -1" "34200.1,1,16113575,18,5853300,0"
bad "a NUL byte" "a NUL byte in the row" '34200.1,1,161\0000575,18,5853300,1'
bad "a NUL byte at the end" "a NUL byte in the row" '34200.1,1,161575,18,5853300,1\0000'
bad "a very long line" "the line is too long" "$(head -c 9000 /dev/zero | tr '\0' 1)"
bad "a level that overflows" "the size of the price level overflows" "34200.1,1,16113575,9223372036854775807,5853300,1"

: >"$BUILD/empty"
for options in --sequential "--parsers 1" "--parsers 3"; do
    expect "an empty file: $options" fails_with "$BUILD/empty:1: the file is empty" --messages "$BUILD/empty" $options
    expect "a missing file: $options" fails_with "$BUILD/none:0: cannot be read: No such file or directory" \
        --messages "$BUILD/none" $options
    expect "a folder: $options" fails_with "$BUILD:1: cannot be read: Is a directory" --messages "$BUILD" $options
done

# The same in the book file: row 7 is bad, so six messages are written.
run --book "$book" --bbo-out "$BUILD/seeded" >/dev/null
head -n 6 "$BUILD/seeded" >"$BUILD/six"
bad_book() # TEXT ROW
{
    { head -n 6 "$book"; echo "$2"; tail -n +8 "$book"; } >"$BUILD/bad_book"
    for options in "--sequential" "--parsers 1" "--parsers 3"; do
        fails_with "$BUILD/bad_book:7: $1" --book "$BUILD/bad_book" --bbo-out "$out" $options && cmp "$BUILD/six" "$out" || return 1
    done
}
expect "a bad row of the book: short" bad_book "the row is too short: it has 3 columns" "1,2,3"
expect "a bad row of the book: no number" bad_book "column 2, ask size: not a number" "1,x,3,4"
printf '1,2,3\n' >"$BUILD/bad_seed"
expect "a bad first row of the book" fails_with "$BUILD/bad_seed:1: the row is too short: it has 3 columns" --book "$BUILD/bad_seed"
expect "an empty book" fails_with "$BUILD/empty:1: the file is empty" --book "$BUILD/empty"
refuse "a missing book" "$BUILD/none:0: cannot be read" run --book "$BUILD/none"

# A bad row is told of at once, though the pipe stays open and nothing more comes.
mkfifo "$BUILD/fifo"
still_open() # TEXT OPTIONS...
{
    { head -n 10 "$messages"; cat "$BUILD/last"; exec sleep 60; } >"$BUILD/fifo" &
    feeder=$!
    begun=$(date +%s)
    fails_with "$1" --messages "$BUILD/fifo" --bbo-out "$out" $2
    still=$?
    took=$(($(date +%s) - begun))
    kill $feeder
    wait $feeder 2>/dev/null
    [ $still -eq 0 ] && [ $took -lt 50 ] && cmp "$3" "$out"
}
echo bad >"$BUILD/last"
for options in --sequential "--parsers 1" "--parsers 3"; do
    expect "a bad row in a pipe that stays open: $options" still_open "$BUILD/fifo:11: column 1, time: not a number" "$options" \
        "$BUILD/ten"
done
: >"$BUILD/last"
{ head -n 6 "$book"; echo "1,x,3,4"; tail -n +8 "$book"; } >"$BUILD/bad_book"
expect "a bad row of the book, and a pipe that stays open" still_open "$BUILD/bad_book:7: column 2, ask size: not a number" \
    "--parsers 3 --book $BUILD/bad_book" "$BUILD/six"

# ---- signals and full disks ---------------------------------------------------------------------------------------------------

# SIGINT while the input is silent, after 500 rows: they are there, whole, and the status is 130.
interrupted()
{
    rm -f "$out"
    { head -n 500 "$messages"; exec sleep 60; } >"$BUILD/fifo" &
    feeder=$!
    $fixed "$program" --messages "$BUILD/fifo" --bbo-out "$out" --pace 1000000 "$@" >"$said" 2>&1 &
    pid=$!
    tries=0
    while [ $tries -lt 300 ] && { [ ! -e "$out" ] || [ "$(wc -l <"$out")" -lt 500 ]; }; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -INT $pid
    wait $pid
    got=$?
    kill $feeder
    wait $feeder 2>/dev/null
    cat "$said"
    echo "status $got"
    head -n 500 "$BUILD/reference" | cmp - "$out" && [ $got -eq 130 ]
}
# SIGINT in the middle: what is written is a whole number of lines, and the right ones.
interrupted_anywhere()
{
    rm -f "$out"
    $fixed "$program" --messages "$messages" --bbo-out "$out" --pace 5 "$@" >"$said" 2>&1 &
    pid=$!
    while [ ! -s "$out" ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
    kill -INT $pid
    wait $pid
    got=$?
    rows=$(wc -l <"$out")
    cat "$said"
    echo "$rows rows, status $got"
    head -n "$rows" "$BUILD/reference" | cmp - "$out" && [ $got -eq 130 ] && [ "$rows" -gt 0 ] && [ "$rows" -lt 999 ]
}
# SIGINT at full speed, in a later replay.
interrupted_busy()
{
    $fixed "$program" --messages "$messages" --repeat 1000000 --bbo-out "$out" "$@" >"$said" 2>&1 &
    pid=$!
    sleep 1
    kill -INT $pid
    wait $pid
    got=$?
    cat "$said"
    echo "status $got"
    cmp "$BUILD/reference" "$out" && [ $got -eq 130 ]
}
# SIGINT while it waits for somebody to write to the pipe at all.
interrupted_opening()
{
    $fixed "$program" --messages "$BUILD/fifo" "$@" >"$said" 2>&1 &
    pid=$!
    sleep 0.5
    kill -INT $pid
    wait $pid
    got=$?
    cat "$said"
    [ $got -eq 130 ]
}
for options in --sequential "--parsers 1" "--parsers 3" "--wait park" "--wait spin"; do
    expect "SIGINT while nothing comes: $options" interrupted $options
    expect "SIGINT in the middle: $options" interrupted_anywhere $options
done
for options in --sequential "--parsers 1" "--parsers 3" "--wait park"; do
    expect "SIGINT at full speed: $options" interrupted_busy $options
done
expect "SIGINT before the pipe has a writer" interrupted_opening

report_to_full() { run >/dev/full; }
if [ -w /dev/full ]; then
    for options in --sequential "--parsers 1" "--parsers 3" "--pace 1000000"; do
        expect "a full disk: $options" fails_with "market_data: /dev/full: No space left on device" --bbo-out /dev/full $options
    done
    refuse "a full disk for the report" "standard output: No space left on device" report_to_full
    refuse "a full disk for the JSON" "/dev/full: No space left on device" run --json /dev/full
else
    skip "a full disk" "needs /dev/full"
fi
# More than a pipe holds, so that the writer notices.
yes "$(head -n 1 "$messages")" | head -n 20000 >"$BUILD/many"
closed_pipe()
{
    {
        sleep 0.2
        run --messages "$BUILD/many" --bbo-out - "$@" 2>"$said"
        echo $? >"$BUILD/status"
    } | true
    cat "$said"
    [ "$(cat "$BUILD/status")" -eq 1 ] && grep -qF "standard output: Broken pipe" "$said"
}
for options in --sequential "--parsers 1" "--parsers 3"; do expect "a closed pipe: $options" closed_pipe $options; done
refuse "an output that cannot be made" "$BUILD/none/out: No such file" run --bbo-out "$BUILD/none/out"

# ---- sanitizers ---------------------------------------------------------------------------------------------------------------

sanitized() # SANITIZER
{
    expect "$1: 3 parsers" same "$BUILD/reference" --parsers 3 --repeat 3
    expect "$1: the book" same_book --wait park
    expect "$1: sequential" same "$BUILD/reference" --sequential
    bad "no number, $1" "column 4, size: not a number" "34200.1,1,16113575,x18,5853300,1"
    expect "$1: a full disk" fails_with "market_data: /dev/full: No space left on device" \
        --bbo-out /dev/full --parsers 2
    expect "$1: SIGINT" interrupted_anywhere --parsers 2
}
each_sanitizer sanitized
finish
