/* tests/golang/test_programs.c: the small programs of Go's test suite whose result is known (test/chan/sieve1.go, sieve2.go,
 * goroutines.go), written afresh: chains of threads, as long as the machine allows. */
#include "harness.h"

typedef weir_chan(int) int_chan;

static int_chan make(size_t capacity)
{
    int_chan ch;
    REQUIRE(weir_chan_make(&ch, capacity) == 0);
    return ch;
}

struct link {
    weir_ctx *ctx;
    int_chan in, out;
    int prime; /* of a filter; 0: the source of all numbers */
    pthread_t thread;
};

static void link_start(struct link *l, void *(*run)(void *))
{
    pthread_attr_t attr;
    REQUIRE(pthread_attr_init(&attr) == 0);
    REQUIRE(pthread_attr_setstacksize(&attr, 256 * 1024) == 0);
    REQUIRE(pthread_create(&l->thread, &attr, run, l) == 0);
    pthread_attr_destroy(&attr);
}

/* ---- the prime sieve ---- */

static void *sieve(void *p)
{
    struct link *l = (struct link *)p;
    for (int n = 2;; n++) {
        if (l->prime != 0 && weir_recv(l->ctx, l->in, &n) != 0)
            return NULL;
        if ((l->prime == 0 || n % l->prime != 0) && weir_send(l->ctx, l->out, &n) != 0)
            return NULL;
    }
}

static bool is_prime(int n)
{
    for (int d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}

static void check_sieve(size_t capacity, int primes)
{
    struct link *chain = (struct link *)calloc((size_t)primes + 1, sizeof *chain);
    weir_ctx ctx;
    int expected = 2;
    REQUIRE(chain != NULL);
    weir_ctx_init(&ctx, NULL);
    for (int i = 0; i <= primes; i++) {
        int prime = 0;
        if (i > 0) {
            CHECK_INT(weir_recv(&ctx, chain[i - 1].out, &prime), 0);
            while (!is_prime(expected))
                expected++;
            CHECK_INT(prime, expected++);
            chain[i].in = chain[i - 1].out;
        }
        chain[i].ctx = &ctx;
        chain[i].prime = prime;
        chain[i].out = make(capacity);
        link_start(&chain[i], sieve);
    }
    weir_ctx_cancel(&ctx, 0);
    for (int i = 0; i <= primes; i++)
        pthread_join(chain[i].thread, NULL);
    for (int i = 0; i <= primes; i++)
        weir_chan_free(&chain[i].out);
    weir_ctx_free(&ctx);
    free(chain);
}

TEST_LIMIT(the_sieve_finds_the_primes_over_rendezvous, 120)
{
    check_sieve(0, (int)test_rounds(150));
}

TEST_LIMIT(the_sieve_finds_the_primes_over_buffers, 120)
{
    check_sieve(1, (int)test_rounds(150));
    check_sieve(17, (int)test_rounds(150));
}

/* ---- a long chain, each of whose threads waits for the next ---- */

static void *pass_on(void *p)
{
    struct link *l = (struct link *)p;
    int v = 0;
    const int rc = weir_recv(NULL, l->in, &v);
    v++;
    if (rc != 0 || weir_send(NULL, l->out, &v) != 0)
        CHECK_INT(rc, 0);
    return NULL;
}

TEST_LIMIT(a_value_goes_through_a_thousand_sleeping_threads, 120)
{
    const int n = (int)test_rounds(1000);
    struct link *chain = (struct link *)calloc((size_t)n, sizeof *chain);
    int_chan first = make(0), last = first;
    int v = 0;
    REQUIRE(chain != NULL);
    for (int i = 0; i < n; i++) {
        chain[i].in = last;
        chain[i].out = last = make(0);
        link_start(&chain[i], pass_on);
    }
    CHECK_INT(weir_send(NULL, first, &v), 0);
    CHECK_INT(weir_recv(NULL, last, &v), 0);
    CHECK_INT(v, n);
    for (int i = 0; i < n; i++)
        pthread_join(chain[i].thread, NULL);
    for (int i = 0; i < n; i++)
        weir_chan_free(&chain[i].out);
    weir_chan_free(&first);
    free(chain);
}
