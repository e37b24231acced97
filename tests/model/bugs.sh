#!/bin/sh
# tests/model/bugs.sh DIR COMPILE MODEL.O: puts each bug of bugs.txt into a copy of the headers, one at a time, and has the model find it.
dir=$1 compile=$2 model=$3
passed=0 failed=0 n=0

# A record of bugs.txt becomes DIR/N/include with the bug in it, and DIR/N/{bug,run,find}.
rm -rf "$dir"
mkdir -p "$dir"
awk -v dir="$dir" '
    function flush() { if (n) close(dir "/" n "/edits") }
    { key = $1; text = $0; sub(/^[a-z]+: */, "", text) }
    /^#/ || NF == 0 { next }
    key == "bug:" { flush(); n++; system("mkdir -p " dir "/" n); print text > (dir "/" n "/bug"); next }
    key == "in:" || key == "is:" || key == "be:" { print key text > (dir "/" n "/edits"); next }
    key == "run:" || key == "find:" { sub(/:/, "", key); print text > (dir "/" n "/" key); next }
    { print "bugs.txt:" FNR ": what is this?" > "/dev/stderr"; exit 2 }
' tests/model/bugs.txt || exit 2

# Every `is` stands in the file exactly once.
edit()
{
    awk -v edits="$1/edits" -v root="$1/include/weir/" '
        function replace(file, is, be,    line, text, at, found) {
            text = ""
            while ((getline line < file) > 0) {
                if ((at = index(line, is)) > 0) {
                    found++
                    line = substr(line, 1, at - 1) be substr(line, at + length(is))
                }
                text = text line "\n"
            }
            close(file)
            if (found != 1) { print "found " found + 0 " times: " is; exit 1 }
            printf "%s", text > file
            close(file)
        }
        BEGIN {
            while ((getline line < edits) > 0) {
                key = substr(line, 1, 3); text = substr(line, 4)
                if (key == "in:") file = root text
                if (key == "is:") is = text
                if (key == "be:") replace(file, is, text)
            }
        }'
}

flags()
{
    case $1 in
    channels-spsc-symmetric) echo "-DKIND=spsc -DWEIR_FENCE_SYMMETRIC tests/model/scenarios/channels.c" ;;
    channels-*) echo "-DKIND=${1#channels-} tests/model/scenarios/channels.c" ;;
    *) echo "tests/model/scenarios/$1.c" ;;
    esac
}

for d in $(ls "$dir" | sort -n); do
    d=$dir/$d
    bug=$(cat "$d/bug") find=$(cat "$d/find")
    read -r program scenario < "$d/run"
    cp -r include "$d/include"
    # shellcheck disable=SC2046,SC2086 # lists
    if edit "$d" > "$d/log" && ${compile%% *} -I"$d/include" ${compile#* } -Wno-error $(flags "$program") -c -o "$d/program.o" >> "$d/log" 2>&1 &&
        ${compile%% *} -no-pie "$d/program.o" "$model" -o "$d/program" >> "$d/log" 2>&1; then
        ("$d/program" "$scenario" | head -c 1000000 > "$d/out") 2> /dev/null # some bugs kill it, some print for ever
        if grep '^#' "$d/out" | grep -qF "$find"; then
            passed=$((passed + 1))
            echo "ok - $bug ($(grep -m 1 '^not ok' "$d/out" | sed 's/.*(\([0-9]* executions\).*/\1/') of $(grep -m 1 '^not ok' "$d/out" | sed 's/not ok - \([^ ]*\).*/\1/'))"
            continue
        fi
    fi
    failed=$((failed + 1))
    sed 's/^/# /' "$d/log"
    echo "not ok - $bug"
done
echo "$passed passed, $failed failed"
