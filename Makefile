# LiverAI: `make demo` shows it, `make test` checks it, `make bench` measures it. All in an own environment, .venv.

PYTHON ?= python3
BIN := .venv/bin
STUDY ?=
# Further options of the demo, such as ARGS="--phase 4=arterial".
ARGS ?=
DATA ?=
# Processes that run the tests, each with one thread.
WORKERS ?= 2
# A Python of 3.11 or later, with pip and venv.
PYTHON_CHECK := import sys; sys.exit("LiverAI needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Say: make PYTHON=python3.12") if sys.version_info < (3, 11) else None
GL_PACKAGES := libegl1 libgl1 libgl1-mesa-dri
GL_CHECK := import ctypes; ctypes.CDLL("libEGL.so.1"); ctypes.CDLL("libGL.so.1")

R_PACKAGES := r-cran-proc r-cran-lmertest

.PHONY: demo test lint bench clean gl oracles

demo: .venv/installed gl
	$(BIN)/liverai demo $(if $(STUDY),--study "$(STUDY)") $(ARGS)

test: .venv/installed gl
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/liverai evaluate -o bench $(if $(DATA),--data "$(DATA)")

# torch first, at the pinned version; one that is there already, such as the CPU build, is kept.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c '$(PYTHON_CHECK)'
	@echo "Installing into .venv: about 2.5 GB with torch and slicer-core, some minutes the first time."
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[scene,test]"
	touch $@

# Pictures of Slicer's views need a GL library. Without it everything else works.
gl: .venv/installed
	@$(BIN)/python -c '$(GL_CHECK)' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing a GL library for the pictures: $(GL_PACKAGES)"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(GL_PACKAGES); } >/dev/null 2>&1 \
	      || echo "It could not be installed; the pictures of Slicer's views will be missing."; \
	  else \
	    echo "For pictures of Slicer's views install a GL library: sudo apt-get install $(GL_PACKAGES)"; \
	  fi; }

# The statistics of the reader study are held against R's where R is there; its numbers are also stored in the tests.
oracles:
	@Rscript --vanilla -e 'library(pROC); library(lmerTest)' >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing R for the tests of the statistics: $(R_PACKAGES)"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(R_PACKAGES); } \
	      >/dev/null 2>&1 || echo "It could not be installed; the tests that need R will be skipped."; \
	  else \
	    echo "For the tests that need R: sudo apt-get install $(R_PACKAGES)"; \
	  fi; }

clean:
	rm -rf .venv build dist demo bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
