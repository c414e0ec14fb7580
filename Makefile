# Every command works from a fresh clone: the first one sets up .venv, from requirements.txt and with its hashes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
READY := .venv/.ready
PACKAGES := events strategies service

# The tests start hundreds of processes. Where Python may keep no bytecode, as in many containers, each of them would
# compile every module anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo up test test-long coverage simulate mutants soak check generate docs bench fuzz interop audit lock dist

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## the main job on the embedded default, from a sample file to its export
	@$(PY) -m batchbus_service.app.demo

up: $(READY) ## the service on http://127.0.0.1:8000, until Ctrl-C
	@.venv/bin/batchbus up

test: $(READY) ## every test, those against a real RabbitMQ included
	@$(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(READY) ## the long forms of the tests that have one, half an hour or so
	@BATCHBUS_LONG_TESTS=1 $(PY) -m pytest --numprocesses 2 tests/imports tests/simulation tests/operations/replay \
	    tests/engine/test_backlog.py tests/engine/test_crashes.py tests/engine/test_outages.py \
	    tests/engine/test_triggers.py tests/execution/test_isolation.py $(ARGS)
	@BATCHBUS_LONG_TESTS=1 $(PY) -m pytest tests/security/test_full_tilt.py $(ARGS)
	@BATCHBUS_TEST_ISOLATION=all $(PY) -m pytest --numprocesses 2 tests/engine/test_lives.py tests/execution/test_rude.py \
	    tests/engine/test_cancel.py tests/execution/test_row_errors.py $(ARGS)

# Left out is what runs the product as other processes, which are not measured, and what runs it under many faults.
coverage: $(READY) ## which lines and branches the tests run, with the floor from pyproject.toml
	@$(PY) -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term \
	    --ignore=tests/simulation --ignore=tests/chaos --ignore=tests/mutants --ignore=tests/docs $(ARGS)

SEEDS ?= 2000
simulate: $(READY) ## so many simulated runs with faults of every kind: make simulate SEEDS=100000
	@$(PY) -m tests.simulation small:0-$(SEEDS) $(ARGS)

mutants: $(READY) ## wrong versions of the product's functions, each of which has to be noticed by a test
	@$(PY) -m tests.mutants $(ARGS)

MINUTES ?= 30
soak: $(READY) ## faults on real parts, one after the other, and a table; it goes on behind what soak.jsonl has
	@$(PY) -m tests.chaos --minutes $(MINUTES) $(ARGS)

check: $(READY) ## format, lint, types, import contracts, generated files
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@$(PY) -m batchbus_events.asyncapi --check docs
	@$(PY) -m batchbus_events.definitions --check deploy/rabbitmq/definitions.json
	@$(PY) -m batchbus_service.http.openapi --check docs

generate: $(READY) ## docs/asyncapi.json, docs/schemas, docs/openapi.json and the broker's definitions, anew from the code
	@$(PY) -m batchbus_events.asyncapi docs
	@$(PY) -m batchbus_events.definitions deploy/rabbitmq/definitions.json
	@$(PY) -m batchbus_service.http.openapi docs

fuzz: $(READY) ## the HTTP API, with thousands of requests made up from its OpenAPI document
	@BATCHBUS_API_EXAMPLES=100 $(PY) -m pytest tests/http/test_openapi.py $(ARGS)

interop: ## the documents for tools, read by the tools of others: linters, and generators of code; needs Node.js
	@tools/interop/run

docs: export NO_MKDOCS_2_WARNING := 1 # what its makers announce is no fault of the pages
docs: $(READY) ## the documentation as a site in build/site, with a reference made from the docstrings
	@$(PY) -m mkdocs build
	@echo "Open build/site/index.html"

bench: $(READY) ## the benchmarks
	@$(PY) -m tests.benchmarks $(ARGS)

audit: export PATH := $(PATH):$(CURDIR)/.venv/bin
audit: $(READY) ## the locked libraries against known vulnerabilities, and the image where trivy is installed
	@tools/audit

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command "make lock" --no-emit-package batchbus --no-emit-package batchbus-events \
    --no-emit-package batchbus-strategies $(PACKAGES:%=%/pyproject.toml)

lock: export PATH := $(PATH):$(CURDIR)/.venv/bin
lock: $(READY) ## what is installed, anew from the four pyproject.toml: for development, and for the container image
	@command -v uv > /dev/null || $(PY) -m pip install --quiet uv
	@$(LOCK) --upgrade --all-extras --group pyproject.toml:dev --output-file requirements.txt
	@$(LOCK) --constraint requirements.txt --group pyproject.toml:build --output-file deploy/requirements.txt

dist: export PATH := $(PATH):$(CURDIR)/.venv/bin
dist: $(READY) ## the three packages as they are published, in dist/
	@command -v uv > /dev/null || $(PY) -m pip install --quiet uv
	@uv build --quiet --no-build-isolation --python $(PY) --all-packages --clear --out-dir dist

$(READY): requirements.txt $(PACKAGES:%=%/pyproject.toml) tools/venv
	@tools/venv
	@touch $@
