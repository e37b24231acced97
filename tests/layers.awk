# tests/layers.awk: checks the order of the modules.
#
#   find include/weir -name '*.h' | sort | awk -v root=include/weir -f tests/layers.awk
#
# Every module is listed in all.h; each includes, of the library, only modules that stand before it there, and does it by a
# quoted relative path; its include guard is named after its path; all.h keeps each folder in one piece, so that
# folders are layers too. Prints what is wrong as FILE:LINE: TEXT and fails.

function wrong(file, line, text)
{
    print file ":" line ": " text
    bad = 1
}

function folder(path)
{
    return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : ""
}

function resolve(module, name,    at)
{
    at = module
    sub(/[^\/]*$/, "", at)
    while (name ~ /^\.\.\//) {
        sub(/^\.\.\//, "", name)
        sub(/[^\/]*\/$/, "", at)
    }
    return at name
}

function read_map(    text, line, name, current)
{
    while ((getline text < (root "/all.h")) > 0) {
        line++
        if (text !~ /^#include "/)
            continue
        split(text, part, "\"")
        name = part[2]
        if (name in rank)
            wrong(root "/all.h", line, name " is listed twice")
        rank[name] = ++count
        if (folder(name) != current) {
            current = folder(name)
            if (current in seen)
                wrong(root "/all.h", line, "folder " current " is listed in two places")
            seen[current] = 1
        }
    }
    close(root "/all.h")
    if (!count)
        wrong(root "/all.h", 1, "lists no module")
}

function check_module(m,    text, line, name, guard, guarded, path)
{
    path = root "/" m
    guard = "WEIR_" toupper(m)
    gsub(/[^A-Z0-9]/, "_", guard)
    while ((getline text < path) > 0) {
        line++
        if (text == "#ifndef " guard)
            guarded = 1
        if (text ~ /^[ \t]*#[ \t]*include[ \t]*<weir/)
            wrong(path, line, "includes a module in <...>; the single header cannot drop it")
        if (text !~ /^[ \t]*#[ \t]*include[ \t]*"/)
            continue
        split(text, part, "\"")
        name = resolve(m, part[2])
        if (!(name in rank))
            wrong(path, line, "includes " name ", which all.h does not list")
        else if (rank[name] >= rank[m])
            wrong(path, line, "includes " name ", which does not stand before " m " in all.h")
    }
    close(path)
    if (!guarded)
        wrong(path, 1, "has no include guard " guard)
}

BEGIN { read_map() }

{
    m = substr($0, length(root) + 2)
    found[m] = 1
    if (m == "all.h")
        next
    if (!(m in rank))
        wrong($0, 1, "is not listed in all.h")
    else
        check_module(m)
}

END {
    for (m in rank)
        if (!(m in found))
            wrong(root "/all.h", 1, "lists " m ", which is not there")
    exit bad
}
