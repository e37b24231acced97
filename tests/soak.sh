#!/bin/sh
# tests/soak.sh: the tests in which threads meet, again and again under the thread sanitizer, with crowds of 1, 4 and 16 times as many
# threads as there are cores. What a run that fails or hangs has said stays in build/soak/. T=: some. Ends with the count.
#
#   tests/soak.sh TIMES FOLDER                               FOLDER: where the programs lie (build/cc/tsan)
#   tests/soak.sh TIMES FOLDER TIMES-THE-CORES TURN PROGRAM  one run
times=$1 folder=$2 out=build/soak
fixed=
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed="setarch $(uname -m) -R"; fi # as in run.sh

if [ $# -eq 5 ]; then
    log=$out/$3.$4.$(echo "$5" | tr / _)
    if env WEIR_TEST_THREADS="$3" WEIR_TEST_SCALE="${WEIR_TEST_SCALE:-0.02}" $fixed "$folder/$5" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        echo "soak: FAILED: $5, $3 times the cores, turn $4: $log"
    fi
    exit 0
fi

rm -rf "$out" && mkdir -p "$out"
programs=$(cd "$folder" && find chan golang crossbeam sync task guard flow run obs -name 'test_*' -type f ! -name '*.d' |
    grep -E '^(golang|crossbeam|sync|task|flow|run|obs)/|rendezvous|lane|select|timer|race' | grep -E -- "$(echo "${T:-/}" | tr ' ' '|')" | sort)
for crowd in 1 4 16; do
    for turn in $(seq "$times"); do
        for p in $programs; do echo "$times $folder $crowd $turn $p"; done
    done | xargs -P "$(nproc)" -L 1 sh "$0"
    echo "soak: threads at $crowd times the cores: done"
done
total=$((3 * times * $(echo "$programs" | wc -l)))
failed=$(ls "$out" | wc -l)
echo "$((total - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
