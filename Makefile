# make demo   set up, then segment a bundled image by clicks (in napari's window, or without a display)
# make test   set up, then everything that CI runs

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?=

BIN = $(VENV)/bin
SETUP = "$(PYTHON)" scripts/setup_env.py --venv "$(abspath $(VENV))" --torch "$(TORCH)" \
	--torch-index "$(TORCH_INDEX)"

.DEFAULT_GOAL := help
.PHONY: help setup demo test check pytest clean

help:
	@sed -n 's/^# //p' Makefile

setup:
	@$(SETUP)

demo: setup
	@$(BIN)/python scripts/demo.py

test:
	@$(SETUP) --xvfb
	@$(MAKE) --no-print-directory check pytest

check:
	@echo "== ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "== mypy" && $(BIN)/mypy src tests scripts $(wildcard examples/*.py benchmarks/*.py)
	@echo "== import contracts" && $(BIN)/lint-imports
	@echo "== npe2" && $(BIN)/npe2 validate --imports src/napari_edgeflow/napari.yaml

pytest:
	@echo "== pytest" && $(BIN)/python -m pytest -n 2

clean:
	rm -rf "$(VENV)" demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
