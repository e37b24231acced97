/* tests/model/litmus.c: the memory model against small programs whose outcomes under C11 are known. Each scenario lists all outcomes that
 * must be seen, and by that those that must not. The names are those of the literature (J. Alglave, L. Maranget, M. Tautschnig,
 * "Herding cats", 2014).
 */
#define MODEL_WITHOUT_WEIR
#include "model/model.h"

#define RLX __ATOMIC_RELAXED
#define ACQ __ATOMIC_ACQUIRE
#define REL __ATOMIC_RELEASE
#define AR __ATOMIC_ACQ_REL
#define SC __ATOMIC_SEQ_CST
#define ST(variable, n, order) WEIR_ATOMIC_STORE(&variable, n, order)
#define LD(variable, order) WEIR_ATOMIC_LOAD(&variable, order)
#define THREAD(name, ...)                                                                                              \
    static void name(void)                                                                                             \
    {                                                                                                                  \
        __VA_ARGS__;                                                                                                   \
    }

static uint32_t x, y, z, w, s, r1, r2, r3, r4;
THREAD(zero, x = y = z = w = s = r1 = r2 = r3 = r4 = 0; MODEL_NAME(x); MODEL_NAME(y); MODEL_NAME(z))
/* The outcome is the two registers, as a number from 0 to 3. */
THREAD(two, MODEL_SAW(r1 * 2 + r2))

#define LITMUS(id, outcome, outcomes, ...)                                                                             \
    MODEL(id, .setup = zero, .finish = outcome, .preemptions = 4, .stale = 4, .sees = outcomes,                        \
          .threads = {__VA_ARGS__})

/* ---- SB, store buffering: both have missed the other's store (0) ---- */

THREAD(sb_a, ST(x, 1, RLX); r1 = LD(y, RLX))
THREAD(sb_b, ST(y, 1, RLX); r2 = LD(x, RLX))
LITMUS(sb_relaxed, two, 0xf, sb_a, sb_b)
THREAD(sb_rel_a, ST(x, 1, REL); r1 = LD(y, ACQ))
THREAD(sb_rel_b, ST(y, 1, REL); r2 = LD(x, ACQ))
LITMUS(sb_release_acquire, two, 0xf, sb_rel_a, sb_rel_b)
THREAD(sb_sc_a, ST(x, 1, SC); r1 = LD(y, SC))
THREAD(sb_sc_b, ST(y, 1, SC); r2 = LD(x, SC))
LITMUS(sb_seq_cst, two, 0xe, sb_sc_a, sb_sc_b)
LITMUS(sb_seq_cst_on_one_side, two, 0xf, sb_sc_a, sb_b)
THREAD(sb_fence_a, ST(x, 1, RLX); WEIR_FENCE(SC); r1 = LD(y, RLX))
THREAD(sb_fence_b, ST(y, 1, RLX); WEIR_FENCE(SC); r2 = LD(x, RLX))
LITMUS(sb_fences, two, 0xe, sb_fence_a, sb_fence_b)
LITMUS(sb_fence_on_one_side, two, 0xf, sb_fence_a, sb_b)
THREAD(sb_ar_fence_a, ST(x, 1, RLX); WEIR_FENCE(AR); r1 = LD(y, RLX))
THREAD(sb_ar_fence_b, ST(y, 1, RLX); WEIR_FENCE(AR); r2 = LD(x, RLX))
LITMUS(sb_acquire_release_fences, two, 0xf, sb_ar_fence_a, sb_ar_fence_b)
THREAD(sb_light, ST(x, 1, RLX); WEIR_FENCE_LIGHT(); r1 = LD(y, RLX))
THREAD(sb_heavy, ST(y, 1, RLX); WEIR_FENCE_HEAVY(); r2 = LD(x, RLX))
LITMUS(sb_light_and_heavy_fence, two, 0xe, sb_light, sb_heavy)
THREAD(sb_light_b, ST(y, 1, RLX); WEIR_FENCE_LIGHT(); r2 = LD(x, RLX))
LITMUS(sb_two_light_fences, two, 0xf, sb_light, sb_light_b)
THREAD(sb_swap_a, (void)WEIR_ATOMIC_SWAP(&x, 1, SC); r1 = LD(y, RLX))
THREAD(sb_swap_b, (void)WEIR_ATOMIC_SWAP(&y, 1, SC); r2 = LD(x, RLX))
LITMUS(sb_seq_cst_swap_is_no_fence, two, 0xf, sb_swap_a, sb_swap_b)
THREAD(sb_swap_sc_a, (void)WEIR_ATOMIC_SWAP(&x, 1, SC); r1 = LD(y, SC))
THREAD(sb_swap_sc_b, (void)WEIR_ATOMIC_SWAP(&y, 1, SC); r2 = LD(x, SC))
LITMUS(sb_seq_cst_swap_and_load, two, 0xe, sb_swap_sc_a, sb_swap_sc_b)

/* ---- MP, message passing: the flag has come, and the message has not (2) ---- */

THREAD(mp_send, ST(x, 1, RLX); ST(y, 1, RLX))
THREAD(mp_send_rel, ST(x, 1, RLX); ST(y, 1, REL))
THREAD(mp_send_fence, ST(x, 1, RLX); WEIR_FENCE(REL); ST(y, 1, RLX))
THREAD(mp_recv, r1 = LD(y, RLX); r2 = LD(x, RLX))
THREAD(mp_recv_acq, r1 = LD(y, ACQ); r2 = LD(x, RLX))
THREAD(mp_recv_fence, r1 = LD(y, RLX); WEIR_FENCE(ACQ); r2 = LD(x, RLX))
LITMUS(mp_relaxed, two, 0xf, mp_send, mp_recv)
LITMUS(mp_release_acquire, two, 0xb, mp_send_rel, mp_recv_acq)
LITMUS(mp_release_only, two, 0xf, mp_send_rel, mp_recv)
LITMUS(mp_acquire_only, two, 0xf, mp_send, mp_recv_acq)
LITMUS(mp_fences, two, 0xb, mp_send_fence, mp_recv_fence)
LITMUS(mp_release_fence_and_acquire, two, 0xb, mp_send_fence, mp_recv_acq)
LITMUS(mp_release_and_acquire_fence, two, 0xb, mp_send_rel, mp_recv_fence)
LITMUS(mp_release_fence_only, two, 0xf, mp_send_fence, mp_recv)

/* ---- LB, load buffering: both have read the store that the other made afterwards (3) ---- */

THREAD(lb_a, r1 = LD(y, RLX); ST(x, 1, RLX))
THREAD(lb_b, r2 = LD(x, RLX); ST(y, 1, RLX))
LITMUS(lb_relaxed_known_missed, two, 0x7, lb_a, lb_b) /* C11 allows 3; this model never gets there */
THREAD(lb_acq_a, r1 = LD(y, ACQ); ST(x, 1, REL))
THREAD(lb_acq_b, r2 = LD(x, ACQ); ST(y, 1, REL))
LITMUS(lb_release_acquire, two, 0x7, lb_acq_a, lb_acq_b)

/* ---- IRIW: two readers see two stores in opposite orders (1) ---- */

THREAD(iriw_outcome, MODEL_SAW(r1 == 1 && r2 == 0 && r3 == 1 && r4 == 0))
THREAD(store_x_rel, ST(x, 1, REL))
THREAD(store_y_rel, ST(y, 1, REL))
THREAD(iriw_acq_a, r1 = LD(x, ACQ); r2 = LD(y, ACQ))
THREAD(iriw_acq_b, r3 = LD(y, ACQ); r4 = LD(x, ACQ))
LITMUS(iriw_acquire, iriw_outcome, 0x3, store_x_rel, store_y_rel, iriw_acq_a, iriw_acq_b)
THREAD(store_x_sc, ST(x, 1, SC))
THREAD(store_y_sc, ST(y, 1, SC))
THREAD(iriw_sc_a, r1 = LD(x, SC); r2 = LD(y, SC))
THREAD(iriw_sc_b, r3 = LD(y, SC); r4 = LD(x, SC))
LITMUS(iriw_seq_cst, iriw_outcome, 0x1, store_x_sc, store_y_sc, iriw_sc_a, iriw_sc_b)
THREAD(iriw_fence_a, r1 = LD(x, RLX); WEIR_FENCE(SC); r2 = LD(y, RLX))
THREAD(iriw_fence_b, r3 = LD(y, RLX); WEIR_FENCE(SC); r4 = LD(x, RLX))
LITMUS(iriw_fences, iriw_outcome, 0x1, store_x_rel, store_y_rel, iriw_fence_a, iriw_fence_b)

/* ---- 2+2W: the first store of each has come last (1) ---- */

THREAD(ww_outcome, MODEL_SAW(LD(x, RLX) == 1 && LD(y, RLX) == 1))
THREAD(ww_a, ST(x, 1, RLX); ST(y, 2, RLX))
THREAD(ww_b, ST(y, 1, RLX); ST(x, 2, RLX))
LITMUS(ww_relaxed, ww_outcome, 0x3, ww_a, ww_b)
THREAD(ww_rel_a, ST(x, 1, REL); ST(y, 2, REL))
THREAD(ww_rel_b, ST(y, 1, REL); ST(x, 2, REL))
LITMUS(ww_release, ww_outcome, 0x3, ww_rel_a, ww_rel_b)
THREAD(ww_sc_a, ST(x, 1, SC); ST(y, 2, SC))
THREAD(ww_sc_b, ST(y, 1, SC); ST(x, 2, SC))
LITMUS(ww_seq_cst, ww_outcome, 0x1, ww_sc_a, ww_sc_b)

/* ---- R and S: a store, and a load or another store of the same word (1) ---- */

THREAD(r_outcome, MODEL_SAW(LD(y, RLX) == 2 && r1 == 0))
THREAD(r_b, ST(y, 2, RLX); r1 = LD(x, RLX))
LITMUS(r_relaxed, r_outcome, 0x3, mp_send, r_b)
THREAD(r_sc_a, ST(x, 1, SC); ST(y, 1, SC))
THREAD(r_sc_b, ST(y, 2, SC); r1 = LD(x, SC))
LITMUS(r_seq_cst, r_outcome, 0x1, r_sc_a, r_sc_b)
THREAD(s_outcome, MODEL_SAW(r1 == 1 && LD(x, RLX) == 2))
THREAD(s_a, ST(x, 2, RLX); ST(y, 1, RLX))
THREAD(s_b, r1 = LD(y, RLX); ST(x, 1, RLX))
LITMUS(s_relaxed, s_outcome, 0x3, s_a, s_b)
THREAD(s_rel_a, ST(x, 2, RLX); ST(y, 1, REL))
THREAD(s_acq_b, r1 = LD(y, ACQ); ST(x, 1, RLX))
LITMUS(s_release_acquire, s_outcome, 0x1, s_rel_a, s_acq_b)

/* ---- one word ---- */

THREAD(store_one, ST(x, 1, RLX))
THREAD(store_two, ST(x, 2, RLX))
THREAD(load_twice, r1 = LD(x, RLX); r2 = LD(x, RLX))
LITMUS(corr_a_word_does_not_go_back, two, 0xb, store_one, load_twice)
THREAD(cowr_outcome, MODEL_SAW(r1))
THREAD(store_load, ST(x, 1, RLX); r1 = LD(x, RLX))
LITMUS(cowr_a_thread_sees_its_own_store, cowr_outcome, 0x6, store_load, store_two)
THREAD(corw_outcome, MODEL_SAW(r1 == 2 && LD(x, RLX) == 2 ? 3 : r1))
THREAD(load_store, r1 = LD(x, RLX); ST(x, 1, RLX))
LITMUS(corw_a_store_comes_after_what_was_read, corw_outcome, 0x5, load_store, store_two)
THREAD(add_outcome, MODEL_SAW(LD(x, RLX)))
THREAD(add_one, (void)WEIR_ATOMIC_ADD(&x, 1, RLX))
LITMUS(rmw_none_is_lost, add_outcome, 0x8, add_one, add_one, add_one)
THREAD(load_then_store, ST(x, LD(x, RLX) + 1, RLX))
LITMUS(load_and_store_lose_one, add_outcome, 0x6, load_then_store, load_then_store)

/* ---- chains ---- */

THREAD(chain_outcome, MODEL_SAW(r1 == 2 ? r2 : 2)) /* 0: the flag of the second, without the message of the first */
THREAD(chain_add, (void)WEIR_ATOMIC_ADD(&y, 1, RLX))
LITMUS(release_sequence_through_an_add, chain_outcome, 0x6, mp_send_rel, chain_add, mp_recv_acq)
THREAD(chain_store, if (LD(y, RLX) == 1) ST(y, 2, RLX))
LITMUS(a_plain_store_ends_it, chain_outcome, 0x7, mp_send_rel, chain_store, mp_recv_acq)
THREAD(wrc_outcome, MODEL_SAW(r1 == 1 && r2 == 1 && r3 == 0))
THREAD(wrc_b, r1 = LD(x, ACQ); ST(y, 1, REL))
THREAD(wrc_c, r2 = LD(y, ACQ); r3 = LD(x, RLX))
LITMUS(wrc_release_acquire, wrc_outcome, 0x1, store_x_rel, wrc_b, wrc_c)
THREAD(wrc_relaxed_b, r1 = LD(x, RLX); ST(y, 1, RLX))
LITMUS(wrc_relaxed, wrc_outcome, 0x3, store_x_rel, wrc_relaxed_b, wrc_c)

/* ---- plain memory ---- */

static int plain_data;
THREAD(plain_send, MODEL_WRITE(&plain_data); plain_data = 1; ST(y, 1, REL))
THREAD(plain_send_relaxed, MODEL_WRITE(&plain_data); plain_data = 1; ST(y, 1, RLX))
THREAD(plain_recv, if (LD(y, ACQ) == 1) MODEL_READ(&plain_data))
MODEL(a_message_that_is_released_is_no_race, .setup = zero, .preemptions = 3, .stale = 2,
      .threads = {plain_send, plain_recv})
MODEL(a_message_that_is_not_is_one, .setup = zero, .preemptions = 3, .stale = 2,
      .threads = {plain_send_relaxed, plain_recv}, .finds = "data race")

/* ---- what a thread does wrong is found, and ends nothing but the execution ---- */

static uint32_t *volatile nowhere;
THREAD(write_nowhere, if (LD(x, RLX) == 1) *nowhere = 1)
MODEL(a_crash_is_a_failure, .setup = zero, .preemptions = 1, .threads = {write_nowhere, store_one}, .finds = "a crash")

/* ---- two ways that almost meet: alike but for one part of the state (state.h), so that what follows differs. A search that forgets the part
 * takes the second way for the first, and misses an outcome. What follows waits for both of them to have come to their end. ---- */

/* The values of stores before the last: 2 1 3, or 1 2 3. */
THREAD(store_2, ST(x, 2, RLX); (void)WEIR_ATOMIC_ADD(&y, 1, RLX))
THREAD(store_1_3, ST(x, 1, RLX); ST(x, 3, RLX); (void)WEIR_ATOMIC_ADD(&y, 1, RLX))
THREAD(
    load_three_then, if (LD(y, RLX) == 2) {
        r1 = LD(x, RLX);
        r2 = LD(x, RLX);
        r3 = LD(x, RLX);
    })
THREAD(outcome_of_old_values, MODEL_SAW(r1 == 2 && r2 == 1 && r3 == 3 ? 1 : r1 == 1 && r2 == 2 && r3 == 3 ? 2 : 0))
MODEL(meet_old_values, .setup = zero, .finish = outcome_of_old_values, .preemptions = 3, .stale = 2, .sees = 0x7,
      .threads = {store_2, store_1_3, load_three_then})

/* What a store carries: the last one of two of the same value does, or does not. */
THREAD(send_nothing, ST(y, 1, RLX); (void)WEIR_ATOMIC_ADD(&z, 1, RLX))
THREAD(send_then, ST(x, 1, RLX); ST(y, 1, REL); (void)WEIR_ATOMIC_ADD(&z, 1, RLX))
THREAD(
    recv_then, if (LD(z, RLX) == 2) {
        r1 = LD(y, ACQ);
        r2 = LD(x, RLX);
    })
MODEL(meet_carried_views, .setup = zero, .finish = two, .preemptions = 3, .stale = 1, .sees = 0xf,
      .threads = {send_nothing, send_then, recv_then})

/* What a thread knows: it has read the one or the other. A look at w, which is always 0, costs as much as it does to read the older one. */
THREAD(send_nothing_first, ST(w, 0, RLX); send_nothing())
THREAD(send_behind, if (LD(y, RLX) == 1) send_then())
THREAD(
    recv_either, if (LD(z, RLX) == 2) {
        r1 = LD(y, ACQ);
        (void)LD(w, RLX);
        ST(s, 1, RLX);
        r2 = LD(x, RLX);
        ST(s, 2, RLX);
    })
THREAD(look_in_between, r4 = LD(s, RLX))
THREAD(outcome_in_between, MODEL_SAW(r4 == 1 ? r1 * 2 + r2 : 4))
MODEL(meet_views, .setup = zero, .finish = outcome_in_between, .preemptions = 2, .stale = 2, .sees = 0x1f,
      .threads = {send_nothing_first, send_behind, recv_either, look_in_between})

/* What a thread has read from plain memory that has changed since. */
#define LOCKED(...)                                                                                                    \
    uint32_t free = 0;                                                                                                 \
    if (WEIR_ATOMIC_CAS(&x, &free, 1, ACQ)) {                                                                          \
        __VA_ARGS__;                                                                                                   \
        ST(x, 0, REL);                                                                                                 \
    }
static uint32_t plain_value;
THREAD(plain_zero, zero(); plain_value = 0)
THREAD(plain_one, LOCKED(plain_value = 1; ST(y, 1, RLX)))
THREAD(plain_two, LOCKED(plain_value = 2; ST(z, 1, RLX)))
THREAD(
    plain_take, if (LD(y, RLX) == 1 && LD(z, RLX) == 1) {
        uint32_t was = 0;
        LOCKED(was = plain_value; plain_value = 3)
        WEIR_CPU_PAUSE();
        r1 = was;
    })
MODEL(meet_plain_values, .setup = plain_zero, .finish = cowr_outcome, .preemptions = 2, .sees = 0x7,
      .threads = {plain_one, plain_two, plain_take})

/* Who has touched plain memory: a race follows the second way alone. */
THREAD(tell_first, ST(x, 1, RLX))
THREAD(write_unless_told, if (LD(x, RLX) == 0) MODEL_WRITE(&plain_data); ST(y, 1, RLX))
THREAD(write_then, if (LD(x, RLX) == 1 && LD(y, RLX) == 1) MODEL_WRITE(&plain_data))
MODEL(meet_races, .setup = zero, .preemptions = 1, .threads = {tell_first, write_unless_told, write_then},
      .finds = "data race")

/* What was written before a message, that is read to be overwritten. */
THREAD(send_plain_then, MODEL_WRITE(&plain_data); ST(y, 1, REL); (void)WEIR_ATOMIC_ADD(&z, 1, RLX))
THREAD(write_at_message, if (LD(z, RLX) == 2 && LD(y, ACQ) == 1) MODEL_WRITE(&plain_data))
MODEL(meet_times, .setup = zero, .preemptions = 1, .threads = {send_nothing, send_plain_then, write_at_message},
      .finds = "data race")

/* What others may do before a thread goes on (window.h): where ways do meet, behind a store, it is known from the first that there was something to read
 * before. */
THREAD(five, ST(x, 5, RLX); (void)WEIR_ATOMIC_ADD(&y, 1, RLX))
THREAD(six, ST(x, 6, RLX); (void)WEIR_ATOMIC_ADD(&y, 1, RLX))
THREAD(
    overwrite_then, if (LD(y, RLX) == 2) {
        ST(z, 1, RLX);
        ST(x, 1, RLX);
    })
THREAD(look_before, if (LD(z, RLX) == 1) r1 = LD(x, RLX))
MODEL(meet_windows, .setup = zero, .finish = cowr_outcome, .preemptions = 1, .sees = 0x63,
      .threads = {five, six, overwrite_then, look_before})

/* Which call came first. */
static struct model_moment ended, begun;
THREAD(call_ends, ST(x, 1, RLX); ended = model_moment(1))
THREAD(call_begins, begun = model_moment(0); ST(y, 1, RLX))
THREAD(outcome_of_calls, MODEL_SAW(model_before(&ended, &begun)))
MODEL(meet_calls, .setup = zero, .finish = outcome_of_calls, .preemptions = 1, .stale = 1, .sees = 0x3,
      .threads = {call_ends, call_begins})

/* What a thread knows and has written nowhere, while the other comes to its end: what it has read, and goes on to read; what it is about to store, to add,
 * to swap in, to compare with, and where it looks or what it finds goes. */
THREAD(keeps, const uint32_t a = LD(x, RLX); r2 = LD(y, RLX); r1 = a)
THREAD(store_1_2_y, ST(x, 1, RLX); ST(x, 2, RLX); ST(y, 1, RLX))
MODEL(meet_values_kept, .setup = zero, .finish = two, .preemptions = 3, .sees = 0x3f, .threads = {keeps, store_1_2_y})
THREAD(store_1_2_look, ST(x, 1, RLX); ST(x, 2, RLX); r2 = LD(y, RLX))
THREAD(outcome_given, MODEL_SAW(y * 2 + (r2 != 0)))
#define GIVES(name, ...)                                                                                               \
    THREAD(gives_##name, __VA_ARGS__)                                                                                  \
    MODEL(meet_##name, .setup = zero, .finish = outcome_given, .preemptions = 3, .sees = 0x3d,                         \
          .threads = {gives_##name, store_1_2_look})
GIVES(values_to_store, ST(y, LD(x, RLX), RLX))
GIVES(values_to_add, (void)WEIR_ATOMIC_ADD(&y, LD(x, RLX), RLX))
GIVES(values_to_swap_in, uint32_t none = 0; (void)WEIR_ATOMIC_CAS(&y, &none, LD(x, RLX), RLX))
THREAD(waits_unless, r1 = (uint32_t)model_futex_wait(&y, LD(x, RLX) + 1, 2000, __func__))
THREAD(store_1_2_2, ST(x, 1, RLX); ST(x, 2, RLX); ST(y, 2, RLX))
THREAD(outcome_of_a_wait, MODEL_SAW(r1 != 0))
MODEL(meet_values_to_wait_for, .setup = zero, .finish = outcome_of_a_wait, .preemptions = 3, .sees = 0x3,
      .threads = {waits_unless, store_1_2_2})
THREAD(finds_what_is_there, uint32_t want[3] = {7, 7, 7}; (void)WEIR_ATOMIC_CAS(&y, &want[LD(x, RLX)], 9, RLX);
       r1 = want[1] < 7   ? 1
            : want[2] < 7 ? 2
                          : 0;
       r2 = want[r1])
MODEL(meet_places_of_a_swap, .setup = zero, .finish = two, .preemptions = 3, .sees = 0x3f,
      .threads = {finds_what_is_there, store_1_2_y})
static uint32_t row[3];
THREAD(row_zero, zero(); row[0] = row[1] = row[2] = 0)
THREAD(looks_at, r1 = LD(row[LD(x, RLX)], RLX))
THREAD(store_1_2_row, ST(x, 1, RLX); ST(x, 2, RLX); ST(row[1], 1, RLX); ST(row[0], 2, RLX); ST(row[2], 3, RLX))
THREAD(outcome_at, MODEL_SAW(r1))
MODEL(meet_places, .setup = row_zero, .finish = outcome_at, .preemptions = 3, .sees = 0xf,
      .threads = {looks_at, store_1_2_row})

/* One that comes back to where it was. */
THREAD(spins_for_ever, while (LD(x, RLX) == 0){})
MODEL(meet_itself, .setup = zero, .preemptions = 1, .threads = {store_one, spins_for_ever}, .finds = "no end")

/* ---- old values that a load could have read before (step.h), and four cases in which it could not ---- */

/* One seq_cst load behind another reads nothing older. */
THREAD(store_1_2, ST(x, 1, RLX); ST(x, 2, RLX); ST(w, 1, RLX))
THREAD(
    tell_and_load, if (LD(w, RLX) == 1) {
        ST(y, 1, RLX);
        r1 = LD(x, SC);
    })
THREAD(load_when_told, r3 = LD(y, RLX); if (r3 == 1) r2 = LD(x, SC))
THREAD(outcome_of_loads, MODEL_SAW(r3 == 1 && r2 == 0 && r1 == 1))
MODEL(old_value_of_a_seq_cst_load, .setup = zero, .finish = outcome_of_loads, .preemptions = 1, .stale = 2, .sees = 0x3,
      .threads = {store_1_2, tell_and_load, load_when_told})

/* It is not the next step. */
THREAD(tell_store_and_load, (void)LD(x, RLX); ST(z, 1, RLX); ST(y, 1, RLX); r1 = LD(x, RLX))
THREAD(
    store_when_told, if (LD(z, RLX) == 1) {
        ST(x, 1, RLX);
        r2 = 1 + WEIR_ATOMIC_ADD(&y, 0, RLX);
    })
THREAD(outcome_behind_a_store, MODEL_SAW(r2 == 1 && r1 == 0))
MODEL(old_value_behind_a_store, .setup = zero, .finish = outcome_behind_a_store, .preemptions = 1, .stale = 1,
      .sees = 0x3, .threads = {tell_store_and_load, store_when_told})

/* A compare-and-swap that fails would have succeeded before. */
THREAD(store_1, ST(x, 1, RLX); ST(w, 1, RLX))
THREAD(
    tell_and_swap, if (LD(w, RLX) == 1) {
        ST(y, 1, RLX);
        r1 = 1;
        (void)WEIR_ATOMIC_CAS(&x, &r1, 5, RLX);
    })
THREAD(store_2_when_told, if (LD(y, RLX) == 1) ST(x, 2, RLX))
THREAD(outcome_of_a_swap, MODEL_SAW(LD(y, RLX) == 1 ? r1 : 3))
MODEL(old_value_of_a_failed_swap, .setup = zero, .finish = outcome_of_a_swap, .preemptions = 1, .stale = 1, .sees = 0xf,
      .threads = {store_1, tell_and_swap, store_2_when_told})

/* What was read before a heavy fence synchronizes; what was read behind it does not. */
THREAD(
    heavy_when_told, MODEL_WRITE(&plain_data); ST(x, 1, REL); ST(z, 1, RLX); if (LD(y, RLX) == 1) {
        WEIR_FENCE_HEAVY();
        ST(x, 2, RLX);
        ST(s, 1, RLX);
    })
THREAD(
    tell_and_write, if (LD(z, RLX) == 1) {
        ST(y, 1, RLX);
        r1 = LD(x, RLX);
        if (r1 == 1 && LD(s, RLX) == 1)
            MODEL_WRITE(&plain_data);
    })
MODEL(old_value_behind_a_heavy_fence, .setup = zero, .preemptions = 2, .stale = 1,
      .threads = {heavy_when_told, tell_and_write}, .finds = "data race")
