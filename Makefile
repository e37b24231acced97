# weir: a header-only library, so nothing here has to be built to use it. `make help` lists the targets.
#
# Variables, on the command line or in the environment:
#   CC, CXX          compilers (cc; the C++ one follows CC)      CFLAGS   -O2 -g
#   WERROR           -Werror; empty: warnings do not stop a build
#   PREFIX, DESTDIR  where `make install` puts things            JOBS     parallel builds, when -j is not given
#   VARIANTS, T      which test variants (tests/tests.mk lists them), and which tests, by a part of the path
# Everything that is made goes to build/, which can be deleted at any time.

CFLAGS  ?= -O2 -g
WERROR  ?= -Werror
PREFIX  ?= /usr/local
DESTDIR ?=
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
AWK     ?= awk
INSTALL ?= install
export CFLAGS WERROR AWK

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual -Wstrict-prototypes
HEADERS  := $(sort $(shell find include/weir -name '*.h'))

# The tests have a makefile of their own. It is called, not included: what `make deps` has just installed is seen, and
# -j builds the programs in parallel while `make deps test` still does one after the other. --output-sync keeps the
# messages of two compilers apart.
TESTS = $(MAKE) -f tests/tests.mk --no-print-directory
BUILD_TESTS = $(TESTS) --output-sync=target $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS)) programs || true
.NOTPARALLEL:
.DELETE_ON_ERROR:

.PHONY: help demo deps test sanitize model model-long model-full model-counts fuzz mutate soak coverage valgrind bench single install uninstall format lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: build/demo/market_data ## builds and runs the example, with a C compiler and nothing else
	./build/demo/market_data --book examples/data/aapl_2012-06-21_head_book10.csv

build/demo/%: examples/%.c $(wildcard examples/*/*.h) include/weir.h
	@mkdir -p $(@D) && rm -f $@
	$(CC) -std=c11 $(CFLAGS) -Iinclude -pthread $< -o $@ $(LDFLAGS)

deps: ## installs what the tests and benchmarks need (apt); does nothing when it is there
	@sh tests/deps.sh

test: ## builds and runs the test suite in all its variants; ends with the count
	@+$(BUILD_TESTS)
	@$(TESTS) run

sanitize: ## the test programs under thread sanitizer, then under address and undefined behaviour sanitizer
	@+$(subst programs,VARIANTS="$(SANITIZERS)" programs,$(BUILD_TESTS))
	@$(TESTS) VARIANTS="$(SANITIZERS)" run
SANITIZERS ?= tsan tsanck asan

# The model checker's programs run side by side: one is one thread.
MODEL = $(MAKE) -f tests/model/model.mk --no-print-directory --output-sync=target $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))
model: ## every interleaving of small programs on the shipped headers, within bounds (T=NAME: some)
	@+$(MODEL) run

model-long: ## random and PCT schedules of the same programs, N in all (100 million)
	@+$(MODEL) long

model-full: ## the same with at least 3 preemptions and 2 old values everywhere, LIMIT (5 million) executions of each at most
	@+$(MODEL) full

model-counts: ## records how much `make model` searches, in tests/model/counts
	@+$(MODEL) counts

soak: ## HOURS=n: everything random, with seeds; else the tests in which threads meet 50 times (TIMES; T=...: some) under thread sanitizer, at 1, 4, 16 threads a core
	@+$(subst programs,VARIANTS="tsan $(if $(HOURS),modules)" programs,$(BUILD_TESTS))
	@$(if $(HOURS),sh tests/soak_hours.sh $(HOURS) build/$(subst /,_,$(CC)),sh tests/soak.sh $(or $(TIMES),50) build/$(subst /,_,$(CC))/tsan)

mutate: ## changes the headers in one place at a time, and sees whether the model or the tests notice (tests/mutate/mutate.sh)
	@sh tests/mutate/mutate.sh $(KINDS)

valgrind: ## the test programs under memcheck (T=...: some)
	@+$(subst programs,VARIANTS=modules programs,$(BUILD_TESTS))
	@sh tests/valgrind.sh

coverage: ## the branches that the tests go through (clang and llvm; MC/DC from clang 18 on)
	@sh tests/coverage.sh

# libFuzzer keeps what it has bred in build/fuzz; tests/fuzz/corpus is a small start.
fuzz: ## SECONDS (60) of libFuzzer on sequences of calls against a model; needs clang
	@mkdir -p build/fuzz/corpus
	clang -std=c11 -O1 -g -fsanitize=fuzzer,address,undefined -Iinclude -Itests tests/fuzz/fuzz_sequences.c -o build/fuzz/sequences
	./build/fuzz/sequences -max_len=200 -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 build/fuzz/corpus $(wildcard tests/fuzz/corpus)

# Each bench/NAME.c is a program of its own, build/bench/NAME.
BENCHES := $(patsubst bench/%.c,build/bench/%,$(wildcard bench/*.c))
bench: $(BENCHES) ## builds bench/*.c and runs the benchmarks; arguments of the one of channels in ARGS="..."
	./build/bench/bench_chan $(ARGS)
	./build/bench/bench_sync
	./build/bench/bench_guard
	./build/bench/bench_pool
	./build/bench/bench_pipeline

build/bench/%: bench/%.c build/bench/command
	@rm -f $@
	$(CC) -std=c11 $(CFLAGS) $(WARNINGS) -Iinclude -pthread -MMD -MP $< -o $@ $(LDFLAGS) $(LDLIBS)
-include $(BENCHES:=.d)
-include bench/bench.mk

# Rewritten when the compiler or a flag changes, so that no old program passes for a new one.
build/bench/command: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS) $(LDFLAGS) $(LDLIBS)' | cmp -s - $@ || echo '$(CC) $(CFLAGS) $(LDFLAGS) $(LDLIBS)' > $@
FORCE:

single: ## makes include/weir.h from the modules
	@mkdir -p build
	$(AWK) -v license=LICENSE -f include/weir/single.awk include/weir/all.h > build/weir.h
	@cmp -s build/weir.h include/weir.h || cp build/weir.h include/weir.h

# The version stands in one place, core/config.h.
VERSION = $(shell awk '/^\#define WEIR_VERSION_(MAJOR|MINOR|PATCH) / { v = v dot $$3; dot = "." } END { print v }' \
	include/weir/core/config.h)
INCDIR   = $(DESTDIR)$(PREFIX)/include
PCDIR    = $(DESTDIR)$(PREFIX)/share/pkgconfig
CMAKEDIR = $(DESTDIR)$(PREFIX)/share/cmake/weir
FILL     = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g'

install: ## to PREFIX (/usr/local), under DESTDIR if given: the headers, weir.pc and a CMake package
	@mkdir -p build/install
	$(FILL) include/weir/weir.pc.in > build/install/weir.pc
	$(FILL) include/weir/weir-config.cmake.in > build/install/weir-config.cmake
	$(FILL) include/weir/weir-config-version.cmake.in > build/install/weir-config-version.cmake
	$(INSTALL) -d "$(INCDIR)" "$(PCDIR)" "$(CMAKEDIR)" $(patsubst include/%,"$(INCDIR)/%",$(sort $(dir $(HEADERS))))
	$(INSTALL) -m 644 include/weir.h "$(INCDIR)/weir.h"
	@for f in $(patsubst include/%,%,$(HEADERS)); do $(INSTALL) -m 644 include/$$f "$(INCDIR)/$$f" || exit 1; done
	$(INSTALL) -m 644 build/install/weir.pc "$(PCDIR)/weir.pc"
	$(INSTALL) -m 644 build/install/*.cmake "$(CMAKEDIR)"

uninstall: ## removes what install put there
	rm -rf "$(INCDIR)/weir.h" "$(INCDIR)/weir" "$(PCDIR)/weir.pc" "$(CMAKEDIR)"

FORMATTED = $(HEADERS) $(shell find tests bench examples -name '*.[ch]' -o -name '*.cc' 2>/dev/null)
format: ## clang-format over the sources, in place
	@command -v clang-format >/dev/null || { echo "format: needs clang-format"; exit 1; }
	@clang-format -i $(FORMATTED)

lint: ## clang-tidy, or else cppcheck, over all modules; says so when neither is there
	@mkdir -p build && printf '#define WEIR_IMPLEMENTATION\n#include <weir/all.h>\n' > build/lint.c
	@if command -v clang-tidy >/dev/null; then clang-tidy --quiet build/lint.c -- -std=c11 -Iinclude; \
	elif command -v cppcheck >/dev/null; then cppcheck --quiet --std=c11 --enable=warning,portability \
		--inline-suppr --error-exitcode=1 -Iinclude build/lint.c; \
	else echo "lint: skipped: needs clang-tidy or cppcheck"; fi

clean: ## removes build/
	rm -rf build
