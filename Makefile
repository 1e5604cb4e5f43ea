# Everything runs from a virtual environment that `make install` makes; set VENV or PYTHON to use others.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
WORKERS ?= 2

.PHONY: install demo test test-everywhere check docs bench calibrate clean

install: $(VENV)/.installed  ## .venv with the package (editable) and what its tests need

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "bayesde needs Python 3.11 or later: set PYTHON=/path/to/python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: install  ## the full workflow on real counts
	$(BIN)/bayesde demo --out $(DEMO)

test: install  ## every test, Stan included, by WORKERS processes; TEST="-k shrink" and the like narrow it
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --durations=15 $(TEST)

test-everywhere: install  ## other BLAS kernels, numba targets, Pythons and orders; wheel and sdist; EVERYWHERE="wheel" and the like narrow it
	$(BIN)/python tests/everywhere.py $(EVERYWHERE)

check: install  ## formatting, lint, types, layout
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layout.py

docs: install  ## the documentation site: docs/_build/html; BAYESDE_DOCS_NOTEBOOKS=1 executes the notebooks, too
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: install  ## time and memory beside the peers that pip and R have; BENCH="--only growth" and the like narrow it
	$(BIN)/python -m benchmarks.speed $(BENCH)

calibrate: install  ## ranks of the truth under every engine, its accuracy, and runs that are killed; CALIBRATE="--engine psis" and the like narrow the former
	$(BIN)/python -m benchmarks.calibration $(CALIBRATE)
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.kills

clean:
	rm -rf docs/_build docs/jupyter_execute docs/notebooks docs/reference/generated docs/reference/commands.md
	rm -rf $(VENV) .venv-everywhere benchmarks/.venv-peers $(DEMO) .mypy_cache .ruff_cache .pytest_cache
