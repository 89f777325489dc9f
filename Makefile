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
# Of a lock: nothing is installed whose SHA-256 it does not name.
LOCKED := --require-hashes --requirement
SOURCES := core artifacts runners converters services registry_api sdk/src deploy/gitops deploy/helm deploy/local deploy/images deploy/locks loadtests tests docs
# Where pip finds a CPU build of torch, for example `--index-url <a CPU wheel index>`; empty takes the default index.
TORCH_PIP_ARGS ?=
FULL ?=
PLATFORM ?=
# What `make bench` compares with, besides BentoML; each has an environment of its own under .venv-peers.
PEERS := triton mlserver litserve ray
# Debian packages of the real components that `make test` and `make demo PLATFORM=1` start: database, object store, Redis, image registry, Node.
COMPONENTS := postgresql ceph-mon ceph-osd ceph-common radosgw redis-server docker-registry $(if $(shell command -v npm),,nodejs npm)
# Debian packages that build and run images.
IMAGES := mmdebstrap buildah podman runc
# Tests that measure time or start a service with many processes: they have the machine to themselves, the others share it.
ALONE := tests/e2e tests/integration/loadtests tests/integration/runners
# Tests that build and run whole images: `make test-oci`, after the others in `make test`. Each builder's stay in one process.
OCI := $(wildcard tests/integration/registry_api/images/test_*.py)
# More arguments of pytest in `make check` and `make test`.
PYTEST_ARGS ?=
PYTEST = $(BIN)/python -m pytest $(PYTEST_ARGS)
SPREAD := --numprocesses 2 --dist worksteal
TEST_OCI = $(PYTEST) $(OCI) --numprocesses 2 --dist loadgroup
# Of `make bench`: works to run (patterns; empty: all), peers to leave out, further arguments (`--quick`, `--rounds 5`).
WORK ?=
WITHOUT ?=
BENCH_ARGS ?=

export BENTOML_DO_NOT_TRACK := True
export ORT_DISABLE_TELEMETRY := 1

.PHONY: help demo up bento converters test test-oci matrix check bench load hostile gpu fuzz fmt lint types arch reference proto charts edge lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/python: 
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo: $(LOCKS)/demo.txt sdk/pyproject.toml | $(VENV)/python
	@echo "Installing the pinned packages of $< (about 700 MB)"
	@$(PIP) $(LOCKED) $<
	@$(PIP) --no-deps --no-build-isolation --editable sdk
	@touch $@

$(VENV)/dev: $(LOCKS)/dev.txt | $(VENV)/demo
	@echo "Installing the pinned packages of $<"
	@$(PIP) $(LOCKED) $<
	@touch $@

$(VENV)/full: $(LOCKS)/full.txt | $(VENV)/demo
	@echo "Installing torch 2.13.0 and the pinned packages of $<"
	@$(PIP) $(TORCH_PIP_ARGS) torch==2.13.0
	@$(PIP) $(LOCKED) $<
	@touch $@

# Not resolved again by pip: xdsl's pin of typing-extensions is overridden (see converters.override).
$(VENV)/converters: $(LOCKS)/converters.txt | $(VENV)/full
	@echo "Installing the pinned packages of $< (about 2 GB)"
	@$(PIP) --no-deps $(LOCKED) $<
	@touch $@

demo: $(VENV)/demo $(if $(FULL),$(VENV)/full) $(if $(PLATFORM),$(VENV)/dev) ## Train, push, sign, build, deploy, infer and tamper (FULL=1 adds MiniLM; PLATFORM=1: on PostgreSQL, Ceph, Redis, OpenBao, OpenID)
	@$(if $(PLATFORM),deploy/local/apt.sh $(COMPONENTS))
	@$(BIN)/python -m deploy.local.demo $(if $(FULL),--full) $(if $(PLATFORM),--platform)

up: $(VENV)/demo ## Run registry, worker and inference in the foreground; state in .furoshiki/
	@$(BIN)/python -m deploy.local.up

.venv-clients/ready: $(LOCKS)/clients.txt
	@echo "Installing the pinned packages of $< (about 520 MB)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $<
	@touch $@

converters: $(VENV)/converters ## Install every converter, and make the environment of onnx2tf (about 4 GB together)
	@$(BIN)/python -m converters prepare

test: $(VENV)/dev $(VENV)/full $(VENV)/converters .venv-clients/ready ## Run the whole suite (installs Debian packages it needs when root or through sudo)
	@deploy/local/apt.sh wrk nghttp2-client $(if $(shell command -v systemd-analyze),,systemd) $(COMPONENTS) $(IMAGES)
	@$(BIN)/python -m converters prepare
	@$(PYTEST) tests $(SPREAD) $(addprefix --ignore=,$(ALONE) $(OCI))
	@$(TEST_OCI)
	@$(PYTEST) $(ALONE)

test-oci: $(VENV)/dev ## Base, Bento, image by each builder, verified, run by podman (as root; installs Debian packages it needs)
	@deploy/local/apt.sh docker-registry $(IMAGES)
	@$(TEST_OCI)

matrix: $(VENV)/dev $(VENV)/full $(VENV)/converters ## Every conversion of every model, measured anew: docs/conversion-matrix.md (an hour)
	@$(BIN)/python -m converters prepare
	@$(BIN)/python -m tests.integration.converters.matrix --fresh

check: $(VENV)/dev lint types arch ## Lint, types, layers and unit tests
	@$(PYTEST) tests/unit tests/contract tests/property $(SPREAD)

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
	@$(BIN)/python docs/generate_cli.py

proto: $(VENV)/dev ## Generate the code beside every .proto file
	@$(BIN)/python -m deploy.local.protocols

charts: $(VENV)/dev ## Generate the chart's README and golden files
	@$(BIN)/python -m deploy.helm

.venv-edge/ready: $(LOCKS)/edge.txt
	@echo "Installing the pinned packages of $< (about 450 MB)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $<
	@touch $@

edge: .venv-edge/ready ## Test what serves models with no more than an edge device has installed
	@PYTHONPATH=sdk/src .venv-edge/bin/python -m pytest tests/unit/runners tests/unit/services tests/property/runners tests/property/services \
	  --ignore=tests/unit/services/grpc_v2/test_protocol.py $(SPREAD)

fmt: $(VENV)/dev ## Format and fix
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.venv-peers/%/ready: $(LOCKS)/peers-%.txt
	@echo "Installing the pinned packages of $<"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $<
	@touch $@

bench: $(VENV)/dev $(VENV)/full $(patsubst %,.venv-peers/%/ready,$(filter-out $(WITHOUT),$(PEERS))) ## Compare with Triton, MLServer, LitServe, Ray Serve and BentoML in one run (WORK=mlp-json WITHOUT=ray)
	@deploy/local/apt.sh wrk nghttp2-client
	@set -f; $(BIN)/python -m loadtests.bench run $(WORK) $(addprefix --without ,$(WITHOUT)) $(BENCH_ARGS)

load: $(VENV)/dev ## The load test: 100 users a second for 5 minutes; passes or fails; report in loadtests/results
	@$(BIN)/python -m loadtests.locust

hostile: $(VENV)/dev ## Two tenants, one of them hostile: what the other notices
	@deploy/local/apt.sh wrk
	@$(BIN)/python -m loadtests.hostile

.venv-gpu/ready: $(LOCKS)/gpu.txt
	@$(PYTHON) -m loadtests.gpu --check
	@echo "Installing torch 2.13.0 for CUDA and the pinned packages of $< (several GB)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $<
	@touch $@

gpu: .venv-gpu/ready ## On a machine with a CUDA device: the runner contract there and a benchmark; report in loadtests/results
	@PYTHONPATH=sdk/src .venv-gpu/bin/python -m loadtests.gpu

.venv-fuzz/ready: $(LOCKS)/fuzz.txt
	@echo "Installing the pinned packages of $<"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(LOCKED) $<
	@touch $@

fuzz: $(VENV)/dev .venv-fuzz/ready ## A million cases against every decoder, then guided by coverage (RUNS=200000 each)
	@$(BIN)/python -m tests.fuzz.services.run --cases 1000000
	@for target in rest_v1_json rest_v1_msgpack rest_v1_protobuf rest_v2 grpc_v2; do \
	  .venv-fuzz/bin/python -m tests.fuzz.services.coverage_guided $$target .fuzz/$$target -runs=$(or $(RUNS),200000); done

bento: $(VENV)/demo ## Build the default Bento of bentofile.yaml into the BentoML store
	@rm -rf wheels && mkdir wheels
	@cd sdk && $(CURDIR)/$(BIN)/python -m hatchling build --target wheel --directory $(CURDIR)/wheels
	@{ cat $(LOCKS)/serving.txt; cd wheels && sha256sum *.whl | sed -E 's|^(\w+)  (.*)|./wheels/\2 --hash=sha256:\1|'; } > wheels/requirements.txt
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/bentoml build

lock: $(VENV)/dev ## Resolve deploy/locks/*.in again
	@deploy/locks/resolve.sh $(BIN)/uv

clean: ## Remove the environment, local state and caches
	@rm -rf $(VENV) .venv-clients .venv-edge .venv-fuzz .venv-gpu .venv-peers .fuzz .furoshiki .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
