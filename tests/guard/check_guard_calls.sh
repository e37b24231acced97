#!/bin/sh
# tests/guard/check_guard_calls.sh: no guard makes a system call unless it has to wait: the clock is the vDSO's.
. tests/tap.sh
. tests/system_calls.sh

cat >"$BUILD/calls.c" <<'X'
#define WEIR_IMPLEMENTATION
#include <weir/all.h>
#include <stdlib.h>

static weir_limiter limiter, empty;
static weir_leaky leaky;
static weir_limiter_map map;
static weir_fixed_window fixed;
static weir_sliding_window counters, log_of_all;
static weir_adaptive adaptive;
static weir_breaker breaker, window, shut;
static weir_sem sem = WEIR_SEM_INIT(1);
static weir_retry_budget budget = WEIR_RETRY_BUDGET_INIT(0.1, 10);

static int task(weir_ctx *ctx, void *arg)
{
    (void)ctx;
    return arg == NULL ? 0 : weir_retry_attempt(ctx) < 3 ? EIO : 0;
}

static int each(int mode, int round)
{
    static const int codes[] = {EIO};
    const weir_retry_config retry = {.codes = codes, .n_codes = 1, .budget = &budget, .delay = 1, .max_delay = 1};
    const weir_policy_layer layers[] = {weir_policy_retry(&retry), weir_policy_breaker(&breaker), weir_policy_limiter(&limiter),
                                        weir_policy_timeout(WEIR_SEC(9)), weir_policy_bulkhead(&sem), weir_policy_adaptive(&adaptive)};
    weir_reservation r;
    weir_breaker_permit permit;
    weir_adaptive_permit place;
    switch (mode) {
    case 0: return weir_limiter_allow(&limiter, 1) != 0 || weir_limiter_wait(NULL, &limiter, 1) != 0;
    case 1: return weir_limiter_allow(&empty, 1) != EAGAIN || weir_limiter_wait_until(NULL, &empty, 1, weir_now() + WEIR_SEC(9)) != ETIMEDOUT;
    case 2: return weir_limiter_reserve(&empty, 1, &r) != 0 || weir_limiter_cancel(&empty, &r) != 0 || weir_limiter_set_rate(&limiter, 1e9) != 0;
    case 3: return weir_limiter_map_allow(&map, (uint64_t)round, 1) != 0 || weir_limiter_map_allow(&map, 0, 1) == EINVAL;
    case 4: return weir_leaky_allow(&leaky) == EINVAL || weir_fixed_window_allow(&fixed, 1) != 0;
    case 5: return weir_sliding_window_allow(&counters, 1) != 0 || weir_sliding_window_allow(&log_of_all, 1) == EINVAL;
    case 6: return weir_adaptive_try_acquire(&adaptive, &place) != 0 || weir_adaptive_release(&adaptive, &place, WEIR_ADAPTIVE_OK) != 0;
    case 7:
        return weir_breaker_allow(&breaker, &permit) != 0 || weir_breaker_done(&breaker, &permit, WEIR_BREAKER_SUCCESS) != 0 ||
               weir_breaker_allow(&window, &permit) != 0 || weir_breaker_done(&window, &permit, WEIR_BREAKER_SUCCESS) != 0 ||
               weir_breaker_allow(&shut, &permit) != EAGAIN;
    case 8: return weir_retry(NULL, &retry, task, NULL, NULL) != 0 || weir_policy_call(NULL, layers, 6, task, NULL, NULL) != 0;
    default: return weir_limiter_wait(NULL, &limiter, 900000) != 0; /* waits, to show that its calls are counted */
    }
}

int main(int argc, char **argv)
{
    const weir_window_config config = {.limit = 1000000, .window = WEIR_SEC(60)}, exact = {.limit = 3000, .window = WEIR_SEC(60), .exact = true};
    const weir_breaker_config rolling = {.window_calls = 20}, one = {.consecutive = 1};
    weir_breaker_permit permit;
    if (argc != 3 || weir_limiter_init(&limiter, 1e9, 1000000, NULL) != 0 || weir_limiter_init(&empty, 0.001, 1, NULL) != 0 ||
        weir_limiter_allow(&empty, 1) != 0 || weir_leaky_init(&leaky, 1000, 5, NULL) != 0 || weir_limiter_map_init(&map, 1e9, 10, 500, NULL) != 0 ||
        weir_fixed_window_init(&fixed, &config) != 0 || weir_sliding_window_init(&counters, &config) != 0 ||
        weir_sliding_window_init(&log_of_all, &exact) != 0 || weir_adaptive_init(&adaptive, NULL) != 0 || weir_breaker_init(&breaker, NULL) != 0 ||
        weir_breaker_init(&window, &rolling) != 0 || weir_breaker_init(&shut, &one) != 0 || weir_breaker_allow(&shut, &permit) != 0 ||
        weir_breaker_done(&shut, &permit, WEIR_BREAKER_FAILURE) != 0)
        return 2;
    for (int round = atoi(argv[2]); round > 0; round--)
        if (each(atoi(argv[1]), round) != 0)
            return 1;
    return 0;
}
X
expect "the program builds" $CC -std=c11 -O2 $CWARN -Iinclude "$BUILD/calls.c" -o "$BUILD/calls" -pthread
expect "a limiter that admits: no system call" same_calls 0
expect "a limiter that refuses, at once or before a deadline: no system call" same_calls 1
expect "reserve, cancel, a new rate: no system call" same_calls 2
expect "a limiter for each key, keys that come and go: no system call" same_calls 3
expect "a leaky bucket, a fixed window: no system call" same_calls 4
expect "sliding windows: no system call" same_calls 5
expect "an adaptive limit: no system call" same_calls 6
expect "breakers, closed and open: no system call" same_calls 7
expect "a retry and a policy without a pause: no system call" same_calls 8
refuse "a wait is counted" "with 0 rounds" same_calls 9
finish
