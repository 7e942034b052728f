# Two commands: make demo, make test. Everything happens in .venv; nothing else is touched.
#
#   TORCH=cpu     take torch's CPU build from download.pytorch.org (Linux: 0.2 GB instead of 2.5 GB)
#   PYTHON=...    another interpreter, 3.11 or newer

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INDEX := $(if $(filter cpu,$(TORCH)),--extra-index-url https://download.pytorch.org/whl/cpu)
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(INDEX)

.PHONY: demo test check deployment clean

demo: $(VENV)/demo.stamp
	$(BIN)/fedcgan demo

test: $(VENV)/test.stamp check

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# A whole federation on this machine, killed and attacked: ten minutes, as root for two users.
deployment: $(VENV)/test.stamp
	FEDCGAN_DEPLOYMENT=1 $(BIN)/python -m pytest tests/deployment

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv --clear $(VENV)
	$(INSTALL) --editable .
	touch $@

$(VENV)/test.stamp: $(VENV)/demo.stamp
	$(INSTALL) --editable '.[dev,ray,charts]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
