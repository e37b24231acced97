#!/bin/sh
# tests/spin/check_spin.sh: the protocols of sleeping and waking, of select and of the semaphore, in all their states; and each with a bug in it, which must be
# found. SPIN (G. Holzmann, "The SPIN Model Checker", 2004) makes a C program of a model; it looks for ends in which somebody still waits for what is there.
. tests/tap.sh

if ! command -v spin >/dev/null 2>&1; then
    skip "the protocols in all their states" "needs spin"
    finish
    exit
fi
here=$PWD/tests/spin

verify() # MODEL FLAG...
{
    model=$here/$1.pml
    shift
    dir=$BUILD/pan
    rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" || return 1
    spin -a "$@" "$model" >spin.txt 2>&1 && $CC -w -O1 -DSAFETY -o pan pan.c || { cat spin.txt; return 1; }
    ./pan -m100000 >pan.txt 2>&1
    cd "$here/../.." || return 1
    cat "$dir/pan.txt"
    grep -q 'errors: 0' "$dir/pan.txt" && ! grep -q 'max search depth too small' "$dir/pan.txt"
}

for m in park_wake select; do
    expect "$m: nobody sleeps on" verify $m
    for bug in NO_RECHECK NO_PASS_ON; do
        refuse "$m: without $bug somebody does" "errors: 1" verify $m -D$bug
    done
done
expect "semaphore: nobody sleeps on, nobody is overtaken" verify semaphore
refuse "semaphore: without NO_LOOK's look somebody sleeps on" "errors: 1" verify semaphore -DNO_LOOK
refuse "semaphore: with BARGE somebody is overtaken" "errors: 1" verify semaphore -DBARGE
finish
