#!/bin/sh
# tests/check_install.sh: what `make install` puts there can be found by the tools that people use.
. tests/tap.sh
root=$(pwd)/$BUILD/root
unset MAKEFLAGS MFLAGS MAKELEVEL

install_it() { ${MAKE:-make} install PREFIX=/opt/weir DESTDIR="$root"; }
same_files()
{
    cmp include/weir.h "$root/opt/weir/include/weir.h" &&
        (cd include && find weir -name '*.h') | while read -r f; do
            cmp "include/$f" "$root/opt/weir/include/$f" || exit 1
        done
}
cat >"$BUILD/user.c" <<'X'
#define WEIR_IMPLEMENTATION
#include <weir.h>
int main(void) { return weir_now() <= 0; }
X
by_pkg_config()
{
    flags=$(PKG_CONFIG_PATH="$root/opt/weir/share/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root" pkg-config --cflags --libs weir) &&
        $CC "$BUILD/user.c" $flags -o "$BUILD/user" && "$BUILD/user"
}
by_cmake()
{
    mkdir -p "$BUILD/cmake"
    cp "$BUILD/user.c" "$BUILD/cmake/user.c"
    cat >"$BUILD/cmake/CMakeLists.txt" <<'X'
cmake_minimum_required(VERSION 3.10)
project(user C)
find_package(weir REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE weir::weir)
X
    cmake -S "$BUILD/cmake" -B "$BUILD/cmake/out" -DCMAKE_PREFIX_PATH="$root/opt/weir" -DCMAKE_C_COMPILER="${CC%% *}" &&
        cmake --build "$BUILD/cmake/out" && "$BUILD/cmake/out/user"
}
uninstall_it()
{
    ${MAKE:-make} uninstall PREFIX=/opt/weir DESTDIR="$root" || return 1
    left=$(find "$root" -type f)
    [ -z "$left" ] || { echo "left behind: $left"; return 1; }
}

expect "install" install_it
expect "all headers are there, unchanged" same_files
if command -v pkg-config >/dev/null 2>&1; then expect "found by pkg-config" by_pkg_config; else skip "pkg-config" "needs pkg-config"; fi
if command -v cmake >/dev/null 2>&1; then expect "found by CMake" by_cmake; else skip "CMake" "needs cmake"; fi
expect "uninstall leaves nothing" uninstall_it
finish
