# make          the binaries, in build/bin/        make test   every test, also under the sanitizers; sets itself up
# make deps     what building and testing needs    make demo   a real cluster on this machine; make lab-down ends it
# make install  DESTDIR=: as an image has it       make bench, fuzz (FUZZ_SECONDS= each), check-style, analyze,
#                                                              coverage, valgrind
# make golden   what tests compare with, again     make package IMAGE= ZONE=: the app package, to upload
# make statuses what is written from app/status.h  make kubernetes: its binaries, once, into the cache
B ?= build
CC = gcc
PREFIX ?= /opt/kubernetes
PACKAGES = libconfuse libcurl jansson openssl libsystemd yaml-0.1
LAB_PACKAGES = $(PACKAGES) libmicrohttpd libpcre2-8
TEST_PACKAGES = $(LAB_PACKAGES) cmocka

# for what compiles everything: as many as there are processors, unless -j says how many
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wformat=2 \
	-Wimplicit-fallthrough -Wvla -Wundef
# those of these that the compiler has (gcc 12 and later, glibc 2.34 and later have both)
has = $(shell echo 'int main(void) { return 0; }' | $(CC) -O2 -Werror $(1) -x c -fsyntax-only - 2>/dev/null && echo $(1))
FORTIFY := $(firstword $(call has,-D_FORTIFY_SOURCE=3 -include features.h) -D_FORTIFY_SOURCE=2)
HARDENING := $(FORTIFY) $(call has,-ftrivial-auto-var-init=zero) -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full -fPIE
OPTIMISE = -O2 -g
LDHARDENING = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
ifdef SANITIZE
HARDENING = -fPIE
OPTIMISE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# static, so that a sanitized program also runs in a root without the sanitizers' libraries
LDHARDENING = -pie -fsanitize=address,undefined -static-libasan -static-libubsan -Wl,--as-needed
endif
COVERAGE = $(findstring coverage,$(notdir $(B)))
ifneq ($(COVERAGE),)
HARDENING = -fPIE
OPTIMISE = -O0 -g --coverage -fprofile-update=atomic
LDHARDENING = -pie --coverage -Wl,--as-needed
endif
CFLAGS += -std=gnu11 $(OPTIMISE) $(WARNINGS) $(HARDENING)
PACKAGE_CFLAGS := $(shell pkg-config --cflags $(TEST_PACKAGES) 2>/dev/null)
CPPFLAGS += -D_GNU_SOURCE -I. $(PACKAGE_CFLAGS)
# http-parser has no file for pkg-config
LDLIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lhttp_parser
LAB_LDLIBS := $(shell pkg-config --libs $(LAB_PACKAGES) 2>/dev/null) -lhttp_parser
# the sanitizers' library has a crypt_r of its own, that calls the real one
TEST_LDLIBS := $(shell pkg-config --libs $(TEST_PACKAGES) 2>/dev/null) -lhttp_parser -Wl,--no-as-needed -lcrypt

ROLES = master node log client
BINARIES = $(ROLES:%=$(B)/bin/k8s-%) $(B)/bin/k8s-hook $(B)/bin/k8s-bake
objects = $(patsubst %.c,$(B)/%.o,$(1))

LIB = $(call objects,$(wildcard lib/*/*.c))
APP = $(call objects,$(wildcard app/*.c app/*/*.c))
HOOKS = $(call objects,$(filter-out hooks/tools/k8s-hook.c,$(wildcard hooks/*/*.c hooks/steps/*/*.c)))
BAKE = $(call objects,$(filter-out bake/bake.c,$(wildcard bake/*.c bake/*/*.c)))
# a lab program is tests/lab/NAME.c, its parts tests/lab/NAME/*.c; what several share is tests/lab/shared/
LAB_PROGRAMS = $(patsubst tests/lab/%.c,%,$(wildcard tests/lab/*.c))
LAB_SHARED = $(call objects,$(wildcard tests/lab/shared/*.c tests/lab/shared/*/*.c))
LAB = $(call objects,$(wildcard tests/lab/lab/*.c tests/lab/lab/*/*.c))
TESTS = $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*/*_test.c tests/integration/*/*_test.c tests/systemd/*_test.c tests/bench/*_bench.c))

# what stands in a container image of the lab for a program that Debian has not: all there is in it, so linked statically
IMAGE_PROGRAMS = $(patsubst tests/lab/images/%/,%,$(filter-out %/shared/,$(wildcard tests/lab/images/*/)))
IMAGE_SHARED = $(call objects,$(wildcard tests/lab/images/shared/*.c))
IMAGE_LIBS = -lnghttp2 -lyaml -ljansson -lssl -lcrypto -lresolv -llua5.1 -lm -lpthread
ifeq ($(SANITIZE)$(COVERAGE),)
IMAGES = $(IMAGE_PROGRAMS:%=$(B)/images/%)
endif

# the agent's templates are Go's own; Debian's packages are in GOPATH mode. Where there is no HOME, Go's cache is here
AGENT = $(if $(shell command -v go),$(B)/lab/agent)
all: $(BINARIES) $(LAB_PROGRAMS:%=$(B)/lab/%) $(AGENT) $(IMAGES)
# a fuzz target is compiled here too, so that it follows what it calls
tests: all $(TESTS) $(call objects,$(wildcard tests/fuzz/*_fuzz.c))

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "cc $<"
	@$(CC) $(CPPFLAGS) -DSUITE_VERSION='"$(VERSION)"' $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/lib.a: $(LIB)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/app.a: $(APP)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/hooks.a: $(HOOKS)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/bake.a: $(BAKE)
	@rm -f $@ && $(AR) rcs $@ $^

$(ROLES:%=$(B)/bin/k8s-%): $(B)/bin/k8s-%: $(B)/roles/%.o $(B)/hooks.a $(B)/app.a $(B)/lib.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $(LDHARDENING) -o $@ $^ $(LDLIBS)
$(B)/bin/k8s-hook: $(B)/hooks/tools/k8s-hook.o $(B)/hooks.a $(B)/app.a $(B)/lib.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $(LDHARDENING) -o $@ $^ $(LDLIBS)
$(B)/bin/k8s-bake: $(B)/bake/bake.o $(B)/bake.a $(B)/app.a $(B)/lib.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $(LDHARDENING) -o $@ $^ $(LDLIBS)

.SECONDEXPANSION:
$(LAB_PROGRAMS:%=$(B)/lab/%): $(B)/lab/%: $(B)/tests/lab/%.o $$(call objects,$$(wildcard tests/lab/$$*/*.c tests/lab/$$*/*/*.c)) $(LAB_SHARED) $(B)/app.a $(B)/lib.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $(LDHARDENING) -o $@ $^ $(LAB_LDLIBS)
$(B)/images.a: $(IMAGE_SHARED) $(B)/lib/core/util.o $(B)/lib/core/json.o
	@rm -f $@ && $(AR) rcs $@ $^
# libcrypto could resolve names and open libraries, of which the linker warns in a static program; these do neither
$(IMAGE_PROGRAMS:%=$(B)/images/%): $(B)/images/%: $$(call objects,$$(wildcard tests/lab/images/$$*/*.c)) $(B)/images.a
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) -static -s -Wl,--gc-sections -o $@ $^ $(IMAGE_LIBS) 2>$(B)/tests/lab/images/$(@F).log || \
		{ cat $(B)/tests/lab/images/$(@F).log; rm -f $@; false; }
$(B)/lab.a: $(LAB)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/lab_shared.a: $(LAB_SHARED)
	@rm -f $@ && $(AR) rcs $@ $^
$(TESTS): %: %.o $(B)/lab.a $(B)/lab_shared.a $(B)/hooks.a $(B)/bake.a $(B)/app.a $(B)/lib.a
	@echo "ld $@"
	@$(CC) $(LDHARDENING) -o $@ $^ $(TEST_LDLIBS)

$(B)/lab/agent: $(wildcard tests/lab/agent/*.go)
	@mkdir -p $(@D)
	@echo "go $@"
	@HOME=$${HOME:-$(abspath $(B))} GO111MODULE=off GOFLAGS= GOPATH=/usr/share/gocode CGO_ENABLED=0 go build -o $@ ./tests/lab/agent

deps:
	tests/deps

# Kubernetes itself, from Debian's source: once, in a cache outside of this directory
kubernetes: deps
	tests/lab/build-kubernetes /var/cache/k8s-hooks v1.20.2

# all that a test run needs
ready: kubernetes
	$(MAKE) $(JOBS) tests
	$(MAKE) $(JOBS) tests SANITIZE=1 B=build-asan

test: ready
	BUILD="build build-asan" tests/run

# what tests compare with: read the difference before it is committed
golden: tests
	UPDATE_GOLDEN=1 $(B)/tests/unit/app/golden_test
	UPDATE_GOLDEN=1 tests/integration/files/golden.sh

# also as a chart, $(B)/bench.svg
bench: tests
	@: >$(B)/bench.txt; set -e; for b in $(filter $(B)/tests/bench/%,$(TESTS)) tests/bench/create_bench.sh; do \
		echo "== $$(basename $$b)" | tee -a $(B)/bench.txt; BUILD=$(B) $$b >$(B)/bench.part; \
		cat $(B)/bench.part; cat $(B)/bench.part >>$(B)/bench.txt; done
	tests/bench/chart.py <$(B)/bench.txt >$(B)/bench.svg

# libFuzzer comes with clang: everything under test is compiled by it, once for all targets
FUZZ_SECONDS ?= 30
FUZZERS = $(patsubst tests/fuzz/%.c,build-fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_CC = clang -g -O1 -std=gnu11 -fsanitize=address,undefined -fno-sanitize-recover=all $(CPPFLAGS) \
	-DSUITE_VERSION='"fuzz"' -MMD -MP
FUZZED = $(patsubst %.c,build-fuzz/%.o,$(wildcard lib/*/*.c app/*.c app/*/*.c hooks/*/*.c hooks/steps/*/*.c \
	bake/conf/pins.c))
build-fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "clang $<"
	@$(FUZZ_CC) -fsanitize=fuzzer-no-link -c -o $@ $<
build-fuzz/fuzzed.a: $(filter-out build-fuzz/hooks/tools/k8s-hook.o,$(FUZZED))
	@rm -f $@ && $(AR) rcs $@ $^
build-fuzz/%_fuzz: build-fuzz/tests/fuzz/%_fuzz.o build-fuzz/fuzzed.a
	@echo "ld $@"
	@clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)
# as many at once as there are processors; what a target says is printed when it fails
fuzz: $(FUZZERS)
	@printf '%s\n' $(notdir $(FUZZERS)) | xargs -P$$(nproc) -n1 sh -c 'mkdir -p build-fuzz/corpus/$$1; \
		build-fuzz/$$1 -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build-fuzz/$$1. build-fuzz/corpus/$$1 \
		$$(ls -d tests/fuzz/corpus/$$1 2>/dev/null) >build-fuzz/$$1.log 2>&1 || { cat build-fuzz/$$1.log; exit 255; }; \
		echo "$$1: $$(grep "^Done" build-fuzz/$$1.log)"' fuzz

# Lines of lib, app, hooks and bake that unit and integration tests run, and these scenarios where some are named; it fails
# under 85 %, or when a test failed, but prints the figures in any case. Programs that are killed leave none.
COVERAGE_E2E =
coverage: kubernetes
	$(MAKE) $(JOBS) tests
	$(MAKE) $(JOBS) tests B=build-coverage
	ln -sfn ../build/images build-coverage/images
	find build-coverage -name '*.gcda' -delete
	@failed=0; JUST=.sh BUILD=build-coverage tests/run integration >build-coverage/scripts.txt & \
		JUST=_test.c BUILD=build-coverage tests/run unit integration || failed=1; \
		wait $$! || failed=1; cat build-coverage/scripts.txt; \
		for scenario in $(COVERAGE_E2E); do \
			timeout --kill-after=60 1800 build-coverage/lab/lab --name coverage e2e --keep $$scenario || failed=1; \
			tests/coverage build-coverage /var/tmp/k8s-lab-coverage >/dev/null; \
			build-coverage/lab/lab --name coverage down; done; \
		tests/coverage build-coverage || failed=1; \
		[ $$failed = 0 ] || { echo "coverage: a test failed, or too few lines were run" >&2; exit 1; }

# gcc's own analyzer. It takes a manifest of 0 documents for one that may have some (addons_files.c), and a pointer that is
# stored in memory which realloc() did not move for lost (util.c).
ANALYZED = $(shell git ls-files 'lib/*.c' 'app/*.c' 'hooks/*.c' 'bake/*.c' 'roles/*.c')
analyze:
	@printf '%s\n' $(ANALYZED) | xargs -P$$(nproc) -n1 sh -c 'case $$1 in \
		hooks/addons/addons_files.c) but=-Wno-analyzer-null-dereference ;; \
		lib/core/util.c) but=-Wno-analyzer-malloc-leak ;; esac; \
		$(CC) $(CPPFLAGS) -std=gnu11 -O1 -Werror -fanalyzer $$but -DSUITE_VERSION=\"\" -S -o /dev/null $$1' analyze

# Leaks are LeakSanitizer's to find. Tests that fail since Debian's valgrind does not know a system call are named.
valgrind: tests
	@tests/valgrind $(filter $(B)/tests/unit/%,$(TESTS))

SOURCES = $(shell git ls-files '*.c')
# the analyzer gives up on a function after so many states: a fourth of its default finds the same here in a third of the time
TIDY_PATHS = -Xclang -analyzer-config -Xclang max-nodes=50000
# One file at a time: in a second one clang-tidy 14 takes every va_list for one that was not started.
# cppcheck sees neither clean-up attributes nor that xstrdup(NULL) is NULL, and would have readdir_r, which POSIX has given up
check-style:
	@echo "tests/style/check"
	@tests/style/check
	@echo "clang-format"
	@clang-format --dry-run --Werror $(shell git ls-files '*.[ch]')
	@echo "cppcheck"
	@cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=varFuncNullUB --suppress=resourceLeak --suppress=memleak \
		--suppress=readdirCalled --suppress=nullPointer --suppress=ctunullpointer --library=posix,gnu -D_GNU_SOURCE -I. \
		-j$$(nproc) $(SOURCES)
	@echo "gcc -fanalyzer"
	@$(MAKE) -s analyze
	@echo "clang-tidy"
	@printf '%s\n' $(SOURCES) | xargs -P$$(nproc) -n1 sh -c \
		'clang-tidy --quiet "$$@" -- -std=gnu11 $(CPPFLAGS) -DSUITE_VERSION=\"\" $(TIDY_PATHS) 2>/dev/null' tidy

demo: deps
	$(MAKE) $(JOBS) all
	$(B)/lab/lab demo
lab-down:
	$(B)/lab/lab down

install_tree = find $(1) -type f -name '$(2)' -printf '%P\n' | xargs -I{} install -D -m 0644 $(1)/{} $(DESTDIR)$(3)/{}
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)/usr/bin $(DESTDIR)/etc/k8s-hooks/hook.conf.d
	install -d -m 0700 $(DESTDIR)/var/lib/k8s-hooks
	install -m 0755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	ln -sf $(BINARIES:$(B)/%=$(PREFIX)/%) $(DESTDIR)/usr/bin
	install -m 0644 hooks/hook.conf $(DESTDIR)/etc/k8s-hooks
	$(call install_tree,roles,*.conf,$(PREFIX)/roles)
	$(call install_tree,templates,*,$(PREFIX)/templates)
	$(call install_tree,confd,*.t*,/etc/confd)
	$(call install_tree,man,*.1,/usr/share/man/man1)
	$(call install_tree,man,*.5,/usr/share/man/man5)
	$(call install_tree,man,*.7,/usr/share/man/man7)
	$(call install_tree,man,*.8,/usr/share/man/man8)
	install -D -m 0644 completions/k8s-hooks $(DESTDIR)/usr/share/bash-completion/completions/k8s-hooks
	cd $(DESTDIR)/usr/share/bash-completion/completions && for b in $(notdir $(BINARIES)); do ln -sf k8s-hooks $$b; done

# what is generated from the table of exit statuses in app/status.h: the app package's texts, k8s-hooks(7), and the table in
# docs/troubleshooting.md
statuses: locale
	awk -v rows="$$($(B)/bin/k8s-hook statuses --man | sed 's/\\/\\\\/g')" \
		'/^.\\" end of/ { inside = 0 } !inside { print } /^.\\" begin of/ { inside = 1; print rows }' \
		man/k8s-hooks.7 >$(B)/k8s-hooks.7 && cp $(B)/k8s-hooks.7 man
	sed '/^|---|---|---|---|$$/q' docs/troubleshooting.md >$(B)/troubleshooting.md
	$(B)/bin/k8s-hook statuses >>$(B)/troubleshooting.md && cp $(B)/troubleshooting.md docs
# the texts of exit statuses in the app package
ERROR_TEXTS = (map(select(.status != 0) | {key: "err_code\(.status)", value: .[$$locale]}) | from_entries) as $$texts \
	| $$old[0] | with_entries(select(.key | startswith("err_code") | not)) + $$texts
locale: $(B)/bin/k8s-hook
	set -e; for l in en zh-cn; do f=templates/appcenter/locale/$$l.json; $< statuses --json \
		| jq --arg locale $$l --slurpfile old $$f '$(ERROR_TEXTS)' >$(B)/locale.json; cp $(B)/locale.json $$f; done

# the app package with the image that was captured: make package IMAGE=img-abcdefgh ZONE=pek3a
package:
	test -n "$(IMAGE)" && test -n "$(ZONE)" || { echo "usage: make package IMAGE=img-... ZONE=..." >&2; exit 2; }
	rm -rf $(B)/appcenter && mkdir -p $(B) && cp -r templates/appcenter $(B)/appcenter
	sed -i 's/"img-00000000"/"$(IMAGE)"/; s/"zone": "pek3a"/"zone": "$(ZONE)"/' $(B)/appcenter/cluster.json.mustache
	tar -C $(B)/appcenter -czf $(B)/appcenter.tar.gz config.json cluster.json.mustache replace_policy.json locale

clean:
	rm -rf build build-*

.PHONY: all tests deps kubernetes ready test golden bench fuzz coverage analyze valgrind locale statuses package check-style demo lab-down install clean
.SECONDARY:
-include $(shell find $(B) build-fuzz -type f -name '*.d' 2>/dev/null)
