# Everything runs from .venv, made from the hash-pinned lock of development: production's, and the tools. `make help` lists the targets.
PYTHON ?= $(or $(shell command -v python3.11),python3)
SHOP ?= simulated
MODEL ?= product_recommender
DATA ?=
BIN := .venv/bin
STAMP := .venv/.synced

export ML_ASSETS_SHOP := $(SHOP)
export ML_ASSETS_DATA := $(if $(DATA),$(abspath $(DATA)))

# Compiling these libraries anew costs each process seconds: keep the byte code.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup setup-production demo demo-loop ui mlflow-ui stop migrate check-model test lint format reference lock clean bench bench-quality bench-scale bench-release bench-drift sbom audit \
  bench-detection bench-swaps bench-kill

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv from requirements-dev.lock

# uv is in the lock itself: pip brings it in, checked against its hash, and uv installs the rest in seconds.
$(STAMP): requirements.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "make: $(PYTHON) is not Python 3.11: install it or say PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^uv==/{on=1} on{print} on&&!/\\$$/{exit}' requirements-dev.lock > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements-dev.lock
	@echo "$(CURDIR)" > $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ml_assets.pth && touch $@

setup-production: ## create .venv from requirements.lock alone: without the tools of development
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@echo "$(CURDIR)" > $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ml_assets.pth && touch $(STAMP)

demo: setup ## raw events to a running model server; SHOP=<name> DATA=<file> for another shop
	@$(BIN)/python -m ml_assets demo

demo-loop: setup ## the loop closes itself: drift, retraining, shadow, canary, recovery, rollback, in minutes
	@$(BIN)/python -m ml_assets demo-loop

ui: setup ## Dagster on http://127.0.0.1:3000: lineage graph, runs, checks, schedules
	@$(BIN)/python -m ml_assets ui

mlflow-ui: setup ## MLflow on http://127.0.0.1:5000: runs, metrics, model versions
	@$(BIN)/python -m ml_assets mlflow-ui

stop: setup ## stop what was left running: model servers, and the pages of ui and mlflow-ui
	@$(BIN)/python -m ml_assets stop

migrate: setup ## take YAML and home of an older version along to this one
	@$(BIN)/python -m ml_assets.migrate

check-model: setup ## put a model's champion through the conformance suite: MODEL=<name> SHOP=<name>
	@$(BIN)/python -m ml_assets check-model $(MODEL)

test: setup ## all tests
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: setup ## ruff, mypy --strict, and the contracts of which package may import which
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports --no-cache && $(BIN)/mypy

format: setup ## let ruff rewrite
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

reference: setup ## make docs/reference/ anew from the typed schemas, commands and checks
	@$(BIN)/python -m ml_assets reference

bench: setup ## how fast it is, beside peers and floors; QUICK=1: five minutes; ONLY="offline online": some
	@$(BIN)/python -m benchmarks.speed $(if $(QUICK),--quick) $(ONLY)

bench-quality: setup ## the ranking bar on Online Retail II: DATA=<invoice_lines.parquet>
	@$(BIN)/python -m benchmarks.quality

bench-scale: setup ## the whole graph on about 10 M simulated events
	@$(BIN)/python -m benchmarks.scale

bench-release: setup ## 500 A/A canaries, and canaries with half the click rate
	@$(BIN)/python -m benchmarks.release

bench-drift: setup ## drift over a million rows
	@$(BIN)/python -m benchmarks.drift

bench-detection: setup ## healthy weeks without alarms, scenarios noticed within two days
	@$(BIN)/python -m benchmarks.detection

bench-swaps: setup ## a hundred model swaps under load, on what `make demo` made
	@$(BIN)/python -m benchmarks.swaps

bench-kill: setup ## 200 SIGKILLs through ingest, train, collect and release, resumed each time: the same contents; QUICK=1: 30, KILLS=n
	@$(BIN)/python -m benchmarks.kills

RESOLVE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
  --all-extras pyproject.toml

lock: setup ## resolve both locks anew from pyproject.toml: requirements.lock for production, requirements-dev.lock with the tools
	$(RESOLVE) -o requirements.lock
	$(RESOLVE) --group dev --constraint requirements.lock -o requirements-dev.lock

sbom: setup ## build/sbom.cdx.json: production's packages as CycloneDX, checked against its schema
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.cdx.json

audit: setup ## known vulnerabilities of production's packages, by a service or by the dated list in audit/
	@$(BIN)/python -m audit.check

clean: ## remove what was made: var/, caches (not .venv)
	@test ! -x $(BIN)/python || $(BIN)/python -m ml_assets stop || true
	rm -rf var build *.egg-info .mypy_cache .ruff_cache .hypothesis dbt_project/target dbt_project/logs
