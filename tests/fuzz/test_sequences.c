/* tests/fuzz/test_sequences.c: random programs against the model (sequences.h). A million here; ten million when asked. What fails
 * prints its bytes; fuzz_sequences takes them from a file.
 */
#include "sequences.h"

#include "harness.h"

enum { LENGTH = 48 };

static uint64_t fuzz_draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1dU >> 32;
}

static void run_random(long programs, uint64_t seed)
{
    for (long n = 0; n < programs; n++) {
        uint8_t code[LENGTH];
        uint64_t state = (seed + (uint64_t)n) * 0x9e3779b97f4a7c15U | 1;
        size_t at;
        for (size_t i = 0; i < LENGTH; i++)
            code[i] = (uint8_t)fuzz_draw(&state);
        const char *wrong = fuzz_run(code, LENGTH, &at);
        if (CHECK_STR(wrong, NULL))
            continue;
        printf("#   program %ld, after %zu bytes:", n, at);
        for (size_t i = 0; i < LENGTH; i++)
            printf(" %02x", code[i]);
        printf("\n");
        return;
    }
}

TEST(random_programs_do_what_the_model_does)
{
    run_random(test_rounds(1000000), 1);
}

TEST_DEFINE(ten_million, 1200, true)
{
    run_random(10000000, 1000000000 + (uint64_t)test_seed());
}

/* What libFuzzer has bred: the smallest set of programs that together reach all that it has ever reached. */
TEST(the_corpus_does_what_the_model_does)
{
    DIR *corpus = opendir("tests/fuzz/corpus");
    if (corpus == NULL)
        SKIP("needs tests/fuzz/corpus, from the folder that the tests are run in");
    for (struct dirent *e; (e = readdir(corpus)) != NULL;) {
        char path[300];
        uint8_t code[4096];
        size_t at;
        snprintf(path, sizeof path, "tests/fuzz/corpus/%s", e->d_name);
        FILE *file = e->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (file == NULL)
            continue;
        const char *wrong = fuzz_run(code, fread(code, 1, sizeof code, file), &at);
        fclose(file);
        if (!CHECK_STR(wrong, NULL))
            printf("#   %s, after %zu bytes\n", path, at);
    }
    closedir(corpus);
}
