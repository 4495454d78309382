# Everything a fresh machine needs beyond Python 3.11 and make is installed here, into .venv.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
SECONDS ?=

.PHONY: demo test check bench chaos panels clean

demo: $(VENV)/.demo
	$(BIN)/maskwatch demo $(if $(SECONDS),--seconds $(SECONDS))

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/maskwatch bench $(BENCH)

# SECONDS=40 a part by chance (SEED=7 repeats one) · ONLY=redis_killed · SOAK=1800 a fault a minute
chaos: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m service.chaos $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(SOAK),--seconds $(SOAK) --every 60) $(if $(SEED),--seed $(SEED)) \
	  $(if $(ONLY),--only $(ONLY)) $(CHAOS)

panels: $(VENV)/.test
	$(BIN)/python tests/panels.py

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo,train,test,check]'
	touch $@
