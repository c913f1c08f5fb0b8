# Two commands: `make demo` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
BIN := .venv/bin
# Tests of functions: without Keras, a process of their own or a long fuzz.
FAST := tests/test_structure.py tests/test_equations.py tests/utils tests/models/best \
  tests/models/baselines tests/models/test_assignment.py tests/models/test_flow_links.py \
  tests/models/test_matching.py tests/models/test_tracking.py tests/models/remots/test_pieces.py \
  $(addprefix tests/models/usc_mots/test_,algorithm.py constraints.py fusing.py identities.py \
  kmeans.py kmeans_loops.py tracker.py) \
  $(addprefix tests/pipeline/test_,flags.py parts.py request.py results.py sinks.py tracked.py) \
  -k "not mutated and not real and not same_lines"

.PHONY: help install demo test test-fast benchmark clean

help:
	@echo "make demo       track a generated sequence of each synthetic set, with pictures"
	@echo "make test       ruff, mypy and pytest, on both cores"
	@echo "make test-fast  the tests that need neither a network nor a process of their own"
	@echo "make install    only set up .venv"
	@echo "make benchmark  every ratio of docs/speed.md in one run (set DATA to a KITTI MOTS folder)"
	@echo "make clean      remove what make made"

install: .venv/.compiled

.venv/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

# Inner loops, compiled once for all runs to come.
.venv/.compiled: .venv/.installed utils/compiling.py utils/runs.py utils/mask_cells.py \
  models/usc_mots/constraints.py models/usc_mots/kmeans_loops.py \
  models/best/table.py models/best/assignment.py models/best/pairs.py models/best/step.py
	$(BIN)/python -m utils.compiling
	@touch $@

.venv/.installed-test: .venv/.compiled requirements-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

.venv/.installed-benchmark: .venv/.compiled requirements-benchmark.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-benchmark.txt
	@touch $@

demo: .venv/.compiled
	rm -rf results/demo
	$(BIN)/python demo.py

test: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto

test-fast: .venv/.installed-test
	$(BIN)/python -m pytest -q -n auto $(FAST)

benchmark: .venv/.installed-benchmark
	$(BIN)/python -m benchmarks.speed --plot results/growth.png $(if $(DATA),--data $(DATA))

clean:
	rm -rf .venv results/demo .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
