#!/bin/sh
# tests/chan/check_types.sh: what the compiler must refuse, and what it must take without a word: the element's type and the
# kind of channel are checked at compile time, the choice of rings when linking.
. tests/tap.sh

have_cxx=yes
echo 'int main() { return 0; }' >"$BUILD/probe.cc"
$CXX "$BUILD/probe.cc" -o "$BUILD/probe" 2>/dev/null || have_cxx=
WARN="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual -Werror"
FLAGS="-Iinclude -pthread -O1 -S -o /dev/null"

# A function around a statement: ch is a weir_chan of words, line, merge and split the other kinds.
snippet() # STATEMENT > FILE
{
    cat <<X
#include <weir/all.h>
typedef weir_chan(uint64_t) words;
typedef weir_spsc(uint64_t) words_line;
typedef weir_mpsc(uint64_t) words_merge;
typedef weir_spmc(uint64_t) words_split;
struct other { uint64_t w; };
void takes_chan(words ch);
void takes_line(words_line ch);
int snippet(words ch, words_line line, words_merge merge, words_split split, weir_ctx *ctx);
int snippet(words ch, words_line line, words_merge merge, words_split split, weir_ctx *ctx)
{
    uint64_t v = 1, many[4] = {0}, *slot = &v;
    const uint64_t fixed = 1;
    int small = 0, *small_slot = &small;
    struct other other = {1};
    size_t n = 0;
    (void)ch; (void)line; (void)merge; (void)split; (void)ctx; (void)v; (void)many; (void)slot;
    (void)fixed; (void)small; (void)small_slot; (void)other; (void)n;
    $1
}
X
}

clean_c() { $CC -std=c11 $WARN -Wstrict-prototypes $FLAGS "$BUILD/good.c"; }
clean_cxx() { $CXX -std=c++17 $WARN $FLAGS "$BUILD/good.cc"; }
# Without any warning flag: the compiler says something all the same.
diagnosed() { $CC -std=c11 $FLAGS "$BUILD/bad.c" 2>&1 | grep -E '(warning|error): '; }
refused_cxx() { ! $CXX -std=c++17 $FLAGS "$BUILD/bad.cc" && true; }

good() # NAME STATEMENT
{
    snippet "$2" >"$BUILD/good.c"
    cp "$BUILD/good.c" "$BUILD/good.cc"
    expect "taken in C: $1" clean_c
    if [ $have_cxx ]; then expect "taken in C++: $1" clean_cxx; fi
}

bad() # NAME STATEMENT
{
    snippet "$2 return 0;" >"$BUILD/bad.c"
    cp "$BUILD/bad.c" "$BUILD/bad.cc"
    expect "diagnosed in C: $1" diagnosed
    if [ $have_cxx ]; then expect "refused in C++: $1" refused_cxx; fi
}

# Everything that should compile does, so that what is refused below is refused for its own reason.
for ch in ch line merge split; do
    good "every call on $ch" "
    v += (uint64_t)(weir_send(ctx, $ch, &v) + weir_send(NULL, $ch, &fixed) + weir_try_send($ch, &fixed));
    v += (uint64_t)(weir_recv(ctx, $ch, &v) + weir_recv(NULL, $ch, NULL) + weir_try_recv($ch, &v) + weir_try_recv($ch, NULL));
    v += (uint64_t)(weir_send_until(ctx, $ch, &v, WEIR_MS(5)) + weir_recv_until(ctx, $ch, &v, weir_now()));
    v += (uint64_t)(weir_send_n(ctx, $ch, many, 4, &n) + weir_recv_n(ctx, $ch, many, 4, &n) + weir_recv_n(ctx, $ch, NULL, 1, NULL));
    if (weir_reserve(ctx, $ch, &slot) == 0) { *slot = 1; v += (uint64_t)weir_commit($ch, slot); }
    if (weir_peek(ctx, $ch, &slot) == 0) { v = *slot; v += (uint64_t)weir_release($ch, slot); }
    n = weir_len($ch) + weir_cap($ch) + weir_is_closed($ch) + (weir_chan_name($ch) != NULL);
    int rc = weir_close($ch);
    weir_chan_opt opt = {WEIR_WAIT_PARK, \"name\", many, sizeof many};
    rc += weir_chan_make(&$ch, 10) + weir_chan_make_opt(&$ch, 10, &opt);
    weir_chan_free(&$ch);
    return rc + (int)n;"
done
good "send_latest with several receivers" "return weir_send_latest(ch, &v, &n) + weir_send_latest(split, &fixed, NULL);"
good "passing a handle on" "takes_chan(ch); takes_line(line); return 0;"

for call in "weir_send(NULL, ch, &small)" "weir_send(NULL, ch, &other)" "weir_send(NULL, ch, v)" "weir_try_send(ch, &small)" \
    "weir_send_until(NULL, ch, &other, 0)" "weir_recv(NULL, ch, &small)" "weir_recv(NULL, ch, &other)" \
    "weir_try_recv(ch, &other)" "weir_recv_until(NULL, ch, &small, 0)" "weir_recv(NULL, ch, &fixed)" \
    "weir_send_n(NULL, ch, &other, 1, &n)" "weir_recv_n(NULL, ch, &small, 1, &n)" "weir_recv_n(NULL, ch, &fixed, 1, &n)" \
    "weir_reserve(NULL, ch, &small_slot)" "weir_reserve(NULL, ch, slot)" "weir_commit(ch, small_slot)" "weir_peek(NULL, ch, &small_slot)" \
    "weir_release(ch, small_slot)" "weir_send_latest(ch, &small, NULL)" "weir_send(NULL, line, &small)" \
    "weir_recv(NULL, merge, &other)" "weir_send(NULL, split, &small)" "weir_send(ch, ch, &v)"; do
    bad "$call" "(void)$call;"
done
bad "a channel for one sender where many may send" "takes_chan(line);"
bad "a channel for one receiver where many may receive" "takes_chan(merge);"
bad "a channel for several receivers where one is" "takes_line(split);"
bad "send_latest on spsc" "(void)weir_send_latest(line, &v, &n);"
bad "send_latest on mpsc" "(void)weir_send_latest(merge, &v, &n);"

# Units with different rings. The one that uses a channel asks for functions that the other does not have, by whatever call.
compile() # OUT FLAGS
{
    $CC -std=c11 -Iinclude -pthread $2 -c "$BUILD/$1.c" -o "$BUILD/$1.o"
}
user_unit() # STATEMENT
{
    snippet "$1 return 0;" >"$BUILD/user.c"
    cat >"$BUILD/holder.c" <<X
#define WEIR_IMPLEMENTATION
#include <weir/all.h>
void takes_chan(void *p);
void takes_chan(void *p) { (void)p; }
void takes_line(void *p);
void takes_line(void *p) { (void)p; }
int main(void) { return 0; }
X
}
link_units() # FLAGS-OF-HOLDER FLAGS-OF-USER
{
    compile holder "$1" && compile user "$2" || return 1
    $CC -pthread "$BUILD/holder.o" "$BUILD/user.o" -o "$BUILD/program" 2>&1 && "$BUILD/program"
}
slots=-DWEIR_RING_SPSC=WEIR_RING_SLOTS
for call in "weir_send(ctx, ch, &v)" "weir_recv(ctx, ch, &v)" "weir_try_send(line, &v)" "weir_try_recv(line, &v)" \
    "weir_send_n(ctx, line, many, 4, &n)" "weir_recv_n(ctx, line, many, 4, &n)" "weir_commit(line, slot)" \
    "weir_release(line, slot)" "weir_reserve(ctx, line, &slot)" "weir_peek(ctx, line, &slot)" "weir_send_latest(split, &v, &n)" \
    "weir_chan_make(&ch, 1)" "weir_close(ch)" "weir_len(ch)" "weir_is_closed(ch)"; do
    user_unit "(void)$call;"
    refuse "units with different rings do not link: $call" "undefined" link_units "" $slots
    expect "units with the same rings do: $call" link_units $slots $slots
done
user_unit "weir_chan_free(&ch);"
refuse "units with different rings do not link: weir_chan_free" "undefined" link_units $slots ""
if [ "$ON_CK" ]; then
    user_unit "(void)weir_send(ctx, ch, &v);"
    refuse "own rings and ck do not link" "undefined" link_units "" "$ON_CK"
    expect "ck and ck do" link_units "$ON_CK" "$ON_CK"
else
    skip "own rings and ck do not link" "needs libck-dev"
fi
finish
