# What README calls: `make demo`, `make test`, `make check`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# A pipe that fails when its first command does.
SHELL := bash
.SHELLFLAGS := -o pipefail -c

# pip says each package in one line. Nothing is ever resolved here: the locks are complete, and `pip check` confirms it.
INSTALL := $(BIN)/python -u -m pip install --disable-pip-version-check --no-deps
SHORTLY := sed -un -e 's/^Collecting \([^ ]*\).*/  \1/p' -e 's/^Installing collected.*/  unpacking them/p' \
	-e 's,^Processing .*/,  ,p'

.PHONY: demo test test-newer drills soak check lock clean

# What the demo needs: the program and a broker.
$(VENV)/.demo: pyproject.toml locks/demo.lock
	@echo "Installing the program and a broker for its demo into $(VENV):"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) --require-hashes -r locks/demo.lock | $(SHORTLY)
	@$(INSTALL) --quiet --no-build-isolation -e .
	@$(BIN)/python -m pip check
	@touch $@

# In addition what tests and linters need.
$(VENV)/.installed: $(VENV)/.demo locks/tests.lock
	@echo "Installing what the tests need into $(VENV):"
	@$(INSTALL) --require-hashes -r locks/tests.lock | $(SHORTLY)
	@$(BIN)/python -m pip check
	@touch $@

demo: $(VENV)/.demo
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

UPGRADE ?=
COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(UPGRADE)

# The only place that resolves. A change of pyproject.toml changes as little as it can; UPGRADE=--upgrade takes what is newest.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) --extra dev -o locks/tests.lock pyproject.toml
	$(COMPILE) --extra demo --extra build -c locks/tests.lock -o locks/demo.lock pyproject.toml
	$(COMPILE) --extra build -c locks/tests.lock -o locks/program.lock pyproject.toml
	$(COMPILE) -o locks/sbom.lock locks/sbom.in
	$(COMPILE) -o locks/helm.lock locks/helm.in

clean:
	rm -rf $(VENV) .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
