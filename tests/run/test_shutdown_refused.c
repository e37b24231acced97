/* tests/run/test_shutdown_refused.c: a shutdown when the system starts no more threads. */
#include "../faults/failing.h"

#include "shutdown.h"

TEST(without_a_thread_to_watch_there_is_no_shutdown)
{
    const weir_shutdown_config config = {.watch = true};
    fail_thread = 0;
    CHECK_INT(weir_shutdown_init(&stop, &config), EAGAIN);
    fail_thread = -1;
    CHECK_INT(weir_shutdown_init(&stop, &config), 0); /* the signals have been given back */
    CHECK_INT(weir_shutdown_free(&stop), 0);
    CHECK_INT(threads_kept, 0);
}

TEST(a_step_without_a_thread_is_reported_and_the_others_run)
{
    struct mark m[2] = {{0, 0}, {0, 0}};
    start_with(&silent);
    step(WEIR_SHUTDOWN_STOP, "runs", 0, marks, &m[0]);
    step(WEIR_SHUTDOWN_STOP, "refused", 0, marks, &m[1]);
    fail_thread = 1;
    weir_shutdown_begin(&stop, 0);
    CHECK_INT(weir_shutdown_wait(NULL, &stop), EAGAIN);
    fail_thread = -1;
    CHECK(m[0].at == 1 && m[1].at == 0);
    CHECK(line(0).rc == 0 && !line(0).not_run);
    CHECK(line(1).not_run && line(1).rc == EAGAIN && !line(1).not_stopped && !line(1).timed_out);
    CHECK_INT(weir_shutdown_free(&stop), 0);
    CHECK_INT(threads_kept, 0);
}
