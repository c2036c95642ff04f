PYTHON ?= python3
BIN := .venv/bin
EXAMPLE := examples/loft_stations/pipeline.yaml

.PHONY: demo test lint install docs screenshots

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

# Needs no network once the builder is installed.
docs: .venv/.docs
	$(BIN)/python -m tools.docs_pages
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m tools.docs_check

.venv/.docs: .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

# Of the home that make demo leaves; needs Chromium.
screenshots: .venv/.installed
	$(BIN)/python -m tools.screenshots
