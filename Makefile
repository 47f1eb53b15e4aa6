# make demo: install, train on the embedded pictures, say where the results are. make test: install, run all tests.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: install demo test test-slow lint clean

install: $(VENV)/installed

$(VENV)/installed: requirements.txt setup.py
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12"'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: install
	$(RUN) -m ugatit_jax.main --config=configs/demo.py --workdir=runs/demo
	@echo "Translations at each stage: runs/demo/previews/ (the last: $$(ls runs/demo/previews/*.png | tail -n 1))"

test: install lint
	$(RUN) -m pytest

test-slow: install
	$(RUN) -m pytest -m slow

lint: install
	$(RUN) -m ruff check .

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache *.egg-info
