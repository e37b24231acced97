/* tests/test_harness.c: a harness that cannot fail proves nothing. The tests that fail, hang or crash run in a child: this
 * same program, with their names as arguments. */
#include "harness.h"

#include <sys/wait.h>

/* ---- the children ---- */

TEST_MANUAL(child_fails)
{
    CHECK(1 + 1 == 3);
    CHECK_INT(6 * 7, 41);
    CHECK_STR("left", "right");
}
TEST_MANUAL(child_passes)
{
    CHECK_INT(-1, -1);
}
TEST_MANUAL(child_requires)
{
    REQUIRE(1 > 2);
}
TEST_MANUAL(child_hangs)
{
    for (;;)
        pause();
}
TEST_MANUAL(child_waits_in_vain)
{
    EVENTUALLY(getppid() < 0);
}
TEST_MANUAL(child_skips)
{
    SKIP("needs a miracle");
}
TEST_MANUAL(child_dies)
{
    _exit(0);
}

static void fail_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++)
        CHECK(i < 0);
}
TEST_MANUAL(child_fails_in_threads)
{
    test_threads(4, fail_often, NULL, 0);
}

/* Runs this program with `names`, keeps the beginning of its output and returns its exit status, or -1. */
static int child(const char *names, char *output, size_t size)
{
    char self[512], command[1024];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    REQUIRE(length > 0);
    self[length] = '\0';
    snprintf(command, sizeof command, "WEIR_TEST_TIMEOUT=1 '%s' %s 2>&1", self, names);
    FILE *pipe = popen(command, "r");
    REQUIRE(pipe != NULL);
    size_t got = fread(output, 1, size - 1, pipe);
    output[got] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- the tests ---- */

static char output[65536];

static bool says(const char *text)
{
    if (strstr(output, text))
        return true;
    test_say("#   the child did not say \"%s\" but:\n", text);
    for (const char *line = output; *line;) { /* each behind a mark, for the runner counts lines "ok" */
        int length = (int)strcspn(line, "\n");
        test_say("#   | %.*s\n", length, line);
        line += length + (line[length] == '\n');
    }
    return false;
}

TEST(passing)
{
    CHECK_INT(child("child_passes", output, sizeof output), 0);
    CHECK(says("1..1\n"));
    CHECK(says("\nok 1 - child_passes ("));
    CHECK(says("# 1 passed, 0 failed, 0 skipped; 1 checks"));
}

TEST(failing_checks_are_counted_and_the_test_goes_on)
{
    CHECK_INT(child("child_fails child_passes", output, sizeof output), 1);
    CHECK(says("failed: 1 + 1 == 3"));
    CHECK(says("6 * 7 is 42, not 41"));
    CHECK(says("is \"left\", not \"right\""));
    CHECK(says("\nnot ok 1 - child_fails (3 checks failed)"));
    CHECK(says("\nok 2 - child_passes"));
    CHECK(says("# 1 passed, 1 failed, 0 skipped"));
}

TEST(failures_in_threads_are_all_counted_and_some_printed)
{
    CHECK_INT(child("child_fails_in_threads", output, sizeof output), 1);
    CHECK(says("(4000 checks failed)"));
    int lines = 0;
    for (const char *at = output; (at = strstr(at, "failed: i < 0")) != NULL; at++)
        lines++;
    CHECK_INT(lines, 20);
}

TEST(a_failed_requirement_ends_the_program)
{
    CHECK_INT(child("child_requires child_skips", output, sizeof output), 1);
    CHECK(says("1..2\n"));
    CHECK(says("\nnot ok 1 - child_requires"));
    CHECK(strstr(output, "child_skips") == NULL);
}

TEST(a_hanging_test_is_named)
{
    CHECK_INT(child("child_hangs", output, sizeof output), 124);
    CHECK(says("child_hangs: hung"));
    CHECK(says("\nnot ok 1 - child_hangs"));
    CHECK(says("state S"));
}

TEST(eventually_gives_up_before_the_watchdog)
{
    CHECK_INT(child("child_waits_in_vain", output, sizeof output), 1);
    CHECK(says("failed: eventually getppid() < 0"));
    CHECK(says("\nnot ok 1 - child_waits_in_vain (1 checks failed)"));
}

TEST(skipping)
{
    CHECK_INT(child("child_skips", output, sizeof output), 0);
    CHECK(says("\nok 1 - child_skips # SKIP needs a miracle"));
}

TEST(a_dying_test_leaves_its_plan_unfulfilled)
{
    child("child_dies", output, sizeof output);
    CHECK(says("1..1\n"));
    CHECK(strstr(output, "\nok 1") == NULL);
}

/* ---- threads ---- */

struct square {
    int in, out;
};
static void square(void *p)
{
    struct square *s = (struct square *)p;
    s->out = s->in * s->in;
}
TEST(every_thread_has_its_argument)
{
    struct square squares[8];
    for (int i = 0; i < 8; i++)
        squares[i].in = i;
    test_threads(8, square, squares, sizeof squares[0]);
    for (int i = 0; i < 8; i++)
        CHECK_INT(squares[i].out, i * i);
}

static void count(void *p)
{
    __atomic_add_fetch((int *)p, 1, __ATOMIC_RELAXED);
}
TEST(a_team_shares_an_argument)
{
    int counter = 0;
    struct test_team *team = test_start(5, count, &counter, 0);
    EVENTUALLY(__atomic_load_n(&counter, __ATOMIC_RELAXED) == 5);
    test_join(team);
    CHECK_INT(counter, 5);
}
