# SPDX-License-Identifier: Apache-2.0
# Everything a person or a CI job runs. `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/locks
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := core artifacts runners services registry_api sdk/src deploy/local loadtests tests docs
# Where pip finds a CPU build of torch, for example `--index-url <a CPU wheel index>`; empty takes the default index.
TORCH_PIP_ARGS ?=
FULL ?=

export BENTOML_DO_NOT_TRACK := True

.PHONY: help demo up bento test check bench fmt lint types arch reference lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/python: 
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo: $(LOCKS)/demo.txt sdk/pyproject.toml | $(VENV)/python
	@echo "Installing the pinned packages of $< (about 600 MB)"
	@$(PIP) --requirement $<
	@$(PIP) --no-deps --no-build-isolation --editable sdk
	@touch $@

$(VENV)/dev: $(LOCKS)/dev.txt | $(VENV)/demo
	@echo "Installing the pinned packages of $<"
	@$(PIP) --requirement $<
	@touch $@

$(VENV)/full: $(LOCKS)/full.txt | $(VENV)/demo
	@echo "Installing torch 2.13.0 and the pinned packages of $<"
	@$(PIP) $(TORCH_PIP_ARGS) torch==2.13.0
	@$(PIP) --requirement $<
	@touch $@

demo: $(VENV)/demo $(if $(FULL),$(VENV)/full) ## Train, push, sign, build, deploy, infer and tamper, on free loopback ports (FULL=1 adds MiniLM)
	@$(BIN)/python -m deploy.local.demo $(if $(FULL),--full)

up: $(VENV)/demo ## Run registry, worker and inference in the foreground; state in .furoshiki/
	@$(BIN)/python -m deploy.local.up

test: $(VENV)/dev $(VENV)/full ## Run the whole suite (installs Debian packages it needs when root or through sudo)
	@deploy/local/apt.sh wrk
	@$(BIN)/python -m pytest tests

check: $(VENV)/dev lint types arch ## Lint, types, layers and unit tests
	@$(BIN)/python -m pytest tests/unit tests/contract tests/property

lint: $(VENV)/dev ## Format and lint, and the generated documentation is current
	@$(BIN)/python docs/generate_reference.py --check
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)

types: $(VENV)/dev ## mypy --strict
	@$(BIN)/mypy

arch: $(VENV)/dev ## Prove the layers of ARCHITECTURE.md
	@$(BIN)/lint-imports

reference: $(VENV)/dev ## Generate docs/reference from the code
	@$(BIN)/python docs/generate_reference.py

fmt: $(VENV)/dev ## Format and fix
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/dev $(if $(FULL),$(VENV)/full) ## Compare this service with plain BentoML in one run (needs wrk; FULL=1 adds MiniLM)
	@deploy/local/apt.sh wrk
	@$(BIN)/python -m loadtests.bench
	@$(if $(FULL),$(BIN)/python -m loadtests.bench --model minilm)

bento: $(VENV)/demo ## Build the default Bento of bentofile.yaml into the BentoML store
	@rm -rf wheels && mkdir wheels
	@cd sdk && $(CURDIR)/$(BIN)/python -m hatchling build --target wheel --directory $(CURDIR)/wheels
	@{ cat $(LOCKS)/serving.txt; cd wheels && ls *.whl | sed 's|^|./wheels/|'; } > wheels/requirements.txt
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/bentoml build

lock: $(VENV)/dev ## Resolve deploy/locks/*.in again
	@deploy/locks/resolve.sh $(BIN)/uv

clean: ## Remove the environment, local state and caches
	@rm -rf $(VENV) .furoshiki .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
