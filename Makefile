# make run, make test: all that a fresh Debian machine needs. See "make help".
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One step after the other, also under "make -j": two virtual screens at once only slow each other.
.NOTPARALLEL:

PY := .venv/bin/python
# Two processes, or four on a larger machine, each with one thread: libraries that start a thread per
# core in each of them would wait for one another.
WORKERS := $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 2 ? 1 : n > 4 ? 4 : n)))
PARALLEL = -m pytest -n $(WORKERS) --dist worksteal
TEST_ENV := env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Compiled modules are kept, also where the machine's settings say otherwise: every step starts again.
export PYTHONDONTWRITEBYTECODE :=
VIRTUAL := scripts/with-display --virtual

.PHONY: help manual run test lint types imports test-core test-gui test-oldest bench train trust format clean clean-venv

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: setup.cfg pyproject.toml constraints.txt scripts/bootstrap
	@scripts/bootstrap
	@touch $@

.venv-oldest/.ready: .venv/.ready constraints-oldest-napari.txt scripts/oldest-napari
	@scripts/oldest-napari
	@touch $@

run: .venv/.ready ## open the sample case; without a display, leave results and a screenshot in out/
	@scripts/run-sample

test: lint types imports test-core test-gui test-oldest ## everything that must pass before a change is kept
	@echo "make test: all steps passed"

lint: .venv/.ready ## style (ruff) and the plugin manifest
	@echo "== lint"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@.venv/bin/npe2 validate napari_backfat/napari.yaml

types: .venv/.ready ## mypy --strict on the package
	@echo "== types"
	@$(PY) -m mypy

imports: .venv/.ready ## the import rules in setup.cfg
	@echo "== import rules"
	@.venv/bin/lint-imports

test-core: .venv/.ready ## tests that need no window
	@echo "== core tests"
	@$(TEST_ENV) $(VIRTUAL) $(PY) $(PARALLEL) tests --ignore=tests/widgets --ignore=tests/layers

test-gui: .venv/.ready ## layers and window, on PyQt5 and on PyQt6
	@echo "== layer and window tests, pyqt5"
	@$(TEST_ENV) QT_API=pyqt5 $(VIRTUAL) $(PY) $(PARALLEL) tests/layers tests/widgets
	@echo "== window tests, pyqt6"
	@$(TEST_ENV) QT_API=pyqt6 $(VIRTUAL) $(PY) $(PARALLEL) tests/widgets

test-oldest: .venv-oldest/.ready ## layer tests on the oldest napari that is claimed
	@echo "== layer tests on the oldest napari"
	@$(TEST_ENV) QT_API=pyqt5 $(VIRTUAL) .venv-oldest/bin/python $(PARALLEL) tests/layers tests/widgets -m napari_range

bench: .venv/.ready ## measure; writes out/bench.json and prints the table
	@$(VIRTUAL) $(PY) -m benchmarks

train: .venv/.ready ## make the network's weights again from the seed
	@nice $(PY) -m napari_backfat.train all

trust: .venv/.ready ## measure how far the weights can be trusted; writes docs/ai-trust.md and docs/worst-cases.md
	@nice $(PY) -m benchmarks.trust
	@nice $(PY) -m napari_backfat.train worst

manual: .venv/.ready ## take the pictures of docs/manual and docs/screens.md anew from the running program
	@$(VIRTUAL) $(PY) -m scripts.manual

format: .venv/.ready ## let ruff mend style where it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean: ## remove what the targets made, except the environments
	@rm -rf out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

clean-venv: ## remove the Python environments
	@rm -rf .venv .venv-oldest
