# make reproduce   corpus to tables (CORPUS=, CORPUS_PATH=, SIZE=, WORKERS=, ARGS= for more settings)
# make test        the tests
# make lint        style and types
# make docs        the documentation into site/, which opens from disk
# make bench       every benchmark into runs/bench/index.md, twenty minutes on a machine that does nothing else
# make audit       known vulnerabilities of the versions in constraints.txt; asks osv.dev
# A fresh machine needs Python 3.11 or newer, git and make; the rest is installed into .venv.

PYTHON ?= python3
CORPUS ?= testbed
CORPUS_PATH ?=
SIZE ?= demo
WORKERS ?=
ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)

.PHONY: reproduce test lint docs bench audit install clean

reproduce: .venv/.installed
	$(BIN)/prosody-tts reproduce corpus=$(CORPUS) $(if $(CORPUS_PATH),"corpus_path=$(CORPUS_PATH)") size=$(SIZE) \
		$(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

# Files are spread over the processes whole, so that what a file's tests share is made once.
test: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Strict: a broken link or anchor fails. A checkout that only builds the documentation needs the rest too, for its tables.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: .venv/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.everything $(ARGS)

# Of OSV, which is asked by name and version: a registry's mirror that knows of no vulnerabilities finds none.
audit: .venv/.installed
	$(PIP) -e '.[audit]'
	$(BIN)/pip-audit -r constraints.txt --no-deps --vulnerability-service osv

install: .venv/.installed

# torch first and by itself, so that nothing pulls in another build of it.
.venv/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; remove .venv and give make PYTHON=python3.11" >&2; exit 1; }
	$(PIP) $(TORCH)
	$(PIP) -e '.[dev]'
	@touch $@

.venv/.docs: .venv/.installed
	$(PIP) -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv build site *.egg-info
