PYTHON ?= python3
BIN := .venv/bin
EXAMPLE := examples/loft_stations/pipeline.yaml

.PHONY: demo test lint install

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[cpu,demo,test]"
	touch $@

demo: .venv/.installed
	$(BIN)/embed-pipeline run --config $(EXAMPLE)

test: .venv/.installed
	$(BIN)/python -m pytest

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/dg check defs
