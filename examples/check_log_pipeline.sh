#!/bin/sh
# examples/check_log_pipeline.sh: the tables are what awk makes of the same logs, whatever the number of workers; bad lines are named and cost no other;
# what is dropped under overload is exactly what the policy says; files that grow, are truncated or replaced; an orderly end at each signal.
. examples/check.sh

sample=examples/data/dpkg.log
history=examples/data/apt_history.log

builds
expect "a starter that has SIGINT heeded builds" starter

# ---- the same in awk ----------------------------------------------------------------------------------------------------------

# Entries: time, action, package, command. The transactions of apt are looked through one by one, from the last.
cat >"$BUILD/entries.awk" <<'AWK'
FILENAME == history && /^Start-Date: / { begin[++n] = stop[n] = $2 " " $3; command[n] = "-"; next }
FILENAME == history && /^Commandline: / { command[n] = substr($0, 14); next }
FILENAME == history && /^End-Date: / { stop[n] = $2 " " $3; next }
FILENAME == history { next }
{
    t = $1 " " $2
    package = $3 == "startup" || $3 == "conffile" ? "-" : $3 == "status" ? $5 : $4
    sub(/:.*/, "", package)
    for (i = n; i > 0 && begin[i] > t; i--) { }
    print t "\t" $3 "\t" package "\t" (i > 0 && stop[i] >= t ? command[i] : "-")
}
AWK
cat >"$BUILD/table.awk" <<'AWK'
{
    key = by == "package" ? $3 : by == "hour" ? substr($1, 1, 13) : by == "command" ? $4 : "all"
    count[key, $2]++
    total[key]++
}
END {
    m = split("install upgrade configure trigproc remove purge status", columns, " ")
    for (key in total) {
        other = total[key]
        for (i = 1; i <= m; i++) {
            printf "%9d ", count[key, columns[i]]
            other -= count[key, columns[i]]
        }
        printf "%9d %9d  %s\n", other, total[key], key
    }
}
AWK
entries() { $AWK -v history="$history" -f "$BUILD/entries.awk" "$history" "$@"; } # FILE...
table()                                                                       # BY: of entries on standard input, with its head
{
    printf '%9s %9s %9s %9s %9s %9s %9s %9s %9s  %s\n' install upgrade configure trigproc remove purge status other total "$1"
    $AWK -F '\t' -v by="$1" -f "$BUILD/table.awk" | LC_ALL=C sort -k 10
}
# Whether the table in $out is that of the entries in a file, and ends with the line.
is_table() # BY ENTRIES LAST
{
    { table "$1" <"$2"; echo "$3"; } | sort >"$BUILD/wanted"
    sort "$out" | cmp "$BUILD/wanted" - || { diff "$BUILD/wanted" "$out" | head -n 20; return 1; }
    # The rows are in the order of their keys.
    sed -e 1d -e '$d' "$out" | cut -c 92- >"$BUILD/keys"
    LC_ALL=C sort -c "$BUILD/keys"
}
all_of() { echo "$1 lines: $1 aggregated, 0 dropped, 0 bad"; }

tables() # FILE
{
    entries "$1" >"$BUILD/entries"
    for workers in 1 2 3 8; do
        for by in package hour command all; do
            run --apt "$history" --by $by --workers $workers "$1" >"$out" || return 1
            is_table $by "$BUILD/entries" "$(all_of $(($(wc -l <"$1"))))" || { echo "$workers workers, by $by"; return 1; }
        done
    done
}
in_order() # FILE: the entries come out as they stand in the file, whoever has parsed them
{
    entries "$1" >"$BUILD/entries"
    for workers in 1 2 3 8; do
        run --apt "$history" --workers $workers --out "$BUILD/written" "$1" >"$out" && cmp "$BUILD/entries" "$BUILD/written" || return 1
    done
}
several() # files one after the other, standard input among them, and a last line without its newline
{
    head -c -1 "$sample" >"$BUILD/cut"
    entries "$sample" "$sample" "$BUILD/cut" >"$BUILD/entries"
    run --apt "$history" --out "$BUILD/written" "$sample" - "$BUILD/cut" <"$sample" >"$out" && cmp "$BUILD/entries" "$BUILD/written" &&
        is_table package "$BUILD/entries" "$(all_of $(($(wc -l <"$sample") * 3)))"
}
without_apt()
{
    entries "$sample" | $AWK -F '\t' -v OFS='\t' '{ $4 = "-"; print }' >"$BUILD/entries"
    run --out - <"$sample" >"$out" && head -n "$(wc -l <"$sample")" "$out" | cmp "$BUILD/entries" -
}
expect "the tables of the sample" tables "$sample"
expect "the order of the sample" in_order "$sample"
expect "several files, and one that has no last newline" several
expect "without apt's history, from standard input to standard output" without_apt
if [ -s /var/log/dpkg.log ] && [ -r /var/log/dpkg.log ]; then
    sed -e '$d' /var/log/dpkg.log >"$BUILD/own.log" # which may be at the middle of a line
    if [ -r /var/log/apt/history.log ]; then cp /var/log/apt/history.log "$BUILD/own_history"; else : >"$BUILD/own_history"; fi
    history=$BUILD/own_history
    expect "the tables of this machine's log" tables "$BUILD/own.log"
    expect "the order of this machine's log" in_order "$BUILD/own.log"
    history=examples/data/apt_history.log
else
    skip "this machine's log" "needs /var/log/dpkg.log"
fi

# ---- bad lines ----------------------------------------------------------------------------------------------------------------

# Two good lines after each bad one. What is told of them, in the order of the file, and the table of the others.
cat >"$BUILD/bad_lines" <<'END'
no time|
no time|hello
no time|2025-06-24T14:36:25 install a:amd64 1 2
no time|2025-06-24 14:36:2x install a:amd64 1 2
no time|2025-06-24 14:36:25
an unknown action|2025-06-24 14:36:25 x
an unknown action|2025-06-24 14:36:25 installs a:amd64 1 2
an unknown action|2025-06-24 14:36:25 install  a:amd64 1 2
not as many words as its action has|2025-06-24 14:36:25 install a:amd64 1
not as many words as its action has|2025-06-24 14:36:25 install a:amd64 1 2 3
not as many words as its action has|2025-06-24 14:36:25 startup archives install now
no name of a package|2025-06-24 14:36:25 install :amd64 1 2
END
make_bad()
{
    sed 's/[^|]*|//' "$BUILD/bad_lines" >"$BUILD/texts"
    sed 's/|.*//' "$BUILD/bad_lines" >"$BUILD/reasons"
    { echo "too long"; echo "too long"; echo "too long"; echo "a NUL byte"; } >>"$BUILD/reasons"
    {
        head -c 501 /dev/zero | tr '\0' x; echo
        head -c 65536 /dev/zero | tr '\0' y; echo
        head -c 300000 /dev/zero | tr '\0' z; echo
    } >>"$BUILD/texts"
    printf '2025-06-24 14:36:25 install a\000b 1 2\n' >>"$BUILD/texts"
    n=0
    while [ $n -lt 16 ]; do
        n=$((n + 1))
        sed -n "${n}p" "$BUILD/texts"
        sed -n "$((2 * n - 1)),$((2 * n))p" "$sample"
    done >"$BUILD/bad.log"
    $AWK -v file="$BUILD/bad.log" '{ print file ":" 3 * NR - 2 ": " $0 }' "$BUILD/reasons" >"$BUILD/reports"
}
bad_lines()
{
    make_bad
    head -n 32 "$sample" >"$BUILD/good" && entries "$BUILD/good" >"$BUILD/entries"
    for workers in 1 2 3 8; do
        run --apt "$history" --workers $workers --out "$BUILD/written" "$BUILD/bad.log" >"$out" 2>"$said"
        [ $? -eq 1 ] && diff "$BUILD/reports" "$said" && cmp "$BUILD/entries" "$BUILD/written" &&
            is_table package "$BUILD/entries" "48 lines: 32 aggregated, 0 dropped, 16 bad" || return 1
    done
}
expect "bad lines are named in order, and cost no other" bad_lines

# ---- overload -----------------------------------------------------------------------------------------------------------------

# The aggregation opens its output before it takes the first entry. As long as nobody reads from that pipe it is held, and takes none.
mkfifo "$BUILD/held" "$BUILD/feed"
wait_for() # TEXT: until it is said; no longer than 60 s
{
    tries=0
    until grep -q "$1" "$said"; do
        sleep 0.05
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || { echo "not said: $1"; cat "$said"; return 1; }
    done
}
held() # SAYS OPTIONS...: until it says so; then lets it go. $out: the table, $BUILD/written: the entries
{
    until_said=$1
    shift
    : >"$said"
    run --verbose --apt "$history" --out "$BUILD/held" "$@" "$BUILD/three.log" >"$out" 2>"$said" &
    pid=$!
    wait_for "$until_said" || { kill -KILL $pid; return 1; }
    cat "$BUILD/held" >"$BUILD/written"
    wait $pid || { echo "status $?"; cat "$said"; return 1; }
}
overload() # POLICY QUEUE: three times the sample
{
    cat "$sample" "$sample" "$sample" >"$BUILD/three.log"
    lines=$(wc -l <"$BUILD/three.log")
    held "the input has ended" --full "$1" --queue "$2" || return 1
    case $1 in
    newest) entries "$BUILD/three.log" | head -n "$2" ;;
    oldest) entries "$BUILD/three.log" | tail -n "$2" ;;
    esac >"$BUILD/entries"
    cmp "$BUILD/entries" "$BUILD/written" && grep -q ":$(($2 + 1)): the queue is full" "$said" &&
        is_table package "$BUILD/entries" "$((lines)) lines: $2 aggregated, $((lines - $2)) dropped, 0 bad"
}
blocked()
{
    cat "$sample" "$sample" "$sample" >"$BUILD/three.log"
    lines=$(wc -l <"$BUILD/three.log")
    held "the queue is full" --full block --queue 7 && entries "$BUILD/three.log" >"$BUILD/entries" && cmp "$BUILD/entries" "$BUILD/written" &&
        is_table package "$BUILD/entries" "$(all_of $((lines)))"
}
expect "overload: the newest are dropped" overload newest 7
expect "overload: the newest are dropped, a queue of one" overload newest 1
expect "overload: the oldest are dropped" overload oldest 7
expect "overload: the oldest are dropped, a larger queue" overload oldest 100
expect "overload: the reader waits" blocked
# Without a hold: which ones are dropped is the schedule's; the sum is not.
adds_up()
{
    for policy in block newest oldest; do
        for i in 1 2 3 4 5; do
            run --full $policy --queue 1 --by all --out "$BUILD/written" "$BUILD/bad.log" "$BUILD/three.log" >"$out" 2>"$said"
            [ $? -eq 1 ] || return 1
            $AWK -v policy=$policy -v all="$(cat "$BUILD/bad.log" "$BUILD/three.log" | wc -l)" -v rows="$(wc -l <"$BUILD/written")" '
                / lines: / { good = $1 == all && $3 + $5 + $7 == all && $3 == rows && $7 == 16 && (policy != "block" || $5 == 0) }
                $NF == "all" && NR > 1 { total = $9 }
                END { exit !(good && total == rows) }' "$out" || { echo "$policy"; cat "$out"; return 1; }
        done
    done
}
expect "what is read is aggregated, dropped or bad" adds_up

# ---- growing files, and signals ------------------------------------------------------------------------------------------------

lines_written() # N: until as many entries have come out; no longer than 60 s
{
    tries=0
    while [ "$(cat "$BUILD/written" 2>/dev/null | wc -l)" -lt "$1" ]; do
        sleep 0.05
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || { echo "only $(wc -l <"$BUILD/written") of $1"; return 1; }
    done
}
followed() # SIGNAL
{
    rm -f "$BUILD/written" "$BUILD/grows"*
    head -n 20 "$sample" >"$BUILD/grows"
    head -n 5 "$sample" >"$BUILD/grows_too"
    "$BUILD/heeds" $fixed "$program" --follow --out "$BUILD/written" "$BUILD/grows" "$BUILD/grows_too" >"$out" 2>"$said" &
    pid=$!
    lines_written 25 || return 1
    sed -n 21,40p "$sample" >>"$BUILD/grows"
    lines_written 45 || return 1
    printf '%s' "$(sed -n 41p "$sample" | cut -c 1-30)" >>"$BUILD/grows" # half a line, and then the rest
    sed -n 6,10p "$sample" >>"$BUILD/grows_too"
    lines_written 50 || return 1
    sed -n 41p "$sample" | cut -c 31- >>"$BUILD/grows"
    lines_written 51 || return 1
    sed -n 42,46p "$sample" >"$BUILD/grows" # truncated
    lines_written 56 || return 1
    sed -n 47,60p "$sample" >"$BUILD/grows.new" && mv "$BUILD/grows.new" "$BUILD/grows" # replaced, as logrotate does
    lines_written 70 || return 1
    ends_by "$1" 0 || return 1
    head -n 60 "$sample" >"$BUILD/good" && head -n 10 "$sample" >>"$BUILD/good"
    entries "$BUILD/good" | $AWK -F '\t' -v OFS='\t' '{ $4 = "-"; print }' >"$BUILD/entries"
    sort "$BUILD/entries" >"$BUILD/sorted" && sort "$BUILD/written" | cmp "$BUILD/sorted" - &&
        is_table package "$BUILD/entries" "$(all_of 70)"
}
# A pipe that stays open. What has been read is in the table.
interrupted() # SIGNAL STATUS
{
    rm -f "$BUILD/written"
    { head -n 50 "$sample"; exec sleep 60; } >"$BUILD/feed" &
    feeder=$!
    "$BUILD/heeds" $fixed "$program" --out "$BUILD/written" "$BUILD/feed" >"$out" 2>"$said" &
    pid=$!
    lines_written 50 && ends_by "$1" "$2"
    got=$?
    kill $feeder
    wait $feeder 2>/dev/null
    [ $got -eq 0 ] && grep -q "^50 lines: 50 aggregated, 0 dropped, 0 bad" "$out"
}
interrupted_opening() # nobody writes to the pipe at all
{
    : >"$said"
    "$BUILD/heeds" $fixed "$program" --out "$BUILD/written" "$sample" "$BUILD/feed" >"$out" 2>"$said" &
    pid=$!
    lines_written "$(wc -l <"$sample")" && ends_by INT 130 && grep -q "^$(($(wc -l <"$sample"))) lines: " "$out"
}
# An output that takes nothing: the second signal ends it, without a table.
stuck()
{
    : >"$said"
    "$BUILD/heeds" $fixed "$program" --verbose --queue 1 --out "$BUILD/held" "$sample" >"$out" 2>"$said" &
    pid=$!
    wait_for "the queue is full" || return 1
    kill -INT $pid
    kill -INT $pid
    tries=0
    while kill -0 $pid 2>/dev/null && [ $tries -lt 600 ]; do # two signals may have become one: send more
        sleep 0.1
        kill -INT $pid 2>/dev/null
        tries=$((tries + 1))
    done
    wait $pid
    got=$?
    cat "$said"
    [ $got -eq 2 ] && [ ! -s "$out" ] && grep -q "could not all be written" "$said"
}
expect "--follow: growing, truncated, replaced; SIGINT" followed INT
expect "--follow: growing, truncated, replaced; SIGTERM" followed TERM
expect "SIGINT: what was read is in the table" interrupted INT 130
expect "SIGTERM: what was read is in the table" interrupted TERM 143
expect "SIGINT while nobody writes to the pipe" interrupted_opening
expect "an output that takes nothing, and a second signal" stuck

# ---- what cannot be ------------------------------------------------------------------------------------------------------------

for options in "--by size" "--queue 0" "--queue x" "--workers 65" "--full no" "--what" "--out"; do
    expect "bad usage: $options" ends 2 $options
done
expect "no such file" complains "log_pipeline: $BUILD/none: No such file or directory" "$sample" "$BUILD/none"
expect "no such history" complains "log_pipeline: $BUILD/none: No such file or directory" --apt "$BUILD/none"
expect "a folder; the files beside it are read" complains "log_pipeline: $BUILD: Is a directory" "$BUILD" "$sample"
grep -q "^$(($(wc -l <"$sample"))) lines: " "$out" || tap_not_ok "a folder: the files beside it" "$out"
expect "an output that cannot be made" complains "log_pipeline: $BUILD/none/out: No such file or directory" --out "$BUILD/none/out"
expect "an empty file" ends 0 /dev/null
if [ -w /dev/full ]; then
    expect "a full disk" complains "log_pipeline: /dev/full: No space left on device" --out /dev/full
else
    skip "a full disk" "needs /dev/full"
fi

# ---- sanitizers ---------------------------------------------------------------------------------------------------------------

sanitized() # SANITIZER
{
    expect "$1: the order" in_order "$sample"
    expect "$1: bad lines" bad_lines
    expect "$1: the newest are dropped" overload newest 7
    expect "$1: the oldest are dropped" overload oldest 7
    expect "$1: sums" adds_up
    expect "$1: --follow" followed INT
    expect "$1: no such file" complains "log_pipeline: $BUILD/none: No such file or directory" "$BUILD/none"
    expect "$1: SIGINT" interrupted INT 130
}
each_sanitizer sanitized
finish
