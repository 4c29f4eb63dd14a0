# make          the binaries, in build/bin/         make test   every test (installs nothing; see deps)
# make deps     what building and testing needs     make demo   a real cluster on this machine; lab-down ends it
# make install  DESTDIR=  the suite as an image has it
B ?= build
CC = gcc
PREFIX ?= /opt/kubernetes
PACKAGES = libconfuse libcurl jansson openssl libsystemd
LAB_PACKAGES = $(PACKAGES) libmicrohttpd
TEST_PACKAGES = $(LAB_PACKAGES) cmocka

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wformat=2 \
	-Wimplicit-fallthrough -Wvla -Wundef
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -fPIE
OPTIMISE = -O2 -g
LDHARDENING = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
ifdef SANITIZE
HARDENING = -fPIE
OPTIMISE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LDHARDENING = -pie -fsanitize=address,undefined
endif
CFLAGS += -std=gnu11 $(OPTIMISE) $(WARNINGS) $(HARDENING)
CPPFLAGS += -D_GNU_SOURCE -I. $(shell pkg-config --cflags $(TEST_PACKAGES) 2>/dev/null)
LDLIBS = $(shell pkg-config --libs $(PACKAGES))
LAB_LDLIBS = $(shell pkg-config --libs $(LAB_PACKAGES))
TEST_LDLIBS = $(shell pkg-config --libs $(TEST_PACKAGES))

ROLES = master node log client
BINARIES = $(ROLES:%=$(B)/bin/k8s-%) $(B)/bin/k8s-hook $(B)/bin/k8s-bake
objects = $(patsubst %.c,$(B)/%.o,$(1))

LIB = $(call objects,$(wildcard lib/*.c))
HOOKS = $(call objects,$(filter-out hooks/k8s-hook.c,$(wildcard hooks/*.c hooks/steps/*.c)))
BAKE = $(call objects,$(wildcard image/*.c))
# a lab program is tests/lab/NAME.c, its parts tests/lab/NAME/*.c; what several share is tests/lab/shared/
LAB_PROGRAMS = $(patsubst tests/lab/%.c,%,$(wildcard tests/lab/*.c))
LAB_SHARED = $(call objects,$(wildcard tests/lab/shared/*.c))
TESTS = $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/*_test.c tests/integration/*_test.c tests/bench/*_bench.c))

all: $(BINARIES) $(LAB_PROGRAMS:%=$(B)/lab/%)
tests: all $(TESTS)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DSUITE_VERSION='"$(VERSION)"' $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/lib.a: $(LIB)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/hooks.a: $(HOOKS)
	@rm -f $@ && $(AR) rcs $@ $^

$(ROLES:%=$(B)/bin/k8s-%): $(B)/bin/k8s-%: $(B)/roles/%.o $(B)/hooks.a $(B)/lib.a
	@mkdir -p $(@D)
	$(CC) $(LDHARDENING) -o $@ $^ $(LDLIBS)
$(B)/bin/k8s-hook: $(B)/hooks/k8s-hook.o $(B)/hooks.a $(B)/lib.a
	@mkdir -p $(@D)
	$(CC) $(LDHARDENING) -o $@ $^ $(LDLIBS)
$(B)/bin/k8s-bake: $(BAKE) $(B)/lib.a
	@mkdir -p $(@D)
	$(CC) $(LDHARDENING) -o $@ $^ $(LDLIBS)

.SECONDEXPANSION:
$(LAB_PROGRAMS:%=$(B)/lab/%): $(B)/lab/%: $(B)/tests/lab/%.o $$(call objects,$$(wildcard tests/lab/$$*/*.c)) $(LAB_SHARED) $(B)/lib.a
	@mkdir -p $(@D)
	$(CC) $(LDHARDENING) -o $@ $^ $(LAB_LDLIBS)
$(TESTS): %: %.o $(LAB_SHARED) $(B)/hooks.a $(B)/lib.a
	$(CC) $(LDHARDENING) -o $@ $^ $(TEST_LDLIBS)

clean:
	rm -rf build build-*

.PHONY: all tests clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
