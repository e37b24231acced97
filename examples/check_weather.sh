#!/bin/sh
# examples/check_weather.sh: the table of a thousand stations is what awk makes of the same files; a bad file is named, and no table is printed.
. examples/check.sh

builds

# A thousand files of 30 to 129 lines, below and above zero.
fresh()
{
    rm -rf "$BUILD/stations"
    mkdir "$BUILD/stations" && awk -v dir="$BUILD/stations" 'BEGIN {
        for (s = 0; s < 1000; s++) {
            file = sprintf("%s/st%04d.csv", dir, s * 7919 % 10000)
            for (i = 0; i < 30 + s % 100; i++) {
                v = (s * 31 + i * 17) % 701 - 300
                printf "2012-%02d-%02d,%s%d.%d\n", i % 12 + 1, i % 28 + 1, v < 0 ? "-" : "", int((v < 0 ? -v : v) / 10), (v < 0 ? -v : v) % 10 > file
            }
            close(file)
        }
    }'
}
table() # what the program should print
{
    (cd "$BUILD/stations" && awk -F , '
        function show(name, n, low, sum, high,    mean) {
            mean = int((sum < 0 ? sum - int(n / 2) : sum + int(n / 2)) / n) + 0
            printf "%-12s %8d %7.1f %7.1f %7.1f\n", name, n, low / 10, mean / 10, high / 10
        }
        BEGIN { printf "%-12s %8s %7s %7s %7s\n", "station", "lines", "coldest", "mean", "hottest" }
        { v = $2; sub(/\./, "", v); v += 0 }
        FNR == 1 { if (name != "") show(name, n, low, sum, high); name = FILENAME; sub(/\.csv$/, "", name); n = sum = 0; low = high = v }
        { n++; sum += v; if (v < low) low = v; if (v > high) high = v; N++; SUM += v; if (N == 1 || v < LOW) LOW = v; if (N == 1 || v > HIGH) HIGH = v }
        END { show(name, n, low, sum, high); show("all", N, LOW, SUM, HIGH) }' $(LC_ALL=C ls))
}
gathered() # ROUNDS
{
    fresh && table >"$BUILD/expected" || return 1
    for i in $(seq "$1"); do
        run "$BUILD/stations" >"$BUILD/got" || return 1
        diff "$BUILD/expected" "$BUILD/got" >"$BUILD/differs" || { head -n 5 "$BUILD/differs"; return 1; }
    done
}
fails() # MESSAGE: a bad file is there
{
    for i in 1 2 3 4 5; do
        run "$BUILD/stations" >"$BUILD/got" 2>"$BUILD/errors"
        [ $? -eq 1 ] && [ ! -s "$BUILD/got" ] && [ "$(cat "$BUILD/errors")" = "weather: $1" ] || { cat "$BUILD/errors"; return 1; }
    done
}
bad_temperature() { printf '2012-01-01,3.4\n2012-01-02,warm\n' >"$BUILD/stations/zz.csv" && fails "zz.csv:2: not a temperature"; }
bad_date() { printf '2012-01-01,3.4\n3.4\n' >"$BUILD/stations/zz.csv" && fails "zz.csv:2: no date and comma"; }
empty_file() { : >"$BUILD/stations/zz.csv" && fails "zz.csv: empty"; }
no_file() { rm "$BUILD/stations/zz.csv" && ln -s nowhere "$BUILD/stations/zz.csv" && fails "zz.csv: cannot be opened"; }
no_folder() { run "$BUILD/nowhere" 2>"$BUILD/errors"; [ $? -eq 2 ] && grep -q "nowhere: No such file" "$BUILD/errors"; }
none_at_all() { mkdir "$BUILD/empty" && [ "$(run "$BUILD/empty" | wc -l)" -eq 1 ]; }
expect "a thousand stations in one table" gathered 5
expect "not a temperature: file and line" bad_temperature
expect "no date: file and line" bad_date
expect "an empty file" empty_file
expect "a file that cannot be opened" no_file
expect "a folder that is not there" no_folder
rm -rf "$BUILD/empty"
expect "a folder without files" none_at_all
sanitized() # SANITIZER
{
    expect "$1: a thousand stations" gathered 1
    expect "$1: not a temperature" bad_temperature
}
each_sanitizer sanitized
rm -rf "$BUILD/stations" "$BUILD/empty"
finish
