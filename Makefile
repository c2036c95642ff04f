SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
BIN := .venv/bin
EXAMPLE := examples/loft_stations/pipeline.yaml
WORKERS ?= auto
SHARED ?= ../shared
CORPORA = nvidia-docs/docs ant-manual-html/docs nih-health-docs/docs cuad-pdf pubmedqa \
	$(foreach language,de zh ar,xquad/$(language) xquad/$(language)/docs)
PYTEST = $(BIN)/python -m pytest
PARALLEL = --numprocesses $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' embed_pipeline/__init__.py)

.DEFAULT_GOAL := help
.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: .venv/.installed ## ./.venv with everything that the other targets need

.venv/.installed: pyproject.toml constraints.txt
	PYTHON=$(PYTHON) tools/install.sh
	touch $@

# --- The pipeline ---

.PHONY: demo demo-again
demo: .venv/.installed ## The whole pipeline on the bundled sample corpus
	$(BIN)/embed-pipeline run --config $(EXAMPLE)

demo-again: .venv/.installed ## The demo once more; fails if it computes anything; stops the endpoint
	report=$$($(BIN)/embed-pipeline run --config $(EXAMPLE) --json) && ! grep '"computed"' <<< "$$report"
	$(BIN)/embed-pipeline stop

# --- Tests ---

.PHONY: test coverage coverage-simulation browser stopping
test: .venv/.installed ## The test suite, in parallel (WORKERS=N); ends with the slowest tests
	$(PYTEST) $(PARALLEL) --junitxml .test-report.xml

coverage: .venv/.installed ## The test suite with coverage, processes included; fails under the floor in pyproject.toml
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

coverage-simulation: .venv/.installed ## Whether intervals and p-values hold: the table of docs/verdict.md (four minutes)
	$(BIN)/python -m embed_pipeline_tests.evaluation.simulation

stopping: .venv/.installed ## Whole runs stopped by signals at random moments (two minutes; not part of make test)
	STOPPING=1 $(PYTEST) embed_pipeline_tests/test_stopping.py

browser: ## Chromium for the test of the web UI, if there is none (Debian and Ubuntu)
	command -v chromium chromium-browser google-chrome >/dev/null || \
	{ sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends chromium; } >/dev/null

.PHONY: losses
losses: .venv/.installed ## Whether documents lose anything without a word: cases and corpora in SHARED (needs pdftotext)
	$(BIN)/python benchmarks/losses.py --each 0.02 $(SHARED)/cases
	$(BIN)/python benchmarks/losses.py $(CORPORA:%=$(SHARED)/corpora/%)

.PHONY: gpu-benchmark gpu-benchmark-quick
gpu-benchmark: .venv/.installed ## What encoder, search and training do on this machine's GPU (under 9 minutes)
	benchmarks/gpu/run.sh

gpu-benchmark-quick: .venv/.installed ## The same with tiny shapes, on a CPU too: whether everything runs (minutes)
	benchmarks/gpu/run.sh --quick --minutes 20

# --- What a change must pass ---

.PHONY: check format lint types layers hooks slowest
check: lint types layers resolve docs wheel slowest ## All that a change must pass, but for the tests and the demo

format: .venv/.installed ## Formats the code and mends what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: .venv/.installed ## ruff, secrets, file hygiene, workflows, Dagster's component files
	SKIP=ruff,ruff-format,mypy $(BIN)/pre-commit run --all-files --show-diff-on-failure
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/dg check defs

types: .venv/.installed ## mypy: the package strictly, the tests less so
	$(BIN)/mypy

layers: .venv/.installed ## What may import what
	$(PYTEST) embed_pipeline_tests/test_layering.py

slowest: .venv/.installed ## The slowest tests of the last make test
	$(BIN)/python -m tools.slowest

hooks: .venv/.installed ## Runs the checks before each commit (pre-commit)
	$(BIN)/pre-commit install

# --- Documentation ---

.PHONY: docs screenshots
docs: .venv/.installed ## The documentation in site/; a broken link fails; needs no network
	$(BIN)/python -m tools.docs
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m tools.docs.check

screenshots: .venv/.installed ## The pictures in docs/images, of the home that make demo leaves (needs Chromium)
	$(BIN)/python -m tools.screenshots

# --- Packages and releases ---

.PHONY: resolve lock wheelhouse
resolve: .venv/.installed ## Whether every way to install has a solution, on every Python and system (no download)
	$(BIN)/python tools/resolve.py

lock: .venv/.installed ## Writes the files that pin packages; UPGRADE=--upgrade takes the newest releases
	$(BIN)/python tools/lock.py $(UPGRADE)

wheelhouse: ## All packages as files in ./wheelhouse, for machines without a network (EXTRAS=cpu,demo)
	PYTHON=$(PYTHON) tools/install.sh wheelhouse

.PHONY: wheel release-check github-release
wheel: .venv/.installed ## Source archive and wheel in dist/, checked, and the wheel started
	rm -rf build dist
	$(BIN)/python -m build --quiet --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target build/wheel dist/*.whl
	cd build && PYTHONPATH=wheel ../$(BIN)/python -P -m embed_pipeline.cli --version
	cd build && PYTHONPATH=wheel ../$(BIN)/python -P -m embed_pipeline.cli run --plan --home home --config ../$(EXAMPLE)

release-check: ## Whether TAG=vX.Y.Z names the version of the package and CHANGELOG.md tells of it
	[ "$$TAG" = "v$(VERSION)" ] || { echo "tag $$TAG, but embed_pipeline.__version__ is $(VERSION)"; exit 1; }
	grep -q '^## \[$(VERSION)\] - ' CHANGELOG.md || { echo "CHANGELOG.md: no dated section [$(VERSION)]"; exit 1; }

github-release: ## The release on GitHub with what CHANGELOG.md says of it (TAG=vX.Y.Z, needs gh)
	awk '/^## /{ here = index($$0, "[$(VERSION)]"); next } here' CHANGELOG.md | \
	gh release create "$$TAG" dist/* --verify-tag --title "$$TAG" --notes-file -
