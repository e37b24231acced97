# tests/tests.mk: builds and runs the tests. Called by the Makefile of the top folder, from there.
#
# Every tests/**/test_NAME.c (or .cc, C++17) is a program, built once per variant as build/COMPILER/VARIANT/**/test_NAME.
# Every executable check_NAME.sh under tests/ or examples/ is run once, with CC, CXX, BUILD (a folder of its own), JOBS, CWARN, CXXWARN
# set; it prints the Test Anything Protocol, as the programs do.

CXX := $(if $(filter default undefined,$(origin CXX)),$(strip $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),\
	$(if $(findstring gcc,$(CC)),$(subst gcc,g++,$(CC)),c++))),$(CXX))

# A variant is a name and flags. `single` is built from include/weir.h, the others from include/weir/; `static` is not among the default ones.
RINGS = -DWEIR_RING_SPSC=$1 -DWEIR_RING_MPSC=$1 -DWEIR_RING_SPMC=$1 -DWEIR_RING_MPMC=$1
# Where every function is static, a compiler drops those that a test does not call, and takes a quarter of the time.
STATIC := -DWEIR_STATIC=
FLAGS.modules   :=
FLAGS.static    := $(STATIC)
FLAGS.single    := $(STATIC) -DWEIR_TEST_SINGLE
FLAGS.ck        := $(STATIC) $(call RINGS,WEIR_RING_CK)
FLAGS.slots     := $(STATIC) -DWEIR_RING_SPSC=WEIR_RING_SLOTS
FLAGS.symmetric := $(STATIC) -DWEIR_FENCE_SYMMETRIC
FLAGS.tsan      := $(STATIC) -fsanitize=thread -O1
# Before the system's <ck_pr.h>: tests/tsan-shim/ck_pr.h says why.
FLAGS.tsanck    := $(STATIC) -fsanitize=thread -O1 -Itests/tsan-shim $(call RINGS,WEIR_RING_CK)
FLAGS.asan      := $(STATIC) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
VARIANTS ?= modules single ck slots symmetric
# Folders whose tests a variant leaves out, because nothing in them changes with it: no ring, no fence.
RINGLESS := core ctx guard obs park run sync
LEAVES.ck        := $(RINGLESS)
LEAVES.tsanck    := $(RINGLESS)
LEAVES.slots     := $(RINGLESS) faults flow task
LEAVES.symmetric := core flow guard obs run
CHECKED  := $(filter modules static,$(VARIANTS))# the scripts go with these

# What a variant needs besides a compiler: a program that must compile, and the words for when it does not.
PROBE.ck   := \#include <ck_ring.h>\nint main(void) { return 0; }
PROBE.tsan := int main(void) { return 0; }
PROBE.tsanck := $(PROBE.ck)
PROBE.asan := int main(void) { return 0; }
NEEDS.ck   := libck-dev
NEEDS.tsan := the thread sanitizer of $(CC)
NEEDS.tsanck := libck-dev, and the thread sanitizer of $(CC)
NEEDS.asan := the address sanitizer of $(CC)
TAG      := $(subst /,_,$(subst $() ,_,$(CC)))
OUT      := build/$(TAG)
probe = $(shell mkdir -p $(OUT); printf '%b' '$(PROBE.$1)' | $(CC) $(FLAGS.$1) -x c - -o $(OUT)/probe.$1 2>/dev/null && echo yes)
USABLE  := $(foreach v,$(VARIANTS),$(if $(PROBE.$v),$(if $(call probe,$v),$v),$v))
MISSING := $(filter-out $(USABLE),$(VARIANTS))

WARN    := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual $(WERROR)
CWARN   := $(WARN) -Wstrict-prototypes
ALWAYS  := -Iinclude -Itests -pthread -MMD -MP
SOURCES := $(sort $(foreach t,$(or $(T),/),$(shell find tests -name 'test_*.c' -o -name 'test_*.cc' | grep -F -- '$t')))
# CHECKS: the scripts to run, all by default; those that do not depend on the compiler need not run with each.
SCRIPTS := $(filter $(if $(CHECKS),$(addprefix %/,$(CHECKS:=.sh)),%),$(sort $(foreach t,$(or $(T),/),$(shell find tests examples \
	-name 'check_*.sh' -perm -u+x | grep -F -- '$t'))))
NAMES    = $(filter-out $(addsuffix /%,$(LEAVES.$1)),$(patsubst tests/%,%,$(basename $(SOURCES))))# $(call NAMES,VARIANT)

.PHONY: programs run FORCE
.DELETE_ON_ERROR:
MAKEFLAGS += -k# one program that does not compile is one failure, and no reason not to run the others

# The rules of one variant. `command` holds what it is built with and is rewritten only when that changes, so that a new
# compiler or flag rebuilds all of the variant and nothing else. The program is removed first: gcc leaves an old one in
# place when the compilation fails, and it would be run.
COMPILER := $(shell $(CC) --version 2>/dev/null | head -n 1)
define rules
$(OUT)/$1/%: tests/%.c $(OUT)/$1/command
	@mkdir -p $$(@D) && rm -f $$@
	$$(CC) -std=c11 $$(CFLAGS) $$(CPPFLAGS) $$(CWARN) $$(ALWAYS) $$(FLAGS.$1) $$< -o $$@ $$(LDFLAGS)
$(OUT)/$1/%: tests/%.cc $(OUT)/$1/command
	@mkdir -p $$(@D) && rm -f $$@
	$$(CXX) -std=c++17 $$(CFLAGS) $$(CPPFLAGS) $$(WARN) $$(ALWAYS) $$(FLAGS.$1) $$< -o $$@ $$(LDFLAGS)
$(OUT)/$1/command: FORCE
	@mkdir -p $$(@D)
	@printf '%s\n' '$$(COMPILER) $$(CXX) $$(CFLAGS) $$(CPPFLAGS) $$(CWARN) $$(FLAGS.$1) $$(LDFLAGS)' > $$@.new
	@cmp -s $$@.new $$@ && rm $$@.new || mv $$@.new $$@
programs: $$(addprefix $(OUT)/$1/,$(call NAMES,$1))
-include $$(patsubst %,$(OUT)/$1/%.d,$(call NAMES,$1))
endef
$(foreach v,$(USABLE),$(eval $(call rules,$v)))
programs:

# run.sh takes VARIANT=PATH for a program or script, and VARIANT!WHY for what is left out.
run: export CC := $(CC)
run: export CXX := $(CXX)
run: export BUILD := $(OUT)/checks
run: export CWARN := $(CWARN)
run: export CXXWARN := $(WARN)
run: export ON_CK := $(if $(call probe,ck),$(filter-out $(STATIC),$(FLAGS.ck)))# empty where <ck_ring.h> is missing
run: export JOBS := $(or $(JOBS),$(shell nproc 2>/dev/null),2)
run:
	@sh tests/run.sh $(OUT) $(foreach v,$(MISSING),'$v!needs $(NEEDS.$v)') \
		$(if $(CHECKED),$(addprefix check=,$(SCRIPTS))) \
		$(foreach v,$(USABLE),$(addprefix $v=$(OUT)/$v/,$(call NAMES,$v)))
