# tests/mutate/mutants.awk: all single changes to a header that weaken or flip something. One line each, tab-separated:
#   file   line   column   length   what it becomes   kind
# Kinds: order (a weaker memory order), fence (dropped), wake (dropped), call (another call dropped), compare (flipped or moved by one).
BEGIN {
    OFS = "\t"
    # The weaker neighbours of each operation; the checker's atomic.h gets those that the library has no use for (mutate.sh).
    weaker["weir__load_acq"] = "weir__load_rlx"
    weaker["weir__load_sc"] = "weir__load_acq"
    weaker["weir__store_rel"] = "weir__store_rlx"
    weaker["weir__swap_acq"] = "weir__swap_rlx"
    weaker["weir__swap_rel"] = "weir__swap_rlx"
    weaker["weir__swap_ar"] = "weir__swap_acq weir__swap_rel"
    weaker["weir__add_acq"] = "weir__add_rlx"
    weaker["weir__add_rel"] = "weir__add_rlx"
    weaker["weir__add_ar"] = "weir__add_acq weir__add_rel"
    weaker["weir__or_sc"] = "weir__or_ar"
    weaker["weir__cas_acq"] = "weir__cas_rlx"
    weaker["weir__cas_rel"] = "weir__cas_rlx"
    weaker["weir__cas_ar"] = "weir__cas_acq weir__cas_rel"
    weaker["weir__cas_sc"] = "weir__cas_ar"
    flips["=="] = "!="
    flips["!="] = "=="
    flips["<"] = "<="
    flips[">"] = ">="
    flips["<="] = "<"
    flips[">="] = ">"
}
function out(column, length_, text, kind) { print FILENAME, FNR, column, length_, text, kind }

# Blanks out comments and strings, so that columns stay.
{
    line = $0
    for (code = ""; line != ""; ) {
        if (commented) {
            at = index(line, "*/")
            n = at ? at + 1 : length(line)
            if (at) commented = 0
            code = code sprintf("%" n "s", "")
        } else if (match(line, /\/\*|\/\/|"/)) {
            n = RSTART - 1
            code = code substr(line, 1, n)
            opener = substr(line, RSTART, RLENGTH)
            line = substr(line, n + 1)
            if (opener == "/*") { commented = 1; n = 0 }
            else if (opener == "//") { n = length(line); code = code sprintf("%" n "s", "") }
            else { n = match(substr(line, 2), /"/) + 1; code = code sprintf("%" n "s", "") }
        } else {
            n = length(line)
            code = code line
        }
        line = substr(line, n + 1)
    }
}
code ~ /^ *#/ || code ~ /STATIC_ASSERT|WEIR_ASSERT|WEIR_HOOK/ { continued = code ~ /\\ *$/; next }
continued { continued = code ~ /\\ *$/; next } # the rest of a macro
{
    # orders
    for (rest = 1; match(substr(code, rest), /weir__(load|store|swap|add|or|cas)_[a-z]+\(/); rest += RSTART + RLENGTH - 1) {
        column = rest + RSTART - 1
        name = substr(code, column, RLENGTH - 1)
        n = split(weaker[name], to, " ")
        for (i = 1; i <= n; i++) out(column, length(name), to[i], "order")
    }
    # whole statements of one line: fences, wakes, other calls
    if (match(code, /^ +(\(void\))?[A-Za-z_]+\(.*\);/) && code !~ /^ +(return|if|for|while|switch)/) {
        column = match(code, /[^ ]/)
        statement = substr(code, column)
        sub(/; *$/, "", statement)
        kind = statement ~ /^(\(void\))?WEIR_FENCE/ ? "fence" : statement ~ /WAKE|wake|pass_on|let_go/ ? "wake" : "call"
        if (statement !~ /memcpy|memset|WEIR_CPU|backoff|WEIR_FENCE_LIGHT/) out(column, length(statement), "(void)0", kind)
    }
    # comparisons
    for (rest = 1; match(substr(code, rest), / (==|!=|<=|>=|<|>) /); rest += RSTART + RLENGTH - 1) {
        column = rest + RSTART
        operator = substr(code, column, RLENGTH - 2)
        out(column, length(operator), flips[operator], "compare")
    }
}
