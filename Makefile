# `make` sets up everything and runs the demonstration; `make test` sets up and runs the quick checks.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=15
INSTALL ?= $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo setup test test-slow test-nightly lint docs clean

demo: setup
	$(BIN)/python -m training demo

setup: .venv/ready

.venv/ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable '.[training,serving,test]'
	touch $@

test: setup lint
	$(PYTEST) -m 'not slow and not nightly and not accelerator'

test-slow: setup
	$(PYTEST) -m 'slow and not nightly and not accelerator'

test-nightly: setup
	$(BIN)/python -m pytest -m 'nightly or accelerator'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	$(INSTALL) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf .venv build *.egg-info
