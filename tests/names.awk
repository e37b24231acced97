# tests/names.awk: which names does a header bring? Reads what `cc -E -dD` prints and looks only at the text of the
# library's own files. At global scope only weir_ names may be defined, and only WEIR_ (or weir_) macros.
#
# It is no parser. At brace depth 0 it looks at: NAME before "(", the tag before "{", NAME before ";" or "=" (typedefs
# and variables, also after "}"), and inside an enum at every constant.

function ours(name)
{
    return name ~ /^weir_/ || name ~ /^WEIR_/
}

function wrong(name, what)
{
    if (!(name in told))
        print file ": " what " " name
    told[name] = 1
    bad = 1
}

function identifier(t)
{
    return t ~ /^[A-Za-z_][A-Za-z0-9_]*$/ && !(t in keyword)
}

# One token at a time. depth counts braces (not those of extern "C"), paren parentheses and brackets.
function token(t)
{
    if (t == "(" || t == "[") {
        if (t == "(" && !depth && !paren && identifier(last))
            declared(last, "function")
        paren++
    } else if (t == ")" || t == "]") {
        paren--
    } else if (t == "{") {
        if (last == "\"C\"") {
            last = ""
            return
        }
        if (!depth && !paren && (before == "struct" || before == "union" || before == "enum") && !ours(last))
            wrong(last, before)
        depth++
        if (depth == 1)
            in_enum = !paren && (last == "enum" || before == "enum")
    } else if (t == "}") {
        if (in_enum && depth == 1)
            constant()
        if (depth)
            depth--
    } else if (!depth && !paren && (t == ";" || t == "=" || t == ",")) {
        if (identifier(last) && before != "struct" && before != "union" && before != "enum")
            declared(last, "name")
    } else if (depth == 1 && in_enum && !paren && t == ",") {
        constant()
    } else if (depth == 1 && in_enum && enumerator == "" && identifier(t))
        enumerator = t
    before = last
    last = t
}

function declared(name, what)
{
    if (!ours(name))
        wrong(name, what)
}

function constant()
{
    if (enumerator != "" && !ours(enumerator))
        wrong(enumerator, "enum constant")
    enumerator = ""
}

BEGIN {
    n = split("__attribute__ __asm__ __extension__ __alignof__ __typeof__ _Static_assert static_assert _Alignas alignas " \
        "_Thread_local __thread thread_local return void int char short long unsigned signed float double bool _Bool " \
        "const volatile extern static inline typedef struct union enum noexcept __inline__", word, " ")
    for (i = 1; i <= n; i++)
        keyword[word[i]] = 1
}

/^# [0-9]+ "/ {
    file = $3
    gsub(/"/, "", file)
    mine = file ~ /(^|\/)weir\// || file ~ /(^|\/)weir\.h$/
    next
}
!mine { next }
/^#define / {
    name = $2
    sub(/\(.*/, "", name)
    if (!ours(name))
        wrong(name, "macro")
    next
}
/^#/ { next }
{
    text = $0
    gsub(/"C"/, " @C ", text)
    gsub(/"([^"\\]|\\.)*"|'([^'\\]|\\.)*'/, "0", text)
    gsub(/@C/, "\"C\"", text)
    gsub(/[^A-Za-z0-9_"]/, " & ", text)
    n = split(text, part, " ")
    for (i = 1; i <= n; i++)
        token(part[i])
}
END { exit bad }
