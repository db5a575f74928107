# Everything a newcomer, a developer and CI run. `make demo` and `make test` need nothing before them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3

.PHONY: demo test check lint types layers format unit bench bench-scale soak golden tools install dev clean

demo: install  ## a sample newsletter, sent to a mail server on this machine
	$(BIN)/newsletter-bot demo

test: dev tools check unit  ## everything CI runs

check: lint types layers  ## linters, type checks, layer contracts

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: dev
	$(BIN)/mypy

layers: dev
	$(BIN)/lint-imports

unit: dev
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

bench: dev tools  ## figures of docs/performance.md, measured here
	$(BIN)/python -m tests.bench

bench-scale: dev tools  ## a million readers: planning and memory; some minutes
	$(BIN)/python -m tests.bench.scale

soak: dev  ## thousands sign up, confirm and leave while an issue is sent; some minutes
	$(BIN)/python -m tests.soak
	$(BIN)/python -m tests.soak --postgresql

golden: dev  ## write the golden files anew, then look at the difference
	UPDATE_GOLDEN=1 $(BIN)/pytest -q tests/golden

format: dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

tools:  ## programs that tests need beside Python: Chromium, Java and the HTML validator, Postfix
	sh tests/install-tools.sh

install: $(VENV)/.installed
dev: $(VENV)/.developing

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

$(VENV)/.developing: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .tools build dist demo *.egg-info
