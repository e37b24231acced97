/* weir/core/memory.h: the two allocation hooks. Nothing is allocated after construction on a path that moves data. */
#ifndef WEIR_CORE_MEMORY_H
#define WEIR_CORE_MEMORY_H

#include "config.h"

#if defined(WEIR_ALLOC) != defined(WEIR_FREE)
#error "define both WEIR_ALLOC(align, size) and WEIR_FREE(ptr), or neither"
#endif

#ifndef WEIR_ALLOC
#include <stdlib.h>
/* align: a power of two. Returns NULL when memory is out. aligned_alloc wants a size that is a multiple of the alignment. */
#define WEIR_ALLOC(align, size) aligned_alloc((align), ((size) + (align)-1) / (align) * (align))
#define WEIR_FREE(ptr) free(ptr)
#endif

#endif /* WEIR_CORE_MEMORY_H */
