# Dispatcher. `make` alone lists what there is to do; every target sets up what it needs, once.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help build test test-kafka kafka-long check demo demo-kafka crash bench fuzz sanitize debug dist clean FORCE variant-sanitize variant-debug

PY := .venv/bin/python
HERE_PY := $(CURDIR)/$(PY)
BUILT := .venv/.built
EXT_SOURCES := $(wildcard ext/*.pyx ext/*.pxd ext/*.pxi ext/*.h dispatcher/_ext/*.pxd)
VECTORS := $(or $(DISPATCHER_VECTORS),$(CURDIR)/../shared/vectors)
CASES ?= 1000000
KILLS ?= 200
MESSAGES ?= 200000
ARGS ?=

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /make \1@/p' Makefile | while IFS=@ read -r name text; do
		printf '%-15s %s\n' "$$name" "$$text"
	done

build: $(BUILT)  ## set up .venv and compile ext/ (implied by all that follow)

test: $(BUILT)  ## run the tests, four files at a time (ARGS='tests/unit -k name': these, one by one)
	@$(PY) -m pytest $(or $(ARGS),--numprocesses 4 --dist loadfile)

test-kafka: $(BUILT)  ## run tests/kafka against Apache Kafka itself, fetched through Maven (Java 17)
	@$(PY) -m tests.kafka.apache $(ARGS)

check: $(BUILT)  ## lint, format, types, stubs, architecture
	@status=0
	step() { echo "check: $$1"; shift; "$$@" || status=1; }
	step "lint" $(PY) -m ruff check --quiet --output-format=concise .
	step "format" $(PY) -m ruff format --check --quiet --output-format=concise .
	step "types" $(PY) -m mypy --no-error-summary
	step "stubs and architecture" $(PY) -m pytest tests/test_stubs.py tests/test_architecture.py
	exit $$status

demo: $(BUILT)  ## see it work: 400,000 segments over HTTP, kill -9 in the middle, and the proof, in about a minute
	@$(PY) -m dispatcher.cli.demo

demo-kafka: $(BUILT)  ## the same proof with two workers on one broker from PyPI, one of them killed
	@$(PY) -m tests.kafka.demo

kafka-long: $(BUILT)  ## several workers on one cluster: killed, stopped, added in the middle; the ledgers decide (MESSAGES=200000)
	@$(PY) -m tests.kafka.long --messages $(MESSAGES) $(ARGS)

crash: $(BUILT)  ## kill -9 at fail-points chosen by a seed, and reconcile the ledgers (KILLS=200 ARGS='--seed 7')
	@$(PY) -m tests.crash --kills $(KILLS) $(ARGS)

bench: $(BUILT)  ## measure on this machine (one tier: make bench-engine; ARGS='--help')
	@$(PY) -m bench.run $(ARGS)

bench-%: $(BUILT)
	@$(PY) -m bench.run $* $(ARGS)

fuzz: variant-sanitize  ## random and mangled input for all that reads it, under the sanitizers (CASES=1000000)
	@cd build/sanitize
	$(SANITIZED) $(HERE_PY) -m tests.fuzz.run --cases $(CASES) $(ARGS)

sanitize: variant-sanitize  ## build with address and undefined-behaviour sanitizers, run tests/ext
	@cd build/sanitize
	$(SANITIZED) $(HERE_PY) -m pytest --capture=sys tests/ext $(ARGS)

debug: variant-debug  ## build with assertions, line tracing, annotated HTML; run tests/ext
	@cd build/debug
	DISPATCHER_VECTORS='$(VECTORS)' $(HERE_PY) -m pytest tests/ext $(ARGS)
	echo "annotated: $$(find build/cython-debug -name '*.html' | sed 's|^|build/debug/|' | tr '\n' ' ')"

dist: $(BUILT)  ## source archive and wheel, in dist/
	@rm -rf dist build/lib* build/bdist*
	$(PY) setup.py -q sdist
	$(PY) -m pip wheel . --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist
	ls dist

clean:  ## remove all that was made here, .venv included
	@rm -rf .venv build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f dispatcher/_ext/*.so
	find dispatcher tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- set-up: one recipe, so that `make -j` cannot run its halves at once -------------------------------------

define FAIL
fail() { echo "make: $$*" >&2; exit 1; }
endef

# Prints what an interpreter lacks, a line each with the package that brings it; fails if it is too old.
define PROBE
import os, sys, sysconfig
if sys.version_info < (3, 11):
    sys.exit(1)
version = "python3.%d" % sys.version_info[1]
try:
    import ensurepip, venv
except ImportError:
    print(version + " cannot make virtual environments: apt install python3-venv (or " + version + "-venv)")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    print(version + " has no Python.h to compile against: apt install python3-dev (or " + version + "-dev)")
endef
export PROBE

# Sets $$python to the first interpreter that has all we need, or else to the first that is new enough.
define FIND_PYTHON
python= lacks=
for candidate in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3); do
	missing=$$("$$candidate" -c "$$PROBE" 2>/dev/null) || continue
	if [ -z "$$python" ] || [ -z "$$missing" ]; then python=$$candidate lacks=$$missing; fi
	if [ -z "$$missing" ]; then break; fi
done
if [ -z "$$python" ]; then
	lacks="no Python 3.11 or newer$(if $(PYTHON), at '$(PYTHON)'): apt install python3 python3-venv python3-dev (or PYTHON=/path/to/one)"
	compiler=$${CC:-cc}
else
	compiler=$${CC:-$$("$$python" -c 'import sysconfig; print(sysconfig.get_config_var("CC"))')}
fi
if ! echo 'int main(void) { return 0; }' | $$compiler -x c -o build/probe - 2>/dev/null; then
	lacks="$$lacks
no working C compiler ($$compiler): apt install build-essential (or CC=another)"
fi
rm -f build/probe
if [ -n "$$lacks" ]; then
	echo "$$lacks" | sed '/^$$/d; s/^/make: /' >&2
	exit 1
fi
endef

define PIP_INSTALL
pip_install() {
	if $(PY) -m pip install --quiet --disable-pip-version-check "$$@" >build/pip.log 2>&1; then return; fi
	if grep -qiE 'connection broken|ConnectionError|timed? ?out|ProxyError|name resolution' build/pip.log; then
		fail "pip cannot reach the package index: no network, or a proxy is needed (HTTPS_PROXY, PIP_INDEX_URL); see build/pip.log"
	fi
	tail -n 20 build/pip.log >&2
	fail "pip could not install what pyproject.toml asks for; all it said is in build/pip.log"
}
endef

# A module that somebody removed is missed by the stamp, and so is named here.
UNBUILT := $(foreach source,$(wildcard ext/*.pyx),$(if $(wildcard $(source:ext/%.pyx=dispatcher/_ext/%.*.so)),,FORCE))
FORCE:

$(BUILT): pyproject.toml setup.py $(EXT_SOURCES) $(UNBUILT)
	@$(FAIL)
	$(PIP_INSTALL)
	mkdir -p build
	for module in dispatcher/_ext/*.so; do
		name=$${module##*/}
		if [ ! -e "ext/$${name%%.*}.pyx" ]; then rm -f "$$module"; fi
	done
	if [ -e .venv/.installed ] && [ -z "$$(find pyproject.toml setup.py -newer .venv/.installed)" ]; then
		echo "compiling ext/"
		if ! $(PY) setup.py -q build_ext --inplace >build/ext.log 2>&1; then
			cat build/ext.log >&2
			fail "ext/ does not compile"
		fi
	else
		if ! $(PY) -m pip --version >/dev/null 2>&1; then
			$(FIND_PYTHON)
			echo "setting up .venv with $$python (once, about a minute)"
			rm -rf .venv
			if ! "$$python" -m venv .venv >build/pip.log 2>&1; then cat build/pip.log >&2; fail "no .venv"; fi
		else
			echo "bringing .venv up to date"
		fi
		$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["test"], sep="\n")' >build/tools.txt
		pip_install -r build/tools.txt
		pip_install --no-build-isolation -e .
		touch .venv/.installed
	fi
	touch $@

# ---- builds of their own ----------------------------------------------------------------------------------

# A copy of the sources in build/NAME with its own objects: builds cannot mix, and what runs there can only
# import what was built there (tests/conftest.py makes sure).
define VARIANT
$(FAIL)
mkdir -p build/$(1)
rm -rf build/$(1)/dispatcher build/$(1)/ext build/$(1)/tests
tar -cf - --exclude='*.so' --exclude=__pycache__ pyproject.toml setup.py README.md LICENSE dispatcher ext tests | tar -xf - -C build/$(1)
echo "compiling build/$(1)"
if ! (cd build/$(1) && $(2)=1 $(HERE_PY) setup.py -q build_ext --inplace) >build/$(1).log 2>&1; then
	tail -n 40 build/$(1).log >&2
	fail "the $(1) build failed; all it said is in build/$(1).log"
fi
endef

# The runtimes must be in the process before Python is; the C++ one too, for libraries that throw. Nothing of
# ours asks for 256 MB at once, unless it believed a length; short stacks and a small quarantine are for speed.
RUNTIME = $(shell $(CC) -print-file-name=$(1))
SANITIZED = env LD_PRELOAD='$(call RUNTIME,libasan.so) $(call RUNTIME,libubsan.so) $(call RUNTIME,libstdc++.so.6)' \
	ASAN_OPTIONS=detect_leaks=0:max_allocation_size_mb=256:malloc_context_size=4:quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 PYTHONMALLOC=malloc \
	DISPATCHER_VECTORS='$(VECTORS)'

variant-sanitize: $(BUILT)
	@$(call VARIANT,sanitize,DISPATCHER_SANITIZE)
	for library in $(call RUNTIME,libasan.so) $(call RUNTIME,libubsan.so); do
		if [ ! -e "$$library" ]; then fail "$(CC) has no $$library, the sanitizer runtime: apt install gcc (or CC=gcc)"; fi
	done

variant-debug: $(BUILT)
	@$(call VARIANT,debug,DISPATCHER_DEBUG)
