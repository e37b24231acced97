/* obs/trace.h: what is written is JSON with everything in it; nothing is lost up to the capacity; what does not fit is counted; no event is torn. */
#include "../faults/failing.h"

#include "../core/child.h"

#include "json.h"

static weir_trace trace;
static weir_trace_event events[1000];
static char *text;

static const char *written(void)
{
    size_t size;
    free(text);
    FILE *file = open_memstream(&text, &size);
    REQUIRE(file != NULL);
    CHECK_INT(weir_trace_write(&trace, file), 0);
    fclose(file);
    if (!CHECK(json(text)))
        test_say("# %s\n", text);
    return text;
}

static int times(const char *in, const char *what)
{
    int n = 0;
    for (; (in = strstr(in, what)) != NULL; in++)
        n++;
    return n;
}

TEST(the_checker_of_json_can_refuse)
{
    const char *const good[] = {"{}", "[]", " [1, -0.5e+3, \"a\\u00ff\\n\", true, null, {\"x\": [{}]}] \n", "0"};
    const char *const bad[] = {"",        "{",      "[1,]",  "{\"a\"}", "[01]",  "[1.]",       "\"a",
                               "\"\\x\"", "\"\n\"", "[1 2]", "{a:1}",   "[] []", "[\"\\u12\"]"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!json(good[i]))
            CHECK_STR("refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (json(bad[i]))
            CHECK_STR("taken", bad[i]);
}

TEST(an_event_is_written_with_all_that_was_said)
{
    char tid[50];
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    CHECK_INT(times(written(), "\"ph\":\"X\""), 0);
    weir_trace_record(&trace, "parse", "stage", 1234567, 1236066, 0);
    weir_trace_record(&trace, "late", "stage", 2000, 1000, 7);
    weir_trace_record(NULL, "nowhere", "stage", 0, 1, 0);
    weir_trace_record(&trace, "before time", "stage", -2000, -1000, 7);
    written();
    CHECK(strstr(text, "\"name\":\"before time\",\"cat\":\"stage\",\"ts\":0.000,\"dur\":0.000,") != NULL);
    CHECK_INT(times(text, "\"ph\":\"X\""), 3);
    CHECK(strstr(text, "\"name\":\"parse\",\"cat\":\"stage\",\"ts\":1234.567,\"dur\":1.499}") != NULL);
    CHECK(strstr(text,
                 "\"name\":\"late\",\"cat\":\"stage\",\"ts\":2.000,\"dur\":0.000,\"args\":{\"correlation\":\"7\"}}") !=
          NULL);
    CHECK_INT(times(text, "thread_name"), 1);
    snprintf(tid, sizeof tid, "\"tid\":%ld,", (long)gettid());
    CHECK_INT(times(text, tid), 6); /* a name, three events, two ends of an arrow */
    CHECK_INT(times(text, "nowhere"), 0);
    CHECK(strstr(text, "\"dropped\":\"0\"") != NULL);
    CHECK_INT(weir_trace_count(&trace), 3);
    CHECK_INT(weir_trace_dropped(&trace), 0);
    CHECK_INT(weir_trace_init(&trace, events, 0, NULL), EINVAL);
}

TEST(odd_names_are_escaped)
{
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    weir_trace_record(&trace, "a \"quote\", a \\ and\na line,\t\x01\x7f é 漢 😀", "\xFFz", 0, 1, 0);
    weir_trace_record(&trace, NULL, NULL, 0, 1, 0);
    CHECK(strstr(written(), "\"name\":\"a \\\"quote\\\", a \\\\ and\\u000aa line,\\u0009\\u0001\\u007f é 漢 "
                            "😀\",\"cat\":\"\xEF\xBF\xBDz\"") != NULL);
    CHECK(strstr(text, "\"name\":\"\",\"cat\":\"\"") != NULL);
}

TEST(arrows_join_the_events_of_one_request_in_the_order_of_time)
{
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    weir_trace_record(&trace, "third", "c", 30000, 31000, UINT64_MAX);
    weir_trace_record(&trace, "alone", "c", 5000, 6000, 4);
    weir_trace_record(&trace, "first", "c", 10000, 11000, UINT64_MAX);
    weir_trace_record(&trace, "none", "c", 11000, 12000, 0);
    weir_trace_record(&trace, "none", "c", 12000, 13000, 0);
    weir_trace_record(&trace, "second", "c", 20000, 21000, UINT64_MAX);
    weir_trace_record(&trace, "of another", "c", 20000, 21000, 5);
    weir_trace_record(&trace, "of another", "c", 21000, 22000, 5);
    written();
    CHECK_INT(times(text, "\"cat\":\"correlation\""), 5);
    CHECK_INT(times(text, "\"id\":\"0xffffffffffffffff\""), 3);
    CHECK(strstr(text, "\"id\":\"0xffffffffffffffff\",\"ts\":10.000}") != NULL);
    CHECK(strstr(text, "\"id\":\"0xffffffffffffffff\",\"ts\":20.000}") != NULL);
    CHECK(strstr(text, "\"id\":\"0xffffffffffffffff\",\"bp\":\"e\",\"ts\":30.000}") != NULL);
    CHECK_INT(times(text, "{\"ph\":\"s\""), 2);
    CHECK_INT(times(text, "{\"ph\":\"t\""), 1);
    CHECK_INT(times(text, "{\"ph\":\"f\""), 2);
}

/* The numbers of the text's events with this beginning, in the order in which they stand there, as digits. */
static const char *numbers_after(const char *what)
{
    static char all[50];
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL && n < sizeof all - 1;)
        all[n++] = *(at += strlen(what));
    all[n] = 0;
    return all;
}

TEST(events_of_a_thread_are_sorted_and_what_contains_another_comes_first)
{
    const weir_trace_opt newest = {true};
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    weir_trace_record(&trace, "event 5", "c", 7000, 8000, 0);
    weir_trace_record(&trace, "event 4", "c", 1000, 2000, 0);
    weir_trace_record(&trace, "event 3", "c", 1000, 3000, 0);
    weir_trace_record(&trace, "event 2", "c", 1000, 5000, 0);
    weir_trace_record(&trace, "event 1", "c", 0, 9000, 0);
    weir_trace_record(&trace, "event 6", "c", 7000, 7500, 0);
    written();
    CHECK_STR(numbers_after("\"event "), "123456");
    /* Of those that are alike the first recorded comes first, wherever they lie. */
    REQUIRE(weir_trace_init(&trace, events, 3, &newest) == 0);
    weir_trace_record(&trace, "event 1", "c", 0, 1000, 0);
    weir_trace_record(&trace, "event 2", "c", 0, 1000, 0);
    weir_trace_record(&trace, "event 3", "c", 0, 1000, 0);
    weir_trace_record(&trace, "event 4", "c", 0, 1000, 0); /* in the place of the first */
    written();
    CHECK_STR(numbers_after("\"event "), "234");
}

static weir_ns begins; /* of the event of another thread */
static void records_one(void *thread)
{
    weir_trace_record(&trace, "event", "c", begins, begins, 5);
    *(long *)thread = (long)gettid();
}

/* The events of one request, by turns of two threads, beginning at these points: whose arrow's end stands in each place, 1 or 2. */
static const char *arrows_of_turns(const weir_ns at[4])
{
    static char turns[5];
    char from_us[50];
    long other;
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    for (int i = 0; i < 4; i++)
        if (i % 2 == 0) {
            weir_trace_record(&trace, "event", "c", at[i], at[i], 5);
        } else {
            begins = at[i];
            test_threads(1, records_one, &other, sizeof other);
        }
    written();
    snprintf(from_us, sizeof from_us, "\"tid\":%ld,", (long)gettid());
    memset(turns, 0, sizeof turns);
    size_t n = 0;
    for (const char *line = text; n < 4 && (line = strstr(line, "\"ph\":\"")) != NULL; line++)
        if (strchr("stf", line[6]) != NULL)
            turns[n++] = strncmp(strstr(line, "\"tid\""), from_us, strlen(from_us)) == 0 ? '1' : '2';
    return turns;
}

TEST(arrows_go_from_thread_to_thread_in_the_order_of_time)
{
    CHECK_STR(arrows_of_turns((const weir_ns[]){1000, 2000, 3000, 4000}), "1212");
    CHECK_STR(arrows_of_turns((const weir_ns[]){2000, 1000, 4000, 3000}), "2121");
    CHECK_STR(arrows_of_turns((const weir_ns[]){1000, 1000, 1000, 1000}), "1212"); /* as they were recorded */
}

TEST(without_memory_nothing_is_written)
{
    size_t size;
    char *nothing = NULL;
    FILE *file = open_memstream(&nothing, &size);
    REQUIRE(file != NULL && weir_trace_init(&trace, events, 1000, NULL) == 0);
    weir_trace_record(&trace, "event", "c", 0, 1, 0);
    fail_allocation = 0;
    CHECK_INT(weir_trace_write(&trace, file), ENOMEM);
    fail_allocation = -1;
    fclose(file);
    CHECK_INT(size, 0);
    free(nothing);
    CHECK_INT(times(written(), "\"ph\":\"X\""), 1); /* it is still there */
    CHECK_INT(allocations, 0);
}

TEST(the_first_are_kept_or_the_last_and_the_rest_is_counted)
{
    const weir_trace_opt newest = {true};
    char name[50];
    for (int last = 0; last < 2; last++) {
        REQUIRE(weir_trace_init(&trace, events, 7, last ? &newest : NULL) == 0);
        for (int i = 0; i < 100; i++)
            weir_trace_record(&trace, "event", "c", i * 1000, i * 1000, 0);
        written();
        CHECK_INT(weir_trace_count(&trace), 7);
        CHECK_INT(weir_trace_dropped(&trace), 93);
        CHECK(strstr(text, "\"dropped\":\"93\"") != NULL);
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "\"ts\":%d.000,", i);
            CHECK_INT(times(text, name), last ? i >= 93 : i < 7);
        }
    }
}

TEST(an_error_of_the_file_is_told)
{
    FILE *full = fopen("/dev/full", "w");
    if (full == NULL)
        SKIP("needs /dev/full");
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    weir_trace_record(&trace, "event", "c", 0, 1, 0);
    CHECK_INT(weir_trace_write(&trace, full), EIO);
    fclose(full);
}

/* ---- many threads ---- */

enum { RECORDERS = 4 };
static int writing; /* atomic */

/* All of an event says the same number. */
static void record_many(void *arg)
{
    static const char *const names[RECORDERS] = {"0", "1", "2", "3"};
    const int me = *(int *)arg;
    weir_thread_name(names[me]);
    for (int i = 0; i < 250; i++)
        weir_trace_record(&trace, names[me], names[me], i, i + me, (uint64_t)(me * 1000 + i + 1));
}

static bool torn(const weir_trace_event *e)
{
    const uint64_t number = e->id - 1, i = number % 1000, me = number / 1000;
    return e->begin != (weir_ns)i || e->end != (weir_ns)(i + me) || e->name != e->category ||
           e->name[0] != (char)('0' + me) || strcmp(e->name, e->thread_name) != 0;
}

TEST(recorders_that_race_lose_nothing_up_to_the_capacity)
{
    int number[RECORDERS] = {0, 1, 2, 3};
    for (long round = 0; round < test_rounds(100); round++) {
        bool seen[4000] = {false};
        REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
        test_threads(RECORDERS, record_many, number, sizeof number[0]);
        CHECK_INT(weir_trace_count(&trace), 1000);
        CHECK_INT(weir_trace_dropped(&trace), 0);
        for (int i = 0; i < 1000; i++) {
            CHECK(!torn(&events[i]) && !seen[events[i].id - 1]);
            seen[events[i].id - 1] = true;
        }
    }
    written();
    CHECK_INT(times(text, "\"ph\":\"X\""), 1000);
    CHECK_INT(times(text, "thread_name"), RECORDERS);
    for (int i = 0; i < RECORDERS; i++) {
        char name[50];
        snprintf(name, sizeof name, "\"args\":{\"name\":\"%d\"}", i);
        CHECK_INT(times(text, name), 1);
    }
}

static void write_many(void *unused)
{
    weir_trace_event copy;
    (void)unused;
    while (__atomic_load_n(&writing, __ATOMIC_ACQUIRE))
        for (size_t i = 0; i < 3; i++)
            if (weir__trace_copy(&events[i], &copy))
                CHECK(!torn(&copy));
}

TEST(recorders_that_race_for_few_places_tear_nothing)
{
    int number[RECORDERS] = {0, 1, 2, 3};
    const weir_trace_opt newest = {true};
    for (long round = 0; round < test_rounds(200); round++) {
        REQUIRE(weir_trace_init(&trace, events, 3, &newest) == 0);
        __atomic_store_n(&writing, 1, __ATOMIC_RELEASE);
        struct test_team *team = test_start(1, write_many, NULL, 0);
        test_threads(RECORDERS, record_many, number, sizeof number[0]);
        __atomic_store_n(&writing, 0, __ATOMIC_RELEASE);
        test_join(team);
        const size_t count = weir_trace_count(&trace);
        CHECK(count > 0 && count <= 3 && weir_trace_dropped(&trace) == 1000 - count);
        for (size_t i = 0; i < 3; i++)
            CHECK(events[i].stamp == 0 || !torn(&events[i]));
    }
}

static int records_in_child(void)
{
    weir_trace_record(&trace, "in the child", "c", 0, 1, 0);
    return events[1].thread == gettid() && events[1].thread != events[0].thread ? FINE : 1;
}

TEST(a_child_has_a_thread_of_its_own)
{
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    weir_trace_record(&trace, "in the parent", "c", 0, 1, 0);
    CHECK_INT(in_child(records_in_child), FINE);
    CHECK_INT(weir_trace_count(&trace), 1);
}

TEST(python_reads_it_as_json)
{
    REQUIRE(weir_trace_init(&trace, events, 1000, NULL) == 0);
    weir_trace_record(&trace, "a \"b\"\n\x02 é", "\xFE", 5, 6, 1);
    weir_trace_record(&trace, "c", "d", 5, 6, 1);
    written();
    if (system("python3 -c '' >/dev/null 2>&1") != 0)
        SKIP("needs python3");
    FILE *python = popen("python3 -m json.tool >/dev/null", "w");
    REQUIRE(python != NULL && fputs(text, python) >= 0);
    CHECK_INT(pclose(python), 0);
}
