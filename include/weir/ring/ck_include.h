/* weir/ring/ck_include.h: includes <ck_ring.h>, in C and in C++, and says no where it must not be used.
 *
 * Version 0.7.1, the latest release, returns `false` from a function whose type is a pointer, which C++ refuses; read as a plain 0 it
 * is right in both languages. On Arm its consumers order the copy of a value before the release of its slot with a fence that
 * orders stores alone, so a slot can be read after it was written over; upstream has mended that after the release
 * (commit c7945fe). Define WEIR_CK_FIXED when your copy has it.
 */
#ifndef WEIR_RING_CK_INCLUDE_H
#define WEIR_RING_CK_INCLUDE_H

#include "choice.h"

#if WEIR__RING_CK_USED

#if !defined(__x86_64__) && !defined(__i386__) && !defined(WEIR_CK_FIXED)
#error                                                                                                                 \
    "weir: ck_ring 0.7.1 has wrong fences on this processor: use weir's own rings, or a mended ck with -DWEIR_CK_FIXED"
#endif
#if defined(__has_include)
#if !__has_include(<ck_ring.h>)
#error "weir: a ring was set to WEIR_RING_CK, but <ck_ring.h> is not installed (Debian: libck-dev)"
#endif
#endif

#ifdef __cplusplus
#include <ck_cc.h>
#include <ck_md.h>
#include <ck_pr.h>
#include <ck_stdbool.h>
#include <ck_string.h>
#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wkeyword-macro"
#endif
#define false 0
#include <ck_ring.h>
#undef false
#pragma GCC diagnostic pop
#else
#include <ck_ring.h>
#endif

#endif
#endif /* WEIR_RING_CK_INCLUDE_H */
