#!/bin/sh
# examples/check_fetch_titles.sh: pages of every difficult kind, by examples/fetch_titles/pages.c, and what the database then says of each; rate, breaker, deadlines;
# lists with bad lines; SIGTERM, SIGINT and kill -9 at several moments, with a second run that fetches the rest and nothing twice.
. examples/check.sh

db=$BUILD/pages.db
list=$BUILD/list
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

has() # PACKAGE PROGRAM LIBRARY
{
    printf '%b' "$2" | $CC -x c - -o "$BUILD/probe" "-l$3" 2>/dev/null && "$BUILD/probe" && return 0
    skip "titles of web pages" "needs $1"
    finish
    return 1
}
has "libcurl4-openssl-dev, 7.68 or later" '#include <curl/curl.h>\nint main(void) { return LIBCURL_VERSION_NUM < 0x074400 || !curl_version(); }\n' curl || exit 0
has "libsqlite3-dev, 3.24 or later" '#include <sqlite3.h>\nint main(void) { return sqlite3_libversion_number() < 3024000; }\n' sqlite3 || exit 0

libraries="-lcurl -lsqlite3"
builds
expect "the server builds without a warning" $CC -std=c11 -O2 $CWARN -Werror -Iinclude examples/fetch_titles/pages.c -o "$BUILD/pages" -pthread
[ -x "$BUILD/pages" ] || { finish; exit 1; }

# ask DB QUERY: the rows.
cat >"$BUILD/ask.c" <<'C'
#include <sqlite3.h>
#include <stdio.h>
static int print_row(void *unused, int n, char **values, char **names)
{
    (void)names;
    (void)unused;
    for (int i = 0; i < n; i++)
        printf("%s%c", values[i] ? values[i] : "", i + 1 < n ? '|' : '\n');
    return 0;
}
int main(int argc, char **argv)
{
    sqlite3 *db;
    return argc != 3 || sqlite3_open(argv[1], &db) != SQLITE_OK || sqlite3_busy_timeout(db, 30000) != SQLITE_OK ||
           sqlite3_exec(db, argv[2], print_row, NULL, NULL) != SQLITE_OK;
}
C
tools() { $CC -O2 "$BUILD/ask.c" -o "$BUILD/ask" -lsqlite3 && starter; }
expect "the tools of this test build" tools

: >"$BUILD/requests"
"$BUILD/pages" >>"$BUILD/requests" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
until grep -q listening "$BUILD/requests"; do kill -0 $server || exit 1; done
set -- $(sed -n 's/^listening on//p' "$BUILD/requests")
good=http://127.0.0.1:$1 ill=http://127.0.0.1:$2 third=http://127.0.0.1:$3 shut=http://127.0.0.1:$4

fresh() { rm -f "$db" "$db-wal" "$db-shm"; }
# Without a limit that matters, and with short times; later options overrule.
goes() { run --delay 5 --rate 100000 --burst 1000 --failures 100000 "$@" >"$said" 2>&1; }
gives() # WANTED QUERY
{
    answer=$("$BUILD/ask" "$db" "$2")
    [ "$answer" = "$1" ] || { echo "$2: $answer, not $1"; cat "$said"; return 1; }
}
asked() { grep -c -- "$1" "$BUILD/requests"; } # how many requests there were for it
ms_now() { echo $(($(date +%s%N) / 1000000)); }
round=0 # for URLs that no test has used before
next_round() { round=$((round + 1)); }

# ---- every kind of page -------------------------------------------------------------------------------------------------------

kinds()
{
    next_round
    n=$((round * 2))
    for path in page/1 slow/50/two flaky/$n/2 fail/1 busy/$((n + 1)) redirect/3 redirect/6 loop elsewhere hang trickle reset cut untitled split huge late odd \
        long nowhere; do echo "$good/$path"; done >"$list"
    echo "$shut/page/1" >>"$list"
    fresh
    ends 1 --timeout "$1" --attempts 3 "$db" "$list" || return 1
    says "11 fetched, 3 missing, 7 failed, 0 not fetched; 0 skipped, 0 bad lines; 36 attempts" || return 1
    gives 1 "SELECT ms >= 1000 FROM pages WHERE url LIKE '%/busy/%'" || return 1
    "$BUILD/ask" "$db" "SELECT substr(url, instr(substr(url, 8), '/') + 8), outcome, status, title, error, attempts FROM pages ORDER BY url" |
        sed 's/flaky[^|]*/flaky/; s/busy[^|]*/busy/; s/Failed to connect.*server/refused/; s/|transfer closed[^|]*/|cut/; s/|[^|]*reset by peer[^|]*/|reset/
            s/Protocol[^|]*/ftp/' | LC_ALL=C sort >"$BUILD/got"
    LC_ALL=C sort >"$BUILD/expected" <<END
page/1|failed|||refused|3
busy|fetched|200|Page that was busy||2
cut|failed|200||cut|3
elsewhere|failed|301||ftp|1
fail/1|failed|500||status 500|3
flaky|fetched|200|Page that was flaky||3
hang|failed|||timed out|3
huge|fetched|200|Page huge||1
late|fetched|200||no title in the first 65536 bytes|1
long|fetched|200|a$(for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50; do printf 'äää'; done | head -c 298)||1
loop|missing|301||status 301, too many redirects|1
nowhere|missing|404||status 404|1
odd|fetched|200|Fish &amp; Chips||1
page/1|fetched|200|Page 1||1
redirect/3|fetched|200|Page redirected||1
redirect/6|missing|302||status 302, too many redirects|1
reset|failed|||reset|3
slow/50/two|fetched|200|Page two||1
split|fetched|200|Sent in many pieces||1
trickle|failed|||timed out|3
untitled|fetched|200||no title|1
END
    diff "$BUILD/expected" "$BUILD/got"
}
second_run()
{
    echo "$good/page/one-more" >>"$list"
    ends 1 --timeout 800 --attempts 1 "$db" "$list" &&
        says "1 fetched, 0 missing, 7 failed, 0 not fetched; 14 skipped, 0 bad lines; 8 attempts" && [ "$(asked page/one-more)" -eq 1 ]
}
# 23 bytes are just enough.
bound() { fresh && echo "$good/huge" >"$list" && ends 0 --bytes 23 "$db" "$list" && gives "Page huge|" "SELECT title, error FROM pages" &&
    fresh && ends 0 --bytes 22 "$db" "$list" && gives "|no title in the first 22 bytes" "SELECT title, error FROM pages"; }
expect "pages of every kind" kinds 1500
expect "a second run skips what has an answer, and asks for the rest" second_run
expect "no more than --bytes of a page are read" bound

# ---- rate, breaker, deadlines -------------------------------------------------------------------------------------------------

urls() # COUNT PREFIX
{
    $AWK -v n="$1" -v p="$2" 'BEGIN { for (i = 1; i <= n; i++) print p i }'
}
rate() # 40 at 50 a second, 10 of them at once: 0.6 s; the other host has a rate of its own
{
    { urls 40 "$good/page/rate"; urls 10 "$third/page/rate"; } >"$list"
    fresh
    begun=$(ms_now)
    ends 0 --rate 50 --burst 10 "$db" "$list" && took=$(($(ms_now) - begun)) && says "50 fetched" || return 1
    [ "$took" -ge 590 ] || { echo "$took ms"; return 1; }
}
breaker() # one host is ill: it is left in peace, and the pages of the other arrive
{
    next_round
    { urls 60 "$ill/fail/$round-"; urls 30 "$good/page/beside"; } >"$list"
    fresh
    ends 1 --failures 5 --open 60000 --attempts 2 --workers 4 "$db" "$list" && says "30 fetched, 0 missing, 60 failed" || return 1
    [ "$(asked "/fail/$round-")" -le 9 ] || { echo "asked $(asked "/fail/$round-") times"; return 1; }
    gives 1 "SELECT count(*) >= 51 FROM pages WHERE error LIKE 'refused by the breaker: would have to wait%'"
}
comes_back() # it is ill for 8 requests: the breaker opens, and lets one through from time to time
{
    next_round
    echo "$ill/flaky/$((500 + round))/8" >"$list"
    fresh
    ends 1 --failures 5 --open 60000 --attempts 100 "$db" "$list" && gives "failed|500|refused by the breaker: would have to wait; before: status 500|5" \
        "SELECT outcome, status, error, attempts FROM pages" && ends 0 --failures 5 --open 60000 --attempts 100 "$db" "$list" &&
        gives "fetched|200|Page that was flaky||4" "SELECT outcome, status, title, error, attempts FROM pages"
}
deadline() # OPTIONS...: neither silence nor single bytes keep it
{
    for path in hang trickle; do
        echo "$good/$path" >"$list"
        fresh
        begun=$(ms_now)
        ends 1 "$@" "$db" "$list" || return 1
        took=$(($(ms_now) - begun))
        [ "$took" -ge 250 ] && [ "$took" -lt 20000 ] || { echo "$took ms"; return 1; }
        gives "failed|timed out|1" "SELECT outcome, error, attempts FROM pages" || return 1
    done
}
retries_within_deadline() # there would be 1000 attempts
{
    echo "$good/fail/deadline" >"$list"
    fresh
    begun=$(ms_now)
    ends 1 --attempts 1000 --delay 50 --deadline 2000 "$db" "$list" && gives 1 "SELECT outcome = 'failed' AND error IN ('status 500', 'timed out') FROM pages" || return 1
    took=$(($(ms_now) - begun))
    [ "$took" -lt 20000 ] && [ "$(asked /fail/deadline)" -ge 2 ] && [ "$(asked /fail/deadline)" -lt 900 ]
}
expect "not faster than --rate" rate
expect "a host that fails is left in peace" breaker
expect "a breaker within one page, and the next run" comes_back
expect "an attempt ends after --timeout" deadline --timeout 300 --attempts 1
expect "a page ends after --deadline" deadline --timeout 60000 --deadline 300
expect "retries end after --deadline" retries_within_deadline

# ---- lists --------------------------------------------------------------------------------------------------------------------

bad_lines()
{
    long=$($AWK 'BEGIN { for (i = 0; i < 100000; i++) printf "x" }')
    printf '%s/page/a\n\n# a comment\nwhat is this\n%s/page/b\r\nftp://127.0.0.1/\nmailto:me@here\nhttp://\n%s/page/\001\n%s/%s\n%s/page/\000c\n%s/page/d' "$good" "$good" "$good" "$good" \
        "$long" "$good" "$good" >"$list"
    fresh
    ends 1 "$db" "$list" && says "3 fetched, 0 missing, 0 failed, 0 not fetched; 0 skipped, 7 bad lines; 3 attempts" || return 1
    for line in "4: not a URL" "6: neither http nor https" "7: n" "8: not a URL" "9: not a URL" "10: too long" "11: not text"; do
        says "fetch_titles: $list:$line" || return 1
    done
    gives "Page a Page b Page d" "SELECT group_concat(title, ' ') FROM (SELECT title FROM pages ORDER BY url)"
}
standard_input() { fresh && urls 20 "$good/page/in" | ends 0 "$db" && says "20 fetched" && urls 21 "$good/page/in" | ends 0 "$db" - && says "1 fetched, 0 missing, 0 failed, 0 not fetched; 20 skipped"; }
twice() { { echo "$good/page/same"; urls 200 "$good/page/t"; echo "$good/page/same"; } >"$list"; fresh && ends 0 "$db" "$list" && gives 201 "SELECT count(*) FROM pages"; }
# Two at once, of which one fails in the end: the answer stays.
once()
{
    next_round
    { echo "$good/once/$((700 + round))"; echo "$good/once/$((700 + round))"; } >"$list"
    fresh
    ends 1 --attempts 3 "$db" "$list" && says "1 fetched, 0 missing, 1 failed" && gives "fetched|Page that was there once" "SELECT outcome, title FROM pages"
}
nothing() { : >"$list" && fresh && ends 0 "$db" "$list" && says "0 fetched, 0 missing, 0 failed, 0 not fetched; 0 skipped, 0 bad lines; 0 attempts"; }
no_file() { fresh && ends 2 "$db" "$BUILD/nowhere" && says "nowhere: No such file"; }
folder() { fresh && ends 1 "$db" "$BUILD" && says "Is a directory"; }
no_database() { ends 2 "$BUILD/nowhere/db" "$list" && says "unable to open"; }
# The writer fails in the middle: everything ends, and says why.
full()
{
    fresh
    urls 600 "$good/page/full" >"$list"
    ends 0 "$db" /dev/null && "$BUILD/ask" "$db" "CREATE TRIGGER t BEFORE INSERT ON pages WHEN (SELECT count(*) FROM pages) >= 50 BEGIN SELECT RAISE(ABORT, 'no room'); END" &&
        ends 2 --workers 100 "$db" "$list" && says "no room" && ! grep -q "ended before" "$said" &&
        gives 1 "SELECT count(*) <= 50 FROM pages" && "$BUILD/ask" "$db" "DROP TRIGGER t" && ends 0 "$db" "$list" &&
        gives "600|0" "SELECT count(*), count(*) - sum(outcome = 'fetched') FROM pages"
}
expect "bad lines are named, and the others fetched" bad_lines
expect "from standard input" standard_input
expect "a URL that stands there twice has one row" twice
expect "an answer is not replaced by a failure" once
expect "an empty list" nothing
expect "a file that is not there" no_file
expect "a folder" folder
expect "a database that cannot be opened" no_database
expect "a database that takes no more" full
for options in "--rate 0" "--rate x" "--what 1" "--workers 257" "" "a b c"; do
    usage() { "$program" $options >"$said" 2>&1; [ $? -eq 2 ] && says "usage:"; }
    expect "bad usage: $options" usage
done

# ---- the end ------------------------------------------------------------------------------------------------------------------

begin() # OPTIONS...: in the background, $pid
{
    "$BUILD/heeds" $fixed "$program" --delay 5 --rate 100000 --burst 1000 --failures 100000 "$@" >"$said" 2>&1 &
    pid=$!
}
until_asked() # COUNT TEXT: so many requests have come
{
    tries=0
    until [ "$(asked "$2")" -ge "$1" ]; do
        kill -0 $pid 2>/dev/null && [ $((tries += 1)) -lt 3000 ] || { cat "$said"; return 1; }
        sleep 0.01
    done
}
# 120 pages of 40 ms, SIGTERM after some: all rows are there; the second run fetches the rest; and each page was asked for once. (Where this script is held up the
# signal may come too late: not each time.)
stopped()
{
    stops=0
    for count in 1 10 30 50 60; do
        next_round
        urls 120 "$good/slow/40/$round-" >"$list"
        fresh
        begin --workers 4 "$db" "$list"
        until_asked $count "/slow/40/$round-" && kill -TERM $pid
        wait $pid
        got=$?
        gives "120|0" "SELECT count(*), sum(outcome NOT IN ('fetched', 'not fetched')) FROM pages" || return 1
        case "$got $("$BUILD/ask" "$db" "SELECT sum(outcome = 'not fetched') > 0 FROM pages")" in
        "143 1") stops=$((stops + 1)) ;;
        "0 0" | "143 0") ;;
        *) echo "status $got"; cat "$said"; return 1 ;;
        esac
        gives 1 "SELECT sum(outcome = 'fetched') >= $count - 4 FROM pages" && ends 0 "$db" "$list" &&
            gives "120" "SELECT sum(outcome = 'fetched' AND title LIKE 'Page $round-%') FROM pages" || return 1
        [ "$(asked "/slow/40/$round-")" -eq 120 ] || { echo "asked $(asked "/slow/40/$round-") times"; return 1; }
    done
    [ $stops -ge 2 ]
}
no_more_attempts() # a page that fails is not tried again once the program stops
{
    next_round
    echo "$ill/fail/stop$round" >"$list"
    fresh
    begin --attempts 1000 --delay 1 --grace 60000 --deadline 3600000 "$db" "$list"
    until_asked 2 "/fail/stop$round" && begun=$(ms_now) && kill -TERM $pid
    wait $pid
    got=$?
    [ $got -eq 143 ] && [ $(($(ms_now) - begun)) -lt 30000 ] && gives "not fetched|500|refused by the shutdown: cancelled; before: status 500" \
        "SELECT outcome, status, error FROM pages"
}
cut_off() # SIGINT, and pages that hang: --grace
{
    { urls 20 "$good/hang/"; urls 5 "$good/page/late"; } >"$list"
    fresh
    before=$(asked "/hang/")
    begin --workers 4 --grace 200 --timeout 60000 "$db" "$list"
    until_asked $((before + 4)) "/hang/" && begun=$(ms_now) && kill -INT $pid
    wait $pid
    got=$?
    [ $got -eq 130 ] && [ $(($(ms_now) - begun)) -lt 20000 ] && says "0 fetched, 0 missing, 0 failed, 25 not fetched" || { echo "status $got"; cat "$said"; return 1; }
    gives "25|4" "SELECT count(*), sum(attempts) FROM pages WHERE outcome = 'not fetched'"
}
twice_signalled() # a second one ends it at once
{
    urls 20 "$good/hang/" >"$list"
    fresh
    before=$(asked "/hang/")
    begin --workers 4 --grace 3600000 --timeout 3600000 --deadline 3600000 "$db" "$list"
    until_asked $((before + 4)) "/hang/" && begun=$(ms_now) && kill -TERM $pid
    sleep 0.3
    kill -0 $pid && kill -TERM $pid
    wait $pid
    got=$?
    [ $got -eq 143 ] && [ $(($(ms_now) - begun)) -lt 20000 ] && says "ended before everything had stopped" || { echo "status $got"; cat "$said"; return 1; }
    gives "ok" "PRAGMA integrity_check"
}
silent_list() # it waits for a line, which does not come
{
    mkfifo "$BUILD/fifo"
    fresh
    next_round
    { urls 3 "$good/page/fifo$round-"; exec sleep 60; } >"$BUILD/fifo" &
    feeder=$!
    begin "$db" "$BUILD/fifo"
    until_asked 3 "/page/fifo$round-" && begun=$(ms_now) && kill -TERM $pid
    wait $pid
    got=$?
    took=$(($(ms_now) - begun))
    kill $feeder
    wait $feeder 2>/dev/null
    rm "$BUILD/fifo"
    [ $got -eq 143 ] && [ $took -lt 20000 ] && says "3 fetched, 0 missing, 0 failed, 0 not fetched" || { echo "status $got"; cat "$said"; return 1; }
}
endless_list()
{
    next_round
    fresh
    yes "$good/slow/5/endless$round" | "$program" --grace 100 --rate 1000000 --burst 1000000 "$db" >"$said" 2>&1 &
    pid=$!
    tries=0
    until [ "$(asked "/slow/5/endless$round")" -ge 4 ] || [ $((tries += 1)) -ge 3000 ]; do sleep 0.01; done
    kill -TERM $pid
    wait $pid
    got=$?
    [ $got -eq 143 ] && gives 1 "SELECT count(*) FROM pages WHERE outcome = 'fetched'" || { echo "status $got"; cat "$said"; return 1; }
}
killed() # kill -9: what was committed stays, and is not asked for again
{
    for count in 1 5 40 70; do
        next_round
        urls 100 "$good/slow/10/$round-" >"$list"
        fresh
        begin --workers 4 "$db" "$list"
        until_asked $count "/slow/10/$round-" && kill -KILL $pid
        wait $pid 2>/dev/null
        stored=$("$BUILD/ask" "$db" "SELECT count(*) FROM pages")
        ends 0 "$db" "$list" && says "; $stored skipped" && gives "100|100" "SELECT count(*), sum(outcome = 'fetched' AND title LIKE 'Page $round-%') FROM pages" || return 1
    done
}
expect "SIGTERM: what is begun is finished, the rest fetched by the next run" stopped
expect "SIGTERM: no attempt begins any more" no_more_attempts
expect "SIGINT: what hangs is cut off" cut_off
expect "a second signal ends it at once" twice_signalled
expect "a signal while the list is silent" silent_list
expect "a signal while the list has no end" endless_list
expect "kill -9, and the next run" killed

# ---- sanitizers ---------------------------------------------------------------------------------------------------------------

sanitized() # SANITIZER
{
    expect "$1: pages of every kind" kinds 2000
    expect "$1: the breaker" breaker
    expect "$1: bad lines" bad_lines
    expect "$1: SIGTERM" stopped
    expect "$1: SIGINT" cut_off
    expect "$1: a database that takes no more" full
}
each_sanitizer sanitized
fresh
finish
