# The commands of this repository; each sets up what it needs.
#   make run         run config/config.yaml, all four sections: results/digits/ and results/report.html
#   make test        run all tests
#   make test-unit   run the tests of the library alone
#   make schema      write the configuration's schema and the tables of config/README.md, after keys or names have changed
#   make pictures    draw the pictures of README.md and results/published/README.md again, from the tables beside them
#   make environment create .venv, as the other commands do when they need it
#   make benchmark   compare its speed with that of the plain ways: results/benchmarks/cpu.md
#   make lint, make format, make lock, make clean: for developers
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
ENVIRONMENT := .venv/requirements.lock
# So that programs of the environment find each other, and Snakemake finds the Python of its jobs.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: environment run test test-unit benchmark pictures schema lint format lock clean

environment: $(ENVIRONMENT)

run: $(ENVIRONMENT)
	snakemake --cores all
	snakemake --report results/report.html

# Threads that wait for each other by spinning slow down the tests that run beside them.
test test-unit: export OMP_WAIT_POLICY := PASSIVE

test: $(ENVIRONMENT)
	pytest

test-unit: $(ENVIRONMENT)
	pytest tests/unit

benchmark: $(ENVIRONMENT)
	PYTHONPATH=scripts:tests python -m benchmarks

pictures: $(ENVIRONMENT)
	snakemake pictures --cores 1

schema: $(ENVIRONMENT)
	PYTHONPATH=scripts python -m ansatz.workflow.configuration

lint: $(ENVIRONMENT)
	ruff check .
	ruff format --check .
	snakefmt --check workflow
	snakemake --lint
	mypy

format: $(ENVIRONMENT)
	ruff check --fix .
	ruff format .
	snakefmt workflow

lock:
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-annotate --no-emit-index-url --no-header pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv .snakemake .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The copy of the lock file in the environment records what the environment was made from.
$(ENVIRONMENT): requirements.lock
	rm -rf .venv
	if command -v uv >/dev/null; then \
		uv venv --quiet --python '>=3.11,<3.14' .venv; \
		uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock; \
	else \
		$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
			sys.exit(0 if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}: set PYTHON=")'; \
		$(PYTHON) -m venv .venv; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	fi
	cp requirements.lock $@
