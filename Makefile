# From a fresh clone with nothing but python3 (3.11 or newer) and make:
#   make demo    set up, then look an emblem up and cut it out of a clip
#   make test    set up, then run all tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ALL := $(VENV)/.installed-all
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format types clean

help: ## Show what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP) ## Install the agent, its server and the checks into .venv; at once if nothing changed

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "segscout needs Python 3.11 or newer; choose one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV), which takes a minute or more'
	$(BIN)/python -m pip install --disable-pip-version-check -qq --constraint constraints.txt --editable '.[dev,serve]'
	@touch $@

# What only the other extras and their tests need, so that the demo need not wait for it.
$(ALL): $(STAMP)
	@echo 'installing what the other tests need into $(VENV)'
	$(BIN)/python -m pip install --disable-pip-version-check -qq --constraint constraints.txt --editable '.[dev,evals,mcp,otel,ray,search,serve,train,offline,ui]'
	@touch $@

demo: $(STAMP) ## The main job, on a clip that nobody has seen
	$(BIN)/segscout demo

# They share the tests out between them, and whoever is through takes over from another: one more than two cores,
# because many tests wait for a process or a clock.
test: $(ALL) ## All tests, in as many processes as WORKERS says (3)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -p no:cacheprovider -n $(WORKERS) --dist worksteal -m "slow or not slow"

lint: $(STAMP) ## Check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(STAMP) ## Put style in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(STAMP) ## Check types, strictly
	$(BIN)/mypy

clean: ## Remove the environment and everything that tools left
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
