# Everything a developer does here, by name. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.in-step-with-the-lock
PYTEST_ARGS ?= -n auto --no-loadscope-reorder
WORKSPACE ?= workspace
PORT ?= 8080
FMUS ?= build/fmus
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-header --no-annotate

.PHONY: help proto setup demo up test bench bench-quick fmus soak lint format docs lock
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## the virtual environment, exactly as locked (quick when nothing changed)

# uv installs in seconds; where it can't be had, pip does the same, with the same hashes, more slowly.
$(STAMP): requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed; name it with: make setup PYTHON=/path/to/python3' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@if test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt; then \
	  export VIRTUAL_ENV="$(CURDIR)/.venv"; \
	  $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.txt; \
	  $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .; \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi
	@$(BIN)/python -m twinwright.platform.ahead
	@touch $@

demo: setup  ## a live twin of this machine: fed, simulated, calibrated, validated, asked a what-if (under four minutes)
	@$(BIN)/python examples/host/demo.py

up: setup  ## start the platform on a workspace that samples this machine (WORKSPACE=, PORT=), until Ctrl-C
	@test -e $(WORKSPACE)/twinwright.toml || $(BIN)/twinwright init $(WORKSPACE) --example host >/dev/null
	@$(BIN)/twinwright apply --workspace $(WORKSPACE)
	@$(BIN)/twinwright up --workspace $(WORKSPACE) --port $(PORT)

test: setup  ## every test that can run on this machine (PYTEST_ARGS=)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: setup  ## the benchmarks: a table, and one JSON line each on standard output
	@$(BIN)/python -m benchmarks

bench-quick: setup  ## the same, small: under 50 s
	@$(BIN)/python -m benchmarks --quick

fmus: setup  ## build the example FMUs from their C sources (FMUS=folder)
	@$(BIN)/python examples/fmus/build_all.py $(FMUS)

soak: setup  ## the long tests
	@$(BIN)/python -m pytest -m soak --timeout=0

lint: setup  ## style, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup  ## put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup  ## regenerate docs/reference
	@$(BIN)/python docs/generate.py

proto: setup  ## the Python code of the gRPC service, from its .proto
	@$(BIN)/python src/twinwright/api/rpc/generate.py

lock: setup  ## resolve the dependencies afresh
	@$(COMPILE) --upgrade --all-extras --output-file requirements/dev.txt pyproject.toml
	@$(COMPILE) --extra all --constraint requirements/dev.txt --output-file requirements/lock.txt pyproject.toml
	@echo uv | $(COMPILE) --constraint requirements/dev.txt --output-file requirements/uv.txt -
