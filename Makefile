# Two commands for a fresh machine: `make demo` and `make test`. All set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OLD_SDKS := .venv-old-sdks

.PHONY: demo test test-old-sdks lint benchmark format clean

demo: $(VENV)/ready
	$(BIN)/python -m demo.play

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# The conformance tests once more, against the SDKs' generation before this one.
test-old-sdks: $(OLD_SDKS)/ready
	$(OLD_SDKS)/bin/python -m pytest -n 2 --dist loadgroup tests/conformance

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/ready
	$(BIN)/python -m benchmarks

$(VENV)/ready: EXTRA := dev
$(OLD_SDKS)/ready: EXTRA := old-sdks
$(VENV)/ready $(OLD_SDKS)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "llmproxy needs Python 3.11 or later: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRA)]'
	touch $@

clean:
	rm -rf $(VENV) $(OLD_SDKS) .mypy_cache .ruff_cache .hypothesis build dist
