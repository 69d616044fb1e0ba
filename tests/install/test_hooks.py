"""The optional hooks of pre-commit run what CI runs. Runs no hook."""

import re

import yaml

from tests.install.lock import ROOT


def test_every_hook_is_a_target_that_ci_runs_too() -> None:
    """And is local: a hook of somebody's repository would be code that no lock names."""
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"] for repo in repos for hook in repo["hooks"]]
    ci, makefile = ((ROOT / each).read_text() for each in (".ci/run", "Makefile"))

    assert {repo["repo"] for repo in repos} == {"local"}
    assert entries
    for entry in entries:
        assert re.search(rf"\b{entry}(-all)?\b", ci), entry  # test-all runs the tests of `make test`, too
        assert re.search(rf"^{entry.removeprefix('make ')}:", makefile, re.MULTILINE), entry
