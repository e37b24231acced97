#!/bin/sh
# tests/check_layers.sh: modules build on earlier ones only (layers.awk), and bring no foreign names (names.awk, nm).
. tests/tap.sh

layers()
{
    find include/weir -name '*.h' | LC_ALL=C sort | $AWK -v root=include/weir -f tests/layers.awk
}
names() # COMPILER... UNIT
{
    "$@" -Iinclude -pthread -E -dD >"$BUILD/preprocessed" && $AWK -f tests/names.awk "$BUILD/preprocessed"
}
# What a program links against: only weir_ symbols, apart from statics inside functions (name.0) and constants (.Lname).
symbols() # COMPILER... UNIT
{
    "$@" -Iinclude -pthread -O0 -c -o "$BUILD/unit.o" || return 1
    nm --defined-only "$BUILD/unit.o" | $AWK '
        $NF !~ /^(weir_|\.L)/ && !($2 ~ /[a-z]/ && $NF ~ /\.[0-9]+$/) { print "symbol " $NF " (" $2 ")"; bad = 1 }
        END { exit bad }'
}
statics() # COMPILER... UNIT
{
    "$@" -DWEIR_STATIC -Iinclude -pthread -O0 -c -o "$BUILD/unit.o" || return 1
    nm --defined-only --extern-only "$BUILD/unit.o" | $AWK '
        $2 ~ /[A-Z]/ && $2 != "V" && $2 != "W" && $2 != "U" { print "external symbol " $NF; bad = 1 } END { exit bad }'
}

expect "each module includes only earlier ones, and all are listed" layers
for header in '<weir/all.h>' '"weir.h"'; do
    printf '#define WEIR_IMPLEMENTATION\n#include %s\n' "$header" >"$BUILD/unit.c"
    cp "$BUILD/unit.c" "$BUILD/unit.cc"
    expect "no foreign names: $header, C" names $CC -std=c11 "$BUILD/unit.c"
    expect "no foreign symbols: $header" symbols $CC -std=c11 "$BUILD/unit.c"
    expect "WEIR_STATIC exports nothing: $header" statics $CC -std=c11 "$BUILD/unit.c"
    if command -v ${CXX%% *} >/dev/null 2>&1; then
        expect "no foreign names: $header, C++" names $CXX -std=c++17 "$BUILD/unit.cc"
    else
        skip "no foreign names: $header, C++" "needs g++"
    fi
done

# The checks themselves must be able to fail.
mkdir -p "$BUILD/weir"
bad()
{
    cat >"$BUILD/weir/bad.h"
    printf '#include "weir/bad.h"\n' >"$BUILD/bad.c"
    names $CC -std=c11 -I"$BUILD" "$BUILD/bad.c"
}
refuse "a foreign macro is seen" "macro LIKELY" bad <<'X'
#define LIKELY(x) (x)
X
refuse "a foreign function is seen" "function lock" bad <<'X'
static inline int lock(int *weir_x) { return *weir_x; }
X
refuse "a foreign typedef is seen" "name node" bad <<'X'
typedef struct weir_n { int a; } node;
X
refuse "a foreign tag is seen" "struct node" bad <<'X'
struct node { int a; };
X
refuse "a foreign enum constant is seen" "enum constant BUSY" bad <<'X'
enum weir_e { WEIR_A = (1 + 2), BUSY };
X
finish
