/* tests/model/scenarios/retry.c: a call that is hedged: two at once, of which the first good one counts; both have returned when the retry has. */
#include "model/calls.h"

static int said[3]; /* by call 1 and 2: written by its thread, read by the one that retries */
static int fails;   /* the call that fails; 0: none */

static int call(weir_ctx *ctx, void *arg)
{
    const int n = weir_retry_attempt(ctx);
    (void)arg;
    MODEL_CHECK(n == 1 || n == 2);
    MODEL_WRITE(&said[n]);
    said[n]++;
    return n == fails ? 9 : 0;
}

static void retry(int failing)
{
    static const int nine = 9;
    weir_retry_config c;
    weir_retry_report report;
    memset(&c, 0, sizeof c);
    c.attempts = 2;
    c.codes = &nine;
    c.n_codes = 1;
    c.hedge = 1;
    c.jitter = WEIR_JITTER_NONE;
    fails = failing;
    const int rc = weir_retry(NULL, &c, call, NULL, &report);
    MODEL_CHECK(rc == 0 && report.last == 0);
    MODEL_CHECK(report.attempts == 1 || report.attempts == 2);
    MODEL_CHECK(report.winner >= 1 && report.winner <= report.attempts && report.winner != failing);
    for (int n = 1; n <= 2; n++) {
        MODEL_READ(&said[n]);
        MODEL_CHECK(said[n] == (n <= report.attempts));
    }
}
THREAD(nothing_said, memset(said, 0, sizeof said))
THREAD(retries, retry(0))
THREAD(retries_a_failure, retry(1))
MODEL(retry_hedged, .setup = nothing_said, .preemptions = 2, .ticks = 1, .threads = {retries})
MODEL(retry_hedged_one_fails, .setup = nothing_said, .preemptions = 1, .stale = 1, .ticks = 1,
      .threads = {retries_a_failure})
