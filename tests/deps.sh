#!/bin/sh
# tests/deps.sh: installs what the tests and the benchmark need, on Debian and its relatives. Does nothing when all of it
# is there. RIVALS=1: also what one
# row of the benchmark needs, half a gigabyte. (The library itself needs a C compiler and nothing else.)
dir=build/deps
mkdir -p "$dir"
printf 'int main(void) { return 0; }\n' >"$dir/empty.c"
printf '#include <ck_ring.h>\nint main(void) { return 0; }\n' >"$dir/ck.c"
printf 'int main() { return 0; }\n' >"$dir/empty.cc"
have() { command -v "$1" >/dev/null 2>&1; }
builds() { "$@" -o "$dir/probe" 2>/dev/null; }
has_header() # HEADER
{
    printf '#include <%s>\nint main(void) { return 0; }\n' "$1" >"$dir/header.c" && builds cc "$dir/header.c"
}

packages= rivals=
need() # PACKAGE WHAT-FOR
{
    echo "deps: $1 is missing ($2)"
    packages="$packages $1"
}

builds cc -pthread "$dir/empty.c" || need gcc "C compiler, with libc6-dev"
builds cc -pthread "$dir/empty.c" || need libc6-dev "C library headers"
builds c++ "$dir/empty.cc" || need g++ "the headers are tested as C++17 too"
builds cc "$dir/ck.c" || need libck-dev "the tests run on ck_ring too"
has_header curl/curl.h || need libcurl4-openssl-dev "a program that fetches web pages is tested"
has_header sqlite3.h || need libsqlite3-dev "two programs that write into a database are tested"
have spin || need spin "the protocols of sleeping and waking are checked in all their states"
have strace || need strace "a test counts the system calls of select"
have objdump && have nm || need binutils "tests look at the machine code of the fast path and at symbols"
if have clang; then
    # Its sanitizers are a package of their own, named after its version.
    builds clang -fsanitize=thread "$dir/empty.c" || need "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" \
        "clang's sanitizers"
else
    need clang "the second compiler of the tests"
    if apt-cache show libclang-rt-dev >/dev/null 2>&1; then need libclang-rt-dev "clang's sanitizers"; fi
fi
builds clang++ -x c++ "$dir/empty.cc" || have clang || need g++ "the C++ library that clang++ uses"
have go || need golang-go "the benchmark compares with Go's channels"
[ -d /usr/share/gocode/src/golang.org/x/sync ] || need golang-golang-x-sync-dev "the benchmark compares with Go's errgroup"
[ -d /usr/share/gocode/src/golang.org/x/time ] || need golang-golang-x-time-dev "the benchmark compares with Go's rate limiter"
crates=/usr/share/cargo/registry
if have cargo; then
    ls $crates/crossbeam-channel-* >/dev/null 2>&1 || rivals=librust-crossbeam-channel-dev
else
    rivals="cargo librust-crossbeam-channel-dev"
fi
printf '#include <tbb/task_group.h>\nint main() { return 0; }\n' >"$dir/tbb.cc"
builds c++ "$dir/tbb.cc" -ltbb || rivals="$rivals libtbb-dev"
if [ -n "$rivals" ]; then
    echo "deps: $rivals: not there; the benchmarks then have no rows for crossbeam-channel, oneTBB. make deps RIVALS=1 installs them"
    [ -n "${RIVALS:-}" ] && packages="$packages $rivals"
fi
if [ -z "$packages" ]; then
    echo "deps: all there"
    exit 0
fi
packages=$(echo $packages | tr ' ' '\n' | sort -u | tr '\n' ' ')

give_up()
{
    echo "deps: $1; please install: $packages" >&2
    exit 1
}
have apt-get || give_up "no apt-get here"
as_root=
if [ "$(id -u)" -ne 0 ]; then
    have sudo && sudo -n true 2>/dev/null || give_up "not root, and no sudo without a password"
    as_root="sudo -n"
fi
install_them()
{
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages </dev/null
}
echo "deps: installing: $packages"
install_them || { $as_root apt-get update </dev/null && install_them; } || give_up "apt-get failed"
