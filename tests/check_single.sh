#!/bin/sh
# tests/check_single.sh: include/weir.h is what the modules make, whatever awk makes it; and single.awk refuses what it
# cannot carry over.
. tests/tap.sh

make_single() # AWK OUTPUT
{
    $1 -v license=LICENSE -f include/weir/single.awk include/weir/all.h >"$2"
}
same() # AWK
{
    make_single "$1" "$BUILD/weir.h" || return 1
    if ! cmp "$BUILD/weir.h" include/weir.h; then
        diff -u include/weir.h "$BUILD/weir.h" | head -n 40
        echo "include/weir.h is stale: run make single"
        return 1
    fi
}
expect "weir.h is not stale" same "$AWK"
for awk in mawk gawk "gawk --posix" "busybox awk" original-awk; do
    if command -v ${awk%% *} >/dev/null 2>&1; then expect "$awk makes the same file" same "$awk"; fi
done

# A small tree of modules, one broken in the way that is named.
tree()
{
    rm -rf "$BUILD/tree"
    mkdir -p "$BUILD/tree/core" "$BUILD/tree/park"
    printf '#include "core/config.h" /* what */\n#include "park/waitq.h" /* who */\n' >"$BUILD/tree/all.h"
    printf '/* c */\n#ifndef WEIR_CORE_CONFIG_H\n#define WEIR_CORE_CONFIG_H\n#endif /* WEIR_CORE_CONFIG_H */\n' \
        >"$BUILD/tree/core/config.h"
    cat >"$BUILD/tree/park/waitq.h"
}
single()
{
    $AWK -v license=LICENSE -f include/weir/single.awk "$BUILD/tree/all.h"
}
good='#ifndef WEIR_PARK_WAITQ_H\n#define WEIR_PARK_WAITQ_H\n#include "../core/config.h"\n#endif /* WEIR_PARK_WAITQ_H */\n'
impl='#if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_PARK_WAITQ_IMPLEMENTED)\n'
printf "$good" | tree
expect "a declaration part alone" single
printf "$good\n${impl}int x;\n#endif /* WEIR_PARK_WAITQ_IMPLEMENTED */\n" | tree
expect "an implementation part" single
printf '#include "../core/atomic.h"\n' | tree
refuse "an include that all.h does not list" 'waitq.h:1: includes "../core/atomic.h"' single
printf 'int x;\n#endif\n' | tree
refuse "no closing line" "waitq.h:2: the closing line" single
printf "${good}int x;\n" | tree
refuse "text after the guard" "waitq.h:5: after the guard" single
printf "$good${impl}#endif\n" | tree
refuse "no closing line of the implementation" "waitq.h:6: the closing line" single
printf "$good${impl}#endif /* WEIR_PARK_WAITQ_IMPLEMENTED */\nint x;\n" | tree
refuse "text after the implementation" "waitq.h:7: text after" single
rm "$BUILD/tree/park/waitq.h"
refuse "a module that is not there" "waitq.h:1: cannot be read" single
finish
