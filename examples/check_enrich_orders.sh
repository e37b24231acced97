#!/bin/sh
# examples/check_enrich_orders.sh: the database has what awk makes of the same file; and it has that, neither less nor more, when the program was killed on the way:
# at moments spread over its run, inside of transactions, around a commit, while it goes on after a kill; beside another writer; with bad rows and a cut-off line.
# SEED=n repeats the moments of a run.
. examples/check.sh
: "${SEED:=$(date +%s)}"

small=examples/data/aapl_2012-06-21_head_messages.csv
hour=../shared/data/aapl_2012-06-21_0930-1030_messages.csv # optional: too large to be committed
db=$BUILD/orders.db
orders=$BUILD/orders.csv

if ! printf '#include <sqlite3.h>\nint main(void) { return sqlite3_libversion_number() < 3035000; }\n' |
    $CC -x c - -o "$BUILD/probe" -lsqlite3 2>/dev/null || ! "$BUILD/probe"; then
    skip "orders into a database" "needs libsqlite3-dev, 3.35 or later"
    finish
    exit
fi
libraries=-lsqlite3
builds

# ---- tools --------------------------------------------------------------------------------------------------------------------

# tool dump DB: all that is in it, in an order. tool hold DB MS: holds the lock of writers for so long, once, having said "held"; tool pester DB: again and again for a
# few milliseconds. tool after US COMMAND...: kills it so many microseconds after its start; 0 if it was still there. tool time COMMAND...: microseconds.
cat >"$BUILD/tool.c" <<'C'
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_us(long us)
{
    const struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}
static int print_row(void *unused, int n, char **values, char **names)
{
    (void)names;
    (void)unused;
    for (int i = 0; i < n; i++)
        printf("%s%c", values[i] ? values[i] : "", i + 1 < n ? '|' : '\n');
    return 0;
}
static int sql(sqlite3 *db, const char *text)
{
    char *error = NULL;
    if (sqlite3_exec(db, text, print_row, NULL, &error) == SQLITE_OK)
        return 0;
    printf("%s: %s\n", text, error);
    return 1;
}
static pid_t start(char **command)
{
    const pid_t child = fork();
    if (child == 0) {
        execv(command[0], command);
        _exit(127);
    }
    return child;
}
int main(int argc, char **argv)
{
    sqlite3 *db;
    int status;
    if (argc > 3 && strcmp(argv[1], "after") == 0) {
        const pid_t child = start(argv + 3);
        pause_us(atol(argv[2]));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return !WIFSIGNALED(status);
    }
    if (argc > 2 && strcmp(argv[1], "time") == 0) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        waitpid(start(argv + 2), &status, 0);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%ld\n", (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000);
        return status != 0;
    }
    if (argc < 3 || sqlite3_open(argv[2], &db) != SQLITE_OK || sqlite3_busy_timeout(db, 30000) != SQLITE_OK)
        return 2;
    if (strcmp(argv[1], "dump") == 0)
        return sql(db, "SELECT * FROM orders ORDER BY line; SELECT 'reject', line, reason FROM rejects ORDER BY line;"
                       "SELECT 'minute', * FROM minutes ORDER BY minute; SELECT 'at', line FROM position;");
    if (strcmp(argv[1], "hold") == 0) {
        if (sql(db, "BEGIN IMMEDIATE"))
            return 1;
        puts("held");
        fflush(stdout);
        pause_us(atol(argv[3]) * 1000);
        return sql(db, "COMMIT");
    }
    for (;;) { /* pester */
        if (sql(db, "BEGIN IMMEDIATE"))
            return 1;
        pause_us(3000);
        if (sql(db, "COMMIT"))
            return 1;
        pause_us(1000);
    }
}
C
# Loaded before the program: dies at the Nth statement inside of a transaction (DIE="step N"), before or after the Nth COMMIT; "count 0" counts them.
cat >"$BUILD/die.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long steps, commits;
static void reach(const char *what, long n)
{
    const char *die = getenv("DIE");
    const size_t size = strlen(what);
    if (die && strncmp(die, what, size) == 0 && atol(die + size) == n)
        kill(getpid(), SIGKILL);
}
__attribute__((destructor)) static void count(void)
{
    const char *die = getenv("DIE");
    if (die && strncmp(die, "count", 5) == 0)
        fprintf(stderr, "%ld %ld\n", steps, commits);
}
int sqlite3_step(sqlite3_stmt *s)
{
    int (*real)(sqlite3_stmt *);
    *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
    if (!sqlite3_get_autocommit(sqlite3_db_handle(s)))
        reach("step", __atomic_add_fetch(&steps, 1, __ATOMIC_RELAXED));
    return real(s);
}
int sqlite3_exec(sqlite3 *db, const char *text, int (*each)(void *, int, char **, char **), void *arg, char **error)
{
    int (*real)(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **), rc;
    *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_exec");
    if (strcmp(text, "COMMIT") != 0)
        return real(db, text, each, arg, error);
    reach("before", ++commits);
    rc = real(db, text, each, arg, error);
    reach("after", commits);
    return rc;
}
C
tools() { $CC -O2 "$BUILD/tool.c" -o "$BUILD/tool" -lsqlite3 && $CC -O2 -fPIC -shared "$BUILD/die.c" -o "$BUILD/die.so" -ldl; }
expect "the tools of this test build" tools

# What the database should have, by awk; the lines of `bad` (" 4 7 ") are rejects.
cat >"$BUILD/reference.awk" <<'AWK'
BEGIN { FS = ","; split("new reduced deleted executed hidden cross halt", kind, " ") }
{ sub(/\r$/, "") }
index(bad, " " FNR " ") { next }
{
    split($1, t, ".")
    minute = int(t[1] / 60)
    traded = $2 >= 4 && $2 <= 6
    tick = $5 >= 10000 ? 100 : 1
    messages[minute]++; trades[minute] += traded; volume[minute] += traded * $4; value[minute] += traded * $4 * $5
    if (minute > last) last = minute
    if (!first) first = minute
    printf "%d|%d%s|%.0f|%d|%d|%d|%d|%d|%.0f|%d|%d|%s\n", FNR, t[1], substr(t[2] "000000000", 1, 9), $3, $4, $5, $6, int($5 / tick), $5 % tick,
        $4 * $5, minute, volume[minute], kind[$2]
}
END {
    n = split(bad, b, " "); split(reasons, why, "/")
    for (i = 1; i <= n; i++) print "reject|" b[i] "|" why[i]
    for (m = first; m <= last; m++)
        if (messages[m]) printf "minute|%d|%d|%d|%d|%.0f\n", m, messages[m], trades[m], volume[m], value[m]
    print "at|" FNR
}
AWK

# ---- to the end ---------------------------------------------------------------------------------------------------------------

fresh() { rm -f "$db" "$db-wal" "$db-shm"; }
goes() { run "$db" "$@" >"$said" 2>&1; }
holds() # WANTED: the database's contents
{
    "$BUILD/tool" dump "$db" >"$BUILD/dump" && cmp "$1" "$BUILD/dump" && return 0
    diff "$1" "$BUILD/dump" | head -n 5
    return 1
}
whole() # FILE WORKERS
{
    fresh && ends 0 "$1" "$2" && holds "$BUILD/wanted"
}
again() { ends 0 "$orders" && says "goes on after line $(wc -l <"$orders")" && holds "$BUILD/wanted"; }

$AWK -v bad= -f "$BUILD/reference.awk" "$small" >"$BUILD/wanted"
expect "999 orders, the last without a newline: what awk makes of them" whole "$small" 4
if [ -r "$hour" ]; then
    $AWK -v bad= -f "$BUILD/reference.awk" "$hour" >"$BUILD/wanted"
    expect "an hour: what awk makes of it" whole "$hour" 4
    { head -n 20000 "$hour"; } >"$orders"
else
    { for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do cat "$small"; echo; done; } >"$orders"
fi
$AWK -v bad= -f "$BUILD/reference.awk" "$orders" >"$BUILD/wanted"
for workers in 1 2 7 64; do expect "$workers workers: the same database" whole "$orders" $workers; done
expect "once more: nothing to do" again

# ---- killed -------------------------------------------------------------------------------------------------------------------

fresh
us=$("$BUILD/tool" time "$program" "$db" "$orders" | tail -n 1)
echo "# seed $SEED; a run takes $us us"
# Prints COUNT numbers between 1 and MOST: one at random in each of as many equal parts, so that they cover all.
moments() # COUNT MOST SALT
{
    $AWK -v n="$1" -v most="$2" -v seed="$((SEED + $3))" 'BEGIN {
        srand(seed)
        for (i = 0; i < n; i++) printf "%d\n", 1 + most * (i + rand()) / n
    }'
}
finishes() { ends 0 "$orders" && holds "$BUILD/wanted" || { echo "$1"; return 1; }; }
killed_at_random()
{
    hits=0 halves=0
    for moment in $(moments 20 "$us" 1); do
        fresh
        if "$BUILD/tool" after "$moment" "$program" "$db" "$orders" >"$said" 2>&1; then hits=$((hits + 1)); fi
        finishes "killed after $moment us" || return 1
        if grep -q "goes on after" "$said" && ! grep -q "goes on after line $(wc -l <"$orders")\$" "$said"; then halves=$((halves + 1)); fi
    done
    echo "$hits kills, $halves of them in the middle" >"$BUILD/random_kills"
    cat "$BUILD/random_kills"
    [ "$hits" -ge 5 ] && [ "$halves" -ge 3 ]
}
killed_twice()
{
    hits=0
    for moment in $(moments 20 "$us" 2); do
        fresh
        "$BUILD/tool" after "$((us / 4 + moment / 4))" "$program" "$db" "$orders" >/dev/null 2>&1
        for second in $(moments 3 "$us" "$moment"); do
            if "$BUILD/tool" after "$((second / 4))" "$program" "$db" "$orders" >/dev/null 2>&1; then hits=$((hits + 1)); fi
        done
        finishes "killed after $moment us, and later" || return 1
    done
    echo "$hits kills of those that went on"
    [ "$hits" -ge 10 ]
}
killed_by() # WHAT COUNT MOST SALT: by itself
{
    hits=0
    for n in $(moments "$2" "$3" "$4"); do
        fresh
        env DIE="$1 $n" LD_PRELOAD="$BUILD/die.so" "$program" "$db" "$orders" >"$said" 2>&1
        if [ $? -eq 137 ]; then hits=$((hits + 1)); fi
        finishes "killed $1 $n" || return 1
    done
    echo "$hits kills"
    [ "$hits" -ge $(($2 / 2)) ]
}
expect "killed at 20 random moments: nothing is lost or written twice" killed_at_random
echo "# $(cat "$BUILD/random_kills")"
expect "killed, and up to three times more while it goes on" killed_twice
fresh
if set -- $(env DIE="count 0" LD_PRELOAD="$BUILD/die.so" "$program" "$db" "$orders" 2>&1 >/dev/null | tail -n 1) && [ "${2:-0}" -gt 0 ]; then
    commits=$2
    expect "killed at 20 statements inside of transactions" killed_by step 20 $(($(wc -l <"$orders") * 2)) 3
    expect "killed before a commit" killed_by before 10 $((commits / 2)) 4
    expect "killed after a commit" killed_by after 10 $((commits / 2)) 5
    expect "killed before the first commit there is" killed_by before 1 1 6
else
    skip "killed inside of transactions" "needs LD_PRELOAD and a shared libsqlite3"
fi

# ---- signals, other writers ---------------------------------------------------------------------------------------------------

stopped()
{
    stops=0
    for moment in $(moments 5 "$us" 7); do
        fresh
        "$program" "$db" "$orders" >"$said" 2>&1 &
        pid=$!
        sleep "$($AWK -v us="$moment" 'BEGIN { printf "%.6f", us / 1000000 }')"
        kill -TERM $pid 2>/dev/null
        wait $pid
        got=$?
        [ "$got" -eq 143 ] || [ "$got" -eq 0 ] || { echo "status $got"; cat "$said"; return 1; }
        finishes "SIGTERM after $moment us" || return 1
    done
}
held() # starts a holder of the lock for MS, $holder
{
    rm -f "$BUILD/held"
    "$BUILD/tool" hold "$db" "$1" >"$BUILD/held" 2>&1 &
    holder=$!
    until grep -q held "$BUILD/held" 2>/dev/null; do kill -0 $holder || return 1; done
}
partly() # a database that has some of the rows
{
    head -n 200 "$orders" >"$BUILD/part.csv"
    fresh && ends 0 "$BUILD/part.csv"
}
waits()
{
    partly && held 400 || return 1
    begun=$(date +%s%N)
    finishes "behind a lock" && [ $(($(date +%s%N) - begun)) -ge 300000000 ]
    waited=$?
    wait $holder
    return $waited
}
gives_up()
{
    partly && held 60000 || return 1
    begun=$(date +%s)
    ends 2 "$orders" 4 200 && says "$db: database is locked"
    waited=$?
    took=$(($(date +%s) - begun))
    kill $holder
    wait $holder
    [ $waited -eq 0 ] && [ $took -lt 20 ] && finishes "once the lock is free"
}
pestered()
{
    partly || return 1
    "$BUILD/tool" pester "$db" >"$BUILD/pester" 2>&1 &
    holder=$!
    finishes "beside one who writes all the time"
    got=$?
    kill $holder
    wait $holder
    return $got
}
two_at_once()
{
    for i in 1 2 3 4 5; do
        fresh
        "$program" "$db" "$orders" >"$BUILD/said1" 2>&1 &
        first=$!
        "$program" "$db" "$orders" >"$BUILD/said2" 2>&1
        second_status=$?
        wait $first
        first_status=$?
        case $first_status$second_status in
        00 | 02 | 20) ;;
        *) echo "statuses $first_status, $second_status"; cat "$BUILD/said1" "$BUILD/said2"; return 1 ;;
        esac
        holds "$BUILD/wanted" || return 1
    done
}
expect "SIGTERM: it goes on where it stopped" stopped
expect "it waits for another writer" waits
expect "but not for ever; then it goes on" gives_up
expect "beside one who writes all the time" pestered
expect "two at once: one of them writes" two_at_once

# ---- bad input ----------------------------------------------------------------------------------------------------------------

cp "$BUILD/wanted" "$BUILD/wanted.orders"
long=$($AWK 'BEGIN { for (i = 0; i < 5000; i++) printf "7" }')
{
    head -n 3 "$small"
    printf '\n34200.1,1,16113575,18,5853300\n34200.1,1,16113575,18,5853300,1,1\nwarm,1,2,3,4,1\n34200.1,9,2,3,4,1\n34200.1,1,2,-3,4,1\n'
    sed -n 4,6p "$small"
    printf '34200.1,1,2,3,-4,1\n34200.1,1,2,3,4,0\n34200.1,1,99999999999999999999,3,4,1\n34200.1,1,2\0003,3,4,1\n%s\n99999,1,2,3,4,1\n34200.,1,2,3,4,1\n' "$long"
    sed -n '7,$s/$/\r/p' "$small"
} >"$BUILD/bad.csv"
bad_rows()
{
    $AWK -v bad=" 4 5 6 7 8 9 13 14 15 16 17 18 19 " \
        -v reasons="time/price/direction/time/no such type, or no tick size for the price/size/price/direction/order id/not text/too long/time/time" \
        -f "$BUILD/reference.awk" "$BUILD/bad.csv" >"$BUILD/wanted.bad"
    for workers in 1 4; do
        fresh && ends 1 "$BUILD/bad.csv" $workers && says "1012 lines: 999 orders, 13 rejects" && holds "$BUILD/wanted.bad" || return 1
    done
}
cut_off() # the last line, in the middle: it is left for later; and nothing is lost when the rest comes
{
    bytes=$(wc -c <"$orders")
    for cut in 1 2 9 30 31 32 40 1000; do
        head -c $((bytes - cut)) "$orders" >"$BUILD/grows.csv"
        fresh
        goes "$BUILD/grows.csv"
        got=$?
        lines=$(wc -l <"$BUILD/grows.csv")
        case $got in
        0) ;;
        1) says "$BUILD/grows.csv:$((lines + 1)): cut off" && says "$lines lines: $lines orders, 0 rejects" || return 1 ;;
        *) cat "$said"; return 1 ;;
        esac
        tail -c "$cut" "$orders" >>"$BUILD/grows.csv"
        ends 0 "$BUILD/grows.csv" && holds "$BUILD/wanted.orders" || { echo "$cut bytes cut off"; return 1; }
    done
}
other_file()
{
    fresh && ends 0 "$small" || return 1
    "$BUILD/tool" dump "$db" >"$BUILD/before"
    sed '500s/,/.5,/2' "$small" >"$BUILD/other.csv"
    ends 2 "$BUILD/other.csv" && says "not the file whose first 999 lines" && holds "$BUILD/before" && head -n 20 "$small" >"$BUILD/other.csv" &&
        ends 2 "$BUILD/other.csv" && holds "$BUILD/before"
}
no_file() { ends 2 "$BUILD/nowhere" && says "nowhere: No such file"; }
no_database() { "$program" "$BUILD/nowhere/db" "$small" >"$said" 2>&1; [ $? -eq 2 ] && says "unable to open"; }
not_one() { echo "this is a text, and long enough not to be taken for an empty database, which it is not" >"$BUILD/text" && ! "$program" "$BUILD/text" "$small" >"$said" 2>&1 && says "not a database"; }
empty() { : >"$BUILD/empty" && fresh && ends 0 "$BUILD/empty" && says "0 lines: 0 orders"; }
folder() { fresh && ends 2 "$BUILD" && says "cannot be read"; }
expect "bad rows go to a table of their own, with line and reason" bad_rows
expect "a last line that is cut off is left for the next run" cut_off
expect "another file than that of the first run" other_file
expect "an empty file" empty
expect "a file that is not there" no_file
expect "a folder" folder
expect "a database that cannot be opened" no_database
expect "a file that is no database" not_one

# ---- sanitizers ---------------------------------------------------------------------------------------------------------------

sanitized() # SANITIZER
{
    $AWK -v bad= -f "$BUILD/reference.awk" "$small" >"$BUILD/wanted"
    expect "$1: 999 orders" whole "$small" 4
    expect "$1: bad rows" bad_rows
    expect "$1: no file" no_file
}
each_sanitizer sanitized
rm -f "$BUILD"/*.csv "$BUILD"/wanted* "$BUILD/dump" "$BUILD/before"
fresh
finish
