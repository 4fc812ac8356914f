# make demo    serve the two example sites        make test    the tests (under 3 minutes)
# make drills  the long tests                     make check   format, lint, types
# make test-deploy  units, images and manifests, started for real (root; what is missing is skipped, by name)
# make bench  Trivet beside its peers (BENCH="hello flask --rounds 5"; without, all: fifty minutes)
# make bench-goals  what the goals of issue 8 need: seven minutes on a quiet machine
# make bench-readme  what README.md shows; its plots and tables are made anew: 18 minutes
# make fuzz    a million spoilt requests (SEED=, INPUTS=, CONNECTIONS=)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
# How long a drill keeps up its load, if its own length is not shorter. DRILL_SECONDS=60: each at full length.
DRILL_SECONDS ?= 10

.PHONY: demo test drills slow long test-deploy bench bench-goals bench-readme fuzz check format clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	@PORT=$(PORT) $(BIN)/python deploy/examples/demo.py

# A file at a time in four processes, the long files first: most of the time goes to waiting for the processes
# that are tested.
test: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder \
	  tests/backend/test_master.py tests/whole tests/deploy tests/endurance tests/backend tests/proxy tests/fuzzing tests/common tests

drills: slow long

slow: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -m "slow and not drill" -n 3 --dist loadfile --no-loadscope-reorder \
	  tests/whole tests/endurance tests/backend tests/deploy tests/proxy

long: $(VENV)/.dev
	@TRIVET_DRILL_SECONDS=$(DRILL_SECONDS) $(BIN)/python -m pytest -q -m drill -s

test-deploy: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -m deployed -n 2 --dist loadfile --no-loadscope-reorder \
	  tests/deployed/test_compose.py tests/deployed

fuzz: $(VENV)/.dev
	@$(BIN)/python -m tests.fuzzing $(if $(SEED),--seed $(SEED)) $(if $(INPUTS),--inputs $(INPUTS)) \
	  $(if $(CONNECTIONS),--connections $(CONNECTIONS))

bench: $(VENV)/bin/python
	@$(BIN)/python -m benchmarks $(BENCH)

bench-goals: $(VENV)/bin/python
	@$(BIN)/python -m benchmarks --goals $(BENCH)

bench-readme: $(VENV)/bin/python
	@$(BIN)/python -m benchmarks --readme $(BENCH)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Trivet needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Choose another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "No virtual environment could be made. On Debian: apt install python3-venv" >&2; exit 1; }

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	@echo "Installing Trivet and the example sites' frameworks into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	@echo "Installing Trivet and its test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
