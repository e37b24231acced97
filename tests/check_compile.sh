#!/bin/sh
# tests/check_compile.sh: does every header compile, alone, wherever a user may put it?
#
# Each module, the map of all modules and the single header; as strict C11 without feature-test macros and as C++17; bare,
# with the implementation, static, and after system headers. The single header in the other dialects too. Then programs
# of several units, in C and C++. Then the examples.
# The units are independent and there are hundreds, so they are written first and compiled JOBS at a time.

# A worker: compiles the unit $2; its first line is "// LANGUAGE FLAGS", its second "// NAME".
if [ "$1" = --one ]; then
    unit=$2
    flags=$(sed -n '1s,^// ,,p' "$unit")
    case $unit in
    *.c) set -- $CC $CWARN ;;
    *) set -- $CXX $CXXWARN ;;
    esac
    # Not -fsyntax-only: some warnings (unused functions) come later. -S: no assembler is needed.
    sed '1,2d' "$unit" >"${unit%.*}_u.${unit##*.}"
    "$@" $flags -Iinclude -pthread -O0 -S -o /dev/null "${unit%.*}_u.${unit##*.}" >"$unit.log" 2>&1 || echo failed >"$unit.bad"
    exit 0
fi

. tests/tap.sh
here=$0
have_cxx=yes
echo 'int main() { return 0; }' >"$BUILD/probe.cc"
$CXX "$BUILD/probe.cc" -o "$BUILD/probe" 2>/dev/null || have_cxx=

number=1000
# unit EXT FLAGS NAME: a unit from stdin.
unit()
{
    number=$((number + 1))
    { echo "// $2"; echo "// $3"; cat; } >"$BUILD/$number.$1"
}

# four EXT FLAGS LABEL INCLUDE: the ways in which a unit may meet a header. Each includes it twice.
four()
{
    unit "$1" "$2" "$3" <<X
#include $4
#include $4
typedef int a_unit_must_not_be_empty;
X
    unit "$1" "$2" "$3, with the implementation" <<X
#define WEIR_IMPLEMENTATION
#include $4
#include $4
typedef int a_unit_must_not_be_empty;
X
    unit "$1" "$2" "$3, static" <<X
#define WEIR_STATIC
#define WEIR_IMPLEMENTATION
#include $4
typedef int a_unit_must_not_be_empty;
X
    unit "$1" "$2" "$3, after system headers" <<X
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#define WEIR_IMPLEMENTATION
#include $4
typedef int a_unit_must_not_be_empty;
X
}

modules=$(sed -n 's/^#include "\([^"]*\)".*/\1/p' include/weir/all.h)
for m in $modules all.h; do
    four c -std=c11 "C11 $m" "<weir/$m>"
    if [ $have_cxx ]; then four cc -std=c++17 "C++17 $m" "<weir/$m>"; fi
done
if [ "$ON_CK" ]; then
    four c "-std=c11 $ON_CK" "C11 all.h on ck_ring" "<weir/all.h>"
    if [ $have_cxx ]; then four cc "-std=c++17 $ON_CK" "C++17 all.h on ck_ring" "<weir/all.h>"; fi
else
    skip "all.h on ck_ring" "needs libck-dev"
fi
if [ -f include/weir.h ]; then
    for std in c11 gnu11 gnu17; do four c -std=$std "$std weir.h" '"weir.h"'; done
    if [ $have_cxx ]; then
        for std in c++17 gnu++20; do four cc -std=$std "$std weir.h" '"weir.h"'; done
    fi
fi
for f in examples/*.c; do
    if [ -f "$f" ]; then echo "#include \"$(pwd)/$f\"" | unit c "-std=c11 -I." "example $f"; fi
done
if [ $have_cxx ]; then
    printf '#include "harness.h"\nTEST(one)\n{\n    CHECK_INT(1, 1);\n}\n' | unit cc "-std=c++17 -Itests" "C++17 harness.h"
fi

ls "$BUILD"/1*.c "$BUILD"/1*.cc 2>/dev/null | xargs -P "$JOBS" -n 1 sh "$here" --one

for u in "$BUILD"/1???.c "$BUILD"/1???.cc; do
    if [ ! -f "$u" ]; then continue; fi
    name=$(sed -n '2s,^// ,,p' "$u")
    if [ -f "$u.bad" ]; then
        head -n 12 "$u.log" >"$BUILD/output"
        tap_not_ok "$name" "$BUILD/output"
    else
        tap_ok "$name"
    fi
done
if [ ! $have_cxx ]; then skip "all headers as C++17" "needs g++"; fi

# Programs of several units: the bodies in one C unit, the declarations in another and in a C++ one. The first meets the
# header twice, as when one of its own headers includes it and only then the implementation is asked for.
many_units() # INCLUDE NAME
{
    printf '#include %s\n#define WEIR_IMPLEMENTATION\n#include %s\n' "$1" "$1" >"$BUILD/$2_a.c"
    printf 'int second(void);\nint third(void);\n' >>"$BUILD/$2_a.c"
    printf 'int main(void) { return second() + third() + (weir_now() <= 0); }\n' >>"$BUILD/$2_a.c"
    printf '#include %s\nint second(void);\nint second(void) { return weir_now() <= 0; }\n' "$1" >"$BUILD/$2_b.c"
    printf '#include %s\nextern "C" int third(void);\nint third(void) { return weir_now() <= 0; }\n' "$1" >"$BUILD/$2_c.cc"
    $CC -std=c11 $CWARN -Iinclude -pthread -c "$BUILD/$2_a.c" -o "$BUILD/$2_a.o" &&
        $CC -std=c11 $CWARN -Iinclude -pthread -c "$BUILD/$2_b.c" -o "$BUILD/$2_b.o" &&
        $CXX -std=c++17 $CXXWARN -Iinclude -pthread -c "$BUILD/$2_c.cc" -o "$BUILD/$2_c.o" &&
        $CXX -pthread "$BUILD/$2_a.o" "$BUILD/$2_b.o" "$BUILD/$2_c.o" -o "$BUILD/$2" && "$BUILD/$2"
}
# The bodies may stand in a C++ unit as well.
cxx_program() # INCLUDE NAME
{
    printf '#define WEIR_IMPLEMENTATION\n#include %s\nint main() { return weir_now() <= 0; }\n' "$1" >"$BUILD/$2.cc"
    $CXX -std=c++17 $CXXWARN -Iinclude -pthread "$BUILD/$2.cc" -o "$BUILD/$2" && "$BUILD/$2"
}
if [ $have_cxx ]; then
    expect "two C units and a C++ unit, from the modules" many_units "<weir/all.h>" modules
    expect "two C units and a C++ unit, from weir.h" many_units '"weir.h"' single
    expect "a C++ program, from the modules" cxx_program "<weir/all.h>" cxx_modules
    expect "a C++ program, from weir.h" cxx_program '"weir.h"' cxx_single
else
    skip "programs of C and C++ units" "needs g++"
fi
finish
