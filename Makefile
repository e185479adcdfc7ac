# `make fid` and `make test` do all the set-up on first use: a virtual environment in .venv with the
# versions of requirements.lock. They expect Python 3.11 or later, git and make.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
INSTALLED := $(VENV)/.installed
SCHEMA := workflow/schemas/config.schema.json

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: fid test bench check schema lock

# The table of the default run, then where the time went.
fid: $(INSTALLED)
	time snakemake --cores all results/tables/fid.csv
	python -m adagen.paper.timing benchmarks/digits

# Two one-thread workers beat one process with two threads.
test: export OMP_NUM_THREADS = 1
test: $(INSTALLED)
	pytest --numprocesses 2 --dist loadgroup

# Speed and memory, as ratios measured on one core: a quarter to half an hour (benchmarks/README.md).
bench: export OMP_NUM_THREADS = 1
bench: $(INSTALLED)
	python -m benchmarks --keep

# What a commit has to pass besides the tests.
check: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint
	python workflow/scripts/config_schema.py | diff $(SCHEMA) -
	python workflow/scripts/config_docs.py | diff config/README.md -

# After a change of adagen/config/: what is generated from it.
schema: $(INSTALLED)
	python workflow/scripts/config_schema.py > $(SCHEMA)
	python workflow/scripts/config_docs.py > config/README.md

# Newest versions in requirements.lock and environment.yml, after a change of pyproject.toml.
lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --upgrade "setuptools>=77"
	$(VENV)-lock/bin/pip install --no-build-isolation ".[dev]"
	$(VENV)-lock/bin/pip freeze --all --exclude pip --exclude adagen \
	    | sed -E '/^(cuda-|nvidia-|triton==)/ s/$$/; platform_system == "Linux"/' > requirements.lock
	sed -i '/^  - pip:$$/q' environment.yml
	sed 's/^/      - /' requirements.lock >> environment.yml
	rm -rf $(VENV)-lock build

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: give one with PYTHON=/path/to/python")'
	$(PYTHON) -m venv $(VENV)
	pip install --requirement requirements.lock
	pip install --no-deps --no-build-isolation --editable .
	touch $@
