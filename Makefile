PYTHON ?= python3
BIN := .venv/bin
EXAMPLE := examples/loft_stations/pipeline.yaml

.PHONY: demo test lint install lock resolve wheelhouse

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	PYTHON=$(PYTHON) tools/install.sh
	touch $@

lock: .venv/.installed
	$(BIN)/python tools/lock.py $(UPGRADE)

resolve: .venv/.installed
	$(BIN)/python tools/resolve.py

wheelhouse:
	PYTHON=$(PYTHON) tools/install.sh wheelhouse

demo: .venv/.installed
	$(BIN)/embed-pipeline run --config $(EXAMPLE)

test: .venv/.installed
	$(BIN)/python -m pytest

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/dg check defs
