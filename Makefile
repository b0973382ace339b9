# memsim: what one can ask for. Needs GNU make, a POSIX sh, git and a Python >= 3.11 with venv.
VENV = .venv
JOBS = auto# of pytest, the number of workers
PYTHON =# the Python to make $(VENV) with; empty: the first that will do
ARGS =# more options, for jupyter lab, for pytest or for the bench

# Python keeps what it compiled: the tests start it some two hundred times.
unexport PYTHONDONTWRITEBYTECODE

BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n $(JOBS)

.PHONY: help setup lab demo lite test test-long exercises slides site bench check lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## */\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-10s %s\n", $$1, $$2 }'

setup: $(VENV)/.installed ## install into .venv what requirements.lock pins, and memsim

$(VENV)/.installed: requirements.lock pyproject.toml tools/setup
	@PYTHON='$(PYTHON)' tools/setup $(VENV)
	@touch $@

lab: setup ## open JupyterLab on your own copy of the lessons, my-course/
	@exec tools/lab $(VENV) $(ARGS)

demo: setup ## the allocators under a workload, in a browser, without code (Voila)
	@exec tools/demo $(VENV) $(ARGS)

lite: setup ## build lite/, the course with its Python in the browser: files for any web server
	@exec tools/lite $(VENV)

test: setup ## unit, property, doctest, floor, notebook and browser tests
	$(PYTEST) $(ARGS)

test-long: setup ## the proofs that take minutes
	$(PYTEST) -m long $(ARGS)

exercises: setup ## cut exercises/ from solutions/; what you changed there stays
	$(BIN)/memsim exercises

slides: setup ## a deck of slides for each lesson, in slides/; ARGS=--pdf for handouts too
	$(BIN)/memsim slides $(ARGS)

site: setup ## the whole course as static pages, site/: no kernel, no server, no network
	$(BIN)/memsim site $(ARGS)

bench: setup ## speed: memsim against its twin in C, vmalloc, boot, replay; ARGS=--quick for less
	@exec $(BIN)/python -m bench $(ARGS)

check: setup ## ruff, mypy --strict, and the floors of the house
	$(BIN)/ruff check
	$(BIN)/mypy --strict memsim
	$(BIN)/python -m pytest -q tests/test_floors.py

lock: setup ## pin the newest that fits in requirements.lock (after a change of pyproject.toml)
	$(BIN)/uv pip compile pyproject.toml --extra course --extra teach --extra demo --extra dask --extra test \
	    --group build --group axe --group lite \
	    --universal --python-version 3.11 --generate-hashes --upgrade --quiet --no-config \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	    --output-file requirements.lock

clean: ## remove what tools left behind, .venv too
	rm -rf $(VENV) $(VENV)-lite lite build dist slides site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
