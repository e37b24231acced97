#!/bin/sh
# tests/golang/check_networks.sh: 100,000 random programs of several threads, run on weir and on Go's own runtime (test_networks.c).
. tests/tap.sh

command -v go >/dev/null 2>&1 || {
    skip "networks on weir and on Go" "needs golang-go"
    finish
    exit
}
expect "the networks compile" $CC -std=c11 -O2 -Iinclude -Itests -pthread tests/golang/test_networks.c -o "$BUILD/networks"
expect "the networks compile in Go" env GO111MODULE=off GOCACHE="$PWD/$BUILD/go" go build -o "$BUILD/go-networks" tests/golang/networks.go
expect "100,000 networks on weir" env WEIR_TEST_FILE="$BUILD/file" "$BUILD/networks" networks_for_go
expect "the same on Go" "$BUILD/go-networks" "$BUILD/file"
# One outcome is changed: it has to be noticed.
awk 'NR == 1 { $NF = $NF + 1 } NR <= 10' "$BUILD/file" >"$BUILD/wrong"
refuse "a difference is seen" "1 come out differently" "$BUILD/go-networks" "$BUILD/wrong"
finish
