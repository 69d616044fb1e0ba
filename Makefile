# What README calls: `make demo`, `make test`, `make test-all`, `make check`. Each makes its own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# A pipe that fails when its first command does.
SHELL := bash
.SHELLFLAGS := -o pipefail -c

# pip says each package in one line. Nothing is ever resolved here: the locks are complete, and `pip check` confirms it.
# Wheels only: a source package runs code, and tools that no lock names, while it is built.
WHEELS := install --disable-pip-version-check --no-deps --only-binary=:all:
INSTALL := $(BIN)/python -u -m pip $(WHEELS)
SHORTLY := sed -un -e 's/^Collecting \([^ ]*\).*/  \1/p' -e 's/^Installing collected.*/  unpacking them/p' \
	-e 's,^Processing .*/,  ,p'

.PHONY: demo test test-here test-all test-newer test-homeassistant bench drills soak check lock audit dist base clean

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

# Tests wait more than they work, so there are more workers than cores. JOBS=0: one process, as a debugger wants it.
JOBS ?=
PYTEST := $(BIN)/python -m pytest

# What a newcomer runs: units, the simulator, a real Mosquitto. tests/README.md says what is left to test-all.
test: $(VENV)/.installed
	$(PYTEST) -n $(or $(JOBS),6) -m "not slow and not pair and not alone" $(ARGS)

# Everything on this Python: side by side; then two by two what has a limit of time; then what measures, with nothing beside it.
test-here: $(VENV)/.installed
	$(PYTEST) -n $(or $(JOBS),4) -m "not pair and not alone" $(ARGS) || [ $$? -eq 5 ]  # 5: ARGS has chosen none of them
	$(PYTEST) -n 2 -m pair $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) -m alone $(ARGS) || [ $$? -eq 5 ]

test-all: test-here test-newer

# A part of test-all: Home Assistant itself beside the bridge. It is installed once, into build/homeassistant.
test-homeassistant: $(VENV)/.installed
	$(PYTEST) tests/homeassistant $(ARGS)

# What is promised, tried for long: every drill with its row; the fuzzing with its full counts.
drills: $(VENV)/.installed
	FUZZ=long $(BIN)/python -m pytest tests/fuzz tests/mqtt/test_peer.py tests/pbx/test_hostile.py tests/net/test_tls.py
	$(BIN)/python -m tests.drills $(ARGS)

soak: $(VENV)/.installed
	$(BIN)/python -m tests.drills.soak $(ARGS)

# What the program costs, beside other ways to do the same: docs/performance.md. ARGS="--only saturated single" measures these rows,
# AGAINST=path/to/python another installation of the bridge in the same run.
AGAINST ?=
bench: $(VENV)/.installed
	$(BIN)/python -m tests.bench $(if $(AGAINST),--against $(AGAINST)) $(ARGS)

# The same tests on newer Pythons, those that are found; what is not about Python runs on the oldest only.
OLDEST_ONLY := $(addprefix --ignore=tests/,container drills helm homeassistant systemd)
test-newer:
	@for version in 3.12 3.13; do \
		if python$$version --version >/dev/null 2>&1; then \
			$(MAKE) test-here PYTHON=python$$version VENV=.venv-$$version ARGS="$(OLDEST_ONLY)" || exit 1; \
		else echo "python$$version is not here: left out"; fi; \
	done

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

TAG ?= docker.io/library/python:3.13-slim
UPGRADE ?=
COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(UPGRADE)

# The only place that resolves. A change of pyproject.toml changes as little as it can; UPGRADE=--upgrade takes what is newest.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip $(WHEELS) --quiet --require-hashes -r locks/uv.lock
	$(COMPILE) --extra dev -o locks/tests.lock pyproject.toml
	$(COMPILE) --extra demo --extra build -c locks/tests.lock -o locks/demo.lock pyproject.toml
	$(COMPILE) --extra build -c locks/tests.lock -o locks/program.lock pyproject.toml
	$(COMPILE) -o locks/sbom.lock locks/sbom.in
	$(COMPILE) -o locks/helm.lock locks/helm.in
	$(COMPILE) -o locks/uv.lock locks/uv.in
	$(COMPILE) -o locks/audit.lock locks/audit.in
	$(filter-out --universal,$(subst 3.11,3.13.2,$(COMPILE))) --only-binary :all: --override locks/homeassistant.override \
		-o locks/homeassistant.lock locks/homeassistant.in

# Known vulnerabilities of what is installed with the program. ARGS=--where-possible: no error where there is no data.
.venv-audit/.installed: locks/audit.lock
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip $(WHEELS) --quiet --require-hashes -r locks/audit.lock
	@touch $@

audit: .venv-audit/.installed
	$(PYTHON) tests/install/audit.py .venv-audit/bin/pip-audit locks/program.lock $(ARGS)

# What a release consists of: wheel, source, bill of materials of an installed program, and the digests of these.
dist: $(VENV)/.demo
	rm -rf dist .venv-dist .venv-sbom
	$(BIN)/python -m hatchling build -d dist
	$(PYTHON) -m venv --without-pip .venv-dist
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/python -m pip $(WHEELS) --quiet --require-hashes -r locks/sbom.lock
	.venv-sbom/bin/python -m pip --python .venv-dist/bin/python $(WHEELS) --quiet --require-hashes -r locks/program.lock
	.venv-sbom/bin/python -m pip --python .venv-dist/bin/python $(WHEELS) --quiet --no-build-isolation .
	.venv-sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o dist/sbom.cdx.json .venv-dist/bin/python
	cd dist && sha256sum * >SHA256SUMS

# Pin the base image to what the registry has now.
base:
	podman pull --quiet $(TAG)
	sed -i "s,^ARG BASE=.*,ARG BASE=$(TAG)@$$(podman image inspect --format '{{.Digest}}' $(TAG)),; /^# Not pinned/d" \
		deploy/container/Containerfile

clean:
	rm -rf $(VENV) .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
