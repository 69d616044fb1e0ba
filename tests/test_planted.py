"""Each planted bug has a place in the code: a function that has moved would make the drill useless."""

import importlib
from functools import reduce

import pytest

from tests.drills.planted import LINKS, PROCESS

PLACES = sorted({*(place for places in LINKS.values() for place in places), *PROCESS.values()})


@pytest.mark.parametrize("place", PLACES)
def test_the_place_of_a_bug_exists(place: str) -> None:
    """Named as `module:attribute.attribute`."""
    module, _, path = place.partition(":")

    assert callable(reduce(getattr, path.split("."), importlib.import_module(module)))
