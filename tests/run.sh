#!/bin/sh
# tests/run.sh: runs test programs and scripts that print the Test Anything Protocol, and sums up.
#
#   sh tests/run.sh LOGS VARIANT=PATH ... VARIANT!WHY ...
#
# One line per program, and the output of one that failed (with V=1 all of everything's). The last line is
# "N passed, N failed", with ", N skipped" when something was. The status is 0 only when something passed and nothing
# failed. Counted are single tests. A program that is missing, dies, or runs fewer tests than its plan "1..N" has failed.
logs=$1
shift
passed=0 failed=0 skipped=0 broken=
mkdir -p "$logs"

# No program may hold up the run, even where its own watchdog is broken.
limit=
if command -v timeout >/dev/null 2>&1; then limit="timeout -k 10 ${WEIR_PROGRAM_TIMEOUT:-900}"; fi

# Sanitizers map fixed addresses and cannot start under strong address randomisation.
fixed=
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed="setarch $(uname -m) -R"; fi
export TSAN_OPTIONS="${TSAN_OPTIONS:-second_deadlock_stack=1 history_size=4}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

# Prints "passed failed skipped" for the log $1 of a program that ended with status $2.
count()
{
    awk -v status="$2" '
        /^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; planned = 1 }
        /^ok / { if (/# SKIP/) skipped++; else passed++ }
        /^not ok / { failed++ }
        END {
            missing = planned ? plan - passed - skipped - failed : 1   # died, or printed no plan at all
            if (missing > 0)
                failed += missing
            if (status != 0 && failed == 0)
                failed = 1
            print passed + 0, failed + 0, skipped + 0
        }' "$1"
}

run_one()
{
    variant=$1 path=$2
    log=$logs/log/$variant/$(echo "$path" | tr / _).txt
    mkdir -p "${log%/*}"
    begun=$(date +%s)
    if [ ! -x "$path" ]; then
        echo "# $path was not built" >"$log"
        status=127
    else
        # All rounds run on the default rings, half of them on ck; the variants that differ from the first in little run a quarter.
        case $variant in
        single | slots | symmetric) scale=${WEIR_TEST_SCALE:-0.25} ;;
        ck) scale=${WEIR_TEST_SCALE:-0.5} ;;
        *) scale=$WEIR_TEST_SCALE ;;
        esac
        case $variant in
        tsan* | asan) env ${scale:+WEIR_TEST_SCALE=$scale} $limit $fixed "$path" >"$log" 2>&1 </dev/null ;;
        *) env ${scale:+WEIR_TEST_SCALE=$scale} $limit "$path" >"$log" 2>&1 </dev/null ;;
        esac
        status=$?
    fi
    set -- $(count "$log" $status)
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    took=$(($(date +%s) - begun))
    text="$1 passed"
    if [ "$2" -gt 0 ]; then text="$text, $2 FAILED (status $status)"; fi
    if [ "$3" -gt 0 ]; then text="$text, $3 skipped"; fi
    printf '%-10s %-44s %4s s   %s\n' "$variant" "${path#"$logs/$variant/"}" "$took" "$text"
    if [ "$2" -gt 0 ]; then broken="$broken $variant:$path"; fi
    if [ -n "$V" ]; then
        sed 's/^/    /' "$log"
    elif [ "$2" -gt 0 ]; then
        sed '/^ok /d; s/^/    /' "$log" | tail -n 300
    fi
    if [ "$3" -gt 0 ]; then sed -n 's/^ok [^#]*/    /; s/    # SKIP/    skipped:/p' "$log" | sort | uniq -c; fi
}

for entry in "$@"; do
    case $entry in
    *'!'*)
        skipped=$((skipped + 1))
        printf '%-10s skipped: %s\n' "${entry%%!*}" "${entry#*!}"
        ;;
    *) run_one "${entry%%=*}" "${entry#*=}" ;;
    esac
done

echo
for entry in $broken; do echo "failed: $entry"; done
echo "$passed passed, $failed failed$(if [ $skipped -gt 0 ]; then echo ", $skipped skipped"; fi)"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
