# Minute Ledger. Needs Python 3.11 or newer, git and make; everything else goes into .venv.
# `make` alone lists what there is to do.

PYTHON ?= python3
PORT ?= 3000
WORKERS ?= 3
ARGS ?=

UV_VERSION := 0.13.9
BIN := .venv/bin
# Newer than pyproject.toml and uv.lock exactly when .venv is up to date with them.
READY := .venv/.ready-with-uv-$(UV_VERSION)

# Python keeps what it compiles, whatever the caller's environment says: there are many processes,
# and one that has to compile all that it imports takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup test rehearsal check check-format check-lint check-types check-imports format schema dictionary settings \
	demo up bench clean

help: ## List the targets
	@echo "Minute Ledger: make TARGET"
	@echo
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  \1|\2/p' Makefile | \
		while IFS='|' read -r target text; do printf '  %-10s %s\n' $$target "$$text"; done

setup: $(READY) ## Make .venv from the lock (every other target does it when it is needed)

test: $(READY) ## Run all tests (ARGS="-k coverage" for some, WORKERS=4 for more processes)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

rehearsal: $(READY) ## Rehearse what takes long: two days, a backfill of two years in a storm, kills
	@$(BIN)/python -m pytest -s -m rehearsal $(ARGS)

check: $(READY) ## Check format, lint, types and import rules
	@$(MAKE) --no-print-directory --keep-going check-format check-lint check-types check-imports

check-format: $(READY)
	@echo "format (ruff)"; $(BIN)/ruff format --check --quiet . || \
		{ echo "  not formatted as it should be: run 'make format'"; $(BIN)/ruff format --check .; exit 1; }

check-lint: $(READY)
	@echo "lint (ruff)"; $(BIN)/ruff check --quiet .

check-types: $(READY)
	@echo "types (mypy)"; $(BIN)/mypy --no-error-summary

check-imports: $(READY)
	@echo "import rules (import-linter)"; out=$$($(BIN)/lint-imports --no-logo 2>&1) || \
		{ echo "$$out"; exit 1; }

format: $(READY) ## Format the code and repair what lint can repair
	@$(BIN)/ruff check --fix --exit-zero --quiet . && $(BIN)/ruff format .

schema: $(READY) ## Write docs/universe.schema.json anew from the models
	@$(BIN)/python -m pipeline.universe > docs/universe.schema.json

dictionary: $(READY) ## Write docs/data-dictionary.md and what the UI says of columns anew from the database
	@$(BIN)/python -m pipeline.store.dictionary docs/data-dictionary.md assets/columns.csv

settings: $(READY) ## Write docs/settings.md anew from the models
	@$(BIN)/python -m pipeline.reference > docs/settings.md

demo: $(READY) ## Show everything offline, then serve it on 127.0.0.1 (PORT=3000; EXIT=1 to stop)
	@MINUTELEDGER_HOME="$(CURDIR)/.demo" \
		$(BIN)/minuteledger demo --port $(PORT) $(if $(filter 1,$(EXIT)),--exit) $(ARGS)

up: $(READY) ## Serve your own universe (PORT=3000)
	@$(BIN)/minuteledger up --port $(PORT) $(ARGS)

bench: $(READY) ## Run the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove caches and the demo's data (.demo); .venv stays
	@for pid in $$(find .demo -name postmaster.pid -exec head -n 1 {} ';' 2>/dev/null); do \
		if kill -0 $$pid 2>/dev/null; then \
			echo "The demo is still running (its database is process $$pid); stop it first." >&2; exit 1; \
		fi; \
	done
	@rm -rf .demo test-output .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
	@echo "clean"

# An interrupted setup leaves no READY behind, and a broken .venv (its Python is gone, or too old) is
# made anew. The caller's own uv and Python settings must not lead uv away from this .venv;
# it trusts the certificates that the system trusts, as pip does (a company's proxy has its own).
$(READY): pyproject.toml uv.lock
	@command -v "$(PYTHON)" >/dev/null || { echo "Minute Ledger needs Python 3.11 or newer, and" \
		"there is no $(PYTHON). Install it, or name another: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@$(call is_new_enough,"$(PYTHON)") || { echo "Minute Ledger needs Python 3.11 or newer, and" \
		"$(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(call is_new_enough,$(BIN)/python) 2>/dev/null || { echo "Making .venv with $$($(PYTHON) -V)"; \
		"$(PYTHON)" -m venv --clear .venv || { echo "$(PYTHON) cannot make virtual environments." \
		"On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }; }
	@echo "Installing what uv.lock names into .venv (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --no-cache-dir --disable-pip-version-check "uv==$(UV_VERSION)"
	@unset VIRTUAL_ENV UV_PYTHON; $(uv_cache) UV_SYSTEM_CERTS=$${UV_SYSTEM_CERTS:-1} \
		UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never \
		$(BIN)/uv sync --locked --inexact --all-extras --python $(BIN)/python $$([ -t 2 ] || echo --quiet)
	@rm -f .venv/.ready-with-uv-* && touch $@
	@echo ".venv is ready"

is_new_enough = $(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))'

# uv's own choice of cache, unless the home folder is unset or cannot be written.
define uv_cache
cache="$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$${HOME:+$$HOME/.cache}}/uv}"; \
	{ [ "$$cache" != /uv ] && mkdir -p "$$cache" && touch "$$cache/.writable" && rm "$$cache/.writable"; } 2>/dev/null || \
		cache="$(CURDIR)/.venv/.uv-cache"; \
	UV_CACHE_DIR="$$cache"
endef
