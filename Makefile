# Two commands: `make demo` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install demo test benchmark clean

help:
	@echo "make demo       track a generated sequence of each synthetic set, with pictures"
	@echo "make test       ruff and pytest"
	@echo "make install    only set up .venv"
	@echo "make benchmark  association beside SORT and ByteTrack (set DATA to a KITTI MOTS folder)"
	@echo "make clean      remove what make made"

install: .venv/.installed

.venv/.installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.installed-test: .venv/.installed requirements-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@

.venv/.installed-benchmark: .venv/.installed requirements-benchmark.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-benchmark.txt
	@touch $@

demo: .venv/.installed
	$(BIN)/python demo.py

test: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

benchmark: .venv/.installed-benchmark
	$(BIN)/python -m benchmarks.association $(if $(DATA),--data $(DATA))

clean:
	rm -rf .venv results/demo .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
