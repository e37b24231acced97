/* tests/model/calls.h: calls on channels of uint64_t as a scenario's threads make them, recorded for linear_check. `n`: the channel's number,
 * 0 or 1. They work on handles of every kind.
 */
#ifndef WEIR_MODEL_CALLS_H
#define WEIR_MODEL_CALLS_H

#include "linear.h"

/* ETIMEDOUT and ECANCELED say nothing; no other result is expected. */
static inline enum what calls_result(int rc, enum what done, enum what not_ready, enum what closed)
{
    MODEL_CHECK(rc == 0 || rc == EAGAIN || rc == EPIPE || rc == ETIMEDOUT || rc == ECANCELED);
    return rc == 0 ? done : rc == EAGAIN ? not_ready : rc == EPIPE ? closed : NONE_READY;
}

#define CALL_SEND(n, value_, call)                                                                                     \
    do {                                                                                                               \
        const uint64_t value = (value_);                                                                               \
        const int begun = linear_begin();                                                                              \
        linear_end(begun, calls_result((call), SENT, FULL, SEND_CLOSED), n, (int)value, 0);                            \
    } while (0)
/* What it received is in *into, which may be a variable that another thread looks at later. */
#define CALL_RECV(n, call)                                                                                             \
    do {                                                                                                               \
        uint64_t value = 99;                                                                                           \
        const int begun = linear_begin();                                                                              \
        const enum what what = calls_result((call), RECEIVED, EMPTY, RECV_CLOSED);                                     \
        MODEL_CHECK((value == 99) == (what != RECEIVED));                                                              \
        linear_end(begun, what, n, (int)value, 0);                                                                     \
    } while (0)

#define SEND(ch, v) CALL_SEND(0, v, weir_send(NULL, ch, &value))
#define SEND_UNTIL(ch, v, ctx, deadline) CALL_SEND(0, v, weir_send_until(ctx, ch, &value, deadline))
#define TRY_SEND(ch, v) CALL_SEND(0, v, weir_try_send(ch, &value))
#define RECV(ch) CALL_RECV(0, weir_recv(NULL, ch, &value))
#define RECV_UNTIL(ch, ctx, deadline) CALL_RECV(0, weir_recv_until(ctx, ch, &value, deadline))
#define TRY_RECV(ch) CALL_RECV(0, weir_try_recv(ch, &value))
#define CLOSE(ch)                                                                                                      \
    do {                                                                                                               \
        const int begun = linear_begin();                                                                              \
        linear_end(begun, calls_result(weir_close(ch), CLOSED, CLOSED, CLOSED_AGAIN), 0, 0, 0);                        \
    } while (0)

/* A thread of a scenario. */
#define THREAD(name, ...)                                                                                              \
    static void name(void)                                                                                             \
    {                                                                                                                  \
        __VA_ARGS__;                                                                                                   \
    }

#endif /* WEIR_MODEL_CALLS_H */
