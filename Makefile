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

# --- Documentation ---

.PHONY: docs screenshots
docs: .venv/.docs ## The documentation in site/; a broken link fails; needs no network once its builder is there
	$(BIN)/python -m tools.docs
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m tools.docs.check

.venv/.docs: .venv/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

screenshots: .venv/.installed ## Takes the pictures in docs/images again, of the home that make demo leaves (Chromium)
	$(BIN)/python -m tools.screenshots
