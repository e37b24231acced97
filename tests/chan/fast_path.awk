# tests/chan/fast_path.awk: reads a disassembly (objdump -d --no-show-raw-insn, x86-64, of a linked program, where all jumps
# have their targets) and judges the fast path of one function.
#
#   awk -v name=FUNCTION -v locked=N -f fast_path.awk listing
#
# What the fast path is, whatever order the compiler puts its pieces in: the function's instructions are a graph, and all ways
# through it are walked, from the entry to a `ret`, no instruction twice. A way ends without counting when it meets a call, or a
# jump out of the function (to another one: a tail call; or to its own .cold part): there begins what is slow. The ways that remain
# are those that the function can take all by itself; at least one must remain, and each of them must
#   - have exactly N locked instructions (lock prefix, or xchg with memory, which locks without one),
#   - have no mfence, lfence or sfence,
#   - store something to memory: a way that stores nothing moves no value.
# An attempt that failed and begins anew comes back to an instruction that it has been at, so it is not a way of its own.

/^[0-9a-f]+ <.*>:$/ {
    inside = ($2 == "<" name ">:")
    next
}

inside && /^ *[0-9a-f]+:\t/ {
    at = $1
    sub(/:$/, "", at)
    text = $0
    sub(/^[^\t]*\t/, "", text)
    sub(/^(bnd|notrack|repz|rep|cs|data16) +/, "", text)
    if (count > 0)
        following[last] = at
    else
        entry = at
    count++
    last = at
    code[at] = text
}

function target(text)
{
    sub(/^[a-z]+ +/, "", text)
    sub(/ .*/, "", text)
    return text
}

# Walks on from `at`; `been` lists where this way has been.
function walk(at, been, locks, fences, stores,    text)
{
    while (at in code) {
        if (index(been, " " at " "))
            return
        been = been at " "
        text = code[at]
        if (text ~ /^ret/) {
            judge(at, locks, fences, stores)
            return
        }
        if (text ~ /^call/ || text ~ /^jmp[a-z]* +\*/)
            return
        if (text ~ /^lock/ || text ~ /^xchg.*\(/)
            locks++
        if (text ~ /^[mls]fence/)
            fences++
        if (text ~ /^mov[a-z]* +[%$].*,[^,]*\(.*\)$/ || text ~ /^mov[a-z]* +[%$].*,-?(0x)?[0-9a-f]*\([^()]*\)$/)
            stores++
        if (text ~ /^jmp/) {
            at = target(text)
            continue
        }
        if (text ~ /^j/)
            walk(target(text), been, locks, fences, stores)
        at = following[at]
    }
}

function judge(at, locks, fences, stores)
{
    ways++
    if (locks != locked)
        fault(locks + 0 " locked instructions instead of " locked)
    if (fences)
        fault(fences " fences")
    if (!stores)
        fault("nothing is stored")
}

function fault(text)
{
    if (!(text in told))
        print name ": a way through it without a call: " text
    told[text] = 1
    faults++
}

END {
    if (count == 0) {
        print name ": not found"
        exit 1
    }
    walk(entry, " ", 0, 0, 0)
    if (ways == 0)
        print name ": no way through it without a call"
    exit ways == 0 || faults > 0
}
