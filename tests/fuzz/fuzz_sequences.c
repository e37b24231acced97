/* tests/fuzz/fuzz_sequences.c: the same programs (sequences.h), bred by libFuzzer: `make fuzz`. */
#include "sequences.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *code, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *code, size_t size)
{
    size_t at;
    const char *wrong = fuzz_run(code, size, &at);
    if (wrong == NULL)
        return 0;
    fprintf(stderr, "after %zu of %zu bytes: not %s\n", at, size, wrong);
    abort();
}
