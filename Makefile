# Two commands are enough to begin: `make demo` and `make test`. Both make what they need; only Python has to be there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PORT ?= 3000
# Tests run side by side, one more than there are cores, for some mostly wait; a file's tests stay together, for they share what they prepare.
WORKERS ?= 3
DAGSTER_HOME := $(CURDIR)/.dagster_home

# Numerical libraries with their default threads get in each other's way: fits of a second take five beside other work.
export OMP_NUM_THREADS := 1
# What a user's own shell activates or adds must not decide what runs here.
unexport PYTHONPATH
unexport PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help install demo test test-long ui check bench home

help: ## Show these lines
	@echo "mlpipe: the machine-learning lifecycle as one Dagster asset graph"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## Make .venv from requirements.lock, every file checked against its hash

$(STAMP): requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "There is no '$(PYTHON)'. Install Python 3.11, 3.12 or 3.13, or name one: make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3.12"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "mlpipe runs on Python 3.11, 3.12 and 3.13; '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1). Name another: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "'$(PYTHON)' could not make an environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing $$(grep -c '^[a-z].*==' requirements.lock) packages into $(VENV); the first time this takes a minute or two …"
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq --progress-bar off --use-pep517 --require-hashes -r requirements.lock
	@PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq --progress-bar off --no-deps --no-build-isolation -e .
	@touch $(STAMP)
	@echo "Installed: $$($(BIN)/python -V), $$($(BIN)/python -c 'from importlib.metadata import version as v; print("dagster", v("dagster"), "and mlpipe", v("mlpipe"))')"

home:
	@mkdir -p "$(DAGSTER_HOME)" && cp dagster.yaml "$(DAGSTER_HOME)/dagster.yaml"

demo ui: export DAGSTER_HOME := $(DAGSTER_HOME)

demo: install home ## Run the flights example from rows to a released, monitored model
	@$(BIN)/python examples/flights/demo.py

test: install ## Run the tests, all but the long ones
	@$(BIN)/python -m pytest -rs -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-long: install ## Run every test, with many more random examples
	@$(BIN)/python -m pytest -rs --hypothesis-profile=thorough

ui: install home ## Open Dagster's UI on the flights example
	@echo "Dagster's UI will be at http://127.0.0.1:$(PORT) (another port: make ui PORT=3001); Ctrl-C ends it."
	@$(BIN)/dg dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

check: install ## Look at the code without running it: ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: install ## Run the benchmarks
	@set -e; found=; for script in benchmarks/*.py; do grep -q __main__ "$$script" || continue; found=yes; echo "$$script"; $(BIN)/python "$$script"; done; \
	  test -n "$$found" || echo "There are no benchmarks yet: a script in benchmarks/ is one."
