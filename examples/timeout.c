/* timeout.c: waiting no longer than one wants to, and losing nothing when the time is up.
 *
 * A call that times out has not sent or received anything; the value is still the caller's, or still in the channel. A value that is there
 * is returned even when the deadline has passed.
 */
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <stdio.h>

typedef weir_chan(int) int_chan;

static void say(const char *what, int rc)
{
    printf("%-34s %s\n", what, weir_error_text(rc));
}

int main(void)
{
    int_chan ch;
    weir_ctx request, step;
    int v = 1, extra = 2;
    if (weir_chan_make(&ch, 1) != 0)
        return 1;

    /* One call with a deadline: a point in time, so that retries share it. */
    say("nothing to receive", weir_recv_until(NULL, ch, &v, weir_time_add(weir_now(), WEIR_MS(5))));

    weir_send(NULL, ch, &v);
    say("no room for a second value", weir_send_until(NULL, ch, &extra, weir_time_add(weir_now(), WEIR_MS(5))));
    say("a value, and a deadline long past", weir_recv_until(NULL, ch, &v, 0));
    printf("%-34s %d, and %zu left\n", "the value that had been sent", v, weir_len(ch));

    /* A whole request with a time limit; a step of it may take longer than that, but will not. */
    weir_ctx_init_timeout(&request, NULL, WEIR_MS(5));
    weir_ctx_init_timeout(&step, &request, WEIR_SEC(60));
    say("a step of a request", weir_recv(&step, ch, &v));
    say("the request itself", weir_ctx_err(&request));
    weir_ctx_free(&step);
    weir_ctx_free(&request);

    /* Cancelled by hand, with a reason of the program's own. */
    weir_ctx_init(&request, NULL);
    weir_ctx_cancel(&request, 77);
    say("a cancelled request", weir_recv(&request, ch, &v));
    printf("%-34s %d\n", "its cause", weir_ctx_cause(&request));
    weir_ctx_free(&request);

    weir_chan_free(&ch);
    return 0;
}
