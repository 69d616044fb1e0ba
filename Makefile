# What README calls: `make demo`, `make test`, `make check`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test test-newer drills soak check lock clean

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	touch $@

demo: $(VENV)/.installed
	$(BIN)/innovaphone-mqtt demo $(ARGS)

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(ARGS)

# What is promised, tried for long: every drill with its row; the fuzzing with its full counts.
drills: $(VENV)/.installed
	FUZZ=long $(BIN)/python -m pytest tests/fuzz tests/mqtt/test_peer.py tests/pbx/test_hostile.py tests/test_tls.py
	$(BIN)/python -m tests.drills $(ARGS)

soak: $(VENV)/.installed
	$(BIN)/python -m tests.drills.soak $(ARGS)

# The same tests on newer Pythons, those that are found; what takes long, or is not about Python, runs on the oldest only.
OLDEST_ONLY := $(addprefix --ignore=tests/,container drills helm systemd)
test-newer:
	@for version in 3.12 3.13; do \
		if python$$version --version >/dev/null 2>&1; then \
			$(MAKE) test PYTHON=python$$version VENV=.venv-$$version ARGS="$(OLDEST_ONLY)" || exit 1; \
		else echo "python$$version is not here: left out"; fi; \
	done

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile $(LOCK) --extra dev -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --extra build -c requirements.lock -o deploy/container/requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK) -o deploy/container/sbom.lock deploy/container/sbom.in
	$(BIN)/uv pip compile $(LOCK) -o tests/helm/requirements.txt tests/helm/requirements.in

clean:
	rm -rf $(VENV) .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
