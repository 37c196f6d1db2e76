# auditlake. `make` alone says what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Each process of the tests would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test soak bench bench-large lint format types docs wheel lock clean

help:                ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(STAMP)    ## make .venv with the locked versions and this checkout

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[bench]' && touch $@ \
	  || echo "some rivals cannot be had; their rows say so"

demo: install        ## build a demo lake in demo/, judge every policy, write the reports
	@rm -rf demo
	@$(BIN)/auditlake demo demo

test: install        ## all tests but the long ones, on two cores
	$(BIN)/python -m pytest -m "not soak" --numprocesses 2 --dist worksteal

soak: install        ## the long tests: more kills, more cases
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m pytest -m "hypothesis and not soak" --hypothesis-profile thorough

bench: $(VENV)/.bench ## ratios against named rivals, in one run
	$(BIN)/python -m tests.bench $(if $(EVENTS),--events $(EVENTS))

bench-large: $(VENV)/.bench ## the same of 100 million events, or of EVENTS=2e6: 20 GB of disk at most
	$(BIN)/python -m tests.bench --large $(if $(EVENTS),--events $(EVENTS))

lint: install        ## style, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: install      ## rewrite the files as the style wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: install       ## mypy, strict
	$(BIN)/mypy

docs: install        ## write the pages and the schema made from the code, build the site in build/docs
	$(BIN)/python -m tests.docs.generate
	$(BIN)/python -m sphinx -q -W -n -E -c tests/docs/site auditlake/docs build/docs
	@echo "open build/docs/index.html"

wheel: install       ## build the wheel and test it away from the checkout
	$(BIN)/python tests/wheel/check.py

lock:                ## choose new versions (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header -q -U -o requirements.lock

clean:               ## remove what the commands above made
	rm -rf $(VENV) demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
