# make demo: install, train on the embedded images, say where the results are. make test: install its packages, too, run all tests.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# a Python with torch-fidelity for make oracle; its torch is the CPU build, so PIP_EXTRA_INDEX_URL has to name PyTorch's own
# index of those. torch-fidelity's own requirements would bring CUDA.
ORACLE := .oracle/bin/python
TORCH ?= torch==2.13.0+cpu

.PHONY: install install-test demo page docs docs-images test test-slow mutants fuzz oracle lint clean

install: $(VENV)/installed

$(VENV)/installed: requirements.txt pyproject.toml setup.py
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12"'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

install-test: $(VENV)/installed-test

$(VENV)/installed-test: requirements-test.txt $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

demo: install
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(RUN) -m ugatit_jax.main --config=configs/demo.py --workdir=runs/demo
	@echo "Translations at each stage: runs/demo/previews/ (the last: $$(ls runs/demo/previews/*.png | tail -n 1))"

# a web page that runs the small emoji model in the visitor's browser, in runs/page; npm gets the runtime
page: install
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint requirements-test.txt onnx onnxruntime
	$(RUN) -m ugatit_jax.export --checkpoint=emoji_student --to=runs/page --page --overwrite

# the documentation as a site, in site/; a dead link is an error
docs: install-test
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo "site/index.html"

# docs/demo.png and docs/report.png from a finished make demo; needs Chromium
WORKDIR ?= runs/demo
docs-images: install
	$(RUN) -m benchmarks.docs_images --workdir=$(WORKDIR)

# a process for each core, up to four; the tests of a file share what they set up; tests/conftest.py says which files come first
test: install-test lint
	$(RUN) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test-slow: install-test
	$(RUN) -m pytest -m slow

# one-line mutations of everything that computes: the tests have to see each; about an hour
mutants: install-test
	$(RUN) -m tests.mutants

# damaged and made-up files for every reader; make fuzz SECONDS=600 takes that long for each
SECONDS ?= 60
fuzz: install-test
	$(RUN) -m tests.fuzz --seconds=$(SECONDS)

oracle: install-test $(ORACLE)
	ORACLE=$(ORACLE) $(RUN) -m pytest -s tests/evaluate/test_kid_fid.py -k torch_fidelity

$(ORACLE):
	$(PYTHON) -m venv .oracle
	$@ -m pip install --quiet --disable-pip-version-check '$(TORCH)' numpy pillow tqdm || { rm -rf .oracle; exit 1; }
	$@ -m pip install --quiet --disable-pip-version-check --no-deps torch-fidelity==0.4.0 || { rm -rf .oracle; exit 1; }

lint: install-test
	$(RUN) -m ruff check .
	$(VENV)/bin/shellcheck --external-sources launch/*.sh benchmarks/*.sh tests/helpers/*.sh .ci/run
	$(RUN) -m ruff format --check .

clean:
	rm -rf $(VENV) site .oracle .cache .pytest_cache .ruff_cache *.egg-info
