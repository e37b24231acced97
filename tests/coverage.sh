#!/bin/sh
# tests/coverage.sh: which branches of the library the tests go through, and which conditions decide by themselves (MC/DC). `make coverage`.
# Needs clang with llvm-profdata and llvm-cov of its version; 18 or newer for MC/DC. A fork with ck_ring needs libck-dev.
#
# Prints the table, then every branch that was never taken and is not in tests/coverage.txt, which says of each why it can not be. Fails if there is one, or if
# a program has failed (one that measures may, where all is slow).
out=build/coverage
for v in 22 21 20 19 18 17 16 15 14 ""; do
    clang=clang${v:+-$v}
    [ -z "$v" ] && v=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    command -v "$clang" >/dev/null && command -v "llvm-cov-$v" >/dev/null && break
    clang=
done
if [ -z "$clang" ]; then
    echo "coverage: needs clang and llvm (with llvm-cov and llvm-profdata)" >&2
    exit 2
fi
mcdc= show=
if [ "$v" -ge 18 ]; then mcdc=-fcoverage-mcdc show=--show-mcdc-summary; fi
# With T only what those tests call is looked at: soon built, and silent about functions that no test calls.
variant=$([ -n "${T:-}" ] && echo static || echo modules)
rm -rf $out/profile
mkdir -p $out
failed=0
# Of the programs whose rounds only make rare meetings likelier, few rounds.
# Counters are atomic: one side's are computed from the other's, so what threads lose of them would look like a side that was taken.
make CC=$clang CFLAGS="-O1 -g -w -fprofile-instr-generate -fprofile-update=atomic -fcoverage-mapping $mcdc" WERROR= VARIANTS=$variant T="${T:-test_}" \
    -s -f tests/tests.mk --no-print-directory -j"${JOBS:-2}" programs || exit 2
programs=$(find build/$clang/$variant -type f -name 'test_*' ! -name '*.d' ! -name test_harness)
for p in $programs; do
    case $p in *histories | *stress | *sequences) scale=0.05 ;; *) scale=${WEIR_TEST_SCALE:-0.5} ;; esac
    WEIR_TEST_SCALE=$scale LLVM_PROFILE_FILE="$out/profile/$(basename "$p").%p" timeout 300 "$p" >$out/log 2>&1 </dev/null || {
        echo "coverage: $p failed:" && tail -n 20 $out/log
        failed=1
    }
done
llvm-profdata-$v merge -o $out/all.profdata $out/profile/* || exit 2
objects=$(printf ' -object %s' $programs)
# shellcheck disable=SC2086 # lists
llvm-cov-$v report -instr-profile=$out/all.profdata $objects -ignore-filename-regex=tests/ $show | awk -v mcdc="$mcdc" '
    /^(Filename|File )/ || /^-/ { next }
    NF > 12 && $11 > 0 { printf "%-18s branches %4d, missed %3d  %7s", $1, $11, $12, $13; if (mcdc != "") printf "   MC/DC %4d, missed %3d  %7s", $14, $15, $16; print "" }'
# One line a file in the export: its branches, each [line, column, line, column, taken, not taken, …], once for each use of an inline function.
# shellcheck disable=SC2086
llvm-cov-$v export -skip-expansions -skip-functions -instr-profile=$out/all.profdata $objects -ignore-filename-regex=tests/ |
    sed 's/{"branches"/\n&/g' | awk -v known=tests/coverage.txt -v failed=$failed '
    BEGIN { while ((getline line < known) > 0) if (line !~ /^#/ && split(line, f, "\t") >= 3) excused[f[1] "\t" f[2]] = 1 }
    /^{"branches":\[\[/ {
        match($0, /"filename":"[^"]*"/)
        path = substr($0, RSTART + 12, RLENGTH - 13)
        if (path !~ /include\/weir\//) next
        name = path
        sub(/.*include\/weir\//, "", name)
        for (n = 0; (getline text < path) > 0;) source[++n] = text
        close(path)
        branches = substr($0, 14)
        sub(/\]\].*/, "", branches)
        n = split(branches, list, /\],?\[/)
        delete yes
        delete no
        for (i = 1; i <= n; i++) {
            gsub(/[][]/, "", list[i])
            split(list[i], b, ",")
            k = b[1] "," b[2] "," b[3] "," b[4]
            yes[k] += b[5]
            no[k] += b[6]
        }
        for (k in yes) {
            split(k, b, ",")
            what = b[1] == b[3] ? substr(source[b[1]], b[2], b[4] - b[2]) : substr(source[b[1]], b[2])
            for (side = 0; side < 2; side++) {
                all++
                if (side == 0 ? yes[k] > 0 : no[k] > 0) continue
                if ((name "\t" what) in excused) { excuses++; continue }
                printf "%s:%d: never %s: %s\n", name, b[1], side == 0 ? "true" : "false", what
                missed++
            }
        }
    }
    END { printf "%d sides of conditions; %d never taken, %d more excused in %s\n", all, missed, excuses, known; exit missed > 0 || failed }'
