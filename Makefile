# Every target sets itself up: a fresh clone needs nothing but make, Python 3.11 or newer and a network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait a good part of their time, so one process more than there are processors pays.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt 2>/dev/null | cksum | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help run demo test test-postgres torture screenshots check format lint types imports setup

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## create the virtual environment

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,demo,postgres]'
	@rm -f $(VENV)/.installed-*
	@touch $@

run: setup ## start the service desk: web pages and email parser in one process
	@$(BIN)/servicedesk run

demo: setup ## try everything with sample mail, in instance/demo; no account, no network
	@$(BIN)/servicedesk run --demo

test: setup ## run every test this machine can run (WORKERS processes; PYTEST_ARGS: in one process, with these)
	@sh contrib/test.sh $(BIN)/pytest $(or $(PYTEST_ARGS),-n $(WORKERS) --dist loadfile)

test-postgres: setup ## the tests that use a database once more, on a PostgreSQL of their own
	@SERVICEDESK_TEST_DATABASE=postgresql sh contrib/test.sh $(BIN)/pytest -n $(WORKERS) --dist loadfile \
	    tests/desk tests/outbound tests/inbound tests/cli tests/views tests/test_*.py

torture: setup ## 500 kills at a parser at work, 5,000 messages (TORTURE_KILLS, TORTURE_MESSAGES, TORTURE_SEED)
	@TORTURE_KILLS=$${TORTURE_KILLS:-500} TORTURE_MESSAGES=$${TORTURE_MESSAGES:-5000} \
	    sh contrib/test.sh $(BIN)/pytest -s tests/torture

screenshots: setup ## make docs/screenshots anew from the demonstration (needs chromium)
	@$(BIN)/python contrib/screenshots.py

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

check: lint types imports test ## format, lint, types, import contracts and tests: what CI runs
