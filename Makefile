# Two commands for a new user: `make demo` and `make test`. Both set up everything that they need, once.

# An interpreter of Python 3.11 to 3.13; where none is named, `tools/python` finds one.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
# Without its bytecode kept, PyTorch alone is compiled anew in each of the hundreds of processes: 4 to 5 s each time.
unexport PYTHONDONTWRITEBYTECODE
JOBS ?= 2

.PHONY: help demo test test-fast test-thorough fuzz lint format docs setup system lock lock-docs sbom clean FORCE

help:
	@echo "make demo           train, probe, export, build and bench on the embedded data set, in minutes"
	@echo "make test           the whole test suite"
	@echo "make test-fast      the tests that take under ten seconds each"
	@echo "make test-thorough  the suite with more networks and random draws, as every night"
	@echo "make fuzz           each of the four fuzzers for MINUTES (default 10)"
	@echo "make lint           ruff and mypy"
	@echo "make docs           the documentation as a site, in build/docs/site"
	@echo "make setup          the virtual environment and the system packages, nothing else"
	@echo "make lock           resolve requirements.lock anew from pyproject.toml"
	@echo "make lock-docs      resolve tools/docs.txt anew"
	@echo "make sbom           what requirements.lock installs, in build/tinyedge.cdx.json (CycloneDX)"

demo: setup
	$(BIN)/tinyedge demo

# One thread a process: two test processes whose threads wait for each other actively stand still on two cores.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-fast: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not slow"

test-thorough: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --thorough

MINUTES ?= 10
fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rP --timeout 0 --fuzz-seconds $$(( 60 * $(MINUTES) )) \
		tests/fuzz tests/devices/test_devices_answers.py -k "libfuzzer or mutated_models or changed_answers"

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Zensical reads the sources, so its environment, of its own, holds nothing else. Links that lead nowhere fail.
docs: build/docs_venv/.installed
	@build/docs_venv/bin/python tools/docs_site.py build/docs
	@build/docs_venv/bin/zensical build --strict -f build/docs/zensical.toml
	@set -e; for model in models/*/export.json; do name=$$(basename $$(dirname $$model)); \
		$(BIN)/tinyedge web $$name --out build/docs/site/demo/$$name --json > /dev/null; done
	@echo "open build/docs/site/index.html"

build/docs_venv/.installed: tools/docs.txt | setup
	@$(BIN)/uv venv -q --clear --python $(BIN)/python build/docs_venv
	@$(BIN)/uv pip sync -q --require-hashes --python build/docs_venv/bin/python tools/docs.txt
	@touch $@

setup: system $(VENV)/.installed

# Command or file -> the Debian package that brings it.
system:
	@missing=""; \
	need() { missing="$$missing$${1:+ $$1}"; }; \
	command -v arm-none-eabi-gcc >/dev/null || need gcc-arm-none-eabi; \
	echo '#include <string.h>' | arm-none-eabi-gcc -E - >/dev/null 2>&1 || need libnewlib-arm-none-eabi; \
	command -v qemu-system-arm >/dev/null || need qemu-system-arm; \
	command -v g++ >/dev/null || need g++; \
	command -v cmake >/dev/null || need cmake; \
	command -v ninja >/dev/null || need ninja-build; \
	command -v ccache >/dev/null || need ccache; \
	echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 || { need gcc; need libc6-dev; }; \
	command -v cppcheck >/dev/null || need cppcheck; \
	command -v clang-tidy >/dev/null || need clang-tidy; \
	command -v clang >/dev/null || need clang; \
	echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' | clang -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null \
		|| need libclang-rt-dev; \
	command -v wasm-ld >/dev/null || need lld; \
	command -v chromium >/dev/null || need chromium; \
	command -v openocd >/dev/null || need openocd; \
	command -v st-flash >/dev/null || need stlink-tools; \
	[ -x $(BIN)/python ] || need $$(tools/python package "$(PYTHON)"); \
	[ -n "$$missing" ] || exit 0; \
	if ! command -v apt-get >/dev/null; then \
		echo "error: install what these Debian packages bring, then run make again:$$missing" >&2; exit 2; fi; \
	if [ "$$(id -u)" = 0 ]; then as_root=""; \
	elif command -v sudo >/dev/null; then as_root="sudo"; \
	else echo "error: ask an administrator to run: apt-get install$$missing" >&2; exit 2; fi; \
	echo "installing$$missing"; \
	$$as_root apt-get update -qq && \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

# Holds the version of the environment's Python; written again, and so younger, when another one is asked for.
$(VENV)/.python: FORCE | system
	@tools/python venv $(VENV) "$(PYTHON)"

$(VENV)/.installed: requirements.lock tools/uv.txt pyproject.toml $(VENV)/.python
	@echo "installing the Python packages of requirements.lock into $(VENV) (6 to 8 GB, a few minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r tools/uv.txt
	@$(BIN)/uv pip sync -q --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# For every Python and every platform of [tool.uv] in pyproject.toml at once.
lock: setup
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r tools/uv.txt
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile pyproject.toml --all-extras --universal \
		--python-version 3.11 --generate-hashes --upgrade -q -o requirements.lock

lock-docs: setup
	printf 'mkdocstrings-python\nzensical\n' | UV_CUSTOM_COMPILE_COMMAND="make lock-docs" $(BIN)/uv pip compile - --universal \
		--python-version 3.11 --generate-hashes --upgrade -q -o tools/docs.txt

# A tool of its own environment: nothing else needs it.
sbom: setup
	@mkdir -p build
	PYTHONWARNINGS=ignore $(BIN)/uvx -q --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.lock \
		--pyproject pyproject.toml --output-reproducible --spec-version 1.6 -o build/tinyedge.cdx.json

clean:
	rm -rf build dist runs/demo .pytest_cache .mypy_cache .ruff_cache
