# tests/tap.sh: sourced by the check_*.sh scripts, which print the Test Anything Protocol with it.
#
#   expect "name" command args...      a test: passes when the command succeeds; its output is shown when it does not
#   refuse "name" "text" command...    a test: passes when the command fails and prints the text
#   skip "name" "needs X"              a test that cannot run here
#   finish                             prints the plan; without it the runner counts the script as failed
#
# BUILD is a folder that the script has for itself. CC, CXX, CWARN, CXXWARN, JOBS, AWK are set by tests/tests.mk.
: "${CC:=cc}" "${CXX:=c++}" "${BUILD:=build/checks}" "${JOBS:=2}" "${AWK:=awk}"
tap_count=0 tap_failed=0
BUILD=$BUILD/$(basename "$0" .sh)
rm -rf "$BUILD"
mkdir -p "$BUILD"

tap_ok()
{
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1"
}

tap_not_ok()
{
    tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
    sed 's/^/#   /' "$2"
    echo "not ok $tap_count - $1"
}

expect()
{
    tap_name=$1
    shift
    if "$@" >"$BUILD/output" 2>&1; then tap_ok "$tap_name"; else tap_not_ok "$tap_name" "$BUILD/output"; fi
}

refuse()
{
    tap_name=$1 tap_text=$2
    shift 2
    if ! "$@" >"$BUILD/output" 2>&1 && grep -qF -- "$tap_text" "$BUILD/output"; then
        tap_ok "$tap_name"
    else
        echo "expected a failure that says: $tap_text" >>"$BUILD/output"
        tap_not_ok "$tap_name" "$BUILD/output"
    fi
}

skip()
{
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

finish()
{
    echo "1..$tap_count"
    [ "$tap_failed" -eq 0 ]
}
