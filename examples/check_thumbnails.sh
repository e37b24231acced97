#!/bin/sh
# examples/check_thumbnails.sh: thumbnails of real image files: what they show, what is wrong with the bad ones, and memory that does not grow.
. examples/check.sh

builds

# Makes COUNT images of 96 x 48 in FOLDER: four colors in quarters, which a box filter keeps apart.
cat >"$BUILD/make.c" <<'X'
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    for (int i = 0; argc == 3 && i < atoi(argv[2]); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%05d.ppm", argv[1], i);
        FILE *f = fopen(path, "wb");
        if (f == NULL)
            return 1;
        fprintf(f, "P6\n# image %d\n96 48\n255\n", i);
        for (int y = 0; y < 48; y++)
            for (int x = 0; x < 96; x++) {
                putc(x < 48 ? 200 : 10, f);
                putc(y < 24 ? 100 : 20, f);
                putc(i % 256, f);
            }
        if (fclose(f) != 0)
            return 1;
    }
    return 0;
}
X
expect "the maker of images builds" $CC -O2 "$BUILD/make.c" -o "$BUILD/make"

fresh()
{
    rm -rf "$BUILD/in" "$BUILD/out"
    mkdir "$BUILD/in" && "$BUILD/make" "$BUILD/in" "$1"
}
shrinks() # FILES FAILED: makes the thumbnails, and looks at the line that is printed
{
    run "$BUILD/in" "$BUILD/out" 2>"$BUILD/errors" >"$BUILD/line"
    status=$?
    [ "$status" -eq "$([ "$2" -gt 0 ] && echo 1 || echo 0)" ] || { echo "status $status"; cat "$BUILD/errors"; return 1; }
    grep -q "^$1 files, $2 failed," "$BUILD/line" || { cat "$BUILD/line"; return 1; }
}
# A pixel of a thumbnail: its three bytes, in decimal.
pixel() # FILE X Y
{
    tail -c +14 "$1" | od -A n -t u1 -v -w3 | sed -n "$(($2 + 64 * $3 + 1))p" | tr -s ' '
}
pictures()
{
    fresh 20 && shrinks 20 0 || return 1
    head -c 13 "$BUILD/out/00007.ppm" | tr '\n' ' ' | grep -q '^P6 64 32 255 $' || { echo "head"; return 1; }
    [ "$(wc -c <"$BUILD/out/00007.ppm")" -eq $((13 + 64 * 32 * 3)) ] || { echo "size"; return 1; }
    [ "$(pixel "$BUILD/out/00007.ppm" 0 0)" = " 200 100 7" ] && [ "$(pixel "$BUILD/out/00007.ppm" 63 0)" = " 10 100 7" ] &&
        [ "$(pixel "$BUILD/out/00007.ppm" 0 31)" = " 200 20 7" ] && [ "$(pixel "$BUILD/out/00019.ppm" 63 31)" = " 10 20 19" ] ||
        { echo "colors"; return 1; }
    [ "$(ls "$BUILD/out" | wc -l)" -eq 20 ]
}
bad_ones()
{
    fresh 10 || return 1
    head -c 5000 "$BUILD/in/00003.ppm" >"$BUILD/in/short.ppm"
    echo "P5 3 3 255" >"$BUILD/in/gray.ppm"
    printf 'P6 30001 2 255\n' >"$BUILD/in/wide.ppm"
    printf 'P6 2 2 65535\n' >"$BUILD/in/deep.ppm"
    : >"$BUILD/in/empty.ppm"
    mkdir "$BUILD/in/folder.ppm"
    echo "not an image" >"$BUILD/in/notes.txt"
    shrinks 16 6 || return 1
    for line in "short.ppm: truncated" "gray.ppm: not a binary PPM" "wide.ppm: no sizes, or too large" "deep.ppm: not 8 bits a color" \
        "empty.ppm: not a binary PPM" "folder.ppm: not a binary PPM"; do
        grep -q "in/$line" "$BUILD/errors" || { echo "no: $line"; cat "$BUILD/errors"; return 1; }
    done
    [ "$(ls "$BUILD/out" | wc -l)" -eq 10 ] # nothing of the bad ones
}
peak() # FILES: the most memory, in KiB
{
    fresh "$1" && shrinks "$1" 0 && sed 's/.*at most \([0-9]*\) KiB/\1/' "$BUILD/line"
}
flat()
{
    few=$(peak 100) && many=$(peak 10000) || { echo "$few $many"; return 1; }
    [ "$many" -le $((few + few / 10 + 512)) ] || { echo "100 files: $few KiB, 10000 files: $many KiB"; return 1; }
}
no_folder()
{
    ! run "$BUILD/nowhere" "$BUILD/out" 2>"$BUILD/errors" && grep -q "nowhere: No such file" "$BUILD/errors"
}
expect "each thumbnail shows its image" pictures
expect "what is no image is named, and the others go on" bad_ones
expect "memory is the same for 100 files and for 10,000" flat
expect "no folder is an error" no_folder
sanitized() # SANITIZER
{
    expect "$1: each thumbnail shows its image" pictures
    expect "$1: what is no image" bad_ones
}
each_sanitizer sanitized
rm -rf "$BUILD/in" "$BUILD/out"
finish
