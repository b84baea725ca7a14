# The front door. Every target installs what it needs from Debian 12, configures, builds and runs.

PRESET ?= release
BUILD  := build/$(PRESET)
PREFIX ?= /usr/local
MINUTES ?= 10
JOBS   ?= $(shell nproc)

# Lets ccache keep objects that were compiled with a precompiled header, and find those of another
# clone again.
export CCACHE_SLOPPINESS ?= pch_defines,time_macros
export CCACHE_BASEDIR ?= $(CURDIR)
export CCACHE_NOHASHDIR ?= 1

.PHONY: help build demo test bench crashtest interop format check-format lint install clean dependencies

help:
	@echo "make demo             train, merge and compare networks on Fashion-MNIST (about 3 minutes)"
	@echo "make test             build and run all tests"
	@echo "make build            only build; the command is $(BUILD)/bin/amalgam"
	@echo "make bench            measure merging against the speed of disk and memory"
	@echo "make crashtest        kill merges at random moments for MINUTES=10 and compare what --resume gives"
	@echo "make interop          compare with mergekit, safetensors, gguf, crowd-kit, choix, ... (needs pip; docs/interop.md)"
	@echo "make install PREFIX=  install the command, library, headers and man page"
	@echo "make format lint      format and check the code"

dependencies:
	@scripts/install_dependencies.sh build

$(BUILD)/build.ninja: CMakeLists.txt CMakePresets.json | dependencies
	cmake --preset $(PRESET)

build: dependencies $(BUILD)/build.ninja
	cmake --build --preset $(PRESET) -j $(JOBS)

demo:
	@scripts/install_dependencies.sh build demo
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	cmake --build --preset $(PRESET) -j $(JOBS) --target amalgam_cli amalgam_learning
	scripts/demo.sh $(BUILD)/bin/amalgam demo

test: build
	@scripts/install_dependencies.sh demo
	ctest --preset $(PRESET) -j $(JOBS)

bench: build
	bench/run.sh $(BUILD)

crashtest: build
	/usr/bin/python3 -B tests/faults/merge_crashtest.py $(BUILD)/bin/amalgam --minutes $(MINUTES)

interop: build
	scripts/interop.sh $(BUILD)/bin/amalgam

SOURCES = $(shell git ls-files '*.cpp' '*.hpp')

format:
	@scripts/install_dependencies.sh dev
	clang-format-16 -i $(SOURCES)

check-format:
	@scripts/install_dependencies.sh dev
	clang-format-16 --dry-run -Werror $(SOURCES)

# LINT_SINCE=REV checks only what changed since REV.
lint: build
	@scripts/install_dependencies.sh dev
	scripts/lint.sh $(BUILD) $(LINT_SINCE)

install: build
	cmake --install $(BUILD) --prefix $(PREFIX)

clean:
	rm -rf build demo
