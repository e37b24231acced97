# weir/single.awk: makes the single header out of the modules.
#
#   awk -v license=LICENSE -f include/weir/single.awk include/weir/all.h > include/weir.h       (that is: make single)
#
# all.h alone says which modules there are and in which order. Each is a declaration part, closed by
#     #endif /* WEIR_FOLDER_NAME_H */
# and perhaps an implementation part, opened and closed by
#     #if defined(WEIR_IMPLEMENTATION) && !defined(WEIR_FOLDER_NAME_IMPLEMENTED)
#     #endif /* WEIR_FOLDER_NAME_IMPLEMENTED */
# The output has first every declaration part, then, outside the outer include guard, every implementation part. The
# modules' own guards stay: they cost nothing, and a program that meets both weir.h and a module compiles.
# Quoted includes are dropped, for what they name stands above. Anything unexpected is an error with file and line.
# Plain POSIX awk: mawk, gawk, busybox and the one true awk give the same bytes.

function fail(file, line, text)
{
    print file ":" line ": " text | "cat 1>&2"
    close("cat 1>&2")
    failed = 1
    exit 1
}

# "../core/atomic.h" as written in folder/x.h, from the folder of all.h: core/atomic.h
function resolve(module, name,    folder)
{
    folder = module
    sub(/[^\/]*$/, "", folder)
    while (name ~ /^\.\.\//) {
        sub(/^\.\.\//, "", name)
        sub(/[^\/]*\/$/, "", folder)
    }
    return folder name
}

function quoted(text)
{
    sub(/^[^"]*"/, "", text)
    sub(/".*$/, "", text)
    return text
}

# park/waitq.h: WEIR_PARK_WAITQ
function stem(module)
{
    sub(/\.h$/, "", module)
    gsub(/[^A-Za-z0-9]/, "_", module)
    return "WEIR_" toupper(module)
}

function is_quoted_include(text)
{
    return text ~ /^[ \t]*#[ \t]*include[ \t]*"/
}

# Splits one module into decl[m] and impl[m].
function load(m,    path, line, text, got, where, guard, opening, closing, last)
{
    path = root m
    guard = "#endif /* " stem(m) "_H */"
    opening = "#if defined(WEIR_IMPLEMENTATION) && !defined(" stem(m) "_IMPLEMENTED)"
    closing = "#endif /* " stem(m) "_IMPLEMENTED */"
    where = "decl"
    while ((got = (getline text < path)) > 0) {
        line++
        if (is_quoted_include(text)) {
            if (!(resolve(m, quoted(text)) in listed))
                fail(path, line, "includes \"" quoted(text) "\", which all.h does not list")
            continue
        }
        if (where == "decl") {
            decl[m] = decl[m] text "\n"
            if (text == guard)
                where = "between"
        } else if (where == "between") {
            if (text == opening) {
                where = "impl"
                impl[m] = text "\n"
            } else if (text !~ /^[ \t]*$/)
                fail(path, line, "after the guard only \"" opening "\" may follow")
        } else if (where == "impl") {
            impl[m] = impl[m] text "\n"
            if (text == closing)
                where = "end"
        } else if (text !~ /^[ \t]*$/)
            fail(path, line, "text after the implementation part")
    }
    if (got < 0)
        fail(path, 1, "cannot be read")
    if (where == "decl")
        fail(path, line, "the closing line \"" guard "\" is missing")
    if (where == "impl")
        fail(path, line, "the closing line \"" closing "\" is missing")
    close(path)
}

# Lines "core/atomic.h   what it is", which open the file as its map.
function contents(    i, entry)
{
    for (i = 1; i <= count; i++) {
        entry = sprintf(" *   %-20s %s", order[i], about[order[i]])
        sub(/[ \t]+$/, "", entry)
        print entry
    }
}

function banner()
{
    print "/* weir.h: lock-free channels, contexts and pipelines for C11, in one file."
    print " *"
    print " * SPDX-License-Identifier: MIT-0 OR Unlicense"
    print " *"
    print " * GENERATED from the modules that include/weir/all.h lists, by `make single`. Edit those, not this."
    print " *"
    print " * Use: #include \"weir.h\" wherever you need it. In one C file of the program, write"
    print " *          #define WEIR_IMPLEMENTATION"
    print " *      before the include. Compile and link with -pthread. WEIR_STATIC makes every function static."
    print " *"
    print " * Contents (search for \"==== weir/\"; the implementation parts follow in the same order)"
    contents()
    print " */"
}

function marker(m, what)
{
    print ""
    print "/* ==== weir/" m what " ==== */"
    print ""
}

function licence(    text, got, line)
{
    print ""
    print "/*"
    while ((got = (getline text < license)) > 0) {
        line++
        if (index(text, "*/"))
            fail(license, line, "ends the comment that it has to stand in")
        print (text == "" ? " *" : " * " text)
    }
    if (got < 0 || line == 0)
        fail(license, 1, "cannot be read (pass -v license=LICENSE)")
    print " */"
}

BEGIN { count = 0 }

FNR == 1 {
    root = FILENAME
    sub(/[^\/]*$/, "", root)
}

is_quoted_include($0) {
    name = quoted($0)
    if (name in listed)
        fail(FILENAME, FNR, "lists \"" name "\" twice")
    listed[name] = 1
    order[++count] = name
    comment = $0
    if (sub(/^.*\/\*[ \t]*/, "", comment)) {
        sub(/[ \t]*\*\/.*$/, "", comment)
        about[name] = comment
    }
}

END {
    if (failed)
        exit 1
    if (count == 0)
        fail(FILENAME, FNR, "lists no module")
    for (i = 1; i <= count; i++)
        load(order[i])
    banner()
    print ""
    print "#ifndef WEIR_H"
    print "#define WEIR_H"
    for (i = 1; i <= count; i++) {
        marker(order[i], "")
        printf "%s", decl[order[i]]
    }
    print ""
    print "#endif /* WEIR_H */"
    for (i = 1; i <= count; i++) {
        if (order[i] in impl) {
            marker(order[i], ": implementation")
            printf "%s", impl[order[i]]
        }
    }
    licence()
}
