.DEFAULT_GOAL := help
SHELL := /bin/bash
# The virtual environment lives in .venv, and uv, where the machine has none, in
# .uv: nothing is installed outside this directory.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := "$(UV)" run --no-sync
# Some machines set it, and every one of the hundreds of processes that the tests start
# would compile all that it imports again: 3.5 s of a core instead of 1.5.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo dev quick test cases check fmt bench protos protos-check protos-release docs dashboards screenshots nightly

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}'

.uv/bin/uv:
	@echo "no uv here: bringing it into .uv, once"
	@python3 -m venv .uv && .uv/bin/python -m pip install -q --disable-pip-version-check uv \
	  || { echo "no uv here and none could be brought: install uv, or python3-venv and a way to PyPI"; exit 1; }

setup: .venv/.synced ## Install everything into .venv (brings uv when it is missing)

.venv/.synced: pyproject.toml uv.lock | $(filter .uv/bin/uv,$(UV))
	@"$(UV)" sync --frozen --all-extras --no-extra train-gpu
	@touch .venv/.synced

demo: setup ## Watch simulated payments become explained decisions
	@$(RUN) scoring demo

dev: setup ## Run store, broker, serve, stream, control and console on loopback until Ctrl-C
	@$(RUN) scoring dev

quick: setup ## Run the quick tests: unit, contract, property, doctests, few cases
	@HYPOTHESIS_PROFILE=quick $(RUN) pytest -n auto -m "not kafka and not slow" tests/test_tidy*.py tests/unit tests/contract tests/property scoring

test: setup ## Run every test (real store, real brokers), three files at a time
	@# In the order of the directories: drills begin, and the quick files even it out.
	@# Three, because a drill waits much of its time for processes to start and to answer.
	@$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder

cases: setup ## Run the situations as people really have them
	@$(RUN) pytest tests/cases

check: setup ## Format, lint (Lua too), types, architecture, protos: what CI checks first
	@$(RUN) ruff format --check . && $(RUN) ruff check . && $(RUN) mypy && $(RUN) lint-imports --no-logo && $(RUN) buf lint protos && $(RUN) buf breaking protos --against protos/released.binpb && $(RUN) python tests/lua_lint.py
	@$(MAKE) -s protos-check

fmt: setup ## Format the code and sort imports
	@$(RUN) ruff format . && $(RUN) ruff check --fix-only .

bench: setup ## Run one benchmark: make bench NAME=pipeline
	@test -n "$(NAME)" || { echo "which one? make bench NAME=one of:" $(notdir $(basename $(filter-out %/__init__.py,$(wildcard benchmarks/*.py)))); exit 2; }
	@$(RUN) python -m benchmarks.$(NAME)

protos: setup ## Generate scoring/v1 from protos/
	@PATH="$(CURDIR)/.venv/bin:$$PATH" $(RUN) python -m grpc_tools.protoc -I protos --python_out=. --mypy_out=. --grpc_python_out=. --mypy_grpc_out=. protos/scoring/v1/*.proto
	@cp protos/scoring/v1/*.proto scoring/v1/

protos-check: setup ## Prove that scoring/v1 is what protos/ generates
	@fresh="$$(mktemp -d)" && PATH="$(CURDIR)/.venv/bin:$$PATH" $(RUN) python -m grpc_tools.protoc -I protos --python_out="$$fresh" --mypy_out="$$fresh" --grpc_python_out="$$fresh" --mypy_grpc_out="$$fresh" protos/scoring/v1/*.proto 2>/dev/null && cp protos/scoring/v1/*.proto "$$fresh/scoring/v1/" && diff -r --exclude=__pycache__ --exclude=__init__.py "$$fresh/scoring/v1" scoring/v1 && rm -rf "$$fresh" || { echo "scoring/v1 is stale: run 'make protos'"; exit 1; }

protos-release: setup ## Hold later protos to today's: run at each release
	@$(RUN) buf build protos --exclude-source-info -o protos/released.binpb

docs: setup ## Regenerate the generated pages of docs/
	@$(RUN) scoring features describe --markdown > docs/features.md
	@$(RUN) scoring topics schemas docs/schemas
	@$(RUN) python -m scoring.wire.openapi > docs/schemas/openapi.json
	@$(RUN) python -m scoring.control.api.app > docs/schemas/control-openapi.json
	@$(RUN) python -m scoring.telemetry.page > docs/metrics.md
	@$(RUN) python docs/store_records.py > docs/store-records.md
	@$(RUN) python helm/describe.py > helm/fraud-scoring/README.md
	@$(RUN) python helm/envoy/descriptor.py
	@$(MAKE) -s dashboards

dashboards: setup ## Write the chart's dashboards from helm/dashboards.yaml
	@$(RUN) python helm/dashboards.py

screenshots: setup ## Take the pictures of docs/screenshots (needs Chromium)
	@$(RUN) python tests/screenshots.py

nightly: setup ## The long profile of the tests
	@HYPOTHESIS_PROFILE=nightly SCORING_DRILL_KILLS=3 SCORING_DRILL_RECORDS=3000 SCORING_DRILL_SEEDS=3 SCORING_DRILL_RESTARTS=10 SCORING_DRILL_ROTATION_CALLS=20000 SCORING_DRILL_PAIRS=10000 SCORING_DRILL_OUTAGE_S=300 SCORING_DRILL_TABLE_ROWS=50000 SCORING_DRILL_CONTROL_KILLS=50 SCORING_DRILL_STORE_KILLS=10 SCORING_DRILL_RELEASES=50 SCORING_FOUR_EYES_SEQUENCES=100000 $(RUN) pytest
