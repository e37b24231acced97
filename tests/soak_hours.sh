#!/bin/sh
# tests/soak_hours.sh HOURS FOLDER: for so long, in turn: ten million random and PCT schedules of the model's programs, a million recorded
# histories, ten million random programs against the sequential model, and the channel and select tests once under thread sanitizer. Each round has a
# seed of its own, printed before it; SEED=n repeats from there. Ends with the count of rounds, at the first round that fails.
hours=$1 folder=$2
seed=${SEED:-$(date +%s)}
end=$(($(date +%s) + $(awk -v h="$hours" 'BEGIN { print int(h * 3600) }')))
rounds=0
while [ "$(date +%s)" -lt "$end" ]; do
    echo "soak: round $((rounds + 1)), SEED=$seed"
    if ! { make --no-print-directory model-long N=10000000 SEED="$seed" &&
        WEIR_TEST_SEED=$seed "$folder/modules/linear/test_histories" a_million &&
        WEIR_TEST_SEED=$seed "$folder/modules/fuzz/test_sequences" ten_million &&
        sh tests/soak.sh 1 "$folder/tsan"; }; then
        echo "$rounds passed, 1 failed: SEED=$seed repeats it"
        exit 1
    fi
    rounds=$((rounds + 1)) seed=$((seed + 10000000))
done
echo "$rounds passed, 0 failed"
