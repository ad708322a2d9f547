# Each target does all of its own set-up; only Python (3.11 or newer) and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# What XLA compiles for one test serves the next, also in another process and another run.
test test-slow: export JAX_COMPILATION_CACHE_DIR = $(CURDIR)/.cache/xla
test test-slow: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS = 0.1

.PHONY: help census report test test-slow lint docs bench soak dist-check clean
.DEFAULT_GOAL := help

help:  ## What there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /	/' | expand -t 12

# Two stamps, so that `make census` does not wait for the test tools.
$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("shallows needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(INSTALL) -e '.[dev]'
	touch $@

census: $(VENV)/.base  ## The main job: 1000 starts at d = k = 10, table and report
	$(BIN)/shallows census -k 10 --starts 1000 --optimiser gd --out census

report: $(VENV)/.base  ## All claims of the shelf, measured at smoke scale: report.html
	$(BIN)/shallows report --run smoke --store papers --out report.html

lint: $(VENV)/.dev  ## Linting, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## Everything that must hold, in minutes
	$(BIN)/pytest -n 2 --dist worksteal

test-slow: $(VENV)/.dev  ## The slow tests only
	$(BIN)/pytest -n 2 --dist worksteal -m slow

# Pinned and newest versions must not warn; the lowest may, where an old package uses one that is newer.
dist-check: $(VENV)/.dev  ## Wheel and source archive, each with pinned, lowest and newest versions, answer
	rm -rf dist
	$(BIN)/python -m build
	set -e; for file in dist/*.whl dist/*.tar.gz; do \
	  for versions in constraints.txt constraints-lowest.txt /dev/null; do \
	    echo "$$file, with the versions of $$versions"; \
	    rm -rf dist/fresh; $(PYTHON) -m venv dist/fresh; \
	    dist/fresh/bin/python -m pip install --quiet --disable-pip-version-check -c $$versions "$$file[tables]"; \
	    case $$versions in constraints-lowest.txt) warnings=default;; *) warnings=error;; esac; \
	    (cd dist/fresh && PATH="$$PWD/bin:$$PATH" PYTHONWARNINGS=$$warnings sh -e $(CURDIR)/tests/installed.sh); \
	  done; \
	done; rm -rf dist/fresh

docs: $(VENV)/.dev  ## The documentation site, in site/
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.dev  ## Speed, as ratios to simple baselines taken in one run
	$(BIN)/python benchmarks/speed.py

soak: $(VENV)/.dev  ## Sweeps under random kills and damage for MINUTES (default 60)
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),60)

clean:
	rm -rf $(VENV) .cache site build dist census papers report.html
