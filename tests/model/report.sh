#!/bin/sh
# tests/model/report.sh OUT COUNTS PROGRAM...: sums up what the model's programs have printed to OUT/PROGRAM.out, and compares how much was
# searched with COUNTS: a search that has shrunk by a tenth has lost something, and fails. (Compilers lay stacks out differently, which
# moves the counts by less.) How many steps block others must be exactly as recorded, because README says so.
out=$1 counts=$2
shift 2
passed=0 failed=0 files=

for p in "$@"; do
    f=$out/$p.out
    ok=$(grep -c '^ok ' "$f") no=$(grep -c '^not ok ' "$f")
    if ! tail -n 1 "$f" | grep -q '^[0-9]* passed'; then
        no=$((no + 1))
        echo "model: $p died"
    fi
    printf 'model      %-40s %s passed\n' "$p" "$ok$([ "$no" -gt 0 ] && echo ", $no failed")"
    grep -E '^(#|not ok)' "$f"
    passed=$((passed + ok)) failed=$((failed + no)) files="$files $f"
done

# shellcheck disable=SC2086 # files is a list
differ=$(awk -f tests/model/counts.awk $files | grep -vE '^(litmus|bugs|ck-any) ' | awk '
    FNR == NR { recorded[$1 " " $2] = $3; blocks[$1 " " $2] = $3 " " $4 " " $5; next }
    !($1 " " $2 in recorded) { print $1, $2 ": not recorded (make model-counts)"; next }
    $5 ~ /^[0-9]+$/ { if ($3 " " $4 " " $5 != blocks[$1 " " $2]) print $1, $2 ": " $3 " of " $5 " steps block others, recorded " blocks[$1 " " $2]; next }
    $3 < 0.9 * recorded[$1 " " $2] { print $1, $2 ": " $3 " executions, recorded " recorded[$1 " " $2] }
' "$counts" -)
if [ -n "$differ" ]; then
    echo "$differ" | sed 's/^/model: /'
    failed=$((failed + $(echo "$differ" | wc -l)))
fi
# README's table of progress.
undocumented=$(awk '$5 == "steps" || $6 == "steps" { sub(/^progress_/, "", $2); gsub(/_/, " ", $2); print "| " $2 " | " $3 " of " $5 " |" }' "$counts" |
    while read -r line; do grep -qF "$line" README.md || echo "$line"; done)
if [ -n "$undocumented" ]; then
    echo "$undocumented" | sed 's/^/model: not in README: /'
    failed=$((failed + $(echo "$undocumented" | wc -l)))
fi
echo "$passed passed, $failed failed${SKIPPED:+, $SKIPPED skipped}"
[ "$failed" -eq 0 ]
