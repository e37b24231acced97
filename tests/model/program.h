/* tests/model/program.h: the variables of the program under test: what lies between the linker's symbols, without the checker's own. */
#ifndef WEIR_MODEL_PROGRAM_H
#define WEIR_MODEL_PROGRAM_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_MAX = 16 };

static struct program {
    int pieces; /* none: another C library, and nobody knows where they are */
    struct piece {
        unsigned char *begin;
        size_t size;
        unsigned char *first; /* what it held when the program began */
    } piece[PIECES_MAX];
} program;

extern unsigned char __data_start[] __attribute__((weak)), _edata[] __attribute__((weak)),
    __bss_start[] __attribute__((weak)), _end[] __attribute__((weak));

static void program_add(unsigned char *begin, const unsigned char *end)
{
    if (begin == NULL || end <= begin)
        return;
    if (program.pieces == PIECES_MAX)
        abort();
    program.piece[program.pieces++] = (struct piece){begin, (size_t)(end - begin), NULL};
}

/* Once: this is the checker's own. */
static void program_without(void *own, size_t size)
{
    unsigned char *begin = (unsigned char *)own;
    for (int i = 0; i < program.pieces; i++) {
        struct piece *p = &program.piece[i];
        const unsigned char *end = p->begin + p->size;
        if (begin < p->begin || begin >= end)
            continue;
        p->size = (size_t)(begin - p->begin);
        program_add(begin + size, end);
        return;
    }
}

static void program_find(void)
{
    if (__data_start == NULL)
        return;
    program_add(__data_start, _edata);
    program_add(__bss_start, _end);
    program_without(&program, sizeof program);
}

/* Once, after all that is the checker's own has been named. */
static void program_keep(void)
{
    for (int i = 0; i < program.pieces; i++) {
        struct piece *p = &program.piece[i];
        p->first = (unsigned char *)malloc(p->size + 1);
        if (p->first == NULL)
            abort();
        memcpy(p->first, p->begin, p->size);
    }
}

/* Before an execution. */
static void program_begin(void)
{
    for (int i = 0; i < program.pieces; i++)
        memcpy(program.piece[i].begin, program.piece[i].first, program.piece[i].size);
}

#endif /* WEIR_MODEL_PROGRAM_H */
