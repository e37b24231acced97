# tests/model/model.mk: builds and runs the model checker's programs. Called by the Makefile of the top folder, from there.
#
#   make model                all scenarios to exhaustion within their bounds, and the seeded bugs
#   make model T=select       what has this in its name
#   make model-long           random and PCT schedules: N (100 million) in all
#   make model-full           no scenario with fewer than 3 preemptions and 2 old values; none of more than LIMIT (5 million) executions
#   make model-counts         writes tests/model/counts anew

OUT    := build/model
WARN   := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wcast-qual -Wstrict-prototypes $(WERROR)
# Plain accesses are checked where the compiler can report them (model.h). The library of that sanitizer is not linked.
PLAIN  := $(shell printf 'int main(void) { return 0; }' | $(CC) -fsanitize=thread -x c -c - -o /dev/null 2>/dev/null && echo -fsanitize=thread)
# Variables that nobody has set, and what lies between the members of structs, would differ from one execution to the next.
CLEAN  := $(shell printf 'int main(void) { return 0; }' | $(CC) -ftrivial-auto-var-init=pattern -x c -c - -o /dev/null 2>/dev/null && echo -ftrivial-auto-var-init=pattern)
# Frames with little in them that is of no use any more, so that executions meet (state.h).
PROGRAM := -O2 -fno-inline
HASH   := \#
HAS_CK := $(shell printf '$(HASH)include <ck_ring.h>\nint main(void) { return 0; }' | $(CC) -x c -c - -o /dev/null 2>/dev/null && echo yes)

# A program is a source and flags.
ON_CK := -Itests/model/ck -DMODEL_COPY_CK -DWEIR_RING_SPSC=WEIR_RING_CK -DWEIR_RING_MPSC=WEIR_RING_CK \
	-DWEIR_RING_SPMC=WEIR_RING_CK -DWEIR_RING_MPMC=WEIR_RING_CK
SOURCE.litmus := litmus
$(foreach s,park ctx timers rendezvous select sync task pool workers limiter retry breaker window adaptive trace progress,$(eval SOURCE.$s := scenarios/$s))
$(foreach k,chan spsc mpsc spmc,$(eval SOURCE.channels-$k := scenarios/channels) $(eval FLAGS.channels-$k := -DKIND=$k) \
	$(eval SOURCE.channels-$k-ck := scenarios/channels) $(eval FLAGS.channels-$k-ck := -DKIND=$k $(ON_CK)))
SOURCE.channels-spsc-slots := scenarios/channels
FLAGS.channels-spsc-slots  := -DKIND=spsc -DWEIR_RING_SPSC=WEIR_RING_SLOTS
SOURCE.channels-spsc-symmetric := scenarios/channels
FLAGS.channels-spsc-symmetric  := -DKIND=spsc -DWEIR_FENCE_SYMMETRIC
SOURCE.pool-symmetric := scenarios/pool
FLAGS.pool-symmetric  := -DWEIR_FENCE_SYMMETRIC
SOURCE.ck-x86 := scenarios/ck
FLAGS.ck-x86  := -Itests/model/ck
SOURCE.ck-any := scenarios/ck
FLAGS.ck-any  := -Itests/model/ck -DMODEL_CK_PORTABLE
SOURCE.ck-fixed := scenarios/ck
FLAGS.ck-fixed  := -Itests/model/ck -DMODEL_CK_PORTABLE -DMODEL_CK_FIXED

# The longest first, so that two cores end at about the same time.
NAMES := select channels-chan rendezvous channels-spmc channels-mpsc channels-spsc channels-spsc-slots channels-spsc-symmetric sync task pool pool-symmetric workers limiter retry breaker window adaptive trace \
	park ctx timers litmus progress
CK    := channels-chan-ck channels-spmc-ck channels-mpsc-ck channels-spsc-ck ck-x86 ck-any ck-fixed
ALL   := $(NAMES) $(if $(HAS_CK),$(CK))
NOW   := $(if $(T),$(foreach n,$(ALL),$(if $(findstring $(T),$n),$n)),$(ALL))

.PHONY: run long full counts programs FORCE
.DELETE_ON_ERROR:

HEADERS := $(shell find include/weir tests/model tests/linear -name '*.h')
COMPILE = $(CC) -std=c11 -Iinclude -Itests $(WARN)

$(OUT)/model.o: tests/model/model.c $(HEADERS) $(OUT)/command
	$(COMPILE) -O3 -fno-pie -c $< -o $@
define program
$(OUT)/$1: tests/model/$(SOURCE.$1).c $(OUT)/model.o $(HEADERS) $(OUT)/command
	$(COMPILE) $(PROGRAM) $(FLAGS.$1) $(PLAIN) $(CLEAN) -fno-pie -c $$< -o $$@.o
	$(CC) -no-pie $$@.o $(OUT)/model.o -o $$@
$(OUT)/$1.out: $(OUT)/$1 FORCE
	@./$$< $(ARGS) > $$@.new; mv $$@.new $$@
endef
$(foreach p,$(ALL),$(eval $(call program,$p)))
$(OUT)/command: FORCE
	@mkdir -p $(@D)
	@echo '$(COMPILE) $(PLAIN)' | cmp -s - $@ || echo '$(COMPILE) $(PLAIN)' > $@

programs: $(addprefix $(OUT)/,$(NOW))
# The bugs are put in by a script, which compiles as above.
run: $(patsubst %,$(OUT)/%.out,$(NOW)) $(if $(T),,$(OUT)/bugs.out $(OUT)/snapshots.out $(OUT)/reductions.out)
	@SKIPPED=$(if $(HAS_CK),,$(words $(CK))) sh tests/model/report.sh $(OUT) tests/model/counts $(NOW) $(if $(T),,bugs snapshots reductions)
# Searches that go on from snapshots do the same as those that begin at the begin.
SAME := litmus park timers trace ctx progress
$(OUT)/snapshots.out: $(addprefix $(OUT)/,$(SAME)) FORCE
	@for p in $(SAME); do \
		{ $(OUT)/$$p --counts --most 2 2 > $@.with && $(OUT)/$$p --counts --most 2 2 --from-the-begin > $@.without && cmp $@.with $@.without; } >&2 && \
			echo "ok - $$p" || echo "not ok - $$p"; \
	done > $@.new; \
	awk '{ print } /^ok/ { passed++ } /^not/ { failed++ } END { print passed + 0 " passed, " failed + 0 " failed" }' $@.new > $@
# A search that leaves out what leads nowhere new (step.h) comes to the same ends as one that does not, where that one is not too long.
$(OUT)/reductions.out: $(addprefix $(OUT)/,$(filter-out progress,$(NAMES))) FORCE
	@for p in $(filter-out progress,$(NAMES)); do \
		for way in "" --every-way; do $(OUT)/$$p --ends --most 1 1 --limit 30000 $$way | grep ' ends$$' > $@.ends$$way; done; \
		awk -v p=$$p 'NR == FNR { ends[$$1] = $$2; next } { n++; if (ends[$$1] != $$2) { bad++; print "#   " $$1 ": " ends[$$1] " ends, not " $$2 } } \
			END { print (n > 0 && !bad ? "ok" : "not ok") " - " p " (" n " searches)" }' $@.ends $@.ends--every-way; \
	done > $@.new; \
	awk '{ print } /^ok/ { passed++ } /^not/ { failed++ } END { print passed + 0 " passed, " failed + 0 " failed" }' $@.new > $@
$(OUT)/bugs.out: $(OUT)/model.o FORCE
	@sh tests/model/bugs.sh $(OUT)/bugs "$(COMPILE) -O1 $(PLAIN) -fno-pie" $(OUT)/model.o > $@.new; mv $@.new $@
# Half of them random, half PCT, the same number of each scenario. SEED: the first; each execution has the next, and what fails prints the
# line that repeats it.
LONG := $(filter-out progress ck-any,$(NOW))
EACH  = $$(( $(or $(N),100000000) / 2 / $$(cat tests/model/counts | grep -cv '^progress') ))
$(OUT)/%.long: $(OUT)/% FORCE
	@./$< --random $(EACH) --seed $(or $(SEED),1) > $@ && ./$< --pct $(EACH) --seed $(or $(SEED),1) >> $@ || { grep -E '^(#|not ok)' $@; exit 1; }
	@echo "$*: $$(grep -c '^ok' $@) searches, $$(sed -n 's/.*(\([0-9]*\) exec.*/\1/p' $@ | awk '{ n += $$1 } END { print n }') executions"
long: $(addprefix $(OUT)/,$(addsuffix .long,$(LONG)))
	@echo "seeds from $(or $(SEED),1) on: $$(cat $^ | sed -n 's/.*(\([0-9]*\) exec.*/\1/p' | awk '{ n += $$1 } END { print n }') executions, nothing found"

# litmus: there the bounds are part of what is expected.
FULL := $(filter-out litmus progress ck-any,$(NOW))
$(OUT)/%.full: $(OUT)/% FORCE
	@./$< --least 3 2 --limit $(or $(LIMIT),5000000) > $@ || { grep -E '^(#|not ok)' $@; exit 1; }
	@echo "$*: $$(grep -c '^ok' $@) searches, $$(grep -c 'not all$$' $@) of them not to the end"
full: $(addprefix $(OUT)/,$(addsuffix .full,$(FULL)))
	@cat $^ | awk '/^ok/ { n++; sub(/.*\(/, ""); executions += $$1; cut += /not all$$/ } END { print n " searches, " n - cut " to the end; " executions " executions, nothing found" }'
counts: $(patsubst %,$(OUT)/%.out,$(filter-out litmus ck-any,$(NOW)))
	@awk -f tests/model/counts.awk $^ > tests/model/counts
