# From a fresh clone with nothing but python3 (3.11 or newer) and make:
#   make demo    set up, then look an emblem up and cut it out of a clip
#   make test    set up, then run all tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ALL := $(VENV)/.installed-all

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format types clean

help: ## Show what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1 \t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP) ## Install everything into .venv; at once if nothing changed

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "segscout needs Python 3.11 or newer; choose one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing into $(VENV), which takes a minute or more'
	$(BIN)/python -m pip install --disable-pip-version-check -qq --constraint constraints.txt --editable '.[dev,serve]'
	@touch $@

# What only training, the web page, MCP, Ray and their tests need, so that the demo need not wait for it.
$(ALL): $(STAMP)
	@echo 'installing what the other tests need into $(VENV)'
	$(BIN)/python -m pip install --disable-pip-version-check -qq --constraint constraints.txt --editable '.[dev,evals,mcp,otel,ray,search,serve,train,offline,ui]'
	@touch $@

demo: $(STAMP) ## The main job, on a clip that nobody has seen
	$(BIN)/segscout demo

# Side by side, one core each: one after the other they take half as long again. Both always run to their end.
test: $(ALL) ## All tests, the quick and the slow ones side by side
	@export OMP_NUM_THREADS=1; log=$$(mktemp); \
	$(BIN)/python -m pytest -q -p no:cacheprovider -m slow > "$$log" 2>&1 & slow=$$!; \
	trap 'kill $$slow 2> /dev/null; rm -f "$$log"' EXIT; trap 'exit 130' INT TERM; \
	$(BIN)/python -m pytest -q -m 'not slow'; quick=$$?; \
	echo 'waiting for the slow tests'; wait $$slow; late=$$?; cat "$$log"; \
	exit $$((quick > late ? quick : late))

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
