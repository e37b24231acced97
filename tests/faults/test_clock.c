/* tests/faults/test_clock.c: the wall clock jumps back and forth by hours while threads wait. This program's clock_gettime stands before the C
 * library's, so it sees every clock that the library reads; and seccomp sees every futex call: one that would wait by the wall clock
 * (FUTEX_CLOCK_REALTIME) ends the program.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long readings[16]; /* how often for which clock; atomic */
static long jump;         /* seconds that the wall clock is wrong by; atomic */

int clock_gettime(clockid_t clock, struct timespec *t)
{
    const long rc = syscall(SYS_clock_gettime, clock, t);
    if (clock >= 0 && clock < 16)
        __atomic_add_fetch(&readings[clock], 1, __ATOMIC_RELAXED);
    if (clock == CLOCK_REALTIME)
        t->tv_sec += __atomic_load_n(&jump, __ATOMIC_RELAXED);
    return (int)rc;
}

#include "../core/child.h"

typedef weir_chan(int) int_chan;
static int over; /* atomic */

static void jumps(void *unused)
{
    (void)unused;
    for (long by = 3600; !__atomic_load_n(&over, __ATOMIC_ACQUIRE); by = -2 * by % 1000003) {
        __atomic_store_n(&jump, by, __ATOMIC_RELAXED);
        sched_yield();
    }
}

/* Deadlines of 2 ms, on all kinds of waits; each must be over after its time and not before. */
static void wait_in_every_way(void)
{
    int_chan ch, meets;
    weir_ns begun, when;
    int v;
    REQUIRE(weir_chan_make(&ch, 1) == 0 && weir_chan_make(&meets, 0) == 0);
    for (int i = 0; i < 20; i++) {
        weir_timer timer;
        weir_ctx ctx;
        begun = weir_now();
        CHECK_INT(weir_recv_until(NULL, ch, &v, begun + WEIR_MS(2)), ETIMEDOUT);
        CHECK_INT(weir_send_until(NULL, meets, &i, begun + WEIR_MS(4)), ETIMEDOUT);
        weir_ctx_init_timeout(&ctx, NULL, WEIR_MS(2));
        CHECK_INT(weir_recv(&ctx, ch, &v), ETIMEDOUT);
        REQUIRE(weir_after(&timer, WEIR_MS(2)) == 0);
        weir_case cases[] = {WEIR_RECV(ch, &v), WEIR_RECV(timer, &when)};
        CHECK_INT(weir_select(NULL, cases, 2), 1);
        CHECK(weir_now() - begun >= WEIR_MS(8) && weir_now() - begun < WEIR_SEC(10));
        weir_chan_free(&timer);
        weir_ctx_free(&ctx);
    }
    weir_chan_free(&ch);
    weir_chan_free(&meets);
}

TEST(deadlines_do_not_follow_the_wall_clock)
{
    struct test_team *team = test_start(1, jumps, NULL, 0);
    const long real = __atomic_load_n(&readings[CLOCK_REALTIME], __ATOMIC_RELAXED);
    const long monotonic = __atomic_load_n(&readings[CLOCK_MONOTONIC], __ATOMIC_RELAXED);
    wait_in_every_way();
    CHECK_INT(__atomic_load_n(&readings[CLOCK_REALTIME], __ATOMIC_RELAXED), real);
    CHECK(__atomic_load_n(&readings[CLOCK_MONOTONIC], __ATOMIC_RELAXED) > monotonic); /* it does come by here */
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    test_join(team);
}

/* ---- no futex call waits by the wall clock ---- */

static bool forbid_wall_clock_waits(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 256 /* FUTEX_CLOCK_REALTIME */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program;
    program.len = sizeof filter / sizeof filter[0];
    program.filter = filter;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int waits_without_wall_clock(void)
{
    if (!forbid_wall_clock_waits())
        return NO_SECCOMP;
    wait_in_every_way();
    return FINE;
}

static int waits_by_wall_clock(void)
{
    struct timespec soon;
    uint32_t word = 0;
    if (!forbid_wall_clock_waits())
        return NO_SECCOMP;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &soon);
    syscall(SYS_futex, &word, 9 | 128 | 256, 0, &soon, NULL, ~0U);
    return FINE;
}

TEST(no_wait_is_by_the_wall_clock)
{
    const int rc = in_child(waits_without_wall_clock);
    if (rc == NO_SECCOMP)
        SKIP("needs seccomp");
    CHECK_INT(rc, FINE);
    CHECK_INT(in_child(waits_by_wall_clock), -1); /* the filter does see one */
}
