# Everything runs in .venv; nothing outside it is changed, except Debian packages through apt when you are root.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCE ?= synthetic:street
PORT ?= 8080
# Debian packages: HRTF for headphones; Chromium for the page's tests.
RUN_PACKAGES := libmysofa1
TEST_PACKAGES := $(RUN_PACKAGES) chromium

.PHONY: help
help:  ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.PHONY: demo
demo: $(VENV)/base packages-run  ## live server with a page, on SOURCE= (default: a synthetic street) and PORT=
	$(BIN)/earshot serve --source '$(SOURCE)' --port $(PORT)

.PHONY: test
test: $(VENV)/dev packages-test  ## run all tests
	$(BIN)/python -m pytest

.PHONY: check
check: $(VENV)/dev  ## formatting, lint, types, who may import whom
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

.PHONY: bench
bench: $(VENV)/dev packages-run  ## measure against the budgets
	$(BIN)/earshot bench

.PHONY: clean
clean:  ## remove the environment and caches of this folder
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- what the targets need ------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "earshot needs Python 3.11 or newer; install it and run: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); \
	  else echo "python3-venv is missing; run: sudo apt-get install python3-venv"; exit 1; fi; }

$(VENV)/base: pyproject.toml requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check -q -c requirements.txt -e .
	@touch $@

$(VENV)/dev: pyproject.toml requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check -q -c requirements.txt -e '.[dev]'
	@touch $@ $(VENV)/base

.PHONY: packages-run packages-test
packages-run:
	@scripts/debian-packages optional $(RUN_PACKAGES)
packages-test:
	@scripts/debian-packages required $(TEST_PACKAGES)
