# bench/bench.mk: what the benchmark needs besides the Makefile's rule that makes build/bench/NAME of each bench/NAME.c.
# Included by the Makefile, after that rule.

# Measured as people build what has to be fast; the same for all, Go excepted.
BENCH_CFLAGS ?= -O3 -march=native
build/bench/%: CFLAGS := $(BENCH_CFLAGS)

# The driver runs all of them.
bench: build/bench/chan_go
.PHONY: bench-run bench-quick
bench-run: $(BENCHES) build/bench/chan_go # the same, and keeps the numbers
	./build/bench/bench_chan --json build/bench/results.json $(ARGS)
bench-quick: $(BENCHES) build/bench/chan_go # some seconds: does it all run, and does every value arrive
	./build/bench/bench_chan --quick $(ARGS)

# Without go, or when it fails, there is no program, and the table says so.
build/bench/chan_go: bench/chan.go
	@mkdir -p $(@D) && rm -f $@
	@if command -v go >/dev/null 2>&1; then \
		echo "go build -o $@ $<"; GO111MODULE=off CGO_ENABLED=0 go build -o $@ $< || echo "bench: go failed: skipped"; \
	else echo "bench: no go: skipped"; fi
