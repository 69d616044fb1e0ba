"""Fixtures of the Helm tests."""

import pytest

from tests.helm.tools import Helm, tools


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Both Helms."""
    return tools()
