/* tests/model/choice.h: the one source of everything that could go either way: which thread is next, which store a load reads, whether a
 * sleeper wakes for no reason. An execution is the list of its choices.
 *
 * The exhaustive search runs the program again and again, each time with the last choice that still has an untried alternative moved on
 * by one: depth first, with nothing kept but the list (P. Godefroid, "Model checking for programming languages using VeriSoft", 1997).
 * Random search draws; a replay reads the list from a line of text.
 */
#ifndef WEIR_MODEL_CHOICE_H
#define WEIR_MODEL_CHOICE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { CHOICES_MAX = 8192 };
enum choice_mode { CHOICE_ALL, CHOICE_RANDOM, CHOICE_PCT, CHOICE_REPLAY };

static struct choices {
    enum choice_mode mode;
    int length, at; /* of the list; the next one to be made */
    unsigned char made[CHOICES_MAX], of[CHOICES_MAX];
    /* The same with the choices that a reduction left out, each 0: what a replay needs, which reduces nothing. */
    int full_length;
    unsigned char full[CHOICES_MAX];
    uint64_t random;
    bool too_long;
} choices;

/* What window.h does at choices, and finds. */
static void window_begin(int at);
static void window_chosen(int at);
static bool window_next(int at);
static void window_end(int at);

static const char choice_digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* xorshift64 (G. Marsaglia, 2003). */
static uint64_t choice_draw(void)
{
    struct choices *c = &choices;
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random >> 20;
}

/* A choice that a reduction knows to change nothing. */
static void choose_nothing(void)
{
    if (choices.full_length < CHOICES_MAX)
        choices.full[choices.full_length++] = 0;
}

static int choice_made(int n, int wish)
{
    struct choices *c = &choices;
    if (c->at == c->length) {
        c->made[c->length++] = (unsigned char)wish;
        if (c->mode == CHOICE_ALL)
            window_begin(c->at);
    }
    c->of[c->at++] = (unsigned char)n;
    if (c->at == c->length && c->mode == CHOICE_ALL)
        window_chosen(c->at - 1);
    return c->made[c->at - 1];
}

/* A number in [0, n): `wish`, unless the list says otherwise. */
static int choose_wish(int n, int wish)
{
    struct choices *c = &choices;
    if (n <= 1)
        return 0;
    if (c->at >= CHOICES_MAX || c->full_length >= CHOICES_MAX) {
        c->too_long = true;
        return 0;
    }
    const int made = choice_made(n, wish);
    c->full[c->full_length++] = (unsigned char)made;
    return made;
}

/* A place in the list of an exhaustive search, without a choice. */
static void choose_here(void)
{
    if (choices.at >= CHOICES_MAX)
        choices.too_long = true;
    else
        (void)choice_made(1, 0);
}

static bool choices_are_random(void)
{
    return choices.mode == CHOICE_RANDOM || choices.mode == CHOICE_PCT;
}

/* A number in [0, n). 0 is what happens without any interference. */
static int choose(int n)
{
    return choose_wish(n, choices_are_random() && n > 1 ? (int)(choice_draw() % (unsigned)n) : 0);
}

/* The same, but 0 in most random executions. */
static int choose_rarely(int n)
{
    const bool other = choices_are_random() && n > 1 && choice_draw() % 8 == 0;
    return choose_wish(n, other ? (int)(choice_draw() % (unsigned)n) : 0);
}

/* Before each execution; seed: of a random one. */
static void choices_begin(uint64_t seed)
{
    choices.at = choices.full_length = 0;
    choices.too_long = false;
    if (choices_are_random()) {
        choices.length = 0;
        choices.random = (seed + 1) * 0x9e3779b97f4a7c15U | 1;
    }
}

/* Whether nothing is left of what the search has laid down: from here on an execution is new. */
static bool choices_are_new(void)
{
    return choices.at == choices.length;
}

/* The next list of an exhaustive search; false: that was the last. */
static bool choices_next(void)
{
    choices.length = choices.at;
    while (choices.length > 0) {
        const int last = choices.length - 1;
        if (window_next(last) && choices.made[last] + 1 < choices.of[last]) {
            choices.made[last]++;
            return true;
        }
        window_end(last);
        choices.length = last;
    }
    return false;
}

static void choices_write(char *text)
{
    int n = choices.full_length;
    while (n > 0 && choices.full[n - 1] == 0) /* the rest is 0 anyway */
        n--;
    for (int i = 0; i < n; i++)
        text[i] = choice_digits[choices.full[i]];
    text[n] = '\0';
}

static bool choices_read(const char *text)
{
    choices.mode = CHOICE_REPLAY;
    choices.length = 0;
    for (; *text != '\0' && choices.length < CHOICES_MAX; text++) {
        const char *digit = strchr(choice_digits, *text);
        if (digit == NULL)
            return false;
        choices.made[choices.length++] = (unsigned char)(digit - choice_digits);
    }
    return true;
}

#endif /* WEIR_MODEL_CHOICE_H */
