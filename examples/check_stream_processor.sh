#!/bin/sh
# examples/check_stream_processor.sh: the sums are what awk makes of the same rows, to the byte, for any number of workers and of files, late rows among them; an
# orderly end for bad rows and signals; a rate that is kept; and a view that leaves the table.
. examples/check.sh

sample=examples/data/aapl_2012-06-21_head_messages.csv
hour=../shared/data/aapl_2012-06-21_0930-1030_messages.csv # optional: too large to be committed

builds
expect "a starter that has SIGINT heeded builds" starter

# ---- the same in awk ----------------------------------------------------------------------------------------------------------

cat >"$BUILD/sums.awk" <<'AWK'
{
    t = $1 + 0
    k = $key
    begin = int(t / length_) * length_
    if (NR == 1 || t > newest)
        newest = t
    if (begin + length_ + late <= newest) {
        n_late++
        next
    }
    id = begin SUBSEP k
    if (!(id in rows)) {
        low[id] = high[id] = $5 + 0
    }
    rows[id]++
    size[id] += $4
    value[id] += $4 * $5
    if ($5 + 0 < low[id])
        low[id] = $5 + 0
    if ($5 + 0 > high[id])
        high[id] = $5 + 0
    if (k in before) {
        up[id] += $5 + 0 > before[k]
        down[id] += $5 + 0 < before[k]
    }
    before[k] = $5 + 0
}
END {
    for (id in rows) {
        split(id, part, SUBSEP)
        printf "%12.3f %-12s %8d %12.10g %14.4f %14.4f %14.4f %7d %7d\n", part[1], part[2], rows[id], size[id],
            size[id] != 0 ? value[id] / size[id] : 0, low[id], high[id], up[id], down[id]
    }
    printf "~%d rows: %d in windows, %d late, 0 bad\n", NR, NR - n_late, n_late
}
AWK
# The rows of standard input, in the order in which they count.
wanted() # KEY SECONDS LATE
{
    printf '%12s %-12s %8s %12s %14s %14s %14s %7s %7s\n' window key rows size mean lowest highest up down
    $AWK -F , -v key="$1" -v length_="$2" -v late="$3" -f "$BUILD/sums.awk" >"$BUILD/unsorted"
    grep -v '^~' "$BUILD/unsorted" | LC_ALL=C sort -k 1,1n -k 2,2
    sed -n 's/^~//p' "$BUILD/unsorted"
}
same() # OPTIONS...: for any number of workers
{
    for workers in 1 2 3 8; do
        run --workers $workers "$@" >"$out" && cmp "$BUILD/wanted" "$out" || { diff "$BUILD/wanted" "$out" | head -n 10; echo "$workers workers"; return 1; }
    done
}
sums() # FILE KEY SECONDS
{
    wanted "$2" "$3" 0 <"$1" >"$BUILD/wanted" && same --columns "1,$2,5,4" --window "$3" "$1"
}
expect "types of messages, 5 seconds" sums "$sample" 2 5
expect "types of messages, half a second" sums "$sample" 2 0.5
expect "types of messages, all of it in one window" sums "$sample" 2 100000
expect "sides" sums "$sample" 6 10
expect "prices: as many keys as there are" sums "$sample" 5 10
expect "order ids: hundreds of keys" sums "$sample" 3 1
if [ -r "$hour" ]; then
    expect "an hour, by minute" sums "$hour" 2 60
    expect "an hour, prices" sums "$hour" 5 600
else
    skip "an hour of order flow" "needs $hour"
fi

# Three files, merged by time; equal times in the order of the files.
several()
{
    $AWK -v dir="$BUILD" '{ print > (dir "/part" int(NR / 10) % 3) }' "$sample"
    cat "$BUILD/part0" "$BUILD/part1" "$BUILD/part2" | LC_ALL=C sort -s -t , -k 1,1n >"$BUILD/merged"
    wanted 2 5 0 <"$BUILD/merged" >"$BUILD/wanted"
    for i in 1 2 3; do
        same --window 5 "$BUILD/part0" - "$BUILD/part2" <"$BUILD/part1" >"$BUILD/differs" 2>&1
        [ -s "$out" ] && run --window 5 "$BUILD/part0" - "$BUILD/part2" <"$BUILD/part1" >"$out" && cmp "$BUILD/wanted" "$out" || return 1
    done
    same --window 5 "$BUILD/part0" "$BUILD/part1" "$BUILD/part2"
}
expect "three files at once, and standard input" several

# Out of order: each 25 rows backwards.
late() # SECONDS
{
    $AWK '{ row[NR] = $0 } END { for (i = 0; i < NR; i += 25) for (k = 25; k > 0; k--) if (i + k <= NR) print row[i + k] }' "$sample" >"$BUILD/backwards"
    wanted 2 0.5 "$1" <"$BUILD/backwards" >"$BUILD/wanted" && same --window 0.5 --late "$1" "$BUILD/backwards" || return 1
    number=$(sed -n 's/.*windows, \([0-9]*\) late.*/\1/p' "$out")
    if [ "$2" = none ]; then [ "$number" -eq 0 ]; else [ "$number" -gt 0 ]; fi || { echo "$number late"; return 1; }
}
expect "out of order: late rows are counted" late 0 some
expect "out of order: less late with --late" late 0.75 some
expect "out of order: none is late" late 30 none

# ---- bad rows, and what cannot be ------------------------------------------------------------------------------------------------

cat >"$BUILD/bad_rows" <<'END'
too few columns|
too few columns|34200.1,1,16113575,18
not a time|,1,16113575,18,5853300,1
not a time|34200.1x,1,16113575,18,5853300,1
not a time|.5,1,16113575,18,5853300,1
not a time|-34200,1,16113575,18,5853300,1
not a time|99999999999,1,16113575,18,5853300,1
not a number|34200.1,1,16113575,,5853300,1
not a number|34200.1,1,16113575,1x,5853300,1
not a number|34200.1,1,16113575,nan,5853300,1
not a number|34200.1,1,16113575,18,1e999,1
not a number|34200.1,1,16113575,18,0x10,1
not a key|34200.1,123456789012345678901234,16113575,18,5853300,1
END
bad_rows()
{
    $AWK -v bad="$BUILD/bad_rows" 'FILENAME == bad { sub(/^[^|]*\|/, ""); row[++n] = $0; next } { print } FNR <= n { print row[FNR] }' \
        "$BUILD/bad_rows" "$sample" >"$BUILD/bad"
    $AWK -F '|' -v file="$BUILD/bad" '{ print file ":" 2 * NR ": " $1 }' "$BUILD/bad_rows" >"$BUILD/reports"
    wanted 2 5 0 <"$sample" | sed 's/^999 rows: 999 in windows, 0 late, 0 bad/1012 rows: 999 in windows, 0 late, 13 bad/' >"$BUILD/wanted"
    run --window 5 "$BUILD/bad" >"$out" 2>"$said"
    [ $? -eq 1 ] && diff "$BUILD/reports" "$said" && diff "$BUILD/wanted" "$out"
}
folder() { complains "$BUILD:1: Is a directory" "$BUILD" "$sample" && grep -q "^999 rows: 999 in windows" "$out"; }
long_line() # ends its file, and no other
{
    { head -n 20 "$sample"; head -c 9000 /dev/zero | tr '\0' 1; echo; } >"$BUILD/long"
    complains "$BUILD/long:21: the line is too long" "$BUILD/long" - && grep -q "^1019 rows: 1019 in windows" "$out"
}
expect "bad rows are named, and cost no other" bad_rows
for options in "--window 0" "--window x" "--workers 0" "--workers 65" "--workers 1.5" "--columns 1,2,3" "--columns 1,2,3,4,5" "--columns 0,1,2,3" \
    "--rate 0" "--at -1" "--late" "--what"; do
    expect "bad usage: $options" ends 2 $options
done
expect "no such file" complains "stream_processor: $BUILD/none: No such file or directory" "$sample" "$BUILD/none"
expect "a folder; the file beside it is read" folder
expect "a line that is too long" long_line
expect "an empty file" ends 0 /dev/null
full_disk() { ! run "$sample" >/dev/full 2>"$said" && grep -q "cannot be written" "$said"; }
if [ -w /dev/full ]; then
    expect "a full disk" full_disk
else
    skip "a full disk" "needs /dev/full"
fi

# ---- speed, signals, the view ----------------------------------------------------------------------------------------------------

lasts() # a second at least, by a clock of seconds: what is to take two
{
    wanted 2 5 0 <"$BUILD/rows" >"$BUILD/wanted"
    begun=$(date +%s)
    run --window 5 "$@" "$BUILD/rows" >"$out" && cmp "$BUILD/wanted" "$out" && [ $(($(date +%s) - begun)) -ge 1 ]
}
head -n 41 "$sample" >"$BUILD/rows"
expect "--rate is kept" lasts --rate 20
cp "$sample" "$BUILD/rows" # 49 seconds
expect "--at keeps the recorded times" lasts --at 25

mkfifo "$BUILD/feed" "$BUILD/silent"
# Some rows, and a pipe that stays open. The row after them is bad: once it is told of, the others have been read.
interrupted() # ROWS SIGNAL STATUS OPTIONS...
{
    rows=$1 signal=$2 status=$3
    shift 3
    { head -n "$rows" "$sample"; echo bad; exec sleep 60; } >"$BUILD/feed" &
    feeder=$!
    : >"$said"
    "$BUILD/heeds" $fixed "$program" --window 5 "$@" "$BUILD/feed" >"$out" 2>"$said" &
    pid=$!
    tries=0
    until [ -s "$said" ] || [ $tries -ge 600 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    ends_by "$signal" "$status"
    got=$?
    kill $feeder
    wait $feeder 2>/dev/null
    head -n "$rows" "$sample" | wanted 2 5 0 | sed "s/^$rows rows: \(.*\), 0 bad/$((rows + 1)) rows: \1, 1 bad/" >"$BUILD/wanted"
    [ $got -eq 0 ] && cmp "$BUILD/wanted" "$out"
}
silent_too() # the merge waits for the other pipe, so these rows come with the signal; they are no more than a channel has room for
{
    (exec sleep 60 >"$BUILD/silent") &
    other=$!
    interrupted 40 INT 130 "$BUILD/silent"
    still=$?
    kill $other
    wait $other 2>/dev/null
    return $still
}
expect "SIGINT: what was read is in the table" interrupted 500 INT 130
expect "SIGTERM: what was read is in the table" interrupted 500 TERM 143
expect "SIGINT, and a pipe that is silent" silent_too
# 40 rows would take 40 seconds; with the signal they come through at once.
expect "SIGINT, held up by a rate" interrupted 40 INT 130 --rate 1
expect "SIGINT, held up by times" interrupted 40 INT 130 --at 0.001

# The last thing that the view does is to erase itself; then comes the table.
escape=$(printf '\033')
viewed()
{
    wanted 2 5 0 <"$sample" >"$BUILD/wanted"
    run --live --window 5 --at 50 "$sample" >"$out" || return 1
    $AWK -v mark="$escape[J" '{ text = text $0 "\n" } END { n = split(text, part, /\033\[J/); printf "%s", part[n] }' "$out" | cmp "$BUILD/wanted" - &&
        [ "$(grep -c "$escape\[J" "$out")" -ge 2 ] && grep -q "/s" "$out"
}
on_terminal()
{
    wanted 2 5 0 <"$sample" >"$BUILD/wanted"
    script -qec "$program --window 5 $sample" /dev/null </dev/null | tr -d '\r' >"$out"
    grep -q "$escape\[J" "$out" && tail -n 5 "$BUILD/wanted" >"$BUILD/tail" && tail -n 5 "$out" | cmp "$BUILD/tail" -
}
expect "--live: the view leaves the table" viewed
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
    expect "a terminal has the view" on_terminal
else
    skip "a terminal has the view" "needs script(1)"
fi

# ---- sanitizers ---------------------------------------------------------------------------------------------------------------

sanitized() # SANITIZER
{
    expect "$1: types of messages" sums "$sample" 2 5
    expect "$1: order ids" sums "$sample" 3 1
    expect "$1: three files" several
    expect "$1: late rows" late 0 some
    expect "$1: bad rows" bad_rows
    expect "$1: the view" viewed
    expect "$1: SIGINT" interrupted 500 INT 130
    expect "$1: SIGINT, held up by a rate" interrupted 40 INT 130 --rate 1
    expect "$1: no such file" complains "stream_processor: $BUILD/none: No such file or directory" "$BUILD/none"
}
each_sanitizer sanitized
finish
