# bench/bench.mk: what the benchmark needs besides the Makefile's rule that makes build/bench/NAME of each bench/NAME.c.
# Included by the Makefile, after that rule.

# Measured as people build what has to be fast; the same for all, Go excepted.
BENCH_CFLAGS ?= -O3 -march=native
build/bench/%: CFLAGS := $(BENCH_CFLAGS)

# The driver runs all of them.
bench: build/bench/chan_go build/bench/chan_crossbeam build/bench/group_go build/bench/rate_go build/bench/breaker_go build/bench/pool_go build/bench/pipeline_go build/bench/pool_tbb
.PHONY: bench-run bench-quick
bench-run: $(BENCHES) build/bench/chan_go build/bench/chan_crossbeam # the same, and keeps the numbers
	./build/bench/bench_chan --json build/bench/results.json $(ARGS)
bench-quick: $(BENCHES) build/bench/chan_go build/bench/chan_crossbeam # some seconds: does it all run, and does every value arrive
	./build/bench/bench_chan --quick $(ARGS)

# Without go, or when it fails, there is no program, and the table says so. The select statements for 2, 8 and 64 channels are
# written here: their number of cases is fixed in the source.
SELECT_GO = BEGIN { print "package main\n\nvar choose = map[int]func([]chan uint64, uint64) uint64{"; \
	all("", "for i := uint64(0); i < n; i++ {", "", "sum += v\n}"); print "}\n\nvar tries = map[int]func([]chan uint64, uint64) uint64{"; \
	all("sum++; ", "for i := uint64(0); i < n; i++ {", "default:\n", "}"); print "}" } \
	function all(found, head, rest, tail, k, i, cs) { for (k = 2; k <= 64; k *= k == 2 ? 4 : 8) { cs = ""; \
	for (i = 0; i < k; i++) cs = cs "case v = <-c" i ":\n" found "\n"; \
	print k ": func(c []chan uint64, n uint64) (sum uint64) {\nvar v uint64"; \
	for (i = 0; i < k; i++) print "c" i " := c[" i "]"; \
	print head "\nselect {\n" cs rest "}\n" tail "\n_ = v\nreturn sum\n}," } }
build/bench/chan_go: bench/chan.go bench/select.go bench/bench.mk
	@mkdir -p $(@D)/go && rm -f $@
	@$(AWK) '$(SELECT_GO)' > build/bench/go/cases.go && cp bench/chan.go bench/select.go build/bench/go
	@if command -v go >/dev/null 2>&1; then \
		echo "go build -o $@"; (cd build/bench/go && GO111MODULE=off CGO_ENABLED=0 go build -o ../chan_go chan.go select.go cases.go) || \
		echo "bench: go failed: skipped"; else echo "bench: no go: skipped"; fi

# Go's own errgroup and rate limiter, from the folder in which Debian puts them (golang-golang-x-sync-dev, -x-time-dev). gobreaker has no package:
# GOPATH=folder finds one that was put there.
build/bench/group_go build/bench/rate_go build/bench/breaker_go build/bench/pool_go build/bench/pipeline_go: build/bench/%_go: bench/%.go
	@mkdir -p $(@D)/go-$* && rm -f $@ && cp $< $(@D)/go-$*
	@if command -v go >/dev/null 2>&1; then (cd build/bench/go-$* && GOPATH=/usr/share/gocode:$$GOPATH GO111MODULE=off CGO_ENABLED=0 go build -o ../$*_go $*.go) || \
		echo "bench: no package for $<: skipped"; fi

build/bench/pool_tbb: bench/pool_tbb.cc
	@mkdir -p $(@D) && rm -f $@
	@$(CXX) -std=c++17 $(BENCH_CFLAGS) $< -o $@ -pthread -ltbb 2>/dev/null || echo "bench: no libtbb-dev: skipped"

# crossbeam-channel from the folder in which Debian's librust-crossbeam-channel-dev puts its crates; offline.
CRATES ?= /usr/share/cargo/registry
build/bench/chan_crossbeam: bench/crossbeam/main.rs bench/crossbeam/Cargo.toml
	@mkdir -p $(@D)/crossbeam && rm -f $@
	@cp bench/crossbeam/* build/bench/crossbeam
	@if command -v cargo >/dev/null 2>&1 && ls $(CRATES)/crossbeam-channel-* >/dev/null 2>&1; then \
		echo "cargo build -o $@"; (cd build/bench/crossbeam && cargo build --release --offline --quiet \
		--config 'source.crates-io.replace-with="debian"' --config 'source.debian.directory="$(CRATES)"' \
		&& cp target/release/chan_crossbeam ..) || echo "bench: cargo failed: skipped"; \
	else echo "bench: no cargo, or no librust-crossbeam-channel-dev: skipped"; fi
