#!/bin/sh
# tests/mutate/mutate.sh [KIND...]: are the tests able to fail? Changes the headers in one place at a time (mutants.awk) and asks the model,
# and the test programs of that part, whether anything is wrong. A mutant that nobody notices has survived.
#
#   KIND     order, fence, wake, call, compare; all by default
#   SAMPLE   k/n: every n-th mutant from the k-th on
#   ONLY     a part of the path, as chan/lane
#   WORKERS  how many at a time (2)
#   QUICK    not empty: without the longer of the model's two searches, which takes a minute or two for those that survive
#   DEEP     not empty: whoever has survived meets the model's whole bounds, too (minutes each); and those run that are listed
#
# tests/mutate/equivalent.txt lists mutants that change nothing that anybody could see, each with the reason; tests/mutate/slow.txt those that only
# a long search notices. Neither are run without DEEP. build/mutate/table has a line for each mutant: how it ended, place, kind, change. Prints
# those that survived, the count, and for .ci/run "N passed, N failed".
: "${CC:=cc}" "${CXX:=c++}" "${WORKERS:=2}" "${SAMPLE:=1/1}"
out=$PWD/build/mutate
model=$out/model.o
kinds=${*:-order fence wake call compare}
mkdir -p "$out/unchanged"

$CC -std=c11 -O3 -Iinclude -Itests -c tests/model/model.c -o "$model" || exit 2
(cd include/weir && awk -f ../../tests/mutate/mutants.awk core/fence.h park/*.h ring/base.h ring/spsc.h ring/slots.h ring/ring.h chan/*.h ctx/*.h \
    sync/*.h task/*.h guard/*.h) |
    awk -F '\t' '{ n = ++seen[$1, $2, $5]; print $0 "\t" $5 (n > 1 ? " (" n ")" : "") }' | # the second == of a line: "!= (2)"
    grep -F "${ONLY:-	}" | awk -F '\t' -v kinds=" $kinds " 'index(kinds, " " $6 " ")' |
    awk -v k="${SAMPLE%/*}" -v n="${SAMPLE#*/}" '(NR - k) % n == 0' >"$out/list"

# What looks at a file: programs of the model, test programs.
programs()
{
    case $1 in
    core/fence.h) echo channels-spsc channels-spsc-symmetric ;;
    park/lock.h) echo park rendezvous ;;
    park/parker.h) echo park channels-spsc rendezvous ;;
    park/waitq.h) echo park channels-spsc channels-chan select rendezvous ;;
    park/backoff.h) echo park ;;
    ring/base.h) echo channels-spsc channels-spsc-symmetric ;;
    ring/spsc.h) echo channels-spsc channels-spsc-symmetric ;;
    ring/slots.h) echo channels-chan channels-spsc-slots channels-spmc ;;
    ring/ring.h | chan/batch.h | chan/inplace.h) echo channels-spsc channels-chan ;;
    chan/channel.h) echo channels-spsc channels-chan channels-spsc-symmetric ;;
    chan/wait.h) echo channels-spsc channels-chan timers ;;
    chan/op.h) echo channels-chan timers rendezvous ;;
    chan/send_recv.h | chan/handle.h) echo channels-chan ;;
    chan/make.h) echo channels-spsc timers rendezvous ;;
    chan/lane.h | chan/rendezvous.h) echo rendezvous select ;;
    chan/case.h | chan/select.h) echo select timers ;;
    chan/timer.h) echo timers select ;;
    ctx/*) echo ctx channels-chan ;;
    chan/promise.h) echo task ;;
    sync/line.h) echo sync task ;;
    sync/*) echo sync ;;
    task/objpool.h) echo pool pool-symmetric ;;
    task/pool*.h | task/job.h) echo workers ;;
    task/*) echo task ;;
    guard/bucket.h | guard/limiter.h | guard/limiter_map.h | guard/budget.h) echo limiter ;;
    guard/rolling.h | guard/circuit.h | guard/breaker.h) echo breaker ;;
    guard/retry.h) echo retry ;;
    guard/window.h) echo window ;;
    guard/adaptive.h) echo adaptive ;;
    esac
}
tests()
{
    case $1 in
    core/fence.h) echo core/test_fence ;;
    park/roll.h) echo task/test_group_roll ;;
    park/parker.h) echo park/test_parker task/test_group_roll ;;
    park/*) f=${1#park/} && echo "park/test_${f%.h}" ;;
    ring/*) echo ring/test_ring ring/test_ring_close ring/test_ring_closing ring/test_ring_suspend ring/test_ring_wrap chan/test_stats
        echo chan/test_select_moment fuzz/test_sequences ;;
    chan/channel.h) echo fuzz/test_sequences chan/test_send_recv chan/test_close ;;
    chan/wait.h) echo fuzz/test_sequences chan/test_timeout chan/test_close chan/test_send_recv task/test_future task/test_group_roll ;;
    chan/op.h) echo fuzz/test_sequences chan/test_inplace chan/test_select chan/test_timer ;;
    chan/send_recv.h) echo fuzz/test_sequences chan/test_send_recv chan/test_latest ;;
    chan/batch.h) echo fuzz/test_sequences chan/test_batch ;;
    chan/inplace.h) echo fuzz/test_sequences chan/test_inplace ;;
    chan/make.h) echo fuzz/test_sequences chan/test_make chan/test_close ;;
    chan/lane.h | chan/rendezvous.h) echo fuzz/test_sequences chan/test_rendezvous chan/test_rendezvous_race chan/test_lane task/test_group_roll ;;
    chan/case.h | chan/select.h) echo fuzz/test_sequences chan/test_select chan/test_select_wait chan/test_select_moment chan/test_select_fair chan/test_select_memory chan/test_select_many task/test_group_roll ;;
    chan/timer.h) echo fuzz/test_sequences chan/test_timer chan/test_timer_overtaken chan/test_timer_wait ;;
    ctx/*) echo fuzz/test_sequences ctx/test_ctx ctx/test_ctx_hooks ctx/test_ctx_wait ctx/test_ctx_race ctx/test_sleep ;;
    chan/promise.h) echo task/test_future ;;
    sync/line.h) echo sync/test_sem sync/test_once task/test_group task/test_group_roll ;;
    guard/clock.h) echo ctx/test_sleep guard/test_breaker guard/test_limiter guard/test_limiter_wait guard/test_limiter_map guard/test_retry guard/test_policy ;;
    guard/rate.h) echo guard/test_limiter ;;
    guard/leaky.h) echo guard/test_limiter_wait ;;
    guard/bucket.h) echo guard/test_limiter guard/test_limiter_bound guard/test_limiter_map guard/test_overtaken ;;
    guard/limiter.h) echo guard/test_limiter guard/test_limiter_wait guard/test_limiter_bound guard/test_overtaken ;;
    guard/budget.h | guard/retry.h) echo guard/test_retry guard/test_retry_hedge ;;
    guard/rolling.h) echo guard/test_breaker_window ;;
    guard/circuit.h) echo guard/test_breaker guard/test_breaker_open guard/test_breaker_window ;;
    guard/breaker.h) echo guard/test_breaker guard/test_breaker_open guard/test_breaker_call guard/test_breaker_window guard/test_breaker_race ;;
    guard/window.h) echo guard/test_window guard/test_window_histories guard/test_window_race guard/test_overtaken ;;
    guard/adaptive.h) echo guard/test_adaptive guard/test_adaptive_server ;;
    task/group.h | task/group_queue.h) echo task/test_group task/test_group_runner task/test_group_roll ;;
    task/pool.h | task/pool_job.h | task/pool_queue.h | task/pool_worker.h) echo task/test_pool task/test_pool_runner task/test_pool_room task/test_pool_size task/test_pool_moment task/test_pool_leave task/test_pool_watch task/test_pool_race ;;
    task/job.h) echo task/test_job task/test_pool_cxx ;;
    sync/* | task/* | guard/*) echo "${1%/*}/test_$(basename "$1" .h)" ;;
    esac
}
flags()
{
    case $1 in
    channels-spsc-symmetric) echo -DKIND=spsc -DWEIR_FENCE_SYMMETRIC tests/model/scenarios/channels.c ;;
    channels-spsc-slots) echo -DKIND=spsc -DWEIR_RING_SPSC=WEIR_RING_SLOTS tests/model/scenarios/channels.c ;;
    pool-symmetric) echo -DWEIR_FENCE_SYMMETRIC tests/model/scenarios/pool.c ;;
    channels-*) echo "-DKIND=${1#channels-} tests/model/scenarios/channels.c" ;;
    *) echo "tests/model/scenarios/$1.c" ;;
    esac
}

# What is compiled only for the ring of ck is tested on it; what a wait queue begins with is not all zeros without membarrier. $1: the line.
rings()
{
    case $1 in
    *ck_* | *_CK* | *'power <= n'*) for k in SPSC MPSC SPMC MPMC; do echo "-DWEIR_RING_$k=WEIR_RING_CK"; done ;;
    *waitq_init*) echo -DWEIR_FENCE_SYMMETRIC ;;
    esac
}

# What notices first: the tests a wrong comparison, the model a weak order. A search that is cut off has noticed nothing.
ask_model() # INCLUDE FILE SECONDS BOUNDS
{
    for p in $(programs "$2"); do
        # shellcheck disable=SC2046 # lists
        [ -x "$1/model-$p" ] ||
            { $CC -std=c11 -O1 -w -I"$1/include" -Itests -include tests/mutate/weaker.h -fsanitize=thread -fno-pie $(flags "$p") -c -o "$1/$p.o" &&
                $CC -no-pie "$1/$p.o" "$model" -o "$1/model-$p"; } || { echo invalid; return 1; }
        # shellcheck disable=SC2086 # a list
        (ulimit -f 100000 && ulimit -t "$3" && exec "$1/model-$p" --stop $4 >"$1/log")
        case $? in
        0 | 137 | 152) ;; # SIGKILL, SIGXCPU
        *) echo "model $p"; return 1 ;;
        esac
    done
}
build_test() # INCLUDE TEST LINE
{
    case $2 in *_memory) sees=-fsanitize=address ;; *) sees= ;; esac # a word too few or too many
    if [ -f "tests/$2.cc" ]; then compiler="$CXX -std=c++17" source=tests/$2.cc; else compiler="$CC -std=c11" source=tests/$2.c; fi
    # shellcheck disable=SC2046 # a list
    $compiler -O0 -w $sees -DWEIR_STATIC= $(rings "$3") -I"$1/include" -Itests -include tests/mutate/weaker.h -pthread "$source" -o "$1/test"
}
# How long a test may take before it hangs: a few times as long as without the change, on this machine.
limit() # TEST
{
    [ "$1" = chan/test_lane ] && { echo 120; return; } # two that only spin, on one core when the machine is busy
    known=$out/unchanged/$(basename "$1")
    if [ ! -s "$known" ]; then
        mine=$(mktemp -d "$out/unchanged/XXXXXX")
        cp -r include "$mine/include"
        build_test "$mine" "$1" ''
        from=$(date +%s)
        WEIR_TEST_SCALE=0.1 timeout 100 "$mine/test" >/dev/null </dev/null
        echo $((10 + 5 * ($(date +%s) - from))) >"$mine/limit"
        mv "$mine/limit" "$known"
        rm -rf "$mine"
    fi
    cat "$known"
}
ask_tests() # INCLUDE FILE LINE
{
    for t in $(tests "$2"); do
        build_test "$1" "$t" "$3" || { echo invalid; return 1; }
        WEIR_TEST_SCALE=0.1 timeout "$(limit "$t")" "$1/test" >"$1/log" </dev/null || { echo "test $t"; return 1; }
    done
}

# How a mutant in $1/include ends; $2: the file, $3: the kind, $4: the line as it was.
verdict()
{
    rm -f "$1"/model-*
    case $3 in
    order | fence | wake) ask_model "$1" "$2" 20 "--most 1 9" && ask_tests "$1" "$2" "$4" || return ;;
    *) ask_tests "$1" "$2" "$4" && ask_model "$1" "$2" 20 "--most 1 9" || return ;;
    esac
    if [ -z "$QUICK" ]; then ask_model "$1" "$2" 100 "--most 2 1" || return; fi
    if [ -n "$DEEP" ]; then ask_model "$1" "$2" 600 "" || return; fi
    echo survived
}

work() # NUMBER
{
    dir=$out/$1
    rm -rf "$dir"
    mkdir -p "$dir"
    cp -r include "$dir/include"
    awk -v w="$1" -v n="$WORKERS" 'NR % n == w' "$out/list" | while IFS='	' read -r file line column length text kind change; do
        awk -v l="$line" -v c="$column" -v n="$length" -v text="$text" \
            'NR == l { $0 = substr($0, 1, c - 1) text substr($0, c + n) } { print }' "include/weir/$file" >"$dir/include/weir/$file"
        was=$(awk -v l="$line" 'NR == l { sub(/^ +/, ""); print }' "include/weir/$file")
        listed=
        for l in equivalent slow; do
            if grep -qxF "$file	$change	$was" tests/mutate/$l.txt; then listed=$l; fi
        done
        end=$listed
        if [ -z "$listed" ] || [ -n "$DEEP" ]; then end=$(verdict "$dir" "$file" "$kind" "$was" 2>/dev/null); fi
        if [ "$end" = survived ] && [ -n "$listed" ]; then end=$listed; fi
        printf '%s\t%s:%s\t%s\t%s\t%s\n' "$end" "$file" "$line" "$kind" "$change" "$was" >>"$out/table.$1"
        cp "include/weir/$file" "$dir/include/weir/$file"
    done
}

rm -f "$out"/table*
i=0
while [ "$i" -lt "$WORKERS" ]; do
    work "$i" &
    i=$((i + 1))
done
wait
cat "$out"/table.* >"$out/table" 2>/dev/null
grep '^survived' "$out/table" | cut -f 2-
awk -F '\t' '
    $1 == "invalid" || $1 == "equivalent" || $1 == "slow" { n[$1]++; next }
    { all[$3]++; total++; if ($1 != "survived") { killed[$3]++; dead++; split($1, by, " "); from[by[1]]++ } }
    END {
        for (k in all) printf "%-8s %d of %d killed\n", k, killed[k], all[k]
        printf "mutants: %d of %d killed (%.1f %%), %d by the model, %d by the tests; %d equivalent, %d for a long search, %d do not compile\n",
            dead, total, total ? 100 * dead / total : 0, from["model"], from["test"], n["equivalent"], n["slow"], n["invalid"]
        if (n["invalid"] > total) { print "mutants: most do not compile: does the rest?"; exit 2 }
        printf "%d passed, %d failed\n", dead, total - dead
        exit dead < total
    }' "$out/table"
